//! One push: build the body, send the request, read the answer. What the answer means is the destination's to say.

use super::config;
use super::js::{self, BlockReader, CompressionStream};
use super::objects::now_millis;
use crate::destination::{self, Delivery, Encoding, Outcome, Request};
use crate::limits::{ANSWER_BODY_DEADLINE_MILLIS, ANSWER_MAX_BYTES, PUSH_DEADLINE_MILLIS};
use crate::logpush::destination_conf::{DestinationConf, DestinationPolicy, ResolvedDestination};
use crate::logpush::job::Job;
use crate::route::{Assembly, NDJSON};
use futures_util::future::{Either, select};
use js_sys::{ArrayBuffer, Uint8Array};
use serde::Deserialize;
use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::{AbortController, AbortSignal, Bucket, Delay, Env};

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

/// What an attempt came to in bytes and time.
pub struct Upload {
    began_millis: Cell<u64>,
    bytes: Cell<u64>,
}

impl Upload {
    /// Nothing is sent yet.
    pub fn new() -> Self {
        Self {
            began_millis: Cell::new(now_millis()),
            bytes: Cell::new(0),
        }
    }

    /// The body is there; the request begins.
    fn begin(&self, body: &JsValue, parts: &[Part]) {
        // A stream is an archived object, whose size its row has.
        let bytes = match body.dyn_ref::<ArrayBuffer>() {
            Some(buffer) => u64::from(buffer.byte_length()),
            None => parts.first().and_then(|part| part.start).unwrap_or(0),
        };
        self.bytes.set(bytes);
        self.began_millis.set(now_millis());
    }

    /// Bytes of the body, compressed; 0 if it came to no request.
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
    /// Anything else; may pass.
    Failed(String),
}

