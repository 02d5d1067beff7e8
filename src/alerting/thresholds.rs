//! When something is worth an alert, as the operator set it.

use super::duration::parse_duration_millis;

/// When to raise. Every duration is in milliseconds; `None` is "never".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// `ALERT_FAILING_WARNING_AFTER`: a job fails this long.
    pub failing_warning_millis: Option<u64>,
    /// `ALERT_FAILING_CRITICAL_AFTER`: the same, critical.
    pub failing_critical_millis: Option<u64>,
    /// `ALERT_BACKLOG_OLDER_THAN`: the oldest waiting record of a job.
    pub backlog_millis: Option<u64>,
    /// `ALERT_SILENCE_TIMES`: so many usual intervals without a batch of a dataset.
    pub silence_times: Option<f64>,
    /// `ALERT_SILENCE_AT_LEAST`: no silence is shorter, however often batches come.
    pub silence_at_least_millis: u64,
    /// `ALERT_SILENCE_LEARN`: a dataset is watched this long before its silence is judged.
    pub silence_learn_millis: u64,
    /// `ALERT_INVALID_PERCENT`: of the lines of a dataset.
    pub invalid_percent: Option<f64>,
    /// `ALERT_INVALID_LINES`: and at least so many.
    pub invalid_lines: u64,
    /// `ALERT_INVALID_WINDOW`: in this time.
    pub invalid_window_millis: u64,
}

const MINUTE: u64 = 60_000;

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            failing_warning_millis: Some(5 * MINUTE),
            failing_critical_millis: Some(30 * MINUTE),
            backlog_millis: Some(60 * MINUTE),
            silence_times: Some(10.0),
            silence_at_least_millis: 15 * MINUTE,
            // A day and an hour: whoever sleeps at night has woken up once.
            silence_learn_millis: 25 * 60 * MINUTE,
            invalid_percent: Some(1.0),
            invalid_lines: 10,
            invalid_window_millis: 15 * MINUTE,
        }
    }
}

/// Longest window that is looked at: minutes of receipt are read for each look.
const WINDOW_MAX_MILLIS: u64 = 24 * 60 * MINUTE;

