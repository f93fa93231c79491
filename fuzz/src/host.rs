//! A host that says whatever the bytes choose. It remembers what it was told, so that most of what it says is
//! legal; the rest must be refused without a trace. After every word the invariants are checked.

use tidegate::{
    Action, Attempt, Created, Decline, Digest, Input, Instant, Journal, OtherPools, PoolId, Release,
    RequestId, RequestSpec, RequestState, Resources, Scheduler, TenantId, Tier, Usage, WorkerId, WorkerKind,
    WorkerSpec, Yielding,
};

use crate::{Bytes, World};

/// More actions than this in one round of a world this small is a livelock.
const MAX_ACTIONS_PER_ROUND: u32 = 10_000;

/// A request as the host remembers it.
#[derive(Clone, Copy, Debug)]
struct Told {
    id: RequestId,
    attempt: Attempt,
}

/// The host, its scheduler, and the journal of what was said.
#[derive(Debug)]
pub struct Host {
    world: World,
    scheduler: Scheduler,
    journal: Journal,
    digest: Digest,
    now: Instant,
    requests: Vec<Told>,
    workers: u32,
}

impl Host {
    /// A host of this world with one tenant and two workers in each pool.
    pub fn new(world: World) -> Self {
        let now = Instant::from_nanos(1);
        let mut host = Self {
            scheduler: Scheduler::new(world.config.clone(), now),
            journal: Journal::new(world.config.clone(), now),
            digest: Digest::new(),
            now,
            requests: Vec::new(),
            workers: 0,
            world,
        };
        host.say(Input::TenantSet { name: "t".into() });
        for pool in 0..host.world.pools as u32 {
            for capacity in [4, 8] {
                host.say(Input::WorkerAdd(WorkerSpec::new(host.units(capacity)).pool(PoolId::new(pool))));
            }
        }
        host
    }

    /// What was said so far, in the format of `docs/JOURNAL.md`.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What it drives.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Goes on with what was written out and read back.
    ///
    /// # Panics
    /// If that cannot be, or is not the same again.
    pub fn restart(&mut self) {
        let written = self.scheduler.snapshot();
        let restored = Scheduler::restore(self.scheduler.config().clone(), &written);
        self.scheduler = restored.expect("it was written just now");
        assert!(self.scheduler.snapshot() == written, "DET-1: it is written otherwise when it was read");
    }

