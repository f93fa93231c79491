//! The page of metrics: what stands on it is what happened, in both formats.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::{World, three_tiers};
use proptest::prelude::*;
use tidegate::{
    Action, LeaseTerms, MetricsFormat, OverQuota, QuotaLimit, Rate, Scheduler, StepException, TenantPolicy,
    Tier, Usage, YieldMode,
};

const ROOM_FOR_ALL: usize = 100;

/// The samples by their names with labels, as they are written.
fn samples(sched: &Scheduler, format: MetricsFormat, tenants: usize) -> BTreeMap<String, String> {
    let mut page = String::new();
    sched.write_metrics(&mut page, format, tenants).expect("a string takes everything");
    let lines: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
    let split = lines.iter().map(|line| line.rsplit_once(' ').expect("a name and a number"));
    let samples: BTreeMap<_, _> = split.map(|(name, value)| (name.to_string(), value.to_string())).collect();
    assert_eq!(samples.len(), lines.len(), "a series stands there once");
    samples
}

struct Page(BTreeMap<String, String>);

impl Page {
    fn of(world: &World) -> Self {
        Self(samples(&world.sched, MetricsFormat::OpenMetrics, ROOM_FOR_ALL))
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    fn number(&self, name: &str) -> f64 {
        self.text(name).parse().expect("a number")
    }

    /// The sum over the series of a name, of which each has all of the labels.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let is_one = |series: &str| {
            let (of, own) = series.split_once('{').unwrap_or((series, ""));
            of == name && labels.iter().all(|label| own.contains(label))
        };
        self.0
            .iter()
            .filter(|(series, _)| is_one(series))
            .map(|(_, value)| value.parse::<f64>().expect("a number"))
            .sum()
    }
}

