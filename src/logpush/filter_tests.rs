use super::*;
use crate::logpush::catalogue;
use crate::logpush::scope::ScopeKind;
use std::collections::BTreeMap;

fn dataset(name: &str) -> Dataset {
    Dataset::find(ScopeKind::Zone, name).unwrap()
}

/// A dataset with one field of each type, named like the type.
fn every_type() -> Dataset {
    let fields: Map<String, Value> = TABLE
        .iter()
        .map(|(word, ..)| ((*word).to_owned(), json!({"type": word})))
        .collect();
    serde_json::from_value(json!({"dataset": "every_type", "fields": fields})).unwrap()
}

fn condition(key: &str, operator: &str, value: Value) -> String {
    json!({"where": {"key": key, "operator": operator, "value": value}}).to_string()
}

fn refusal(text: &str, dataset: Option<&Dataset>) -> String {
    Filter::parse(text, dataset)
        .map(|filter| filter.canonical())
        .unwrap_err()
        .to_string()
}

const WORDS: [&str; 14] = [
    "eq",
    "!eq",
    "lt",
    "leq",
    "gt",
    "geq",
    "startsWith",
    "!startsWith",
    "endsWith",
    "!endsWith",
    "contains",
    "!contains",
    "in",
    "!in",
];

const ORDERED: &str = "eq !eq lt leq gt geq in !in";

