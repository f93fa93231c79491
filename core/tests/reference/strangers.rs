//! Section 16: tenants that nobody configured, and who of them is forgotten.

use tidegate::TenantId;

use super::Model;
use super::fair::LineName;
use super::inputs::Refusal;

/// How many are looked at for one newcomer.
const LOOKS: usize = 8;

impl Model {
    /// Something was done with a tenant just now.
    pub(crate) fn note_use(&mut self, id: TenantId) {
        self.uses += 1;
        let uses = self.uses;
        self.tenant_mut(id).last_use = uses;
    }

    fn idle_longest(&self) -> Option<TenantId> {
        let is_idle = |id: &TenantId| {
            let has_live = self.requests.values().any(|request| request.spec.tenant == *id);
            !self.tenant(*id).configured && !has_live
        };
        self.ids().into_iter().filter(is_idle).min_by_key(|&id| self.tenant(id).last_use)
    }

    pub(crate) fn make_room_for_tenant(&mut self) -> Result<(), Refusal> {
        let is_full = |model: &Self| model.ids().len() >= model.setup.max_tenants as usize;
        for _ in 0..LOOKS {
            let Some(id) = self.idle_longest().filter(|_| is_full(self)) else { break };
            if self.owes(id) {
                self.note_use(id);
                self.met.spared += 1;
            } else {
                self.forget_tenant(id);
            }
        }
        if is_full(self) { Err("too many tenants") } else { Ok(()) }
    }

    fn lines_that_tell(&self, id: TenantId) -> Vec<LineName> {
        let lines = self.lines.keys().copied();
        lines.filter(|&line| line.2 == id && self.quantum(line.1).is_some()).collect()
    }

    /// Whether something would be forgiven if the tenant were forgotten.
    fn owes(&self, id: TenantId) -> bool {
        let tenant = self.tenant(id);
        let has_children = self.ids().iter().any(|&other| self.tenant(other).policy.parent == Some(id));
        let mut buckets = [tenant.requests, tenant.tokens].into_iter().flatten();
        let is_ahead = |line: LineName| {
            let floor = self.floors.get(&(line.0, line.1)).copied().unwrap_or(0);
            self.counter(line) > self.reached(line, None).max(floor)
        };
        has_children
            || buckets.any(|bucket| !bucket.is_full(self.now))
            || self.lines_that_tell(id).into_iter().any(is_ahead)
    }

    fn forget_tenant(&mut self, id: TenantId) {
        for line in self.lines_that_tell(id) {
            let counter = self.counter(line);
            let floor = self.floors.entry((line.0, line.1)).or_default();
            *floor = counter.max(*floor);
        }
        self.tenant_remove(id).expect("nobody is below it, and nothing lives");
        self.met.forgotten += 1;
    }

    pub(crate) fn apply_default_policy(&mut self) {
        let policy = self.setup.default_policy;
        for id in self.ids().into_iter().filter(|&id| !self.tenant(id).configured).collect::<Vec<_>>() {
            self.set_policy(id, policy);
        }
    }
}
