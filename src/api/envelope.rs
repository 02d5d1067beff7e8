//! The form of every answer.

use std::fmt;

use serde_json::{Value, json};

use super::AccessRefusal;
use crate::logpush::catalogue;

/// An answer: the status, and the body as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiResponse {
    /// HTTP status.
    pub status: u16,
    /// `{"success":…,"errors":[…],"messages":[],"result":…}`.
    pub body: Value,
}

impl ApiResponse {
    /// 200 with a result.
    #[must_use]
    pub fn ok(result: Value) -> Self {
        Self {
            status: 200,
            body: json!({"success": true, "errors": [], "messages": [], "result": result}),
        }
    }
}

/// Why a call failed. The codes are Logpush's where one is known, and otherwise our choice.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiError {
    /// 400, code 1002: the text says which member is wrong and what to do.
    InvalidInput(String),
    /// 401, code 10000: no token, or one that is not known.
    Unauthenticated,
    /// 401, code 10000: Cloudflare Access let somebody in whose token opens nothing here; 503, code 1101 when that can not
    /// be said now.
    AccessRefused(AccessRefusal),
    /// 403, code 1004: the token may read only, and the call does more or asks about whole destination strings.
    ReadOnly,
    /// 404, code 1006: no such job in this zone or account.
    JobNotFound,
    /// 404, code 1009: the job has no such dead letter.
    DeadLetterNotFound,
    /// 404, code 1006: no such policy or webhook in this account.
    NotFound {
        /// What it would be.
        what: &'static str,
    },
    /// 404, code 1008: the catalogue has no such dataset.
    UnknownDataset {
        /// Its name, as sent.
        dataset: String,
    },
    /// 404, code 7003: no such path.
    NoRoute,
    /// 404, code 10404: Logpush has it and this service has not.
    NotOffered {
        /// What it is.
        what: &'static str,
    },
    /// 405, code 10405: the path is known, but not with this method.
    MethodNotAllowed {
        /// The methods that it is known with, with commas between them.
        allowed: &'static str,
    },
    /// 409, code 1007: others kept changing the job between reading and writing it.
    Conflict,
    /// 400, code 1010: no further Instant Logs session. No conflict: clients send those again by themselves.
    TooManySessions {
        /// Who has as many as it may have.
        what: &'static str,
        /// How many that is.
        most: usize,
    },
    /// 410, code 10410: objects that the answer would be made of are not in the archive any more.
    Gone {
        /// How many.
        objects: usize,
    },
    /// 409, code 1011: the id of a replay that says something else, or that was deleted.
    ReplayDiffers,
    /// 413, code 10413: the body is longer than the call takes.
    BodyTooLarge {
        /// How long it may be.
        max_bytes: usize,
    },
    /// 422, code 10422: a range of time has more objects, or more bytes, than one request may read.
    TooManyResults,
    /// 429, code 10429: so many retrievals are at work here that another one would take too much memory.
    TooManyRetrievals,
    /// 503, code 1100: the job store did not answer. Trying again is safe.
    StorageUnavailable,
}

impl ApiError {
    /// HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidInput(_) | Self::TooManySessions { .. } => 400,
            Self::AccessRefused(refusal) if refusal.may_pass() => 503,
            Self::Unauthenticated | Self::AccessRefused(_) => 401,
            Self::ReadOnly => 403,
            Self::JobNotFound
            | Self::DeadLetterNotFound
            | Self::NotFound { .. }
            | Self::UnknownDataset { .. }
            | Self::NoRoute
            | Self::NotOffered { .. } => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::Conflict | Self::ReplayDiffers => 409,
            Self::Gone { .. } => 410,
            Self::BodyTooLarge { .. } => 413,
            Self::TooManyResults => 422,
            Self::TooManyRetrievals => 429,
            Self::StorageUnavailable => 503,
        }
    }

    /// Code in the envelope, at least 1000.
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::InvalidInput(_) => 1002,
            Self::ReadOnly => 1004,
            Self::JobNotFound | Self::NotFound { .. } => 1006,
            Self::Conflict => 1007,
            Self::UnknownDataset { .. } => 1008,
            Self::DeadLetterNotFound => 1009,
            Self::TooManySessions { .. } => 1010,
            Self::ReplayDiffers => 1011,
            Self::StorageUnavailable => 1100,
            Self::NoRoute => 7003,
            Self::AccessRefused(refusal) if refusal.may_pass() => 1101,
            Self::Unauthenticated | Self::AccessRefused(_) => 10000,
            Self::NotOffered { .. } => 10404,
            Self::MethodNotAllowed { .. } => 10405,
            Self::Gone { .. } => 10410,
            Self::BodyTooLarge { .. } => 10413,
            Self::TooManyResults => 10422,
            Self::TooManyRetrievals => 10429,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidInput(text) => f.write_str(text),
            Self::Unauthenticated => {
                f.write_str(
                    "Authentication error: send Authorization: Bearer <token>, or X-Auth-Email and X-Auth-Key: <token>, \
                     with the API token of this service",
                )
            }
            Self::AccessRefused(refusal) => refusal.fmt(f),
            Self::ReadOnly => f.write_str("this call is not allowed with a read token; use the API token"),
            Self::JobNotFound => f.write_str("job not found"),
            Self::DeadLetterNotFound => f.write_str("dead letter not found: it was sent again, deleted, or never there"),
            Self::NotFound { what } => write!(f, "{what} not found"),
            Self::UnknownDataset { dataset } => {
                write!(f, "dataset: {}", catalogue::unknown(dataset))
            }
            Self::NoRoute => f.write_str("No route for the URI"),
            Self::NotOffered { what } => write!(f, "{what}: not offered in this version"),
            Self::MethodNotAllowed { allowed } => write!(f, "method not allowed; this path takes {allowed}"),
            Self::Conflict => f.write_str("the job was changed by others at the same time; read it and send the change again"),
            Self::TooManySessions { what, most } => write!(
                f,
                "{what} has {most} sessions of Instant Logs, as many as it may have: end one (DELETE logpush/edge/jobs/{{id}}), \
                 or wait until one is over"
            ),
            Self::ReplayDiffers => f.write_str(
                "this id belongs to a replay that says something else, or to one that was deleted; use another id",
            ),
            Self::BodyTooLarge { max_bytes } => write!(f, "the request body must have at most {max_bytes} bytes"),
            Self::Gone { objects } => {
                let verb = if *objects == 1 { "object is" } else { "objects are" };
                write!(f, "{objects} {verb} not in the archive any more, so nobody knows; logs/list names those of a range")
            }
            // Cloudflare's own text.
            Self::TooManyResults => {
                f.write_str("Time range returned too many results. Try reducing the time range and try again.")
            }
            Self::TooManyRetrievals => f.write_str("too many retrievals at once; try again when one has ended"),
            Self::StorageUnavailable => f.write_str("storage is unavailable; try again"),
        }
    }
}

