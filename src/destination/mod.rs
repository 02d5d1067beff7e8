//! From a payload to what has to be sent, and from the answer to what comes next. One file a kind of destination, with
//! the same things in each: `KIND`, `delivery` and `meaning`.
//!
//! Nothing here sends, waits or counts attempts: the caller performs the [`Delivery`], hands the [`Answer`] back, and
//! decides when to try again.
//!
//! A new kind is a file here, its line in `kind` below, and the line of its scheme in `logpush/destination_conf/schemes.rs`,
//! which says what its string looks like.

use std::fmt;

use crate::logpush::destination_conf::{DestinationConf, DestinationKind, ResolvedDestination};

mod answer;
mod azure;
mod datadog;
mod frame;
pub mod gs;
mod https;
pub mod network;
mod object;
pub mod queue;
pub mod r2;
pub mod receipt;
mod s3;
mod sentinelone;
mod splunk;
mod storage;
mod sumo;
mod test_message;
pub mod websocket;

#[cfg(test)]
mod object_answers_tests;
#[cfg(test)]
mod object_tests;

pub use answer::{Answer, MAX_REASON_BODY_BYTES, REDIRECT};
pub use frame::{Envelope, Frame, Framer, RecordTooLarge};
pub use https::LATER;
pub use object::{Call, Object, Step, Store, file_object, without_urls};
pub use test_message::{TEST_DEADLINE_MILLIS, TEST_MESSAGE, TEST_MESSAGE_GZIP, TEST_RECORD};

/// Header with the stable id of a push: the same on every attempt, so that a receiver can drop the second copy.
pub const PUSH_ID_HEADER: &str = "X-Logpush-Push-Id";

/// Header with the id of the replay that a push is of; pushes of what just came have none.
pub const REPLAY_HEADER: &str = "X-Logpush-Replay";

/// `User-Agent` of every push, unless the job sets another one.
pub const USER_AGENT: &str = concat!("logpush-edge/", env!("CARGO_PKG_VERSION"));

/// What a request says about its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Push<'a> {
    /// Stable id of the push. Printable ASCII; the caller makes it.
    pub id: &'a str,
    /// Media type of the payload, unless the job has a `header_Content-Type`.
    pub content_type: &'a str,
    /// The payload is lines of JSON objects, with nothing else around or between them.
    pub is_lines: bool,
    /// Fields that may hold the time of a record, the likeliest first.
    pub timestamp_fields: &'a [&'a str],
    /// What it holds.
    pub holds: Holds,
    /// The replay that it is of. Printable ASCII that may stand in an object's name.
    pub replay: Option<&'a str>,
}

/// What a push holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Records. The times are those of the batches that they are of: their events', or of their receipt where a batch has
    /// none. Unix milliseconds.
    Records {
        /// The earliest.
        first_millis: u64,
        /// The latest.
        last_millis: u64,
    },
    /// Logpush's test message.
    TestMessage {
        /// Now, unix milliseconds.
        now_millis: u64,
    },
}

impl<'a> Push<'a> {
    /// A push in the usual form: NDJSON.
    #[must_use]
    pub fn ndjson(id: &'a str) -> Self {
        Self {
            id,
            content_type: "application/x-ndjson",
            is_lines: true,
            timestamp_fields: &[],
            holds: Holds::Records {
                first_millis: 0,
                last_millis: 0,
            },
            replay: None,
        }
    }

    /// The test message.
    #[must_use]
    pub fn test_message(id: &'a str, now_millis: u64) -> Self {
        Self {
            holds: Holds::TestMessage { now_millis },
            ..Self::ndjson(id)
        }
    }
}

/// A request to perform. Redirects must not be followed: the credentials are meant for this host.
///
/// `Debug` shows neither path, query nor header values.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// HTTP method.
    pub method: &'static str,
    /// Where to send it. May hold secrets.
    pub url: String,
    /// Headers, each name once. May hold secrets.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            // The path may be the secret.
            .field(
                "origin",
                &self.url.split('/').take(3).collect::<Vec<_>>().join("/"),
            )
            .field(
                "headers",
                &self
                    .headers
                    .iter()
                    .map(|(name, _)| name)
                    .collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

/// What an attempt to push came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The destination has the payload.
    Accepted,
    /// It has, and can not take much more at this pace.
    AcceptedNearCapacity,
    /// It has taken the payload, and says later, asked for this number, whether it is safe: see [`receipt`].
    Taken {
        /// The number.
        receipt: u64,
    },
    /// It has not, or nobody knows.
    Failed(Failure),
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What has to happen next.
    pub meaning: Meaning,
    /// The HTTP status, or one of Logpush's codes for what is no answer: see [`network`].
    pub status: u16,
    /// The job's `error_message`, in Logpush's form; holds no secret of the destination.
    pub reason: String,
}

