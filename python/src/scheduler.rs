//! The scheduler as a Python object that any thread may call: one lock around the core ([`Access`]), every verb and
//! observer of the core under its own name.

mod reach;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{IntoPyDict, PyBytes, PyDict, PyList, PyType};
use tidegate::{
    Amendment, Decline, DeviceId, DeviceSpec, InputError, Instant, OverQuota, QuotaLimit, ReportError,
    RequestId, RequestSpec, RequestState, Resources, TenantId, TenantPolicy, Usage, WorkerId, WorkerKind,
    WorkerSpec, Yielding,
};

use crate::access::Access;
use crate::action;
use crate::argument::{self, Named, Pools, Whole, about, at, id, release, shrink, start};
use crate::batch::{Completions, Submissions};
use crate::config::Config;
use crate::error;
use crate::guard::{self, Guarded};
use crate::metrics;
use crate::record;
use crate::request;
use crate::snapshot;
use crate::stats::Stats;
use crate::word::Member;

/// Decides which request runs now, which waits, and which yields. Thread-safe; never reads a clock.
///
/// Made for a `config`. `now_ns` is the host's monotonic time in nanoseconds, and always a keyword. Ids and numbers are
/// plain: `request` is what `submit` returned, `attempt` what its `Start` told, `worker`, `device` and `tenant` what
/// `worker_add`, `device_add` and `tenant_set` returned; tiers, pools and, in `submit`, tenants also go by name. Units
/// (`demand`, `peak`, `capacity`, `in_use`) are a mapping by the names of the dimensions, in which what is absent is 0, or
/// numbers in their order. Tokens are counts, spans end in `_ns`. Every exception that this raises for what the caller said is a
/// `tidegate.Error`, and changes nothing; a value of the wrong type is a `TypeError`.
#[pyclass(frozen, module = "tidegate")]
pub(crate) struct Scheduler {
    core: Access,
    /// The config it was made with: what things are called stays, whatever else `reconfigure` changes.
    names: Py<Config>,
}

#[pymethods]
impl Scheduler {
    #[new]
    #[pyo3(signature = (config, *, now_ns))]
    fn new(py: Python<'_>, config: Py<Config>, now_ns: Whole<u64>) -> PyResult<Self> {
        let description = config.get().core.clone();
        let core = guard::caught(|| tidegate::Scheduler::new(description, at(now_ns)))
            .map_err(|closed| error::closed(py, &closed))?;
        Ok(Self { core: Access::Own(Guarded::new(core)), names: config })
    }

    /// Makes the scheduler that `data`, from `snapshot`, was taken of: it goes on as that would, and told the same decides the same.
    ///
    /// Under a `config` with other settings it is reconfigured. The host's clock must go on from `now_ns`; what came after the
    /// snapshot is not known, and ids that were given after it are given again. Raises `SnapshotError`.
    #[classmethod]
    fn restore(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        config: Py<Config>,
        data: PyBackedBytes,
    ) -> PyResult<Self> {
        let core = snapshot::restored(py, &config.get().core, &data)?;
        Ok(Self { core: Access::Own(Guarded::new(core)), names: config })
    }

