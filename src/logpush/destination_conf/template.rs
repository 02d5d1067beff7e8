//! Values that may hold `${secret:NAME}`.

use std::borrow::Cow;

use percent_encoding::{
    AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode,
};

/// Most characters of a secret's name.
pub(super) const MAX_SECRET_NAME_CHARS: usize = 64;

/// The control plane's own secrets: a job must not be able to send them to a host of its choice.
pub(super) const RESERVED_SECRETS: [&str; 3] = ["INGEST_SECRET", "API_TOKEN", "READ_TOKEN"];

/// What RFC 3986 calls unreserved stays; a secret may hold anything else, `&` and `=` among it.
const SECRET_IN_URL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Special characters which do not belong in a query unescaped; `%` is looked at apart, because it may be an escape.
const SPECIAL_IN_QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'\'')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A piece of a value.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text, ready for the place where it goes (decoded for a header, encoded for a URL).
    Text(String),
    /// The name of a secret.
    Secret(String),
}

/// A piece of a value as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RawPiece<'a> {
    /// Text without placeholders, still percent-encoded.
    Text(&'a str),
    /// A placeholder: as it was written, and the name in it.
    Secret {
        /// All of it, from `$` to `}` or their escapes.
        written: &'a str,
        /// The secret's name.
        name: &'a str,
    },
    /// `${` which does not begin a placeholder, and all that follows.
    Broken(&'a str),
}

/// Cuts a value into text and placeholders. The punctuation of a placeholder may be percent-encoded, as URL builders
/// write it: `%24%7Bsecret%3ANAME%7D`.
pub(super) fn pieces(value: &str) -> Vec<RawPiece<'_>> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((text, opened, inside)) = next_opening(rest) {
        if !text.is_empty() {
            found.push(RawPiece::Text(text));
        }
        let Some((name, after)) = secret_name(inside) else {
            found.push(RawPiece::Broken(opened));
            return found;
        };
        let written = opened.strip_suffix(after).unwrap_or(opened);
        found.push(RawPiece::Secret { written, name });
        rest = after;
    }
    if !rest.is_empty() {
        found.push(RawPiece::Text(rest));
    }
    found
}

/// Whether there is a `${` in the text, escaped or not.
pub(super) fn has_opening(text: &str) -> bool {
    next_opening(text).is_some()
}

/// The text before the next `${`, the text from it on, and the text behind it.
fn next_opening(text: &str) -> Option<(&str, &str, &str)> {
    text.char_indices()
        .filter(|(_, c)| matches!(c, '$' | '%'))
        .find_map(|(at, _)| {
            let (before, opened) = text.split_at_checked(at)?;
            let inside = strip(strip(opened, "$", "%24")?, "{", "%7B")?;
            Some((before, opened, inside))
        })
}

/// `secret:NAME}` at the beginning of the text: the name, and what follows.
fn secret_name(inside: &str) -> Option<(&str, &str)> {
    let named = strip(inside.strip_prefix("secret")?, ":", "%3A")?;
    let end = named
        .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .filter(|end| (1..=MAX_SECRET_NAME_CHARS).contains(end))?;
    let (name, closing) = named.split_at_checked(end)?;
    Some((name, strip(closing, "}", "%7D")?))
}

fn strip<'a>(text: &'a str, plain: &str, escaped: &str) -> Option<&'a str> {
    text.strip_prefix(plain).or_else(|| {
        let (head, tail) = text.split_at_checked(escaped.len())?;
        head.eq_ignore_ascii_case(escaped).then_some(tail)
    })
}

/// Percent-decodes; `None` when the bytes are no UTF-8.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

/// Percent-encodes the special characters that are not escaped yet, and nothing else.
pub(super) fn encode_unescaped(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for (n, part) in text.split('%').enumerate() {
        if n > 0 {
            let mut digits = part.bytes();
            let escape =
                (0..2).all(|_| digits.next().is_some_and(|digit| digit.is_ascii_hexdigit()));
            encoded.push_str(if escape { "%" } else { "%25" });
        }
        encoded.extend(utf8_percent_encode(part, SPECIAL_IN_QUERY));
    }
    encoded
}

/// Percent-encodes a secret for a place in a URL.
pub(super) fn encode_secret(secret: &str) -> impl Iterator<Item = &str> {
    utf8_percent_encode(secret, SECRET_IN_URL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_into_text_and_placeholders() {
        use RawPiece::{Broken, Secret, Text};
        let long = "X".repeat(65);
        let too_long = format!("${{secret:{long}}}");
        let table: Vec<(&str, Vec<RawPiece<'_>>)> = vec![
            ("", vec![]),
            ("plain%20$text{}", vec![Text("plain%20$text{}")]),
            (
                "${secret:A}",
                vec![Secret {
                    written: "${secret:A}",
                    name: "A",
                }],
            ),
            (
                "Splunk%20${secret:HEC_1}ä${secret:B}",
                vec![
                    Text("Splunk%20"),
                    Secret {
                        written: "${secret:HEC_1}",
                        name: "HEC_1",
                    },
                    Text("ä"),
                    Secret {
                        written: "${secret:B}",
                        name: "B",
                    },
                ],
            ),
            (
                "x%24%7bsecret%3ANAME%7Dy",
                vec![
                    Text("x"),
                    Secret {
                        written: "%24%7bsecret%3ANAME%7D",
                        name: "NAME",
                    },
                    Text("y"),
                ],
            ),
            (
                "a${secret:lower}",
                vec![Text("a"), Broken("${secret:lower}")],
            ),
            ("${secret:}", vec![Broken("${secret:}")]),
            ("${secret:A", vec![Broken("${secret:A")]),
            ("${env:A}", vec![Broken("${env:A}")]),
            (&too_long, vec![Broken(&too_long)]),
        ];
        for (value, expected) in table {
            assert_eq!(pieces(value), expected, "{value}");
        }
    }

    #[test]
    fn only_unescaped_special_characters_are_encoded() {
        let table = [
            (
                "host:theburritobot.com,dataset:http_requests",
                "host:theburritobot.com,dataset:http_requests",
            ),
            ("a b", "a%20b"),
            ("a%20b", "a%20b"),
            ("100%", "100%25"),
            ("100%zz%4", "100%25zz%254"),
            ("%%41", "%25%41"),
            ("ü\"<>'{|}\\^`", "%C3%BC%22%3C%3E%27%7B%7C%7D%5C%5E%60"),
            ("%ü", "%25%C3%BC"),
            ("a+b/c?d=e", "a+b/c?d=e"),
        ];
        for (written, expected) in table {
            assert_eq!(encode_unescaped(written), expected);
        }
    }
}
