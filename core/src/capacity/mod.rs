//! Reserved capacity of one pool: what each tier is guaranteed, uses, waits for, holds and may borrow.
//!
//! State: one [`Account`] for each tier and the pool's capacity. Decides the gates of a start (section 3 of
//! `docs/SEMANTICS.md`); knows neither workers nor requests. All gates cost O(tiers).
//! Invariants: CAP-1 (sum of reserves within the capacity), CAP-5 (unpreemptible use never makes the
//! reserves unreachable).

mod hold;

use alloc::vec::Vec;

use crate::config::{MAX_TIERS, TierConfig};
use crate::id::{PoolId, Tier};
use crate::resources::{Balance, MAX_DIMENSIONS, Resources};
use crate::share::{Reserve, Rounding};
use crate::time::Instant;
pub(crate) use hold::HoldWindow;

/// What one tier has in one pool.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Account {
    /// R: what it is guaranteed of the present capacity.
    pub(crate) reserve: Resources,
    /// The part of R that is never lent.
    keep: Resources,
    /// The most it may ever use of the present capacity, and the most that requests which never yield may.
    ceiling: Resources,
    pinned_ceiling: Resources,
    /// U: use on workers that are up, victims included until their units are released.
    pub(crate) used: Resources,
    /// The part of U that belongs to requests which are to stop.
    pub(crate) yielding: Resources,
    /// F: the part of U, and of K, of requests that never yield.
    pub(crate) pinned: Resources,
    /// E: units earmarked for claims.
    pub(crate) earmarked: Resources,
    /// K: the whole size of the claims.
    pub(crate) claimed: Resources,
    /// Asks of the waiting requests that are not parked and fit within R, less what their claims have earmarked.
    pub(crate) waiting: Resources,
    hold: HoldWindow,
}

impl Account {
    fn new(config: &TierConfig) -> Self {
        let zero = Resources::ZERO;
        Self {
            reserve: zero,
            keep: zero,
            ceiling: zero,
            pinned_ceiling: zero,
            used: zero,
            yielding: zero,
            pinned: zero,
            earmarked: zero,
            claimed: zero,
            waiting: zero,
            hold: HoldWindow::new(config.hold_window_ns),
        }
    }

    /// What the hold window watches.
    fn demand(&self) -> Resources {
        self.used + self.earmarked + self.waiting
    }

    /// What the others may not borrow, less what the tier uses of it: `taken` is U + E.
    #[inline]
    pub(crate) fn withheld(&self, now: Instant, taken: Resources) -> Resources {
        if self.reserve.fits(&taken) {
            return Resources::ZERO;
        }
        self.hold.peak(now, self.demand()).max(self.keep).min(self.reserve).saturating_sub(taken)
    }

    /// R - U - K, where it is positive: what a request without a claim may ask for and stay within.
    pub(crate) fn unused_reserve(&self) -> Resources {
        self.reserve.saturating_sub(self.used + self.claimed)
    }

    /// Whether that is nothing.
    #[inline]
    pub(crate) fn has_used_its_reserve(&self) -> bool {
        (0..MAX_DIMENSIONS).all(|d| self.reserve[d] <= self.used[d] + self.claimed[d])
    }

    /// U - yielding - R: what the tier borrows and nobody has asked back yet.
    pub(crate) fn excess(&self) -> Balance {
        Balance::of(self.used, self.yielding + self.reserve)
    }

    /// U + K - `own` + `asked`.
    fn with(&self, asked: Resources, own: Resources) -> Resources {
        self.used + self.claimed - own + asked
    }
}

/// What the tiers withhold from each other.
#[derive(Debug, Default)]
struct Lending {
    /// What is left when all have taken what they use, and withheld what they hold.
    left: Balance,
    withheld: [Resources; MAX_TIERS],
    /// Until when that is so, if nothing changes: a window turns then. Zero since something changed.
    until: Instant,
}

impl Lending {
    #[inline]
    fn available(&self, tier: Tier) -> Balance {
        self.left.plus(self.withheld[tier.index()])
    }

