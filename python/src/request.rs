//! What `submit` is told of a request, whichever object's it is. It knows no lock.

use pyo3::prelude::*;
use tidegate::{Config, Instant, RequestSpec, Resources, TenantId, Yielding};

use crate::argument::{self, Named, Pools, Whole};
use crate::error;
use crate::word::Member;

/// The request, of the tenant 0: who asks is the caller's to add.
#[allow(clippy::too_many_arguments, reason = "the fields of a request")]
pub(crate) fn spec(
    py: Python<'_>,
    config: &Config,
    tier: &Named,
    demand: &Bound<'_, PyAny>,
    pools: &Pools,
    peak: Option<&Bound<'_, PyAny>>,
    prompt_tokens: Whole<u64>,
    cached_tokens: Whole<u64>,
    output_tokens: Option<Whole<u64>>,
    yielding: Member<Yielding>,
    deadline_ns: Option<Whole<u64>>,
    queue_timeout_ns: Option<Whole<u64>>,
    tag: Whole<u64>,
) -> PyResult<RequestSpec> {
    let units = |name, amounts: &Bound<'_, PyAny>| {
        argument::resources(config, amounts).map_err(|error| error::about(py, error, name))
    };
    let tier = argument::tier(py, config, tier)?;
    let (pool, other_pools) = pools.resolve(py, config)?;
    Ok(RequestSpec {
        tenant: TenantId::new(0),
        tier,
        pool,
        other_pools,
        demand: units("demand", demand)?,
        peak: peak.map_or(Ok(Resources::ZERO), |peak| units("peak", peak))?,
        prompt_tokens: prompt_tokens.0,
        cached_tokens: cached_tokens.0,
        output_tokens: output_tokens.map(|tokens| tokens.0),
        yielding: yielding.0,
        deadline: deadline_ns.map(|Whole(instant)| Instant::from_nanos(instant)),
        queue_timeout_ns: queue_timeout_ns.map(|span| span.0),
        tag: tag.0,
    })
}
