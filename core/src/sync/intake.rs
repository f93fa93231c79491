//! Where threads leave what they have to say, and where the engine's thread sleeps while there is nothing.
//!
//! Knows neither what the items are nor what is done with them. Whenever [`Intake::has_work`], nobody sleeps in
//! [`Intake::wait`] for long: who brings work looks for sleepers after it is there, who goes to sleep looks for work
//! after it is said to be asleep, and the fences between let at least one of the two see the other.
//! `core/tests/sync_model.rs` shows it, over all interleavings of a few threads.

use core::time::Duration;

use super::primitives::{ArrayQueue, AtomicBool, Condvar, Mutex, Ordering, fence};

#[derive(Debug)]
pub(super) struct Intake<T> {
    queue: ArrayQueue<T>,
    /// Whether there is work that the queue does not show.
    stirred: AtomicBool,
    /// Whether nothing is taken any more, for ever.
    closed: AtomicBool,
    /// Whether anybody may sleep: all that those who bring work look at.
    asleep: AtomicBool,
    /// How many sleep.
    sleepers: Mutex<usize>,
    bell: Condvar,
}

impl<T> Intake<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            queue: ArrayQueue::new(capacity),
            stirred: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            sleepers: Mutex::new(0),
            bell: Condvar::new(),
        }
    }

    /// How many items may wait.
    pub(super) fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Leaves an item behind all that this thread left before; `false`, and nothing happened, if there is no place.
    pub(super) fn push(&self, item: T) -> bool {
        let taken = self.queue.push(item).is_ok();
        if taken {
            self.ring();
        }
        taken
    }

    /// The next item.
    pub(super) fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    /// There is work that the queue does not show, until [`settle`](Self::settle).
    pub(super) fn stir(&self) {
        self.stirred.store(true, Ordering::Release);
        self.ring();
    }

    /// There is no work but what the queue shows.
    pub(super) fn settle(&self) {
        self.stirred.store(false, Ordering::Release);
    }

    /// Nothing is to be brought any more, nor waited for.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.ring();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn has_work(&self) -> bool {
        !self.queue.is_empty() || self.stirred.load(Ordering::Acquire) || self.is_closed()
    }

    /// Sleeps until there is work, but no longer than `at_most`, and sometimes less. Whether there is work.
    pub(super) fn wait(&self, at_most: Option<Duration>) -> bool {
        if self.has_work() {
            return true;
        }
        let mut sleepers = self.sleepers.lock();
        *sleepers += 1;
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !self.has_work() {
            match at_most {
                Some(span) => _ = self.bell.wait_for(&mut sleepers, span),
                None => self.bell.wait(&mut sleepers),
            }
        }
        *sleepers -= 1;
        self.asleep.store(*sleepers > 0, Ordering::Relaxed);
        drop(sleepers);
        self.has_work()
    }

    /// Work is there: wakes those who sleep. Without a system call, a lock or a write if nobody does.
    fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // Whoever said it was asleep before this lock is in the condition variable by now, or gone.
        let sleepers = self.sleepers.lock();
        self.asleep.store(false, Ordering::Relaxed);
        if *sleepers > 0 {
            self.bell.notify_all();
        }
    }
}
