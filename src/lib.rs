//! logpush-edge: a Logpush receiver and router that runs as a Cloudflare Worker.
//!
//! The rooms, from the outside in (imports point down this list, never up): `runtime` (the only one that knows the
//! `worker` SDK, which exists for the wasm target alone), `api`, `health`, `outbox`, `ledger`, `destination`, `route`,
//! `batch`, `logpush`, and at the bottom `secret`, `limits` and `time`.

#![warn(missing_docs)]

pub mod api;
pub mod batch;
pub mod destination;
pub mod health;
pub mod ledger;
pub mod limits;
pub mod logpush;
pub mod outbox;
pub mod route;
#[cfg(target_arch = "wasm32")]
mod runtime;
pub mod secret;
pub mod time;
