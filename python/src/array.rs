//! Batches by columns: what `submit_many`, `complete_many`, `step` and `poll` do, without an object for each item.
//!
//! A host has its requests in arrays already; what comes back are bytes for NumPy to lay a type over. What a row is refused for
//! keeps none of the others back, as in a batch of tuples. It knows no NumPy: `tidegate.arrays` does.

use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyList, PyString, PyTuple};
use tidegate::{
    Action, Attempt, Completion, Config, InputError, Instant, MAX_POOLS_PER_REQUEST, OtherPools, PoolId,
    QuotaLimit, RequestId, RequestSpec, StepException, TenantId, Tier, Usage, WorkerId, YieldMode, Yielding,
};

use crate::argument::{self, Named, Whole};
use crate::column::{Amounts, Column, Misfit, Rows};
use crate::error::{self, raised};
use crate::scheduler::Scheduler;
use crate::word::Member;

/// How many rows are made ready before the core takes them: what is read is still in the cache then, and the memory of
/// a batch does not grow with it.
const PIECE: usize = 256;
/// Bytes of an action, as `tidegate.arrays.ACTION` names them.
const ACTION_BYTES: usize = 72;

/// Why a row came to nothing.
enum Refusal {
    Misfit(Misfit),
    Tier(u32),
    Yielding(u8),
    Input(InputError),
}

/// Those that came to nothing, by their rows.
type Refused = Vec<(usize, Refusal)>;

impl From<Misfit> for Refusal {
    fn from(misfit: Misfit) -> Self {
        Self::Misfit(misfit)
    }
}

impl<E: Into<InputError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Input(error.into())
    }
}

impl Refusal {
    fn exception(&self, py: Python<'_>, dimensions: &[&str]) -> PyErr {
        match self {
            Self::Misfit(misfit) => misfit.exception(py),
            Self::Tier(number) => error::no_tier(py, *number),
            Self::Yielding(number) => {
                let message = format!("{number} is the number of no Yielding");
                error::about(py, raised!(py, BadArgument, message), "yielding")
            }
            Self::Input(input) => error::refused(py, input, dimensions),
        }
    }
}

/// Reads the rows, tells the core of those that can be read, some at a time, and says of each what came of it.
fn each<T, R>(
    rows: usize,
    read: impl Fn(usize) -> Result<T, Refusal>,
    mut tell: impl FnMut(&[T], &mut Vec<R>),
    mut take: impl FnMut(usize, R) -> Result<(), Refusal>,
) -> Refused {
    let mut refused = Vec::new();
    let (mut items, mut places, mut results) = (Vec::new(), Vec::new(), Vec::new());
    for first in (0..rows).step_by(PIECE) {
        let before = refused.len();
        for row in first..rows.min(first + PIECE) {
            match read(row) {
                Ok(item) => {
                    items.push(item);
                    places.push(row);
                }
                Err(refusal) => refused.push((row, refusal)),
            }
        }
        tell(&items, &mut results);
        for (row, result) in places.drain(..).zip(results.drain(..)) {
            if let Err(refusal) = take(row, result) {
                refused.push((row, refusal));
            }
        }
        refused[before..].sort_by_key(|(row, _)| *row);
        items.clear();
    }
    refused
}

/// Pairs of the row and the exception, in the order of the rows.
fn told<'py>(py: Python<'py>, config: &Config, refused: &Refused) -> PyResult<Bound<'py, PyList>> {
    let dimensions: Vec<_> = config.dimensions().collect();
    let pairs =
        refused.iter().map(|(row, refusal)| (*row, refusal.exception(py, &dimensions).into_value(py)));
    PyList::new(py, pairs.collect::<Vec<_>>())
}

