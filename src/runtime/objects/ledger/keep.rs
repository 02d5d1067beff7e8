//! What becomes of a ledger's rows and objects: which batches have expired, which rows are removed, and whether the bucket
//! and the rows are the same. The cron trigger asks for it, some ledgers at a time.

use super::Ledger;
use crate::lifecycle::retention::RAW;
use crate::lifecycle::schedule::ORPHAN_MILLIS;
use crate::lifecycle::sweep::{self, Bounds, Known, ROWS_MAX};
use crate::lifecycle::{Going, LedgerFacts, LedgerSweep, Retention, Stage};
use crate::runtime::js::sql::params;
use crate::runtime::{archive, config};
use serde::{Deserialize, Serialize};
use worker::Result;

/// Rows of batches that are removed in one transaction, and in one call.
const REMOVED_AT_ONCE: usize = 1_000;
const REMOVED_PER_CALL: usize = 100_000;

/// What a ledger is asked to do. A call looks at one page of the bucket's listing, 1,000 objects, and scans its rows for it;
/// batches may be committed in between.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tend {
    /// Now, unix milliseconds.
    pub now_millis: u64,
    /// How long what is kept.
    pub retention: Retention,
    /// Where to begin, or to go on, with the sweep; `None`: only the rows are looked at.
    pub going: Option<Going>,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tended {
    /// Its rows; `None` while the sweep goes on.
    pub facts: Option<LedgerFacts>,
    /// Where the sweep goes on.
    pub going: Option<Going>,
    /// What the sweep has found, if it has ended.
    pub sweep: Option<LedgerSweep>,
}

#[derive(Deserialize)]
struct KeyRow {
    key: String,
    at: u64,
}

#[derive(Deserialize)]
struct IdRow {
    id: String,
}

/// Whether an object is one that the bucket's rules delete. Others are not ours: Logpush wrote them.
fn is_ours() -> String {
    let of = |prefix: &&str| format!("object GLOB '{prefix}*'");
    let prefixes: Vec<String> = RAW.prefixes.iter().map(of).collect();
    format!("({})", prefixes.join(" OR "))
}

/// The same of one object.
pub(super) fn expires(object: &str) -> bool {
    RAW.prefixes.iter().any(|prefix| object.starts_with(prefix))
}

impl Ledger {
    pub(super) async fn tend(&self, tend: Tend) -> Result<Tended> {
        // Once for a sweep, however many calls it takes: each scans all rows.
        if tend
            .going
            .as_ref()
            .is_none_or(|going| *going == Going::default())
        {
            self.expire(&tend.retention, tend.now_millis)?;
            self.remove_rows(&tend.retention, tend.now_millis)?;
        }
        let (going, sweep) = match tend.going {
            Some(going) => self.sweep(going, &tend.retention, tend.now_millis).await?,
            None => (None, None),
        };
        Ok(Tended {
            facts: match going {
                Some(_) => None,
                None => Some(self.facts()?),
            },
            going,
            sweep,
        })
    }

    /// Batches that were received before this time have lost their objects, for good: a retention that is made longer does
    /// not bring them back.
    pub(super) fn expired_before(&self) -> Result<u64> {
        #[derive(Deserialize)]
        struct Expired {
            expired_before: u64,
        }
        let expired: Option<Expired> = self
            .sql()?
            .first("SELECT expired_before FROM keeping", params![])?;
        Ok(expired.map_or(0, |row| row.expired_before))
    }

    fn expire(&self, retention: &Retention, now_millis: u64) -> Result<()> {
        let ours = is_ours();
        let which = format!(
            "FROM batches WHERE {ours} AND received_at >= keeping.expired_before AND received_at < ?1"
        );
        self.sql()?.run(
            &format!(
                "UPDATE keeping SET expired_batches = expired_batches + (SELECT count(*) {which}),
                    expired_bytes = expired_bytes + (SELECT coalesce(sum(object_bytes), 0) {which}), expired_before = ?1
                    WHERE expired_before < ?1"
            ),
            params![retention.raw_gone_before(now_millis)],
        )
    }

