//! Who takes part in the scenarios, and what came of it: one figure after the other, as vLLM's unmodified
//! scheduler had it, as the model of it has it, and as tidegate has it.

use std::time::Duration;

use tidegate::{Config, ConfigBuilder, Ppm, Reserve, TierConfig};

use super::engine::Size;
use super::hosted::{Foresight, Hosted};
use super::scenarios::{
    Recompute, Urgent, blocked_waiters, blocks_short, long_prompt, slots_full, too_few_blocks,
};
use super::stock::{Stock, StockOrder};

/// Seeds of the published figures of C.
pub const PUBLISHED_SEEDS: u32 = 5;
/// Blocked requests in the two runs of E.
const BLOCKED: [u32; 2] = [10, 10_000];

/// One number of one scenario.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// A to F.
    pub scenario: char,
    /// The order that vLLM's scheduler has in it.
    pub order: StockOrder,
    /// What is counted.
    pub name: &'static str,
    /// What vLLM's unmodified scheduler did, where the run is the published one.
    pub published: Option<f64>,
    /// What the model of it does.
    pub vllm: f64,
    /// What tidegate does.
    pub tidegate: f64,
}

/// Stages all scenarios, C with the first so many seeds.
#[must_use]
pub fn figures(seeds: u32) -> Vec<Figure> {
    let by_priority = stock(StockOrder::Priority);
    let mut list = Vec::new();
    list.extend(urgent('A', [481.0, 0.0], slots_full(&by_priority), slots_full(hosted)));
    list.extend(urgent('B', [226.0, 3.0], blocks_short(&by_priority), blocks_short(hosted)));
    let ours = too_few_blocks(packed, seeds);
    for (order, published) in
        [(StockOrder::Fcfs, [0.209, 1_035.0, 24.0, 5.0]), (StockOrder::Priority, [0.2, 1_035.0, 22.0, 6.0])]
    {
        let published = (seeds == PUBLISHED_SEEDS).then_some(published);
        list.extend(recompute(order, published, too_few_blocks(stock(order), seeds), ours));
    }
    list.push(Figure {
        scenario: 'E',
        order: StockOrder::Priority,
        name: "step_time_ratio",
        published: Some(250.0),
        vllm: growth(&by_priority),
        tidegate: growth(|size| hosted(size).without_larger_worker(size)),
    });
    list.extend(urgent('F', [16.0, 0.0], long_prompt(&by_priority), long_prompt(hosted)));
    list
}

fn urgent(scenario: char, published: [f64; 2], vllm: Urgent, tidegate: Urgent) -> [Figure; 2] {
    let figure = |name, published, of: fn(&Urgent) -> u32| Figure {
        scenario,
        order: StockOrder::Priority,
        name,
        published: Some(published),
        vllm: of(&vllm).into(),
        tidegate: of(&tidegate).into(),
    };
    [
        figure("steps_until_computed", published[0], |urgent| urgent.steps),
        figure("victims", published[1], |urgent| urgent.victims),
    ]
}

fn recompute(
    order: StockOrder,
    published: Option<[f64; 4]>,
    vllm: Recompute,
    tidegate: Recompute,
) -> [Figure; 4] {
    let figure = |place: usize, name, of: fn(&Recompute) -> f64| Figure {
        scenario: 'C',
        order,
        name,
        published: published.map(|numbers| numbers[place]),
        vllm: of(&vllm),
        tidegate: of(&tidegate),
    };
    [
        figure(0, "recomputed_share", |measured| measured.share),
        figure(1, "steps", |measured| measured.steps),
        figure(2, "victims", |measured| measured.victims),
        figure(3, "victims_of_one", |measured| measured.worst.into()),
    ]
}

/// How many times as long a step takes with many blocked requests as with few.
fn growth<P: super::Policy>(policy: impl Fn(Size) -> P) -> f64 {
    let [few, many] = BLOCKED.map(|blocked| blocked_waiters(&policy, blocked) as f64);
    many / few
}

/// vLLM's scheduler.
pub fn stock(order: StockOrder) -> impl Fn(Size) -> Stock {
    move |_| Stock::new(order)
}

/// tidegate with the reserves that the replay has, and a host that foresees nothing.
#[must_use]
pub fn hosted(size: Size) -> Hosted {
    let tiers = [
        TierConfig::new("realtime").reserve_ppm(300_000),
        TierConfig::new("near-realtime"),
        TierConfig::new("batch").reserve_ppm(50_000),
    ];
    Hosted::new(built(tiers, |builder| builder), size, Foresight::default())
}

/// tidegate where throughput is all that counts: no reserves, nobody is kept waiting for room on purpose, and a
/// part of the blocks is for growth alone. It belongs to a tier without requests that lends nothing, so that no
/// start may use it. The numbers were chosen on the published draws.
#[must_use]
pub fn packed(size: Size) -> Hosted {
    const GROWTH: Ppm = Ppm::new(34_000);
    let tiers = [
        TierConfig::new("realtime"),
        TierConfig::new("near-realtime"),
        TierConfig::new("batch"),
        TierConfig::new("growth").reserve_in(1, Reserve::Share(GROWTH)).lendable_ppm(0),
    ];
    let patient =
        |builder: ConfigBuilder| builder.max_bypass(u32::MAX).drain_after(Duration::from_secs(3_600));
    // Outputs are drawn from 32 to 512 tokens: two thirds of them are shorter than 350.
    Hosted::new(built(tiers, patient), size, Foresight { expected: 350, at_start: 32 })
}

fn built<const N: usize>(tiers: [TierConfig; N], more: impl Fn(ConfigBuilder) -> ConfigBuilder) -> Config {
    let builder = Config::builder().dimensions(["slots", "kv_blocks"]);
    let builder = more(tiers.into_iter().fold(builder, ConfigBuilder::tier));
    builder.build().expect("our own config has no fault")
}
