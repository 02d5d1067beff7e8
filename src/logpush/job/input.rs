//! What a request says about a job.

use std::fmt;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::super::catalogue::Dataset;
use super::super::destination_conf::masked;
use super::super::output_options::OutputOptions;
use super::super::scope::Scope;
use super::{
    DEFAULT_DATASET, Frequency, Job, JobBackfill, JobInputError, MAX_DATASET_CHARS, MAX_NAME_CHARS,
    MAX_OWNERSHIP_CHALLENGE_CHARS, NewJob, UPLOAD_BYTES, UPLOAD_INTERVAL_SECS, UPLOAD_RECORDS,
    first_version,
};
use crate::time;

/// What a request says about one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Nothing: it stays.
    #[default]
    Keep,
    /// `null`, `""` or `0`: it is unset.
    Clear,
    /// A value.
    Set(T),
}

impl<T> Change<T> {
    fn apply(self, to: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *to = None,
            Self::Set(value) => *to = Some(value),
        }
    }
}

/// The body of a request that creates or changes a job.
///
/// Every member is optional; which ones must be there depends on what it is used for: [`into_new_job`](Self::into_new_job)
/// or [`apply_to`](Self::apply_to). Members that Logpush does not know, such as the `token` of Cloudflare's blog, are
/// ignored. Members that would change which records are sent, or how, and that are not done are refused: none is ignored
/// without a word.
///
/// `Debug` masks `destination_conf`.
#[derive(Clone, Default, PartialEq)]
pub struct JobInput {
    /// `dataset`.
    pub dataset: Option<String>,
    /// `destination_conf`.
    pub destination_conf: Option<String>,
    /// `enabled`.
    pub enabled: Option<bool>,
    /// `name`.
    pub name: Change<String>,
    /// `filter`, not parsed.
    pub filter: Change<String>,
    /// `kind`; only `""` passes.
    pub kind: Option<String>,
    /// `frequency`.
    pub frequency: Change<Frequency>,
    /// `logpull_options`, as sent.
    pub logpull_options: Change<String>,
    /// `output_options`, as sent: an object.
    pub output_options: Change<Value>,
    /// `max_upload_bytes`.
    pub max_upload_bytes: Change<u64>,
    /// `max_upload_records`.
    pub max_upload_records: Change<u64>,
    /// `max_upload_interval_seconds`.
    pub max_upload_interval_seconds: Change<u64>,
    /// `subrequest_merging`.
    pub subrequest_merging: Change<bool>,
    /// `backfill_from`, RFC 3339: records that are archived already are selected from this time on.
    pub backfill_from: Option<String>,
    /// `ownership_challenge`: not stored, for whoever checks that the destination is the caller's.
    pub ownership_challenge: Option<String>,
}

impl JobInput {
    /// Reads a request body.
    ///
    /// # Errors
    ///
    /// [`JobInputError`] for the first member that is wrong.
    pub fn from_json(body: &Value) -> Result<Self, JobInputError> {
        let body = body.as_object().ok_or(JobInputError::NotAnObject)?;
        refuse_what_is_not_offered(body)?;
        Ok(Self {
            dataset: match text(body, "dataset")? {
                // The API schema allows `null` and `""`: clients that always write all members send them for "the default".
                Change::Keep | Change::Clear => None,
                Change::Set(dataset) if is_dataset(&dataset) => Some(dataset),
                Change::Set(_) => return Err(JobInputError::DatasetForm),
            },
            destination_conf: match text(body, "destination_conf")? {
                Change::Keep => None,
                Change::Clear if body.get("destination_conf").is_some_and(Value::is_null) => None,
                Change::Clear => return Err(JobInputError::DestinationMissing),
                Change::Set(conf) => Some(conf),
            },
            enabled: bool(body, "enabled")?,
            name: match text(body, "name")? {
                Change::Set(name) if name.chars().count() > MAX_NAME_CHARS => {
                    return Err(JobInputError::NameTooLong);
                }
                name => name,
            },
            filter: match body.get("filter") {
                Some(Value::Object(_) | Value::Array(_)) => {
                    return Err(JobInputError::FilterNotText);
                }
                _ => text(body, "filter")?,
            },
            kind: match text(body, "kind")? {
                Change::Keep => None,
                Change::Clear if body.get("kind").is_some_and(Value::is_null) => None,
                Change::Clear => Some(String::new()),
                Change::Set(kind) => Some(kind),
            },
            frequency: match text(body, "frequency")? {
                Change::Keep => Change::Keep,
                Change::Clear => Change::Clear,
                Change::Set(word) => Change::Set(match word.as_str() {
                    "high" => Frequency::High,
                    "low" => Frequency::Low,
                    _ => return Err(JobInputError::FrequencyForm),
                }),
            },
            logpull_options: logpull_options(body)?,
            output_options: output_options(body)?,
            max_upload_bytes: limit(body, "max_upload_bytes", &UPLOAD_BYTES)?,
            max_upload_records: limit(body, "max_upload_records", &UPLOAD_RECORDS)?,
            max_upload_interval_seconds: limit(
                body,
                "max_upload_interval_seconds",
                &UPLOAD_INTERVAL_SECS,
            )?,
            subrequest_merging: match bool(body, "subrequest_merging")? {
                Some(value) => Change::Set(value),
                None if body.contains_key("subrequest_merging") => Change::Clear,
                None => Change::Keep,
            },
            backfill_from: match text(body, "backfill_from")? {
                Change::Keep | Change::Clear => None,
                Change::Set(time) => Some(instant(&time)?),
            },
            ownership_challenge: ownership_challenge(body)?,
        })
    }

