use super::super::scope::ScopeKind;
use super::JobInputError as E;
use super::*;

fn scope() -> Scope {
    Scope::new(ScopeKind::Zone, "zone1").unwrap()
}

fn input(body: &Value) -> Result<JobInput, E> {
    JobInput::from_json(body)
}

fn create(body: &Value) -> Result<Job, E> {
    input(body)?
        .into_new_job(scope())
        .map(|job| job.with_id(148))
}

fn full() -> Job {
    Job {
        id: 148,
        version: 7,
        scope: scope(),
        dataset: "http_requests".into(),
        name: Some("example.com".into()),
        enabled: true,
        destination_conf: "https://h.example/?header_Authorization=Bearer%20s3cret".into(),
        filter: Some(
            r#"{"where":{"key":"EdgeResponseStatus","operator":"geq","value":400}}"#.into(),
        ),
        kind: String::new(),
        frequency: Frequency::Low,
        logpull_options: None,
        output_options: Some(json!({"sample_rate": 1})),
        max_upload_bytes: Some(5_000_000),
        max_upload_records: Some(1_000),
        max_upload_interval_seconds: Some(30),
        last_complete: Some("2026-01-01T00:00:00Z".into()),
        last_error: Some("2026-01-01T00:01:00Z".into()),
        error_message: Some(
            "error 500: error pushing: error uploading to https: status:500".into(),
        ),
    }
}

#[test]
fn job_stored_format_unchanged() {
    let stored = concat!(
        r#"{"id":148,"version":7,"scope":{"kind":"zone","id":"zone1"},"dataset":"http_requests","name":"example.com","#,
        r#""enabled":true,"destination_conf":"https://h.example/?header_Authorization=Bearer%20s3cret","#,
        r#""filter":"{\"where\":{\"key\":\"EdgeResponseStatus\",\"operator\":\"geq\",\"value\":400}}","kind":"","#,
        r#""frequency":"low","logpull_options":null,"output_options":{"sample_rate":1},"max_upload_bytes":5000000,"#,
        r#""max_upload_records":1000,"max_upload_interval_seconds":30,"last_complete":"2026-01-01T00:00:00Z","#,
        r#""last_error":"2026-01-01T00:01:00Z","#,
        r#""error_message":"error 500: error pushing: error uploading to https: status:500"}"#,
    );
    assert_eq!(serde_json::to_string(&full()).unwrap(), stored);
    assert_eq!(serde_json::from_str::<Job>(stored).unwrap(), full());
}

#[test]
fn a_row_of_older_or_newer_code_is_still_read() {
    let oldest = r#"{"id":1,"scope":{"kind":"zone","id":"zone1"},"destination_conf":"https://h.example/","added":1}"#;
    let mut expected = create(&json!({"destination_conf": "https://h.example/"})).unwrap();
    expected.id = 1;
    assert_eq!(serde_json::from_str::<Job>(oldest).unwrap(), expected);
}

#[test]
fn the_body_of_cloudflares_blog_makes_a_job_and_its_answer() {
    let conf = "splunk://h.splunkcloud.com:8088/services/collector/raw?channel=c&header_Authorization=Splunk%20s3cret";
    let job = create(&json!({
        "destination_conf": conf, "dataset": "network_analytics_logs", "token": "tag", "enabled": "true",
    }))
    .unwrap();
    let expected = json!({
        "id": 148, "dataset": "network_analytics_logs", "frequency": "high", "kind": "", "enabled": true,
        "name": null, "logpull_options": null, "output_options": null, "destination_conf": conf, "filter": "",
        "max_upload_bytes": null, "max_upload_records": null, "max_upload_interval_seconds": null,
        "last_complete": null, "last_error": null, "error_message": null,
    });
    assert_eq!(job.to_api(false), expected);
    assert_eq!(
        job.to_api(true)["destination_conf"],
        "splunk://h.splunkcloud.com:8088/services/collector/raw?channel=c&header_Authorization=REDACTED"
    );
    assert_eq!(job.version, 1);
}

#[test]
fn only_the_destination_is_required() {
    let job = create(&json!({"destination_conf": "https://h.example/"})).unwrap();
    assert_eq!(
        (job.dataset.as_str(), job.enabled, job.kind.as_str()),
        ("http_requests", false, "")
    );
    assert_eq!(
        (job.frequency, &job.name, &job.filter),
        (Frequency::High, &None, &None)
    );

    for body in [
        json!({}),
        json!({"destination_conf": null}),
        json!({"destination_conf": ""}),
    ] {
        assert_eq!(create(&body), Err(E::DestinationMissing), "{body}");
    }
    for body in [json!([]), json!(null), json!("x"), json!(1)] {
        assert_eq!(input(&body), Err(E::NotAnObject), "{body}");
    }
}

