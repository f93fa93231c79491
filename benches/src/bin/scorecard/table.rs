//! The table of `docs/PERFORMANCE.md`, from a card: what each key means, what is aimed at, and what stands beside it.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::card::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What `make scorecard` printed
    #[arg(value_name = "FILE")]
    card: PathBuf,
}

struct Row {
    key: &'static str,
    what: &'static str,
    /// Goal and moonshot, where something is aimed at.
    aims: [Option<f64>; 2],
    /// The key that it is compared with.
    over: Option<&'static str>,
}

const fn row(key: &'static str, what: &'static str) -> Row {
    Row { key, what, aims: [None; 2], over: None }
}

impl Row {
    const fn aims(self, goal: f64, moonshot: f64) -> Self {
        Self { aims: [Some(goal), Some(moonshot)], ..self }
    }

    const fn goal(self, goal: f64) -> Self {
        Self { aims: [Some(goal), None], ..self }
    }

    const fn over(self, key: &'static str) -> Self {
        Self { over: Some(key), ..self }
    }
}

const ROWS: [Row; 48] = [
    row("cycle_ns_1k", "cycle, 1,000 waiting").aims(130.0, 80.0),
    row("cycle_ns_100k", "cycle, 100,000 waiting").aims(250.0, 150.0).over("peer_heap_governor_ns_100k"),
    row("cycle_ns_1m", "cycle, 1,000,000 waiting").aims(400.0, 250.0).over("cycle_ns_1k"),
    row("cycle_instructions_1k", "instructions of a cycle, 1,000 waiting").aims(800.0, 500.0),
    row("cycle_instructions_1m", "the same, 1,000,000 waiting").over("cycle_instructions_1k"),
    row("batch_cycle_instructions_1k", "a cycle in batches of 64, 1,000 waiting")
        .over("batch_cycle_instructions_singly_1k"),
    row("batch_cycle_instructions_singly_1k", "the same cycle, a call for each request and action"),
    row("cancel_ns_1k", "cancel a random one of 1,000").aims(60.0, 40.0),
    row("cancel_ns_100k", "of 100,000").aims(200.0, 120.0).over("peer_priority_queue_cancel_ns_100k"),
    row("cancel_ns_1m", "of 1,000,000").aims(400.0, 250.0),
    row("preempt_ns_10k", "choose one victim, 10,000 running").aims(300.0, 100.0),
    row("preempt_next_victim_ns", "each further victim of a set").aims(60.0, 30.0),
    row("idle_poll_ns", "a poll with nothing to do").aims(20.0, 8.0),
    row(
        "place_ns_1k_workers",
        "a poll that starts a request where its prompt is, on 1,000 workers of 250 devices",
    )
    .goal(1_000.0)
    .over("place_ns_1_worker"),
    row(
        "learn_ns_1k_workers",
        "what the input after such starts does for each: it stores the prompt, and old ones go",
    ),
    row("place_ns_1k_workers_blind", "the same where no prompts are told, and no devices")
        .over("place_ns_1_worker"),
    row("place_ns_1_worker", "the same on one worker with as many slots"),
    row("index_bytes_per_block", "bytes of an index of prompts, for each block that it may know").goal(64.0),
    row("bytes_per_request", "bytes of a queued request").aims(128.0, 96.0),
    row("bytes_per_request_most", "the same just after vectors doubled").over("bytes_per_request"),
    row("bytes_per_tenant", "bytes of a tenant with limits that has had a request").aims(256.0, 128.0),
    row("bytes_per_tenant_most", "the same just after vectors doubled").over("bytes_per_tenant"),
    row("bytes_per_tenant_unserved", "bytes of a tenant with limits that never had one")
        .over("bytes_per_tenant"),
    row("snapshot_write_1m_ms", "write a snapshot, 1,000,000 waiting; milliseconds"),
    row("snapshot_restore_1m_ms", "restore it").over("snapshot_write_1m_ms"),
    row("snapshot_bytes_per_request", "bytes of it for each of them"),
    row("allocations_per_cycle", "allocations and reallocations of a cycle").aims(0.0, 0.0),
    row("clock_reads_per_cycle", "clock reads of a cycle").aims(0.0, 0.0),
    row("syscalls_per_cycle", "other system calls of a cycle").aims(0.0, 0.0),
    row("c_call_ns", "what C adds to a call").aims(8.0, 4.0),
    row("py_call_ns", "a method from Python, one positional number").aims(60.0, 45.0),
    row("py_item_ns", "what Python adds to an item of a batch of tuples").aims(30.0, 20.0),
    row("py_column_item_ns", "the same of a batch of columns").aims(30.0, 20.0),
    row(
        "py_completion_batched_ns",
        "a completion from Python in a batch of 256, the scheduler's work included",
    )
    .over("py_completion_singly_ns"),
    row("py_completion_columns_ns", "the same in columns").over("py_completion_singly_ns"),
    row("py_completion_singly_ns", "the same, a call for each"),
    row("py_cycle_ns_100k", "cycle from Python, 100,000 waiting")
        .aims(500.0, 300.0)
        .over("peer_asyncio_pq_ns_100k"),
    row("py_cycle_arrays_ns_100k", "the same, 64 requests at once in NumPy arrays")
        .aims(500.0, 300.0)
        .over("py_cycle_ns_100k"),
    row("replay_requests_per_s", "requests replayed per second of wall time").aims(1e6, 3e6),
    row("peer_heap_governor_ns_100k", "`BinaryHeap` and `governor`, 100,000 waiting"),
    row("peer_priority_queue_cancel_ns_100k", "`priority-queue`, remove a random one of 100,000"),
    row("peer_mutex_heap_item_cpu_ns", "`Mutex<BinaryHeap>`, 2 threads to a third, CPU time of all"),
    row("peer_heapq_ns_100k", "`heapq`, pop and push, 100,000 waiting"),
    row("peer_asyncio_pq_ns_100k", "`asyncio.PriorityQueue`, get and put, 100,000 waiting"),
    row("peer_vllm_queue_ns_100k", "vLLM's queue by priority, pop and add, 100,000 waiting"),
    row("shared_item_cpu_ns", "cycle through `SharedScheduler`, 2 threads to a third, CPU time of all")
        .aims(200.0, 120.0)
        .over("peer_mutex_heap_item_cpu_ns"),
    row("vllm_step_us_256", "a step of vLLM's scheduler, 256 running, one ends and one comes"),
    row("vllm_step_with_tidegate_us_256", "the same by `tidegate.vllm.Scheduler`").over("vllm_step_us_256"),
];

