//! The handlers over a store in memory.

mod checks;
mod dead_letters;
mod preview;
mod tail;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::{Value, json};

use super::*;
use crate::batch::reader::Reader;
use crate::logpush::destination_conf::{DestinationConf, DestinationPolicy};
use crate::logpush::job::{Job, NewJob};
use crate::logpush::scope::Scope;
use crate::outbox::{DeadLetter, Selected, Selection};
use crate::route::BatchPreview;

/// Nothing here waits for anything, so one poll is enough.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits"),
    }
}

#[derive(Default)]
struct Memory {
    jobs: RefCell<Vec<Job>>,
    broken: Cell<bool>,
    /// Changes by somebody else that come before the next writes.
    races: Cell<u32>,
    /// Destinations that got a test message.
    tested: RefCell<Vec<String>>,
    /// What was put into storage.
    files: RefCell<Vec<String>>,
    /// The newest batch of the one dataset that has come in: its name, and its lines.
    batch: RefCell<Option<(String, Vec<u8>)>>,
    /// Dead letters, each with its job.
    letters: RefCell<Vec<(u64, DeadLetter)>>,
}

impl Memory {
    fn check(&self) -> Result<(), StoreError> {
        if self.broken.get() {
            Err(StoreError {
                text: "gone".into(),
            })
        } else {
            Ok(())
        }
    }
}

impl JobStore for Memory {
    async fn list(&self, scope: &Scope) -> Result<Vec<Job>, StoreError> {
        self.check()?;
        Ok(self
            .jobs
            .borrow()
            .iter()
            .filter(|job| job.scope == *scope)
            .cloned()
            .collect())
    }

    async fn get(&self, scope: &Scope, id: u64) -> Result<Option<Job>, StoreError> {
        self.check()?;
        Ok(self
            .jobs
            .borrow()
            .iter()
            .find(|job| job.scope == *scope && job.id == id)
            .cloned())
    }

    async fn create(&self, job: NewJob) -> Result<Job, StoreError> {
        self.check()?;
        let mut jobs = self.jobs.borrow_mut();
        let job = job.with_id(jobs.len() as u64 + 1);
        jobs.push(job.clone());
        Ok(job)
    }

    async fn update(
        &self,
        scope: &Scope,
        id: u64,
        version: u64,
        job: Job,
    ) -> Result<Option<Job>, StoreError> {
        self.check()?;
        let mut jobs = self.jobs.borrow_mut();
        let Some(kept) = jobs
            .iter_mut()
            .find(|job| job.scope == *scope && job.id == id)
        else {
            return Ok(None);
        };
        if self.races.get() > 0 {
            self.races.set(self.races.get() - 1);
            kept.version += 1;
            kept.name = Some("raced".into());
        }
        if kept.version != version {
            return Ok(None);
        }
        *kept = Job {
            version: version + 1,
            ..job
        };
        Ok(Some(kept.clone()))
    }

    async fn delete(&self, scope: &Scope, id: u64) -> Result<bool, StoreError> {
        self.check()?;
        let mut jobs = self.jobs.borrow_mut();
        let before = jobs.len();
        jobs.retain(|job| job.scope != *scope || job.id != id);
        Ok(jobs.len() < before)
    }

    async fn arrived(&self, _: &Scope) -> Result<Vec<ArrivedDataset>, StoreError> {
        self.check()?;
        let batch = self.batch.borrow();
        let arrived = batch.iter().map(|(dataset, _)| ArrivedDataset {
            dataset: dataset.clone(),
            last_seen_millis: NOW * 1000,
        });
        Ok(arrived.collect())
    }

    async fn preview_newest(
        &self,
        _: &Scope,
        dataset: &str,
        into: &mut BatchPreview,
    ) -> Result<Option<NewestBatch>, StoreError> {
        self.check()?;
        let batch = self.batch.borrow();
        let Some((_, body)) = batch.as_ref().filter(|(known, _)| known == dataset) else {
            return Ok(None);
        };
        let (mut reader, mut window) = (Reader::new(), Vec::new());
        let projection = into.projection().clone();
        reader.feed(body, &mut window, &projection, into);
        reader.finish(&mut window, &projection, into);
        Ok(Some(NewestBatch {
            object: "zones/z1/dns_logs/20270115/a.log.gz".into(),
            received_at_millis: NOW * 1000,
            records: reader.meter().records,
            bytes_raw: reader.meter().bytes_raw,
            day_records: 1_000,
            day_secs: 86_430,
        }))
    }

