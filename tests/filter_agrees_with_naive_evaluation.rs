//! A compiled filter, evaluated the way a batch takes (projection, scan, raw text), selects what a naive evaluation of the
//! same filter over the parsed record selects.

mod naive;

use logpush_edge::batch::projection::Projection;
use logpush_edge::batch::scan::scan;
use logpush_edge::logpush::catalogue::Dataset;
use logpush_edge::logpush::filter::Filter;
use logpush_edge::route::filter::CompiledFilter;
use naive::cases::{Case, DATASETS, case};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use std::collections::BTreeMap;

fn compiled_selects(filter: &Filter, line: &str) -> bool {
    let mut projection = Projection::new();
    let compiled = CompiledFilter::compile(filter, &mut projection);
    let mut fields = vec![None; projection.names().len()];
    scan(line.as_bytes(), &projection, &mut fields).unwrap();
    compiled.matches(&fields)
}

/// Evaluates both ways and returns what both say.
fn agreed(case: &Case, is_open: bool) -> bool {
    let dataset = &DATASETS[case.dataset];
    let schema: Option<&Dataset> = (!is_open).then_some(dataset);
    let text = case.filter.to_string();
    let filter = Filter::parse(&text, schema).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(
        Filter::parse(&filter.canonical(), schema).as_ref(),
        Ok(&filter)
    );
    // A stored filter whose field left the catalogue is read with an open schema.
    assert!(Filter::parse(&text, None).is_ok(), "{text}");

    let record: Value = serde_json::from_str(&case.line).unwrap();
    let type_of = |key: &str| {
        let schema = schema?;
        Some(schema.fields[key].field_type.as_str())
    };
    let expected = naive::selects(&case.filter, &type_of, &record);
    assert_eq!(
        compiled_selects(&filter, &case.line),
        expected,
        "{text} on {}",
        case.line
    );
    expected
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn with_the_types_of_the_dataset(case in case(false, 3)) {
        agreed(&case, false);
    }

    #[test]
    fn with_one_condition(case in case(false, 0)) {
        agreed(&case, false);
    }

    #[test]
    fn with_an_open_schema(case in case(true, 2)) {
        agreed(&case, true);
    }
}

/// Of whole filters at least a fifth each way, and of each operator with each type that is frequent at least a twentieth.
#[test]
fn the_cases_reach_both_outcomes() {
    let mut runner = TestRunner::deterministic();
    for (is_open, depth) in [(false, 3), (true, 2), (false, 0), (true, 0)] {
        let strategy = case(is_open, depth);
        let mut outcomes: BTreeMap<String, [u32; 2]> = BTreeMap::new();
        let count = if depth == 0 { 5_000 } else { 1_000 };
        for _ in 0..count {
            let case = strategy.new_tree(&mut runner).unwrap().current();
            let is_selected = usize::from(agreed(&case, is_open));
            outcomes.entry("filters".to_owned()).or_default()[is_selected] += 1;
            let leaf = &case.filter["where"];
            if let (Some(key), Some(operator)) = (leaf["key"].as_str(), leaf["operator"].as_str()) {
                let word = if is_open {
                    "unknown"
                } else {
                    DATASETS[case.dataset].fields[key].field_type.as_str()
                };
                let name = format!("{operator} of {word}");
                outcomes.entry(name).or_default()[is_selected] += 1;
            }
        }
        let [no, yes] = outcomes["filters"];
        assert!(no.min(yes) * 5 >= no + yes, "{no} {yes}");
        if depth > 0 {
            continue;
        }
        outcomes.retain(|_, [no, yes]| *no + *yes >= 20);
        for (name, [no, yes]) in &outcomes {
            assert!(no.min(yes) * 20 >= no + yes, "{name}: {no} {yes}");
        }
        // The operators of strings, ints, times, bools and arrays; floats are rare.
        let frequent = if is_open { 14 } else { 10 + 8 + 8 + 2 + 2 };
        assert!(outcomes.len() > frequent, "{outcomes:?}");
    }
}
