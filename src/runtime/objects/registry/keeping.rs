//! What the registry remembers of the keeping of everything: which ledgers and outboxes are to be looked after, what was
//! found there last, and how far the spool has been swept.

use super::super::read_json;
use super::{LedgerRow, Registry};
use crate::lifecycle::{
    DatasetKeep, JobKeep, Keeping, LedgerKeep, SpoolKeep, WalkKeep, schedule::FIRST_LOOK_MILLIS,
};
use crate::logpush::job::Job;
use crate::runtime::js::sql::params;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use worker::Result;

/// A migration of the registry: never edited. `look_at`: when the ledger or the job's outbox is to be looked after, unix
/// milliseconds; NULL: never. `kept`: JSON of a `LedgerKeep` or a `JobKeep`. `findings`: of the ledger, and whether
/// something is owed. `kept`, the table: JSON of the `DatasetKeep` of each dataset. `keeping`: JSON by name.
pub const TABLES: &str = "ALTER TABLE ledgers ADD COLUMN look_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE ledgers ADD COLUMN kept TEXT;
    ALTER TABLE ledgers ADD COLUMN findings INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX ledgers_by_look ON ledgers (look_at);
    CREATE INDEX ledgers_with_findings ON ledgers (name) WHERE findings > 0;
    ALTER TABLE jobs ADD COLUMN look_at INTEGER DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN kept TEXT;
    CREATE TABLE kept (scope TEXT NOT NULL, dataset TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (scope, dataset))
        WITHOUT ROWID;
    CREATE TABLE keeping (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;";

/// Ledgers with findings whose names are told, the youngest days first.
const NAMED_LEDGERS: u64 = 100;

/// What is to be looked after.
#[derive(Debug, Serialize, Deserialize)]
pub struct DueQuery {
    /// Now, unix milliseconds.
    pub now_millis: u64,
    /// JSON of the `Retention` that holds. When it is another one than the time before, every ledger is due.
    pub retention: String,
    /// So many of each at most.
    pub limit: u64,
}

/// A ledger that is to be looked after.
#[derive(Debug, Serialize, Deserialize)]
pub struct DueLedger {
    /// Its Durable Object name.
    pub name: String,
    /// When it last said that it takes batches, unix milliseconds.
    pub last_seen: u64,
    /// What is known of it.
    pub keep: LedgerKeep,
}

/// A job whose outbox is to be looked after.
#[derive(Debug, Serialize, Deserialize)]
pub struct DueJob {
    /// The job.
    pub id: u64,
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// Its dataset.
    pub dataset: String,
    /// When it was deleted, unix milliseconds.
    pub deleted_at: Option<u64>,
}

/// What is due.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Due {
    /// Ledgers.
    pub ledgers: Vec<DueLedger>,
    /// Jobs.
    pub jobs: Vec<DueJob>,
    /// Whether or not it is.
    pub spool: SpoolKeep,
    /// Whether or not it is.
    pub walk: WalkKeep,
}

/// A ledger that was looked after.
#[derive(Debug, Serialize, Deserialize)]
pub struct LookedAfterLedger {
    /// Its Durable Object name.
    pub name: String,
    /// What is known of it now.
    pub keep: LedgerKeep,
    /// When to look again, unix milliseconds.
    pub look_at: u64,
}

/// A job whose outbox was looked after.
#[derive(Debug, Serialize, Deserialize)]
pub struct LookedAfterJob {
    /// What is known of it now.
    pub keep: JobKeep,
    /// When to look again, unix milliseconds; `None`: never.
    pub look_at: Option<u64>,
}

#[derive(Deserialize)]
struct Body {
    body: String,
}

impl Registry {
    fn remembered<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T> {
        let row: Option<Body> = self
            .sql()?
            .first("SELECT body FROM keeping WHERE name = ?", params![name])?;
        row.map_or(Ok(T::default()), |row| read_json(&row.body))
    }

    pub(super) fn remember(&self, name: &str, body: &impl Serialize) -> Result<()> {
        self.sql()?.run(
            "INSERT OR REPLACE INTO keeping (name, body) VALUES (?, ?)",
            params![name, &serde_json::to_string(body)?],
        )
    }

    pub(super) fn due(&self, query: &DueQuery) -> Result<Due> {
        let sql = self.sql()?;
        let known: String = self.remembered("retention")?;
        if known != query.retention {
            // At first nothing has been looked at under another one.
            if !known.is_empty() {
                sql.run(
                    "UPDATE ledgers SET look_at = ?1 WHERE look_at > ?1 AND kept IS NOT NULL",
                    params![query.now_millis],
                )?;
            }
            self.remember("retention", &query.retention)?;
        }
        #[derive(Deserialize)]
        struct Ledger {
            name: String,
            last_seen: u64,
            kept: Option<String>,
        }
        let ledgers: Vec<Ledger> = sql.rows(
            "SELECT name, last_seen, kept FROM ledgers WHERE look_at <= ? ORDER BY look_at LIMIT ?",
            params![query.now_millis, query.limit],
        )?;
        let ledgers = ledgers.into_iter().map(|ledger| {
            Ok(DueLedger {
                name: ledger.name,
                last_seen: ledger.last_seen,
                keep: keep_of(ledger.kept.as_deref())?,
            })
        });
        Ok(Due {
            ledgers: ledgers.collect::<Result<_>>()?,
            jobs: sql.rows(
                "SELECT id, scope, dataset, deleted_at FROM jobs WHERE look_at <= ? ORDER BY look_at LIMIT ?",
                params![query.now_millis, query.limit],
            )?,
            spool: self.remembered("spool")?,
            walk: self.remembered("walk")?,
        })
    }

