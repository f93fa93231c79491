//! A journal replayed by the C program gives the digest of the Rust replayer, and a wrong bit shows.
//! `TIDEGATE_BLESS=1` writes the journal to `tests/every_verb.journal`, for the test that goes through all doors.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use support::{COMPILERS, Linkage, compile_by, ffi, output, scratch, succeed, valgrind};
use tidegate_core::{
    Action, Affinity, Amendment, Attempt, Config, Created, Decline, DeviceId, DeviceSpec, Entry, Input,
    Instant, Journal, Order, OtherPools, OverQuota, Placement, PoolId, Ppm, QuotaLimit, Rate, Release,
    RequestId, RequestSpec, Resources, Scheduler, Shrink, StepException, StepTime, TenantId, TenantPolicy,
    Tier, TierConfig, Usage, WorkerId, WorkerKind, WorkerSpec, YieldMode, Yielding,
};

const PROGRAM: &str = "examples/replay.c";

/// A host that does every verb, right and wrong, and writes a journal of it.
struct Host {
    scheduler: Scheduler,
    journal: Journal,
    now: Instant,
    /// Started and not ended, with their attempts.
    running: Vec<(RequestId, Attempt)>,
    submitted: Vec<RequestId>,
    seed: u64,
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// A config in which every field of an input counts.
fn config(urgent_ppm: u32) -> Config {
    let order = match urgent_ppm {
        0..200_000 => Order::ShortestFirst,
        200_000..=300_000 => Order::Fair,
        _ => Order::HybridDeadline,
    };
    Config::builder()
        .dimensions(["slots", "kv_blocks"])
        .pools(["first", "other"])
        .tier(TierConfig::new("realtime").reserve_ppm(urgent_ppm).order(Order::Deadline))
        .tier(TierConfig::new("batch").reserve_ppm(50_000).queue_limit(20).order(order))
        .step_time(StepTime::new(MILLISECOND, MILLISECOND / 10, MILLISECOND))
        .stop_takes(400 * MILLISECOND)
        .swap_token(MILLISECOND / 16)
        .checkpoint_kib_per_token(64)
        .min_run(Duration::ZERO)
        .placement(Placement::PrefixAffinity)
        .affinity(Affinity::new(64).load_tokens(100).wait(200 * MILLISECOND))
        .build()
        .expect("a valid config")
}

impl Host {
    fn new(seed: u64) -> Self {
        let config = config(300_000);
        let now = Instant::from_nanos(7);
        let journal = Journal::new(config.clone(), now);
        Self {
            scheduler: Scheduler::new(config, now),
            journal,
            now,
            running: Vec::new(),
            submitted: Vec::new(),
            seed,
        }
    }

    /// Knuth's MMIX generator: good enough to mix verbs.
    fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    fn input(&mut self, input: Input) -> Option<Created> {
        let made = self.scheduler.apply(self.now, &input).ok();
        self.journal.input(self.now, input);
        made
    }

    fn submit(&mut self) {
        let tier = Tier::new((self.random(9) / 4) as u8); // one in nine names a third, which does not exist
        let mut spec = RequestSpec::new(TenantId::new(self.random(3) as u32), tier)
            .demand([1, 1 + self.random(12)])
            .prompt_tokens(self.random(1000))
            .yielding([Yielding::Restart, Yielding::Checkpoint, Yielding::Never][self.random(3) as usize])
            .tag(u64::MAX);
        spec.output_tokens = (self.random(2) == 0).then(|| self.random(500));
        spec.cached_tokens = self.random(1000);
        spec.deadline = (self.random(3) == 0).then(|| self.now.plus_nanos(self.random(1_000_000_000)));
        spec.queue_timeout_ns = (self.random(4) == 0).then(|| self.random(3_000_000_000));
        spec.peak[1] = 20;
        // One in twelve names a third pool, which does not exist.
        let other = PoolId::new(1 + (self.random(4) / 3) as u32);
        if self.random(3) == 0 {
            spec.other_pools = OtherPools::new(&[other]).expect("one");
        }
        if let Some(Created::Request(request)) = self.input(Input::Submit(spec)) {
            self.submitted.push(request);
        }
    }

