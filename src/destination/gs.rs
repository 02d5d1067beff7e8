//! Google Cloud Storage by its XML API, which speaks S3's. Who writes is the owner of an HMAC key, by signatures, or a
//! service account, by tokens that its key is exchanged for (Google's "Using OAuth 2.0 for server to server applications").

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::object::{Call, Place, Store};
use super::storage::{self, Bucket, Writer, bucket_and_path};
use super::{Answer, Failure, Kind, LATER, Limits, Meaning, Outcome, Request, USER_AGENT, object};
use crate::logpush::destination_conf::ResolvedDestination;

/// An object may have 5 TiB; a multipart upload has up to 10,000 parts of 5 MiB to 5 GiB (Google's "XML API multipart
/// uploads"): far above any push.
pub(super) const KIND: Kind = Kind {
    limits: Limits::NONE,
    delivery: object::delivery,
    meaning,
    says: storage::says,
};

const HOST: &str = "storage.googleapis.com";

/// Where keys are exchanged for tokens. A key file says so as well, but records and keys go where the operator's own
/// settings lead and not where a file does, so only a test may have another one.
pub const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// What the token may do. What it may do to which bucket is the service account's IAM roles to say.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";

/// How long an assertion holds; Google takes at most an hour.
const ASSERTION_SECS: u64 = 600;

/// How long before its end a token is not used any more: longer than a push takes (`PUSH_DEADLINE_SECONDS` is at most 300).
const TOKEN_MARGIN_SECS: u64 = 330;

pub(super) fn place(destination: &ResolvedDestination) -> Result<Place, String> {
    let (name, path) = bucket_and_path(destination);
    let writer = match destination.setting("credentials") {
        Some(file) => Writer::ServiceAccount(Box::new(ServiceAccount::parse(file)?)),
        None => storage::key(destination)?,
    };
    let bucket = Bucket {
        endpoint: storage::endpoint(destination, HOST)?,
        is_virtual_host: false,
        region: "auto".to_owned(),
        writer,
        sse: false,
        name,
    };
    Ok((Store::Bucket(bucket), path))
}

fn meaning(answer: &Answer<'_>) -> Option<Meaning> {
    match object::code(answer.body) {
        // A bucket that lets nobody write over an object: it has the name of this push, so an attempt before this one put
        // it there, and its answer was lost.
        Some("RetentionPolicyNotMet" | "ObjectUnderActiveHold") => None,
        _ => storage::meaning(answer),
    }
}

/// The key file of a service account.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct ServiceAccount {
    client_email: String,
    #[serde(default)]
    private_key_id: String,
    /// PKCS #8 in PEM.
    private_key: String,
    #[serde(default)]
    token_uri: String,
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount").finish_non_exhaustive()
    }
}

/// A token, and until when it is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What stands behind `Bearer`.
    pub text: String,
    /// Unix seconds; some minutes before it expires.
    pub good_until_secs: u64,
}

impl ServiceAccount {
    /// Reads a key file.
    ///
    /// # Errors
    ///
    /// What is wrong with it; none of its text.
    pub fn parse(file: &str) -> Result<Self, String> {
        let account: Self = serde_json::from_str(file).map_err(|_| {
            "credentials: must be the JSON key file of a Google service account, with client_email and private_key"
                .to_owned()
        })?;
        account.pkcs8()?;
        Ok(account)
    }

    /// What the account's tokens are remembered by: another key has other ones.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [&self.client_email, &self.private_key, &self.token_uri] {
            hash.update(part);
            hash.update([0]);
        }
        hash.finalize().into()
    }

    /// The private key in DER.
    ///
    /// # Errors
    ///
    /// When it is no PEM.
    pub fn pkcs8(&self) -> Result<Vec<u8>, String> {
        let text: String = self
            .private_key
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("-----"))
            .collect();
        STANDARD
            .decode(text)
            .ok()
            .filter(|der| !der.is_empty())
            .ok_or_else(|| {
                "credentials: private_key must be PEM, as in the key file that Google made"
                    .to_owned()
            })
    }

    /// Where the key is exchanged: [`TOKEN_URL`], or with `allow_private` what the file says.
    #[must_use]
    pub fn token_url(&self, allow_private: bool) -> &str {
        if allow_private && !self.token_uri.is_empty() {
            &self.token_uri
        } else {
            TOKEN_URL
        }
    }

    /// What the key has to sign with RSASSA-PKCS1-v1_5 and SHA-256 (`RS256`, RFC 7518).
    #[must_use]
    pub fn assertion(&self, token_url: &str, now_unix_secs: u64) -> String {
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if !self.private_key_id.is_empty()
            && let Some(header) = header.as_object_mut()
        {
            header.insert("kid".to_owned(), self.private_key_id.as_str().into());
        }
        let claims = json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": token_url,
            "iat": now_unix_secs,
            "exp": now_unix_secs + ASSERTION_SECS,
        });
        let encode = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        format!("{}.{}", encode(header), encode(claims))
    }
}

/// The request that exchanges an assertion and its signature for a token.
#[must_use]
pub fn token_call(token_url: &str, assertion: &str, signature: &[u8]) -> Call {
    let signature = URL_SAFE_NO_PAD.encode(signature);
    Call {
        request: Request {
            method: "POST",
            url: token_url.to_owned(),
            headers: vec![
                ("User-Agent".to_owned(), USER_AGENT.to_owned()),
                (
                    "Content-Type".to_owned(),
                    "application/x-www-form-urlencoded".to_owned(),
                ),
            ],
        },
        body: Some(format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}.{signature}"
        )),
    }
}

/// The token of an answer.
///
/// # Errors
///
/// What it means that there is none. Google's word for it is in the reason, such as `invalid_grant`; the rest of its text
/// names the account.
pub fn token_of(answer: &Answer<'_>, now_unix_secs: u64) -> Result<Token, Outcome> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
        expires_in: u64,
    }
    #[derive(Deserialize)]
    struct Refused {
        error: String,
    }
    let status = answer.status;
    if status == 200 {
        let granted: Result<Granted, _> = serde_json::from_slice(answer.body);
        let granted = granted
            .ok()
            .filter(|granted| granted.access_token.bytes().all(|b| b.is_ascii_graphic()));
        if let Some(granted) = granted {
            let good_for = granted.expires_in.saturating_sub(TOKEN_MARGIN_SECS);
            return Ok(Token {
                text: granted.access_token,
                good_until_secs: now_unix_secs + good_for,
            });
        }
    }
    let refused: Option<Refused> = serde_json::from_slice(answer.body).ok();
    let word = refused
        .map(|refused| refused.error)
        .filter(|word| {
            word.len() <= 64 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        })
        .unwrap_or_default();
    let meaning = match status {
        408 | 429 => LATER,
        300..=499 => Meaning::ConfigurationRefused,
        _ => LATER,
    };
    let advice = match meaning {
        Meaning::ConfigurationRefused => {
            ": look at the service account's key: it may be deleted, disabled or of another account"
        }
        _ => "",
    };
    Err(Outcome::Failed(Failure {
        meaning,
        status,
        reason: format!(
            "error {status}: error pushing: error uploading to gs: no token: {status} {word}{advice}"
        ),
    }))
}
