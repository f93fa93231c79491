//! Which pool a request goes to, where a file has workers in several.
//!
//! Where the file lists pools for its tenant, it names those of them that take its tier, and the scheduler chooses; else those that
//! the file lists for its tier, likewise. Else its host chooses when it comes: of the pools that take its tier and have a worker that can hold it, the one of which least is asked
//! for what it has; of equals the first. State: by pool, the units that requests which live there, or prefer it, asked for.
//! O(pools) for a request. Does not know: who waits, who runs.

use tidegate::{OtherPools, PoolId, Resources, Tier};

use crate::setup::{Route, Setup};

/// One pool of several.
#[derive(Clone, Copy, Debug, Default)]
struct Pool {
    /// The most urgent tier that it takes.
    most_urgent: u8,
    /// The units of all its workers, as far as their devices let them.
    units: u64,
    /// Those of its largest worker.
    largest: u64,
    /// What was asked of it and has not ended.
    asked: u64,
}

/// The pools of a replay; of a single one nothing is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Pools {
    all: Vec<Pool>,
    /// By tenant, those that the file lists for it.
    of_tenants: Vec<Vec<PoolId>>,
    /// By tier, likewise.
    of_tiers: Vec<Vec<PoolId>>,
}

impl Pools {
    /// Those of the set-up's file, if that has workers in several. The tenants are numbered in this order.
    pub(super) fn new(setup: &Setup, tenants: &[String]) -> Self {
        let Some(file) = setup.file.as_deref().filter(|_| setup.config.pools().len() > 1) else {
            return Self::default();
        };
        let units = |amount: &Resources| setup.layout.units(amount);
        let mut pools = vec![Pool::default(); setup.config.pools().len()];
        // By device: what its workers have together, and a pool of theirs: the only one, where the limit is less than that.
        let mut advertised = vec![(0_u64, 0_usize); file.devices.len()];
        let limit = |device: usize| Some(units(&file.devices[device].spec.limit)).filter(|&limit| limit > 0);
        for group in &file.workers {
            let (place, parts) = (group.pool.get() as usize, group.devices.len() as u64);
            let (each, count) = (units(&group.capacity), u64::from(group.count));
            let limits = group.devices.iter().filter_map(|&device| limit(device));
            let pool = &mut pools[place];
            pool.most_urgent = group.most_urgent.get();
            pool.largest = pool.largest.max(limits.map(|limit| limit * parts).fold(each, u64::min));
            pool.units += each * count;
            for &device in &group.devices {
                advertised[device] = (advertised[device].0 + each * count / parts, place);
            }
        }
        for (device, (all, pool)) in advertised.into_iter().enumerate() {
            pools[pool].units -= limit(device).map_or(0, |limit| all.saturating_sub(limit));
        }
        let listed = |name: &String| file.tenants.iter().find(|tenant| tenant.name == *name);
        let of_tenants =
            tenants.iter().map(|name| listed(name).map_or(Vec::new(), |found| found.pools.clone()));
        Self { all: pools, of_tenants: of_tenants.collect(), of_tiers: file.tier_pools.clone() }
    }

    /// Those that take a tier, with their numbers.
    fn open(&self, tier: Tier) -> impl Iterator<Item = (&Pool, PoolId)> {
        let numbered = self.all.iter().zip((0..).map(PoolId::new));
        numbered.filter(move |(pool, _)| pool.units > 0 && pool.most_urgent <= tier.get())
    }

    /// Where a request goes that asks for so many units, and the others that may take it, in order of preference.
    pub(super) fn named(&self, route: Route, tenant: u32, units: u64) -> (PoolId, OtherPools) {
        let lists = [self.of_tenants.get(tenant as usize), self.of_tiers.get(usize::from(route.tier.get()))];
        let is_open = |pool: &PoolId| self.open(route.tier).any(|(_, number)| number == *pool);
        // The first that says anything has the say, whatever comes of it.
        let listed = lists.into_iter().flatten().find(|list| !list.is_empty());
        let named: Vec<PoolId> = listed.into_iter().flatten().copied().filter(is_open).collect();
        match named.split_first() {
            Some((&first, others)) => (first, OtherPools::new(others).expect("the file lists no more")),
            None => (self.choose(route, units), OtherPools::NONE),
        }
    }

    fn choose(&self, route: Route, units: u64) -> PoolId {
        let load = |pool: &Pool| (u128::from(pool.asked) + u128::from(units), u128::from(pool.units));
        let roomy = self.open(route.tier).filter(|(pool, _)| pool.largest >= units);
        let least = roomy.min_by(|(a, _), (b, _)| {
            let ((asked_a, all_a), (asked_b, all_b)) = (load(a), load(b));
            (asked_a * all_b).cmp(&(asked_b * all_a))
        });
        // Where it fits nowhere, the first says so.
        least.or_else(|| self.open(route.tier).next()).map_or(route.pool, |(_, number)| number)
    }

    /// The pools that take a tier.
    pub(super) fn of(&self, route: Route) -> impl Iterator<Item = PoolId> {
        let several = self.open(route.tier).map(|(_, number)| number);
        several.chain(self.all.is_empty().then_some(route.pool))
    }

    /// The units of all of them; `None` of a single pool.
    pub(super) fn units(&self) -> Option<u64> {
        (!self.all.is_empty()).then(|| self.all.iter().map(|pool| pool.units).sum())
    }

    /// A request lives in a pool.
    pub(super) fn join(&mut self, pool: PoolId, units: u32) {
        if let Some(pool) = self.all.get_mut(pool.get() as usize) {
            pool.asked += u64::from(units);
        }
    }

    /// It has ended.
    pub(super) fn leave(&mut self, pool: PoolId, units: u32) {
        if let Some(pool) = self.all.get_mut(pool.get() as usize) {
            pool.asked -= u64::from(units);
        }
    }
}
