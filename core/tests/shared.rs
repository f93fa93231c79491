//! `SharedScheduler`: who may say what when, what comes of it, who waits for whom, and who dies.
#![expect(clippy::disallowed_methods, reason = "the host owns the threads, and here the test is the host")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use common::{World, three_tiers};
use tidegate::{
    Action, Created, Input, InputError, Instant, Outcome, RequestId, RequestSpec, Scheduler, SharedError,
    SharedScheduler, SubmitError, Ticket, Tier,
};

const NOW: Instant = Instant::from_nanos(1_000);
const ROUND: usize = usize::MAX;

/// A tenant, and one worker with so many slots.
fn shared(slots: u64, intake: usize) -> (SharedScheduler, RequestSpec) {
    let world = World::with_workers(three_tiers(), 1, [slots, 100]);
    let spec = world.spec(Tier::P1, [1, 1]);
    (SharedScheduler::new(world.sched, intake), spec)
}

fn poll(shared: &SharedScheduler) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    assert_eq!(shared.poll_into(NOW, ROUND, &mut outcomes), Ok(false));
    outcomes
}

fn started(outcomes: &[Outcome]) -> Vec<RequestId> {
    let start = |outcome: &Outcome| match outcome {
        Outcome::Action(Action::Start { request, .. }) => Some(*request),
        _ => None,
    };
    outcomes.iter().filter_map(start).collect()
}

#[test]
fn a_shared_scheduler_goes_to_every_thread() {
    fn every_thread<T: Send + Sync>() {}
    every_thread::<SharedScheduler>();
}

#[test]
fn what_was_accepted_is_told_before_it_starts() {
    let (shared, spec) = shared(8, 8);
    let tickets = [7, 9].map(|tag| shared.submit(NOW, spec.tag(tag)).expect("there is room"));
    assert!(tickets[0] < tickets[1] && tickets[0] > Ticket::new(0));
    let outcomes = poll(&shared);
    let [Outcome::Accepted { ticket, tag: 7, request: first }, Outcome::Accepted { tag: 9, request, .. }, ..] =
        outcomes[..]
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!((ticket, started(&outcomes)), (tickets[0], vec![first, request]));
    assert_eq!(poll(&shared), [], "nothing is told twice");
}

#[test]
fn a_refusal_names_the_ticket_the_tag_and_why() {
    let (shared, spec) = shared(8, 8);
    let submitted = shared.submit(NOW, spec.demand([0, 0]).tag(5)).expect("there is room");
    let request = RequestId::from_bits(77);
    let told = shared.tell(NOW, &Input::Cancel { request }).expect("there is room");
    let error = InputError::Submit(SubmitError::ZeroDemand);
    let outcomes = poll(&shared);
    assert_eq!(outcomes[0], Outcome::Refused { ticket: submitted, tag: 5, error });
    let Outcome::Refused { ticket, tag: 0, error: InputError::Report(_) } = outcomes[1] else {
        panic!("{outcomes:?}")
    };
    assert_eq!((ticket, outcomes.len()), (told, 2));
}

#[test]
fn what_an_input_made_is_told() {
    let (shared, _) = shared(8, 8);
    let ticket = shared.tell(NOW, &Input::TenantSet { name: "other".into() }).expect("there is room");
    let [Outcome::Created { ticket: told, created: Created::Tenant(_) }] = poll(&shared)[..] else {
        panic!("a tenant is expected")
    };
    assert_eq!(told, ticket);
}

#[test]
fn a_full_intake_is_busy_until_somebody_polls() {
    let (shared, spec) = shared(8, 2);
    assert!(shared.submit(NOW, spec).is_ok() && shared.submit(NOW, spec).is_ok());
    assert_eq!(shared.submit(NOW, spec), Err(SharedError::Busy));
    assert_eq!(shared.cancel(NOW, Ticket::new(1)), Err(SharedError::Busy));
    assert_eq!(started(&poll(&shared)).len(), 2, "what was not taken is not there");
    assert!(shared.submit(NOW, spec).is_ok());
}

#[test]
fn what_nobody_polls_does_not_grow_for_ever() {
    let (shared, spec) = shared(8, 2);
    for live in 1..=2 {
        assert!(shared.submit(NOW, spec).is_ok());
        assert_eq!(shared.with(|scheduler| scheduler.stats().live), Ok(live));
    }
    assert_eq!(shared.with(|_| ()), Err(SharedError::Busy));
    assert_eq!(poll(&shared).len(), 4);
    assert_eq!(shared.with(|_| ()), Ok(()));
}

#[test]
fn a_cancellation_follows_its_submission_before_any_poll() {
    let (shared, spec) = shared(8, 8);
    let ticket = shared.submit(NOW, spec).expect("there is room");
    shared.cancel(NOW, ticket).expect("there is room");
    let outcomes = poll(&shared);
    let [Outcome::Accepted { request, .. }, Outcome::Cancelled { .. }] = outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(outcomes[1], Outcome::Cancelled { ticket, request });
    shared.cancel(NOW, ticket).expect("there is room");
    assert_eq!(poll(&shared), [], "it has ended already");
}