fn queue(name: &str, tier: &str) -> String {
    format!("{name}{{pool=\"default\",tier=\"{tier}\"}}")
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_first_token_is_counted_when_it_is_reported_however_that_is() {
    let mut world = World::with_workers(three_tiers(), 1, [8, 800]);
    let ids = world.submit_many(4, Tier::P1, [1, 10]);
    world.pass(ms(10));
    world.round();
    let worker = world.worker_of(ids[0]).expect("it runs");
    let (by_step, by_progress, by_exception, at_once) = (ids[0], ids[1], ids[2], ids[3]);
    world.progress(by_step, 0, [1, 10]);
    let first = "tidegate_time_to_first_token_seconds";
    let noted = |world: &World| {
        let page = Page::of(world);
        (
            page.number(&queue(&format!("{first}_count"), "near-realtime")),
            page.number(&queue(&format!("{first}_sum"), "near-realtime")),
        )
    };
    assert_eq!(noted(&world), (0.0, 0.0));
    world.pass(ms(10));
    let exception = StepException {
        request: by_exception,
        attempt: world.attempt(by_exception),
        output_tokens: 1,
        in_use: [1, 10].into(),
    };
    world.sched.step(world.now, worker, 1, &[exception]).expect("both run there");
    assert_eq!(noted(&world), (2.0, 0.040));
    world.pass(ms(10));
    world.progress(by_progress, 2, [1, 10]);
    assert_eq!(noted(&world), (3.0, 0.070));
    world.pass(ms(10));
    world.complete_with(at_once, Usage { output_tokens: 5, ..Usage::default() });
    assert_eq!(noted(&world), (4.0, 0.110));
    // What came with the first report is not counted again: 4 in 40 ms, and 1 in 20.
    world.pass(ms(10));
    world.complete_with(by_progress, Usage { output_tokens: 6, ..Usage::default() });
    world.sched.step(world.now, worker, 1, &[]).expect("it is up");
    world.complete_with(by_step, Usage { output_tokens: 2, ..Usage::default() });
    let page = Page::of(&world);
    let each = "tidegate_time_per_output_token_seconds";
    assert_eq!(page.text(&queue(&format!("{each}_count"), "near-realtime")), "2");
    assert_eq!(page.text(&queue(&format!("{each}_sum"), "near-realtime")), "0.035");
    assert_eq!(page.text(&queue("tidegate_queue_delay_seconds_sum", "near-realtime")), "0.04");
}

#[test]
fn who_never_gets_a_token_leaves_no_trace_behind() {
    let mut world = World::with_workers(three_tiers(), 1, [1, 100]);
    for _ in 0..100 {
        let id = world.submit(Tier::P2, [1, 10]);
        world.round();
        world.progress(id, 0, [1, 10]);
        world.complete(id);
    }
    let long = world.sched.snapshot().len();
    let mut fresh = World::with_workers(three_tiers(), 1, [1, 100]);
    fresh.submit(Tier::P2, [1, 10]);
    assert!(
        long < fresh.sched.snapshot().len() + 200,
        "the list of those without a token grows for ever: {long}"
    );
    let page = Page::of(&world);
    assert_eq!(page.sum("tidegate_time_to_first_token_seconds_count", &[]), 0.0);
    assert_eq!(page.sum("tidegate_queue_delay_seconds_count", &[]), 100.0);
}

#[test]
fn what_tiers_have_is_told_in_parts_that_make_up_the_whole() {
    let mut world = World::with_workers(three_tiers(), 2, [4, 64]);
    world.submit_many(9, Tier::P2, [1, 8]);
    world.pass(ms(1));
    world.round();
    world.submit_many(2, Tier::P0, [1, 8]);
    world.pass(ms(2500));
    let page = Page::of(&world);
    let slots = &["resource=\"slots\""];
    assert_eq!(page.sum("tidegate_capacity_units", slots), 8.0);
    assert_eq!(page.sum("tidegate_used_units", &["slots", "batch", "guaranteed"]), 1.0);
    assert_eq!(page.sum("tidegate_used_units", &["slots", "batch", "borrowed"]), 7.0);
    assert_eq!(page.sum("tidegate_free_units", slots), 0.0);
    assert_eq!(
        page.sum("tidegate_waiting_units", &["slots"]),
        2.0,
        "those larger than their reserve do not count"
    );
    assert_eq!(page.sum("tidegate_unmet_guarantee_units", &["slots", "\"realtime"]), 2.0);
    assert_eq!(page.sum("tidegate_fullest_worker_ratio", &["slots"]), 1.0);
    assert_eq!(page.sum("tidegate_fullest_worker_ratio", &["kv_blocks"]), 0.5);
    assert_eq!(page.text("tidegate_queue_depth{tier=\"batch\"}"), "1");
    world.sched.poll(world.now);
    let page = Page::of(&world);
    assert_eq!(page.text("tidegate_queue_age_seconds{tier=\"realtime\"}"), "2.5");
    assert_eq!(page.text("tidegate_queue_age_seconds{tier=\"batch\"}"), "2.501");
    assert_eq!(page.sum("tidegate_running_requests", &["batch"]), 8.0);
}

#[test]
fn stops_are_counted_by_tier_and_reason_and_so_is_what_they_cost() {
    let mut world = World::with_workers(three_tiers(), 1, [4, 64]);
    let ids = world.submit_many(4, Tier::P2, [1, 8]);
    world.round();
    ids.iter().for_each(|&id| world.progress(id, 7, [1, 8]));
    world.submit(Tier::P0, [1, 8]);
    let actions = world.round();
    assert!(matches!(actions[..], [Action::Preempt { mode: YieldMode::Restart, .. }]), "{actions:?}");
    world.obey(&actions);
    world.round();
    let page = Page::of(&world);
    let stops = |reason: &str| {
        page.text(&format!(
            "tidegate_preemptions_total{{pool=\"default\",tier=\"batch\",reason=\"{reason}\"}}"
        ))
        .to_string()
    };
    assert_eq!(
        (stops("reclaim"), stops("urgent"), stops("out-of-memory")),
        ("1".into(), "0".into(), "0".into())
    );
    assert_eq!(page.text(&queue("tidegate_lost_tokens_total", "batch")), "107");
    assert_eq!(page.sum("tidegate_starts_total", &["\"realtime", "reclaimed"]), 1.0);
    assert_eq!(page.text("tidegate_actions_total{reason=\"reclaim\"}"), "1");
}

#[test]
fn refusals_are_counted_by_why() {
    let mut world = World::with_workers(three_tiers().queue_limit(1), 1, [1, 10]);
    let policy =
        TenantPolicy::new().requests(Rate::per_hour(1)).over_quota(OverQuota::Reject).most_urgent(Tier::P1);
    world.sched.tenant_configure(world.now, world.tenant, &policy).expect("sound");
    world.submit(Tier::P1, [1, 10]);
    let refused =
        [world.spec(Tier::P1, [2, 10]), world.spec(Tier::P0, [1, 10]), world.spec(Tier::P1, [1, 10])];
    for spec in refused {
        world.sched.submit(world.now, spec).expect_err("it is too much");
    }
    world.sched.tenant_configure(world.now, world.tenant, &TenantPolicy::new()).expect("sound");
    world.sched.submit(world.now, world.spec(Tier::P1, [1, 10])).expect_err("one waits");
    let page = Page::of(&world);
    let refused =
        |tier: &str, why: &str| page.sum("tidegate_refused_requests_total", &[&format!("\"{tier}\""), why]);
    assert_eq!(refused("near-realtime", "never-fits"), 1.0);
    assert_eq!(refused("realtime", "not-allowed"), 1.0);
    assert_eq!(refused("near-realtime", "over-quota"), 1.0);
    assert_eq!(refused("near-realtime", "queue-full"), 1.0);
    assert_eq!(page.sum("tidegate_refused_requests_total", &[]), 4.0);
    let of_tenant = "tidegate_tenant_refused_requests_total";
    for (tier, why) in
        [("near-realtime", "never-fits"), ("realtime", "not-allowed"), ("near-realtime", "over-quota")]
    {
        assert_eq!(page.sum(of_tenant, &[&format!("\"{tier}\""), why]), 1.0, "{tier}, {why}");
    }
    let unnamed = Page(samples(&world.sched, MetricsFormat::OpenMetrics, 0));
    assert_eq!((page.sum(of_tenant, &[]), page.sum(of_tenant, &["\"other\""])), (4.0, 0.0));
    assert_eq!((unnamed.sum(of_tenant, &[]), unnamed.sum(of_tenant, &["\"other\""])), (4.0, 4.0));
    // Who is forgotten leaves what is counted behind.
    world.round();
    let running: Vec<_> = world.running.keys().copied().collect();
    running.into_iter().for_each(|id| world.complete(id));
    world.sched.tenant_remove(world.now, world.tenant).expect("it has nothing");
    assert_eq!(Page::of(&world).sum(of_tenant, &["\"other\""]), 4.0);
}

/// What is said of a tier's slots at a horizon, if anything is.
fn wanted(world: &World, tier: &str, horizon: &str) -> Option<f64> {
    let labels = format!("pool=\"default\",tier=\"{tier}\",resource=\"slots\",horizon=\"{horizon}\"");
    let page = Page::of(world);
    let text = page.0.get(&format!("tidegate_wanted_capacity_units{{{labels}}}"));
    text.map(|text| text.parse().expect("a number"))
}

#[test]
fn what_a_tier_wants_is_told_for_now_and_ahead_once_it_was_watched() {
    let mut world = World::with_workers(three_tiers(), 1, [4, 64]);
    let ids = world.submit_many(6, Tier::P2, [1, 8]);
    world.round();
    for step in 0..6 {
        assert_eq!(wanted(&world, "batch", "0"), Some(6.0), "4 run, and 2 wait");
        assert_eq!(wanted(&world, "batch", "60"), None, "{step} of 6 samples are there");
        world.pass(ms(10_000));
        world.round();
    }
    assert_eq!([wanted(&world, "batch", "60"), wanted(&world, "batch", "300")], [Some(6.0), None]);
    ids[..4].iter().for_each(|&id| world.complete(id));
    world.round();
    assert_eq!([wanted(&world, "batch", "0"), wanted(&world, "batch", "60")], [Some(2.0), Some(6.0)]);
    // A tier grows on a line, by 1 in 10 s: what it has in a minute is 6 more than now.
    for _ in 0..12 {
        world.submit(Tier::P1, [1, 8]);
        world.pass(ms(10_000));
        world.round();
    }
    assert_eq!(
        [wanted(&world, "near-realtime", "0"), wanted(&world, "near-realtime", "60")],
        [Some(12.0), Some(18.0)]
    );
    assert_eq!(wanted(&world, "realtime", "60"), Some(0.0));
}

#[test]
fn what_is_held_back_by_its_own_wants_nothing_and_what_has_no_worker_does() {
    let mut world = World::with_workers(three_tiers(), 1, [4, 64]);
    let policy = TenantPolicy::new().max_running(1);
    world.sched.tenant_configure(world.now, world.tenant, &policy).expect("sound");
    world.submit_many(3, Tier::P1, [1, 8]);
    world.round();
    assert_eq!(wanted(&world, "near-realtime", "0"), Some(1.0), "two may not run");
    world.sched.tenant_configure(world.now, world.tenant, &TenantPolicy::new()).expect("sound");
    world.round();
    assert_eq!(wanted(&world, "near-realtime", "0"), Some(3.0));
    world.sched.worker_lost(world.now, tidegate::WorkerId::new(0)).expect("it is up");
    assert_eq!(wanted(&world, "near-realtime", "0"), Some(3.0), "a fleet that is gone has to come back");
}

#[test]
fn a_store_that_is_silent_is_told_from_one_that_answers() {
    let mut world = World::with_workers(three_tiers().leases(LeaseTerms::new(2)), 1, [4, 64]);
    let policy = TenantPolicy::new().tokens(Rate::per_minute(60_000)).leased(true);
    world.sched.tenant_configure(world.now, world.tenant, &policy).expect("sound");
    world.submit(Tier::P1, [1, 8]);
    let wanted = world.round();
    let [Action::LeaseWanted { tenant, limit, seq, tokens, .. }] = wanted[..] else { panic!("{wanted:?}") };
    world.pass(ms(1500));
    world.sched.poll(world.now);
    let page = Page::of(&world);
    assert_eq!(page.text("tidegate_leases"), "1");
    assert_eq!(page.text("tidegate_unanswered_lease_seconds"), "1.5");
    world
        .sched
        .lease_granted(world.now, tenant, limit, seq, tokens, 60_000_000_000)
        .expect("it was asked for");
    let page = Page::of(&world);
    assert_eq!((page.text("tidegate_unanswered_leases"), limit), ("0", QuotaLimit::Tokens));
    let level = page.number("tidegate_quota_level{tenant=\"acme\",limit=\"tokens\"}");
    assert!(level >= tokens as f64, "{level} of {tokens}");
    assert_eq!(page.text("tidegate_quota_burst{tenant=\"acme\",limit=\"tokens\"}"), "60000");
}

/// A run of several tenants, one of which is forgotten and one removed; what was used by each.
fn three_tenants() -> World {
    let mut world = World::with_workers(three_tiers().max_tenants(4), 1, [8, 640]);
    for (name, is_configured) in [("other", true), ("b\"ad", true), ("stranger", false)] {
        world.tenant = world.sched.tenant_set(world.now, name).expect("a name");
        if is_configured {
            world.sched.tenant_configure(world.now, world.tenant, &TenantPolicy::new()).expect("sound");
        }
        let id = world.submit(Tier::P2, [1, 8]);
        world.round();
        world.pass(ms(1000));
        world.complete_with(id, Usage { prompt_tokens: 100, cached_tokens: 0, output_tokens: 10 });
    }
    world
}

#[test]
fn names_are_few_and_the_rest_is_one_that_never_shrinks() {
    let mut world = three_tenants();
    let output = |world: &World, most: usize, name: &str| {
        let page = Page(samples(&world.sched, MetricsFormat::Prometheus, most));
        page.sum("tidegate_tenant_tokens_total", &[&format!("tenant=\"{name}\""), "output"])
    };
    assert_eq!(output(&world, 1, "b\\\"ad"), 10.0, "one that is called as the rest is among them");
    assert_eq!(output(&world, 1, "other"), 20.0);
    assert_eq!(output(&world, 0, "other"), 30.0);
    let forgotten = world.tenant;
    world.sched.tenant_set(world.now, "one").expect("there is room");
    world.sched.tenant_set(world.now, "more").expect("a stranger goes");
    assert!(world.sched.usage(forgotten).is_err() || world.sched.tenants().count() < 5);
    assert_eq!(output(&world, 0, "other"), 30.0, "what a tenant used is not forgotten with it");
    let bad = world.sched.tenant_set(world.now, "b\"ad").expect("it is known");
    world.sched.tenant_remove(world.now, bad).expect("nothing of it lives");
    assert_eq!(output(&world, 1, "other"), 30.0);
    assert_eq!(output(&world, 1, "b\\\"ad"), 0.0);
}

#[test]
fn both_formats_tell_the_same() {
    let world = three_tenants();
    let page = |format| {
        let mut page = String::new();
        world.sched.write_metrics(&mut page, format, ROOM_FOR_ALL).expect("a string takes everything");
        page
    };
    let [open, plain] = [MetricsFormat::OpenMetrics, MetricsFormat::Prometheus].map(page);
    assert!(open.ends_with("\n# EOF\n") && !plain.contains("EOF"));
    let [open, plain] = [&open, &plain]
        .map(|page| page.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"));
    assert_eq!(open, plain);
    let [open, plain] =
        [MetricsFormat::OpenMetrics, MetricsFormat::Prometheus].map(MetricsFormat::content_type);
    assert!(open.contains("openmetrics") && plain.contains("0.0.4"));
}

/// Names of families stand once, and their samples together below them.
#[test]
fn families_do_not_interleave() {
    let mut page = String::new();
    three_tenants()
        .sched
        .write_metrics(&mut page, MetricsFormat::OpenMetrics, ROOM_FOR_ALL)
        .expect("a string");
    let (mut seen, mut family) = (BTreeSet::new(), "");
    for line in page.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            family = head.split_once(' ').expect("a name and a kind").0;
            assert!(seen.insert(family), "{family} stands there twice");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(family), "{line} is none of {family}");
        }
    }
}

