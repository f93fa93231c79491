//! The file that all hosts read: what it says, in which forms, and how its faults are told.

use tidegate::{
    ConfigError, Input, Instant, OverQuota, PoolId, Rate, Resources, Scheduler, WorkerKind, WorkerSpec,
};
use tidegate_deploy::{Defaults, Deployment};

const TOP: &str = "dimensions = [\"slots\", \"kv_blocks\"]\npools = [\"small\", \"large\"]\n\
    tiers = [{ name = \"realtime\", reserve_ppm = 300000 }, { name = \"batch\" }]\n";

fn read(more: &str) -> Result<Deployment, ConfigError> {
    Deployment::from_toml(&format!("{TOP}{more}"))
}

/// The faults of what stands below the top, as `line: path: message`.
fn faults(more: &str) -> Vec<String> {
    let error = read(more).expect_err("it has faults");
    error
        .faults
        .into_iter()
        .map(|fault| {
            let line = fault.line.map_or("-".to_owned(), |line| (line - TOP.lines().count()).to_string());
            format!("{line}: {}: {}", fault.path, fault.message)
        })
        .collect()
}

#[test]
fn tenants_have_two_forms_that_say_the_same() {
    let listed = read(
        "[[tenants]]\nname = \"acme\"\nweight = 3\nmost_urgent = \"batch\"\n\
        tokens = { amount = 600, period = \"60s\", burst = 100 }\nmax_in_use = { slots = 4, kv_blocks = 9 }\n\
        [[tenants]]\nname = \"team\"\nparent = \"acme\"\nover_quota = \"reject\"\n",
    );
    let named = read(
        "[tenants.acme]\nweight = 3\nmost_urgent = 1\ntokens = [600, 60000000000, 100]\nmax_in_use = [4, 9]\n\
        [tenants.team]\nparent = \"acme\"\nover_quota = \"reject\"\n",
    );
    let listed = listed.expect("in order");
    assert_eq!(
        listed,
        named.expect("in order"),
        "as `tenant_configure` takes them, and as the config writes them"
    );
    let [acme, team] = &listed.tenants[..] else { panic!("two tenants") };
    assert_eq!(acme.policy.tokens, Some(Rate::per_minute(600).burst(100)));
    assert_eq!((team.parent.as_deref(), team.policy.over_quota), (Some("acme"), OverQuota::Reject));
}

#[test]
fn a_scheduler_is_told_of_all_of_it() {
    let file = read(
        "[[devices]]\nname = \"gpu0\"\nlimit = { kv_blocks = 90 }\n[[devices]]\nname = \"gpu1\"\n\
             checkpoint_mib = 7\n\
        [[workers]]\ncount = 2\npool = \"large\"\ncapacity = { slots = 8, kv_blocks = 50 }\ndevices = [\"gpu0\"]\n\
        [[workers]]\ncapacity = { slots = 1 }\ndevices = [\"gpu1\"]\n[tenants.acme]\n",
    );
    let file = file.expect("in order");
    assert_eq!((file.worker_count(), file.devices.len()), (3, 2));
    let mut scheduler = Scheduler::new(file.config.clone(), Instant::ZERO);
    let inputs = file.inputs(&["before".to_owned(), "acme".to_owned()]);
    for input in &inputs {
        scheduler.apply(Instant::ZERO, input).expect("it was tried out");
    }
    let verbs: Vec<_> = inputs.iter().map(Input::verb).collect();
    let expected =
        ["device_add", "device_add", "worker_add", "worker_add", "worker_add", "tenant_set", "tenant_set"];
    assert_eq!(verbs, [&expected[..], &["tenant_configure"]].concat());
    scheduler.check_invariants().expect("the books balance");
}

#[test]
fn more_engines_on_a_device_than_are_sensible_are_warned_of() {
    let shared = |kind: &str, replicas: u32| {
        format!(
            "name = \"{kind}\"\nshared = {{ kind = \"{kind}\", replicas = {replicas}, units = {{ slots = 8 }} }}\n"
        )
    };
    let devices = [("mps", 4), ("time-slice", 5), ("mig", 7)].map(|(kind, replicas)| shared(kind, replicas));
    let workers = "[[workers]]\ncount = 2\nkind = \"mps\"\ndevices = [\"mps\"]\ncapacity = { slots = 1 }\n";
    let text = format!("[[devices]]\n{}[[devices]]\n{}[[devices]]\n{}", devices[0], devices[1], devices[2]);
    let told = |text: &str| read(text).expect("in order").warnings();
    let five = "5 engines share \"time-slice\": with more than 4 each is small and slow";
    assert_eq!(told(&text), [five], "an instance of MIG is a device of its own");
    let six = "6 engines share \"mps\": with more than 4 each is small and slow";
    assert_eq!(told(&(text + workers)), [six, five], "those that are written one by one count as well");
}

