//! Which call a request line means.

use super::ApiError;
use crate::logpush::scope::{Scope, ScopeKind};

/// A call of the jobs API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET {S}/logpush/jobs`
    ListJobs {
        /// The zone or account.
        scope: Scope,
    },
    /// `POST {S}/logpush/jobs`
    CreateJob {
        /// The zone or account.
        scope: Scope,
    },
    /// `GET {S}/logpush/jobs/{id}`
    GetJob {
        /// The zone or account.
        scope: Scope,
        /// Number of the job.
        id: u64,
    },
    /// `PUT {S}/logpush/jobs/{id}`
    UpdateJob {
        /// The zone or account.
        scope: Scope,
        /// Number of the job.
        id: u64,
    },
    /// `DELETE {S}/logpush/jobs/{id}`
    DeleteJob {
        /// The zone or account.
        scope: Scope,
        /// Number of the job.
        id: u64,
    },
}

impl Route {
    /// Reads the method and the path (without its query) of a request. `{S}` is `/client/v4/zones/{id}` or
    /// `/client/v4/accounts/{id}`.
    ///
    /// # Errors
    ///
    /// [`ApiError::MethodNotAllowed`] when the path is known, but not with this method, and [`ApiError::NoRoute`] else.
    pub fn parse(method: &str, path: &str) -> Result<Self, ApiError> {
        let path = path.strip_prefix("/client/v4/").ok_or(ApiError::NoRoute)?;
        let mut segments = path.split('/');
        let mut next = || segments.next();
        let (Some(kind), Some(id), Some("logpush"), Some("jobs")) =
            (next(), next(), next(), next())
        else {
            return Err(ApiError::NoRoute);
        };
        let (job, rest) = (next(), next());
        let scope = ScopeKind::from_path(kind)
            .and_then(|kind| Scope::new(kind, id).ok())
            .filter(|_| rest.is_none())
            .ok_or(ApiError::NoRoute)?;

        let Some(job) = job else {
            return match method {
                "GET" => Ok(Self::ListJobs { scope }),
                "POST" => Ok(Self::CreateJob { scope }),
                _ => Err(ApiError::MethodNotAllowed {
                    allowed: "GET, POST",
                }),
            };
        };
        let id = job_id(job).ok_or(ApiError::NoRoute)?;
        match method {
            "GET" => Ok(Self::GetJob { scope, id }),
            "PUT" => Ok(Self::UpdateJob { scope, id }),
            "DELETE" => Ok(Self::DeleteJob { scope, id }),
            _ => Err(ApiError::MethodNotAllowed {
                allowed: "GET, PUT, DELETE",
            }),
        }
    }

    /// Whether the call changes something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        match self {
            Self::ListJobs { .. } | Self::GetJob { .. } => false,
            Self::CreateJob { .. } | Self::UpdateJob { .. } | Self::DeleteJob { .. } => true,
        }
    }
}

fn job_id(segment: &str) -> Option<u64> {
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

    #[test]
    fn a_request_line_means_one_call() {
        let zone = Scope::new(ScopeKind::Zone, "z1").unwrap();
        let account = Scope::new(ScopeKind::Account, "a1").unwrap();
        let no_route = || Err(ApiError::NoRoute);
        let wrong_method = |allowed| Err(ApiError::MethodNotAllowed { allowed });
        let table = [
            (
                "GET",
                "/client/v4/zones/z1/logpush/jobs",
                Ok(Route::ListJobs {
                    scope: zone.clone(),
                }),
            ),
            (
                "POST",
                "/client/v4/accounts/a1/logpush/jobs",
                Ok(Route::CreateJob { scope: account }),
            ),
            (
                "GET",
                "/client/v4/zones/z1/logpush/jobs/7",
                Ok(Route::GetJob {
                    scope: zone.clone(),
                    id: 7,
                }),
            ),
            (
                "PUT",
                "/client/v4/zones/z1/logpush/jobs/7",
                Ok(Route::UpdateJob {
                    scope: zone.clone(),
                    id: 7,
                }),
            ),
            (
                "DELETE",
                "/client/v4/zones/z1/logpush/jobs/7",
                Ok(Route::DeleteJob { scope: zone, id: 7 }),
            ),
            (
                "PATCH",
                "/client/v4/zones/z1/logpush/jobs/7",
                wrong_method("GET, PUT, DELETE"),
            ),
            (
                "POST",
                "/client/v4/zones/z1/logpush/jobs/7",
                wrong_method("GET, PUT, DELETE"),
            ),
            (
                "DELETE",
                "/client/v4/zones/z1/logpush/jobs",
                wrong_method("GET, POST"),
            ),
            (
                "get",
                "/client/v4/zones/z1/logpush/jobs",
                wrong_method("GET, POST"),
            ),
            ("GET", "/client/v4/zones/z1/logpush/jobs/", no_route()),
            ("GET", "/client/v4/zones/z1/logpush/jobs/x", no_route()),
            ("GET", "/client/v4/zones/z1/logpush/jobs/+7", no_route()),
            (
                "GET",
                "/client/v4/zones/z1/logpush/jobs/99999999999999999999",
                no_route(),
            ),
            ("GET", "/client/v4/zones/z1/logpush/jobs/7/x", no_route()),
            ("GET", "/client/v4/zones/z%201/logpush/jobs", no_route()),
            ("GET", "/client/v4/zones//logpush/jobs", no_route()),
            ("GET", "/client/v4/users/z1/logpush/jobs", no_route()),
            ("GET", "/client/v4/zones/z1/logpush", no_route()),
            ("GET", "/zones/z1/logpush/jobs", no_route()),
            ("GET", "/", no_route()),
            ("GET", "", no_route()),
        ];
        for (method, path, expected) in table {
            assert_eq!(Route::parse(method, path), expected, "{method} {path}");
        }
    }
}
