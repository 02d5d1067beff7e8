//! From a record to what each job gets.

mod assembly;
mod event;
pub mod filter;
mod payload;
mod plan;
mod preview;
mod rays;
mod retrieval;
mod sample;
pub mod shape;
mod tail;

pub use assembly::{Assembly, NDJSON};
pub use event::Event;
pub use payload::{Payload, Segment};
pub use preview::{
    BATCH_MAX_RAW_BYTES, BATCH_MAX_RECORDS, BatchPreview, Preview, Refused, Stop,
    VALUES_MAX_FIELDS, Value as PreviewValue,
};
pub use rays::{RAY_FIELD, Ray, RayBounds, Rays};
pub use retrieval::{Retrieval, Retriever, Wish, ray_field};
pub use sample::Sample;
pub use shape::Shape;
pub use tail::{TailRoute, Tailed};

use crate::batch::projection::Projection;
use crate::batch::reader::Sink;
use crate::batch::scan::InvalidLine;
use crate::ecs::{Scratch, Surprises};
use crate::limits::{QUARANTINE_MAX_BYTES, SEGMENT_MAX_BYTES};
use crate::logpush::catalogue::Dataset;
use crate::logpush::output_options::{OutputOptions, Schema};
use crate::time::{self, UnixNanos};
use filter::CompiledFilter;
use plan::{Decisions, Plan};
use std::collections::BTreeMap;

/// How a job's selection is kept until it is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The records are copied, written out as the job wants them.
    Copy,
    /// The job takes every record as it is, in the batches that came: the archived object is the selection.
    Reference,
}

/// How a job's records are written out.
#[derive(Debug)]
pub enum Written {
    /// The line and a newline.
    AsItCame,
    /// With Logpush's own fields, in another form.
    Shaped(Shape),
    /// As a normalised event.
    Event(Box<Event>),
}

impl Written {
    /// Compiles options; fields that they need are added to the projection.
    #[must_use]
    pub fn compile(
        options: &OutputOptions,
        dataset: &str,
        schema: Option<&Dataset>,
        projection: &mut Projection,
    ) -> Self {
        match options.schema {
            Schema::Ecs => Self::Event(Box::new(Event::compile(options, dataset, schema))),
            Schema::Logpush => {
                Shape::compile(options, schema, projection).map_or(Self::AsItCame, Self::Shaped)
            }
        }
    }

    /// Whether a record is its line and a newline.
    #[must_use]
    pub fn is_as_it_came(&self) -> bool {
        matches!(self, Self::AsItCame)
    }
}

/// One job, compiled for one dataset.
#[derive(Debug)]
pub struct JobRoute {
    /// The job's id.
    pub job_id: u64,
    /// `None` selects every record.
    pub filter: Option<CompiledFilter>,
    /// `None` keeps every record that the filter selects.
    pub sample: Option<Sample>,
    /// How a record is written out.
    pub written: Written,
    /// What a push of it has around and between the records.
    pub assembly: Option<Assembly>,
    /// How its selection is kept.
    pub keep: Keep,
    /// Records of one segment at most: a push may not hold more, and a segment is never cut again.
    pub segment_max_records: u64,
}

/// All jobs of one dataset, and the fields that they need.
#[derive(Debug, Default)]
pub struct Routes {
    /// The fields to project.
    pub projection: Projection,
    /// Slots of the fields that may hold the record's time; the first one that does decides.
    pub time_slots: Vec<usize>,
    /// Slot of the RayID, whose bounds are noted for look-ups; `None` for a dataset without.
    pub ray_slot: Option<usize>,
    /// The jobs.
    pub jobs: Vec<JobRoute>,
    /// Jobs whose stored filter or output options can not be read; nobody knows what they select.
    pub unreadable: Vec<u64>,
    /// Sessions in which somebody watches.
    pub tails: Vec<TailRoute>,
    /// Only records of this time are routed; `None` for all.
    window: Option<Window>,
    plan: Plan,
}

impl Routes {
    /// Makes ready to route; the jobs' filters and shapes are compiled for this projection.
    #[must_use]
    pub fn new(
        projection: Projection,
        time_slots: Vec<usize>,
        jobs: Vec<JobRoute>,
        unreadable: Vec<u64>,
    ) -> Self {
        Self {
            plan: Plan::new(jobs.iter().map(|job| job.filter.as_ref())),
            projection,
            time_slots,
            ray_slot: None,
            jobs,
            unreadable,
            tails: Vec::new(),
            window: None,
        }
    }

