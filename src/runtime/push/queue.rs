//! A push to a Cloudflare Queue.

use super::SourceError;
use super::records::Source;
use crate::destination::Outcome;
use crate::destination::queue::{Head, MAX_PUSH_BYTES, Packer, batch_len};
use crate::logpush::destination_conf::ResolvedDestination;
use crate::runtime::js;
use js_sys::{Array, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::Env;

/// Pushes once: makes all messages, then sends them in order. When a call fails, those before it are in the queue
/// already; the next attempt sends the same messages under the same numbers.
///
/// # Errors
/// When an entry can not be read.
pub async fn send(
    env: &Env,
    destination: &ResolvedDestination,
    binding: &str,
    head: &Head<'_>,
    source: &Source<'_>,
) -> Result<Outcome, SourceError> {
    let queue = match bound(env, binding) {
        Ok(queue) => queue,
        Err(advice) => return Ok(Outcome::misconfigured(&advice)),
    };
    if let Some(outcome) = source.too_large(destination, MAX_PUSH_BYTES) {
        return Ok(outcome);
    }
    let (prefix, suffix) = source.around();
    let mut packer = Packer::new(prefix, source.delimiter(), suffix);
    let mut too_large = None;
    source
        .each(|record, records| {
            too_large = packer.add(record, records).err();
            too_large.is_none()
        })
        .await?;
    if let Some(bytes) = too_large {
        let text = format!("a record of {bytes} bytes fits into no message of a queue");
        return Ok(Outcome::too_large(destination, &text));
    }
    let messages = packer.finish();
    let (mut next, mut sequence) = (messages.as_slice(), 0);
    while !next.is_empty() {
        let (batch, rest) = next.split_at(batch_len(next).min(next.len()));
        next = rest;
        let bodies = Array::new();
        for message in batch {
            let line = message.head(head, sequence, messages.len());
            sequence += 1;
            let body = [line.as_bytes(), b"\n", &message.content].concat();
            // Text, as records are; what is no UTF-8 goes as it is.
            let (body, kind) = match simdutf8::basic::from_utf8(&body) {
                Ok(text) => (JsValue::from_str(text), "text"),
                Err(_) => (Uint8Array::from(body.as_slice()).into(), "bytes"),
            };
            bodies.push(&js::object(&[("body", body), ("contentType", kind.into())]));
        }
        if let Err(e) = send_batch(&queue, &bodies).await {
            return Ok(Outcome::from_queue_error(destination, &js::describe(&e)));
        }
    }
    Ok(Outcome::Accepted)
}

#[wasm_bindgen]
extern "C" {
    /// A binding that takes batches of messages.
    type Queue;
    #[wasm_bindgen(method, catch, js_name = sendBatch)]
    fn send_batch(this: &Queue, messages: &Array) -> Result<Promise, JsValue>;
}

fn bound(env: &Env, name: &str) -> Result<Queue, String> {
    let binding = Reflect::get(env, &name.into()).unwrap_or_default();
    if binding.is_undefined() || binding.is_null() {
        return Err(format!(
            "this Worker has no binding {name}: add [[queues.producers]] with binding = \"{name}\" to wrangler.toml and deploy"
        ));
    }
    // Any other binding, and a secret above all, has no such method.
    let method = Reflect::get(&binding, &"sendBatch".into());
    if !method.is_ok_and(|method| method.is_function()) {
        return Err(format!(
            "the binding {name} is no queue: name one of [[queues.producers]]"
        ));
    }
    Ok(binding.unchecked_into())
}

async fn send_batch(queue: &Queue, messages: &Array) -> Result<(), JsValue> {
    // A promise, or what behaves like one.
    let sent = Promise::resolve(&queue.send_batch(messages)?);
    JsFuture::from(sent).await.map(drop)
}
