//! `SharedScheduler` with many threads, some of which die in the middle of what they do; and with one, where it decides
//! as the scheduler alone does.
#![expect(clippy::disallowed_methods, reason = "the host owns the threads, and here the test is the host")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use common::{World, three_tiers};
use tidegate::{
    Action, Digest, Entry, Input, Instant, Journal, Outcome, Release, RequestSpec, Scheduler, SharedError,
    SharedScheduler, Ticket, Tier, Usage,
};

const PRODUCERS: u64 = 4;
const SUBMISSIONS: u64 = 3_000;
/// Each producer dies after so many submissions, and another one goes on with the rest.
const LIFETIME: u64 = 400;
/// The engine's thread dies after so many outcomes, and another one goes on.
const ENGINE_LIFETIME: usize = 2_500;

/// A machine that four producers overload, and all that was heard of it.
struct Server {
    shared: SharedScheduler,
    spec: RequestSpec,
    clock: AtomicU64,
    /// Producers that have not said all they have to say.
    talking: AtomicU64,
    /// What the engines' threads were told, in order: their memory outlives them.
    heard: Mutex<Vec<Outcome>>,
    /// How much of it they have done.
    done: AtomicUsize,
    /// Tickets of what was submitted.
    submitted: Mutex<BTreeSet<Ticket>>,
}

