use super::*;
use crate::health::log::{IngestRow, LogQuery, PushRow, Resolution};
use crate::logpush::scope::{Scope, ScopeKind};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

/// 2026-07-15T10:10:25.678Z
const NOW: u64 = 1_784_110_225_678;
const MINUTE: u64 = NOW - NOW % 60_000;

/// Both queries of Cloudflare's announcement, to the letter.
const NOT_ACCEPTED: &str = r#"query
{
  viewer
  {
    zones(filter: { zoneTag: $zoneTag})
    {
      logpushHealthAdaptiveGroups(filter: {
        datetime_gt:"2022-08-15T00:00:00Z",
        destinationType:"s3",
        status_neq:200
      }, 
      limit:10)
      {
        count,
        dimensions {
          jobId,
          status,
          destinationType
        }
      }
    }
  }
}"#;
const ACCEPTED: &str = r#"query
{
  viewer
  {
    zones(filter: { zoneTag: $zoneTag})
    {
      logpushHealthAdaptiveGroups(filter: {
        datetime_gt:"2022-08-15T00:00:00Z",
        destinationType:"s3",
        status:200
      }, 
      limit:10)
      {
        sum {
          bytes,
          bytesCompressed,
          records
        }
      }
    }
  }
}"#;

#[derive(Default)]
struct Memory {
    is_down: bool,
    zones: usize,
    asked: Mutex<Vec<(String, LogQuery)>>,
}

impl Memory {
    fn rows<T: Send + 'static>(
        &self,
        scope: &Scope,
        query: LogQuery,
        rows: Vec<T>,
    ) -> Answered<'_, Vec<T>> {
        self.asked.lock().unwrap().push((scope.to_string(), query));
        let is_there = scope.id() == "z";
        Box::pin(async move {
            match self.is_down {
                true => Err(SourceError::Unavailable),
                false => Ok(if is_there { rows } else { Vec::new() }),
            }
        })
    }
}

fn push(job_id: u64, destination: &str, status: u16, minutes_ago: u64) -> PushRow {
    PushRow {
        at_millis: MINUTE - minutes_ago * 60_000,
        job_id,
        destination: destination.to_owned(),
        status,
        is_final: u8::from(status == 200),
        attempts: 2,
        records: 10,
        bytes: 1_000,
        bytes_compressed: 100,
        duration_millis: 50,
    }
}

impl Source for Memory {
    fn scopes(&self) -> Answered<'_, Vec<Scope>> {
        let zones = (0..self.zones).map(|at| Scope::new(ScopeKind::Zone, format!("z{at}")));
        let account = Scope::new(ScopeKind::Account, "z9");
        let scopes = zones.chain([account]).map(Result::unwrap).collect();
        Box::pin(async move { Ok(scopes) })
    }

    fn pushes<'a>(&'a self, scope: &'a Scope, query: LogQuery) -> Answered<'a, Vec<PushRow>> {
        let rows = vec![
            push(1, "s3", 200, 3),
            push(1, "s3", 503, 2),
            push(1, "s3", 200, 1),
            push(2, "https", 200, 1),
            push(3, "s3", 403, 0),
        ];
        self.rows(scope, query, rows)
    }

    fn batches<'a>(&'a self, scope: &'a Scope, query: LogQuery) -> Answered<'a, Vec<IngestRow>> {
        let rows = vec![IngestRow {
            at_millis: MINUTE,
            scope: scope.to_string(),
            dataset: "dns_logs".to_owned(),
            batches: 3,
            records: 30,
            bytes: 3_000,
            bytes_compressed: 300,
            invalid_lines: 5,
            invalid: BTreeMap::from([("not_json".to_owned(), 4), ("too_long".to_owned(), 1)]),
            tests: 2,
            duplicates: 1,
        }];
        self.rows(scope, query, rows)
    }
}

/// Nothing here waits for anything, so one poll is enough.
fn run_on(source: Arc<Memory>, body: &Json) -> (u16, Json) {
    let body = body.to_string();
    let future = answer(body.as_bytes(), source, NOW);
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => (answer.status, serde_json::from_str(&answer.body).unwrap()),
        Poll::Pending => panic!("it waits"),
    }
}

fn run(query: &str, variables: Json) -> (u16, Json) {
    let body = json!({"query": query, "variables": variables});
    run_on(Arc::default(), &body)
}

