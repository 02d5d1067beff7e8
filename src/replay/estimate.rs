//! What a replay would do, before anybody makes one: counted where that is quick, else from a sample.

use super::Sum;
use crate::limits::{PUSH_DEFAULT_BYTES, SEGMENT_MAX_BYTES};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Batches that are read for an estimate: each is a call to R2, of the 1,000 that a request may make (Workers limits page).
pub const SAMPLE_BATCHES_MAX: u64 = 256;

/// Bytes after inflating that are read for an estimate: a second of CPU, and a few until the answer is there.
pub const SAMPLE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// USD: R2 class B operations, rows that Durable Objects write, requests to them, CPU milliseconds. List prices, those of
/// `scripts/cost/prices.json`, each of one.
const R2_READ_USD: f64 = 0.36 / 1e6;
const ROW_WRITTEN_USD: f64 = 1.0 / 1e6;
const OBJECT_REQUEST_USD: f64 = 0.15 / 1e6;
const CPU_MILLI_USD: f64 = 0.02 / 1e6;

/// CPU milliseconds of a GB that is read and selected from: `scripts/cost/measured.json`, one job.
const CPU_MILLIS_PER_GB: f64 = 1_664.0;

/// Rows that a batch writes: the replay's progress and its minute, and what an append writes in the outbox, but for the
/// ledger's two (`scripts/cost/measured.json`: `selection`).
const ROWS_PER_BATCH: u64 = 2 + 5;
/// Rows of an entry, of its coming and of its going (`inline_entry` there).
const ROWS_PER_ENTRY: u64 = 5;
/// Rows of a push (`push` there).
const ROWS_PER_PUSH: u64 = 8;
/// Requests to objects of a batch: the outbox is asked and gets what was selected; its alarm and the replay's are shared by
/// several, and count as one.
const REQUESTS_PER_BATCH: u64 = 3;

/// Seconds that a batch takes to be opened and handed over, and a GB to be read, in one object: R2's first byte and
/// three calls, at the 30 ms and 10 ms that docs/cost.md assumes; and twice the CPU of the latter.
const SECS_PER_BATCH: f64 = 0.06;
const SECS_PER_GB: f64 = 2.0;

/// What was read for an estimate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampled {
    /// The batches.
    pub read: Sum,
    /// Batches whose object is not there.
    pub missing: u64,
    /// Records selected.
    pub records: u64,
    /// Their bytes as written out.
    pub bytes: u64,
    /// Records that were left out because they have no readable time.
    pub undated: u64,
    /// Lines that are no records.
    pub invalid_lines: u64,
}

impl Sampled {
    /// More that was read.
    pub fn add(&mut self, more: &Self) {
        self.read.add(&more.read);
        self.missing += more.missing;
        self.records += more.records;
        self.bytes += more.bytes;
        self.undated += more.undated;
        self.invalid_lines += more.invalid_lines;
    }
}

/// Every how many-th batch is read of what lies in the range; 1 reads all.
#[must_use]
pub fn sample(total: &Sum) -> u64 {
    let by_batches = total.batches.div_ceil(SAMPLE_BATCHES_MAX);
    let by_bytes = total.bytes_raw.div_ceil(SAMPLE_BYTES_MAX);
    by_batches.max(by_bytes).max(1)
}

/// What a replay would do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// What lies in the range.
    pub total: Sum,
    /// What was read of it.
    pub sampled: Sampled,
    /// Bytes of records a second at most.
    pub max_bytes_per_second: Option<u64>,
    /// Pushes a second at most.
    pub max_pushes_per_second: Option<f64>,
    /// Bytes of one push at most, if the job says so.
    pub max_upload_bytes: Option<u64>,
}

