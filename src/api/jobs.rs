//! What the calls of the jobs API do.

use std::fmt;

use serde_json::{Value, json};

use super::{Access, ApiError, ApiResponse, MAX_REQUEST_BYTES, Route};
use crate::logpush::job::{Job, JobInput, JobInputError, NewJob};
use crate::logpush::scope::Scope;

/// How often a change is made again because another one came between reading the job and writing it.
const MAX_UPDATE_ATTEMPTS: usize = 3;

/// The job store could not be asked, or its answer is not known. The text is for the operator's log and must hold no
/// `destination_conf`; the caller of the API does not see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What happened.
    pub text: String,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job store: {}", self.text)
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for ApiError {
    fn from(_: StoreError) -> Self {
        Self::StorageUnavailable
    }
}

/// Where jobs are kept. Every call fails with [`StoreError`] when the store can not be asked; the store logs why.
///
/// The futures need not be `Send`: in a Worker there is one thread.
#[allow(async_fn_in_trait)]
pub trait JobStore {
    /// All jobs of a zone or account, by number.
    async fn list(&self, scope: &Scope) -> Result<Vec<Job>, StoreError>;

    /// One job; `None` when there is no such job in this zone or account.
    async fn get(&self, scope: &Scope, id: u64) -> Result<Option<Job>, StoreError>;

    /// Gives a new job its number and keeps it.
    async fn create(&self, job: NewJob) -> Result<Job, StoreError>;

    /// Keeps a changed job under the next version, if it is still at `expected_version`; answers the job as kept, and
    /// `None` when it is gone or at another version. `last_complete`, `last_error` and `error_message` are not this
    /// call's to write: the store leaves its own.
    async fn update(
        &self,
        scope: &Scope,
        id: u64,
        expected_version: u64,
        job: Job,
    ) -> Result<Option<Job>, StoreError>;

    /// Forgets a job; whether there was one in this zone or account.
    async fn delete(&self, scope: &Scope, id: u64) -> Result<bool, StoreError>;
}

/// The rules about a job's content which need more than the job: the catalogue of datasets, the filter's parser, what
/// the operator allows. An `Err` says what is wrong, for the one who sent it, without the member's name before it.
pub trait JobRules {
    /// Whether jobs of this zone or account may take this dataset.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn check_dataset(&self, scope: &Scope, dataset: &str) -> Result<(), String>;

    /// Whether the filter is one, and fits the dataset.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn check_filter(&self, scope: &Scope, dataset: &str, filter: &str) -> Result<(), String>;

    /// Whether records may go there.
    ///
    /// # Errors
    ///
    /// What is wrong with it; must not hold a credential.
    fn check_destination(&self, destination_conf: &str) -> Result<(), String>;
}

/// Does a call and answers it. `body` is the request's, or its first [`MAX_REQUEST_BYTES`] + 1 bytes.
///
/// A caller without access gets 401, a change with read access 403. Reads with read access get `destination_conf`
/// masked. A change checks what it changes, not what was there before: a job that an older version let pass can still be
/// renamed or switched off.
pub async fn handle(
    route: &Route,
    access: Access,
    body: &[u8],
    store: &impl JobStore,
    rules: &impl JobRules,
) -> ApiResponse {
    match answer(route, access, body, store, rules).await {
        Ok(result) => ApiResponse::ok(result),
        Err(error) => error.into(),
    }
}

async fn answer(
    route: &Route,
    access: Access,
    body: &[u8],
    store: &impl JobStore,
    rules: &impl JobRules,
) -> Result<Value, ApiError> {
    let mask = match access {
        Access::None => return Err(ApiError::Unauthenticated),
        Access::Read if route.is_write() => return Err(ApiError::ReadOnly),
        Access::Read => true,
        Access::Write => false,
    };
    match route {
        Route::ListJobs { scope } => {
            let jobs = store.list(scope).await?;
            Ok(jobs.iter().map(|job| job.to_api(mask)).collect())
        }
        Route::GetJob { scope, id } => {
            let job = store.get(scope, *id).await?.ok_or(ApiError::JobNotFound)?;
            Ok(job.to_api(mask))
        }
        Route::CreateJob { scope } => {
            let new = read_input(body)?.into_new_job(scope.clone())?;
            rules
                .check_dataset(scope, new.dataset())
                .map_err(|text| invalid("dataset", &text))?;
            check_destination(rules, new.destination_conf())?;
            check_filter(rules, scope, new.dataset(), new.filter())?;
            Ok(store.create(new).await?.to_api(mask))
        }
        Route::UpdateJob { scope, id } => {
            let job = update(scope, *id, &read_input(body)?, store, rules).await?;
            Ok(job.to_api(mask))
        }
        Route::DeleteJob { scope, id } => {
            if store.delete(scope, *id).await? {
                Ok(json!({"id": id}))
            } else {
                Err(ApiError::JobNotFound)
            }
        }
    }
}

/// Reads, changes and writes a job, and begins anew when another change came between.
async fn update(
    scope: &Scope,
    id: u64,
    input: &JobInput,
    store: &impl JobStore,
    rules: &impl JobRules,
) -> Result<Job, ApiError> {
    for _ in 0..MAX_UPDATE_ATTEMPTS {
        let job = store.get(scope, id).await?.ok_or(ApiError::JobNotFound)?;
        let changed = input.clone().apply_to(&job)?;
        if changed.destination_conf != job.destination_conf {
            check_destination(rules, &changed.destination_conf)?;
        }
        if changed.filter != job.filter {
            check_filter(rules, scope, &changed.dataset, changed.filter.as_deref())?;
        }
        if let Some(kept) = store.update(scope, id, job.version, changed).await? {
            return Ok(kept);
        }
    }
    Err(ApiError::Conflict)
}

fn read_input(body: &[u8]) -> Result<JobInput, ApiError> {
    if body.len() > MAX_REQUEST_BYTES {
        return Err(ApiError::BodyTooLarge);
    }
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        // The parser's own text may quote the body.
        ApiError::InvalidInput(format!(
            "body: is no JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
    })?;
    Ok(JobInput::from_json(&body)?)
}

fn check_destination(rules: &impl JobRules, destination_conf: &str) -> Result<(), ApiError> {
    rules
        .check_destination(destination_conf)
        .map_err(|text| invalid("destination_conf", &text))
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

fn invalid(field: &str, text: &str) -> ApiError {
    ApiError::InvalidInput(format!("{field}: {text}"))
}

impl From<JobInputError> for ApiError {
    fn from(error: JobInputError) -> Self {
        Self::InvalidInput(error.to_string())
    }
}