/// The node asked for, in zone `z`.
fn node(query: &str) -> (u16, Json) {
    run(
        &format!("{{viewer{{zones(filter:{{zoneTag:\"z\"}}){{{query}}}}}}}"),
        json!({}),
    )
}

fn groups(query: &str) -> Json {
    let (status, answer) = node(query);
    assert_eq!(status, 200, "{query}: {answer}");
    let zone = answer["data"]["viewer"]["zones"][0].as_object().unwrap();
    zone.values().next().unwrap().clone()
}

fn error(answer: (u16, Json)) -> (u16, String) {
    let (status, body) = answer;
    assert_eq!(body["data"], Json::Null, "{body}");
    let error = &body["errors"][0];
    assert_eq!(
        error["extensions"]["timestamp"], "2026-07-15T10:10:25.678Z",
        "{body}"
    );
    (status, error["message"].as_str().unwrap().to_owned())
}

#[test]
fn both_queries_of_the_announcement_run_as_they_are_printed() {
    let tag = json!({"zoneTag": "z"});
    let dimensions = |job: u64, status: u16| json!({"count": 2, "dimensions": {"jobId": job, "status": status, "destinationType": "s3"}});
    let (status, answer) = run(NOT_ACCEPTED, tag.clone());
    let expected = json!([dimensions(1, 503), dimensions(3, 403)]);
    assert_eq!(
        (status, answer),
        (
            200,
            json!({"data": {"viewer": {"zones": [{"logpushHealthAdaptiveGroups": expected}]}}})
        )
    );
    let (status, answer) = run(ACCEPTED, tag);
    let sum = json!([{"sum": {"bytes": 2_000, "bytesCompressed": 200, "records": 20}}]);
    assert_eq!(
        (status, answer),
        (
            200,
            json!({"data": {"viewer": {"zones": [{"logpushHealthAdaptiveGroups": sum}]}}})
        )
    );
}

#[test]
fn a_zone_without_a_push_has_no_groups() {
    let (status, answer) = run(NOT_ACCEPTED, json!({"zoneTag": "quiet"}));
    let zones = json!([{"logpushHealthAdaptiveGroups": []}]);
    assert_eq!((status, &answer["data"]["viewer"]["zones"]), (200, &zones));
}

#[test]
fn a_variable_may_be_declared_in_any_way_or_not_at_all() {
    for (declaration, variables, expected) in [
        ("", json!({"tag": "z"}), 200),
        ("($tag: string)", json!({"tag": "z"}), 200),
        ("($tag: string!)", json!({"tag": "z"}), 200),
        ("($tag: String!)", json!({"tag": "z"}), 200),
        ("($tag: Nonsense)", json!({"tag": "z"}), 200),
        ("($tag: string = \"z\")", json!({}), 200),
        ("($tag: string!, $unused: Time!)", json!({"tag": "z"}), 400),
        ("($tag: string!)", json!({}), 400),
        ("", json!({}), 400),
        ("", Json::Null, 400),
    ] {
        let query = format!(
            "query {declaration} {{ viewer {{ zones(filter: {{zoneTag: $tag}}) {{ zoneTag }} }} }}"
        );
        let (status, answer) = run(&query, variables);
        assert_eq!(status, expected, "{declaration}: {answer}");
        if expected == 200 {
            assert_eq!(answer["data"]["viewer"]["zones"], json!([{"zoneTag": "z"}]));
        }
    }
    let (_, text) = error(run(
        "{viewer{zones(filter:{zoneTag:$tag}){zoneTag}}}",
        json!({}),
    ));
    assert_eq!(text, "variable $tag has no value: give it in \"variables\"");
}

#[test]
fn variables_stand_for_whole_filters_lists_limits_and_orders() {
    let query = "query($tags: [String!], $filter: ZoneLogpushHealthAdaptiveGroupsFilter_InputObject!, $limit: Int!,
        $order: [string], $with: Boolean = true, $none: Time) { viewer { zones(filter: {zoneTag_in: $tags}) {
        logpushHealthAdaptiveGroups(filter: {AND: [$filter], datetime_geq: $none}, limit: $limit, orderBy: $order) {
            count @include(if: $with) dimensions { jobId status @skip(if: $with) } } } } }";
    let (status, answer) = run(
        query,
        json!({"tags": ["z"], "filter": {"status_in": [200, 503]}, "limit": 1, "order": ["count_DESC"]}),
    );
    let groups = json!([{"count": 6, "dimensions": {"jobId": 1}}]);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["data"]["viewer"]["zones"][0]["logpushHealthAdaptiveGroups"],
        groups
    );
}