    async fn dead_letters(
        &self,
        job: u64,
        selection: &Selection,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.check()?;
        let letters = self.letters.borrow();
        let chosen = letters.iter().filter(|(owner, letter)| {
            *owner == job && (selection.ids.is_empty() || selection.ids.contains(&letter.id))
        });
        Ok(chosen.map(|(_, letter)| letter.clone()).collect())
    }

    async fn dead_letter_content(
        &self,
        letter: &DeadLetter,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.check()?;
        Ok(letter.object.is_some().then(|| b"{\"a\":1}\n".to_vec()))
    }

    async fn redrive(&self, job: u64, selection: &Selection) -> Result<Selected, StoreError> {
        let chosen = self.dead_letters(job, selection).await?;
        if !selection.dry_run {
            let ids: Vec<u64> = chosen.iter().map(|letter| letter.id).collect();
            let mut letters = self.letters.borrow_mut();
            letters.retain(|(owner, letter)| *owner != job || !ids.contains(&letter.id));
        }
        Ok(Selected {
            dead_letters: chosen.len() as u64,
            records: chosen.iter().map(|letter| letter.records).sum(),
            ..Selected::default()
        })
    }

    async fn discard_dead_letters(
        &self,
        job: u64,
        selection: &Selection,
    ) -> Result<Selected, StoreError> {
        self.redrive(job, selection).await
    }
}

struct Rules;

impl JobRules for Rules {
    fn check_dataset(&self, _: &Scope, dataset: &str) -> Result<(), String> {
        if dataset == "nope" {
            Err("is not known".into())
        } else {
            Ok(())
        }
    }

    fn check_filter(&self, scope: &Scope, dataset: &str, filter: &str) -> Result<(), String> {
        if filter.contains("where") {
            Ok(())
        } else {
            Err(format!("no filter for {dataset} of {scope}"))
        }
    }

    fn check_logpull_options(&self, _: &Scope, dataset: &str, text: &str) -> Result<(), String> {
        if text.contains("bad") {
            Err(format!("fields: bad is no field of {dataset}"))
        } else {
            Ok(())
        }
    }

    fn check_destination(&self, destination_conf: &str) -> Result<(), String> {
        let parsed = DestinationConf::parse(destination_conf, DestinationPolicy::default());
        parsed.map(drop).map_err(|error| error.to_string())
    }
}

/// A destination whose name begins with `no.` refuses.
impl DestinationTester for Memory {
    async fn test(&self, destination_conf: &str) -> Result<(), String> {
        self.tested.borrow_mut().push(destination_conf.to_owned());
        if destination_conf.starts_with("https://no.") {
            Err("error 403: error pushing: error uploading to https: 403 bad key".into())
        } else {
            Ok(())
        }
    }

    async fn put_file(
        &self,
        destination_conf: &str,
        file: &str,
        content: &str,
    ) -> Result<Option<String>, String> {
        if !destination_conf.contains("access-key-id=") {
            return Ok(None);
        }
        if destination_conf.starts_with("s3://no-") {
            return Err("error 403: AccessDenied".into());
        }
        self.files.borrow_mut().push(content.to_owned());
        Ok(Some(format!("dir/{file}")))
    }
}

const NOW: u64 = 1_800_000_000;
const JOBS: &str = "/client/v4/zones/z1/logpush/jobs";
const JOB_1: &str = "/client/v4/zones/z1/logpush/jobs/1";
const CONF: &str = "https://h.example/in?tags=a&header_Authorization=Bearer%20s3cret";

fn call_as(store: &Memory, access: Access, method: &str, path: &str, body: &[u8]) -> ApiResponse {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    match Route::parse(method, path) {
        Ok(route) => {
            let key = OwnershipKey::derive("api-token");
            let services = Services {
                store,
                rules: &Rules,
                tester: store,
                ownership: key.as_ref(),
                now_unix_secs: NOW,
            };
            now(handle(&route, access, Content { query, body }, &services))
        }
        Err(error) => error.into(),
    }
}

fn call(store: &Memory, method: &str, path: &str, body: &Value) -> ApiResponse {
    call_as(
        store,
        Access::Write,
        method,
        path,
        body.to_string().as_bytes(),
    )
}

