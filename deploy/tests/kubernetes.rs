//! Manifests as a file: what each object says, what is told of what it cannot say, and the examples of the docs.

use std::fs;
use std::path::Path;

use tidegate::WorkerKind;
use tidegate_deploy::Deployment;
use tidegate_deploy::kubernetes::{Imported, import};

fn from(text: &str) -> Imported {
    import(&[("x.yaml", text)]).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn file(found: &Imported) -> Deployment {
    Deployment::from_toml(&found.toml).expect("what is written is in order")
}

fn told(found: &Imported) -> Vec<String> {
    found.notes.iter().map(ToString::to_string).collect()
}

fn class(name: &str, value: i64, more: &str) -> String {
    format!(
        "---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {{name: {name}}}\n\
             value: {value}\n{more}\n"
    )
}

fn plugin(config: &str) -> String {
    let config = config.replace('\n', "\n    ");
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: plugin}}\ndata:\n  a: |\n    {config}\n")
}

const MPS: &str = "version: v1\nsharing:\n  mps:\n    renameByDefault: true\n    \
    resources: [{name: nvidia.com/gpu, replicas: 2}]";

fn node(name: &str, more: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, \
             labels: {{nvidia.com/gpu.count: \"2\"{more}}}}}\n"
    )
}

fn engines(name: &str, pods: u32, more: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: {pods}\n  \
         template:\n    spec:\n      \
        containers:\n      - name: vllm\n        args: [--max-num-seqs=8, \
         --num-gpu-blocks-override, \"100\", --gpu-memory-utilization=0.4]\n        \
        resources: {{limits: {{nvidia.com/gpu.shared: 1}}}}\n{more}"
    )
}

fn quota(namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: q, namespace: {namespace}}}\n\
             spec: {spec}\n"
    )
}

#[test]
fn priority_classes_are_tiers_in_the_order_of_their_values() {
    let text = class("low", -5, "globalDefault: true")
        + &class("high", 9, "preemptionPolicy: Never")
        + &class("mid", 1, "");
    let found = from(&text);
    let file = file(&found);
    let names: Vec<_> = file.config.tiers().iter().map(|tier| tier.name()).collect();
    assert_eq!(names, ["high", "mid", "low"]);
    assert_eq!(file.kubernetes.priorities["low"], -5);
    assert_eq!(file.kubernetes.global_default.as_deref(), Some("low"));
    assert!(found.toml.contains("[vllm]\ndefault_tier = \"low\""), "{}", found.toml);
    let high = found.toml.split("[[tiers]]").nth(1).expect("the first tier");
    assert!(
        high.contains("preemption = \"never\"\npreempt_while_borrowing = \"never\"")
            || high.contains("preempt_while_borrowing = \"never\"\npreemption = \"never\""),
        "{high}"
    );
    assert!(told(&found).iter().any(|note| note.contains("a PriorityClass guarantees nothing")));
}

