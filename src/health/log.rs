//! The logs behind health figures: what was pushed and what came in, as rows that are asked for by time.
//!
//! An outbox keeps one row for each attempt to push for a day, sums of each minute for 31 days and of each hour for a
//! year; a ledger keeps sums of each minute, and of each hour after 31 days. A question names a span of time and how fine
//! the rows should be; [`Resolution::within`] makes it as coarse as what is kept, so that no question reads more than a
//! job's few thousand rows. Figures of all time, which never decrease, are [`Totals`] and [`DatasetTotals`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long single attempts are kept, in milliseconds.
pub const ATTEMPTS_KEPT_MILLIS: u64 = 24 * HOUR_MILLIS;
/// How long sums of a minute are kept, in milliseconds: what Cloudflare's dashboard shows is 30 days.
pub const MINUTES_KEPT_MILLIS: u64 = 31 * 24 * HOUR_MILLIS;
/// How long sums of an hour are kept, in milliseconds.
pub const HOURS_KEPT_MILLIS: u64 = 366 * 24 * HOUR_MILLIS;
/// A minute, in milliseconds.
pub const MINUTE_MILLIS: u64 = 60_000;
/// An hour, in milliseconds.
pub const HOUR_MILLIS: u64 = 60 * MINUTE_MILLIS;

/// Rows that one answer may have, all objects together. A question for more has to be narrowed: guards the isolate's
/// memory (some 100 bytes each) and the time of the answer.
pub const ROWS_MAX: usize = 250_000;

/// The status of every attempt that was accepted.
pub const ACCEPTED: u16 = 200;

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its first millisecond, unix.
    pub from_millis: u64,
    /// The first one after it.
    pub until_millis: u64,
}

/// How fine rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// One row for each attempt, with its own time.
    Attempt,
    /// One row for each minute and kind of result.
    Minute,
    /// One row for each hour and kind of result.
    Hour,
}

impl Resolution {
    /// The finest resolution that is not finer than `self` and kept over the whole span, and that keeps the answer
    /// small: attempts for spans of up to a day, minutes for up to 31 days, else hours.
    #[must_use]
    pub fn within(self, span: Span, now_millis: u64) -> Self {
        let age = now_millis.saturating_sub(span.from_millis);
        let finest = if age <= ATTEMPTS_KEPT_MILLIS {
            Self::Attempt
        } else if age <= MINUTES_KEPT_MILLIS {
            Self::Minute
        } else {
            Self::Hour
        };
        self.max(finest)
    }
}

/// What an outbox or a ledger is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// When.
    pub span: Span,
    /// How fine. Rows are finer where the span begins or ends in the middle of one: an hour that is cut comes as its
    /// minutes, a minute as its attempts, as long as those are kept. So sums over a span are those of the span. Where
    /// they are not kept any more, a minute or an hour counts when it begins in the span.
    pub resolution: Resolution,
}

/// Attempts to push: one, or those of a minute or an hour with the same result.
///
/// It is read from an array as well: objects write it as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRow {
    /// When the attempt ended, or the minute or hour began, unix milliseconds.
    pub at_millis: u64,
    /// The job.
    pub job_id: u64,
    /// Label of the destination's kind: `https`, `splunk`, `s3`, ….
    pub destination: String,
    /// 200 for accepted (also where the destination said 201, 202 or 204), else the HTTP status or one of
    /// [`crate::destination::network`]'s codes where there was none.
    pub status: u16,
    /// 1: nothing will be tried again with these records: accepted, or dead. 0: they will be pushed again.
    #[serde(rename = "final")]
    pub is_final: u8,
    /// Attempts.
    pub attempts: u64,
    /// Records in them.
    pub records: u64,
    /// Their bytes as written out.
    pub bytes: u64,
    /// Bytes that were sent as body, compressed; 0 where nothing was sent.
    pub bytes_compressed: u64,
    /// Milliseconds from the beginning of the request to the end of the answer, all attempts together.
    pub duration_millis: u64,
}

