//! Telling somebody: compares what is wrong with what was raised, and raises the difference.

use super::super::now_millis;
use super::super::registry::JobRow;
use super::work::{job_state, trouble_of};
use super::{Outbox, Totals};
use crate::alerting::{JobFacts, Occurrence, Subject, Thresholds};
use crate::logpush::destination_conf::masked;
use crate::outbox::concerns::{self, Concern, Outlook};
use crate::runtime::js::sql::params;
use crate::runtime::{alerts, config};
use crate::time::rfc3339_millis;
use serde::Deserialize;
use worker::Result;

#[derive(Deserialize)]
struct Oldest {
    received_at: u64,
}

impl Outbox {
    /// Raises what somebody should be told, and what is over. Returns when there may be more to tell.
    pub(super) async fn raise_concerns(&self) -> Result<Option<u64>> {
        #[derive(Deserialize)]
        struct Known {
            raised: Option<String>,
            trouble: Option<String>,
            last_success: Option<u64>,
            last_complete: Option<u64>,
            last_error: Option<u64>,
            error_message: Option<String>,
        }
        let sql = self.sql()?;
        let Some(known) = sql.first::<Known>(
            "SELECT raised, trouble, last_success, last_complete, last_error, error_message FROM health",
            params![],
        )?
        else {
            return Ok(None);
        };
        let raised: Vec<Concern> = known
            .raised
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let trouble = trouble_of(known.trouble.as_deref());
        let oldest: Option<Oldest> = sql.first(
            "SELECT received_at FROM entries ORDER BY seq LIMIT 1",
            params![],
        )?;
        let oldest = oldest.map(|row| row.received_at);
        // Most of the time nothing is wrong, and nobody is asked.
        if raised.is_empty() && trouble.failing_since_millis.is_none() && oldest.is_none() {
            return Ok(None);
        }
        // The work has just asked for it.
        let read = self.job_read.take();
        let row = match read {
            Some(row) => Some(row),
            None => self.job().await?,
        };
        let Some(JobRow { job, deleted_at }) = row else {
            return Ok(None);
        };
        let outlook = Outlook {
            job: job_state(&job, deleted_at),
            disabled_by_failing_at_millis: job
                .disabled_by_failing_at_millis
                .filter(|_| deleted_at.is_none()),
            trouble,
            last_success_millis: known.last_success,
            oldest_received_millis: oldest,
        };
        let now = now_millis();
        let (thresholds, _) = Thresholds::read(|name| config::text(&self.env, name));
        let concerns = outlook.concerns(&raised, &thresholds, now);
        let changes = concerns::changes(&raised, &concerns);
        if !changes.is_empty() {
            let waiting: Option<Totals> = sql.first(
                "SELECT coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes,
                    min(received_at) AS oldest FROM entries",
                params![],
            )?;
            let stopped = match (deleted_at, job.is_wanted()) {
                (Some(_), _) => Some("deleted"),
                (None, false) => Some("disabled"),
                (None, true) => None,
            };
            let at = |millis: Option<u64>| millis.map(rfc3339_millis);
            let facts = JobFacts {
                id: job.id,
                name: job.name.clone(),
                scope: job.scope.to_string(),
                dataset: job.dataset.clone(),
                destination_conf: masked(&job.destination_conf),
                last_complete: at(known.last_complete),
                last_error: at(known.last_error),
                error_message: known.error_message,
                failing_since: at(trouble.failing_since_millis),
                backlog_records: waiting.as_ref().map_or(0, |waiting| waiting.records),
                backlog_bytes: waiting.as_ref().map_or(0, |waiting| waiting.bytes),
                backlog_oldest: at(waiting.and_then(|waiting| waiting.oldest)),
                stopped: stopped.map(str::to_owned),
            };
            for (event, concern) in changes {
                let occurrence = Occurrence::new(
                    concern.alert_type,
                    event,
                    concern.severity,
                    concern.since_millis,
                    now,
                    Subject::Job(facts.clone()),
                );
                alerts::raise(&self.env, &occurrence).await?;
            }
            // Should it die before this, they are raised again, and known by their ids.
            sql.run(
                "UPDATE health SET raised = ?",
                params![&serde_json::to_string(&concerns)?],
            )?;
        }
        Ok(outlook.next_look_millis(&thresholds, now))
    }
}
