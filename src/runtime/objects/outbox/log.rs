//! The push log: one row for each attempt, rolled up and aged out ([`tables`] has the statements).

use super::super::{now_millis, read_json};
use super::Outbox;
use crate::health::log::{Attempt, HOUR_MILLIS, LogQuery, MINUTE_MILLIS, OutboxNow, Totals};
use crate::health::tables::{self, PART_ATTEMPTS, Statement};
use crate::runtime::js::sql::{Param, params};
use serde::Deserialize;
use worker::Result;

#[derive(Deserialize)]
struct State {
    job: Option<u64>,
    log_hour: Option<u64>,
    totals: Option<String>,
}

impl Outbox {
    fn log_state(&self) -> Result<State> {
        let state = self
            .sql()?
            .first("SELECT job, log_hour, totals FROM health", params![])?;
        Ok(state.unwrap_or(State {
            job: None,
            log_hour: None,
            totals: None,
        }))
    }

    /// Writes an attempt down, inside the transaction of what follows from it. Returns the totals with it, as the text
    /// that `health.totals` has to become: that row is written anyway, and once is enough.
    pub(super) fn log(&self, attempt: &Attempt<'_>) -> Result<String> {
        let state = self.log_state()?;
        // A clock that went back by a moment would put the attempt into an hour that is closed.
        let open_since = state.log_hour.map_or(0, |hour| hour * HOUR_MILLIS);
        let at_millis = attempt.at_millis.max(open_since);
        let hour = at_millis / HOUR_MILLIS;
        if state.log_hour != Some(hour) {
            self.run_all(&tables::chores(state.log_hour, hour))?;
        }
        self.sql()?.run(
            tables::RECORD,
            params![
                at_millis / MINUTE_MILLIS,
                attempt.destination,
                u64::from(attempt.status),
                u64::from(attempt.is_final),
                PART_ATTEMPTS,
                attempt.records,
                attempt.bytes,
                attempt.bytes_compressed,
                attempt.duration_millis,
                &tables::detail(
                    at_millis,
                    attempt.records,
                    attempt.bytes,
                    attempt.bytes_compressed,
                    attempt.duration_millis
                )
            ],
        )?;
        let mut totals = totals_of(state.totals.as_deref());
        totals.count(attempt);
        Ok(serde_json::to_string(&totals)?)
    }

    fn run_all(&self, statements: &[Statement]) -> Result<()> {
        let sql = self.sql()?;
        for Statement { sql: text, params } in statements {
            let params = params.iter().map(|number| number.into_param()).collect();
            sql.run(text, params)?;
        }
        Ok(())
    }

    /// Does the log's chores if an outbox that pushes nothing any more has some. Returns when it has more, unix
    /// milliseconds.
    pub(super) fn age_log(&self) -> Result<Option<u64>> {
        let Some(before) = self.log_state()?.log_hour else {
            return Ok(None);
        };
        let hour = now_millis() / HOUR_MILLIS;
        let due = self.chores_due(before)?;
        if due.is_none_or(|due| due > hour) {
            return Ok(due.map(|due| due * HOUR_MILLIS));
        }
        self.sql()?
            .atomically(|| self.run_all(&tables::chores(Some(before), hour)))?;
        let due = self.chores_due(hour)?;
        Ok(due.map(|due| due.max(hour + 1) * HOUR_MILLIS))
    }

    fn chores_due(&self, before: u64) -> Result<Option<u64>> {
        #[derive(Deserialize)]
        struct Last {
            minute: Option<u64>,
            hour: Option<u64>,
        }
        let last: Option<Last> = self.sql()?.first(
            "SELECT (SELECT max(minute) FROM push_minutes) AS minute, (SELECT max(hour) FROM push_hours) AS hour",
            params![],
        )?;
        Ok(last.and_then(|last| tables::next_chores(before, last.minute, last.hour)))
    }

    /// The rows that answer a question, as the JSON of a [`PushLog`](crate::health::log::PushLog): SQLite writes each row,
    /// and nobody reads it on the way.
    pub(super) fn push_log(&self, query: &LogQuery) -> Result<String> {
        let sql = self.sql()?;
        let State { job, log_hour, .. } = self.log_state()?;
        let (mut all, mut rows_read) = (Vec::new(), 0);
        for Statement { sql: text, params } in
            tables::questions(query, job.unwrap_or(0), log_hour, now_millis())
        {
            let params = params.iter().map(|number| number.into_param()).collect();
            let (rows, read) = sql.texts(text, params)?;
            all.extend(rows);
            rows_read += read;
        }
        let rows = all.join(",");
        Ok(format!(r#"{{"rows":[{rows}],"rows_read":{rows_read}}}"#))
    }

    /// Fills the log as if so many minutes had had three attempts each, one of which failed in every tenth, and ages it.
    #[cfg(feature = "bench")]
    pub(super) fn fill_log(&self, job: u64, minutes: u64) -> Result<()> {
        let sql = self.sql()?;
        let now = now_millis();
        let (minute, hour) = (now / MINUTE_MILLIS, now / HOUR_MILLIS);
        let first_hour = (minute - minutes) * MINUTE_MILLIS / HOUR_MILLIS;
        sql.atomically(|| {
            for (status, is_final, attempts, every) in [(200, 1, 2, 1), (503, 0, 1, 10)] {
                let one = tables::detail(now, 1_000, 1_000_000, 90_000, 220);
                let detail = vec![one; attempts as usize].join(",");
                sql.run(
                    "WITH RECURSIVE past(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM past WHERE n + 1 < ?2)
                        INSERT OR REPLACE INTO push_minutes SELECT CAST(?1 AS INTEGER) - n, 'https', ?3, ?4, 0, ?5,
                        ?5 * 1000, ?5 * 1000000, ?5 * 90000, ?5 * 220, ?6 FROM past
                        WHERE n % CAST(?7 AS INTEGER) = 0",
                    params![minute, minutes, status as u64, is_final as u64, attempts as u64, &detail, every as u64],
                )?;
            }
            sql.run("UPDATE health SET job = ?", params![job])?;
            self.run_all(&tables::chores(Some(first_hour), hour))
        })
    }

    /// How the outbox stands, and its totals: a few rows, however long it has been at work.
    pub(super) fn now(&self) -> Result<OutboxNow> {
        let sql = self.sql()?;
        #[derive(Deserialize)]
        struct Row {
            totals: Option<String>,
            last_success: Option<u64>,
            last_error: Option<u64>,
            records: u64,
            oldest: Option<u64>,
            dead: u64,
        }
        let row: Option<Row> = sql.first(
            "SELECT totals, last_success, last_error, (SELECT records FROM held) AS records,
                (SELECT received_at FROM entries ORDER BY seq LIMIT 1) AS oldest, (SELECT count(*) FROM dead) AS dead
                FROM health",
            params![],
        )?;
        let trouble = self.trouble()?;
        Ok(row.map_or_else(OutboxNow::default, |row| OutboxNow {
            totals: totals_of(row.totals.as_deref()),
            waiting_records: row.records,
            oldest_waiting_millis: row.oldest,
            dead_letters: row.dead,
            parked_since_millis: trouble.parked.map(|parked| parked.since_millis),
            failing_since_millis: trouble.failing_since_millis,
            consecutive_failures: trouble.consecutive_failures,
            last_success_millis: row.last_success,
            last_error_millis: row.last_error,
        }))
    }
}

/// Totals that can not be read begin anew; the log has what is younger than a year.
fn totals_of(stored: Option<&str>) -> Totals {
    stored
        .and_then(|text| read_json(text).ok())
        .unwrap_or_default()
}