#[test]
fn who_cancels_what_an_engine_has_lets_it_stop_first() {
    let (shared, spec) = shared(8, 8);
    let ticket = shared.submit(NOW, spec).expect("there is room");
    let [request] = started(&poll(&shared))[..] else { panic!("it starts") };
    shared.cancel(NOW, ticket).expect("there is room");
    assert_eq!(poll(&shared), [Outcome::StopFirst { ticket, request }]);
    assert_eq!(shared.read(|scheduler| scheduler.stats().live), Ok(1), "its units are not given away");
    shared.tell(NOW, &Input::Cancel { request }).expect("there is room");
    assert_eq!(poll(&shared), []);
    assert_eq!(shared.read(|scheduler| scheduler.stats().cancelled), Ok(1));
}

#[test]
fn a_ticket_never_cancels_the_request_that_took_the_place_of_its_own() {
    let (shared, spec) = shared(8, 8);
    let former = shared.submit(NOW, spec).expect("there is room");
    shared.cancel(NOW, former).expect("there is room");
    let later = shared.submit(NOW, spec).expect("there is room");
    shared.cancel(NOW, former).expect("there is room");
    let outcomes = poll(&shared);
    let accepted = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Accepted { ticket, request, .. } => Some((*ticket, *request)),
        _ => None,
    });
    let [(_, first), (ticket, second)] = accepted.collect::<Vec<_>>()[..] else { panic!("{outcomes:?}") };
    assert_eq!(first.to_bits() as u32, second.to_bits() as u32, "they had the same slot");
    assert_eq!((ticket, started(&outcomes)), (later, vec![second]));
}

#[test]
fn the_lock_first_applies_what_the_same_thread_left() {
    let (shared, spec) = shared(8, 8);
    shared.submit(NOW, spec).expect("there is room");
    assert_eq!(shared.read(|scheduler| scheduler.stats().live), Ok(0), "reading applies nothing");
    assert_eq!(shared.with(|scheduler| scheduler.stats().live), Ok(1));
    let outcomes = poll(&shared);
    assert!(matches!(outcomes[..], [Outcome::Accepted { .. }, Outcome::Action(Action::Start { .. })]));
}

#[test]
fn a_poll_takes_no_more_actions_than_it_may() {
    let (shared, spec) = shared(8, 8);
    for _ in 0..5 {
        shared.submit(NOW, spec).expect("there is room");
    }
    let mut outcomes = Vec::new();
    assert_eq!(shared.poll_into(NOW, 2, &mut outcomes), Ok(true));
    assert_eq!(started(&outcomes).len(), 2);
    assert_eq!(shared.wait(NOW, None), Ok(true), "whoever else polls may go on");
    assert_eq!(started(&poll(&shared)).len(), 3);
    assert_eq!(shared.wait(NOW, Some(NOW)), Ok(false), "the round has ended");
}

#[test]
fn what_comes_while_the_lock_is_held_waits_for_the_next_one() {
    let (shared, spec) = shared(8, 4);
    let seen = shared.with(|scheduler| {
        for _ in 0..4 {
            shared.submit(NOW, spec).expect("there is room");
        }
        assert_eq!(shared.submit(NOW, spec), Err(SharedError::Busy));
        scheduler.stats().submitted
    });
    assert_eq!((seen, poll(&shared).len()), (Ok(0), 8));
}

/// The lock is held by another thread all the while: whoever waited for it here would wait for ever.
#[test]
fn nobody_who_only_tells_waits_for_the_lock() {
    let (shared, spec) = shared(8, 8);
    let ((held, is_held), (go_on, may_go_on)) = (mpsc::channel(), mpsc::channel());
    thread::scope(|scope| {
        let shared = &shared;
        scope.spawn(move || {
            shared.with(|_| {
                held.send(()).expect("it is heard");
                may_go_on.recv().expect("it is said");
            })
        });
        is_held.recv().expect("it is said");
        assert_eq!(shared.wait(NOW, Some(NOW)), Ok(false));
        let ticket = shared.submit(NOW, spec).expect("there is room");
        shared.cancel(NOW, ticket).expect("there is room");
        shared.tell(NOW, &Input::Submit(spec)).expect("there is room");
        assert_eq!(shared.wait(NOW, None), Ok(true));
        go_on.send(()).expect("it is heard");
    });
    assert_eq!(started(&poll(&shared)).len(), 1);
}

/// Where the system tells of the thread that asks, if it does.
fn this_thread() -> Option<PathBuf> {
    Some(Path::new("/proc").join(std::fs::read_link("/proc/thread-self").ok()?).join("stat"))
}

fn sleeps(thread: &Option<PathBuf>) -> bool {
    let Some(stat) = thread else {
        thread::sleep(Duration::from_millis(25));
        return true;
    };
    // Its state is behind its name, which stands in parentheses.
    let stat = std::fs::read_to_string(stat).expect("it lives");
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}