impl Thresholds {
    /// Reads the variables. What can not be read has its default, and is returned as a text for the operator.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        let defaults = Self::default();
        let mut wrong = Vec::new();
        let mut duration = |name: &str, default: u64, may_be_off: bool| -> Option<u64> {
            let text = variable(name)?;
            if may_be_off && text.trim() == "off" {
                return Some(u64::MAX);
            }
            let read = parse_duration_millis(&text);
            if read.is_none() {
                let off = if may_be_off { ", or off" } else { "" };
                wrong.push(format!(
                    "{name}: must be a duration such as 30m or 1h30m{off}; {} s is used",
                    default / 1_000
                ));
            }
            read
        };
        let optional = |read: Option<u64>, default: Option<u64>| match read {
            None => default,
            Some(u64::MAX) => None,
            Some(millis) => Some(millis),
        };
        let off = u64::MAX;
        let warning = duration(
            "ALERT_FAILING_WARNING_AFTER",
            defaults.failing_warning_millis.unwrap_or(off),
            true,
        );
        let critical = duration(
            "ALERT_FAILING_CRITICAL_AFTER",
            defaults.failing_critical_millis.unwrap_or(off),
            true,
        );
        let backlog = duration(
            "ALERT_BACKLOG_OLDER_THAN",
            defaults.backlog_millis.unwrap_or(off),
            true,
        );
        let at_least = duration(
            "ALERT_SILENCE_AT_LEAST",
            defaults.silence_at_least_millis,
            false,
        );
        let learn = duration("ALERT_SILENCE_LEARN", defaults.silence_learn_millis, false);
        let window = duration(
            "ALERT_INVALID_WINDOW",
            defaults.invalid_window_millis,
            false,
        );
        let mut number = |name: &str, default: Option<f64>, least: f64, most: f64| -> Option<f64> {
            let Some(text) = variable(name) else {
                return default;
            };
            if text.trim() == "off" {
                return None;
            }
            let read = text.trim().parse::<f64>().ok();
            match read.filter(|n| (least..=most).contains(n)) {
                Some(n) => Some(n),
                None => {
                    let default_text = default.unwrap_or_default();
                    wrong.push(format!("{name}: must be a number from {least} to {most}, or off; {default_text} is used"));
                    default
                }
            }
        };
        let silence_times = number("ALERT_SILENCE_TIMES", defaults.silence_times, 1.0, 10_000.0);
        let invalid_percent = number(
            "ALERT_INVALID_PERCENT",
            defaults.invalid_percent,
            0.0,
            100.0,
        );
        let invalid_lines = number(
            "ALERT_INVALID_LINES",
            Some(defaults.invalid_lines as f64),
            1.0,
            1e12,
        );
        let read = Self {
            failing_warning_millis: optional(warning, defaults.failing_warning_millis),
            failing_critical_millis: optional(critical, defaults.failing_critical_millis),
            backlog_millis: optional(backlog, defaults.backlog_millis),
            silence_times,
            silence_at_least_millis: at_least.unwrap_or(defaults.silence_at_least_millis),
            silence_learn_millis: learn.unwrap_or(defaults.silence_learn_millis),
            invalid_percent,
            // `off` leaves it to the percentage alone.
            invalid_lines: invalid_lines.unwrap_or(1.0) as u64,
            invalid_window_millis: window
                .unwrap_or(defaults.invalid_window_millis)
                .clamp(MINUTE, WINDOW_MAX_MILLIS),
        };
        (read, wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Thresholds, Vec<String>) {
        Thresholds::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_is_not_set_has_its_default_and_off_is_never() {
        assert_eq!(read(&[]), (Thresholds::default(), vec![]));
        let (set, wrong) = read(&[
            ("ALERT_FAILING_WARNING_AFTER", "90s"),
            ("ALERT_FAILING_CRITICAL_AFTER", "off"),
            ("ALERT_BACKLOG_OLDER_THAN", "2h"),
            ("ALERT_SILENCE_TIMES", "2.5"),
            ("ALERT_SILENCE_AT_LEAST", "1m"),
            ("ALERT_SILENCE_LEARN", "0s"),
            ("ALERT_INVALID_PERCENT", "off"),
            ("ALERT_INVALID_LINES", "3"),
            ("ALERT_INVALID_WINDOW", "0s"),
        ]);
        let expected = Thresholds {
            failing_warning_millis: Some(90_000),
            failing_critical_millis: None,
            backlog_millis: Some(7_200_000),
            silence_times: Some(2.5),
            silence_at_least_millis: 60_000,
            silence_learn_millis: 0,
            invalid_percent: None,
            invalid_lines: 3,
            invalid_window_millis: 60_000,
        };
        assert_eq!((set, wrong), (expected, vec![]));
    }

    #[test]
    fn what_can_not_be_read_has_its_default_and_is_told() {
        let (set, wrong) = read(&[
            ("ALERT_BACKLOG_OLDER_THAN", "soon"),
            ("ALERT_SILENCE_LEARN", "off"),
            ("ALERT_SILENCE_TIMES", "0"),
            ("ALERT_INVALID_PERCENT", "NaN"),
        ]);
        assert_eq!(set, Thresholds::default());
        assert_eq!(
            wrong,
            [
                "ALERT_BACKLOG_OLDER_THAN: must be a duration such as 30m or 1h30m, or off; 3600 s is used",
                "ALERT_SILENCE_LEARN: must be a duration such as 30m or 1h30m; 90000 s is used",
                "ALERT_SILENCE_TIMES: must be a number from 1 to 10000, or off; 10 is used",
                "ALERT_INVALID_PERCENT: must be a number from 0 to 100, or off; 1 is used",
            ]
        );
    }

    #[test]
    fn every_variable_is_documented_with_its_default() {
        let documented = include_str!("../../docs/alerts.md");
        for row in [
            "| `ALERT_FAILING_WARNING_AFTER` | `5m` |",
            "| `ALERT_FAILING_CRITICAL_AFTER` | `30m` |",
            "| `ALERT_BACKLOG_OLDER_THAN` | `1h` |",
            "| `ALERT_SILENCE_TIMES` | `10` |",
            "| `ALERT_SILENCE_AT_LEAST` | `15m` |",
            "| `ALERT_SILENCE_LEARN` | `25h` |",
            "| `ALERT_INVALID_PERCENT` | `1` |",
            "| `ALERT_INVALID_LINES` | `10` |",
            "| `ALERT_INVALID_WINDOW` | `15m` |",
        ] {
            assert!(documented.contains(row), "docs/alerts.md lacks {row}");
        }
    }
}
