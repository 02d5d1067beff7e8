use super::{As, Made, at};
use crate::ecs::table::Step;
use proptest::prelude::*;

/// What a conversion writes; `=` for the value's own text, `-` for left out, `.` for nothing, `|` for stays, `!` for unfit.
fn made(conversion: As, raw: &str) -> String {
    let mut out = b"before".to_vec();
    let made = conversion.convert(raw.as_bytes(), &mut out);
    let written = String::from_utf8(out.split_off("before".len())).unwrap();
    assert_eq!(out, b"before");
    assert_eq!(
        written.is_empty(),
        made != Made::Written,
        "{raw}: {written}"
    );
    match made {
        Made::AsItIs => "=".to_owned(),
        Made::Written => written,
        Made::LeftOut => "-".to_owned(),
        Made::Nothing => ".".to_owned(),
        Made::Stays => "|".to_owned(),
        Made::Unfit => "!".to_owned(),
    }
}

/// Values that fit nowhere but where they are named.
const ODD: [&str; 9] = [
    "{}",
    "[]",
    r#"{"a":[1]}"#,
    "[null]",
    "true",
    "-1",
    "9223372036854775808",
    "1e400",
    r#""\u0000\ud83d\ude00""#,
];

#[test]
fn every_conversion_has_its_form() {
    use As::*;
    let cases: &[(As, &[(&str, &str)])] = &[
        (Text, &[(r#""a\u0026b""#, "="), ("1", "!"), ("{}", "!")]),
        (
            String,
            &[
                (r#""a""#, "="),
                ("1", r#""1""#),
                ("-1.5e3", r#""-1.5e3""#),
                ("true", r#""true""#),
                ("[]", "!"),
            ],
        ),
        (
            Texts,
            &[
                (r#""a""#, r#"["a"]"#),
                (r#"["a","b"]"#, "="),
                ("[]", "="),
                (r#"["a","",null,"b\"\""]"#, r#"["a","b\"\""]"#),
                ("[1]", "!"),
                ("1", "!"),
            ],
        ),
        (Mapped, &[(r#""a""#, "|"), ("1", "|"), ("{}", "|")]),
        (
            Lowercase,
            &[(r#""a-ö""#, "="), (r#""A\tÖ""#, r#""a\tÖ""#), ("1", "!")],
        ),
        (
            Uppercase,
            &[(r#""A""#, "="), (r#""aB""#, r#""AB""#), ("1", "!")],
        ),
        (
            Long,
            &[
                ("0", "="),
                ("-9223372036854775808", "="),
                ("9223372036854775808", "!"),
                (r#""12""#, "12"),
                (r#""+12""#, "!"),
                (r#""007""#, "7"),
                ("1.5", "!"),
                ("1e3", "!"),
                ("true", "!"),
            ],
        ),
        (
            Nonzero,
            &[
                ("0", "|"),
                (r#""0""#, "|"),
                ("200", "="),
                (r#""7""#, "7"),
                ("1.5", "!"),
            ],
        ),
        (
            Float,
            &[("1.5", "="), ("-1e3", "="), (r#""1""#, "!"), ("true", "!")],
        ),
        (
            Boolean,
            &[
                ("true", "="),
                (r#""false""#, "false"),
                ("1", "!"),
                (r#""yes""#, "!"),
            ],
        ),
        (
            Time,
            &[
                ("1657233726004000000", r#""2022-07-07T22:42:06.004000Z""#),
                ("1657233726", r#""2022-07-07T22:42:06Z""#),
                (r#""1657233726""#, r#""2022-07-07T22:42:06Z""#),
                (
                    r#""2022-07-07T22:42:06.004Z""#,
                    r#""2022-07-07T22:42:06.004000Z""#,
                ),
                (
                    r#""2022-07-07T22:42:06.004000Z""#,
                    r#""2022-07-07T22:42:06.004000Z""#,
                ),
                (
                    r#""2022-07-07T22\u003a42:06Z""#,
                    r#""2022-07-07T22:42:06Z""#,
                ),
                ("1657233726004000999", r#""2022-07-07T22:42:06.004000Z""#),
                ("1657233726000000999", r#""2022-07-07T22:42:06Z""#),
                ("0", "|"),
                (r#""0001-01-01T00:00:00Z""#, "|"),
                (r#""yesterday""#, "!"),
                ("1e9", "!"),
                ("true", "!"),
                ("9223372036854775808", r#""2262-04-11T23:47:16.854775Z""#),
            ],
        ),
        (
            DurationSeconds,
            &[
                ("1", "1000000000"),
                ("0.5", "500000000"),
                (r#""2""#, "2000000000"),
                ("1e3", "!"),
                ("-1", "!"),
                ("99999999999", "!"),
            ],
        ),
        (
            DurationMillis,
            &[
                ("0", "0"),
                ("12", "12000000"),
                ("1.0000019", "1000001"),
                ("1.", "!"),
                (r#"".5""#, "!"),
            ],
        ),
        (
            Ip,
            &[
                (r#""192.0.2.1""#, "="),
                (r#""2001:db8::1""#, "="),
                (r#""::ffff:192.0.2.1""#, "="),
                (r#""192.0.2.1:80""#, "!"),
                (r#""fe80::1%eth0""#, "!"),
                (r#""[::1]""#, "!"),
                (r#""192.0.2.256""#, "!"),
                (r#""192.0.2.01""#, "!"),
                ("1", "!"),
            ],
        ),
        (
            Ips,
            &[
                (r#"["192.0.2.1","::1"]"#, "="),
                (r#""::1""#, r#"["::1"]"#),
                ("[]", "="),
                (r#"["192.0.2.1","x"]"#, "!"),
                ("1", "!"),
            ],
        ),
        (
            Port,
            &[
                ("0", "-"),
                (r#""0""#, "-"),
                ("1", "="),
                ("65535", "="),
                ("65536", "!"),
                (r#""443""#, "443"),
                ("-1", "!"),
            ],
        ),
        (
            Asn,
            &[
                ("13335", "="),
                ("0", "|"),
                (r#""AS0""#, "|"),
                (r#""AS13335""#, "13335"),
                (r#""013335""#, "13335"),
                ("4294967296", "!"),
                (r#""x""#, "!"),
            ],
        ),
        (
            Country,
            &[
                (r#""DE""#, "="),
                (r#""gb""#, r#""GB""#),
                (r#""T1""#, "|"),
                (r#""Germany""#, "|"),
                ("49", "!"),
            ],
        ),
        (
            Transport,
            &[
                ("6", r#""tcp""#),
                (r#""17""#, r#""udp""#),
                ("58", r#""ipv6-icmp""#),
                ("61", "."),
                ("254", "."),
                ("256", "!"),
                (r#""TCP""#, r#""tcp""#),
                (r#""udp""#, "="),
            ],
        ),
        (
            DnsName,
            &[
                (r#""foO-BAR.xYz.""#, r#""foO-BAR.xYz""#),
                (r#""..a.b..""#, r#""a.b""#),
                (r#""a.b""#, "="),
                (r#""a\\032b.""#, r#""a\\032b""#),
                (r#"".""#, "-"),
                (r#""...""#, "-"),
                ("1", "!"),
            ],
        ),
        (
            DnsType,
            &[
                ("1", r#""A""#),
                ("28", r#""AAAA""#),
                ("65", r#""HTTPS""#),
                ("255", r#""*""#),
                ("32769", r#""DLV""#),
                (r#""2""#, r#""NS""#),
                (r#""MX""#, "="),
                ("0", "-"),
                ("54", "-"),
                ("64000", "-"),
                ("65536", "!"),
                ("-1", "!"),
                ("1.0", "!"),
                ("true", "!"),
            ],
        ),
        (
            DnsRcode,
            &[
                ("0", r#""NoError""#),
                ("2", r#""ServFail""#),
                ("3", r#""NXDomain""#),
                ("5", r#""Refused""#),
                ("23", r#""BADCOOKIE""#),
                ("12", "-"),
                ("24", "-"),
                (r#""NXDOMAIN""#, "="),
            ],
        ),
        (
            HttpProtocol,
            &[
                (r#""HTTP/2""#, r#""http""#),
                (r#""http/1.1""#, r#""http""#),
                (r#""1.1""#, r#""http""#),
                (r#""unknown""#, "|"),
                (r#""HTTP/""#, "|"),
                ("2", "!"),
            ],
        ),
        (
            HttpVersion,
            &[
                (r#""HTTP/2""#, r#""2""#),
                (r#""HTTP/1.1""#, r#""1.1""#),
                (r#""HTTP/x""#, "|"),
            ],
        ),
        (
            TlsProtocol,
            &[
                (r#""TLSv1.3""#, r#""tls""#),
                (r#""SSLv3""#, r#""ssl""#),
                (r#""none""#, "-"),
                (r#""QUIC""#, "|"),
                ("1", "!"),
            ],
        ),
        (
            TlsVersion,
            &[
                (r#""TLSv1.3""#, r#""1.3""#),
                (r#""TLSv1""#, r#""1.0""#),
                (r#""TLS 1.2""#, r#""1.2""#),
                (r#""none""#, "-"),
                (r#""TLSvX""#, "|"),
                (r#""TL""#, "|"),
            ],
        ),
        (
            RayId,
            &[(r#""00""#, "-"), (r#""713d4e8ffb4d1234""#, "="), ("0", "!")],
        ),
        (
            UrlScheme,
            &[
                (r#""https://a/b""#, r#""https""#),
                (r#""/b?c=http://d""#, "."),
                (r#""a:80""#, "."),
            ],
        ),
        (
            UrlDomain,
            &[
                (r#""https://u:p@a.b:8443/c@d""#, r#""a.b""#),
                (r#""a.b/c""#, r#""a.b""#),
                (r#""a.b:80""#, r#""a.b""#),
                (r#""a.b""#, "="),
                (r#""http://[::1]:80/""#, r#""::1""#),
                (r#""/c""#, "."),
                (r#""?q=a@b""#, "."),
                ("1", "!"),
            ],
        ),
        (
            UrlPort,
            &[
                (r#""https://a:8443/""#, "8443"),
                (r#""http://[::1]:80/""#, "80"),
                (r#""::1""#, "."),
                (r#""a:x""#, "."),
                (r#""a:0""#, "."),
                (r#""a""#, "."),
            ],
        ),
        (
            UrlPath,
            &[
                (r#""https://a/b/c?d#e""#, r#""/b/c""#),
                (r#""/b#c?d""#, r#""/b#c""#),
                (r#""/b""#, "="),
                (r#""a.b/c""#, r#""/c""#),
                (r#""https://a""#, "."),
            ],
        ),
        (
            UrlQuery,
            &[
                (r#""/b?c=\"d\"?e""#, r#""c=\"d\"?e""#),
                (r#""/b?a=1\u0026b=2""#, r#""a=1&b=2""#),
                (r#""https://a?b=1#c""#, r#""b=1""#),
                (r#""/b?""#, "."),
                (r#""/b""#, "."),
            ],
        ),
        (
            Query,
            &[
                (r#""?a=/b?c""#, r#""a=/b?c""#),
                (r#""a=/b?c#d""#, "="),
                (r#""?""#, "."),
                ("1", "!"),
            ],
        ),
        (
            UrlFragment,
            &[(r#""https://a/b?c#d""#, r#""d""#), (r#""/b#d""#, ".")],
        ),
        (
            UrlExtension,
            &[
                (r#""https://a.b/c.tar.gz?d.e""#, r#""gz""#),
                (r#""/a.b/c""#, "."),
                (r#""/c.""#, "."),
                (r#""a.b""#, "."),
            ],
        ),
        (
            Whole,
            &[
                (r#"{"a":1}"#, "="),
                (
                    r#"{"a":null,"b":["",{"c":""}], "d" : 1}"#,
                    r#"{"b":[{}],"d":1}"#,
                ),
                (r#""a""#, "!"),
            ],
        ),
    ];
    for (conversion, rows) in cases {
        for (raw, wanted) in *rows {
            assert_eq!(made(*conversion, raw), *wanted, "{conversion:?} of {raw}");
        }
    }
    let tested: std::collections::BTreeSet<As> =
        cases.iter().map(|(conversion, _)| *conversion).collect();
    for conversion in As::ALL {
        assert!(tested.contains(&conversion), "{conversion:?} has no case");
        for raw in ODD {
            made(conversion, raw);
        }
    }
}

#[test]
fn what_nests_too_deep_for_its_readers_becomes_a_text() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(made(As::Whole, &nested(64)), "=");
    assert_eq!(made(As::Whole, &nested(65)), format!("\"{}\"", nested(65)));
    let wide = format!("[{}1]", "{\"[\":[]},".repeat(100));
    assert_eq!(made(As::Whole, &wide), "=");
}

#[test]
fn a_way_leads_into_a_value() {
    let raw = br#"{"a":[{"b":"x"},{"b":null}],"a\u0062":1,"c":1,"c":2}"#;
    let name = |name: &str| Step::Name(name.to_owned());
    for (way, found) in [
        (vec![name("a"), Step::Index(0), name("b")], Some("\"x\"")),
        (vec![name("a"), Step::Index(1), name("b")], None),
        (vec![name("a"), Step::Index(2)], None),
        (vec![name("ab")], Some("1")),
        (vec![name("c")], Some("2")),
        (vec![Step::Index(0)], None),
        (vec![name("c"), name("d")], None),
    ] {
        let found_here = at(raw, &way).map(String::from_utf8_lossy);
        assert_eq!(found_here.as_deref(), found, "{way:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_json_that_is_neither_null_nor_empty(
        text in r#"(https?://|/|TLSv|HTTP/|AS)?[a-zA-Z0-9./?#:@%\[\]"\\ -]{0,20}"#,
    ) {
        let raw = serde_json::to_string(&text).unwrap();
        prop_assume!(raw != "\"\"");
        for conversion in As::ALL {
            let mut out = Vec::new();
            if conversion.convert(raw.as_bytes(), &mut out) == Made::Written {
                let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
                prop_assert!(!value.is_null() && value != "", "{conversion:?}");
            }
        }
    }
}
