//! Many leases, one store and the network between them, for tests.

use alloc::vec::Vec;

use super::store::{Incarnation, Store};
use super::*;

#[derive(Clone, Copy, Debug)]
enum Message {
    Ask(Incarnation, Want),
    Answer { to: Incarnation, seq: u64, tokens: u64 },
}

/// A request that runs: what is held for it.
#[derive(Clone, Copy, Debug)]
struct Running {
    replica: usize,
    held: u64,
}

#[derive(Debug)]
struct Replica {
    life: u32,
    /// Wishes of this life.
    wishes: u64,
    lease: Lease,
    /// The estimate of the one that waits.
    waits: Option<u64>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Instant,
    rate: Rate,
    terms: LeaseTerms,
    valid_for_ns: u64,
    pub(super) store: Store,
    replicas: Vec<Replica>,
    network: Vec<Message>,
    running: Vec<Running>,
    /// Taken, less what was put back.
    pub(super) held: i128,
    /// Charged beyond what was held.
    pub(super) charged: i128,
    lent_by_the_dead: u128,
}

impl World {
    pub(super) fn new(rate: Rate, terms: LeaseTerms, valid_for_ns: u64) -> Self {
        let now = Instant::ZERO;
        let replica = || Replica { life: 0, wishes: 0, lease: Lease::new(now, rate, terms), waits: None };
        Self {
            now,
            rate,
            terms,
            valid_for_ns,
            store: Store::new(rate),
            replicas: (0..terms.replicas).map(|_| replica()).collect(),
            network: Vec::new(),
            running: Vec::new(),
            held: 0,
            charged: 0,
            lent_by_the_dead: 0,
        }
    }

    pub(super) fn replicas(&self) -> usize {
        self.replicas.len()
    }

    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    pub(super) fn messages(&self) -> usize {
        self.network.len()
    }

    /// A request comes to a replica where none waits.
    pub(super) fn arrive(&mut self, replica: usize, estimate: u64) {
        self.replicas[replica].waits.get_or_insert(estimate);
        self.attend(replica);
    }

    pub(super) fn leave(&mut self, replica: usize) {
        self.replicas[replica].waits = None;
        self.attend(replica);
    }

    /// The one that waits starts if it can, and the wishes go out.
    pub(super) fn attend(&mut self, replica: usize) {
        let Replica { life, wishes, lease, waits } = &mut self.replicas[replica];
        lease.await_tokens(self.now, waits.unwrap_or(0));
        if let Some(estimate) =
            waits.take_if(|estimate| lease.cover(self.now, *estimate, 0, false) == Cover::Now)
        {
            lease.take(self.now, estimate);
            lease.await_tokens(self.now, 0);
            self.held += i128::from(estimate);
            self.running.push(Running { replica, held: estimate });
        }
        while let Some(want) = lease.want(self.now, *wishes + 1) {
            *wishes = want.seq;
            self.network.push(Message::Ask((replica, *life), want));
        }
    }

    /// One that runs used more than it holds.
    pub(super) fn outrun(&mut self, which: usize, tokens: u64) {
        let running = &mut self.running[which];
        running.held += tokens;
        let replica = running.replica;
        self.charged += i128::from(tokens);
        self.replicas[replica].lease.charge(self.now, tokens);
        self.attend(replica);
    }

    /// One that runs ends, and used only so much of what it holds.
    pub(super) fn end(&mut self, which: usize, used: u64) {
        let Running { replica, held } = self.running.swap_remove(which);
        let unused = held.saturating_sub(used);
        self.held -= i128::from(unused);
        self.replicas[replica].lease.put(self.now, unused);
        self.attend(replica);
    }

    /// A message arrives, as soon as its receiver hears: a store that does not run leaves it where it is.
    pub(super) fn deliver(&mut self, which: usize) {
        match self.network[which] {
            Message::Ask(..) if !self.store.running => {}
            Message::Ask(from, want) => {
                self.network.swap_remove(which);
                if let Some(tokens) = self.store.answer(self.now, from, want.seq, want.tokens, want.returned)
                {
                    self.network.push(Message::Answer { to: from, seq: want.seq, tokens });
                }
            }
            Message::Answer { to: (replica, life), seq, tokens } => {
                self.network.swap_remove(which);
                if self.replicas[replica].life == life {
                    let answer =
                        self.replicas[replica].lease.granted(self.now, seq, tokens, self.valid_for_ns);
                    assert!(!matches!(answer, Answer::TooMuch { .. }), "{answer:?}");
                    self.attend(replica);
                }
            }
        }
    }

    pub(super) fn lose(&mut self, which: usize) {
        self.network.swap_remove(which);
    }

    pub(super) fn duplicate(&mut self, which: usize) {
        self.network.push(self.network[which]);
    }

    /// A replica dies, and comes again with nothing; its requests used what they held.
    pub(super) fn crash(&mut self, replica: usize) {
        let fresh = Lease::new(self.now, self.rate, self.terms);
        let Replica { life, wishes, lease, waits } = &mut self.replicas[replica];
        self.lent_by_the_dead += lease.lent();
        *lease = fresh;
        *life += 1;
        *wishes = 0;
        *waits = None;
        self.running.retain(|running| running.replica != replica);
    }

    /// The store dies with all it knew, and with the connections to it.
    pub(super) fn restart_store(&mut self) {
        self.network.retain(|message| matches!(message, Message::Answer { .. }));
        self.store.restart(self.now);
    }

    /// Goes on to the instant, or to the next at which a replica has something to do; says whether the instant is
    /// reached.
    pub(super) fn pass(&mut self, until: Instant) -> bool {
        let next = self.replicas.iter().filter_map(|replica| {
            let cover = replica.waits.map(|estimate| replica.lease.cover(self.now, estimate, 0, false));
            let covered = if let Some(Cover::Later(at)) = cover { at } else { None };
            covered.into_iter().chain(replica.lease.wants_at()).min()
        });
        let then = next.min().unwrap_or(until).min(until).max(self.now);
        self.check_silence(Instant::from_nanos(then.as_nanos().saturating_sub(1)));
        self.now = then;
        (0..self.replicas.len()).for_each(|replica| self.attend(replica));
        self.now >= until
    }

    /// TIME-1: if nothing is said, nobody has something to do until the instant.
    fn check_silence(&self, until: Instant) {
        if until <= self.now {
            return;
        }
        for replica in &self.replicas {
            assert_eq!(replica.lease.clone().want(until, u64::MAX), None, "before `wants_at`");
            let cover = replica.waits.map(|estimate| replica.lease.cover(until, estimate, 0, false));
            assert_ne!(cover, Some(Cover::Now), "before `Later`");
        }
    }

    pub(super) fn lent(&self) -> i128 {
        let of_the_living: u128 = self.replicas.iter().map(|replica| replica.lease.lent()).sum();
        (of_the_living + self.lent_by_the_dead) as i128
    }

    /// All that is here and there, debts subtracted.
    pub(super) fn levels(&self) -> i128 {
        self.replicas.iter().map(|replica| replica.lease.level(self.now)).sum()
    }

    /// What lies at replicas and nobody waits for.
    pub(super) fn idle(&self) -> i128 {
        let of_one = |replica: &Replica| {
            let wanted = replica.waits.map_or(0, i128::from);
            (replica.lease.level(self.now) - wanted).max(0)
        };
        self.replicas.iter().map(of_one).sum()
    }

    pub(super) fn check(&mut self) {
        let (held, lent) = (self.held, self.lent());
        self.store.check(self.now, held, lent);
    }
}