#[test]
fn a_device_is_cut_into_workers_and_workers_have_kinds() {
    let file = read(
        "[[devices]]\nname = \"gpu0\"\n\
         shared = { kind = \"mps\", replicas = 3, pool = \"large\", units = { slots = 8, kv_blocks = 90 } }\n\
         [[devices]]\nname = \"gpu1\"\nshared = { kind = \"mig\", replicas = 2, units = { slots = 8, kv_blocks = 90 } }\n\
         [[workers]]\ncapacity = { slots = 1 }\nkind = \"time-slice\"\nspare = true\n",
    );
    let file = file.expect("in order");
    let limits: Vec<_> = file.devices.iter().map(|device| device.spec.limit).collect();
    assert_eq!(limits, [Resources::from([8, 90]), Resources::ZERO], "what is shared has a limit");
    let told =
        |spec: &WorkerSpec| (spec.kind, spec.spare, spec.pool.get(), spec.capacity[1], spec.devices.len());
    let told: Vec<_> = file.workers.iter().map(|group| (group.count, told(&group.spec()))).collect();
    let expected = [
        (1, (WorkerKind::TimeSlice, true, 0, 0, 0)),
        (3, (WorkerKind::Mps, false, 1, 90, 1)),
        (2, (WorkerKind::Mig, false, 0, 45, 1)),
    ];
    assert_eq!(told, expected);
}

#[test]
fn parts_of_a_worker_on_several_devices_sum_to_all() {
    let devices = "devices = [{ name = \"a\" }, { name = \"b\" }, { name = \"c\" }]\n";
    let file = read(&format!(
        "{devices}workers = [{{ capacity = {{ slots = 3 }}, devices = [\"a\", \"b\", \"c\"] }}]\n"
    ));
    let spec = file.expect("in order").workers[0].spec();
    let parts: Vec<_> = spec.devices.iter().map(|part| part.part.get()).collect();
    assert_eq!(parts, [333_334, 333_333, 333_333]);
}

#[test]
fn every_fault_has_its_line_and_path() {
    for (text, expected) in [
        ("[[tenants]]\nname = \"a\"\nwieght = 3\n", &["3: tenants[0].wieght: unknown field"][..]),
        ("[tenants.\"b.c\"]\nweight = \"3\"\n", &["2: tenants.\"b.c\".weight: invalid type: string"]),
        ("[tenants.a]\nparent = \"nobody\"\n", &["2: tenants.a.parent: there is no tenant \"nobody\""]),
        ("[tenants.a]\ntokens = { amount = 5 }\n", &["2: tenants.a.tokens: missing field `period`"]),
        (
            "[tenants.a]\nover_quota = \"never\"\nmost_urgent = 7\n",
            &["3: tenants.a.most_urgent: there is no tier 7"],
        ),
        (
            "[[tenants]]\nname = \"a\"\n[[tenants]]\nname = \"a\"\n",
            &["4: tenants[1].name: \"a\" is there twice"],
        ),
        (
            "[[tenants]]\nname = \"a\"\nparent = \"b\"\n[[tenants]]\nname = \"b\"\nparent = \"a\"\n",
            &["4: tenants[1]: "],
        ),
        (
            "max_tenants = 1\n[[tenants]]\nname = \"a\"\n[[tenants]]\nname = \"b\"\n",
            &["4: tenants[1]: is one of 2 tenants, and max_tenants is 1"],
        ),
        ("[[tenants]]\nname = \"a\"\nleased = true\n", &["3: tenants[0].leased: there is no rate to share"]),
        (
            "[[workers]]\ncount = 0\n",
            &["2: workers[0].count: 0 is not from 1", "1: workers[0].capacity: is needed"],
        ),
        (
            "[[workers]]\ncapacity = { slots = 1, vram = 2 }\npool = \"x\"\n",
            &[
                "3: workers[0].pool: there is no pool \"x\"",
                "2: workers[0].capacity.vram: there is no such dimension",
            ],
        ),
        ("[[workers]]\ncapacity = {}\n", &["1: workers[0]: the capacity is zero in every dimension"]),
        (
            "[[workers]]\ncapacity = { slots = 1 }\ndevices = [\"gpu\"]\n",
            &["3: workers[0].devices: there is no device"],
        ),
        (
            "[[workers]]\ncapacity = { slots = 1 }\ncount = 70000\n",
            &["3: workers[0].count: 70000 is not from"],
        ),
        (
            "[[devices]]\nnmae = \"gpu\"\n",
            &["1: devices[0].name: is needed", "2: devices[0].nmae: is not a setting"],
        ),
        ("devices = 3\n", &["1: devices: is written as [[devices]]"]),
        (
            "[[devices]]\nname = \"gpu\"\nshared = { kind = \"nps\", replicas = 0, pool = \"x\" }\n",
            &[
                "3: devices[0].shared.kind: \"nps\" is none of dedicated, time-slice, mps, mig",
                "3: devices[0].shared.replicas: 0 is not from 1",
                "3: devices[0].shared.pool: there is no pool \"x\"",
                "3: devices[0].shared.units: is needed",
            ],
        ),
        (
            "[[devices]]\nname = \"gpu\"\nshared = { kind = \"mig\", replicas = 4, units = { slots = 3 } }\n",
            &["3: devices[0].shared: the capacity is zero in every dimension"],
        ),
        (
            "[kubernetes]\npriorities = { realtime = 1, batch = 2 }\n",
            &["2: kubernetes.priorities.batch: 2 is above the 1"],
        ),
        ("[kubernetes]\nglobal_default = \"x\"\n", &["2: kubernetes.global_default: there is no tier \"x\""]),
        (
            "[[kubernetes.sharing]]\nreplicas = 1\n",
            &["2: kubernetes.sharing[0].replicas: 1 is not from 2 to 48"],
        ),
        ("gatewey = 1\n", &["1: gatewey: unknown field"]),
        ("[[werkers]]\ncount = 1\n", &["1: werkers[0]: unknown field"]),
    ] {
        let found = faults(text);
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{text}: {found:?}, not {expected:?}");
        }
    }
}

