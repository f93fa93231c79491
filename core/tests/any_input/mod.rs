//! Any input, any run of steps, any journal: mostly numbers that mean something to a young scheduler, and all others.

use proptest::prelude::*;
use tidegate::{
    Amendment, Attempt, Config, Decline, DeviceId, DeviceSpec, Input, Instant, Journal, OtherPools,
    OverQuota, PoolId, Ppm, QuotaLimit, Rate, Release, RequestId, RequestSpec, Resources, Shrink,
    StepException, TenantId, TenantPolicy, Tier, TierConfig, Usage, WorkerId, WorkerSpec, Yielding,
};

pub(crate) fn config() -> Config {
    Config::builder()
        .dimensions(["slots", "kv"])
        .tier(TierConfig::new("realtime").reserve_ppm(300_000))
        .tier(TierConfig::new("batch"))
        .build()
        .expect("a sound config")
}

/// What `config` may be changed to while running.
pub(crate) fn other_config() -> Config {
    Config::builder()
        .dimensions(["slots", "kv"])
        .tier(TierConfig::new("realtime").reserve_ppm(600_000))
        .tier(TierConfig::new("batch").queue_limit(3))
        .build()
        .expect("a sound config")
}

pub(crate) fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// Strategies are boxed where they nest: by value they outgrow the stack of a test.
///
/// Mostly numbers that mean something to a young scheduler, so that a replay does more than refuse.
fn number() -> BoxedStrategy<u64> {
    prop_oneof![3 => 0..4_u64, 1 => 0..=5_000_000_000_u64, 1 => any::<u64>()].boxed()
}

fn small() -> BoxedStrategy<u32> {
    prop_oneof![4 => 0..3_u32, 1 => any::<u32>()].boxed()
}

fn pool() -> BoxedStrategy<PoolId> {
    prop_oneof![8 => Just(0), 1 => any::<u32>()].prop_map(PoolId::new).boxed()
}

fn resources() -> BoxedStrategy<Resources> {
    prop_oneof![
        3 => [0..4_u64, 0..100_u64].prop_map(Resources::from),
        1 => [number(), number(), number(), number()].prop_map(Resources::from),
    ]
    .boxed()
}

fn request() -> BoxedStrategy<(RequestId, Attempt)> {
    let generation = prop_oneof![4 => Just(1), 1 => 1..4_u64];
    let likely = (generation, 0..4_u64).prop_map(|(generation, slot)| generation << 32 | slot);
    let bits = prop_oneof![16 => likely, 1 => any::<u64>()];
    let attempt = prop_oneof![8 => 1..3_u32, 1 => any::<u32>()];
    (bits, attempt).prop_map(|(bits, attempt)| (RequestId::from_bits(bits), Attempt::new(attempt))).boxed()
}

fn other_pools() -> impl Strategy<Value = OtherPools> {
    proptest::collection::vec(pool(), 0..=3).prop_map(|pools| OtherPools::new(&pools).expect("at most three"))
}

fn submit() -> BoxedStrategy<Input> {
    let yielding = prop_oneof![Just(Yielding::Restart), Just(Yielding::Checkpoint), Just(Yielding::Never)];
    let who = (small(), prop_oneof![4 => 0..2_u8, 1 => any::<u8>()], pool(), other_pools());
    let some = || proptest::option::of(number());
    let numbers = (number(), some(), some(), number(), number(), some());
    (who, resources(), resources(), numbers, yielding)
        .prop_map(|(who, demand, peak, numbers, yielding)| {
            Input::Submit(RequestSpec {
                tenant: TenantId::new(who.0),
                tier: Tier::new(who.1),
                pool: who.2,
                other_pools: who.3,
                demand,
                peak,
                prompt_tokens: numbers.0,
                cached_tokens: numbers.4,
                output_tokens: numbers.1,
                yielding,
                deadline: numbers.5.map(Instant::from_nanos),
                queue_timeout_ns: numbers.2,
                tag: numbers.3,
            })
        })
        .boxed()
}

