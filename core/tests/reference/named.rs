//! Named invariants of starts and of sets of victims, asked of the books and not of the procedure that decided: what
//! both schedulers misread alike shows here. Likewise of quota.

use tidegate::{Action, DeviceId, Preemption, Reason, WorkerId};

use super::quota::{Took, Totals};
use super::reclaim::{RULES, Set};
use super::{Model, Seq, Units, add, le, le_where, max, on, sum, units};

fn ensure(name: &str, holds: bool, detail: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{name} does not hold: {}", detail())) }
}

impl Model {
    /// What has to hold right after a start: CAP-2 on its worker and devices, its tier's limits, and CAP-5.
    pub(crate) fn check_start(&self, action: Option<Action>) -> Result<(), String> {
        let Some(Action::Start { request, worker, reason, .. }) = action else { return Ok(()) };
        let started = self.requests.values().find(|r| r.id == request).expect("it starts");
        let (pool, tier, asks) = (started.spec.pool.get() as usize, started.tier(), started.asks);
        let has_room =
            |part: &tidegate::DevicePart| le_where([0; 4], self.device_room(part.device), on(*part, asks));
        let fits = le_where([0; 4], self.room(worker), asks);
        ensure("CAP-2", fits && self.worker(worker).spec.devices.iter().all(has_room), || {
            format!("{request} started on {worker}, which lacks {asks:?}")
        })?;
        let (used, reserve) = (self.used(pool, tier), self.reserve(pool, tier));
        let limit = self.setup.tiers[tier].borrow_limit.map(|limit| add(reserve, units(limit)));
        let most = if reason == Reason::Guaranteed { Some(reserve) } else { limit };
        let bound = most.filter(|_| reason != Reason::Reclaimed);
        ensure("CAP-1", bound.is_none_or(|most| le_where(used, most, asks)), || {
            format!("{request} started as {}, and its tier uses {used:?}", reason.as_str())
        })?;
        let reserves = self.reserves(pool, self.capacity(pool));
        let pinned =
            reserves.iter().enumerate().map(|(tier, &reserve)| max(reserve, self.pinned(pool, tier)));
        let reachable = reason != Reason::Borrowed || le_where(sum(pinned), self.capacity(pool), asks);
        ensure("CAP-5", !started.never_yields() || reachable, || {
            format!("{request} never yields, and puts reserves out of reach")
        })
    }

    /// What has to hold of a set of victims as it is chosen: PRE-1 to PRE-4.
    pub(super) fn check_set(&self, seq: Seq, within: bool, set: &Set) -> Result<(), String> {
        let victims: Vec<Seq> = set.victims.iter().map(|&(victim, _)| victim).collect();
        let request = &self.requests[&seq];
        let (pool, tier) = (request.spec.pool.get() as usize, request.tier());
        let (on_worker, on_devices) = self.shortages(seq, set.worker, false);
        let avail = if within { request.asks } else { self.avail(pool, tier) };
        let owed =
            [0, 1, 2, 3].map(|d| if request.asks[d] > 0 { (request.asks[d] - avail[d]).max(0) } else { 0 });
        let need = (max(on_worker, owed), on_devices);
        let covered = |victims: &[Seq]| self.covers(set.worker, &need, victims);
        ensure("CAP-3", covered(&victims), || format!("{victims:?} are too few for {}", request.id))?;
        for (index, &victim) in victims.iter().enumerate() {
            let (other, chosen) = (&self.requests[&victim], &victims);
            let any_borrower = within && self.setup.tiers[tier].preemption == Preemption::AnyBorrower;
            let may_take = other.tier() > tier || any_borrower && other.tier() != tier;
            ensure("PRE-1", may_take, || format!("{} yields to {}", other.id, request.id))?;
            ensure("PRE-2", self.borrows(pool, within, victim, chosen, &need), || {
                format!("{} yields what its tier has reserved", other.id)
            })?;
            let others: Vec<Seq> =
                chosen.iter().enumerate().filter(|&(i, _)| i != index).map(|(_, &v)| v).collect();
            ensure("PRE-3", !covered(&others), || format!("{} is superfluous", other.id))?;
            let young = self.now - other.started_at < self.setup.min_run;
            let worn = other.preemptions >= self.setup.max_preemptions;
            let waives = |rule: &str| RULES[..=set.waived].contains(&rule);
            ensure("PRE-4", (!young || waives("min_run")) && (!worn || waives("max_preemptions")), || {
                format!("{} is protected", other.id)
            })?;
        }
        Ok(())
    }

