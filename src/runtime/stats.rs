//! `GET /stats`: asks the ledgers and outboxes that the question concerns.

use super::objects::ledger::{MinuteRange, PRESENCE_MILLIS};
use super::objects::registry::{JobRow, JobsQuery, LedgerRow};
use super::objects::{Class, REGISTRY_NAME, call, now_millis};
use crate::health::stats::{DatasetStats, JobStats, Range, document};
use crate::ledger::{Summary as LedgerSummary, minute_of};
use crate::outbox::{Summary as OutboxSummary, instance_name};
use crate::time;
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use worker::{Env, Request, Response, Result};

/// Ledgers asked for one answer. A Worker may make 1,000 calls for one request (Workers limits page); the others go to the
/// registry and the outboxes.
const LEDGERS_MAX: usize = 800;

/// Answers with what is asked for by `scope`, `dataset`, `since`, `until` (RFC 3339 or unix).
pub async fn handle(request: &Request, env: &Env) -> Result<Response> {
    let url = request.url()?;
    let (mut scope, mut dataset) = (None, None);
    let mut range = Range {
        since_millis: 0,
        until_millis: now_millis(),
    };
    for (name, value) in url.query_pairs() {
        let instant = || {
            time::instant_from_str(&value)
                .and_then(|nanos| u64::try_from(nanos / 1_000_000).ok())
                .ok_or_else(|| format!("`{name}` must be a time: RFC 3339 or unix seconds"))
        };
        let read = match name.as_ref() {
            "scope" => {
                scope = Some(value.into_owned());
                Ok(())
            }
            "dataset" => {
                dataset = Some(value.into_owned());
                Ok(())
            }
            "since" => instant().map(|millis| range.since_millis = millis),
            "until" => instant().map(|millis| range.until_millis = millis),
            other => Err(format!(
                "unknown parameter `{other}`: use `scope`, `dataset`, `since`, `until`"
            )),
        };
        if let Err(message) = read {
            return super::error(400, "bad_request", &message);
        }
    }
    let minutes = MinuteRange {
        from: minute_of(range.since_millis),
        to: minute_of(range.until_millis),
    };
    // Outboxes before ledgers: a batch is in the outboxes before it is in the ledger.
    let query = JobsQuery {
        scope: scope.clone(),
        dataset: dataset.clone(),
        with_deleted: true,
        ..JobsQuery::default()
    };
    let rows: Vec<JobRow> = call(env, Class::Registry, REGISTRY_NAME, "jobs", &query).await?;
    let jobs = try_join_all(rows.into_iter().map(async |row| {
        let name = instance_name(row.job.id);
        let outbox: OutboxSummary = call(env, Class::Outbox, &name, "summary", &minutes).await?;
        let is_deleted = row.deleted_at.is_some();
        Ok::<_, worker::Error>(JobStats {
            job: row.job,
            is_deleted,
            outbox,
        })
    }))
    .await?;
    let ledgers: Vec<LedgerRow> = call(env, Class::Registry, REGISTRY_NAME, "ledgers", &()).await?;
    let concerned = ledgers.into_iter().filter(|ledger| {
        scope.as_ref().is_none_or(|scope| *scope == ledger.scope)
            && dataset.as_ref().is_none_or(|dataset| *dataset == ledger.dataset)
            && ledger.first_seen <= range.until_millis
            // It may have taken batches for an hour after it last said so.
            && ledger.last_seen + 2 * PRESENCE_MILLIS >= range.since_millis
    });
    let concerned: Vec<LedgerRow> = concerned.collect();
    if concerned.len() > LEDGERS_MAX {
        let message = format!(
            "{} ledgers (one per scope, dataset and day) took batches in that time, and at most {LEDGERS_MAX} can be asked: \
            narrow it by `scope`, `dataset`, `since` or `until`",
            concerned.len()
        );
        return super::error(400, "too_much_asked", &message);
    }
    let summaries = try_join_all(concerned.into_iter().map(async |ledger| {
        let summary: LedgerSummary =
            call(env, Class::Ledger, &ledger.name, "summary", &minutes).await?;
        Ok::<_, worker::Error>(((ledger.scope, ledger.dataset), summary))
    }))
    .await?;
    let mut by_dataset: BTreeMap<(String, String), LedgerSummary> = BTreeMap::new();
    for (key, summary) in summaries {
        by_dataset.entry(key).or_default().add(&summary);
    }
    let datasets: Vec<DatasetStats> = by_dataset
        .into_iter()
        .map(|((scope, dataset), summary)| DatasetStats {
            scope,
            dataset,
            summary,
        })
        .collect();
    let mut document = document(range, &datasets, &jobs);
    if let Some(members) = document.as_object_mut() {
        let alerts = super::alerts::stats(env, scope.as_deref(), dataset.as_deref()).await;
        members.insert("alerts".to_owned(), alerts);
    }
    Response::from_json(&document)
}
