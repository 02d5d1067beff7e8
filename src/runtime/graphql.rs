//! `POST /client/v4/graphql`, and where its logs come from.

use super::log::{LogError, Question};
use super::objects::registry::{JobRow, LedgerRow};
use super::objects::{Class, REGISTRY_NAME, call, now_millis};
use super::{api, log};
use crate::api::{Access, MAX_REQUEST_BYTES};
use crate::health::graphql::{
    Answered, GraphqlAnswer, GraphqlError, Source, SourceError, answer, refuse,
};
use crate::health::log::{IngestRow, LogQuery, PushRow};
use crate::logpush::scope::{Scope, ScopeKind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use worker::send::SendFuture;
use worker::{Env, Method, Request, Response, Result};

/// Where queries are sent.
pub const PATH: &str = "/client/v4/graphql";

/// When to ask again after something did not answer.
const RETRY_AFTER_SECS: &str = "5";

/// Answers a query. A token that may read is enough, as for everything that changes nothing.
pub async fn handle(request: &mut Request, env: &Env) -> Result<Response> {
    let now_millis = now_millis();
    let wrong = |status, message: &str| wrong(status, message, now_millis);
    if request.method() != Method::Post {
        let text = "send queries by POST, as JSON: {\"query\":\"…\",\"variables\":{…}}";
        let response = respond(wrong(405, text))?;
        response.headers().set("Allow", "POST")?;
        return Ok(response);
    }
    let answer = match (
        api::access(request, env).await?,
        api::body(request, MAX_REQUEST_BYTES).await?,
    ) {
        (Access::None, _) => wrong(
            401,
            "Unauthorized: send READ_TOKEN or API_TOKEN as Authorization: Bearer …, or as X-Auth-Key with any X-Auth-Email",
        ),
        (_, None) => wrong(
            413,
            &format!("the request body must have at most {MAX_REQUEST_BYTES} bytes"),
        ),
        (_, Some(body)) => {
            let logs = Logs {
                env: env.clone(),
                now_millis,
                calls: AtomicUsize::new(0),
            };
            answer(&body, Arc::new(logs), now_millis).await
        }
    };
    respond(answer)
}

fn wrong(status: u16, message: &str, now_millis: u64) -> GraphqlAnswer {
    let error = GraphqlError {
        status,
        ..GraphqlError::bad(message)
    };
    refuse(&[error], now_millis)
}

/// What a query that is not looked at is answered.
pub fn refused(status: u16, message: &str) -> Result<Response> {
    respond(wrong(status, message, now_millis()))
}

fn respond(answer: GraphqlAnswer) -> Result<Response> {
    let GraphqlAnswer { status, body } = answer;
    let response = Response::ok(body)?.with_status(status);
    let headers = response.headers();
    headers.set("Content-Type", "application/json")?;
    if status == 503 {
        headers.set("Retry-After", RETRY_AFTER_SECS)?;
    }
    Ok(response)
}

/// The logs of this deployment.
struct Logs {
    env: Env,
    now_millis: u64,
    /// Calls that were made for this query.
    calls: AtomicUsize,
}

fn source_error(error: LogError) -> SourceError {
    match error {
        LogError::TooMuch => SourceError::TooMuch(error.to_string()),
        LogError::Storage(e) => {
            worker::console_error!("graphql: {e}");
            SourceError::Unavailable
        }
    }
}

impl Logs {
    async fn known_scopes(&self) -> std::result::Result<Vec<Scope>, LogError> {
        let jobs: Vec<JobRow> = log::jobs(&self.env, None, None).await?;
        let ledgers: Vec<LedgerRow> =
            call(&self.env, Class::Registry, REGISTRY_NAME, "ledgers", &()).await?;
        let read = ledgers.iter().filter_map(|ledger| {
            let (kind, id) = ledger.scope.split_once('/')?;
            Scope::new(ScopeKind::from_path(kind)?, id).ok()
        });
        let mut scopes: Vec<Scope> = jobs
            .into_iter()
            .map(|row| row.job.scope)
            .chain(read)
            .collect();
        scopes.sort();
        scopes.dedup();
        Ok(scopes)
    }
}

impl Source for Logs {
    fn scopes(&self) -> Answered<'_, Vec<Scope>> {
        Box::pin(SendFuture::new(async move {
            self.known_scopes().await.map_err(source_error)
        }))
    }

    fn pushes<'a>(&'a self, scope: &'a Scope, query: LogQuery) -> Answered<'a, Vec<PushRow>> {
        Box::pin(SendFuture::new(async move {
            let scope = scope.to_string();
            let question = Question {
                scope: Some(&scope),
                jobs: None,
                dataset: None,
                log: query,
                calls: &self.calls,
            };
            let log = log::pushes(&self.env, &question, self.now_millis).await;
            log.map(|log| log.rows).map_err(source_error)
        }))
    }

    fn batches<'a>(&'a self, scope: &'a Scope, query: LogQuery) -> Answered<'a, Vec<IngestRow>> {
        Box::pin(SendFuture::new(async move {
            let scope = scope.to_string();
            let question = Question {
                scope: Some(&scope),
                jobs: None,
                dataset: None,
                log: query,
                calls: &self.calls,
            };
            let log = log::ingest(&self.env, &question, self.now_millis).await;
            log.map(|log| log.rows).map_err(source_error)
        }))
    }
}
