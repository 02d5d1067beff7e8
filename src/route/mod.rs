//! From a record to what each job gets.

pub mod filter;
