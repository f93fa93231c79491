//! The NVIDIA device plugin's config: how many replicas of a device pods are offered, and how they are told apart.
//!
//! A config stands as text, YAML or JSON, under any name in a config map; one map may have several, of which nodes
//! name theirs by a label. All else in it is for the plugin alone.

use super::ledger::{Ledger, Object, View};
use super::names::{GPU, REPLICAS, Sharing, Strategy};
use super::yaml::{Node, Reader, Scalar, Value};

/// More replicas than this are seldom worth it.
const MANY: i64 = tidegate::Sharing::MOST_SENSIBLE as i64;

/// The sharing of all configs in a config map. Says whether the map had any config of the plugin.
pub(super) fn import(
    object: &Object<'_>,
    reader: &mut Reader,
    found: &mut Vec<Sharing>,
    ledger: &mut Ledger,
) -> bool {
    let Some(Value::Map(data)) = object.node.get("data").map(|data| &data.value) else { return false };
    let mut any = false;
    for (key, node) in data {
        let Value::Scalar(scalar) = &node.value else { continue };
        if key == super::TIDEGATE_TOML || !looks_like_config(&scalar.text) {
            continue;
        }
        any = true;
        let mut parsed = match reader.documents(&scalar.text) {
            Ok(parsed) => parsed,
            Err(fault) => {
                let place = Node { line: place(node.line, scalar, fault.line), value: node.value.clone() };
                ledger.fault(object, &place, &format!("data.{key}"), fault.message);
                continue;
            }
        };
        for root in &mut parsed {
            relocate(root, node.line, scalar);
            config(object, key, root, found, ledger);
        }
    }
    any
}

/// Whether a text is meant to be a config of the plugin, be it a broken one.
fn looks_like_config(text: &str) -> bool {
    ["sharing", "timeSlicing", "migStrategy"].iter().any(|word| text.contains(word))
}

/// The line in the manifest of a line of a text in it, whose key is on `line`.
pub(super) fn place(line: usize, scalar: &Scalar, inner: usize) -> usize {
    if scalar.block { line + inner } else { line }
}

fn relocate(node: &mut Node, line: usize, scalar: &Scalar) {
    node.line = place(line, scalar, node.line);
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| relocate(item, line, scalar)),
        Value::Map(items) => items.iter_mut().for_each(|(_, item)| relocate(item, line, scalar)),
        Value::Scalar(_) => {}
    }
}

fn config(object: &Object<'_>, key: &str, root: &Node, found: &mut Vec<Sharing>, ledger: &mut Ledger) {
    // What is parsed lives no longer than this call; what is said of it has its own copies.
    let object = Object { node: root, ..object.clone() };
    let mut view = View::new(&object, &format!("data.{key}"), root, ledger);
    view.pass(&["version"]);
    if let Some(mut sharing) = view.view("sharing", ledger) {
        let (mps, slicing) = (sharing.view("mps", ledger), sharing.view("timeSlicing", ledger));
        if let (Some(mps), Some(_)) = (&mps, &slicing) {
            sharing.fault(mps.node, "mps", "stands beside timeSlicing; a node has one or the other", ledger);
        }
        for (strategy, view) in [(Strategy::Mps, mps), (Strategy::TimeSlicing, slicing)] {
            if let Some(view) = view {
                resources(&object, key, strategy, view, found, ledger);
            }
        }
        sharing.end(ledger);
    }
    for (name, node) in view.drain() {
        view.note(node, name, "is for the device plugin alone, and is left out", ledger);
    }
}

fn resources(
    object: &Object<'_>,
    key: &str,
    strategy: Strategy,
    mut view: View<'_>,
    found: &mut Vec<Sharing>,
    ledger: &mut Ledger,
) {
    let rename_by_default = view.flag("renameByDefault", ledger).unwrap_or(false);
    let fail = view.flag("failRequestsGreaterThanOne", ledger).unwrap_or(false);
    let list = view.list("resources", ledger);
    if list.is_empty() {
        view.fault(view.node, "resources", "has none", ledger);
    }
    for (index, node) in list.iter().enumerate() {
        let path = view.path(&format!("resources[{index}]"));
        let mut item = View::new(object, &path, node, ledger);
        let name = item.text("name", ledger).map(whole_name);
        let rename = item.text("rename", ledger).map(whole_name);
        let replicas = item.whole("replicas", ledger);
        if let Some(devices) = item.take("devices")
            && devices.text() != Some("all")
        {
            item.note(
                devices,
                "devices",
                "is read as `all`: which cards of a node are shared is not kept",
                ledger,
            );
        }
        if name.is_none() && node.get("name").is_none() {
            item.fault(node, "name", "is needed", ledger);
        }
        match replicas {
            None if node.get("replicas").is_none() => item.fault(node, "replicas", "is needed", ledger),
            Some(number) if !REPLICAS.contains(&number) => {
                let message = format!("{number} is not from {} to {}", REPLICAS.start(), REPLICAS.end());
                item.fault(node.get("replicas").unwrap_or(node), "replicas", message, ledger);
            }
            Some(number) if number > MANY => {
                let message =
                    format!("{number} engines on one card: with more than {MANY} each is small and slow");
                item.note(node.get("replicas").unwrap_or(node), "replicas", message, ledger);
            }
            _ => {}
        }
        item.end(ledger);
        let (Some(resource), Some(replicas)) = (name, replicas.and_then(|number| u32::try_from(number).ok()))
        else {
            continue;
        };
        found.push(Sharing {
            config_map: object.name.clone(),
            namespace: object.namespace.clone(),
            config: key.to_owned(),
            strategy,
            resource,
            rename,
            rename_by_default,
            fail_requests_greater_than_one: fail,
            replicas,
        });
    }
    view.end(ledger);
}

/// A resource by its whole name: the plugin takes it without its domain too.
fn whole_name(name: &str) -> String {
    if name.contains('/') {
        name.to_owned()
    } else {
        format!("{}{name}", GPU.strip_suffix("gpu").unwrap_or_default())
    }
}
