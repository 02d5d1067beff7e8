//! Looking after what is stored: the cron trigger asks the registry what is due, and ledgers and outboxes to look at their
//! own; the spool, which has no owner by its prefix, is swept here. Bounded in every run, and every step may be repeated:
//! what a run does not come to, or dies over, is due in the next one.
//!
//! Nothing of the archive is deleted. A spooled object is deleted only when it is days old *and* the outbox of the job
//! that it was written for says that it refers to it in no row: not by its age alone, because a queue may refer to it for
//! as long as a destination is down.

use super::objects::ledger::{Tend, Tended};
use super::objects::outbox::TendOutbox;
use super::objects::registry::{
    Due, DueJob, DueLedger, DueQuery, JobRow, JobsQuery, LedgerRow, LookedAfterJob,
    LookedAfterLedger,
};
use super::objects::{Class, REGISTRY_NAME, call, now_millis};
use super::{archive, config};
use crate::health::lifecycle::member;
use crate::lifecycle::retention::{DAY_MILLIS, NEVER_BY_AGE};
use crate::lifecycle::sweep::{Listed, job_of_spooled, ledger_of_prefix};
use crate::lifecycle::{
    JobKeep, Keeping, LedgerKeep, OutboxFacts, Retention, SpoolKeep, WalkKeep, schedule,
};
use crate::outbox::instance_name;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use worker::{Bucket, Env, Result};

/// Ledgers, and outboxes, that one run looks after. Each is some calls of its own, and a run may make 1,000.
const LOOKS_PER_RUN: u64 = 20;

/// Calls that one ledger gets in one run: a page of up to 1,000 objects each. One with more goes on in the next run.
const CALLS_PER_LEDGER: usize = 20;

/// Pages of the spool that one run looks at: up to 1,000 objects each.
const SPOOL_PAGES_PER_RUN: usize = 5;

/// Listings of the archive's days that one run makes.
const WALK_LISTS_PER_RUN: usize = 200;

/// How long a run goes on with what is due; the next one comes in five minutes.
const RUN_MILLIS: u64 = 120_000;

/// What the deployment's variables say of how long what is kept, and what is wrong with them.
pub fn retention(env: &Env) -> (Retention, Vec<String>) {
    Retention::read(|name| config::text(env, name))
}

/// What the registry knows of all that is kept.
///
/// # Errors
/// When it does not answer.
pub async fn keeping(env: &Env) -> Result<Keeping> {
    registry(env, "keeping", &()).await
}

/// The member `archive` of `/stats`.
pub async fn stats(env: &Env, scope: Option<&str>, dataset: Option<&str>) -> Value {
    let keeping = keeping(env).await;
    if let Err(e) = &keeping {
        worker::console_error!("stats of what is kept: {e}");
    }
    let (retention, wrong) = retention(env);
    member(
        keeping.ok().as_ref(),
        (&retention, &wrong),
        (scope, dataset),
        now_millis(),
    )
}

/// One run, at the time `now_millis` of the cron trigger.
pub async fn look_after(env: &Env, now_millis: u64) {
    let run = Run {
        env,
        retention: retention(env).0,
        at: now_millis,
        began: self::now_millis(),
    };
    if let Err(e) = run.all().await {
        worker::console_error!("looking after what is stored: {e}");
    }
}

async fn registry<Q: Serialize, A: DeserializeOwned>(
    env: &Env,
    operation: &str,
    question: &Q,
) -> Result<A> {
    call(env, Class::Registry, REGISTRY_NAME, operation, question).await
}

struct Run<'e> {
    env: &'e Env,
    retention: Retention,
    /// Now, as the trigger says.
    at: u64,
    began: u64,
}

