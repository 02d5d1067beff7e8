//! One push: makes what the destination wants of it, sends that, reads the answer. What the answer means is the
//! destination's to say.

pub mod body;
mod google;
pub mod object;
mod queue;
pub mod records;
mod socket;

use super::config;
use super::js::{self, BlockReader};
use super::objects::now_millis;
use crate::destination::queue::Head;
use crate::destination::receipt::{self, Confirmation};
use crate::destination::{
    self, Delivery, Encoding, Frame, Holds, Outcome, RecordTooLarge, Request,
};
use crate::limits::{ANSWER_BODY_DEADLINE_MILLIS, ANSWER_MAX_BYTES, PUSH_DEADLINE_MILLIS};
use crate::logpush::catalogue::{Dataset, TIMESTAMP_CANDIDATES};
use crate::logpush::destination_conf::{DestinationConf, DestinationPolicy, ResolvedDestination};
use crate::logpush::job::Job;
use crate::route::NDJSON;
use futures_util::future::{Either, select};
use js_sys::{ArrayBuffer, Uint8Array};
use object::{Attempt, Begun, Content};
use records::Source;
use serde::Deserialize;
use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::{AbortController, AbortSignal, Bucket, Delay, Env};

/// Field with the time of a record that was normalised.
const NORMALISED_TIMESTAMP: &str = "@timestamp";

/// One entry of the push, as its row says.
#[derive(Debug, Clone, Deserialize)]
pub struct Part {
    /// The row.
    pub seq: i64,
    /// `inline`, `spool` or `archive`.
    pub kind: String,
    /// The R2 object of a spooled or archived one.
    pub object: Option<String>,
    /// Where it begins in a spooled object; the size of an archived one.
    pub start: Option<u64>,
    /// Its records.
    pub records: u64,
    /// Its raw bytes.
    pub bytes: u64,
}

/// What came of sending a push.
pub enum Sent {
    /// The destination was asked, or could not be.
    Asked(Outcome),
    /// An object that holds some of its records is not in the bucket, and never will be again.
    Gone {
        /// The object.
        object: String,
        /// The same as a sentence.
        reason: String,
    },
}

/// What is sent.
pub struct Push<'a> {
    /// The same on every attempt.
    pub id: &'a str,
    /// The times of its records.
    pub holds: Holds,
    /// Its records.
    pub source: Source<'a>,
}

/// What an attempt came to in bytes and time, and what it may leave behind.
pub struct Upload {
    began_millis: Cell<u64>,
    bytes: Cell<u64>,
    unfinished: Begun,
}

impl Upload {
    /// Nothing is sent yet.
    pub fn new() -> Self {
        Self {
            began_millis: Cell::new(now_millis()),
            bytes: Cell::new(0),
            unfinished: Begun::default(),
        }
    }

    /// What is sent is there; the request begins.
    fn begin(&self, bytes: u64) {
        self.bytes.set(bytes);
        self.began_millis.set(now_millis());
    }

    /// Bytes of the body, compressed; of what goes plain, its raw bytes; 0 if it came to no request.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Since the request began, or the attempt, if it came to no request.
    pub fn millis(&self) -> u64 {
        now_millis().saturating_sub(self.began_millis.get())
    }
}

/// Why the bytes of an entry could not be read.
#[derive(Debug)]
pub enum SourceError {
    /// The object is not in the bucket.
    Gone {
        /// The object.
        object: String,
        /// The same as a sentence.
        reason: String,
    },
    /// They are there, and the destination would not take them.
    Refused(RecordTooLarge),
    /// Anything else; may pass.
    Failed(String),
}

impl SourceError {
    /// The same as a sentence.
    pub fn into_reason(self) -> String {
        match self {
            Self::Gone { reason, .. } | Self::Failed(reason) => reason,
            Self::Refused(record) => record.to_string(),
        }
    }

    /// `object` is not in the bucket.
    pub fn gone(object: &str) -> Self {
        Self::Gone {
            object: object.to_owned(),
            reason: format!(
                "error {}: error pushing: {object} is not in the bucket any more: somebody deleted it, or its retention is over",
                destination::network::INTERNAL
            ),
        }
    }
}

