use super::{Normaliser, Scratch};
use crate::ecs::{Surprises, table};
use serde_json::{Value, json};

fn event_of(dataset: &str, field_names: &[&str], line: &str) -> (String, Surprises) {
    let names: Vec<String> = field_names.iter().map(|name| (*name).to_owned()).collect();
    let normaliser = Normaliser::compile(dataset, None, &names, false);
    let (mut scratch, mut surprises) = (Scratch::default(), Surprises::default());
    // A scratch that other records have used, also of another dataset, is as good as a new one.
    let other = br#"{"Timestamp":1,"QueryName":"x.","SourceIP":"::1","Other":[],"ColoCode":"A"}"#;
    normaliser.write(
        other,
        &mut scratch,
        &mut Surprises::default(),
        &mut Vec::new(),
    );
    let elsewhere = Normaliser::compile("http_requests", None, &[], false);
    let request = br#"{"ClientIP":"::1","RayID":"00","EdgeResponseStatus":404,"Other":1}"#;
    elsewhere.write(
        request,
        &mut scratch,
        &mut Surprises::default(),
        &mut Vec::new(),
    );
    let mut out = b"{".to_vec();
    normaliser.write(line.as_bytes(), &mut scratch, &mut surprises, &mut out);
    out.push(b'}');
    (String::from_utf8(out).unwrap(), surprises)
}

fn event(dataset: &str, line: &Value) -> Value {
    let (text, _) = event_of(dataset, &[], &line.to_string());
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_published_samples_come_out_to_the_letter_whatever_form_the_time_has() {
    let raw = include_str!("../../../tests/fixtures/dns_logs.ndjson");
    let wanted = include_str!("../../../tests/fixtures/dns_logs.ecs.ndjson");
    let times = [
        "1657233726004000000",
        r#""1657233726004000000""#,
        r#""2022-07-07T22:42:06.004Z""#,
        r#""2022-07-07T22:42:06.004000Z""#,
        r#""2022-07-07T22:42:06.004000000Z""#,
    ];
    for time in times {
        for (raw, wanted) in raw.lines().zip(wanted.lines()) {
            let line = raw.replace("1657233726004000000", time);
            assert_eq!(
                event_of("dns_logs", &[], &line),
                (wanted.to_owned(), Surprises::default())
            );
        }
    }
    // The two forms that have no fraction.
    for time in ["1657233726", r#""1657233726""#, r#""2022-07-07T22:42:06Z""#] {
        for (raw, wanted) in raw.lines().zip(wanted.lines()) {
            let line = raw.replace("1657233726004000000", time);
            let wanted = wanted.replace("06.004000Z", "06Z");
            assert_eq!(
                event_of("dns_logs", &[], &line),
                (wanted, Surprises::default())
            );
        }
    }
}

#[test]
fn a_whole_dns_record_has_the_rest_under_cloudflare() {
    let line = r#"{"ColoCode":"SJC","EDNSSubnet":"192.0.2.0","EDNSSubnetLength":24,"QueryName":".","QueryType":255,"ResponseCached":false,"ResponseCode":3,"SourceIP":"2001:db8::1","Timestamp":"2022-07-07T22:42:06Z"}"#;
    let wanted = r#"{"@timestamp":"2022-07-07T22:42:06Z","dns":{"question":{"type":"*"},"response_code":"NXDomain"},"event":{"kind":"event","category":["network"],"type":["info"],"dataset":"dns_logs"},"source":{"ip":"2001:db8::1"},"cloudflare":{"ColoCode":"SJC","EDNSSubnet":"192.0.2.0","EDNSSubnetLength":24,"ResponseCached":false}}"#;
    assert_eq!(
        event_of("dns_logs", &[], line),
        (wanted.to_owned(), Surprises::default())
    );
}

#[test]
fn what_is_empty_is_left_out_and_zero_is_not_empty() {
    let line = json!({
        "ColoCode": "", "EDNSSubnet": null, "EDNSSubnetLength": 0, "ResponseCached": false, "QueryName": "",
        "SourceIP": null, "New": [], "Newer": {}, "Deep": {"a": [null, "", {"b": ""}], "c": 0},
        "ParentRayID": "00", "OriginatorRayID": "713d4e8ffb4d1234",
    });
    let wanted = json!({
        "event": {"kind": "event", "category": ["network"], "type": ["info"], "dataset": "dns_logs"},
        "cloudflare": {
            "EDNSSubnetLength": 0, "ResponseCached": false, "New": [], "Newer": {}, "Deep": {"a": [{}], "c": 0},
            "OriginatorRayID": "713d4e8ffb4d1234",
        },
    });
    assert_eq!(event("dns_logs", &line), wanted);
}

#[test]
fn what_does_not_fit_stays_and_is_counted() {
    let line = r#"{"QueryName":[1],"QueryType":{"a":1},"ResponseCode":true,"SourceIP":"192.0.2.1:53","Timestamp":"soon"}"#;
    let (text, surprises) = event_of("dns_logs", &[], line);
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        event["cloudflare"],
        serde_json::from_str::<Value>(line).unwrap()
    );
    assert_eq!(event.as_object().unwrap().len(), 2);
    let wanted = Surprises {
        unreadable_time: 1,
        unexpected_value: 4,
        unknown_dataset: 0,
    };
    assert_eq!(surprises, wanted);

    let (text, surprises) = event_of(
        "next_weeks_dataset",
        &[],
        r#"{"Datetime":1657233726,"ClientIP":"::1","A":{"b":1}}"#,
    );
    let wanted = r#"{"@timestamp":"2022-07-07T22:42:06Z","event":{"kind":"event","dataset":"next_weeks_dataset"},"source":{"ip":"::1"},"cloudflare":{"A":{"b":1}}}"#;
    assert_eq!(text, wanted);
    assert_eq!(surprises.unknown_dataset, 1);
}

