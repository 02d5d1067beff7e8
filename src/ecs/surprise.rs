//! What in a record is not as its table expects it. The record is an event all the same, and loses nothing.

use serde::{Deserialize, Serialize};

/// Counts, under the names that `/stats` has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Surprises {
    /// Times that can not be read; each stays under `cloudflare.`, and without `@timestamp` if it was that one.
    pub unreadable_time: u64,
    /// Values of another type or form than their place has; each stays under `cloudflare.`.
    pub unexpected_value: u64,
    /// Records of a dataset that has no table: only the common names are looked for.
    pub unknown_dataset: u64,
}

impl Surprises {
    /// Whether there was none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
