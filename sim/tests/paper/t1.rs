//! T1 (VTC, OSDI'24), on the GPU logs beside the checkout.

use std::fs;

use tidegate_sim::paper::row::Row;
use tidegate_sim::paper::t1::metric::{Metrics, Served};
use tidegate_sim::paper::t1::table::{Draws, Table, table};
use tidegate_sim::trace::GpuLog;

use super::traces;

/// Arrivals as the logs have them.
const AS_LOGGED: Draws = Draws { count: 16, moved_ns: 0 };
const ONCE: Draws = Draws { count: 1, ..AS_LOGGED };

#[test]
fn the_metric_gives_the_published_rows_of_the_gpu_logs() {
    let Some(traces) = traces() else { return };
    let published = fs::read_to_string(traces.join("vtc-runs/metrics.csv")).expect("it lies beside the logs");
    let mut lines = published.lines();
    let columns: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let mut runs = 0;
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let log = GpuLog::read(&traces.join(format!("vtc-runs/{}.jsonl.gz", cells[0])), |_, _| true);
        let requests = log.expect("it has no fault").requests;
        let metrics = Metrics::of(&requests.iter().filter_map(Served::logged).collect::<Vec<_>>());
        for (name, ours) in metrics.named() {
            let column = columns.iter().position(|&column| column == name).expect("a column for each figure");
            let theirs: f64 = cells[column].parse().expect("a number");
            // Their run ends 3 to 6 ms after its last answer.
            let within = if name == "throughput_tok_s" { 1e-5 } else { 1e-9 };
            assert!(((ours - theirs) / theirs).abs() < within, "{}: {name}: {ours}, not {theirs}", cells[0]);
        }
        runs += 1;
    }
    assert_eq!(runs, 5);
}

fn row<'a>(table: &'a Table, policy: &str, run: &str) -> &'a Row {
    table.rows.iter().find(|row| row.policy == policy && row.run == run).expect("the row is there")
}

#[test]
fn the_engine_is_as_fast_as_the_gpu_and_keeps_the_order_of_the_policies() {
    let Some(traces) = traces() else { return };
    let table = table(&traces, &[], AS_LOGGED).expect("the published files have no fault");
    assert_eq!((table.model, table.rows.len()), ("a10g-llama7b", 10));
    for row in &table.rows {
        let error = row.error["throughput_tok_s"];
        println!("{} {}: throughput off by {:+.1} %", row.policy, row.run, error * 100.0);
        assert!(error.abs() <= 0.05, "{} {}: {error}", row.policy, row.run);
    }
    let of = |policy: &str| row(&table, policy, "real").reproduced["avg_diff"];
    let ordered = ["fcfs", "lcf", "vtc", "vtc-oracle"].map(of);
    println!("average difference: {ordered:?}, tidegate {}", table.tidegate["avg_diff"]);
    assert!(ordered.is_sorted_by(|more, less| more > less), "{ordered:?}");
    assert!(row(&table, "vtc", "real").error["avg_diff"].abs() <= 0.15);
    // Who is refused depends on arrivals alone.
    assert!((row(&table, "rpm5", "real").reproduced["served"] - 581.0).abs() < 1e-9);
    for (how, figures) in &table.tidegate_by_foresight {
        println!("tidegate, {how}: {} at {}", figures["avg_diff"], figures["throughput_of_fcfs"]);
    }
    // Under VTC on the GPU it was 251.66.
    assert!(table.tidegate["avg_diff"] < 251.66, "{:?}", table.tidegate);
    // Under its oracle 227.51, which is told outputs too.
    let oracle = &table.tidegate_by_foresight["known, yielding"];
    assert!(oracle["avg_diff"] <= 227.51 && oracle["throughput_of_fcfs"] >= 0.99, "{oracle:?}");
    assert!(table.tidegate["throughput_of_fcfs"] >= 0.99, "{:?}", table.tidegate);
}

/// What giving way is worth was chosen on the arrivals of the log: here are others.
#[test]
fn on_other_arrivals_tidegate_is_below_who_is_told_as_much() {
    let Some(traces) = traces() else { return };
    let moved = Draws { count: 16, moved_ns: 5_000_000_000 };
    let table = table(&traces, &[], moved).expect("the published files have no fault");
    for (how, policy) in [("known, yielding", "vtc-oracle"), ("usual, yielding", "vtc")] {
        let (ours, theirs) = (&table.tidegate_by_foresight[how], row(&table, policy, "real"));
        let differences = [ours["avg_diff"], theirs.reproduced["avg_diff"]];
        println!("{how}, {policy}: {differences:?} at {}", ours["throughput_of_fcfs"]);
        assert!(differences[0] < differences[1] && ours["throughput_of_fcfs"] >= 0.99, "{how}: {ours:?}");
    }
    let as_logged = row(&table, "fcfs", "real");
    assert!(
        (table.moved_s - 5.0).abs() < 1e-9 && as_logged.published["served"] > 0.0,
        "the log is as it was"
    );
}

#[test]
fn a_further_run_gets_a_row_and_changes_no_other() {
    let Some(traces) = traces() else { return };
    let alone = table(&traces, &[], ONCE).expect("the published files have no fault");
    let again = table(&traces, &[traces.join("vtc-runs/vtc-overload.jsonl.gz")], ONCE);
    let mut again = again.expect("the published files have no fault");
    let further = again.rows.pop().expect("a row more");
    assert_eq!(alone, again);
    assert_eq!(&further, row(&alone, "vtc", "overload"));
}
