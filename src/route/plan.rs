//! The filters of all jobs of a dataset, decided together: a condition that several jobs have is decided once a record,
//! what was decided about a value is remembered for the next record that has the same one, as most have in the fields
//! that people filter by (status, host, country, action), and jobs that a value rules out are ruled out all at once.
//!
//! A condition's outcome depends on nothing but the raw text of its field, so what is remembered is always right.

use super::filter::{Compiled, CompiledFilter, Condition};

/// Conditions of one group: their outcomes are bits of a word.
const GROUP_MAX: usize = 64;
/// Groups of one field that are searched for an equal condition; bounds the time that compiling takes.
const SEARCHED_GROUPS: usize = 4;
/// Values remembered for each group.
const REMEMBERED: usize = 64;
/// Longest raw text that is remembered; what is longer hardly comes twice.
const VALUE_MAX_BYTES: usize = 40;
/// No such value.
const NONE: usize = usize::MAX;
/// Lookups after which a group is judged: one that knew less than half of its values, as with addresses, is not looked up
/// any more in this batch.
const TRIAL: u32 = 256;

/// Jobs that a group can rule out below which asking each of them costs less.
const NEEDS_MIN: usize = 4;

/// Ends of a filter's steps.
const SELECTED: usize = usize::MAX;
const REFUSED: usize = usize::MAX - 1;

/// What to decide, and how the decisions make up a job's filter.
#[derive(Debug, Default)]
pub(super) struct Plan {
    groups: Vec<Group>,
    steps: Vec<Step>,
    /// The first step by job, in the order of the jobs.
    starts: Vec<usize>,
}

/// Conditions on one field.
#[derive(Debug)]
struct Group {
    slot: usize,
    conditions: Vec<Condition>,
    /// Which jobs select nothing when a condition does not have this outcome.
    needs: Vec<Need>,
}

#[derive(Debug)]
struct Need {
    bit: usize,
    outcome: bool,
    job: usize,
}

/// One condition, and where to go on.
#[derive(Debug, Clone, Copy)]
struct Step {
    group: usize,
    bit: usize,
    if_met: usize,
    if_not: usize,
}

impl Plan {
    /// Filters by job, `None` for one that takes every record.
    pub fn new<'f>(filters: impl Iterator<Item = Option<&'f CompiledFilter>>) -> Self {
        let mut plan = Self::default();
        for (job, filter) in filters.enumerate() {
            let start = match filter {
                None => SELECTED,
                Some(filter) => {
                    plan.need(&filter.root, job);
                    plan.steps(&filter.root, SELECTED, REFUSED)
                }
            };
            plan.starts.push(start);
        }
        plan
    }

    /// Adds the steps of a filter, from its end to its beginning, and returns the first.
    fn steps(&mut self, filter: &Compiled, if_met: usize, if_not: usize) -> usize {
        match filter {
            Compiled::And(nodes) => nodes
                .iter()
                .rev()
                .fold(if_met, |next, node| self.steps(node, next, if_not)),
            Compiled::Or(nodes) => nodes
                .iter()
                .rev()
                .fold(if_not, |next, node| self.steps(node, if_met, next)),
            Compiled::Test {
                condition,
                is_negated,
            } => {
                let (group, bit) = self.place(condition);
                let (if_met, if_not) = if *is_negated {
                    (if_not, if_met)
                } else {
                    (if_met, if_not)
                };
                self.steps.push(Step {
                    group,
                    bit,
                    if_met,
                    if_not,
                });
                self.steps.len() - 1
            }
        }
    }

    /// Notes what a job needs of single conditions, whatever else it wants.
    fn need(&mut self, filter: &Compiled, job: usize) {
        match filter {
            Compiled::And(nodes) => nodes.iter().for_each(|node| self.need(node, job)),
            Compiled::Or(nodes) => {
                if let [node] = nodes.as_slice() {
                    self.need(node, job);
                }
            }
            Compiled::Test {
                condition,
                is_negated,
            } => {
                let (group, bit) = self.place(condition);
                if let Some(group) = self.groups.get_mut(group) {
                    group.needs.push(Need {
                        bit,
                        outcome: !*is_negated,
                        job,
                    });
                }
            }
        }
    }

    /// The place of a condition, which is added when it is not there yet.
    fn place(&mut self, condition: &Condition) -> (usize, usize) {
        let mut with_room = None;
        let of_slot = self.groups.iter().enumerate().rev();
        for (at, group) in of_slot
            .filter(|(_, group)| group.slot == condition.slot)
            .take(SEARCHED_GROUPS)
        {
            if let Some(bit) = group.conditions.iter().position(|known| known == condition) {
                return (at, bit);
            }
            if group.conditions.len() < GROUP_MAX {
                with_room = with_room.or(Some(at));
            }
        }
        if let Some(at) = with_room
            && let Some(group) = self.groups.get_mut(at)
        {
            group.conditions.push(condition.clone());
            return (at, group.conditions.len() - 1);
        }
        self.groups.push(Group {
            slot: condition.slot,
            conditions: vec![condition.clone()],
            needs: Vec::new(),
        });
        (self.groups.len() - 1, 0)
    }
}

