//! Instructions of a cycle, as callgrind counts them: two runs of different length in one process, difference over
//! difference, so that what a run costs by itself drops out.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::card::{Card, Failure};
use crate::programs::{in_scratch, own_program, run};
use crate::turns::MARK;

/// Turns of the shorter and of the longer run.
const RUNS: [usize; 2] = [1_000, 11_000];

/// Both at once: counts do not mind company.
pub(crate) fn of_cycles(card: &mut Card) -> Result<(), Failure> {
    let turns = RUNS.map(|turns| card.scale.of(turns));
    let cycles = [("cycle_instructions_1k", 1_000), ("cycle_instructions_1m", 1_000_000)];
    let counted = thread::scope(|scope| {
        let started = cycles.map(|(key, waiting)| {
            let waiting = card.scale.of(waiting);
            scope.spawn(move || in_scratch(key, |folder| count(folder, waiting, turns)))
        });
        started.map(|thread| thread.join().expect("it does not panic"))
    });
    for ((key, _), counted) in cycles.into_iter().zip(counted) {
        let [short, long] = counted?;
        card.put_exact(key, (long - short) as f64 / (turns[1] - turns[0]) as f64);
    }
    Ok(())
}

fn count(folder: &Path, waiting: usize, turns: [usize; 2]) -> Result<[u64; 2], Failure> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]);
    command.arg(format!("--dump-before={MARK}"));
    command.arg(format!("--callgrind-out-file={}", folder.join("out").display()));
    command.arg(own_program()?).args(["turns", "--waiting", &waiting.to_string()]);
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
