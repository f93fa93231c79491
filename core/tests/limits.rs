//! `docs/LIMITS.md` names every limit and every setting, with the numbers that hold.

use std::collections::BTreeMap;

use tidegate::{
    Config, MAX_BURST, MAX_DEVICES, MAX_DEVICES_PER_WORKER, MAX_DIMENSIONS, MAX_LEASED_PERIOD_NS,
    MAX_LEASED_TOKENS, MAX_NAME_BYTES, MAX_POOLS, MAX_POOLS_PER_REQUEST, MAX_PREFIX_BLOCKS, MAX_REQUESTS,
    MAX_TENANT_DEPTH, MAX_TIERS, MAX_TOKEN_COST, MAX_TOKENS, MAX_UNITS, MAX_WORKERS,
};

const PAGE: &str = include_str!("fixtures/LIMITS.md");

/// The rows of the tables below a heading: the first cell without its code marks, and the second.
fn rows(heading: &str) -> BTreeMap<&'static str, &'static str> {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).expect("the page has this heading");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let named = cells.filter(|(name, _)| name.starts_with('`'));
    named.map(|(name, rest)| (name.trim_matches('`'), rest.split(" | ").next().expect("a cell"))).collect()
}

#[test]
fn every_limit_is_on_the_page_with_its_number() {
    let limits = [
        ("MAX_UNITS", MAX_UNITS),
        ("MAX_TOKENS", MAX_TOKENS),
        ("MAX_REQUESTS", MAX_REQUESTS),
        ("MAX_DEVICES", MAX_DEVICES),
        ("MAX_DEVICES_PER_WORKER", MAX_DEVICES_PER_WORKER as u64),
        ("MAX_WORKERS", MAX_WORKERS),
        ("MAX_TIERS", MAX_TIERS as u64),
        ("MAX_POOLS", MAX_POOLS as u64),
        ("MAX_POOLS_PER_REQUEST", MAX_POOLS_PER_REQUEST as u64),
        ("MAX_TENANT_DEPTH", MAX_TENANT_DEPTH as u64),
        ("MAX_BURST", MAX_BURST),
        ("MAX_DIMENSIONS", MAX_DIMENSIONS as u64),
        ("MAX_NAME_BYTES", MAX_NAME_BYTES as u64),
        ("MAX_PREFIX_BLOCKS", MAX_PREFIX_BLOCKS.into()),
        ("MAX_TOKEN_COST", MAX_TOKEN_COST.into()),
        ("MAX_LEASED_TOKENS", MAX_LEASED_TOKENS),
        ("MAX_LEASED_PERIOD_NS", MAX_LEASED_PERIOD_NS),
    ];
    let page = rows("Limits");
    assert_eq!(page.len(), limits.len(), "{page:?}");
    for (name, number) in limits {
        let said = page[name].split(' ').next().expect("a number");
        assert_eq!(said, number.to_string(), "{name}");
    }
    let code = include_str!("../src/lib.rs").lines().filter(|line| !line.starts_with("//"));
    let exported: usize = code.map(|line| line.matches("MAX_").count()).sum();
    assert_eq!(exported, limits.len(), "a limit that the library exports is not on the page");
}

/// Balances are signed: what all requests use, and what all workers have, may be taken from one or added to it.
#[test]
fn no_sum_at_the_limits_leaves_its_word() {
    let times = |count: u64, most: u64| u128::from(count) * u128::from(most);
    let used = times(MAX_REQUESTS, MAX_UNITS);
    let there = times(MAX_WORKERS, MAX_UNITS);
    assert!(
        used + 4 * there < i64::MAX as u128,
        "units of all requests, capacity, reserves, and two offsets"
    );
    let waiting = times(MAX_REQUESTS, 2 * MAX_TOKENS);
    assert!(waiting + u128::from(2 * MAX_TOKENS) < u64::MAX.into(), "prompts and outputs, and a newcomer's");
    assert!(3 * u128::from(MAX_TOKENS) < u64::MAX.into(), "the rank of the shortest first");
    let kib = u128::from(u64::MAX) * u128::from(u32::MAX);
    assert!(kib.checked_mul(MAX_REQUESTS.into()).is_some(), "the checkpoints of all requests on one device");
}

/// The settings of the page, with the defaults that it gives.
fn said(heading: &str) -> BTreeMap<&'static str, Option<&'static str>> {
    let default = |cell: &'static str| cell.strip_prefix('`')?.strip_suffix('`');
    rows(heading).into_iter().map(|(name, cell)| (name, default(cell))).collect()
}

#[test]
fn every_setting_is_on_the_page_with_its_default() {
    let smallest = r#"{"dimensions": ["d"], "tiers": [{"name": "t"}]}"#;
    let written = Config::from_json(smallest).expect("sound").to_json();
    let written: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    // What has no default there, or is a table of its own.
    let elsewhere = ["dimensions", "tiers", "name", "default_policy", "most_urgent"];
    for (heading, object) in [
        ("Settings of a config", &written),
        ("Settings of the default policy", &written["default_policy"]),
        ("Settings of a tier", &written["tiers"][0]),
    ] {
        let page = said(heading);
        let object = object.as_object().expect("an object");
        assert_eq!(page.len(), object.len(), "{heading}: {:?}", object.keys());
        for (name, default) in page {
            let value = &object[name];
            match default {
                Some(text) => assert_eq!(value.to_string(), text, "{heading}: {name}"),
                None => assert!(value.is_null() || elsewhere.contains(&name), "{name}"),
            }
        }
    }
}
