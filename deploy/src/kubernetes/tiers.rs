//! Priority classes as tiers: the value is the order, the preemption policy is whom a tier may stop, and the default
//! class is the tier of requests that name none. What a tier is guaranteed no priority class can say.

use toml::{Table, Value};

use super::ledger::{Ledger, Object, View};
use super::names::MAX_PRIORITY;

struct Class<'n> {
    object: &'n Object<'n>,
    value: i32,
    preempts: bool,
}

/// Puts the tiers of the classes into the file, with what it already says of each.
pub(super) fn import(objects: &[Object<'_>], file: &mut Table, ledger: &mut Ledger) {
    let mut classes = Vec::new();
    let mut default: Option<(String, i32)> = None;
    for object in objects {
        let Some((class, is_default)) = read(object, ledger) else { continue };
        if is_default {
            let known = default.as_ref().map(|(name, _)| name.clone());
            if let Some(known) = known {
                let message = format!("{known} is the default too; as in a cluster, the smaller value is");
                ledger.note(object, object.node, "globalDefault", message);
            }
            if default.as_ref().is_none_or(|(_, value)| class.value < *value) {
                default = Some((object.name.clone(), class.value));
            }
        }
        classes.push(class);
    }
    classes.sort_by(|a, b| b.value.cmp(&a.value).then_with(|| a.object.name.cmp(&b.object.name)));
    for pair in classes.windows(2) {
        if let [above, below] = pair {
            if above.object.name == below.object.name {
                ledger.fault(below.object, below.object.node, "", "is there twice");
            } else if above.value == below.value {
                let message = format!("is as urgent as {}; here it comes behind it", above.object.name);
                ledger.note(below.object, below.object.node, "value", message);
            }
        }
    }
    let Some(first) = classes.first() else { return keep_or_one(file, ledger) };
    if classes.len() > tidegate::MAX_TIERS {
        let message = format!("{} classes, and at most {} tiers", classes.len(), tidegate::MAX_TIERS);
        ledger.fault(first.object, first.object.node, "", message);
        return;
    }
    write(&classes, default, file, ledger);
}

fn read<'n>(object: &'n Object<'n>, ledger: &mut Ledger) -> Option<(Class<'n>, bool)> {
    let mut view = View::new(object, "", object.node, ledger);
    view.pass(&["apiVersion", "kind", "metadata", "description"]);
    if object.name.starts_with("system-") {
        ledger.note(object, object.node, "", "is the system's own, and no tier");
        return None;
    }
    let value = view.whole("value", ledger);
    let default = view.flag("globalDefault", ledger).unwrap_or(false);
    let policy = view.text("preemptionPolicy", ledger);
    let preempts = match policy {
        None | Some("PreemptLowerPriority") => true,
        Some("Never") => false,
        Some(other) => {
            let message = format!("{other:?} is none of PreemptLowerPriority, Never");
            ledger.fault(object, object.node.get("preemptionPolicy")?, "preemptionPolicy", message);
            true
        }
    };
    view.end(ledger);
    let Some(value) = value else {
        if object.node.get("value").is_none() {
            ledger.fault(object, object.node, "value", "is needed");
        }
        return None;
    };
    match i32::try_from(value) {
        Ok(value) if value <= MAX_PRIORITY => Some((Class { object, value, preempts }, default)),
        _ => {
            let message = format!("{value} is not from {} to {MAX_PRIORITY}", i32::MIN);
            ledger.fault(object, object.node.get("value")?, "value", message);
            None
        }
    }
}

/// Without any class: what the file has, or one tier for all.
fn keep_or_one(file: &mut Table, ledger: &mut Ledger) {
    if !file.contains_key("tiers") {
        let tier = Table::from_iter([("name".to_owned(), Value::String("default".to_owned()))]);
        file.insert("tiers".to_owned(), Value::Array(vec![Value::Table(tier)]));
        ledger.say("no PriorityClass: all requests are of one tier, \"default\"");
    }
}

