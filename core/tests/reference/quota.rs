//! `docs/QUOTA.md`: exact buckets, what keeps a start back and for how long, and what starts and ends do to the
//! buckets of a path. What is open is counted from the requests whenever it is asked for.

use tidegate::{QuotaLimit, Rate, RequestSpec, TenantId, TenantPolicy};

use super::{Model, Request, Seq, Units, le, units};

/// No request counts for more.
pub(crate) const MAX_TOKENS: u64 = 1 << 40;

/// What a rate has saved up, in parts of a unit: its period has as many as nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    pub(crate) rate: Rate,
    parts: i128,
    at: u64,
}

/// How long a limit keeps a start back; the longest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shut {
    Until(u64),
    /// No time opens it.
    Indefinitely,
    Forever,
}

/// A limit that keeps a start back: what is needed of it, and the most that it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gate {
    pub(crate) tenant: TenantId,
    pub(crate) limit: QuotaLimit,
    pub(crate) shut: Shut,
    pub(crate) need: u64,
    pub(crate) max: u64,
}

impl Bucket {
    fn full(rate: Rate, now: u64) -> Self {
        let bucket = Self { rate, parts: 0, at: now };
        Self { parts: bucket.parts_of(rate.burst), ..bucket }
    }

    fn parts_of(&self, units: u64) -> i128 {
        i128::from(units) * i128::from(self.rate.period_ns)
    }

    fn refilled(self, now: u64) -> Self {
        let came = i128::from(now - self.at) * i128::from(self.rate.amount);
        Self { parts: (self.parts + came).min(self.parts_of(self.rate.burst)), at: now, ..self }
    }

    /// With so many units more, or fewer.
    fn with(self, now: u64, put: u64, take: u64) -> Self {
        let bucket = self.refilled(now);
        let parts = bucket.parts + bucket.parts_of(put) - bucket.parts_of(take);
        Self { parts: parts.min(bucket.parts_of(self.rate.burst)), ..bucket }
    }

    fn with_rate(self, now: u64, rate: Rate) -> Self {
        let (bucket, period) = (self.refilled(now), i128::from(self.rate.period_ns));
        let (level, fraction) = (bucket.parts.div_euclid(period), bucket.parts.rem_euclid(period));
        let new = Self { rate, ..bucket };
        let next = i128::from(rate.period_ns);
        let parts = level.min(i128::from(rate.burst)) * next + fraction * next / period;
        Self { parts: parts.min(new.parts_of(rate.burst)), ..new }
    }

    pub(crate) fn is_full(&self, now: u64) -> bool {
        self.refilled(now).parts == self.parts_of(self.rate.burst)
    }

    pub(crate) fn owes(&self, now: u64) -> bool {
        self.refilled(now).parts < 0
    }

    /// What keeps `need` back, once `ahead` is taken.
    fn shut(&self, now: u64, need: u64, ahead: u64, when_full: bool) -> Option<Shut> {
        if need > self.rate.burst && !when_full {
            return Some(Shut::Forever);
        }
        let missing = self.parts_of(need.min(self.rate.burst) + ahead) - self.refilled(now).parts;
        if missing <= 0 {
            return None;
        }
        let amount = i128::from(self.rate.amount);
        if amount == 0 {
            return Some(Shut::Indefinitely);
        }
        let at = u64::try_from(i128::from(now) + (missing + amount - 1) / amount);
        Some(at.map_or(Shut::Indefinitely, Shut::Until))
    }
}

/// A tenant, and the node of the tree that it is.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) policy: TenantPolicy,
    pub(crate) node: u32,
    pub(crate) requests: Option<Bucket>,
    pub(crate) tokens: Option<Bucket>,
    pub(crate) totals: Totals,
    /// What starts took of the tokens, and what came back, with its instant, since their rate was last set.
    pub(crate) taken: Vec<(u64, Took)>,
    pub(crate) configured: bool,
    /// The higher, the later something was done with it.
    pub(crate) last_use: u64,
}

/// What became of tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) charged: u64,
    pub(crate) debt: u64,
    pub(crate) refunded: u64,
    pub(crate) used: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Took {
    Start(u64),
    Back(u64),
}