#[test]
fn of_two_values_for_one_place_the_first_in_the_table_has_it_and_equal_ones_share_it() {
    // The dataset's own field comes first, whatever the order in the record.
    let both = json!({"ClientIP": "192.0.2.2", "SourceIP": "192.0.2.1"});
    let found = event("dns_logs", &both);
    assert_eq!(found["source"], json!({"ip": "192.0.2.1"}));
    assert_eq!(found["cloudflare"], json!({"ClientIP": "192.0.2.2"}));
    let same = json!({"ClientIP": "192.0.2.1", "SourceIP": "192.0.2.1"});
    assert_eq!(event("dns_logs", &same).get("cloudflare"), None);
    // A second time gives way, and stays.
    let times = json!({"Timestamp": 1_657_233_726, "Datetime": 1_657_233_727});
    let found = event("dns_logs", &times);
    assert_eq!(found["@timestamp"], "2022-07-07T22:42:06Z");
    assert_eq!(found["cloudflare"], json!({"Datetime": 1_657_233_727}));
    // And takes the place of one that can not be read.
    let found = event(
        "dns_logs",
        &json!({"Timestamp": "soon", "Datetime": 1_657_233_727}),
    );
    assert_eq!(found["@timestamp"], "2022-07-07T22:42:07Z");
    assert_eq!(found["cloudflare"], json!({"Timestamp": "soon"}));
}