impl Server {
    fn new() -> Self {
        let config = three_tiers().tenant_queue_limit(40);
        let world = World::with_workers(config, 4, [8, 80]);
        let spec = world.spec(Tier::P2, [1, 2]);
        Self {
            shared: SharedScheduler::new(world.sched, 64),
            spec,
            clock: AtomicU64::new(0),
            talking: AtomicU64::new(PRODUCERS),
            heard: Mutex::default(),
            done: AtomicUsize::new(0),
            submitted: Mutex::default(),
        }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.clock.fetch_add(1_000, Ordering::Relaxed))
    }

    /// Says something until it is taken.
    fn insist<T>(&self, say: impl Fn(Instant) -> Result<T, SharedError>) -> T {
        loop {
            match say(self.now()) {
                Ok(taken) => return taken,
                Err(SharedError::Busy) => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Submits from number `first` on, and dies in time.
    fn produce(&self, producer: u64, first: u64) {
        for number in first..SUBMISSIONS {
            let tier = Tier::new((number % 3) as u8);
            let demand = if number % 50 == 0 { [0, 0] } else { [1 + number % 2, 2] };
            let spec = RequestSpec { tier, ..self.spec }.demand(demand).tag(producer << 32 | number);
            let ticket = self.insist(|now| self.shared.submit(now, spec));
            self.submitted.lock().expect("nobody dies with it").insert(ticket);
            if number == first + LIFETIME {
                resume_unwind(Box::new(number + 1)); // before it could cancel
            }
            if number % 7 == 0 {
                self.insist(|now| self.shared.cancel(now, ticket));
            }
        }
        self.talking.fetch_sub(1, Ordering::Release);
    }

    /// Polls and does what is to be done, until all is over or it dies.
    fn engine(&self) {
        loop {
            let talking = self.talking.load(Ordering::Acquire) > 0;
            let more = self.poll();
            let done = self.done.load(Ordering::Relaxed);
            let todo = self.heard.lock().expect("nobody dies with it")[done..].to_vec();
            for outcome in todo {
                self.act(&outcome);
                if self.done.fetch_add(1, Ordering::Relaxed) % ENGINE_LIFETIME == ENGINE_LIFETIME - 1 {
                    resume_unwind(Box::new(0_u64)); // with more to do, and perhaps to poll
                }
            }
            let live = self.shared.read(|scheduler| scheduler.stats().live);
            if !more
                && !talking
                && live == Ok(0)
                && self.shared.wait(Instant::ZERO, Some(Instant::ZERO)) == Ok(false)
            {
                return;
            }
            if !more {
                let soon = Instant::from_nanos(1_000_000); // the last one may end by itself
                self.shared.wait(Instant::ZERO, Some(soon)).expect("nobody dies under the lock");
            }
        }
    }

    fn act(&self, outcome: &Outcome) {
        let (request, attempt) = match *outcome {
            Outcome::Action(Action::Start { request, attempt, .. }) => (request, attempt),
            Outcome::Action(Action::Preempt { victim, attempt, .. }) => {
                return self.report(Input::Preempted {
                    request: victim,
                    attempt,
                    tokens_kept: 0,
                    release: Release::Done,
                });
            }
            Outcome::StopFirst { request, .. } => return self.report(Input::Cancel { request }),
            _ => return,
        };
        self.report(match request.to_bits() % 3 {
            0 => Input::Failed { request, attempt },
            _ => Input::Complete { request, attempt, usage: Usage::default() },
        });
    }

    /// Half of the reports go through the intake, which may be full while this thread alone empties it.
    fn report(&self, input: Input) {
        let by_lock = self.done.load(Ordering::Relaxed).is_multiple_of(2);
        while let Err(busy) = self.try_report(&input, by_lock) {
            assert_eq!(busy, SharedError::Busy);
            self.poll();
        }
    }

    fn try_report(&self, input: &Input, by_lock: bool) -> Result<(), SharedError> {
        if by_lock {
            // Refused where a cancellation crossed it.
            return self.shared.with(|scheduler| _ = scheduler.apply(self.now(), input));
        }
        self.shared.tell(self.now(), input).map(|_| ())
    }

    /// Whether there is more.
    fn poll(&self) -> bool {
        let mut heard = self.heard.lock().expect("nobody dies with it");
        self.shared.poll_into(self.now(), 5, &mut heard).expect("nobody dies under the lock")
    }
}

/// Starts the next producer or engine's thread where one died.
fn until_it_ends<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    life: impl Fn(u64) + Copy + Send + 'scope,
) {
    scope.spawn(move || {
        let mut from = 0;
        while let Err(death) = thread::scope(|inner| inner.spawn(move || life(from)).join()) {
            from = *death.downcast::<u64>().expect("it died as it should");
        }
    });
}

#[test]
fn threads_that_die_midway_lose_and_wedge_nothing() {
    let server = Server::new();
    thread::scope(|scope| {
        let server = &server;
        for producer in 0..PRODUCERS {
            until_it_ends(scope, move |first| server.produce(producer, first));
        }
        until_it_ends(scope, move |_| server.engine());
    });
    let heard = server.heard.into_inner().expect("nobody died with it");
    let submitted = server.submitted.into_inner().expect("nobody died with it");
    assert_eq!(submitted.len() as u64, PRODUCERS * SUBMISSIONS);

    let mut told = BTreeMap::new();
    let mut last = BTreeMap::new();
    let (mut accepted, mut cancelled) = (BTreeSet::new(), 0);
    for outcome in &heard {
        let (ticket, tag) = match *outcome {
            Outcome::Accepted { ticket, tag, request } => {
                assert!(accepted.insert(request), "{request} is told twice");
                (ticket, tag)
            }
            Outcome::Refused { ticket, tag, .. } if submitted.contains(&ticket) => (ticket, tag),
            Outcome::Cancelled { ticket, request } => {
                assert!(
                    told.contains_key(&ticket) && accepted.contains(&request),
                    "{ticket} comes too early"
                );
                cancelled += 1;
                continue;
            }
            Outcome::Action(Action::Start { request, .. }) => {
                assert!(accepted.contains(&request), "{request} starts too early");
                continue;
            }
            _ => continue,
        };
        assert_eq!(told.insert(ticket, tag), None, "{ticket} is told twice");
        let before = last.insert(tag >> 32, (tag, ticket));
        assert!(before < Some((tag, ticket)), "a thread's submissions change places");
    }
    assert!(told.into_keys().eq(submitted), "all are told");

    let (stats, sound) = server
        .shared
        .read(|scheduler| (scheduler.stats(), scheduler.check_invariants()))
        .expect("nobody died with it");
    assert_eq!(sound, Ok(()));
    assert_eq!(stats.submitted, accepted.len() as u64);
    assert_eq!(stats.submitted, stats.completed + stats.failed + stats.cancelled + stats.dropped);
    assert!(stats.cancelled >= cancelled && cancelled > 0 && stats.completed > 0, "{stats:?}");
}

/// What a journal says, said by one thread: so many of four inputs under the lock, the others through the intake.
fn shared_replay(journal: &Journal, by_lock: usize) -> (Digest, u64, u64) {
    let scheduler = Scheduler::new(journal.config.clone(), journal.started_at);
    let shared = SharedScheduler::new(scheduler, 4_096);
    let (mut digest, mut actions, mut refused) = (Digest::new(), 0, 0);
    let mut outcomes = Vec::new();
    for (number, (now, entry)) in journal.entries.iter().enumerate() {
        match entry {
            Entry::Input(input) if number % 4 < by_lock => {
                let answer = shared.with(|scheduler| scheduler.apply(*now, input)).expect("there is room");
                refused += u64::from(answer.is_err());
            }
            Entry::Input(input) => {
                let _ = shared.tell(*now, input).expect("there is room");
            }
            Entry::Poll { calls } => {
                let _ = shared.poll_into(*now, *calls as usize, &mut outcomes).expect("nobody panics");
                for outcome in outcomes.drain(..) {
                    match outcome {
                        Outcome::Action(action) => {
                            digest.action(*now, &action);
                            actions += 1;
                        }
                        Outcome::Refused { .. } => refused += 1,
                        _ => {}
                    }
                }
            }
        }
    }
    (digest, actions, refused)
}

/// How many inputs of it a scheduler refuses.
fn refused(journal: &Journal) -> u64 {
    let mut scheduler = Scheduler::new(journal.config.clone(), journal.started_at);
    let mut refused = 0;
    for (now, entry) in &journal.entries {
        match entry {
            Entry::Input(input) => refused += u64::from(scheduler.apply(*now, input).is_err()),
            Entry::Poll { calls } => (0..*calls).for_each(|_| _ = scheduler.poll(*now)),
        }
    }
    refused
}

#[test]
fn one_thread_hears_what_the_scheduler_alone_would_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/every_verb.journal");
    let text = fs::read_to_string(path).expect("it is committed");
    let journal = Journal::parse(&text).expect("it is whole");
    let (replay, refused) = (journal.replay(), refused(&journal));
    assert!(replay.actions > 50 && refused > 0, "{replay}, {refused} refused");
    for by_lock in [0, 2, 4] {
        assert_eq!(shared_replay(&journal, by_lock), (replay.digest, replay.actions, refused));
    }
}
