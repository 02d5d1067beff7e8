//! NDJSON: a record a line. What nearly every batch is, so nothing here is done twice.

use super::out::Out;
use super::reader::Sink;
use super::scan::{InvalidLine, scan};
use crate::limits::LINE_MAX_BYTES;
use memchr::{memchr, memrchr};

/// Cuts lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Inside a line past the cap: its rest is skipped up to the next newline.
    skipping: bool,
}

impl Lines {
    /// Takes the complete lines of `bytes` and returns how many bytes it is done with; the others come again, in front of
    /// what follows them.
    pub fn take(&mut self, bytes: &[u8], out: &mut Out<'_, impl Sink>) -> usize {
        let mut lines = bytes;
        if self.skipping {
            match memchr(b'\n', lines) {
                Some(end) => {
                    self.skipping = false;
                    lines = lines.get(end + 1..).unwrap_or_default();
                }
                None => return bytes.len(),
            }
        }
        let complete = memrchr(b'\n', lines).map_or(0, |at| at + 1);
        let (lines, rest) = lines.split_at_checked(complete).unwrap_or((lines, &[]));
        let done = complete_lines(lines, out);
        if done < lines.len() {
            return bytes.len() - rest.len() - lines.len() + done;
        }
        if rest.len() > LINE_MAX_BYTES {
            self.skipping = true;
            out.invalid(rest, InvalidLine::TooLong);
            return bytes.len();
        }
        bytes.len() - rest.len()
    }

    /// Takes the last line, which has no newline.
    pub fn finish(&mut self, rest: Vec<u8>, out: &mut Out<'_, impl Sink>) {
        if self.skipping || rest.is_empty() {
            return;
        }
        let mut last = rest;
        last.push(b'\n');
        complete_lines(&last, out);
    }
}

/// Takes lines, each with its newline, until there are no more or the sink is full; returns how many bytes it is done
/// with.
fn complete_lines(bytes: &[u8], out: &mut Out<'_, impl Sink>) -> usize {
    // One check for all lines: it costs a fraction of one per line, and is nearly always true.
    let all_utf8 = simdutf8::basic::from_utf8(bytes).is_ok();
    let mut fields = vec![None; out.projection.names().len()];
    let mut rest = bytes;
    while let Some(end) = memchr(b'\n', rest) {
        if out.is_full() {
            break;
        }
        let (line, after) = (
            rest.get(..end).unwrap_or_default(),
            rest.get(end + 1..).unwrap_or_default(),
        );
        rest = after;
        let verdict = if line.len() > LINE_MAX_BYTES {
            Err(InvalidLine::TooLong)
        } else if line.trim_ascii().is_empty() {
            *out.number += 1;
            continue;
        } else if !all_utf8 && simdutf8::basic::from_utf8(line).is_err() {
            Err(InvalidLine::NotUtf8)
        } else {
            scan(line, out.projection, &mut fields)
        };
        match verdict {
            Ok(()) => out.record(line, &fields),
            Err(reason) => out.invalid(line, reason),
        }
    }
    bytes.len() - rest.len()
}
