//! What a ledger says of single batches.

use super::super::now_millis;
use super::{Ledger, keep};
use crate::ledger::{BATCHES_PAGE_MAX, BatchRow, BatchesQuery, NotedRays, RayQuestion};
use crate::replay::Sum;
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

impl Row {
    /// `expired_before`: batches that were received before this time have expired.
    fn read(self, expired_before: u64) -> BatchRow {
        let row = self;
        BatchRow {
            expired: row.received_at < expired_before && keep::expires(&row.object),
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
        let (ray, is_not_noted) = match &query.rays {
            None => (None, 0),
            Some(RayQuestion::MayHave(ray)) => (Some(ray.as_str()), 0),
            Some(RayQuestion::NotNoted) => (None, 1),
        };
        let unmet = query.unmet.as_ref();
        let rows: Vec<Row> = self.sql()?.rows(
            "SELECT id, object, object_bytes, received_at, first_at, last_at, records, bytes_raw, invalid_lines FROM batches
                WHERE coalesce(last_at, 0) >= ?1 AND coalesce(first_at, 0) < ?2
                AND (?4 IS NULL OR (coalesce(first_at, 0), id) > (?3, ?4))
                AND (?6 IS NULL OR ray_least IS NULL OR (ray_least <= ?6 AND ray_greatest >= ?6))
                AND (?7 = 0 OR ray_least IS NULL)
                AND (?8 IS NULL OR (received_at < ?9
                    AND NOT EXISTS (SELECT 1 FROM selections WHERE batch = batches.id AND job = ?8)))
                ORDER BY coalesce(first_at, 0), id LIMIT ?5",
            params![
                query.span.from_millis,
                query.span.until_millis,
                after.map_or(0, |after| after.first_millis),
                after.map(|after| after.batch_id.as_str()),
                query.limit.min(BATCHES_PAGE_MAX),
                ray,
                is_not_noted as u64,
                unmet.map(|unmet| unmet.job_id),
                unmet.map(|unmet| unmet.received_before_millis)
            ],
        )?;
        let expired_before = self.expired_by_now()?;
        Ok(rows
            .into_iter()
            .map(|row| row.read(expired_before))
            .collect())
    }

    /// What is written down as expired, and what has expired since.
    fn expired_by_now(&self) -> Result<u64> {
        let (retention, _) = crate::runtime::lifecycle::retention(&self.env);
        let by_now = retention.raw_gone_before(now_millis());
        Ok(self.expired_before()?.max(by_now))
    }

    /// Notes the bounds of a batch's RayIDs.
    pub(super) fn note_rays(&self, noted: &NotedRays) -> Result<()> {
        self.sql()?.run(
            "UPDATE batches SET ray_least = ?, ray_greatest = ? WHERE id = ?",
            params![&noted.bounds.least, &noted.bounds.greatest, &noted.batch_id],
        )
    }

    /// What the batches of a query add up to, wherever a page of it would begin or end.
    pub(super) fn sum(&self, query: &BatchesQuery) -> Result<Sum> {
        let unmet = query.unmet.as_ref();
        let sum: Option<Sum> = self.sql()?.first(
            "SELECT count(*) AS batches, coalesce(sum(records), 0) AS records, coalesce(sum(bytes_raw), 0) AS bytes_raw,
                coalesce(sum(object_bytes), 0) AS object_bytes FROM batches
                WHERE coalesce(last_at, 0) >= ?1 AND coalesce(first_at, 0) < ?2
                AND (?3 IS NULL OR (received_at < ?4
                    AND NOT EXISTS (SELECT 1 FROM selections WHERE batch = batches.id AND job = ?3)))",
            params![
                query.span.from_millis,
                query.span.until_millis,
                unmet.map(|unmet| unmet.job_id),
                unmet.map(|unmet| unmet.received_before_millis)
            ],
        )?;
        Ok(sum.unwrap_or_default())
    }

    /// The batch that was received last.
    pub(super) fn newest(&self) -> Result<Option<BatchRow>> {
        let row: Option<Row> = self.sql()?.first(
            "SELECT id, object, object_bytes, received_at, first_at, last_at, records, bytes_raw, invalid_lines FROM batches
                ORDER BY received_at DESC LIMIT 1",
            params![],
        )?;
        let expired_before = self.expired_by_now()?;
        Ok(row.map(|row| row.read(expired_before)))
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
