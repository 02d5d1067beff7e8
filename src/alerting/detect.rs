//! Looks at what came of one dataset, minute by minute, and tells when it falls silent and when its lines are bad.
//!
//! Silence is judged by the dataset's own habit: so many times the usual (median) distance between its batches, never
//! less than a floor, and never less than half as much again as the longest distance that was nothing unusual, so that a
//! dataset that sleeps every night does not wake anybody. A dataset that was never seen is not watched.

use super::{AlertEvent, AlertType, DatasetFacts, Occurrence, Severity, Subject, Thresholds};
use serde::{Deserialize, Serialize};

const MINUTE_MILLIS: u64 = 60_000;

/// How far back a dataset is looked at that is new here, and the most that is ever read at once: a little more than it has
/// to be watched before it is judged.
pub const HISTORY_MINUTES: u64 = 26 * 60;

/// Distances that the median is taken of. Half an hour of Logpush's usual rhythm.
const GAPS_KEPT: usize = 32;

/// Fewer tell no habit.
const GAPS_NEEDED: usize = 3;

/// The longest usual distance loses half of its weight in this time, so that a habit that is over is forgotten; over a
/// weekend less than a quarter.
const LONGEST_HALF_LIFE_MINUTES: f64 = 7.0 * 24.0 * 60.0;

/// How much longer than the longest usual distance a silence has to be.
const LONGEST_TIMES: f64 = 1.5;

/// A dataset without a batch for so long is no longer watched.
const FORGET_MINUTES: u64 = 30 * 24 * 60;

/// What one minute of receipt brought, of all ledgers of a dataset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// Minutes since 1970.
    pub minute: u64,
    /// Records.
    pub records: u64,
    /// Lines that were none.
    pub invalid_lines: u64,
}

/// What is known of a dataset. Stored as JSON: members may be added with a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetState {
    /// The first minute with a batch that was seen.
    pub first_minute: u64,
    /// The last one; 0 when there was none.
    pub last_minute: u64,
    gaps: Vec<u64>,
    longest_gap: f64,
    silent_since_millis: Option<u64>,
    invalid_since_millis: Option<u64>,
}

impl DatasetState {
    /// The first minute that the next look has to read, so that neither a batch nor a part of the window is missed.
    #[must_use]
    pub fn read_from(&self, now_millis: u64, thresholds: &Thresholds) -> u64 {
        let now = now_millis / MINUTE_MILLIS;
        let window = now.saturating_sub(thresholds.invalid_window_millis / MINUTE_MILLIS);
        (self.last_minute + 1)
            .min(window)
            .max(now.saturating_sub(HISTORY_MINUTES))
    }

    /// Whether it is worth keeping.
    #[must_use]
    pub fn is_forgotten(&self, now_millis: u64) -> bool {
        self.last_minute + FORGET_MINUTES < now_millis / MINUTE_MILLIS
    }

    /// Takes in the minutes from `from` ([`read_from`](Self::read_from)) on that brought a batch, in order, and says what
    /// began or ended.
    #[must_use]
    pub fn look(
        &mut self,
        (scope, dataset): (&str, &str),
        from: u64,
        minutes: &[Minute],
        now_millis: u64,
        thresholds: &Thresholds,
    ) -> Vec<Occurrence> {
        let mut facts = DatasetFacts {
            scope: scope.to_owned(),
            dataset: dataset.to_owned(),
            ..DatasetFacts::default()
        };
        let mut told = Vec::new();
        let was_silent_since = self.silent_since_millis;
        for minute in minutes {
            if minute.minute <= self.last_minute {
                continue;
            }
            // After a time in which nobody looked, the distance is not known.
            let is_known = self.last_minute > 0 && self.last_minute + 1 >= from;
            self.came(
                minute.minute,
                is_known && self.silent_since_millis.is_none(),
            );
            self.silent_since_millis = None;
        }
        facts.last_batch_millis =
            (self.last_minute > 0).then_some(self.last_minute * MINUTE_MILLIS);
        facts.usual_interval_millis = self.usual_gap().map(|gap| gap * MINUTE_MILLIS);
        if let Some(since) = was_silent_since
            && (self.silent_since_millis.is_none()
                || thresholds.silence_times.is_none()
                || self.is_forgotten(now_millis))
        {
            self.silent_since_millis = None;
            let subject = Subject::Dataset(facts.clone());
            told.push(silent(AlertEvent::End, since, now_millis, subject));
        }
        // By the end of the minute of the last batch, which may have come at any time in it.
        let quiet = now_millis.saturating_sub((self.last_minute + 1) * MINUTE_MILLIS);
        if self.silent_since_millis.is_none()
            && !self.is_forgotten(now_millis)
            && self
                .silence_millis(now_millis, thresholds)
                .is_some_and(|limit| quiet > limit)
        {
            let since = self.last_minute * MINUTE_MILLIS;
            self.silent_since_millis = Some(since);
            told.push(silent(
                AlertEvent::Start,
                since,
                now_millis,
                Subject::Dataset(facts.clone()),
            ));
        }
        told.extend(self.judge_lines(facts, minutes, now_millis, thresholds));
        told
    }

