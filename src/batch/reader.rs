//! Compressed bytes in, records out: sniff, inflate, cut into lines, check, project. Push-driven, so that it runs on
//! whatever brings the bytes, in any chunking, with the same result.

use super::projection::Projection;
use super::scan::{InvalidLine, scan};
use crate::limits::{
    BOMB_GRACE_BYTES, BOMB_RATIO, LINE_MAX_BYTES, QUARANTINE_LINE_BYTES, RAW_MAX_BYTES,
    WINDOW_BYTES,
};
use flate2::{Decompress, FlushDecompress, Status};
use memchr::{memchr, memrchr};

/// The first bytes of a gzip member (RFC 1952).
pub const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// 32 KiB, the largest DEFLATE window.
const WINDOW_BITS: u8 = 15;

/// What takes the lines of a batch, in order.
pub trait Sink {
    /// A record: its bytes without the newline, and the raw JSON text of the projected fields by slot.
    fn record(&mut self, line: &[u8], fields: &[Option<&[u8]>]);
    /// A line that is no record. `number` counts lines from 1; `line` may be cut to [`QUARANTINE_LINE_BYTES`].
    fn invalid(&mut self, number: u64, line: &[u8], reason: InvalidLine);
    /// True when the sink has to be emptied before it takes more.
    fn is_full(&self) -> bool;
}

/// What is wrong with the stream as a whole, if anything; the records before it count. Names appear in `/stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFault {
    /// The gzip stream ends too early.
    Truncated,
    /// The gzip stream or its checksum is wrong.
    Corrupt,
    /// Bytes after the last gzip member that are no further member.
    TrailingBytes,
    /// Inflates beyond [`RAW_MAX_BYTES`] or [`BOMB_RATIO`]; what follows was not looked at.
    Bomb,
}

impl StreamFault {
    /// The name under which the batch is counted.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "gzip_truncated",
            Self::Corrupt => "gzip_corrupt",
            Self::TrailingBytes => "gzip_trailing_bytes",
            Self::Bomb => "bomb",
        }
    }
}

/// How the body came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// One or more gzip members.
    Gzip,
    /// Not gzip.
    Plain,
}

/// What was read so far. Counts are of the batch as it came, whatever jobs exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meter {
    /// Bytes as received.
    pub bytes_compressed: u64,
    /// Bytes after inflating.
    pub bytes_raw: u64,
    /// Lines that are records.
    pub records: u64,
    /// Lines that are no records.
    pub invalid_lines: u64,
    /// gzip members; 0 for a plain body.
    pub members: u64,
}

enum Source {
    Undecided(Vec<u8>),
    Plain,
    Inside(Box<Decompress>),
    Between(Box<Decompress>, Vec<u8>),
    Ended,
}

/// Reads one batch.
pub struct Reader {
    source: Source,
    encoding: Option<Encoding>,
    fault: Option<StreamFault>,
    /// The line that the last window ended in.
    carry: Vec<u8>,
    /// Inside a line past the cap: its rest is skipped up to the next newline.
    skipping: bool,
    line_number: u64,
    meter: Meter,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            source: Source::Undecided(Vec::new()),
            encoding: None,
            fault: None,
            carry: Vec::new(),
            skipping: false,
            line_number: 0,
            meter: Meter::default(),
        }
    }
}

impl Reader {
    /// A reader at the start of a batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was read so far.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// What is wrong with the stream, as far as it was read.
    #[must_use]
    pub fn fault(&self) -> Option<StreamFault> {
        self.fault
    }

    /// How the body came; unknown before its second byte.
    #[must_use]
    pub fn encoding(&self) -> Option<Encoding> {
        self.encoding
    }

