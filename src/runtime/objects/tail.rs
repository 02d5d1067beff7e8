//! One session of Instant Logs, and its viewers.
//!
//! State: one value, `session`, the JSON of the [`Session`]; none when there is no such session, so that a guessed id leaves
//! nothing behind. What is known of a viewer is kept with its WebSocket, which the runtime holds while the object is out of
//! memory. Called by the API (open, end), by ingest (lines) and by viewers. An eviction loses how much of this second's rate
//! was used. The alarm ends the session: when its time is over, or when nobody has listened for a while.

use super::registry::Ending;
use super::{Class, REGISTRY_NAME, answer, call, now_millis, question, read_json};
use crate::limits::{TAIL_UNATTENDED_SECS, TAIL_VIEWERS_MAX};
use crate::logpush::instant_logs::Session;
use crate::runtime::{config, tail::seconds};
use crate::tail::{Close, Delivery, Lost, Rate, Step, Viewer};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use worker::{
    DurableObject, Env, Error, Request, Response, Result, Socket, State, WebSocket,
    WebSocketIncomingMessage, WebSocketPair, durable_object, wasm_bindgen,
};

/// The key of the one value.
const SESSION: &str = "session";

/// `WebSocket.readyState` of one that is open.
const OPEN: u16 = 1;

/// What the runtime answers by itself, without waking the object: a viewer can find out whether its connection lives.
const PING: (&str, &str) = ("ping", "pong");

/// What stands before a batch's lines.
#[derive(Debug, Serialize, Deserialize)]
pub struct Lines {
    /// What is missing.
    pub lost: Lost,
}

/// What became of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    /// The viewers get them, as far as they keep up.
    Taken,
    /// There is no session any more.
    NoSession,
}

/// See the module.
#[durable_object]
pub struct Tail {
    state: State,
    env: Env,
    /// As soon as it was read.
    session: RefCell<Option<Session>>,
    rate: RefCell<Rate>,
}

