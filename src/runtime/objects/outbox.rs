//! A job's selected records, durable until the destination accepts them. One object per job.
//!
//! State: `entries` (payload or reference; the sequence is the order of delivery), `pushes` (at most one: the push that
//! is being tried, written down before it is sent), `batches` (what was appended, so that a second append changes
//! nothing), `dead` (what the destination refused for good), counters per minute of receipt, and what the last answers
//! taught. The decisions are
//! [`crate::outbox::step`]'s; this file reads and writes rows and talks to the destination.
//! An eviction loses nothing: an unanswered push is sent again under the same id. The alarm pushes.

use super::registry::{JobRow, JobsQuery, Update};
use super::{Class, REGISTRY_NAME, answer, blob, call, now_millis, question};
use crate::alerting::{JobFacts, Occurrence, Subject, Thresholds};
use crate::destination::{Failure, Outcome, network};
use crate::ledger::minute_of;
use crate::limits::{OUTBOX_MAX_BYTES, REMEMBER_BATCH_MILLIS};
use crate::logpush::destination_conf::masked;
use crate::logpush::job::Job;
use crate::outbox::concerns::{self, Concern, Outlook};
use crate::outbox::{
    Append, AppendAnswer, CurrentPush, DeadLetter, Effect, EntryFacts, EntrySource, Event, Head,
    Health, Holding, JobState, Pace, Prospect, PushLimits, Queue, Selected, Selection, Step,
    Summary, Trouble, Waiting, cut, gather, step,
};
use crate::route::{Assembly, NDJSON};
use crate::runtime::js::sql::{Database, Sql, params};
use crate::runtime::objects::ledger::MinuteRange;
use crate::runtime::push::{self, Part, Sent, SourceError};
use crate::runtime::{alerts, archive, config, owed};
use crate::time::rfc3339_millis;
use js_sys::Uint8Array;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use wasm_bindgen::JsValue;
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object, wasm_bindgen};