    /// Takes bytes of the batch and returns how many it took: all of them, unless the sink got full, which it tells by
    /// [`Sink::is_full`]; then empty it and call again with the rest. `window` is scratch memory that readers may share.
    pub fn feed(
        &mut self,
        input: &[u8],
        window: &mut Vec<u8>,
        projection: &Projection,
        sink: &mut impl Sink,
    ) -> usize {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            if sink.is_full() {
                break;
            }
            let used = self.step(rest, window, projection, sink);
            self.meter.bytes_compressed += used as u64;
            taken += used;
        }
        taken
    }

    /// Ends the batch: what stands after the last newline is its last line. `sink` may be full afterwards.
    pub fn finish(&mut self, window: &mut Vec<u8>, projection: &Projection, sink: &mut impl Sink) {
        match std::mem::replace(&mut self.source, Source::Ended) {
            Source::Undecided(head) if !head.is_empty() => {
                self.encoding = Some(Encoding::Plain);
                self.plain(&head, window, projection, sink);
            }
            Source::Inside(_) => self.fault = Some(StreamFault::Truncated),
            Source::Between(_, head) if !head.is_empty() => {
                self.fault = Some(StreamFault::TrailingBytes);
            }
            _ => {}
        }
        if self.skipping || self.carry.is_empty() {
            return;
        }
        let mut last = std::mem::take(&mut self.carry);
        last.push(b'\n');
        self.lines(&last, projection, sink);
    }

    fn step(
        &mut self,
        input: &[u8],
        window: &mut Vec<u8>,
        projection: &Projection,
        sink: &mut impl Sink,
    ) -> usize {
        match std::mem::replace(&mut self.source, Source::Ended) {
            Source::Undecided(mut head) => {
                let wanted = GZIP_MAGIC.len() - head.len();
                let used = wanted.min(input.len());
                head.extend_from_slice(input.get(..used).unwrap_or_default());
                if head.len() < GZIP_MAGIC.len() {
                    self.source = Source::Undecided(head);
                } else if head == GZIP_MAGIC {
                    self.encoding = Some(Encoding::Gzip);
                    self.begin_member(Box::new(Decompress::new_gzip(WINDOW_BITS)), window);
                } else {
                    self.encoding = Some(Encoding::Plain);
                    self.source = Source::Plain;
                    self.plain(&head, window, projection, sink);
                }
                used
            }
            Source::Plain => {
                self.source = Source::Plain;
                let used = input.len().min(WINDOW_BYTES);
                self.plain(
                    input.get(..used).unwrap_or_default(),
                    window,
                    projection,
                    sink,
                );
                used
            }
            Source::Inside(inflate) => self.inflate(inflate, input, window, projection, sink),
            Source::Between(mut inflate, mut head) => {
                let wanted = GZIP_MAGIC.len() - head.len();
                let used = wanted.min(input.len());
                head.extend_from_slice(input.get(..used).unwrap_or_default());
                if head == GZIP_MAGIC {
                    // `true` keeps the gzip wrapper chosen at construction.
                    inflate.reset(true);
                    self.begin_member(inflate, window);
                } else if GZIP_MAGIC.starts_with(&head) {
                    self.source = Source::Between(inflate, head);
                } else {
                    self.fault = Some(StreamFault::TrailingBytes);
                }
                used
            }
            // After a fault the rest is only counted; the archive has it.
            Source::Ended => input.len(),
        }
    }

    /// Gives the decoder the magic that was read to recognise the member.
    fn begin_member(&mut self, mut inflate: Box<Decompress>, window: &mut Vec<u8>) {
        self.meter.members += 1;
        window.resize(WINDOW_BYTES, 0);
        self.source = match inflate.decompress(&GZIP_MAGIC, window, FlushDecompress::None) {
            Ok(_) => Source::Inside(inflate),
            Err(_) => {
                self.fault = Some(StreamFault::Corrupt);
                Source::Ended
            }
        };
    }

    fn inflate(
        &mut self,
        mut inflate: Box<Decompress>,
        input: &[u8],
        window: &mut Vec<u8>,
        projection: &Projection,
        sink: &mut impl Sink,
    ) -> usize {
        let held = self.carry.len();
        // Never shrunk in between, so that it is zeroed once and not for every step.
        if window.len() < held + WINDOW_BYTES {
            window.resize(held + WINDOW_BYTES, 0);
        }
        let Some((head, room)) = window.split_at_mut_checked(held) else {
            return input.len();
        };
        head.copy_from_slice(&self.carry);
        let room = room.get_mut(..WINDOW_BYTES).unwrap_or_default();
        let (in_before, out_before) = (inflate.total_in(), inflate.total_out());
        let result = inflate.decompress(input, room, FlushDecompress::None);
        let used = usize::try_from(inflate.total_in() - in_before).unwrap_or(input.len());
        let made = usize::try_from(inflate.total_out() - out_before).unwrap_or(0);
        self.meter.bytes_raw += made as u64;
        let used = match result {
            Ok(Status::StreamEnd) => {
                self.source = Source::Between(inflate, Vec::new());
                used
            }
            // No progress with input at hand would be a decoder that wants what is not there.
            Ok(_) if used == 0 && made == 0 => {
                self.fault = Some(StreamFault::Corrupt);
                input.len()
            }
            Ok(_) => {
                self.source = Source::Inside(inflate);
                used
            }
            Err(_) => {
                self.fault = Some(StreamFault::Corrupt);
                input.len()
            }
        };
        let raw = self.meter.bytes_raw;
        let compressed = self.meter.bytes_compressed + used as u64;
        if raw > RAW_MAX_BYTES || (raw > BOMB_GRACE_BYTES && raw / BOMB_RATIO > compressed) {
            self.fault = Some(StreamFault::Bomb);
            self.source = Source::Ended;
        }
        self.window(
            window.get(..held + made).unwrap_or_default(),
            projection,
            sink,
        );
        if window.len() > 2 * WINDOW_BYTES && self.carry.len() < WINDOW_BYTES {
            window.truncate(WINDOW_BYTES);
            window.shrink_to_fit();
        }
        used
    }

    fn plain(
        &mut self,
        bytes: &[u8],
        window: &mut Vec<u8>,
        projection: &Projection,
        sink: &mut impl Sink,
    ) {
        self.meter.bytes_raw += bytes.len() as u64;
        if self.carry.is_empty() {
            self.window(bytes, projection, sink);
            return;
        }
        window.clear();
        window.extend_from_slice(&self.carry);
        window.extend_from_slice(bytes);
        self.window(window, projection, sink);
    }

    /// Takes the complete lines of `bytes`, which begin with the carry, and keeps the rest as the new carry.
    fn window(&mut self, bytes: &[u8], projection: &Projection, sink: &mut impl Sink) {
        let mut bytes = bytes;
        if self.skipping {
            match memchr(b'\n', bytes) {
                Some(end) => {
                    self.skipping = false;
                    bytes = bytes.get(end + 1..).unwrap_or_default();
                }
                None => bytes = &[],
            }
        }
        let complete = memrchr(b'\n', bytes).map_or(0, |at| at + 1);
        let (lines, rest) = bytes.split_at_checked(complete).unwrap_or((bytes, &[]));
        self.lines(lines, projection, sink);
        self.carry.clear();
        if rest.len() > LINE_MAX_BYTES {
            self.skipping = true;
            self.carry.shrink_to_fit();
            self.invalid(rest, InvalidLine::TooLong, sink);
        } else {
            self.carry.extend_from_slice(rest);
        }
    }

    /// Takes complete lines, each with its newline.
    fn lines(&mut self, bytes: &[u8], projection: &Projection, sink: &mut impl Sink) {
        // One check for all lines: it costs a fraction of one per line, and is nearly always true.
        let all_utf8 = simdutf8::basic::from_utf8(bytes).is_ok();
        let mut fields = vec![None; projection.names().len()];
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = (
                rest.get(..end).unwrap_or_default(),
                rest.get(end + 1..).unwrap_or_default(),
            );
            rest = after;
            let verdict = if line.len() > LINE_MAX_BYTES {
                Err(InvalidLine::TooLong)
            } else if line.trim_ascii().is_empty() {
                self.line_number += 1;
                continue;
            } else if !all_utf8 && simdutf8::basic::from_utf8(line).is_err() {
                Err(InvalidLine::NotUtf8)
            } else {
                scan(line, projection, &mut fields)
            };
            match verdict {
                Ok(()) => {
                    self.line_number += 1;
                    self.meter.records += 1;
                    sink.record(line, &fields);
                }
                Err(reason) => self.invalid(line, reason, sink),
            }
        }
    }

    fn invalid(&mut self, line: &[u8], reason: InvalidLine, sink: &mut impl Sink) {
        self.line_number += 1;
        self.meter.invalid_lines += 1;
        let kept = line.len().min(QUARANTINE_LINE_BYTES);
        sink.invalid(
            self.line_number,
            line.get(..kept).unwrap_or_default(),
            reason,
        );
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
