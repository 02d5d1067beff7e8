//! A filter, compiled once for a job, evaluated on the raw JSON text of projected fields: no value is parsed that no
//! condition looks at, and in the usual case nothing is allocated.

use crate::batch::json::{elements, text};
use crate::batch::projection::Projection;
use crate::logpush::filter::{self, Filter, Literal, Node, Operand, Operator};
use crate::logpush::number::{Number, parse_integer};
use crate::time;
use memchr::memmem;
use std::cmp::Ordering;

/// A filter whose fields are slots of a projection.
#[derive(Debug)]
pub struct CompiledFilter {
    pub(super) root: Compiled,
}

#[derive(Debug)]
pub(super) enum Compiled {
    And(Vec<Compiled>),
    Or(Vec<Compiled>),
    Test {
        condition: Condition,
        is_negated: bool,
    },
}

/// A comparison without its `!`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub slot: usize,
    operator: Operator,
    operand: Operand,
}

impl Condition {
    /// False when the value is of no type that it can compare.
    pub fn is_met_by(&self, raw: &[u8]) -> bool {
        test(self.operator, &self.operand, raw)
    }
}

impl CompiledFilter {
    /// Compiles a checked filter; fields that it needs are added to the projection.
    #[must_use]
    pub fn compile(filter: &Filter, projection: &mut Projection) -> Self {
        Self {
            root: compile(&filter.root, projection),
        }
    }

    /// Whether a record is selected; `fields` is indexed by slot and holds valid JSON text, `None` for a missing field.
    #[must_use]
    pub fn matches(&self, fields: &[Option<&[u8]>]) -> bool {
        self.root.matches(fields)
    }
}

fn compile(node: &Node, projection: &mut Projection) -> Compiled {
    match node {
        Node::And(nodes) => {
            Compiled::And(nodes.iter().map(|node| compile(node, projection)).collect())
        }
        Node::Or(nodes) => {
            Compiled::Or(nodes.iter().map(|node| compile(node, projection)).collect())
        }
        Node::Condition(filter::Condition {
            key,
            operator,
            is_negated,
            operand,
            ..
        }) => Compiled::Test {
            condition: Condition {
                slot: projection.slot(key),
                operator: *operator,
                operand: operand.clone(),
            },
            is_negated: *is_negated,
        },
    }
}

impl Compiled {
    pub fn matches(&self, fields: &[Option<&[u8]>]) -> bool {
        match self {
            Self::And(nodes) => nodes.iter().all(|node| node.matches(fields)),
            Self::Or(nodes) => nodes.iter().any(|node| node.matches(fields)),
            Self::Test {
                condition,
                is_negated,
            } => {
                let raw = fields.get(condition.slot).copied().flatten();
                raw.is_some_and(|raw| condition.is_met_by(raw)) != *is_negated
            }
        }
    }
}

/// The positive operator; false when the value is of no type that it can compare.
fn test(operator: Operator, operand: &Operand, raw: &[u8]) -> bool {
    match operand {
        Operand::Text(texts) => text(raw)
            .is_some_and(|value| texts.iter().any(|text| test_text(operator, &value, text))),
        Operand::Number(numbers) => number(raw).is_some_and(|value| {
            numbers
                .iter()
                .any(|n| is_order(operator, value.compare(*n)))
        }),
        Operand::Bool(bool) => raw == if *bool { b"true".as_slice() } else { b"false" },
        Operand::Time(times) => instant(raw)
            .is_some_and(|value| times.iter().any(|time| is_order(operator, value.cmp(time)))),
        Operand::TextElement(text) => has_text(raw, text),
        Operand::NumberElement(n) => has_number(raw, *n),
        Operand::Any(literals) => literals
            .iter()
            .any(|literal| test_any(operator, literal, raw)),
    }
}

fn test_any(operator: Operator, literal: &Literal, raw: &[u8]) -> bool {
    match operator {
        Operator::Lt | Operator::Leq | Operator::Gt | Operator::Geq => {
            if let Some(wanted) = literal.number {
                number(raw).is_some_and(|value| is_order(operator, value.compare(wanted)))
            } else if let Some(wanted) = literal.time {
                instant(raw).is_some_and(|value| is_order(operator, value.cmp(&wanted)))
            } else {
                false
            }
        }
        Operator::Eq | Operator::In => is_any(literal, raw),
        Operator::Contains if raw.first() == Some(&b'[') => {
            elements(raw).any(|element| is_any(literal, element))
        }
        Operator::StartsWith | Operator::EndsWith | Operator::Contains => {
            match (&literal.text, text(raw)) {
                (Some(wanted), Some(value)) => test_text(operator, &value, wanted),
                _ => false,
            }
        }
    }
}

/// Equality with a value of unknown type.
fn is_any(literal: &Literal, raw: &[u8]) -> bool {
    match raw.first() {
        Some(b't' | b'f') => literal.bool == Some(raw == b"true"),
        Some(b'"') => text(raw).is_some_and(|value| {
            let is_same_text = literal.text.as_deref().map(str::as_bytes) == Some(&*value);
            // Text is compared by its bytes; a number in the filter also means a string that holds it.
            let wanted = literal.number.filter(|_| !literal.is_text);
            let is_same_number = |wanted| {
                parse_integer(&value)
                    .is_some_and(|n| Number::Integer(n).compare(wanted) == Ordering::Equal)
            };
            is_same_text || wanted.is_some_and(is_same_number)
        }),
        _ => literal.number.is_some_and(|wanted| {
            number(raw).is_some_and(|value| value.compare(wanted) == Ordering::Equal)
        }),
    }
}

fn test_text(operator: Operator, value: &[u8], wanted: &str) -> bool {
    let wanted = wanted.as_bytes();
    match operator {
        Operator::StartsWith => value.starts_with(wanted),
        Operator::EndsWith => value.ends_with(wanted),
        Operator::Contains => memmem::find(value, wanted).is_some(),
        Operator::Eq | Operator::In => value == wanted,
        Operator::Lt | Operator::Leq | Operator::Gt | Operator::Geq => false,
    }
}

fn is_order(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Eq | Operator::In => order == Ordering::Equal,
        Operator::Lt => order == Ordering::Less,
        Operator::Leq => order != Ordering::Greater,
        Operator::Gt => order == Ordering::Greater,
        Operator::Geq => order != Ordering::Less,
        Operator::StartsWith | Operator::EndsWith | Operator::Contains => false,
    }
}

fn has_text(raw: &[u8], wanted: &str) -> bool {
    elements(raw).any(|element| text(element).is_some_and(|value| *value == *wanted.as_bytes()))
}

fn has_number(raw: &[u8], wanted: Number) -> bool {
    elements(raw)
        .any(|element| number(element).is_some_and(|n| n.compare(wanted) == Ordering::Equal))
}

/// A JSON number, or a JSON string that holds a decimal integer.
fn number(raw: &[u8]) -> Option<Number> {
    match raw {
        [b'"', ..] => parse_integer(&text(raw)?).map(Number::Integer),
        [b'-' | b'0'..=b'9', ..] => Number::parse(raw),
        _ => None,
    }
}

/// The instant of a time field, in any form; here 0 and Go's zero time are instants like any other.
fn instant(raw: &[u8]) -> Option<time::UnixNanos> {
    match raw {
        [b'"', ..] => time::instant_from_str(std::str::from_utf8(&text(raw)?).ok()?),
        [b'-' | b'0'..=b'9', ..] => time::instant_from_number(raw),
        _ => None,
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