/// What a failure says about trying again. The table of answers is in docs/delivery.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The same payload may be taken later.
    RetryLater {
        /// Seconds that the destination asked to wait (`Retry-After`), as it said: the caller sets the bounds.
        retry_after_secs: Option<u64>,
    },
    /// The payload is too large; a part of it may be taken.
    TooLarge,
    /// No payload will be taken before somebody mends the destination or the job.
    ConfigurationRefused,
    /// This payload will never be taken; a part of it may be.
    ContentRefused,
}

/// What sets a kind of destination apart.
struct Kind {
    /// What it takes at most.
    limits: Limits,
    /// How a payload gets there.
    delivery: fn(&ResolvedDestination, &Push<'_>) -> Result<Delivery, String>,
    /// What an answer means; `None` when the destination has the payload.
    meaning: fn(&Answer<'_>) -> Option<Meaning>,
    /// What of an answer's body may be shown.
    says: fn(&Answer<'_>) -> String,
}

fn kind(kind: DestinationKind) -> &'static Kind {
    match kind {
        DestinationKind::Https => &https::KIND,
        DestinationKind::Splunk => &splunk::KIND,
        DestinationKind::Datadog => &datadog::KIND,
        DestinationKind::Sumo => &sumo::KIND,
        DestinationKind::SentinelOne => &sentinelone::KIND,
        DestinationKind::WebSocket => &websocket::KIND,
        DestinationKind::Queue => &queue::KIND,
        DestinationKind::R2 => &r2::KIND,
        DestinationKind::S3 => &s3::KIND,
        DestinationKind::Gs => &gs::KIND,
        DestinationKind::Azure => &azure::KIND,
    }
}

/// What a destination takes in one push, where it says so; a job's own limits may be lower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Raw bytes.
    pub max_bytes: Option<u64>,
    /// Records.
    pub max_records: Option<u64>,
    /// Bytes of one record.
    pub max_record_bytes: Option<u64>,
    /// Bytes that a record grows by when it is written out for the destination, at most.
    pub record_overhead_bytes: u64,
}

impl Limits {
    /// The destination names none.
    const NONE: Self = Self {
        max_bytes: None,
        max_records: None,
        max_record_bytes: None,
        record_overhead_bytes: 0,
    };
}

/// What a destination takes in one push.
#[must_use]
pub fn limits(of: &DestinationConf) -> Limits {
    match of.kind() {
        DestinationKind::Https => https::limits(of),
        DestinationKind::Splunk => splunk::limits(of),
        other => kind(other).limits,
    }
}

/// Whether a batch can be passed on as the gzip that came: nothing is rewritten for the destination, and it names no limit.
#[must_use]
pub fn takes_batches_as_they_came(conf: &DestinationConf) -> bool {
    limits(conf) == Limits::NONE && !conf.has_plain_body()
}

/// How the bytes of a push are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One gzip member.
    Gzip,
    /// As they are.
    Identity,
}

/// What the caller has to do to push a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// One HTTP request with the payload as its body.
    Request {
        /// The request.
        request: Request,
        /// How the body is sent.
        encoding: Encoding,
        /// How the records are written out in it.
        frame: Frame,
    },
    /// Frames over a WebSocket.
    WebSocket(websocket::Conversation),
    /// Messages to a queue.
    Queue {
        /// The name under which the queue is bound to the Worker.
        binding: String,
        /// Stable id of the push.
        push_id: String,
        /// The replay that it is of.
        replay: Option<String>,
    },
    /// An object in storage, of gzip.
    Object(Object),
}

/// How a payload gets to a destination.
///
/// # Errors
///
/// Why it can not, as the job is configured: a sentence for whoever wrote the job, without secrets.
pub fn delivery(destination: &ResolvedDestination, push: &Push<'_>) -> Result<Delivery, String> {
    (kind(destination.kind).delivery)(destination, push)
}

