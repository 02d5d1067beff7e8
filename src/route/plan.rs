//! The filters of all jobs of a dataset, decided together: a condition that several jobs have is decided once a record,
//! and what was decided about a value is remembered for the next record that has the same one, as most have in the fields
//! that people filter by (status, host, country, action).
//!
//! A condition's outcome depends on nothing but the raw text of its field, so what is remembered is always right.

use super::JobRoute;
use super::filter::{Compiled, Condition};

/// Conditions of one group: their outcomes are bits of a word.
const GROUP_MAX: usize = 64;
/// Groups of one field that are searched for an equal condition; bounds the time that compiling takes.
const SEARCHED_GROUPS: usize = 4;
/// Values remembered for each group.
const REMEMBERED: usize = 32;
/// Longest raw text that is remembered; what is longer hardly comes twice.
const VALUE_MAX_BYTES: usize = 40;
/// No such value.
const NONE: usize = usize::MAX;

/// What to decide, and how the decisions make up a job's filter.
#[derive(Debug, Default)]
pub(super) struct Plan {
    groups: Vec<Group>,
    /// By job, in the order of the jobs; `None` selects every record.
    filters: Vec<Option<Node>>,
}

#[derive(Debug)]
struct Group {
    slot: usize,
    conditions: Vec<Condition>,
}

#[derive(Debug)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Test {
        group: usize,
        bit: usize,
        is_negated: bool,
    },
}

impl Plan {
    pub fn new(jobs: &[JobRoute]) -> Self {
        let mut plan = Self::default();
        for job in jobs {
            let node = job.filter.as_ref().map(|filter| plan.node(&filter.root));
            plan.filters.push(node);
        }
        plan
    }

    fn node(&mut self, filter: &Compiled) -> Node {
        match filter {
            Compiled::And(nodes) => Node::And(nodes.iter().map(|node| self.node(node)).collect()),
            Compiled::Or(nodes) => Node::Or(nodes.iter().map(|node| self.node(node)).collect()),
            Compiled::Test {
                condition,
                is_negated,
            } => {
                let (group, bit) = self.place(condition);
                Node::Test {
                    group,
                    bit,
                    is_negated: *is_negated,
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
        });
        (self.groups.len() - 1, 0)
    }
}

/// What is known while a batch is read.
#[derive(Debug)]
pub(super) struct Decisions<'p> {
    plan: &'p Plan,
    groups: Vec<Known>,
}

/// The values of one group that came lately.
#[derive(Debug)]
struct Known {
    values: Box<[Decided; REMEMBERED]>,
    /// Of a value that is too long.
    other: Decided,
    /// Which of them the current record has: [`REMEMBERED`] for the other, [`NONE`] while nobody has asked.
    current: usize,
}

#[derive(Debug, Clone, Copy)]
struct Decided {
    length: usize,
    text: [u8; VALUE_MAX_BYTES],
    /// By bit: decided.
    known: u64,
    /// By bit: with this outcome.
    outcome: u64,
}

const NOTHING: Decided = Decided {
    length: NONE,
    text: [0; VALUE_MAX_BYTES],
    known: 0,
    outcome: 0,
};

impl<'p> Decisions<'p> {
    pub fn new(plan: &'p Plan) -> Self {
        let known = || Known {
            values: Box::new([NOTHING; REMEMBERED]),
            other: NOTHING,
            current: NONE,
        };
        Self {
            groups: plan.groups.iter().map(|_| known()).collect(),
            plan,
        }
    }

    /// Begins with a new record.
    #[inline]
    pub fn begin(&mut self) {
        for group in &mut self.groups {
            group.current = NONE;
        }
    }

    /// Whether the filter of the job at `index` selects the record whose projected fields these are.
    #[inline]
    pub fn selects(&mut self, index: usize, fields: &[Option<&[u8]>]) -> bool {
        match self.plan.filters.get(index) {
            Some(Some(node)) => self.is_true(node, fields),
            _ => true,
        }
    }

    fn is_true(&mut self, node: &Node, fields: &[Option<&[u8]>]) -> bool {
        match node {
            Node::And(nodes) => nodes.iter().all(|node| self.is_true(node, fields)),
            Node::Or(nodes) => nodes.iter().any(|node| self.is_true(node, fields)),
            Node::Test {
                group,
                bit,
                is_negated,
            } => self.decide(*group, *bit, fields) != *is_negated,
        }
    }

    #[inline]
    fn decide(&mut self, group: usize, bit: usize, fields: &[Option<&[u8]>]) -> bool {
        let (Some(Group { slot, conditions }), Some(known)) =
            (self.plan.groups.get(group), self.groups.get_mut(group))
        else {
            return false;
        };
        let Some(raw) = fields.get(*slot).copied().flatten() else {
            return false;
        };
        if known.current == NONE {
            known.find(raw);
        }
        let decided = known
            .values
            .get_mut(known.current)
            .unwrap_or(&mut known.other);
        let mask = 1 << bit;
        if decided.known & mask == 0 {
            decided.known |= mask;
            if conditions
                .get(bit)
                .is_some_and(|condition| condition.is_met_by(raw))
            {
                decided.outcome |= mask;
            }
        }
        decided.outcome & mask != 0
    }
}

impl Known {
    /// Makes this value the current one.
    #[inline]
    fn find(&mut self, raw: &[u8]) {
        if raw.len() > VALUE_MAX_BYTES {
            self.other = NOTHING;
            self.current = REMEMBERED;
            return;
        }
        self.current = place(raw);
        let Some(value) = self.values.get_mut(self.current) else {
            return;
        };
        let is_same = value.length == raw.len()
            && value
                .text
                .get(..raw.len())
                .is_some_and(|text| is_equal(text, raw));
        if !is_same {
            value.length = raw.len();
            value.known = 0;
            value.outcome = 0;
            if let Some(text) = value.text.get_mut(..raw.len()) {
                text.copy_from_slice(raw);
            }
        }
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
    use crate::route::{JobRoute, Keep, Router, Routes};
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
                shape: None,
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
        let plan =
            Plan::new(&routes(&[equal.clone(), opposite, json!({"or": [other, equal]})]).jobs);
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
