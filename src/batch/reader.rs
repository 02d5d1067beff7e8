//! Compressed bytes in, records out: sniff, inflate, cut into records, check, project. Push-driven, so that it runs on
//! whatever brings the bytes, in any chunking, with the same result.

pub use super::gzip::GZIP_MAGIC;
use super::gzip::Member;
use super::incoming::Incoming;
use super::lines::Lines;
use super::out::Out;
use super::projection::Projection;
use super::rows::Rows;
use super::scan::InvalidLine;
use super::sniff::{Sniffer, Verdict};
use super::values::Values;
use crate::limits::{BOMB_GRACE_BYTES, BOMB_RATIO, CSV_WINDOW_BYTES, RAW_MAX_BYTES, WINDOW_BYTES};

/// What takes the lines of a batch, in order.
pub trait Sink {
    /// A record: one line of JSON without its newline, and the raw JSON text of the projected fields by slot.
    fn record(&mut self, line: &[u8], fields: &[Option<&[u8]>]);
    /// What stands in place of a record. `number` counts from 1: lines of NDJSON, in other forms what was found so far.
    /// `line` may be cut to [`crate::limits::QUARANTINE_LINE_BYTES`].
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

/// How records stand in a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// JSON values: an array, an object around an array, or objects one behind the other.
    Values,
    /// CSV.
    Csv,
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
    /// Records found.
    pub records: u64,
    /// Lines, elements and rows that are no records.
    pub invalid_lines: u64,
    /// gzip members; 0 for a plain body.
    pub members: u64,
    /// How the records stand in it, once that is certain.
    pub form: Form,
}

/// What finds the records.
enum Framing {
    /// The form is not certain yet.
    Unknown(Box<Sniffer>),
    Lines(Lines),
    Values(Box<Values>),
    Rows(Box<Rows>),
}

impl Framing {
    fn new(incoming: Incoming) -> Self {
        Self::Unknown(Box::new(Sniffer::new(incoming)))
    }

    /// Takes what is complete in `bytes` and returns how many bytes are done with; the others come again, in front of
    /// what follows them.
    fn take(&mut self, bytes: &[u8], out: &mut Out<'_, impl Sink>) -> usize {
        match self {
            Self::Lines(lines) => lines.take(bytes, out),
            Self::Values(values) => values.take(bytes, out),
            Self::Rows(rows) => rows.take(bytes, out),
            Self::Unknown(sniffer) => {
                let blank = sniffer.blank_lines(bytes);
                let (lines, rest) = bytes.split_at_checked(blank).unwrap_or((bytes, &[]));
                *out.number += memchr::memchr_iter(b'\n', lines).count() as u64;
                match sniffer.look(rest, false) {
                    None => blank,
                    Some(verdict) => {
                        self.decide(verdict, out);
                        blank + self.take(rest, out)
                    }
                }
            }
        }
    }

    /// Ends the batch; `rest` is what [`Self::take`] was not done with.
    fn finish(&mut self, rest: Vec<u8>, out: &mut Out<'_, impl Sink>) {
        match self {
            Self::Lines(lines) => lines.finish(rest, out),
            Self::Values(values) => values.finish(&rest, out),
            Self::Rows(rows) => rows.finish(rest, out),
            Self::Unknown(sniffer) => {
                let Some(verdict) = sniffer.look(&rest, true) else {
                    return;
                };
                self.decide(verdict, out);
                let used = self.take(&rest, out);
                let rest = rest.get(used..).unwrap_or_default().to_vec();
                self.finish(rest, out);
            }
        }
    }

    fn decide(&mut self, verdict: Verdict, out: &mut Out<'_, impl Sink>) {
        let Self::Unknown(sniffer) = std::mem::replace(self, Self::Lines(Lines::default())) else {
            return;
        };
        match verdict {
            Verdict::Lines => {}
            Verdict::Values(member) => {
                out.meter.form = Form::Values;
                *self = Self::Values(Box::new(Values::new(member)));
            }
            Verdict::Rows => {
                out.meter.form = Form::Csv;
                *self = Self::Rows(Box::new(Rows::new(&sniffer.into_incoming())));
            }
        }
        if out.meter.form != Form::Ndjson {
            // Lines in front were blank, and what is counted from here on is no line.
            *out.number = 0;
        }
    }
}

enum Source {
    Undecided(Vec<u8>),
    Plain,
    Inside(Box<Member>),
    Between(Box<Member>, Vec<u8>),
    Ended,
}

/// Reads one batch.
pub struct Reader {
    source: Source,
    encoding: Option<Encoding>,
    fault: Option<StreamFault>,
    framing: Framing,
    /// Inflated bytes that are looked at in one go.
    window_bytes: usize,
    /// The record that the last window ended in, and in front of it what the sink was too full for.
    carry: Vec<u8>,
    /// There may be whole records in the carry.
    has_backlog: bool,
    /// Lines, rows or elements so far.
    number: u64,
    meter: Meter,
}

impl Default for Reader {
    fn default() -> Self {
        Self::expecting(Incoming::default())
    }
}

