//! How much of a log a query has to read.

use super::condition::{Comparison, Operand};
use super::{Asked, Condition, Node, Operator};
use crate::health::log::{HOURS_KEPT_MILLIS, LogQuery, Resolution, Span};

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// Times that may count, in seconds, and how fine rows have to be to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The first second.
    from: i128,
    /// The first one after it.
    until: i128,
    /// How fine rows have to be.
    resolution: Resolution,
}

const ALWAYS: (i128, i128) = (i128::MIN, i128::MAX);

impl Reach {
    /// What a query reaches: from what holds for every row that counts, and so fine that each row lies on one side of
    /// every time that the query tells apart. Bounds that hold for all rows need no fineness: a log answers for exactly
    /// the span that it is asked for.
    #[must_use]
    pub fn of(node: &Node, asked: &Asked) -> Self {
        let (from, until) = span(node, &asked.condition);
        let dimensions = asked.dimensions.iter();
        let steps = dimensions.filter_map(|at| node.dimensions.get(*at)?.kind.step_secs());
        let steps = steps.map(|step| fineness(i128::from(step)));
        let bounds = inner_fineness(node, &asked.condition, true);
        let finest = steps.chain(std::iter::once(bounds)).min();
        Self {
            from,
            until,
            resolution: finest.unwrap_or(Resolution::Hour),
        }
    }

    /// The question to a log, as far back as one is kept; `None` when no time can count.
    ///
    /// # Errors
    /// When everything that could count is older than what is kept: seconds that are kept.
    pub fn query(self, now_millis: u64) -> Result<Option<LogQuery>, u64> {
        let (now, kept) = (i128::from(now_millis) / 1_000, HOURS_KEPT_MILLIS / 1_000);
        let oldest = now - i128::from(kept);
        if self.from >= self.until {
            return Ok(None);
        }
        if self.until <= oldest {
            return Err(kept);
        }
        // A push may end while it is asked for.
        let (from, until) = (self.from.max(oldest).max(0), self.until.min(now + 60));
        let millis = |secs: i128| u64::try_from(secs * 1_000).unwrap_or_default();
        let span = Span {
            from_millis: millis(from),
            until_millis: millis(until),
        };
        Ok((from < until).then(|| LogQuery {
            span,
            resolution: self.resolution.within(span, now_millis),
        }))
    }
}

/// The coarsest rows that do not cross a multiple of so many seconds.
fn fineness(secs: i128) -> Resolution {
    if secs % 3_600 == 0 {
        Resolution::Hour
    } else if secs % 60 == 0 {
        Resolution::Minute
    } else {
        Resolution::Attempt
    }
}

/// The span outside of which the condition can not hold, in seconds, half open.
fn span(node: &Node, condition: &Condition) -> (i128, i128) {
    match condition {
        Condition::All(parts) => parts.iter().fold(ALWAYS, |(from, until), part| {
            let (other_from, other_until) = span(node, part);
            (from.max(other_from), until.min(other_until))
        }),
        Condition::Any(parts) => parts
            .iter()
            .map(|part| span(node, part))
            .filter(|(from, until)| from < until)
            .reduce(|(from, until), (other_from, other_until)| {
                (from.min(other_from), until.max(other_until))
            })
            .unwrap_or((0, 0)),
        Condition::Compare(comparison) => exact_span(node, comparison).unwrap_or(ALWAYS),
    }
}

fn step(node: &Node, comparison: &Comparison) -> Option<i128> {
    let step = node.dimensions.get(comparison.dimension)?.kind.step_secs();
    step.map(i128::from)
}

/// The span in which a comparison of a time holds, when it is the only one; for `_in` the smallest around all of them.
fn exact_span(node: &Node, comparison: &Comparison) -> Option<(i128, i128)> {
    let step = step(node, comparison)?;
    let Operand::Numbers(nanos) = &comparison.operand else {
        return None;
    };
    // The first multiple of the step that is not less, and the first one that is greater.
    let at_least = |nanos: i128| -((-nanos).div_euclid(step * SECOND)) * step;
    let after = |nanos: i128| (nanos.div_euclid(step * SECOND) + 1) * step;
    let (first, last) = (nanos.first().copied(), nanos.last().copied());
    match comparison.operator {
        Operator::Greater => Some((after(first?), ALWAYS.1)),
        Operator::AtLeast => Some((at_least(first?), ALWAYS.1)),
        Operator::Less => Some((ALWAYS.0, at_least(first?))),
        Operator::AtMost => Some((ALWAYS.0, after(first?))),
        Operator::Equal | Operator::In => match (first, last) {
            (Some(first), Some(last)) => Some((at_least(first), after(last))),
            // In no time at all.
            _ => Some((0, 0)),
        },
        Operator::NotEqual | Operator::NotIn | Operator::Like | Operator::NotLike => None,
    }
}

/// How fine rows have to be for what is not said by the span alone.
fn inner_fineness(node: &Node, condition: &Condition, is_for_all: bool) -> Resolution {
    let parts = match condition {
        Condition::All(parts) => parts
            .iter()
            .map(|part| inner_fineness(node, part, is_for_all)),
        Condition::Any(parts) => {
            return parts
                .iter()
                .map(|part| inner_fineness(node, part, false))
                .min()
                .unwrap_or(Resolution::Hour);
        }
        Condition::Compare(comparison) => return bound_fineness(node, comparison, is_for_all),
    };
    parts.min().unwrap_or(Resolution::Hour)
}

fn bound_fineness(node: &Node, comparison: &Comparison, is_for_all: bool) -> Resolution {
    let Some(step) = step(node, comparison) else {
        return Resolution::Hour;
    };
    let Operand::Numbers(nanos) = &comparison.operand else {
        return Resolution::Hour;
    };
    let is_span = match comparison.operator {
        Operator::In => nanos.len() <= 1,
        operator => !matches!(operator, Operator::NotEqual | Operator::NotIn),
    };
    if is_for_all && is_span {
        return Resolution::Hour;
    }
    // The seconds at which the comparison changes.
    let bounds = nanos.iter().flat_map(|nanos| {
        let (floor, rest) = (
            nanos.div_euclid(step * SECOND) * step,
            nanos.rem_euclid(step * SECOND),
        );
        let at_least = if rest == 0 { floor } else { floor + step };
        match comparison.operator {
            Operator::Greater | Operator::AtMost => [floor + step; 2],
            Operator::Less | Operator::AtLeast => [at_least; 2],
            _ => [at_least, floor + step],
        }
    });
    bounds.map(fineness).min().unwrap_or(Resolution::Hour)
}
