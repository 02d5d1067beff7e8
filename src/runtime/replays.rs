//! Replays over HTTP: the registry knows which there are, each has an object of its own that does the work.

use super::api::{self, Registry, Rules};
use super::objects::ledger::MinuteRange;
use super::objects::registry::{
    Created, JobRow, JobsQuery, Mark, NewReplayRow, ReplayRow, ReplaysQuery, Update,
};
use super::objects::replay::{Order, Question, Status, count};
use super::objects::{Class, REGISTRY_NAME, call, now_millis};
use super::probe::Probe;
use super::push::SourceError;
use super::{batches, config, jobs, js, log, stored};
use crate::api::{
    Action, ApiError, MAX_REQUEST_BYTES, Made, NewReplay, ReplayRoute, ReplayServices, ReplayStore,
    StoreError, handle_replays,
};
use crate::health::stats::ReplayStats;
use crate::ledger::{BATCHES_PAGE_MAX, BatchRow};
use crate::logpush::job::Job;
use crate::logpush::scope::Scope;
use crate::outbox::{Summary, instance_name as outbox_name};
use crate::replay::{Estimate, Facts, Sampled, Spec, Sum, backfill_id, instance_name, sample};
use crate::route::{Keep, Routes, Window};
use crate::time;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Serialize, de::DeserializeOwned};
use worker::{Bucket, Env, Request, Response, Result};

/// Batches in the range of an estimate at most: their rows are asked for in pages, and a request may make 1,000 calls
/// (Workers limits page), of which the sample takes some as well.
const ESTIMATE_BATCHES_MAX: u64 = 500 * BATCHES_PAGE_MAX;

/// How often an update of a queue is made again because another one came between.
const MAX_UPDATE_ATTEMPTS: usize = 3;

/// Answers a call about replays; `None` when it is none.
pub async fn handle(request: &mut Request, env: &Env) -> Result<Option<Response>> {
    let Some(route) = ReplayRoute::parse(request.method().as_ref(), &request.path()) else {
        return Ok(None);
    };
    let allowed = match &route {
        Err(ApiError::MethodNotAllowed { allowed }) => Some(*allowed),
        _ => None,
    };
    let response = match route {
        Ok(route) => match api::body(request, MAX_REQUEST_BYTES).await? {
            Some(body) => {
                let services = ReplayServices {
                    replays: &Replays { env },
                    jobs: &Registry { env },
                    rules: &Rules { env },
                    tester: &Probe { env },
                    new_id: js::unique_name().replace('-', ""),
                    now_millis: now_millis(),
                };
                handle_replays(&route, api::access(request, env).await?, &body, &services).await
            }
            None => ApiError::BodyTooLarge {
                max_bytes: MAX_REQUEST_BYTES,
            }
            .into(),
        },
        Err(error) => error.into(),
    };
    api::respond(response, allowed).map(Some)
}

struct Replays<'e> {
    env: &'e Env,
}

type Stored<T> = std::result::Result<T, StoreError>;

fn unavailable(e: worker::Error) -> StoreError {
    worker::console_error!("replays: {e}");
    StoreError {
        text: "a replay's object did not answer; try again".to_owned(),
    }
}

async fn registry<Q: Serialize, A: DeserializeOwned>(
    env: &Env,
    operation: &str,
    question: &Q,
) -> Result<A> {
    call(env, Class::Registry, REGISTRY_NAME, operation, question).await
}

async fn rows(env: &Env, query: &ReplaysQuery) -> Result<Vec<ReplayRow>> {
    registry(env, "replays", query).await
}

async fn status(
    env: &Env,
    spec: &Spec,
    order: Option<Order>,
    minutes: Option<MinuteRange>,
) -> Result<Status> {
    let question = Question {
        spec: spec.clone(),
        order,
        minutes,
    };
    let name = instance_name(&spec.scope, &spec.id);
    call(env, Class::Replay, &name, "status", &question).await
}

