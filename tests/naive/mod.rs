//! What a filter means, evaluated the slow and obvious way over parsed JSON. Written from the rules of `docs/filters.md`
//! alone: it shares no code with the evaluator, neither for numbers (decimal digits, compared as text) nor for times.

#![allow(dead_code, reason = "each test file uses its part of it")]

pub mod cases;
pub mod json;

use serde_json::Value;
use std::cmp::Ordering;

/// Whether the filter selects the record. `type_of` is Logpush's word for a field's type, `None` in an open schema.
pub fn selects(
    filter: &Value,
    type_of: &dyn Fn(&str) -> Option<&'static str>,
    record: &Value,
) -> bool {
    node(&filter["where"], type_of, record)
}

fn node(tree: &Value, type_of: &dyn Fn(&str) -> Option<&'static str>, record: &Value) -> bool {
    if let Some(nodes) = tree["and"].as_array() {
        return nodes.iter().all(|tree| node(tree, type_of, record));
    }
    if let Some(nodes) = tree["or"].as_array() {
        return nodes.iter().any(|tree| node(tree, type_of, record));
    }
    let key = tree["key"].as_str().unwrap();
    let operator = tree["operator"].as_str().unwrap();
    let (is_negated, operator) = match operator.strip_prefix('!') {
        Some(operator) => (true, operator),
        None => (false, operator),
    };
    let wanted = match &tree["value"] {
        Value::Array(list) if operator == "in" => list.clone(),
        value => vec![value.clone()],
    };
    let is_true = match record.get(key) {
        None | Some(Value::Null) => false,
        Some(value) => wanted
            .iter()
            .any(|wanted| condition(type_of(key), operator, value, wanted)),
    };
    is_true != is_negated
}

fn condition(field_type: Option<&str>, operator: &str, value: &Value, wanted: &Value) -> bool {
    match field_type {
        Some("string") => match value {
            Value::String(value) => text(operator, value, &text_of(wanted).unwrap()),
            _ => false,
        },
        Some("int" | "float") => order(
            operator,
            record_number(value),
            filter_number(wanted).unwrap(),
        ),
        Some("int or string") => order(operator, instant(value), instant(wanted).unwrap()),
        Some("bool") => value.is_boolean() && value.as_bool() == bool_of(wanted),
        Some("array[string]") => {
            let wanted = text_of(wanted).unwrap();
            elements(value)
                .iter()
                .any(|element| element.as_str() == Some(&wanted))
        }
        Some("array[int]") => {
            let wanted = filter_number(wanted).unwrap();
            elements(value)
                .iter()
                .any(|element| record_number(element).is_some_and(|number| number == wanted))
        }
        Some(other) => panic!("{other} can not be filtered on"),
        None => open(operator, value, wanted),
    }
}

/// A field of unknown type: the record's value says its type.
fn open(operator: &str, value: &Value, wanted: &Value) -> bool {
    match operator {
        "eq" | "in" => is_same(value, wanted),
        "contains" if value.is_array() => elements(value)
            .iter()
            .any(|element| is_same(element, wanted)),
        "startsWith" | "endsWith" | "contains" => match (value.as_str(), text_of(wanted)) {
            (Some(value), Some(wanted)) => text(operator, value, &wanted),
            _ => false,
        },
        _ => match filter_number(wanted) {
            Some(wanted) => order(operator, record_number(value), wanted),
            None => order(operator, instant(value), instant(wanted).unwrap()),
        },
    }
}

fn is_same(value: &Value, wanted: &Value) -> bool {
    let is_same_number = || {
        let numbers = (record_number(value), filter_number(wanted));
        matches!(numbers, (Some(value), Some(wanted)) if value == wanted)
    };
    match value {
        Value::Bool(value) => bool_of(wanted) == Some(*value),
        Value::String(value) => {
            text_of(wanted).as_ref() == Some(value) || (wanted.is_number() && is_same_number())
        }
        Value::Number(_) => is_same_number(),
        _ => false,
    }
}

