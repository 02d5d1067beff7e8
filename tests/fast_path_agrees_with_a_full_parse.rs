//! The way that a batch takes (lanes, remembered layouts, conditions decided together) and a full parse of every line agree:
//! on what is a record, on its fields, on which jobs select it, and on the bytes that are written.

mod naive;

use flate2::read::MultiGzDecoder;
use flate2::{Compression, write::GzEncoder};
use logpush_edge::batch::projection::Projection;
use logpush_edge::batch::reader::{Reader, Sink};
use logpush_edge::batch::scan::{InvalidLine, scan};
use logpush_edge::logpush::catalogue::Dataset;
use logpush_edge::logpush::filter::Filter;
use logpush_edge::logpush::output_options::OutputOptions;
use logpush_edge::logpush::scope::ScopeKind;
use logpush_edge::route::filter::CompiledFilter;
use logpush_edge::route::{JobRoute, Keep, Router, Routes, Shape, Written};
use naive::cases::{Case, case};
use naive::json;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What is found in place of a line.
#[derive(Debug, PartialEq)]
enum Found {
    Record(String, Vec<Option<String>>),
    Invalid(u64, &'static str),
}

#[derive(Default)]
struct Collected(Vec<Found>);

impl Sink for Collected {
    fn record(&mut self, line: &[u8], fields: &[Option<&[u8]>]) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields = fields.iter().map(|raw| raw.map(text)).collect();
        self.0.push(Found::Record(text(line), fields));
    }
    fn invalid(&mut self, number: u64, _line: &[u8], reason: InvalidLine) {
        self.0.push(Found::Invalid(number, reason.as_str()));
    }
    fn is_full(&self) -> bool {
        false
    }
}

fn projection(names: &[&str]) -> Projection {
    let mut projection = Projection::new();
    for name in names {
        projection.slot(name);
    }
    projection
}

/// As a batch is read: in pieces of `chunk` bytes.
fn read(body: &[u8], chunk: usize, projection: &Projection, sink: &mut impl Sink) {
    let mut reader = Reader::new();
    let mut window = Vec::new();
    for chunk in body.chunks(chunk) {
        reader.feed(chunk, &mut window, projection, sink);
    }
    reader.finish(&mut window, projection, sink);
}

/// As a full parse finds it, line by line.
fn expected(body: &[u8], names: &[&str]) -> Vec<Found> {
    let mut found = Vec::new();
    let lines = body
        .strip_suffix(b"\n")
        .unwrap_or(body)
        .split(|byte| *byte == b'\n');
    for (number, line) in (1..).zip(lines) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        found.push(match json::members(line) {
            Err(reason) => Found::Invalid(number, reason),
            Ok(members) => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let field = |name: &&str| {
                    let wanted: Vec<u16> = name.encode_utf16().collect();
                    let of_name = members.iter().rev().find(|(key, _)| *key == wanted);
                    of_name.map(|(_, place)| text(&line[place.clone()]))
                };
                Found::Record(text(line), names.iter().map(field).collect())
            }
        });
    }
    found
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What both ways find. Which fields are wanted changes nothing about what is a record.
fn agreed(body: &[u8], chunk: usize, names: &[&str]) -> Vec<Found> {
    let expected = expected(body, names);
    let mut found = Collected::default();
    read(body, chunk, &projection(names), &mut found);
    assert_eq!(found.0, expected);
    let mut inflated = Collected::default();
    read(&gzip(body), chunk, &projection(names), &mut inflated);
    assert_eq!(inflated.0, expected);
    let mut without_fields = Collected::default();
    read(body, 1 << 20, &Projection::new(), &mut without_fields);
    let bare = |found: &Found| match found {
        Found::Record(line, _) => Found::Record(line.clone(), Vec::new()),
        Found::Invalid(number, reason) => Found::Invalid(*number, reason),
    };
    assert_eq!(
        without_fields.0,
        expected.iter().map(bare).collect::<Vec<_>>()
    );
    expected
}

