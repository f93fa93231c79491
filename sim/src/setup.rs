//! The set-ups that a replay compares. The first three are the same scheduler, told apart by its config, its pools
//! and the tier that each request is submitted to; the others have a policy in its place.

use std::collections::BTreeSet;
use std::time::Duration;

use thiserror::Error;
use tidegate::{Config, ConfigBuilder, Order, Placement, PoolId, Preemption, Tier, TierConfig};
use tidegate_deploy::{Deployment, Workers};

use crate::hardware::{Hardware, Spare, refuse_spares};
use crate::machine::{Layout, Machine};
use crate::model::ServiceModel;
use crate::policy::{Discipline, Policy, Terms};
use crate::replay::TTFT_OBJECTIVES_NS;
use crate::trace::{Work, Workload};

/// The names of the default config's tiers.
const TIER_NAMES: [&str; 3] = ["realtime", "near-realtime", "batch"];

/// The share guaranteed to the first tier, and to the last against starvation: the defaults of the scheduler's
/// contract.
const REALTIME_PPM: u32 = 300_000;
const BATCH_PPM: u32 = 50_000;

/// Which set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetupKind {
    /// Workers of its own for each tier, shared out by the work that the tiers bring; first come, first served.
    Dedicated,
    /// One queue for all, first come, first served, whatever the tier.
    Naive,
    /// Shared workers with a reserve for the first tier: the default config, or the user's.
    Tidegate,
    /// Shared workers under somebody else's policy, in place of the scheduler.
    Policy(Discipline),
}

impl SetupKind {
    /// Those that are compared unless others are asked for, in the order of the reports.
    pub const ALL: [Self; 3] = [Self::Dedicated, Self::Naive, Self::Tidegate];

    /// The name that reports print.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dedicated => "dedicated",
            Self::Naive => "naive",
            Self::Tidegate => "tidegate",
            Self::Policy(discipline) => discipline.name(),
        }
    }

    /// All that can be asked for, in the order of the reports.
    pub fn every() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(Discipline::ALL.into_iter().map(Self::Policy))
    }
}

