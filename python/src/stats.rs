//! The counters as a frozen Python class.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tidegate::Reason;

use crate::word::Member;

/// Counters since the start; never reset.
#[pyclass(frozen, eq, module = "tidegate")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stats(pub(crate) tidegate::Stats);

#[pymethods]
impl Stats {
    /// Requests accepted.
    #[getter]
    fn submitted(&self) -> u64 {
        self.0.submitted
    }

    /// Requests that completed.
    #[getter]
    fn completed(&self) -> u64 {
        self.0.completed
    }

    /// Requests that an engine failed, declined three times, was told to abort, or took along when it was lost;
    /// and those that outgrew every worker.
    #[getter]
    fn failed(&self) -> u64 {
        self.0.failed
    }

    /// Requests that the host cancelled.
    #[getter]
    fn cancelled(&self) -> u64 {
        self.0.cancelled
    }

    /// Waiting requests that timed out or were displaced.
    #[getter]
    fn dropped(&self) -> u64 {
        self.0.dropped
    }

    /// Requests that have not ended.
    #[getter]
    fn live(&self) -> u64 {
        self.0.live
    }

    /// Calls whose `now_ns` was earlier than one before.
    #[getter]
    fn clock_regressions(&self) -> u64 {
        self.0.clock_regressions
    }

    /// Sets of victims that were chosen for an attempt that had one already.
    #[getter]
    fn further_sets(&self) -> u64 {
        self.0.further_sets
    }

    /// Claims that a more urgent request took units of.
    #[getter]
    fn takeovers(&self) -> u64 {
        self.0.takeovers
    }

    /// Sets of victims for which the finish test was waived.
    #[getter]
    fn waived_finish_test(&self) -> u64 {
        self.0.waived_finish_test
    }

    /// Sets of victims for which `min_run` was waived.
    #[getter]
    fn waived_min_run(&self) -> u64 {
        self.0.waived_min_run
    }

    /// Sets of victims for which `max_preemptions` was waived.
    #[getter]
    fn waived_max_preemptions(&self) -> u64 {
        self.0.waived_max_preemptions
    }

    /// Victims whose tier came below its reserve with them.
    #[getter]
    fn straddles(&self) -> u64 {
        self.0.straddles
    }

    /// Actions by their reason, those that never occurred included.
    #[getter]
    fn by_reason<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let out = PyDict::new(py);
        for &reason in Reason::ALL {
            out.set_item(Member(reason), self.0.by_reason[reason])?;
        }
        Ok(out)
    }

    fn __repr__(&self) -> String {
        let tidegate::Stats { submitted, completed, failed, cancelled, dropped, live, .. } = self.0;
        format!(
            "Stats(submitted={submitted}, completed={completed}, failed={failed}, cancelled={cancelled}, \
             dropped={dropped}, live={live})"
        )
    }
}