fn until(holds: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it does not come about");
        thread::yield_now();
    }
}

/// How many of those that wait for the lock get it before one that had it and wants it again at once.
fn served_first(waiters: usize) -> usize {
    let (shared, _) = shared(8, 8);
    let (asking, served) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    let serve = || shared.with(|_| served.fetch_add(1, Ordering::Relaxed)).expect("nobody panicked");
    thread::scope(|scope| {
        let all_wait = |_: &mut Scheduler| {
            for _ in 0..waiters {
                scope.spawn(|| {
                    asking.lock().expect("nobody panicked").push(this_thread());
                    serve()
                });
            }
            until(|| asking.lock().expect("nobody panicked").len() == waiters);
            // One that sleeps may be on its way to the queue still, behind another one; but not if nobody moves.
            until(|| (0..2).all(|_| asking.lock().expect("nobody panicked").iter().all(sleeps)));
        };
        shared.with(all_wait).expect("nobody panicked");
        serve()
    })
}

#[test]
fn the_lock_goes_to_those_who_wait_for_it() {
    const WAITERS: usize = 24;
    // Where the machine has others to run, somebody may be late for the lock. Where it goes to whoever comes first, a round
    // in four or so is served out of turn.
    let all_are_served_first = || (0..20).all(|_| served_first(WAITERS) == WAITERS);
    assert!((0..3).any(|_| all_are_served_first()), "one that had the lock is served before some that wait");
}

#[test]
fn a_wait_ends_at_its_instant() {
    let (shared, _) = shared(8, 8);
    let from = std::time::Instant::now();
    assert_eq!(shared.wait(NOW, Some(NOW.plus_nanos(20_000_000))), Ok(false));
    let took = from.elapsed();
    assert!(took >= Duration::from_millis(20) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_sleeper_is_woken_by_every_kind_of_work() {
    let (shared, spec) = shared(8, 8);
    let works: [&(dyn Fn() + Sync); 3] = [
        &|| assert!(shared.submit(NOW, spec).is_ok()),
        &|| assert!(shared.tell(NOW, &Input::TenantSet { name: "other".into() }).is_ok()),
        &|| assert!(shared.with(|scheduler| scheduler.submit(NOW, spec)).is_ok()),
    ];
    for work in works {
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| shared.wait(NOW, None));
            thread::sleep(Duration::from_millis(20));
            assert!(!sleeper.is_finished());
            work();
            assert_eq!(sleeper.join().expect("it does not panic"), Ok(true));
        });
        assert!(!poll(&shared).is_empty());
    }
}

#[test]
fn after_a_panic_under_the_lock_everybody_is_told() {
    let (shared, spec) = shared(8, 8);
    shared.submit(NOW, spec).expect("there is room");
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            while shared.wait(NOW, None) == Ok(true) {
                poll(&shared);
            }
            shared.wait(NOW, None)
        });
        thread::sleep(Duration::from_millis(20));
        let torn = || shared.with(|_| -> () { resume_unwind(Box::new("torn")) });
        assert!(catch_unwind(AssertUnwindSafe(torn)).is_err());
        assert_eq!(sleeper.join().expect("it does not panic"), Err(SharedError::Poisoned));
    });
    let poisoned = SharedError::Poisoned;
    assert_eq!(shared.submit(NOW, spec), Err(poisoned));
    assert_eq!(shared.cancel(NOW, Ticket::new(1)), Err(poisoned));
    assert_eq!(shared.poll_into(NOW, 1, &mut Vec::new()), Err(poisoned));
    assert_eq!(shared.with(|_| ()), Err(poisoned));
    assert_eq!(shared.read(|_| ()), Err(poisoned));
}

/// It is no time passed, and no fault of the clock.
#[test]
fn an_instant_that_was_overtaken_does_no_harm() {
    let (shared, spec) = shared(8, 8);
    shared.submit(NOW.plus_nanos(500), spec).expect("there is room");
    shared.submit(NOW, spec).expect("there is room");
    assert_eq!(started(&poll(&shared)).len(), 2);
    let regressions =
        shared.read(|scheduler| (scheduler.stats().clock_regressions, scheduler.check_invariants()));
    assert_eq!(regressions, Ok((0, Ok(()))));
}

#[test]
fn an_instant_that_was_overtaken_under_the_lock_does_no_harm() {
    let (shared, spec) = shared(8, 8);
    let ticket = shared.submit(NOW, spec).expect("there is room");
    let later = NOW.plus_nanos(5);
    shared
        .with(|scheduler| assert_eq!(scheduler.poll(later).map(|_| ()), Some(())))
        .expect("nobody panicked");
    shared.cancel(NOW, ticket).expect("there is room");
    shared.submit(NOW, spec).expect("there is room");
    let _ = poll(&shared);
    assert_eq!(shared.read(|scheduler| scheduler.stats().clock_regressions), Ok(0));
}
