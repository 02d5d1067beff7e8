//! The tables of an outbox's push log: what is written for an attempt, how rows are rolled up and aged out, and which of
//! them answer a question. Statements only; whoever has a database runs them.
//!
//! An attempt writes one row, `push_minutes`, and nothing else: the sums of its minute, with the attempt itself added to
//! the text `detail`. That text is bounded by [`PART_ATTEMPTS`]; a minute with more attempts goes on in another part.
//! Once an hour, with an attempt or by an alarm, the [`chores`] bring the hours before up to date, drop what is too old,
//! and leave one row a minute without detail of what is older than a day.

use super::log::{
    ATTEMPTS_KEPT_MILLIS, HOUR_MILLIS, HOURS_KEPT_MILLIS, LogQuery, MINUTE_MILLIS,
    MINUTES_KEPT_MILLIS, Resolution, Span,
};

/// Attempts in one row's detail: some 2 KB, so that what an attempt writes does not grow with the attempts before it.
pub const PART_ATTEMPTS: u64 = 50;

/// Makes the tables. A migration of an outbox: never edited.
pub const TABLES: &str = "
    CREATE TABLE push_minutes (minute INTEGER NOT NULL, destination TEXT NOT NULL, status INTEGER NOT NULL,
        final INTEGER NOT NULL, part INTEGER NOT NULL, attempts INTEGER NOT NULL, records INTEGER NOT NULL,
        bytes INTEGER NOT NULL, bytes_compressed INTEGER NOT NULL, duration INTEGER NOT NULL, detail TEXT,
        PRIMARY KEY (minute, destination, status, final, part)) WITHOUT ROWID;
    CREATE TABLE push_hours (hour INTEGER NOT NULL, destination TEXT NOT NULL, status INTEGER NOT NULL,
        final INTEGER NOT NULL, attempts INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL,
        bytes_compressed INTEGER NOT NULL, duration INTEGER NOT NULL,
        PRIMARY KEY (hour, destination, status, final)) WITHOUT ROWID;
    -- JSON of `health::log::Totals`; the hour of the last chores: hours before it are in `push_hours`.
    ALTER TABLE health ADD COLUMN totals TEXT;
    ALTER TABLE health ADD COLUMN log_hour INTEGER;";

/// Writes an attempt down. Parameters: minute, destination, status, final, [`PART_ATTEMPTS`], records, bytes, bytes
/// sent, duration, [`detail`].
pub const RECORD: &str = "INSERT INTO push_minutes (minute, destination, status, final, part, attempts, records, bytes,
        bytes_compressed, duration, detail) VALUES (?1, ?2, ?3, ?4, coalesce((SELECT part + (attempts >= ?5)
        FROM push_minutes WHERE minute = ?1 AND destination = ?2 AND status = ?3 AND final = ?4
        ORDER BY part DESC LIMIT 1), 0), 1, ?6, ?7, ?8, ?9, ?10)
    ON CONFLICT (minute, destination, status, final, part) DO UPDATE SET attempts = attempts + 1,
        records = records + excluded.records, bytes = bytes + excluded.bytes,
        bytes_compressed = bytes_compressed + excluded.bytes_compressed, duration = duration + excluded.duration,
        detail = detail || ',' || excluded.detail";

/// What a row's detail says of one attempt: milliseconds after the minute began, records, bytes, bytes sent, duration.
#[must_use]
pub fn detail(
    at_millis: u64,
    records: u64,
    bytes: u64,
    bytes_compressed: u64,
    duration_millis: u64,
) -> String {
    let offset = at_millis % MINUTE_MILLIS;
    format!("[{offset},{records},{bytes},{bytes_compressed},{duration_millis}]")
}

/// A statement and what is bound to it, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text.
    pub sql: &'static str,
    /// `?1`, `?2`, ….
    pub params: Vec<u64>,
}

