//! Any HTTPS endpoint, as Logpush's own `https://` destination speaks to it.

use super::{
    Answer, Delivery, Encoding, Kind, Limits, Meaning, PUSH_ID_HEADER, Push, Request, USER_AGENT,
};
use crate::logpush::destination_conf::ResolvedDestination;

pub(super) const KIND: Kind = Kind {
    limits: Limits::NONE,
    delivery,
    meaning,
};

/// Try again; how long to wait stands in the answer's header.
pub(super) const LATER: Meaning = Meaning::RetryLater {
    retry_after_secs: None,
};

/// One POST of gzip.
fn delivery(destination: &ResolvedDestination, push: &Push<'_>) -> Result<Delivery, String> {
    let encoding = Encoding::Gzip;
    Ok(Delivery::Request {
        request: post(destination, push, encoding),
        encoding,
    })
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
    let ours = [
        ("Content-Type", push.content_type),
        ("User-Agent", USER_AGENT),
        (
            "Content-Encoding",
            match encoding {
                Encoding::Gzip => "gzip",
            },
        ),
        (PUSH_ID_HEADER, push.id),
    ];
    let ours = ours
        .into_iter()
        .filter(|(name, _)| !jobs_own(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Request {
        method: "POST",
        url: destination.url.clone(),
        headers: ours.chain(destination.headers.iter().cloned()).collect(),
    }
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
