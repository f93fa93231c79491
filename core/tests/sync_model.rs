//! The intake of `SharedScheduler` under a model checker: what `core/src/sync/intake.rs` says, word for word, over
//! every interleaving of a few threads and every stale value that the memory model allows.
//!
//! `crossbeam-queue` knows no loom, so its bounded queue is here again with the same accesses in the same order. A lost
//! wake-up shows as a deadlock, because nobody here wakes by the passing of time.

#[path = "../src/sync/intake.rs"]
#[allow(dead_code)] // what only the scheduler around it needs
mod intake;

/// What stands in the place of `core/src/sync/primitives.rs`.
mod primitives {
    use std::ops::{Deref, DerefMut};
    use std::time::Duration;

    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};

    pub(crate) use crate::queue::ArrayQueue;

    /// A mutex of loom that is locked as one of `parking_lot`.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    /// `None` while a condition variable has it.
    pub(crate) struct Guard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

    #[derive(Debug)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            Guard(Some(self.0.lock().expect("no thread panicked")))
        }
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().expect("it is locked")
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect("it is locked")
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(loom::sync::Condvar::new())
        }

        pub(crate) fn wait<T>(&self, guard: &mut Guard<'_, T>) {
            let held = guard.0.take().expect("it is locked");
            guard.0 = Some(self.0.wait(held).expect("no thread panicked"));
        }

        /// Its time is always up at once.
        pub(crate) fn wait_for<T>(&self, _: &mut Guard<'_, T>, _: Duration) {}

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

/// The bounded queue of `crossbeam-queue` 0.3.14, for capacities that are powers of two: Vyukov's.
mod queue {
    use std::sync::Mutex;

    use loom::sync::atomic::{AtomicUsize, Ordering, fence};
    use loom::thread::yield_now;

    /// A place, and whose turn it is there. The mutex is not loom's: it orders nothing, and the stamp lets in one at a time.
    #[derive(Debug)]
    struct Slot<T>(AtomicUsize, Mutex<Option<T>>);

    #[derive(Debug)]
    pub(crate) struct ArrayQueue<T> {
        head: AtomicUsize,
        tail: AtomicUsize,
        slots: Vec<Slot<T>>,
    }

    impl<T> ArrayQueue<T> {
        pub(crate) fn new(capacity: usize) -> Self {
            let slot = |number| Slot(AtomicUsize::new(number), Mutex::new(None));
            let (head, tail) = (AtomicUsize::new(0), AtomicUsize::new(0));
            Self { head, tail, slots: (0..capacity).map(slot).collect() }
        }

        pub(crate) fn capacity(&self) -> usize {
            self.slots.len()
        }

        /// Positions count on over the laps; a slot's stamp is the position that may be pushed there, or one more than
        /// the one that may be popped.
        fn slot(&self, position: usize) -> &Slot<T> {
            &self.slots[position % self.slots.len()]
        }

        pub(crate) fn push(&self, value: T) -> Result<(), T> {
            let mut tail = self.tail.load(Ordering::Relaxed);
            loop {
                let Slot(stamp, place) = self.slot(tail);
                let turn = stamp.load(Ordering::Acquire);
                if turn == tail {
                    let (seq, relaxed) = (Ordering::SeqCst, Ordering::Relaxed);
                    match self.tail.compare_exchange_weak(tail, tail + 1, seq, relaxed) {
                        Ok(_) => {
                            *place.lock().expect("one at a time") = Some(value);
                            stamp.store(tail + 1, Ordering::Release);
                            return Ok(());
                        }
                        Err(moved) => tail = moved,
                    }
                } else if turn + self.slots.len() == tail + 1 {
                    fence(Ordering::SeqCst);
                    if self.head.load(Ordering::Relaxed) + self.slots.len() == tail {
                        return Err(value);
                    }
                    yield_now();
                    tail = self.tail.load(Ordering::Relaxed);
                } else {
                    yield_now();
                    tail = self.tail.load(Ordering::Relaxed);
                }
            }
        }

        pub(crate) fn pop(&self) -> Option<T> {
            let mut head = self.head.load(Ordering::Relaxed);
            loop {
                let Slot(stamp, place) = self.slot(head);
                let turn = stamp.load(Ordering::Acquire);
                if turn == head + 1 {
                    let (seq, relaxed) = (Ordering::SeqCst, Ordering::Relaxed);
                    match self.head.compare_exchange_weak(head, head + 1, seq, relaxed) {
                        Ok(_) => {
                            let value = place.lock().expect("one at a time").take();
                            stamp.store(head + self.slots.len(), Ordering::Release);
                            return value;
                        }
                        Err(moved) => head = moved,
                    }
                } else {
                    if turn == head {
                        fence(Ordering::SeqCst);
                        if self.tail.load(Ordering::Relaxed) == head {
                            return None;
                        }
                    }
                    yield_now();
                    head = self.head.load(Ordering::Relaxed);
                }
            }
        }

        pub(crate) fn is_empty(&self) -> bool {
            let head = self.head.load(Ordering::SeqCst);
            self.tail.load(Ordering::SeqCst) == head
        }
    }
}

use std::time::Duration;

use intake::Intake;
use loom::sync::{Arc, Mutex};
use loom::thread;

/// Pops and sleeps in turn until so many items have come.
fn take(intake: &Intake<u32>, count: usize) -> Vec<u32> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.extend(intake.pop());
        if taken.len() < count {
            intake.wait(None);
        }
    }
    taken
}

