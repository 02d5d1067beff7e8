//! `GET /stats`: asks the ledgers and outboxes that the question concerns.

use super::log::{CALLS, jobs, ledgers};
use super::objects::ledger::MinuteRange;
use super::objects::{Class, call, now_millis};
use super::replays;
use crate::alerting::Thresholds;
use crate::health::log::{HOUR_MILLIS, Span};
use crate::health::stats::{DatasetStats, JobStats, Range, View, document, events_value};
use crate::health::stats_text;
use crate::ledger::{Summary as LedgerSummary, minute_of};
use crate::outbox::{Summary as OutboxSummary, instance_name};
use crate::runtime::config;
use crate::time;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use worker::{Env, Request, Response, Result};

/// Ledgers asked for one answer. A Worker may make 1,000 calls for one request (Workers limits page); the others go to the
/// registry and the outboxes.
const LEDGERS_MAX: usize = 800;

/// Answers with what is asked for by `scope`, `dataset`, `since`, `until` (RFC 3339 or unix); `format=text` for a terminal.
pub async fn handle(request: &Request, env: &Env) -> Result<Response> {
    let url = request.url()?;
    let (mut scope, mut dataset) = (None, None);
    let mut is_text = false;
    let now = now_millis();
    let mut range = Range {
        since_millis: 0,
        until_millis: now,
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
            "format" => match value.as_ref() {
                "json" => Ok(()),
                "text" => {
                    is_text = true;
                    Ok(())
                }
                _ => Err("`format` must be `json` or `text`".to_owned()),
            },
            other => Err(format!(
                "unknown parameter `{other}`: use `scope`, `dataset`, `since`, `until`, `format`"
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
    let rows = jobs(env, scope.as_deref(), dataset.as_deref()).await?;
    let outboxes = stream::iter(rows).map(async |row| {
        let name = instance_name(row.job.id);
        let outbox: OutboxSummary = call(env, Class::Outbox, &name, "summary", &minutes).await?;
        let is_deleted = row.deleted_at.is_some();
        Ok::<_, worker::Error>(JobStats {
            job: row.job,
            is_deleted,
            outbox,
            replay: None,
        })
    });
    let mut jobs: Vec<JobStats> = outboxes.buffered(CALLS).try_collect().await?;
    // After the outboxes, for the same reason.
    for replay in replays::stats(env, scope.as_deref(), dataset.as_deref(), minutes).await? {
        let of = jobs
            .iter_mut()
            .find(|stats| stats.job.id == replay.spec.job);
        if let Some(stats) = of {
            stats.replay = Some(replay);
        }
    }
    let asked = |from_millis: u64, until_millis: u64| {
        let span = Span {
            from_millis,
            until_millis: until_millis.saturating_add(1),
        };
        ledgers(env, scope.as_deref(), dataset.as_deref(), span)
    };
    let mut concerned = asked(range.since_millis, range.until_millis).await?;
    if range.until_millis < now || range.since_millis > now - RECENT_MILLIS {
        // Whatever is asked for, the windows that end now are part of the answer.
        concerned.extend(asked(now - RECENT_MILLIS, now).await?);
        concerned.sort_by(|a, b| a.name.cmp(&b.name));
        concerned.dedup_by(|a, b| a.name == b.name);
    }
    if concerned.len() > LEDGERS_MAX {
        let message = format!(
            "{} ledgers (one per scope, dataset and day) took batches in that time, and at most {LEDGERS_MAX} can be asked: \
            narrow it by `scope`, `dataset`, `since` or `until`",
            concerned.len()
        );
        return super::error(400, "too_much_asked", &message);
    }
    let summaries = stream::iter(concerned).map(async |ledger| {
        let summary: LedgerSummary =
            call(env, Class::Ledger, &ledger.name, "summary", &minutes).await?;
        Ok::<_, worker::Error>(((ledger.scope, ledger.dataset), summary))
    });
    let mut summaries = summaries.buffered(CALLS);
    let mut by_dataset: BTreeMap<(String, String), LedgerSummary> = BTreeMap::new();
    while let Some((key, summary)) = summaries.try_next().await? {
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
    let (thresholds, _) = Thresholds::read(|name| config::text(env, name));
    let view = View {
        range,
        now_millis: now,
        backlog_millis: thresholds.backlog_millis,
    };
    if is_text {
        return Response::ok(stats_text::text(&view, &datasets, &jobs));
    }
    let mut document = document(&view, &datasets, &jobs);
    if let Some(members) = document.as_object_mut() {
        let alerts = super::alerts::stats(env, scope.as_deref(), dataset.as_deref()).await;
        members.insert("alerts".to_owned(), alerts);
        let counts = super::events::counted(env, minutes).await?;
        let problem = config::paths(env).err().map(|e| e.to_string());
        members.insert("r2_events".to_owned(), events_value(&counts, problem));
        let archive = super::lifecycle::stats(env, scope.as_deref(), dataset.as_deref()).await;
        members.insert("archive".to_owned(), archive);
    }
    Response::from_json(&document)
}

/// The longest of the windows, and an hour in which a ledger does not say again that it is in use.
const RECENT_MILLIS: u64 = 26 * HOUR_MILLIS;
