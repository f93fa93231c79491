//! One scheduler for any number of threads: an intake that waits for no poll, and the poll and the sleep of the engine's
//! thread, which let the interpreter go.
//!
//! It decides nothing. All verbs that answer on the spot are those of the `Scheduler` that it gives ([`Access`]).
//!
//! [`Access`]: crate::access::Access

use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyList, PyType};
use tidegate::{Decline, Input, Instant, RequestSpec, TenantId, Ticket, Usage, WorkerId, Yielding};

use crate::access::Shared;
use crate::argument::{Named, Pools, Whole, about, at, id, release, start};
use crate::config::Config;
use crate::error::{self, raised};
use crate::guard;
use crate::outcome;
use crate::record;
use crate::request;
use crate::scheduler::Scheduler;
use crate::snapshot;
use crate::word::Member;

/// The most calls that an intake may have room for, as in C; chosen arbitrarily.
const MAX_INTAKE: usize = 65_536;

/// How long a thread sleeps before it looks whether somebody pressed Ctrl-C: no signal wakes it. Short for a person, and
/// long enough for a thread that waits all day to take no time.
const NAP: Duration = Duration::from_millis(50);

/// One `Scheduler` for any number of threads: most leave what they have to say in its intake, and wait for no poll; one,
/// the engine's, calls `poll` and then `wait`, both without the interpreter.
///
/// Made for a `config`, with room for `intake_capacity` calls that no poll has taken yet; beyond that they raise `Busy`.
/// Every call that leaves something returns a ticket, by which `poll` tells what came of it: never 0, and higher for a later
/// call of the same thread. What one thread says is heard in its order. `now_ns` is the host's monotonic time in nanoseconds, one clock
/// for all threads; one that another thread's overtook counts as no time passed. What `request`, `attempt`, `worker` and units
/// are is said at `Scheduler`.
#[pyclass(frozen, module = "tidegate")]
pub(crate) struct SharedScheduler {
    shared: Arc<Shared>,
    scheduler: Py<Scheduler>,
    intake_capacity: usize,
}

impl SharedScheduler {
    fn share(
        py: Python<'_>,
        core: tidegate::Scheduler,
        config: Py<Config>,
        intake_capacity: Whole<usize>,
    ) -> PyResult<Self> {
        let Whole(intake_capacity) = intake_capacity;
        if !(1..=MAX_INTAKE).contains(&intake_capacity) {
            let message = format!("{intake_capacity} is not a whole number from 1 to {MAX_INTAKE}");
            return Err(error::about(py, raised!(py, BadArgument, message), "intake_capacity"));
        }
        let shared = Arc::new(Shared::new(core, intake_capacity));
        let scheduler = Py::new(py, Scheduler::of_shared(Arc::clone(&shared), config))?;
        Ok(Self { shared, scheduler, intake_capacity })
    }

    /// Leaves an input in the intake.
    fn leave(&self, py: Python<'_>, now_ns: Whole<u64>, input: &Input) -> PyResult<u64> {
        self.shared.at_once(py, |core| core.tell(at(now_ns), input)).map(Ticket::get)
    }
}

