//! `GET /stats`: what came, what went, and whether the sums hold.

use crate::events::{EXTRA_COPIES, OVERWRITTEN};
use crate::ledger::{JobSelected, Summary as LedgerSummary, WINDOWS_MINUTES};
use crate::logpush::job::Job;
use crate::outbox::Summary as OutboxSummary;
use crate::replay::{Facts, Progress, Spec};
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
    /// The replay whose queue it is, or that fills it up.
    pub replay: Option<ReplayStats>,
}

/// A replay, and what its queue was given.
#[derive(Debug, Clone)]
pub struct ReplayStats {
    /// What it is to do.
    pub spec: Spec,
    /// How far it has come.
    pub progress: Progress,
    /// What its queue was given in the range that is asked for; `None` for one that fills up a job, of which the ledgers
    /// count what was selected.
    pub selected: Option<JobSelected>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// First millisecond, unix.
    pub since_millis: u64,
    /// Last millisecond, unix.
    pub until_millis: u64,
}

/// What the counters are looked at with.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// What was asked for.
    pub range: Range,
    /// When, unix milliseconds.
    pub now_millis: u64,
    /// How long a record may wait before a queue is a backlog (`ALERT_BACKLOG_OLDER_THAN`); `None`: for ever.
    pub backlog_millis: Option<u64>,
}

/// How a job is, in one word: the first of these that is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It is gone; what it had is discarded.
    Deleted,
    /// Nothing was accepted for a day, so it was disabled; it still selects.
    DisabledByFailing,
    /// Somebody disabled it.
    Disabled,
    /// It waits for somebody to mend the destination or the job.
    Parked,
    /// The last attempt failed.
    Failing,
    /// Nothing fails, but the oldest record has waited for longer than it should.
    Backlog,
    /// Nothing waits, and nothing was pushed for a day.
    Idle,
    /// All is well.
    Healthy,
}

impl JobState {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::DisabledByFailing => "disabled_by_failing",
            Self::Disabled => "disabled",
            Self::Parked => "parked",
            Self::Failing => "failing",
            Self::Backlog => "backlog",
            Self::Idle => "idle",
            Self::Healthy => "healthy",
        }
    }
}

impl JobStats {
    /// How the job is.
    #[must_use]
    pub fn state(&self, view: &View) -> JobState {
        let Self {
            job,
            is_deleted,
            outbox,
            ..
        } = self;
        let is_late = |backlog: u64| self.lag_millis(view).is_some_and(|lag| lag > backlog);
        let [.., day] = outbox.recent;
        if *is_deleted {
            JobState::Deleted
        } else if !job.enabled && job.disabled_by_failing_at_millis.is_some() {
            JobState::DisabledByFailing
        } else if !job.enabled {
            JobState::Disabled
        } else if outbox.parked_since_millis.is_some() {
            JobState::Parked
        } else if outbox.failing_since_millis.is_some() {
            JobState::Failing
        } else if view.backlog_millis.is_some_and(is_late) {
            JobState::Backlog
        } else if outbox.lag_since_millis.is_none() && day.pushes == 0 {
            JobState::Idle
        } else {
            JobState::Healthy
        }
    }

    /// Its replay, as the API shows it, unless that was deleted with its queue.
    fn replay(&self, view: &View) -> Option<Value> {
        let replay = self.replay.as_ref().filter(|_| !self.is_deleted)?;
        let facts = Facts {
            spec: replay.spec.clone(),
            progress: replay.progress.clone(),
            job: Some(self.job.clone()),
            outbox: self.outbox.clone(),
        };
        Some(facts.to_api(true, view.now_millis))
    }

    /// What was selected for it.
    fn selected(&self, by_ledgers: &BTreeMap<u64, JobSelected>) -> JobSelected {
        let by_replay = self.replay.as_ref().and_then(|replay| replay.selected);
        let by_ledgers = by_ledgers.get(&self.job.id).copied();
        by_replay.or(by_ledgers).unwrap_or_default()
    }

    /// How long the oldest record has waited; `None` when none waits.
    #[must_use]
    pub fn lag_millis(&self, view: &View) -> Option<u64> {
        let since = self.outbox.lag_since_millis?;
        Some(view.now_millis.saturating_sub(since))
    }
}

