use super::{JobRoute, Keep, Router, Routes, Sample, Written};
use crate::batch::projection::Projection;
use crate::batch::reader::Reader;
use crate::logpush::output_options::OutputOptions;

fn routes(keeps: &[Keep]) -> Routes {
    let mut projection = Projection::new();
    let time_slots = vec![projection.slot("Timestamp")];
    let jobs = keeps
        .iter()
        .enumerate()
        .map(|(index, keep)| JobRoute {
            job_id: index as u64 + 1,
            filter: None,
            sample: None,
            written: Written::AsItCame,
            assembly: None,
            keep: *keep,
            segment_max_records: 2,
        })
        .collect();
    Routes::new(projection, time_slots, jobs, Vec::new())
}

#[test]
fn a_window_routes_the_records_of_its_time_to_the_nanosecond_and_counts_those_without_one() {
    let line = |time: &str| format!("{{\"Timestamp\":{time}}}\n");
    let body: String = [
        "1657233725999999999",
        "1657233726000000000",
        "1657233726999999999",
    ]
    .into_iter()
    .chain(["1657233727000000000", "\"soon\"", "1657233726"])
    .map(line)
    .collect();
    let window = |from: i128, until: i128| super::Window {
        from: from * 1_000_000_000,
        until: until * 1_000_000_000,
    };
    let cases = [
        (window(1_657_233_726, 1_657_233_727), 3, 1),
        (window(1_657_233_727, 1_657_233_728), 1, 1),
        // What has no time counts as at 0.
        (window(0, 1_657_233_726), 2, 0),
        (window(0, i64::MAX.into()), 6, 0),
    ];
    for (window, records, undated) in cases {
        let routes = routes(&[Keep::Copy]).within(Some(window));
        let mut router = Router::new(&routes, 1 << 20);
        let (mut reader, mut space) = (Reader::new(), Vec::new());
        reader.feed(body.as_bytes(), &mut space, &routes.projection, &mut router);
        reader.finish(&mut space, &routes.projection, &mut router);
        let selected = router
            .selections()
            .first()
            .map(|selection| selection.records);
        assert_eq!(
            (selected, router.undated()),
            (Some(records), undated),
            "{window:?}"
        );
        let times = router.times();
        assert!(times.earliest.is_none_or(|at| window.holds(Some(at))));
        assert!(times.latest.is_none_or(|at| window.holds(Some(at))));
    }
}

#[test]
fn a_copied_selection_holds_the_lines_and_a_reference_only_counts_them() {
    let routes = routes(&[Keep::Copy, Keep::Reference]);
    let mut router = Router::new(&routes, 1 << 20);
    let body = b"{\"Timestamp\":1657233726004000000}\nbad\n{\"Timestamp\":1657233725}\n{}\n";
    let (mut reader, mut window) = (Reader::new(), Vec::new());
    reader.feed(body, &mut window, &routes.projection, &mut router);
    reader.finish(&mut window, &routes.projection, &mut router);
    let times = router.times();
    assert_eq!(times.first, Some(1_657_233_726_004_000_000));
    assert_eq!(times.earliest, Some(1_657_233_725_000_000_000));
    assert_eq!(times.latest, times.first);
    assert_eq!(router.invalid().get("not_json"), Some(&1));
    assert_eq!(
        String::from_utf8_lossy(router.quarantine()),
        "{\"line\":2,\"reason\":\"not_json\",\"text\":\"bad\"}\n"
    );
    let [copied, referenced] = router.selections() else {
        panic!("two jobs")
    };
    assert_eq!((copied.records, referenced.records), (3, 3));
    assert_eq!(
        (copied.bytes, referenced.bytes),
        (body.len() as u64 - 4, copied.bytes)
    );
    assert_eq!(
        (copied.payload.segments().len(), referenced.payload.len()),
        (2, 0)
    );
    let (index, payload) = router.take_largest().unwrap();
    assert_eq!((index, payload.len() as u64), (0, body.len() as u64 - 4));
    assert!(router.take_largest().is_none());
}

