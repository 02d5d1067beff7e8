//! The call that shows what a job would make of records.

use serde_json::{Value, json};

use super::super::*;
use super::{Memory, call, call_as, failed, result};

const PREVIEW: &str = "/client/v4/zones/z1/logpush/preview";

fn post(body: &Value) -> ApiResponse {
    call(&Memory::default(), "POST", PREVIEW, body)
}

#[test]
fn a_preview_answers_each_record_with_its_text_or_a_reason() {
    let body = json!({
        "dataset": "dns_logs",
        "filter": json!({"where": {"key": "QueryType", "operator": "eq", "value": 28}}).to_string(),
        "output_options": {"schema": "ecs", "field_names": ["QueryName"]},
        "records": [
            {"QueryName": "a.example.", "QueryType": 28, "ColoCode": "SJC"},
            {"QueryName": "a.example.", "QueryType": 1},
        ],
    });
    let event = "{\"dns\":{\"question\":{\"name\":\"a.example\"}},\"event\":{\"kind\":\"event\",\"category\":[\"network\"],\
                 \"type\":[\"info\"],\"dataset\":\"dns_logs\"}}\n";
    let wanted = json!({
        "records": [event, null],
        "reasons": [null, "the filter wants QueryType eq 28, and it is 1"],
    });
    assert_eq!(*result(&post(&body)), wanted);
    let account = "/client/v4/accounts/a1/logpush/preview";
    let answer = call(&Memory::default(), "POST", account, &body);
    assert_eq!(*result(&answer), wanted);
}

#[test]
fn a_record_keeps_its_spelling_and_comes_on_one_line() {
    let body = b"{\"dataset\": \"dns_logs\", \"output_options\": null, \"records\": [ {\n  \"A\": 1e2, \"B\": \"\\u0041\",\n  \
        \"C\": 9223372036854775808.0\n}, {} ]}";
    let answer = call_as(&Memory::default(), Access::Write, "POST", PREVIEW, body);
    let line = "{\"A\": 1e2, \"B\": \"\\u0041\",\"C\": 9223372036854775808.0}\n";
    assert_eq!(
        *result(&answer),
        json!({"records": [line, "{}\n"], "reasons": [null, null]})
    );
}

#[test]
fn a_read_token_is_enough_because_nothing_is_stored_or_sent() {
    let body = json!({"dataset": "dns_logs", "records": []}).to_string();
    let store = Memory::default();
    let answer = call_as(&store, Access::Read, "POST", PREVIEW, body.as_bytes());
    assert_eq!(*result(&answer), json!({"records": [], "reasons": []}));
    assert!(store.jobs.borrow().is_empty() && store.tested.borrow().is_empty());
    let answer = call_as(&store, Access::None, "POST", PREVIEW, body.as_bytes());
    assert_eq!(failed(&answer).0, 401);
}

