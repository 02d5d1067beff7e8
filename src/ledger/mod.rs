//! One durable row a batch: what came, where it lies, what each job selected of it, and what is still owed.
//!
//! The row is the commit point: a batch is received when its row is there. Rows are keyed by the batch id and selections
//! by batch id and job, so a second commit of the same batch changes no counter.

mod batches;

pub use batches::{
    BATCHES_PAGE_MAX, BatchCursor, BatchRow, BatchesQuery, EventSpan, NotedRays, RayQuestion, Unmet,
};

use crate::ecs::Surprises;
use crate::route::RayBounds;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The Durable Object name of a ledger: one per scope, dataset and UTC day (`YYYYMMDD`) of the batch's first record,
/// all taken from the batch itself, so that a retry days later meets the same ledger.
#[must_use]
pub fn instance_name(scope: &str, dataset: &str, day: &str) -> String {
    format!("{scope}/{dataset}/{day}")
}

/// The minute of an instant, in minutes since 1970.
#[must_use]
pub fn minute_of(millis: u64) -> u64 {
    millis / 60_000
}

/// Whether a job's selection is in its outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SelectionState {
    /// The outbox has it.
    Stored,
    /// It still has to be made from the archived object.
    Owed {
        /// Why it could not be stored at once.
        reason: String,
    },
}

/// What one job selected of one batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSelection {
    /// The job.
    pub job_id: u64,
    /// Records; 0 while owed.
    pub records: u64,
    /// Bytes of their lines; 0 while owed.
    pub bytes: u64,
    /// The minute of receipt that they count for: that of the attempt whose append was stored, as in the outbox.
    pub minute: u64,
    /// What was odd in the records that were written out as events.
    #[serde(default, skip_serializing_if = "Surprises::is_none")]
    pub surprises: Surprises,
    /// In the outbox, or owed.
    #[serde(flatten)]
    pub state: SelectionState,
}

/// One batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// SHA-256 of the bytes as received, lower-case hex.
    pub batch_id: String,
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// The UTC day that the ledger is for, `YYYYMMDD`.
    pub day: String,
    /// The archived object.
    pub object: String,
    /// Its size as R2 reports it.
    pub object_bytes: u64,
    /// When the batch was received, unix milliseconds.
    pub received_at_millis: u64,
    /// Earliest and latest event time, unix milliseconds, where known.
    pub event_millis: Option<(i64, i64)>,
    /// Records.
    pub records: u64,
    /// Bytes after inflating.
    pub bytes_raw: u64,
    /// Bytes as received.
    pub bytes_compressed: u64,
    /// Lines that are no records.
    pub invalid_lines: u64,
    /// Those and faults of the stream, by reason.
    pub invalid: BTreeMap<String, u64>,
    /// The quarantine object, if there are bad lines.
    pub quarantine: Option<String>,
    /// Between which RayIDs those of its records lie, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rays: Option<RayBounds>,
    /// What each job selected.
    pub selections: Vec<JobSelection>,
    /// Of an object that Logpush wrote itself: which of the objects that its key has had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// An object that Logpush wrote itself, and the batch in it. A ledger remembers them, so that a further event of the same
/// object is known without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenObject {
    /// Its key.
    pub object: String,
    /// Which of the objects that this key has had.
    pub etag: String,
    /// SHA-256 of its bytes, lower-case hex.
    pub batch_id: String,
}

/// Whether an object was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// The key is new to this ledger.
    New,
    /// Exactly this object; it is counted as a duplicate.
    Known,
    /// The key had another object before.
    Overwritten,
}

/// A selection of a batch that was committed before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateSelection {
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// The UTC day that the ledger is for, `YYYYMMDD`.
    pub day: String,
    /// The batch.
    pub batch_id: String,
    /// The selection; one of the same job that is there already stays.
    pub selection: JobSelection,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitResult {
    /// The row is new.
    Committed,
    /// The batch was committed before; counters did not move, except the one of duplicates.
    Duplicate {
        /// Where its bytes lie.
        object: String,
    },
}

/// What a ledger knows of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// The object that its row names; `None` when it is not committed.
    pub object: Option<String>,
}

/// Things that are counted without being a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occurrence {
    /// A test message.
    Test,
    /// A batch that had been committed before.
    Duplicate,
}

/// What a job selected over a range of minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobSelected {
    /// Batches of which it selected something.
    pub batches: u64,
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// Batches whose selection is still owed.
    pub owed_batches: u64,
    /// Batches whose selection was owed and can not be made any more, because the archived object is gone.
    pub gone_batches: u64,
    /// What was odd in the records that were written out as events.
    pub surprises: Surprises,
}

/// Minutes of the windows that show how things go at present: each is the current minute and so many before it.
pub const WINDOWS_MINUTES: [u64; 3] = [5, 60, 24 * 60];

/// What came in one of the [`WINDOWS_MINUTES`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recent {
    /// Batches received.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes after inflating.
    pub bytes_raw: u64,
    /// Bytes as received.
    pub bytes_compressed: u64,
    /// Lines that are no records.
    pub invalid_lines: u64,
}

impl Recent {
    fn add(&mut self, other: &Self) {
        self.batches += other.batches;
        self.records += other.records;
        self.bytes_raw += other.bytes_raw;
        self.bytes_compressed += other.bytes_compressed;
        self.invalid_lines += other.invalid_lines;
    }
}

