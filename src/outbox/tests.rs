use super::*;

fn queue() -> Queue {
    Queue {
        job: JobState::Enabled,
        push: None,
        waiting: Waiting {
            records: 10,
            bytes: 1_000,
            oldest_millis: 50_000,
            head: Head {
                records: 10,
                bytes: 1_000,
                is_archive: false,
                is_divisible: true,
            },
        },
        limits: PushLimits::new(None, None, None),
        trouble: Trouble::default(),
        pace: Pace::default(),
    }
}

/// A day.
const DISABLE_AFTER_MILLIS: u64 = 24 * 3_600_000;

fn push(attempts: u32, records: u64) -> CurrentPush {
    CurrentPush {
        attempts,
        next_attempt_millis: 0,
        records,
        bytes: records * 100,
        is_divisible: records > 1,
        receipt: None,
    }
}

fn answer(queue: &Queue, meaning: Meaning, now: u64) -> Step {
    let outcome = Outcome::Failed(Failure {
        meaning,
        status: 400,
        reason: "no".into(),
    });
    step(
        queue,
        Event::Answered {
            outcome,
            jitter: 1.0,
        },
        now,
    )
}

fn wake(queue: &Queue, now: u64) -> Effect {
    step(queue, Event::Wake, now).effect
}

#[test]
fn without_limits_what_waits_is_pushed_at_once() {
    assert_eq!(wake(&queue(), 50_000), Effect::FormPush(queue().limits));
}

#[test]
fn with_an_interval_entries_are_gathered_until_it_ends_or_a_limit_is_reached() {
    let mut queue = queue();
    queue.limits = PushLimits::new(Some(5_000_000), Some(1_000), Some(30));
    assert_eq!(wake(&queue, 60_000), Effect::SleepUntil(80_000));
    assert_eq!(wake(&queue, 80_000), Effect::FormPush(queue.limits));
    queue.waiting.records = 1_000;
    assert_eq!(wake(&queue, 60_000), Effect::FormPush(queue.limits));
    queue.waiting = Waiting {
        records: 1,
        bytes: 5_000_000,
        oldest_millis: 50_000,
        head: Head::default(),
    };
    assert_eq!(wake(&queue, 60_000), Effect::FormPush(queue.limits));
}