/// What is known while a batch is read.
#[derive(Debug)]
pub(super) struct Decisions<'p> {
    plan: &'p Plan,
    groups: Vec<Known>,
    /// Of the current record, by group.
    current: Vec<Current>,
    /// A bit for each job that nothing rules out so far.
    left: Vec<u64>,
}

/// The values of one group that came lately.
#[derive(Debug)]
struct Known {
    values: Box<[Decided; REMEMBERED]>,
    /// For each value, a bit for each job that it rules out; one more for a missing field.
    ruled_out: Vec<u64>,
    lookups: u32,
    misses: u32,
}

/// What was decided about a value, a bit for each condition.
#[derive(Debug, Clone, Copy, Default)]
struct Outcomes {
    known: u64,
    met: u64,
}

#[derive(Debug, Clone, Copy)]
struct Decided {
    length: usize,
    text: [u8; VALUE_MAX_BYTES],
    outcomes: Outcomes,
    /// What it rules out is written down.
    is_ruled: bool,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    /// Index of the value, [`NONE`] when it is not one of those that are remembered.
    value: usize,
    is_found: bool,
    outcomes: Outcomes,
}

const NO_VALUE: Decided = Decided {
    length: NONE,
    text: [0; VALUE_MAX_BYTES],
    outcomes: Outcomes { known: 0, met: 0 },
    is_ruled: false,
};

const UNKNOWN: Current = Current {
    value: NONE,
    is_found: false,
    outcomes: Outcomes { known: 0, met: 0 },
};

impl<'p> Decisions<'p> {
    pub fn new(plan: &'p Plan) -> Self {
        let words = plan.starts.len().div_ceil(64);
        let known = |group: &Group| Known {
            values: Box::new([NO_VALUE; REMEMBERED]),
            ruled_out: if group.needs.len() < NEEDS_MIN {
                Vec::new()
            } else {
                vec![0; words * REMEMBERED]
            },
            lookups: 0,
            misses: 0,
        };
        Self {
            groups: plan.groups.iter().map(known).collect(),
            current: vec![UNKNOWN; plan.groups.len()],
            left: vec![0; words],
            plan,
        }
    }

    /// Begins with a new record, whose projected fields these are.
    #[inline]
    pub fn begin(&mut self, fields: &[Option<&[u8]>]) {
        self.current.fill(UNKNOWN);
        self.left.fill(u64::MAX);
        let groups = self.plan.groups.iter().zip(&mut self.groups);
        for ((group, known), current) in groups.zip(&mut self.current) {
            if group.needs.len() < NEEDS_MIN || !known.is_worth_it() {
                continue;
            }
            // A job that wants a field which is missing is left to its steps.
            let Some(raw) = fields.get(group.slot).copied().flatten() else {
                continue;
            };
            known.find(raw, current);
            if let Some(ruled_out) = known.ruled_out(group, raw, current, self.left.len()) {
                for (left, ruled_out) in self.left.iter_mut().zip(ruled_out) {
                    *left &= !ruled_out;
                }
            }
        }
    }

