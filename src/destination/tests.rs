use super::*;
use crate::logpush::destination_conf::{DestinationConf, DestinationPolicy};

fn resolve(text: &str) -> ResolvedDestination {
    DestinationConf::parse(text, DestinationPolicy::default())
        .unwrap()
        .resolve(|_| Some("s3cret".into()))
        .unwrap()
}

/// A failure with an answer: the status stands in the reason.
fn failed(meaning: Meaning, reason: &str) -> Outcome {
    let status = reason.strip_prefix("error ").unwrap();
    let status = status.split(':').next().unwrap();
    Outcome::Failed(Failure {
        meaning,
        status: status.parse().unwrap(),
        reason: reason.into(),
    })
}

fn request(destination: &ResolvedDestination, push: &Push<'_>) -> Request {
    match delivery(destination, push).unwrap() {
        Delivery::Request { request, .. } => request,
        other => panic!("{other:?}"),
    }
}

fn retry(retry_after_secs: Option<u64>, reason: &str) -> Outcome {
    failed(Meaning::RetryLater { retry_after_secs }, reason)
}

fn meaning(destination: &str, status: u16, body: &str) -> Option<Meaning> {
    match outcome(destination, status, None, body) {
        Outcome::Failed(failure) => Some(failure.meaning),
        _ => None,
    }
}

const LATER: Meaning = Meaning::RetryLater {
    retry_after_secs: None,
};

fn outcome(destination: &str, status: u16, retry_after: Option<&str>, body: &str) -> Outcome {
    let answer = Answer {
        status,
        retry_after,
        body: body.as_bytes(),
    };
    Outcome::from_answer(&resolve(destination), &answer, 784_111_777)
}

const HTTPS: &str = "https://h.example/in?tags=a&header_Authorization=Bearer%20${secret:T}";
const SPLUNK: &str = "splunk://h.example:8088/services/collector/raw?channel=c&header_Authorization=Splunk%20${secret:T}";

#[test]
fn a_push_of_a_replay_says_so() {
    let push = Push {
        replay: Some("last-tuesday"),
        ..Push::ndjson("push-1")
    };
    for text in [HTTPS, SPLUNK] {
        let made = request(&resolve(text), &push);
        let marks = made.headers.iter();
        let marks: Vec<_> = marks
            .filter(|(name, _)| name == "X-Logpush-Replay")
            .collect();
        assert_eq!(
            marks,
            [&("X-Logpush-Replay".to_owned(), "last-tuesday".to_owned())]
        );
        let live = request(&resolve(text), &Push::ndjson("push-1"));
        assert!(
            live.headers
                .iter()
                .all(|(name, _)| name != "X-Logpush-Replay")
        );
    }
}

#[test]
fn a_push_to_https_carries_our_headers_and_the_jobs() {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let made = request(&resolve(HTTPS), &Push::ndjson("push-1"));
    assert_eq!(made.method, "POST");
    assert_eq!(made.url, "https://h.example/in?tags=a");
    assert_eq!(
        made.headers,
        [
            header("Content-Type", "application/x-ndjson"),
            header(
                "User-Agent",
                concat!("logpush-edge/", env!("CARGO_PKG_VERSION"))
            ),
            header("Content-Encoding", "gzip"),
            header("X-Logpush-Push-Id", "push-1"),
            header("Authorization", "Bearer s3cret"),
        ]
    );
}

#[test]
fn the_job_may_say_another_content_type_and_user_agent_but_each_header_is_there_once() {
    let destination =
        resolve("https://h.example/?header_content-type=application%2Fjson&header_User-agent=siem");
    let made = request(&destination, &Push::ndjson("push-1"));
    let names: Vec<String> = made
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    let expected = [
        "content-encoding",
        "x-logpush-push-id",
        "content-type",
        "user-agent",
    ];
    assert_eq!(names, expected);
    assert_eq!(made.headers[2].1, "application/json");
}

#[test]
fn a_push_to_splunk_goes_to_its_raw_endpoint() {
    let made = request(&resolve(SPLUNK), &Push::ndjson("push-1"));
    assert_eq!(
        made.url,
        "https://h.example:8088/services/collector/raw?channel=c"
    );
    assert!(
        made.headers
            .contains(&("Authorization".into(), "Splunk s3cret".into()))
    );
    assert!(
        made.headers
            .contains(&("Content-Encoding".into(), "gzip".into()))
    );
}

