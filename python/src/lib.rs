//! The CPython door: `tidegate._tidegate`, which the package `tidegate` re-exports.
//!
//! It translates, and decides nothing: arguments into the core's types ([`argument`], [`word`]), the core's
//! answers into actions, records, rows and exceptions ([`action`], [`record`], [`batch`], [`array`], [`error`],
//! [`outcome`], [`snapshot`]). Files and manifests go through [`deployment`]. The scheduler is behind a lock
//! ([`access`], [`guard`]),
//! and no Python code ever runs while the lock is held.

mod access;
mod action;
mod argument;
mod array;
mod batch;
mod column;
mod config;
mod deployment;
mod error;
mod guard;
mod metrics;
mod outcome;
mod record;
mod request;
mod scheduler;
mod settings;
mod shared;
mod snapshot;
mod stats;
mod word;

#[pyo3::pymodule(gil_used = false)]
mod _tidegate {
    use pyo3::prelude::*;
    use pyo3::types::{IntoPyDict, PyCFunction};

    use crate::guard;

    #[pymodule_export]
    use crate::action::{Abort, AlsoLost, Drop, LeaseWanted, Preempt, Spare, Start, Stuck};
    #[pymodule_export]
    use crate::array::{complete_columns, poll_rows, step_columns, submit_columns};
    #[pymodule_export]
    use crate::config::Config;
    #[pymodule_export]
    use crate::deployment::{export_manifests, import_manifests, read_deployment};
    #[pymodule_export]
    use crate::outcome::{Accepted, Cancelled, Refused, StopFirst};
    #[pymodule_export]
    use crate::scheduler::Scheduler;
    #[pymodule_export]
    use crate::shared::SharedScheduler;
    #[pymodule_export]
    use crate::stats::Stats;

    /// The interpreter tells of its forks; where it knows none, there are none.
    #[pymodule_init]
    fn hear_of_forks(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let os = module.py().import("os")?;
        if os.hasattr("register_at_fork")? {
            let hook = PyCFunction::new_closure(module.py(), None, None, |_, _| guard::forked())?;
            os.call_method(
                "register_at_fork",
                (),
                Some(&[("after_in_child", hook)].into_py_dict(module.py())?),
            )?;
        }
        Ok(())
    }

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "the name that Python expects")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
