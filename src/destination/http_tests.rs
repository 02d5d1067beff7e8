//! Of each destination that is spoken to by a POST: one whole request, what every answer means, and what it takes at most.

use super::*;
use crate::logpush::destination_conf::DestinationPolicy;
use crate::route::NDJSON;
use receipt::{Confirmation, question};

fn conf(text: &str) -> DestinationConf {
    DestinationConf::parse(text, DestinationPolicy::default()).unwrap()
}

fn resolve(text: &str) -> ResolvedDestination {
    conf(text).resolve(|_| Some("s3cret".into())).unwrap()
}

/// Method, URL, headers, encoding, and what becomes of one record.
fn golden(text: &str, push: &Push<'_>) -> String {
    #[allow(unreachable_patterns, reason = "as long as there are other deliveries")]
    let (request, encoding, frame) = match delivery(&resolve(text), push).unwrap() {
        Delivery::Request {
            request,
            encoding,
            frame,
        } => (request, encoding, frame),
        other => panic!("{other:?}"),
    };
    let mut shown = format!("{} {}\n", request.method, request.url);
    for (name, value) in &request.headers {
        let value = if name == "User-Agent" { "…" } else { value };
        shown.push_str(&format!("{name}: {value}\n"));
    }
    let (mut framer, mut body) = (Framer::new(&frame), Vec::new());
    let record = br#"{"EdgeStartTimestamp":"2026-07-01T10:00:00.25Z","RayID":"a"}"#;
    // Stored records have their newline already.
    let line = [record.as_slice(), b"\n"].concat();
    match frame {
        Frame::Stored | Frame::Capped { .. } => framer.record(&line, &mut body).unwrap(),
        _ => framer.lines(&line, &mut body).unwrap(),
    }
    framer.finish(&mut body).unwrap();
    shown.push_str(&format!(
        "\n{encoding:?} {}",
        String::from_utf8(body).unwrap()
    ));
    shown
}

const PUSH: Push<'static> = Push {
    id: "push-1",
    content_type: NDJSON,
    is_lines: true,
    timestamp_fields: &["EdgeStartTimestamp"],
    holds: Holds::Records {
        first_millis: 0,
        last_millis: 0,
    },
    replay: None,
};

const RECORD: &str = r#"{"EdgeStartTimestamp":"2026-07-01T10:00:00.25Z","RayID":"a"}"#;

