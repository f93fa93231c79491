//! openb (FGD, ATC'23): pods as slices of GPUs. That no GPU holds more than it has is asserted within each run.

use tidegate_sim::paper::draws::Figures;
use tidegate_sim::paper::openb::hosted::Hosted;
use tidegate_sim::paper::openb::pods::{Pod, pods};
use tidegate_sim::paper::openb::policies::{Fit, InOrder};
use tidegate_sim::paper::openb::serve::{Policy, Terms, serve};
use tidegate_sim::paper::openb::table::{FROM_S, NEVER, REPLICAS};

/// Less than what the pods ask for at their busiest: somebody has to wait.
const GPUS: usize = 26;
/// The first of the trace, for the time that a test may take.
const PODS: usize = 800;
const NS_PER_S: u64 = 1_000_000_000;
/// Often enough that some of those who cannot start over are hit.
const DEATHS_EVERY_S: u64 = 6 * 3_600;

fn run(pods: &[Pod], deaths_every_s: u64, policy: &mut dyn Policy) -> Figures {
    let deaths_every_ns = deaths_every_s * NS_PER_S;
    serve(pods, Terms { gpus: GPUS, from_ns: FROM_S * NS_PER_S, deaths_every_ns }, policy)
}

fn trace() -> Option<Vec<Pod>> {
    let mut pods = pods(&super::traces()?).expect("the trace can be read").0;
    pods.truncate(PODS);
    Some(pods)
}

#[test]
fn latency_sensitive_pods_wait_less_than_best_effort() {
    let Some(pods) = trace() else { return };
    let found = run(&pods, 0, &mut Hosted::new(GPUS, 1, None));
    println!("tidegate: {found:?}");
    for figure in ["wait_mean_s", "wait_p99_s"] {
        let [ls, be] = ["ls", "be"].map(|class| found[&*format!("{class}_{figure}")]);
        assert!(ls < be, "{figure}: LS {ls}, BE {be}");
    }
    assert!(found["fullest_gpu_milli"] <= 1_000.0 && found["failed"] == 0.0, "{found:?}");
    for fit in [Fit::First, Fit::Best, Fit::LeastFragments] {
        let other = run(&pods, 0, &mut InOrder::new(fit));
        println!("{fit:?}: {other:?}");
        assert!(found["fragmented_gpus"] > 0.0 && other["fragmented_gpus"] > 0.0);
    }
}

/// A server of a GPU takes along what runs on that GPU, and nothing else: whoever can start over completes in the end, the
/// others fail, and the run says so of every pod.
#[test]
fn servers_that_die_take_along_only_what_runs_on_their_gpu() {
    let Some(pods) = trace() else { return };
    let found = run(&pods, DEATHS_EVERY_S, &mut Hosted::new(GPUS, 1, Some(NEVER)));
    println!("deaths: {found:?}");
    assert!(found["killed"] > found["failed"] && found["failed"] > 0.0, "{found:?}");
    let never = pods.len().div_ceil(NEVER);
    assert!(found["failed"] <= never as f64, "of {never} that cannot start over: {found:?}");
}

#[test]
fn a_run_comes_out_the_same_twice() {
    let Some(pods) = trace() else { return };
    let again = || run(&pods, DEATHS_EVERY_S, &mut Hosted::new(GPUS, 1, Some(NEVER)));
    assert_eq!(again(), again());
}

/// Replicas of a GPU may each use all of it, and together no more: asserted at each start. One client that dies takes along
/// all of its GPU's.
#[test]
fn replicas_of_a_gpu_hold_no_more_than_it_has() {
    let Some(pods) = trace() else { return };
    let found = run(&pods, DEATHS_EVERY_S, &mut Hosted::new(GPUS, REPLICAS, Some(NEVER)));
    println!("replicas: {found:?}");
    assert!(found["fullest_gpu_milli"] <= 1_000.0, "{found:?}");
    assert!(found["killed"] > found["failed"] && found["failed"] > 0.0, "{found:?}");
    assert!(found["ls_wait_mean_s"] < found["be_wait_mean_s"], "{found:?}");
}
