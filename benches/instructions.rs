//! Every stage once over one small batch, to be counted under valgrind's callgrind: `npm run bench:instructions`.
//! Arguments: the dataset, and the file. Prints the CPU's abilities that libraries choose their code by.

mod stages;

use stages::{Batch, STAGES, Stage};

/// What callgrind's figures are looked up by. Each is called once.
mod counted {
    use super::{Batch, Stage};

    macro_rules! stage {
        ($name:ident, $stage:ident) => {
            #[inline(never)]
            #[unsafe(no_mangle)]
            pub extern "Rust" fn $name(batch: &mut Batch) -> u64 {
                batch.run(Stage::$stage)
            }
        };
    }

    stage!(stage_inflate, Inflate);
    stage!(stage_framing, Framing);
    stage!(stage_projection, Projection);
    stage!(stage_filter, Filter);
    stage!(stage_shaping, Shaping);
    stage!(stage_one_job, OneJob);
    stage!(stage_fifty_jobs, FiftyJobs);
    stage!(stage_events, Events);
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    // `cargo bench` and `cargo test --benches` call it with flags of their own.
    let (Some(dataset), Some(file)) = (
        arguments.next().filter(|word| !word.starts_with('-')),
        arguments.next(),
    ) else {
        println!("{}", abilities());
        return;
    };
    let mut batch = Batch::new(&dataset, std::fs::read(file).expect("a readable file"));
    for stage in STAGES {
        let count = match stage {
            Stage::Inflate => counted::stage_inflate(&mut batch),
            Stage::Framing => counted::stage_framing(&mut batch),
            Stage::Projection => counted::stage_projection(&mut batch),
            Stage::Filter => counted::stage_filter(&mut batch),
            Stage::Shaping => counted::stage_shaping(&mut batch),
            Stage::OneJob => counted::stage_one_job(&mut batch),
            Stage::FiftyJobs => counted::stage_fifty_jobs(&mut batch),
            Stage::Events => counted::stage_events(&mut batch),
        };
        println!("{} {count}", stage.name());
    }
}

#[cfg(target_arch = "x86_64")]
fn abilities() -> String {
    let found = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    let names: Vec<&str> = found
        .iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| *name)
        .collect();
    names.join(" ")
}

#[cfg(not(target_arch = "x86_64"))]
fn abilities() -> String {
    String::new()
}
