use super::*;
use crate::batch::scan::scan;
use crate::logpush::scope::ScopeKind;
use crate::route::Assembly;
use serde_json::{Value, json};

/// One push with these records, as a receiver gets it.
fn push(options: &Value, dataset: Option<&str>, lines: &[&str]) -> String {
    let options = OutputOptions::from_json(options).unwrap();
    let schema = dataset.and_then(|name| Dataset::find(ScopeKind::Zone, name));
    let mut projection = Projection::new();
    projection.slot("Bystander");
    let shape = Shape::compile(&options, schema.as_ref(), &mut projection);
    let assembly = Assembly::of(&options);
    let mut out = Vec::new();
    for line in lines {
        let mut fields = vec![None; projection.names().len()];
        scan(line.as_bytes(), &projection, &mut fields).unwrap();
        match &shape {
            Some(shape) => shape.write(line.as_bytes(), &fields, &mut out),
            None => out.extend_from_slice(format!("{line}\n").as_bytes()),
        }
    }
    let records = String::from_utf8(out).unwrap();
    match assembly {
        None => records,
        Some(assembly) => {
            let records = &records[assembly.delimiter.len()..];
            format!("{}{records}{}", assembly.prefix, assembly.suffix)
        }
    }
}

const HTTP: &str = r#"{"ClientIP":"89.163.242.206","EdgeStartTimestamp":1506702504433000200,"RayID":"3a6050bcbe121a87","EdgeResponseStatus":200,"Cookies":{"a":"b \"c\""},"EdgeServerIP":""}"#;

fn http(options: &Value) -> String {
    push(options, Some("http_requests"), &[HTTP])
}

#[test]
fn without_options_there_is_no_shape_and_the_line_is_the_record() {
    for options in [
        json!({}),
        json!({"batch_prefix": "[", "batch_suffix": "]", "sample_rate": 0.5}),
    ] {
        let options = OutputOptions::from_json(&options).unwrap();
        assert!(Shape::compile(&options, None, &mut Projection::new()).is_none());
    }
    assert_eq!(http(&json!({})), format!("{HTTP}\n"));
}

