//! The run: pods come and end, processes that serve GPUs die, a [`Policy`] says who starts where and who stops.
//!
//! Of one instant ends come first, then deaths, then arrivals, then whatever the policy has to say. Everything is by number
//! and time: a run comes out the same twice. Time is linear in events, and in what the policy does at each.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::Gpus;
use super::pods::{CLASSES, Pod};
use crate::paper::draws::Figures;
use crate::percentile::Percentiles;

/// The cluster is looked at again no sooner, whatever a policy says: 1 ms.
const SOONEST_NS: u64 = 1_000_000;
/// So often in a row a policy may be asked again for nothing, before it is taken to be stuck.
const MAX_IDLE_WAKES: u32 = 1_000_000;
/// An instant that does not come.
const NEVER: u64 = u64::MAX;
const NS_PER_S: f64 = 1e9;
/// Latency sensitive pods serve: what they have served stays so, and they are there again for the rest of their time. All others
/// begin anew.
const SERVES: usize = 0;

/// What a policy wants done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A pod starts; one that ran before goes on if it serves, else it begins anew.
    Start {
        /// Its number.
        id: usize,
        /// On which GPU.
        gpu: usize,
    },
    /// A pod stops at once, and waits again.
    Stop {
        /// Its number.
        id: usize,
    },
    /// A pod ends without having done what it came for.
    Fail {
        /// Its number.
        id: usize,
    },
}

/// Who starts where, and who stops.
pub trait Policy {
    /// A pod comes.
    fn submit(&mut self, now_ns: u64, id: usize, pod: &Pod);
    /// What is to be done now, one step after the other; `None` if nothing.
    fn next(&mut self, now_ns: u64, gpus: &Gpus) -> Option<Step>;
    /// One that ran has ended.
    fn ended(&mut self, now_ns: u64, id: usize);
    /// The process that serves a GPU died, and what `ran` there with it, of that many thousandths each; another serves the
    /// GPU at once.
    fn died(&mut self, now_ns: u64, gpu: usize, ran: &[(usize, u32)]);
    /// When to look again although nothing happened.
    fn wakes_at(&self) -> Option<u64>;
}

/// How a run is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// GPUs.
    pub gpus: usize,
    /// What GPUs hold counts from here until the last pod comes.
    pub from_ns: u64,
    /// A GPU's server dies so often, each GPU's in turn, until the last pod comes; never if 0.
    pub deaths_every_ns: u64,
}

/// A run.
struct Run<'a> {
    pods: &'a [Pod],
    terms: Terms,
    gpus: Gpus,
    now: u64,
    last_arrival: u64,
    /// The pods that run: their GPU, since when, and until when.
    running: BTreeMap<usize, (usize, u64, u64)>,
    /// By pod: what of its time is done for good.
    done_ns: Vec<u64>,
    ends: BTreeSet<(u64, usize)>,
    /// By class, of those that completed: nanoseconds between arrival and end in which they did not do what they came for.
    waits: [Vec<u64>; CLASSES.len()],
    /// Integrals over the measured time, in GPU-nanoseconds.
    fragmented: f64,
    unused: f64,
    stopped: u32,
    killed: u32,
    failed: u32,
    wasted_gpu_ns: f64,
}

/// Lets the pods run, and says what came of it.
///
/// # Panics
/// If the policy puts more on a GPU than it has, speaks of a pod that is not there, or leaves one waiting for ever.
pub fn serve(pods: &[Pod], terms: Terms, policy: &mut dyn Policy) -> Figures {
    let mut run = Run {
        pods,
        terms,
        gpus: Gpus::new(terms.gpus, pods),
        now: 0,
        last_arrival: pods.last().map_or(0, |pod| pod.arrival_ns),
        running: BTreeMap::new(),
        done_ns: vec![0; pods.len()],
        ends: BTreeSet::new(),
        waits: Default::default(),
        fragmented: 0.0,
        unused: 0.0,
        stopped: 0,
        killed: 0,
        failed: 0,
        wasted_gpu_ns: 0.0,
    };
    let (mut arrived, mut deaths, mut idle_wakes) = (0, 0_u64, 0);
    loop {
        let arrival = pods.get(arrived).map_or(NEVER, |pod| pod.arrival_ns);
        let end = run.ends.first().map_or(NEVER, |&(at, _)| at);
        let death = (deaths + 1).checked_mul(terms.deaths_every_ns).filter(|&at| at > 0);
        let death = death.filter(|&at| at <= run.last_arrival).unwrap_or(NEVER);
        let wake = policy.wakes_at().map_or(NEVER, |at| at.max(run.now + SOONEST_NS));
        let now = arrival.min(end).min(death).min(wake);
        if now == NEVER {
            break;
        }
        run.elapse(now);
        idle_wakes = if now == wake { idle_wakes + 1 } else { 0 };
        assert!(idle_wakes <= MAX_IDLE_WAKES, "asked to be woken again and again, for nothing");
        while let Some(&(at, id)) = run.ends.first()
            && at <= now
        {
            run.end(id);
            policy.ended(now, id);
        }
        if death <= now {
            let gpu = (deaths % terms.gpus as u64) as usize;
            deaths += 1;
            let ran = run.kill(gpu);
            policy.died(now, gpu, &ran);
        }
        while let Some(pod) = pods.get(arrived)
            && pod.arrival_ns <= now
        {
            policy.submit(now, arrived, pod);
            arrived += 1;
        }
        while let Some(step) = policy.next(now, &run.gpus) {
            run.obey(step);
            idle_wakes = 0;
        }
    }
    let done = run.waits.iter().map(Vec::len).sum::<usize>() + run.failed as usize;
    assert_eq!((done, run.running.len()), (pods.len(), 0), "every pod ends");
    run.figures()
}

