//! Winding time back: archived batches are read again, and what is selected of them is put into an outbox. A state machine
//! without I/O: [`step`] says what to do next, the Durable Object does it, and [`Progress::after`] says what to remember.
//!
//! Invariants, checked by the model test beside this file:
//! - the place moves behind a batch only when what was selected of it is in the outbox, in the same transaction as the
//!   counters; the outbox knows the batch, so a step that is repeated after dying in its middle changes nothing;
//! - every batch that the ledgers have when the place passes it is read once; batches come in the order of their ledgers'
//!   days, then of their earliest event time, then of their ids;
//! - nothing is read while the outbox holds more than a bound, while the replay is paused, or after it has ended.

mod estimate;
mod spec;
mod view;

pub use estimate::{Estimate, SAMPLE_BATCHES_MAX, SAMPLE_BYTES_MAX, Sampled, sample};
pub use spec::{
    BACKFILL_PREFIX, Backfill, ID_MAX_CHARS, LATE_COMMIT_MILLIS, Spec, backfill_id, instance_name,
    is_id, of_a_new_job, received_before, settled_at, span_of,
};
pub use view::Facts;

use crate::ecs::Surprises;
use crate::ledger::{BatchCursor, BatchRow};
use crate::outbox::Load;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Bytes that an outbox may hold before nothing more is read for it. A few pushes would do to keep a destination busy; this
/// bounds what a replay can put into a Durable Object's table or the spool when a destination is down.
pub const LOAD_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Entries that an outbox may hold before nothing more is read for it: it looks at all of them to say how much they are.
pub const LOAD_MAX_ENTRIES: u64 = 2_000;

/// Batches read before the outbox is asked again how much it holds.
const BATCHES_PER_LOOK: u64 = 64;

/// First and longest wait for an outbox to make room, or to be empty in the end.
const LOOK_MILLIS: (u64, u64) = (250, 60_000);

/// First and longest wait after something failed.
const FAILED_MILLIS: (u64, u64) = (1_000, 5 * 60_000);

/// Names of missing objects that are kept; all are counted.
pub const MISSING_NAMES_MAX: usize = 100;

/// What batches add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sum {
    /// Batches.
    pub batches: u64,
    /// Their records, whether in the range or not.
    pub records: u64,
    /// Their bytes after inflating.
    pub bytes_raw: u64,
    /// The size of their objects.
    pub object_bytes: u64,
}

impl Sum {
    /// One more batch.
    pub fn take(&mut self, row: &BatchRow) {
        self.add(&Self {
            batches: 1,
            records: row.records,
            bytes_raw: row.bytes_raw,
            object_bytes: row.object_bytes,
        });
    }

    /// More batches.
    pub fn add(&mut self, more: &Self) {
        self.batches += more.batches;
        self.records += more.records;
        self.bytes_raw += more.bytes_raw;
        self.object_bytes += more.object_bytes;
    }
}

/// How far a replay has come in the order of batches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// The ledger that it stands in; `None` before the first one.
    pub ledger: Option<String>,
    /// The batch behind which it stands; `None` before the first one of the ledger.
    pub after: Option<BatchCursor>,
}

impl Place {
    /// Whether a batch lies behind this place, still to be read.
    #[must_use]
    pub fn is_before(&self, next: &Next) -> bool {
        match &self.ledger {
            None => true,
            Some(ledger) if *ledger != next.ledger => *ledger < next.ledger,
            Some(_) => self.after.as_ref().is_none_or(|after| {
                let cursor = next.row.cursor();
                (after.first_millis, &after.batch_id) < (cursor.first_millis, &cursor.batch_id)
            }),
        }
    }
}

/// A batch that is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The ledger that has it.
    pub ledger: String,
    /// Its row.
    pub row: BatchRow,
}

/// What was selected of one batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Routed {
    /// Records that the outbox holds of it.
    pub records: u64,
    /// Their bytes as written out.
    pub bytes: u64,
    /// Records that were left out because they have no readable time.
    pub undated: u64,
    /// Lines that are no records.
    pub invalid_lines: u64,
    /// What was odd in records that were written out as events.
    pub surprises: Surprises,
}

/// How a replay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Everything is read and nothing waits.
    Completed,
    /// Somebody gave it up, or its queue or its job was deleted.
    Cancelled,
}

