//! What becomes of an outbox's objects: which dead letters have expired, which spooled objects somebody still wants, and
//! whether the bucket and the rows are the same. The cron trigger asks for it.

use super::Outbox;
use crate::lifecycle::schedule::ORPHAN_MILLIS;
use crate::lifecycle::sweep::{self, Bounds, Known, ROWS_MAX};
use crate::lifecycle::{OutboxFacts, Retention};
use crate::runtime::js::sql::params;
use crate::runtime::{archive, config};
use serde::{Deserialize, Serialize};
use worker::Result;

/// Pages of the bucket's listing that are looked at in one call. A queue parks after 20 dead letters in a row, so nobody
/// should have ten thousand.
const PAGES_PER_CALL: usize = 10;

/// What an outbox is asked to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct TendOutbox {
    /// Now, unix milliseconds.
    pub now_millis: u64,
    /// How long what is kept.
    pub retention: Retention,
    /// Where its dead letters lie.
    pub prefix: String,
}

#[derive(Deserialize)]
struct KeyRow {
    key: String,
    at: u64,
}

impl Outbox {
    pub(super) async fn tend(&self, tend: &TendOutbox) -> Result<OutboxFacts> {
        self.expire_dead_letters(&tend.retention, tend.now_millis)
            .await?;
        #[derive(Deserialize)]
        struct Rows {
            expired_letters: u64,
            expired_records: u64,
            oldest_archived_at: Option<u64>,
        }
        let rows: Option<Rows> = self.sql()?.first(
            "SELECT expired_letters, expired_records,
                (SELECT min(received_at) FROM entries WHERE object IS NOT NULL AND kind = 'archive') AS oldest_archived_at
                FROM health",
            params![],
        )?;
        let mut facts = OutboxFacts::default();
        if let Some(rows) = rows {
            facts.expired_letters = rows.expired_letters;
            facts.expired_records = rows.expired_records;
            facts.oldest_archived_at = rows.oldest_archived_at;
        }
        self.sweep_dead_letters(tend, &mut facts).await?;
        Ok(facts)
    }

    /// Which of these objects an entry or a dead letter refers to.
    pub(super) fn refers(&self, keys: &[String]) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Row {
            object: String,
        }
        let rows: Vec<Row> = self.sql()?.rows(
            "SELECT object FROM entries WHERE object IN (SELECT value FROM json_each(?1))
                UNION SELECT object FROM dead WHERE object IN (SELECT value FROM json_each(?1))",
            params![&serde_json::to_string(keys)?],
        )?;
        Ok(rows.into_iter().map(|row| row.object).collect())
    }

    /// Dead letters that nobody has wanted for so long are discarded, and counted twice: among what was discarded, so that
    /// the sum holds, and as expired.
    async fn expire_dead_letters(&self, retention: &Retention, now_millis: u64) -> Result<()> {
        let before = retention.dead_letters_gone_before(now_millis);
        let which = format!("WHERE died_at < {before}");
        let sql = self.sql()?;
        let objects = sql.atomically(|| {
            self.count_out("discarded", "dead", &which)?;
            sql.run(
                &format!(
                    "UPDATE health SET expired_letters = expired_letters + (SELECT count(*) FROM dead {which}),
                        expired_records = expired_records + (SELECT coalesce(sum(records), 0) FROM dead {which})"
                ),
                params![],
            )?;
            let objects = self.dead_objects(&which)?;
            sql.run(&format!("DELETE FROM dead {which}"), params![])?;
            Ok(objects)
        })?;
        // The bucket's rule has deleted them, if there is one.
        self.delete_unreferenced(objects).await
    }

    async fn sweep_dead_letters(&self, tend: &TendOutbox, facts: &mut OutboxFacts) -> Result<()> {
        let bucket = self.env.bucket(config::ARCHIVE)?;
        let bounds = Bounds {
            orphans_before: tend.now_millis.saturating_sub(ORPHAN_MILLIS),
            missing_since: tend.retention.dead_letters_there_since(tend.now_millis),
        };
        let mut after = String::new();
        for _ in 0..PAGES_PER_CALL {
            // Before the listing: the object of a dead letter is written before its row. What is sent again has an entry
            // instead, and the push finds out by itself when its object is not there.
            let rows: Vec<KeyRow> = self.sql()?.rows(
                "SELECT key, max(at) AS at FROM (SELECT object AS key, died_at AS at FROM dead WHERE object IS NOT NULL
                    UNION ALL SELECT object, 0 FROM entries WHERE object > ?2 AND object < ?2 || '~')
                    WHERE key > ?1 GROUP BY key ORDER BY key LIMIT ?3",
                params![&after, &tend.prefix, ROWS_MAX],
            )?;
            let known = |row: KeyRow| Known {
                key: row.key,
                at: row.at,
            };
            let rows: Vec<Known> = rows.into_iter().map(known).collect();
            let page = archive::list(&bucket, &tend.prefix, &after, None)
                .await
                .map_err(worker::Error::RustError)?;
            let end = sweep::end_of(&page.objects, page.is_last, &rows).map(str::to_owned);
            let (orphans, missing) = (&mut facts.orphans, &mut facts.missing);
            let counted = sweep::compare(
                &page.objects,
                &rows,
                end.as_deref(),
                bounds,
                orphans,
                missing,
            );
            facts.objects += counted.0;
            facts.bytes += counted.1;
            match end {
                Some(end) => after = end,
                None => return Ok(()),
            }
        }
        facts.is_partial = true;
        Ok(())
    }
}
