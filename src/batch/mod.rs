//! From the bytes of one batch to its records. The hot path.

pub mod projection;
pub mod reader;
pub mod scan;
pub mod test_message;
