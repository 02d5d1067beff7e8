//! logpush-edge: a Logpush receiver and router that runs as a Cloudflare Worker.
//!
//! The rooms, from the outside in (imports point down this list, never up): `runtime` (the only one that knows the
//! `worker` SDK, which exists for the wasm target alone), `api`, `health`, `replay`, `outbox`, `ledger`, `lifecycle`,
//! `alerting`, `tail`, `destination`, `route`, `ecs`, `events`, `batch`, `logpush`, and at the bottom `secret`, `limits` and
//! `time`.

#![warn(missing_docs)]
// A panic strands whoever waits for a Durable Object, and input must not be able to cause one.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::indexing_slicing,
        clippy::string_slice
    )
)]

pub mod alerting;
pub mod api;
pub mod batch;
pub mod destination;
pub mod ecs;
pub mod events;
pub mod health;
pub mod ledger;
pub mod lifecycle;
pub mod limits;
pub mod logpush;
pub mod outbox;
pub mod replay;
pub mod route;
#[cfg(target_arch = "wasm32")]
mod runtime;
pub mod secret;
pub mod tail;
pub mod time;
