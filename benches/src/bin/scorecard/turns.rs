//! Turns without anything else, for a tool that watches this program from outside.

use std::hint::black_box;
use std::time::Instant;

use tidegate_benches::SteadyState;

/// What callgrind knows the turns by.
pub(crate) const MARK: &str = "*marked_turns*";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many requests wait
    #[arg(long, value_name = "N")]
    waiting: usize,
    /// Take so many turns (repeatable)
    #[arg(long, value_name = "N")]
    turns: Vec<usize>,
    /// Read the clock in every turn: whoever counts clock reads has to see that
    #[arg(long)]
    read_clock: bool,
}

pub(crate) fn take(args: &Args) {
    let mut state = SteadyState::new(args.waiting);
    for &turns in &args.turns {
        marked_turns(&mut state, turns, args.read_clock);
    }
}

#[inline(never)]
fn marked_turns(state: &mut SteadyState, turns: usize, read_clock: bool) {
    for _ in 0..turns {
        state.turn();
        if read_clock {
            black_box(Instant::now());
        }
    }
}