    /// The same with sessions, which are compiled for the same projection. Their filters are decided together with those of
    /// jobs; nothing else of the jobs changes.
    #[must_use]
    pub fn with_tails(mut self, tails: Vec<TailRoute>) -> Self {
        let of_jobs = self.jobs.iter().map(|job| job.filter.as_ref());
        let of_tails = tails.iter().map(|tail| tail.filter.as_ref());
        self.plan = Plan::new(of_jobs.chain(of_tails));
        self.tails = tails;
        self
    }

    /// Notes the bounds of the RayIDs, which stand in the field of this slot.
    #[must_use]
    pub fn with_rays(mut self, slot: usize) -> Self {
        self.ray_slot = Some(slot);
        self
    }

    /// The same, for records of this time alone.
    #[must_use]
    pub fn within(self, window: Option<Window>) -> Self {
        Self { window, ..self }
    }
}

/// A range of event time, exact to the nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first instant.
    pub from: UnixNanos,
    /// The first one after it.
    pub until: UnixNanos,
}

impl Window {
    /// Whether a record of this time is in it. One without a readable time counts as at 0, as its batch does in the ledger.
    #[must_use]
    pub fn holds(&self, at: Option<UnixNanos>) -> bool {
        let at = at.unwrap_or(0);
        self.from <= at && at < self.until
    }
}

/// The event times of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// Time of the first record that has one.
    pub first: Option<UnixNanos>,
    /// The earliest time.
    pub earliest: Option<UnixNanos>,
    /// The latest time.
    pub latest: Option<UnixNanos>,
}

impl TimeRange {
    fn take(&mut self, at: UnixNanos) {
        self.first.get_or_insert(at);
        self.earliest = Some(self.earliest.map_or(at, |known| known.min(at)));
        self.latest = Some(self.latest.map_or(at, |known| known.max(at)));
    }
}

/// What one job selected of one batch.
#[derive(Debug, Default)]
pub struct Selection {
    /// Records selected.
    pub records: u64,
    /// Their bytes as written out, see [`Segment::bytes`].
    pub bytes: u64,
    /// The records that are still in memory; empty for [`Keep::Reference`].
    pub payload: Payload,
    /// What was odd in the records that were written out as events.
    pub surprises: Surprises,
}

/// Routes the records of one batch.
#[derive(Debug)]
pub struct Router<'r> {
    routes: &'r Routes,
    decisions: Decisions<'r>,
    selections: Vec<Selection>,
    times: TimeRange,
    rays: Rays,
    undated: u64,
    invalid: BTreeMap<&'static str, u64>,
    quarantine: Vec<u8>,
    held: usize,
    /// The record that is being written out.
    shaped: Vec<u8>,
    scratch: Scratch,
    tailed: Vec<Tailed>,
    /// Payload bytes that may be held before the router says that it is full.
    pub budget: usize,
    /// Bytes that may be held for one session; what is above is counted.
    pub tail_budget: usize,
}

impl<'r> Router<'r> {
    /// A router at the start of a batch.
    #[must_use]
    pub fn new(routes: &'r Routes, budget: usize) -> Self {
        Self {
            routes,
            decisions: Decisions::new(&routes.plan),
            selections: routes.jobs.iter().map(|_| Selection::default()).collect(),
            times: TimeRange::default(),
            rays: Rays::default(),
            undated: 0,
            invalid: BTreeMap::new(),
            quarantine: Vec::new(),
            held: 0,
            shaped: Vec::new(),
            scratch: Scratch::default(),
            tailed: routes.tails.iter().map(|_| Tailed::default()).collect(),
            budget,
            tail_budget: 0,
        }
    }

    /// What each job selected so far, in the order of [`Routes::jobs`].
    #[must_use]
    pub fn selections(&self) -> &[Selection] {
        &self.selections
    }

    /// The event times so far, of the records that are routed.
    #[must_use]
    pub fn times(&self) -> TimeRange {
        self.times
    }

    /// Between which RayIDs those of the records so far lie; `None` where nobody knows.
    #[must_use]
    pub fn ray_bounds(&self) -> Option<RayBounds> {
        self.routes.ray_slot.and_then(|_| self.rays.bounds())
    }

    /// Records that are not routed because they have no readable time and the [`Window`] does not begin at 0.
    #[must_use]
    pub fn undated(&self) -> u64 {
        self.undated
    }