impl SourceError {
    /// `object` is not in the bucket.
    pub fn gone(object: &str) -> Self {
        Self::Gone {
            object: object.to_owned(),
            reason: format!(
                "error {}: error pushing: {object} is not in the bucket any more: somebody deleted it",
                destination::network::INTERNAL
            ),
        }
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

/// Sends a push once; `push_id` is the same on every attempt. Every failure is an outcome; nothing is lost by one.
pub async fn send(
    env: &Env,
    job: &Job,
    push_id: &str,
    parts: &[Part],
    assembly: Option<&Assembly>,
    inline: impl Fn(i64) -> worker::Result<Uint8Array>,
    upload: &Upload,
) -> Sent {
    let controller = AbortController::default();
    let signal = controller.signal();
    let attempt = pin!(try_send(
        env, job, push_id, parts, assembly, inline, &signal, upload
    ));
    // Not AbortSignal.timeout: its timer would keep the object in memory, and paid for, until it fires.
    let deadline = deadline_millis(env);
    match select(attempt, Delay::from(Duration::from_millis(deadline))).await {
        // The status has come in time, so what the rest of the answer does has a time of its own.
        Either::Left((Ok(Reached::Answered(resolved, response)), _)) => {
            Sent::Asked(outcome_of(&resolved, &response).await)
        }
        Either::Left((Ok(Reached::Nobody(outcome)), _)) => Sent::Asked(outcome),
        Either::Left((Err(SourceError::Failed(reason)), _)) => {
            Sent::Asked(Outcome::internal(&reason))
        }
        Either::Left((Err(SourceError::Gone { object, reason }), _)) => {
            Sent::Gone { object, reason }
        }
        Either::Right(_) => {
            controller.abort();
            Sent::Asked(Outcome::timed_out(deadline / 1000))
        }
    }
}

/// How far an attempt has come.
enum Reached {
    /// The destination has begun to answer.
    Answered(ResolvedDestination, web_sys::Response),
    /// There is no answer.
    Nobody(Outcome),
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

#[allow(clippy::too_many_arguments)]
async fn try_send(
    env: &Env,
    job: &Job,
    push_id: &str,
    parts: &[Part],
    assembly: Option<&Assembly>,
    inline: impl Fn(i64) -> worker::Result<Uint8Array>,
    signal: &AbortSignal,
    upload: &Upload,
) -> Result<Reached, SourceError> {
    let policy = DestinationPolicy {
        allow_private: config::is_on(env, config::ALLOW_PRIVATE_DESTINATIONS),
    };
    let resolved = DestinationConf::parse(&job.destination_conf, policy)
        .map_err(|e| e.to_string())
        .and_then(|conf| {
            conf.resolve(|name| config::text(env, name))
                .map_err(|e| e.to_string())
        });
    let resolved = match resolved {
        Ok(resolved) => resolved,
        // A secret that is not set, for one.
        Err(e) => {
            let outcome = Outcome::misconfigured(&format!("destination_conf: {e}"));
            return Ok(Reached::Nobody(outcome));
        }
    };
    let form = destination::Push {
        id: push_id,
        content_type: assembly.map_or(NDJSON, |assembly| &assembly.content_type),
    };
    let bucket = env.bucket(config::ARCHIVE).map_err(|e| e.to_string())?;
    let (request, body) = match destination::delivery(&resolved, &form) {
        Ok(Delivery::Request {
            request,
            encoding: Encoding::Gzip,
        }) => (request, gzip(&bucket, parts, assembly, inline).await?),
        Err(e) => return Ok(Reached::Nobody(Outcome::misconfigured(&e))),
    };
    upload.begin(&body, parts);
    Ok(match fetch(&request, body, signal).await {
        Ok(response) => Reached::Answered(resolved, response),
        Err(e) => Reached::Nobody(Outcome::from_network_error(&resolved, &js::describe(&e))),
    })
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
    let now_unix_secs = i64::try_from(worker::Date::now().as_millis() / 1000).unwrap_or_default();
    Outcome::from_answer(resolved, &answer, now_unix_secs)
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

/// One gzip member. An archived object already is one; everything else is compressed by the runtime, part by part, so
/// that no more than the compressed push and one part are in memory, and none of it in wasm.
async fn gzip(
    bucket: &Bucket,
    parts: &[Part],
    assembly: Option<&Assembly>,
    inline: impl Fn(i64) -> worker::Result<Uint8Array>,
) -> Result<JsValue, SourceError> {
    if let [
        Part {
            kind,
            object: Some(object),
            ..
        },
    ] = parts
        && kind == "archive"
    {
        return stream(bucket, object, None).await.map(JsValue::from);
    }
    let failed = |e: JsValue| format!("gzip failed: {}", js::describe(&e));
    let gzip = CompressionStream::new("gzip").map_err(failed)?;
    let compressed = web_sys::Response::new_with_opt_readable_stream(Some(&gzip.readable()))
        .and_then(|response| response.array_buffer())
        .map_err(failed)?;
    // Begun before the first write, which would wait for it.
    let compressed = JsFuture::from(compressed);
    let writer = gzip.writable().get_writer().map_err(failed)?;
    let write = async |chunk: &Uint8Array| {
        let written = writer.write_with_chunk(chunk);
        JsFuture::from(written).await.map(drop).map_err(failed)
    };
    if let Some(assembly) = assembly {
        write(&js::bytes(assembly.prefix.as_bytes())).await?;
    }
    // Each record has its delimiter before it, and before the first one there is nothing to keep it from.
    let mut skip = assembly.map_or(0, |assembly| assembly.delimiter.len() as u64);
    for part in &joined(parts) {
        let skip = std::mem::take(&mut skip);
        if part.bytes <= skip {
            continue;
        }
        match (&part.object, part.kind.as_str()) {
            (Some(object), "spool") => {
                let range = (part.start.unwrap_or(0) + skip, part.bytes - skip);
                let spooled = stream(bucket, object, Some(range)).await?;
                let mut reader = BlockReader::new(&spooled).map_err(failed)?;
                while let Some(block) = reader.next().await.map_err(failed)? {
                    write(&block).await?;
                }
            }
            (_, "inline") => {
                let bytes = inline(part.seq).map_err(|e| e.to_string())?;
                write(&bytes.subarray(skip as u32, bytes.length())).await?;
            }
            (_, other) => {
                return Err(format!("an entry of kind {other} can not be gathered").into());
            }
        }
    }
    if let Some(assembly) = assembly {
        write(&js::bytes(assembly.suffix.as_bytes())).await?;
    }
    JsFuture::from(writer.close()).await.map_err(failed)?;
    Ok(compressed.await.map_err(failed)?)
}

/// Neighbouring pieces of one object as one: a get costs a round trip, and a push of a large batch has dozens of pieces.
fn joined(parts: &[Part]) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        let before = joined.last_mut().filter(|before| {
            let end = before.start.map(|start| start + before.bytes);
            part.kind == "spool"
                && before.kind == "spool"
                && before.object == part.object
                && end == part.start
        });
        match before {
            Some(before) => before.bytes += part.bytes,
            None => joined.push(part.clone()),
        }
    }
    joined
}

async fn stream(
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
