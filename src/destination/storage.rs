//! Storage that speaks the S3 API. Each request has its signature in its URL, made by a library without I/O of its own; the
//! body is no part of it, so it can stream.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use rusty_s3::signing::sign;
use rusty_s3::{Method, UrlStyle};
use url::Url;

use super::gs::ServiceAccount;
use super::object::{Call, Object, Step, code};
use super::{Answer, LATER, Meaning, Request, USER_AGENT, https};
use crate::logpush::destination_conf::{ResolvedDestination, origin};

/// How long a signed URL holds: longer than any request of ours takes (`PUSH_DEADLINE_SECONDS` is at most 300).
const SIGNED_FOR: Duration = Duration::from_secs(600);

/// A bucket, and what lets us write to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Scheme, host and port; without bucket and path.
    pub(super) endpoint: Url,
    /// The bucket stands in front of the host and not in the path, as AWS wants it.
    pub(super) is_virtual_host: bool,
    /// Its name.
    pub(super) name: String,
    /// The region; `auto` where there is none.
    pub(super) region: String,
    /// Who writes.
    pub(super) writer: Writer,
    /// Whether AWS is asked to encrypt by its own key (`sse=AES256`).
    pub(super) sse: bool,
}

/// Who writes.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Writer {
    /// The owner of an access key, by signatures.
    Key { id: String, secret: String },
    /// A service account of Google's, by tokens.
    ServiceAccount(Box<ServiceAccount>),
}

/// Shows where it leads, but neither half of the key.
impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("endpoint", &self.endpoint.as_str())
            .field("name", &self.name)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// Bucket and path of a string such as `s3://bucket/path`, the path percent-decoded and without slashes at its ends.
pub(super) fn bucket_and_path(destination: &ResolvedDestination) -> (String, String) {
    let front = destination
        .url
        .split_once("://")
        .map_or("", |(_, front)| front);
    let (bucket, path) = front.split_once('/').unwrap_or((front, ""));
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    (bucket.to_owned(), path.trim_matches('/').to_owned())
}

/// The key in a string.
pub(super) fn key(destination: &ResolvedDestination) -> Result<Writer, String> {
    let half = |name: &str| {
        destination
            .setting(name)
            .map(str::to_owned)
            .ok_or_else(|| format!("{name}: is missing"))
    };
    Ok(Writer::Key {
        id: half("access-key-id")?,
        secret: half("secret-access-key")?,
    })
}

/// The endpoint in a string, or `usual`.
pub(super) fn endpoint(destination: &ResolvedDestination, usual: &str) -> Result<Url, String> {
    let host = destination.setting("endpoint").unwrap_or(usual);
    origin(host).map_err(|e| format!("endpoint: {e}"))
}

impl Bucket {
    pub(super) fn service_account(&self) -> Option<&ServiceAccount> {
        match &self.writer {
            Writer::ServiceAccount(account) => Some(account),
            Writer::Key { .. } => None,
        }
    }

