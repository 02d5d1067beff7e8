//! Who may make which call, and what the calls about jobs do.

use serde_json::{Value, json};

use super::checks::{self, Destination};
use super::dead_letters::Fate;
use super::{
    Access, ApiError, ApiResponse, Call, DestinationTester, JobRules, JobStore, MAX_REQUEST_BYTES,
    Route, Services, datasets, dead_letters, preview,
};
use crate::logpush::job::{Job, JobInput, JobInputError};
use crate::logpush::scope::Scope;

/// How often a change is made again because another one came between reading the job and writing it.
const MAX_UPDATE_ATTEMPTS: usize = 3;

/// What a request brings beside its method and path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Content<'a> {
    /// What stands behind the `?`, without it.
    pub query: &'a str,
    /// The body, or of one that is too long one byte more than [`Call::max_body_bytes`].
    pub body: &'a [u8],
}

/// Does a call and answers it.
///
/// A caller without access gets 401, one with read access 403 unless the call only reads. Reads with read access get
/// `destination_conf` masked. A change checks what it changes, not what was there before: a job that an older version let
/// pass can still be renamed or switched off.
///
/// A job is stored only when its destination has taken a test message. One is sent when a job is created, enabled or
/// not, and when its destination changes; as at Cloudflare, switching a job on sends none.
pub async fn handle(
    route: &Route,
    access: Access,
    content: Content<'_>,
    services: &Services<'_, impl JobStore, impl JobRules, impl DestinationTester>,
) -> ApiResponse {
    match answer(route, access, content, services).await {
        Ok(result) => ApiResponse::ok(result),
        Err(error) => error.into(),
    }
}

async fn answer(
    route: &Route,
    access: Access,
    content: Content<'_>,
    services: &Services<'_, impl JobStore, impl JobRules, impl DestinationTester>,
) -> Result<Value, ApiError> {
    let Route { scope, call } = route;
    let Content { query, body } = content;
    let mask = match access {
        Access::None => return Err(ApiError::Unauthenticated),
        Access::Read if call.needs_write() => return Err(ApiError::ReadOnly),
        Access::Read => true,
        Access::Write => false,
    };
    let store = services.store;
    match call {
        Call::ListJobs => {
            let jobs = store.list(scope).await?;
            Ok(jobs.iter().map(|job| job.to_api(mask)).collect())
        }
        Call::GetJob(id) => {
            let job = store.get(scope, *id).await?.ok_or(ApiError::JobNotFound)?;
            Ok(job.to_api(mask))
        }
        Call::CreateJob => {
            let job = create(scope, body, services).await?;
            Ok(job.to_api(mask))
        }
        Call::UpdateJob(id) => {
            let input = JobInput::from_json(&read_json(body)?)?;
            let job = update(scope, *id, &input, services).await?;
            Ok(job.to_api(mask))
        }
        Call::DeleteJob(id) => {
            if store.delete(scope, *id).await? {
                Ok(json!({"id": id}))
            } else {
                Err(ApiError::JobNotFound)
            }
        }
        Call::Preview => preview::preview(scope, body, services).await,
        Call::ListDeadLetters(id) => dead_letters::list(scope, *id, query, store).await,
        Call::GetDeadLetter(id, number) => dead_letters::one(scope, *id, *number, store).await,
        Call::Redrive(id) => dead_letters::some(scope, *id, Fate::Redrive, body, store).await,
        Call::RedriveOne(id, number) => {
            dead_letters::single(scope, *id, Fate::Redrive, *number, store).await
        }
        Call::DeleteDeadLetters(id) => {
            dead_letters::some(scope, *id, Fate::Discard, body, store).await
        }
        Call::DeleteDeadLetter(id, number) => {
            dead_letters::single(scope, *id, Fate::Discard, *number, store).await
        }
        Call::ListDatasets => Ok(datasets::list(scope, &store.arrived(scope).await?)),
        Call::DatasetJobs(dataset) => {
            let mut jobs = store.list(scope).await?;
            jobs.retain(|job| job.dataset == *dataset);
            // A dataset that is newer than the catalogue may have jobs.
            if jobs.is_empty() {
                datasets::find(scope, dataset)?;
            }
            Ok(jobs.iter().map(|job| job.to_api(mask)).collect())
        }
        Call::Fields(dataset) => Ok(datasets::fields(&datasets::find(scope, dataset)?)),
        Call::DefaultFields(dataset) => {
            Ok(datasets::default_fields(&datasets::find(scope, dataset)?))
        }
        Call::Ownership => checks::ownership(scope, &Destination::read(body)?, services).await,
        Call::ValidateOwnership => checks::validate_ownership(scope, body, services),
        Call::ValidateDestination => {
            checks::validate_destination(&Destination::read(body)?, services).await
        }
        Call::DestinationExists => {
            let Destination(conf) = Destination::read(body)?;
            let jobs = store.list(scope).await?;
            Ok(json!({"exists": jobs.iter().any(|job| job.destination_conf == conf)}))
        }
        Call::ValidateOrigin => checks::validate_origin(scope, body, services),
    }
}

