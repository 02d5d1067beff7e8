//! SentinelOne's collector: the path and the answers of Splunk's raw endpoint, with a bearer token.
//!
//! Source: Cloudflare's "Enable SentinelOne" page for the string. Of limits and of codes nothing is public, so a code that
//! is Splunk's counts as Splunk's, and everything else by status.

use super::{Answer, Kind, Meaning, https, splunk};

pub(super) const KIND: Kind = Kind {
    meaning,
    ..https::KIND
};

fn meaning(answer: &Answer<'_>) -> Option<Meaning> {
    match splunk::code(answer) {
        Some(code) if code != 0 => splunk::meaning(answer),
        _ => https::meaning(answer),
    }
}
