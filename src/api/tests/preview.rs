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
    for (body, text) in [
        (json!([]), "body: must be a JSON object"),
        (json!({"records": []}), "dataset: is required"),
        (with("dataset", json!(1)), "dataset: must be a string"),
        (with("dataset", json!("nope")), "dataset: is not known"),
        (
            with("job", json!(1)),
            "job: is not known here; a preview has dataset, filter, output_options and records",
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
