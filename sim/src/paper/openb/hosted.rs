//! tidegate in the cluster, through its public verbs alone.
//!
//! A GPU is a device, and the process that serves it a worker with all its thousandths, whose clients are the pods; or it is cut
//! into replicas, each of which may use all that the others leave. Classes are tiers.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate::{
    Action, Attempt, Config, DeviceId, Instant, Release, RequestId, RequestSpec, Resources, Scheduler,
    Sharing, TenantId, Tier, TierConfig, Usage, WorkerId, WorkerKind, WorkerSpec, Yielding,
};

use super::cluster::Gpus;
use super::pods::{CLASSES, GPU_MILLI, Pod};
use super::serve::{Policy, Step};

/// Of the tiers: most of what the trace asks for at any time is asked for by LS; BE has the floor of the default set-up.
const RESERVES_PPM: [u32; CLASSES.len()] = [700_000, 0, 50_000];
/// A pod that finds no room waits for so long before a GPU is kept clear for it.
const PATIENCE: Duration = Duration::from_secs(24 * 3_600);

const OURS: &str = "the host tells the scheduler only what follows from its own actions";

/// The scheduler, and what it knows the cluster's things by.
#[derive(Debug)]
pub struct Hosted {
    scheduler: Scheduler,
    tenant: TenantId,
    /// How each GPU is cut.
    sharing: Sharing,
    /// By GPU: the device of the process that serves it now, and the first of its workers.
    devices: Vec<(DeviceId, WorkerId)>,
    gpus_of: BTreeMap<WorkerId, usize>,
    /// By our numbers: theirs, and the attempt of those that were started.
    requests: BTreeMap<usize, (RequestId, Option<Attempt>)>,
    by_id: BTreeMap<RequestId, usize>,
    /// One in so many pods cannot start over, if any.
    never: Option<usize>,
    wakes_at: Option<u64>,
}

impl Hosted {
    /// So many GPUs, each cut into so many clients of a server; one in `never` pods, by their numbers, cannot start over.
    #[must_use]
    pub fn new(gpus: usize, replicas: u32, never: Option<usize>) -> Self {
        let tiers = CLASSES.iter().zip(RESERVES_PPM);
        // Pods run for minutes to months: what is idle is lent at once, and a GPU is not soon kept clear for a large one.
        let tier = |(&name, reserve): (&&'static str, u32)| {
            TierConfig::new(name).reserve_ppm(reserve).hold_window(Duration::ZERO)
        };
        let tiers = tiers.map(tier);
        let config = Config::builder().dimensions(["gpu_milli"]).max_bypass(u32::MAX).drain_after(PATIENCE);
        let config = tiers.fold(config, |config, tier| config.tier(tier));
        let config = config.build().expect("the config has no fault");
        let mut scheduler = Scheduler::new(config, Instant::ZERO);
        let tenant = scheduler.tenant_set(Instant::ZERO, "openb").expect(OURS);
        let mut hosted = Self {
            scheduler,
            tenant,
            sharing: Sharing { kind: WorkerKind::Mps, replicas },
            devices: Vec::new(),
            gpus_of: BTreeMap::new(),
            requests: BTreeMap::new(),
            by_id: BTreeMap::new(),
            never,
            wakes_at: None,
        };
        for gpu in 0..gpus {
            let served = hosted.serve(Instant::ZERO, gpu);
            hosted.devices.push(served);
        }
        hosted
    }

    /// A process that serves a GPU begins: a new device, and its workers.
    fn serve(&mut self, now: Instant, gpu: usize) -> (DeviceId, WorkerId) {
        let (spec, capacity) = self.sharing.cut([u64::from(GPU_MILLI)]);
        let device = self.scheduler.device_add(now, spec).expect(OURS);
        (device, self.begin(now, gpu, device, capacity))
    }

    /// All workers of a device begin. Returns the first.
    fn begin(&mut self, now: Instant, gpu: usize, device: DeviceId, capacity: Resources) -> WorkerId {
        let spec = WorkerSpec::new(capacity).kind(self.sharing.kind).on(device);
        let workers = (0..self.sharing.replicas.max(1))
            .map(|_| self.scheduler.worker_add(now, spec.clone()).expect(OURS));
        let workers: Vec<WorkerId> = workers.collect();
        self.gpus_of.extend(workers.iter().map(|&worker| (worker, gpu)));
        workers[0]
    }

    fn forget(&mut self, id: usize) -> (RequestId, Option<Attempt>) {
        let (request, attempt) = self.requests.remove(&id).expect(OURS);
        self.by_id.remove(&request);
        (request, attempt)
    }
}

impl Policy for Hosted {
    fn submit(&mut self, now_ns: u64, id: usize, pod: &Pod) {
        let tier = Tier::new(u8::try_from(pod.class).expect("few"));
        let is_never = self.never.is_some_and(|every| id.is_multiple_of(every));
        let yielding = if is_never { Yielding::Never } else { Yielding::Restart };
        let spec = RequestSpec::new(self.tenant, tier).demand([u64::from(pod.milli)]).yielding(yielding);
        let request = self.scheduler.submit(Instant::from_nanos(now_ns), spec).expect(OURS);
        self.requests.insert(id, (request, None));
        self.by_id.insert(request, id);
    }

    fn next(&mut self, now_ns: u64, _gpus: &Gpus) -> Option<Step> {
        let now = Instant::from_nanos(now_ns);
        // Whoever is named is of a GPU whose server died: `serve` took its pods from it.
        let is_news = |action: &Action| !matches!(action, Action::AlsoLost { .. });
        let Some(action) = std::iter::from_fn(|| self.scheduler.poll(now)).find(is_news) else {
            self.wakes_at = self.scheduler.poll_timeout().map(Instant::as_nanos);
            return None;
        };
        Some(match action {
            Action::Start { request, attempt, worker, .. } => {
                let id = self.by_id[&request];
                self.requests.insert(id, (request, Some(attempt)));
                Step::Start { id, gpu: self.gpus_of[&worker] }
            }
            Action::Preempt { victim, attempt, .. } => {
                self.scheduler.preempted(now, victim, attempt, 0, Release::Done).expect(OURS);
                Step::Stop { id: self.by_id[&victim] }
            }
            Action::Drop { request, .. } => {
                let id = self.by_id[&request];
                self.forget(id);
                Step::Fail { id }
            }
            // Victims stop at once, and use what they asked for: nobody is spared, stuck or aborted.
            other => unreachable!("{other:?}"),
        })
    }

    fn ended(&mut self, now_ns: u64, id: usize) {
        let (request, attempt) = self.forget(id);
        let attempt = attempt.expect(OURS);
        self.scheduler.complete(Instant::from_nanos(now_ns), request, attempt, Usage::default()).expect(OURS);
    }

    fn died(&mut self, now_ns: u64, gpu: usize, _ran: &[(usize, u32)]) {
        let now = Instant::from_nanos(now_ns);
        // The host hears of one client; the GPU itself is there.
        let (device, first) = self.devices[gpu];
        self.scheduler.worker_lost(now, first).expect(OURS);
        let (_, capacity) = self.sharing.cut([u64::from(GPU_MILLI)]);
        self.devices[gpu].1 = self.begin(now, gpu, device, capacity);
    }

    fn wakes_at(&self) -> Option<u64> {
        self.wakes_at
    }
}
