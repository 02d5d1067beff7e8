//! A push over a WebSocket: opens the connection, writes the frames, waits for what has to come back, closes.

use super::records::Source;
use super::{SourceError, fetch, first_bytes, now_unix_secs};
use crate::destination::websocket::{
    Closed, Conversation, Frame, MAX_PUSH_BYTES, Stage, acknowledges, end_of_push,
};
use crate::destination::{Answer, Outcome};
use crate::logpush::destination_conf::ResolvedDestination;
use crate::runtime::js;
use futures_util::future::select;
use js_sys::{Function, Promise, Uint8Array};
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::{AbortController, Delay};

/// How long the closing handshake is waited for once the push is acknowledged. The records are there, whatever it does;
/// without it the receiver would see a connection that breaks.
const CLOSE_DEADLINE_MILLIS: u64 = 1_000;

#[wasm_bindgen]
extern "C" {
    /// A `Response` of the runtime's, which may have a WebSocket.
    type Upgraded;
    #[wasm_bindgen(method, getter, js_name = webSocket)]
    fn web_socket(this: &Upgraded) -> Option<Socket>;

    type Socket;
    #[wasm_bindgen(method, catch)]
    fn accept(this: &Socket) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn send(this: &Socket, frame: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn close(this: &Socket, code: u16) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = addEventListener)]
    fn add_event_listener(this: &Socket, name: &str, listener: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = removeEventListener)]
    fn remove_event_listener(this: &Socket, name: &str, listener: &JsValue) -> Result<(), JsValue>;

    /// `MessageEvent`, `CloseEvent` or `ErrorEvent`.
    type SocketEvent;
    #[wasm_bindgen(method, getter)]
    fn data(this: &SocketEvent) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn code(this: &SocketEvent) -> Option<u16>;
    #[wasm_bindgen(method, getter)]
    fn reason(this: &SocketEvent) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    fn message(this: &SocketEvent) -> Option<String>;
}

/// Pushes once. The caller sees to the deadline: when this is dropped, the connection is cut.
///
/// # Errors
/// When an entry can not be read.
pub async fn converse(
    destination: &ResolvedDestination,
    conversation: &Conversation,
    source: &Source<'_>,
) -> Result<Outcome, SourceError> {
    if let Some(outcome) = source.too_large(destination, MAX_PUSH_BYTES) {
        return Ok(outcome);
    }
    let lost = |e: JsValue| Outcome::from_network_error(destination, &js::describe(&e));
    let cut = Cut(AbortController::default());
    let handshake = &conversation.handshake;
    let response = fetch(handshake, JsValue::UNDEFINED, &cut.0.signal()).await;
    let response = match response {
        Ok(response) => response,
        Err(e) => return Ok(lost(e)),
    };
    let Some(socket) = response.unchecked_ref::<Upgraded>().web_socket() else {
        return Ok(refused(destination, &response).await);
    };
    let connection = match Connection::open(socket, &conversation.push_id) {
        Ok(connection) => connection,
        Err(e) => return Ok(lost(e)),
    };
    Ok(match talk(&connection, conversation, source).await? {
        Ok(()) => Outcome::Accepted,
        Err(End::Closed(closed, stage)) => Outcome::from_close(destination, &closed, stage),
        Err(End::Broken(text)) => Outcome::from_network_error(destination, &text),
    })
}

/// Cuts the connection when nobody waits for it any more. One that was closed is not changed by it.
struct Cut(AbortController);

impl Drop for Cut {
    fn drop(&mut self) {
        std::mem::take(&mut self.0).abort();
    }
}

/// What a server meant that did not upgrade.
async fn refused(destination: &ResolvedDestination, response: &web_sys::Response) -> Outcome {
    let status = response.status();
    let retry_after = response.headers().get("retry-after").ok().flatten();
    let body = if (200..300).contains(&status) {
        b"the endpoint answered without becoming a WebSocket: check its path".to_vec()
    } else {
        first_bytes(response).await
    };
    let answer = Answer {
        status,
        retry_after: retry_after.as_deref(),
        body: &body,
    };
    Outcome::from_answer(destination, &answer, now_unix_secs())
}

/// How a conversation ended that was not accepted.
enum End {
    /// The receiver closed, or nobody did and the connection is gone.
    Closed(Closed, Stage),
    /// The runtime could not go on.
    Broken(String),
}

async fn talk(
    connection: &Connection,
    conversation: &Conversation,
    source: &Source<'_>,
) -> Result<Result<(), End>, SourceError> {
    let mut frames = 0_u64;
    let mut broken = None;
    let mut send = |bytes: &[u8]| {
        if connection.heard.borrow().is_over() {
            return false;
        }
        frames += 1;
        match connection.send(bytes) {
            Ok(()) => true,
            Err(e) => {
                broken = Some(js::describe(&e));
                false
            }
        }
    };
    match conversation.frame {
        Frame::Push => {
            send(&source.whole().await?);
        }
        Frame::Record => {
            let delimiter = source.delimiter().as_bytes();
            source
                .each(|record, _| send(bare(record, delimiter)))
                .await?;
        }
    }
    if let Some(text) = broken {
        return Ok(Err(End::Broken(text)));
    }
    if let Some(end) = connection.end(Stage::Sending) {
        return Ok(Err(end));
    }
    if conversation.wants_ack {
        let frame = JsValue::from(end_of_push(&conversation.push_id, frames));
        if let Err(e) = connection.socket.send(&frame) {
            return Ok(Err(End::Broken(js::describe(&e))));
        }
        connection.answered.wait().await;
        if !connection.heard.borrow().is_acknowledged {
            let end = connection.end(Stage::Unacknowledged);
            return Ok(Err(end.unwrap_or_else(|| End::Broken(String::new()))));
        }
    }
    if let Err(e) = connection.socket.close(1000) {
        if conversation.wants_ack {
            return Ok(Ok(()));
        }
        return Ok(Err(End::Broken(js::describe(&e))));
    }
    let over = pin!(connection.over.wait());
    if conversation.wants_ack {
        select(
            over,
            Delay::from(Duration::from_millis(CLOSE_DEADLINE_MILLIS)),
        )
        .await;
        return Ok(Ok(()));
    }
    over.await;
    Ok(connection.end(Stage::Closing).map_or(Ok(()), Err))
}

