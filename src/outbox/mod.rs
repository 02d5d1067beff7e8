//! Delivery to one job's destination as a state machine without I/O: [`step`] says what to do next, the Durable Object
//! does it and comes back with what happened.
//!
//! Invariants:
//! - an entry leaves the table only when a push that held it was accepted, or its job was deleted (counted as discarded);
//! - a push is written down before it is sent, and is never changed afterwards, so every attempt carries the same id and
//!   the same records;
//! - one push at a time, entries in the order in which they came;
//! - a push never mixes records that were written out for different options.

mod messages;
mod shape;

pub use messages::{Append, AppendAnswer, EntrySource, Health, Holding, Summary, instance_name};
pub use shape::{EntryFacts, PushLimits, gather};

use crate::destination::Outcome;

/// First wait after a failed push.
const BACKOFF_FIRST_MILLIS: u64 = 1_000;

/// Longest wait between two attempts: a destination that is back is found within this time.
const BACKOFF_MAX_MILLIS: u64 = 5 * 60_000;

/// Longest `Retry-After` that is honoured, so that a wrong header can not stop a job for good.
const RETRY_AFTER_MAX_MILLIS: u64 = 3_600_000;

/// How often a held queue looks at its job again, in case the wake-up on enabling it got lost.
const HELD_RECHECK_MILLIS: u64 = 10 * 60_000;

/// What the registry says of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Push.
    Enabled,
    /// Keep, do not push. Also when the registry does not know the job: only a deletion that it knows of ends a queue.
    Disabled,
    /// Nobody wants the records any more.
    Deleted,
}

/// The push that is being tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentPush {
    /// Attempts so far.
    pub attempts: u32,
    /// Not before this time, unix milliseconds.
    pub next_attempt_millis: u64,
}

/// What waits behind the current push.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// When the oldest entry came, unix milliseconds.
    pub oldest_millis: u64,
}

/// The queue as the table holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The job.
    pub job: JobState,
    /// The push that is written down, if any.
    pub push: Option<CurrentPush>,
    /// Entries that belong to no push.
    pub waiting: Waiting,
    /// What one push may hold, and how long to gather.
    pub limits: PushLimits,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The alarm fired, or something was appended.
    Wake,
    /// The destination answered, or could not be reached.
    Answered {
        /// What the answer means.
        outcome: Outcome,
        /// A random number in 0..1, for jitter.
        jitter: f64,
    },
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write down a push of the oldest entries, by [`gather`].
    FormPush,
    /// Send the current push.
    SendPush,
    /// The current push was accepted: count it, delete it and its entries.
    Delivered,
    /// Keep the current push and try again at this time.
    RetryAt {
        /// Unix milliseconds.
        at_millis: u64,
        /// What the destination said; shown as the job's `error_message`.
        reason: String,
    },
    /// Delete all entries and count them as discarded.
    Discard,
    /// Nothing to do before this time (unix milliseconds).
    SleepUntil(u64),
    /// Nothing to do until something is appended.
    Sleep,
}

/// The one decision: what to do with `queue` after `event`, at `now_millis`.
#[must_use]
pub fn step(queue: &Queue, event: Event, now_millis: u64) -> Effect {
    match event {
        Event::Wake => wake(queue, now_millis),
        Event::Answered { outcome, jitter } => match outcome {
            Outcome::Accepted => Effect::Delivered,
            Outcome::RetryLater {
                retry_after_secs,
                reason,
            } => {
                let attempts = queue.push.as_ref().map_or(1, |push| push.attempts);
                let asked = retry_after_secs
                    .unwrap_or(0)
                    .saturating_mul(1000)
                    .min(RETRY_AFTER_MAX_MILLIS);
                let wait = backoff_millis(attempts, jitter).max(asked);
                Effect::RetryAt {
                    at_millis: now_millis.saturating_add(wait),
                    reason,
                }
            }
        },
    }
}

fn wake(queue: &Queue, now_millis: u64) -> Effect {
    let is_empty = queue.push.is_none() && queue.waiting.records == 0;
    match queue.job {
        _ if is_empty => Effect::Sleep,
        JobState::Deleted => Effect::Discard,
        JobState::Disabled => Effect::SleepUntil(now_millis.saturating_add(HELD_RECHECK_MILLIS)),
        JobState::Enabled => match &queue.push {
            Some(push) if push.next_attempt_millis > now_millis => {
                Effect::SleepUntil(push.next_attempt_millis)
            }
            Some(_) => Effect::SendPush,
            None => {
                let Waiting {
                    records,
                    bytes,
                    oldest_millis,
                } = queue.waiting;
                let due = oldest_millis.saturating_add(queue.limits.interval_millis);
                let enough = records >= queue.limits.max_records || bytes >= queue.limits.max_bytes;
                if enough || due <= now_millis {
                    Effect::FormPush
                } else {
                    Effect::SleepUntil(due)
                }
            }
        },
    }
}

/// Exponential with full jitter, but never below half a second: `attempts` counts the failed ones, `jitter` is in 0..1.
#[must_use]
pub fn backoff_millis(attempts: u32, jitter: f64) -> u64 {
    let doublings = attempts.saturating_sub(1).min(16);
    let ceiling = BACKOFF_FIRST_MILLIS
        .saturating_mul(1 << doublings)
        .min(BACKOFF_MAX_MILLIS);
    let drawn = (ceiling as f64 * jitter.clamp(0.0, 1.0)) as u64;
    drawn.max(BACKOFF_FIRST_MILLIS / 2)
}

#[cfg(test)]
mod tests;
