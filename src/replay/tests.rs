use super::*;
use crate::logpush::scope::{Scope, ScopeKind};

fn spec(backfill: Option<Backfill>) -> Spec {
    Spec {
        id: "r".into(),
        scope: Scope::new(ScopeKind::Zone, "z").unwrap(),
        dataset: "dns_logs".into(),
        start: "2026-07-01T00:00:00Z".into(),
        end: Some("2026-07-02T00:00:00Z".into()),
        job: 1,
        backfill,
        created_at_millis: 0,
    }
}

fn next(first: i64, id: &str) -> Next {
    Next {
        ledger: "zones/z/dns_logs/20260701".into(),
        row: BatchRow {
            batch_id: id.into(),
            object: format!("object-{id}"),
            object_bytes: 5,
            received_at_millis: 1,
            event_millis: Some((first, first)),
            records: 10,
            bytes_raw: 100,
            invalid_lines: 0,
            expired: false,
        },
    }
}

#[test]
fn what_is_remembered_is_stored_under_these_names() {
    let progress = Progress {
        total: Some(Sum::default()),
        place: Place {
            ledger: Some("l".into()),
            after: Some(BatchCursor {
                first_millis: 1,
                batch_id: "b".into(),
            }),
        },
        ended: Some((End::Completed, 9)),
        missing_objects: vec!["o".into()],
        ..Progress::default()
    };
    let text = r#"{"total":{"batches":0,"records":0,"bytes_raw":0,"object_bytes":0},"place":{"ledger":"l","after":{"first_millis":1,"batch_id":"b"}},"read":{"batches":0,"records":0,"bytes_raw":0,"object_bytes":0},"selected_records":0,"selected_bytes":0,"undated_records":0,"invalid_lines":0,"surprises":{"unreadable_time":0,"unexpected_value":0,"unknown_dataset":0},"missing_batches":0,"missing_objects":["o"],"is_paused":false,"is_read":false,"ended":["completed",9],"began_at_millis":null,"read_at_millis":null,"pass_began_millis":null,"next_at_millis":0,"failures":0,"error":null,"looks":0,"last_load_bytes":0}"#;
    assert_eq!(serde_json::to_string(&progress).unwrap(), text);
    assert_eq!(serde_json::from_str::<Progress>(text).unwrap(), progress);
    assert_eq!(
        serde_json::from_str::<Progress>("{}").unwrap(),
        Progress::default()
    );
}

#[test]
fn a_full_outbox_is_looked_at_ever_more_rarely_until_it_gets_emptier() {
    let mut session = Session::default();
    let mut progress = Progress {
        total: Some(Sum::default()),
        ..Progress::default()
    };
    let full = |bytes| {
        Event::Loaded(Load {
            entries: 1,
            records: 1,
            bytes,
        })
    };
    let mut waits = Vec::new();
    for bytes in [90, 90, 90, 90, 80, 80] {
        assert_eq!(step(&progress, &session, 1_000_000), Effect::Look);
        progress = progress.after(&spec(None), &mut session, full(bytes << 20), 1_000_000);
        waits.push(progress.next_at_millis - 1_000_000);
        progress.next_at_millis = 0;
    }
    assert_eq!(waits, [250, 500, 1_000, 2_000, 250, 500]);
    progress = progress.after(&spec(None), &mut session, full(1), 1_000_000);
    assert!(matches!(
        step(&progress, &session, 1_000_000),
        Effect::Find(_)
    ));
    let many = Event::Loaded(Load {
        entries: LOAD_MAX_ENTRIES,
        records: 1,
        bytes: 1,
    });
    progress = progress.after(&spec(None), &mut session, many, 1_000_000);
    assert!(matches!(
        step(&progress, &session, 1_000_000),
        Effect::SleepUntil(_)
    ));
}

#[test]
fn a_backfill_looks_again_for_what_came_before_every_isolate_knew_the_job() {
    let backfill = Backfill {
        received_before_millis: 5_000,
        settled_at_millis: 90_000,
    };
    let spec = spec(Some(backfill));
    let mut session = Session::default();
    let mut progress = Progress::default();
    let (mut now, mut passes) = (1_000, Vec::new());
    loop {
        let event = match step(&progress, &session, now) {
            Effect::Count => Event::Counted(Sum::default()),
            Effect::Look if progress.is_read => break,
            Effect::Look => Event::Loaded(Load::default()),
            Effect::Find(place) => {
                assert_eq!(place, Place::default());
                passes.push(now);
                Event::Found(Vec::new())
            }
            Effect::SleepUntil(at) => {
                now = at;
                continue;
            }
            other => panic!("{other:?}"),
        };
        progress = progress.after(&spec, &mut session, event, now);
    }
    assert_eq!(passes, [1_000, 5_000, 90_000]);
}

#[test]
fn a_failure_is_tried_again_and_said_until_it_is_over() {
    let mut session = Session {
        room: (1 << 20, 10),
        ahead: VecDeque::from([next(1, "a")]),
    };
    let mut progress = Progress {
        total: Some(Sum::default()),
        ..Progress::default()
    };
    let mut waits = Vec::new();
    for _ in 0..12 {
        progress = progress.after(&spec(None), &mut session, Event::Failed("R2".into()), 0);
        waits.push(progress.next_at_millis / 1_000);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    assert_eq!(progress.error.as_deref(), Some("R2"));
    progress = progress.after(&spec(None), &mut session, Event::Resume, 0);
    assert_eq!(step(&progress, &session, 0), Effect::Route(next(1, "a")));
    let routed = Event::Routed(next(1, "a"), Routed::default());
    progress = progress.after(&spec(None), &mut session, routed, 0);
    assert_eq!((progress.error, progress.failures), (None, 0));
}

#[test]
fn names_of_missing_objects_are_bounded_and_their_number_is_not() {
    let mut session = Session::default();
    let mut progress = Progress::default();
    for n in 0..150 {
        let event = Event::Missing(next(n, "b"));
        progress = progress.after(&spec(None), &mut session, event, 0);
    }
    assert_eq!(progress.missing_batches, 150);
    assert_eq!(progress.missing_objects.len(), MISSING_NAMES_MAX);
}