    /// One thing that the bytes choose: a word, a poll, or time.
    pub fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(20) {
            0..=4 => self.submit(bytes),
            5 => self.say_of_the_machine(bytes),
            6..=12 => self.report(bytes),
            13..=15 => self.round(),
            16 => drop(self.poll()),
            17 => self.now = self.scheduler.poll_timeout().unwrap_or(self.now).max(self.now),
            18 => {
                self.now = self.now.plus_nanos(bytes.one_of(&[
                    1,
                    1_000_000,
                    500_000_000,
                    5_000_000_000,
                    40_000_000_000,
                ]))
            }
            _ => {
                self.now = Instant::from_nanos(
                    self.now.as_nanos().saturating_sub(bytes.below(256) as u64 * 1_000_000),
                )
            }
        }
    }

    /// Polls until nothing more is wanted.
    ///
    /// # Panics
    /// If that never comes.
    pub fn round(&mut self) {
        for _ in 0..MAX_ACTIONS_PER_ROUND {
            if self.poll().is_none() {
                return;
            }
        }
        panic!("LIVELOCK: {MAX_ACTIONS_PER_ROUND} actions in one round");
    }

    /// Answers all that is asked and ends all that runs, until no input and no time would change anything more;
    /// then replays the journal.
    ///
    /// # Panics
    /// If a request that fits waits for ever, or the replay decides otherwise.
    pub fn settle(&mut self) {
        for _ in 0..4 * self.requests.len() + 64 {
            self.round();
            let ended = self.end_what_runs();
            match self.scheduler.poll_timeout() {
                // Holds last half a minute, and drains are tried again ten times a second.
                Some(at) if ended == 0 => self.now = at.max(self.now.plus_nanos(5_000_000_000)),
                None if ended == 0 => break,
                _ => {}
            }
        }
        if self.world.lends_all {
            for told in &self.requests {
                let state = self.scheduler.state(told.id);
                assert!(
                    matches!(state, Err(_) | Ok(RequestState::Parked)),
                    "CAP-6: {} is {state:?} for ever on an idle machine",
                    told.id
                );
            }
        }
        let replay = self.journal.replay();
        assert_eq!(replay.digest, self.digest, "DET-1: the replay of the journal decides otherwise");
    }

    /// Ends every request that the engine holds, and says how many there were.
    fn end_what_runs(&mut self) -> u32 {
        let mut ended = 0;
        for Told { id, attempt } in self.requests.clone() {
            let input = match self.scheduler.state(id) {
                Err(_) | Ok(RequestState::Queued | RequestState::Parked) => continue,
                Ok(RequestState::Preempting) => {
                    Input::Preempted { request: id, attempt, tokens_kept: 1, release: Release::Done }
                }
                Ok(RequestState::Releasing) => Input::Released { request: id, attempt },
                Ok(_) => Input::Complete { request: id, attempt, usage: Usage::default() },
            };
            self.say(input);
            ended += 1;
        }
        ended
    }

    fn submit(&mut self, bytes: &mut Bytes<'_>) {
        let tier = Tier::new(bytes.below(self.world.tiers) as u8);
        let demand = self.chosen_units(bytes);
        let yielding = bytes.one_of(&[Yielding::Restart, Yielding::Checkpoint, Yielding::Never]);
        let mut spec = RequestSpec::new(TenantId::new(bytes.below(2) as u32), tier)
            .pool(PoolId::new(bytes.below(self.world.pools) as u32))
            .demand(demand)
            .peak(demand.max(self.chosen_units(bytes)))
            .yielding(yielding)
            .prompt_tokens(16);
        if bytes.below(8) == 7 {
            spec = spec.queue_timeout(std::time::Duration::from_secs(1));
        }
        if self.world.pools > 1 && bytes.below(2) == 1 {
            let other = PoolId::new(bytes.below(self.world.pools) as u32);
            spec.other_pools = OtherPools::new(&[other]).expect("one");
        }
        self.say(Input::Submit(spec));
    }

    fn say_of_the_machine(&mut self, bytes: &mut Bytes<'_>) {
        let worker = WorkerId::new(bytes.below(self.workers as usize + 1) as u32);
        let pool = PoolId::new(bytes.below(self.world.pools) as u32);
        let input = match bytes.below(4) {
            0 => Input::WorkerDrain { worker },
            1 => Input::WorkerLost { worker },
            2 => {
                let mut spec = WorkerSpec::new(self.chosen_units(bytes)).pool(pool);
                spec.kind = bytes.one_of(WorkerKind::ALL);
                spec.spare = bytes.below(4) == 0;
                spec.replaces = (bytes.below(2) == 0).then_some(worker);
                Input::WorkerAdd(spec)
            }
            _ => Input::TenantSet { name: bytes.one_of(&["t", "u", "v", ""]).into() },
        };
        self.say(input);
    }

    fn report(&mut self, bytes: &mut Bytes<'_>) {
        if self.requests.is_empty() {
            return;
        }
        let Told { id: request, mut attempt } = self.requests[bytes.below(self.requests.len().min(256))];
        let verb = bytes.below(32);
        if verb >= 30 {
            attempt = Attempt::new(attempt.get().wrapping_sub(1));
        }
        let input = match verb {
            0..=3 => {
                Input::Complete { request, attempt, usage: Usage { output_tokens: 9, ..Usage::default() } }
            }
            4..=7 => Input::Started { request, attempt, cached_tokens: 0, in_use: self.chosen_units(bytes) },
            8..=13 => {
                Input::Progress { request, attempt, output_tokens: 4, in_use: self.chosen_units(bytes) }
            }
            14..=19 | 30 => {
                let release = if bytes.below(2) == 1 { Release::Later } else { Release::Done };
                Input::Preempted { request, attempt, tokens_kept: 3, release }
            }
            20..=22 => Input::Released { request, attempt },
            23..=25 | 31 => {
                Input::Declined { request, attempt, why: bytes.one_of(&[Decline::NoRoom, Decline::NotReady]) }
            }
            26 | 27 => Input::Failed { request, attempt },
            _ => Input::Cancel { request },
        };
        self.say(input);
    }

    fn say(&mut self, input: Input) {
        self.journal.input(self.now, input.clone());
        match self.scheduler.apply(self.now, &input) {
            Ok(Created::Request(id)) => self.requests.push(Told { id, attempt: Attempt::new(0) }),
            Ok(Created::Worker(_)) => self.workers += 1,
            Ok(_) | Err(_) => {}
        }
        self.check();
    }

    fn poll(&mut self) -> Option<Action> {
        self.journal.poll(self.now);
        let action = self.scheduler.poll(self.now);
        self.check();
        let action = action?;
        self.digest.action(self.now, &action);
        if let Action::Start { request, attempt, .. } = action {
            let told = self.requests.iter_mut().find(|told| told.id == request);
            told.expect("only what was submitted starts").attempt = attempt;
        }
        Some(action)
    }

    fn check(&self) {
        if let Err(violation) = self.scheduler.check_invariants() {
            panic!("{violation}");
        }
    }

    fn chosen_units(&self, bytes: &mut Bytes<'_>) -> Resources {
        let mut units = [0; 4];
        for amount in &mut units[..self.world.dimensions] {
            *amount = bytes.one_of(&[1, 2, 3, 4, 5, 8, 9, 0]);
        }
        units.into()
    }

    fn units(&self, amount: u64) -> Resources {
        let mut units = [0; 4];
        units[..self.world.dimensions].fill(amount);
        units.into()
    }
}
