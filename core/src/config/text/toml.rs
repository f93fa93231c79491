//! TOML: the line of every fault is found again in the text.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use serde::Deserialize;
use toml::de::{DeTable, DeValue, Deserializer};

use super::ConfigText;
use crate::config::Config;
use crate::fault::{ConfigError, ConfigFault};

impl Config {
    /// Reads a config from TOML. The fields are the builder's settings by the same names, and what is left
    /// out is at the builder's default; durations are whole numbers with a unit (`s`, `ms`, `us`, `ns`).
    ///
    /// ```
    /// let config = tidegate::Config::from_toml(r#"
    ///     dimensions = ["slots", "kv_blocks"]
    ///     placement = "spread"                       # or "pack"
    ///     min_run = "1500ms"
    ///
    ///     [[tiers]]
    ///     name = "realtime"
    ///     reserve_ppm = 300000
    ///     rounding = "nearest"                       # or "ceil", "floor"
    ///     borrow_limit = { slots = 4, kv_blocks = 100 }
    ///     preempt_while_borrowing = "never"          # or "lower-tier", as for `preemption`
    ///
    ///     [[tiers]]
    ///     name = "batch"
    ///     queue_timeout = "3600s"
    /// "#)?;
    /// assert_eq!(config.tiers()[1].name(), "batch");
    /// # Ok::<(), tidegate::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`]: the first fault of text that is no TOML of this shape, else every fault found.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Self::from_toml_beside(text, &[])
    }

    /// As [`Self::from_toml`], of a file in which tables of hosts stand too: those at its top that `others` names are
    /// passed over, whatever they say.
    ///
    /// # Errors
    /// As [`Self::from_toml`].
    pub fn from_toml_beside(text: &str, others: &[&str]) -> Result<Self, ConfigError> {
        let mut root = DeTable::parse(text).map_err(|error| no_such_shape(text, &error))?;
        for &name in others {
            root.get_mut().remove(name);
        }
        let parsed = ConfigText::deserialize(Deserializer::from(root));
        parsed.map_err(|error| no_such_shape(text, &error))?.config().map_err(|mut error| {
            for fault in &mut error.faults {
                fault.line = line_of(text, &fault.path);
            }
            error
        })
    }

    /// Writes the config as TOML that [`Self::from_toml`] reads back as the same config. Every setting is
    /// written, defaults too, so that the text means the same if a default ever changes.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(&ConfigText::of(self)).expect("strings, numbers and tables are TOML")
    }
}

fn no_such_shape(text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map(|span| line_at(text, span.start));
    // What stands before the `=` of that line: toml does not say whose value has the wrong type.
    let field = line.and_then(|line| text.lines().nth(line - 1)).and_then(|line| line.split_once('='));
    let path = field.map_or(String::new(), |(field, _)| field.trim().to_owned());
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    ConfigError { faults: vec![ConfigFault { path, line, message }] }
}

/// The line of the byte at `offset`, counted from 1.
fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}

/// The line of the field at a path such as `tiers[0].reserve_ppm`, or of what of it is there.
fn line_of(text: &str, path: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let (mut table, mut offset) = (root.get_ref(), None);
    for segment in path.split('.') {
        let (name, index) = match segment.split_once('[') {
            Some((name, rest)) => (name, rest.trim_end_matches(']').parse::<usize>().ok()),
            None => (segment, None),
        };
        let Some((key, mut value)) = table.iter().find(|(key, _)| key.get_ref() == name) else { break };
        offset = Some(key.span().start);
        // Of all tiers together it is the last that goes too far.
        if let DeValue::Array(items) = value.get_ref()
            && let Some(item) = index.or(items.len().checked_sub(1)).and_then(|index| items.get(index))
        {
            value = item;
            offset = Some(item.span().start);
        }
        let DeValue::Table(inner) = value.get_ref() else { break };
        table = inner;
    }
    offset.map(|offset| line_at(text, offset))
}
