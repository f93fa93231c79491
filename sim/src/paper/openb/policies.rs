//! What tidegate is compared with: whoever came first and fits starts, whatever its class, on the GPU that a rule says.
//! Nobody is stopped.

use super::cluster::Gpus;
use super::pods::Pod;
use super::serve::{Policy, Step};

/// On which of the GPUs that have room; of equals the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The first.
    First,
    /// The one with least room.
    Best,
    /// The one that gets fewest fragments by it (FGD, ATC'23).
    LeastFragments,
}

/// One queue for all.
#[derive(Debug)]
pub struct InOrder {
    fit: Fit,
    /// By arrival, with what each asks for.
    waiting: Vec<(usize, u32)>,
}

impl InOrder {
    /// With nobody in it.
    #[must_use]
    pub fn new(fit: Fit) -> Self {
        Self { fit, waiting: Vec::new() }
    }

    fn place(&self, milli: u32, gpus: &Gpus) -> Option<usize> {
        let mut roomy = (0..gpus.free().len()).filter(|&gpu| gpus.free()[gpu] >= milli);
        match self.fit {
            Fit::First => roomy.next(),
            Fit::Best => roomy.min_by_key(|&gpu| gpus.free()[gpu]),
            Fit::LeastFragments => roomy.min_by_key(|&gpu| gpus.harm(gpu, milli)),
        }
    }
}

impl Policy for InOrder {
    fn submit(&mut self, _now_ns: u64, id: usize, pod: &Pod) {
        self.waiting.push((id, pod.milli));
    }

    fn next(&mut self, _now_ns: u64, gpus: &Gpus) -> Option<Step> {
        let roomiest = gpus.free().iter().copied().max().unwrap_or(0);
        let place = self.waiting.iter().position(|&(_, milli)| milli <= roomiest)?;
        let (id, milli) = self.waiting.remove(place);
        let gpu = self.place(milli, gpus).expect("the roomiest has room");
        Some(Step::Start { id, gpu })
    }

    fn ended(&mut self, _now_ns: u64, _id: usize) {}

    fn died(&mut self, _now_ns: u64, _gpu: usize, ran: &[(usize, u32)]) {
        self.waiting.extend(ran);
        // Pods are numbered by arrival.
        self.waiting.sort_unstable();
    }

    fn wakes_at(&self) -> Option<u64> {
        None
    }
}
