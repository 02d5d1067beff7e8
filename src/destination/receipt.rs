//! A destination that takes a push first and says later whether it is safe there: it gives a number for it, and is asked
//! about that number.

use super::{Answer, Failure, Meaning, Outcome, Request, splunk};
use crate::logpush::destination_conf::{DestinationKind, ResolvedDestination};

/// What a destination says of a push that it has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// It is safe there.
    Safe,
    /// Not yet, or the destination knows nothing of it.
    NotYet,
    /// It could not be asked.
    Failed(Failure),
}

/// The question about `number`, and its body. `None` when a destination is not asked such things.
#[must_use]
pub fn question(destination: &ResolvedDestination, number: u64) -> Option<(Request, String)> {
    match destination.kind {
        DestinationKind::Splunk => splunk::question(destination, number),
        _ => None,
    }
}

impl Confirmation {
    /// What an answer to the question about `number` means.
    #[must_use]
    pub fn from_answer(
        destination: &ResolvedDestination,
        answer: &Answer<'_>,
        number: u64,
        now_unix_secs: i64,
    ) -> Self {
        if let Some(is_safe) = splunk::acknowledged(answer, number) {
            return if is_safe { Self::Safe } else { Self::NotYet };
        }
        let meaning = match splunk::meaning(answer) {
            // No collector: something in front of it answered.
            None => super::https::LATER,
            // The question does not change, so nothing in it will be right later.
            Some(Meaning::TooLarge | Meaning::ContentRefused) => Meaning::ConfigurationRefused,
            Some(meaning) => meaning,
        };
        Self::of(Outcome::failed(destination, answer, meaning, now_unix_secs))
    }

    /// What an attempt that failed without an answer means.
    #[must_use]
    pub fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Failed(failure) => Self::Failed(failure),
            _ => Self::NotYet,
        }
    }
}
