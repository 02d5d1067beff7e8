//! Records and filters: fields of a real dataset, values as Logpush writes them and as it does not, and filters whose values
//! are near the record's, so that both outcomes are frequent.

use jiff::Timestamp;
use logpush_edge::logpush::catalogue::{self, Dataset, FieldType};
use logpush_edge::logpush::scope::ScopeKind;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// A record and a filter.
#[derive(Debug, Clone)]
pub struct Case {
    /// Index into [`DATASETS`]; in an open schema the fields come from it, and their types are forgotten.
    pub dataset: usize,
    /// The record.
    pub line: String,
    /// The filter.
    pub filter: Value,
}

/// Every dataset of the catalogue.
pub static DATASETS: LazyLock<Vec<Dataset>> = LazyLock::new(|| {
    [ScopeKind::Zone, ScopeKind::Account]
        .into_iter()
        .flat_map(|scope| catalogue::names().filter_map(move |name| Dataset::find(scope, name)))
        .collect()
});

/// A record's fields: name, type, raw JSON text if it is there.
type Fields = Vec<(String, FieldType, Option<String>)>;

/// A case; `is_open` forgets the types. Only the filter shrinks: shrinking what it depends on takes minutes.
/// `depth` 0 makes filters of one condition.
pub fn case(is_open: bool, depth: u32) -> impl Strategy<Value = Case> {
    (
        0..DATASETS.len(),
        vec((any::<Index>(), any::<Index>()), 1..6),
    )
        .prop_ind_flat_map(|(dataset, picks)| {
            let fields = pick_fields(&DATASETS[dataset], &picks);
            let values: Vec<_> = fields.iter().map(|(_, word)| record_value(*word)).collect();
            (Just(dataset), Just(fields), values)
        })
        .prop_ind_flat_map(move |(dataset, names, values)| {
            let fields: Fields = names
                .into_iter()
                .zip(values)
                .map(|((name, word), raw)| (name, word, raw))
                .collect();
            let line = write_line(&fields);
            (Just(dataset), Just(line), tree(fields, is_open, depth))
        })
        .prop_map(|(dataset, line, tree)| Case {
            dataset,
            line,
            filter: json!({"where": tree}),
        })
}

/// A type first and then a field of it, because most fields are strings.
fn pick_fields(dataset: &Dataset, picks: &[(Index, Index)]) -> Vec<(String, FieldType)> {
    let mut types: Vec<FieldType> = Vec::new();
    for field in dataset.fields.values() {
        if is_plain(field.field_type) && !types.contains(&field.field_type) {
            types.push(field.field_type);
        }
    }
    let mut fields: Vec<(String, FieldType)> = Vec::new();
    for (of_type, of_name) in picks {
        let field_type = *of_type.get(&types);
        let names: Vec<&String> = dataset
            .fields
            .iter()
            .filter(|(_, field)| field.field_type == field_type)
            .map(|(name, _)| name)
            .collect();
        let name = (*of_name.get(&names)).clone();
        if !fields.iter().any(|(known, _)| *known == name) {
            fields.push((name, field_type));
        }
    }
    fields
}

fn is_plain(field_type: FieldType) -> bool {
    !matches!(field_type, FieldType::Object | FieldType::ArrayObject)
}

/// The record, with a bystander before and after.
fn write_line(fields: &Fields) -> String {
    let mut line = r#"{"Bystander" : {"Inside":["]",{"}":1}]}"#.to_owned();
    for (name, _, raw) in fields {
        if let Some(raw) = raw {
            line.push_str(&format!(",\"{name}\": {raw}"));
        }
    }
    line.push_str(r#" ,"After":"\"" }"#);
    line
}

// Records.

const TEXTS: [&str; 20] = [
    "a",
    "ab",
    "abc",
    "ca",
    "CA",
    "/login",
    "/login?a=1&b=<2>",
    "example.com",
    "é😀",
    "\"\\",
    "a\tb\n",
    "7",
    "007",
    "200",
    "-1",
    "true",
    "0.5",
    "[]",
    "2022-07-07T22:42:06Z",
    "null",
];

fn some_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(&TEXTS[..]).prop_map(str::to_owned),
        2 => "[a-c/.&<é😀\"\\\\\n]{0,6}",
        1 => any::<String>(),
    ]
}

