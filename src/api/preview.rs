//! What a job would make of records: those that the caller brings, or those of the newest archived batch. Nothing is
//! stored, and nothing is sent.

use serde_json::{Map, Value, json};

use super::jobs::{invalid, read_json_of};
use super::{ApiError, JobRules, JobStore, NewestBatch, Services};
use crate::batch::json as raw;
use crate::logpush::catalogue::Dataset;
use crate::logpush::filter::Filter;
use crate::logpush::output_options::{OutputOptions, Token};
use crate::logpush::scope::Scope;
use crate::route::{BatchPreview, Preview, VALUES_MAX_FIELDS};
use crate::time;

/// Most bytes of a preview's body: a hundred records of ten times the usual size.
pub const PREVIEW_MAX_BYTES: usize = 1024 * 1024;

/// Most records of one preview. What is tried here is looked at by somebody.
pub const PREVIEW_MAX_RECORDS: usize = 100;

/// Records of each kind that a preview of a batch shows, unless `first` says otherwise.
const FIRST_DEFAULT: usize = 10;

/// Bytes that the records of a preview may become: a template can name a field a thousand times. Guards the isolate's
/// 128 MB.
const PREVIEW_MAX_TEXT_BYTES: usize = 8 * 1024 * 1024;

/// The members that a preview may have.
const KNOWN: [&str; 7] = [
    "dataset",
    "filter",
    "output_options",
    "records",
    "source",
    "first",
    "values",
];

/// Reads `{"dataset", "filter"?, "output_options"?}` with `"records"`, and answers `{"records", "reasons"}`: for each
/// record the text that would be pushed and null, or null and which condition said no. With `"source": "newest_batch"`
/// in place of `records`: see [`of_batch`].
pub(super) async fn preview<S: JobStore, T>(
    scope: &Scope,
    body: &[u8],
    services: &Services<'_, S, impl JobRules, T>,
) -> Result<Value, ApiError> {
    let Value::Object(members) = read_json_of(body, PREVIEW_MAX_BYTES)? else {
        return Err(invalid("body", "must be a JSON object"));
    };
    if let Some(name) = members.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        let advice = "is not known here; a preview has dataset, filter, output_options, and records or source, first and values";
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
    let preview = Preview::compile(dataset, schema.as_ref(), filter, &options);
    if is_of_batch(&members)? {
        return of_batch(scope, dataset, &members, preview, services.store).await;
    }
    of_records(&members, body, &preview, &options)
}

/// Whether `source` asks for the newest archived batch.
fn is_of_batch(members: &Map<String, Value>) -> Result<bool, ApiError> {
    match members.get("source") {
        None | Some(Value::Null) => match ["first", "values"]
            .iter()
            .find(|name| members.contains_key(**name))
        {
            Some(name) => Err(invalid(
                name,
                "goes with \"source\": \"newest_batch\" only; leave it out",
            )),
            None => Ok(false),
        },
        Some(Value::String(source)) if source == "newest_batch" => {
            if members.contains_key("records") {
                let advice = "can not stand beside source: send one of the two";
                return Err(invalid("records", advice));
            }
            Ok(true)
        }
        Some(_) => Err(invalid("source", "must be newest_batch, or left out")),
    }
}

/// Counts what a job would select of the newest batch, and shows the first records of each kind.
async fn of_batch(
    scope: &Scope,
    dataset: &str,
    members: &Map<String, Value>,
    preview: Preview,
    store: &impl JobStore,
) -> Result<Value, ApiError> {
    let mut batch = BatchPreview::new(preview, first(members)?, &values(members)?);
    let newest = store.preview_newest(scope, dataset, &mut batch).await?;
    let refused = batch.refused_first().iter();
    let refused: Vec<Value> = refused
        .map(|one| json!({"record": one.record, "reason": one.reason}))
        .collect();
    let values: Map<String, Value> = batch
        .values()
        .map(|(name, values)| {
            let values = values.iter();
            let values = values.map(|one| json!({"value": one.text, "records": one.records}));
            (name.to_owned(), values.collect())
        })
        .collect();
    Ok(json!({
        "batch": newest.as_ref().map(|newest| json!({
            "object": newest.object,
            "received_at": time::rfc3339_millis(newest.received_at_millis),
            "records": newest.records,
            "bytes_raw": newest.bytes_raw,
        })),
        "read": {
            "records": batch.records(),
            "invalid_lines": batch.invalid_lines(),
            "stopped_by": batch.stop().map(|stop| stop.as_str()),
        },
        "selected": {
            "records": batch.selected(),
            "bytes": batch.selected_bytes(),
            "first": batch.selected_first(),
        },
        "not_selected": {"records": batch.records() - batch.selected(), "first": refused},
        "values": values,
        "per_day": newest.as_ref().and_then(|newest| per_day(newest, &batch)),
    }))
}

/// What a job would get in a day: as many of the records that came in the last 24 hours as it selects of the batch, each
/// as long as those are on average. `None` when there was no record to tell the share by.
fn per_day(newest: &NewestBatch, batch: &BatchPreview) -> Option<Value> {
    let of = |part: u64| {
        let scaled = u128::from(part) * u128::from(newest.day_records);
        let scaled = scaled.checked_div(u128::from(batch.records()))?;
        u64::try_from(scaled).ok()
    };
    Some(json!({
        "records": of(batch.selected())?,
        "bytes": of(batch.selected_bytes())?,
        "of_records": newest.day_records,
        "window_seconds": newest.day_secs,
    }))
}

fn first(members: &Map<String, Value>) -> Result<usize, ApiError> {
    let text = format!("must be a number from 0 to {PREVIEW_MAX_RECORDS}");
    match members.get("first") {
        None | Some(Value::Null) => Ok(FIRST_DEFAULT),
        Some(first) => first
            .as_u64()
            .and_then(|first| usize::try_from(first).ok())
            .filter(|first| *first <= PREVIEW_MAX_RECORDS)
            .ok_or_else(|| invalid("first", &text)),
    }
}

fn values(members: &Map<String, Value>) -> Result<Vec<String>, ApiError> {
    let text = format!("must be an array of at most {VALUES_MAX_FIELDS} names of fields");
    let names = match members.get("values") {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(names)) if names.len() <= VALUES_MAX_FIELDS => {
            let names = names.iter().map(|name| name.as_str().map(str::to_owned));
            names.collect()
        }
        Some(_) => None,
    };
    names.ok_or_else(|| invalid("values", &text))
}

/// What becomes of each record of the body.
fn of_records(
    members: &Map<String, Value>,
    body: &[u8],
    preview: &Preview,
    options: &OutputOptions,
) -> Result<Value, ApiError> {
    let records = records(members, body)?;
    let bytes: usize = records.iter().map(|record| record.len()).sum();
    if bytes.saturating_mul(growth(options)) > PREVIEW_MAX_TEXT_BYTES {
        let text = format!(
            "would become more than {PREVIEW_MAX_TEXT_BYTES} bytes by this record_template; send fewer or smaller records"
        );
        return Err(invalid("records", &text));
    }
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
