//! What a replay looked like over time: who held how much memory, who waited, who was stopped, what tenants got.
//!
//! Decides how time is cut: into steps that double when there would be more than [`MAX_STEPS`], so that an hour and
//! a week take the same memory. Integrals of whole numbers, so that every platform gets the same. Attempts are kept
//! one by one only where they are asked for. Does not know why anything happened.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Steps of time at most; half as many after a doubling.
const MAX_STEPS: usize = 480;

/// The first width of a step, in nanoseconds: a second.
const FIRST_STEP_NS: u64 = 1_000_000_000;

/// Of more tenants than this only totals are kept.
const MAX_TENANTS_OVER_TIME: usize = 64;

/// What a replay writes down about time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watch {
    /// Nothing.
    #[default]
    Nothing,
    /// Steps of time.
    Steps,
    /// Steps of time, and every attempt: memory for each of them.
    Attempts,
}

/// One tier over time; a value for each step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TierTimeline {
    /// The tier's reserve, by all that the workers have.
    pub reserve: f64,
    /// Held within the reserve on average, by all that the workers have.
    pub guaranteed: Vec<f64>,
    /// Held beyond it.
    pub borrowed: Vec<f64>,
    /// What the tier's victims gave back for others, by all that the workers have.
    pub reclaimed: Vec<f64>,
    /// Requests that waited on average.
    pub waiting: Vec<f64>,
    /// Requests that were stopped and queued again.
    pub preemptions: Vec<u64>,
}

/// What one tenant got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantTimeline {
    /// Requests that completed.
    pub completed: u64,
    /// Times that one of its requests was stopped and queued again.
    pub preemptions: u64,
    /// Tokens in and out of its completed requests; of jobs their seconds.
    pub served: u64,
    /// The same by the step in which they completed; empty if there are too many tenants.
    pub served_over_time: Vec<u64>,
}

/// What completed requests of one tier and tenant were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Tokens of their prompts.
    pub prompt_tokens: u64,
    /// Tokens that they generated.
    pub output_tokens: u64,
    /// The time that they take of an otherwise full worker, in nanoseconds.
    pub work_ns: u64,
}

/// One attempt of a request on a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The request, counted from 0 in the order of arrival.
    pub request: u64,
    /// Its tenant.
    pub tenant: u32,
    /// Its tier in the workload.
    pub tier: u8,
    /// The worker.
    pub worker: u32,
    /// The lowest place on that worker that was free.
    pub lane: u32,
    /// When it was started.
    pub from_ns: u64,
    /// When it was gone, or the replay was over.
    pub until_ns: u64,
    /// How it ended: `completed`, `preempted`, `aborted`, or `running` at the end of the replay.
    pub end: &'static str,
}

/// What a replay looked like over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// The width of a step.
    pub step_ns: u64,
    /// By tier of the workload.
    pub tiers: Vec<TierTimeline>,
    /// By tenant.
    pub tenants: Vec<TenantTimeline>,
    /// By tier, then by tenant.
    pub service: Vec<Vec<Service>>,
    /// Workers that serve one tier alone, by tier; `None` if all serve all.
    pub workers_of_tier: Option<Vec<usize>>,
    /// Every attempt in the order of its end, if asked for.
    pub spans: Vec<Span>,
}

/// A tier now, and its integrals over the steps.
#[derive(Clone, Debug, Default)]
struct TierSteps {
    reserve: u64,
    held: u64,
    waiting: u64,
    guaranteed: Vec<u128>,
    borrowed: Vec<u128>,
    reclaimed: Vec<u64>,
    waited: Vec<u128>,
    preemptions: Vec<u64>,
}

/// The free lanes of a worker.
#[derive(Clone, Debug, Default)]
struct Lanes {
    free: BinaryHeap<Reverse<u32>>,
    used: u32,
}

/// Writes a [`Timeline`]. Each call is O(1) but for the steps that pass, in which it is O(tiers).
#[derive(Clone, Debug)]
pub(super) struct Watcher {
    step_ns: u64,
    now: u64,
    capacity: u64,
    tiers: Vec<TierSteps>,
    tenants: Vec<TenantTimeline>,
    service: Vec<Vec<Service>>,
    workers_of_tier: Option<Vec<usize>>,
    spans: Option<Vec<Span>>,
    lanes: Vec<Lanes>,
    /// By index of the request: its attempt, until it ends.
    running: Vec<Option<Span>>,
}

impl Watcher {
    /// `capacity` is what all workers have, `reserves` the tiers' parts of it, in units.
    pub(super) fn new(
        watch: Watch,
        capacity: u64,
        reserves: Vec<u64>,
        tenants: usize,
        workers: usize,
        workers_of_tier: Option<Vec<usize>>,
    ) -> Self {
        let tier = |reserve| TierSteps { reserve, ..TierSteps::default() };
        Self {
            step_ns: FIRST_STEP_NS,
            now: 0,
            capacity,
            service: vec![vec![Service::default(); tenants]; reserves.len()],
            workers_of_tier,
            tiers: reserves.into_iter().map(tier).collect(),
            tenants: vec![TenantTimeline::default(); tenants],
            spans: (watch == Watch::Attempts).then(Vec::new),
            lanes: vec![Lanes::default(); workers],
            running: Vec::new(),
        }
    }