/// The ways to write a string: like serde, like Go, or with every character escaped.
fn write_text(text: &str, way: u8) -> String {
    let plain = Value::from(text).to_string();
    match way {
        0 => plain,
        1 => plain
            .replace('&', "\\u0026")
            .replace('<', "\\u003c")
            .replace('>', "\\u003E")
            .replace('/', "\\/"),
        _ => {
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            format!("\"{}\"", units.collect::<String>())
        }
    }
}

fn text_value() -> impl Strategy<Value = String> {
    let way = prop_oneof![4 => Just(0_u8), 2 => Just(1), 1 => Just(2)];
    (some_text(), way).prop_map(|(text, way)| write_text(&text, way))
}

fn some_integer() -> impl Strategy<Value = i128> {
    prop_oneof![
        3 => 0_i128..5,
        2 => -3_i128..600,
        2 => (1_i128 << 53) - 2..(1_i128 << 53) + 3,
        1 => any::<i64>().prop_map(i128::from),
        1 => any::<u64>().prop_map(i128::from),
    ]
}

fn integer_value() -> BoxedStrategy<String> {
    prop_oneof![
        5 => some_integer().prop_map(|n| n.to_string()),
        2 => (some_integer(), 0_u8..3).prop_map(|(n, way)| write_text(&n.to_string(), way)),
        // Beyond 64 bits only in a string: the naive evaluation reads bare ones as doubles.
        1 => any::<i64>().prop_map(|n| format!("\"{}{:07}\"", n, n.unsigned_abs() % 10_000_000)),
        1 => (-3_i32..600).prop_map(|n| format!("{n}.0")),
        1 => (0_i32..6).prop_map(|n| format!("{n}e2")),
    ]
    .boxed()
}

fn float_value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (-8_i32..64).prop_map(|n| (f64::from(n) / 8.0).to_string()),
        2 => (0_f64..100.0).prop_map(|n| n.to_string()),
        1 => prop::num::f64::NORMAL.prop_map(|n| json!(n).to_string()),
        1 => (0_u32..1000).prop_map(|n| format!("{n}E-2")),
        1 => integer_value(),
    ]
}

const AN_INSTANT: i128 = 1_657_233_726_004_000_000;

fn some_instant() -> impl Strategy<Value = i128> {
    let step = select(
        &[
            0_i128,
            1,
            1_000_000,
            996_000_000,
            1_000_000_000,
            86_400_000_000_000,
        ][..],
    );
    prop_oneof![
        6 => (step, -1_i128..=1).prop_map(|(step, sign)| AN_INSTANT + sign * step),
        1 => 100_000_000_000_000_000_i128..4_000_000_000_000_000_000,
    ]
}

const TIME_FORMS: u8 = 9;

/// An instant as JSON, cut to what the form can hold.
fn write_instant(nanos: i128, form: u8) -> Value {
    let timestamp = Timestamp::from_nanosecond(nanos).unwrap();
    let offset = |hours| jiff::tz::Offset::constant(hours);
    match form {
        0 => json!(i64::try_from(nanos).unwrap()),
        1 => json!(i64::try_from(nanos / 1_000).unwrap()),
        2 => json!(i64::try_from(nanos / 1_000_000).unwrap()),
        3 => json!(i64::try_from(nanos / 1_000_000_000).unwrap()),
        // Seconds and milliseconds, which a double holds to the last digit.
        4 => serde_json::from_str(&format!(
            "{}.{:03}",
            nanos / 1_000_000_000,
            nanos / 1_000_000 % 1_000
        ))
        .unwrap(),
        5 => json!(nanos.to_string()),
        6 => json!(timestamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        7 => json!(timestamp.strftime("%Y-%m-%dT%H:%M:%S%.fZ").to_string()),
        _ => json!(timestamp.display_with_offset(offset(-3)).to_string()),
    }
}

fn time_value() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (some_instant(), 0..TIME_FORMS, 0_u8..3).prop_map(|(nanos, form, way)| {
            match write_instant(nanos, form) {
                Value::String(text) => write_text(&text, way),
                value => value.to_string(),
            }
        }),
        1 => select(&["\"0001-01-01T00:00:00Z\"", "\"0\"", "\"2022-07-07\""][..]).prop_map(str::to_owned),
        1 => integer_value(),
    ]
}

