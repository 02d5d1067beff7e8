//! No request leaves for an address that is not public, however its host is written, and whatever the request is for.

use logpush_edge::alerting::WebhookInput;
use logpush_edge::logpush::destination_conf::{
    DestinationConf, DestinationConfError, DestinationPolicy,
};
use serde_json::json;

const PUBLIC: DestinationPolicy = DestinationPolicy {
    allow_private: false,
};

/// Spellings of hosts that are not public. All are refused as private.
const PRIVATE: [&str; 47] = [
    // 127.0.0.1, dotted, short, decimal, octal, hexadecimal, mixed, with leading zeros and with a dot at the end.
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "0x7f000001",
    "0x7F.0x0.0x0.0x1",
    "0x7f.1",
    "127.0.0.1.",
    "127.255.255.254",
    // With other digits and dots than ASCII's, and percent-encoded.
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "１２７.0.0.1",
    "%31%32%37.0.0.1",
    "127%2e0%2E0%2e1",
    // The metadata service of clouds.
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[64:ff9b::169.254.169.254]",
    "[2002:a9fe:a9fe::1]",
    // Private networks, and others that are nobody's.
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "0.0.0.0",
    "0",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[0000:0000::0001]",
    "[::ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[fd00::1]",
    "[fe80::1]",
    // Names.
    "localhost",
    "LocalHost.",
    "localhost%2e",
    "ｌｏｃａｌｈｏｓｔ",
    "a.localhost",
    "metadata.google.internal",
    "siem",
];

/// Hosts that are public, or look as if they were: what a name resolves to can not be seen.
const OPEN: [&str; 7] = [
    "logs.example.com",
    "1.1.1.1",
    "[2606:4700:4700::1111]",
    "bücher.example",
    "127.0.0.1.nip.io",
    "localhost.example.com",
    "10-0-0-1.example.com",
];

/// Each kind of string that names a host.
fn strings(host: &str) -> Vec<String> {
    let s3 = "region=auto&access-key-id=a&secret-access-key=b";
    vec![
        format!("https://{host}/in?header_Authorization=x"),
        format!("https://{host}:8443/in"),
        format!("splunk://{host}/services/collector/raw"),
        format!("splunk://{host}:8088/services/collector/raw"),
        format!("wss://{host}/in?header_Authorization=x"),
        format!("wss://{host}:8443/in?ack=true"),
        format!("sentinelone://{host}/services/collector/raw?header_Authorization=x"),
        format!("datadog://{host}/api/v2/logs?header_DD-API-KEY=x"),
        format!("sumo://{host}/receiver/v1/http/x"),
        format!("azure://{host}/logs?sv=1&ss=b&srt=o&sp=w&se=2036&sig=x"),
        format!("s3://logs?{s3}&endpoint={host}"),
        format!("s3://logs?{s3}&endpoint={host}:9000"),
    ]
}

/// Whether it is the host that is refused; an endpoint of storage is refused as a whole.
fn is_of_the_host(error: &DestinationConfError) -> bool {
    match error {
        DestinationConfError::PrivateHost => true,
        DestinationConfError::ParameterForm { parameter, .. } => parameter == "endpoint",
        _ => false,
    }
}

#[test]
fn every_spelling_of_a_host_that_is_not_public_is_refused_for_every_kind() {
    for host in PRIVATE {
        for text in strings(host) {
            let error = DestinationConf::parse(&text, PUBLIC).unwrap_err();
            assert!(is_of_the_host(&error), "{text}: {error:?}");
        }
        for scheme in ["https", "http"] {
            let url = format!("{scheme}://{host}/hook");
            let input = WebhookInput::from_json(&json!({"name": "n", "url": url})).unwrap();
            let refused = input.into_new("w".into(), "a".into(), "2026-07-01T00:00:00Z", false);
            let error = refused.unwrap_err().to_string();
            assert!(
                error.starts_with("url: the host is private"),
                "{url}: {error}"
            );
        }
    }
}

#[test]
fn hosts_that_are_public_are_not_refused() {
    for host in OPEN {
        for text in strings(host) {
            if let Err(error) = DestinationConf::parse(&text, PUBLIC) {
                assert!(!is_of_the_host(&error), "{text}: {error:?}");
            }
        }
    }
}

#[test]
fn a_request_goes_to_the_host_that_was_looked_at() {
    // The URL that is asked has the host in the form in which it was judged, so that nobody reads it another way.
    for (written, asked) in [
        ("https://1.1.1.1./in", "https://1.1.1.1/in"),
        ("https://0x01010101/in", "https://1.1.1.1/in"),
        ("https://16843009/in", "https://1.1.1.1/in"),
        ("https://LOGS.example.COM/in", "https://logs.example.com/in"),
        (
            "wss://bücher.example/in",
            "https://xn--bcher-kva.example/in",
        ),
        (
            "splunk://%6cogs.example.com/services/collector/raw",
            "https://logs.example.com/services/collector/raw",
        ),
    ] {
        let conf = DestinationConf::parse(written, PUBLIC).unwrap();
        assert_eq!(conf.resolve(|_| None).unwrap().url, asked);
    }
}

#[test]
fn a_user_name_a_backslash_or_another_scheme_leads_nowhere() {
    for text in [
        "https://logs.example.com@127.0.0.1/in",
        "https://127.0.0.1@logs.example.com/in",
        "https://user:password@logs.example.com/in",
        "wss://logs.example.com@10.0.0.1/in",
        "https://127.0.0.1\\@logs.example.com/in",
        "https:\\\\127.0.0.1/in",
        "https://127.0.0.1#logs.example.com/in",
        "https://127.0.0.1\t.example.com/in",
        "https://[::1/in",
        "https://256.256.256.256/in",
        "https://1.2.3.4.5/in",
        "https:///in",
        "http://logs.example.com/in",
        "ws://logs.example.com/in",
        "ws://127.0.0.1/in",
        "ftp://logs.example.com/in",
        "file:///etc/passwd",
        "gopher://logs.example.com/in",
        "data://text/plain,x",
        "javascript://logs.example.com/%0aalert(1)",
    ] {
        assert!(DestinationConf::parse(text, PUBLIC).is_err(), "{text}");
    }
}

#[test]
fn with_the_operators_leave_a_web_socket_may_be_plain_on_this_machine_only() {
    let private = DestinationPolicy {
        allow_private: true,
    };
    for host in ["127.0.0.1:9000", "localhost:9000", "[::1]:9000"] {
        let conf = DestinationConf::parse(&format!("ws://{host}/in"), private).unwrap();
        let url = conf.resolve(|_| None).unwrap().url;
        assert_eq!(url, format!("http://{host}/in"));
    }
    for host in ["10.0.0.1", "logs.example.com", "siem"] {
        assert_eq!(
            DestinationConf::parse(&format!("ws://{host}/in"), private),
            Err(DestinationConfError::PlainWebSocket),
        );
    }
    let conf = DestinationConf::parse("wss://10.0.0.1/in", private).unwrap();
    assert_eq!(conf.resolve(|_| None).unwrap().url, "https://10.0.0.1/in");
}
