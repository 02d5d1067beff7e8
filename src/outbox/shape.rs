//! What one push may hold.

use crate::destination::Limits;
use crate::limits::{PUSH_DEFAULT_BYTES, PUSH_DEFAULT_RECORDS, PUSH_MAX_BYTES};
use crate::logpush::job::ReplayQueue;
use crate::route::Assembly;

/// Logpush's `max_upload_*`, ready to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushLimits {
    /// Raw bytes.
    pub max_bytes: u64,
    /// Records.
    pub max_records: u64,
    /// How long to gather, milliseconds; 0 pushes what is there.
    pub interval_millis: u64,
    /// Bytes that each record grows by on its way to the destination; they count.
    pub record_overhead_bytes: u64,
    /// They are the destination's own: an archived object, which is passed on whole otherwise, keeps them as well.
    pub is_binding: bool,
    /// How fast pushes may follow one another.
    pub rate: Rate,
}

/// How fast a queue is pushed. What a queue of a job has not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Bytes of records a second, as they are written out; `None` for as fast as the destination takes them.
    pub max_bytes_per_sec: Option<u64>,
    /// From one push to the next, milliseconds.
    pub push_gap_millis: u64,
}

/// Bytes of one push that are not split up for the sake of an even rate: a request has its price, too.
const EVEN_MIN_BYTES: u64 = 64 * 1024;

/// How far a queue that fell behind its rate, because an alarm or an answer came late, may catch up.
const CATCH_UP_MILLIS: u64 = 2_000;

impl Rate {
    /// How fast the queue of a replay may be pushed; any other one as fast as its destination takes it.
    #[must_use]
    pub fn of(replay: Option<&ReplayQueue>) -> Self {
        let gap = |pushes: f64| (1_000.0 / pushes.max(f64::MIN_POSITIVE)) as u64;
        replay.map_or_else(Self::default, |replay| Self {
            max_bytes_per_sec: replay.max_bytes_per_second,
            push_gap_millis: replay.max_pushes_per_second.map_or(0, gap),
        })
    }

    /// When the push after one of `bytes` may be made, which was accepted now; `before` is what this said of the push before
    /// it. So the rate holds over any run of pushes, but for what is caught up.
    #[must_use]
    pub fn next_millis(&self, before: Option<u64>, bytes: u64, now_millis: u64) -> Option<u64> {
        let by_bytes = self
            .max_bytes_per_sec
            .map_or(0, |most| bytes.saturating_mul(1_000) / most.max(1));
        let cost = by_bytes.max(self.push_gap_millis);
        (cost > 0).then(|| {
            let earliest = now_millis.saturating_sub(CATCH_UP_MILLIS);
            before.map_or(now_millis, |at| at.max(earliest)) + cost
        })
    }
}

impl PushLimits {
    /// From the job's settings; unset means our defaults, and no gathering: the batch waited upstream already.
    #[must_use]
    pub fn new(
        max_upload_bytes: Option<u64>,
        max_upload_records: Option<u64>,
        max_upload_interval_seconds: Option<u64>,
    ) -> Self {
        Self {
            max_bytes: max_upload_bytes
                .unwrap_or(PUSH_DEFAULT_BYTES)
                .min(PUSH_MAX_BYTES),
            max_records: max_upload_records.unwrap_or(PUSH_DEFAULT_RECORDS),
            interval_millis: max_upload_interval_seconds
                .unwrap_or(0)
                .saturating_mul(1000),
            record_overhead_bytes: 0,
            is_binding: false,
            rate: Rate::default(),
        }
    }

    /// The same, and what the destination takes at most.
    #[must_use]
    pub fn within(self, destination: &Limits) -> Self {
        Self {
            max_bytes: self
                .max_bytes
                .min(destination.max_bytes.unwrap_or(u64::MAX)),
            max_records: self
                .max_records
                .min(destination.max_records.unwrap_or(u64::MAX)),
            record_overhead_bytes: destination.record_overhead_bytes,
            is_binding: destination.max_bytes.is_some() || destination.max_records.is_some(),
            ..self
        }
    }

    /// The same, and no push of more entries than a second's worth: a rate is to be even, as far as nothing has to be cut for
    /// that.
    #[must_use]
    pub fn even(self) -> Self {
        let second = self.rate.max_bytes_per_sec.unwrap_or(u64::MAX);
        Self {
            max_bytes: self.max_bytes.min(second.max(EVEN_MIN_BYTES)),
            ..self
        }
    }

    /// Bytes of records as the destination gets them.
    #[must_use]
    pub fn weight(&self, records: u64, bytes: u64) -> u64 {
        bytes.saturating_add(records.saturating_mul(self.record_overhead_bytes))
    }

    /// What is left for records when a push has other bytes as well.
    #[must_use]
    pub fn beside(self, assembly: Option<&Assembly>) -> Self {
        let overhead = assembly.map_or(0, Assembly::overhead_bytes);
        Self {
            max_bytes: self.max_bytes.saturating_sub(overhead),
            ..self
        }
    }
}

/// What [`gather`] has to know of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryFacts<'a> {
    /// Records.
    pub records: u64,
    /// Raw bytes.
    pub bytes: u64,
    /// It can not share a push: an archived object, which is pushed as it is, or records that can not be told apart.
    pub is_alone: bool,
    /// The [`Assembly`] that it was written for, as stored. Entries of a job that was changed may differ, and can not
    /// share a push.
    pub assembly: Option<&'a str>,
}

/// How many of the oldest entries make the next push: at least one, then as many as fit.
#[must_use]
pub fn gather<'a>(entries: impl IntoIterator<Item = EntryFacts<'a>>, limits: &PushLimits) -> usize {
    let (mut taken, mut records, mut bytes) = (0, 0_u64, 0_u64);
    let mut first = None;
    for entry in entries {
        let is_other = *first.get_or_insert(entry.assembly) != entry.assembly;
        records = records.saturating_add(entry.records);
        bytes = bytes.saturating_add(entry.bytes);
        let fits =
            records <= limits.max_records && limits.weight(records, bytes) <= limits.max_bytes;
        if taken > 0 && (entry.is_alone || is_other || !fits) {
            break;
        }
        taken += 1;
        if entry.is_alone {
            break;
        }
    }
    taken
}
