//! Which rows count.

use super::{Cell, Kind, Node, Record, value_of};
use crate::time;
use serde_json::Value as Json;

/// Comparisons that one filter may hold. Rows are compared with each of them: 250,000 rows with 200 stay below a second.
pub const CONDITIONS_MAX: usize = 200;

/// How a dimension is compared with what the filter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// No suffix.
    Equal,
    /// `_neq`
    NotEqual,
    /// `_gt`
    Greater,
    /// `_lt`
    Less,
    /// `_geq`
    AtLeast,
    /// `_leq`
    AtMost,
    /// `_in`
    In,
    /// `_notin`
    NotIn,
    /// `_like`, with `%` for any number of any characters.
    Like,
    /// `_notlike`
    NotLike,
}

impl Operator {
    /// Every one; those for texts alone are the last two.
    pub const ALL: [Self; 10] = [
        Self::Equal,
        Self::NotEqual,
        Self::Greater,
        Self::Less,
        Self::AtLeast,
        Self::AtMost,
        Self::In,
        Self::NotIn,
        Self::Like,
        Self::NotLike,
    ];

    /// What stands after the name of the dimension.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Equal => "",
            Self::NotEqual => "_neq",
            Self::Greater => "_gt",
            Self::Less => "_lt",
            Self::AtLeast => "_geq",
            Self::AtMost => "_leq",
            Self::In => "_in",
            Self::NotIn => "_notin",
            Self::Like => "_like",
            Self::NotLike => "_notlike",
        }
    }

    /// It takes a list.
    #[must_use]
    pub fn takes_list(self) -> bool {
        matches!(self, Self::In | Self::NotIn)
    }

    /// A filter's key, taken apart.
    fn of_key(key: &str) -> (&str, Self) {
        // No dimension has `_` in its name.
        let at = key.find('_').unwrap_or(key.len());
        let (name, suffix) = key.split_at_checked(at).unwrap_or((key, ""));
        let operator = Self::ALL.into_iter().find(|one| one.suffix() == suffix);
        match operator {
            Some(operator) => (name, operator),
            None => (key, Self::Equal),
        }
    }
}

/// Values to compare with, in order; times as nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Numbers(Vec<i128>),
    Texts(Vec<String>),
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    pub(super) dimension: usize,
    pub(super) operator: Operator,
    pub(super) operand: Operand,
}

/// Which rows count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All of these hold; true when there is none.
    All(Vec<Condition>),
    /// One of these holds.
    Any(Vec<Condition>),
    /// A comparison.
    Compare(Comparison),
}

impl Condition {
    /// Every row.
    #[must_use]
    pub fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// Reads a filter: an object of `dimension` or `dimension_operator` members and of `AND` and `OR` with a list of
    /// such objects, of which all hold. An empty list of either restricts nothing.
    ///
    /// # Errors
    /// The member that is wrong, by its path, and what it should be.
    pub fn parse(node: &Node, filter: &Json) -> Result<Self, String> {
        let mut budget = CONDITIONS_MAX;
        Self::read(node, filter, "filter", &mut budget)
    }

