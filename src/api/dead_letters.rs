//! Dead letters of a job: what its destination refused for good. Our extension to Logpush's API, in its envelope.

use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::jobs::{invalid, read_json};
use super::{ApiError, JobStore};
use crate::logpush::scope::Scope;
use crate::outbox::{DeadLetter, Selection};
use crate::time;

/// Dead letters on one page, unless `limit` says fewer or more.
const PAGE: u64 = 100;

/// Most dead letters on one page, and most numbers in one selection.
const PAGE_MAX: u64 = 1_000;

/// Most dead letters that one call sends again or deletes: each is two rows of one transaction.
const BULK_MAX: u64 = 10_000;

/// Bytes of a dead letter's records that are shown; the object in R2 has all of them.
pub const CONTENT_MAX_BYTES: usize = 64 * 1024;

pub(super) async fn list(
    scope: &Scope,
    job: u64,
    query: &str,
    store: &impl JobStore,
) -> Result<Value, ApiError> {
    let selection = from_query(query)?;
    check_job(scope, job, store).await?;
    let letters = store.dead_letters(job, &selection).await?;
    Ok(letters.iter().map(shown).collect())
}

pub(super) async fn one(
    scope: &Scope,
    job: u64,
    id: u64,
    store: &impl JobStore,
) -> Result<Value, ApiError> {
    let letter = find(scope, job, id, store).await?;
    let mut answer = shown(&letter);
    let content = store.dead_letter_content(&letter).await?;
    if let Some(members) = answer.as_object_mut() {
        let text = content.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        members.insert("content".to_owned(), json!(text));
        let is_cut = letter.bytes > CONTENT_MAX_BYTES as u64;
        members.insert("content_truncated".to_owned(), json!(is_cut));
    }
    Ok(answer)
}

/// What becomes of dead letters.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    /// They go back into the queue.
    Redrive,
    /// They are deleted.
    Discard,
}

pub(super) async fn some(
    scope: &Scope,
    job: u64,
    fate: Fate,
    body: &[u8],
    store: &impl JobStore,
) -> Result<Value, ApiError> {
    let selection = from_body(body)?;
    check_job(scope, job, store).await?;
    carry_out(fate, job, &selection, store).await
}

pub(super) async fn single(
    scope: &Scope,
    job: u64,
    fate: Fate,
    id: u64,
    store: &impl JobStore,
) -> Result<Value, ApiError> {
    find(scope, job, id, store).await?;
    carry_out(fate, job, &only(id), store).await
}

async fn carry_out(
    fate: Fate,
    job: u64,
    selection: &Selection,
    store: &impl JobStore,
) -> Result<Value, ApiError> {
    let selected = match fate {
        Fate::Redrive => store.redrive(job, selection).await?,
        Fate::Discard => store.discard_dead_letters(job, selection).await?,
    };
    Ok(json!({
        "dead_letters": selected.dead_letters,
        "records": selected.records,
        "unavailable": selected.unavailable,
        "left": selected.left,
        "dry_run": selection.dry_run,
    }))
}

async fn check_job(scope: &Scope, job: u64, store: &impl JobStore) -> Result<(), ApiError> {
    let found = store.get(scope, job).await?;
    found.map(drop).ok_or(ApiError::JobNotFound)
}

async fn find(
    scope: &Scope,
    job: u64,
    id: u64,
    store: &impl JobStore,
) -> Result<DeadLetter, ApiError> {
    check_job(scope, job, store).await?;
    let found = store.dead_letters(job, &only(id)).await?;
    found.into_iter().next().ok_or(ApiError::DeadLetterNotFound)
}

fn only(id: u64) -> Selection {
    Selection {
        ids: vec![id],
        limit: Some(1),
        ..Selection::default()
    }
}

fn shown(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id,
        "status": letter.status,
        "reason": letter.reason,
        "records": letter.records,
        "bytes": letter.bytes,
        "received_at": time::rfc3339_millis(letter.received_at_millis),
        "refused_at": time::rfc3339_millis(letter.died_at_millis),
        "batch_id": letter.batch_id,
        "push_id": letter.push_id,
        "object": letter.object,
    })
}

/// `since`, `until`, `after`, `limit` of a list.
fn from_query(query: &str) -> Result<Selection, ApiError> {
    let mut selection = Selection {
        limit: Some(PAGE),
        ..Selection::default()
    };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let number = |most: u64| {
            let read = value.parse().ok().filter(|number| *number <= most);
            read.ok_or_else(|| invalid(&name, &format!("must be a number up to {most}")))
        };
        match name.as_ref() {
            "since" => selection.since_millis = Some(instant("since", &value)?),
            "until" => selection.until_millis = Some(instant("until", &value)?),
            "after" => selection.after = number(u64::from(u32::MAX))?,
            "limit" => selection.limit = Some(number(PAGE_MAX)?),
            other => {
                let text = "is no parameter of this list: use since, until, after, limit";
                return Err(invalid(other, text));
            }
        }
    }
    Ok(selection)
}

