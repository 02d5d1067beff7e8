//! Records out of the archive: `logs/list`, `logs/retrieve`, `logs/received` and `logs/rayids`, see [`crate::api`] for what
//! they take.
//!
//! A retrieval is a stream: objects are opened one after the other, a few ahead, and a block is read only when the one
//! before it has been taken by the client. What is held does not depend on the range.

mod find;
mod out;
mod read;

use super::objects::{Class, call, now_millis};
use super::slots::{Most, Slot, Slots};
use super::{api, config};
use crate::api::{
    Access, ApiError, ApiResponse, Cursor, LogsCall, LogsRoute, MAX_REQUEST_BYTES, Objects,
    Retrieve, accepts_gzip, listed, received_fields,
};
use crate::ledger::{NotedRays, RayQuestion};
use crate::limits::{
    RAY_ANSWER_MAX_RECORDS, RETRIEVAL_MAX_OBJECTS, RETRIEVAL_MAX_RAW_BYTES,
    RETRIEVALS_IN_FLIGHT_MAX,
};
use crate::logpush::catalogue::Dataset;
use crate::logpush::scope::Scope;
use crate::route::{Retrieval, Wish};
use find::{Bounds, Found};
use out::Out;
use read::{Pump, Stop};
use serde_json::json;
use std::rc::Rc;
use worker::{Context, EncodeBody, Env, Headers, Request, Response, ResponseBuilder, Result};

thread_local! {
    static IN_FLIGHT: Slots = const { Slots::new() };
}

/// Retrievals that this isolate is working on.
pub fn in_flight() -> usize {
    IN_FLIGHT.with(Slots::taken)
}

const NDJSON: &str = "application/x-ndjson";