    fn read(node: &Node, filter: &Json, path: &str, budget: &mut usize) -> Result<Self, String> {
        let Some(members) = filter.as_object() else {
            return Err(format!("{path} must be an object"));
        };
        let mut all = Vec::with_capacity(members.len());
        for (key, value) in members {
            let path = format!("{path}.{key}");
            if value.is_null() {
                return Err(format!("{path} must not be null; leave it out instead"));
            }
            *budget = budget
                .checked_sub(1)
                .ok_or_else(|| format!("a filter may have at most {CONDITIONS_MAX} conditions"))?;
            if key == "AND" || key == "OR" {
                let one = std::slice::from_ref(value);
                let parts = value.as_array().map_or(one, Vec::as_slice);
                let parts: Vec<Self> = parts
                    .iter()
                    .enumerate()
                    .map(|(at, part)| Self::read(node, part, &format!("{path}.{at}"), budget))
                    .collect::<Result<_, _>>()?;
                if !parts.is_empty() {
                    all.push(match key.as_str() {
                        "AND" => Self::All(parts),
                        _ => Self::Any(parts),
                    });
                }
                continue;
            }
            let (name, operator) = Operator::of_key(key);
            let dimension = node.dimension(name);
            let known = dimension.and_then(|at| Some((at, node.dimensions.get(at)?.kind)));
            let Some((dimension, kind)) =
                known.filter(|(_, kind)| kind.operators().contains(&operator))
            else {
                return Err(format!("unknown field {path}"));
            };
            let operand = operand(kind, operator, value).map_err(|wanted| {
                let many = if operator.takes_list() {
                    "a list of values, each "
                } else {
                    ""
                };
                format!("{path} must be {many}{wanted}")
            })?;
            all.push(Self::Compare(Comparison {
                dimension,
                operator,
                operand,
            }));
        }
        Ok(Self::All(all))
    }

    /// Whether a row counts.
    #[must_use]
    pub fn holds(&self, node: &Node, record: &impl Record) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(node, record)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(node, record)),
            Self::Compare(comparison) => comparison.holds(node, record),
        }
    }
}

/// What the value means for a dimension of that kind; otherwise what it should be.
fn operand(kind: Kind, operator: Operator, value: &Json) -> Result<Operand, &'static str> {
    let one = std::slice::from_ref(value);
    let values = match value.as_array() {
        Some(list) if operator.takes_list() => list.as_slice(),
        _ => one,
    };
    let numbers = |read: fn(&Json) -> Option<i128>, wanted| {
        let numbers: Option<Vec<i128>> = values.iter().map(read).collect();
        numbers.ok_or(wanted).map(|mut numbers| {
            numbers.sort_unstable();
            Operand::Numbers(numbers)
        })
    };
    match kind {
        Kind::Number(_) => numbers(whole, "a whole number"),
        Kind::Time(_) => numbers(instant, "a time like 2026-01-31T10:00:00Z"),
        Kind::Date => numbers(day, "a day like 2026-01-31"),
        Kind::Text => {
            let texts = values.iter().map(|text| text.as_str().map(str::to_owned));
            let texts: Option<Vec<String>> = texts.collect();
            texts.ok_or("a text").map(|mut texts| {
                texts.sort_unstable();
                Operand::Texts(texts)
            })
        }
    }
}

fn whole(value: &Json) -> Option<i128> {
    let whole = value.as_u64().map(i128::from);
    whole.or_else(|| value.as_i64().map(i128::from))
}

fn instant(value: &Json) -> Option<i128> {
    let text = value.as_str()?;
    // A bare number is no time of GraphQL's.
    text.contains('T').then(|| time::instant_from_str(text))?
}

fn day(value: &Json) -> Option<i128> {
    let text = value.as_str().filter(|text| text.len() == 10)?;
    time::instant_from_str(&format!("{text}T00:00:00Z"))
}

impl Comparison {
    fn holds(&self, node: &Node, record: &impl Record) -> bool {
        match (value_of(node, record, self.dimension), &self.operand) {
            (Cell::Text(text), Operand::Texts(texts)) => self.compare(texts, text),
            (Cell::Number(number), Operand::Numbers(numbers)) => {
                ordered(self.operator, numbers, &i128::from(number))
            }
            (Cell::Time(secs), Operand::Numbers(numbers)) => {
                ordered(self.operator, numbers, &(i128::from(secs) * 1_000_000_000))
            }
            // A kind has one form of operand.
            _ => false,
        }
    }

    fn compare(&self, texts: &[String], text: &str) -> bool {
        let is_like = || texts.iter().any(|pattern| like(pattern, text));
        match self.operator {
            Operator::Like => is_like(),
            Operator::NotLike => !is_like(),
            Operator::In => find(texts, text),
            Operator::NotIn => !find(texts, text),
            operator => texts.first().is_some_and(|other| {
                let order = text.cmp(other.as_str());
                by_order(operator, order)
            }),
        }
    }
}

