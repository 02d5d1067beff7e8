//! Looking regularly: datasets that fell silent or bring bad lines, alerts of jobs that are gone, rows that are old.

use super::super::registry::{JobRow, JobsQuery, LedgerRow};
use super::super::{Class, REGISTRY_NAME, call, now_millis, read_json};
use super::{Alerts, Body};
use crate::alerting::Thresholds;
use crate::alerting::detect::{DatasetState, HISTORY_MINUTES, Minute};
use crate::runtime::config;
use crate::runtime::js::sql::params;
use crate::runtime::objects::ledger::PRESENCE_MILLIS;
use futures_util::future::join_all;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use worker::Result;

/// How long the history, and what belongs to alerts that are over, is kept: as long as Cloudflare's largest plan keeps it.
const KEEP_MILLIS: u64 = 90 * 24 * 3_600_000;

/// Ledgers asked in one look: a request may make 1,000 calls (Workers limits page).
const LEDGERS_MAX: usize = 800;

#[derive(Deserialize)]
struct DatasetRow {
    scope: String,
    dataset: String,
    body: String,
}

impl Alerts {
    /// Looks at every dataset that came within a day or is watched already.
    pub(super) async fn look(&self) -> Result<()> {
        let (thresholds, _) = Thresholds::read(|name| config::text(&self.env, name));
        self.age_out()?;
        self.end_alerts_of_deleted_jobs().await?;
        let now = now_millis();
        let mut ledgers: Vec<LedgerRow> =
            call(&self.env, Class::Registry, REGISTRY_NAME, "ledgers", &()).await?;
        // A ledger may take batches for an hour after it last said so.
        let horizon = now.saturating_sub(HISTORY_MINUTES * 60_000 + 2 * PRESENCE_MILLIS);
        ledgers.retain(|ledger| ledger.last_seen >= horizon);
        if ledgers.len() > LEDGERS_MAX {
            worker::console_warn!(
                "{} ledgers are in use, {LEDGERS_MAX} are looked at",
                ledgers.len()
            );
            ledgers.sort_by_key(|ledger| std::cmp::Reverse(ledger.last_seen));
            ledgers.truncate(LEDGERS_MAX);
        }
        let mut watched: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for ledger in ledgers {
            watched
                .entry((ledger.scope, ledger.dataset))
                .or_default()
                .push(ledger.name);
        }
        for (key, _) in self.states()? {
            watched.entry(key).or_default();
        }
        join_all(watched.into_iter().map(async |((scope, dataset), names)| {
            if let Err(e) = self.look_at(&scope, &dataset, &names, &thresholds).await {
                // Nothing is judged by what is not known; the next look comes soon.
                worker::console_error!("{scope}/{dataset} was not looked at: {e}");
            }
        }))
        .await;
        self.arm().await
    }

    fn states(&self) -> Result<BTreeMap<(String, String), DatasetState>> {
        let rows: Vec<DatasetRow> = self
            .sql()?
            .rows("SELECT scope, dataset, body FROM datasets", params![])?;
        rows.into_iter()
            .map(|row| Ok(((row.scope, row.dataset), read_json(&row.body)?)))
            .collect()
    }

    fn state_of(&self, scope: &str, dataset: &str) -> Result<DatasetState> {
        let row: Option<Body> = self.sql()?.first(
            "SELECT body FROM datasets WHERE scope = ? AND dataset = ?",
            params![scope, dataset],
        )?;
        row.map_or(Ok(DatasetState::default()), |row| read_json(&row.body))
    }

    async fn look_at(
        &self,
        scope: &str,
        dataset: &str,
        ledgers: &[String],
        thresholds: &Thresholds,
    ) -> Result<()> {
        let from = self
            .state_of(scope, dataset)?
            .read_from(now_millis(), thresholds);
        let mut minutes: BTreeMap<u64, Minute> = BTreeMap::new();
        let answers = ledgers
            .iter()
            .map(|name| call::<_, Vec<Minute>>(&self.env, Class::Ledger, name, "minutes", &from));
        for answer in join_all(answers).await {
            for minute in answer? {
                let sum = minutes.entry(minute.minute).or_default();
                sum.minute = minute.minute;
                sum.records += minute.records;
                sum.invalid_lines += minute.invalid_lines;
            }
        }
        let minutes: Vec<Minute> = minutes.into_values().collect();
        let sql = self.sql()?;
        sql.atomically(|| {
            // Read again: another look may have come between.
            let mut state = self.state_of(scope, dataset)?;
            let before = state.clone();
            let now = now_millis();
            for occurrence in state.look((scope, dataset), from, &minutes, now, thresholds) {
                self.write(&occurrence)?;
            }
            if state.is_forgotten(now) {
                return sql.run(
                    "DELETE FROM datasets WHERE scope = ? AND dataset = ?",
                    params![scope, dataset],
                );
            }
            if state == before {
                return Ok(());
            }
            sql.run(
                "INSERT INTO datasets (scope, dataset, body) VALUES (?, ?, ?)
                    ON CONFLICT (scope, dataset) DO UPDATE SET body = excluded.body",
                params![scope, dataset, &serde_json::to_string(&state)?],
            )
        })
    }

    /// Nobody will ever tell the end of these.
    async fn end_alerts_of_deleted_jobs(&self) -> Result<()> {
        let mut open = self.open()?;
        open.retain(|alert| alert.subject.job_id().is_some());
        if open.is_empty() {
            return Ok(());
        }
        let jobs: Vec<JobRow> = call(
            &self.env,
            Class::Registry,
            REGISTRY_NAME,
            "jobs",
            &JobsQuery::default(),
        )
        .await?;
        let jobs: BTreeSet<u64> = jobs.into_iter().map(|row| row.job.id).collect();
        for alert in open {
            if alert.subject.job_id().is_some_and(|id| !jobs.contains(&id)) {
                self.sql()?.run(
                    "UPDATE alerts SET ended_at = ? WHERE correlation = ? AND ended_at IS NULL",
                    params![now_millis(), &alert.correlation_id],
                )?;
            }
        }
        Ok(())
    }

    fn age_out(&self) -> Result<()> {
        let sql = self.sql()?;
        let old = now_millis().saturating_sub(KEEP_MILLIS);
        for query in [
            "DELETE FROM history WHERE sent_at < ?",
            "DELETE FROM alerts WHERE ended_at < ?",
            "DELETE FROM deliveries WHERE raised_at < ? AND state <> 'pending'
                AND correlation NOT IN (SELECT correlation FROM alerts)",
            "DELETE FROM occurrences WHERE raised_at < ?",
        ] {
            sql.run(query, params![old])?;
        }
        let longest = now_millis().saturating_sub(366 * 24 * 3_600_000);
        sql.run("DELETE FROM sent WHERE at < ?", params![longest])
    }
}
