//! The limits that the Worker is held against, natively and on one thread: inflating alone, and the rooms `batch` and
//! `route` without a runtime around them. Started by `npm run bench`; prints one JSON array on its last line.

use cpu_time::ProcessTime;
use flate2::{Decompress, FlushDecompress, Status};
use logpush_edge::batch::projection::Projection;
use logpush_edge::batch::reader::{Reader, Sink};
use logpush_edge::limits::{PAYLOAD_BUDGET_BYTES, READ_BYTES, SEGMENT_MAX_BYTES, WINDOW_BYTES};
use logpush_edge::logpush::catalogue::Dataset;
use logpush_edge::logpush::filter::Filter;
use logpush_edge::logpush::scope::ScopeKind;
use logpush_edge::route::filter::CompiledFilter;
use logpush_edge::route::{JobRoute, Keep, Router, Routes, Written};
use serde_json::{Value, json};

const DATASET: &str = "http_requests";

struct Arguments {
    batch: Vec<u8>,
    filters: Vec<String>,
    rounds: usize,
}

impl Arguments {
    /// `None` when this is `cargo test` that looks whether there are tests.
    fn read() -> Option<Self> {
        let arguments: Vec<String> = std::env::args().collect();
        let value = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            arguments.get(at + 1).cloned()
        };
        let filters = std::fs::read_to_string(value("--filters")?).expect("the file of filters");
        Some(Self {
            batch: std::fs::read(value("--batch")?).expect("the batch"),
            filters: filters.lines().map(str::to_owned).collect(),
            rounds: value("--rounds")?.parse().expect("--rounds is a number"),
        })
    }
}

fn main() {
    let Some(arguments) = Arguments::read() else {
        println!("nothing to test: this is started by `npm run bench`");
        return;
    };
    let batch = arguments.batch.as_slice();
    let routes: Vec<Routes> = [0, 1, 50]
        .iter()
        .map(|count| routes(arguments.filters.get(..*count).unwrap_or_default()))
        .collect();
    let routed = |index: usize| {
        let routes = routes.get(index);
        move || route(batch, routes.expect("one of them"))
    };
    type Work<'w> = Box<dyn Fn() -> u64 + 'w>;
    let cases: [(&str, Work<'_>); 5] = [
        ("inflate, libdeflate", Box::new(|| inflate_at_once(batch))),
        ("inflate, zlib-rs", Box::new(|| inflate(batch))),
        ("batch and route, 0 jobs", Box::new(routed(0))),
        ("batch and route, 1 job", Box::new(routed(1))),
        ("batch and route, 50 jobs", Box::new(routed(2))),
    ];
    let mut millis: Vec<Vec<f64>> = cases.iter().map(|_| Vec::new()).collect();
    let mut found = vec![0; cases.len()];
    // In turn, so that what disturbs the machine disturbs all alike; the first round only warms up.
    for round in 0..=arguments.rounds {
        for (index, (_, work)) in cases.iter().enumerate() {
            let start = ProcessTime::now();
            found[index] = work();
            if round > 0 {
                millis[index].push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    assert_eq!(found[0], found[1], "both inflate the same");
    let results: Vec<Value> = cases
        .iter()
        .enumerate()
        .map(|(index, (name, _))| {
            let selected = (index > 2).then_some(found[index]);
            json!({"name": name, "millis": millis[index], "selected": selected})
        })
        .collect();
    println!("{}", Value::from(results));
}

/// Streaming through one window, as the batch room does; bytes made.
fn inflate(batch: &[u8]) -> u64 {
    let mut inflate = Decompress::new_gzip(15);
    let mut window = vec![0; WINDOW_BYTES];
    for block in batch.chunks(READ_BYTES) {
        let mut rest = block;
        while !rest.is_empty() {
            let before = inflate.total_in();
            let status = inflate
                .decompress(rest, &mut window, FlushDecompress::None)
                .expect("a good batch");
            rest = &rest[(inflate.total_in() - before) as usize..];
            if status == Status::StreamEnd {
                return inflate.total_out();
            }
        }
    }
    panic!("the batch is cut off");
}

/// The fastest there is, into a buffer that holds all of it; bytes made.
fn inflate_at_once(batch: &[u8]) -> u64 {
    let length = batch
        .last_chunk::<4>()
        .map(|size| u32::from_le_bytes(*size));
    let mut raw = vec![0; length.expect("a gzip trailer") as usize];
    let made = libdeflater::Decompressor::new().gzip_decompress(batch, &mut raw);
    made.expect("a good batch") as u64
}

fn routes(filters: &[String]) -> Routes {
    let schema = Dataset::find(ScopeKind::Zone, DATASET);
    let field = schema
        .as_ref()
        .and_then(|schema| schema.timestamp_field.as_deref());
    let mut projection = Projection::new();
    let time_slots = field.iter().map(|name| projection.slot(name)).collect();
    let jobs = filters
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let filter = Filter::parse_optional(text, schema.as_ref()).expect("a good filter");
            JobRoute {
                job_id: index as u64,
                filter: filter.map(|filter| CompiledFilter::compile(&filter, &mut projection)),
                sample: None,
                written: Written::AsItCame,
                assembly: None,
                keep: Keep::Copy,
                segment_max_records: SEGMENT_MAX_BYTES,
            }
        })
        .collect();
    Routes::new(projection, time_slots, jobs, Vec::new())
}

/// Reads and routes a batch, and drops payloads where the Worker would write them elsewhere; records the first job selected.
fn route(batch: &[u8], routes: &Routes) -> u64 {
    let (mut reader, mut window) = (Reader::new(), Vec::new());
    let mut router = Router::new(routes, PAYLOAD_BUDGET_BYTES);
    for block in batch.chunks(READ_BYTES) {
        let mut rest = block;
        while !rest.is_empty() {
            let used = reader.feed(rest, &mut window, &routes.projection, &mut router);
            rest = &rest[used..];
            while router.is_full() {
                router.take_largest();
            }
        }
    }
    reader.finish(&mut window, &routes.projection, &mut router);
    assert_eq!(reader.fault(), None);
    router.selections().first().map_or(0, |first| first.records)
}
