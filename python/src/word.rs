//! The core's small enums as the string enums of `tidegate._enums`, in both directions.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tidegate::{Decline, Gate, OverQuota, QuotaLimit, Reason, RequestState, WorkerKind, YieldMode, Yielding};

use crate::argument;
use crate::error::{self, raised};

/// The members of the Python enum, in the order of [`Word::ALL`], once they were asked for.
type Members = PyOnceLock<Vec<Py<PyAny>>>;

/// An enum of the core that is a `StrEnum` in Python.
pub(crate) trait Word: Copy + PartialEq + 'static {
    /// The name of the class in `tidegate._enums`.
    const CLASS: &'static str;
    /// Every value.
    const ALL: &'static [Self];

    /// The member's string.
    fn word(self) -> &'static str;

    /// Where the members are kept.
    fn members() -> &'static Members;
}

macro_rules! words {
    ($name:ident in $class:literal { $($variant:ident = $word:literal),* $(,)? }) => {
        impl Word for $name {
            const CLASS: &'static str = $class;
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),*
                }
            }

            fn members() -> &'static Members {
                static MEMBERS: Members = PyOnceLock::new();
                &MEMBERS
            }
        }
    };
}

words!(Decline in "Decline" { Other = "other", NoRoom = "no-room", NotReady = "not-ready" });
words!(YieldMode in "YieldMode" { Restart = "restart", Checkpoint = "checkpoint" });
// `OverQuota` is the exception in Python.
words!(OverQuota in "OverQuotaAction" { Wait = "wait", Reject = "reject", Demote = "demote" });
words!(QuotaLimit in "QuotaLimit" { Requests = "requests", Tokens = "tokens", Running = "running", Units = "units" });
words!(Yielding in "Yielding" { Restart = "restart", Checkpoint = "checkpoint", Never = "never" });
words!(RequestState in "RequestState" {
    Queued = "queued",
    Parked = "parked",
    Starting = "starting",
    Running = "running",
    Preempting = "preempting",
    Releasing = "releasing",
    Aborting = "aborting",
});

/// Enums that the core itself lists and names.
macro_rules! named_by_the_core {
    ($($name:ident),*) => {$(
        impl Word for $name {
            const CLASS: &'static str = stringify!($name);
            const ALL: &'static [Self] = &Self::ALL;

            fn word(self) -> &'static str {
                self.as_str()
            }

            fn members() -> &'static Members {
                static MEMBERS: Members = PyOnceLock::new();
                &MEMBERS
            }
        }
    )*};
}

named_by_the_core!(Gate, Reason, WorkerKind);

/// A value of the core's enum that crosses the border as a member of the Python enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Member<W>(pub(crate) W);

impl<'py, W: Word> IntoPyObject<'py> for Member<W> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let members = W::members().get_or_try_init(py, || {
            let class = py.import("tidegate._enums")?.getattr(W::CLASS)?;
            W::ALL
                .iter()
                .map(|value| Ok(class.call1((value.word(),))?.unbind()))
                .collect::<PyResult<Vec<_>>>()
        })?;
        let index = W::ALL.iter().position(|value| *value == self.0).expect("ALL names every value");
        Ok(members[index].bind(py).clone())
    }
}

impl<'py, W: Word> FromPyObject<'_, 'py> for Member<W> {
    type Error = PyErr;

    /// Takes a member, or its string.
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let text = argument::text(&object)?;
        W::ALL.iter().find(|value| value.word() == &*text).map(|value| Self(*value)).ok_or_else(|| {
            let known: Vec<_> = W::ALL.iter().map(|value| value.word()).collect();
            raised!(
                object.py(),
                BadArgument,
                format!("{} is no {}: {}", error::quoted(&text), W::CLASS, known.join(", "))
            )
        })
    }
}