#[test]
fn what_is_sampled_out_is_not_selected_and_bytes_are_those_written_out() {
    let options = OutputOptions {
        field_names: vec!["A".into()],
        record_delimiter: ",".into(),
        sample_rate: 0.5,
        ..OutputOptions::default()
    };
    let mut routes = routes(&[Keep::Copy]);
    let sample = Sample::of(&options).unwrap();
    routes.jobs[0].written = Written::compile(&options, "dns_logs", None, &mut routes.projection);
    routes.jobs[0].sample = Some(sample);
    let lines: Vec<String> = (0..100).map(|n| format!("{{\"B\":1,\"A\":{n}}}")).collect();
    let mut router = Router::new(&routes, 1 << 20);
    let (mut reader, mut window) = (Reader::new(), Vec::new());
    let body = lines.join("\n");
    reader.feed(
        body.as_bytes(),
        &mut window,
        &routes.projection,
        &mut router,
    );
    reader.finish(&mut window, &routes.projection, &mut router);
    let kept = (0..100).filter(|n| sample.keeps(lines[*n].as_bytes()));
    let expected: Vec<String> = kept.map(|n| format!(",{{\"A\":{n}}}\n")).collect();
    let [selection] = router.selections() else {
        panic!("one job")
    };
    let written: Vec<u8> = selection.payload.blocks().flatten().copied().collect();
    assert_eq!(String::from_utf8_lossy(&written), expected.concat());
    assert_eq!(selection.records, expected.len() as u64);
    assert_eq!(selection.bytes, written.len() as u64);
    let segments = selection.payload.segments().iter();
    assert_eq!(
        segments.map(|segment| segment.bytes).sum::<u64>(),
        selection.bytes
    );
}

#[test]
fn events_compose_with_filter_prefix_and_the_replacing_of_a_cve_and_what_is_odd_is_counted() {
    let options = serde_json::json!({
        "schema": "ecs", "CVE-2021-44228": true, "record_delimiter": ",", "record_prefix": "${\n{", "record_suffix": "}",
    });
    let options = OutputOptions::from_json(&options).unwrap();
    let filter = r#"{"where": {"key": "QueryName", "operator": "endsWith", "value": "b."}}"#;
    let filter = crate::logpush::filter::Filter::parse(filter, None).unwrap();
    let mut routes = routes(&[Keep::Copy]);
    let job = &mut routes.jobs[0];
    job.written = Written::compile(&options, "dns_logs", None, &mut routes.projection);
    job.filter = Some(super::filter::CompiledFilter::compile(
        &filter,
        &mut routes.projection,
    ));
    let routes = Routes::new(
        routes.projection,
        routes.time_slots,
        routes.jobs,
        Vec::new(),
    );
    let mut router = Router::new(&routes, 1 << 20);
    let body = concat!(
        r#"{"QueryName":"a."}"#,
        "\n",
        r#"{"QueryName":"\u0024{b.","SourceIP":"${x","Timestamp":"soon"}"#,
        "\n",
        r#"{"QueryName":"b.","QueryType":28}"#,
        "\n",
    );
    let (mut reader, mut window) = (Reader::new(), Vec::new());
    reader.feed(
        body.as_bytes(),
        &mut window,
        &routes.projection,
        &mut router,
    );
    reader.finish(&mut window, &routes.projection, &mut router);
    let event =
        r#""event":{"kind":"event","category":["network"],"type":["info"],"dataset":"dns_logs"}"#;
    let first = format!(
        r#"{{"dns":{{"question":{{"name":"x{{b"}}}},{event},"cloudflare":{{"SourceIP":"x{{x","Timestamp":"soon"}}}}"#
    );
    let second = format!(r#"{{"dns":{{"question":{{"name":"b","type":"AAAA"}}}},{event}}}"#);
    let [selection] = router.selections() else {
        panic!("one job")
    };
    let written: Vec<u8> = selection.payload.blocks().flatten().copied().collect();
    assert_eq!(
        String::from_utf8_lossy(&written),
        format!(",x{{\n{first},x{{\n{second}")
    );
    let surprises = selection.surprises;
    assert_eq!(
        (
            surprises.unreadable_time,
            surprises.unexpected_value,
            surprises.unknown_dataset
        ),
        (1, 1, 0)
    );
}
