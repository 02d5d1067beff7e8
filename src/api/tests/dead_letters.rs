//! Calls about dead letters.

use super::*;

const LETTERS: &str = "/client/v4/zones/z1/logpush/jobs/1/dead-letters";

fn store_with_letters() -> Memory {
    let store = store_with_a_job();
    for id in 1..=3 {
        let letter = DeadLetter {
            id,
            batch_id: "b".into(),
            push_id: "p".into(),
            records: 1,
            bytes: if id == 3 { 70_000 } else { 8 },
            status: 422,
            reason: "error 422: no".into(),
            received_at_millis: 1_767_225_600_000,
            died_at_millis: 1_767_225_660_000,
            object: (id != 2).then(|| format!("dead-letters/zones/z1/1/{id}")),
        };
        store.letters.borrow_mut().push((1, letter));
    }
    store
}

fn post(store: &Memory, path: &str, body: &str) -> ApiResponse {
    call_as(store, Access::Write, "POST", path, body.as_bytes())
}

#[test]
fn dead_letters_are_listed_and_looked_into_with_a_read_token() {
    let store = store_with_letters();
    let read = |path: &str| call_as(&store, Access::Read, "GET", path, b"");
    let list = read(LETTERS);
    assert_eq!(result(&list).as_array().unwrap().len(), 3);
    assert_eq!(
        result(&list)[0],
        json!({
            "id": 1, "status": 422, "reason": "error 422: no", "records": 1, "bytes": 8,
            "received_at": "2026-01-01T00:00:00Z", "refused_at": "2026-01-01T00:01:00Z", "batch_id": "b", "push_id": "p",
            "object": "dead-letters/zones/z1/1/1",
        })
    );
    let one = read(&format!("{LETTERS}/1"));
    assert_eq!(result(&one)["content"], "{\"a\":1}\n");
    assert_eq!(result(&one)["content_truncated"], false);
    let gone = read(&format!("{LETTERS}/2"));
    assert_eq!(result(&gone)["content"], Value::Null);
    assert_eq!(
        result(&read(&format!("{LETTERS}/3")))["content_truncated"],
        true
    );
    let (status, code, text) = (
        404,
        1009,
        "dead letter not found: it was sent again, deleted, or never there",
    );
    assert_eq!(failed(&read(&format!("{LETTERS}/9"))), (status, code, text));
    let wrong = read(&format!("{LETTERS}?limit=0x1"));
    assert_eq!(failed(&wrong).1, 1002);
}

#[test]
fn dead_letters_are_sent_again_or_deleted_one_by_one_some_or_all() {
    let store = store_with_letters();
    let dry = post(
        &store,
        &format!("{LETTERS}/redrive"),
        r#"{"all": true, "dry_run": true}"#,
    );
    let expected =
        json!({"dead_letters": 3, "records": 3, "unavailable": 0, "left": 0, "dry_run": true});
    assert_eq!(result(&dry), &expected);
    assert_eq!(store.letters.borrow().len(), 3);
    let some = post(&store, &format!("{LETTERS}/redrive"), r#"{"ids": [1]}"#);
    assert_eq!(result(&some)["dead_letters"], 1);
    let one = call(&store, "DELETE", &format!("{LETTERS}/2"), &Value::Null);
    assert_eq!(result(&one)["dead_letters"], 1);
    let again = post(&store, &format!("{LETTERS}/2/redrive"), "");
    assert_eq!(failed(&again).1, 1009);
    let one = post(&store, &format!("{LETTERS}/3/redrive"), "");
    assert_eq!(result(&one)["records"], 1);
    assert!(store.letters.borrow().is_empty());
    let all = call(&store, "DELETE", LETTERS, &json!({"all": true}));
    assert_eq!(result(&all)["dead_letters"], 0);
}

#[test]
fn dead_letters_need_a_job_an_answering_store_and_a_token_that_may_write() {
    let store = store_with_letters();
    for (method, path) in [
        ("DELETE", LETTERS.to_owned()),
        ("DELETE", format!("{LETTERS}/1")),
        ("POST", format!("{LETTERS}/redrive")),
        ("POST", format!("{LETTERS}/1/redrive")),
    ] {
        let body = br#"{"all": true}"#;
        assert_eq!(
            failed(&call_as(&store, Access::Read, method, &path, body)).1,
            1004
        );
        assert_eq!(
            failed(&call_as(&store, Access::None, method, &path, body)).1,
            10000
        );
        let other = path.replace("jobs/1/", "jobs/2/");
        assert_eq!(
            failed(&call_as(&store, Access::Write, method, &other, body)).1,
            1006
        );
        let elsewhere = path.replace("zones/z1", "zones/z2");
        assert_eq!(
            failed(&call_as(&store, Access::Write, method, &elsewhere, body)).1,
            1006
        );
    }
    store.broken.set(true);
    assert_eq!(
        failed(&call_as(&store, Access::Read, "GET", LETTERS, b"")).1,
        1100
    );
}
