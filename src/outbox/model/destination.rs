//! The destination of the model.

use crate::destination::Outcome;
use crate::destination::receipt::Confirmation;
use std::collections::{BTreeMap, BTreeSet};

/// The destination: which records it refuses, how large a push may be, and whether it is configured.
pub(super) struct Destination {
    pub(super) bad: BTreeSet<u32>,
    pub(super) max_records: usize,
    pub(super) is_mended: bool,
    /// How often each record was accepted.
    pub(super) accepted: BTreeMap<u32, u32>,
    /// How often an answer got lost on its way.
    pub(super) lost_answers: BTreeMap<u32, u32>,
    /// What came under each id.
    pub(super) ids: BTreeMap<u32, Vec<u32>>,
    /// It takes a push first, and says later that it is safe.
    pub(super) acknowledges: bool,
    /// How often it still says "not yet" of each number; for ever, where what it took got lost.
    pub(super) owed: BTreeMap<u64, u32>,
    pub(super) last_number: u64,
    /// What is safe there.
    pub(super) indexed: BTreeSet<u32>,
}

impl Destination {
    /// Takes a push, and loses it in one case of ten unless everything is calm.
    pub(super) fn take(&mut self, records: &[u32], is_lost: bool, questions: u32) -> Outcome {
        for record in records {
            *self.accepted.entry(*record).or_default() += 1;
        }
        if !(self.acknowledges && is_lost) {
            self.indexed.extend(records);
        }
        if !self.acknowledges {
            return Outcome::Accepted;
        }
        self.last_number += 1;
        let questions = if is_lost { u32::MAX } else { questions };
        self.owed.insert(self.last_number, questions);
        Outcome::Taken {
            receipt: self.last_number,
        }
    }

    /// It says "yes" once, as Splunk does, and knows nothing of the number afterwards.
    pub(super) fn confirm(&mut self, number: u64) -> Confirmation {
        match self.owed.get_mut(&number) {
            Some(0) => {
                self.owed.remove(&number);
                Confirmation::Safe
            }
            Some(left) => {
                *left = left.saturating_sub(u32::from(*left != u32::MAX));
                Confirmation::NotYet
            }
            None => Confirmation::NotYet,
        }
    }
}
