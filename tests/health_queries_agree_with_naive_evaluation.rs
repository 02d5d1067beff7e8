//! Health queries over rolled-up logs, against a naive evaluation over every single attempt: filters, groups, order and
//! limit, and how much of a log is read. The seed is printed, and `HEALTH_QUERIES_SEED` repeats a run.

use logpush_edge::health::log::{HOUR_MILLIS, LogQuery, MINUTE_MILLIS, PushRow, Resolution};
use logpush_edge::health::query::{
    Asked, Cell, Condition, HEALTH, OrderBy, PAGE_MAX, Reach, groups,
};
use logpush_edge::time;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const QUERIES: usize = 1_500;
const ATTEMPTS: usize = 1_200;
/// 2026-07-15T10:10:25.678Z
const NOW_MILLIS: u64 = 1_784_110_225_678;

const DESTINATIONS: [&str; 4] = ["https", "splunk", "s3", "datadog"];
const STATUSES: [u16; 7] = [200, 403, 429, 500, 503, 1105, 1106];

fn seed() -> u64 {
    let seed = std::env::var("HEALTH_QUERIES_SEED").ok();
    seed.and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| rand::rng().random())
}

fn log(random: &mut StdRng, since_millis: u64) -> Vec<PushRow> {
    let mut attempts: Vec<PushRow> = (0..ATTEMPTS)
        .map(|_| {
            // Crowded around a few minutes, so that groups have several rows and bounds are hit.
            let at = random.random_range(since_millis..NOW_MILLIS);
            let at_millis = match random.random_range(0..4) {
                0 => at - at % HOUR_MILLIS + random.random_range(0..3_000),
                1 => at - at % (15 * MINUTE_MILLIS) + random.random_range(0..120_000),
                _ => at,
            };
            PushRow {
                at_millis: at_millis.clamp(since_millis, NOW_MILLIS - 1),
                job_id: random.random_range(1..6),
                destination: (*DESTINATIONS.choose(random).unwrap()).to_owned(),
                status: *STATUSES.choose(random).unwrap(),
                is_final: random.random_range(0..2),
                attempts: 1,
                records: random.random_range(0..1_000),
                bytes: random.random_range(0..1_000_000),
                bytes_compressed: random.random_range(0..100_000),
                duration_millis: random.random_range(1..30_000),
            }
        })
        .collect();
    attempts.sort_by_key(|row| row.at_millis);
    attempts
}

/// What the objects answer: rows as fine as asked for, finer where the span cuts one.
fn kept(attempts: &[PushRow], query: LogQuery) -> Vec<PushRow> {
    let span = query.span;
    let inside =
        |from: u64, step: u64| span.from_millis <= from && from + step <= span.until_millis;
    let mut sums: BTreeMap<(u64, u64, String, u16, u8), PushRow> = BTreeMap::new();
    let mut rows = Vec::new();
    for attempt in attempts {
        if !(span.from_millis..span.until_millis).contains(&attempt.at_millis) {
            continue;
        }
        let hour = attempt.at_millis - attempt.at_millis % HOUR_MILLIS;
        let minute = attempt.at_millis - attempt.at_millis % MINUTE_MILLIS;
        let at = if query.resolution == Resolution::Hour && inside(hour, HOUR_MILLIS) {
            hour
        } else if query.resolution >= Resolution::Minute && inside(minute, MINUTE_MILLIS) {
            minute
        } else {
            rows.push(attempt.clone());
            continue;
        };
        let key = (
            at,
            attempt.job_id,
            attempt.destination.clone(),
            attempt.status,
            attempt.is_final,
        );
        let sum = sums.entry(key).or_insert_with(|| PushRow {
            at_millis: at,
            attempts: 0,
            records: 0,
            bytes: 0,
            bytes_compressed: 0,
            duration_millis: 0,
            ..attempt.clone()
        });
        sum.attempts += 1;
        sum.records += attempt.records;
        sum.bytes += attempt.bytes;
        sum.bytes_compressed += attempt.bytes_compressed;
        sum.duration_millis += attempt.duration_millis;
    }
    rows.extend(sums.into_values());
    rows
}

