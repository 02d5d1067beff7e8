//! `GET /metrics`: asks every outbox and the ledgers in use.

use super::log::{self, LogError};
use super::objects::ledger::MinuteRange;
use super::objects::{ALERTS_NAME, Class, call, now_millis};
use crate::health::alerts::AlertsSummary;
use crate::health::metrics::{Format, JobMetrics, Metrics, document};
use crate::ledger::minute_of;
use worker::{Env, Request, Response, Result};

/// Answers in the format that the scraper prefers.
pub async fn handle(request: &Request, env: &Env) -> Result<Response> {
    let format = Format::accepted(request.headers().get("Accept")?.as_deref());
    let metrics = gather(env).await.map_err(|e| match e {
        LogError::Storage(e) => e,
        LogError::TooMuch => worker::Error::RustError("too many objects to ask".to_owned()),
    })?;
    let Some(text) = document(metrics, format) else {
        return Err(worker::Error::RustError(
            "the metrics could not be written".to_owned(),
        ));
    };
    let response = Response::ok(text)?;
    response
        .headers()
        .set("Content-Type", format.content_type())?;
    Ok(response)
}

async fn gather(env: &Env) -> std::result::Result<Metrics, LogError> {
    let datasets = log::datasets(env, None).await?;
    let outboxes = log::outboxes(env, None).await?;
    let alerts = call::<_, AlertsSummary>(env, Class::Alerts, ALERTS_NAME, "summary", &()).await;
    if let Err(e) = &alerts {
        // No reason to show nothing else.
        worker::console_error!("metrics of alerts: {e}");
    }
    let all_time = MinuteRange {
        from: 0,
        to: minute_of(now_millis()),
    };
    let events = super::events::counted(env, all_time).await?;
    let keeping = super::lifecycle::keeping(env).await;
    if let Err(e) = &keeping {
        worker::console_error!("metrics of what is kept: {e}");
    }
    let jobs = outboxes.into_iter().map(|(row, outbox)| JobMetrics {
        scope: row.job.scope.to_string(),
        dataset: row.job.dataset,
        id: row.job.id,
        name: row.job.name.unwrap_or_default(),
        enabled: row.job.enabled,
        outbox,
    });
    Ok(Metrics {
        // After the outboxes were asked, so that nothing waits for less than no time.
        now_millis: now_millis(),
        version: env!("CARGO_PKG_VERSION"),
        datasets,
        jobs: jobs.collect(),
        alerts: alerts.ok(),
        events,
        keeping: keeping.ok(),
    })
}
