//! The file: what its tables say, checked against each other, and how a scheduler is told.
//!
//! The scheduler's settings stand at its top and are read by the core. What is wrong anywhere in it is told at once,
//! with line and path; tables of programs are known by name, and what is in them by those programs. Cost: linear in the
//! text, and a small config parsed for each tenant.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::{
    Config, ConfigError, ConfigFault, DeviceId, DevicePart, DeviceSpec, Input, InputError, Instant,
    MAX_POOLS_PER_REQUEST, MAX_WORKERS, PoolId, Ppm, Resources, Scheduler, Sharing, TenantError, TenantId,
    TenantPolicy, Tier, TierConfig, WorkerKind, WorkerSpec,
};
use toml::{Table, Value};

use crate::document::{Document, bare};
use crate::fields::{Fields, fault, tables};
use crate::kubernetes::Names;
use crate::policy::policy;

/// The tables of programs, which nobody else reads: those of `tidegate.vllm`, and of the gateway.
pub const PROGRAM_TABLES: [&str; 5] = ["engines", "gateway", "keys", "redis", "vllm"];

/// The tables that every host understands, beside the scheduler's settings.
pub const OWN_TABLES: [&str; 5] = ["devices", "kubernetes", "tenants", "tier_pools", "workers"];

/// No GPU takes more clients of MPS.
const REPLICAS_MOST: i64 = 48;

/// What a host takes for settings that a file leaves out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Defaults<'d> {
    /// The dimensions, if there are none; by default none.
    pub dimensions: &'d [&'d str],
    /// The tiers as TOML, if there are none; by default none.
    pub tiers: &'d str,
}

/// One of `tenants`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name, which no other has.
    pub name: String,
    /// The name of the tenant above it, which is in the file.
    pub parent: Option<String>,
    /// The pools that a host names for its requests, in order of preference, each once; none leaves it to their tiers.
    pub pools: Vec<PoolId>,
    /// All else; its own `parent` is empty.
    pub policy: TenantPolicy,
}

/// One of `devices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name, which no other has.
    pub name: String,
    /// What the scheduler is told.
    pub spec: DeviceSpec,
}

/// One of `workers`: some that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers {
    /// How many, at least 1.
    pub count: u32,
    /// The pool that they are in.
    pub pool: PoolId,
    /// The most urgent tier whose requests a host sends to them; all workers of a pool have the same.
    pub most_urgent: Tier,
    /// What each has, in the order of the config's dimensions.
    pub capacity: Resources,
    /// The devices that each of them stands on, in equal parts, by their place in the file.
    pub devices: Vec<usize>,
    /// How they share them.
    pub kind: WorkerKind,
    /// Whether they stand by until others of their pool are lost.
    pub spare: bool,
}

/// A file that all hosts read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The scheduler's settings.
    pub config: Config,
    /// In the order of the file; of the form `[tenants.NAME]`, by name.
    pub tenants: Vec<Tenant>,
    /// By tier, the pools that a host names for its requests whose tenants list none, in order of preference, each once; none
    /// leaves it to the host. A list for each tier.
    pub tier_pools: Vec<Vec<PoolId>>,
    /// In the order of the file.
    pub devices: Vec<Device>,
    /// In the order of the file.
    pub workers: Vec<Workers>,
    /// What things are called in a cluster.
    pub kubernetes: Names,
    /// The tables of programs that are there, which were not looked at.
    pub programs: Vec<String>,
}