/// Times of a random query: whole hours only, or anything.
#[derive(Clone, Copy)]
struct Times {
    since_millis: u64,
    only_hours: bool,
}

const TIMES: [(&str, u64); 6] = [
    ("date", 86_400),
    ("datetimeHour", 3_600),
    ("datetime", 1),
    ("datetimeMinute", 60),
    ("datetimeFiveMinutes", 300),
    ("datetimeFifteenMinutes", 900),
];

impl Times {
    fn dimension(self, random: &mut StdRng) -> (&'static str, u64) {
        let some = if self.only_hours { 2 } else { TIMES.len() };
        *TIMES[..some].choose(random).unwrap()
    }

    fn secs(self, random: &mut StdRng) -> u64 {
        let at = random.random_range(self.since_millis..NOW_MILLIS) / 1_000;
        let step = match random.random_range(0..4) {
            _ if self.only_hours => 3_600,
            0 => 3_600,
            1 => 60,
            2 => 900,
            _ => 1,
        };
        at - at % step
    }
}

fn literal(name: &str, secs: u64) -> Value {
    let text = time::rfc3339_millis(secs * 1_000);
    match name {
        "date" => json!(text.split('T').next()),
        _ => json!(text),
    }
}

fn comparison(random: &mut StdRng, times: Times) -> (String, Value) {
    let mut operators = vec!["", "_neq", "_gt", "_lt", "_geq", "_leq", "_in", "_notin"];
    let field = random.random_range(0..6);
    if field == 0 {
        operators.extend(["_like", "_notlike"]);
    }
    let operator = *operators.choose(random).unwrap();
    let time = times.dimension(random);
    let mut one = |operator: &str| match field {
        0 if operator.ends_with("like") => json!(
            *["s%", "%s%", "%t%p%", "splunk", "%", "d%g", "%3"]
                .choose(random)
                .unwrap()
        ),
        0 => json!(*DESTINATIONS.choose(random).unwrap()),
        1 => json!(random.random_range(0..2)),
        2 => json!(random.random_range(0..7)),
        3 => json!(*STATUSES.choose(random).unwrap()),
        _ => literal(time.0, times.secs(random)),
    };
    let value = match operator {
        "_in" | "_notin" => json!([one(operator), one(operator), one(operator)]),
        _ => one(operator),
    };
    let name = ["destinationType", "final", "jobId", "status"]
        .get(field)
        .copied()
        .unwrap_or(time.0);
    (format!("{name}{operator}"), value)
}

fn filter(random: &mut StdRng, times: Times, depth: usize) -> Map<String, Value> {
    let mut members = Map::new();
    for _ in 0..random.random_range(0..3) {
        let (key, value) = comparison(random, times);
        members.insert(key, value);
    }
    for key in ["AND", "OR"] {
        if depth > 0 && random.random_range(0..3) == 0 {
            let some = random.random_range(1..4);
            let parts = (0..some).map(|_| Value::Object(filter(random, times, depth - 1)));
            members.insert(key.to_owned(), parts.collect());
        }
    }
    members
}

// The naive side: a filter is evaluated as JSON over one attempt, and never sees a span or a row.

fn naive_value(row: &PushRow, name: &str) -> Value {
    match name {
        "destinationType" => json!(row.destination),
        "final" => json!(row.is_final),
        "jobId" => json!(row.job_id),
        "status" => json!(row.status),
        time => {
            let (_, step) = TIMES.iter().find(|(name, _)| *name == time).unwrap();
            let secs = row.at_millis / 1_000;
            literal(time, secs / step * step)
        }
    }
}

fn naive_like(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'%', rest @ ..] => (0..=text.len()).any(|at| naive_like(rest, &text[at..])),
        [byte, rest @ ..] => text.first() == Some(byte) && naive_like(rest, &text[1..]),
    }
}

