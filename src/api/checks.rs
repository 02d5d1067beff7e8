//! The calls that check something without storing it.

use serde_json::{Map, Value, json};

use super::jobs::{invalid, read_json};
use super::{ApiError, CHALLENGE_FILE, DestinationTester, JobRules, Services};
use crate::logpush::job::DEFAULT_DATASET;
use crate::logpush::scope::Scope;

/// The `destination_conf` of a request.
pub(super) struct Destination(pub String);

impl Destination {
    /// Reads `{"destination_conf": "…"}`. Other members are ignored.
    pub(super) fn read(body: &[u8]) -> Result<Self, ApiError> {
        text(&members(body)?, "destination_conf").map(Self)
    }
}

/// Sends a test message and says what came of it, in 200: that a destination is not right is a result of the check.
pub(super) async fn validate_destination<S>(
    destination: &Destination,
    services: &Services<'_, S, impl JobRules, impl DestinationTester>,
) -> Result<Value, ApiError> {
    let Destination(conf) = destination;
    let outcome = match services.rules.check_destination(conf) {
        Ok(()) => services
            .tester
            .test(conf)
            .await
            .map_err(|text| refused(&text)),
        Err(text) => Err(text),
    };
    Ok(verdict(outcome))
}

/// Whether `logpull_options` can be read and fit the dataset.
pub(super) fn validate_origin<S, T>(
    scope: &Scope,
    body: &[u8],
    services: &Services<'_, S, impl JobRules, T>,
) -> Result<Value, ApiError> {
    let members = members(body)?;
    let options = optional_text(&members, "logpull_options")?;
    let dataset = optional_text(&members, "dataset")?;
    let dataset = if dataset.is_empty() {
        DEFAULT_DATASET
    } else {
        &dataset
    };
    let rules = services.rules;
    let outcome = rules
        .check_dataset(scope, dataset)
        .map_err(|text| format!("dataset: {text}"))
        .and_then(|()| rules.check_logpull_options(scope, dataset, &options));
    Ok(verdict(outcome))
}

/// Writes a challenge where the destination is storage. Destinations that are pushed to otherwise need none (HTTPS and
/// Splunk have none at Cloudflare either). What can not be written to is no fault of the call: the answer says why, in 200
/// as Logpush's.
pub(super) async fn ownership<S>(
    scope: &Scope,
    destination: &Destination,
    services: &Services<'_, S, impl JobRules, impl DestinationTester>,
) -> Result<Value, ApiError> {
    let Destination(conf) = destination;
    if let Err(text) = services.rules.check_destination(conf) {
        return Ok(not_written(&text));
    }
    let token = services
        .ownership
        .map(|key| key.issue(scope, conf, services.now_unix_secs));
    let written = match token {
        Some(token) => services.tester.put_file(conf, CHALLENGE_FILE, &token).await,
        None => Ok(None),
    };
    Ok(match written {
        Ok(Some(filename)) => json!({"filename": filename, "message": "", "valid": true}),
        Ok(None) => {
            let message = "no ownership challenge is needed for this destination";
            json!({"filename": "", "message": message, "valid": true})
        }
        Err(text) => not_written(&text),
    })
}

fn not_written(why: &str) -> Value {
    let message = format!("no ownership challenge was written: {why}");
    json!({"filename": "", "message": message, "valid": false})
}

/// Whether a challenge is one of ours, for this destination of this zone or account, and still holds.
pub(super) fn validate_ownership<S, R, T>(
    scope: &Scope,
    body: &[u8],
    services: &Services<'_, S, R, T>,
) -> Result<Value, ApiError> {
    let members = members(body)?;
    let conf = text(&members, "destination_conf")?;
    let challenge = text(&members, "ownership_challenge")?;
    let valid = services
        .ownership
        .is_some_and(|key| key.verify(&challenge, scope, &conf, services.now_unix_secs));
    Ok(json!({"valid": valid}))
}

/// What a failed test message is called, in the words of Logpush's own failure.
pub(super) fn refused(text: &str) -> String {
    format!("error validating destination: {text}")
}

fn verdict(outcome: Result<(), String>) -> Value {
    match outcome {
        Ok(()) => json!({"message": "", "valid": true}),
        Err(message) => json!({"message": message, "valid": false}),
    }
}

fn members(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match read_json(body)? {
        Value::Object(members) => Ok(members),
        _ => Err(invalid("body", "must be a JSON object")),
    }
}

fn text(members: &Map<String, Value>, name: &str) -> Result<String, ApiError> {
    let text = optional_text(members, name)?;
    if text.is_empty() {
        return Err(invalid(name, "is required"));
    }
    Ok(text)
}

fn optional_text(members: &Map<String, Value>, name: &str) -> Result<String, ApiError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(invalid(name, "must be a string")),
    }
}
