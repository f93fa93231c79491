//! From manifests to a file: which object says what, in an order in which each part knows those before it.

use std::collections::BTreeMap;

use tidegate::WorkerKind;
use toml::{Table, Value};

use super::fleet::{self, Capacity, Fleet, Group};
use super::ledger::{Ledger, ManifestError, Note, Object};
use super::names::{GPU, Sharing};
use super::yaml::{self, Node, Reader, Scalar};
use super::{TIDEGATE_TOML, nodes, pods, sharing, tenants, text, tiers};
use crate::deployment::Deployment;
use crate::document::Document;

/// A file that says what manifests say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The file.
    pub toml: String,
    /// What it does not say, or says otherwise, in the order of the manifests.
    pub notes: Vec<Note>,
}

/// Reads manifests: texts in YAML or JSON, each with the name under which it is spoken of.
///
/// ```
/// let classes = "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: batch}, value: 10}";
/// let found = tidegate_deploy::kubernetes::import(&[("classes.yaml", classes)])?;
/// assert!(found.toml.contains("name = \"batch\""));
/// # Ok::<(), tidegate_deploy::kubernetes::ManifestError>(())
/// ```
///
/// # Errors
/// [`ManifestError`]: every fault found, with file and line; of a text that is no YAML its first.
pub fn import(files: &[(&str, &str)]) -> Result<Imported, ManifestError> {
    let mut ledger = Ledger::default();
    let (mut reader, mut roots) = (Reader::default(), Vec::new());
    for (file, text) in files {
        match reader.documents(text) {
            Ok(found) => roots.extend(found.into_iter().map(|root| (*file, root))),
            Err(fault) => ledger.faults.push(Note {
                file: (*file).to_owned(),
                line: Some(fault.line),
                about: String::new(),
                message: fault.message,
            }),
        }
    }
    let mut objects = Vec::new();
    for (file, root) in &roots {
        collect(file, root, &mut objects, &mut ledger);
    }
    let mut toml = String::new();
    if ledger.faults.is_empty() {
        toml = combine(&objects, &mut reader, &mut ledger);
    }
    if ledger.faults.is_empty()
        && let Err(error) = Deployment::from_toml(&toml)
    {
        for fault in error.faults {
            let about = if fault.path.is_empty() { String::new() } else { format!(" {}:", fault.path) };
            ledger.fail(format!("together they make a file with a fault:{about} {}", fault.message));
        }
    }
    if !ledger.faults.is_empty() {
        return Err(ManifestError(ledger.faults));
    }
    let place = |note: &Note| files.iter().position(|(file, _)| *file == note.file).unwrap_or(files.len());
    ledger.notes.sort_by_key(|note| (place(note), note.line));
    Ok(Imported { toml, notes: ledger.notes })
}

/// The objects of a document, those of lists one by one.
fn collect<'n>(file: &'n str, node: &'n Node, objects: &mut Vec<Object<'n>>, ledger: &mut Ledger) {
    let word = |name: &str| node.get(name).and_then(Node::text).unwrap_or_default().to_owned();
    let of_metadata =
        |name: &str| node.get("metadata").and_then(|metadata| metadata.get(name)).and_then(Node::text);
    let object = Object {
        file,
        kind: word("kind"),
        api_version: word("apiVersion"),
        name: of_metadata("name").unwrap_or_default().to_owned(),
        namespace: of_metadata("namespace").map(str::to_owned),
        node,
    };
    if object.kind.is_empty() || object.api_version.is_empty() {
        let missing = if object.kind.is_empty() { "kind" } else { "apiVersion" };
        let said = Note {
            file: file.to_owned(),
            line: Some(node.line),
            about: missing.to_owned(),
            message: "is needed: this is no object of Kubernetes".to_owned(),
        };
        ledger.faults.push(said);
    } else if let (true, Some(items)) = (object.kind.ends_with("List"), node.get("items")) {
        match items.list() {
            Some(items) => items.iter().for_each(|item| collect(file, item, objects, ledger)),
            None => ledger.fault(&object, items, "items", "is no list"),
        }
    } else if object.name.is_empty() {
        ledger.fault(&object, node, "metadata.name", "is needed");
    } else {
        objects.push(object);
    }
}