/// Brought up to date one by one; never edited, only added to.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE entries (seq INTEGER PRIMARY KEY AUTOINCREMENT, batch TEXT NOT NULL, minute INTEGER NOT NULL,
        received_at INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL, kind TEXT NOT NULL,
        object TEXT, start INTEGER, payload BLOB, push TEXT);
    CREATE INDEX entries_waiting ON entries (seq) WHERE push IS NULL;
    CREATE INDEX entries_by_object ON entries (object) WHERE object IS NOT NULL;
    CREATE TABLE pushes (id TEXT PRIMARY KEY, records INTEGER NOT NULL, bytes INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, next_at INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
    CREATE TABLE batches (id TEXT PRIMARY KEY, records INTEGER NOT NULL, bytes INTEGER NOT NULL,
        minute INTEGER NOT NULL, appended_at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX batches_by_age ON batches (appended_at);
    CREATE TABLE minutes (minute INTEGER PRIMARY KEY, stored_batches INTEGER NOT NULL DEFAULT 0,
        stored_records INTEGER NOT NULL DEFAULT 0, stored_bytes INTEGER NOT NULL DEFAULT 0,
        delivered_records INTEGER NOT NULL DEFAULT 0, delivered_bytes INTEGER NOT NULL DEFAULT 0,
        discarded_records INTEGER NOT NULL DEFAULT 0, discarded_bytes INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE health (one INTEGER PRIMARY KEY CHECK (one = 1), job INTEGER, delivered_pushes INTEGER NOT NULL DEFAULT 0,
        last_success INTEGER, last_error INTEGER, error_message TEXT);
    INSERT INTO health (one) VALUES (1);
    -- What `entries` adds up to, so that an append to a long queue does not read all of it.
    CREATE TABLE held (one INTEGER PRIMARY KEY CHECK (one = 1), records INTEGER NOT NULL, inline_bytes INTEGER NOT NULL);
    INSERT INTO held (one, records, inline_bytes) VALUES (1, 0, 0);
    CREATE TRIGGER entry_comes AFTER INSERT ON entries BEGIN UPDATE held SET records = records + NEW.records,
        inline_bytes = inline_bytes + coalesce(length(NEW.payload), 0); END;
    CREATE TRIGGER entry_leaves AFTER DELETE ON entries BEGIN UPDATE held SET records = records - OLD.records,
        inline_bytes = inline_bytes - coalesce(length(OLD.payload), 0); END;
",
    // JSON of `route::Assembly`; NULL for lines of JSON.
    "ALTER TABLE entries ADD COLUMN assembly TEXT;",
    // Latest event time in the entry's batch; and in the last push that was accepted.
    "ALTER TABLE entries ADD COLUMN last_event INTEGER; ALTER TABLE health ADD COLUMN last_complete INTEGER;",
    // JSON of `outbox::Trouble`; pushes that were ever formed; JSON of the `outbox::concerns::Concern`s raised; whether an
    // entry's records can not be told apart; dead letters. A push is the beginning of the queue up to `last_seq`, so
    // `entries.push` is not used any more, and nothing is written when entries join a push or leave it.
    "ALTER TABLE health ADD COLUMN trouble TEXT;
    ALTER TABLE health ADD COLUMN formed_pushes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE health ADD COLUMN raised TEXT;
    ALTER TABLE pushes ADD COLUMN last_seq INTEGER NOT NULL DEFAULT 0;
    UPDATE pushes SET last_seq = coalesce((SELECT max(seq) FROM entries WHERE push = pushes.id), 0);
    DROP INDEX entries_waiting;
    ALTER TABLE entries ADD COLUMN indivisible INTEGER NOT NULL DEFAULT 0;
    CREATE TRIGGER entry_changes AFTER UPDATE OF records, payload ON entries BEGIN UPDATE held SET
        records = records + NEW.records - OLD.records,
        inline_bytes = inline_bytes + coalesce(length(NEW.payload), 0) - coalesce(length(OLD.payload), 0); END;
    CREATE TABLE dead (id INTEGER PRIMARY KEY AUTOINCREMENT, push TEXT NOT NULL, batch TEXT NOT NULL,
        minute INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL, status INTEGER NOT NULL, reason TEXT NOT NULL,
        received_at INTEGER NOT NULL, died_at INTEGER NOT NULL, object TEXT, assembly TEXT, last_event INTEGER);",
];

/// Which dead letters an [`outbox::Selection`](Selection) means.
const CHOSEN: &str = "(?1 = '[]' OR id IN (SELECT value FROM json_each(?1))) AND id > ?2
    AND (?3 IS NULL OR died_at >= ?3) AND (?4 IS NULL OR died_at <= ?4)";

/// How many waiting entries are looked at to fill one push; more than fit by bytes in all but strange cases.
const GATHER_ENTRIES: u64 = 1_000;

/// How long one alarm pushes before it lets others in; far below the platform's 15 minutes.
const ALARM_MILLIS: u64 = 60_000;

/// When the queue is looked at again after a table, a bucket or the registry did not answer.
const FAILED_RECHECK_MILLIS: u64 = 5_000;

/// When concerns are looked at again that could not be raised.
const RAISE_AGAIN_MILLIS: u64 = 30_000;

/// How long after a push's deadline the alarm looks again, should it die in the middle of one.
const REARM_MARGIN_MILLIS: u64 = 15_000;

/// See the module.
#[durable_object(alarm)]
pub struct Outbox {
    state: State,
    env: Env,
    database: Database,
    /// The alarm is at work and will see what is appended meanwhile.
    is_working: Cell<bool>,
    /// Something was appended since the alarm looked at the queue.
    has_news: Cell<bool>,
    /// The job is no longer what the alarm read when it began.
    job_changed: Cell<bool>,
}

impl DurableObject for Outbox {
    fn new(state: State, env: Env) -> Self {
        Self {
            database: Database::open(&state, MIGRATIONS),
            state,
            env,
            is_working: Cell::new(false),
            has_news: Cell::new(false),
            job_changed: Cell::new(false),
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        match request.path().as_str() {
            "/append" => match question(&mut request).await {
                Ok((append, inline)) => answer(self.append(&append, &inline).await),
                Err(e) => answer::<()>(Err(e)),
            },
            "/holding" => match question::<String>(&mut request).await {
                Ok((batch_id, _)) => answer(self.holding(&batch_id)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/prospect" => match question::<String>(&mut request).await {
                Ok((batch_id, _)) => answer(self.prospect(&batch_id)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/health" => answer(self.health()),
            "/wake" => answer(self.wake_now().await),
            "/summary" => match question(&mut request).await {
                Ok((range, _)) => answer(self.summary(range)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/dead-letters" => match question(&mut request).await {
                Ok((selection, _)) => answer(self.dead_letters(&selection)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/redrive" => match question(&mut request).await {
                Ok((selection, _)) => answer(self.redrive(&selection).await),
                Err(e) => answer::<()>(Err(e)),
            },
            "/discard-dead-letters" => match question(&mut request).await {
                Ok((selection, _)) => answer(self.discard_dead_letters(&selection).await),
                Err(e) => answer::<()>(Err(e)),
            },
            _ => Response::error("no such operation", 404),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        self.is_working.set(true);
        let worked = self.work().await;
        let look = self.raise_concerns().await.unwrap_or_else(|e| {
            worker::console_error!("outbox, alerts: {e}");
            Some(now_millis() + RAISE_AGAIN_MILLIS)
        });
        self.is_working.set(false);
        let next = match worked {
            // What came while alerts were raised has not been looked at.
            Ok(_) if self.has_news.get() || self.job_changed.get() => Some(now_millis()),
            Ok(next) => next,
            Err(e) => {
                worker::console_error!("outbox: {e}");
                Some(now_millis() + FAILED_RECHECK_MILLIS)
            }
        };
        if let Some(at) = [next, look].into_iter().flatten().min() {
            self.arm(at).await?;
        }
        Response::empty()
    }
}

#[derive(Deserialize)]
struct StoredPush {
    id: String,
    attempts: u32,
    next_at: u64,
    records: u64,
    bytes: u64,
    /// Its last entry; it begins with the first one of the queue.
    last_seq: i64,
}

/// The oldest entry.
#[derive(Deserialize)]
struct HeadRow {
    seq: i64,
    records: u64,
    bytes: u64,
    kind: String,
    object: Option<String>,
    start: Option<u64>,
    assembly: Option<String>,
    indivisible: u64,
}

/// A dead letter as the table holds it.
#[derive(Deserialize)]
struct DeadRow {
    id: u64,
    push: String,
    batch: String,
    records: u64,
    bytes: u64,
    status: u16,
    reason: String,
    received_at: u64,
    died_at: u64,
    object: Option<String>,
}

#[derive(Deserialize)]
struct Held {
    records: u64,
    inline_bytes: u64,
}

#[derive(Deserialize)]
struct Totals {
    records: u64,
    bytes: u64,
    oldest: Option<u64>,
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
fn up_to(push: &StoredPush) -> String {
    format!("WHERE seq <= {}", push.last_seq)
}

#[derive(Deserialize)]
struct Oldest {
    received_at: u64,
}

fn job_state(job: &Job, deleted_at: Option<u64>) -> JobState {
    match deleted_at {
        Some(_) => JobState::Deleted,
        None if job.enabled => JobState::Enabled,
        None => JobState::Disabled,
    }
}

/// What can not be read teaches nothing; the destination will say it again.
fn trouble_of(stored: Option<&str>) -> Trouble {
    stored
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

fn assembly_of(stored: Option<&str>) -> Result<Option<Assembly>> {
    let read = stored.map(serde_json::from_str).transpose();
    read.map_err(|e| worker::Error::RustError(format!("unexpected row: {e}")))
}

impl Outbox {
    fn sql(&self) -> Result<&Sql> {
        self.database.get()
    }

    async fn arm(&self, at_millis: u64) -> Result<()> {
        let wait = at_millis.saturating_sub(now_millis());
        self.state.storage().set_alarm(wait as i64).await
    }

    async fn append(&self, append: &Append, inline: &Uint8Array) -> Result<AppendAnswer> {
        let stored = self.sql()?.atomically(|| self.store(append, inline))?;
        // Also for a duplicate: the first attempt may have died before it set the alarm.
        if stored != AppendAnswer::Full {
            self.arm_for_the_queue().await?;
        }
        Ok(stored)
    }

    /// Sets the alarm for what the queue has to do next, unless the alarm is at work and will see it.
    async fn arm_for_the_queue(&self) -> Result<()> {
        self.has_news.set(true);
        if self.is_working.get() {
            return Ok(());
        }
        // A push that waits for its time waits on; otherwise the alarm sees what there is to do.
        let next = self.current_push()?.map_or(0, |push| push.next_at);
        let at = next.max(now_millis());
        // An alarm that is set costs a write, and most of the time one that comes soon enough is set already.
        let known = self.state.storage().get_alarm().await?;
        if known.is_none_or(|known| known > at as i64) {
            self.arm(at).await?;
        }
        Ok(())
    }

    fn store(&self, append: &Append, inline: &Uint8Array) -> Result<AppendAnswer> {
        let sql = self.sql()?;
        let (records, bytes) = append
            .segments
            .iter()
            .fold((0, 0), |(records, bytes), (segment, _)| {
                (records + segment.records, bytes + segment.bytes)
            });
        if let Some(holding) = self.holding(&append.batch_id)? {
            return Ok(AppendAnswer::Duplicate(holding));
        }
        if self.held()?.inline_bytes + u64::from(inline.length()) > self.max_bytes() {
            return Ok(AppendAnswer::Full);
        }
        let now = now_millis();
        let minute = minute_of(append.received_at_millis);
        let assembly = append.assembly.as_ref().map(serde_json::to_string);
        let assembly = assembly
            .transpose()
            .map_err(|e| worker::Error::RustError(e.to_string()))?;
        let mut at = 0_u32;
        for (segment, source) in &append.segments {
            let (kind, object, start, payload) = match source {
                EntrySource::Inline => {
                    let end = at + segment.bytes as u32;
                    let payload = inline.subarray(at, end);
                    if end > inline.length() {
                        let what = "the append is shorter than its segments say";
                        return Err(worker::Error::RustError(what.to_owned()));
                    }
                    at = end;
                    ("inline", None, None, Some(payload.into()))
                }
                EntrySource::Spool { key, start } => ("spool", Some(key), Some(*start), None),
                EntrySource::Archive { key, size } => ("archive", Some(key), Some(*size), None),
            };
            sql.run(
                "INSERT INTO entries (batch, minute, received_at, records, bytes, kind, object, start, payload, assembly,
                    last_event) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    &append.batch_id,
                    minute,
                    append.received_at_millis,
                    segment.records,
                    segment.bytes,
                    kind,
                    object,
                    start,
                    payload as Option<JsValue>,
                    assembly.as_ref(),
                    append.last_event_millis
                ],
            )?;
        }
        sql.run(
            "INSERT INTO batches (id, records, bytes, minute, appended_at) VALUES (?, ?, ?, ?, ?)",
            params![&append.batch_id, records, bytes, minute, now],
        )?;
        sql.run(
            "INSERT INTO minutes (minute, stored_batches, stored_records, stored_bytes) VALUES (?, 1, ?, ?)
                ON CONFLICT (minute) DO UPDATE SET stored_batches = stored_batches + 1,
                stored_records = stored_records + excluded.stored_records,
                stored_bytes = stored_bytes + excluded.stored_bytes",
            params![minute, records, bytes],
        )?;
        // Written once: a row that stays as it is costs nothing.
        sql.run(
            "UPDATE health SET job = ?1 WHERE job IS NOT ?1",
            params![append.job_id],
        )?;
        Ok(AppendAnswer::Stored(Holding {
            records,
            bytes,
            minute,
        }))
    }

    fn max_bytes(&self) -> u64 {
        config::number(&self.env, config::OUTBOX_MAX_BYTES).unwrap_or(OUTBOX_MAX_BYTES)
    }

    fn prospect(&self, batch_id: &str) -> Result<Prospect> {
        Ok(match self.holding(batch_id)? {
            Some(holding) => Prospect::Duplicate(holding),
            None if self.held()?.inline_bytes >= self.max_bytes() => Prospect::Full,
            None => Prospect::Room,
        })
    }

    /// What this outbox took of a batch, if it did within [`REMEMBER_BATCH_MILLIS`].
    fn holding(&self, batch_id: &str) -> Result<Option<Holding>> {
        self.sql()?.first(
            "SELECT records, bytes, minute FROM batches WHERE id = ?",
            params![batch_id],
        )
    }

    /// The job changed: look at it now.
    async fn wake_now(&self) -> Result<()> {
        let sql = self.sql()?;
        let trouble = self.trouble()?.after_a_change();
        sql.atomically(|| {
            sql.run("UPDATE pushes SET next_at = 0", params![])?;
            self.remember(&trouble)
        })?;
        self.job_changed.set(true);
        if self.is_working.get() {
            return Ok(());
        }
        self.arm(now_millis()).await
    }

    fn current_push(&self) -> Result<Option<StoredPush>> {
        self.sql()?.first(
            "SELECT id, attempts, next_at, records, bytes, last_seq FROM pushes LIMIT 1",
            params![],
        )
    }

    fn trouble(&self) -> Result<Trouble> {
        #[derive(Deserialize)]
        struct Stored {
            trouble: Option<String>,
        }
        let stored: Option<Stored> = self.sql()?.first("SELECT trouble FROM health", params![])?;
        Ok(trouble_of(stored.and_then(|row| row.trouble).as_deref()))
    }

    fn remember(&self, trouble: &Trouble) -> Result<()> {
        let text = serde_json::to_string(trouble)?;
        self.sql()?
            .run("UPDATE health SET trouble = ?", params![&text])
    }

    fn head(&self) -> Result<Option<HeadRow>> {
        self.sql()?.first(
            "SELECT seq, records, bytes, kind, object, start, assembly, indivisible FROM entries ORDER BY seq LIMIT 1",
            params![],
        )
    }

    /// Whether smaller pushes can be made of a push: it has several entries, or one that can be cut.
    fn is_divisible(&self, push: &StoredPush) -> Result<bool> {
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

    fn held(&self) -> Result<Held> {
        let held = self
            .sql()?
            .first("SELECT records, inline_bytes FROM held", params![])?;
        Ok(held.unwrap_or(Held {
            records: 0,
            inline_bytes: 0,
        }))
    }

    fn queue(&self, job: JobState, limits: PushLimits) -> Result<Queue> {
        let push = match self.current_push()? {
            Some(push) => Some(CurrentPush {
                attempts: push.attempts,
                next_attempt_millis: push.next_at,
                records: push.records,
                bytes: push.bytes,
                is_divisible: self.is_divisible(&push)?,
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

    fn waiting(&self) -> Result<Waiting> {
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

    fn pace(&self) -> Pace {
        let secs = |name| config::number(&self.env, name);
        Pace::with(
            secs(config::RETRY_MAX_SECONDS),
            secs(config::PROBE_MAX_SECONDS),
            secs(config::DISABLE_AFTER_SECONDS),
        )
    }

    /// Before work that may take as long as a push: should it die, the alarm comes again.
    async fn rearm(&self) -> Result<()> {
        let at = now_millis() + push::deadline_millis(&self.env) + REARM_MARGIN_MILLIS;
        self.arm(at).await
    }

    /// Pushes until nothing is due. Returns when to look again, unless the alarm set before the work does.
    async fn work(&self) -> Result<Option<u64>> {
        let started = now_millis();
        self.sql()?.run(
            "DELETE FROM batches WHERE appended_at < ?",
            params![started.saturating_sub(REMEMBER_BATCH_MILLIS)],
        )?;
        let has_dead = self
            .sql()?
            .objects("SELECT 1 FROM dead LIMIT 1", params![])?;
        // Dead letters wait for nothing, but they go when the job does.
        if self.held()?.records == 0 && has_dead.length() == 0 {
            self.has_news.set(false);
            self.job_changed.set(false);
            return Ok(None);
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
                .map_or(PushLimits::new(None, None, None), |row| {
                    let job = &row.job;
                    PushLimits::new(
                        job.max_upload_bytes,
                        job.max_upload_records,
                        job.max_upload_interval_seconds,
                    )
                });
            self.has_news.set(false);
            let queue = self.queue(job, limits)?;
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
                    match self.send(row).await? {
                        Sent::Asked(outcome) => {
                            let event = Event::Answered {
                                outcome: outcome.clone(),
                                jitter: js_sys::Math::random(),
                            };
                            // The table may have changed while the destination was asked, the current push can not have.
                            let step = step(&self.queue(job, limits)?, event, now_millis());
                            self.answered(row, &step, &outcome).await?;
                        }
                        Sent::Gone { object, reason } => self.bury_gone(&object, &reason)?,
                    }
                }
                // What follows from an answer is done where the answer is.
                Effect::Delivered | Effect::RetryAt(_) | Effect::Dissolve | Effect::DeadLetter => {
                    return Ok(Some(now_millis() + FAILED_RECHECK_MILLIS));
                }
            }
        }
    }

    async fn answered(&self, row: &JobRow, step: &Step, outcome: &Outcome) -> Result<()> {
        let failure = match outcome {
            Outcome::Accepted => return self.delivered(&step.trouble).await,
            Outcome::Failed(failure) => failure,
        };
        let sql = self.sql()?;
        match step.effect {
            Effect::DeadLetter => self.bury(row, &step.trouble, failure).await,
            Effect::Dissolve => sql.atomically(|| {
                self.remember_failure(&step.trouble, &failure.reason)?;
                sql.run("DELETE FROM pushes", params![])
            }),
            Effect::RetryAt(at_millis) => sql.atomically(|| {
                self.remember_failure(&step.trouble, &failure.reason)?;
                sql.run("UPDATE pushes SET next_at = ?", params![at_millis])
            }),
            _ => Ok(()),
        }
    }

    fn remember_failure(&self, trouble: &Trouble, reason: &str) -> Result<()> {
        self.remember(trouble)?;
        self.sql()?.run(
            "UPDATE health SET last_error = ?, error_message = ?",
            params![now_millis(), reason],
        )
    }

    /// Cuts the oldest entry into parts, or an archived object into copies. Where its records can not be told apart,
    /// that is written down, and it is pushed whole.
    async fn cut_head(&self, row: &JobRow, limits: &PushLimits) -> Result<()> {
        let Some(head) = self.head()? else {
            return Ok(());
        };
        if head.kind == "archive" {
            return self.copy_head(row, &head).await;
        }
        let part = Part {
            seq: head.seq,
            kind: head.kind.clone(),
            object: head.object.clone(),
            start: head.start,
            bytes: head.bytes,
        };
        let bucket = self.env.bucket(config::ARCHIVE)?;
        let bytes = match push::bytes_of(&bucket, &part, |seq| self.payload(seq)).await {
            Ok(bytes) => bytes,
            Err(e) => return self.bury_or_fail(e),
        };
        let assembly = assembly_of(head.assembly.as_deref())?;
        let limits = limits.beside(assembly.as_ref());
        let copy = bytes.to_vec();
        let starts = cut::record_starts(&copy, head.records, assembly.as_ref());
        let parts = starts.map(|starts| {
            let parts = cut::parts(&starts, copy.len(), limits.max_records, limits.max_bytes);
            let begin = |record: usize| starts.get(record).copied().unwrap_or(copy.len());
            let parts = parts
                .into_iter()
                .map(|record| (record as u64, begin(record) as u64));
            parts.collect::<Vec<_>>()
        });
        let sql = self.sql()?;
        let Some(parts) = parts.filter(|parts| !parts.is_empty()) else {
            return sql.run(
                "UPDATE entries SET indivisible = 1 WHERE seq = ?",
                params![head.seq],
            );
        };
        let is_inline = head.kind == "inline";
        let payload = |from: u64, to: u64| {
            is_inline.then(|| JsValue::from(bytes.slice(from as u32, to as u32)))
        };
        let place = |at: u64| head.start.map(|start| start + at);
        sql.atomically(|| {
            // No push is written down, so this is the oldest of all entries, and the numbers below it are free.
            let (mut records, mut at) = (0, 0);
            for (number, (record, begin)) in parts.iter().enumerate() {
                sql.run(
                    "INSERT INTO entries (seq, batch, minute, received_at, records, bytes, kind, object, start, payload,
                        assembly, last_event) SELECT seq - ?, batch, minute, received_at, ?, ?, kind, object, ?, ?,
                        assembly, last_event FROM entries WHERE seq = ?",
                    params![
                        (parts.len() - number) as u64,
                        record - records,
                        begin - at,
                        place(at),
                        payload(at, *begin),
                        head.seq
                    ],
                )?;
                (records, at) = (*record, *begin);
            }
            sql.run(
                "UPDATE entries SET records = ?, bytes = ?, start = ?, payload = ? WHERE seq = ?",
                params![
                    head.records - records,
                    head.bytes - at,
                    place(at),
                    payload(at, head.bytes),
                    head.seq
                ],
            )
        })
    }

    /// Puts copies of an archived object's records in the place of the reference to it.
    async fn copy_head(&self, row: &JobRow, head: &HeadRow) -> Result<()> {
        let object = head.object.as_deref().unwrap_or_default();
        let sql = self.sql()?;
        let copied = match owed::copy_all(&self.env, &row.job, object).await {
            Ok(copied) if copied.records == head.records => copied,
            Ok(copied) => {
                let reason = format!(
                    "error pushing: {object} was to be cut, but it has {} records and not {}: it is in the archive",
                    copied.records, head.records
                );
                copied.clean_up(&self.env).await?;
                return self.bury_gone(object, &reason);
            }
            Err(e) => return self.bury_or_fail(e),
        };
        let count = copied.segments.len() as i64;
        sql.atomically(|| {
            let mut at = 0_u32;
            for (number, (segment, source)) in copied.segments.iter().enumerate() {
                let (kind, object, start, payload) = match source {
                    EntrySource::Inline => {
                        let end = at + segment.bytes as u32;
                        let payload = JsValue::from(copied.inline.slice(at, end));
                        at = end;
                        ("inline", None, None, Some(payload))
                    }
                    EntrySource::Spool { key, start } => ("spool", Some(key), Some(*start), None),
                    EntrySource::Archive { .. } => {
                        let what = "a copy is no reference";
                        return Err(worker::Error::RustError(what.to_owned()));
                    }
                };
                sql.run(
                    "INSERT INTO entries (seq, batch, minute, received_at, records, bytes, kind, object, start, payload,
                        last_event) SELECT seq - ?, batch, minute, received_at, ?, ?, ?, ?, ?, ?, last_event
                        FROM entries WHERE seq = ?",
                    params![
                        count - number as i64,
                        segment.records,
                        segment.bytes,
                        kind,
                        object,
                        start,
                        payload,
                        head.seq
                    ],
                )?;
            }
            sql.run("DELETE FROM entries WHERE seq = ?", params![head.seq])
        })
    }

    /// Makes a dead letter of the current push: first the object, then the row. An object without a row is written again.
    async fn bury(&self, row: &JobRow, trouble: &Trouble, failure: &Failure) -> Result<()> {
        let Some(current) = self.current_push()? else {
            return Ok(());
        };
        let bucket = self.env.bucket(config::ARCHIVE)?;
        let assembly = self.push_assembly(&current)?;
        let bytes = match self.bytes_of(&row.job, &self.parts(&current)?).await {
            Ok(bytes) => bytes,
            Err(e) => return self.bury_or_fail(e),
        };
        let object = format!(
            "dead-letters/{}/{}/{}",
            row.job.scope, row.job.id, current.id
        );
        let bytes = Uint8Array::from(bytes.as_slice());
        let content_type = assembly.map_or_else(|| NDJSON.to_owned(), |it| it.content_type);
        let metadata = [
            ("job", row.job.id.to_string()),
            ("dataset", row.job.dataset.clone()),
            ("status", failure.status.to_string()),
            ("reason", failure.reason.clone()),
            ("refused-at", rfc3339_millis(now_millis())),
        ];
        let metadata = metadata
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        archive::put_described(&bucket, &object, &bytes, &content_type, &metadata).await?;
        let sql = self.sql()?;
        let objects = sql.atomically(|| {
            self.remember_failure(trouble, &failure.reason)?;
            sql.run(
                "INSERT INTO dead (push, batch, minute, records, bytes, status, reason, received_at, died_at, object,
                    assembly, last_event) SELECT ?, min(batch), min(minute), sum(records), sum(bytes), ?, ?,
                    min(received_at), ?, ?, min(assembly), max(last_event) FROM entries WHERE seq <= ?",
                params![
                    &current.id,
                    u64::from(failure.status),
                    &failure.reason,
                    now_millis(),
                    &object,
                    current.last_seq
                ],
            )?;
            let objects = self.leave(&current)?;
            Ok(objects)
        })?;
        self.delete_unreferenced(objects).await
    }

    /// The entries of a push leave the table, and the push with them. Returns the spooled objects that they lay in.
    fn leave(&self, push: &StoredPush) -> Result<Vec<String>> {
        let sql = self.sql()?;
        let objects = self.spool_objects(&up_to(push))?;
        sql.run("DELETE FROM entries WHERE seq <= ?", params![push.last_seq])?;
        sql.run("DELETE FROM pushes", params![])?;
        Ok(objects)
    }

    /// The raw bytes of a push that is small enough to be dead: one record, or one segment that can not be cut.
    async fn bytes_of(
        &self,
        job: &Job,
        parts: &[Part],
    ) -> std::result::Result<Vec<u8>, SourceError> {
        let bucket = self
            .env
            .bucket(config::ARCHIVE)
            .map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        for part in parts {
            match (part.kind.as_str(), &part.object) {
                ("archive", Some(object)) => {
                    let copied = owed::copy_all(&self.env, job, object).await?;
                    let read = copied.bytes(&bucket).await;
                    copied
                        .clean_up(&self.env)
                        .await
                        .map_err(|e| e.to_string())?;
                    bytes.extend(read?);
                }
                _ => {
                    let read = push::bytes_of(&bucket, part, |seq| self.payload(seq)).await?;
                    bytes.extend(read.to_vec());
                }
            }
        }
        Ok(bytes)
    }

    /// What can not be read any more is dead; anything else is tried again.
    fn bury_or_fail(&self, error: SourceError) -> Result<()> {
        match error {
            SourceError::Gone { object, reason } => self.bury_gone(&object, &reason),
            SourceError::Failed(reason) => Err(worker::Error::RustError(reason)),
        }
    }

    /// What an entry refers to is not in R2 any more: its records are in no queue, and nobody can wait for them.
    fn bury_gone(&self, object: &str, reason: &str) -> Result<()> {
        let sql = self.sql()?;
        sql.atomically(|| {
            sql.run(
                "INSERT INTO dead (push, batch, minute, records, bytes, status, reason, received_at, died_at)
                    SELECT coalesce((SELECT id FROM pushes WHERE last_seq >= entries.seq), ''), batch, minute, records, bytes, ?, ?, received_at, ? FROM entries
                    WHERE object = ?",
                params![u64::from(network::INTERNAL), reason, now_millis(), object],
            )?;
            sql.run(
                "UPDATE health SET last_error = ?, error_message = ?",
                params![now_millis(), reason],
            )?;
            sql.run("DELETE FROM entries WHERE object = ?", params![object])?;
            sql.run("DELETE FROM pushes", params![])
        })
    }

    /// Raises what somebody should be told, and what is over. Returns when there may be more to tell.
    async fn raise_concerns(&self) -> Result<Option<u64>> {
        #[derive(Deserialize)]
        struct Known {
            raised: Option<String>,
            trouble: Option<String>,
            last_success: Option<u64>,
            last_complete: Option<u64>,
            last_error: Option<u64>,
            error_message: Option<String>,
        }
        let sql = self.sql()?;
        let Some(known) = sql.first::<Known>(
            "SELECT raised, trouble, last_success, last_complete, last_error, error_message FROM health",
            params![],
        )?
        else {
            return Ok(None);
        };
        let raised: Vec<Concern> = known
            .raised
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let trouble = trouble_of(known.trouble.as_deref());
        let oldest: Option<Oldest> = sql.first(
            "SELECT received_at FROM entries ORDER BY seq LIMIT 1",
            params![],
        )?;
        let oldest = oldest.map(|row| row.received_at);
        // Most of the time nothing is wrong, and nobody is asked.
        if raised.is_empty() && trouble.failing_since_millis.is_none() && oldest.is_none() {
            return Ok(None);
        }
        let Some(JobRow { job, deleted_at }) = self.job().await? else {
            return Ok(None);
        };
        let outlook = Outlook {
            job: job_state(&job, deleted_at),
            disabled_by_failing_at_millis: job
                .disabled_by_failing_at_millis
                .filter(|_| deleted_at.is_none()),
            trouble,
            last_success_millis: known.last_success,
            oldest_received_millis: oldest,
        };
        let now = now_millis();
        let (thresholds, _) = Thresholds::read(|name| config::text(&self.env, name));
        let concerns = outlook.concerns(&raised, &thresholds, now);
        let changes = concerns::changes(&raised, &concerns);
        if !changes.is_empty() {
            let waiting: Option<Totals> = sql.first(
                "SELECT coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes,
                    min(received_at) AS oldest FROM entries",
                params![],
            )?;
            let stopped = match (deleted_at, job.is_selecting()) {
                (Some(_), _) => Some("deleted"),
                (None, false) => Some("disabled"),
                (None, true) => None,
            };
            let at = |millis: Option<u64>| millis.map(rfc3339_millis);
            let facts = JobFacts {
                id: job.id,
                name: job.name.clone(),
                scope: job.scope.to_string(),
                dataset: job.dataset.clone(),
                destination_conf: masked(&job.destination_conf),
                last_complete: at(known.last_complete),
                last_error: at(known.last_error),
                error_message: known.error_message,
                failing_since: at(trouble.failing_since_millis),
                backlog_records: waiting.as_ref().map_or(0, |waiting| waiting.records),
                backlog_bytes: waiting.as_ref().map_or(0, |waiting| waiting.bytes),
                backlog_oldest: at(waiting.and_then(|waiting| waiting.oldest)),
                stopped: stopped.map(str::to_owned),
            };
            for (event, concern) in changes {
                let occurrence = Occurrence::new(
                    concern.alert_type,
                    event,
                    concern.severity,
                    concern.since_millis,
                    now,
                    Subject::Job(facts.clone()),
                );
                alerts::raise(&self.env, &occurrence).await?;
            }
            // Should it die before this, they are raised again, and known by their ids.
            sql.run(
                "UPDATE health SET raised = ?",
                params![&serde_json::to_string(&concerns)?],
            )?;
        }
        Ok(outlook.next_look_millis(&thresholds, now))
    }

    /// Nothing was accepted for a day. The queue keeps what it has; whoever enables the job goes on where it stopped.
    async fn disable(&self, row: &JobRow) -> Result<()> {
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

    fn payload(&self, seq: i64) -> Result<Uint8Array> {
        let rows = self
            .sql()?
            .objects("SELECT payload FROM entries WHERE seq = ?", params![seq])?;
        blob(&rows.get(0), "payload")
    }

    /// All entries of a push have the same one.
    fn push_assembly(&self, push: &StoredPush) -> Result<Option<Assembly>> {
        let written: Option<Written> = self.sql()?.first(
            "SELECT assembly FROM entries WHERE seq <= ? ORDER BY seq LIMIT 1",
            params![push.last_seq],
        )?;
        assembly_of(written.and_then(|row| row.assembly).as_deref())
    }

    fn parts(&self, push: &StoredPush) -> Result<Vec<Part>> {
        self.sql()?.rows(
            "SELECT seq, kind, object, start, bytes FROM entries WHERE seq <= ? ORDER BY seq",
            params![push.last_seq],
        )
    }

    async fn job(&self) -> Result<Option<JobRow>> {
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
        Ok(rows.into_iter().next())
    }

    fn form_push(&self, limits: &PushLimits) -> Result<()> {
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

    async fn send(&self, row: &JobRow) -> Result<Sent> {
        let Some(current) = self.current_push()? else {
            return Ok(Sent::Asked(Outcome::internal("there is no push to send")));
        };
        self.sql()?
            .run("UPDATE pushes SET attempts = attempts + 1", params![])?;
        let parts = self.parts(&current)?;
        let assembly = self.push_assembly(&current)?;
        Ok(push::send(
            &self.env,
            &row.job,
            &current.id,
            &parts,
            assembly.as_ref(),
            |seq| self.payload(seq),
        )
        .await)
    }

    async fn delivered(&self, trouble: &Trouble) -> Result<()> {
        let sql = self.sql()?;
        let Some(current) = self.current_push()? else {
            return Ok(());
        };
        let objects = sql.atomically(|| {
            self.remember(trouble)?;
            self.count_out("delivered", "entries", &up_to(&current))?;
            sql.run(
                "UPDATE health SET delivered_pushes = delivered_pushes + 1, last_success = ?, last_error = NULL,
                    error_message = NULL,
                    last_complete = (SELECT max(coalesce(last_event, received_at)) FROM entries WHERE seq <= ?)",
                params![now_millis(), current.last_seq],
            )?;
            self.leave(&current)
        })?;
        self.delete_unreferenced(objects).await
    }

    async fn discard(&self) -> Result<()> {
        let sql = self.sql()?;
        let objects = sql.atomically(|| {
            self.count_out("discarded", "entries", "")?;
            self.count_out("discarded", "dead", "")?;
            let mut objects = self.spool_objects("")?;
            objects.extend(self.dead_objects("")?);
            sql.run("DELETE FROM entries", params![])?;
            sql.run("DELETE FROM pushes", params![])?;
            sql.run("DELETE FROM dead", params![])?;
            Ok(objects)
        })?;
        self.delete_unreferenced(objects).await
    }

    /// Adds the entries or dead letters that leave to the counters of the minutes in which they came.
    fn count_out(&self, how: &str, table: &str, which: &str) -> Result<()> {
        #[derive(Deserialize)]
        struct Leaving {
            minute: u64,
            records: u64,
            bytes: u64,
        }
        let sql = self.sql()?;
        let leaving: Vec<Leaving> = sql.rows(
            &format!("SELECT minute, sum(records) AS records, sum(bytes) AS bytes FROM {table} {which} GROUP BY minute"),
            params![],
        )?;
        for Leaving {
            minute,
            records,
            bytes,
        } in leaving
        {
            sql.run(
                &format!(
                    "UPDATE minutes SET {how}_records = {how}_records + ?, {how}_bytes = {how}_bytes + ? WHERE minute = ?"
                ),
                params![records, bytes, minute],
            )?;
        }
        Ok(())
    }

    fn spool_objects(&self, which: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Row {
            object: String,
            kind: String,
        }
        let rows: Vec<Row> = self.sql()?.rows(
            &format!("SELECT DISTINCT coalesce(object, '') AS object, kind FROM entries {which}"),
            params![],
        )?;
        Ok(rows
            .into_iter()
            .filter(|row| row.kind == "spool")
            .map(|row| row.object)
            .collect())
    }

    async fn delete_unreferenced(&self, objects: Vec<String>) -> Result<()> {
        let sql = self.sql()?;
        let mut unreferenced = Vec::new();
        for object in objects {
            let left = sql.objects(
                "SELECT 1 FROM entries WHERE object = ?1 UNION ALL SELECT 1 FROM dead WHERE object = ?1 LIMIT 1",
                params![&object],
            )?;
            if left.length() == 0 {
                unreferenced.push(object);
            }
        }
        archive::delete_all(&self.env.bucket(config::ARCHIVE)?, &unreferenced).await;
        Ok(())
    }

    fn dead_objects(&self, which: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Row {
            object: String,
        }
        let rows: Vec<Row> = self.sql()?.rows(
            &format!("SELECT coalesce(object, '') AS object FROM dead {which}"),
            params![],
        )?;
        let objects = rows.into_iter().map(|row| row.object);
        Ok(objects.filter(|object| !object.is_empty()).collect())
    }

    fn dead_letters(&self, selection: &Selection) -> Result<Vec<DeadLetter>> {
        let ids = serde_json::to_string(&selection.ids)?;
        let rows: Vec<DeadRow> = self.sql()?.rows(
            &format!(
                "SELECT id, push, batch, records, bytes, status, reason, received_at, died_at, object FROM dead
                    WHERE {CHOSEN} ORDER BY id LIMIT ?5"
            ),
            params![
                &ids,
                selection.after,
                selection.since_millis,
                selection.until_millis,
                selection.limit.map_or(-1, |limit| limit as i64)
            ],
        )?;
        let letter = |row: DeadRow| DeadLetter {
            id: row.id,
            batch_id: row.batch,
            push_id: row.push,
            records: row.records,
            bytes: row.bytes,
            status: row.status,
            reason: row.reason,
            received_at_millis: row.received_at,
            died_at_millis: row.died_at,
            object: row.object,
        };
        Ok(rows.into_iter().map(letter).collect())
    }

    /// How many dead letters a selection means, whatever its limit.
    fn count_chosen(&self, selection: &Selection) -> Result<u64> {
        #[derive(Deserialize)]
        struct Count {
            count: u64,
        }
        let ids = serde_json::to_string(&selection.ids)?;
        let count: Option<Count> = self.sql()?.first(
            &format!("SELECT count(*) AS count FROM dead WHERE {CHOSEN}"),
            params![
                &ids,
                selection.after,
                selection.since_millis,
                selection.until_millis
            ],
        )?;
        Ok(count.map_or(0, |row| row.count))
    }

    /// Puts dead letters at the end of the queue. Their objects are deleted when they are delivered.
    async fn redrive(&self, selection: &Selection) -> Result<Selected> {
        let sql = self.sql()?;
        let selected = sql.atomically(|| {
            let chosen = self.dead_letters(selection)?;
            let mut selected = Selected {
                left: self.count_chosen(selection)?.saturating_sub(chosen.len() as u64),
                ..Selected::default()
            };
            for letter in chosen {
                selected.dead_letters += 1;
                selected.records += letter.records;
                if letter.object.is_none() {
                    selected.unavailable += 1;
                } else if !selection.dry_run {
                    sql.run(
                        "INSERT INTO entries (batch, minute, received_at, records, bytes, kind, object, start, assembly,
                            last_event) SELECT batch, minute, received_at, records, bytes, 'spool', object, 0, assembly,
                            last_event FROM dead WHERE id = ?",
                        params![letter.id],
                    )?;
                    sql.run("DELETE FROM dead WHERE id = ?", params![letter.id])?;
                }
            }
            if !selection.dry_run {
                // Each of them deserves a try of its own.
                let trouble = Trouble { dead_in_a_row: 0, ..self.trouble()? };
                self.remember(&trouble)?;
            }
            Ok(selected)
        })?;
        if !selection.dry_run {
            self.arm_for_the_queue().await?;
        }
        Ok(selected)
    }

    async fn discard_dead_letters(&self, selection: &Selection) -> Result<Selected> {
        let sql = self.sql()?;
        let (selected, objects) = sql.atomically(|| {
            let chosen = self.dead_letters(selection)?;
            let mut selected = Selected {
                left: self
                    .count_chosen(selection)?
                    .saturating_sub(chosen.len() as u64),
                ..Selected::default()
            };
            let mut objects = Vec::new();
            for letter in chosen {
                selected.dead_letters += 1;
                selected.records += letter.records;
                selected.unavailable += u64::from(letter.object.is_none());
                if selection.dry_run {
                    continue;
                }
                self.count_out("discarded", "dead", &format!("WHERE id = {}", letter.id))?;
                sql.run("DELETE FROM dead WHERE id = ?", params![letter.id])?;
                objects.extend(letter.object);
            }
            Ok((selected, objects))
        })?;
        self.delete_unreferenced(objects).await?;
        Ok(selected)
    }

    fn health(&self) -> Result<Health> {
        let health = self.sql()?.first(
            "SELECT last_complete AS last_complete_millis, last_error AS last_error_millis, error_message FROM health",
            params![],
        )?;
        Ok(health.unwrap_or_default())
    }

    fn summary(&self, range: MinuteRange) -> Result<Summary> {
        let sql = self.sql()?;
        let between = || params![range.from, range.to];
        let mut summary: Summary = sql
            .first(
                "SELECT coalesce(sum(stored_batches), 0) AS stored_batches,
                    coalesce(sum(stored_records), 0) AS stored_records, coalesce(sum(stored_bytes), 0) AS stored_bytes,
                    coalesce(sum(delivered_records), 0) AS delivered_records,
                    coalesce(sum(delivered_bytes), 0) AS delivered_bytes,
                    coalesce(sum(discarded_records), 0) AS discarded_records,
                    coalesce(sum(discarded_bytes), 0) AS discarded_bytes FROM minutes WHERE minute BETWEEN ? AND ?",
                between(),
            )?
            .unwrap_or_default();
        let waiting: Option<Totals> = sql.first(
            "SELECT coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes, min(received_at) AS oldest
                FROM entries WHERE minute BETWEEN ? AND ?",
            between(),
        )?;
        if let Some(waiting) = waiting {
            summary.waiting_records = waiting.records;
            summary.waiting_bytes = waiting.bytes;
            summary.oldest_waiting_millis = waiting.oldest;
        }
        let dead: Option<Totals> = sql.first(
            "SELECT coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes, min(died_at) AS oldest
                FROM dead WHERE minute BETWEEN ? AND ?",
            between(),
        )?;
        if let Some(dead) = dead {
            summary.dead_records = dead.records;
            summary.dead_bytes = dead.bytes;
        }
        let trouble = self.trouble()?;
        summary.parked_since_millis = trouble.parked.map(|parked| parked.since_millis);
        summary.failing_since_millis = trouble.failing_since_millis;
        summary.consecutive_failures = trouble.consecutive_failures;
        #[derive(Deserialize)]
        struct Health {
            delivered_pushes: u64,
            last_success: Option<u64>,
            last_error: Option<u64>,
            error_message: Option<String>,
        }
        if let Some(health) = sql.first::<Health>("SELECT * FROM health", params![])? {
            summary.delivered_pushes = health.delivered_pushes;
            summary.last_success_millis = health.last_success;
            summary.last_error_millis = health.last_error;
            summary.error_message = health.error_message;
        }
        summary.attempts = self.current_push()?.map_or(0, |push| push.attempts);
        Ok(summary)
    }
}