impl DurableObject for Tail {
    fn new(state: State, env: Env) -> Self {
        Self {
            state,
            env,
            session: RefCell::new(None),
            rate: RefCell::new(Rate::new(now_millis())),
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        match request.path().as_str() {
            "/open" => match question(&mut request).await {
                Ok((session, _)) => answer(self.open(&session).await),
                Err(e) => answer::<()>(Err(e)),
            },
            "/lines" => match question::<Lines>(&mut request).await {
                Ok((lines, bytes)) => answer(self.show(&lines, &bytes.to_vec()).await),
                Err(e) => answer::<()>(Err(e)),
            },
            "/end" => answer(self.end(Close::Ended).await),
            "/view" => {
                let acknowledges = request.url()?.query() == Some("true");
                self.let_in(acknowledges).await
            }
            _ => Response::error("no such operation", 404),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        if let Err(e) = self.look().await {
            worker::console_error!("tail: {e}");
            // An alarm that fails is tried again by the runtime.
            return Err(e);
        }
        Response::empty()
    }

    async fn websocket_message(
        &self,
        socket: WebSocket,
        message: WebSocketIncomingMessage,
    ) -> Result<()> {
        if let WebSocketIncomingMessage::String(text) = message
            && let Some(mut viewer) = viewer_of(&socket)
        {
            let step = viewer.hear(&text);
            give(&socket, &viewer, step);
        }
        Ok(())
    }

    async fn websocket_close(
        &self,
        socket: WebSocket,
        _code: usize,
        _reason: String,
        _was_clean: bool,
    ) -> Result<()> {
        self.left(&socket).await
    }

    async fn websocket_error(&self, socket: WebSocket, _error: Error) -> Result<()> {
        self.left(&socket).await
    }

    async fn connect(&self, _socket: Socket) -> Result<()> {
        Err(Error::RustError("no connections are taken".to_owned()))
    }
}

impl Tail {
    /// The session, unless it is over.
    async fn session(&self) -> Result<Option<Session>> {
        if self.session.borrow().is_none() {
            let stored: Option<String> = self.state.storage().get(SESSION).await?;
            let session = stored.as_deref().map(read_json).transpose()?;
            *self.session.borrow_mut() = session;
        }
        let session = self.session.borrow();
        let is_on = |session: &&Session| now_millis() < session.ends_at_millis;
        Ok(session.as_ref().filter(is_on).cloned())
    }

    async fn open(&self, session: &Session) -> Result<()> {
        let storage = self.state.storage();
        storage
            .put(SESSION, serde_json::to_string(session)?)
            .await?;
        *self.session.borrow_mut() = Some(session.clone());
        self.arm(session, false).await
    }

    /// Sets the alarm for when the session ends, if nothing else happens.
    async fn arm(&self, session: &Session, is_attended: bool) -> Result<()> {
        let left = session.ends_at_millis.saturating_sub(now_millis());
        let unattended = seconds(
            &self.env,
            config::TAIL_UNATTENDED_SECONDS,
            TAIL_UNATTENDED_SECS,
        );
        let wait = if is_attended {
            left
        } else {
            left.min(unattended * 1_000)
        };
        self.state.storage().set_alarm(wait.max(1) as i64).await
    }

    async fn let_in(&self, acknowledges: bool) -> Result<Response> {
        let Some(session) = self.session().await? else {
            return Response::error("no such session", 404);
        };
        if self.viewers(None).len() >= TAIL_VIEWERS_MAX {
            return Response::error("too many viewers", 429);
        }
        self.arm(&session, true).await?;
        let pair = WebSocketPair::new()?;
        if let Ok(ping) = worker::worker_sys::WebSocketRequestResponsePair::new(PING.0, PING.1) {
            self.state.set_websocket_auto_response(&ping);
        }
        self.state.accept_web_socket(&pair.server);
        keep(&pair.server, &Viewer::new(acknowledges));
        Response::from_websocket(pair.client)
    }

    /// The connections that are open, but for one that is about to end.
    fn viewers(&self, but: Option<&WebSocket>) -> Vec<WebSocket> {
        let mut sockets = self.state.get_websockets();
        sockets.retain(|socket| socket.as_ref().ready_state() == OPEN && Some(socket) != but);
        sockets
    }

    async fn show(&self, lines: &Lines, bytes: &[u8]) -> Result<Heard> {
        if self.session().await?.is_none() {
            return Ok(Heard::NoSession);
        }
        let viewers = self.viewers(None);
        if viewers.is_empty() {
            return Ok(Heard::Taken);
        }
        let delivery = Delivery::new(bytes, lines.lost, &mut self.rate.borrow_mut(), now_millis());
        for socket in viewers {
            if let Some(mut viewer) = viewer_of(&socket) {
                let step = viewer.take(&delivery);
                give(&socket, &viewer, step);
            }
        }
        Ok(Heard::Taken)
    }

    /// A viewer left. Its place is free, and if it was the last one the session ends before long.
    async fn left(&self, socket: &WebSocket) -> Result<()> {
        // Answers the other side's Close where the runtime has not; it can not be closed twice.
        let _ = socket.close::<&str>(None, None);
        if self.viewers(Some(socket)).is_empty()
            && let Some(session) = self.session().await?
        {
            self.arm(&session, false).await?;
        }
        Ok(())
    }

    /// The alarm: is the session over?
    async fn look(&self) -> Result<()> {
        match self.session().await? {
            // Somebody came between the alarm and this.
            Some(session) if !self.viewers(None).is_empty() => self.arm(&session, true).await,
            _ => self.end(Close::TimeIsUp).await,
        }
    }

    /// Ends the session: closes what is open and forgets everything.
    async fn end(&self, why: Close) -> Result<()> {
        for socket in self.viewers(None) {
            let _ = socket.close(Some(why.code()), Some(why.reason()));
        }
        let storage = self.state.storage();
        let stored: Option<String> = storage.get(SESSION).await?;
        *self.session.borrow_mut() = None;
        // Before anybody else is told: nobody may be let in meanwhile who would then be forgotten.
        storage.delete_alarm().await?;
        storage.delete_all().await?;
        let Some(stored) = stored else {
            return Ok(());
        };
        let session: Session = read_json(&stored)?;
        let ending = Ending::Id(session.session_id);
        let ended: Result<Option<Session>> = call(
            &self.env,
            Class::Registry,
            REGISTRY_NAME,
            "end-session",
            &ending,
        )
        .await;
        if let Err(e) = ended {
            // Its row goes when its time is over, or when lines for it find no session.
            worker::console_warn!("session {}: {e}", session.id);
        }
        Ok(())
    }
}

fn viewer_of(socket: &WebSocket) -> Option<Viewer> {
    let stored: String = socket.deserialize_attachment().ok().flatten()?;
    read_json(&stored).ok()
}

fn keep(socket: &WebSocket, viewer: &Viewer) {
    // Some 200 bytes; the runtime takes 2,048 (Durable Objects limits page).
    if let Ok(text) = serde_json::to_string(viewer) {
        let _ = socket.serialize_attachment(text);
    }
}

/// Does what is to be done for a viewer, and remembers what it has got.
fn give(socket: &WebSocket, viewer: &Viewer, step: Step) {
    keep(socket, viewer);
    for message in step.messages {
        // A connection that has ended meanwhile: its end comes as an event of its own.
        if socket.send_with_str(message).is_err() {
            return;
        }
    }
    if let Some(why) = step.close {
        let _ = socket.close(Some(why.code()), Some(why.reason()));
    }
}