impl Outcome {
    /// What an answer means. `now_unix_secs` is when it came: a `Retry-After` may be a date.
    #[must_use]
    pub fn from_answer(
        destination: &ResolvedDestination,
        answer: &Answer<'_>,
        now_unix_secs: i64,
    ) -> Self {
        match (kind(destination.kind).meaning)(answer) {
            None => match destination.kind {
                DestinationKind::Https => https::taken(destination, answer, now_unix_secs),
                DestinationKind::Splunk => splunk::taken(destination, answer),
                _ => Self::Accepted,
            },
            Some(meaning) => Self::failed(destination, answer, meaning, now_unix_secs),
        }
    }

    /// A failure with an answer.
    fn failed(
        destination: &ResolvedDestination,
        answer: &Answer<'_>,
        meaning: Meaning,
        now_unix_secs: i64,
    ) -> Self {
        Self::Failed(Failure {
            meaning: match meaning {
                Meaning::RetryLater { .. } => Meaning::RetryLater {
                    retry_after_secs: answer.retry_after_secs(now_unix_secs),
                },
                other => other,
            },
            status: network::status_behind(answer).unwrap_or(answer.status),
            reason: answer.reason(destination),
        })
    }

    /// Nothing was sent, because of a record that the destination would not take, or would cut.
    #[must_use]
    pub fn record_too_large(record: RecordTooLarge) -> Self {
        let status = network::NO_REQUEST;
        Self::Failed(Failure {
            // Not TooLarge: smaller pushes do not help, only one without it.
            meaning: Meaning::ContentRefused,
            status,
            reason: format!("error {status}: error pushing: {record}"),
        })
    }

    /// The destination took the push and did not say in time that it is safe; `last` is what went wrong when it was asked.
    #[must_use]
    pub fn unacknowledged(secs: u64, last: Option<&Failure>) -> Self {
        let status = network::UNACKNOWLEDGED;
        let last = last.map_or_else(String::new, |failure| format!("; {}", failure.reason));
        Self::Failed(Failure {
            meaning: https::LATER,
            status,
            reason: format!(
                "error {status}: error pushing: taken, but not acknowledged within {secs} s: sent again{last}"
            ),
        })
    }

    /// What it means that there was no answer: `text` is what the network said (no connection, timeout, …). Whether the
    /// destination has the payload is then not known, so it is pushed again under the same id.
    #[must_use]
    pub fn from_network_error(destination: &ResolvedDestination, text: &str) -> Self {
        let (kind, status) = (destination.kind.label(), network::status_of(text));
        let text = answer::excerpt(destination, text);
        Self::Failed(Failure {
            meaning: https::LATER,
            status,
            reason: format!("error {status}: error pushing: error uploading to {kind}: {text}"),
        })
    }

    /// There was no answer within the deadline.
    #[must_use]
    pub fn timed_out(secs: u64) -> Self {
        let status = network::TIMEOUT;
        Self::Failed(Failure {
            meaning: https::LATER,
            status,
            reason: format!("error {status}: error pushing: no answer within {secs} s"),
        })
    }

    /// Nothing was sent, for a reason that is not the destination's and may pass.
    #[must_use]
    pub fn internal(text: &str) -> Self {
        let status = network::INTERNAL;
        Self::Failed(Failure {
            meaning: https::LATER,
            status,
            reason: format!("error {status}: error pushing: {text}"),
        })
    }

    /// The payload is larger than anything that the destination takes; nothing was sent.
    #[must_use]
    pub fn too_large(destination: &ResolvedDestination, text: &str) -> Self {
        let (kind, status) = (destination.kind.label(), 413);
        Self::Failed(Failure {
            meaning: Meaning::TooLarge,
            status,
            reason: format!("error {status}: error pushing: error uploading to {kind}: {text}"),
        })
    }

    /// The job can not be pushed as it is configured; nothing was sent.
    #[must_use]
    pub fn misconfigured(text: &str) -> Self {
        let status = network::NO_REQUEST;
        Self::Failed(Failure {
            meaning: Meaning::ConfigurationRefused,
            status,
            reason: format!("error {status}: error pushing: {text}"),
        })
    }
}

#[cfg(test)]
mod http_tests;

#[cfg(test)]
mod tests;
