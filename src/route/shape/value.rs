//! Writing one value out.

use crate::batch::json;
use crate::time::{self, TimestampFormat, UnixNanos};
use memchr::{memchr, memchr_iter, memmem};
use std::borrow::Cow;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As JSON.
    Json,
    /// As a value of a CSV line: strings, arrays and objects in double quotes, numbers and Booleans bare, nothing for
    /// `null`.
    Csv,
}

/// The options that touch values.
#[derive(Debug)]
pub(super) struct Values {
    pub timestamp_format: Option<TimestampFormat>,
    pub stringifies: bool,
    pub replaces_cve: bool,
}

impl Values {
    /// Writes a value, `None` for a field that the record does not have.
    pub fn write(&self, raw: Option<&[u8]>, is_time: bool, form: Form, out: &mut Vec<u8>) {
        // Not the empty value of its type: a 0 would say that something was measured.
        let raw = raw.unwrap_or(b"null");
        if is_time
            && let Some(format) = self.timestamp_format
            && let Some(nanos) = instant(raw)
        {
            // A string in quotes or a bare number, and so the same in both forms.
            format.write_json(nanos, out);
            return;
        }
        let raw = if self.replaces_cve {
            without_cve(raw)
        } else {
            Cow::Borrowed(raw)
        };
        match (form, raw.first()) {
            (Form::Json, Some(b'{')) if self.stringifies => write_json_string(&raw, out),
            (Form::Json, _) => out.extend_from_slice(&raw),
            (Form::Csv, Some(b'n')) => {}
            (Form::Csv, Some(b'"')) => {
                write_csv_string(&json::text(&raw).unwrap_or_default(), out);
            }
            (Form::Csv, Some(b'{' | b'[')) => write_csv_string(&raw, out),
            (Form::Csv, _) => out.extend_from_slice(&raw),
        }
    }

    /// Writes a key, which has its quotes.
    pub fn write_key(&self, key: &[u8], out: &mut Vec<u8>) {
        if self.replaces_cve {
            out.extend_from_slice(&without_cve(key));
        } else {
            out.extend_from_slice(key);
        }
    }
}

/// A time, unless the value says that there is none.
fn instant(raw: &[u8]) -> Option<UnixNanos> {
    match raw {
        [b'"', ..] => time::parse_str(std::str::from_utf8(&json::text(raw)?).ok()?),
        _ => time::parse_number(raw),
    }
}

/// As RFC 4180 has it: a quote is written twice, and everything else, newlines too, as it is.
fn write_csv_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut from = 0;
    for quote in memchr_iter(b'"', text) {
        out.extend_from_slice(text.get(from..=quote).unwrap_or_default());
        out.push(b'"');
        from = quote + 1;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    out.push(b'"');
}

/// JSON text as a JSON string. Control characters can only be the space between its parts.
fn write_json_string(json: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in json {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// Writes `x{` for every `${`.
pub fn replace_cve(text: &mut [u8]) {
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| memmem::find(rest, b"${")) {
        if let Some(dollar) = text.get_mut(from + found) {
            *dollar = b'x';
        }
        from += found + 2;
    }
}

/// JSON text of the same length with `x{` for every `${`, however it is spelt: whoever reads the JSON finds `${` in
/// `\u0024\u007b` as well.
pub(in crate::route) fn without_cve(json: &[u8]) -> Cow<'_, [u8]> {
    // A dollar is rare, and its escape rarer still.
    if memchr(b'$', json).is_none() && memmem::find(json, b"\\u0024").is_none() {
        return Cow::Borrowed(json);
    }
    let mut clean = json.to_vec();
    let mut at = 0;
    while let Some(rest) = json.get(at..) {
        // How long the dollar is, and which byte of it makes it an x.
        let (length, change) = match rest {
            [] => break,
            [b'$', ..] => (1, Some((0, b"x".as_slice()))),
            [b'\\', b'u', b'0', b'0', b'2', b'4', ..] => (6, Some((4, b"78".as_slice()))),
            [b'\\', ..] => (2, None),
            _ => (1, None),
        };
        let is_brace = matches!(
            rest.get(length..),
            Some([b'{', ..] | [b'\\', b'u', b'0', b'0', b'7', b'b' | b'B', ..])
        );
        if let Some((offset, x)) = change
            && is_brace
            && let Some(place) = clean.get_mut(at + offset..at + offset + x.len())
        {
            place.copy_from_slice(x);
        }
        at += length;
    }
    Cow::Owned(clean)
}
