//! Every table against the reference of ECS: places, their types, and the values of `event.*`.

use logpush_edge::ecs::convert::As;
use logpush_edge::ecs::table::{COMMON, Table, names};
use logpush_edge::logpush::catalogue::{self, Dataset};
use logpush_edge::logpush::scope::ScopeKind;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Types of events that a table uses although ECS does not expect them with its categories: dataset, type, why.
const UNEXPECTED: &[(&str, &str, &str)] = &[(
    "workers_trace_events",
    "error",
    "ECS knows errors of web and database only, and a Worker that fails is no request that failed",
)];

/// Common names that the catalogue no longer has: network_analytics_logs had them before `SourcePort`.
const FORMER: [&str; 4] = [
    "TCPSourcePort",
    "TCPDestinationPort",
    "UDPSourcePort",
    "UDPDestinationPort",
];

/// The name of a place → the type that ECS gives it, and whether it holds a list.
fn places() -> BTreeMap<&'static str, (&'static str, bool)> {
    rows(include_str!("../fixtures/ecs/fields.csv"))
        .map(|row| (row[0], (row[1], row[2] == "array")))
        .collect()
}

/// The values that ECS allows in a place, and the types that it expects with a category.
fn allowed() -> BTreeMap<&'static str, BTreeMap<&'static str, BTreeSet<&'static str>>> {
    let mut allowed: BTreeMap<_, BTreeMap<_, BTreeSet<_>>> = BTreeMap::new();
    for row in rows(include_str!("../fixtures/ecs/values.csv")) {
        let types = row[2].split_whitespace().collect();
        allowed.entry(row[0]).or_default().insert(row[1], types);
    }
    allowed
}

fn rows(csv: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    csv.lines().skip(1).map(|line| line.split(',').collect())
}

fn scopes(dataset: &str) -> Vec<Dataset> {
    [ScopeKind::Zone, ScopeKind::Account]
        .into_iter()
        .filter_map(|scope| Dataset::find(scope, dataset))
        .collect()
}

/// The types of ECS that a conversion can write, and whether it writes lists.
fn writes(conversion: As) -> (&'static [&'static str], bool) {
    const TEXT: &[&str] = &["keyword", "wildcard", "match_only_text", "constant_keyword"];
    match conversion {
        As::Long
        | As::Nonzero
        | As::Port
        | As::Asn
        | As::DurationSeconds
        | As::DurationMillis
        | As::UrlPort => (&["long"], false),
        As::Float => (&["float", "scaled_float"], false),
        As::Boolean => (&["boolean"], false),
        As::Time => (&["date"], false),
        As::Ip => (&["ip"], false),
        As::Ips => (&["ip"], true),
        As::Whole => (&["object", "flattened", "nested"], true),
        As::Texts => (TEXT, true),
        As::Text
        | As::String
        | As::Mapped
        | As::Lowercase
        | As::Uppercase
        | As::Country
        | As::Transport
        | As::DnsName
        | As::DnsType
        | As::DnsRcode
        | As::HttpProtocol
        | As::HttpVersion
        | As::TlsProtocol
        | As::TlsVersion
        | As::RayId
        | As::UrlScheme
        | As::UrlDomain
        | As::UrlPath
        | As::UrlQuery
        | As::Query
        | As::UrlFragment
        | As::UrlExtension => (TEXT, false),
    }
}

/// Every table by its name, the common one too, as its file has it.
fn tables() -> Vec<(&'static str, Table)> {
    names()
        .chain([COMMON])
        .map(|name| (name, Table::read(name).unwrap().unwrap()))
        .collect()
}

