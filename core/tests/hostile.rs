//! What a hostile host tries: the end of time, claims without number, queues in which nobody fits.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the core has no clock and no threads; a test has

mod common;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use common::{World, starts, victims};
use tidegate::{
    Config, ConfigBuilder, Decline, DeviceSpec, Instant, MAX_TOKENS, Order, Ppm, Release, RequestId,
    Scheduler, Shrink, StepException, SubmitError, TenantId, TenantPolicy, Tier, TierConfig, Usage, WorkerId,
    WorkerSpec, Yielding,
};

fn tier(name: &str) -> TierConfig {
    TierConfig::new(name).hold_window(Duration::ZERO)
}

fn two_dimensions() -> ConfigBuilder {
    Config::builder().dimensions(["slots", "kv_blocks"]).min_run(Duration::ZERO)
}

/// TIME-1: at the largest instant there is no `drain_after` later; drains of two tiers must not chase each other
/// within one poll for ever.
#[test]
fn a_round_ends_at_the_end_of_time() {
    let config =
        two_dimensions().tier(TierConfig::new("a").reserve_ppm(1_000_000)).tier(tier("b")).tier(tier("c"));
    let mut world = World::with_workers(config, 1, [4, 4]);
    world.now = Instant::from_nanos(u64::MAX);
    // The first tier's hold keeps the two others from an idle worker.
    let held = world.submit(Tier::P0, [4, 4]);
    world.sched.cancel(world.now, held).expect("it waits");
    world.submit(Tier::P1, [4, 4]);
    world.submit(Tier::P2, [4, 4]);
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        for _ in 0..4 {
            world.round();
        }
        done.send(()).expect("the test waits");
    });
    assert!(ended.recv_timeout(Duration::from_secs(60)).is_ok(), "a poll does not return");
}

const CLAIMS: usize = 1_500;

/// Claims that are full on one worker: newcomers of an order other than arrival come first, so that more and more
/// choose victims.
fn many_full_claims() -> (Scheduler, WorkerId) {
    let first = tier("urgent").reserve_ppm(1_000_000).order(Order::Deadline);
    let mut world = World::new(two_dimensions().tier(first).tier(tier("batch")));
    let worker = world.worker([CLAIMS as u64, CLAIMS as u64]);
    let spec = world.spec(Tier::P1, [1, 1]);
    let mut sched = world.sched;
    for _ in 0..CLAIMS {
        sched.submit(Instant::ZERO, spec).expect("it is accepted");
    }
    while sched.poll(Instant::ZERO).is_some() {}
    let mut told = Vec::new();
    for left in (1..=CLAIMS).rev() {
        let mut urgent = spec;
        urgent.tier = Tier::P0;
        urgent.deadline = Some(Instant::from_nanos(left as u64));
        sched.submit(Instant::ZERO, urgent).expect("it is accepted");
        told.extend(std::iter::from_fn(|| sched.poll(Instant::ZERO)));
    }
    let told = victims(&told);
    assert_eq!(told.len(), CLAIMS, "each has a victim of its own");
    for victim in told {
        let attempt = tidegate::Attempt::new(1);
        sched.preempted(Instant::ZERO, victim, attempt, 0, Release::Done).expect("it was asked to stop");
    }
    (sched, worker)
}

/// Does something on a small stack. An overflow ends the process, so that a child does it: a test calls this first and
/// does nothing else.
fn on_a_small_stack(test: &str, act: impl FnOnce() + Send + 'static) {
    const CHILD: &str = "TIDEGATE_TEST_SMALL_STACK";
    if std::env::var_os(CHILD).is_none() {
        let this = std::env::current_exe().expect("a test runs from a file");
        let args = [test, "--exact", "--test-threads=1"];
        let child = Command::new(this).args(args).env(CHILD, "1").output().expect("it starts again");
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("1 passed"), "{said}{child:?}");
        return;
    }
    let small = std::thread::Builder::new().stack_size(128 << 10).spawn(act).expect("a thread starts");
    small.join().expect("it has room");
}

