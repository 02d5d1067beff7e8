//! What becomes of what is stored: how long it is kept, what has expired, and whether the objects in the bucket and the
//! rows that name them are the same. Decisions only; [`Retention`] says what is kept, [`compare`](sweep::compare) what
//! differs, [`schedule`] when to look again.
//!
//! Names: an *orphan* is an object that nobody has a row for; something is *missing* when a row names an object that is not
//! there although it should be; a batch is *expired* when its object has been deleted by age.

pub mod facts;
pub mod retention;
pub mod schedule;
pub mod sweep;

pub use facts::{
    DatasetKeep, Found, Going, JobKeep, Keeping, LedgerFacts, LedgerKeep, LedgerSweep, OutboxFacts,
    SpoolKeep, SpoolSweep, Stage, WalkKeep,
};
pub use retention::{DAY_MILLIS, Retention};
