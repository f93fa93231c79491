//! The GPUs: what of each is free, and how much of that nobody could use.
//!
//! Fragmentation is FGD's (ATC'23, "Beware of Fragmentation"), of GPUs alone: what is free on a GPU is a fragment for a pod
//! that asks for more; its mean over the pods of the trace is the GPU's, and their sum the cluster's. An empty GPU has none.
//! Invariant, asserted at each start: no GPU holds more than it has.

use super::pods::{GPU_MILLI, Pod};

/// The GPUs of a run.
#[derive(Clone, Debug)]
pub struct Gpus {
    free: Vec<u32>,
    /// By what is free on a GPU: the sum, over all pods of the trace, of what is a fragment for each.
    fragments: Vec<u64>,
    pods: u64,
    fragmented: u64,
    free_in_all: u64,
    fullest: u32,
}

impl Gpus {
    /// So many empty GPUs, for pods like these. O(pods + GPUs).
    #[must_use]
    pub fn new(gpus: usize, pods: &[Pod]) -> Self {
        let mut asking = vec![0_u64; GPU_MILLI as usize + 1];
        for pod in pods {
            asking[pod.milli as usize] += 1;
        }
        let mut more = pods.len() as u64;
        let fragments = asking.iter().zip(0_u64..).map(|(&here, free)| {
            more -= here;
            free * more
        });
        Self {
            fragments: fragments.collect(),
            free: vec![GPU_MILLI; gpus],
            pods: (pods.len() as u64).max(1),
            fragmented: 0,
            free_in_all: gpus as u64 * u64::from(GPU_MILLI),
            fullest: 0,
        }
    }

    /// What is free on each, in thousandths.
    #[must_use]
    pub fn free(&self) -> &[u32] {
        &self.free
    }

    /// What a pod of this size would add to the fragments of a GPU on which it fits; it may be less than 0.
    #[must_use]
    pub fn harm(&self, gpu: usize, milli: u32) -> i128 {
        let of = |free: u32| i128::from(self.fragments[free as usize]);
        of(self.free[gpu] - milli) - of(self.free[gpu])
    }

    /// A pod starts.
    ///
    /// # Panics
    /// If the GPU has less than that free: a bug of whoever placed it.
    pub fn take(&mut self, gpu: usize, milli: u32) {
        let free = self.free[gpu];
        assert!(milli <= free, "GPU {gpu} has {free} thousandths free, and is to hold {milli} more");
        self.set(gpu, free - milli);
        self.fullest = self.fullest.max(GPU_MILLI - self.free[gpu]);
    }

    /// A pod has left.
    ///
    /// # Panics
    /// If it was not there.
    pub fn give(&mut self, gpu: usize, milli: u32) {
        let free = self.free[gpu] + milli;
        assert!(free <= GPU_MILLI, "GPU {gpu} has {free} thousandths free of {GPU_MILLI}");
        self.set(gpu, free);
    }

    fn set(&mut self, gpu: usize, free: u32) {
        let before = std::mem::replace(&mut self.free[gpu], free);
        let of = |free: u32| self.fragments[free as usize];
        self.fragmented = self.fragmented + of(free) - of(before);
        self.free_in_all = self.free_in_all + u64::from(free) - u64::from(before);
    }

    /// GPUs' worth of fragments now.
    #[must_use]
    pub fn fragmented(&self) -> f64 {
        self.fragmented as f64 / self.pods as f64 / f64::from(GPU_MILLI)
    }

    /// GPUs' worth that is free now.
    #[must_use]
    pub fn unused(&self) -> f64 {
        self.free_in_all as f64 / f64::from(GPU_MILLI)
    }

    /// The most that any of them ever held, in thousandths.
    #[must_use]
    pub fn fullest(&self) -> u32 {
        self.fullest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(milli: u32) -> Pod {
        Pod { arrival_ns: 0, class: 0, milli, duration_ns: 1 }
    }

    #[test]
    fn what_is_free_is_a_fragment_for_those_who_ask_for_more() {
        let mut gpus = Gpus::new(2, &[pod(200), pod(500), pod(1_000), pod(1_000)]);
        assert_eq!((gpus.fragmented(), gpus.unused()), (0.0, 2.0), "whole GPUs serve all");
        gpus.take(1, 500);
        assert!((gpus.fragmented() - 0.25).abs() < 1e-12, "500 are none for 2 of 4");
        assert_eq!(gpus.harm(1, 200), 300 * 3 - 500 * 2);
        gpus.take(1, 400);
        assert!((gpus.fragmented() - 0.1).abs() < 1e-12, "100 are one for all");
        gpus.give(1, 900);
        assert_eq!((gpus.fragmented(), gpus.unused(), gpus.fullest()), (0.0, 2.0, 900));
    }

    #[test]
    #[should_panic(expected = "GPU 0 has 300 thousandths free, and is to hold 301 more")]
    fn no_gpu_holds_more_than_it_has() {
        let mut gpus = Gpus::new(1, &[pod(700)]);
        gpus.take(0, 700);
        gpus.take(0, 301);
    }
}
