//! Logpush's API: its envelope, its routes and what the calls do, over traits. No HTTP library, no storage.
//!
//! The caller parses the request line with [`Route::parse`], finds out who is asking with [`authorize`], and hands both
//! to [`handle`].

mod access;
mod access_jwt;
mod alerting;
mod checks;
mod datasets;
mod dead_letters;
mod envelope;
mod jobs;
mod logs;
mod ownership;
mod preview;
mod replays;
mod route;
mod services;
mod tail;
#[cfg(test)]
mod tests;
mod tokens;

pub use access::{Access, authorize, bearer_token, presented_token};
pub use access_jwt::{
    ACCESS_LEEWAY_SECS, AccessClaims, AccessKey, AccessRefusal, AccessSettings, AccessToken,
    CERTS_MAX_BYTES, CameFrom, KeyCache, KeyPlan, access_keys,
};
pub use alerting::{
    AlertStore, AlertingCall, AlertingRoute, AlertingServices, HistoryPage, HistoryQuery,
    WebhookTester, handle_alerting,
};
pub use dead_letters::CONTENT_MAX_BYTES;
pub use envelope::{ApiError, ApiResponse};
pub use jobs::{Content, handle};
pub use logs::{
    Cursor, LogsCall, LogsRoute, Objects, Retrieve, accepts_gzip, listed, received_fields,
};
pub use ownership::{CHALLENGE_FILE, CHALLENGE_VALID_SECS, OwnershipKey};
pub use preview::{PREVIEW_MAX_BYTES, PREVIEW_MAX_RECORDS};
pub use replays::{
    Action, Made, NewReplay, ReplayCall, ReplayRoute, ReplayServices, ReplayStore, handle_replays,
};
pub use route::{Call, Route};
pub use services::{
    ArrivedDataset, DestinationTester, JobRules, JobStore, NewestBatch, Services, StoreError,
};
pub use tail::{EdgeCall, EdgeRoute, EdgeServices, Opened, SessionStore, handle_edge};
pub use tokens::{parse_verify, verify};

/// Most bytes of a request body. A job of the largest `destination_conf` (4,096 characters), name (512) and filter with
/// everything escaped stays below half of it.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;