#[test]
fn every_dataset_of_the_catalogue_has_a_table() {
    let missing: Vec<&str> = catalogue::names()
        .filter(|dataset| !names().any(|name| name == *dataset))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_common_name_is_a_field_of_some_dataset() {
    let known: BTreeSet<String> = catalogue::names()
        .flat_map(scopes)
        .flat_map(|dataset| dataset.fields.into_keys())
        .collect();
    let unused: Vec<String> = Table::read(COMMON)
        .unwrap()
        .unwrap()
        .fields
        .0
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !known.contains(name) && !FORMER.contains(&name.as_str()))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn every_place_is_one_of_ecs_and_gets_values_of_its_type() {
    let places = places();
    for (name, table) in tables() {
        for (field, outputs) in &table.fields.0 {
            for output in &outputs.outputs {
                let Some(to) = output.to.as_deref() else {
                    assert!(
                        output.at.is_empty() && output.map.is_empty() && !output.weak,
                        "{name}.{field}"
                    );
                    continue;
                };
                let Some((kind, is_list)) = places.get(to) else {
                    panic!("{name}.{field}: ECS has no {to}");
                };
                let (writes, writes_list) = writes(output.conversion);
                assert!(
                    writes.contains(kind),
                    "{name}.{field}: {to} is {kind}, not {:?}",
                    output.conversion
                );
                assert_eq!(*is_list, writes_list, "{name}.{field}: is {to} a list?");
            }
        }
        for duration in &table.durations {
            assert_eq!(
                places.get(duration.to.as_str()),
                Some(&("long", false)),
                "{name}"
            );
        }
        let set = table
            .when
            .iter()
            .flat_map(|when| &when.set)
            .chain(&table.set);
        for (place, value) in set {
            let Some((kind, is_list)) = places.get(place.as_str()) else {
                panic!("{name}: ECS has no {place}");
            };
            let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
            assert_eq!(*kind, "keyword", "{name}: {place}");
            match value {
                Value::Array(values) => {
                    assert!(*is_list && values.iter().all(is_text), "{name}: {place}")
                }
                value => assert!(!is_list && is_text(value), "{name}: {place}"),
            }
        }
    }
}

#[test]
fn categories_types_kinds_and_outcomes_are_those_of_ecs() {
    let allowed = allowed();
    let check = |name: &str, place: &str, value: &str| {
        if let Some(values) = allowed.get(place) {
            assert!(
                values.contains_key(value),
                "{name}: {place} can not be {value}"
            );
        }
    };
    for (name, table) in tables() {
        for (_, field) in &table.fields.0 {
            for output in &field.outputs {
                let to = output.to.as_deref().unwrap_or_default();
                // What the data say can not be checked here, so only what a table names may go there.
                assert!(
                    !allowed.contains_key(to) || output.conversion == As::Mapped,
                    "{name}: {to} must be mapped"
                );
                output
                    .map
                    .values()
                    .flatten()
                    .for_each(|value| check(name, to, value));
            }
        }
        for (place, value) in table
            .when
            .iter()
            .flat_map(|when| &when.set)
            .chain(&table.set)
        {
            for value in texts(value) {
                check(name, place, value);
            }
        }
    }
}

#[test]
fn every_type_is_expected_with_one_of_its_categories() {
    let allowed = allowed();
    let categories = &allowed["event.category"];
    for name in names() {
        let (table, _) = Table::of(name);
        let (own_category, own_type) = (&table.set["event.category"], &table.set["event.type"]);
        let alternatives = table.when.iter().map(|when| {
            let or = |place: &str, own| when.set.get(place).unwrap_or(own).clone();
            (
                or("event.category", own_category),
                or("event.type", own_type),
            )
        });
        for (category, kinds) in alternatives.chain([(own_category.clone(), own_type.clone())]) {
            for kind in texts(&kinds) {
                let is_expected = texts(&category)
                    .iter()
                    .any(|category| categories[category].contains(kind));
                let is_excused = UNEXPECTED
                    .iter()
                    .any(|(dataset, t, _)| (*dataset, *t) == (name, kind));
                assert_ne!(is_expected, is_excused, "{name}: {kind} with {category}");
            }
        }
    }
}

#[test]
fn no_place_is_claimed_twice_in_a_dataset() {
    for name in names() {
        let (table, _) = Table::of(name);
        for dataset in scopes(name) {
            let mut claimed: BTreeMap<&str, &str> = BTreeMap::new();
            let fields = table.fields.0.iter();
            for (field, outputs) in fields.filter(|(field, _)| dataset.fields.contains_key(field)) {
                for output in outputs.outputs.iter().filter(|output| !output.weak) {
                    let Some(to) = output.to.as_deref() else {
                        continue;
                    };
                    if let Some(other) = claimed.insert(to, field) {
                        panic!("{name}: {other} and {field} both go to {to}");
                    }
                }
            }
            for duration in &table.durations {
                let by_field = claimed.get(duration.to.as_str());
                assert_eq!(by_field, None, "{name}: {}", duration.to);
            }
            // A place with something below it would be a value and an object at once.
            for place in claimed.keys() {
                let below = format!("{place}.");
                let inside = claimed.keys().find(|other| other.starts_with(&below));
                assert_eq!(inside, None, "{name}: {place}");
            }
        }
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        value => value.as_str().into_iter().collect(),
    }
}
