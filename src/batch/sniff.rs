//! What form a batch has, told by its first value. NDJSON, unless something else is certain:
//!
//! 1. CSV, when the address announces it: always with `output_type=csv`, otherwise when the first byte is neither `{` nor
//!    `[`. (White space in front is never looked at.)
//! 2. `[` and behind it `{`, `[` or `]`, or one whole scalar and a comma: an array.
//! 3. `{`: the first object is followed to its end.
//!    - It ends on its first line. If the line ends, too, the batch is NDJSON, unless the next line begins with a comma
//!      (values) or nothing else comes (see below). If `{` or `,` follows on the same line: values.
//!    - A line break stands inside. As soon as a member is an array of objects that can hold records: an object around
//!      an array. If there is none: values.
//!    - It breaks, or is longer than a record may be: as far as it was certain to be an object around an array, that;
//!      otherwise NDJSON.
//! 4. Anything else is NDJSON.
//!
//! An array of objects *can hold records* when neither its key nor one in front of it is a field of the dataset, if the
//! catalogue has the dataset; for an unknown dataset, when its first object is followed by a comma or a bracket. Where one
//! object on one line is the whole batch, the array must also be its only member, or its first object must begin with
//! a field of the dataset: a batch of one record with a list in it is NDJSON.

use super::incoming::Incoming;
use super::tracker::{Event, Tracker, is_space};
use crate::limits::{FORM_KEYS_MAX, LINE_MAX_BYTES};
use crate::logpush::catalogue::Dataset;

/// The form of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Lines,
    /// JSON values; of objects, those in the member of this name.
    Values(Option<Vec<u8>>),
    /// CSV.
    Rows,
}

/// An array of objects in the first object.
#[derive(Debug)]
struct Candidate {
    key: Vec<u8>,
    /// Its first object is whole, and a comma or a bracket follows.
    is_firm: bool,
    /// The first key of its first object.
    inner_key: Option<Vec<u8>>,
}

/// Looks at the beginning of a batch until its form is certain.
#[derive(Debug)]
pub(super) struct Sniffer {
    incoming: Incoming,
    tracker: Tracker,
    /// Bytes that were looked at.
    seen: usize,
    /// Where the first value begins, once it does.
    start: Option<usize>,
    key_start: usize,
    keys: Vec<Vec<u8>>,
    candidate: Option<Candidate>,
    /// An array opened as a member of the object; what is its first element?
    awaits_element: bool,
    /// The first object of the candidate ended; what follows?
    awaits_separator: bool,
    is_ended: bool,
    has_break_inside: bool,
    has_break_behind: bool,
    /// One of the keys is a field of the dataset: this is a record.
    is_record: bool,
    schema: Option<Option<Dataset>>,
}

impl Sniffer {
    pub fn new(incoming: Incoming) -> Self {
        Self {
            incoming,
            tracker: Tracker::new(),
            seen: 0,
            start: None,
            key_start: 0,
            keys: Vec::new(),
            candidate: None,
            awaits_element: false,
            awaits_separator: false,
            is_ended: false,
            has_break_inside: false,
            has_break_behind: false,
            is_record: false,
            schema: None,
        }
    }

    /// What was known before.
    pub fn into_incoming(self) -> Incoming {
        self.incoming
    }

    /// Bytes of blank lines that `bytes` begins with, if that is all there is: they matter in no form.
    pub fn blank_lines(&self, bytes: &[u8]) -> usize {
        if self.start.is_some() || self.incoming.csv.is_some() {
            return 0;
        }
        let blank = bytes.iter().position(|byte| !is_space(*byte));
        let blank = bytes.get(..blank.unwrap_or(bytes.len()));
        memchr::memrchr(b'\n', blank.unwrap_or_default()).map_or(0, |at| at + 1)
    }

    /// Looks at the batch so far, of which `bytes` is all, and says what it is once that is certain; `is_whole`: nothing
    /// more will come.
    pub fn look(&mut self, bytes: &[u8], is_whole: bool) -> Option<Verdict> {
        let csv = self.incoming.csv.as_ref().map(|csv| csv.is_certain);
        if csv == Some(true) {
            return Some(Verdict::Rows);
        }
        if self.start.is_none() {
            self.start = bytes.iter().position(|byte| !is_space(*byte));
            self.seen = self.start.unwrap_or_default();
        }
        let Some(start) = self.start else {
            let is_enough = is_whole || bytes.len() > LINE_MAX_BYTES;
            return is_enough.then_some(Verdict::Lines);
        };
        let first = bytes.get(start).copied();
        match (first, csv) {
            (Some(b'{' | b'['), _) => {}
            (_, Some(_)) => return Some(Verdict::Rows),
            _ => return Some(Verdict::Lines),
        }
        while let Some(&byte) = bytes.get(self.seen) {
            let verdict = if self.seen - start > LINE_MAX_BYTES {
                Some(self.too_long())
            } else if first == Some(b'[') {
                self.array(byte)
            } else if self.is_ended {
                self.behind(byte)
            } else {
                self.object(byte, bytes)
            };
            if verdict.is_some() {
                return verdict;
            }
            self.seen += 1;
        }
        is_whole.then(|| self.whole())
    }