impl From<RecordTooLarge> for SourceError {
    fn from(record: RecordTooLarge) -> Self {
        Self::Refused(record)
    }
}

impl From<String> for SourceError {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

/// How long an attempt may take.
pub fn deadline_millis(env: &Env) -> u64 {
    config::number(env, config::PUSH_DEADLINE_SECONDS)
        .map_or(PUSH_DEADLINE_MILLIS, |secs| secs.clamp(1, 300) * 1_000)
}

/// Sends a push once. Every failure is an outcome; nothing is lost by one.
pub async fn send(env: &Env, job: &Job, push: &Push<'_>, upload: &Upload) -> Sent {
    let controller = AbortController::default();
    let signal = controller.signal();
    let attempt = pin!(try_send(env, job, push, &signal, upload));
    // Not AbortSignal.timeout: its timer would keep the object in memory, and paid for, until it fires.
    let deadline = deadline_millis(env);
    match select(attempt, Delay::from(Duration::from_millis(deadline))).await {
        // The status has come in time, so what the rest of the answer does has a time of its own.
        Either::Left((Ok(Reached::Answered(resolved, response)), _)) => {
            Sent::Asked(outcome_of(&resolved, &response).await)
        }
        Either::Left((Ok(Reached::Known(outcome)), _)) => Sent::Asked(outcome),
        Either::Left((Err(SourceError::Refused(record)), _)) => {
            Sent::Asked(Outcome::record_too_large(record))
        }
        Either::Left((Err(SourceError::Failed(reason)), _)) => {
            Sent::Asked(Outcome::internal(&reason))
        }
        Either::Left((Err(SourceError::Gone { object, reason }), _)) => {
            Sent::Gone { object, reason }
        }
        Either::Right(_) => {
            controller.abort();
            upload.unfinished.abort().await;
            Sent::Asked(Outcome::timed_out(deadline / 1000))
        }
    }
}

/// How far an attempt has come.
enum Reached {
    /// The destination has begun to answer.
    Answered(ResolvedDestination, web_sys::Response),
    /// It is known already what came of it.
    Known(Outcome),
}

/// The raw bytes of one inline or spooled entry.
pub async fn bytes_of(
    bucket: &Bucket,
    part: &Part,
    inline: impl Fn(i64) -> worker::Result<Uint8Array>,
) -> Result<Uint8Array, SourceError> {
    match (&part.object, part.kind.as_str()) {
        (_, "inline") => Ok(inline(part.seq).map_err(|e| e.to_string())?),
        (Some(object), "spool") => {
            let range = (part.start.unwrap_or(0), part.bytes);
            let stream = stream(bucket, object, Some(range)).await?;
            let response = web_sys::Response::new_with_opt_readable_stream(Some(&stream))
                .and_then(|response| response.array_buffer())
                .map_err(|e| js::describe(&e))?;
            let buffer = JsFuture::from(response)
                .await
                .map_err(|e| js::describe(&e))?;
            Ok(Uint8Array::new(&buffer))
        }
        (_, other) => Err(format!("an entry of kind {other} has no bytes").into()),
    }
}

async fn try_send(
    env: &Env,
    job: &Job,
    push: &Push<'_>,
    signal: &AbortSignal,
    upload: &Upload,
) -> Result<Reached, SourceError> {
    let resolved = match resolve(env, job) {
        Ok(resolved) => resolved,
        Err(outcome) => return Ok(Reached::Known(outcome)),
    };
    let dataset = Dataset::find(job.scope.kind(), &job.dataset);
    let mut timestamp_fields = match dataset
        .as_ref()
        .and_then(|it| it.timestamp_field.as_deref())
    {
        Some(field) => vec![field],
        None => TIMESTAMP_CANDIDATES.to_vec(),
    };
    timestamp_fields.push(NORMALISED_TIMESTAMP);
    let source = &push.source;
    let form = destination::Push {
        id: push.id,
        content_type: source
            .assembly
            .map_or(NDJSON, |assembly| &assembly.content_type),
        is_lines: source.assembly.is_none(),
        timestamp_fields: &timestamp_fields,
        holds: push.holds,
        replay: job.replay.as_ref().map(|replay| replay.id.as_str()),
    };
    let delivery = match destination::delivery(&resolved, &form) {
        Ok(delivery) => delivery,
        Err(e) => return Ok(Reached::Known(Outcome::misconfigured(&e))),
    };
    match delivery {
        Delivery::Request {
            request,
            encoding,
            frame,
        } => {
            let body = body::body(source, &frame, encoding).await?;
            upload.begin(body_bytes(&body, source.parts));
            Ok(match fetch(&request, body, signal).await {
                Ok(response) => Reached::Answered(resolved, response),
                Err(e) => Reached::Known(Outcome::from_network_error(&resolved, &js::describe(&e))),
            })
        }
        Delivery::Object(object) => {
            let content = match Content::archived(source.bucket, source.parts) {
                Some(content) => content,
                None => {
                    let gzip = body::body(source, &Frame::Stored, Encoding::Gzip).await?;
                    Content::Bytes(Uint8Array::new(&gzip))
                }
            };
            upload.begin(content.bytes());
            let attempt = Attempt {
                env,
                resolved: &resolved,
                object: &object,
                signal,
                allow_private: config::is_on(env, config::ALLOW_PRIVATE_DESTINATIONS),
                begun: &upload.unfinished,
            };
            attempt.put(&content).await.map(Reached::Known)
        }
        other => {
            upload.begin(source.parts.iter().map(|part| part.bytes).sum());
            let of = Some((job.id, job.dataset.as_str()));
            let outcome = perform(env, &resolved, &other, of, source).await?;
            Ok(Reached::Known(outcome))
        }
    }
}

/// The size of a body. A stream is an archived object, whose size its row has.
fn body_bytes(body: &JsValue, parts: &[Part]) -> u64 {
    match (body.dyn_ref::<ArrayBuffer>(), body.dyn_ref::<Uint8Array>()) {
        (Some(buffer), _) => u64::from(buffer.byte_length()),
        (_, Some(bytes)) => u64::from(bytes.length()),
        _ => parts.first().and_then(|part| part.start).unwrap_or(0),
    }
}

/// Performs a delivery that takes records plain. `job` is its number and its dataset; a test message has none.
///
/// # Errors
/// When an entry can not be read.
pub async fn perform(
    env: &Env,
    destination: &ResolvedDestination,
    delivery: &Delivery,
    job: Option<(u64, &str)>,
    source: &Source<'_>,
) -> Result<Outcome, SourceError> {
    match delivery {
        Delivery::WebSocket(conversation) => {
            socket::converse(destination, conversation, source).await
        }
        Delivery::Queue {
            binding,
            push_id,
            replay,
        } => {
            let head = Head {
                push_id,
                job,
                replay: replay.as_deref(),
            };
            queue::send(env, destination, binding, &head, source).await
        }
        Delivery::Request { .. } | Delivery::Object(_) => {
            Ok(Outcome::internal("this delivery is performed elsewhere"))
        }
    }
}

/// A job's destination with its secrets, or why it can not be reached: a secret that is not set, for one.
fn resolve(env: &Env, job: &Job) -> Result<ResolvedDestination, Outcome> {
    let policy = DestinationPolicy {
        allow_private: config::is_on(env, config::ALLOW_PRIVATE_DESTINATIONS),
    };
    DestinationConf::parse(&job.destination_conf, policy)
        .map_err(|e| e.to_string())
        .and_then(|conf| {
            conf.resolve(|name| config::text(env, name))
                .map_err(|e| e.to_string())
        })
        .map_err(|e| Outcome::misconfigured(&format!("destination_conf: {e}")))
}

/// Asks a destination whether what it took under `number` is safe there.
pub async fn confirm(env: &Env, job: &Job, number: u64) -> Confirmation {
    let resolved = match resolve(env, job) {
        Ok(resolved) => resolved,
        Err(outcome) => return Confirmation::of(outcome),
    };
    let Some((request, body)) = receipt::question(&resolved, number) else {
        // Nobody owes anything that could be asked for.
        return Confirmation::NotYet;
    };
    let controller = AbortController::default();
    let signal = controller.signal();
    let asked = pin!(fetch(&request, body.into(), &signal));
    let deadline = deadline_millis(env);
    match select(asked, Delay::from(Duration::from_millis(deadline))).await {
        Either::Left((Ok(response), _)) => {
            let retry_after = response.headers().get("retry-after").ok().flatten();
            let answer = destination::Answer {
                status: response.status(),
                retry_after: retry_after.as_deref(),
                body: &first_bytes(&response).await,
            };
            Confirmation::from_answer(&resolved, &answer, number, now_unix_secs())
        }
        Either::Left((Err(e), _)) => {
            Confirmation::of(Outcome::from_network_error(&resolved, &js::describe(&e)))
        }
        Either::Right(_) => {
            controller.abort();
            Confirmation::of(Outcome::timed_out(deadline / 1000))
        }
    }
}

/// Seconds since 1970.
pub fn now_unix_secs() -> i64 {
    i64::try_from(worker::Date::now().as_millis() / 1000).unwrap_or_default()
}

/// Performs a request.
pub async fn fetch(
    request: &Request,
    body: JsValue,
    signal: &AbortSignal,
) -> Result<web_sys::Response, JsValue> {
    let headers = web_sys::Headers::new()?;
    for (name, value) in &request.headers {
        headers.set(name, value)?;
    }
    let init = js::object(&[
        ("method", request.method.into()),
        ("headers", headers.into()),
        ("body", body),
        // A redirect would carry the records and the credentials to a place that nobody configured.
        ("redirect", "manual".into()),
        ("signal", JsValue::clone(signal)),
    ]);
    Ok(JsFuture::from(js::fetch(&request.url, &init)?)
        .await?
        .into())
}

async fn outcome_of(resolved: &ResolvedDestination, response: &web_sys::Response) -> Outcome {
    let retry_after = response.headers().get("retry-after").ok().flatten();
    let answer = destination::Answer {
        status: response.status(),
        retry_after: retry_after.as_deref(),
        body: &first_bytes(response).await,
    };
    Outcome::from_answer(resolved, &answer, now_unix_secs())
}

/// As much of an answer as anybody looks at, and as comes soon. An answer that breaks off or never ends still has its
/// status, and that is what counts.
pub async fn first_bytes(response: &web_sys::Response) -> Vec<u8> {
    let Some(stream) = response.body() else {
        return Vec::new();
    };
    let Ok(mut reader) = BlockReader::as_it_comes(&stream, ANSWER_MAX_BYTES) else {
        return Vec::new();
    };
    let mut bytes = Vec::new();
    {
        let read = pin!(async {
            while bytes.len() < ANSWER_MAX_BYTES
                && let Ok(Some(block)) = reader.next().await
            {
                bytes.extend(block.to_vec());
            }
        });
        let enough = Delay::from(Duration::from_millis(ANSWER_BODY_DEADLINE_MILLIS));
        select(read, enough).await;
    }
    reader.cancel().await;
    bytes
}

/// All of an object, or a piece of it.
///
/// # Errors
/// When it is not there, or can not be read.
pub async fn stream(
    bucket: &Bucket,
    object: &str,
    range: Option<(u64, u64)>,
) -> Result<web_sys::ReadableStream, SourceError> {
    let mut get = bucket.get(object);
    if let Some((offset, length)) = range {
        get = get.range(worker::Range::OffsetWithLength { offset, length });
    }
    let found = get
        .execute()
        .await
        .map_err(|e| format!("R2 get failed: {e}"))?;
    let body = found
        .as_ref()
        .and_then(worker::Object::body)
        .ok_or_else(|| SourceError::gone(object))?;
    match body.response_body().map_err(|e| e.to_string())? {
        worker::ResponseBody::Stream(stream) => Ok(stream),
        _ => Err(format!("{object} has no stream").into()),
    }
}
