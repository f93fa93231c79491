//! The config as an immutable Python object: from settings, TOML or JSON, which are one description.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use crate::error;
use crate::settings::{self, Settings};

/// A validated config: `Config(dimensions=["slots"], tiers=[{"name": "realtime", "reserve_ppm": 300_000}])`.
///
/// The settings are those of the TOML and JSON forms, by the same names.
#[pyclass(frozen, eq, module = "tidegate")]
#[derive(PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) core: tidegate::Config,
}

#[pymethods]
impl Config {
    #[new]
    #[pyo3(signature = (**settings))]
    fn new(py: Python<'_>, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let settings = settings.map_or_else(|| Ok(Settings::default()), Settings::write)?;
        let core = tidegate::Config::from_toml(settings.text())
            .map_err(|faults| error::config(py, &settings.locate(faults)))?;
        Ok(Self { core })
    }

    /// Reads a config from `text` in TOML. Raises `ConfigError` with all faults.
    #[classmethod]
    fn from_toml(_class: &Bound<'_, PyType>, py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<Self> {
        let core = tidegate::Config::from_toml(&settings::unicode(text)?)
            .map_err(|faults| error::config(py, &faults))?;
        Ok(Self { core })
    }

    /// The config as TOML, every setting written; `from_toml` reads it back as an equal config.
    fn to_toml(&self) -> String {
        self.core.to_toml()
    }

    /// Reads a config from `text` in JSON: one object with the same fields. Raises `ConfigError` with all faults.
    #[staticmethod]
    fn from_json(py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<Self> {
        let core = tidegate::Config::from_json(&settings::unicode(text)?)
            .map_err(|faults| error::config(py, &faults))?;
        Ok(Self { core })
    }

    /// The config as JSON, every setting written; what has no limit is `null`.
    fn to_json(&self) -> String {
        self.core.to_json()
    }

    /// The names of the dimensions, in order.
    #[getter]
    fn dimensions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.core.dimensions())
    }

    /// The names of the tiers, the most urgent first.
    #[getter]
    fn tiers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.core.tiers().iter().map(tidegate::TierConfig::name))
    }

    /// The names of the pools, in order.
    #[getter]
    fn pools<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.core.pools())
    }

    /// How `pickle` and `copy` make it anew.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        Ok((py.get_type::<Self>().getattr("from_toml")?, (self.to_toml(),)))
    }

    pub(crate) fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (dimensions, tiers, pools) = (self.dimensions(py)?, self.tiers(py)?, self.pools(py)?);
        Ok(format!("<tidegate.Config dimensions={dimensions:?} tiers={tiers:?} pools={pools:?}>"))
    }
}