impl Tenant {
    pub(crate) fn new(name: String, node: u32) -> Self {
        Self {
            name,
            policy: TenantPolicy::new(),
            node,
            requests: None,
            tokens: None,
            totals: Totals::default(),
            taken: Vec::new(),
            configured: false,
            last_use: 0,
        }
    }

    pub(crate) fn change_tokens(&mut self, now: u64, put: u64, take: u64) {
        self.tokens = self.tokens.map(|bucket| bucket.with(now, put, take));
        if put > 0 {
            self.taken.push((now, Took::Back(put)));
        }
    }

    fn change_requests(&mut self, now: u64, put: u64, take: u64) {
        self.requests = self.requests.map(|bucket| bucket.with(now, put, take));
    }

    pub(crate) fn give_back(&mut self, now: u64, tokens: u64) {
        self.totals.refunded += tokens;
        self.change_tokens(now, tokens, 0);
    }

    /// Takes what is held already, and was held elsewhere.
    pub(crate) fn take_on(&mut self, now: u64, tokens: u64) {
        self.totals.charged += tokens;
        self.change_tokens(now, 0, tokens);
    }

    /// Other limits: a bucket that is new is full, less what is held here.
    pub(crate) fn set(&mut self, now: u64, policy: TenantPolicy, held: u64) {
        let changed = |bucket: Option<Bucket>, rate: Option<Rate>, held: u64| {
            let rate = rate?;
            let new = || Bucket::full(rate, now).with(now, 0, held);
            Some(bucket.map_or_else(new, |bucket| bucket.with_rate(now, rate)))
        };
        self.requests = changed(self.requests, policy.requests, 0);
        if self.policy.tokens != policy.tokens {
            self.taken.clear();
        }
        self.tokens = changed(self.tokens, policy.tokens, held);
        self.policy = policy;
    }
}

impl Model {
    pub(crate) fn tenant(&self, id: TenantId) -> &Tenant {
        self.tenants[id.get() as usize].as_ref().expect("it is known")
    }

    pub(crate) fn tenant_mut(&mut self, id: TenantId) -> &mut Tenant {
        self.tenants[id.get() as usize].as_mut().expect("it is known")
    }

    /// A tenant, and those above it.
    pub(crate) fn path(&self, id: TenantId) -> Vec<TenantId> {
        core::iter::successors(Some(id), |&id| self.tenant(id).policy.parent).collect()
    }

    pub(crate) fn is_below(&self, id: TenantId, above: TenantId) -> bool {
        self.path(id).contains(&above)
    }

    /// The requests that hold quota at a tenant.
    pub(crate) fn open_at(&self, id: TenantId) -> impl Iterator<Item = &Request> {
        self.requests.values().filter(move |r| r.held.is_some() && self.is_below(r.spec.tenant, id))
    }

    pub(crate) fn held_at(&self, id: TenantId) -> u64 {
        self.open_at(id).filter_map(|request| request.held).sum()
    }

    pub(crate) fn units_at(&self, id: TenantId) -> Units {
        super::sum(self.open_at(id).map(|request| request.held_units))
    }

    /// The tokens that a start counts for.
    pub(crate) fn estimate(&self, spec: &RequestSpec) -> u64 {
        if let Some(output) = spec.output_tokens {
            return (spec.prompt_tokens + output).min(MAX_TOKENS);
        }
        let mean = self.means.get(&spec.tenant).map_or(0, |&mean| mean.div_euclid(1024) as u64);
        let path = self.path(spec.tenant).into_iter();
        let bursts = path.filter_map(|id| Some(self.tenant(id).policy.tokens?.burst));
        let whole = (spec.prompt_tokens + mean).min(bursts.min().unwrap_or(u64::MAX));
        whole.max(spec.prompt_tokens).min(MAX_TOKENS)
    }

