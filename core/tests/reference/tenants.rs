//! What the host says of tenants, and whom their policies refuse.

use tidegate::{Instant, MAX_TENANT_DEPTH, OverQuota, QuotaLimit, RequestSpec, TenantId, TenantPolicy, Tier};

use super::inputs::Refusal;
use super::quota::{Shut, Tenant};
use super::{Model, at};

/// Which limit refused a request, and what was said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Later { tenant: TenantId, limit: QuotaLimit, retry_at: Option<Instant> },
    Never { tenant: TenantId, limit: QuotaLimit, need: u64, max: u64 },
}

/// How often the rules of quota were met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Met {
    pub(crate) holds: u64,
    pub(crate) settled: u64,
    pub(crate) undone: u64,
    pub(crate) charged_beyond: u64,
    pub(crate) debts: u64,
    pub(crate) lines_waited: u64,
    pub(crate) alone_waited: u64,
    pub(crate) waited_elsewhere: u64,
    pub(crate) offered_again: u64,
    pub(crate) rejected: u64,
    pub(crate) demoted: u64,
    pub(crate) never_allowed: u64,
    pub(crate) too_urgent: u64,
    pub(crate) configured: u64,
    pub(crate) moved_while_open: u64,
    pub(crate) removed: u64,
    pub(crate) forgotten: u64,
    pub(crate) spared: u64,
    pub(crate) lapsed: u64,
    pub(crate) held_again: u64,
}

impl Met {
    /// By name.
    pub(crate) fn all(&self) -> [(&'static str, u64); 20] {
        [
            ("holds", self.holds),
            ("settled", self.settled),
            ("undone", self.undone),
            ("charged_beyond", self.charged_beyond),
            ("debts", self.debts),
            ("lines_waited", self.lines_waited),
            ("alone_waited", self.alone_waited),
            ("waited_elsewhere", self.waited_elsewhere),
            ("offered_again", self.offered_again),
            ("rejected", self.rejected),
            ("demoted", self.demoted),
            ("never_allowed", self.never_allowed),
            ("too_urgent", self.too_urgent),
            ("configured", self.configured),
            ("moved_while_open", self.moved_while_open),
            ("removed", self.removed),
            ("forgotten", self.forgotten),
            ("spared", self.spared),
            ("lapsed", self.lapsed),
            ("held_again", self.held_again),
        ]
    }

    pub(crate) fn and(self, more: Self) -> Self {
        Self {
            holds: self.holds + more.holds,
            settled: self.settled + more.settled,
            undone: self.undone + more.undone,
            charged_beyond: self.charged_beyond + more.charged_beyond,
            debts: self.debts + more.debts,
            lines_waited: self.lines_waited + more.lines_waited,
            alone_waited: self.alone_waited + more.alone_waited,
            waited_elsewhere: self.waited_elsewhere + more.waited_elsewhere,
            offered_again: self.offered_again + more.offered_again,
            rejected: self.rejected + more.rejected,
            demoted: self.demoted + more.demoted,
            never_allowed: self.never_allowed + more.never_allowed,
            too_urgent: self.too_urgent + more.too_urgent,
            configured: self.configured + more.configured,
            moved_while_open: self.moved_while_open + more.moved_while_open,
            removed: self.removed + more.removed,
            forgotten: self.forgotten + more.forgotten,
            spared: self.spared + more.spared,
            lapsed: self.lapsed + more.lapsed,
            held_again: self.held_again + more.held_again,
        }
    }
}

impl Model {
    pub(crate) fn knows(&self, id: TenantId) -> bool {
        self.tenants.get(id.get() as usize).is_some_and(Option::is_some)
    }

    pub(crate) fn ids(&self) -> Vec<TenantId> {
        (0..self.tenants.len() as u32).map(TenantId::new).filter(|&id| self.knows(id)).collect()
    }

    pub(crate) fn tenant_set(&mut self, name: &str) -> Result<(), Refusal> {
        let known = self.ids().into_iter().find(|&id| self.tenant(id).name == name);
        if let Some(known) = known {
            self.note_use(known);
            return Ok(());
        }
        self.make_room_for_tenant()?;
        // The number of the node that was removed last, if one is free.
        let nodes = self.tenants.iter().flatten().count() + self.free_nodes.len();
        let node = self.free_nodes.pop().unwrap_or(nodes as u32);
        let mut tenant = Tenant::new(name.to_owned(), node);
        tenant.set(self.now, self.setup.default_policy, 0);
        self.tenants.push(Some(tenant));
        self.note_use(TenantId::new(self.tenants.len() as u32 - 1));
        Ok(())
    }

