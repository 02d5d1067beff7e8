//! Any HTTPS endpoint, as Logpush's own `https://` destination speaks to it.

use super::{Answer, PUSH_ID_HEADER, Push, Request, USER_AGENT};
use crate::logpush::destination_conf::ResolvedDestination;

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

/// Any 2xx: receivers in the wild answer 200, 202 or 204.
pub(super) fn is_accepted(answer: &Answer<'_>) -> bool {
    (200..300).contains(&answer.status)
}
