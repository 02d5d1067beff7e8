//! A replay as the API and `/stats` show it.

use super::{End, Progress, Spec};
use crate::logpush::destination_conf::masked;
use crate::logpush::job::Job;
use crate::outbox::Summary;
use crate::time::rfc3339_millis;
use serde_json::{Value, json};

/// All that is known of a replay.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What it is to do.
    pub spec: Spec,
    /// How far it has come.
    pub progress: Progress,
    /// Its queue, or the job that it fills up; `None` when that was deleted.
    pub job: Option<Job>,
    /// The outbox, in all time.
    pub outbox: Summary,
}

impl Facts {
    /// How it is, in one word.
    #[must_use]
    pub fn state(&self) -> &'static str {
        let Self {
            progress,
            job,
            outbox,
            ..
        } = self;
        let is_own = self.spec.backfill.is_none();
        match progress.ended {
            Some((End::Completed, _)) => return "completed",
            Some((End::Cancelled, _)) => return "cancelled",
            None => {}
        }
        if progress.is_paused {
            return "paused";
        }
        let has_failed = |job: &Job| job.disabled_by_failing_at_millis.is_some() && !job.enabled;
        if is_own && job.as_ref().is_some_and(has_failed) {
            return "disabled_by_failing";
        }
        if is_own && outbox.parked_since_millis.is_some() {
            return "parked";
        }
        if progress.is_read {
            "delivering"
        } else {
            "running"
        }
    }

    /// Whether it may still do something.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.progress.ended.is_none()
    }

    /// The share that is done, 0 to 1: of what was read, what has left the queue again.
    fn done(&self) -> f64 {
        let Self {
            progress, outbox, ..
        } = self;
        let Some(total) = progress.total else {
            return 0.0;
        };
        if matches!(progress.ended, Some((End::Completed, _))) {
            return 1.0;
        }
        let share = |part: u64, whole: u64| {
            if whole == 0 {
                1.0
            } else {
                (part as f64 / whole as f64).min(1.0)
            }
        };
        let read = if progress.is_read {
            1.0
        } else {
            let gone = progress.read.batches + progress.missing_batches;
            share(progress.read.bytes_raw, total.bytes_raw).min(share(gone, total.batches))
        };
        if self.spec.backfill.is_some() {
            return read;
        }
        let left = outbox.waiting_bytes;
        let selected = progress.selected_bytes;
        read * share(selected.saturating_sub(left), selected)
    }

    /// When it will be done at the pace so far, unix milliseconds; `None` when nothing can be said.
    fn estimated_end(&self, now_millis: u64) -> Option<u64> {
        let began = self.progress.began_at_millis?;
        let done = self.done();
        let is_moving = self.is_under_way() && !self.progress.is_paused && done > 0.0;
        let whole = now_millis.saturating_sub(began) as f64 / done;
        is_moving.then(|| began + whole as u64)
    }

    /// As the API shows it. `mask` hides the credentials in `destination_conf`.
    #[must_use]
    pub fn to_api(&self, mask: bool, now_millis: u64) -> Value {
        let Self {
            spec,
            progress,
            job,
            outbox,
        } = self;
        let at = |millis: Option<u64>| millis.map(rfc3339_millis);
        let replay = job.as_ref().and_then(|job| job.replay.as_ref());
        let is_backfill = spec.backfill.is_some();
        let fed = if is_backfill {
            Some(spec.job)
        } else {
            replay.and_then(|replay| replay.job)
        };
        let shown = |conf: &str| {
            if mask { masked(conf) } else { conf.to_owned() }
        };
        let held = (outbox.waiting_records, outbox.waiting_bytes);
        let (waiting, parked) = match outbox.parked_since_millis {
            Some(_) => ((0, 0), held),
            None => (held, (0, 0)),
        };
        // What a job's own queue delivers is not the backfill's alone.
        let queue = (!is_backfill).then(|| {
            json!({
                "delivered": {
                    "records": outbox.delivered_records,
                    "bytes": outbox.delivered_bytes,
                    "pushes": outbox.delivered_pushes,
                },
                "waiting": {"records": waiting.0, "bytes": waiting.1},
                "parked": {"records": parked.0, "bytes": parked.1, "since": at(outbox.parked_since_millis)},
                "dead": {"records": outbox.dead_records, "letters": outbox.dead_letters},
                "discarded": {"records": outbox.discarded_records},
                "failing_since": at(outbox.failing_since_millis),
                "error_message": outbox.error_message,
            })
        });
        let total = progress.total.unwrap_or_default();
        json!({
            "id": spec.id,
            "dataset": spec.dataset,
            "kind": if is_backfill { "backfill" } else { "replay" },
            "state": self.state(),
            "start": spec.start,
            "end": spec.end,
            "job_id": fed,
            "queue_job_id": (!is_backfill).then_some(spec.job),
            "filter": job.as_ref().and_then(|job| job.filter.clone()).unwrap_or_default(),
            "output_options": job.as_ref().and_then(|job| job.output_options.clone()),
            "destination_conf": job.as_ref().map(|job| shown(&job.destination_conf)),
            "max_bytes_per_second": replay.and_then(|replay| replay.max_bytes_per_second),
            "max_pushes_per_second": replay.and_then(|replay| replay.max_pushes_per_second),
            "created_at": rfc3339_millis(spec.created_at_millis),
            "began_at": at(progress.began_at_millis),
            "read_at": at(progress.read_at_millis),
            "ended_at": at(progress.ended.map(|(_, at)| at)),
            "progress": {
                "percent": (self.done() * 1_000.0).floor() / 10.0,
                "batches": progress.read.batches,
                "batches_total": total.batches,
                "records": progress.read.records,
                "records_total": total.records,
                "bytes_raw": progress.read.bytes_raw,
                "bytes_raw_total": total.bytes_raw,
                "estimated_end": at(self.estimated_end(now_millis)),
            },
            "selected": {"records": progress.selected_records, "bytes": progress.selected_bytes},
            "undated_records": progress.undated_records,
            "invalid_lines": progress.invalid_lines,
            "surprises": progress.surprises,
            "missing": {"batches": progress.missing_batches, "objects": progress.missing_objects},
            "error": progress.error,
            "queue": queue,
        })
    }
}
