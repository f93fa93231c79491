//! From a file to manifests: priority classes, the device plugin's config, quotas, and a config map with the file.
//!
//! Whatever Kubernetes has no word for is in that config map alone. What it has a word for, but cannot say of this
//! file, is a note.

use std::collections::BTreeMap;

use tidegate::{ConfigError, ConfigFault, Resources};

use super::TIDEGATE_TOML;
use super::names::{GPU, MAX_PRIORITY, Sharing, Strategy};
use super::text::quoted;
use crate::deployment::{Deployment, Tenant};
use crate::document::{Document, bare};
use crate::fields::fault;

/// Manifests that say what a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// All of them, as YAML.
    pub yaml: String,
    /// What they do not say, with path and line.
    pub notes: Vec<ConfigFault>,
}

/// The name of what has none of its own.
const OWN_NAME: &str = "tidegate";

/// Between the values of tiers that have none in the file. Chosen arbitrarily, with room in between.
const STEP: i32 = 1_000;

/// The most bytes of a config map.
const MAX_CONFIG_MAP: usize = 1 << 20;

/// Writes manifests for a file.
///
/// # Errors
/// [`ConfigError`]: those of [`Deployment::from_toml`]; a tier whose name no priority class can have.
pub fn export(text: &str) -> Result<Exported, ConfigError> {
    let file = Deployment::from_toml(text)?;
    let document = Document::parse(text)?;
    let (mut faults, mut notes) = (Vec::new(), Vec::new());
    let mut objects = classes(&file, &document, &mut faults);
    let sharing = sharing(&file, &mut notes);
    objects.extend(plugin_configs(&sharing));
    objects.push(config_map(text, &file, &mut notes));
    for tenant in &file.tenants {
        objects.extend(quotas(tenant, &file, &sharing, &mut notes));
    }
    for said in faults.iter_mut().chain(&mut notes) {
        said.line = document.line(&said.path);
    }
    if !faults.is_empty() {
        return Err(ConfigError { faults });
    }
    let mut yaml = String::new();
    for object in objects {
        yaml.push_str("---\n");
        object.write(0, &mut yaml);
    }
    Ok(Exported { yaml, notes })
}

