//! The only room that knows the `worker` SDK: the entry point, the routing table, bindings, streams, Durable Objects.
//! No rule about a record lives here.

mod access;
mod alerts;
mod api;
mod archive;
mod batches;
#[cfg(feature = "bench")]
mod bench;
mod config;
mod events;
mod graphql;
mod ingest;
mod jobs;
mod js;
mod lifecycle;
mod log;
mod metrics;
mod objects;
mod owed;
mod pipeline;
mod preview;
mod probe;
mod push;
mod replays;
mod retrieval;
mod slots;
mod stats;
mod stored;
mod tail;

use crate::api::Access;
use crate::logpush::catalogue;
use crate::logpush::instant_logs::SESSIONS_PATH;
use crate::logpush::scope::{Scope, ScopeKind};
use serde_json::json;
use std::future::Future;
use std::rc::Rc;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::{
    Context, Env, Method, Request, Response, Result, ScheduleContext, ScheduledEvent, event,
};

/// Every request.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    match access::Visitor::of(&request)? {
        None => routed(request, env, context).await,
        Some(visitor) => {
            let response = routed(request, env.clone(), context).await?;
            visitor.explained(response, &env).await
        }
    }
}

/// Every request, by path.
async fn routed(mut request: Request, env: Env, context: Context) -> Result<Response> {
    let path = request.path();
    if path == graphql::PATH {
        return graphql::handle(&mut request, &env).await;
    }
    if path.starts_with("/client/v4/") {
        if let Some(response) = retrieval::handle(&mut request, &env, &context).await? {
            return Ok(response);
        }
        return api::handle(&mut request, &env).await;
    }
    if let Some(rest) = path.strip_prefix("/ingest/") {
        return match (request.method(), target(rest)) {
            (Method::Post | Method::Put, Some(target)) => {
                #[cfg(feature = "bench")]
                if let Some(stage) = bench::stage(&request) {
                    return bench::handle(&request, &env, &target, &stage).await;
                }
                let context = Rc::new(context);
                to_its_end(&context.clone(), async move {
                    ingest::handle(&request, &env, &context, &target).await
                })
                .await
            }
            (_, Some(_)) => method_not_allowed("POST, PUT", "send batches by POST or PUT"),
            (_, None) => error(
                404,
                "no_such_target",
                "send batches to /ingest/zones/{zone}/{dataset} or /ingest/accounts/{account}/{dataset}",
            ),
        };
    }
    if let Some(session) = path.strip_prefix(SESSIONS_PATH) {
        return tail::view(&request, &env, session).await;
    }
    match path.as_str() {
        #[cfg(feature = "bench")]
        "/bench/log" => bench::log(&request, &env).await,
        "/healthz" => Response::from_json(&json!({
            "ok": true,
            "version": env!("CARGO_PKG_VERSION"),
            "wasm_memory_bytes": wasm_memory_bytes(),
            "batches_in_flight": pipeline::in_flight(),
            "bytes_in_flight": pipeline::bytes_in_flight(),
            "retrievals_in_flight": retrieval::in_flight(),
        })),
        "/stats" | "/metrics" if request.method() != Method::Get => {
            method_not_allowed("GET", &format!("ask for {path} by GET"))
        }
        "/stats" | "/metrics" => match api::access(&request, &env).await? {
            Access::None => error(
                401,
                "unauthorized",
                "send READ_TOKEN or API_TOKEN as `Authorization: Bearer …`, or as X-Auth-Key with any X-Auth-Email",
            ),
            Access::Read | Access::Write => {
                let answered = match path.as_str() {
                    "/metrics" => metrics::handle(&request, &env).await,
                    _ => stats::handle(&request, &env).await,
                };
                match answered {
                    Ok(response) => Ok(response),
                    Err(e) => {
                        worker::console_error!("{path}: {e}");
                        error(
                            503,
                            "storage_unavailable",
                            "a ledger or an outbox did not answer; try again",
                        )
                    }
                }
            }
        },
        _ => error(
            404,
            "not_found",
            "there is /ingest/…, /client/v4/…, /instant-logs/…, /stats, /metrics and /healthz",
        ),
    }
}

/// The cron trigger.
#[event(scheduled)]
async fn scheduled(event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    alerts::look(&env).await;
    replays::start_all(&env).await;
    // The time for which the trigger was set: a test sets a later one, and waits for nothing.
    lifecycle::look_after(&env, event.schedule() as u64).await;
}

/// Messages of a queue: events of R2. Not by the SDK's macro, which hides how often a message has come, and makes a panic of
/// an error.
#[wasm_bindgen]
pub async fn queue(messages: events::Messages, env: Env, _context: JsValue) {
    events::consume(&messages, &env).await;
}

/// Runs `work` to its end even when the sender goes away: a batch that was read whole is still committed, and what an
/// attempt holds is let go. The runtime would otherwise stop in the middle and leave all of it in memory.
async fn to_its_end(
    context: &Context,
    work: impl Future<Output = Result<Response>> + 'static,
) -> Result<Response> {
    let answer = future_to_promise(async move {
        let response: web_sys::Response = work.await.map_err(JsValue::from)?.into();
        Ok(response.into())
    });
    let end = JsFuture::from(answer.clone());
    context.wait_until(async move {
        // The same result, which the request itself reports.
        let _ = end.await;
    });
    let response: web_sys::Response = JsFuture::from(answer).await?.unchecked_into();
    Ok(response.into())
}

/// An error outside the Logpush API, whose envelope is its own.
fn error(status: u16, code: &str, message: &str) -> Result<Response> {
    let body = json!({"ok": false, "error": {"code": code, "message": message}});
    Ok(Response::from_json(&body)?.with_status(status))
}

/// A 405 has to say what is allowed (RFC 9110, 15.5.6).
fn method_not_allowed(allowed: &str, message: &str) -> Result<Response> {
    let response = error(405, "method_not_allowed", message)?;
    response.headers().set("Allow", allowed)?;
    Ok(response)
}

/// `{zones|accounts}/{id}/{dataset}`.
fn target(path: &str) -> Option<ingest::Target> {
    let mut parts = path.split('/');
    let kind = ScopeKind::from_path(parts.next()?)?;
    let scope = Scope::new(kind, parts.next()?).ok()?;
    let dataset = parts.next()?;
    (catalogue::is_name(dataset) && parts.next().is_none()).then(|| ingest::Target {
        scope,
        dataset: dataset.to_owned(),
    })
}

/// The isolate's linear memory, which never shrinks: its size is the peak.
fn wasm_memory_bytes() -> usize {
    const PAGE_BYTES: usize = 65_536;
    core::arch::wasm32::memory_size(0) * PAGE_BYTES
}
