//! How a job's records are written out: `output_options`, and the older `logpull_options` that says part of it.
//!
//! What we decide where Logpush says nothing: without `field_names` a record keeps all fields that came, and without
//! `timestamp_format` its times keep the form in which they came; nobody here knows what the upstream job was told.

use serde_json::{Map, Value};

use super::catalogue::Dataset;
use crate::time::TimestampFormat;

mod error;
mod template;

pub use error::OutputOptionsError;
pub use template::{Template, TemplateError, TemplateProblem, Token};

use error::OutputOptionsError as E;

/// Most bytes of each text of `output_options` and of `logpull_options`. Guards the outbox, which keeps the texts of a
/// batch with every row of it. Logpush names 4,096 for `logpull_options` and nothing for the others.
pub const MAX_TEXT_BYTES: usize = 4_096;

/// Most bytes of `record_template`: room for every field of the widest dataset (108 fields) under a name of its own.
pub const MAX_TEMPLATE_BYTES: usize = 16 * 1_024;

/// Most fields of `field_names`: ten times the widest dataset.
pub const MAX_FIELDS: usize = 1_024;

/// Most bytes of a field's name.
pub const MAX_FIELD_BYTES: usize = 256;

/// What `output_options` may hold, in the order in which the documentation lists it.
const OPTIONS: [&str; 16] = [
    "field_names",
    "output_type",
    "batch_prefix",
    "batch_suffix",
    "record_prefix",
    "record_suffix",
    "record_delimiter",
    "field_delimiter",
    "record_template",
    "timestamp_format",
    "sample_rate",
    "CVE-2021-44228",
    // What Logpush's API reference called it for years.
    "CVE-2021-4428",
    "merge_subrequests",
    "stringify_object",
    "schema",
];

/// `output_type`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OutputType {
    /// `"Name":value`
    #[default]
    Ndjson,
    /// Values only.
    Csv,
}

impl OutputType {
    /// The `record_prefix` and `record_suffix` of a job that says none.
    fn wrapping(self) -> (&'static str, &'static str) {
        match self {
            Self::Ndjson => ("{", "}\n"),
            Self::Csv => ("", "\n"),
        }
    }
}

/// `schema`: whose fields a record has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Schema {
    /// Logpush's own.
    #[default]
    Logpush,
    /// Those of the Elastic Common Schema, see [`crate::ecs`].
    Ecs,
}

/// `output_options` with every default in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputOptions {
    /// `field_names`; empty for all fields that came.
    pub field_names: Vec<String>,
    /// `output_type`.
    pub output_type: OutputType,
    /// `batch_prefix`: before the first record of a push.
    pub batch_prefix: String,
    /// `batch_suffix`: after the last record of a push.
    pub batch_suffix: String,
    /// `record_prefix`: before each record.
    pub record_prefix: String,
    /// `record_suffix`: after each record.
    pub record_suffix: String,
    /// `record_delimiter`: between two records.
    pub record_delimiter: String,
    /// `field_delimiter`: between two fields; without effect on a template.
    pub field_delimiter: String,
    /// `record_template`: stands where the fields would.
    pub record_template: Option<Template>,
    /// `timestamp_format`; `None` leaves times as they came.
    pub timestamp_format: Option<TimestampFormat>,
    /// `sample_rate`: above 0, at most 1.
    pub sample_rate: f64,
    /// `CVE-2021-44228`: write `x{` for every `${`.
    pub replace_cve_2021_44228: bool,
    /// `stringify_object`: write objects as strings that hold their JSON.
    pub stringify_object: bool,
    /// `schema`: whose fields a record has. With [`Schema::Ecs`] times have that schema's form, whatever
    /// `timestamp_format` says.
    pub schema: Schema,
}

impl Default for OutputOptions {
    fn default() -> Self {
        let (record_prefix, record_suffix) = OutputType::default().wrapping();
        Self {
            field_names: Vec::new(),
            output_type: OutputType::default(),
            batch_prefix: String::new(),
            batch_suffix: String::new(),
            record_prefix: record_prefix.to_owned(),
            record_suffix: record_suffix.to_owned(),
            record_delimiter: String::new(),
            field_delimiter: ",".to_owned(),
            record_template: None,
            timestamp_format: None,
            sample_rate: 1.0,
            replace_cve_2021_44228: false,
            stringify_object: false,
            schema: Schema::default(),
        }
    }
}

