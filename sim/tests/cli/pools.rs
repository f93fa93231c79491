//! Lists of pools by tenant in the file of `tidegate replay`: who may go elsewhere does, and nobody else.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;

use super::layers::{assert_conserved, attempts, printed};
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

#[test]
fn a_tenant_is_served_by_the_pools_that_the_file_lists_for_it() {
    let folder = Folder::new("pools");
    let mut rows = String::from("arrival_s,tier,tenant,prompt_tokens,output_tokens\n");
    for index in 0..240_u32 {
        let tenant = ["both", "own", "common", "both"][index as usize % 4];
        writeln!(rows, "{},P1,{tenant},400,60", f64::from(index) / 40.0).expect("a string takes all");
    }
    let trace = format!("csv:{}", folder.write("lists.csv", rows));
    let (config, file) = (folder.write("lists.toml", FILE), folder.path("timeline.json"));
    let arguments =
        ["replay", "--trace", &trace, "--config", &config, "--check", "--json", "--setup", "tidegate"];
    let result: Value =
        serde_json::from_str(&printed(&[&arguments[..], &["--timeline", &file]].concat())).expect("JSON");
    assert_conserved(&result["setups"]["tidegate"]);
    let timeline = std::fs::read_to_string(&file).expect("it was written");
    let timeline: Value = serde_json::from_str(&timeline).expect("JSON");
    let attempts = attempts(&timeline);
    let workers = |tenant: &str| -> BTreeSet<u64> {
        attempts.iter().filter(|attempt| attempt.tenant == tenant).map(|attempt| attempt.worker).collect()
    };
    assert_eq!(workers("own"), BTreeSet::from([0]));
    assert_eq!(workers("common"), BTreeSet::from([1, 2]));
    assert_eq!(workers("both"), BTreeSet::from([0, 1, 2]), "it prefers the first, which is short");
}
