//! The Durable Objects, and how they are called: a JSON request and a JSON answer over their fetch handler, because
//! classes written in Rust have no RPC.

pub mod alerts;
pub mod ledger;
pub mod outbox;
pub mod registry;
pub mod replay;
pub mod tail;

use js_sys::Uint8Array;
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Env, Headers, Method, Request, RequestInit, Response, Result};

/// A Durable Object class, as it is bound in wrangler.toml.
#[derive(Debug, Clone, Copy)]
pub enum Class {
    /// Jobs and ledger names; one object.
    Registry,
    /// Rows of batches.
    Ledger,
    /// A job's queue.
    Outbox,
    /// Policies, webhooks and what is to be told; one object.
    Alerts,
    /// A session of Instant Logs and its viewers.
    Tail,
    /// A replay.
    Replay,
}

impl Class {
    /// The name of its binding.
    pub fn binding(self) -> &'static str {
        match self {
            Self::Registry => "REGISTRY",
            Self::Ledger => "LEDGER",
            Self::Outbox => "OUTBOX",
            Self::Alerts => "ALERTS",
            Self::Tail => "TAIL",
            Self::Replay => "REPLAY",
        }
    }
}

/// The one registry.
pub const REGISTRY_NAME: &str = "registry";

/// The one object of alerts.
pub const ALERTS_NAME: &str = "alerts";

/// The header that tells an object its own name, which its alarm has to know.
const NAME_HEADER: &str = "x-instance";

/// Calls `operation` of an object.
///
/// # Errors
/// When the object can not be reached, or answers anything but 200; the text says which call failed.
pub async fn call<Q: Serialize, A: DeserializeOwned>(
    env: &Env,
    class: Class,
    name: &str,
    operation: &str,
    question: &Q,
) -> Result<A> {
    let body = serde_json::to_string(question)?;
    call_raw(env, class, name, operation, JsValue::from_str(&body)).await
}

/// Calls an operation that takes bytes after its question: one line of JSON, then the bytes.
pub async fn call_with_bytes<Q: Serialize, A: DeserializeOwned>(
    env: &Env,
    class: Class,
    name: &str,
    operation: &str,
    question: &Q,
    bytes: &Uint8Array,
) -> Result<A> {
    let mut head = serde_json::to_vec(question)?;
    head.push(b'\n');
    let body = Uint8Array::new_with_length(head.len() as u32 + bytes.length());
    body.subarray(0, head.len() as u32).copy_from(&head);
    body.set(bytes, head.len() as u32);
    call_raw(env, class, name, operation, body.into()).await
}

async fn call_raw<A: DeserializeOwned>(
    env: &Env,
    class: Class,
    name: &str,
    operation: &str,
    body: JsValue,
) -> Result<A> {
    let stub = env.durable_object(class.binding())?.get_by_name(name)?;
    let headers = Headers::new();
    headers.set(NAME_HEADER, name)?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_body(Some(body));
    let request = Request::new_with_init(&format!("https://object/{operation}"), &init)?;
    let mut response = stub.fetch_with_request(request).await?;
    let text = response.text().await?;
    if response.status_code() != 200 {
        let what = format!("{}.{operation} failed: {text}", class.binding());
        return Err(worker::Error::RustError(what));
    }
    read_json(&text)
}

/// The request's question, and the bytes after it.
pub async fn question<Q: DeserializeOwned>(request: &mut Request) -> Result<(Q, Uint8Array)> {
    let buffer = wasm_bindgen_futures::JsFuture::from(request.inner().array_buffer()?).await?;
    let body = Uint8Array::new(&buffer);
    let newline = body.index_of(b'\n', 0);
    let (head, rest) = match u32::try_from(newline) {
        Ok(at) => (body.subarray(0, at), body.subarray(at + 1, body.length())),
        Err(_) => (body.clone(), Uint8Array::new_with_length(0)),
    };
    Ok((read_json_bytes(&head.to_vec())?, rest))
}

/// Reads JSON, of a row or an answer. In one place and from bytes, as requests are, so that the code that reads a type is
/// in the bundle once: inlined for each source and caller, it made it 59 KiB larger.
pub fn read_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    read_json_bytes(text.as_bytes())
}

#[inline(never)]
fn read_json_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Ok(serde_json::from_slice(bytes)?)
}

/// The object's own name, from the call.
pub fn own_name(request: &Request) -> Result<String> {
    request
        .headers()
        .get(NAME_HEADER)?
        .ok_or_else(|| worker::Error::RustError("the call does not name its object".to_owned()))
}

/// Answers a call. An error becomes a 500 with its text, for the caller alone: objects are not reachable from outside.
pub fn answer<A: Serialize>(result: Result<A>) -> Result<Response> {
    match result {
        Ok(answer) => Response::from_json(&answer),
        Err(e) => Response::error(e.to_string(), 500),
    }
}

/// Answers a call with what is JSON already.
pub fn answer_json(result: Result<String>) -> Result<Response> {
    match result {
        Ok(json) => Response::ok(json),
        Err(e) => Response::error(e.to_string(), 500),
    }
}

/// Now, unix milliseconds.
pub fn now_millis() -> u64 {
    worker::Date::now().as_millis()
}

/// A blob column of a row.
pub fn blob(row: &JsValue, column: &str) -> Result<Uint8Array> {
    let value = js_sys::Reflect::get(row, &column.into())?;
    let buffer: js_sys::ArrayBuffer = value
        .dyn_into()
        .map_err(|_| worker::Error::RustError(format!("{column} is no blob")))?;
    Ok(Uint8Array::new(&buffer))
}
