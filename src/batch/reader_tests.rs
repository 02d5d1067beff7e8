use super::{Encoding, Meter, Reader, Sink, StreamFault};
use crate::batch::incoming::Incoming;
use crate::batch::projection::Projection;
use crate::batch::scan::InvalidLine;
use crate::limits::{LINE_MAX_BYTES, WINDOW_BYTES};
use crate::logpush::scope::ScopeKind;
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::io::Write;

#[derive(Debug, Default, PartialEq)]
struct Collected {
    records: Vec<String>,
    invalid: Vec<(u64, InvalidLine)>,
    full_after: Option<usize>,
}

impl Sink for Collected {
    fn record(&mut self, line: &[u8], _fields: &[Option<&[u8]>]) {
        self.records.push(String::from_utf8(line.to_vec()).unwrap());
    }
    fn invalid(&mut self, number: u64, _line: &[u8], reason: InvalidLine) {
        self.invalid.push((number, reason));
    }
    fn is_full(&self) -> bool {
        self.full_after
            .is_some_and(|most| self.records.len() >= most)
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(body: &[u8], chunk: usize) -> (Collected, Meter, Option<StreamFault>) {
    let mut reader = Reader::new();
    let (mut window, mut sink, projection) = (Vec::new(), Collected::default(), Projection::new());
    for chunk in body.chunks(chunk) {
        assert_eq!(
            reader.feed(chunk, &mut window, &projection, &mut sink),
            chunk.len()
        );
    }
    reader.finish(&mut window, &projection, &mut sink);
    (sink, reader.meter().clone(), reader.fault())
}

#[test]
fn lines_come_out_whatever_the_chunking() {
    let text = "{\"a\":1}\n\n{\"b\":\"x\"}\r\n   \n{\"c\":3}";
    for body in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
        for chunk in [1, 2, 3, 7, 1000] {
            let (sink, meter, fault) = read(&body, chunk);
            assert_eq!(sink.records, ["{\"a\":1}", "{\"b\":\"x\"}\r", "{\"c\":3}"]);
            assert_eq!((meter.records, meter.invalid_lines, fault), (3, 0, None));
            assert_eq!(meter.bytes_raw, text.len() as u64);
            assert_eq!(meter.bytes_compressed, body.len() as u64);
        }
    }
}

#[test]
fn several_gzip_members_are_one_stream_even_when_a_line_crosses_them() {
    let mut body = gzip(b"{\"a\":1}\n{\"b\"");
    body.extend(gzip(b":2}\n"));
    body.extend(gzip(b""));
    for chunk in [1, 5, 1000] {
        let (sink, meter, fault) = read(&body, chunk);
        assert_eq!(sink.records, ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!((meter.members, fault), (3, None));
    }
}

#[test]
fn a_bad_line_in_the_middle_is_reported_with_its_number_and_the_rest_goes_on() {
    let (sink, meter, _) = read(
        &gzip(b"{\"a\":1}\n\nnot json\n{\"b\":2}\n[1]\n{\"x\":\"\xff\"}\n{}\n"),
        4,
    );
    assert_eq!(sink.records, ["{\"a\":1}", "{\"b\":2}", "{}"]);
    assert_eq!(
        sink.invalid,
        [
            (3, InvalidLine::NotJson),
            (5, InvalidLine::NotAnObject),
            (6, InvalidLine::NotUtf8)
        ]
    );
    assert_eq!((meter.records, meter.invalid_lines), (3, 3));
}

#[test]
fn a_truncated_stream_keeps_what_came_before() {
    let text: String = (0..5000)
        .map(|n| format!("{{\"n\":{n},\"x\":\"{}\"}}\n", n * 7919))
        .collect();
    let whole = gzip(text.as_bytes());
    for cut in [whole.len() / 2, whole.len() - 1, whole.len() - 8, 3] {
        let (sink, meter, fault) = read(&whole[..cut], 100);
        assert_eq!(fault, Some(StreamFault::Truncated), "cut at {cut}");
        assert!(meter.invalid_lines <= 1);
        assert!(text.starts_with(&sink.records.join("\n")));
    }
}

#[test]
fn corrupt_bytes_checksum_and_trailing_bytes_are_named() {
    let text: String = (0..2000)
        .map(|n| format!("{{\"n\":{}}}\n", n * 104_729))
        .collect();
    let mut corrupt = gzip(text.as_bytes());
    let middle = corrupt.len() / 2;
    corrupt[middle..middle + 40].fill(0xff);
    assert_eq!(read(&corrupt, 64).2, Some(StreamFault::Corrupt));
    let mut checksum = gzip(text.as_bytes());
    let at = checksum.len() - 6;
    checksum[at] ^= 1;
    let (sink, meter, fault) = read(&checksum, 64);
    assert_eq!(
        (fault, sink.records.len()),
        (Some(StreamFault::Corrupt), 2000)
    );
    assert_eq!(meter.bytes_compressed, checksum.len() as u64);
    for tail in [&b"x"[..], b"\x1f", b"\x1fno"] {
        let mut trailing = gzip(text.as_bytes());
        trailing.extend_from_slice(tail);
        let (sink, _, fault) = read(&trailing, 64);
        assert_eq!(
            (fault, sink.records.len()),
            (Some(StreamFault::TrailingBytes), 2000)
        );
    }
}

#[test]
fn an_over_long_line_is_one_invalid_line_and_costs_no_memory() {
    let mut text = b"{\"a\":1}\n{\"b\":\"".to_vec();
    text.extend(std::iter::repeat_n(b'x', 3 * LINE_MAX_BYTES));
    text.extend_from_slice(b"\"}\n{\"c\":3}\n");
    for body in [text.clone(), gzip(&text)] {
        let (sink, meter, _) = read(&body, 4096);
        assert_eq!(sink.records, ["{\"a\":1}", "{\"c\":3}"]);
        assert_eq!(sink.invalid, [(2, InvalidLine::TooLong)]);
        assert_eq!(meter.bytes_raw, text.len() as u64);
    }
}

#[test]
fn a_bomb_is_stopped_and_the_records_before_it_count() {
    let mut text = b"{\"a\":1}\n".to_vec();
    text.resize(40_000_000, b' ');
    let (sink, meter, fault) = read(&gzip(&text), 4096);
    assert_eq!(fault, Some(StreamFault::Bomb));
    assert_eq!(sink.records, ["{\"a\":1}"]);
    assert!(meter.bytes_raw < 60_000_000);
}

#[test]
fn bytes_that_are_neither_gzip_nor_text_are_invalid_lines() {
    let (sink, meter, fault) = read(b"\x00\x01\x02\xff\xfe\n\x89PNG", 3);
    assert_eq!(
        (sink.records.len(), meter.invalid_lines, fault),
        (0, 2, None)
    );
    assert_eq!(read(b"", 1).1, Meter::default());
}

#[test]
fn a_full_sink_gets_the_rest_later() {
    let text: String = (0..100_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let body = gzip(text.as_bytes());
    let (mut reader, mut window, projection) = (Reader::new(), Vec::new(), Projection::new());
    let mut sink = Collected {
        full_after: Some(1),
        ..Collected::default()
    };
    let (mut at, mut all, mut largest) = (0, 0, 0);
    while at < body.len() {
        at += reader.feed(&body[at..], &mut window, &projection, &mut sink);
        largest = largest.max(sink.records.len());
        all += sink.records.len();
        sink.records.clear();
    }
    reader.finish(&mut window, &projection, &mut sink);
    assert_eq!(all + sink.records.len(), 100_000);
    assert!(largest * 8 < 2 * WINDOW_BYTES);
}

#[test]
fn the_encoding_is_told_by_the_first_bytes() {
    for (body, encoding) in [
        (gzip(b"{}\n"), Encoding::Gzip),
        (b"{}\n".to_vec(), Encoding::Plain),
    ] {
        let mut reader = Reader::new();
        reader.feed(
            &body,
            &mut Vec::new(),
            &Projection::new(),
            &mut Collected::default(),
        );
        assert_eq!(reader.encoding(), Some(encoding));
    }
}

/// `cargo test --release --lib batch::reader -- --ignored --nocapture`: how fast records of 1 KB are found, plain.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "never runs on wasm")]
fn how_fast_records_are_found() {
    struct Count(u64);
    impl Sink for Count {
        fn record(&mut self, _: &[u8], fields: &[Option<&[u8]>]) {
            self.0 += fields.len() as u64;
        }
        fn invalid(&mut self, _: u64, _: &[u8], _: InvalidLine) {}
        fn is_full(&self) -> bool {
            false
        }
    }
    let line = |n: usize| {
        let members: Vec<String> = (0..40)
            .map(|m| match m % 3 {
                0 => format!("\"FieldNumber{m}\":\"value {n} of {m}\""),
                1 => format!("\"FieldNumber{m}\":{}", n * m),
                _ => format!("\"FieldNumber{m}\":[\"a\",{{\"b\":true}}]"),
            })
            .collect();
        format!("{{{}}}\n", members.join(","))
    };
    let text: String = (0..50_000).map(line).collect();
    let mut projection = Projection::new();
    for m in [0, 7, 20] {
        projection.slot(&format!("FieldNumber{m}"));
    }
    let commas = text.trim_end().replace('\n', ",");
    let row =
        |n: usize| (0..40).map(|m| format!("{},", n * m)).collect::<String>() + "\"a value\"\n";
    let csv = (0..50_000).map(row).collect::<String>();
    let names: Vec<String> = (0..41).map(|m| format!("FieldNumber{m}")).collect();
    let csv_query = format!("fields={}", names.join(","));
    let bodies = [
        ("csv", csv),
        ("array", format!("[{commas}]")),
        ("object", format!("{{\"events\":[{commas}\n]}}")),
        ("ndjson", text),
    ];
    for (name, text) in bodies {
        let best = (0..7)
            .map(|_| {
                let query = if name == "csv" {
                    csv_query.as_str()
                } else {
                    ""
                };
                let incoming = Incoming::new(ScopeKind::Zone, "next_weeks", query).unwrap();
                let mut reader = Reader::expecting(incoming);
                let (mut window, mut sink) = (Vec::new(), Count(0));
                let from = std::time::Instant::now();
                for chunk in text.as_bytes().chunks(WINDOW_BYTES) {
                    reader.feed(chunk, &mut window, &projection, &mut sink);
                }
                reader.finish(&mut window, &projection, &mut sink);
                assert_eq!(sink.0, 150_000);
                from.elapsed()
            })
            .min()
            .unwrap_or_default();
        let speed = text.len() as f64 / best.as_secs_f64() / 1e6;
        println!("{name}: {speed:.0} MB/s");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_chunking_of_the_same_bytes_gives_the_same_records(
        lines in proptest::collection::vec("(\\{\"a\":[0-9]{1,30}\\}|[ -~]{0,40}|é\u{1F600}|\\{\\})", 0..60),
        ends in any::<bool>(), chunks in proptest::collection::vec(1_usize..300, 1..8), gz in any::<bool>(),
    ) {
        let mut text = lines.join("\n").into_bytes();
        if ends { text.push(b'\n'); }
        let body = if gz && !text.is_empty() { gzip(&text) } else { text };
        let expected = read(&body, usize::MAX);
        let (mut reader, mut window, mut sink, projection) =
            (Reader::new(), Vec::new(), Collected::default(), Projection::new());
        let (mut at, mut next) = (0, chunks.iter().cycle());
        while at < body.len() {
            let end = (at + next.next().unwrap()).min(body.len());
            at += reader.feed(&body[at..end], &mut window, &projection, &mut sink);
        }
        reader.finish(&mut window, &projection, &mut sink);
        prop_assert_eq!((sink, reader.meter().clone(), reader.fault()), expected);
    }
}
