//! Replays: archived records sent once more. Ours; Logpush has nothing like it.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::checks::refused;
use super::jobs::{invalid, read_json};
use super::{Access, ApiError, ApiResponse, DestinationTester, JobRules, JobStore, StoreError};
use crate::logpush::job::{Job, JobInput, MAX_NAME_CHARS, ReplayQueue};
use crate::logpush::scope::{Scope, ScopeKind};
use crate::replay::{BACKFILL_PREFIX, End, Estimate, Facts, ID_MAX_CHARS, is_id};
use crate::route::Window;
use crate::time::{self, UnixNanos};

/// Replays of a zone or account that are not deleted: each is looked at for a list and for `/stats`.
const MAX_PER_SCOPE: usize = 100;

/// Bounds of `max_bytes_per_second`. Below the first one a push of the usual size would take an hour and more.
const BYTES_PER_SECOND: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000;

/// Bounds of `max_pushes_per_second`: one in a thousand seconds; more than a queue makes, one at a time.
const PUSHES_PER_SECOND: std::ops::RangeInclusive<f64> = 0.001..=1_000.0;

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRoute {
    /// The zone or account.
    pub scope: Scope,
    /// What is asked.
    pub call: ReplayCall,
}

/// What is asked of a zone or account. `{S}` is `/client/v4/zones/{id}` or `/client/v4/accounts/{id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayCall {
    /// `GET {S}/logpush/replays`
    List,
    /// `POST {S}/logpush/replays`
    Create,
    /// `GET {S}/logpush/replays/{id}`
    Get(String),
    /// `POST {S}/logpush/replays/{id}/pause`, `…/resume`, `…/cancel`
    Act(String, Action),
    /// `DELETE {S}/logpush/replays/{id}`
    Delete(String),
}

/// What somebody wants of a replay that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing is read and nothing is pushed.
    Pause,
    /// It goes on.
    Resume,
    /// It ends; what waits in its queue is discarded.
    Cancel,
}

impl ReplayRoute {
    /// Reads the method and the path (without its query) of a request; `None` when the path is none of these at all.
    ///
    /// # Errors
    /// As [`super::Route::parse`].
    pub fn parse(method: &str, path: &str) -> Option<Result<Self, ApiError>> {
        let rest = path.strip_prefix("/client/v4/")?;
        let segments: Vec<&str> = rest.split('/').collect();
        let [kind, id, "logpush", "replays", rest @ ..] = segments.as_slice() else {
            return None;
        };
        let scope = ScopeKind::from_path(kind).and_then(|kind| Scope::new(kind, *id).ok())?;
        Some(call(method, rest).map(|call| Self { scope, call }))
    }
}

impl ReplayCall {
    fn needs_write(&self) -> bool {
        !matches!(self, Self::List | Self::Get(_))
    }
}

fn call(method: &str, path: &[&str]) -> Result<ReplayCall, ApiError> {
    let not_allowed = |allowed| Err(ApiError::MethodNotAllowed { allowed });
    match (path, method) {
        ([], "GET") => Ok(ReplayCall::List),
        ([], "POST") => Ok(ReplayCall::Create),
        ([], _) => not_allowed("GET, POST"),
        ([id, ..], _) if !is_id(id) => Err(ApiError::NoRoute),
        ([id], "GET") => Ok(ReplayCall::Get((*id).to_owned())),
        ([id], "DELETE") => Ok(ReplayCall::Delete((*id).to_owned())),
        ([_], _) => not_allowed("GET, DELETE"),
        ([id, action], method) => {
            let action = match *action {
                "pause" => Action::Pause,
                "resume" => Action::Resume,
                "cancel" => Action::Cancel,
                _ => return Err(ApiError::NoRoute),
            };
            if method == "POST" {
                Ok(ReplayCall::Act((*id).to_owned(), action))
            } else {
                not_allowed("POST")
            }
        }
        _ => Err(ApiError::NoRoute),
    }
}

/// A replay that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewReplay {
    /// Its id.
    pub id: String,
    /// The first instant of event time, RFC 3339.
    pub start: String,
    /// The first one after the range, RFC 3339.
    pub end: String,
    /// Its queue: filter, output options, destination, rates.
    pub queue: Job,
    /// SHA-256 of all of that, lower-case hex: what is sent again is known by it.
    pub digest: String,
}

/// What became of a new replay.
#[derive(Clone, Debug)]
pub enum Made {
    /// It is there, now or since an earlier call that said the same.
    There(Box<Facts>),
    /// The id belongs to one that says something else.
    Differs,
    /// The id belonged to one that was deleted.
    Deleted,
}

