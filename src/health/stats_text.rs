//! `/stats?format=text`: the same figures for a terminal. At most [`WIDTH`] columns, the worst first.

use super::stats::{
    DatasetStats, JobState, JobStats, Reconciliation, View, WINDOW_NAMES, window_secs,
};
use crate::ledger::WINDOWS_MINUTES;
use crate::time;
use std::fmt::Write;

/// Columns of a line at most.
pub const WIDTH: usize = 100;

/// The text. Rates are records a second; a job's dead letters are of any age, all else as in the document.
#[must_use]
pub fn text(view: &View, datasets: &[DatasetStats], jobs: &[JobStats]) -> String {
    let mut out = String::new();
    let now = view.now_millis;
    let since = match view.range.since_millis {
        0 => "the beginning".to_owned(),
        millis => time::rfc3339_millis(millis),
    };
    line(
        &mut out,
        &format!(
            "logpush-edge at {}: from {since} until {}",
            time::rfc3339_millis(now / 1_000 * 1_000),
            time::rfc3339_millis(view.range.until_millis / 1_000 * 1_000)
        ),
    );
    sums(&mut out, &Reconciliation::of(datasets, jobs));
    let [a, b, c] = WINDOW_NAMES;

    line(&mut out, "");
    line(
        &mut out,
        &format!(
            "{:<29} {:<19} {:>6} {:>6} {:>6}  {:>8} {:>7} {:>9}",
            "RECEIVED", "records a second:", a, b, c, "records", "invalid", "last"
        ),
    );
    let mut datasets: Vec<&DatasetStats> = datasets.iter().collect();
    datasets.sort_by(|a, b| (&a.scope, &a.dataset).cmp(&(&b.scope, &b.dataset)));
    for DatasetStats {
        scope,
        dataset,
        summary,
    } in datasets
    {
        let [a, b, c] = rates(now, summary.recent.map(|recent| recent.records));
        line(
            &mut out,
            &format!(
                "{:<29} {:<19} {a:>6} {b:>6} {c:>6}  {:>8} {:>7} {:>9}",
                cut(scope, 29),
                cut(dataset, 19),
                number(summary.records as f64),
                number(summary.invalid_lines as f64),
                age(now, summary.last_batch_millis),
            ),
        );
        if !summary.invalid.is_empty() {
            let reasons = summary.invalid.iter();
            let reasons: Vec<String> = reasons
                .map(|(reason, count)| format!("{reason} {count}"))
                .collect();
            line(&mut out, &format!("  invalid: {}", reasons.join(", ")));
        }
    }

    line(&mut out, "");
    line(
        &mut out,
        &format!(
            "{:>6} {:<19} {:<22} {:>6} {:>6} {:>6} {:>6} {:>7} {:>6} {:>6}",
            "JOB", "state", "delivers records/s:", a, b, c, "failed", "waiting", "lag", "dead"
        ),
    );
    let mut jobs: Vec<&JobStats> = jobs.iter().collect();
    jobs.sort_by_key(|stats| (rank(stats.state(view)), stats.job.id));
    for stats in jobs {
        let JobStats { job, outbox, .. } = stats;
        let [a, b, c] = rates(now, outbox.recent.map(|recent| recent.records));
        let [.., day] = outbox.recent;
        let name = job.name.as_deref().filter(|name| !name.is_empty());
        line(
            &mut out,
            &format!(
                "{:>6} {:<19} {:<22} {a:>6} {b:>6} {c:>6} {:>6} {:>7} {:>6} {:>6}",
                job.id,
                stats.state(view).as_str(),
                cut(name.unwrap_or(&job.dataset), 22),
                number(day.failures as f64),
                number(outbox.waiting_records as f64),
                stats.lag_millis(view).map_or("-".to_owned(), duration),
                number(outbox.dead_letters as f64),
            ),
        );
        if let Some(message) = &outbox.error_message {
            let ago = age(now, outbox.last_error_millis);
            line(&mut out, &format!("       {ago}: {message}"));
        }
    }
    let legend = "failed: attempts in 24h; waiting: records; lag: of the oldest of them; dead: letters, of any age";
    line(&mut out, "");
    line(&mut out, legend);
    out
}