/// The columns of pools: one, or a list or tuple of some in order of preference.
fn pools(py: Python<'_>, config: &Config, rows: &mut Rows, pool: &Bound<'_, PyAny>) -> PyResult<Vec<Column>> {
    let mut column = |pool: &Bound<'_, PyAny>| {
        rows.named("pool", pool, |name| {
            Ok(argument::pool(py, config, &name.extract::<Named>()?)?.get().into())
        })
    };
    if !pool.is_instance_of::<PyList>() && !pool.is_instance_of::<PyTuple>() {
        return Ok(vec![column(pool)?]);
    }
    let columns: Vec<Column> = pool.try_iter()?.map(|item| column(&item?)).collect::<PyResult<_>>()?;
    if columns.is_empty() || columns.len() > MAX_POOLS_PER_REQUEST {
        let message = format!("{} pools; a request may name 1 to {MAX_POOLS_PER_REQUEST}", columns.len());
        return Err(raised!(py, BadArgument, message));
    }
    Ok(columns)
}

/// Who asks: the same tenant for all, by a name that may be new, or a column of numbers.
enum Who<'a> {
    Name(&'a str),
    Numbers(Column),
}

/// The columns of requests to submit.
struct Requests {
    tier: Column,
    demand: Amounts,
    /// In order of preference; of all but the first -1 is none.
    pools: Vec<Column>,
    peak: Amounts,
    prompt_tokens: Column,
    cached_tokens: Column,
    output_tokens: Option<Column>,
    yielding: Column,
    deadline_ns: Option<Column>,
    queue_timeout_ns: Option<Column>,
    tag: Column,
}

impl Requests {
    /// The pools of a row.
    fn pools(&self, row: usize) -> Result<(PoolId, OtherPools), Misfit> {
        let (first, others) = self.pools.split_first().expect("one is named");
        let first = PoolId::new(first.get(row)?);
        let (mut named, mut count) = ([first; MAX_POOLS_PER_REQUEST], 0);
        for column in others {
            if let Some(number) = column.optional(row)? {
                named[count] = PoolId::new(number);
                count += 1;
            }
        }
        Ok((first, OtherPools::new(&named[..count]).expect("no more than a request may name")))
    }

    fn read(&self, row: usize, tenant: TenantId) -> Result<RequestSpec, Refusal> {
        let optional =
            |column: &Option<Column>| column.as_ref().map_or(Ok(None), |column| column.optional(row));
        // In the order in which a tuple is read: of two faults both tell the same one.
        let (tier, (pool, other_pools)) = (self.tier.get::<u32>(row)?, self.pools(row)?);
        Ok(RequestSpec {
            tenant,
            pool,
            other_pools,
            prompt_tokens: self.prompt_tokens.get(row)?,
            cached_tokens: self.cached_tokens.get(row)?,
            output_tokens: optional(&self.output_tokens)?,
            yielding: match self.yielding.get::<u8>(row)? {
                0 => Yielding::Restart,
                1 => Yielding::Checkpoint,
                2 => Yielding::Never,
                other => return Err(Refusal::Yielding(other)),
            },
            deadline: optional(&self.deadline_ns)?.map(Instant::from_nanos),
            queue_timeout_ns: optional(&self.queue_timeout_ns)?,
            tag: self.tag.get(row)?,
            tier: Tier::new(u8::try_from(tier).map_err(|_| Refusal::Tier(tier))?),
            demand: self.demand.get(row)?,
            peak: self.peak.get(row)?,
        })
    }
}

