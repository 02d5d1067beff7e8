//! Cutting the oldest entry, because its destination wants less at once.

use super::super::registry::JobRow;
use super::Outbox;
use super::work::{HeadRow, assembly_of};
use crate::destination::network;
use crate::outbox::{EntrySource, PushLimits, cut};
use crate::runtime::js::sql::params;
use crate::runtime::push::{self, Part};
use crate::runtime::{config, owed};
use wasm_bindgen::JsValue;
use worker::Result;

impl Outbox {
    /// Cuts the oldest entry into parts, or an archived object into copies. Where its records can not be told apart,
    /// that is written down, and it is pushed whole.
    pub(super) async fn cut_head(&self, row: &JobRow, limits: &PushLimits) -> Result<()> {
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
            records: head.records,
            bytes: head.bytes,
        };
        let bucket = self.env.bucket(config::ARCHIVE)?;
        let bytes = match push::bytes_of(&bucket, &part, |seq| self.payload(seq)).await {
            Ok(bytes) => bytes,
            Err(e) => return self.bury_or_fail(&row.job, e),
        };
        let assembly = assembly_of(head.assembly.as_deref())?;
        let limits = limits.beside(assembly.as_ref());
        let copy = bytes.to_vec();
        let starts = cut::record_starts(&copy, head.records, assembly.as_ref());
        let parts = starts.map(|starts| {
            let parts = cut::parts(&starts, copy.len(), &limits);
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
                        assembly, first_event, last_event) SELECT seq - ?, batch, minute, received_at, ?, ?, kind, object, ?, ?,
                        assembly, first_event, last_event FROM entries WHERE seq = ?",
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
    pub(super) async fn copy_head(&self, row: &JobRow, head: &HeadRow) -> Result<()> {
        let object = head.object.as_deref().unwrap_or_default();
        let sql = self.sql()?;
        let copied = match owed::copy_all(&self.env, &row.job, object).await {
            Ok(copied) if copied.records == head.records => copied,
            Ok(copied) => {
                let reason = format!(
                    "error {}: error pushing: {object} was to be cut, but it has {} records and not {}: it is in the archive",
                    network::INTERNAL,
                    copied.records,
                    head.records
                );
                copied.clean_up(&self.env).await?;
                return self.bury_gone(&row.job, object, &reason);
            }
            Err(e) => return self.bury_or_fail(&row.job, e),
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
                        first_event, last_event) SELECT seq - ?, batch, minute, received_at, ?, ?, ?, ?, ?, ?,
                        first_event, last_event
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
}