fn sums(out: &mut String, sums: &Reconciliation) {
    let is = |holds: bool| if holds { "=" } else { "IS NOT" };
    line(
        out,
        &format!(
            "received {} batches, {} bytes {} archived {}, {}",
            sums.received.0,
            sums.received.1,
            is(sums.archive_holds()),
            sums.archived.0,
            sums.archived.1
        ),
    );
    line(
        out,
        &format!(
            "selected {} records {} delivered {} + waiting {} + parked {} + dead {} + discarded {}",
            sums.selected,
            is(sums.every_job_holds),
            sums.delivered,
            sums.waiting,
            sums.parked,
            sums.dead,
            sums.discarded
        ),
    );
    if sums.owed_batches > 0 {
        let owed = format!(
            "{} selections of batches are still to be made",
            sums.owed_batches
        );
        line(out, &owed);
    }
}

/// What wants somebody's eyes comes first.
fn rank(state: JobState) -> u8 {
    match state {
        JobState::DisabledByFailing => 0,
        JobState::Parked => 1,
        JobState::Failing => 2,
        JobState::Backlog => 3,
        JobState::Healthy => 4,
        JobState::Idle => 5,
        JobState::Disabled => 6,
        JobState::Deleted => 7,
    }
}

fn rates(now_millis: u64, counts: [u64; WINDOWS_MINUTES.len()]) -> [String; WINDOWS_MINUTES.len()] {
    let mut windows = WINDOWS_MINUTES.into_iter();
    counts.map(|count| {
        let secs = window_secs(windows.next().unwrap_or(1), now_millis);
        number(count as f64 / secs as f64)
    })
}

/// A number in at most six columns: three significant digits or more, 0 only when it is.
fn number(value: f64) -> String {
    const UNITS: [&str; 6] = ["", "k", "M", "G", "T", "P"];
    if value == 0.0 {
        return "0".to_owned();
    }
    if value < 0.01 {
        return "<0.01".to_owned();
    }
    let (mut value, mut unit) = (value, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    let suffix = UNITS.get(unit).copied().unwrap_or_default();
    if (value.fract() < 1e-9 && unit == 0) || value >= 99.95 {
        format!("{value:.0}{suffix}")
    } else if value >= 9.995 {
        format!("{value:.1}{suffix}")
    } else {
        format!("{value:.2}{suffix}")
    }
}

/// A duration in one unit.
fn duration(millis: u64) -> String {
    match millis / 1_000 {
        secs @ 0..120 => format!("{secs}s"),
        secs @ 120..7_200 => format!("{}m", secs / 60),
        secs @ 7_200..172_800 => format!("{}h", secs / 3_600),
        secs => format!("{}d", secs / 86_400),
    }
}

fn age(now_millis: u64, at_millis: Option<u64>) -> String {
    at_millis.map_or("never".to_owned(), |at| {
        format!("{} ago", duration(now_millis.saturating_sub(at)))
    })
}

/// At most `width` characters; what is cut off shows as `~`.
fn cut(text: &str, width: usize) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    if text.chars().count() <= width {
        return text.chars().map(shown).collect();
    }
    let kept = text.chars().take(width.saturating_sub(1)).map(shown);
    kept.chain(['~']).collect()
}