#[test]
fn debug_of_a_request_shows_no_secret() {
    let made = request(
        &resolve("https://h.example/in?q=${secret:T}&header_X=${secret:T}"),
        &Push::ndjson("p"),
    );
    let shown = format!("{made:?}");
    assert!(
        shown.contains("\"https://h.example\"") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[test]
fn each_status_of_an_https_endpoint_has_one_meaning() {
    use Meaning::{ConfigurationRefused, ContentRefused, TooLarge};
    let table: [(&[u16], Option<Meaning>); 6] = [
        (&[200, 201, 202, 204, 299], None),
        (
            &[
                0, 101, 199, 408, 425, 429, 500, 502, 503, 504, 520, 599, 600,
            ],
            Some(LATER),
        ),
        (&[413], Some(TooLarge)),
        (
            &[
                300, 301, 302, 307, 308, 401, 402, 403, 404, 405, 407, 410, 415,
            ],
            Some(ConfigurationRefused),
        ),
        (
            &[400, 406, 409, 411, 418, 422, 431, 451],
            Some(ContentRefused),
        ),
        (&[], None),
    ];
    for (statuses, expected) in table {
        for status in statuses {
            assert_eq!(meaning(HTTPS, *status, ""), expected, "{status}");
        }
    }
    let reason = "error 422: error pushing: error uploading to https: status:422";
    assert_eq!(
        outcome(HTTPS, 422, None, ""),
        failed(ContentRefused, reason)
    );
}

#[test]
fn a_redirect_says_what_to_do_and_not_where_it_leads() {
    let body = r#"<a href="https://elsewhere.example/?token=s3cret">moved</a>"#;
    for status in [300, 301, 302, 307, 308] {
        for destination in [HTTPS, SPLUNK] {
            let kind = resolve(destination).kind.label();
            assert_eq!(
                outcome(destination, status, None, body),
                failed(
                    Meaning::ConfigurationRefused,
                    &format!(
                        "error {status}: error pushing: error uploading to {kind}: {status} {REDIRECT}"
                    )
                )
            );
        }
    }
}

#[test]
fn a_refusal_that_speaks_of_size_is_one_of_size() {
    for body in [
        "Request Entity Too Large",
        r#"{"error":"payload too large"}"#,
        "<Code>EntityTooLarge</Code>",
        r#"{"message":"Request body exceeds the maximum size of 1048576 bytes"}"#,
        "content length exceeded",
        "max message size is 5 MB",
    ] {
        assert_eq!(meaning(HTTPS, 400, body), Some(Meaning::TooLarge), "{body}");
    }
    for body in ["", "field 7 is no number", "size", "invalid timestamp"] {
        assert_eq!(
            meaning(HTTPS, 400, body),
            Some(Meaning::ContentRefused),
            "{body}"
        );
    }
    assert_eq!(
        meaning(HTTPS, 403, "too large"),
        Some(Meaning::ConfigurationRefused)
    );
}

#[test]
fn splunk_accepts_200_unless_the_collector_says_otherwise() {
    for body in [
        r#"{"text":"Success","code":0}"#,
        r#"{"text":"Success","code":0,"ackId":7}"#,
        "",
        "OK",
        "{",
        "[]",
        "{}",
    ] {
        assert_eq!(meaning(SPLUNK, 200, body), None, "{body}");
    }
    // Something else than a collector answered.
    for status in [201, 204] {
        assert_eq!(meaning(SPLUNK, status, ""), Some(LATER), "{status}");
    }
}

#[test]
fn each_code_of_the_collector_has_one_meaning() {
    use Meaning::{ConfigurationRefused, ContentRefused, TooLarge};
    let table: [(&[(u16, i64)], Meaning); 4] = [
        (
            &[
                (403, 1),
                (401, 2),
                (401, 3),
                (403, 4),
                (400, 7),
                (400, 10),
                (400, 11),
            ],
            ConfigurationRefused,
        ),
        (
            &[(400, 14), (400, 16), (400, 21), (400, 22)],
            ConfigurationRefused,
        ),
        (
            &[(400, 5), (400, 6), (400, 12), (400, 13), (400, 15)],
            ContentRefused,
        ),
        (
            &[
                (500, 8),
                (503, 9),
                (200, 9),
                (503, 18),
                (503, 19),
                (503, 20),
                (503, 23),
                (429, 26),
            ],
            LATER,
        ),
    ];
    for (codes, expected) in table {
        for (status, code) in codes {
            let body = format!(r#"{{"text":"whatever","code":{code}}}"#);
            assert_eq!(meaning(SPLUNK, *status, &body), Some(expected), "{code}");
        }
    }
    // Codes that we do not know, and answers without one, go by their status.
    assert_eq!(meaning(SPLUNK, 413, r#"{"code":27}"#), Some(TooLarge));
    assert_eq!(meaning(SPLUNK, 401, ""), Some(ConfigurationRefused));
    assert_eq!(meaning(SPLUNK, 302, ""), Some(ConfigurationRefused));
    assert_eq!(meaning(SPLUNK, 503, ""), Some(LATER));
}

#[test]
fn a_reason_has_logpushs_form_and_hides_the_destinations_secrets() {
    let body = r#"{"message":"wrong Content-Type header, expecting application/json"}"#;
    assert_eq!(
        outcome(HTTPS, 415, None, body),
        failed(
            Meaning::ConfigurationRefused,
            &format!("error 415: error pushing: error uploading to https: 415 {body}")
        )
    );
    assert_eq!(
        outcome(
            HTTPS,
            401,
            None,
            " you sent Bearer s3cret,\r\n\tthat is s3cret\u{0}\n"
        ),
        failed(
            Meaning::ConfigurationRefused,
            "error 401: error pushing: error uploading to https: 401 you sent REDACTED,   that is REDACTED"
        )
    );
    assert_eq!(
        Outcome::from_network_error(&resolve(HTTPS), "connection to h.example?k=s3cret lost"),
        retry(
            None,
            "error 1104: error pushing: error uploading to https: connection to h.example?k=REDACTED lost"
        )
    );
}

#[test]
fn a_long_body_is_cut_after_its_secrets_are_hidden() {
    let head = "error 500: error pushing: error uploading to https: 500 ";
    // The secret lies across the cut.
    let body = format!("{}s3cret and more", "x".repeat(MAX_REASON_BODY_BYTES - 3));
    assert_eq!(
        outcome(HTTPS, 500, None, &body),
        retry(
            None,
            &format!("{head}{}RED", "x".repeat(MAX_REASON_BODY_BYTES - 3))
        )
    );
    // A character of two bytes lies across the cut.
    let body = format!("x{}", "ä".repeat(MAX_REASON_BODY_BYTES));
    assert_eq!(
        outcome(HTTPS, 500, None, &body),
        retry(
            None,
            &format!("{head}x{}", "ä".repeat(MAX_REASON_BODY_BYTES / 2 - 1))
        )
    );
    // The caller read no further than into the secret.
    assert_eq!(
        outcome(HTTPS, 500, None, "token s3cre"),
        retry(None, &format!("{head}token REDACTED"))
    );
    let answer = Answer {
        status: 500,
        retry_after: None,
        body: b"\xff\xfe",
    };
    assert_eq!(
        Outcome::from_answer(&resolve(HTTPS), &answer, 0),
        retry(None, &format!("{head}\u{fffd}\u{fffd}"))
    );
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let table = [
        (None, None),
        (Some("0"), Some(0)),
        (Some(" 120 "), Some(120)),
        (Some("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60)),
        (Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0)),
        (Some("Sat, 05 Nov 1994 08:49:37 GMT"), Some(0)),
        (Some("Mon, 06 Nov 1994 08:50:37 GMT"), None),
        (Some("06 Nov 1994"), None),
        (Some("-1"), None),
        (Some("+1"), None),
        (Some("1.5"), None),
        (Some("99999999999999999999"), None),
        (Some(""), None),
        (Some("soon"), None),
    ];
    for (header, expected) in table {
        let reason = "error 503: error pushing: error uploading to https: status:503";
        assert_eq!(
            outcome(HTTPS, 503, header, ""),
            retry(expected, reason),
            "{header:?}"
        );
    }
}
