//! CPU time of the process for each item that passes from two threads to one: `cargo run --release -p tidegate-benches
//! --example shared [ITEMS]`. Whole cycles are measured over a tenth of the items.

use tidegate_benches::measure::process_cpu_ns;
use tidegate_benches::peers::pass_through_mutex;
use tidegate_benches::shared::{SharedItems, exchanged_vector_items, lock_free_queue_items};

const REPEATS: usize = 9;

/// Something that passes so many items.
struct Contender<'a> {
    name: &'a str,
    items: usize,
    pass: Box<dyn FnMut(usize) + 'a>,
    /// CPU time of the process and wall time, in nanoseconds per item.
    figures: Vec<(f64, f64)>,
}

impl<'a> Contender<'a> {
    fn new(name: &'a str, items: usize, pass: impl FnMut(usize) + 'a) -> Self {
        Self { name, items, pass: Box::new(pass), figures: Vec::new() }
    }

    fn measure(&mut self) {
        let (cpu, wall) = (process_cpu_ns(), std::time::Instant::now());
        (self.pass)(self.items);
        let per_item = |ns: f64| ns / self.items as f64;
        self.figures
            .push((per_item((process_cpu_ns() - cpu) as f64), per_item(wall.elapsed().as_nanos() as f64)));
    }

    fn print(&mut self) {
        self.figures.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (least, median, most) = (self.figures[0], self.figures[REPEATS / 2], self.figures[REPEATS - 1]);
        let name = self.name;
        println!(
            "{name}: {:.0} CPU ns per item ({:.0} to {:.0}), {:.0} of wall time",
            median.0, least.0, most.0, median.1
        );
    }
}

fn main() {
    let items = std::env::args().nth(1).map_or(400_000, |items| items.parse().expect("a number of items"));
    let (mut cycles, mut hand_overs) = (SharedItems::new(), SharedItems::new());
    let mut contenders = [
        Contender::new("SharedScheduler, whole cycles", items / 10, |items| cycles.cycles(items)),
        Contender::new("SharedScheduler, hand-over alone", items, |items| hand_overs.hand_overs(items)),
        Contender::new("Mutex<BinaryHeap>", items, |items| pass_through_mutex(items as u64 / 2)),
        Contender::new("lock-free queue", items, lock_free_queue_items),
        Contender::new("exchanged vector", items, exchanged_vector_items),
    ];
    for _ in 0..REPEATS {
        contenders.iter_mut().for_each(Contender::measure);
    }
    contenders.iter_mut().for_each(Contender::print);
}
