use super::*;

fn queue() -> Queue {
    Queue {
        job: JobState::Enabled,
        push: None,
        waiting: Waiting {
            records: 10,
            bytes: 1_000,
            oldest_millis: 50_000,
        },
        limits: PushLimits::new(None, None, None),
    }
}

fn wake(queue: &Queue, now: u64) -> Effect {
    step(queue, Event::Wake, now)
}

#[test]
fn without_limits_what_waits_is_pushed_at_once() {
    assert_eq!(wake(&queue(), 50_000), Effect::FormPush);
}

#[test]
fn with_an_interval_entries_are_gathered_until_it_ends_or_a_limit_is_reached() {
    let mut queue = queue();
    queue.limits = PushLimits::new(Some(5_000_000), Some(1_000), Some(30));
    assert_eq!(wake(&queue, 60_000), Effect::SleepUntil(80_000));
    assert_eq!(wake(&queue, 80_000), Effect::FormPush);
    queue.waiting.records = 1_000;
    assert_eq!(wake(&queue, 60_000), Effect::FormPush);
    queue.waiting = Waiting {
        records: 1,
        bytes: 5_000_000,
        oldest_millis: 50_000,
    };
    assert_eq!(wake(&queue, 60_000), Effect::FormPush);
}

#[test]
fn a_push_that_failed_waits_for_its_time_and_nothing_overtakes_it() {
    let mut queue = queue();
    queue.push = Some(CurrentPush {
        attempts: 1,
        next_attempt_millis: 90_000,
    });
    assert_eq!(wake(&queue, 60_000), Effect::SleepUntil(90_000));
    assert_eq!(wake(&queue, 90_000), Effect::SendPush);
}

#[test]
fn a_disabled_job_keeps_and_a_deleted_one_discards() {
    let mut queue = queue();
    queue.job = JobState::Disabled;
    assert!(matches!(wake(&queue, 60_000), Effect::SleepUntil(at) if at > 60_000));
    queue.job = JobState::Deleted;
    assert_eq!(wake(&queue, 60_000), Effect::Discard);
    queue.waiting = Waiting::default();
    assert_eq!(wake(&queue, 60_000), Effect::Sleep);
}

#[test]
fn an_accepted_push_is_delivered_and_a_failed_one_waits_longer_each_time() {
    let mut queue = queue();
    queue.push = Some(CurrentPush {
        attempts: 3,
        next_attempt_millis: 0,
    });
    let answered = |outcome| Event::Answered {
        outcome,
        jitter: 1.0,
    };
    assert_eq!(
        step(&queue, answered(Outcome::Accepted), 1_000),
        Effect::Delivered
    );
    let failed = |retry_after_secs| {
        answered(Outcome::RetryLater {
            retry_after_secs,
            reason: "503".into(),
        })
    };
    let at = |effect| match effect {
        Effect::RetryAt { at_millis, .. } => at_millis,
        other => panic!("{other:?}"),
    };
    assert_eq!(at(step(&queue, failed(None), 1_000)), 5_000);
    assert_eq!(at(step(&queue, failed(Some(60)), 1_000)), 61_000);
    assert_eq!(at(step(&queue, failed(Some(u64::MAX)), 1_000)), 3_601_000);
}

#[test]
fn the_back_off_grows_to_its_cap_and_never_is_nothing() {
    let ceilings: Vec<u64> = (1..12)
        .map(|attempts| backoff_millis(attempts, 1.0))
        .collect();
    assert!(ceilings.is_sorted());
    assert_eq!((ceilings[0], ceilings[10]), (1_000, 300_000));
    assert_eq!(backoff_millis(u32::MAX, 0.0), 500);
}

#[test]
fn a_push_takes_what_fits_at_least_one_and_archived_objects_alone() {
    let limits = PushLimits {
        max_bytes: 100,
        max_records: 10,
        interval_millis: 0,
    };
    let entry = |records, bytes| EntryFacts {
        records,
        bytes,
        is_archive: false,
        assembly: None,
    };
    let archive = EntryFacts {
        records: 1_000,
        bytes: 9_999,
        is_archive: true,
        assembly: None,
    };
    assert_eq!(
        gather([entry(5, 50), entry(5, 50), entry(1, 1)], &limits),
        2
    );
    assert_eq!(gather([entry(50, 500), entry(1, 1)], &limits), 1);
    assert_eq!(gather([archive, entry(1, 1)], &limits), 1);
    assert_eq!(gather([entry(1, 1), archive], &limits), 1);
    assert_eq!(gather([], &limits), 0);
}

#[test]
fn records_written_for_other_options_do_not_share_a_push() {
    let limits = PushLimits::new(None, None, None);
    let entry = |assembly| EntryFacts {
        records: 1,
        bytes: 1,
        is_archive: false,
        assembly,
    };
    let (plain, array) = (entry(None), entry(Some("[")));
    assert_eq!(gather([plain, plain, array, plain], &limits), 2);
    assert_eq!(gather([array, array, plain], &limits), 2);
    assert_eq!(gather([array, entry(Some("{"))], &limits), 1);
    let assembly = crate::route::Assembly {
        prefix: "[".into(),
        suffix: "]".into(),
        delimiter: ",".into(),
        content_type: "application/json".into(),
    };
    assert_eq!(
        limits.beside(Some(&assembly)).max_bytes,
        limits.max_bytes - 2
    );
    assert_eq!(limits.beside(None), limits);
}

#[test]
fn the_messages_and_the_name_have_not_changed() {
    let append = Append {
        job_id: 7,
        batch_id: "ab".into(),
        received_at_millis: 1,
        last_event_millis: Some(2),
        assembly: None,
        segments: vec![
            (
                crate::route::Segment {
                    records: 1,
                    bytes: 2,
                },
                EntrySource::Inline,
            ),
            (
                crate::route::Segment {
                    records: 3,
                    bytes: 4,
                },
                EntrySource::Spool {
                    key: "k".into(),
                    start: 5,
                },
            ),
            (
                crate::route::Segment {
                    records: 6,
                    bytes: 7,
                },
                EntrySource::Archive {
                    key: "a".into(),
                    size: 8,
                },
            ),
        ],
    };
    assert_eq!(
        serde_json::to_string(&append).unwrap(),
        r#"{"job_id":7,"batch_id":"ab","received_at_millis":1,"last_event_millis":2,"segments":[[{"records":1,"bytes":2},{"kind":"inline"}],[{"records":3,"bytes":4},{"kind":"spool","key":"k","start":5}],[{"records":6,"bytes":7},{"kind":"archive","key":"a","size":8}]]}"#
    );
    let shaped = Append {
        segments: Vec::new(),
        assembly: Some(crate::route::Assembly {
            prefix: "[".into(),
            suffix: "]".into(),
            delimiter: ",".into(),
            content_type: "application/json".into(),
        }),
        ..append
    };
    assert_eq!(
        serde_json::to_string(&shaped).unwrap(),
        r#"{"job_id":7,"batch_id":"ab","received_at_millis":1,"last_event_millis":2,"segments":[],"assembly":{"prefix":"[","suffix":"]","delimiter":",","content_type":"application/json"}}"#
    );
    assert_eq!(instance_name(7), "job/7/shard/0");
}
