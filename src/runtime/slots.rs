//! How much goes on at once in this isolate: places that are taken and given back, and the bytes that they stand for.

use super::objects::now_millis;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::thread::LocalKey;

/// A place that has not moved for this long no longer counts. Should the runtime end an attempt without running what is
/// left of it, a plain counter would never come down again.
const STALLED_MILLIS: u64 = 60_000;

/// What a place stands for.
struct Place {
    moved_at: u64,
    bytes: u64,
}

/// A pool of places.
pub struct Slots {
    places: RefCell<BTreeMap<u64, Place>>,
    next: Cell<u64>,
}

/// What a pool has at most.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Places.
    pub places: usize,
    /// Bytes of all places together. One place alone may have more: what no pool could take would come again for ever.
    pub bytes: u64,
}

impl Slots {
    /// An empty pool.
    pub const fn new() -> Self {
        Self {
            places: RefCell::new(BTreeMap::new()),
            next: Cell::new(0),
        }
    }

    /// Places that are taken.
    pub fn taken(&self) -> usize {
        self.sum().0
    }

    /// Bytes that they stand for.
    pub fn bytes(&self) -> u64 {
        self.sum().1
    }

    fn sum(&self) -> (usize, u64) {
        let now = now_millis();
        let mut places = self.places.borrow_mut();
        places.retain(|_, place| now < place.moved_at + STALLED_MILLIS);
        (places.len(), places.values().map(|place| place.bytes).sum())
    }
}

/// A place that is taken until this is dropped.
pub struct Slot {
    pool: &'static LocalKey<Slots>,
    number: u64,
}

impl Slot {
    /// Takes a place for `bytes`, unless that would be more than `most`.
    pub fn take(pool: &'static LocalKey<Slots>, bytes: u64, most: Most) -> Option<Self> {
        pool.with(|slots| {
            let (places, taken) = slots.sum();
            if places >= most.places || (places > 0 && taken.saturating_add(bytes) > most.bytes) {
                return None;
            }
            let number = slots.next.replace(slots.next.get() + 1);
            let moved_at = now_millis();
            slots
                .places
                .borrow_mut()
                .insert(number, Place { moved_at, bytes });
            Some(Self { pool, number })
        })
    }

    /// Says that the work goes on, and that `bytes` have come: more than were announced count as they are.
    pub fn touch(&self, bytes: u64) {
        self.pool.with(|slots| {
            let mut places = slots.places.borrow_mut();
            let place = places.entry(self.number).or_insert(Place {
                moved_at: 0,
                bytes: 0,
            });
            place.moved_at = now_millis();
            place.bytes = place.bytes.max(bytes);
        });
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool
            .with(|slots| slots.places.borrow_mut().remove(&self.number));
    }
}
