//! T6 (mClock, OSDI'10): reservation, weight and limit, through the loss of half of the capacity.

use tidegate_sim::paper::draws::Figures;
use tidegate_sim::paper::t6::table::{Table, table};

/// What a phase's rates may be off by, as a share: a phase has about 1,000 requests at full capacity.
const WITHIN: f64 = 0.05;

fn assert_shares(table: &Table) {
    for row in &table.rows {
        for (client, &share) in &row.published {
            let ours = row.tidegate[client];
            let off = if share > 0.0 { (ours - share).abs() / share } else { ours };
            assert!(off <= WITHIN, "{}: {client} got {ours} of {share}", row.run);
        }
    }
}

/// The reserve is held but for what goes with the worker: of each of the reserve's six slots what a request had done, and
/// the time until one of those that are left ends; neither is more than a request.
fn assert_kept(kept: &Figures) {
    let one = kept["one_request_tokens"];
    let lost = 6.0 * 2.0 * one / 5.0;
    let least = kept["reserve_least_tok_s"];
    assert!(least >= 300.0 - lost, "{least}, and {lost} may be missing over 5 s");
    assert!(kept["limit_excess_tokens"] <= one + 1e-6, "{kept:?}");
}

#[test]
fn promises_hold_through_a_loss_of_capacity() {
    for seed in 1..=5 {
        let table = table(seed);
        println!("seed {seed}: tidegate {:?}, mclock {:?}", table.tidegate, table.mclock);
        assert_eq!(table.rows.len(), 4);
        assert_shares(&table);
        assert_kept(&table.tidegate);
        assert!(table.mclock["limit_excess_tokens"] <= table.mclock["one_request_tokens"] + 1e-6);
    }
}