/// Why a set-up does not go with a workload.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// A request has a tier that the config does not have.
    #[error("the workload has requests of tier P{tier}, the config has {}", counted(*tiers, "tier"))]
    NoSuchTier {
        /// The first such tier.
        tier: u8,
        /// How many the config has.
        tiers: usize,
    },
    /// The config allows fewer tenants than there are.
    #[error("max_tenants: {max} is fewer than the workload's {}", counted(*tenants, "tenant"))]
    TooManyTenants {
        /// How many it allows.
        max: u32,
        /// How many the workload has.
        tenants: usize,
    },
    /// The config asks for something that the simulated workers do not have.
    #[error("dimensions: {name:?} is not one that the simulated workers have ({known})")]
    NoSuchDimension {
        /// Its name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// Without workers in the file, those of the simulator are of one pool.
    #[error("pools: {pools} given, and no workers in them: a replay's own are of one pool")]
    Pools {
        /// How many the config names.
        pools: usize,
    },
    /// Workers that stand by.
    #[error(transparent)]
    Spare(#[from] Spare),
    /// A tier of the workload that no workers take.
    #[error("workers: the workload has requests of tier P{tier}, and no workers take them (most_urgent)")]
    NobodyTakes {
        /// The first such tier.
        tier: u8,
    },
    /// Each tier of the dedicated set-up needs a worker.
    #[error("--workers {workers}: the dedicated set-up needs at least one for each of {tiers} tiers")]
    TooFewWorkers {
        /// How many there are.
        workers: usize,
        /// How many are needed.
        tiers: usize,
    },
}

impl SetupError {
    /// Whether another config would help; otherwise it is the command that asks for too little.
    #[must_use]
    pub fn is_of_config(&self) -> bool {
        !matches!(self, Self::TooFewWorkers { .. })
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Where the requests of one tier of the workload go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The tier that the scheduler is told.
    pub tier: Tier,
    /// The pool that the scheduler is told.
    pub pool: PoolId,
}

/// A config, and the workers and requests that go with it.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which it is.
    pub kind: SetupKind,
    /// The scheduler's config.
    pub config: Config,
    /// Where the config keeps the workers' dimensions.
    pub layout: Layout,
    /// The pool of each worker. Of a config with several and a file with workers in them, requests choose theirs when they
    /// come: [`Self::routes`] then say the tier only.
    pub worker_pools: Vec<PoolId>,
    /// By tier of the workload.
    pub routes: Vec<Route>,
    /// The file of which the tenants, devices and workers are, if it is not the config alone.
    pub file: Option<Box<Deployment>>,
    /// What the workers have of the devices of a file; without it each has one of its own, and the machine's model.
    pub hardware: Option<Hardware>,
    /// What a policy in place of the scheduler is told.
    pub terms: Option<Terms>,
}

/// The config that `tidegate` is replayed with unless the user gives one.
#[must_use]
pub fn default_config(machine: Machine) -> Config {
    let [realtime, near, batch] = TIER_NAMES;
    let tiers = [
        TierConfig::new(realtime).reserve_ppm(REALTIME_PPM),
        TierConfig::new(near),
        TierConfig::new(batch).reserve_ppm(BATCH_PPM),
    ];
    config_of(machine, tiers)
}

/// A config with these tiers.
///
/// # Panics
/// If they have a fault.
#[must_use]
pub fn config_of(machine: Machine, tiers: impl IntoIterator<Item = TierConfig>) -> Config {
    built(tiers.into_iter().fold(base(machine), ConfigBuilder::tier))
}

/// What all set-ups share. `Spread`, as load balancers do: engines with small batches are quick.
fn base(machine: Machine) -> ConfigBuilder {
    Config::builder().dimensions(machine.dimensions().iter().copied()).placement(Placement::Spread)
}

fn built(builder: ConfigBuilder) -> Config {
    builder.build().expect("our own config has no fault")
}

/// A tier that takes what is free, first come, first served, and leaves everybody alone.
fn plain_tier(name: &str) -> TierConfig {
    TierConfig::new(name)
        .order(Order::Fifo)
        .preemption(Preemption::Never)
        .preempt_while_borrowing(Preemption::Never)
        .hold_window(Duration::ZERO)
}

impl Setup {
    /// The set-up of this kind for a workload. `config` is what `tidegate` is replayed with; its tiers name
    /// the tiers of the others too.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(
        kind: SetupKind,
        machine: Machine,
        workers: usize,
        workload: &Workload,
        config: &Config,
    ) -> Result<Self, SetupError> {
        let layout = checked_layout(machine, workload, config)?;
        let one_pool = PoolId::new(0);
        let tiers = 0..config.tiers().len();
        Ok(match kind {
            SetupKind::Tidegate => Self {
                kind,
                config: config.clone(),
                layout,
                worker_pools: vec![one_pool; workers],
                routes: tiers.map(|tier| Route { tier: tier_number(tier), pool: one_pool }).collect(),
                file: None,
                hardware: None,
                terms: None,
            },
            SetupKind::Naive | SetupKind::Policy(_) => {
                let builder = base(machine).max_tenants(config.max_tenants());
                let own_tiers = config.tiers().len();
                let config = built(builder.tier(plain_tier("shared")).max_bypass(0));
                let shared = Route { tier: Tier::P0, pool: one_pool };
                let terms = || terms_of(machine, workers, workload, own_tiers);
                Self {
                    kind,
                    layout: own_layout(machine),
                    config,
                    worker_pools: vec![one_pool; workers],
                    routes: tiers.map(|_| shared).collect(),
                    file: None,
                    hardware: None,
                    terms: matches!(kind, SetupKind::Policy(_)).then(terms),
                }
            }
            SetupKind::Dedicated => {
                let names = || config.tiers().iter().map(|tier| tier.name());
                let builder = base(machine).max_tenants(config.max_tenants()).pools(names()).max_bypass(0);
                let builder = names().fold(builder, |builder, name| builder.tier(plain_tier(name)));
                Self {
                    kind,
                    layout: own_layout(machine),
                    config: built(builder),
                    worker_pools: split(machine, workers, workload, config.tiers().len())?,
                    routes: tiers
                        .map(|tier| Route { tier: tier_number(tier), pool: pool_number(tier) })
                        .collect(),
                    file: None,
                    hardware: None,
                    terms: None,
                }
            }
        })
    }
}

