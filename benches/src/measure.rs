//! CPU time, and what is said of several repeats. Knows no workload.

use rustix::time::{ClockId, clock_gettime};

/// The CPU time of this thread so far: waiting for a core does not count.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    read(ClockId::ThreadCPUTime)
}

/// The CPU time of all threads of this process so far.
#[must_use]
pub fn process_cpu_ns() -> u64 {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).expect("CPU time is not negative")
}

/// Thread CPU time that `work` takes, without what reading the clock takes.
pub fn cpu_ns(work: impl FnOnce()) -> f64 {
    let start = thread_cpu_ns();
    work();
    let end = thread_cpu_ns();
    (end - start) as f64 - clock_read_ns()
}

/// What a measurement of nothing gives: the least of a few.
fn clock_read_ns() -> f64 {
    let nothing = |_| {
        let start = thread_cpu_ns();
        (thread_cpu_ns() - start) as f64
    };
    (0..5).map(nothing).fold(f64::INFINITY, f64::min)
}

/// What several repeats of one measurement gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Half of the repeats gave less.
    pub median: f64,
    /// The least that one gave.
    pub least: f64,
    /// The most that one gave.
    pub most: f64,
}

impl Figure {
    /// What these repeats gave.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn of(mut repeats: Vec<f64>) -> Self {
        repeats.sort_by(f64::total_cmp);
        let last = repeats.len() - 1;
        let median = f64::midpoint(repeats[last / 2], repeats[last.div_ceil(2)]);
        Self { median, least: repeats[0], most: repeats[last] }
    }
}

/// Something that is measured: does its work once, and tells what one operation took.
pub type Contender<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// Measures these by turns, so that whatever slows the machine down for a while slows them all down; once more than
/// `repeats`, because the first time only warms up.
pub fn by_turns<const N: usize>(repeats: usize, mut contenders: [Contender<'_>; N]) -> [Figure; N] {
    let mut gave = [const { Vec::new() }; N];
    for repeat in 0..=repeats {
        for (contender, gave) in contenders.iter_mut().zip(&mut gave) {
            let figure = contender();
            if repeat > 0 {
                gave.push(figure);
            }
        }
    }
    gave.map(Figure::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let figure = Figure::of(vec![5.0, 1.0, 9.0]);
        assert_eq!(figure, Figure { median: 5.0, least: 1.0, most: 9.0 });
        assert_eq!(Figure::of(vec![4.0, 1.0]).median, 2.5);
    }

    #[test]
    fn contenders_take_turns_and_warm_up_once() {
        let order = std::cell::RefCell::new(Vec::new());
        let contender = |name: f64| -> Contender<'_> {
            let order = &order;
            Box::new(move || {
                order.borrow_mut().push(name);
                name * if order.borrow().len() <= 2 { 100.0 } else { 1.0 }
            })
        };
        let [one, two] = by_turns(2, [contender(1.0), contender(2.0)]);
        assert_eq!((one.most, two.most), (1.0, 2.0), "the first turn is not among them");
        assert_eq!(*order.borrow(), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    fn cpu_time_passes_with_work_and_not_with_sleep() {
        let spin = || {
            let start = std::time::Instant::now();
            while start.elapsed().as_millis() < 30 {}
        };
        let worked = cpu_ns(spin);
        let slept = cpu_ns(|| std::thread::sleep(std::time::Duration::from_millis(30)));
        assert!(worked > 2.0 * slept.max(0.0), "{worked} ns of work, {slept} ns of sleep");
    }
}
