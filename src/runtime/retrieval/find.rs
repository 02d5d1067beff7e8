//! Which objects a range of event time concerns, and which of them are still in the bucket.

use super::Batches;
use crate::api::{ApiError, Cursor, Objects};
use crate::ledger::{BATCHES_PAGE_MAX, BatchRow, BatchesQuery, EventSpan, RayQuestion};
use crate::logpush::catalogue::Dataset;
use crate::logpush::scope::Scope;
use crate::runtime::batches;
use std::collections::{BTreeMap, BTreeSet};
use worker::{Bucket, Env, Result};

/// Objects that are read for one request, and questions to ledgers that find them, together. A request may make 1,000
/// calls (Workers limits page); the rest is for the registry and the bucket's list.
const CALLS_MAX: usize = 970;

/// Pages of the bucket's list for one request, of 1,000 names each. The objects of a request lie side by side, so that one
/// or two are enough, unless many batches came late.
const LIST_CALLS_MAX: usize = 20;

/// What one request reads at most.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// Objects.
    pub objects: usize,
    /// Bytes after inflating; one object alone may have more.
    pub bytes_raw: u64,
}

/// Batches in the order of cursors.
pub struct Found {
    /// Each with the day of its ledger.
    pub batches: Batches,
    /// Where to go on; `None` when these were all.
    pub next: Option<Cursor>,
}

/// The batches that may hold records of the range, as many as fit.
pub async fn batches(
    env: &Env,
    scope: &Scope,
    objects: &Objects,
    rays: Option<RayQuestion>,
    bounds: Bounds,
) -> std::result::Result<Found, super::Refusal> {
    let span = objects.span();
    let ledgers = batches::ledgers(env, scope, &objects.dataset, span).await?;
    if ledgers.is_empty() {
        known(env, scope, &objects.dataset).await?;
    }
    let start = objects.after.clone().unwrap_or(Cursor::START);
    let (mut found, mut bytes_raw, mut calls) = (Vec::new(), 0_u64, 0_usize);
    let ended = |found: Vec<(String, BatchRow)>, next| {
        Ok(Found {
            batches: found.into(),
            next,
        })
    };
    for ledger in ledgers {
        if ledger.day < start.day {
            continue;
        }
        let is_begun = ledger.day == start.day;
        let mut after = start.batch.clone().filter(|_| is_begun);
        loop {
            let here = |batch| Cursor {
                day: ledger.day.clone(),
                batch,
            };
            if calls + found.len() >= CALLS_MAX {
                return ended(found, Some(here(after)));
            }
            calls += 1;
            // One more than fits says that there are more.
            let limit = (bounds.objects - found.len() + 1).min(BATCHES_PAGE_MAX as usize);
            let query = BatchesQuery {
                span,
                after: after.clone(),
                limit: limit as u64,
                rays: rays.clone(),
                unmet: None,
            };
            let rows = batches::page_of(env, &ledger.name, &query).await?;
            let is_last = rows.len() < limit;
            for row in rows {
                let place = row.cursor();
                if row.records > 0 && objects.takes(&row.object, &ledger.day, scope) {
                    let is_full = found.len() == bounds.objects
                        || (!found.is_empty() && bytes_raw + row.bytes_raw > bounds.bytes_raw);
                    if is_full {
                        return ended(found, Some(here(after)));
                    }
                    bytes_raw += row.bytes_raw;
                    found.push((ledger.day.clone(), row));
                }
                after = Some(place);
            }
            if is_last {
                break;
            }
        }
    }
    ended(found, None)
}

/// A name that neither the catalogue nor the archive knows is misspelt.
async fn known(env: &Env, scope: &Scope, dataset: &str) -> std::result::Result<(), super::Refusal> {
    let everything = EventSpan {
        from_millis: i64::MIN >> 11,
        until_millis: i64::MAX >> 11,
    };
    if Dataset::find(scope.kind(), dataset).is_none()
        && batches::ledgers(env, scope, dataset, everything)
            .await?
            .is_empty()
    {
        let dataset = dataset.to_owned();
        return Err(ApiError::UnknownDataset { dataset }.into());
    }
    Ok(())
}

/// Names of objects that are in the ledger and not in the bucket, or there with another size, because something else was
/// put over them. Asked for in bulk, before an answer begins: what shows in the middle of a stream can only break it off.
pub async fn missing(bucket: &Bucket, batches: &Batches) -> Result<BTreeSet<String>> {
    let mut folders = BTreeMap::<&str, BTreeMap<&str, u64>>::new();
    for (_, row) in batches.iter() {
        let end = row.object.rfind('/').map_or(0, |at| at + 1);
        let folder = row.object.get(..end).unwrap_or_default();
        let sizes = folders.entry(folder).or_default();
        sizes.insert(&row.object, row.object_bytes);
    }
    let (mut missing, mut calls) = (BTreeSet::new(), 0);
    for (folder, mut wanted) in folders {
        // Behind a name that is a character shorter than the first one stands the first one.
        let mut after = wanted.first_key_value().map(|(name, _)| {
            let mut name = (*name).to_owned();
            name.pop();
            name
        });
        while let (Some(start), Some((&last, _))) = (after.take(), wanted.last_key_value()) {
            if calls == LIST_CALLS_MAX {
                break;
            }
            calls += 1;
            let page = bucket
                .list()
                .prefix(folder)
                .start_after(start)
                .execute()
                .await?;
            let there = page.objects();
            for object in &there {
                let key = object.key();
                if wanted.get(key.as_str()) == Some(&object.size()) {
                    wanted.remove(key.as_str());
                }
            }
            let seen = there.last().filter(|_| page.truncated());
            let seen = seen.map(worker::Object::key);
            wanted.retain(|name, _| {
                let is_seen = seen.as_ref().is_none_or(|seen| *name <= seen.as_str());
                if is_seen {
                    missing.insert((*name).to_owned());
                }
                !is_seen
            });
            after = seen.filter(|seen| seen.as_str() < last);
        }
    }
    Ok(missing)
}
