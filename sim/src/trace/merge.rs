//! One workload from several traces: the common zero, the stretching of rates, the order.

use super::readers::{Clock, Trace};
use super::{Kind, MAX_ARRIVAL_S, TraceError, TraceRequest, TraceSpec, Workload};

/// The latest arrival that a workload may hold after stretching.
const MAX_ARRIVAL_NS: u64 = MAX_ARRIVAL_S as u64 * 1_000_000_000;

/// Refuses a scale that is no positive number.
pub(super) fn check_scale(scale: f64) -> Result<(), TraceError> {
    if scale.is_finite() && scale > 0.0 {
        Ok(())
    } else {
        Err(TraceError::in_request(format!("scale {scale} is not a positive number")))
    }
}

/// Refuses GPU jobs beside inference requests: no worker could serve both.
pub(super) fn check_mix(specs: &[TraceSpec]) -> Result<(), TraceError> {
    let jobs = specs.iter().find(|spec| spec.kind == Kind::Openb);
    let tokens = specs.iter().find(|spec| spec.kind != Kind::Openb);
    match (jobs, tokens) {
        (Some(jobs), Some(tokens)) => Err(TraceError::in_request(format!(
            "{jobs} cannot be mixed with {tokens}: its rows are GPU jobs, not requests for tokens"
        ))),
        _ => Ok(()),
    }
}

/// Brings the traces onto one clock, divides the arrivals by `scale` and sorts them.
pub(super) fn merge(
    traces: Vec<(&TraceSpec, Trace)>,
    tenants: Vec<String>,
    scale: f64,
) -> Result<Workload, TraceError> {
    let on_wall_clock = traces.iter().filter(|(_, trace)| trace.clock == Clock::Wall);
    let first_stamp = on_wall_clock
        .flat_map(|(_, trace)| &trace.requests)
        .map(|request| request.arrival_ns)
        .min()
        .unwrap_or(0);
    let mut requests = Vec::with_capacity(traces.iter().map(|(_, trace)| trace.requests.len()).sum());
    let mut sources = Vec::with_capacity(traces.len());
    for (spec, trace) in traces {
        let zero = if trace.clock == Clock::Wall { first_stamp } else { 0 };
        sources.push(format!("{spec}: {}", trace.summary));
        for mut request in trace.requests {
            request.arrival_ns = stretched(request.arrival_ns - zero, scale);
            if request.arrival_ns > MAX_ARRIVAL_NS {
                return Err(TraceError::in_request(format!(
                    "{spec} at scale {scale} has arrivals behind {MAX_ARRIVAL_S} s"
                )));
            }
            requests.push(request);
        }
    }
    sort(&mut requests);
    Ok(Workload { requests, tenants, sources })
}

/// The arrival when rates are multiplied by `scale`.
pub(super) fn stretched(arrival_ns: u64, scale: f64) -> u64 {
    if scale == 1.0 {
        return arrival_ns; // exact, whatever the size
    }
    (arrival_ns as f64 / scale).round() as u64
}

/// By arrival; those that arrive together stay as they are.
pub(super) fn sort(requests: &mut [TraceRequest]) {
    requests.sort_by_key(|request| request.arrival_ns);
}
