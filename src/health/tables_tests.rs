//! The statements run in SQLite, with numbers bound as an object binds them, against a plain list of attempts.

use super::*;
use crate::health::log::PushRow;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use std::collections::BTreeMap;

const JOB: u64 = 7;

#[derive(Debug, Clone)]
struct Made {
    at: u64,
    destination: &'static str,
    status: u16,
    is_final: bool,
    records: u64,
    bytes: u64,
    sent: u64,
    duration: u64,
}

/// What is compared of a row: everything but the sums, and the sums.
type Key = (u64, String, u16, u8);
type Sums = (u64, u64, u64, u64, u64);

struct Outbox {
    db: Connection,
    hour: Option<u64>,
    made: Vec<Made>,
}

impl Outbox {
    fn new() -> Self {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE health (one INTEGER PRIMARY KEY CHECK (one = 1));
            INSERT INTO health (one) VALUES (1);
            CREATE TABLE minutes (minute INTEGER PRIMARY KEY, stored_batches INTEGER NOT NULL DEFAULT 0,
                stored_records INTEGER NOT NULL DEFAULT 0, stored_bytes INTEGER NOT NULL DEFAULT 0,
                delivered_records INTEGER NOT NULL DEFAULT 0, delivered_bytes INTEGER NOT NULL DEFAULT 0,
                discarded_records INTEGER NOT NULL DEFAULT 0, discarded_bytes INTEGER NOT NULL DEFAULT 0);",
        )
        .unwrap();
        db.execute_batch(TABLES).unwrap();
        Self {
            db,
            hour: None,
            made: Vec::new(),
        }
    }

    fn run(&self, sql: &str, numbers: &[u64]) {
        let bound = numbers.iter().map(|number| Value::Real(*number as f64));
        self.db.execute(sql, params_from_iter(bound)).unwrap();
    }

    fn chores(&mut self, hour: u64) {
        for Statement { sql, params } in chores(self.hour, hour) {
            self.run(sql, &params);
        }
        self.hour = Some(hour);
    }

    fn attempt(&mut self, made: Made) {
        let hour = made.at / HOUR_MILLIS;
        if self.hour != Some(hour) {
            self.chores(hour);
        }
        let number = |number: u64| Value::Real(number as f64);
        let before = self.db.total_changes();
        let bound = [
            number(made.at / MINUTE_MILLIS),
            Value::Text(made.destination.to_owned()),
            number(u64::from(made.status)),
            number(u64::from(made.is_final)),
            number(PART_ATTEMPTS),
            number(made.records),
            number(made.bytes),
            number(made.sent),
            number(made.duration),
            Value::Text(detail(
                made.at,
                made.records,
                made.bytes,
                made.sent,
                made.duration,
            )),
        ];
        self.db.execute(RECORD, params_from_iter(bound)).unwrap();
        assert_eq!(self.db.total_changes() - before, 1, "one row an attempt");
        self.made.push(made);
    }

    fn ask(&self, query: &LogQuery, now: u64) -> BTreeMap<Key, Sums> {
        let mut rows = Vec::<PushRow>::new();
        for Statement { sql, params } in questions(query, JOB, self.hour, now) {
            let mut statement = self.db.prepare(sql).unwrap();
            let bound = params.iter().map(|number| Value::Real(*number as f64));
            let texts = statement
                .query_map(params_from_iter(bound), |row| row.get::<_, String>(0))
                .unwrap();
            rows.extend(texts.map(|text| serde_json::from_str::<PushRow>(&text.unwrap()).unwrap()));
        }
        let in_order = rows
            .windows(2)
            .all(|two| two[0].at_millis <= two[1].at_millis);
        assert!(in_order, "{query:?}");
        let mut found = BTreeMap::new();
        for row in rows {
            assert_eq!(row.job_id, JOB);
            let key = (row.at_millis, row.destination, row.status, row.is_final);
            let sums: &mut Sums = found.entry(key).or_default();
            add(
                sums,
                row.attempts,
                row.records,
                row.bytes,
                row.bytes_compressed,
                row.duration_millis,
            );
        }
        found
    }

    /// The same from the list.
    fn expect(&self, query: &LogQuery, now: u64) -> BTreeMap<Key, Sums> {
        let Span {
            from_millis: from,
            until_millis: until,
        } = query.span;
        let resolution = query.resolution.within(query.span, now);
        let mut found = BTreeMap::new();
        for made in &self.made {
            let minute = made.at / MINUTE_MILLIS * MINUTE_MILLIS;
            let hour = made.at / HOUR_MILLIS * HOUR_MILLIS;
            let is_whole = |begin: u64, length: u64| from <= begin && begin + length <= until;
            let begins = |begin: u64| from <= begin && begin < until;
            let age = |at: u64| now - at;
            // Where the span cuts something, it is its nearer end that says what is kept of it.
            let end = |begin: u64| if begin < from { from } else { until };
            let as_attempt = begins(made.at).then_some(made.at);
            let as_minute = if is_whole(minute, MINUTE_MILLIS) {
                Some(minute)
            } else if age(end(minute)) <= ATTEMPTS_KEPT_MILLIS {
                as_attempt
            } else {
                begins(minute).then_some(minute)
            };
            let at = match resolution {
                Resolution::Attempt => as_attempt,
                Resolution::Minute => as_minute,
                Resolution::Hour if is_whole(hour, HOUR_MILLIS) => Some(hour),
                Resolution::Hour if age(end(hour)) <= MINUTES_KEPT_MILLIS => as_minute,
                Resolution::Hour => begins(hour).then_some(hour),
            };
            if let Some(at) = at {
                let key = (
                    at,
                    made.destination.to_owned(),
                    made.status,
                    u8::from(made.is_final),
                );
                let sums: &mut Sums = found.entry(key).or_default();
                add(sums, 1, made.records, made.bytes, made.sent, made.duration);
            }
        }
        found
    }

    fn count(&self, table: &str) -> u64 {
        let count = format!("SELECT count(*) FROM {table}");
        self.db.query_row(&count, [], |row| row.get(0)).unwrap()
    }
}

