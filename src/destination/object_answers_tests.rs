//! What the answers of storage mean, and what of them is shown.

use super::gs::token_of;
use super::object_tests::{ACCOUNT, KEY, SAS, resolve};
use super::*;

/// An answer in the form of S3's, with all that it repeats of the request.
fn error(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>AKID s/3+cret</Message>\
         <AWSAccessKeyId>AKID</AWSAccessKeyId><SignatureProvided>5f3a</SignatureProvided></Error>"
    )
}

fn meaning(text: &str, status: u16, body: &str) -> Option<Meaning> {
    let answer = Answer {
        status,
        retry_after: None,
        body: body.as_bytes(),
    };
    match Outcome::from_answer(&resolve(text), &answer, 0) {
        Outcome::Accepted => None,
        Outcome::AcceptedNearCapacity | Outcome::Taken { .. } => panic!("{status} {body}"),
        Outcome::Failed(failure) => {
            for secret in ["AKID", "s/3+cret", "5f3a", "<"] {
                assert!(!failure.reason.contains(secret), "{}", failure.reason);
            }
            Some(failure.meaning)
        }
    }
}

use Meaning::{ConfigurationRefused, TooLarge};

/// A meaning, and the statuses and codes that have it.
type Row = (Option<Meaning>, &'static [(u16, &'static str)]);

#[test]
fn each_answer_of_the_s3_api_has_one_meaning() {
    let table: [Row; 4] = [
        (
            None,
            &[
                (200, ""),
                (204, ""),
                (200, "<CompleteMultipartUploadResult/>"),
            ],
        ),
        (
            Some(ConfigurationRefused),
            &[
                (403, "AccessDenied"),
                (403, "InvalidAccessKeyId"),
                (403, "SignatureDoesNotMatch"),
                (403, "RequestTimeTooSkewed"),
                (403, "AccountProblem"),
                (403, ""),
                (404, "NoSuchBucket"),
                (404, ""),
                (400, "ExpiredToken"),
                (400, "AuthorizationHeaderMalformed"),
                (301, "PermanentRedirect"),
                (307, "TemporaryRedirect"),
                (307, ""),
                (501, "NotImplemented"),
                // Nobody looks at records, so what is not known is not their fault either.
                (400, "InvalidArgument"),
                (400, "SomethingNew"),
                (409, "BucketNotReady"),
                (422, ""),
                (400, "exceeds the size"),
            ],
        ),
        (Some(TooLarge), &[(400, "EntityTooLarge"), (413, "")]),
        (
            Some(LATER),
            &[
                (503, "SlowDown"),
                (503, "ServiceUnavailable"),
                (500, "InternalError"),
                (400, "RequestTimeout"),
                (400, "BadDigest"),
                (400, "IncompleteBody"),
                (404, "NoSuchUpload"),
                (400, "InvalidPart"),
                (409, "OperationAborted"),
                (429, "TooManyRequests"),
                (408, ""),
                (502, ""),
                // A multipart upload that could not be completed says so in a success.
                (200, "InternalError"),
                (200, "SomethingNew"),
            ],
        ),
    ];
    for text in [
        format!("s3://logs/d?region=eu-west-1&{KEY}"),
        format!("r2://logs/d?account-id={ACCOUNT}&{KEY}"),
        format!("gs://logs/d?{KEY}"),
    ] {
        for (expected, answers) in table {
            for (status, code) in answers {
                let body = match *code {
                    "" => String::new(),
                    code if code.starts_with('<') => code.to_owned(),
                    code => error(code),
                };
                assert_eq!(meaning(&text, *status, &body), expected, "{status} {code}");
            }
        }
    }
}

#[test]
fn what_is_written_once_only_is_there_already() {
    let google = format!("gs://logs/d?{KEY}");
    let azure = format!("azure://acc.blob.core.windows.net/logs?{SAS}");
    assert_eq!(meaning(&google, 403, &error("RetentionPolicyNotMet")), None);
    assert_eq!(
        meaning(&azure, 409, &error("BlobImmutableDueToPolicy")),
        None
    );
}

#[test]
fn each_answer_of_azure_has_one_meaning() {
    let table: [Row; 4] = [
        (None, &[(201, "")]),
        (
            Some(ConfigurationRefused),
            &[
                (403, "AuthenticationFailed"),
                (403, "AuthorizationPermissionMismatch"),
                (403, "AuthorizationSourceIPMismatch"),
                (403, "AccountIsDisabled"),
                (404, "ContainerNotFound"),
                (409, "LeaseIdMissing"),
                (400, "InvalidHeaderValue"),
            ],
        ),
        (Some(TooLarge), &[(413, "RequestBodyTooLarge")]),
        (
            Some(LATER),
            &[
                (503, "ServerBusy"),
                (500, "OperationTimedOut"),
                (500, "InternalError"),
                (400, "InvalidBlockList"),
                (409, "ContainerBeingDeleted"),
                (503, ""),
            ],
        ),
    ];
    let text = format!("azure://acc.blob.core.windows.net/logs?{SAS}");
    for (expected, answers) in table {
        for (status, code) in answers {
            let body = if code.is_empty() {
                String::new()
            } else {
                error(code)
            };
            assert_eq!(meaning(&text, *status, &body), expected, "{status} {code}");
        }
    }
}

