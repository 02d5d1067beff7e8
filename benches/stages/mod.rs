//! The stages of the hot path, each over one whole batch as the project's generator makes it. Measured in time by
//! `micro.rs`, in instructions by `instructions.rs`, and compiled to wasm by `wasm.rs`.
//!
//! A stage returns a count, so that nothing can be optimised away and that a stage which did nothing shows.

#![allow(dead_code, reason = "each of the three uses its part of it")]

use logpush_edge::batch::gzip::{GZIP_MAGIC, Member};
use logpush_edge::batch::projection::Projection;
use logpush_edge::batch::reader::{Reader, Sink};
use logpush_edge::batch::scan::InvalidLine;
use logpush_edge::ecs::{Normaliser, Scratch, Surprises};
use logpush_edge::limits::{READ_BYTES, WINDOW_BYTES};
use logpush_edge::logpush::catalogue::Dataset;
use logpush_edge::logpush::filter::Filter;
use logpush_edge::logpush::output_options::OutputOptions;
use logpush_edge::logpush::scope::ScopeKind;
use logpush_edge::route::filter::CompiledFilter;
use logpush_edge::route::{JobRoute, Keep, Router, Routes, Sample, Shape, Written, ray_field};
use serde_json::{Value, json};

/// One dataset, and what is asked of it.
struct Questions {
    dataset: &'static str,
    time: &'static str,
    /// Of one job: a field compared with a number or a text, as most jobs have it.
    filter: fn() -> Value,
    /// Fields and values that the filters of 50 jobs are made of.
    fields: [(&'static str, [&'static str; 5]); 5],
    /// Fields that a shaped record has.
    shaped: &'static [&'static str],
}

const QUESTIONS: [Questions; 3] = [
    Questions {
        dataset: "http_requests",
        time: "EdgeStartTimestamp",
        filter: || json!({"key": "EdgeResponseStatus", "operator": "geq", "value": 400}),
        fields: [
            (
                "ClientRequestHost",
                [
                    "www.example.com",
                    "api.example.com",
                    "static.example.com",
                    "shop.example.com",
                    "none.example.com",
                ],
            ),
            ("EdgeResponseStatus", ["401", "403", "404", "429", "502"]),
            ("ClientCountry", ["us", "de", "jp", "br", "se"]),
            (
                "SecurityAction",
                ["block", "log", "skip", "allow", "challenge"],
            ),
            (
                "ClientRequestMethod",
                ["GET", "POST", "PUT", "DELETE", "HEAD"],
            ),
        ],
        shaped: &[
            "ClientIP",
            "EdgeStartTimestamp",
            "EdgeResponseStatus",
            "ClientRequestURI",
            "RequestHeaders",
        ],
    },
    Questions {
        dataset: "dns_logs",
        time: "Timestamp",
        filter: || json!({"key": "ResponseCode", "operator": "geq", "value": 1}),
        fields: [
            (
                "QueryName",
                [
                    "www.example.com.",
                    "api.example.com.",
                    "mail.example.com.",
                    "ns1.example.com.",
                    "none.example.com.",
                ],
            ),
            ("ResponseCode", ["0", "2", "3", "5", "9"]),
            ("ColoCode", ["FRA", "IAD", "NRT", "GRU", "ARN"]),
            (
                "SourceIP",
                [
                    "198.51.100.7",
                    "203.0.113.9",
                    "198.18.4.20",
                    "198.19.77.5",
                    "192.0.2.1",
                ],
            ),
            ("QueryType", ["1", "28", "65", "15", "16"]),
        ],
        shaped: &["QueryName", "Timestamp", "ResponseCode", "SourceIP"],
    },
    Questions {
        dataset: "firewall_events",
        time: "Datetime",
        filter: || json!({"key": "Action", "operator": "eq", "value": "block"}),
        fields: [
            (
                "ClientRequestHost",
                [
                    "www.example.com",
                    "api.example.com",
                    "static.example.com",
                    "shop.example.com",
                    "none.example.com",
                ],
            ),
            ("EdgeResponseStatus", ["401", "403", "404", "429", "502"]),
            ("ClientCountry", ["us", "de", "jp", "br", "se"]),
            ("Action", ["block", "log", "skip", "allow", "jschallenge"]),
            (
                "Source",
                [
                    "firewallcustom",
                    "firewallmanaged",
                    "ratelimit",
                    "botmanagement",
                    "l7ddos",
                ],
            ),
        ],
        shaped: &["ClientIP", "Datetime", "Action", "RuleID", "Metadata"],
    },
];

/// The datasets that there are stages for.
pub const DATASETS: [&str; 3] = [
    QUESTIONS[0].dataset,
    QUESTIONS[1].dataset,
    QUESTIONS[2].dataset,
];

