//! The named tuples of `tidegate._records`: those that come in as tuples, and those that go out.

use std::ops::RangeInclusive;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use tidegate::{
    Attempt, Config, DeviceId, DevicePart, Explanation, Instant, MAX_DEVICES_PER_WORKER, Ppm, PromptLeft,
    Rate, RequestId, ShareWarning, StepException, TenantUsage,
};

use crate::argument::{self, Whole};
use crate::error::{self, raised};
use crate::word::Member;

/// The devices of a worker; of more than there may be, as many as it takes to be refused.
pub(crate) fn devices(parts: &Bound<'_, PyAny>) -> PyResult<Vec<DevicePart>> {
    parts.try_iter()?.take(MAX_DEVICES_PER_WORKER + 1).map(|part| device_part(&part?)).collect()
}

fn device_part(part: &Bound<'_, PyAny>) -> PyResult<DevicePart> {
    let (device, part): (Whole<u32>, Whole<u32>) = fields("DevicePart", part, 2..=2)?.extract()?;
    Ok(DevicePart { device: DeviceId::new(device.0), part: Ppm::new(part.0) })
}

/// What comes in a period.
pub(crate) fn rate(item: &Bound<'_, PyAny>) -> PyResult<Rate> {
    let (amount, period_ns, burst): (Whole<u64>, Whole<u64>, Whole<u64>) =
        fields("Rate", item, 3..=3)?.extract()?;
    Ok(Rate { amount: amount.0, period_ns: period_ns.0, burst: burst.0 })
}

/// What a step reports of single requests.
pub(crate) fn exceptions(config: &Config, items: &Bound<'_, PyAny>) -> PyResult<Vec<StepException>> {
    bounded(items, |item| {
        let item = fields("StepException", item, 4..=4)?;
        let (request, attempt, output_tokens, in_use): (
            Whole<u64>,
            Whole<u32>,
            Whole<u64>,
            Bound<'_, PyAny>,
        ) = item.extract()?;
        Ok(StepException {
            request: RequestId::from_bits(request.0),
            attempt: Attempt::new(attempt.0),
            output_tokens: output_tokens.0,
            in_use: argument::resources(config, &in_use)?,
        })
    })
}

/// The hashes of blocks.
pub(crate) fn blocks(items: &Bound<'_, PyAny>) -> PyResult<Vec<u64>> {
    let blocks = bounded(items, |item| item.extract().map(|Whole(hash)| hash));
    blocks.map_err(|error| error::about(items.py(), error, "blocks"))
}

/// The prompts that a worker has not computed yet.
pub(crate) fn prompts(items: &Bound<'_, PyAny>) -> PyResult<Vec<PromptLeft>> {
    bounded(items, |item| {
        let (request, tokens): (Whole<u64>, Whole<u64>) = fields("PromptLeft", item, 2..=2)?.extract()?;
        Ok(PromptLeft { request: RequestId::from_bits(request.0), tokens: tokens.0 })
    })
}

/// One item for each request that may live, and no more.
pub(crate) fn bounded<T>(
    items: &Bound<'_, PyAny>,
    mut read: impl FnMut(&Bound<'_, PyAny>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    let mut out = Vec::new();
    for item in items.try_iter()? {
        error::within_requests(items.py(), out.len() + 1)?;
        out.push(read(&item?)?);
    }
    Ok(out)
}

/// The tuple, if it has so many fields.
pub(crate) fn fields<'a, 'py>(
    class: &str,
    item: &'a Bound<'py, PyAny>,
    counts: RangeInclusive<usize>,
) -> PyResult<&'a Bound<'py, PyTuple>> {
    let tuple = item.cast::<PyTuple>()?;
    if counts.contains(&tuple.len()) {
        return Ok(tuple);
    }
    let (least, most) = (counts.start(), counts.end());
    let count = if least == most { format!("{most}") } else { format!("{least} to {most}") };
    let message = format!("a {class} has {count} fields, this tuple has {}", tuple.len());
    Err(raised!(item.py(), BadArgument, message))
}

fn record<'py>(
    py: Python<'py>,
    class: &str,
    fields: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    py.import("tidegate._records")?.getattr(class)?.call1(fields)
}

/// An `Explanation`.
pub(crate) fn explanation<'py>(py: Python<'py>, why: &Explanation) -> PyResult<Bound<'py, PyAny>> {
    let starts_at_ns = why.starts_at.map(Instant::as_nanos);
    let others = PyTuple::new(py, why.other_pools.iter().map(|pool| pool.get()))?;
    let (state, gate, pool) = (Member(why.state), why.gate.map(Member), why.pool.get());
    record(py, "Explanation", (state, gate, why.ahead, starts_at_ns, pool, others))
}

/// A `TenantUsage`, with units by the names of the config.
pub(crate) fn usage<'py>(
    py: Python<'py>,
    config: &Config,
    usage: &TenantUsage,
) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    for (name, count) in [
        ("submitted", usage.submitted),
        ("started", usage.started),
        ("completed", usage.completed),
        ("failed", usage.failed),
        ("cancelled", usage.cancelled),
        ("dropped", usage.dropped),
        ("waiting", usage.waiting),
        ("running", usage.running),
        ("prompt_tokens", usage.prompt_tokens),
        ("cached_tokens", usage.cached_tokens),
        ("output_tokens", usage.output_tokens),
        ("held_tokens", usage.held_tokens),
        ("refunded_tokens", usage.refunded_tokens),
        ("debt_tokens", usage.debt_tokens),
        ("preemptions", usage.preemptions),
        ("memory_preemptions", usage.memory_preemptions),
        ("lost_tokens", usage.lost_tokens),
    ] {
        fields.set_item(name, count)?;
    }
    fields.set_item("in_use", argument::by_dimension(py, config, usage.in_use.as_array())?)?;
    fields.set_item("unit_ns", argument::by_dimension(py, config, &usage.unit_ns)?)?;
    fields.set_item("borrowed_unit_ns", argument::by_dimension(py, config, &usage.borrowed_unit_ns)?)?;
    fields.set_item("queue_delays", PyTuple::new(py, usage.queue_delays)?)?;
    py.import("tidegate._records")?.getattr("TenantUsage")?.call((), Some(&fields))
}

/// A list of `ShareWarning`, by the names of the config.
pub(crate) fn share_warnings<'py>(
    py: Python<'py>,
    config: &Config,
    warnings: &[ShareWarning],
) -> PyResult<Bound<'py, PyList>> {
    let out = PyList::empty(py);
    for warning in warnings {
        let pool = config.pools().nth(warning.pool.get() as usize);
        let tier = config.tiers()[usize::from(warning.tier.get())].name();
        let dimension = config.dimensions().nth(warning.dimension);
        out.append(record(
            py,
            "ShareWarning",
            (pool, tier, dimension, warning.asked_ppm, warning.effective_ppm),
        )?)?;
    }
    Ok(out)
}

/// A list of `PromptLeft`.
pub(crate) fn plan<'py>(py: Python<'py>, plan: &[PromptLeft]) -> PyResult<Bound<'py, PyList>> {
    let out = PyList::empty(py);
    for part in plan {
        out.append(record(py, "PromptLeft", (part.request.to_bits(), part.tokens))?)?;
    }
    Ok(out)
}
