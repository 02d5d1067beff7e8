//! The calls about datasets, and those that check something without storing it.

use serde_json::{Value, json};

use super::super::*;
use super::{CONF, JOBS, Memory, NOW, call, call_as, failed, result, store_with_a_job};
use crate::logpush::scope::{Scope, ScopeKind};

const ZONE: &str = "/client/v4/zones/z1/logpush";

#[test]
fn a_dataset_has_fields_default_fields_and_jobs() {
    let store = store_with_a_job();
    let body = json!({"destination_conf": CONF, "dataset": "brand_new"});
    result(&call(&store, "POST", JOBS, &body));
    let get = |path: &str| {
        call(
            &store,
            "GET",
            &format!("{ZONE}/datasets/{path}"),
            &Value::Null,
        )
    };

    let answer = get("dns_logs/fields");
    let fields = result(&answer);
    assert_eq!(
        fields["Timestamp"],
        "int or string; When the query happened"
    );
    assert_eq!(fields.as_object().unwrap().len(), 9);
    assert_eq!(get("dns_logs/fields/default"), answer);
    let (all, defaults) = (
        get("http_requests/fields"),
        get("http_requests/fields/default"),
    );
    assert_eq!(
        result(&all)["RequestHeaders"]
            .as_str()
            .unwrap()
            .split(';')
            .next(),
        Some("object")
    );
    assert!(result(&defaults).get("RequestHeaders").is_none());

    for (dataset, ids) in [
        ("http_requests", vec![1]),
        ("brand_new", vec![2]),
        ("dns_logs", vec![]),
    ] {
        let answer = get(&format!("{dataset}/jobs"));
        let jobs = result(&answer).as_array().unwrap();
        let found: Vec<u64> = jobs.iter().filter_map(|job| job["id"].as_u64()).collect();
        assert_eq!(found, ids, "{dataset}");
    }
    let unknown = "dataset: http_request is not in the catalogue; did you mean http_requests?";
    for path in [
        "http_request/fields",
        "http_request/fields/default",
        "http_request/jobs",
    ] {
        assert_eq!(failed(&get(path)), (404, 1008, unknown));
    }
    let path = format!("{ZONE}/datasets/http_requests/jobs");
    let answer = call_as(&store, Access::Read, "GET", &path, b"");
    assert!(
        result(&answer)[0]["destination_conf"]
            .as_str()
            .unwrap()
            .ends_with("REDACTED")
    );
}