impl Setup {
    /// The policy in place of the scheduler, if it is one.
    pub(crate) fn policy(&self) -> Option<Box<dyn Policy>> {
        match (self.kind, &self.terms) {
            (SetupKind::Policy(discipline), Some(terms)) => Some(discipline.policy(terms)),
            _ => None,
        }
    }

    /// How many workers each tier has for itself; `None` if all workers serve all tiers.
    #[must_use]
    pub fn workers_of_tier(&self) -> Option<Vec<usize>> {
        let first = self.routes.first().map(|route| route.pool);
        if self.routes.iter().all(|route| Some(route.pool) == first) {
            return None;
        }
        let of = |route: &Route| self.worker_pools.iter().filter(|&&pool| pool == route.pool).count();
        Some(self.routes.iter().map(of).collect())
    }

    /// The same on the workers of a file, for those who can be told of them. `tidegate`, whose config is the file's, has its tenants and
    /// pools too; `naive` all workers and devices in one pool. A policy in place of the scheduler knows no devices, and the dedicated set-up
    /// has to be cut as tiers want it: both keep workers that are all alike, on the same devices. `model` is that of a worker with a device of
    /// its own.
    ///
    /// # Errors
    /// [`SetupError::TooManyTenants`], those of the file counted; [`SetupError::Spare`], [`SetupError::Pools`] and [`SetupError::NobodyTakes`].
    pub fn with_file(
        mut self,
        file: &Deployment,
        model: &'static ServiceModel,
        workload: &Workload,
    ) -> Result<Self, SetupError> {
        refuse_spares(file)?;
        self.hardware = (!file.workers.is_empty()).then(|| Hardware::of(file, model));
        match self.kind {
            SetupKind::Tidegate => self.with_all_of(file, workload),
            SetupKind::Naive if self.hardware.is_some() => Ok(self.with_workers_of(file)),
            _ => Ok(self),
        }
    }

    /// With the workers and devices of a file in its own pool, and nothing else of it.
    fn with_workers_of(self, file: &Deployment) -> Self {
        let builder = Config::builder().dimensions(file.config.dimensions()).placement(Placement::Spread);
        let builder = self.config.tiers().iter().fold(builder, |builder, tier| builder.tier(tier.clone()));
        let config = built(builder.max_tenants(self.config.max_tenants()).max_bypass(0));
        let one_pool = PoolId::new(0);
        let alone = |group: &Workers| Workers { pool: one_pool, most_urgent: Tier::P0, ..group.clone() };
        let file = Deployment {
            config: config.clone(),
            tenants: Vec::new(),
            tier_pools: vec![Vec::new(); config.tiers().len()],
            workers: file.workers.iter().map(alone).collect(),
            ..file.clone()
        };
        let layout = self.layout.of_dimensions(config.dimensions()).expect("the file's own were looked at");
        Self {
            config,
            layout,
            worker_pools: vec![one_pool; file.worker_count()],
            file: Some(Box::new(file)),
            ..self
        }
    }

