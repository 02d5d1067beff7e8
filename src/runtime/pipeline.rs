//! A stream of bytes through the reader and the router, with what does not fit in memory spilled to R2. The one way to
//! route a batch, whether it comes from a request or from the archive.

use super::archive;
use super::js;
use super::slots::{Most, Slot, Slots};
use crate::batch::incoming::Incoming;
use crate::batch::reader::{Encoding, Meter, Reader, StreamFault};
use crate::limits::{
    INLINE_MAX_BYTES, PAYLOAD_BUDGET_BYTES, PAYLOAD_MAX_BYTES, READ_BYTES, TAIL_BATCH_MAX_BYTES,
    TAIL_BUDGET_BYTES, WINDOW_BYTES,
};
use crate::outbox::EntrySource;
use crate::route::{Assembly, Payload, Router, Routes, Segment};
use js_sys::Uint8Array;
use std::cell::RefCell;
use worker::Bucket;

thread_local! {
    /// Input block and inflate window: used without a break between taking and giving back, so all batches share them.
    static SCRATCH: RefCell<(Vec<u8>, Vec<u8>)> = const { RefCell::new((Vec::new(), Vec::new())) };
    static IN_FLIGHT: Slots = const { Slots::new() };
}

/// Copies `piece`, at most [`READ_BYTES`], into wasm memory and has `work` take it, with the window to inflate into; both are
/// shared by all who read batches. Returns how many bytes were taken.
pub fn scratch(piece: &Uint8Array, work: impl FnOnce(&mut [u8], &mut Vec<u8>) -> usize) -> usize {
    SCRATCH.with_borrow_mut(|(input, window)| {
        input.resize(READ_BYTES, 0);
        let Some(input) = input.get_mut(..piece.length() as usize) else {
            return 0;
        };
        piece.copy_to(input);
        work(input, window)
    })
}

/// Batches that this isolate is working on.
pub fn in_flight() -> usize {
    IN_FLIGHT.with(Slots::taken)
}

/// Bytes as received that this isolate is working on: what was announced, or what came if that is more.
pub fn bytes_in_flight() -> u64 {
    IN_FLIGHT.with(Slots::bytes)
}

/// A place for one more batch of `bytes`, unless that would be more than `most`.
pub fn place(bytes: u64, most: Most) -> Option<Slot> {
    Slot::take(&IN_FLIGHT, bytes, most)
}

/// Where a job's selection lies, segment by segment.
#[derive(Default)]
struct Placed {
    segments: Vec<(Segment, EntrySource)>,
    spooled: Vec<String>,
}

/// What is ready to be appended to one outbox.
pub struct Ready {
    /// Each segment and its place.
    pub segments: Vec<(Segment, EntrySource)>,
    /// The bytes of the inline segments.
    pub inline: Uint8Array,
    /// R2 objects that belong to this attempt alone.
    pub spooled: Vec<String>,
    /// What a push has around and between these records.
    pub assembly: Option<Assembly>,
}

/// One batch on its way.
pub struct Pipeline<'r> {
    slot: Option<Slot>,
    reader: Reader,
    routes: &'r Routes,
    /// What the router found.
    pub router: Router<'r>,
    bucket: Bucket,
    spool_prefix: String,
    placed: Vec<Placed>,
}

impl<'r> Pipeline<'r> {
    /// A pipeline at the start of a batch. Without a slot it does not count as in flight.
    pub fn new(slot: Option<Slot>, routes: &'r Routes, bucket: Bucket) -> Self {
        Self {
            slot,
            reader: Reader::new(),
            routes,
            router: Router::new(routes, 0),
            bucket,
            // Unique per attempt: two attempts may cut the same selection differently.
            spool_prefix: format!("spool/{}", js::unique_name()),
            placed: routes.jobs.iter().map(|_| Placed::default()).collect(),
        }
    }

    /// Says what is known of the batch, before its first byte.
    pub fn expecting(mut self, incoming: Incoming) -> Self {
        self.reader = Reader::expecting(incoming);
        self
    }

    /// What was read so far.
    pub fn meter(&self) -> &Meter {
        self.reader.meter()
    }

    /// What is wrong with the stream.
    pub fn fault(&self) -> Option<StreamFault> {
        self.reader.fault()
    }

    /// How the body came.
    pub fn encoding(&self) -> Option<Encoding> {
        self.reader.encoding()
    }

