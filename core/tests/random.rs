//! Random worlds: whatever a host does, the invariants hold after every input, nothing is offered early or
//! late, everything ends, and a journal of it all replays to the same actions.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::World;
use common::configs::configs;
use proptest::prelude::*;
use tidegate::{
    Action, Decline, Digest, Instant, Reason, Recorder, Release, RequestId, RequestSpec, RequestState,
    Scheduler, Tier, WorkerId, WorkerSpec, Yielding,
};

/// One thing that a host may do. Numbers pick among what there is.
#[derive(Clone, Debug)]
enum Step {
    Submit {
        tier: u8,
        slots: u64,
        blocks: u64,
        yielding: u8,
        timeout_ms: Option<u64>,
    },
    Cancel(usize),
    Progress {
        pick: usize,
        blocks: u64,
    },
    Started(usize),
    Declined(usize),
    Complete(usize),
    Failed(usize),
    Stop {
        pick: usize,
        releasing: bool,
        kept: u64,
    },
    Release(usize),
    WorkerAdd {
        slots: u64,
        blocks: u64,
        spare: bool,
        replaces: Option<u32>,
    },
    WorkerDrain(u32),
    WorkerLost(u32),
    /// Polls this often, perhaps not to the end of the round.
    Poll(usize),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pick = 0_usize..64;
    let step = prop_oneof![
        8 => (0_u8..3, 1_u64..4, 0_u64..40, 0_u8..6, proptest::option::weighted(0.2, 1_u64..5_000)).prop_map(
            |(tier, slots, blocks, yielding, timeout_ms)| Step::Submit { tier, slots, blocks, yielding, timeout_ms }
        ),
        1 => pick.clone().prop_map(Step::Cancel),
        4 => (pick.clone(), 0_u64..60).prop_map(|(pick, blocks)| Step::Progress { pick, blocks }),
        2 => pick.clone().prop_map(Step::Started),
        1 => pick.clone().prop_map(Step::Declined),
        4 => pick.clone().prop_map(Step::Complete),
        1 => pick.clone().prop_map(Step::Failed),
        6 => (pick.clone(), any::<bool>(), 0_u64..50).prop_map(|(pick, releasing, kept)| Step::Stop { pick, releasing, kept }),
        3 => pick.clone().prop_map(Step::Release),
        2 => (1_u64..8, 10_u64..80, any::<bool>(), proptest::option::of(0_u32..8)).prop_map(
            |(slots, blocks, spare, replaces)| Step::WorkerAdd { slots, blocks, spare, replaces }
        ),
        1 => (0_u32..6).prop_map(Step::WorkerDrain),
        2 => (0_u32..8).prop_map(Step::WorkerLost),
        8 => (1_usize..40).prop_map(Step::Poll),
        4 => (1_u64..3_000).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..120)
}

