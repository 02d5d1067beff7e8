//! One line: is it a JSON object, and what are the raw values of the fields somebody wants?
//!
//! One pass that checks the whole line and allocates nothing, so that whether a line counts as invalid never depends on
//! which jobs exist, and a decision never differs from the one a full parse would make (RFC 8259; of a key that occurs
//! twice the last one counts, as in `JSON.parse` and `serde_json`).

use super::lanes::{LANE, Lane};
use super::projection::Projection;

/// How deep objects and arrays may nest. serde_json and Go's encoder stay far below; the bound keeps the scan's state small.
pub const DEPTH_MAX: usize = 128;

/// Why a line is no record. Names are stable: they appear in `/stats` and in quarantine objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InvalidLine {
    /// Not a JSON text.
    NotJson,
    /// A JSON text, but no object.
    NotAnObject,
    /// Not UTF-8.
    NotUtf8,
    /// Nested deeper than [`DEPTH_MAX`].
    TooDeep,
    /// Longer than [`crate::limits::LINE_MAX_BYTES`].
    TooLong,
    /// The array that holds the records, or the object around it, is not closed.
    CutOff,
    /// A CSV row whose values are not as many as there are fields, or whose quotes are wrong.
    CsvRow,
}

impl InvalidLine {
    /// The name under which the line is counted.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::NotUtf8 => "not_utf8",
            Self::TooDeep => "too_deep",
            Self::TooLong => "line_too_long",
            Self::CutOff => "cut_off",
            Self::CsvRow => "csv_row",
        }
    }
}

/// Checks that `line` (UTF-8, without its newline) is a JSON object and writes the raw JSON text of each projected
/// top-level field into its slot of `fields`; a slot whose field is missing becomes `None`.
///
/// # Errors
/// Says why the line is no record. UTF-8 is the caller's to check.
pub fn scan<'a>(
    line: &'a [u8],
    projection: &Projection,
    fields: &mut [Option<&'a [u8]>],
) -> Result<(), InvalidLine> {
    fields.fill(None);
    let mut cursor = Cursor { bytes: line, at: 0 };
    cursor.skip_space();
    if cursor.peek() != Some(b'{') {
        cursor.skip_value(1)?;
        cursor.skip_space();
        return Err(if cursor.at == line.len() {
            InvalidLine::NotAnObject
        } else {
            InvalidLine::NotJson
        });
    }
    cursor.at += 1;
    cursor.skip_space();
    if cursor.peek() == Some(b'}') {
        cursor.at += 1;
    } else {
        loop {
            let (key, escaped) = cursor.string()?;
            cursor.skip_space();
            cursor.expect(b':')?;
            cursor.skip_space();
            let start = cursor.at;
            cursor.skip_value(1)?;
            let slot = if escaped {
                unescaped_key(key).and_then(|name| projection.find(name.as_bytes()))
            } else {
                projection.find(key)
            };
            if let Some(slot) = slot
                && let Some(field) = fields.get_mut(slot)
            {
                *field = line.get(start..cursor.at);
            }
            cursor.skip_space();
            match cursor.next() {
                Some(b',') => cursor.skip_space(),
                Some(b'}') => break,
                _ => return Err(InvalidLine::NotJson),
            }
        }
    }
    cursor.skip_space();
    if cursor.at == line.len() {
        Ok(())
    } else {
        Err(InvalidLine::NotJson)
    }
}

