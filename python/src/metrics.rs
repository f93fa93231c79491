//! What is asked of a scheduler for those who watch it, and those who bill: pages of metrics, names of tenants.

use pyo3::prelude::*;
use tidegate::{Instant, MetricsFormat, Scheduler, TenantError, TenantId, TenantUsage, Tier};

use crate::argument;
use crate::error::{self, raised};

/// What a tenant has used, in one tier or in all.
pub(crate) fn usage(
    core: &Scheduler,
    tenant: TenantId,
    tier: Option<Tier>,
    at: Instant,
) -> Result<TenantUsage, TenantError> {
    let all = (0..core.config().tiers().len() as u8).map(Tier::new);
    let parts = all.filter(|&part| tier.is_none_or(|tier| tier == part));
    parts
        .map(|part| core.usage_by_tier(tenant, part, at))
        .try_fold(TenantUsage::default(), |sum, part| Ok(sum.plus(&part?)))
}

/// The names of tenants by their numbers.
pub(crate) fn names(core: &Scheduler) -> Vec<(u32, String)> {
    core.tenants().map(|(id, name)| (id.get(), name.to_string())).collect()
}

/// The format of that name.
pub(crate) fn format(name: &Bound<'_, PyAny>) -> PyResult<MetricsFormat> {
    let text = argument::text(name)?;
    match &*text {
        "openmetrics" => Ok(MetricsFormat::OpenMetrics),
        "prometheus" => Ok(MetricsFormat::Prometheus),
        _ => {
            let message = format!("{} is neither \"openmetrics\" nor \"prometheus\"", error::quoted(&text));
            Err(raised!(name.py(), BadArgument, message))
        }
    }
}

/// All metrics as text.
pub(crate) fn page(core: &Scheduler, format: MetricsFormat, tenants: u64) -> String {
    let (mut page, tenants) = (String::new(), usize::try_from(tenants).unwrap_or(usize::MAX));
    core.write_metrics(&mut page, format, tenants).expect("a string takes everything");
    page
}
