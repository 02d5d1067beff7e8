//! A job's selected records, durable until the destination accepts them. One object per job.
//!
//! State: `entries` (payload or reference; the sequence is the order of delivery), `pushes` (at most one: the push that
//! is being tried, written down before it is sent), `batches` (what was appended, so that a second append changes
//! nothing), counters per minute of receipt, and a few facts for the job's health. The decisions are
//! [`crate::outbox::step`]'s; this file reads and writes rows and talks to the destination.
//! An eviction loses nothing: an unanswered push is sent again under the same id. The alarm pushes.

use super::registry::{JobRow, JobsQuery};
use super::{Class, REGISTRY_NAME, answer, blob, call, now_millis, question};
use crate::destination::Outcome;
use crate::ledger::minute_of;
use crate::limits::{OUTBOX_MAX_BYTES, PUSH_DEADLINE_MILLIS, REMEMBER_BATCH_MILLIS};
use crate::outbox::{
    Append, AppendAnswer, CurrentPush, Effect, EntryFacts, EntrySource, Event, Health, Holding,
    JobState, PushLimits, Queue, Summary, Waiting, gather, step,
};
use crate::route::Assembly;
use crate::runtime::js::sql::{Database, Sql, params};
use crate::runtime::objects::ledger::MinuteRange;
use crate::runtime::{archive, config, push};
use js_sys::Uint8Array;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::cell::Cell;
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
];

/// How many waiting entries are looked at to fill one push; more than fit by bytes in all but strange cases.
const GATHER_ENTRIES: u64 = 1_000;

/// How long one alarm pushes before it lets others in; far below the platform's 15 minutes.
const ALARM_MILLIS: u64 = 60_000;

/// When the alarm looks again, should it die in the middle of a push: after the push has had its deadline.
const REARM_MILLIS: u64 = PUSH_DEADLINE_MILLIS + 15_000;

/// See the module.
#[durable_object(alarm)]
pub struct Outbox {
    state: State,
    env: Env,
    database: Database,
    /// The alarm is at work and will see what is appended meanwhile.
    is_working: Cell<bool>,
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
            "/health" => answer(self.health()),
            "/wake" => answer(self.wake_now().await),
            "/summary" => match question(&mut request).await {
                Ok((range, _)) => answer(self.summary(range)),
                Err(e) => answer::<()>(Err(e)),
            },
            _ => Response::error("no such operation", 404),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        self.is_working.set(true);
        let worked = self.work().await;
        self.is_working.set(false);
        match worked {
            Ok(Some(at_millis)) => self.arm(at_millis).await?,
            Ok(None) => {}
            Err(e) => {
                worker::console_error!("outbox: {e}");
                self.arm(now_millis() + 5_000).await?;
            }
        }
        Response::empty()
    }
}

#[derive(Deserialize)]
struct StoredPush {
    id: String,
    attempts: u32,
    next_at: u64,
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
    seq: u64,
    batch: String,
    records: u64,
    bytes: u64,
    kind: String,
    assembly: Option<String>,
}

#[derive(Deserialize)]
struct Written {
    assembly: Option<String>,
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
        if stored != AppendAnswer::Full && !self.is_working.get() {
            let queue = self.queue(JobState::Enabled, PushLimits::new(None, None, None))?;
            let at = match step(&queue, Event::Wake, now_millis()) {
                Effect::SleepUntil(at) => at,
                _ => now_millis(),
            };
            // An alarm that is set costs a write, and most of the time one that comes soon enough is set already.
            let known = self.state.storage().get_alarm().await?;
            if known.is_none_or(|known| known > at as i64) {
                self.arm(at).await?;
            }
        }
        Ok(stored)
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
        let most = config::number(&self.env, "OUTBOX_MAX_BYTES").unwrap_or(OUTBOX_MAX_BYTES);
        if self.held()?.inline_bytes + u64::from(inline.length()) > most {
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
                    payload as Option<wasm_bindgen::JsValue>,
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
        sql.run("UPDATE health SET job = ?", params![append.job_id])?;
        Ok(AppendAnswer::Stored(Holding {
            records,
            bytes,
            minute,
        }))
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
        self.sql()?
            .run("UPDATE pushes SET next_at = 0", params![])?;
        self.job_changed.set(true);
        if self.is_working.get() {
            return Ok(());
        }
        self.arm(now_millis()).await
    }