    pub(super) fn looked_after_ledger(&self, looked: &LookedAfterLedger) -> Result<()> {
        let sql = self.sql()?;
        #[derive(Deserialize)]
        struct Before {
            scope: String,
            dataset: String,
            kept: Option<String>,
        }
        let Some(before) = sql.first::<Before>(
            "SELECT scope, dataset, kept FROM ledgers WHERE name = ?",
            params![&looked.name],
        )?
        else {
            return Ok(());
        };
        let sum: Option<Body> = sql.first(
            "SELECT body FROM kept WHERE scope = ? AND dataset = ?",
            params![&before.scope, &before.dataset],
        )?;
        let mut sum: DatasetKeep =
            sum.map_or(Ok(DatasetKeep::default()), |row| read_json(&row.body))?;
        sum.scope.clone_from(&before.scope);
        sum.dataset.clone_from(&before.dataset);
        sum.replace(&keep_of(before.kept.as_deref())?, &looked.keep);
        sql.run(
            "INSERT OR REPLACE INTO kept (scope, dataset, body) VALUES (?, ?, ?)",
            params![
                &before.scope,
                &before.dataset,
                &serde_json::to_string(&sum)?
            ],
        )?;
        let owes = looked.keep.facts.oldest_owed_at.is_some();
        sql.run(
            "UPDATE ledgers SET kept = ?, look_at = ?, findings = ? WHERE name = ?",
            params![
                &serde_json::to_string(&looked.keep)?,
                looked.look_at,
                looked.keep.sweep.findings() + u64::from(owes),
                &looked.name
            ],
        )
    }

    pub(super) fn looked_after_job(&self, looked: &LookedAfterJob) -> Result<()> {
        self.sql()?.run(
            "UPDATE jobs SET kept = ?, look_at = ? WHERE id = ?",
            params![
                &serde_json::to_string(&looked.keep)?,
                looked.look_at,
                looked.keep.job_id
            ],
        )
    }

    /// A day of the archive that nobody has committed a batch of: its ledger finds out whose the objects are. Nothing is
    /// counted, and one that is known stays as it is.
    pub(super) fn found_ledger(&self, ledger: &LedgerRow) -> Result<()> {
        self.sql()?.run(
            "INSERT INTO ledgers (name, scope, dataset, day, first_seen, last_seen, open) VALUES (?, ?, ?, ?, ?, ?, 0)
                ON CONFLICT (name) DO NOTHING",
            params![
                &ledger.name,
                &ledger.scope,
                &ledger.dataset,
                &ledger.day,
                ledger.first_seen,
                ledger.last_seen
            ],
        )
    }

    /// When a ledger that has just taken batches is to be looked after, at the latest.
    pub(super) fn look_soon(&self, ledger: &LedgerRow) -> Result<()> {
        let look_at = ledger.last_seen + FIRST_LOOK_MILLIS;
        self.sql()?.run(
            "UPDATE ledgers SET look_at = ?1 WHERE name = ?2 AND (look_at > ?1 OR kept IS NULL AND look_at = 0)",
            params![look_at, &ledger.name],
        )
    }

    pub(super) fn keeping(&self) -> Result<Keeping> {
        let sql = self.sql()?;
        let sums: Vec<Body> =
            sql.rows("SELECT body FROM kept ORDER BY scope, dataset", params![])?;
        let sums = sums.iter().map(|row| read_json::<DatasetKeep>(&row.body));
        let mut datasets = sums.collect::<Result<Vec<_>>>()?;
        #[derive(Deserialize)]
        struct Finding {
            scope: String,
            dataset: String,
            kept: Option<String>,
        }
        let findings: Vec<Finding> = sql.rows(
            "SELECT scope, dataset, kept FROM ledgers WHERE findings > 0 ORDER BY day DESC LIMIT ?",
            params![NAMED_LEDGERS],
        )?;
        let mut by_dataset = BTreeMap::<(String, String), Vec<LedgerKeep>>::new();
        for finding in findings {
            let keep = keep_of(finding.kept.as_deref())?;
            let key = (finding.scope, finding.dataset);
            by_dataset.entry(key).or_default().push(keep);
        }
        for dataset in &mut datasets {
            let key = (dataset.scope.clone(), dataset.dataset.clone());
            let ledgers = by_dataset.remove(&key).unwrap_or_default();
            dataset.name_findings_of(ledgers.iter());
        }
        #[derive(Deserialize)]
        struct JobRow {
            body: String,
            kept: String,
        }
        let jobs: Vec<JobRow> = sql.rows(
            "SELECT body, kept FROM jobs WHERE kept IS NOT NULL ORDER BY id",
            params![],
        )?;
        let jobs = jobs.iter().map(|row| {
            let job: Job = read_json(&row.body)?;
            Ok(JobKeep {
                job_id: job.id,
                scope: job.scope.to_string(),
                dataset: job.dataset,
                ..read_json(&row.kept)?
            })
        });
        Ok(Keeping {
            datasets,
            jobs: jobs.collect::<Result<_>>()?,
            spool: self.remembered("spool")?,
            walk: self.remembered("walk")?,
        })
    }
}

fn keep_of(text: Option<&str>) -> Result<LedgerKeep> {
    text.map_or(Ok(LedgerKeep::default()), read_json)
}