impl Deployment {
    /// Reads a file.
    ///
    /// ```
    /// let file = tidegate_deploy::Deployment::from_toml(r#"
    ///     dimensions = ["slots"]
    ///     tiers = [{ name = "realtime", reserve_ppm = 300000 }, { name = "batch" }]
    ///     devices = [{ name = "gpu0", limit = { slots = 96 } }]
    ///     workers = [{ count = 4, devices = ["gpu0"], capacity = { slots = 32 } }]
    ///     [tenants.acme]
    ///     weight = 3
    /// "#)?;
    /// assert_eq!(file.worker_count(), 4);
    /// # Ok::<(), tidegate::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`]: the first fault of text that is no TOML, else every fault found, with lines.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Self::from_toml_or(text, &Defaults::default())
    }

    /// As [`Self::from_toml`], for a host that has defaults of its own.
    ///
    /// # Errors
    /// As [`Self::from_toml`].
    pub fn from_toml_or(text: &str, defaults: &Defaults<'_>) -> Result<Self, ConfigError> {
        let document = Document::parse(text)?;
        let has = |name| document.names().any(|found| found == name);
        let mut whole = String::new();
        if !defaults.dimensions.is_empty() && !has("dimensions") {
            whole = format!("dimensions = {:?}\n", defaults.dimensions);
        }
        let above = whole.lines().count();
        whole += text;
        if !has("tiers") {
            whole = format!("{whole}\n{}", defaults.tiers);
        }
        let passed_over = [&OWN_TABLES[..], &PROGRAM_TABLES[..]].concat();
        let config = Config::from_toml_beside(&whole, &passed_over);
        let mut faults = Vec::new();
        let found = match config {
            Ok(config) => Some(Self::read(config, &document, &mut faults)),
            Err(error) => {
                faults = error.faults;
                for fault in &mut faults {
                    fault.line = fault.line.and_then(|line| line.checked_sub(above)).filter(|&line| line > 0);
                    // The core names the word on that line, of a header none, and not whose it is.
                    let is_word = !fault.path.contains('.') && document.line(&fault.path) != fault.line;
                    if let (true, Some(path)) = (is_word, fault.line.and_then(|line| document.path_at(line)))
                    {
                        fault.path = path;
                    }
                }
                // What else is wrong is told too, as far as the names are there of which the rest speaks.
                skeleton(&document, defaults).and_then(|config| {
                    Self::read(config, &document, &mut faults);
                    None
                })
            }
        };
        for fault in &mut faults {
            fault.line = fault.line.or_else(|| document.line(&fault.path));
        }
        found.filter(|_| faults.is_empty()).ok_or(ConfigError { faults })
    }

    fn read(config: Config, document: &Document<'_>, faults: &mut Vec<ConfigFault>) -> Self {
        let mut lost = Vec::new();
        let mut take = |name: &str| {
            document.value(name).unwrap_or_else(|fault| {
                lost.push(fault);
                None
            })
        };
        let [devices, kubernetes, tenants, tier_pools, workers] = OWN_TABLES.map(&mut take);
        faults.append(&mut lost);
        let (tenants, paths) = read_tenants(tenants, &config, faults);
        let tier_pools = read_tier_pools(tier_pools, &config, faults);
        let (devices, cut) = read_devices(tables("devices", devices, faults), &config, faults);
        let mut workers = read_workers(tables("workers", workers, faults), &devices, &config, faults);
        let named = workers.len();
        workers.extend(cut);
        check_pools(&workers, named, faults);
        let kubernetes = Names::read(kubernetes, &config, faults);
        let mut programs: Vec<_> = document.names().filter(|name| PROGRAM_TABLES.contains(name)).collect();
        programs.sort_unstable();
        let programs = programs.into_iter().map(str::to_owned).collect();
        let found = Self { config, tenants, tier_pools, devices, workers, kubernetes, programs };
        if faults.is_empty() {
            found.try_out(&paths, named, faults);
        }
        found
    }

    /// Tells a scheduler that nobody uses, before the one that runs hears of it. So many of the workers are named as such; the
    /// others are what devices were cut into.
    fn try_out(&self, tenants: &[String], named: usize, faults: &mut Vec<ConfigFault>) {
        let mut trial = Scheduler::new(self.config.clone(), Instant::ZERO);
        let (mut devices, mut workers) = (0, 0);
        let of_workers =
            self.workers.iter().enumerate().flat_map(|(index, group)| (0..group.count).map(move |_| index));
        let of_workers: Vec<_> = of_workers.collect();
        let mut set = 0;
        for input in self.inputs(&[]) {
            let path = match &input {
                Input::TenantConfigure { tenant, .. } => tenants[tenant.get() as usize].clone(),
                Input::TenantSet { .. } => {
                    set += 1;
                    tenants[set - 1].clone()
                }
                Input::DeviceAdd(_) => {
                    devices += 1;
                    format!("devices[{}]", devices - 1)
                }
                _ => {
                    workers += 1;
                    path_of(&self.workers, named, of_workers[workers - 1])
                }
            };
            let Err(error) = trial.apply(Instant::ZERO, &input) else { continue };
            match error {
                InputError::Tenant(TenantError::Policy(error)) => {
                    let within = |found: ConfigFault| fault(format!("{path}.{}", found.path), found.message);
                    faults.extend(error.faults.into_iter().map(within));
                }
                error => faults.push(fault(path, error.to_string())),
            }
            if !matches!(input, Input::TenantConfigure { .. }) {
                return; // the numbers of what follows would not be those that are expected
            }
        }
    }

    /// What a new scheduler is told: devices, workers, tenants, each numbered in this order from 0. `known` are names
    /// of tenants that come first, whether the file has them or not.
    #[must_use]
    pub fn inputs(&self, known: &[String]) -> Vec<Input> {
        let mut inputs: Vec<_> = self.devices.iter().map(|device| Input::DeviceAdd(device.spec)).collect();
        for group in &self.workers {
            let spec = group.spec();
            inputs.extend((0..group.count).map(|_| Input::WorkerAdd(spec.clone())));
        }
        let mut numbers = BTreeMap::new();
        let names = known.iter().chain(self.tenants.iter().map(|tenant| &tenant.name));
        for name in names {
            let next = TenantId::new(u32::try_from(numbers.len()).unwrap_or(u32::MAX));
            numbers.entry(name.as_str()).or_insert_with(|| {
                inputs.push(Input::TenantSet { name: name.as_str().into() });
                next
            });
        }
        for tenant in &self.tenants {
            let parent = tenant.parent.as_deref().map(|parent| numbers[parent]);
            let policy = Box::new(TenantPolicy { parent, ..tenant.policy });
            inputs.push(Input::TenantConfigure { tenant: numbers[tenant.name.as_str()], policy });
        }
        inputs
    }

    /// How many workers it names, those that stand by among them.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        self.workers.iter().map(|group| group.count as usize).sum()
    }
}

