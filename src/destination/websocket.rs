//! A WebSocket server (RFC 6455). Logpush names WebSockets among its HTTP destinations and says no more, so the form is
//! ours: a connection per push, opened by a request that carries the job's headers and the push's id; one text frame per
//! record, or one for the whole push; then, if the job asks for it, a control frame that the receiver acknowledges; then
//! the closing handshake. What it can promise is in docs/destinations.md.

use serde::Deserialize;
use serde_json::json;

use super::{
    Answer, Delivery, Kind, Limits, Meaning, Outcome, PUSH_ID_HEADER, Push, REPLAY_HEADER, Request,
    USER_AGENT, https,
};
use crate::logpush::destination_conf::{ACK, FRAME, ResolvedDestination};

/// Raw bytes of a push. The runtime takes every frame at once and does not tell how much of it is still to be sent (it has
/// no `bufferedAmount`: workerd, issue 988), so what a slow receiver can make it hold is one push.
pub const MAX_PUSH_BYTES: u64 = 4_000_000;

pub(super) const KIND: Kind = Kind {
    limits: Limits {
        max_bytes: Some(MAX_PUSH_BYTES),
        ..Limits::NONE
    },
    delivery,
    meaning,
    ..https::KIND
};

/// A push by WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The request that opens the connection; `https://`, as a Worker opens one.
    pub handshake: Request,
    /// What one frame holds.
    pub frame: Frame,
    /// The receiver acknowledges the push.
    pub wants_ack: bool,
    /// Stable id of the push.
    pub push_id: String,
}

/// What one frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One record, without the line end.
    Record,
    /// The whole push, as it would be the body of a request.
    Push,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The code of the peer's Close frame; 1005 when it had none, 1006 when there was no Close frame.
    pub code: u16,
    /// Its text.
    pub reason: String,
}

/// How far the push had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Frames were still to be sent.
    Sending,
    /// All were sent, and the receiver was to acknowledge them.
    Unacknowledged,
    /// All were sent, and we had said that we close.
    Closing,
}