impl Run<'_> {
    fn elapse(&mut self, now: u64) {
        let (from, until) = (self.now.max(self.terms.from_ns), now.min(self.last_arrival));
        let span = until.saturating_sub(from) as f64;
        self.fragmented += span * self.gpus.fragmented();
        self.unused += span * self.gpus.unused();
        self.now = now;
    }

    /// Takes a pod off its GPU. Returns how long it had been there.
    fn leave(&mut self, id: usize) -> u64 {
        let (gpu, since, until) = self.running.remove(&id).expect("only what runs can leave");
        self.ends.remove(&(until, id));
        self.gpus.give(gpu, self.pods[id].milli);
        self.now - since
    }

    fn end(&mut self, id: usize) {
        self.leave(id);
        let Pod { arrival_ns, class, duration_ns, .. } = self.pods[id];
        self.waits[class].push(self.now - arrival_ns - duration_ns);
    }

    fn waste(&mut self, id: usize) {
        let ran = self.leave(id);
        if self.pods[id].class == SERVES {
            self.done_ns[id] += ran;
            return;
        }
        self.wasted_gpu_ns += ran as f64 * f64::from(self.pods[id].milli) / 1e3;
    }

    fn kill(&mut self, gpu: usize) -> Vec<(usize, u32)> {
        let here = self.running.iter().filter(|(_, (on, ..))| *on == gpu).map(|(&id, _)| id);
        let here: Vec<_> = here.map(|id| (id, self.pods[id].milli)).collect();
        for &(id, _) in &here {
            self.killed += 1;
            self.waste(id);
        }
        here
    }

    fn obey(&mut self, step: Step) {
        match step {
            Step::Start { id, gpu } => {
                self.gpus.take(gpu, self.pods[id].milli);
                let until = self.now + self.pods[id].duration_ns - self.done_ns[id];
                let before = self.running.insert(id, (gpu, self.now, until));
                assert_eq!(before, None, "pod {id} runs already");
                self.ends.insert((until, id));
            }
            Step::Stop { id } => {
                self.stopped += 1;
                self.waste(id);
            }
            Step::Fail { id } => {
                assert!(!self.running.contains_key(&id), "pod {id} runs");
                self.failed += 1;
            }
        }
    }

    fn figures(mut self) -> Figures {
        let span = self.last_arrival.saturating_sub(self.terms.from_ns) as f64;
        let share = |part: f64, whole: f64| if whole > 0.0 { 100.0 * part / whole } else { 0.0 };
        let all = span * self.terms.gpus as f64;
        let mut figures = Figures::from([
            ("fragmented_gpus", if span > 0.0 { self.fragmented / span } else { 0.0 }),
            ("fragmented_percent", share(self.fragmented, self.unused)),
            ("used_percent", share(all - self.unused, all)),
            ("fullest_gpu_milli", self.gpus.fullest().into()),
            ("stopped", self.stopped.into()),
            ("killed", self.killed.into()),
            ("failed", self.failed.into()),
            ("wasted_gpu_h", self.wasted_gpu_ns / NS_PER_S / 3_600.0),
        ]);
        const WAITS: [[&str; 2]; CLASSES.len()] = [
            ["ls_wait_mean_s", "ls_wait_p99_s"],
            ["burstable_wait_mean_s", "burstable_wait_p99_s"],
            ["be_wait_mean_s", "be_wait_p99_s"],
        ];
        for ([mean, p99], waits) in WAITS.into_iter().zip(std::mem::take(&mut self.waits)) {
            if waits.is_empty() {
                continue;
            }
            let sum: u128 = waits.iter().map(|&wait| u128::from(wait)).sum();
            figures.insert(mean, sum as f64 / waits.len() as f64 / NS_PER_S);
            figures.insert(p99, Percentiles::of(waits).p99.unwrap_or(0) as f64 / NS_PER_S);
        }
        figures
    }
}
