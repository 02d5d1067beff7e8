//! Reading objects, and handing on what is wanted of them.

use super::Batches;
use super::out::Out;
use crate::api::Cursor;
use crate::batch::projection::Projection;
use crate::batch::reader::{Meter, Reader, Sink};
use crate::batch::scan::InvalidLine;
use crate::ledger::BatchRow;
use crate::limits::READ_BYTES;
use crate::logpush::catalogue::Dataset;
use crate::logpush::scope::Scope;
use crate::route::{RayBounds, Rays, Retrieval, Retriever, ray_field};
use crate::runtime::js::{self, BlockReader};
use crate::runtime::pipeline;
use crate::runtime::slots::Slot;
use crate::runtime::stored::{self, Stored};
use futures_util::stream::{self, StreamExt};
use serde_json::json;
use std::collections::BTreeSet;
use worker::Bucket;

/// Objects that are opened while another one is read: a get takes longer than reading a small object. With the one that
/// is read that stays below the six connections that a request may have at once (Workers limits page).
const OPEN_AHEAD: usize = 4;

/// Why a retrieval ended early.
pub enum Stop {
    /// Nobody takes what is written.
    Client,
    /// Something failed.
    Failed(String),
}

/// What is read, and what of it is wanted.
pub struct Pump {
    pub bucket: Bucket,
    pub scope: Scope,
    pub dataset: String,
    pub retrieval: Retrieval,
    pub batches: Batches,
    /// Names of objects that are not there.
    pub missing: BTreeSet<String>,
    /// Records at most.
    pub count: u64,
    /// See [`crate::api::Retrieve`].
    pub has_marks: bool,
    /// Where the next request goes on.
    pub next: Option<Cursor>,
    pub slot: Slot,
}

impl Pump {
    /// Writes everything that is wanted. After a failure the stream is broken off, so that the client sees that it has not
    /// got everything.
    pub async fn run(self, mut out: Out) -> Result<(), Stop> {
        match self.pump(&mut out).await {
            Ok(_) => out.finish().await.map_err(|_| Stop::Client),
            Err(stop) => {
                out.break_off().await;
                Err(stop)
            }
        }
    }

    /// Everything that is wanted, for what is small; and whether there may be more than the records that were asked for.
    pub async fn collect(self) -> Result<(Vec<u8>, bool), Stop> {
        let mut out = Out::Memory(Vec::new());
        let may_have_more = self.pump(&mut out).await?;
        Ok((out.into_bytes(), may_have_more))
    }

    /// Whether it ended because as many records came as were asked for.
    async fn pump(&self, out: &mut Out) -> Result<bool, Stop> {
        let mut retriever = Retriever::new(&self.retrieval, self.count);
        let present = self.batches.iter();
        let present = present.filter(|(_, row)| !self.missing.contains(&row.object));
        let mut opened = stream::iter(present)
            .map(|(_, row)| stored::open(&self.bucket, &self.scope, &self.dataset, &row.object))
            .buffered(OPEN_AHEAD);
        for (day, row) in self.batches.iter() {
            if self.missing.contains(&row.object) {
                self.mark(out, || json!({"missing": row.object})).await?;
                continue;
            }
            let stored = match opened.next().await {
                Some(Ok(stored)) => stored,
                Some(Err(e)) => return Err(Stop::Failed(e.into_reason())),
                None => return Err(Stop::Failed("an object was not opened".to_owned())),
            };
            let earliest = row.event_millis.map_or(0, |(first, _)| first);
            retriever.begin(i128::from(earliest) * 1_000_000);
            let before = retriever.records();
            let projection = self.retrieval.projection();
            let meter = read(stored, projection, &mut retriever, async |retriever| {
                self.slot.touch(0);
                let piece = retriever.take();
                if !piece.is_empty() {
                    out.write(&piece).await.map_err(|_| Stop::Client)?;
                }
                retriever.give_back(piece);
                Ok(!retriever.is_done())
            })
            .await?;
            let Some(meter) = meter else {
                // As many records as were asked for.
                break;
            };
            if meter.records != row.records {
                return Err(Stop::Failed(format!(
                    "{} holds {} records, and {} were received",
                    row.object, meter.records, row.records
                )));
            }
            self.mark(out, || {
                json!({
                    "cursor": Cursor::of(day, row.cursor()).to_text(),
                    "records": retriever.records() - before,
                    "bytes": row.bytes_raw,
                })
            })
            .await?;
        }
        let next = self.next.as_ref().filter(|_| !retriever.is_done());
        self.mark(out, || {
            json!({
                "end": true,
                "records": retriever.records(),
                "next": next.map(Cursor::to_text),
            })
        })
        .await?;
        Ok(retriever.is_done())
    }

