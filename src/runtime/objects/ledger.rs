//! One durable row a batch, counters per minute of receipt, and what is owed. One object per scope, dataset and UTC day
//! of the batch's first record.
//!
//! State: `batches` and `selections` (the rows; written once, by batch id and by batch id and job) and the counters
//! derived from them in the same synchronous stretch, so that a row and its counters stand or fall together. Called by
//! ingest and by `/stats`. An eviction loses nothing but the memory that the registry knows this ledger.
//! The alarm makes owed selections from the archived objects.

mod batches;
mod keep;
mod log;

pub use keep::{Tend, Tended};

use super::registry::{JobRow, JobsQuery};
use super::{Class, REGISTRY_NAME, answer, call, now_millis, own_name, question};
use crate::alerting::detect::Minute;
use crate::ecs::Surprises;
use crate::ledger::{
    Commit, CommitResult, JobSelected, JobSelection, LateSelection, Lookup, Occurrence, SeenObject,
    SelectionState, Sight, Summary, minute_of, owed_retry_millis,
};
use crate::outbox::Holding;
use crate::replay::LATE_COMMIT_MILLIS;
use crate::runtime::js::sql::{Database, Sql, params};
use crate::runtime::owed;
use crate::runtime::push::SourceError;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object, wasm_bindgen};

/// Brought up to date one by one; never edited, only added to.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE batches (id TEXT PRIMARY KEY, object TEXT NOT NULL, object_bytes INTEGER NOT NULL,
        received_at INTEGER NOT NULL, first_at INTEGER, last_at INTEGER, records INTEGER NOT NULL,
        bytes_raw INTEGER NOT NULL, bytes_compressed INTEGER NOT NULL, invalid_lines INTEGER NOT NULL,
        quarantine TEXT) WITHOUT ROWID;
    CREATE TABLE selections (batch TEXT NOT NULL, job INTEGER NOT NULL, minute INTEGER NOT NULL, records INTEGER NOT NULL,
        bytes INTEGER NOT NULL, owed TEXT, attempts INTEGER NOT NULL DEFAULT 0, next_at INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (batch, job)) WITHOUT ROWID;
    CREATE INDEX selections_owed ON selections (next_at) WHERE owed IS NOT NULL;
    CREATE TABLE minutes (minute INTEGER PRIMARY KEY, batches INTEGER NOT NULL DEFAULT 0, records INTEGER NOT NULL DEFAULT 0,
        bytes_raw INTEGER NOT NULL DEFAULT 0, bytes_compressed INTEGER NOT NULL DEFAULT 0,
        archived_batches INTEGER NOT NULL DEFAULT 0, archived_bytes INTEGER NOT NULL DEFAULT 0,
        invalid_lines INTEGER NOT NULL DEFAULT 0, tests INTEGER NOT NULL DEFAULT 0, duplicates INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE invalid (minute INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (minute, reason)) WITHOUT ROWID;
    CREATE TABLE job_minutes (minute INTEGER NOT NULL, job INTEGER NOT NULL, batches INTEGER NOT NULL DEFAULT 0,
        records INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, owed_batches INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (minute, job)) WITHOUT ROWID;
",
    // Batches by size after inflating: one column for each bucket of `BATCH_BOUNDS_BYTES`, and the last. `life`: when this
    // ledger last told the registry that it counts something, whether the registry has it as open, and to how many minutes
    // its rows have been made coarser.
    "ALTER TABLE minutes ADD COLUMN size_0 INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE minutes ADD COLUMN size_1 INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE minutes ADD COLUMN size_2 INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE minutes ADD COLUMN size_3 INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE minutes ADD COLUMN size_4 INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE minutes ADD COLUMN size_5 INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE minutes ADD COLUMN size_6 INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE minutes ADD COLUMN size_7 INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE minutes ADD COLUMN size_8 INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE minutes ADD COLUMN size_9 INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE life (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL, last_seen INTEGER NOT NULL,
        open INTEGER NOT NULL, coarse INTEGER NOT NULL DEFAULT 1);",
    // What was odd in records made events.
    "CREATE TABLE surprises (minute INTEGER NOT NULL, job INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (minute, job, reason)) WITHOUT ROWID;",
    // Between which RayIDs those of a batch lie; NULL where that was not noted.
    "ALTER TABLE batches ADD COLUMN ray_least TEXT;
    ALTER TABLE batches ADD COLUMN ray_greatest TEXT;",
    // Objects that Logpush wrote itself, and the batches in them. In a table of its own, so that batches which come by HTTP
    // do not pay for it.
    "CREATE TABLE objects (object TEXT PRIMARY KEY, etag TEXT NOT NULL, batch TEXT NOT NULL) WITHOUT ROWID;",
    // Batches received before `expired_before` have lost their objects; counters of all time. Selections that can not be
    // made any more, because the object was gone before they were.
    "CREATE TABLE keeping (one INTEGER PRIMARY KEY CHECK (one = 1), expired_before INTEGER NOT NULL DEFAULT 0,
        expired_batches INTEGER NOT NULL DEFAULT 0, expired_bytes INTEGER NOT NULL DEFAULT 0,
        removed_rows INTEGER NOT NULL DEFAULT 0);
    INSERT INTO keeping (one) VALUES (1);
    ALTER TABLE selections ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE job_minutes ADD COLUMN gone_batches INTEGER NOT NULL DEFAULT 0;",
];