fn list(element: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let other = select(
        &[
            "null",
            "[1,\"a\",7,2]",
            "{\"a\":[1]}",
            "true",
            "7",
            "\"7\"",
            "\"\"",
        ][..],
    );
    let element = prop_oneof![6 => element, 1 => other.prop_map(str::to_owned)];
    (vec(element, 0..4), select(&[",", " , "][..]))
        .prop_map(|(elements, comma)| format!("[{}]", elements.join(comma)))
}

/// A value as it stands in a record, or `None` for a field that is missing.
fn record_value(field_type: FieldType) -> BoxedStrategy<Option<String>> {
    let (unset, typed) = match field_type {
        FieldType::Int => ("0", integer_value()),
        FieldType::Float => ("0", float_value().boxed()),
        FieldType::Bool => ("false", any::<bool>().prop_map(|b| b.to_string()).boxed()),
        FieldType::Timestamp => ("0", time_value().boxed()),
        FieldType::ArrayString => ("[]", list(text_value()).boxed()),
        FieldType::ArrayInt => ("[]", list(integer_value()).boxed()),
        _ => ("\"\"", text_value().boxed()),
    };
    let unusual = prop_oneof![
        text_value(),
        integer_value(),
        float_value(),
        time_value(),
        list(text_value()),
        select(&["true", "false", "{}", "{\"a\":1}", "[]", "\"\"", "\"true\""][..])
            .prop_map(str::to_owned),
    ];
    let any_value = prop_oneof![
        1 => Just(None),
        1 => Just(Some("null".to_owned())),
        1 => Just(Some(unset.to_owned())),
        2 => unusual.prop_map(Some),
        12 => typed.prop_map(Some),
    ];
    let is_time = field_type == FieldType::Timestamp;
    any_value
        .prop_map(move |raw| raw.filter(|raw| !(is_time && has_exponent(raw))))
        .boxed()
}

/// Such a number is no time, which the naive evaluation can not see any more.
fn has_exponent(raw: &str) -> bool {
    raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && raw.contains(['e', 'E'])
}

// Filters.

fn tree(fields: Fields, is_open: bool, depth: u32) -> BoxedStrategy<Value> {
    let leaf = (0..fields.len()).prop_ind_flat_map(move |at| {
        let (name, field_type, raw) = fields[at].clone();
        leaf(name, if is_open { None } else { Some(field_type) }, raw)
    });
    if depth == 0 {
        return leaf.boxed();
    }
    leaf.prop_recursive(depth, 12, 3, |inner| {
        (vec(inner, 1..4), select(&["and", "or"][..]))
            .prop_map(|(nodes, word)| json!({word: nodes}))
    })
    .boxed()
}

const ORDERED: [&str; 8] = ["eq", "!eq", "lt", "leq", "gt", "geq", "in", "!in"];
const LISTED: [&str; 2] = ["contains", "!contains"];
const WRITTEN: [&str; 10] = [
    "eq",
    "!eq",
    "in",
    "!in",
    "startsWith",
    "!startsWith",
    "endsWith",
    "!endsWith",
    "contains",
    "!contains",
];

/// One condition on a field; without a type, any operator with a value that it takes.
fn leaf(name: String, field_type: Option<FieldType>, raw: Option<String>) -> BoxedStrategy<Value> {
    let raw = raw.unwrap_or_else(|| "null".to_owned());
    let value: Value = serde_json::from_str(&raw).unwrap();
    let with = |operators: &'static [&'static str], operand: BoxedStrategy<Value>| {
        let name = name.clone();
        (select(operators), vec(operand, 1..4))
            .prop_map(move |(operator, list)| {
                let value = if operator.ends_with("in") {
                    json!(list)
                } else {
                    list[0].clone()
                };
                json!({"key": name, "operator": operator, "value": value})
            })
            .boxed()
    };
    let bools = || {
        select(vec![
            json!(true),
            json!(false),
            json!("true"),
            json!("false"),
        ])
        .boxed()
    };
    let written = || near_text(&value);
    match field_type {
        Some(FieldType::Int | FieldType::Float) => with(&ORDERED, near_number(&value)),
        Some(FieldType::Timestamp) => with(&ORDERED, near_time(&value)),
        Some(FieldType::Bool) => with(&ORDERED[..2], bools()),
        Some(FieldType::ArrayString) => with(&LISTED, near_element(&value, near_text)),
        Some(FieldType::ArrayInt) => with(&LISTED, near_element(&value, near_number)),
        Some(_) => with(&WRITTEN, written()),
        None => {
            let of_list = if value.is_array() { 6 } else { 1 };
            let timely = if has_exponent(&raw) {
                near_number(&value)
            } else {
                near_time(&value)
            };
            prop_oneof![
                2 => with(&WRITTEN, written()),
                2 => with(&ORDERED, near_number(&value)),
                2 => with(&ORDERED, timely),
                2 => with(&WRITTEN[..4], bools()),
                of_list => with(&LISTED, near_element(&value, near_text)),
                of_list => with(&LISTED, near_element(&value, near_number)),
            ]
            .boxed()
        }
    }
}

