//! Delivery to one job's destination as a state machine without I/O: [`step`] says what to do next, the Durable Object
//! does it and comes back with what happened.
//!
//! Invariants, checked by the model test beside this file:
//! - an entry leaves the table only when a push that held it was accepted, when it became a dead letter, or when its job
//!   was deleted (counted as discarded): selected = delivered + waiting + dead + discarded at every moment;
//! - a push is written down before it is sent, and is never changed afterwards, so every attempt carries the same id and
//!   the same records. A push that is refused for what it holds is dissolved, and its entries make smaller ones;
//! - one push at a time, entries in the order in which they came;
//! - a push never mixes records that were written out for different options;
//! - an accepted push is not sent again, unless the answer was lost;
//! - where a destination acknowledges what it took, a push counts as delivered only once it has. A push that waits for that
//!   is asked after, and sent again under the same id when nothing came in time, or when the destination is another one by
//!   then.

pub mod concerns;
pub mod cut;
mod messages;
mod receipt;
mod shape;

pub use messages::{
    Append, AppendAnswer, DeadLetter, EntrySource, Health, Holding, Load, Prospect, Recent,
    Selected, Selection, Summary, instance_name,
};
pub use receipt::Receipt;
pub use shape::{EntryFacts, PushLimits, Rate, gather};

use crate::destination::receipt::Confirmation;
use crate::destination::{Failure, Meaning, Outcome};
use serde::{Deserialize, Serialize};

/// Longest `Retry-After` that is honoured, so that a wrong header can not stop a job for good.
const RETRY_AFTER_MAX_MILLIS: u64 = 3_600_000;

/// How often a held queue looks at its job again, in case the wake-up on enabling it got lost.
const HELD_RECHECK_MILLIS: u64 = 10 * 60_000;

/// How long a size that was too large is remembered. A destination that takes more again, or never meant it, is found once
/// a day, at the price of one refused push.
const SIZE_REMEMBERED_MILLIS: u64 = 24 * 3_600_000;

/// Dead letters in a row, without a push accepted between, after which the queue is parked: a destination that refuses
/// every record has something against the job and not against the records. Bounds what a wrong setting can turn into
/// dead letters.
const DEAD_IN_A_ROW_MAX: u32 = 20;

/// How long the next push waits after a destination said that it is near its capacity, at most; the longest wait between
/// two attempts bounds it as well.
const NEAR_CAPACITY_WAIT_MILLIS: u64 = 10_000;

/// How patient delivery is. The operator may change the longest waits: docs/delivery.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// First wait after a failed push, milliseconds.
    pub retry_first_millis: u64,
    /// Longest wait between two attempts: a destination that is back is found within this time.
    pub retry_max_millis: u64,
    /// First wait before a parked queue is probed. Longer than a back-off: somebody has to mend something first.
    pub probe_first_millis: u64,
    /// Longest wait between two probes: what was mended outside, where nobody wakes the queue, is found within this time.
    pub probe_max_millis: u64,
    /// How long a job may be without a successful push before it is disabled.
    pub disable_after_millis: u64,
    /// Longest wait between two questions after an acknowledgement.
    pub ask_max_millis: u64,
    /// How long an acknowledgement is waited for before the push is sent again.
    pub acknowledge_within_millis: u64,
}

impl Default for Pace {
    /// The day is Logpush's; the rest is ours.
    fn default() -> Self {
        Self {
            retry_first_millis: 1_000,
            retry_max_millis: 5 * 60_000,
            probe_first_millis: 30_000,
            probe_max_millis: 15 * 60_000,
            disable_after_millis: 24 * 3_600_000,
            ask_max_millis: 10_000,
            acknowledge_within_millis: 5 * 60_000,
        }
    }
}

impl Pace {
    /// The usual pace, but for what the operator set, in seconds. A longest wait below the first one is both.
    #[must_use]
    pub fn with(
        retry_max_secs: Option<u64>,
        probe_max_secs: Option<u64>,
        disable_after_secs: Option<u64>,
    ) -> Self {
        let usual = Self::default();
        let millis = |secs: Option<u64>, default| secs.map_or(default, |n| n.max(1) * 1_000);
        let retry_max_millis = millis(retry_max_secs, usual.retry_max_millis);
        let probe_max_millis = millis(probe_max_secs, usual.probe_max_millis);
        Self {
            retry_first_millis: usual.retry_first_millis.min(retry_max_millis),
            retry_max_millis,
            probe_first_millis: usual.probe_first_millis.min(probe_max_millis),
            probe_max_millis,
            disable_after_millis: millis(disable_after_secs, usual.disable_after_millis),
            ..usual
        }
    }