/// Texts of times are ordered as the times are: all have the same form.
fn naive_order(one: &Value, other: &Value) -> std::cmp::Ordering {
    match (one.as_u64(), other.as_u64()) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one.as_str().unwrap().cmp(other.as_str().unwrap()),
    }
}

fn naive_holds(row: &PushRow, filter: &Map<String, Value>) -> bool {
    filter.iter().all(|(key, wanted)| {
        let mut parts = wanted.as_array().into_iter().flatten();
        match key.as_str() {
            "AND" => return parts.all(|part| naive_holds(row, part.as_object().unwrap())),
            "OR" => return parts.any(|part| naive_holds(row, part.as_object().unwrap())),
            _ => {}
        }
        let (name, operator) = key.split_once('_').unwrap_or((key, ""));
        let value = naive_value(row, name);
        let order = || naive_order(&value, wanted);
        let like = || {
            let text = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
            naive_like(&text(wanted), &text(&value))
        };
        match operator {
            "" => value == *wanted,
            "neq" => value != *wanted,
            "gt" => order().is_gt(),
            "lt" => order().is_lt(),
            "geq" => order().is_ge(),
            "leq" => order().is_le(),
            "in" => parts.any(|one| *one == value),
            "notin" => parts.all(|one| *one != value),
            "like" => like(),
            "notlike" => !like(),
            other => panic!("{other}"),
        }
    })
}

type Figures = (Vec<Value>, [u64; 5], u64);

fn naive(attempts: &[PushRow], filter: &Map<String, Value>, dimensions: &[&str]) -> Vec<Figures> {
    let mut found: Vec<Figures> = Vec::new();
    for row in attempts.iter().filter(|row| naive_holds(row, filter)) {
        let key: Vec<Value> = dimensions
            .iter()
            .map(|name| naive_value(row, name))
            .collect();
        let at = found.iter().position(|(other, _, _)| *other == key);
        let at = at.unwrap_or_else(|| {
            found.push((key, [0; 5], 0));
            found.len() - 1
        });
        let (_, sums, duration) = &mut found[at];
        let more = [
            row.attempts,
            row.bytes,
            row.bytes_compressed,
            row.records,
            1,
        ];
        for (sum, more) in sums.iter_mut().zip(more) {
            *sum += more;
        }
        *duration += row.duration_millis;
    }
    found
}

