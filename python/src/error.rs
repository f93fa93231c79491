//! The core's errors as the exceptions of `tidegate._errors`, with their numbers as attributes.
//!
//! The exceptions are Python classes, because an extension for this stable ABI cannot subclass them.

use std::fmt::Display;

use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tidegate::{
    AmendError, ConfigError, ConfigFault, InputError, Instant, InvariantViolation, Limit, MAX_REQUESTS,
    QueueScope, QueueUnit, ReportError, SubmitError, TenantError, WorkerError,
};

use crate::guard::Closed;
use crate::word::Member;

/// An exception of the class named, with this message and these attributes.
macro_rules! raised {
    ($py:expr, $class:ident, $message:expr $(, $field:ident = $value:expr)* $(,)?) => {
        $crate::error::exception($py, stringify!($class), &$message, |_fields| {
            $(_fields.set_item(stringify!($field), $value)?;)*
            Ok(())
        })
    };
}
pub(crate) use raised;

/// The exception, or what went wrong while it was made.
pub(crate) fn exception<'py>(
    py: Python<'py>,
    class: &str,
    message: &dyn Display,
    describe: impl FnOnce(&Bound<'py, PyDict>) -> PyResult<()>,
) -> PyErr {
    let build = || {
        let fields = PyDict::new(py);
        describe(&fields)?;
        py.import("tidegate._errors")?.getattr(class)?.call((message.to_string(),), Some(&fields))
    };
    build().map_or_else(|error| error, PyErr::from_value)
}

/// What the core said of an input. `dimensions` are the config's.
pub(crate) fn refused(py: Python<'_>, error: &InputError, dimensions: &[&str]) -> PyErr {
    match error {
        InputError::Submit(error) | InputError::Amend(AmendError::Submit(error)) => {
            submit(py, error, dimensions)
        }
        InputError::Report(error) | InputError::Amend(AmendError::Report(error)) => report(py, error),
        InputError::Config(error) => config(py, error),
        InputError::Worker(error) => worker(py, error),
        InputError::Tenant(error) => tenant(py, error),
        other => raised!(py, Error, other),
    }
}

fn submit(py: Python<'_>, error: &SubmitError, dimensions: &[&str]) -> PyErr {
    match *error {
        SubmitError::UnknownTenant(tenant) => raised!(py, UnknownTenant, error, tenant = tenant.get()),
        SubmitError::UnknownTier { tier, .. } => raised!(py, UnknownTier, error, tier = tier.get()),
        SubmitError::UnknownPool(pool) => raised!(py, UnknownPool, error, pool = pool.get()),
        SubmitError::ZeroDemand => raised!(py, ZeroDemand, error),
        SubmitError::NeverFits { dimension, need, max } => {
            let dimension = dimensions.get(dimension).copied().unwrap_or("a dimension that the config lacks");
            let message = format!("needs {need} of {dimension} and can never have more than {max}");
            raised!(py, NeverFits, message, dimension = dimension, need = need, max = max)
        }
        SubmitError::QueueFull { scope, unit, limit } => queue_full(py, error, scope, unit, limit),
        SubmitError::TierTooUrgent { tenant, tier, allowed } => raised!(
            py,
            TierTooUrgent,
            error,
            tenant = tenant.get(),
            tier = tier.get(),
            allowed = allowed.get(),
        ),
        SubmitError::NeverAllowed { tenant, limit, need, max } => {
            let limit = Member(limit);
            raised!(py, NeverAllowed, error, tenant = tenant.get(), limit = limit, need = need, max = max)
        }
        SubmitError::OverQuota { tenant, limit, retry_at } => raised!(
            py,
            OverQuota,
            error,
            tenant = tenant.get(),
            limit = Member(limit),
            retry_at_ns = retry_at.map(Instant::as_nanos),
        ),
        SubmitError::LimitExceeded { limit, max } => limit_exceeded(py, error, limit, max),
        _ => raised!(py, SubmitError, error),
    }
}

fn queue_full(py: Python<'_>, error: &SubmitError, scope: QueueScope, unit: QueueUnit, limit: u64) -> PyErr {
    let (word, tier, tenant) = match scope {
        QueueScope::Tier(tier) => ("tier", Some(tier.get()), None),
        QueueScope::Tenant(tenant) => ("tenant", None, Some(tenant.get())),
        QueueScope::Total => ("total", None, None),
    };
    let unit = match unit {
        QueueUnit::Requests => "requests",
        QueueUnit::Tokens => "tokens",
    };
    raised!(py, QueueFull, error, scope = word, tier = tier, tenant = tenant, unit = unit, limit = limit)
}

