//! Workloads whose pods take GPUs: each pod is an engine, so a worker. What its command says of the engine (vLLM's
//! own flags) is what the worker has.

use super::ledger::{Ledger, NO_COUNTERPART, Object, View};
use super::nodes::{Host, Taint};
use super::yaml::Node;

/// The kinds that are read, and where each has its pod.
pub(super) const KINDS: [(&str, &[&str]); 5] = [
    ("Deployment", &["spec", "template", "spec"]),
    ("StatefulSet", &["spec", "template", "spec"]),
    ("ReplicaSet", &["spec", "template", "spec"]),
    ("DaemonSet", &["spec", "template", "spec"]),
    ("Pod", &["spec"]),
];

/// Pods that are alike, and what each takes and has.
pub(super) struct Engines<'n> {
    pub(super) object: &'n Object<'n>,
    /// How many; `None` is one on each node that takes them.
    pub(super) pods: Option<u64>,
    pub(super) resource: String,
    /// How many of it.
    pub(super) amount: u64,
    /// `--max-num-seqs`, `--num-gpu-blocks-override`, `--gpu-memory-utilization`.
    pub(super) slots: Option<u64>,
    pub(super) kv_blocks: Option<u64>,
    pub(super) memory: Option<f64>,
    /// `priorityClassName`.
    pub(super) class: Option<&'n str>,
    selector: Vec<(String, String)>,
    tolerations: Vec<&'n Node>,
}

impl Engines<'_> {
    /// Whether its pods may run on a node.
    pub(super) fn may_run_on(&self, host: &Host) -> bool {
        let wanted = |(name, value): &(String, String)| host.labels.get(name) == Some(value);
        host.resource == self.resource
            && self.selector.iter().all(wanted)
            && host.taints.iter().all(|taint| self.tolerations.iter().any(|node| tolerates(node, taint)))
    }
}

fn tolerates(node: &Node, taint: &Taint) -> bool {
    let word = |name| node.get(name).and_then(Node::text).unwrap_or_default();
    let effect = word("effect").is_empty() || word("effect") == taint.effect;
    let key = word("key") == taint.key;
    effect
        && if word("operator") == "Exists" {
            word("key").is_empty() || key
        } else {
            key && word("value") == taint.value
        }
}

/// Reads a workload. `None` if its pods take no GPU.
pub(super) fn read<'n>(object: &'n Object<'n>, ledger: &mut Ledger) -> Option<Engines<'n>> {
    let (_, steps) = KINDS.iter().find(|(kind, _)| *kind == object.kind)?;
    let pod = steps.iter().try_fold(object.node, |node, step| node.get(step));
    let Some(pod) = pod else {
        ledger.fault(object, object.node, &steps.join("."), "is needed");
        return None;
    };
    let mut view = View::new(object, &steps.join("."), pod, ledger);
    let mut found = None;
    for container in view.list("containers", ledger) {
        let Some((resource, amount)) = gpus(object, container, ledger) else { continue };
        if found.is_some() {
            view.note(container, "containers", "a second container with GPUs: a pod is one worker", ledger);
            continue;
        }
        found = Some((resource, amount, container));
    }
    let Some((resource, amount, container)) = found else {
        ledger.note(object, object.node, "", "takes no GPU, and is no worker");
        return None;
    };
    for (name, node) in [
        ("affinity", view.take("affinity")),
        ("topologySpreadConstraints", view.take("topologySpreadConstraints")),
    ] {
        if let Some(node) = node {
            view.note(node, name, "is not followed: pods are put on nodes in their order", ledger);
        }
    }
    let class = view.take("priorityClassName").and_then(Node::text);
    let selector = view.view("nodeSelector", ledger).map(|mut labels| labels.drain()).unwrap_or_default();
    let selector = selector
        .into_iter()
        .map(|(name, node)| (name.to_owned(), node.text().unwrap_or_default().to_owned()));
    let words = words(container);
    Some(Engines {
        object,
        pods: pods(object, ledger)?,
        resource,
        amount,
        slots: number(object, container, &words, "--max-num-seqs", ledger),
        kv_blocks: number(object, container, &words, "--num-gpu-blocks-override", ledger),
        class,
        memory: flag(&words, "--gpu-memory-utilization").and_then(|text| text.parse().ok()),
        selector: selector.collect(),
        tolerations: view.list("tolerations", ledger).iter().collect(),
    })
}

/// How many pods there are; the outer `None` is a fault.
fn pods(object: &Object<'_>, ledger: &mut Ledger) -> Option<Option<u64>> {
    let said = object.node.get("spec").and_then(|spec| spec.get("replicas")).filter(|node| !node.is_null());
    match (&*object.kind, said) {
        ("DaemonSet", _) => Some(None),
        ("Pod", _) | (_, None) => Some(Some(1)),
        (_, Some(node)) => {
            let pods = node.whole().and_then(|pods| u64::try_from(pods).ok());
            if pods.is_none_or(|pods| pods > tidegate::MAX_WORKERS) {
                let message = format!("is no whole number from 0 to {}", tidegate::MAX_WORKERS);
                ledger.fault(object, node, "spec.replicas", message);
                return None;
            }
            Some(pods)
        }
    }
}

/// The GPU resource that a container takes.
fn gpus(object: &Object<'_>, container: &Node, ledger: &mut Ledger) -> Option<(String, u64)> {
    let resources = container.get("resources")?;
    let mut found = None;
    for (name, node) in ["limits", "requests"].iter().filter_map(|side| resources.get(side)).flat_map(items) {
        if !name.starts_with("nvidia.com/") || found.as_ref().is_some_and(|(known, _)| known == name) {
            continue;
        }
        match node.quantity() {
            None => ledger.fault(object, node, name, "is no whole number"),
            Some(0) => {}
            Some(_) if found.is_some() => ledger.note(object, node, name, NO_COUNTERPART),
            Some(amount) => found = Some((name.to_owned(), amount)),
        }
    }
    found
}

fn items(node: &Node) -> Vec<(&str, &Node)> {
    match &node.value {
        super::yaml::Value::Map(items) => items.iter().map(|(name, node)| (name.as_str(), node)).collect(),
        _ => Vec::new(),
    }
}

/// The words of a container's command, those of a shell's line too.
fn words(container: &Node) -> Vec<&str> {
    let lists = ["command", "args"].into_iter().filter_map(|name| container.get(name)).filter_map(Node::list);
    lists.flatten().filter_map(Node::text).flat_map(str::split_whitespace).collect()
}

/// The value of `--name value` or `--name=value`.
fn flag<'w>(words: &[&'w str], name: &str) -> Option<&'w str> {
    words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(name) {
        Some("") => words.get(index + 1).copied(),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    })
}

fn number(
    object: &Object<'_>,
    container: &Node,
    words: &[&str],
    name: &str,
    ledger: &mut Ledger,
) -> Option<u64> {
    let text = flag(words, name)?;
    match text.parse() {
        Ok(number @ 1..=tidegate::MAX_UNITS) => Some(number),
        _ => {
            let node = container.get("args").unwrap_or(container);
            ledger.fault(object, node, name, format!("{text:?} is no whole number from 1"));
            None
        }
    }
}
