//! The actions as frozen Python classes, one for each kind, that match by position and by name; outcomes are made so too.

use std::fmt::{self, Formatter};

use pyo3::prelude::*;
use tidegate::{Action, QuotaLimit, Reason, RequestId, YieldMode};

use crate::word::{Member, Word};

/// How a field is written in a `repr`: as the Python literal that makes it.
pub(crate) trait Literal {
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

macro_rules! value_class {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[pyclass(frozen, get_all, eq, hash, new = "from_fields", module = "tidegate")]
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) struct $name {
            $($(#[$field_doc])* $field: $type),*
        }

        #[pymethods]
        impl $name {
            #[classattr]
            fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, pyo3::types::PyTuple>> {
                pyo3::types::PyTuple::new(py, [$(stringify!($field)),*])
            }

            fn __getnewargs__(&self) -> ($($type,)*) {
                ($(self.$field,)*)
            }

            fn __repr__(&self) -> String {
                format!("{self:?}")
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut separator = concat!(stringify!($name), "(");
                $(
                    write!(out, concat!("{}", stringify!($field), "="), separator)?;
                    $crate::action::Literal::literal(&self.$field, out)?;
                    separator = ", ";
                )*
                let _ = separator;
                out.write_str(")")
            }
        }
    };
}
pub(crate) use value_class;

value_class! {
    /// Start this request on this worker. Answer with `started`, `progress`, `declined` or an end.
    Start {
        /// The request's id.
        request: u64,
        /// The worker's number.
        worker: u32,
        /// Which start of the request it is, counted from 1: what reports of it name.
        attempt: u32,
        /// Tokens of its context that were kept, to go on from; 0 from the beginning.
        resume_tokens: u64,
        /// Why it may start: `GUARANTEED`, `BORROWED` or `RECLAIMED`.
        reason: Member<Reason>,
    }
}

value_class! {
    /// Stop this request and answer with `preempted`, or with its end if it ended first.
    Preempt {
        /// The id of the request to stop.
        victim: u64,
        /// The attempt that runs.
        attempt: u32,
        /// Whether its context is worth keeping.
        mode: Member<YieldMode>,
        /// The id of the request that it stops for; `None` where it stops for memory.
        beneficiary: Option<u64>,
        /// The instant in nanoseconds after which it counts as stuck.
        confirm_by_ns: u64,
        /// Why: `RECLAIM`, `URGENT` or `OUT_OF_MEMORY`.
        reason: Member<Reason>,
    }
}

value_class! {
    /// A `Preempt` is taken back: go on if it has not stopped yet, else answer as to the `Preempt`.
    Spare {
        /// The id of the request that need not stop.
        victim: u64,
        /// The attempt that runs.
        attempt: u32,
        /// Why: `NOT_NEEDED`.
        reason: Member<Reason>,
    }
}

value_class! {
    /// Stop this running request, answer its client with an error, and report `failed` when it stopped.
    Abort {
        /// The request's id.
        request: u64,
        /// The attempt that runs.
        attempt: u32,
        /// Why: `OUT_OF_MEMORY` or `NEVER_FITS`.
        reason: Member<Reason>,
    }
}

value_class! {
    /// This request has ended and runs nowhere; answer its client. Nothing is to be reported.
    Drop {
        /// The request's id.
        request: u64,
        /// Why it ended.
        reason: Member<Reason>,
    }
}

value_class! {
    /// A victim was not reported stopped by `confirm_by_ns`; its units stay counted as used.
    Stuck {
        /// The victim's id.
        victim: u64,
        /// The attempt that was to stop.
        attempt: u32,
        /// Why: `UNCONFIRMED`.
        reason: Member<Reason>,
    }
}

value_class! {
    /// Ask the store that replicas share, and answer with `lease_granted`. The same `seq` is the same wish, said again
    /// because it was not answered.
    LeaseWanted {
        /// The number of the tenant whose limit is shared.
        tenant: u32,
        /// Which of its limits.
        limit: Member<QuotaLimit>,
        /// The number of the wish, which the answer names.
        seq: u64,
        /// Tokens that are wanted; requests, if that is the limit.
        tokens: u64,
        /// Tokens of earlier grants that come back; below 0 more was used than was granted.
        returned: i64,
        /// Why it is asked for now.
        reason: Member<Reason>,
    }
}

value_class! {
    /// This worker went with another that the host said is lost: nothing runs there any more, end what is left of it.
    /// Nothing is to be reported.
    AlsoLost {
        /// The number of the worker that is lost too.
        worker: u32,
        /// The number of the one whose fault took it along.
        by: u32,
        /// Why: `WORKER_LOST`.
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
        Action::AlsoLost { worker, by, .. } => {
            Bound::new(py, AlsoLost { worker: worker.get(), by: by.get(), reason }).map(Bound::into_any)
        }
    }
}