/// Where replays are kept, and who looks into the archive.
///
/// The futures need not be `Send`: in a Worker there is one thread.
#[allow(async_fn_in_trait)]
pub trait ReplayStore {
    /// The replays of a zone or account, oldest first.
    async fn list(&self, scope: &Scope) -> Result<Vec<Facts>, StoreError>;
    /// How many there are.
    async fn count(&self, scope: &Scope) -> Result<usize, StoreError>;
    /// One of them.
    async fn get(&self, scope: &Scope, id: &str) -> Result<Option<Facts>, StoreError>;
    /// The digest of one that was made under this id; `None` when none ever was.
    async fn digest(&self, scope: &Scope, id: &str) -> Result<Option<String>, StoreError>;
    /// Makes one, or finds the one that was made under its id.
    async fn create(&self, new: &NewReplay) -> Result<Made, StoreError>;
    /// Does what somebody wants of it.
    async fn act(&self, facts: &Facts, action: Action) -> Result<Facts, StoreError>;
    /// Forgets one; its id stays taken.
    async fn delete(&self, facts: &Facts) -> Result<(), StoreError>;
    /// What a replay into this queue would do.
    ///
    /// # Errors
    /// The inner one says why it can not be told.
    async fn estimate(
        &self,
        queue: &Job,
        window: Window,
    ) -> Result<Result<Estimate, String>, StoreError>;
}

/// What the calls need of the outside.
pub struct ReplayServices<'a, P, S, R, T> {
    /// Where replays are kept.
    pub replays: &'a P,
    /// Where jobs are kept.
    pub jobs: &'a S,
    /// Rules about a job's content.
    pub rules: &'a R,
    /// Sends test messages.
    pub tester: &'a T,
    /// An id that nothing else has.
    pub new_id: String,
    /// Now, unix milliseconds.
    pub now_millis: u64,
}

/// Does a call and answers it. A replay to a destination that no job has is made only when the destination has taken a test
/// message.
pub async fn handle_replays(
    route: &ReplayRoute,
    access: Access,
    body: &[u8],
    services: &ReplayServices<
        '_,
        impl ReplayStore,
        impl JobStore,
        impl JobRules,
        impl DestinationTester,
    >,
) -> ApiResponse {
    match answer(route, access, body, services).await {
        Ok(result) => ApiResponse::ok(result),
        Err(error) => error.into(),
    }
}

async fn answer(
    route: &ReplayRoute,
    access: Access,
    body: &[u8],
    services: &ReplayServices<
        '_,
        impl ReplayStore,
        impl JobStore,
        impl JobRules,
        impl DestinationTester,
    >,
) -> Result<Value, ApiError> {
    let ReplayRoute { scope, call } = route;
    let mask = match access {
        Access::None => return Err(ApiError::Unauthenticated),
        Access::Read if call.needs_write() => return Err(ApiError::ReadOnly),
        Access::Read => true,
        Access::Write => false,
    };
    let now = services.now_millis;
    let store = services.replays;
    match call {
        ReplayCall::List => {
            let all = store.list(scope).await?;
            Ok(all.iter().map(|facts| facts.to_api(mask, now)).collect())
        }
        ReplayCall::Get(id) => Ok(find(store, scope, id).await?.to_api(mask, now)),
        ReplayCall::Create => create(scope, body, services).await,
        ReplayCall::Act(id, action) => {
            let facts = find(store, scope, id).await?;
            match (facts.progress.ended, action) {
                // Its queue may not have heard of it: the call that said so may have died.
                (None, _) | (Some((End::Cancelled, _)), Action::Cancel) => {}
                (Some(_), Action::Cancel) => return Ok(facts.to_api(mask, now)),
                (Some(_), _) => {
                    return Err(invalid("id", "this replay has ended; make another one"));
                }
            }
            Ok(store.act(&facts, *action).await?.to_api(mask, now))
        }
        ReplayCall::Delete(id) => {
            let facts = find(store, scope, id).await?;
            store.delete(&facts).await?;
            Ok(json!({"id": id}))
        }
    }
}

async fn find(store: &impl ReplayStore, scope: &Scope, id: &str) -> Result<Facts, ApiError> {
    let found = store.get(scope, id).await?;
    found.ok_or(ApiError::NotFound { what: "replay" })
}

