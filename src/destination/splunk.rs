//! Splunk's HTTP Event Collector (HEC), raw endpoint.
//!
//! Source: Splunk's "HTTP Event Collector REST API endpoints" and "Troubleshoot HTTP Event Collector".

use serde::Deserialize;

use super::{Answer, Kind, Meaning, https};

/// The same POST as to any HTTPS endpoint: token and channel come with the destination string.
pub(super) const KIND: Kind = Kind {
    meaning,
    ..https::KIND
};

/// What the collector says in its body. Everything else in there does not matter.
#[derive(Deserialize)]
struct Reply {
    /// 0 is success; 9, for one, is "Server is busy".
    code: i64,
}

/// The collector's code, where its body has one that we know; else the status, as of any HTTPS endpoint. A 200 without a
/// readable code is success: a load balancer in front may have replaced the body. Another 2xx is not: no collector
/// answers so.
fn meaning(answer: &Answer<'_>) -> Option<Meaning> {
    let reply: Option<Reply> = serde_json::from_slice(answer.body).ok();
    match reply.map(|reply| reply.code) {
        Some(0) | None if answer.status == 200 => None,
        // Token disabled, required, invalid; incorrect index; channel missing, invalid; acknowledgement disabled; query
        // string authorization not enabled.
        Some(1..=4 | 7 | 10 | 11 | 14 | 16 | 21 | 22) => Some(Meaning::ConfigurationRefused),
        // No data, invalid format, event field missing or blank, indexed fields.
        Some(5 | 6 | 12 | 13 | 15) => Some(Meaning::ContentRefused),
        // Internal error, busy, unhealthy.
        Some(8 | 9 | 18..=20) => Some(https::LATER),
        _ => https::meaning(answer).or(Some(https::LATER)),
    }
}
