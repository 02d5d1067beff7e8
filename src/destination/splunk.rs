//! Splunk's HTTP Event Collector (HEC): the raw endpoint, the event endpoint, and indexer acknowledgement.
//!
//! Source: Splunk's "HTTP Event Collector REST API endpoints", "Format events for HTTP Event Collector", "About HTTP Event
//! Collector Indexer Acknowledgment" and "Troubleshoot HTTP Event Collector".

use std::collections::HashMap;

use serde::Deserialize;
use url::Url;

use super::{
    Answer, Delivery, Encoding, Envelope, Failure, Frame, Kind, Limits, Meaning, Outcome, Push,
    Request, https,
};
use crate::logpush::destination_conf::{ACK, DestinationConf, ENVELOPE, ResolvedDestination};

pub(super) const KIND: Kind = Kind {
    delivery,
    meaning,
    ..https::KIND
};

/// Path of the endpoint that is asked whether something is indexed.
const ACK_PATH: &str = "/services/collector/ack";

/// What the collector says in its body. Everything else in there does not matter.
#[derive(Deserialize)]
struct Reply {
    /// 0 is success; 9, for one, is "Server is busy".
    code: i64,
    /// The number to ask for, where the token has indexer acknowledgement.
    #[serde(default, rename = "ackId")]
    ack_id: Option<u64>,
}

/// `{"acks":{"7":true}}`
#[derive(Deserialize)]
struct Acknowledgements {
    acks: HashMap<String, bool>,
}

fn reply(answer: &Answer<'_>) -> Option<Reply> {
    serde_json::from_slice(answer.body).ok()
}

/// The collector's code, where the body has one.
pub(super) fn code(answer: &Answer<'_>) -> Option<i64> {
    reply(answer).map(|reply| reply.code)
}

/// Whether events stand in envelopes.
pub(super) fn is_event_endpoint(url: &str) -> bool {
    let path = url.split('?').next().unwrap_or_default();
    path.contains("/services/collector/event")
}

/// What a job's destination says of the envelope. Secrets count with the length of their names.
pub(super) fn limits(conf: &DestinationConf) -> Limits {
    if !is_event_endpoint(conf.endpoint()) {
        return Limits::NONE;
    }
    let members = ENVELOPE.map(|name| (name, conf.setting_text(name)));
    Limits {
        record_overhead_bytes: Envelope::new(&members, &[]).overhead_bytes(),
        ..Limits::NONE
    }
}

/// To the raw endpoint the same POST as to any HTTPS endpoint: token and channel come with the destination string. To the
/// event endpoint, records in envelopes.
fn delivery(destination: &ResolvedDestination, push: &Push<'_>) -> Result<Delivery, String> {
    let encoding = Encoding::Gzip;
    let (frame, content_type) = if is_event_endpoint(&destination.url) {
        let members = ENVELOPE.map(|name| (name, destination.setting(name).map(str::to_owned)));
        let envelope = Envelope::new(&members, push.timestamp_fields);
        (Frame::Events(envelope), "application/json")
    } else {
        (Frame::Stored, push.content_type)
    };
    let push = Push {
        content_type,
        ..*push
    };
    Ok(Delivery::Request {
        request: https::post(destination, &push, encoding),
        encoding,
        frame,
    })
}

/// The collector's code, where its body has one that we know; else the status, as of any HTTPS endpoint. A 200 without a
/// readable code is success: a load balancer in front may have replaced the body. Another 2xx is not: no collector
/// answers so.
pub(super) fn meaning(answer: &Answer<'_>) -> Option<Meaning> {
    match code(answer) {
        // 24 and 25: taken, but the queue or the channel of acknowledgements is nearly full.
        Some(0 | 24 | 25) | None if answer.status == 200 => None,
        // Token disabled, required, invalid; incorrect index; channel missing, invalid; acknowledgement disabled; query
        // string authorization not enabled.
        Some(1..=4 | 7 | 10 | 11 | 14 | 16 | 21 | 22) => Some(Meaning::ConfigurationRefused),
        // No data, invalid format, event field missing or blank, indexed fields.
        Some(5 | 6 | 12 | 13 | 15) => Some(Meaning::ContentRefused),
        // Internal error, busy, unhealthy, shutting down.
        Some(8 | 9 | 18..=20 | 23) => Some(https::LATER),
        // 26 and 27 come with 429: the queue or the channel is full. Other versions say 413 with 27.
        _ => https::meaning(answer).or(Some(https::LATER)),
    }
}

/// What it means that the collector took a push.
pub(super) fn taken(destination: &ResolvedDestination, answer: &Answer<'_>) -> Outcome {
    let reply = reply(answer);
    if destination.setting(ACK) == Some("true") {
        return match reply.and_then(|reply| reply.ack_id) {
            Some(receipt) => Outcome::Taken { receipt },
            None => Outcome::Failed(Failure {
                meaning: Meaning::ConfigurationRefused,
                status: answer.status,
                reason: format!(
                    "error {}: error pushing: error uploading to splunk: ack=true, but the answer has no ackId; enable \
                     indexer acknowledgement for the token, or set ack=false",
                    answer.status
                ),
            }),
        };
    }
    match reply.map(|reply| reply.code) {
        Some(24 | 25) => Outcome::AcceptedNearCapacity,
        _ => Outcome::Accepted,
    }
}

/// Asks for one acknowledgement, on the channel of the push.
pub(super) fn question(
    destination: &ResolvedDestination,
    number: u64,
) -> Option<(Request, String)> {
    let push = Push {
        content_type: "application/json",
        ..Push::ndjson("")
    };
    let mut request = https::post(destination, &push, Encoding::Identity);
    request
        .headers
        .retain(|(name, _)| name != super::PUSH_ID_HEADER);
    let mut url = Url::parse(&destination.url).ok()?;
    let channel = url
        .query_pairs()
        .find(|(name, _)| name == "channel")
        .map(|(_, value)| value.into_owned());
    url.set_path(ACK_PATH);
    url.set_query(None);
    if let Some(channel) = channel {
        url.query_pairs_mut().append_pair("channel", &channel);
    }
    request.url = url.into();
    Some((request, format!("{{\"acks\":[{number}]}}")))
}

/// Whether an answer to [`question`] says that `number` is indexed; `None` when it is no such answer.
pub(super) fn acknowledged(answer: &Answer<'_>, number: u64) -> Option<bool> {
    if answer.status != 200 {
        return None;
    }
    let said: Acknowledgements = serde_json::from_slice(answer.body).ok()?;
    Some(said.acks.get(&number.to_string()).copied().unwrap_or(false))
}