/// Rows of a push log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushLog {
    /// In order of time for each job.
    pub rows: Vec<PushRow>,
    /// Rows that SQLite read for it.
    pub rows_read: u64,
}

/// What came for one dataset in a minute or an hour. Ledgers keep no log of single batches by time, so the finest
/// resolution is a minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestRow {
    /// When the minute or hour began, unix milliseconds.
    pub at_millis: u64,
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// Batches received.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes after inflating.
    pub bytes: u64,
    /// Bytes as received.
    pub bytes_compressed: u64,
    /// Lines that are no records.
    pub invalid_lines: u64,
    /// Those and faults of the stream, by reason.
    pub invalid: BTreeMap<String, u64>,
    /// Test messages.
    pub tests: u64,
    /// Batches that came again.
    pub duplicates: u64,
}

/// Rows of what came in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestLog {
    /// In order of time for each ledger. Two ledgers of a dataset may have a row of the same minute: add them up.
    pub rows: Vec<IngestRow>,
    /// Rows that SQLite read for it.
    pub rows_read: u64,
}

/// How many of something were up to a size; counts of buckets are not cumulated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Histogram {
    /// One for each bound, and one for what is larger than all of them.
    pub buckets: Vec<u64>,
    /// The sum of all sizes.
    pub sum: u64,
}

/// Upper bounds, inclusive, of the buckets of a push's duration, in milliseconds. The deadline of a push is 30 s.
pub const DURATION_BOUNDS_MILLIS: [u64; 9] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];

/// Upper bounds, inclusive, of the buckets of a batch's size after inflating, in bytes: a default batch has some 119 MB,
/// the largest that Logpush makes 1 GB.
pub const BATCH_BOUNDS_BYTES: [u64; 9] = [
    10_000,
    100_000,
    1_000_000,
    5_000_000,
    25_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
];

impl Histogram {
    /// Counts `size`.
    pub fn count(&mut self, size: u64, bounds: &[u64]) {
        self.buckets.resize(bounds.len() + 1, 0);
        if let Some(bucket) = self.buckets.get_mut(bucket_of(size, bounds)) {
            *bucket += 1;
        }
        self.sum += size;
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        let most = self.buckets.len().max(other.buckets.len());
        self.buckets.resize(most, 0);
        for (sum, count) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum += count;
        }
        self.sum += other.sum;
    }

    /// How many were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// The bucket that a size belongs to.
#[must_use]
pub fn bucket_of(size: u64, bounds: &[u64]) -> usize {
    bounds.partition_point(|bound| *bound < size)
}

/// Attempts of all time with the same result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultTotals {
    /// Label of the destination's kind.
    pub destination: String,
    /// As in [`PushRow`]; 0 for what is beyond [`RESULTS_MAX`].
    pub status: u16,
    /// As in [`PushRow`].
    #[serde(rename = "final")]
    pub is_final: u8,
    /// Attempts.
    pub attempts: u64,
    /// Records in them.
    pub records: u64,
    /// Their bytes as written out.
    pub bytes: u64,
    /// Bytes that were sent.
    pub bytes_compressed: u64,
}

/// Results that totals tell apart for each job; more are counted together under status 0. A destination may answer with
/// any status, and what counts them is one row.
pub const RESULTS_MAX: usize = 40;

/// What a job's outbox did in all time. Never decreases, whatever is aged out. Persisted as JSON: members are only added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// By result.
    pub results: Vec<ResultTotals>,
    /// Duration of all attempts, by [`DURATION_BOUNDS_MILLIS`].
    pub duration_millis: Histogram,
    /// When an attempt last failed, unix milliseconds.
    pub last_failure_millis: Option<u64>,
    /// Its status, as in [`PushRow`].
    pub last_failure_status: Option<u16>,
}

/// One attempt, as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// When it ended, unix milliseconds.
    pub at_millis: u64,
    /// Label of the destination's kind.
    pub destination: &'a str,
    /// As in [`PushRow`].
    pub status: u16,
    /// Nothing will be tried again with these records.
    pub is_final: bool,
    /// Records.
    pub records: u64,
    /// Their bytes as written out.
    pub bytes: u64,
    /// Bytes that were sent.
    pub bytes_compressed: u64,
    /// How long it took.
    pub duration_millis: u64,
}