/// How often a ledger tells the registry that it takes batches; `/stats` asks those that did since its `since`.
pub const PRESENCE_MILLIS: u64 = 3_600_000;

/// Owed selections made in one alarm; more follow in the next one.
const OWED_PER_ALARM: u64 = 8;

/// Something to count that is no batch.
#[derive(Debug, Serialize, Deserialize)]
pub struct Count {
    /// What.
    pub what: Occurrence,
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// The UTC day that the ledger is for.
    pub day: String,
    /// When, unix milliseconds.
    pub at_millis: u64,
    /// The object that it came in, if Logpush wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenObject>,
}

/// A question after an object that Logpush wrote itself. One that is known is counted as a duplicate.
#[derive(Debug, Serialize, Deserialize)]
pub struct SightQuery {
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// The UTC day that the ledger is for.
    pub day: String,
    /// Its key.
    pub object: String,
    /// Which of the objects that this key has had.
    pub etag: String,
    /// When the event came, unix milliseconds.
    pub at_millis: u64,
}

/// A range of minutes of receipt, both ends included.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct MinuteRange {
    /// First minute.
    pub from: u64,
    /// Last minute.
    pub to: u64,
}

/// See the module.
#[durable_object(alarm)]
pub struct Ledger {
    state: State,
    env: Env,
    database: Database,
    known_until_millis: Cell<u64>,
    settled: RefCell<Option<log::Settled>>,
    name: RefCell<Option<String>>,
}

