//! What follows an attempt to tell somebody.

/// First wait after a failed attempt.
const BACKOFF_FIRST_MILLIS: u64 = 5_000;

/// Longest wait between two attempts: a channel that is back is found within this time.
const BACKOFF_MAX_MILLIS: u64 = 10 * 60_000;

/// Longest `Retry-After` that is honoured, so that a wrong header can not swallow an alert.
const RETRY_AFTER_MAX_MILLIS: u64 = 3_600_000;

/// After this time an alert is old news; it is counted as undelivered, and `/stats` shows it.
pub const GIVE_UP_MILLIS: u64 = 24 * 3_600_000;

/// How long a channel may take to answer. Nothing waits for it but other alerts.
pub const ATTEMPT_DEADLINE_MILLIS: u64 = 10_000;

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The channel took it.
    Taken,
    /// It did not.
    Failed {
        /// Seconds that it asked to wait.
        retry_after_secs: Option<u64>,
        /// What it said; holds no secret.
        reason: String,
    },
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Write it into the history.
    Delivered,
    /// Try again at this time, unix milliseconds.
    RetryAt(u64),
    /// Count it as undelivered.
    GiveUp,
}

/// What follows the attempt number `attempts` (from 1) at something that was raised at `raised_millis`. `jitter` is a random number
/// in 0..1, so that alerts that failed together do not all come back together.
#[must_use]
pub fn after(
    outcome: &Outcome,
    attempts: u32,
    raised_millis: u64,
    now_millis: u64,
    jitter: f64,
) -> Next {
    let Outcome::Failed {
        retry_after_secs, ..
    } = outcome
    else {
        return Next::Delivered;
    };
    let deadline = raised_millis.saturating_add(GIVE_UP_MILLIS);
    if now_millis >= deadline {
        return Next::GiveUp;
    }
    let full = BACKOFF_FIRST_MILLIS
        .saturating_mul(1 << attempts.saturating_sub(1).min(16))
        .min(BACKOFF_MAX_MILLIS);
    let wait = full / 2 + (full as f64 / 2.0 * jitter.clamp(0.0, 1.0)) as u64;
    let asked = retry_after_secs
        .unwrap_or(0)
        .saturating_mul(1_000)
        .min(RETRY_AFTER_MAX_MILLIS);
    // The last attempt comes at the end of the time, not after it.
    Next::RetryAt(now_millis.saturating_add(wait.max(asked)).min(deadline))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(retry_after_secs: Option<u64>) -> Outcome {
        let reason = "error 503".to_owned();
        Outcome::Failed {
            retry_after_secs,
            reason,
        }
    }

    #[test]
    fn an_attempt_is_followed_by_history_another_attempt_or_the_end() {
        let day = GIVE_UP_MILLIS;
        let table = [
            (Outcome::Taken, 1, 0, 0.0, Next::Delivered),
            (Outcome::Taken, 9, day * 2, 0.0, Next::Delivered),
            (failed(None), 1, 0, 0.0, Next::RetryAt(2_500)),
            (failed(None), 1, 0, 1.0, Next::RetryAt(5_000)),
            (failed(None), 1, 0, f64::NAN, Next::RetryAt(2_500)),
            (failed(None), 3, 1_000, 1.0, Next::RetryAt(21_000)),
            (failed(None), 200, 1_000, 1.0, Next::RetryAt(601_000)),
            (failed(Some(30)), 1, 0, 0.0, Next::RetryAt(30_000)),
            (failed(Some(u64::MAX)), 1, 0, 0.0, Next::RetryAt(3_600_000)),
            (failed(None), 200, day - 1, 0.0, Next::RetryAt(day)),
            (failed(None), 200, day, 0.0, Next::GiveUp),
        ];
        for (outcome, attempts, now, jitter, expected) in table {
            assert_eq!(
                after(&outcome, attempts, 0, now, jitter),
                expected,
                "{outcome:?} {attempts} {now}"
            );
        }
    }

    #[test]
    fn a_channel_that_never_answers_is_tried_some_hundred_times_and_then_given_up() {
        let (mut now, mut attempts) = (0, 0);
        loop {
            attempts += 1;
            match after(&failed(None), attempts, 0, now, 0.5) {
                Next::RetryAt(at) => {
                    assert!(at > now);
                    now = at;
                }
                next => {
                    assert_eq!((next, now), (Next::GiveUp, GIVE_UP_MILLIS));
                    break;
                }
            }
        }
        assert!((150..300).contains(&attempts), "{attempts}");
    }
}
