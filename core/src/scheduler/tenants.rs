//! Who asks: tenants by name and number, their policies, and the trees they form.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use smallvec::SmallVec;

use super::Scheduler;
use super::record::Waiting;
use crate::config::{MAX_NAME_BYTES, is_name};
use crate::error::{Limit, TenantError};
use crate::id::TenantId;
use crate::meter::Meter;
use crate::quota::{Busy, Misplaced};
use crate::tenant::TenantPolicy;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) name: Box<str>,
    pub(super) policy: TenantPolicy,
    /// Where it stands in the tree of quota.
    pub(super) node: u32,
    /// What waits of its own requests, and of those below it.
    pub(super) waiting: Waiting,
    /// Its lines by the numbers of their queues.
    pub(super) lines: SmallVec<[(u32, u32); 2]>,
    /// The running mean of its outputs, in fractions of a token.
    pub(super) mean_output: Option<i128>,
    /// What it has used, once it has submitted something.
    pub(super) meter: Option<Box<Meter>>,
}

/// Tenants by number, which no other ever gets, and by name.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    list: Vec<Option<Box<Tenant>>>,
    by_name: BTreeMap<Box<str>, TenantId>,
    /// Whose node is whose.
    by_node: Vec<TenantId>,
}

impl Tenants {
    pub(super) fn get(&self, id: TenantId) -> Option<&Tenant> {
        self.list.get(id.index())?.as_deref()
    }

    /// Whether the number is, or was, a tenant's.
    pub(super) fn was_known(&self, id: TenantId) -> bool {
        id.index() < self.list.len()
    }

    /// All, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TenantId, &Tenant)> {
        let all = (0..).map(TenantId::new).zip(&self.list);
        all.filter_map(|(id, tenant)| Some((id, tenant.as_deref()?)))
    }

    pub(super) fn of_node(&self, node: u32) -> TenantId {
        self.by_node[node as usize]
    }

    fn insert(&mut self, tenant: Tenant) -> TenantId {
        let id = TenantId::new(self.list.len() as u32);
        if self.by_node.len() <= tenant.node as usize {
            self.by_node.resize(tenant.node as usize + 1, id);
        }
        self.by_node[tenant.node as usize] = id;
        self.by_name.insert(tenant.name.clone(), id);
        self.list.push(Some(Box::new(tenant)));
        id
    }
}

impl core::ops::Index<TenantId> for Tenants {
    type Output = Tenant;

    fn index(&self, id: TenantId) -> &Tenant {
        self.get(id).expect("a live request's tenant is known")
    }
}

impl core::ops::IndexMut<TenantId> for Tenants {
    fn index_mut(&mut self, id: TenantId) -> &mut Tenant {
        self.list[id.index()].as_deref_mut().expect("a live request's tenant is known")
    }
}

impl Scheduler {
    /// Makes a tenant known by its name; the same name gives the same tenant. A new one stands alone, with weight 1
    /// and no limits: see [`tenant_configure`](Self::tenant_configure). O(log tenants).
    ///
    /// # Errors
    /// A name that is empty, too long, or has control characters; more tenants than `max_tenants`.
    pub fn tenant_set(&mut self, now: Instant, name: &str) -> Result<TenantId, TenantError> {
        self.advance(now);
        if let Some(&known) = self.tenants.by_name.get(name) {
            return Ok(known);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(TenantError::LimitExceeded { limit: Limit::NameBytes, max: MAX_NAME_BYTES as u64 });
        }
        if !is_name(name) {
            return Err(TenantError::BadName);
        }
        let max = u64::from(self.config.max_tenants);
        // A number is used once.
        if self.tenants.by_name.len() as u64 >= max || self.tenants.list.len() as u64 > u64::from(u32::MAX) {
            return Err(TenantError::LimitExceeded { limit: Limit::Tenants, max });
        }
        let policy = TenantPolicy::new();
        let node = self.quota.add(self.now, None, &policy).expect("there is room at the top");
        let (waiting, lines) = (Waiting::default(), SmallVec::new());
        let name = Box::from(name);
        let tenant = Tenant { name, policy, node, waiting, lines, mean_output: None, meter: None };
        Ok(self.tenants.insert(tenant))
    }

    /// Says where a tenant stands, what it weighs, and what it may use, instead of what was said before; for what is open
    /// too. O(depth + queues that it uses).
    ///
    /// # Errors
    /// [`TenantError`]: an unknown tenant or parent, one that would stand below itself or too deep, a policy with
    /// faults. Nothing changed.
    pub fn tenant_configure(
        &mut self,
        now: Instant,
        tenant: TenantId,
        policy: &TenantPolicy,
    ) -> Result<(), TenantError> {
        self.advance(now);
        let parent = policy.parent.map(|parent| self.known(parent)).transpose()?;
        let node = self.known(tenant)?;
        policy
            .validate(self.config.tiers.len(), self.config.dimensions.len())
            .map_err(TenantError::Policy)?;
        let moves = self.tenants[tenant].policy.parent != policy.parent;
        let waiting = self.tenants[tenant].waiting;
        if moves {
            let path: Vec<u32> = self.quota.path(node).skip(1).collect();
            self.quota.set_parent(self.now, node, parent).map_err(|misplaced| match misplaced {
                Misplaced::Cycle => TenantError::Cycle(tenant),
                Misplaced::TooDeep => TenantError::TooDeep(tenant),
                Misplaced::Unbalanced(_) => TenantError::TooMuch(tenant),
            })?;
            for &above in &path {
                let tenant = self.tenants.of_node(above);
                self.tenants[tenant].waiting.subtract_all(waiting);
                self.look_at_node(above);
            }
            let joined: Vec<u32> = self.quota.path(node).skip(1).collect();
            for &above in &joined {
                let tenant = self.tenants.of_node(above);
                self.tenants[tenant].waiting.add_all(waiting);
            }
            for &above in path.iter().filter(|above| !joined.contains(above)) {
                self.offer_those_that_left(node, above);
            }
        }
        self.quota.set(self.now, node, policy);
        let target = &mut self.tenants[tenant];
        target.policy = *policy;
        for (_, line) in target.lines.clone() {
            self.fairness.set_weight(line, policy.weight);
        }
        self.look_at_node(node);
        self.stir_all();
        Ok(())
    }

    /// Forgets a tenant without live requests, and below which there is none; its debts too. O(log tenants + log idle
    /// lines).
    ///
    /// # Errors
    /// [`TenantError::Unknown`]; [`TenantError::Busy`].
    pub fn tenant_remove(&mut self, now: Instant, tenant: TenantId) -> Result<(), TenantError> {
        self.advance(now);
        let node = self.known(tenant)?;
        let waits = self.tenants[tenant].waiting.requests > 0;
        if waits || matches!(self.quota.remove(node), Err(Busy::Children | Busy::Open(_))) {
            return Err(TenantError::Busy(tenant));
        }
        let gone = self.tenants.list[tenant.index()].take().expect("it is known");
        self.tenants.by_name.remove(&gone.name);
        for (_, line) in gone.lines {
            self.fairness.forget(line);
        }
        Ok(())
    }

    /// The node of a tenant.
    fn known(&self, tenant: TenantId) -> Result<u32, TenantError> {
        self.tenants.get(tenant).map(|tenant| tenant.node).ok_or(TenantError::Unknown(tenant))
    }
}
