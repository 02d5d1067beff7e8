//! Raw JSON text that the scan has found valid: what a value stands for, and what is inside.

pub use super::out::on_one_line;

use super::lanes::{LANE, Lane};
use memchr::memchr;
use std::borrow::Cow;

/// The bytes that a JSON string stands for; `None` for any other type. A surrogate without its partner becomes U+FFFD.
pub fn text(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    let [b'"', inner @ .., b'"'] = raw else {
        return None;
    };
    match memchr(b'\\', inner) {
        None => Some(Cow::Borrowed(inner)),
        Some(first) => Some(Cow::Owned(unescape(inner, first))),
    }
}

/// Replaces the escapes of a valid JSON string; a surrogate without its partner becomes U+FFFD.
fn unescape(inner: &[u8], first: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let (plain, mut rest) = inner.split_at(first);
    out.extend_from_slice(plain);
    while let [byte, after @ ..] = rest {
        if *byte != b'\\' {
            let (plain, escape) = rest.split_at(memchr(b'\\', rest).unwrap_or(rest.len()));
            out.extend_from_slice(plain);
            rest = escape;
            continue;
        }
        rest = after;
        let [escape, after @ ..] = rest else { break };
        rest = after;
        let char = match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (unit, after) = code_unit(rest);
                rest = after;
                match (unit, rest) {
                    (0xd800..0xdc00, [b'\\', b'u', low @ ..]) => match code_unit(low) {
                        (low @ 0xdc00..0xe000, after) => {
                            rest = after;
                            let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                        }
                        _ => char::REPLACEMENT_CHARACTER,
                    },
                    _ => char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
                }
            }
            other => char::from(*other),
        };
        out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    }
    out
}

/// Four hexadecimal digits, and what follows them.
fn code_unit(digits: &[u8]) -> (u32, &[u8]) {
    let (digits, rest) = digits.split_at(digits.len().min(4));
    let unit = digits.iter().fold(0, |unit, digit| {
        unit * 16 + char::from(*digit).to_digit(16).unwrap_or_default()
    });
    (unit, rest)
}

/// The elements of a JSON array; nothing for any other type.
pub fn elements(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = match raw {
        [b'[', inner @ .., b']'] => inner,
        _ => &[],
    };
    std::iter::from_fn(move || {
        let element;
        (element, rest) = split_value(rest);
        rest = after(rest, b',').unwrap_or_default();
        (!element.is_empty()).then_some(element)
    })
}

/// The members of a JSON object, each with its key (in quotes, as written) and its value; nothing for any other type.
pub fn members(raw: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = inside(raw).unwrap_or_default();
    std::iter::from_fn(move || {
        let (key, colon) = split_value(rest);
        let value;
        (value, rest) = split_value(after(colon, b':')?);
        rest = after(rest, b',').unwrap_or_default();
        Some((key, value))
    })
}

/// What stands between the braces of a JSON object, `None` for any other type.
pub fn inside(raw: &[u8]) -> Option<&[u8]> {
    match raw.trim_ascii() {
        [b'{', inner @ .., b'}'] => Some(inner),
        _ => None,
    }
}

/// What follows the sign, with space before it.
fn after(text: &[u8], sign: u8) -> Option<&[u8]> {
    text.trim_ascii_start().strip_prefix(&[sign])
}

/// The value with which the text begins, and what follows it.
fn split_value(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let length = match text.first() {
        Some(b'"') => string_length(text),
        Some(b'{' | b'[') => nested_length(text),
        _ => text
            .iter()
            .position(|byte| matches!(byte, b',' | b' ' | b'\t' | b'\r' | b'\n'))
            .unwrap_or(text.len()),
    };
    text.split_at(length.min(text.len()))
}

/// Of the string with which the text begins, quotes included.
#[inline]
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    // Keys and most values are shorter than two lanes, for which a call of memchr costs more than the search.
    while let Some(lane) = Lane::load(text, at) {
        let (quotes, others) = lane.string_stops();
        let stops = quotes | others;
        if stops == 0 {
            at += LANE;
            continue;
        }
        let stop = stops.trailing_zeros();
        at += stop as usize + 1;
        if quotes >> stop & 1 == 1 {
            return at;
        }
        // What a backslash stands before; anything else that stops is in no valid string.
        at += usize::from(text.get(at - 1) == Some(&b'\\'));
    }
    while let Some(byte) = text.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    text.len()
}

/// Of the object or array with which the text begins.
fn nested_length(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(rest) = text.get(at..) {
        match rest.first() {
            Some(b'"') => {
                at += string_length(rest);
                continue;
            }
            Some(b'{' | b'[') => depth += 1,
            Some(b'}' | b']') if depth <= 1 => return at + 1,
            Some(b'}' | b']') => depth -= 1,
            Some(_) => {}
            None => break,
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{elements, inside, members, text};

    #[test]
    fn members_and_elements_come_as_they_are_written() {
        let raw = br#" { "A" : [1, {"x":"],"}] ,"B\"\\":"a:,}\\","C":{ } , "":-1e5 } "#;
        let found: Vec<String> = members(raw)
            .map(|(key, value)| [key, value].map(String::from_utf8_lossy).join(" ~ "))
            .collect();
        assert_eq!(
            found,
            [
                r#""A" ~ [1, {"x":"],"}]"#,
                r#""B\"\\" ~ "a:,}\\""#,
                r#""C" ~ { }"#,
                r#""" ~ -1e5"#
            ]
        );
        let list: Vec<&[u8]> = elements(br#"[ 1 , [2,3], "," ]"#).collect();
        assert_eq!(list, [b"1".as_slice(), b"[2,3]", br#"",""#]);
        for empty in ["{}", " { } ", "[]", "1", "\"{}\""] {
            assert_eq!(members(empty.as_bytes()).count(), 0, "{empty}");
        }
        assert_eq!(elements(b"{}").count(), 0);
        assert_eq!(inside(b" {\"a\":1} "), Some(b"\"a\":1".as_slice()));
        assert_eq!(
            text(br#""\u0024{\ud83d\ude00\ud800""#).as_deref(),
            Some("${😀\u{fffd}".as_bytes())
        );
    }
}
