//! Reads the newest archived batch of a dataset for a preview.

use super::js::BlockReader;
use super::log::{CALLS, ledgers};
use super::objects::ledger::MinuteRange;
use super::objects::{Class, call, now_millis};
use super::push::SourceError;
use super::{batches, config, stored};
use crate::api::NewestBatch;
use crate::batch::reader::Reader;
use crate::health::log::{HOUR_MILLIS, Span};
use crate::health::stats::window_secs;
use crate::ledger::{Summary, WINDOWS_MINUTES, minute_of};
use crate::limits::READ_BYTES;
use crate::logpush::scope::Scope;
use crate::route::BatchPreview;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use worker::Env;

/// A day, and two hours in which a ledger does not say again that it is in use.
const RECENT_MILLIS: u64 = 26 * HOUR_MILLIS;

/// Finds the batch, gives its records to the preview until that has enough, and adds what came in a day. `None` when there
/// is no batch, or its object was deleted.
///
/// # Errors
/// Says what failed.
pub async fn newest(
    env: &Env,
    scope: &Scope,
    dataset: &str,
    into: &mut BatchPreview,
) -> Result<Option<NewestBatch>, String> {
    let text = |e: worker::Error| e.to_string();
    let Some(row) = batches::newest(env, scope, dataset).await.map_err(text)? else {
        return Ok(None);
    };
    match read(env, scope, dataset, &row.object, into).await {
        Ok(()) => {}
        Err(SourceError::Gone { .. }) => return Ok(None),
        Err(e) => return Err(e.into_reason()),
    }
    let (day_records, day_secs) = day(env, scope, dataset).await.map_err(text)?;
    Ok(Some(NewestBatch {
        object: row.object,
        received_at_millis: row.received_at_millis,
        records: row.records,
        bytes_raw: row.bytes_raw,
        day_records,
        day_secs,
    }))
}

async fn read(
    env: &Env,
    scope: &Scope,
    dataset: &str,
    object: &str,
    into: &mut BatchPreview,
) -> Result<(), SourceError> {
    let bucket = env.bucket(config::ARCHIVE).map_err(|e| e.to_string())?;
    let stored = stored::open(&bucket, scope, dataset, object).await?;
    let failed = |e| super::js::describe(&e);
    let mut blocks = BlockReader::new(&stored.stream).map_err(failed)?;
    let mut reader = Reader::expecting(stored.incoming);
    let projection = into.projection().clone();
    let (mut input, mut window) = (vec![0; READ_BYTES], Vec::new());
    while let Some(block) = blocks.next().await.map_err(failed)? {
        let (mut at, end) = (0, block.length());
        while at < end {
            let piece = block.subarray(at, end.min(at + READ_BYTES as u32));
            let Some(bytes) = input.get_mut(..piece.length() as usize) else {
                break;
            };
            piece.copy_to(bytes);
            // It never says that it is full, so all of the piece is taken.
            reader.feed(bytes, &mut window, &projection, into);
            at += piece.length();
        }
        if into.stop().is_some() {
            blocks.cancel().await;
            return Ok(());
        }
    }
    reader.finish(&mut window, &projection, into);
    Ok(())
}

/// Records that came in the last 24 hours, and the exact length of that window in seconds.
async fn day(env: &Env, scope: &Scope, dataset: &str) -> worker::Result<(u64, u64)> {
    let now = now_millis();
    let span = Span {
        from_millis: now.saturating_sub(RECENT_MILLIS),
        until_millis: now.saturating_add(1),
    };
    let concerned = ledgers(env, Some(&scope.to_string()), Some(dataset), span).await?;
    // The windows are part of every summary, whatever minutes it is of.
    let minutes = MinuteRange {
        from: minute_of(now),
        to: minute_of(now),
    };
    let summaries = stream::iter(concerned).map(async |ledger| {
        call::<_, Summary>(env, Class::Ledger, &ledger.name, "summary", &minutes).await
    });
    let mut summaries = summaries.buffered(CALLS);
    let mut sum = Summary::default();
    while let Some(one) = summaries.try_next().await? {
        sum.add(&one);
    }
    let [.., day] = sum.recent;
    let [.., minutes] = WINDOWS_MINUTES;
    Ok((day.records, window_secs(minutes, now)))
}