    pub(crate) fn tenant_configure(&mut self, id: TenantId, policy: &TenantPolicy) -> Result<(), Refusal> {
        if !self.knows(id) || policy.parent.is_some_and(|parent| !self.knows(parent)) {
            return Err("unknown tenant");
        }
        if usize::from(policy.most_urgent.get()) >= self.setup.tiers.len() {
            return Err("policy");
        }
        if self.tenant(id).policy.parent != policy.parent {
            self.move_tenant(id, policy.parent)?;
        }
        self.set_policy(id, *policy);
        self.tenant_mut(id).configured = true;
        self.met.configured += 1;
        Ok(())
    }

    pub(crate) fn set_policy(&mut self, id: TenantId, policy: TenantPolicy) {
        let (now, held) = (self.now, self.held_at(id));
        self.set_weight(id, policy.weight);
        self.tenant_mut(id).set(now, policy, held);
        self.changed.insert(self.tenant(id).node);
    }

    fn move_tenant(&mut self, id: TenantId, parent: Option<TenantId>) -> Result<(), Refusal> {
        let above = |parent: Option<TenantId>| parent.map_or(Vec::new(), |parent| self.path(parent));
        let (former, new) = (above(self.tenant(id).policy.parent), above(parent));
        if new.contains(&id) {
            return Err("cycle");
        }
        let below =
            self.ids().into_iter().filter_map(|other| self.path(other).iter().position(|&up| up == id));
        let height = below.max().expect("itself");
        if new.len() + 1 + height > MAX_TENANT_DEPTH {
            return Err("too deep");
        }
        let (now, held) = (self.now, self.held_at(id));
        let left: Vec<TenantId> = former.iter().copied().filter(|above| !new.contains(above)).collect();
        for &above in &left {
            self.tenant_mut(above).give_back(now, held);
        }
        for &above in new.iter().filter(|above| !former.contains(above)) {
            self.tenant_mut(above).take_on(now, held);
        }
        self.met.moved_while_open += u64::from(held > 0);
        let nodes: Vec<u32> = former.iter().map(|&above| self.tenant(above).node).collect();
        self.changed.extend(nodes);
        self.tenant_mut(id).policy.parent = parent;
        self.offer_those_that_moved(id, &left);
        Ok(())
    }

    pub(crate) fn tenant_remove(&mut self, id: TenantId) -> Result<(), Refusal> {
        if !self.knows(id) {
            return Err("unknown tenant");
        }
        let has_children = self.tenants.iter().flatten().any(|tenant| tenant.policy.parent == Some(id));
        if has_children || self.requests.values().any(|request| request.spec.tenant == id) {
            return Err("busy");
        }
        self.free_nodes.push(self.tenant(id).node);
        self.tenants[id.get() as usize] = None;
        self.lines.retain(|line, _| line.2 != id);
        self.met.removed += 1;
        Ok(())
    }

    /// What the quota of its tenant says of a newcomer: it may be told to go to another tier.
    pub(crate) fn admit(&mut self, spec: &mut RequestSpec) -> Result<(), Refusal> {
        let policy = self.tenant(spec.tenant).policy;
        if spec.tier < policy.most_urgent {
            self.met.too_urgent += 1;
            return Err("tier too urgent");
        }
        let Some(gate) = self.gate_of_newcomer(spec) else { return Ok(()) };
        let (tenant, limit) = (gate.tenant, gate.limit);
        if gate.shut == Shut::Forever {
            self.met.never_allowed += 1;
            self.told = Some(Told::Never { tenant, limit, need: gate.need, max: gate.max });
            return Err("never allowed");
        }
        let retry_at = if let Shut::Until(nanos) = gate.shut { Some(at(nanos)) } else { None };
        match policy.over_quota {
            OverQuota::Reject => {
                self.met.rejected += 1;
                self.told = Some(Told::Later { tenant, limit, retry_at });
                Err("over quota")
            }
            OverQuota::Demote if usize::from(spec.tier.get()) + 1 < self.setup.tiers.len() => {
                self.met.demoted += 1;
                spec.tier = Tier::new(spec.tier.get() + 1);
                self.check_spec(spec, true)
            }
            OverQuota::Demote | OverQuota::Wait => Ok(()),
        }
    }
}
