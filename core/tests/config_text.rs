//! A config survives being written as TOML and as JSON, and text that is wrong is told so by field.

use core::time::Duration;

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use tidegate::{
    Affinity, Config, ConfigBuilder, MAX_DIMENSIONS, MAX_LEASED_PERIOD_NS, MAX_LEASED_TOKENS, MAX_POOLS,
    MAX_PREFIX_BLOCKS, MAX_TIERS, MAX_UNITS, Order, OverQuota, Placement, PoolId, Ppm, Preemption, Rate,
    Reserve, Resources, Rounding, StepTime, TenantPolicy, Tier, TierConfig,
};

/// Spans that need every unit, and those at the ends.
fn span() -> impl Strategy<Value = Duration> {
    let nanos = prop_oneof![
        Just(0),
        any::<u64>(),
        (0..u64::MAX / 1_000).prop_map(|us| us * 1_000),
        (0..1_000_u64).prop_map(|s| s * 1_000_000_000),
        Just(u64::MAX),
    ];
    nanos.prop_map(Duration::from_nanos)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9-]{1,12}", "\\PC{1,20}"]
}

fn names(most: usize) -> impl Strategy<Value = Vec<String>> {
    btree_set(name(), 1..=most).prop_map(|names| names.into_iter().collect::<Vec<_>>()).prop_shuffle()
}

fn preemption_while_borrowing() -> impl Strategy<Value = Preemption> {
    prop_oneof![Just(Preemption::LowerTier), Just(Preemption::Never)]
}

fn preemption() -> impl Strategy<Value = Preemption> {
    prop_oneof![preemption_while_borrowing(), Just(Preemption::AnyBorrower)]
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::Fair),
        Just(Order::DeficitLongestPrefix),
        Just(Order::Fifo),
        Just(Order::Deadline),
        Just(Order::ShortestFirst),
        Just(Order::HybridDeadline)
    ]
}

/// A tier with what it may say beside its shares and its queue.
fn named_tier(name: String, dimensions: usize) -> impl Strategy<Value = TierConfig> {
    let reserve = prop_oneof![
        (0..=100_000_u32).prop_map(|ppm| Reserve::Share(Ppm::new(ppm))),
        (0..=MAX_UNITS).prop_map(Reserve::Units)
    ];
    let reserves = vec(option::of(reserve.clone()), dimensions);
    let in_pools = vec((option::of(0..=100_000_u32), vec(option::of(reserve), dimensions)), 0..=1);
    let spans = (span(), option::of(span()), option::of(span()));
    let numbers = (option::of(1..=1_000_000_000_u32), 0..=1_000_000_u32, option::of(any::<u64>()));
    ((reserves, in_pools), spans, numbers, order()).prop_map(
        move |((reserves, in_pools), spans, numbers, order)| {
            let mut tier = TierConfig::new(name.clone());
            for (pool, (share, own)) in (0..).map(PoolId::new).zip(in_pools) {
                tier = share.into_iter().fold(tier, |tier, ppm| tier.reserve_ppm_in_pool(pool, ppm));
                for (dimension, reserve) in own.into_iter().enumerate() {
                    tier = reserve
                        .into_iter()
                        .fold(tier, |tier, own| tier.reserve_in_pool(pool, dimension, own));
                }
            }
            for (dimension, &reserve) in reserves.iter().enumerate() {
                tier = reserve.into_iter().fold(tier, |tier, reserve| tier.reserve_in(dimension, reserve));
            }
            tier = tier.order(order).deadline_token_weight(spans.0).prefill_share_ppm(numbers.1);
            tier = spans.1.into_iter().fold(tier, TierConfig::age_after);
            tier = spans.2.into_iter().fold(tier, TierConfig::token_objective);
            tier = numbers.0.into_iter().fold(tier, TierConfig::preemption_budget);
            numbers.2.into_iter().fold(tier, TierConfig::queue_token_limit)
        },
    )
}

