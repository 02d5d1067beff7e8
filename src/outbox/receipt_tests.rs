//! A push that the destination has taken and not yet acknowledged.

use super::*;

const NOW: u64 = 1_000_000;

fn failure(meaning: Meaning) -> Confirmation {
    Confirmation::Failed(Failure {
        meaning,
        status: 503,
        reason: "no".into(),
    })
}

const LATER: Meaning = Meaning::RetryLater {
    retry_after_secs: None,
};

fn queue(receipt: Option<Receipt>) -> Queue {
    Queue {
        job: JobState::Enabled,
        push: Some(CurrentPush {
            attempts: 1,
            next_attempt_millis: 0,
            records: 3,
            bytes: 300,
            is_divisible: true,
            receipt,
        }),
        waiting: Waiting::default(),
        limits: PushLimits::new(None, None, None),
        trouble: Trouble::default(),
        pace: Pace::default(),
    }
}

fn receipt(taken_at_millis: u64, questions: u32) -> Receipt {
    Receipt {
        number: 7,
        taken_at_millis,
        questions,
        bytes_compressed: 0,
    }
}

fn ask(queue: &Queue, confirmation: Confirmation, now: u64) -> Step {
    let jitter = 1.0;
    step(
        queue,
        Event::Asked {
            confirmation,
            jitter,
        },
        now,
    )
}

#[test]
fn what_was_taken_is_written_down_and_asked_after_and_not_yet_delivered() {
    let mut queue = queue(None);
    queue.trouble.failing_since_millis = Some(5);
    let event = Event::Answered {
        outcome: Outcome::Taken { receipt: 7 },
        jitter: 1.0,
    };
    let taken = step(&queue, event, NOW);
    assert_eq!(
        taken.effect,
        Effect::AwaitReceipt(receipt(NOW, 0), NOW + 1_000)
    );
    assert_eq!(taken.trouble, queue.trouble, "nothing is settled yet");
}

#[test]
fn a_queue_that_waits_for_an_acknowledgement_sleeps_asks_and_sends_nothing() {
    let mut queue = queue(Some(receipt(NOW, 0)));
    let wake = |queue: &Queue, now| step(queue, Event::Wake, now).effect;
    assert_eq!(wake(&queue, NOW), Effect::AskReceipt(receipt(NOW, 0)));
    if let Some(push) = &mut queue.push {
        push.next_attempt_millis = NOW + 4_000;
    }
    assert_eq!(wake(&queue, NOW), Effect::SleepUntil(NOW + 4_000));
    queue.job = JobState::Deleted;
    assert_eq!(wake(&queue, NOW), Effect::Discard);
    queue.job = JobState::Disabled;
    assert!(matches!(wake(&queue, NOW), Effect::SleepUntil(at) if at > NOW));
}

#[test]
fn an_acknowledgement_delivers_and_settles() {
    let mut queue = queue(Some(receipt(NOW, 3)));
    queue.trouble.failing_since_millis = Some(5);
    queue.trouble.consecutive_failures = 2;
    let step = ask(&queue, Confirmation::Safe, NOW);
    assert_eq!(step.effect, Effect::Delivered);
    assert_eq!(step.trouble, Trouble::default());
}

#[test]
fn it_is_asked_after_ever_more_rarely_up_to_the_longest_wait() {
    for (questions, wait) in [
        (0, 2_000),
        (1, 4_000),
        (2, 8_000),
        (3, 10_000),
        (40, 10_000),
    ] {
        let step = ask(
            &queue(Some(receipt(NOW, questions))),
            Confirmation::NotYet,
            NOW,
        );
        let expected = Effect::AwaitReceipt(receipt(NOW, questions + 1), NOW + wait);
        assert_eq!(step.effect, expected);
        assert_eq!(step.trouble, Trouble::default(), "to wait is not to fail");
    }
    // The last question comes when the time is over, and not later.
    let step = ask(
        &queue(Some(receipt(NOW, 40))),
        Confirmation::NotYet,
        NOW + 297_000,
    );
    assert_eq!(
        step.effect,
        Effect::AwaitReceipt(receipt(NOW, 41), NOW + 300_000)
    );
}

