//! Any HTTPS endpoint, as Logpush's own `https://` destination speaks to it.

use super::{
    Answer, Delivery, Encoding, Frame, Kind, Limits, Meaning, Outcome, PUSH_ID_HEADER, Push,
    REDIRECT, REPLAY_HEADER, Request, USER_AGENT,
};
use crate::logpush::destination_conf::{DestinationConf, ResolvedDestination};
use crate::route::NDJSON;

pub(super) const KIND: Kind = Kind {
    limits: Limits::NONE,
    delivery,
    meaning,
    says,
};

/// Try again; how long to wait stands in the answer's header.
pub const LATER: Meaning = Meaning::RetryLater {
    retry_after_secs: None,
};

/// Where New Relic's Log API is.
const NEW_RELIC: [&str; 2] = [
    "https://log-api.newrelic.com/",
    "https://log-api.eu.newrelic.com/",
];

/// New Relic takes 1 MB (10^6 bytes) a POST, as it is sent ("Introduction to the Log API"). Logs of every dataset come
/// down to less than a quarter as gzip; of what does not, it refuses too much with 413, and less is sent.
const NEW_RELIC_MAX_BYTES: u64 = 4_000_000;

fn is_new_relic(url: &str) -> bool {
    NEW_RELIC.iter().any(|place| url.starts_with(place))
}

/// What is known of an endpoint by its address.
pub(super) fn limits(conf: &DestinationConf) -> Limits {
    if !is_new_relic(conf.endpoint()) {
        return Limits::NONE;
    }
    Limits {
        max_bytes: Some(NEW_RELIC_MAX_BYTES),
        ..Limits::NONE
    }
}

/// One POST, of gzip unless the job says `header_Content-Encoding=identity`.
fn delivery(destination: &ResolvedDestination, push: &Push<'_>) -> Result<Delivery, String> {
    let encoding = if destination.plain_body {
        Encoding::Identity
    } else {
        Encoding::Gzip
    };
    let content_type = match push.content_type {
        // The Log API takes no other media type.
        NDJSON if is_new_relic(&destination.url) => "application/json",
        other => other,
    };
    let push = Push {
        content_type,
        ..*push
    };
    Ok(Delivery::Request {
        request: post(destination, &push, encoding),
        encoding,
        frame: Frame::Stored,
    })
}

/// What it means that an endpoint took a push: of Elasticsearch's bulk API, nothing yet. It answers 200 whatever became of
/// the records, and says in the body whether there were errors ("Bulk API", Elasticsearch's reference).
pub(super) fn taken(
    destination: &ResolvedDestination,
    answer: &Answer<'_>,
    now_unix_secs: i64,
) -> Outcome {
    let path = destination.url.split('?').next().unwrap_or_default();
    let said: Vec<u8> = answer
        .body
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let has = |text: &[u8]| memchr::memmem::find(&said, text).is_some();
    if !path.ends_with("/_bulk") || !has(br#""errors":true"#) {
        return Outcome::Accepted;
    }
    // A queue of the cluster that is full refuses some of a bulk, and takes them later.
    let is_overload = [429, 500, 502, 503, 504]
        .iter()
        .any(|status| has(format!("\"status\":{status}").as_bytes()));
    let meaning = if is_overload {
        LATER
    } else {
        Meaning::ContentRefused
    };
    Outcome::failed(destination, answer, meaning, now_unix_secs)
}

/// A POST with our headers and the job's. A job may say another `Content-Type` and `User-Agent`; nothing else of ours is
/// its to set, which the parser of destination strings sees to.
pub(super) fn post(
    destination: &ResolvedDestination,
    push: &Push<'_>,
    encoding: Encoding,
) -> Request {
    let jobs_own = |ours: &str| {
        destination
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(ours))
    };
    let content_encoding = match encoding {
        Encoding::Gzip => Some("gzip"),
        // The same as none, and there are servers that know none.
        Encoding::Identity => None,
    };
    let ours = [
        ("Content-Type", Some(push.content_type)),
        ("User-Agent", Some(USER_AGENT)),
        ("Content-Encoding", content_encoding),
        (PUSH_ID_HEADER, Some(push.id)),
        (REPLAY_HEADER, push.replay),
    ];
    let ours = ours
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .filter(|(name, _)| !jobs_own(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Request {
        method: "POST",
        url: destination.url.clone(),
        headers: ours.chain(destination.headers.iter().cloned()).collect(),
    }
}

/// All of the body: what a server has to say is for whoever made the destination. Of a redirect what to do about it, and
/// not where it leads: such links may hold credentials.
fn says(answer: &Answer<'_>) -> String {
    if (300..400).contains(&answer.status) {
        return REDIRECT.to_owned();
    }
    String::from_utf8_lossy(answer.body).into_owned()
}

/// Any 2xx is success: receivers in the wild answer 200, 202 or 204. A redirect is not followed, so somebody has to
/// write the new address into the job.
pub(super) fn meaning(answer: &Answer<'_>) -> Option<Meaning> {
    match answer.status {
        200..=299 => None,
        413 => Some(Meaning::TooLarge),
        // 405 and 415 are about the form of every request, not about the records in one.
        300..=399 | 401..=405 | 407 | 410 | 415 => Some(Meaning::ConfigurationRefused),
        408 | 425 | 429 => Some(LATER),
        400..=499 if speaks_of_size(answer.body) => Some(Meaning::TooLarge),
        400..=499 => Some(Meaning::ContentRefused),
        _ => Some(LATER),
    }
}

/// Whether a refusal without status 413 is one of size all the same. Being wrong costs a few pushes: both kinds are
/// halved until one record stands alone.
fn speaks_of_size(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let has = |word| text.contains(word);
    has("too large")
        || has("toolarge")
        || (has("exceed") && (has("size") || has("length") || has("bytes")))
        || has("max message size")
}
