//! Who of a tier comes first, and who of the tier below comes before others.

mod common;

use std::time::Duration;

use common::{World, starts};
use tidegate::{Config, ConfigBuilder, Instant, Order, RequestId, StepTime, Tier, TierConfig};

fn ordered(order: Order) -> ConfigBuilder {
    Config::builder().dimensions(["slots", "kv_blocks"]).tier(TierConfig::new("only").order(order))
}

/// The order in which requests with these deadlines, prompts and outputs start, on one slot.
fn order_of(config: ConfigBuilder, requests: &[(Option<u64>, u64, u64)]) -> Vec<usize> {
    let mut world = World::new(config);
    let ids: Vec<RequestId> = requests
        .iter()
        .map(|&(deadline, prompt, output)| {
            let mut spec = world.spec(Tier::P0, [1, 10]).prompt_tokens(prompt).output_tokens(output);
            spec.deadline = deadline.map(Instant::from_nanos);
            world.submit_spec(spec)
        })
        .collect();
    world.worker([1, 1000]);
    let mut order = Vec::new();
    while order.len() < ids.len() {
        let [next] = starts(&world.round())[..] else { panic!("one slot, one start") };
        order.push(ids.iter().position(|&id| id == next).expect("it was submitted"));
        world.complete(next);
    }
    order
}

#[test]
fn by_arrival_deadline_or_cost() {
    let requests = [(Some(900), 50, 10), (None, 10, 10), (Some(800), 65, 1), (Some(900), 1, 1)];
    assert_eq!(order_of(ordered(Order::Fifo), &requests), [0, 1, 2, 3]);
    assert_eq!(order_of(ordered(Order::Deadline), &requests), [2, 0, 3, 1]);
    assert_eq!(order_of(ordered(Order::ShortestFirst), &requests), [3, 1, 2, 0], "3, 30, 67, 70");
}

#[test]
fn hybrid_deadline_weighs_the_prompt_and_relegates_the_hopeless() {
    let tier = TierConfig::new("only").order(Order::HybridDeadline);
    let weighed = |nanos| tier.clone().deadline_token_weight(Duration::from_nanos(nanos));
    let config = |tier| Config::builder().dimensions(["slots", "kv_blocks"]).tier(tier);
    let requests = [(Some(500), 400, 0), (Some(600), 10, 0)];
    assert_eq!(order_of(config(weighed(0)), &requests), [0, 1]);
    assert_eq!(order_of(config(weighed(1)), &requests), [1, 0], "610 before 900");
    let model = StepTime::new(Duration::ZERO, Duration::from_nanos(2), Duration::ZERO);
    assert_eq!(order_of(config(weighed(0)).step_time(model), &requests), [1, 0], "800 ns are past 500");
}

#[test]
fn relegation_comes_at_its_instant_and_not_before() {
    let config = ordered(Order::HybridDeadline);
    for (now, first) in [(1_000, 0), (1_001, 1)] {
        let mut world = World::new(config.clone());
        let late = world.spec(Tier::P0, [1, 10]).deadline(Instant::from_nanos(1_000)).prompt_tokens(0);
        let ids = [world.submit_spec(late), world.submit(Tier::P0, [1, 10])];
        world.now = Instant::from_nanos(now);
        world.worker([1, 1000]);
        assert_eq!(starts(&world.round()), [ids[first]]);
    }
}

/// Behind the next higher tier's own, and so before their own tier's, whatever its order.
#[test]
fn the_aged_come_before_their_tiers_own_from_their_instant_on() {
    let short_first = unheld("b").order(Order::ShortestFirst).age_after(Duration::from_nanos(100));
    let config = Config::builder().dimensions(["slots", "kv_blocks"]).tier(unheld("a")).tier(short_first);
    for (now, aged) in [(99, false), (100, true)] {
        let mut world = World::new(config.clone());
        let long = world.submit_spec(world.spec(Tier::P1, [1, 10]).prompt_tokens(900));
        world.now = Instant::from_nanos(now);
        let short = world.submit_spec(world.spec(Tier::P1, [1, 10]).prompt_tokens(9));
        let urgent = world.submit(Tier::P0, [1, 10]);
        world.worker([1, 1000]);
        assert_eq!(starts(&world.round()), [urgent]);
        world.complete(urgent);
        assert_eq!(starts(&world.round()), [if aged { long } else { short }]);
    }
}

/// One tier for each span: behind the first tier's own, and before the tier between, from twice the span on.
#[test]
fn the_aged_climb_a_tier_for_each_span() {
    let batch = unheld("c").age_after(Duration::from_nanos(100));
    let tiers = Config::builder().dimensions(["slots", "kv_blocks"]).tier(unheld("a")).tier(unheld("b"));
    for (now, climbed) in [(199, false), (200, true)] {
        let mut world = World::new(tiers.clone().tier(batch.clone()));
        let old = world.submit(Tier::P2, [1, 10]);
        world.now = Instant::from_nanos(now);
        let between = world.submit(Tier::P1, [1, 10]);
        let urgent = world.submit(Tier::P0, [1, 10]);
        world.worker([1, 1000]);
        assert_eq!(starts(&world.round()), [urgent]);
        world.complete(urgent);
        assert_eq!(starts(&world.round()), [if climbed { old } else { between }]);
    }
}

fn unheld(name: &str) -> TierConfig {
    TierConfig::new(name).hold_window(Duration::ZERO)
}

#[test]
fn those_that_have_run_come_first_in_any_order() {
    for order in [Order::Fifo, Order::Deadline, Order::ShortestFirst, Order::HybridDeadline] {
        let mut world = World::with_workers(ordered(order), 1, [1, 1000]);
        let at = |deadline| world.spec(Tier::P0, [1, 10]).deadline(Instant::from_nanos(deadline));
        let (long, short) = (at(900).prompt_tokens(900), at(800).prompt_tokens(1));
        let old = world.submit_spec(long);
        world.round();
        world.submit_spec(short);
        world.preempted(old, 3);
        assert_eq!(starts(&world.round()), [old], "{order:?}");
    }
}