/// A key that holds an escape is rare enough for a library to read it.
pub(super) fn unescaped_key(inner: &[u8]) -> Option<String> {
    let mut quoted = Vec::with_capacity(inner.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(inner);
    quoted.push(b'"');
    serde_json::from_slice(&quoted).ok()
}

/// Where one is in a line.
pub(super) struct Cursor<'a> {
    /// The line.
    pub bytes: &'a [u8],
    /// The next byte.
    pub at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    pub fn expect(&mut self, wanted: u8) -> Result<(), InvalidLine> {
        if self.next() == Some(wanted) {
            Ok(())
        } else {
            Err(InvalidLine::NotJson)
        }
    }

    #[inline]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// Reads a string; returns what stands between its quotes, and whether it holds an escape.
    #[inline]
    pub fn string(&mut self) -> Result<(&'a [u8], bool), InvalidLine> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            while let Some(lane) = Lane::load(self.bytes, self.at) {
                let (quotes, others) = lane.string_stops();
                if quotes | others != 0 {
                    self.at += (quotes | others).trailing_zeros() as usize;
                    break;
                }
                self.at += LANE;
            }
            match self.next() {
                Some(b'"') => {
                    let inner = self.bytes.get(start..self.at - 1).unwrap_or_default();
                    return Ok((inner, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0x20..) => {}
                _ => return Err(InvalidLine::NotJson),
            }
        }
    }

    /// What may follow a backslash. A lone surrogate is grammatical JSON, and passed on as it came.
    pub fn escape(&mut self) -> Result<(), InvalidLine> {
        match self.next() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => {
                for _ in 0..4 {
                    if !self.next().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(InvalidLine::NotJson);
                    }
                }
                Ok(())
            }
            _ => Err(InvalidLine::NotJson),
        }
    }

    fn literal(&mut self, text: &[u8]) -> Result<(), InvalidLine> {
        let end = self.at + text.len();
        if self.bytes.get(self.at..end) == Some(text) {
            self.at = end;
            Ok(())
        } else {
            Err(InvalidLine::NotJson)
        }
    }

    fn digits(&mut self) -> Result<(), InvalidLine> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err(InvalidLine::NotJson)
        }
    }

    pub fn number(&mut self) -> Result<(), InvalidLine> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Skips one value; `depth` is how many objects and arrays it stands in.
    #[inline]
    pub fn skip_value(&mut self, depth: usize) -> Result<(), InvalidLine> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(b'{' | b'[') => self.skip_nested(depth),
            _ => Err(InvalidLine::NotJson),
        }
    }

    /// Recursion is bounded by [`DEPTH_MAX`] and a frame is a few words.
    fn skip_nested(&mut self, depth: usize) -> Result<(), InvalidLine> {
        if depth >= DEPTH_MAX {
            return Err(InvalidLine::TooDeep);
        }
        let is_object = self.next() == Some(b'{');
        let close = if is_object { b'}' } else { b']' };
        self.skip_space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            if is_object {
                self.string()?;
                self.skip_space();
                self.expect(b':')?;
                self.skip_space();
            }
            self.skip_value(depth + 1)?;
            self.skip_space();
            match self.next() {
                Some(b',') => self.skip_space(),
                Some(byte) if byte == close => return Ok(()),
                _ => return Err(InvalidLine::NotJson),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidLine, scan};
    use crate::batch::projection::Projection;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn projected(line: &str, names: &[&str]) -> Result<Vec<Option<String>>, InvalidLine> {
        let mut projection = Projection::new();
        for name in names {
            projection.slot(name);
        }
        let mut fields = vec![None; names.len()];
        scan(line.as_bytes(), &projection, &mut fields)?;
        Ok(fields
            .into_iter()
            .map(|raw| raw.map(|raw| String::from_utf8_lossy(raw).into_owned()))
            .collect())
    }

    #[test]
    fn wanted_fields_come_out_as_raw_text() {
        let line = r#" { "A" : 1 , "B":"x\u0026y", "C": {"A": 2, "z":[1,{"A":3}]} ,"D":null, "E":-1.5e+3 } "#;
        let fields = projected(line, &["A", "B", "C", "D", "E", "F"]).unwrap();
        let expected = [
            Some("1"),
            Some(r#""x\u0026y""#),
            Some(r#"{"A": 2, "z":[1,{"A":3}]}"#),
            Some("null"),
            Some("-1.5e+3"),
            None,
        ];
        assert_eq!(fields, expected.map(|text| text.map(str::to_owned)));
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_and_a_key_may_be_escaped() {
        assert_eq!(
            projected(r#"{"A":1,"\u0041":2}"#, &["A"]).unwrap(),
            [Some("2".to_owned())]
        );
    }

    #[test]
    fn what_is_no_object_is_named() {
        for (line, reason) in [
            ("", InvalidLine::NotJson),
            ("[1]", InvalidLine::NotAnObject),
            ("\"text\"", InvalidLine::NotAnObject),
            ("test", InvalidLine::NotJson),
            ("{", InvalidLine::NotJson),
            ("{}x", InvalidLine::NotJson),
            ("{not json}", InvalidLine::NotJson),
            (r#"{"a":1,}"#, InvalidLine::NotJson),
            (r#"{"a":01}"#, InvalidLine::NotJson),
            (r#"{"a":"\x"}"#, InvalidLine::NotJson),
            ("{\"a\":\"\u{1}\"}", InvalidLine::NotJson),
            (r#"{"a":"unterminated}"#, InvalidLine::NotJson),
            (r#"{"a" 1}"#, InvalidLine::NotJson),
            (r#"{"a":1}{"b":2}"#, InvalidLine::NotJson),
        ] {
            assert_eq!(projected(line, &[]).unwrap_err(), reason, "{line}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(projected(&deep, &[]).unwrap_err(), InvalidLine::TooDeep);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("finite", |n| n.is_finite())
                .prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec(("[A-C\"\\\\é]{0,2}", inner), 0..5)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    fn agrees_with_serde(line: &str) {
        let names = ["A", "B", "C", "AB", "é"];
        match (
            projected(line, &names),
            serde_json::from_str::<Map<String, Value>>(line),
        ) {
            (Ok(fields), Ok(parsed)) => {
                for (name, raw) in names.iter().zip(fields) {
                    let value = raw.map(|raw| serde_json::from_str::<Value>(&raw).unwrap());
                    assert_eq!(value.as_ref(), parsed.get(*name), "{name} in {line}");
                }
            }
            (Err(_), Err(_)) => {}
            (ours, theirs) => panic!("{ours:?} but {theirs:?} for {line:?}"),
        }
    }

    proptest! {
        #[test]
        fn any_value_is_read_as_serde_reads_it(value in json()) {
            agrees_with_serde(&value.to_string());
        }

        #[test]
        fn a_damaged_line_is_judged_as_serde_judges_it(
            value in json(), at in any::<prop::sample::Index>(), with in "[\\x20-\\x7e\\t]",
        ) {
            let mut text = serde_json::json!({"A": value, "B": 12.5}).to_string();
            let positions: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let from = positions[at.index(positions.len())];
            let to = from + text[from..].chars().next().map_or(0, char::len_utf8);
            text.replace_range(from..to, &with);
            // What serde refuses for its own reasons, though the grammar allows it: lone surrogates and numbers beyond f64.
            prop_assume!(!text.contains("\\ud") && !text.contains("\\uD"));
            if !matches!(serde_json::from_str::<Value>(&text), Err(e) if e.to_string().contains("number out of range")) {
                agrees_with_serde(&text);
            }
        }
    }
}