const ROLL_UP: &str = "INSERT OR REPLACE INTO push_hours (hour, destination, status, final, attempts, records, bytes,
        bytes_compressed, duration) SELECT minute / 60, destination, status, final, sum(attempts), sum(records), sum(bytes),
        sum(bytes_compressed), sum(duration) FROM push_minutes WHERE minute >= ?1 AND minute < ?2 GROUP BY 1, 2, 3, 4";
const ONE_PART: &str = "UPDATE push_minutes AS one SET (attempts, records, bytes, bytes_compressed, duration, detail) =
        (SELECT sum(attempts), sum(records), sum(bytes), sum(bytes_compressed), sum(duration), NULL FROM push_minutes AS part
        WHERE part.minute = one.minute AND part.destination = one.destination AND part.status = one.status
        AND part.final = one.final) WHERE minute >= ?1 AND minute < ?2 AND part = 0";
const NO_PARTS: &str = "DELETE FROM push_minutes WHERE minute >= ?1 AND minute < ?2 AND part > 0";
const OLD_MINUTES: &str = "DELETE FROM push_minutes WHERE minute < ?1";
const OLD_HOURS: &str = "DELETE FROM push_hours WHERE hour < ?1";
/// `?3` is how many minutes become one row. Numbers are bound as floating-point ones (they come from JavaScript), so what
/// divides has to be cast.
const COARSER: &str = "INSERT INTO minutes (minute, stored_batches, stored_records, stored_bytes, delivered_records,
        delivered_bytes, discarded_records, discarded_bytes)
    SELECT minute - minute % CAST(?3 AS INTEGER), sum(stored_batches),
        sum(stored_records), sum(stored_bytes), sum(delivered_records), sum(delivered_bytes), sum(discarded_records),
        sum(discarded_bytes) FROM minutes WHERE minute >= ?1 AND minute < ?2 GROUP BY 1
    ON CONFLICT (minute) DO UPDATE SET stored_batches = excluded.stored_batches,
        stored_records = excluded.stored_records, stored_bytes = excluded.stored_bytes,
        delivered_records = excluded.delivered_records, delivered_bytes = excluded.delivered_bytes,
        discarded_records = excluded.discarded_records, discarded_bytes = excluded.discarded_bytes";
const NO_FINER: &str =
    "DELETE FROM minutes WHERE minute >= ?1 AND minute < ?2 AND minute % CAST(?3 AS INTEGER) <> 0";
const DONE: &str = "UPDATE health SET log_hour = ?1";

const HOUR: u64 = HOUR_MILLIS / MINUTE_MILLIS;
const DAY: u64 = 24 * HOUR;
const ATTEMPTS_KEPT_HOURS: u64 = ATTEMPTS_KEPT_MILLIS / HOUR_MILLIS;
const MINUTES_KEPT_HOURS: u64 = MINUTES_KEPT_MILLIS / HOUR_MILLIS;
const HOURS_KEPT_HOURS: u64 = HOURS_KEPT_MILLIS / HOUR_MILLIS;

/// What is to be done in `hour` (since 1970) after it was done in the hour `before`; in one transaction. Nothing when it
/// is the same hour. The counters by minute of receipt, which `/stats` adds up, are not dropped: those of more than 31
/// days ago become one row an hour, those of more than a year ago one a day.
#[must_use]
pub fn chores(before: Option<u64>, hour: u64) -> Vec<Statement> {
    let done = statement(DONE, [hour]);
    let Some(before) = before else {
        return vec![done];
    };
    if before >= hour {
        return Vec::new();
    }
    let until = |kept_hours: u64| {
        let minute = |at: u64| at.saturating_sub(kept_hours) * HOUR;
        (minute(before), minute(hour))
    };
    let mut chores = vec![statement(ROLL_UP, [before * HOUR, hour * HOUR])];
    let (from, to) = until(ATTEMPTS_KEPT_HOURS);
    chores.push(statement(ONE_PART, [from, to]));
    chores.push(statement(NO_PARTS, [from, to]));
    let (from, to) = until(MINUTES_KEPT_HOURS);
    chores.push(statement(OLD_MINUTES, [to]));
    chores.push(statement(COARSER, [from, to, HOUR]));
    chores.push(statement(NO_FINER, [from, to, HOUR]));
    let (from, to) = until(HOURS_KEPT_HOURS);
    chores.push(statement(OLD_HOURS, [to / HOUR]));
    // A day that has not passed whole would be added up twice.
    let (from, to) = (from / DAY * DAY, to / DAY * DAY);
    if from < to {
        chores.push(statement(COARSER, [from, to, DAY]));
        chores.push(statement(NO_FINER, [from, to, DAY]));
    }
    chores.push(done);
    chores
}

