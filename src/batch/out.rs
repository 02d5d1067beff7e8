//! What was found goes through here: it is checked, counted, numbered and given to the sink.

use super::projection::Projection;
use super::reader::{Meter, Sink};
use super::scan::{InvalidLine, scan};
use super::tracker::is_space;
use crate::limits::{LINE_MAX_BYTES, QUARANTINE_LINE_BYTES};
use memchr::memchr2;

/// The sink of a batch, with its counters.
pub(super) struct Out<'a, S> {
    pub sink: &'a mut S,
    pub projection: &'a Projection,
    pub meter: &'a mut Meter,
    /// Lines, rows or elements so far.
    pub number: &'a mut u64,
    /// More can follow when the sink was emptied.
    pub may_stop: bool,
}

impl<S: Sink> Out<'_, S> {
    /// Takes what stands where a record is expected. Line breaks inside are taken out: in a JSON text they can only stand
    /// between tokens.
    pub fn value(&mut self, value: &[u8]) {
        if value.len() <= LINE_MAX_BYTES && memchr2(b'\n', b'\r', value).is_some() {
            let line = on_one_line(value);
            let mut fields = vec![None; self.projection.names().len()];
            match self.verdict(&line, &mut fields) {
                Ok(()) => self.record(&line, &fields),
                Err(reason) => self.invalid(value, reason),
            }
            return;
        }
        let mut fields = vec![None; self.projection.names().len()];
        match self.verdict(value, &mut fields) {
            Ok(()) => self.record(value, &fields),
            Err(reason) => self.invalid(value, reason),
        }
    }

    /// True when nothing more is to be given to the sink now: small records may be written out at many times their size,
    /// so a window of them is not taken at once.
    pub fn is_full(&self) -> bool {
        self.may_stop && self.sink.is_full()
    }

    /// Whether a line is a record, with its fields.
    pub fn verdict<'b>(
        &self,
        line: &'b [u8],
        fields: &mut [Option<&'b [u8]>],
    ) -> Result<(), InvalidLine> {
        if line.len() > LINE_MAX_BYTES {
            Err(InvalidLine::TooLong)
        } else if simdutf8::basic::from_utf8(line).is_err() {
            Err(InvalidLine::NotUtf8)
        } else {
            scan(line, self.projection, fields)
        }
    }

    /// Takes a record.
    pub fn record(&mut self, line: &[u8], fields: &[Option<&[u8]>]) {
        *self.number += 1;
        self.meter.records += 1;
        self.sink.record(line, fields);
    }

    /// Takes what is none.
    pub fn invalid(&mut self, text: &[u8], reason: InvalidLine) {
        *self.number += 1;
        self.meter.invalid_lines += 1;
        let kept = text.len().min(QUARANTINE_LINE_BYTES);
        self.sink
            .invalid(*self.number, text.get(..kept).unwrap_or_default(), reason);
    }
}

/// Without line breaks and the indentation behind them. Only for what has no line breaks in its strings, as JSON demands.
pub fn on_one_line(value: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(end) = memchr2(b'\n', b'\r', rest) {
        line.extend_from_slice(rest.get(..end).unwrap_or_default());
        let space = rest.get(end..).unwrap_or_default();
        let next = space.iter().position(|byte| !is_space(*byte));
        rest = next.and_then(|next| space.get(next..)).unwrap_or_default();
    }
    line.extend_from_slice(rest);
    line
}
