//! Jobs, and the names of the ledgers. One object for the deployment.
//!
//! State: `jobs` (a deleted one stays as a tombstone, so that its counters can still be shown), `ledgers`, `sessions`,
//! `replays` (a deleted one stays, so that its id is not used again), and counters of `events` that belong to no dataset.
//! Called by the API, by ingest (cached for seconds), by outboxes before they push and by the consumer of events. An eviction
//! loses nothing. No alarm.

mod keeping;
mod replays;
mod sessions;

pub use keeping::{Due, DueJob, DueLedger, DueQuery, LookedAfterJob, LookedAfterLedger};
pub use replays::{Created, Mark, NewReplayRow, ReplayRow, ReplaysQuery};
pub use sessions::{Ending, RoutesQuery, Wanted};

use super::ledger::MinuteRange;
use super::{answer, now_millis, question, read_json};
use crate::health::log::{HOUR_MILLIS, IngestTotals};
use crate::ledger::EventSpan;
use crate::lifecycle::{SpoolKeep, WalkKeep};
use crate::logpush::job::Job;
use crate::replay;
use crate::runtime::js::sql::{Database, Sql, params};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object, wasm_bindgen};

/// Brought up to date one by one; never edited, only added to.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, dataset TEXT NOT NULL,
        version INTEGER NOT NULL, deleted_at INTEGER, body TEXT NOT NULL);
    CREATE INDEX jobs_by_scope ON jobs (scope, dataset) WHERE deleted_at IS NULL;
    CREATE TABLE ledgers (name TEXT PRIMARY KEY, scope TEXT NOT NULL, dataset TEXT NOT NULL, day TEXT NOT NULL,
        first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL) WITHOUT ROWID;
",
    // `open`: it may count more, so its totals have to be asked for. `counted`: JSON of the `IngestTotals` of one that is
    // not, which `datasets` has added up.
    "ALTER TABLE ledgers ADD COLUMN open INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE ledgers ADD COLUMN counted TEXT;
    CREATE TABLE datasets (scope TEXT NOT NULL, dataset TEXT NOT NULL, totals TEXT NOT NULL, PRIMARY KEY (scope, dataset))
        WITHOUT ROWID;",
    // The times of the records of one that is closed, unix milliseconds; NULL while it is open, and for one that was closed
    // before there were these columns.
    "ALTER TABLE ledgers ADD COLUMN first_event INTEGER;
    ALTER TABLE ledgers ADD COLUMN last_event INTEGER;",
    // `body`: JSON of the `Session`.
    "CREATE TABLE sessions (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, scope TEXT NOT NULL,
        dataset TEXT NOT NULL, ends_at INTEGER NOT NULL, body TEXT NOT NULL);",
    // `job`: whose outbox takes what is selected. `started`: the replay's own object knows it. `spec`: JSON of `replay::Spec`.
    "CREATE TABLE replays (scope TEXT NOT NULL, id TEXT NOT NULL, dataset TEXT NOT NULL, job INTEGER NOT NULL,
        digest TEXT NOT NULL, spec TEXT NOT NULL, created_at INTEGER NOT NULL, started INTEGER NOT NULL DEFAULT 0,
        deleted_at INTEGER, PRIMARY KEY (scope, id)) WITHOUT ROWID;",
    // Events of R2 that brought no batch, by name. By the hour, so that the rows of years need no making coarser.
    "CREATE TABLE events (hour INTEGER NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (hour, name))
        WITHOUT ROWID;",
    keeping::TABLES,
];

/// Which jobs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JobsQuery {
    /// Of this scope only.
    pub scope: Option<String>,
    /// Of this dataset only.
    pub dataset: Option<String>,
    /// This job only.
    pub id: Option<u64>,
    /// Deleted ones too.
    pub with_deleted: bool,
}

/// A job and whether it still exists.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobRow {
    /// The job.
    pub job: Job,
    /// When it was deleted, unix milliseconds.
    pub deleted_at: Option<u64>,
}

/// A job that replaces another, if that one still is what the caller read.
#[derive(Debug, Serialize, Deserialize)]
pub struct Update {
    /// The new job; its version counts up.
    pub job: Job,
    /// The version that was read.
    pub expected_version: u64,
}

/// A ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LedgerRow {
    /// Its Durable Object name.
    pub name: String,
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// `YYYYMMDD`.
    pub day: String,
    /// When it first took a batch, unix milliseconds.
    pub first_seen: u64,
    /// When it last said that it takes batches; refreshed once an hour.
    pub last_seen: u64,
}

