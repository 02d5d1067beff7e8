use super::super::scope::ScopeKind;
use super::*;
use serde_json::json;

fn read(options: &Value) -> Result<OutputOptions, String> {
    OutputOptions::from_json(options).map_err(|e| e.to_string())
}

#[test]
fn nothing_said_is_every_default() {
    let defaults = OutputOptions::default();
    for options in [
        json!({}),
        json!({"field_names": null, "output_type": null, "batch_prefix": null, "record_prefix": null,
            "timestamp_format": null, "sample_rate": null, "CVE-2021-44228": null, "schema": null, "later": null}),
        json!({"field_names": [], "output_type": "", "batch_prefix": "", "batch_suffix": "", "record_prefix": "{",
            "record_suffix": "}\n", "record_delimiter": "", "field_delimiter": ",", "record_template": "",
            "timestamp_format": "", "sample_rate": 0, "CVE-2021-44228": false, "CVE-2021-4428": "false",
            "merge_subrequests": true, "stringify_object": false, "schema": "logpush"}),
    ] {
        assert_eq!(read(&options).as_ref(), Ok(&defaults), "{options}");
    }
    for options in ["", "?", "start=1&end=2&count=7", "fields=&timestamps="] {
        assert_eq!(
            OutputOptions::from_logpull(options).as_ref(),
            Ok(&defaults),
            "{options}"
        );
    }
}

#[test]
fn the_output_type_picks_the_other_defaults() {
    let csv = read(&json!({"output_type": "csv"})).unwrap();
    assert_eq!(
        (csv.record_prefix.as_str(), csv.record_suffix.as_str()),
        ("", "\n")
    );
    // An empty text is a text.
    let bare = read(&json!({"record_prefix": "", "record_suffix": "", "field_delimiter": ""}));
    let bare = bare.unwrap();
    assert_eq!(
        (bare.record_prefix, bare.record_suffix, bare.field_delimiter),
        (String::new(), String::new(), String::new())
    );
}

#[test]
fn every_option_is_read() {
    let options = json!({
        "field_names": ["RayID", "ClientIP"], "output_type": "csv", "batch_prefix": "[", "batch_suffix": "]",
        "record_prefix": "<", "record_suffix": ">", "record_delimiter": ";", "field_delimiter": "|",
        "record_template": "a{{.RayID}}", "timestamp_format": "rfc3339ms", "sample_rate": 0.25, "CVE-2021-4428": true,
        "stringify_object": "true",
    });
    let expected = OutputOptions {
        field_names: vec!["RayID".into(), "ClientIP".into()],
        output_type: OutputType::Csv,
        batch_prefix: "[".into(),
        batch_suffix: "]".into(),
        record_prefix: "<".into(),
        record_suffix: ">".into(),
        record_delimiter: ";".into(),
        field_delimiter: "|".into(),
        record_template: Some(Template {
            tokens: vec![Token::Text("a".into()), Token::Field("RayID".into())],
        }),
        timestamp_format: Some(TimestampFormat::Rfc3339Ms),
        sample_rate: 0.25,
        replace_cve_2021_44228: true,
        stringify_object: true,
        schema: Schema::Logpush,
    };
    assert_eq!(read(&options), Ok(expected));
}

#[test]
fn the_schema_ecs_goes_with_every_option_that_does_not_lay_out_fields() {
    let options = json!({
        "schema": "ecs", "field_names": ["RayID"], "timestamp_format": "rfc3339", "sample_rate": 0.5,
        "CVE-2021-44228": true, "stringify_object": true, "output_type": "ndjson", "field_delimiter": ",",
        "record_template": "", "batch_prefix": "[", "record_delimiter": ",", "record_suffix": "}",
    });
    assert_eq!(read(&options).map(|read| read.schema), Ok(Schema::Ecs));
    let default = read(&json!({"schema": ""})).map(|read| read.schema);
    assert_eq!(default, Ok(Schema::Logpush));
}

