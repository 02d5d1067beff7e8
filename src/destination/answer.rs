//! What a destination answered, in the words of Logpush's failure texts.

use jiff::fmt::rfc2822::DateTimeParser;

use crate::logpush::destination_conf::ResolvedDestination;

/// Most bytes of an answer's body (or of a network error's text) in a reason. Reasons are stored with every failed push
/// and shown in tables; what a server has to say stands in its first sentence.
pub const MAX_REASON_BODY_BYTES: usize = 512;

/// What somebody has to do about a redirect. Neither `Location` nor the body is shown: a link may hold credentials.
pub const REDIRECT: &str = "a redirect, which is not followed: write the address that it leads to in its place (curl -I shows it)";

/// What a destination answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// Value of `Retry-After`, if there was one.
    pub retry_after: Option<&'a str>,
    /// The first bytes of the body; a few kilobytes are enough, and it may end anywhere.
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// Seconds to wait, from either form of `Retry-After` (RFC 9110, 10.2.3). A date that is past means 0; a value that
    /// is neither a whole number nor a date counts as none.
    pub(super) fn retry_after_secs(&self, now_unix_secs: i64) -> Option<u64> {
        let value = self.retry_after?.trim();
        if value.starts_with(|c: char| c.is_ascii_digit()) {
            return value.parse().ok();
        }
        let date = DateTimeParser::new().parse_timestamp(value).ok()?;
        let wait = date.as_second().saturating_sub(now_unix_secs);
        Some(u64::try_from(wait).unwrap_or(0))
    }

    /// `error 415: error pushing: error uploading to https: 415 {body}`, or `… status:500` without a body: the form of
    /// real jobs' `error_message`.
    pub(super) fn reason(&self, destination: &ResolvedDestination) -> String {
        let (status, kind) = (self.status, destination.kind.label());
        let body = excerpt(destination, &(super::kind(destination.kind).says)(self));
        if body.is_empty() {
            format!("error {status}: error pushing: error uploading to {kind}: status:{status}")
        } else {
            format!("error {status}: error pushing: error uploading to {kind}: {status} {body}")
        }
    }
}

/// The beginning of a text that somebody else wrote, fit to be stored and shown: without the destination's secrets, on
/// one line, at most [`MAX_REASON_BODY_BYTES`] long.
pub(super) fn excerpt(destination: &ResolvedDestination, text: &str) -> String {
    // Secrets first: one that is cut in half would not be found.
    let shown = destination.redact(text);
    let mut shown = shown
        .trim_matches(|c: char| c.is_whitespace() || c.is_control())
        .replace(char::is_control, " ");
    shown.truncate(shown.floor_char_boundary(MAX_REASON_BODY_BYTES));
    shown
}
