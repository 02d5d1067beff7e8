//! One push: build the body, send the request, read the answer. What the answer means is the destination's to say.

use super::js::{self, BlockReader, CompressionStream};
use super::objects::now_millis;
use super::records::Source;
use super::{config, queue, socket};
use crate::destination::queue::Head;
use crate::destination::receipt::{self, Confirmation};
use crate::destination::{
    self, Delivery, Encoding, Frame, Framer, Outcome, RecordTooLarge, Request,
};
use crate::limits::{ANSWER_BODY_DEADLINE_MILLIS, ANSWER_MAX_BYTES, PUSH_DEADLINE_MILLIS};
use crate::logpush::catalogue::{Dataset, TIMESTAMP_CANDIDATES};
use crate::logpush::destination_conf::{DestinationConf, DestinationPolicy, ResolvedDestination};
use crate::logpush::job::Job;
use crate::outbox::cut;
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

/// Bytes that a body without gzip begins with room for.
const IDENTITY_FIRST_BYTES: u32 = 256 * 1024;

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
        let bytes = match (body.dyn_ref::<ArrayBuffer>(), body.dyn_ref::<Uint8Array>()) {
            (Some(buffer), _) => u64::from(buffer.byte_length()),
            (_, Some(bytes)) => u64::from(bytes.length()),
            _ => parts.first().and_then(|part| part.start).unwrap_or(0),
        };
        self.bytes.set(bytes);
        self.began_millis.set(now_millis());
    }

    /// Records go plain from here on: there is no body.
    fn begin_plain(&self, parts: &[Part]) {
        self.bytes.set(parts.iter().map(|part| part.bytes).sum());
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
                "error {}: error pushing: {object} is not in the bucket any more: somebody deleted it",
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
    let resolved = match resolve(env, job) {
        Ok(resolved) => resolved,
        Err(outcome) => return Ok(Reached::Nobody(outcome)),
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
    let form = destination::Push {
        id: push_id,
        content_type: assembly.map_or(NDJSON, |assembly| &assembly.content_type),
        is_lines: assembly.is_none(),
        timestamp_fields: &timestamp_fields,
    };
    let bucket = env.bucket(config::ARCHIVE).map_err(|e| e.to_string())?;
    let (request, body) = match destination::delivery(&resolved, &form) {
        Ok(Delivery::Request {
            request,
            encoding,
            frame,
        }) => {
            let body = body(&bucket, parts, assembly, &frame, encoding, inline);
            (request, body.await?)
        }
        Ok(other) => {
            let source = Source {
                bucket: &bucket,
                parts,
                assembly,
                inline: &inline,
            };
            upload.begin_plain(parts);
            let of = Some((job.id, job.dataset.as_str()));
            let outcome = perform(env, &resolved, &other, of, &source).await?;
            return Ok(Reached::Nobody(outcome));
        }
        Err(e) => return Ok(Reached::Nobody(Outcome::misconfigured(&e))),
    };
    upload.begin(&body, parts);
    Ok(match fetch(&request, body, signal).await {
        Ok(response) => Reached::Answered(resolved, response),
        Err(e) => Reached::Nobody(Outcome::from_network_error(&resolved, &js::describe(&e))),
    })
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
        Delivery::Queue { binding, push_id } => {
            let head = Head { push_id, job };
            queue::send(env, destination, binding, &head, source).await
        }
        Delivery::Request { .. } => Ok(Outcome::internal("a request is performed elsewhere")),
    }
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

/// The body of a push. An archived object may be one as it is; everything else is written part by part, so that no more
/// than the push as it is sent and one part of it are in memory.
async fn body(
    bucket: &Bucket,
    parts: &[Part],
    assembly: Option<&Assembly>,
    frame: &Frame,
    encoding: Encoding,
    inline: impl Fn(i64) -> worker::Result<Uint8Array>,
) -> Result<JsValue, SourceError> {
    let archived = match parts {
        [part] if part.kind == "archive" => part.object.as_deref(),
        _ => None,
    };
    if let Some(object) = archived
        && *frame == Frame::Stored
    {
        let stream = stream(bucket, object, None).await?;
        return match encoding {
            Encoding::Gzip => Ok(stream.into()),
            // Of a length that nobody knows: blank lines and the like are no records.
            Encoding::Identity => js::gunzipped(&stream).map_err(|e| js::describe(&e).into()),
        };
    }
    let mut sink = Sink::new(encoding)?;
    // What output options put around records does not go into an envelope.
    let around = assembly.filter(|_| !matches!(frame, Frame::Events(_)));
    if let Some(assembly) = around {
        sink.write(&js::bytes(assembly.prefix.as_bytes())).await?;
    }
    match (archived, frame) {
        (Some(object), _) => {
            let archived = stream(bucket, object, None).await?;
            let inflated = js::gunzipped(&archived).map_err(failed)?;
            let mut reader = BlockReader::new(&inflated).map_err(failed)?;
            let mut framer = Framer::new(frame);
            let mut out = Vec::new();
            while let Some(block) = reader.next().await.map_err(failed)? {
                framer.lines(&block.to_vec(), &mut out)?;
                sink.drain(&mut out).await?;
            }
            framer.finish(&mut out)?;
            sink.drain(&mut out).await?;
        }
        (None, Frame::Stored) => stored(bucket, parts, assembly, &mut sink, inline).await?,
        (None, _) => framed(bucket, parts, assembly, frame, &mut sink, inline).await?,
    }
    if let Some(assembly) = around {
        sink.write(&js::bytes(assembly.suffix.as_bytes())).await?;
    }
    sink.finish().await
}

/// Parts as they are stored, none of them in wasm.
async fn stored(
    bucket: &Bucket,
    parts: &[Part],
    assembly: Option<&Assembly>,
    sink: &mut Sink,
    inline: impl Fn(i64) -> worker::Result<Uint8Array>,
) -> Result<(), SourceError> {
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
                    sink.write(&block).await?;
                }
            }
            (_, "inline") => {
                let bytes = inline(part.seq).map_err(|e| e.to_string())?;
                sink.write(&bytes.subarray(skip as u32, bytes.length()))
                    .await?;
            }
            (_, other) => {
                return Err(format!("an entry of kind {other} can not be gathered").into());
            }
        }
    }
    Ok(())
}