/// The two sums, each side counted by other objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// Batches and bytes that the reader counted.
    pub received: (u64, u64),
    /// Objects in the archive, and the bytes that R2 says they have.
    pub archived: (u64, u64),
    /// Records that the ledgers say were selected.
    pub selected: u64,
    /// Records that destinations accepted.
    pub delivered: u64,
    /// Records that wait for their time.
    pub waiting: u64,
    /// Records that wait for somebody.
    pub parked: u64,
    /// Records in dead letters.
    pub dead: u64,
    /// Records of deleted jobs, and deleted dead letters.
    pub discarded: u64,
    /// Selections that are still to be made.
    pub owed_batches: u64,
    /// The second sum holds for every single job.
    pub every_job_holds: bool,
}

impl Reconciliation {
    /// The sums of what was counted.
    #[must_use]
    pub fn of(datasets: &[DatasetStats], jobs: &[JobStats]) -> Self {
        let selected = selected_by_job(datasets);
        let mut sums = Self {
            every_job_holds: true,
            ..Self::default()
        };
        for DatasetStats { summary, .. } in datasets {
            sums.received.0 += summary.batches;
            sums.received.1 += summary.bytes_compressed;
            sums.archived.0 += summary.archived_batches;
            sums.archived.1 += summary.archived_bytes;
        }
        for stats in jobs {
            let outbox = &stats.outbox;
            let chosen = stats.selected(&selected);
            sums.selected += chosen.records;
            sums.owed_batches += chosen.owed_batches;
            sums.delivered += outbox.delivered_records;
            // A parked queue waits for somebody, any other one for time.
            if outbox.parked_since_millis.is_some() {
                sums.parked += outbox.waiting_records;
            } else {
                sums.waiting += outbox.waiting_records;
            }
            sums.dead += outbox.dead_records;
            sums.discarded += outbox.discarded_records;
            let accounted = outbox.delivered_records
                + outbox.waiting_records
                + outbox.discarded_records
                + outbox.dead_records;
            sums.every_job_holds &= chosen.records == accounted;
        }
        sums
    }

    /// Everything that was received is archived.
    #[must_use]
    pub fn archive_holds(&self) -> bool {
        self.received == self.archived
    }

    /// Both sums hold.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.archive_holds() && self.every_job_holds
    }
}

fn selected_by_job(datasets: &[DatasetStats]) -> BTreeMap<u64, JobSelected> {
    let mut sum = LedgerSummary::default();
    for dataset in datasets {
        sum.add(&dataset.summary);
    }
    sum.jobs
}

/// Names of the windows, as in [`WINDOWS_MINUTES`].
pub const WINDOW_NAMES: [&str; WINDOWS_MINUTES.len()] = ["5m", "1h", "24h"];

/// How many seconds a window has: whole minutes, and what there is of the current one.
#[must_use]
pub fn window_secs(minutes: u64, now_millis: u64) -> u64 {
    minutes * 60 + now_millis / 1_000 % 60
}

fn windows<T>(recent: &[T], now_millis: u64, one: impl Fn(&T) -> Value) -> Value {
    let named = WINDOW_NAMES.iter().zip(WINDOWS_MINUTES).zip(recent);
    let members = named.map(|((name, minutes), recent)| {
        let mut value = one(recent);
        if let Some(members) = value.as_object_mut() {
            let secs = window_secs(minutes, now_millis);
            members.insert("seconds".to_owned(), secs.into());
        }
        ((*name).to_owned(), value)
    });
    Value::Object(members.collect())
}

/// The answer. Counters go by the minute in which a batch was received; both sums are exact when nothing is in flight,
/// and may be off by what is being taken while the counters are read.
#[must_use]
pub fn document(view: &View, datasets: &[DatasetStats], jobs: &[JobStats]) -> Value {
    let selected = selected_by_job(datasets);
    let sums = Reconciliation::of(datasets, jobs);
    let replays: Vec<Value> = jobs.iter().filter_map(|stats| stats.replay(view)).collect();
    let jobs = jobs.iter().filter(|stats| stats.job.replay.is_none());
    let jobs: Vec<Value> = jobs
        .map(|stats| {
            let selected = stats.selected(&selected);
            job_value(view, stats, selected)
        })
        .collect();
    let datasets: Vec<Value> = datasets
        .iter()
        .map(|stats| dataset_value(view, stats))
        .collect();
    json!({
        "at": time::rfc3339_millis(view.now_millis),
        "since": time::rfc3339_millis(view.range.since_millis),
        "until": time::rfc3339_millis(view.range.until_millis),
        "datasets": datasets,
        "jobs": jobs,
        "replays": replays,
        "reconciliation": {
            "received_equals_archived": {
                "received_batches": sums.received.0,
                "archived_batches": sums.archived.0,
                "received_bytes": sums.received.1,
                "archived_bytes": sums.archived.1,
                "holds": sums.archive_holds(),
            },
            "selected_equals_accounted": {
                "selected_records": sums.selected,
                "delivered_records": sums.delivered,
                "waiting_records": sums.waiting,
                "discarded_records": sums.discarded,
                "parked_records": sums.parked,
                "dead_records": sums.dead,
                "owed_batches": sums.owed_batches,
                "holds": sums.every_job_holds,
            },
            "holds": sums.holds(),
        },
    })
}

