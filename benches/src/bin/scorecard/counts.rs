//! Clock reads and system calls of a cycle. Under valgrind a clock read is a system call like any other, because it hides
//! the page on which the kernel offers the clock; it writes all of them down. A clock read by the processor's own
//! counter is not seen; no crate that the core depends on has one.

use std::process::Command;
use std::thread;

use crate::card::{Card, Failure};
use crate::programs::{own_program, run};

const WAITING: usize = 1_000;
/// Turns of the shorter and of the longer run.
const RUNS: [usize; 2] = [1_000, 11_000];

/// What one run did.
#[derive(Clone, Copy, Debug)]
struct Calls {
    clock_reads: f64,
    others: f64,
}

pub(crate) fn clock_reads_and_system_calls(card: &mut Card) -> Result<(), Failure> {
    let turns = RUNS.map(|turns| card.scale.of(turns));
    let runs: [(usize, &[&str]); 3] = [(turns[0], &[]), (turns[1], &[]), (turns[1], &["--read-clock"])];
    let [short, long, control] = thread::scope(|scope| {
        let started = runs.map(|(turns, flags)| scope.spawn(move || calls(turns, flags)));
        started.map(|thread| thread.join().expect("it does not panic"))
    });
    let (short, long, control) = (short?, long?, control?);
    let seen = (control.clock_reads - long.clock_reads) / turns[1] as f64;
    if (seen - 1.0).abs() > 0.01 {
        return Err(Failure::Failed(format!("of one clock read in each turn valgrind shows {seen}")));
    }
    let further = (turns[1] - turns[0]) as f64;
    card.put_exact("clock_reads_per_cycle", (long.clock_reads - short.clock_reads) / further);
    card.put_exact("syscalls_per_cycle", (long.others - short.others) / further);
    Ok(())
}

fn calls(turns: usize, flags: &[&str]) -> Result<Calls, Failure> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=none", "--trace-syscalls=yes"]).arg(own_program()?);
    command.args(["turns", "--waiting", &WAITING.to_string(), "--turns", &turns.to_string()]).args(flags);
    let output = run(&mut command, "on Debian and Ubuntu: apt-get install valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let (clock_reads, others): (Vec<&str>, Vec<&str>) =
        said.lines().filter(|line| line.starts_with("SYSCALL[")).partition(|line| {
            ["clock_gettime", "gettimeofday", "sys_time "].iter().any(|name| line.contains(name))
        });
    if others.is_empty() {
        return Err(Failure::Failed("valgrind shows no system call at all".to_owned()));
    }
    Ok(Calls { clock_reads: clock_reads.len() as f64, others: others.len() as f64 })
}