/// Claims that lose their earmarks at once dissolve one after the other, not one within the other: the depth of the
/// stack does not depend on how many there are.
#[test]
fn claims_without_number_dissolve_on_a_small_stack() {
    on_a_small_stack("claims_without_number_dissolve_on_a_small_stack", || {
        // What comes before would do on any stack.
        let many = std::thread::spawn(many_full_claims).join();
        let (mut sched, worker) = many.expect("they are laid");
        sched.worker_resize(Instant::ZERO, worker, [1, 1].into(), Shrink::Drain).expect("it is up");
        sched.check_invariants().expect("the books agree");
    });
}

/// Nor does it depend on how many that seek victims lack quota.
#[test]
fn those_without_quota_are_sent_to_wait_on_a_small_stack() {
    on_a_small_stack("those_without_quota_are_sent_to_wait_on_a_small_stack", || {
        let first = tier("urgent").reserve_ppm(1_000_000).order(Order::Fifo);
        let mut world = World::new(two_dimensions().tier(first).tier(tier("batch")));
        world.worker([4, 4]);
        for _ in 0..4 {
            world.submit(Tier::P1, [1, 1]);
        }
        world.round();
        let limited = world.sched.tenant_set(world.now, "limited").expect("a name");
        let policy = TenantPolicy::new().max_running(1);
        world.sched.tenant_configure(world.now, limited, &policy).expect("sound");
        let mut spec = world.spec(Tier::P0, [1, 1]);
        spec.tenant = limited;
        for _ in 0..4_000 {
            world.sched.submit(world.now, spec).expect("it is accepted");
        }
        assert_eq!(victims(&world.round()).len(), 1, "one of them may run");
        world.sched.check_invariants().expect("the books agree");
    });
}

/// How much longer one step of a host takes with sixteen times as many waiting.
fn slowdown<S: FnMut()>(host: impl Fn(usize) -> S) -> f64 {
    slowdown_between(1_000, 16_000, host)
}

/// How much longer one step of a host takes with `many` waiting than with `few`; the best of many tries by turns, so
/// that a busy machine does not matter.
fn slowdown_between<S: FnMut()>(few: usize, many: usize, host: impl Fn(usize) -> S) -> f64 {
    let mut hosts = [host(few), host(many)];
    let mut best = [Duration::MAX; 2];
    for _ in 0..15 {
        for (step, best) in hosts.iter_mut().zip(&mut best) {
            let begin = std::time::Instant::now();
            step();
            *best = begin.elapsed().min(*best);
        }
    }
    let [few, many] = best.map(|best| best.as_nanos().max(1_000) as f64);
    many / few
}

/// Between what a logarithm and what a walk over all would give.
const LINEAR: f64 = 6.0;

fn submit_many(world: &mut World, count: usize, tier: Tier, demand: [u64; 2]) -> Vec<RequestId> {
    let spec = world.spec(tier, demand);
    (0..count).map(|_| world.sched.submit(world.now, spec).expect("it is accepted")).collect()
}

/// A round, without the check of all invariants after each poll.
fn quick_round(world: &mut World) {
    while let Some(action) = world.sched.poll(world.now) {
        if let tidegate::Action::Start { request, attempt, worker, .. } = action {
            world.running.insert(request, (attempt, worker));
        }
    }
}

/// The first that runs completes, and the round after it.
fn complete_one(world: &mut World) {
    world.pass(Duration::from_micros(1));
    let (request, (attempt, _)) = world.running.pop_first().expect("somebody runs");
    world.sched.complete(world.now, request, attempt, Usage::default()).expect("it runs");
    quick_round(world);
}

fn three() -> ConfigBuilder {
    two_dimensions().tier(tier("a").reserve_ppm(300_000)).tier(tier("b")).tier(tier("c").reserve_ppm(50_000))
}

#[test]
fn a_round_does_not_try_all_that_no_device_has_room_for() {
    let slowdown = slowdown(|waiting| {
        let mut world = World::new(three());
        for _ in 0..4 {
            let limit = DeviceSpec { limit: [26, 0].into(), checkpoint_mib: None };
            let device = world.sched.device_add(world.now, limit).expect("a valid device");
            for _ in 0..4 {
                let replica = WorkerSpec::new([24, 24]).on(device);
                world.sched.worker_add(world.now, replica).expect("a valid worker");
            }
        }
        submit_many(&mut world, waiting, Tier::P2, [3, 0]);
        quick_round(&mut world);
        move || complete_one(&mut world)
    });
    assert!(slowdown < LINEAR, "{slowdown}");
}

