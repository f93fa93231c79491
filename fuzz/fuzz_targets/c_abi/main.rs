//! Any sequence of calls of the C ABI that keeps the header's promises about memory, and few of its others: no panic, no
//! access beyond what the caller has, a status that the header knows, outputs written with success alone, and every
//! invariant at the end.
#![no_main]

mod block;
mod caller;
mod configs;
mod shared;
mod snapshot;
mod verbs;

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::Bytes;

use caller::Caller;

fuzz_target!(|data: &[u8]| {
    let mut caller = Caller::new(Bytes::new(data));
    while !caller.bytes.is_empty() {
        match caller.bytes.below(64) {
            63 => snapshot::call(&mut caller),
            choice => match choice % 8 {
                0 => configs::call(&mut caller),
                1 | 2 => shared::call(&mut caller),
                3 => verbs::question(&mut caller),
                _ => verbs::verb(&mut caller),
            },
        }
    }
    caller.settle();
});
