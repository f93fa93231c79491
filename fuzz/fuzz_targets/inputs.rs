//! Any sequence of inputs and polls: no panic, every invariant after each, no livelock, nothing that fits left
//! waiting for ever, and a replay that decides the same. What fails is printed as a journal, to be kept as a test.
#![no_main]

use std::panic::{AssertUnwindSafe, catch_unwind};

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::{Bytes, Host, World};

/// The fuzzer's own hook ends the process before the journal could be printed; without it the panic unwinds.
fn let_panics_unwind() {
    drop(std::panic::take_hook());
}

fuzz_target!(init: let_panics_unwind(), |data: &[u8]| {
    let mut bytes = Bytes::new(data);
    let mut host = Host::new(World::new(&mut bytes));
    let checked = catch_unwind(AssertUnwindSafe(|| {
        while !bytes.is_empty() {
            host.step(&mut bytes);
        }
        host.settle();
    }));
    if checked.is_err() {
        let mut text = String::new();
        host.journal().write(&mut text).expect("a String takes everything");
        eprintln!("{text}");
        std::process::abort();
    }
});
