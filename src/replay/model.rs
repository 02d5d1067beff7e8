//! Random histories: a replay whose process dies before an effect, after it, and after it was written down; whose outbox
//! fills and empties; whose objects go; while batches come. Whatever happens, each batch is in the outbox once, and the
//! counters say so.

use super::*;
use crate::logpush::scope::{Scope, ScopeKind};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

struct World {
    /// What each ledger has, in order.
    ledgers: BTreeMap<String, BTreeMap<(i64, String), BatchRow>>,
    missing: BTreeSet<String>,
    /// Records by batch, as the outbox knows them; once known, an append changes nothing.
    known: BTreeMap<String, u64>,
    /// How often rows of a batch were stored.
    stored: BTreeMap<String, u32>,
    waiting: Load,
    /// What survives a death.
    durable: Progress,
    session: Session,
    now: u64,
    made: u64,
}

impl World {
    fn new() -> Self {
        Self {
            ledgers: BTreeMap::new(),
            missing: BTreeSet::new(),
            known: BTreeMap::new(),
            stored: BTreeMap::new(),
            waiting: Load::default(),
            durable: Progress::default(),
            session: Session::default(),
            now: 1_000_000,
            made: 0,
        }
    }

    fn batch(&mut self, rng: &mut StdRng) {
        self.made += 1;
        let day = rng.random_range(1..=4);
        let first = rng.random_range(0..50);
        let row = BatchRow {
            batch_id: format!("{:02x}{}", rng.random_range(0..256), self.made),
            object: format!("object-{}", self.made),
            object_bytes: 10,
            received_at_millis: self.now,
            event_millis: Some((first, first + 10)),
            records: rng.random_range(1..100),
            bytes_raw: 1_000,
            invalid_lines: rng.random_range(0..3),
            expired: false,
        };
        if rng.random_bool(0.1) {
            self.missing.insert(row.object.clone());
        }
        let ledger = format!("zones/z/dns_logs/2026070{day}");
        let key = (first, row.batch_id.clone());
        self.ledgers.entry(ledger).or_default().insert(key, row);
    }