    fn judge_lines(
        &mut self,
        mut facts: DatasetFacts,
        minutes: &[Minute],
        now_millis: u64,
        thresholds: &Thresholds,
    ) -> Option<Occurrence> {
        let window = thresholds.invalid_window_millis;
        let first = now_millis.saturating_sub(window) / MINUTE_MILLIS;
        for minute in minutes.iter().filter(|minute| minute.minute >= first) {
            facts.records += minute.records;
            facts.invalid_lines += minute.invalid_lines;
        }
        facts.window_millis = window;
        let lines = facts.records + facts.invalid_lines;
        let percent = 100.0 * facts.invalid_lines as f64 / lines.max(1) as f64;
        let is_bad = thresholds
            .invalid_percent
            .is_some_and(|limit| percent > limit)
            && facts.invalid_lines >= thresholds.invalid_lines;
        // A window without lines says nothing: what was bad stays bad until good lines come.
        let (event, since) = match self.invalid_since_millis {
            None if is_bad => (AlertEvent::Start, now_millis),
            Some(since) if !is_bad && (lines > 0 || thresholds.invalid_percent.is_none()) => {
                (AlertEvent::End, since)
            }
            _ => return None,
        };
        self.invalid_since_millis = (event == AlertEvent::Start).then_some(since);
        Some(Occurrence::new(
            AlertType::InvalidLines,
            event,
            Severity::Warning,
            since,
            now_millis,
            Subject::Dataset(facts),
        ))
    }

    /// A batch came in this minute.
    fn came(&mut self, minute: u64, is_usual: bool) {
        if self.first_minute == 0 {
            self.first_minute = minute;
        }
        if is_usual {
            let gap = minute.saturating_sub(self.last_minute);
            let faded = self.longest_gap * 0.5_f64.powf(gap as f64 / LONGEST_HALF_LIFE_MINUTES);
            self.longest_gap = faded.max(gap as f64);
            if self.gaps.len() >= GAPS_KEPT {
                self.gaps.remove(0);
            }
            self.gaps.push(gap);
        }
        self.last_minute = minute;
    }

    fn usual_gap(&self) -> Option<u64> {
        let mut gaps = self.gaps.clone();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    }

    /// How long a silence has to be; `None` while that can not be said.
    fn silence_millis(&self, now_millis: u64, thresholds: &Thresholds) -> Option<u64> {
        let times = thresholds.silence_times?;
        let watched = now_millis.saturating_sub(self.first_minute * MINUTE_MILLIS);
        if self.gaps.len() < GAPS_NEEDED || watched < thresholds.silence_learn_millis {
            return None;
        }
        let usual = self.usual_gap()? as f64 * times;
        let limit = usual.max(self.longest_gap * LONGEST_TIMES) * MINUTE_MILLIS as f64;
        Some((limit as u64).max(thresholds.silence_at_least_millis))
    }
}

