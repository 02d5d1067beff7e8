//! What leaves for each kind of destination: the same push, one row a kind.

use logpush_edge::destination::websocket::Frame;
use logpush_edge::destination::{Delivery, Encoding, Push, Request, USER_AGENT, delivery};
use logpush_edge::logpush::destination_conf::{
    DestinationConf, DestinationConfError, DestinationPolicy,
};

/// A destination string, and what is made of it, a line each: how, method and URL, then headers.
type Row = (&'static str, &'static [&'static str]);

const ROWS: [Row; 7] = [
    // SEKOIA.IO's walk-through.
    (
        "https://intake.sekoia.io/plain/batch?header_X-SEKOIAIO-INTAKE-KEY=${secret:KEY}",
        &[
            "request, gzip",
            "POST https://intake.sekoia.io/plain/batch",
            "Content-Type: application/x-ndjson",
            "User-Agent: {agent}",
            "Content-Encoding: gzip",
            "X-Logpush-Push-Id: push-1",
            "X-SEKOIAIO-INTAKE-KEY: s3cr&t",
        ],
    ),
    // Cloudflare's walk-through, with Splunk Cloud.
    (
        "splunk://http-inputs-acme.splunkcloud.com:443/services/collector/raw?channel=0b5ecf3a-6d3f-4d7c-9a53-8a1f5c1de2a7&header_Authorization=Splunk%20${secret:KEY}&insecure-skip-verify=false&sourcetype=cloudflare:json",
        &[
            "request, gzip",
            "POST https://http-inputs-acme.splunkcloud.com/services/collector/raw?channel=0b5ecf3a-6d3f-4d7c-9a53-8a1f5c1de2a7&sourcetype=cloudflare:json",
            "Content-Type: application/x-ndjson",
            "User-Agent: {agent}",
            "Content-Encoding: gzip",
            "X-Logpush-Push-Id: push-1",
            "Authorization: Splunk s3cr&t",
        ],
    ),
    (
        "https://logs.example.com:8443/in?token=${secret:KEY}&tags=a,b&header_User-Agent=siem&header_Content-Type=text/plain",
        &[
            "request, gzip",
            "POST https://logs.example.com:8443/in?token=s3cr%26t&tags=a,b",
            "Content-Encoding: gzip",
            "X-Logpush-Push-Id: push-1",
            "User-Agent: siem",
            "Content-Type: text/plain",
        ],
    ),
    (
        "https://log-api.eu.newrelic.com/log/v1?Api-Key=${secret:KEY}&format=cloudflare",
        &[
            "request, gzip",
            "POST https://log-api.eu.newrelic.com/log/v1?Api-Key=s3cr%26t&format=cloudflare",
            "Content-Type: application/x-ndjson",
            "User-Agent: {agent}",
            "Content-Encoding: gzip",
            "X-Logpush-Push-Id: push-1",
        ],
    ),
    (
        "wss://logs.example.com/in?source=edge&header_Authorization=Bearer%20${secret:KEY}",
        &[
            "WebSocket, Record, without acknowledgement",
            "GET https://logs.example.com/in?source=edge",
            "Upgrade: websocket",
            "User-Agent: {agent}",
            "X-Logpush-Push-Id: push-1",
            "Authorization: Bearer s3cr&t",
        ],
    ),
    (
        "wss://logs.example.com:8443/in?frame=push&ack=true&header_Sec-WebSocket-Protocol=logs",
        &[
            "WebSocket, Push, with acknowledgement",
            "GET https://logs.example.com:8443/in",
            "Upgrade: websocket",
            "User-Agent: {agent}",
            "X-Logpush-Push-Id: push-1",
            "Sec-WebSocket-Protocol: logs",
        ],
    ),
    ("queue://LOGS", &["queue LOGS, push-1"]),
];

fn lines_of(request: &Request) -> Vec<String> {
    let headers = request.headers.iter();
    std::iter::once(format!("{} {}", request.method, request.url))
        .chain(headers.map(|(name, value)| format!("{name}: {value}")))
        .collect()
}

fn made(delivery: &Delivery) -> Vec<String> {
    let (how, lines) = match delivery {
        Delivery::Request {
            request,
            encoding: Encoding::Gzip,
            ..
        } => ("request, gzip".to_owned(), lines_of(request)),
        Delivery::Request { request, .. } => ("request".to_owned(), lines_of(request)),
        Delivery::WebSocket(conversation) => {
            let frame = match conversation.frame {
                Frame::Record => "Record",
                Frame::Push => "Push",
            };
            let ack = ["without", "with"][usize::from(conversation.wants_ack)];
            (
                format!("WebSocket, {frame}, {ack} acknowledgement"),
                lines_of(&conversation.handshake),
            )
        }
        Delivery::Queue { binding, push_id } => (format!("queue {binding}, {push_id}"), vec![]),
    };
    std::iter::once(how).chain(lines).collect()
}

#[test]
fn each_kind_makes_exactly_this_of_a_push() {
    for (text, expected) in ROWS {
        let destination = DestinationConf::parse(text, DestinationPolicy::default())
            .unwrap()
            .resolve(|_| Some("s3cr&t".into()))
            .unwrap();
        let expected: Vec<String> = expected
            .iter()
            .map(|line| line.replace("{agent}", USER_AGENT))
            .collect();
        assert_eq!(
            made(&delivery(&destination, &Push::ndjson("push-1")).unwrap()),
            expected,
            "{text}"
        );
    }
}

#[test]
fn every_scheme_that_is_offered_has_a_row() {
    let error = DestinationConf::parse("none://", DestinationPolicy::default()).unwrap_err();
    assert_eq!(error, DestinationConfError::UnknownScheme);
    let text = error.to_string();
    let (_, offered) = text.split_once("offered are ").unwrap();
    for scheme in offered.split(", ") {
        assert!(
            ROWS.iter()
                .any(|(text, _)| text.starts_with(&format!("{scheme}://"))),
            "{scheme}:// has no row"
        );
    }
}
