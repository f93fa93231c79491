//! The scheduler and the naive second one, driven alike: the difference, if there is one, is printed with all that
//! was said before it. `core/tests/reference` has the second scheduler and the reader of the bytes.
#![no_main]

#[path = "../../core/tests/reference/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the test also counts what was compared")]
mod reference;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Err(difference) = reference::compare(data) {
        panic!("{difference}");
    }
});