/// Why a report, a cancellation or a question about a request was refused.
pub(crate) fn report(py: Python<'_>, error: &ReportError) -> PyErr {
    match *error {
        ReportError::UnknownRequest(id) => raised!(py, UnknownRequest, error, request = id.to_bits()),
        ReportError::AlreadyTerminal(id) => raised!(py, AlreadyTerminal, error, request = id.to_bits()),
        ReportError::StaleAttempt { request, attempt, current } => raised!(
            py,
            StaleAttempt,
            error,
            request = request.to_bits(),
            attempt = attempt.get(),
            current = current.get(),
        ),
        ReportError::WrongState { request, state } => {
            raised!(py, WrongState, error, request = request.to_bits(), state = Member(state))
        }
        ReportError::LimitExceeded { limit, max } => limit_exceeded(py, error, limit, max),
        _ => raised!(py, ReportError, error),
    }
}

/// Why a worker, a device, a step or a question about one was refused.
pub(crate) fn worker(py: Python<'_>, error: &WorkerError) -> PyErr {
    match *error {
        WorkerError::UnknownWorker(worker) => raised!(py, UnknownWorker, error, worker = worker.get()),
        WorkerError::UnknownPool(pool) => raised!(py, UnknownPool, error, pool = pool.get()),
        WorkerError::ZeroCapacity => raised!(py, ZeroCapacity, error),
        WorkerError::Lost(worker) => raised!(py, WorkerLost, error, worker = worker.get()),
        WorkerError::NotLost(worker) => raised!(py, NotLost, error, worker = worker.get()),
        WorkerError::UnknownDevice(device) => raised!(py, UnknownDevice, error, device = device.get()),
        WorkerError::DeviceLost(device) => raised!(py, DeviceLost, error, device = device.get()),
        WorkerError::BadPart(device) => raised!(py, BadPart, error, device = device.get()),
        WorkerError::SharedAcrossPools { device, pool } => {
            raised!(py, SharedAcrossPools, error, device = device.get(), pool = pool.get())
        }
        WorkerError::Step(ref error) => report(py, error),
        WorkerError::NotHere { request, worker } => {
            raised!(py, NotHere, error, request = request.to_bits(), worker = worker.get())
        }
        WorkerError::LimitExceeded { limit, max } => limit_exceeded(py, error, limit, max),
        _ => raised!(py, WorkerError, error),
    }
}

/// Why something about a tenant was refused.
pub(crate) fn tenant(py: Python<'_>, error: &TenantError) -> PyErr {
    match *error {
        TenantError::BadName => raised!(py, BadName, error),
        TenantError::LimitExceeded { limit, max } => limit_exceeded(py, error, limit, max),
        TenantError::Unknown(tenant) => raised!(py, UnknownTenant, error, tenant = tenant.get()),
        TenantError::Cycle(tenant) => raised!(py, TenantCycle, error, tenant = tenant.get()),
        TenantError::TooDeep(tenant) => raised!(py, TenantTooDeep, error, tenant = tenant.get()),
        TenantError::TooMuch(tenant) => raised!(py, TenantTooMuch, error, tenant = tenant.get()),
        TenantError::Busy(tenant) => raised!(py, TenantBusy, error, tenant = tenant.get()),
        TenantError::GrantTooLarge { tenant, wanted, tokens } => {
            raised!(py, GrantTooLarge, error, tenant = tenant.get(), wanted = wanted, tokens = tokens)
        }
        TenantError::Policy(ref error) => policy(py, error),
        _ => raised!(py, TenantError, error),
    }
}

fn limit_exceeded(py: Python<'_>, error: &dyn Display, limit: Limit, max: u64) -> PyErr {
    let word = match limit {
        Limit::Units => "units",
        Limit::Tokens => "tokens",
        Limit::Requests => "requests",
        Limit::Devices => "devices",
        Limit::DevicesPerWorker => "devices-per-worker",
        Limit::Workers => "workers",
        Limit::Tenants => "tenants",
        Limit::NameBytes => "name-bytes",
        Limit::Attempts => "attempts",
    };
    raised!(py, LimitExceeded, error, limit = word, max = max)
}