/// Lets a replay begin that its object does not know yet.
async fn start(env: &Env, row: &ReplayRow) -> Result<()> {
    if row.is_started {
        return Ok(());
    }
    status(env, &row.spec, None, None).await?;
    let mark = Mark {
        scope: row.spec.scope.to_string(),
        id: row.spec.id.clone(),
        deleted: false,
    };
    registry(env, "mark-replay", &mark).await
}

/// Lets the backfill of a job begin that was just made. What fails here is made up for by [`start_all`].
pub async fn start_backfill(env: &Env, job: &Job) {
    let query = ReplaysQuery {
        scope: Some(job.scope.to_string()),
        id: Some(backfill_id(job.id)),
        ..ReplaysQuery::default()
    };
    let started = async {
        for row in rows(env, &query).await? {
            start(env, &row).await?;
        }
        Ok::<_, worker::Error>(())
    };
    if let Err(e) = started.await {
        worker::console_error!("the backfill of job {} begins within minutes: {e}", job.id);
    }
}

/// Lets all begin that the registry knows and that have not begun: whoever made them may have died before.
pub async fn start_all(env: &Env) {
    let query = ReplaysQuery {
        only_unstarted: true,
        ..ReplaysQuery::default()
    };
    let started = async {
        for row in rows(env, &query).await? {
            start(env, &row).await?;
        }
        Ok::<_, worker::Error>(())
    };
    if let Err(e) = started.await {
        worker::console_error!("replays that have not begun: {e}");
    }
}

/// The replays of a scope and dataset, deleted ones too, without what their outboxes know.
pub async fn stats(
    env: &Env,
    scope: Option<&str>,
    dataset: Option<&str>,
    minutes: MinuteRange,
) -> Result<Vec<ReplayStats>> {
    let query = ReplaysQuery {
        scope: scope.map(str::to_owned),
        dataset: dataset.map(str::to_owned),
        with_deleted: true,
        ..ReplaysQuery::default()
    };
    let asked = stream::iter(rows(env, &query).await?).map(async |row| {
        let Status { progress, selected } = status(env, &row.spec, None, Some(minutes)).await?;
        let is_own = row.spec.backfill.is_none();
        Ok::<_, worker::Error>(ReplayStats {
            spec: row.spec,
            progress,
            selected: is_own.then_some(selected),
        })
    });
    asked.buffered(log::CALLS).try_collect().await
}

impl Replays<'_> {
    async fn facts(&self, row: ReplayRow) -> Result<Facts> {
        // Who looks at one whose maker died before it began lets it begin.
        start(self.env, &row).await?;
        let Status { progress, .. } = status(self.env, &row.spec, None, None).await?;
        let query = JobsQuery {
            id: Some(row.spec.job),
            with_deleted: true,
            ..JobsQuery::default()
        };
        let jobs: Vec<JobRow> = registry(self.env, "jobs", &query).await?;
        let always = MinuteRange {
            from: 0,
            to: now_millis(),
        };
        let outbox = outbox_name(row.spec.job);
        let outbox: Summary = call(self.env, Class::Outbox, &outbox, "summary", &always).await?;
        Ok(Facts {
            job: jobs.into_iter().next().map(|row| row.job),
            outbox,
            spec: row.spec,
            progress,
        })
    }

    async fn row(&self, scope: &Scope, id: &str, with_deleted: bool) -> Result<Option<ReplayRow>> {
        let query = ReplaysQuery {
            scope: Some(scope.to_string()),
            id: Some(id.to_owned()),
            with_deleted,
            ..ReplaysQuery::default()
        };
        Ok(rows(self.env, &query).await?.into_iter().next())
    }

    async fn wake(&self, job: u64) -> Result<()> {
        call(self.env, Class::Outbox, &outbox_name(job), "wake", &()).await
    }

    /// Lets the queue push, or not.
    async fn enable(&self, job: u64, enabled: bool) -> Result<()> {
        for _ in 0..MAX_UPDATE_ATTEMPTS {
            let query = JobsQuery {
                id: Some(job),
                ..JobsQuery::default()
            };
            let rows: Vec<JobRow> = registry(self.env, "jobs", &query).await?;
            let Some(JobRow { job, .. }) = rows.into_iter().next() else {
                return Ok(());
            };
            if job.enabled == enabled && job.disabled_by_failing_at_millis.is_none() {
                break;
            }
            let update = Update {
                expected_version: job.version,
                job: Job {
                    enabled,
                    disabled_by_failing_at_millis: None,
                    ..job
                },
            };
            let updated: Option<Job> = registry(self.env, "update", &update).await?;
            if updated.is_some() {
                break;
            }
        }
        self.wake(job).await
    }

    async fn discard(&self, job: u64) -> Result<()> {
        let _: bool = registry(self.env, "delete", &job).await?;
        self.wake(job).await
    }

    /// In an order in which dying in between leaves nothing that the same call again does not mend.
    async fn order(&self, spec: &Spec, action: Action) -> Result<()> {
        let is_own = spec.backfill.is_none();
        let order = match action {
            Action::Pause => Order::Pause,
            Action::Resume => Order::Resume,
            Action::Cancel => Order::Cancel,
        };
        status(self.env, spec, Some(order), None).await?;
        match action {
            // A job that is filled up goes on with what comes.
            _ if !is_own => Ok(()),
            Action::Pause => self.enable(spec.job, false).await,
            Action::Resume => self.enable(spec.job, true).await,
            Action::Cancel => self.discard(spec.job).await,
        }
    }

    async fn again(&self, facts: &Facts) -> Result<Facts> {
        let Spec { scope, id, .. } = &facts.spec;
        match self.row(scope, id, true).await? {
            Some(row) => self.facts(row).await,
            None => Ok(facts.clone()),
        }
    }
}

