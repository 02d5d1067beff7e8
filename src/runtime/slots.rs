//! How much goes on at once in this isolate: places that are taken and given back.

use super::objects::now_millis;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::thread::LocalKey;

/// A place that has not moved for this long no longer counts. Should the runtime end an attempt without running what is
/// left of it, a plain counter would never come down again.
const STALLED_MILLIS: u64 = 60_000;

/// A pool of places.
pub struct Slots {
    moved_at: RefCell<BTreeMap<u64, u64>>,
    next: Cell<u64>,
}

impl Slots {
    /// An empty pool.
    pub const fn new() -> Self {
        Self {
            moved_at: RefCell::new(BTreeMap::new()),
            next: Cell::new(0),
        }
    }

    /// Places that are taken.
    pub fn taken(&self) -> usize {
        let now = now_millis();
        let mut all = self.moved_at.borrow_mut();
        all.retain(|_, moved_at| now < *moved_at + STALLED_MILLIS);
        all.len()
    }
}

/// A place that is taken until this is dropped.
pub struct Slot {
    pool: &'static LocalKey<Slots>,
    number: u64,
}

impl Slot {
    /// Takes a place, unless `most` are taken already.
    pub fn take(pool: &'static LocalKey<Slots>, most: usize) -> Option<Self> {
        pool.with(|slots| {
            if slots.taken() >= most {
                return None;
            }
            let number = slots.next.replace(slots.next.get() + 1);
            let slot = Self { pool, number };
            slot.touch();
            Some(slot)
        })
    }

    /// Says that the work goes on.
    pub fn touch(&self) {
        self.pool.with(|slots| {
            slots
                .moved_at
                .borrow_mut()
                .insert(self.number, now_millis())
        });
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool
            .with(|slots| slots.moved_at.borrow_mut().remove(&self.number));
    }
}