/// A config that cannot be used; `faults` is a tuple of `(path, message)`.
pub(crate) fn config(py: Python<'_>, error: &ConfigError) -> PyErr {
    faults(py, error).map_or_else(|other| other, |faults| raised!(py, ConfigError, error, faults = faults))
}

/// The same of a tenant's policy.
fn policy(py: Python<'_>, error: &ConfigError) -> PyErr {
    faults(py, error).map_or_else(|other| other, |faults| raised!(py, PolicyError, error, faults = faults))
}

fn faults<'py>(py: Python<'py>, error: &ConfigError) -> PyResult<Bound<'py, PyTuple>> {
    let place = |fault: &ConfigFault| match fault.line {
        Some(line) if fault.path.is_empty() => format!("line {line}"),
        _ => fault.path.clone(),
    };
    PyTuple::new(py, error.faults.iter().map(|fault| (place(fault), &*fault.message)).collect::<Vec<_>>())
}

/// The scheduler's books do not balance.
pub(crate) fn invariant(py: Python<'_>, error: &InvariantViolation) -> PyErr {
    raised!(py, InvariantViolation, error, name = error.name, detail = &*error.detail)
}

/// A scheduler that cannot be used any more: for a bug in tidegate, caught at the border, or for a fork.
pub(crate) fn closed(py: Python<'_>, closed: &Closed) -> PyErr {
    match closed {
        Closed::Panicked(what) => {
            let message = format!("a bug in tidegate, this scheduler cannot be used any more: {what}");
            raised!(py, InternalError, message)
        }
        Closed::Forked => {
            let message = "this process was forked while another thread was inside this scheduler";
            raised!(py, Forked, message)
        }
        Closed::Elsewhere => {
            let message =
                "a shared scheduler is of the process that made it, and this one was forked off that";
            raised!(py, Forked, message)
        }
    }
}

/// Whether it is one of those that tidegate raises for what the caller said.
pub(crate) fn is_ours(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    Ok(error.is_instance(py, &py.import("tidegate._errors")?.getattr("Error")?))
}

/// Makes the fault `F` of a value ours. What else went wrong is not: a wrong type stays a `TypeError`, and what
/// the caller's own code raised while it was asked for the value goes through.
pub(crate) fn unusable<F: PyTypeInfo>(
    py: Python<'_>,
    error: PyErr,
    message: impl FnOnce() -> String,
) -> PyErr {
    if error.is_instance_of::<F>(py) { raised!(py, BadArgument, message()) } else { error }
}

/// Notes which argument or field it is about, as a call does for its own arguments.
pub(crate) fn about(py: Python<'_>, error: PyErr, name: &str) -> PyErr {
    // An exception that takes no note is raised without.
    let _ = error.value(py).call_method1("add_note", (format!("while processing '{name}'"),));
    error
}

/// What is wrong with a number that a field has no room for.
pub(crate) fn beyond(number: &dyn Display, bits: usize) -> String {
    format!("{number} is not a whole number from 0 to 2^{bits} - 1")
}

/// A tier of a number that no tier can have.
pub(crate) fn no_tier(py: Python<'_>, number: u32) -> PyErr {
    raised!(py, UnknownTier, format!("there is no tier {number}"), tier = number)
}

/// One item for each request that may live, and no more.
pub(crate) fn within_requests(py: Python<'_>, items: usize) -> PyResult<()> {
    if items as u64 <= MAX_REQUESTS {
        return Ok(());
    }
    let message = format!("too many live requests: at most {MAX_REQUESTS}");
    Err(raised!(py, LimitExceeded, message, limit = "requests", max = MAX_REQUESTS))
}

/// The value as a message shows it: part of one line, whatever its `__repr__` does.
pub(crate) fn shown(value: &Bound<'_, PyAny>) -> String {
    let repr = value.repr().map(|repr| repr.to_string_lossy().into_owned());
    let text = repr.unwrap_or_else(|_| match value.get_type().name() {
        Ok(class) => format!("<{}>", class.to_string_lossy()),
        Err(_) => "<value>".to_owned(),
    });
    short(&text)
}

/// A word of the caller's as a message shows it.
pub(crate) fn quoted(text: &str) -> String {
    short(&format!("{text:?}"))
}

/// Part of one line.
fn short(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut letters = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let mut out: String = letters.by_ref().take(LONGEST).collect();
    if letters.next().is_some() {
        out.push_str("...");
    }
    out
}
