//! JSON values that are not one a line: the elements of an array, of an array inside an object, or objects one behind
//! the other, over as many lines as they like. Each becomes one line.
//!
//! Commas between values are not insisted on. What is no value is given up as early and as locally as can be told, so that
//! the records around it are found:
//!
//! - A value that breaks ends at its own closing bracket, counted from where it broke; or before a line that begins with
//!   `{` and is indented no further than the line on which the value began; or, when the bracket of the enclosing array
//!   comes up, before that.
//! - Anything else ends before the next bracket, comma or newline.

use super::out::Out;
use super::reader::Sink;
use super::scan::InvalidLine;
use super::tracker::{Event, Line, Tracker, is_space};
use crate::limits::LINE_MAX_BYTES;

/// What encloses the values.
#[derive(Debug)]
enum Outer {
    Nothing,
    Array,
    /// An array that is a member of an object; the tracker follows the object, and stands in the array.
    Member(Tracker),
}

/// A value that broke.
#[derive(Debug)]
struct Wreck {
    reason: InvalidLine,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    /// Of the line on which the value began.
    indent: usize,
}

#[derive(Debug)]
enum State {
    Between,
    /// In something that begins like no string, object or array.
    Run,
    Value(Tracker),
    /// In an object that may have the member which holds the records.
    Wrapper {
        tracker: Tracker,
        /// Where the latest key begins, from the beginning of the object.
        key: usize,
        is_member: bool,
    },
    /// Behind the array, in the rest of the object around it.
    Tail(Tracker),
    Wreck(Wreck),
}

/// Cuts values.
#[derive(Debug)]
pub(super) struct Values {
    /// The member that holds the records, as its key is written.
    member: Option<Vec<u8>>,
    outer: Outer,
    state: State,
    line: Line,
    /// Indentation of the line on which the current value began.
    indent: usize,
    /// The current value began with `{`.
    is_object: bool,
    /// Bytes at the head of what comes next that were looked at already.
    seen: usize,
    /// The current value was given up as too long; its rest is skipped.
    is_skipping: bool,
}

impl Values {
    /// Values in the open or in an array; or, of objects, the values of the array that is their member of this name.
    pub fn new(member: Option<Vec<u8>>) -> Self {
        Self {
            member,
            outer: Outer::Nothing,
            state: State::Between,
            line: Line::default(),
            indent: 0,
            is_object: false,
            seen: 0,
            is_skipping: false,
        }
    }

    /// Takes the complete values of `bytes` and returns how many bytes it is done with; the others come again, in front
    /// of what follows them.
    pub fn take(&mut self, bytes: &[u8], out: &mut Out<'_, impl Sink>) -> usize {
        let (mut from, mut at) = (0, self.seen);
        while at < bytes.len() {
            if matches!(self.state, State::Between) && out.is_full() {
                self.seen = 0;
                return at;
            }
            (from, at) = self.step(bytes, from, at, out);
        }
        match self.state {
            State::Between | State::Tail(_) => from = bytes.len(),
            _ => {
                let pending = bytes.get(from..).unwrap_or_default();
                if self.is_skipping {
                    from = bytes.len();
                } else if pending.len() > LINE_MAX_BYTES {
                    out.invalid(pending, InvalidLine::TooLong);
                    self.is_skipping = true;
                    from = bytes.len();
                }
            }
        }
        self.seen = bytes.len() - from;
        from
    }

    /// Ends the batch; `rest` is what [`Self::take`] was not done with.
    pub fn finish(&mut self, rest: &[u8], out: &mut Out<'_, impl Sink>) {
        let is_open = !matches!(self.outer, Outer::Nothing) || matches!(self.state, State::Tail(_));
        match std::mem::replace(&mut self.state, State::Between) {
            State::Between | State::Tail(_) => {
                if is_open {
                    out.invalid(b"", InvalidLine::CutOff);
                }
            }
            State::Run => self.emit(rest, None, out),
            State::Wreck(wreck) => self.emit(rest, Some(wreck.reason), out),
            State::Value(_) | State::Wrapper { .. } => {
                self.emit(rest, Some(InvalidLine::NotJson), out);
            }
        }
    }

    /// Goes on from `at`, in what began at `from`; returns both anew.
    fn step(
        &mut self,
        bytes: &[u8],
        from: usize,
        at: usize,
        out: &mut Out<'_, impl Sink>,
    ) -> (usize, usize) {
        let byte = bytes.get(at).copied().unwrap_or_default();
        match std::mem::replace(&mut self.state, State::Between) {
            State::Between => self.begin(byte, at),
            State::Run => {
                if matches!(byte, b'{' | b'[' | b']' | b',' | b'\n') {
                    self.emit(bytes.get(from..at).unwrap_or_default(), None, out);
                    (at, at)
                } else {
                    self.state = State::Run;
                    (from, at + 1)
                }
            }
            State::Value(mut tracker) => {
                let (at, event) = tracker.run(bytes, at, &mut self.line);
                match event {
                    Event::Done => {
                        self.emit(bytes.get(from..=at).unwrap_or_default(), None, out);
                        (at + 1, at + 1)
                    }
                    Event::Broken(reason) => {
                        self.wreck(&tracker, reason);
                        (from, at)
                    }
                    _ => {
                        self.state = State::Value(tracker);
                        (from, at)
                    }
                }
            }
            State::Wrapper {
                tracker,
                key,
                is_member,
            } => self.wrapper(tracker, key, is_member, bytes, from, at, out),
            State::Tail(mut tracker) => {
                let was_in_string = tracker.is_in_string();
                match tracker.push(byte) {
                    // Whatever this is, it stands outside of the object now.
                    Event::Broken(_) => (at, at),
                    event => {
                        if !was_in_string {
                            self.line.see(byte);
                        }
                        if event != Event::Done {
                            self.state = State::Tail(tracker);
                        }
                        (at + 1, at + 1)
                    }
                }
            }
            State::Wreck(wreck) => self.in_wreck(wreck, bytes, from, at, out),
        }
    }

