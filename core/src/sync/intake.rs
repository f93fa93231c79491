//! Where threads leave what they have to say, and where the engine's thread sleeps while there is nothing.
//!
//! A monitor: one lock, never held for longer than it takes to put one item in or to take all of them out at once.
//! Whoever brings work sees under it whether somebody sleeps, and whoever goes to sleep sees under it whether there is
//! work, so that no wake-up is lost; `core/tests/sync_model.rs` shows it over all interleavings of a few threads. Knows
//! neither what the items are nor what is done with them.
//!
//! A lock-free queue in its place costs twice as much and more, with items of this size: `docs/PERFORMANCE.md`.

use alloc::vec::Vec;
use core::time::Duration;

use super::SharedError;
use super::primitives::{Condvar, Mutex};

#[derive(Debug)]
pub(super) struct Intake<T> {
    capacity: usize,
    state: Mutex<State<T>>,
    bell: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: Vec<T>,
    /// Counts the items that were ever left.
    count: u64,
    /// Whether there is work that the items do not show.
    stirred: bool,
    /// Whether there is nothing to be done any more, for ever.
    closed: bool,
    /// Whether somebody may sleep and was not rung for.
    asleep: bool,
}

impl<T> State<T> {
    fn has_work(&self) -> bool {
        !self.items.is_empty() || self.stirred
    }
}

impl<T> Intake<T> {
    /// With room for so many items.
    pub(super) fn new(capacity: usize) -> Self {
        let items = Vec::with_capacity(capacity);
        let state = State { items, count: 0, stirred: false, closed: false, asleep: false };
        Self { capacity, state: Mutex::new(state), bell: Condvar::new() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Leaves an item behind all others, made of its number: 1 for the first one ever left.
    pub(super) fn push(&self, item: impl FnOnce(u64) -> T) -> Result<u64, SharedError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(SharedError::Poisoned);
        }
        if state.items.len() == self.capacity {
            return Err(SharedError::Busy);
        }
        state.count += 1;
        let number = state.count;
        state.items.push(item(number));
        let asleep = core::mem::take(&mut state.asleep);
        drop(state);
        self.ring(asleep);
        Ok(number)
    }

    /// Takes all items there are into `items`, which is empty. All work that was there before is this thread's now.
    pub(super) fn take(&self, items: &mut Vec<T>) {
        let mut state = self.state.lock();
        core::mem::swap(&mut state.items, items);
        state.stirred = false;
    }

    /// There is work that the items do not show, until the next [`take`](Self::take).
    pub(super) fn stir(&self) {
        let mut state = self.state.lock();
        state.stirred = true;
        let asleep = core::mem::take(&mut state.asleep);
        drop(state);
        self.ring(asleep);
    }

    /// Nothing is to be left any more, nor waited for.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.ring(true);
    }

    /// Sleeps until there is work, but no longer than `at_most`, and sometimes less. Whether there is work.
    pub(super) fn wait(&self, at_most: Option<Duration>) -> Result<bool, SharedError> {
        let mut state = self.state.lock();
        if !state.has_work() && !state.closed {
            state.asleep = true;
            match at_most {
                Some(span) => _ = self.bell.wait_for(&mut state, span),
                None => self.bell.wait(&mut state),
            }
        }
        if state.closed { Err(SharedError::Poisoned) } else { Ok(state.has_work()) }
    }

    /// Wakes all who sleep; without a system call where nobody does.
    fn ring(&self, asleep: bool) {
        if asleep {
            self.bell.notify_all();
        }
    }
}
