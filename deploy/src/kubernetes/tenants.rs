//! Namespaces as tenants: what a quota grants of GPUs is what a tenant's requests may use at once, and a class that a
//! quota gives no pods of is one that the tenant may not use. Processors, memory and objects are no limits of requests.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::ledger::{Ledger, NO_COUNTERPART, Object, View};
use super::tiers::table_at;
use super::yaml::Node;

/// What the file is to know.
pub(super) struct Known<'k> {
    /// The tiers, the most urgent first.
    pub(super) tiers: Vec<String>,
    /// What a worker has by the resource that pods ask for, in each of these dimensions.
    pub(super) slices: BTreeMap<String, Vec<(String, u64)>>,
    /// Says where a namespace is none of an object's own.
    pub(super) namespace: &'k str,
}

/// Puts the namespaces and their limits into the file, with what it already says of them.
pub(super) fn import(objects: &[Object<'_>], known: &Known<'_>, file: &mut Table, ledger: &mut Ledger) {
    let mut found: BTreeMap<String, Table> = BTreeMap::new();
    for object in objects {
        let name = match &*object.kind {
            "Namespace" => object.name.clone(),
            _ => object.namespace.clone().unwrap_or_else(|| known.namespace.to_owned()),
        };
        let tenant = found.entry(name).or_default();
        match &*object.kind {
            "ResourceQuota" => quota(object, known, tenant, ledger),
            "LimitRange" => range(object, known, tenant, ledger),
            _ => {
                let mut view = View::new(object, "", object.node, ledger);
                view.pass(&["apiVersion", "kind", "metadata", "spec"]);
                view.end(ledger);
            }
        }
    }
    merge(found, file, ledger);
}

/// The limits of manifests over what the file says.
fn merge(found: BTreeMap<String, Table>, file: &mut Table, ledger: &mut Ledger) {
    if found.is_empty() {
        return;
    }
    let mut tenants: Vec<Table> = match file.remove("tenants") {
        Some(Value::Array(items)) => items.into_iter().filter_map(|item| item.as_table().cloned()).collect(),
        Some(Value::Table(by_name)) => by_name
            .into_iter()
            .filter_map(|(name, item)| {
                let mut tenant = item.as_table()?.clone();
                tenant.insert("name".to_owned(), Value::String(name));
                Some(tenant)
            })
            .collect(),
        _ => Vec::new(),
    };
    for (name, limits) in found {
        let known =
            tenants.iter_mut().find(|tenant| tenant.get("name").and_then(Value::as_str) == Some(&name));
        let Some(tenant) = known else {
            let mut tenant = Table::from_iter([("name".to_owned(), Value::String(name))]);
            tenant.extend(limits);
            tenants.push(tenant);
            continue;
        };
        for (limit, value) in limits {
            if let Some(said) = tenant.get(&limit)
                && *said != value
            {
                ledger.say(format!(
                    "tenants: {name}: {limit} is {said}, and {value} by its quotas, which is taken"
                ));
            }
            tenant.insert(limit, value);
        }
    }
    file.insert("tenants".to_owned(), Value::Array(tenants.into_iter().map(Value::Table).collect()));
}

fn quota(object: &Object<'_>, known: &Known<'_>, tenant: &mut Table, ledger: &mut Ledger) {
    let mut view = View::new(object, "", object.node, ledger);
    view.pass(&["apiVersion", "kind", "metadata", "status"]);
    let Some(mut spec) = view.view("spec", ledger) else { return view.end(ledger) };
    let classes = scope(&mut spec, ledger);
    let mut hard = spec.view("hard", ledger);
    for (name, node) in hard.as_mut().map(View::drain).unwrap_or_default() {
        let field = format!("spec.hard.{name}");
        let Some(number) = node.quantity() else {
            // What is told of is no number of GPUs or pods, as `memory: 1.5`, and has no counterpart either.
            if is_ours(name, known) {
                ledger.fault(object, node, &field, "is no whole number from 0");
            } else {
                ledger.note(object, node, &field, NO_COUNTERPART);
            }
            continue;
        };
        match &classes {
            Scope::None if name == "pods" || name == "count/pods" => match number {
                0 => none_at_all(tenant),
                _ => ledger.note(object, node, &field, "pods are no requests; the number is left out"),
            },
            Scope::None => {
                match name.strip_prefix("requests.").and_then(|name| known.slices.get_key_value(name)) {
                    Some(_) if number == 0 => none_at_all(tenant),
                    Some((_, slice)) => in_use(tenant, slice, number),
                    None => ledger.note(object, node, &field, NO_COUNTERPART),
                }
            }
            Scope::Classes(classes) if number == 0 && is_ours(name, known) => {
                forbid(object, classes, known, tenant, ledger);
            }
            _ => ledger.note(
                object,
                node,
                &field,
                "a limit within a scope has no counterpart, and is left out",
            ),
        }
    }
    spec.end(ledger);
    view.end(ledger);
}

fn is_ours(name: &str, known: &Known<'_>) -> bool {
    let resource = name.strip_prefix("requests.").unwrap_or_default();
    matches!(name, "pods" | "count/pods") || known.slices.contains_key(resource)
}

/// To whose pods a quota applies.
enum Scope {
    None,
    Classes(Vec<String>),
    Other,
}

fn scope(spec: &mut View<'_>, ledger: &mut Ledger) -> Scope {
    let mut scope = Scope::None;
    let plain = spec.list("scopes", ledger);
    if let Some(node) = plain.first() {
        spec.note(node, "scopes", NO_COUNTERPART, ledger);
        scope = Scope::Other;
    }
    let Some(mut selector) = spec.view("scopeSelector", ledger) else { return scope };
    for node in selector.list("matchExpressions", ledger) {
        let word = |name| node.get(name).and_then(Node::text).unwrap_or_default();
        let values = node.get("values").and_then(Node::list).unwrap_or_default();
        if (word("scopeName"), word("operator")) == ("PriorityClass", "In") && matches!(scope, Scope::None) {
            scope = Scope::Classes(values.iter().filter_map(Node::text).map(str::to_owned).collect());
        } else {
            selector.note(node, "matchExpressions", NO_COUNTERPART, ledger);
            scope = Scope::Other;
        }
    }
    selector.end(ledger);
    scope
}

/// A tenant that may run nothing: in use at once, 0 would be no limit.
fn none_at_all(tenant: &mut Table) {
    tenant.insert("max_running".to_owned(), Value::Integer(0));
}

/// So many slices are the units of as many workers. The least of several quotas holds.
fn in_use(tenant: &mut Table, slice: &[(String, u64)], number: u64) {
    let limits = table_at(tenant, "max_in_use");
    for (dimension, each) in slice {
        let units = i64::try_from(each.saturating_mul(number).min(tidegate::MAX_UNITS)).unwrap_or(i64::MAX);
        let limit = limits.entry(dimension.clone()).or_insert(Value::Integer(units));
        if limit.as_integer().is_none_or(|least| units < least) {
            *limit = Value::Integer(units);
        }
    }
}

/// Of classes that a tenant may not use, those above all others are what a file can say.
fn forbid(
    object: &Object<'_>,
    classes: &[String],
    known: &Known<'_>,
    tenant: &mut Table,
    ledger: &mut Ledger,
) {
    let forbidden = known.tiers.iter().take_while(|tier| classes.contains(tier)).count();
    let others = classes.iter().filter(|class| !known.tiers[..forbidden].contains(class));
    let others: Vec<&str> = others.map(String::as_str).collect();
    if !others.is_empty() {
        let message = format!("{}: a tenant may use all tiers below its most urgent one", others.join(", "));
        ledger.note(object, object.node, "spec.scopeSelector", message);
    }
    match known.tiers.get(forbidden) {
        None => none_at_all(tenant),
        Some(_) if forbidden == 0 => {}
        Some(tier) => {
            tenant.insert("most_urgent".to_owned(), Value::String(tier.clone()));
        }
    }
}

fn range(object: &Object<'_>, known: &Known<'_>, tenant: &mut Table, ledger: &mut Ledger) {
    let mut view = View::new(object, "", object.node, ledger);
    view.pass(&["apiVersion", "kind", "metadata"]);
    let Some(mut spec) = view.view("spec", ledger) else { return view.end(ledger) };
    for (index, node) in spec.list("limits", ledger).iter().enumerate() {
        let path = format!("spec.limits[{index}]");
        let mut limit = View::new(object, &path, node, ledger);
        let of_pods = matches!(limit.text("type", ledger), Some("Pod" | "Container"));
        for (bound, node) in limit.drain() {
            let items = View::new(object, &format!("{path}.{bound}"), node, ledger).drain();
            for (name, node) in items {
                let field = format!("{path}.{bound}.{name}");
                // A request runs on one worker, which is one slice: it takes no less and no more.
                match (bound, node.quantity()) {
                    _ if !of_pods || !known.slices.contains_key(name) => {
                        ledger.note(object, node, &field, NO_COUNTERPART);
                    }
                    ("max", Some(0)) => none_at_all(tenant),
                    ("max", Some(_)) | ("min", Some(0 | 1)) | ("default" | "defaultRequest", Some(1)) => {}
                    ("max" | "min" | "default" | "defaultRequest", None) => {
                        ledger.fault(object, node, &field, "is no whole number from 0");
                    }
                    _ => {
                        ledger.note(
                            object,
                            node,
                            &field,
                            "a request runs on one worker, and takes one slice",
                        );
                    }
                }
            }
        }
    }
    spec.end(ledger);
    view.end(ledger);
}