#[test]
fn a_reason_says_what_to_do_and_repeats_nothing() {
    let reason = |text: &str, status: u16, body: &str| {
        let answer = Answer {
            status,
            retry_after: None,
            body: body.as_bytes(),
        };
        match Outcome::from_answer(&resolve(text), &answer, 0) {
            Outcome::Failed(failure) => failure.reason,
            _ => panic!("{status} {body}"),
        }
    };
    let s3 = format!("s3://logs/d?region=eu-west-1&{KEY}");
    let azure = format!("azure://acc.blob.core.windows.net/logs?{SAS}");
    let table = [
        (
            reason(&s3, 403, &error("SignatureDoesNotMatch")),
            "error 403: error pushing: error uploading to s3: 403 SignatureDoesNotMatch: look at access-key-id and secret-access-key",
        ),
        (
            reason(&s3, 301, ""),
            "error 301: error pushing: error uploading to s3: 301 the bucket is in another region: correct region, or endpoint",
        ),
        (
            reason(&s3, 503, &error("SlowDown")),
            "error 503: error pushing: error uploading to s3: 503 SlowDown",
        ),
        (
            reason(&s3, 500, "<html>AKID s/3+cret</html>"),
            "error 500: error pushing: error uploading to s3: status:500",
        ),
        (
            reason(&azure, 404, &error("ContainerNotFound")),
            "error 404: error pushing: error uploading to azure: 404 ContainerNotFound: there is no such container in the storage account",
        ),
    ];
    for (reason, expected) in table {
        assert_eq!(reason, expected);
    }
}

#[test]
fn a_binding_that_leads_nowhere_is_mended_and_anything_else_tried_again() {
    for (text, expected) in [
        (
            "put: The specified bucket does not exist. (10006)",
            ConfigurationRefused,
        ),
        (
            "put: Please enable R2 through the Cloudflare Dashboard. (10042)",
            ConfigurationRefused,
        ),
        (
            "put: We encountered an internal error. Please try again. (10001)",
            LATER,
        ),
        (
            "put: Reduce your concurrent request rate for the same object. (10058)",
            LATER,
        ),
        ("Network connection lost.", LATER),
    ] {
        let Outcome::Failed(failure) = r2::bound_failure("LOGS", text) else {
            panic!("{text}");
        };
        assert_eq!(failure.meaning, expected, "{text}");
        let reason = "error 1101: error pushing: error uploading to r2: binding LOGS: ";
        assert_eq!(failure.reason, format!("{reason}{text}"));
    }
}

#[test]
fn each_answer_of_the_token_endpoint_has_one_meaning() {
    let token = |status: u16, body: &str| {
        let answer = Answer {
            status,
            retry_after: None,
            body: body.as_bytes(),
        };
        token_of(&answer, 1_000)
    };
    let granted = token(
        200,
        r#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#,
    );
    let granted = granted.unwrap_or_else(|_| panic!("granted"));
    assert_eq!(
        (granted.text.as_str(), granted.good_until_secs),
        ("ya29.x", 1_000 + 3_599 - 330)
    );
    let refused = r#"{"error":"invalid_grant","error_description":"Invalid JWT for logs@p"}"#;
    let account =
        "look at the service account's key: it may be deleted, disabled or of another account";
    for (status, body, meaning, reason) in [
        (
            400,
            refused,
            ConfigurationRefused,
            format!("no token: 400 invalid_grant: {account}"),
        ),
        (
            401,
            r#"{"error":"invalid_client"}"#,
            ConfigurationRefused,
            format!("no token: 401 invalid_client: {account}"),
        ),
        (429, "", LATER, "no token: 429 ".to_owned()),
        (
            500,
            r#"{"error":"internal_failure"}"#,
            LATER,
            "no token: 500 internal_failure".to_owned(),
        ),
        (200, "{}", LATER, "no token: 200 ".to_owned()),
        (
            200,
            r#"{"access_token":"a\nb","expires_in":1}"#,
            LATER,
            "no token: 200 ".to_owned(),
        ),
    ] {
        let Err(Outcome::Failed(failure)) = token(status, body) else {
            panic!("{status} {body}");
        };
        assert_eq!(failure.meaning, meaning, "{status} {body}");
        let expected = format!("error {status}: error pushing: error uploading to gs: {reason}");
        assert_eq!(failure.reason, expected);
    }
}
