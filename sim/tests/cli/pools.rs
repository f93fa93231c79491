//! Lists of pools by tenant and by tier in the file of `tidegate replay`: who may go elsewhere does, and nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

use super::layers::{Attempt, assert_conserved, attempts, printed};
use super::support::Folder;

/// Two pools, of which one is short; who names both prefers that one.
const FILE: &str = r#"
dimensions = ["slots", "kv_blocks"]
pools = ["dedicated", "shared"]
tiers = [{ name = "P0" }, { name = "P1" }, { name = "P2" }]
[[workers]]
pool = "dedicated"
capacity = { slots = 2, kv_blocks = 1_000 }
[[workers]]
count = 2
pool = "shared"
capacity = { slots = 4, kv_blocks = 1_000 }
[tenants.both]
pools = ["dedicated", "shared"]
[tenants.own]
pools = ["dedicated"]
[tenants.common]
pools = ["shared"]
"#;

/// By tenant or tier, as `what` says of an attempt, the workers that served it in a replay of the file; 240 requests in six
/// seconds, of each tenant and each of P1 and P2 as many.
fn served(name: &str, text: &str, what: fn(&Attempt<'_>) -> String) -> BTreeMap<String, BTreeSet<u64>> {
    let folder = Folder::new(name);
    let mut rows = String::from("arrival_s,tier,tenant,prompt_tokens,output_tokens\n");
    for index in 0..240_u32 {
        let tenant = ["both", "own", "common", "both"][index as usize % 4];
        let tier = 1 + index / 4 % 2;
        writeln!(rows, "{},P{tier},{tenant},400,60", f64::from(index) / 40.0).expect("a string takes all");
    }
    let trace = format!("csv:{}", folder.write("lists.csv", rows));
    let (config, file) = (folder.write("lists.toml", text), folder.path("timeline.json"));
    let arguments =
        ["replay", "--trace", &trace, "--config", &config, "--check", "--json", "--setup", "tidegate"];
    let result: Value =
        serde_json::from_str(&printed(&[&arguments[..], &["--timeline", &file]].concat())).expect("JSON");
    assert_conserved(&result["setups"]["tidegate"]);
    let timeline = std::fs::read_to_string(&file).expect("it was written");
    let timeline: Value = serde_json::from_str(&timeline).expect("JSON");
    let mut workers = BTreeMap::<String, BTreeSet<u64>>::new();
    for attempt in attempts(&timeline) {
        workers.entry(what(&attempt)).or_default().insert(attempt.worker);
    }
    workers
}

#[test]
fn a_tenant_is_served_by_the_pools_that_the_file_lists_for_it() {
    let workers = served("pools", FILE, |attempt| attempt.tenant.to_owned());
    assert_eq!(workers["own"], BTreeSet::from([0]));
    assert_eq!(workers["common"], BTreeSet::from([1, 2]));
    assert_eq!(workers["both"], BTreeSet::from([0, 1, 2]), "it prefers the first, which is short");
}

/// Also where none of its pools takes the request's tier: a host that does not look at tiers would name its pools all the same.
#[test]
fn a_tenant_that_lists_pools_is_not_served_by_those_of_its_tier() {
    let urgent_only = FILE.replace("pool = \"dedicated\"", "pool = \"dedicated\"\nmost_urgent = \"P2\"");
    let (head, _) = urgent_only.split_once("[tenants.both]").expect("tenants come last");
    let third = "[[workers]]\npool = \"third\"\ncapacity = { slots = 16, kv_blocks = 4_000 }\n";
    let text = format!(
        "{}{third}[tier_pools]\nP1 = [\"shared\"]\n[tenants.own]\npools = [\"dedicated\"]\n",
        head.replace("\"shared\"]", "\"shared\", \"third\"]")
    );
    let workers = served("own-pools", &text, |attempt| format!("{} {}", attempt.tenant, attempt.tier));
    assert_eq!(workers["both P1"], BTreeSet::from([1, 2]), "its tier's");
    assert!(workers["own P1"].contains(&3), "as if nothing was listed: {:?}", workers["own P1"]);
}

/// Of tenants without a list; one with a list goes by that, whatever its tier's.
#[test]
fn a_tier_is_served_by_the_pools_that_the_file_lists_for_it() {
    let (head, _) = FILE.split_once("[tenants.both]").expect("tenants come last");
    let tiers = "[tier_pools]\nP1 = [\"dedicated\"]\nP2 = [\"shared\", \"shared\"]\n";
    let workers = served("tier-pools", &format!("{head}{tiers}"), |attempt| attempt.tier.to_owned());
    assert_eq!(workers["P1"], BTreeSet::from([0]));
    assert_eq!(workers["P2"], BTreeSet::from([1, 2]));
    let workers = served("tenant-pools", &format!("{FILE}{tiers}"), |attempt| attempt.tenant.to_owned());
    assert_eq!(workers["own"], BTreeSet::from([0]));
    assert_eq!(workers["common"], BTreeSet::from([1, 2]));
}
