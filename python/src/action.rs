//! The actions as frozen Python classes, one for each kind, that match by position and by name.

use std::fmt::{self, Debug, Formatter};

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tidegate::{Action, QuotaLimit, Reason, RequestId, YieldMode};

use crate::word::{Member, Word};

/// How a field is written in a `repr`: as the Python literal that makes it.
trait Literal {
    fn literal(&self, out: &mut Formatter<'_>) -> fmt::Result;
}

impl Literal for u32 {
    fn literal(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl Literal for u64 {
    fn literal(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl Literal for i64 {
    fn literal(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl Literal for Option<u64> {
    fn literal(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Some(number) => number.literal(out),
            None => out.write_str("None"),
        }
    }
}

impl<W: Word> Literal for Member<W> {
    fn literal(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "'{}'", self.0.word())
    }
}

macro_rules! action_class {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[pyclass(frozen, get_all, eq, hash, new = "from_fields", module = "tidegate")]
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) struct $name {
            $($field: $type),*
        }

        #[pymethods]
        impl $name {
            #[classattr]
            fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
                PyTuple::new(py, [$(stringify!($field)),*])
            }

            fn __getnewargs__(&self) -> ($($type,)*) {
                ($(self.$field,)*)
            }

            fn __repr__(&self) -> String {
                format!("{self:?}")
            }
        }

        impl Debug for $name {
            fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
                let mut separator = concat!(stringify!($name), "(");
                $(
                    write!(out, concat!("{}", stringify!($field), "="), separator)?;
                    self.$field.literal(out)?;
                    separator = ", ";
                )*
                let _ = separator;
                out.write_str(")")
            }
        }
    };
}

action_class! {
    /// Start this request on this worker. Answer with `started`, `progress`, `declined` or an end.
    Start {
        request: u64,
        worker: u32,
        attempt: u32,
        resume_tokens: u64,
        reason: Member<Reason>,
    }
}

action_class! {
    /// Stop this request and answer with `preempted`, or with its end if it ended first.
    Preempt {
        victim: u64,
        attempt: u32,
        mode: Member<YieldMode>,
        beneficiary: Option<u64>,
        confirm_by_ns: u64,
        reason: Member<Reason>,
    }
}

action_class! {
    /// A `Preempt` is taken back: go on if it has not stopped yet, else answer as to the `Preempt`.
    Spare { victim: u64, attempt: u32, reason: Member<Reason> }
}

action_class! {
    /// Stop this running request, answer its client with an error, and report `failed` when it stopped.
    Abort { request: u64, attempt: u32, reason: Member<Reason> }
}

action_class! {
    /// This request has ended and runs nowhere; answer its client. Nothing is to be reported.
    Drop { request: u64, reason: Member<Reason> }
}

action_class! {
    /// A victim was not reported stopped by `confirm_by_ns`; its units stay counted as used.
    Stuck { victim: u64, attempt: u32, reason: Member<Reason> }
}

action_class! {
    /// Ask the store that replicas share, and answer with `lease_granted`. The same `seq` is the same wish, said again
    /// because it was not answered.
    LeaseWanted {
        tenant: u32,
        limit: Member<QuotaLimit>,
        seq: u64,
        tokens: u64,
        returned: i64,
        reason: Member<Reason>,
    }
}

/// The action as an object of its class.
pub(crate) fn object<'py>(py: Python<'py>, action: &Action) -> PyResult<Bound<'py, PyAny>> {
    let reason = Member(action.reason());
    let request = action.request().map_or(0, RequestId::to_bits);
    match *action {
        Action::Start { attempt, worker, resume_tokens, .. } => {
            let (worker, attempt) = (worker.get(), attempt.get());
            Bound::new(py, Start { request, worker, attempt, resume_tokens, reason }).map(Bound::into_any)
        }
        Action::Preempt { attempt, mode, beneficiary, confirm_by, .. } => {
            let fields = Preempt {
                victim: request,
                attempt: attempt.get(),
                mode: Member(mode),
                beneficiary: beneficiary.map(|id| id.to_bits()),
                confirm_by_ns: confirm_by.as_nanos(),
                reason,
            };
            Bound::new(py, fields).map(Bound::into_any)
        }
        Action::Spare { attempt, .. } => {
            Bound::new(py, Spare { victim: request, attempt: attempt.get(), reason }).map(Bound::into_any)
        }
        Action::Abort { attempt, .. } => {
            Bound::new(py, Abort { request, attempt: attempt.get(), reason }).map(Bound::into_any)
        }
        Action::Drop { .. } => Bound::new(py, Drop { request, reason }).map(Bound::into_any),
        Action::Stuck { attempt, .. } => {
            Bound::new(py, Stuck { victim: request, attempt: attempt.get(), reason }).map(Bound::into_any)
        }
        Action::LeaseWanted { tenant, limit, seq, tokens, returned, .. } => {
            let (tenant, limit) = (tenant.get(), Member(limit));
            Bound::new(py, LeaseWanted { tenant, limit, seq, tokens, returned, reason }).map(Bound::into_any)
        }
    }
}
