//! A queue of R2's events: each says that an object was made, which may be a batch that Logpush wrote.
//!
//! A message is acknowledged when its batch is committed, or when it is counted why there is none. What can not be taken now
//! comes again. Every step may be repeated: an object that was seen is known by its key and entity tag, one that was not by
//! the batch id, as by HTTP.

use super::ingest::{self, NotTaken, Taken, TakenAs, Target};
use super::objects::ledger::{MinuteRange, SightQuery};
use super::objects::registry::EventCounts;
use super::objects::{Class, REGISTRY_NAME, call, now_millis};
use super::{archive, config, js, tail};
use crate::events::{
    EXTRA_COPIES, Event, Fault, OVERWRITTEN, Paths, Place, Skip, is_own, quarantine_key, read,
    retry_secs,
};
use crate::ledger::{Sight, instance_name};
use crate::limits::EVENTS_AT_ONCE;
use crate::time;
use futures_util::stream::{self, StreamExt};
use js_sys::{Array, JSON};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wasm_bindgen::prelude::*;
use worker::{Env, Result};

/// Longest wait before a message comes again, unless the operator says otherwise: as for pushes.
const RETRY_MAX_SECS: u64 = 300;

#[wasm_bindgen]
extern "C" {
    /// `MessageBatch`.
    pub type Messages;
    #[wasm_bindgen(method, getter)]
    fn queue(this: &Messages) -> String;
    #[wasm_bindgen(method, getter)]
    fn messages(this: &Messages) -> Array;

    type Message;
    #[wasm_bindgen(method, getter)]
    fn id(this: &Message) -> String;
    #[wasm_bindgen(method, getter)]
    fn body(this: &Message) -> JsValue;
    /// How often it has come, this time included.
    #[wasm_bindgen(method, getter)]
    fn attempts(this: &Message) -> f64;
    #[wasm_bindgen(method, catch)]
    fn ack(this: &Message) -> std::result::Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn retry(this: &Message, options: &JsValue) -> std::result::Result<(), JsValue>;
}

/// What became of a message.
enum Outcome {
    /// Its batch is committed, and nothing else is to be said.
    Done,
    /// To be counted under these names before it is acknowledged.
    Counted(Vec<String>),
    /// It has to come again.
    Later(String),
}

fn skipped(reason: Skip) -> Outcome {
    Outcome::Counted(vec![format!("skipped.{}", reason.as_str())])
}

/// Takes all messages, [`EVENTS_AT_ONCE`] at a time, and answers for each.
pub async fn consume(batch: &Messages, env: &Env) {
    let paths = config::paths(env);
    let messages: Vec<Message> = batch
        .messages()
        .iter()
        .map(JsValue::unchecked_into)
        .collect();
    let consumer = Consumer {
        env,
        queue: batch.queue(),
        paths: paths.map_err(|e| format!("R2_EVENTS_PATHS: {e}")),
    };
    let mut outcomes = stream::iter(messages)
        .map(async |message: Message| {
            let outcome = consumer.take(&message).await;
            (message, outcome.unwrap_or_else(Outcome::Later))
        })
        .buffer_unordered(EVENTS_AT_ONCE);
    let (mut counts, mut counted) = (BTreeMap::<String, u64>::new(), Vec::new());
    while let Some((message, outcome)) = outcomes.next().await {
        match outcome {
            // At once: should this invocation end before its time, the others alone come again.
            Outcome::Done => acknowledge(&message),
            Outcome::Counted(names) => {
                for name in names {
                    *counts.entry(name).or_default() += 1;
                }
                counted.push(message);
            }
            Outcome::Later(reason) => again(env, &message, &reason),
        }
    }
    if counted.is_empty() {
        return;
    }
    let result = count_all(env, counts).await;
    for message in counted {
        match &result {
            Ok(()) => acknowledge(&message),
            Err(e) => again(env, &message, &e.to_string()),
        }
    }
}

fn acknowledge(message: &Message) {
    if let Err(e) = message.ack() {
        worker::console_error!("a message could not be acknowledged: {}", js::describe(&e));
    }
}

fn again(env: &Env, message: &Message, reason: &str) {
    worker::console_error!("event {}: {reason}", message.id());
    let most = config::number(env, config::RETRY_MAX_SECONDS).unwrap_or(RETRY_MAX_SECS);
    let secs = retry_secs(attempts(message), most, js_sys::Math::random());
    let options = js::object(&[("delaySeconds", (secs as f64).into())]);
    if let Err(e) = message.retry(&options) {
        worker::console_error!("a message could not be put back: {}", js::describe(&e));
    }
}

fn attempts(message: &Message) -> u64 {
    // Absent in old runtimes: not a number becomes 0.
    message.attempts() as u64
}

struct Consumer<'e> {
    env: &'e Env,
    queue: String,
    paths: std::result::Result<Paths, String>,
}

