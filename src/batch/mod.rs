//! From the bytes of one batch to its records. The hot path.

mod crc32;
pub mod gzip;
pub mod incoming;
pub mod json;
mod lanes;
mod layout;
mod lines;
mod out;
pub mod projection;
pub mod reader;
mod rows;
pub mod scan;
mod sniff;
pub mod test_message;
mod tracker;
mod values;
