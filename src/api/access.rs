//! Who may do what.

use crate::secret::same_secret;

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Nothing.
    None,
    /// Read jobs, with their credentials masked.
    Read,
    /// Read jobs in full, and change them.
    Write,
}

/// The token of a request, from any of the ways in which Logpush's clients send one: `Authorization: Bearer`, or
/// `X-Auth-Email` with `X-Auth-Key`. There are no users here, so any address will do; the key is the token.
#[must_use]
pub fn presented_token<'h>(
    authorization: Option<&'h str>,
    auth_email: Option<&str>,
    auth_key: Option<&'h str>,
) -> Option<&'h str> {
    let by_key = || {
        let _ = auth_email.filter(|email| !email.trim().is_empty())?;
        auth_key.map(str::trim).filter(|key| !key.is_empty())
    };
    authorization.and_then(bearer_token).or_else(by_key)
}

/// What the bearer of a token may do. A token that is not configured, or empty, opens nothing; both are compared in
/// constant time, and always both.
#[must_use]
pub fn authorize(
    bearer: Option<&str>,
    api_token: Option<&str>,
    read_token: Option<&str>,
) -> Access {
    let presented = bearer.unwrap_or_default().as_bytes();
    let write = same_secret(presented, api_token.unwrap_or_default().as_bytes());
    let read = same_secret(presented, read_token.unwrap_or_default().as_bytes());
    match (write, read) {
        (true, _) => Access::Write,
        (false, true) => Access::Read,
        (false, false) => Access::None,
    }
}

/// The token in an `Authorization` header of the Bearer scheme, whose name has no case (RFC 6750, RFC 9110).
#[must_use]
pub fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_what_it_is_for_and_an_empty_one_nothing() {
        let table = [
            (Some("w"), Some("w"), Some("r"), Access::Write),
            (Some("r"), Some("w"), Some("r"), Access::Read),
            (Some("x"), Some("w"), Some("r"), Access::None),
            (Some("same"), Some("same"), Some("same"), Access::Write),
            (Some("w"), None, None, Access::None),
            (Some("r"), None, Some("r"), Access::Read),
            (Some(""), Some(""), Some(""), Access::None),
            (None, Some(""), None, Access::None),
            (None, None, None, Access::None),
            (None, Some("w"), Some("r"), Access::None),
        ];
        for (bearer, api_token, read_token, expected) in table {
            assert_eq!(
                authorize(bearer, api_token, read_token),
                expected,
                "{bearer:?} {api_token:?} {read_token:?}"
            );
        }
    }

    #[test]
    fn a_token_comes_as_a_bearer_or_as_a_key_with_an_address() {
        let table = [
            (Some("Bearer b"), None, None, Some("b")),
            (
                Some("Bearer b"),
                Some("a@example.com"),
                Some("k"),
                Some("b"),
            ),
            (Some("Basic b"), Some("a@example.com"), Some("k"), Some("k")),
            (None, Some("a@example.com"), Some(" k "), Some("k")),
            (None, Some(" "), Some("k"), None),
            (None, None, Some("k"), None),
            (None, Some("a@example.com"), Some(""), None),
            (None, Some("a@example.com"), None, None),
            (None, None, None, None),
        ];
        for (authorization, email, key, token) in table {
            assert_eq!(
                presented_token(authorization, email, key),
                token,
                "{authorization:?} {email:?} {key:?}"
            );
        }
    }

    #[test]
    fn a_bearer_token_is_taken_out_of_its_header() {
        let table = [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("abc", None),
            ("", None),
        ];
        for (header, token) in table {
            assert_eq!(bearer_token(header), token, "{header:?}");
        }
    }
}
