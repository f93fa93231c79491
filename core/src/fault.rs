//! What is wrong with what a host sets up: a config or a tenant's policy, all faults at once. It knows neither.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use crate::resources::{MAX_UNITS, Resources};

/// How many faults one message tells: who made more has them in [`ConfigError::faults`].
const MAX_FAULTS_SHOWN: usize = 8;

/// One thing that is wrong with a config or a tenant's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// The field, as `tiers[0].reserve_ppm` or `tokens.burst`; empty for text that does not parse.
    pub path: String,
    /// The line of the text that the config was read from, if it has one, counted from 1.
    pub line: Option<usize>,
    /// What is wrong with it.
    pub message: String,
}

/// A config or a tenant's policy that cannot be used, with every fault in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub faults: Vec<ConfigFault>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().take(MAX_FAULTS_SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        match self.faults.len().saturating_sub(MAX_FAULTS_SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", OneLine(&self.path))?;
        }
        write!(f, "{}", OneLine(&self.message))
    }
}

/// Words with names of the text's own in them, which may have line breaks and even NUL, where C's strings end.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_debug()),
            false => f.write_char(c),
        })
    }
}

impl core::error::Error for ConfigError {}

/// The faults found so far.
#[derive(Default)]
pub(crate) struct Faults(Vec<ConfigFault>);

impl Faults {
    pub(crate) fn add(&mut self, path: &str, message: impl Into<String>) {
        self.0.push(ConfigFault { path: path.to_string(), line: None, message: message.into() });
    }

    pub(crate) fn at_most(&mut self, path: &str, number: u64, most: u64) {
        if number > most {
            self.add(path, format!("{number} is above {most}"));
        }
    }

    /// Of a vector: no dimension that is not there, and no more than there can be of the others.
    pub(crate) fn units(&mut self, path: &str, units: &Resources, dimensions: usize) {
        for (dimension, &units) in units.as_array().iter().enumerate() {
            let field = format!("{path}[{dimension}]");
            if units > MAX_UNITS || dimension < dimensions {
                self.at_most(&field, units, MAX_UNITS);
            } else if units > 0 {
                self.add(&field, "there is no such dimension");
            }
        }
    }

    /// # Errors
    /// If any was found.
    pub(crate) fn verdict(self) -> Result<(), ConfigError> {
        if self.0.is_empty() { Ok(()) } else { Err(ConfigError { faults: self.0 }) }
    }
}
