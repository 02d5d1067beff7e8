//! What a destination refused for good, what is sent again, and what leaves for other reasons than delivery.

use super::super::now_millis;
use super::super::registry::JobRow;
use super::Outbox;
use super::work::label;
use crate::destination::{Failure, network};
use crate::health::log::Attempt;
use crate::logpush::job::Job;
use crate::outbox::{DeadLetter, Selected, Selection, Trouble};
use crate::route::NDJSON;
use crate::runtime::js::sql::params;
use crate::runtime::push::{self, Part, SourceError};
use crate::runtime::{archive, config, owed};
use crate::time::rfc3339_millis;
use js_sys::Uint8Array;
use serde::Deserialize;
use worker::Result;

/// Which dead letters an [`outbox::Selection`](Selection) means.
const CHOSEN: &str = "(?1 = '[]' OR id IN (SELECT value FROM json_each(?1))) AND id > ?2
    AND (?3 IS NULL OR died_at >= ?3) AND (?4 IS NULL OR died_at <= ?4)";

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

impl Outbox {
    /// Makes a dead letter of the current push: first the object, then the row. An object without a row is written again.
    pub(super) async fn bury(
        &self,
        row: &JobRow,
        trouble: &Trouble,
        failure: &Failure,
        attempt: &Attempt<'_>,
    ) -> Result<()> {
        let Some(current) = self.current_push()? else {
            return Ok(());
        };
        let bucket = self.env.bucket(config::ARCHIVE)?;
        let assembly = self.push_assembly(&current)?;
        let bytes = match self.bytes_of(&row.job, &self.parts(&current)?).await {
            Ok(bytes) => bytes,
            Err(e) => {
                // The refusal decided nothing: these records are lost for another reason, or will be pushed again.
                let attempt = Attempt {
                    is_final: false,
                    ..*attempt
                };
                let sql = self.sql()?;
                sql.atomically(|| {
                    let totals = self.log(&attempt)?;
                    sql.run("UPDATE health SET totals = ?", params![&totals])
                })?;
                return self.bury_or_fail(&row.job, e);
            }
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
            self.remember_failure(trouble, &failure.reason, attempt)?;
            sql.run(
                "INSERT INTO dead (push, batch, minute, records, bytes, status, reason, received_at, died_at, object,
                    assembly, first_event, last_event) SELECT ?, min(batch), min(minute), sum(records), sum(bytes), ?, ?,
                    min(received_at), ?, ?, min(assembly), min(first_event),
                    max(last_event) FROM entries WHERE seq <= ?",
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

    /// The raw bytes of a push that is small enough to be dead: one record, or one segment that can not be cut.
    pub(super) async fn bytes_of(
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
    pub(super) fn bury_or_fail(&self, job: &Job, error: SourceError) -> Result<()> {
        match error {
            SourceError::Gone { object, reason } => self.bury_gone(job, &object, &reason),
            other => Err(worker::Error::RustError(other.into_reason())),
        }
    }

    /// What an entry refers to is not in R2 any more: its records are in no queue, and nobody can wait for them.
    pub(super) fn bury_gone(&self, job: &Job, object: &str, reason: &str) -> Result<()> {
        #[derive(Deserialize)]
        struct Lost {
            records: u64,
            bytes: u64,
        }
        let sql = self.sql()?;
        let lost: Option<Lost> = sql.first(
            "SELECT coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes FROM entries WHERE object = ?",
            params![object],
        )?;
        // Nothing was sent, but it is decided, and whoever looks for what was dropped has to find it.
        let attempt = Attempt {
            at_millis: now_millis(),
            destination: label(job),
            status: network::INTERNAL,
            is_final: true,
            records: lost.as_ref().map_or(0, |lost| lost.records),
            bytes: lost.map_or(0, |lost| lost.bytes),
            bytes_compressed: 0,
            duration_millis: 0,
        };
        sql.atomically(|| {
            let totals = self.log(&attempt)?;
            sql.run(
                "INSERT INTO dead (push, batch, minute, records, bytes, status, reason, received_at, died_at)
                    SELECT coalesce((SELECT id FROM pushes WHERE last_seq >= entries.seq), ''), batch, minute, records,
                    bytes, ?, ?, received_at, ? FROM entries WHERE object = ?",
                params![u64::from(network::INTERNAL), reason, now_millis(), object],
            )?;
            sql.run(
                "UPDATE health SET last_error = ?, error_message = ?, totals = ?",
                params![attempt.at_millis, reason, &totals],
            )?;
            sql.run("DELETE FROM entries WHERE object = ?", params![object])?;
            sql.run("DELETE FROM pushes", params![])
        })
    }

    pub(super) fn dead_letters(&self, selection: &Selection) -> Result<Vec<DeadLetter>> {
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
    pub(super) fn count_chosen(&self, selection: &Selection) -> Result<u64> {
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
    pub(super) async fn redrive(&self, selection: &Selection) -> Result<Selected> {
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
                            first_event, last_event) SELECT batch, minute, received_at, records, bytes, 'spool', object, 0,
                            assembly, first_event, last_event FROM dead WHERE id = ?",
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

    pub(super) async fn discard_dead_letters(&self, selection: &Selection) -> Result<Selected> {
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

    pub(super) fn dead_objects(&self, which: &str) -> Result<Vec<String>> {
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

    pub(super) async fn discard(&self) -> Result<()> {
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
    pub(super) fn count_out(&self, how: &str, table: &str, which: &str) -> Result<()> {
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
            // The minute itself, or the hour or day that it has become a part of.
            sql.run(
                &format!(
                    "UPDATE minutes SET {how}_records = {how}_records + ?, {how}_bytes = {how}_bytes + ?
                        WHERE minute = (SELECT max(minute) FROM minutes WHERE minute <= ?)"
                ),
                params![records, bytes, minute],
            )?;
        }
        Ok(())
    }

    pub(super) fn spool_objects(&self, which: &str) -> Result<Vec<String>> {
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

    pub(super) async fn delete_unreferenced(&self, objects: Vec<String>) -> Result<()> {
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
}
