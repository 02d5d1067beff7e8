//! What leaves for each kind of destination: the same push, one row a kind.

use logpush_edge::destination::websocket::Frame;
use logpush_edge::destination::{
    Delivery, Encoding, Frame as Body, Holds, Push, Request, Step, USER_AGENT, delivery,
};
use logpush_edge::logpush::destination_conf::{
    DestinationConf, DestinationConfError, DestinationPolicy,
};

/// A destination string, and what is made of it, a line each: how, method and URL, then headers.
type Row = (&'static str, &'static [&'static str]);

/// 2026-07-01 10:00:00.
const NOW_MILLIS: u64 = 1_782_900_000_000;

const ROWS: &[Row] = &[
    // SEKOIA.IO's walk-through.
    (
        "https://intake.sekoia.io/plain/batch?header_X-SEKOIAIO-INTAKE-KEY=${secret:KEY}",
        &[
            "request, gzip",
            "POST https://intake.sekoia.io/plain/batch",
            "Content-Type: application/x-ndjson",
            "User-Agent: {agent}",
            "Content-Encoding: gzip",
            "X-Logpush-Push-Id: 5f3a9c01push",
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
            "X-Logpush-Push-Id: 5f3a9c01push",
            "Authorization: Splunk s3cr&t",
        ],
    ),
    (
        "https://logs.example.com:8443/in?token=${secret:KEY}&tags=a,b&header_User-Agent=siem&header_Content-Type=text/plain",
        &[
            "request, gzip",
            "POST https://logs.example.com:8443/in?token=s3cr%26t&tags=a,b",
            "Content-Encoding: gzip",
            "X-Logpush-Push-Id: 5f3a9c01push",
            "User-Agent: siem",
            "Content-Type: text/plain",
        ],
    ),
    (
        "https://log-api.eu.newrelic.com/log/v1?Api-Key=${secret:KEY}&format=cloudflare",
        &[
            "request, gzip",
            "POST https://log-api.eu.newrelic.com/log/v1?Api-Key=s3cr%26t&format=cloudflare",
            "Content-Type: application/json",
            "User-Agent: {agent}",
            "Content-Encoding: gzip",
            "X-Logpush-Push-Id: 5f3a9c01push",
        ],
    ),
    (
        "wss://logs.example.com/in?source=edge&header_Authorization=Bearer%20${secret:KEY}",
        &[
            "WebSocket, Record, without acknowledgement",
            "GET https://logs.example.com/in?source=edge",
            "Upgrade: websocket",
            "User-Agent: {agent}",
            "X-Logpush-Push-Id: 5f3a9c01push",
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
            "X-Logpush-Push-Id: 5f3a9c01push",
            "Sec-WebSocket-Protocol: logs",
        ],
    ),
    ("queue://LOGS", &["queue LOGS, 5f3a9c01push"]),
    (
        "datadog://http-intake.logs.datadoghq.com/api/v2/logs?header_DD-API-KEY=${secret:KEY}&ddsource=cloudflare&ddtags=env:prod",
        &[
            "request, gzip, a JSON array",
            "POST https://http-intake.logs.datadoghq.com/api/v2/logs?ddsource=cloudflare&ddtags=env:prod",
            "Content-Type: application/json",
            "User-Agent: {agent}",
            "Content-Encoding: gzip",
            "X-Logpush-Push-Id: 5f3a9c01push",
            "DD-API-KEY: s3cr&t",
        ],
    ),
    (
        "datadog://http-intake.logs.datadoghq.eu/v1/input?header_DD-API-KEY=${secret:KEY}&ddsource=cloudflare",
        &[
            "request, gzip, a JSON array",
            "POST https://http-intake.logs.datadoghq.eu/v1/input?ddsource=cloudflare",
            "Content-Type: application/json",
            "User-Agent: {agent}",
            "Content-Encoding: gzip",
            "X-Logpush-Push-Id: 5f3a9c01push",
            "DD-API-KEY: s3cr&t",
        ],
    ),
    (
        "sumo://endpoint4.collection.sumologic.com/receiver/v1/http/c0de==",
        &[
            "request, gzip",
            "POST https://endpoint4.collection.sumologic.com/receiver/v1/http/c0de==",
            "Content-Type: application/x-ndjson",
            "User-Agent: {agent}",
            "Content-Encoding: gzip",
            "X-Logpush-Push-Id: 5f3a9c01push",
        ],
    ),
    (
        "sentinelone://ingest.us1.sentinelone.net/services/collector/raw?sourcetype=x&header_Authorization=Bearer%20${secret:KEY}",
        &[
            "request, gzip",
            "POST https://ingest.us1.sentinelone.net/services/collector/raw?sourcetype=x",
            "Content-Type: application/x-ndjson",
            "User-Agent: {agent}",
            "Content-Encoding: gzip",
            "X-Logpush-Push-Id: 5f3a9c01push",
            "Authorization: Bearer s3cr&t",
        ],
    ),
    (
        "splunk://http-inputs-acme.splunkcloud.com/services/collector/event?sourcetype=cloudflare:json&index=edge&header_Authorization=Splunk%20${secret:KEY}",
        &[
            "request, gzip, events",
            "POST https://http-inputs-acme.splunkcloud.com/services/collector/event",
            "Content-Type: application/json",
            "User-Agent: {agent}",
            "Content-Encoding: gzip",
            "X-Logpush-Push-Id: 5f3a9c01push",
            "Authorization: Splunk s3cr&t",
        ],
    ),
    (
        "s3://logs/edge/{DATE}?region=eu-west-1&sse=AES256&access-key-id=AKID&secret-access-key=${secret:KEY}",
        &[
            "object edge/20260701/20260701T095830Z_20260701T095900Z_5f3a9c01push.log.gz",
            "PUT https://logs.s3.eu-west-1.amazonaws.com/edge/20260701/20260701T095830Z_20260701T095900Z_5f3a9c01push.log.gz?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260701%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=20260701T100000Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host%3Bx-amz-server-side-encryption&X-Amz-Signature=…",
            "User-Agent: {agent}",
            "Content-Type: application/x-ndjson",
            "Content-Encoding: gzip",
            "x-amz-server-side-encryption: AES256",
        ],
    ),
    (
        "s3://logs/edge?region=us-east-1&endpoint=s3.example.com&access-key-id=AKID&secret-access-key=${secret:KEY}",
        &[
            "object edge/20260701T095830Z_20260701T095900Z_5f3a9c01push.log.gz",
            "PUT https://s3.example.com/logs/edge/20260701T095830Z_20260701T095900Z_5f3a9c01push.log.gz?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260701%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260701T100000Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Signature=…",
            "User-Agent: {agent}",
            "Content-Type: application/x-ndjson",
            "Content-Encoding: gzip",
        ],
    ),
    (
        "r2://logs/{DATE}?account-id=023e105f4ecef8ad9ca31a8372d0c353&access-key-id=AKID&secret-access-key=${secret:KEY}",
        &[
            "object 20260701/20260701T095830Z_20260701T095900Z_5f3a9c01push.log.gz",
            "PUT https://023e105f4ecef8ad9ca31a8372d0c353.r2.cloudflarestorage.com/logs/20260701/20260701T095830Z_20260701T095900Z_5f3a9c01push.log.gz?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260701%2Fauto%2Fs3%2Faws4_request&X-Amz-Date=20260701T100000Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Signature=…",
            "User-Agent: {agent}",
            "Content-Type: application/x-ndjson",
            "Content-Encoding: gzip",
        ],
    ),
    (
        "r2://logs/{DATE}?binding=LOGS",
        &["object 20260701/20260701T095830Z_20260701T095900Z_5f3a9c01push.log.gz"],
    ),
    (
        "gs://logs/{DATE}?access-key-id=GOOG1&secret-access-key=${secret:KEY}",
        &[
            "object 20260701/20260701T095830Z_20260701T095900Z_5f3a9c01push.log.gz",
            "PUT https://storage.googleapis.com/logs/20260701/20260701T095830Z_20260701T095900Z_5f3a9c01push.log.gz?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=GOOG1%2F20260701%2Fauto%2Fs3%2Faws4_request&X-Amz-Date=20260701T100000Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Signature=…",
            "User-Agent: {agent}",
            "Content-Type: application/x-ndjson",
            "Content-Encoding: gzip",
        ],
    ),
    (
        "azure://acme.blob.core.windows.net/logs/{DATE}?sv=2024-11-04&ss=b&srt=o&sp=w&se=2036-01-01T00:00:00Z&spr=https&sig=${secret:KEY}",
        &[
            "object 20260701/20260701T095830Z_20260701T095900Z_5f3a9c01push.log.gz",
            "PUT https://acme.blob.core.windows.net/logs/20260701/20260701T095830Z_20260701T095900Z_5f3a9c01push.log.gz?sv=2024-11-04&ss=b&srt=o&sp=w&se=2036-01-01T00:00:00Z&spr=https&sig=s3cr%26t",
            "User-Agent: {agent}",
            "x-ms-blob-type: BlockBlob",
            "x-ms-blob-Content-Type: application/x-ndjson",
            "x-ms-blob-Content-Encoding: gzip",
        ],
    ),
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
            encoding,
            frame,
        } => {
            let body = match frame {
                Body::Stored => "",
                Body::Capped { .. } => ", no record above a size",
                Body::Array { .. } => ", a JSON array",
                Body::Events(_) => ", events",
            };
            let encoding = match encoding {
                Encoding::Gzip => "gzip",
                Encoding::Identity => "plain",
            };
            (format!("request, {encoding}{body}"), lines_of(request))
        }
        Delivery::Object(object) => {
            let call = object.call(&Step::Whole, NOW_MILLIS / 1000, None);
            let lines = call.unwrap().map_or(vec![], |call| lines_of(&call.request));
            let unsigned = lines
                .into_iter()
                .map(|line| match line.split_once("Signature=") {
                    Some((line, _)) => format!("{line}Signature=…"),
                    None => line,
                });
            (format!("object {}", object.name), unsigned.collect())
        }
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
        Delivery::Queue {
            binding, push_id, ..
        } => (format!("queue {binding}, {push_id}"), vec![]),
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
        let push = Push {
            holds: Holds::Records {
                first_millis: NOW_MILLIS - 90_000,
                last_millis: NOW_MILLIS - 60_000,
            },
            ..Push::ndjson("5f3a9c01push")
        };
        assert_eq!(
            made(&delivery(&destination, &push).unwrap()),
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