fn failed(answer: &ApiResponse) -> (u16, u64, &str) {
    let error = &answer.body["errors"][0];
    assert_eq!(
        (&answer.body["success"], &answer.body["result"]),
        (&json!(false), &Value::Null)
    );
    (
        answer.status,
        error["code"].as_u64().unwrap(),
        error["message"].as_str().unwrap(),
    )
}

fn result(answer: &ApiResponse) -> &Value {
    assert_eq!(
        (answer.status, &answer.body["success"]),
        (200, &json!(true)),
        "{}",
        answer.body
    );
    &answer.body["result"]
}

fn store_with_a_job() -> Memory {
    let store = Memory::default();
    let body = json!({
        "destination_conf": CONF, "name": "one", "filter": "{\"where\":1}", "max_upload_records": 1000, "enabled": "true",
    });
    result(&call(&store, "POST", JOBS, &body));
    store
}

#[test]
fn a_job_is_created_listed_read_changed_and_deleted() {
    let store = Memory::default();
    assert_eq!(result(&call(&store, "GET", JOBS, &Value::Null)), &json!([]));

    let created = call(
        &store,
        "POST",
        JOBS,
        &json!({"destination_conf": CONF, "dataset": "dns_logs"}),
    );
    let job = result(&created);
    assert_eq!(
        (&job["id"], &job["dataset"], &job["enabled"]),
        (&json!(1), &json!("dns_logs"), &json!(false))
    );
    assert_eq!(job["destination_conf"], CONF);
    assert_eq!(result(&call(&store, "GET", JOB_1, &Value::Null)), job);
    assert_eq!(
        result(&call(&store, "GET", JOBS, &Value::Null)),
        &json!([job])
    );

    let changed = call(&store, "PUT", JOB_1, &json!({"enabled": true}));
    let mut expected = job.clone();
    expected["enabled"] = json!(true);
    assert_eq!(result(&changed), &expected);
    assert_eq!(result(&call(&store, "GET", JOB_1, &Value::Null)), &expected);

    assert_eq!(
        result(&call(&store, "DELETE", JOB_1, &Value::Null)),
        &json!({"id": 1})
    );
    for method in ["GET", "DELETE"] {
        assert_eq!(
            failed(&call(&store, method, JOB_1, &Value::Null)),
            (404, 1006, "job not found")
        );
    }
    assert_eq!(
        failed(&call(&store, "PUT", JOB_1, &json!({}))),
        (404, 1006, "job not found")
    );
}

#[test]
fn a_put_keeps_what_it_does_not_name_and_clears_on_demand() {
    let store = store_with_a_job();
    let before = call(&store, "GET", JOB_1, &Value::Null);
    assert_eq!(call(&store, "PUT", JOB_1, &json!({})), before);
    assert_eq!(
        call(
            &store,
            "PUT",
            JOB_1,
            &json!({"token": "x", "dataset": "http_requests"})
        ),
        before
    );

    let cleared = call(
        &store,
        "PUT",
        JOB_1,
        &json!({"name": null, "filter": "", "max_upload_records": 0}),
    );
    let mut expected = result(&before).clone();
    expected["name"] = Value::Null;
    expected["filter"] = json!("");
    expected["max_upload_records"] = Value::Null;
    assert_eq!(result(&cleared), &expected);
}

