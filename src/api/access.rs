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
