//! What a shape writes says what the record said, read back by readers that share no code with it: `serde_json`, a naive
//! reader of CSV, and the naive instants of the filter tests.

mod naive;

use logpush_edge::batch::projection::Projection;
use logpush_edge::batch::scan::scan;
use logpush_edge::logpush::catalogue::{Dataset, FieldType};
use logpush_edge::logpush::output_options::OutputOptions;
use logpush_edge::route::Shape;
use naive::cases::{Case, DATASETS, case};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

const FORMATS: [&str; 5] = ["unixnano", "unix", "rfc3339", "rfc3339ms", "rfc3339ns"];

/// A field that no record has.
const MISSING: &str = "NoSuchField";

fn shaped(options: &Value, schema: Option<&Dataset>, line: &str) -> String {
    let options = OutputOptions::from_json(options).unwrap();
    let mut projection = Projection::new();
    let shape = Shape::compile(&options, schema, &mut projection).unwrap();
    let mut fields = vec![None; projection.names().len()];
    scan(line.as_bytes(), &projection, &mut fields).unwrap();
    let mut out = Vec::new();
    shape.write(line.as_bytes(), &fields, &mut out);
    String::from_utf8(out).unwrap()
}

fn record(line: &str) -> Map<String, Value> {
    serde_json::from_str(line).unwrap()
}

/// The names of a record's fields, and one that it has not got.
fn names(line: &str) -> Vec<String> {
    let names = record(line).into_iter().map(|(name, _)| name);
    names.rev().chain([MISSING.to_owned()]).collect()
}

fn schema_of(case: &Case, is_open: bool) -> Option<&'static Dataset> {
    (!is_open).then_some(&DATASETS[case.dataset])
}

/// A line of CSV, each value with whether it was in quotes.
fn read_csv(line: &str, delimiter: char) -> Vec<(bool, String)> {
    let mut values = vec![(false, String::new())];
    let mut chars = line.strip_suffix('\n').unwrap().chars().peekable();
    let mut is_inside = false;
    while let Some(c) = chars.next() {
        let (was_quoted, value) = values.last_mut().unwrap();
        match c {
            '"' if is_inside && chars.peek() == Some(&'"') => {
                chars.next();
                value.push('"');
            }
            '"' => {
                is_inside = !is_inside;
                *was_quoted = true;
            }
            c if c == delimiter && !is_inside => values.push((false, String::new())),
            c => value.push(c),
        }
    }
    values
}

fn csv_says(said: &(bool, String), value: &Value) -> bool {
    let json = || serde_json::from_str::<Value>(&said.1).ok();
    match value {
        Value::Null => *said == (false, String::new()),
        Value::String(text) => *said == (true, text.clone()),
        Value::Array(_) | Value::Object(_) => said.0 && json().as_ref() == Some(value),
        Value::Bool(_) | Value::Number(_) => !said.0 && json().as_ref() == Some(value),
    }
}

/// What a time is written as, or `None` when the value says no time.
fn expected_time(value: &Value, format: &str) -> Option<Value> {
    let year_1 = -62_135_596_800_000_000_000;
    let nanos = naive::instant(value).filter(|nanos| *nanos != 0 && *nanos != year_1)?;
    let cut = |unit: i128| {
        let at = jiff::Timestamp::from_nanosecond(nanos.div_euclid(unit) * unit);
        at.unwrap()
    };
    Some(match format {
        "unixnano" => serde_json::from_str(&nanos.to_string()).unwrap(),
        "unix" => json!(i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap()),
        "rfc3339" => json!(cut(1_000_000_000).to_string()),
        "rfc3339ms" => json!(format!("{:.3}", cut(1_000_000))),
        _ => json!(cut(1).to_string()),
    })
}

fn is_time(name: &str, schema: &Dataset) -> bool {
    let field = schema.fields.get(name);
    field.is_some_and(|field| field.field_type == FieldType::Timestamp)
}

const SPELLINGS: [&str; 12] = [
    "$", "{", "\\u0024", "\\u007b", "\\u007B", "\\\\", "u0024", "x", "\\\"", "$ ", "\\u0020", "é",
];

/// Text in which `${` is frequent in every spelling that JSON has for it.
fn spelt() -> impl Strategy<Value = String> {
    vec(select(&SPELLINGS[..]), 0..8).prop_map(|parts| parts.concat())
}