fn line(out: &mut String, text: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{}", cut(text.trim_end(), WIDTH));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::stats::Range;
    use crate::ledger::{JobSelected, Recent, Summary};
    use crate::logpush::job::Job;
    use crate::logpush::scope::{Scope, ScopeKind};
    use crate::outbox::Summary as OutboxSummary;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn job(id: u64, name: Option<&str>) -> Job {
        let scope = Scope::new(ScopeKind::Zone, "z").unwrap();
        serde_json::from_value(json!({
            "id": id, "version": 1, "scope": scope, "dataset": "http_requests", "name": name, "enabled": true,
            "destination_conf": "https://siem.example.com/in?header_Authorization=Bearer%20x",
        }))
        .unwrap()
    }

    const NOW: u64 = 1_783_000_000_000;
    const VIEW: View = View {
        range: Range {
            since_millis: 0,
            until_millis: NOW,
        },
        now_millis: NOW,
        backlog_millis: Some(3_600_000),
    };

    fn figures() -> (Vec<DatasetStats>, Vec<JobStats>) {
        let recent = |records: [u64; 3]| {
            records.map(|records| Recent {
                records,
                ..Recent::default()
            })
        };
        let selected = JobSelected {
            batches: 3,
            records: 1_500,
            bytes: 9,
            owed_batches: 2,
            ..JobSelected::default()
        };
        let datasets = vec![
            DatasetStats {
                scope: format!("zones/{}", "0123456789abcdef".repeat(2)),
                dataset: "http_requests".into(),
                summary: Summary {
                    batches: 12,
                    records: 1_234_567,
                    bytes_compressed: 99,
                    archived_batches: 12,
                    archived_bytes: 99,
                    invalid_lines: 7,
                    invalid: BTreeMap::from([("not_json".into(), 5), ("too_long".into(), 2)]),
                    recent: recent([30_000, 600_000, 1_234_567]),
                    last_batch_millis: Some(NOW - 45_000),
                    jobs: BTreeMap::from([(7, selected)]),
                    ..Summary::default()
                },
            },
            DatasetStats {
                scope: "accounts/a".into(),
                dataset: "audit_logs".into(),
                summary: Summary {
                    recent: recent([0, 0, 3]),
                    ..Summary::default()
                },
            },
        ];
        let healthy = OutboxSummary {
            delivered_records: 1_000,
            waiting_records: 500,
            lag_since_millis: Some(NOW - 61_000),
            recent: [1_000, 1_000, 86_400_000].map(|records| crate::outbox::Recent {
                records,
                pushes: 1,
                failures: 3,
                ..crate::outbox::Recent::default()
            }),
            ..OutboxSummary::default()
        };
        let parked = OutboxSummary {
            parked_since_millis: Some(1),
            last_error_millis: Some(NOW - 4 * 3_600_000),
            error_message: Some(format!(
                "error 403: error pushing: {}\u{1b}[31m",
                "x".repeat(200)
            )),
            dead_letters: 12_345,
            ..OutboxSummary::default()
        };
        let job = |job, outbox| JobStats {
            job,
            is_deleted: false,
            outbox,
            replay: None,
        };
        let jobs = vec![
            job(self::job(7, None), healthy),
            job(
                self::job(8, Some("a name that is much longer than its column")),
                parked,
            ),
        ];
        (datasets, jobs)
    }

    #[test]
    fn the_text_is_this() {
        let (datasets, jobs) = figures();
        let expected = "\
logpush-edge at 2026-07-02T13:46:40Z: from the beginning until 2026-07-02T13:46:40Z
received 12 batches, 99 bytes = archived 12, 99
selected 1500 records = delivered 1000 + waiting 500 + parked 0 + dead 0 + discarded 0
2 selections of batches are still to be made

RECEIVED                      records a second:       5m     1h    24h   records invalid      last
accounts/a                    audit_logs               0      0  <0.01         0       0     never
zones/0123456789abcdef012345~ http_requests         88.2    165   14.3     1.23M       7   45s ago
  invalid: not_json 5, too_long 2

   JOB state               delivers records/s:        5m     1h    24h failed waiting    lag   dead
     8 parked              a name that is much l~      0      0      0      0       0      -  12.3k
       4h ago: error 403: error pushing: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx~
     7 healthy             http_requests            2.94   0.27  1.00k      3     500    61s      0

failed: attempts in 24h; waiting: records; lag: of the oldest of them; dead: letters, of any age
";
        let found = text(&VIEW, &datasets, &jobs);
        assert_eq!(found, expected, "\n{found}");
        assert!(found.lines().all(|line| line.chars().count() <= WIDTH));
        // In whatever order they come.
        let (mut datasets, mut jobs) = figures();
        datasets.reverse();
        jobs.reverse();
        assert_eq!(text(&VIEW, &datasets, &jobs), expected);
    }

    #[test]
    fn a_sum_that_does_not_hold_says_so() {
        let (mut datasets, mut jobs) = figures();
        datasets[0].summary.archived_bytes = 98;
        jobs[0].outbox.waiting_records = 499;
        let found = text(&VIEW, &datasets, &jobs);
        assert!(found.contains("99 bytes IS NOT archived 12, 98"), "{found}");
        assert!(
            found.contains("selected 1500 records IS NOT delivered"),
            "{found}"
        );
    }

    #[test]
    fn numbers_and_durations_fit_their_columns() {
        for (value, expected) in [
            (0.0, "0"),
            (0.001, "<0.01"),
            (0.25, "0.25"),
            (5.0, "5"),
            (9.999, "10.0"),
            (42.25, "42.2"),
            (999.0, "999"),
            (999.6, "1.00k"),
            (12_345.0, "12.3k"),
            (999_999.0, "1.00M"),
            (2.5e9, "2.50G"),
            (9e15, "9.00P"),
        ] {
            assert_eq!(number(value), expected);
        }
        for (millis, expected) in [
            (999, "0s"),
            (119_999, "119s"),
            (120_000, "2m"),
            (7_199_999, "119m"),
            (7_200_000, "2h"),
            (172_800_000, "2d"),
        ] {
            assert_eq!(duration(millis), expected);
        }
    }
}