#[test]
fn aliases_fragments_and_several_nodes_are_answered_together() {
    let query = r#"
        query One { viewer { a: zones(filter: {zoneTag: "z"}) { ...both } b: accounts(filter: {accountTag: "z"}) {
            accountTag logpushUsageAdaptiveGroups(limit: 5) { sum { billableBytes } } } } }
        query Two { viewer { zones(filter: {zoneTag: "z"}) { ...other } } }
        fragment both on Zone { failed: logpushHealthAdaptiveGroups(filter: {final: 0}, limit: 9) { ...figures }
            all: logpushHealthAdaptiveGroups(limit: 9) { n: count ... on ZoneLogpushHealthAdaptiveGroups { avg {
            sampleInterval uploadDurationMs } } } }
        fragment figures on ZoneLogpushHealthAdaptiveGroups { __typename count sum { uploads } }
        fragment other on Zone { zoneTag }"#;
    let body = json!({"query": query, "operationName": "One"});
    let (status, answer) = run_on(Arc::default(), &body);
    assert_eq!(status, 200, "{answer}");
    let expected = json!({
        "a": [{
            "failed": [{"__typename": "ZoneLogpushHealthAdaptiveGroups", "count": 4, "sum": {"uploads": 4}}],
            "all": [{"n": 10, "avg": {"sampleInterval": 1.0, "uploadDurationMs": 25.0}}],
        }],
        "b": [{"accountTag": "z", "logpushUsageAdaptiveGroups": [{"sum": {"billableBytes": 3_000}}]}],
    });
    assert_eq!(answer["data"]["viewer"], expected);
    let (status, text) = error(run(query, json!({})));
    assert_eq!(
        (status, text.contains("operationName")),
        (400, true),
        "{text}"
    );
}

#[test]
fn what_came_in_is_told_by_dataset_and_reason() {
    let all = groups(
        "logpushIngestAdaptiveGroups(limit:9){count dimensions{dataset} sum{batches records bytes bytesCompressed invalid tests duplicates}}",
    );
    let expected = json!([{"count": 3, "dimensions": {"dataset": "dns_logs"}, "sum": {"batches": 3, "records": 30,
        "bytes": 3_000, "bytesCompressed": 300, "invalid": 5, "tests": 2, "duplicates": 1}}]);
    assert_eq!(all, expected);
    let by_reason = groups(
        "logpushIngestAdaptiveGroups(limit:9,orderBy:[sum_invalid_DESC]){dimensions{reason} sum{records invalid}}",
    );
    let row = |reason: &str, records: u64, invalid: u64| json!({"dimensions": {"reason": reason}, "sum": {"records": records, "invalid": invalid}});
    assert_eq!(
        by_reason,
        json!([row("not_json", 0, 4), row("too_long", 0, 1), row("", 30, 0)])
    );
}

#[test]
fn settings_say_what_there_is_and_how_much() {
    let (_, answer) = node(
        "settings{logpushHealthAdaptiveGroups{enabled availableFields maxPageSize maxNumberOfFields notOlderThan maxDuration}}",
    );
    let settings = &answer["data"]["viewer"]["zones"][0]["settings"]["logpushHealthAdaptiveGroups"];
    assert_eq!(settings["enabled"], true, "{answer}");
    assert_eq!(settings["maxPageSize"], 10_000);
    assert_eq!(settings["maxNumberOfFields"], 30);
    assert_eq!(settings["notOlderThan"], 366 * 24 * 3_600);
    let fields = settings["availableFields"].as_array().unwrap();
    for field in [
        "count",
        "dimensions_jobId",
        "sum_bytesCompressed",
        "avg_sampleInterval",
    ] {
        assert!(fields.contains(&json!(field)), "{field}");
    }
}