fn add(sums: &mut Sums, attempts: u64, records: u64, bytes: u64, sent: u64, duration: u64) {
    sums.0 += attempts;
    sums.1 += records;
    sums.2 += bytes;
    sums.3 += sent;
    sums.4 += duration;
}

fn some(rng: &mut StdRng, at: u64) -> Made {
    let (status, is_final) =
        [(200, true), (200, true), (503, false), (422, true)][rng.random_range(0..4)];
    Made {
        at,
        destination: ["https", "splunk"][usize::from(rng.random_range(0..10) == 0)],
        status,
        is_final,
        records: rng.random_range(1..1000),
        bytes: rng.random_range(1..1_000_000),
        sent: rng.random_range(0..100_000),
        duration: rng.random_range(0..30_000),
    }
}

const START: u64 = 20_000 * 24 * HOUR_MILLIS + 12_345_678;

/// Attempts in bursts over some time, with `ask` between them.
fn live(seed: u64, days: u64, mut ask: impl FnMut(&Outbox, &mut StdRng, u64)) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut outbox = Outbox::new();
    let mut now = START;
    while now < START + days * 24 * HOUR_MILLIS {
        for _ in 0..rng.random_range(1..130) {
            now += rng.random_range(0..1_500);
            let made = some(&mut rng, now);
            outbox.attempt(made);
        }
        ask(&outbox, &mut rng, now);
        now += match rng.random_range(0..20) {
            0 => rng.random_range(0..days * HOUR_MILLIS * 6),
            1..10 => rng.random_range(0..90 * MINUTE_MILLIS),
            _ => rng.random_range(0..3 * MINUTE_MILLIS),
        };
    }
}

#[test]
fn every_question_is_answered_as_from_the_list_of_attempts() {
    let mut asked = 0;
    for (seed, days) in [(1, 1), (2, 3), (3, 60), (4, 500)] {
        live(seed, days, |outbox, rng, now| {
            for _ in 0..8 {
                let back = [
                    HOUR_MILLIS,
                    26 * HOUR_MILLIS,
                    35 * 24 * HOUR_MILLIS,
                    days * 24 * HOUR_MILLIS,
                ][rng.random_range(0..4)];
                let from = now - rng.random_range(0..back.min(now - START + 1));
                let until = match rng.random_range(0..3) {
                    0 => from + rng.random_range(0..3 * MINUTE_MILLIS),
                    1 => from + rng.random_range(0..=now + 1 - from),
                    _ => now + 1,
                };
                let aligned = [1, MINUTE_MILLIS, HOUR_MILLIS][rng.random_range(0..3)];
                let query = LogQuery {
                    span: Span {
                        from_millis: from / aligned * aligned,
                        until_millis: until,
                    },
                    resolution: [Resolution::Attempt, Resolution::Minute, Resolution::Hour]
                        [rng.random_range(0..3)],
                };
                // What is older than a year is dropped.
                if now - query.span.from_millis > HOURS_KEPT_MILLIS {
                    continue;
                }
                let now = now + rng.random_range(0..2 * HOUR_MILLIS);
                assert_eq!(
                    outbox.ask(&query, now),
                    outbox.expect(&query, now),
                    "seed {seed}, {query:?} at {now}"
                );
                asked += 1;
            }
        });
    }
    assert!(asked > 1_000, "{asked}");
}

