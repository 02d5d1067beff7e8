//! Parts of a URL, as it was written: nothing is decoded, and nothing made up.
//!
//! Three forms are read. `scheme://[user@]host[:port]/path?query#fragment`; a request target, which begins with `/` or `?`,
//! and in which `#` is a character like others; and what begins with a host, `host[:port][/path…]`.

use super::{Made, json, put_text};
use memchr::{memchr, memmem, memrchr};

/// Writes what `part` finds.
pub fn part(raw: &[u8], out: &mut Vec<u8>, part: fn(&[u8]) -> Option<&[u8]>) -> Made {
    let Some(text) = json::text(raw) else {
        return Made::Unfit;
    };
    match part(&text) {
        Some(part) if part.len() == text.len() => Made::AsItIs,
        Some(part) => put_text(part, out),
        None => Made::Nothing,
    }
}

fn is_target(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'/' | b'?'))
}

/// Where the scheme ends, if there is one.
fn scheme_end(text: &[u8]) -> Option<usize> {
    let end = memmem::find(text, b"://")?;
    let scheme = text.get(..end)?;
    let is_scheme = scheme.first()?.is_ascii_alphabetic()
        && scheme
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    is_scheme.then_some(end)
}

/// Host and port, and what follows them.
fn authority(text: &[u8]) -> (&[u8], &[u8]) {
    if is_target(text) {
        return (&[], text);
    }
    let from = scheme_end(text).map_or(0, |end| end + "://".len());
    let text = text.get(from..).unwrap_or_default();
    let end = text
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let (authority, rest) = text.split_at(end.unwrap_or(text.len()));
    let host = memrchr(b'@', authority).map_or(0, |at| at + 1);
    (authority.get(host..).unwrap_or_default(), rest)
}

/// The host, and the port behind its colon.
fn host_and_port(text: &[u8]) -> (&[u8], &[u8]) {
    let (authority, _) = authority(text);
    if let Some(inner) = authority.strip_prefix(b"[")
        && let Some(end) = memchr(b']', inner)
    {
        let (host, rest) = inner.split_at(end);
        return (host, rest.strip_prefix(b"]:").unwrap_or_default());
    }
    match memrchr(b':', authority) {
        // More than one colon is an IPv6 address without brackets.
        Some(colon) if memchr(b':', authority) == Some(colon) => {
            let (host, port) = authority.split_at(colon);
            (host, port.get(1..).unwrap_or_default())
        }
        _ => (authority, &[]),
    }
}

/// The path, the query behind `?` and the fragment behind `#`.
fn behind(text: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (_, rest) = authority(text);
    let hash = if is_target(text) {
        None
    } else {
        memchr(b'#', rest)
    };
    let (rest, fragment) = rest.split_at(hash.unwrap_or(rest.len()));
    let (path, query) = rest.split_at(memchr(b'?', rest).unwrap_or(rest.len()));
    (
        path,
        query.get(1..).unwrap_or_default(),
        fragment.get(1..).unwrap_or_default(),
    )
}

fn some(part: &[u8]) -> Option<&[u8]> {
    (!part.is_empty()).then_some(part)
}

pub fn scheme(text: &[u8]) -> Option<&[u8]> {
    text.get(..scheme_end(text)?)
}

pub fn domain(text: &[u8]) -> Option<&[u8]> {
    some(host_and_port(text).0)
}

pub fn path(text: &[u8]) -> Option<&[u8]> {
    some(behind(text).0)
}

pub fn query(text: &[u8]) -> Option<&[u8]> {
    some(behind(text).1)
}

/// A text that is a query, without the `?` before it.
pub fn bare_query(text: &[u8]) -> Option<&[u8]> {
    some(text.strip_prefix(b"?").unwrap_or(text))
}

pub fn fragment(text: &[u8]) -> Option<&[u8]> {
    some(behind(text).2)
}

pub fn extension(text: &[u8]) -> Option<&[u8]> {
    let path = behind(text).0;
    let name = path.get(memrchr(b'/', path)? + 1..)?;
    some(name.get(memrchr(b'.', name)? + 1..)?)
}

/// The port as a number.
pub fn port(raw: &[u8], out: &mut Vec<u8>) -> Made {
    let Some(text) = json::text(raw) else {
        return Made::Unfit;
    };
    let (_, port) = host_and_port(&text);
    match std::str::from_utf8(port).map(str::parse::<u16>) {
        Ok(Ok(port)) if port > 0 => {
            out.extend_from_slice(port.to_string().as_bytes());
            Made::Written
        }
        _ => Made::Nothing,
    }
}