fn delivery(destination: &ResolvedDestination, push: &Push<'_>) -> Result<Delivery, String> {
    let is = |name, value| destination.setting(name) == Some(value);
    let jobs_own = |ours: &str| {
        let mut names = destination.headers.iter().map(|(name, _)| name);
        names.any(|name| name.eq_ignore_ascii_case(ours))
    };
    let ours = [
        ("Upgrade", Some("websocket")),
        ("User-Agent", Some(USER_AGENT)),
        (PUSH_ID_HEADER, Some(push.id)),
        (REPLAY_HEADER, push.replay),
    ];
    let ours = ours
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .filter(|(name, _)| !jobs_own(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Delivery::WebSocket(Conversation {
        handshake: Request {
            method: "GET",
            url: destination.url.clone(),
            headers: ours.chain(destination.headers.iter().cloned()).collect(),
        },
        frame: if is(FRAME, "push") {
            Frame::Push
        } else {
            Frame::Record
        },
        wants_ack: is(ACK, "true"),
        push_id: push.id.to_owned(),
    }))
}

/// The status of a handshake, or the code of a Close frame (1000 and more).
///
/// A handshake carries no records, so no refusal of one is about them. Codes: RFC 6455, 7.4, and IANA's "WebSocket Close
/// Code Number Registry". An unknown code is tried again: nothing is lost by that.
fn meaning(answer: &Answer<'_>) -> Option<Meaning> {
    match answer.status {
        101 | 1000 | 1005 => None,
        // An endpoint that is there, but is no WebSocket server.
        200..=299 => Some(Meaning::ConfigurationRefused),
        408 | 425 | 429 => Some(https::LATER),
        300..=499 => Some(Meaning::ConfigurationRefused),
        // Protocol error, unsupported data, policy violation, extension missing; unauthorized, forbidden.
        1002 | 1003 | 1008 | 1010 | 3000 | 3003 => Some(Meaning::ConfigurationRefused),
        // Invalid frame payload data.
        1007 => Some(Meaning::ContentRefused),
        // Message too big.
        1009 => Some(Meaning::TooLarge),
        // For private use. Many servers take HTTP's statuses and put a 4 in front.
        4400..=4499 => https::meaning(&Answer {
            status: answer.status - 4000,
            ..*answer
        }),
        _ => Some(https::LATER),
    }
}

impl Outcome {
    /// What it means that the connection was closed.
    #[must_use]
    pub fn from_close(destination: &ResolvedDestination, closed: &Closed, stage: Stage) -> Self {
        let Closed { code, reason } = closed;
        match (code, stage) {
            (1000 | 1005, Stage::Closing) => Self::Accepted,
            (1000 | 1005, _) => {
                let missing = match stage {
                    Stage::Unacknowledged => "the push was acknowledged",
                    Stage::Sending | Stage::Closing => "all frames were sent",
                };
                let text = format!("the receiver closed ({code}) before {missing}: {reason}");
                Self::from_network_error(destination, text.trim_end_matches([':', ' ']))
            }
            (1006, _) => {
                Self::from_network_error(destination, "connection lost without a Close frame")
            }
            (1015, _) => Self::from_network_error(destination, "TLS handshake failed (1015)"),
            _ => {
                let answer = Answer {
                    status: *code,
                    retry_after: None,
                    body: reason.as_bytes(),
                };
                // When the time is does not matter: a Close frame has no Retry-After.
                Self::from_answer(destination, &answer, 0)
            }
        }
    }
}

/// The control frame that ends the frames of a push which is to be acknowledged: `{"push":"<id>","frames":3}`.
#[must_use]
pub fn end_of_push(push_id: &str, frames: u64) -> String {
    json!({"push": push_id, "frames": frames}).to_string()
}

/// Whether a frame from the receiver acknowledges the push: `{"ack":"<id>"}`. Anything else that it says is not looked at.
#[must_use]
pub fn acknowledges(frame: &str, push_id: &str) -> bool {
    #[derive(Deserialize)]
    struct Ack {
        ack: String,
    }
    serde_json::from_str::<Ack>(frame).is_ok_and(|given| given.ack == push_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::{Failure, delivery};
    use crate::logpush::destination_conf::{DestinationConf, DestinationPolicy};

    const WSS: &str = "wss://h.example:8443/in?a=b&header_Authorization=Bearer%20${secret:T}";

    fn resolve(text: &str) -> ResolvedDestination {
        let policy = DestinationPolicy {
            allow_private: true,
        };
        let conf = DestinationConf::parse(text, policy).unwrap();
        conf.resolve(|_| Some("s3cret".into())).unwrap()
    }

    fn conversation(text: &str) -> Conversation {
        match delivery(&resolve(text), &Push::ndjson("push-1")).unwrap() {
            Delivery::WebSocket(conversation) => conversation,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_handshake_carries_the_jobs_headers_and_the_id_and_none_of_our_settings() {
        let made = conversation(&format!("{WSS}&frame=push&ack=true"));
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request = Request {
            method: "GET",
            url: "https://h.example:8443/in?a=b".into(),
            headers: vec![
                header("Upgrade", "websocket"),
                header("User-Agent", USER_AGENT),
                header("X-Logpush-Push-Id", "push-1"),
                header("Authorization", "Bearer s3cret"),
            ],
        };
        assert_eq!(
            made,
            Conversation {
                handshake: request,
                frame: Frame::Push,
                wants_ack: true,
                push_id: "push-1".into()
            }
        );
        for (settings, frame, wants_ack) in [
            ("", Frame::Record, false),
            ("&frame=record&ack=false", Frame::Record, false),
            ("&ack=true", Frame::Record, true),
        ] {
            let made = conversation(&format!("{WSS}{settings}"));
            assert_eq!((made.frame, made.wants_ack), (frame, wants_ack));
        }
        let plain = conversation("ws://127.0.0.1:9000/in?header_User-Agent=siem");
        assert_eq!(plain.handshake.url, "http://127.0.0.1:9000/in");
        assert_eq!(plain.handshake.headers.len(), 3);
        assert_eq!(KIND.limits.max_bytes, Some(MAX_PUSH_BYTES));
    }

    fn after(code: u16, reason: &str, stage: Stage) -> Outcome {
        let reason = reason.to_owned();
        Outcome::from_close(&resolve(WSS), &Closed { code, reason }, stage)
    }

    fn meaning_of(outcome: Outcome) -> Option<Meaning> {
        match outcome {
            Outcome::Failed(failure) => Some(failure.meaning),
            _ => None,
        }
    }

    #[test]
    fn each_status_of_a_handshake_has_one_meaning() {
        use Meaning::ConfigurationRefused;
        let table: [(&[u16], Option<Meaning>); 3] = [
            (&[101], None),
            (
                &[
                    200, 204, 301, 308, 400, 401, 403, 404, 405, 413, 415, 422, 426,
                ],
                Some(ConfigurationRefused),
            ),
            (
                &[100, 408, 425, 429, 500, 502, 503, 504, 521, 599],
                Some(https::LATER),
            ),
        ];
        for (statuses, expected) in table {
            for &status in statuses {
                let answer = Answer {
                    status,
                    retry_after: None,
                    body: b"too large",
                };
                let outcome = Outcome::from_answer(&resolve(WSS), &answer, 0);
                assert_eq!(meaning_of(outcome), expected, "{status}");
            }
        }
    }

    #[test]
    fn each_code_of_a_close_frame_has_one_meaning() {
        use Meaning::{ConfigurationRefused, ContentRefused, TooLarge};
        let table: [(&[u16], Meaning); 4] = [
            (
                &[
                    1001, 1004, 1006, 1011, 1012, 1013, 1014, 1015, 1016, 2000, 3008, 3999, 4000,
                    4399, 4408, 4429, 4500, 4999,
                ],
                https::LATER,
            ),
            (
                &[
                    1002, 1003, 1008, 1010, 3000, 3003, 4401, 4403, 4404, 4405, 4415,
                ],
                ConfigurationRefused,
            ),
            (&[1007, 4400, 4409, 4422], ContentRefused),
            (&[1009, 4413], TooLarge),
        ];
        for (codes, expected) in table {
            for &code in codes {
                for stage in [Stage::Sending, Stage::Unacknowledged, Stage::Closing] {
                    let found = meaning_of(after(code, "", stage));
                    assert_eq!(found, Some(expected), "{code} {stage:?}");
                }
            }
        }
    }

    #[test]
    fn a_connection_that_ends_well_has_to_end_when_it_should() {
        for code in [1000, 1005] {
            assert_eq!(after(code, "bye", Stage::Closing), Outcome::Accepted);
        }
        let lost = |reason: &str| {
            Outcome::Failed(Failure {
                meaning: https::LATER,
                status: 1104,
                reason: format!("error 1104: error pushing: error uploading to wss: {reason}"),
            })
        };
        for (code, said, stage, expected) in [
            (
                1000,
                "bye s3cret",
                Stage::Sending,
                "the receiver closed (1000) before all frames were sent: bye REDACTED",
            ),
            (
                1005,
                "",
                Stage::Unacknowledged,
                "the receiver closed (1005) before the push was acknowledged",
            ),
            (
                1006,
                "",
                Stage::Closing,
                "connection lost without a Close frame",
            ),
        ] {
            assert_eq!(after(code, said, stage), lost(expected));
        }
    }

    #[test]
    fn the_reason_of_a_close_frame_is_shown_without_secrets() {
        assert_eq!(
            after(1008, "Bearer s3cret is no good", Stage::Sending),
            Outcome::Failed(Failure {
                meaning: Meaning::ConfigurationRefused,
                status: 1008,
                reason:
                    "error 1008: error pushing: error uploading to wss: 1008 REDACTED is no good"
                        .into(),
            })
        );
    }

    #[test]
    fn an_acknowledgement_names_the_push() {
        assert_eq!(end_of_push("push-1", 3), r#"{"frames":3,"push":"push-1"}"#);
        for frame in [r#"{"ack":"push-1"}"#, r#" {"ack": "push-1", "at": 7} "#] {
            assert!(acknowledges(frame, "push-1"), "{frame}");
        }
        for frame in ["", "push-1", r#"{"ack":"push-2"}"#, r#"{"ack":true}"#] {
            assert!(!acknowledges(frame, "push-1"), "{frame}");
        }
    }
}
