//! Normalised events: a record of any dataset as one event of the Elastic Common Schema (ECS 8).
//!
//! What goes where is data: `tables/<dataset>.json`, and `tables/_common.json` for names that mean the same in every
//! dataset. The form of a table is described in [`table`]; the closed list of what can be done to a value is
//! [`convert::As`]. A table is read when a job is compiled, and never for a record.

pub mod convert;
mod engine;
mod plan;
mod surprise;
pub mod table;

pub use engine::{Normaliser, Scratch};
pub use surprise::Surprises;
