//! Many replicas, one store and the network between them, for tests. The store is what the script does, in plain
//! words; it also keeps the books that the tests read.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::*;

/// Which life of which replica.
type Incarnation = (usize, u32);

/// What the store granted last to an incarnation.
#[derive(Clone, Copy, Debug)]
struct Record {
    seq: u64,
    granted: u64,
}

#[derive(Debug)]
pub(super) struct Store {
    rate: Rate,
    /// Level, rest and instant of the bucket; `None` if it is not known, as after a restart.
    bucket: Option<(i128, u128, Instant)>,
    records: BTreeMap<Incarnation, Record>,
    /// Since when it remembers; `None` is longer than it takes to fill a bucket.
    up_since: Option<Instant>,
    pub(super) running: bool,
    /// Granted, less what came back and counted.
    pub(super) granted: i128,
    /// Debts that it was told of and counted.
    pub(super) debts: i128,
    /// What it was overdrawn by when it died.
    forgotten: i128,
}

impl Store {
    fn level(&mut self, now: Instant) -> &mut i128 {
        let burst = i128::from(self.rate.burst);
        let empty_at = |at| (0, 0, at);
        let unknown = self.up_since.map_or((burst, 0, now), empty_at);
        let (level, rest, at) = self.bucket.unwrap_or(unknown);
        let parts = u128::from(now.nanos_since(at)) * u128::from(self.rate.amount) + rest;
        let period = u128::from(self.rate.period_ns);
        let level = level + (parts / period) as i128;
        let full = level >= burst;
        let filled = (level.min(burst), if full { 0 } else { parts % period }, now);
        &mut self.bucket.insert(filled).0
    }

    fn answer(&mut self, now: Instant, from: Incarnation, want: &Want) -> Option<u64> {
        let record = self.records.get(&from).copied();
        match record {
            Some(record) if record.seq == want.seq => return Some(record.granted),
            Some(record) if record.seq > want.seq => return None,
            _ => {}
        }
        let burst = i128::from(self.rate.burst);
        let returned = i128::from(want.returned);
        let counts = if returned > 0 && record.is_none() { 0 } else { returned };
        let level = self.level(now);
        *level = (*level + counts).min(burst);
        let granted = i128::from(want.tokens).min(*level).max(0);
        *level -= granted;
        self.granted += granted - counts.max(0);
        self.debts += (-counts).max(0);
        self.records.insert(from, Record { seq: want.seq, granted: granted as u64 });
        Some(granted as u64)
    }

    /// What the budget is overdrawn by, because of debts.
    fn overdrawn(&mut self, now: Instant) -> i128 {
        (-*self.level(now)).max(0)
    }
}

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
        let replica = || Replica { life: 0, lease: Lease::new(now, rate, terms), waits: None };
        Self {
            now,
            rate,
            terms,
            valid_for_ns,
            store: Store {
                rate,
                bucket: None,
                records: BTreeMap::new(),
                up_since: None,
                running: true,
                granted: 0,
                debts: 0,
                forgotten: 0,
            },
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
        let Replica { life, lease, waits } = &mut self.replicas[replica];
        lease.await_tokens(self.now, waits.unwrap_or(0));
        if let Some(estimate) =
            waits.take_if(|estimate| lease.cover(self.now, *estimate, 0, false) == Cover::Now)
        {
            lease.take(self.now, estimate);
            lease.await_tokens(self.now, 0);
            self.held += i128::from(estimate);
            self.running.push(Running { replica, held: estimate });
        }
        while let Some(want) = lease.want(self.now) {
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
                if let Some(tokens) = self.store.answer(self.now, from, &want) {
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
        let Replica { life, lease, waits } = &mut self.replicas[replica];
        self.lent_by_the_dead += lease.lent();
        *lease = fresh;
        *life += 1;
        *waits = None;
        self.running.retain(|running| running.replica != replica);
    }

    /// The store dies with all it knew, and with the connections to it.
    pub(super) fn restart_store(&mut self) {
        self.network.retain(|message| matches!(message, Message::Answer { .. }));
        self.store.forgotten += self.store.overdrawn(self.now);
        self.store.bucket = None;
        self.store.records.clear();
        self.store.up_since = Some(self.now);
        self.store.running = true;
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
            assert_eq!(replica.lease.clone().want(until), None, "before `wants_at`");
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

    /// A burst, and all that came since the begin.
    pub(super) fn budget(&self) -> i128 {
        let parts = u128::from(self.now.as_nanos()) * u128::from(self.rate.amount);
        i128::from(self.rate.burst) + (parts / u128::from(self.rate.period_ns)) as i128
    }

    /// QUO-3: what is held is granted or lent, and what is granted is in the budget.
    pub(super) fn check(&mut self) {
        let (granted, debts) = (self.store.granted, self.store.debts);
        let lent = self.lent();
        assert!(self.held <= granted + lent, "held {} of {granted} granted and {lent} lent", self.held);
        let overdrawn = self.store.overdrawn(self.now) + self.store.forgotten;
        let budget = self.budget();
        assert!(
            granted + debts <= budget + overdrawn,
            "{granted} granted and {debts} of debts are beyond {budget}"
        );
        assert!(granted <= budget, "{granted} granted are beyond {budget}");
    }
}