    /// The same, but for how acknowledgements are waited for, in seconds.
    #[must_use]
    pub fn asking(self, ask_max_secs: Option<u64>, acknowledge_within_secs: Option<u64>) -> Self {
        let millis = |secs: Option<u64>, default| secs.map_or(default, |n| n.max(1) * 1_000);
        Self {
            ask_max_millis: millis(ask_max_secs, self.ask_max_millis),
            acknowledge_within_millis: millis(
                acknowledge_within_secs,
                self.acknowledge_within_millis,
            ),
            ..self
        }
    }

    /// When to ask for an acknowledgement again, after `questions` of them: soon at first, because most are there within
    /// seconds.
    fn ask_again_millis(&self, questions: u32) -> u64 {
        let doubled = self
            .retry_first_millis
            .saturating_mul(1 << questions.min(16));
        doubled.clamp(1, self.ask_max_millis.max(1))
    }

    fn probe_millis(&self, probes: u32, jitter: f64) -> u64 {
        let ceiling = self
            .probe_first_millis
            .saturating_mul(1 << probes.min(16))
            .min(self.probe_max_millis);
        // Half of it is fixed: queues of one destination spread, and none probes at once.
        ceiling / 2 + (ceiling as f64 / 2.0 * jitter.clamp(0.0, 1.0)) as u64
    }

    /// Exponential with full jitter, but never below half of the first wait: `attempts` counts the failed ones, `jitter`
    /// is in 0..1.
    #[must_use]
    pub fn backoff_millis(&self, attempts: u32, jitter: f64) -> u64 {
        let doublings = attempts.saturating_sub(1).min(16);
        let ceiling = self
            .retry_first_millis
            .saturating_mul(1 << doublings)
            .min(self.retry_max_millis);
        let drawn = (ceiling as f64 * jitter.clamp(0.0, 1.0)) as u64;
        drawn.max(self.retry_first_millis / 2)
    }
}

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
    /// Records in it.
    pub records: u64,
    /// Their raw bytes.
    pub bytes: u64,
    /// Smaller pushes can be made of its records.
    pub is_divisible: bool,
    /// The destination has taken it and owes an acknowledgement. `None` as well when it was another destination's.
    pub receipt: Option<Receipt>,
}

/// The oldest entry that belongs to no push.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// It is a whole archived object.
    pub is_archive: bool,
    /// It has more than one record, and where they end can be told.
    pub is_divisible: bool,
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
    /// The oldest entry.
    pub head: Head,
}

/// A queue that is parked: it holds everything and only probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// Since when, unix milliseconds.
    pub since_millis: u64,
    /// Refusals since then.
    pub probes: u32,
    /// The destination refused one record after the other, rather than the job.
    pub for_content: bool,
}

/// What the last answers say about the next push. Persisted as JSON: members are only added, each with a default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trouble {
    /// Raw bytes that a push may have, because larger ones were too large for the destination.
    pub size_limit_bytes: Option<u64>,
    /// When it was learned, unix milliseconds.
    pub size_learned_at_millis: Option<u64>,
    /// Records that a push may have while those that the destination refuses are being looked for.
    pub isolation_records: Option<u64>,
    /// Dead letters since the last accepted push.
    pub dead_in_a_row: u32,
    /// The queue is parked.
    pub parked: Option<Parked>,
    /// First failure after the last accepted push, unix milliseconds.
    pub failing_since_millis: Option<u64>,
    /// Failed attempts since the last accepted push.
    pub consecutive_failures: u32,
    /// No push is made before this time, unix milliseconds: the destination is near its capacity.
    pub easing_until_millis: Option<u64>,
    /// No push is made before this time, unix milliseconds: the queue has a [`Rate`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paced_until_millis: Option<u64>,
}

impl Trouble {
    /// Somebody changed the job: what the destination said about the old one counts no more.
    #[must_use]
    pub fn after_a_change(self) -> Self {
        Self {
            failing_since_millis: self.failing_since_millis,
            consecutive_failures: self.consecutive_failures,
            paced_until_millis: self.paced_until_millis,
            ..Self::default()
        }
    }

