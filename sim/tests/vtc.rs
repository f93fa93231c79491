//! FAIR-1 on the real requests of VTC's artifact (OSDI'24): 27 tenants, one engine, the artifact's setting.

#[path = "../../core/tests/common/counters.rs"]
mod counters;

use std::path::Path;

use counters::{Counters, SCALE};
use tidegate_sim::paper::t1::engine::{Job, POOL_TOKENS, Policy, Running, serve};
use tidegate_sim::paper::t1::hosted::{Foresight, Hosted};
use tidegate_sim::trace::{self, LoadOptions, Work, Workload};

/// VTC's bound: the cost of as many output tokens as the engine has room for.
const BOUND: i128 = 2 * POOL_TOKENS as i128;
/// Output tokens that are charged ahead of those that are known.
const AHEAD: u64 = 64;

/// tidegate, with counters kept beside it from what it starts.
struct Watched {
    hosted: Hosted,
    counters: Counters,
    /// Output tokens that each request is charged for.
    charged: Vec<u64>,
    /// The request that waits for room.
    tried: Option<usize>,
    jobs: Vec<Job>,
    gap: i128,
    /// Whether every start was of the tenant that had least.
    in_order: bool,
}

impl Watched {
    fn new(jobs: &[Job], tenants: usize) -> Self {
        Self {
            hosted: Hosted::new(Foresight::None, tenants),
            counters: Counters::new(&vec![1; tenants]),
            charged: vec![0; jobs.len()],
            tried: None,
            jobs: jobs.to_vec(),
            gap: 0,
            in_order: true,
        }
    }

    fn charge(&mut self, one: &Running<'_>, output: u64) {
        let cost = |output: u64| one.job.prompt + 2 * output;
        self.counters.charged(one.job.client, cost(self.charged[one.index]), cost(output));
        self.charged[one.index] = output;
        self.note_gap();
    }

    fn note_gap(&mut self) {
        self.gap = self.gap.max(self.counters.gap());
    }
}

impl Policy for Watched {
    fn arrives(&mut self, now_ns: u64, index: usize, job: &Job) -> bool {
        self.counters.submitted(job.client);
        self.note_gap();
        self.hosted.arrives(now_ns, index, job)
    }

    fn next(&mut self, now_ns: u64) -> Option<usize> {
        let next = self.hosted.next(now_ns)?;
        if self.tried.is_none() {
            self.tried = Some(next);
            let Job { client, prompt, .. } = self.jobs[next];
            self.in_order &= self.counters.started(client);
            self.counters.charged(client, 0, prompt);
            self.note_gap();
        }
        Some(next)
    }

    fn admitted(&mut self, now_ns: u64, index: usize, job: &Job) {
        self.tried = None;
        self.hosted.admitted(now_ns, index, job);
    }

    fn stepped(&mut self, now_ns: u64, running: &[Running<'_>]) {
        self.hosted.stepped(now_ns, running);
        for one in running {
            if one.generated > self.charged[one.index] {
                self.charge(one, one.generated + AHEAD);
            }
        }
        for one in running.iter().filter(|one| one.is_done()) {
            self.charge(one, one.generated);
        }
    }
}

fn jobs(load: &Workload) -> Vec<Job> {
    let job = |request: &trace::TraceRequest| {
        let Work::Tokens { prompt, output } = request.work else { panic!("no job of a GPU") };
        let (prompt, output) = (prompt.into(), output.into());
        Job { client: request.tenant as usize, tier: 0, arrival_ns: request.arrival_ns, prompt, output }
    };
    load.requests.iter().map(job).collect()
}

/// Without a lift they are 34,211 apart.
#[test]
fn counters_stay_within_the_bound_on_the_vtc_trace() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces/vtc-runs/vtc-real.jsonl.gz");
    if !file.is_file() {
        assert!(std::env::var_os("CI").is_none(), "{} is not there", file.display());
        eprintln!("not run: {} is not there", file.display());
        return;
    }
    let spec = format!("vtc:{}", file.display()).parse().expect("a kind and a path");
    let load = trace::load(&[spec], &LoadOptions::default()).expect("the published file has no fault");
    assert_eq!((load.requests.len(), load.tenants.len()), (1_500, 27));
    let jobs = jobs(&load);
    let mut watched = Watched::new(&jobs, load.tenants.len());
    let answers = serve(&jobs, &mut watched);
    assert!(answers.iter().all(Option::is_some), "somebody was not served");
    let gap = watched.gap / SCALE;
    println!("largest gap {gap}, bound {BOUND}");
    assert!(gap <= BOUND, "{gap}");
    assert!(watched.in_order, "somebody started whose tenant had more than another");
}