impl OutputOptions {
    /// Reads the member `output_options` of a job.
    ///
    /// `null` is a default everywhere; `""` and 0 are where they could be no value: an `output_type`, a
    /// `timestamp_format`, a `record_template`, a `sample_rate`. `merge_subrequests` is taken and has no effect here:
    /// records are merged by the job at Cloudflare.
    ///
    /// # Errors
    /// [`OutputOptionsError`] for the first option that is wrong.
    pub fn from_json(options: &Value) -> Result<Self, OutputOptionsError> {
        let options = options.as_object().ok_or(E::NotAnObject)?;
        if let Some(name) = options
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, _)| name)
            .find(|name| !OPTIONS.contains(&name.as_str()))
        {
            return Err(E::unknown_option(name));
        }
        let output_type = match word(options, "output_type")? {
            None => OutputType::default(),
            Some("ndjson") => OutputType::Ndjson,
            Some("csv") => OutputType::Csv,
            Some(_) => {
                return Err(E::Word {
                    option: "output_type",
                    words: "ndjson or csv",
                });
            }
        };
        let schema = match word(options, "schema")? {
            None | Some("logpush") => Schema::Logpush,
            Some("ecs") => Schema::Ecs,
            Some(_) => {
                return Err(E::Word {
                    option: "schema",
                    words: "logpush or ecs",
                });
            }
        };
        flag(options, "merge_subrequests")?;
        let (record_prefix, record_suffix) = output_type.wrapping();
        let read = Self {
            schema,
            field_names: field_names(options)?,
            output_type,
            batch_prefix: text(options, "batch_prefix", "")?,
            batch_suffix: text(options, "batch_suffix", "")?,
            record_prefix: text(options, "record_prefix", record_prefix)?,
            record_suffix: text(options, "record_suffix", record_suffix)?,
            record_delimiter: text(options, "record_delimiter", "")?,
            field_delimiter: text(options, "field_delimiter", ",")?,
            record_template: match word(options, "record_template")? {
                None => None,
                Some(template) if template.len() > MAX_TEMPLATE_BYTES => {
                    return Err(E::TooLong {
                        option: "record_template",
                        max_bytes: MAX_TEMPLATE_BYTES,
                    });
                }
                Some(template) => Some(Template::parse(template).map_err(E::Template)?),
            },
            timestamp_format: word(options, "timestamp_format")?
                .map(|word| timestamp_format("timestamp_format", word))
                .transpose()?,
            sample_rate: match options.get("sample_rate") {
                None | Some(Value::Null) => 1.0,
                Some(rate) => sample_rate("sample_rate", rate.as_f64())?,
            },
            replace_cve_2021_44228: flag(options, "CVE-2021-44228")?
                || flag(options, "CVE-2021-4428")?,
            stringify_object: flag(options, "stringify_object")?,
        };
        match read.not_with_ecs() {
            Some(option) if schema == Schema::Ecs => Err(E::NotWithEcs { option }),
            _ => Ok(read),
        }
    }

    /// An option that says how fields are laid out, which the schema of an event does already.
    fn not_with_ecs(&self) -> Option<&'static str> {
        if self.output_type != OutputType::Ndjson {
            Some("output_type csv")
        } else if self.record_template.is_some() {
            Some("record_template")
        } else if self.field_delimiter != Self::default().field_delimiter {
            Some("field_delimiter")
        } else {
            None
        }
    }

    /// Reads `logpull_options`: a query string, or a whole Logpull address of which the query counts. Parameters that
    /// only mean something to Logpull, such as `start` and `end`, are ignored.
    ///
    /// # Errors
    /// [`OutputOptionsError`] for the first parameter that is wrong.
    pub fn from_logpull(options: &str) -> Result<Self, OutputOptionsError> {
        if options.len() > MAX_TEXT_BYTES {
            return Err(E::TooLong {
                option: "",
                max_bytes: MAX_TEXT_BYTES,
            });
        }
        let query = options.split_once('?').map_or(options, |(_, query)| query);
        let query = query.split_once('#').map_or(query, |(query, _)| query);
        let mut read = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.trim().as_bytes()) {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            match &*name {
                "fields" => read.field_names = Self::names(value)?,
                "timestamps" => {
                    read.timestamp_format = Some(timestamp_format("timestamps", value)?);
                }
                "sample" => read.sample_rate = sample_rate("sample", value.parse().ok())?,
                "CVE-2021-44228" | "CVE-2021-4428" => {
                    read.replace_cve_2021_44228 = value.parse().map_err(|_| E::NotABool {
                        option: "CVE-2021-44228",
                    })?;
                }
                _ => {}
            }
        }
        Ok(read)
    }

    /// Reads names of fields with commas between them, as `fields` has them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn names(fields: &str) -> Result<Vec<String>, OutputOptionsError> {
        let names = fields.split(',').map(str::trim);
        checked_names("fields", names.filter(|name| !name.is_empty()))
    }

    /// Checks the names of fields against the dataset. A template may name fields that `field_names` does not: they are
    /// written as `null`, so only a template without `field_names` is checked.
    ///
    /// # Errors
    /// The first name that the dataset does not have.
    pub fn check_fields(&self, dataset: &Dataset) -> Result<(), OutputOptionsError> {
        self.check_names("field_names", dataset)
    }

    /// [`check_fields`](Self::check_fields) of what [`from_logpull`](Self::from_logpull) read.
    ///
    /// # Errors
    /// The first name that the dataset does not have.
    pub fn check_logpull_fields(&self, dataset: &Dataset) -> Result<(), OutputOptionsError> {
        self.check_names("fields", dataset)
    }

    fn check_names(
        &self,
        option: &'static str,
        dataset: &Dataset,
    ) -> Result<(), OutputOptionsError> {
        let unknown = |option: &'static str, name: &str| E::UnknownField {
            option,
            name: name.to_owned(),
            dataset: dataset.name.clone(),
            nearest: dataset.nearest_field(name).map(str::to_owned),
        };
        let is_unknown = |name: &&str| !dataset.fields.contains_key(*name);
        let mut named = self.field_names.iter().map(String::as_str);
        if let Some(name) = named.find(is_unknown) {
            return Err(unknown(option, name));
        }
        if self.field_names.is_empty()
            && let Some(template) = &self.record_template
            && let Some(name) = template.fields().find(is_unknown)
        {
            return Err(unknown("record_template", name));
        }
        Ok(())
    }
}

