//! Figures by name, and their means over draws, computed on all cores.

use std::collections::BTreeMap;
use std::thread::{self, available_parallelism};

/// Figures by name.
pub type Figures = BTreeMap<&'static str, f64>;

/// The mean and the standard deviation of each figure over so many draws; all have the same figures.
pub(super) fn mean_and_spread(draws: u32, figures: impl Fn(u32) -> Figures + Sync) -> (Figures, Figures) {
    let drawn = in_threads(draws, figures);
    let count = f64::from(draws);
    let (mut means, mut spreads) = (Figures::new(), Figures::new());
    for &name in drawn.iter().take(1).flat_map(BTreeMap::keys) {
        let mean = drawn.iter().map(|figures| figures[name]).sum::<f64>() / count;
        let variance = drawn.iter().map(|figures| (figures[name] - mean).powi(2)).sum::<f64>() / count;
        means.insert(name, mean);
        spreads.insert(name, variance.sqrt());
    }
    (means, spreads)
}

/// How far each figure that is published is off, as a share of it; where that is 0 it cannot be said.
pub(super) fn errors(published: &Figures, reproduced: &Figures) -> Figures {
    let off = |(&name, &figure): (&&'static str, &f64)| {
        let ours = reproduced.get(name).filter(|_| figure != 0.0)?;
        Some((name, (ours - figure) / figure))
    };
    published.iter().filter_map(off).collect()
}

/// What each number gives, in order, on all cores.
fn in_threads<T: Send>(numbers: u32, work: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let cores = available_parallelism().map_or(1, |cores| cores.get());
    let all: Vec<u32> = (0..numbers).collect();
    let parts = all.chunks(all.len().div_ceil(cores).max(1));
    thread::scope(|scope| {
        let parts =
            parts.map(|part| scope.spawn(|| part.iter().map(|&number| work(number)).collect::<Vec<T>>()));
        let parts: Vec<_> = parts.collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().expect("a bug of ours, told on its own thread"))
            .collect()
    })
}
