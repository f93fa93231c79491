//! What a poll of a shared scheduler tells beside actions: what came of the calls that threads left in its intake.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use tidegate::{Outcome, RequestId, Ticket};

use crate::action::{self, value_class};
use crate::scheduler::Scheduler;

value_class! {
    /// A request was accepted; its `Start` or `Drop` comes later.
    Accepted {
        /// What `submit` returned.
        ticket: u64,
        /// The request's tag.
        tag: u64,
        /// The request's id.
        request: u64,
    }
}

value_class! {
    /// A request that waited was cancelled by its ticket; it has ended.
    Cancelled {
        /// What `submit` returned.
        ticket: u64,
        /// The request's id.
        request: u64,
    }
}

value_class! {
    /// A request was cancelled by its ticket while an engine has it: stop it there, then `cancel_request`. If its `Start` is
    /// still to come, do not start it.
    StopFirst {
        /// What `submit` returned.
        ticket: u64,
        /// The request's id.
        request: u64,
    }
}

/// What was left in the intake was refused, and changed nothing. Equal to itself alone, as its error is.
#[pyclass(frozen, get_all, new = "from_fields", module = "tidegate")]
pub(crate) struct Refused {
    /// What the call returned.
    ticket: u64,
    /// The request's tag, of a `submit`; 0 of any other call.
    tag: u64,
    /// The `tidegate.Error` that the method of `Scheduler` would raise.
    error: Py<PyAny>,
}

#[pymethods]
impl Refused {
    #[classattr]
    fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        PyTuple::new(py, ["ticket", "tag", "error"])
    }

    fn __getnewargs__(&self, py: Python<'_>) -> (u64, u64, Py<PyAny>) {
        (self.ticket, self.tag, self.error.clone_ref(py))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Self { ticket, tag, error } = self;
        Ok(format!("Refused(ticket={ticket}, tag={tag}, error={})", error.bind(py).repr()?.to_string_lossy()))
    }
}

/// The outcomes, in their order, as objects of their classes.
pub(crate) fn list<'py>(
    py: Python<'py>,
    scheduler: &Scheduler,
    outcomes: &[Outcome],
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for outcome in outcomes {
        let object = match *outcome {
            Outcome::Action(ref action) => action::object(py, action)?,
            Outcome::Accepted { ticket, tag, request } => {
                let (ticket, request) = bits(ticket, request);
                Bound::new(py, Accepted { ticket, tag, request })?.into_any()
            }
            Outcome::Cancelled { ticket, request } => {
                let (ticket, request) = bits(ticket, request);
                Bound::new(py, Cancelled { ticket, request })?.into_any()
            }
            Outcome::StopFirst { ticket, request } => {
                let (ticket, request) = bits(ticket, request);
                Bound::new(py, StopFirst { ticket, request })?.into_any()
            }
            Outcome::Refused { ticket, tag, ref error } => {
                let error = scheduler.refused(py, error).into_value(py).into_any();
                Bound::new(py, Refused { ticket: ticket.get(), tag, error })?.into_any()
            }
            // Of what Python cannot leave in an intake.
            Outcome::Created { .. } => continue,
        };
        list.append(object)?;
    }
    Ok(list)
}

const fn bits(ticket: Ticket, request: RequestId) -> (u64, u64) {
    (ticket.get(), request.to_bits())
}