/// The hour in which an outbox that pushes nothing any more has chores: when all detail is too old, when all minutes
/// are, and when all hours are. Three times in a year, and then never again. `before` is the hour of the last chores;
/// `last_minute` and `last_hour` are the youngest rows.
#[must_use]
pub fn next_chores(before: u64, last_minute: Option<u64>, last_hour: Option<u64>) -> Option<u64> {
    let last = last_minute.map(|minute| minute / HOUR);
    match (last, last_hour) {
        (Some(last), _) if before <= last + ATTEMPTS_KEPT_HOURS => {
            Some(last + ATTEMPTS_KEPT_HOURS + 1)
        }
        (Some(last), _) => Some(last + MINUTES_KEPT_HOURS + 1),
        (None, Some(last)) => Some(last + HOURS_KEPT_HOURS + 1),
        (None, None) => None,
    }
}

// Each row of a result is one text: a `health::log::PushRow` as an array. `?3` is the job.
const HOURS: &str = "SELECT json_array(hour * 3600000, CAST(?3 AS INTEGER), destination, status, final, attempts, records, bytes,
        bytes_compressed, duration) AS row FROM push_hours WHERE hour >= ?1 AND hour < ?2 ORDER BY hour";
const MINUTES_AS_HOURS: &str = "SELECT json_array(minute / 60 * 3600000, CAST(?3 AS INTEGER), destination, status, final, sum(attempts),
        sum(records), sum(bytes), sum(bytes_compressed), sum(duration)) AS row FROM push_minutes
    WHERE minute >= ?1 AND minute < ?2 GROUP BY minute / 60, destination, status, final ORDER BY minute / 60";
const MINUTES: &str = "SELECT json_array(minute * 60000, CAST(?3 AS INTEGER), destination, status, final, sum(attempts),
        sum(records), sum(bytes), sum(bytes_compressed), sum(duration)) AS row FROM push_minutes
    WHERE minute >= ?1 AND minute < ?2 GROUP BY minute, destination, status, final ORDER BY minute";
/// `?1` and `?2` are milliseconds here.
const ATTEMPTS: &str = "SELECT json_array(minute * 60000 + (value ->> 0), CAST(?3 AS INTEGER), destination, status, final, 1, value ->> 1,
        value ->> 2, value ->> 3, value ->> 4) AS row FROM push_minutes, json_each('[' || detail || ']')
    WHERE minute >= CAST(?1 AS INTEGER) / 60000 AND minute <= CAST(?2 AS INTEGER) / 60000
        AND minute * 60000 + (value ->> 0) >= ?1 AND minute * 60000 + (value ->> 0) < ?2 ORDER BY minute * 60000 + (value ->> 0)";

/// What was pushed of late, one text a row: minutes before the current one (`?1`) of the smallest window that has it, then
/// what [`Recent`](crate::outbox::Recent) counts. `?2`, `?3` and `?4` are the windows' minutes.
pub const RECENT: &str = "SELECT json_array(CASE WHEN minute >= ?1 - ?2 THEN 0 WHEN minute >= ?1 - ?3 THEN 1 ELSE 2 END,
        coalesce(sum(attempts) FILTER (WHERE status = 200), 0), coalesce(sum(records) FILTER (WHERE status = 200), 0),
        coalesce(sum(bytes) FILTER (WHERE status = 200), 0),
        coalesce(sum(bytes_compressed) FILTER (WHERE status = 200), 0),
        coalesce(sum(attempts) FILTER (WHERE status <> 200), 0),
        coalesce(sum(records) FILTER (WHERE status <> 200 AND final = 1), 0),
        coalesce(sum(duration) FILTER (WHERE status = 200), 0)) AS row FROM push_minutes WHERE minute >= ?1 - ?4
    GROUP BY minute >= ?1 - ?2, minute >= ?1 - ?3";

