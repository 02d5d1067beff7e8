//! `GET /stats`: what came, what went, and whether the sums hold.

use crate::ledger::Summary as LedgerSummary;
use crate::logpush::job::Job;
use crate::outbox::Summary as OutboxSummary;
use crate::time;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One dataset of one scope.
#[derive(Debug, Clone, Default)]
pub struct DatasetStats {
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// The sum over its ledgers.
    pub summary: LedgerSummary,
}

/// One job.
#[derive(Debug, Clone)]
pub struct JobStats {
    /// The job.
    pub job: Job,
    /// It was deleted; shown because its records still count.
    pub is_deleted: bool,
    /// Its outbox.
    pub outbox: OutboxSummary,
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// First millisecond, unix.
    pub since_millis: u64,
    /// Last millisecond, unix.
    pub until_millis: u64,
}

/// The answer. Counters go by the minute in which a batch was received; both sums are exact when nothing is in flight,
/// and may be off by what is being taken while the counters are read.
#[must_use]
pub fn document(range: Range, datasets: &[DatasetStats], jobs: &[JobStats]) -> Value {
    let mut selected = BTreeMap::new();
    for dataset in datasets {
        let mut sum = LedgerSummary::default();
        sum.jobs.clone_from(&selected);
        sum.add(&LedgerSummary {
            jobs: dataset.summary.jobs.clone(),
            ..LedgerSummary::default()
        });
        selected = sum.jobs;
    }
    let total = datasets
        .iter()
        .fold(LedgerSummary::default(), |mut sum, dataset| {
            sum.add(&dataset.summary);
            sum
        });
    let (mut selected_records, mut owed_batches) = (0, 0);
    let (mut delivered, mut discarded, mut dead) = (0, 0, 0);
    let (mut waiting, mut parked) = (0, 0);
    let mut job_values = Vec::new();
    let mut every_job_holds = true;
    for JobStats {
        job,
        is_deleted,
        outbox,
    } in jobs
    {
        let chosen = selected.get(&job.id).copied().unwrap_or_default();
        selected_records += chosen.records;
        owed_batches += chosen.owed_batches;
        delivered += outbox.delivered_records;
        // A parked queue waits for somebody, any other one for time.
        let is_parked = outbox.parked_since_millis.is_some();
        let held = outbox.waiting_records;
        let (now_waiting, now_parked) = if is_parked { (0, held) } else { (held, 0) };
        waiting += now_waiting;
        parked += now_parked;
        dead += outbox.dead_records;
        discarded += outbox.discarded_records;
        let accounted =
            outbox.delivered_records + held + outbox.discarded_records + outbox.dead_records;
        every_job_holds &= chosen.records == accounted;
        job_values.push(json!({
            "id": job.id,
            "name": job.name,
            "scope": job.scope.to_string(),
            "dataset": job.dataset,
            "enabled": job.enabled,
            "deleted": is_deleted,
            "selected": {"batches": chosen.batches, "records": chosen.records, "bytes": chosen.bytes},
            "owed": {"batches": chosen.owed_batches},
            "surprises": chosen.surprises,
            "delivered": {
                "records": outbox.delivered_records,
                "bytes": outbox.delivered_bytes,
                "pushes": outbox.delivered_pushes,
            },
            "waiting": {
                "records": now_waiting,
                "bytes": if is_parked { 0 } else { outbox.waiting_bytes },
                "oldest_received_at": outbox.oldest_waiting_millis.map(time::rfc3339_millis),
                "attempts": outbox.attempts,
            },
            "discarded": {"records": outbox.discarded_records, "bytes": outbox.discarded_bytes},
            "parked": {
                "records": now_parked,
                "bytes": if is_parked { outbox.waiting_bytes } else { 0 },
                "since": outbox.parked_since_millis.map(time::rfc3339_millis),
            },
            "dead": {"records": outbox.dead_records, "bytes": outbox.dead_bytes},
            "failing_since": outbox.failing_since_millis.map(time::rfc3339_millis),
            "consecutive_failures": outbox.consecutive_failures,
            "last_success": outbox.last_success_millis.map(time::rfc3339_millis),
            "last_error": outbox.last_error_millis.map(time::rfc3339_millis),
            "error_message": outbox.error_message,
        }));
    }
    let archive_holds =
        total.batches == total.archived_batches && total.bytes_compressed == total.archived_bytes;
    json!({
        "since": time::rfc3339_millis(range.since_millis),
        "until": time::rfc3339_millis(range.until_millis),
        "datasets": datasets.iter().map(dataset_value).collect::<Vec<_>>(),
        "jobs": job_values,
        "reconciliation": {
            "received_equals_archived": {
                "received_batches": total.batches,
                "archived_batches": total.archived_batches,
                "received_bytes": total.bytes_compressed,
                "archived_bytes": total.archived_bytes,
                "holds": archive_holds,
            },
            "selected_equals_accounted": {
                "selected_records": selected_records,
                "delivered_records": delivered,
                "waiting_records": waiting,
                "discarded_records": discarded,
                "parked_records": parked,
                "dead_records": dead,
                "owed_batches": owed_batches,
                "holds": every_job_holds,
            },
            "holds": archive_holds && every_job_holds,
        },
    })
}