/// A record without what keeps it from its neighbours.
fn bare<'r>(record: &'r [u8], delimiter: &[u8]) -> &'r [u8] {
    let record = record.strip_prefix(delimiter).unwrap_or(record);
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// What came from the receiver.
#[derive(Default)]
struct Heard {
    is_acknowledged: bool,
    closed: Option<Closed>,
    broken: Option<String>,
}

impl Heard {
    fn is_over(&self) -> bool {
        self.closed.is_some() || self.broken.is_some()
    }
}

/// Something that happens once.
struct Bell {
    promise: Promise,
    /// The promise's own; it is there as soon as the promise is made. No default function stands in for it: the runtime
    /// has no `new Function`.
    resolve: Option<Function>,
}

impl Bell {
    fn new() -> Self {
        let mut resolve = None;
        let promise = Promise::new(&mut |given, _| resolve = Some(given));
        Self { promise, resolve }
    }

    /// Later rings change nothing.
    fn ring(&self) {
        if let Some(resolve) = &self.resolve {
            // A resolve function does not throw.
            let _ = resolve.call0(&JsValue::UNDEFINED);
        }
    }

    async fn wait(&self) {
        // It is never rejected.
        let _ = JsFuture::from(self.promise.clone()).await;
    }
}

/// The name of an event, and who hears it.
type Listener = (&'static str, Closure<dyn FnMut(SocketEvent)>);

/// An open connection that is listened to.
struct Connection {
    socket: Socket,
    heard: Rc<RefCell<Heard>>,
    /// Rings for the acknowledgement, and at the end.
    answered: Rc<Bell>,
    /// Rings at the end.
    over: Rc<Bell>,
    listeners: [Listener; 3],
}

impl Connection {
    fn open(socket: Socket, push_id: &str) -> Result<Self, JsValue> {
        let heard = Rc::new(RefCell::new(Heard::default()));
        let (answered, over) = (Rc::new(Bell::new()), Rc::new(Bell::new()));
        let on_message = {
            let (heard, answered, push_id) = (heard.clone(), answered.clone(), push_id.to_owned());
            move |event: SocketEvent| {
                let text = event.data().as_string();
                if text.is_some_and(|text| acknowledges(&text, &push_id)) {
                    heard.borrow_mut().is_acknowledged = true;
                    answered.ring();
                }
            }
        };
        let on_end = |what: fn(&mut Heard, &SocketEvent)| {
            let (heard, answered, over) = (heard.clone(), answered.clone(), over.clone());
            Closure::new(move |event: SocketEvent| {
                if !heard.borrow().is_over() {
                    what(&mut heard.borrow_mut(), &event);
                }
                answered.ring();
                over.ring();
            })
        };
        let on_close = on_end(|heard, event| {
            heard.closed = Some(Closed {
                code: event.code().unwrap_or(1006),
                reason: event.reason().unwrap_or_default(),
            });
        });
        let on_error = on_end(|heard, event| {
            let text = event.message().filter(|text| !text.is_empty());
            heard.broken = Some(text.unwrap_or_else(|| "connection lost".to_owned()));
        });
        let listeners = [
            ("message", Closure::new(on_message)),
            ("close", on_close),
            ("error", on_error),
        ];
        for (name, listener) in &listeners {
            socket.add_event_listener(name, listener.as_ref())?;
        }
        socket.accept()?;
        Ok(Self {
            socket,
            heard,
            answered,
            over,
            listeners,
        })
    }

    /// Text, as records are; what is no UTF-8 goes as it is.
    fn send(&self, frame: &[u8]) -> Result<(), JsValue> {
        match simdutf8::basic::from_utf8(frame) {
            Ok(text) => self.socket.send(&JsValue::from_str(text)),
            Err(_) => self.socket.send(&Uint8Array::from(frame)),
        }
    }

    /// How the connection ended, if it did.
    fn end(&self, stage: Stage) -> Option<End> {
        let mut heard = self.heard.borrow_mut();
        match (heard.closed.take(), heard.broken.take()) {
            (
                Some(Closed {
                    code: 1000 | 1005, ..
                }),
                _,
            ) if stage == Stage::Closing => None,
            (Some(closed), _) => Some(End::Closed(closed, stage)),
            (None, Some(text)) => Some(End::Broken(text)),
            (None, None) => None,
        }
    }
}

impl Drop for Connection {
    /// A listener that is called after its closure is gone would throw.
    fn drop(&mut self) {
        for (name, listener) in &self.listeners {
            let _ = self.socket.remove_event_listener(name, listener.as_ref());
        }
    }
}
