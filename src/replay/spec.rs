//! What a replay is to do. Never changes once it is made.

use crate::ledger::EventSpan;
use crate::limits::JOBS_CACHE_MILLIS;
use crate::logpush::job::Job;
use crate::logpush::scope::Scope;
use crate::route::Window;
use crate::time::{self, UnixNanos};
use serde::{Deserialize, Serialize};

/// Longest id of a replay.
pub const ID_MAX_CHARS: usize = 64;

/// Ids that begin like this are given by the service.
pub const BACKFILL_PREFIX: &str = "backfill-";

/// How far the clocks of two machines may be apart. Cloudflare's are kept within milliseconds; this is a margin.
const CLOCKS_APART_MILLIS: u64 = 2_000;

/// An upload that is committed so long after it came looks for jobs that were made meanwhile.
pub const LATE_COMMIT_MILLIS: u64 = 60_000;

/// How long a commit itself may take.
const COMMIT_MILLIS: u64 = 30_000;

/// What a job that fills itself up waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// Batches that came before this time, unix milliseconds, may not have met the job.
    pub received_before_millis: u64,
    /// When all of them are in their ledgers, unix milliseconds.
    pub settled_at_millis: u64,
}

/// Batches that came before this time may not have met a job that was made at `created_at_millis`: isolates know their jobs
/// by heart for a while.
#[must_use]
pub fn received_before(created_at_millis: u64) -> u64 {
    created_at_millis + JOBS_CACHE_MILLIS + CLOCKS_APART_MILLIS
}

/// When the last batch that came before `received_before_millis` is in its ledger; one that is committed still later finds
/// the job by itself.
#[must_use]
pub fn settled_at(received_before_millis: u64) -> u64 {
    received_before_millis + LATE_COMMIT_MILLIS + COMMIT_MILLIS
}

/// A replay. Persisted as JSON: members are only added, each with a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its id, unique in the zone or account.
    pub id: String,
    /// Whose batches.
    pub scope: Scope,
    /// Of which dataset.
    pub dataset: String,
    /// The first instant of event time, RFC 3339.
    pub start: String,
    /// The first one after the range, RFC 3339; `None` for a range without end.
    pub end: Option<String>,
    /// The job into whose outbox everything goes: the replay's own queue, or the job that is filled up.
    pub job: u64,
    /// It fills up a job that was just made.
    #[serde(default)]
    pub backfill: Option<Backfill>,
    /// When it was made, unix milliseconds.
    pub created_at_millis: u64,
}

/// The replay that fills up a job which is just made, if it wants that.
#[must_use]
pub fn of_a_new_job(job: &Job, now_millis: u64) -> Spec {
    let backfill = job.backfill.as_ref();
    let received_before_millis = received_before(now_millis);
    Spec {
        id: backfill_id(job.id),
        scope: job.scope.clone(),
        dataset: job.dataset.clone(),
        start: backfill
            .map(|backfill| backfill.from.clone())
            .unwrap_or_default(),
        end: None,
        job: job.id,
        backfill: Some(Backfill {
            received_before_millis,
            settled_at_millis: settled_at(received_before_millis),
        }),
        created_at_millis: now_millis,
    }
}

impl Spec {
    /// The range.
    #[must_use]
    pub fn window(&self) -> Window {
        let instant = |text: &str| time::instant_from_str(text);
        Window {
            from: instant(&self.start).unwrap_or(UnixNanos::MAX),
            until: match &self.end {
                Some(end) => instant(end).unwrap_or(UnixNanos::MIN),
                None => UnixNanos::MAX,
            },
        }
    }

    /// The range, as ledgers know time: with every millisecond that it has a part of.
    #[must_use]
    pub fn span(&self) -> EventSpan {
        span_of(&self.window())
    }
}

/// A window to the millisecond, and not smaller.
#[must_use]
pub fn span_of(window: &Window) -> EventSpan {
    // Rows hold integers that a double can hold.
    let millis = |nanos: UnixNanos| {
        let most = 1_i128 << 53;
        i64::try_from(nanos.div_euclid(1_000_000).clamp(-most, most)).unwrap_or_default()
    };
    EventSpan {
        from_millis: millis(window.from),
        until_millis: millis(window.until.saturating_add(999_999)),
    }
}

/// The Durable Object name of a replay. Persisted by its effect: renaming it would begin all of them anew.
#[must_use]
pub fn instance_name(scope: &Scope, id: &str) -> String {
    format!("{scope}/replay/{id}")
}

/// The id of the replay that fills up a job.
#[must_use]
pub fn backfill_id(job: u64) -> String {
    format!("{BACKFILL_PREFIX}{job}")
}

/// Whether a text can be the id of a replay: it stands in paths, headers and names of objects.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=ID_MAX_CHARS).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logpush::scope::ScopeKind;

    fn spec(start: &str, end: Option<&str>) -> Spec {
        Spec {
            id: "r1".into(),
            scope: Scope::new(ScopeKind::Zone, "z").unwrap(),
            dataset: "dns_logs".into(),
            start: start.into(),
            end: end.map(str::to_owned),
            job: 7,
            backfill: None,
            created_at_millis: 1,
        }
    }

    #[test]
    fn the_stored_forms_and_names_have_not_changed() {
        let with = Spec {
            backfill: Some(Backfill {
                received_before_millis: 2,
                settled_at_millis: 3,
            }),
            ..spec("2026-07-01T00:00:00Z", None)
        };
        let text = r#"{"id":"r1","scope":{"kind":"zone","id":"z"},"dataset":"dns_logs","start":"2026-07-01T00:00:00Z","end":null,"job":7,"backfill":{"received_before_millis":2,"settled_at_millis":3},"created_at_millis":1}"#;
        assert_eq!(serde_json::to_string(&with).unwrap(), text);
        assert_eq!(serde_json::from_str::<Spec>(text).unwrap(), with);
        assert_eq!(instance_name(&with.scope, "r1"), "zones/z/replay/r1");
        assert_eq!(backfill_id(7), "backfill-7");
    }

    #[test]
    fn a_span_has_every_millisecond_that_the_window_has_a_part_of() {
        let exact = spec("2026-07-01T00:00:00Z", Some("2026-07-01T00:00:01Z")).span();
        assert_eq!(exact.until_millis - exact.from_millis, 1_000);
        let inside = spec(
            "2026-07-01T00:00:00.0005Z",
            Some("2026-07-01T00:00:00.9999995Z"),
        )
        .span();
        assert_eq!(inside, exact);
        let open = spec("2026-07-01T00:00:00Z", None).span();
        assert_eq!(open.from_millis, exact.from_millis);
        assert!(open.until_millis > 1 << 50);
        // What can not be read is in no range.
        assert!(!spec("x", Some("y")).window().holds(Some(5)));
    }

    #[test]
    fn an_id_can_stand_in_a_path() {
        for good in ["a", "last-tuesday_2", &"x".repeat(64)] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "a/b", "a b", "é", "a.b", &"x".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