/// Counters of one ledger over a range of minutes of receipt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Batches received.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes after inflating.
    pub bytes_raw: u64,
    /// Bytes as received.
    pub bytes_compressed: u64,
    /// Batches with an archived object.
    pub archived_batches: u64,
    /// Bytes of those objects, as R2 reported them.
    pub archived_bytes: u64,
    /// Lines that are no records.
    pub invalid_lines: u64,
    /// Those and faults of the stream, by reason.
    pub invalid: BTreeMap<String, u64>,
    /// Test messages.
    pub tests: u64,
    /// Batches that came again.
    pub duplicates: u64,
    /// By job id.
    pub jobs: BTreeMap<u64, JobSelected>,
    /// What came in each of the [`WINDOWS_MINUTES`], whatever the range.
    pub recent: [Recent; WINDOWS_MINUTES.len()],
    /// The minute of the last batch, unix milliseconds, whatever the range.
    pub last_batch_millis: Option<u64>,
}

impl Summary {
    /// Adds the counters of another ledger.
    pub fn add(&mut self, other: &Self) {
        self.batches += other.batches;
        self.records += other.records;
        self.bytes_raw += other.bytes_raw;
        self.bytes_compressed += other.bytes_compressed;
        self.archived_batches += other.archived_batches;
        self.archived_bytes += other.archived_bytes;
        self.invalid_lines += other.invalid_lines;
        self.tests += other.tests;
        self.duplicates += other.duplicates;
        for (reason, count) in &other.invalid {
            *self.invalid.entry(reason.clone()).or_default() += count;
        }
        for (job, selected) in &other.jobs {
            let sum = self.jobs.entry(*job).or_default();
            sum.batches += selected.batches;
            sum.records += selected.records;
            sum.bytes += selected.bytes;
            sum.owed_batches += selected.owed_batches;
            sum.gone_batches += selected.gone_batches;
            sum.surprises.add(&selected.surprises);
        }
        for (sum, recent) in self.recent.iter_mut().zip(&other.recent) {
            sum.add(recent);
        }
        self.last_batch_millis = self.last_batch_millis.max(other.last_batch_millis);
    }
}

/// First wait before an owed selection is tried again, and the longest, in milliseconds.
const OWED_RETRY_MILLIS: (u64, u64) = (2_000, 10 * 60_000);

/// When to try an owed selection again after `attempts` tries, in milliseconds from now.
#[must_use]
pub fn owed_retry_millis(attempts: u32) -> u64 {
    OWED_RETRY_MILLIS
        .0
        .saturating_mul(1 << attempts.min(16))
        .min(OWED_RETRY_MILLIS.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_and_the_name_have_not_changed() {
        let commit = Commit {
            batch_id: "ab".into(),
            scope: "zones/z".into(),
            dataset: "dns_logs".into(),
            day: "20220707".into(),
            object: "o".into(),
            object_bytes: 9,
            received_at_millis: 1,
            event_millis: Some((2, 3)),
            records: 4,
            bytes_raw: 5,
            bytes_compressed: 6,
            invalid_lines: 1,
            invalid: BTreeMap::from([("not_json".into(), 1)]),
            quarantine: None,
            rays: None,
            selections: vec![
                JobSelection {
                    job_id: 1,
                    records: 2,
                    bytes: 3,
                    minute: 7,
                    surprises: Surprises {
                        unreadable_time: 1,
                        ..Surprises::default()
                    },
                    state: SelectionState::Stored,
                },
                JobSelection {
                    job_id: 2,
                    records: 0,
                    bytes: 0,
                    minute: 7,
                    surprises: Surprises::default(),
                    state: SelectionState::Owed {
                        reason: "full".into(),
                    },
                },
            ],
            etag: None,
        };
        let text = r#"{"batch_id":"ab","scope":"zones/z","dataset":"dns_logs","day":"20220707","object":"o","object_bytes":9,"received_at_millis":1,"event_millis":[2,3],"records":4,"bytes_raw":5,"bytes_compressed":6,"invalid_lines":1,"invalid":{"not_json":1},"quarantine":null,"selections":[{"job_id":1,"records":2,"bytes":3,"minute":7,"surprises":{"unreadable_time":1,"unexpected_value":0,"unknown_dataset":0},"state":"stored"},{"job_id":2,"records":0,"bytes":0,"minute":7,"state":"owed","reason":"full"}]}"#;
        assert_eq!(serde_json::to_string(&commit).unwrap(), text);
        assert_eq!(serde_json::from_str::<Commit>(text).unwrap(), commit);
        let in_place = Commit {
            etag: Some("e".into()),
            ..commit
        };
        let text = text.replace("}]}", r#"}],"etag":"e"}"#);
        assert_eq!(serde_json::to_string(&in_place).unwrap(), text);
        assert_eq!(
            instance_name("zones/z", "dns_logs", "20220707"),
            "zones/z/dns_logs/20220707"
        );
    }

    #[test]
    fn summaries_add_up_job_by_job_and_reason_by_reason() {
        let one = Summary {
            batches: 1,
            invalid: BTreeMap::from([("bomb".into(), 1)]),
            jobs: BTreeMap::from([(
                1,
                JobSelected {
                    batches: 1,
                    records: 5,
                    bytes: 50,
                    surprises: Surprises {
                        unknown_dataset: 5,
                        ..Surprises::default()
                    },
                    ..JobSelected::default()
                },
            )]),
            ..Summary::default()
        };
        let mut sum = one.clone();
        sum.add(&one);
        assert_eq!(
            (sum.batches, sum.invalid["bomb"], sum.jobs[&1].records),
            (2, 2, 10)
        );
        assert_eq!(sum.jobs[&1].surprises.unknown_dataset, 10);
    }

    #[test]
    fn owed_selections_are_tried_again_ever_more_rarely() {
        assert_eq!(
            [0, 1, 2, 40].map(owed_retry_millis),
            [2_000, 4_000, 8_000, 600_000]
        );
    }
}
