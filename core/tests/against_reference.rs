//! The scheduler decides exactly as `docs/SEMANTICS.md` says: random hosts say the same to it and to a naive
//! second one, and every answer is compared.

mod reference;

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};

static INPUTS: AtomicU64 = AtomicU64::new(0);
static ACTIONS: AtomicU64 = AtomicU64::new(0);

proptest! {
    #![proptest_config(Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        max_shrink_iters: 20_000,
        ..Config::default()
    })]

    /// One failing host is reproduced by the line that proptest prints, and by running this test again.
    #[test]
    fn decides_as_the_page_says(bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
        match reference::compare(&bytes) {
            Ok(compared) => {
                let inputs = INPUTS.fetch_add(compared.inputs, Ordering::Relaxed) + compared.inputs;
                let actions = ACTIONS.fetch_add(compared.actions, Ordering::Relaxed) + compared.actions;
                println!("compared so far: {inputs} inputs, {actions} actions");
            }
            Err(difference) => prop_assert!(false, "{difference}"),
        }
    }
}