#[test]
fn logpull_options_say_the_same_in_a_query_string_or_a_whole_address() {
    let expected = OutputOptions {
        field_names: vec!["QueryName".into(), "Timestamp".into()],
        timestamp_format: Some(TimestampFormat::Rfc3339),
        sample_rate: 0.1,
        replace_cve_2021_44228: true,
        ..OutputOptions::default()
    };
    for options in [
        "fields=QueryName,Timestamp&timestamps=rfc3339&sample=0.1&CVE-2021-44228=true",
        "CVE-2021-4428=true&sample=.1&timestamps=rfc3339&fields=QueryName%2CTimestamp,",
        "?fields=QueryName, Timestamp&timestamps=rfc3339&sample=0.100&CVE-2021-44228=true#x",
        "https://api.cloudflare.com/client/v4/zones/z/logs/received?start=1&end=2&fields=QueryName,Timestamp\
            &timestamps=rfc3339&sample=0.1&CVE-2021-44228=true",
    ] {
        assert_eq!(
            OutputOptions::from_logpull(options).as_ref(),
            Ok(&expected),
            "{options}"
        );
    }
}

#[test]
fn what_is_wrong_is_said_with_the_name_of_the_option() {
    for (options, text) in [
        (
            json!([]),
            r#"must be an object such as {"field_names": ["RayID"]}, or null"#,
        ),
        (
            json!({"fieldNames": []}),
            "`fieldNames` is no output option; did you mean `field_names`?",
        ),
        (
            json!({"colour": 1}),
            "`colour` is no output option; leave it out",
        ),
        (
            json!({"output_type": "xml"}),
            "output_type must be ndjson or csv",
        ),
        (json!({"output_type": 1}), "output_type must be a string"),
        (json!({"batch_prefix": []}), "batch_prefix must be a string"),
        (
            json!({"batch_prefix": "x".repeat(4_097)}),
            "batch_prefix must have at most 4096 bytes",
        ),
        (
            json!({"timestamp_format": "iso"}),
            "timestamp_format must be unixnano, unix, rfc3339, rfc3339ms or rfc3339ns",
        ),
        (
            json!({"sample_rate": 1.5}),
            "sample_rate must be a number above 0 and at most 1; 0.1 sends one record of ten",
        ),
        (
            json!({"sample_rate": "1"}),
            "sample_rate must be a number above 0 and at most 1; 0.1 sends one record of ten",
        ),
        (
            json!({"CVE-2021-44228": 1}),
            "CVE-2021-44228 must be true or false",
        ),
        (json!({"schema": "ocsf"}), "schema must be logpush or ecs"),
        (
            json!({"schema": "ecs", "output_type": "csv"}),
            "schema ecs writes each record as one JSON object of its own form: leave output_type csv out, or schema",
        ),
        (
            json!({"schema": "ecs", "record_template": "{{.RayID}}"}),
            "schema ecs writes each record as one JSON object of its own form: leave record_template out, or schema",
        ),
        (
            json!({"schema": "ecs", "field_delimiter": ";"}),
            "schema ecs writes each record as one JSON object of its own form: leave field_delimiter out, or schema",
        ),
        (
            json!({"field_names": "RayID"}),
            r#"field_names must be an array of strings such as ["RayID", "ClientIP"]"#,
        ),
        (
            json!({"field_names": [1]}),
            r#"field_names must be an array of strings such as ["RayID", "ClientIP"]"#,
        ),
        (
            json!({"field_names": [""]}),
            "field_names must hold names of 1 to 256 bytes",
        ),
        (
            json!({"field_names": ["RayID", "RayID"]}),
            "field_names names `RayID` twice; name each field once",
        ),
        (
            json!({"record_template": "x{{ .A }"}),
            "record_template: the braces at byte 1 hold no name of a field; write a dot and letters, digits or _, \
             such as {{ .RayID }}",
        ),
    ] {
        assert_eq!(read(&options), Err(text.to_owned()), "{options}");
    }
    for (options, text) in [
        (
            "timestamps=iso",
            "timestamps must be unixnano, unix, rfc3339, rfc3339ms or rfc3339ns",
        ),
        (
            "sample=2",
            "sample must be a number above 0 and at most 1; 0.1 sends one record of ten",
        ),
        ("CVE-2021-44228=1", "CVE-2021-44228 must be true or false"),
        ("fields=A,A", "fields names `A` twice; name each field once"),
        (&"x".repeat(4_097), "must have at most 4096 bytes"),
    ] {
        let error = OutputOptions::from_logpull(options).unwrap_err();
        assert_eq!(error.to_string(), text, "{options}");
    }
}

