//! What each storage is sent, and what its answers mean.

use super::gs::{ServiceAccount, token_call};
use super::*;
use crate::logpush::destination_conf::{DestinationConf, DestinationPolicy};

/// 24 May 2013, the day of Amazon's examples.
const AMAZONS_DAY: u64 = 1_369_353_600;
pub(super) const ACCOUNT: &str = "023e105f4ecef8ad9ca31a8372d0c353";
pub(super) const KEY: &str = "access-key-id=AKID&secret-access-key=${secret:S3_KEY}";
pub(super) const SAS: &str =
    "sv=2024-11-04&ss=b&srt=o&sp=w&se=2036-01-01T00:00:00Z&sig=a%2Bs3cret%3D";
const PUSH_ID: &str = "0123456789abcdef0123456789abcdef";

/// Made for this test with `openssl genpkey -algorithm RSA` and cut short: nothing signs with it here.
const KEY_FILE: &str = r#"{"type":"service_account","client_email":"logs@p.iam.gserviceaccount.com","private_key_id":"k1","private_key":"-----BEGIN PRIVATE KEY-----\nMIIE\nvQ==\n-----END PRIVATE KEY-----\n","token_uri":"http://127.0.0.1:1/token"}"#;

pub(super) fn resolve(text: &str) -> ResolvedDestination {
    let policy = DestinationPolicy {
        allow_private: true,
    };
    DestinationConf::parse(text, policy)
        .unwrap()
        .resolve(|name| {
            Some(match name {
                "GCS_KEY" => KEY_FILE.into(),
                _ => "s/3+cret".into(),
            })
        })
        .unwrap()
}

/// 23 May 2018, 10:00:00 to 10:01:00.999.
fn push() -> Push<'static> {
    Push {
        holds: Holds::Records {
            first_millis: 1_527_069_600_000,
            last_millis: 1_527_069_660_999,
        },
        ..Push::ndjson(PUSH_ID)
    }
}

fn object(text: &str) -> Object {
    match delivery(&resolve(text), &push()).unwrap() {
        Delivery::Object(object) => object,
        other => panic!("{other:?}"),
    }
}

fn call(text: &str, step: Step<'_>) -> Option<Call> {
    let object = object(text);
    let token = object.store.wants_token().map(|_| "tok");
    object.call(&step, AMAZONS_DAY, token).unwrap()
}

/// Method, URL without its signature, headers without our name.
fn golden(text: &str, step: Step<'_>) -> (&'static str, String, Vec<String>, Option<String>) {
    let Call { request, body } = call(text, step).unwrap();
    let url = match request.url.split_once("X-Amz-Signature=") {
        Some((url, signature)) => {
            assert_eq!(signature.len(), 64, "{signature}");
            url.to_owned()
        }
        None => request.url,
    };
    let headers = request.headers.iter();
    let headers = headers
        .filter(|(name, _)| name != "User-Agent")
        .map(|(name, value)| format!("{name}: {value}"));
    (request.method, url, headers.collect(), body)
}

const PARTS: Step<'static> = Step::Part {
    number: 2,
    upload: "u/1",
};

#[test]
fn an_object_is_called_by_its_times_and_its_push() {
    let file = "20180523T100000Z_20180523T100100Z_0123456789abcdef.log.gz";
    for (text, expected) in [
        (format!("s3://logs?region=eu-west-1&{KEY}"), file.to_owned()),
        (
            format!("s3://logs/?region=eu-west-1&{KEY}"),
            file.to_owned(),
        ),
        (
            format!("s3://logs/a%20b/{{DATE}}/x/?region=eu-west-1&{KEY}"),
            format!("a b/20180523/x/{file}"),
        ),
        (
            format!("r2://logs/%7BDATE%7D?account-id={ACCOUNT}&{KEY}"),
            format!("20180523/{file}"),
        ),
        (
            "r2://logs/{DATE}?binding=LOGS".to_owned(),
            format!("20180523/{file}"),
        ),
        (
            format!("gs://logs/{{DATE}}?{KEY}"),
            format!("20180523/{file}"),
        ),
        (
            format!("azure://acc.blob.core.windows.net/logs/d/{{DATE}}/?{SAS}"),
            format!("d/20180523/{file}"),
        ),
        (
            format!("azure://acc.blob.core.windows.net/logs?{SAS}"),
            file.to_owned(),
        ),
    ] {
        assert_eq!(object(&text).name, expected, "{text}");
    }
    let text = format!("s3://logs/{{DATE}}?region=eu-west-1&{KEY}");
    let replayed = Push {
        replay: Some("last-tuesday"),
        ..push()
    };
    let Delivery::Object(object) = delivery(&resolve(&text), &replayed).unwrap() else {
        panic!("an object");
    };
    let name = format!(
        "20180523/{}",
        file.replace(".log.gz", ".replay-last-tuesday.log.gz")
    );
    assert_eq!(object.name, name);
    let test = Push::test_message("test-1", 1_527_069_600_000);
    let Delivery::Object(object) = delivery(&resolve(&text), &test).unwrap() else {
        panic!("an object");
    };
    assert_eq!(object.name, "20180523/test.txt.gz");
}

