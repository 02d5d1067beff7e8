//! Lines that have the same keys in the same order as the one before them, which in a batch of Logpush's is every line.
//!
//! The keys are compared, not read, and the line is cut, checked and projected in one pass. What is not exactly as
//! expected is left to the plain way ([`super::scan`]), which alone says what is wrong with a line: nothing is accepted
//! here that it would refuse, and nothing is refused here at all.

use super::lanes::{LANE, Lane};
use super::projection::Projection;
use super::scan::{Cursor, unescaped_key};
use crate::limits::LINE_MAX_BYTES;

/// Longest key that is remembered, with what stands around it: `,"` and `":`. Logpush's have up to 40 bytes.
const KEY_MAX_BYTES: usize = 3 * LANE;

/// Lines in a row that are not as remembered before others are remembered; twice as many each time, up to this. So a batch
/// in which no two lines are alike costs little more than without.
const PATIENCE_MAX: u32 = 64;

/// A key as it is written, with what stands around it.
#[derive(Debug)]
struct Key {
    length: usize,
    head: [u8; LANE],
    /// Which bytes of the head count.
    head_mask: u32,
    /// For those longer than two lanes.
    middle: [u8; LANE],
    /// The last bytes; some of them are in the head or the middle, too. Unused when the head is enough.
    tail: [u8; LANE],
    /// Where its value goes, if somebody wants it.
    slot: Option<usize>,
}

impl Key {
    fn new(text: &[u8], slot: Option<usize>) -> Option<Self> {
        if text.len() > KEY_MAX_BYTES {
            return None;
        }
        let lane = |from: usize| {
            let mut lane = [0; LANE];
            for (byte, of) in lane.iter_mut().zip(text.get(from..).unwrap_or_default()) {
                *byte = *of;
            }
            lane
        };
        Some(Self {
            length: text.len(),
            head: lane(0),
            head_mask: (1 << text.len().min(LANE)) - 1,
            middle: lane(LANE),
            tail: lane(text.len().saturating_sub(LANE)),
            slot,
        })
    }

    /// Where the value begins, if this key stands at `at`.
    #[inline(always)]
    fn behind(&self, bytes: &[u8], at: usize) -> Option<usize> {
        const ALL: u32 = (1 << LANE) - 1;
        let is_at = |lane: &[u8; LANE], at: usize| {
            Some(Lane::load(bytes, at)?.equal(Lane::of(lane)) == ALL)
        };
        let end = at + self.length;
        let head = Lane::load(bytes, at)?.equal(Lane::of(&self.head));
        let is_equal = head & self.head_mask == self.head_mask
            && (self.length <= LANE || is_at(&self.tail, end - LANE)?)
            && (self.length <= 2 * LANE || is_at(&self.middle, at + LANE)?);
        is_equal.then_some(end)
    }
}

/// How the lines are expected to look.
#[derive(Debug, Default)]
pub(super) struct Layout {
    keys: Vec<Key>,
    /// What the slots were looked up in.
    names: Vec<String>,
    /// Lines in a row that were not like this.
    misses: u32,
    patience: u32,
}

impl Layout {
    /// Forgets what was found with another projection.
    pub fn expect(&mut self, projection: &Projection) {
        if self.names != projection.names() {
            *self = Self {
                names: projection.names().to_vec(),
                ..Self::default()
            };
        }
    }

    /// Reads the line that `bytes` begin with, if it is a record as expected and ends with a newline, and returns its
    /// length. Writes into the slots of its keys only; after a `None` they may hold anything.
    #[inline]
    pub fn scan<'a>(&mut self, bytes: &'a [u8], fields: &mut [Option<&'a [u8]>]) -> Option<usize> {
        let length = self.line(bytes, fields)?;
        self.misses = 0;
        Some(length)
    }

    fn line<'a>(&self, bytes: &'a [u8], fields: &mut [Option<&'a [u8]>]) -> Option<usize> {
        let mut at = 0;
        // All lanes of strings, one on another: bytes beyond the strings may be among them, which only costs a check.
        let mut seen = Lane::of(&[0; LANE]);
        let mut has_high = false;
        for key in &self.keys {
            let start = key.behind(bytes, at)?;
            at = match bytes.get(start)? {
                b'"' => string(bytes, start + 1, &mut seen)?,
                b'0'..=b'9' | b'-' => number(bytes, start)?,
                _ => {
                    let mut cursor = Cursor { bytes, at: start };
                    cursor.skip_value(1).ok()?;
                    has_high |= !bytes.get(start..cursor.at)?.is_ascii();
                    cursor.at
                }
            };
            if let Some(slot) = key.slot
                && let Some(field) = fields.get_mut(slot)
            {
                *field = bytes.get(start..at);
            }
        }
        let is_record = at > 0
            && bytes.get(at..)?.starts_with(b"}\n")
            && at < LINE_MAX_BYTES
            && (!(has_high || seen.has_high())
                || simdutf8::basic::from_utf8(bytes.get(..at)?).is_ok());
        is_record.then_some(at + 1)
    }

    /// Takes a record that was not as expected.
    pub fn missed(&mut self, record: &[u8], projection: &Projection) {
        self.misses += 1;
        if self.misses <= self.patience {
            return;
        }
        self.misses = 0;
        self.patience = (2 * self.patience + 1).min(PATIENCE_MAX);
        self.keys = keys(record, projection).unwrap_or_default();
    }
}

