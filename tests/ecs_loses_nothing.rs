//! Any JSON object of any dataset becomes an event that parses, has nothing empty in it, and says all that the record said.

mod ecs_records;

use ecs_records::record;
use logpush_edge::ecs::convert::{As, Made};
use logpush_edge::ecs::table::{Output, Step, Table};
use logpush_edge::ecs::{Normaliser, Scratch, Surprises};
use logpush_edge::logpush::catalogue::Dataset;
use logpush_edge::logpush::scope::ScopeKind;
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

fn event_of(dataset: &str, field_names: &[String], line: &str) -> String {
    let schema = Dataset::find(ScopeKind::Zone, dataset);
    let normaliser = Normaliser::compile(dataset, schema.as_ref(), field_names, false);
    let mut out = b"{".to_vec();
    normaliser.write(
        line.as_bytes(),
        &mut Scratch::default(),
        &mut Surprises::default(),
        &mut out,
    );
    out.push(b'}');
    String::from_utf8(out).unwrap()
}

/// A value of which no object has a name twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("JSON without a name that stands twice")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut elements = Vec::new();
                while let Some(Strict(element)) = seq.next_element()? {
                    elements.push(element);
                }
                Ok(elements.into())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut members = Map::new();
                while let Some((name, Strict(value))) = map.next_entry::<String, Strict>()? {
                    if members.insert(name.clone(), value).is_some() {
                        return Err(serde::de::Error::custom(format!("{name} stands twice")));
                    }
                }
                Ok(members.into())
            }
        }
        deserializer.deserialize_any(Any).map(Strict)
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value == ""
}

/// Whether nothing in it is empty.
fn is_clean(value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.iter().all(is_clean),
        Value::Object(members) => members.values().all(is_clean),
        value => !is_empty(value),
    }
}

/// Without what is empty.
fn cleaned(value: &Value) -> Value {
    match value {
        Value::Array(elements) => elements
            .iter()
            .filter(|e| !is_empty(e))
            .map(cleaned)
            .collect(),
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !is_empty(value));
            Value::Object(
                kept.map(|(name, value)| (name.clone(), cleaned(value)))
                    .collect(),
            )
        }
        value => value.clone(),
    }
}

fn at<'v>(value: &'v Value, way: &[Step]) -> Option<&'v Value> {
    let step = |value: &'v Value, step: &Step| match step {
        Step::Index(index) => value.as_array()?.get(*index),
        Step::Name(name) => value.as_object()?.get(name),
    };
    way.iter()
        .try_fold(value, step)
        .filter(|value| !is_empty(value))
}

/// What an output makes of a field, by its table; `Err(true)` says that there is nothing to be found, and that this is all
/// right, `Err(false)` that this output says nothing.
fn expected(output: &Output, field: &Value) -> Result<Value, bool> {
    let value = at(field, &output.at).ok_or(false)?;
    let text = match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) | Value::Null => None,
        scalar => Some(scalar.to_string()),
    };
    if let Some(written) = text.and_then(|text| output.map.get(&text.to_ascii_lowercase())) {
        return written.clone().map(Value::from).ok_or(true);
    }
    let raw = value.to_string();
    let mut out = Vec::new();
    match output.conversion.convert(raw.as_bytes(), &mut out) {
        Made::AsItIs => Ok(cleaned(value)),
        Made::Written => Ok(serde_json::from_slice(&out).unwrap()),
        Made::LeftOut => Err(true),
        Made::Nothing | Made::Stays | Made::Unfit => Err(false),
    }
}

/// Whether the event says what the field said: under `cloudflare.`, or at the places that the table has for it.
fn is_said(event: &Value, table: &Table, name: &str, value: &Value) -> Result<(), String> {
    let rest = event.get("cloudflare").and_then(|rest| rest.get(name));
    if let Some(rest) = rest {
        return if *rest == cleaned(value) {
            Ok(())
        } else {
            Err(format!("{name} is {rest}"))
        };
    }
    let known = table.fields.0.iter().find(|(field, _)| field == name);
    let outputs = known
        .map(|(_, field)| field.outputs.as_slice())
        .unwrap_or_default();
    let mut is_found = false;
    for output in outputs {
        match (expected(output, value), &output.to) {
            (Ok(wanted), Some(to)) => {
                let found = event.pointer(&format!("/{}", to.replace('.', "/")));
                if found != Some(&wanted) {
                    return Err(format!(
                        "{name} should be {wanted} at {to}, which is {found:?}"
                    ));
                }
                is_found = true;
            }
            (Err(true), _) => is_found = true,
            (Ok(_), None) | (Err(false), _) => {}
        }
    }
    if is_found {
        Ok(())
    } else {
        Err(format!("{name} is nowhere"))
    }
}

fn check(dataset: &str, record: &Map<String, Value>, wanted: impl Fn(&str) -> bool, text: &str) {
    let Strict(event) = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert!(is_clean(&event), "{text}");
    assert_eq!(event["event"]["dataset"], dataset);
    assert!(event["event"]["kind"].is_string());
    assert!(!text.contains('\n'));
    if let Some(time) = event.get("@timestamp") {
        let time = time.as_str().unwrap();
        let decimals = time.strip_suffix('Z').unwrap().split_once('.');
        assert!(
            time.len() == 20 || decimals.is_some_and(|(_, d)| d.len() == 6),
            "{time}"
        );
    }
    let (table, _) = Table::of(dataset);
    for (name, value) in record {
        if !wanted(name) {
            let rest = event.get("cloudflare").and_then(|rest| rest.get(name));
            assert_eq!(rest, None, "{name} is not wanted");
        } else if !is_empty(value) {
            let said = is_said(&event, &table, name, value);
            assert!(said.is_ok(), "{}: {text}", said.unwrap_err());
        }
    }
}

#[test]
fn the_oracle_notices_what_is_lost() {
    let (table, _) = Table::of("dns_logs");
    let event = serde_json::json!({"dns": {"question": {"name": "a"}}, "cloudflare": {"New": 1}});
    let said = |name: &str, value: Value| is_said(&event, &table, name, &value).is_ok();
    assert!(
        said("QueryName", "a.".into()) && said("New", 1.into()) && said("QueryType", 64_000.into())
    );
    assert!(!said("QueryName", "b.".into()) && !said("New", 2.into()) && !said("Other", 1.into()));
    assert!(!said("QueryType", 1.into()) && !said("SourceIP", "x".into()));
    assert!(serde_json::from_str::<Strict>(r#"{"a":{"b":1,"b":1}}"#).is_err());
    assert!(!is_clean(&serde_json::json!([{"a": [""]}])));
    assert_eq!(As::default(), As::Text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn an_event_parses_has_nothing_empty_and_says_all_that_the_record_said((dataset, record) in record()) {
        let line = Value::Object(record.clone()).to_string();
        check(&dataset, &record, |_| true, &event_of(&dataset, &[], &line));
    }

    #[test]
    fn field_names_leave_the_other_fields_out((dataset, record) in record(), nth in any::<prop::sample::Index>()) {
        prop_assume!(!record.is_empty());
        let kept = nth.index(record.len()) + 1;
        let names: Vec<String> = record.keys().take(kept).cloned().collect();
        let line = Value::Object(record.clone()).to_string();
        let text = event_of(&dataset, &names, &line);
        check(&dataset, &record, |name| names.iter().any(|known| known == name), &text);
    }
}