    /// What failed is out of the way.
    fn settled(self) -> Self {
        Self {
            parked: None,
            failing_since_millis: None,
            consecutive_failures: 0,
            ..self
        }
    }

    /// The job's limits, and those that the destination taught.
    fn narrow(&self, limits: PushLimits) -> PushLimits {
        PushLimits {
            max_bytes: limits
                .max_bytes
                .min(self.size_limit_bytes.unwrap_or(u64::MAX)),
            max_records: limits
                .max_records
                .min(self.isolation_records.unwrap_or(u64::MAX)),
            ..limits
        }
    }
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
    /// What the last answers taught.
    pub trouble: Trouble,
    /// How patient delivery is.
    pub pace: Pace,
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
    /// The destination was asked whether it has indexed what it took.
    Asked {
        /// What it said.
        confirmation: Confirmation,
        /// A random number in 0..1, for jitter.
        jitter: f64,
    },
}

/// What to do now, and what to remember. Both are written in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub effect: Effect,
    /// What to remember.
    pub trouble: Trouble,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write down a push of the oldest entries, by [`gather`] under these limits.
    FormPush(PushLimits),
    /// Cut the oldest entry into parts that keep these limits, as far as single records do.
    CutHead(PushLimits),
    /// Send the current push.
    SendPush,
    /// Ask the destination whether the current push is safe there.
    AskReceipt(Receipt),
    /// Write down that the destination owes an acknowledgement, and ask at this time, unix milliseconds.
    AwaitReceipt(Receipt, u64),
    /// Forget the acknowledgement, and send the current push again at this time, unix milliseconds.
    SendAgainAt(u64),
    /// The current push was accepted: count it, delete it and its entries.
    Delivered,
    /// Keep the current push and try again at this time, unix milliseconds.
    RetryAt(u64),
    /// Delete the current push; its entries wait again, in their old places.
    Dissolve,
    /// Make a dead letter of the current push.
    DeadLetter,
    /// Disable the job: nothing was accepted for [`Pace::disable_after_millis`].
    DisableJob,
    /// Delete all entries and dead letters and count them as discarded.
    Discard,
    /// Nothing to do before this time (unix milliseconds).
    SleepUntil(u64),
    /// Nothing to do until something is appended.
    Sleep,
}

/// The one decision: what to do with `queue` after `event`, at `now_millis`.
#[must_use]
pub fn step(queue: &Queue, event: Event, now_millis: u64) -> Step {
    match event {
        Event::Wake => wake(queue, now_millis),
        Event::Answered { outcome, jitter } => answered(queue, outcome, jitter, now_millis),
        Event::Asked {
            confirmation,
            jitter,
        } => asked(queue, confirmation, jitter, now_millis),
    }
}

/// What to remember once a push is accepted.
fn relieved(queue: &Queue, now_millis: u64) -> Trouble {
    let trouble = queue.trouble;
    let bytes = queue.push.as_ref().map_or(0, |push| push.bytes);
    let rate = queue.limits.rate;
    let wider = trouble
        .isolation_records
        .map(|records| records.saturating_mul(2));
    Trouble {
        size_limit_bytes: trouble.size_limit_bytes,
        size_learned_at_millis: trouble.size_learned_at_millis,
        isolation_records: wider.filter(|records| *records < queue.limits.max_records),
        paced_until_millis: rate.next_millis(trouble.paced_until_millis, bytes, now_millis),
        ..Trouble::default()
    }
}

/// What to remember once an attempt has failed.
fn failing(trouble: Trouble, now_millis: u64) -> Trouble {
    Trouble {
        failing_since_millis: trouble.failing_since_millis.or(Some(now_millis)),
        consecutive_failures: trouble.consecutive_failures.saturating_add(1),
        ..trouble
    }
}

