//! The replays of the deployment, by zone or account and id.

use super::super::{now_millis, read_json};
use super::Registry;
use crate::logpush::job::Job;
use crate::replay::Spec;
use crate::runtime::js::sql::params;
use serde::{Deserialize, Serialize};
use worker::Result;

/// A replay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplayRow {
    /// What it is to do.
    pub spec: Spec,
    /// What it was made from, so that the same request is known again; empty for one that fills up a job.
    pub digest: String,
    /// Its own object knows it.
    pub is_started: bool,
    /// When it was deleted, unix milliseconds.
    pub deleted_at: Option<u64>,
}

/// Which replays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplaysQuery {
    /// Of this scope only.
    pub scope: Option<String>,
    /// Of this dataset only.
    pub dataset: Option<String>,
    /// Of this id only.
    pub id: Option<String>,
    /// Deleted ones too.
    pub with_deleted: bool,
    /// Only those whose own object does not know them yet.
    pub only_unstarted: bool,
}

/// A replay that is to be made, with its queue.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewReplayRow {
    /// What it is to do; the number of its queue is filled in.
    pub spec: Spec,
    /// See [`ReplayRow::digest`].
    pub digest: String,
    /// Its queue, without a number.
    pub queue: Job,
}

/// What became of a new replay.
#[derive(Debug, Serialize, Deserialize)]
pub struct Created {
    /// The replay of this id, of now or before, deleted or not.
    pub row: ReplayRow,
}

/// Something happened to a replay.
#[derive(Debug, Serialize, Deserialize)]
pub struct Mark {
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// Its id.
    pub id: String,
    /// It was deleted; otherwise, its own object knows it.
    pub deleted: bool,
}

#[derive(Deserialize)]
struct Stored {
    spec: String,
    digest: String,
    started: u64,
    deleted_at: Option<u64>,
}

impl Registry {
    /// The queue of a replay goes where the job that it feeds goes by now; where it went, if that job is gone.
    pub(super) fn following(&self, job: Job) -> Result<Job> {
        #[derive(Deserialize)]
        struct Fed {
            body: String,
        }
        let Some(fed) = job.replay.as_ref().and_then(|replay| replay.job) else {
            return Ok(job);
        };
        let fed: Option<Fed> = self.sql()?.first(
            "SELECT body FROM jobs WHERE id = ? AND deleted_at IS NULL",
            params![fed],
        )?;
        let Some(Fed { body }) = fed else {
            return Ok(job);
        };
        let fed: Job = read_json(&body)?;
        Ok(Job {
            destination_conf: fed.destination_conf,
            ..job
        })
    }

    pub(super) fn replays(&self, query: &ReplaysQuery) -> Result<Vec<ReplayRow>> {
        let rows: Vec<Stored> = self.sql()?.rows(
            "SELECT spec, digest, started, deleted_at FROM replays WHERE (?1 IS NULL OR scope = ?1)
                AND (?2 IS NULL OR dataset = ?2) AND (?3 IS NULL OR id = ?3) AND (?4 = 1 OR deleted_at IS NULL)
                AND (?5 = 0 OR started = 0) ORDER BY created_at, scope, id",
            params![
                query.scope.as_deref(),
                query.dataset.as_deref(),
                query.id.as_deref(),
                u64::from(query.with_deleted),
                u64::from(query.only_unstarted)
            ],
        )?;
        let read = |row: Stored| {
            Ok(ReplayRow {
                spec: read_json(&row.spec)?,
                digest: row.digest,
                is_started: row.started != 0,
                deleted_at: row.deleted_at,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// Makes a replay and its queue, or finds the one that was made under this id.
    pub(super) fn create_replay(&self, new: NewReplayRow) -> Result<Created> {
        let NewReplayRow {
            mut spec,
            digest,
            queue,
        } = new;
        let scope = spec.scope.to_string();
        let query = ReplaysQuery {
            scope: Some(scope.clone()),
            id: Some(spec.id.clone()),
            with_deleted: true,
            ..ReplaysQuery::default()
        };
        if let Some(row) = self.replays(&query)?.into_iter().next() {
            return Ok(Created { row });
        }
        spec.job = self.create(queue)?.id;
        self.write_replay(&scope, &digest, spec.clone())?;
        let row = ReplayRow {
            spec,
            digest,
            is_started: false,
            deleted_at: None,
        };
        Ok(Created { row })
    }

    pub(super) fn write_replay(&self, scope: &str, digest: &str, spec: Spec) -> Result<()> {
        let text = serde_json::to_string(&spec)?;
        self.sql()?.run(
            "INSERT INTO replays (scope, id, dataset, job, digest, spec, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                scope,
                &spec.id,
                &spec.dataset,
                spec.job,
                digest,
                &text,
                spec.created_at_millis
            ],
        )
    }

    pub(super) fn mark_replay(&self, mark: &Mark) -> Result<()> {
        if mark.deleted {
            return self.sql()?.run(
                "UPDATE replays SET deleted_at = ? WHERE scope = ? AND id = ? AND deleted_at IS NULL",
                params![now_millis(), &mark.scope, &mark.id],
            );
        }
        self.sql()?.run(
            "UPDATE replays SET started = 1 WHERE scope = ? AND id = ?",
            params![&mark.scope, &mark.id],
        )
    }
}
