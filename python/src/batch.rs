//! Many requests at once: what comes in as named tuples, and what became of each.
//!
//! What one of them is refused for keeps none of the others back: its exception stands in its place. It knows no lock:
//! everything is read before the scheduler is told anything, and made for Python afterwards.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyList, PyTuple};
use tidegate::{
    Attempt, Completion, Config, InputError, Instant, OtherPools, PoolId, ReportError, RequestId,
    RequestSpec, Resources, Scheduler, SubmitError, TenantError, TenantId, Usage, Yielding,
};

use crate::argument::{self, Named, Pools, Whole};
use crate::error;
use crate::record::{self, bounded};
use crate::word::Member;

/// What was refused, by its place in the caller's list.
type Refused<E> = Vec<(usize, E)>;

/// A tenant that is told by name.
struct Newcomer {
    name: PyBackedStr,
    /// Of its request, among the specs.
    index: usize,
    /// Of its request, in the caller's list.
    place: usize,
}

/// Requests to submit.
pub(crate) struct Submissions {
    /// Those of newcomers lack their tenants yet.
    specs: Vec<RequestSpec>,
    newcomers: Vec<Newcomer>,
    refused: Refused<PyErr>,
}

/// What the scheduler said of them.
pub(crate) struct Submitted {
    results: Vec<Result<RequestId, SubmitError>>,
    nameless: Refused<TenantError>,
}

impl Submissions {
    pub(crate) fn read(config: &Config, items: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (mut specs, mut newcomers) = (Vec::new(), Vec::new());
        let refused = read_each(items, |place, item| {
            let (tenant, spec) = request_spec(config, item)?;
            if let Named::Name(name) = tenant {
                newcomers.push(Newcomer { name, index: specs.len(), place });
            }
            specs.push(spec);
            Ok(())
        })?;
        Ok(Self { specs, newcomers, refused })
    }

    /// Submits them in their order; a name is made known right before its request, as `submit` does.
    pub(crate) fn submit(&mut self, scheduler: &mut Scheduler, now: Instant) -> Submitted {
        let mut submitted = Submitted { results: Vec::with_capacity(self.specs.len()), nameless: Vec::new() };
        let mut next = 0;
        for Newcomer { name, index, place } in &self.newcomers {
            scheduler.submit_many(now, &self.specs[next..*index], &mut submitted.results);
            next = *index;
            match scheduler.tenant_set(now, name) {
                Ok(tenant) => self.specs[next].tenant = tenant,
                Err(error) => {
                    submitted.nameless.push((*place, error));
                    next += 1;
                }
            }
        }
        scheduler.submit_many(now, &self.specs[next..], &mut submitted.results);
        submitted
    }

    /// Ids, and exceptions in the places of those that were refused.
    pub(crate) fn answers<'py>(
        self,
        py: Python<'py>,
        dimensions: &[&str],
        submitted: Submitted,
    ) -> PyResult<Bound<'py, PyList>> {
        let exception = |error: InputError| error::refused(py, &error, dimensions);
        let mut refused = self.refused;
        refused.extend(submitted.nameless.into_iter().map(|(place, error)| (place, exception(error.into()))));
        refused.sort_by_key(|(place, _)| *place);
        let answer = |result: Result<RequestId, SubmitError>| match result {
            Ok(id) => number(py, id.to_bits()),
            Err(error) => thrown(py, exception(error.into())),
        };
        merged(py, submitted.results.into_iter().map(answer), refused)
    }
}

/// Requests that completed.
pub(crate) struct Completions {
    completions: Vec<Completion>,
    refused: Refused<PyErr>,
}

impl Completions {
    pub(crate) fn read(items: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut completions = Vec::new();
        let refused = read_each(items, |_, item| {
            completions.push(completion(item)?);
            Ok(())
        })?;
        Ok(Self { completions, refused })
    }

    pub(crate) fn complete(&self, scheduler: &mut Scheduler, now: Instant) -> Vec<Result<(), ReportError>> {
        let mut results = Vec::with_capacity(self.completions.len());
        scheduler.complete_many(now, &self.completions, &mut results);
        results
    }

    /// `None`, and exceptions in the places of those that were refused.
    pub(crate) fn answers(
        self,
        py: Python<'_>,
        results: Vec<Result<(), ReportError>>,
    ) -> PyResult<Bound<'_, PyList>> {
        let answer = |result: Result<(), ReportError>| match result {
            Ok(()) => py.None().into_bound(py),
            Err(error) => thrown(py, error::report(py, &error)),
        };
        merged(py, results.into_iter().map(answer), self.refused)
    }
}

