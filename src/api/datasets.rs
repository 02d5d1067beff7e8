//! What the calls about datasets answer.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{ApiError, ArrivedDataset};
use crate::logpush::catalogue::{self, Dataset, Field};
use crate::logpush::scope::Scope;
use crate::time;

/// Every dataset that a zone or account can have by the catalogue, and those that have come in whether it knows them or
/// not, by name: `{"dataset", "known", "timestamp_field", "arrived", "last_seen"}`.
pub(super) fn list(scope: &Scope, arrived: &[ArrivedDataset]) -> Value {
    let mut listed: BTreeMap<&str, Option<u64>> = catalogue::names()
        .filter(|name| {
            Dataset::find(scope.kind(), name)
                .is_some_and(|found| found.is_documented_for(scope.kind()))
        })
        .map(|name| (name, None))
        .collect();
    for one in arrived {
        listed.insert(&one.dataset, Some(one.last_seen_millis));
    }
    let listed = listed.into_iter().map(|(name, last_seen)| {
        let known = Dataset::find(scope.kind(), name);
        json!({
            "dataset": name,
            "known": known.is_some(),
            "timestamp_field": known.and_then(|known| known.timestamp_field),
            "arrived": last_seen.is_some(),
            "last_seen": last_seen.map(time::rfc3339_millis),
        })
    });
    listed.collect()
}

/// The dataset as the zone or account has it.
pub(super) fn find(scope: &Scope, name: &str) -> Result<Dataset, ApiError> {
    Dataset::find(scope.kind(), name).ok_or_else(|| ApiError::UnknownDataset {
        dataset: name.to_owned(),
    })
}

/// `{"Timestamp": "int or string; …"}`, every field.
pub(super) fn fields(dataset: &Dataset) -> Value {
    listed(
        dataset
            .fields
            .iter()
            .map(|(name, field)| (name.as_str(), field)),
    )
}

/// The same of the fields that a job gets which names none.
pub(super) fn default_fields(dataset: &Dataset) -> Value {
    listed(dataset.default_fields())
}

fn listed<'f>(fields: impl Iterator<Item = (&'f str, &'f Field)>) -> Value {
    let listed: Map<String, Value> = fields
        .map(|(name, field)| (name.to_owned(), field.summary().into()))
        .collect();
    listed.into()
}