#[test]
fn a_field_that_the_dataset_does_not_have_is_refused_with_the_nearest_name() {
    let dataset = Dataset::find(ScopeKind::Zone, "http_requests").unwrap();
    let check = |options: Value| {
        let checked = OutputOptions::from_json(&options)
            .unwrap()
            .check_fields(&dataset);
        checked.map_err(|e| e.to_string())
    };
    assert_eq!(check(json!({"field_names": ["RayID"]})), Ok(()));
    assert_eq!(
        check(json!({"field_names": ["RayID", "EdgeResponceStatus"]})),
        Err("field_names: http_requests has no field `EdgeResponceStatus`; did you mean `EdgeResponseStatus`?".into())
    );
    assert_eq!(
        check(json!({"field_names": ["Zzzzzzzzzz"]})),
        Err("field_names: http_requests has no field `Zzzzzzzzzz`; see the dataset's fields and leave it out".into())
    );
    assert_eq!(
        check(json!({"record_template": "{{.RayId}}"})),
        Err("record_template: http_requests has no field `RayId`; did you mean `RayID`?".into())
    );
    assert_eq!(
        check(json!({"record_template": "{{.RayId}}", "field_names": ["RayID"]})),
        Ok(())
    );
}

#[test]
fn a_template_has_text_fields_constants_and_comments() {
    let text = |text: &str| Token::Text(text.to_owned());
    let field = |name: &str| Token::Field(name.to_owned());
    for (template, tokens) in [
        ("", vec![]),
        ("plain } {text}", vec![text("plain } {text}")]),
        (
            r#""client-ip":{{.ClientIP}}"#,
            vec![text(r#""client-ip":"#), field("ClientIP")],
        ),
        (
            "{{ .A }}{{\t.B\n}},{{.A}}",
            vec![field("A"), field("B"), text(","), field("A")],
        ),
        (r#"a{{ "}}\"\u0041{{" }}b"#, vec![text("a}}\"A{{b")]),
        ("a{{`\"\\n`}}b", vec![text("a\"\\nb")]),
        ("a{{/* }} {{ .A */}}b", vec![text("ab")]),
        ("{{ \"\" }}", vec![]),
        ("{{.Größe_2}}", vec![field("Größe_2")]),
    ] {
        assert_eq!(
            Template::parse(template),
            Ok(Template { tokens }),
            "{template}"
        );
    }
    use TemplateProblem::*;
    for (template, at, problem) in [
        ("{{", 0, Open),
        ("ab{{ .A", 2, Open),
        ("{{/* x }}", 0, Open),
        ("{{ \"a }}", 0, Constant),
        ("{{ \"\\x41\" }}", 0, Constant),
        ("{{ `a }}", 0, Constant),
        ("{{ . }}", 0, Name),
        ("{{ .A.B }}", 0, Name),
        ("{{ .A B }}", 0, Name),
        ("{{.A}}{{ A }}", 6, Unknown),
        ("{{ if .A }}", 0, Unknown),
        ("{{ \"a\" b }}", 0, Unknown),
        ("{{- .A -}}", 0, Unknown),
        ("{{}}", 0, Unknown),
    ] {
        assert_eq!(
            Template::parse(template),
            Err(TemplateError { at, problem }),
            "{template}"
        );
    }
}
