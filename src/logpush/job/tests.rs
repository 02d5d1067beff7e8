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
        subrequest_merging: None,
        last_complete: Some("2026-01-01T00:00:00Z".into()),
        last_error: Some("2026-01-01T00:01:00Z".into()),
        error_message: Some(
            "error 500: error pushing: error uploading to https: status:500".into(),
        ),
        disabled_by_failing_at_millis: None,
        backfill: None,
        replay: None,
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
    let merging = Job {
        subrequest_merging: Some(false),
        ..full()
    };
    let stored = serde_json::to_string(&merging).unwrap();
    assert!(stored.contains(
        r#""max_upload_interval_seconds":30,"subrequest_merging":false,"last_complete""#
    ));
    assert_eq!(serde_json::from_str::<Job>(&stored).unwrap(), merging);
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
        (json!({"dataset": ""}), None),
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
        (json!({"max_upload_bytes": 4_999_999}), Some(bytes.clone())),
        (
            json!({"max_upload_bytes": 1_000_000_001}),
            Some(bytes.clone()),
        ),
        (json!({"max_upload_bytes": -1}), Some(bytes.clone())),
        (
            json!({"max_upload_bytes": 5_000_000.5}),
            Some(bytes.clone()),
        ),
        (json!({"max_upload_bytes": "5000000"}), Some(bytes.clone())),
        (json!({"max_upload_records": 1_000}), None),
        (json!({"max_upload_records": 999}), Some(records.clone())),
        (
            json!({"max_upload_records": 1_000_001}),
            Some(records.clone()),
        ),
        (json!({"max_upload_interval_seconds": 300}), None),
        (
            json!({"max_upload_interval_seconds": 29}),
            Some(interval.clone()),
        ),
        (
            json!({"max_upload_interval_seconds": 301}),
            Some(interval.clone()),
        ),
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
fn output_options_are_checked_and_kept_as_sent() {
    let sent = json!({"destination_conf": "https://h.example/", "subrequest_merging": true,
        "logpull_options": "timestamps=unix&fields=ClientIP&later=1",
        "output_options": {"field_names": ["RayID"], "schema": "logpush", "merge_subrequests": true, "sample_rate": null}});
    let job = create(&sent).unwrap();
    let shown = job.to_api(false);
    for member in ["output_options", "logpull_options", "subrequest_merging"] {
        assert_eq!(shown[member], sent[member]);
    }
    assert_eq!(job.output().unwrap().field_names, ["RayID"]);
    let older = Job {
        output_options: None,
        ..job
    };
    assert_eq!(older.output().unwrap().field_names, ["ClientIP"]);

    for (options, text) in [
        (
            json!({"output_options": {"output_type": "xml"}}),
            "output_options: output_type must be ndjson or csv",
        ),
        (
            json!({"output_options": {"field_names": ["rayid"]}}),
            "output_options: field_names: http_requests has no field `rayid`; did you mean `RayID`?",
        ),
        (
            json!({"logpull_options": "sample=2"}),
            "logpull_options: sample must be a number above 0 and at most 1; 0.1 sends one record of ten",
        ),
        (
            json!({"logpull_options": "fields=rayid"}),
            "logpull_options: fields: http_requests has no field `rayid`; did you mean `RayID`?",
        ),
        (
            json!({"transformer_id": 3}),
            "transformer_id: is not offered: there are no transformers here; leave it out, and shape records by output_options",
        ),
        (
            json!({"sample_rate": 0.1}),
            "sample_rate: is not offered beside output_options; put sample_rate into output_options",
        ),
        (
            json!({"kind": "edge"}),
            "kind: is not offered: there are no edge jobs here; leave it out",
        ),
    ] {
        let mut body = options.clone();
        body["destination_conf"] = json!("https://h.example/");
        assert_eq!(
            create(&body).map_err(|e| e.to_string()),
            Err(text.to_owned())
        );
        if options.get("kind").is_none() {
            let change = input(&options).and_then(|change| change.apply_to(&full()));
            assert_eq!(change.map_err(|e| e.to_string()), Err(text.to_owned()));
        }
    }
    for unset in [json!(null), json!(""), json!(0)] {
        let body = json!({"transformer_id": unset, "sample": unset, "sample_rate": unset});
        assert_eq!(input(&body), Ok(JobInput::default()), "{body}");
    }
}

#[test]
fn a_job_whose_field_left_the_catalogue_can_still_be_changed() {
    let job = Job {
        output_options: Some(json!({"field_names": ["GoneField"]})),
        ..full()
    };
    let change = |body: Value| input(&body).unwrap().apply_to(&job);
    assert!(change(json!({"enabled": false})).is_ok());
    assert!(change(json!({"output_options": {"field_names": ["GoneField"]}})).is_ok());
    assert!(change(json!({"output_options": {"field_names": ["GoneField", "RayID"]}})).is_err());
    let open = json!({"destination_conf": "https://h.example/", "dataset": "next_weeks", "output_options": job.output_options});
    assert!(create(&open).is_ok());
}

#[test]
fn an_ownership_challenge_is_read_and_never_shown() {
    let body =
        json!({"destination_conf": "https://h.example/", "ownership_challenge": "a+/b.c-D_9"});
    let input = input(&body).unwrap();
    assert_eq!(input.ownership_challenge.as_deref(), Some("a+/b.c-D_9"));
    assert!(!format!("{input:?}").contains("D_9"));
    let job = input.into_new_job(scope()).unwrap().with_id(1);
    assert!(!job.to_api(false).to_string().contains("D_9"));
    assert!(!serde_json::to_string(&job).unwrap().contains("D_9"));
    assert_eq!(
        create(&json!({"destination_conf": "https://h.example/", "ownership_challenge": "a b"})),
        Err(E::ChallengeForm)
    );
}

#[test]
fn a_change_touches_only_what_it_names() {
    let job = Job {
        subrequest_merging: Some(true),
        ..full()
    };
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
        subrequest_merging: None,
        max_upload_bytes: None,
        max_upload_records: None,
        max_upload_interval_seconds: None,
        ..job.clone()
    };
    for body in [
        json!({"name": null, "filter": null, "frequency": null, "output_options": null, "max_upload_bytes": null,
               "max_upload_records": null, "max_upload_interval_seconds": null, "subrequest_merging": null}),
        json!({"name": "", "filter": "", "frequency": "", "output_options": "", "max_upload_bytes": 0,
               "max_upload_records": 0, "max_upload_interval_seconds": 0, "subrequest_merging": null}),
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
fn a_job_that_was_disabled_by_failing_goes_on_selecting_until_somebody_says_whether_it_is_enabled()
{
    let disabled = full().disabled_by_failing(5);
    assert!(!disabled.enabled && disabled.is_selecting());
    let stored = serde_json::to_string(&disabled).unwrap();
    assert!(stored.ends_with(r#","disabled_by_failing_at_millis":5}"#));
    assert_eq!(serde_json::from_str::<Job>(&stored).unwrap(), disabled);
    let change = |body: Value| input(&body).unwrap().apply_to(&disabled).unwrap();
    assert!(change(json!({"name": "other"})).is_selecting());
    let (on, off) = (
        change(json!({"enabled": true})),
        change(json!({"enabled": false})),
    );
    assert_eq!((on.enabled, on.disabled_by_failing_at_millis), (true, None));
    assert!(!off.is_selecting());
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
            E::ChallengeForm,
            "ownership_challenge: must be at most 4096 characters of A-Z, a-z, 0-9, /, +, ., - and _; \
             send what the challenge file holds",
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
