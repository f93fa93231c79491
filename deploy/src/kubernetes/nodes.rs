//! Nodes: how many GPUs each has, of which product, with which config of the device plugin, and whom its taints keep
//! away. Labels that are none of these say nothing here.

use std::collections::BTreeMap;

use tidegate::WorkerKind;

use super::ledger::{Ledger, NO_COUNTERPART, Object, View};
use super::names::{GPU, Sharing};
use super::yaml::Node;

/// Labels of GPU feature discovery and of the device plugin.
const COUNT: &str = "nvidia.com/gpu.count";
const PRODUCT: &str = "nvidia.com/gpu.product";
const CONFIG: &str = "nvidia.com/device-plugin.config";

/// Far more than any node has.
const MOST_GPUS: u64 = 1_024;

/// A node with GPUs.
pub(super) struct Host {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) taints: Vec<Taint>,
    pub(super) gpus: u64,
    /// What pods ask for, and how many of each GPU there are.
    pub(super) resource: String,
    pub(super) replicas: u64,
    /// What these are.
    pub(super) kind: WorkerKind,
}

/// What keeps pods away that do not tolerate it.
pub(super) struct Taint {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) effect: String,
}

impl Host {
    pub(super) fn product(&self) -> Option<&str> {
        self.labels.get(PRODUCT).map(String::as_str)
    }
}

/// Reads a node. `None` if it has no GPUs that pods may get.
pub(super) fn read(object: &Object<'_>, sharing: &[Sharing], ledger: &mut Ledger) -> Option<Host> {
    let mut view = View::new(object, "", object.node, ledger);
    view.pass(&["apiVersion", "kind"]);
    let mut labels = BTreeMap::new();
    let metadata = view.view("metadata", ledger);
    if let Some(mut found) = metadata.and_then(|mut metadata| metadata.view("labels", ledger)) {
        labels.extend(
            found
                .drain()
                .into_iter()
                .map(|(name, node)| (name.to_owned(), node.text().unwrap_or_default().to_owned())),
        );
    }
    let (mut taints, mut closed) = (Vec::new(), false);
    if let Some(mut spec) = view.view("spec", ledger) {
        closed = spec.flag("unschedulable", ledger).unwrap_or(false);
        for node in spec.list("taints", ledger) {
            taints.extend(taint(object, node, ledger));
        }
        spec.pass(&["podCIDR", "podCIDRs", "providerID"]);
        spec.end(ledger);
    }
    let advertised = view.view("status", ledger).and_then(|mut status| status.take("capacity"));
    if closed {
        ledger.note(object, object.node, "spec.unschedulable", "no worker is put on it");
        return None;
    }
    let shared = which(object, &labels, sharing, ledger);
    for other in sharing.iter().filter(|other| shared.is_some_and(|first| first.is_beside(other))) {
        if Some(other) != shared {
            let message =
                format!("{} of its config are not counted: one resource of a node is", other.resource);
            ledger.note(object, object.node, "", message);
        }
    }
    let resource = shared.map_or_else(|| GPU.to_owned(), Sharing::advertised);
    let replicas = shared.map_or(1, |shared| u64::from(shared.replicas));
    let of_status = advertised.and_then(|capacity| capacity.get(&resource)).and_then(Node::quantity);
    let gpus = match labels.get(COUNT).map(|text| text.parse::<u64>()) {
        Some(Ok(gpus)) => Some(gpus),
        Some(Err(_)) => {
            ledger.fault(object, object.node, &format!("metadata.labels.{COUNT}"), "is no whole number");
            return None;
        }
        None => of_status.map(|slices| slices / replicas),
    };
    let Some(gpus @ 1..) = gpus else {
        let message = format!("has no GPUs: neither the label {COUNT} nor status.capacity says how many");
        ledger.note(object, object.node, "", message);
        return None;
    };
    if gpus > MOST_GPUS {
        ledger.fault(object, object.node, "", format!("{gpus} GPUs, at most {MOST_GPUS}"));
        return None;
    }
    let kind = kind_of(&resource, shared);
    Some(Host { name: object.name.clone(), labels, taints, gpus, resource, replicas, kind })
}

/// What a slice of a resource is: as it is shared, or cut off by the hardware.
pub(super) fn kind_of(resource: &str, shared: Option<&Sharing>) -> WorkerKind {
    match shared {
        Some(shared) => shared.strategy.kind(),
        None if resource.contains("/mig-") => WorkerKind::Mig,
        None => WorkerKind::Dedicated,
    }
}

/// The sharing that holds on a node: of the config that its label names, else of the only one or the default.
fn which<'s>(
    object: &Object<'_>,
    labels: &BTreeMap<String, String>,
    sharing: &'s [Sharing],
    ledger: &mut Ledger,
) -> Option<&'s Sharing> {
    let one = |name: &str| sharing.iter().find(|shared| shared.config == name);
    if let Some(name) = labels.get(CONFIG) {
        let found = one(name);
        if found.is_none() && !sharing.is_empty() {
            let message = format!("names the config {name:?}, in which nothing is shared here");
            ledger.note(object, object.node, &format!("metadata.labels.{CONFIG}"), message);
        }
        return found;
    }
    let first = sharing.first()?;
    let alike = sharing.iter().all(|shared| shared.config == first.config);
    let found = if alike { Some(first) } else { one("default") };
    if found.is_none() {
        let message =
            format!("does not say which config it has (label {CONFIG}): read as one that shares nothing");
        ledger.note(object, object.node, "", message);
    }
    found
}

fn taint(object: &Object<'_>, node: &Node, ledger: &mut Ledger) -> Option<Taint> {
    let mut view = View::new(object, "spec.taints", node, ledger);
    let mut word = |name| view.text(name, ledger).unwrap_or_default().to_owned();
    let taint = Taint { key: word("key"), value: word("value"), effect: word("effect") };
    match &*taint.effect {
        // Pods that ask for the resource of this name tolerate it without saying so.
        "NoSchedule" | "NoExecute" => (taint.key != GPU).then_some(taint),
        _ => {
            let message = format!("{}={}:{} {NO_COUNTERPART}", taint.key, taint.value, taint.effect);
            view.note(node, "effect", message, ledger);
            None
        }
    }
}