/// Parts record by record. A part is a segment of a selection, so it is small.
async fn framed(
    bucket: &Bucket,
    parts: &[Part],
    assembly: Option<&Assembly>,
    frame: &Frame,
    sink: &mut Sink,
    inline: impl Fn(i64) -> worker::Result<Uint8Array>,
) -> Result<(), SourceError> {
    let mut framer = Framer::new(frame);
    let mut out = Vec::new();
    let delimiter = assembly.map_or(0, |assembly| assembly.delimiter.len());
    let keeps_delimiters = matches!(frame, Frame::Capped { .. });
    let mut is_first = true;
    for part in parts {
        let bytes = bytes_of(bucket, part, &inline).await?.to_vec();
        if assembly.is_none() {
            framer.lines(&bytes, &mut out)?;
        } else {
            // What can not be told apart goes as one.
            let starts = cut::record_starts(&bytes, part.records, assembly).unwrap_or(vec![0]);
            let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
            for (start, end) in starts.iter().copied().zip(ends) {
                let has_delimiter = keeps_delimiters && !std::mem::take(&mut is_first);
                let start = if has_delimiter {
                    start
                } else {
                    start + delimiter
                };
                framer.record(bytes.get(start..end).unwrap_or_default(), &mut out)?;
            }
        }
        sink.drain(&mut out).await?;
    }
    framer.finish(&mut out)?;
    sink.drain(&mut out).await
}

fn failed(e: JsValue) -> String {
    format!("the body could not be written: {}", js::describe(&e))
}

/// Bytes as an encoding has them.
pub async fn encoded(bytes: &[u8], encoding: Encoding) -> Result<JsValue, String> {
    let mut sink = Sink::new(encoding)?;
    sink.write(&js::bytes(bytes)).await?;
    sink.finish().await.map_err(SourceError::into_reason)
}

/// Where a body is written to; what comes out has a known length.
enum Sink {
    /// Through the runtime's gzip.
    Gzip {
        writer: web_sys::WritableStreamDefaultWriter,
        compressed: JsFuture,
    },
    /// Into one array, which grows.
    Identity { bytes: Uint8Array, length: u32 },
}

impl Sink {
    fn new(encoding: Encoding) -> Result<Self, String> {
        Ok(match encoding {
            Encoding::Gzip => {
                let gzip = CompressionStream::new("gzip").map_err(failed)?;
                let readable = gzip.readable();
                let compressed = web_sys::Response::new_with_opt_readable_stream(Some(&readable))
                    .and_then(|response| response.array_buffer())
                    .map_err(failed)?;
                Self::Gzip {
                    // Begun before the first write, which would wait for it.
                    compressed: JsFuture::from(compressed),
                    writer: gzip.writable().get_writer().map_err(failed)?,
                }
            }
            Encoding::Identity => Self::Identity {
                bytes: Uint8Array::new_with_length(IDENTITY_FIRST_BYTES),
                length: 0,
            },
        })
    }

    async fn write(&mut self, chunk: &Uint8Array) -> Result<(), String> {
        match self {
            Self::Gzip { writer, .. } => {
                let written = writer.write_with_chunk(chunk);
                JsFuture::from(written).await.map(drop).map_err(failed)
            }
            Self::Identity { bytes, length } => {
                let end = length.saturating_add(chunk.length());
                if end > bytes.length() {
                    let wider = bytes.length().saturating_mul(2).max(end);
                    let grown = Uint8Array::new_with_length(wider);
                    grown.set(&bytes.subarray(0, *length), 0);
                    *bytes = grown;
                }
                bytes.set(chunk, *length);
                *length = end;
                Ok(())
            }
        }
    }

    /// Writes what was collected in wasm, and empties it.
    async fn drain(&mut self, collected: &mut Vec<u8>) -> Result<(), SourceError> {
        if !collected.is_empty() {
            self.write(&js::bytes(collected)).await?;
            collected.clear();
        }
        Ok(())
    }

    async fn finish(self) -> Result<JsValue, SourceError> {
        match self {
            Self::Gzip { writer, compressed } => {
                JsFuture::from(writer.close()).await.map_err(failed)?;
                Ok(compressed.await.map_err(failed)?)
            }
            Self::Identity { bytes, length } => Ok(bytes.subarray(0, length).into()),
        }
    }
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
            Some(before) => {
                before.bytes += part.bytes;
                before.records += part.records;
            }
            None => joined.push(part.clone()),
        }
    }
    joined
}

/// The bytes of an object, or of a range of it.
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