fn text(
    options: &Map<String, Value>,
    option: &'static str,
    default: &str,
) -> Result<String, OutputOptionsError> {
    match options.get(option) {
        None | Some(Value::Null) => Ok(default.to_owned()),
        Some(Value::String(text)) if text.len() > MAX_TEXT_BYTES => Err(E::TooLong {
            option,
            max_bytes: MAX_TEXT_BYTES,
        }),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(E::NotAString { option }),
    }
}

/// A text of which an empty one is none.
fn word<'a>(
    options: &'a Map<String, Value>,
    option: &'static str,
) -> Result<Option<&'a str>, OutputOptionsError> {
    match options.get(option) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(word)) => Ok(Some(word.as_str()).filter(|word| !word.is_empty())),
        Some(_) => Err(E::NotAString { option }),
    }
}

/// A Boolean, also as text, as for `enabled`.
fn flag(options: &Map<String, Value>, option: &'static str) -> Result<bool, OutputOptionsError> {
    match options.get(option) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(Value::String(text)) => text.parse().map_err(|_| E::NotABool { option }),
        Some(_) => Err(E::NotABool { option }),
    }
}

fn timestamp_format(
    option: &'static str,
    word: &str,
) -> Result<TimestampFormat, OutputOptionsError> {
    TimestampFormat::from_word(word).ok_or(E::Word {
        option,
        words: "unixnano, unix, rfc3339, rfc3339ms or rfc3339ns",
    })
}

/// 0 is what Cloudflare's Terraform provider writes for a number that is not set.
fn sample_rate(option: &'static str, rate: Option<f64>) -> Result<f64, OutputOptionsError> {
    match rate {
        Some(0.0) => Ok(1.0),
        Some(rate) if rate > 0.0 && rate <= 1.0 => Ok(rate),
        _ => Err(E::SampleRate { option }),
    }
}

fn field_names(options: &Map<String, Value>) -> Result<Vec<String>, OutputOptionsError> {
    let option = "field_names";
    let names = match options.get(option) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(names)) => names,
        Some(_) => return Err(E::NotNames),
    };
    let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
    checked_names(option, names.ok_or(E::NotNames)?.into_iter())
}

fn checked_names<'a>(
    option: &'static str,
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<String>, OutputOptionsError> {
    let mut checked: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if checked.len() >= MAX_FIELDS {
            return Err(E::TooManyFields { option });
        }
        if name.is_empty() || name.len() > MAX_FIELD_BYTES {
            return Err(E::FieldForm { option });
        }
        if !seen.insert(name) {
            return Err(E::FieldTwice {
                option,
                name: name.to_owned(),
            });
        }
        checked.push(name.to_owned());
    }
    Ok(checked)
}

#[cfg(test)]
mod tests;
