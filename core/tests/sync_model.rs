//! The intake of `SharedScheduler` under a model checker: what `core/src/sync/intake.rs` says, word for word, over every
//! interleaving of a few threads. A lost wake-up shows as a deadlock, because nobody here wakes by the passing of time.

extern crate alloc;

#[path = "../src/sync/intake.rs"]
mod intake;

/// What stands in the place of `core/src/sync/primitives.rs`.
mod primitives {
    use std::ops::{Deref, DerefMut};
    use std::time::Duration;

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
        pub(crate) fn wait_for<T>(&self, _: &mut Guard<'_, T>, _: Duration) -> bool {
            true
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

use std::time::Duration;

use intake::Intake;
use loom::sync::{Arc, Mutex};
use loom::thread;
use tidegate::SharedError;

fn push(intake: &Intake<u32>, item: u32) -> Result<(), SharedError> {
    intake.push(|_| item).map(|_| ())
}

/// Takes and sleeps in turn until so many items have come.
fn take(intake: &Intake<u32>, count: usize) -> Vec<u32> {
    let mut taken = Vec::new();
    while taken.len() < count {
        assert!(intake.wait(None).is_ok());
        let mut items = Vec::new();
        intake.take(&mut items);
        taken.extend(items);
    }
    taken
}

#[test]
fn nothing_is_lost_and_nobody_sleeps_over_it() {
    loom::model(|| {
        let intake = Arc::new(Intake::new(2));
        let pushers = [1, 2].map(|item| {
            let intake = Arc::clone(&intake);
            thread::spawn(move || assert_eq!(push(&intake, item), Ok(())))
        });
        let mut taken = take(&intake, 2);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        for pusher in pushers {
            pusher.join().expect("it ends");
        }
        assert_eq!(intake.wait(Some(Duration::ZERO)), Ok(false));
    });
}

#[test]
fn what_one_thread_says_stays_in_order_and_has_rising_numbers() {
    loom::model(|| {
        let intake = Arc::new(Intake::new(4));
        let other = Arc::clone(&intake);
        let pusher = thread::spawn(move || {
            let [first, second] = [1, 2].map(|item| other.push(|_| item).expect("there is room"));
            assert!(first < second);
        });
        assert_eq!(push(&intake, 9), Ok(()));
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
        let pusher = thread::spawn(move || [1, 2, 3].map(|item| push(&other, item)));
        let mut taken = take(&intake, 1);
        let said = pusher.join().expect("it ends");
        let mut rest = Vec::new();
        intake.take(&mut rest);
        taken.extend(rest);
        assert_eq!(said[..2], [Ok(()), Ok(())]);
        assert_eq!(intake.capacity(), 2);
        let all = if said[2] == Err(SharedError::Busy) { vec![1, 2] } else { vec![1, 2, 3] };
        assert_eq!(taken, all);
    });
}

#[test]
fn a_sleep_that_ends_by_itself_leaves_the_next_one_to_be_woken() {
    loom::model(|| {
        let intake = Arc::new(Intake::new(2));
        let other = Arc::clone(&intake);
        let pusher = thread::spawn(move || push(&other, 1));
        let early = intake.wait(Some(Duration::ZERO));
        assert!(early.is_ok());
        assert_eq!(take(&intake, 1), [1]);
        assert_eq!(pusher.join().expect("it ends"), Ok(()));
    });
}

#[test]
fn all_who_sleep_are_woken() {
    loom::model(|| {
        let intake = Arc::new(Intake::new(2));
        let sleepers = [(); 2].map(|()| {
            let intake = Arc::clone(&intake);
            thread::spawn(move || assert_eq!(intake.wait(None), Ok(true)))
        });
        assert_eq!(push(&intake, 1), Ok(()));
        for sleeper in sleepers {
            sleeper.join().expect("it is woken");
        }
    });
}

/// What `SharedScheduler::with` and `poll_into` do: one changes something under the lock and stirs, the other takes and
/// then looks.
#[test]
fn what_is_done_past_the_items_wakes_too() {
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
            assert!(shared.0.wait(None).is_ok());
            let core = shared.1.lock().expect("no thread panicked");
            shared.0.take(&mut Vec::new());
            seen = *core;
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
        let sleepers = [(); 2].map(|()| {
            let intake = Arc::clone(&intake);
            thread::spawn(move || assert_eq!(intake.wait(None), Err(SharedError::Poisoned)))
        });
        intake.close();
        assert_eq!(push(&intake, 1), Err(SharedError::Poisoned));
        for sleeper in sleepers {
            sleeper.join().expect("it is woken");
        }
    });
}