#[test]
fn what_is_not_acknowledged_in_time_is_a_failure_and_sent_again() {
    let late = NOW + 300_000;
    for confirmation in [Confirmation::NotYet, failure(LATER)] {
        let step = ask(&queue(Some(receipt(NOW, 30))), confirmation, late);
        assert_eq!(step.effect, Effect::SendAgainAt(late + 1_000));
        assert_eq!(step.trouble.consecutive_failures, 1);
        assert_eq!(step.trouble.failing_since_millis, Some(late));
    }
    // Late, and there all the same.
    let step = ask(&queue(Some(receipt(NOW, 30))), Confirmation::Safe, late);
    assert_eq!(step.effect, Effect::Delivered);
}

#[test]
fn a_question_that_fails_counts_and_is_asked_again() {
    let queue = queue(Some(receipt(NOW, 0)));
    let step = ask(&queue, failure(LATER), NOW);
    assert_eq!(
        step.effect,
        Effect::AwaitReceipt(receipt(NOW, 1), NOW + 2_000)
    );
    assert_eq!(step.trouble.consecutive_failures, 1);
    let asked = Meaning::RetryLater {
        retry_after_secs: Some(60),
    };
    assert_eq!(
        ask(&queue, failure(asked), NOW).effect,
        Effect::AwaitReceipt(receipt(NOW, 1), NOW + 60_000)
    );
    let refused = ask(&queue, failure(Meaning::ConfigurationRefused), NOW);
    assert_eq!(
        refused.effect,
        Effect::AwaitReceipt(receipt(NOW, 1), NOW + 30_000)
    );
    assert!(refused.trouble.parked.is_some());
}

#[test]
fn a_destination_near_its_capacity_gets_the_next_push_later() {
    let mut queue = queue(None);
    let event = Event::Answered {
        outcome: Outcome::AcceptedNearCapacity,
        jitter: 0.0,
    };
    let taken = step(&queue, event, NOW);
    assert_eq!(taken.effect, Effect::Delivered);
    (queue.push, queue.trouble) = (None, taken.trouble);
    queue.waiting.records = 1;
    let next = |queue: &Queue, now| step(queue, Event::Wake, now).effect;
    assert_eq!(next(&queue, NOW), Effect::SleepUntil(NOW + 10_000));
    assert_eq!(next(&queue, NOW + 10_000), Effect::FormPush(queue.limits));
}

#[test]
fn what_stands_around_each_record_counts() {
    let limits = PushLimits {
        max_bytes: 100,
        record_overhead_bytes: 30,
        ..PushLimits::new(None, None, None)
    };
    let entry = EntryFacts {
        records: 1,
        bytes: 10,
        is_alone: false,
        assembly: None,
    };
    assert_eq!(gather([entry; 5], &limits), 2);
    let narrow = PushLimits::new(None, None, None).within(&crate::destination::Limits {
        max_bytes: Some(1_000),
        max_records: Some(5),
        max_record_bytes: None,
        record_overhead_bytes: 7,
    });
    assert_eq!(
        (narrow.max_bytes, narrow.max_records, narrow.weight(2, 10)),
        (1_000, 5, 24)
    );
    assert!(narrow.is_binding);
    let mut queue = queue(None);
    queue.push = None;
    queue.waiting.records = 6;
    queue.waiting.head = Head {
        records: 6,
        bytes: 10,
        is_archive: true,
        is_divisible: true,
    };
    let next = |queue: &Queue| step(queue, Event::Wake, NOW).effect;
    assert_eq!(next(&queue), Effect::FormPush(queue.limits));
    queue.limits = narrow;
    assert_eq!(next(&queue), Effect::CutHead(narrow));
}

#[test]
fn the_operator_may_shorten_the_wait_for_acknowledgements() {
    let pace = Pace::default().asking(Some(1), Some(3));
    assert_eq!(
        (pace.ask_max_millis, pace.acknowledge_within_millis),
        (1_000, 3_000)
    );
    assert_eq!(Pace::default().asking(None, None), Pace::default());
    assert_eq!(
        Pace::default().asking(Some(0), Some(0)),
        Pace::default().asking(Some(1), Some(1))
    );
}