/// `{"ids": […]}`, `{"since": …, "until": …}` or `{"all": true}`, each with `dry_run`.
fn from_body(body: &[u8]) -> Result<Selection, ApiError> {
    let which = || {
        invalid(
            "body",
            "say which dead letters: {\"ids\": [1, 2]}, {\"since\": \"…\", \"until\": \"…\"} or {\"all\": true}, \
             and \"dry_run\": true to only count them",
        )
    };
    if body.is_empty() {
        return Err(which());
    }
    let body = read_json(body)?;
    let members = body.as_object().ok_or_else(which)?;
    let known = ["ids", "since", "until", "all", "dry_run"];
    if let Some(other) = members.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(invalid(other, "is no member of a selection"));
    }
    let selection = Selection {
        ids: ids(members)?,
        since_millis: time_of(members, "since")?,
        until_millis: time_of(members, "until")?,
        dry_run: flag(members, "dry_run")?,
        limit: Some(BULK_MAX),
        after: 0,
    };
    let is_range = selection.since_millis.is_some() || selection.until_millis.is_some();
    // All of them is said in so many words.
    let ways = [!selection.ids.is_empty(), is_range, flag(members, "all")?];
    if ways.iter().filter(|way| **way).count() != 1 {
        return Err(which());
    }
    Ok(selection)
}

fn ids(members: &Map<String, Value>) -> Result<Vec<u64>, ApiError> {
    let wrong = || {
        invalid(
            "ids",
            &format!("must be a list of up to {PAGE_MAX} numbers"),
        )
    };
    let Some(ids) = members.get("ids") else {
        return Ok(Vec::new());
    };
    let ids = ids.as_array().ok_or_else(wrong)?;
    if ids.len() as u64 > PAGE_MAX {
        return Err(wrong());
    }
    ids.iter().map(|id| id.as_u64().ok_or_else(wrong)).collect()
}

fn flag(members: &Map<String, Value>, name: &str) -> Result<bool, ApiError> {
    match members.get(name) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(invalid(name, "must be true or false")),
    }
}

fn time_of(members: &Map<String, Value>, name: &str) -> Result<Option<u64>, ApiError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => instant(name, text).map(Some),
        Some(_) => Err(invalid(name, "must be a text: RFC 3339 or unix seconds")),
    }
}

fn instant(name: &str, text: &str) -> Result<u64, ApiError> {
    time::instant_from_str(text)
        .and_then(|nanos| u64::try_from(nanos / 1_000_000).ok())
        .ok_or_else(|| invalid(name, "must be a time: RFC 3339 or unix seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(result: Result<Selection, ApiError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_selection_says_which_dead_letters_in_one_of_three_ways() {
        let read = |body: &str| from_body(body.as_bytes());
        let ids = read(r#"{"ids": [3, 1], "dry_run": true}"#).unwrap();
        assert_eq!((ids.ids, ids.dry_run), (vec![3, 1], true));
        let range = read(r#"{"since": "2026-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(range.since_millis, Some(1_767_225_600_000));
        assert!(!read(r#"{"all": true}"#).unwrap().dry_run);
        for body in [
            "",
            "{}",
            "[]",
            r#"{"all": false}"#,
            r#"{"ids": []}"#,
            r#"{"ids": [1], "all": true}"#,
            r#"{"dry_run": true}"#,
        ] {
            assert!(
                text(read(body)).contains("say which dead letters"),
                "{body}"
            );
        }
        for (body, expected) in [
            (
                r#"{"ids": ["1"]}"#,
                "ids: must be a list of up to 1000 numbers",
            ),
            (
                r#"{"since": 5}"#,
                "since: must be a text: RFC 3339 or unix seconds",
            ),
            (
                r#"{"since": "x"}"#,
                "since: must be a time: RFC 3339 or unix seconds",
            ),
            (r#"{"all": 1}"#, "all: must be true or false"),
            (r#"{"id": 1}"#, "id: is no member of a selection"),
            ("{", "body: is no JSON (line 1, column 1)"),
        ] {
            assert_eq!(text(read(body)), expected);
        }
    }

    #[test]
    fn a_list_is_asked_for_page_by_page() {
        let page = from_query("after=7&limit=2&since=10&until=2026-01-01T00:00:00Z").unwrap();
        assert_eq!((page.after, page.limit), (7, Some(2)));
        assert_eq!(page.since_millis, Some(10_000));
        assert_eq!(page.until_millis, Some(1_767_225_600_000));
        assert_eq!(from_query("").unwrap().limit, Some(100));
        for (query, expected) in [
            ("limit=1001", "limit: must be a number up to 1000"),
            ("after=x", "after: must be a number up to 4294967295"),
            (
                "since=soon",
                "since: must be a time: RFC 3339 or unix seconds",
            ),
            (
                "page=2",
                "page: is no parameter of this list: use since, until, after, limit",
            ),
        ] {
            assert_eq!(text(from_query(query)), expected);
        }
    }
}