/// A ledger that has not counted anything for a while.
#[derive(Debug, Serialize, Deserialize)]
pub struct Closing {
    /// Its Durable Object name.
    pub name: String,
    /// When it last said that it counts something. If it has said so again meanwhile, it stays open.
    pub last_seen: u64,
    /// All that it has counted.
    pub totals: IngestTotals,
    /// The earliest and the latest time of its records, unix milliseconds, if it has any.
    #[serde(default)]
    pub event_millis: Option<(i64, i64)>,
}

/// Ledgers of a dataset with records in a span.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventsQuery {
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// When.
    pub span: EventSpan,
}

/// A dataset of a scope.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DatasetRow {
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// What its closed ledgers have counted, all together.
    pub closed: IngestTotals,
    /// Names of the ledgers that are open: those of the last days.
    pub open: Vec<String>,
}

/// Events of R2 to be counted.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventCounts {
    /// When they came, unix milliseconds.
    pub at_millis: u64,
    /// How many, by name.
    pub counts: BTreeMap<String, u64>,
}

/// See the module.
#[durable_object(fetch)]
pub struct Registry {
    database: Database,
}

impl DurableObject for Registry {
    fn new(state: State, _env: Env) -> Self {
        Self {
            database: Database::open(&state, MIGRATIONS),
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        macro_rules! asked {
            ($work:expr) => {
                match question(&mut request).await {
                    Ok((asked, _)) => answer(
                        self.database
                            .get()
                            .and_then(|sql| sql.atomically(|| $work(asked))),
                    ),
                    Err(e) => answer::<()>(Err(e)),
                }
            };
        }
        match request.path().as_str() {
            "/jobs" => match question(&mut request).await {
                Ok((query, _)) => answer(self.jobs(&query)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/routes" => match question(&mut request).await {
                Ok((query, _)) => answer(self.wanted(query)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/sessions" => match question::<String>(&mut request).await {
                Ok((scope, _)) => answer(self.sessions(Some(&scope), None)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/open-session" => match question(&mut request).await {
                Ok((session, _)) => answer(
                    self.database
                        .get()
                        .and_then(|sql| sql.atomically(|| self.open_session(session))),
                ),
                Err(e) => answer::<()>(Err(e)),
            },
            "/end-session" => match question(&mut request).await {
                Ok((ending, _)) => answer(self.end_session(&ending)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/create" => match question(&mut request).await {
                Ok((job, _)) => answer(
                    self.database
                        .get()
                        .and_then(|sql| sql.atomically(|| self.create(job))),
                ),
                Err(e) => answer::<()>(Err(e)),
            },
            "/update" => match question(&mut request).await {
                Ok((update, _)) => answer(self.update(update)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/delete" => match question(&mut request).await {
                Ok((id, _)) => answer(self.delete(id)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/ledger" => match question(&mut request).await {
                Ok((ledger, _)) => answer(
                    self.database
                        .get()
                        .and_then(|sql| sql.atomically(|| self.remember_ledger(&ledger))),
                ),
                Err(e) => answer::<()>(Err(e)),
            },
            "/close-ledger" => match question(&mut request).await {
                Ok((closing, _)) => answer(
                    self.database
                        .get()
                        .and_then(|sql| sql.atomically(|| self.close_ledger(&closing))),
                ),
                Err(e) => answer::<()>(Err(e)),
            },
            "/ledgers-with-events" => match question(&mut request).await {
                Ok((query, _)) => answer(self.ledgers_with_events(&query)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/replays" => match question(&mut request).await {
                Ok((query, _)) => answer(self.replays(&query)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/create-replay" => match question(&mut request).await {
                Ok((new, _)) => answer(
                    self.database
                        .get()
                        .and_then(|sql| sql.atomically(|| self.create_replay(new))),
                ),
                Err(e) => answer::<()>(Err(e)),
            },
            "/mark-replay" => match question(&mut request).await {
                Ok((mark, _)) => answer(self.mark_replay(&mark)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/count-events" => match question(&mut request).await {
                Ok((counts, _)) => answer(
                    self.database
                        .get()
                        .and_then(|sql| sql.atomically(|| self.count_events(&counts))),
                ),
                Err(e) => answer::<()>(Err(e)),
            },
            "/events" => match question(&mut request).await {
                Ok((range, _)) => answer(self.events(range)),
                Err(e) => answer::<()>(Err(e)),
            },
            "/datasets" => answer(self.datasets()),
            "/ledgers" => answer(self.ledgers()),
            "/due" => asked!(|query| self.due(&query)),
            "/looked-after-ledger" => asked!(|looked| self.looked_after_ledger(&looked)),
            "/looked-after-job" => asked!(|looked| self.looked_after_job(&looked)),
            "/found-ledger" => asked!(|ledger| self.found_ledger(&ledger)),
            "/spool-swept" => asked!(|keep: SpoolKeep| self.remember("spool", &keep)),
            "/walked" => asked!(|keep: WalkKeep| self.remember("walk", &keep)),
            "/keeping" => answer(self.keeping()),
            _ => Response::error("no such operation", 404),
        }
    }
}

#[derive(Deserialize)]
struct Counted {
    scope: String,
    dataset: String,
    last_seen: u64,
    counted: Option<String>,
}

#[derive(Deserialize)]
struct StoredJob {
    body: String,
    deleted_at: Option<u64>,
}

impl Registry {
    fn sql(&self) -> Result<&Sql> {
        self.database.get()
    }

    fn jobs(&self, query: &JobsQuery) -> Result<Vec<JobRow>> {
        let rows: Vec<StoredJob> = self.sql()?.rows(
            "SELECT body, deleted_at FROM jobs WHERE (?1 IS NULL OR scope = ?1) AND (?2 IS NULL OR dataset = ?2)
                AND (?3 IS NULL OR id = ?3) AND (?4 = 1 OR deleted_at IS NULL) ORDER BY id",
            params![
                query.scope.as_deref(),
                query.dataset.as_deref(),
                query.id,
                u64::from(query.with_deleted)
            ],
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(JobRow {
                    job: self.following(read_json(&row.body)?)?,
                    deleted_at: row.deleted_at,
                })
            })
            .collect()
    }

    fn create(&self, mut job: Job) -> Result<Job> {
        let sql = self.sql()?;
        #[derive(Deserialize)]
        struct Id {
            id: u64,
        }
        let inserted: Option<Id> = sql.first(
            "INSERT INTO jobs (scope, dataset, version, body) VALUES (?, ?, 1, '') RETURNING id",
            params![&job.scope.to_string(), &job.dataset],
        )?;
        let Some(Id { id }) = inserted else {
            return Err(worker::Error::RustError("the job got no id".to_owned()));
        };
        (job.id, job.version) = (id, 1);
        if let Some(backfill) = &mut job.backfill {
            // In the same transaction: a job that is there fills up, whatever becomes of the call.
            let now = now_millis();
            backfill.received_before_millis = replay::received_before(now);
            let spec = replay::of_a_new_job(&job, now);
            self.write_replay(&job.scope.to_string(), "", spec)?;
        }
        let body = serde_json::to_string(&job)?;
        sql.run("UPDATE jobs SET body = ? WHERE id = ?", params![&body, id])?;
        Ok(job)
    }

    fn update(&self, update: Update) -> Result<Option<Job>> {
        let Update {
            mut job,
            expected_version,
        } = update;
        let sql = self.sql()?;
        let current = self.jobs(&JobsQuery {
            id: Some(job.id),
            ..JobsQuery::default()
        })?;
        if !current
            .iter()
            .any(|row| row.job.version == expected_version)
        {
            return Ok(None);
        }
        job.version = expected_version + 1;
        sql.run(
            "UPDATE jobs SET body = ?, version = ? WHERE id = ?",
            params![&serde_json::to_string(&job)?, job.version, job.id],
        )?;
        Ok(Some(job))
    }

    fn delete(&self, id: u64) -> Result<bool> {
        let existed = !self
            .jobs(&JobsQuery {
                id: Some(id),
                ..JobsQuery::default()
            })?
            .is_empty();
        let now = now_millis();
        self.sql()?.run(
            "UPDATE jobs SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL",
            params![now, id],
        )?;
        Ok(existed)
    }

    fn remember_ledger(&self, ledger: &LedgerRow) -> Result<()> {
        // One that was closed: from here on it is asked itself for what it has counted.
        if let Some(counted) = self.counted(&ledger.name)?.and_then(|row| row.counted) {
            let counted: IngestTotals = read_json(&counted)?;
            self.count(&ledger.scope, &ledger.dataset, |sum| {
                sum.take_away(&counted);
            })?;
        }
        self.sql()?.run(
            "INSERT INTO ledgers (name, scope, dataset, day, first_seen, last_seen) VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT (name) DO UPDATE SET last_seen = max(last_seen, excluded.last_seen), open = 1, counted = NULL,
                first_event = NULL, last_event = NULL",
            params![
                &ledger.name,
                &ledger.scope,
                &ledger.dataset,
                &ledger.day,
                ledger.first_seen,
                ledger.last_seen
            ],
        )?;
        self.look_soon(ledger)
    }

    fn ledgers(&self) -> Result<Vec<LedgerRow>> {
        self.sql()?.rows(
            "SELECT name, scope, dataset, day, first_seen, last_seen FROM ledgers ORDER BY name",
            params![],
        )
    }

    /// By day. Those whose times are not known may have records in any span.
    fn ledgers_with_events(&self, query: &EventsQuery) -> Result<Vec<LedgerRow>> {
        self.sql()?.rows(
            "SELECT name, scope, dataset, day, first_seen, last_seen FROM ledgers WHERE scope = ? AND dataset = ?
                AND (last_event IS NULL OR last_event >= ?) AND (first_event IS NULL OR first_event < ?) ORDER BY day",
            params![
                &query.scope,
                &query.dataset,
                query.span.from_millis,
                query.span.until_millis
            ],
        )
    }

    fn counted(&self, ledger: &str) -> Result<Option<Counted>> {
        self.sql()?.first(
            "SELECT scope, dataset, last_seen, counted FROM ledgers WHERE name = ?",
            params![ledger],
        )
    }

    fn count_events(&self, counted: &EventCounts) -> Result<()> {
        for (name, count) in &counted.counts {
            self.sql()?.run(
                "INSERT INTO events (hour, name, count) VALUES (?, ?, ?)
                    ON CONFLICT (hour, name) DO UPDATE SET count = count + excluded.count",
                params![counted.at_millis / HOUR_MILLIS, name, *count],
            )?;
        }
        Ok(())
    }

    /// Of the hours that the range touches.
    fn events(&self, range: MinuteRange) -> Result<BTreeMap<String, u64>> {
        #[derive(Deserialize)]
        struct Sum {
            name: String,
            count: u64,
        }
        let sums: Vec<Sum> = self.sql()?.rows(
            "SELECT name, sum(count) AS count FROM events WHERE hour BETWEEN ? AND ? GROUP BY name",
            params![range.from / 60, range.to / 60],
        )?;
        Ok(sums.into_iter().map(|sum| (sum.name, sum.count)).collect())
    }

    /// Changes what the closed ledgers of a dataset have counted.
    fn count(
        &self,
        scope: &str,
        dataset: &str,
        change: impl FnOnce(&mut IngestTotals),
    ) -> Result<()> {
        #[derive(Deserialize)]
        struct Row {
            totals: String,
        }
        let sql = self.sql()?;
        let row: Option<Row> = sql.first(
            "SELECT totals FROM datasets WHERE scope = ? AND dataset = ?",
            params![scope, dataset],
        )?;
        let mut totals = match row {
            Some(row) => read_json(&row.totals)?,
            None => IngestTotals::default(),
        };
        change(&mut totals);
        sql.run(
            "INSERT OR REPLACE INTO datasets (scope, dataset, totals) VALUES (?, ?, ?)",
            params![scope, dataset, &serde_json::to_string(&totals)?],
        )
    }

    /// Adds what a ledger has counted to its dataset. Returns whether it is closed: it is not when it has said meanwhile
    /// that it counts something.
    fn close_ledger(&self, closing: &Closing) -> Result<bool> {
        let Some(row) = self.counted(&closing.name)? else {
            return Ok(false);
        };
        if row.last_seen > closing.last_seen {
            return Ok(false);
        }
        // It may say so again, when the answer to the first time was lost.
        let before: Option<IngestTotals> = row.counted.as_deref().map(read_json).transpose()?;
        self.count(&row.scope, &row.dataset, |sum| {
            if let Some(before) = &before {
                sum.take_away(before);
            }
            sum.add(&closing.totals);
        })?;
        let (first_event, last_event) = closing.event_millis.unzip();
        self.sql()?.run(
            "UPDATE ledgers SET open = 0, counted = ?, first_event = ?, last_event = ? WHERE name = ?",
            params![
                &serde_json::to_string(&closing.totals)?,
                first_event,
                last_event,
                &closing.name
            ],
        )?;
        Ok(true)
    }

    fn datasets(&self) -> Result<Vec<DatasetRow>> {
        #[derive(Deserialize)]
        struct Closed {
            scope: String,
            dataset: String,
            totals: String,
        }
        #[derive(Deserialize)]
        struct Open {
            scope: String,
            dataset: String,
            name: String,
        }
        let sql = self.sql()?;
        let mut datasets = BTreeMap::<(String, String), DatasetRow>::new();
        let closed: Vec<Closed> = sql.rows("SELECT * FROM datasets", params![])?;
        for Closed {
            scope,
            dataset,
            totals,
        } in closed
        {
            let row = DatasetRow {
                scope: scope.clone(),
                dataset: dataset.clone(),
                closed: read_json(&totals)?,
                open: Vec::new(),
            };
            datasets.insert((scope, dataset), row);
        }
        let open: Vec<Open> = sql.rows(
            "SELECT scope, dataset, name FROM ledgers WHERE open = 1",
            params![],
        )?;
        for Open {
            scope,
            dataset,
            name,
        } in open
        {
            let key = (scope.clone(), dataset.clone());
            let row = datasets.entry(key).or_insert_with(|| DatasetRow {
                scope,
                dataset,
                ..DatasetRow::default()
            });
            row.open.push(name);
        }
        Ok(datasets.into_values().collect())
    }
}
