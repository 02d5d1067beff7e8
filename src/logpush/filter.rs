//! Logpush's filter language: a string that holds JSON, checked against the dataset when a job is made.
//!
//! `{"where": node}`, a node being `{"and": […]}`, `{"or": […]}` or `{"key", "operator", "value"}` (Logpush docs, filters
//! page). A record is kept when the tree is true. What the documentation leaves open is decided in `docs/filters.md`.

use super::catalogue::{Dataset, FieldType};
use super::number::Number;
use crate::time::{self, UnixNanos};
use serde_json::{Map, Value, json};
use std::fmt;

/// Bytes of a filter string. Logpush takes 1,000 and about 30 conditions; ours is bounded so that a job stays a small row.
/// The shortest condition has 36 bytes and a comma, so this also bounds what one record may cost: below 900 conditions.
pub const FILTER_MAX_BYTES: usize = 32_768;
/// Nesting of `and` and `or`: reading and evaluating recurse.
pub const FILTER_MAX_DEPTH: usize = 32;

/// A checked filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// The tree.
    pub root: Node,
}

/// One node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// All of them; never empty.
    And(Vec<Node>),
    /// One of them; never empty.
    Or(Vec<Node>),
    /// A leaf.
    Condition(Condition),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The field.
    pub key: String,
    /// The operator without its `!`.
    pub operator: Operator,
    /// The operator had a `!`: exactly the opposite.
    pub is_negated: bool,
    /// The value, as it was sent.
    pub value: Value,
    /// The value, ready to compare.
    pub operand: Operand,
}

/// The positive operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Eq,
    Lt,
    Leq,
    Gt,
    Geq,
    StartsWith,
    EndsWith,
    Contains,
    In,
}

const OPERATORS: [(&str, Operator); 9] = [
    ("eq", Operator::Eq),
    ("lt", Operator::Lt),
    ("leq", Operator::Leq),
    ("gt", Operator::Gt),
    ("geq", Operator::Geq),
    ("startsWith", Operator::StartsWith),
    ("endsWith", Operator::EndsWith),
    ("contains", Operator::Contains),
    ("in", Operator::In),
];

impl Operator {
    /// Logpush's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        OPERATORS
            .iter()
            .find(|(_, operator)| *operator == self)
            .map_or("", |(word, _)| word)
    }

    /// True for `lt`, `leq`, `gt`, `geq`.
    #[must_use]
    pub fn is_order(self) -> bool {
        matches!(self, Self::Lt | Self::Leq | Self::Gt | Self::Geq)
    }

    /// Logpush's table of operators and field types; it leaves out `float`, which takes what `int` takes.
    #[must_use]
    pub fn applies_to(self, field_type: FieldType) -> bool {
        match field_type {
            FieldType::String => !self.is_order(),
            FieldType::Int | FieldType::Float | FieldType::Timestamp => {
                self.is_order() || matches!(self, Self::Eq | Self::In)
            }
            FieldType::Bool => self == Self::Eq,
            FieldType::ArrayString | FieldType::ArrayInt => self == Self::Contains,
            FieldType::Object | FieldType::ArrayObject => false,
        }
    }
}

/// What a condition compares with. Lists stand behind `in`, and hold one value for every other operator.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A string field, byte by byte.
    Text(Vec<String>),
    /// An int or float field.
    Number(Vec<Number>),
    /// A bool field.
    Bool(bool),
    /// A time field, as instants.
    Time(Vec<UnixNanos>),
    /// An `array[string]` that has this element.
    TextElement(String),
    /// An `array[int]` that has this element.
    NumberElement(Number),
    /// A field of unknown type: the record's own JSON type decides.
    Any(Vec<Literal>),
}

/// A value to compare with a field of unknown type: all that it could mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal {
    /// It was sent as a string, so it equals another string byte by byte only.
    pub is_text: bool,
    /// As text.
    pub text: Option<String>,
    /// As a number.
    pub number: Option<Number>,
    /// As a bool.
    pub bool: Option<bool>,
    /// As a time; only for the order operators, and only when it is no number.
    pub time: Option<UnixNanos>,
}

/// Why a filter was refused. Displayed with the place of the fault and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// Such as `where.and[1]`.
    pub place: String,
    /// What is wrong there, and how to mend it.
    pub message: String,
}

const A_NUMBER: &str = "a number, or a string that holds one";

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter: {}: {}", self.place, self.message)
    }
}

impl std::error::Error for FilterError {}

fn fail<T>(place: &str, message: impl Into<String>) -> Result<T, FilterError> {
    Err(FilterError {
        place: place.to_owned(),
        message: message.into(),
    })
}