impl ReplayStore for Replays<'_> {
    async fn list(&self, scope: &Scope) -> Stored<Vec<Facts>> {
        let query = ReplaysQuery {
            scope: Some(scope.to_string()),
            ..ReplaysQuery::default()
        };
        let rows = rows(self.env, &query).await.map_err(unavailable)?;
        let facts = stream::iter(rows).map(|row| self.facts(row));
        facts
            .buffered(log::CALLS)
            .try_collect()
            .await
            .map_err(unavailable)
    }

    async fn count(&self, scope: &Scope) -> Stored<usize> {
        let query = ReplaysQuery {
            scope: Some(scope.to_string()),
            ..ReplaysQuery::default()
        };
        let rows = rows(self.env, &query).await.map_err(unavailable)?;
        Ok(rows.len())
    }

    async fn get(&self, scope: &Scope, id: &str) -> Stored<Option<Facts>> {
        match self.row(scope, id, false).await.map_err(unavailable)? {
            Some(row) => self.facts(row).await.map(Some).map_err(unavailable),
            None => Ok(None),
        }
    }

    async fn digest(&self, scope: &Scope, id: &str) -> Stored<Option<String>> {
        let row = self.row(scope, id, true).await.map_err(unavailable)?;
        Ok(row.map(|row| row.digest))
    }

    async fn create(&self, new: &NewReplay) -> Stored<Made> {
        let question = NewReplayRow {
            spec: Spec {
                id: new.id.clone(),
                scope: new.queue.scope.clone(),
                dataset: new.queue.dataset.clone(),
                start: new.start.clone(),
                end: Some(new.end.clone()),
                job: 0,
                backfill: None,
                created_at_millis: now_millis(),
            },
            digest: new.digest.clone(),
            queue: new.queue.clone(),
        };
        let created: Result<Created> = registry(self.env, "create-replay", &question).await;
        let Created { row } = created.map_err(unavailable)?;
        if row.deleted_at.is_some() {
            return Ok(Made::Deleted);
        }
        if row.digest != new.digest {
            return Ok(Made::Differs);
        }
        let facts = self.facts(row).await.map_err(unavailable)?;
        Ok(Made::There(Box::new(facts)))
    }

    async fn act(&self, facts: &Facts, action: Action) -> Stored<Facts> {
        self.order(&facts.spec, action).await.map_err(unavailable)?;
        self.again(facts).await.map_err(unavailable)
    }

    async fn delete(&self, facts: &Facts) -> Stored<()> {
        let mark = Mark {
            scope: facts.spec.scope.to_string(),
            id: facts.spec.id.clone(),
            deleted: true,
        };
        let deleted = async {
            self.order(&facts.spec, Action::Cancel).await?;
            registry::<_, ()>(self.env, "mark-replay", &mark).await
        };
        deleted.await.map_err(unavailable)
    }

    async fn estimate(
        &self,
        queue: &Job,
        window: Window,
    ) -> Stored<std::result::Result<Estimate, String>> {
        self.look(queue, window).await.map_err(unavailable)
    }
}