#[test]
fn field_names_choose_and_order_the_fields() {
    assert_eq!(
        http(&json!({"field_names": ["RayID", "ClientIP", "Cookies"]})),
        "{\"RayID\":\"3a6050bcbe121a87\",\"ClientIP\":\"89.163.242.206\",\"Cookies\":{\"a\":\"b \\\"c\\\"\"}}\n"
    );
    // One that did not come is there all the same.
    assert_eq!(
        http(&json!({"field_names": ["ClientASN", "EdgeServerIP"]})),
        "{\"ClientASN\":null,\"EdgeServerIP\":\"\"}\n"
    );
    assert_eq!(
        push(
            &json!({"field_names": ["a\"b", "A"]}),
            None,
            &[r#"{"A":1,"a\u0022b":2,"\u0041":3}"#]
        ),
        "{\"a\\\"b\":2,\"A\":3}\n"
    );
}

#[test]
fn a_record_of_logpushs_own_example_is_csv() {
    assert_eq!(
        http(
            &json!({"output_type": "csv", "field_names": ["ClientIP", "EdgeStartTimestamp", "RayID", "EdgeResponseStatus"]})
        ),
        "\"89.163.242.206\",1506702504433000200,\"3a6050bcbe121a87\",200\n"
    );
    assert_eq!(
        http(
            &json!({"output_type": "csv", "batch_prefix": "ip;ray\n", "field_delimiter": ";", "record_suffix": "\r\n",
            "field_names": ["ClientIP", "RayID"]})
        ),
        "ip;ray\n\"89.163.242.206\";\"3a6050bcbe121a87\"\r\n"
    );
}

#[test]
fn every_type_has_its_form_in_csv() {
    let line = r#"{"S":"a,\"b\"\n\u0026\u00e9","E":"","I":-12345678901234567890,"F":1.50e+3,"T":true,"N":null,"L":["a", 1],"O":{"a":"b\"c"}}"#;
    let all = "\"a,\"\"b\"\"\n&é\",\"\",-12345678901234567890,1.50e+3,true,,\"[\"\"a\"\", 1]\",\
        \"{\"\"a\"\":\"\"b\\\"\"c\"\"}\"";
    let names = json!(["S", "E", "I", "F", "T", "N", "L", "O", "M"]);
    assert_eq!(
        push(
            &json!({"output_type": "csv", "field_names": names}),
            None,
            &[line]
        ),
        format!("{all},\n")
    );
    assert_eq!(
        push(&json!({"output_type": "csv"}), None, &[line]),
        format!("{all}\n")
    );
}

#[test]
fn a_template_is_filled_with_json() {
    // Logpush's own example: the default prefix and suffix stay.
    let names = json!(["ClientIP", "RayID"]);
    assert_eq!(
        http(&json!({"field_names": names, "record_template": r#""client-ip":{{.ClientIP}}"#})),
        "{\"client-ip\":\"89.163.242.206\"}\n"
    );
    assert_eq!(
        http(&json!({
            "field_names": names, "record_prefix": "", "record_suffix": "\n", "field_delimiter": "ignored",
            "record_template": "<{{/* who */}}{{ .ClientIP }}{{ \"{{\" }}{{`}}`}} {{.RayID}} {{.EdgeResponseStatus}} {{.Nope}}>",
        })),
        "<\"89.163.242.206\"{{}} \"3a6050bcbe121a87\" null null>\n"
    );
    // Without field_names each field is there, and CSV changes nothing but the defaults.
    assert_eq!(
        http(
            &json!({"output_type": "csv", "record_template": "{{.EdgeResponseStatus}} {{.Cookies}} {{.ClientASN}}"})
        ),
        "200 {\"a\":\"b \\\"c\\\"\"} null\n"
    );
}

#[test]
fn batches_are_put_together_as_documented() {
    let names = json!(["RayID"]);
    let lines = [r#"{"RayID":"a"}"#, r#"{"RayID":"b"}"#, r#"{"RayID":"c"}"#];
    let push = |options: Value| push(&options, Some("http_requests"), &lines);
    assert_eq!(
        push(
            json!({"field_names": names, "batch_prefix": "{\"events\":[", "batch_suffix": "\n]}\n",
            "record_prefix": "\n  {\"info\":{", "record_suffix": "}}", "record_delimiter": ","})
        ),
        "{\"events\":[\n  {\"info\":{\"RayID\":\"a\"}},\n  {\"info\":{\"RayID\":\"b\"}},\n  {\"info\":{\"RayID\":\"c\"}}\n]}\n"
    );
    assert_eq!(
        push(
            json!({"batch_prefix": "[", "batch_suffix": "]", "record_delimiter": ",",
            "record_prefix": "{\"x\":{", "record_suffix": "}}"})
        ),
        r#"[{"x":{"RayID":"a"}},{"x":{"RayID":"b"}},{"x":{"RayID":"c"}}]"#
    );
    assert_eq!(
        push(json!({"record_delimiter": "--"})),
        "{\"RayID\":\"a\"}\n--{\"RayID\":\"b\"}\n--{\"RayID\":\"c\"}\n"
    );
}

#[test]
fn times_are_written_in_the_format_that_is_asked_for() {
    for (format, time) in [
        ("unixnano", "1506702504433000200"),
        ("unix", "1506702504"),
        ("rfc3339", "\"2017-09-29T16:28:24Z\""),
        ("rfc3339ms", "\"2017-09-29T16:28:24.433Z\""),
        ("rfc3339ns", "\"2017-09-29T16:28:24.4330002Z\""),
    ] {
        for came in [
            "1506702504433000200",
            "\"1506702504433000200\"",
            "\"2017-09-29T16:28:24.433000200Z\"",
            "\"2017-09-29T18:28:24.4330002+02:00\"",
            "\"2017-09-29T16:28:24.4330002\\u005a\"",
        ] {
            let line = format!(
                r#" {{ "RayID":"1506702504433000200", "EdgeStartTimestamp" : {came} ,"X":[]}} "#
            );
            for dataset in [Some("http_requests"), None] {
                let shaped = push(&json!({"timestamp_format": format}), dataset, &[&line]);
                assert_eq!(
                    shaped,
                    format!(
                        "{{ \"RayID\":\"1506702504433000200\", \"EdgeStartTimestamp\" : {time} ,\"X\":[]}}\n"
                    )
                );
                let options = json!({"timestamp_format": format, "field_names": ["EdgeStartTimestamp", "RayID"]});
                let shaped = push(&options, dataset, &[&line]);
                assert_eq!(
                    shaped,
                    format!(
                        "{{\"EdgeStartTimestamp\":{time},\"RayID\":\"1506702504433000200\"}}\n"
                    )
                );
            }
        }
    }
}

#[test]
fn several_times_are_found_in_any_order_and_the_last_of_two_counts() {
    let line =
        r#"{"EdgeEndTimestamp":2,"A":1,"EdgeStartTimestamp":1,"EdgeEndTimestamp":1506702504}"#;
    assert_eq!(
        push(
            &json!({"timestamp_format": "unixnano"}),
            Some("http_requests"),
            &[line]
        ),
        "{\"EdgeEndTimestamp\":2,\"A\":1,\"EdgeStartTimestamp\":1000000000,\"EdgeEndTimestamp\":1506702504000000000}\n"
    );
}

#[test]
fn what_says_no_time_and_what_is_none_stay_as_they_came() {
    for none in [
        "0",
        "\"\"",
        "null",
        "\"0001-01-01T00:00:00Z\"",
        "\"soon\"",
        "[]",
    ] {
        let line = format!(r#"{{"EdgeStartTimestamp":{none}}}"#);
        for options in [
            json!({"timestamp_format": "rfc3339"}),
            json!({"timestamp_format": "rfc3339", "field_names": ["EdgeStartTimestamp"]}),
        ] {
            assert_eq!(
                push(&options, Some("http_requests"), &[&line]),
                format!("{line}\n")
            );
        }
    }
    // Logpush documents it as an int, in milliseconds.
    let line = r#"{"EventTimestampMs":1506702504433}"#;
    for dataset in [Some("workers_trace_events"), None] {
        assert_eq!(
            push(&json!({"timestamp_format": "rfc3339"}), dataset, &[line]),
            format!("{line}\n")
        );
    }
}

#[test]
fn objects_become_strings_on_demand() {
    assert_eq!(
        push(
            &json!({"stringify_object": true}),
            None,
            &[r#"{"O": {"a":"b\n\"c\""},"L":[{}],"E":{}	}"#]
        ),
        "{\"O\":\"{\\\"a\\\":\\\"b\\\\n\\\\\\\"c\\\\\\\"\\\"}\",\"L\":[{}],\"E\":\"{}\"}\n"
    );
    let options = json!({"stringify_object": true, "field_names": ["Cookies", "RayID"]});
    let shaped: Value = serde_json::from_str(&http(&options)).unwrap();
    let cookies: Value = serde_json::from_str(shaped["Cookies"].as_str().unwrap()).unwrap();
    assert_eq!(cookies, json!({"a": "b \"c\""}));
}

#[test]
fn the_dollar_before_a_brace_becomes_an_x_wherever_it_stands_and_however_it_is_spelt() {
    let line = r#"{"${k":"${jndi:ldap://${x}}","O":{"${":["$\u007b","\u0024{","\u0024\u007B","$$ {","\\u0024{","\\\u0024{"]}}"#;
    let clean = r#"{"x{k":"x{jndi:ldap://x{x}}","O":{"x{":["x\u007b","\u0078{","\u0078\u007B","$$ {","\\u0024{","\\\u0078{"]}}"#;
    let shaped = |mut options: Value| {
        options["CVE-2021-44228"] = json!(true);
        push(&options, None, &[line])
    };
    assert_eq!(shaped(json!({})), format!("{clean}\n"));
    let value = &clean[clean.find("{\"x{\"").unwrap()..clean.len() - 1];
    assert_eq!(
        shaped(json!({"field_names": ["O"]})),
        format!("{{\"O\":{value}}}\n")
    );
    assert_eq!(
        shaped(json!({"output_type": "csv", "field_names": ["O", "${k"]})),
        format!(
            "\"{}\",\"x{{jndi:ldap://x{{x}}}}\"\n",
            value.replace('"', "\"\"")
        )
    );
    assert_eq!(
        shaped(json!({"stringify_object": true, "field_names": ["O"]})),
        format!("{{\"O\":{}}}\n", Value::from(value))
    );
    // Also in and beside the texts of the options.
    assert_eq!(
        shaped(
            json!({"record_prefix": "$", "record_suffix": "${\n", "batch_prefix": "${", "record_template": "{{`{`}}$"})
        ),
        "x{x{$x{\n"
    );
    let untouched = r#"{"A":"$ {\u0026","B":"\\u0024{"}"#;
    assert_eq!(
        push(
            &json!({"CVE-2021-44228": true, "timestamp_format": "unix"}),
            None,
            &[untouched]
        ),
        format!("{untouched}\n")
    );
}

#[test]
fn a_field_that_is_no_part_of_the_line_is_written_all_the_same() {
    let options = OutputOptions::from_json(&json!({"timestamp_format": "unix"})).unwrap();
    let mut projection = Projection::new();
    let shape = Shape::compile(&options, None, &mut projection).unwrap();
    let line = br#"{"Timestamp" : 1506702504433000200, "A":1}"#;
    let mut fields = vec![None; projection.names().len()];
    let elsewhere = b"1506702504433000200".to_vec();
    fields[projection.find(b"Timestamp").unwrap()] = Some(elsewhere.as_slice());
    let mut out = Vec::new();
    shape.write(line, &fields, &mut out);
    assert_eq!(
        String::from_utf8_lossy(&out),
        "{\"Timestamp\":1506702504,\"A\":1}\n"
    );
}
