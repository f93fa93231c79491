//! What the store's script does, in plain words, for tests; it also keeps the books that they read. The tests of the
//! scheduler take this file as it stands: it knows nothing but instants and rates.

use alloc::collections::BTreeMap;

use super::{Instant, Rate};

/// Which life of which replica.
pub(super) type Incarnation = (usize, u32);

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
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            bucket: None,
            records: BTreeMap::new(),
            up_since: None,
            running: true,
            granted: 0,
            debts: 0,
            forgotten: 0,
        }
    }

    /// What it grants to a wish of so many tokens, of which so many go back; `None` is no answer.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        from: Incarnation,
        seq: u64,
        tokens: u64,
        returned: i64,
    ) -> Option<u64> {
        let record = self.records.get(&from).copied();
        match record {
            Some(record) if record.seq == seq => return Some(record.granted),
            Some(record) if record.seq > seq => return None,
            _ => {}
        }
        let burst = i128::from(self.rate.burst);
        let returned = i128::from(returned);
        let counts = if returned > 0 && record.is_none() { 0 } else { returned };
        let level = self.level(now);
        *level = (*level + counts).min(burst);
        let granted = i128::from(tokens).min(*level).max(0);
        *level -= granted;
        self.granted += granted - counts.max(0);
        self.debts += (-counts).max(0);
        self.records.insert(from, Record { seq, granted: granted as u64 });
        Some(granted as u64)
    }

    fn level(&mut self, now: Instant) -> &mut i128 {
        let burst = i128::from(self.rate.burst);
        let empty_at = |at| (0, 0, at);
        let unknown = self.up_since.map_or((burst, 0, now), empty_at);
        let (level, rest, at) = self.bucket.unwrap_or(unknown);
        let dt = now.as_nanos().saturating_sub(at.as_nanos());
        let parts = u128::from(dt) * u128::from(self.rate.amount) + rest;
        let period = u128::from(self.rate.period_ns);
        let level = level + (parts / period) as i128;
        let full = level >= burst;
        let filled = (level.min(burst), if full { 0 } else { parts % period }, now);
        &mut self.bucket.insert(filled).0
    }

    /// Dies with all it knew, and comes again.
    pub(super) fn restart(&mut self, now: Instant) {
        self.forgotten += self.overdrawn(now);
        self.bucket = None;
        self.records.clear();
        self.up_since = Some(now);
        self.running = true;
    }

    /// What the budget is overdrawn by, because of debts.
    fn overdrawn(&mut self, now: Instant) -> i128 {
        (-*self.level(now)).max(0)
    }

    /// A burst, and all that came since the beginning of time.
    pub(super) fn budget(&self, now: Instant) -> i128 {
        let parts = u128::from(now.as_nanos()) * u128::from(self.rate.amount);
        i128::from(self.rate.burst) + (parts / u128::from(self.rate.period_ns)) as i128
    }

    /// QUO-3: what is held is granted or lent, and what is granted is in the budget.
    pub(super) fn check(&mut self, now: Instant, held: i128, lent: i128) {
        let (granted, debts) = (self.granted, self.debts);
        assert!(held <= granted + lent, "held {held} of {granted} granted and {lent} lent");
        let overdrawn = self.overdrawn(now) + self.forgotten;
        let budget = self.budget(now);
        assert!(
            granted + debts <= budget + overdrawn,
            "{granted} granted and {debts} of debts are beyond {budget}"
        );
        assert!(granted <= budget, "{granted} granted are beyond {budget}");
    }
}
