//! The second half of an upload: from the archived object to the commit.

use super::{Batch, Refusal, Taken, TakenAs, later, unreachable_object};
use crate::batch::reader::Form;
use crate::ecs::Surprises;
use crate::ledger::{Commit, CommitResult, JobSelection, SelectionState, minute_of};
use crate::logpush::archive_key::ArchiveKey;
use crate::outbox::{Append, AppendAnswer, EntrySource, Holding, instance_name};
use crate::route::Keep;
use crate::runtime::objects::registry::{JobRow, JobsQuery};
use crate::runtime::objects::{Class, REGISTRY_NAME, call, call_with_bytes};
use crate::runtime::pipeline::Ready;
use crate::runtime::{archive, js, owed, tail};
use crate::time;
use futures_util::future::join_all;
use js_sys::Uint8Array;
use std::collections::{BTreeMap, BTreeSet};
use worker::Result;

impl Batch<'_> {
    /// Hands each job its selection and commits. `is_retry`: an earlier attempt made the object and died before its commit.
    pub(super) async fn hand_over(
        &mut self,
        batch_id: String,
        key: ArchiveKey,
        object_bytes: u64,
        is_retry: bool,
    ) -> std::result::Result<Taken, Refusal> {
        let quarantine = self.write_quarantine(&batch_id, &key).await?;
        let selections = self
            .append_all(&batch_id, &key, object_bytes, is_retry)
            .await?;
        let meter = self.pipeline.meter().clone();
        let times = self.pipeline.router.times();
        let mut invalid: BTreeMap<String, u64> = self
            .pipeline
            .router
            .invalid()
            .iter()
            .map(|(reason, count)| ((*reason).to_owned(), *count))
            .collect();
        if let Some(fault) = self.pipeline.fault() {
            *invalid.entry(fault.as_str().to_owned()).or_default() += 1;
        }
        let millis = |at: time::UnixNanos| i64::try_from(at / 1_000_000).unwrap_or_default();
        let commit = Commit {
            batch_id: batch_id.clone(),
            scope: self.target.scope.to_string(),
            dataset: self.target.dataset.clone(),
            day: key.day.clone(),
            object: key.object.clone(),
            object_bytes,
            received_at_millis: self.received_at_millis,
            event_millis: times
                .earliest
                .zip(times.latest)
                .map(|(earliest, latest)| (millis(earliest), millis(latest))),
            records: meter.records,
            bytes_raw: meter.bytes_raw,
            bytes_compressed: meter.bytes_compressed,
            invalid_lines: meter.invalid_lines,
            invalid,
            quarantine,
            rays: self.pipeline.router.ray_bounds(),
            selections,
            etag: self.in_place.as_ref().map(|own| own.etag.clone()),
        };
        let ledger = self.ledger_name(&key.day);
        let result: CommitResult = call(self.env, Class::Ledger, &ledger, "commit", &commit)
            .await
            .map_err(unreachable_object)?;
        let (result, object) = match result {
            CommitResult::Committed => (TakenAs::Accepted, key.object.clone()),
            CommitResult::Duplicate { object } => (TakenAs::Duplicate, object),
        };
        let shown = match result {
            TakenAs::Accepted => tail::shown(self.routes, self.pipeline.router.take_tailed()),
            _ => Vec::new(),
        };
        Ok(Taken {
            shown,
            batch_id: Some(batch_id),
            is_extra_copy: object != key.object,
            object: Some(object),
            records: Some(meter.records),
            invalid_lines: Some(meter.invalid_lines),
            ..Taken::new(result)
        })
    }

    async fn write_quarantine(
        &self,
        batch_id: &str,
        key: &ArchiveKey,
    ) -> std::result::Result<Option<String>, Refusal> {
        let lines = self.pipeline.router.quarantine();
        if lines.is_empty() {
            return Ok(None);
        }
        let (scope, dataset) = (&self.target.scope, &self.target.dataset);
        let name = format!("quarantine/{scope}/{dataset}/{}/{batch_id}.ndjson", key.day);
        archive::put_bytes(self.bucket, &name, &js::bytes(lines))
            .await
            .map_err(later("quarantine_failed"))?;
        Ok(Some(name))
    }

    /// Gives every job what it selected. A job whose outbox does not take it is owed its selection; that is no reason
    /// to refuse the batch.
    async fn append_all(
        &mut self,
        batch_id: &str,
        key: &ArchiveKey,
        object_bytes: u64,
        is_retry: bool,
    ) -> std::result::Result<Vec<JobSelection>, Refusal> {
        let meter = self.pipeline.meter();
        let is_fit_to_pass_on = meter.members == 1
            && meter.invalid_lines == 0
            && self.pipeline.fault().is_none()
            && meter.bytes_raw > 0
            && meter.form == Form::Ndjson;
        let mut handed_over = Vec::new();
        let unreadable = self.routes.unreadable.iter();
        let mut owed: Vec<JobSelection> = unreadable
            .map(|job_id| {
                self.owe(
                    *job_id,
                    "its filter or its output options can not be read: set them anew",
                )
            })
            .collect();
        for (index, job) in self.routes.jobs.iter().enumerate() {
            let selection = self.pipeline.router.selections().get(index);
            let (records, bytes) =
                selection.map_or((0, 0), |selection| (selection.records, selection.bytes));
            if records == 0 {
                continue;
            }
            let ready = match job.keep {
                Keep::Copy => match self.pipeline.ready(index).await {
                    Ok(ready) => ready,
                    Err(e) => {
                        for (_, Ready { spooled, .. }) in handed_over {
                            archive::delete_all(self.bucket, &spooled).await;
                        }
                        return Err(later("spool_failed")(e));
                    }
                },
                Keep::Reference if is_fit_to_pass_on => {
                    let source = EntrySource::Archive {
                        key: key.object.clone(),
                        size: object_bytes,
                    };
                    Ready {
                        segments: vec![(crate::route::Segment { records, bytes }, source)],
                        inline: Uint8Array::new_with_length(0),
                        spooled: Vec::new(),
                        assembly: None,
                    }
                }
                Keep::Reference => {
                    let reason = "the batch can not be passed on as it came";
                    owed.push(self.owe(job.job_id, reason));
                    continue;
                }
            };
            handed_over.push((job.job_id, ready));
        }
        let appends = handed_over
            .into_iter()
            .map(|(job_id, ready)| self.append(job_id, batch_id, ready));
        let mut selections = join_all(appends).await;
        // An owed selection is looked at anew when it is made.
        for selection in &mut selections {
            if selection.state == SelectionState::Stored {
                selection.surprises = self.surprises(selection.job_id);
            }
        }
        selections.append(&mut owed);
        if is_retry {
            let known = selections.iter().map(|selection| selection.job_id);
            let known: BTreeSet<u64> = known.collect();
            selections.append(&mut self.held_before(batch_id, &known).await?);
        }
        Ok(selections)
    }

    fn surprises(&self, job_id: u64) -> Surprises {
        let jobs = self.routes.jobs.iter();
        jobs.zip(self.pipeline.router.selections())
            .find(|(job, _)| job.job_id == job_id)
            .map(|(_, selection)| selection.surprises)
            .unwrap_or_default()
    }

    /// What the attempt that died had stored for jobs that select nothing any more, because they were changed, disabled or
    /// deleted since. It will be delivered, so the ledger has to know it.
    async fn held_before(
        &self,
        batch_id: &str,
        known: &BTreeSet<u64>,
    ) -> std::result::Result<Vec<JobSelection>, Refusal> {
        let query = JobsQuery {
            scope: Some(self.target.scope.to_string()),
            dataset: Some(self.target.dataset.clone()),
            with_deleted: true,
            ..JobsQuery::default()
        };
        let rows: Vec<JobRow> = call(self.env, Class::Registry, REGISTRY_NAME, "jobs", &query)
            .await
            .map_err(unreachable_object)?;
        let mut selections = Vec::new();
        // Nothing that comes is in the queue of a replay.
        let rows = rows.into_iter().filter(|row| row.job.replay.is_none());
        for job_id in rows.map(|row| row.job.id) {
            if !known.contains(&job_id)
                && let Some(holding) = owed::holding(self.env, job_id, batch_id)
                    .await
                    .map_err(unreachable_object)?
            {
                selections.push(stored(job_id, holding));
            }
        }
        Ok(selections)
    }

    async fn append(&self, job_id: u64, batch_id: &str, ready: Ready) -> JobSelection {
        let append = Append {
            job_id,
            batch_id: batch_id.to_owned(),
            received_at_millis: self.received_at_millis,
            first_event_millis: self.pipeline.first_event_millis(),
            last_event_millis: self.pipeline.last_event_millis(),
            segments: ready.segments,
            assembly: ready.assembly,
            remember_for_good: false,
        };
        let name = instance_name(job_id);
        let answer: Result<AppendAnswer> = call_with_bytes(
            self.env,
            Class::Outbox,
            &name,
            "append",
            &append,
            &ready.inline,
        )
        .await;
        match answer {
            // After an error nobody knows whether the rows are there, so what they may refer to stays.
            Err(e) => self.owe(job_id, &e.to_string()),
            Ok(AppendAnswer::Full) => {
                archive::delete_all(self.bucket, &ready.spooled).await;
                self.owe(job_id, owed::FULL)
            }
            Ok(AppendAnswer::Duplicate(holding)) => {
                archive::delete_all(self.bucket, &ready.spooled).await;
                stored(job_id, holding)
            }
            Ok(AppendAnswer::Stored(holding)) => stored(job_id, holding),
        }
    }

    fn owe(&self, job_id: u64, reason: &str) -> JobSelection {
        let state = SelectionState::Owed {
            reason: reason.to_owned(),
        };
        JobSelection {
            job_id,
            records: 0,
            bytes: 0,
            minute: minute_of(self.received_at_millis),
            surprises: Surprises::default(),
            state,
        }
    }
}

fn stored(job_id: u64, holding: Holding) -> JobSelection {
    let Holding {
        records,
        bytes,
        minute,
    } = holding;
    JobSelection {
        job_id,
        records,
        bytes,
        minute,
        surprises: Surprises::default(),
        state: SelectionState::Stored,
    }
}