/// All that a replay remembers. Persisted as JSON: members are only added, each with a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// What lies in the range, as counted at the beginning; `None` before that.
    pub total: Option<Sum>,
    /// How far it has come.
    pub place: Place,
    /// What was read.
    pub read: Sum,
    /// Records that were selected and put into the outbox.
    pub selected_records: u64,
    /// Their bytes as written out.
    pub selected_bytes: u64,
    /// Records that were left out because they have no readable time.
    pub undated_records: u64,
    /// Lines that are no records, in what was read.
    pub invalid_lines: u64,
    /// What was odd in records that were written out as events.
    pub surprises: Surprises,
    /// Batches whose object is not in the bucket any more.
    pub missing_batches: u64,
    /// The names of the first [`MISSING_NAMES_MAX`] of them.
    pub missing_objects: Vec<String>,
    /// Somebody paused it.
    pub is_paused: bool,
    /// Everything is read.
    pub is_read: bool,
    /// How it ended, and when, unix milliseconds.
    pub ended: Option<(End, u64)>,
    /// When it began to read, unix milliseconds.
    pub began_at_millis: Option<u64>,
    /// When everything was read, unix milliseconds.
    pub read_at_millis: Option<u64>,
    /// When the pass through the ledgers that is under way began, unix milliseconds: a backfill makes more than one.
    pub pass_began_millis: Option<u64>,
    /// Not before this time, unix milliseconds.
    pub next_at_millis: u64,
    /// Failures in a row.
    pub failures: u32,
    /// What failed last; `None` again after a success.
    pub error: Option<String>,
    /// Looks in a row at an outbox that had no room and did not get emptier.
    pub looks: u32,
    /// Bytes that it held then.
    pub last_load_bytes: u64,
}

/// What is known only while the object is in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// The next batches, in order.
    pub ahead: VecDeque<Next>,
    /// How many bytes and batches may be put into the outbox before it is asked again.
    pub room: (u64, u64),
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Count what lies in the range: [`Event::Counted`].
    Count,
    /// Ask how much the outbox holds: [`Event::Loaded`].
    Look,
    /// Ask for the batches behind this place, of one ledger: [`Event::Found`].
    Find(Place),
    /// Select from this batch and put that into the outbox: [`Event::Routed`], [`Event::Missing`] or [`Event::Full`].
    Route(Next),
    /// Nothing before this time, unix milliseconds.
    SleepUntil(u64),
    /// Nothing until somebody says something.
    Sleep,
}

/// What happened. Whatever could not be done is [`Event::Failed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// What lies in the range.
    Counted(Sum),
    /// What the outbox holds.
    Loaded(Load),
    /// The next batches of a ledger; none when no ledger has any more.
    Found(Vec<Next>),
    /// What was selected is in the outbox.
    Routed(Next, Routed),
    /// The object is not in the bucket.
    Missing(Next),
    /// The outbox took nothing.
    Full,
    /// It can be tried again.
    Failed(String),
    /// There is no outbox to put anything into any more.
    Gone,
    /// Somebody wants it to stand still.
    Pause,
    /// Somebody wants it to go on.
    Resume,
    /// Somebody gives it up.
    Cancel,
}

/// Twice as long each time.
fn wait_millis((first, longest): (u64, u64), times: u32) -> u64 {
    first.saturating_mul(1 << times.min(16)).min(longest)
}

/// The one decision: what to do at `now_millis`.
#[must_use]
pub fn step(progress: &Progress, session: &Session, now_millis: u64) -> Effect {
    if progress.ended.is_some() || progress.is_paused {
        return Effect::Sleep;
    }
    if progress.next_at_millis > now_millis {
        return Effect::SleepUntil(progress.next_at_millis);
    }
    if progress.total.is_none() {
        return Effect::Count;
    }
    if progress.is_read || session.room.0 == 0 || session.room.1 == 0 {
        return Effect::Look;
    }
    let ahead = session.ahead.iter();
    match ahead
        .into_iter()
        .find(|next| progress.place.is_before(next))
    {
        Some(next) => Effect::Route(next.clone()),
        None => Effect::Find(progress.place.clone()),
    }
}

