//! What the Worker and an outbox say to each other, and the outbox's name.

use crate::ledger::WINDOWS_MINUTES;
use crate::route::{Assembly, Segment};
use serde::{Deserialize, Serialize};

/// The Durable Object name of a job's outbox. Persisted by its effect: renaming it would lose what waits there.
#[must_use]
pub fn instance_name(job_id: u64) -> String {
    format!("job/{job_id}/shard/0")
}

/// Where the bytes of an entry are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EntrySource {
    /// In the append's own body, in order.
    Inline,
    /// In an R2 object that this append owns.
    Spool {
        /// The object.
        key: String,
        /// Where the entry begins in it, in bytes.
        start: u64,
    },
    /// The whole archived object, a single gzip member, is the entry. Never deleted by the outbox.
    Archive {
        /// The object.
        key: String,
        /// Its size in bytes.
        size: u64,
    },
}

/// One selection of one batch, to be stored until it is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Append {
    /// The job.
    pub job_id: u64,
    /// SHA-256 of the batch as received, lower-case hex.
    pub batch_id: String,
    /// When the batch was received, unix milliseconds. Counters go to this minute.
    pub received_at_millis: u64,
    /// Earliest event time in the batch, unix milliseconds, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_event_millis: Option<u64>,
    /// Latest event time in the batch, unix milliseconds, if it is known.
    #[serde(default)]
    pub last_event_millis: Option<u64>,
    /// The segments, each with its place.
    pub segments: Vec<(Segment, EntrySource)>,
    /// What a push has around and between these records; `None` for lines of JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assembly: Option<Assembly>,
    /// The outbox is to know the batch as long as it lives, and not only for [`crate::limits::REMEMBER_BATCH_MILLIS`]: a
    /// replay or a backfill may stand still for longer between an append and its answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remember_for_good: bool,
}

/// How much an outbox holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Entries that wait.
    pub entries: u64,
    /// Their records.
    pub records: u64,
    /// The records' bytes as written out.
    pub bytes: u64,
}

/// What an outbox took of one batch, whether or not it is delivered by now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Records.
    pub records: u64,
    /// Their bytes as written out.
    pub bytes: u64,
    /// The minute of receipt that they count for.
    pub minute: u64,
}

/// The outbox's answer to an append. What it holds of the batch is what the ledger writes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum AppendAnswer {
    /// Stored; the answer is given after the rows are durable.
    Stored(Holding),
    /// This batch was appended before; nothing changed.
    Duplicate(Holding),
    /// The outbox holds as much as it may ([`crate::limits::OUTBOX_MAX_BYTES`]); nothing changed.
    Full,
}

/// What an append would be answered: asked before a selection is made for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Prospect {
    /// There is room.
    Room,
    /// The batch is there.
    Duplicate(Holding),
    /// There is no room.
    Full,
}

/// How a job's pushes are doing, as Logpush shows it on the job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Latest event time of the last accepted push, unix milliseconds.
    pub last_complete_millis: Option<u64>,
    /// When the last attempt failed, unix milliseconds; `None` again after a success.
    pub last_error_millis: Option<u64>,
    /// What the destination said then; `None` again after a success.
    pub error_message: Option<String>,
}

/// What was pushed in one of the [`WINDOWS_MINUTES`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recent {
    /// Pushes that were accepted.
    pub pushes: u64,
    /// Records in them.
    pub records: u64,
    /// Their bytes as written out.
    pub bytes: u64,
    /// Bytes that were sent, compressed.
    pub bytes_compressed: u64,
    /// Attempts that were not accepted.
    pub failures: u64,
    /// Records that became dead letters.
    pub dead_records: u64,
    /// Milliseconds that accepted pushes took, all together.
    pub duration_millis: u64,
}

/// Counters of one outbox over a range of minutes of receipt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Batches appended.
    pub stored_batches: u64,
    /// Records appended.
    pub stored_records: u64,
    /// Bytes appended.
    pub stored_bytes: u64,
    /// Records that the destination accepted.
    pub delivered_records: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Accepted pushes, of all time.
    pub delivered_pushes: u64,
    /// Records dropped because the job was deleted.
    pub discarded_records: u64,
    /// Their bytes.
    pub discarded_bytes: u64,
    /// Records in the table, counted row by row.
    pub waiting_records: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// The queue is parked: what waits, waits for somebody to mend the destination or the job.
    pub parked_since_millis: Option<u64>,
    /// Records in dead letters, counted row by row.
    pub dead_records: u64,
    /// Their bytes.
    pub dead_bytes: u64,
    /// First failure after the last accepted push, unix milliseconds.
    pub failing_since_millis: Option<u64>,
    /// Failed attempts since the last accepted push.
    pub consecutive_failures: u32,
    /// Dead letters, of any age.
    pub dead_letters: u64,
    /// What was pushed in each of the [`WINDOWS_MINUTES`], whatever the range.
    pub recent: [Recent; WINDOWS_MINUTES.len()],
    /// When an attempt last failed, unix milliseconds, whatever came after it.
    pub last_failure_millis: Option<u64>,
    /// Its status: HTTP, or one of [`crate::destination::network`]'s codes.
    pub last_failure_status: Option<u16>,
    /// When the oldest record that waits was received, unix milliseconds, whatever the range.
    pub lag_since_millis: Option<u64>,
    /// When the oldest of them was received, unix milliseconds.
    pub oldest_waiting_millis: Option<u64>,
    /// Attempts of the current push.
    pub attempts: u32,
    /// Records that the destination has taken and not yet acknowledged; they are among those that wait.
    pub unacknowledged_records: u64,
    /// When it took them, unix milliseconds.
    pub taken_at_millis: Option<u64>,
    /// When the last push was accepted, unix milliseconds.
    pub last_success_millis: Option<u64>,
    /// When the last attempt failed, unix milliseconds; unset again after a success.
    pub last_error_millis: Option<u64>,
    /// What the destination said then.
    pub error_message: Option<String>,
}

/// What a destination refused for good, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its number, unique in the job.
    pub id: u64,
    /// The batch that its records came in.
    pub batch_id: String,
    /// The id of the push that was refused.
    pub push_id: String,
    /// Records.
    pub records: u64,
    /// Their bytes as written out.
    pub bytes: u64,
    /// The HTTP status, or one of [`crate::destination::network`]'s codes.
    pub status: u16,
    /// What the destination said, in Logpush's form.
    pub reason: String,
    /// When the batch was received, unix milliseconds.
    pub received_at_millis: u64,
    /// When the destination refused it, unix milliseconds.
    pub died_at_millis: u64,
    /// The R2 object with the records; `None` when what they lay in was not there any more.
    pub object: Option<String>,
}

/// Which dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// These; empty for all.
    pub ids: Vec<u64>,
    /// Not older, by when they died, unix milliseconds.
    pub since_millis: Option<u64>,
    /// Not younger.
    pub until_millis: Option<u64>,
    /// With a greater number than this one: where the last page ended.
    pub after: u64,
    /// At most so many, lowest number first.
    pub limit: Option<u64>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// How many dead letters were chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selected {
    /// Dead letters.
    pub dead_letters: u64,
    /// Their records.
    pub records: u64,
    /// Chosen, but their records are not there any more: they can not be sent again.
    pub unavailable: u64,
    /// Would have been chosen, had there been no limit: the same call again takes them.
    #[serde(default)]
    pub left: u64,
}
