//! Where one JSON value ends, found while its bytes arrive. Knows brackets, strings and what may follow what; the exact
//! form of numbers, literals and escapes is checked later, by [`super::scan`], when the value is whole.

use super::scan::{DEPTH_MAX, InvalidLine};
use memchr::memchr3;

/// What a byte did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing that matters outside.
    Go,
    /// A key's quote opened; the key begins behind it.
    KeyOpens,
    /// A key's quote closed.
    KeyCloses,
    /// An object or array opened; it counts in the depth already.
    Opened,
    /// An object or array closed, and something is still open.
    Closed,
    /// The value ended with this byte.
    Done,
    /// This byte can not stand here; it was not taken.
    Broken(InvalidLine),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    /// Behind `[`.
    ValueOrClose,
    /// Behind `{`.
    KeyOrClose,
    /// Behind a comma in an object.
    Key,
    Colon,
    /// Behind a value.
    After,
    InString {
        is_key: bool,
    },
    Escape {
        is_key: bool,
    },
    /// In a number or a literal.
    Scalar,
}

/// How far the current line is indented.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Spaces and tabs that it begins with.
    pub indent: usize,
    /// Nothing but spaces and commas came on it so far.
    pub is_blank: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            indent: 0,
            is_blank: true,
        }
    }
}

impl Line {
    /// Takes a byte that stands outside strings.
    #[inline]
    pub fn see(&mut self, byte: u8) {
        match byte {
            b'\n' => *self = Self::default(),
            b' ' | b'\t' if self.is_blank => self.indent += 1,
            b' ' | b'\t' | b'\r' | b',' => {}
            _ => self.is_blank = false,
        }
    }
}

/// Follows one value.
#[derive(Debug, Clone)]
pub(super) struct Tracker {
    state: State,
    depth: usize,
    /// One bit a level, the innermost lowest: set for an object. [`DEPTH_MAX`] levels fit.
    kinds: u128,
}

impl Tracker {
    /// At the first byte of a value.
    pub fn new() -> Self {
        Self {
            state: State::Value,
            depth: 0,
            kinds: 0,
        }
    }

    /// Objects and arrays that are open.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Inside a string.
    pub fn is_in_string(&self) -> bool {
        matches!(self.state, State::InString { .. } | State::Escape { .. })
    }

    /// Behind a comma or a bracket or a colon: a value comes next.
    pub fn wants_value(&self) -> bool {
        matches!(self.state, State::Value | State::ValueOrClose)
    }

    /// Takes bytes from `at` on, up to the first that is an end, and returns where it stands and what it was.
    pub fn run(&mut self, bytes: &[u8], at: usize, line: &mut Line) -> (usize, Event) {
        let mut at = at;
        while let Some(&byte) = bytes.get(at) {
            if let State::InString { .. } = self.state {
                let rest = bytes.get(at..).unwrap_or_default();
                let Some(stop) = memchr3(b'"', b'\\', b'\n', rest) else {
                    return (bytes.len(), Event::Go);
                };
                at += stop;
                match self.push(rest.get(stop).copied().unwrap_or_default()) {
                    end @ (Event::Done | Event::Broken(_)) => return (at, end),
                    _ => at += 1,
                }
                continue;
            }
            match self.push(byte) {
                Event::Broken(reason) => return (at, Event::Broken(reason)),
                Event::Done => {
                    line.see(byte);
                    return (at, Event::Done);
                }
                _ => {
                    line.see(byte);
                    at += 1;
                }
            }
        }
        (at, Event::Go)
    }

    /// Takes one byte.
    #[inline]
    pub fn push(&mut self, byte: u8) -> Event {
        match self.state {
            State::InString { is_key } => {
                return match byte {
                    b'"' if is_key => {
                        self.state = State::Colon;
                        Event::KeyCloses
                    }
                    b'"' => self.ended(),
                    b'\\' => self.to(State::Escape { is_key }),
                    b'\n' => Event::Broken(InvalidLine::NotJson),
                    _ => Event::Go,
                };
            }
            State::Escape { .. } if byte == b'\n' => return Event::Broken(InvalidLine::NotJson),
            State::Escape { is_key } => return self.to(State::InString { is_key }),
            State::Scalar if is_of_scalar(byte) => return Event::Go,
            State::Scalar => self.state = State::After,
            _ => {}
        }
        if is_space(byte) {
            return Event::Go;
        }
        match self.state {
            State::Value | State::ValueOrClose => match byte {
                b'{' | b'[' => self.open(byte == b'{'),
                b'"' => self.to(State::InString { is_key: false }),
                b']' if self.state == State::ValueOrClose => self.close(byte),
                _ if is_of_scalar(byte) => self.to(State::Scalar),
                _ => Event::Broken(InvalidLine::NotJson),
            },
            State::KeyOrClose | State::Key => match byte {
                b'"' => {
                    self.state = State::InString { is_key: true };
                    Event::KeyOpens
                }
                b'}' if self.state == State::KeyOrClose => self.close(byte),
                _ => Event::Broken(InvalidLine::NotJson),
            },
            State::Colon if byte == b':' => self.to(State::Value),
            State::After => match byte {
                b',' if self.is_in_object() => self.to(State::Key),
                b',' => self.to(State::Value),
                b'}' | b']' => self.close(byte),
                _ => Event::Broken(InvalidLine::NotJson),
            },
            // The rest was dealt with above.
            _ => Event::Broken(InvalidLine::NotJson),
        }
    }

    fn to(&mut self, state: State) -> Event {
        self.state = state;
        Event::Go
    }

    fn is_in_object(&self) -> bool {
        self.kinds & 1 == 1
    }

    fn open(&mut self, is_object: bool) -> Event {
        if self.depth == DEPTH_MAX {
            return Event::Broken(InvalidLine::TooDeep);
        }
        self.depth += 1;
        self.kinds = self.kinds << 1 | u128::from(is_object);
        self.state = if is_object {
            State::KeyOrClose
        } else {
            State::ValueOrClose
        };
        Event::Opened
    }

    fn close(&mut self, byte: u8) -> Event {
        if self.depth == 0 || self.is_in_object() != (byte == b'}') {
            return Event::Broken(InvalidLine::NotJson);
        }
        self.depth -= 1;
        self.kinds >>= 1;
        match self.ended() {
            Event::Done => Event::Done,
            _ => Event::Closed,
        }
    }

    fn ended(&mut self) -> Event {
        self.state = State::After;
        if self.depth == 0 {
            Event::Done
        } else {
            Event::Go
        }
    }
}

/// White space as JSON knows it.
#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[inline]
fn is_of_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}