#[pymethods]
impl SharedScheduler {
    #[new]
    #[pyo3(
        signature = (config, *, intake_capacity=Whole(tidegate::SharedScheduler::DEFAULT_INTAKE), now_ns),
        text_signature = "(config, *, intake_capacity=1024, now_ns)"
    )]
    fn new(
        py: Python<'_>,
        config: Py<Config>,
        intake_capacity: Whole<usize>,
        now_ns: Whole<u64>,
    ) -> PyResult<Self> {
        let description = config.get().core.clone();
        let core = guard::caught(|| tidegate::Scheduler::new(description, at(now_ns)))
            .map_err(|closed| error::closed(py, &closed))?;
        Self::share(py, core, config, intake_capacity)
    }

    /// Makes one that goes on as the scheduler did that `data`, from `snapshot`, was taken of, as `Scheduler.restore` does
    /// under that `config`; its intake, with room for `intake_capacity` calls, is empty. Raises `SnapshotError`.
    #[classmethod]
    #[pyo3(
        signature = (config, data, *, intake_capacity=Whole(tidegate::SharedScheduler::DEFAULT_INTAKE)),
        text_signature = "($cls, config, data, *, intake_capacity=1024)"
    )]
    fn restore(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        config: Py<Config>,
        data: PyBackedBytes,
        intake_capacity: Whole<usize>,
    ) -> PyResult<Self> {
        let core = snapshot::restored(py, &config.get().core, &data)?;
        Self::share(py, core, config, intake_capacity)
    }

    /// The scheduler behind it, for any thread: its methods answer on the spot and wait for their turn, without the
    /// interpreter; `poll` and `poll_one` raise `SharedError`. Those that change something apply first what lies in the
    /// intake, and raise `Busy` while polls are too far behind to be told of that; those that only look do not see it.
    #[getter]
    fn scheduler(&self, py: Python<'_>) -> Py<Scheduler> {
        self.scheduler.clone_ref(py)
    }

    /// Leaves a request in the intake: `Accepted` or `Refused` follows, with the ticket and the `tag`. A thread that must find
    /// its request by then chooses the tag, which it knows before.
    ///
    /// All is as in `Scheduler.submit` (`tier`, `demand`, `pool`, `peak`, `prompt_tokens`, `cached_tokens`, `output_tokens`,
    /// `yielding`, `deadline_ns`, `queue_timeout_ns`), but that `tenant` is a number, which `scheduler.tenant_set` gives.
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
        tenant: Whole<u32>,
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
        let config = self.scheduler.get().description();
        let spec = request::spec(
            py,
            config,
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
        let spec = RequestSpec { tenant: TenantId::new(tenant.0), ..spec };
        self.shared.at_once(py, |core| core.submit(at(now_ns), spec)).map(Ticket::get)
    }

    /// Cancels what was submitted with this `ticket`, whether it was applied yet or not. While it waits it ends at once,
    /// `Cancelled`; if an engine has it, `StopFirst` asks for it to be stopped; if it has ended or was refused, nothing follows.
    #[pyo3(signature = (ticket, *, now_ns))]
    fn cancel(&self, py: Python<'_>, ticket: Whole<u64>, now_ns: Whole<u64>) -> PyResult<()> {
        self.shared.at_once(py, |core| core.cancel(at(now_ns), Ticket::new(ticket.0)))
    }

    /// Leaves `Scheduler.cancel` in the intake. Here and below `Refused` follows if it was, and nothing if it was not.
    #[pyo3(signature = (request, *, now_ns))]
    fn cancel_request(&self, py: Python<'_>, request: Whole<u64>, now_ns: Whole<u64>) -> PyResult<u64> {
        self.leave(py, now_ns, &Input::Cancel { request: id(request) })
    }

    /// Leaves `Scheduler.started` in the intake, with `cached_tokens` and `in_use`.
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
    ) -> PyResult<u64> {
        let in_use = self.scheduler.get().resources("in_use", in_use)?;
        let (request, attempt, cached_tokens) = (id(request), start(attempt), cached_tokens.0);
        self.leave(py, now_ns, &Input::Started { request, attempt, cached_tokens, in_use })
    }

    /// Leaves `Scheduler.declined` in the intake, and `why`.
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
    ) -> PyResult<u64> {
        self.leave(py, now_ns, &Input::Declined { request: id(request), attempt: start(attempt), why: why.0 })
    }

    /// Leaves `Scheduler.progress` in the intake, with `output_tokens` and `in_use`.
    #[pyo3(signature = (request, attempt, *, output_tokens, in_use, now_ns))]
    fn progress(
        &self,
        py: Python<'_>,
        request: Whole<u64>,
        attempt: Whole<u32>,
        output_tokens: Whole<u64>,
        in_use: &Bound<'_, PyAny>,
        now_ns: Whole<u64>,
    ) -> PyResult<u64> {
        let in_use = self.scheduler.get().resources("in_use", in_use)?;
        let (request, attempt, output_tokens) = (id(request), start(attempt), output_tokens.0);
        self.leave(py, now_ns, &Input::Progress { request, attempt, output_tokens, in_use })
    }

    /// Leaves `Scheduler.step` in the intake: each request on the worker generated `tokens_each`, but those in `exceptions`.
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
    ) -> PyResult<u64> {
        let read = |items| record::exceptions(self.scheduler.get().description(), items);
        let exceptions = about("exceptions", exceptions, read)?.unwrap_or_default().into();
        let (worker, tokens_each) = (WorkerId::new(worker.0), tokens_each.0);
        self.leave(py, now_ns, &Input::Step { worker, tokens_each, exceptions })
    }

    /// Leaves `Scheduler.preempted` in the intake, with `tokens_kept` and the flag `releasing`.
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
    ) -> PyResult<u64> {
        let (request, attempt, tokens_kept) = (id(request), start(attempt), tokens_kept.0);
        self.leave(
            py,
            now_ns,
            &Input::Preempted { request, attempt, tokens_kept, release: release(releasing) },
        )
    }

    /// Leaves `Scheduler.released` in the intake.
    #[pyo3(signature = (request, attempt, *, now_ns))]
    fn released(
        &self,
        py: Python<'_>,
        request: Whole<u64>,
        attempt: Whole<u32>,
        now_ns: Whole<u64>,
    ) -> PyResult<u64> {
        self.leave(py, now_ns, &Input::Released { request: id(request), attempt: start(attempt) })
    }

    /// Leaves `Scheduler.complete` in the intake, with `prompt_tokens`, `cached_tokens` and `output_tokens`.
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
    ) -> PyResult<u64> {
        let usage = Usage {
            prompt_tokens: prompt_tokens.0,
            cached_tokens: cached_tokens.0,
            output_tokens: output_tokens.0,
        };
        self.leave(py, now_ns, &Input::Complete { request: id(request), attempt: start(attempt), usage })
    }

    /// Leaves `Scheduler.failed` in the intake.
    #[pyo3(signature = (request, attempt, *, now_ns))]
    fn failed(
        &self,
        py: Python<'_>,
        request: Whole<u64>,
        attempt: Whole<u32>,
        now_ns: Whole<u64>,
    ) -> PyResult<u64> {
        self.leave(py, now_ns, &Input::Failed { request: id(request), attempt: start(attempt) })
    }

    /// Applies what lies in the intake, and tells in order what came of it and what the scheduler wishes, at most
    /// `max_actions` of the latter. With so many the round goes on in the next call, for which `wait` does not sleep.
    #[pyo3(
        signature = (*, max_actions=Whole(1_024), now_ns),
        text_signature = "($self, *, max_actions=1024, now_ns)"
    )]
    fn poll<'py>(
        &self,
        py: Python<'py>,
        max_actions: Whole<usize>,
        now_ns: Whole<u64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut outcomes = Vec::new();
        self.shared.released(py, |core| core.poll_into(at(now_ns), max_actions.0, &mut outcomes))?;
        outcome::list(py, self.scheduler.get(), &outcomes)
    }

    /// Sleeps until there is something to poll, which it returns, or the host's clock, which shows `now_ns`, shows
    /// `until_ns` (`None`: for as long as it takes); sometimes it returns earlier.
    ///
    /// Sleep until `scheduler.poll_timeout()`, asked after the last poll: whatever changes in between is noticed. Ctrl-C ends
    /// it within 50 ms. Raises `InternalError`, at once, if a thread failed inside.
    #[pyo3(signature = (until_ns=None, *, now_ns))]
    fn wait(&self, py: Python<'_>, until_ns: Option<Whole<u64>>, now_ns: Whole<u64>) -> PyResult<bool> {
        let began = Clock::now();
        let span = until_ns.map(|until| Duration::from_nanos(until.0.saturating_sub(now_ns.0)));
        loop {
            let so_far = began.elapsed();
            let nap = span.map_or(NAP, |span| span.saturating_sub(so_far).min(NAP));
            let until = Instant::from_nanos(nap.as_nanos() as u64);
            let work = self.shared.released(py, |core| core.wait(Instant::ZERO, Some(until)))?;
            py.check_signals()?;
            let woken = began.elapsed() < so_far + nap;
            if work || woken || span.is_some_and(|span| began.elapsed() >= span) {
                return Ok(work);
            }
        }
    }

    /// Wakes who sleeps in `wait`, as if there were something to poll: to have the engine's thread look at something of the
    /// host's, such as that it is to end: between `poll` and `wait`, because a poll takes up what it was woken for. May wait
    /// for a poll.
    fn wake(&self, py: Python<'_>) -> PyResult<()> {
        self.shared.released(py, |core| match core.with(|_| ()) {
            // So much lies there that nobody can sleep.
            Err(tidegate::SharedError::Busy) => Ok(()),
            other => other,
        })
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (capacity, scheduler) = (self.intake_capacity, self.scheduler.bind(py).repr()?);
        Ok(format!(
            "<tidegate.SharedScheduler intake_capacity={capacity} scheduler={}>",
            scheduler.to_string_lossy()
        ))
    }
}
