//! A job: which records of a dataset go to which destination.
//!
//! The shape is Logpush's job object (API reference and SDKs of 2026). [`JobInput`] is what a request brings, [`Job`]
//! what is stored and answered.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::destination_conf::masked;
use super::output_options::{OutputOptions, OutputOptionsError};
use super::scope::Scope;

mod input;
mod input_error;
#[cfg(test)]
mod tests;

pub use input::{Change, JobInput};
pub use input_error::JobInputError;

/// Dataset of a job that names none (the default of Cloudflare's Terraform provider).
pub const DEFAULT_DATASET: &str = "http_requests";

/// Most characters of a dataset's name.
pub const MAX_DATASET_CHARS: usize = 256;

/// Most characters of a job's name.
pub const MAX_NAME_CHARS: usize = 512;

/// Most characters of an `ownership_challenge`.
pub const MAX_OWNERSHIP_CHALLENGE_CHARS: usize = 4_096;

/// `max_upload_bytes`: uncompressed bytes of one push.
pub const UPLOAD_BYTES: std::ops::RangeInclusive<u64> = 5_000_000..=1_000_000_000;

/// `max_upload_records`: records of one push.
pub const UPLOAD_RECORDS: std::ops::RangeInclusive<u64> = 1_000..=1_000_000;

/// `max_upload_interval_seconds`: how long records are gathered for one push, in seconds.
pub const UPLOAD_INTERVAL_SECS: std::ops::RangeInclusive<u64> = 30..=300;

/// Logpush's `frequency`. Deprecated there, and without effect here: the `max_upload_*` limits say how often to push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Frequency {
    /// Small pushes, often.
    #[default]
    High,
    /// Large pushes, seldom.
    Low,
}

impl Frequency {
    /// The word for it in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
        }
    }
}

/// A job as it is stored, as JSON. A member may be added with a default, but none may change or go: during a deploy old
/// and new code read the same rows.
///
/// `Debug` masks `destination_conf`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Number of the job, unique in the deployment, from 1.
    pub id: u64,
    /// Goes up with every change; a writer names the version that it has read.
    #[serde(default = "first_version")]
    pub version: u64,
    /// The zone or account that it belongs to.
    pub scope: Scope,
    /// The log type that it takes.
    #[serde(default = "default_dataset")]
    pub dataset: String,
    /// The operator's name for it; need not be unique.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether it is pushed. See [`Job::is_selecting`] for whether records are selected for it.
    #[serde(default)]
    pub enabled: bool,
    /// Where its records go. May hold credentials: see [`masked`].
    pub destination_conf: String,
    /// Logpush filter, as sent; `None` takes every record.
    #[serde(default)]
    pub filter: Option<String>,
    /// Logpush's `kind`; only `""` is offered.
    #[serde(default)]
    pub kind: String,
    /// Logpush's `frequency`.
    #[serde(default)]
    pub frequency: Frequency,
    /// Logpush's deprecated query string, as sent; counts when there are no `output_options`.
    #[serde(default)]
    pub logpull_options: Option<String>,
    /// How records are written out, as sent: an object. See [`Job::output`].
    #[serde(default)]
    pub output_options: Option<Value>,
    /// Uncompressed bytes of one push, in [`UPLOAD_BYTES`]; `None` leaves it to the destination.
    #[serde(default)]
    pub max_upload_bytes: Option<u64>,
    /// Records of one push, in [`UPLOAD_RECORDS`].
    #[serde(default)]
    pub max_upload_records: Option<u64>,
    /// How long records are gathered, in [`UPLOAD_INTERVAL_SECS`].
    #[serde(default)]
    pub max_upload_interval_seconds: Option<u64>,
    /// Logpush's `subrequest_merging`. Kept for whoever reads it back, and without effect here: what it asks for happens
    /// at Cloudflare, in the job that pushes to this Worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subrequest_merging: Option<bool>,
    /// End of the time range of the last accepted push, RFC 3339.
    #[serde(default)]
    pub last_complete: Option<String>,
    /// Time of the last failed push, RFC 3339; `None` again after a success.
    #[serde(default)]
    pub last_error: Option<String>,
    /// What the last failed push met; `None` again after a success.
    #[serde(default)]
    pub error_message: Option<String>,
    /// When it was disabled because no push was accepted for a day, unix milliseconds; `None` again once somebody sets
    /// `enabled`. Records are still selected for it meanwhile, so that it goes on where it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_by_failing_at_millis: Option<u64>,
    /// What was archived before it was made is selected from as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<JobBackfill>,
    /// It is the queue of a replay: nothing that comes is selected for it, and no list of jobs has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayQueue>,
}

