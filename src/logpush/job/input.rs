//! What a request says about a job.

use std::fmt;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::super::destination_conf::masked;
use super::super::scope::Scope;
use super::{
    DEFAULT_DATASET, Frequency, Job, JobInputError, MAX_DATASET_CHARS, MAX_NAME_CHARS, NewJob,
    UPLOAD_BYTES, UPLOAD_INTERVAL_SECS, UPLOAD_RECORDS, first_version,
};

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
/// or [`apply_to`](Self::apply_to). Members that Logpush does not know, `ownership_challenge` and the likes of `token`
/// are ignored. Members that would change which records are sent, or how, and that this version can not do are refused:
/// none is ignored without a word.
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
    /// `logpull_options`; never set, since only an empty one passes.
    pub logpull_options: Change<String>,
    /// `output_options`; only defaults pass.
    pub output_options: Change<Value>,
    /// `max_upload_bytes`.
    pub max_upload_bytes: Change<u64>,
    /// `max_upload_records`.
    pub max_upload_records: Change<u64>,
    /// `max_upload_interval_seconds`.
    pub max_upload_interval_seconds: Change<u64>,
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
                Change::Keep => None,
                // `null` is allowed by the API schema and means the default; an empty name is no name.
                Change::Clear if body.get("dataset").is_some_and(Value::is_null) => None,
                Change::Set(dataset) if is_dataset(&dataset) => Some(dataset),
                Change::Clear | Change::Set(_) => return Err(JobInputError::DatasetForm),
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
            logpull_options: match text(body, "logpull_options")? {
                Change::Set(_) => {
                    return Err(JobInputError::NotOffered {
                        field: "logpull_options",
                    });
                }
                unset => unset,
            },
            output_options: output_options(body)?,
            max_upload_bytes: limit(body, "max_upload_bytes", &UPLOAD_BYTES)?,
            max_upload_records: limit(body, "max_upload_records", &UPLOAD_RECORDS)?,
            max_upload_interval_seconds: limit(
                body,
                "max_upload_interval_seconds",
                &UPLOAD_INTERVAL_SECS,
            )?,
        })
    }

    /// The job that this creates. Only `destination_conf` must be there.
    ///
    /// # Errors
    ///
    /// Without `destination_conf`, or with a `kind` that is not offered.
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
            last_complete: None,
            last_error: None,
            error_message: None,
        };
        self.change(&mut job);
        Ok(NewJob(job))
    }

    /// The job with this change: what the request does not mention stays. Its version is still the one that was read.
    ///
    /// # Errors
    ///
    /// When the request would change `dataset` or `kind`.
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
        let mut changed = job.clone();
        self.change(&mut changed);
        Ok(changed)
    }

    fn change(self, job: &mut Job) {
        if let Some(enabled) = self.enabled {
            job.enabled = enabled;
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
    let wrong = JobInputError::Limit {
        field,
        min: *range.start(),
        max: *range.end(),
    };
    match body.get(field) {
        None => Ok(Change::Keep),
        Some(Value::Null) => Ok(Change::Clear),
        Some(Value::String(text)) if text.is_empty() => Ok(Change::Clear),
        Some(value) => match value.as_u64().ok_or(wrong)? {
            0 => Ok(Change::Clear),
            number if range.contains(&number) => Ok(Change::Set(number)),
            _ => Err(wrong),
        },
    }
}

/// A member, and whether a value of it leaves the records as they come.
type Harmless = (&'static str, fn(&Value) -> bool);

/// Members outside of `output_options` that would change which records are sent, or how.
fn refuse_what_is_not_offered(body: &Map<String, Value>) -> Result<(), JobInputError> {
    let harmless: [Harmless; 4] = [
        ("sample", is_whole_sample),
        ("sample_rate", is_whole_sample),
        ("transformer_id", |value| value.as_u64() == Some(0)),
        ("subrequest_merging", |value| value == &Value::Bool(false)),
    ];
    for (field, is_harmless) in harmless {
        if body
            .get(field)
            .is_some_and(|value| !value.is_null() && !is_harmless(value))
        {
            return Err(JobInputError::NotOffered { field });
        }
    }
    Ok(())
}

fn is_whole_sample(value: &Value) -> bool {
    value.as_f64() == Some(1.0)
}

/// `output_options`, when it asks for nothing but records as they come.
///
/// `timestamp_format` has no value that passes: records keep the format that the upstream job gave them, which nobody
/// here knows.
fn output_options(body: &Map<String, Value>) -> Result<Change<Value>, JobInputError> {
    let options = match body.get("output_options") {
        None => return Ok(Change::Keep),
        Some(Value::Null) => return Ok(Change::Clear),
        Some(Value::Object(options)) => options,
        Some(_) => return Err(JobInputError::OutputNotOffered { option: None }),
    };
    let defaults: [Harmless; 15] = [
        ("field_names", |value| {
            value.as_array().is_some_and(Vec::is_empty)
        }),
        ("output_type", |value| value == "ndjson"),
        ("batch_prefix", |value| value == ""),
        ("batch_suffix", |value| value == ""),
        ("record_prefix", |value| value == "{"),
        ("record_suffix", |value| value == "}\n"),
        ("record_delimiter", |value| value == ""),
        ("field_delimiter", |value| value == ","),
        ("record_template", |value| value == ""),
        ("timestamp_format", |_| false),
        ("sample_rate", is_whole_sample),
        ("CVE-2021-44228", |value| value == &Value::Bool(false)),
        ("CVE-2021-4428", |value| value == &Value::Bool(false)),
        ("merge_subrequests", |value| value == &Value::Bool(false)),
        ("stringify_object", |value| value == &Value::Bool(false)),
    ];
    for (name, value) in options {
        let known = defaults.iter().find(|(option, _)| option == name);
        let is_default = value.is_null() || known.is_some_and(|(_, is_default)| is_default(value));
        if !is_default {
            return Err(JobInputError::OutputNotOffered {
                option: known.map(|(option, _)| *option),
            });
        }
    }
    Ok(Change::Set(Value::Object(options.clone())))
}
