//! CPU time of the process for each item that passes from two threads to one: `cargo run --release -p tidegate-benches
//! --example shared [ITEMS]`.

use rustix::time::{ClockId, clock_gettime};
use tidegate_benches::shared::{SharedItems, lock_free_queue_items, mutex_heap_items};

const REPEATS: usize = 9;

fn process_cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn main() {
    let items = std::env::args().nth(1).map_or(100_000, |items| items.parse().expect("a number of items"));
    let mut shared = SharedItems::new();
    let mut other = SharedItems::new();
    let mut contenders: [(&str, Box<dyn FnMut()>); 4] = [
        ("whole cycles", Box::new(|| shared.cycles(items))),
        ("hand-over alone", Box::new(|| other.hand_overs(items))),
        ("Mutex<BinaryHeap>", Box::new(|| mutex_heap_items(items))),
        ("ArrayQueue", Box::new(|| lock_free_queue_items(items))),
    ];
    let mut figures = [const { Vec::new() }; 4];
    for _ in 0..REPEATS {
        for ((_, work), figures) in contenders.iter_mut().zip(&mut figures) {
            let (cpu, wall) = (process_cpu_ns(), std::time::Instant::now());
            work();
            let per_item = |ns: f64| ns / items as f64;
            figures.push((per_item(process_cpu_ns() - cpu), per_item(wall.elapsed().as_nanos() as f64)));
        }
    }
    for ((name, _), mut figures) in contenders.iter().zip(figures) {
        figures.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (median, least, most) = (figures[REPEATS / 2], figures[0].0, figures[REPEATS - 1].0);
        println!(
            "{name}: {:.0} CPU ns per item ({least:.0} to {most:.0}), {:.0} ns of wall time",
            median.0, median.1
        );
    }
}
