//! One replay: reads archived batches again and puts what is selected of them into an outbox. One object per replay.
//!
//! State: `replay` (one row: what is to be done, and how far it has come; JSON) and `minutes` (what the outbox took, by the
//! minute for which it counts there). The decisions are [`crate::replay::step`]'s. The place moves in the transaction that
//! counts what the outbox took; an eviction before that repeats one batch, which the outbox knows. Called by the API and by
//! `/stats`. The alarm reads, a bounded time at once.

use super::registry::{JobRow, JobsQuery, LedgerRow};
use super::{Class, REGISTRY_NAME, answer, call, now_millis, question, read_json};
use crate::ledger::{
    BATCHES_PAGE_MAX, BatchesQuery, JobSelected, JobSelection, LateSelection, SelectionState,
    Unmet, minute_of,
};
use crate::logpush::job::Job;
use crate::outbox::{Holding, Load, Prospect, instance_name as outbox_name};
use crate::replay::{Effect, Event, Next, Place, Progress, Routed, Session, Spec, Sum, step};
use crate::route::{Keep, Routes};
use crate::runtime::js::sql::{Database, Sql, params};
use crate::runtime::log::CALLS;
use crate::runtime::objects::ledger::MinuteRange;
use crate::runtime::owed::{self, Debt};
use crate::runtime::push::SourceError;
use crate::runtime::{batches, jobs};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object, wasm_bindgen};

/// Brought up to date one by one; never edited, only added to.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE replay (one INTEGER PRIMARY KEY CHECK (one = 1), spec TEXT NOT NULL, progress TEXT NOT NULL);
    CREATE TABLE minutes (minute INTEGER PRIMARY KEY, batches INTEGER NOT NULL, records INTEGER NOT NULL,
        bytes INTEGER NOT NULL);
"];

/// How long one alarm works before it ends and lets another one come: far below the 15 minutes of wall time and, with a
/// second of CPU for every few hundred MB, below the 30 seconds of CPU that an alarm has (Workers limits page).
const ALARM_MILLIS: u64 = 20_000;

/// Batches of one alarm at most: each takes up to five of the 1,000 calls that an alarm may make, spooling aside.
const ALARM_BATCHES: u32 = 100;

/// When the alarm comes again that was set before the work, should the work die. Two of them never run at once, so it may be
/// shorter than the work.
const REARM_MILLIS: u64 = 5_000;

/// What the API and `/stats` want to know.
#[derive(Debug, Serialize, Deserialize)]
pub struct Question {
    /// What the registry knows: an object that has never heard of it begins.
    pub spec: Spec,
    /// What somebody wants.
    pub order: Option<Order>,
    /// The minutes to add up for `/stats`.
    pub minutes: Option<MinuteRange>,
}

/// What somebody wants of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Stand still.
    Pause,
    /// Go on.
    Resume,
    /// End.
    Cancel,
}

/// How a replay stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    /// How far it has come.
    pub progress: Progress,
    /// What its queue was given in the minutes that were asked for; nothing for one that fills up a job, whose ledgers
    /// count that.
    pub selected: JobSelected,
}

/// See the module.
#[durable_object(alarm)]
pub struct Replay {
    state: State,
    env: Env,
    database: Database,
    session: RefCell<Session>,
    /// The job and what it selects, until the outbox is looked at again.
    compiled: RefCell<Option<std::rc::Rc<(Job, Routes)>>>,
    is_working: Cell<bool>,
}

