//! Alerts: what is raised, who is told, in which form, and when to try again. No I/O and no clock.
//!
//! An [`Occurrence`] says that something began or ended. A [`Policy`] of the operator names the kind of alert and the
//! mechanisms that carry it: a [`Webhook`], or e-mail. [`delivery::after`] says what follows an attempt. Two things are
//! looked for here rather than raised by others: a dataset that fell silent and bad lines ([`detect`]).
//!
//! Words and shapes are Cloudflare's Notifications API (SDK of 2026) and its webhook payload, so that what listens to
//! Cloudflare's `failing_logpush_job_disabled_alert` listens to ours.

pub mod delivery;
pub mod detect;
mod duration;
mod occurrence;
mod policy;
mod render;
#[cfg(test)]
mod tests;
mod thresholds;
mod webhook;

pub use duration::parse_duration_millis;
pub use occurrence::{AlertEvent, DatasetFacts, JobFacts, Occurrence, Severity, Subject};
pub use policy::{Mechanisms, Policy, PolicyFilters, PolicyInput};
pub use render::{Email, TEST_MESSAGE, email, webhook_body};
pub use thresholds::Thresholds;
pub use webhook::{Webhook, WebhookInput, WebhookKind, WebhookTarget};

use serde::{Deserialize, Serialize};
use std::fmt;

/// What an alert is about. The first name is Cloudflare's; the others are ours, in the same style.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AlertType {
    /// A job was disabled because no push succeeded for 24 h.
    #[serde(rename = "failing_logpush_job_disabled_alert")]
    JobDisabled,
    /// A job's pushes have been failing for some time.
    #[serde(rename = "logpush_job_failing_alert")]
    JobFailing,
    /// A job's destination refuses what it is sent for a reason that only its operator can mend; records are kept.
    #[serde(rename = "logpush_job_parked_alert")]
    JobParked,
    /// The oldest record that waits for a job is too old.
    #[serde(rename = "logpush_job_backlog_alert")]
    JobBacklog,
    /// No batch of a dataset came for much longer than usual.
    #[serde(rename = "logpush_dataset_silent_alert")]
    DatasetSilent,
    /// Too many lines of a dataset are no records.
    #[serde(rename = "logpush_invalid_lines_alert")]
    InvalidLines,
}

impl AlertType {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 6] = [
        Self::JobDisabled,
        Self::JobFailing,
        Self::JobParked,
        Self::JobBacklog,
        Self::DatasetSilent,
        Self::InvalidLines,
    ];

    /// The name in the API and in payloads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JobDisabled => "failing_logpush_job_disabled_alert",
            Self::JobFailing => "logpush_job_failing_alert",
            Self::JobParked => "logpush_job_parked_alert",
            Self::JobBacklog => "logpush_job_backlog_alert",
            Self::DatasetSilent => "logpush_dataset_silent_alert",
            Self::InvalidLines => "logpush_invalid_lines_alert",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// A heading for people.
    #[must_use]
    pub fn display_name(self) -> &'static str {
        match self {
            Self::JobDisabled => "Failing Logpush Job Disabled",
            Self::JobFailing => "Logpush Job Failing",
            Self::JobParked => "Logpush Job Parked",
            Self::JobBacklog => "Logpush Job Backlog",
            Self::DatasetSilent => "Logpush Dataset Silent",
            Self::InvalidLines => "Logpush Invalid Lines",
        }
    }

    /// What it tells, for the list of available alerts.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::JobDisabled => {
                "A job was disabled because no push succeeded for 24 h. At most one alert per job in 24 h."
            }
            Self::JobFailing => {
                "Pushes of a job have been failing for 5 minutes (warning) and 30 minutes (critical), and when they succeed again."
            }
            Self::JobParked => {
                "A destination refuses a job's records until its configuration is mended, and when it takes them again."
            }
            Self::JobBacklog => {
                "The oldest record that waits for a job is older than an hour, and when it is no longer."
            }
            Self::DatasetSilent => {
                "No batch of a dataset came for ten times its usual interval, and when one came again."
            }
            Self::InvalidLines => {
                "More than 1 % of a dataset's lines are no records, and when they are again."
            }
        }
    }

    /// Least time between two alerts of a policy about the same subject, whatever the policy says: Cloudflare promises
    /// at most one alert per disabled job in 24 h.
    fn least_interval_millis(self) -> u64 {
        match self {
            Self::JobDisabled => 24 * 3_600_000,
            _ => 0,
        }
    }

    /// Whether it is about a job; otherwise it is about a dataset.
    #[must_use]
    pub fn is_about_job(self) -> bool {
        !matches!(self, Self::DatasetSilent | Self::InvalidLines)
    }
}

impl fmt::Display for AlertType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A member of a request that is wrong, with what to do; begins with the member's name. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError(pub String);

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InputError {}

fn wrong(member: &str, text: impl fmt::Display) -> InputError {
    InputError(format!("{member}: {text}"))
}

/// A member that is a text, if it is there and not null.
fn text_member(
    members: &serde_json::Map<String, serde_json::Value>,
    name: &str,
    max_chars: usize,
) -> Result<Option<String>, InputError> {
    match members.get(name) {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(text)) if text.chars().count() > max_chars => Err(wrong(
            name,
            format_args!("must have at most {max_chars} characters"),
        )),
        Some(serde_json::Value::String(text)) if text.chars().any(char::is_control) => Err(wrong(
            name,
            "must not hold line breaks or control characters",
        )),
        Some(serde_json::Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong(name, "must be a string")),
    }
}

fn members_of(
    body: &serde_json::Value,
) -> Result<&serde_json::Map<String, serde_json::Value>, InputError> {
    body.as_object()
        .ok_or_else(|| wrong("body", "must be a JSON object"))
}
