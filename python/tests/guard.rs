//! A panic behind the lock becomes an error, and closes the lock.

#[path = "../src/guard.rs"]
mod guard;

use guard::{Guarded, Panicked};

#[test]
fn a_panic_becomes_an_error_and_the_value_is_never_used_again() {
    let guarded = Guarded::new(1);
    assert_eq!(guarded.run(|value| *value + 1), Ok(2));
    assert_eq!(
        guarded.run(|_| panic!("books do not balance")),
        Err::<(), _>(Panicked("books do not balance".into()))
    );
    let mut ran = false;
    assert_eq!(guarded.run(|_| ran = true), Err(Panicked("an earlier call failed inside".into())));
    assert!(!ran);
}

#[test]
fn a_formatted_panic_keeps_its_message() {
    let guarded = Guarded::new(());
    assert_eq!(guarded.run(|()| panic!("unit {}", 7)), Err::<(), _>(Panicked("unit 7".into())));
}
