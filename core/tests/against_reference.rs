//! The scheduler decides exactly as `docs/SEMANTICS.md` says: random hosts say the same to it and to a naive
//! second one, and every answer is compared.

mod reference;

use std::sync::{LazyLock, Mutex};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use reference::{Compared, compare};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..4_000)
}

proptest! {
    #![proptest_config(Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        max_shrink_iters: 20_000,
        ..Config::default()
    })]

    /// One failing host is reproduced by the line that proptest prints, and by running this test again.
    #[test]
    fn decides_as_the_page_says(bytes in bytes()) {
        static SO_FAR: LazyLock<Mutex<Compared>> = LazyLock::new(Mutex::default);
        match compare(&bytes) {
            Ok(compared) => {
                let mut so_far = SO_FAR.lock().expect("nobody panics here");
                *so_far = so_far.and(compared);
                println!("compared so far: {so_far:?}");
            }
            Err(difference) => prop_assert!(false, "{difference}"),
        }
    }
}

/// What is rare among random hosts is not so rare that it goes uncompared.
#[test]
fn random_hosts_meet_every_rule() {
    let mut runner = TestRunner::deterministic();
    let mut met = Compared::default();
    for _ in 0..200 {
        let bytes = bytes().new_tree(&mut runner).expect("bytes are always found").current();
        met = met.and(compare(&bytes).unwrap_or_else(|difference| panic!("{difference}")));
    }
    let counters = met.counters;
    let rules = [
        ("restored", met.restored),
        ("further_sets", counters.further_sets),
        ("takeovers", counters.takeovers),
        ("waived_finish_test", counters.waived_finish_test),
        ("waived_min_run", counters.waived_min_run),
        ("waived_max_preemptions", counters.waived_max_preemptions),
        ("straddles", counters.straddles),
        ("clock_regressions", counters.clock_regressions),
        ("dropped", counters.dropped),
        ("failed", counters.failed),
        ("roamed", met.roamed),
    ];
    let warmth = [
        "warm_starts",
        "waited_for_warmth",
        "picked_by_prefix",
        "kept_off",
        "imbalanced",
        "forgotten_blocks",
    ];
    // None of these hosts keeps a worker from somebody; `decides_as_the_page_says` and `affinity` have such.
    let warmth = warmth.into_iter().zip(met.warmth).filter(|(rule, _)| *rule != "kept_off");
    let rules = rules.into_iter().chain(warmth);
    let fleet = ["lost_with_another", "kept_out", "spare_served", "moved"];
    let rules = rules.chain(fleet.into_iter().zip(met.fleet));
    for (rule, times) in rules.chain(met.quota.all()) {
        assert!(times > 0, "never met: {rule}");
    }
}
