//! What can be done to a value on its way to its place: a closed list.
//!
//! To add one: a variant of [`As`] with a sentence that says what comes out (docs/ecs.md shows it), its line in
//! [`As::convert`], its function in the file of this folder that it belongs to, and a row in `tests.rs`.
//! Whoever writes a value writes valid JSON that is neither `null` nor `""`.

use super::table::Step;
use crate::batch::json;
use serde::Deserialize;
use std::borrow::Cow;

pub(super) mod clean;
mod dns;
mod network;
mod number;
mod url;
mod version;

pub(super) use number::{instant, integer};

/// What is done to a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum As {
    /// A string stays as it is; anything else does not fit.
    #[default]
    Text,
    /// A string stays; a number or a Boolean is written as a string.
    String,
    /// An array of strings, without the empty ones, or one string as an array of one.
    Texts,
    /// Only what is listed at the field; anything else stays under `cloudflare.`.
    Mapped,
    /// A string in lower case.
    Lowercase,
    /// A string in upper case.
    Uppercase,
    /// An integer of 64 bits, as a number or as decimal text, is written as a number.
    Long,
    /// As `long`; 0, which stands for none here, stays under `cloudflare.`.
    Nonzero,
    /// A number stays.
    Float,
    /// `true` and `false` stay; as text they are written as Booleans.
    Boolean,
    /// A time: `@timestamp`'s form. One that says "no time" (0, Go's zero time) stays under `cloudflare.`.
    Time,
    /// Seconds, decimals too, as nanoseconds.
    DurationSeconds,
    /// Milliseconds, decimals too, as nanoseconds.
    DurationMillis,
    /// A valid IPv4 or IPv6 address stays; no port, no zone.
    Ip,
    /// An array of addresses, or one as an array of one; all must be valid.
    Ips,
    /// A number from 1 to 65535, as a number or as text; 0 is left out.
    Port,
    /// The number of an autonomous system, with or without `AS` before it, as a number; 0, which is none, stays under
    /// `cloudflare.`.
    Asn,
    /// A two-letter code in upper case; what has another form, such as `T1`, stays under `cloudflare.`.
    Country,
    /// The name of an IP protocol in lower case, or its name for its number (`6` → `tcp`).
    Transport,
    /// A domain name with the dots at both ends stripped; the root leaves nothing.
    DnsName,
    /// The mnemonic of a DNS type (`28` → `AAAA`, `255` → `*`) or a mnemonic as it is; a number that has none is left out.
    DnsType,
    /// The name of a DNS response code (`3` → `NXDomain`) or a name as it is; a number that has none is left out.
    DnsRcode,
    /// `http` of `HTTP/2`.
    HttpProtocol,
    /// `2` of `HTTP/2`.
    HttpVersion,
    /// `tls` of `TLSv1.3`, `ssl` of `SSLv3`; `none` is left out.
    TlsProtocol,
    /// `1.3` of `TLSv1.3`; `none` is left out.
    TlsVersion,
    /// A Ray ID stays; `00`, which says that there is none, is left out.
    RayId,
    /// The scheme of a URL.
    UrlScheme,
    /// The host of a URL, of `host:port` or of `host/path`, without brackets.
    UrlDomain,
    /// The port of a URL.
    UrlPort,
    /// The path of a URL, of `host/path` or of a request target (`/path?query`).
    UrlPath,
    /// The query of a URL or of a request target, without `?`.
    UrlQuery,
    /// A query by itself, without `?`.
    Query,
    /// What follows `#` in a URL.
    UrlFragment,
    /// What follows the last dot of the last part of the path.
    UrlExtension,
    /// An array or an object stays as it is, without what is empty in it.
    Whole,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// The value's own JSON text goes to the place.
    AsItIs,
    /// JSON text for the place was appended.
    Written,
    /// Nothing goes there, and the value is not kept either: it says that there is nothing, as documented at the
    /// conversion.
    LeftOut,
    /// The value is in order and has no such part.
    Nothing,
    /// The value is in order and has no form for this place: it stays under `cloudflare.`.
    Stays,
    /// The value does not fit: it stays under `cloudflare.`, and that is counted.
    Unfit,
}

impl As {
    /// All of them.
    pub const ALL: [Self; 36] = [
        Self::Text,
        Self::String,
        Self::Texts,
        Self::Mapped,
        Self::Lowercase,
        Self::Uppercase,
        Self::Long,
        Self::Nonzero,
        Self::Float,
        Self::Boolean,
        Self::Time,
        Self::DurationSeconds,
        Self::DurationMillis,
        Self::Ip,
        Self::Ips,
        Self::Port,
        Self::Asn,
        Self::Country,
        Self::Transport,
        Self::DnsName,
        Self::DnsType,
        Self::DnsRcode,
        Self::HttpProtocol,
        Self::HttpVersion,
        Self::TlsProtocol,
        Self::TlsVersion,
        Self::RayId,
        Self::UrlScheme,
        Self::UrlDomain,
        Self::UrlPort,
        Self::UrlPath,
        Self::UrlQuery,
        Self::Query,
        Self::UrlFragment,
        Self::UrlExtension,
        Self::Whole,
    ];

