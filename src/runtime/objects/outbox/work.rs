//! The alarm's work: asks [`crate::outbox::step`] what to do, does it, and comes back with what happened.

use super::super::registry::{JobRow, JobsQuery, Update};
use super::super::{Class, REGISTRY_NAME, blob, call, now_millis};
use super::{FAILED_RECHECK_MILLIS, Outbox, Totals};
use crate::destination::receipt::Confirmation;
use crate::destination::{self, Holds, Outcome};
use crate::health::log::{ACCEPTED, Attempt};
use crate::limits::REMEMBER_BATCH_MILLIS;
use crate::logpush::job::Job;
use crate::outbox::{
    CurrentPush, Effect, EntryFacts, Event, Head, JobState, Pace, PushLimits, Queue, Rate, Receipt,
    Step, Trouble, Waiting, gather, step,
};
use crate::route::Assembly;
use crate::runtime::config;
use crate::runtime::jobs::destination_of;
use crate::runtime::js::sql::params;
use crate::runtime::push::records::Source;
use crate::runtime::push::{self, Part, Push, Sent, Upload};
use js_sys::Uint8Array;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use worker::Result;

/// How many waiting entries are looked at to fill one push; more than fit by bytes in all but strange cases.
const GATHER_ENTRIES: u64 = 1_000;

/// How long one alarm pushes before it lets others in; far below the platform's 15 minutes.
const ALARM_MILLIS: u64 = 60_000;

/// How long after a push's deadline the alarm looks again, should it die in the middle of one.
const REARM_MARGIN_MILLIS: u64 = 15_000;

#[derive(Deserialize)]
pub(super) struct StoredPush {
    pub(super) id: String,
    pub(super) attempts: u32,
    pub(super) next_at: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Its last entry; it begins with the first one of the queue.
    pub(super) last_seq: i64,
    /// JSON of the [`Receipt`] that the destination owes.
    pub(super) receipt: Option<String>,
    /// The [`mark_of`] that destination.
    pub(super) receipt_from: Option<String>,
}

impl StoredPush {
    /// What the destination of `mark` owes.
    pub(super) fn receipt(&self, mark: &str) -> Option<Receipt> {
        self.receipt_from.as_deref().filter(|from| *from == mark)?;
        serde_json::from_str(self.receipt.as_deref()?).ok()
    }
}

/// What tells one destination from another in a row: nothing that could be read back.
pub(super) fn mark_of(job: &Job) -> String {
    let hash = Sha256::digest(job.destination_conf.as_bytes());
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What one push of a job may hold.
fn limits_of(job: &Job) -> PushLimits {
    let limits = PushLimits {
        rate: Rate::of(job.replay.as_ref()),
        ..PushLimits::new(
            job.max_upload_bytes,
            job.max_upload_records,
            job.max_upload_interval_seconds,
        )
    };
    match destination_of(job) {
        Some(conf) => limits.within(&destination::limits(&conf)),
        // It is not pushed to before it can be read.
        None => limits,
    }
}

/// The oldest entry.
#[derive(Deserialize)]
pub(super) struct HeadRow {
    pub(super) seq: i64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) kind: String,
    pub(super) object: Option<String>,
    pub(super) start: Option<u64>,
    pub(super) assembly: Option<String>,
    pub(super) indivisible: u64,
}

#[derive(Deserialize)]
struct EntryRow {
    seq: i64,
    batch: String,
    records: u64,
    bytes: u64,
    kind: String,
    assembly: Option<String>,
    indivisible: u64,
}

#[derive(Deserialize)]
struct Written {
    assembly: Option<String>,
}

/// The entries of a push.
pub(super) fn up_to(push: &StoredPush) -> String {
    format!("WHERE seq <= {}", push.last_seq)
}

pub(super) fn job_state(job: &Job, deleted_at: Option<u64>) -> JobState {
    match deleted_at {
        Some(_) => JobState::Deleted,
        None if job.enabled => JobState::Enabled,
        None => JobState::Disabled,
    }
}

/// What is pushed to, as health data names it.
pub(super) fn label(job: &Job) -> &'static str {
    destination_of(job).map_or("unknown", |conf| conf.kind().label())
}