fn without_cve(value: Value) -> Value {
    let clean = |text: String| text.replace("${", "x{");
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(list) => list.into_iter().map(without_cve).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| (clean(key), without_cve(value)))
            .collect(),
        other => other,
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(1_000)
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn ndjson_says_what_the_record_said(case in case(false, 0), is_open in any::<bool>()) {
        let schema = schema_of(&case, is_open);
        let names = names(&case.line);
        let written = shaped(&json!({"field_names": names}), schema, &case.line);
        let mut expected = record(&case.line);
        let (first, last) = (format!("{{\"{}\":", names[0]), format!(",\"{MISSING}\":null}}\n"));
        prop_assert!(written.starts_with(&first) && written.ends_with(&last), "{}", written);
        expected.insert(MISSING.to_owned(), Value::Null);
        prop_assert_eq!(record(&written), expected);
    }

    #[test]
    fn all_fields_keep_their_bytes(case in case(false, 0), prefix in "[<{(]{0,2}", suffix in "[>})\\n]{0,2}") {
        let options = json!({"record_prefix": &prefix, "record_suffix": &suffix, "record_delimiter": "|"});
        let inside = &case.line[1..case.line.len() - 1];
        prop_assert_eq!(shaped(&options, None, &case.line), format!("|{prefix}{inside}{suffix}"));
    }

    #[test]
    fn csv_says_what_the_record_said(
        case in case(false, 0), is_open in any::<bool>(), delimiter in select(&[",", ";", "\t"][..]), is_all in any::<bool>(),
    ) {
        let schema = schema_of(&case, is_open);
        let names = names(&case.line);
        let mut options = json!({"output_type": "csv", "field_delimiter": delimiter});
        if !is_all {
            options["field_names"] = json!(names);
        }
        let written = shaped(&options, schema, &case.line);
        let values = read_csv(&written, delimiter.chars().next().unwrap());
        let record = record(&case.line);
        if is_all {
            // In the order of the line, which the parsed record has lost.
            prop_assert_eq!(values.len(), record.len());
            let is_said = |value| values.iter().any(|said| csv_says(said, value));
            prop_assert!(record.values().all(is_said), "{written}");
        } else {
            prop_assert_eq!(values.len(), names.len());
            for (name, said) in names.iter().zip(&values) {
                prop_assert!(csv_says(said, record.get(name).unwrap_or(&Value::Null)), "{name} {said:?}");
            }
        }
    }

    #[test]
    fn a_template_says_what_the_record_said(case in case(false, 0), is_open in any::<bool>(), is_named in any::<bool>()) {
        let schema = schema_of(&case, is_open);
        let names = names(&case.line);
        let fields: Vec<String> = names.iter().map(|name| format!("{{{{ .{name} }}}}")).collect();
        let template = format!("{{{{/* a list */}}}}[{}]", fields.join(",{{ \" \" }}"));
        let mut options = json!({"record_template": template, "record_prefix": "", "record_suffix": "\n"});
        if is_named {
            options["field_names"] = json!(names[1..]);
        }
        let written: Vec<Value> = serde_json::from_str(&shaped(&options, schema, &case.line)).unwrap();
        let mut record = record(&case.line);
        if is_named {
            record.remove(&names[0]);
        }
        let expected: Vec<Value> = names.iter().map(|name| record.remove(name).unwrap_or_default()).collect();
        prop_assert_eq!(written, expected);
    }

    #[test]
    fn times_are_exact_in_every_format_and_nothing_else_moves(
        case in case(false, 0), format in select(&FORMATS[..]), is_chosen in any::<bool>(),
    ) {
        let schema = &DATASETS[case.dataset];
        let mut options = json!({"timestamp_format": format});
        if is_chosen {
            options["field_names"] = json!(names(&case.line));
        }
        let written = shaped(&options, Some(schema), &case.line);
        let mut expected = record(&case.line);
        for (name, value) in &mut expected {
            if is_time(name, schema) && let Some(time) = expected_time(value, format) {
                *value = time;
            }
        }
        if is_chosen {
            expected.insert(MISSING.to_owned(), Value::Null);
        }
        prop_assert_eq!(record(&written), expected);

        // By way of the format that loses nothing.
        let exact = json!({"timestamp_format": "rfc3339ns"});
        let exact = shaped(&exact, Some(schema), &case.line);
        prop_assert_eq!(shaped(&options, Some(schema), exact.trim_end()), written);
    }

    #[test]
    fn an_object_is_a_string_of_its_json(case in case(false, 0), inner in spelt()) {
        let line = format!("{},\"O\":{{\"{inner}\": [\"{inner}\", {{}} ]}}}}", &case.line[..case.line.len() - 1]);
        let written = record(&shaped(&json!({"stringify_object": true}), None, &line));
        for (name, value) in record(&line) {
            match value {
                Value::Object(_) => {
                    let text = written[&name].as_str().unwrap();
                    prop_assert_eq!(serde_json::from_str::<Value>(text).unwrap(), value);
                }
                value => prop_assert_eq!(&written[&name], &value),
            }
        }
    }

    #[test]
    fn no_dollar_stands_before_a_brace(texts in vec(spelt(), 5), stringifies in any::<bool>()) {
        let [a, b, c, d, e] = &texts[..] else { panic!("five") };
        let line = format!(r#"{{"K{a}":"{b}" ,"L": [ "{c}" ],"O":{{"{d}":"{e}"}}}}"#);
        let expected = without_cve(serde_json::from_str(&line).unwrap());
        let options = json!({"CVE-2021-44228": true, "stringify_object": stringifies});
        let mut written: Value = serde_json::from_str(&shaped(&options, None, &line)).unwrap();
        if stringifies {
            written["O"] = serde_json::from_str(written["O"].as_str().unwrap()).unwrap();
        }
        prop_assert_eq!(&written, &expected);
        let options = json!({"CVE-2021-44228": true, "output_type": "csv"});
        let line = shaped(&options, None, &line);
        let values = read_csv(&line, ',');
        prop_assert_eq!(values.len(), 3);
        prop_assert_eq!(line.find("${"), None);
        let object: Value = serde_json::from_str(&values[2].1).unwrap();
        prop_assert_eq!(&object, &expected["O"]);
    }
}