/// Does a step in the world, if there is anything to do it to.
fn take(world: &mut World, step: &Step) {
    let now = world.now;
    let live: Vec<RequestId> = world.running.keys().copied().collect();
    let picked = |pick: usize| live.get(pick % live.len().max(1)).map(|&id| (id, world.running[&id].0));
    match *step {
        Step::Submit { tier, slots, blocks, yielding, timeout_ms } => {
            let yielding =
                [Yielding::Restart, Yielding::Checkpoint, Yielding::Never][usize::from(yielding % 6) / 2];
            let mut spec =
                RequestSpec::new(world.tenant, Tier::new(tier)).demand([slots, blocks]).yielding(yielding);
            spec.queue_timeout_ns = timeout_ms.map(|ms| ms * 1_000_000);
            world.submitted.extend(world.sched.submit(now, spec)); // limits and sizes may refuse it
        }
        Step::Progress { pick, blocks } => {
            if let Some((id, attempt)) = picked(pick) {
                let heard = world.sched.progress(now, id, attempt, blocks, [1, blocks].into());
                world.has_run.extend(heard.map(|()| id)); // it may be releasing
            }
        }
        Step::Started(pick) => {
            if let Some((id, attempt)) = picked(pick) {
                let heard = world.sched.started(now, id, attempt, 0, [1, 1].into());
                world.has_run.extend(heard.map(|()| id)); // it may run already
            }
        }
        Step::Declined(pick) => {
            if let Some((id, attempt)) = picked(pick)
                && world.sched.declined(now, id, attempt, Decline::NoRoom).is_ok()
            {
                world.running.remove(&id);
            }
        }
        Step::Cancel(pick) | Step::Complete(pick) | Step::Failed(pick) => {
            if let Some((id, attempt)) = picked(pick) {
                let ended = match step {
                    Step::Cancel(_) => world.sched.cancel(now, id),
                    Step::Complete(_) => world.sched.complete(now, id, attempt, Default::default()),
                    _ => world.sched.failed(now, id, attempt),
                };
                if ended.is_ok() {
                    world.running.remove(&id);
                }
            }
        }
        Step::Stop { pick, releasing, kept } => {
            let release = if releasing { Release::Later } else { Release::Done };
            if let Some((id, attempt)) = picked(pick)
                && world.sched.preempted(now, id, attempt, kept, release).is_ok()
            {
                world.has_run.insert(id);
                if !releasing {
                    world.running.remove(&id);
                }
            }
        }
        Step::Release(pick) => {
            if let Some((id, attempt)) = picked(pick)
                && world.sched.released(now, id, attempt).is_ok()
            {
                world.running.remove(&id);
            }
        }
        Step::WorkerAdd { slots, blocks, spare, replaces } => {
            let mut spec = WorkerSpec::new([slots, blocks]);
            (spec.spare, spec.replaces) = (spare, replaces.map(WorkerId::new));
            let _ = world.sched.worker_add(now, spec); // the one to replace may not be lost
        }
        Step::WorkerDrain(number) => {
            let _ = world.sched.worker_drain(now, WorkerId::new(number)); // it may not exist
        }
        Step::WorkerLost(number) => {
            if world.sched.worker_lost(now, WorkerId::new(number)).is_ok() {
                let lost = world.running.extract_if(.., |_, (_, worker)| worker.get() == number);
                world.has_run.extend(lost.map(|(id, _)| id));
            }
        }
        Step::Poll(times) => poll(world, times),
        Step::Pass(ms) => world.pass(Duration::from_millis(ms)),
    }
    world.check();
}

/// Polls, and holds every action against what it may be.
fn poll(world: &mut World, times: usize) {
    for _ in 0..times {
        let before: BTreeMap<RequestId, RequestState> =
            world.running.keys().filter_map(|&id| Some((id, world.sched.state(id).ok()?))).collect();
        let Some(action) = world.poll_one() else { return };
        match action {
            Action::Start { request, attempt, worker, .. } => {
                let old = world.running.insert(request, (attempt, worker));
                assert_eq!(old, None, "LIFE-1: {request} runs already");
            }
            Action::Preempt { victim, attempt, .. } | Action::Spare { victim, attempt, .. } => {
                assert_eq!(world.running[&victim].0, attempt, "{victim} is asked by its attempt");
                assert!(before.contains_key(&victim), "only who runs is asked");
            }
            Action::Drop { request, reason } => {
                world.running.remove(&request);
                let by_limit = matches!(reason, Reason::QueueTimeout | Reason::Displaced);
                assert!(!by_limit || !world.has_run.contains(&request), "LIFE-3: {request} has run");
            }
            Action::Abort { request, .. } => assert!(before.contains_key(&request)),
            Action::Stuck { victim, .. } => assert!(before.contains_key(&victim)),
            Action::AlsoLost { .. } => {}
            Action::LeaseWanted { .. } => unreachable!("nothing is leased"),
        }
    }
}