    /// Finds it again, where it stands: it is large.
    fn find(&mut self, total: Resources, offset: Balance, accounts: &[Account], now: Instant) {
        let (mut taken, mut until) = (Resources::ZERO, Instant::from_nanos(u64::MAX));
        for (account, withheld) in accounts.iter().zip(&mut self.withheld) {
            let used = account.used + account.earmarked;
            *withheld = account.withheld(now, used);
            taken += used + *withheld;
            until = account.hold.next_half(now).map_or(until, |turn| turn.min(until));
        }
        self.left = Balance::of(total, taken).minus(offset);
        self.until = until;
    }
}

/// The accounts of one pool.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Capacity {
    /// C: units of the workers that are up, as far as their devices have them.
    total: Resources,
    accounts: Vec<Account>,
    /// What engines report to use beyond the sum of their requests, or less: see `worker_usage`.
    offset: Balance,
    /// No part of a snapshot: it is found again.
    #[cfg_attr(feature = "snapshot", serde(skip))]
    lending: Lending,
}

impl Capacity {
    pub(crate) fn new(tiers: &[TierConfig]) -> Self {
        Self {
            total: Resources::ZERO,
            accounts: tiers.iter().map(Account::new).collect(),
            offset: Balance::default(),
            lending: Lending::default(),
        }
    }

    /// Begins the hold windows anew whose length has changed.
    pub(crate) fn reconfigure(&mut self, tiers: &[TierConfig]) {
        self.lending.until = Instant::ZERO;
        for (account, config) in self.accounts.iter_mut().zip(tiers) {
            if !account.hold.is_of(config.hold_window_ns) {
                account.hold = HoldWindow::new(config.hold_window_ns);
            }
        }
    }

    pub(crate) fn total(&self) -> Resources {
        self.total
    }

    pub(crate) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    pub(crate) fn account(&self, tier: Tier) -> &Account {
        &self.accounts[tier.index()]
    }

    pub(crate) fn account_mut(&mut self, tier: Tier) -> &mut Account {
        self.lending.until = Instant::ZERO;
        &mut self.accounts[tier.index()]
    }

    /// Notes what a tier demands, after an input or a decision: the hold window remembers the peak. What may be borrowed
    /// stays as it is.
    pub(crate) fn note(&mut self, tier: Tier, now: Instant) {
        let account = &mut self.accounts[tier.index()];
        let demand = account.demand();
        account.hold.note(now, demand);
    }

    pub(crate) fn offset(&self) -> Balance {
        self.offset
    }

    /// Engines report to use that much more than before beyond the sum of their requests, or less.
    pub(crate) fn shift(&mut self, before: Balance, after: Balance) {
        self.lending.until = Instant::ZERO;
        self.offset = self.offset.plus_signed(after).minus(before);
    }

    /// Takes a new capacity, of this pool, and computes the reserves anew.
    pub(crate) fn resize(&mut self, pool: PoolId, total: Resources, tiers: &[TierConfig]) {
        self.lending.until = Instant::ZERO;
        self.total = total;
        for ((reserve, config), account) in reserves(pool, total, tiers).zip(tiers).zip(&mut self.accounts) {
            account.reserve = reserve;
            account.keep =
                reserve.zip(reserve, |units, _| units - config.lendable.of(units, Rounding::Floor));
        }
        let sum = |units: fn(&Account) -> Resources| {
            self.accounts.iter().map(units).fold(Resources::ZERO, |sum, units| sum + units)
        };
        let (reserved, kept) = (sum(|account| account.reserve), sum(|account| account.keep));
        debug_assert!(reserved.fits(&total), "CAP-1");
        for (account, config) in self.accounts.iter_mut().zip(tiers) {
            let lent = total - (kept - account.keep);
            account.ceiling = config.borrow_limit.map_or(lent, |limit| lent.min(account.reserve + limit));
            let unreserved = total - (reserved - account.reserve);
            account.pinned_ceiling = account.ceiling.min(account.reserve.max(unreserved));
        }
    }

