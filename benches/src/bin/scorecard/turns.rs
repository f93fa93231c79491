//! Turns without anything else, for a tool that watches this program from outside.

use std::hint::black_box;
use std::time::Instant;

use tidegate_benches::{Batches, SteadyState};

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
    /// So many requests in a turn, in batches
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// The same with a call for each request and action
    #[arg(long, requires = "batch")]
    one_by_one: bool,
    /// Read the clock in every turn: whoever counts clock reads has to see that
    #[arg(long, conflicts_with = "batch")]
    read_clock: bool,
}

pub(crate) fn take(args: &Args) {
    let turn: Box<dyn FnMut()> = match args.batch {
        None => {
            let mut state = SteadyState::new(args.waiting);
            Box::new(move || state.turn())
        }
        Some(items) => {
            let mut batches = Batches::new(args.waiting);
            let turn = if args.one_by_one { Batches::turn_one_by_one } else { Batches::turn_at_once };
            Box::new(move || turn(&mut batches, items))
        }
    };
    take_all(args, turn);
}

fn take_all(args: &Args, mut turn: impl FnMut()) {
    for &turns in &args.turns {
        marked_turns(turns, &mut || {
            turn();
            if args.read_clock {
                black_box(Instant::now());
            }
        });
    }
}

#[inline(never)]
fn marked_turns(turns: usize, turn: &mut dyn FnMut()) {
    (0..turns).for_each(|_| turn());
}
