//! Files that all hosts read, and Kubernetes manifests: the readers of `tidegate-deploy`, whose answers become plain
//! tuples that `tidegate.deployment` and `tidegate.kubernetes` name.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use tidegate::{PoolId, Rate, TenantPolicy};
use tidegate_deploy::kubernetes::{self, ManifestError, Note};
use tidegate_deploy::{Defaults, Deployment};

use crate::config::Config;
use crate::error::{self, raised};
use crate::settings::unicode;
use crate::word::Member;

/// Reads a file: its config, tenants, pools of tiers, devices, workers, the tables of programs that it did not look at, and warnings.
#[pyfunction]
#[pyo3(signature = (text, *, dimensions, tiers))]
pub(crate) fn read_deployment<'py>(
    py: Python<'py>,
    text: &Bound<'py, PyString>,
    dimensions: Vec<String>,
    tiers: &str,
) -> PyResult<Bound<'py, PyTuple>> {
    let dimensions: Vec<_> = dimensions.iter().map(String::as_str).collect();
    let defaults = Defaults { dimensions: &dimensions, tiers };
    let found =
        Deployment::from_toml_or(&unicode(text)?, &defaults).map_err(|faults| error::config(py, &faults))?;
    let numbers = |list: &Vec<PoolId>| PyTuple::new(py, list.iter().map(|pool| pool.get()));
    let tenants = PyList::empty(py);
    for tenant in &found.tenants {
        let pools = numbers(&tenant.pools)?;
        tenants.append((&tenant.name, &tenant.parent, policy(py, &tenant.policy, &found)?, pools))?;
    }
    let tier_pools = found.tier_pools.iter().map(numbers).collect::<PyResult<Vec<_>>>()?;
    let devices = PyList::empty(py);
    for device in &found.devices {
        let limit = units(py, device.spec.limit, &found)?;
        devices.append((&device.name, limit, device.spec.checkpoint_mib))?;
    }
    let workers = PyList::empty(py);
    for group in &found.workers {
        let spec = group.spec();
        let parts: Vec<_> = spec.devices.iter().map(|part| (part.device.get(), part.part.get())).collect();
        let (pool, capacity) = (group.pool.get(), units(py, group.capacity, &found)?);
        let (kind, most_urgent) = (Member(group.kind), group.most_urgent.get());
        workers.append((group.count, pool, capacity, parts, kind, group.spare, most_urgent))?;
    }
    let (programs, warnings) = (found.programs.clone(), found.warnings());
    (Config { core: found.config }, tenants, tier_pools, devices, workers, programs, warnings)
        .into_pyobject(py)
}

fn units<'py>(
    py: Python<'py>,
    units: tidegate::Resources,
    found: &Deployment,
) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, units.as_array().iter().take(found.config.dimensions().len()))
}

/// The keywords of `tenant_configure` that are not at their defaults.
fn policy<'py>(py: Python<'py>, policy: &TenantPolicy, found: &Deployment) -> PyResult<Bound<'py, PyDict>> {
    let (said, plain) = (PyDict::new(py), TenantPolicy::new());
    let rate = |rate: Rate| {
        let class = py.import("tidegate._records")?.getattr("Rate")?;
        class.call1((rate.amount, rate.period_ns, rate.burst))
    };
    let TenantPolicy {
        parent: _, // by its name
        weight,
        most_urgent,
        requests,
        tokens,
        leased,
        max_running,
        max_in_use,
        queue_limit,
        queue_token_limit,
        over_quota,
        allow_when_full,
    } = *policy;
    if weight != plain.weight {
        said.set_item("weight", weight)?;
    }
    if most_urgent != plain.most_urgent {
        said.set_item("most_urgent", found.config.tiers()[usize::from(most_urgent.get())].name())?;
    }
    for (name, limit) in [("requests", requests), ("tokens", tokens)] {
        if let Some(limit) = limit {
            said.set_item(name, rate(limit)?)?;
        }
    }
    if leased {
        said.set_item("leased", true)?;
    }
    let numbers = [
        ("max_running", max_running),
        ("queue_limit", queue_limit),
        ("queue_token_limit", queue_token_limit),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            said.set_item(name, number)?;
        }
    }
    if max_in_use != plain.max_in_use {
        said.set_item("max_in_use", units(py, max_in_use, found)?)?;
    }
    if over_quota != plain.over_quota {
        said.set_item("over_quota", Member(over_quota))?;
    }
    if allow_when_full {
        said.set_item("allow_when_full", true)?;
    }
    Ok(said)
}

/// What there is to say about a place of the manifests: file, line, object and field, message.
type Said = (String, Option<usize>, String, String);

fn said(notes: &[Note]) -> Vec<Said> {
    let each = |note: &Note| (note.file.clone(), note.line, note.about.clone(), note.message.clone());
    notes.iter().map(each).collect()
}

/// The file that manifests say, and what it does not say.
#[pyfunction]
pub(crate) fn import_manifests(
    py: Python<'_>,
    files: Vec<(String, String)>,
) -> PyResult<(String, Vec<Said>)> {
    let borrowed: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    match py.detach(|| kubernetes::import(&borrowed)) {
        Ok(found) => Ok((found.toml, said(&found.notes))),
        Err(ManifestError(faults)) => {
            let message = ManifestError(faults.clone());
            Err(raised!(py, ManifestError, message, faults = PyTuple::new(py, said(&faults))?))
        }
    }
}

/// Manifests that say what a file says, and what they do not say, as places and messages.
#[pyfunction]
pub(crate) fn export_manifests(
    py: Python<'_>,
    text: &Bound<'_, PyString>,
) -> PyResult<(String, Vec<(String, String)>)> {
    let found = kubernetes::export(&unicode(text)?).map_err(|faults| error::config(py, &faults))?;
    let notes = found.notes.into_iter().map(|note| (note.path, note.message)).collect();
    Ok((found.yaml, notes))
}
