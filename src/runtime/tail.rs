//! Live tail: its part of the API, the way of a viewer to its session's object, and the way of lines there.
//!
//! Ingest does not wait for any of it: lines are handed over after the batch has been answered, what an object does not take
//! in time is given up and told with the next lines.

use super::objects::registry::Ending;
use super::objects::tail::{Heard, Lines};
use super::objects::{Class, REGISTRY_NAME, call, call_with_bytes, now_millis};
use super::slots::{Most, Slot, Slots};
use super::{api, config, error, jobs, js};
use crate::api::{
    EdgeRoute, EdgeServices, JobRules, Opened, SessionStore, StoreError, handle_edge,
};
use crate::limits::{TAIL_BUDGET_BYTES, TAIL_CALLS_MAX, TAIL_DEADLINE_MILLIS, TAIL_SESSION_SECS};
use crate::logpush::instant_logs::{Session, SessionId};
use crate::logpush::scope::Scope;
use crate::route::{Routes, Tailed};
use crate::tail::Lost;
use futures_util::future::{Either, join_all, select};
use js_sys::Uint8Array;
use serde::{Serialize, de::DeserializeOwned};
use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;
use worker::{Delay, Env, Method, Request, Response, Result};

/// The parameter of a viewer that acknowledges what it gets.
const ACK_PARAMETER: &str = "ack";

thread_local! {
    static CALLS: Slots = const { Slots::new() };
    /// Records that did not get to their session, told with the next ones that do.
    static UNTOLD: RefCell<HashMap<SessionId, u64>> = RefCell::new(HashMap::new());
}

/// Answers a call of the API.
pub async fn handle(
    request: &Request,
    env: &Env,
    route: &EdgeRoute,
    body: &[u8],
    rules: &impl JobRules,
) -> Result<crate::api::ApiResponse> {
    let access = api::access(request, env).await?;
    let services = EdgeServices {
        store: &Outside { env },
        rules,
        session_id: SessionId::new(&js::random_128()?),
        base: base(request)?,
        now_millis: now_millis(),
        session_secs: seconds(env, config::TAIL_SESSION_SECONDS, TAIL_SESSION_SECS),
    };
    Ok(handle_edge(route, access, body, &services).await)
}

/// The address of this Worker for WebSockets, as the caller knows it.
fn base(request: &Request) -> Result<String> {
    let url = request.url()?;
    let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
    let host = url.host_str().unwrap_or_default();
    Ok(match url.port() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

/// A time that a variable may set, up to an hour.
pub fn seconds(env: &Env, variable: &str, default: u64) -> u64 {
    config::number(env, variable)
        .unwrap_or(default)
        .clamp(1, TAIL_SESSION_SECS)
}

struct Outside<'e> {
    env: &'e Env,
}

impl Outside<'_> {
    async fn registry<Q: Serialize, A: DeserializeOwned>(
        &self,
        operation: &str,
        question: &Q,
    ) -> std::result::Result<A, StoreError> {
        let answer = call(
            self.env,
            Class::Registry,
            REGISTRY_NAME,
            operation,
            question,
        );
        answer.await.map_err(|e| {
            worker::console_error!("sessions: {e}");
            StoreError {
                text: "the registry did not answer; try again".to_owned(),
            }
        })
    }

    async fn tail(
        &self,
        session: &Session,
        operation: &str,
    ) -> std::result::Result<(), StoreError> {
        let name = session.session_id.instance_name();
        let answer = call(self.env, Class::Tail, &name, operation, session);
        answer.await.map_err(|e| {
            worker::console_error!("session {}: {e}", session.id);
            StoreError {
                text: "the session's object did not answer; try again".to_owned(),
            }
        })
    }
}

impl SessionStore for Outside<'_> {
    async fn list(&self, scope: &Scope) -> std::result::Result<Vec<Session>, StoreError> {
        self.registry("sessions", &scope.to_string()).await
    }

    async fn open(&self, session: Session) -> std::result::Result<Opened, StoreError> {
        let opened: Opened = self.registry("open-session", &session).await?;
        if let Opened::Open(session) = &opened {
            if let Err(e) = self.tail(session, "open").await {
                let ending = Ending::Id(session.session_id.clone());
                // If this fails as well, the row is dropped when lines find no session, or when its time is over.
                let _ = self
                    .registry::<_, Option<Session>>("end-session", &ending)
                    .await;
                return Err(e);
            }
            jobs::forget();
        }
        Ok(opened)
    }

    async fn end(&self, scope: &Scope, id: u64) -> std::result::Result<bool, StoreError> {
        let ending = Ending::Number(scope.clone(), id);
        let ended: Option<Session> = self.registry("end-session", &ending).await?;
        jobs::forget();
        match ended {
            Some(session) => self.tail(&session, "end").await.map(|()| true),
            None => Ok(false),
        }
    }
}