    fn current_push(&self) -> Result<Option<StoredPush>> {
        self.sql()?.first(
            "SELECT id, attempts, next_at FROM pushes LIMIT 1",
            params![],
        )
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
        let next: Option<Totals> = self.sql()?.first(
            "SELECT coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes, min(received_at) AS oldest
                FROM (SELECT records, bytes, received_at FROM entries WHERE push IS NULL ORDER BY seq LIMIT ?)",
            params![GATHER_ENTRIES],
        )?;
        Ok(Queue {
            job,
            push: self.current_push()?.map(|push| CurrentPush {
                attempts: push.attempts,
                next_attempt_millis: push.next_at,
            }),
            waiting: next.map_or_else(Waiting::default, |next| Waiting {
                records: next.records,
                bytes: next.bytes,
                oldest_millis: next.oldest.unwrap_or(0),
            }),
            limits,
        })
    }

    /// Pushes until nothing is due. Returns when to look again, unless the alarm set before the work does.
    async fn work(&self) -> Result<Option<u64>> {
        let started = now_millis();
        self.sql()?.run(
            "DELETE FROM batches WHERE appended_at < ?",
            params![started.saturating_sub(REMEMBER_BATCH_MILLIS)],
        )?;
        if self.held()?.records == 0 {
            return Ok(None);
        }
        self.arm(started + REARM_MILLIS).await?;
        let mut row = self.job().await?;
        loop {
            if now_millis() > started + ALARM_MILLIS {
                return Ok(Some(now_millis()));
            }
            // Again for what came while it was read: no await follows before this goes to sleep.
            while self.job_changed.replace(false) {
                row = self.job().await?;
            }
            let job = match &row {
                Some(row) if row.deleted_at.is_some() => JobState::Deleted,
                Some(row) if row.job.enabled => JobState::Enabled,
                _ => JobState::Disabled,
            };
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
            match step(&self.queue(job, limits)?, Event::Wake, now_millis()) {
                Effect::Sleep => return Ok(None),
                Effect::SleepUntil(at) => return Ok(Some(at)),
                Effect::FormPush => self.form_push(&limits)?,
                Effect::Discard => self.discard().await?,
                Effect::SendPush => {
                    let Some(row) = &row else { return Ok(None) };
                    self.arm(now_millis() + REARM_MILLIS).await?;
                    let outcome = self.send(row).await?;
                    let event = Event::Answered {
                        outcome,
                        jitter: js_sys::Math::random(),
                    };
                    // The table may have changed while the destination was asked, the current push can not have.
                    match step(&self.queue(job, limits)?, event, now_millis()) {
                        Effect::Delivered => self.delivered().await?,
                        Effect::RetryAt { at_millis, reason } => {
                            self.retry_at(at_millis, &reason)?;
                        }
                        _ => {}
                    }
                }
                Effect::Delivered | Effect::RetryAt { .. } => return Ok(None),
            }
        }
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
            "SELECT seq, batch, records, bytes, kind, assembly FROM entries WHERE push IS NULL ORDER BY seq LIMIT ?",
            params![GATHER_ENTRIES],
        )?;
        let facts = rows.iter().map(|row| EntryFacts {
            records: row.records,
            bytes: row.bytes,
            is_archive: row.kind == "archive",
            assembly: row.assembly.as_deref(),
        });
        let assembly = assembly_of(rows.first().and_then(|row| row.assembly.as_deref()))?;
        let limits = limits.beside(assembly.as_ref());
        let taken = rows.get(..gather(facts, &limits)).unwrap_or_default();
        let (Some(first), Some(last)) = (taken.first(), taken.last()) else {
            return Ok(());
        };
        // Of the batch and not of the time, so that two deployments fed with the same bytes agree.
        let mut hash = Sha256::new();
        for row in taken {
            hash.update(format!("{}/{}/{}\n", row.batch, row.records, row.bytes));
        }
        hash.update(first.seq.to_le_bytes());
        hash.update(first.assembly.as_deref().unwrap_or_default());
        let id: String = hash
            .finalize()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        sql.atomically(|| {
            sql.run(
                "INSERT INTO pushes (id, records, bytes) VALUES (?, ?, ?)",
                params![
                    &id,
                    taken.iter().map(|row| row.records).sum::<u64>(),
                    taken.iter().map(|row| row.bytes).sum::<u64>()
                ],
            )?;
            sql.run(
                "UPDATE entries SET push = ? WHERE push IS NULL AND seq BETWEEN ? AND ?",
                params![&id, first.seq, last.seq],
            )
        })
    }

    async fn send(&self, row: &JobRow) -> Result<Outcome> {
        let Some(current) = self.current_push()? else {
            return Ok(push::later("there is no push to send".to_owned()));
        };
        self.sql()?
            .run("UPDATE pushes SET attempts = attempts + 1", params![])?;
        let entries = self.sql()?.objects(
            "SELECT seq, kind, object, start, bytes FROM entries WHERE push = ? ORDER BY seq",
            params![&current.id],
        )?;
        let parts = entries
            .iter()
            .map(serde_wasm_bindgen::from_value)
            .collect::<std::result::Result<Vec<push::Part>, _>>()
            .map_err(|e| worker::Error::RustError(format!("unexpected row: {e}")))?;
        // All entries of a push have the same one.
        let assembly: Option<Written> = self.sql()?.first(
            "SELECT assembly FROM entries WHERE push = ? LIMIT 1",
            params![&current.id],
        )?;
        let assembly = assembly_of(assembly.and_then(|row| row.assembly).as_deref())?;
        let inline = |seq: u64| {
            let rows = self
                .sql()?
                .objects("SELECT payload FROM entries WHERE seq = ?", params![seq])?;
            blob(&rows.get(0), "payload")
        };
        Ok(push::send(
            &self.env,
            &row.job,
            &current.id,
            &parts,
            assembly.as_ref(),
            inline,
        )
        .await)
    }

    fn retry_at(&self, at_millis: u64, reason: &str) -> Result<()> {
        let sql = self.sql()?;
        sql.atomically(|| {
            sql.run("UPDATE pushes SET next_at = ?", params![at_millis])?;
            sql.run(
                "UPDATE health SET last_error = ?, error_message = ?",
                params![now_millis(), reason],
            )
        })
    }

    async fn delivered(&self) -> Result<()> {
        let sql = self.sql()?;
        let Some(current) = self.current_push()? else {
            return Ok(());
        };
        let objects = sql.atomically(|| {
            self.count_out("delivered", "WHERE push IS NOT NULL")?;
            let objects = self.spool_objects("WHERE push IS NOT NULL")?;
            sql.run(
                "UPDATE health SET delivered_pushes = delivered_pushes + 1, last_success = ?, last_error = NULL,
                    error_message = NULL,
                    last_complete = (SELECT max(coalesce(last_event, received_at)) FROM entries WHERE push = ?)",
                params![now_millis(), &current.id],
            )?;
            sql.run("DELETE FROM entries WHERE push = ?", params![&current.id])?;
            sql.run("DELETE FROM pushes", params![])?;
            Ok(objects)
        })?;
        self.delete_unreferenced(objects).await
    }

    async fn discard(&self) -> Result<()> {
        let sql = self.sql()?;
        let objects = sql.atomically(|| {
            self.count_out("discarded", "")?;
            let objects = self.spool_objects("")?;
            sql.run("DELETE FROM entries", params![])?;
            sql.run("DELETE FROM pushes", params![])?;
            Ok(objects)
        })?;
        self.delete_unreferenced(objects).await
    }

    /// Adds the entries that leave to the counters of the minutes in which they came.
    fn count_out(&self, how: &str, which: &str) -> Result<()> {
        #[derive(Deserialize)]
        struct Leaving {
            minute: u64,
            records: u64,
            bytes: u64,
        }
        let sql = self.sql()?;
        let leaving: Vec<Leaving> = sql.rows(
            &format!("SELECT minute, sum(records) AS records, sum(bytes) AS bytes FROM entries {which} GROUP BY minute"),
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
                "SELECT 1 FROM entries WHERE object = ? LIMIT 1",
                params![&object],
            )?;
            if left.length() == 0 {
                unreferenced.push(object);
            }
        }
        archive::delete_all(&self.env.bucket(config::ARCHIVE)?, &unreferenced).await;
        Ok(())
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