fn tier(name: String, reserve: u32, dimensions: usize) -> impl Strategy<Value = TierConfig> {
    let limit = vec(0..=MAX_UNITS, dimensions).prop_map(|units| {
        let mut all = [0; MAX_DIMENSIONS];
        all[..units.len()].copy_from_slice(&units);
        Resources::from(all)
    });
    let rounding = prop_oneof![Just(Rounding::Ceil), Just(Rounding::Nearest), Just(Rounding::Floor)];
    let rules = (
        0..=1_000_000_u32,
        option::of(limit),
        rounding,
        preemption(),
        option::of(preemption_while_borrowing()),
    );
    (rules, span(), option::of(any::<u64>()), option::of(span()), named_tier(name, dimensions)).prop_map(
        move |(rules, hold, most, wait, tier)| {
            let (lendable, limit, rounding, preemption, borrowing) = rules;
            let mut tier = tier
                .reserve_ppm(reserve)
                .lendable_ppm(lendable)
                .rounding(rounding)
                .hold_window(hold)
                .preemption(preemption);
            tier = limit.into_iter().fold(tier, TierConfig::borrow_limit);
            tier = borrowing.into_iter().fold(tier, TierConfig::preempt_while_borrowing);
            tier = most.into_iter().fold(tier, TierConfig::queue_limit);
            wait.into_iter().fold(tier, TierConfig::queue_timeout)
        },
    )
}

fn tiers(dimensions: usize) -> impl Strategy<Value = Vec<TierConfig>> {
    names(MAX_TIERS).prop_flat_map(move |names| {
        // A dimension may have a share of its own that is a little more.
        let most = 1_000_000 / names.len() as u32 - 100_000;
        names
            .into_iter()
            .map(|name| (0..=most).prop_flat_map(move |ppm| tier(name.clone(), ppm, dimensions)))
            .collect::<Vec<_>>()
    })
}

fn affinity() -> impl Strategy<Value = Affinity> {
    let numbers = (1..=MAX_PREFIX_BLOCKS, 1..=u32::MAX, option::of(1..=u32::MAX));
    (numbers, any::<bool>(), any::<u32>(), any::<u32>(), span()).prop_map(
        |((blocks, tokens, each), learns, load, factor, wait)| {
            let affinity = Affinity::new(blocks).block_tokens(tokens).learns(learns).load_tokens(load);
            let affinity = each.into_iter().fold(affinity, Affinity::worker_blocks);
            affinity.imbalance_ppm(factor).wait(wait)
        },
    )
}

fn settings() -> impl Strategy<Value = ConfigBuilder> {
    let spans = (span(), 1..u64::MAX, 1..u64::MAX, span());
    let model = (span(), span(), span(), span(), span()).prop_map(|(base, token, decode, first, second)| {
        StepTime::new(base, token, decode).contexts(first, second)
    });
    let costs = (option::of(model), span(), span(), any::<u32>(), 1..u64::MAX);
    let token_limits = (option::of(any::<u64>()), option::of(any::<u64>()));
    let limits = (option::of(any::<u64>()), option::of(any::<u64>()), any::<bool>(), 1..=u32::MAX);
    let placement =
        prop_oneof![Just(Placement::Pack), Just(Placement::Spread), Just(Placement::PrefixAffinity)];
    let placement = (placement, affinity(), (span(), span(), span(), span()));
    (spans, limits, any::<u32>(), any::<u32>(), placement, costs, token_limits).prop_map(
        |(
            (min_run, confirm, drain, backoff),
            (total, tenant, displace, tenants),
            preemptions,
            bypass,
            (placement, affinity, (flap, most, forget, rebalance)),
            (model, stop, swap, kib, step),
            (total_tokens, tenant_tokens),
        )| {
            let mut builder = Config::builder()
                .placement(placement)
                .affinity(affinity)
                .min_run(min_run)
                .max_preemptions(preemptions)
                .confirm_after(Duration::from_nanos(confirm))
                .max_bypass(bypass)
                .drain_after(Duration::from_nanos(drain))
                .decline_backoff(backoff)
                .flap_backoff(flap)
                .flap_backoff_max(most)
                .flap_forget_after(forget)
                .rebalance_every(rebalance)
                .displace(displace)
                .max_tenants(tenants)
                .stop_takes(stop)
                .swap_token(swap)
                .checkpoint_kib_per_token(kib)
                .max_step(Duration::from_nanos(step));
            builder = model.into_iter().fold(builder, ConfigBuilder::step_time);
            builder = total_tokens.into_iter().fold(builder, ConfigBuilder::queue_token_limit);
            builder = tenant_tokens.into_iter().fold(builder, ConfigBuilder::tenant_queue_token_limit);
            builder = total.into_iter().fold(builder, ConfigBuilder::queue_limit);
            tenant.into_iter().fold(builder, ConfigBuilder::tenant_queue_limit)
        },
    )
}

