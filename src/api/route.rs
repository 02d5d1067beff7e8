//! Which call a request line means.

use super::{ApiError, MAX_REQUEST_BYTES, PREVIEW_MAX_BYTES};
use crate::logpush::job::MAX_DATASET_CHARS;
use crate::logpush::scope::{Scope, ScopeKind};

/// A call of the API. `{S}` is `/client/v4/zones/{id}` or `/client/v4/accounts/{id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The zone or account.
    pub scope: Scope,
    /// What is asked of it.
    pub call: Call,
}

/// What is asked of a zone or account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `GET {S}/logpush/jobs`
    ListJobs,
    /// `POST {S}/logpush/jobs`
    CreateJob,
    /// `GET {S}/logpush/jobs/{id}`
    GetJob(u64),
    /// `PUT {S}/logpush/jobs/{id}`
    UpdateJob(u64),
    /// `DELETE {S}/logpush/jobs/{id}`
    DeleteJob(u64),
    /// `GET {S}/logpush/jobs/{id}/dead-letters`
    ListDeadLetters(u64),
    /// `DELETE {S}/logpush/jobs/{id}/dead-letters`
    DeleteDeadLetters(u64),
    /// `POST {S}/logpush/jobs/{id}/dead-letters/redrive`
    Redrive(u64),
    /// `GET {S}/logpush/jobs/{id}/dead-letters/{number}`
    GetDeadLetter(u64, u64),
    /// `DELETE {S}/logpush/jobs/{id}/dead-letters/{number}`
    DeleteDeadLetter(u64, u64),
    /// `POST {S}/logpush/jobs/{id}/dead-letters/{number}/redrive`
    RedriveOne(u64, u64),
    /// `GET {S}/logpush/datasets`
    ListDatasets,
    /// `GET {S}/logpush/datasets/{dataset}/jobs`
    DatasetJobs(String),
    /// `GET {S}/logpush/datasets/{dataset}/fields`
    Fields(String),
    /// `GET {S}/logpush/datasets/{dataset}/fields/default`
    DefaultFields(String),
    /// `POST {S}/logpush/ownership`
    Ownership,
    /// `POST {S}/logpush/ownership/validate`
    ValidateOwnership,
    /// `POST {S}/logpush/validate/destination`
    ValidateDestination,
    /// `POST {S}/logpush/validate/destination/exists`
    DestinationExists,
    /// `POST {S}/logpush/validate/origin`
    ValidateOrigin,
    /// `POST {S}/logpush/preview`
    Preview,
}

impl Route {
    /// Reads the method and the path (without its query) of a request.
    ///
    /// # Errors
    ///
    /// [`ApiError::MethodNotAllowed`] when the path is known, but not with this method, [`ApiError::NotOffered`] for
    /// what Logpush has and this service has not, and [`ApiError::NoRoute`] else.
    pub fn parse(method: &str, path: &str) -> Result<Self, ApiError> {
        let path = path.strip_prefix("/client/v4/").ok_or(ApiError::NoRoute)?;
        let segments: Vec<&str> = path.split('/').collect();
        let [kind, id, "logpush", rest @ ..] = segments.as_slice() else {
            return Err(ApiError::NoRoute);
        };
        let scope = ScopeKind::from_path(kind)
            .and_then(|kind| Scope::new(kind, *id).ok())
            .ok_or(ApiError::NoRoute)?;
        let call = call(method, scope.kind(), rest)?;
        Ok(Self { scope, call })
    }
}

impl Call {
    /// Whether a read token is not enough: the call changes something, sends something to a destination, or answers a
    /// question about a whole destination string, which a read token never sees. Records are read with a read token: it
    /// sees what went wrong, and with which record. So a preview of the newest batch needs no more either.
    #[must_use]
    pub fn needs_write(&self) -> bool {
        match self {
            Self::ListJobs
            | Self::GetJob(_)
            | Self::ListDeadLetters(_)
            | Self::GetDeadLetter(..)
            | Self::ListDatasets
            | Self::DatasetJobs(_)
            | Self::Fields(_)
            | Self::DefaultFields(_)
            | Self::Preview => false,
            Self::CreateJob
            | Self::UpdateJob(_)
            | Self::DeleteJob(_)
            | Self::DeleteDeadLetters(_)
            | Self::DeleteDeadLetter(..)
            | Self::Redrive(_)
            | Self::RedriveOne(..)
            | Self::Ownership
            | Self::ValidateOwnership
            | Self::ValidateDestination
            | Self::DestinationExists
            | Self::ValidateOrigin => true,
        }
    }
}

impl Call {
    /// Most bytes of the call's body.
    #[must_use]
    pub fn max_body_bytes(&self) -> usize {
        match self {
            Self::Preview => PREVIEW_MAX_BYTES,
            _ => MAX_REQUEST_BYTES,
        }
    }
}