#[test]
fn a_file_of_the_operators_is_an_object_as_well_and_other_destinations_have_none() {
    let now = 1_527_069_600_000;
    let storage = resolve(&format!("s3://logs/{{DATE}}?region=eu-west-1&{KEY}"));
    let file = file_object(&storage, "x.txt", "text/plain", false, now)
        .unwrap()
        .unwrap();
    assert_eq!(file.name, "20180523/x.txt");
    let call = file.call(&Step::Whole, AMAZONS_DAY, None).unwrap().unwrap();
    let names: Vec<&str> = call
        .request
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["User-Agent", "Content-Type"]);
    let https = resolve("https://h.example/in");
    assert_eq!(
        file_object(&https, "x.txt", "text/plain", false, now),
        Ok(None)
    );
}

#[test]
fn s3_is_asked_by_signed_urls() {
    let text = format!("s3://logs/a%20b+c?region=eu-west-1&sse=AES256&{KEY}");
    let host = "https://logs.s3.eu-west-1.amazonaws.com/a%20b%2Bc/20180523T100000Z_20180523T100100Z_0123456789abcdef.log.gz";
    let signed = |headers: &str| {
        format!(
            "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20130524%2Feu-west-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=600&X-Amz-SignedHeaders={headers}&"
        )
    };
    let described = vec![
        "Content-Type: application/x-ndjson".to_owned(),
        "Content-Encoding: gzip".to_owned(),
        "x-amz-server-side-encryption: AES256".to_owned(),
    ];
    let sse = "host%3Bx-amz-server-side-encryption";
    assert_eq!(
        golden(&text, Step::Whole),
        (
            "PUT",
            format!("{host}{}", signed(sse)),
            described.clone(),
            None
        )
    );
    let begin = golden(&text, Step::Begin);
    assert_eq!(
        begin,
        (
            "POST",
            format!("{host}{}uploads=&", signed(sse)),
            described,
            None
        )
    );
    assert_eq!(
        golden(&text, PARTS),
        (
            "PUT",
            format!("{host}{}partNumber=2&uploadId=u%2F1&", signed("host")),
            vec![],
            None
        )
    );
    let etags = ["\"e1\"".to_owned(), "\"e2&\"".to_owned()];
    let step = Step::Complete {
        upload: "u/1",
        etags: &etags,
    };
    let (method, url, headers, body) = golden(&text, step);
    assert_eq!(method, "POST");
    assert_eq!(url, format!("{host}{}uploadId=u%2F1&", signed("host")));
    assert_eq!(headers, ["Content-Type: application/xml"]);
    assert_eq!(
        body.unwrap(),
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"e1\"</ETag></Part>\
         <Part><PartNumber>2</PartNumber><ETag>\"e2&amp;\"</ETag></Part></CompleteMultipartUpload>"
    );
    assert_eq!(
        golden(&text, Step::Abort { upload: "u/1" }),
        (
            "DELETE",
            format!("{host}{}uploadId=u%2F1&", signed("host")),
            vec![],
            None
        )
    );
}

/// The example of Amazon's "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
#[test]
fn the_library_signs_as_amazons_example() {
    use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
    let endpoint = "https://s3.amazonaws.com".parse().unwrap();
    let style = UrlStyle::VirtualHost;
    let bucket = Bucket::new(endpoint, style, "examplebucket", "us-east-1").unwrap();
    let key = Credentials::new(
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    );
    let day = jiff::Timestamp::from_second(AMAZONS_DAY as i64).unwrap();
    let url = bucket
        .get_object(Some(&key), "test.txt")
        .sign_with_time(std::time::Duration::from_secs(86_400), &day);
    let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    assert!(url.as_str().ends_with(signature), "{url}");
}

