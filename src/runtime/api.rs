//! Logpush's API over HTTP, with the registry as its store.

use super::access::Visitor;
use super::objects::registry::{JobRow, JobsQuery, LedgerRow, Update};
use super::objects::{Class, REGISTRY_NAME, call, now_millis};
use super::probe::Probe;
use super::{alerts, config, jobs, preview, replays, tail};
use crate::api::{
    Access, AlertingRoute, ApiError, ApiResponse, ArrivedDataset, CONTENT_MAX_BYTES, Content,
    EdgeRoute, JobRules, JobStore, MAX_REQUEST_BYTES, NewestBatch, OwnershipKey, Route, Services,
    StoreError, authorize, handle as answer, parse_verify, presented_token, verify,
};
use crate::logpush::catalogue::{self, Dataset};
use crate::logpush::destination_conf::{DestinationConf, DestinationPolicy};
use crate::logpush::filter::Filter;
use crate::logpush::job::{Job, NewJob};
use crate::logpush::output_options::OutputOptions;
use crate::logpush::scope::Scope;
use crate::outbox::{DeadLetter, Health, Selected, Selection, instance_name};
use crate::route::BatchPreview;
use crate::time;
use futures_util::future::join_all;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use worker::{Env, Request, Response, Result};

/// What the caller may do. A token that it sends decides alone; without one, what Cloudflare Access says of it does.
pub async fn access(request: &Request, env: &Env) -> Result<Access> {
    Ok(match (token(request)?, Visitor::of(request)?) {
        (Some(token), _) => authorize(
            Some(&token),
            config::text(env, config::API_TOKEN).as_deref(),
            config::text(env, config::READ_TOKEN).as_deref(),
        ),
        (None, Some(visitor)) => visitor.access(env).await.unwrap_or(Access::None),
        (None, None) => Access::None,
    })
}

/// The request's token of the API, good or not.
pub fn token(request: &Request) -> Result<Option<String>> {
    let headers = request.headers();
    let authorization = headers.get("Authorization")?;
    let (email, key) = (headers.get("X-Auth-Email")?, headers.get("X-Auth-Key")?);
    let token = presented_token(authorization.as_deref(), email.as_deref(), key.as_deref());
    Ok(token.map(str::to_owned))
}

/// Answers a call of the API.
pub async fn handle(request: &mut Request, env: &Env) -> Result<Response> {
    if let Some(response) = alerting(request, env).await? {
        return Ok(response);
    }
    if let Some(response) = replays::handle(request, env).await? {
        return Ok(response);
    }
    if let Some(asked) = parse_verify(request.method().as_ref(), &request.path()) {
        return match asked {
            Ok(()) => {
                let has_token = token(request)?.is_some();
                respond(verify(access(request, env).await?, has_token), None)
            }
            Err(error) => respond(error.into(), Some("GET")),
        };
    }
    if let Some(response) = edge(request, env).await? {
        return Ok(response);
    }
    let route = Route::parse(request.method().as_ref(), &request.path());
    let allowed = match &route {
        Err(ApiError::MethodNotAllowed { allowed }) => Some(*allowed),
        _ => None,
    };
    let response = match route {
        Ok(route) => match body(request, route.call.max_body_bytes()).await? {
            Some(body) => {
                let access = access(request, env).await?;
                let ownership = config::text(env, config::API_TOKEN)
                    .as_deref()
                    .and_then(OwnershipKey::derive);
                let services = Services {
                    store: &Registry { env },
                    rules: &Rules { env },
                    tester: &Probe { env },
                    ownership: ownership.as_ref(),
                    now_unix_secs: now_millis() / 1000,
                };
                let url = request.url()?;
                let content = Content {
                    query: url.query().unwrap_or_default(),
                    body: &body,
                };
                answer(&route, access, content, &services).await
            }
            None => {
                let max_bytes = route.call.max_body_bytes();
                ApiError::BodyTooLarge { max_bytes }.into()
            }
        },
        Err(error) => error.into(),
    };
    respond(response, allowed)
}