#[test]
fn a_round_does_not_try_all_that_fit_between_many_unlike_workers() {
    let slowdown = slowdown(|waiting| {
        let mut world = World::new(three());
        for units in 1..=16 {
            world.worker([units, 17 - units]);
        }
        world.worker([40, 40]);
        submit_many(&mut world, 1, Tier::P2, [40, 40]);
        quick_round(&mut world);
        submit_many(&mut world, waiting, Tier::P2, [12, 8]);
        quick_round(&mut world);
        move || {
            submit_many(&mut world, 1, Tier::P2, [1, 1]);
            quick_round(&mut world);
            let (request, _) = world.running.pop_last().expect("the small one runs");
            world.sched.cancel(world.now, request).expect("it lives");
            quick_round(&mut world);
        }
    });
    assert!(slowdown < LINEAR, "{slowdown}");
}

#[test]
fn one_decline_does_not_make_each_round_look_at_all() {
    let slowdown = slowdown(|waiting| {
        let mut world = World::with_workers(three().decline_backoff(Duration::from_secs(30)), 1, [32, 32]);
        submit_many(&mut world, waiting, Tier::P1, [1, 0]);
        quick_round(&mut world);
        let (request, (attempt, _)) = world.running.pop_first().expect("somebody runs");
        world.sched.declined(world.now, request, attempt, Decline::NoRoom).expect("it is starting");
        quick_round(&mut world);
        move || complete_one(&mut world)
    });
    assert!(slowdown < LINEAR, "{slowdown}");
}

#[test]
fn a_round_does_not_try_all_that_never_yield() {
    let slowdown = slowdown(|waiting| {
        let config =
            two_dimensions().tier(tier("a").reserve_ppm(500_000)).tier(tier("b").reserve_ppm(100_000));
        let mut world = World::with_workers(config, 1, [64, 64]);
        let mut spec = world.spec(Tier::P1, [1, 0]);
        spec.yielding = Yielding::Never;
        for _ in 0..waiting {
            world.sched.submit(world.now, spec).expect("it is accepted");
        }
        quick_round(&mut world);
        move || complete_one(&mut world)
    });
    assert!(slowdown < LINEAR, "{slowdown}");
}

#[test]
fn a_round_does_not_try_all_that_are_beyond_their_limit() {
    let slowdown = slowdown(|waiting| {
        let config = two_dimensions().tier(tier("a").borrow_limit([100, 1])).tier(tier("b"));
        let mut world = World::with_workers(config, 1, [10, 1_000]);
        submit_many(&mut world, 1, Tier::P1, [10, 0]);
        submit_many(&mut world, 1, Tier::P0, [0, 1]);
        quick_round(&mut world);
        submit_many(&mut world, 1, Tier::P0, [5, 0]);
        submit_many(&mut world, waiting, Tier::P0, [0, 1]);
        quick_round(&mut world);
        move || {
            let newest = submit_many(&mut world, 1, Tier::P1, [10, 0])[0];
            quick_round(&mut world);
            world.sched.cancel(world.now, newest).expect("it lives");
            quick_round(&mut world);
        }
    });
    assert!(slowdown < LINEAR, "{slowdown}");
}

#[test]
fn a_newcomer_that_is_refused_does_not_walk_the_queue() {
    let slowdown = slowdown(|waiting| {
        let config = three().displace(true).queue_token_limit(MAX_TOKENS);
        let mut world = World::with_workers(config, 1, [1, 1]);
        let mut huge = world.spec(Tier::P0, [1, 0]);
        huge.prompt_tokens = MAX_TOKENS / 2;
        world.sched.submit(world.now, huge).expect("it is accepted");
        submit_many(&mut world, waiting, Tier::P1, [1, 0]);
        huge.prompt_tokens = MAX_TOKENS;
        move || {
            let refused = world.sched.submit(world.now, huge);
            assert!(matches!(refused, Err(SubmitError::QueueFull { .. })));
        }
    });
    assert!(slowdown < LINEAR, "{slowdown}");
}