    /// Time goes on to `now`.
    pub(super) fn elapse(&mut self, now: u64) {
        while self.now < now {
            let step = self.step();
            let until = now.min((step as u64 + 1).saturating_mul(self.step_ns));
            let span = u128::from(until - self.now);
            for tier in &mut self.tiers {
                let guaranteed = tier.held.min(tier.reserve);
                *place(&mut tier.guaranteed, step) += span * u128::from(guaranteed);
                *place(&mut tier.borrowed, step) += span * u128::from(tier.held - guaranteed);
                *place(&mut tier.waited, step) += span * u128::from(tier.waiting);
            }
            self.now = until;
        }
    }

    /// The step in which now lies, after steps were made wide enough.
    fn step(&mut self) -> usize {
        while self.now / self.step_ns >= MAX_STEPS as u64 {
            self.step_ns *= 2;
            for tier in &mut self.tiers {
                halve(&mut tier.guaranteed);
                halve(&mut tier.borrowed);
                halve(&mut tier.waited);
                halve(&mut tier.reclaimed);
                halve(&mut tier.preemptions);
            }
            self.tenants.iter_mut().for_each(|tenant| halve(&mut tenant.served_over_time));
        }
        (self.now / self.step_ns) as usize
    }

    pub(super) fn wait(&mut self, tier: u8) {
        self.tiers[usize::from(tier)].waiting += 1;
    }

    pub(super) fn wait_no_more(&mut self, tier: u8) {
        self.tiers[usize::from(tier)].waiting -= 1;
    }

    pub(super) fn hold(&mut self, tier: u8, units: u32) {
        self.tiers[usize::from(tier)].held += u64::from(units);
    }

    /// A request begins an attempt; `span` has all but its lane and its end.
    pub(super) fn start(&mut self, index: u32, span: Span, units: u32) {
        self.wait_no_more(span.tier);
        self.hold(span.tier, units);
        if self.spans.is_none() {
            return;
        }
        let lanes = &mut self.lanes[span.worker as usize];
        let lane = lanes.free.pop().map_or(lanes.used, |Reverse(lane)| lane);
        lanes.used = lanes.used.max(lane + 1);
        *place(&mut self.running, index as usize) = Some(Span { lane, ..span });
    }

    /// An attempt is over, and gives its units back.
    pub(super) fn end(&mut self, index: u32, tier: u8, units: u32, end: &'static str) {
        self.tiers[usize::from(tier)].held -= u64::from(units);
        let (Some(spans), Some(span)) = (&mut self.spans, self.running.get_mut(index as usize)) else {
            return;
        };
        if let Some(span) = span.take() {
            self.lanes[span.worker as usize].free.push(Reverse(span.lane));
            spans.push(Span { until_ns: self.now, end, ..span });
        }
    }

    /// A request was stopped for another, and waits again.
    pub(super) fn preempt(&mut self, index: u32, tier: u8, tenant: u32, units: u32) {
        self.end(index, tier, units, "preempted");
        self.wait(tier);
        let step = self.step();
        let steps = &mut self.tiers[usize::from(tier)];
        *place(&mut steps.preemptions, step) += 1;
        *place(&mut steps.reclaimed, step) += u64::from(units);
        self.tenants[tenant as usize].preemptions += 1;
    }

    /// A request of the tenant completed, which got so many tokens or seconds.
    pub(super) fn serve(&mut self, tier: u8, tenant: u32, served: u64, of_it: Service) {
        let step = self.step();
        let service = &mut self.service[usize::from(tier)][tenant as usize];
        service.prompt_tokens += of_it.prompt_tokens;
        service.output_tokens += of_it.output_tokens;
        service.work_ns = service.work_ns.saturating_add(of_it.work_ns);
        let is_kept = self.tenants.len() <= MAX_TENANTS_OVER_TIME;
        let tenant = &mut self.tenants[tenant as usize];
        tenant.completed += 1;
        tenant.served += served;
        if is_kept {
            *place(&mut tenant.served_over_time, step) += served;
        }
    }

