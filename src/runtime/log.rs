//! Asks the outboxes and ledgers of a scope for their logs, and puts the answers together.
//!
//! Six calls at a time: more are not in flight for one request anyway (Workers limits page). A long span is asked for in
//! pieces, so that no object is busy with one for long, and appends and commits come in between.

use super::objects::ledger::PRESENCE_MILLIS;
use super::objects::registry::{DatasetRow, JobRow, JobsQuery, LedgerRow};
use super::objects::{Class, REGISTRY_NAME, call};
use crate::health::log::{
    DatasetTotals, HOUR_MILLIS, IngestLog, IngestTotals, LogQuery, OutboxNow, PushLog, ROWS_MAX,
    Resolution, Span,
};
use crate::outbox::instance_name;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::sync::atomic::{AtomicUsize, Ordering};
use worker::Env;

/// Calls in flight at once.
pub const CALLS: usize = 6;

/// Calls for the questions of one request. It may make 1,000 (Workers limits page); others are made before them.
const CALLS_MAX: usize = 900;

/// Why there is no answer.
#[derive(Debug)]
pub enum LogError {
    /// The answer would have more than [`ROWS_MAX`] rows, or take more than [`CALLS_MAX`] calls: a shorter span, a
    /// coarser resolution, or fewer jobs or datasets.
    TooMuch,
    /// An object did not answer.
    Storage(worker::Error),
}

impl std::fmt::Display for LogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooMuch => write!(
                f,
                "the answer would have more than {ROWS_MAX} rows or ask more than {CALLS_MAX} objects: ask for less time, \
                fewer jobs, or a coarser resolution"
            ),
            Self::Storage(error) => error.fmt(f),
        }
    }
}

impl From<worker::Error> for LogError {
    fn from(error: worker::Error) -> Self {
        Self::Storage(error)
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Question<'q> {
    /// Of this scope only: `zones/<id>` or `accounts/<id>`.
    pub scope: Option<&'q str>,
    /// Of these jobs only; deleted ones count, too. Does not matter for what came in.
    pub jobs: Option<&'q [u64]>,
    /// Of this dataset only.
    pub dataset: Option<&'q str>,
    /// When, and how fine.
    pub log: LogQuery,
    /// Calls that the request has made for other questions; what this one makes is added. 0 for a request that asks once.
    pub calls: &'q AtomicUsize,
}

impl Question<'_> {
    /// Takes so many of the calls that a request may make.
    fn take_calls(&self, calls: usize) -> Result<(), LogError> {
        let before = self.calls.fetch_add(calls, Ordering::Relaxed);
        if before + calls > CALLS_MAX {
            return Err(LogError::TooMuch);
        }
        Ok(())
    }
}

/// How long a piece of a span is: some thousand rows.
fn piece_millis(resolution: Resolution) -> u64 {
    match resolution {
        Resolution::Attempt => 6 * HOUR_MILLIS,
        Resolution::Minute => 7 * 24 * HOUR_MILLIS,
        Resolution::Hour => 366 * 24 * HOUR_MILLIS,
    }
}

/// A span in pieces that begin and end on whole hours, but for the first and the last.
fn pieces(log: &LogQuery) -> Vec<LogQuery> {
    let Span {
        mut from_millis,
        until_millis,
    } = log.span;
    let length = piece_millis(log.resolution);
    let mut pieces = Vec::new();
    while from_millis < until_millis && pieces.len() <= CALLS_MAX {
        let end = (from_millis / length + 1) * length;
        let span = Span {
            from_millis,
            until_millis: end.min(until_millis),
        };
        pieces.push(LogQuery { span, ..*log });
        from_millis = end;
    }
    pieces
}

/// The jobs of a scope, deleted ones too: their records still count.
pub async fn jobs(
    env: &Env,
    scope: Option<&str>,
    dataset: Option<&str>,
) -> worker::Result<Vec<JobRow>> {
    let query = JobsQuery {
        scope: scope.map(str::to_owned),
        dataset: dataset.map(str::to_owned),
        with_deleted: true,
        ..JobsQuery::default()
    };
    call(env, Class::Registry, REGISTRY_NAME, "jobs", &query).await
}

