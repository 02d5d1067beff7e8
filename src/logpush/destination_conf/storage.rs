//! Object storage behind a destination string: where an object goes, and the key that may put it there.

use std::fmt;

use url::Url;

use super::schemes::{ACCESS_KEY_ID, Parts, SECRET_ACCESS_KEY};
use super::template::{Piece, decode};
use super::{DestinationConfError, DestinationPolicy, ResolveError, cut, host};

/// Storage that is spoken to with the S3 API, with its credentials filled in.
#[derive(Clone, PartialEq, Eq)]
pub struct Storage {
    /// Scheme, host and port; without bucket and path.
    pub endpoint: Url,
    /// The bucket stands in front of the host and not in the path, as AWS wants it.
    pub is_virtual_host: bool,
    /// The bucket.
    pub bucket: String,
    /// The path in the bucket, without slashes at its ends; may hold `{DATE}`.
    pub path: String,
    /// The region; `auto` for R2.
    pub region: String,
    /// Id of the access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// Whether AWS is asked to encrypt by its own key (`sse=AES256`).
    pub sse: bool,
}

impl Storage {
    /// The storage of an `s3://` or `r2://` string that has a key; `None` for any other string, which is either no storage
    /// or open to Cloudflare's own user only.
    ///
    /// # Errors
    ///
    /// What is wrong with the string; never its values.
    pub fn parse(
        text: &str,
        policy: DestinationPolicy,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, StorageError> {
        let parts = cut(text, policy)?;
        let (scheme, front) = (parts.scheme.name, parts.front);
        if !["s3", "r2"].contains(&scheme) {
            return Ok(None);
        }
        parts.checked()?;
        if !parts.has(ACCESS_KEY_ID) {
            return Ok(None);
        }
        let value = |name: &str| filled_in(&parts, name, &lookup);
        let (endpoint, region, is_virtual_host) = match scheme {
            "r2" => {
                let host = format!("{}.r2.cloudflarestorage.com", value("account-id")?);
                (format!("https://{host}"), "auto".to_owned(), false)
            }
            _ if parts.has("endpoint") => {
                let host = value("endpoint")?;
                let endpoint = format!("https://{host}");
                // Only reached with `allow_private`, because a loopback host is private. Nothing there has a certificate.
                let is_loopback = Url::parse(&endpoint)
                    .ok()
                    .and_then(|url| url.host().map(|host| host::is_loopback(&host)))
                    .unwrap_or(false);
                let scheme = if is_loopback { "http" } else { "https" };
                (format!("{scheme}://{host}"), value("region")?, false)
            }
            _ => {
                let region = value("region")?;
                (format!("https://s3.{region}.amazonaws.com"), region, true)
            }
        };
        let (bucket, path) = front.split_once('/').unwrap_or((front, ""));
        Ok(Some(Self {
            endpoint: Url::parse(&endpoint).map_err(DestinationConfError::Url)?,
            is_virtual_host,
            bucket: bucket.to_owned(),
            path: decode(path)
                .unwrap_or_default()
                .trim_matches('/')
                .to_owned(),
            region,
            access_key_id: value(ACCESS_KEY_ID)?,
            secret_access_key: value(SECRET_ACCESS_KEY)?,
            sse: parts.has("sse"),
        }))
    }
}

/// A parameter's value, percent-decoded, with its secrets.
fn filled_in(
    parts: &Parts<'_>,
    name: &str,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<String, StorageError> {
    let pieces = parts.value(name).unwrap_or_default();
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(plain) => text.push_str(&decode(plain).unwrap_or_default()),
            Piece::Secret(name) => match lookup(name).filter(|secret| !secret.is_empty()) {
                Some(secret) => text.push_str(&secret),
                None => {
                    let name = name.clone();
                    return Err(ResolveError::MissingSecret { name }.into());
                }
            },
        }
    }
    Ok(text)
}

/// Shows where it leads, but neither half of the key.
impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage")
            .field("endpoint", &self.endpoint.as_str())
            .field("bucket", &self.bucket)
            .field("path", &self.path)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// Why storage can not be reached with a destination string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageError {
    /// The string is wrong.
    Conf(DestinationConfError),
    /// A secret is missing.
    Secret(ResolveError),
}

impl From<DestinationConfError> for StorageError {
    fn from(error: DestinationConfError) -> Self {
        Self::Conf(error)
    }
}

impl From<ResolveError> for StorageError {
    fn from(error: ResolveError) -> Self {
        Self::Secret(error)
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conf(error) => error.fmt(f),
            Self::Secret(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StorageError {}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "access-key-id=AKID&secret-access-key=${secret:S3_KEY}";

    fn parse(text: &str, allow_private: bool) -> Result<Option<Storage>, StorageError> {
        Storage::parse(text, DestinationPolicy { allow_private }, |name| {
            (name == "S3_KEY").then(|| "s/3+cret".to_owned())
        })
    }

    #[test]
    fn storage_with_a_key_is_found_with_its_secrets_filled_in() {
        let account = "0123456789abcdef0123456789abcdef";
        for (text, endpoint, is_virtual_host, path, region) in [
            (
                format!("s3://logs/a/b/?region=eu-west-1&{KEY}"),
                "https://s3.eu-west-1.amazonaws.com/".to_owned(),
                true,
                "a/b",
                "eu-west-1",
            ),
            (
                format!("s3://logs/{{DATE}}?region=us-east-1&endpoint=s3.example.com&{KEY}"),
                "https://s3.example.com/".to_owned(),
                false,
                "{DATE}",
                "us-east-1",
            ),
            (
                format!("s3://logs?region=us-east-1&endpoint=127.0.0.1:9000&{KEY}"),
                "http://127.0.0.1:9000/".to_owned(),
                false,
                "",
                "us-east-1",
            ),
            (
                format!("r2://logs/x?account-id={account}&{KEY}"),
                format!("https://{account}.r2.cloudflarestorage.com/"),
                false,
                "x",
                "auto",
            ),
        ] {
            let storage = parse(&text, true).unwrap().unwrap();
            assert_eq!(storage.endpoint.as_str(), endpoint, "{text}");
            assert_eq!(storage.is_virtual_host, is_virtual_host, "{text}");
            assert_eq!(
                (storage.bucket.as_str(), storage.path.as_str()),
                ("logs", path)
            );
            assert_eq!(storage.region, region);
            assert_eq!(storage.access_key_id, "AKID");
            assert_eq!(storage.secret_access_key, "s/3+cret");
            assert!(!format!("{storage:?}").contains("cret"));
        }
    }

    #[test]
    fn what_is_no_storage_or_has_no_key_is_none_and_what_is_wrong_is_named() {
        for text in [
            "https://a.example/x",
            "s3://logs?region=eu-west-1",
            "gs://logs/x",
        ] {
            assert_eq!(parse(text, false).unwrap(), None, "{text}");
        }
        let missing = "s3://logs?region=eu-west-1&access-key-id=A&secret-access-key=${secret:NONE}";
        let text = parse(missing, false).unwrap_err().to_string();
        assert!(text.contains("the secret NONE is not set"), "{text}");
        let loopback = format!("s3://logs?region=eu-west-1&endpoint=127.0.0.1:9000&{KEY}");
        assert!(
            parse(&loopback, false)
                .unwrap_err()
                .to_string()
                .contains("endpoint")
        );
    }
}