async fn create(
    scope: &Scope,
    body: &[u8],
    services: &ReplayServices<
        '_,
        impl ReplayStore,
        impl JobStore,
        impl JobRules,
        impl DestinationTester,
    >,
) -> Result<Value, ApiError> {
    let input = Input::read(&read_json(body)?)?;
    let is_fed = input.job_id.is_some();
    let id = input.id.clone().unwrap_or_else(|| services.new_id.clone());
    let digest = input.digest();
    // One that is there already is answered whatever became of its job and its destination.
    let known = if input.dry_run {
        None
    } else {
        services.replays.digest(scope, &id).await?
    };
    let queue = match &known {
        Some(known) if *known != digest => return Err(ApiError::ReplayDiffers),
        Some(_) => None,
        None => Some(queue(scope, &input, &id, services).await?),
    };
    let Some(queue) = queue else {
        return match services.replays.get(scope, &id).await? {
            Some(facts) => Ok(facts.to_api(false, services.now_millis)),
            None => Err(ApiError::ReplayDiffers),
        };
    };
    if input.dry_run {
        let window = Window {
            from: input.start,
            until: input.end,
        };
        let estimate = services.replays.estimate(&queue, window).await?;
        let estimate = estimate.map_err(|text| invalid("start", &text))?;
        return Ok(estimate.to_api());
    }
    if services.replays.count(scope).await? >= MAX_PER_SCOPE {
        let text = format!("there are {MAX_PER_SCOPE} replays; delete some that have ended");
        return Err(invalid("id", &text));
    }
    if !is_fed {
        // Last, because it is seen outside.
        let tested = services.tester.test(&queue.destination_conf).await;
        tested.map_err(|text| invalid("destination_conf", &refused(&text)))?;
    }
    let new = NewReplay {
        id,
        start: time::rfc3339(input.start),
        end: time::rfc3339(input.end),
        queue,
        digest,
    };
    match services.replays.create(&new).await? {
        Made::There(facts) => Ok(facts.to_api(false, services.now_millis)),
        Made::Differs | Made::Deleted => Err(ApiError::ReplayDiffers),
    }
}

/// The queue: a copy of the job that is fed, with what the request says instead, or one of its own.
async fn queue(
    scope: &Scope,
    input: &Input,
    id: &str,
    services: &ReplayServices<
        '_,
        impl ReplayStore,
        impl JobStore,
        impl JobRules,
        impl DestinationTester,
    >,
) -> Result<Job, ApiError> {
    let rules = services.rules;
    let job = input.job.clone();
    let (mut queue, label) = match input.job_id {
        Some(fed) => {
            let fed = services.jobs.get(scope, fed).await?;
            let fed = fed.filter(|job| job.replay.is_none());
            let fed = fed.ok_or(ApiError::JobNotFound)?;
            if job.dataset.as_ref() != Some(&fed.dataset) {
                let text = format!("the job {} is of {}", fed.id, fed.dataset);
                return Err(invalid("dataset", &text));
            }
            let label = fed
                .name
                .clone()
                .unwrap_or_else(|| format!("job {}", fed.id));
            (job.apply_to(&fed)?, Some(label))
        }
        None => (job.into_new_job(scope.clone())?.with_id(0), None),
    };
    rules
        .check_dataset(scope, &queue.dataset)
        .map_err(|text| invalid("dataset", &text))?;
    if input.job_id.is_none() {
        rules
            .check_destination(&queue.destination_conf)
            .map_err(|text| invalid("destination_conf", &text))?;
    }
    if let Some(filter) = &queue.filter {
        rules
            .check_filter(scope, &queue.dataset, filter)
            .map_err(|text| invalid("filter", &text))?;
    }
    let mut name = format!("replay {id}");
    if let Some(label) = label {
        name.push_str(" of ");
        name.extend(label.chars().take(MAX_NAME_CHARS - ID_MAX_CHARS * 2));
    }
    queue.name = Some(name);
    queue.enabled = true;
    queue.disabled_by_failing_at_millis = None;
    queue.backfill = None;
    (queue.last_complete, queue.last_error, queue.error_message) = (None, None, None);
    queue.replay = Some(ReplayQueue {
        id: id.to_owned(),
        job: input.job_id,
        max_bytes_per_second: input.max_bytes_per_second,
        max_pushes_per_second: input.max_pushes_per_second,
    });
    Ok(queue)
}

/// The body of a request that makes a replay.
struct Input {
    id: Option<String>,
    start: UnixNanos,
    end: UnixNanos,
    job_id: Option<u64>,
    job: JobInput,
    max_bytes_per_second: Option<u64>,
    max_pushes_per_second: Option<f64>,
    dry_run: bool,
    /// What a replay is known by: the body as it was sent, but for what does not change what is done.
    said: Value,
}

