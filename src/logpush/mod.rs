//! Logpush's own vocabulary: datasets, jobs, filters, destination strings, archive keys, test messages.

pub mod archive_key;
pub mod catalogue;
pub mod destination_conf;
pub mod filter;
pub mod job;
pub mod number;
pub mod scope;
pub mod test_message;
