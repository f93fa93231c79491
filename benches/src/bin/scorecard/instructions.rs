//! Instructions of a cycle, as callgrind counts them: two runs of different length in one process, difference over
//! difference, so that what a run costs by itself drops out.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::card::{Card, Failure};
use crate::programs::{in_scratch, own_program, run};
use crate::turns::MARK;

/// Cycles of the shorter and of the longer run.
const RUNS: [usize; 2] = [1_000, 11_000];
/// Requests that a host hears of at once.
const BATCH: usize = 64;

/// A figure, and the turns that it is of.
struct Counted {
    key: &'static str,
    waiting: usize,
    /// Cycles in a turn.
    cycles: usize,
    flags: Vec<String>,
}

/// Both at once: counts do not mind company.
pub(crate) fn of_cycles(card: &mut Card) -> Result<(), Failure> {
    let cycles = [("cycle_instructions_1k", 1_000), ("cycle_instructions_1m", 1_000_000)];
    let counted = cycles.map(|(key, waiting)| Counted {
        key,
        waiting: card.scale.of(waiting),
        cycles: 1,
        flags: Vec::new(),
    });
    put(card, counted)
}

/// The same cycles, many in a turn, in three batches or in a call for each request and action.
pub(crate) fn of_batches(card: &mut Card) -> Result<(), Failure> {
    let waiting = card.scale.of(1_000);
    let cycles = BATCH.min(waiting);
    let batch = vec!["--batch".to_owned(), cycles.to_string()];
    let singly = [batch.clone(), vec!["--one-by-one".to_owned()]].concat();
    let ways = [("batch_cycle_instructions_1k", batch), ("batch_cycle_instructions_singly_1k", singly)];
    put(card, ways.map(|(key, flags)| Counted { key, waiting, cycles, flags }))
}

fn put(card: &mut Card, figures: [Counted; 2]) -> Result<(), Failure> {
    let scale = card.scale;
    let counts = thread::scope(|scope| {
        let started = figures.each_ref().map(|figure| {
            let turns = RUNS.map(|cycles| scale.of(cycles).div_ceil(figure.cycles));
            scope.spawn(move || {
                let [short, long] = in_scratch(figure.key, |folder| count(folder, figure, turns))?;
                Ok((long - short) as f64 / ((turns[1] - turns[0]) * figure.cycles) as f64)
            })
        });
        started.map(|thread| thread.join().expect("it does not panic"))
    });
    for (figure, counted) in figures.iter().zip(counts) {
        card.put_exact(figure.key, counted?);
    }
    Ok(())
}

fn count(folder: &Path, figure: &Counted, turns: [usize; 2]) -> Result<[u64; 2], Failure> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]);
    command.arg(format!("--dump-before={MARK}"));
    command.arg(format!("--callgrind-out-file={}", folder.join("out").display()));
    command.arg(own_program()?).args(["turns", "--waiting", &figure.waiting.to_string()]).args(&figure.flags);
    // The last one takes no turn: its beginning marks the end of the one before.
    command.args(turns.into_iter().chain([0]).map(|turns| format!("--turns={turns}")));
    run(&mut command, "on Debian and Ubuntu: apt-get install valgrind")?;
    // Callgrind numbers what it writes: what came before the first run, the first, the second; the rest is `out`.
    let totals = ["out.2", "out.3"].map(|name| {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix("totals: "))
            .and_then(|total| total.trim().parse().ok())
    });
    match totals {
        [Some(short), Some(long)] => Ok([short, long]),
        _ => Err(Failure::Failed("callgrind did not tell the runs apart".to_owned())),
    }
}
