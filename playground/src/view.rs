//! What there is to see, as JSON for the page. Changes nothing.

use serde::Serialize;
use tidegate::{PoolId, RequestId, Tier};

use crate::world::{Job, SLOTS, TIERS, Tally, WORKERS, World};

/// Those of a queue that are drawn: as many as a line of the page has room for.
const DRAWN: usize = 50;

#[derive(Serialize)]
pub(crate) struct View {
    now_ms: u64,
    slots: u64,
    tiers: Vec<TierView>,
    workers: Vec<Vec<Seat>>,
    queues: Vec<Vec<Waiting>>,
    said: Vec<String>,
}

#[derive(Serialize)]
struct TierView {
    name: &'static str,
    reserve: u64,
    in_use: u64,
    waiting: usize,
    completed: u64,
    preempted: u64,
    refused: u64,
    delay_ms_p99: Option<u64>,
}

/// A slot that is taken.
#[derive(Serialize)]
struct Seat {
    /// As text: a number of 64 bits is more than JavaScript's have.
    request: String,
    tier: usize,
    started: &'static str,
    stopping: bool,
}

#[derive(Serialize)]
struct Waiting {
    request: String,
    waits_ms: u64,
}

impl World {
    /// All that the page draws. O(requests).
    pub(crate) fn view(&self) -> View {
        View {
            now_ms: self.now_ms,
            slots: SLOTS * u64::from(WORKERS),
            tiers: (0..TIERS.len()).map(|tier| self.tier_view(tier)).collect(),
            workers: (0..WORKERS).map(|worker| self.seats(worker)).collect(),
            queues: (0..TIERS.len()).map(|tier| self.queue(tier)).collect(),
            said: self
                .said
                .iter()
                .map(|(at_ms, what)| format!("{:.2} s  {what}", *at_ms as f64 / 1e3))
                .collect(),
        }
    }

    fn tier_view(&self, index: usize) -> TierView {
        let (pool, tier) = (PoolId::new(0), Tier::new(index as u8));
        let Tally { completed, preempted, refused, .. } = self.tallies[index];
        let of_all = "the pool and the tier are the playground's own";
        TierView {
            name: TIERS[index].name,
            reserve: self.sched.effective_reserve(pool, tier).expect(of_all).as_array()[0],
            in_use: self.sched.in_use(pool, tier).expect(of_all).as_array()[0],
            waiting: self.sched.queue_depth(tier),
            completed,
            preempted,
            refused,
            delay_ms_p99: self.tallies[index].delay_ms_p99(),
        }
    }

    fn seats(&self, worker: u32) -> Vec<Seat> {
        let of_it = self.jobs.iter().filter_map(|(&id, job)| Some((id, job, job.run?)));
        of_it
            .filter(|(_, _, run)| run.worker.get() == worker)
            .map(|(id, job, run)| Seat {
                request: text(id),
                tier: job.tier,
                started: run.reason.as_str(),
                stopping: run.stops_at_ms.is_some(),
            })
            .collect()
    }

    /// Who waits, longest first.
    fn queue(&self, tier: usize) -> Vec<Waiting> {
        let waiting = self.jobs.iter().filter(|(_, job)| job.tier == tier && job.run.is_none());
        let mut waiting: Vec<(&RequestId, &Job)> = waiting.collect();
        waiting.sort_by_key(|(id, job)| (job.waits_since_ms, **id));
        waiting.truncate(DRAWN);
        let drawn = waiting.into_iter();
        drawn
            .map(|(&id, job)| Waiting { request: text(id), waits_ms: self.now_ms - job.waits_since_ms })
            .collect()
    }
}

impl Tally {
    /// Of the last starts; `None` before the first.
    fn delay_ms_p99(&self) -> Option<u64> {
        let mut delays: Vec<u64> = self.delays_ms.iter().copied().collect();
        delays.sort_unstable();
        let last = delays.len().checked_sub(1)?;
        Some(delays[(last * 99).div_ceil(100)])
    }
}

fn text(request: RequestId) -> String {
    request.to_bits().to_string()
}