    /// Where a value is expected.
    fn begin(&mut self, byte: u8, at: usize) -> (usize, usize) {
        if is_space(byte) || byte == b',' {
            self.line.see(byte);
            return (at + 1, at + 1);
        }
        self.is_skipping = false;
        self.indent = self.line.indent;
        self.is_object = byte == b'{';
        match (byte, &self.outer) {
            (b']', Outer::Array | Outer::Member(_)) => {
                self.line.see(byte);
                if let Outer::Member(mut tracker) =
                    std::mem::replace(&mut self.outer, Outer::Nothing)
                {
                    tracker.push(byte);
                    self.state = State::Tail(tracker);
                }
                (at + 1, at + 1)
            }
            (b'[', Outer::Nothing) => {
                self.line.see(byte);
                self.outer = Outer::Array;
                (at + 1, at + 1)
            }
            (b'{', Outer::Nothing) if self.member.is_some() => {
                self.state = State::Wrapper {
                    tracker: Tracker::new(),
                    key: 0,
                    is_member: false,
                };
                (at, at)
            }
            (b'{' | b'[' | b'"', _) => {
                self.state = State::Value(Tracker::new());
                (at, at)
            }
            _ => {
                self.line.see(byte);
                self.state = State::Run;
                (at, at + 1)
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a state, taken apart"
    )]
    fn wrapper(
        &mut self,
        mut tracker: Tracker,
        mut key: usize,
        mut is_member: bool,
        bytes: &[u8],
        from: usize,
        at: usize,
        out: &mut Out<'_, impl Sink>,
    ) -> (usize, usize) {
        let byte = bytes.get(at).copied().unwrap_or_default();
        let (was_in_string, depth) = (tracker.is_in_string(), tracker.depth());
        let event = tracker.push(byte);
        if let Event::Broken(reason) = event {
            self.wreck(&tracker, reason);
            return (from, at);
        }
        if !was_in_string {
            self.line.see(byte);
        }
        match event {
            Event::Done => {
                self.emit(bytes.get(from..=at).unwrap_or_default(), None, out);
                return (at + 1, at + 1);
            }
            Event::KeyOpens if depth == 1 => key = at + 1 - from,
            // Of an object that is too long, the bytes of the key are gone: it is no wrapper.
            Event::KeyCloses if depth == 1 => {
                let name = bytes.get(from + key..at).filter(|_| !self.is_skipping);
                is_member = name.is_some() && name == self.member.as_deref();
            }
            Event::Opened if depth == 1 && is_member && byte == b'[' => {
                self.outer = Outer::Member(tracker);
                return (at + 1, at + 1);
            }
            _ => {}
        }
        self.state = State::Wrapper {
            tracker,
            key,
            is_member,
        };
        (from, at + 1)
    }

    /// Gives a value up, before the byte that broke it.
    fn wreck(&mut self, tracker: &Tracker, reason: InvalidLine) {
        self.state = State::Wreck(Wreck {
            reason,
            depth: tracker.depth(),
            in_string: tracker.is_in_string(),
            is_escaped: false,
            indent: self.indent,
        });
    }

    /// Looks for the end of a value that broke.
    fn in_wreck(
        &mut self,
        mut wreck: Wreck,
        bytes: &[u8],
        from: usize,
        at: usize,
        out: &mut Out<'_, impl Sink>,
    ) -> (usize, usize) {
        let byte = bytes.get(at).copied().unwrap_or_default();
        let is_in_array = !matches!(self.outer, Outer::Nothing);
        // Where the wreck ends, if it does: before or behind this byte.
        let mut end = None;
        if wreck.in_string {
            match byte {
                // No string goes over a newline.
                b'\n' => {
                    wreck.in_string = false;
                    self.line.see(byte);
                }
                _ if wreck.is_escaped => wreck.is_escaped = false,
                b'\\' => wreck.is_escaped = true,
                b'"' => wreck.in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'{' if self.line.is_blank && self.line.indent <= wreck.indent => end = Some(at),
                b']' if wreck.depth == 1 && self.is_object && is_in_array => end = Some(at),
                b'{' | b'[' => wreck.depth += 1,
                b'}' | b']' => wreck.depth = wreck.depth.saturating_sub(1),
                b'"' => wreck.in_string = true,
                _ => {}
            }
            if end.is_none() {
                self.line.see(byte);
            }
        }
        if wreck.depth == 0 && !wreck.in_string {
            end = end.or(Some(at + 1));
        }
        match end {
            Some(end) => {
                let text = bytes.get(from..end).unwrap_or_default();
                self.emit(text, Some(wreck.reason), out);
                (end, end)
            }
            None => {
                self.state = State::Wreck(wreck);
                (from, at + 1)
            }
        }
    }

    /// Gives out a value, or what there was instead of one.
    fn emit(&mut self, text: &[u8], reason: Option<InvalidLine>, out: &mut Out<'_, impl Sink>) {
        if std::mem::take(&mut self.is_skipping) {
            return;
        }
        if text.len() > LINE_MAX_BYTES {
            out.invalid(text, InvalidLine::TooLong);
            return;
        }
        match reason {
            Some(reason) => {
                let separator = |byte: &u8| is_space(*byte) || *byte == b',';
                let kept = text.iter().rposition(|byte| !separator(byte));
                let kept = kept.map_or(0, |last| last + 1);
                out.invalid(text.get(..kept).unwrap_or_default(), reason);
            }
            None => out.value(text.trim_ascii()),
        }
    }
}