fn asked(queue: &Queue, confirmation: Confirmation, jitter: f64, now_millis: u64) -> Step {
    let nothing = |trouble| Step {
        effect: Effect::SleepUntil(now_millis),
        trouble,
    };
    let Some(push) = &queue.push else {
        return nothing(queue.trouble);
    };
    let Some(receipt) = push.receipt else {
        return nothing(queue.trouble);
    };
    if confirmation == Confirmation::Safe {
        let (effect, trouble) = (Effect::Delivered, relieved(queue, now_millis));
        return Step { effect, trouble };
    }
    let due = receipt
        .taken_at_millis
        .saturating_add(queue.pace.acknowledge_within_millis);
    let is_late = due <= now_millis;
    let meaning = match confirmation {
        Confirmation::Failed(failure) => Some(failure.meaning),
        _ => None,
    };
    let mut trouble = queue.trouble;
    if is_late || meaning.is_some() {
        trouble = failing(trouble, now_millis);
    }
    let asked = receipt.asked();
    let ask_again = queue.pace.ask_again_millis(asked.questions);
    let wait = match meaning {
        Some(Meaning::RetryLater { retry_after_secs }) => {
            ask_again.max(asked_to_wait(retry_after_secs))
        }
        Some(_) => park(&mut trouble, false, &queue.pace, jitter, now_millis),
        None => ask_again,
    };
    let effect = if is_late {
        let wait = match trouble.parked {
            Some(parked) => queue.pace.probe_millis(parked.probes, jitter),
            None => queue.pace.backoff_millis(push.attempts, jitter),
        };
        Effect::SendAgainAt(now_millis.saturating_add(wait))
    } else {
        // Not long past the time at which it is late.
        let at = now_millis.saturating_add(wait).min(due.max(now_millis + 1));
        Effect::AwaitReceipt(asked, at)
    };
    Step { effect, trouble }
}

/// `Retry-After` within bounds, milliseconds.
fn asked_to_wait(retry_after_secs: Option<u64>) -> u64 {
    retry_after_secs
        .unwrap_or(0)
        .saturating_mul(1000)
        .min(RETRY_AFTER_MAX_MILLIS)
}

fn answered(queue: &Queue, outcome: Outcome, jitter: f64, now_millis: u64) -> Step {
    let trouble = queue.trouble;
    let Some(push) = &queue.push else {
        let effect = Effect::SleepUntil(now_millis);
        return Step { effect, trouble };
    };
    let Failure { meaning, .. } = match outcome {
        Outcome::Accepted => {
            let (effect, trouble) = (Effect::Delivered, relieved(queue, now_millis));
            return Step { effect, trouble };
        }
        Outcome::AcceptedNearCapacity => {
            let wait = NEAR_CAPACITY_WAIT_MILLIS.min(queue.pace.retry_max_millis);
            let trouble = Trouble {
                easing_until_millis: Some(now_millis.saturating_add(wait)),
                ..relieved(queue, now_millis)
            };
            let effect = Effect::Delivered;
            return Step { effect, trouble };
        }
        Outcome::Taken { receipt } => {
            // Nothing is settled before it is acknowledged.
            let ask_at = now_millis.saturating_add(queue.pace.ask_again_millis(0));
            let effect = Effect::AwaitReceipt(Receipt::new(receipt, now_millis), ask_at);
            return Step { effect, trouble };
        }
        Outcome::Failed(failure) => failure,
    };
    let mut trouble = failing(trouble, now_millis);
    let effect = match meaning {
        Meaning::RetryLater { retry_after_secs } => {
            let asked = asked_to_wait(retry_after_secs);
            let wait = match &trouble.parked {
                // The destination has another trouble now, but nobody knows whether the first one is gone.
                Some(parked) => queue.pace.probe_millis(parked.probes, jitter),
                None => queue.pace.backoff_millis(push.attempts, jitter),
            };
            Effect::RetryAt(now_millis.saturating_add(wait.max(asked)))
        }
        Meaning::ConfigurationRefused => {
            let wait = park(&mut trouble, false, &queue.pace, jitter, now_millis);
            Effect::RetryAt(now_millis.saturating_add(wait))
        }
        Meaning::TooLarge if push.is_divisible => {
            let half = (queue.limits.weight(push.records, push.bytes) / 2).max(1);
            let known = trouble.size_limit_bytes.unwrap_or(u64::MAX);
            trouble.size_limit_bytes = Some(half.min(known));
            trouble.size_learned_at_millis = Some(now_millis);
            trouble.parked = None;
            Effect::Dissolve
        }
        Meaning::TooLarge => {
            trouble = trouble.settled();
            Effect::DeadLetter
        }
        Meaning::ContentRefused if push.is_divisible => {
            trouble.isolation_records = Some((push.records / 2).max(1));
            trouble.parked = None;
            Effect::Dissolve
        }
        Meaning::ContentRefused if trouble.dead_in_a_row >= DEAD_IN_A_ROW_MAX => {
            let wait = park(&mut trouble, true, &queue.pace, jitter, now_millis);
            Effect::RetryAt(now_millis.saturating_add(wait))
        }
        Meaning::ContentRefused => {
            trouble = trouble.settled();
            trouble.dead_in_a_row = trouble.dead_in_a_row.saturating_add(1);
            Effect::DeadLetter
        }
    };
    Step { effect, trouble }
}

