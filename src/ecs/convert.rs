//! What can be done to a value on its way to its place: a closed list.
//!
//! To add one: a variant of [`As`] with a sentence that says what comes out (docs/ecs.md shows it), its line in
//! [`As::convert`], its function in the file of this folder that it belongs to, and a row in `tests.rs`.
//! Whoever writes a value writes valid JSON that is neither `null` nor `""`.

use serde::Deserialize;

/// What is done to a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum As {
    /// A string stays as it is; anything else does not fit.
    #[default]
    Text,
    /// A string stays; a number or a Boolean is written as a string.
    String,
    /// A string, or an array of strings without the empty ones; an array of none is left out.
    Texts,
    /// A string in lower case.
    Lowercase,
    /// A string in upper case.
    Uppercase,
    /// An integer of 64 bits, as a number or as decimal text, is written as a number.
    Long,
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
    /// An array of addresses, or one; all must be valid.
    Ips,
    /// A number from 1 to 65535, as a number or as text; 0 is left out.
    Port,
    /// The number of an autonomous system, with or without `AS` before it, as a number.
    Asn,
    /// A two-letter code in upper case; `""` aside, anything else does not fit.
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
    /// The scheme of a URL, in lower case.
    UrlScheme,
    /// The host of a URL, of `host:port` or of `host/path`, without brackets.
    UrlDomain,
    /// The port of a URL.
    UrlPort,
    /// The path of a URL, of `host/path` or of a request target (`/path?query`).
    UrlPath,
    /// The query of a URL or of a request target, without `?`.
    UrlQuery,
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
    /// The value says "no time".
    Unset,
    /// The value does not fit; it stays under `cloudflare.`, and that is counted.
    Unfit,
}
