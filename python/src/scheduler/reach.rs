//! How methods of the scheduler come to its core: to look, to change, to say something, with refusals as exceptions.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tidegate::{InputError, PoolId, Resources, Tier};

use super::Scheduler;
use crate::access::{Access, Shared};
use crate::argument::{self, Named};
use crate::config::Config;
use crate::error::{self, raised};

impl Scheduler {
    pub(crate) fn description(&self) -> &tidegate::Config {
        &self.names.get().core
    }

    /// What answers on the spot of a scheduler that is shared.
    pub(crate) const fn of_shared(shared: Arc<Shared>, names: Py<Config>) -> Self {
        Self { core: Access::Shared(shared), names }
    }

    /// Looks at the core.
    pub(crate) fn ask<R: Send>(
        &self,
        py: Python<'_>,
        look: impl FnOnce(&tidegate::Scheduler) -> R + Send,
    ) -> PyResult<R> {
        self.core.ask(py, look)
    }

    /// Has the core, alone.
    pub(crate) fn change<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut tidegate::Scheduler) -> R + Send,
    ) -> PyResult<R> {
        self.core.change(py, work)
    }

    /// Has the core, alone, for what it wishes.
    pub(crate) fn wishes<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut tidegate::Scheduler) -> R + Send,
    ) -> PyResult<R> {
        self.core.poll(py, work)
    }

    /// Says something to the core, alone.
    pub(crate) fn tell<R: Send, E: Into<InputError> + Send>(
        &self,
        py: Python<'_>,
        say: impl FnOnce(&mut tidegate::Scheduler) -> Result<R, E> + Send,
    ) -> PyResult<R> {
        self.change(py, say)?.map_err(|refusal| self.refused(py, &refusal.into()))
    }

    /// The exception for what the core said of an input.
    pub(crate) fn refused(&self, py: Python<'_>, refusal: &InputError) -> PyErr {
        let dimensions: Vec<_> = self.description().dimensions().collect();
        error::refused(py, refusal, &dimensions)
    }

    /// The units of an argument.
    pub(crate) fn resources(&self, argument: &str, amounts: &Bound<'_, PyAny>) -> PyResult<Resources> {
        argument::resources(self.description(), amounts)
            .map_err(|error| error::about(amounts.py(), error, argument))
    }

    /// What an observer says of a tier in a pool, by the names of the dimensions.
    pub(super) fn amounts<'py>(
        &self,
        py: Python<'py>,
        tier: &Named,
        pool: &Named,
        look: impl FnOnce(&tidegate::Scheduler, PoolId, Tier) -> Option<Resources> + Send,
    ) -> PyResult<Bound<'py, PyDict>> {
        let config = self.description();
        let tier = argument::known_tier(py, config, tier)?;
        let pool = argument::pool(py, config, pool)?;
        let amounts = self.ask(py, |core| look(core, pool, tier))?;
        let amounts = amounts
            .ok_or_else(|| raised!(py, UnknownPool, format!("there is no {pool}"), pool = pool.get()))?;
        argument::by_dimension(py, config, amounts.as_array())
    }
}