/// The same of what came in, of a ledger.
pub const RECENTLY_CAME: &str = "SELECT json_array(CASE WHEN minute >= ?1 - ?2 THEN 0 WHEN minute >= ?1 - ?3 THEN 1 ELSE 2 END,
        sum(batches), sum(records), sum(bytes_raw), sum(bytes_compressed), sum(invalid_lines)) AS row
    FROM minutes WHERE minute >= ?1 - ?4 GROUP BY minute >= ?1 - ?2, minute >= ?1 - ?3";

/// The statements that answer a question to the outbox of `job`, in order of time. `done_hour` is the hour of the last
/// chores; `None` for an outbox that never pushed.
#[must_use]
pub fn questions(
    query: &LogQuery,
    job: u64,
    done_hour: Option<u64>,
    now_millis: u64,
) -> Vec<Statement> {
    let Some(done_hour) = done_hour else {
        return Vec::new();
    };
    let age = |at: u64| now_millis.saturating_sub(at);
    let mut asked = Vec::new();
    let attempts = |from: u64, until: u64, asked: &mut Vec<Statement>| {
        if from < until {
            asked.push(statement(ATTEMPTS, [from, until, job]));
        }
    };
    let minutes = |from: u64, until: u64, asked: &mut Vec<Statement>| {
        if from >= until {
            return;
        }
        let (first, mut last) = (from.div_ceil(MINUTE_MILLIS), until / MINUTE_MILLIS);
        if age(from) <= ATTEMPTS_KEPT_MILLIS {
            let end = until.min(first * MINUTE_MILLIS);
            attempts(from, end, asked);
        }
        let ends_with_attempts = age(until) <= ATTEMPTS_KEPT_MILLIS;
        if !ends_with_attempts {
            last = until.div_ceil(MINUTE_MILLIS);
        }
        if first < last {
            asked.push(statement(MINUTES, [first, last, job]));
        }
        if ends_with_attempts {
            attempts(
                from.max(last * MINUTE_MILLIS).max(first * MINUTE_MILLIS),
                until,
                asked,
            );
        }
    };
    let Span {
        from_millis: from,
        until_millis: until,
    } = query.span;
    match query.resolution.within(query.span, now_millis) {
        Resolution::Attempt => attempts(from, until, &mut asked),
        Resolution::Minute => minutes(from, until, &mut asked),
        Resolution::Hour => {
            let (first, mut last) = (from.div_ceil(HOUR_MILLIS), until / HOUR_MILLIS);
            if age(from) <= MINUTES_KEPT_MILLIS {
                minutes(from, until.min(first * HOUR_MILLIS), &mut asked);
            }
            let ends_with_minutes = age(until) <= MINUTES_KEPT_MILLIS;
            if !ends_with_minutes {
                last = until.div_ceil(HOUR_MILLIS);
            }
            let rolled = last.min(done_hour);
            if first < rolled {
                asked.push(statement(HOURS, [first, rolled, job]));
            }
            let open = first.max(done_hour);
            if open < last {
                asked.push(statement(MINUTES_AS_HOURS, [open * HOUR, last * HOUR, job]));
            }
            if ends_with_minutes {
                minutes(
                    from.max(last * HOUR_MILLIS).max(first * HOUR_MILLIS),
                    until,
                    &mut asked,
                );
            }
        }
    }
    asked
}

