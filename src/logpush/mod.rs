//! Logpush's own vocabulary: datasets, jobs, filters, destination strings, test messages.

pub mod catalogue;
pub mod destination_conf;
pub mod filter;
pub mod job;
pub mod scope;