#[test]
fn of_two_equal_names_the_last_one_counts_as_everywhere() {
    let line = r#"{"ColoCode":"A","X":1,"SourceIP":"::1","X":2,"ColoCode":"B","SourceIP":"","\u0058":3,"Y":1,"Y":null}"#;
    let (text, _) = event_of("dns_logs", &[], line);
    let rest = text.split_once("\"cloudflare\":").unwrap().1;
    assert_eq!(rest, r#"{"ColoCode":"B","X":3}}"#);
    assert!(!text.contains("source"));
    // The same where fields are looked up instead of compared.
    let many: Vec<String> = (0..100).map(|n| format!("\"N{n}\":{n}")).collect();
    let line = format!("{{{},\"N3\":\"x\",\"N99\":null}}", many.join(","));
    let (text, _) = event_of("dns_logs", &[], &line);
    let event: Value = serde_json::from_str(&text).unwrap();
    let rest = event["cloudflare"].as_object().unwrap();
    assert_eq!(
        (rest.len(), &rest["N3"], rest.get("N99")),
        (99, &json!("x"), None)
    );
    assert_eq!(text.matches("\"N3\"").count(), 1);
}

#[test]
fn field_names_pick_fields_of_the_record() {
    let line = r#"{"QueryName":"a.","ColoCode":"A","SourceIP":"::1","New":1,"Newer":2,"Timestamp":1657233726}"#;
    let names = ["QueryName", "Timestamp", "New"];
    let (text, _) = event_of("dns_logs", &names, line);
    let wanted = r#"{"@timestamp":"2022-07-07T22:42:06Z","dns":{"question":{"name":"a"}},"event":{"kind":"event","category":["network"],"type":["info"],"dataset":"dns_logs"},"cloudflare":{"New":1}}"#;
    assert_eq!(text, wanted);
}

#[test]
fn a_name_is_the_same_however_it_is_spelt() {
    let line = r#"{"QueryN\u0061me":"a.","a\\b":1,"a\b":2}"#;
    let (text, _) = event_of("dns_logs", &[], line);
    assert!(text.contains(r#""question":{"name":"a"}"#), "{text}");
    assert!(
        text.ends_with(r#""cloudflare":{"a\\b":1,"a\b":2}}"#),
        "{text}"
    );
    let (text, _) = event_of("dns_logs", &["QueryName", "a\\b"], line);
    assert!(text.contains(r#""question":{"name":"a"}"#), "{text}");
    assert!(text.ends_with(r#""cloudflare":{"a\\b":1}}"#), "{text}");
}

#[test]
fn objects_become_texts_where_the_job_says_so() {
    let normaliser = Normaliser::compile("dns_logs", None, &[], true);
    let mut out = Vec::new();
    let line = br#"{"A":{"b":"c\n\"","d":null},"E":[{}]}"#;
    normaliser.write(
        line,
        &mut Scratch::default(),
        &mut Surprises::default(),
        &mut out,
    );
    let text = String::from_utf8(out).unwrap();
    let rest = r#""cloudflare":{"A":"{\"b\":\"c\\n\\\"\"}","E":[{}]}"#;
    assert!(text.ends_with(rest), "{text}");
}

#[test]
fn a_record_of_nothing_is_an_event() {
    for line in ["{}", " { } ", r#"{"A":null}"#] {
        let (text, surprises) = event_of("dns_logs", &[], line);
        let wanted = r#"{"event":{"kind":"event","category":["network"],"type":["info"],"dataset":"dns_logs"}}"#;
        assert_eq!((text.as_str(), surprises), (wanted, Surprises::default()));
    }
    for dataset in table::names() {
        let (text, _) = event_of(dataset, &[], "{}");
        assert!(
            serde_json::from_str::<Value>(&text).is_ok(),
            "{dataset}: {text}"
        );
    }
}

#[test]
fn what_gives_way_is_lost_only_when_the_same_is_there() {
    let line = |uri: &str| json!({"ClientRequestPath": "/a", "ClientRequestURI": uri});
    let found = event("http_requests", &line("/a?b=c"));
    assert_eq!(found["url"], json!({"path": "/a", "query": "b=c"}));
    assert_eq!(found.get("cloudflare"), None);
    // The query has its place, and the other path would be gone.
    let (text, surprises) = event_of("http_requests", &[], &line("//a?b=c").to_string());
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["url"], json!({"path": "/a", "query": "b=c"}));
    assert_eq!(found["cloudflare"], json!({"ClientRequestURI": "//a?b=c"}));
    assert_eq!(surprises, Surprises::default());
    let found = event("http_requests", &json!({"ClientRequestURI": "/a"}));
    assert_eq!(found["url"], json!({"path": "/a"}));
}

#[test]
fn words_are_whole_words_and_the_first_condition_counts() {
    for (action, kind) in [
        ("token_create", "creation"),
        ("Delete API token", "deletion"),
        ("address_book", "change"),
        ("del-add", "deletion"),
        ("recreated", "change"),
    ] {
        let found = event("audit_logs", &json!({"ActionType": action}));
        assert_eq!(found["event"]["type"], json!([kind]), "{action}");
    }
}
