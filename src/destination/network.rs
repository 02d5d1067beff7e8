//! Logpush's codes for a push that no destination answered.
//!
//! Logpush's health data has them beside HTTP statuses. What 1102, 1105 and 1106 mean is public (Cloudflare's
//! documentation of Logpush health, 2026); of 1101, 1103, 1104, 1107, 1108 and 1201 it is known that they exist, and their
//! meaning here is our choice.

use super::Answer;

/// Something else went wrong on the way.
pub const OTHER: u16 = 1101;
/// No connection within the time for it.
pub const CONNECTION_TIMEOUT: u16 = 1102;
/// The connection was refused.
pub const REFUSED: u16 = 1103;
/// The connection was lost before there was an answer.
pub const LOST: u16 = 1104;
/// The name of the destination can not be resolved.
pub const DNS: u16 = 1105;
/// No answer in time.
pub const TIMEOUT: u16 = 1106;
/// The TLS handshake failed, or the certificate is not good.
pub const TLS: u16 = 1107;
/// No request could be made of the job.
pub const NO_REQUEST: u16 = 1108;
/// The push was taken, and nobody said in time that it is safe. Ours: Logpush has no such thing.
pub const UNACKNOWLEDGED: u16 = 1109;
/// The fault is on this side: storage, for one.
pub const INTERNAL: u16 = 1201;

/// The code for what the runtime says when there is no answer. It says little: a refused connection is a lost one, and
/// for a name or a certificate that is not good it names a reference to its own log.
#[must_use]
pub fn status_of(text: &str) -> u16 {
    let text = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["dns", "resolve", "lookup"]) {
        DNS
    } else if has(&["tls", "ssl", "certificate", "handshake"]) {
        TLS
    } else if has(&["timed out", "timeout"]) {
        TIMEOUT
    } else if has(&["refused"]) {
        REFUSED
    } else if has(&["lost", "reset", "closed", "disconnected"]) {
        LOST
    } else {
        OTHER
    }
}

/// On Cloudflare a Worker's request goes out through the edge, which answers in the name of a destination that it can not
/// reach (Cloudflare's list of 5xx errors). This is what stands behind such an answer; all of them are tried again.
pub(super) fn status_behind(answer: &Answer<'_>) -> Option<u16> {
    match answer.status {
        521 => Some(REFUSED),
        522 => Some(CONNECTION_TIMEOUT),
        524 => Some(TIMEOUT),
        525 | 526 => Some(TLS),
        // 1016: origin DNS error. The other codes of a 530 are about something else.
        530 if memchr::memmem::find(answer.body, b"1016").is_some() => Some(DNS),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runtime_says_without_an_answer_has_one_code() {
        for (text, expected) in [
            ("Network connection lost.", LOST),
            ("internal error; reference = abc", OTHER),
            ("DNS lookup failed.", DNS),
            ("TLS handshake failed: invalid peer certificate", TLS),
            ("connect ECONNREFUSED: connection refused", REFUSED),
            ("the operation timed out", TIMEOUT),
        ] {
            assert_eq!(status_of(text), expected, "{text}");
        }
    }

    #[test]
    fn behind_an_answer_of_the_edge_stands_what_happened() {
        let behind = |status, body: &str| {
            status_behind(&Answer {
                status,
                retry_after: None,
                body: body.as_bytes(),
            })
        };
        for (status, body, expected) in [
            (521, "", Some(REFUSED)),
            (522, "", Some(CONNECTION_TIMEOUT)),
            (524, "", Some(TIMEOUT)),
            (525, "", Some(TLS)),
            (526, "", Some(TLS)),
            (530, "error code: 1016", Some(DNS)),
            (530, "error code: 1033", None),
            (500, "1016", None),
            (200, "", None),
        ] {
            assert_eq!(behind(status, body), expected, "{status} {body}");
        }
    }
}