/// A step costs by its exceptions, however many run, as long as nobody outruns what was charged for it.
#[test]
fn a_step_does_not_walk_those_that_run() {
    let slowdown = slowdown(|running| {
        let mut world = World::with_workers(three(), 1, [running as u64, running as u64]);
        let spec = world.spec(Tier::P1, [1, 1]).output_tokens(1 << 30);
        for _ in 0..running {
            world.sched.submit(world.now, spec).expect("it is accepted");
        }
        quick_round(&mut world);
        assert_eq!(world.running.len(), running);
        for (&request, &(attempt, _)) in &world.running {
            world.sched.progress(world.now, request, attempt, 1, [1, 1].into()).expect("it runs");
        }
        let (&request, &(attempt, worker)) = world.running.first_key_value().expect("somebody runs");
        let mut output_tokens = 1;
        move || {
            for _ in 0..100 {
                output_tokens += 1;
                let exception = StepException { request, attempt, output_tokens, in_use: [1, 1].into() };
                world.sched.step(world.now, worker, 1, &[exception]).expect("it is up");
            }
        }
    });
    assert!(slowdown < LINEAR, "{slowdown}");
}

/// Workers that hang together by their devices do not make a report of one walk over all of them.
#[test]
fn a_report_does_not_walk_a_chain_of_devices() {
    let slowdown = slowdown(|waiting| {
        let mut world = World::new(three());
        let half = Ppm::new(500_000);
        let mut left = world.sched.device_add(world.now, DeviceSpec::default()).expect("a valid device");
        for _ in 0..waiting / 20 {
            let right = world.sched.device_add(world.now, DeviceSpec::default()).expect("a valid device");
            let spec = WorkerSpec::new([4, 4]).on_part(left, half).on_part(right, half);
            world.sched.worker_add(world.now, spec).expect("a valid worker");
            left = right;
        }
        let request = world.submit(Tier::P0, [1, 1]);
        assert_eq!(starts(&world.round()), [request]);
        let (attempt, mut tokens) = (world.attempt(request), 0);
        move || {
            tokens += 1;
            let in_use = [1, 1 + tokens % 2].into();
            world.sched.progress(world.now, request, attempt, tokens, in_use).expect("it runs");
        }
    });
    assert!(slowdown < LINEAR, "{slowdown}");
}

/// A decision among ninety thousand tenants that want something, of a hundred thousand that are known, costs about as
/// much as among ten.
#[test]
fn a_decision_does_not_walk_the_tenants() {
    const KNOWN: usize = 100_000;
    let slowdown = slowdown_between(10, 90_000, |active| {
        let mut world = World::with_workers(three(), 1, [64, 64]);
        let named = |number| world.sched.tenant_set(world.now, &format!("t{number}")).expect("a name");
        let tenants: Vec<TenantId> = (0..KNOWN).map(named).collect();
        // The machine is full of one tenant's requests; each of the others has one in the queue.
        submit_many(&mut world, 64, Tier::P1, [1, 1]);
        quick_round(&mut world);
        let mut owners = BTreeMap::new();
        let submit = |world: &mut World, owners: &mut BTreeMap<RequestId, TenantId>, tenant| {
            world.tenant = tenant;
            owners.insert(submit_many(world, 1, Tier::P1, [1, 1])[0], tenant);
        };
        for &tenant in &tenants[..active] {
            submit(&mut world, &mut owners, tenant);
        }
        move || {
            complete_one(&mut world);
            let started = world.running.keys().find(|id| owners.contains_key(id));
            let tenant = owners.remove(&started.copied().expect("there is room for one")).expect("it waited");
            submit(&mut world, &mut owners, tenant);
        }
    });
    assert!(slowdown < LINEAR, "{slowdown}");
}