/// Returns when to probe, in milliseconds from now.
fn park(
    trouble: &mut Trouble,
    for_content: bool,
    pace: &Pace,
    jitter: f64,
    now_millis: u64,
) -> u64 {
    let before = trouble.parked;
    let probes = before.map_or(0, |parked| parked.probes.saturating_add(1));
    trouble.parked = Some(Parked {
        since_millis: before.map_or(now_millis, |parked| parked.since_millis),
        probes,
        for_content,
    });
    pace.probe_millis(probes, jitter)
}

fn wake(queue: &Queue, now_millis: u64) -> Step {
    let mut trouble = queue.trouble;
    let is_old = |at: u64| at.saturating_add(SIZE_REMEMBERED_MILLIS) <= now_millis;
    if queue.push.is_none() && trouble.size_learned_at_millis.is_some_and(is_old) {
        (trouble.size_limit_bytes, trouble.size_learned_at_millis) = (None, None);
    }
    let is_empty = queue.push.is_none() && queue.waiting.records == 0;
    let effect = match queue.job {
        JobState::Deleted => Effect::Discard,
        JobState::Disabled => {
            // Whoever enables it again gives it another day.
            trouble.failing_since_millis = None;
            trouble.consecutive_failures = 0;
            if is_empty {
                Effect::Sleep
            } else {
                Effect::SleepUntil(now_millis.saturating_add(HELD_RECHECK_MILLIS))
            }
        }
        JobState::Enabled if is_empty => Effect::Sleep,
        JobState::Enabled => {
            let has_failed_for_long = trouble.failing_since_millis.is_some_and(|since| {
                since.saturating_add(queue.pace.disable_after_millis) <= now_millis
            });
            match &queue.push {
                _ if has_failed_for_long => Effect::DisableJob,
                Some(push) if push.next_attempt_millis > now_millis => {
                    Effect::SleepUntil(push.next_attempt_millis)
                }
                Some(CurrentPush {
                    receipt: Some(receipt),
                    ..
                }) => Effect::AskReceipt(*receipt),
                Some(_) => Effect::SendPush,
                None => form(queue, &trouble, now_millis),
            }
        }
    };
    Step { effect, trouble }
}

fn form(queue: &Queue, trouble: &Trouble, now_millis: u64) -> Effect {
    let Waiting {
        records,
        bytes,
        oldest_millis,
        head,
    } = queue.waiting;
    let not_before = trouble.easing_until_millis.max(trouble.paced_until_millis);
    if let Some(until) = not_before.filter(|until| *until > now_millis) {
        return Effect::SleepUntil(until);
    }
    let limits = trouble.narrow(queue.limits);
    let is_narrowed = trouble.size_limit_bytes.is_some() || trouble.isolation_records.is_some();
    let due = oldest_millis.saturating_add(limits.interval_millis);
    let enough = records >= limits.max_records || limits.weight(records, bytes) >= limits.max_bytes;
    // What was pushed before and refused was gathered then.
    if !enough && due > now_millis && trouble.failing_since_millis.is_none() {
        return Effect::SleepUntil(due);
    }
    let is_large = head.records > limits.max_records
        || limits.weight(head.records, head.bytes) > limits.max_bytes;
    // An archived object is passed on whole whatever the job's limits say, until the destination objects.
    let keeps_limits = is_narrowed || limits.is_binding || !head.is_archive;
    if is_large && head.is_divisible && keeps_limits {
        return Effect::CutHead(limits);
    }
    Effect::FormPush(limits.even())
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod receipt_tests;
#[cfg(test)]
mod tests;
