//! Keyword settings as the TOML text that says the same, so that the core has one reader of configs.
//!
//! One setting stands on one line: a fault that the reader finds on a line is the fault of that setting.

use std::fmt::Write;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple};
use tidegate::{ConfigError, ConfigFault};

use crate::error;

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
        for (key, value) in settings {
            let key: PyBackedStr = key.extract()?;
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
                    let (key, value): (PyBackedStr, Bound<'_, PyAny>) = item.extract()?;
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
            let line = fault.path.strip_prefix("line ").and_then(|number| number.parse::<usize>().ok());
            if let Some(path) = line.and_then(|line| self.paths.get(line.checked_sub(1)?)) {
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
            let line = format!("{} = {}", quoted(key), inline(&path, value)?);
            self.line(&path, &line);
        }
        Ok(())
    }
}

/// The value as TOML writes it within a line.
fn inline(path: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(flag.is_true().to_string());
    }
    if value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>() {
        return Ok(value.repr()?.to_string());
    }
    if value.is_instance_of::<PyString>() {
        return Ok(quoted(&value.extract::<PyBackedStr>().map_err(|_| no_setting(path, value))?));
    }
    if let Some(list) = elements(value) {
        let items: Vec<_> = list.iter().map(|item| inline(path, item)).collect::<PyResult<_>>()?;
        return Ok(format!("[{}]", items.join(", ")));
    }
    let Ok(table) = value.cast::<PyMapping>() else { return Err(no_setting(path, value)) };
    let mut items = Vec::new();
    for item in table.items()? {
        let (key, value): (PyBackedStr, Bound<'_, PyAny>) = item.extract()?;
        items.push(format!("{} = {}", quoted(&key), inline(path, &value)?));
    }
    Ok(format!("{{ {} }}", items.join(", ")))
}

fn elements<'py>(value: &Bound<'py, PyAny>) -> Option<Vec<Bound<'py, PyAny>>> {
    let list = value.cast::<PyList>().map(|list| list.iter().collect());
    list.or_else(|_| value.cast::<PyTuple>().map(|tuple| tuple.iter().collect())).ok()
}

fn is_tables(list: &[Bound<'_, PyAny>]) -> bool {
    !list.is_empty() && list.iter().all(|item| item.cast::<PyMapping>().is_ok())
}

fn no_setting(path: &str, value: &Bound<'_, PyAny>) -> PyErr {
    let message = format!("{value:?} is not text, a number, a flag, a list or a mapping");
    error::config(value.py(), &ConfigError { faults: vec![ConfigFault { path: path.to_owned(), message }] })
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