impl Run<'_> {
    fn is_over(&self) -> bool {
        now_millis() > self.began + RUN_MILLIS
    }

    async fn all(&self) -> Result<()> {
        let query = DueQuery {
            now_millis: self.at,
            retention: serde_json::to_string(&self.retention)?,
            limit: LOOKS_PER_RUN,
        };
        let due: Due = registry(self.env, "due", &query).await?;
        // What fails keeps nothing else waiting, and is due again in the next run.
        if schedule::is_daily_due(due.walk.walked_at, self.at)
            && let Err(e) = self.walk(due.walk).await
        {
            worker::console_error!("walking over the days of the archive: {e}");
        }
        if (due.spool.going.is_some() || schedule::is_daily_due(due.spool.swept_at, self.at))
            && let Err(e) = self.sweep_spool(due.spool).await
        {
            worker::console_error!("sweeping the spool: {e}");
        }
        for job in due.jobs {
            if self.is_over() {
                return Ok(());
            }
            if let Err(e) = self.look_after_job(&job).await {
                worker::console_error!("looking after job {}: {e}", job.id);
            }
        }
        for ledger in due.ledgers {
            let name = ledger.name.clone();
            if self.is_over() {
                return Ok(());
            }
            if let Err(e) = self.look_after_ledger(ledger).await {
                worker::console_error!("looking after ledger {name}: {e}");
            }
        }
        Ok(())
    }

    async fn look_after_ledger(&self, ledger: DueLedger) -> Result<()> {
        let DueLedger {
            name,
            last_seen,
            keep,
        } = ledger;
        let wants_sweep = schedule::wants_sweep(&keep, last_seen, self.at);
        let mut tend = Tend {
            now_millis: self.at,
            retention: self.retention,
            going: wants_sweep.then(|| keep.going.clone().unwrap_or_default()),
        };
        let mut tended: Tended = call(self.env, Class::Ledger, &name, "tend", &tend).await?;
        for _ in 1..CALLS_PER_LEDGER {
            if tended.going.is_none() || self.is_over() {
                break;
            }
            tend.going = tended.going;
            tended = call(self.env, Class::Ledger, &name, "tend", &tend).await?;
        }
        let keep = LedgerKeep {
            facts: tended.facts.unwrap_or(keep.facts),
            swept_at: match tended.sweep {
                Some(_) => Some(self.at),
                None => keep.swept_at,
            },
            sweep: tended.sweep.unwrap_or(keep.sweep),
            going: tended.going,
        };
        if let Some(owed) = keep.facts.oldest_owed_at {
            self.warn_of_risk(&name, owed);
        }
        let looked = LookedAfterLedger {
            look_at: schedule::next_look(&keep, last_seen, &self.retention, self.at),
            keep,
            name,
        };
        registry(self.env, "looked-after-ledger", &looked).await
    }

    async fn look_after_job(&self, job: &DueJob) -> Result<()> {
        let tend = TendOutbox {
            now_millis: self.at,
            retention: self.retention,
            prefix: format!("dead-letters/{}/{}/", job.scope, job.id),
        };
        let name = instance_name(job.id);
        let facts: OutboxFacts = call(self.env, Class::Outbox, &name, "tend", &tend).await?;
        if let Some(waiting) = facts.oldest_archived_at {
            self.warn_of_risk(&name, waiting);
        }
        let keep = JobKeep {
            job_id: job.id,
            scope: job.scope.clone(),
            dataset: job.dataset.clone(),
            facts,
            swept_at: Some(self.at),
        };
        let looked = LookedAfterJob {
            look_at: schedule::next_look_at_job(&keep, job.deleted_at, self.at),
            keep,
        };
        registry(self.env, "looked-after-job", &looked).await
    }

    /// Somebody can still do something about it.
    fn warn_of_risk(&self, whose: &str, received_at: u64) {
        let at_risk_from = self.retention.at_risk_from(received_at);
        if at_risk_from.is_some_and(|from| self.at >= from) {
            let days = (self.at.saturating_sub(received_at)) / DAY_MILLIS;
            worker::console_error!(
                "{whose}: records of a batch that came {days} days ago still have to be read from the archive, and \
                RETAIN_RAW_DAYS deletes it soon: docs/lifecycle.md"
            );
        }
    }

    /// Days of the archive that the registry knows no ledger for: every attempt at every batch of that day has died.
    async fn walk(&self, mut keep: WalkKeep) -> Result<()> {
        let bucket = self.env.bucket(config::ARCHIVE)?;
        let ledgers: Vec<LedgerRow> = registry(self.env, "ledgers", &()).await?;
        let known: BTreeSet<String> = ledgers.into_iter().map(|ledger| ledger.name).collect();
        let mut lists = 0;
        let done = keep.after.take().unwrap_or_default();
        for kind in ["accounts/", "zones/"] {
            for scope in prefixes(&bucket, kind, &mut lists).await? {
                // What lies before the dataset that was looked at last has been looked at.
                if scope < done && !done.starts_with(&scope) {
                    continue;
                }
                for dataset in prefixes(&bucket, &scope, &mut lists).await? {
                    if dataset <= done {
                        continue;
                    }
                    if lists > WALK_LISTS_PER_RUN {
                        return registry(self.env, "walked", &keep).await;
                    }
                    for day in prefixes(&bucket, &dataset, &mut lists).await? {
                        let name = day.trim_end_matches('/');
                        if let Some((scope, dataset, date)) = ledger_of_prefix(&day)
                            && !known.contains(name)
                        {
                            let found = LedgerRow {
                                name: name.to_owned(),
                                scope,
                                dataset,
                                day: date,
                                // Somebody may be about to commit: judged when that is over.
                                first_seen: self.at,
                                last_seen: self.at,
                            };
                            let (): () = registry(self.env, "found-ledger", &found).await?;
                        }
                    }
                    keep.after = Some(dataset);
                }
            }
        }
        let keep = WalkKeep {
            walked_at: Some(self.at),
            after: None,
        };
        registry(self.env, "walked", &keep).await
    }

    async fn sweep_spool(&self, mut keep: SpoolKeep) -> Result<()> {
        let bucket = self.env.bucket(config::ARCHIVE)?;
        let query = JobsQuery {
            with_deleted: true,
            ..JobsQuery::default()
        };
        let jobs: Vec<JobRow> = registry(self.env, "jobs", &query).await?;
        let jobs: BTreeSet<u64> = jobs.into_iter().map(|row| row.job.id).collect();
        let (mut after, mut found) = keep.going.take().unwrap_or_default();
        for _ in 0..SPOOL_PAGES_PER_RUN {
            let page = archive::list(&bucket, NEVER_BY_AGE, &after, None)
                .await
                .map_err(worker::Error::RustError)?;
            let before = self
                .at
                .saturating_sub(self.retention.spool_orphan_days * DAY_MILLIS);
            let mut by_job = BTreeMap::<u64, Vec<&Listed>>::new();
            for object in &page.objects {
                found.objects += 1;
                found.bytes += object.bytes;
                if object.uploaded_at >= before {
                    continue;
                }
                match job_of_spooled(&object.key).filter(|job| jobs.contains(job)) {
                    Some(job) => by_job.entry(job).or_default().push(object),
                    None => found.unknown.note(&object.key, object.bytes),
                }
            }
            for (job, objects) in by_job {
                let keys: Vec<&str> = objects.iter().map(|object| object.key.as_str()).collect();
                let name = instance_name(job);
                let answer = call(self.env, Class::Outbox, &name, "refers", &keys).await;
                let referred: BTreeSet<String> = match answer {
                    Ok(referred) => referred,
                    Err(e) => {
                        worker::console_error!("spool of job {job}: {e}");
                        found.unasked += keys.len() as u64;
                        continue;
                    }
                };
                found.referred += referred.len() as u64;
                let orphans = objects
                    .iter()
                    .filter(|object| !referred.contains(&object.key));
                let (mut orphaned, mut bytes) = (Vec::new(), 0);
                for orphan in orphans {
                    orphaned.push(orphan.key.clone());
                    bytes += orphan.bytes;
                }
                if !orphaned.is_empty() {
                    delete(&bucket, &orphaned).await?;
                    keep.deleted_objects += orphaned.len() as u64;
                    keep.deleted_bytes += bytes;
                    found.objects -= orphaned.len() as u64;
                    found.bytes -= bytes;
                }
            }
            match page.objects.last().filter(|_| !page.is_last) {
                Some(last) => after.clone_from(&last.key),
                None => {
                    keep.sweep = found;
                    keep.swept_at = Some(self.at);
                    return registry(self.env, "spool-swept", &keep).await;
                }
            }
        }
        keep.going = Some((after, found));
        registry(self.env, "spool-swept", &keep).await
    }
}

/// Deletes up to 1,000 objects, R2's limit for a call. What is not deleted is found again.
async fn delete(bucket: &Bucket, keys: &[String]) -> Result<()> {
    let keys = keys.iter().map(String::as_str).collect();
    bucket.delete_multiple(keys).await
}

/// What the keys under a prefix have in common up to the next slash.
async fn prefixes(bucket: &Bucket, prefix: &str, lists: &mut usize) -> Result<Vec<String>> {
    let mut all: Vec<String> = Vec::new();
    loop {
        *lists += 1;
        let after = all.last().map_or("", String::as_str);
        let page = archive::list(bucket, prefix, after, Some("/"))
            .await
            .map_err(worker::Error::RustError)?;
        // Behind `a/b/` come the keys that begin with it, so the same prefix is found once more.
        let more = page
            .prefixes
            .into_iter()
            .filter(|found| found.as_str() > after);
        let more: Vec<String> = more.collect();
        let is_last = page.is_last || more.is_empty();
        all.extend(more);
        if is_last {
            return Ok(all);
        }
    }
}