    /// The most that one request of a tier may ever have of this capacity.
    #[inline]
    pub(crate) fn ceiling(&self, tier: Tier, never_yields: bool) -> Resources {
        let account = self.account(tier);
        if never_yields { account.pinned_ceiling } else { account.ceiling }
    }

    /// avail: what `tier` may borrow now. O(1) after [`prepare`](Self::prepare), as long as nothing changes.
    pub(crate) fn available(&self, tier: Tier, now: Instant) -> Balance {
        if now < self.lending.until {
            return self.lending.available(tier);
        }
        let mut lending = Lending::default();
        lending.find(self.total, self.offset, &self.accounts, now);
        lending.available(tier)
    }

    /// Whether a tier may borrow what is asked even if each of the others withholds all of its reserve: `true` is certain,
    /// and where all wait it is so. A cycle takes 2 % less than with what is [`available`](Self::available).
    #[inline]
    pub(crate) fn surely_lends(&self, tier: Tier, asked: &Resources) -> bool {
        (0..MAX_DIMENSIONS).filter(|&d| asked[d] > 0).all(|d| {
            let taken = self.accounts.iter().enumerate().map(|(index, account)| {
                let taken = account.used[d] + account.earmarked[d];
                if index == tier.index() { taken } else { taken.max(account.reserve[d]) }
            });
            let left = self.total[d] as i64 - self.offset.0[d] - taken.sum::<u64>() as i64;
            left >= asked[d] as i64
        })
    }

    /// What may be borrowed will be asked for.
    #[inline]
    pub(crate) fn prepare(&mut self, now: Instant) {
        if now >= self.lending.until {
            self.lending.find(self.total, self.offset, &self.accounts, now);
        }
    }

    /// Whether `asked` more keeps the tier within its reserve; `own` is a claim that it would use up.
    pub(crate) fn is_within(&self, tier: Tier, asked: Resources, own: Resources) -> bool {
        let account = self.account(tier);
        account.with(asked, own).fits_where_asked(&account.reserve, &asked)
    }

    /// Whether `asked` more keeps the tier within its reserve and its borrow limit.
    pub(crate) fn may_borrow(
        &self,
        tier: Tier,
        asked: Resources,
        own: Resources,
        config: &TierConfig,
    ) -> bool {
        let Some(limit) = config.borrow_limit else { return true };
        let account = self.account(tier);
        account.with(asked, own).fits_where_asked(&(account.reserve + limit), &asked)
    }

    /// The most that a request without a claim may ask for within its tier's reserve and borrow limit.
    pub(crate) fn borrowable(&self, tier: Tier, config: &TierConfig) -> Resources {
        let account = self.account(tier);
        let limit = config.borrow_limit.map(|limit| account.reserve + limit);
        limit.map_or(Resources::BOUNDLESS, |limit| limit.saturating_sub(account.used + account.claimed))
    }

    /// CAP-5: the most units that never yield and that a request without a claim may ask for beyond its reserve.
    pub(crate) fn pinnable(&self, tier: Tier) -> Resources {
        let others = self.accounts.iter().enumerate().filter(|&(index, _)| index != tier.index());
        let pinned =
            others.fold(Resources::ZERO, |sum, (_, account)| sum + account.reserve.max(account.pinned));
        let account = self.account(tier);
        account.reserve.max(self.total.saturating_sub(pinned)).saturating_sub(account.pinned)
    }

    /// CAP-5: whether `asked` more units that never yield leave every reserve reachable. `own` is what of
    /// it counts as pinned already.
    pub(crate) fn may_pin(&self, tier: Tier, asked: Resources, own: Resources) -> bool {
        let mut sum = Resources::ZERO;
        for (index, account) in self.accounts.iter().enumerate() {
            let more = if index == tier.index() { account.pinned - own + asked } else { account.pinned };
            sum += account.reserve.max(more);
        }
        sum.fits_where_asked(&self.total, &asked)
    }

