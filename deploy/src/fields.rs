//! The fields of one table of a file: each is taken once, and what is left over at the end is not known. Keeps
//! every fault instead of stopping at the first; a fault leaves the field as if it were absent.

use tidegate::{Config, ConfigFault, MAX_UNITS, Resources, Tier};
use toml::{Table, Value};

use crate::document::bare;

/// A table on the way of being read.
pub(crate) struct Fields<'f> {
    table: Table,
    path: String,
    faults: &'f mut Vec<ConfigFault>,
}

pub(crate) fn fault(path: impl Into<String>, message: impl Into<String>) -> ConfigFault {
    ConfigFault { path: path.into(), line: None, message: message.into() }
}

impl<'f> Fields<'f> {
    pub(crate) fn new(table: Table, path: String, faults: &'f mut Vec<ConfigFault>) -> Self {
        Self { table, path, faults }
    }

    pub(crate) fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(fault(format!("{}.{}", self.path, bare(name)), message));
    }

    fn wrong(&mut self, name: &str, value: &Value, wanted: &str) {
        self.fault(name, format!("a value of the type {} is no {wanted}", value.type_str()));
    }

    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        match self.table.remove(name)? {
            Value::String(text) => Some(text),
            other => {
                self.wrong(name, &other, "text");
                None
            }
        }
    }

    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        match self.table.remove(name)? {
            Value::Boolean(flag) => Some(flag),
            other => {
                self.wrong(name, &other, "flag");
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(crate) fn whole(&mut self, name: &str, least: i64, most: i64) -> Option<i64> {
        match self.table.remove(name)? {
            Value::Integer(number) if (least..=most).contains(&number) => Some(number),
            Value::Integer(number) => {
                self.fault(name, format!("{number} is not from {least} to {most}"));
                None
            }
            other => {
                self.wrong(name, &other, "whole number");
                None
            }
        }
    }

    pub(crate) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let value = self.table.remove(name)?;
        let texts = value.as_array().map(|list| {
            list.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
        });
        match texts.flatten() {
            Some(texts) => Some(texts),
            None => {
                self.wrong(name, &value, "list of texts");
                None
            }
        }
    }

    /// A field as it is, for who reads it elsewhere.
    pub(crate) fn value(&mut self, name: &str) -> Option<Value> {
        self.table.remove(name)
    }

    pub(crate) fn table(&mut self, name: &str) -> Option<Table> {
        match self.table.remove(name)? {
            Value::Table(table) => Some(table),
            other => {
                self.wrong(name, &other, "table");
                None
            }
        }
    }

    /// A tier, by its name or its number.
    pub(crate) fn tier(&mut self, name: &str, config: &Config) -> Option<Tier> {
        let mut tiers = config.tiers().iter().zip(0_u8..);
        let found = match self.table.remove(name)? {
            Value::String(text) => tiers.find(|(tier, _)| tier.name() == text),
            Value::Integer(number) => tiers.find(|&(_, place)| i64::from(place) == number),
            other => {
                self.wrong(name, &other, "tier");
                return None;
            }
        };
        if found.is_none() {
            self.fault(name, "there is no such tier");
        }
        found.map(|(_, place)| Tier::new(place))
    }

    /// Units by the names of dimensions; 0 in one that is not named.
    pub(crate) fn units(&mut self, name: &str, config: &Config) -> Option<Resources> {
        let table = self.table(name)?;
        let mut units = Resources::ZERO;
        for (dimension, value) in table {
            let place = config.dimensions().position(|known| known == dimension);
            let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
            let problem = match (place, number) {
                (Some(place), Some(number)) if number <= MAX_UNITS => {
                    units[place] = number;
                    continue;
                }
                (None, _) => "there is no such dimension".to_owned(),
                _ => format!("is no number of units, from 0 to {MAX_UNITS}"),
            };
            self.faults.push(fault(format!("{}.{name}.{}", self.path, bare(&dimension)), problem));
        }
        Some(units)
    }

    pub(crate) fn needed<T>(&mut self, name: &str, found: Option<T>, before: usize) -> Option<T> {
        if found.is_none() && self.faults.len() == before {
            self.fault(name, "is needed");
        }
        found
    }

    /// How many faults there are by now.
    pub(crate) fn count(&self) -> usize {
        self.faults.len()
    }

    /// Whatever was not taken is not known.
    pub(crate) fn end(mut self) {
        for name in std::mem::take(&mut self.table).keys() {
            self.fault(name, "is not a setting");
        }
    }
}

/// The tables of an array of tables, each with its path; a fault if it is something else.
pub(crate) fn tables(
    name: &str,
    value: Option<Value>,
    faults: &mut Vec<ConfigFault>,
) -> Vec<(String, Table)> {
    let Some(value) = value else { return Vec::new() };
    let Value::Array(items) = value else {
        faults.push(fault(name, format!("is written as [[{name}]]")));
        return Vec::new();
    };
    let mut found = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Value::Table(table) => found.push((format!("{name}[{index}]"), table)),
            _ => faults.push(fault(format!("{name}[{index}]"), format!("is written as [[{name}]]"))),
        }
    }
    found
}