/// Submits many requests in their order. `tidegate.arrays.submit` says what the columns are.
///
/// Returns the ids as bytes of 64-bit numbers, 0 for those that were refused, and pairs of the row and the `tidegate.Error` of
/// each of these. Raises `TypeError` and `BadArgument` for a column, and nothing is submitted.
#[pyfunction]
#[pyo3(signature = (
    scheduler, *, tenant, tier, demand, pool, peak, prompt_tokens, cached_tokens, output_tokens, yielding, deadline_ns,
    queue_timeout_ns, tag, now_ns
))]
#[allow(clippy::too_many_arguments, reason = "a column for each field")]
pub(crate) fn submit_columns<'py>(
    py: Python<'py>,
    scheduler: &Bound<'py, Scheduler>,
    tenant: &Bound<'py, PyAny>,
    tier: &Bound<'py, PyAny>,
    demand: &Bound<'py, PyAny>,
    pool: &Bound<'py, PyAny>,
    peak: Option<&Bound<'py, PyAny>>,
    prompt_tokens: &Bound<'py, PyAny>,
    cached_tokens: &Bound<'py, PyAny>,
    output_tokens: &Bound<'py, PyAny>,
    yielding: &Bound<'py, PyAny>,
    deadline_ns: &Bound<'py, PyAny>,
    queue_timeout_ns: &Bound<'py, PyAny>,
    tag: &Bound<'py, PyAny>,
    now_ns: Whole<u64>,
) -> PyResult<(Bound<'py, PyByteArray>, Bound<'py, PyList>)> {
    let scheduler = scheduler.get();
    let (config, mut rows, name) = (scheduler.description(), Rows::new(), newcomer(tenant)?);
    let who = match &name {
        Some(name) => Who::Name(name),
        None => Who::Numbers(rows.column("tenant", tenant)?),
    };
    let requests =
        Requests {
            tier: rows.named("tier", tier, |name| {
                Ok(argument::tier(py, config, &name.extract::<Named>()?)?.get().into())
            })?,
            demand: rows.amounts("demand", config, demand)?,
            pools: pools(py, config, &mut rows, pool)?,
            peak: match peak {
                Some(peak) => rows.amounts("peak", config, peak)?,
                None => Amounts::All(tidegate::Resources::ZERO),
            },
            prompt_tokens: rows.column("prompt_tokens", prompt_tokens)?,
            cached_tokens: rows.column("cached_tokens", cached_tokens)?,
            output_tokens: rows.optional("output_tokens", output_tokens)?,
            yielding: rows
                .named("yielding", yielding, |word| Ok(word.extract::<Member<Yielding>>()?.0 as u64))?,
            deadline_ns: rows.optional("deadline_ns", deadline_ns)?,
            queue_timeout_ns: rows.optional("queue_timeout_ns", queue_timeout_ns)?,
            tag: rows.column("tag", tag)?,
        };
    let len = rows.len(py)?;
    let (mut ids, refused) = (zeroed(len * size_of::<u64>())?, Refused::new());
    let refused = if len == 0 { refused } else { submit(py, scheduler, &who, &requests, &mut ids, now_ns)? };
    Ok((PyByteArray::new(py, &ids), told(py, config, &refused)?))
}

/// The tenant's name, where all requests are of one that is told by its name.
fn newcomer(tenant: &Bound<'_, PyAny>) -> PyResult<Option<pyo3::pybacked::PyBackedStr>> {
    if !tenant.is_instance_of::<PyString>() {
        return Ok(None);
    }
    argument::text(tenant).map(Some).map_err(|error| error::about(tenant.py(), error, "tenant"))
}

fn submit(
    py: Python<'_>,
    scheduler: &Scheduler,
    who: &Who<'_>,
    requests: &Requests,
    ids: &mut [u8],
    now_ns: Whole<u64>,
) -> PyResult<Refused> {
    let now = Instant::from_nanos(now_ns.0);
    let rows = ids.len() / size_of::<u64>();
    scheduler.change(py, |core| {
        let known = match who {
            Who::Name(name) => Some(core.tenant_set(now, name)),
            Who::Numbers(_) => None,
        };
        let tenant = |row| match (&known, who) {
            (Some(known), _) => known.clone().map_err(Refusal::from),
            (None, Who::Numbers(numbers)) => Ok(TenantId::new(numbers.get(row)?)),
            (None, Who::Name(_)) => unreachable!("a name was made known"),
        };
        each(
            rows,
            |row| requests.read(row, tenant(row)?),
            |specs, results| core.submit_many(now, specs, results),
            |row, result| {
                let id: RequestId = result?;
                ids[row * size_of::<u64>()..][..size_of::<u64>()]
                    .copy_from_slice(&id.to_bits().to_ne_bytes());
                Ok(())
            },
        )
    })
}