/// A host that does what it is told and finishes what it runs, one request a second, until nothing is left.
fn finish(world: &mut World) {
    for _ in 0..100_000 {
        poll(world, usize::MAX);
        let Some((&id, &(attempt, _))) = world.running.first_key_value() else {
            let waits = (0..3).map(|tier| world.sched.queue_depth(Tier::new(tier))).sum::<usize>();
            if waits == 0 {
                return;
            }
            if !world.jump() {
                let parked = |&&id: &&RequestId| world.sched.state(id) == Ok(RequestState::Parked);
                let parked = world.submitted.iter().filter(parked).count();
                assert_eq!(
                    waits, parked,
                    "CAP-6: some wait on an idle machine, and nothing will ever change"
                );
                return;
            }
            continue;
        };
        match world.sched.state(id).expect("what runs lives") {
            RequestState::Releasing => world.sched.released(world.now, id, attempt).expect("it releases"),
            RequestState::Aborting => world.sched.failed(world.now, id, attempt).expect("it was to stop"),
            _ => world.sched.complete(world.now, id, attempt, Default::default()).expect("it runs"),
        }
        world.running.remove(&id);
        world.pass(Duration::from_millis(100));
        world.check();
    }
    panic!("CAP-6: {:?} are left after 100,000 steps", world.sched.stats());
}

proptest! {
    // PROPTEST_CASES=20000 looks longer; a failing case is kept beside this file, and tried first again.

    #[test]
    fn invariants_hold_after_every_input(config in configs(), steps in steps()) {
        let mut world = World::with_workers(config, 2, [6, 60]);
        for step in &steps {
            take(&mut world, step);
        }
        // The largest worker that a step can add: then every request that waits fits somewhere.
        world.worker([8, 100]);
        finish(&mut world);
    }

    /// TIME-1: nothing is decided before `poll_timeout` if no input comes.
    #[test]
    fn nothing_happens_before_the_timeout(config in configs(), steps in steps()) {
        let mut world = World::with_workers(config, 2, [6, 60]);
        for step in &steps {
            take(&mut world, step);
        }
        for _ in 0..50 {
            poll(&mut world, usize::MAX);
            let Some(at) = world.sched.poll_timeout() else { break };
            if at > world.now {
                world.now = Instant::from_nanos(at.as_nanos() - 1);
                prop_assert_eq!(world.poll_one(), None, "one nanosecond early");
                world.now = at;
            }
        }
    }

    /// DET-1: the journal of a random run replays to the same actions.
    #[test]
    fn a_journal_replays_to_the_same_digest(config in configs(), load in proptest::collection::vec((0_u8..3, 1_u64..4, 0_u64..40, 0_u64..900), 1..60)) {
        let config = config.build().expect("a valid config");
        let mut text = String::new();
        let mut recorder = Recorder::new(&mut text, &config, Instant::ZERO).expect("a string takes everything");
        let mut sched = Scheduler::new(config, Instant::ZERO);
        let mut digest = Digest::new();
        let mut now = Instant::ZERO;
        let mut inputs = vec![
            tidegate::Input::TenantSet { name: "acme".into() },
            tidegate::Input::WorkerAdd(WorkerSpec::new([6, 60])),
        ];
        for (tier, slots, blocks, ms) in load {
            let tenant = tidegate::TenantId::new(0);
            inputs.push(tidegate::Input::Submit(RequestSpec::new(tenant, Tier::new(tier)).demand([slots, blocks])));
            now = now + Duration::from_millis(ms);
            for input in inputs.drain(..) {
                recorder.input(now, &input).expect("a string takes everything");
                let _ = sched.apply(now, &input); // a refusal is part of the journal
            }
            loop {
                recorder.poll(now).expect("a string takes everything");
                let Some(action) = sched.poll(now) else { break };
                digest.action(now, &action);
                if let Action::Preempt { victim, attempt, .. } = action {
                    inputs.push(tidegate::Input::Preempted { request: victim, attempt, tokens_kept: 0, release: Release::Done });
                }
            }
        }
        recorder.finish().expect("a string takes everything");
        let replay = tidegate::Journal::parse(&text).expect("what was written can be read").replay();
        prop_assert_eq!(replay.digest, digest);
    }
}