    /// Reports something of something that runs, or of nothing that ever did.
    fn report(&mut self) {
        let stranger = (RequestId::from_bits(self.random(1 << 40)), Attempt::new(1));
        let chosen = self.random(self.running.len() as u64 + 1) as usize;
        let (request, attempt) = self.running.get(chosen).copied().unwrap_or(stranger);
        let in_use = Resources::from([1, 1 + self.random(14)]);
        let output_tokens = self.random(500);
        let usage = Usage { prompt_tokens: 5, cached_tokens: 3, output_tokens: self.random(500) };
        let input = match self.random(8) {
            0 | 1 => Input::Progress { request, attempt, output_tokens, in_use },
            2 => Input::Started { request, attempt, cached_tokens: self.random(1000), in_use },
            3 => Input::Declined { request, attempt, why: Decline::NoRoom },
            4 => Input::Failed { request, attempt },
            5 => Input::Cancel { request },
            _ => Input::Complete { request, attempt, usage },
        };
        self.input(input);
        let scheduler = &self.scheduler;
        self.running.retain(|&(request, _)| scheduler.state(request).is_ok());
    }

    /// A step of a worker, with what one of those that run says of itself, twice or not at all.
    fn step(&mut self) {
        let (chosen, times) = (self.random(self.running.len() as u64 + 1) as usize, self.random(4) as usize);
        let exception = self.running.get(chosen).map(|&(request, attempt)| {
            let in_use = Resources::from([1, 1 + self.seed % 20]);
            StepException { request, attempt, output_tokens: self.seed % 500, in_use }
        });
        let exceptions = exception.map_or(Vec::new(), |exception| vec![exception; times]);
        let (worker, tokens_each) = (WorkerId::new(self.random(7) as u32), self.random(200));
        self.input(Input::Step { worker, tokens_each, exceptions: exceptions.into() });
    }

    /// Changes one of the last requests, wherever it stands.
    fn amend(&mut self) {
        let back = self.random(12) as usize;
        let Some(&request) = self.submitted.iter().rev().nth(back) else { return };
        let amendment = Amendment {
            demand: (self.random(2) == 0).then(|| [1, 1 + self.random(12)].into()),
            peak: (self.random(2) == 0).then(|| [1, 12 + self.random(20)].into()),
            tier: (self.random(2) == 0).then(|| Tier::new(self.random(3) as u8)),
            deadline: (self.random(2) == 0).then_some(self.now),
        };
        self.input(Input::Amend { request, amendment });
    }

    fn worker(&mut self) -> WorkerId {
        WorkerId::new(self.random(9) as u32)
    }

    fn shrink(&mut self) -> Shrink {
        match self.random(2) {
            0 => Shrink::Drain,
            _ => Shrink::Preempt { after_ns: self.random(1_000_000_000) },
        }
    }

    /// Blocks of prompts that begin alike, of a request, and of a worker's cache.
    fn tell_of_blocks(&mut self) {
        let blocks: Box<[u64]> = (0..self.random(6)).map(|block| 100 + block).collect();
        let (worker, back) = (self.worker(), self.random(4) as usize);
        let input = match self.random(4) {
            0 => Input::CacheStored { worker, blocks },
            1 => Input::CacheEvicted { worker, blocks },
            _ => {
                let request = self.submitted.iter().rev().nth(back).copied();
                Input::PrefixSet { request: request.unwrap_or(RequestId::from_bits(1)), blocks }
            }
        };
        self.input(input);
    }

    /// Something happens to the machines; the larger limits come often enough that work goes on.
    fn change(&mut self) {
        let (worker, shrink, units) = (self.worker(), self.shrink(), self.random(60));
        let device = DeviceId::new(self.random(3) as u32);
        let input = match self.random(4) {
            0 => Input::WorkerResize { worker, capacity: [4, units].into(), shrink },
            1 => Input::WorkerUsage { worker, in_use: [2, units].into() },
            2 => Input::DeviceResize { device, limit: [0, units].into(), shrink },
            _ => Input::Reconfigure { config: Box::new(config(self.random(4) as u32 * 200_000)) },
        };
        self.input(input);
    }