/// The keys of a record without white space between its parts; `None` for any other.
fn keys(record: &[u8], projection: &Projection) -> Option<Vec<Key>> {
    let mut cursor = Cursor {
        bytes: record,
        at: 0,
    };
    let mut keys = Vec::new();
    loop {
        let start = cursor.at;
        // The brace or the comma.
        cursor.at += 1;
        let (name, is_escaped) = cursor.string().ok()?;
        cursor.expect(b':').ok()?;
        let slot = if is_escaped {
            unescaped_key(name).and_then(|name| projection.find(name.as_bytes()))
        } else {
            projection.find(name)
        };
        keys.push(Key::new(record.get(start..cursor.at)?, slot)?);
        cursor.skip_value(1).ok()?;
        match record.get(cursor.at..)? {
            b"}" => return Some(keys),
            [b',', ..] => {}
            _ => return None,
        }
    }
}

/// The end of a string, of which the first quote stands before `at`.
#[inline(always)]
fn string(bytes: &[u8], mut at: usize, seen: &mut Lane) -> Option<usize> {
    loop {
        let lane = Lane::load(bytes, at)?;
        *seen = seen.or(lane);
        let (quotes, others) = lane.string_stops();
        if quotes | others == 0 {
            at += LANE;
            continue;
        }
        let quote = quotes.trailing_zeros();
        let other = others.trailing_zeros();
        if quote < other {
            return Some(at + quote as usize + 1);
        }
        // Behind the backslash; anything else is no escape.
        let mut cursor = Cursor {
            bytes,
            at: at + other as usize,
        };
        cursor.expect(b'\\').ok()?;
        cursor.escape().ok()?;
        at = cursor.at;
    }
}

/// The end of a number.
#[inline(always)]
fn number(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        let stops = Lane::load(bytes, at)?.non_digits();
        if stops != 0 {
            at += stops.trailing_zeros() as usize;
            break;
        }
        at += LANE;
    }
    // More than digits, or a zero in front of them: rare enough for the plain way.
    let is_plain = at > start
        && !matches!(bytes.get(at)?, b'.' | b'e' | b'E')
        && (at == start + 1 || bytes.get(start)? != &b'0');
    if is_plain {
        return Some(at);
    }
    let mut cursor = Cursor { bytes, at: start };
    cursor.number().ok()?;
    Some(cursor.at)
}

#[cfg(test)]
mod tests {
    use super::{Layout, PATIENCE_MAX};
    use crate::batch::projection::Projection;

    /// What stands behind every line here, so that no lane reaches over the end.
    const MORE: &str = "################################################################";

    fn fields_of<'a>(layout: &mut Layout, text: &'a str) -> Option<(usize, Vec<Option<&'a [u8]>>)> {
        let mut fields = vec![None; 2];
        let length = layout.scan(text.as_bytes(), &mut fields)?;
        Some((length, fields))
    }

    #[test]
    fn the_next_line_with_the_same_keys_is_read_and_no_other() {
        let mut projection = Projection::new();
        projection.slot("B");
        projection.slot("AKeyOfFortyBytesAsTheLongestOfLogpushIsX");
        let mut layout = Layout::default();
        layout.expect(&projection);
        let line = |a: &str, b: &str, c: &str| {
            format!(
                "{{\"A\":{a},\"AKeyOfFortyBytesAsTheLongestOfLogpushIsX\":{b},\"B\":{c}}}\n{MORE}"
            )
        };
        let first = line("1", "2", "3");
        assert_eq!(fields_of(&mut layout, &first), None);
        layout.missed(first.split('\n').next().unwrap().as_bytes(), &projection);
        for (a, b, c) in [
            ("1", "2", "3"),
            (
                "\"x\"",
                "\"\\u0041 and more than a lane of text \\n\"",
                "1657233726004000000",
            ),
            ("{\"B\":[1,{}]}", "-1.5e3", "\"größe\""),
            ("null", "true", "[]"),
        ] {
            let text = line(a, b, c);
            let found = fields_of(&mut layout, &text).unwrap();
            assert_eq!(found.0, text.len() - MORE.len() - 1);
            assert_eq!(found.1, [Some(c.as_bytes()), Some(b.as_bytes())]);
        }
        for text in [
            line("01", "2", "3"),
            line("1 ", "2", "3"),
            line("\"\\x\"", "2", "3"),
            line("\"\t\"", "2", "3"),
            line("1", "2", "3}"),
            line("1", "2", "3").replace("IsX", "IsY"),
            line("1", "2", "3").replace("FortyBytes", "FourtyByte"),
            line("1", "2", "3").replace("\"B\"", "\"C\""),
            line("1", "2", "3").replace('\n', "\r\n"),
        ] {
            assert_eq!(fields_of(&mut layout, &text), None, "{text}");
        }
    }

    #[test]
    fn another_layout_is_remembered_when_it_comes_again_and_patience_has_an_end() {
        let projection = Projection::new();
        let mut layout = Layout::default();
        for n in 0..2 * PATIENCE_MAX {
            layout.missed(format!("{{\"K{n}\":1}}").as_bytes(), &projection);
        }
        for _ in 0..=PATIENCE_MAX {
            layout.missed(b"{\"A\":1}", &projection);
        }
        assert_eq!(
            layout.scan(format!("{{\"A\":2}}\n{MORE}").as_bytes(), &mut []),
            Some(7)
        );
        let mut other = Projection::new();
        other.slot("A");
        layout.expect(&other);
        assert_eq!(
            layout.scan(format!("{{\"A\":2}}\n{MORE}").as_bytes(), &mut [None]),
            None
        );
    }
}