#[test]
fn each_kind_makes_exactly_this_request() {
    let table = [
        (
            "https://intake.sekoia.io/plain/batch?header_X-SEKOIAIO-INTAKE-KEY=${secret:KEY}",
            format!(
                "POST https://intake.sekoia.io/plain/batch\nContent-Type: application/x-ndjson\nUser-Agent: …\n\
                 Content-Encoding: gzip\nX-Logpush-Push-Id: push-1\nX-SEKOIAIO-INTAKE-KEY: s3cret\n\nGzip {RECORD}\n"
            ),
        ),
        (
            "https://elastic.example:9560?header_X-Secret=${secret:KEY}&header_Content-Type=application%2Fjson\
             &header_Content-Encoding=identity",
            format!(
                "POST https://elastic.example:9560/\nUser-Agent: …\nX-Logpush-Push-Id: push-1\nX-Secret: s3cret\n\
                 Content-Type: application/json\n\nIdentity {RECORD}\n"
            ),
        ),
        (
            "https://log-api.eu.newrelic.com/log/v1?Api-Key=${secret:KEY}&format=cloudflare",
            format!(
                "POST https://log-api.eu.newrelic.com/log/v1?Api-Key=s3cret&format=cloudflare\n\
                 Content-Type: application/json\nUser-Agent: …\nContent-Encoding: gzip\nX-Logpush-Push-Id: push-1\n\n\
                 Gzip {RECORD}\n"
            ),
        ),
        (
            "splunk://h.example:8088/services/collector/raw?channel=c&ack=true&insecure-skip-verify=false&sourcetype=a:b\
             &header_Authorization=Splunk%20${secret:KEY}",
            format!(
                "POST https://h.example:8088/services/collector/raw?channel=c&sourcetype=a:b\n\
                 Content-Type: application/x-ndjson\nUser-Agent: …\nContent-Encoding: gzip\nX-Logpush-Push-Id: push-1\n\
                 Authorization: Splunk s3cret\n\nGzip {RECORD}\n"
            ),
        ),
        (
            "splunk://h.example/services/collector/event?channel=c&sourcetype=a:b&source=s&host=h&index=main\
             &header_Authorization=Splunk%20${secret:KEY}",
            format!(
                "POST https://h.example/services/collector/event?channel=c\nContent-Type: application/json\n\
                 User-Agent: …\nContent-Encoding: gzip\nX-Logpush-Push-Id: push-1\nAuthorization: Splunk s3cret\n\n\
                 Gzip {{\"time\":1782900000.25,\"host\":\"h\",\"source\":\"s\",\"sourcetype\":\"a:b\",\"index\":\"main\",\
                 \"event\":{RECORD}}}\n"
            ),
        ),
        (
            "datadog://http-intake.logs.datadoghq.com/api/v2/logs?header_DD-API-KEY=${secret:KEY}&ddsource=cloudflare\
             &service=edge&host=h&ddtags=env:prod,a:b",
            format!(
                "POST https://http-intake.logs.datadoghq.com/api/v2/logs?ddsource=cloudflare&service=edge&host=h\
                 &ddtags=env:prod,a:b\nContent-Type: application/json\nUser-Agent: …\nContent-Encoding: gzip\n\
                 X-Logpush-Push-Id: push-1\nDD-API-KEY: s3cret\n\nGzip [{RECORD}]"
            ),
        ),
        (
            "sumo://endpoint4.collection.sumologic.com/receiver/v1/http/Zm9v%3D%3D?header_X-Sumo-Category=edge",
            format!(
                "POST https://endpoint4.collection.sumologic.com/receiver/v1/http/Zm9v%3D%3D\n\
                 Content-Type: application/x-ndjson\nUser-Agent: …\nContent-Encoding: gzip\nX-Logpush-Push-Id: push-1\n\
                 X-Sumo-Category: edge\n\nGzip {RECORD}\n"
            ),
        ),
        (
            "sentinelone://ingest.us1.sentinelone.net/services/collector/raw?sourcetype=marketplace-cloudflare-latest\
             &header_Authorization=Bearer%20${secret:KEY}",
            format!(
                "POST https://ingest.us1.sentinelone.net/services/collector/raw?sourcetype=marketplace-cloudflare-latest\n\
                 Content-Type: application/x-ndjson\nUser-Agent: …\nContent-Encoding: gzip\nX-Logpush-Push-Id: push-1\n\
                 Authorization: Bearer s3cret\n\nGzip {RECORD}\n"
            ),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(golden(text, &PUSH), expected, "{text}");
    }
}

#[test]
fn what_a_job_writes_out_itself_goes_to_datadog_as_text_or_as_its_own_document() {
    let text = "datadog://http-intake.logs.datadoghq.com/v1/input?header_DD-API-KEY=k";
    for (content_type, expected) in [
        ("text/csv", "text/plain"),
        ("text/plain; charset=utf-8", "text/plain"),
        ("application/json", "application/json"),
    ] {
        let push = Push {
            content_type,
            is_lines: false,
            ..PUSH
        };
        let shown = golden(text, &push);
        assert!(
            shown.contains(&format!("\nContent-Type: {expected}\n")),
            "{shown}"
        );
        assert!(shown.ends_with(&format!("Gzip {RECORD}\n")), "{shown}");
    }
}

fn outcome(text: &str, status: u16, body: &str) -> Outcome {
    let answer = Answer {
        status,
        retry_after: None,
        body: body.as_bytes(),
    };
    Outcome::from_answer(&resolve(text), &answer, 0)
}

fn meaning(text: &str, status: u16, body: &str) -> Option<Meaning> {
    match outcome(text, status, body) {
        Outcome::Failed(failure) => Some(failure.meaning),
        _ => None,
    }
}

/// Status and body of an answer, and what it means.
type Row = (u16, &'static str, Option<Meaning>);

const LATER: Meaning = Meaning::RetryLater {
    retry_after_secs: None,
};

#[test]
fn each_answer_of_each_kind_has_one_meaning() {
    use Meaning::{ConfigurationRefused, ContentRefused, TooLarge};
    let datadog = "datadog://http-intake.logs.datadoghq.com/api/v2/logs?header_DD-API-KEY=s3cret";
    let sumo = "sumo://e.sumologic.com/receiver/v1/http/s3cret";
    let sentinelone = "sentinelone://ingest.us1.sentinelone.net/services/collector/raw?header_Authorization=Bearer%20s3cret";
    let newrelic = "https://log-api.newrelic.com/log/v1?Api-Key=s3cret&format=cloudflare";
    let table: &[(&str, &[Row])] = &[
        (
            datadog,
            &[
                (202, "{}", None),
                (200, "{}", None),
                (
                    400,
                    r#"{"errors":[{"detail":"malformed"}]}"#,
                    Some(ContentRefused),
                ),
                (401, "", Some(ConfigurationRefused)),
                (403, "", Some(ConfigurationRefused)),
                (408, "", Some(LATER)),
                (413, "", Some(TooLarge)),
                (429, "", Some(LATER)),
                (500, "", Some(LATER)),
                (503, "", Some(LATER)),
            ],
        ),
        (
            sumo,
            &[
                (200, "", None),
                (401, "", Some(ConfigurationRefused)),
                (408, "", Some(LATER)),
                (413, "", Some(TooLarge)),
                (429, "", Some(LATER)),
                (503, "", Some(LATER)),
                (504, "", Some(LATER)),
            ],
        ),
        (
            sentinelone,
            &[
                (200, r#"{"text":"Success","code":0}"#, None),
                (202, "", None),
                (
                    400,
                    r#"{"text":"Invalid token","code":4}"#,
                    Some(ConfigurationRefused),
                ),
                (
                    400,
                    r#"{"text":"Invalid data format","code":6}"#,
                    Some(ContentRefused),
                ),
                (400, "", Some(ContentRefused)),
                (200, r#"{"text":"Server is busy","code":9}"#, Some(LATER)),
                (401, "", Some(ConfigurationRefused)),
                (413, "", Some(TooLarge)),
                (429, "", Some(LATER)),
                (503, "", Some(LATER)),
            ],
        ),
        (
            newrelic,
            &[
                (202, r#"{"requestId":"1"}"#, None),
                (400, "", Some(ContentRefused)),
                (403, "", Some(ConfigurationRefused)),
                (404, "", Some(ConfigurationRefused)),
                (408, "", Some(LATER)),
                (413, "", Some(TooLarge)),
                (429, "", Some(LATER)),
                (503, "", Some(LATER)),
            ],
        ),
    ];
    for (text, answers) in table {
        for (status, body, expected) in *answers {
            assert_eq!(meaning(text, *status, body), *expected, "{text} {status}");
        }
    }
}

#[test]
fn a_reason_does_not_show_the_code_of_a_sumo_source() {
    let text = "sumo://e.sumologic.com/receiver/v1/http/s3cretcode";
    let Outcome::Failed(failure) = outcome(text, 401, "no source s3cretcode") else {
        panic!("accepted");
    };
    assert_eq!(
        failure.reason,
        "error 401: error pushing: error uploading to sumo: 401 no source REDACTED"
    );
}

#[test]
fn a_bulk_of_elasticsearch_is_accepted_only_when_it_had_no_errors() {
    let bulk = "https://es.example/logs/_bulk?filter_path=errors,items.*.error";
    for (body, expected) in [
        (r#"{"errors":false,"took":3}"#, None),
        (
            r#"{"took":3,"errors":true,"items":[{"create":{"status":400}}]}"#,
            Some(Meaning::ContentRefused),
        ),
        ("{ \"errors\" : true }", Some(Meaning::ContentRefused)),
        (
            r#"{"errors":true,"items":[{"create":{"status":429,"error":{}}}]}"#,
            Some(LATER),
        ),
        ("", None),
    ] {
        assert_eq!(meaning(bulk, 200, body), expected, "{body}");
    }
    assert_eq!(meaning(bulk, 429, ""), Some(LATER));
    assert_eq!(
        meaning("https://h.example/in", 200, r#"{"errors":true}"#),
        None
    );
}

const SPLUNK: &str = "splunk://h.example:8088/services/collector/raw?channel=0a1b%20c&header_Authorization=Splunk%20s3cret";
const WITH_ACK: &str = "splunk://h.example:8088/services/collector/raw?ack=true&channel=0a1b%20c&header_Authorization=Splunk%20s3cret";

#[test]
fn a_collector_near_its_capacity_has_taken_the_push() {
    for code in [24, 25] {
        let body = format!(r#"{{"text":"nearly full","code":{code}}}"#);
        assert_eq!(outcome(SPLUNK, 200, &body), Outcome::AcceptedNearCapacity);
        assert_eq!(meaning(SPLUNK, 429, &body), Some(LATER));
    }
    assert_eq!(
        meaning(
            SPLUNK,
            503,
            r#"{"text":"Server is shutting down","code":23}"#
        ),
        Some(LATER)
    );
    for code in [26, 27] {
        let body = format!(r#"{{"text":"full","code":{code}}}"#);
        assert_eq!(meaning(SPLUNK, 429, &body), Some(LATER));
        assert_eq!(meaning(SPLUNK, 413, &body), Some(Meaning::TooLarge));
    }
}

#[test]
fn with_acknowledgement_a_success_is_a_number_to_ask_for() {
    let taken = outcome(WITH_ACK, 200, r#"{"text":"Success","code":0,"ackId":7}"#);
    assert_eq!(taken, Outcome::Taken { receipt: 7 });
    // Without the choice, the number does not matter.
    let accepted = outcome(SPLUNK, 200, r#"{"text":"Success","code":0,"ackId":7}"#);
    assert_eq!(accepted, Outcome::Accepted);
    for body in [r#"{"text":"Success","code":0}"#, "", "OK"] {
        let Outcome::Failed(failure) = outcome(WITH_ACK, 200, body) else {
            panic!("{body}");
        };
        assert_eq!(failure.meaning, Meaning::ConfigurationRefused);
        assert!(
            failure.reason.starts_with("error 200: error pushing: error uploading to splunk: ack=true, but the answer has no ackId"),
            "{}",
            failure.reason
        );
    }
}

#[test]
fn an_acknowledgement_is_asked_for_on_the_channel_of_the_push() {
    let (request, body) = question(&resolve(WITH_ACK), 7).unwrap();
    assert_eq!(request.method, "POST");
    assert_eq!(
        request.url,
        "https://h.example:8088/services/collector/ack?channel=0a1b+c"
    );
    assert_eq!(body, r#"{"acks":[7]}"#);
    let names: Vec<&str> = request
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["Content-Type", "User-Agent", "Authorization"]);
    assert_eq!(question(&resolve("https://h.example/in"), 7), None);
}

#[test]
fn each_answer_to_the_question_has_one_meaning() {
    let ask = |status, body: &str| {
        let answer = Answer {
            status,
            retry_after: Some("3"),
            body: body.as_bytes(),
        };
        Confirmation::from_answer(&resolve(WITH_ACK), &answer, 7, 0)
    };
    assert_eq!(ask(200, r#"{"acks":{"7":true}}"#), Confirmation::Safe);
    for body in [
        r#"{"acks":{"7":false}}"#,
        // Of something else.
        r#"{"acks":{"8":true}}"#,
        r#"{"acks":{}}"#,
    ] {
        assert_eq!(ask(200, body), Confirmation::NotYet, "{body}");
    }
    let failed = |status, body: &str| match ask(status, body) {
        Confirmation::Failed(failure) => failure.meaning,
        other => panic!("{other:?}"),
    };
    let later = Meaning::RetryLater {
        retry_after_secs: Some(3),
    };
    for (status, body, expected) in [
        (503, "", later),
        (429, "", later),
        (200, "a load balancer", later),
        (
            400,
            r#"{"text":"ACK is disabled","code":14}"#,
            Meaning::ConfigurationRefused,
        ),
        (
            400,
            r#"{"text":"Data channel is missing","code":10}"#,
            Meaning::ConfigurationRefused,
        ),
        (
            400,
            r#"{"text":"Invalid data format","code":6}"#,
            Meaning::ConfigurationRefused,
        ),
        (403, "", Meaning::ConfigurationRefused),
        (404, "", Meaning::ConfigurationRefused),
        (413, "", Meaning::ConfigurationRefused),
    ] {
        assert_eq!(failed(status, body), expected, "{status} {body}");
    }
}

#[test]
fn a_push_that_nobody_acknowledges_has_a_code_of_its_own() {
    let Outcome::Failed(failure) = Outcome::unacknowledged(300, None) else {
        panic!("accepted");
    };
    assert_eq!((failure.status, failure.meaning), (1109, LATER));
    assert_eq!(
        failure.reason,
        "error 1109: error pushing: taken, but not acknowledged within 300 s: sent again"
    );
}

#[test]
fn what_a_destination_takes_at_most_is_known_from_its_string() {
    for (text, max_bytes, max_records, max_record_bytes) in [
        ("https://h.example/in", None, None, None),
        (
            "https://log-api.newrelic.com/log/v1?Api-Key=k",
            Some(4_000_000),
            None,
            None,
        ),
        (
            "datadog://h.example/v1/input?header_DD-API-KEY=k",
            Some(5_000_000),
            Some(1_000),
            Some(1_000_000),
        ),
        (
            "sumo://h.example/receiver/v1/http/code",
            Some(1_048_576),
            None,
            None,
        ),
        (SPLUNK, None, None, None),
    ] {
        let found = limits(&conf(text));
        let expected = Limits {
            max_bytes,
            max_records,
            max_record_bytes,
            record_overhead_bytes: 0,
        };
        assert_eq!(found, expected, "{text}");
        assert_eq!(
            takes_batches_as_they_came(&conf(text)),
            found == Limits::NONE
        );
    }
    let events = conf(&SPLUNK.replace("/raw", "/event"));
    assert!(limits(&events).record_overhead_bytes > 20);
    assert!(!takes_batches_as_they_came(&events));
    let plain = conf("https://h.example/in?header_Content-Encoding=identity");
    assert!(!takes_batches_as_they_came(&plain));
}

#[test]
fn a_record_that_would_be_cut_is_refused_for_what_it_holds() {
    let record = RecordTooLarge {
        bytes: 1_000_001,
        max_bytes: 1_000_000,
    };
    let Outcome::Failed(failure) = Outcome::record_too_large(record) else {
        panic!("accepted");
    };
    assert_eq!(failure.meaning, Meaning::ContentRefused);
    assert!(
        failure
            .reason
            .starts_with("error 1108: error pushing: a record of 1000001 bytes")
    );
}
