//! What `/stats` and the API show of an outbox.

use super::super::{now_millis, read_json};
use super::{Outbox, Totals};
use crate::health::tables;
use crate::ledger::{WINDOWS_MINUTES, minute_of};
use crate::outbox::{Health, Receipt, Recent, Summary};
use crate::runtime::js::sql::params;
use crate::runtime::objects::ledger::MinuteRange;
use serde::Deserialize;
use worker::Result;

impl Outbox {
    pub(super) fn health(&self) -> Result<Health> {
        let health = self.sql()?.first(
            "SELECT last_complete AS last_complete_millis, last_error AS last_error_millis, error_message FROM health",
            params![],
        )?;
        Ok(health.unwrap_or_default())
    }

    fn recent(&self) -> Result<[Recent; WINDOWS_MINUTES.len()]> {
        let [short, medium, long] = WINDOWS_MINUTES;
        let (rows, _) = self.sql()?.texts(
            tables::RECENT,
            params![minute_of(now_millis()), short, medium, long],
        )?;
        let mut windows = [Recent::default(); WINDOWS_MINUTES.len()];
        for row in rows {
            type Row = (usize, u64, u64, u64, u64, u64, u64, u64);
            let row: Row = read_json(&row)?;
            // What is in a small window is in the larger ones, too.
            for window in windows.iter_mut().skip(row.0) {
                window.pushes += row.1;
                window.records += row.2;
                window.bytes += row.3;
                window.bytes_compressed += row.4;
                window.failures += row.5;
                window.dead_records += row.6;
                window.duration_millis += row.7;
            }
        }
        Ok(windows)
    }

    pub(super) fn summary(&self, range: MinuteRange) -> Result<Summary> {
        let sql = self.sql()?;
        let between = || params![range.from, range.to];
        let mut summary: Summary = sql
            .first(
                "SELECT coalesce(sum(stored_batches), 0) AS stored_batches,
                    coalesce(sum(stored_records), 0) AS stored_records, coalesce(sum(stored_bytes), 0) AS stored_bytes,
                    coalesce(sum(delivered_records), 0) AS delivered_records,
                    coalesce(sum(delivered_bytes), 0) AS delivered_bytes,
                    coalesce(sum(discarded_records), 0) AS discarded_records,
                    coalesce(sum(discarded_bytes), 0) AS discarded_bytes FROM minutes WHERE minute BETWEEN ? AND ?",
                between(),
            )?
            .unwrap_or_default();
        let waiting: Option<Totals> = sql.first(
            "SELECT coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes, min(received_at) AS oldest
                FROM entries WHERE minute BETWEEN ? AND ?",
            between(),
        )?;
        if let Some(waiting) = waiting {
            summary.waiting_records = waiting.records;
            summary.waiting_bytes = waiting.bytes;
            summary.oldest_waiting_millis = waiting.oldest;
        }
        let dead: Option<Totals> = sql.first(
            "SELECT coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes, min(died_at) AS oldest
                FROM dead WHERE minute BETWEEN ? AND ?",
            between(),
        )?;
        if let Some(dead) = dead {
            summary.dead_records = dead.records;
            summary.dead_bytes = dead.bytes;
        }
        let now = self.now()?;
        summary.dead_letters = now.dead_letters;
        summary.lag_since_millis = now.oldest_waiting_millis;
        summary.last_failure_millis = now.totals.last_failure_millis;
        summary.last_failure_status = now.totals.last_failure_status;
        summary.recent = self.recent()?;
        let trouble = self.trouble()?;
        summary.parked_since_millis = trouble.parked.map(|parked| parked.since_millis);
        summary.failing_since_millis = trouble.failing_since_millis;
        summary.consecutive_failures = trouble.consecutive_failures;
        #[derive(Deserialize)]
        struct Health {
            delivered_pushes: u64,
            last_success: Option<u64>,
            last_error: Option<u64>,
            error_message: Option<String>,
        }
        if let Some(health) = sql.first::<Health>("SELECT * FROM health", params![])? {
            summary.delivered_pushes = health.delivered_pushes;
            summary.last_success_millis = health.last_success;
            summary.last_error_millis = health.last_error;
            summary.error_message = health.error_message;
        }
        if let Some(push) = self.current_push()? {
            summary.attempts = push.attempts;
            let receipt: Option<Receipt> = push
                .receipt
                .and_then(|text| serde_json::from_str(&text).ok());
            if let Some(receipt) = receipt {
                summary.unacknowledged_records = push.records;
                summary.taken_at_millis = Some(receipt.taken_at_millis);
            }
        }
        Ok(summary)
    }
}