    /// Bad lines so far, by reason.
    #[must_use]
    pub fn invalid(&self) -> &BTreeMap<&'static str, u64> {
        &self.invalid
    }

    /// The quarantine object: one JSON object a line, `line` (number), `reason`, `text` (may be cut).
    #[must_use]
    pub fn quarantine(&self) -> &[u8] {
        &self.quarantine
    }

    /// Takes the payload of the job that holds most, so that it can be written elsewhere: the job's index and the payload.
    pub fn take_largest(&mut self) -> Option<(usize, Payload)> {
        let (index, selection) = self
            .selections
            .iter_mut()
            .enumerate()
            .max_by_key(|(_, selection)| selection.payload.len())?;
        if selection.payload.is_empty() {
            return None;
        }
        let payload = std::mem::take(&mut selection.payload);
        self.held = self.held.saturating_sub(payload.len());
        Some((index, payload))
    }

    /// Takes what is left of the payload of the job at `index`.
    pub fn take(&mut self, index: usize) -> Payload {
        let payload = self
            .selections
            .get_mut(index)
            .map(|selection| std::mem::take(&mut selection.payload))
            .unwrap_or_default();
        self.held = self.held.saturating_sub(payload.len());
        payload
    }

    /// What each session is shown, in the order of [`Routes::tails`]. The router begins anew with them.
    pub fn take_tailed(&mut self) -> Vec<Tailed> {
        let none = self.routes.tails.iter().map(|_| Tailed::default());
        std::mem::replace(&mut self.tailed, none.collect())
    }

    fn show(&mut self, index: usize, line: &[u8], fields: &[Option<&[u8]>]) {
        if let (Some(tail), Some(tailed)) =
            (self.routes.tails.get(index), self.tailed.get_mut(index))
            && tail.sample.is_none_or(|sample| sample.keeps(line))
        {
            tailed.take(tail, line, fields, self.tail_budget);
        }
    }
}

impl Sink for Router<'_> {
    fn record(&mut self, line: &[u8], fields: &[Option<&[u8]>]) {
        let raw_time = |slot: &usize| fields.get(*slot).copied().flatten();
        let at = self
            .routes
            .time_slots
            .iter()
            .filter_map(raw_time)
            .find_map(time::parse_json);
        if let Some(window) = &self.routes.window
            && !window.holds(at)
        {
            self.undated += u64::from(at.is_none());
            return;
        }
        if let Some(at) = at {
            self.times.take(at);
        }
        if let Some(slot) = self.routes.ray_slot
            && let Some(raw) = fields.get(slot).copied().flatten()
        {
            self.rays.take(raw);
        }
        self.decisions.begin(fields);
        let mut from = 0;
        while let Some(index) = self.decisions.next(from, fields) {
            from = index + 1;
            let (Some(job), Some(selection)) =
                (self.routes.jobs.get(index), self.selections.get_mut(index))
            else {
                // Behind the jobs are the sessions.
                let index = index.saturating_sub(self.routes.jobs.len());
                self.show(index, line, fields);
                continue;
            };
            if job.sample.is_some_and(|sample| !sample.keeps(line)) {
                continue;
            }
            let (record, end) = match &job.written {
                Written::AsItCame => (line, b"\n".as_slice()),
                Written::Shaped(shape) => {
                    self.shaped.clear();
                    shape.write(line, fields, &mut self.shaped);
                    (self.shaped.as_slice(), b"".as_slice())
                }
                Written::Event(event) => {
                    self.shaped.clear();
                    let surprises = &mut selection.surprises;
                    event.write(line, &mut self.scratch, surprises, &mut self.shaped);
                    (self.shaped.as_slice(), b"".as_slice())
                }
            };
            let length = record.len() + end.len();
            selection.records += 1;
            selection.bytes += length as u64;
            if job.keep == Keep::Copy {
                selection
                    .payload
                    .push(record, end, job.segment_max_records, SEGMENT_MAX_BYTES);
                self.held += length;
            }
        }
    }

    fn invalid(&mut self, number: u64, line: &[u8], reason: InvalidLine) {
        *self.invalid.entry(reason.as_str()).or_default() += 1;
        if self.quarantine.len() < QUARANTINE_MAX_BYTES {
            let text = String::from_utf8_lossy(line);
            let entry =
                serde_json::json!({"line": number, "reason": reason.as_str(), "text": text});
            self.quarantine
                .extend_from_slice(entry.to_string().as_bytes());
            self.quarantine.push(b'\n');
        }
    }

    fn is_full(&self) -> bool {
        self.held >= self.budget
    }
}

#[cfg(test)]
mod tests;