const LONG: &str = "AKeyOfFortyBytesAsTheLongestOfLogpushIsX";
const TOO_LONG: &str = "AKeyThatIsLongerThanWhatIsRememberedOfAKeyByALayout";
const KEYS: [&str; 9] = [
    "A",
    "AB",
    "ClientRequestHost",
    "EdgeResponseStatus",
    "Größe",
    LONG,
    TOO_LONG,
    "Quote\"",
    "",
];

/// A value as it may stand in a line, most of them valid.
fn value() -> impl Strategy<Value = String> {
    let texts = [
        r#""\ud800""#,
        r#""\ud83d\ude00""#,
        r#""\u0041\n\/""#,
        r#""\x""#,
        r#""\u12g4""#,
        "\"\u{1}\"",
        "\"\t\"",
        "\"\u{7f}\"",
        "\"é",
        r#""\\""#,
        r#""\""#,
        r#""\"""#,
        r#""""#,
        "true",
        "false",
        "null",
        "tru",
        "nulll",
        "0",
        "-0",
        "01",
        "-01",
        "1.",
        ".5",
        "1.5E+3",
        "-",
        "1e999",
        "1e",
        "+1",
        "12345678901234567890123456789012345678901234567890",
        "1657233726004000000",
        "-1657233726004000000",
        "0.30000000000000004",
        "{}",
        "[]",
        "{ }",
        "[1, {\"A\":[]}]",
        r#"{"A":1,"A":{"A":"}"}}"#,
        "[1,]",
        r#"{"A":}"#,
        "[",
        "}",
        "'x'",
        "NaN",
    ];
    let nested = (120_usize..132, any::<bool>()).prop_map(|(depth, is_object)| {
        if is_object {
            format!("{}1{}", r#"{"A":"#.repeat(depth), "}".repeat(depth))
        } else {
            format!("{}{}", "[".repeat(depth), "]".repeat(depth))
        }
    });
    prop_oneof![
        6 => "[ -~]{0,40}".prop_map(|text| Value::from(text).to_string()),
        3 => "\\PC{0,20}".prop_map(|text| Value::from(text).to_string()),
        2 => vec(select(vec!["x", "\\n", "\\\"", "\\\\", "\\u00e9", "é", "0123456789abcdef", "{", "\\u0022"]), 0..8)
            .prop_map(|parts| format!("\"{}\"", parts.concat())),
        5 => any::<i64>().prop_map(|n| n.to_string()),
        3 => (0..1000_i64).prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_filter("JSON", |n| n.is_finite()).prop_map(|n| Value::from(n).to_string()),
        4 => select(texts.to_vec()).prop_map(str::to_owned),
        1 => nested,
    ]
}

/// What happens to a line of the batch's layout.
#[derive(Debug, Clone)]
enum Fate {
    Stays,
    Spaced(&'static str),
    KeyTwice(Index),
    KeyEscaped(Index),
    Swapped(Index, Index),
    Dropped(Index),
    Byte(Index, u8),
    Cut(Index),
    Before(&'static [u8]),
    After(&'static [u8]),
    Instead(&'static [u8]),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Stays),
        1 => select(vec![" ", "\t", "\r", "  \t"]).prop_map(Fate::Spaced),
        1 => any::<Index>().prop_map(Fate::KeyTwice),
        1 => any::<Index>().prop_map(Fate::KeyEscaped),
        1 => any::<(Index, Index)>().prop_map(|(a, b)| Fate::Swapped(a, b)),
        1 => any::<Index>().prop_map(Fate::Dropped),
        3 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Fate::Byte(at, byte)),
        1 => any::<Index>().prop_map(Fate::Cut),
        1 => select(vec![b"\xef\xbb\xbf".as_slice(), b"x", b",", b"\0"]).prop_map(Fate::Before),
        1 => select(vec![b"\r".as_slice(), b"}", b",", b"{}", b"\0", b"\xff"]).prop_map(Fate::After),
        1 => select(vec![b"".as_slice(), b"  ", b"{}", b"[]", b"1", b"\"x\"", b"{", b"\xc3", b"{\"A\"", b"}"]).prop_map(Fate::Instead),
    ]
}

fn key(name: &str) -> String {
    Value::from(name).to_string()
}

fn line(names: &[&str], values: &[String], fate: &Fate) -> Vec<u8> {
    let mut members: Vec<(String, &String)> =
        names.iter().map(|name| key(name)).zip(values).collect();
    let mut space = "";
    match fate {
        Fate::KeyTwice(at) => members.push((members[at.index(names.len())].0.clone(), &values[0])),
        Fate::KeyEscaped(at) => {
            let member = &mut members[at.index(names.len())];
            if member.0 == "\"A\"" {
                member.0 = r#""\u0041""#.to_owned();
            }
        }
        Fate::Swapped(a, b) => members.swap(a.index(names.len()), b.index(names.len())),
        Fate::Dropped(at) => drop(members.remove(at.index(names.len()))),
        Fate::Spaced(text) => space = text,
        _ => {}
    }
    let members: Vec<String> = members
        .iter()
        .map(|(key, value)| format!("{space}{key}{space}:{space}{value}{space}"))
        .collect();
    let mut line = format!("{{{}}}", members.join(",")).into_bytes();
    match fate {
        Fate::Byte(at, byte) => {
            let at = at.index(line.len());
            line[at] = *byte;
        }
        Fate::Cut(at) => line.truncate(at.index(line.len())),
        Fate::Before(bytes) => line = [bytes, line.as_slice()].concat(),
        Fate::After(bytes) => line.extend_from_slice(bytes),
        Fate::Instead(bytes) => line = bytes.to_vec(),
        _ => {}
    }
    line
}

/// Lines of which most have the same keys in the same order. The first two say beyond doubt that it is NDJSON.
fn batch() -> impl Strategy<Value = Vec<u8>> {
    vec(select(KEYS.to_vec()), 1..8)
        .prop_flat_map(|names| {
            let count = names.len();
            (Just(names), vec((vec(value(), count), fate()), 1..24))
        })
        .prop_map(|(names, lines)| {
            let mut body = b"{\"first\":1}\n{\"first\":2}\n".to_vec();
            for (values, fate) in &lines {
                body.extend(line(&names, values, fate));
                body.push(b'\n');
            }
            body
        })
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn hostile_lines_are_read_as_a_full_parse_reads_them(body in batch(), chunk in 1_usize..700) {
        agreed(&body, chunk, &["AB", "A", "EdgeResponseStatus", "Größe", LONG, TOO_LONG, "Quote\"", "absent", ""]);
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn jobs_together_select_what_each_selects_alone_and_naively(
        cases in vec(case(true, 2), 1..6), order in vec(any::<(Index, bool)>(), 1..40), budget in 1_usize..4_000,
    ) {
        jobs_agree(&cases, &order, budget);
    }
}

fn jobs_agree(cases: &[Case], order: &[(Index, bool)], budget: usize) {
    let mut projection = Projection::new();
    let job = |case: &Case| {
        let filter = Filter::parse(&case.filter.to_string(), None).unwrap();
        JobRoute {
            job_id: 1,
            filter: Some(CompiledFilter::compile(&filter, &mut projection)),
            sample: None,
            written: Written::AsItCame,
            assembly: None,
            keep: Keep::Copy,
            segment_max_records: 3,
        }
    };
    // Every filter several times, so that jobs share conditions and values rule several of them out.
    let wanted: Vec<&Case> = cases.iter().cycle().take(cases.len() * 5).collect();
    let jobs: Vec<JobRoute> = wanted.iter().copied().map(job).collect();
    let routes = Routes::new(projection, Vec::new(), jobs, Vec::new());
    let lines: Vec<&str> = order
        .iter()
        .map(|(at, _)| cases[at.index(cases.len())].line.as_str())
        .collect();
    let mut router = Router::new(&routes, budget);
    let mut written: Vec<Vec<u8>> = vec![Vec::new(); wanted.len()];
    for line in &lines {
        let mut fields = vec![None; routes.projection.names().len()];
        scan(line.as_bytes(), &routes.projection, &mut fields).unwrap();
        router.record(line.as_bytes(), &fields);
        while router.is_full() {
            let (index, payload) = router.take_largest().unwrap();
            payload
                .blocks()
                .for_each(|block| written[index].extend_from_slice(block));
        }
    }
    for (index, case) in wanted.iter().enumerate() {
        let payload = router.take(index);
        payload
            .blocks()
            .for_each(|block| written[index].extend_from_slice(block));
        let is_selected = |line: &&&str| {
            naive::selects(
                &case.filter,
                &|_| None,
                &serde_json::from_str(line).unwrap(),
            )
        };
        let expected: Vec<String> = lines
            .iter()
            .filter(is_selected)
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(
            String::from_utf8_lossy(&written[index]),
            expected.concat(),
            "{}",
            case.filter
        );
        assert_eq!(router.selections()[index].records, expected.len() as u64);
    }
}

#[test]
fn a_projection_that_changes_in_the_middle_of_a_batch_is_followed() {
    let line = b"{\"A\":1,\"AB\":2,\"filler\":\"as much as a lane holds and then some more\"}\n";
    let (mut reader, mut window, mut found) = (Reader::new(), Vec::new(), Collected::default());
    for name in ["A", "AB", "A"] {
        reader.feed(
            &line.repeat(3),
            &mut window,
            &projection(&[name]),
            &mut found,
        );
    }
    let values: Vec<String> = found
        .0
        .into_iter()
        .map(|found| match found {
            Found::Record(_, fields) => fields[0].clone().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(values.concat(), "111222111");
}

/// What jobs make of a batch, against what a full parse of its lines says.
fn routed(dataset: &str, body: &[u8], filters: &[Value]) {
    let schema = Dataset::find(ScopeKind::Zone, dataset);
    let names: Vec<&str> = schema.as_ref().map_or(Vec::new(), |schema| {
        schema.fields.keys().map(String::as_str).collect()
    });
    let found = agreed(body, 100_000, &names);
    assert!(
        found.iter().all(|found| matches!(found, Found::Record(..))),
        "{dataset}"
    );
    // A second parser agrees with the first.
    for found in &found {
        let Found::Record(line, fields) = found else {
            continue;
        };
        let parsed: Value = serde_json::from_str(line).unwrap();
        for (name, raw) in names.iter().zip(fields) {
            let value = raw
                .as_deref()
                .map(|raw| serde_json::from_str::<Value>(raw).unwrap());
            assert_eq!(value.as_ref(), parsed.get(*name), "{name} in {line}");
        }
    }

    let options = serde_json::json!({"field_names": names, "timestamp_format": "rfc3339", "output_type": "csv", "record_delimiter": "\n"});
    let options = OutputOptions::from_json(&options).unwrap();
    let mut projection = Projection::new();
    let mut jobs = Vec::new();
    for (index, filter) in filters.iter().enumerate() {
        let compiled = Filter::parse(
            &serde_json::json!({"where": filter}).to_string(),
            schema.as_ref(),
        )
        .unwrap();
        jobs.push(JobRoute {
            job_id: index as u64,
            filter: Some(CompiledFilter::compile(&compiled, &mut projection)),
            sample: None,
            written: if index % 2 == 1 {
                Written::compile(&options, dataset, schema.as_ref(), &mut projection)
            } else {
                Written::AsItCame
            },
            assembly: None,
            keep: Keep::Copy,
            segment_max_records: 1_000_000,
        });
    }
    let routes = Routes::new(projection, Vec::new(), jobs, Vec::new());
    let mut router = Router::new(&routes, usize::MAX);
    read(&gzip(body), 5_000, &routes.projection, &mut router);

    let mut alone = Projection::new();
    let shape = Shape::compile(&options, schema.as_ref(), &mut alone).unwrap();
    for (index, filter) in filters.iter().enumerate() {
        let type_of = |name: &str| {
            schema
                .as_ref()
                .map(|schema| schema.fields[name].field_type.as_str())
        };
        let mut expected = Vec::new();
        for found in &found {
            let Found::Record(line, _) = found else {
                continue;
            };
            if !naive::selects(
                &serde_json::json!({"where": filter}),
                &type_of,
                &serde_json::from_str(line).unwrap(),
            ) {
                continue;
            }
            if index % 2 == 1 {
                let mut fields = vec![None; alone.names().len()];
                for (key, place) in json::members(line.as_bytes()).unwrap() {
                    if let Some(slot) = alone.find(String::from_utf16(&key).unwrap().as_bytes()) {
                        fields[slot] = Some(&line.as_bytes()[place]);
                    }
                }
                shape.write(line.as_bytes(), &fields, &mut expected);
            } else {
                expected.extend_from_slice(line.as_bytes());
                expected.push(b'\n');
            }
        }
        let written: Vec<&[u8]> = router.selections()[index].payload.blocks().collect();
        assert!(
            written.concat() == expected,
            "job {index} of {dataset}: {filter}"
        );
    }
}

/// Filters whose values are those of the batch's own first records.
fn filters(dataset: &str, body: &[u8]) -> Vec<Value> {
    let schema = Dataset::find(ScopeKind::Zone, dataset);
    let mut filters = Vec::new();
    for line in body.split(|byte| *byte == b'\n').take(12) {
        let Ok(Value::Object(record)) = serde_json::from_slice(line) else {
            continue;
        };
        let conditions = record.iter().filter_map(|(key, value)| {
            let word = schema.as_ref()?.fields.get(key)?.field_type.as_str();
            match (word, value) {
                ("string", Value::String(_)) => {
                    Some(serde_json::json!({"key": key, "operator": "eq", "value": value}))
                }
                ("int", Value::Number(_)) => {
                    Some(serde_json::json!({"key": key, "operator": "leq", "value": value}))
                }
                ("bool", Value::Bool(_)) => {
                    Some(serde_json::json!({"key": key, "operator": "!eq", "value": value}))
                }
                _ => None,
            }
        });
        let conditions: Vec<Value> = conditions.collect();
        for pair in conditions.chunks(2) {
            filters.push(serde_json::json!({"and": pair}));
            filters.push(serde_json::json!({"or": [{"and": pair}, pair[0]]}));
        }
    }
    filters
}

#[test]
fn published_records_are_read_and_routed_as_a_full_parse_says() {
    for name in ["dns_logs", "network_analytics_logs"] {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.ndjson"));
        // More than once, because a layout is remembered from the line before.
        let body = std::fs::read(file).unwrap().repeat(3);
        routed(name, &body, &filters(name, &body));
    }
}

/// `npm test` says where the generator of the Worker tests has put its records.
#[test]
fn generated_records_are_read_and_routed_as_a_full_parse_says() {
    let Some(folder) = std::env::var_os("LOGPUSH_EDGE_RECORDS") else {
        eprintln!("skipped: LOGPUSH_EDGE_RECORDS names no folder of records; `npm test` makes one");
        return;
    };
    for name in ["http_requests", "dns_logs", "firewall_events"] {
        let file = PathBuf::from(&folder).join(format!("{name}.ndjson.gz"));
        let mut body = Vec::new();
        let file = std::fs::File::open(file).unwrap();
        MultiGzDecoder::new(file).read_to_end(&mut body).unwrap();
        // A naive evaluation takes its time.
        let end = memchr::memchr_iter(b'\n', &body).nth(299).unwrap();
        body.truncate(end + 1);
        routed(name, &body, &filters(name, &body));
    }
}