/// What is measured. `Inflate` to `Projection` each include what framing needs; `Filter`, `Shaping` and `Events` are that work
/// alone, on records whose fields were found before; `OneJob` and `FiftyJobs` are a batch from its first compressed byte
/// to the selections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// gzip to bytes, nothing else.
    Inflate,
    /// Bytes to checked lines, no field wanted.
    Framing,
    /// Bytes to checked lines with the time and the fields of 50 jobs.
    Projection,
    /// One job's filter on every record.
    Filter,
    /// Every record written out with some of its fields and its time in RFC 3339.
    Shaping,
    /// The whole way for one job with a filter.
    OneJob,
    /// The whole way for 50 jobs with filters of two conditions.
    FiftyJobs,
    /// Every record made a normalised event; like `Filter` and `Shaping` that work alone.
    Events,
}

/// All stages, in the order of a record's way.
pub const STAGES: [Stage; 8] = [
    Stage::Inflate,
    Stage::Framing,
    Stage::Projection,
    Stage::Filter,
    Stage::Shaping,
    Stage::OneJob,
    Stage::FiftyJobs,
    Stage::Events,
];

impl Stage {
    /// Its name in reports and baselines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inflate => "inflate",
            Self::Framing => "framing",
            Self::Projection => "projection",
            Self::Filter => "filter",
            Self::Shaping => "shaping",
            Self::OneJob => "one_job",
            Self::FiftyJobs => "fifty_jobs",
            Self::Events => "events",
        }
    }
}

/// Counts and keeps nothing.
#[derive(Default)]
struct Count {
    records: u64,
    fields: u64,
}

impl Sink for Count {
    fn record(&mut self, _line: &[u8], fields: &[Option<&[u8]>]) {
        self.records += 1;
        self.fields += fields.iter().flatten().count() as u64;
    }
    fn invalid(&mut self, number: u64, _line: &[u8], reason: InvalidLine) {
        panic!("line {number}: {reason:?}");
    }
    fn is_full(&self) -> bool {
        false
    }
}

/// A record and its fields by slot.
type Kept = (Vec<u8>, Vec<Option<Vec<u8>>>);

/// Keeps the records and their fields.
#[derive(Default)]
struct Keeping {
    records: Vec<Kept>,
}

impl Sink for Keeping {
    fn record(&mut self, line: &[u8], fields: &[Option<&[u8]>]) {
        let fields = fields.iter().map(|raw| raw.map(<[u8]>::to_vec)).collect();
        self.records.push((line.to_vec(), fields));
    }
    fn invalid(&mut self, number: u64, _line: &[u8], reason: InvalidLine) {
        panic!("line {number}: {reason:?}");
    }
    fn is_full(&self) -> bool {
        false
    }
}

/// A batch, and everything that the stages need, made before anything is measured.
pub struct Batch {
    gzip: Vec<u8>,
    raw: Vec<u8>,
    nothing: Projection,
    one: Routes,
    fifty: Routes,
    shape: Shape,
    shape_projection: Projection,
    normaliser: Normaliser,
    scratch: Scratch,
    /// Records with the fields of the one job and of the shape.
    records: Keeping,
    filter: CompiledFilter,
    window: Vec<u8>,
    shaped: Vec<u8>,
}

impl Batch {
    /// Reads a batch of `dataset`.
    pub fn new(dataset: &str, gzip: Vec<u8>) -> Self {
        let questions = QUESTIONS
            .iter()
            .find(|questions| questions.dataset == dataset)
            .expect("a dataset of DATASETS");
        let schema = Dataset::find(ScopeKind::Zone, dataset).expect("a dataset of the catalogue");
        let mut raw = Vec::new();
        inflate(&gzip, &mut Vec::new(), |bytes| raw.extend_from_slice(bytes));

        let one = routes(
            questions.time,
            &schema,
            &[json!({"where": (questions.filter)()})],
        );
        let fifty = routes(questions.time, &schema, &fifty(questions));
        let options = json!({"field_names": questions.shaped, "timestamp_format": "rfc3339"});
        let options = OutputOptions::from_json(&options).expect("output options");
        let mut shape_projection = Projection::new();
        let shape =
            Shape::compile(&options, Some(&schema), &mut shape_projection).expect("a shape");
        let text = json!({"where": (questions.filter)()}).to_string();
        let filter = Filter::parse(&text, Some(&schema)).expect("a filter");
        let filter = CompiledFilter::compile(&filter, &mut shape_projection);
        let mut batch = Self {
            gzip,
            raw,
            nothing: Projection::new(),
            one,
            fifty,
            shape,
            shape_projection,
            normaliser: Normaliser::compile(dataset, Some(&schema), &[], false),
            scratch: Scratch::default(),
            records: Keeping::default(),
            filter,
            window: Vec::new(),
            shaped: Vec::new(),
        };
        let mut records = Keeping::default();
        plain(
            &batch.raw,
            &mut batch.window,
            &batch.shape_projection,
            &mut records,
        );
        batch.records = records;
        batch
    }

    /// Bytes after inflating: what every stage's throughput is counted in.
    pub fn raw_bytes(&self) -> usize {
        self.raw.len()
    }

