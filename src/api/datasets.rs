//! What the calls about datasets answer.

use serde_json::{Map, Value};

use super::ApiError;
use crate::logpush::catalogue::{Dataset, Field};
use crate::logpush::scope::Scope;

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
