//! The jobs of a dataset, compiled, and cached in the isolate for seconds so that a batch costs no call for them.

use super::objects::registry::{RoutesQuery, Wanted};
use super::objects::{Class, REGISTRY_NAME, call, now_millis};
use crate::batch::projection::Projection;
use crate::destination;
use crate::limits::{JOBS_CACHE_MILLIS, PUSH_DEFAULT_RECORDS};
use crate::logpush::catalogue::{Dataset, TIMESTAMP_CANDIDATES};
use crate::logpush::destination_conf::{DestinationConf, DestinationPolicy};
use crate::logpush::filter::Filter;
use crate::logpush::instant_logs::Session;
use crate::logpush::job::Job;
use crate::logpush::scope::Scope;
use crate::route::filter::CompiledFilter;
use crate::route::{Assembly, JobRoute, Keep, Routes, Sample, TailRoute, Written, ray_field};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use worker::{Env, Result};

/// Datasets cached at once; a deployment has a handful, and the names come from authenticated senders.
const CACHE_MAX: usize = 256;

type Versions = Vec<(u64, u64)>;

struct Cached {
    fetched_at: u64,
    versions: Versions,
    /// Numbers of the sessions; a session does not change.
    sessions: Vec<u64>,
    routes: Rc<Routes>,
}

thread_local! {
    static CACHE: RefCell<HashMap<(String, String), Cached>> = RefCell::new(HashMap::new());
}

/// Forgets what this isolate knows, because a job changed. Other isolates follow within [`JOBS_CACHE_MILLIS`].
pub fn forget() {
    CACHE.with_borrow_mut(HashMap::clear);
}

/// The jobs of a dataset that records are selected for.
///
/// # Errors
/// When the registry can not be asked and nothing fresh is known.
pub async fn routes(env: &Env, scope: &Scope, dataset: &str) -> Result<Rc<Routes>> {
    let key = (scope.to_string(), dataset.to_owned());
    let now = now_millis();
    let fresh = CACHE.with_borrow(|cache| {
        cache
            .get(&key)
            .filter(|cached| now < cached.fetched_at + JOBS_CACHE_MILLIS)
            .map(|cached| cached.routes.clone())
    });
    if let Some(routes) = fresh {
        return Ok(routes);
    }
    let query = RoutesQuery {
        scope: key.0.clone(),
        dataset: key.1.clone(),
    };
    let wanted: Wanted = call(env, Class::Registry, REGISTRY_NAME, "routes", &query).await?;
    let sessions: Vec<u64> = wanted.sessions.iter().map(|session| session.id).collect();
    let jobs: Vec<Job> = wanted
        .jobs
        .into_iter()
        .map(|row| row.job)
        .filter(Job::is_selecting)
        .collect();
    let versions: Versions = jobs.iter().map(|job| (job.id, job.version)).collect();
    let known = CACHE.with_borrow(|cache| {
        cache
            .get(&key)
            .filter(|cached| cached.versions == versions && cached.sessions == sessions)
            .map(|cached| cached.routes.clone())
    });
    let routes = match known {
        Some(routes) => routes,
        None => {
            let whole = Keep::Reference;
            let watched = &wanted.sessions;
            Rc::new(compile_watched(scope, dataset, &jobs, watched, whole))
        }
    };
    CACHE.with_borrow_mut(|cache| {
        if cache.len() >= CACHE_MAX {
            cache.clear();
        }
        let cached = Cached {
            fetched_at: now,
            versions,
            sessions,
            routes: routes.clone(),
        };
        cache.insert(key, cached);
    });
    Ok(routes)
}

/// A job's destination, taken apart. Whether it may be private was looked at when the job was stored, and is again when
/// it is pushed to.
pub fn destination_of(job: &Job) -> Option<DestinationConf> {
    let policy = DestinationPolicy {
        allow_private: true,
    };
    DestinationConf::parse(&job.destination_conf, policy).ok()
}

/// Compiles jobs. `whole` says how the selection of a job that takes every record as it is may be kept.
pub fn compile(scope: &Scope, dataset: &str, jobs: &[Job], whole: Keep) -> Routes {
    compile_watched(scope, dataset, jobs, &[], whole)
}

/// The same with sessions in which somebody watches.
fn compile_watched(
    scope: &Scope,
    dataset: &str,
    jobs: &[Job],
    sessions: &[Session],
    whole: Keep,
) -> Routes {
    let schema = Dataset::find(scope.kind(), dataset);
    let mut projection = Projection::new();
    let time_fields: Vec<&str> = match schema.as_ref().and_then(|d| d.timestamp_field.as_deref()) {
        Some(field) => vec![field],
        None => TIMESTAMP_CANDIDATES.to_vec(),
    };
    let time_slots = time_fields
        .iter()
        .map(|name| projection.slot(name))
        .collect();
    let rays = ray_field(schema.as_ref()).filter(|(_, is_inside)| !is_inside);
    let ray_slot = rays.map(|(field, _)| projection.slot(field));
    let (mut routes, mut unreadable) = (Vec::new(), Vec::new());
    for job in jobs {
        let text = job.filter.as_deref().unwrap_or_default();
        let filter = Filter::parse_optional(text, schema.as_ref())
            // A field may leave the catalogue after the job was made.
            .or_else(|_| Filter::parse_optional(text, None));
        let filter = match filter {
            Ok(filter) => filter,
            Err(e) => {
                // The API stores no such filter; an older version of this Worker may meet one of a newer version.
                worker::console_error!("job {}: {e}", job.id);
                unreadable.push(job.id);
                continue;
            }
        };
        let output = match job.output() {
            Ok(output) => output,
            Err(e) => {
                worker::console_error!("job {}: {e}", job.id);
                unreadable.push(job.id);
                continue;
            }
        };
        let filter = filter.map(|filter| CompiledFilter::compile(&filter, &mut projection));
        let sample = Sample::of(&output);
        let written = Written::compile(&output, dataset, schema.as_ref(), &mut projection);
        let assembly = Assembly::of(&output);
        let is_as_it_came =
            filter.is_none() && sample.is_none() && written.is_as_it_came() && assembly.is_none();
        let conf = destination_of(job);
        let limits = conf.as_ref().map(destination::limits).unwrap_or_default();
        let has_limits = job.max_upload_bytes.is_some()
            || job.max_upload_records.is_some()
            || !conf
                .as_ref()
                .is_none_or(destination::takes_batches_as_they_came);
        routes.push(JobRoute {
            job_id: job.id,
            keep: if is_as_it_came && !has_limits {
                whole
            } else {
                Keep::Copy
            },
            filter,
            sample,
            written,
            assembly,
            segment_max_records: job
                .max_upload_records
                .unwrap_or(PUSH_DEFAULT_RECORDS)
                .min(limits.max_records.unwrap_or(u64::MAX)),
        });
    }
    let mut tails = Vec::new();
    for session in sessions {
        match TailRoute::compile(session, schema.as_ref(), &mut projection) {
            Ok(tail) => tails.push(tail),
            Err(e) => worker::console_error!("session {}: {e}", session.id),
        }
    }
    let routes = Routes::new(projection, time_slots, routes, unreadable).with_tails(tails);
    match ray_slot {
        Some(slot) => routes.with_rays(slot),
        None => routes,
    }
}