impl Workers {
    /// What the scheduler is told of each; devices are numbered by their place in the file.
    pub fn spec(&self) -> WorkerSpec {
        let devices = u32::try_from(self.devices.len()).unwrap_or(u32::MAX);
        let mut spec = WorkerSpec::new(self.capacity).pool(self.pool).kind(self.kind);
        spec.spare = self.spare;
        let mut left = Ppm::ONE.get();
        for (index, &device) in self.devices.iter().enumerate() {
            // The first take what does not divide.
            let part = left.div_ceil(devices - index as u32);
            left -= part;
            let device = DeviceId::new(u32::try_from(device).unwrap_or(u32::MAX));
            spec.devices.push(DevicePart { device, part: Ppm::new(part) });
        }
        spec
    }
}

/// A config that has only the names of a file whose config has faults.
fn skeleton(document: &Document<'_>, defaults: &Defaults<'_>) -> Option<Config> {
    let value = |name| document.value(name).ok().flatten();
    let texts = |value: Value| -> Option<Vec<String>> {
        value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let own = || defaults.dimensions.iter().map(|&name| name.to_owned()).collect();
    let mut builder = Config::builder().dimensions(value("dimensions").map_or_else(|| Some(own()), texts)?);
    if let Some(pools) = value("pools") {
        builder = builder.pools(texts(pools)?);
    }
    for tier in value("tiers")?.as_array()? {
        builder = builder.tier(TierConfig::new(tier.get("name")?.as_str()?));
    }
    builder.build().ok()
}

/// Tenants of either form, each with its path.
fn read_tenants(
    value: Option<Value>,
    config: &Config,
    faults: &mut Vec<ConfigFault>,
) -> (Vec<Tenant>, Vec<String>) {
    let written: Vec<(String, Table)> = match value {
        Some(Value::Table(by_name)) => {
            let mut found = Vec::new();
            for (name, value) in by_name {
                let path = format!("tenants.{}", bare(&name));
                match value {
                    Value::Table(mut table) if !table.contains_key("name") => {
                        table.insert("name".to_owned(), Value::String(name));
                        found.push((path, table));
                    }
                    Value::Table(_) => {
                        faults.push(fault(format!("{path}.name"), "stands in the table's own name"));
                    }
                    _ => faults.push(fault(path, "is a table")),
                }
            }
            found
        }
        other => tables("tenants", other, faults),
    };
    let (mut tenants, mut paths): (Vec<Tenant>, Vec<String>) = (Vec::new(), Vec::new());
    let mut places = BTreeMap::new();
    for (path, mut table) in written {
        let mut word = |name: &str| match table.remove(name) {
            None => None,
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                faults.push(fault(format!("{path}.{name}"), "is no text"));
                None
            }
        };
        let (name, parent) = (word("name"), word("parent"));
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            faults.push(fault(format!("{path}.name"), "is needed"));
            continue;
        };
        if places.insert(name.clone(), tenants.len()).is_some() {
            faults.push(fault(format!("{path}.name"), format!("{name:?} is there twice")));
        }
        let pools = table.remove("pools");
        let pools =
            pools.map_or_else(Vec::new, |value| pool_list(&value, &format!("{path}.pools"), config, faults));
        let policy = policy(table, &path, config, faults);
        tenants.push(Tenant { name, parent, pools, policy });
        paths.push(path);
    }
    for (tenant, path) in tenants.iter().zip(&paths) {
        if let Some(parent) = &tenant.parent
            && !places.contains_key(parent)
        {
            faults.push(fault(format!("{path}.parent"), format!("there is no tenant {parent:?}")));
        }
    }
    // A scheduler that has no room for one more forgets one whom nobody uses, and would not know the first of these.
    let most = usize::try_from(config.max_tenants()).unwrap_or(usize::MAX);
    if let Some(path) = paths.get(most) {
        let message = format!("is one of {} tenants, and max_tenants is {most}", tenants.len());
        faults.push(fault(path.clone(), message));
    }
    (tenants, paths)
}