    /// As the runtime does it.
    fn find(&self, place: &Place, limit: usize) -> Vec<Next> {
        for (ledger, rows) in &self.ledgers {
            if place.ledger.as_ref().is_some_and(|at| at > ledger) {
                continue;
            }
            let found: Vec<Next> = rows
                .values()
                .map(|row| Next {
                    ledger: ledger.clone(),
                    row: row.clone(),
                })
                .filter(|next| place.is_before(next))
                .take(limit)
                .collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    fn perform(&mut self, effect: Effect, rng: &mut StdRng) -> Event {
        if rng.random_bool(0.05) {
            return Event::Failed("the network".into());
        }
        match effect {
            Effect::Count => {
                let mut sum = Sum::default();
                self.ledgers
                    .values()
                    .flat_map(BTreeMap::values)
                    .for_each(|row| sum.take(row));
                Event::Counted(sum)
            }
            Effect::Look => Event::Loaded(self.waiting),
            Effect::Find(place) => Event::Found(self.find(&place, rng.random_range(1..6))),
            Effect::Route(next) => {
                let records = next.row.records / 2;
                if let Some(records) = self.known.get(&next.row.batch_id) {
                    return routed(next, *records);
                }
                if self.missing.contains(&next.row.object) {
                    return Event::Missing(next);
                }
                if self.waiting.bytes > 5_000 {
                    return Event::Full;
                }
                self.known.insert(next.row.batch_id.clone(), records);
                *self.stored.entry(next.row.batch_id.clone()).or_default() += 1;
                self.waiting.entries += 1;
                self.waiting.records += records;
                self.waiting.bytes += records * 10;
                routed(next, records)
            }
            Effect::Sleep | Effect::SleepUntil(_) => unreachable!("nothing to perform"),
        }
    }

    fn happened(&mut self, spec: &Spec, event: Event) {
        let durable = std::mem::take(&mut self.durable);
        self.durable = durable.after(spec, &mut self.session, event, self.now);
    }
}

fn routed(next: Next, records: u64) -> Event {
    let invalid_lines = next.row.invalid_lines;
    let routed = Routed {
        records,
        bytes: records * 10,
        invalid_lines,
        ..Routed::default()
    };
    Event::Routed(next, routed)
}

fn history(mut rng: StdRng) {
    let spec = Spec {
        id: "r".into(),
        scope: Scope::new(ScopeKind::Zone, "z").unwrap(),
        dataset: "dns_logs".into(),
        start: "2026-07-01T00:00:00Z".into(),
        end: Some("2026-07-05T00:00:00Z".into()),
        job: 1,
        backfill: None,
        created_at_millis: 0,
    };
    let mut world = World::new();
    for _ in 0..rng.random_range(0..40) {
        world.batch(&mut rng);
    }
    let there: BTreeSet<String> = ids(&world);
    let is_cancelled = rng.random_bool(0.1);
    let mut steps = 0;
    while world.durable.ended.is_none() {
        steps += 1;
        assert!(steps < 20_000, "it does not end: {:?}", world.durable);
        world.now += rng.random_range(0..500);
        match rng.random_range(0..100) {
            0 => world.happened(&spec, Event::Pause),
            1..10 => world.happened(&spec, Event::Resume),
            10 if is_cancelled && steps > 20 => world.happened(&spec, Event::Cancel),
            // The destination takes everything.
            11..20 => world.waiting = Load::default(),
            20..23 => world.batch(&mut rng),
            // Evicted between two steps.
            23..26 => world.session = Session::default(),
            _ => {}
        }
        match step(&world.durable, &world.session, world.now) {
            Effect::Sleep => {}
            Effect::SleepUntil(at) => {
                assert!(at > world.now);
                if rng.random_bool(0.5) {
                    world.now = at;
                }
            }
            effect => {
                let was_paused = world.durable.is_paused;
                assert!(!was_paused, "a paused replay does nothing");
                // Dies before the effect, and after it, before anything of it is written down.
                if rng.random_bool(0.05) {
                    world.session = Session::default();
                    continue;
                }
                let event = world.perform(effect, &mut rng);
                if rng.random_bool(0.05) {
                    world.session = Session::default();
                    continue;
                }
                // Somebody pauses or gives up while it is performed.
                if rng.random_bool(0.02) {
                    world.happened(&spec, Event::Pause);
                }
                world.happened(&spec, event);
            }
        }
        let Progress {
            read,
            selected_records,
            ..
        } = &world.durable;
        let known: u64 = world.known.values().sum();
        assert!(*selected_records <= known && read.batches <= world.known.len() as u64);
        assert!(world.stored.values().all(|times| *times == 1));
    }
    if world
        .durable
        .ended
        .is_some_and(|(end, _)| end == End::Completed)
    {
        let Progress {
            read,
            selected_records,
            invalid_lines,
            missing_batches,
            ..
        } = &world.durable;
        // All that was there at the beginning is read or missing; of what came meanwhile, what lay ahead.
        let known: BTreeSet<String> = world.known.keys().cloned().collect();
        let gone: BTreeSet<String> = rows(&world)
            .filter(|row| world.missing.contains(&row.object))
            .map(|row| row.batch_id.clone())
            .collect();
        assert!(
            there
                .iter()
                .all(|id| known.contains(id) || gone.contains(id))
        );
        assert_eq!(read.batches, known.len() as u64);
        assert_eq!(*selected_records, world.known.values().sum::<u64>());
        let of_known = rows(&world).filter(|row| known.contains(&row.batch_id));
        assert_eq!(
            *invalid_lines,
            of_known.map(|row| row.invalid_lines).sum::<u64>()
        );
        let missing_there = gone.intersection(&there).count() as u64;
        assert!(*missing_batches >= missing_there && *missing_batches <= gone.len() as u64);
    }
}

fn rows(world: &World) -> impl Iterator<Item = &BatchRow> {
    world.ledgers.values().flat_map(BTreeMap::values)
}

fn ids(world: &World) -> BTreeSet<String> {
    rows(world).map(|row| row.batch_id.clone()).collect()
}

#[test]
fn a_replay_that_dies_anywhere_puts_each_batch_into_the_outbox_once_and_counts_it_once() {
    for seed in 0..400 {
        history(StdRng::seed_from_u64(seed));
    }
}