    /// Runs a stage once.
    pub fn run(&mut self, stage: Stage) -> u64 {
        match stage {
            Stage::Inflate => {
                let mut made = 0;
                inflate(&self.gzip, &mut self.window, |bytes| {
                    made += bytes.len() as u64
                });
                made
            }
            Stage::Framing => self.read(|batch| &batch.nothing),
            Stage::Projection => self.read(|batch| &batch.fifty.projection),
            Stage::Filter => {
                let mut fields = Vec::new();
                let mut selected = 0;
                for (_, kept) in &self.records.records {
                    fields.clear();
                    fields.extend(kept.iter().map(Option::as_deref));
                    selected += u64::from(self.filter.matches(&fields));
                }
                selected
            }
            Stage::Shaping => {
                let mut written = 0;
                for (line, kept) in &self.records.records {
                    let fields: Vec<Option<&[u8]>> = kept.iter().map(Option::as_deref).collect();
                    self.shaped.clear();
                    self.shape.write(line, &fields, &mut self.shaped);
                    written += self.shaped.len() as u64;
                }
                written
            }
            Stage::Events => {
                let (mut written, mut surprises) = (0, Surprises::default());
                for (line, _) in &self.records.records {
                    self.shaped.clear();
                    self.normaliser.write(
                        line,
                        &mut self.scratch,
                        &mut surprises,
                        &mut self.shaped,
                    );
                    written += self.shaped.len() as u64;
                }
                written
            }
            Stage::OneJob => whole(&self.gzip, &mut self.window, &self.one),
            Stage::FiftyJobs => whole(&self.gzip, &mut self.window, &self.fifty),
        }
    }

    fn read(&mut self, projection: fn(&Self) -> &Projection) -> u64 {
        let mut window = std::mem::take(&mut self.window);
        let mut count = Count::default();
        plain(&self.raw, &mut window, projection(self), &mut count);
        self.window = window;
        count.records + count.fields
    }
}

fn inflate(gzip: &[u8], window: &mut Vec<u8>, mut take: impl FnMut(&[u8])) {
    window.resize(window.len().max(WINDOW_BYTES), 0);
    let mut member = Member::default();
    let mut rest = &gzip[GZIP_MAGIC.len()..];
    loop {
        let step = member.step(rest, &mut window[..WINDOW_BYTES]);
        rest = &rest[step.used..];
        take(&window[..step.made]);
        if step.is_end.expect("gzip") {
            return;
        }
    }
}

fn plain(raw: &[u8], window: &mut Vec<u8>, projection: &Projection, sink: &mut impl Sink) {
    let mut reader = Reader::new();
    for block in raw.chunks(WINDOW_BYTES) {
        reader.feed(block, window, projection, sink);
    }
    reader.finish(window, projection, sink);
}

/// As the Worker does it, blocks and all; what would be spilled is dropped.
fn whole(gzip: &[u8], window: &mut Vec<u8>, routes: &Routes) -> u64 {
    let mut reader = Reader::new();
    let mut router = Router::new(routes, logpush_edge::limits::PAYLOAD_MAX_BYTES);
    for block in gzip.chunks(READ_BYTES) {
        let mut at = 0;
        while at < block.len() {
            at += reader.feed(&block[at..], window, &routes.projection, &mut router);
            while router.is_full() && router.take_largest().is_some() {}
        }
    }
    reader.finish(window, &routes.projection, &mut router);
    let selected: u64 = router
        .selections()
        .iter()
        .map(|selection| selection.records)
        .sum();
    reader.meter().records + selected
}

/// Two conditions each, of the kinds that people write: equal, one of, compared, a part of; some of them in many jobs.
fn fifty(questions: &Questions) -> Vec<Value> {
    let mut filters = Vec::new();
    for (at, (field, values)) in questions.fields.iter().enumerate() {
        for (n, value) in values.iter().enumerate() {
            let (other, others) = &questions.fields[(at + 1 + n % 4) % 5];
            let first = json!({"key": field, "operator": "eq", "value": value});
            let second = json!({"key": other, "operator": "!eq", "value": others[n]});
            let list = json!({"key": other, "operator": "in", "value": others[..3]});
            filters.push(json!({"where": {"and": [first, second]}}));
            filters.push(json!({"where": {"or": [{"and": [first, list]}, {"and": [(questions.filter)(), second]}]}}));
        }
    }
    filters
}

fn routes(time: &str, schema: &Dataset, filters: &[Value]) -> Routes {
    let mut projection = Projection::new();
    let time_slots = vec![projection.slot(time)];
    let ray_slot = ray_field(Some(schema)).map(|(field, _)| projection.slot(field));
    let mut jobs = Vec::new();
    for (at, filter) in filters.iter().enumerate() {
        let filter = Filter::parse(&filter.to_string(), Some(schema)).expect("a filter");
        jobs.push(JobRoute {
            job_id: at as u64 + 1,
            filter: Some(CompiledFilter::compile(&filter, &mut projection)),
            sample: None::<Sample>,
            written: Written::AsItCame,
            assembly: None,
            keep: Keep::Copy,
            segment_max_records: 100_000,
        });
    }
    let routes = Routes::new(projection, time_slots, jobs, Vec::new());
    match ray_slot {
        Some(slot) => routes.with_rays(slot),
        None => routes,
    }
}