#[test]
fn every_member_has_its_form() {
    let limit = |field, min, max| E::Limit { field, min, max };
    let bytes = limit("max_upload_bytes", 5_000_000, 1_000_000_000);
    let records = limit("max_upload_records", 1_000, 1_000_000);
    let interval = limit("max_upload_interval_seconds", 30, 300);
    let table: Vec<(Value, Option<E>)> = vec![
        (json!({"dataset": "gateway-dns_2"}), None),
        (json!({"dataset": null}), None),
        (json!({"dataset": "x".repeat(256)}), None),
        (json!({"dataset": "x".repeat(257)}), Some(E::DatasetForm)),
        (json!({"dataset": ""}), Some(E::DatasetForm)),
        (json!({"dataset": "a/b"}), Some(E::DatasetForm)),
        (
            json!({"dataset": 1}),
            Some(E::NotAString { field: "dataset" }),
        ),
        (
            json!({"destination_conf": {}}),
            Some(E::NotAString {
                field: "destination_conf",
            }),
        ),
        (json!({"enabled": "false"}), None),
        (json!({"enabled": null}), None),
        (
            json!({"enabled": "yes"}),
            Some(E::NotABool { field: "enabled" }),
        ),
        (
            json!({"enabled": 1}),
            Some(E::NotABool { field: "enabled" }),
        ),
        (json!({"name": "ä".repeat(512)}), None),
        (json!({"name": "ä".repeat(513)}), Some(E::NameTooLong)),
        (json!({"name": 7}), Some(E::NotAString { field: "name" })),
        (json!({"filter": "{}"}), None),
        (json!({"filter": {"where": {}}}), Some(E::FilterNotText)),
        (json!({"filter": []}), Some(E::FilterNotText)),
        (
            json!({"filter": 1}),
            Some(E::NotAString { field: "filter" }),
        ),
        (json!({"kind": null}), None),
        (json!({"kind": ""}), None),
        (
            json!({"kind": "edge"}),
            Some(E::NotOffered { field: "kind" }),
        ),
        (json!({"frequency": "low"}), None),
        (json!({"frequency": null}), None),
        (json!({"frequency": "often"}), Some(E::FrequencyForm)),
        (json!({"max_upload_bytes": 5_000_000}), None),
        (json!({"max_upload_bytes": 1_000_000_000}), None),
        (json!({"max_upload_bytes": 0}), None),
        (json!({"max_upload_bytes": ""}), None),
        (json!({"max_upload_bytes": 4_999_999}), Some(bytes)),
        (json!({"max_upload_bytes": 1_000_000_001}), Some(bytes)),
        (json!({"max_upload_bytes": -1}), Some(bytes)),
        (json!({"max_upload_bytes": 5_000_000.5}), Some(bytes)),
        (json!({"max_upload_bytes": "5000000"}), Some(bytes)),
        (json!({"max_upload_records": 1_000}), None),
        (json!({"max_upload_records": 999}), Some(records)),
        (json!({"max_upload_records": 1_000_001}), Some(records)),
        (json!({"max_upload_interval_seconds": 300}), None),
        (json!({"max_upload_interval_seconds": 29}), Some(interval)),
        (json!({"max_upload_interval_seconds": 301}), Some(interval)),
        (
            json!({"ownership_challenge": "x", "token": {}, "anything": [1]}),
            None,
        ),
    ];
    for (mut body, expected) in table {
        let shown = body.to_string();
        let members = body.as_object_mut().unwrap();
        members
            .entry("destination_conf")
            .or_insert(json!("https://h.example/"));
        assert_eq!(create(&body).err(), expected, "{shown}");
    }
}

#[test]
fn reshaping_is_refused_and_never_ignored() {
    let output = |option| Some(E::OutputNotOffered { option });
    let table: Vec<(Value, Option<E>)> = vec![
        (json!({"logpull_options": null}), None),
        (json!({"logpull_options": ""}), None),
        (
            json!({"logpull_options": "fields=RayID"}),
            Some(E::NotOffered {
                field: "logpull_options",
            }),
        ),
        (json!({"sample": 1}), None),
        (
            json!({"sample": 0.1}),
            Some(E::NotOffered { field: "sample" }),
        ),
        (
            json!({"sample_rate": 0.1}),
            Some(E::NotOffered {
                field: "sample_rate",
            }),
        ),
        (
            json!({"transformer_id": 3}),
            Some(E::NotOffered {
                field: "transformer_id",
            }),
        ),
        (json!({"transformer_id": 0}), None),
        (
            json!({"subrequest_merging": true}),
            Some(E::NotOffered {
                field: "subrequest_merging",
            }),
        ),
        (json!({"output_options": null}), None),
        (json!({"output_options": {}}), None),
        (
            json!({"output_options": {
                "field_names": [], "output_type": "ndjson", "batch_prefix": "", "batch_suffix": "",
                "record_prefix": "{", "record_suffix": "}\n", "record_delimiter": "", "field_delimiter": ",",
                "record_template": "", "timestamp_format": null, "sample_rate": 1.0, "CVE-2021-44228": false,
                "merge_subrequests": false, "stringify_object": false,
            }}),
            None,
        ),
        (json!({"output_options": "x"}), output(None)),
        (json!({"output_options": {"unknown": 1}}), output(None)),
        (
            json!({"output_options": {"field_names": ["RayID"]}}),
            output(Some("field_names")),
        ),
        (
            json!({"output_options": {"output_type": "csv"}}),
            output(Some("output_type")),
        ),
        (
            json!({"output_options": {"batch_prefix": "["}}),
            output(Some("batch_prefix")),
        ),
        (
            json!({"output_options": {"record_template": "x"}}),
            output(Some("record_template")),
        ),
        (
            json!({"output_options": {"timestamp_format": "rfc3339"}}),
            output(Some("timestamp_format")),
        ),
        (
            json!({"output_options": {"timestamp_format": "unixnano"}}),
            output(Some("timestamp_format")),
        ),
        (
            json!({"output_options": {"sample_rate": 0.5}}),
            output(Some("sample_rate")),
        ),
        (
            json!({"output_options": {"CVE-2021-44228": true}}),
            output(Some("CVE-2021-44228")),
        ),
    ];
    for (body, expected) in table {
        assert_eq!(input(&body).err(), expected, "{body}");
    }
}

