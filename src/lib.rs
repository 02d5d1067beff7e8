//! logpush-edge: a Logpush receiver and router that runs as a Cloudflare Worker.
//!
//! The rooms, from the outside in; imports point down this list, never up.
//! Only `runtime` knows the `worker` SDK, which exists for the wasm target alone.

#![warn(missing_docs)]

pub mod api;
pub mod batch;
pub mod destination;
pub mod error;
pub mod ledger;
pub mod limits;
pub mod logpush;
pub mod outbox;
pub mod route;
pub mod secret;
pub mod time;