/// What a host declines is forgotten when its back-off is over, even if nobody waits when a round ends.
#[test]
fn declines_leave_nothing_behind() {
    let backoff = Duration::from_millis(1);
    let mut world = World::with_workers(three().decline_backoff(backoff), 2, [4, 4]);
    let mut told = |rounds: u32| {
        for _ in 0..rounds {
            let request = submit_many(&mut world, 1, Tier::P1, [1, 1])[0];
            quick_round(&mut world);
            let (attempt, _) = world.running.remove(&request).expect("it starts on one of them");
            world.sched.declined(world.now, request, attempt, Decline::NoRoom).expect("it is starting");
            quick_round(&mut world);
            complete_one(&mut world);
            world.pass(Duration::from_secs(1));
        }
        format!("{:?}", world.sched).len()
    };
    let few = told(1_500); // rounds of a second: samples of what tiers want are kept for 21 minutes
    let many = told(1_000);
    assert!(many < few + 500, "what is remembered grew from {few} to {many} characters");
}

/// A host that reports truthfully what engines use beyond their requests, and does what it is told.
fn rounds_of_an_engine_with_overhead(world: &mut World, rounds: usize, overhead: u64) -> usize {
    let mut stopped = 0;
    for _ in 0..rounds {
        let told: Vec<_> = std::iter::from_fn(|| {
            let action = world.sched.poll(world.now)?;
            if let tidegate::Action::Start { request, attempt, worker, .. } = action {
                world.running.insert(request, (attempt, worker));
                let here = world.running.values().filter(|&&(_, on)| on == worker).count() as u64;
                let in_use = [4 * here + overhead, 0].into();
                world.sched.worker_usage(world.now, worker, in_use).expect("it is up");
            }
            Some(action)
        })
        .collect();
        stopped += victims(&told).len();
        world.obey(&told);
        world.pass(Duration::from_millis(50));
    }
    stopped
}

/// PRE-5 for memory pressure: what stopped for want of memory does not start again, stop again, and so on, while
/// nothing else has changed.
#[test]
fn memory_pressure_does_not_start_and_stop_one_request_for_ever() {
    let mut world = World::new(three().placement(tidegate::Placement::Spread));
    let card = DeviceSpec { limit: [10, 0].into(), checkpoint_mib: None };
    let card = world.sched.device_add(world.now, card).expect("a valid device");
    for _ in 0..2 {
        world.sched.worker_add(world.now, WorkerSpec::new([10, 10]).on(card)).expect("a valid worker");
    }
    world.submit_many(2, Tier::P2, [4, 0]);
    let stopped = rounds_of_an_engine_with_overhead(&mut world, 200, 2);
    assert!(stopped <= 20, "{stopped} stops of one request in 200 rounds");
}

/// CAP-6: a worker that is idle is not closed for ever by what its engine last said.
#[test]
fn a_late_report_of_an_idle_worker_does_not_close_it() {
    let mut world = World::with_workers(three(), 1, [4, 4]);
    let first = world.submit(Tier::P0, [1, 1]);
    world.round();
    world.complete(first);
    world.sched.worker_usage(world.now, WorkerId::new(0), [4, 4].into()).expect("it is up");
    let next = world.submit(Tier::P0, [1, 1]);
    for _ in 0..100 {
        world.round();
        if world.running.contains_key(&next) || !world.jump() {
            break;
        }
    }
    assert!(world.running.contains_key(&next), "{next} waits on an idle machine at {}", world.now);
}

/// A tier's guarantee of a whole worker is met though another tier's guaranteed starts could always be spread over all.
#[test]
fn a_drained_worker_is_the_last_choice_of_guaranteed_starts() {
    let config = two_dimensions()
        .placement(tidegate::Placement::Spread)
        .tier(tier("a").reserve_ppm(500_000))
        .tier(tier("b").reserve_ppm(500_000));
    let mut world = World::with_workers(config, 2, [4, 4]);
    world.submit_many(4, Tier::P1, [1, 1]);
    world.round();
    let large = world.submit(Tier::P0, [4, 4]);
    for _ in 0..200 {
        world.round();
        if world.running.contains_key(&large) {
            return;
        }
        let oldest = world.submitted.iter().find(|id| world.running.contains_key(id));
        let oldest = *oldest.expect("four run");
        world.complete(oldest);
        world.submit(Tier::P1, [1, 1]);
        world.pass(Duration::from_millis(100));
    }
    panic!(
        "{large} is within its tier's reserve, and half of the machine is idle: {:?}",
        world.sched.explain(large)
    );
}