    async fn mark(
        &self,
        out: &mut Out,
        mark: impl FnOnce() -> serde_json::Value,
    ) -> Result<(), Stop> {
        if !self.has_marks {
            return Ok(());
        }
        let line = format!("#{}\n", mark());
        out.write(line.as_bytes()).await.map_err(|_| Stop::Client)
    }
}

/// Reads an object into a sink. `flush` empties the sink and says whether to go on; the answer is `None` when not.
async fn read<S: Sink>(
    stored: Stored,
    projection: &Projection,
    sink: &mut S,
    mut flush: impl AsyncFnMut(&mut S) -> Result<bool, Stop>,
) -> Result<Option<Meter>, Stop> {
    let failed = |e| Stop::Failed(js::describe(&e));
    let mut blocks = BlockReader::new(&stored.stream).map_err(failed)?;
    let mut reader = Reader::expecting(stored.incoming);
    while let Some(block) = blocks.next().await.map_err(failed)? {
        let (mut at, end) = (0, block.length());
        while at < end {
            let piece = block.subarray(at, end.min(at + READ_BYTES as u32));
            let used = pipeline::scratch(&piece, |input, window| {
                reader.feed(input, window, projection, sink)
            });
            at += used as u32;
            if sink.is_full() && !flush(sink).await? {
                blocks.cancel().await;
                return Ok(None);
            }
        }
        // What was found goes on before the next block is waited for.
        if !flush(sink).await? {
            blocks.cancel().await;
            return Ok(None);
        }
    }
    while reader.drain(projection, sink) {
        if !flush(sink).await? {
            return Ok(None);
        }
    }
    pipeline::scratch(&js_sys::Uint8Array::new_with_length(0), |_, window| {
        reader.finish(window, projection, sink);
        0
    });
    let goes_on = flush(sink).await?;
    Ok(goes_on.then(|| reader.meter().clone()))
}

/// Between which RayIDs those of a batch lie; `None` where nobody can say.
///
/// # Errors
/// When the object can not be read.
pub async fn ray_bounds(
    bucket: &Bucket,
    scope: &Scope,
    dataset: &str,
    row: &BatchRow,
) -> Result<Option<RayBounds>, String> {
    struct Noting(Rays, usize);
    impl Sink for Noting {
        fn record(&mut self, _line: &[u8], fields: &[Option<&[u8]>]) {
            if let Some(raw) = fields.get(self.1).copied().flatten() {
                self.0.take(raw);
            }
        }
        fn invalid(&mut self, _number: u64, _line: &[u8], _reason: InvalidLine) {}
        fn is_full(&self) -> bool {
            false
        }
    }
    let schema = Dataset::find(scope.kind(), dataset);
    let Some((field, false)) = ray_field(schema.as_ref()) else {
        return Ok(None);
    };
    let mut projection = Projection::new();
    let mut noting = Noting(Rays::default(), projection.slot(field));
    let stored = stored::open(bucket, scope, dataset, &row.object).await;
    let stored = stored.map_err(crate::runtime::push::SourceError::into_reason)?;
    match read(stored, &projection, &mut noting, async |_| Ok(true)).await {
        Ok(Some(meter)) if meter.records == row.records => Ok(noting.0.bounds()),
        Ok(_) => Err(format!("{} does not hold what was received", row.object)),
        Err(Stop::Failed(text)) => Err(text),
        Err(Stop::Client) => Ok(None),
    }
}
