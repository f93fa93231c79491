//! T3 (ConServe, HyGen, Valve): batch work beside online requests.

use tidegate_sim::paper::row::Row;
use tidegate_sim::paper::t3::table::{Table, table};

use super::traces;

fn row<'a>(table: &'a Table, policy: &str, load: u32) -> &'a Row {
    let is_it = |row: &&Row| row.policy == policy && row.run == format!("azure-conv {load} %");
    table.rows.iter().find(is_it).expect("the row is there")
}

#[test]
fn batch_work_fills_the_engine_and_online_requests_hardly_notice() {
    let Some(traces) = traces() else { return };
    let table = table(&traces, &[], 300).expect("the published files have no fault");
    assert_eq!((table.table, table.model, table.rows.len()), ("T3", "llama3-8b", 18));
    for load in [30, 50, 70] {
        let ours = &row(&table, "tidegate", load).reproduced;
        println!("{load} %: {ours:?}");
        assert!(ours["most_victim_sets_per_start"] <= 1.0, "{load} %: {ours:?}");
        for policy in ["fcfs-mix", "priority", "preempt-recompute", "preempt-checkpoint"] {
            let theirs = &row(&table, policy, load).reproduced;
            for figure in ["ttft_p99_more", "tbt_p99_more", "tpot_p99_more", "tpot_mean_more"] {
                assert!(ours[figure] < theirs[figure], "{load} % {policy} {figure}: {theirs:?}");
            }
        }
    }
    let least = &table.tidegate;
    assert!(least["output_of_online"] >= 2.2, "{least:?}");
    assert!(least["ttft_p99_more"] <= 0.05, "{least:?}");
    assert!(least["tbt_p99_more"] <= 0.02 && least["tpot_p99_more"] <= 0.02, "{least:?}");
}

#[test]
fn a_further_run_gets_rows_and_changes_no_other() {
    let Some(traces) = traces() else { return };
    let alone = table(&traces, &[], 30).expect("the published files have no fault");
    let code = traces.join("azure2023/AzureLLMInferenceTrace_code.part1.csv.gz");
    let mut both = table(&traces, &[code], 30).expect("the published files have no fault");
    let added = both.rows.split_off(alone.rows.len());
    assert_eq!(alone, both);
    assert_eq!(added.len(), alone.rows.len());
}
