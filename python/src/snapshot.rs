//! A scheduler from the bytes of another, and what is wrong with bytes of which there is none.

use pyo3::prelude::*;
use tidegate::{Scheduler, SnapshotError};

use crate::error::{self, raised};
use crate::guard;

/// The scheduler that the bytes are a snapshot of, under a config.
pub(crate) fn restored(py: Python<'_>, config: &tidegate::Config, bytes: &[u8]) -> PyResult<Scheduler> {
    guard::caught(|| Scheduler::restore(config.clone(), bytes))
        .map_err(|panicked| error::closed(py, &panicked))?
        .map_err(|error| raised!(py, SnapshotError, error, kind = kind(&error)))
}

const fn kind(error: &SnapshotError) -> &'static str {
    match error {
        SnapshotError::NotASnapshot => "not-a-snapshot",
        SnapshotError::Format { .. } => "other-format",
        SnapshotError::OtherShape(_) => "other-shape",
        _ => "damaged",
    }
}
