//! Batches that Logpush wrote into the bucket itself: what an event of R2 says, and what its object's key says about the
//! batch in it.

mod message;
mod paths;

pub use message::{Event, read};
pub use paths::{DEFAULT_PATHS, Paths, PathsError, Place, is_own};

/// Why an event concerns nobody. It is acknowledged and counted as `skipped.{reason}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The object is one that the Worker wrote.
    OwnObject,
    /// No path of `R2_EVENTS_PATHS` has this key.
    OtherPath,
    /// An object is gone.
    Deletion,
    /// The catalogue lacks the dataset, and `UNKNOWN_DATASETS` is `refuse`.
    UnknownDataset,
}

impl Skip {
    /// The name in `/stats`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnObject => "own_object",
            Self::OtherPath => "other_path",
            Self::Deletion => "deletion",
            Self::UnknownDataset => "unknown_dataset",
        }
    }
}

/// Why somebody should look at an event. It is kept under `quarantine/events/`, acknowledged, and counted as
/// `quarantined.{reason}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not the form that R2's notifications have.
    NotAnEvent,
    /// R2's form, and an action that is not known.
    UnknownAction,
    /// The object is not in the bucket that is bound.
    ObjectMissing,
    /// The object holds no record. It is committed as a batch all the same, as it would be by HTTP.
    NoRecords,
}

impl Fault {
    /// The name in `/stats`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAnEvent => "not_an_event",
            Self::UnknownAction => "unknown_action",
            Self::ObjectMissing => "object_missing",
            Self::NoRecords => "no_records",
        }
    }
}

/// Counted when the bytes of a batch lie in the bucket under a second key, because they came both ways.
pub const EXTRA_COPIES: &str = "extra_copies";

/// Counted when an object was written over by other bytes after its batch was committed.
pub const OVERWRITTEN: &str = "overwritten";

/// First wait before an event is looked at again, in seconds; it doubles.
const RETRY_SECS: u64 = 5;

/// When an event should come again that could not be taken now, in seconds: between half and all of what doubles from 5 s
/// to `most`. `attempts`: how often it has come; `draw`: from 0 to 1, so that many do not come back at once.
#[must_use]
pub fn retry_secs(attempts: u64, most: u64, draw: f64) -> u64 {
    let doublings = u32::try_from(attempts.saturating_sub(1).min(16)).unwrap_or(16);
    let whole = (RETRY_SECS << doublings).min(most.max(1));
    let half = whole / 2;
    half + ((whole - half) as f64 * draw.clamp(0.0, 1.0)).ceil() as u64
}

/// The object that keeps an event which somebody should look at. `message` is the queue's id of it.
#[must_use]
pub fn quarantine_key(day: &str, message: &str) -> String {
    let name: String = message
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .take(100)
        .collect();
    format!("quarantine/events/{day}/{name}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_again_ever_more_rarely_and_never_later_than_asked() {
        let bounds = |attempts| [0.0, 1.0].map(|draw| retry_secs(attempts, 300, draw));
        assert_eq!(bounds(1), [2, 5]);
        assert_eq!(bounds(2), [5, 10]);
        assert_eq!(bounds(7), [150, 300]);
        assert_eq!(bounds(u64::MAX), [150, 300]);
        assert_eq!(retry_secs(0, 0, 0.5), 1);
        assert_eq!(retry_secs(9, 1, 1.0), 1);
    }

    #[test]
    fn a_message_id_can_not_leave_its_place_in_the_key() {
        let key = quarantine_key("20261126", "../../zones/a?b\u{e4}-1");
        assert_eq!(key, "quarantine/events/20261126/zonesab-1.json");
        assert!(is_own(&key));
    }
}