impl Progress {
    /// What to remember after `event`, which came at `now_millis`.
    #[must_use]
    pub fn after(
        mut self,
        spec: &Spec,
        session: &mut Session,
        event: Event,
        now_millis: u64,
    ) -> Self {
        if !matches!(event, Event::Failed(_)) {
            self.failures = 0;
            self.error = None;
        }
        match event {
            Event::Counted(sum) => {
                self.total = Some(sum);
                self.began_at_millis.get_or_insert(now_millis);
                self.pass_began_millis = Some(now_millis);
            }
            Event::Loaded(load) => self.loaded(session, load, now_millis),
            Event::Found(batches) if batches.is_empty() => self.passed(spec, now_millis),
            Event::Found(batches) => session.ahead = batches.into(),
            Event::Routed(next, routed) => {
                session.room.0 = session.room.0.saturating_sub(routed.bytes);
                if self.pass(session, &next) {
                    self.read.take(&next.row);
                    self.selected_records += routed.records;
                    self.selected_bytes += routed.bytes;
                    self.undated_records += routed.undated;
                    self.invalid_lines += routed.invalid_lines;
                    self.surprises.add(&routed.surprises);
                }
            }
            Event::Missing(next) => {
                if self.pass(session, &next) {
                    self.missing_batches += 1;
                    if self.missing_objects.len() < MISSING_NAMES_MAX {
                        self.missing_objects.push(next.row.object);
                    }
                }
            }
            Event::Full => {
                session.room = (0, 0);
                self.wait_for_room(now_millis);
            }
            Event::Failed(reason) => {
                self.next_at_millis = now_millis + wait_millis(FAILED_MILLIS, self.failures);
                self.failures = self.failures.saturating_add(1);
                self.error = Some(reason);
            }
            Event::Pause => self.is_paused = true,
            Event::Resume => {
                self.is_paused = false;
                self.next_at_millis = 0;
                self.looks = 0;
            }
            Event::Cancel | Event::Gone => {
                self.ended.get_or_insert((End::Cancelled, now_millis));
            }
        }
        self
    }

    /// Moves the place behind a batch; `false` when it is there already.
    fn pass(&mut self, session: &mut Session, next: &Next) -> bool {
        let is_next = self.place.is_before(next);
        if is_next {
            self.place = Place {
                ledger: Some(next.ledger.clone()),
                after: Some(next.row.cursor()),
            };
        }
        session.room.1 = session.room.1.saturating_sub(1);
        while session
            .ahead
            .front()
            .is_some_and(|front| !self.place.is_before(front))
        {
            session.ahead.pop_front();
        }
        is_next
    }

    /// No ledger has any more.
    fn passed(&mut self, spec: &Spec, now_millis: u64) {
        let began = self.pass_began_millis.unwrap_or(now_millis);
        match &spec.backfill {
            // Batches that came before every isolate knew the job may still be on their way.
            // The first look after the last of them came finds nearly all, the second one the rest.
            Some(backfill) if began < backfill.settled_at_millis => {
                self.place = Place::default();
                let next = if began < backfill.received_before_millis {
                    backfill.received_before_millis
                } else {
                    backfill.settled_at_millis
                };
                let next = next.max(now_millis);
                self.pass_began_millis = Some(next);
                self.next_at_millis = next;
            }
            _ => {
                self.is_read = true;
                self.read_at_millis = Some(now_millis);
                self.looks = 0;
            }
        }
    }

    fn loaded(&mut self, session: &mut Session, load: Load, now_millis: u64) {
        let is_emptier = load.bytes < self.last_load_bytes;
        self.last_load_bytes = load.bytes;
        if is_emptier {
            self.looks = 0;
        }
        if self.is_read {
            if load.records == 0 {
                self.ended.get_or_insert((End::Completed, now_millis));
            } else {
                self.wait_for_room(now_millis);
            }
        } else if load.bytes >= LOAD_MAX_BYTES || load.entries >= LOAD_MAX_ENTRIES {
            session.room = (0, 0);
            self.wait_for_room(now_millis);
        } else {
            session.room = (LOAD_MAX_BYTES - load.bytes, BATCHES_PER_LOOK);
            self.looks = 0;
        }
    }

    fn wait_for_room(&mut self, now_millis: u64) {
        self.next_at_millis = now_millis + wait_millis(LOOK_MILLIS, self.looks);
        self.looks = self.looks.saturating_add(1);
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