    /// The first job from `from` on that selects the record.
    #[inline]
    pub fn next(&mut self, from: usize, fields: &[Option<&[u8]>]) -> Option<usize> {
        let mut job = from;
        loop {
            let left = self.left.get(job / 64)? >> (job % 64);
            if left == 0 {
                job = (job / 64 + 1) * 64;
                continue;
            }
            job += left.trailing_zeros() as usize;
            let start = *self.plan.starts.get(job)?;
            if self.selects(start, fields) {
                return Some(job);
            }
            job += 1;
        }
    }

    #[inline]
    fn selects(&mut self, start: usize, fields: &[Option<&[u8]>]) -> bool {
        let mut at = start;
        while let Some(step) = self.plan.steps.get(at) {
            let is_met = match self.current.get(step.group) {
                Some(current) if current.outcomes.known >> step.bit & 1 == 1 => {
                    current.outcomes.met >> step.bit & 1 == 1
                }
                _ => self.decide(step, fields),
            };
            at = if is_met { step.if_met } else { step.if_not };
        }
        at == SELECTED
    }

    /// Decides a condition that nobody has asked for yet.
    fn decide(&mut self, step: &Step, fields: &[Option<&[u8]>]) -> bool {
        let (Some(group), Some(known), Some(current)) = (
            self.plan.groups.get(step.group),
            self.groups.get_mut(step.group),
            self.current.get_mut(step.group),
        ) else {
            return false;
        };
        let Some(raw) = fields.get(group.slot).copied().flatten() else {
            current.outcomes.known = u64::MAX;
            return false;
        };
        // To look a single outcome up costs as much as to decide it.
        if !current.is_found && group.conditions.len() > 1 && known.is_worth_it() {
            known.find(raw, current);
        }
        group.decide(step.bit, raw, &mut current.outcomes);
        if let Some(value) = known.values.get_mut(current.value) {
            value.outcomes = current.outcomes;
        }
        current.outcomes.met >> step.bit & 1 == 1
    }
}

impl Group {
    /// Makes the outcome of a condition known.
    #[inline]
    fn decide(&self, bit: usize, raw: &[u8], outcomes: &mut Outcomes) {
        let mask = 1 << bit;
        if outcomes.known & mask != 0 {
            return;
        }
        outcomes.known |= mask;
        let condition = self.conditions.get(bit);
        if condition.is_some_and(|condition| condition.is_met_by(raw)) {
            outcomes.met |= mask;
        }
    }
}

impl Known {
    #[inline]
    fn is_worth_it(&self) -> bool {
        self.lookups < TRIAL || self.misses < self.lookups / 2
    }

    /// Looks a value up, or begins to remember it.
    #[inline]
    fn find(&mut self, raw: &[u8], current: &mut Current) {
        current.is_found = true;
        self.lookups += 1;
        if raw.len() > VALUE_MAX_BYTES {
            self.misses += 1;
            return;
        }
        current.value = place(raw);
        let Some(value) = self.values.get_mut(current.value) else {
            return;
        };
        let is_same = value.length == raw.len()
            && value
                .text
                .get(..raw.len())
                .is_some_and(|text| is_equal(text, raw));
        if is_same {
            current.outcomes = value.outcomes;
            return;
        }
        self.misses += 1;
        value.length = raw.len();
        value.outcomes = Outcomes::default();
        value.is_ruled = false;
        if let Some(text) = value.text.get_mut(..raw.len()) {
            text.copy_from_slice(raw);
        }
    }

    /// A bit for each job that the current value rules out, if that is remembered.
    #[inline]
    fn ruled_out(
        &mut self,
        group: &Group,
        raw: &[u8],
        current: &mut Current,
        words: usize,
    ) -> Option<&[u64]> {
        let value = self.values.get_mut(current.value)?;
        let at = current.value * words;
        let ruled_out = self.ruled_out.get_mut(at..at + words)?;
        if !value.is_ruled {
            ruled_out.fill(0);
            for need in &group.needs {
                group.decide(need.bit, raw, &mut current.outcomes);
                let is_met = current.outcomes.met >> need.bit & 1 == 1;
                if is_met != need.outcome
                    && let Some(word) = ruled_out.get_mut(need.job / 64)
                {
                    *word |= 1 << (need.job % 64);
                }
            }
            value.outcomes = current.outcomes;
            value.is_ruled = true;
        }
        Some(ruled_out)
    }
}

