//! Logpush's own vocabulary: datasets, jobs, filters, destination strings, archive keys.

pub mod archive_key;
pub mod catalogue;
pub mod destination_conf;
pub mod filter;
pub mod instant_logs;
pub mod job;
pub mod number;
pub mod output_options;
pub mod scope;
