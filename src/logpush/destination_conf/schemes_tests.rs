//! One well-formed string a scheme, and what is said of every way to spoil it.

use super::DestinationConfError as E;
use super::{DestinationConf, DestinationPolicy, masked};

const ACCOUNT: &str = "023e105f4ecef8ad9ca31a8372d0c353";
const SAS: &str = "sv=2024-11-04&ss=b&srt=o&sp=w&se=2036-01-01T00:00:00Z&st=2026-01-01T00:00:00Z&spr=https&sig=s3cret%3D";

fn refused(text: &str) -> E {
    let policy = DestinationPolicy::default();
    DestinationConf::parse(text, policy).unwrap_err()
}

#[test]
fn every_scheme_that_is_not_pushed_to_is_read_and_refused_with_exactly_that_reason() {
    let table: Vec<(&str, String)> = vec![
        ("bq", "bq://projects/my-project/datasets/logs/tables/http?credentials=base64:s3cret==".into()),
        ("bq", "bq://projects/p/datasets/d/tables/t?credentials=${secret:BQ}".into()),
        ("kinesis", "kinesis://logs?region=eu-west-1&sts-assume-role-arn=arn:aws:iam::123456789012:role/logs&sts-external-id=x".into()),
        ("kinesis", "kinesis://logs?region=eu-west-1&access-key-id=s3cretkey&secret-access-key=s3cret".into()),
        ("ibmcl", "ibmcl://abc.ingress.eu-de.logs.cloud.ibm.com/logs/v1/singles?ibm_api_key=s3cret".into()),
    ];
    for (scheme, text) in table {
        let error = refused(&text);
        assert_eq!(error, E::NotOffered { scheme }, "{text}: {error}");
        let said = error.to_string();
        let words = format!("{scheme}:// is not offered in this version");
        assert!(said.starts_with(&words), "{said}");
        assert!(said.contains("; the schemes offered are https, "), "{said}");
        let shown = masked(&text);
        assert!(!shown.contains("s3cret"), "{text} -> {shown}");
    }
}

#[test]
fn strings_are_read_and_show_no_secret() {
    let table: Vec<(&str, String)> = vec![
        ("sentinelone", "sentinelone://ingest.us1.sentinelone.net/services/collector/raw?sourcetype=x&header_Authorization=Bearer%20s3cret".into()),
        ("datadog", "datadog://http-intake.logs.datadoghq.com/api/v2/logs?header_DD-API-KEY=s3cret&ddsource=cloudflare&service=&host=&ddtags=".into()),
        ("datadog", "datadog://http-intake.logs.datadoghq.eu/v1/input?header_dd-api-key=s3cret".into()),
        ("sumo", "sumo://endpoint4.collection.sumologic.com/receiver/v1/http/s3cret==".into()),
        ("r2", format!("r2://logs/http/{{DATE}}?account-id={ACCOUNT}&access-key-id=s3cretkey&secret-access-key=s3cret/+")),
        ("r2", format!("r2://logs?account-id={ACCOUNT}&access-key-id=${{secret:R2_ID}}&secret-access-key=${{secret:R2_KEY}}")),
        ("s3", "s3://logs/?region=us-east-1&access-key-id=s3cretkey&secret-access-key=s3cret".into()),
        ("s3", "s3://logs/a?region=auto&access-key-id=s3cretkey&secret-access-key=s3cret&endpoint=s3.example.com:9000".into()),
        ("azure", format!("azure://account.blob.core.windows.net/logs/{{DATE}}?{SAS}")),
        ("r2", "r2://logs/{DATE}?binding=LOGS".into()),
        ("r2", format!("r2://logs?endpoint={ACCOUNT}.eu.r2.cloudflarestorage.com&access-key-id=s3cretkey&secret-access-key=s3cret")),
        ("s3", "s3://logs.example-1/dir/{DATE}?region=eu-west-1&sse=AES256&access-key-id=${secret:ID}&secret-access-key=${secret:KEY}".into()),
        ("gs", "gs://my_logs/dir/{DATE}/?access-key-id=s3cretkey&secret-access-key=s3cret".into()),
        ("gs", "gs://my_logs?credentials=${secret:GCS_KEY}".into()),
        ("gs", "gs://my_logs?credentials=%7B%22private_key%22:%22s3cret%22%7D".into()),
    ];
    for (scheme, text) in table {
        let conf = DestinationConf::parse(&text, DestinationPolicy::default());
        let conf = conf.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(conf.kind().label(), scheme);
        let shown = format!("{} {conf:?}", masked(&text));
        assert!(!shown.contains("s3cret"), "{text} -> {shown}");
    }
}