/// Reads each item, and says which of them tidegate refuses by itself; a wrong type is the caller's fault, and ends it.
fn read_each(
    items: &Bound<'_, PyAny>,
    mut read: impl FnMut(usize, &Bound<'_, PyAny>) -> PyResult<()>,
) -> PyResult<Refused<PyErr>> {
    let (mut place, mut refused) = (0, Vec::new());
    bounded(items, |item| {
        match read(place, item) {
            Err(error) if error::is_ours(item.py(), &error)? => refused.push((place, error)),
            done => done?,
        }
        place += 1;
        Ok(())
    })?;
    Ok(refused)
}

/// What became of all: the answers in their order, and between them those that were refused, in their places.
fn merged<'py>(
    py: Python<'py>,
    answers: impl ExactSizeIterator<Item = Bound<'py, PyAny>>,
    refused: Refused<PyErr>,
) -> PyResult<Bound<'py, PyList>> {
    if refused.is_empty() {
        return PyList::new(py, answers);
    }
    let (mut all, mut answers) = (Vec::with_capacity(answers.len() + refused.len()), answers);
    for (place, error) in refused {
        let before = place - all.len();
        all.extend(answers.by_ref().take(before));
        all.push(thrown(py, error));
    }
    all.extend(answers);
    PyList::new(py, all)
}

fn number(py: Python<'_>, number: u64) -> Bound<'_, PyAny> {
    let Ok(number) = number.into_pyobject(py);
    number.into_any()
}

/// The exception as a value: it is handed over, not raised.
fn thrown(py: Python<'_>, error: PyErr) -> Bound<'_, PyAny> {
    error.into_value(py).into_bound(py).into_any()
}

/// The fields of a `RequestSpec`, in their order.
const REQUEST_SPEC: [&str; 12] = [
    "tenant",
    "tier",
    "demand",
    "pool",
    "peak",
    "prompt_tokens",
    "cached_tokens",
    "output_tokens",
    "yielding",
    "deadline_ns",
    "queue_timeout_ns",
    "tag",
];
/// Those of a `Completion`.
const COMPLETION: [&str; 5] = ["request", "attempt", "prompt_tokens", "cached_tokens", "output_tokens"];

/// The fields of one tuple; an error is told with the name of its field.
struct Fields<'a, 'py> {
    names: &'static [&'static str],
    tuple: &'a Bound<'py, PyTuple>,
    len: usize,
}

impl<'a, 'py: 'a> Fields<'a, 'py> {
    /// One field, or what it is where the tuple ends before.
    fn get<T: FromPyObject<'a, 'py, Error = PyErr>>(&self, index: usize, absent: T) -> PyResult<T> {
        if index >= self.len {
            return Ok(absent);
        }
        self.told(index, self.tuple.get_borrowed_item(index)?.extract())
    }

    /// The units in a field, if it is there and not `None`.
    fn units(&self, config: &Config, index: usize) -> PyResult<Option<Resources>> {
        if index >= self.len || self.tuple.get_borrowed_item(index)?.is_none() {
            return Ok(None);
        }
        self.told(index, argument::resources(config, &self.tuple.get_item(index)?).map(Some))
    }

    fn told<T>(&self, index: usize, result: PyResult<T>) -> PyResult<T> {
        result.map_err(|error| error::about(self.tuple.py(), error, self.names[index]))
    }
}

/// A `RequestSpec`, and who asks; what is left out at its end is as `submit` has it.
fn request_spec(config: &Config, item: &Bound<'_, PyAny>) -> PyResult<(Named, RequestSpec)> {
    let py = item.py();
    let tuple = record::fields("RequestSpec", item, 3..=12)?;
    let fields = Fields { names: &REQUEST_SPEC, tuple, len: tuple.len() };
    let (tenant, tier, pools) =
        (fields.get(0, Named::FIRST)?, fields.get(1, Named::FIRST)?, fields.get(3, Pools::FIRST)?);
    let tokens = |index| fields.get(index, Whole(0)).map(|Whole(tokens)| tokens);
    let number = |index| fields.get(index, None).map(|number: Option<Whole<u64>>| number.map(|n| n.0));
    // What is wrong is told in the order of a single call.
    let spec = RequestSpec {
        prompt_tokens: tokens(5)?,
        cached_tokens: tokens(6)?,
        output_tokens: number(7)?,
        yielding: fields.get(8, Member(Yielding::Restart))?.0,
        deadline: number(9)?.map(Instant::from_nanos),
        queue_timeout_ns: number(10)?,
        tag: tokens(11)?,
        tenant: TenantId::new(if let Named::Number(number) = tenant { number } else { 0 }),
        tier: argument::tier(py, config, &tier)?,
        pool: PoolId::new(0),
        other_pools: OtherPools::NONE,
        demand: Resources::ZERO,
        peak: Resources::ZERO,
    };
    let (pool, other_pools) = fields.told(3, pools.resolve(py, config))?;
    let demand = fields.told(2, argument::resources(config, &tuple.get_item(2)?))?;
    let peak = fields.units(config, 4)?.unwrap_or(Resources::ZERO);
    Ok((tenant, RequestSpec { pool, other_pools, demand, peak, ..spec }))
}

/// A `Completion`; what is left out at its end is 0.
fn completion(item: &Bound<'_, PyAny>) -> PyResult<Completion> {
    let tuple = record::fields("Completion", item, 2..=5)?;
    let fields = Fields { names: &COMPLETION, tuple, len: tuple.len() };
    let number = |index| fields.get(index, Whole(0)).map(|Whole(number)| number);
    Ok(Completion {
        request: RequestId::from_bits(number(0)?),
        attempt: Attempt::new(fields.get(1, Whole(0))?.0),
        usage: Usage { prompt_tokens: number(2)?, cached_tokens: number(3)?, output_tokens: number(4)? },
    })
}
