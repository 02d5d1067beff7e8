use super::*;
use crate::route::Window;

const ZONE: &str = "/client/v4/zones/z1/logs";
const START: UnixNanos = 1_654_531_200 * SECOND;
const RANGE: &str = "start=2022-06-06T16:00:00Z&end=2022-06-06T17:00:00Z";
const NOW: UnixNanos = START + 2 * HOUR;

fn parse(method: &str, path: &str, query: &str) -> Option<Result<LogsRoute, ApiError>> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let pairs: Vec<(String, String)> = pairs.into_owned().collect();
    LogsRoute::parse(method, path, &pairs, NOW)
}

fn get(path: &str, query: &str) -> LogsCall {
    parse("GET", &format!("{ZONE}{path}"), query)
        .unwrap()
        .unwrap_or_else(|e| panic!("{path}?{query}: {e}"))
        .call
}

fn refused(path: &str, query: &str) -> String {
    match parse("GET", &format!("{ZONE}{path}"), query) {
        Some(Err(ApiError::InvalidInput(text))) => text,
        other => panic!("{path}?{query}: {other:?}"),
    }
}

fn retrieve(query: &str) -> Retrieve {
    match get("/retrieve", &format!("{RANGE}&{query}")) {
        LogsCall::Retrieve(retrieve) => *retrieve,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_list_takes_what_cloudflares_takes_and_has_a_cursor() {
    let query =
        format!("{RANGE}&bucket=any&prefix=http_requests/%7BDATE%7D&limit=5&cursor=20220606.7.ab");
    let LogsCall::List { objects, limit } = get("/list", &query) else {
        panic!("no list");
    };
    let expected = Objects {
        dataset: "http_requests".to_owned(),
        window: Window {
            from: START,
            until: START + HOUR,
        },
        prefix: Some("http_requests/{DATE}".to_owned()),
        after: Some(Cursor::of(
            "20220606",
            BatchCursor {
                first_millis: 7,
                batch_id: "ab".to_owned(),
            },
        )),
    };
    assert_eq!((objects, limit), (expected, 5));
}

#[test]
fn a_prefix_is_meant_from_the_beginning_or_from_the_dataset_on() {
    let scope = Scope::new(ScopeKind::Zone, "z1").unwrap();
    let name = "zones/z1/dns_logs/20220606/20220606T160000Z_20220606T160100Z_ab.log.gz";
    for (prefix, takes) in [
        ("dns_logs/{DATE}", true),
        ("zones/z1/dns_logs/{DATE}/20220606T1600", true),
        ("/dns_logs/20220606", true),
        ("dns_logs/20220607", false),
        ("zones/z2/dns_logs/", false),
    ] {
        let found = retrieve(&format!("dataset=dns_logs&prefix={prefix}")).objects;
        assert_eq!(found.takes(name, "20220606", &scope), takes, "{prefix}");
        assert_eq!(found.dataset, "dns_logs");
    }
    assert!(
        retrieve("dataset=dns_logs")
            .objects
            .takes(name, "20220606", &scope)
    );
    assert!(
        refused("/retrieve", &format!("{RANGE}&prefix=dns_logs"))
            .starts_with("dataset: is missing")
    );
}

#[test]
fn a_cursor_comes_back_as_it_was_given() {
    let batch = BatchCursor {
        first_millis: -7,
        batch_id: "0123456789abcdef".to_owned(),
    };
    let beginning = Cursor {
        day: "20220606".to_owned(),
        batch: None,
    };
    for cursor in [Cursor::START, beginning, Cursor::of("20220606", batch)] {
        assert_eq!(
            Cursor::parse(&cursor.to_text()),
            Some(cursor.clone()),
            "{cursor:?}"
        );
    }
    for text in [
        "x",
        "2022",
        "20220606.",
        "20220606.1",
        "20220606.1.",
        "20220606.x.ab",
        "20220606.1.xy",
        ".1.ab",
        "20220606.1.ab.c",
    ] {
        assert_eq!(Cursor::parse(text), None, "{text}");
    }
}

#[test]
fn a_span_holds_every_instant_of_the_range() {
    let span = |from, until| {
        Objects {
            window: Window { from, until },
            ..retrieve("dataset=dns_logs").objects
        }
        .span()
    };
    let of = |from_millis, until_millis| EventSpan {
        from_millis,
        until_millis,
    };
    assert_eq!(span(1_000_000, 2_000_000), of(1, 2));
    assert_eq!(span(1_999_999, 2_000_001), of(1, 3));
    assert_eq!(span(-1, 1), of(-1, 1));
}

#[test]
fn a_retrieval_has_a_jobs_filter_and_logpulls_options() {
    let condition = r#"{"key":"ResponseCode","operator":"gt","value":0}"#;
    let bare = retrieve(&format!(
        "dataset=dns_logs&where={condition}&fields=QueryName&timestamps=rfc3339&sample=0.5&count=7&marks=true"
    ));
    let whole = retrieve(&format!("dataset=dns_logs&where={{\"where\":{condition}}}"));
    assert!(bare.wish.filter.is_some());
    assert_eq!(bare.wish.filter, whole.wish.filter);
    assert_eq!(bare.wish.options.field_names, ["QueryName"]);
    assert_eq!(
        bare.wish.options.timestamp_format,
        Some(TimestampFormat::Rfc3339)
    );
    assert_eq!(
        (bare.count, bare.marks, bare.wish.options.sample_rate),
        (7, true, 0.5)
    );
    assert_eq!((whole.count, whole.marks), (u64::MAX, false));
    assert_eq!(whole.wish.options, OutputOptions::default());
    assert_eq!(whole.objects.after, None);
    assert_eq!(
        retrieve("dataset=dns_logs&cursor=").objects.after,
        Some(Cursor::START)
    );
}

#[test]
fn what_can_not_be_followed_is_named() {
    for (query, text) in [
        ("", "start: is missing"),
        ("start=2022-06-06T16:00:00Z", "end: is missing"),
        ("start=yesterday&end=1", "start: must be a time"),
        (
            "start=2&end=2&dataset=dns_logs",
            "end: must be later than start",
        ),
        ("start=1&end=2", "dataset: is missing"),
        (
            "start=1&end=2&dataset=a/b",
            "dataset: is the name of no dataset",
        ),
        (
            "start=1&end=2&dataset=dns_logs&were=x",
            "there is a parameter that is not known; this call takes start, end",
        ),
        ("start=1&end=2&dataset=dns_logs&where=x", "where: not JSON"),
        (
            "start=1&end=2&dataset=dns_logs&where={\"key\":\"Nothing\",\"operator\":\"eq\",\"value\":1}",
            "where",
        ),
        ("start=1&end=2&dataset=dns_logs&fields=Nothing", "fields: "),
        (
            "start=1&end=2&dataset=dns_logs&timestamps=soon",
            "timestamps must be",
        ),
        ("start=1&end=2&dataset=dns_logs&sample=2", "sample must be"),
        (
            "start=1&end=2&dataset=dns_logs&count=0",
            "count: must be a number from 1",
        ),
        ("start=1&end=2&dataset=dns_logs&cursor=x", "cursor: "),
        (
            "start=1&end=2&dataset=dns_logs&marks=yes",
            "marks: must be true or false",
        ),
    ] {
        let found = refused("/retrieve", query);
        assert!(found.starts_with(text), "{query}: {found}");
    }
    assert!(refused("/list", "start=1&end=2&dataset=dns_logs&limit=1001").starts_with("limit: "));
}

#[test]
fn logpull_keeps_its_bounds_and_writes_nanoseconds() {
    let LogsCall::Retrieve(retrieve) = get("/received", &format!("{RANGE}&count=3")) else {
        panic!("no retrieval");
    };
    assert_eq!(retrieve.objects.dataset, "http_requests");
    assert_eq!(
        retrieve.wish.options.timestamp_format,
        Some(TimestampFormat::UnixNano)
    );
    assert_eq!(retrieve.count, 3);
    let at = |seconds: i128| (NOW / SECOND + seconds).to_string();
    for (start, end, text) in [
        (-7_300, -3_600, "end: must be at most one hour"),
        (
            -7 * 86_400 - 1,
            -7 * 86_400 + 60,
            "start: must be at most 7 days ago",
        ),
        (-120, -59, "end: must be at least one minute ago"),
    ] {
        let found = refused("/received", &format!("start={}&end={}", at(start), at(end)));
        assert!(found.starts_with(text), "{found}");
    }
    get(
        "/received",
        &format!("start={}&end={}", at(-7 * 86_400), at(-7 * 86_400 + 3_600)),
    );
    get("/received", &format!("start={}&end={}", at(-120), at(-60)));
    let fields = received_fields();
    assert!(fields["RayID"].is_string() && fields.get("success").is_none());
}

#[test]
fn a_ray_id_is_looked_for_in_the_last_week_unless_a_range_is_given() {
    let ray = |path: &str, query: &str| match get(path, query) {
        LogsCall::Ray { objects, wish } => (objects, *wish),
        other => panic!("{other:?}"),
    };
    let (objects, wish) = ray("/rayids/49DDB3E70E665831-DFW", "");
    assert_eq!(wish.ray, Ray::parse("49ddb3e70e665831"));
    assert_eq!(objects.dataset, "http_requests");
    assert_eq!(objects.window.until, NOW + HOUR);
    assert_eq!(objects.window.from, NOW + HOUR - 7 * DAY);
    let (objects, wish) = ray(
        "/rayids/49ddb3e70e665831",
        &format!("{RANGE}&dataset=firewall_events&fields=RayID"),
    );
    assert_eq!(objects.dataset, "firewall_events");
    assert_eq!(objects.window.from, START);
    assert_eq!(wish.options.field_names, ["RayID"]);
    assert!(refused("/rayids/49ddb3e70e66583", "").starts_with("RayID: has 16"));
    assert_eq!(
        refused("/rayids/49ddb3e70e665831", "dataset=dns_logs"),
        "dataset: has no RayID"
    );
}

#[test]
fn every_path_has_its_methods_and_only_indexing_needs_the_api_token() {
    let error = |method: &str, path: &str| parse(method, path, RANGE).map(Result::unwrap_err);
    for (method, path, expected) in [
        (
            "POST",
            "/list",
            ApiError::MethodNotAllowed { allowed: "GET" },
        ),
        (
            "DELETE",
            "/retrieve",
            ApiError::MethodNotAllowed { allowed: "GET" },
        ),
        (
            "GET",
            "/rayids/index",
            ApiError::MethodNotAllowed { allowed: "POST" },
        ),
        ("GET", "/nothing", ApiError::NoRoute),
        ("GET", "/received/more", ApiError::NoRoute),
    ] {
        assert_eq!(
            error(method, &format!("{ZONE}{path}")),
            Some(expected),
            "{path}"
        );
    }
    for path in ["/control/retention/flag", "/explorer/query/sql"] {
        let error = error("GET", &format!("{ZONE}{path}"));
        assert!(matches!(error, Some(ApiError::NotOffered { .. })), "{path}");
    }
    // Logpull is of zones.
    assert_eq!(
        error("GET", "/client/v4/accounts/a1/logs/received"),
        Some(ApiError::NoRoute)
    );
    assert!(parse("GET", "/client/v4/zones/z1/logpush/jobs", "").is_none());
    assert!(parse("GET", "/client/v4/zones/no way/logs/list", "").is_none());
    let index = parse("POST", &format!("{ZONE}/rayids/index"), "")
        .unwrap()
        .unwrap();
    assert!(index.call.needs_write());
    assert!(!get("/list", &format!("{RANGE}&dataset=dns_logs")).needs_write());
    assert!(!get("/received/fields", "").needs_write());
}

#[test]
fn an_object_is_shown_with_its_times_and_counts() {
    let row = BatchRow {
        batch_id: "ab".to_owned(),
        object: "zones/z1/dns_logs/20220606/x.log.gz".to_owned(),
        object_bytes: 10,
        received_at_millis: 1_654_531_205_000,
        event_millis: Some((1_654_531_200_004, 1_654_531_201_000)),
        records: 3,
        bytes_raw: 40,
        invalid_lines: 1,
        expired: false,
    };
    let expected = json!({
        "name": "zones/z1/dns_logs/20220606/x.log.gz", "size": 10, "start": "2022-06-06T16:00:00.004Z",
        "end": "2022-06-06T16:00:01Z", "records": 3, "bytes": 40, "invalid_lines": 1,
        "received": "2022-06-06T16:00:05Z", "batch_id": "ab", "expired": false,
    });
    assert_eq!(listed(&row), expected);
}

#[test]
fn gzip_is_for_a_client_that_takes_it() {
    for (header, takes) in [
        ("gzip", true),
        ("br, gzip", true),
        ("deflate, GZIP;q=0.5", true),
        ("*", true),
        ("", false),
        ("identity", false),
        ("gzip;q=0", false),
        ("gzip; q=0.0, br", false),
        ("xgzip", false),
    ] {
        assert_eq!(accepts_gzip(header), takes, "{header}");
    }
}
