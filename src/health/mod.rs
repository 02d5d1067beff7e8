//! What a person or a machine asks to see whether all is well.

pub mod alerts;
pub mod graphql;
pub mod lifecycle;
pub mod log;
pub mod metrics;
pub mod query;
pub mod stats;
pub mod stats_text;
pub mod tables;