impl std::error::Error for ApiError {}

impl From<ApiError> for ApiResponse {
    fn from(error: ApiError) -> Self {
        let errors = json!([{"code": error.code(), "message": error.to_string()}]);
        Self {
            status: error.status(),
            body: json!({"success": false, "errors": errors, "messages": [], "result": null}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_its_status_code_and_text() {
        let table = [
            (
                ApiError::InvalidInput("name: x".into()),
                400,
                1002,
                "name: x",
            ),
            (
                ApiError::Unauthenticated,
                401,
                10000,
                "Authentication error: send Authorization: Bearer <token>, or X-Auth-Email and X-Auth-Key: <token>, \
                 with the API token of this service",
            ),
            (
                ApiError::AccessRefused(AccessRefusal::Expired),
                401,
                10000,
                "Cloudflare Access: the token has expired; load the page again to sign in",
            ),
            (
                ApiError::AccessRefused(AccessRefusal::NoKeys("status 500".into())),
                503,
                1101,
                "Cloudflare Access: the team's keys can not be read (status 500); try again",
            ),
            (
                ApiError::ReadOnly,
                403,
                1004,
                "this call is not allowed with a read token; use the API token",
            ),
            (ApiError::JobNotFound, 404, 1006, "job not found"),
            (
                ApiError::DeadLetterNotFound,
                404,
                1009,
                "dead letter not found: it was sent again, deleted, or never there",
            ),
            (
                ApiError::NotFound { what: "policy" },
                404,
                1006,
                "policy not found",
            ),
            (
                ApiError::UnknownDataset {
                    dataset: "http_request".into(),
                },
                404,
                1008,
                "dataset: http_request is not in the catalogue; did you mean http_requests?",
            ),
            (
                ApiError::UnknownDataset {
                    dataset: "x".into(),
                },
                404,
                1008,
                "dataset: x is not in the catalogue",
            ),
            (ApiError::NoRoute, 404, 7003, "No route for the URI"),
            (
                ApiError::NotOffered { what: "x" },
                404,
                10404,
                "x: not offered in this version",
            ),
            (
                ApiError::MethodNotAllowed {
                    allowed: "GET, POST",
                },
                405,
                10405,
                "method not allowed; this path takes GET, POST",
            ),
            (
                ApiError::Conflict,
                409,
                1007,
                "the job was changed by others at the same time; read it and send the change again",
            ),
            (
                ApiError::ReplayDiffers,
                409,
                1011,
                "this id belongs to a replay that says something else, or to one that was deleted; use another id",
            ),
            (
                ApiError::TooManySessions {
                    what: "this dataset",
                    most: 5,
                },
                400,
                1010,
                "this dataset has 5 sessions of Instant Logs, as many as it may have: end one (DELETE logpush/edge/jobs/{id}), \
                 or wait until one is over",
            ),
            (
                ApiError::BodyTooLarge { max_bytes: 65_536 },
                413,
                10413,
                "the request body must have at most 65536 bytes",
            ),
            (
                ApiError::Gone { objects: 1 },
                410,
                10410,
                "1 object is not in the archive any more, so nobody knows; logs/list names those of a range",
            ),
            (
                ApiError::TooManyResults,
                422,
                10422,
                "Time range returned too many results. Try reducing the time range and try again.",
            ),
            (
                ApiError::TooManyRetrievals,
                429,
                10429,
                "too many retrievals at once; try again when one has ended",
            ),
            (
                ApiError::StorageUnavailable,
                503,
                1100,
                "storage is unavailable; try again",
            ),
        ];
        let documented = include_str!("../../docs/errors.md");
        for (error, status, code, message) in table {
            let row = format!("\n| {status} | {code} | ");
            assert!(documented.contains(&row), "docs/errors.md lacks {code}");
            let expected = json!({
                "success": false, "errors": [{"code": code, "message": message}], "messages": [], "result": null,
            });
            assert_eq!(
                ApiResponse::from(error),
                ApiResponse {
                    status,
                    body: expected
                }
            );
        }
    }

    #[test]
    fn a_success_carries_its_result() {
        let expected = json!({"success": true, "errors": [], "messages": [], "result": {"id": 1}});
        assert_eq!(
            ApiResponse::ok(json!({"id": 1})),
            ApiResponse {
                status: 200,
                body: expected
            }
        );
    }
}