/// Memory for what comes back, or `MemoryError`.
fn zeroed(bytes: usize) -> PyResult<Vec<u8>> {
    let mut out = Vec::new();
    out.try_reserve_exact(bytes).map_err(|error| PyMemoryError::new_err(error.to_string()))?;
    out.resize(bytes, 0);
    Ok(out)
}

/// Many requests are done. `tidegate.arrays.complete` says what the columns are.
///
/// Returns pairs of the row and the `tidegate.Error` of each that was refused. Raises `TypeError` and `BadArgument` for a
/// column, and nothing is reported.
#[pyfunction]
#[pyo3(signature = (scheduler, request, attempt, *, prompt_tokens, cached_tokens, output_tokens, now_ns))]
#[allow(clippy::too_many_arguments, reason = "a column for each field")]
pub(crate) fn complete_columns<'py>(
    py: Python<'py>,
    scheduler: &Bound<'py, Scheduler>,
    request: &Bound<'py, PyAny>,
    attempt: &Bound<'py, PyAny>,
    prompt_tokens: &Bound<'py, PyAny>,
    cached_tokens: &Bound<'py, PyAny>,
    output_tokens: &Bound<'py, PyAny>,
    now_ns: Whole<u64>,
) -> PyResult<Bound<'py, PyList>> {
    let (scheduler, mut rows) = (scheduler.get(), Rows::new());
    let request = rows.column("request", request)?;
    let attempt = rows.column("attempt", attempt)?;
    let prompt_tokens = rows.column("prompt_tokens", prompt_tokens)?;
    let cached_tokens = rows.column("cached_tokens", cached_tokens)?;
    let output_tokens = rows.column("output_tokens", output_tokens)?;
    let (now, len) = (Instant::from_nanos(now_ns.0), rows.len(py)?);
    let read = |row| {
        let usage = Usage {
            prompt_tokens: prompt_tokens.get(row)?,
            cached_tokens: cached_tokens.get(row)?,
            output_tokens: output_tokens.get(row)?,
        };
        Ok(Completion {
            request: RequestId::from_bits(request.get(row)?),
            attempt: Attempt::new(attempt.get(row)?),
            usage,
        })
    };
    let refused = scheduler.change(py, |core| {
        let tell = |ends: &[Completion], results: &mut Vec<_>| core.complete_many(now, ends, results);
        each(len, read, tell, |_, result| result.map_err(Refusal::from))
    })?;
    told(py, scheduler.description(), &refused)
}

/// One call for a whole engine step. `tidegate.arrays.step` says what the columns are.
///
/// Refused whole, as `Scheduler.step` is.
#[pyfunction]
#[pyo3(signature = (scheduler, worker, *, tokens_each, request, attempt, output_tokens, in_use, now_ns))]
#[allow(clippy::too_many_arguments, reason = "a column for each field")]
pub(crate) fn step_columns<'py>(
    py: Python<'py>,
    scheduler: &Bound<'py, Scheduler>,
    worker: Whole<u32>,
    tokens_each: Whole<u64>,
    request: &Bound<'py, PyAny>,
    attempt: &Bound<'py, PyAny>,
    output_tokens: &Bound<'py, PyAny>,
    in_use: &Bound<'py, PyAny>,
    now_ns: Whole<u64>,
) -> PyResult<()> {
    let (scheduler, mut rows) = (scheduler.get(), Rows::new());
    let request = rows.column("request", request)?;
    let attempt = rows.column("attempt", attempt)?;
    let output_tokens = rows.column("output_tokens", output_tokens)?;
    let in_use = rows.amounts("in_use", scheduler.description(), in_use)?;
    let read = |row| {
        Ok(StepException {
            request: RequestId::from_bits(request.get(row)?),
            attempt: Attempt::new(attempt.get(row)?),
            output_tokens: output_tokens.get(row)?,
            in_use: in_use.get(row)?,
        })
    };
    let exceptions: Result<Vec<_>, Misfit> = (0..rows.len(py)?).map(read).collect();
    let exceptions = exceptions.map_err(|misfit| misfit.exception(py))?;
    let (now, worker) = (Instant::from_nanos(now_ns.0), WorkerId::new(worker.0));
    scheduler.tell(py, |core| core.step(now, worker, tokens_each.0, &exceptions))
}