impl Reader {
    /// A reader at the start of a batch of which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader at the start of a batch.
    #[must_use]
    pub fn expecting(incoming: Incoming) -> Self {
        Self {
            window_bytes: if incoming.csv.is_some() {
                CSV_WINDOW_BYTES
            } else {
                WINDOW_BYTES
            },
            source: Source::Undecided(Vec::new()),
            encoding: None,
            fault: None,
            framing: Framing::new(incoming),
            carry: Vec::new(),
            has_backlog: false,
            number: 0,
            meter: Meter::default(),
        }
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
            if sink.is_full() || self.drain(projection, sink) {
                break;
            }
            let used = self.step(rest, window, projection, sink);
            self.meter.bytes_compressed += used as u64;
            taken += used;
        }
        taken
    }

    /// Takes what was read and is not given to the sink yet, and returns true when it got full over it. To be called until
    /// it returns false, with an empty sink, before [`Self::finish`].
    pub fn drain(&mut self, projection: &Projection, sink: &mut impl Sink) -> bool {
        if self.has_backlog {
            let carry = std::mem::take(&mut self.carry);
            self.window(&carry, true, projection, sink);
        }
        self.has_backlog
    }

    /// Ends the batch: what stands there without an end, ends. `sink` may be full afterwards.
    pub fn finish(&mut self, window: &mut Vec<u8>, projection: &Projection, sink: &mut impl Sink) {
        if self.has_backlog {
            let carry = std::mem::take(&mut self.carry);
            self.window(&carry, false, projection, sink);
        }
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
        let rest = std::mem::take(&mut self.carry);
        let mut out = Out {
            sink,
            projection,
            meter: &mut self.meter,
            number: &mut self.number,
            may_stop: false,
        };
        self.framing.finish(rest, &mut out);
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
                    self.meter.members += 1;
                    self.source = Source::Inside(Box::default());
                } else {
                    self.encoding = Some(Encoding::Plain);
                    self.source = Source::Plain;
                    self.plain(&head, window, projection, sink);
                }
                used
            }
            Source::Plain => {
                self.source = Source::Plain;
                let used = input.len().min(self.window_bytes);
                self.plain(
                    input.get(..used).unwrap_or_default(),
                    window,
                    projection,
                    sink,
                );
                used
            }
            Source::Inside(member) => self.inflate(member, input, window, projection, sink),
            Source::Between(mut member, mut head) => {
                let wanted = GZIP_MAGIC.len() - head.len();
                let used = wanted.min(input.len());
                head.extend_from_slice(input.get(..used).unwrap_or_default());
                if head == GZIP_MAGIC {
                    member.begin();
                    self.meter.members += 1;
                    self.source = Source::Inside(member);
                } else if GZIP_MAGIC.starts_with(&head) {
                    self.source = Source::Between(member, head);
                } else {
                    self.fault = Some(StreamFault::TrailingBytes);
                }
                used
            }
            // After a fault the rest is only counted; the archive has it.
            Source::Ended => input.len(),
        }
    }

    fn inflate(
        &mut self,
        mut member: Box<Member>,
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
        let room = room.get_mut(..self.window_bytes).unwrap_or_default();
        let step = member.step(input, room);
        self.meter.bytes_raw += step.made as u64;
        let mut used = step.used;
        match step.is_end {
            Ok(true) => self.source = Source::Between(member, Vec::new()),
            Ok(false) => self.source = Source::Inside(member),
            Err(_) => {
                self.fault = Some(StreamFault::Corrupt);
                used = input.len();
            }
        }
        let raw = self.meter.bytes_raw;
        let compressed = self.meter.bytes_compressed + used as u64;
        if raw > RAW_MAX_BYTES || (raw > BOMB_GRACE_BYTES && raw / BOMB_RATIO > compressed) {
            self.fault = Some(StreamFault::Bomb);
            self.source = Source::Ended;
        }
        self.window(
            window.get(..held + step.made).unwrap_or_default(),
            true,
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
            self.window(bytes, true, projection, sink);
            return;
        }
        window.clear();
        window.extend_from_slice(&self.carry);
        window.extend_from_slice(bytes);
        self.window(window, true, projection, sink);
    }

    /// Takes the complete records of `bytes`, which begin with the carry, and keeps the rest as the new carry.
    fn window(
        &mut self,
        bytes: &[u8],
        may_stop: bool,
        projection: &Projection,
        sink: &mut impl Sink,
    ) {
        let mut out = Out {
            sink,
            projection,
            meter: &mut self.meter,
            number: &mut self.number,
            may_stop,
        };
        let used = self.framing.take(bytes, &mut out);
        self.has_backlog = out.is_full() && used < bytes.len();
        let rest = bytes.get(used..).unwrap_or_default();
        self.carry.clear();
        if rest.is_empty() && self.carry.capacity() > WINDOW_BYTES {
            self.carry.shrink_to_fit();
        }
        self.carry.extend_from_slice(rest);
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "form_tests.rs"]
mod form_tests;