/// Devices, and the workers that those are cut into which say so.
fn read_devices(
    tables: Vec<(String, Table)>,
    config: &Config,
    faults: &mut Vec<ConfigFault>,
) -> (Vec<Device>, Vec<Workers>) {
    let (mut devices, mut names, mut cut) = (Vec::new(), BTreeSet::new(), Vec::new());
    for (path, table) in tables {
        let mut fields = Fields::new(table, path.clone(), faults);
        let before = fields.count();
        let name = fields.text("name");
        let name = fields.needed("name", name, before).unwrap_or_default();
        let limit = fields.units("limit", config);
        let checkpoint_mib = fields.whole("checkpoint_mib", 0, i64::MAX).map(i64::unsigned_abs);
        if !names.insert(name.clone()) {
            fields.fault("name", format!("{name:?} is there twice"));
        }
        let shared = fields.table("shared");
        fields.end();
        let shared =
            shared.map(|table| read_shared(table, format!("{path}.shared"), devices.len(), config, faults));
        let (of_shared, workers) = shared.unzip();
        cut.extend(workers);
        let limit = limit.or(of_shared).unwrap_or(Resources::ZERO);
        devices.push(Device { name, spec: DeviceSpec { limit, checkpoint_mib } });
    }
    (devices, cut)
}

/// What a device is cut into: its limit, unless it says one itself, and its workers.
fn read_shared(
    table: Table,
    path: String,
    device: usize,
    config: &Config,
    faults: &mut Vec<ConfigFault>,
) -> (Resources, Workers) {
    let mut fields = Fields::new(table, path, faults);
    let kind = kind(&mut fields).unwrap_or_default();
    let before = fields.count();
    let replicas = fields.whole("replicas", 1, REPLICAS_MOST).and_then(|number| u32::try_from(number).ok());
    let replicas = fields.needed("replicas", replicas, before).unwrap_or(1);
    let pool = pool(&mut fields, config);
    let most_urgent = fields.tier("most_urgent", config).unwrap_or(Tier::P0);
    let before = fields.count();
    let units = fields.units("units", config);
    let units = fields.needed("units", units, before).unwrap_or(Resources::ZERO);
    fields.end();
    let (spec, capacity) = Sharing { kind, replicas }.cut(units);
    let devices = vec![device];
    (spec.limit, Workers { count: replicas, pool, most_urgent, capacity, devices, kind, spare: false })
}

/// Where some workers are written, of which so many are `named` as such.
fn path_of(workers: &[Workers], named: usize, group: usize) -> String {
    match group < named {
        true => format!("workers[{group}]"),
        false => format!("devices[{}].shared", workers[group].devices[0]),
    }
}

/// A request chooses a pool, and which of its workers it gets is the scheduler's to say: they all take the same tiers.
fn check_pools(workers: &[Workers], named: usize, faults: &mut Vec<ConfigFault>) {
    let mut known = BTreeMap::new();
    for (index, group) in workers.iter().enumerate() {
        if *known.entry(group.pool).or_insert(group.most_urgent) != group.most_urgent {
            let path = format!("{}.most_urgent", path_of(workers, named, index));
            faults.push(fault(path, "is not that of the workers before in its pool"));
        }
    }
}

