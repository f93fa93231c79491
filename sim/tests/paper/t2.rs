//! T2 (Niyama, ASPLOS'26): who keeps what is promised to tiers, at the knee of Niyama and far beyond it.

use tidegate_sim::paper::row::Row;
use tidegate_sim::paper::t2::table::{Effort, Table, table};

use super::traces;

fn row<'a>(table: &'a Table, policy: &str, rate: &str) -> &'a Row {
    let is_it = |row: &&Row| row.policy == policy && row.run == format!("sharegpt {rate}/s");
    table.rows.iter().find(is_it).expect("the row is there")
}

/// A third of the published number of requests: what is saved up in queues is a third too.
#[test]
fn tidegate_keeps_more_than_niyama_and_lets_nobody_wait_for_a_token() {
    let Some(traces) = traces() else { return };
    let effort = Effort { requests: 6_000, draws: 1, rates: &[23, 33], capacities: false };
    let table = table(&traces, &[], effort).expect("the published files have no fault");
    assert_eq!((table.table, table.model, table.rows.len()), ("T2", "llama3-8b", 12));
    for row in &table.rows {
        println!("{} {}: {:?}", row.policy, row.run, row.reproduced);
        assert!(row.tidegate["gap_p99_ms"] <= 100.0, "{:?}", row.tidegate);
    }
    for rate in ["2.3", "3.3"] {
        let Row { reproduced: niyama, tidegate, .. } = row(&table, "niyama", rate);
        println!("tidegate {rate}: {tidegate:?}");
        assert!(tidegate["violations_percent"] < niyama["violations_percent"], "{rate}: {tidegate:?}");
        let fcfs = &row(&table, "fcfs", rate).reproduced;
        assert!(niyama["violations_percent"] < fcfs["violations_percent"], "{rate}: {niyama:?}");
        // Its steps grow with the slack that users have saved up.
        assert!(niyama["gap_p99_ms"] > fcfs["gap_p99_ms"], "{rate}: {niyama:?}");
    }
}

#[test]
fn capacities_are_in_the_published_order() {
    let Some(traces) = traces() else { return };
    let effort = Effort { requests: 1_500, draws: 1, rates: &[], capacities: true };
    let first = table(&traces, &[], effort).expect("the published files have no fault");
    let capacity = |policy: &str| {
        let rows = first.rows.iter();
        let row = rows.clone().find(|row| row.policy == policy && row.run == "sharegpt capacity");
        row.expect("the row is there").reproduced["capacity_per_s"]
    };
    let ordered = ["fcfs", "edf", "niyama"].map(capacity);
    println!("capacities: {ordered:?}, tidegate {}", first.tidegate["capacity_per_s"]);
    assert!(ordered.is_sorted_by(|less, more| less < more), "{ordered:?}");
    assert!(first.tidegate["capacity_per_s"] >= ordered[2], "{:?}", first.tidegate);
    // Whoever asks again, and for further lengths, gets the same.
    let further = traces.join("sharegpt-8k/sharegpt_8k_lengths.part1.csv.gz");
    let mut again = table(&traces, &[further], effort).expect("the published files have no fault");
    let added = again.rows.split_off(first.rows.len());
    assert_eq!(first, again);
    for row in &added {
        assert_eq!(row.reproduced["capacity_per_s"], capacity(&row.policy), "{}", row.policy);
    }
}