/// The push logs of the jobs that are asked for. The resolution becomes what is kept for the whole span
/// ([`Resolution::within`]), which the answer does not say: look at it before.
pub async fn pushes(
    env: &Env,
    question: &Question<'_>,
    now_millis: u64,
) -> Result<PushLog, LogError> {
    let resolution = question
        .log
        .resolution
        .within(question.log.span, now_millis);
    let log = LogQuery {
        resolution,
        ..question.log
    };
    let rows = jobs(env, question.scope, question.dataset).await?;
    let wanted = rows.iter().map(|row| row.job.id);
    let wanted = wanted.filter(|id| question.jobs.is_none_or(|jobs| jobs.contains(id)));
    let pieces = pieces(&log);
    let calls: Vec<(u64, LogQuery)> = wanted
        .flat_map(|id| pieces.iter().map(move |piece| (id, *piece)))
        .collect();
    question.take_calls(calls.len())?;
    let answers = stream::iter(calls).map(async |(id, piece)| {
        let name = instance_name(id);
        let log: PushLog = call(env, Class::Outbox, &name, "push-log", &piece).await?;
        Ok::<_, LogError>(log)
    });
    answers
        .buffered(CALLS)
        .try_fold(PushLog::default(), async |mut sum, log| {
            sum.rows.extend(log.rows);
            sum.rows_read += log.rows_read;
            if sum.rows.len() > ROWS_MAX {
                return Err(LogError::TooMuch);
            }
            Ok(sum)
        })
        .await
}

/// The ledgers that may have counted something in a span.
pub async fn ledgers(
    env: &Env,
    scope: Option<&str>,
    dataset: Option<&str>,
    span: Span,
) -> worker::Result<Vec<LedgerRow>> {
    let all: Vec<LedgerRow> = call(env, Class::Registry, REGISTRY_NAME, "ledgers", &()).await?;
    let concerned = all.into_iter().filter(|ledger| {
        scope.is_none_or(|scope| scope == ledger.scope)
            && dataset.is_none_or(|dataset| dataset == ledger.dataset)
            && ledger.first_seen < span.until_millis
            // It may have taken batches for an hour after it last said so.
            && ledger.last_seen + 2 * PRESENCE_MILLIS >= span.from_millis
    });
    Ok(concerned.collect())
}

/// What came for the datasets that are asked for. Attempts come as minutes.
pub async fn ingest(
    env: &Env,
    question: &Question<'_>,
    now_millis: u64,
) -> Result<IngestLog, LogError> {
    let wanted = question.log.resolution.max(Resolution::Minute);
    let log = LogQuery {
        resolution: wanted.within(question.log.span, now_millis),
        ..question.log
    };
    let concerned = ledgers(env, question.scope, question.dataset, log.span).await?;
    question.take_calls(concerned.len())?;
    let answers = stream::iter(concerned).map(async |ledger| {
        let mut answer: IngestLog = call(env, Class::Ledger, &ledger.name, "log", &log).await?;
        for row in &mut answer.rows {
            row.scope.clone_from(&ledger.scope);
            row.dataset.clone_from(&ledger.dataset);
        }
        Ok::<_, LogError>(answer)
    });
    answers
        .buffered(CALLS)
        .try_fold(IngestLog::default(), async |mut sum, log| {
            sum.rows.extend(log.rows);
            sum.rows_read += log.rows_read;
            if sum.rows.len() > ROWS_MAX {
                return Err(LogError::TooMuch);
            }
            Ok(sum)
        })
        .await
}

/// Every job of a scope that is not deleted, with how its outbox stands and what it did in all time.
pub async fn outboxes(
    env: &Env,
    scope: Option<&str>,
) -> Result<Vec<(JobRow, OutboxNow)>, LogError> {
    let rows = jobs(env, scope, None).await?;
    let rows = rows.into_iter().filter(|row| row.deleted_at.is_none());
    let answers = stream::iter(rows).map(async |row| {
        let name = instance_name(row.job.id);
        let now: OutboxNow = call(env, Class::Outbox, &name, "now", &()).await?;
        Ok::<_, LogError>((row, now))
    });
    answers.buffered(CALLS).try_collect().await
}

/// What came for every dataset of a scope, in all time: what the registry has added up, and what the ledgers that are in
/// use have counted since they told it last.
pub async fn datasets(env: &Env, scope: Option<&str>) -> Result<Vec<DatasetTotals>, LogError> {
    let rows: Vec<DatasetRow> = call(env, Class::Registry, REGISTRY_NAME, "datasets", &()).await?;
    let rows = rows
        .into_iter()
        .filter(|row| scope.is_none_or(|scope| scope == row.scope));
    let answers = stream::iter(rows).map(async |row| {
        let mut totals = row.closed;
        for ledger in &row.open {
            let live: IngestTotals = call(env, Class::Ledger, ledger, "totals", &()).await?;
            totals.add(&live);
        }
        Ok::<_, LogError>(DatasetTotals {
            scope: row.scope,
            dataset: row.dataset,
            totals,
        })
    });
    answers.buffered(CALLS).try_collect().await
}