#[test]
fn what_is_wrong_with_a_job_is_said_with_the_members_name() {
    let store = store_with_a_job();
    let before = call(&store, "GET", JOBS, &Value::Null);
    let table = [
        ("POST", JOBS, json!({}), "destination_conf: is required"),
        (
            "POST",
            JOBS,
            json!({"destination_conf": CONF, "dataset": "nope"}),
            "dataset: is not known",
        ),
        (
            "POST",
            JOBS,
            json!({"destination_conf": CONF, "dataset": "a b"}),
            "dataset: must be 1 to 256",
        ),
        (
            "POST",
            JOBS,
            json!({"destination_conf": CONF, "filter": "x"}),
            "filter: no filter for http_requests of zones/z1",
        ),
        (
            "POST",
            JOBS,
            json!({"destination_conf": CONF, "filter": {}}),
            "filter: must be a string that holds JSON",
        ),
        (
            "POST",
            JOBS,
            json!({"destination_conf": "s3://logs/?region=eu-west-1&secret-access-key=s3cret"}),
            "destination_conf: access-key-id: is missing",
        ),
        (
            "POST",
            JOBS,
            json!({"destination_conf": "s3://logs/?region=eu-west-1"}),
            "destination_conf: access-key-id: is missing; send access-key-id=",
        ),
        (
            "POST",
            JOBS,
            json!({"destination_conf": CONF, "logpull_options": "sample=2"}),
            "logpull_options: sample must be a number above 0",
        ),
        (
            "PUT",
            JOB_1,
            json!({"filter": "x"}),
            "filter: no filter for http_requests of zones/z1",
        ),
        (
            "PUT",
            JOB_1,
            json!({"destination_conf": "https://127.0.0.1/?token=s3cret"}),
            "destination_conf: the host is private",
        ),
        (
            "PUT",
            JOB_1,
            json!({"destination_conf": ""}),
            "destination_conf: is required",
        ),
        (
            "PUT",
            JOB_1,
            json!({"dataset": "dns_logs"}),
            "dataset: can not be changed",
        ),
        (
            "PUT",
            JOB_1,
            json!({"kind": "edge"}),
            "kind: can not be changed",
        ),
        (
            "PUT",
            JOB_1,
            json!({"max_upload_records": 1}),
            "max_upload_records: must be a whole number",
        ),
        ("PUT", JOB_1, json!([]), "body: must be a JSON object"),
    ];
    for (method, path, body, begin) in table {
        let answer = call(&store, method, path, &body);
        let (status, code, message) = failed(&answer);
        assert_eq!((status, code), (400, 1002), "{body}");
        assert!(message.starts_with(begin), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
    assert_eq!(call(&store, "GET", JOBS, &Value::Null), before);
}

#[test]
fn a_body_must_be_json_and_not_too_long() {
    let store = store_with_a_job();
    let post = |body: &[u8]| call_as(&store, Access::Write, "POST", JOBS, body);
    assert_eq!(
        failed(&post(b"")),
        (400, 1002, "body: is no JSON (line 1, column 0)")
    );
    assert_eq!(
        failed(&post(b"{\"token\":s3cret}")),
        (400, 1002, "body: is no JSON (line 1, column 10)")
    );
    let too_long = post(&vec![b' '; MAX_REQUEST_BYTES + 1]);
    assert_eq!(
        failed(&too_long),
        (413, 10413, "the request body must have at most 65536 bytes")
    );
    let mut body = json!({"destination_conf": CONF}).to_string().into_bytes();
    body.resize(MAX_REQUEST_BYTES, b' ');
    result(&post(&body));
}

#[test]
fn a_read_token_reads_masked_and_writes_nothing() {
    let store = store_with_a_job();
    let masked = "https://h.example/in?tags=a&header_Authorization=REDACTED";
    let read = |path: &str| call_as(&store, Access::Read, "GET", path, b"");
    assert_eq!(result(&read(JOB_1))["destination_conf"], masked);
    assert_eq!(result(&read(JOBS))[0]["destination_conf"], masked);

    let before = call(&store, "GET", JOBS, &Value::Null);
    for (method, path) in [("POST", JOBS), ("PUT", JOB_1), ("DELETE", JOB_1)] {
        let answer = call_as(&store, Access::Read, method, path, b"{}");
        let text = "this call is not allowed with a read token; use the API token";
        assert_eq!(failed(&answer), (403, 1004, text), "{method}");
    }
    assert_eq!(call(&store, "GET", JOBS, &Value::Null), before);

    // What a read token was shown does not come back as a credential.
    let answer = call(&store, "PUT", JOB_1, &json!({"destination_conf": masked}));
    assert!(
        failed(&answer)
            .2
            .starts_with("destination_conf: header_Authorization: REDACTED is what a read shows")
    );
}

#[test]
fn without_a_token_there_is_nothing() {
    let store = store_with_a_job();
    for (method, path) in [
        ("GET", JOBS),
        ("POST", JOBS),
        ("GET", JOB_1),
        ("PUT", JOB_1),
        ("DELETE", JOB_1),
    ] {
        let answer = call_as(&store, Access::None, method, path, b"{}");
        let (status, code, _) = failed(&answer);
        assert_eq!((status, code), (401, 10000), "{method} {path}");
    }
}

#[test]
fn a_job_of_another_zone_or_account_is_not_found() {
    let store = store_with_a_job();
    for other in ["zones/z2", "accounts/z1"] {
        let path = format!("/client/v4/{other}/logpush/jobs/1");
        for method in ["GET", "PUT", "DELETE"] {
            let answer = call(&store, method, &path, &json!({"enabled": false}));
            assert_eq!(
                failed(&answer),
                (404, 1006, "job not found"),
                "{method} {path}"
            );
        }
        let list = call(
            &store,
            "GET",
            &format!("/client/v4/{other}/logpush/jobs"),
            &Value::Null,
        );
        assert_eq!(result(&list), &json!([]));
    }
    result(&call(&store, "GET", JOB_1, &Value::Null));
}

#[test]
fn unknown_paths_and_methods_have_their_own_answers() {
    let store = Memory::default();
    let answer = call(
        &store,
        "GET",
        "/client/v4/zones/z1/logpush/job",
        &Value::Null,
    );
    assert_eq!(failed(&answer), (404, 7003, "No route for the URI"));
    let answer = call(&store, "PATCH", JOB_1, &Value::Null);
    assert_eq!(
        failed(&answer),
        (
            405,
            10405,
            "method not allowed; this path takes GET, PUT, DELETE"
        )
    );
}

#[test]
fn a_change_is_made_again_when_another_came_between() {
    let store = store_with_a_job();
    store.races.set(2);
    let answer = call(&store, "PUT", JOB_1, &json!({"enabled": false}));
    let job = result(&answer);
    assert_eq!(
        (&job["enabled"], &job["name"]),
        (&json!(false), &json!("raced"))
    );

    store.races.set(3);
    let answer = call(&store, "PUT", JOB_1, &json!({"enabled": true}));
    let (status, code, _) = failed(&answer);
    assert_eq!((status, code), (409, 1007));
}

#[test]
fn a_store_that_fails_is_said_to_be_unavailable_and_no_more() {
    let store = store_with_a_job();
    store.broken.set(true);
    let body = json!({"destination_conf": CONF});
    for (method, path) in [
        ("GET", JOBS),
        ("POST", JOBS),
        ("GET", JOB_1),
        ("PUT", JOB_1),
        ("DELETE", JOB_1),
    ] {
        let answer = call(&store, method, path, &body);
        assert_eq!(
            failed(&answer),
            (503, 1100, "storage is unavailable; try again"),
            "{method} {path}"
        );
    }
}

#[test]
fn a_job_that_older_rules_let_pass_can_still_be_switched_off() {
    let store = store_with_a_job();
    store.jobs.borrow_mut()[0].filter = Some("old dialect".into());
    store.jobs.borrow_mut()[0].destination_conf = "https://127.0.0.1/".into();
    result(&call(&store, "PUT", JOB_1, &json!({"enabled": false})));
    // As a page does that writes back all it has read.
    let all =
        json!({"name": "new", "filter": "old dialect", "destination_conf": "https://127.0.0.1/"});
    result(&call(&store, "PUT", JOB_1, &all));
    result(&call(&store, "PUT", JOB_1, &json!({"filter": ""})));
}

#[test]
fn a_job_is_stored_only_when_its_destination_took_a_test_message() {
    let store = store_with_a_job();
    let before = call(&store, "GET", JOBS, &Value::Null);
    let tested = |store: &Memory| store.tested.take();
    assert_eq!(tested(&store), [CONF]);
    let refusal = "destination_conf: error validating destination: \
                   error 403: error pushing: error uploading to https: 403 bad key";
    for (method, path) in [("POST", JOBS), ("PUT", JOB_1)] {
        let body = json!({"destination_conf": "https://no.example/", "enabled": false});
        assert_eq!(
            failed(&call(&store, method, path, &body)),
            (400, 1002, refusal)
        );
        assert_eq!(tested(&store), ["https://no.example/"]);
    }
    assert_eq!(call(&store, "GET", JOBS, &Value::Null), before);

    // Only a new destination is tested, and only when nothing else is wrong.
    for body in [
        json!({"enabled": true, "destination_conf": CONF}),
        json!({"name": "x"}),
        json!({"filter": "x", "destination_conf": "https://new.example/"}),
        json!({"destination_conf": "https://127.0.0.1/"}),
    ] {
        call(&store, "PUT", JOB_1, &body);
        assert_eq!(tested(&store).len(), 0, "{body}");
    }
    // Once, however often the change has to be made again.
    store.races.set(2);
    result(&call(
        &store,
        "PUT",
        JOB_1,
        &json!({"destination_conf": "https://new.example/"}),
    ));
    assert_eq!(tested(&store), ["https://new.example/"]);
}