impl Totals {
    /// Counts an attempt.
    pub fn count(&mut self, attempt: &Attempt<'_>) {
        let is_final = u8::from(attempt.is_final);
        let is_there = |status: u16| {
            move |one: &ResultTotals| {
                (one.destination.as_str(), one.status, one.is_final)
                    == (attempt.destination, status, is_final)
            }
        };
        let known = self.results.iter().position(is_there(attempt.status));
        let status = match known {
            None if self.results.len() >= RESULTS_MAX => 0,
            _ => attempt.status,
        };
        let at = known.or_else(|| self.results.iter().position(is_there(status)));
        let at = at.unwrap_or_else(|| {
            self.results.push(ResultTotals {
                destination: attempt.destination.to_owned(),
                status,
                is_final,
                attempts: 0,
                records: 0,
                bytes: 0,
                bytes_compressed: 0,
            });
            self.results.len() - 1
        });
        if let Some(sum) = self.results.get_mut(at) {
            sum.attempts += 1;
            sum.records += attempt.records;
            sum.bytes += attempt.bytes;
            sum.bytes_compressed += attempt.bytes_compressed;
        }
        self.duration_millis
            .count(attempt.duration_millis, &DURATION_BOUNDS_MILLIS);
        if attempt.status != ACCEPTED {
            self.last_failure_millis = Some(attempt.at_millis);
            self.last_failure_status = Some(attempt.status);
        }
    }
}

/// What came for one dataset in all time. Never decreases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngestTotals {
    /// Batches received.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes after inflating.
    pub bytes: u64,
    /// Bytes as received.
    pub bytes_compressed: u64,
    /// Lines that are no records.
    pub invalid_lines: u64,
    /// Those and faults of the stream, by reason.
    pub invalid: BTreeMap<String, u64>,
    /// Test messages.
    pub tests: u64,
    /// Batches that came again.
    pub duplicates: u64,
    /// Bytes after inflating of each batch, by [`BATCH_BOUNDS_BYTES`]. Batches from before this was counted are missing.
    pub batch_bytes: Histogram,
    /// When the last batch was received, unix milliseconds, to the minute.
    pub last_batch_millis: Option<u64>,
}

impl IngestTotals {
    /// Adds those of another ledger.
    pub fn add(&mut self, other: &Self) {
        self.batches += other.batches;
        self.records += other.records;
        self.bytes += other.bytes;
        self.bytes_compressed += other.bytes_compressed;
        self.invalid_lines += other.invalid_lines;
        self.tests += other.tests;
        self.duplicates += other.duplicates;
        for (reason, count) in &other.invalid {
            *self.invalid.entry(reason.clone()).or_default() += count;
        }
        self.batch_bytes.add(&other.batch_bytes);
        self.last_batch_millis = self.last_batch_millis.max(other.last_batch_millis);
    }

    /// Takes away those of a ledger that were added before. When the last batch came stays.
    pub fn take_away(&mut self, other: &Self) {
        let less = |from: &mut u64, what: u64| *from = from.saturating_sub(what);
        less(&mut self.batches, other.batches);
        less(&mut self.records, other.records);
        less(&mut self.bytes, other.bytes);
        less(&mut self.bytes_compressed, other.bytes_compressed);
        less(&mut self.invalid_lines, other.invalid_lines);
        less(&mut self.tests, other.tests);
        less(&mut self.duplicates, other.duplicates);
        for (reason, count) in &other.invalid {
            less(self.invalid.entry(reason.clone()).or_default(), *count);
        }
        let counted = self.batch_bytes.buckets.iter_mut();
        for (count, what) in counted.zip(&other.batch_bytes.buckets) {
            less(count, *what);
        }
        less(&mut self.batch_bytes.sum, other.batch_bytes.sum);
    }
}