fn rate() -> impl Strategy<Value = Rate> {
    let amounts = (0..=MAX_LEASED_TOKENS, 1..=MAX_LEASED_PERIOD_NS, 0..=MAX_LEASED_TOKENS);
    amounts.prop_map(|(amount, period_ns, burst)| Rate { amount, period_ns, burst })
}

fn policy() -> impl Strategy<Value = TenantPolicy> {
    let rates = (option::of(rate()), option::of(rate()), any::<bool>());
    let limits = (option::of(any::<u64>()), option::of(any::<u64>()), option::of(any::<u64>()));
    let over = prop_oneof![Just(OverQuota::Wait), Just(OverQuota::Reject), Just(OverQuota::Demote)];
    let units = proptest::array::uniform4(prop_oneof![Just(0), 0..=MAX_UNITS]);
    (any::<u32>(), any::<u8>(), rates, limits, units, over, any::<bool>()).prop_map(
        |(weight, tier, (requests, tokens, leased), limits, units, over, when_full)| TenantPolicy {
            parent: None,
            weight,
            most_urgent: Tier::new(tier),
            requests,
            tokens,
            leased: leased && (requests.is_some() || tokens.is_some()),
            max_running: limits.0,
            max_in_use: units.into(),
            queue_limit: limits.1,
            queue_token_limit: limits.2,
            over_quota: over,
            allow_when_full: when_full,
        },
    )
}

fn config() -> impl Strategy<Value = Config> {
    let dimensions = names(MAX_DIMENSIONS);
    let described = dimensions.prop_flat_map(|names| (tiers(names.len()), Just(names)));
    (settings(), described, option::of(names(20)), policy()).prop_map(
        |(builder, described, pools, policy)| {
            let (tiers, dimensions) = described;
            let mut policy = policy.most_urgent(Tier::new(policy.most_urgent.get() % tiers.len() as u8));
            (dimensions.len()..MAX_DIMENSIONS).for_each(|d| policy.max_in_use[d] = 0);
            let builder = builder.default_policy(policy);
            let builder = tiers.into_iter().fold(builder.dimensions(dimensions), ConfigBuilder::tier);
            pools
                .into_iter()
                .fold(builder, ConfigBuilder::pools)
                .build()
                .expect("every part is within its limits")
        },
    )
}

proptest! {
    #[test]
    fn text_loses_nothing(config in config()) {
        let text = config.to_toml();
        prop_assert_eq!(Config::from_toml(&text), Ok(config.clone()), "{}", text);
        prop_assert!(text.ends_with('\n'));
        let json = config.to_json();
        prop_assert_eq!(Config::from_json(&json), Ok(config), "{}", json);
        prop_assert!(json.ends_with('\n'));
    }

    #[test]
    fn no_text_is_read_with_a_panic(text in "\\PC*|([a-z_]+ ?= ?[\\[\\]{}\"a-z0-9,]*\n)*") {
        let _ = Config::from_toml(&text);
    }

    #[test]
    fn no_json_is_read_with_a_panic(
        config in config(),
        place in any::<proptest::sample::Index>(),
        letter in "[\\PC\n]",
    ) {
        let mut letters: Vec<_> = config.to_json().chars().collect();
        let place = place.index(letters.len());
        letters[place] = letter.chars().next().expect("one letter");
        let _ = Config::from_json(&String::from_iter(letters));
    }
}

