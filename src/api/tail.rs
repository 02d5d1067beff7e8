//! Instant Logs: sessions in which records are shown as they come in.
//!
//! A read token is enough for all of it, as at Cloudflare (permission *Logs Read*): a session shows records, which such a
//! token sees anyway, and ends by itself.

use serde_json::{Value, json};

use super::jobs::{invalid, read_json};
use super::{Access, ApiError, ApiResponse, JobRules, StoreError};
use crate::logpush::catalogue::Dataset;
use crate::logpush::instant_logs::{Session, SessionId, SessionInput, SessionInputError};
use crate::logpush::output_options::OutputOptions;
use crate::logpush::scope::{Scope, ScopeKind};
use serde::{Deserialize, Serialize};

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeRoute {
    /// The zone or account.
    pub scope: Scope,
    /// What is asked of it.
    pub call: EdgeCall,
}

/// What is asked of a zone or account. `{E}` is `/client/v4/{zones|accounts}/{id}/logpush/edge/jobs`, or the same without
/// `/jobs`, as older clients have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeCall {
    /// `GET {E}`
    List,
    /// `POST {E}`
    Create,
    /// `DELETE {E}/{id}`; ours.
    End(u64),
}

/// What became of a session that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opened {
    /// It is open, with the number that it got.
    Open(Session),
    /// The dataset has as many as it may have.
    DatasetFull(usize),
    /// The deployment has.
    DeploymentFull(usize),
}

/// Where sessions are kept.
///
/// The futures need not be `Send`: in a Worker there is one thread.
#[allow(async_fn_in_trait)]
pub trait SessionStore {
    /// The open sessions of a zone or account, oldest first.
    async fn list(&self, scope: &Scope) -> Result<Vec<Session>, StoreError>;
    /// Opens a session, and gives it its number.
    async fn open(&self, session: Session) -> Result<Opened, StoreError>;
    /// Ends a session; whether there was one of this number in this zone or account.
    async fn end(&self, scope: &Scope, id: u64) -> Result<bool, StoreError>;
}

/// What the calls need of the outside.
pub struct EdgeServices<'a, S, R> {
    /// Where sessions are kept.
    pub store: &'a S,
    /// Rules about datasets and filters.
    pub rules: &'a R,
    /// An id that nobody can guess.
    pub session_id: SessionId,
    /// The address that viewers connect to, such as `wss://host`.
    pub base: String,
    /// Now, unix milliseconds.
    pub now_millis: u64,
    /// How long a session lasts.
    pub session_secs: u64,
}

impl EdgeRoute {
    /// Reads method and path of a request; `None` when the path is none of these at all.
    ///
    /// # Errors
    /// As [`super::Route::parse`].
    #[must_use]
    pub fn parse(method: &str, path: &str) -> Option<Result<Self, ApiError>> {
        let path = path.strip_prefix("/client/v4/")?;
        let segments: Vec<&str> = path.split('/').collect();
        let [kind, id, "logpush", "edge", rest @ ..] = segments.as_slice() else {
            return None;
        };
        let scope = ScopeKind::from_path(kind).and_then(|kind| Scope::new(kind, *id).ok())?;
        let rest = match rest {
            ["jobs", rest @ ..] => rest,
            rest => rest,
        };
        let call = match (rest, method) {
            ([], "GET") => Ok(EdgeCall::List),
            ([], "POST") => Ok(EdgeCall::Create),
            ([], _) => Err(ApiError::MethodNotAllowed {
                allowed: "GET, POST",
            }),
            ([id], _) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) => {
                match (id.parse(), method) {
                    (Ok(id), "DELETE") => Ok(EdgeCall::End(id)),
                    (Ok(_), _) => Err(ApiError::MethodNotAllowed { allowed: "DELETE" }),
                    (Err(_), _) => Err(ApiError::NoRoute),
                }
            }
            _ => Err(ApiError::NoRoute),
        };
        Some(call.map(|call| Self { scope, call }))
    }
}

impl From<SessionInputError> for ApiError {
    fn from(error: SessionInputError) -> Self {
        Self::InvalidInput(error.to_string())
    }
}

/// Does a call and answers it.
pub async fn handle_edge(
    route: &EdgeRoute,
    access: Access,
    body: &[u8],
    services: &EdgeServices<'_, impl SessionStore, impl JobRules>,
) -> ApiResponse {
    match answer(route, access, body, services).await {
        Ok(result) => ApiResponse::ok(result),
        Err(error) => error.into(),
    }
}

async fn answer(
    route: &EdgeRoute,
    access: Access,
    body: &[u8],
    services: &EdgeServices<'_, impl SessionStore, impl JobRules>,
) -> Result<Value, ApiError> {
    let EdgeRoute { scope, call } = route;
    if access == Access::None {
        return Err(ApiError::Unauthenticated);
    }
    let EdgeServices { store, base, .. } = services;
    match call {
        EdgeCall::List => {
            let sessions = store.list(scope).await?;
            Ok(sessions
                .iter()
                .map(|session| session.to_api(base))
                .collect())
        }
        EdgeCall::Create => match store.open(wanted(scope, body, services)?).await? {
            Opened::Open(session) => Ok(session.to_api(base)),
            Opened::DatasetFull(most) => Err(ApiError::TooManySessions {
                what: "this dataset",
                most,
            }),
            Opened::DeploymentFull(most) => Err(ApiError::TooManySessions {
                what: "this deployment",
                most,
            }),
        },
        EdgeCall::End(id) => {
            if store.end(scope, *id).await? {
                Ok(json!({"id": id}))
            } else {
                Err(ApiError::NotFound { what: "session" })
            }
        }
    }
}

/// The session that the body asks for, without its number.
fn wanted<S>(
    scope: &Scope,
    body: &[u8],
    services: &EdgeServices<'_, S, impl JobRules>,
) -> Result<Session, ApiError> {
    // A client that wants every record of `http_requests` may send nothing.
    let body = if body.trim_ascii().is_empty() {
        json!({})
    } else {
        read_json(body)?
    };
    let input = SessionInput::from_json(&body)?;
    let SessionInput {
        dataset,
        fields,
        filter,
        sample,
    } = input;
    let rules = services.rules;
    rules
        .check_dataset(scope, &dataset)
        .map_err(|text| invalid("dataset", &text))?;
    if !filter.is_empty() {
        rules
            .check_filter(scope, &dataset, &filter)
            .map_err(|text| invalid("filter", &text))?;
    }
    if let Some(schema) = Dataset::find(scope.kind(), &dataset) {
        let options = OutputOptions {
            field_names: fields.clone(),
            ..OutputOptions::default()
        };
        options
            .check_logpull_fields(&schema)
            .map_err(|e| ApiError::InvalidInput(e.to_string()))?;
    }
    Ok(Session {
        id: 0,
        session_id: services.session_id.clone(),
        scope: scope.clone(),
        dataset,
        fields,
        filter,
        sample,
        created_at_millis: services.now_millis,
        ends_at_millis: services.now_millis + services.session_secs * 1_000,
    })
}