/// Lets a viewer in: hands the request for a WebSocket to its session's object.
pub async fn view(request: &Request, env: &Env, session_id: &str) -> Result<Response> {
    if request.method() != Method::Get {
        return super::method_not_allowed("GET", "connect with a WebSocket");
    }
    let wants_socket = request.headers().get("Upgrade")?;
    if !wants_socket.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")) {
        let response = error(426, "upgrade_required", "connect with a WebSocket")?;
        response.headers().set("Upgrade", "websocket")?;
        return Ok(response);
    }
    let Some(session_id) = SessionId::read(session_id) else {
        return no_session();
    };
    let acknowledges = request
        .url()?
        .query_pairs()
        .any(|(name, value)| name == ACK_PARAMETER && value == "true");
    let let_in = async {
        let name = session_id.instance_name();
        let stub = env
            .durable_object(Class::Tail.binding())?
            .get_by_name(&name)?;
        let knock = Request::new(&format!("https://object/view?{acknowledges}"), Method::Get)?;
        knock.headers().set("Upgrade", "websocket")?;
        stub.fetch_with_request(knock).await
    };
    let response = match let_in.await {
        Ok(response) => response,
        Err(e) => {
            worker::console_error!("a viewer was not let in: {e}");
            return error(
                503,
                "storage_unavailable",
                "the session's object did not answer; try again",
            );
        }
    };
    match response.status_code() {
        101 => Ok(response),
        404 => no_session(),
        429 => error(
            429,
            "too_many_viewers",
            "the session has as many viewers as it may have: create another one",
        ),
        _ => error(
            503,
            "storage_unavailable",
            "the session's object failed; try again",
        ),
    }
}

fn no_session() -> Result<Response> {
    error(
        404,
        "session_not_found",
        "there is no such session, or it is over: create one with POST logpush/edge/jobs",
    )
}

/// What one session is shown of a batch that was committed.
pub struct Shown {
    session_id: SessionId,
    lines: Uint8Array,
    records: u64,
    lost: u64,
}

/// What is to be handed over of a batch; nothing for sessions that it has nothing for.
pub fn shown(routes: &Routes, tailed: Vec<Tailed>) -> Vec<Shown> {
    let of_session = routes.tails.iter().zip(tailed);
    of_session
        .filter(|(_, tailed)| tailed.records + tailed.lost > 0)
        .map(|(tail, tailed)| Shown {
            session_id: tail.session_id.clone(),
            lines: js::bytes(&tailed.lines),
            records: tailed.records,
            lost: tailed.lost,
        })
        .collect()
}

/// Hands lines over to their sessions. Never fails: what does not get there is told later.
pub async fn hand_over(env: Env, shown: Vec<Shown>) {
    join_all(shown.into_iter().map(|shown| hand_one(&env, shown))).await;
}

async fn hand_one(env: &Env, shown: Shown) {
    let most = Most {
        places: TAIL_CALLS_MAX,
        bytes: TAIL_BUDGET_BYTES as u64,
    };
    let Some(_slot) = Slot::take(&CALLS, u64::from(shown.lines.length()), most) else {
        return put_off(&shown, shown.records + shown.lost);
    };
    let before = UNTOLD.with_borrow_mut(|untold| untold.remove(&shown.session_id));
    let before = before.unwrap_or_default();
    let question = Lines {
        lost: Lost {
            batch_limit: shown.lost,
            hand_over: before,
            ..Lost::default()
        },
    };
    let name = shown.session_id.instance_name();
    let handed = call_with_bytes(env, Class::Tail, &name, "lines", &question, &shown.lines);
    let deadline = Delay::from(Duration::from_millis(TAIL_DEADLINE_MILLIS));
    match select(pin!(handed), deadline).await {
        Either::Left((Ok(Heard::Taken), _)) => {}
        Either::Left((Ok(Heard::NoSession), _)) => {
            jobs::forget();
            let ending = Ending::Id(shown.session_id);
            let ended = call::<_, Option<Session>>(
                env,
                Class::Registry,
                REGISTRY_NAME,
                "end-session",
                &ending,
            );
            if let Err(e) = ended.await {
                worker::console_warn!("a session that is over was not forgotten: {e}");
            }
        }
        Either::Left((Err(e), _)) => {
            worker::console_warn!("lines did not get to their session: {e}");
            put_off(&shown, shown.records + shown.lost + before);
        }
        Either::Right(_) => {
            worker::console_warn!(
                "lines did not get to their session in {TAIL_DEADLINE_MILLIS} ms"
            );
            put_off(&shown, shown.records + shown.lost + before);
        }
    }
}

/// Remembers records that did not get to their session, or of which nobody knows.
fn put_off(shown: &Shown, records: u64) {
    /// Sessions that are remembered: more than there can be at once.
    const UNTOLD_MAX: usize = 256;
    UNTOLD.with_borrow_mut(|untold| {
        if untold.len() >= UNTOLD_MAX {
            untold.clear();
        }
        *untold.entry(shown.session_id.clone()).or_default() += records;
    });
}