impl Replays<'_> {
    async fn look(
        &self,
        queue: &Job,
        window: Window,
    ) -> Result<std::result::Result<Estimate, String>> {
        let spec = Spec {
            id: "estimate".to_owned(),
            scope: queue.scope.clone(),
            dataset: queue.dataset.clone(),
            start: time::rfc3339(window.from),
            end: Some(time::rfc3339(window.until)),
            job: 0,
            backfill: None,
            created_at_millis: now_millis(),
        };
        let total = count(self.env, &spec).await?;
        if total.batches > ESTIMATE_BATCHES_MAX {
            return Ok(Err(format!(
                "{} batches lie in the range, and an estimate looks through {ESTIMATE_BATCHES_MAX} at most: make it shorter",
                total.batches
            )));
        }
        // What it would write out, and not a copy of it.
        let mut routes = jobs::compile(
            &spec.scope,
            &spec.dataset,
            std::slice::from_ref(queue),
            Keep::Copy,
        )
        .within(Some(window));
        for job in &mut routes.jobs {
            job.keep = Keep::Reference;
        }
        let every = sample(&total);
        let bucket = self.env.bucket(config::ARCHIVE)?;
        let (mut sampled, mut number) = (Sampled::default(), 0_u64);
        for ledger in batches::ledgers(self.env, &spec.scope, &spec.dataset, spec.span()).await? {
            let mut after = None;
            loop {
                let rows =
                    batches::page(self.env, &ledger.name, spec.span(), after, BATCHES_PAGE_MAX)
                        .await?;
                after = rows.last().map(BatchRow::cursor);
                let is_last = (rows.len() as u64) < BATCHES_PAGE_MAX;
                // The middle one of each so many.
                let chosen = rows.into_iter().filter(|_| {
                    number += 1;
                    (number + every / 2).is_multiple_of(every)
                });
                let chosen: Vec<BatchRow> = chosen.collect();
                let looked = stream::iter(&chosen)
                    .map(|row| look_at(&bucket, &spec, row, &routes))
                    .buffered(log::CALLS);
                let looked: Vec<Sampled> = looked.try_collect().await?;
                for one in &looked {
                    sampled.add(one);
                }
                if is_last {
                    break;
                }
            }
        }
        let replay = queue.replay.as_ref();
        Ok(Ok(Estimate {
            total,
            sampled,
            max_bytes_per_second: replay.and_then(|replay| replay.max_bytes_per_second),
            max_pushes_per_second: replay.and_then(|replay| replay.max_pushes_per_second),
            max_upload_bytes: queue.max_upload_bytes,
        }))
    }
}

/// What would be selected of one batch.
async fn look_at(bucket: &Bucket, spec: &Spec, row: &BatchRow, routes: &Routes) -> Result<Sampled> {
    let read = stored::route(bucket, &spec.scope, &spec.dataset, &row.object, routes).await;
    match read {
        Ok(pipeline) => {
            let mut read = Sum::default();
            read.take(row);
            let selection = pipeline.router.selections().first();
            Ok(Sampled {
                read,
                missing: 0,
                records: selection.map_or(0, |selection| selection.records),
                bytes: selection.map_or(0, |selection| selection.bytes),
                undated: pipeline.router.undated(),
                invalid_lines: pipeline.meter().invalid_lines,
            })
        }
        Err(SourceError::Gone { .. }) => Ok(Sampled {
            missing: 1,
            ..Sampled::default()
        }),
        Err(e) => Err(worker::Error::RustError(e.into_reason())),
    }
}
