//! The table `kubernetes` of the file: what things are called in a cluster, for manifests that say the same again.
//! Nothing of it changes what the scheduler decides.

use std::collections::BTreeMap;

use tidegate::{Config, ConfigFault, WorkerKind};
use toml::{Table, Value};

use crate::fields::{Fields, fault, tables};

/// The largest value of a priority class that is not the system's own.
pub const MAX_PRIORITY: i32 = 1_000_000_000;

/// The fewest and the most replicas of a device: fewer are none, and no GPU takes more clients of MPS.
pub(crate) const REPLICAS: std::ops::RangeInclusive<i64> = 2..=48;

/// The table `kubernetes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The namespace of what belongs to none else.
    pub namespace: Option<String>,
    /// The tier of which the priority class is the default of pods that name none.
    pub global_default: Option<String>,
    /// The values of priority classes by tier; from the top never rising.
    pub priorities: BTreeMap<String, i32>,
    /// How devices are shared out among pods.
    pub sharing: Vec<Sharing>,
}

/// How replicas of a device are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Multi-Process Service: clients run at once, each with a part of the threads.
    #[default]
    Mps,
    /// Time slicing: clients take turns.
    TimeSlicing,
}

impl Strategy {
    /// The word of the device plugin.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mps => "mps",
            Self::TimeSlicing => "timeSlicing",
        }
    }

    /// What its replicas are.
    #[must_use]
    pub const fn kind(self) -> WorkerKind {
        match self {
            Self::Mps => WorkerKind::Mps,
            Self::TimeSlicing => WorkerKind::TimeSlice,
        }
    }
}

/// One resource of the device plugin's sharing, and where its config stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// The config map, and its namespace.
    pub config_map: String,
    /// Default: none.
    pub namespace: Option<String>,
    /// The name of the config within the map.
    pub config: String,
    /// How.
    pub strategy: Strategy,
    /// The resource that is shared, as `nvidia.com/gpu`.
    pub resource: String,
    /// What its replicas are called instead.
    pub rename: Option<String>,
    /// Whether replicas are called `.shared` unless they have a name of their own.
    pub rename_by_default: bool,
    /// Whether a pod may have one replica only.
    pub fail_requests_greater_than_one: bool,
    /// How many of each device.
    pub replicas: u32,
}

impl Sharing {
    /// The resource that pods ask for.
    #[must_use]
    pub fn advertised(&self) -> String {
        match &self.rename {
            Some(name) => name.clone(),
            None if self.rename_by_default => format!("{}.shared", self.resource),
            None => self.resource.clone(),
        }
    }

    /// Whether both stand in one config of the plugin.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        (&self.namespace, &self.config_map, &self.config)
            == (&other.namespace, &other.config_map, &other.config)
    }

    /// Whether both are shared in one way.
    fn goes_with(&self, other: &Self) -> bool {
        (self.strategy, self.rename_by_default, self.fail_requests_greater_than_one)
            == (other.strategy, other.rename_by_default, other.fail_requests_greater_than_one)
    }

    pub(super) fn table(&self) -> Table {
        let text = |text: &str| Value::String(text.to_owned());
        let mut table = Table::new();
        let mut put = |name: &str, value| table.insert(name.to_owned(), value);
        put("config_map", text(&self.config_map));
        if let Some(namespace) = &self.namespace {
            put("namespace", text(namespace));
        }
        put("config", text(&self.config));
        put("strategy", text(self.strategy.word()));
        put("resource", text(&self.resource));
        if let Some(name) = &self.rename {
            put("rename", text(name));
        }
        put("rename_by_default", Value::Boolean(self.rename_by_default));
        put("fail_requests_greater_than_one", Value::Boolean(self.fail_requests_greater_than_one));
        put("replicas", Value::Integer(self.replicas.into()));
        table
    }
}

impl Names {
    /// What the table says.
    pub(crate) fn read(value: Option<Value>, config: &Config, faults: &mut Vec<ConfigFault>) -> Self {
        let table = match value {
            None => return Self::default(),
            Some(Value::Table(table)) => table,
            Some(_) => {
                faults.push(fault("kubernetes", "is written as [kubernetes]"));
                return Self::default();
            }
        };
        let mut names = Self::default();
        let mut fields = Fields::new(table, "kubernetes".to_owned(), faults);
        names.namespace = fields.text("namespace");
        names.global_default = fields.text("global_default");
        if let Some(name) = names.global_default.as_deref()
            && config.tier(name).is_none()
        {
            fields.fault("global_default", format!("there is no tier {name:?}"));
        }
        let priorities = fields.table("priorities").unwrap_or_default();
        let sharing = fields.value("sharing");
        fields.end();
        names.read_priorities(priorities, config, faults);
        for (path, table) in tables("sharing", sharing, faults) {
            let path = format!("kubernetes.{path}");
            let Some(found) = read_sharing(table, path.clone(), faults) else { continue };
            if names.sharing.iter().any(|other| other.is_beside(&found) && !other.goes_with(&found)) {
                let message = "is shared in another way than the others of its config";
                faults.push(fault(path, message));
            }
            names.sharing.push(found);
        }
        names
    }

    fn read_priorities(&mut self, table: Table, config: &Config, faults: &mut Vec<ConfigFault>) {
        let mut fields = Fields::new(table, "kubernetes.priorities".to_owned(), faults);
        let mut above = MAX_PRIORITY;
        for tier in config.tiers() {
            let name = tier.name();
            let Some(value) = fields.whole(name, i32::MIN.into(), MAX_PRIORITY.into()) else { continue };
            let value = i32::try_from(value).unwrap_or(MAX_PRIORITY);
            if value > above {
                fields.fault(name, format!("{value} is above the {above} of a more urgent tier"));
            }
            above = value;
            self.priorities.insert(name.to_owned(), value);
        }
        fields.end();
    }
}

fn read_sharing(table: Table, path: String, faults: &mut Vec<ConfigFault>) -> Option<Sharing> {
    let mut fields = Fields::new(table, path, faults);
    let strategy = match fields.text("strategy").as_deref() {
        None | Some("mps") => Strategy::Mps,
        Some("timeSlicing") => Strategy::TimeSlicing,
        Some(other) => {
            fields.fault("strategy", format!("{other:?} is none of mps, timeSlicing"));
            Strategy::Mps
        }
    };
    let before = fields.count();
    let replicas = fields.whole("replicas", *REPLICAS.start(), *REPLICAS.end());
    let replicas = replicas.and_then(|number| u32::try_from(number).ok());
    let replicas = fields.needed("replicas", replicas, before);
    let found = Sharing {
        config_map: fields.text("config_map").unwrap_or_else(|| "nvidia-device-plugin".to_owned()),
        namespace: fields.text("namespace"),
        config: fields.text("config").unwrap_or_else(|| "config.yaml".to_owned()),
        strategy,
        resource: fields.text("resource").unwrap_or_else(|| GPU.to_owned()),
        rename: fields.text("rename"),
        rename_by_default: fields.flag("rename_by_default").unwrap_or(false),
        fail_requests_greater_than_one: fields.flag("fail_requests_greater_than_one").unwrap_or(false),
        replicas: replicas.unwrap_or(2),
    };
    fields.end();
    replicas.map(|_| found)
}

/// The resource of a whole GPU.
pub(crate) const GPU: &str = "nvidia.com/gpu";