    /// What has to hold right after a request took quota, at each node of its path: QUO-4, and QUO-1 of every window
    /// that ends now and has seen no other rate.
    pub(super) fn check_hold(&self, seq: Seq) -> Result<(), String> {
        let request = &self.requests[&seq];
        for id in self.path(request.spec.tenant) {
            let policy = &self.tenant(id).policy;
            let (open, used) = (self.open_at(id).count() as u64, self.units_at(id));
            let max = units(policy.max_in_use);
            let fits = (0..4).all(|d| max[d] == 0 || request.asks[d] == 0 || used[d] <= max[d]);
            ensure("QUO-4", fits && policy.max_running.is_none_or(|max| open <= max), || {
                format!("{open} requests of {id} use {used:?}")
            })?;
            let Some(rate) = policy.tokens else { continue };
            let [amount, period, burst] = [rate.amount, rate.period_ns, rate.burst].map(i128::from);
            let Some((_, Took::Start(last))) = self.tenant(id).taken.last() else { continue };
            let extra = (i128::from(*last) - burst).max(0);
            let mut taken = 0;
            for &(begin, what) in self.tenant(id).taken.iter().rev() {
                taken += match what {
                    Took::Start(tokens) => i128::from(tokens),
                    Took::Back(tokens) => -i128::from(tokens),
                };
                let came = i128::from(self.now - begin) * amount;
                ensure("QUO-1", (taken - burst - extra) * period <= came, || {
                    format!("{id} took {taken} tokens since {begin}")
                })?;
            }
        }
        Ok(())
    }

    /// QUO-2, at every node.
    pub(super) fn check_books(&self) -> Result<(), String> {
        for id in self.ids() {
            let Totals { charged, debt, refunded, used } = self.tenant(id).totals;
            let held = self.held_at(id);
            ensure("QUO-2", used + held == charged + debt - refunded, || {
                format!(
                    "{id} used {used}, holds {held}, was charged {charged}, owed {debt}, got {refunded} back"
                )
            })?;
        }
        Ok(())
    }

    /// Whether victims free all that is short on a worker and on its devices.
    fn covers(&self, worker: WorkerId, need: &(Units, Vec<(DeviceId, Units)>), victims: &[Seq]) -> bool {
        let here =
            victims.iter().map(|victim| &self.requests[victim]).filter(|victim| victim.worker == worker);
        let on_device = |device: DeviceId| {
            sum(victims.iter().flat_map(|victim| {
                let victim = &self.requests[victim];
                let parts = self.worker(victim.worker).spec.devices.iter();
                parts.filter(move |part| part.device == device).map(|part| on(*part, victim.in_use))
            }))
        };
        le(need.0, sum(here.map(|victim| victim.in_use)))
            && need.1.iter().all(|&(device, short)| le(short, on_device(device)))
    }

    /// Within: its tier uses more than its reserve in something short that it uses. Beyond: its tier keeps all of
    /// its reserve when all of them are gone.
    fn borrows(
        &self,
        pool: usize,
        within: bool,
        victim: Seq,
        all: &[Seq],
        need: &(Units, Vec<(DeviceId, Units)>),
    ) -> bool {
        let victim = &self.requests[&victim];
        let excess = self.excess(pool, victim.tier());
        if within {
            let short = need.1.iter().fold(need.0, |short, &(_, more)| max(short, more));
            return (0..4).any(|d| short[d] > 0 && victim.in_use[d] > 0 && excess[d] > 0);
        }
        let of_tier =
            all.iter().map(|other| &self.requests[other]).filter(|other| other.tier() == victim.tier());
        let taken = sum(of_tier.map(|other| other.in_use));
        le_where(taken, excess, victim.in_use)
    }
}