/// What a job gets of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobBackfill {
    /// Records from this time on, RFC 3339.
    pub from: String,
    /// Of batches that came before this time, unix milliseconds; from then on every isolate knows the job. The store sets it
    /// when it makes the job.
    #[serde(default)]
    pub received_before_millis: u64,
}

/// What the queue of a replay knows of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayQueue {
    /// The replay's id; its pushes are marked with it.
    pub id: String,
    /// The job whose destination it goes to, as that job has it at the time of a push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<u64>,
    /// Bytes of records a second at most, as they are written out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes_per_second: Option<u64>,
    /// Pushes a second at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_pushes_per_second: Option<f64>,
}

fn first_version() -> u64 {
    1
}

fn default_dataset() -> String {
    DEFAULT_DATASET.to_owned()
}

impl Job {
    /// Whether records are selected for it as they come.
    #[must_use]
    pub fn is_selecting(&self) -> bool {
        self.is_wanted() && self.replay.is_none()
    }

    /// Whether somebody wants its records: it is enabled, or disabled only because its destination failed.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.enabled || self.disabled_by_failing_at_millis.is_some()
    }

    /// The job, disabled because its destination accepted nothing for too long.
    #[must_use]
    pub fn disabled_by_failing(self, now_millis: u64) -> Self {
        Self {
            enabled: false,
            disabled_by_failing_at_millis: Some(now_millis),
            ..self
        }
    }

    /// The job as the API answers it. `mask` hides the credentials in `destination_conf`, for readers who may not write.
    #[must_use]
    pub fn to_api(&self, mask: bool) -> Value {
        let destination_conf = if mask {
            masked(&self.destination_conf)
        } else {
            self.destination_conf.clone()
        };
        let mut answer = json!({
            "id": self.id,
            "dataset": self.dataset,
            "frequency": self.frequency.as_str(),
            "kind": self.kind,
            "enabled": self.enabled,
            "name": self.name,
            "logpull_options": self.logpull_options,
            "output_options": self.output_options,
            "destination_conf": destination_conf,
            "filter": self.filter.as_deref().unwrap_or_default(),
            "max_upload_bytes": self.max_upload_bytes,
            "max_upload_records": self.max_upload_records,
            "max_upload_interval_seconds": self.max_upload_interval_seconds,
            "last_complete": self.last_complete,
            "last_error": self.last_error,
            "error_message": self.error_message,
        });
        // Only Logpush's documentation knows it, the types of its SDKs do not.
        if let (Some(merging), Some(members)) = (self.subrequest_merging, answer.as_object_mut()) {
            members.insert("subrequest_merging".to_owned(), Value::Bool(merging));
        }
        // Ours, and only where it is used.
        if let (Some(backfill), Some(members)) = (&self.backfill, answer.as_object_mut()) {
            members.insert("backfill_from".to_owned(), backfill.from.as_str().into());
        }
        answer
    }

    /// How its records are written out: by `output_options`, else by `logpull_options`, else by the defaults.
    ///
    /// # Errors
    ///
    /// When what is stored can not be read: an older version of this Worker may meet a job of a newer one.
    pub fn output(&self) -> Result<OutputOptions, OutputOptionsError> {
        match (&self.output_options, &self.logpull_options) {
            (Some(options), _) => OutputOptions::from_json(options),
            (None, Some(options)) => OutputOptions::from_logpull(options),
            (None, None) => Ok(OutputOptions::default()),
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("scope", &self.scope)
            .field("dataset", &self.dataset)
            .field("enabled", &self.enabled)
            .field("destination_conf", &masked(&self.destination_conf))
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

/// A job that has no number yet. `Debug` masks `destination_conf`.
#[derive(Clone, PartialEq)]
pub struct NewJob(Job);

impl NewJob {
    /// The zone or account that it will belong to.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }

    /// The log type that it will take.
    #[must_use]
    pub fn dataset(&self) -> &str {
        &self.0.dataset
    }

    /// Logpush filter, as sent.
    #[must_use]
    pub fn filter(&self) -> Option<&str> {
        self.0.filter.as_deref()
    }

    /// Where its records will go.
    #[must_use]
    pub fn destination_conf(&self) -> &str {
        &self.0.destination_conf
    }

    /// The job, now that the store has given it a number. Its version is 1.
    #[must_use]
    pub fn with_id(self, id: u64) -> Job {
        Job {
            id,
            version: first_version(),
            ..self.0
        }
    }
}

impl fmt::Debug for NewJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NewJob").field(&self.0).finish()
    }
}
