//! Keyword settings as the TOML text that says the same, so that the core has one reader of configs.
//!
//! One setting stands on one line: a fault that the reader finds on a line is the fault of that setting.

use std::fmt::Write;

use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyOverflowError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple};
use tidegate::{ConfigError, ConfigFault};

use crate::error;

/// How many lists and mappings may stand in one another within a setting: far more than any setting has, and so
/// few that one that holds itself ends.
const DEEPEST: usize = 8;

/// The text, and for each of its lines the path of the setting there.
#[derive(Default)]
pub(crate) struct Settings {
    text: String,
    paths: Vec<String>,
}

impl Settings {
    /// Writes the settings down; one that is `None` is left out.
    pub(crate) fn write(settings: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut out = Self::default();
        let mut tables = Vec::new();
        for item in settings.items() {
            let (key, value) = entry("", &item)?;
            match elements(&value).filter(|list| is_tables(list)) {
                Some(list) => tables.push((key, list)),
                None => out.setting("", &key, &value)?,
            }
        }
        for (key, list) in tables {
            for (index, table) in list.iter().enumerate() {
                let path = format!("{}[{index}]", &*key);
                out.line(&path, &format!("[[{}]]", quoted(&key)));
                for item in table.cast::<PyMapping>()?.items()? {
                    let (key, value) = entry(&format!("{path}."), &item)?;
                    out.setting(&format!("{path}."), &key, &value)?;
                }
            }
        }
        Ok(out)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The error with the paths of settings in place of the lines of a text that the caller never saw.
    pub(crate) fn locate(&self, mut error: ConfigError) -> ConfigError {
        for fault in &mut error.faults {
            let line = fault.line.take();
            // A fault of the text itself has no path, or a key as we wrote it, in quotes.
            let of_text = fault.path.is_empty() || fault.path.starts_with('"');
            if of_text && let Some(path) = line.and_then(|line| self.paths.get(line.checked_sub(1)?)) {
                fault.path.clone_from(path);
            }
        }
        error
    }

    fn line(&mut self, path: &str, line: &str) {
        self.paths.push(path.to_owned());
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn setting(&mut self, prefix: &str, key: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if !value.is_none() {
            let path = format!("{prefix}{key}");
            let line = format!("{} = {}", quoted(key), inline(&path, value, 0)?);
            self.line(&path, &line);
        }
        Ok(())
    }
}

/// The name and the value of an item of a mapping. `prefix` is the path of the mapping.
fn entry<'py>(prefix: &str, item: &Bound<'py, PyAny>) -> PyResult<(PyBackedStr, Bound<'py, PyAny>)> {
    let (key, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
    let path = || match key.cast::<PyString>() {
        Ok(key) => format!("{prefix}{}", key.to_string_lossy()),
        Err(_) => prefix.trim_end_matches('.').to_owned(),
    };
    let name = key.extract().map_err(|error| {
        let message = || format!("{} is not valid Unicode", error::shown(&key));
        refused::<PyUnicodeEncodeError>(key.py(), error, path, message)
    })?;
    Ok((name, value))
}

/// The value as TOML writes it within a line. `depth` counts the lists and mappings that it stands in.
fn inline(path: &str, value: &Bound<'_, PyAny>, depth: usize) -> PyResult<String> {
    if depth > DEEPEST {
        let message = format!("has more than {DEEPEST} lists and mappings in one another");
        return Err(fault(value.py(), path.to_owned(), None, message));
    }
    if let Some(scalar) = scalar(path, value)? {
        return Ok(scalar);
    }
    if let Some(list) = elements(value) {
        let items: Vec<_> = list.iter().map(|item| inline(path, item, depth + 1)).collect::<PyResult<_>>()?;
        return Ok(format!("[{}]", items.join(", ")));
    }
    let Ok(table) = value.cast::<PyMapping>() else {
        let message = format!("{} is not text, a number, a flag, a list or a mapping", error::shown(value));
        return Err(fault(value.py(), path.to_owned(), None, message));
    };
    let mut items = Vec::new();
    for item in table.items()? {
        let (key, value) = entry(&format!("{path}."), &item)?;
        items.push(format!("{} = {}", quoted(&key), inline(path, &value, depth + 1)?));
    }
    Ok(format!("{{ {} }}", items.join(", ")))
}

/// As [`inline`], for what holds nothing else. Subclasses count by their value: how they print is their own.
fn scalar(path: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let py = value.py();
    let here = || path.to_owned();
    Ok(Some(if let Ok(flag) = value.cast::<PyBool>() {
        flag.is_true().to_string()
    } else if value.is_instance_of::<PyInt>() {
        let signed = value.extract::<i64>().map(|number| number.to_string());
        let number = signed.or_else(|_| value.extract::<u64>().map(|number| number.to_string()));
        let message = || "the number does not fit into 64 bits".to_owned();
        number.map_err(|error| refused::<PyOverflowError>(py, error, here, message))?
    } else if let Ok(float) = value.cast::<PyFloat>() {
        let number = float.value();
        if !number.is_finite() {
            return Err(fault(py, here(), None, format!("{number} is not a finite number")));
        }
        format!("{number:?}")
    } else if value.is_instance_of::<PyString>() {
        let message = || format!("{} is not valid Unicode", error::shown(value));
        let text = value.extract::<PyBackedStr>();
        quoted(&text.map_err(|error| refused::<PyUnicodeEncodeError>(py, error, here, message))?)
    } else {
        return Ok(None);
    }))
}

/// The text of a config, if it is text.
pub(crate) fn unicode(text: &Bound<'_, PyString>) -> PyResult<PyBackedStr> {
    let py = text.py();
    text.extract().map_err(|error: PyErr| {
        let start = error.value(py).getattr("start").and_then(|start| start.extract::<usize>());
        let lines =
            |start| text.to_string_lossy().chars().take(start).filter(|&letter| letter == '\n').count();
        let line = start.ok().map(|start| 1 + lines(start));
        fault(py, String::new(), line, "the text is not valid Unicode".to_owned())
    })
}

fn elements<'py>(value: &Bound<'py, PyAny>) -> Option<Vec<Bound<'py, PyAny>>> {
    let list = value.cast::<PyList>().map(|list| list.iter().collect());
    list.or_else(|_| value.cast::<PyTuple>().map(|tuple| tuple.iter().collect())).ok()
}

fn is_tables(list: &[Bound<'_, PyAny>]) -> bool {
    !list.is_empty() && list.iter().all(|item| item.cast::<PyMapping>().is_ok())
}

fn fault(py: Python<'_>, path: String, line: Option<usize>, message: String) -> PyErr {
    error::config(py, &ConfigError { faults: vec![ConfigFault { path, line, message }] })
}

/// Makes the error `F` about a value the fault of its setting, and lets any other pass.
fn refused<F: PyTypeInfo>(
    py: Python<'_>,
    error: PyErr,
    path: impl FnOnce() -> String,
    message: impl FnOnce() -> String,
) -> PyErr {
    if error.is_instance_of::<F>(py) { fault(py, path(), None, message()) } else { error }
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            control if control.is_control() => {
                write!(out, "\\u{:04X}", u32::from(control)).expect("a string takes what is written to it");
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
