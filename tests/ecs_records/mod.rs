//! Records as nobody would make them up: fields of a dataset, fields of others and fields of none, with values that fit and
//! values of every other kind.

use logpush_edge::logpush::catalogue::{self, Dataset};
use logpush_edge::logpush::scope::ScopeKind;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// Every dataset of the catalogue, and one that has no table.
pub fn dataset() -> impl Strategy<Value = String> {
    let mut names: Vec<String> = catalogue::names().map(str::to_owned).collect();
    names.push("next_weeks_dataset".to_owned());
    select(names)
}

/// The names of a dataset's fields, in both scopes.
pub fn fields_of(dataset: &str) -> Vec<String> {
    let scopes = [ScopeKind::Zone, ScopeKind::Account];
    let found = scopes
        .iter()
        .filter_map(|scope| Dataset::find(*scope, dataset));
    found
        .flat_map(|dataset| dataset.fields.into_keys())
        .collect()
}

/// A dataset and a record of it.
pub fn record() -> impl Strategy<Value = (String, Map<String, Value>)> {
    dataset().prop_flat_map(|dataset| {
        let mut names = fields_of(&dataset);
        names.extend(
            [
                "Timestamp",
                "Datetime",
                "RayID",
                "ParentRayID",
                "ClientIP",
                "SourceIP",
                "UserAgent",
                "Email",
                "DeviceID",
            ]
            .map(str::to_owned),
        );
        let name = prop_oneof![12 => select(names), 1 => odd_name()];
        let members = vec((name, value()), 0..40);
        members.prop_map(move |members| (dataset.clone(), members.into_iter().collect()))
    })
}

/// Names that mean something elsewhere, or nothing.
fn odd_name() -> impl Strategy<Value = String> {
    let known = [
        "",
        "@timestamp",
        "event",
        "cloudflare",
        "source.ip",
        "a\"b",
        "\u{0}",
        "é",
        "New",
    ];
    prop_oneof![
        select(known.to_vec()).prop_map(str::to_owned),
        "[A-Za-z.]{1,12}"
    ]
}

/// Any value.
pub fn value() -> impl Strategy<Value = Value> {
    prop_oneof![6 => fitting(), 4 => any_value()]
}

/// A value that some conversion is for.
fn fitting() -> impl Strategy<Value = Value> {
    let texts = [
        "192.0.2.1",
        "2001:db8::1",
        "192.0.2.1:80",
        "fe80::1%eth0",
        "00",
        "713d4e8ffb4d1234",
        "DE",
        "gb",
        "T1",
        "HTTP/2",
        "HTTP/1.1",
        "TLSv1.3",
        "none",
        "foO.example.",
        ".",
        "AAAA",
        "block",
        "Allow",
        "allowed",
        "TCP",
        "udp",
        "ok",
        "exception",
        "user@example.com",
        "https://a.example:8443/b/c.gz?d=e#f",
        "/b/c?d=e&f",
        "a.example/b",
        "AS13335",
        "2022-07-07T22:42:06Z",
        "2022-07-07T22:42:06.004Z",
        "2022-07-07T22:42:06.123456789Z",
        "1657233726",
        "0001-01-01T00:00:00Z",
        "yesterday",
        "",
        "ingress",
        "true",
        "pass",
        "drop",
        "{}",
        "null",
    ];
    let numbers = [
        json!(0),
        json!(1),
        json!(6),
        json!(17),
        json!(28),
        json!(65),
        json!(200),
        json!(404),
        json!(443),
        json!(13_335),
        json!(64_000),
        json!(65_536),
        json!(1_657_233_726),
        json!(1_657_233_726_004_u64),
        json!(1_657_233_726_004_000_000_u64),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(9_223_372_036_854_775_808_u64),
        json!(0.5),
        json!(-1),
        json!(1e300),
    ];
    prop_oneof![
        select(texts.to_vec()).prop_map(Value::from),
        select(numbers.to_vec()),
        any::<bool>().prop_map(Value::from),
        vec(select(texts.to_vec()).prop_map(Value::from), 0..4).prop_map(Value::from),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(Value::from("")),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let name = prop_oneof![
            any::<String>(),
            select(vec!["Name", "Message", "id", "email"]).prop_map(str::to_owned)
        ];
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((name, inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