/// The actions of a whole round as bytes, 72 for each. `tidegate.arrays.poll` lays their type over them.
#[pyfunction]
#[pyo3(signature = (scheduler, *, now_ns))]
pub(crate) fn poll_rows<'py>(
    py: Python<'py>,
    scheduler: &Bound<'py, Scheduler>,
    now_ns: Whole<u64>,
) -> PyResult<Bound<'py, PyByteArray>> {
    let mut round = Vec::new();
    scheduler.get().wishes(py, |core| core.poll_into(Instant::from_nanos(now_ns.0), &mut round))?;
    let mut bytes = Vec::with_capacity(round.len() * ACTION_BYTES);
    for action in &round {
        Row::of(action).write(&mut bytes);
    }
    Ok(PyByteArray::new(py, &bytes))
}

/// An action's fields, those of all kinds side by side; what a kind does not have is 0.
#[derive(Default)]
struct Row {
    kind: u8,
    mode: u8,
    limit: u8,
    reason: u8,
    tenant: u32,
    worker: u32,
    attempt: u32,
    request: u64,
    resume_tokens: u64,
    beneficiary: u64,
    confirm_by_ns: u64,
    seq: u64,
    tokens: u64,
    returned: i64,
}

impl Row {
    fn of(action: &Action) -> Self {
        let common = Self {
            reason: action.reason() as u8,
            request: action.request().map_or(0, RequestId::to_bits),
            ..Self::default()
        };
        match *action {
            Action::Start { attempt, worker, resume_tokens, .. } => {
                Self { kind: 1, attempt: attempt.get(), worker: worker.get(), resume_tokens, ..common }
            }
            Action::Preempt { attempt, mode, beneficiary, confirm_by, .. } => Self {
                kind: 2,
                attempt: attempt.get(),
                mode: match mode {
                    YieldMode::Restart => 0,
                    YieldMode::Checkpoint => 1,
                },
                beneficiary: beneficiary.map_or(0, RequestId::to_bits),
                confirm_by_ns: confirm_by.as_nanos(),
                ..common
            },
            Action::Spare { attempt, .. } => Self { kind: 3, attempt: attempt.get(), ..common },
            Action::Abort { attempt, .. } => Self { kind: 4, attempt: attempt.get(), ..common },
            Action::Drop { .. } => Self { kind: 5, ..common },
            Action::Stuck { attempt, .. } => Self { kind: 6, attempt: attempt.get(), ..common },
            Action::LeaseWanted { tenant, limit, seq, tokens, returned, .. } => Self {
                kind: 7,
                tenant: tenant.get(),
                limit: match limit {
                    QuotaLimit::Requests => 0,
                    QuotaLimit::Tokens => 1,
                    QuotaLimit::Running => 2,
                    QuotaLimit::Units => 3,
                },
                seq,
                tokens,
                returned,
                ..common
            },
            Action::AlsoLost { worker, by, .. } => {
                Self { kind: 8, worker: worker.get(), beneficiary: by.get().into(), ..common }
            }
        }
    }

    /// Appends the fields in their order, none of which needs a gap before it.
    fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.kind, self.mode, self.limit, self.reason]);
        for number in [self.tenant, self.worker, self.attempt] {
            out.extend(number.to_ne_bytes());
        }
        let Self { request, resume_tokens, beneficiary, confirm_by_ns, seq, tokens, returned, .. } = self;
        for number in [request, resume_tokens, beneficiary, confirm_by_ns, seq, tokens] {
            out.extend(number.to_ne_bytes());
        }
        out.extend(returned.to_ne_bytes());
    }
}
