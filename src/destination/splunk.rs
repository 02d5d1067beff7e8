//! Splunk's HTTP Event Collector (HEC), raw endpoint.
//!
//! Source: Splunk's "HTTP Event Collector REST API endpoints" and "Troubleshoot HTTP Event Collector".

use serde::Deserialize;

use super::{Answer, Push, Request, https};
use crate::logpush::destination_conf::ResolvedDestination;

/// What the collector says in its body. Everything else in there does not matter.
#[derive(Deserialize)]
struct Reply {
    /// 0 is success; 9, for one, is "Server is busy".
    code: i64,
}

/// The same POST as to any HTTPS endpoint: token and channel come with the destination string.
pub(super) fn request(destination: &ResolvedDestination, push: &Push<'_>) -> Request {
    https::request(destination, push)
}

/// Status 200, unless the body has a code other than 0. A body without a readable code says nothing against the status:
/// a load balancer in front may have replaced it.
pub(super) fn is_accepted(answer: &Answer<'_>) -> bool {
    answer.status == 200
        && serde_json::from_slice::<Reply>(answer.body).map_or(true, |reply| reply.code == 0)
}