fn report() -> BoxedStrategy<Input> {
    let why = prop_oneof![Just(Decline::Other), Just(Decline::NoRoom), Just(Decline::NotReady)];
    let release = prop_oneof![Just(Release::Done), Just(Release::Later)];
    prop_oneof![
        request().prop_map(|(request, _)| Input::Cancel { request }),
        (request(), number(), resources()).prop_map(|((request, attempt), cached_tokens, in_use)| {
            Input::Started { request, attempt, cached_tokens, in_use }
        }),
        (request(), why).prop_map(|((request, attempt), why)| Input::Declined { request, attempt, why }),
        (request(), number(), resources()).prop_map(|((request, attempt), output_tokens, in_use)| {
            Input::Progress { request, attempt, output_tokens, in_use }
        }),
        (request(), number(), release).prop_map(|((request, attempt), tokens_kept, release)| {
            Input::Preempted { request, attempt, tokens_kept, release }
        }),
        request().prop_map(|(request, attempt)| Input::Released { request, attempt }),
        (request(), [number(), number(), number()]).prop_map(|((request, attempt), tokens)| {
            let [prompt_tokens, cached_tokens, output_tokens] = tokens;
            Input::Complete { request, attempt, usage: Usage { prompt_tokens, cached_tokens, output_tokens } }
        }),
        request().prop_map(|(request, attempt)| Input::Failed { request, attempt }),
    ]
    .boxed()
}

fn shrink() -> BoxedStrategy<Shrink> {
    let preempt = number().prop_map(|after_ns| Shrink::Preempt { after_ns });
    prop_oneof![Just(Shrink::Drain), preempt].boxed()
}

/// What happens to workers and devices, and what changes while running.
fn change() -> BoxedStrategy<Input> {
    let device = || small().prop_map(DeviceId::new);
    let worker = || small().prop_map(WorkerId::new);
    let part = (device(), prop_oneof![Just(1_000_000), 0..3_000_000_u32]);
    let parts = proptest::collection::vec(part, 0..3);
    let exception =
        (request(), number(), resources()).prop_map(|((request, attempt), output_tokens, in_use)| {
            StepException { request, attempt, output_tokens, in_use }
        });
    let exceptions = proptest::collection::vec(exception, 0..3);
    let tier = proptest::option::of((0..4_u8).prop_map(Tier::new));
    let amendment = (
        proptest::option::of(resources()),
        proptest::option::of(resources()),
        tier,
        proptest::option::of(number()),
    );
    prop_oneof![
        2 => (pool(), resources(), parts).prop_map(|(pool, capacity, parts)| {
            let spec = WorkerSpec::new(capacity).pool(pool);
            let on = |spec: WorkerSpec, (device, ppm)| spec.on_part(device, Ppm::new(ppm));
            Input::WorkerAdd(parts.into_iter().fold(spec, on))
        }),
        2 => (resources(), proptest::option::of(number()))
            .prop_map(|(limit, checkpoint_mib)| Input::DeviceAdd(DeviceSpec { limit, checkpoint_mib })),
        1 => (device(), resources(), shrink())
            .prop_map(|(device, limit, shrink)| Input::DeviceResize { device, limit, shrink }),
        1 => device().prop_map(|device| Input::DeviceLost { device }),
        1 => (worker(), resources(), shrink())
            .prop_map(|(worker, capacity, shrink)| Input::WorkerResize { worker, capacity, shrink }),
        1 => (worker(), resources()).prop_map(|(worker, in_use)| Input::WorkerUsage { worker, in_use }),
        1 => (worker(), number(), exceptions).prop_map(|(worker, tokens_each, exceptions)| {
            Input::Step { worker, tokens_each, exceptions: exceptions.into() }
        }),
        2 => (request(), amendment).prop_map(|((request, _), (demand, peak, tier, deadline))| {
            let deadline = deadline.map(Instant::from_nanos);
            Input::Amend { request, amendment: Amendment { demand, peak, tier, deadline } }
        }),
        1 => any::<bool>().prop_map(|named| {
            let config = if named { config() } else { other_config() };
            Input::Reconfigure { config: Box::new(config) }
        }),
    ]
    .boxed()
}

/// A rate that the scheduler takes, or any.
fn rate() -> BoxedStrategy<Rate> {
    (number(), prop_oneof![4 => 1..5_000_000_000_u64, 1 => any::<u64>()], number())
        .prop_map(|(amount, period_ns, burst)| Rate { amount, period_ns, burst })
        .boxed()
}

