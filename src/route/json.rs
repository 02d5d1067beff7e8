//! Raw JSON text that the scan has found valid: what a value stands for, and what is inside.

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
        rest = after;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
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
    match raw {
        [b'[', inner @ .., b']'] => items(inner),
        _ => items(b""),
    }
}

/// The members of a JSON object, each with its key (in quotes, as written) and its value; nothing for any other type.
pub fn members(raw: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    items(inside(raw).unwrap_or_default()).filter_map(|item| {
        let colon = item.len() - after_string(item)?.len();
        let (key, after) = item.split_at(colon);
        let value = after.trim_ascii_start().strip_prefix(b":")?;
        Some((key, value.trim_ascii_start()))
    })
}

/// What stands between the braces of a JSON object, `None` for any other type.
pub fn inside(raw: &[u8]) -> Option<&[u8]> {
    match raw.trim_ascii() {
        [b'{', inner @ .., b'}'] => Some(inner),
        _ => None,
    }
}

/// What follows the string with which the text begins.
fn after_string(text: &[u8]) -> Option<&[u8]> {
    let mut is_escaped = false;
    let end = text.iter().skip(1).position(|byte| {
        let ends = !is_escaped && *byte == b'"';
        is_escaped = !is_escaped && *byte == b'\\';
        ends
    })?;
    text.get(end + 2..)
}

/// Cuts at the commas that are inside of nothing.
fn items(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text.trim_ascii();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
        let end = rest.iter().position(|byte| {
            if in_string {
                in_string = is_escaped || *byte != b'"';
                is_escaped = !is_escaped && *byte == b'\\';
                return false;
            }
            match byte {
                b'"' => in_string = true,
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                b',' => return depth == 0,
                _ => {}
            }
            false
        });
        let element = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        rest = end.and_then(|end| rest.get(end + 1..)).unwrap_or_default();
        Some(element.trim_ascii())
    })
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