#[test]
fn the_text_is_what_a_person_would_write() {
    let config = Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .min_run(Duration::from_millis(1500))
        .tier(TierConfig::new("realtime").reserve_ppm(300_000).borrow_limit([4, 100]))
        .tier(TierConfig::new("batch").queue_timeout(Duration::from_secs(3600)))
        .build()
        .expect("a sound config");
    let expected = r#"dimensions = ["slots", "kv_blocks"]
pools = ["default"]
placement = "pack"
prefix_blocks = 65536
prefix_block_tokens = 16
prefix_learning = true
prefix_load_tokens = 4096
prefix_imbalance_ppm = 1500000
prefix_wait = "0s"
min_run = "1500ms"
max_preemptions = 3
confirm_after = "1s"
max_bypass = 16
drain_after = "2s"
decline_backoff = "1s"
flap_backoff = "10s"
flap_backoff_max = "300s"
flap_forget_after = "600s"
rebalance_every = "0s"
stop_takes = "0s"
swap_token = "0s"
checkpoint_kib_per_token = 0
max_step = "60s"
displace = false
input_cost = 1
cached_cost = 0
output_cost = 2
predict_output = false
lease_replicas = 1
lease_ask_again_after = "1s"
lease_fallback_after = "3s"
lease_fallback = "local-share"
hold_timeout = "600s"
max_tenants = 1048576

[default_policy]
weight = 1
most_urgent = "realtime"
leased = false
over_quota = "wait"
allow_when_full = false

[[tiers]]
name = "realtime"
reserve_ppm = 300000
lendable_ppm = 1000000
rounding = "ceil"
hold_window = "30s"
preemption = "lower-tier"
order = "fair"
deficit_quantum = 8192
deadline_token_weight = "8ms"
prefill_share_ppm = 250000

[tiers.borrow_limit]
kv_blocks = 100
slots = 4

[[tiers]]
name = "batch"
reserve_ppm = 0
lendable_ppm = 1000000
rounding = "ceil"
hold_window = "30s"
preemption = "lower-tier"
order = "fair"
deficit_quantum = 8192
deadline_token_weight = "8ms"
prefill_share_ppm = 250000
queue_timeout = "3600s"
"#;
    assert_eq!(config.to_toml(), expected);
}

#[test]
fn json_has_the_shape_of_toml() {
    let toml = Config::from_toml(
        "dimensions = ['slots', 'kv']\npools = ['a']\nmin_run = '5ms'\n\
         step_time = { base = '1ms', prompt_token = '2us', decode = '3us' }\n\
         [[tiers]]\nname = 'x'\nreserve_ppm = 1\nreserve_units = { kv = 7 }\norder = 'deadline'\n",
    );
    let json = Config::from_json(
        r#"{"dimensions": ["slots", "kv"], "pools": ["a"], "min_run": "5ms", "queue_limit": null,
            "step_time": {"base": "1ms", "prompt_token": "2us", "decode": "3us"},
            "tiers": [{"name": "x", "reserve_ppm": 1, "reserve_units": {"kv": 7}, "order": "deadline"}]}"#,
    );
    assert!(toml.is_ok(), "{toml:?}");
    assert_eq!(json, toml);
}

