//! Rows of batches, asked for by the time of their records: what replay and retrieval read.

use crate::route::RayBounds;
use serde::{Deserialize, Serialize};

/// Rows of one answer at most: some 300 KB, and a scan of the ledger that ends in tens of milliseconds.
pub const BATCHES_PAGE_MAX: u64 = 1_000;

/// A range of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSpan {
    /// Its first millisecond, unix.
    pub from_millis: i64,
    /// The first one after it.
    pub until_millis: i64,
}

impl EventSpan {
    /// Whether a batch with these times (earliest and latest, both included) has records in it, or may have: times are
    /// known to the millisecond. One without times counts as at 0.
    #[must_use]
    pub fn meets(&self, event_millis: Option<(i64, i64)>) -> bool {
        let (first, last) = event_millis.unwrap_or((0, 0));
        last >= self.from_millis && first < self.until_millis
    }
}

/// A place in the order of a ledger's batches: earliest event time, then batch id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchCursor {
    /// Earliest event time, unix milliseconds; 0 where none is known.
    pub first_millis: i64,
    /// The batch.
    pub batch_id: String,
}

/// Which batches of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchesQuery {
    /// Those that may have records in it.
    pub span: EventSpan,
    /// Those behind this place.
    pub after: Option<BatchCursor>,
    /// So many, and at most [`BATCHES_PAGE_MAX`].
    pub limit: u64,
    /// Of those, the ones that this is true of.
    #[serde(default)]
    pub rays: Option<RayQuestion>,
    /// Only those that a job has not met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmet: Option<Unmet>,
}

/// What is asked about a batch's RayIDs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RayQuestion {
    /// It may have this one: it lies within the bounds that were noted, or none were.
    MayHave(String),
    /// Their bounds were not noted.
    NotNoted,
}

/// Bounds that are noted later than the batch came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedRays {
    /// The batch.
    pub batch_id: String,
    /// Its bounds.
    pub bounds: RayBounds,
}

/// Batches of which a job has no selection, not even an owed one, and that came before a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmet {
    /// The job.
    pub job_id: u64,
    /// Unix milliseconds.
    pub received_before_millis: u64,
}

/// A batch, as its row tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRow {
    /// SHA-256 of the bytes as received, lower-case hex.
    pub batch_id: String,
    /// The object in the archive.
    pub object: String,
    /// Its size.
    pub object_bytes: u64,
    /// When the batch was received, unix milliseconds.
    pub received_at_millis: u64,
    /// Earliest and latest event time, unix milliseconds, where known.
    pub event_millis: Option<(i64, i64)>,
    /// Records.
    pub records: u64,
    /// Bytes after inflating.
    pub bytes_raw: u64,
    /// Lines that are no records.
    pub invalid_lines: u64,
    /// Its object has been deleted by age (`RETAIN_RAW_DAYS`): there is nothing to read.
    #[serde(default)]
    pub expired: bool,
}

impl BatchRow {
    /// Its place in the order.
    #[must_use]
    pub fn cursor(&self) -> BatchCursor {
        BatchCursor {
            first_millis: self.event_millis.map_or(0, |(first, _)| first),
            batch_id: self.batch_id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_meets_a_span_that_has_one_of_its_milliseconds() {
        let span = EventSpan {
            from_millis: 10,
            until_millis: 20,
        };
        let table = [
            (Some((0, 9)), false),
            (Some((0, 10)), true),
            (Some((19, 30)), true),
            (Some((20, 30)), false),
            (Some((0, 100)), true),
            (None, false),
        ];
        for (times, meets) in table {
            assert_eq!(span.meets(times), meets, "{times:?}");
        }
    }
}
