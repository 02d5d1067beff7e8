//! Putting an object into storage that speaks the S3 API: a request whose signature stands in its URL.

use std::time::Duration;

use jiff::Timestamp;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use super::{Request, USER_AGENT};
use crate::logpush::destination_conf::Storage;
use crate::time::day_utc;

/// How long a signed URL holds: longer than any upload of ours takes.
const SIGNED_FOR: Duration = Duration::from_secs(300);

/// What stands for the day in a path.
const DATE: &str = "{DATE}";

/// The name of `file` in the storage's path, with the day of `now` in place of `{DATE}`.
#[must_use]
pub fn object_name(storage: &Storage, file: &str, now_unix_secs: u64) -> String {
    let day = day_utc(i128::from(now_unix_secs) * 1_000_000_000);
    let path = storage.path.replace(DATE, &day).replace("{date}", &day);
    if path.is_empty() {
        file.to_owned()
    } else {
        format!("{path}/{file}")
    }
}

/// The request that puts `object`. Its body is not part of the signature.
///
/// # Errors
///
/// When bucket and endpoint make no URL.
pub fn put(storage: &Storage, object: &str, now_unix_secs: u64) -> Result<Request, String> {
    let style = if storage.is_virtual_host {
        UrlStyle::VirtualHost
    } else {
        UrlStyle::Path
    };
    let bucket = Bucket::new(
        storage.endpoint.clone(),
        style,
        storage.bucket.clone(),
        storage.region.clone(),
    )
    .map_err(|e| e.to_string())?;
    let credentials = Credentials::new(
        storage.access_key_id.clone(),
        storage.secret_access_key.clone(),
    );
    let mut action = bucket.put_object(Some(&credentials), object);
    let mut headers = vec![("User-Agent".to_owned(), USER_AGENT.to_owned())];
    if storage.sse {
        let (name, value) = ("x-amz-server-side-encryption", "AES256");
        action.headers_mut().insert(name, value);
        headers.push((name.to_owned(), value.to_owned()));
    }
    let now = i64::try_from(now_unix_secs)
        .ok()
        .and_then(|secs| Timestamp::from_second(secs).ok())
        .ok_or("the clock is out of range")?;
    Ok(Request {
        method: "PUT",
        url: action.sign_with_time(SIGNED_FOR, &now).into(),
        headers,
    })
}

/// What an S3 API says is wrong: the status, and its code, such as `AccessDenied`. The rest of its text repeats parts of
/// the credentials.
#[must_use]
pub fn refusal(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code)
        .filter(|code| (1..=64).contains(&code.len()))
        .filter(|code| code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    match code {
        Some(code) => format!("error {status}: {code}"),
        None => format!("error {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logpush::destination_conf::DestinationPolicy;

    fn storage(text: &str) -> Storage {
        Storage::parse(text, DestinationPolicy::default(), |_| None)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn an_object_is_put_by_a_signed_url() {
        let storage = storage(
            "s3://logs/a b/{DATE}?region=eu-west-1&sse=AES256&access-key-id=AKID&secret-access-key=SECRET",
        );
        let now = 1_527_069_600;
        let object = object_name(&storage, "x.txt", now);
        assert_eq!(object, "a b/20180523/x.txt");
        let request = put(&storage, &object, now).unwrap();
        assert_eq!(request.method, "PUT");
        let expected = "https://logs.s3.eu-west-1.amazonaws.com/a%20b/20180523/x.txt?";
        assert!(request.url.starts_with(expected), "{}", request.url);
        assert!(request.url.contains("X-Amz-Date=20180523T100000Z"));
        assert!(request.url.contains("x-amz-server-side-encryption"));
        assert!(!request.url.contains("SECRET"));
    }

    #[test]
    fn a_refusal_shows_the_code_and_nothing_else() {
        let body =
            b"<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>AKID</AWSAccessKeyId></Error>";
        assert_eq!(refusal(403, body), "error 403: InvalidAccessKeyId");
        assert_eq!(refusal(500, b"<Code>a b</Code>"), "error 500");
        assert_eq!(refusal(503, b""), "error 503");
    }
}