/// Why there is no answer.
enum Refusal {
    Api(ApiError),
    /// Something did not answer; the text is for the log.
    Storage(String),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<worker::Error> for Refusal {
    fn from(error: worker::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

/// Answers a call; `None` when it is none of these.
pub async fn handle(
    request: &mut Request,
    env: &Env,
    context: &Context,
) -> Result<Option<Response>> {
    let url = request.url()?;
    let query: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let now = i128::from(now_millis()) * 1_000_000;
    let route = LogsRoute::parse(request.method().as_ref(), url.path(), &query, now);
    let Some(route) = route else {
        return Ok(None);
    };
    let allowed = match &route {
        Err(ApiError::MethodNotAllowed { allowed }) => Some(*allowed),
        _ => None,
    };
    let answered = match route {
        Ok(route) => answer(&route, request, env, context).await,
        Err(error) => Err(error.into()),
    };
    let error = match answered {
        Ok(response) => return Ok(Some(response)),
        Err(Refusal::Api(error)) => error,
        Err(Refusal::Storage(text)) => {
            worker::console_error!("{}: {text}", url.path());
            ApiError::StorageUnavailable
        }
    };
    api::respond(error.into(), allowed).map(Some)
}

async fn answer(
    route: &LogsRoute,
    request: &mut Request,
    env: &Env,
    context: &Context,
) -> std::result::Result<Response, Refusal> {
    match api::access(request, env).await? {
        Access::None => return Err(ApiError::Unauthenticated.into()),
        Access::Read if route.call.needs_write() => return Err(ApiError::ReadOnly.into()),
        Access::Read | Access::Write => {}
    }
    let scope = &route.scope;
    match &route.call {
        LogsCall::List { objects, limit } => list(env, scope, objects, *limit).await,
        LogsCall::Retrieve(asked) => {
            retrieve(env, context, scope, asked, takes_gzip(request)?).await
        }
        LogsCall::Ray { objects, wish } => ray(env, scope, objects, wish).await,
        LogsCall::IndexRays => {
            let body = api::body(request, MAX_REQUEST_BYTES).await?;
            let body = body.ok_or(ApiError::BodyTooLarge {
                max_bytes: MAX_REQUEST_BYTES,
            })?;
            index_rays(env, scope, &LogsRoute::indexed(scope, &body)?).await
        }
        LogsCall::ReceivedFields => Ok(Response::from_json(&received_fields())?),
    }
}

async fn list(
    env: &Env,
    scope: &Scope,
    objects: &Objects,
    limit: u64,
) -> std::result::Result<Response, Refusal> {
    let bounds = Bounds {
        objects: limit as usize,
        bytes_raw: u64::MAX,
    };
    let Found { batches, next } = find::batches(env, scope, objects, None, bounds).await?;
    let rows: Vec<_> = batches.iter().map(|(_, row)| listed(row)).collect();
    let count = rows.len();
    let ApiResponse { status, mut body } = ApiResponse::ok(rows.into());
    if let Some(members) = body.as_object_mut() {
        let cursor = next.as_ref().map(Cursor::to_text);
        let info = json!({"count": count, "cursor": cursor});
        members.insert("result_info".to_owned(), info);
    }
    Ok(Response::from_json(&body)?.with_status(status))
}

const RETRIEVAL: Bounds = Bounds {
    objects: RETRIEVAL_MAX_OBJECTS,
    bytes_raw: RETRIEVAL_MAX_RAW_BYTES,
};

fn slot() -> std::result::Result<Slot, Refusal> {
    let most = Most {
        places: RETRIEVALS_IN_FLIGHT_MAX,
        bytes: u64::MAX,
    };
    Slot::take(&IN_FLIGHT, 0, most).ok_or_else(|| ApiError::TooManyRetrievals.into())
}

async fn retrieve(
    env: &Env,
    context: &Context,
    scope: &Scope,
    asked: &Retrieve,
    is_gzip: bool,
) -> std::result::Result<Response, Refusal> {
    let slot = slot()?;
    let Retrieve { objects, wish, .. } = asked;
    let Found { batches, next } = find::batches(env, scope, objects, None, RETRIEVAL).await?;
    if next.is_some() && objects.after.is_none() {
        return Err(ApiError::TooManyResults.into());
    }
    let bucket = env.bucket(config::ARCHIVE)?;
    let missing = find::missing(&bucket, &batches).await?;
    let bytes: u64 = batches
        .iter()
        .filter(|(_, row)| !missing.contains(&row.object))
        .map(|(_, row)| row.bytes_raw)
        .sum();

    let headers = Headers::new();
    headers.set("Content-Type", NDJSON)?;
    headers.set("Cache-Control", "no-store")?;
    headers.set("Vary", "Accept-Encoding")?;
    headers.set(
        "X-Logs-Objects",
        &(batches.len() - missing.len()).to_string(),
    )?;
    headers.set("X-Logs-Missing-Objects", &missing.len().to_string())?;
    headers.set("X-Logs-Bytes", &bytes.to_string())?;
    if let Some(next) = &next {
        headers.set("X-Logs-Next-Cursor", &next.to_text())?;
    }
    let mut builder = ResponseBuilder::new();
    if is_gzip {
        headers.set("Content-Encoding", "gzip")?;
        builder = builder.with_encode_body(EncodeBody::Manual);
    }
    let (out, readable) = Out::new(is_gzip).map_err(Refusal::Storage)?;
    let pump = Pump {
        bucket,
        scope: scope.clone(),
        dataset: objects.dataset.clone(),
        retrieval: compile(scope, objects, wish),
        batches,
        missing,
        count: asked.count,
        has_marks: asked.marks,
        next,
        slot,
    };
    // To its end also when the client goes away: the next write fails then, and what is held is let go.
    context.wait_until(async move {
        match pump.run(out).await {
            Ok(()) | Err(Stop::Client) => {}
            Err(Stop::Failed(text)) => worker::console_error!("a retrieval broke off: {text}"),
        }
    });
    Ok(builder.with_headers(headers).stream(readable))
}

fn compile(scope: &Scope, objects: &Objects, wish: &Wish) -> Retrieval {
    let schema = Dataset::find(scope.kind(), &objects.dataset);
    Retrieval::compile(&objects.dataset, schema.as_ref(), wish)
}

/// The records with a RayID. It is looked for in every object that may hold it; when that is not possible and none was
/// found, the answer is an error.
async fn ray(
    env: &Env,
    scope: &Scope,
    objects: &Objects,
    wish: &Wish,
) -> std::result::Result<Response, Refusal> {
    let slot = slot()?;
    let question = wish
        .ray
        .map(|ray| RayQuestion::MayHave(ray.as_str().to_owned()));
    let Found { batches, next } = find::batches(env, scope, objects, question, RETRIEVAL).await?;
    let bucket = env.bucket(config::ARCHIVE)?;
    let missing = find::missing(&bucket, &batches).await?;
    let searched = batches.len() - missing.len();
    let pump = Pump {
        bucket,
        scope: scope.clone(),
        dataset: objects.dataset.clone(),
        retrieval: compile(scope, objects, wish),
        batches,
        missing,
        count: RAY_ANSWER_MAX_RECORDS,
        has_marks: false,
        next: None,
        slot,
    };
    let missing = pump.missing.len();
    let (records, may_have_more) = pump.collect().await.map_err(|stop| match stop {
        Stop::Failed(text) => Refusal::Storage(text),
        Stop::Client => Refusal::Storage("the client went away".to_owned()),
    })?;
    if records.is_empty() && next.is_some() {
        return Err(ApiError::TooManyResults.into());
    }
    if records.is_empty() && missing > 0 {
        return Err(ApiError::Gone { objects: missing }.into());
    }
    let headers = Headers::new();
    headers.set("Content-Type", NDJSON)?;
    headers.set("Cache-Control", "no-store")?;
    headers.set("X-Logs-Objects", &searched.to_string())?;
    headers.set("X-Logs-Missing-Objects", &missing.to_string())?;
    let is_complete = next.is_none() && !may_have_more;
    headers.set(
        "X-Logs-Complete",
        if is_complete { "true" } else { "false" },
    )?;
    Ok(ResponseBuilder::new().with_headers(headers).fixed(records))
}

/// Notes the bounds of the RayIDs of batches that came before they were noted, so that a look-up need not read them.
async fn index_rays(
    env: &Env,
    scope: &Scope,
    objects: &Objects,
) -> std::result::Result<Response, Refusal> {
    let _slot = slot()?;
    let Found { batches, next } =
        find::batches(env, scope, objects, Some(RayQuestion::NotNoted), RETRIEVAL).await?;
    let bucket = env.bucket(config::ARCHIVE)?;
    let missing = find::missing(&bucket, &batches).await?;
    let mut indexed = 0_u64;
    for (day, row) in batches
        .iter()
        .filter(|(_, row)| !missing.contains(&row.object))
    {
        let bounds = read::ray_bounds(&bucket, scope, &objects.dataset, row)
            .await
            .map_err(Refusal::Storage)?;
        // Of a RayID that may lie anywhere nothing can be noted.
        if let Some(bounds) = bounds {
            let noted = NotedRays {
                batch_id: row.batch_id.clone(),
                bounds,
            };
            let ledger = crate::ledger::instance_name(&scope.to_string(), &objects.dataset, day);
            call::<_, ()>(env, Class::Ledger, &ledger, "note-rays", &noted).await?;
            indexed += 1;
        }
    }
    let result = json!({
        "indexed": indexed,
        "missing": missing.len(),
        "complete": next.is_none(),
        "cursor": next.as_ref().map(Cursor::to_text),
    });
    Ok(Response::from_json(&ApiResponse::ok(result).body)?)
}

/// Whether the client takes gzip. The runtime's own header says what Cloudflare takes; the client's is kept beside.
fn takes_gzip(request: &Request) -> Result<bool> {
    let get = |object: &wasm_bindgen::JsValue, name: &str| {
        js_sys::Reflect::get(object, &name.into()).ok()
    };
    let of_client = get(request.inner(), "cf")
        .filter(wasm_bindgen::JsValue::is_object)
        .and_then(|cf| get(&cf, "clientAcceptEncoding"))
        .and_then(|text| text.as_string());
    let accepted = match of_client {
        Some(text) => text,
        None => request
            .headers()
            .get("Accept-Encoding")?
            .unwrap_or_default(),
    };
    Ok(accepts_gzip(&accepted))
}

/// Rows of batches, each with the day of its ledger.
type Batches = Rc<[(String, crate::ledger::BatchRow)]>;