    /// The job that this creates. Only `destination_conf` must be there.
    ///
    /// # Errors
    ///
    /// Without `destination_conf`, with a `kind` that is not offered, or with a field that the dataset does not have.
    pub fn into_new_job(self, scope: Scope) -> Result<NewJob, JobInputError> {
        let destination_conf = self
            .destination_conf
            .clone()
            .ok_or(JobInputError::DestinationMissing)?;
        if self.kind.as_deref().is_some_and(|kind| !kind.is_empty()) {
            return Err(JobInputError::NotOffered { field: "kind" });
        }
        let mut job = Job {
            id: 0,
            version: first_version(),
            scope,
            dataset: self
                .dataset
                .clone()
                .unwrap_or_else(|| DEFAULT_DATASET.to_owned()),
            name: None,
            enabled: false,
            destination_conf,
            filter: None,
            kind: String::new(),
            frequency: Frequency::default(),
            logpull_options: None,
            output_options: None,
            max_upload_bytes: None,
            max_upload_records: None,
            max_upload_interval_seconds: None,
            subrequest_merging: None,
            last_complete: None,
            last_error: None,
            error_message: None,
            disabled_by_failing_at_millis: None,
            backfill: self.backfill_from.clone().map(|from| JobBackfill {
                from,
                received_before_millis: 0,
            }),
            replay: None,
        };
        self.change(&mut job);
        check_fields(&job)?;
        Ok(NewJob(job))
    }

    /// The job with this change: what the request does not mention stays. Its version is still the one that was read.
    ///
    /// # Errors
    ///
    /// When the request would change `dataset` or `kind`, or would name a field that the dataset does not have.
    pub fn apply_to(self, job: &Job) -> Result<Job, JobInputError> {
        if self
            .dataset
            .as_ref()
            .is_some_and(|dataset| *dataset != job.dataset)
        {
            return Err(JobInputError::Fixed { field: "dataset" });
        }
        if self.kind.as_ref().is_some_and(|kind| *kind != job.kind) {
            return Err(JobInputError::Fixed { field: "kind" });
        }
        let begun = job.backfill.as_ref().map(|backfill| &backfill.from);
        if self.backfill_from.is_some() && self.backfill_from.as_ref() != begun {
            return Err(JobInputError::Fixed {
                field: "backfill_from",
            });
        }
        let mut changed = job.clone();
        self.change(&mut changed);
        let is_same = changed.output_options == job.output_options
            && changed.logpull_options == job.logpull_options;
        // A field may leave the catalogue after the job was made, and the job can still be switched off.
        if !is_same {
            check_fields(&changed)?;
        }
        Ok(changed)
    }

    fn change(self, job: &mut Job) {
        if let Some(enabled) = self.enabled {
            job.enabled = enabled;
            job.disabled_by_failing_at_millis = None;
        }
        if let Some(destination_conf) = self.destination_conf {
            job.destination_conf = destination_conf;
        }
        match self.frequency {
            Change::Keep => {}
            Change::Clear => job.frequency = Frequency::default(),
            Change::Set(frequency) => job.frequency = frequency,
        }
        self.name.apply(&mut job.name);
        self.filter.apply(&mut job.filter);
        self.logpull_options.apply(&mut job.logpull_options);
        self.output_options.apply(&mut job.output_options);
        self.max_upload_bytes.apply(&mut job.max_upload_bytes);
        self.max_upload_records.apply(&mut job.max_upload_records);
        self.max_upload_interval_seconds
            .apply(&mut job.max_upload_interval_seconds);
        self.subrequest_merging.apply(&mut job.subrequest_merging);
    }
}

impl fmt::Debug for JobInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobInput")
            .field("dataset", &self.dataset)
            .field(
                "destination_conf",
                &self.destination_conf.as_deref().map(masked),
            )
            .field("enabled", &self.enabled)
            .field("name", &self.name)
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

fn is_dataset(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=MAX_DATASET_CHARS).contains(&name.len()) && name.bytes().all(allowed)
}