/// Logpush's table: a type, the operators that apply to it, a value that it takes.
const TABLE: [(&str, &str, &str); 9] = [
    (
        "string",
        "eq !eq startsWith !startsWith endsWith !endsWith contains !contains in !in",
        r#""a""#,
    ),
    ("int", ORDERED, "7"),
    ("float", ORDERED, "0.5"),
    ("int or string", ORDERED, r#""2026-01-02T03:04:05Z""#),
    ("bool", "eq !eq", "true"),
    ("array[string]", "contains !contains", r#""a""#),
    ("array[int]", "contains !contains", "7"),
    ("array[object]", "", r#""a""#),
    ("object", "", r#""a""#),
];

#[test]
fn every_field_of_every_dataset_takes_exactly_the_operators_of_its_type() {
    let table: BTreeMap<&str, (Vec<&str>, Value)> = TABLE
        .iter()
        .map(|(word, operators, value)| {
            let value = serde_json::from_str(value).unwrap();
            (*word, (operators.split_whitespace().collect(), value))
        })
        .collect();
    let mut count = 0;
    for scope in [ScopeKind::Zone, ScopeKind::Account] {
        for name in catalogue::names() {
            let dataset = Dataset::find(scope, name).unwrap();
            for (key, field) in &dataset.fields {
                let (operators, value) = &table[field.field_type.as_str()];
                for word in WORDS {
                    let value = if word.ends_with("in") {
                        json!([value, value])
                    } else {
                        value.clone()
                    };
                    let text = condition(key, word, value);
                    let read = Filter::parse(&text, Some(&dataset));
                    assert_eq!(read.is_ok(), operators.contains(&word), "{name} {text}");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 20_000, "{count}");
}

#[test]
fn the_documented_examples_are_read() {
    let block = r#"{"where":{"key":"Action","operator":"eq","value":"block"}}"#;
    for (name, text) in [
        // The announcement of filters: status codes of 400 and more, what was blocked, a checkout page with a bot score.
        (
            "http_requests",
            r#"{"where":{"key":"EdgeResponseStatus","operator":"geq","value":400}}"#,
        ),
        ("firewall_events", block),
        (
            "http_requests",
            r#"{"where":{"and":[{"key":"ClientRequestPath","operator":"contains","value":"/checkout"},{"key":"BotScore","operator":"gt","value":"0"}]}}"#,
        ),
        // The documentation.
        (
            "workers_trace_events",
            r#"{"where":{"key":"Outcome","operator":"!eq","value":"exception"}}"#,
        ),
        (
            "http_requests",
            r#"{"where":{"key":"BotScore","operator":"lt","value":"30"}}"#,
        ),
        (
            "http_requests",
            r#"{"where":{"key":"EdgeResponseStatus","operator":"in","value":[200,201]}}"#,
        ),
        (
            "http_requests",
            r#"{"where":{"and":[{"key":"ClientRequestPath","operator":"contains","value":"/static"},{"key":"ClientRequestHost","operator":"eq","value":"example.com"}]}}"#,
        ),
        (
            "http_requests",
            r#"{"where":{"and":[{"key":"ClientCountry","operator":"!eq","value":"ca"},{"or":[{"key":"ClientRequestHost","operator":"endsWith","value":".com"},{"key":"EdgeResponseStatus","operator":"!in","value":["200","201"]}]}]}}"#,
        ),
    ] {
        let dataset = dataset(name);
        let filter = Filter::parse(text, Some(&dataset)).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&filter.canonical()).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }
}

#[test]
fn fields_that_logpush_can_not_filter_on_but_that_are_plain_can_be() {
    let dataset = dataset("firewall_events");
    for key in [
        "Action",
        "Description",
        "Kind",
        "OriginatorRayID",
        "RuleID",
        "Source",
    ] {
        assert!(Filter::parse(&condition(key, "eq", json!("x")), Some(&dataset)).is_ok());
    }
    assert!(Filter::parse(&condition("MatchIndex", "eq", json!(0)), Some(&dataset)).is_ok());
    assert!(Filter::parse(&condition("Metadata", "eq", json!("x")), Some(&dataset)).is_err());
}

#[test]
fn an_empty_string_is_no_filter() {
    for text in ["", " ", "\n\t "] {
        assert_eq!(Filter::parse_optional(text, None), Ok(None));
    }
    assert!(Filter::parse_optional("{}", None).is_err());
    let text = condition("a", "eq", json!(1));
    assert_eq!(
        Filter::parse_optional(&text, None),
        Filter::parse(&text, None).map(Some)
    );
}

#[test]
fn a_tree_is_refused_with_the_place_and_the_fault() {
    let a_value = r#""value":"a"}"#;
    for (text, expected) in [
        (
            "{",
            "filter: where: not JSON: EOF while parsing an object at line 1 column 1",
        ),
        (
            "null",
            "filter: where: must be an object with the one member `where`",
        ),
        (
            "{}",
            "filter: where: must be an object with the one member `where`",
        ),
        (
            r#"{"where":{"key":"a","operator":"eq","value":"a"},"more":1}"#,
            "filter: where: must be an object with the one member `where`",
        ),
        (
            r#"{"and":[]}"#,
            "filter: where: must be an object with the one member `where`",
        ),
        (
            r#"{"where":[]}"#,
            "filter: where: must be an object: `and`, `or`, or a condition",
        ),
        (r#"{"where":{}}"#, "filter: where: `key` is missing"),
        (
            r#"{"where":{"and":[]}}"#,
            "filter: where.and: must be a list with at least one node",
        ),
        (
            r#"{"where":{"or":[]}}"#,
            "filter: where.or: must be a list with at least one node",
        ),
        (
            r#"{"where":{"or":{}}}"#,
            "filter: where.or: must be a list with at least one node",
        ),
        (
            r#"{"where":{"and":[1]}}"#,
            "filter: where.and[0]: must be an object: `and`, `or`, or a condition",
        ),
        (
            r#"{"where":{"and":[{"key":"a","operator":"eq","value":1}],"or":[]}}"#,
            "filter: where: `and` can not stand beside `or`",
        ),
        (
            r#"{"where":{"or":[],"key":"a"}}"#,
            "filter: where: `or` can not stand beside `key`",
        ),
        (
            r#"{"where":{"and":[],"value":1}}"#,
            "filter: where: `and` can not stand beside `value`",
        ),
        (
            &format!(r#"{{"where":{{"key":"a",{a_value}}}"#),
            "filter: where: `operator` is missing",
        ),
        (
            &format!(r#"{{"where":{{"operator":"eq",{a_value}}}"#),
            "filter: where: `key` is missing",
        ),
        (
            r#"{"where":{"and":[{"key":"a","operator":"eq","value":1},{"or":[{"key":"a","operator":"eq"}]}]}}"#,
            "filter: where.and[1].or[0]: `value` is missing",
        ),
        (
            r#"{"where":{"key":"a","operator":"eq","value":1,"not":true}}"#,
            "filter: where: unknown member `not`",
        ),
        (
            r#"{"where":{"key":1,"operator":"eq","value":1}}"#,
            "filter: where: `key` and `operator` must be strings",
        ),
        (
            r#"{"where":{"key":"a","operator":"equals","value":1}}"#,
            "filter: where: unknown operator `equals`; there are eq, lt, leq, gt, geq, startsWith, endsWith, contains, in",
        ),
    ] {
        assert_eq!(refusal(text, None), expected, "{text}");
    }
    for word in [
        "",
        "!",
        "!!eq",
        "! eq",
        "!neq",
        "EQ",
        "eq ",
        "startswith",
        "In!",
        "!lt!",
        "==",
    ] {
        let text = refusal(&condition("a", word, json!(1)), None);
        assert!(
            text.contains(&format!("unknown operator `{word}`")),
            "{text}"
        );
    }
}

#[test]
fn a_condition_is_refused_with_what_the_field_takes() {
    let http = dataset("http_requests");
    let a_number = "the value must be a number, or a string that holds one";
    let a_time = "the value must be a time: RFC 3339, or unix seconds, milliseconds or nanoseconds";
    for (key, word, value, expected) in [
        (
            "edgeresponsestatus",
            "eq",
            json!(1),
            "http_requests has no field `edgeresponsestatus`; did you mean `EdgeResponseStatus`?",
        ),
        (
            "Zzzzzzzzzz",
            "eq",
            json!(1),
            "http_requests has no field `Zzzzzzzzzz`",
        ),
        (
            "ClientCountry",
            "lt",
            json!("b"),
            "`lt` does not apply to `ClientCountry`, which is of type string; use eq, startsWith, endsWith, contains, in",
        ),
        (
            "EdgeResponseStatus",
            "!contains",
            json!("20"),
            "`contains` does not apply to `EdgeResponseStatus`, which is of type int; use eq, lt, leq, gt, geq, in",
        ),
        (
            "EdgeStartTimestamp",
            "startsWith",
            json!("2026"),
            "`startsWith` does not apply to `EdgeStartTimestamp`, which is of type int or string; use eq, lt, leq, gt, geq, in",
        ),
        (
            "ClientMTLSAuthCertFingerprint",
            "geq",
            json!("b"),
            "`geq` does not apply to `ClientMTLSAuthCertFingerprint`, which is of type string; use eq, startsWith, endsWith, contains, in",
        ),
        (
            "Cookies",
            "contains",
            json!("a"),
            "`contains` does not apply to `Cookies`, which is of type object; no operator does",
        ),
        (
            "BotTags",
            "eq",
            json!("a"),
            "`eq` does not apply to `BotTags`, which is of type array[string]; use contains",
        ),
        (
            "EdgeResponseStatus",
            "!gt",
            json!(1),
            "`gt` has no negation; use its opposite",
        ),
        (
            "ClientCountry",
            "in",
            json!([]),
            "`in` takes a list with at least one value",
        ),
        (
            "EdgeResponseStatus",
            "in",
            json!(200),
            "`in` takes a list with at least one value",
        ),
        (
            "EdgeResponseStatus",
            "in",
            json!([200, "x"]),
            &format!("`EdgeResponseStatus` is of type int: {a_number}"),
        ),
        (
            "EdgeResponseStatus",
            "eq",
            json!([200]),
            &format!("`EdgeResponseStatus` is of type int: {a_number}"),
        ),
        (
            "EdgeResponseStatus",
            "eq",
            json!(true),
            &format!("`EdgeResponseStatus` is of type int: {a_number}"),
        ),
        (
            "EdgeResponseStatus",
            "eq",
            json!("2xx"),
            &format!("`EdgeResponseStatus` is of type int: {a_number}"),
        ),
        (
            "ClientCountry",
            "eq",
            json!(null),
            "`ClientCountry` is of type string: the value must be a string",
        ),
        (
            "ClientCountry",
            "eq",
            json!(false),
            "`ClientCountry` is of type string: the value must be a string",
        ),
        (
            "BotTags",
            "contains",
            json!(["a"]),
            "`BotTags` is of type array[string]: the value must be a string",
        ),
        (
            "EdgeStartTimestamp",
            "gt",
            json!("yesterday"),
            &format!("`EdgeStartTimestamp` is of type int or string: {a_time}"),
        ),
    ] {
        assert_eq!(
            refusal(&condition(key, word, value), Some(&http)),
            format!("filter: where: {expected}")
        );
    }
    let types = every_type();
    for (key, word, value, expected) in [
        (
            "bool",
            "eq",
            json!(1),
            "`bool` is of type bool: the value must be true or false",
        ),
        (
            "bool",
            "eq",
            json!("yes"),
            "`bool` is of type bool: the value must be true or false",
        ),
        (
            "bool",
            "in",
            json!([true]),
            "`in` does not apply to `bool`, which is of type bool; use eq",
        ),
        (
            "array[int]",
            "contains",
            json!("a"),
            &format!("`array[int]` is of type array[int]: {a_number}"),
        ),
    ] {
        assert_eq!(
            refusal(&condition(key, word, value), Some(&types)),
            format!("filter: where: {expected}")
        );
    }
}

#[test]
fn a_field_of_unknown_type_takes_what_some_type_could_take() {
    for (word, value, is_taken) in [
        ("eq", json!("a"), true),
        ("eq", json!(1), true),
        ("eq", json!(true), true),
        ("eq", json!(null), false),
        ("eq", json!([1]), false),
        ("in", json!([1, "a", false]), true),
        ("in", json!([1, null]), false),
        ("lt", json!("30"), true),
        ("lt", json!("2026-01-02T03:04:05Z"), true),
        ("lt", json!("thirty"), false),
        ("lt", json!(true), false),
        ("contains", json!("a"), true),
        ("contains", json!(7), true),
        ("contains", json!(true), false),
        ("startsWith", json!(["a"]), false),
    ] {
        let text = condition("Anything", word, value);
        assert_eq!(Filter::parse(&text, None).is_ok(), is_taken, "{text}");
    }
    let expected = [
        ("eq", "`eq` takes a string, a number, true or false"),
        ("lt", "`lt` takes a number or a time in RFC 3339"),
        ("endsWith", "`endsWith` takes a string"),
    ];
    for (word, text) in expected {
        assert_eq!(
            refusal(&condition("a", word, json!({})), None),
            format!("filter: where: {text}")
        );
    }
}

#[test]
fn values_are_read_by_the_type_of_the_field() {
    let types = every_type();
    let nanos = 1_657_233_726_004_000_000_i64;
    let number = |text: &str| Number::parse(text.as_bytes()).unwrap();
    let numbers = |text: &str| Operand::Number(vec![number(text)]);
    for (key, word, value, operand) in [
        (
            "string",
            "eq",
            json!("Aé"),
            Operand::Text(vec!["Aé".into()]),
        ),
        (
            "string",
            "eq",
            json!(200),
            Operand::Text(vec!["200".into()]),
        ),
        (
            "string",
            "eq",
            json!(""),
            Operand::Text(vec![String::new()]),
        ),
        ("int", "lt", json!("30"), numbers("30")),
        ("int", "lt", json!(" -30 "), numbers("-30")),
        (
            "int",
            "eq",
            json!(9_007_199_254_740_993_u64),
            numbers("9007199254740993"),
        ),
        (
            "int",
            "eq",
            json!("18446744073709551616"),
            numbers("18446744073709551616"),
        ),
        ("int", "gt", json!(29.5), numbers("29.5")),
        ("float", "leq", json!("0.25"), numbers("0.25")),
        // One of the decimals that serde_json reads one step off unless told otherwise.
        (
            "float",
            "eq",
            serde_json::from_str("42.215889504792884").unwrap(),
            numbers("42.215889504792884"),
        ),
        ("bool", "eq", json!("false"), Operand::Bool(false)),
        (
            "array[string]",
            "contains",
            json!(7),
            Operand::TextElement("7".into()),
        ),
        (
            "array[int]",
            "contains",
            json!("7"),
            Operand::NumberElement(number("7")),
        ),
        (
            "int or string",
            "in",
            json!([
                nanos,
                nanos / 1_000,
                nanos / 1_000_000,
                1_657_233_726.004,
                "1657233726004",
                "2022-07-07T22:42:06.004Z",
                "2022-07-08T00:42:06.004+02:00"
            ]),
            Operand::Time(vec![i128::from(nanos); 7]),
        ),
        // Where there is no time Logpush writes 0, so a filter may ask for it.
        ("int or string", "gt", json!(0), Operand::Time(vec![0])),
    ] {
        let text = condition(key, word, value);
        let Node::Condition(condition) = Filter::parse(&text, Some(&types)).unwrap().root else {
            panic!("{text}");
        };
        assert_eq!(condition.operand, operand, "{text}");
    }
}

#[test]
fn other_spellings_are_written_back_in_logpushs_own() {
    let http = dataset("http_requests");
    let canonical = |text: &str| Filter::parse(text, Some(&http)).unwrap().canonical();
    for (key, alias, value, word, list) in [
        ("ClientCountry", "neq", json!("ca"), "!eq", json!("ca")),
        ("ClientCountry", "Neq", json!("ca"), "!eq", json!("ca")),
        ("ClientCountry", "Eq", json!("ca"), "eq", json!("ca")),
        ("ClientCountry", "!Eq", json!("ca"), "!eq", json!("ca")),
        (
            "ClientCountry",
            "StartsWith",
            json!("c"),
            "startsWith",
            json!("c"),
        ),
        ("EdgeResponseStatus", "In", json!([200]), "in", json!([200])),
        (
            "EdgeResponseStatus",
            "in",
            json!("200, 201"),
            "in",
            json!(["200", "201"]),
        ),
        (
            "ClientCountry",
            "!In",
            json!("ca,us"),
            "!in",
            json!(["ca", "us"]),
        ),
    ] {
        assert_eq!(
            canonical(&condition(key, alias, value)),
            condition(key, word, list)
        );
    }
    // Instant Logs wraps inner nodes.
    let leaf = r#"{"key":"ClientCountry","operator":"eq","value":"ca"}"#;
    let wrapped =
        format!(r#"{{"where":{{"and":[{{"where":{leaf}}},{{"where":{{"or":[{leaf}]}}}}]}}}}"#);
    let plain = format!(r#"{{"where":{{"and":[{leaf},{{"or":[{leaf}]}}]}}}}"#);
    assert_eq!(canonical(&wrapped), plain);
    assert_eq!(
        Filter::parse(&wrapped, Some(&http)),
        Filter::parse(&plain, Some(&http))
    );
}

#[test]
fn the_canonical_form_means_the_same_and_is_its_own() {
    let types = every_type();
    for (key, operators, value) in TABLE {
        let value: Value = serde_json::from_str(value).unwrap();
        for word in operators.split_whitespace() {
            let value = if word.ends_with("in") {
                json!([value, value])
            } else {
                value.clone()
            };
            let text = condition(key, word, value);
            let filter = Filter::parse(&text, Some(&types)).unwrap();
            let again = Filter::parse(&filter.canonical(), Some(&types)).unwrap();
            assert_eq!(again, filter);
            assert_eq!(again.canonical(), filter.canonical());
            // A job's field may leave the catalogue, and then the filter is read with an open schema.
            assert!(Filter::parse(&text, None).is_ok(), "{text}");
        }
    }
}

#[test]
fn a_filter_has_its_limits() {
    let pad = |bytes: usize| {
        let text = condition("a", "eq", json!(""));
        let at = text.find(r#""value":""#).unwrap() + r#""value":""#.len();
        format!(
            "{}{}{}",
            &text[..at],
            "x".repeat(bytes - text.len()),
            &text[at..]
        )
    };
    assert!(Filter::parse(&pad(FILTER_MAX_BYTES), None).is_ok());
    assert_eq!(
        refusal(&pad(FILTER_MAX_BYTES + 1), None),
        "filter: where: longer than 32768 bytes; use `in` for lists of values, or split the job"
    );

    // As many conditions as fit.
    let leaf = condition("", "eq", json!(1))
        .replace(r#"{"where":"#, "")
        .replace("}}", "}");
    let list = vec![leaf.as_str(); (FILTER_MAX_BYTES - 20) / (leaf.len() + 1)];
    assert!((850..900).contains(&list.len()), "{}", list.len());
    let wide = format!(r#"{{"where":{{"and":[{}]}}}}"#, list.join(","));
    assert!(Filter::parse(&wide, None).is_ok());

    let deep = |levels: usize| {
        let leaf = r#"{"key":"a","operator":"eq","value":1}"#;
        let (open, close) = (r#"{"or":["#.repeat(levels), "]}".repeat(levels));
        format!(r#"{{"where":{open}{leaf}{close}}}"#)
    };
    assert!(Filter::parse(&deep(FILTER_MAX_DEPTH), None).is_ok());
    let text = refusal(&deep(FILTER_MAX_DEPTH + 1), None);
    assert!(
        text.ends_with(": nested deeper than 32 levels; an `and` in an `and` can be one"),
        "{text}"
    );
    assert!(refusal(&deep(1_000), None).contains("not JSON: recursion limit exceeded"));
}