    fn with_all_of(mut self, file: &Deployment, workload: &Workload) -> Result<Self, SetupError> {
        let names = workload.tenants.iter().chain(file.tenants.iter().map(|tenant| &tenant.name));
        let (max, tenants) = (self.config.max_tenants(), names.collect::<BTreeSet<_>>().len());
        if usize::try_from(max).is_ok_and(|max| max < tenants) {
            return Err(SetupError::TooManyTenants { max, tenants });
        }
        let pools = self.config.pools().len();
        if file.workers.is_empty() && pools > 1 {
            return Err(SetupError::Pools { pools });
        }
        if !file.workers.is_empty() {
            let least = file.workers.iter().map(|group| group.most_urgent.get()).min().unwrap_or(0);
            let beyond = workload.requests.iter().map(|request| request.tier).find(|&tier| tier < least);
            if let Some(tier) = beyond {
                return Err(SetupError::NobodyTakes { tier });
            }
            let of = |group: &Workers| std::iter::repeat_n(group.pool, group.count as usize);
            self.worker_pools = file.workers.iter().flat_map(of).collect();
        }
        self.file = Some(Box::new(file.clone()));
        Ok(self)
    }
}

/// What is left of a minute's work when the first token of the least urgent is due: as in `cost`, a quarter of an hour.
const LAST_OBJECTIVE_NS: u64 = 900_000_000_000;

/// What a policy is told: objectives of the reports, reserves of the default config, and how fast workers are, by the mean of
/// the workload.
fn terms_of(machine: Machine, workers: usize, workload: &Workload, tiers: usize) -> Terms {
    let tokens = |work: Work| match work {
        Work::Tokens { prompt, output } => (f64::from(prompt), f64::from(output)),
        Work::Job { .. } => (0.0, 0.0),
    };
    let (mut all, mut prompts, mut takes_ns, mut prompts_take_ns) = (0.0, 0.0, 0.0, 0.0);
    for request in &workload.requests {
        let (prompt, output) = tokens(request.work);
        all += prompt + output;
        prompts += prompt;
        takes_ns += machine.cost(request.work) as f64;
        prompts_take_ns += machine.cost(Work::Tokens { prompt: prompt as u32, output: 0 }) as f64;
    }
    let reserve = |tier: usize| match tier {
        0 => f64::from(REALTIME_PPM) / 1e6,
        _ if tier + 1 == tiers => f64::from(BATCH_PPM) / 1e6,
        _ => 0.0,
    };
    let rate = |tokens: f64, ns: f64| if ns > 0.0 { tokens / ns * 1e9 } else { 1.0 };
    Terms {
        prompt_within_ns: TTFT_OBJECTIVES_NS.into_iter().chain([LAST_OBJECTIVE_NS]).collect(),
        reserves: (0..tiers).map(reserve).collect(),
        tokens_per_s: rate(all, takes_ns) * workers as f64,
        prompt_tokens_per_s: rate(prompts, prompts_take_ns),
    }
}

/// Refuses a config that does not go with the machine and the workload.
fn checked_layout(machine: Machine, workload: &Workload, config: &Config) -> Result<Layout, SetupError> {
    let tiers = config.tiers().len();
    let beyond =
        workload.requests.iter().map(|request| request.tier).find(|&tier| usize::from(tier) >= tiers);
    if let Some(tier) = beyond {
        return Err(SetupError::NoSuchTier { tier, tiers });
    }
    let (max, tenants) = (config.max_tenants(), workload.tenants.len());
    if usize::try_from(max).is_ok_and(|max| max < tenants) {
        return Err(SetupError::TooManyTenants { max, tenants });
    }
    Layout::new(machine, config.dimensions())
        .map_err(|name| SetupError::NoSuchDimension { name, known: machine.dimensions().join(", ") })
}

fn own_layout(machine: Machine) -> Layout {
    Layout::new(machine, machine.dimensions().iter().copied()).expect("a machine has its own dimensions")
}

fn tier_number(index: usize) -> Tier {
    Tier::new(u8::try_from(index).expect("a config has few tiers"))
}

