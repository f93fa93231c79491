//! What a cycle takes right after another one, and after something else has had the caches, as the step of an engine has
//! between two polls: `cargo run --release -p tidegate-benches --example cold`.

use std::hint::black_box;
use std::time::Instant;

use tidegate_benches::SteadyState;
use tidegate_benches::measure::Figure;

/// More than the near caches of a core hold.
const OTHERS_BYTES: usize = 4 << 20;
const LINE_BYTES: usize = 64;
const TURNS: usize = 5_000;

fn main() {
    for waiting in [1_000, 100_000] {
        let mut state = SteadyState::new(waiting);
        (0..TURNS).for_each(|_| state.turn());
        let warm = median_ns(&mut state, &mut []);
        let cold = median_ns(&mut state, &mut vec![0; OTHERS_BYTES]);
        println!("{waiting} waiting: {warm:.0} ns, after others had the caches {cold:.0} ns");
    }
}

/// The median time of a turn, between which another's memory is written.
fn median_ns(state: &mut SteadyState, others: &mut [u8]) -> f64 {
    let turn_ns = |_| {
        others.iter_mut().step_by(LINE_BYTES).for_each(|byte| *byte = byte.wrapping_add(1));
        black_box(&others);
        let start = Instant::now();
        state.turn();
        start.elapsed().as_nanos() as f64
    };
    Figure::of((0..TURNS).map(turn_ns).collect()).median
}