#[test]
fn checks_answer_with_a_verdict_and_store_nothing() {
    let store = store_with_a_job();
    let before = call(&store, "GET", JOBS, &Value::Null);
    let s3 = "access-key-id: is missing; send access-key-id=, with the id of an access key; without one only Cloudflare itself may write there";
    let verdict = |message: &str| json!({"message": message, "valid": message.is_empty()});
    let destination = |conf: &str| json!({"destination_conf": conf});
    let table = [
        (
            "validate/destination",
            destination("https://new.example/"),
            verdict(""),
        ),
        (
            "validate/destination",
            destination("https://no.example/"),
            verdict(
                "error validating destination: error 403: error pushing: error uploading to https: 403 bad key",
            ),
        ),
        (
            "validate/destination",
            destination("s3://logs?region=eu-west-1"),
            verdict(s3),
        ),
        (
            "validate/destination/exists",
            destination(CONF),
            json!({"exists": true}),
        ),
        (
            "validate/destination/exists",
            destination("https://h.example/in?tags=a"),
            json!({"exists": false}),
        ),
        (
            "validate/origin",
            json!({"logpull_options": "fields=RayID", "dataset": "dns_logs"}),
            verdict(""),
        ),
        (
            "validate/origin",
            json!({"logpull_options": null}),
            verdict(""),
        ),
        (
            "validate/origin",
            json!({"logpull_options": "fields=bad"}),
            verdict("fields: bad is no field of http_requests"),
        ),
        (
            "validate/origin",
            json!({"logpull_options": "", "dataset": "nope"}),
            verdict("dataset: is not known"),
        ),
        (
            "ownership",
            destination(CONF),
            json!({"filename": "", "message": "no ownership challenge is needed for this destination", "valid": true}),
        ),
        (
            "ownership",
            destination("s3://logs?region=eu-west-1"),
            json!({"filename": "", "message": format!("no ownership challenge was written: {s3}"), "valid": false}),
        ),
        (
            "ownership/validate",
            json!({"destination_conf": CONF, "ownership_challenge": "v1.1.ff"}),
            json!({"valid": false}),
        ),
    ];
    for (path, body, expected) in table {
        let path = format!("{ZONE}/{path}");
        assert_eq!(
            result(&call(&store, "POST", &path, &body)),
            &expected,
            "{path} {body}"
        );
        let answer = call_as(
            &store,
            Access::Read,
            "POST",
            &path,
            body.to_string().as_bytes(),
        );
        assert_eq!(failed(&answer).1, 1004, "{path}");
        let answer = call_as(
            &store,
            Access::None,
            "POST",
            &path,
            body.to_string().as_bytes(),
        );
        assert_eq!(failed(&answer).1, 10000, "{path}");
    }
    assert_eq!(call(&store, "GET", JOBS, &Value::Null), before);
    for (path, body, text) in [
        ("ownership", json!({}), "destination_conf: is required"),
        (
            "ownership/validate",
            destination(CONF),
            "ownership_challenge: is required",
        ),
        (
            "validate/destination",
            json!({"destination_conf": 1}),
            "destination_conf: must be a string",
        ),
        (
            "validate/destination/exists",
            json!([]),
            "body: must be a JSON object",
        ),
        (
            "validate/origin",
            json!({"dataset": {}}),
            "dataset: must be a string",
        ),
    ] {
        let answer = call(&store, "POST", &format!("{ZONE}/{path}"), &body);
        assert_eq!(failed(&answer), (400, 1002, text));
    }
}

#[test]
fn an_ownership_challenge_is_valid_for_its_scope_and_destination() {
    let store = Memory::default();
    let conf = "s3://logs/dir?region=eu-west-1";
    let key = OwnershipKey::derive("api-token").unwrap();
    let scope = Scope::new(ScopeKind::Zone, "z1").unwrap();
    let fresh = key.issue(&scope, conf, NOW);
    let expired = key.issue(&scope, conf, NOW - CHALLENGE_VALID_SECS);
    for (zone, conf, token, valid) in [
        ("z1", conf, &fresh, true),
        ("z1", conf, &expired, false),
        ("z2", conf, &fresh, false),
        ("z1", "s3://other?region=eu-west-1", &fresh, false),
    ] {
        let path = format!("/client/v4/zones/{zone}/logpush/ownership/validate");
        let body = json!({"destination_conf": conf, "ownership_challenge": token});
        let answer = call(&store, "POST", &path, &body);
        assert_eq!(result(&answer), &json!({"valid": valid}), "{zone} {conf}");
    }
}

#[test]
fn a_challenge_is_written_where_there_is_a_key_and_is_valid_afterwards() {
    let store = Memory::default();
    let key = "region=eu-west-1&access-key-id=A&secret-access-key=B";
    let conf = format!("s3://logs/dir?{key}");
    let path = "/client/v4/zones/z1/logpush/ownership";
    let written = call(&store, "POST", path, &json!({"destination_conf": conf}));
    assert_eq!(
        result(&written),
        &json!({"filename": "dir/ownership-challenge.txt", "message": "", "valid": true})
    );
    let token = store.files.borrow()[0].clone();
    let back = json!({"destination_conf": conf, "ownership_challenge": token});
    let validated = call(&store, "POST", &format!("{path}/validate"), &back);
    assert_eq!(result(&validated), &json!({"valid": true}));
    let refused = json!({"destination_conf": format!("s3://no-logs/dir?{key}")});
    let refused = call(&store, "POST", path, &refused);
    assert_eq!(
        result(&refused),
        &json!({
            "filename": "",
            "message": "no ownership challenge was written: error 403: AccessDenied",
            "valid": false,
        })
    );
}