fn pool_number(index: usize) -> PoolId {
    PoolId::new(u32::try_from(index).expect("a config has few tiers"))
}

/// Shares workers out over the tiers that have requests: one each, then each further one to the tier that has
/// most work per worker.
fn split(
    machine: Machine,
    workers: usize,
    workload: &Workload,
    tiers: usize,
) -> Result<Vec<PoolId>, SetupError> {
    let mut work = vec![0u128; tiers];
    for request in &workload.requests {
        work[usize::from(request.tier)] += machine.cost(request.work).max(1);
    }
    let mut share: Vec<usize> = work.iter().map(|&cost| usize::from(cost > 0)).collect();
    let busy_tiers: usize = share.iter().sum();
    let Some(rest) = workers.checked_sub(busy_tiers) else {
        return Err(SetupError::TooFewWorkers { workers, tiers: busy_tiers });
    };
    for _ in 0..rest {
        let most = (0..tiers)
            .filter(|&tier| work[tier] > 0)
            .max_by_key(|&tier| (work[tier] / share[tier] as u128, std::cmp::Reverse(tier)));
        if let Some(tier) = most {
            share[tier] += 1;
        }
    }
    let pools = share.iter().enumerate();
    Ok(pools.flat_map(|(tier, &count)| std::iter::repeat_n(pool_number(tier), count)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DEFAULT_MODEL, ServiceModel};
    use crate::trace::{TraceRequest, Work};

    fn machine() -> Machine {
        Machine::of(ServiceModel::by_id(DEFAULT_MODEL).expect("the default is one of them"))
    }

    fn workload(tiers_and_prompts: &[(u8, u32)]) -> Workload {
        let request = |&(tier, prompt): &(u8, u32)| TraceRequest {
            arrival_ns: 0,
            tier,
            tenant: 0,
            work: Work::Tokens { prompt, output: 100 },
        };
        Workload {
            requests: tiers_and_prompts.iter().map(request).collect(),
            tenants: vec!["one".into()],
            sources: Vec::new(),
        }
    }

    fn pools(workers: usize, workload: &Workload) -> Vec<u32> {
        let setup =
            Setup::new(SetupKind::Dedicated, machine(), workers, workload, &default_config(machine()));
        setup.expect("enough workers").worker_pools.iter().map(|pool| pool.get()).collect()
    }

    #[test]
    fn dedicated_workers_follow_the_work() {
        let even = workload(&[(0, 1_000), (1, 1_000), (2, 1_000)]);
        assert_eq!(pools(3, &even), [0, 1, 2]);
        assert_eq!(pools(6, &even), [0, 0, 1, 1, 2, 2]);
        let heavy = workload(&[(0, 500), (2, 8_000), (2, 8_000)]);
        assert_eq!(pools(6, &heavy), [0, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn a_set_up_that_cannot_be_says_why() {
        let three = workload(&[(0, 10), (1, 10), (2, 10)]);
        let config = default_config(machine());
        let error = Setup::new(SetupKind::Dedicated, machine(), 2, &three, &config).expect_err("too few");
        assert_eq!(
            error.to_string(),
            "--workers 2: the dedicated set-up needs at least one for each of 3 tiers"
        );
        let fourth = workload(&[(3, 10)]);
        let error =
            Setup::new(SetupKind::Tidegate, machine(), 2, &fourth, &config).expect_err("no such tier");
        assert_eq!(error.to_string(), "the workload has requests of tier P3, the config has 3 tiers");
        let odd = Config::builder().dimensions(["slots", "vram_mib"]).tier(TierConfig::new("all"));
        let odd = odd.build().expect("no fault");
        let first = workload(&[(0, 10)]);
        let error = Setup::new(SetupKind::Tidegate, machine(), 2, &first, &odd).expect_err("no vram");
        assert_eq!(
            error.to_string(),
            "dimensions: \"vram_mib\" is not one that the simulated workers have (slots, kv_blocks)"
        );
    }
}