impl Estimate {
    /// Everything was read, so the figures are counts.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.sampled.read.batches + self.sampled.missing >= self.total.batches
    }

    /// As the API shows it.
    #[must_use]
    pub fn to_api(&self) -> Value {
        let Self { total, sampled, .. } = self;
        // By bytes, because batches differ in size; by batches for what is missing.
        let by = |part: u64, whole: u64| {
            if self.is_exact() || part == 0 {
                1.0
            } else {
                whole as f64 / part as f64
            }
        };
        let grown = |n: u64, factor: f64| (n as f64 * factor).round() as u64;
        let looked_at = sampled.read.batches + sampled.missing;
        let missing = grown(sampled.missing, by(looked_at, total.batches));
        let there = total.bytes_raw as f64
            * (1.0 - missing as f64 / total.batches.max(1) as f64).clamp(0.0, 1.0);
        let by_bytes = by(sampled.read.bytes_raw, there as u64);
        let (records, bytes) = (
            grown(sampled.records, by_bytes),
            grown(sampled.bytes, by_bytes),
        );
        let batches = total.batches.saturating_sub(missing);
        let pushes = if records == 0 {
            0
        } else {
            // A queue that is pushed as it fills: one push a batch, or as many as its size needs.
            bytes
                .div_ceil(self.max_upload_bytes.unwrap_or(PUSH_DEFAULT_BYTES).max(1))
                .max(1)
        };
        let entries = bytes.div_ceil(SEGMENT_MAX_BYTES).max(batches.min(records));
        let rows = batches * ROWS_PER_BATCH + entries * ROWS_PER_ENTRY + pushes * ROWS_PER_PUSH;
        let cpu = there / 1e9 * CPU_MILLIS_PER_GB;
        let requests = batches * REQUESTS_PER_BATCH;
        let usd = total.batches as f64 * R2_READ_USD
            + rows as f64 * ROW_WRITTEN_USD
            + requests as f64 * OBJECT_REQUEST_USD
            + cpu * CPU_MILLI_USD;
        let reading = batches as f64 * SECS_PER_BATCH + there / 1e9 * SECS_PER_GB;
        let by_rate = self
            .max_bytes_per_second
            .map_or(0.0, |rate| bytes as f64 / rate.max(1) as f64);
        let by_pushes = self
            .max_pushes_per_second
            .map_or(0.0, |rate| pushes as f64 / rate.max(f64::MIN_POSITIVE));
        json!({
            "dry_run": true,
            "exact": self.is_exact(),
            "batches": total.batches,
            "batches_read": sampled.read.batches,
            "records": total.records,
            "bytes_raw": total.bytes_raw,
            "object_bytes": total.object_bytes,
            "selected": {"records": records, "bytes": bytes},
            "undated_records": grown(sampled.undated, by_bytes),
            "invalid_lines": grown(sampled.invalid_lines, by_bytes),
            "missing": {"batches": missing},
            "pushes": pushes,
            "duration_seconds": reading.max(by_rate).max(by_pushes).ceil() as u64,
            "cost": {
                "usd": (usd * 1e6).round() / 1e6,
                "r2_reads": total.batches,
                "rows_written": rows,
                "object_requests": requests,
                "cpu_millis": cpu.round() as u64,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(batches: u64, sampled: Sampled) -> Estimate {
        Estimate {
            total: Sum {
                batches,
                records: batches * 100,
                bytes_raw: batches * 10_000,
                object_bytes: batches * 1_000,
            },
            sampled,
            max_bytes_per_second: None,
            max_pushes_per_second: None,
            max_upload_bytes: None,
        }
    }

    fn sampled(batches: u64) -> Sampled {
        Sampled {
            read: Sum {
                batches,
                records: batches * 100,
                bytes_raw: batches * 10_000,
                object_bytes: batches * 1_000,
            },
            records: batches * 10,
            bytes: batches * 1_500,
            undated: batches,
            ..Sampled::default()
        }
    }

    #[test]
    fn prices_and_measures_are_those_of_the_cost_model() {
        let prices: Value =
            serde_json::from_str(include_str!("../../scripts/cost/prices.json")).unwrap();
        let measured: Value =
            serde_json::from_str(include_str!("../../scripts/cost/measured.json")).unwrap();
        let each = |item: &str| {
            let item = &prices["items"][item];
            item["usd"].as_f64().unwrap() / item["per"].as_f64().unwrap()
        };
        for (ours, item) in [
            (R2_READ_USD, "r2_class_b"),
            (ROW_WRITTEN_USD, "rows_written"),
            (OBJECT_REQUEST_USD, "object_requests"),
            (CPU_MILLI_USD, "worker_cpu"),
        ] {
            assert!((ours - each(item)).abs() < 1e-15, "{item}");
        }
        let pieces = |of: &str| measured["pieces"][of]["rows_written"].as_u64();
        assert_eq!(pieces("selection"), Some(ROWS_PER_BATCH));
        assert_eq!(pieces("inline_entry"), Some(ROWS_PER_ENTRY));
        assert_eq!(pieces("push"), Some(ROWS_PER_PUSH));
        let one = measured["cpu"]["cases"].as_array().unwrap().iter();
        let one = one
            .filter(|case| case["jobs"] == 1)
            .map(|case| case["ms_per_gb_raw"].as_f64());
        assert_eq!(one.collect::<Vec<_>>(), [Some(CPU_MILLIS_PER_GB)]);
    }

    #[test]
    fn what_was_read_whole_is_shown_as_it_is_and_a_sample_stands_for_the_rest() {
        let whole = estimate(200, sampled(200)).to_api();
        assert_eq!(whole["exact"], true);
        assert_eq!(
            whole["selected"],
            json!({"records": 2_000, "bytes": 300_000})
        );
        let part = estimate(10_000, sampled(200)).to_api();
        assert_eq!(part["exact"], false);
        assert_eq!(
            (&part["batches"], &part["batches_read"]),
            (&json!(10_000), &json!(200))
        );
        assert_eq!(
            part["selected"],
            json!({"records": 100_000, "bytes": 15_000_000})
        );
        assert_eq!(part["undated_records"], 10_000);
        let gone = Sampled {
            missing: 50,
            ..sampled(150)
        };
        let gone = estimate(10_000, gone).to_api();
        assert_eq!(gone["missing"]["batches"], 2_500);
        assert_eq!(gone["selected"]["records"], 75_000);
        let nothing = estimate(0, Sampled::default()).to_api();
        assert_eq!(
            (&nothing["exact"], &nothing["pushes"]),
            (&json!(true), &json!(0))
        );
        assert_eq!(nothing["cost"]["usd"], 0.0);
    }

    #[test]
    fn a_rate_sets_the_duration() {
        let fast = estimate(200, sampled(200));
        assert_eq!(fast.to_api()["duration_seconds"], 13);
        let slow = Estimate {
            max_bytes_per_second: Some(1_000),
            ..fast
        };
        assert_eq!(slow.to_api()["duration_seconds"], 300);
        let slower = Estimate {
            max_pushes_per_second: Some(0.001),
            ..slow
        };
        assert_eq!(slower.to_api()["duration_seconds"], 1_000);
    }

    #[test]
    fn a_sample_keeps_both_bounds() {
        let total = |batches, bytes_raw| Sum {
            batches,
            bytes_raw,
            ..Sum::default()
        };
        assert_eq!(sample(&total(0, 0)), 1);
        assert_eq!(sample(&total(256, 1 << 29)), 1);
        assert_eq!(sample(&total(257, 1 << 29)), 2);
        assert_eq!(sample(&total(100, 1 << 33)), 16);
    }
}