fn silent(event: AlertEvent, since_millis: u64, now_millis: u64, subject: Subject) -> Occurrence {
    Occurrence::new(
        AlertType::DatasetSilent,
        event,
        Severity::Critical,
        since_millis,
        now_millis,
        subject,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60;
    const START: u64 = 29_000_000;

    /// A dataset, and a clock in minutes that looks every five of them.
    struct Watch {
        state: DatasetState,
        thresholds: Thresholds,
        told: Vec<(u64, AlertType, AlertEvent)>,
        last: Option<Occurrence>,
    }

    impl Watch {
        fn new() -> Self {
            let thresholds = Thresholds::default();
            Self {
                state: DatasetState::default(),
                thresholds,
                told: vec![],
                last: None,
            }
        }

        fn look(&mut self, at: u64, minutes: &[Minute]) {
            let now = (START + at) * MINUTE_MILLIS;
            let from = self.state.read_from(now, &self.thresholds);
            let minutes: Vec<Minute> = minutes
                .iter()
                .map(|minute| Minute {
                    minute: START + minute.minute,
                    ..*minute
                })
                .filter(|minute| minute.minute >= from)
                .collect();
            for occurrence in self.state.look(
                ("zones/z", "dns_logs"),
                from,
                &minutes,
                now,
                &self.thresholds,
            ) {
                self.told
                    .push((at, occurrence.alert_type, occurrence.event));
                self.last = Some(occurrence);
            }
        }

        /// Looks every five minutes until `until`, at a dataset whose batches come in these minutes.
        fn run(&mut self, until: u64, comes: impl Fn(u64) -> bool) {
            let all: Vec<Minute> = (0..until).filter(|at| comes(*at)).map(good).collect();
            for at in (0..until).step_by(5) {
                let seen: Vec<Minute> = all
                    .iter()
                    .copied()
                    .filter(|minute| minute.minute < at)
                    .collect();
                self.look(at, &seen);
            }
        }
    }

    fn good(minute: u64) -> Minute {
        Minute {
            minute,
            records: 100,
            invalid_lines: 0,
        }
    }

    use AlertEvent::{End, Start};
    use AlertType::{DatasetSilent as Silent, InvalidLines};

    #[test]
    fn a_dataset_that_stops_is_told_once_and_its_end_when_batches_come_again() {
        let mut watch = Watch::new();
        watch.run(3 * DAY, |at| !(2 * DAY..2 * DAY + 90).contains(&at));
        let told: Vec<_> = watch
            .told
            .iter()
            .map(|(at, kind, event)| (at - 2 * DAY, *kind, *event))
            .collect();
        assert_eq!(told, [(20, Silent, Start), (95, Silent, End)]);
    }

    #[test]
    fn beginning_and_end_have_one_correlation_and_the_interval_that_was_usual() {
        let mut watch = Watch::new();
        watch.run(2 * DAY, |at| at < DAY + 60 && at % 4 == 0);
        let start = watch.last.clone().unwrap();
        let Subject::Dataset(facts) = &start.subject else {
            panic!("a dataset")
        };
        assert_eq!(facts.usual_interval_millis, Some(4 * MINUTE_MILLIS));
        assert_eq!(
            facts.last_batch_millis,
            Some((START + DAY + 56) * MINUTE_MILLIS)
        );
        watch.look(2 * DAY, &[good(2 * DAY - 1)]);
        let end = watch.last.unwrap();
        assert_eq!((start.event, end.event), (Start, End));
        assert_eq!(start.correlation_id, end.correlation_id);
        assert_ne!(start.id, end.id);
    }

    #[test]
    fn a_dataset_that_sleeps_every_night_wakes_nobody_and_one_that_stops_by_day_does_in_time() {
        let mut watch = Watch::new();
        let by_day = |at: u64| at % DAY < 16 * 60;
        watch.run(10 * DAY, by_day);
        assert_eq!(watch.told, []);
        let mut watch = Watch::new();
        watch.run(11 * DAY, |at| by_day(at) && at < 10 * DAY + 60);
        assert_eq!(watch.told.len(), 1, "{:?}", watch.told);
    }

    #[test]
    fn a_dataset_that_is_new_seldom_or_never_seen_is_not_judged() {
        let mut never = Watch::new();
        never.run(5 * DAY, |_| false);
        let mut new = Watch::new();
        new.run(DAY - 10, |at| at < 60);
        let mut twice = Watch::new();
        twice.run(20 * DAY, |at| at == 10 || at == 20);
        for watch in [never, new, twice] {
            assert_eq!(watch.told, []);
        }
    }

    #[test]
    fn after_a_time_without_looks_the_distance_is_not_taken_for_a_habit() {
        let mut watch = Watch::new();
        watch.run(2 * DAY, |_| true);
        let minutes: Vec<Minute> = (0..9 * DAY).map(good).collect();
        watch.look(9 * DAY, &minutes);
        assert_eq!((watch.state.longest_gap, watch.told.len()), (1.0, 0));
    }

    #[test]
    fn a_dataset_that_stays_away_is_forgotten_and_its_alert_ends() {
        let mut watch = Watch::new();
        watch.run(33 * DAY, |at| at < 2 * DAY);
        assert_eq!(watch.told.len(), 2, "{:?}", watch.told);
        let end = watch.last.unwrap();
        assert_eq!(end.event, End);
        assert!(end.text().contains("no longer watched"), "{}", end.text());
        assert!(watch.state.is_forgotten((START + 33 * DAY) * MINUTE_MILLIS));
    }

    #[test]
    fn switched_off_it_tells_nothing_and_ends_what_it_told() {
        let mut watch = Watch::new();
        watch.run(2 * DAY, |at| at < DAY + 60);
        watch.thresholds.silence_times = None;
        watch.look(2 * DAY, &[]);
        watch.look(3 * DAY, &[]);
        let events: Vec<_> = watch.told.iter().map(|(_, _, event)| *event).collect();
        assert_eq!(events, [Start, End]);
    }

    #[test]
    fn bad_lines_are_told_when_they_are_many_and_a_large_part() {
        let line = |minute, records, invalid_lines| Minute {
            minute,
            records,
            invalid_lines,
        };
        let table = [
            ("few", vec![line(100, 0, 9)], false),
            ("many, a small part", vec![line(100, 10_000, 100)], false),
            ("many, a large part", vec![line(100, 9_000, 100)], true),
            ("none but bad ones", vec![line(100, 0, 10)], true),
            (
                "bad ones before the window",
                vec![line(80, 0, 1_000), line(100, 10, 0)],
                false,
            ),
            (
                "together over the window",
                vec![line(95, 50, 5), line(100, 50, 5)],
                true,
            ),
        ];
        for (what, minutes, is_told) in table {
            let mut watch = Watch::new();
            watch.look(100, &minutes);
            let expected = if is_told {
                vec![(100, InvalidLines, Start)]
            } else {
                vec![]
            };
            assert_eq!(watch.told, expected, "{what}");
        }
    }

    #[test]
    fn bad_lines_end_when_a_window_has_lines_and_few_bad_ones() {
        let mut watch = Watch::new();
        let bad = Minute {
            minute: 100,
            records: 0,
            invalid_lines: 50,
        };
        watch.look(101, &[bad]);
        watch.look(106, &[bad]);
        watch.look(130, &[]);
        assert_eq!(watch.told, [(101, InvalidLines, Start)]);
        let start = watch.last.clone().unwrap();
        watch.look(135, &[good(134)]);
        watch.look(140, &[good(134)]);
        assert_eq!(watch.told.last(), Some(&(135, InvalidLines, End)));
        assert_eq!(watch.told.len(), 2);
        assert_eq!(watch.last.unwrap().correlation_id, start.correlation_id);
    }

    #[test]
    fn the_stored_form_has_not_changed() {
        let text = r#"{"first_minute":1,"last_minute":9,"gaps":[1,2],"longest_gap":2.0,"silent_since_millis":3,"invalid_since_millis":null}"#;
        let state: DatasetState = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&state).unwrap(), text);
        assert_eq!(
            serde_json::from_str::<DatasetState>("{}").unwrap(),
            DatasetState::default()
        );
    }
}