    /// When a hold may next shrink and let others borrow more; none if no window is open.
    pub(crate) fn next_turn(&self, now: Instant) -> Option<Instant> {
        // Who uses all that it is guaranteed holds nothing back, whatever it demanded.
        let holds = |account: &&Account| !account.reserve.fits(&(account.used + account.earmarked));
        let holding = self.accounts.iter().filter(holds);
        holding.filter_map(|account| account.hold.next_turn(now, account.demand())).min()
    }
}

/// R of every tier for a capacity of a pool, from the top: a share of the whole, at most what those above leave.
fn reserves(pool: PoolId, total: Resources, tiers: &[TierConfig]) -> impl Iterator<Item = Resources> {
    let mut left = total;
    tiers.iter().map(move |config| {
        let mut want = Resources::ZERO;
        for dimension in 0..MAX_DIMENSIONS {
            want[dimension] = match config.reserve_of(pool, dimension) {
                Reserve::Share(share) => share.of(total[dimension], config.rounding),
                Reserve::Units(units) => units,
            };
        }
        let reserve = want.min(left);
        left -= reserve;
        reserve
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn tiers() -> Vec<TierConfig> {
        vec![
            TierConfig::new("a").reserve_ppm(300_000),
            TierConfig::new("b"),
            TierConfig::new("c").reserve_ppm(700_000),
        ]
    }

    #[test]
    fn reserves_never_exceed_the_capacity() {
        let mut capacity = Capacity::new(&tiers());
        for units in 0..50 {
            capacity.resize(PoolId::new(0), [units, 0].into(), &tiers());
            let reserves: Vec<u64> = capacity.accounts().iter().map(|account| account.reserve[0]).collect();
            assert!(reserves.iter().sum::<u64>() <= units);
            assert!(reserves[0] * 10 >= units * 3, "Ceil keeps at least 30 % of {units}");
        }
    }

    #[test]
    fn what_is_surely_lent_is_available() {
        let at = Instant::from_nanos(1);
        let mut seen = [0; 2];
        for (used, waiting, asked) in (0..9 * 9 * 9).map(|n| (n % 9, n / 9 % 9, n / 81)) {
            let mut capacity = Capacity::new(&tiers());
            capacity.resize(PoolId::new(0), [10].into(), &tiers());
            capacity.account_mut(Tier::P0).used = [used].into();
            capacity.account_mut(Tier::P0).waiting = [waiting].into();
            capacity.note(Tier::P0, at);
            for tier in [Tier::P0, Tier::P1] {
                let is_there = i128::from(capacity.available(tier, at).0[0]) >= i128::from(asked);
                let is_lent = capacity.surely_lends(tier, &[asked].into());
                assert!(is_there || !is_lent, "{used} used, {waiting} wait, {asked} asked for {tier:?}");
                seen[usize::from(is_lent)] += 1;
            }
        }
        assert!(seen.iter().all(|&times| times > 100), "{seen:?}");
    }

    #[test]
    fn a_hold_keeps_the_recent_peak_from_being_borrowed() {
        let mut capacity = Capacity::new(&tiers());
        capacity.resize(PoolId::new(0), [10].into(), &tiers());
        let at = |s: u64| Instant::from_nanos(s * 1_000_000_000);
        assert_eq!(capacity.available(Tier::P1, at(0)).0[0], 10, "nothing asked for, everything is lent");
        capacity.account_mut(Tier::P0).waiting = [2].into();
        capacity.note(Tier::P0, at(1));
        capacity.account_mut(Tier::P0).waiting = Resources::ZERO;
        capacity.note(Tier::P0, at(2));
        capacity.prepare(at(2));
        assert_eq!(capacity.available(Tier::P1, at(2)).0[0], 8);
        assert_eq!(capacity.next_turn(at(2)), Some(at(15)));
        assert_eq!(capacity.available(Tier::P1, at(29)).0[0], 8);
        assert_eq!(capacity.available(Tier::P1, at(30)).0[0], 10);
    }
}
