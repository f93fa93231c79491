//! A panic behind the lock becomes an error, and closes the lock; so does a fork that finds it taken.

#[path = "../src/guard.rs"]
#[allow(dead_code)] // the extension uses more of it than these tests
mod guard;

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use guard::{Closed, Guarded};

/// Much longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_panic_becomes_an_error_and_the_value_is_never_used_again() {
    let guarded = Guarded::new(1);
    assert_eq!(guarded.run(|value| *value + 1), Ok(2));
    assert_eq!(
        guarded.run(|_| panic!("books do not balance")),
        Err::<(), _>(Closed::Panicked("books do not balance".into()))
    );
    let mut ran = false;
    assert_eq!(guarded.run(|_| ran = true), Err(Closed::Panicked("an earlier call failed inside".into())));
    assert!(!ran);
}

#[test]
fn a_formatted_panic_keeps_its_message() {
    let guarded = Guarded::new(());
    assert_eq!(guarded.run(|()| panic!("unit {}", 7)), Err::<(), _>(Closed::Panicked("unit 7".into())));
}

#[test]
fn a_fork_closes_what_another_thread_is_inside_of_and_nothing_else() {
    let (taken, free) = (Arc::new(Guarded::new(1)), Guarded::new(2));
    let (inside, is_inside) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    let stays = move |value: &mut i32| {
        inside.send(()).expect("the test waits for it");
        let _ = may_leave.recv();
        *value
    };
    let within = Arc::clone(&taken);
    let who_stays = thread::spawn(move || within.run(stays));
    is_inside.recv_timeout(PATIENCE).expect("the thread gets inside");
    guard::forked();
    for _ in 0..2 {
        // In a thread of its own, for that one would wait for ever were it let in.
        let (answer, is_answered) = mpsc::channel();
        let outside = Arc::clone(&taken);
        thread::spawn(move || answer.send(outside.run(|value| *value)));
        assert_eq!(is_answered.recv_timeout(PATIENCE), Ok(Err(Closed::Forked)));
        assert_eq!(free.run(|value| *value), Ok(2));
    }
    drop(leave);
    assert_eq!(who_stays.join().expect("it does not panic"), Ok(1));
    guard::forked();
    assert_eq!(free.run(|value| *value), Ok(2));
    assert_eq!(taken.run(|value| *value), Ok(1), "nobody was inside at the second fork");
}