    /// Makes what goes to the place from a value's JSON text, which is neither `null` nor `""`. Only after
    /// [`Made::Written`] something was appended.
    pub fn convert(self, raw: &[u8], out: &mut Vec<u8>) -> Made {
        let begin = out.len();
        let made = match self {
            Self::Text if is_text(raw) => Made::AsItIs,
            Self::Text => Made::Unfit,
            Self::String => string(raw, out),
            Self::Texts => texts(raw, out),
            Self::Mapped => Made::Stays,
            Self::Lowercase => cased(raw, out, u8::is_ascii_uppercase, u8::to_ascii_lowercase),
            Self::Uppercase => cased(raw, out, u8::is_ascii_lowercase, u8::to_ascii_uppercase),
            Self::Nonzero if number::integer(raw) == Some(0) => Made::Stays,
            Self::Long | Self::Nonzero => number::long(raw, out),
            Self::Float
                if raw
                    .first()
                    .is_some_and(|byte| matches!(byte, b'0'..=b'9' | b'-')) =>
            {
                Made::AsItIs
            }
            Self::Float => Made::Unfit,
            Self::Boolean => boolean(raw, out),
            Self::Time => number::time(raw, out),
            Self::DurationSeconds => number::duration(raw, 9, out),
            Self::DurationMillis => number::duration(raw, 6, out),
            Self::Ip => network::ip(raw),
            Self::Ips => network::ips(raw, out),
            Self::Port => network::port(raw, out),
            Self::Asn => network::asn(raw, out),
            Self::Country => network::country(raw, out),
            Self::Transport => network::transport(raw, out),
            Self::DnsName => dns::name(raw, out),
            Self::DnsType => dns::mnemonic(raw, dns::type_name, out),
            Self::DnsRcode => dns::mnemonic(raw, dns::rcode_name, out),
            Self::HttpProtocol => version::http_protocol(raw, out),
            Self::HttpVersion => version::http_version(raw, out),
            Self::TlsProtocol => version::tls_protocol(raw, out),
            Self::TlsVersion => version::tls_version(raw, out),
            Self::RayId if raw == b"\"00\"" => Made::LeftOut,
            Self::RayId => Self::Text.convert(raw, out),
            Self::UrlScheme => url::part(raw, out, url::scheme),
            Self::UrlDomain => url::part(raw, out, url::domain),
            Self::UrlPort => url::port(raw, out),
            Self::UrlPath => url::part(raw, out, url::path),
            Self::UrlQuery => url::part(raw, out, url::query),
            Self::Query => url::part(raw, out, url::bare_query),
            Self::UrlFragment => url::part(raw, out, url::fragment),
            Self::UrlExtension => url::part(raw, out, url::extension),
            Self::Whole if matches!(raw.first(), Some(b'{' | b'[')) => clean::clean(raw, out),
            Self::Whole => Made::Unfit,
        };
        if made != Made::Written {
            out.truncate(begin);
        }
        made
    }
}

/// Whether it is a JSON string.
pub(super) fn is_text(raw: &[u8]) -> bool {
    raw.first() == Some(&b'"')
}

/// What a JSON string says, a number or a Boolean as text; `None` for an object or an array.
pub(super) fn scalar(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    match raw.first() {
        Some(b'"') => json::text(raw),
        Some(b'{' | b'[') | None => None,
        Some(_) => Some(Cow::Borrowed(raw)),
    }
}

/// Appends text (UTF-8) as a JSON string; nothing for no text.
pub(super) fn put_text(text: &[u8], out: &mut Vec<u8>) -> Made {
    if text.is_empty() {
        return Made::Nothing;
    }
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let digit = |n: u8| HEX.get(usize::from(n)).copied().unwrap_or(b'0');
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
    Made::Written
}

/// The value that a way of names and indices leads to, if there is one that is neither `null` nor `""`.
pub(super) fn at<'a>(raw: &'a [u8], way: &[Step]) -> Option<&'a [u8]> {
    let mut found = raw;
    for step in way {
        found = match step {
            Step::Index(index) => json::elements(found).nth(*index)?,
            Step::Name(name) => {
                let is_it =
                    |key: &[u8]| json::text(key).is_some_and(|key| *key == *name.as_bytes());
                // As everywhere, the last of two equal names counts.
                json::members(found).filter(|(key, _)| is_it(key)).last()?.1
            }
        };
    }
    (!matches!(found, b"null" | b"\"\"")).then_some(found)
}

fn string(raw: &[u8], out: &mut Vec<u8>) -> Made {
    match raw.first() {
        Some(b'"') => Made::AsItIs,
        Some(b'{' | b'[') | None => Made::Unfit,
        Some(_) => put_text(raw, out),
    }
}

fn texts(raw: &[u8], out: &mut Vec<u8>) -> Made {
    if is_text(raw) {
        return array_of_one(raw, out);
    }
    let is_fit = raw.first() == Some(&b'[')
        && json::elements(raw).all(|element| is_text(element) || element == b"null");
    if is_fit {
        clean::clean(raw, out)
    } else {
        Made::Unfit
    }
}

/// ECS wants an array where there can be several.
fn array_of_one(raw: &[u8], out: &mut Vec<u8>) -> Made {
    out.push(b'[');
    out.extend_from_slice(raw);
    out.push(b']');
    Made::Written
}

fn cased(raw: &[u8], out: &mut Vec<u8>, is_other: fn(&u8) -> bool, turn: fn(&u8) -> u8) -> Made {
    let Some(text) = json::text(raw) else {
        return Made::Unfit;
    };
    if !text.iter().any(is_other) {
        return Made::AsItIs;
    }
    let turned: Vec<u8> = text.iter().map(turn).collect();
    put_text(&turned, out)
}

fn boolean(raw: &[u8], out: &mut Vec<u8>) -> Made {
    match raw {
        b"true" | b"false" => return Made::AsItIs,
        b"\"true\"" => out.extend_from_slice(b"true"),
        b"\"false\"" => out.extend_from_slice(b"false"),
        _ => return Made::Unfit,
    }
    Made::Written
}

#[cfg(test)]
mod tests;
