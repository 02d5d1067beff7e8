//! What a job would make of records that the caller brings. Nothing is stored, and nothing is sent.

use serde_json::{Map, Value, json};

use super::jobs::{invalid, read_json_of};
use super::{ApiError, JobRules, Services};
use crate::batch::json as raw;
use crate::logpush::catalogue::Dataset;
use crate::logpush::filter::Filter;
use crate::logpush::output_options::{OutputOptions, Token};
use crate::logpush::scope::Scope;
use crate::route::Preview;

/// Most bytes of a preview's body: a hundred records of ten times the usual size.
pub const PREVIEW_MAX_BYTES: usize = 1024 * 1024;

/// Most records of one preview. What is tried here is looked at by somebody.
pub const PREVIEW_MAX_RECORDS: usize = 100;

/// Bytes that the records of a preview may become: a template can name a field a thousand times. Guards the isolate's
/// 128 MB.
const PREVIEW_MAX_TEXT_BYTES: usize = 8 * 1024 * 1024;

/// Reads `{"dataset", "filter"?, "output_options"?, "records"}` and answers `{"records", "reasons"}`: for each record the
/// text that would be pushed and null, or null and which condition said no.
pub(super) fn preview<S, T>(
    scope: &Scope,
    body: &[u8],
    services: &Services<'_, S, impl JobRules, T>,
) -> Result<Value, ApiError> {
    let Value::Object(members) = read_json_of(body, PREVIEW_MAX_BYTES)? else {
        return Err(invalid("body", "must be a JSON object"));
    };
    const KNOWN: [&str; 4] = ["dataset", "filter", "output_options", "records"];
    if let Some(name) = members.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        let advice = "is not known here; a preview has dataset, filter, output_options and records";
        return Err(invalid(name, advice));
    }
    let dataset = match members.get("dataset") {
        Some(Value::String(dataset)) if !dataset.is_empty() => dataset,
        None | Some(Value::Null | Value::String(_)) => {
            return Err(invalid("dataset", "is required"));
        }
        Some(_) => return Err(invalid("dataset", "must be a string")),
    };
    let rules = services.rules;
    rules
        .check_dataset(scope, dataset)
        .map_err(|text| invalid("dataset", &text))?;
    let schema = Dataset::find(scope.kind(), dataset);
    let filter = filter(&members, schema.as_ref())?;
    let options = output_options(&members, schema.as_ref())?;
    let records = records(&members, body)?;
    let bytes: usize = records.iter().map(|record| record.len()).sum();
    if bytes.saturating_mul(growth(&options)) > PREVIEW_MAX_TEXT_BYTES {
        let text = format!(
            "would become more than {PREVIEW_MAX_TEXT_BYTES} bytes by this record_template; send fewer or smaller records"
        );
        return Err(invalid("records", &text));
    }
    let preview = Preview::compile(dataset, schema.as_ref(), filter, &options);
    let (mut texts, mut reasons) = (Vec::new(), Vec::new());
    for (index, record) in records.iter().enumerate() {
        let outcome = preview.of(&raw::on_one_line(record)).map_err(|reason| {
            let text = format!("is no record ({}); send JSON objects", reason.as_str());
            invalid(&format!("records[{index}]"), &text)
        })?;
        match outcome {
            Ok(text) => {
                texts.push(Value::String(text));
                reasons.push(Value::Null);
            }
            Err(reason) => {
                texts.push(Value::Null);
                reasons.push(Value::String(reason));
            }
        }
    }
    Ok(json!({"records": texts, "reasons": reasons}))
}

fn filter(
    members: &Map<String, Value>,
    schema: Option<&Dataset>,
) -> Result<Option<Filter>, ApiError> {
    match members.get("filter") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Filter::parse_optional(text, schema)
            .map_err(|e| invalid("filter", &format!("{}: {}", e.place, e.message))),
        Some(_) => Err(invalid(
            "filter",
            r#"must be a string that holds JSON, such as "{\"where\": …}", as in a job"#,
        )),
    }
}

fn output_options(
    members: &Map<String, Value>,
    schema: Option<&Dataset>,
) -> Result<OutputOptions, ApiError> {
    let wrong = |e: crate::logpush::output_options::OutputOptionsError| {
        invalid("output_options", &e.to_string())
    };
    let options = match members.get("output_options") {
        None | Some(Value::Null) => OutputOptions::default(),
        Some(options) => OutputOptions::from_json(options).map_err(wrong)?,
    };
    if let Some(schema) = schema {
        options.check_fields(schema).map_err(wrong)?;
    }
    Ok(options)
}

/// The records, as they are written in the body: a number or an escape that is read and written anew may be another one.
fn records<'b>(members: &Map<String, Value>, body: &'b [u8]) -> Result<Vec<&'b [u8]>, ApiError> {
    match members.get("records") {
        Some(Value::Array(records)) if records.len() > PREVIEW_MAX_RECORDS => {
            let text = format!("must be at most {PREVIEW_MAX_RECORDS}");
            return Err(invalid("records", &text));
        }
        Some(Value::Array(_)) => {}
        _ => return Err(invalid("records", "must be an array of JSON objects")),
    }
    // Of two equal names the last one counts, here as above.
    let is_it = |key: &[u8]| raw::text(key).is_some_and(|key| *key == *b"records");
    let found = raw::members(body).filter(|(key, _)| is_it(key)).last();
    Ok(found
        .map(|(_, found)| raw::elements(found).collect())
        .unwrap_or_default())
}

/// How often the options may write one value.
fn growth(options: &OutputOptions) -> usize {
    let template = options.record_template.as_ref();
    let fields = template.map_or(0, |template| {
        let tokens = template.tokens.iter();
        tokens
            .filter(|token| matches!(token, Token::Field(_)))
            .count()
    });
    fields.max(1)
}
