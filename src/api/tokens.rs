//! Cloudflare's `GET /client/v4/user/tokens/verify`: whether a token is good, and, as an extension, what it may do. The
//! page signs in with it.

use serde_json::json;

use super::{Access, ApiError, ApiResponse};

/// The call's only path.
const PATH: &str = "/client/v4/user/tokens/verify";

/// Whether a request line means this call; `None` when it is for others.
///
/// # Errors
///
/// [`ApiError::MethodNotAllowed`] for anything but GET.
#[must_use]
pub fn parse_verify(method: &str, path: &str) -> Option<Result<(), ApiError>> {
    (path == PATH).then_some(match method {
        "GET" => Ok(()),
        _ => Err(ApiError::MethodNotAllowed { allowed: "GET" }),
    })
}

/// `{"id", "status": "active", "access": "read" | "write"}`. Tokens have no number here, so `id` is the name of the secret
/// that holds this one, or `access` for a caller without one whom Cloudflare Access vouches for; `status` has no other
/// value, because tokens do not expire. 401 for a caller who may do nothing.
#[must_use]
pub fn verify(access: Access, has_token: bool) -> ApiResponse {
    let (id, may) = match access {
        Access::None => return ApiError::Unauthenticated.into(),
        Access::Read => ("READ_TOKEN", "read"),
        Access::Write => ("API_TOKEN", "write"),
    };
    let id = if has_token { id } else { "access" };
    ApiResponse::ok(json!({"id": id, "status": "active", "access": may}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_path_by_get_is_the_call() {
        assert_eq!(parse_verify("GET", PATH), Some(Ok(())));
        assert_eq!(
            parse_verify("POST", PATH),
            Some(Err(ApiError::MethodNotAllowed { allowed: "GET" }))
        );
        for path in ["/client/v4/user/tokens", "/client/v4/user/tokens/verify/"] {
            assert_eq!(parse_verify("GET", path), None, "{path}");
        }
    }

    #[test]
    fn the_answer_says_what_the_caller_may_do() {
        for (access, has_token, id, may) in [
            (Access::Read, true, "READ_TOKEN", "read"),
            (Access::Write, true, "API_TOKEN", "write"),
            (Access::Read, false, "access", "read"),
            (Access::Write, false, "access", "write"),
        ] {
            let ApiResponse { status, body } = verify(access, has_token);
            assert_eq!(status, 200);
            let expected = json!({"id": id, "status": "active", "access": may});
            assert_eq!(body["result"], expected);
        }
        for has_token in [true, false] {
            assert_eq!(
                verify(Access::None, has_token),
                ApiError::Unauthenticated.into()
            );
        }
    }
}
