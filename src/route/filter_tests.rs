use super::*;
use crate::batch::scan::scan;
use crate::logpush::catalogue::Dataset;
use serde_json::{Value, json};

/// One field of each type.
fn schema() -> Dataset {
    serde_json::from_value(json!({"dataset": "test", "scope": "zone", "fields": {
        "String": {"type": "string"}, "Int": {"type": "int"}, "Float": {"type": "float"}, "Bool": {"type": "bool"},
        "Strings": {"type": "array[string]"}, "Ints": {"type": "array[int]"}, "Time": {"type": "int or string"},
    }}))
    .unwrap()
}

/// Whether `filter` selects the record, by the way that a batch takes.
fn selects(filter: &str, dataset: Option<&Dataset>, line: &str) -> bool {
    let filter = Filter::parse(filter, dataset).unwrap();
    let mut projection = Projection::new();
    projection.slot("Somebody else's field");
    let compiled = CompiledFilter::compile(&filter, &mut projection);
    let mut fields = vec![None; projection.names().len()];
    scan(line.as_bytes(), &projection, &mut fields).unwrap();
    compiled.matches(&fields)
}

fn condition(key: &str, operator: &str, value: &Value) -> String {
    json!({"where": {"key": key, "operator": operator, "value": value}}).to_string()
}