/// Trees of the first tenants with limits that are reached, and every other field.
fn tenant() -> BoxedStrategy<Input> {
    let tenant = || small().prop_map(TenantId::new);
    let over_quota = prop_oneof![Just(OverQuota::Wait), Just(OverQuota::Reject), Just(OverQuota::Demote)];
    let some = || proptest::option::of(number());
    let place = (proptest::option::of(tenant()), small(), prop_oneof![4 => 0..2_u8, 1 => any::<u8>()]);
    let rates = (proptest::option::of(rate()), proptest::option::of(rate()), any::<bool>());
    let limits = (some(), resources(), some(), some());
    let configure = (tenant(), place, rates, limits, over_quota, any::<bool>()).prop_map(
        |(tenant, place, rates, limits, over_quota, allow_when_full)| {
            let policy = TenantPolicy {
                parent: place.0,
                weight: place.1,
                most_urgent: Tier::new(place.2),
                requests: rates.0,
                tokens: rates.1,
                leased: rates.2,
                max_running: limits.0,
                max_in_use: limits.1,
                queue_limit: limits.2,
                queue_token_limit: limits.3,
                over_quota,
                allow_when_full,
            };
            Input::TenantConfigure { tenant, policy: Box::new(policy) }
        },
    );
    let limit = prop_oneof![
        Just(QuotaLimit::Requests),
        Just(QuotaLimit::Tokens),
        Just(QuotaLimit::Running),
        Just(QuotaLimit::Units)
    ];
    let grant = (tenant(), limit, small(), number(), number()).prop_map(
        |(tenant, limit, seq, tokens, valid_for_ns)| Input::LeaseGranted {
            tenant,
            limit,
            seq: seq.into(),
            tokens,
            valid_for_ns,
        },
    );
    let remove = tenant().prop_map(|tenant| Input::TenantRemove { tenant });
    prop_oneof![4 => configure, 1 => remove, 2 => grant].boxed()
}

fn blocks() -> impl Strategy<Value = Input> {
    let blocks = proptest::collection::vec(number(), 0..4).prop_map(Vec::into_boxed_slice);
    let worker = small().prop_map(WorkerId::new);
    (worker, request(), blocks, 0_u8..3).prop_map(|(worker, (request, _), blocks, verb)| match verb {
        0 => Input::CacheStored { worker, blocks },
        1 => Input::CacheEvicted { worker, blocks },
        _ => Input::PrefixSet { request, blocks },
    })
}

fn input() -> BoxedStrategy<Input> {
    prop_oneof![
        12 => change(),
        6 => tenant(),
        2 => any::<String>().prop_map(|name| Input::TenantSet { name: name.into() }),
        1 => "[\\x00-\\x7f]*".prop_map(|name| Input::TenantSet { name: name.into() }),
        4 => (pool(), resources())
            .prop_map(|(pool, capacity)| Input::WorkerAdd(WorkerSpec::new(capacity).pool(pool))),
        1 => small().prop_map(|number| Input::WorkerDrain { worker: WorkerId::new(number) }),
        1 => small().prop_map(|number| Input::WorkerLost { worker: WorkerId::new(number) }),
        3 => blocks(),
        16 => submit(),
        32 => report(),
    ]
    .boxed()
}

/// `None` is a poll. Few instants, so that runs of polls meet at one.
pub(crate) fn steps() -> impl Strategy<Value = Vec<(Instant, Option<Input>)>> {
    let now = prop_oneof![20 => Just(0), 20 => Just(1), 20 => 0..20_000_000_000_u64, 1 => any::<u64>()];
    let now = now.prop_map(Instant::from_nanos);
    proptest::collection::vec((now, proptest::option::of(input())), 0..40)
}

pub(crate) fn journal() -> impl Strategy<Value = Journal> {
    (number(), steps()).prop_map(|(start, steps)| {
        let mut journal = Journal::new(config(), at(start));
        for (now, step) in steps {
            match step {
                Some(input) => journal.input(now, input),
                None => journal.poll(now),
            }
        }
        journal
    })
}