    /// All that it knows, its config too, as bytes for `restore`.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.change(py, |core| core.snapshot())?))
    }

    /// How `pickle` and `copy` make another that is as this one is.
    #[allow(clippy::type_complexity, reason = "what `__reduce__` has to return")]
    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Config, Bound<'py, PyBytes>))> {
        let restore = py.get_type::<Self>().getattr("restore")?;
        Ok((restore, (self.config(py)?, self.snapshot(py)?)))
    }

    /// The latest `now_ns` of any call.
    #[getter]
    fn now_ns(&self, py: Python<'_>) -> PyResult<u64> {
        self.ask(py, |core| core.now().as_nanos())
    }

    /// The config it has now.
    #[getter]
    fn config(&self, py: Python<'_>) -> PyResult<Config> {
        self.ask(py, |core| Config { core: core.config().clone() })
    }

    /// Takes another config with the same dimensions, pools and tiers. Timeouts that run already stay.
    ///
    /// Raises `ConfigError` with a fault for each name that differs.
    #[pyo3(signature = (config, *, now_ns))]
    fn reconfigure(&self, py: Python<'_>, config: Py<Config>, now_ns: Whole<u64>) -> PyResult<()> {
        let description = config.get().core.clone();
        self.tell(py, |core| core.reconfigure(at(now_ns), description))
    }

    /// Makes a tenant known and returns its number; the same name gives the same number.
    ///
    /// `submit` does it for a name it does not know. Raises `TenantError`.
    #[pyo3(signature = (name, *, now_ns))]
    fn tenant_set(&self, py: Python<'_>, name: &Bound<'_, PyAny>, now_ns: Whole<u64>) -> PyResult<u32> {
        let name = argument::text(name).map_err(|error| error::about(py, error, "name"))?;
        self.tell(py, |core| core.tenant_set(at(now_ns), &name)).map(TenantId::get)
    }

    /// Says where a tenant stands, what it weighs, and what it may use, instead of what was said before; for what is
    /// open too.
    ///
    /// It stands below `parent`, if there is one, weighs `weight` among its siblings and its tier's tenants, and may use tiers
    /// from `most_urgent` on. `requests` and `tokens` are `Rate`s, which replicas share if they are `leased`; `max_running`
    /// counts requests at once, `max_in_use` units at once, `queue_limit` requests that wait and `queue_token_limit` their
    /// tokens; what is not given is no limit. `over_quota` says what becomes of a request beyond them, and with
    /// `allow_when_full` one that is larger than a burst may start on a full one. Raises `TenantError`, `UnknownTier`.
    #[pyo3(
        signature = (
            tenant, *, parent=None, weight=Whole(1), most_urgent=Named::FIRST, requests=None, tokens=None, leased=false,
            max_running=None, max_in_use=None, queue_limit=None, queue_token_limit=None,
            over_quota=Member(OverQuota::Wait), allow_when_full=false, now_ns
        ),
        text_signature = "($self, tenant, *, parent=None, weight=1, most_urgent=0, requests=None, tokens=None, \
            leased=False, max_running=None, max_in_use=None, queue_limit=None, queue_token_limit=None, \
            over_quota='wait', allow_when_full=False, now_ns)"
    )]
    #[allow(clippy::too_many_arguments, reason = "most are keywords in Python")]
    fn tenant_configure(
        &self,
        py: Python<'_>,
        tenant: Whole<u32>,
        parent: Option<Whole<u32>>,
        weight: Whole<u32>,
        most_urgent: Named,
        requests: Option<&Bound<'_, PyAny>>,
        tokens: Option<&Bound<'_, PyAny>>,
        leased: bool,
        max_running: Option<Whole<u64>>,
        max_in_use: Option<&Bound<'_, PyAny>>,
        queue_limit: Option<Whole<u64>>,
        queue_token_limit: Option<Whole<u64>>,
        over_quota: Member<OverQuota>,
        allow_when_full: bool,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        let policy = TenantPolicy {
            parent: parent.map(|parent| TenantId::new(parent.0)),
            weight: weight.0,
            most_urgent: argument::tier(py, self.description(), &most_urgent)?,
            requests: about("requests", requests, record::rate)?,
            tokens: about("tokens", tokens, record::rate)?,
            leased,
            max_running: max_running.map(|limit| limit.0),
            max_in_use: max_in_use
                .map_or(Ok(Resources::ZERO), |units| self.resources("max_in_use", units))?,
            queue_limit: queue_limit.map(|limit| limit.0),
            queue_token_limit: queue_token_limit.map(|limit| limit.0),
            over_quota: over_quota.0,
            allow_when_full,
        };
        self.tell(py, |core| core.tenant_configure(at(now_ns), TenantId::new(tenant.0), &policy))
    }

    /// Forgets a tenant without live requests, and below which there is none; its debts too. Raises `TenantError`.
    #[pyo3(signature = (tenant, *, now_ns))]
    fn tenant_remove(&self, py: Python<'_>, tenant: Whole<u32>, now_ns: Whole<u64>) -> PyResult<()> {
        self.tell(py, |core| core.tenant_remove(at(now_ns), TenantId::new(tenant.0)))
    }

    /// Takes the store's answer to the wish `seq`: so many tokens (requests, if that is the limit), which go back if they are
    /// not used for `valid_for_ns`.
    ///
    /// What answers no wish that waits (a duplicate, an answer that is too late, one to a tenant that is gone or leases no
    /// more) changes nothing. Raises `TenantError`.
    #[pyo3(signature = (tenant, limit, seq, tokens, valid_for_ns, *, now_ns))]
    #[allow(clippy::too_many_arguments, reason = "the fields of a grant")]
    fn lease_granted(
        &self,
        py: Python<'_>,
        tenant: Whole<u32>,
        limit: Member<QuotaLimit>,
        seq: Whole<u64>,
        tokens: Whole<u64>,
        valid_for_ns: Whole<u64>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        let tenant = TenantId::new(tenant.0);
        self.tell(py, |core| core.lease_granted(at(now_ns), tenant, limit.0, seq.0, tokens.0, valid_for_ns.0))
    }

    /// Adds a device that workers can stand on and returns its number.
    ///
    /// `limit` is what all workers on it may use together; 0 or nothing is no limit. `checkpoint_mib` is how
    /// much memory checkpoints made on it may take. Raises `WorkerError`.
    #[pyo3(
        signature = (limit=None, *, checkpoint_mib=None, now_ns),
        text_signature = "($self, limit=None, *, checkpoint_mib=None, now_ns)"
    )]
    fn device_add(
        &self,
        py: Python<'_>,
        limit: Option<&Bound<'_, PyAny>>,
        checkpoint_mib: Option<Whole<u64>>,
        now_ns: Whole<u64>,
    ) -> PyResult<u32> {
        let limit = limit.map_or(Ok(Resources::ZERO), |limit| self.resources("limit", limit))?;
        let spec = DeviceSpec { limit, checkpoint_mib: checkpoint_mib.map(|mib| mib.0) };
        self.tell(py, |core| core.device_add(at(now_ns), spec)).map(DeviceId::get)
    }

    /// Gives a device another limit. What is beyond it then drains, or is stopped `preempt_after_ns` later.
    /// Raises `WorkerError`.
    #[pyo3(signature = (device, limit, *, preempt_after_ns=None, now_ns))]
    fn device_resize(
        &self,
        py: Python<'_>,
        device: Whole<u32>,
        limit: &Bound<'_, PyAny>,
        preempt_after_ns: Option<Whole<u64>>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        let (limit, shrink) = (self.resources("limit", limit)?, shrink(preempt_after_ns));
        self.tell(py, |core| core.device_resize(at(now_ns), DeviceId::new(device.0), limit, shrink))
    }

    /// The device is gone, and all workers on it with it: as `worker_lost` for each. Raises `WorkerError`.
    #[pyo3(signature = (device, *, now_ns))]
    fn device_lost(&self, py: Python<'_>, device: Whole<u32>, now_ns: Whole<u64>) -> PyResult<()> {
        self.tell(py, |core| core.device_lost(at(now_ns), DeviceId::new(device.0)))
    }

    /// Adds a worker to a pool and returns its number.
    ///
    /// It has `capacity`, in units, and is of the `pool`. It stands on `devices`, each a `DevicePart`; without any it is a device of its own.
    /// Its `kind` says how it shares them. A `spare` stands by until another of its pool is lost by a fault, and takes that one's
    /// place. It `replaces` a lost worker of its pool, and is kept out for a while if that was lost again and again. Raises `WorkerError`.
    #[pyo3(
        signature = (
            capacity, *, pool=Named::FIRST, devices=None, kind=Member(WorkerKind::Dedicated), spare=false, replaces=None,
            now_ns
        ),
        text_signature =
            "($self, capacity, *, pool=0, devices=None, kind='dedicated', spare=False, replaces=None, now_ns)"
    )]
    #[allow(clippy::too_many_arguments)] // they are the keywords of the method
    fn worker_add(
        &self,
        py: Python<'_>,
        capacity: &Bound<'_, PyAny>,
        pool: Named,
        devices: Option<&Bound<'_, PyAny>>,
        kind: Member<WorkerKind>,
        spare: bool,
        replaces: Option<Whole<u32>>,
        now_ns: Whole<u64>,
    ) -> PyResult<u32> {
        let pool = argument::pool(py, self.description(), &pool)?;
        let mut spec = WorkerSpec::new(self.resources("capacity", capacity)?).pool(pool).kind(kind.0);
        (spec.spare, spec.replaces) = (spare, replaces.map(|lost| WorkerId::new(lost.0)));
        spec.devices = about("devices", devices, record::devices)?.unwrap_or_default();
        self.tell(py, |core| core.worker_add(at(now_ns), spec)).map(WorkerId::get)
    }

    /// Gives a worker another capacity. What is beyond it then drains, or is stopped `preempt_after_ns` later.
    /// Raises `WorkerError`.
    #[pyo3(signature = (worker, capacity, *, preempt_after_ns=None, now_ns))]
    fn worker_resize(
        &self,
        py: Python<'_>,
        worker: Whole<u32>,
        capacity: &Bound<'_, PyAny>,
        preempt_after_ns: Option<Whole<u64>>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        let (capacity, shrink) = (self.resources("capacity", capacity)?, shrink(preempt_after_ns));
        self.tell(py, |core| core.worker_resize(at(now_ns), WorkerId::new(worker.0), capacity, shrink))
    }

    /// The engine holds `in_use` in all, whatever its requests add up to: what several share counts once. What
    /// requests change from then on counts on top, until the next call. Raises `WorkerError`.
    #[pyo3(signature = (worker, *, in_use, now_ns))]
    fn worker_usage(
        &self,
        py: Python<'_>,
        worker: Whole<u32>,
        in_use: &Bound<'_, PyAny>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        let in_use = self.resources("in_use", in_use)?;
        self.tell(py, |core| core.worker_usage(at(now_ns), WorkerId::new(worker.0), in_use))
    }

    /// The worker has these blocks in its cache, those of a prompt from its beginning as hashes of which each covers those before it,
    /// and used them just now. Raises `WorkerError`.
    #[pyo3(signature = (worker, *, blocks, now_ns))]
    fn cache_stored(
        &self,
        py: Python<'_>,
        worker: Whole<u32>,
        blocks: &Bound<'_, PyAny>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        let blocks = record::blocks(blocks)?;
        self.tell(py, |core| core.cache_stored(at(now_ns), WorkerId::new(worker.0), &blocks))
    }

    /// The worker threw these blocks out of its cache; one that others there follow goes when they do. Raises `WorkerError`.
    #[pyo3(signature = (worker, *, blocks, now_ns))]
    fn cache_evicted(
        &self,
        py: Python<'_>,
        worker: Whole<u32>,
        blocks: &Bound<'_, PyAny>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        let blocks = record::blocks(blocks)?;
        self.tell(py, |core| core.cache_evicted(at(now_ns), WorkerId::new(worker.0), &blocks))
    }

    /// Tells the blocks of a waiting request's prompt, as `cache_stored` does those of a worker: it goes where they are.
    ///
    /// Raises `ReportError`.
    #[pyo3(signature = (request, *, blocks, now_ns))]
    fn prefix_set(
        &self,
        py: Python<'_>,
        request: Whole<u64>,
        blocks: &Bound<'_, PyAny>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        let blocks = record::blocks(blocks)?;
        self.tell(py, |core| core.prefix_set(at(now_ns), id(request), &blocks))
    }

    /// One call for a whole engine step: every request on the worker that has reported generated
    /// `tokens_each` tokens, but those in `exceptions`, each a `StepException`, which report as by `progress`.
    ///
    /// Refused whole, with `WorkerError`, or with `ReportError` for a request of an exception.
    #[pyo3(
        signature = (worker, *, tokens_each=Whole(1), exceptions=None, now_ns),
        text_signature = "($self, worker, *, tokens_each=1, exceptions=None, now_ns)"
    )]
    fn step(
        &self,
        py: Python<'_>,
        worker: Whole<u32>,
        tokens_each: Whole<u64>,
        exceptions: Option<&Bound<'_, PyAny>>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        let read = |items| record::exceptions(self.description(), items);
        let exceptions = about("exceptions", exceptions, read)?.unwrap_or_default();
        self.tell(py, |core| core.step(at(now_ns), WorkerId::new(worker.0), tokens_each.0, &exceptions))
    }

    /// Starts nothing more on the worker; what runs there runs to its end. Raises `WorkerError`.
    #[pyo3(signature = (worker, *, now_ns))]
    fn worker_drain(&self, py: Python<'_>, worker: Whole<u32>, now_ns: Whole<u64>) -> PyResult<()> {
        self.tell(py, |core| core.worker_drain(at(now_ns), WorkerId::new(worker.0)))
    }

    /// The worker is gone with all that ran there; its requests wait again. Raises `WorkerError`.
    #[pyo3(signature = (worker, *, now_ns))]
    fn worker_lost(&self, py: Python<'_>, worker: Whole<u32>, now_ns: Whole<u64>) -> PyResult<()> {
        self.tell(py, |core| core.worker_lost(at(now_ns), WorkerId::new(worker.0)))
    }

    /// Submits a request and returns its id.
    ///
    /// Tenant, tier and pool are given by name or by number; `demand` and `peak` by the names of the dimensions
    /// or in their order. A list of up to four pools is one in order of preference: the request starts in the first where it
    /// can at once, else it waits in the first that can hold it. `peak` is at least `demand`, and `queue_timeout_ns` is the tier's, if not given.
    /// Of `prompt_tokens`, `cached_tokens` are in an engine's cache; `output_tokens` is how many it will generate, if somebody
    /// knows. `yielding` says what it can do when it has to make room. `deadline_ns`, an instant, orders a tier that is
    /// ordered so, and drops nothing. `tag` is the host's own number, which a journal keeps. Raises `SubmitError`, or `TenantError` for a new name that cannot be a tenant's.
    #[pyo3(
        signature = (
            *, tenant, tier, demand, pool=Pools::FIRST, peak=None, prompt_tokens=Whole(0),
            cached_tokens=Whole(0), output_tokens=None, yielding=Member(Yielding::Restart), deadline_ns=None,
            queue_timeout_ns=None, tag=Whole(0), now_ns
        ),
        text_signature = "($self, *, tenant, tier, demand, pool=0, peak=None, prompt_tokens=0, \
            cached_tokens=0, output_tokens=None, yielding='restart', deadline_ns=None, \
            queue_timeout_ns=None, tag=0, now_ns)"
    )]
    #[allow(clippy::too_many_arguments, reason = "all are keywords in Python")]
    fn submit(
        &self,
        py: Python<'_>,
        tenant: Named,
        tier: Named,
        demand: &Bound<'_, PyAny>,
        pool: Pools,
        peak: Option<&Bound<'_, PyAny>>,
        prompt_tokens: Whole<u64>,
        cached_tokens: Whole<u64>,
        output_tokens: Option<Whole<u64>>,
        yielding: Member<Yielding>,
        deadline_ns: Option<Whole<u64>>,
        queue_timeout_ns: Option<Whole<u64>>,
        tag: Whole<u64>,
        now_ns: Whole<u64>,
    ) -> PyResult<u64> {
        let spec = request::spec(
            py,
            self.description(),
            &tier,
            demand,
            &pool,
            peak,
            prompt_tokens,
            cached_tokens,
            output_tokens,
            yielding,
            deadline_ns,
            queue_timeout_ns,
            tag,
        )?;
        let submitted = self.tell(py, |core| -> Result<_, InputError> {
            let tenant = match &tenant {
                Named::Name(name) => core.tenant_set(at(now_ns), name)?,
                Named::Number(number) => TenantId::new(*number),
            };
            Ok(core.submit(at(now_ns), RequestSpec { tenant, ..spec })?)
        });
        submitted.map(RequestId::to_bits)
    }

    /// Submits many `requests` in their order, each a `RequestSpec`, and returns what became of them: for each its id, or
    /// the `tidegate.Error` that `submit` would raise. One that is refused keeps none of the others back.
    ///
    /// An item of the wrong type raises `TypeError`, and none is submitted.
    #[pyo3(signature = (requests, *, now_ns))]
    fn submit_many<'py>(
        &self,
        py: Python<'py>,
        requests: &Bound<'py, PyAny>,
        now_ns: Whole<u64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut requests = Submissions::read(self.description(), requests)
            .map_err(|error| error::about(py, error, "requests"))?;
        let submitted = self.change(py, |core| requests.submit(core, at(now_ns)))?;
        let dimensions: Vec<_> = self.description().dimensions().collect();
        requests.answers(py, &dimensions, submitted)
    }

    /// Changes what a live request asks for (`demand`, `peak`), how urgent it is (`tier`), or when its answer is wanted
    /// (`deadline_ns`); what is not given stays. One on a worker asks for it at its next start.
    ///
    /// Raises `SubmitError` for what it would ask then, `ReportError` for the request itself.
    #[pyo3(signature = (request, *, demand=None, peak=None, tier=None, deadline_ns=None, now_ns))]
    #[allow(clippy::too_many_arguments, reason = "most are keywords in Python")]
    fn amend(
        &self,
        py: Python<'_>,
        request: Whole<u64>,
        demand: Option<&Bound<'_, PyAny>>,
        peak: Option<&Bound<'_, PyAny>>,
        tier: Option<Named>,
        deadline_ns: Option<Whole<u64>>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        let amendment = Amendment {
            demand: demand.map(|demand| self.resources("demand", demand)).transpose()?,
            peak: peak.map(|peak| self.resources("peak", peak)).transpose()?,
            tier: tier.map(|tier| argument::tier(py, self.description(), &tier)).transpose()?,
            deadline: deadline_ns.map(at),
        };
        self.tell(py, |core| core.amend(at(now_ns), id(request), amendment))
    }

    /// Ends a request of which the engine holds nothing, or nothing any more. Raises `ReportError`.
    #[pyo3(signature = (request, *, now_ns))]
    fn cancel(&self, py: Python<'_>, request: Whole<u64>, now_ns: Whole<u64>) -> PyResult<()> {
        self.tell(py, |core| core.cancel(at(now_ns), id(request)))
    }

    /// The engine took the request; `in_use` is what it holds now, `cached_tokens` what of its prompt was in a cache. Optional: the first report implies it.
    /// Raises `ReportError`.
    #[pyo3(
        signature = (request, attempt, *, cached_tokens=Whole(0), in_use, now_ns),
        text_signature = "($self, request, attempt, *, cached_tokens=0, in_use, now_ns)"
    )]
    fn started(
        &self,
        py: Python<'_>,
        request: Whole<u64>,
        attempt: Whole<u32>,
        cached_tokens: Whole<u64>,
        in_use: &Bound<'_, PyAny>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        let in_use = self.resources("in_use", in_use)?;
        self.tell(py, |core| core.started(at(now_ns), id(request), start(attempt), cached_tokens.0, in_use))
    }

    /// The engine did not take the request, and `why`; it waits again, elsewhere for a while. Raises `ReportError`.
    #[pyo3(
        signature = (request, attempt, *, why=Member(Decline::Other), now_ns),
        text_signature = "($self, request, attempt, *, why='other', now_ns)"
    )]
    fn declined(
        &self,
        py: Python<'_>,
        request: Whole<u64>,
        attempt: Whole<u32>,
        why: Member<Decline>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        self.tell(py, |core| core.declined(at(now_ns), id(request), start(attempt), why.0))
    }

    /// What the request generated so far, `output_tokens` in all, and holds now, `in_use`. Raises `ReportError`.
    #[pyo3(signature = (request, attempt, *, output_tokens, in_use, now_ns))]
    fn progress(
        &self,
        py: Python<'_>,
        request: Whole<u64>,
        attempt: Whole<u32>,
        output_tokens: Whole<u64>,
        in_use: &Bound<'_, PyAny>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        let in_use = self.resources("in_use", in_use)?;
        self.tell(py, |core| core.progress(at(now_ns), id(request), start(attempt), output_tokens.0, in_use))
    }

    /// The request runs no more and waits again; `tokens_kept` of its context the engine can go on from.
    /// With `releasing` (a flag) its units come back later, by `released`. Raises `ReportError`.
    #[pyo3(
        signature = (request, attempt, *, tokens_kept=Whole(0), releasing=false, now_ns),
        text_signature = "($self, request, attempt, *, tokens_kept=0, releasing=False, now_ns)"
    )]
    fn preempted(
        &self,
        py: Python<'_>,
        request: Whole<u64>,
        attempt: Whole<u32>,
        tokens_kept: Whole<u64>,
        releasing: bool,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        self.tell(py, |core| {
            core.preempted(at(now_ns), id(request), start(attempt), tokens_kept.0, release(releasing))
        })
    }

    /// The units of a request that was reported as `releasing` are free. Raises `ReportError`.
    #[pyo3(signature = (request, attempt, *, now_ns))]
    fn released(
        &self,
        py: Python<'_>,
        request: Whole<u64>,
        attempt: Whole<u32>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        self.tell(py, |core| core.released(at(now_ns), id(request), start(attempt)))
    }

    /// The request is done, and this is what it used: `prompt_tokens`, `cached_tokens` of which were in a cache, and
    /// `output_tokens`. Raises `ReportError`.
    #[pyo3(
        signature = (
            request, attempt, *, prompt_tokens=Whole(0), cached_tokens=Whole(0), output_tokens=Whole(0), now_ns
        ),
        text_signature =
            "($self, request, attempt, *, prompt_tokens=0, cached_tokens=0, output_tokens=0, now_ns)"
    )]
    #[allow(clippy::too_many_arguments, reason = "most are keywords in Python")]
    fn complete(
        &self,
        py: Python<'_>,
        request: Whole<u64>,
        attempt: Whole<u32>,
        prompt_tokens: Whole<u64>,
        cached_tokens: Whole<u64>,
        output_tokens: Whole<u64>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        let usage = Usage {
            prompt_tokens: prompt_tokens.0,
            cached_tokens: cached_tokens.0,
            output_tokens: output_tokens.0,
        };
        self.tell(py, |core| core.complete(at(now_ns), id(request), start(attempt), usage))
    }

    /// Many requests are done, `completions` each a `Completion`. Returns what became of them: for each `None`, or the
    /// `tidegate.Error` that `complete` would raise. One that is refused keeps none of the others back.
    ///
    /// An item of the wrong type raises `TypeError`, and none is reported.
    #[pyo3(signature = (completions, *, now_ns))]
    fn complete_many<'py>(
        &self,
        py: Python<'py>,
        completions: &Bound<'py, PyAny>,
        now_ns: Whole<u64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let completions =
            Completions::read(completions).map_err(|error| error::about(py, error, "completions"))?;
        let results = self.change(py, |core| completions.complete(core, at(now_ns)))?;
        completions.answers(py, results)
    }

    /// The request ended without success, on request of an `Abort` too. Raises `ReportError`.
    #[pyo3(signature = (request, attempt, *, now_ns))]
    fn failed(
        &self,
        py: Python<'_>,
        request: Whole<u64>,
        attempt: Whole<u32>,
        now_ns: Whole<u64>,
    ) -> PyResult<()> {
        self.tell(py, |core| core.failed(at(now_ns), id(request), start(attempt)))
    }

    /// The actions of a whole round, in order. Call it after each batch of inputs, and at `poll_timeout`.
    #[pyo3(signature = (*, now_ns))]
    fn poll<'py>(&self, py: Python<'py>, now_ns: Whole<u64>) -> PyResult<Bound<'py, PyList>> {
        let mut round = Vec::new();
        self.wishes(py, |core| core.poll_into(at(now_ns), &mut round))?;
        let actions = PyList::empty(py);
        for action in round {
            actions.append(action::object(py, &action)?)?;
        }
        Ok(actions)
    }

    /// The next action of the round, or `None` at its end: for inputs between the actions of a round.
    #[pyo3(signature = (*, now_ns))]
    fn poll_one<'py>(&self, py: Python<'py>, now_ns: Whole<u64>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let action = self.wishes(py, |core| core.poll(at(now_ns)))?;
        action.map(|action| action::object(py, &action)).transpose()
    }

    /// The instant in nanoseconds at which to poll again if nothing happens before, if there is one.
    fn poll_timeout(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        Ok(self.ask(py, tidegate::Scheduler::poll_timeout)?.map(Instant::as_nanos))
    }

    /// Where a live request stands. Raises `UnknownRequest`, or `AlreadyTerminal` if it has ended.
    fn state(&self, py: Python<'_>, request: Whole<u64>) -> PyResult<Member<RequestState>> {
        let state: Result<_, ReportError> = self.ask(py, |core| core.state(id(request)))?;
        state.map(Member).map_err(|refusal| error::report(py, &refusal))
    }

    /// Why a live request waits, how many are ahead of it, and when it may start: an `Explanation`. Raises
    /// `UnknownRequest`, or `AlreadyTerminal` if it has ended.
    fn explain<'py>(&self, py: Python<'py>, request: Whole<u64>) -> PyResult<Bound<'py, PyAny>> {
        let why = self.ask(py, |core| core.explain(id(request)))?;
        record::explanation(py, &why.map_err(|refusal| error::report(py, &refusal))?)
    }

    /// The reserves that came out more than ten points off, in pools that have workers: `ShareWarning`s.
    fn share_warnings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let warnings = self.ask(py, tidegate::Scheduler::share_warnings)?;
        record::share_warnings(py, self.description(), &warnings)
    }

    /// How an engine that computes at most `tokens` tokens a step should split its next one.
    ///
    /// `prompts`, each a `PromptLeft`, names the requests on the worker whose prompts are not computed yet;
    /// every other one that runs there takes one token, first. Raises `UnknownWorker`, `NotHere`.
    #[pyo3(signature = (worker, *, tokens, prompts))]
    fn step_plan<'py>(
        &self,
        py: Python<'py>,
        worker: Whole<u32>,
        tokens: Whole<u64>,
        prompts: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let prompts = about("prompts", Some(prompts), record::prompts)?.unwrap_or_default();
        let plan = self.ask(py, |core| core.step_plan(WorkerId::new(worker.0), tokens.0, &prompts))?;
        record::plan(py, &plan.map_err(|refusal| error::worker(py, &refusal))?)
    }

    /// How many requests of the tier wait. Raises `UnknownTier`.
    fn queue_depth(&self, py: Python<'_>, tier: Named) -> PyResult<usize> {
        let tier = argument::known_tier(py, self.description(), &tier)?;
        self.ask(py, |core| core.queue_depth(tier))
    }

    /// The instant in nanoseconds until which the worker is kept out, if it is: it replaces one that was lost again and again.
    /// Raises `UnknownWorker`.
    fn kept_out_until(&self, py: Python<'_>, worker: Whole<u32>) -> PyResult<Option<u64>> {
        let until = self.ask(py, |core| core.kept_out_until(WorkerId::new(worker.0)))?;
        until.map(|at| at.map(Instant::as_nanos)).map_err(|refusal| error::worker(py, &refusal))
    }

    /// What the tier is guaranteed in the pool as it is now. Raises `UnknownTier`, `UnknownPool`.
    #[pyo3(
        signature = (tier, pool=Named::FIRST),
        text_signature = "($self, tier, pool=0)"
    )]
    fn effective_reserve<'py>(
        &self,
        py: Python<'py>,
        tier: Named,
        pool: Named,
    ) -> PyResult<Bound<'py, PyDict>> {
        self.amounts(py, &tier, &pool, tidegate::Scheduler::effective_reserve)
    }

    /// What the tier uses in the pool. Raises `UnknownTier`, `UnknownPool`.
    #[pyo3(
        signature = (tier, pool=Named::FIRST),
        text_signature = "($self, tier, pool=0)"
    )]
    fn in_use<'py>(&self, py: Python<'py>, tier: Named, pool: Named) -> PyResult<Bound<'py, PyDict>> {
        self.amounts(py, &tier, &pool, tidegate::Scheduler::in_use)
    }

    /// What the waiting requests of the tier need to start in the pool. Raises `UnknownTier`, `UnknownPool`.
    #[pyo3(
        signature = (tier, pool=Named::FIRST),
        text_signature = "($self, tier, pool=0)"
    )]
    fn waiting_demand<'py>(&self, py: Python<'py>, tier: Named, pool: Named) -> PyResult<Bound<'py, PyDict>> {
        self.amounts(py, &tier, &pool, tidegate::Scheduler::waiting_demand)
    }

    /// What a tenant has used, until the latest `now_ns` of any call: a `TenantUsage`. With `tier`, what of it is of that
    /// tier; with `at_ns`, as it will be then if nothing is told before. Raises `UnknownTenant`, `UnknownTier`.
    #[pyo3(signature = (tenant, *, tier=None, at_ns=Whole(0)), text_signature = "($self, tenant, *, tier=None, at_ns=0)")]
    fn usage<'py>(
        &self,
        py: Python<'py>,
        tenant: Whole<u32>,
        tier: Option<Named>,
        at_ns: Whole<u64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (config, tenant) = (self.description(), TenantId::new(tenant.0));
        let tier = tier.map(|tier| argument::known_tier(py, config, &tier)).transpose()?;
        let usage = self.ask(py, |core| metrics::usage(core, tenant, tier, at(at_ns)))?;
        record::usage(py, config, &usage.map_err(|refusal| error::tenant(py, &refusal))?)
    }

    /// What tenants used in a tier that are not known any more: with the `usage` of those that are, all that was ever used
    /// in it. Raises `UnknownTier`.
    fn forgotten_usage<'py>(&self, py: Python<'py>, tier: Named) -> PyResult<Bound<'py, PyAny>> {
        let tier = argument::known_tier(py, self.description(), &tier)?;
        let usage = self.ask(py, |core| core.forgotten_usage(tier))?;
        record::usage(py, self.description(), &usage)
    }

    /// The names of all tenants, by their numbers.
    fn tenants<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.ask(py, metrics::names)?.into_py_dict(py)
    }

    /// All metrics as the text of a page to be scraped, `format` "openmetrics" or "prometheus". Of the tenants that have a
    /// policy of their own the first `tenants` are named, and all others together are `other`. Raises `BadArgument` for
    /// another format.
    #[pyo3(signature = (*, format=None, tenants=Whole(100)), text_signature = "($self, *, format='openmetrics', tenants=100)")]
    fn metrics(
        &self,
        py: Python<'_>,
        format: Option<&Bound<'_, PyAny>>,
        tenants: Whole<u64>,
    ) -> PyResult<String> {
        let format =
            about("format", format, metrics::format)?.unwrap_or(tidegate::MetricsFormat::OpenMetrics);
        self.ask(py, |core| metrics::page(core, format, tenants.0))
    }

    /// The counters.
    fn stats(&self, py: Python<'_>) -> PyResult<Stats> {
        self.ask(py, tidegate::Scheduler::stats).map(Stats)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (config, stats) = (self.names.get().__repr__(py)?, self.ask(py, tidegate::Scheduler::stats)?);
        Ok(format!("<tidegate.Scheduler live={} config={config}>", stats.live))
    }

    /// Checks every invariant, at a cost that grows with all there is: for tests. Raises
    /// `InvariantViolation`.
    fn check_invariants(&self, py: Python<'_>) -> PyResult<()> {
        let checked = self.ask(py, tidegate::Scheduler::check_invariants)?;
        checked.map_err(|violation| error::invariant(py, &violation))
    }
}