/// A value of a manifest.
enum Yaml {
    Text(String),
    Whole(i64),
    Flag(bool),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

fn text(text: impl Into<String>) -> Yaml {
    Yaml::Text(text.into())
}

fn map<const N: usize>(items: [(&str, Yaml); N]) -> Yaml {
    Yaml::Map(items.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn object(
    api_version: &str,
    kind: &str,
    namespace: Option<&str>,
    name: &str,
    rest: Vec<(&str, Yaml)>,
) -> Yaml {
    let mut metadata = vec![("name".to_owned(), text(name))];
    metadata.extend(namespace.map(|namespace| ("namespace".to_owned(), text(namespace))));
    let head = [("apiVersion", text(api_version)), ("kind", text(kind)), ("metadata", Yaml::Map(metadata))];
    Yaml::Map(head.into_iter().chain(rest).map(|(name, value)| (name.to_owned(), value)).collect())
}

impl Yaml {
    fn write(&self, indent: usize, out: &mut String) {
        let pad = " ".repeat(indent);
        match self {
            Self::Map(items) if !items.is_empty() => {
                for (name, value) in items {
                    out.push_str(&format!("{pad}{}:", plain(name)));
                    value.write_value(indent, out);
                }
            }
            Self::List(items) if !items.is_empty() => {
                for item in items {
                    let mut inner = String::new();
                    item.write(indent + 2, &mut inner);
                    out.push_str(&format!("{pad}- {}", inner.trim_start()));
                }
            }
            other => out.push_str(&format!("{pad}{}\n", other.scalar())),
        }
    }

    /// Behind a key.
    fn write_value(&self, indent: usize, out: &mut String) {
        match self {
            Self::Map(items) if !items.is_empty() => {
                out.push('\n');
                self.write(indent + 2, out);
            }
            Self::List(items) if !items.is_empty() => {
                out.push('\n');
                self.write(indent, out);
            }
            Self::Text(text) if is_block(text) => {
                out.push_str(" |\n");
                for line in text.lines() {
                    let pad = if line.is_empty() { 0 } else { indent + 2 };
                    out.push_str(&format!("{}{line}\n", " ".repeat(pad)));
                }
            }
            other => out.push_str(&format!(" {}\n", other.scalar())),
        }
    }

    fn scalar(&self) -> String {
        match self {
            Self::Text(text) => plain(text),
            Self::Whole(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(_) => "[]".to_owned(),
            Self::Map(_) => "{}".to_owned(),
        }
    }
}

/// A text on one line, in quotes where it could be read as something else.
fn plain(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    // Words that mean a flag or nothing.
    let is_word =
        ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&&*name.to_ascii_lowercase());
    if begins && !is_word && name.chars().all(plain) { name.to_owned() } else { quoted(name) }
}

/// Whether a text reads the same when each of its lines stands on a line: it ends with one break, begins with no
/// space, and has no characters that a reader of YAML would change.
fn is_block(text: &str) -> bool {
    let odd =
        |c: char| c.is_control() && c != '\n' || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    text.ends_with('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with(['\n', ' '])
        && !text.chars().any(odd)
}

/// Whether a name is one of a namespace (`most` 63, no dots) or of an object without one.
fn is_dns(name: &str, most: usize, dots: bool) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label = |part: &str| {
        part.starts_with(alphanumeric)
            && part.ends_with(alphanumeric)
            && part.chars().all(|c| alphanumeric(c) || c == '-')
    };
    name.len() <= most && if dots { name.split('.').all(label) } else { label(name) }
}

fn classes(file: &Deployment, document: &Document<'_>, faults: &mut Vec<ConfigFault>) -> Vec<Yaml> {
    let tiers = file.config.tiers();
    let said = document.value("tiers").ok().flatten();
    let word = |index: usize, field: &str| {
        said.as_ref().and_then(|tiers| tiers.get(index)?.get(field)?.as_str()).map(str::to_owned)
    };
    let names = &file.kubernetes;
    let mut found = Vec::new();
    for (index, tier) in tiers.iter().enumerate() {
        let name = tier.name();
        if !is_dns(name, 253, true) || name.starts_with("system-") {
            let message = "is no name of a PriorityClass: small letters, digits, - and dots, and not system-";
            faults.push(fault(format!("tiers[{index}].name"), message));
        }
        let below = i32::try_from(tiers.len() - index).unwrap_or(i32::MAX);
        let value = match names.priorities.get(name) {
            Some(&value) => value,
            None if names.priorities.is_empty() => below.saturating_mul(STEP).min(MAX_PRIORITY),
            None => {
                faults.push(fault(format!("kubernetes.priorities.{}", bare(name)), "is missing"));
                0
            }
        };
        let borrows = word(index, "preempt_while_borrowing");
        let borrows =
            borrows.as_deref().unwrap_or(if index == 0 { "lower-tier" } else { "never" }) != "never";
        let may = borrows || word(index, "preemption").as_deref() != Some("never");
        let policy = if may { "PreemptLowerPriority" } else { "Never" };
        let default = names.global_default.as_deref() == Some(name);
        let rest = vec![
            ("value", Yaml::Whole(value.into())),
            ("preemptionPolicy", text(policy)),
            ("globalDefault", Yaml::Flag(default)),
            ("description", text(format!("tier {index} of tidegate"))),
        ];
        found.push(object("scheduling.k8s.io/v1", "PriorityClass", None, name, rest));
    }
    found
}

/// The sharing that the file names, or the one by which its workers stand on its devices.
fn sharing(file: &Deployment, notes: &mut Vec<ConfigFault>) -> Vec<Sharing> {
    let mut on = vec![0u32; file.devices.len()];
    for group in &file.workers {
        for &device in &group.devices {
            on[device] = on[device].saturating_add(group.count);
        }
    }
    let (least, most) = (on.iter().min().copied().unwrap_or(0), on.iter().max().copied().unwrap_or(0));
    let named = &file.kubernetes.sharing;
    for (index, shared) in named.iter().enumerate() {
        if most > 0 && !on.contains(&shared.replicas) {
            let message = format!("no device has {} workers; they have {least} to {most}", shared.replicas);
            notes.push(fault(format!("kubernetes.sharing[{index}].replicas"), message));
        }
    }
    if !named.is_empty() || most < 2 {
        return named.clone();
    }
    if least != most || most > 48 {
        let message =
            format!("{least} to {most} workers on a device: no config of the device plugin says so");
        notes.push(fault("workers", message));
        return Vec::new();
    }
    let message =
        format!("{most} on each device, which is written as MPS; [[kubernetes.sharing]] says otherwise");
    notes.push(fault("workers", message));
    vec![Sharing {
        config_map: "nvidia-device-plugin".to_owned(),
        namespace: None,
        config: "config.yaml".to_owned(),
        strategy: Strategy::Mps,
        resource: GPU.to_owned(),
        rename: None,
        rename_by_default: false,
        fail_requests_greater_than_one: true,
        replicas: most,
    }]
}

/// The configs of one map by their names, and what each shares.
type Configs<'s> = BTreeMap<&'s str, Vec<&'s Sharing>>;

/// A config map for each that is named, with its configs.
fn plugin_configs(sharing: &[Sharing]) -> Vec<Yaml> {
    let mut maps: BTreeMap<_, Configs<'_>> = BTreeMap::new();
    for shared in sharing {
        let place = (shared.namespace.as_deref(), &*shared.config_map);
        maps.entry(place).or_default().entry(&*shared.config).or_default().push(shared);
    }
    let config = |found: &[&Sharing]| {
        let resource = |shared: &&Sharing| {
            let mut items = vec![("name".to_owned(), text(&shared.resource))];
            items.extend(shared.rename.iter().map(|name| ("rename".to_owned(), text(name))));
            items.push(("replicas".to_owned(), Yaml::Whole(shared.replicas.into())));
            Yaml::Map(items)
        };
        // All of one config share in one way: those that differ cannot be together.
        let strategy = map([
            ("renameByDefault", Yaml::Flag(found[0].rename_by_default)),
            ("failRequestsGreaterThanOne", Yaml::Flag(found[0].fail_requests_greater_than_one)),
            ("resources", Yaml::List(found.iter().map(resource).collect())),
        ]);
        let mut inner = String::new();
        map([("version", text("v1")), ("sharing", map([(found[0].strategy.word(), strategy)]))])
            .write(0, &mut inner);
        text(inner)
    };
    let write = |((namespace, name), configs): ((Option<&str>, &str), Configs<'_>)| {
        let data = configs.into_iter().map(|(name, found)| (name.to_owned(), config(&found))).collect();
        object("v1", "ConfigMap", namespace, name, vec![("data", Yaml::Map(data))])
    };
    maps.into_iter().map(write).collect()
}

fn config_map(whole: &str, file: &Deployment, notes: &mut Vec<ConfigFault>) -> Yaml {
    if whole.len() > MAX_CONFIG_MAP {
        let message = format!("{} bytes, and a ConfigMap has at most {MAX_CONFIG_MAP}", whole.len());
        notes.push(fault("", message));
    }
    let namespace = file.kubernetes.namespace.as_deref().unwrap_or("default");
    let data = map([(TIDEGATE_TOML, text(whole))]);
    object("v1", "ConfigMap", Some(namespace), OWN_NAME, vec![("data", data)])
}

/// What a namespace of the tenant's name may have.
fn quotas(
    tenant: &Tenant,
    file: &Deployment,
    sharing: &[Sharing],
    notes: &mut Vec<ConfigFault>,
) -> Vec<Yaml> {
    let path = format!("tenants.{}", bare(&tenant.name));
    let policy = &tenant.policy;
    let (most_urgent, in_use) = (usize::from(policy.most_urgent.get()), policy.max_in_use);
    let mut hard = Vec::new();
    if in_use != Resources::ZERO {
        match slices(in_use, file) {
            Some(number) => {
                let resource = sharing.first().map_or_else(|| GPU.to_owned(), Sharing::advertised);
                hard.push((format!("requests.{resource}"), text(number.to_string())));
            }
            None => {
                notes
                    .push(fault(format!("{path}.max_in_use"), "is no whole number of workers, and no quota"));
            }
        }
    }
    if policy.max_running == Some(0) {
        hard.push(("pods".to_owned(), text("0")));
    }
    if hard.is_empty() && most_urgent == 0 {
        return Vec::new();
    }
    if !is_dns(&tenant.name, 63, false) {
        let message =
            format!("{:?} is no name of a namespace: its quotas are in {TIDEGATE_TOML} alone", tenant.name);
        notes.push(fault(path, message));
        return Vec::new();
    }
    let quota =
        |name: &str, spec| object("v1", "ResourceQuota", Some(&tenant.name), name, vec![("spec", spec)]);
    let mut found = Vec::new();
    if !hard.is_empty() {
        found.push(quota(OWN_NAME, map([("hard", Yaml::Map(hard))])));
    }
    if most_urgent > 0 {
        let above = file.config.tiers()[..most_urgent].iter().map(|tier| text(tier.name())).collect();
        let classes = map([
            ("scopeName", text("PriorityClass")),
            ("operator", text("In")),
            ("values", Yaml::List(above)),
        ]);
        let selector = map([("matchExpressions", Yaml::List(vec![classes]))]);
        let spec = map([("hard", map([("pods", text("0"))])), ("scopeSelector", selector)]);
        found.push(quota("tidegate-tiers", spec));
    }
    found
}

/// How many workers these units are, if they are as many in each dimension.
fn slices(units: Resources, file: &Deployment) -> Option<u64> {
    let each = file.workers.first()?.capacity;
    let mut numbers = (0..file.config.dimensions().len()).filter(|&place| each[place] > 0);
    let first = numbers.next()?;
    let number = units[first] / each[first];
    let same = (0..file.config.dimensions().len())
        .all(|place| each[place].checked_mul(number) == Some(units[place]));
    (same && number > 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kubernetes() {
        assert!(["a", "a-b", "a.b-c", "0"].iter().all(|name| is_dns(name, 253, true)));
        assert!(!["", "A", "a_b", "-a", "a-", "a..b", ".a"].iter().any(|name| is_dns(name, 253, true)));
        assert!(!is_dns("a.b", 63, false) && !is_dns(&"a".repeat(64), 63, false));
    }

    #[test]
    fn texts_are_blocks_only_where_nothing_changes() {
        assert!(is_block("a = 1\n\n# b\n"));
        assert!(
            !["", "a", "a\n\n", " a\n", "\na\n", "a\tb\u{7}\n", "a\r\n"].iter().any(|text| is_block(text))
        );
    }
}