impl Consumer<'_> {
    async fn take(&self, message: &Message) -> std::result::Result<Outcome, String> {
        let paths = self.paths.as_ref().map_err(Clone::clone)?;
        let text = text_of(&message.body());
        let (key, bytes, etag) = match read(&text) {
            Ok(Event::Created { key, bytes, etag }) => (key, bytes, etag),
            Ok(Event::Deleted) => return Ok(skipped(Skip::Deletion)),
            Err((fault, detail)) => return self.quarantine(message, &text, fault, &detail).await,
        };
        if is_own(&key) {
            return Ok(skipped(Skip::OwnObject));
        }
        let Some(place) = paths.find(&key) else {
            return Ok(skipped(Skip::OtherPath));
        };
        let mut notes = Vec::new();
        match self.sight(&place, &key, etag).await? {
            Sight::Known => return Ok(Outcome::Done),
            Sight::Overwritten => notes.push(OVERWRITTEN.to_owned()),
            Sight::New => {}
        }
        let target = Target {
            scope: place.scope,
            dataset: place.dataset,
        };
        let may_be_retry = attempts(message) > 1;
        let taken = match ingest::take_in_place(self.env, &target, &key, bytes, may_be_retry).await
        {
            Ok(mut taken) => {
                tail::hand_over(self.env.clone(), std::mem::take(&mut taken.shown)).await;
                taken
            }
            Err(NotTaken::Unwanted) => return Ok(skipped(Skip::UnknownDataset)),
            Err(NotTaken::Later(reason)) => return Err(format!("{key}: {reason}")),
            Err(NotTaken::Gone) => {
                let detail = format!("{key} is not in the bucket that is bound as ARCHIVE");
                return self
                    .quarantine(message, &text, Fault::ObjectMissing, &detail)
                    .await;
            }
        };
        if let Taken {
            result: TakenAs::Accepted,
            records: Some(0),
            ..
        } = taken
        {
            let detail = format!("{key} holds no record; /stats says why under `invalid`");
            self.keep(message, &text, Fault::NoRecords, &detail).await?;
            notes.push(quarantined(Fault::NoRecords));
        }
        if taken.is_extra_copy {
            notes.push(EXTRA_COPIES.to_owned());
        }
        Ok(match notes.is_empty() {
            true => Outcome::Done,
            false => Outcome::Counted(notes),
        })
    }

    /// Whether this object was taken before, by what can be known without reading it. The first record may be of another day
    /// than Logpush says; then the batch id tells, when the object is read.
    async fn sight(
        &self,
        place: &Place,
        key: &str,
        etag: Option<String>,
    ) -> std::result::Result<Sight, String> {
        let (Some(day), Some(etag)) = (&place.day, etag) else {
            return Ok(Sight::New);
        };
        let query = SightQuery {
            scope: place.scope.to_string(),
            dataset: place.dataset.clone(),
            day: day.clone(),
            object: key.to_owned(),
            etag,
            at_millis: now_millis(),
        };
        let ledger = instance_name(&query.scope, &query.dataset, day);
        call(self.env, Class::Ledger, &ledger, "sight", &query)
            .await
            .map_err(|e| e.to_string())
    }

    async fn quarantine(
        &self,
        message: &Message,
        text: &str,
        fault: Fault,
        detail: &str,
    ) -> std::result::Result<Outcome, String> {
        self.keep(message, text, fault, detail).await?;
        Ok(Outcome::Counted(vec![quarantined(fault)]))
    }

    /// Keeps a message that somebody should look at.
    async fn keep(
        &self,
        message: &Message,
        text: &str,
        fault: Fault,
        detail: &str,
    ) -> std::result::Result<(), String> {
        let now = now_millis();
        let kept = json!({
            "reason": fault.as_str(),
            "detail": detail,
            "at": time::rfc3339_millis(now),
            "queue": self.queue,
            "message": message.id(),
            // As it came where it is JSON, else as a text.
            "body": serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
        });
        let bucket = self
            .env
            .bucket(config::ARCHIVE)
            .map_err(|e| e.to_string())?;
        let day = time::day_utc(i128::from(now) * 1_000_000);
        let key = quarantine_key(&day, &message.id());
        let body = js::bytes(kept.to_string().as_bytes());
        archive::put_described(&bucket, &key, &body, "application/json", &[]).await
    }
}

fn quarantined(fault: Fault) -> String {
    format!("quarantined.{}", fault.as_str())
}

/// The body as JSON: R2 sends an object, and somebody who sends an event again may send a text.
fn text_of(body: &JsValue) -> String {
    body.as_string()
        .or_else(|| JSON::stringify(body).ok()?.as_string())
        .unwrap_or_default()
}

async fn count_all(env: &Env, counts: BTreeMap<String, u64>) -> Result<()> {
    let counts = EventCounts {
        at_millis: now_millis(),
        counts,
    };
    call(env, Class::Registry, REGISTRY_NAME, "count-events", &counts).await
}

/// Counts one thing. What it belongs to is done, so a failure is only logged.
pub async fn count(env: &Env, name: &str) {
    if let Err(e) = count_all(env, BTreeMap::from([(name.to_owned(), 1)])).await {
        worker::console_error!("{name} was not counted: {e}");
    }
}

/// What was counted in a range of minutes, by name.
///
/// # Errors
/// When the registry can not be asked.
pub async fn counted(env: &Env, range: MinuteRange) -> Result<BTreeMap<String, u64>> {
    call(env, Class::Registry, REGISTRY_NAME, "events", &range).await
}
