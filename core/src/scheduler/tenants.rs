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
use crate::list::{LinkTable, Links, List};
use crate::meter::Meters;
use crate::packed::MaybeNumber;
use crate::quota::{Busy, Misplaced};
use crate::slab::Slab;
use crate::tenant::TenantPolicy;
use crate::time::Instant;

#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Tenant {
    pub(super) name: Box<str>,
    /// The number of its policy.
    policy: u32,
    /// Where it stands in the tree of quota.
    pub(super) node: u32,
    /// Its lines by the numbers of their queues.
    pub(super) lines: SmallVec<[(u32, u32); 2]>,
    /// The running mean of its outputs, in fractions of a token.
    pub(super) mean_output: MaybeNumber,
    /// What it has used, by tier, once it has submitted something.
    pub(super) meters: Meters,
    /// Whether somebody said what it may do.
    pub(super) is_configured: bool,
    /// Its live requests.
    pub(super) live: u32,
    /// Its neighbours among the idle.
    links: Links,
}

impl Tenant {
    fn new(name: &str, policy: u32, node: u32) -> Self {
        Self {
            name: name.into(),
            policy,
            node,
            lines: SmallVec::new(),
            mean_output: MaybeNumber::NONE,
            meters: Meters::default(),
            is_configured: false,
            live: 0,
            links: Links::default(),
        }
    }
}

impl Tenant {
    /// Reads ahead of what changes when a request comes or goes.
    #[inline(always)]
    pub(super) fn fetch(&self) -> u64 {
        let line = self.lines.first().map_or(0, |&(_, line)| line);
        u64::from(self.live ^ line)
    }
}

/// The policies of tenants, each once: few differ.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Policies {
    numbers: BTreeMap<TenantPolicy, u32>,
    /// Each with how many tenants have it.
    all: Slab<(TenantPolicy, u32)>,
    /// How many of them limit what waits.
    limiting: u32,
}

impl Default for Policies {
    fn default() -> Self {
        Self { numbers: BTreeMap::new(), all: Slab::new(), limiting: 0 }
    }
}

impl Policies {
    /// One more has this policy: its number.
    fn share(&mut self, policy: &TenantPolicy) -> u32 {
        let Self { numbers, all, limiting } = self;
        let number = *numbers.entry(*policy).or_insert_with(|| {
            *limiting += u32::from(policy.limits_queue());
            all.insert((*policy, 0)).0
        });
        self.all[number].1 += 1;
        number
    }

    /// One less has it.
    fn release(&mut self, number: u32) {
        let (policy, sharers) = &mut self.all[number];
        *sharers -= 1;
        if *sharers == 0 {
            self.limiting -= u32::from(policy.limits_queue());
            self.numbers.remove(policy);
            self.all.forget(number);
        }
    }
}

/// By number; one that is forgotten leaves its place empty.
#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct TenantList(Vec<Option<Box<Tenant>>>);

impl TenantList {
    fn get(&self, number: u32) -> Option<&Tenant> {
        self.0.get(number as usize)?.as_deref()
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut Tenant> {
        self.0.get_mut(number as usize)?.as_deref_mut()
    }
}

impl LinkTable for TenantList {
    fn links(&self, number: u32) -> Links {
        self.get(number).expect("who is idle is known").links
    }

    fn links_mut(&mut self, number: u32) -> &mut Links {
        &mut self.get_mut(number).expect("who is idle is known").links
    }
}

/// Tenants by number, which no other ever gets, and by name.
#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Tenants {
    pub(super) list: TenantList,
    /// Those that nobody configured and that have no live requests, the one used longest ago first.
    pub(super) idle: List,
    policies: Policies,
    by_name: BTreeMap<Box<str>, TenantId>,
    /// Whose node is whose, and what waits of the tenant's own requests, and of those below it.
    by_node: Vec<(TenantId, Waiting)>,
}

impl Tenants {
    pub(super) fn get(&self, id: TenantId) -> Option<&Tenant> {
        self.list.get(id.get())
    }

    /// Whether some policy limits what waits.
    pub(super) fn limit_queues(&self) -> bool {
        self.policies.limiting > 0
    }

    /// What a tenant may do.
    pub(super) fn policy(&self, tenant: &Tenant) -> &TenantPolicy {
        &self.policies.all[tenant.policy].0
    }

    /// Whether the number is, or was, a tenant's.
    pub(super) fn was_known(&self, id: TenantId) -> bool {
        id.index() < self.list.0.len()
    }

    /// All, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TenantId, &Tenant)> {
        let all = (0..).map(TenantId::new).zip(&self.list.0);
        all.filter_map(|(id, tenant)| Some((id, tenant.as_deref()?)))
    }

    pub(super) fn of_node(&self, node: u32) -> TenantId {
        self.by_node[node as usize].0
    }

    /// What waits of the requests of a node's tenant, and of those below it.
    pub(super) fn waiting_at(&self, node: u32) -> Waiting {
        self.by_node[node as usize].1
    }

    pub(super) fn waiting_at_mut(&mut self, node: u32) -> &mut Waiting {
        &mut self.by_node[node as usize].1
    }

    pub(super) fn count(&self) -> u64 {
        self.by_name.len() as u64
    }

    /// Whether no number is left that no tenant ever had; the last one is nobody's, as lists take it.
    pub(super) fn are_numbers_spent(&self) -> bool {
        self.list.0.len() as u64 >= u64::from(u32::MAX)
    }

    fn insert(&mut self, name: &str, policy: &TenantPolicy, node: u32) -> TenantId {
        let tenant = Tenant::new(name, self.policies.share(policy), node);
        let id = TenantId::new(self.list.0.len() as u32);
        if self.by_node.len() <= tenant.node as usize {
            self.by_node.resize(tenant.node as usize + 1, (id, Waiting::default()));
        }
        self.by_node[tenant.node as usize].0 = id;
        self.by_name.insert(tenant.name.clone(), id);
        self.list.0.push(Some(Box::new(tenant)));
        self.idle.insert_after(&mut self.list, self.idle.tail(), id.get());
        id
    }

    /// Takes a tenant without live requests out; its number is nobody's.
    pub(super) fn take(&mut self, id: TenantId) -> Box<Tenant> {
        // Who is configured is not among the idle.
        self.touch(id, |tenant| tenant.is_configured = true);
        let gone = self.list.0[id.index()].take().expect("it is known");
        self.by_name.remove(&gone.name);
        self.policies.release(gone.policy);
        gone
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
        self.list.get_mut(id.get()).expect("a live request's tenant is known")
    }
}

