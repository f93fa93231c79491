//! What holds for every figure: three tiers, two dimensions, fair order, and tenants two levels deep, each with limits
//! of tokens and of what runs at once. Knows no workload.

use std::time::Duration;

use tidegate::{
    Action, Affinity, Attempt, Config, ConfigBuilder, DeviceSpec, Instant, Placement, Preemption, Rate,
    RequestId, RequestSpec, Scheduler, TenantId, TenantPolicy, Tier, TierConfig, WorkerSpec,
};

pub(crate) const TIERS: [Tier; 3] = [Tier::P0, Tier::P1, Tier::P2];
pub(crate) const WORKERS: usize = 64;
pub(crate) const BLOCKS_PER_REQUEST: u64 = 40;
/// Between two turns the host's clock moves by the pace of a busy server, far below every timeout.
pub(crate) const TURN_NS: u64 = 10_000;
/// How many tenants are known where nothing else is said, and how many of them share one organisation.
pub(crate) const TENANTS: usize = 10_000;
const TENANTS_PER_ORGANISATION: usize = 100;
const WORKERS_PER_DEVICE: usize = 4;
/// What a tenant may use: a few times what it does where 300 of them share the machine.
const TOKENS_PER_MINUTE: u64 = 50_000_000;
const MAX_RUNNING: u64 = 2_000;

/// The tiers as they are by default, but for their reserves, which are lent whenever they are idle.
pub(crate) fn config() -> Config {
    built(builder(|tier| tier.hold_window(Duration::ZERO)))
}

/// The tiers as they are by default, but for their reserves; nobody may preempt.
pub(crate) fn config_without_preemption() -> Config {
    built(builder(without_preemption))
}

/// The same, where prompts go to the workers that have them in their caches.
pub(crate) fn config_with_affinity(affinity: Affinity) -> Config {
    built(builder(without_preemption).placement(Placement::PrefixAffinity).affinity(affinity))
}

fn without_preemption(tier: TierConfig) -> TierConfig {
    tier.preemption(Preemption::Never).preempt_while_borrowing(Preemption::Never)
}

fn built(builder: ConfigBuilder) -> Config {
    builder.build().expect("a valid config")
}

fn builder(policy: impl Fn(TierConfig) -> TierConfig) -> ConfigBuilder {
    let tier = |name, reserve| policy(TierConfig::new(name).reserve_ppm(reserve));
    Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .tier(tier("realtime", 300_000))
        .tier(tier("near-realtime", 0))
        .tier(tier("batch", 50_000))
}

/// Adds so many workers that have so many slots together, as even as it goes.
pub(crate) fn add_workers(scheduler: &mut Scheduler, workers: usize, slots: usize) {
    for number in 0..workers {
        let slots = (slots / workers + usize::from(number < slots % workers)) as u64;
        scheduler.worker_add(Instant::ZERO, worker(slots)).expect("a valid worker");
    }
}

/// Adds so many workers of so many slots, four on each device, which has as much as they.
pub(crate) fn add_workers_on_devices(scheduler: &mut Scheduler, workers: usize, slots: usize) {
    let slots = slots as u64;
    for first in (0..workers).step_by(WORKERS_PER_DEVICE) {
        let here = WORKERS_PER_DEVICE.min(workers - first);
        let limit = worker(here as u64 * slots).capacity;
        let spec = DeviceSpec { limit, checkpoint_mib: None };
        let device = scheduler.device_add(Instant::ZERO, spec).expect("a valid device");
        for _ in 0..here {
            scheduler.worker_add(Instant::ZERO, worker(slots).on(device)).expect("a valid worker");
        }
    }
}

fn worker(slots: u64) -> WorkerSpec {
    WorkerSpec::new([slots, slots * BLOCKS_PER_REQUEST])
}

/// Tenants below organisations, all with limits that they never reach.
#[derive(Debug, Default)]
pub(crate) struct Tenants {
    ids: Vec<TenantId>,
    organisation: Option<TenantId>,
}

impl Tenants {
    /// So many of them, and their organisations.
    pub(crate) fn known(scheduler: &mut Scheduler, count: usize) -> Vec<TenantId> {
        let mut tenants = Self::default();
        for _ in 0..count {
            tenants.add(scheduler);
        }
        tenants.ids
    }

    /// One more tenant, and one more organisation where the last one is complete.
    pub(crate) fn add(&mut self, scheduler: &mut Scheduler) -> TenantId {
        let number = self.ids.len();
        if number.is_multiple_of(TENANTS_PER_ORGANISATION) {
            let name = format!("organisation-{}", number / TENANTS_PER_ORGANISATION);
            let policy = within_limits(TENANTS_PER_ORGANISATION as u64);
            self.organisation = Some(configured(scheduler, &name, policy));
        }
        let parent = self.organisation.expect("the first tenant made one");
        let tenant = configured(scheduler, &format!("tenant-{number}"), within_limits(1).parent(parent));
        self.ids.push(tenant);
        tenant
    }
}

/// A tenant of this name and policy.
pub(crate) fn configured(scheduler: &mut Scheduler, name: &str, policy: TenantPolicy) -> TenantId {
    let tenant = scheduler.tenant_set(Instant::ZERO, name).expect("a valid name");
    scheduler.tenant_configure(Instant::ZERO, tenant, &policy).expect("a valid policy");
    tenant
}

fn within_limits(times: u64) -> TenantPolicy {
    TenantPolicy::new().tokens(Rate::per_minute(TOKENS_PER_MINUTE * times)).max_running(MAX_RUNNING * times)
}

/// A request of so many slots and their blocks; the usual one is of one slot.
pub(crate) fn request(tenant: TenantId, tier: Tier, slots: u64) -> RequestSpec {
    let units = [slots, slots * BLOCKS_PER_REQUEST];
    RequestSpec::new(tenant, tier).demand(units).peak(units).prompt_tokens(512).output_tokens(200)
}

/// The start that the next action has to be.
pub(crate) fn expect_start(scheduler: &mut Scheduler, now: Instant) -> (RequestId, Attempt) {
    match scheduler.poll(now) {
        Some(Action::Start { request, attempt, .. }) => (request, attempt),
        action => panic!("expected a start, got {action:?}"),
    }
}

/// The next index below `len` of a generator that visits a queue without order (Knuth's MMIX constants).
pub(crate) fn random_index(random: &mut u64, len: usize) -> usize {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*random >> 33).expect("31 bits") % len
}

/// Takes `count` of these out at random.
pub(crate) fn take_random<T>(random: &mut u64, from: &mut Vec<T>, count: usize) -> Vec<T> {
    (0..count).map(|_| from.swap_remove(random_index(random, from.len()))).collect()
}