/// One random query, both ways; how many groups it has.
fn compare(random: &mut StdRng, attempts: &[PushRow], times: Times, must_begin: bool) -> usize {
    let mut filter = filter(random, times, 2);
    if must_begin {
        // Attempts are kept for a day, and only for a span within it is a second told from the next.
        let key = ["datetime_geq", "datetimeMinute_geq"]
            .choose(random)
            .unwrap();
        let since = literal("datetime", times.since_millis.div_ceil(60_000) * 60);
        filter.insert((*key).to_owned(), since);
    }
    let names: Vec<&str> = HEALTH
        .dimensions
        .iter()
        .map(|one| one.name)
        .filter(|name| {
            !times.only_hours || !name.starts_with("datetime") || *name == "datetimeHour"
        })
        .collect();
    let some = random.random_range(0..4);
    let dimensions: Vec<&str> = names.sample(random, some).copied().collect();
    let orderings = HEALTH.orderings();
    let orderings: Vec<&String> = orderings
        .iter()
        .filter(|name| {
            let (name, _) = name.rsplit_once('_').unwrap();
            HEALTH.dimension(name).is_none() || dimensions.contains(&name)
        })
        .collect();
    let some = random.random_range(0..3);
    let order: Vec<&String> = orderings.sample(random, some).copied().collect();
    let limit = match random.random_range(0..3) {
        0 => random.random_range(1..20),
        _ => PAGE_MAX as usize,
    };
    let what = format!(
        "filter {} by {dimensions:?} order {order:?} limit {limit}",
        Value::Object(filter.clone())
    );

    let asked = Asked {
        condition: Condition::parse(&HEALTH, &Value::Object(filter.clone())).expect(&what),
        dimensions: dimensions
            .iter()
            .map(|name| HEALTH.dimension(name).unwrap())
            .collect(),
        order: order
            .iter()
            .map(|name| OrderBy::parse(&HEALTH, name).unwrap())
            .collect(),
        limit,
    };
    let query = Reach::of(&HEALTH, &asked).query(NOW_MILLIS);
    let rows = query.expect(&what).map(|query| kept(attempts, query));
    let found = groups(&HEALTH, rows.unwrap_or_default().iter(), &asked);
    let found: Vec<Figures> = found
        .iter()
        .map(|group| {
            let cells = group.cells.iter().zip(&dimensions);
            let key = cells.map(|(cell, name)| match cell {
                Cell::Number(number) => json!(number),
                Cell::Text(text) => json!(text),
                Cell::Time(secs) => literal(name, *secs),
            });
            let sums = [0, 1, 2, 3].map(|sum| group.sum(sum));
            let mean = group.mean(&HEALTH, 1).unwrap();
            assert_eq!(group.mean(&HEALTH, 0), Some(1.0), "{what}");
            let duration = (mean * group.count as f64).round() as u64;
            let [bytes, compressed, records, uploads] = sums;
            (
                key.collect(),
                [group.count, bytes, compressed, records, uploads],
                duration,
            )
        })
        .collect();

    let mut expected = naive(attempts, &filter, &dimensions);
    expected.sort_by(|one, other| {
        let field = |figures: &Figures, name: &str| -> f64 {
            let at = [
                "count",
                "sum_bytes",
                "sum_bytesCompressed",
                "sum_records",
                "sum_uploads",
            ]
            .iter()
            .position(|one| *one == name);
            match (at, name) {
                (Some(at), _) => figures.1[at] as f64,
                (None, "avg_sampleInterval") => 1.0,
                (None, _) => figures.2 as f64 / figures.1[0] as f64,
            }
        };
        let ordered = order.iter().map(|ordering| {
            let (name, direction) = ordering.rsplit_once('_').unwrap();
            let order = match dimensions.iter().position(|one| *one == name) {
                Some(at) => naive_order(&one.0[at], &other.0[at]),
                None => field(one, name).total_cmp(&field(other, name)),
            };
            if direction == "DESC" {
                order.reverse()
            } else {
                order
            }
        });
        let keys = one.0.iter().zip(&other.0);
        let keys = keys.map(|(one, other)| naive_order(one, other));
        ordered
            .chain(keys)
            .find(|order| order.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    expected.truncate(limit);
    assert_eq!(found, expected, "{what}");
    found.len()
}

#[test]
fn random_queries_of_the_last_day_agree_with_a_naive_evaluation_of_every_attempt() {
    let seed = seed();
    println!("HEALTH_QUERIES_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let times = Times {
        since_millis: NOW_MILLIS - 23 * HOUR_MILLIS,
        only_hours: false,
    };
    let attempts = log(&mut random, times.since_millis);
    let found: Vec<usize> = (0..QUERIES)
        .map(|_| compare(&mut random, &attempts, times, true))
        .collect();
    // It would prove nothing if most of them found nothing.
    let with_groups = found.iter().filter(|groups| **groups > 0).count();
    assert!(with_groups > QUERIES / 3, "{with_groups} of {QUERIES}");
}

#[test]
fn random_queries_by_the_hour_agree_with_a_naive_evaluation_however_old_the_rows_are() {
    let seed = seed();
    println!("HEALTH_QUERIES_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let times = Times {
        since_millis: NOW_MILLIS - 300 * 24 * HOUR_MILLIS,
        only_hours: true,
    };
    let attempts = log(&mut random, times.since_millis);
    let found: usize = (0..QUERIES)
        .map(|_| compare(&mut random, &attempts, times, false))
        .sum();
    assert!(found > QUERIES, "{found}");
}