    /// Earliest event time so far, unix milliseconds.
    pub fn first_event_millis(&self) -> Option<u64> {
        let earliest = self.router.times().earliest?;
        u64::try_from(earliest / 1_000_000).ok()
    }

    /// Latest event time so far, unix milliseconds.
    pub fn last_event_millis(&self) -> Option<u64> {
        let latest = self.router.times().latest?;
        u64::try_from(latest / 1_000_000).ok()
    }

    /// Takes the next block.
    pub async fn feed(&mut self, block: &Uint8Array) -> Result<(), String> {
        if let Some(slot) = &self.slot {
            slot.touch(self.reader.meter().bytes_compressed);
        }
        let (mut at, end) = (0, block.length());
        while at < end {
            // Shared among all batches in flight, but never less than a window.
            self.router.budget =
                (PAYLOAD_BUDGET_BYTES / in_flight().max(1)).clamp(WINDOW_BYTES, PAYLOAD_MAX_BYTES);
            let sessions = in_flight().max(1) * self.routes.tails.len().max(1);
            self.router.tail_budget = (TAIL_BUDGET_BYTES / sessions).min(TAIL_BATCH_MAX_BYTES);
            let piece = block.subarray(at, end.min(at + READ_BYTES as u32));
            let used = scratch(&piece, |input, window| {
                let projection = &self.routes.projection;
                self.reader
                    .feed(input, window, projection, &mut self.router)
            });
            at += used as u32;
            self.spill_while_full().await?;
        }
        Ok(())
    }

    /// Ends the batch.
    pub async fn finish(&mut self) -> Result<(), String> {
        while self.reader.drain(&self.routes.projection, &mut self.router) {
            self.spill_while_full().await?;
        }
        SCRATCH.with_borrow_mut(|(_, window)| {
            let projection = &self.routes.projection;
            self.reader.finish(window, projection, &mut self.router);
        });
        self.spill_while_full().await
    }

    async fn spill_while_full(&mut self) -> Result<(), String> {
        use crate::batch::reader::Sink;
        while self.router.is_full() {
            let Some((index, payload)) = self.router.take_largest() else {
                return Ok(());
            };
            self.spool(index, payload).await?;
        }
        Ok(())
    }

    async fn spool(&mut self, index: usize, payload: Payload) -> Result<(), String> {
        let body = js::concatenated(payload.blocks(), payload.len());
        let segments = payload.segments().to_vec();
        // Frees the wasm memory before the put is awaited.
        drop(payload);
        let (Some(job), Some(placed)) = (self.routes.jobs.get(index), self.placed.get_mut(index))
        else {
            return Ok(());
        };
        let key = format!(
            "{}/{}/{}",
            self.spool_prefix,
            job.job_id,
            placed.spooled.len()
        );
        let mut start = 0;
        for segment in segments {
            let source = EntrySource::Spool {
                key: key.clone(),
                start,
            };
            start += segment.bytes;
            placed.segments.push((segment, source));
        }
        placed.spooled.push(key.clone());
        archive::put_bytes(&self.bucket, &key, &body).await
    }

    /// What the job at `index` selected, placed: the last bytes inline when they are few.
    pub async fn ready(&mut self, index: usize) -> Result<Ready, String> {
        let payload = self.router.take(index);
        let mut inline = Uint8Array::new_with_length(0);
        if payload.len() > INLINE_MAX_BYTES {
            self.spool(index, payload).await?;
        } else if let Some(placed) = self.placed.get_mut(index) {
            inline = js::concatenated(payload.blocks(), payload.len());
            let segments = payload.segments().iter();
            placed
                .segments
                .extend(segments.map(|segment| (*segment, EntrySource::Inline)));
        }
        let placed = self
            .placed
            .get_mut(index)
            .map(std::mem::take)
            .unwrap_or_default();
        Ok(Ready {
            segments: placed.segments,
            inline,
            spooled: placed.spooled,
            assembly: self
                .routes
                .jobs
                .get(index)
                .and_then(|job| job.assembly.clone()),
        })
    }

    /// Deletes what this attempt spilled, because the attempt failed.
    pub async fn clean_up(&mut self) {
        for placed in &mut self.placed {
            archive::delete_all(&self.bucket, &std::mem::take(&mut placed.spooled)).await;
        }
    }
}
