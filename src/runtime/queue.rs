//! A push to a Cloudflare Queue.

use super::js;
use super::push::SourceError;
use super::records::Source;
use crate::destination::Outcome;
use crate::destination::queue::{Head, Packer, batch_len};
use crate::logpush::destination_conf::ResolvedDestination;
use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
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
    let queue = match Queue::bound(env, binding) {
        Ok(queue) => queue,
        Err(advice) => return Ok(Outcome::misconfigured(&advice)),
    };
    if let Some(outcome) = source.too_large(destination) {
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
        if let Err(e) = queue.send_batch(&bodies).await {
            return Ok(Outcome::from_queue_error(destination, &js::describe(&e)));
        }
    }
    Ok(Outcome::Accepted)
}

/// A binding that takes batches of messages.
struct Queue {
    binding: JsValue,
    send_batch: Function,
}

impl Queue {
    fn bound(env: &Env, name: &str) -> Result<Self, String> {
        let binding = Reflect::get(env, &name.into()).unwrap_or_default();
        if binding.is_undefined() || binding.is_null() {
            return Err(format!(
                "this Worker has no binding {name}: add [[queues.producers]] with binding = \"{name}\" to wrangler.toml and deploy"
            ));
        }
        // Any other binding, and a secret above all, has no such method.
        Reflect::get(&binding, &"sendBatch".into())
            .ok()
            .and_then(|method| method.dyn_into().ok())
            .map(|send_batch| Self {
                binding,
                send_batch,
            })
            .ok_or_else(|| {
                format!("the binding {name} is no queue: name one of [[queues.producers]]")
            })
    }

    async fn send_batch(&self, messages: &Array) -> Result<(), JsValue> {
        let sent = self.send_batch.call1(&self.binding, messages)?;
        JsFuture::from(Promise::resolve(&sent)).await.map(drop)
    }
}
