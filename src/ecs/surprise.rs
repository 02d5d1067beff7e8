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

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in other.counts() {
            self.count(name, count);
        }
    }

    /// Each count with its name.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        [
            ("unreadable_time", self.unreadable_time),
            ("unexpected_value", self.unexpected_value),
            ("unknown_dataset", self.unknown_dataset),
        ]
    }

    /// Adds to the count of a name; one that nobody knows is another version's.
    pub fn count(&mut self, name: &str, more: u64) {
        match name {
            "unreadable_time" => self.unreadable_time += more,
            "unexpected_value" => self.unexpected_value += more,
            "unknown_dataset" => self.unknown_dataset += more,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Surprises;

    #[test]
    fn every_count_has_the_name_of_its_member() {
        let mut found = Surprises::default();
        for (n, (name, _)) in Surprises::default().counts().into_iter().enumerate() {
            found.count(name, n as u64 + 1);
        }
        let members = serde_json::to_value(found).unwrap();
        assert_eq!(members.as_object().unwrap().len(), found.counts().len());
        for (name, count) in found.counts() {
            assert_eq!(members[name], count);
        }
        let mut twice = found;
        twice.add(&found);
        twice.count("of_a_later_version", 9);
        assert_eq!(twice.unknown_dataset, 2 * found.unknown_dataset);
        assert!(Surprises::default().is_none() && !twice.is_none());
    }
}
