//! Rows of batches, asked for by the time of their records: what replay and retrieval read.

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
