//! Datadog's log intake, `/api/v2/logs` and the older `/v1/input`.
//!
//! Source: Datadog's API reference, "Send logs", v1 and v2: a JSON array of objects, gzip advised; at most 5 MB
//! uncompressed and 1,000 logs a request, 1 MB a log. A larger log is taken and cut, so ours is not sent at all.

use super::{Delivery, Encoding, Frame, Kind, Limits, Push, https};
use crate::logpush::destination_conf::ResolvedDestination;

/// Bytes of one log that the intake takes whole.
const MAX_RECORD_BYTES: u64 = 1_000_000;

pub(super) const KIND: Kind = Kind {
    limits: Limits {
        max_bytes: Some(5_000_000),
        max_records: Some(1_000),
        max_record_bytes: Some(MAX_RECORD_BYTES),
        record_overhead_bytes: 0,
    },
    delivery,
    ..https::KIND
};

/// Lines of JSON become an array. What a job writes out in another form is its own to get right: a document of JSON goes
/// as that, everything else as text, of which each line is a log.
fn delivery(destination: &ResolvedDestination, push: &Push<'_>) -> Result<Delivery, String> {
    let max_record_bytes = MAX_RECORD_BYTES;
    let (frame, content_type) = match push.content_type {
        _ if push.is_lines => (Frame::Array { max_record_bytes }, "application/json"),
        "application/json" => (Frame::Capped { max_record_bytes }, "application/json"),
        _ => (Frame::Capped { max_record_bytes }, "text/plain"),
    };
    let encoding = Encoding::Gzip;
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