#[test]
fn a_day_later_there_is_one_row_for_each_minute_and_result_and_a_month_later_none() {
    let mut outbox = Outbox::new();
    let made = some(&mut StdRng::seed_from_u64(5), START);
    for number in 0..1_000 {
        let at = START + number * 100;
        outbox.attempt(Made { at, ..made.clone() });
    }
    // 100 seconds, in up to three minutes.
    let minutes = (START + 99_900) / MINUTE_MILLIS - START / MINUTE_MILLIS + 1;
    assert!(outbox.count("push_minutes") >= 1_000 / PART_ATTEMPTS);
    let longest: u64 = outbox
        .db
        .query_row("SELECT max(length(detail)) FROM push_minutes", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert!(longest < 40 * PART_ATTEMPTS, "{longest}");
    let mut runs = Vec::new();
    loop {
        let last = |table: &str, column: &str| -> Option<u64> {
            let max = format!("SELECT max({column}) FROM {table}");
            outbox.db.query_row(&max, [], |row| row.get(0)).unwrap()
        };
        let before = outbox.hour.unwrap();
        let (minute, hour) = (last("push_minutes", "minute"), last("push_hours", "hour"));
        let Some(due) = next_chores(before, minute, hour) else {
            break;
        };
        assert!(due > before);
        outbox.chores(due);
        let detailed = outbox.count("push_minutes WHERE detail IS NOT NULL");
        runs.push((
            (due - START / HOUR_MILLIS) / 24,
            detailed,
            outbox.count("push_minutes"),
            outbox.count("push_hours"),
        ));
    }
    assert_eq!(runs, [(1, 0, minutes, 1), (31, 0, 0, 1), (366, 0, 0, 0)]);
}

#[test]
fn counters_by_minute_of_receipt_become_coarser_and_lose_nothing() {
    let mut outbox = Outbox::new();
    let first = START / MINUTE_MILLIS;
    let sum = |outbox: &Outbox| -> (u64, u64, u64) {
        let sums =
            "SELECT sum(stored_batches), sum(stored_records), sum(delivered_bytes) FROM minutes";
        outbox
            .db
            .query_row(sums, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
    };
    let mut stored = (0, 0, 0);
    for hour in 0..420 * 24 {
        for minute in [3, 4, 59] {
            let minute = first + hour * 60 + minute;
            outbox.run(
                "INSERT INTO minutes (minute, stored_batches, stored_records, delivered_bytes) VALUES (?1, 1, ?2, ?3)",
                &[minute, hour, minute],
            );
            stored = (stored.0 + 1, stored.1 + hour, stored.2 + minute);
        }
        // Not every hour, as in an outbox that has nothing to do.
        if hour % 5 == 0 || hour % 1000 > 900 {
            outbox.chores(first / 60 + hour);
            assert_eq!(sum(&outbox), stored);
        }
    }
    let end = first / 60 + 420 * 24;
    outbox.chores(end);
    assert_eq!(sum(&outbox), stored);
    // 31 days of minutes, then hours up to a year, then days.
    let days = end / 24 - 366 - first / 1440;
    let count = outbox.count("minutes");
    let expected = 31 * 24 * 3 + (366 - 31) * 24 + days;
    assert!(count.abs_diff(expected) < 60, "{count} {expected}");
    // A counter that moves late finds the row that its minute has become a part of.
    let late = first + 7;
    let changed = outbox
        .db
        .execute(
            "UPDATE minutes SET stored_batches = stored_batches + 1
                WHERE minute = (SELECT max(minute) FROM minutes WHERE minute <= ?1)",
            [late as f64],
        )
        .unwrap();
    assert_eq!((changed, sum(&outbox).0), (1, stored.0 + 1));
}

#[test]
fn a_ledgers_rows_become_coarser_and_lose_nothing_also_when_it_is_done_again() {
    let db = Connection::open_in_memory().unwrap();
    let sizes: String = (0..10)
        .map(|size| format!(", size_{size} INTEGER NOT NULL DEFAULT 0"))
        .collect();
    db.execute_batch(&format!(
        "CREATE TABLE minutes (minute INTEGER PRIMARY KEY, batches INTEGER NOT NULL DEFAULT 0,
            records INTEGER NOT NULL DEFAULT 0, bytes_raw INTEGER NOT NULL DEFAULT 0,
            bytes_compressed INTEGER NOT NULL DEFAULT 0, archived_batches INTEGER NOT NULL DEFAULT 0,
            archived_bytes INTEGER NOT NULL DEFAULT 0, invalid_lines INTEGER NOT NULL DEFAULT 0,
            tests INTEGER NOT NULL DEFAULT 0, duplicates INTEGER NOT NULL DEFAULT 0{sizes});
        CREATE TABLE invalid (minute INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
            PRIMARY KEY (minute, reason)) WITHOUT ROWID;
        CREATE TABLE job_minutes (minute INTEGER NOT NULL, job INTEGER NOT NULL, batches INTEGER NOT NULL DEFAULT 0,
            records INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, owed_batches INTEGER NOT NULL DEFAULT 0,
            gone_batches INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (minute, job)) WITHOUT ROWID;
        CREATE TABLE surprises (minute INTEGER NOT NULL, job INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
            PRIMARY KEY (minute, job, reason)) WITHOUT ROWID;"
    ))
    .unwrap();
    let run = |sql: &str, numbers: &[u64]| {
        let bound = numbers.iter().map(|number| Value::Real(*number as f64));
        db.execute(sql, params_from_iter(bound)).unwrap();
    };
    let first = 20_000 * 1440 + 17;
    for minute in first..first + 1440 {
        run(
            "INSERT INTO minutes VALUES (?1, 1, ?2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)",
            &[minute, minute % 7],
        );
        run(
            "INSERT INTO invalid VALUES (?1, 'not_json', 2), (?1, 'bomb', 1)",
            &[minute],
        );
        run(
            "INSERT INTO job_minutes VALUES (?1, 1, 2, 3, 4, 5, 6), (?1, 2, 1, 1, 1, 1, 0)",
            &[minute],
        );
        run(
            "INSERT INTO surprises VALUES (?1, 1, 'unreadable_time', 2), (?1, 2, 'unexpected_value', 1)",
            &[minute],
        );
    }
    let sum = |table: &str, columns: &str| -> String {
        let sums: String = columns
            .split(' ')
            .map(|column| format!("sum({column}) || ' ' || "))
            .collect();
        db.query_row(&format!("SELECT {sums} '' FROM {table}"), [], |row| {
            row.get(0)
        })
        .unwrap()
    };
    let all = || {
        let minutes: String = (0..10).map(|size| format!(" size_{size}")).collect();
        let minutes = format!(
            "batches records bytes_raw bytes_compressed archived_batches archived_bytes invalid_lines tests duplicates{minutes}"
        );
        [
            sum("minutes", &minutes),
            sum("invalid", "count"),
            sum(
                "job_minutes",
                "batches records bytes owed_batches gone_batches",
            ),
            sum("surprises", "count"),
        ]
    };
    let rows = |table: &str| -> u64 {
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
        .unwrap()
    };
    let before = all();
    for (minutes, expected) in [
        (60, [25, 50, 50, 50]),
        (60, [25, 50, 50, 50]),
        (1440, [2, 4, 4, 4]),
    ] {
        for Coarser { add, drop } in LEDGER_COARSER {
            run(add, &[first + 2000 - (first + 2000) % minutes, minutes]);
            run(drop, &[first + 2000 - (first + 2000) % minutes, minutes]);
        }
        let counts = ["minutes", "invalid", "job_minutes", "surprises"].map(rows);
        assert_eq!(counts, expected);
        assert_eq!(all(), before);
    }
}