fn dataset_value(stats: &DatasetStats) -> Value {
    let DatasetStats {
        scope,
        dataset,
        summary,
    } = stats;
    json!({
        "scope": scope,
        "dataset": dataset,
        "batches": summary.batches,
        "records": summary.records,
        "bytes_raw": summary.bytes_raw,
        "bytes_compressed": summary.bytes_compressed,
        "archived": {"batches": summary.archived_batches, "bytes": summary.archived_bytes},
        "invalid_lines": summary.invalid_lines,
        "invalid": summary.invalid,
        "tests": summary.tests,
        "duplicates": summary.duplicates,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::JobSelected;
    use crate::logpush::scope::{Scope, ScopeKind};

    fn job(id: u64) -> Job {
        let scope = Scope::new(ScopeKind::Zone, "z").unwrap();
        serde_json::from_value(json!({
            "id": id, "version": 1, "scope": scope, "dataset": "dns_logs", "name": null, "enabled": true,
            "destination_conf": "https://siem.example.com/in?header_Authorization=Bearer%20x",
        }))
        .unwrap()
    }

    fn stats(selected: u64, outbox: OutboxSummary) -> Value {
        let datasets = [1, 2].map(|part| DatasetStats {
            scope: "zones/z".into(),
            dataset: "dns_logs".into(),
            summary: LedgerSummary {
                batches: 1,
                archived_batches: 1,
                bytes_compressed: 10 * part,
                archived_bytes: 10 * part,
                jobs: BTreeMap::from([(
                    7,
                    JobSelected {
                        batches: 1,
                        records: selected / 2,
                        ..JobSelected::default()
                    },
                )]),
                ..LedgerSummary::default()
            },
        });
        let jobs = [JobStats {
            job: job(7),
            is_deleted: false,
            outbox,
        }];
        let range = Range {
            since_millis: 0,
            until_millis: 60_000,
        };
        document(range, &datasets, &jobs)
    }

    #[test]
    fn the_sums_hold_when_every_selected_record_is_somewhere() {
        let outbox = OutboxSummary {
            delivered_records: 5,
            waiting_records: 3,
            discarded_records: 2,
            ..OutboxSummary::default()
        };
        let value = stats(10, outbox);
        assert_eq!(value["reconciliation"]["holds"], true);
        assert_eq!(value["jobs"][0]["selected"]["records"], 10);
        assert_eq!(value["until"], "1970-01-01T00:01:00Z");
        assert!(!value.to_string().contains("Bearer"));
    }

    #[test]
    fn a_record_that_is_nowhere_shows() {
        let value = stats(
            10,
            OutboxSummary {
                delivered_records: 9,
                ..OutboxSummary::default()
            },
        );
        assert_eq!(
            value["reconciliation"]["selected_equals_accounted"]["holds"],
            false
        );
        assert_eq!(
            value["reconciliation"]["received_equals_archived"]["holds"],
            true
        );
        assert_eq!(value["reconciliation"]["holds"], false);
    }
}
