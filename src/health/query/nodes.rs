//! The logs that can be asked about.

use super::{Dimension, Kind, Measure, Node, Record, Value};
use crate::health::log::{IngestRow, PushRow};

const fn time(name: &'static str, step_secs: u64, about: &'static str) -> Dimension {
    Dimension {
        name,
        kind: Kind::Time(step_secs),
        about,
    }
}

const fn text(name: &'static str, about: &'static str) -> Dimension {
    Dimension {
        name,
        kind: Kind::Text,
        about,
    }
}

const fn number(name: &'static str, scalar: &'static str, about: &'static str) -> Dimension {
    Dimension {
        name,
        kind: Kind::Number(scalar),
        about,
    }
}

const fn measure(name: &'static str, about: &'static str) -> Measure {
    Measure { name, about }
}

const DATE: Dimension = Dimension {
    name: "date",
    kind: Kind::Date,
    about: "The day in UTC.",
};
const DATETIME: Dimension = time("datetime", 1, "The second.");
const MINUTE: Dimension = time("datetimeMinute", 60, "The minute.");
const FIVE_MINUTES: Dimension = time("datetimeFiveMinutes", 300, "The five minutes.");
const FIFTEEN_MINUTES: Dimension = time("datetimeFifteenMinutes", 900, "The quarter of an hour.");
const HOUR: Dimension = time("datetimeHour", 3_600, "The hour.");

const SAMPLE_INTERVAL: Measure = measure("sampleInterval", "Always 1, because nothing is sampled.");

/// Pushes: one row an attempt. Names are Cloudflare's, but for the mean duration, whose name is not public.
pub static HEALTH: Node = Node {
    name: "logpushHealthAdaptiveGroups",
    about: "Pushes to destinations, every attempt.",
    counts: "Attempts to push.",
    dimensions: &[
        DATE,
        DATETIME,
        MINUTE,
        FIVE_MINUTES,
        FIFTEEN_MINUTES,
        HOUR,
        text(
            "destinationType",
            "Kind of destination: https, splunk, s3, ….",
        ),
        number(
            "final",
            "uint8",
            "1 when nothing is tried again with these records, because they were accepted or are dead letters; else 0.",
        ),
        number("jobId", "uint64", "The job."),
        number(
            "status",
            "uint16",
            "200 for an accepted push, else the HTTP status, or 1101 to 1201 where there was no answer.",
        ),
    ],
    sums: &[
        measure("bytes", "Bytes of the records, not compressed."),
        measure("bytesCompressed", "Bytes that were sent."),
        measure("records", "Records."),
        measure("uploads", "Attempts to push."),
    ],
    means: &[
        SAMPLE_INTERVAL,
        measure(
            "uploadDurationMs",
            "Milliseconds from the beginning of a push to the end of its answer.",
        ),
    ],
};

/// What Cloudflare bills: bytes that were delivered.
pub static USAGE: Node = Node {
    name: "logpushUsageAdaptiveGroups",
    about: "What destinations accepted.",
    counts: "Accepted pushes.",
    dimensions: &[
        DATE,
        DATETIME,
        MINUTE,
        FIVE_MINUTES,
        FIFTEEN_MINUTES,
        HOUR,
        text(
            "destinationType",
            "Kind of destination: https, splunk, s3, ….",
        ),
        number("jobId", "uint64", "The job."),
    ],
    sums: &[measure(
        "billableBytes",
        "Bytes of the delivered records, not compressed.",
    )],
    means: &[SAMPLE_INTERVAL],
};

/// What came in. Ours: Cloudflare has the other end of it.
pub static INGEST: Node = Node {
    name: "logpushIngestAdaptiveGroups",
    about: "Batches that Logpush sent to this Worker.",
    counts: "Batches received.",
    dimensions: &[
        DATE,
        DATETIME,
        MINUTE,
        FIVE_MINUTES,
        FIFTEEN_MINUTES,
        HOUR,
        text("dataset", "The dataset."),
        text(
            "reason",
            "Why lines are no records, or a stream is faulty; empty for everything else.",
        ),
    ],
    sums: &[
        measure("batches", "Batches received."),
        measure("bytes", "Their bytes after inflating."),
        measure("bytesCompressed", "Their bytes as received."),
        measure("duplicates", "Batches that came again."),
        measure(
            "invalid",
            "Lines that are no records, and faults of the stream.",
        ),
        measure("records", "Records in them."),
        measure("tests", "Test messages."),
    ],
    means: &[SAMPLE_INTERVAL],
};