/// What can not be read teaches nothing; the destination will say it again.
pub(super) fn trouble_of(stored: Option<&str>) -> Trouble {
    stored
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

pub(super) fn assembly_of(stored: Option<&str>) -> Result<Option<Assembly>> {
    let read = stored.map(serde_json::from_str).transpose();
    read.map_err(|e| worker::Error::RustError(format!("unexpected row: {e}")))
}

impl Outbox {
    pub(super) fn pace(&self) -> Pace {
        let secs = |name| config::number(&self.env, name);
        Pace::with(
            secs(config::RETRY_MAX_SECONDS),
            secs(config::PROBE_MAX_SECONDS),
            secs(config::DISABLE_AFTER_SECONDS),
        )
        .asking(
            secs(config::ACK_POLL_SECONDS),
            secs(config::ACK_DEADLINE_SECONDS),
        )
    }

    /// Before work that may take as long as a push: should it die, the alarm comes again.
    pub(super) async fn rearm(&self) -> Result<()> {
        let at = now_millis() + push::deadline_millis(&self.env) + REARM_MARGIN_MILLIS;
        self.arm(at).await
    }

    /// Pushes until nothing is due. Returns when to look again, unless the alarm set before the work does.
    pub(super) async fn work(&self) -> Result<Option<u64>> {
        let started = now_millis();
        self.sql()?.run(
            "DELETE FROM batches WHERE appended_at < ?",
            params![started.saturating_sub(REMEMBER_BATCH_MILLIS)],
        )?;
        let has_dead = self
            .sql()?
            .objects("SELECT 1 FROM dead LIMIT 1", params![])?;
        if self.held()?.records == 0 {
            self.has_news.set(false);
            self.job_changed.set(false);
            // Dead letters wait for nothing, but they go when the job does.
            let is_over = has_dead.length() > 0
                && self
                    .job()
                    .await?
                    .is_some_and(|row| row.deleted_at.is_some());
            // Without setting the alarm again: an idle outbox sleeps.
            if !is_over && !self.has_news.get() && !self.job_changed.get() {
                return Ok(None);
            }
        }
        self.rearm().await?;
        let mut row = self.job().await?;
        loop {
            if now_millis() > started + ALARM_MILLIS {
                return Ok(Some(now_millis()));
            }
            // Again for what came while it was read: no await follows before the queue is looked at.
            while self.job_changed.replace(false) {
                row = self.job().await?;
            }
            let job = row.as_ref().map_or(JobState::Disabled, |row| {
                job_state(&row.job, row.deleted_at)
            });
            let limits = row
                .as_ref()
                .map_or(PushLimits::new(None, None, None), |row| limits_of(&row.job));
            let mark = row.as_ref().map(|row| mark_of(&row.job));
            let mark = mark.unwrap_or_default();
            self.has_news.set(false);
            let queue = self.queue(job, limits, &mark)?;
            let Step { effect, trouble } = step(&queue, Event::Wake, now_millis());
            if trouble != queue.trouble {
                self.remember(&trouble)?;
            }
            match effect {
                Effect::Sleep => return Ok(None),
                Effect::SleepUntil(at) => return Ok(Some(at)),
                Effect::FormPush(limits) => self.form_push(&limits)?,
                Effect::CutHead(limits) => {
                    let Some(row) = &row else { return Ok(None) };
                    self.rearm().await?;
                    self.cut_head(row, &limits).await?;
                }
                Effect::Discard => {
                    self.discard().await?;
                    return Ok(None);
                }
                Effect::DisableJob => {
                    let Some(row) = &row else { return Ok(None) };
                    self.disable(row).await?;
                }
                Effect::SendPush => {
                    let Some(row) = &row else { return Ok(None) };
                    self.rearm().await?;
                    let upload = Upload::new();
                    match self.send(row, &upload).await? {
                        Sent::Asked(outcome) => {
                            let event = Event::Answered {
                                outcome: outcome.clone(),
                                jitter: js_sys::Math::random(),
                            };
                            // The table may have changed while the destination was asked, the current push can not have.
                            let step = step(&self.queue(job, limits, &mark)?, event, now_millis());
                            self.answered(row, &step, &outcome, &upload).await?;
                        }
                        Sent::Gone { object, reason } => {
                            self.bury_gone(&row.job, &object, &reason)?;
                        }
                    }
                }
                Effect::AskReceipt(receipt) => {
                    let Some(row) = &row else { return Ok(None) };
                    self.rearm().await?;
                    let confirmation = push::confirm(&self.env, &row.job, receipt.number).await;
                    let event = Event::Asked {
                        confirmation: confirmation.clone(),
                        jitter: js_sys::Math::random(),
                    };
                    let step = step(&self.queue(job, limits, &mark)?, event, now_millis());
                    self.asked(row, &receipt, &step, &confirmation).await?;
                }
                // What follows from an answer is done where the answer is.
                Effect::Delivered
                | Effect::AwaitReceipt(..)
                | Effect::SendAgainAt(_)
                | Effect::RetryAt(_)
                | Effect::Dissolve
                | Effect::DeadLetter => {
                    return Ok(Some(now_millis() + FAILED_RECHECK_MILLIS));
                }
            }
        }
    }

    /// The queue of a job whose destination is that of `mark`.
    pub(super) fn queue(&self, job: JobState, limits: PushLimits, mark: &str) -> Result<Queue> {
        let push = match self.current_push()? {
            Some(push) => Some(CurrentPush {
                attempts: push.attempts,
                next_attempt_millis: push.next_at,
                records: push.records,
                bytes: push.bytes,
                is_divisible: self.is_divisible(&push)?,
                receipt: push.receipt(mark),
            }),
            None => None,
        };
        // What waits behind a push is looked at when its turn comes.
        let waiting = match push {
            Some(_) => Waiting::default(),
            None => self.waiting()?,
        };
        Ok(Queue {
            job,
            push,
            waiting,
            limits,
            trouble: self.trouble()?,
            pace: self.pace(),
        })
    }

    pub(super) fn waiting(&self) -> Result<Waiting> {
        let Some(head) = self.head()? else {
            return Ok(Waiting::default());
        };
        let next: Option<Totals> = self.sql()?.first(
            "SELECT coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes, min(received_at) AS oldest
                FROM (SELECT records, bytes, received_at FROM entries ORDER BY seq LIMIT ?)",
            params![GATHER_ENTRIES],
        )?;
        Ok(next.map_or_else(Waiting::default, |next| Waiting {
            records: next.records,
            bytes: next.bytes,
            oldest_millis: next.oldest.unwrap_or(0),
            head: Head {
                records: head.records,
                bytes: head.bytes,
                is_archive: head.kind == "archive",
                is_divisible: head.records > 1 && head.indivisible == 0,
            },
        }))
    }

    pub(super) fn head(&self) -> Result<Option<HeadRow>> {
        self.sql()?.first(
            "SELECT seq, records, bytes, kind, object, start, assembly, indivisible FROM entries ORDER BY seq LIMIT 1",
            params![],
        )
    }

    pub(super) fn current_push(&self) -> Result<Option<StoredPush>> {
        self.sql()?.first(
            "SELECT id, attempts, next_at, records, bytes, last_seq, receipt, receipt_from FROM pushes LIMIT 1",
            params![],
        )
    }

    /// Whether smaller pushes can be made of a push: it has several entries, or one that can be cut.
    pub(super) fn is_divisible(&self, push: &StoredPush) -> Result<bool> {
        #[derive(Deserialize)]
        struct Row {
            indivisible: u64,
        }
        let rows: Vec<Row> = self.sql()?.rows(
            "SELECT indivisible FROM entries WHERE seq <= ? ORDER BY seq LIMIT 2",
            params![push.last_seq],
        )?;
        Ok(match rows.as_slice() {
            [only] => push.records > 1 && only.indivisible == 0,
            _ => true,
        })
    }

    pub(super) fn trouble(&self) -> Result<Trouble> {
        #[derive(Deserialize)]
        struct Stored {
            trouble: Option<String>,
        }
        let stored: Option<Stored> = self.sql()?.first("SELECT trouble FROM health", params![])?;
        Ok(trouble_of(stored.and_then(|row| row.trouble).as_deref()))
    }

    pub(super) fn remember(&self, trouble: &Trouble) -> Result<()> {
        let text = serde_json::to_string(trouble)?;
        self.sql()?
            .run("UPDATE health SET trouble = ?", params![&text])
    }

    pub(super) async fn job(&self) -> Result<Option<JobRow>> {
        #[derive(Deserialize)]
        struct Own {
            job: Option<u64>,
        }
        let own: Option<Own> = self.sql()?.first("SELECT job FROM health", params![])?;
        let Some(id) = own.and_then(|own| own.job) else {
            return Ok(None);
        };
        let query = JobsQuery {
            id: Some(id),
            with_deleted: true,
            ..JobsQuery::default()
        };
        let rows: Vec<JobRow> =
            call(&self.env, Class::Registry, REGISTRY_NAME, "jobs", &query).await?;
        let row = rows.into_iter().next();
        self.job_read.replace(row.clone());
        Ok(row)
    }

    pub(super) fn form_push(&self, limits: &PushLimits) -> Result<()> {
        let sql = self.sql()?;
        let rows: Vec<EntryRow> = sql.rows(
            "SELECT seq, batch, records, bytes, kind, assembly, indivisible FROM entries
                ORDER BY seq LIMIT ?",
            params![GATHER_ENTRIES],
        )?;
        let facts = rows.iter().map(|row| EntryFacts {
            records: row.records,
            bytes: row.bytes,
            is_alone: row.kind == "archive" || row.indivisible != 0,
            assembly: row.assembly.as_deref(),
        });
        let assembly = assembly_of(rows.first().and_then(|row| row.assembly.as_deref()))?;
        let limits = limits.beside(assembly.as_ref());
        let taken = rows.get(..gather(facts, &limits)).unwrap_or_default();
        let Some(last) = taken.last() else {
            return Ok(());
        };
        // Never the same for other records, whatever was cut or sent again: a receiver drops what has an id that it knows.
        #[derive(Deserialize)]
        struct Own {
            job: Option<u64>,
            formed_pushes: u64,
        }
        let own: Option<Own> = sql.first("SELECT job, formed_pushes FROM health", params![])?;
        let mut hash = Sha256::new();
        if let Some(own) = own {
            hash.update(format!("{:?}/{}\n", own.job, own.formed_pushes));
        }
        for row in taken {
            hash.update(format!("{}/{}/{}\n", row.batch, row.records, row.bytes));
        }
        let id: String = hash
            .finalize()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        sql.atomically(|| {
            sql.run(
                "INSERT INTO pushes (id, records, bytes, last_seq) VALUES (?, ?, ?, ?)",
                params![
                    &id,
                    taken.iter().map(|row| row.records).sum::<u64>(),
                    taken.iter().map(|row| row.bytes).sum::<u64>(),
                    last.seq
                ],
            )?;
            sql.run(
                "UPDATE health SET formed_pushes = formed_pushes + 1",
                params![],
            )
        })
    }

    pub(super) async fn send(&self, row: &JobRow, upload: &Upload) -> Result<Sent> {
        let Some(current) = self.current_push()? else {
            return Ok(Sent::Asked(Outcome::internal("there is no push to send")));
        };
        self.sql()?.run(
            "UPDATE pushes SET attempts = attempts + 1, receipt = NULL, receipt_from = NULL",
            params![],
        )?;
        let parts = self.parts(&current)?;
        let assembly = self.push_assembly(&current)?;
        let push = Push {
            id: &current.id,
            holds: self.times(&current)?,
            source: Source {
                bucket: &self.env.bucket(config::ARCHIVE)?,
                parts: &parts,
                assembly: assembly.as_ref(),
                inline: &|seq| self.payload(seq),
            },
        };
        Ok(push::send(&self.env, &row.job, &push, upload).await)
    }

    pub(super) async fn answered(
        &self,
        row: &JobRow,
        step: &Step,
        outcome: &Outcome,
        upload: &Upload,
    ) -> Result<()> {
        let Some(current) = self.current_push()? else {
            return Ok(());
        };
        let attempt = Attempt {
            at_millis: now_millis(),
            destination: label(&row.job),
            status: match outcome {
                // Whatever the destination said: what is not 200 is what failed.
                Outcome::Accepted | Outcome::AcceptedNearCapacity | Outcome::Taken { .. } => {
                    ACCEPTED
                }
                Outcome::Failed(failure) => failure.status,
            },
            is_final: matches!(step.effect, Effect::Delivered | Effect::DeadLetter),
            records: current.records,
            bytes: current.bytes,
            bytes_compressed: upload.bytes(),
            duration_millis: upload.millis(),
        };
        let failure = match outcome {
            Outcome::Accepted | Outcome::AcceptedNearCapacity => {
                return self.delivered(&current, &step.trouble, &attempt).await;
            }
            // Written down as an attempt when it is known what became of it.
            Outcome::Taken { .. } => {
                return self.await_receipt(step, &mark_of(&row.job), Some(upload.bytes()));
            }
            Outcome::Failed(failure) => failure,
        };
        let sql = self.sql()?;
        match step.effect {
            Effect::DeadLetter => self.bury(row, &step.trouble, failure, &attempt).await,
            Effect::Dissolve => sql.atomically(|| {
                self.remember_failure(&step.trouble, &failure.reason, &attempt)?;
                sql.run("DELETE FROM pushes", params![])
            }),
            Effect::RetryAt(at_millis) => sql.atomically(|| {
                self.remember_failure(&step.trouble, &failure.reason, &attempt)?;
                sql.run("UPDATE pushes SET next_at = ?", params![at_millis])
            }),
            _ => Ok(()),
        }
    }

    /// What follows from what a destination said of a push that it had taken.
    async fn asked(
        &self,
        row: &JobRow,
        receipt: &Receipt,
        step: &Step,
        confirmation: &Confirmation,
    ) -> Result<()> {
        let Some(current) = self.current_push()? else {
            return Ok(());
        };
        let attempt = Attempt {
            at_millis: now_millis(),
            destination: label(&row.job),
            status: ACCEPTED,
            is_final: true,
            records: current.records,
            bytes: current.bytes,
            bytes_compressed: receipt.bytes_compressed,
            duration_millis: now_millis().saturating_sub(receipt.taken_at_millis),
        };
        let failure = match confirmation {
            Confirmation::Failed(failure) => Some(failure),
            Confirmation::Safe | Confirmation::NotYet => None,
        };
        let sql = self.sql()?;
        match step.effect {
            Effect::Delivered => self.delivered(&current, &step.trouble, &attempt).await,
            Effect::AwaitReceipt(..) => sql.atomically(|| {
                if let Some(failure) = failure {
                    self.remember(&step.trouble)?;
                    sql.run(
                        "UPDATE health SET last_error = ?, error_message = ?",
                        params![attempt.at_millis, &failure.reason],
                    )?;
                }
                self.await_receipt(step, &mark_of(&row.job), None)
            }),
            Effect::SendAgainAt(at_millis) => sql.atomically(|| {
                let secs = self.pace().acknowledge_within_millis / 1000;
                if let Outcome::Failed(failure) = Outcome::unacknowledged(secs, failure) {
                    let attempt = Attempt {
                        status: failure.status,
                        is_final: false,
                        ..attempt
                    };
                    self.remember_failure(&step.trouble, &failure.reason, &attempt)?;
                }
                sql.run(
                    "UPDATE pushes SET next_at = ?, receipt = NULL, receipt_from = NULL",
                    params![at_millis],
                )
            }),
            // The job changed meanwhile, or the push is gone.
            _ => Ok(()),
        }
    }

    /// Writes down what the destination of `mark` owes, for a push that was sent just now as so many bytes.
    fn await_receipt(&self, step: &Step, mark: &str, sent_bytes: Option<u64>) -> Result<()> {
        let Effect::AwaitReceipt(receipt, ask_at_millis) = &step.effect else {
            return Ok(());
        };
        let receipt = Receipt {
            bytes_compressed: sent_bytes.unwrap_or(receipt.bytes_compressed),
            ..*receipt
        };
        self.sql()?.run(
            "UPDATE pushes SET next_at = ?, receipt = ?, receipt_from = ?",
            params![*ask_at_millis, &serde_json::to_string(&receipt)?, mark],
        )
    }

    /// Writes down an attempt that failed, and what it taught.
    pub(super) fn remember_failure(
        &self,
        trouble: &Trouble,
        reason: &str,
        attempt: &Attempt<'_>,
    ) -> Result<()> {
        let totals = self.log(attempt)?;
        self.sql()?.run(
            "UPDATE health SET trouble = ?, last_error = ?, error_message = ?, totals = ?",
            params![
                &serde_json::to_string(trouble)?,
                attempt.at_millis,
                reason,
                &totals
            ],
        )
    }

    pub(super) async fn delivered(
        &self,
        current: &StoredPush,
        trouble: &Trouble,
        attempt: &Attempt<'_>,
    ) -> Result<()> {
        let sql = self.sql()?;
        let objects = sql.atomically(|| {
            self.count_out("delivered", "entries", &up_to(current))?;
            let totals = self.log(attempt)?;
            sql.run(
                "UPDATE health SET trouble = ?, delivered_pushes = delivered_pushes + 1, last_success = ?, last_error = NULL,
                    error_message = NULL, totals = ?,
                    last_complete = (SELECT max(coalesce(last_event, received_at)) FROM entries WHERE seq <= ?)",
                params![
                    &serde_json::to_string(trouble)?,
                    attempt.at_millis,
                    &totals,
                    current.last_seq
                ],
            )?;
            self.leave(current)
        })?;
        self.delete_unreferenced(objects).await
    }

    /// The entries of a push leave the table, and the push with them. Returns the spooled objects that they lay in.
    pub(super) fn leave(&self, push: &StoredPush) -> Result<Vec<String>> {
        let sql = self.sql()?;
        let objects = self.spool_objects(&up_to(push))?;
        sql.run("DELETE FROM entries WHERE seq <= ?", params![push.last_seq])?;
        sql.run("DELETE FROM pushes", params![])?;
        Ok(objects)
    }

    /// Nothing was accepted for a day. The queue keeps what it has; whoever enables the job goes on where it stopped.
    pub(super) async fn disable(&self, row: &JobRow) -> Result<()> {
        let update = Update {
            expected_version: row.job.version,
            job: row.job.clone().disabled_by_failing(now_millis()),
        };
        let _: Option<Job> =
            call(&self.env, Class::Registry, REGISTRY_NAME, "update", &update).await?;
        // Somebody else may have changed it at the same time: look again.
        self.job_changed.set(true);
        Ok(())
    }

    /// All entries of a push have the same one.
    pub(super) fn push_assembly(&self, push: &StoredPush) -> Result<Option<Assembly>> {
        let written: Option<Written> = self.sql()?.first(
            "SELECT assembly FROM entries WHERE seq <= ? ORDER BY seq LIMIT 1",
            params![push.last_seq],
        )?;
        assembly_of(written.and_then(|row| row.assembly).as_deref())
    }

    /// The times of the batches whose records a push holds: the same on every attempt, because an object is called by them.
    pub(super) fn times(&self, push: &StoredPush) -> Result<Holds> {
        #[derive(Deserialize)]
        struct Times {
            first: u64,
            last: u64,
        }
        let times: Option<Times> = self.sql()?.first(
            "SELECT coalesce(min(coalesce(first_event, last_event, received_at)), 0) AS first,
                coalesce(max(coalesce(last_event, received_at)), 0) AS last FROM entries WHERE seq <= ?",
            params![push.last_seq],
        )?;
        Ok(Holds::Records {
            first_millis: times.as_ref().map_or(0, |times| times.first),
            last_millis: times.map_or(0, |times| times.last),
        })
    }

    pub(super) fn parts(&self, push: &StoredPush) -> Result<Vec<Part>> {
        self.sql()?.rows(
            "SELECT seq, kind, object, start, records, bytes FROM entries WHERE seq <= ? ORDER BY seq",
            params![push.last_seq],
        )
    }

    pub(super) fn payload(&self, seq: i64) -> Result<Uint8Array> {
        let rows = self
            .sql()?
            .objects("SELECT payload FROM entries WHERE seq = ?", params![seq])?;
        blob(&rows.get(0), "payload")
    }
}