/// Where a value is remembered, if it is: by its length and its ends, which is enough to spread what a field holds.
#[inline]
fn place(raw: &[u8]) -> usize {
    let word = match (raw.first_chunk::<8>(), raw.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(23)
        }
        _ => raw
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    // Fibonacci hashing; the highest bits depend on all.
    let mixed = (word ^ raw.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize % REMEMBERED
}

/// `a == b` for short texts of the same length; the library's comparison goes byte by byte in wasm.
#[inline]
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let (Some(a_last), Some(b_last)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) else {
        return a.iter().zip(b).all(|(a, b)| a == b);
    };
    let (words, _) = a.as_chunks::<8>();
    let (others, _) = b.as_chunks::<8>();
    a_last == b_last && words.iter().zip(others).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::{GROUP_MAX, Plan, SEARCHED_GROUPS, is_equal};
    use crate::batch::projection::Projection;
    use crate::batch::reader::Sink;
    use crate::logpush::filter::Filter;
    use crate::route::filter::CompiledFilter;
    use crate::route::{JobRoute, Keep, Router, Routes, Written};
    use proptest::prelude::*;
    use serde_json::json;

    fn routes(filters: &[serde_json::Value]) -> Routes {
        let mut projection = Projection::new();
        let jobs = filters.iter().map(|filter| {
            let filter = Filter::parse(&json!({"where": filter}).to_string(), None).unwrap();
            JobRoute {
                job_id: 1,
                filter: Some(CompiledFilter::compile(&filter, &mut projection)),
                sample: None,
                written: Written::AsItCame,
                assembly: None,
                keep: Keep::Reference,
                segment_max_records: 10,
            }
        });
        let jobs = jobs.collect();
        Routes::new(projection, Vec::new(), jobs, Vec::new())
    }

    #[test]
    fn an_equal_condition_is_decided_once_and_no_number_of_conditions_is_too_many() {
        let equal = json!({"key": "A", "operator": "eq", "value": "x"});
        let opposite = json!({"key": "A", "operator": "!eq", "value": "x"});
        let other = json!({"key": "B", "operator": "eq", "value": "x"});
        let three = routes(&[equal.clone(), opposite, json!({"or": [other, equal]})]);
        let plan = Plan::new(three.jobs.iter().map(|job| job.filter.as_ref()));
        let sizes: Vec<usize> = plan
            .groups
            .iter()
            .map(|group| group.conditions.len())
            .collect();
        assert_eq!(sizes, [1, 1]);

        let many: Vec<_> = (0..GROUP_MAX * (SEARCHED_GROUPS + 2))
            .map(|n| json!({"key": "A", "operator": "eq", "value": format!("x{n}")}))
            .collect();
        let routes = routes(&many);
        let mut router = Router::new(&routes, 1);
        for n in [0, GROUP_MAX, many.len() - 1] {
            router.record(b"{}", &[Some(format!("\"x{n}\"").as_bytes())]);
        }
        for (n, selection) in router.selections().iter().enumerate() {
            let is_hit = [0, GROUP_MAX, many.len() - 1].contains(&n);
            assert_eq!(selection.records, u64::from(is_hit), "{n}");
        }
    }

    proptest! {
        #[test]
        fn short_texts_are_equal_byte_by_byte(a in "[ab]{0,30}", at in any::<prop::sample::Index>()) {
            prop_assert!(is_equal(a.as_bytes(), a.as_bytes()));
            let mut b = a.clone().into_bytes();
            if !b.is_empty() {
                let at = at.index(b.len());
                b[at] ^= 1;
                prop_assert!(!is_equal(a.as_bytes(), &b));
            }
        }
    }
}
