//! What somebody should be told of a job, and what they were told already.
//!
//! Nothing here is an event: the state of the queue says which concerns there are, and what differs from those that were
//! raised is raised now. So an alert that could not be raised is raised at the next look, and none is lost by a restart.

use super::{JobState, Trouble};
use crate::alerting::{AlertEvent, AlertType, Severity, Thresholds};
use serde::{Deserialize, Serialize};

/// Something that is wrong. Persisted as JSON, in a list of those that were raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concern {
    /// What kind.
    pub alert_type: AlertType,
    /// How bad.
    pub severity: Severity,
    /// Since when, unix milliseconds; stays the same while it lasts.
    pub since_millis: u64,
}

/// What concerns are told from.
#[derive(Debug, Clone, Copy)]
pub struct Outlook {
    /// The job.
    pub job: JobState,
    /// When it was disabled for failing, if it is.
    pub disabled_by_failing_at_millis: Option<u64>,
    /// What the last answers taught.
    pub trouble: Trouble,
    /// When a push was accepted last, unix milliseconds.
    pub last_success_millis: Option<u64>,
    /// When the oldest record that waits or is parked was received; `None` when none does.
    pub oldest_received_millis: Option<u64>,
}

impl Outlook {
    /// The concerns that there are, given those that were raised.
    #[must_use]
    pub fn concerns(
        &self,
        raised: &[Concern],
        thresholds: &Thresholds,
        now_millis: u64,
    ) -> Vec<Concern> {
        let mut found = Vec::new();
        if let Some(since_millis) = self.disabled_by_failing_at_millis {
            found.push(Concern {
                alert_type: AlertType::JobDisabled,
                severity: Severity::Critical,
                since_millis,
            });
        } else if self.job != JobState::Enabled {
            // Nobody waits for a job that somebody switched off.
            return found;
        }
        let lasts = |alert_type| {
            let before = raised
                .iter()
                .rfind(|concern| concern.alert_type == alert_type);
            // Only a push that was accepted since then, or nothing left to push, says that it is over.
            before.copied().filter(|concern| {
                self.oldest_received_millis.is_some()
                    && self.last_success_millis < Some(concern.since_millis)
            })
        };

        let failing = lasts(AlertType::JobFailing);
        let since = failing
            .map(|concern| concern.since_millis)
            .or(self.trouble.failing_since_millis);
        if let Some(since_millis) = since {
            let age = now_millis.saturating_sub(since_millis);
            let is_older = |than: Option<u64>| than.is_some_and(|millis| age >= millis);
            let severity = if is_older(thresholds.failing_critical_millis) {
                Some(Severity::Critical)
            } else if is_older(thresholds.failing_warning_millis) {
                Some(Severity::Warning)
            } else {
                failing.map(|concern| concern.severity)
            };
            found.extend(severity.map(|severity| Concern {
                alert_type: AlertType::JobFailing,
                severity,
                since_millis,
            }));
        }

        let parked = self.trouble.parked.map(|parked| Concern {
            alert_type: AlertType::JobParked,
            severity: Severity::Critical,
            since_millis: parked.since_millis,
        });
        found.extend(lasts(AlertType::JobParked).or(parked));

        let is_behind = |oldest: &u64| {
            thresholds
                .backlog_millis
                .is_some_and(|millis| now_millis.saturating_sub(*oldest) >= millis)
        };
        if let Some(oldest) = self.oldest_received_millis.filter(is_behind) {
            let before = raised
                .iter()
                .find(|concern| concern.alert_type == AlertType::JobBacklog);
            found.push(before.copied().unwrap_or(Concern {
                alert_type: AlertType::JobBacklog,
                severity: Severity::Warning,
                since_millis: oldest,
            }));
        }
        found
    }

