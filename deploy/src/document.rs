//! A TOML text and where in it each field stands. Knows lines and paths, not what the fields mean.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde::Deserialize;
use tidegate::{ConfigError, ConfigFault};
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};

/// A parsed text.
pub(crate) struct Document<'t> {
    root: DeTable<'t>,
    /// Where each line begins, but for the first.
    breaks: Vec<usize>,
    /// The line and the path of each field, by line: made for the first fault that asks.
    fields: OnceCell<Vec<(usize, String)>>,
}

impl<'t> Document<'t> {
    pub(crate) fn parse(text: &'t str) -> Result<Self, ConfigError> {
        match DeTable::parse(text) {
            Ok(root) => Ok(Self { root: root.into_inner(), breaks: breaks(text), fields: OnceCell::new() }),
            Err(error) => Err(ConfigError { faults: vec![no_toml(text, &error)] }),
        }
    }

    /// A value at the top. A number that no signed word holds has no value here: a fault.
    pub(crate) fn value(&self, name: &str) -> Result<Option<toml::Value>, ConfigFault> {
        let Some(value) = self.root.get(name) else { return Ok(None) };
        let read = toml::Value::deserialize(ValueDeserializer::from(value.clone()));
        read.map(Some).map_err(|error| {
            let line = error.span().map(|span| self.line_at(span.start));
            let path = line.and_then(|line| self.path_at(line)).unwrap_or_else(|| name.to_owned());
            ConfigFault { path, line, message: one_line(error.message()) }
        })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.root.keys().map(|key| &**key.get_ref())
    }

    /// The line of the field at a path such as `tiers[0].reserve_ppm`, or of what of it is there.
    pub(crate) fn line(&self, path: &str) -> Option<usize> {
        let (mut table, mut offset) = (&self.root, None);
        for (name, index) in segments(path) {
            let Some((key, mut value)) = table.iter().find(|(key, _)| *key.get_ref() == name) else { break };
            offset = Some(key.span().start);
            if let (DeValue::Array(items), Some(index)) = (value.get_ref(), index)
                && let Some(item) = items.get(index)
            {
                value = item;
                offset = Some(item.span().start);
            }
            let DeValue::Table(inner) = value.get_ref() else { break };
            table = inner;
        }
        offset.map(|offset| self.line_at(offset))
    }

    /// The line of the byte at `offset`, counted from 1. O(log lines).
    fn line_at(&self, offset: usize) -> usize {
        line_at(&self.breaks, offset)
    }

    /// The path of the innermost field that begins on this line, or else last before it. O(log fields); of the first
    /// call also O(fields log fields).
    pub(crate) fn path_at(&self, line: usize) -> Option<String> {
        let fields = self.fields.get_or_init(|| {
            let mut fields = Vec::new();
            self.walk(&self.root, "", &mut |offset, path| {
                fields.push((self.line_at(offset), path.to_owned()));
            });
            fields.sort_by_key(|&(at, _)| at); // stable: of one line the innermost, which comes last, stays last
            fields
        });
        let after = fields.partition_point(|&(at, _)| at <= line);
        fields[..after].last().map(|(_, path)| path.clone())
    }

    fn walk(&self, table: &DeTable<'t>, prefix: &str, see: &mut impl FnMut(usize, &str)) {
        for (key, value) in table {
            let path = format!("{prefix}{}", bare(key.get_ref()));
            see(key.span().start, &path);
            match value.get_ref() {
                DeValue::Table(inner) => self.walk(inner, &format!("{path}."), see),
                DeValue::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        if let DeValue::Table(inner) = item.get_ref() {
                            let path = format!("{path}[{index}]");
                            see(item.span().start, &path);
                            self.walk(inner, &format!("{path}."), see);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

fn no_toml(text: &str, error: &Error) -> ConfigFault {
    let line = error.span().map(|span| line_at(&breaks(text), span.start));
    ConfigFault { path: String::new(), line, message: one_line(error.message()) }
}

fn one_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join(", ")
}

/// Where each line of a text begins, but for the first.
fn breaks(text: &str) -> Vec<usize> {
    text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1).collect()
}

fn line_at(breaks: &[usize], offset: usize) -> usize {
    1 + breaks.partition_point(|&start| start <= offset)
}

/// A name as a path has it: in quotes if it is no bare key.
pub(crate) fn bare(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(plain) { name.into() } else { format!("{name:?}").into() }
}

/// The names of a path, each with the index that follows it.
fn segments(path: &str) -> Vec<(String, Option<usize>)> {
    let (mut found, mut rest) = (Vec::new(), path);
    while !rest.is_empty() {
        let name;
        (name, rest) = match rest.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
            Some((name, rest)) => (name, rest),
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        let mut index = None;
        if let Some((number, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            (index, rest) = (number.parse().ok(), after);
        }
        found.push((name.to_owned(), index));
        rest = rest.strip_prefix('.').unwrap_or_default(); // what is no path ends here
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n\n[[tiers]]\nname = \"x\"\n\n[tenants.\"b.c\"]\nweight = 2\n\
         [tenants.\"b.c\".tokens]\namount = 3\n";

    #[test]
    fn paths_and_lines_lead_to_each_other() {
        let document = Document::parse(TEXT).expect("TOML");
        for (path, line) in [
            ("a", 1),
            ("tiers[0].name", 4),
            ("tenants.\"b.c\".weight", 7),
            ("tenants.\"b.c\".tokens.amount", 9),
        ] {
            assert_eq!((document.line(path), document.path_at(line).as_deref()), (Some(line), Some(path)));
        }
        assert_eq!(document.line("tiers[0].order"), Some(3), "of what of it is there");
        assert_eq!(document.line("nothing"), None);
        assert_eq!(document.path_at(2).as_deref(), Some("a"));
    }

    #[test]
    fn what_is_no_toml_has_its_line() {
        let error = Document::parse("a = 1\nb = = 2\n").err().expect("no TOML");
        assert_eq!(error.faults[0].line, Some(2));
        let document = Document::parse("[x]\ny = 99999999999999999999999\n").expect("TOML");
        let fault = document.value("x").expect_err("a number without end");
        assert_eq!((fault.path.as_str(), fault.line), ("x.y", Some(2)));
    }
}