#[test]
fn what_classes_cannot_say_is_told() {
    let system = class("system-node-critical", 2_000_001_000, "");
    let text = class("a", 5, "")
        + &class("b", 5, "globalDefault: true")
        + &class("c", 4, "globalDefault: true\nodd: 1")
        + &system;
    let told = told(&from(&text)).join("\n");
    for expected in [
        "PriorityClass b: value: is as urgent as a; here it comes behind it",
        "PriorityClass c: globalDefault: b is the default too; as in a cluster, the smaller value is",
        "PriorityClass c: odd: has no counterpart",
        "PriorityClass system-node-critical: is the system's own",
    ] {
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn slices_without_pods_are_workers_each() {
    let found = from(
        &(class("only", 1, "") + &plugin(MPS) + &node("n", "") + &node("m", ", nvidia.com/gpu.product: L4")),
    );
    let file = file(&found);
    assert_eq!((file.worker_count(), file.devices.len()), (8, 4));
    assert_eq!(
        file.config.pools().collect::<Vec<_>>(),
        ["nvidia.com/gpu.shared", "nvidia.com/gpu.shared,L4"]
    );
    assert!(file.workers.iter().all(|group| group.kind == WorkerKind::Mps));
    let shared = &file.kubernetes.sharing[0];
    assert_eq!((shared.replicas, shared.advertised().as_str()), (2, "nvidia.com/gpu.shared"));
}

#[test]
fn pods_are_put_on_slices_where_selectors_and_taints_let_them() {
    let taint = "spec: {taints: [{key: team, value: ml, effect: NoSchedule}, {key: nvidia.com/gpu, \
         effect: NoSchedule}]}\n";
    let nodes = node("free", "") + &node("tainted", "") + taint;
    let text = class("only", 1, "") + &plugin(MPS) + &nodes;
    let found = from(&(text.clone() + &engines("llm", 6, "")));
    assert_eq!(file(&found).worker_count(), 4, "the tainted node takes none");
    assert!(
        told(&found).iter().any(|note| note.contains("2 of its pods find no free nvidia.com/gpu.shared"))
    );
    assert!(
        told(&found)
            .iter()
            .any(|note| note.contains("Node tainted: 4 of nvidia.com/gpu.shared are taken by no pod"))
    );
    let tolerant = engines("llm", 6, "      tolerations: [{key: team, operator: Exists}]\n");
    let found = from(&(text.clone() + &tolerant));
    let deployment = file(&found);
    assert_eq!(deployment.worker_count(), 6);
    assert_eq!(deployment.config.dimensions().collect::<Vec<_>>(), ["slots", "kv_blocks"]);
    assert_eq!((deployment.workers[0].capacity[0], deployment.workers[0].capacity[1]), (8, 100));
    let pinned = engines("llm", 6, "      nodeSelector: {kubernetes.io/hostname: free}\n");
    assert_eq!(file(&from(&(text + &pinned + &engines("other", 1, "")))).worker_count(), 1);
}

#[test]
fn a_node_names_its_config() {
    let two = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: plugin}\ndata:\n  \
        two: '{\"version\": \"v1\", \"sharing\": {\"timeSlicing\": \
        {\"resources\": [{\"name\": \"gpu\", \"replicas\": 2}]}}}'\n  \
        four: |\n    version: v1\n    sharing: {timeSlicing: {resources: \
        [{name: nvidia.com/gpu, rename: slice, replicas: 4}]}}\n";
    let text = two.to_owned()
        + &node("a", ", nvidia.com/device-plugin.config: two")
        + &node("b", ", nvidia.com/device-plugin.config: four")
        + &node("c", ", nvidia.com/device-plugin.config: none")
        + &node("d", "");
    let found = from(&text);
    assert_eq!(file(&found).worker_count(), 4 + 8 + 2 + 2);
    let kinds = file(&found).workers.into_iter().map(|group| group.kind);
    let dedicated = kinds.clone().filter(|&kind| kind == WorkerKind::Dedicated).count();
    assert!(kinds.clone().any(|kind| kind == WorkerKind::TimeSlice) && dedicated > 0);
    let told = told(&found).join("\n");
    assert!(told.contains("names the config \"none\", in which nothing is shared here"), "{told}");
    assert!(told.contains("Node d: does not say which config it has"), "{told}");
    let mixed = MPS.replace("replicas: 2}", "replicas: 2}, {name: nvidia.com/mig-1g.5gb, replicas: 3}");
    let found = from(&(plugin(&mixed) + &node("n", "")));
    assert_eq!(file(&found).worker_count(), 4);
    let expected = "nvidia.com/mig-1g.5gb of its config are not counted";
    assert!(self::told(&found).iter().any(|note| note.contains(expected)), "{:?}", found.notes);
}

#[test]
fn quotas_of_slices_are_what_requests_may_use() {
    let base = class("high", 9, "")
        + &class("mid", 5, "")
        + &class("low", 1, "")
        + &plugin(MPS)
        + &node("n", "")
        + &engines("llm", 4, "");
    let text = base
        + &quota("chat", "{hard: {requests.nvidia.com/gpu.shared: 3, cpu: 10, memory: 1.5, pods: 7}}")
        + &quota(
            "reports",
            "{hard: {pods: 0}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, \
                 values: [high, mid]}]}}",
        )
        + &quota("shut", "{hard: {requests.nvidia.com/gpu.shared: \"0\"}}");
    let found = from(&text);
    let file = file(&found);
    let tenant =
        |name: &str| file.tenants.iter().find(|tenant| tenant.name == name).expect("a namespace").policy;
    assert_eq!((tenant("chat").max_in_use[0], tenant("chat").max_in_use[1]), (24, 300));
    assert_eq!(tenant("reports").most_urgent.get(), 2);
    assert_eq!(tenant("shut").max_running, Some(0));
    let told = told(&found).join("\n");
    for field in ["spec.hard.cpu", "spec.hard.memory", "spec.hard.pods: pods are no requests"] {
        assert!(told.contains(&format!("ResourceQuota chat/q: {field}")), "{told}");
    }
}

#[test]
fn limit_ranges_hold_by_themselves_or_are_told() {
    let range = "---\napiVersion: v1\nkind: LimitRange\nmetadata: {name: r, namespace: chat}\n\
         spec:\n  limits:\n  \
        - {type: Container, max: {nvidia.com/gpu.shared: 1, cpu: 2}, min: {nvidia.com/gpu.shared: 2}}\n";
    let found = from(&(plugin(MPS) + &node("n", "") + range));
    let told = told(&found);
    let of_range: Vec<_> = told.iter().filter(|note| note.contains("LimitRange")).collect();
    assert_eq!(of_range.len(), 2, "{told:?}");
    assert!(of_range[0].contains("spec.limits[0].max.cpu: has no counterpart"), "{told:?}");
    assert!(of_range[1].contains("min.nvidia.com/gpu.shared: a request runs on one worker"), "{told:?}");
    let shut = range.replace("max: {nvidia.com/gpu.shared: 1", "max: {nvidia.com/gpu.shared: 0");
    assert_eq!(file(&from(&(plugin(MPS) + &node("n", "") + &shut))).tenants[0].policy.max_running, Some(0));
}

#[test]
fn pitfalls_are_told() {
    let many = MPS.replace("replicas: 2", "replicas: 8");
    let greedy = engines("llm", 2, "")
        .replace("=0.4", "=0.9")
        .replace("gpu.shared: 1", "gpu.shared: 2")
        .replace("--max-num-seqs=8, ", "");
    let told = told(&from(&(plugin(&many) + &greedy))).join("\n");
    for expected in [
        "8 engines on one card: with more than 4 each is small and slow",
        "memory is not isolated: 8 engines on one GPU, and each takes 0.9 of it",
        "2 replicas of a shared GPU are no more of it than one",
        "its command has no --max-num-seqs",
        "no Node says how many GPUs there are",
        "no PriorityClass: all requests are of one tier",
    ] {
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn faults_have_their_file_and_line() {
    let own = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: t}\n\
         data:\n  tidegate.toml: |\n    dimensions = [\"slots\"]\n    teirs = 1\n";
    for (text, expected) in [
        ("a: [\n", "x.yaml: line 2: "),
        ("kind: Pod\n", "x.yaml: line 1: apiVersion: is needed"),
        ("apiVersion: v1\n", "x.yaml: line 1: kind: is needed"),
        ("[1, 2]\n", "x.yaml: line 1: kind: is needed"),
        ("apiVersion: v1\nkind: Node\n", "metadata.name: is needed"),
        (
            &*class("a", 5, "preemptionPolicy: Sometimes"),
            "x.yaml: line 6: PriorityClass a: preemptionPolicy: \"Sometimes\" is none of",
        ),
        (&class("a", 2_000_000_000, ""), "x.yaml: line 5: PriorityClass a: value: 2000000000 is not from"),
        (
            &class("a", 5, "").replace("value: 5", "value: \"5\""),
            "x.yaml: line 5: PriorityClass a: value: is no whole number",
        ),
        (&class("a", 5, "").replace("value: 5", ""), "x.yaml: line 2: PriorityClass a: value: is needed"),
        (&(class("a", 5, "") + &class("a", 4, "")), "PriorityClass a: is there twice"),
        (
            &plugin(&MPS.replace("replicas: 2", "replicas: 1")),
            "x.yaml: line 11: ConfigMap plugin: data.a.sharing.mps.resources[0].replicas: 1 is not from 2 to 48",
        ),
        (
            &plugin(&MPS.replace("replicas: 2", "n: 1")),
            "x.yaml: line 11: ConfigMap plugin: data.a.sharing.mps.resources[0].replicas: is needed",
        ),
        (&plugin("sharing:\n  mps: [\n"), "ConfigMap plugin: data.a: "),
        (&plugin("sharing:\n  mps: 3\n"), "x.yaml: line 8: ConfigMap plugin: data.a.sharing.mps: is no map"),
        (&engines("llm", 1, "").replace("=8", "=many"), "--max-num-seqs: \"many\" is no whole number from 1"),
        (
            &engines("llm", 1, "").replace("replicas: 1", "replicas: -1"),
            "x.yaml: line 6: Deployment llm: spec.replicas: is no whole number",
        ),
        (
            &quota("a", "{hard: {pods: many}}"),
            "x.yaml: line 5: ResourceQuota a/q: spec.hard.pods: is no whole number",
        ),
        (own, "x.yaml: line 8: ConfigMap t: data.tidegate.toml: teirs: unknown field"),
        (&(own.replace("teirs = 1", "tiers = [{ name = \"a\" }]") + own), "unknown field"),
    ] {
        let error = import(&[("x.yaml", text)]).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}\n{error}\nnot {expected}");
        assert!(!error.contains('\n'), "one line");
    }
    let nine: String = (0..9).map(|number| class(&format!("c{number}"), number, "")).collect();
    let error = import(&[("x.yaml", &nine)]).expect_err("too many").to_string();
    assert!(error.contains("9 classes, and at most 8 tiers"), "{error}");
}

#[test]
fn what_speaks_of_nothing_here_is_told_by_name() {
    let found = from(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n}\n---\napiVersion: v1\nkind: List\n\
             items:\n\
        - {apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}\n\
         - {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: []}}\n",
    );
    assert_eq!(
        told(&found)[..3],
        [
            "x.yaml: line 1: Service n/s: says nothing of tiers, tenants, devices or workers, \
                 and is left out",
            "x.yaml: line 8: ConfigMap c: has nothing for tidegate, and is left out",
            "x.yaml: line 9: Pod p: takes no GPU, and is no worker",
        ]
    );
}