impl DurableObject for Replay {
    fn new(state: State, env: Env) -> Self {
        Self {
            database: Database::open(&state, MIGRATIONS),
            state,
            env,
            session: RefCell::default(),
            compiled: RefCell::default(),
            is_working: Cell::new(false),
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        match request.path().as_str() {
            "/status" => match question(&mut request).await {
                Ok((question, _)) => answer(self.status(&question).await),
                Err(e) => answer::<()>(Err(e)),
            },
            _ => Response::error("no such operation", 404),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        self.is_working.set(true);
        let worked = self.work().await;
        self.is_working.set(false);
        if let Err(e) = worked {
            worker::console_error!("replay: {e}");
            self.arm(now_millis() + REARM_MILLIS).await?;
        }
        Response::empty()
    }
}

#[derive(Deserialize)]
struct Row {
    spec: String,
    progress: String,
}

impl Replay {
    fn sql(&self) -> Result<&Sql> {
        self.database.get()
    }

    fn read(&self) -> Result<Option<(Spec, Progress)>> {
        let row: Option<Row> = self
            .sql()?
            .first("SELECT spec, progress FROM replay", params![])?;
        row.map(|row| Ok((read_json(&row.spec)?, read_json(&row.progress)?)))
            .transpose()
    }

    async fn arm(&self, at_millis: u64) -> Result<()> {
        let wait = at_millis.saturating_sub(now_millis());
        self.state.storage().set_alarm(wait as i64).await
    }

    async fn status(&self, question: &Question) -> Result<Status> {
        let sql = self.sql()?;
        let is_new = self.read()?.is_none();
        if is_new {
            // First the alarm: a row without one would never be looked at.
            self.arm(now_millis()).await?;
            sql.run(
                "INSERT INTO replay (one, spec, progress) VALUES (1, ?, '{}') ON CONFLICT (one) DO NOTHING",
                params![&serde_json::to_string(&question.spec)?],
            )?;
        }
        if let Some(order) = question.order {
            let event = match order {
                Order::Pause => Event::Pause,
                Order::Resume => Event::Resume,
                Order::Cancel => Event::Cancel,
            };
            self.happened(event, None)?;
            if order == Order::Resume && !self.is_working.get() {
                self.arm(now_millis()).await?;
            }
        }
        let Some((spec, progress)) = self.read()? else {
            let what = "the replay is not there";
            return Err(worker::Error::RustError(what.to_owned()));
        };
        let selected = match question.minutes {
            Some(range) if spec.backfill.is_none() => self.selected(range)?,
            _ => JobSelected::default(),
        };
        Ok(Status { progress, selected })
    }

    fn selected(&self, range: MinuteRange) -> Result<JobSelected> {
        let sum: Option<JobSelected> = self.sql()?.first(
            "SELECT coalesce(sum(batches), 0) AS batches, coalesce(sum(records), 0) AS records,
                coalesce(sum(bytes), 0) AS bytes FROM minutes WHERE minute BETWEEN ? AND ?",
            params![range.from, range.to],
        )?;
        Ok(sum.unwrap_or_default())
    }

    /// Writes down what happened. `holding` is what the outbox took with it.
    fn happened(&self, event: Event, holding: Option<Holding>) -> Result<()> {
        let sql = self.sql()?;
        sql.atomically(|| {
            // Read anew: somebody may have said something while the effect was performed.
            let Some((spec, before)) = self.read()? else {
                return Ok(());
            };
            let read_before = before.read.batches;
            let mut session = self.session.borrow_mut();
            let after = before.after(&spec, &mut session, event, now_millis());
            sql.run(
                "UPDATE replay SET progress = ?",
                params![&serde_json::to_string(&after)?],
            )?;
            match holding {
                Some(holding) if after.read.batches > read_before && holding.records > 0 => sql
                    .run(
                        "INSERT INTO minutes (minute, batches, records, bytes) VALUES (?, 1, ?, ?)
                        ON CONFLICT (minute) DO UPDATE SET batches = batches + 1,
                        records = records + excluded.records, bytes = bytes + excluded.bytes",
                        params![holding.minute, holding.records, holding.bytes],
                    ),
                _ => Ok(()),
            }
        })
    }

    async fn work(&self) -> Result<()> {
        let until = now_millis() + ALARM_MILLIS;
        let mut batches = 0;
        let mut is_guarded = false;
        // The job may have changed since.
        self.compiled.take();
        loop {
            let Some((spec, progress)) = self.read()? else {
                return Ok(());
            };
            let effect = step(&progress, &self.session.borrow(), now_millis());
            match effect {
                Effect::Sleep => {
                    if is_guarded {
                        self.state.storage().delete_alarm().await?;
                    }
                    return Ok(());
                }
                Effect::SleepUntil(at) => return self.arm(at).await,
                _ if now_millis() > until || batches >= ALARM_BATCHES => {
                    return self.arm(now_millis()).await;
                }
                _ => {}
            }
            if !is_guarded {
                // Before the work, so that dying in the middle of it only delays.
                self.arm(now_millis() + REARM_MILLIS).await?;
                is_guarded = true;
                continue;
            }
            batches += u32::from(matches!(effect, Effect::Route(_)));
            let (event, holding) = match self.perform(&spec, effect).await {
                Ok(done) => done,
                Err(reason) => {
                    worker::console_error!("replay {}: {reason}", spec.id);
                    (Event::Failed(reason), None)
                }
            };
            self.happened(event, holding)?;
        }
    }

    async fn perform(
        &self,
        spec: &Spec,
        effect: Effect,
    ) -> std::result::Result<(Event, Option<Holding>), String> {
        let text = |e: worker::Error| e.to_string();
        let event = match effect {
            Effect::Count => Event::Counted(count(&self.env, spec).await.map_err(text)?),
            Effect::Look => {
                self.compiled.take();
                let name = outbox_name(spec.job);
                match self.compiled(spec).await? {
                    None => Event::Gone,
                    Some(_) => {
                        let load: Load = call(&self.env, Class::Outbox, &name, "load", &())
                            .await
                            .map_err(text)?;
                        // What else waits for a job that is filled up is none of ours.
                        let is_done = spec.backfill.is_some() && self.is_read().map_err(text)?;
                        Event::Loaded(if is_done { Load::default() } else { load })
                    }
                }
            }
            Effect::Find(place) => Event::Found(self.find(spec, &place).await.map_err(text)?),
            Effect::Route(next) => return self.route(spec, next).await,
            Effect::Sleep | Effect::SleepUntil(_) => Event::Failed("nothing to do".to_owned()),
        };
        Ok((event, None))
    }

    fn is_read(&self) -> Result<bool> {
        Ok(self.read()?.is_some_and(|(_, progress)| progress.is_read))
    }

    /// The job that records are selected for, compiled; `None` when it was deleted.
    async fn compiled(
        &self,
        spec: &Spec,
    ) -> std::result::Result<Option<std::rc::Rc<(Job, Routes)>>, String> {
        if let Some(known) = self.compiled.borrow().clone() {
            return Ok(Some(known));
        }
        let query = JobsQuery {
            id: Some(spec.job),
            ..JobsQuery::default()
        };
        let rows: Vec<JobRow> = call(&self.env, Class::Registry, REGISTRY_NAME, "jobs", &query)
            .await
            .map_err(|e| e.to_string())?;
        let Some(JobRow { job, .. }) = rows.into_iter().next() else {
            return Ok(None);
        };
        let one = std::slice::from_ref(&job);
        let routes =
            jobs::compile(&job.scope, &job.dataset, one, Keep::Copy).within(Some(spec.window()));
        let compiled = std::rc::Rc::new((job, routes));
        self.compiled.replace(Some(compiled.clone()));
        Ok(Some(compiled))
    }

    /// The next batches behind a place, of the first ledger that has any.
    async fn find(&self, spec: &Spec, place: &Place) -> Result<Vec<Next>> {
        for LedgerRow { name, .. } in ledgers(&self.env, spec).await? {
            if place.ledger.as_ref().is_some_and(|at| *at > name) {
                continue;
            }
            let after = place.after.clone();
            let query = BatchesQuery {
                after: after.filter(|_| place.ledger.as_ref() == Some(&name)),
                limit: BATCHES_PAGE_MAX,
                ..everything(spec)
            };
            let rows: Vec<crate::ledger::BatchRow> =
                call(&self.env, Class::Ledger, &name, "batches", &query).await?;
            if !rows.is_empty() {
                let next = |row| Next {
                    ledger: name.clone(),
                    row,
                };
                return Ok(rows.into_iter().map(next).collect());
            }
        }
        Ok(Vec::new())
    }

    async fn route(
        &self,
        spec: &Spec,
        next: Next,
    ) -> std::result::Result<(Event, Option<Holding>), String> {
        let text = |e: worker::Error| e.to_string();
        let Some(compiled) = self.compiled(spec).await? else {
            return Ok((Event::Gone, None));
        };
        let (job, routes) = &*compiled;
        // Records count, and grow old in the queue, from now on.
        let now = now_millis();
        let debt = Debt {
            batch_id: next.row.batch_id.clone(),
            object: next.row.object.clone(),
            job_id: spec.job,
            received_at_millis: now,
        };
        let mut routed = Routed {
            invalid_lines: next.row.invalid_lines,
            ..Routed::default()
        };
        let mut holding = Holding {
            minute: minute_of(now),
            ..Holding::default()
        };
        let mut is_missing = false;
        let name = outbox_name(spec.job);
        match call(&self.env, Class::Outbox, &name, "prospect", &debt.batch_id).await {
            // The step died after its append.
            Ok(Prospect::Duplicate(known)) => holding = known,
            Ok(Prospect::Full) => return Ok((Event::Full, None)),
            Err(e) => return Err(text(e)),
            Ok(Prospect::Room) => match owed::copy(&self.env, job, &debt.object, routes).await {
                Err(SourceError::Gone { .. }) => is_missing = true,
                Err(e) => return Err(e.into_reason()),
                Ok(copied) => {
                    routed.undated = copied.undated;
                    if copied.records > 0 {
                        // The place may stand still for longer than an outbox remembers what came.
                        match owed::hand_over(&self.env, &debt, copied, true).await {
                            Ok(settled) => {
                                (holding, routed.surprises) = (settled.holding, settled.surprises);
                            }
                            Err(reason) if reason == owed::FULL => return Ok((Event::Full, None)),
                            Err(reason) => return Err(reason),
                        }
                    }
                }
            },
        }
        if spec.backfill.is_some() {
            // In the ledger, like what was selected as it came; also of nothing, so that it is not looked at again.
            let (_, day) = next.ledger.rsplit_once('/').unwrap_or_default();
            let late = LateSelection {
                scope: spec.scope.to_string(),
                dataset: spec.dataset.clone(),
                day: day.to_owned(),
                batch_id: debt.batch_id,
                selection: JobSelection {
                    job_id: spec.job,
                    records: holding.records,
                    bytes: holding.bytes,
                    minute: holding.minute,
                    surprises: routed.surprises,
                    state: SelectionState::Stored,
                },
            };
            let (): () = call(&self.env, Class::Ledger, &next.ledger, "select", &late)
                .await
                .map_err(text)?;
        }
        if is_missing {
            return Ok((Event::Missing(next), None));
        }
        (routed.records, routed.bytes) = (holding.records, holding.bytes);
        Ok((Event::Routed(next, routed), Some(holding)))
    }
}

/// All batches of a replay in one ledger.
fn everything(spec: &Spec) -> BatchesQuery {
    BatchesQuery {
        span: spec.span(),
        after: None,
        limit: 0,
        rays: None,
        unmet: spec.backfill.map(|backfill| Unmet {
            job_id: spec.job,
            received_before_millis: backfill.received_before_millis,
        }),
    }
}

async fn ledgers(env: &Env, spec: &Spec) -> Result<Vec<LedgerRow>> {
    batches::ledgers(env, &spec.scope, &spec.dataset, spec.span()).await
}

/// What lies in the range by now.
pub async fn count(env: &Env, spec: &Spec) -> Result<Sum> {
    let query = everything(spec);
    let names = ledgers(env, spec).await?.into_iter().map(|row| row.name);
    let sums = stream::iter(names).map(async |name| {
        let sum: Sum = call(env, Class::Ledger, &name, "sum", &query).await?;
        Ok::<_, worker::Error>(sum)
    });
    sums.buffered(CALLS)
        .try_fold(Sum::default(), async |mut all, sum| {
            all.add(&sum);
            Ok(all)
        })
        .await
}