#[test]
fn a_word_of_a_tier_is_told_with_the_tier() {
    let text =
        "dimensions = [\"slots\"]\n[[tiers]]\nname = \"a\"\n[[tiers]]\nname = \"b\"\nodrer = \"fifo\"\n";
    let faults = Deployment::from_toml(text).expect_err("an unknown word").faults;
    assert_eq!((faults[0].path.as_str(), faults[0].line), ("tiers[1].odrer", Some(6)));
}

#[test]
fn what_is_wrong_at_the_top_hides_nothing_below() {
    let text = "dimensions = [\"slots\"]\nmin_run = \"soon\"\ntiers = [{ name = \"a\" }]\n[tenants.x]\n\
         parent = \"y\"\n";
    let faults = Deployment::from_toml(text).expect_err("two faults").faults;
    let places: Vec<_> = faults.iter().map(|fault| (fault.path.as_str(), fault.line)).collect();
    assert_eq!(places, [("min_run", Some(2)), ("tenants.x.parent", Some(5))]);
}

#[test]
fn tables_of_programs_are_passed_over_by_name() {
    let file = read("[gateway]\nwhatever = 1\n[[engines]]\nurl = \"x\"\n[vllm]\n").expect("in order");
    assert_eq!(file.programs, ["engines", "gateway", "vllm"]);
}

#[test]
fn a_host_has_defaults_for_what_a_file_leaves_out() {
    let defaults = Defaults { dimensions: &["slots"], tiers: "[[tiers]]\nname = \"all\"\n" };
    let file = Deployment::from_toml_or("[tenants.a]\nweight = 2\n", &defaults).expect("in order");
    assert_eq!((file.config.tiers()[0].name(), file.tenants.len()), ("all", 1));
    let error = Deployment::from_toml_or("\nmin_run = \"soon\"\n", &defaults).expect_err("a fault");
    assert_eq!(error.faults[0].line, Some(2), "the lines are those of the file");
    let said = Deployment::from_toml_or(TOP, &defaults).expect("in order");
    assert_eq!(said.config.dimensions().len(), 2);
}

#[test]
fn numbers_beyond_all_ends_are_faults() {
    let found = faults("[tenants.a]\nqueue_limit = 99999999999999999999\n");
    assert!(found[0].starts_with("2: tenants.a.queue_limit: "), "{found:?}");
    let found = faults("[[workers]]\ncapacity = { slots = 2199023255552 }\n");
    assert!(found[0].contains("workers[0].capacity.slots: is no number of units"), "{found:?}");
}

#[test]
fn each_of_many_faults_has_its_own_place() {
    let tenants: String = (0..300).map(|number| format!("[tenants.t{number}]\nweight = \"x\"\n")).collect();
    let found = faults(&tenants);
    assert_eq!(found.len(), 300);
    for number in 0..300 {
        let place = format!("{}: tenants.t{number}.weight: ", 2 * number + 2);
        assert!(found.iter().any(|told| told.starts_with(&place)), "{place}: {}", found[0]);
    }
}

