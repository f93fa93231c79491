//! Whose scheduler a Python object is: its own, behind a lock, or one that many threads share, behind locks of the core's.
//!
//! It decides when the interpreter is let go: where another thread may be in the middle of a poll, and nowhere else. A
//! shared scheduler is of the process that made it: the threads that may hold one of its locks are not in a fork of it.

use std::sync::Arc;

use pyo3::prelude::*;
use tidegate::{Scheduler, SharedError};

use crate::error::{self, raised};
use crate::guard::{self, Closed, Guarded};

/// One scheduler, as the methods of a Python object reach it.
#[expect(clippy::large_enum_variant, reason = "it lies in an object, which is on the heap already")]
pub(crate) enum Access {
    /// That object's alone.
    Own(Guarded<Scheduler>),
    /// That of all who hold it.
    Shared(Arc<Shared>),
}

impl Access {
    /// Says something to it, alone.
    pub(crate) fn change<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Scheduler) -> R + Send,
    ) -> PyResult<R> {
        match self {
            Self::Own(own) => own.run(work).map_err(|closed| error::closed(py, &closed)),
            Self::Shared(shared) => shared.released(py, |core| core.with(work)),
        }
    }

    /// Looks at it. What lies in the intake of a shared one is not seen.
    pub(crate) fn ask<R: Send>(
        &self,
        py: Python<'_>,
        look: impl FnOnce(&Scheduler) -> R + Send,
    ) -> PyResult<R> {
        match self {
            Self::Own(own) => own.run(|core| look(core)).map_err(|closed| error::closed(py, &closed)),
            Self::Shared(shared) => shared.released(py, |core| core.read(look)),
        }
    }

    /// Has it do what only one may: of a shared one that is the one that polls it.
    pub(crate) fn poll<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Scheduler) -> R + Send,
    ) -> PyResult<R> {
        match self {
            Self::Own(_) => self.change(py, work),
            Self::Shared(_) => {
                Err(raised!(py, SharedError, "a shared scheduler is polled by `SharedScheduler.poll` alone"))
            }
        }
    }
}

/// The core's scheduler for many threads, in the process that made it.
pub(crate) struct Shared {
    core: tidegate::SharedScheduler,
    /// Of [`guard::process`].
    process: u64,
}

impl Shared {
    pub(crate) fn new(core: Scheduler, intake_capacity: usize) -> Self {
        Self { core: tidegate::SharedScheduler::new(core, intake_capacity), process: guard::process() }
    }

    /// Does what waits for no poll, and never for a thread that waits for the interpreter.
    pub(crate) fn at_once<R>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&tidegate::SharedScheduler) -> Result<R, SharedError>,
    ) -> PyResult<R> {
        self.here(py)?;
        answer(py, guard::caught(|| work(&self.core)))
    }

    /// Does what may wait for a poll or for the host's next word; other Python threads run meanwhile.
    pub(crate) fn released<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&tidegate::SharedScheduler) -> Result<R, SharedError> + Send,
    ) -> PyResult<R> {
        self.here(py)?;
        answer(py, py.detach(|| guard::caught(|| work(&self.core))))
    }

    fn here(&self, py: Python<'_>) -> PyResult<()> {
        if guard::process() == self.process { Ok(()) } else { Err(error::closed(py, &Closed::Elsewhere)) }
    }
}

fn answer<R>(py: Python<'_>, done: Result<Result<R, SharedError>, Closed>) -> PyResult<R> {
    match done {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(refusal @ SharedError::Busy)) => Err(raised!(py, Busy, refusal)),
        Ok(Err(poisoned)) => Err(error::closed(py, &Closed::Panicked(poisoned.to_string()))),
        Err(closed) => Err(error::closed(py, &closed)),
    }
}