    pub(super) fn call(
        &self,
        object: &Object,
        step: &Step<'_>,
        now_unix_secs: u64,
        bearer: Option<&str>,
    ) -> Result<Call, String> {
        let style = if self.is_virtual_host {
            UrlStyle::VirtualHost
        } else {
            UrlStyle::Path
        };
        let bucket = rusty_s3::Bucket::new(
            self.endpoint.clone(),
            style,
            self.name.clone(),
            self.region.clone(),
        )
        .map_err(|e| format!("bucket and endpoint make no URL: {e}"))?;
        let now = i64::try_from(now_unix_secs)
            .ok()
            .and_then(|secs| Timestamp::from_second(secs).ok())
            .ok_or("the clock is out of range")?;
        let part;
        let (method, query): (_, &[(&str, &str)]) = match *step {
            Step::Whole => (Method::Put, &[]),
            Step::Begin => (Method::Post, &[("uploads", "")]),
            Step::Part { number, upload } => {
                part = number.to_string();
                (Method::Put, &[("partNumber", &part), ("uploadId", upload)])
            }
            Step::Complete { upload, .. } => (Method::Post, &[("uploadId", upload)]),
            Step::Abort { upload } => (Method::Delete, &[("uploadId", upload)]),
        };
        let is_new = matches!(step, Step::Whole | Step::Begin);
        // What begins with x-amz- has to be signed.
        let encryption: &[(&str, &str)] = if is_new && self.sse {
            &[("x-amz-server-side-encryption", "AES256")]
        } else {
            &[]
        };
        let mut url = bucket.object_url(&object.name);
        match &self.writer {
            Writer::Key { id, secret } => {
                url = sign(
                    &now,
                    method,
                    url,
                    id,
                    secret,
                    None,
                    &self.region,
                    SIGNED_FOR.as_secs(),
                    query.iter().copied(),
                    encryption.iter().copied(),
                );
            }
            Writer::ServiceAccount(_) => {
                url.query_pairs_mut().extend_pairs(query).finish();
                if query.is_empty() {
                    url.set_query(None);
                }
            }
        }
        let mut headers = vec![("User-Agent".to_owned(), USER_AGENT.to_owned())];
        if let Some(token) = bearer {
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        let mut body = None;
        if is_new {
            headers.extend(object.describing(""));
        }
        for (name, value) in encryption {
            headers.push(((*name).to_owned(), (*value).to_owned()));
        }
        if let Step::Complete { etags, .. } = *step {
            headers.push(("Content-Type".to_owned(), "application/xml".to_owned()));
            body = Some(completion(etags));
        }
        Ok(Call {
            request: Request {
                method: method.to_str(),
                url: url.into(),
                headers,
            },
            body,
        })
    }
}

/// The list of parts that an object is made of.
fn completion(etags: &[String]) -> String {
    let parts = (1..).zip(etags).map(|(number, etag)| {
        let etag = etag
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    });
    let parts: String = parts.collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

const KEY: &str = "look at access-key-id and secret-access-key";
const REGION: &str = "the bucket is in another region: correct region, or endpoint";
const BUCKET: &str = "there is no such bucket where region, endpoint or account-id lead";
const RIGHTS: &str =
    "the key may not write there; it needs the right to put objects into this path";
const CLOCK: &str =
    "the storage's clock and ours are more than 15 minutes apart; correct that of the storage";

use Meaning::{ConfigurationRefused, TooLarge};

/// The codes of S3, R2 and Google's XML API that say more than their status, with what to do. Sources: Amazon's "Error
/// responses" of the S3 API reference, Google's "HTTP status and error codes for XML", Cloudflare's "R2 error codes".
#[rustfmt::skip]
const CODES: &[(&str, Meaning, &str)] = &[
    ("AccessDenied", ConfigurationRefused, RIGHTS),
    ("AccountProblem", ConfigurationRefused, "look at the account that the bucket belongs to"),
    ("AllAccessDisabled", ConfigurationRefused, "look at the account that the bucket belongs to"),
    ("InvalidAccessKeyId", ConfigurationRefused, KEY),
    ("Unauthorized", ConfigurationRefused, KEY),
    ("SignatureDoesNotMatch", ConfigurationRefused, KEY),
    ("InvalidSecurity", ConfigurationRefused, KEY),
    ("AuthenticationRequired", ConfigurationRefused, KEY),
    ("ExpiredToken", ConfigurationRefused, KEY),
    ("InvalidToken", ConfigurationRefused, KEY),
    ("NoSuchBucket", ConfigurationRefused, BUCKET),
    ("InvalidBucketName", ConfigurationRefused, BUCKET),
    ("RequestTimeTooSkewed", ConfigurationRefused, CLOCK),
    ("RequestExpired", ConfigurationRefused, CLOCK),
    ("PermanentRedirect", ConfigurationRefused, REGION),
    ("TemporaryRedirect", ConfigurationRefused, REGION),
    ("Redirect", ConfigurationRefused, REGION),
    ("AuthorizationHeaderMalformed", ConfigurationRefused, REGION),
    ("AuthorizationQueryParametersError", ConfigurationRefused, REGION),
    ("IllegalLocationConstraintException", ConfigurationRefused, REGION),
    ("KeyTooLongError", ConfigurationRefused, "make the path shorter"),
    ("NotImplemented", ConfigurationRefused, "the storage lacks something of the S3 API; leave sse out if it is there"),
    ("EntityTooLarge", TooLarge, "set max_upload_bytes lower"),
    ("MaxMessageLengthExceeded", TooLarge, "set max_upload_bytes lower"),
    // A status of 400, 404, 409 or 412 that passes by itself.
    ("BadDigest", LATER, ""),
    ("IncompleteBody", LATER, ""),
    ("RequestTimeout", LATER, ""),
    ("NoSuchUpload", LATER, ""),
    ("InvalidPart", LATER, ""),
    ("InvalidPartOrder", LATER, ""),
    ("OperationAborted", LATER, ""),
    ("ConditionalRequestConflict", LATER, ""),
    ("SlowDown", LATER, ""),
    ("SlowDownWrite", LATER, ""),
    ("Busy", LATER, ""),
    ("TooManyRequests", LATER, ""),
    ("RequestLimitExceeded", LATER, ""),
    ("ServiceUnavailable", LATER, ""),
    ("InternalError", LATER, ""),
    ("UnexpectedError", LATER, ""),
    ("XMinioStorageFull", LATER, ""),
];

/// The code of an answer in a table of them.
pub(super) fn known<'c>(
    codes: &'c [(&'c str, Meaning, &'c str)],
    answer: &Answer<'_>,
) -> Option<&'c (&'c str, Meaning, &'c str)> {
    let code = code(answer.body)?;
    codes.iter().find(|(known, ..)| *known == code)
}

/// What an answer means by its code, else by its status. Storage looks at no record, so a refusal is never about what an
/// object holds: what is no fault of size or of the moment has to be mended, and nothing is given up before.
pub(super) fn meaning_by(codes: &[(&str, Meaning, &str)], answer: &Answer<'_>) -> Option<Meaning> {
    if let Some((_, meaning, _)) = known(codes, answer) {
        return Some(*meaning);
    }
    match https::meaning(answer) {
        // The body of a success speaks of an error all the same.
        None if code(answer.body).is_some() => Some(LATER),
        Some(Meaning::ContentRefused) => Some(ConfigurationRefused),
        Some(Meaning::TooLarge) if answer.status != 413 => Some(ConfigurationRefused),
        other => other,
    }
}

/// The code of an answer, and what to do about it.
pub(super) fn says_by(codes: &[(&str, Meaning, &str)], answer: &Answer<'_>) -> String {
    match (code(answer.body), known(codes, answer)) {
        (Some(code), Some((_, _, advice))) if !advice.is_empty() => format!("{code}: {advice}"),
        (Some(code), _) => code.to_owned(),
        // S3 answers a request to the wrong region with the status alone where it may.
        (None, _) if (300..400).contains(&answer.status) => REGION.to_owned(),
        (None, _) => String::new(),
    }
}

pub(super) fn meaning(answer: &Answer<'_>) -> Option<Meaning> {
    meaning_by(CODES, answer)
}

pub(super) fn says(answer: &Answer<'_>) -> String {
    says_by(CODES, answer)
}
