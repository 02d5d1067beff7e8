//! Making a selection again from the archived object, for a job whose outbox could not take it at once.

use super::config;
use super::jobs;
use super::objects::registry::{JobRow, JobsQuery};
use super::objects::{Class, REGISTRY_NAME, call, call_with_bytes};
use super::push::{self, Part, SourceError};
use super::stored;
use crate::ecs::Surprises;
use crate::ledger::minute_of;
use crate::logpush::job::Job;
use crate::outbox::{Append, AppendAnswer, EntrySource, Holding, Prospect, instance_name};
use crate::route::{Assembly, Keep, Routes, Segment, Window};
use crate::time::{self, UnixNanos};
use js_sys::Uint8Array;
use worker::{Bucket, Env};

/// Why a selection is owed that an outbox has no room for.
pub const FULL: &str = "the outbox is full";

/// A selection that is owed.
pub struct Debt {
    /// The batch.
    pub batch_id: String,
    /// Its archived object.
    pub object: String,
    /// The job.
    pub job_id: u64,
    /// When the batch was received, unix milliseconds.
    pub received_at_millis: u64,
}

/// A selection that is owed no more.
#[derive(Clone, Copy, Default)]
pub struct Settled {
    /// What the outbox holds of the batch.
    pub holding: Holding,
    /// What was odd in the records that were written out as events; nothing when the outbox had them already.
    pub surprises: Surprises,
}

impl From<Holding> for Settled {
    fn from(holding: Holding) -> Self {
        Self {
            holding,
            ..Self::default()
        }
    }
}

/// Makes the selection and stores it; returns what the outbox holds of the batch. A job that was deleted meanwhile selects
/// nothing more. May be repeated: the outbox knows the batch.
///
/// # Errors
/// [`SourceError::Gone`] when there is nothing left to make it of; anything else says what failed, and the debt stays.
pub async fn settle(env: &Env, debt: &Debt) -> Result<Settled, SourceError> {
    let text = |e: worker::Error| e.to_string();
    let query = JobsQuery {
        id: Some(debt.job_id),
        ..JobsQuery::default()
    };
    let rows: Vec<JobRow> = call(env, Class::Registry, REGISTRY_NAME, "jobs", &query)
        .await
        .map_err(text)?;
    let Some(JobRow { job, .. }) = rows.into_iter().next() else {
        return Ok(held_before(env, debt).await?.into());
    };
    let name = instance_name(job.id);
    // Reading the batch for an outbox that does not take it would be done again and again while a destination is down.
    match call(env, Class::Outbox, &name, "prospect", &debt.batch_id).await {
        Ok(Prospect::Room) => {}
        Ok(Prospect::Duplicate(holding)) => return Ok(holding.into()),
        Ok(Prospect::Full) => return Err(FULL.to_owned().into()),
        Err(e) => return Err(text(e).into()),
    }
    let one = std::slice::from_ref(&job);
    let routes = jobs::compile(&job.scope, &job.dataset, one, Keep::Copy)
        .within(backfill_window(&job, debt.received_at_millis));
    let copied = copy(env, &job, &debt.object, &routes).await?;
    if copied.records == 0 {
        return Ok(held_before(env, debt).await?.into());
    }
    Ok(hand_over(env, debt, copied, false).await?)
}

/// Of what came before a job was made it wants the records from the time on from which it fills itself up.
fn backfill_window(job: &Job, received_at_millis: u64) -> Option<Window> {
    let backfill = job.backfill.as_ref()?;
    let came_before = received_at_millis < backfill.received_before_millis;
    let from = time::instant_from_str(&backfill.from)?;
    came_before.then_some(Window {
        from,
        until: UnixNanos::MAX,
    })
}

/// Appends a selection. What was spooled for it is deleted when the outbox does not take it.
///
/// # Errors
/// Says what failed, [`FULL`] for one; the same may be tried again.
pub async fn hand_over(
    env: &Env,
    debt: &Debt,
    copied: Copied,
    remember_for_good: bool,
) -> Result<Settled, String> {
    let text = |e: worker::Error| e.to_string();
    let name = instance_name(debt.job_id);
    let surprises = copied.surprises;
    let append = Append {
        job_id: debt.job_id,
        batch_id: debt.batch_id.clone(),
        received_at_millis: debt.received_at_millis,
        first_event_millis: copied.first_event_millis,
        last_event_millis: copied.last_event_millis,
        segments: copied.segments,
        assembly: copied.assembly,
        remember_for_good,
    };
    // After an error nobody knows whether the rows are there, so what they may refer to stays.
    let answer: AppendAnswer =
        call_with_bytes(env, Class::Outbox, &name, "append", &append, &copied.inline)
            .await
            .map_err(text)?;
    let bucket = env.bucket(config::ARCHIVE).map_err(text)?;
    match answer {
        AppendAnswer::Stored(holding) => Ok(Settled { holding, surprises }),
        AppendAnswer::Duplicate(holding) => {
            super::archive::delete_all(&bucket, &copied.spooled).await;
            Ok(holding.into())
        }
        AppendAnswer::Full => {
            super::archive::delete_all(&bucket, &copied.spooled).await;
            Err(FULL.to_owned())
        }
    }
}