#[test]
fn a_push_that_failed_waits_for_its_time_and_nothing_overtakes_it() {
    let mut queue = queue();
    queue.push = Some(CurrentPush {
        next_attempt_millis: 90_000,
        ..push(1, 10)
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
    queue.job = JobState::Disabled;
    assert_eq!(wake(&queue, 60_000), Effect::Sleep);
}

#[test]
fn an_accepted_push_is_delivered_and_a_failed_one_waits_longer_each_time() {
    let mut queue = queue();
    queue.push = Some(push(3, 10));
    let accepted = Event::Answered {
        outcome: Outcome::Accepted,
        jitter: 1.0,
    };
    assert_eq!(step(&queue, accepted, 1_000).effect, Effect::Delivered);
    let at =
        |retry_after_secs| match answer(&queue, Meaning::RetryLater { retry_after_secs }, 1_000)
            .effect
        {
            Effect::RetryAt(at_millis) => at_millis,
            other => panic!("{other:?}"),
        };
    assert_eq!(at(None), 5_000);
    assert_eq!(at(Some(60)), 61_000);
    assert_eq!(at(Some(u64::MAX)), 3_601_000);
}

#[test]
fn a_queue_remembers_since_when_and_how_often_it_failed_until_a_push_is_accepted() {
    let mut queue = queue();
    queue.push = Some(push(1, 10));
    let later = Meaning::RetryLater {
        retry_after_secs: None,
    };
    queue.trouble = answer(&queue, later, 1_000).trouble;
    queue.trouble = answer(&queue, later, 2_000).trouble;
    assert_eq!(queue.trouble.failing_since_millis, Some(1_000));
    assert_eq!(queue.trouble.consecutive_failures, 2);
    let accepted = Event::Answered {
        outcome: Outcome::Accepted,
        jitter: 0.0,
    };
    assert_eq!(step(&queue, accepted, 3_000).trouble, Trouble::default());
}

#[test]
fn a_refused_configuration_parks_the_queue_and_probes_come_less_and_less_often() {
    let mut queue = queue();
    queue.push = Some(push(1, 10));
    let mut waits = Vec::new();
    for _ in 0..8 {
        let Step { effect, trouble } = answer(&queue, Meaning::ConfigurationRefused, 1_000);
        queue.trouble = trouble;
        waits.push(match effect {
            Effect::RetryAt(at) => at - 1_000,
            other => panic!("{other:?}"),
        });
        assert_eq!(
            trouble.parked.map(|parked| parked.since_millis),
            Some(1_000)
        );
    }
    assert_eq!(waits[..3], [30_000, 60_000, 120_000]);
    assert_eq!(waits[7], 15 * 60_000);
    // A probe that meets another trouble proves nothing.
    let later = Meaning::RetryLater {
        retry_after_secs: None,
    };
    let parked = answer(&queue, later, 2_000);
    assert!(parked.trouble.parked.is_some());
    assert_eq!(parked.effect, Effect::RetryAt(2_000 + 15 * 60_000));
    // A change of the job, and a refusal of the records, end it.
    assert_eq!(queue.trouble.after_a_change().parked, None);
    assert_eq!(
        answer(&queue, Meaning::ContentRefused, 2_000)
            .trouble
            .parked,
        None
    );
}

#[test]
fn what_is_too_large_is_halved_and_the_size_that_works_is_remembered() {
    let mut queue = queue();
    queue.push = Some(push(1, 10));
    let Step { effect, trouble } = answer(&queue, Meaning::TooLarge, 60_000);
    assert_eq!(effect, Effect::Dissolve);
    assert_eq!(trouble.size_limit_bytes, Some(500));
    (queue.push, queue.trouble) = (None, trouble);
    let narrow = PushLimits {
        max_bytes: 500,
        ..queue.limits
    };
    assert_eq!(wake(&queue, 60_000), Effect::CutHead(narrow));
    queue.waiting.head.is_divisible = false;
    assert_eq!(wake(&queue, 60_000), Effect::FormPush(narrow));
    queue.push = Some(push(1, 5));
    let accepted = Event::Answered {
        outcome: Outcome::Accepted,
        jitter: 0.0,
    };
    let after = step(&queue, accepted, 3_000).trouble;
    assert_eq!(after.size_limit_bytes, Some(500));
    // For a day, after which a larger one is tried again.
    let day = 24 * 3_600_000;
    let empty = |now| {
        let queue = Queue {
            push: None,
            trouble: after,
            ..queue.clone()
        };
        step(&queue, Event::Wake, now)
    };
    assert_eq!(empty(60_000 + day - 1).trouble, after);
    let later = empty(60_000 + day);
    assert_eq!(later.trouble.size_limit_bytes, None);
    assert_eq!(later.effect, Effect::FormPush(queue.limits));
    // One record that is too large alone.
    queue.push = Some(push(1, 1));
    assert_eq!(
        answer(&queue, Meaning::TooLarge, 60_000).effect,
        Effect::DeadLetter
    );
}

#[test]
fn an_archived_object_is_cut_only_when_the_destination_objects() {
    let mut queue = queue();
    queue.waiting.head = Head {
        records: 1_000_000,
        bytes: 100_000_000,
        is_archive: true,
        is_divisible: true,
    };
    assert!(matches!(wake(&queue, 60_000), Effect::FormPush(_)));
    queue.trouble.isolation_records = Some(500_000);
    assert!(matches!(wake(&queue, 60_000), Effect::CutHead(_)));
}

#[test]
fn a_refused_content_is_halved_until_the_culprit_stands_alone_and_pushes_grow_again() {
    let mut queue = queue();
    queue.push = Some(push(1, 10));
    let Step { effect, trouble } = answer(&queue, Meaning::ContentRefused, 60_000);
    assert_eq!(
        (effect, trouble.isolation_records),
        (Effect::Dissolve, Some(5))
    );
    queue.trouble = trouble;
    queue.push = Some(push(1, 1));
    let Step { effect, trouble } = answer(&queue, Meaning::ContentRefused, 60_000);
    assert_eq!((effect, trouble.dead_in_a_row), (Effect::DeadLetter, 1));
    assert_eq!(trouble.failing_since_millis, None, "it is out of the way");
    queue.trouble = trouble;
    let accepted = || Event::Answered {
        outcome: Outcome::Accepted,
        jitter: 0.0,
    };
    let after = step(&queue, accepted(), 3_000).trouble;
    assert_eq!(
        (after.isolation_records, after.dead_in_a_row),
        (Some(10), 0)
    );
    queue.trouble.isolation_records = Some(queue.limits.max_records / 2);
    assert_eq!(
        step(&queue, accepted(), 3_000).trouble.isolation_records,
        None
    );
}

#[test]
fn a_destination_that_refuses_one_record_after_the_other_parks_the_queue() {
    let mut queue = queue();
    queue.push = Some(push(1, 1));
    for _ in 0..DEAD_IN_A_ROW_MAX {
        let Step { effect, trouble } = answer(&queue, Meaning::ContentRefused, 1_000);
        assert_eq!(effect, Effect::DeadLetter);
        queue.trouble = trouble;
    }
    let Step { effect, trouble } = answer(&queue, Meaning::ContentRefused, 1_000);
    assert!(matches!(effect, Effect::RetryAt(_)), "{effect:?}");
    assert!(trouble.parked.is_some_and(|parked| parked.for_content));
    queue.trouble = trouble.after_a_change();
    assert_eq!(
        answer(&queue, Meaning::ContentRefused, 1_000).effect,
        Effect::DeadLetter
    );
}

#[test]
fn a_job_without_a_successful_push_for_a_day_is_disabled_and_gets_another_day_when_enabled() {
    let mut queue = queue();
    queue.push = Some(push(500, 10));
    queue.trouble.failing_since_millis = Some(1_000);
    assert_eq!(wake(&queue, DISABLE_AFTER_MILLIS), Effect::SendPush);
    assert_eq!(
        wake(&queue, 1_000 + DISABLE_AFTER_MILLIS),
        Effect::DisableJob
    );
    queue.job = JobState::Disabled;
    let held = step(&queue, Event::Wake, 2 * DISABLE_AFTER_MILLIS);
    assert_eq!(held.trouble.failing_since_millis, None);
    (queue.job, queue.trouble) = (JobState::Enabled, held.trouble);
    assert_eq!(wake(&queue, 2 * DISABLE_AFTER_MILLIS), Effect::SendPush);
}

#[test]
fn what_the_queue_remembers_is_stored_under_these_names() {
    let trouble = Trouble {
        size_limit_bytes: Some(1),
        size_learned_at_millis: Some(8),
        isolation_records: Some(2),
        dead_in_a_row: 3,
        parked: Some(Parked {
            since_millis: 4,
            probes: 5,
            for_content: true,
        }),
        failing_since_millis: Some(6),
        consecutive_failures: 7,
        easing_until_millis: Some(9),
        paced_until_millis: Some(10),
    };
    let stored = r#"{"size_limit_bytes":1,"size_learned_at_millis":8,"isolation_records":2,"dead_in_a_row":3,"parked":{"since_millis":4,"probes":5,"for_content":true},"failing_since_millis":6,"consecutive_failures":7,"easing_until_millis":9,"paced_until_millis":10}"#;
    assert_eq!(serde_json::to_string(&trouble).unwrap(), stored);
    assert_eq!(
        serde_json::from_str::<Trouble>("{}").unwrap(),
        Trouble::default()
    );
}

#[test]
fn the_back_off_grows_to_its_cap_and_never_is_nothing() {
    let ceilings: Vec<u64> = (1..12)
        .map(|attempts| Pace::default().backoff_millis(attempts, 1.0))
        .collect();
    assert!(ceilings.is_sorted());
    assert_eq!((ceilings[0], ceilings[10]), (1_000, 300_000));
    assert_eq!(Pace::default().backoff_millis(u32::MAX, 0.0), 500);
}

#[test]
fn a_push_takes_what_fits_at_least_one_and_archived_objects_alone() {
    let limits = PushLimits {
        max_bytes: 100,
        max_records: 10,
        interval_millis: 0,
        record_overhead_bytes: 0,
        is_binding: false,
        rate: Rate::default(),
    };
    let entry = |records, bytes| EntryFacts {
        records,
        bytes,
        is_alone: false,
        assembly: None,
    };
    let archive = EntryFacts {
        records: 1_000,
        bytes: 9_999,
        is_alone: true,
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
        is_alone: false,
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
        first_event_millis: Some(1),
        last_event_millis: Some(2),
        assembly: None,
        remember_for_good: false,
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
        r#"{"job_id":7,"batch_id":"ab","received_at_millis":1,"first_event_millis":1,"last_event_millis":2,"segments":[[{"records":1,"bytes":2},{"kind":"inline"}],[{"records":3,"bytes":4},{"kind":"spool","key":"k","start":5}],[{"records":6,"bytes":7},{"kind":"archive","key":"a","size":8}]]}"#
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
        r#"{"job_id":7,"batch_id":"ab","received_at_millis":1,"first_event_millis":1,"last_event_millis":2,"segments":[],"assembly":{"prefix":"[","suffix":"]","delimiter":",","content_type":"application/json"}}"#
    );
    assert_eq!(instance_name(7), "job/7/shard/0");
}

#[test]
fn the_operator_may_shorten_every_wait() {
    assert_eq!(Pace::with(None, None, None), Pace::default());
    let brisk = Pace::with(Some(1), Some(2), Some(60));
    assert_eq!(
        (brisk.retry_first_millis, brisk.retry_max_millis),
        (1_000, 1_000)
    );
    assert_eq!(
        (brisk.probe_first_millis, brisk.probe_max_millis),
        (2_000, 2_000)
    );
    assert_eq!(brisk.disable_after_millis, 60_000);
    // Nothing that spins.
    assert_eq!(Pace::with(Some(0), None, None).retry_max_millis, 1_000);
    let mut queue = queue();
    queue.pace = Pace::with(None, None, Some(60));
    queue.trouble.failing_since_millis = Some(1);
    assert_eq!(wake(&queue, 60_001), Effect::DisableJob);
}

/// Long after what waits in [`queue`] came.
const NOW: u64 = 1_000_000;

/// Pushes of `bytes` each, taken after `answer_millis`, at a rate; when each was made.
fn paced(rate: Rate, bytes: u64, answer_millis: u64, late_millis: u64) -> Vec<u64> {
    let mut queue = queue();
    queue.limits.rate = rate;
    queue.waiting.records = 1_000;
    let (mut now, mut made) = (NOW, Vec::new());
    while made.len() < 41 {
        let Step { effect, trouble } = step(&queue, Event::Wake, now);
        queue.trouble = trouble;
        match effect {
            Effect::SleepUntil(at) => now = at + late_millis,
            Effect::FormPush(_) => {
                queue.push = Some(CurrentPush {
                    bytes,
                    ..push(0, 10)
                })
            }
            Effect::SendPush => {
                made.push(now);
                now += answer_millis;
                let event = Event::Answered {
                    outcome: Outcome::Accepted,
                    jitter: 0.5,
                };
                let Step { effect, trouble } = step(&queue, event, now);
                assert_eq!(effect, Effect::Delivered);
                (queue.trouble, queue.push) = (trouble, None);
            }
            other => panic!("{other:?}"),
        }
    }
    made
}

#[test]
fn a_rate_holds_over_a_run_of_pushes_whatever_answers_and_alarms_take() {
    let bytes_rate = Rate {
        max_bytes_per_sec: Some(100_000),
        push_gap_millis: 0,
    };
    let push_rate = Rate {
        max_bytes_per_sec: None,
        push_gap_millis: 500,
    };
    // Both come to a push every 500 ms, and 40 gaps to 20 s.
    for (rate, bytes) in [(bytes_rate, 50_000), (push_rate, 5_000_000)] {
        for (answer, late) in [(0, 0), (80, 0), (0, 300), (200, 250)] {
            let made = paced(rate, bytes, answer, late);
            let took = made.last().unwrap() - made.first().unwrap();
            assert!(
                (19_000..=21_000).contains(&took),
                "{rate:?} {answer} {late}: {took}"
            );
        }
    }
    // A destination that is slower than the rate is not made up for later.
    let slow = paced(push_rate, 1, 3_000, 0);
    let gaps: Vec<u64> = slow.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.iter().all(|gap| *gap >= 3_000), "{gaps:?}");
    assert_eq!(Rate::default().next_millis(Some(NOW), 1 << 40, NOW), None);
}

#[test]
fn pushes_at_a_rate_hold_a_seconds_worth_and_no_entry_is_cut_for_that() {
    let mut queue = queue();
    queue.limits.rate.max_bytes_per_sec = Some(100_000);
    queue.waiting.records = 1_000;
    queue.waiting.head.bytes = 1_000_000;
    let formed = |queue: &Queue| match wake(queue, NOW) {
        Effect::FormPush(limits) => limits.max_bytes,
        other => panic!("{other:?}"),
    };
    assert_eq!(formed(&queue), 100_000);
    queue.limits.rate.max_bytes_per_sec = Some(1_000);
    assert_eq!(formed(&queue), 64 * 1024);
    queue.limits.rate.max_bytes_per_sec = None;
    assert_eq!(formed(&queue), queue.limits.max_bytes);
}
