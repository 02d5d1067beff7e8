//! When to look after what again. A look is a call of the cron trigger's, so what is due may wait some minutes.

use super::facts::{JobKeep, LedgerKeep};
use super::retention::{DAY_MILLIS, Retention};

/// How old an object without a row must be to be an orphan: Logpush sends a batch again for some hours at most, and an
/// attempt that dies is made good by the next one.
pub const ORPHAN_MILLIS: u64 = DAY_MILLIS;

/// How long after a ledger last said that it takes batches all that it took can be judged: it may go on for an hour.
const SETTLED_MILLIS: u64 = ORPHAN_MILLIS + 2 * 3_600_000;

/// When a ledger is looked after for the first time, after its first batch: those of a day come for little longer than the
/// day. So one look judges all of it.
pub const FIRST_LOOK_MILLIS: u64 = DAY_MILLIS + 2 * 3_600_000 + SETTLED_MILLIS;

/// How often a ledger is looked after in which nothing was found: somebody may delete an object at any time.
const AGAIN_MILLIS: u64 = 30 * DAY_MILLIS;

/// How often one is in which something was, and how often all else is.
const DAILY_MILLIS: u64 = DAY_MILLIS;

/// How often a ledger is looked after that has no rows and no objects any more.
const OVER_MILLIS: u64 = 365 * DAY_MILLIS;

/// Whether what was looked at as a whole at `last` is to be looked at again.
#[must_use]
pub fn is_daily_due(last: Option<u64>, now_millis: u64) -> bool {
    last.is_none_or(|last| now_millis >= last + DAILY_MILLIS)
}

/// Whether the bucket has to be listed for a ledger, or whether its rows alone are looked at.
#[must_use]
pub fn wants_sweep(keep: &LedgerKeep, last_seen: u64, now_millis: u64) -> bool {
    let Some(swept_at) = keep.swept_at else {
        return true;
    };
    let age = now_millis.saturating_sub(swept_at);
    // What it took last was too young to be judged then.
    let was_early =
        swept_at < last_seen + SETTLED_MILLIS && now_millis >= last_seen + SETTLED_MILLIS;
    keep.going.is_some()
        || was_early
        || age >= AGAIN_MILLIS
        || (keep.sweep.findings() > 0 && age >= DAILY_MILLIS)
}

/// When a ledger that was looked after just now is to be looked after again, unix milliseconds. `last_seen`: when it last
/// said that it takes batches.
#[must_use]
pub fn next_look(keep: &LedgerKeep, last_seen: u64, retention: &Retention, now_millis: u64) -> u64 {
    if keep.going.is_some() {
        return now_millis;
    }
    let facts = &keep.facts;
    let tomorrow = now_millis + DAILY_MILLIS;
    let is_over = facts.rows == 0 && keep.sweep.objects == 0 && keep.sweep.findings() == 0;
    let mut next = if keep.sweep.findings() > 0 || facts.oldest_owed_at.is_some() {
        tomorrow
    } else if is_over && now_millis >= last_seen + SETTLED_MILLIS {
        now_millis + OVER_MILLIS
    } else {
        now_millis + AGAIN_MILLIS
    };
    let settled = last_seen + SETTLED_MILLIS;
    if settled > now_millis {
        next = next.min(settled);
    }
    // A ledger whose batches came over a long time has some that expire on every day.
    let expires = |oldest: Option<u64>, gone_before: u64| {
        let age = now_millis.saturating_sub(gone_before);
        let at = oldest
            .filter(|_| gone_before > 0)
            .map(|oldest| oldest + age + 1);
        at.map_or(u64::MAX, |at| at.max(tomorrow))
    };
    next.min(expires(
        facts.oldest_kept_at,
        retention.raw_gone_before(now_millis),
    ))
    .min(expires(
        facts.oldest_row_at,
        retention.rows_gone_before(now_millis),
    ))
}