/// The same requests signed by Amazon's own library (botocore 1.40.0, `S3SigV4QueryAuth`).
#[test]
fn every_step_is_signed_as_amazons_sdk_signs_it() {
    let text = format!("s3://logs/a%20b+c?region=eu-west-1&sse=AES256&{KEY}");
    let etags = [String::new()];
    let upload = "u/1";
    for (step, signature) in [
        (
            Step::Whole,
            "35f5a9b1da6b3e8b78bc00e17dbd478d36016d3ed22e9df35218053d7f8c803c",
        ),
        (
            Step::Begin,
            "ed93ce0ed205b7712d3f8c1cf9748795427b4a91a937c0f3969e316ba464616e",
        ),
        (
            PARTS,
            "5d0d2714f98f6dc003050dfe8ac31167336adf49927f3235a5f813f85634558a",
        ),
        (
            Step::Complete {
                upload,
                etags: &etags,
            },
            "c6f569d45dbbcb45c9525545fcb7590f0a493143721c824bc00d295981879baf",
        ),
        (
            Step::Abort { upload },
            "26ab5aa8345651448eabb97bb8ac02798a3ed4e6c9be23d1a1545db3ab333eee",
        ),
    ] {
        let url = call(&text, step).unwrap().request.url;
        assert!(
            url.ends_with(&format!("X-Amz-Signature={signature}")),
            "{step:?} {url}"
        );
    }
}

#[test]
fn each_store_is_asked_at_its_own_place() {
    let file = "20180523T100000Z_20180523T100100Z_0123456789abcdef.log.gz";
    for (text, place) in [
        // Amazon's certificate does not cover a bucket with a dot.
        (
            format!("s3://logs.x/d?region=eu-west-1&{KEY}"),
            "https://s3.eu-west-1.amazonaws.com/logs.x/d/",
        ),
        (
            format!("s3://logs/d?region=us-east-1&endpoint=s3.example.com:9000&{KEY}"),
            "https://s3.example.com:9000/logs/d/",
        ),
        (
            format!("s3://logs/d?region=us-east-1&endpoint=127.0.0.1:9000&{KEY}"),
            "http://127.0.0.1:9000/logs/d/",
        ),
        (
            format!("r2://logs/d?account-id={ACCOUNT}&{KEY}"),
            "https://023e105f4ecef8ad9ca31a8372d0c353.r2.cloudflarestorage.com/logs/d/",
        ),
        (
            format!("r2://logs/d?endpoint={ACCOUNT}.eu.r2.cloudflarestorage.com&{KEY}"),
            "https://023e105f4ecef8ad9ca31a8372d0c353.eu.r2.cloudflarestorage.com/logs/d/",
        ),
        (
            format!("gs://my_logs/d?{KEY}"),
            "https://storage.googleapis.com/my_logs/d/",
        ),
    ] {
        let (method, url, ..) = golden(&text, Step::Whole);
        assert_eq!(method, "PUT");
        let expected = format!("{place}{file}?X-Amz-Algorithm=AWS4-HMAC-SHA256&");
        assert!(url.starts_with(&expected), "{text}: {url}");
    }
    let bound = object("r2://logs/d?binding=LOGS");
    assert_eq!(bound.store, Store::Bound("LOGS".into()));
    assert_eq!(bound.call(&Step::Whole, 0, None), Ok(None));
}

#[test]
fn google_takes_the_token_of_a_service_account() {
    let text = "gs://logs/d?credentials=${secret:GCS_KEY}";
    let url = "https://storage.googleapis.com/logs/d/20180523T100000Z_20180523T100100Z_0123456789abcdef.log.gz";
    assert_eq!(
        golden(text, Step::Whole),
        (
            "PUT",
            url.to_owned(),
            vec![
                "Authorization: Bearer tok".to_owned(),
                "Content-Type: application/x-ndjson".to_owned(),
                "Content-Encoding: gzip".to_owned(),
            ],
            None
        )
    );
    assert_eq!(
        golden(text, PARTS),
        (
            "PUT",
            format!("{url}?partNumber=2&uploadId=u%2F1"),
            vec!["Authorization: Bearer tok".to_owned()],
            None
        )
    );
}

#[test]
fn azure_is_asked_by_its_sas() {
    let text = format!("azure://acc.blob.core.windows.net/logs/a%20b?{SAS}");
    let url = format!(
        "https://acc.blob.core.windows.net/logs/a%20b/20180523T100000Z_20180523T100100Z_0123456789abcdef.log.gz?{SAS}"
    );
    let described = [
        "x-ms-blob-Content-Type: application/x-ndjson".to_owned(),
        "x-ms-blob-Content-Encoding: gzip".to_owned(),
    ];
    let mut whole = vec!["x-ms-blob-type: BlockBlob".to_owned()];
    whole.extend(described.clone());
    assert_eq!(
        golden(&text, Step::Whole),
        ("PUT", url.clone(), whole, None)
    );
    assert_eq!(call(&text, Step::Begin), None);
    assert_eq!(call(&text, Step::Abort { upload: "" }), None);
    assert_eq!(
        golden(&text, PARTS),
        (
            "PUT",
            format!("{url}&comp=block&blockid=MDAwMDI%3D"),
            vec![],
            None
        )
    );
    let etags = [String::new(), String::new()];
    let step = Step::Complete {
        upload: "",
        etags: &etags,
    };
    let mut headers = described.to_vec();
    headers.push("Content-Type: application/xml".to_owned());
    let list = r#"<?xml version="1.0" encoding="utf-8"?><BlockList><Latest>MDAwMDE=</Latest><Latest>MDAwMDI=</Latest></BlockList>"#;
    assert_eq!(
        golden(&text, step),
        (
            "PUT",
            format!("{url}&comp=blocklist"),
            headers,
            Some(list.to_owned())
        )
    );
}