#[test]
fn the_default_policy_is_a_table() {
    let tiers = "[[tiers]]\nname = 'realtime'\n[[tiers]]\nname = 'batch'\n";
    let text = format!(
        "dimensions = ['slots', 'kv']\n[default_policy]\nweight = 2\nmost_urgent = 'batch'\nover_quota = 'reject'\n\
         requests = {{ amount = 600, period = '60s' }}\n\
         tokens = {{ amount = 7000000, period = '60s', burst = 500000 }}\nmax_in_use = {{ kv = 9 }}\n{tiers}"
    );
    let policy = TenantPolicy::new()
        .weight(2)
        .most_urgent(Tier::P1)
        .over_quota(OverQuota::Reject)
        .requests(Rate::per_minute(600))
        .tokens(Rate::per_minute(7_000_000).burst(500_000))
        .max_in_use([0, 9]);
    assert_eq!(Config::from_toml(&text).expect("a sound config").default_policy(), &policy);
    let bad = format!(
        "dimensions = ['slots']\n[default_policy]\nmost_urgent = 'none'\nover_quota = 'never'\nleased = true\n\
         requests = {{ amount = 1, period = '1m' }}\ntokens = {{ amount = 1, period = '0s' }}\n\
         max_in_use = {{ gpus = 1 }}\n{tiers}"
    );
    let expected = [
        r#"line 3: default_policy.most_urgent: there is no tier "none""#,
        r#"line 6: default_policy.requests.period: "1m" is no duration: a whole number and one of s, ms, us, ns"#,
        "line 8: default_policy.max_in_use.gpus: there is no such dimension",
        r#"line 4: default_policy.over_quota: "never" is none of wait, reject, demote"#,
        "line 7: default_policy.tokens.period: must be longer than zero",
    ];
    let error = Config::from_toml(&bad).expect_err("the text has faults");
    assert_eq!(error.faults.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn json_of_another_shape_is_told_by_its_line() {
    for (text, told) in [
        ("", "line 1: EOF while parsing a value"),
        ("{\"dimensions\": [\"slots\"],\n\"slot\": 1}", "line 2: unknown field `slot`"),
        ("{\"a\\nb\\u0000\": 1}", "line 1: unknown field `a\\nb\\0`"),
        ("{\"min_run\":\n1}", "line 2: invalid type: integer `1`, expected a string"),
        ("{\"max_bypass\": -1}", "line 1: invalid value: integer `-1`, expected u32"),
        ("{\"max_bypass\": 1,\n\"max_bypass\": 2}", "line 2: duplicate field `max_bypass`"),
        ("{}{}", "line 1: trailing characters"),
        (
            "{\"tiers\": [{\"name\": \"a\",\n\"borrow_limit\": {\"x\": 1, \"x\": 2}}]}",
            "line 2: \"x\" is named twice",
        ),
        ("{\"tiers\": [{\"reserve_ppm\": 1}]}", "line 1: missing field `name`"),
    ] {
        let faults = Config::from_json(text).expect_err("the text has a fault").to_string();
        assert!(faults.starts_with(told), "{text:?}: {faults}");
        assert!(!faults.contains(" at line "), "the line is told once: {faults}");
    }
    let deep = "[".repeat(100_000);
    assert!(Config::from_json(&format!("{{\"pools\": {deep}")).is_err());
}

#[test]
fn all_faults_of_json_are_told_at_once_each_with_its_field() {
    let text = r#"{"dimensions": ["slots"], "placement": "tight", "drain_after": "0s",
        "tiers": [{"name": "a", "order": "lifo"}, {"name": "a", "preemption_budget": 0}]}"#;
    let error = Config::from_json(text).expect_err("the text has faults");
    let paths: Vec<_> = error.faults.iter().map(|fault| (fault.path.as_str(), fault.line)).collect();
    let expected = ["placement", "tiers[0].order", "tiers[1]", "tiers[1].preemption_budget", "drain_after"];
    assert_eq!(paths, expected.map(|path| (path, None)));
}

#[test]
fn what_is_left_out_is_at_the_builders_default() {
    let text = "dimensions = ['slots']\n[[tiers]]\nname = 'only'\n";
    let built = Config::builder().dimensions(["slots"]).tier(TierConfig::new("only")).build();
    assert_eq!(Config::from_toml(text), built);
}

#[test]
fn the_most_pools_there_may_be_are_read_back() {
    let pools = (0..MAX_POOLS).map(|number| number.to_string());
    let config = Config::builder()
        .dimensions(["slots"])
        .pools(pools)
        .tier(TierConfig::new("only"))
        .build()
        .expect("a sound config");
    assert_eq!(Config::from_toml(&config.to_toml()), Ok(config));
}

fn faults(text: &str) -> String {
    Config::from_toml(text).expect_err("the text has a fault").to_string()
}

#[test]
fn text_of_another_shape_is_told_by_its_line() {
    for (text, told) in [
        ("dimensions = [\"slots\"\npools = 1", "line 2: "),
        (
            "dimensions = [\"slots\"]\n\nmin_run = 1\n",
            "line 3: min_run: invalid type: integer `1`, expected a string",
        ),
        ("dimensions = [\"slots\"]\nslot = 1\n", "line 2: slot: unknown field `slot`"),
        ("[[tiers]]\nname = \"a\"\nreserve = 1\n", "line 3: reserve: unknown field `reserve`"),
        ("[[tiers]]\nreserve_ppm = 1\n", "line 1: missing field `name`"),
        ("max_preemptions = -1", "line 1: max_preemptions: invalid value: integer `-1`, expected u32"),
        (
            "max_tenants = 4294967296",
            "line 1: max_tenants: invalid value: integer `4294967296`, expected u32",
        ),
        ("max_bypass = 1\nmax_bypass = 2", "line 2: max_bypass: duplicate key"),
    ] {
        let faults = faults(text);
        assert!(faults.starts_with(told), "{text:?}: {faults}");
        assert!(!faults.contains('\n'), "one line: {faults}");
    }
}

#[test]
fn all_faults_are_told_at_once_each_with_its_field() {
    let text = r#"
        dimensions = ["slots", "kv"]
        placement = "tight"
        drain_after = "0s"
        min_run = "1m"
        confirm_after = "20000000000s"
        [[tiers]]
        name = "a"
        reserve_ppm = 600000
        rounding = "up"
        hold_window = "1.5s"
        borrow_limit = { slots = 1, gpus = 2 }
        [[tiers]]
        name = "a"
        reserve_ppm = 600000
        queue_timeout = "s"
        preemption = "always"
        preempt_while_borrowing = "Never"
        borrow_limit = { slots = 2000000000000, kv = 0 }
    "#;
    let expected = [
        r#"line 3: placement: "tight" is none of pack, spread, prefix-affinity"#,
        r#"line 5: min_run: "1m" is no duration: a whole number and one of s, ms, us, ns"#,
        r#"line 6: confirm_after: "20000000000s" is longer than 2^64 ns, 584 years"#,
        "line 12: tiers[0].borrow_limit.kv: is missing; every dimension is named",
        "line 12: tiers[0].borrow_limit.gpus: there is no such dimension",
        r#"line 10: tiers[0].rounding: "up" is none of ceil, nearest, floor"#,
        r#"line 11: tiers[0].hold_window: "1.5s" is no duration: a whole number and one of s, ms, us, ns"#,
        r#"line 17: tiers[1].preemption: "always" is none of lower-tier, never, any-borrower"#,
        r#"line 18: tiers[1].preempt_while_borrowing: "Never" is none of lower-tier, never, any-borrower"#,
        r#"line 16: tiers[1].queue_timeout: "s" is no duration: a whole number and one of s, ms, us, ns"#,
        r#"line 13: tiers[1]: "a" is named twice"#,
        "line 19: tiers[1].borrow_limit[0]: 2000000000000 is above 1099511627776",
        "line 15: tiers.reserve_ppm: the shares sum to 1200000 ppm, above 1000000 (100 %)",
        "line 4: drain_after: must be longer than zero",
    ];
    let error = Config::from_toml(text).expect_err("the text has faults");
    assert_eq!(error.faults.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    assert!(error.to_string().ends_with("; and 6 more"), "{error}");
}

#[test]
fn a_pool_may_have_reserves_of_its_own() {
    let text = "dimensions = ['slots', 'kv']\npools = ['a', 'b']\n\
                [[tiers]]\nname = 'x'\nreserve_ppm = 300000\nreserve_ppm_in = { kv = 200000 }\n\
                [tiers.pools.b]\nreserve_ppm = 500000\nreserve_units = { slots = 3 }\n";
    let tier = TierConfig::new("x").reserve_ppm(300_000).reserve_in(1, Reserve::Share(Ppm::new(200_000)));
    let pool = PoolId::new(1);
    let tier = tier.reserve_ppm_in_pool(pool, 500_000).reserve_in_pool(pool, 0, Reserve::Units(3));
    let config = Config::builder().dimensions(["slots", "kv"]).pools(["a", "b"]).tier(tier);
    assert_eq!(Config::from_toml(text), config.build());
}

#[test]
fn faults_of_reserves_of_pools_are_told_with_their_fields() {
    let text = "dimensions = ['slots', 'kv']\npools = ['a', 'b']\n\
                [[tiers]]\nname = 'x'\nreserve_ppm = 300000\n\
                [tiers.pools.b]\nreserve_ppm = 800000\nreserve_units = { slots = 3, gpus = 1 }\n\
                [tiers.pools.c]\nreserve_ppm = 800000\n\
                [[tiers]]\nname = 'y'\nreserve_ppm = 300000\n\
                [tiers.pools.a]\nreserve_ppm = 1000001\n";
    let expected = [
        "line 8: tiers[0].pools.b.reserve_units.gpus: there is no such dimension",
        "line 9: tiers[0].pools.c: there is no such pool",
        "line 15: tiers[1].pools.a.reserve_ppm: 1000001 is above 1000000 (100 %)",
        "line 15: tiers.pools.a.reserve_ppm: in slots: the shares sum to 1300001 ppm, above 1000000 (100 %)",
        "line 15: tiers.pools.a.reserve_ppm: in kv: the shares sum to 1300001 ppm, above 1000000 (100 %)",
        "line 14: tiers.pools.b.reserve_ppm: in kv: the shares sum to 1100000 ppm, above 1000000 (100 %)",
    ];
    let error = Config::from_toml(text).expect_err("the text has faults");
    assert_eq!(error.faults.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn more_dimensions_than_there_may_be_are_a_fault_with_limits_too() {
    let text = "dimensions = ['a', 'b', 'c', 'd', 'e']\n[[tiers]]\nname = 'x'\n\
                borrow_limit = { a = 1, b = 1, c = 1, d = 1, e = 1 }\n";
    assert_eq!(faults(text), "line 1: dimensions: 5 given, from 1 to 4 allowed");
}