    fn array(&mut self, byte: u8) -> Option<Verdict> {
        let is_first = self.tracker.depth() == 1 && self.tracker.wants_value();
        if is_first && matches!(byte, b'{' | b'[' | b']') {
            return Some(Verdict::Values(None));
        }
        match self.tracker.push(byte) {
            Event::Broken(_) | Event::Done => Some(Verdict::Lines),
            _ if byte == b',' && self.tracker.wants_value() => Some(Verdict::Values(None)),
            _ => None,
        }
    }

    /// Inside of the first object.
    fn object(&mut self, byte: u8, bytes: &[u8]) -> Option<Verdict> {
        let depth = self.tracker.depth();
        let event = self.tracker.push(byte);
        if let Event::Broken(_) = event {
            let is_certain = self.candidate.is_some() && self.can_hold_records() == Some(true);
            return Some(self.values_or_lines(is_certain));
        }
        if self.awaits_separator && !is_space(byte) {
            self.awaits_separator = false;
            if let Some(candidate) = &mut self.candidate {
                candidate.is_firm = true;
            }
        }
        if self.awaits_element && !is_space(byte) {
            self.awaits_element = false;
            if byte == b'{' {
                self.candidate = Some(Candidate {
                    key: self.keys.last().cloned().unwrap_or_default(),
                    is_firm: false,
                    inner_key: None,
                });
            }
        }
        match event {
            Event::KeyOpens => self.key_start = self.seen + 1,
            Event::KeyCloses if depth == 1 && self.keys.len() < FORM_KEYS_MAX => {
                self.keys.push(self.key(bytes));
            }
            Event::KeyCloses if depth == 1 => self.is_record = true,
            Event::KeyCloses if depth == 3 => {
                let key = self.key(bytes);
                if let Some(candidate) = &mut self.candidate {
                    candidate.inner_key.get_or_insert(key);
                }
            }
            Event::Opened => {
                self.awaits_element = depth == 1 && byte == b'[' && self.candidate.is_none();
            }
            Event::Closed if depth == 3 && byte == b'}' => {
                let candidate = self.candidate.as_ref();
                self.awaits_separator = candidate.is_some_and(|candidate| !candidate.is_firm);
            }
            Event::Done => {
                self.is_ended = true;
                return self.has_break_inside.then_some(Verdict::Values(None));
            }
            // Outside of strings: a string that held one would be broken.
            _ if byte == b'\n' => self.has_break_inside = true,
            _ => {}
        }
        if self.has_break_inside && self.candidate.is_some() && !self.is_record {
            let is_firm = self.candidate.as_ref().is_some_and(|array| array.is_firm);
            match self.can_hold_records() {
                Some(true) => return Some(self.values_or_lines(true)),
                None if is_firm => return Some(self.values_or_lines(true)),
                _ => {}
            }
        }
        None
    }

    /// Behind the first object, which stands on one line.
    fn behind(&mut self, byte: u8) -> Option<Verdict> {
        match byte {
            b'\n' => {
                self.has_break_behind = true;
                None
            }
            _ if is_space(byte) => None,
            b',' => Some(Verdict::Values(None)),
            b'{' if !self.has_break_behind => Some(Verdict::Values(None)),
            _ => Some(Verdict::Lines),
        }
    }

    /// No record is as long as what was seen.
    fn too_long(&mut self) -> Verdict {
        let is_open = !self.is_ended && self.candidate.is_some();
        let can_hold = is_open && self.can_hold_records() != Some(false);
        self.values_or_lines(can_hold)
    }

    /// There is nothing but what was seen.
    fn whole(&mut self) -> Verdict {
        let known = self.can_hold_records();
        let Some(candidate) = &self.candidate else {
            return Verdict::Lines;
        };
        let is_only = self.keys.len() == 1;
        let can_hold = match known {
            Some(false) => false,
            // It broke off.
            _ if !self.is_ended => known == Some(true) || (candidate.is_firm && is_only),
            _ => {
                let begins_with_field = candidate.inner_key.as_ref().is_some_and(|key| {
                    let schema = self.schema.as_ref().and_then(Option::as_ref);
                    schema.is_some_and(|schema| is_field(schema, key))
                });
                is_only || begins_with_field
            }
        };
        self.values_or_lines(can_hold)
    }

    fn values_or_lines(&mut self, is_around_array: bool) -> Verdict {
        match self.candidate.take() {
            Some(candidate) if is_around_array => Verdict::Values(Some(candidate.key)),
            _ => Verdict::Lines,
        }
    }

    /// Whether the candidate can hold records, by what the catalogue says of the keys; `None` for an unknown dataset.
    fn can_hold_records(&mut self) -> Option<bool> {
        if self.candidate.is_none() || self.is_record {
            return Some(false);
        }
        let incoming = &self.incoming;
        let schema = self.schema.get_or_insert_with(|| incoming.schema());
        let schema = schema.as_ref()?;
        self.is_record = self.keys.iter().any(|key| is_field(schema, key));
        Some(!self.is_record)
    }

    fn key(&self, bytes: &[u8]) -> Vec<u8> {
        let key = bytes.get(self.key_start..self.seen);
        key.unwrap_or_default().to_vec()
    }
}

fn is_field(schema: &Dataset, key: &[u8]) -> bool {
    std::str::from_utf8(key).is_ok_and(|key| schema.fields.contains_key(key))
}