fn find(texts: &[String], text: &str) -> bool {
    texts
        .binary_search_by(|other| other.as_str().cmp(text))
        .is_ok()
}

fn ordered(operator: Operator, numbers: &[i128], number: &i128) -> bool {
    match operator {
        Operator::In => numbers.binary_search(number).is_ok(),
        Operator::NotIn => numbers.binary_search(number).is_err(),
        operator => numbers
            .first()
            .is_some_and(|other| by_order(operator, number.cmp(other))),
    }
}

fn by_order(operator: Operator, order: std::cmp::Ordering) -> bool {
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Greater => order.is_gt(),
        Operator::Less => order.is_lt(),
        Operator::AtLeast => order.is_ge(),
        Operator::AtMost => order.is_le(),
        Operator::In | Operator::NotIn | Operator::Like | Operator::NotLike => false,
    }
}

/// Whether a text is of a form in which `%` stands for any number of any characters; case matters.
fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('%');
    let Some(mut rest) = parts.next().and_then(|start| text.strip_prefix(start)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::HEALTH;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_percent_sign_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("s3", "s3", true),
            ("s3", "s33", false),
            ("", "", true),
            ("", "a", false),
            ("%", "", true),
            ("%", "abc", true),
            ("s%", "splunk", true),
            ("%k", "splunk", true),
            ("s%k", "splunk", true),
            ("s%x%k", "splunk", false),
            ("s%l%k", "splunk", true),
            ("%spl%lun%", "splunk", false),
            ("%s%%k%", "splunk", true),
            ("S%", "splunk", false),
            ("ab%ba", "aba", false),
            ("%ä%", "hähä", true),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_filter_that_is_wrong_says_where_and_what_is_wanted() {
        for (filter, expected) in [
            (json!([]), "filter must be an object"),
            (json!({"job": 1}), "unknown field filter.job"),
            (
                json!({"status_like": "5%"}),
                "unknown field filter.status_like",
            ),
            (json!({"status_foo": 5}), "unknown field filter.status_foo"),
            (
                json!({"status": "200"}),
                "filter.status must be a whole number",
            ),
            (
                json!({"status_in": [200, "x"]}),
                "filter.status_in must be a list of values, each a whole number",
            ),
            (
                json!({"destinationType": 1}),
                "filter.destinationType must be a text",
            ),
            (
                json!({"AND": [{"datetime_gt": "yesterday"}]}),
                "filter.AND.0.datetime_gt must be a time like 2026-01-31T10:00:00Z",
            ),
            (
                json!({"datetime_gt": "1660521600"}),
                "filter.datetime_gt must be a time like 2026-01-31T10:00:00Z",
            ),
            (
                json!({"OR": [{"date": "2026-13-01"}]}),
                "filter.OR.0.date must be a day like 2026-01-31",
            ),
            (
                json!({"jobId": null}),
                "filter.jobId must not be null; leave it out instead",
            ),
        ] {
            assert_eq!(
                Condition::parse(&HEALTH, &filter),
                Err(expected.to_owned()),
                "{filter}"
            );
        }
        let many: Vec<Json> = (0..CONDITIONS_MAX)
            .map(|job| json!({"jobId": job}))
            .collect();
        assert_eq!(
            Condition::parse(&HEALTH, &json!({"OR": many})),
            Err("a filter may have at most 200 conditions".to_owned())
        );
    }

    #[test]
    fn a_single_value_stands_for_a_list_of_one() {
        let one = Condition::parse(&HEALTH, &json!({"status_in": 200, "OR": {"jobId": 1}}));
        let list = Condition::parse(&HEALTH, &json!({"status_in": [200], "OR": [{"jobId": 1}]}));
        assert_eq!(one, list);
        assert!(one.is_ok());
        let nothing = Condition::parse(&HEALTH, &json!({"OR": [], "AND": []}));
        assert_eq!(nothing, Ok(Condition::everything()));
    }
}
