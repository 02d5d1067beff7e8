//! A job's selected records, durable until the destination accepts them. One object per job.
//!
//! State: `entries` (payload or reference; the sequence is the order of delivery), `pushes` (at most one: the push that
//! is being tried, written down before it is sent), `batches` (what was appended, so that a second append changes
//! nothing), `dead` (what the destination refused for good), counters per minute of receipt, and what the last answers
//! taught. The decisions are [`crate::outbox::step`]'s; the files below read and write rows and talk to the destination.
//! An eviction loses nothing: an unanswered push is sent again under the same id. The alarm pushes.

mod cutting;
mod dead_letters;
mod figures;
mod keep;
mod log;
mod watch;
mod work;

pub use keep::TendOutbox;

use super::registry::JobRow;
use super::{answer, answer_json, now_millis, question};
use crate::health::log::HOUR_MILLIS;
use crate::ledger::minute_of;
use crate::limits::OUTBOX_MAX_BYTES;
use crate::outbox::{Append, AppendAnswer, EntrySource, Holding, Load, Prospect};
use crate::runtime::config;
use crate::runtime::js::sql::{Database, Sql, params};
use js_sys::Uint8Array;
use serde::Deserialize;
use std::cell::{Cell, RefCell};
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
    crate::health::tables::TABLES,
    // JSON of `outbox::Receipt` for a push that the destination has taken and not yet acknowledged, and which
    // destination that was.
    "ALTER TABLE pushes ADD COLUMN receipt TEXT; ALTER TABLE pushes ADD COLUMN receipt_from TEXT;",
    // Earliest event time in the entry's batch.
    "ALTER TABLE entries ADD COLUMN first_event INTEGER; ALTER TABLE dead ADD COLUMN first_event INTEGER;",
    // Dead letters that expired, in all time.
    "ALTER TABLE health ADD COLUMN expired_letters INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE health ADD COLUMN expired_records INTEGER NOT NULL DEFAULT 0;",
];

/// When the queue is looked at again after a table, a bucket or the registry did not answer.
const FAILED_RECHECK_MILLIS: u64 = 5_000;

/// When a batch was appended that is never too old to be known: the largest number that a row keeps exactly.
const NEVER_OLD_MILLIS: u64 = (1 << 53) - 1;

/// When concerns are looked at again that could not be raised.
const RAISE_AGAIN_MILLIS: u64 = 30_000;

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
    /// When the alarm comes, unix milliseconds, as far as it is known: asking costs every append as much as a statement.
    armed_for_millis: Cell<Option<u64>>,
    /// The table has the job's number.
    knows_job: Cell<bool>,
    /// The job as the registry knew it when the alarm asked last, until somebody looks at it.
    job_read: RefCell<Option<JobRow>>,
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
            armed_for_millis: Cell::new(None),
            knows_job: Cell::new(false),
            job_read: RefCell::new(None),
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
            "/now" => answer(self.now()),
            "/load" => answer(self.load()),
            "/push-log" => match question(&mut request).await {
                Ok((query, _)) => answer_json(self.push_log(&query)),
                Err(e) => answer::<()>(Err(e)),
            },
            #[cfg(feature = "bench")]
            "/fill-log" => match question(&mut request).await {
                Ok(((job, minutes), _)) => answer(self.fill_log(job, minutes)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/tend" => match question(&mut request).await {
                Ok((tend, _)) => answer(self.tend(&tend).await),
                Err(e) => answer::<()>(Err(e)),
            },
            "/refers" => match question::<Vec<String>>(&mut request).await {
                Ok((keys, _)) => answer(self.refers(&keys)),
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
        self.job_read.take();
        self.armed_for_millis.set(None);
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
        let mut at = [next, look].into_iter().flatten().min();
        if at.is_none() && self.armed_for_millis.get().is_none() {
            // Nothing else will bring an idle outbox to its log.
            at = self.age_log().unwrap_or_else(|e| {
                worker::console_error!("outbox, log: {e}");
                Some(now_millis() + HOUR_MILLIS)
            });
        }
        if let Some(at) = at {
            self.arm(at).await?;
        }
        Response::empty()
    }
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

impl Outbox {
    fn sql(&self) -> Result<&Sql> {
        self.database.get()
    }

    async fn arm(&self, at_millis: u64) -> Result<()> {
        let wait = at_millis.saturating_sub(now_millis());
        self.armed_for_millis.set(None);
        self.state.storage().set_alarm(wait as i64).await?;
        self.armed_for_millis.set(Some(at_millis));
        Ok(())
    }

    async fn append(&self, append: &Append, inline: &Uint8Array) -> Result<AppendAnswer> {
        let stored = self.sql()?.atomically(|| self.store(append, inline))?;
        self.knows_job.set(stored != AppendAnswer::Full);
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
        let known = match self.armed_for_millis.get() {
            Some(at) => Some(at),
            None => {
                let set = self.state.storage().get_alarm().await?;
                set.and_then(|at| u64::try_from(at).ok())
            }
        };
        if known.is_none_or(|known| known > at) {
            return self.arm(at).await;
        }
        self.armed_for_millis.set(known);
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
        let minute = minute_of(append.received_at_millis);
        let is_full = self.held()?.inline_bytes + u64::from(inline.length()) > self.max_bytes();
        let appended_at = if append.remember_for_good {
            NEVER_OLD_MILLIS
        } else {
            now_millis()
        };
        let is_new = !is_full
            && sql
                .objects(
                    "INSERT INTO batches (id, records, bytes, minute, appended_at) VALUES (?, ?, ?, ?, ?)
                        ON CONFLICT (id) DO NOTHING RETURNING 1",
                    params![&append.batch_id, records, bytes, minute, appended_at],
                )?
                .length()
                > 0;
        if !is_new {
            let holding = self.holding(&append.batch_id)?;
            return Ok(holding.map_or(AppendAnswer::Full, AppendAnswer::Duplicate));
        }
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
                    first_event, last_event) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                    append.first_event_millis,
                    append.last_event_millis
                ],
            )?;
        }
        sql.run(
            "INSERT INTO minutes (minute, stored_batches, stored_records, stored_bytes) VALUES (?, 1, ?, ?)
                ON CONFLICT (minute) DO UPDATE SET stored_batches = stored_batches + 1,
                stored_records = stored_records + excluded.stored_records,
                stored_bytes = stored_bytes + excluded.stored_bytes",
            params![minute, records, bytes],
        )?;
        if !self.knows_job.get() {
            sql.run(
                "UPDATE health SET job = ?1 WHERE job IS NOT ?1",
                params![append.job_id],
            )?;
        }
        Ok(AppendAnswer::Stored(Holding {
            records,
            bytes,
            minute,
        }))
    }

    /// Looks at every entry; who asks sees to it that there are not many.
    fn load(&self) -> Result<Load> {
        let load = self.sql()?.first(
            "SELECT count(*) AS entries, coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes
                FROM entries",
            params![],
        )?;
        Ok(load.unwrap_or_default())
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

    fn held(&self) -> Result<Held> {
        let held = self
            .sql()?
            .first("SELECT records, inline_bytes FROM held", params![])?;
        Ok(held.unwrap_or(Held {
            records: 0,
            inline_bytes: 0,
        }))
    }
}
