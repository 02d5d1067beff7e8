//! What is remembered of a push that its destination has taken and not yet acknowledged.

use serde::{Deserialize, Serialize};

/// A push that waits for an acknowledgement. Persisted as JSON: members are only added, each with a default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Receipt {
    /// The number that the destination gave for it.
    pub number: u64,
    /// When it was taken, unix milliseconds.
    pub taken_at_millis: u64,
    /// How often the destination was asked.
    pub questions: u32,
    /// Bytes that were sent as body; for the push log, which has the attempt once it is known what became of it.
    pub bytes_compressed: u64,
}

impl Receipt {
    /// Of a push that was taken just now.
    #[must_use]
    pub fn new(number: u64, taken_at_millis: u64) -> Self {
        Self {
            number,
            taken_at_millis,
            questions: 0,
            bytes_compressed: 0,
        }
    }

    /// After one more question.
    #[must_use]
    pub(super) fn asked(self) -> Self {
        Self {
            questions: self.questions.saturating_add(1),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Receipt;

    #[test]
    fn the_stored_form_stays_readable() {
        let receipt = Receipt::new(7, 1_782_900_000_000).asked();
        let stored =
            r#"{"number":7,"taken_at_millis":1782900000000,"questions":1,"bytes_compressed":0}"#;
        assert_eq!(serde_json::to_string(&receipt).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Receipt>(stored).unwrap(), receipt);
        assert_eq!(
            serde_json::from_str::<Receipt>("{}").unwrap(),
            Receipt::default()
        );
    }
}
