//! The CPython door: `tidegate._tidegate`, which the package `tidegate` re-exports.
//!
//! It translates, and decides nothing: arguments into the core's types ([`argument`], [`word`]), the core's
//! answers into actions, records and exceptions ([`action`], [`record`], [`batch`], [`error`], [`snapshot`]). The scheduler is behind a lock ([`guard`]),
//! and no Python code ever runs while the lock is held.

mod action;
mod argument;
mod batch;
mod config;
mod error;
mod guard;
mod record;
mod scheduler;
mod settings;
mod snapshot;
mod stats;
mod word;

#[pyo3::pymodule(gil_used = false)]
mod _tidegate {
    #[pymodule_export]
    use crate::action::{Abort, Drop, LeaseWanted, Preempt, Spare, Start, Stuck};
    #[pymodule_export]
    use crate::config::Config;
    #[pymodule_export]
    use crate::scheduler::Scheduler;
    #[pymodule_export]
    use crate::stats::Stats;

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "the name that Python expects")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
