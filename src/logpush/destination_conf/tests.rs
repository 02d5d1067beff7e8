use super::DestinationConfError as E;
use super::*;
use url::Url;

const PUBLIC: DestinationPolicy = DestinationPolicy {
    allow_private: false,
};
const PRIVATE: DestinationPolicy = DestinationPolicy {
    allow_private: true,
};

fn parse(text: &str) -> Result<DestinationConf, E> {
    DestinationConf::parse(text, PUBLIC)
}

fn lookup(name: &str) -> Option<String> {
    match name {
        "HEC" => Some("1f3a-token".into()),
        "AWKWARD" => Some("a&b=c d/é%".into()),
        "BROKEN" => Some("token\r\nX-Evil: 1".into()),
        "EMPTY" => Some(String::new()),
        "QUOTED" => Some("pa\"ss\\word".into()),
        _ => None,
    }
}

fn resolve(text: &str) -> ResolvedDestination {
    DestinationConf::parse(text, PRIVATE)
        .unwrap()
        .resolve(lookup)
        .unwrap()
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

#[test]
fn https_headers_leave_the_url_and_the_rest_stays_in_order() {
    type Headers = Vec<(String, String)>;
    let cases: [(&str, &str, Headers); 9] = [
        (
            "https://logs.example.com?header_Authorization=Basic%20REDACTED2&tags=host:theburritobot.com,dataset:http_requests",
            "https://logs.example.com/?tags=host:theburritobot.com,dataset:http_requests",
            vec![header("Authorization", "Basic REDACTED2")],
        ),
        (
            "https://h.example:8443/a/b?z=1&header_CF-Access-Client-Id=id&a=2&header_CF-Access-Client-Secret=x%2By+z&z=3",
            "https://h.example:8443/a/b?z=1&a=2&z=3",
            vec![
                header("CF-Access-Client-Id", "id"),
                header("CF-Access-Client-Secret", "x+y+z"),
            ],
        ),
        ("HTTPS://H.Example:443/", "https://h.example/", vec![]),
        ("https://h.example/p?", "https://h.example/p", vec![]),
        (
            "https://h.example/p?&raw&&empty=&q=a b\"%20c%",
            "https://h.example/p?raw&empty=&q=a%20b%22%20c%25",
            vec![],
        ),
        (
            "https://h.example/?Header_X=1&xheader_Y=2",
            "https://h.example/?Header_X=1&xheader_Y=2",
            vec![],
        ),
        (
            "https://h.example/?header_Content-Type=application%2Fjson",
            "https://h.example/",
            vec![header("Content-Type", "application/json")],
        ),
        (
            "https://h.example/?header_X=a=b?c",
            "https://h.example/",
            vec![header("X", "a=b?c")],
        ),
        (
            "https://h.example/?header_X=",
            "https://h.example/",
            vec![header("X", "")],
        ),
    ];
    for (text, url, headers) in cases {
        let conf = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let resolved = conf.resolve(lookup).unwrap();
        assert_eq!(
            (resolved.url.as_str(), &resolved.headers),
            (url, &headers),
            "{text}"
        );
        assert_eq!(resolved.kind, DestinationKind::Https);
    }
}

#[test]
fn splunk_becomes_https_without_its_own_parameters() {
    let text = "splunk://h.splunkcloud.com:8088/services/collector/raw?channel=6f5d&insecure-skip-verify=false\
                &sourcetype=cloudflare:json&header_Authorization=Splunk%20${secret:HEC}";
    let conf = parse(text).unwrap();
    assert_eq!(conf.kind(), DestinationKind::Splunk);
    assert_eq!(conf.secret_names(), ["HEC"]);
    let resolved = conf.resolve(lookup).unwrap();
    assert_eq!(
        resolved.url,
        "https://h.splunkcloud.com:8088/services/collector/raw?channel=6f5d&sourcetype=cloudflare:json"
    );
    assert_eq!(
        resolved.headers,
        [header("Authorization", "Splunk 1f3a-token")]
    );

    let cases = [
        (
            "splunk://h.example/services/collector/raw",
            Ok("https://h.example/services/collector/raw"),
        ),
        (
            "splunk://h.example:443/services/collector/raw/1.0",
            Ok("https://h.example/services/collector/raw/1.0"),
        ),
        (
            "splunk://h.example:8089/services/collector/raw",
            Err(E::SplunkPort),
        ),
        (
            "splunk://h.example:80/services/collector/raw",
            Err(E::SplunkPort),
        ),
        (
            "splunk://h.example/services/collector/event",
            Ok("https://h.example/services/collector/event"),
        ),
        ("splunk://h.example/services/collector", Err(E::SplunkPath)),
        (
            "splunk://h.example/services/collector/raw/",
            Err(E::SplunkPath),
        ),
        ("splunk://h.example", Err(E::SplunkPath)),
        (
            "splunk://h.example/services/collector/raw?insecure-skip-verify=true",
            Err(E::SkipVerify),
        ),
        (
            "splunk://h.example/services/collector/raw?insecure-skip-verify=",
            Err(E::SkipVerifyForm),
        ),
        (
            "splunk://h.example/services/collector/raw?insecure-skip-verify",
            Err(E::SkipVerifyForm),
        ),
        (
            "splunk://h.example/services/collector/raw?insecure-skip-verify=yes",
            Err(E::SkipVerifyForm),
        ),
        (
            "splunk://127.0.0.1:8088/services/collector/raw",
            Err(E::PrivateHost),
        ),
    ];
    for (text, expected) in cases {
        let url = parse(text).map(|conf| conf.resolve(lookup).unwrap().url);
        assert_eq!(url, expected.map(String::from), "{text}");
    }
}

#[test]
fn plain_http_and_private_hosts_need_the_operators_leave() {
    let cases = [
        ("http://h.example/x", E::PlainHttp, "http://h.example/x"),
        (
            "http://127.0.0.1:9000/x",
            E::PlainHttp,
            "http://127.0.0.1:9000/x",
        ),
        ("https://10.0.0.1/x", E::PrivateHost, "https://10.0.0.1/x"),
        ("https://siem/x", E::PrivateHost, "https://siem/x"),
        (
            "https://[::ffff:a00:1]:99/x",
            E::PrivateHost,
            "https://[::ffff:a00:1]:99/x",
        ),
        (
            "splunk://127.0.0.1:39411/services/collector/raw",
            E::PrivateHost,
            "http://127.0.0.1:39411/services/collector/raw",
        ),
        (
            "splunk://localhost:8088/services/collector/raw",
            E::PrivateHost,
            "http://localhost:8088/services/collector/raw",
        ),
        (
            "splunk://10.0.0.5:8088/services/collector/raw",
            E::PrivateHost,
            "https://10.0.0.5:8088/services/collector/raw",
        ),
    ];
    for (text, refused, allowed) in cases {
        let error = parse(text).unwrap_err();
        assert!(
            error.to_string().contains("ALLOW_PRIVATE_DESTINATIONS"),
            "{text}: {error}"
        );
        assert_eq!(error, refused, "{text}");
        assert_eq!(resolve(text).url, allowed, "{text}");
    }
    // A private host that is not this machine keeps Splunk's ports.
    assert_eq!(
        DestinationConf::parse("splunk://10.0.0.5:9000/services/collector/raw", PRIVATE),
        Err(E::SplunkPort)
    );
}

#[test]
fn what_is_wrong_is_said_without_the_value() {
    let parameter = String::from;
    let cases = [
        (
            format!("https://h.example/{}", "s".repeat(4080)),
            E::TooLong,
        ),
        (
            "https://h.example/?header_X=s3cret\r\nY: z".into(),
            E::ControlCharacter,
        ),
        ("s3cret".into(), E::NoScheme),
        ("s3cret://h.example/".into(), E::UnknownScheme),
        ("wsss://h.example/".into(), E::UnknownScheme),
        (
            "bq://projects/p/datasets/d/tables/t?credentials=url:x".into(),
            E::NotOffered { scheme: "bq" },
        ),
        (
            "Kinesis://logs?region=eu-west-1&access-key-id=s3cret&secret-access-key=s3cret".into(),
            E::NotOffered { scheme: "kinesis" },
        ),
        ("https:///?x".into(), E::Url(url::ParseError::EmptyHost)),
        (
            "https://h.example:s3cret/".into(),
            E::Url(url::ParseError::InvalidPort),
        ),
        ("https://h.example/?a=b#s3cret".into(), E::Fragment),
        ("https://user:s3cret@h.example/".into(), E::UserInfo),
        ("https://s3cret@h.example/".into(), E::UserInfo),
        ("https://${secret:HOST}/".into(), E::PlaceholderPlace),
        (
            "https://h.example:${secret:PORT}/".into(),
            E::PlaceholderPlace,
        ),
        (
            "https://h.example/%24%7Bsecret:PATH}".into(),
            E::PlaceholderPlace,
        ),
        (
            "https://h.example/?a=1&${secret:NAME}=s3cret".into(),
            E::PlaceholderInName { number: 2 },
        ),
        (
            "https://h.example/?q=${secret:s3cret}".into(),
            E::PlaceholderForm {
                parameter: parameter("q"),
            },
        ),
        (
            "https://h.example/?header_X=${s3cret}".into(),
            E::PlaceholderForm {
                parameter: parameter("header_X"),
            },
        ),
        (
            "https://h.example/?header_Authorization: s3cret".into(),
            E::HeaderName { number: 1 },
        ),
        (
            "https://h.example/?a=1&header_s3cret".into(),
            E::HeaderName { number: 2 },
        ),
        (
            "https://h.example/?header_=s3cret".into(),
            E::HeaderName { number: 1 },
        ),
        (
            "https://h.example/?header_A%20B=s3cret".into(),
            E::HeaderName { number: 1 },
        ),
        (
            "https://h.example/?header_X=s3cret%0d%0aY:z".into(),
            E::HeaderValue {
                parameter: parameter("header_X"),
            },
        ),
        (
            "https://h.example/?header_X=s3cret%00".into(),
            E::HeaderValue {
                parameter: parameter("header_X"),
            },
        ),
        (
            "https://h.example/?header_X=s3cret%ff".into(),
            E::HeaderValue {
                parameter: parameter("header_X"),
            },
        ),
        (
            "https://h.example/?header_X=s3crét".into(),
            E::HeaderValue {
                parameter: parameter("header_X"),
            },
        ),
        (
            "https://h.example/?header_X=s3cret&header_x=b".into(),
            E::HeaderTwice {
                parameter: parameter("header_x"),
            },
        ),
        (
            "https://h.example/?header_X=REDACTED".into(),
            E::Masked {
                parameter: parameter("header_X"),
            },
        ),
        (
            "https://h.example/?header_X=REDACTED${secret:HEC}".into(),
            E::Masked {
                parameter: parameter("header_X"),
            },
        ),
        (
            "https://h.example/?api-key=REDACTED".into(),
            E::Masked {
                parameter: parameter("api-key"),
            },
        ),
    ];
    for (text, expected) in cases {
        let error = parse(&text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(!error.to_string().contains("s3c"), "{error}");
        assert!(!format!("{error:?}").contains("s3c"), "{error:?}");
    }
    assert!(parse(&format!("https://h.example/{}", "s".repeat(4096 - 18))).is_ok());
}

#[test]
fn headers_of_the_push_and_the_connection_are_refused() {
    for name in HEADERS_NOT_ALLOWED.iter().copied().chain([
        "Host",
        "Content-Length",
        "TRANSFER-ENCODING",
        "Connectio%6e",
    ]) {
        let error = parse(&format!("https://h.example/?header_{name}=s3cret")).unwrap_err();
        assert!(
            matches!(error, E::HeaderNotAllowed { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn the_control_planes_own_secrets_are_never_sent() {
    for secret in RESERVED_SECRETS {
        for text in [
            format!("https://h.example/?header_X=a${{secret:{secret}}}"),
            format!("https://h.example/?q=%24%7Bsecret%3A{secret}%7D"),
        ] {
            assert!(
                matches!(parse(&text), Err(E::ReservedSecret { .. })),
                "{text}"
            );
        }
    }
}

#[test]
fn the_words_of_the_errors_are_these() {
    let table = [
        (E::TooLong, "must have at most 4096 characters"),
        (
            E::Url(url::ParseError::InvalidPort),
            "is no valid URL: invalid port number",
        ),
        (
            E::PrivateHost,
            "the host is private, local or reserved, or a name without a dot; \
             set ALLOW_PRIVATE_DESTINATIONS if records are meant to go there",
        ),
        (
            E::SplunkPort,
            "a splunk:// destination has port 443 or 8088",
        ),
        (
            E::SkipVerify,
            "insecure-skip-verify: a Worker can not skip certificate checks; \
             give the destination a publicly trusted certificate and set false",
        ),
        (
            E::HeaderNotAllowed {
                parameter: "header_Host".into(),
            },
            "header_Host: this header is set by the push or the connection itself; remove the parameter",
        ),
        (
            E::PlaceholderForm {
                parameter: "token".into(),
            },
            "token: ${ must begin ${secret:NAME}, with a NAME of 1 to 64 characters of A-Z, 0-9 and _",
        ),
        (
            E::ReservedSecret {
                parameter: "header_X".into(),
                secret: "API_TOKEN",
            },
            "header_X: API_TOKEN is a secret of this service itself and is never sent to a destination",
        ),
    ];
    let offered = schemes::offered();
    assert!(offered.starts_with("https, splunk"), "{offered}");
    for (error, begin) in [
        (E::NoScheme, "must begin with a scheme and ://"),
        (E::UnknownScheme, "the scheme is not known"),
        (
            E::NotOffered { scheme: "s3" },
            "s3:// is not offered in this version",
        ),
    ] {
        let text = format!("{begin}; the schemes offered are {offered}");
        assert_eq!(error.to_string(), text);
    }
    for (error, text) in table {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn secrets_go_encoded_into_the_url_and_as_they_are_into_headers() {
    let text = "https://h.example/?token=x${secret:AWKWARD}&header_A=${secret:HEC}.${secret:QUOTED}&b=${secret:HEC}";
    let conf = parse(text).unwrap();
    assert_eq!(conf.secret_names(), ["HEC", "QUOTED", "AWKWARD"]);
    let resolved = conf.resolve(lookup).unwrap();
    assert_eq!(
        resolved.url,
        "https://h.example/?token=xa%26b%3Dc%20d%2F%C3%A9%25&b=1f3a-token"
    );
    assert_eq!(resolved.headers, [header("A", "1f3a-token.pa\"ss\\word")]);
}

#[test]
fn a_secret_that_is_missing_or_no_header_value_is_named() {
    let resolve = |text: &str| parse(text).unwrap().resolve(lookup).unwrap_err();
    for (name, text) in [
        ("NONE", "https://h.example/?header_A=${secret:NONE}"),
        ("NONE", "https://h.example/?a=${secret:NONE}"),
        ("EMPTY", "https://h.example/?header_A=${secret:EMPTY}"),
    ] {
        assert_eq!(
            resolve(text),
            ResolveError::MissingSecret { name: name.into() }
        );
    }
    let error = resolve("https://h.example/?header_A=${secret:BROKEN}");
    assert_eq!(
        error,
        ResolveError::SecretNotAHeaderValue {
            name: "BROKEN".into(),
            header: "A".into()
        }
    );
    assert_eq!(
        error.to_string(),
        "the secret BROKEN can not be sent in the header A: it holds a line break or a character outside of printable ASCII"
    );
    assert_eq!(
        ResolveError::MissingSecret { name: "HEC".into() }.to_string(),
        "the secret HEC is not set; set it with: wrangler secret put HEC"
    );
    // In a URL a line break is only another character to encode.
    assert!(
        parse("https://h.example/?a=${secret:BROKEN}")
            .unwrap()
            .resolve(lookup)
            .is_ok()
    );
}

#[test]
fn debug_shows_names_and_no_values() {
    let text = "https://h.example/p?header_A=s3cret&token=s3cret&x=s3cret&header_B=${secret:HEC}&y=${secret:HEC}";
    let conf = parse(text).unwrap();
    assert_eq!(
        format!("{conf:?}"),
        r#"DestinationConf { kind: Https, endpoint: "https://h.example/p", parameters: ["token", "x", "y"], headers: ["A", "B"] }"#
    );
    assert_eq!(
        format!("{:?}", conf.resolve(lookup).unwrap()),
        r#"ResolvedDestination { kind: Https, endpoint: "https://h.example/p", headers: ["A", "B"], .. }"#
    );
}

#[test]
fn secrets_in_a_text_are_redacted() {
    let resolved = resolve(
        "https://h.example/?header_Authorization=Splunk%20abcdef&header_Content-Type=application%2Fjson&header_N=1\
         &api-key=k%2Fey1&q=${secret:AWKWARD}&header_Q=${secret:QUOTED}&tags=public",
    );
    let table = [
        ("bad header Splunk abcdef!", "bad header REDACTED!"),
        ("token abcdef and abcdef", "token REDACTED and REDACTED"),
        ("k/ey1 k%2Fey1", "REDACTED REDACTED"),
        (
            "a&b=c d/é% or a%26b%3Dc%20d%2F%C3%A9%25",
            "REDACTED or REDACTED",
        ),
        (
            r#"pa"ss\word {"was":"pa\"ss\\word"}"#,
            r#"REDACTED {"was":"REDACTED"}"#,
        ),
        (
            "wrong Content-Type header, expecting application/json 1",
            "wrong Content-Type header, expecting application/json 1",
        ),
        ("public Splunk words", "public Splunk words"),
        // The end of the text cuts a secret off.
        ("the header Splunk abcd", "the header REDACTED"),
        ("the token abcde", "the token REDACTED"),
        ("", ""),
    ];
    for (text, expected) in table {
        assert_eq!(resolved.redact(text), expected);
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused_and_masked_without_a_panic(
        scheme in "(https|http|splunk|sumo|s3|azure|bq|kinesis|x)?(://)?(h\\.example)?/?",
        rest in "([a-z0-9.:/@?&=#%$ ä'{}]|\\PC|header_|\\$\\{secret:[A-Z]{1,3}\\}|%24%7B|token=){0,24}",
    ) {
        let text = format!("{scheme}{rest}");
        let _ = masked(&text);
        if let Ok(conf) = DestinationConf::parse(&text, PRIVATE) {
            let resolved = conf.resolve(|_| Some("s3cr&t #".into())).unwrap();
            // The URL is as it will be sent: parsing it again changes nothing.
            let parsed = Url::parse(&resolved.url).unwrap();
            proptest::prop_assert_eq!(parsed.as_str(), &resolved.url);
            let shown = format!("{conf:?}{resolved:?}");
            proptest::prop_assert!(!shown.contains("s3cr"));
        }
    }

    #[test]
    fn no_secret_value_survives_masking_or_an_error(
        value in "[A-Za-z0-9?#=:;/@%$ {}]{0,12}",
        parameter in "(header_[A-Za-z ]{0,5}|api[-_]?key|X-Token|Signature|sig|PASSWORD)",
        front in "(https|splunk|s3|r2|gs|azure|sentinelone|datadog|sumo|bq|kinesis|ibmcl|x)://[a-z.:@]{0,8}(/[a-z]{0,4})?",
        before in "[?&](a=1&)?",
    ) {
        let text = format!("{front}{before}{parameter}=Q!{value}Q!&b=2");
        let shown = masked(&text);
        proptest::prop_assert!(!shown.contains("Q!"), "{} -> {}", text, shown);
        if let Err(error) = DestinationConf::parse(&text, PUBLIC) {
            let error = format!("{error}{error:?}");
            proptest::prop_assert!(!error.contains("Q!"), "{} -> {}", text, error);
        }
    }
}