impl Filter {
    /// [`Filter::parse`], or `None` for an empty string, which selects every record.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn parse_optional(
        text: &str,
        dataset: Option<&Dataset>,
    ) -> Result<Option<Self>, FilterError> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        Self::parse(text, dataset).map(Some)
    }

    /// Reads a filter. Without a dataset (open schema) every field is allowed.
    ///
    /// # Errors
    /// Names the place and the fault.
    pub fn parse(text: &str, dataset: Option<&Dataset>) -> Result<Self, FilterError> {
        if text.len() > FILTER_MAX_BYTES {
            let advice = "use `in` for lists of values, or split the job";
            return fail(
                "where",
                format!("longer than {FILTER_MAX_BYTES} bytes; {advice}"),
            );
        }
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(e) => return fail("where", format!("not JSON: {e}")),
        };
        let reader = Reader { dataset };
        let root = match value {
            Value::Object(mut object) if object.len() == 1 && object.contains_key("where") => {
                reader.node(object.remove("where").unwrap_or_default(), "where", 0)?
            }
            _ => return fail("where", "must be an object with the one member `where`"),
        };
        Ok(Self { root })
    }

    /// The filter in Logpush's own spelling, aliases replaced.
    #[must_use]
    pub fn canonical(&self) -> String {
        json!({"where": self.root.to_json()}).to_string()
    }
}

impl Node {
    fn to_json(&self) -> Value {
        let list = |nodes: &[Self]| nodes.iter().map(Self::to_json).collect::<Vec<_>>();
        match self {
            Self::And(nodes) => json!({"and": list(nodes)}),
            Self::Or(nodes) => json!({"or": list(nodes)}),
            Self::Condition(Condition {
                key,
                operator,
                is_negated,
                value,
                ..
            }) => {
                let sign = if *is_negated { "!" } else { "" };
                json!({"key": key, "operator": format!("{sign}{}", operator.as_str()), "value": value})
            }
        }
    }
}

struct Reader<'d> {
    dataset: Option<&'d Dataset>,
}