/// Answers a call of the Notifications API; `None` when it is none.
async fn alerting(request: &mut Request, env: &Env) -> Result<Option<Response>> {
    let url = request.url()?;
    let query: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let route = AlertingRoute::parse(request.method().as_ref(), url.path(), &query);
    let Some(route) = route else {
        return Ok(None);
    };
    let allowed = match &route {
        Err(ApiError::MethodNotAllowed { allowed }) => Some(*allowed),
        _ => None,
    };
    let response = match route {
        Ok(route) => match body(request, MAX_REQUEST_BYTES).await? {
            Some(body) => alerts::handle(env, &route, access(request, env).await?, &body).await,
            None => ApiError::BodyTooLarge {
                max_bytes: MAX_REQUEST_BYTES,
            }
            .into(),
        },
        Err(error) => error.into(),
    };
    respond(response, allowed).map(Some)
}

/// Answers a call about sessions of Instant Logs; `None` when it is none.
async fn edge(request: &mut Request, env: &Env) -> Result<Option<Response>> {
    let Some(route) = EdgeRoute::parse(request.method().as_ref(), &request.path()) else {
        return Ok(None);
    };
    let allowed = match &route {
        Err(ApiError::MethodNotAllowed { allowed }) => Some(*allowed),
        _ => None,
    };
    let response = match route {
        Ok(route) => match body(request, MAX_REQUEST_BYTES).await? {
            Some(body) => tail::handle(request, env, &route, &body, &Rules { env }).await?,
            None => ApiError::BodyTooLarge {
                max_bytes: MAX_REQUEST_BYTES,
            }
            .into(),
        },
        Err(error) => error.into(),
    };
    respond(response, allowed).map(Some)
}

/// The answer to a call. `allowed` says which methods its path takes, when it was not made with one of them.
pub fn respond(response: ApiResponse, allowed: Option<&str>) -> Result<Response> {
    let ApiResponse { status, body } = response;
    let response = Response::from_json(&body)?.with_status(status);
    if let Some(allowed) = allowed {
        response.headers().set("Allow", allowed)?;
    }
    Ok(response)
}

/// The whole body, or `None` when it is too large.
pub async fn body(request: &mut Request, max_bytes: usize) -> Result<Option<Vec<u8>>> {
    let declared = request.headers().get("Content-Length")?;
    if declared
        .and_then(|length| length.parse::<usize>().ok())
        .is_some_and(|length| length > max_bytes)
    {
        return Ok(None);
    }
    let Some(stream) = request.inner().body() else {
        return Ok(Some(Vec::new()));
    };
    let mut reader = super::js::BlockReader::with_block_bytes(&stream, max_bytes + 1)?;
    let body = reader
        .next()
        .await?
        .map(|block| block.to_vec())
        .unwrap_or_default();
    Ok((body.len() <= max_bytes).then_some(body))
}

/// The registry, and the outboxes behind it.
pub struct Registry<'e> {
    /// Where they are.
    pub env: &'e Env,
}