/// When a job's outbox is looked after again; `None`: never, because the job is gone and so is all that it had.
#[must_use]
pub fn next_look_at_job(keep: &JobKeep, deleted_at: Option<u64>, now_millis: u64) -> Option<u64> {
    let is_over = deleted_at.is_some_and(|at| now_millis >= at + FIRST_LOOK_MILLIS)
        && keep.facts.objects == 0
        && keep.facts.findings() == 0;
    (!is_over).then_some(now_millis + DAILY_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Going, LedgerFacts, LedgerSweep, OutboxFacts};
    use super::*;

    const NOW: u64 = 1_000 * DAY_MILLIS;

    fn retention(raw_days: Option<u64>) -> Retention {
        Retention {
            raw_days,
            rows_days: raw_days.map(|days| days + 33),
            ..Retention::read(|_| None).0
        }
    }

    fn keep(rows: u64, received_at: u64) -> LedgerKeep {
        let oldest = (rows > 0).then_some(received_at);
        LedgerKeep {
            facts: LedgerFacts {
                rows,
                oldest_kept_at: oldest,
                oldest_row_at: oldest,
                ..LedgerFacts::default()
            },
            sweep: LedgerSweep {
                objects: rows,
                ..LedgerSweep::default()
            },
            swept_at: Some(NOW),
            going: None,
        }
    }

    fn days_until_next(keep: &LedgerKeep, last_seen: u64, raw_days: Option<u64>) -> f64 {
        let next = next_look(keep, last_seen, &retention(raw_days), NOW);
        (next - NOW) as f64 / DAY_MILLIS as f64
    }

    #[test]
    fn a_ledger_is_looked_after_when_something_may_have_changed() {
        let ago = |days: u64| NOW - days * DAY_MILLIS;
        assert_eq!(days_until_next(&keep(5, ago(50)), ago(50), None), 30.0);
        let near = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}")
        };
        // It has taken batches an hour ago: once more when the last of them are old enough.
        near(
            days_until_next(&keep(5, ago(1)), NOW - 3_600_000, None),
            25.0 / 24.0,
        );
        // Kept for 40 days, and two more until its object is gone for sure.
        near(days_until_next(&keep(5, ago(20)), ago(19), Some(40)), 22.0);
        near(days_until_next(&keep(5, ago(5)), ago(4), Some(90)), 30.0);
        // Its rows come up for the next day only, whatever is overdue.
        near(days_until_next(&keep(5, ago(400)), ago(399), Some(40)), 1.0);
        near(days_until_next(&keep(0, 0), ago(100), Some(40)), 365.0);
        let mut found = keep(5, ago(50));
        found.sweep.missing.note("k", 0);
        near(days_until_next(&found, ago(50), None), 1.0);
        let mut owing = keep(5, ago(50));
        owing.facts.oldest_owed_at = Some(ago(50));
        near(days_until_next(&owing, ago(50), None), 1.0);
        found.going = Some(Going::default());
        near(days_until_next(&found, ago(50), None), 0.0);
    }

    #[test]
    fn the_bucket_is_listed_once_for_a_quiet_ledger_and_then_monthly() {
        let last_seen = NOW - 10 * DAY_MILLIS;
        let swept = |ago_days: u64| LedgerKeep {
            swept_at: Some(NOW - ago_days * DAY_MILLIS),
            ..LedgerKeep::default()
        };
        assert!(wants_sweep(&LedgerKeep::default(), last_seen, NOW));
        assert!(!wants_sweep(&swept(1), last_seen, NOW));
        assert!(!wants_sweep(&swept(7), last_seen, NOW));
        assert!(!wants_sweep(&swept(8), last_seen, NOW));
        assert!(wants_sweep(&swept(9), last_seen, NOW), "it was early");
        assert!(wants_sweep(&swept(30), 0, NOW));
        let mut found = swept(1);
        found.sweep.orphans.note("k", 1);
        assert!(wants_sweep(&found, last_seen, NOW));
    }

    #[test]
    fn a_deleted_job_is_looked_after_until_nothing_is_left() {
        let mut keep = JobKeep::default();
        assert_eq!(next_look_at_job(&keep, None, NOW), Some(NOW + DAY_MILLIS));
        assert_eq!(
            next_look_at_job(&keep, Some(NOW - DAY_MILLIS), NOW),
            Some(NOW + DAY_MILLIS)
        );
        let long_ago = Some(NOW - 3 * DAY_MILLIS);
        assert_eq!(next_look_at_job(&keep, long_ago, NOW), None);
        keep.facts = OutboxFacts {
            objects: 1,
            ..OutboxFacts::default()
        };
        assert_eq!(
            next_look_at_job(&keep, long_ago, NOW),
            Some(NOW + DAY_MILLIS)
        );
    }
}
