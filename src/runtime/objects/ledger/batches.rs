//! What a ledger says of single batches.

use super::Ledger;
use crate::ledger::{BATCHES_PAGE_MAX, BatchRow, BatchesQuery};
use crate::runtime::js::sql::params;
use serde::Deserialize;
use worker::Result;

#[derive(Deserialize)]
struct Row {
    id: String,
    object: String,
    object_bytes: u64,
    received_at: u64,
    first_at: Option<i64>,
    last_at: Option<i64>,
    records: u64,
    bytes_raw: u64,
    invalid_lines: u64,
}

impl From<Row> for BatchRow {
    fn from(row: Row) -> Self {
        Self {
            batch_id: row.id,
            object: row.object,
            object_bytes: row.object_bytes,
            received_at_millis: row.received_at,
            event_millis: row.first_at.zip(row.last_at),
            records: row.records,
            bytes_raw: row.bytes_raw,
            invalid_lines: row.invalid_lines,
        }
    }
}

impl Ledger {
    /// The next batches that may have records in a span. There is no index by time: it would be one more row written for
    /// every batch, and a page reads the batches of one day at most.
    pub(super) fn batches(&self, query: &BatchesQuery) -> Result<Vec<BatchRow>> {
        let after = query.after.as_ref();
        let rows: Vec<Row> = self.sql()?.rows(
            "SELECT id, object, object_bytes, received_at, first_at, last_at, records, bytes_raw, invalid_lines FROM batches
                WHERE coalesce(last_at, 0) >= ?1 AND coalesce(first_at, 0) < ?2
                AND (?4 IS NULL OR (coalesce(first_at, 0), id) > (?3, ?4))
                ORDER BY coalesce(first_at, 0), id LIMIT ?5",
            params![
                query.span.from_millis,
                query.span.until_millis,
                after.map_or(0, |after| after.first_millis),
                after.map(|after| after.batch_id.as_str()),
                query.limit.min(BATCHES_PAGE_MAX)
            ],
        )?;
        Ok(rows.into_iter().map(BatchRow::from).collect())
    }

    /// The batch that was received last.
    pub(super) fn newest(&self) -> Result<Option<BatchRow>> {
        let row: Option<Row> = self.sql()?.first(
            "SELECT id, object, object_bytes, received_at, first_at, last_at, records, bytes_raw, invalid_lines FROM batches
                ORDER BY received_at DESC LIMIT 1",
            params![],
        )?;
        Ok(row.map(BatchRow::from))
    }

    /// The earliest and the latest time of its records, unix milliseconds, those of batches without times being 0; `None`
    /// when there is no batch.
    pub(super) fn event_millis(&self) -> Result<Option<(i64, i64)>> {
        #[derive(Deserialize)]
        struct Times {
            first: Option<i64>,
            last: Option<i64>,
        }
        let times: Option<Times> = self.sql()?.first(
            "SELECT min(coalesce(first_at, 0)) AS first, max(coalesce(last_at, 0)) AS last FROM batches",
            params![],
        )?;
        Ok(times.and_then(|times| times.first.zip(times.last)))
    }
}