impl Registry<'_> {
    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        operation: &str,
        question: &Q,
    ) -> std::result::Result<A, StoreError> {
        call(
            self.env,
            Class::Registry,
            REGISTRY_NAME,
            operation,
            question,
        )
        .await
        .map_err(|e| {
            worker::console_error!("registry: {e}");
            StoreError {
                text: "the job registry did not answer; try again".to_owned(),
            }
        })
    }

    async fn outbox<Q: Serialize, A: DeserializeOwned>(
        &self,
        job: u64,
        operation: &str,
        question: &Q,
    ) -> std::result::Result<A, StoreError> {
        let name = instance_name(job);
        call(self.env, Class::Outbox, &name, operation, question)
            .await
            .map_err(|e| {
                worker::console_error!("{name}: {e}");
                StoreError {
                    text: "the job's outbox did not answer; try again".to_owned(),
                }
            })
    }

    async fn jobs(
        &self,
        scope: &Scope,
        id: Option<u64>,
    ) -> std::result::Result<Vec<Job>, StoreError> {
        let query = JobsQuery {
            scope: Some(scope.to_string()),
            id,
            ..JobsQuery::default()
        };
        let rows: Vec<JobRow> = self.call("jobs", &query).await?;
        Ok(join_all(rows.into_iter().map(|row| self.with_health(row.job))).await)
    }

    /// The job, with what its outbox knows of its pushes.
    async fn with_health(&self, job: Job) -> Job {
        let name = instance_name(job.id);
        match call::<_, Health>(self.env, Class::Outbox, &name, "health", &()).await {
            Ok(health) => Job {
                last_complete: health.last_complete_millis.map(time::rfc3339_millis),
                last_error: health.last_error_millis.map(time::rfc3339_millis),
                error_message: health.error_message,
                ..job
            },
            Err(e) => {
                // A job that can not be looked at can still be read and changed.
                worker::console_warn!("{name} did not tell its health: {e}");
                job
            }
        }
    }

    /// The job's records may wait for this change: a mended destination, an enabled or a deleted job. An outbox that
    /// does not hear of it looks again by itself.
    async fn changed(&self, scope: &Scope, id: u64) {
        jobs::forget();
        let query = JobsQuery {
            scope: Some(scope.to_string()),
            ..JobsQuery::default()
        };
        let rows: Vec<JobRow> = self.call("jobs", &query).await.unwrap_or_default();
        // Queues of replays go where this job goes.
        let follows = |job: &Job| job.replay.as_ref().and_then(|replay| replay.job) == Some(id);
        let following = rows.into_iter().filter(|row| follows(&row.job));
        for id in std::iter::once(id).chain(following.map(|row| row.job.id)) {
            let name = instance_name(id);
            if let Err(e) = call::<_, ()>(self.env, Class::Outbox, &name, "wake", &()).await {
                worker::console_warn!("{name} was not woken: {e}");
            }
        }
    }
}