/// The table of a card; a key that the card lacks has no row.
pub(crate) fn of_card(args: &Args) -> Result<String, Failure> {
    let file = args.card.display();
    let bad = |problem: &dyn std::fmt::Display| Failure::Failed(format!("{file}: {problem}"));
    let text = std::fs::read(&args.card).map_err(|error| bad(&error))?;
    let card: Map<String, Value> = serde_json::from_slice(&text).map_err(|error| bad(&error))?;
    if let Some(key) = card.keys().find(|key| ROWS.iter().all(|row| row.key != *key)) {
        return Err(bad(&format_args!("`{key}` has no row")));
    }
    Ok(table(&card))
}

fn table(card: &Map<String, Value>) -> String {
    let mut table = "| key | what | measured | goal | moonshot | ratio in the same run |\n".to_owned();
    table.push_str("| --- | --- | --- | --- | --- | --- |\n");
    let figure = |key| card.get(key).and_then(Value::as_f64);
    for Row { key, what, aims, over } in &ROWS {
        let Some(measured) = figure(*key) else { continue };
        let [goal, moonshot] = aims.map(|aim| aim.map(shown).unwrap_or_default());
        let ratio = over.and_then(|other| {
            let ratio = measured / figure(other).filter(|&figure| figure > 0.0)?;
            Some(format!("{} × `{other}`", shown(ratio)))
        });
        let ratio = ratio.unwrap_or_default();
        let measured = shown(measured);
        writeln!(table, "| `{key}` | {what} | {measured} | {goal} | {moonshot} | {ratio} |")
            .expect("a string");
    }
    table
}

/// Whole where that says enough, with commas.
fn shown(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".to_owned(),
        ..0.1 => format!("{figure:.4}"),
        ..10.0 => format!("{figure:.2}"),
        _ => {
            let digits = format!("{:.0}", figure.abs());
            let groups: Vec<&str> =
                digits.as_bytes().rchunks(3).rev().map(|g| str::from_utf8(g).expect("digits")).collect();
            format!("{}{}", if figure < 0.0 { "-" } else { "" }, groups.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_as_short_as_they_may_be() {
        let all = [0.0, 0.0131, 2.346, 23.2, 1_234.5, -6_512.9, 1_000_000.0].map(shown);
        assert_eq!(all, ["0", "0.0131", "2.35", "23", "1,234", "-6,513", "1,000,000"]);
    }

    #[test]
    fn a_ratio_is_to_what_was_measured_beside_it() {
        let mut card = Map::new();
        card.insert("cycle_ns_100k".to_owned(), Value::from(600.0));
        assert!(!table(&card).contains('×'));
        card.insert("peer_heap_governor_ns_100k".to_owned(), Value::from(200.0));
        let expected = "| `cycle_ns_100k` | cycle, 100,000 waiting | 600 | 250 | 150 | 3.00 × `peer_heap_governor_ns_100k` |";
        assert!(table(&card).contains(expected), "{}", table(&card));
    }
}
