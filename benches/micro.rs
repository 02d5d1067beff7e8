//! `npm run bench:micro`: the time of each stage natively. Inputs are made by the script.

mod stages;

use divan::counter::BytesCount;
use stages::{Batch, DATASETS, STAGES, Stage};
use std::path::Path;

fn main() {
    divan::main();
}

fn batch(dataset: &str) -> Batch {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("target/bench-input/{dataset}.ndjson.gz"));
    let gzip = std::fs::read(file).expect("inputs, which `npm run bench:micro` makes");
    Batch::new(dataset, gzip)
}

fn measure(bencher: divan::Bencher, stage: Stage, dataset: &str) {
    let mut batch = batch(dataset);
    let bytes = batch.raw_bytes();
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| batch.run(stage));
}

macro_rules! stage {
    ($name:ident, $stage:expr) => {
        #[divan::bench(args = DATASETS, sample_count = 20, sample_size = 1)]
        fn $name(bencher: divan::Bencher, dataset: &str) {
            measure(bencher, $stage, dataset);
        }
    };
}

stage!(inflate, STAGES[0]);
stage!(framing, STAGES[1]);
stage!(projection, STAGES[2]);
stage!(filter, STAGES[3]);
stage!(shaping, STAGES[4]);
stage!(one_job, STAGES[5]);
stage!(fifty_jobs, STAGES[6]);
stage!(events, STAGES[7]);
