//! NDJSON: a record a line. What nearly every batch is, so nothing here is done twice.

use super::layout::Layout;
use super::out::Out;
use super::reader::Sink;
use super::scan::InvalidLine;
use crate::limits::LINE_MAX_BYTES;
use memchr::{memchr, memrchr};

/// Cuts lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Inside a line past the cap: its rest is skipped up to the next newline.
    skipping: bool,
    layout: Layout,
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
        let done = self.complete(lines, out);
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
        self.complete(&last, out);
    }

    /// Takes lines, each with its newline, until there are no more or the sink is full; returns how many bytes it is done
    /// with.
    fn complete(&mut self, bytes: &[u8], out: &mut Out<'_, impl Sink>) -> usize {
        self.layout.expect(out.projection);
        let mut fields = vec![None; out.projection.names().len()];
        let mut rest = bytes;
        while !rest.is_empty() && !out.is_full() {
            if let Some(length) = self.layout.scan(rest, &mut fields) {
                let (line, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                out.record(line, &fields);
                rest = after.get(1..).unwrap_or_default();
                continue;
            }
            let Some(end) = memchr(b'\n', rest) else {
                break;
            };
            let line = rest.get(..end).unwrap_or_default();
            rest = rest.get(end + 1..).unwrap_or_default();
            if line.len() <= LINE_MAX_BYTES && line.trim_ascii().is_empty() {
                *out.number += 1;
                continue;
            }
            match out.verdict(line, &mut fields) {
                Ok(()) => {
                    out.record(line, &fields);
                    self.layout.missed(line, out.projection);
                }
                Err(reason) => out.invalid(line, reason),
            }
            // The layout writes into its own slots only.
            fields.fill(None);
        }
        bytes.len() - rest.len()
    }
}