impl JobStore for Registry<'_> {
    async fn list(&self, scope: &Scope) -> std::result::Result<Vec<Job>, StoreError> {
        let mut jobs = self.jobs(scope, None).await?;
        jobs.retain(|job| job.replay.is_none());
        Ok(jobs)
    }

    async fn get(&self, scope: &Scope, id: u64) -> std::result::Result<Option<Job>, StoreError> {
        Ok(self.jobs(scope, Some(id)).await?.into_iter().next())
    }

    async fn create(&self, job: NewJob) -> std::result::Result<Job, StoreError> {
        let created: std::result::Result<Job, StoreError> =
            self.call("create", &job.with_id(0)).await;
        jobs::forget();
        if let Ok(job) = &created
            && job.backfill.is_some()
        {
            replays::start_backfill(self.env, job).await;
        }
        created
    }

    async fn update(
        &self,
        scope: &Scope,
        id: u64,
        expected_version: u64,
        job: Job,
    ) -> std::result::Result<Option<Job>, StoreError> {
        if job.scope != *scope || job.id != id {
            return Ok(None);
        }
        let updated = self
            .call(
                "update",
                &Update {
                    job,
                    expected_version,
                },
            )
            .await;
        self.changed(scope, id).await;
        updated
    }

    async fn delete(&self, scope: &Scope, id: u64) -> std::result::Result<bool, StoreError> {
        if self.get(scope, id).await?.is_none() {
            return Ok(false);
        }
        let deleted = self.call("delete", &id).await;
        self.changed(scope, id).await;
        deleted
    }

    async fn arrived(&self, scope: &Scope) -> std::result::Result<Vec<ArrivedDataset>, StoreError> {
        let ledgers: Vec<LedgerRow> = self.call("ledgers", &()).await?;
        let scope = scope.to_string();
        let mut arrived = BTreeMap::<String, u64>::new();
        for ledger in ledgers.into_iter().filter(|ledger| ledger.scope == scope) {
            let last = arrived.entry(ledger.dataset).or_default();
            *last = ledger.last_seen.max(*last);
        }
        let arrived = arrived.into_iter();
        Ok(arrived
            .map(|(dataset, last_seen_millis)| ArrivedDataset {
                dataset,
                last_seen_millis,
            })
            .collect())
    }

    async fn preview_newest(
        &self,
        scope: &Scope,
        dataset: &str,
        into: &mut BatchPreview,
    ) -> std::result::Result<Option<NewestBatch>, StoreError> {
        let read = preview::newest(self.env, scope, dataset, into).await;
        read.map_err(|e| {
            worker::console_error!("preview of {scope}/{dataset}: {e}");
            StoreError {
                text: "the newest batch could not be read; try again".to_owned(),
            }
        })
    }

    async fn dead_letters(
        &self,
        job: u64,
        selection: &Selection,
    ) -> std::result::Result<Vec<DeadLetter>, StoreError> {
        self.outbox(job, "dead-letters", selection).await
    }

    async fn dead_letter_content(
        &self,
        letter: &DeadLetter,
    ) -> std::result::Result<Option<Vec<u8>>, StoreError> {
        let Some(object) = &letter.object else {
            return Ok(None);
        };
        let unreadable = |e: worker::Error| {
            worker::console_error!("{object}: {e}");
            StoreError {
                text: "the dead letter could not be read; try again".to_owned(),
            }
        };
        let bucket = self.env.bucket(config::ARCHIVE).map_err(unreadable)?;
        let length = letter.bytes.min(CONTENT_MAX_BYTES as u64);
        let found = bucket
            .get(object)
            .range(worker::Range::OffsetWithLength { offset: 0, length })
            .execute()
            .await
            .map_err(unreadable)?;
        match found.as_ref().and_then(worker::Object::body) {
            Some(body) => body.bytes().await.map(Some).map_err(unreadable),
            None => Ok(None),
        }
    }

    async fn redrive(
        &self,
        job: u64,
        selection: &Selection,
    ) -> std::result::Result<Selected, StoreError> {
        self.outbox(job, "redrive", selection).await
    }

    async fn discard_dead_letters(
        &self,
        job: u64,
        selection: &Selection,
    ) -> std::result::Result<Selected, StoreError> {
        self.outbox(job, "discard-dead-letters", selection).await
    }
}

/// What this deployment allows.
pub struct Rules<'e> {
    /// Its settings.
    pub env: &'e Env,
}

impl JobRules for Rules<'_> {
    fn check_dataset(&self, scope: &Scope, dataset: &str) -> std::result::Result<(), String> {
        let refuses = config::text(self.env, config::UNKNOWN_DATASETS).as_deref() == Some("refuse");
        if refuses && Dataset::find(scope.kind(), dataset).is_none() {
            return Err(catalogue::unknown(dataset));
        }
        Ok(())
    }

    fn check_filter(
        &self,
        scope: &Scope,
        dataset: &str,
        filter: &str,
    ) -> std::result::Result<(), String> {
        let schema = Dataset::find(scope.kind(), dataset);
        Filter::parse_optional(filter, schema.as_ref())
            .map(drop)
            .map_err(|e| format!("{}: {}", e.place, e.message))
    }

    fn check_logpull_options(
        &self,
        scope: &Scope,
        dataset: &str,
        options: &str,
    ) -> std::result::Result<(), String> {
        let read = OutputOptions::from_logpull(options).map_err(|e| e.to_string())?;
        Dataset::find(scope.kind(), dataset).map_or(Ok(()), |schema| {
            read.check_logpull_fields(&schema)
                .map_err(|e| e.to_string())
        })
    }

    fn check_destination(&self, destination_conf: &str) -> std::result::Result<(), String> {
        let policy = DestinationPolicy {
            allow_private: config::is_on(self.env, config::ALLOW_PRIVATE_DESTINATIONS),
        };
        DestinationConf::parse(destination_conf, policy)
            .map(drop)
            .map_err(|e| e.to_string())
    }
}