/// Makes the rows of a ledger's table coarser: what is before minute `?1` gets one row for each `?2` minutes. May be done
/// again: rows that are as coarse stay as they are.
#[derive(Debug, Clone, Copy)]
pub struct Coarser {
    /// Writes the sums into the first row of each.
    pub add: &'static str,
    /// Drops the others.
    pub drop: &'static str,
}

/// A ledger's tables by minute.
pub const LEDGER_COARSER: [Coarser; 4] = [
    Coarser {
        add: "INSERT INTO minutes (minute, batches, records, bytes_raw, bytes_compressed, archived_batches,
                archived_bytes, invalid_lines, tests, duplicates, size_0, size_1, size_2, size_3, size_4, size_5, size_6,
                size_7, size_8, size_9)
            SELECT minute - minute % CAST(?2 AS INTEGER), sum(batches), sum(records), sum(bytes_raw),
                sum(bytes_compressed), sum(archived_batches), sum(archived_bytes), sum(invalid_lines), sum(tests),
                sum(duplicates), sum(size_0), sum(size_1), sum(size_2), sum(size_3), sum(size_4), sum(size_5), sum(size_6),
                sum(size_7), sum(size_8), sum(size_9) FROM minutes WHERE minute < ?1 GROUP BY 1
            ON CONFLICT (minute) DO UPDATE SET batches = excluded.batches, records = excluded.records,
                bytes_raw = excluded.bytes_raw, bytes_compressed = excluded.bytes_compressed,
                archived_batches = excluded.archived_batches, archived_bytes = excluded.archived_bytes,
                invalid_lines = excluded.invalid_lines, tests = excluded.tests, duplicates = excluded.duplicates,
                size_0 = excluded.size_0, size_1 = excluded.size_1, size_2 = excluded.size_2, size_3 = excluded.size_3,
                size_4 = excluded.size_4, size_5 = excluded.size_5, size_6 = excluded.size_6, size_7 = excluded.size_7,
                size_8 = excluded.size_8, size_9 = excluded.size_9",
        drop: "DELETE FROM minutes WHERE minute < ?1 AND minute % CAST(?2 AS INTEGER) <> 0",
    },
    Coarser {
        add: "INSERT INTO invalid (minute, reason, count)
            SELECT minute - minute % CAST(?2 AS INTEGER), reason, sum(count) FROM invalid WHERE minute < ?1
                GROUP BY 1, 2 ON CONFLICT (minute, reason) DO UPDATE SET count = excluded.count",
        drop: "DELETE FROM invalid WHERE minute < ?1 AND minute % CAST(?2 AS INTEGER) <> 0",
    },
    Coarser {
        add: "INSERT INTO job_minutes (minute, job, batches, records, bytes, owed_batches, gone_batches)
            SELECT minute - minute % CAST(?2 AS INTEGER), job, sum(batches), sum(records), sum(bytes),
                sum(owed_batches), sum(gone_batches) FROM job_minutes WHERE minute < ?1 GROUP BY 1, 2
            ON CONFLICT (minute, job) DO UPDATE SET batches = excluded.batches, records = excluded.records,
                bytes = excluded.bytes, owed_batches = excluded.owed_batches, gone_batches = excluded.gone_batches",
        drop: "DELETE FROM job_minutes WHERE minute < ?1 AND minute % CAST(?2 AS INTEGER) <> 0",
    },
    Coarser {
        add: "INSERT INTO surprises (minute, job, reason, count)
            SELECT minute - minute % CAST(?2 AS INTEGER), job, reason, sum(count) FROM surprises WHERE minute < ?1
                GROUP BY 1, 2, 3 ON CONFLICT (minute, job, reason) DO UPDATE SET count = excluded.count",
        drop: "DELETE FROM surprises WHERE minute < ?1 AND minute % CAST(?2 AS INTEGER) <> 0",
    },
];

fn statement<const N: usize>(sql: &'static str, params: [u64; N]) -> Statement {
    Statement {
        sql,
        params: params.to_vec(),
    }
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