fn combine(objects: &[Object<'_>], reader: &mut Reader, ledger: &mut Ledger) -> String {
    let of = |kinds: &[&str]| -> Vec<Object<'_>> {
        objects.iter().filter(|object| kinds.contains(&&*object.kind)).cloned().collect()
    };
    let mut file = Table::new();
    let (mut shared, mut from) = (Vec::new(), None::<String>);
    for object in of(&["ConfigMap"]) {
        let whole = whole_file(&object, ledger);
        let any = sharing::import(&object, reader, &mut shared, ledger);
        match (whole, &from) {
            (Some(_), Some(other)) => {
                ledger.fault(&object, object.node, "", format!("{other} has a {TIDEGATE_TOML} too"));
            }
            (Some(table), None) => (file, from) = (table, Some(object.title())),
            (None, _) if !any => {
                ledger.note(&object, object.node, "", "has nothing for tidegate, and is left out");
            }
            (None, _) => {}
        }
    }
    tiers::import(&of(&["PriorityClass"]), &mut file, ledger);
    if !shared.is_empty() {
        let tables = shared.iter().map(|shared| Value::Table(shared.table())).collect();
        tiers::table_at(&mut file, "kubernetes").insert("sharing".to_owned(), Value::Array(tables));
    }
    let slices = slices(objects, &shared, &mut file, ledger);
    let known = tenants::Known { tiers: tier_names(&file), slices, namespace: "default" };
    tenants::import(&of(&["Namespace", "ResourceQuota", "LimitRange"]), &known, &mut file, ledger);
    for object in objects {
        let is_pod = pods::KINDS.iter().any(|(kind, _)| *kind == object.kind);
        if !is_pod && !READ.contains(&&*object.kind) {
            let message = "says nothing of tiers, tenants, devices or workers, and is left out";
            ledger.note(object, object.node, "", message);
        }
    }
    text::write(&file)
}

/// The names of a file's tiers, in their order.
fn tier_names(file: &Table) -> Vec<String> {
    let tiers = file.get("tiers").and_then(Value::as_array).into_iter().flatten();
    tiers.filter_map(|tier| tier.get("name")?.as_str().map(str::to_owned)).collect()
}

/// The kinds that are read, beside workloads.
const READ: [&str; 6] = ["ConfigMap", "LimitRange", "Namespace", "Node", "PriorityClass", "ResourceQuota"];

/// The file in a config map, if it has one that can be used.
fn whole_file(object: &Object<'_>, ledger: &mut Ledger) -> Option<Table> {
    let node = object.node.get("data")?.get(TIDEGATE_TOML)?;
    let yaml::Value::Scalar(scalar) = &node.value else {
        ledger.fault(object, node, &format!("data.{TIDEGATE_TOML}"), "is no text");
        return None;
    };
    if let Err(error) = Deployment::from_toml(&scalar.text) {
        for fault in error.faults {
            let line = sharing::place(node.line, scalar, fault.line.unwrap_or(1));
            let place =
                Node { line, value: yaml::Value::Scalar(Scalar { text: String::new(), ..scalar.clone() }) };
            let field = if fault.path.is_empty() { String::new() } else { format!(": {}", fault.path) };
            ledger.fault(object, &place, &format!("data.{TIDEGATE_TOML}{field}"), fault.message);
        }
        return None;
    }
    let document = Document::parse(&scalar.text).ok()?;
    let names: Vec<String> = document.names().map(str::to_owned).collect();
    let mut file = Table::new();
    for name in names {
        match document.value(&name) {
            Ok(value) => file.extend(value.map(|value| (name, value))),
            Err(fault) => {
                ledger.fault(object, node, &format!("data.{TIDEGATE_TOML}: {}", fault.path), fault.message);
            }
        }
    }
    Some(file)
}