/// Checks `key operator value` for raw values of a record; the negated operator has to say exactly the opposite.
fn check(
    dataset: Option<&Dataset>,
    key: &str,
    operator: &str,
    value: Value,
    rows: &[(&str, bool)],
) {
    for (raw, expected) in rows {
        let line = format!(r#"{{"Before":[1,"]"],"{key}":{raw},"After":{{"{key}":null}}}}"#);
        let text = condition(key, operator, &value);
        assert_eq!(selects(&text, dataset, &line), *expected, "{text} {line}");
        if !matches!(operator, "lt" | "leq" | "gt" | "geq") {
            let text = condition(key, &format!("!{operator}"), &value);
            assert_eq!(selects(&text, dataset, &line), !*expected, "{text} {line}");
        }
    }
}

fn check_typed(key: &str, operator: &str, value: Value, rows: &[(&str, bool)]) {
    check(Some(&schema()), key, operator, value, rows);
}

fn check_open(operator: &str, value: Value, rows: &[(&str, bool)]) {
    check(None, "Anything", operator, value, rows);
}

#[test]
#[rustfmt::skip] // One line a case.
fn a_string_is_compared_byte_by_byte() {
    let rows = [(r#""ca""#, true), (r#""CA""#, false), (r#""ca ""#, false), (r#""c""#, false), (r#""""#, false)];
    check_typed("String", "eq", json!("ca"), &rows);
    check_typed("String", "eq", json!(""), &[(r#""""#, true), (r#"" ""#, false), ("null", false)]);
    check_typed("String", "in", json!(["ca", "us"]), &rows);
    check_typed("String", "in", json!(["us", "de"]), &[(r#""ca""#, false), (r#""de""#, true), (r#""us""#, true)]);
    check_typed("String", "in", json!("us,de"), &[(r#""us,de""#, false), (r#""de""#, true)]);
    let path = [(r#""/login/x""#, true), (r#""/login""#, true), (r#""/Login""#, false), (r#""a/login""#, false)];
    check_typed("String", "startsWith", json!("/login"), &path);
    let host = [(r#""a.example.com""#, true), (r#""example.com""#, false), (r#""a.example.com.""#, false)];
    check_typed("String", "endsWith", json!(".example.com"), &host);
    let inside = [(r#""x/static/y""#, true), (r#""/static""#, true), (r#""/stati""#, false), (r#""""#, false)];
    check_typed("String", "contains", json!("/static"), &inside);
    for operator in ["startsWith", "endsWith", "contains"] {
        check_typed("String", operator, json!(""), &[(r#""""#, true), (r#""a""#, true), ("1", false)]);
    }
    // Not of the field's type: like missing.
    let others = [("200", false), ("true", false), ("[\"200\"]", false), ("{}", false), (r#""200""#, true)];
    check_typed("String", "eq", json!(200), &others);
}

#[test]
fn an_escape_is_the_character_that_it_stands_for() {
    for (operator, value) in [
        ("eq", "/?a=1&b=<2>"),
        ("startsWith", "/?a=1&"),
        ("endsWith", "<2>"),
        ("contains", "&b=<"),
    ] {
        let rows = [
            (r#""/?a=1\u0026b=\u003c2\u003e""#, true),
            (r#""/?a=1&b=<2>""#, true),
            (r#""\/?a\u003D1&b=\u003C2>""#, true),
            (r#""/?a=1\\u0026b=\\u003c2\\u003e""#, false),
        ];
        check_typed("String", operator, json!(value), &rows);
        check_open(operator, json!(value), &rows);
    }
    let all = "\"\\/\u{8}\u{c}\n\r\té€😀";
    let rows = [
        (r#""\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83d\uDE00""#, true),
        (
            r#""\u0022\u005c\u002f\u0008\u000c\u000a\u000d\u0009é€😀""#,
            true,
        ),
        (r#""\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83d\uDE01""#, false),
    ];
    check_typed("String", "eq", json!(all), &rows);
    check_typed(
        "String",
        "contains",
        json!("\\"),
        &[(r#""\\""#, true), (r#""\"""#, false), (r#""\u005C""#, true)],
    );
    check_typed(
        "String",
        "endsWith",
        json!("😀"),
        &[(r#""x\ud83d\ude00""#, true), (r#""x\ud83d""#, false)],
    );
    // Half of a pair is no character; like Go and JavaScript's decoders, it reads as U+FFFD.
    let halves = [
        (r#""\ud83d""#, true),
        (r#""\ude00""#, true),
        (r#""\ud83d\ud83d""#, false),
        (r#""\ud83d\ude00""#, false),
    ];
    check_typed("String", "eq", json!("\u{fffd}"), &halves);
    check_typed(
        "String",
        "eq",
        json!("\u{fffd}\u{fffd}A😀"),
        &[(r#""\ud83d\ud83d\u0041\ud83d\ude00""#, true)],
    );
    check_typed(
        "String",
        "eq",
        json!("\u{fffd}\n"),
        &[(r#""\ud83d\n""#, true), (r#""\ude00\u000A""#, true)],
    );
}

#[test]
fn a_key_may_be_escaped_and_the_last_of_two_counts() {
    let dataset = schema();
    let text = condition("Int", "eq", &json!(2));
    assert!(selects(&text, Some(&dataset), r#"{"\u0049nt":2}"#));
    assert!(selects(&text, Some(&dataset), r#"{"Int":1,"Int":2}"#));
    assert!(!selects(&text, Some(&dataset), r#"{"Int":2,"Int":1}"#));
    assert!(!selects(
        &text,
        Some(&dataset),
        r#"{"int":2,"Inside":{"Int":2}}"#
    ));
}

#[test]
#[rustfmt::skip] // One line a case.
fn integers_are_compared_exactly() {
    for (operator, less, same, more) in [
        ("eq", false, true, false),
        ("lt", true, false, false),
        ("leq", true, true, false),
        ("gt", false, false, true),
        ("geq", false, true, true),
    ] {
        for (a, b, c) in [
            ("29", "30", "31"),
            ("-31", "-30", "-29"),
            ("-1", "0", "1"),
            ("9", "10", "100"),
            ("9007199254740992", "9007199254740993", "9007199254740994"),
            ("18446744073709551614", "18446744073709551615", "18446744073709551616"),
            ("-9223372036854775809", "-9223372036854775808", "-9223372036854775807"),
        ] {
            let rows = [(a, less), (b, same), (c, more)];
            // The filter's number as a string, as the documentation writes it, and bare where it fits 64 bits.
            check_typed("Int", operator, json!(b), &rows);
            check_typed("Int", operator, serde_json::from_str(b).unwrap(), &rows);
            check_open(operator, serde_json::from_str(b).unwrap(), &rows);
            // The record's number in a string.
            let quoted: Vec<String> = [a, b, c].iter().map(|n| format!("\"{n}\"")).collect();
            let rows = [(quoted[0].as_str(), less), (quoted[1].as_str(), same), (quoted[2].as_str(), more)];
            check_typed("Int", operator, json!(b), &rows);
            check_open(operator, serde_json::from_str(b).unwrap(), &rows);
        }
    }
    let statuses = [("200", true), ("201", true), ("202", false), (r#""201""#, true), ("2e2", true), ("200.0", true)];
    check_typed("Int", "in", json!([200, "201"]), &statuses);
    check_typed("Int", "in", json!("200,201"), &statuses);
    check_typed("Int", "eq", json!(0), &[("0", true), ("-0", true), ("0.0", true), ("1", false), (r#""""#, false)]);
}

#[test]
fn a_string_that_holds_no_integer_is_like_a_missing_int() {
    for raw in [
        r#""""#,
        r#"" 7""#,
        r#""7 ""#,
        r#""+7""#,
        r#""7.0""#,
        r#""7e0""#,
        r#""0x7""#,
        r#""seven""#,
        "true",
        "null",
        "[7]",
        "{}",
        "[]",
        r#""1111111111111111111111111111111111111111""#,
        "7e400",
    ] {
        for key in ["Int", "Float"] {
            for operator in ["eq", "in", "lt", "leq", "gt", "geq"] {
                let value = if operator == "in" {
                    json!([7])
                } else {
                    json!(7)
                };
                check_typed(key, operator, value, &[(raw, false)]);
            }
        }
    }
    for raw in [
        "7",
        r#""7""#,
        r#""07""#,
        r#""\u0037""#,
        "7.0",
        "0.7e1",
        "70E-1",
    ] {
        for key in ["Int", "Float"] {
            check_typed(key, "eq", json!(7), &[(raw, true)]);
            check_typed(key, "geq", json!("7"), &[(raw, true)]);
            check_typed(key, "lt", json!(7), &[(raw, false)]);
        }
    }
}

#[test]
fn floats_take_the_operators_of_integers() {
    check_typed(
        "Float",
        "lt",
        json!("0.5"),
        &[
            ("0.25", true),
            ("0.5", false),
            ("0", true),
            ("1e-3", true),
            ("-2", true),
        ],
    );
    check_typed(
        "Float",
        "geq",
        json!(0.5),
        &[
            ("0.25", false),
            ("0.5", true),
            ("5e-1", true),
            ("1", true),
            (r#""1""#, true),
        ],
    );
    check_typed(
        "Float",
        "eq",
        json!(0.1),
        &[
            ("0.1", true),
            ("0.10", true),
            ("1e-1", true),
            ("0.1000000000000001", false),
        ],
    );
    check_typed(
        "Float",
        "in",
        json!([0.5, 2]),
        &[("0.5", true), ("2.0", true), ("2", true), ("0.2", false)],
    );
    check_typed("Int", "gt", json!(29.5), &[("29", false), ("30", true)]);
    // A decimal that a careless reader takes one step off.
    let decimal = "42.215889504792884";
    let rows = [(decimal, true), ("42.21588950479288", false)];
    check_typed("Float", "eq", serde_json::from_str(decimal).unwrap(), &rows);
}

#[test]
fn a_bool_is_true_or_false_and_nothing_else() {
    for value in [json!(true), json!("true")] {
        let rows = [
            ("true", true),
            ("false", false),
            (r#""true""#, false),
            ("1", false),
            ("null", false),
        ];
        check_typed("Bool", "eq", value, &rows);
    }
    for value in [json!(false), json!("false")] {
        check_typed(
            "Bool",
            "eq",
            value,
            &[
                ("false", true),
                ("true", false),
                ("0", false),
                (r#""""#, false),
            ],
        );
    }
}

#[test]
#[rustfmt::skip] // One line a case.
fn times_are_instants_whatever_their_form() {
    let [before, at, after] = [
        [
            "1657233726003999999",
            "1657233726003999",
            "1657233726003",
            "1657233726",
            "1657233726.0039",
            r#""1657233726003""#,
            r#""2022-07-07T22:42:06Z""#,
            r#""2022-07-07T22:42:06.003999999Z""#,
            r#""2022-07-08T00:42:06.003+02:00""#,
        ],
        [
            "1657233726004000000",
            "1657233726004000",
            "1657233726004",
            "1657233726.004",
            "1657233726.0040000009",
            r#""1657233726004000000""#,
            r#""2022-07-07T22:42:06.004Z""#,
            r#""2022-07-07T22:42:06.004000000Z""#,
            r#""2022-07-08T00:42:06.004\u002b02:00""#,
        ],
        [
            "1657233726004000001",
            "1657233726004001",
            "1657233726005",
            "1657233727",
            "1657233726.1",
            r#""1657233727""#,
            r#""2022-07-07T22:42:07Z""#,
            r#""2022-07-07T22:42:06.004000001Z""#,
            r#""2022-07-07T20:42:06.01-02:00""#,
        ],
    ];
    for (operator, early, same, late) in [
        ("eq", false, true, false),
        ("in", false, true, false),
        ("lt", true, false, false),
        ("leq", true, true, false),
        ("gt", false, false, true),
        ("geq", false, true, true),
    ] {
        let rows: Vec<(&str, bool)> = before
            .map(|raw| (raw, early))
            .into_iter()
            .chain(at.map(|raw| (raw, same)))
            .chain(after.map(|raw| (raw, late)))
            .collect();
        for value in [
            json!(1_657_233_726_004_000_000_i64),
            json!("1657233726004000000"),
            json!(1_657_233_726_004_000_i64),
            json!(1_657_233_726_004_i64),
            json!(1_657_233_726.004),
            json!("2022-07-07T22:42:06.004Z"),
            json!("2022-07-07T17:42:06.004-05:00"),
        ] {
            let value = if operator == "in" { json!([1, value]) } else { value };
            check_typed("Time", operator, value, &rows);
        }
    }
    check_typed("Time", "eq", json!("2022-07-07T22:42:06Z"), &[("1657233726", true), ("1657233726000", true)]);
}

#[test]
fn what_logpush_writes_for_no_time_is_zero_or_nothing() {
    let go_zero = r#""0001-01-01T00:00:00Z""#;
    check_typed(
        "Time",
        "gt",
        json!(0),
        &[
            ("0", false),
            (go_zero, false),
            (r#""""#, false),
            ("1657233726", true),
        ],
    );
    check_typed(
        "Time",
        "eq",
        json!("0"),
        &[
            ("0", true),
            (r#""0""#, true),
            (go_zero, false),
            (r#""""#, false),
        ],
    );
    let late = json!("2026-01-01T00:00:00Z");
    check_typed(
        "Time",
        "lt",
        late,
        &[
            ("0", true),
            (go_zero, true),
            (r#""""#, false),
            ("null", false),
        ],
    );
    for raw in [
        r#""yesterday""#,
        r#""2022-07-07""#,
        "true",
        "[1657233726]",
        "{}",
        "1.6e9",
    ] {
        check_typed("Time", "gt", json!(0), &[(raw, false)]);
        check_typed("Time", "eq", json!(1_657_233_726), &[(raw, false)]);
    }
}

#[test]
#[rustfmt::skip] // One line a case.
fn an_array_contains_an_element_not_a_part_of_one() {
    let rows = [
        (r#"["bot"]"#, true),
        (r#"[ "a" , "bot" ]"#, true),
        (r#"["a","b\u006ft"]"#, true),
        (r#"[["x","]"],{"a":"b,}"},"bot"]"#, true),
        (r#"["\\\"","bot"]"#, true),
        ("[]", false),
        ("[ ]", false),
        (r#"["robot"]"#, false),
        (r#"["bo","t"]"#, false),
        (r#"["a,bot"]"#, false),
        (r#"["\",\"bot"]"#, false),
        (r#"[["bot"]]"#, false),
        (r#"[["a","bot","c"],{"a":["x","bot","y"]}]"#, false),
        (r#"[{"bot":"bot"}]"#, false),
        (r#""bot""#, false),
        (r#"{"0":"bot"}"#, false),
        ("null", false),
    ];
    check_typed("Strings", "contains", json!("bot"), &rows);
    check_typed("Strings", "contains", json!(""), &[("[]", false), (r#"[""]"#, true), (r#"["a"]"#, false)]);
    check_typed("Strings", "contains", json!(7), &[(r#"["7"]"#, true), ("[7]", false), (r#"["77"]"#, false)]);
    for value in [json!(7), json!("7")] {
        let rows = [
            ("[7]", true),
            (r#"["7"]"#, true),
            ("[1, 7 ,2]", true),
            ("[7.0]", true),
            ("[]", false),
            ("[77,17]", false),
            ("[[7]]", false), ("[[1,7,2]]", false),
            ("7", false),
            (r#"["seven",null,true]"#, false),
        ];
        check_typed("Ints", "contains", value, &rows);
    }
    let big = json!("9007199254740993");
    check_typed("Ints", "contains", big, &[("[9007199254740992]", false), ("[1,9007199254740993]", true)]);
}

#[test]
fn a_missing_field_and_null_fail_every_positive_operator() {
    let dataset = schema();
    for (key, operators, value) in [
        ("String", "eq startsWith endsWith contains in", json!("")),
        ("Int", "eq lt leq gt geq in", json!(0)),
        ("Float", "eq lt leq gt geq in", json!(0)),
        ("Time", "eq lt leq gt geq in", json!(0)),
        ("Bool", "eq", json!(false)),
        ("Strings", "contains", json!("")),
        ("Ints", "contains", json!(0)),
    ] {
        for operator in operators.split_whitespace() {
            let value = if operator == "in" {
                json!([value])
            } else {
                value.clone()
            };
            for schema in [Some(&dataset), None] {
                // An open schema has no value that only a bool or a list could be asked for with these operators.
                check(schema, key, operator, value.clone(), &[("null", false)]);
                let negated = format!("!{operator}");
                let has_negation = !matches!(operator, "lt" | "leq" | "gt" | "geq");
                for line in ["{}", r#"{"Other":1}"#] {
                    assert!(!selects(&condition(key, operator, &value), schema, line));
                    assert!(
                        !has_negation || selects(&condition(key, &negated, &value), schema, line)
                    );
                }
            }
        }
    }
}

#[test]
fn and_takes_all_and_or_takes_one_at_any_depth() {
    let dataset = schema();
    let [a, b, c] = [
        json!({"key": "Int", "operator": "eq", "value": 1}),
        json!({"key": "String", "operator": "eq", "value": "b"}),
        json!({"key": "Bool", "operator": "eq", "value": true}),
    ];
    for bits in 0..8 {
        let (is_a, is_b, is_c) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
        let line =
            json!({"Int": i32::from(is_a), "String": if is_b { "b" } else { "x" }, "Bool": is_c})
                .to_string();
        for (tree, expected) in [
            (json!({"and": [a, b, c]}), is_a && is_b && is_c),
            (json!({"or": [a, b, c]}), is_a || is_b || is_c),
            (json!({"and": [a, {"or": [b, c]}]}), is_a && (is_b || is_c)),
            (json!({"or": [a, {"and": [b, c]}]}), is_a || (is_b && is_c)),
            (
                json!({"or": [{"and": [a, b]}, {"and": [{"or": [a, b]}, c]}]}),
                (is_a && is_b) || ((is_a || is_b) && is_c),
            ),
            (json!({"and": [{"and": [{"or": [{"and": [b]}]}]}]}), is_b),
        ] {
            let text = json!({"where": tree}).to_string();
            assert_eq!(
                selects(&text, Some(&dataset), &line),
                expected,
                "{text} {line}"
            );
        }
    }
}

#[test]
#[rustfmt::skip] // One line a case.
fn of_a_field_of_unknown_type_the_record_says_the_type() {
    let rows = [("200", true), (r#""200""#, true), ("200.0", true), ("201", false), ("true", false), ("[200]", false)];
    check_open("eq", json!(200), &rows);
    check_open("eq", json!("200"), &rows);
    // A number in the filter also means a string that holds it; a string means its bytes.
    check_open("eq", json!(7), &[(r#""007""#, true), (r#""7""#, true), ("7", true)]);
    check_open("eq", json!("7"), &[(r#""007""#, false), (r#""7""#, true), ("7", true)]);
    check_open("eq", json!("007"), &[(r#""007""#, true), (r#""7""#, false), ("7", true)]);
    check_open("eq", json!(0.5), &[("0.5", true), (r#""0.5""#, true), ("5e-1", true), (r#""0.50""#, false)]);
    let bools = [("true", true), ("false", false), ("1", false)];
    check_open("eq", json!(true), &bools);
    check_open("eq", json!("true"), &bools);
    check_open("eq", json!(true), &[(r#""true""#, false)]);
    check_open("eq", json!("true"), &[(r#""true""#, true)]);
    check_open(
        "in",
        json!(["a", 7, true]),
        &[(r#""a""#, true), ("7", true), ("true", true), ("8", false), ("false", false)],
    );
    check_open(
        "lt",
        json!("30"),
        &[("29", true), (r#""29""#, true), ("30", false), (r#""x""#, false), ("true", false)],
    );
    let instant = json!("2022-07-07T22:42:06.004Z");
    let times = [("1657233726003", true), ("1657233726004", false), (r#""2022-07-07T22:42:06Z""#, true), ("[]", false)];
    check_open("lt", instant, &times);
    check_open("startsWith", json!("20"), &[(r#""200""#, true), ("200", false)]);
    check_open("contains", json!("0"), &[(r#""200""#, true), ("200", false), ("[200]", false), ("[1,0]", true)]);
    check_open("contains", json!(7), &[(r#"["7"]"#, true), ("[7]", true), (r#"["007"]"#, true), ("[77]", false)]);
    check_open("contains", json!("7"), &[(r#"["7"]"#, true), ("[7]", true), (r#"["007"]"#, false)]);
}
