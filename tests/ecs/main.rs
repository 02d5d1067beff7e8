//! The mapping tables: against the reference of ECS, on records, and in docs/ecs.md.

mod docs;
mod golden;
mod homes;
mod reference;