/// Puts devices and workers into the file. Returns what a worker on each resource has, by dimension.
fn slices(
    objects: &[Object<'_>],
    shared: &[Sharing],
    file: &mut Table,
    ledger: &mut Ledger,
) -> BTreeMap<String, Vec<(String, u64)>> {
    let is_pod = |object: &&Object<'_>| pods::KINDS.iter().any(|(kind, _)| *kind == object.kind);
    let engines: Vec<_> =
        objects.iter().filter(is_pod).filter_map(|object| pods::read(object, ledger)).collect();
    let nodes: Vec<_> = objects.iter().filter(|object| object.kind == "Node").collect();
    let hosts: Vec<_> = nodes.iter().filter_map(|object| nodes::read(object, shared, ledger)).collect();
    // A file has dimensions: what it says of workers, be it nothing, stands where nodes and pods say no more.
    let has_file = file.contains_key("dimensions");
    let is_said = !hosts.is_empty() || !engines.is_empty() || !shared.is_empty() && !has_file;
    let fleet = if is_said {
        fleet::build(hosts, &engines, shared, &tier_names(file), ledger)
    } else {
        Fleet::default()
    };
    let dimensions = dimensions(&fleet, file);
    let said = said_capacity(file);
    let each = |capacity: &Capacity| -> Vec<(String, u64)> {
        let own = |name: &str| match name {
            "slots" => capacity.slots,
            "kv_blocks" => capacity.kv_blocks,
            _ => None,
        };
        let units = |name: &String| {
            own(name).or_else(|| said.get(name).copied()).unwrap_or(u64::from(name == "slots"))
        };
        dimensions.iter().map(|name| (name.clone(), units(name))).collect()
    };
    if fleet.groups.is_empty() {
        let each = each(&Capacity::default());
        let resources = shared.iter().map(Sharing::advertised).chain([GPU.to_owned()]);
        return resources.map(|resource| (resource, each.clone())).collect();
    }
    write_fleet(&fleet, &each, file, ledger);
    fleet.by_resource.iter().map(|(resource, capacity)| (resource.clone(), each(capacity))).collect()
}

/// The dimensions of the file, which if it has none are those that the manifests know numbers of.
fn dimensions(fleet: &Fleet, file: &mut Table) -> Vec<String> {
    let all_blocks =
        !fleet.groups.is_empty() && fleet.groups.iter().all(|group| group.capacity.kv_blocks.is_some());
    let names = if all_blocks { &["slots", "kv_blocks"][..] } else { &["slots"] };
    let text = |name: &&str| Value::String((*name).to_owned());
    let said =
        file.entry("dimensions".to_owned()).or_insert_with(|| Value::Array(names.iter().map(text).collect()));
    let names = said.as_array().into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// What the file's first workers have.
fn said_capacity(file: &Table) -> BTreeMap<String, u64> {
    let first = file.get("workers").and_then(Value::as_array).and_then(|workers| workers.first());
    let capacity = first.and_then(|worker| worker.get("capacity")).and_then(Value::as_table);
    let units =
        |(name, value): (&String, &Value)| Some((name.clone(), u64::try_from(value.as_integer()?).ok()?));
    capacity.into_iter().flatten().filter_map(units).collect()
}

fn write_fleet(
    fleet: &Fleet,
    each: &impl Fn(&Capacity) -> Vec<(String, u64)>,
    file: &mut Table,
    ledger: &mut Ledger,
) {
    let text = |text: &str| Value::String(text.to_owned());
    let mut pools: Vec<Value> = Vec::new();
    let worker = |group: &Group| {
        let units = |units: u64| Value::Integer(i64::try_from(units).unwrap_or(i64::MAX));
        let capacity = each(&group.capacity).into_iter().map(|(name, number)| (name, units(number)));
        let mut table = Table::from_iter([
            ("count".to_owned(), units(group.count)),
            ("pool".to_owned(), text(&group.pool)),
            ("capacity".to_owned(), Value::Table(capacity.collect())),
            ("devices".to_owned(), Value::Array(group.devices.iter().map(|name| text(name)).collect())),
        ]);
        if group.kind != WorkerKind::Dedicated {
            table.insert("kind".to_owned(), text(group.kind.as_str()));
        }
        table.extend(group.most_urgent.as_deref().map(|tier| ("most_urgent".to_owned(), text(tier))));
        Value::Table(table)
    };
    let workers: Vec<Value> = fleet.groups.iter().map(worker).collect();
    for group in &fleet.groups {
        if !pools.iter().any(|pool| pool.as_str() == Some(&group.pool)) {
            pools.push(text(&group.pool));
        }
    }
    let known: BTreeMap<String, Value> = named_tables(file.get("devices"));
    let device = |name: &String| {
        // A limit that the file knows of holds.
        known
            .get(name)
            .cloned()
            .unwrap_or_else(|| Value::Table(Table::from_iter([("name".to_owned(), text(name))])))
    };
    let parts =
        [("pools", pools), ("devices", fleet.devices.iter().map(device).collect()), ("workers", workers)];
    for (name, value) in parts {
        let value = Value::Array(value);
        if let Some(said) = file.insert(name.to_owned(), value.clone())
            && said != value
        {
            ledger.say(format!("{name}: {TIDEGATE_TOML} has others than nodes and pods, which are taken"));
        }
    }
}

fn named_tables(value: Option<&Value>) -> BTreeMap<String, Value> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| Some((item.get("name")?.as_str()?.to_owned(), item.clone()))).collect()
}