    fn round(&mut self) {
        loop {
            let action = self.scheduler.poll(self.now);
            self.journal.poll(self.now);
            match action {
                None => return,
                Some(Action::Start { request, attempt, .. }) => self.running.push((request, attempt)),
                Some(Action::Preempt { victim: request, attempt, mode, .. }) => {
                    let tokens_kept = if mode == YieldMode::Checkpoint { self.random(1000) } else { 0 };
                    let release = if self.random(2) == 0 { Release::Later } else { Release::Done };
                    self.input(Input::Preempted { request, attempt, tokens_kept, release });
                    if release == Release::Later {
                        self.input(Input::Released { request, attempt });
                    }
                }
                Some(Action::Abort { request, attempt, .. }) => {
                    self.input(Input::Failed { request, attempt });
                }
                Some(Action::LeaseWanted { tenant, limit, seq, tokens: wanted, .. }) => {
                    // Some wishes are not answered, some are refused, and one grant is too large.
                    let valid_for_ns = 500_000_000 + self.random(2_000_000_000);
                    let tokens = [wanted, wanted, 0, wanted + 1][self.random(4) as usize];
                    if self.random(4) > 0 {
                        self.input(Input::LeaseGranted { tenant, limit, seq, tokens, valid_for_ns });
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn set_up(&mut self) {
        for name in ["acme", "a b \\ c", "", "line\nfeed", "acme", "Grüße", "all", "gone"] {
            self.input(Input::TenantSet { name: name.into() });
        }
        self.tree();
        for checkpoint_mib in [Some(60), None] {
            self.input(Input::DeviceAdd(DeviceSpec { limit: [5, 45].into(), checkpoint_mib }));
        }
        self.small_decisions();
        let device = DeviceId::new;
        for (capacity, devices) in [
            ([4, 40], [].as_slice()),
            ([4, 40], [(0, 1_000_000)].as_slice()),
            ([0, 0], [].as_slice()),
            ([4, 40], [(0, 500_000), (1, 333_333)].as_slice()),
            ([4, 40], [(1, 1_000_001)].as_slice()),
            ([4, 40], [(0, 1); 17].as_slice()),
            ([2, 20], [].as_slice()),
        ] {
            let spec = WorkerSpec::new(capacity);
            let on = |spec: WorkerSpec, &(number, ppm)| spec.on_part(device(number), Ppm::new(ppm));
            self.input(Input::WorkerAdd(devices.iter().fold(spec, on)));
        }
        self.input(Input::WorkerAdd(WorkerSpec::new([2, 30]).pool(PoolId::new(1))));
    }

    /// Tenants under one that stands for all, and what may not be said of a tree.
    fn tree(&mut self) {
        let [first, all, gone] = [0, 3, 4].map(TenantId::new);
        let below = |parent| Box::new(TenantPolicy::new().parent(parent));
        for (tenant, policy) in [
            (first, below(all)),
            (all, below(first)),
            (gone, below(TenantId::new(9))),
            (gone, Box::new(TenantPolicy::new().leased(true))),
            (gone, below(all)),
        ] {
            self.input(Input::TenantConfigure { tenant, policy });
        }
        for tenant in [all, gone, gone] {
            self.input(Input::TenantRemove { tenant });
        }
    }

    fn rate(&mut self, amount: u64) -> Option<Rate> {
        (self.random(3) > 0).then(|| Rate {
            amount: amount + self.random(amount),
            period_ns: 500_000_000 + self.random(2_000_000_000),
            burst: amount + self.random(amount),
        })
    }

    /// What a tenant may do changes, or one is to be forgotten while it has something open.
    fn tenant(&mut self) {
        let (tenant, all) = (TenantId::new(self.random(4) as u32), TenantId::new(3));
        if self.random(12) == 0 {
            self.input(Input::TenantRemove { tenant: all });
            return;
        }
        let policy = TenantPolicy {
            parent: (tenant != all && self.random(3) > 0).then_some(all),
            weight: self.random(4) as u32,
            most_urgent: Tier::new((self.random(6) / 3) as u8),
            requests: self.rate(3),
            tokens: self.rate(700),
            leased: self.random(6) == 0,
            max_running: (self.random(2) == 0).then(|| 1 + self.random(4)),
            max_in_use: [0, self.random(3) * 12].into(),
            queue_limit: (self.random(2) == 0).then(|| 1 + self.random(8)),
            queue_token_limit: (self.random(2) == 0).then(|| 1_000 + self.random(4_000)),
            over_quota: [OverQuota::Wait, OverQuota::Reject, OverQuota::Demote][self.random(3) as usize],
            allow_when_full: self.random(2) == 0,
        };
        self.input(Input::TenantConfigure { tenant, policy: Box::new(policy) });
    }

    /// What hangs on the tokens of a step, and on the limit that a device came with.
    fn small_decisions(&mut self) {
        let small = WorkerSpec::new([1, 10]);
        let limited = DeviceSpec { limit: [1, 0].into(), checkpoint_mib: None };
        let ask = |tier| Input::Submit(RequestSpec::new(TenantId::new(0), Tier::new(tier)).demand([1, 1]));
        for input in [Input::WorkerAdd(small.clone()), Input::WorkerAdd(small), ask(1), ask(1)] {
            self.input(input);
        }
        self.round();
        for (request, attempt) in self.running.clone() {
            self.input(Input::Progress { request, attempt, output_tokens: 1, in_use: [1, 1].into() });
        }
        self.input(Input::Step { worker: WorkerId::new(0), tokens_each: 100, exceptions: [].into() });
        self.input(ask(0));
        self.round();
        self.input(Input::DeviceAdd(limited));
        self.input(Input::WorkerAdd(WorkerSpec::new([2, 20]).on(DeviceId::new(2))));
        self.input(ask(1));
        self.round();
    }

    fn run(mut self) -> Journal {
        self.set_up();
        for step in 0..1000_u64 {
            self.now = self.now.plus_nanos(self.random(300_000_000));
            match (step, self.random(16)) {
                (600, _) => drop(self.input(Input::WorkerLost { worker: WorkerId::new(3) })),
                (800, _) => drop(self.input(Input::WorkerDrain { worker: WorkerId::new(5) })),
                (900, _) => drop(self.input(Input::DeviceLost { device: DeviceId::new(0) })),
                (_, 0..6) => self.submit(),
                (_, 6) => self.change(),
                (_, 7 | 8) => self.amend(),
                (_, 9 | 10) => self.step(),
                (_, 11) => self.tenant(),
                (_, 12 | 13) => self.tell_of_blocks(),
                _ => self.report(),
            }
            self.round();
        }
        self.fleet();
        self.journal
    }

    /// Workers that die together, come back again and again, and stand by.
    fn fleet(&mut self) {
        let on = DeviceId::new(3);
        self.input(Input::DeviceAdd(DeviceSpec::default()));
        let client = WorkerSpec::new([4, 400]).kind(WorkerKind::Mps).on(on);
        let add = |host: &mut Self, spec: WorkerSpec| match host.input(Input::WorkerAdd(spec)) {
            Some(Created::Worker(worker)) => worker,
            made => panic!("{made:?}"),
        };
        let mut flaps = add(self, client.clone());
        add(self, client.clone());
        for _ in 0..8 {
            add(self, WorkerSpec::new([40, 4_000]).spare()); // the first take places that are open
        }
        for turn in 0..24 {
            self.submit();
            self.submit();
            self.round();
            if turn % 4 == 3 {
                self.input(Input::WorkerLost { worker: flaps });
                flaps = add(self, client.clone().replaces(flaps));
            }
            self.now = self.now.plus_nanos(self.random(4_000_000_000));
        }
    }
}

/// In this one each field decides something.
const SEED: u64 = 7;

struct Case {
    journal: Journal,
    text: String,
    program: PathBuf,
}

fn case() -> &'static Case {
    static CASE: OnceLock<Case> = OnceLock::new();
    CASE.get_or_init(|| {
        let journal = Host::new(SEED).run();
        let mut text = String::new();
        journal.write(&mut text).expect("a string takes everything");
        let program = compile_by("gcc -std=c99", &[PROGRAM], "replay-static", Linkage::Static);
        Case { journal, text, program }
    })
}

/// A file with this text; tests run side by side, and each needs a name of its own.
fn file(name: &str, text: &str) -> PathBuf {
    let path = scratch(&format!("{name}.journal"));
    fs::write(&path, text).expect("the scratch folder is writable");
    path
}

fn corrupted(journal: &Path, action: u64) -> String {
    let number = action.to_string();
    let mut replay = Command::new(&case().program);
    succeed(replay.arg(journal).args(["--corrupt", &number]), "")
}

/// What a quiet run would not prove.
#[test]
fn the_journal_has_every_verb() {
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        fs::write(ffi("../tests/every_verb.journal"), &case().text).expect("tests/ is writable");
    }
    for verb in [
        "tenant_set",
        "tenant_configure",
        "tenant_remove",
        "lease_granted",
        "device_add",
        "device_resize",
        "device_lost",
        "worker_add",
        "worker_resize",
        "worker_usage",
        "worker_drain",
        "worker_lost",
        "cache_stored",
        "cache_evicted",
        "prefix_set",
        "reconfigure",
        "submit",
        "amend",
        "cancel",
        "step",
        "started",
        "declined",
        "progress",
        "preempted",
        "released",
        "complete",
        "failed",
        "poll",
    ] {
        assert!(case().text.contains(&format!(" {verb} ")), "no {verb}");
    }
    let rust = case().journal.replay();
    assert!(rust.actions > 200, "{rust}");
}

/// A change of one field wherever it stands.
type Change = (&'static str, fn(&mut Input));

fn changes_of_requests() -> [Change; 12] {
    fn submitted(input: &mut Input, change: fn(&mut RequestSpec)) {
        if let Input::Submit(spec) = input {
            change(spec);
        }
    }
    fn amended(input: &mut Input, change: fn(&mut Amendment)) {
        if let Input::Amend { amendment, .. } = input {
            change(amendment);
        }
    }
    [
        ("submit: peak", |input| submitted(input, |spec| spec.peak = Resources::ZERO)),
        ("submit: prompt", |input| submitted(input, |spec| spec.prompt_tokens = 0)),
        ("submit: cached", |input| submitted(input, |spec| spec.cached_tokens = 0)),
        ("submit: output", |input| submitted(input, |spec| spec.output_tokens = None)),
        ("submit: yielding", |input| submitted(input, |spec| spec.yielding = Yielding::Restart)),
        ("submit: deadline", |input| submitted(input, |spec| spec.deadline = None)),
        ("submit: timeout", |input| submitted(input, |spec| spec.queue_timeout_ns = None)),
        ("submit: other pools", |input| submitted(input, |spec| spec.other_pools = OtherPools::NONE)),
        ("amend: demand", |input| amended(input, |amendment| amendment.demand = None)),
        ("amend: peak", |input| amended(input, |amendment| amendment.peak = None)),
        ("amend: tier", |input| amended(input, |amendment| amendment.tier = None)),
        ("amend: deadline", |input| amended(input, |amendment| amendment.deadline = None)),
    ]
}

fn changes_of_tenants() -> [Change; 18] {
    fn granted(input: &mut Input, change: fn([&mut u64; 3])) {
        if let Input::LeaseGranted { seq, tokens, valid_for_ns, .. } = input {
            change([seq, tokens, valid_for_ns]);
        }
    }
    fn configured(input: &mut Input, change: fn(&mut TenantPolicy)) {
        if let Input::TenantConfigure { policy, .. } = input {
            change(policy);
        }
    }
    [
        ("parent", |input| configured(input, |policy| policy.parent = None)),
        ("weight", |input| configured(input, |policy| policy.weight = 1)),
        ("most_urgent", |input| configured(input, |policy| policy.most_urgent = Tier::P0)),
        ("requests", |input| configured(input, |policy| policy.requests = None)),
        ("tokens", |input| configured(input, |policy| policy.tokens = None)),
        ("tokens: amount", |input| {
            configured(input, |policy| {
                policy.tokens.iter_mut().for_each(|rate| rate.amount += 100);
            });
        }),
        ("tokens: period and burst", |input| {
            configured(input, |policy| {
                policy
                    .tokens
                    .iter_mut()
                    .for_each(|rate| std::mem::swap(&mut rate.period_ns, &mut rate.burst));
            });
        }),
        ("leased", |input| configured(input, |policy| policy.leased = false)),
        ("max_running", |input| configured(input, |policy| policy.max_running = None)),
        ("max_in_use", |input| configured(input, |policy| policy.max_in_use = Resources::ZERO)),
        ("queue_limit", |input| configured(input, |policy| policy.queue_limit = None)),
        ("queue_token_limit", |input| configured(input, |policy| policy.queue_token_limit = None)),
        ("over_quota", |input| configured(input, |policy| policy.over_quota = OverQuota::Wait)),
        ("allow_when_full", |input| configured(input, |policy| policy.allow_when_full = false)),
        ("granted: seq", |input| granted(input, |[seq, ..]| *seq = 0)),
        ("granted: tokens", |input| granted(input, |[_, tokens, _]| *tokens = 0)),
        ("granted: valid for", |input| granted(input, |[.., valid_for_ns]| *valid_for_ns = 1)),
        ("granted: limit", |input| {
            if let Input::LeaseGranted { limit, .. } = input {
                *limit = QuotaLimit::Requests;
            }
        }),
    ]
}

fn changes_of_machines() -> [Change; 18] {
    fn on_devices(input: &mut Input, change: fn(&mut WorkerSpec)) {
        if let Input::WorkerAdd(spec) = input {
            change(spec);
        }
    }
    [
        ("worker_add: devices", |input| on_devices(input, |spec| spec.devices.clear())),
        ("worker_add: part", |input| {
            on_devices(input, |spec| spec.devices.iter_mut().for_each(|part| part.part = Ppm::ONE));
        }),
        ("worker_add: kind", |input| on_devices(input, |spec| spec.kind = WorkerKind::Mig)),
        ("worker_add: spare", |input| on_devices(input, |spec| spec.spare = false)),
        ("worker_add: replaces", |input| on_devices(input, |spec| spec.replaces = None)),
        ("device_add: limit", |input| {
            if let Input::DeviceAdd(spec) = input {
                spec.limit = Resources::ZERO;
            }
        }),
        ("device_add: checkpoints", |input| {
            if let Input::DeviceAdd(spec) = input {
                spec.checkpoint_mib = None;
            }
        }),
        ("device_resize: limit", |input| {
            if let Input::DeviceResize { limit, .. } = input {
                *limit = Resources::ZERO;
            }
        }),
        ("device_resize: shrink", |input| {
            if let Input::DeviceResize { shrink, .. } = input {
                *shrink = Shrink::Drain;
            }
        }),
        ("worker_resize: capacity", |input| {
            if let Input::WorkerResize { capacity, .. } = input {
                *capacity = [4, 40].into();
            }
        }),
        ("worker_resize: shrink", |input| {
            if let Input::WorkerResize { shrink, .. } = input {
                *shrink = Shrink::Drain;
            }
        }),
        ("worker_usage: in_use", |input| {
            if let Input::WorkerUsage { in_use, .. } = input {
                *in_use = Resources::ZERO;
            }
        }),
        ("cache_stored: blocks", |input| {
            if let Input::CacheStored { blocks, .. } = input {
                *blocks = [].into();
            }
        }),
        ("cache_evicted: blocks", |input| {
            if let Input::CacheEvicted { blocks, .. } = input {
                *blocks = [].into();
            }
        }),
        ("prefix_set: blocks", |input| {
            if let Input::PrefixSet { blocks, .. } = input {
                *blocks = [].into();
            }
        }),
        ("step: tokens", |input| {
            if let Input::Step { tokens_each, .. } = input {
                *tokens_each = 0;
            }
        }),
        ("step: exceptions", |input| {
            if let Input::Step { exceptions, .. } = input {
                *exceptions = [].into();
            }
        }),
        ("reconfigure", |input| {
            if let Input::Reconfigure { config } = input {
                **config = self::config(300_000);
            }
        }),
    ]
}

/// Nobody proves that a door hands on a field that decides nothing.
#[test]
fn every_field_of_the_journal_decides_something() {
    let decides = |journal: &Journal, change: fn(&mut Input)| {
        let mut changed = journal.clone();
        for (_, entry) in &mut changed.entries {
            if let Entry::Input(input) = entry {
                change(input);
            }
        }
        changed.replay().digest != journal.replay().digest
    };
    // In what one seed leaves to chance, another has it.
    let others: Vec<_> = (1..=40).map(|seed| Host::new(seed).run()).collect();
    let changes = changes_of_requests().into_iter().chain(changes_of_tenants()).chain(changes_of_machines());
    for (field, change) in changes {
        let mut journals = std::iter::once(&case().journal).chain(&others);
        assert!(journals.any(|journal| decides(journal, change)), "{field}");
    }
}

#[test]
fn c_gives_the_digest_of_rust() {
    let journal = file("same", &case().text);
    let rust = case().journal.replay();
    let line = format!("{rust}\n");
    assert_eq!(succeed(Command::new(&case().program).arg(&journal), ""), line);
    assert_eq!(succeed(valgrind(&case().program).arg(&journal), "valgrind"), line);
    for (number, (compiler, linkage)) in COMPILERS.into_iter().enumerate() {
        let program = compile_by(compiler, &[PROGRAM], &format!("replay-{number}"), linkage);
        assert_eq!(succeed(Command::new(program).arg(&journal), ""), line);
    }
}

#[test]
fn one_wrong_bit_in_any_action_changes_the_digest() {
    let journal = file("wrong", &case().text);
    let rust = case().journal.replay();
    let line = format!("{rust}\n");
    assert_eq!(corrupted(&journal, rust.actions + 1), line, "no action has this number");
    for action in [1, rust.actions / 2, rust.actions] {
        let wrong = corrupted(&journal, action);
        assert_ne!(wrong, line, "action {action}");
        let counts = |line: &str| line.split_once(" actions ").map(|(_, counts)| counts.to_owned());
        assert_eq!(counts(&wrong), counts(&line), "action {action}");
    }
}

#[test]
fn a_bad_journal_is_one_line_that_names_the_place() {
    let text = &case().text;
    let lines = text.lines().count();
    let torn = text.len() - 3;
    for (name, bad, place) in [
        ("torn", text[..torn].to_owned(), format!(":{lines}: the file is torn")),
        ("version", text.replacen("journal 1", "journal 2", 1), ":1: not a journal of version 1".into()),
        (
            "list",
            text.replacen(" 2 0 500000 1 333333", " 3 0 500000 1 333333", 1),
            ": a number is missing".into(),
        ),
        (
            "announced",
            text.replacen(" 1 0 1000000", " 18446744073709551615 0 1000000", 1),
            ": a number is missing".into(),
        ),
        ("verb", text.replacen(" tenant_set ", " tenant_sit ", 1), ": no such verb".into()),
        (
            "control",
            text.replacen(" tenant_set acme", " tenant_set ac\tme", 1),
            ": a control character stands in the name".into(),
        ),
        (
            "escape",
            text.replacen(" tenant_set acme", " tenant_set \\x41cme", 1),
            ": a backslash in the name is not \\xHH of such a byte".into(),
        ),
        ("head", text.replacen("journal 1\n", "journal 1 1\n", 1), ":1: the line has too many fields".into()),
        ("tail", format!("{} 0\n", text.trim_end()), format!(":{lines}: the line has too many fields")),
        ("count", text.replacen("\nend ", "\nend 1", 1), ": `end` counts other inputs".into()),
    ] {
        let path = file(name, &bad);
        let refused = output(Command::new(&case().program).arg(&path), "");
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{name}: {message}");
        assert!(refused.stdout.is_empty(), "{name}");
        assert!(message.lines().count() == 1 && message.contains(&place), "{name}: {message}");
    }
}