impl DurableObject for Ledger {
    fn new(state: State, env: Env) -> Self {
        Self {
            database: Database::open(&state, MIGRATIONS),
            state,
            env,
            known_until_millis: Cell::new(0),
            settled: RefCell::new(None),
            name: RefCell::new(None),
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        match own_name(&request) {
            Ok(name) => self.name.replace(Some(name)),
            Err(e) => return answer::<()>(Err(e)),
        };
        match request.path().as_str() {
            "/commit" => match question(&mut request).await {
                Ok((commit, _)) => answer(self.commit(commit).await),
                Err(e) => answer::<()>(Err(e)),
            },
            "/lookup" => match question::<String>(&mut request).await {
                Ok((batch_id, _)) => answer(self.lookup(&batch_id)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/sight" => match question(&mut request).await {
                Ok((query, _)) => answer(self.sight(&query).await),
                Err(e) => answer::<()>(Err(e)),
            },
            "/count" => match question(&mut request).await {
                Ok((count, _)) => answer(self.count(&count).await),
                Err(e) => answer::<()>(Err(e)),
            },
            "/minutes" => match question(&mut request).await {
                Ok((from, _)) => answer(self.minutes(from)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/log" => match question(&mut request).await {
                Ok((query, _)) => answer(self.log(&query)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/batches" => match question(&mut request).await {
                Ok((query, _)) => answer(self.batches(&query)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/note-rays" => match question(&mut request).await {
                Ok((noted, _)) => answer(self.note_rays(&noted)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/newest" => answer(self.newest()),
            "/sum" => match question(&mut request).await {
                Ok((query, _)) => answer(self.sum(&query)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/select" => match question::<LateSelection>(&mut request).await {
                Ok((late, _)) => answer(self.select(&late).await),
                Err(e) => answer::<()>(Err(e)),
            },
            "/tend" => match question(&mut request).await {
                Ok((tend, _)) => answer(self.tend(tend).await),
                Err(e) => answer::<()>(Err(e)),
            },
            "/totals" => answer(self.totals_and_alarm().await),
            "/summary" => match question(&mut request).await {
                Ok((range, _)) => answer(self.summary(range)),
                Err(e) => answer::<()>(Err(e)),
            },
            _ => Response::error("no such operation", 404),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        let owed = match self.work_off_owed().await {
            Ok(next) => next,
            Err(e) => {
                worker::console_error!("owed selections: {e}");
                Some(now_millis() + owed_retry_millis(4))
            }
        };
        let old = match self.grow_old().await {
            Ok(next) => next,
            Err(e) => {
                worker::console_error!("a ledger that closes: {e}");
                Some(now_millis() + owed_retry_millis(16))
            }
        };
        match [owed, old].into_iter().flatten().min() {
            Some(at) => {
                let wait = at.saturating_sub(now_millis()).max(10);
                self.state.storage().set_alarm(wait as i64).await?;
            }
            None => self.state.storage().delete_alarm().await?,
        }
        Response::empty()
    }
}

#[derive(Deserialize)]
struct OwedRow {
    batch: String,
    job: u64,
    attempts: u32,
    minute: u64,
    object: String,
    received_at: u64,
}

impl Ledger {
    fn sql(&self) -> Result<&Sql> {
        self.database.get()
    }

    async fn commit(&self, mut commit: Commit) -> Result<CommitResult> {
        self.make_known(&commit.scope, &commit.dataset, &commit.day)
            .await?;
        if commit.received_at_millis + LATE_COMMIT_MILLIS < now_millis() {
            self.owe_new_jobs(&mut commit).await?;
        }
        let owes = |selection: &JobSelection| selection.state != SelectionState::Stored;
        // Before the row, because a row without an alarm would be owed for ever.
        if commit.selections.iter().any(owes) {
            self.arm_before(now_millis() + owed_retry_millis(0)).await?;
        }
        self.sql()?.atomically(|| self.write(&commit))
    }

    /// A selection that was made long after its batch was committed. It counts from now on, so the registry has to know
    /// that this ledger counts something.
    async fn select(&self, late: &LateSelection) -> Result<()> {
        self.make_known(&late.scope, &late.dataset, &late.day)
            .await?;
        self.sql()?
            .atomically(|| self.write_selection(&late.batch_id, &late.selection))
    }

    /// What took long to come may have met none of the jobs that were made meanwhile. Those that fill themselves up have
    /// looked for it in vain by now, so they are owed it.
    async fn owe_new_jobs(&self, commit: &mut Commit) -> Result<()> {
        let query = JobsQuery {
            scope: Some(commit.scope.clone()),
            dataset: Some(commit.dataset.clone()),
            ..JobsQuery::default()
        };
        let rows: Vec<JobRow> =
            call(&self.env, Class::Registry, REGISTRY_NAME, "jobs", &query).await?;
        let came = commit.received_at_millis;
        for job in rows.into_iter().map(|row| row.job) {
            let is_new = job
                .backfill
                .as_ref()
                .is_some_and(|backfill| came < backfill.received_before_millis);
            let known = commit.selections.iter();
            if is_new && !known.into_iter().any(|one| one.job_id == job.id) {
                commit.selections.push(JobSelection {
                    job_id: job.id,
                    records: 0,
                    bytes: 0,
                    minute: minute_of(came),
                    surprises: Surprises::default(),
                    state: SelectionState::Owed {
                        reason: "it came while the job was made".to_owned(),
                    },
                });
            }
        }
        Ok(())
    }

    fn write(&self, commit: &Commit) -> Result<CommitResult> {
        let sql = self.sql()?;
        let minute = minute_of(commit.received_at_millis);
        self.unsettle(minute);
        let known = self.lookup(&commit.batch_id)?.object;
        if known.is_none() {
            let (first_at, last_at) = commit.event_millis.unzip();
            sql.run(
                "INSERT INTO batches (id, object, object_bytes, received_at, first_at, last_at, records, bytes_raw,
                    bytes_compressed, invalid_lines, quarantine, ray_least, ray_greatest)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    &commit.batch_id,
                    &commit.object,
                    commit.object_bytes,
                    commit.received_at_millis,
                    first_at,
                    last_at,
                    commit.records,
                    commit.bytes_raw,
                    commit.bytes_compressed,
                    commit.invalid_lines,
                    commit.quarantine.as_deref(),
                    commit.rays.as_ref().map(|rays| rays.least.as_str()),
                    commit.rays.as_ref().map(|rays| rays.greatest.as_str())
                ],
            )?;
            let size = log::size_column(commit.bytes_raw);
            sql.run(
                &format!(
                    "INSERT INTO minutes (minute, batches, records, bytes_raw, bytes_compressed, archived_batches,
                        archived_bytes, invalid_lines, {size}) VALUES (?, 1, ?, ?, ?, 1, ?, ?, 1)
                        ON CONFLICT (minute) DO UPDATE SET
                        batches = batches + 1, records = records + excluded.records,
                        bytes_raw = bytes_raw + excluded.bytes_raw,
                        bytes_compressed = bytes_compressed + excluded.bytes_compressed,
                        archived_batches = archived_batches + 1, archived_bytes = archived_bytes + excluded.archived_bytes,
                        invalid_lines = invalid_lines + excluded.invalid_lines, {size} = {size} + 1"
                ),
                params![
                    minute,
                    commit.records,
                    commit.bytes_raw,
                    commit.bytes_compressed,
                    commit.object_bytes,
                    commit.invalid_lines
                ],
            )?;
            for (reason, count) in &commit.invalid {
                sql.run(
                    "INSERT INTO invalid (minute, reason, count) VALUES (?, ?, ?)
                        ON CONFLICT (minute, reason) DO UPDATE SET count = count + excluded.count",
                    params![minute, reason, *count],
                )?;
            }
        } else {
            self.add_occurrence(minute, Occurrence::Duplicate)?;
        }
        if let Some(etag) = &commit.etag {
            self.remember(&commit.object, etag, &commit.batch_id)?;
        }
        // Also for a duplicate: its attempt may have known a job that the first one did not.
        for selection in &commit.selections {
            self.write_selection(&commit.batch_id, selection)?;
        }
        Ok(match known {
            None => CommitResult::Committed,
            Some(object) => CommitResult::Duplicate { object },
        })
    }

    fn write_selection(&self, batch: &str, selection: &JobSelection) -> Result<()> {
        let sql = self.sql()?;
        let JobSelection {
            job_id,
            records,
            bytes,
            minute,
            surprises,
            state,
        } = selection;
        let owed = match state {
            SelectionState::Stored => None,
            SelectionState::Owed { reason } => Some(reason.as_str()),
        };
        let known = sql.objects(
            "SELECT 1 FROM selections WHERE batch = ? AND job = ?",
            params![batch, *job_id],
        )?;
        if known.length() > 0 {
            return Ok(());
        }
        sql.run(
            "INSERT INTO selections (batch, job, minute, records, bytes, owed, next_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![batch, *job_id, *minute, *records, *bytes, owed, now_millis()],
        )?;
        let holding = Holding {
            records: *records,
            bytes: *bytes,
            minute: *minute,
        };
        self.add_surprises(*job_id, *minute, surprises)?;
        self.add_selected(*job_id, holding, u64::from(owed.is_some()))
    }

    /// A row for what there is; usually there is nothing.
    fn add_surprises(&self, job: u64, minute: u64, surprises: &Surprises) -> Result<()> {
        for (reason, count) in surprises.counts() {
            if count > 0 {
                self.sql()?.run(
                    "INSERT INTO surprises (minute, job, reason, count) VALUES (?, ?, ?, ?)
                        ON CONFLICT (minute, job, reason) DO UPDATE SET count = count + excluded.count",
                    params![minute, job, reason, count],
                )?;
            }
        }
        Ok(())
    }

    fn add_selected(&self, job: u64, holding: Holding, owed: u64) -> Result<()> {
        let batches = u64::from(holding.records > 0);
        self.sql()?.run(
            "INSERT INTO job_minutes (minute, job, batches, records, bytes, owed_batches) VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT (minute, job) DO UPDATE SET batches = batches + excluded.batches,
                records = records + excluded.records, bytes = bytes + excluded.bytes,
                owed_batches = owed_batches + excluded.owed_batches",
            params![
                holding.minute,
                job,
                batches,
                holding.records,
                holding.bytes,
                owed
            ],
        )
    }

    fn add_occurrence(&self, minute: u64, what: Occurrence) -> Result<()> {
        self.unsettle(minute);
        let query = match what {
            Occurrence::Test => {
                "INSERT INTO minutes (minute, tests) VALUES (?, 1)
                    ON CONFLICT (minute) DO UPDATE SET tests = tests + 1"
            }
            Occurrence::Duplicate => {
                "INSERT INTO minutes (minute, duplicates) VALUES (?, 1)
                    ON CONFLICT (minute) DO UPDATE SET duplicates = duplicates + 1"
            }
        };
        self.sql()?.run(query, params![minute])
    }

    async fn count(&self, count: &Count) -> Result<()> {
        self.make_known(&count.scope, &count.dataset, &count.day)
            .await?;
        let sql = self.sql()?;
        sql.atomically(|| {
            if let Some(seen) = &count.seen {
                self.remember(&seen.object, &seen.etag, &seen.batch_id)?;
            }
            self.add_occurrence(minute_of(count.at_millis), count.what)
        })
    }

    fn remember(&self, object: &str, etag: &str, batch: &str) -> Result<()> {
        self.sql()?.run(
            "INSERT INTO objects (object, etag, batch) VALUES (?, ?, ?)
                ON CONFLICT (object) DO UPDATE SET etag = excluded.etag, batch = excluded.batch",
            params![object, etag, batch],
        )
    }

    async fn sight(&self, query: &SightQuery) -> Result<Sight> {
        #[derive(Deserialize)]
        struct Seen {
            etag: String,
        }
        let seen: Option<Seen> = self.sql()?.first(
            "SELECT etag FROM objects WHERE object = ?",
            params![&query.object],
        )?;
        Ok(match seen {
            None => Sight::New,
            Some(seen) if seen.etag == query.etag => {
                self.make_known(&query.scope, &query.dataset, &query.day)
                    .await?;
                self.add_occurrence(minute_of(query.at_millis), Occurrence::Duplicate)?;
                Sight::Known
            }
            Some(_) => Sight::Overwritten,
        })
    }

    fn lookup(&self, batch_id: &str) -> Result<Lookup> {
        let known: Option<Lookup> = self
            .sql()?
            .first("SELECT object FROM batches WHERE id = ?", params![batch_id])?;
        Ok(known.unwrap_or(Lookup { object: None }))
    }

    /// Minutes that brought batches, from one on.
    fn minutes(&self, from: u64) -> Result<Vec<Minute>> {
        self.sql()?.rows(
            "SELECT minute, records, invalid_lines FROM minutes WHERE minute >= ? AND batches > 0 ORDER BY minute",
            params![from],
        )
    }

    fn summary(&self, range: MinuteRange) -> Result<Summary> {
        let sql = self.sql()?;
        let between = || params![range.from, range.to];
        let mut summary: Summary = sql
            .first(
                "SELECT coalesce(sum(batches), 0) AS batches, coalesce(sum(records), 0) AS records,
                    coalesce(sum(bytes_raw), 0) AS bytes_raw, coalesce(sum(bytes_compressed), 0) AS bytes_compressed,
                    coalesce(sum(archived_batches), 0) AS archived_batches,
                    coalesce(sum(archived_bytes), 0) AS archived_bytes,
                    coalesce(sum(invalid_lines), 0) AS invalid_lines, coalesce(sum(tests), 0) AS tests,
                    coalesce(sum(duplicates), 0) AS duplicates FROM minutes WHERE minute BETWEEN ? AND ?",
                between(),
            )?
            .unwrap_or_default();
        #[derive(Deserialize)]
        struct Reason {
            reason: String,
            count: u64,
        }
        for Reason { reason, count } in sql.rows(
            "SELECT reason, sum(count) AS count FROM invalid WHERE minute BETWEEN ? AND ? GROUP BY reason",
            between(),
        )? {
            summary.invalid.insert(reason, count);
        }
        #[derive(Deserialize)]
        struct JobSum {
            job: u64,
            #[serde(flatten)]
            selected: JobSelected,
        }
        for JobSum { job, selected } in sql.rows(
            "SELECT job, sum(batches) AS batches, sum(records) AS records, sum(bytes) AS bytes,
                sum(owed_batches) AS owed_batches, sum(gone_batches) AS gone_batches FROM job_minutes WHERE minute BETWEEN ? AND ? GROUP BY job",
            between(),
        )? {
            summary.jobs.insert(job, selected);
        }
        #[derive(Deserialize)]
        struct JobReason {
            job: u64,
            #[serde(flatten)]
            of: Reason,
        }
        for JobReason { job, of } in sql.rows(
            "SELECT job, reason, sum(count) AS count FROM surprises WHERE minute BETWEEN ? AND ? GROUP BY job, reason",
            between(),
        )? {
            let selected = summary.jobs.entry(job).or_default();
            selected.surprises.count(&of.reason, of.count);
        }
        summary.recent = self.recent()?;
        summary.last_batch_millis = self.last_batch_millis()?;
        Ok(summary)
    }

    /// Makes what is due. Returns when more is, unix milliseconds. Every step may be repeated: the outbox knows the batch.
    async fn work_off_owed(&self) -> Result<Option<u64>> {
        let due: Vec<OwedRow> = self.sql()?.rows(
            "SELECT s.batch, s.job, s.attempts, s.minute, b.object, b.received_at FROM selections s
                JOIN batches b ON b.id = s.batch WHERE s.owed IS NOT NULL AND s.next_at <= ? ORDER BY s.next_at LIMIT ?",
            params![now_millis(), OWED_PER_ALARM],
        )?;
        if !due.is_empty() {
            // Before the work, so that dying in the middle of it only delays the rest.
            self.state
                .storage()
                .set_alarm(owed_retry_millis(4) as i64)
                .await?;
        }
        for row in due {
            let debt = owed::Debt {
                batch_id: row.batch.clone(),
                object: row.object.clone(),
                job_id: row.job,
                received_at_millis: row.received_at,
            };
            match owed::settle(&self.env, &debt).await {
                Ok(settled) => self.settled(&row, &settled)?,
                Err(SourceError::Gone { object, .. }) => {
                    worker::console_error!(
                        "{object} is not in the bucket any more: job {} can not get what it selects of it",
                        row.job
                    );
                    self.give_up(&row)?;
                }
                Err(e) => {
                    let reason = e.into_reason();
                    let next_at = now_millis() + owed_retry_millis(row.attempts);
                    self.sql()?.run(
                        "UPDATE selections SET attempts = attempts + 1, next_at = ?, owed = ? WHERE batch = ? AND job = ?",
                        params![next_at, &reason, &row.batch, row.job],
                    )?;
                }
            }
        }
        #[derive(Deserialize)]
        struct Next {
            next_at: Option<u64>,
        }
        let next: Option<Next> = self.sql()?.first(
            "SELECT min(next_at) AS next_at FROM selections WHERE owed IS NOT NULL",
            params![],
        )?;
        Ok(next.and_then(|next| next.next_at))
    }

    /// The object is gone, and the outbox has nothing of it: there is nothing left to make the selection of, or to wait for.
    fn give_up(&self, row: &OwedRow) -> Result<()> {
        let sql = self.sql()?;
        sql.atomically(|| {
            sql.run(
                "UPDATE selections SET owed = NULL, gone = 1 WHERE batch = ? AND job = ?",
                params![&row.batch, row.job],
            )?;
            sql.run(
                "UPDATE job_minutes SET owed_batches = owed_batches - 1, gone_batches = gone_batches + 1 WHERE job = ?2
                    AND minute = (SELECT max(minute) FROM job_minutes WHERE job = ?2 AND minute <= ?1 AND owed_batches > 0)",
                params![row.minute, row.job],
            )
        })
    }

    fn settled(&self, row: &OwedRow, settled: &owed::Settled) -> Result<()> {
        let sql = self.sql()?;
        let owed::Settled { holding, surprises } = *settled;
        let Holding {
            records,
            bytes,
            minute,
        } = holding;
        sql.atomically(|| {
            sql.run(
                "UPDATE selections SET owed = NULL, minute = ?, records = ?, bytes = ? WHERE batch = ? AND job = ?",
                params![minute, records, bytes, &row.batch, row.job],
            )?;
            sql.run(
                // The minute itself, or the hour or day that it has become a part of.
                "UPDATE job_minutes SET owed_batches = owed_batches - 1 WHERE job = ?2 AND minute =
                    (SELECT max(minute) FROM job_minutes WHERE job = ?2 AND minute <= ?1 AND owed_batches > 0)",
                params![row.minute, row.job],
            )?;
            self.add_surprises(row.job, minute, &surprises)?;
            self.add_selected(row.job, holding, 0)
        })
    }
}