#[test]
fn nothing_is_lost_and_nobody_sleeps_over_it() {
    loom::model(|| {
        let intake = Arc::new(Intake::new(2));
        let pushers = [1, 2].map(|item| {
            let intake = Arc::clone(&intake);
            thread::spawn(move || assert!(intake.push(item)))
        });
        let mut taken = take(&intake, 2);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        for pusher in pushers {
            pusher.join().expect("it ends");
        }
        assert!(!intake.has_work());
    });
}

#[test]
fn what_one_thread_says_stays_in_order() {
    loom::model(|| {
        let intake = Arc::new(Intake::new(4));
        let other = Arc::clone(&intake);
        let pusher = thread::spawn(move || assert!(other.push(1) && other.push(2)));
        assert!(intake.push(9));
        let taken = take(&intake, 3);
        let of_one: Vec<_> = taken.into_iter().filter(|&item| item < 9).collect();
        assert_eq!(of_one, [1, 2]);
        pusher.join().expect("it ends");
    });
}

#[test]
fn a_full_intake_takes_nothing_and_loses_nothing() {
    loom::model(|| {
        let intake = Arc::new(Intake::new(2));
        let other = Arc::clone(&intake);
        let pusher = thread::spawn(move || [1, 2, 3].map(|item| other.push(item)));
        let first = take(&intake, 1);
        let said = pusher.join().expect("it ends");
        assert_eq!(said[..2], [true, true]);
        let rest: Vec<_> = std::iter::from_fn(|| intake.pop()).collect();
        assert_eq!((first, rest), (vec![1], if said[2] { vec![2, 3] } else { vec![2] }));
    });
}

#[test]
fn a_sleep_that_ends_by_itself_leaves_the_next_one_to_be_woken() {
    loom::model(|| {
        let intake = Arc::new(Intake::new(2));
        let other = Arc::clone(&intake);
        let pusher = thread::spawn(move || assert!(other.push(1)));
        let _ = intake.wait(Some(Duration::ZERO));
        assert_eq!(take(&intake, 1), [1]);
        pusher.join().expect("it ends");
    });
}

#[test]
fn all_who_sleep_are_woken() {
    loom::model(|| {
        let intake = Arc::new(Intake::new(2));
        let sleepers = [(); 2].map(|()| {
            let intake = Arc::clone(&intake);
            thread::spawn(move || assert!(intake.wait(None)))
        });
        assert!(intake.push(1));
        for sleeper in sleepers {
            sleeper.join().expect("it is woken");
        }
    });
}

/// What `SharedScheduler::with` and `poll_into` do around the lock: one changes something and stirs, the other looks and
/// settles.
#[test]
fn what_is_done_past_the_queue_wakes_too() {
    loom::model(|| {
        let shared = Arc::new((Intake::<u32>::new(2), Mutex::new(0)));
        let changers = [(); 2].map(|()| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                *shared.1.lock().expect("no thread panicked") += 1;
                shared.0.stir();
            })
        });
        let mut seen = 0;
        while seen < 2 {
            shared.0.wait(None);
            let core = shared.1.lock().expect("no thread panicked");
            seen = *core;
            shared.0.settle();
        }
        for changer in changers {
            changer.join().expect("it ends");
        }
    });
}

#[test]
fn whoever_sleeps_hears_that_there_will_be_no_more() {
    loom::model(|| {
        let intake = Arc::new(Intake::<u32>::new(2));
        let other = Arc::clone(&intake);
        let closer = thread::spawn(move || other.close());
        assert!(intake.wait(None));
        assert!(intake.is_closed());
        closer.join().expect("it ends");
    });
}