#[test]
fn a_query_that_is_wrong_is_told_why_where_and_with_a_time() {
    let health = |arguments: &str, fields: &str| {
        format!("logpushHealthAdaptiveGroups{arguments}{{{fields}}}")
    };
    for (query, expected) in [
        (health("(limit:1)", "cont"), "unknown field \"cont\""),
        (
            health("(limit:1)", "count{a}"),
            "scalar fields must have no selections",
        ),
        (
            health("(limit:1)", "dimensions"),
            "object field must have selections",
        ),
        (
            health("(limit:0)", "count"),
            "limit must be positive number and not greater than 10000",
        ),
        (
            health("(limit:-1)", "count"),
            "limit must be positive number and not greater than 10000",
        ),
        (
            health("(limit:10001)", "count"),
            "limit must be positive number and not greater than 10000",
        ),
        (health("(limit:\"1\")", "count"), "error parsing args"),
        (
            health("(filter:{nothing:1})", "count"),
            "error parsing args",
        ),
        (
            health("(filter:{status:\"x\"})", "count"),
            "error parsing args",
        ),
        (
            health("(filter:{status_in:[200,70000]})", "count"),
            "error parsing args",
        ),
        (
            health("(filter:{datetime_gt:\"yesterday\"})", "count"),
            "error parsing args for \"logpushHealthAdaptiveGroups\": filter.datetime_gt must be a time",
        ),
        (health("(first:1)", "count"), "error parsing args"),
        (
            health("(orderBy:[nothing_ASC])", "count"),
            "error parsing args",
        ),
        (
            health("(orderBy:[jobId_ASC])", "count"),
            "error parsing args for \"logpushHealthAdaptiveGroups\": orderBy: jobId_ASC wants",
        ),
        (
            health("(filter:{datetime_lt:\"2022-08-15T00:00:00Z\"})", "count"),
            "cannot request data older than 31622400s",
        ),
        (
            health(
                "(limit:1)",
                &"sum{bytes records} dimensions{jobId}".repeat(10),
            ),
            "number of fields can't be more than 30",
        ),
        ("nothing".to_owned(), "unknown field \"nothing\""),
        ("zoneTag}".to_owned(), "syntax error"),
        ("...nobody".to_owned(), "there is no fragment"),
    ] {
        let (status, text) = error(node(&query));
        assert_eq!(
            (status, text.starts_with(expected)),
            (400, true),
            "{query}: {text}"
        );
    }
    let (_, answer) = node(&health("(limit:0)", "count"));
    assert_eq!(
        answer["errors"][0]["path"],
        json!(["viewer", "zones", "0", "logpushHealthAdaptiveGroups"])
    );
}

#[test]
fn one_node_that_fails_fails_the_whole_query() {
    let (status, answer) = node(
        "a: logpushHealthAdaptiveGroups(limit:1){count} b: logpushHealthAdaptiveGroups(limit:0){count}",
    );
    assert_eq!((status, &answer["data"]), (400, &Json::Null));
    let down = Arc::new(Memory {
        is_down: true,
        ..Memory::default()
    });
    let body = json!({"query": NOT_ACCEPTED, "variables": {"zoneTag": "z"}});
    let (status, text) = error(run_on(down, &body));
    assert_eq!((status, text.ends_with("try again")), (503, true), "{text}");
}

#[test]
fn zones_are_found_by_their_tags_and_are_not_too_many() {
    let zones = |filter: &str, zones: usize| {
        let source = Arc::new(Memory {
            zones,
            ..Memory::default()
        });
        let query = format!("{{viewer{{zones{filter}{{zoneTag}}}}}}");
        run_on(source, &json!({"query": query}))
    };
    for (filter, expected) in [
        ("", vec!["z0", "z1", "z2"]),
        ("(filter:{zoneTag_gt:\"z0\"})", vec!["z1", "z2"]),
        (
            "(filter:{zoneTag_geq:\"z1\",zoneTag_neq:\"z2\"})",
            vec!["z1"],
        ),
        ("(filter:{zoneTag_lt:\"z1\"})", vec!["z0"]),
        (
            "(filter:{zoneTag_leq:\"z1\",zoneTag_notin:[\"z0\"]})",
            vec!["z1"],
        ),
        ("(filter:{zoneTag_in:[\"b\",\"a\",\"b\"]})", vec!["a", "b"]),
        (
            "(filter:{zoneTag_in:[\"a\",\"b\"],zoneTag_gt:\"a\"})",
            vec!["b"],
        ),
        ("(filter:{zoneTag:\"no/tag\"})", vec![]),
    ] {
        let (status, answer) = zones(filter, 3);
        let expected: Vec<Json> = expected.iter().map(|tag| json!({"zoneTag": tag})).collect();
        assert_eq!(status, 200, "{filter}: {answer}");
        assert_eq!(
            answer["data"]["viewer"]["zones"],
            json!(expected),
            "{filter}"
        );
    }
    let (status, text) = error(zones("", 11));
    assert_eq!(
        (status, text.starts_with("at most 10 zones")),
        (400, true),
        "{text}"
    );
    let (status, text) = error(zones("(filter:{zoneTag:null})", 3));
    assert_eq!(
        (status, text.contains("must not be null")),
        (400, true),
        "{text}"
    );
    let (status, text) = error(run("{viewer{accounts{accountTag}}}", json!({})));
    assert_eq!(
        (status, text.contains("accountTag is required")),
        (400, true),
        "{text}"
    );
}