#[test]
fn nothing_shows_a_secret() {
    for text in [
        format!("s3://logs/d?region=eu-west-1&{KEY}"),
        "gs://logs/d?credentials=${secret:GCS_KEY}".to_owned(),
        format!("azure://acc.blob.core.windows.net/logs?{SAS}"),
    ] {
        let shown = format!("{:?} {:?}", object(&text), call(&text, Step::Whole));
        for secret in ["cret", "AKID", "MIIE", "Signature", "tok", "sig="] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
    let lost =
        without_urls("fetch to https://h.example/x?X-Amz-Signature=s3cret failed: connection lost");
    assert_eq!(lost, "fetch to (URL) failed: connection lost");
}

#[test]
fn an_upload_is_called_what_the_storage_calls_it() {
    let store = object(&format!("s3://logs/d?region=eu-west-1&{KEY}")).store;
    let begun = br#"<InitiateMultipartUploadResult xmlns="x"><Bucket>logs</Bucket><UploadId>VXBsb2FkIElE</UploadId></InitiateMultipartUploadResult>"#;
    assert_eq!(store.upload_of(begun).as_deref(), Some("VXBsb2FkIElE"));
    for broken in [
        "",
        "<UploadId></UploadId>",
        "<UploadId>a",
        "<UploadId>a&b</UploadId>",
    ] {
        assert_eq!(store.upload_of(broken.as_bytes()), None, "{broken}");
    }
    let is_complete = |store: &Store, status, body: &str| {
        store.is_complete(&Answer {
            status,
            retry_after: None,
            body: body.as_bytes(),
        })
    };
    assert!(is_complete(
        &store,
        200,
        "\n<CompleteMultipartUploadResult xmlns=\"x\"/>"
    ));
    assert!(!is_complete(&store, 200, ""));
    let azure = object(&format!("azure://acc.blob.core.windows.net/logs?{SAS}")).store;
    assert!(is_complete(&azure, 201, ""));
    assert!(!is_complete(&azure, 200, ""));
}

#[test]
fn a_service_account_signs_an_assertion_for_the_token_endpoint() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let account = ServiceAccount::parse(KEY_FILE).unwrap();
    assert_eq!(account.pkcs8().unwrap(), b"\x30\x82\x04\xbd");
    assert_eq!(account.token_url(true), "http://127.0.0.1:1/token");
    // What a file says is not where a key goes.
    assert_eq!(
        account.token_url(false),
        "https://oauth2.googleapis.com/token"
    );
    let assertion = account.assertion(account.token_url(false), 1_000);
    let parts: Vec<serde_json::Value> = assertion
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(
        parts,
        [
            serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}),
            serde_json::json!({
                "iss": "logs@p.iam.gserviceaccount.com",
                "scope": "https://www.googleapis.com/auth/devstorage.read_write",
                "aud": "https://oauth2.googleapis.com/token",
                "iat": 1_000,
                "exp": 1_600,
            }),
        ]
    );
    let call = token_call("https://h.example/token", "a.b", &[0xff, 0xee]);
    assert_eq!(call.request.method, "POST");
    assert_eq!(
        call.body.unwrap(),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b._-4"
    );
    let other = ServiceAccount::parse(&KEY_FILE.replace("MIIE", "MIIF")).unwrap();
    assert_ne!(account.fingerprint(), other.fingerprint());
}

#[test]
fn a_key_file_that_is_none_is_a_fault_of_the_job_and_is_not_shown() {
    for file in [
        "s3cret",
        "{}",
        r#"{"client_email":"s3cret"}"#,
        r#"{"client_email":"a","private_key":"s3cret!"}"#,
        r#"{"client_email":"a","private_key":""}"#,
    ] {
        let error = ServiceAccount::parse(file).unwrap_err();
        assert!(error.starts_with("credentials: "), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn every_string_of_the_documentation_is_taken() {
    let text = include_str!("../../docs/destinations.md");
    let strings: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| {
            ["s3://", "r2://", "gs://", "azure://"]
                .iter()
                .any(|scheme| line.starts_with(scheme))
        })
        .collect();
    assert_eq!(strings.len(), 8);
    for string in strings {
        let conf = DestinationConf::parse(string, DestinationPolicy::default());
        assert!(conf.is_ok(), "{string}: {}", conf.unwrap_err());
        assert!(object(string).name.ends_with(".log.gz"), "{string}");
    }
}
