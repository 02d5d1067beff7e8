//! The stages as a wasm library, for scripts/bench-micro.mjs to time in V8, the engine of the real runtime: what is quick
//! natively need not be so in wasm.
#![cfg(target_arch = "wasm32")]

mod stages;

use stages::{Batch, DATASETS, STAGES};
use std::cell::RefCell;

thread_local! {
    static GZIP: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static BATCH: RefCell<Option<Batch>> = const { RefCell::new(None) };
}

/// Room for a compressed batch; returns where it is.
#[unsafe(no_mangle)]
pub extern "C" fn bench_room(bytes: usize) -> *mut u8 {
    GZIP.with_borrow_mut(|gzip| {
        gzip.clear();
        gzip.resize(bytes, 0);
        gzip.as_mut_ptr()
    })
}

/// Makes what was written there the batch, of the dataset with that number; returns its raw bytes.
#[unsafe(no_mangle)]
pub extern "C" fn bench_load(dataset: usize) -> usize {
    BATCH.set(None);
    let batch = Batch::new(DATASETS[dataset], GZIP.take());
    let bytes = batch.raw_bytes();
    BATCH.set(Some(batch));
    bytes
}

/// Runs the stage with that number once.
#[unsafe(no_mangle)]
pub extern "C" fn bench_run(stage: usize) -> u64 {
    BATCH.with_borrow_mut(|batch| batch.as_mut().map_or(0, |batch| batch.run(STAGES[stage])))
}