fn text(operator: &str, value: &str, wanted: &str) -> bool {
    match operator {
        "eq" | "in" => value == wanted,
        "startsWith" => value.starts_with(wanted),
        "endsWith" => value.ends_with(wanted),
        "contains" => value.contains(wanted),
        other => panic!("{other} of a string"),
    }
}

fn order<T: Ord>(operator: &str, value: Option<T>, wanted: T) -> bool {
    let Some(value) = value else { return false };
    match operator {
        "eq" | "in" => value == wanted,
        "lt" => value < wanted,
        "leq" => value <= wanted,
        "gt" => value > wanted,
        "geq" => value >= wanted,
        other => panic!("{other} of a number"),
    }
}

fn elements(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text_of(wanted: &Value) -> Option<String> {
    match wanted {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn bool_of(wanted: &Value) -> Option<bool> {
    match wanted {
        Value::Bool(bool) => Some(*bool),
        Value::String(text) if text == "true" => Some(true),
        Value::String(text) if text == "false" => Some(false),
        _ => None,
    }
}

/// A number as its decimal digits, however many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    /// Without leading zeros.
    whole: String,
    /// Without trailing zeros.
    fraction: String,
}

impl Decimal {
    /// Of digits, and perhaps a dot and more of them.
    fn new(is_negative: bool, digits: &str) -> Self {
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let whole = whole.trim_start_matches('0').to_owned();
        let fraction = fraction.trim_end_matches('0').to_owned();
        Self {
            is_negative: is_negative && !(whole.is_empty() && fraction.is_empty()),
            whole,
            fraction,
        }
    }

    fn of_integer(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_integer.then(|| Self::new(text.starts_with('-'), digits))
    }

    /// All digits of a double: it has 1,074 decimals at most.
    fn of_double(double: f64) -> Self {
        Self::new(double < 0.0, &format!("{:.1074}", double.abs()))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |n: &Self| (n.whole.len(), n.whole.clone(), n.fraction.clone());
        match (self.is_negative, other.is_negative) {
            (false, false) => size(self).cmp(&size(other)),
            (true, true) => size(other).cmp(&size(self)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn json_number(number: &serde_json::Number) -> Decimal {
    Decimal::of_integer(&number.to_string())
        .unwrap_or_else(|| Decimal::of_double(number.as_f64().unwrap()))
}

/// Of a record: a number, or a string that holds an integer.
fn record_number(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => Some(json_number(number)),
        Value::String(text) => Decimal::of_integer(text),
        _ => None,
    }
}

/// Of a filter: a number, or a string that holds one.
fn filter_number(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => Some(json_number(number)),
        Value::String(text) => {
            let text = text.trim();
            let is_json = matches!(serde_json::from_str(text), Ok(Value::Number(_)));
            Decimal::of_integer(text)
                .or_else(|| is_json.then(|| Decimal::of_double(text.parse().unwrap())))
        }
        _ => None,
    }
}

const YEAR_1: i128 = -62_135_596_800 * 1_000_000_000;

/// Nanoseconds since 1970, of the years 1 to 9999.
pub fn instant(value: &Value) -> Option<i128> {
    let range = YEAR_1..=jiff::Timestamp::MAX.as_nanosecond();
    unbounded_instant(value).filter(|nanos| range.contains(nanos))
}

fn unbounded_instant(value: &Value) -> Option<i128> {
    let of_integer = |n: i128| match n.abs() {
        size if size < 10_i128.pow(11) => n * 1_000_000_000,
        size if size < 10_i128.pow(14) => n * 1_000_000,
        size if size < 10_i128.pow(17) => n * 1_000,
        _ => n,
    };
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            let Some((seconds, decimals)) = text.split_once('.') else {
                return text.parse().ok().map(of_integer);
            };
            // Decimals are decimals of a second, to the nanosecond.
            if text.contains('e') || seconds.trim_start_matches('-').len() > 11 {
                return None;
            }
            let nanos = format!("{decimals:0<9}");
            format!("{seconds}{}", &nanos[..9]).parse().ok()
        }
        Value::String(text) => match text.parse() {
            Ok(n) => Some(of_integer(n)),
            Err(_) => Some(text.parse::<jiff::Timestamp>().ok()?.as_nanosecond()),
        },
        _ => None,
    }
}