#[test]
fn what_is_wrong_names_the_parameter_and_what_to_do() {
    let keys = "access-key-id=s3cret&secret-access-key=s3cret";
    let r2 = |rest: &str| format!("r2://{rest}");
    let azure = |from: &str, to: &str| {
        format!(
            "azure://account.blob.core.windows.net/logs?{}",
            SAS.replace(from, to)
        )
    };
    let table: Vec<(String, &str)> = vec![
        (r2("logs?access-key-id=s3cret"), "account-id: is missing; send account-id=, with the id of the R2 account"),
        (r2(&format!("logs?account-id=s3cret&{keys}")), "account-id: must be the 32 hexadecimal digits"),
        (r2(&format!("logs?account-id={ACCOUNT}&access-key-id=s3cret")), "secret-access-key: is missing"),
        (r2(&format!("logs?account-id={ACCOUNT}&access-key-id=&secret-access-key=s3cret")), "access-key-id: is missing"),
        (r2(&format!("Logs?account-id={ACCOUNT}&{keys}")), "what follows r2:// must be <bucket>[/<path>]"),
        (r2(&format!("{{DATE}}?account-id={ACCOUNT}&{keys}")), "what follows r2:// must be <bucket>[/<path>]"),
        (r2(&format!("?account-id={ACCOUNT}&{keys}")), "what follows r2:// must be <bucket>[/<path>]"),
        (r2(&format!("logs?account-id={ACCOUNT}&{keys}&header_X=s3cret")), "header_X: is no parameter of r2://"),
        (r2(&format!("logs?account-id={ACCOUNT}&{keys}&s3cret")), "query parameter 4: is no parameter of r2://"),
        (r2(&format!("logs?account-id={ACCOUNT}&{keys}&access-key-id=s3cret")), "access-key-id: the parameter is given twice"),
        (r2(&format!("logs?account-id={ACCOUNT}&access-key-id=k&secret-access-key=REDACTED")), "secret-access-key: REDACTED is what a read shows"),
        (r2(&format!("logs?account-id={ACCOUNT}&access-key-id=k&secret-access-key=${{secret:API_TOKEN}}")), "secret-access-key: API_TOKEN is a secret of this service"),
        (r2("logs?binding=ARCHIVE"), "binding: must be the name of an R2 binding of this Worker, but not ARCHIVE"),
        (r2("logs?binding=a-b"), "binding: must be the name of an R2 binding"),
        (r2("logs?binding=${secret:X}"), "binding: must be written out"),
        (r2(&format!("logs?binding=LOGS&{keys}")), "access-key-id: must be left out when there is a binding"),
        (r2(&format!("logs/a/../../other?account-id={ACCOUNT}&{keys}")), "what follows r2:// must be <bucket>[/<path>], with a path without . and .."),
        (r2(&format!("logs/a/%2e%2E/b?account-id={ACCOUNT}&{keys}")), "what follows r2:// must be <bucket>[/<path>], with a path without . and .."),
        (r2(&format!("logs?endpoint=10.0.0.1&{keys}")), "endpoint: must be a host"),
        (r2(&format!("logs?account-id=${{secret:X}}&{keys}")), "account-id: must be written out"),
        ("s3://logs/dir".into(), "region: is missing"),
        ("s3://logs/dir?region=eu-west-1&sse=AES256".into(), "access-key-id: is missing; send access-key-id=, with the id of an access key; without one only Cloudflare itself may write there"),
        (format!("s3://logs/dir?region=auto&{keys}&endpoint=${{secret:X}}"), "endpoint: must be written out"),
        (format!("s3://logs/dir?region=${{secret:X}}&{keys}"), "region: must be written out"),
        ("s3://logs/dir?regoin=eu-west-1".into(), "regoin: is no parameter of s3://; leave it out, or correct it to one of region, sse, endpoint, access-key-id, secret-access-key"),
        ("s3://logs/dir?region=Europe".into(), "region: must be a region such as eu-west-1"),
        ("s3://logs/dir?region=cn-north-1".into(), "region: must be a region outside of China"),
        ("s3://logs/dir?region=eu-west-1&sse=aws:kms".into(), "sse: must be AES256"),
        ("s3://logs/dir?region=eu-west-1&access-key-id=s3cret".into(), "secret-access-key: is missing"),
        ("s3://logs/dir?region=auto&endpoint=s3.example.com".into(), "access-key-id: is missing"),
        (format!("s3://logs/dir?region=auto&{keys}&endpoint=https://s3.example.com"), "endpoint: must be a host"),
        (format!("s3://logs/dir?region=auto&{keys}&endpoint=s3.example.com/logs"), "endpoint: must be a host"),
        (format!("s3://logs/dir?region=auto&{keys}&endpoint=127.0.0.1:9000"), "endpoint: must be a host"),
        ("gs://logs?region=x".into(), "region: is no parameter of gs://; leave it out, or correct it to one of credentials, access-key-id, secret-access-key, endpoint"),
        ("gs://my_logs/dir".into(), "credentials: is missing; send credentials=, with ${secret:NAME} of a service account's key file"),
        ("gs://logs?access-key-id=s3cret".into(), "secret-access-key: is missing"),
        (format!("gs://logs?credentials=${{secret:X}}&{keys}"), "access-key-id: must be left out when there are credentials"),
        ("gs://".into(), "what follows gs:// must be <bucket>[/<path>]"),
        (azure("srt=o", "srt=sco"), "srt: must be o: signedResourceTypes is Object only"),
        (azure("ss=b", "ss=bfqt"), "ss: must be b"),
        (azure("sp=w", "sp=rwdl"), "sp: must be w"),
        (azure("&sig=s3cret%3D", ""), "sig: is missing"),
        (azure("&se=2036-01-01T00:00:00Z", ""), "se: is missing"),
        (azure("spr=", "spn="), "spn: is no parameter of azure://"),
        (format!("azure://account.blob.core.windows.net/?{SAS}"), "what follows azure:// must be <account>.blob.core.windows.net/<container>"),
        (format!("azure://account.blob.core.windows.net/{{DATE}}?{SAS}"), "what follows azure:// must be"),
        ("sentinelone://ingest.us1.sentinelone.net/services/collector/event?header_Authorization=s3cret".into(), "what follows sentinelone:// must be <host>/services/collector/raw"),
        ("sentinelone://ingest.us1.sentinelone.net/services/collector/raw?sourcetype=x".into(), "header_Authorization: is missing; send header_Authorization=, with Bearer%20<token>"),
        ("datadog://h.example/in?header_DD-API-KEY=s3cret".into(), "what follows datadog:// must be <host>/api/v2/logs"),
        ("datadog://h.example/v1/input?DD-API-KEY=s3cret".into(), "header_DD-API-KEY: is missing"),
        ("datadog://10.0.0.1/v1/input?header_DD-API-KEY=s3cret".into(), "the host is private"),
        ("sumo://REDACTED".into(), "sumo://: REDACTED is what a read shows"),
        ("sumo://h.example/receiver/v1/http/".into(), "what follows sumo:// must be <host>/receiver/v1/http/<code>"),
        ("bq://projects/p/datasets/d?credentials=base64:s3cret".into(), "what follows bq:// must be projects/<project>"),
        ("bq://projects/p/datasets//tables/t?credentials=base64:s3cret".into(), "what follows bq:// must be projects/<project>"),
        ("bq://projects/p/datasets/d/tables/t".into(), "credentials: is missing"),
        ("bq://projects/p/datasets/d/tables/t?credentials=s3cret".into(), "credentials: must be base64:<key file> or url:<address>"),
        ("kinesis://a/b?region=eu-west-1".into(), "what follows kinesis:// must be <stream>"),
        ("kinesis://logs?region=eu-west-1".into(), "sts-assume-role-arn: is missing"),
        ("kinesis://logs?region=eu-west-1&sts-assume-role-arn=s3cret".into(), "sts-assume-role-arn: must be an ARN"),
        (format!("kinesis://logs?region=eu-west-1&sts-assume-role-arn=arn:aws:iam::1:role/x&{keys}"), "access-key-id: must be left out"),
        ("kinesis://logs?region=eu-west-1&secret-access-key=s3cret".into(), "access-key-id: is missing"),
        ("kinesis://logs/{DATE}?region=eu-west-1".into(), "{DATE} stands for the day in the path of r2://, s3://, gs:// and azure:// only"),
        ("ibmcl://logs.example.com/logs/v1/singles?ibm_api_key=s3cret".into(), "what follows ibmcl:// must be <instance>.ingress"),
        ("ibmcl://abc.ingress.eu-de.logs.cloud.ibm.com/logs/v1/singles".into(), "ibm_api_key: is missing"),
        ("https://h.example/in/{DATE}".into(), "{DATE} stands for the day"),
        ("https://h.example/in/%7bDATE%7D?x=1".into(), "{DATE} stands for the day"),
        ("splunk://h.example/{DATE}".into(), "{DATE} stands for the day"),
        ("https://log-api.newrelic.com/log/v1?format=cloudflare".into(), "Api-Key: is missing; send Api-Key=, with a New Relic license key"),
        ("https://log-api.eu.newrelic.com/?Api-Key=s3cret".into(), "what follows https:// must be log-api.newrelic.com/log/v1"),
    ];
    for (text, expected) in table {
        let error = refused(&text).to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn new_relic_is_reached_by_https() {
    let policy = DestinationPolicy::default();
    for text in [
        "https://log-api.newrelic.com/log/v1?Api-Key=s3cret&format=cloudflare",
        "https://log-api.eu.newrelic.com/log/v1?header_Api-Key=${secret:NR}",
    ] {
        assert!(DestinationConf::parse(text, policy).is_ok(), "{text}");
        assert!(!masked(text).contains("s3cret"));
    }
    assert!(DestinationConf::parse("https://newrelic.com/?x={DATE}", policy).is_ok());
}

#[test]
fn what_is_not_offered_says_what_to_do_instead() {
    for (text, expected) in [
        (
            "bq://projects/p/datasets/d/tables/t?credentials=${secret:BQ}",
            "bq:// is not offered in this version: push to a bucket by gs:// and let BigQuery load from there",
        ),
        (
            "kinesis://logs?region=eu-west-1&access-key-id=k&secret-access-key=s",
            "kinesis:// is not offered in this version: push to a bucket by s3://, or by https://",
        ),
        (
            "ibmcl://abc.ingress.eu-de.logs.cloud.ibm.com/logs/v1/singles?ibm_api_key=s3cret",
            "ibmcl:// is not offered in this version, because its tokens last an hour: push to IBM Cloud Object Storage",
        ),
    ] {
        let error = refused(text).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn an_acknowledgement_needs_a_channel_and_is_true_or_false() {
    let splunk = |rest: &str| format!("splunk://h.example/services/collector/raw?{rest}");
    let policy = DestinationPolicy::default();
    for (rest, expected) in [
        (
            "ack=true&channel=c",
            Ok("https://h.example/services/collector/raw?channel=c"),
        ),
        (
            "ack=true&header_x-splunk-request-channel=c",
            Ok("https://h.example/services/collector/raw"),
        ),
        ("ack=false", Ok("https://h.example/services/collector/raw")),
        (
            "ack=true",
            Err(
                "channel: is missing; send channel=, with a GUID of your own, which ack=true needs",
            ),
        ),
        ("ack=true&channel=", Err("channel: is missing")),
        ("ack=yes&channel=c", Err("ack: must be true or false")),
        ("ack&channel=c", Err("ack: must be true or false")),
    ] {
        let conf = DestinationConf::parse(&splunk(rest), policy);
        match (conf, expected) {
            (Ok(conf), Ok(url)) => assert_eq!(conf.resolve(|_| None).unwrap().url, url),
            (Err(error), Err(text)) => assert!(error.to_string().starts_with(text), "{error}"),
            (conf, _) => panic!("{rest}: {conf:?}"),
        }
    }
}

#[test]
fn what_stands_in_an_envelope_is_no_part_of_the_events_url() {
    let text = "splunk://h.example:8088/services/collector/event?channel=c&sourcetype=cloudflare%3Ajson&source=s&host=h\
                &index=main&auto_extract_timestamp=true&header_Authorization=Splunk%20${secret:T}";
    let conf = DestinationConf::parse(text, DestinationPolicy::default()).unwrap();
    let resolved = conf.resolve(|_| Some("s3cret".into())).unwrap();
    assert_eq!(
        resolved.url,
        "https://h.example:8088/services/collector/event?channel=c&auto_extract_timestamp=true"
    );
    assert_eq!(resolved.setting("sourcetype"), Some("cloudflare:json"));
    assert_eq!(conf.setting_text("index").as_deref(), Some("main"));
    // Of the raw endpoint they are the collector's.
    let raw = text.replace("/event", "/raw");
    let conf = DestinationConf::parse(&raw, DestinationPolicy::default()).unwrap();
    let url = conf.resolve(|_| Some("s3cret".into())).unwrap().url;
    assert!(
        url.ends_with(
            "&sourcetype=cloudflare%3Ajson&source=s&host=h&index=main&auto_extract_timestamp=true"
        ),
        "{url}"
    );
}

#[test]
fn an_endpoint_may_ask_for_a_body_that_is_not_compressed() {
    let policy = DestinationPolicy::default();
    for (text, expected) in [
        (
            "https://h.example/in?header_Content-Encoding=identity&a=b",
            Ok(true),
        ),
        (
            "https://h.example/in?header_content-encoding=Identity&a=b",
            Ok(true),
        ),
        (
            "https://h.example/in?a=b&header_Content-Encoding=gzip",
            Ok(false),
        ),
        ("https://h.example/in?a=b", Ok(false)),
        (
            "https://h.example/in?header_Content-Encoding=br",
            Err("header_Content-Encoding: must be gzip"),
        ),
        (
            "https://h.example/in?header_Content-Encoding=${secret:E}",
            Err("header_Content-Encoding: must be gzip"),
        ),
        (
            "https://h.example/in?header_Content-Encoding=gzip&header_content-encoding=gzip",
            Err("header_content-encoding: the header is given twice"),
        ),
        (
            "splunk://h.example/services/collector/raw?header_Content-Encoding=identity",
            Err("header_Content-Encoding: this header is set"),
        ),
        (
            "sumo://h.example/receiver/v1/http/s3cret?header_Content-Encoding=identity",
            Err("header_Content-Encoding: this header is set"),
        ),
    ] {
        let conf = DestinationConf::parse(text, policy);
        match (conf, expected) {
            (Ok(conf), Ok(is_plain)) => {
                assert_eq!(conf.has_plain_body(), is_plain);
                let resolved = conf.resolve(|_| None).unwrap();
                assert_eq!(resolved.plain_body, is_plain);
                assert_eq!(
                    (resolved.url.as_str(), resolved.headers.len()),
                    ("https://h.example/in?a=b", 0)
                );
            }
            (Err(error), Err(text)) => assert!(error.to_string().starts_with(text), "{error}"),
            (conf, _) => panic!("{text}: {conf:?}"),
        }
    }
}

#[test]
fn the_code_of_a_sumo_logic_source_is_shown_nowhere() {
    let text = "sumo://endpoint4.collection.sumologic.com/receiver/v1/http/s3cret%3D%3D";
    let conf = DestinationConf::parse(text, DestinationPolicy::default()).unwrap();
    let resolved = conf.resolve(|_| None).unwrap();
    assert_eq!(
        resolved.url,
        "https://endpoint4.collection.sumologic.com/receiver/v1/http/s3cret%3D%3D"
    );
    for shown in [
        format!("{conf:?}"),
        format!("{resolved:?}"),
        resolved.redact("no source at /receiver/v1/http/s3cret%3D%3D, that is s3cret== or s3cret%"),
        masked(text),
    ] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