fn write(classes: &[Class<'_>], default: Option<(String, i32)>, file: &mut Table, ledger: &mut Ledger) {
    let mut known: Vec<Table> = Vec::new();
    if let Some(Value::Array(tiers)) = file.remove("tiers") {
        known.extend(tiers.into_iter().filter_map(|tier| tier.as_table().cloned()));
    }
    let name_of = |tier: &Table| tier.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (mut tiers, mut priorities) = (Vec::new(), Table::new());
    let before: Vec<String> = known.iter().map(name_of).collect();
    for (index, class) in classes.iter().enumerate() {
        let name = class.object.name.clone();
        let said = known.iter().position(|tier| name_of(tier) == name).map(|place| known.remove(place));
        let mut tier = said.unwrap_or_default();
        tier.insert("name".to_owned(), Value::String(name.clone()));
        preemption(class, index, &mut tier, ledger);
        tiers.push(tier);
        priorities.insert(name, Value::Integer(class.value.into()));
    }
    for tier in &known {
        let message = format!("tiers: {:?} has no PriorityClass, and is left out", name_of(tier));
        ledger.say(message);
    }
    let order: Vec<String> = tiers.iter().map(name_of).collect();
    let common: Vec<&String> = before.iter().filter(|name| order.contains(name)).collect();
    if !common.is_empty() && order.iter().filter(|name| before.contains(name)).collect::<Vec<_>>() != common {
        ledger.say("tiers: stand in another order than the values of their PriorityClasses, which is taken");
    }
    if !tiers.iter().any(|tier| tier.keys().any(|name| name.starts_with("reserve_"))) {
        let names = order.join(", ");
        ledger.say(format!(
            "tiers {names}: a PriorityClass guarantees nothing; reserve_ppm in tidegate.toml does"
        ));
    }
    file.insert("tiers".to_owned(), Value::Array(tiers.into_iter().map(Value::Table).collect()));
    let names = table_at(file, "kubernetes");
    names.insert("priorities".to_owned(), Value::Table(priorities));
    names.remove("global_default");
    let Some((default, _)) = default else { return };
    names.insert("global_default".to_owned(), Value::String(default.clone()));
    // The one program that has a word for it, unless it says something itself.
    let own = table_at(file, "vllm").entry("default_tier".to_owned());
    let said = own.or_insert_with(|| Value::String(default.clone()));
    if said.as_str() != Some(&default) {
        ledger.say(format!("vllm.default_tier: is {said}, and the PriorityClass {default} is globalDefault"));
    }
}

/// What a class says of preemption, where the tier says another thing.
fn preemption(class: &Class<'_>, index: usize, tier: &mut Table, ledger: &mut Ledger) {
    let said = tier.get("preemption").and_then(Value::as_str).unwrap_or("lower-tier").to_owned();
    let borrowing = tier.get("preempt_while_borrowing").and_then(Value::as_str).map(str::to_owned);
    // What `Config` has where the tier says nothing.
    let borrows = borrowing.as_deref().unwrap_or(if index == 0 { "lower-tier" } else { "never" }) != "never";
    let may = said != "never" || borrows;
    if may == class.preempts {
        return;
    }
    if tier.contains_key("preemption") || borrowing.is_some() {
        let message = "tidegate.toml says another thing of this tier; the class is taken";
        ledger.note(class.object, class.object.node, "preemptionPolicy", message);
    }
    let word = if class.preempts { "lower-tier" } else { "never" };
    tier.insert("preemption".to_owned(), Value::String(word.to_owned()));
    tier.remove("preempt_while_borrowing");
    if index == 0 && !class.preempts {
        tier.insert("preempt_while_borrowing".to_owned(), Value::String(word.to_owned()));
    }
}

/// The table of this name, which is made if there is none.
pub(super) fn table_at<'t>(file: &'t mut Table, name: &str) -> &'t mut Table {
    let value = file.entry(name.to_owned()).or_insert_with(|| Value::Table(Table::new()));
    if !value.is_table() {
        *value = Value::Table(Table::new()); // what it was is a fault, which was told
    }
    value.as_table_mut().expect("it was made one")
}