#[test]
fn only_what_a_query_needs_is_read_of_a_log() {
    let at = |text: &str| {
        let nanos = crate::time::instant_from_str(text).unwrap();
        u64::try_from(nanos / 1_000_000).unwrap()
    };
    let asked = |filter: &str, dimensions: &str| {
        let source: Arc<Memory> = Arc::default();
        let query = format!(
            "{{viewer{{zones(filter:{{zoneTag:\"z\"}}){{logpushHealthAdaptiveGroups(filter:{filter},limit:9){{count{dimensions}}}}}}}}}"
        );
        let (status, answer) = run_on(source.clone(), &json!({"query": query}));
        assert_eq!(status, 200, "{answer}");
        let asked = source.asked.lock().unwrap();
        asked.first().map(|(_, query)| *query)
    };
    let minute = r#"{datetime_geq:"2026-07-14T12:00:30Z",datetimeHour_lt:"2026-07-15T09:30:00Z"}"#;
    for (filter, dimensions, from, until, resolution) in [
        (
            minute,
            "",
            "2026-07-14T12:00:30Z",
            "2026-07-15T10:00:00Z",
            Resolution::Hour,
        ),
        (
            minute,
            " dimensions{datetimeFiveMinutes}",
            "2026-07-14T12:00:30Z",
            "2026-07-15T10:00:00Z",
            Resolution::Minute,
        ),
        (
            minute,
            " dimensions{datetime jobId}",
            "2026-07-14T12:00:30Z",
            "2026-07-15T10:00:00Z",
            Resolution::Attempt,
        ),
        (
            r#"{date:"2026-07-14",OR:[{datetime_lt:"2026-07-14T11:01:00Z"},{datetime_geq:"2026-07-14T12:00:00Z"}]}"#,
            "",
            "2026-07-14T00:00:00Z",
            "2026-07-15T00:00:00Z",
            Resolution::Minute,
        ),
        (
            r#"{datetime_gt:"2022-08-15T00:00:00Z",datetime_lt:"2026-07-15T00:00:00Z"}"#,
            " dimensions{datetimeMinute}",
            "2025-07-14T10:10:25Z",
            "2026-07-15T00:00:00Z",
            Resolution::Hour,
        ),
    ] {
        let query = asked(filter, dimensions).unwrap();
        assert_eq!(
            (
                query.span.from_millis,
                query.span.until_millis,
                query.resolution
            ),
            (at(from), at(until), resolution),
            "{filter}{dimensions}"
        );
    }
    let never = r#"{datetime_geq:"2026-07-15T00:00:00Z",datetime_lt:"2026-07-15T00:00:00Z"}"#;
    assert_eq!(asked(never, ""), None);
    assert_eq!(asked("{jobId:1,datetime_in:[]}", ""), None);
}

#[test]
fn nodes_that_are_asked_about_the_same_time_share_what_is_read() {
    let source: Arc<Memory> = Arc::default();
    let query = r#"{viewer{zones(filter:{zoneTag:"z"}){a:logpushHealthAdaptiveGroups(limit:1){count}
        b:logpushHealthAdaptiveGroups(filter:{status:200},limit:1){count} c:logpushUsageAdaptiveGroups(limit:1){count}
        d:logpushIngestAdaptiveGroups(limit:1){count} e:logpushIngestAdaptiveGroups(filter:{dataset:"x"},limit:1){count}}}}"#;
    let (status, answer) = run_on(source.clone(), &json!({"query": query}));
    assert_eq!(status, 200, "{answer}");
    let zone = &answer["data"]["viewer"]["zones"][0];
    let counts = ["a", "b", "c", "d"].map(|name| zone[name][0]["count"].as_u64());
    assert_eq!(counts, [Some(10), Some(6), Some(6), Some(3)]);
    assert_eq!(zone["e"], json!([]));
    assert_eq!(source.asked.lock().unwrap().len(), 2);
}