/// What became of events of R2 that brought no batch: `counts` by name, a dot between group and reason. `problem`: why no
/// event can be taken.
#[must_use]
pub fn events_value(counts: &BTreeMap<String, u64>, problem: Option<String>) -> Value {
    let group = |group: &str| {
        let reasons = counts.iter().filter_map(|(name, count)| {
            let reason = name.strip_prefix(group)?.strip_prefix('.')?;
            Some((reason.to_owned(), Value::from(*count)))
        });
        Value::Object(reasons.collect())
    };
    let single = |name: &str| counts.get(name).copied().unwrap_or_default();
    json!({
        "skipped": group("skipped"),
        "quarantined": group("quarantined"),
        EXTRA_COPIES: single(EXTRA_COPIES),
        OVERWRITTEN: single(OVERWRITTEN),
        "misconfigured": problem,
    })
}

fn job_value(view: &View, stats: &JobStats, selected: JobSelected) -> Value {
    let JobStats {
        job,
        is_deleted,
        outbox,
        ..
    } = stats;
    let is_parked = outbox.parked_since_millis.is_some();
    let held = (outbox.waiting_records, outbox.waiting_bytes);
    let (waiting, parked) = if is_parked {
        ((0, 0), held)
    } else {
        (held, (0, 0))
    };
    let at = |millis: Option<u64>| millis.map(time::rfc3339_millis);
    json!({
        "id": job.id,
        "name": job.name,
        "scope": job.scope.to_string(),
        "dataset": job.dataset,
        "enabled": job.enabled,
        "deleted": is_deleted,
        "state": stats.state(view).as_str(),
        "lag_seconds": stats.lag_millis(view).map(|millis| millis / 1_000),
        "rates": windows(&outbox.recent, view.now_millis, |recent| json!({
            "pushes": recent.pushes,
            "records": recent.records,
            "bytes": recent.bytes,
            "bytes_compressed": recent.bytes_compressed,
            "failures": recent.failures,
            "dead_records": recent.dead_records,
            "duration_millis": recent.duration_millis,
        })),
        "selected": {"batches": selected.batches, "records": selected.records, "bytes": selected.bytes},
        "owed": {"batches": selected.owed_batches, "gone": selected.gone_batches},
        "surprises": selected.surprises,
        "delivered": {
            "records": outbox.delivered_records,
            "bytes": outbox.delivered_bytes,
            "pushes": outbox.delivered_pushes,
        },
        "waiting": {
            "records": waiting.0,
            "bytes": waiting.1,
            "oldest_received_at": at(outbox.oldest_waiting_millis),
            "attempts": outbox.attempts,
            "unacknowledged": outbox.unacknowledged_records,
            "taken_at": at(outbox.taken_at_millis),
        },
        "discarded": {"records": outbox.discarded_records, "bytes": outbox.discarded_bytes},
        "parked": {"records": parked.0, "bytes": parked.1, "since": at(outbox.parked_since_millis)},
        "dead": {"records": outbox.dead_records, "bytes": outbox.dead_bytes, "letters": outbox.dead_letters},
        "failing_since": at(outbox.failing_since_millis),
        "consecutive_failures": outbox.consecutive_failures,
        "last_success": at(outbox.last_success_millis),
        "last_error": at(outbox.last_error_millis),
        "error_message": outbox.error_message,
        "last_failure": {"at": at(outbox.last_failure_millis), "status": outbox.last_failure_status},
    })
}