impl Reader<'_> {
    fn node(&self, value: Value, place: &str, depth: usize) -> Result<Node, FilterError> {
        if depth > FILTER_MAX_DEPTH {
            return fail(
                place,
                format!(
                    "nested deeper than {FILTER_MAX_DEPTH} levels; an `and` in an `and` can be one"
                ),
            );
        }
        let Value::Object(mut object) = value else {
            return fail(place, "must be an object: `and`, `or`, or a condition");
        };
        for (word, make) in [
            ("and", Node::And as fn(_) -> _),
            ("or", Node::Or as fn(_) -> _),
        ] {
            if let Some(list) = object.remove(word) {
                if let Some(other) = object.keys().next() {
                    return fail(place, format!("`{word}` can not stand beside `{other}`"));
                }
                return self.list(list, &format!("{place}.{word}"), depth).map(make);
            }
        }
        // Instant Logs' dialect wraps inner nodes once more.
        if object.len() == 1
            && let Some(inner) = object.remove("where")
        {
            return self.node(inner, place, depth + 1);
        }
        self.condition(object, place).map(Node::Condition)
    }

    fn list(&self, list: Value, place: &str, depth: usize) -> Result<Vec<Node>, FilterError> {
        match list {
            Value::Array(nodes) if !nodes.is_empty() => nodes
                .into_iter()
                .enumerate()
                .map(|(index, node)| self.node(node, &format!("{place}[{index}]"), depth + 1))
                .collect(),
            _ => fail(place, "must be a list with at least one node"),
        }
    }

    fn condition(
        &self,
        mut object: Map<String, Value>,
        place: &str,
    ) -> Result<Condition, FilterError> {
        let mut member = |name: &str| match object.remove(name) {
            Some(value) => Ok(value),
            None => fail(place, format!("`{name}` is missing")),
        };
        let (key, operator, value) = (member("key")?, member("operator")?, member("value")?);
        if let Some(other) = object.keys().next() {
            return fail(place, format!("unknown member `{other}`"));
        }
        let (Value::String(key), Value::String(operator)) = (key, operator) else {
            return fail(place, "`key` and `operator` must be strings");
        };
        let Some((operator, is_negated)) = read_operator(&operator) else {
            let known: Vec<&str> = OPERATORS.iter().map(|(word, _)| *word).collect();
            return fail(
                place,
                format!(
                    "unknown operator `{operator}`; there are {}",
                    known.join(", ")
                ),
            );
        };
        let value = match value {
            // Instant Logs' dialect: one string with commas.
            Value::String(list) if operator == Operator::In => list
                .split(',')
                .map(|item| Value::from(item.trim()))
                .collect(),
            value => value,
        };
        let operand = self.operand(&key, operator, is_negated, &value, place)?;
        Ok(Condition {
            key,
            operator,
            is_negated,
            value,
            operand,
        })
    }

    fn operand(
        &self,
        key: &str,
        operator: Operator,
        is_negated: bool,
        value: &Value,
        place: &str,
    ) -> Result<Operand, FilterError> {
        let word = operator.as_str();
        if is_negated && operator.is_order() {
            return fail(place, format!("`{word}` has no negation; use its opposite"));
        }
        let values = match value {
            Value::Array(items) if operator == Operator::In && !items.is_empty() => {
                items.as_slice()
            }
            _ if operator == Operator::In => {
                return fail(place, "`in` takes a list with at least one value");
            }
            value => std::slice::from_ref(value),
        };
        let Some(dataset) = self.dataset else {
            return self.any(operator, values, place);
        };
        let Some(field) = dataset.fields.get(key) else {
            let hint = dataset
                .nearest_field(key)
                .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return fail(
                place,
                format!("{} has no field `{key}`{hint}", dataset.name),
            );
        };
        let field_type = field.field_type;
        let type_word = field_type.as_str();
        if !operator.applies_to(field_type) {
            let applying: Vec<&str> = OPERATORS
                .iter()
                .filter(|(_, operator)| operator.applies_to(field_type))
                .map(|(word, _)| *word)
                .collect();
            let advice = if applying.is_empty() {
                "no operator does".to_owned()
            } else {
                format!("use {}", applying.join(", "))
            };
            return fail(
                place,
                format!(
                    "`{word}` does not apply to `{key}`, which is of type {type_word}; {advice}"
                ),
            );
        }
        let (operand, wanted) = match field_type {
            FieldType::String => (all(values, as_text).map(Operand::Text), "a string"),
            FieldType::Int | FieldType::Float => {
                (all(values, as_number).map(Operand::Number), A_NUMBER)
            }
            FieldType::Timestamp => (
                all(values, as_time).map(Operand::Time),
                "a time: RFC 3339, or unix seconds, milliseconds or nanoseconds",
            ),
            FieldType::Bool => (as_bool(value).map(Operand::Bool), "true or false"),
            FieldType::ArrayString => (as_text(value).map(Operand::TextElement), "a string"),
            FieldType::ArrayInt => (as_number(value).map(Operand::NumberElement), A_NUMBER),
            FieldType::Object | FieldType::ArrayObject => (None, "nothing"),
        };
        operand.map_or_else(
            || {
                fail(
                    place,
                    format!("`{key}` is of type {type_word}: the value must be {wanted}"),
                )
            },
            Ok,
        )
    }

    fn any(
        &self,
        operator: Operator,
        values: &[Value],
        place: &str,
    ) -> Result<Operand, FilterError> {
        let mut literals = Vec::new();
        for value in values {
            let number = as_number(value);
            let literal = Literal {
                is_text: value.is_string(),
                text: as_text(value),
                number,
                bool: as_bool(value),
                time: as_time(value).filter(|_| number.is_none() && operator.is_order()),
            };
            let is_usable = match operator {
                Operator::Lt | Operator::Leq | Operator::Gt | Operator::Geq => {
                    number.is_some() || literal.time.is_some()
                }
                Operator::Eq | Operator::In => literal.text.is_some() || literal.bool.is_some(),
                Operator::StartsWith | Operator::EndsWith | Operator::Contains => {
                    literal.text.is_some()
                }
            };
            if !is_usable {
                let wanted = match operator {
                    Operator::Eq | Operator::In => "a string, a number, true or false",
                    Operator::StartsWith | Operator::EndsWith | Operator::Contains => "a string",
                    _ => "a number or a time in RFC 3339",
                };
                let word = operator.as_str();
                return fail(place, format!("`{word}` takes {wanted}"));
            }
            literals.push(literal);
        }
        Ok(Operand::Any(literals))
    }
}

/// The operator, and whether it is negated. Aliases: `neq` (Instant Logs), a capital first letter (IBM's examples).
fn read_operator(word: &str) -> Option<(Operator, bool)> {
    if word.eq_ignore_ascii_case("neq") {
        return Some((Operator::Eq, true));
    }
    let (is_negated, word) = match word.strip_prefix('!') {
        Some(word) => (true, word),
        None => (false, word),
    };
    OPERATORS
        .iter()
        .find(|(known, _)| {
            let mut letters = word.chars();
            let first = letters.next().map(|letter| letter.to_ascii_lowercase());
            first.into_iter().chain(letters).eq(known.chars())
        })
        .map(|(_, operator)| (*operator, is_negated))
}

fn all<T>(values: &[Value], read: fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    values.iter().map(read).collect()
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn as_number(value: &Value) -> Option<Number> {
    match value {
        Value::String(text) => Number::parse(text.trim().as_bytes()),
        Value::Number(number) => Number::parse(number.to_string().as_bytes()),
        _ => None,
    }
}

fn as_time(value: &Value) -> Option<UnixNanos> {
    match value {
        Value::String(text) => time::instant_from_str(text),
        Value::Number(number) => time::instant_from_number(number.to_string().as_bytes()),
        _ => None,
    }
}

fn as_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(bool) => Some(*bool),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