    /// The limit that keeps a start back longest, with what is ahead at each tenant: requests and tokens.
    pub(crate) fn gate(
        &self,
        spec: &RequestSpec,
        (tokens, asks): (u64, Units),
        ahead: impl Fn(TenantId) -> (u64, u64),
    ) -> Option<Gate> {
        let mut gates: Vec<Gate> = Vec::new();
        for tenant in self.path(spec.tenant) {
            let node = self.tenant(tenant);
            let (requests_ahead, tokens_ahead) = ahead(tenant);
            let when_full = node.policy.allow_when_full;
            let mut note = |limit, shut: Option<Shut>, need, max| {
                gates.extend(shut.map(|shut| Gate { tenant, limit, shut, need, max }));
            };
            let rates = [
                (QuotaLimit::Requests, node.requests, 1, requests_ahead),
                (QuotaLimit::Tokens, node.tokens, tokens, tokens_ahead),
            ];
            for (limit, bucket, need, ahead) in rates {
                let Some(bucket) = bucket else { continue };
                note(limit, bucket.shut(self.now, need, ahead, when_full), need, bucket.rate.burst);
            }
            if let Some(max) = node.policy.max_running {
                let open = self.open_at(tenant).count() as u64 + requests_ahead;
                let shut = if max == 0 { Shut::Forever } else { Shut::Indefinitely };
                note(QuotaLimit::Running, (open >= max).then_some(shut), 1, max);
            }
            let (max, used) = (units(node.policy.max_in_use), self.units_at(tenant));
            for d in (0..4).filter(|&d| max[d] > 0 && asks[d] > 0) {
                let shut = if asks[d] > max[d] { Shut::Forever } else { Shut::Indefinitely };
                let is_shut = used[d] + asks[d] > max[d];
                note(QuotaLimit::Units, is_shut.then_some(shut), asks[d] as u64, max[d] as u64);
            }
        }
        let longest = gates.iter().map(|gate| gate.shut).max()?;
        gates.into_iter().find(|gate| gate.shut == longest)
    }

    /// A request that lacks no quota, and holds none yet, takes it.
    pub(crate) fn hold(&mut self, seq: Seq) {
        let Request { spec, asks, held: None, .. } = self.requests[&seq] else { return };
        let (now, tokens) = (self.now, self.needs(seq));
        let request = self.request(seq);
        (request.held, request.held_units, request.lapsed) = (Some(tokens), asks, false);
        self.renew_hold(seq);
        for id in self.path(spec.tenant) {
            let tenant = self.tenant_mut(id);
            tenant.totals.charged += tokens;
            tenant.change_tokens(now, 0, tokens);
            tenant.change_requests(now, 0, 1);
            tenant.taken.push((now, Took::Start(tokens)));
            self.met.debts += u64::from(self.tenant(id).tokens.is_some_and(|bucket| bucket.owes(now)));
        }
        self.met.holds += 1;
        self.violation = self.violation.take().or(self.check_hold(seq).err());
    }

    /// The start did not happen: all that it took comes back.
    pub(crate) fn undo_hold(&mut self, seq: Seq) {
        let Some(tokens) = self.request(seq).held.take() else { return };
        let now = self.now;
        for id in self.path(self.requests[&seq].spec.tenant) {
            self.tenant_mut(id).give_back(now, tokens);
            self.tenant_mut(id).change_requests(now, 1, 0);
        }
        self.met.undone += 1;
        self.mark_path(seq);
    }

    /// The same for one that waits, has no claim, and has not run.
    pub(crate) fn undo_idle_hold(&mut self, seq: Seq) {
        let request = &self.requests[&seq];
        if request.waits() && !request.has_run && self.claim_of(seq).is_none() {
            self.undo_hold(seq);
        }
    }

    /// It holds the units that it uses.
    pub(crate) fn hold_units(&mut self, seq: Seq) {
        let request = self.request(seq);
        let (before, after) = (request.held_units, request.in_use);
        if request.held.is_some() && before != after {
            request.held_units = after;
            if !le(before, after) {
                self.mark_path(seq);
            }
        }
    }

    /// A request that uses more tokens than it holds is charged for 64 more than it uses.
    pub(crate) fn charge_beyond(&mut self, seq: Seq) {
        let (request, now) = (&self.requests[&seq], self.now);
        let used = (request.spec.prompt_tokens + request.output).saturating_sub(request.settled);
        let Some(held) = request.held.filter(|&held| used > held) else { return };
        let more = (used + 64).min(MAX_TOKENS).saturating_sub(held);
        for id in self.path(request.spec.tenant) {
            let tenant = self.tenant_mut(id);
            tenant.totals.debt += more;
            tenant.change_tokens(now, 0, more);
            self.met.debts += u64::from(self.tenant(id).tokens.is_some_and(|bucket| bucket.owes(now)));
        }
        self.request(seq).held = Some(held + more);
        self.met.charged_beyond += 1;
    }
}