/// The pools of tiers, by the names of those.
fn read_tier_pools(value: Option<Value>, config: &Config, faults: &mut Vec<ConfigFault>) -> Vec<Vec<PoolId>> {
    let mut lists = vec![Vec::new(); config.tiers().len()];
    let by_name = match value {
        None => return lists,
        Some(Value::Table(by_name)) => by_name,
        Some(_) => {
            faults.push(fault("tier_pools", "is written as [tier_pools]"));
            return lists;
        }
    };
    for (name, value) in by_name {
        let path = format!("tier_pools.{}", bare(&name));
        match config.tiers().iter().position(|tier| tier.name() == name) {
            Some(tier) => lists[tier] = pool_list(&value, &path, config, faults),
            None => faults.push(fault(path, "there is no such tier")),
        }
    }
    lists
}

/// Pools in order of preference; one that is named again counts once.
fn pool_list(value: &Value, path: &str, config: &Config, faults: &mut Vec<ConfigFault>) -> Vec<PoolId> {
    let mut names: Vec<&Value> = Vec::new();
    for name in value.as_array().into_iter().flatten() {
        // One too many is enough to know.
        if names.len() <= MAX_POOLS_PER_REQUEST && !names.contains(&name) {
            names.push(name);
        }
    }
    if !(1..=MAX_POOLS_PER_REQUEST).contains(&names.len()) {
        faults.push(fault(path, format!("is a list of 1 to {MAX_POOLS_PER_REQUEST} pools")));
        return Vec::new();
    }
    let known = |name: &&Value| name.as_str().and_then(|name| config.pool(name));
    for name in names.iter().filter(|name| known(name).is_none()) {
        faults.push(fault(path, format!("there is no pool {name}")));
    }
    names.iter().filter_map(known).collect()
}

/// The pool that a table names, or the first.
fn pool(fields: &mut Fields<'_>, config: &Config) -> PoolId {
    let Some(name) = fields.text("pool") else { return PoolId::new(0) };
    config.pool(&name).unwrap_or_else(|| {
        fields.fault("pool", format!("there is no pool {name:?}"));
        PoolId::new(0)
    })
}

fn read_workers(
    tables: Vec<(String, Table)>,
    devices: &[Device],
    config: &Config,
    faults: &mut Vec<ConfigFault>,
) -> Vec<Workers> {
    let places: BTreeMap<_, _> =
        devices.iter().enumerate().map(|(place, device)| (&*device.name, place)).collect();
    let (mut groups, mut total) = (Vec::new(), 0);
    for (path, table) in tables {
        let mut fields = Fields::new(table, path, faults);
        let most = i64::try_from(MAX_WORKERS).unwrap_or(i64::MAX);
        let count = fields.whole("count", 1, most).map_or(1, |count| u32::try_from(count).unwrap_or(1));
        let pool = pool(&mut fields, config);
        let most_urgent = fields.tier("most_urgent", config).unwrap_or(Tier::P0);
        let before = fields.count();
        let capacity = fields.units("capacity", config);
        let capacity = fields.needed("capacity", capacity, before).unwrap_or(Resources::ZERO);
        let mut on = Vec::new();
        for name in fields.texts("devices").into_iter().flatten() {
            match places.get(&*name) {
                Some(&place) => on.push(place),
                None => fields.fault("devices", format!("there is no device {name:?}")),
            }
        }
        total += u64::from(count);
        if total > MAX_WORKERS {
            fields.fault("count", format!("makes {total} workers, above {MAX_WORKERS}"));
        }
        let kind = kind(&mut fields).unwrap_or_default();
        let spare = fields.flag("spare").unwrap_or(false);
        fields.end();
        groups.push(Workers { count, pool, most_urgent, capacity, devices: on, kind, spare });
    }
    groups
}

/// The kind of workers that a table names.
fn kind(fields: &mut Fields<'_>) -> Option<WorkerKind> {
    let word = fields.text("kind")?;
    let found = WorkerKind::ALL.iter().copied().find(|kind| kind.as_str() == word);
    if found.is_none() {
        let known = WorkerKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
        fields.fault("kind", format!("{word:?} is none of {known}"));
    }
    found
}
