//! The sessions of Instant Logs: here so that isolates learn of them with the jobs of a dataset, in the same call.

use super::{JobRow, JobsQuery, Registry};
use crate::api::Opened;
use crate::limits::{TAIL_SESSIONS_MAX, TAIL_SESSIONS_PER_DATASET};
use crate::logpush::instant_logs::{Session, SessionId};
use crate::logpush::scope::Scope;
use crate::runtime::js::sql::params;
use crate::runtime::objects::{now_millis, read_json};
use serde::{Deserialize, Serialize};
use worker::Result;

/// What ingest asks for a dataset.
#[derive(Debug, Serialize, Deserialize)]
pub struct RoutesQuery {
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
}

/// Whom the records of a dataset are for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// Its jobs.
    pub jobs: Vec<JobRow>,
    /// Its sessions.
    pub sessions: Vec<Session>,
}

/// A session to end.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// By its number, if it is of this zone or account.
    Number(Scope, u64),
    /// By what its viewers know it by.
    Id(SessionId),
}

#[derive(Deserialize)]
struct Body {
    body: String,
}

impl Registry {
    pub(super) fn wanted(&self, query: RoutesQuery) -> Result<Wanted> {
        let sessions = self.sessions(Some(&query.scope), Some(&query.dataset))?;
        let jobs = self.jobs(&JobsQuery {
            scope: Some(query.scope),
            dataset: Some(query.dataset),
            ..JobsQuery::default()
        })?;
        Ok(Wanted { jobs, sessions })
    }

    /// Open sessions, oldest first. There are few, and mostly none: then this reads no row.
    pub(super) fn sessions(
        &self,
        scope: Option<&str>,
        dataset: Option<&str>,
    ) -> Result<Vec<Session>> {
        let rows: Vec<Body> = self.sql()?.rows(
            "SELECT body FROM sessions WHERE ends_at > ? AND (?2 IS NULL OR scope = ?2) AND (?3 IS NULL OR dataset = ?3)
                ORDER BY id",
            params![now_millis(), scope, dataset],
        )?;
        rows.iter().map(|row| read_json(&row.body)).collect()
    }

    pub(super) fn open_session(&self, session: Session) -> Result<Opened> {
        let sql = self.sql()?;
        sql.run(
            "DELETE FROM sessions WHERE ends_at <= ?",
            params![now_millis()],
        )?;
        let open = self.sessions(None, None)?;
        if open.len() >= TAIL_SESSIONS_MAX {
            return Ok(Opened::DeploymentFull(TAIL_SESSIONS_MAX));
        }
        let is_beside =
            |other: &&Session| other.scope == session.scope && other.dataset == session.dataset;
        if open.iter().filter(is_beside).count() >= TAIL_SESSIONS_PER_DATASET {
            return Ok(Opened::DatasetFull(TAIL_SESSIONS_PER_DATASET));
        }
        #[derive(Deserialize)]
        struct Id {
            id: u64,
        }
        let inserted: Option<Id> = sql.first(
            "INSERT INTO sessions (session_id, scope, dataset, ends_at, body) VALUES (?, ?, ?, ?, '') RETURNING id",
            params![
                session.session_id.as_str(),
                &session.scope.to_string(),
                &session.dataset,
                session.ends_at_millis
            ],
        )?;
        let Some(Id { id }) = inserted else {
            return Err(worker::Error::RustError("the session got no id".to_owned()));
        };
        let session = Session { id, ..session };
        let body = serde_json::to_string(&session)?;
        sql.run(
            "UPDATE sessions SET body = ? WHERE id = ?",
            params![&body, id],
        )?;
        Ok(Opened::Open(session))
    }

    /// Forgets a session, and returns it if there was one.
    pub(super) fn end_session(&self, ending: &Ending) -> Result<Option<Session>> {
        let (scope, id, session_id) = match ending {
            Ending::Number(scope, id) => (Some(scope.to_string()), Some(*id), None),
            Ending::Id(session_id) => (None, None, Some(session_id.as_str())),
        };
        let ended: Option<Body> = self.sql()?.first(
            "DELETE FROM sessions WHERE (scope = ?1 AND id = ?2) OR session_id = ?3 RETURNING body",
            params![scope.as_deref(), id, session_id],
        )?;
        ended.map(|row| read_json(&row.body)).transpose()
    }
}