/// One dataset of one scope, in all time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetTotals {
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// What came.
    pub totals: IngestTotals,
}

/// An outbox as it is now, and in all time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutboxNow {
    /// All time.
    pub totals: Totals,
    /// Records that wait, parked or not.
    pub waiting_records: u64,
    /// When the oldest of them was received, unix milliseconds.
    pub oldest_waiting_millis: Option<u64>,
    /// Dead letters.
    pub dead_letters: u64,
    /// The queue is parked since, unix milliseconds.
    pub parked_since_millis: Option<u64>,
    /// First failure after the last accepted push, unix milliseconds.
    pub failing_since_millis: Option<u64>,
    /// Failed attempts since the last accepted push.
    pub consecutive_failures: u32,
    /// When the last push was accepted, unix milliseconds.
    pub last_success_millis: Option<u64>,
    /// When the last attempt failed, unix milliseconds; unset again after a success.
    pub last_error_millis: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_fine_as_asked_for_and_as_kept() {
        use Resolution::{Attempt, Hour, Minute};
        let now = 1_000 * 24 * HOUR_MILLIS;
        let ago = |hours: u64| Span {
            from_millis: now - hours * HOUR_MILLIS,
            until_millis: now,
        };
        for (wanted, hours, expected) in [
            (Attempt, 24, Attempt),
            (Attempt, 25, Minute),
            (Minute, 1, Minute),
            (Attempt, 31 * 24, Minute),
            (Minute, 31 * 24 + 1, Hour),
            (Hour, 1, Hour),
        ] {
            assert_eq!(
                wanted.within(ago(hours), now),
                expected,
                "{wanted:?} {hours}"
            );
        }
    }

    #[test]
    fn a_row_is_read_from_the_array_that_an_object_writes() {
        let row: PushRow =
            serde_json::from_str(r#"[60000,7,"https",503,0,2,10,1000,100,900]"#).unwrap();
        assert_eq!((row.job_id, row.is_final, row.duration_millis), (7, 0, 900));
        let object = serde_json::to_value(&row).unwrap();
        assert_eq!(object["final"], 0);
        assert_eq!(serde_json::from_value::<PushRow>(object).unwrap(), row);
    }

    #[test]
    fn a_size_belongs_to_the_first_bucket_that_holds_it() {
        let bounds = [10, 20];
        let found = [0, 10, 11, 20, 21].map(|size| bucket_of(size, &bounds));
        assert_eq!(found, [0, 0, 1, 1, 2]);
        let mut one = Histogram::default();
        for size in [5, 15, 25, 25] {
            one.count(size, &bounds);
        }
        let mut sum = Histogram::default();
        sum.add(&one);
        sum.add(&one);
        assert_eq!(
            (sum.buckets.as_slice(), sum.sum),
            ([2, 2, 4].as_slice(), 140)
        );
        assert_eq!(sum.total(), 8);
    }

    #[test]
    fn totals_count_each_result_and_everything_beyond_the_bound_together() {
        let mut totals = Totals::default();
        let attempt = |status| Attempt {
            at_millis: 0,
            destination: "https",
            status,
            is_final: false,
            records: 1,
            bytes: 10,
            bytes_compressed: 5,
            duration_millis: 70,
        };
        for status in 0..2 * RESULTS_MAX as u16 {
            totals.count(&attempt(500 + status));
            totals.count(&attempt(500 + status));
        }
        let sum: u64 = totals.results.iter().map(|one| one.attempts).sum();
        assert_eq!(sum, 4 * RESULTS_MAX as u64);
        assert_eq!(totals.results.len(), RESULTS_MAX + 1);
        let rest = totals.results.last().unwrap();
        assert_eq!((rest.status, rest.attempts), (0, 2 * RESULTS_MAX as u64));
        assert_eq!(totals.duration_millis.buckets[1], sum);
        totals.count(&Attempt {
            is_final: true,
            ..attempt(500)
        });
        assert_eq!(totals.results.len(), RESULTS_MAX + 2);
    }
}
