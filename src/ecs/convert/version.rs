//! Protocols that are written with their version.

use super::{Made, json, put_text};

/// `HTTP/2` as `HTTP` and `2`. A bare version is one of HTTP.
fn http(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, version) = match text.iter().position(|byte| *byte == b'/') {
        Some(slash) => text
            .split_at_checked(slash)
            .and_then(|(name, rest)| Some((name, rest.get(1..)?)))?,
        None => (b"http".as_slice(), text),
    };
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_alphabetic);
    (is_name && is_version(version)).then_some((name, version))
}

/// `TLSv1.3` as `TLS` and `1.3`; also without `v`, or with a space.
fn tls(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = text.split_at_checked(3)?;
    let version = match rest {
        [b'v' | b'V' | b' ', rest @ ..] => rest,
        rest => rest,
    };
    let is_name = name.eq_ignore_ascii_case(b"tls") || name.eq_ignore_ascii_case(b"ssl");
    (is_name && is_version(version)).then_some((name, version))
}

fn is_version(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b'.');
    parts.all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
}

fn is_none(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"none")
}

pub fn http_protocol(raw: &[u8], out: &mut Vec<u8>) -> Made {
    let Some(text) = json::text(raw) else {
        return Made::Unfit;
    };
    match http(&text) {
        Some((name, _)) => put_text(&name.to_ascii_lowercase(), out),
        None => Made::Stays,
    }
}

pub fn http_version(raw: &[u8], out: &mut Vec<u8>) -> Made {
    let Some(text) = json::text(raw) else {
        return Made::Unfit;
    };
    match http(&text) {
        Some((_, version)) => put_text(version, out),
        None => Made::Stays,
    }
}

pub fn tls_protocol(raw: &[u8], out: &mut Vec<u8>) -> Made {
    let Some(text) = json::text(raw) else {
        return Made::Unfit;
    };
    match tls(&text) {
        Some((name, _)) => put_text(&name.to_ascii_lowercase(), out),
        None if is_none(&text) => Made::LeftOut,
        None => Made::Stays,
    }
}

pub fn tls_version(raw: &[u8], out: &mut Vec<u8>) -> Made {
    let Some(text) = json::text(raw) else {
        return Made::Unfit;
    };
    match tls(&text) {
        // `TLSv1` is how TLS 1.0 is written, `SSLv3` is SSL 3.0.
        Some((_, version)) if !version.contains(&b'.') => put_text(&[version, b".0"].concat(), out),
        Some((_, version)) => put_text(version, out),
        None if is_none(&text) => Made::LeftOut,
        None => Made::Stays,
    }
}