#[test]
fn what_is_wrong_with_a_preview_is_said_by_its_member() {
    let with = |name: &str, value: Value| {
        let mut body = json!({"dataset": "dns_logs", "records": [{}]});
        body[name] = value;
        body
    };
    let of_batch = |name: &str, value: Value| {
        let mut body = json!({"dataset": "dns_logs", "source": "newest_batch"});
        body[name] = value;
        body
    };
    for (body, text) in [
        (json!([]), "body: must be a JSON object"),
        (json!({"records": []}), "dataset: is required"),
        (with("dataset", json!(1)), "dataset: must be a string"),
        (with("dataset", json!("nope")), "dataset: is not known"),
        (
            with("job", json!(1)),
            "job: is not known here; a preview has dataset, filter, output_options, and records or source, first and values",
        ),
        (
            with("filter", json!({})),
            r#"filter: must be a string that holds JSON, such as "{\"where\": …}", as in a job"#,
        ),
        (
            with(
                "filter",
                json!(r#"{"where":{"key":"QueryNam","operator":"eq","value":"a"}}"#),
            ),
            "filter: where: dns_logs has no field `QueryNam`; did you mean `QueryName`?",
        ),
        (
            with(
                "output_options",
                json!({"schema": "ecs", "output_type": "csv"}),
            ),
            "output_options: schema ecs writes each record as one JSON object of its own form: leave output_type csv out, or schema",
        ),
        (
            with("output_options", json!({"field_names": ["RayID"]})),
            "output_options: field_names: dns_logs has no field `RayID`; see the dataset's fields and leave it out",
        ),
        (
            with("source", json!("newest_batch")),
            "records: can not stand beside source: send one of the two",
        ),
        (
            with("source", json!("oldest_batch")),
            "source: must be newest_batch, or left out",
        ),
        (
            with("first", json!(1)),
            "first: goes with \"source\": \"newest_batch\" only; leave it out",
        ),
        (
            of_batch("first", json!(101)),
            "first: must be a number from 0 to 100",
        ),
        (
            of_batch("values", json!(["A", 1])),
            "values: must be an array of at most 10 names of fields",
        ),
        (
            of_batch("values", json!(vec!["A"; 11])),
            "values: must be an array of at most 10 names of fields",
        ),
        (
            with("records", json!(null)),
            "records: must be an array of JSON objects",
        ),
        (
            with("records", json!([{}, 1])),
            "records[1]: is no record (not_an_object); send JSON objects",
        ),
        (
            with("records", json!(vec![json!({}); PREVIEW_MAX_RECORDS + 1])),
            "records: must be at most 100",
        ),
    ] {
        assert_eq!(failed(&post(&body)), (400, 1002, text), "{body}");
    }
    let mut body = with(
        "output_options",
        json!({"record_template": "{{.QueryName}}".repeat(1_000)}),
    );
    body["records"] = json!([{"QueryName": "x".repeat(10_000)}]);
    let text = "records: would become more than 8388608 bytes by this record_template; send fewer or smaller records";
    assert_eq!(failed(&post(&body)), (400, 1002, text));

    let too_long = vec![b' '; PREVIEW_MAX_BYTES + 1];
    let answer = call_as(
        &Memory::default(),
        Access::Write,
        "POST",
        PREVIEW,
        &too_long,
    );
    assert_eq!(
        failed(&answer),
        (
            413,
            10413,
            "the request body must have at most 1048576 bytes"
        )
    );
}

#[test]
fn a_preview_of_the_newest_batch_counts_all_of_it_and_shows_the_first_of_each_kind() {
    let store = Memory::default();
    let lines: String = (0..10)
        .map(|n| format!("{{\"QueryName\":\"a{n}.\",\"QueryType\":{}}}\n", n % 5))
        .collect();
    store
        .batch
        .replace(Some(("dns_logs".into(), lines.into_bytes())));
    let body = json!({
        "dataset": "dns_logs",
        "source": "newest_batch",
        "filter": json!({"where": {"key": "QueryType", "operator": "lt", "value": 2}}).to_string(),
        "output_options": {"field_names": ["QueryName"]},
        "first": 1,
        "values": ["QueryType"],
    });
    let answer = call_as(
        &store,
        Access::Read,
        "POST",
        PREVIEW,
        body.to_string().as_bytes(),
    );
    let two = |value: &str| json!({"value": value, "records": 2});
    let wanted = json!({
        "batch": {
            "object": "zones/z1/dns_logs/20270115/a.log.gz", "received_at": "2027-01-15T08:00:00Z",
            "records": 10, "bytes_raw": 340,
        },
        "read": {"records": 10, "invalid_lines": 0, "stopped_by": null},
        "selected": {"records": 4, "bytes": 80, "first": ["{\"QueryName\":\"a0.\"}\n"]},
        "not_selected": {"records": 6, "first": [{
            "record": "{\"QueryName\":\"a2.\",\"QueryType\":2}",
            "reason": "the filter wants QueryType lt 2, and it is 2",
        }]},
        "values": {"QueryType": [two("0"), two("1"), two("2"), two("3"), two("4")]},
        "per_day": {"records": 400, "bytes": 8_000, "of_records": 1_000, "window_seconds": 86_430},
    });
    assert_eq!(*result(&answer), wanted);
}

#[test]
fn without_an_archived_batch_a_preview_of_it_says_so() {
    let body = json!({"dataset": "dns_logs", "source": "newest_batch"});
    let answer = post(&body);
    let result = result(&answer);
    assert_eq!(result["batch"], json!(null));
    assert_eq!(result["per_day"], json!(null));
    assert_eq!(result["read"]["records"], 0);
    let store = Memory::default();
    store
        .batch
        .replace(Some(("dns_logs".into(), b"no record\n".to_vec())));
    // A batch without a record tells no share.
    let answer = call(&store, "POST", PREVIEW, &body);
    assert_eq!(super::result(&answer)["per_day"], json!(null));
    assert_eq!(super::result(&answer)["read"]["invalid_lines"], 1);
    store.broken.set(true);
    assert_eq!(failed(&call(&store, "POST", PREVIEW, &body)).0, 503);
}

#[test]
fn datasets_are_those_of_the_scope_and_those_that_came_in() {
    let store = Memory::default();
    store
        .batch
        .replace(Some(("next_weeks_dataset".into(), Vec::new())));
    let list = |scope: &str| {
        let answer = call(
            &store,
            "GET",
            &format!("/client/v4/{scope}/logpush/datasets"),
            &Value::Null,
        );
        result(&answer).as_array().unwrap().clone()
    };
    let (zone, account) = (list("zones/z1"), list("accounts/a1"));
    let has = |list: &[Value], name: &str| list.iter().any(|one| one["dataset"] == name);
    for (list, name, is_there) in [
        (&zone, "http_requests", true),
        (&account, "http_requests", false),
        (&zone, "gateway_dns", false),
        (&account, "gateway_dns", true),
        (&zone, "websocket_analytics", true),
        (&account, "websocket_analytics", true),
    ] {
        assert_eq!(has(list, name), is_there, "{name}");
    }
    let unknown = json!({
        "dataset": "next_weeks_dataset", "known": false, "timestamp_field": null, "arrived": true,
        "last_seen": "2027-01-15T08:00:00Z",
    });
    assert!(zone.contains(&unknown) && account.contains(&unknown));
    let known = json!({
        "dataset": "http_requests", "known": true, "timestamp_field": "EdgeStartTimestamp", "arrived": false,
        "last_seen": null,
    });
    assert!(zone.contains(&known));
}