proptest! {
    /// Whatever happens, what is told of queues adds up to what is told of all.
    #[test]
    fn queues_add_up(steps in proptest::collection::vec((0_u8..4, 0_u8..3, 1_u64..3), 1..60)) {
        let mut world = World::with_workers(three_tiers(), 2, [3, 30]);
        for (what, tier, units) in steps {
            match what {
                0 | 1 => drop(world.submit(Tier::new(tier), [units, 10 * units])),
                2 => {
                    let running: Vec<_> = world.running.keys().copied().collect();
                    running.into_iter().step_by(2).for_each(|id| world.progress(id, units, [1, 10]));
                }
                _ => {
                    let first = world.running.keys().next().copied();
                    first.into_iter().for_each(|id| world.complete_with(id, Usage { output_tokens: 4, ..Usage::default() }));
                }
            }
            world.pass(ms(units));
            let actions = world.round();
            world.obey(&actions);
            world.round();
        }
        let (page, stats) = (Page::of(&world), world.sched.stats());
        let sum = |name: &str, label: &str| page.sum(name, &[label]) as u64;
        prop_assert_eq!(sum("tidegate_submitted_requests_total", ""), stats.submitted);
        prop_assert_eq!(sum("tidegate_ended_requests_total", "completed"), stats.completed);
        prop_assert_eq!(sum("tidegate_queue_depth", "") + sum("tidegate_running_requests", ""), stats.live);
        let used = world.sched.usage(world.tenant).expect("it is known");
        prop_assert_eq!(sum("tidegate_queue_delay_seconds_count", ""), used.started);
        prop_assert_eq!(sum("tidegate_preemptions_total", ""), used.preemptions + used.memory_preemptions);
        let slots: u64 = sum("tidegate_used_units", "slots");
        prop_assert_eq!(slots + sum("tidegate_free_units", "slots") + sum("tidegate_claimed_units", "slots"), 6);
    }
}