/// What stands behind `logpush/`.
fn call(method: &str, scope: ScopeKind, path: &[&str]) -> Result<Call, ApiError> {
    match path {
        ["jobs"] => match method {
            "GET" => Ok(Call::ListJobs),
            "POST" => Ok(Call::CreateJob),
            _ => Err(ApiError::MethodNotAllowed {
                allowed: "GET, POST",
            }),
        },
        ["jobs", id] => {
            let id = number(id).ok_or(ApiError::NoRoute)?;
            match method {
                "GET" => Ok(Call::GetJob(id)),
                "PUT" => Ok(Call::UpdateJob(id)),
                "DELETE" => Ok(Call::DeleteJob(id)),
                _ => Err(ApiError::MethodNotAllowed {
                    allowed: "GET, PUT, DELETE",
                }),
            }
        }
        ["jobs", id, "dead-letters", rest @ ..] => {
            let id = number(id).ok_or(ApiError::NoRoute)?;
            dead_letters(method, id, rest)
        }
        ["datasets"] => only("GET", method, Call::ListDatasets),
        ["datasets", dataset, rest @ ..] if is_dataset(dataset) => {
            let dataset = (*dataset).to_owned();
            let call = match rest {
                ["jobs"] => Call::DatasetJobs(dataset),
                ["fields"] => Call::Fields(dataset),
                ["fields", "default"] => Call::DefaultFields(dataset),
                _ => return Err(ApiError::NoRoute),
            };
            only("GET", method, call)
        }
        ["ownership"] => only("POST", method, Call::Ownership),
        ["ownership", "validate"] => only("POST", method, Call::ValidateOwnership),
        ["validate", "destination"] => only("POST", method, Call::ValidateDestination),
        ["validate", "destination", "exists"] => only("POST", method, Call::DestinationExists),
        ["validate", "origin"] => only("POST", method, Call::ValidateOrigin),
        ["preview"] => only("POST", method, Call::Preview),
        ["transformers", ..] if scope == ScopeKind::Account => Err(ApiError::NotOffered {
            what: "transformers (logpush/transformers)",
        }),
        _ => Err(ApiError::NoRoute),
    }
}

/// What stands behind `dead-letters/`.
fn dead_letters(method: &str, job: u64, path: &[&str]) -> Result<Call, ApiError> {
    match path {
        [] => match method {
            "GET" => Ok(Call::ListDeadLetters(job)),
            "DELETE" => Ok(Call::DeleteDeadLetters(job)),
            _ => Err(ApiError::MethodNotAllowed {
                allowed: "GET, DELETE",
            }),
        },
        ["redrive"] => only("POST", method, Call::Redrive(job)),
        [id, rest @ ..] => {
            let number = number(id).ok_or(ApiError::NoRoute)?;
            match (rest, method) {
                ([], "GET") => Ok(Call::GetDeadLetter(job, number)),
                ([], "DELETE") => Ok(Call::DeleteDeadLetter(job, number)),
                ([], _) => Err(ApiError::MethodNotAllowed {
                    allowed: "GET, DELETE",
                }),
                (["redrive"], _) => only("POST", method, Call::RedriveOne(job, number)),
                _ => Err(ApiError::NoRoute),
            }
        }
    }
}

fn only(allowed: &'static str, method: &str, call: Call) -> Result<Call, ApiError> {
    if method == allowed {
        Ok(call)
    } else {
        Err(ApiError::MethodNotAllowed { allowed })
    }
}

