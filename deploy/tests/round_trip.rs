//! Properties: manifests of a file are read as that file, with the file in them and without; and no text, however odd,
//! does anything but end in an answer.

use std::fmt::Write;

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use tidegate_deploy::Deployment;
use tidegate_deploy::kubernetes::{export, import};

/// A name that a class or a namespace may have.
fn name() -> impl Strategy<Value = String> {
    "[a-z]([a-z0-9-]{0,6}[a-z0-9])?".prop_filter("of the system", |name| !name.starts_with("system-"))
}

#[derive(Clone, Debug)]
struct Tier {
    name: String,
    reserve: Option<u32>,
    preemption: Option<&'static str>,
    borrowing: Option<&'static str>,
    timeout: Option<u32>,
}

#[derive(Clone, Debug)]
struct Tenant {
    name: String,
    weight: Option<u32>,
    most_urgent: Option<prop::sample::Index>,
    /// As many workers as this, or units that are no whole number of them.
    slices: Option<u64>,
    odd_units: Option<u64>,
    shut: bool,
    below_first: bool,
}

#[derive(Clone, Debug)]
struct File {
    tiers: Vec<Tier>,
    tenants: Vec<Tenant>,
    devices: u32,
    each: u32,
    slots: u64,
    blocks: u64,
    sharing: Option<(&'static str, bool, bool, bool)>,
    default: Option<prop::sample::Index>,
    step: Option<i32>,
    comment: String,
}

fn tier(name: String) -> impl Strategy<Value = Tier> {
    let whom = || option::of(prop::sample::select(vec!["lower-tier", "never"]));
    let preemption = option::of(prop::sample::select(vec!["lower-tier", "never", "any-borrower"]));
    (option::of(0..120_000u32), preemption, whom(), option::of(0..9u32)).prop_map(
        move |(reserve, preemption, borrowing, timeout)| Tier {
            name: name.clone(),
            reserve,
            preemption,
            borrowing,
            timeout,
        },
    )
}

fn tenant(name: String) -> impl Strategy<Value = Tenant> {
    let index = option::of(any::<prop::sample::Index>());
    let units = (option::of(1..9u64), option::of(1..999u64));
    (option::of(0..9u32), index, units, any::<bool>(), any::<bool>()).prop_map(
        move |(weight, most_urgent, (slices, odd_units), shut, below_first)| Tenant {
            name: name.clone(),
            weight,
            most_urgent,
            slices,
            odd_units,
            shut,
            below_first,
        },
    )
}

fn file() -> impl Strategy<Value = File> {
    let tiers =
        btree_set(name(), 1..=8).prop_flat_map(|names| names.into_iter().map(tier).collect::<Vec<_>>());
    let tenants =
        btree_set(name(), 0..5).prop_flat_map(|names| names.into_iter().map(tenant).collect::<Vec<_>>());
    let fleet = (0..4u32, 1..6u32, 1..300u64, 1..9_999u64);
    let sharing = option::of((
        prop::sample::select(vec!["mps", "timeSlicing"]),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    ));
    let names = (option::of(any::<prop::sample::Index>()), option::of(1..1_000_000i32), "[ -~éß\t]{0,30}");
    (tiers.prop_shuffle(), tenants, fleet, sharing, names).prop_map(
        |(tiers, tenants, fleet, sharing, names)| File {
            tiers,
            tenants,
            devices: fleet.0,
            each: fleet.1,
            slots: fleet.2,
            blocks: fleet.3,
            sharing,
            default: names.0,
            step: names.1,
            comment: names.2,
        },
    )
}

impl File {
    fn toml(&self) -> String {
        let mut out = format!(
            "# {}\ndimensions = [\"slots\", \"kv_blocks\"]\nmax_bypass = 3\n",
            self.comment.replace('\t', " ")
        );
        for tier in &self.tiers {
            writeln!(out, "[[tiers]]\nname = \"{}\"", tier.name).expect("text");
            let mut put = |line: Option<String>| out.extend(line.map(|line| line + "\n"));
            put(tier.reserve.map(|ppm| format!("reserve_ppm = {ppm}")));
            put(tier.preemption.map(|word| format!("preemption = \"{word}\"")));
            put(tier.borrowing.map(|word| format!("preempt_while_borrowing = \"{word}\"")));
            put(tier.timeout.map(|seconds| format!("queue_timeout = \"{seconds}s\"")));
        }
        for tenant in &self.tenants {
            self.tenant(tenant, &mut out);
        }
        for device in 0..self.devices {
            writeln!(out, "[[devices]]\nname = \"node/{device}\"\nlimit = {{ kv_blocks = {} }}", self.blocks)
                .expect("text");
        }
        for device in 0..self.devices {
            let (each, slots, blocks) = (self.each, self.slots, self.blocks);
            writeln!(
                out,
                "[[workers]]\ncount = {each}\ncapacity = {{ slots = {slots}, \
                 kv_blocks = {blocks} }}\ndevices = [\"node/{device}\"]"
            )
            .expect("text");
        }
        self.names(&mut out);
        out
    }

    fn tenant(&self, tenant: &Tenant, out: &mut String) {
        writeln!(out, "[tenants.{}]", tenant.name).expect("text");
        let mut put = |line: Option<String>| out.extend(line.map(|line| line + "\n"));
        put(tenant.weight.map(|weight| format!("weight = {weight}")));
        put(tenant
            .most_urgent
            .map(|index| format!("most_urgent = \"{}\"", self.tiers[index.index(self.tiers.len())].name)));
        put(tenant.shut.then(|| "max_running = 0".to_owned()));
        let first = &self.tenants[0].name;
        put((tenant.below_first && tenant.name != *first).then(|| format!("parent = \"{first}\"")));
        let units = match (tenant.slices, tenant.odd_units) {
            (Some(slices), _) => Some((slices * self.slots, slices * self.blocks)),
            (None, odd) => odd.map(|odd| (odd, odd + 1)),
        };
        put(units.map(|(slots, blocks)| format!("max_in_use = {{ slots = {slots}, kv_blocks = {blocks} }}")));
    }