#[test]
fn the_examples_of_the_docs_say_one_thing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/kubernetes");
    let mut texts: Vec<(String, String)> = fs::read_dir(folder)
        .expect("the examples")
        .map(|entry| {
            let path = entry.expect("readable").path();
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("text"))
        })
        .collect();
    texts.sort();
    let borrowed: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let found = import(&borrowed).expect("in order");
    let file = file(&found);
    let tiers: Vec<_> = file.config.tiers().iter().map(|tier| tier.name()).collect();
    assert_eq!(tiers, ["realtime", "near-realtime", "batch"]);
    assert_eq!(
        (file.worker_count(), file.devices.len(), file.config.pools().collect::<Vec<_>>()),
        (8, 2, vec!["vllm"])
    );
    let tenant = |name: &str| file.tenants.iter().find(|tenant| tenant.name == name).expect("a team");
    assert_eq!((tenant("team-chat").policy.weight, tenant("team-chat").policy.max_in_use[0]), (3, 6 * 64));
    assert_eq!(tenant("team-reports").policy.most_urgent.get(), 1);
    assert_eq!(
        told(&found),
        [
            "40-vllm.yaml: line 47: Service inference/vllm: says nothing of tiers, tenants, \
                 devices or workers, and is left out",
            "manifests: no Node says how many GPUs there are: as many as the pods need, or one of each kind",
        ]
    );
}