/// What a job selects of an archived object.
pub struct Copied {
    /// Records.
    pub records: u64,
    /// Where they lie.
    pub segments: Vec<(Segment, EntrySource)>,
    /// The bytes of those that lie nowhere yet.
    pub inline: Uint8Array,
    /// What is around and between them in a push.
    pub assembly: Option<Assembly>,
    /// Earliest event time, unix milliseconds.
    pub first_event_millis: Option<u64>,
    /// Latest event time, unix milliseconds.
    pub last_event_millis: Option<u64>,
    /// What was odd in records that were written out as events.
    pub surprises: Surprises,
    /// Records that were left out because they have no readable time.
    pub undated: u64,
    spooled: Vec<String>,
}

impl Copied {
    /// All of it, one segment after the other. For what is small.
    ///
    /// # Errors
    /// When a spooled piece can not be read.
    pub async fn bytes(&self, bucket: &Bucket) -> Result<Vec<u8>, SourceError> {
        let (mut bytes, mut at) = (Vec::new(), 0_u32);
        for (segment, source) in &self.segments {
            let (kind, object, start) = match source {
                EntrySource::Inline => ("inline", None, None),
                EntrySource::Spool { key, start } => ("spool", Some(key.clone()), Some(*start)),
                EntrySource::Archive { .. } => {
                    return Err("a copy is no reference".to_owned().into());
                }
            };
            let part = Part {
                seq: 0,
                kind: kind.to_owned(),
                object,
                start,
                records: segment.records,
                bytes: segment.bytes,
            };
            let inline = |_| {
                let end = at.saturating_add(segment.bytes as u32);
                Ok(self.inline.slice(at, end))
            };
            let read = push::bytes_of(bucket, &part, inline).await?;
            bytes.extend(read.to_vec());
            if part.kind == "inline" {
                at = at.saturating_add(segment.bytes as u32);
            }
        }
        Ok(bytes)
    }

    /// Nobody wants it: deletes what was spooled.
    ///
    /// # Errors
    /// When there is no bucket.
    pub async fn clean_up(self, env: &Env) -> worker::Result<()> {
        let bucket = env.bucket(config::ARCHIVE)?;
        super::archive::delete_all(&bucket, &self.spooled).await;
        Ok(())
    }
}

/// Every record of an archived object, as it is, whatever the job selects by now.
///
/// # Errors
/// Says what failed; nothing is left behind.
pub async fn copy_all(env: &Env, job: &Job, object: &str) -> Result<Copied, SourceError> {
    let everything = Job {
        filter: None,
        output_options: None,
        logpull_options: None,
        ..job.clone()
    };
    let one = std::slice::from_ref(&everything);
    let routes = jobs::compile(&job.scope, &job.dataset, one, Keep::Copy);
    copy(env, &everything, object, &routes).await
}

/// What the one job of `routes` selects of an archived object.
///
/// # Errors
/// Says what failed; nothing is left behind.
pub async fn copy(
    env: &Env,
    job: &Job,
    object: &str,
    routes: &Routes,
) -> Result<Copied, SourceError> {
    if !routes.unreadable.is_empty() {
        let what = "its filter or its output options can not be read: set them anew";
        return Err(what.to_owned().into());
    }
    let bucket = env.bucket(config::ARCHIVE).map_err(|e| e.to_string())?;
    let mut pipeline = stored::route(&bucket, &job.scope, &job.dataset, object, routes).await?;
    let selections = pipeline.router.selections();
    let (records, surprises) = selections
        .first()
        .map_or_else(Default::default, |selection| {
            (selection.records, selection.surprises)
        });
    match pipeline.ready(0).await {
        Ok(ready) => Ok(Copied {
            records,
            surprises,
            undated: pipeline.router.undated(),
            segments: ready.segments,
            inline: ready.inline,
            assembly: ready.assembly,
            first_event_millis: pipeline.first_event_millis(),
            last_event_millis: pipeline.last_event_millis(),
            spooled: ready.spooled,
        }),
        Err(e) => {
            pipeline.clean_up().await;
            Err(e.into())
        }
    }
}

/// Nothing is selected now, but an append whose answer was lost may have stored what was selected then.
async fn held_before(env: &Env, debt: &Debt) -> Result<Holding, String> {
    let nothing = Holding {
        minute: minute_of(debt.received_at_millis),
        ..Holding::default()
    };
    holding(env, debt.job_id, &debt.batch_id)
        .await
        .map(|holding| holding.unwrap_or(nothing))
        .map_err(|e| e.to_string())
}

/// What a job's outbox took of a batch.
///
/// # Errors
/// When the outbox can not be asked.
pub async fn holding(env: &Env, job_id: u64, batch_id: &str) -> worker::Result<Option<Holding>> {
    let name = instance_name(job_id);
    call(env, Class::Outbox, &name, "holding", &batch_id).await
}
