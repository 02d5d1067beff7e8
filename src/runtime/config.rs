//! What the deployment sets: bindings, secrets and variables, by name.

use crate::events::{DEFAULT_PATHS, Paths, PathsError};
use worker::Env;

/// The R2 bucket.
pub const ARCHIVE: &str = "ARCHIVE";
/// Secrets that let batches in, comma-separated.
pub const INGEST_SECRET: &str = "INGEST_SECRET";
/// The token that may do everything in the API.
pub const API_TOKEN: &str = "API_TOKEN";
/// The token that may read.
pub const READ_TOKEN: &str = "READ_TOKEN";
/// The team's domain at Cloudflare Access.
pub const ACCESS_TEAM_DOMAIN: &str = "ACCESS_TEAM_DOMAIN";
/// Audience tags of the applications that stand in front of this Worker, comma-separated.
pub const ACCESS_AUD: &str = "ACCESS_AUD";
/// Who of those that Access lets in may write, comma-separated.
pub const ACCESS_WRITERS: &str = "ACCESS_WRITERS";
/// `true` lets destinations be private addresses and plain HTTP; for tests and the demo.
pub const ALLOW_PRIVATE_DESTINATIONS: &str = "ALLOW_PRIVATE_DESTINATIONS";
/// The binding that sends e-mail, if there is one.
pub const EMAIL: &str = "EMAIL";
/// The address that alerts are sent from by e-mail.
pub const ALERT_EMAIL_FROM: &str = "ALERT_EMAIL_FROM";
/// `refuse` answers batches of datasets that the catalogue lacks with 404; anything else takes them.
pub const UNKNOWN_DATASETS: &str = "UNKNOWN_DATASETS";
/// How Logpush was told to name the objects that it writes itself.
pub const R2_EVENTS_PATHS: &str = "R2_EVENTS_PATHS";
/// How long a destination may take to answer a push, in seconds, up to 300.
pub const PUSH_DEADLINE_SECONDS: &str = "PUSH_DEADLINE_SECONDS";
/// Longest wait between two attempts of a push, or to take an event, in seconds.
pub const RETRY_MAX_SECONDS: &str = "RETRY_MAX_SECONDS";
/// Longest wait between two probes of a parked queue, in seconds.
pub const PROBE_MAX_SECONDS: &str = "PROBE_MAX_SECONDS";
/// How long a job may be without a successful push before it is disabled, in seconds.
pub const DISABLE_AFTER_SECONDS: &str = "DISABLE_AFTER_SECONDS";
/// Longest wait between two questions after an acknowledgement, in seconds.
pub const ACK_POLL_SECONDS: &str = "ACK_POLL_SECONDS";
/// How long an acknowledgement is waited for before a push is sent again, in seconds.
pub const ACK_DEADLINE_SECONDS: &str = "ACK_DEADLINE_SECONDS";
/// Bytes of payloads that an outbox takes.
pub const OUTBOX_MAX_BYTES: &str = "OUTBOX_MAX_BYTES";
/// How long a session of Instant Logs lasts, in seconds, up to an hour.
pub const TAIL_SESSION_SECONDS: &str = "TAIL_SESSION_SECONDS";
/// How long one lasts that nobody listens to, in seconds, up to an hour.
pub const TAIL_UNATTENDED_SECONDS: &str = "TAIL_UNATTENDED_SECONDS";

/// A secret or a variable; `None` when it is not set or empty.
pub fn text(env: &Env, name: &str) -> Option<String> {
    env.secret(name)
        .map(|secret| secret.to_string())
        .ok()
        .filter(|value| !value.is_empty() && value != "undefined")
}

/// A variable that is a number.
pub fn number(env: &Env, name: &str) -> Option<u64> {
    text(env, name)?.trim().parse().ok()
}

/// A variable that is `true`.
pub fn is_on(env: &Env, name: &str) -> bool {
    text(env, name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// How Logpush names the objects that it writes itself.
///
/// # Errors
/// When the variable can not be followed.
pub fn paths(env: &Env) -> Result<Paths, PathsError> {
    let set = text(env, R2_EVENTS_PATHS);
    Paths::parse(set.as_deref().unwrap_or(DEFAULT_PATHS))
}