/// All of them.
pub static NODES: [&Node; 3] = [&HEALTH, &INGEST, &USAGE];

/// As [`HEALTH`] and, for accepted pushes, as [`USAGE`] asks for it.
impl Record for &PushRow {
    fn at_secs(&self) -> u64 {
        self.at_millis / 1_000
    }

    fn value(&self, dimension: usize) -> Value<'_> {
        match dimension {
            0 => Value::Text(&self.destination),
            1 => Value::Number(self.is_final.into()),
            2 => Value::Number(self.job_id),
            3 => Value::Number(self.status.into()),
            _ => Value::Text(""),
        }
    }

    fn count(&self) -> u64 {
        self.attempts
    }

    fn sum(&self, sum: usize) -> u64 {
        match sum {
            0 => self.bytes,
            1 => self.bytes_compressed,
            2 => self.records,
            3 | 4 => self.attempts,
            5 => self.duration_millis,
            _ => 0,
        }
    }
}

/// An accepted push, as [`USAGE`] asks for it.
#[derive(Clone, Copy, Debug)]
pub struct UsageRecord<'a>(&'a PushRow);

impl<'a> UsageRecord<'a> {
    /// The push, when it was accepted.
    #[must_use]
    pub fn of(row: &'a PushRow) -> Option<Self> {
        (row.status == 200).then_some(Self(row))
    }
}

impl Record for UsageRecord<'_> {
    fn at_secs(&self) -> u64 {
        self.0.at_secs()
    }

    fn value(&self, dimension: usize) -> Value<'_> {
        match dimension {
            0 => Value::Text(&self.0.destination),
            1 => Value::Number(self.0.job_id),
            _ => Value::Text(""),
        }
    }

    fn count(&self) -> u64 {
        self.0.attempts
    }

    fn sum(&self, sum: usize) -> u64 {
        match sum {
            0 => self.0.bytes,
            1 => self.0.attempts,
            _ => 0,
        }
    }
}

/// A row of what came in: without a reason all of it but what is invalid, with a reason what is invalid because of it.
#[derive(Clone, Copy, Debug)]
pub struct IngestRecord<'a> {
    row: &'a IngestRow,
    reason: Option<(&'a str, u64)>,
}

/// A row as it is grouped by reason.
pub fn ingest_records(row: &IngestRow) -> impl Iterator<Item = IngestRecord<'_>> {
    let reasons = row.invalid.iter();
    let reasons = reasons.map(|(reason, count)| Some((reason.as_str(), *count)));
    std::iter::once(None)
        .chain(reasons)
        .map(move |reason| IngestRecord { row, reason })
}

impl Record for IngestRecord<'_> {
    fn at_secs(&self) -> u64 {
        self.row.at_millis / 1_000
    }

    fn value(&self, dimension: usize) -> Value<'_> {
        Value::Text(match dimension {
            0 => &self.row.dataset,
            _ => self.reason.map_or("", |(reason, _)| reason),
        })
    }

    fn count(&self) -> u64 {
        self.sum(0)
    }

    fn sum(&self, sum: usize) -> u64 {
        if let Some((_, count)) = self.reason {
            return if sum == 4 { count } else { 0 };
        }
        match sum {
            0 | 7 => self.row.batches,
            1 => self.row.bytes,
            2 => self.row.bytes_compressed,
            3 => self.row.duplicates,
            5 => self.row.records,
            6 => self.row.tests,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_first_and_names_are_told_apart_once() {
        for node in NODES {
            let kinds: Vec<bool> = node
                .dimensions
                .iter()
                .map(|one| one.kind.step_secs().is_none())
                .collect();
            assert!(kinds.is_sorted(), "{}", node.name);
            let mut fields = node.fields();
            let all = fields.len();
            fields.sort();
            fields.dedup();
            assert_eq!(fields.len(), all, "{}", node.name);
            assert_eq!(node.orderings().len(), 2 * all, "{}", node.name);
            assert_eq!(node.mean("sampleInterval"), Some(0), "{}", node.name);
        }
    }
}
