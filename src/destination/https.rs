//! Any HTTPS endpoint, as Logpush's own `https://` destination speaks to it.

use super::{Answer, Meaning, PUSH_ID_HEADER, Push, Request, USER_AGENT};
use crate::logpush::destination_conf::ResolvedDestination;

/// Try again; how long to wait stands in the answer's header.
pub(super) const LATER: Meaning = Meaning::RetryLater {
    retry_after_secs: None,
};

/// One POST. A job may say another `Content-Type` and `User-Agent`; nothing else of ours is its to set, which the
/// parser of destination strings sees to.
pub(super) fn request(destination: &ResolvedDestination, push: &Push<'_>) -> Request {
    let jobs_own = |ours: &str| {
        destination
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(ours))
    };
    let ours = [
        ("Content-Type", push.content_type, true),
        ("User-Agent", USER_AGENT, true),
        ("Content-Encoding", "gzip", push.gzip),
        (PUSH_ID_HEADER, push.id, true),
    ];
    let ours = ours
        .into_iter()
        .filter(|(name, _, wanted)| *wanted && !jobs_own(name))
        .map(|(name, value, _)| (name.to_owned(), value.to_owned()));
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