async fn create(
    scope: &Scope,
    body: &[u8],
    services: &Services<'_, impl JobStore, impl JobRules, impl DestinationTester>,
) -> Result<Job, ApiError> {
    let rules = services.rules;
    let new = JobInput::from_json(&read_json(body)?)?.into_new_job(scope.clone())?;
    rules
        .check_dataset(scope, new.dataset())
        .map_err(|text| invalid("dataset", &text))?;
    check_destination(rules, new.destination_conf())?;
    check_filter(rules, scope, new.dataset(), new.filter())?;
    // Last, because it is seen outside: nothing is sent for a job that is refused anyway.
    test_destination(services.tester, new.destination_conf()).await?;
    Ok(services.store.create(new).await?)
}

/// Reads, changes and writes a job, and begins anew when another change came between.
async fn update(
    scope: &Scope,
    id: u64,
    input: &JobInput,
    services: &Services<'_, impl JobStore, impl JobRules, impl DestinationTester>,
) -> Result<Job, ApiError> {
    let (store, rules) = (services.store, services.rules);
    let mut tested = false;
    for _ in 0..MAX_UPDATE_ATTEMPTS {
        let job = store.get(scope, id).await?.ok_or(ApiError::JobNotFound)?;
        let changed = input.clone().apply_to(&job)?;
        let has_moved = changed.destination_conf != job.destination_conf;
        if has_moved {
            check_destination(rules, &changed.destination_conf)?;
        }
        if changed.filter != job.filter {
            check_filter(rules, scope, &changed.dataset, changed.filter.as_deref())?;
        }
        // Every attempt has the same new destination, from the request.
        if has_moved && !tested {
            test_destination(services.tester, &changed.destination_conf).await?;
            tested = true;
        }
        if let Some(kept) = store.update(scope, id, job.version, changed).await? {
            return Ok(kept);
        }
    }
    Err(ApiError::Conflict)
}

/// The body as JSON.
pub(super) fn read_json(body: &[u8]) -> Result<Value, ApiError> {
    read_json_of(body, MAX_REQUEST_BYTES)
}

/// A body of at most `max_bytes` as JSON.
pub(super) fn read_json_of(body: &[u8], max_bytes: usize) -> Result<Value, ApiError> {
    if body.len() > max_bytes {
        return Err(ApiError::BodyTooLarge { max_bytes });
    }
    serde_json::from_slice(body).map_err(|error| {
        // The parser's own text may quote the body.
        ApiError::InvalidInput(format!(
            "body: is no JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

fn check_destination(rules: &impl JobRules, destination_conf: &str) -> Result<(), ApiError> {
    rules
        .check_destination(destination_conf)
        .map_err(|text| invalid("destination_conf", &text))
}

async fn test_destination(
    tester: &impl DestinationTester,
    destination_conf: &str,
) -> Result<(), ApiError> {
    let tested = tester.test(destination_conf).await;
    tested.map_err(|text| invalid("destination_conf", &checks::refused(&text)))
}

fn check_filter(
    rules: &impl JobRules,
    scope: &Scope,
    dataset: &str,
    filter: Option<&str>,
) -> Result<(), ApiError> {
    filter
        .map_or(Ok(()), |filter| rules.check_filter(scope, dataset, filter))
        .map_err(|text| invalid("filter", &text))
}

/// A member of the body that is wrong.
pub(super) fn invalid(field: &str, text: &str) -> ApiError {
    ApiError::InvalidInput(format!("{field}: {text}"))
}

impl From<JobInputError> for ApiError {
    fn from(error: JobInputError) -> Self {
        Self::InvalidInput(error.to_string())
    }
}