impl Input {
    fn read(body: &Value) -> Result<Self, ApiError> {
        let members = body
            .as_object()
            .ok_or_else(|| invalid("body", "must be a JSON object"))?;
        let job = JobInput::from_json(body)?;
        if job.dataset.is_none() {
            return Err(invalid("dataset", "is required"));
        }
        if job.backfill_from.is_some() {
            return Err(invalid(
                "backfill_from",
                "belongs to a job that is made; a replay has start and end",
            ));
        }
        let (start, end) = (instant(members, "start")?, instant(members, "end")?);
        if start >= end {
            return Err(invalid(
                "end",
                "must be later than start; the range ends before it",
            ));
        }
        let job_id = match present(members, "job_id") {
            None => None,
            Some(id) => Some(id.as_u64().ok_or_else(|| {
                invalid(
                    "job_id",
                    "must be the number of a job of this zone or account",
                )
            })?),
        };
        match (job_id, &job.destination_conf) {
            (None, None) => {
                let text = "is required: the job whose destination gets the records; or send destination_conf";
                return Err(invalid("job_id", text));
            }
            (Some(_), Some(_)) => {
                let text = "can not stand beside job_id: the job's own destination is used";
                return Err(invalid("destination_conf", text));
            }
            _ => {}
        }
        let id = match present(members, "id") {
            None => None,
            Some(Value::String(id)) if is_id(id) && !id.starts_with(BACKFILL_PREFIX) => {
                Some(id.clone())
            }
            Some(_) => {
                let text = format!(
                    "must be 1 to {ID_MAX_CHARS} characters of A-Z, a-z, 0-9, _ and -, and not begin with {BACKFILL_PREFIX}"
                );
                return Err(invalid("id", &text));
            }
        };
        let mut said = members.clone();
        for name in ["id", "dry_run", "start", "end"] {
            said.remove(name);
        }
        said.retain(|_, value| !value.is_null());
        said.insert("start".to_owned(), time::rfc3339(start).into());
        said.insert("end".to_owned(), time::rfc3339(end).into());
        Ok(Self {
            id,
            start,
            end,
            job_id,
            job,
            max_bytes_per_second: bytes_per_second(members)?,
            max_pushes_per_second: pushes_per_second(members)?,
            dry_run: match present(members, "dry_run") {
                None => false,
                Some(Value::Bool(dry_run)) => *dry_run,
                Some(_) => return Err(invalid("dry_run", "must be true or false")),
            },
            said: Value::Object(said),
        })
    }