fn dataset_value(view: &View, stats: &DatasetStats) -> Value {
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
        "last_batch": summary.last_batch_millis.map(time::rfc3339_millis),
        "rates": windows(&summary.recent, view.now_millis, |recent| json!({
            "batches": recent.batches,
            "records": recent.records,
            "bytes_raw": recent.bytes_raw,
            "bytes_compressed": recent.bytes_compressed,
            "invalid_lines": recent.invalid_lines,
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Recent;
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
            replay: None,
        }];
        document(&VIEW, &datasets, &jobs)
    }

    const VIEW: View = View {
        range: Range {
            since_millis: 0,
            until_millis: 60_000,
        },
        now_millis: 90_000_000,
        backlog_millis: Some(3_600_000),
    };

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

    #[test]
    fn a_job_is_in_the_first_state_that_is_so() {
        let pushed = |mut outbox: OutboxSummary| {
            outbox.recent[2].pushes = 1;
            outbox
        };
        let nothing = OutboxSummary::default();
        let late = OutboxSummary {
            lag_since_millis: Some(VIEW.now_millis - 3_600_001),
            ..OutboxSummary::default()
        };
        let failing = OutboxSummary {
            failing_since_millis: Some(1),
            ..late.clone()
        };
        let parked = OutboxSummary {
            parked_since_millis: Some(1),
            ..failing.clone()
        };
        let waits = OutboxSummary {
            lag_since_millis: Some(VIEW.now_millis - 3_600_000),
            ..OutboxSummary::default()
        };
        let off = |failing: bool| {
            let mut job = job(7);
            job.enabled = false;
            job.disabled_by_failing_at_millis = failing.then_some(5);
            job
        };
        for (job, is_deleted, outbox, expected) in [
            (off(true), true, parked.clone(), "deleted"),
            (off(true), false, parked.clone(), "disabled_by_failing"),
            (off(false), false, parked.clone(), "disabled"),
            (job(7), false, parked, "parked"),
            (job(7), false, failing, "failing"),
            (job(7), false, pushed(late.clone()), "backlog"),
            (job(7), false, late, "backlog"),
            (job(7), false, waits, "healthy"),
            (job(7), false, pushed(nothing.clone()), "healthy"),
            (job(7), false, nothing, "idle"),
        ] {
            let stats = JobStats {
                job,
                is_deleted,
                outbox,
                replay: None,
            };
            assert_eq!(stats.state(&VIEW).as_str(), expected);
        }
    }

    #[test]
    fn events_without_a_batch_stand_under_their_group_and_reason() {
        let counts = BTreeMap::from([
            ("skipped.other_path".to_owned(), 3),
            ("quarantined.no_records".to_owned(), 1),
            ("extra_copies".to_owned(), 2),
        ]);
        let expected = json!({
            "skipped": {"other_path": 3}, "quarantined": {"no_records": 1}, "extra_copies": 2, "overwritten": 0,
            "misconfigured": null,
        });
        assert_eq!(events_value(&counts, None), expected);
        let problem = events_value(&BTreeMap::new(), Some("why".to_owned()));
        assert_eq!(problem["misconfigured"], "why");
        assert_eq!(problem["skipped"], json!({}));
    }

    #[test]
    fn rates_are_sums_over_windows_of_which_the_length_is_told() {
        let mut outbox = OutboxSummary {
            lag_since_millis: Some(VIEW.now_millis - 61_999),
            ..OutboxSummary::default()
        };
        outbox.recent[1].records = 12;
        let value = stats(0, outbox);
        let job = &value["jobs"][0];
        assert_eq!(job["lag_seconds"], 61);
        assert_eq!(job["rates"]["5m"]["records"], 0);
        assert_eq!(job["rates"]["1h"]["records"], 12);
        assert_eq!(job["rates"]["1h"]["seconds"], 3_600);
        let view = View {
            now_millis: VIEW.now_millis + 42_000,
            ..VIEW
        };
        let dataset = DatasetStats {
            summary: LedgerSummary {
                recent: [Recent {
                    batches: 3,
                    ..Recent::default()
                }; 3],
                last_batch_millis: Some(60_000),
                ..LedgerSummary::default()
            },
            ..DatasetStats::default()
        };
        let value = document(&view, &[dataset], &[]);
        let dataset = &value["datasets"][0];
        assert_eq!(dataset["rates"]["5m"]["seconds"], 342);
        assert_eq!(dataset["rates"]["24h"]["batches"], 3);
        assert_eq!(dataset["last_batch"], "1970-01-01T00:01:00Z");
    }
}
