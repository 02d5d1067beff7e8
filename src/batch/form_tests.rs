//! The forms that a batch may have. Each case is read in several chunkings, plain and as gzip.

use super::{Form, Reader, Sink};
use crate::batch::incoming::Incoming;
use crate::batch::projection::Projection;
use crate::batch::scan::InvalidLine;
use crate::limits::{CSV_LINES_MAX_BYTES, LINE_MAX_BYTES};
use crate::logpush::scope::ScopeKind;
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::io::Write;

#[derive(Debug, Default, PartialEq)]
struct Found {
    form: Form,
    records: Vec<String>,
    invalid: Vec<(u64, &'static str, String)>,
    /// Records that it takes before it has to be emptied; `None` takes all.
    room: Option<usize>,
}

/// Room for records that a sink gets each time it is emptied.
const ROOM: usize = 1;

impl Sink for Found {
    fn record(&mut self, line: &[u8], fields: &[Option<&[u8]>]) {
        assert!(!line.contains(&b'\n'));
        let value: Value = serde_json::from_slice(line).unwrap();
        let field = fields[0].map(|raw| serde_json::from_slice::<Value>(raw).unwrap());
        assert_eq!(value.get("a"), field.as_ref());
        self.records.push(String::from_utf8(line.to_vec()).unwrap());
        self.room = self.room.map(|room| room.saturating_sub(1));
    }
    fn invalid(&mut self, number: u64, line: &[u8], reason: InvalidLine) {
        let text = String::from_utf8_lossy(line).into_owned();
        self.invalid.push((number, reason.as_str(), text));
    }
    fn is_full(&self) -> bool {
        self.room == Some(0)
    }
}

fn incoming(dataset: &str, query: &str) -> Incoming {
    Incoming::new(ScopeKind::Zone, dataset, query).unwrap()
}

fn read(body: &[u8], chunk: usize, incoming: &Incoming) -> Found {
    let mut projection = Projection::new();
    projection.slot("a");
    let mut reader = Reader::expecting(incoming.clone());
    let (mut window, mut found) = (Vec::new(), Found::default());
    for chunk in body.chunks(chunk) {
        reader.feed(chunk, &mut window, &projection, &mut found);
    }
    reader.finish(&mut window, &projection, &mut found);
    found.form = reader.meter().form;
    assert_eq!(reader.meter().records, found.records.len() as u64);
    assert_eq!(reader.meter().invalid_lines, found.invalid.len() as u64);
    found
}

/// The same through a sink that is full after every record. One window must not be taken at once then, because small
/// records may be written out at many times their size.
fn read_with_little_room(body: &[u8], incoming: &Incoming) -> Found {
    let mut projection = Projection::new();
    projection.slot("a");
    let mut reader = Reader::expecting(incoming.clone());
    let (mut window, mut found) = (Vec::new(), Found::default());
    let mut taken = 0;
    while taken < body.len() {
        found.room = Some(ROOM);
        let before = found.records.len();
        taken += reader.feed(&body[taken..], &mut window, &projection, &mut found);
        assert!(
            found.records.len() <= before + ROOM,
            "more than there was room for"
        );
    }
    loop {
        found.room = Some(ROOM);
        if !reader.drain(&projection, &mut found) {
            break;
        }
    }
    reader.finish(&mut window, &projection, &mut found);
    found.form = reader.meter().form;
    found.room = None;
    found
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Reads in any chunking with the same result.
fn read_anyhow(body: &[u8], incoming: &Incoming) -> Found {
    let found = read(body, usize::MAX, incoming);
    let chunks: &[usize] = if body.len() < 10_000 {
        &[1, 2, 3, 5, 8, 13, 100]
    } else {
        &[100_003]
    };
    for chunk in chunks {
        assert_eq!(read(body, *chunk, incoming), found, "by {chunk}");
    }
    assert_eq!(read(&gzip(body), 100, incoming), found, "gzip");
    assert_eq!(read_with_little_room(body, incoming), found, "little room");
    assert_eq!(
        read_with_little_room(&gzip(body), incoming),
        found,
        "little room, gzip"
    );
    found
}

/// Records, and reasons with texts, of a batch of `dns_logs`.
fn case(body: &str, form: Form, records: &[&str], invalid: &[(&str, &str)]) {
    case_of("dns_logs", "", body, form, records, invalid);
}

fn case_of(
    dataset: &str,
    query: &str,
    body: &str,
    form: Form,
    records: &[&str],
    invalid: &[(&str, &str)],
) {
    let found = read_anyhow(body.as_bytes(), &incoming(dataset, query));
    let reasons: Vec<(&str, &str)> = found
        .invalid
        .iter()
        .map(|(_, reason, text)| (*reason, text.as_str()))
        .collect();
    assert_eq!(found.form, form, "{body}");
    assert_eq!(found.records, records, "{body}");
    assert_eq!(reasons, invalid, "{body}");
}

#[test]
fn records_are_found_in_every_form() {
    let two = [r#"{"a":1}"#, r#"{"a":2,"b":[{"c":"]}"}]}"#];
    for body in [
        // Arrays.
        r#"[{"a":1},{"a":2,"b":[{"c":"]}"}]}]"#,
        "[{\"a\":1}\n,{\"a\":2,\"b\":[{\"c\":\"]}\"}]}\n]\n",
        "  \n[\n{\"a\":1},\n{\"a\":2,\"b\":[{\"c\":\"]}\"}]},\n]",
        "[]\n[{\"a\":1}]\n[{\"a\":2,\"b\":[{\"c\":\"]}\"}]}]\n",
        // Objects around an array.
        "{\"events\":[{\"a\":1}\n,{\"a\":2,\"b\":[{\"c\":\"]}\"}]}\n]}\n",
        "{\"n\":2,\"x\":{\"y\":[]},\"ev\\u0065nts\":[\n{\"a\":1},{\"a\":2,\"b\":[{\"c\":\"]}\"}]}],\"more\":[{\"d\":1}]}",
        r#"{"events":[{"a":1},{"a":2,"b":[{"c":"]}"}]}]}"#,
        "{\"events\":[{\"a\":1}\n]}\n{\"events\":[{\"a\":2,\"b\":[{\"c\":\"]}\"}]}\n]}\n",
        // Objects one behind the other.
        "{\"a\":1}{\"a\":2,\"b\":[{\"c\":\"]}\"}]}",
        "{\"a\":1},\n{\"a\":2,\"b\":[{\"c\":\"]}\"}]}",
        "{\"a\":1}\n,{\"a\":2,\"b\":[{\"c\":\"]}\"}]}\n",
        "{\"a\":1}\n\n  , {\"a\":2,\"b\":[{\"c\":\"]}\"}]}\n",
        "{\n\"a\":1\n}\n{\"a\":2,\"b\":[{\"c\":\"]}\"}]}\n",
    ] {
        case(body, Form::Values, &two, &[]);
        case_of("next_weeks", "", body, Form::Values, &two, &[]);
    }
    case(
        "{\"a\":1}\n{\"a\":2,\"b\":[{\"c\":\"]}\"}]}\n",
        Form::Ndjson,
        &two,
        &[],
    );
    let body = "[\n  {\n    \"a\": [\n      1,\n      {\"b\": \"x\\n\"}\n    ]\n  }\n]\n";
    case(body, Form::Values, &[r#"{"a": [1,{"b": "x\n"}]}"#], &[]);
    case("[]", Form::Values, &[], &[]);
}

#[test]
fn a_record_that_holds_a_list_of_objects_stays_one_record() {
    // A field of the dataset, alone or not, first or not, whatever comes behind it.
    for record in [
        r#"{"Logs":[{"x":1},{"x":2}]}"#,
        r#"{"Event":{"y":1},"Logs":[{"x":1}],"Exceptions":[]}"#,
    ] {
        for body in [
            record.to_owned(),
            format!("{record}\n"),
            format!("{record}\n\n"),
        ] {
            case_of(
                "workers_trace_events",
                "",
                &body,
                Form::Ndjson,
                &[record],
                &[],
            );
        }
        let body = format!("{record}\n{record}\n");
        case_of(
            "next_weeks",
            "",
            &body,
            Form::Ndjson,
            &[record, record],
            &[],
        );
    }
    // Written over several lines, it is found all the same.
    let body = "{\n\"EventType\": \"fetch\",\n\"Logs\": [\n{\"x\":1},\n{\"x\":2}\n]\n}\n";
    let record = r#"{"EventType": "fetch","Logs": [{"x":1},{"x":2}]}"#;
    case_of(
        "workers_trace_events",
        "",
        body,
        Form::Values,
        &[record],
        &[],
    );
    // Of an unknown dataset, on one line, with another member: in doubt it is one record.
    let record = r#"{"id":1,"list":[{"x":1},{"x":2}]}"#;
    case_of("next_weeks", "", record, Form::Ndjson, &[record], &[]);
    // Known by what its first object begins with.
    let body = r#"{"from":"x","list":[{"QueryName":"x"},{"QueryName":"y"}]}"#;
    case(
        body,
        Form::Values,
        &[r#"{"QueryName":"x"}"#, r#"{"QueryName":"y"}"#],
        &[],
    );
}

#[test]
fn ndjson_stays_ndjson_whatever_its_first_line_is() {
    for (body, records, invalid) in [
        ("[1]\n{\"a\":1}\n", 1, 1),
        ("[2026-01-01] started\n{\"a\":1}\n", 1, 1),
        ("{\"a\":1\n{\"a\":2}\n{\"a\":3}\n", 2, 1),
        ("{\"a\":[\n{\"a\":2}\n{\"a\":3}\n", 2, 1),
        ("{\"a\":1} x\n{\"a\":2}\n", 1, 1),
        ("{\"a\":1}\nx\n{\"a\":2}\n", 2, 1),
        ("test\n{\"a\":1}", 1, 1),
        ("\"x\"\n{\"a\":1}", 1, 1),
        ("{\"events\":[{\"a\":1},{\"a\":2", 0, 1),
    ] {
        let found = read_anyhow(body.as_bytes(), &incoming("next_weeks", ""));
        let counts = (found.form, found.records.len(), found.invalid.len());
        let form = if body.starts_with("{\"events") {
            Form::Values
        } else {
            Form::Ndjson
        };
        let records = if form == Form::Values { 1 } else { records };
        assert_eq!(counts, (form, records, invalid), "{body}");
    }
}

#[test]
fn what_is_no_record_is_named_and_the_others_are_found() {
    let (one, two) = (r#"{"a":1}"#, r#"{"a":2}"#);
    for (body, records, invalid) in [
        // Elements that are no objects.
        (
            r#"[{"a":1},null,[{"a":9}],"x, y",-1.5,{"a":2}]"#,
            vec![one, two],
            vec![
                ("not_an_object", "null"),
                ("not_an_object", r#"[{"a":9}]"#),
                ("not_an_object", r#""x, y""#),
                ("not_an_object", "-1.5"),
            ],
        ),
        // Garbage between, in front of the end and behind it.
        (
            r#"[{"a":1} oops {"a":2}nope]x"#,
            vec![one, two],
            vec![
                ("not_json", "oops"),
                ("not_json", "nope"),
                ("not_json", "x"),
            ],
        ),
        (
            r#"[{"a":1}]{"a":2}]"#,
            vec![one, two],
            vec![("not_json", "]")],
        ),
        // Broken elements end at their own bracket …
        (
            r#"[{"a":1},{"b":x y, "c":{"d":"}"}},{"a":2}]"#,
            vec![one, two],
            vec![("not_json", r#"{"b":x y, "c":{"d":"}"}}"#)],
        ),
        (
            r#"[{"a":1},{"b":01},{"a":2}]"#,
            vec![one, two],
            vec![("not_json", r#"{"b":01}"#)],
        ),
        (
            r#"[{"a":1},{"b":"\x"},{"a":2}]"#,
            vec![one, two],
            vec![("not_json", r#"{"b":"\x"}"#)],
        ),
        // … or before a line that begins anew …
        (
            "[\n{\"a\":1},\n{\"b\":\"open},\n{\"a\":2}\n]",
            vec![one, two],
            vec![("not_json", "{\"b\":\"open}")],
        ),
        (
            "[{\"a\":1}\n,{\"b\":[1\n,{\"a\":2}\n]",
            vec![one],
            vec![("not_json", "{\"b\":[1\n,{\"a\":2}\n]")],
        ),
        (
            "[\n  {\n    \"b\": oops\n    \"c\": [\n      {\"a\":9}\n    ]\n  ,\n  {\"a\":2}\n]",
            vec![two],
            vec![(
                "not_json",
                "{\n    \"b\": oops\n    \"c\": [\n      {\"a\":9}\n    ]",
            )],
        ),
        // … or where the array ends.
        (
            r#"[{"a":1},{"b":1]"#,
            vec![one],
            vec![("not_json", r#"{"b":1"#)],
        ),
        (
            "{\"events\":[\n{\"a\":1},{\"b\":1],\"n\":1}\n",
            vec![one],
            vec![("not_json", r#"{"b":1"#)],
        ),
        // What breaks off.
        (r#"[{"a":1},{"a":2}"#, vec![one, two], vec![("cut_off", "")]),
        (
            r#"[{"a":1},{"a":2"#,
            vec![one],
            vec![("not_json", r#"{"a":2"#)],
        ),
        (
            "{\"events\":[\n{\"a\":1},",
            vec![one],
            vec![("cut_off", "")],
        ),
        (
            "{\"events\":[\n{\"a\":1}],\"n\":1",
            vec![one],
            vec![("cut_off", "")],
        ),
        (
            "{\"events\":[\n{\"a\":1}] oops\n{\"a\":2}",
            vec![one, two],
            vec![("not_json", "oops")],
        ),
    ] {
        case(body, Form::Values, &records, &invalid);
    }
    let found = read_anyhow(
        b"[{\"a\":1},{\"b\":\"\xff\"},{\"a\":2}]",
        &Incoming::default(),
    );
    assert_eq!(found.records, [one, two]);
    assert_eq!(found.invalid.len(), 1);
    assert_eq!((found.invalid[0].0, found.invalid[0].1), (2, "not_utf8"));
}

#[test]
fn hostile_values_cost_one_element() {
    let long = "x".repeat(LINE_MAX_BYTES - 10);
    let fits = format!(r#"{{"b":"{long}"}}"#);
    assert_eq!(fits.len(), LINE_MAX_BYTES - 2);
    for (body, records, reason) in [
        (
            format!(r#"[{{"a":1}},{{"b":"{long}]}}xyz"}},{{"a":2}}]"#),
            2,
            "line_too_long",
        ),
        (
            format!(r#"[{{"a":1}},"{long}{long}",{{"a":2}}]"#),
            2,
            "line_too_long",
        ),
        (
            format!(r#"[{{"a":1}},{long}{long},{{"a":2}}]"#),
            2,
            "line_too_long",
        ),
        (
            format!("[{{\"a\":1}},{{\"b\":oops {long}{long}\n{{\"a\":2}}]"),
            2,
            "line_too_long",
        ),
        (
            format!(
                r#"[{{"a":1}},{{"b":{}{}}},{{"a":2}}]"#,
                "[".repeat(200),
                "]".repeat(200)
            ),
            2,
            "too_deep",
        ),
        (
            format!(r#"[{{"a":1}},{}"#, "{\"a\":[".repeat(100_000)),
            1,
            "too_deep",
        ),
        (
            format!("[{{\"a\":1}},{}\n", "[".repeat(3 * LINE_MAX_BYTES)),
            1,
            "line_too_long",
        ),
    ] {
        let found = read_anyhow(body.as_bytes(), &Incoming::default());
        let reasons: Vec<&str> = found.invalid.iter().map(|(_, reason, _)| *reason).collect();
        let head = &body[..40];
        assert_eq!(
            (found.records.len(), reasons),
            (records, vec![reason]),
            "{head}"
        );
    }
    let body = format!("[{fits},{fits}]");
    assert_eq!(
        read_anyhow(body.as_bytes(), &Incoming::default())
            .records
            .len(),
        2
    );
    // No record is that long, so the array can be known for what it is.
    let body = format!("{{\"events\":[{fits},{fits},{fits}]}}");
    assert_eq!(
        read_anyhow(body.as_bytes(), &incoming("dns_logs", ""))
            .records
            .len(),
        3
    );
    let mut text = b"[".to_vec();
    text.resize(5 * LINE_MAX_BYTES, b' ');
    assert_eq!(read_anyhow(&text, &Incoming::default()).records.len(), 0);
}

#[test]
fn rows_become_lines_with_the_types_of_the_catalogue() {
    let fields = "Timestamp,QueryName,QueryType,EDNSSubnet";
    let query = format!("output_type=csv&fields={fields}");
    let record = r#"{"Timestamp":1657233726004000000,"QueryName":"a \"b\", c","QueryType":28,"EDNSSubnet":"1"}"#;
    for body in [
        "1657233726004000000,\"a \"\"b\"\", c\",28,1\n",
        "1657233726004000000,\"a \"\"b\"\", c\",\"28\",\"1\"",
        "Timestamp,QueryName,QueryType,EDNSSubnet\r\n1657233726004000000,\"a \"\"b\"\", c\",28,1\r\n\r\n",
        "\"Timestamp\",\"QueryName\",\"QueryType\",\"EDNSSubnet\"\n\n1657233726004000000,\"a \"\"b\"\", c\",28,\"1\"\n",
    ] {
        case_of("dns_logs", &query, body, Form::Csv, &[record], &[]);
        let alone = format!("fields={fields}");
        case_of("dns_logs", &alone, body, Form::Csv, &[record], &[]);
    }
    let tabs = "output_type=csv&field_delimiter=%09";
    let body = "QueryName\tQueryType\n\"x\ty\nz\"\t1\n\t\n";
    let records = [
        r#"{"QueryName":"x\ty\nz","QueryType":1}"#,
        r#"{"QueryName":"","QueryType":null}"#,
    ];
    case_of("dns_logs", tabs, body, Form::Csv, &records, &[]);
    // Without a catalogue, what is bare and looks like JSON is that.
    let body = "1||x||\"1\"||true||{\"b\": [1]}||007\n";
    let record = r#"{"A":1,"B":"x","C":"1","D":true,"E":{"b": [1]},"F":"007"}"#;
    case_of(
        "next_weeks",
        "fields=A,B,C,D,E,F&field_delimiter=%7C%7C",
        body,
        Form::Csv,
        &[record],
        &[],
    );
    // Objects and arrays as quoted JSON; what is none stays a string.
    let body = "\"{\"\"x\"\":\"\"y\"\"}\",\"{oops\"\n";
    let record = r#"{"Cookies":{"x":"y"},"RequestHeaders":"{oops"}"#;
    case_of(
        "http_requests",
        "fields=Cookies,RequestHeaders",
        body,
        Form::Csv,
        &[record],
        &[],
    );
    // JSON in spite of the announcement, unless it says so for certain.
    case_of(
        "dns_logs",
        "fields=a",
        "{\"a\":1}\n",
        Form::Ndjson,
        &[r#"{"a":1}"#],
        &[],
    );
    case_of(
        "dns_logs",
        "output_type=csv&fields=a",
        "{\"a\":1}\n",
        Form::Csv,
        &[r#"{"a":{"a":1}}"#],
        &[],
    );
}

#[test]
fn a_row_that_can_not_be_right_is_one_line_and_the_next_is_found() {
    let good = r#"{"a":1,"b":2}"#;
    for (body, records, invalid) in [
        ("1\n1,2\n1,2,3\n", 1, vec!["1", "1,2,3"]),
        ("\"x\"y,1\n1,2\n", 1, vec!["\"x\"y,1"]),
        (
            "\"x,1\n1,2\n\"y\",2,3\n1,2\n",
            2,
            vec!["\"x,1", "\"y\",2,3"],
        ),
        ("1,2\n\"x,1\n1,2\n1,2", 3, vec!["\"x,1"]),
        ("1,2\n1,\"x", 1, vec!["1,\"x"]),
    ] {
        let expected: Vec<(&str, &str)> = invalid.iter().map(|text| ("csv_row", *text)).collect();
        case_of(
            "next_weeks",
            "fields=a,b",
            body,
            Form::Csv,
            &vec![good; records],
            &expected,
        );
    }
    // No header, no fields: nothing can be read, and nothing is dropped.
    let lines = [("csv_row", "1,2"), ("csv_row", "3,4")];
    case_of(
        "dns_logs",
        "output_type=csv",
        "1,2\n3,4\n",
        Form::Csv,
        &[],
        &lines,
    );
    let long = "x".repeat(LINE_MAX_BYTES);
    for (body, expected) in [
        (format!("1,2\n{long},2\n1,2\n"), vec!["line_too_long"]),
        (format!("1,2\n\"{long}\",2\n1,2\n"), vec!["line_too_long"]),
        (format!("1,2\n\"{long}{long}\n1,2\n"), vec!["line_too_long"]),
        (
            format!("1,2\n\"y\n\"\"{long}\n1,2\n"),
            vec!["csv_row", "line_too_long"],
        ),
    ] {
        let found = read_anyhow(body.as_bytes(), &incoming("next_weeks", "fields=a,b"));
        let reasons: Vec<&str> = found.invalid.iter().map(|(_, reason, _)| *reason).collect();
        assert_eq!((found.records.len(), reasons), (2, expected));
    }
    // A quote that nobody closes takes no more than its line along, and many values cost no more than many bytes.
    let numbers = "1,2\n".repeat(CSV_LINES_MAX_BYTES / 2);
    let commas = ",".repeat(LINE_MAX_BYTES / 4);
    for (body, records, expected) in [
        (format!("1,\"2\n{numbers}"), CSV_LINES_MAX_BYTES / 2, 1),
        (format!("{commas}\n1,2\n"), 1, 1),
        (
            format!("1,\"{}\n3\"\n", "x".repeat(CSV_LINES_MAX_BYTES - 9)),
            1,
            0,
        ),
        (
            format!("1,\"{}\n3\"\n", "\n".repeat(CSV_LINES_MAX_BYTES)),
            0,
            2,
        ),
    ] {
        let found = read_anyhow(body.as_bytes(), &incoming("next_weeks", "fields=a,b"));
        assert_eq!(
            (found.records.len(), found.invalid.len()),
            (records, expected)
        );
    }
}

/// A record of `http_requests`, with the values that its fields may have.
fn record() -> impl Strategy<Value = Map<String, Value>> {
    let text = "[ -~é\n\t\"\\\\{}\\[\\],]{0,12}";
    (
        any::<u64>(),
        text,
        0_u16..1000,
        any::<bool>(),
        proptest::collection::btree_map("[a-z\"]{1,4}", text, 0..3),
        proptest::collection::vec(text, 0..3),
    )
        .prop_map(|(at, uri, status, is_bot, cookies, tags)| {
            let value = json!({
                "EdgeStartTimestamp": at, "ClientRequestURI": uri, "EdgeResponseStatus": status,
                "JSDetectionPassed": is_bot.to_string(), "Cookies": cookies, "BotTags": tags,
            });
            value.as_object().cloned().unwrap_or_default()
        })
}

fn csv_value(value: &Value) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    match value {
        Value::String(text) => quoted(text),
        Value::Object(_) | Value::Array(_) => quoted(&value.to_string()),
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_same_records_are_read_from_every_form(
        records in proptest::collection::vec(record(), 2..8), chunk in 1_usize..200, is_pretty in any::<bool>(),
    ) {
        let names: Vec<&String> = records[0].keys().collect();
        let lines: Vec<String> = records
            .iter()
            .map(|record| if is_pretty { serde_json::to_string_pretty(record) } else { serde_json::to_string(record) }.unwrap())
            .collect();
        let rows: Vec<String> = records
            .iter()
            .map(|record| record.values().map(csv_value).collect::<Vec<_>>().join(","))
            .collect();
        let fields = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(",");
        let csv = format!("output_type=csv&fields={fields}");
        for (body, query) in [
            (lines.join("\n"), ""),
            (lines.join(","), ""),
            (lines.concat(), ""),
            (format!("[{}]", lines.join(",")), ""),
            (format!("[\n{}\n]\n", lines.join("\n,")), ""),
            (format!("{{\"events\":[{}]}}\n", lines.join(",")), ""),
            (format!("{{\"n\":1,\"events\":[\n{}\n],\"m\":[]}}", lines.join(",\n")), ""),
            (serde_json::to_string_pretty(&json!({"list": records})).unwrap(), ""),
            (rows.join("\n"), csv.as_str()),
            (format!("{fields}\r\n{}\r\n", rows.join("\r\n")), "output_type=csv"),
        ] {
            let found = read(body.as_bytes(), chunk, &incoming("http_requests", query));
            let values: Vec<Map<String, Value>> =
                found.records.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            prop_assert_eq!(&values, &records, "{}", body);
            prop_assert_eq!(found.invalid.len(), 0);
        }
    }

    #[test]
    fn any_chunking_of_anything_gives_the_same(
        parts in proptest::collection::vec("(\\[|\\]|\\{|\\}|,|:|\n|\n|  |\"|\\\\|\\{\"a\":1\\}|\\{\"a\":1\\},|\"events\":\\[|\"b\":|true|x|1)", 0..60),
        first in "(|\\[|\\{\"events\":\\[|\\[\n|\\{)", chunk in 1_usize..40, is_csv in any::<bool>(),
    ) {
        let body = format!("{first}{}", parts.concat());
        let incoming = incoming("next_weeks", if is_csv { "output_type=csv&fields=a,b" } else { "" });
        let whole = read(body.as_bytes(), usize::MAX, &incoming);
        prop_assert_eq!(read(body.as_bytes(), chunk, &incoming), whole, "{}", body);
    }
}