    fn digest(&self) -> String {
        let hash = Sha256::digest(self.said.to_string().as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn present<'b>(members: &'b Map<String, Value>, name: &str) -> Option<&'b Value> {
    members.get(name).filter(|value| !value.is_null())
}

fn instant(members: &Map<String, Value>, name: &str) -> Result<UnixNanos, ApiError> {
    let text = match present(members, name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    time::instant_from_str(&text)
        .filter(|nanos| *nanos >= 0)
        .ok_or_else(|| {
            invalid(
                name,
                "must be a time since 1970: RFC 3339, such as 2026-07-01T00:00:00Z, or unix seconds",
            )
        })
}

fn bytes_per_second(members: &Map<String, Value>) -> Result<Option<u64>, ApiError> {
    let Some(value) = present(members, "max_bytes_per_second") else {
        return Ok(None);
    };
    let (min, max) = (BYTES_PER_SECOND.start(), BYTES_PER_SECOND.end());
    value
        .as_u64()
        .filter(|bytes| BYTES_PER_SECOND.contains(bytes))
        .map(Some)
        .ok_or_else(|| {
            let text = format!("must be a whole number from {min} to {max}");
            invalid("max_bytes_per_second", &text)
        })
}

fn pushes_per_second(members: &Map<String, Value>) -> Result<Option<f64>, ApiError> {
    let Some(value) = present(members, "max_pushes_per_second") else {
        return Ok(None);
    };
    let (min, max) = (PUSHES_PER_SECOND.start(), PUSHES_PER_SECOND.end());
    value
        .as_f64()
        .filter(|pushes| PUSHES_PER_SECOND.contains(pushes))
        .map(Some)
        .ok_or_else(|| {
            let text = format!("must be a number from {min} to {max}");
            invalid("max_pushes_per_second", &text)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(body: Value) -> Result<Input, String> {
        Input::read(&body).map_err(|e| e.to_string())
    }

    fn good() -> Value {
        json!({
            "dataset": "dns_logs", "start": "2026-07-01T00:00:00Z", "end": "2026-07-02T00:00:00+00:00", "job_id": 7,
        })
    }

    #[test]
    fn paths_and_methods_lead_to_calls() {
        let parse = |method, path: &str| {
            ReplayRoute::parse(method, path).map(|route| route.map(|route| route.call))
        };
        let id = || "r-1".to_owned();
        let base = "/client/v4/zones/z/logpush/replays";
        let calls = [
            ("GET", String::new(), ReplayCall::List),
            ("POST", String::new(), ReplayCall::Create),
            ("GET", "/r-1".into(), ReplayCall::Get(id())),
            ("DELETE", "/r-1".into(), ReplayCall::Delete(id())),
            (
                "POST",
                "/r-1/pause".into(),
                ReplayCall::Act(id(), Action::Pause),
            ),
            (
                "POST",
                "/r-1/resume".into(),
                ReplayCall::Act(id(), Action::Resume),
            ),
            (
                "POST",
                "/r-1/cancel".into(),
                ReplayCall::Act(id(), Action::Cancel),
            ),
        ];
        for (method, rest, call) in calls {
            assert_eq!(parse(method, &format!("{base}{rest}")), Some(Ok(call)));
        }
        let not_allowed = |allowed| Some(Err(ApiError::MethodNotAllowed { allowed }));
        assert_eq!(parse("PUT", base), not_allowed("GET, POST"));
        assert_eq!(
            parse("PUT", &format!("{base}/r")),
            not_allowed("GET, DELETE")
        );
        assert_eq!(
            parse("GET", &format!("{base}/r/pause")),
            not_allowed("POST")
        );
        for rest in ["/r/stop", "/r/pause/now", "/a.b", "/"] {
            let path = format!("{base}{rest}");
            assert_eq!(parse("POST", &path), Some(Err(ApiError::NoRoute)), "{path}");
        }
        assert_eq!(parse("GET", "/client/v4/zones/z/logpush/jobs"), None);
        assert_eq!(parse("GET", "/client/v4/users/z/logpush/replays"), None);
    }

    #[test]
    fn what_is_wrong_with_a_request_is_said_by_name() {
        let table = [
            (json!({"dataset": null}), "dataset: is required"),
            (json!({"start": "yesterday"}), "start: must be a time"),
            (
                json!({"start": "1969-12-31T00:00:00Z"}),
                "start: must be a time",
            ),
            (json!({"end": null}), "end: must be a time"),
            (
                json!({"end": "2026-07-01T00:00:00Z"}),
                "end: must be later than start",
            ),
            (json!({"job_id": null}), "job_id: is required"),
            (json!({"job_id": "7"}), "job_id: must be the number"),
            (
                json!({"destination_conf": "https://h.example"}),
                "destination_conf: can not stand beside",
            ),
            (json!({"id": "a b"}), "id: must be 1 to 64"),
            (json!({"id": "backfill-7"}), "id: must be 1 to 64"),
            (
                json!({"max_bytes_per_second": 5}),
                "max_bytes_per_second: must be a whole number from 1000",
            ),
            (
                json!({"max_pushes_per_second": 0}),
                "max_pushes_per_second: must be a number from 0.001",
            ),
            (json!({"dry_run": "yes"}), "dry_run: must be true or false"),
            (json!({"filter": {"where": 1}}), "filter: must be a string"),
            (
                json!({"backfill_from": "2026-07-01T00:00:00Z"}),
                "backfill_from: belongs to a job",
            ),
        ];
        for (change, text) in table {
            let mut body = good();
            let members = body.as_object_mut().unwrap();
            for (name, value) in change.as_object().unwrap() {
                members.insert(name.clone(), value.clone());
            }
            let said = input(body).err().unwrap_or_default();
            assert!(said.starts_with(text), "{change}: {said}");
        }
        assert!(input(json!([])).is_err());
    }

    #[test]
    fn the_same_request_has_the_same_digest_however_it_is_written() {
        let first = input(good()).unwrap().digest();
        let again = input(json!({
            "end": "2026-07-02T02:00:00+02:00", "job_id": 7, "start": 1_782_864_000, "id": "other", "dry_run": true,
            "dataset": "dns_logs", "filter": null,
        }));
        assert_eq!(again.unwrap().digest(), first);
        let mut other = good();
        other["filter"] = json!("{}");
        assert_ne!(input(other).unwrap().digest(), first);
    }
}
