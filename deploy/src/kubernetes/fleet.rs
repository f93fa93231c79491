//! Devices and workers: the GPUs of the nodes cut as the device plugin cuts them, and the pods that take the slices.
//!
//! Pods are put on nodes in the order of the manifests, where selectors and taints let them; where there are no nodes,
//! on as many GPUs as they need. Where there are no pods, every slice is a worker. Pools are what is
//! interchangeable: the pods of one workload, on one product; else the slices of one resource, product and taint.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::WorkerKind;

use super::ledger::Ledger;
use super::names::{GPU, Sharing};
use super::nodes::{Host, kind_of};
use super::pods::Engines;

/// What a worker has, as far as anybody says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capacity {
    pub(super) slots: Option<u64>,
    pub(super) kv_blocks: Option<u64>,
}

/// A worker, or several that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) count: u64,
    pub(super) pool: String,
    /// The class of its pods, if it is a tier that is not the most urgent one.
    pub(super) most_urgent: Option<String>,
    pub(super) capacity: Capacity,
    pub(super) devices: Vec<String>,
    pub(super) kind: WorkerKind,
}

/// All that there is.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    pub(super) devices: Vec<String>,
    pub(super) groups: Vec<Group>,
    /// Of the workers on each resource that pods ask for; that of the first, if they differ.
    pub(super) by_resource: BTreeMap<String, Capacity>,
    known: BTreeSet<String>,
}

/// A node, and the slices of each of its GPUs that nobody has.
struct Stock {
    host: Host,
    free: Vec<u64>,
}

impl Stock {
    /// Takes what a pod asks for: one slice of a GPU that is shared, else as many GPUs.
    fn take(&mut self, amount: u64) -> Option<Vec<String>> {
        let wanted = if self.host.replicas > 1 { 1 } else { usize::try_from(amount).ok()? };
        let found: Vec<usize> = (0..self.free.len()).filter(|&gpu| self.free[gpu] > 0).take(wanted).collect();
        if found.len() < wanted {
            return None;
        }
        for &gpu in &found {
            self.free[gpu] -= 1;
        }
        Some(found.into_iter().map(|gpu| format!("{}/{gpu}", self.host.name)).collect())
    }
}