impl Scheduler {
    /// Makes a tenant known by its name; the same name gives the same tenant. A new one stands alone, under the
    /// config's default policy: see [`tenant_configure`](Self::tenant_configure). Where `max_tenants` are known, one
    /// that nobody configured, without live requests and that owes nothing, is forgotten for it. O(log tenants); then
    /// also O(queues that the one used).
    ///
    /// # Errors
    /// A name that is empty, too long, or has control characters; more tenants than `max_tenants`, of which none may
    /// be forgotten.
    pub fn tenant_set(&mut self, now: Instant, name: &str) -> Result<TenantId, TenantError> {
        self.advance(now);
        if let Some(&known) = self.tenants.by_name.get(name) {
            self.tenants.touch(known, |_| ());
            return Ok(known);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(TenantError::LimitExceeded { limit: Limit::NameBytes, max: MAX_NAME_BYTES as u64 });
        }
        if !is_name(name) {
            return Err(TenantError::BadName);
        }
        self.make_room_for_tenant()?;
        let policy = self.config.default_policy;
        let node = self.quota.add(self.now, None, &policy).expect("there is room at the top");
        Ok(self.tenants.insert(name, &policy, node))
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
        let moves = self.tenants.policy(&self.tenants[tenant]).parent != policy.parent;
        let waiting = self.tenants.waiting_at(node);
        if moves {
            let path: Vec<u32> = self.quota.path(node).skip(1).collect();
            self.quota.set_parent(self.now, node, parent).map_err(|misplaced| match misplaced {
                Misplaced::Cycle => TenantError::Cycle(tenant),
                Misplaced::TooDeep => TenantError::TooDeep(tenant),
                Misplaced::Unbalanced(_) => TenantError::TooMuch(tenant),
            })?;
            for &above in &path {
                self.tenants.waiting_at_mut(above).subtract_all(waiting);
                self.look_at_node(above);
            }
            let joined: Vec<u32> = self.quota.path(node).skip(1).collect();
            for &above in &joined {
                self.tenants.waiting_at_mut(above).add_all(waiting);
            }
            for &above in path.iter().filter(|above| !joined.contains(above)) {
                self.offer_those_that_left(node, above);
            }
        }
        self.tenants.touch(tenant, |tenant| tenant.is_configured = true);
        self.set_policy(tenant, policy);
        self.stir_all();
        Ok(())
    }

    /// What holds for a tenant from now on, beside where it stands.
    pub(super) fn set_policy(&mut self, tenant: TenantId, policy: &TenantPolicy) {
        let number = self.tenants.policies.share(policy);
        let target = &mut self.tenants[tenant];
        let former = core::mem::replace(&mut target.policy, number);
        for (_, line) in target.lines.clone() {
            self.fairness.set_weight(line, policy.weight);
        }
        let node = target.node;
        self.tenants.policies.release(former);
        self.quota.set(self.now, node, policy);
        self.look_at_node(node);
    }

    /// Forgets a tenant without live requests, and below which there is none; its debts too. O(log tenants + log idle
    /// lines).
    ///
    /// # Errors
    /// [`TenantError::Unknown`]; [`TenantError::Busy`].
    pub fn tenant_remove(&mut self, now: Instant, tenant: TenantId) -> Result<(), TenantError> {
        self.advance(now);
        let node = self.known(tenant)?;
        // One that was started may hold nothing any more.
        let lives = self.tenants[tenant].live > 0;
        if lives || matches!(self.quota.remove(node), Err(Busy::Children | Busy::Open(_))) {
            return Err(TenantError::Busy(tenant));
        }
        self.keep_usage(tenant);
        for (_, line) in self.tenants.take(tenant).lines {
            self.fairness.forget(line);
        }
        Ok(())
    }

    /// All tenants with their names, by number. O(1) for each, of those that were forgotten too.
    pub fn tenants(&self) -> impl Iterator<Item = (TenantId, &str)> {
        self.tenants.iter().map(|(id, tenant)| (id, &*tenant.name))
    }

    /// The node of a tenant.
    fn known(&self, tenant: TenantId) -> Result<u32, TenantError> {
        self.tenants.get(tenant).map(|tenant| tenant.node).ok_or(TenantError::Unknown(tenant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tenant_takes_without_limits_and_use() {
        assert!(size_of::<Tenant>() <= 96, "{}", size_of::<Tenant>());
    }

    #[test]
    fn policies_that_limit_what_waits_are_known_as_long_as_anybody_has_one() {
        let mut policies = Policies::default();
        let (free, limited) = (TenantPolicy::new(), TenantPolicy::new().queue_token_limit(3));
        let [plain, one, other] = [&free, &limited, &limited].map(|policy| policies.share(policy));
        assert_eq!((one == other, policies.limiting), (true, 1));
        policies.release(one);
        policies.release(plain);
        assert_eq!(policies.limiting, 1, "somebody has it");
        policies.release(other);
        assert_eq!(policies.limiting, 0);
    }
}