    fn names(&self, out: &mut String) {
        writeln!(out, "[kubernetes]\nnamespace = \"here\"").expect("text");
        if let Some(index) = self.default {
            writeln!(out, "global_default = \"{}\"", self.tiers[index.index(self.tiers.len())].name)
                .expect("text");
        }
        if let Some(step) = self.step {
            writeln!(out, "[kubernetes.priorities]").expect("text");
            for (index, tier) in self.tiers.iter().enumerate() {
                writeln!(out, "{} = {}", tier.name, 5_000_000 - step * index as i32 / 2).expect("text");
            }
        }
        if let Some((strategy, by_default, renamed, fail)) = self.sharing {
            let rename = if renamed { "rename = \"example.com/slice\"\n" } else { "" };
            writeln!(
                out,
                "[[kubernetes.sharing]]\nconfig_map = \"plugin\"\nstrategy = \"{strategy}\"\nreplicas = {}\n\
                rename_by_default = {by_default}\nfail_requests_greater_than_one = {fail}\n{rename}",
                self.each.max(2)
            )
            .expect("text");
        }
    }
}

/// The manifests without the config map that has the whole file.
fn without_the_file(yaml: &str) -> String {
    yaml.split_inclusive("---\n").filter(|object| !object.contains("tidegate.toml")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn manifests_of_a_file_are_read_as_that_file(file in file()) {
        let toml = file.toml();
        let Ok(before) = Deployment::from_toml(&toml) else {
            // Equal values out of order, or shares above all: what a file may not say is not what is tested here.
            return Err(TestCaseError::reject("not in order"));
        };
        let manifests = export(&toml).expect("the names are names of Kubernetes");
        let found = import(&[("all.yaml", &manifests.yaml)]).expect("what is written is read");
        let after = Deployment::from_toml(&found.toml).expect("in order");
        prop_assert_eq!(&after.config, &before.config, "{}\n{}", manifests.yaml, found.toml);
        let by_name = |file: &Deployment| {
            let mut tenants = file.tenants.clone();
            tenants.sort_by(|a, b| a.name.cmp(&b.name));
            tenants
        };
        prop_assert_eq!(by_name(&after), by_name(&before), "{}", manifests.yaml);
        prop_assert_eq!((&after.devices, &after.workers), (&before.devices, &before.workers));
        prop_assert_eq!(&after.kubernetes.global_default, &before.kubernetes.global_default);
        if !before.kubernetes.sharing.is_empty() {
            prop_assert_eq!(&after.kubernetes.sharing, &before.kubernetes.sharing);
        }
        for (tier, value) in &before.kubernetes.priorities {
            prop_assert_eq!(after.kubernetes.priorities.get(tier), Some(value));
        }
        let again = export(&found.toml).expect("the same names");
        prop_assert_eq!(without_the_file(&again.yaml), without_the_file(&manifests.yaml), "nothing drifts");
    }

    #[test]
    fn what_kubernetes_has_words_for_needs_no_file(file in file()) {
        let toml = file.toml();
        let Ok(before) = Deployment::from_toml(&toml) else { return Err(TestCaseError::reject("not in order")) };
        let manifests = without_the_file(&export(&toml).expect("names").yaml);
        let found = import(&[("all.yaml", &manifests)]).expect("what is written is read");
        let after = Deployment::from_toml(&found.toml).expect("in order");
        let names = |file: &Deployment| -> Vec<String> {
            file.config.tiers().iter().map(|tier| tier.name().to_owned()).collect()
        };
        let distinct = file.step.is_none_or(|step| step > 1);
        if distinct {
            prop_assert_eq!(names(&after), names(&before));
        }
        for tenant in &after.tenants {
            let known = before.tenants.iter().find(|other| other.name == tenant.name);
            let known = known.expect("it was written").policy;
            if distinct {
                let is_shut = known.max_running == Some(0);
                prop_assert!(tenant.policy.most_urgent == known.most_urgent || is_shut, "{}", manifests);
            }
            prop_assert_eq!(tenant.policy.max_running, known.max_running);
        }
        if !before.kubernetes.sharing.is_empty() {
            prop_assert_eq!(&after.kubernetes.sharing, &before.kubernetes.sharing);
        }
    }

    #[test]
    fn no_text_does_more_than_end_in_an_answer(text in "[ -~\n\t&*!|>\\[\\]{}:,\"'#%@`é\u{85}\u{2028}-]{0,200}") {
        let _ = import(&[("odd.yaml", &text)]);
        let _ = Deployment::from_toml(&text);
        let _ = export(&text);
    }

    #[test]
    fn no_cut_and_no_change_of_manifests_does(
        file in file(),
        cuts in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[ -~\n]{0,3}"), 1..4),
    ) {
        let toml = file.toml();
        prop_assume!(Deployment::from_toml(&toml).is_ok());
        let mut yaml: Vec<char> = export(&toml).expect("names").yaml.chars().collect();
        for (from, length, instead) in cuts {
            let from = from.index(yaml.len().max(1)).min(yaml.len());
            let to = (from + length.index(20)).min(yaml.len());
            yaml.splice(from..to, instead.chars());
        }
        let yaml: String = yaml.into_iter().collect();
        if let Ok(found) = import(&[("odd.yaml", &yaml)]) {
            prop_assert!(Deployment::from_toml(&found.toml).is_ok(), "what is written is in order");
        }
    }
}