    /// When a concern would begin or get worse if nothing else happened, unix milliseconds.
    #[must_use]
    pub fn next_look_millis(&self, thresholds: &Thresholds, now_millis: u64) -> Option<u64> {
        if self.job != JobState::Enabled {
            return None;
        }
        let after = |since: Option<u64>, wait: Option<u64>| {
            let at = since?.saturating_add(wait?);
            Some(at).filter(|at| *at > now_millis)
        };
        let failing = self.trouble.failing_since_millis;
        [
            after(failing, thresholds.failing_warning_millis),
            after(failing, thresholds.failing_critical_millis),
            after(self.oldest_received_millis, thresholds.backlog_millis),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// What to raise, so that what was raised becomes what there is.
#[must_use]
pub fn changes(raised: &[Concern], concerns: &[Concern]) -> Vec<(AlertEvent, Concern)> {
    let is_over = |before: &&Concern| {
        // The same trouble under another severity is not over.
        !concerns.iter().any(|now| {
            now.alert_type == before.alert_type && now.since_millis == before.since_millis
        })
    };
    let ended = raised.iter().filter(is_over);
    let begun = concerns.iter().filter(|now| !raised.contains(now));
    ended
        .map(|concern| (AlertEvent::End, *concern))
        .chain(begun.map(|concern| (AlertEvent::Start, *concern)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Parked;
    use super::*;
    use AlertEvent::{End, Start};
    use AlertType::{JobBacklog, JobDisabled, JobFailing, JobParked};

    const MINUTE: u64 = 60_000;
    const T0: u64 = 1_000 * MINUTE;

    fn healthy() -> Outlook {
        Outlook {
            job: JobState::Enabled,
            disabled_by_failing_at_millis: None,
            trouble: Trouble::default(),
            last_success_millis: Some(T0 - MINUTE),
            oldest_received_millis: Some(T0),
        }
    }

    fn failing() -> Outlook {
        let mut outlook = healthy();
        outlook.trouble.failing_since_millis = Some(T0);
        outlook
    }

    /// Looks at minutes after [`T0`], each time with what was raised until then.
    fn look(
        raised: &mut Vec<Concern>,
        outlook: Outlook,
        minutes: u64,
    ) -> Vec<(AlertEvent, AlertType)> {
        let now = T0 + minutes * MINUTE;
        let concerns = outlook.concerns(raised, &Thresholds::default(), now);
        let changes = changes(raised, &concerns);
        *raised = concerns;
        let kinds = changes.into_iter();
        kinds
            .map(|(event, concern)| (event, concern.alert_type))
            .collect()
    }

    #[test]
    fn a_job_that_fails_is_told_after_five_minutes_and_thirty_and_when_a_push_is_accepted() {
        let mut raised = Vec::new();
        assert_eq!(look(&mut raised, healthy(), 0), []);
        assert_eq!(look(&mut raised, failing(), 4), []);
        assert_eq!(look(&mut raised, failing(), 5), [(Start, JobFailing)]);
        assert_eq!(raised[0].severity, Severity::Warning);
        assert_eq!(look(&mut raised, failing(), 29), []);
        assert_eq!(look(&mut raised, failing(), 30), [(Start, JobFailing)]);
        assert_eq!(raised[0].severity, Severity::Critical);
        assert_eq!(raised.len(), 1);
        let recovered = Outlook {
            last_success_millis: Some(T0 + 31 * MINUTE),
            ..healthy()
        };
        assert_eq!(look(&mut raised, recovered, 31), [(End, JobFailing)]);
        assert!(raised.is_empty());
    }

    #[test]
    fn a_parked_queue_is_told_at_once_and_is_over_when_a_push_is_accepted_not_when_the_job_is_changed()
     {
        let mut raised = Vec::new();
        let mut parked = failing();
        parked.trouble.parked = Some(Parked {
            since_millis: T0,
            probes: 0,
            for_content: false,
        });
        assert_eq!(look(&mut raised, parked, 0), [(Start, JobParked)]);
        // Somebody changed the job, which takes it for mended.
        assert_eq!(look(&mut raised, failing(), 1), []);
        // And was wrong.
        parked.trouble.parked = Some(Parked {
            since_millis: T0 + 2 * MINUTE,
            probes: 0,
            for_content: false,
        });
        assert_eq!(look(&mut raised, parked, 2), []);
        let recovered = Outlook {
            last_success_millis: Some(T0 + 3 * MINUTE),
            ..healthy()
        };
        assert_eq!(look(&mut raised, recovered, 3), [(End, JobParked)]);
    }

    #[test]
    fn what_failed_is_over_when_nothing_is_left_to_push() {
        let mut raised = Vec::new();
        look(&mut raised, failing(), 6);
        let empty = Outlook {
            oldest_received_millis: None,
            ..healthy()
        };
        assert_eq!(look(&mut raised, empty, 7), [(End, JobFailing)]);
    }

    #[test]
    fn a_job_disabled_for_failing_is_told_and_its_failing_is_not_over_until_a_push_is_accepted() {
        let mut raised = Vec::new();
        look(&mut raised, failing(), 6);
        let day = 24 * 60;
        look(&mut raised, failing(), 70);
        let mut disabled = healthy();
        disabled.job = JobState::Disabled;
        disabled.disabled_by_failing_at_millis = Some(T0 + day * MINUTE);
        assert_eq!(look(&mut raised, disabled, day), [(Start, JobDisabled)]);
        // Enabled again; what failed may fail again.
        assert_eq!(look(&mut raised, healthy(), day + 1), [(End, JobDisabled)]);
        assert_eq!(look(&mut raised, failing(), day + 2), []);
        let recovered = Outlook {
            oldest_received_millis: None,
            last_success_millis: Some(T0 + (day + 3) * MINUTE),
            ..healthy()
        };
        assert_eq!(
            look(&mut raised, recovered, day + 3),
            [(End, JobFailing), (End, JobBacklog)]
        );
    }

    #[test]
    fn a_backlog_is_told_once_however_its_oldest_record_changes_and_ends_when_it_is_young_again() {
        let mut raised = Vec::new();
        assert_eq!(look(&mut raised, healthy(), 59), []);
        assert_eq!(look(&mut raised, healthy(), 60), [(Start, JobBacklog)]);
        let later = Outlook {
            oldest_received_millis: Some(T0 + 10 * MINUTE),
            ..healthy()
        };
        assert_eq!(look(&mut raised, later, 75), []);
        assert_eq!(raised[0].since_millis, T0);
        let younger = Outlook {
            oldest_received_millis: Some(T0 + 70 * MINUTE),
            ..healthy()
        };
        assert_eq!(look(&mut raised, younger, 76), [(End, JobBacklog)]);
    }

    #[test]
    fn a_job_that_somebody_switched_off_or_deleted_concerns_nobody() {
        for job in [JobState::Disabled, JobState::Deleted] {
            let mut raised = Vec::new();
            look(&mut raised, failing(), 70);
            assert_eq!(raised.len(), 2);
            let off = Outlook { job, ..failing() };
            let expected = [(End, JobFailing), (End, JobBacklog)];
            assert_eq!(look(&mut raised, off, 71), expected);
        }
    }

    #[test]
    fn the_next_look_is_when_the_next_threshold_is_reached() {
        let thresholds = Thresholds::default();
        let next = |outlook: Outlook, minutes: u64| {
            let at = outlook.next_look_millis(&thresholds, T0 + minutes * MINUTE);
            at.map(|at| (at - T0) / MINUTE)
        };
        assert_eq!(next(failing(), 0), Some(5));
        assert_eq!(next(failing(), 5), Some(30));
        assert_eq!(next(failing(), 30), Some(60));
        assert_eq!(next(failing(), 60), None);
        assert_eq!(next(healthy(), 0), Some(60));
        let off = Outlook {
            job: JobState::Disabled,
            ..failing()
        };
        assert_eq!(next(off, 0), None);
    }

    #[test]
    fn what_was_raised_is_stored_under_these_names() {
        let concern = Concern {
            alert_type: JobFailing,
            severity: Severity::Critical,
            since_millis: 5,
        };
        let text =
            r#"{"alert_type":"logpush_job_failing_alert","severity":"critical","since_millis":5}"#;
        assert_eq!(serde_json::to_string(&concern).unwrap(), text);
        assert_eq!(serde_json::from_str::<Concern>(text).unwrap(), concern);
    }
}