#[test]
fn a_change_touches_only_what_it_names() {
    let job = full();
    let change = |body: Value| input(&body).unwrap().apply_to(&job);

    assert_eq!(change(json!({})), Ok(job.clone()));
    assert_eq!(
        change(json!({"enabled": false})),
        Ok(Job {
            enabled: false,
            ..job.clone()
        })
    );
    assert_eq!(
        change(json!({"dataset": "http_requests", "kind": ""})),
        Ok(job.clone())
    );
    assert_eq!(
        change(json!({"dataset": null, "kind": null, "destination_conf": null, "enabled": null})),
        Ok(job.clone())
    );
    assert_eq!(
        change(json!({"dataset": "dns_logs"})),
        Err(E::Fixed { field: "dataset" })
    );
    assert_eq!(
        change(json!({"kind": "edge"})),
        Err(E::Fixed { field: "kind" })
    );

    let cleared = Job {
        name: None,
        filter: None,
        frequency: Frequency::High,
        output_options: None,
        max_upload_bytes: None,
        max_upload_records: None,
        max_upload_interval_seconds: None,
        ..job.clone()
    };
    for body in [
        json!({"name": null, "filter": null, "frequency": null, "output_options": null, "max_upload_bytes": null,
               "max_upload_records": null, "max_upload_interval_seconds": null}),
        json!({"name": "", "filter": "", "frequency": "", "output_options": null, "max_upload_bytes": 0,
               "max_upload_records": 0, "max_upload_interval_seconds": 0}),
    ] {
        assert_eq!(change(body), Ok(cleared.clone()));
    }
    assert_eq!(
        change(
            json!({"destination_conf": "https://new.example/", "max_upload_records": 2000, "filter": "{ }"})
        ),
        Ok(Job {
            destination_conf: "https://new.example/".into(),
            max_upload_records: Some(2000),
            filter: Some("{ }".into()),
            ..job.clone()
        })
    );
}

#[test]
fn the_words_of_the_errors_are_these() {
    let table = [
        (E::NotAnObject, "body: must be a JSON object"),
        (
            E::DestinationMissing,
            "destination_conf: is required; send a destination such as https://logs.example.com/?header_Authorization=…",
        ),
        (
            E::FilterNotText,
            r#"filter: must be a string that holds JSON, not an object; send "{\"where\":{…}}" with the quotes escaped"#,
        ),
        (
            E::NotABool { field: "enabled" },
            "enabled: must be true or false",
        ),
        (
            E::DatasetForm,
            "dataset: must be 1 to 256 characters of A-Z, a-z, 0-9, _ and -",
        ),
        (E::NameTooLong, "name: must have at most 512 characters"),
        (
            E::Fixed { field: "kind" },
            "kind: can not be changed; delete the job and create another one",
        ),
        (
            E::Limit {
                field: "max_upload_records",
                min: 1_000,
                max: 1_000_000,
            },
            "max_upload_records: must be a whole number from 1000 to 1000000, or 0 for no limit",
        ),
        (
            E::NotOffered {
                field: "logpull_options",
            },
            "logpull_options: is not offered yet; leave it out, records are sent as they come",
        ),
        (
            E::OutputNotOffered {
                option: Some("sample_rate"),
            },
            "output_options: sample_rate is not offered yet; leave it out, records are sent as they come",
        ),
    ];
    for (error, text) in table {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn debug_hides_credentials() {
    let body = json!({"destination_conf": "https://h.example/?token=s3cret"});
    let input = input(&body).unwrap();
    assert!(!format!("{input:?}").contains("s3cret"));
    assert!(!format!("{:?}", input.into_new_job(scope()).unwrap()).contains("s3cret"));
    assert!(!format!("{:?}", full()).contains("s3cret"));
}