/// Puts the pods on the nodes.
pub(super) fn build(
    hosts: Vec<Host>,
    engines: &[Engines<'_>],
    sharing: &[Sharing],
    tiers: &[String],
    ledger: &mut Ledger,
) -> Fleet {
    let mut fleet = Fleet::default();
    let hosts = if hosts.is_empty() { invented(engines, sharing, ledger) } else { hosts };
    let slices: u64 = hosts.iter().map(|host| host.gpus * host.replicas).sum();
    if slices > tidegate::MAX_WORKERS {
        ledger.fail(format!("{slices} slices of GPUs, above {} workers", tidegate::MAX_WORKERS));
        return fleet;
    }
    let stock = |host: Host| Stock { free: vec![host.replicas; host.gpus as usize], host };
    let mut stocks: Vec<Stock> = hosts.into_iter().map(stock).collect();
    for engine in engines {
        check(engine, sharing, ledger);
        let capacity = Capacity { slots: engine.slots, kv_blocks: engine.kv_blocks };
        match fleet.by_resource.get(&engine.resource) {
            Some(other) if *other != capacity => {
                let message =
                    format!("{}: its workers differ; a quota counts those of the first", engine.resource);
                ledger.note(engine.object, engine.object.node, "", message);
            }
            _ => {
                fleet.by_resource.insert(engine.resource.clone(), capacity);
            }
        }
        let most_urgent = most_urgent(engine, tiers, &fleet, ledger);
        place(engine, capacity, most_urgent, &mut stocks, &mut fleet, ledger);
    }
    if engines.is_empty() {
        every_slice(&stocks, &mut fleet, ledger);
    } else {
        for stock in &stocks {
            let free: u64 = stock.free.iter().sum();
            if free > 0 {
                let Host { name, resource, .. } = &stock.host;
                ledger
                    .say(format!("Node {name}: {free} of {resource} are taken by no pod of these manifests"));
            }
        }
    }
    fleet
}

/// The most urgent tier that engines serve: the class of their pods, where it is a tier. Of the most urgent one, and of
/// pods without a class, it is none: they serve all.
fn most_urgent(engine: &Engines<'_>, tiers: &[String], fleet: &Fleet, ledger: &mut Ledger) -> Option<String> {
    const FIELD: &str = "priorityClassName";
    let own = engine.class.and_then(|class| {
        let place = tiers.iter().position(|tier| tier == class);
        if place.is_none() {
            let message = format!("there is no class {class:?} here: its engines serve all tiers");
            ledger.note(engine.object, engine.object.node, FIELD, message);
        }
        place.filter(|&place| place > 0).map(|_| class.to_owned())
    });
    let others = fleet.groups.iter().find(|group| group.pool == engine.object.name);
    match others {
        Some(other) if other.most_urgent != own => {
            let message = "another workload of its name has another class, which holds for both";
            ledger.note(engine.object, engine.object.node, FIELD, message);
            other.most_urgent.clone()
        }
        _ => own,
    }
}

fn place(
    engine: &Engines<'_>,
    capacity: Capacity,
    most_urgent: Option<String>,
    stocks: &mut [Stock],
    fleet: &mut Fleet,
    ledger: &mut Ledger,
) {
    let fits: Vec<usize> = (0..stocks.len()).filter(|&at| engine.may_run_on(&stocks[at].host)).collect();
    let products: BTreeSet<_> = fits.iter().map(|&at| stocks[at].host.product().map(str::to_owned)).collect();
    let (mut placed, mut at) = (0u64, 0);
    // What did not find room on a node once never does: nothing is given back.
    while at < fits.len() && engine.pods.is_none_or(|pods| placed < pods) {
        let stock = &mut stocks[fits[at]];
        let Some(devices) = stock.take(engine.amount) else {
            at += 1;
            continue;
        };
        let mut pool = engine.object.name.clone();
        if let (true, Some(product)) = (products.len() > 1, stock.host.product()) {
            pool = format!("{pool},{product}");
        }
        placed += 1;
        fleet.add(Group {
            count: 1,
            pool,
            most_urgent: most_urgent.clone(),
            capacity,
            devices,
            kind: stock.host.kind,
        });
        at += usize::from(engine.pods.is_none());
    }
    let missing = engine.pods.unwrap_or(0).saturating_sub(placed);
    if missing > 0 {
        let message =
            format!("{missing} of its pods find no free {} on any node, and are no workers", engine.resource);
        ledger.note(engine.object, engine.object.node, "spec.replicas", message);
    }
}

fn every_slice(stocks: &[Stock], fleet: &mut Fleet, ledger: &mut Ledger) {
    let products: BTreeSet<_> = stocks.iter().map(|stock| stock.host.product()).collect();
    for Stock { host, .. } in stocks {
        let mut pool = host.resource.clone();
        if let (true, Some(product)) = (products.len() > 1, host.product()) {
            pool = format!("{pool},{product}");
        }
        for taint in &host.taints {
            pool = format!("{pool},{}={}", taint.key, taint.value);
            let message = format!(
                "Node {}: the taint {} makes a pool of its own; who may use it is the host's to say",
                host.name, taint.key
            );
            ledger.say(message);
        }
        fleet.by_resource.entry(host.resource.clone()).or_default();
        for gpu in 0..host.gpus {
            for _ in 0..host.replicas {
                let devices = vec![format!("{}/{gpu}", host.name)];
                let (capacity, kind) = (Capacity::default(), host.kind);
                fleet.add(Group { count: 1, pool: pool.clone(), most_urgent: None, capacity, devices, kind });
            }
        }
    }
}

impl Fleet {
    /// One worker more, told as a group of one.
    fn add(&mut self, one: Group) {
        for device in &one.devices {
            if self.known.insert(device.clone()) {
                self.devices.push(device.clone());
            }
        }
        match self.groups.last_mut() {
            Some(last)
                if last.pool == one.pool && last.capacity == one.capacity && last.devices == one.devices =>
            {
                last.count += 1;
            }
            _ => self.groups.push(one),
        }
    }
}

/// Nodes where there are none: as many GPUs as the pods need, or one of each kind.
fn invented(engines: &[Engines<'_>], sharing: &[Sharing], ledger: &mut Ledger) -> Vec<Host> {
    let replicas = |resource: &str| {
        let found = sharing.iter().find(|shared| shared.advertised() == resource);
        found.map_or(1, |shared| u64::from(shared.replicas))
    };
    let mut needed: BTreeMap<String, u64> = BTreeMap::new();
    for engine in engines {
        let each = if replicas(&engine.resource) > 1 { 1 } else { engine.amount };
        let slices = engine.pods.unwrap_or(1).saturating_mul(each);
        let sum = needed.entry(engine.resource.clone()).or_default();
        *sum = sum.saturating_add(slices).min(1 << 32);
    }
    if engines.is_empty() {
        needed.extend(sharing.iter().map(|shared| (shared.advertised(), u64::from(shared.replicas))));
    }
    if !needed.is_empty() {
        ledger.say("no Node says how many GPUs there are: as many as the pods need, or one of each kind");
    }
    let several = needed.len() > 1;
    let host = |(resource, slices): (String, u64)| {
        let replicas = replicas(&resource);
        let short = resource.rsplit('/').next().unwrap_or("gpu");
        let name = if several { format!("node-{short}") } else { "node".to_owned() };
        let gpus = slices.div_ceil(replicas);
        let shared = sharing.iter().find(|shared| shared.advertised() == resource);
        let kind = kind_of(&resource, shared);
        Host { name, labels: BTreeMap::new(), taints: Vec::new(), gpus, resource, replicas, kind }
    };
    needed.into_iter().map(host).collect()
}

/// What a cluster would refuse, or regret.
fn check(engine: &Engines<'_>, sharing: &[Sharing], ledger: &mut Ledger) {
    let Engines { object, resource, amount, .. } = engine;
    let say = |ledger: &mut Ledger, message: String| ledger.note(object, object.node, resource, message);
    let shared = sharing.iter().find(|shared| shared.advertised() == *resource);
    if shared.is_none() && *resource != GPU && !resource.contains("/mig-") {
        say(ledger, "no config of the device plugin here offers it".to_owned());
    }
    if let Some(shared) = shared {
        if *amount > 1 && shared.fail_requests_greater_than_one {
            say(ledger, format!("asks for {amount}, which failRequestsGreaterThanOne refuses; read as one"));
        } else if *amount > 1 {
            say(ledger, format!("{amount} replicas of a shared GPU are no more of it than one; read as one"));
        }
        // vLLM takes nine tenths unless told otherwise.
        let memory = engine.memory.unwrap_or(0.9);
        if memory * f64::from(shared.replicas) > 1.0 {
            say(
                ledger,
                format!(
                    "memory is not isolated: {} engines on one GPU, \
                         and each takes {memory} of it (--gpu-memory-utilization)",
                    shared.replicas
                ),
            );
        }
    }
    if engine.slots.is_none() {
        say(
            ledger,
            "its command has no --max-num-seqs: how many requests a worker runs is not known".to_owned(),
        );
    }
}