fn near_element(value: &Value, near: fn(&Value) -> BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let elements = value.as_array().cloned().unwrap_or_default();
    if elements.is_empty() {
        return near(&Value::Null);
    }
    select(elements)
        .prop_ind_flat_map(move |element| near(&element))
        .boxed()
}

/// The record's text, a part of it, or something else.
fn near_text(value: &Value) -> BoxedStrategy<Value> {
    let other = prop_oneof![
        some_text().prop_map(Value::from),
        (0_i64..600).prop_map(Value::from)
    ];
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return other.boxed(),
    };
    let chars: Vec<char> = text.chars().collect();
    let whole = text.clone();
    let part = (any::<Index>(), any::<Index>()).prop_map(move |(a, b)| {
        let (a, b) = (a.index(chars.len() + 1), b.index(chars.len() + 1));
        Value::from(chars[a.min(b)..a.max(b)].iter().collect::<String>())
    });
    let from =
        |text: &str, length: usize| Value::from(text.chars().take(length).collect::<String>());
    let back: Vec<char> = text.chars().rev().take(2).collect();
    prop_oneof![
        3 => Just(Value::from(whole.clone())),
        1 => Just(from(&whole, 2)),
        1 => Just(Value::from(back.iter().rev().collect::<String>())),
        2 => part,
        1 => Just(Value::from(format!("{whole}x"))),
        1 => Just(Value::from(whole.to_uppercase())),
        3 => other,
    ]
    .boxed()
}

/// The record's number or one beside it, bare or in a string.
fn near_number(value: &Value) -> BoxedStrategy<Value> {
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let integer = text.parse::<i128>().ok().filter(|_| !text.starts_with('+'));
    let double = text
        .parse::<f64>()
        .ok()
        .filter(|n| n.is_finite() && value.is_number());
    let near = match (integer, double) {
        (Some(n), _) => (-1_i128..=1)
            .prop_map(move |by| (n + by).to_string())
            .boxed(),
        (_, Some(n)) => select(vec![
            n,
            n.next_up(),
            n.next_down(),
            n - 0.5,
            n + 0.5,
            n.trunc(),
        ])
        .prop_filter("finite", |n| n.is_finite())
        .prop_map(|n| json!(n).to_string())
        .boxed(),
        _ => some_integer().prop_map(|n| n.to_string()).boxed(),
    };
    let other = prop_oneof![
        some_integer().prop_map(|n| n.to_string()),
        (-8_i32..64).prop_map(|n| json!(f64::from(n) / 8.0).to_string()),
    ];
    let number = prop_oneof![3 => near, 1 => other];
    (number, any::<bool>())
        .prop_map(|(text, is_bare)| match text.parse::<i128>() {
            // A bare integer of more than 64 bits would become a double.
            Ok(n) if i64::try_from(n).is_err() && u64::try_from(n).is_err() => Value::from(text),
            _ if is_bare => serde_json::from_str(&text).unwrap(),
            _ => Value::from(text),
        })
        .boxed()
}

/// The record's time or one beside it, in any form.
fn near_time(value: &Value) -> BoxedStrategy<Value> {
    let near = super::instant(value)
        .filter(|nanos| (10_i128.pow(17)..4 * 10_i128.pow(18)).contains(nanos))
        .unwrap_or(AN_INSTANT);
    let step = select(&[0_i128, 0, 1, 1_000_000, 1_000_000_000][..]);
    let near = (step, -1_i128..=1).prop_map(move |(step, sign)| near + step * sign);
    prop_oneof![
        12 => (prop_oneof![3 => near, 1 => some_instant()], 0..TIME_FORMS)
            .prop_map(|(nanos, form)| write_instant(nanos, form)),
        1 => select(vec![json!(0), json!("0"), json!("0001-01-01T00:00:00Z"), json!(1_657_233_726)]),
    ]
    .boxed()
}