    /// Removes rows that are old enough; their sums stay. A row of which a selection is owed is not finished.
    fn remove_rows(&self, retention: &Retention, now_millis: u64) -> Result<()> {
        let sql = self.sql()?;
        let before = retention
            .rows_gone_before(now_millis)
            .min(self.expired_before()?);
        let ours = is_ours();
        for _ in 0..REMOVED_PER_CALL / REMOVED_AT_ONCE {
            let old: Vec<IdRow> = sql.rows(
                &format!(
                    "SELECT id FROM batches WHERE received_at < ? AND {ours} AND NOT EXISTS
                        (SELECT 1 FROM selections WHERE batch = batches.id AND owed IS NOT NULL) LIMIT ?"
                ),
                params![before, REMOVED_AT_ONCE],
            )?;
            if old.is_empty() {
                break;
            }
            let ids: Vec<&str> = old.iter().map(|row| row.id.as_str()).collect();
            let ids = serde_json::to_string(&ids)?;
            sql.atomically(|| {
                let of = "IN (SELECT value FROM json_each(?))";
                sql.run(
                    &format!("DELETE FROM selections WHERE batch {of}"),
                    params![&ids],
                )?;
                sql.run(&format!("DELETE FROM batches WHERE id {of}"), params![&ids])?;
                sql.run(
                    "UPDATE keeping SET removed_rows = removed_rows + ?",
                    params![old.len()],
                )
            })?;
        }
        Ok(())
    }

    fn facts(&self) -> Result<LedgerFacts> {
        let ours = is_ours();
        let facts: Option<LedgerFacts> = self.sql()?.first(
            &format!(
                "SELECT count(*) AS rows, min(received_at) FILTER (WHERE {ours} AND received_at >=
                    (SELECT expired_before FROM keeping)) AS oldest_kept_at,
                    min(received_at) FILTER (WHERE {ours}) AS oldest_row_at,
                    (SELECT min(b.received_at) FROM selections s JOIN batches b ON b.id = s.batch
                    WHERE s.owed IS NOT NULL) AS oldest_owed_at,
                    (SELECT expired_batches FROM keeping) AS expired_batches,
                    (SELECT expired_bytes FROM keeping) AS expired_bytes,
                    (SELECT removed_rows FROM keeping) AS removed_rows FROM batches"
            ),
            params![],
        )?;
        Ok(facts.unwrap_or_default())
    }

    /// Goes on with a sweep, by one page.
    async fn sweep(
        &self,
        mut going: Going,
        retention: &Retention,
        now_millis: u64,
    ) -> Result<(Option<Going>, Option<LedgerSweep>)> {
        let bucket = self.env.bucket(config::ARCHIVE)?;
        let name = self.own_name()?;
        let orphans_before = now_millis.saturating_sub(ORPHAN_MILLIS);
        let (column, prefix, missing_since) = match going.stage {
            Stage::Raw => (
                "object",
                format!("{name}/"),
                retention.raw_there_since(now_millis),
            ),
            Stage::Quarantine => (
                "quarantine",
                format!("quarantine/{name}/"),
                retention.quarantine_there_since(now_millis),
            ),
        };
        // Before the listing: a batch that comes meanwhile has an object that is too young, and never a row too many.
        let rows: Vec<KeyRow> = self.sql()?.rows(
            &format!(
                "SELECT {column} AS key, received_at AS at FROM batches
                    WHERE {column} > max(?1, ?2) AND {column} < ?2 || '~' ORDER BY {column} LIMIT ?3"
            ),
            params![&going.after, &prefix, ROWS_MAX],
        )?;
        let known = |row: KeyRow| Known {
            key: row.key,
            at: row.at,
        };
        let rows: Vec<Known> = rows.into_iter().map(known).collect();
        let page = archive::list(&bucket, &prefix, &going.after, None)
            .await
            .map_err(worker::Error::RustError)?;
        let end = sweep::end_of(&page.objects, page.is_last, &rows).map(str::to_owned);
        let bounds = Bounds {
            orphans_before,
            missing_since,
        };
        let found = &mut going.found;
        let (orphans, missing) = match going.stage {
            Stage::Raw => (&mut found.orphans, &mut found.missing),
            Stage::Quarantine => (&mut found.quarantine_orphans, &mut found.quarantine_missing),
        };
        let (objects, bytes) = sweep::compare(
            &page.objects,
            &rows,
            end.as_deref(),
            bounds,
            orphans,
            missing,
        );
        if going.stage == Stage::Raw {
            found.objects += objects;
            found.bytes += bytes;
        }
        match (end, going.stage) {
            (Some(end), _) => going.after = end,
            (None, Stage::Raw) => {
                going.stage = Stage::Quarantine;
                going.after = String::new();
            }
            (None, Stage::Quarantine) => return Ok((None, Some(going.found))),
        }
        Ok((Some(going), None))
    }
}
