//! What a person or a machine asks to see whether all is well.

pub mod alerts;
pub mod log;
pub mod stats;
pub mod stats_text;
pub mod tables;