#[test]
fn aliases_stand_no_deeper_than_what_is_written_out() {
    let step = |level: usize| {
        let (open, close) = ("[".repeat(10), "]".repeat(10));
        let inner = if level == 0 { "x".to_owned() } else { format!("*a{}", level - 1) };
        format!("a{level}: &a{level} {open}{inner}{close}\n")
    };
    let text = |steps: usize| class("low", 1, &(0..steps).map(step).collect::<String>());
    let error = import(&[("x.yaml", text(7).as_str())]).expect_err("70 lists in one another").to_string();
    assert!(error.contains("more than 64 lists and maps in one another"), "{error}");
    assert!(import(&[("x.yaml", text(6).as_str())]).is_ok_and(|found| found.toml.contains("name = \"low\"")));
}

#[test]
fn all_texts_of_an_import_have_one_bound() {
    let large = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), ["*a"; 50].join(", "));
    let refused = |files: &[(&str, &str)]| {
        import(files)
            .err()
            .map(|error| error.to_string())
            .filter(|told| told.contains("is too large with all"))
    };
    let text = class("low", 1, &large);
    let file = text.as_str();
    assert_eq!(refused(&[("x.yaml", file)]), None);
    assert!(
        refused(&[("x.yaml", file), ("y.yaml", file), ("z.yaml", file)])
            .is_some_and(|told| told.contains("z.yaml"))
    );
    let inner = format!("version: v1\nsharing: {{}}\n{large}").replace('\n', "\n    ");
    let plugins = |number: usize| {
        let configs: String = (0..number).map(|key| format!("  k{key}: |\n    {inner}\n")).collect();
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: plugin}}\ndata:\n{configs}")
    };
    assert_eq!(refused(&[("x.yaml", plugins(1).as_str())]), None);
    assert!(refused(&[("x.yaml", plugins(3).as_str())]).is_some_and(|told| told.contains("data.k2")));
}

#[test]
fn the_class_of_pods_is_the_most_urgent_tier_of_their_engines() {
    let of = |name: &str, more: &str| engines(name, 1, &format!("      priorityClassName: {more}\n"));
    let classes = class("high", 9, "") + &class("low", 1, "globalDefault: true");
    let found =
        from(&(classes.clone() + &plugin(MPS) + &of("a", "low") + &of("b", "high") + &engines("c", 1, "")));
    let file = file(&found);
    let tiers: Vec<_> = file.workers.iter().map(|group| group.most_urgent.get()).collect();
    assert_eq!(tiers, [1, 0, 0], "{}", found.toml);
    let unknown = from(&(classes + &plugin(MPS) + &of("a", "gone") + &of("b", "low") + &of("b", "high")));
    let told: Vec<_> = told(&unknown).into_iter().filter(|note| note.contains("priorityClassName")).collect();
    let [gone, other] = &told[..] else { panic!("{told:?}") };
    assert!(gone.ends_with("there is no class \"gone\" here: its engines serve all tiers"), "{gone}");
    assert!(
        other.ends_with("another workload of its name has another class, which holds for both"),
        "{other}"
    );
}