/// Whether this can be the name of a dataset.
pub(super) fn is_dataset(segment: &str) -> bool {
    (1..=MAX_DATASET_CHARS).contains(&segment.len())
        && segment
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn number(segment: &str) -> Option<u64> {
    // `parse` alone would take a `+`.
    segment
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| segment.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &str = "/client/v4/zones/z1/logpush";
    const ACCOUNT: &str = "/client/v4/accounts/a1/logpush";

    #[test]
    fn a_request_line_means_one_call() {
        let dataset = || "dns_logs".to_owned();
        let table = [
            ("GET", "/jobs", Call::ListJobs),
            ("POST", "/jobs", Call::CreateJob),
            ("GET", "/jobs/7", Call::GetJob(7)),
            ("PUT", "/jobs/7", Call::UpdateJob(7)),
            ("DELETE", "/jobs/7", Call::DeleteJob(7)),
            ("GET", "/jobs/7/dead-letters", Call::ListDeadLetters(7)),
            ("DELETE", "/jobs/7/dead-letters", Call::DeleteDeadLetters(7)),
            ("POST", "/jobs/7/dead-letters/redrive", Call::Redrive(7)),
            ("GET", "/jobs/7/dead-letters/3", Call::GetDeadLetter(7, 3)),
            (
                "DELETE",
                "/jobs/7/dead-letters/3",
                Call::DeleteDeadLetter(7, 3),
            ),
            (
                "POST",
                "/jobs/7/dead-letters/3/redrive",
                Call::RedriveOne(7, 3),
            ),
            ("GET", "/datasets", Call::ListDatasets),
            (
                "GET",
                "/datasets/dns_logs/jobs",
                Call::DatasetJobs(dataset()),
            ),
            ("GET", "/datasets/dns_logs/fields", Call::Fields(dataset())),
            (
                "GET",
                "/datasets/dns_logs/fields/default",
                Call::DefaultFields(dataset()),
            ),
            ("POST", "/ownership", Call::Ownership),
            ("POST", "/ownership/validate", Call::ValidateOwnership),
            ("POST", "/validate/destination", Call::ValidateDestination),
            (
                "POST",
                "/validate/destination/exists",
                Call::DestinationExists,
            ),
            ("POST", "/validate/origin", Call::ValidateOrigin),
            ("POST", "/preview", Call::Preview),
        ];
        for (method, path, call) in table {
            for (base, kind, id) in [
                (ZONE, ScopeKind::Zone, "z1"),
                (ACCOUNT, ScopeKind::Account, "a1"),
            ] {
                let scope = Scope::new(kind, id).unwrap();
                let route = Route {
                    scope,
                    call: call.clone(),
                };
                assert_eq!(
                    Route::parse(method, &format!("{base}{path}")),
                    Ok(route),
                    "{method} {path}"
                );
            }
        }
    }

    #[test]
    fn a_known_path_says_which_methods_it_takes() {
        let table = [
            ("PATCH", "/jobs/7", "GET, PUT, DELETE"),
            ("POST", "/jobs/7", "GET, PUT, DELETE"),
            ("DELETE", "/jobs", "GET, POST"),
            ("get", "/jobs", "GET, POST"),
            ("OPTIONS", "/jobs", "GET, POST"),
            ("POST", "/jobs/7/dead-letters", "GET, DELETE"),
            ("POST", "/jobs/7/dead-letters/3", "GET, DELETE"),
            ("GET", "/jobs/7/dead-letters/redrive", "POST"),
            ("GET", "/jobs/7/dead-letters/3/redrive", "POST"),
            ("POST", "/datasets", "GET"),
            ("POST", "/datasets/dns_logs/jobs", "GET"),
            ("PUT", "/datasets/dns_logs/fields", "GET"),
            ("GET", "/ownership", "POST"),
            ("GET", "/ownership/validate", "POST"),
            ("GET", "/validate/destination", "POST"),
            ("PUT", "/validate/destination/exists", "POST"),
            ("GET", "/validate/origin", "POST"),
            ("GET", "/preview", "POST"),
        ];
        for (method, path, allowed) in table {
            let expected = Err(ApiError::MethodNotAllowed { allowed });
            assert_eq!(
                Route::parse(method, &format!("{ZONE}{path}")),
                expected,
                "{method} {path}"
            );
        }
    }

    #[test]
    fn what_logpush_has_and_we_have_not_is_said_to_be_not_offered() {
        for path in [
            format!("{ACCOUNT}/transformers"),
            format!("{ACCOUNT}/transformers/preview"),
            format!("{ACCOUNT}/transformers/1/versions"),
        ] {
            for method in ["GET", "POST", "PUT"] {
                let answer = Route::parse(method, &path);
                assert!(matches!(answer, Err(ApiError::NotOffered { .. })), "{path}");
            }
        }
    }

    #[test]
    fn any_other_path_is_no_route() {
        let too_long = format!("{ZONE}/datasets/{}/fields", "x".repeat(257));
        for path in [
            "/client/v4/zones/z1/logpush/jobs/",
            "/client/v4/zones/z1/logpush/jobs/x",
            "/client/v4/zones/z1/logpush/jobs/+7",
            "/client/v4/zones/z1/logpush/jobs/x/dead-letters",
            "/client/v4/zones/z1/logpush/jobs/7/dead-letters/x",
            "/client/v4/zones/z1/logpush/jobs/7/dead-letters/3/x",
            "/client/v4/zones/z1/logpush/jobs/",
            "/client/v4/zones/z1/logpush/jobs/99999999999999999999",
            "/client/v4/zones/z1/logpush/jobs/7/x",
            "/client/v4/zones/z%201/logpush/jobs",
            "/client/v4/zones//logpush/jobs",
            "/client/v4/users/z1/logpush/jobs",
            "/client/v4/zones/z1/logpush",
            "/client/v4/zones/z1/logpush/datasets/",
            "/client/v4/zones/z1/logpush/datasets/dns_logs",
            "/client/v4/zones/z1/logpush/datasets//fields",
            "/client/v4/zones/z1/logpush/datasets/a.b/fields",
            "/client/v4/zones/z1/logpush/datasets/dns_logs/fields/all",
            "/client/v4/zones/z1/logpush/validate",
            "/client/v4/zones/z1/logpush/transformers",
            "/zones/z1/logpush/jobs",
            "/",
            "",
            too_long.as_str(),
        ] {
            assert_eq!(Route::parse("GET", path), Err(ApiError::NoRoute), "{path}");
        }
    }
}
