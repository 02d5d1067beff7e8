//! From the bytes of one batch to its records. The hot path.

pub mod projection;