fn text(body: &Map<String, Value>, field: &'static str) -> Result<Change<String>, JobInputError> {
    match body.get(field) {
        None => Ok(Change::Keep),
        Some(Value::Null) => Ok(Change::Clear),
        Some(Value::String(text)) if text.is_empty() => Ok(Change::Clear),
        Some(Value::String(text)) => Ok(Change::Set(text.clone())),
        Some(_) => Err(JobInputError::NotAString { field }),
    }
}

/// An instant in one form, whatever form it came in.
fn instant(text: &str) -> Result<String, JobInputError> {
    let nanos = time::instant_from_str(text).filter(|nanos| *nanos >= 0);
    nanos.map(time::rfc3339).ok_or(JobInputError::BackfillForm)
}

/// A Boolean, also as text: Cloudflare's own blog sends `"enabled": "true"`.
fn bool(body: &Map<String, Value>, field: &'static str) -> Result<Option<bool>, JobInputError> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(Value::String(text)) => text
            .parse()
            .map(Some)
            .map_err(|_| JobInputError::NotABool { field }),
        Some(_) => Err(JobInputError::NotABool { field }),
    }
}

fn limit(
    body: &Map<String, Value>,
    field: &'static str,
    range: &RangeInclusive<u64>,
) -> Result<Change<u64>, JobInputError> {
    let wrong = || JobInputError::Limit {
        field,
        min: *range.start(),
        max: *range.end(),
    };
    match body.get(field) {
        None => Ok(Change::Keep),
        Some(Value::Null) => Ok(Change::Clear),
        Some(Value::String(text)) if text.is_empty() => Ok(Change::Clear),
        Some(value) => match value.as_u64().ok_or_else(wrong)? {
            0 => Ok(Change::Clear),
            number if range.contains(&number) => Ok(Change::Set(number)),
            _ => Err(wrong()),
        },
    }
}

/// Members that would change which records are sent, or how, and that are done otherwise here or not at all.
fn refuse_what_is_not_offered(body: &Map<String, Value>) -> Result<(), JobInputError> {
    for field in ["sample", "sample_rate", "transformer_id"] {
        let unset = if field == "transformer_id" { 0.0 } else { 1.0 };
        let is_unset = |value: &Value| {
            value.is_null() || value == "" || value.as_f64().is_some_and(|n| n == unset || n == 0.0)
        };
        if body.get(field).is_some_and(|value| !is_unset(value)) {
            return Err(JobInputError::NotOffered { field });
        }
    }
    Ok(())
}

/// `output_options`, checked but for the names of fields.
fn output_options(body: &Map<String, Value>) -> Result<Change<Value>, JobInputError> {
    match body.get("output_options") {
        None => Ok(Change::Keep),
        Some(Value::Null) => Ok(Change::Clear),
        Some(Value::String(text)) if text.is_empty() => Ok(Change::Clear),
        Some(options) => OutputOptions::from_json(options)
            .map(|_| Change::Set(options.clone()))
            .map_err(|error| JobInputError::Output {
                field: "output_options",
                error,
            }),
    }
}

/// `logpull_options`, checked but for the names of fields.
fn logpull_options(body: &Map<String, Value>) -> Result<Change<String>, JobInputError> {
    let options = text(body, "logpull_options")?;
    if let Change::Set(options) = &options {
        OutputOptions::from_logpull(options).map_err(|error| JobInputError::Output {
            field: "logpull_options",
            error,
        })?;
    }
    Ok(options)
}

fn ownership_challenge(body: &Map<String, Value>) -> Result<Option<String>, JobInputError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/+.-_".contains(&b);
    match text(body, "ownership_challenge")? {
        Change::Keep | Change::Clear => Ok(None),
        Change::Set(challenge)
            if challenge.len() <= MAX_OWNERSHIP_CHALLENGE_CHARS
                && challenge.bytes().all(allowed) =>
        {
            Ok(Some(challenge))
        }
        Change::Set(_) => Err(JobInputError::ChallengeForm),
    }
}

/// Checks the fields that the job's options name against the catalogue. A dataset that it lacks has an open schema.
fn check_fields(job: &Job) -> Result<(), JobInputError> {
    let Some(dataset) = Dataset::find(job.scope.kind(), &job.dataset) else {
        return Ok(());
    };
    let wrong = |field| move |error| JobInputError::Output { field, error };
    if let Some(options) = &job.output_options {
        OutputOptions::from_json(options)
            .and_then(|options| options.check_fields(&dataset))
            .map_err(wrong("output_options"))?;
    }
    if let Some(options) = &job.logpull_options {
        OutputOptions::from_logpull(options)
            .and_then(|options| options.check_logpull_fields(&dataset))
            .map_err(wrong("logpull_options"))?;
    }
    Ok(())
}
