//! Where a job lives: a zone or an account, as in the first part of every Logpush path.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most characters of a zone or account id. Cloudflare's have 32; ours may be names that the operator chose.
pub const MAX_SCOPE_ID_CHARS: usize = 64;

/// Whether a scope is a zone or an account. Stored as `"zone"` and `"account"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScopeKind {
    /// One domain.
    Zone,
    /// One account.
    Account,
}

impl ScopeKind {
    /// The path segment that says so: `zones` or `accounts`.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Zone => "zones",
            Self::Account => "accounts",
        }
    }

    /// The kind that a path segment says, if it says one.
    #[must_use]
    pub fn from_path(segment: &str) -> Option<Self> {
        match segment {
            "zones" => Some(Self::Zone),
            "accounts" => Some(Self::Account),
            _ => None,
        }
    }
}

/// One zone or one account. The id is `^[A-Za-z0-9_-]{1,64}$`, so it can stand in a path, an object key or an
/// instance name as it is.
///
/// Stored as `{"kind":"zone","id":"…"}`; an id of another shape does not deserialize.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "StoredScope")]
pub struct Scope {
    kind: ScopeKind,
    id: String,
}

#[derive(Deserialize)]
struct StoredScope {
    kind: ScopeKind,
    id: String,
}

/// An id that is not `^[A-Za-z0-9_-]{1,64}$`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeIdError;

impl fmt::Display for ScopeIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a zone or account id is 1 to 64 characters of A-Z, a-z, 0-9, _ and -")
    }
}

impl std::error::Error for ScopeIdError {}

impl Scope {
    /// # Errors
    ///
    /// When the id has another shape than `^[A-Za-z0-9_-]{1,64}$`.
    pub fn new(kind: ScopeKind, id: impl Into<String>) -> Result<Self, ScopeIdError> {
        let id = id.into();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if id.is_empty() || id.len() > MAX_SCOPE_ID_CHARS || !id.bytes().all(allowed) {
            return Err(ScopeIdError);
        }
        Ok(Self { kind, id })
    }

    /// Zone or account.
    #[must_use]
    pub fn kind(&self) -> ScopeKind {
        self.kind
    }

    /// The zone's or account's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl TryFrom<StoredScope> for Scope {
    type Error = ScopeIdError;

    fn try_from(stored: StoredScope) -> Result<Self, Self::Error> {
        Self::new(stored.kind, stored.id)
    }
}

/// `zones/<id>` or `accounts/<id>`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.path(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_and_its_path_segment_are_one_to_one() {
        for kind in [ScopeKind::Zone, ScopeKind::Account] {
            assert_eq!(ScopeKind::from_path(kind.path()), Some(kind));
        }
        assert_eq!(ScopeKind::from_path("zone"), None);
        assert_eq!(ScopeKind::from_path("Zones"), None);
    }

    #[test]
    fn an_id_is_short_and_plain() {
        for id in [
            "a",
            "023e105f4ecef8ad9ca31a8372d0c353",
            "my_zone-1",
            &"x".repeat(64),
        ] {
            assert!(Scope::new(ScopeKind::Zone, id).is_ok(), "{id}");
        }
        for id in ["", "a/b", "a b", "ä", "..", "a%2f", &"x".repeat(65)] {
            assert_eq!(Scope::new(ScopeKind::Zone, id), Err(ScopeIdError), "{id}");
        }
    }

    #[test]
    fn scope_stored_format_unchanged() {
        let scope = Scope::new(ScopeKind::Account, "acc_1").unwrap();
        let stored = r#"{"kind":"account","id":"acc_1"}"#;
        assert_eq!(scope.to_string(), "accounts/acc_1");
        assert_eq!(serde_json::to_string(&scope).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Scope>(stored).unwrap(), scope);
        assert!(serde_json::from_str::<Scope>(r#"{"kind":"zone","id":"a/b"}"#).is_err());
    }
}