#[test]
fn workers_say_the_most_urgent_tier_that_they_take() {
    let workers = |small: &str, large: &str| {
        format!(
            "[[workers]]\ncapacity = {{ slots = 1 }}\n{small}\n[[workers]]\npool = \"large\"\ncapacity = {{ slots = 1 }}\n\
             {large}\n[[workers]]\npool = \"large\"\ncapacity = {{ slots = 2 }}\nmost_urgent = 1\n"
        )
    };
    let file = read(&workers("", "most_urgent = \"batch\"")).expect("a name or a number");
    let tiers: Vec<_> = file.workers.iter().map(|group| group.most_urgent.get()).collect();
    assert_eq!(tiers, [0, 1, 1]);
    assert_eq!(
        faults(&workers("most_urgent = \"bath\"", "")),
        [
            "3: workers[0].most_urgent: there is no such tier",
            "11: workers[2].most_urgent: is not that of the workers before in its pool",
        ]
    );
    assert_eq!(
        faults(&workers("most_urgent = 2", "most_urgent = true"))[..2],
        [
            "3: workers[0].most_urgent: there is no such tier",
            "7: workers[1].most_urgent: a value of the type boolean is no tier",
        ]
    );
}

#[test]
fn a_tenant_lists_the_pools_of_its_requests() {
    let file = read("[tenants.a]\npools = [\"large\", \"small\"]\n[tenants.b]\n").expect("in order");
    let numbers = |place: usize| file.tenants[place].pools.iter().map(|pool| pool.get()).collect::<Vec<_>>();
    assert_eq!((numbers(0), numbers(1)), (vec![1, 0], vec![]));
    assert_eq!(
        faults("[tenants.a]\npools = [\"larg\"]\n[tenants.b]\npools = []\n[tenants.c]\npools = \"large\"\n"),
        [
            "2: tenants.a.pools: there is no pool \"larg\"",
            "4: tenants.b.pools: is a list of 1 to 4 pools",
            "6: tenants.c.pools: is a list of 1 to 4 pools",
        ]
    );
}

#[test]
fn a_tier_lists_the_pools_of_its_requests() {
    let file = read("[tier_pools]\nrealtime = [\"large\", \"small\"]\n").expect("in order");
    let numbers = |list: &Vec<PoolId>| list.iter().map(|pool| pool.get()).collect::<Vec<_>>();
    assert_eq!(file.tier_pools.iter().map(numbers).collect::<Vec<_>>(), [vec![1, 0], vec![]]);
    let none = vec![Vec::new(); 2];
    for text in ["", "[tier_pools]\n"] {
        assert_eq!(read(text).expect("in order").tier_pools, none, "{text}");
    }
    assert_eq!(
        faults("[tier_pools]\nrealtime = [\"larg\"]\nbatch = []\nurgent = [\"large\"]\n"),
        [
            "3: tier_pools.batch: is a list of 1 to 4 pools",
            "2: tier_pools.realtime: there is no pool \"larg\"",
            "4: tier_pools.urgent: there is no such tier",
        ]
    );
    assert_eq!(
        faults("[[tier_pools]]\nrealtime = [\"large\"]\n"),
        ["1: tier_pools: is written as [tier_pools]"]
    );
}

/// One that is named again counts once, as the scheduler has it, and takes none of the four places.
#[test]
fn a_pool_that_a_list_names_again_counts_once() {
    let many = r#"["large", "large", "small", "large", "small", "small"]"#;
    let file =
        read(&format!("[tier_pools]\nbatch = {many}\n[tenants.a]\npools = {many}\n")).expect("in order");
    let once = vec![PoolId::new(1), PoolId::new(0)];
    assert_eq!((&file.tier_pools[1], &file.tenants[0].pools), (&once, &once));
}

/// A host reads it while it serves: as many names as a file may have do not hold it up.
#[test]
fn a_list_of_far_too_many_pools_is_told_at_once() {
    let names = (0..100_000).map(|number| format!("\"p{number}\"")).collect::<Vec<_>>().join(", ");
    let begun = std::time::Instant::now();
    assert_eq!(
        faults(&format!("[tier_pools]\nbatch = [{names}]\n")),
        ["2: tier_pools.batch: is a list of 1 to 4 pools"]
    );
    assert!(begun.elapsed().as_secs() < 20, "to compare each with all others took minutes");
}