#[test]
fn a_query_can_not_exhaust_the_isolate() {
    let mut doubling = "{viewer{zones(filter:{zoneTag:\"z\"}){...f0}}}".to_owned();
    for at in 0..40 {
        let next = at + 1;
        doubling.push_str(&format!("fragment f{at} on Zone{{...f{next} ...f{next}}}"));
    }
    doubling.push_str("fragment f40 on Zone{zoneTag}");
    let mut sixteen = doubling.clone();
    sixteen =
        sixteen.split("fragment f16").next().unwrap().to_owned() + "fragment f16 on Zone{zoneTag}";
    let deep_list = format!(
        "{{viewer{{zones(filter:{}{}){{zoneTag}}}}}}",
        "[".repeat(60),
        "]".repeat(60)
    );
    let hidden = format!(
        "{{a(b:\"{}\",c:{}1{})}}",
        "]".repeat(60),
        "[".repeat(60),
        "]".repeat(60)
    );
    let deep = format!("{}viewer{}", "{viewer".repeat(30), "}".repeat(30));
    let wide = format!(
        "{{viewer{{zones(filter:{{zoneTag:\"z\"}}){{{}}}}}}}",
        "zoneTag ".repeat(1_200)
    );
    let turning = "{viewer{zones(filter:{zoneTag:\"z\"}){...a}}}fragment a on Zone{...b}fragment b on Zone{...a}";
    for (query, expected) in [
        (doubling.as_str(), "the query is nested too deeply"),
        (sixteen.as_str(), "number of fields can't be more than 1000"),
        (deep_list.as_str(), "the query is nested too deeply"),
        (hidden.as_str(), "the query is nested too deeply"),
        (deep.as_str(), "the query is nested too deeply"),
        (wide.as_str(), "number of fields can't be more than 1000"),
        (turning, "fragment a contains itself"),
        ("mutation{a}", "only queries are answered"),
        ("subscription{a}", "only queries are answered"),
        ("", "syntax error"),
    ] {
        let (status, text) = error(run(query, json!({})));
        assert_eq!((status, text.starts_with(expected)), (400, true), "{text}");
    }
    let many = (0..300).map(|at| format!("n{at}: logpushHealthAdaptiveGroups(filter:$f){{count}}"));
    let query = format!(
        "{{viewer{{zones(filter:{{zoneTag:\"z\"}}){{{}}}}}}}",
        many.collect::<String>()
    );
    let large: Vec<u64> = (0..300).collect();
    let (_, text) = error(run(&query, json!({"f": {"jobId_in": large}})));
    assert_eq!(text, "variables are too large, or used too often");

    for body in ["", "[]", "{}", "nothing", "{\"query\":1}"] {
        let future = answer(body.as_bytes(), Arc::<Memory>::default(), NOW);
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => assert_eq!(answer.status, 400, "{body}: {}", answer.body),
            Poll::Pending => panic!("it waits"),
        }
    }
}

#[test]
fn introspection_names_what_clients_name() {
    let (status, answer) = run(
        "{__schema{queryType{name} types{name kind}} __type(name:\"ZoneLogpushHealthAdaptiveGroupsFilter_InputObject\"){
            inputFields{name}}}",
        json!({}),
    );
    assert_eq!(status, 200, "{answer}");
    let fields = answer["data"]["__type"]["inputFields"].to_string();
    for name in [
        "AND",
        "OR",
        "status_neq",
        "datetime_gt",
        "destinationType_like",
        "jobId_in",
        "final",
    ] {
        assert!(fields.contains(&format!("\"{name}\"")), "{name}");
    }
    assert!(!fields.contains("status_like"), "{fields}");
    let types = answer["data"]["__schema"]["types"].to_string();
    for name in [
        "Time",
        "Date",
        "uint64",
        "string",
        "AccountLogpushUsageAdaptiveGroupsOrderBy",
    ] {
        assert!(types.contains(&format!("\"{name}\"")), "{name}");
    }
}
