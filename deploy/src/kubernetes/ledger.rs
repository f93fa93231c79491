//! What there is to say about manifests, with file and line: faults, and notes of what has no counterpart. And the
//! view of a map from which fields are taken, so that nothing in it can be passed over in silence.

use std::collections::BTreeMap;
use std::fmt;

use super::yaml::{Node, Value};

/// Something about one place of the manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The name of the file.
    pub file: String,
    /// The line, counted from 1; for text within a manifest that of the manifest.
    pub line: Option<usize>,
    /// The object and its field, as `PriorityClass batch: value`.
    pub about: String,
    /// What there is to say.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.about.is_empty() {
            write!(f, "{}: ", self.about)?;
        }
        f.write_str(&self.message)
    }
}

/// Manifests that cannot be used, with every fault found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", shown(.0))]
pub struct ManifestError(
    /// At least one.
    pub Vec<Note>,
);

/// So many faults are shown in one line.
const MAX_SHOWN: usize = 20;

fn shown(faults: &[Note]) -> String {
    let first: Vec<_> = faults.iter().take(MAX_SHOWN).map(ToString::to_string).collect();
    let more = faults.len() - first.len();
    first.join("; ") + &if more > 0 { format!("; and {more} more") } else { String::new() }
}

/// An object of a manifest.
#[derive(Clone, Debug)]
pub(super) struct Object<'n> {
    pub(super) file: &'n str,
    pub(super) kind: String,
    pub(super) api_version: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) node: &'n Node,
}

impl Object<'_> {
    /// What it is called where something is said of it.
    pub(super) fn title(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }
}

/// In place of a file.
pub(super) const ALL: &str = "manifests";

/// All that is said.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) notes: Vec<Note>,
    pub(super) faults: Vec<Note>,
}

impl Ledger {
    pub(super) fn note(&mut self, object: &Object<'_>, node: &Node, field: &str, message: impl Into<String>) {
        self.notes.push(said(object, node, field, message));
    }

    /// A note about all manifests together.
    pub(super) fn say(&mut self, message: impl Into<String>) {
        let message = message.into();
        self.notes.push(Note { file: ALL.to_owned(), line: None, about: String::new(), message });
    }

    /// A fault of all manifests together.
    pub(super) fn fail(&mut self, message: impl Into<String>) {
        let message = message.into();
        self.faults.push(Note { file: ALL.to_owned(), line: None, about: String::new(), message });
    }

    pub(super) fn fault(
        &mut self,
        object: &Object<'_>,
        node: &Node,
        field: &str,
        message: impl Into<String>,
    ) {
        self.faults.push(said(object, node, field, message));
    }
}

fn said(object: &Object<'_>, node: &Node, field: &str, message: impl Into<String>) -> Note {
    let title = object.title();
    let about = if field.is_empty() { title } else { format!("{title}: {field}") };
    Note { file: object.file.to_owned(), line: Some(node.line), about, message: message.into() }
}

/// A map of which each field is taken once.
pub(super) struct View<'n> {
    object: Object<'n>,
    path: String,
    pub(super) node: &'n Node,
    left: BTreeMap<&'n str, &'n Node>,
}

impl<'n> View<'n> {
    /// The map at `path` of an object; a fault, and empty, if it is something else.
    pub(super) fn new(object: &Object<'n>, path: &str, node: &'n Node, ledger: &mut Ledger) -> Self {
        let mut left = BTreeMap::new();
        match &node.value {
            Value::Map(items) => left.extend(items.iter().map(|(name, node)| (name.as_str(), node))),
            _ if node.is_null() => {}
            _ => ledger.fault(object, node, path, "is no map"),
        }
        Self { object: object.clone(), path: path.to_owned(), node, left }
    }

    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<&'n Node> {
        self.left.remove(name).filter(|node| !node.is_null())
    }

    fn typed<T>(
        &mut self,
        name: &str,
        ledger: &mut Ledger,
        wanted: &str,
        read: impl Fn(&'n Node) -> Option<T>,
    ) -> Option<T> {
        let node = self.take(name)?;
        let found = read(node);
        if found.is_none() {
            ledger.fault(&self.object, node, &self.path(name), format!("is no {wanted}"));
        }
        found
    }

    pub(super) fn text(&mut self, name: &str, ledger: &mut Ledger) -> Option<&'n str> {
        self.typed(name, ledger, "text", Node::text)
    }

    pub(super) fn flag(&mut self, name: &str, ledger: &mut Ledger) -> Option<bool> {
        self.typed(name, ledger, "flag (true or false)", Node::flag)
    }

    pub(super) fn whole(&mut self, name: &str, ledger: &mut Ledger) -> Option<i64> {
        self.typed(name, ledger, "whole number", Node::whole)
    }

    pub(super) fn list(&mut self, name: &str, ledger: &mut Ledger) -> &'n [Node] {
        self.typed(name, ledger, "list", Node::list).unwrap_or_default()
    }

    /// The map at a field; an empty one if there is none.
    pub(super) fn view(&mut self, name: &str, ledger: &mut Ledger) -> Option<View<'n>> {
        let node = self.take(name)?;
        Some(View::new(&self.object, &self.path(name), node, ledger))
    }

    /// All fields that are left, which count as taken.
    pub(super) fn drain(&mut self) -> Vec<(&'n str, &'n Node)> {
        std::mem::take(&mut self.left).into_iter().filter(|(_, node)| !node.is_null()).collect()
    }

    /// Fields that say nothing that could have a counterpart.
    pub(super) fn pass(&mut self, names: &[&'static str]) {
        for name in names {
            self.left.remove(name);
        }
    }

    pub(super) fn note(&self, node: &Node, field: &str, message: impl Into<String>, ledger: &mut Ledger) {
        ledger.note(&self.object, node, &self.path(field), message);
    }

    pub(super) fn fault(&self, node: &Node, field: &str, message: impl Into<String>, ledger: &mut Ledger) {
        ledger.fault(&self.object, node, &self.path(field), message);
    }

    /// Tells of every field that nobody took.
    pub(super) fn end(mut self, ledger: &mut Ledger) {
        for (name, node) in self.drain() {
            self.note(node, name, NO_COUNTERPART, ledger);
        }
    }
}

/// What is said of a field that the file has no word for.
pub(super) const NO_COUNTERPART: &str = "has no counterpart, and is left out";
