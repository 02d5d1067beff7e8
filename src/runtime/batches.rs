//! Finds batches by the time of their records: which ledgers hold some, and their rows page by page.

use super::objects::registry::{EventsQuery, LedgerRow};
use super::objects::{Class, REGISTRY_NAME, call};
use crate::ledger::{BatchCursor, BatchRow, BatchesQuery, EventSpan};
use crate::logpush::scope::Scope;
use worker::{Env, Result};

/// The ledgers of a dataset that hold batches with records in a span, or may hold some, by day. A ledger that is closed
/// has told the registry the times of its records; one that is open is among them always.
///
/// # Errors
/// When the registry can not be asked.
pub async fn ledgers(
    env: &Env,
    scope: &Scope,
    dataset: &str,
    span: EventSpan,
) -> Result<Vec<LedgerRow>> {
    let query = EventsQuery {
        scope: scope.to_string(),
        dataset: dataset.to_owned(),
        span,
    };
    call(
        env,
        Class::Registry,
        REGISTRY_NAME,
        "ledgers-with-events",
        &query,
    )
    .await
}

/// The next batches of a ledger, by earliest event time and id; fewer than `limit` when there are no more.
///
/// # Errors
/// When the ledger can not be asked.
pub async fn page(
    env: &Env,
    ledger: &str,
    span: EventSpan,
    after: Option<BatchCursor>,
    limit: u64,
) -> Result<Vec<BatchRow>> {
    let query = BatchesQuery {
        span,
        after,
        limit,
        rays: None,
        unmet: None,
    };
    page_of(env, ledger, &query).await
}

/// The next batches of a ledger that a question is about; fewer than its limit when there are no more.
///
/// # Errors
/// When the ledger can not be asked.
pub async fn page_of(env: &Env, ledger: &str, query: &BatchesQuery) -> Result<Vec<BatchRow>> {
    call(env, Class::Ledger, ledger, "batches", query).await
}

/// The batch of a dataset that was received last; `None` when there is none.
///
/// # Errors
/// When the registry or a ledger can not be asked.
pub async fn newest(env: &Env, scope: &Scope, dataset: &str) -> Result<Option<BatchRow>> {
    let everything = EventSpan {
        from_millis: 0,
        until_millis: i64::MAX,
    };
    let mut ledgers = ledgers(env, scope, dataset, everything).await?;
    // The one that was in use last has it, but for what came within the hour in which a ledger does not say so again.
    ledgers.sort_by_key(|ledger| std::cmp::Reverse(ledger.last_seen));
    let newest = ledgers.first().map_or(0, |ledger| ledger.last_seen);
    let recent = ledgers.into_iter().take_while(|ledger| {
        ledger.last_seen + super::objects::ledger::PRESENCE_MILLIS * 2 >= newest
    });
    let mut found: Option<BatchRow> = None;
    for ledger in recent {
        let row: Option<BatchRow> = call(env, Class::Ledger, &ledger.name, "newest", &()).await?;
        found = found
            .into_iter()
            .chain(row)
            .max_by_key(|row| row.received_at_millis);
    }
    Ok(found)
}