    /// The replay ended at `now`.
    pub(super) fn finish(mut self, now: u64) -> Timeline {
        self.elapse(now);
        let now = self.now;
        // The last step may have begun only now.
        let steps = self.step() + usize::from(!now.is_multiple_of(self.step_ns));
        let whole = |step: usize| {
            let from = step as u64 * self.step_ns;
            (now - from).min(self.step_ns) as f64
        };
        let capacity = self.capacity.max(1) as f64;
        let average = |sums: &[u128], by: f64| {
            (0..steps).map(|step| *sums.get(step).unwrap_or(&0) as f64 / whole(step) / by).collect()
        };
        let padded = |counts: &[u64]| -> Vec<u64> {
            (0..steps).map(|step| counts.get(step).copied().unwrap_or(0)).collect()
        };
        let tiers = self.tiers.iter().map(|tier| TierTimeline {
            reserve: tier.reserve as f64 / capacity,
            guaranteed: average(&tier.guaranteed, capacity),
            borrowed: average(&tier.borrowed, capacity),
            reclaimed: padded(&tier.reclaimed).iter().map(|&units| units as f64 / capacity).collect(),
            waiting: average(&tier.waited, 1.0),
            preemptions: padded(&tier.preemptions),
        });
        let tiers = tiers.collect();
        let mut spans = self.spans.take().unwrap_or_default();
        let open = self.running.iter().flatten();
        spans.extend(open.map(|span| Span { until_ns: now, end: "running", ..*span }));
        let Self { step_ns, tenants, service, workers_of_tier, .. } = self;
        Timeline { step_ns, tiers, tenants, service, workers_of_tier, spans }
    }
}

/// Adds every second value to the one before it.
fn halve<T: Copy + Default + std::ops::Add<Output = T>>(values: &mut Vec<T>) {
    let pair = |pair: &[T]| pair.iter().fold(T::default(), |sum, &value| sum + value);
    *values = values.chunks(2).map(pair).collect();
}

/// The value at an index, of a list that is made long enough.
fn place<T: Clone + Default>(values: &mut Vec<T>, index: usize) -> &mut T {
    if index >= values.len() {
        values.resize(index + 1, T::default());
    }
    &mut values[index]
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn span(worker: u32) -> Span {
        Span { request: 0, tenant: 0, tier: 0, worker, lane: 0, from_ns: 0, until_ns: 0, end: "" }
    }

    #[test]
    fn what_is_beyond_the_reserve_is_borrowed() {
        let mut watcher = Watcher::new(Watch::Attempts, 100, vec![30], 1, 1, None);
        watcher.wait(0);
        watcher.elapse(S);
        watcher.start(0, Span { from_ns: S, ..span(0) }, 20);
        watcher.elapse(2 * S);
        watcher.hold(0, 30);
        watcher.elapse(2 * S + S / 2);
        watcher.preempt(0, 0, 0, 50);
        let timeline = watcher.finish(3 * S);
        let tier = &timeline.tiers[0];
        assert_eq!(tier.reserve, 0.3);
        assert_eq!(tier.guaranteed, [0.0, 0.2, 0.15]);
        assert_eq!(tier.borrowed, [0.0, 0.0, 0.1]);
        assert_eq!(tier.waiting, [1.0, 0.0, 0.5]);
        assert_eq!((tier.preemptions.clone(), tier.reclaimed.clone()), (vec![0, 0, 1], vec![0.0, 0.0, 0.5]));
        let ended = Span { from_ns: S, until_ns: 2 * S + S / 2, end: "preempted", ..span(0) };
        assert_eq!(timeline.spans, [ended]);
    }

    #[test]
    fn a_week_has_no_more_steps_than_an_hour() {
        let mut watcher = Watcher::new(Watch::Steps, 10, vec![0], 1, 1, None);
        watcher.wait(0);
        watcher.start(0, span(0), 5);
        for hour in 1..=168 {
            watcher.elapse(hour * 3_600 * S);
            watcher.serve(0, 0, 100, Service { prompt_tokens: 60, output_tokens: 40, work_ns: 5 });
        }
        let timeline = watcher.finish(168 * 3_600 * S);
        let steps = timeline.tiers[0].borrowed.len();
        assert!((MAX_STEPS / 2..=MAX_STEPS).contains(&steps), "{steps}");
        assert!(timeline.tiers[0].borrowed.iter().all(|&share| (share - 0.5).abs() < 1e-12));
        assert_eq!(timeline.tenants[0].served_over_time.iter().sum::<u64>(), 16_800);
        let all = Service { prompt_tokens: 168 * 60, output_tokens: 168 * 40, work_ns: 168 * 5 };
        assert_eq!(timeline.service, [[all]]);
        assert!(timeline.spans.is_empty());
    }

    #[test]
    fn lanes_are_used_again_lowest_first() {
        let mut watcher = Watcher::new(Watch::Attempts, 10, vec![0], 1, 1, None);
        for index in 0..3 {
            watcher.wait(0);
            watcher.start(index, span(0), 1);
        }
        watcher.end(0, 0, 1, "completed");
        watcher.end(1, 0, 1, "completed");
        watcher.wait(0);
        watcher.start(3, span(0), 1);
        let lanes: Vec<u32> = watcher.finish(1).spans.iter().map(|span| span.lane).collect();
        assert_eq!(lanes, [0, 1, 2, 0]);
    }
}
