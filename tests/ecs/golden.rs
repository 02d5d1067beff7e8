//! Records of every dataset as events, byte for byte: `tests/fixtures/ecs/<dataset>.ndjson`, and beside it
//! `<dataset>.ecs.ndjson` with what comes out. `surprises.csv` says how much in which record did not fit.
//!
//! `ECS_UPDATE=1 npm run test:native -- --test ecs` writes what comes out now. Read the difference before you commit it.

use logpush_edge::ecs::{Normaliser, Scratch, Surprises};
use logpush_edge::logpush::catalogue::{self, Dataset};
use logpush_edge::logpush::scope::ScopeKind;
use serde_json::Value;
use std::fmt::Write as _;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ecs");

/// Whether expectations are written instead of checked.
pub fn is_update() -> bool {
    std::env::var_os("ECS_UPDATE").is_some()
}

#[test]
fn records_of_every_dataset_become_the_events_that_were_reviewed() {
    let mut odd = String::from("dataset,record,unreadable_time,unexpected_value\n");
    for dataset in catalogue::names() {
        let records = records(dataset);
        assert!(records.lines().count() >= 3, "{dataset}");
        let mut found = String::new();
        for (at, record) in records.lines().enumerate() {
            let (event, surprises) = event(dataset, record);
            let _ = writeln!(found, "{event}");
            let Surprises {
                unreadable_time,
                unexpected_value,
                unknown_dataset,
            } = surprises;
            assert_eq!(unknown_dataset, 0, "{dataset}");
            if !surprises.is_none() {
                let record = at + 1;
                let _ = writeln!(
                    odd,
                    "{dataset},{record},{unreadable_time},{unexpected_value}"
                );
            }
        }
        reviewed(&format!("{dataset}.ecs.ndjson"), &found);
    }
    reviewed("surprises.csv", &odd);
}

/// Compares with a file of the folder, or writes it.
fn reviewed(name: &str, found: &str) {
    let path = format!("{FOLDER}/{name}");
    if is_update() {
        std::fs::write(path, found).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(path).unwrap_or_default();
    for (at, (found, wanted)) in found.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(found, wanted, "{name}, line {}", at + 1);
    }
    assert_eq!(found.len(), wanted.len(), "{name}: lines came or went");
}

fn records(dataset: &str) -> String {
    std::fs::read_to_string(format!("{FOLDER}/{dataset}.ndjson")).unwrap()
}

#[test]
fn events_parse_hold_nothing_empty_and_say_their_dataset() {
    for dataset in catalogue::names() {
        for record in records(dataset).lines() {
            let (text, _) = event(dataset, record);
            assert!(!text.contains('\n'), "{dataset}: {text}");
            let event: Value = serde_json::from_str(&text).unwrap();
            assert!(!holds_nothing(&event), "{dataset}: {text}");
            assert_eq!(event["event"]["dataset"], dataset);
            assert!(event["event"]["category"].is_array(), "{dataset}");
        }
    }
}

fn holds_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.iter().any(holds_nothing),
        Value::Object(members) => members.values().any(holds_nothing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The event that a record becomes, and what did not fit.
pub fn event(dataset: &str, record: &str) -> (String, Surprises) {
    let schema = Dataset::find(ScopeKind::Account, dataset);
    let normaliser = Normaliser::compile(dataset, schema.as_ref(), &[], false);
    let (mut scratch, mut surprises) = (Scratch::default(), Surprises::default());
    let mut event = b"{".to_vec();
    normaliser.write(record.as_bytes(), &mut scratch, &mut surprises, &mut event);
    event.push(b'}');
    (String::from_utf8(event).unwrap(), surprises)
}
