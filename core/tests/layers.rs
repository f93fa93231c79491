//! The floors of `core/src`: a room knows the floors below it, and nothing else of this crate.
//!
//! A room is a file or a folder of `core/src`; the modules within a room may use each other freely. `lib.rs`
//! is the door for those outside, and no room goes out by it to come in again.

mod source;

use std::path::{Path, PathBuf};

use source::{Token, tokens};

/// From the foundation to the roof; a room that is not here has no place in the house.
const FLOORS: &[(&str, &[&str])] = &[
    ("foundation", &["time", "id", "resources", "share", "brief"]),
    ("structures", &["slab", "list", "heap", "tree", "marks", "maxima", "packed", "prefix_index", "fault"]),
    ("description", &["request", "tenant"]),
    ("settings", &["config"]),
    ("alphabet", &["event", "error"]),
    (
        "mechanisms",
        &[
            "queue",
            "fairness",
            "capacity",
            "placement",
            "preempt",
            "quota",
            "meter",
            "metrics",
            "forecast",
            "step_plan",
        ],
    ),
    ("policy", &["scheduler"]),
    ("roof", &["exposition", "journal", "snapshot", "sync"]),
];

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, rooms)| rooms.contains(&room))
}

/// A file of `core/src`: its path from there, and its text.
struct File {
    path: PathBuf,
    text: String,
}

impl File {
    fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The names of the modules from the crate's root to this file, the room first; none for `lib.rs`.
    fn modules(&self) -> Vec<String> {
        let path = self.path.with_extension("");
        let names = path.iter().map(|part| part.to_str().expect("source files have plain names").to_string());
        names.filter(|name| name != "mod" && name != "lib").collect()
    }

    /// What this file imports against the order of the floors, or where it stands in no floor at all.
    fn faults(&self) -> Vec<String> {
        let modules = self.modules();
        let Some(room) = modules.first() else { return Vec::new() };
        let Some(floor) = floor_of(room) else {
            return vec![format!("{}: no floor has a room `{room}`", self.path.display())];
        };
        let mut faults = Vec::new();
        for (path, line) in paths(&tokens(&self.text)) {
            if let Some(why) = fault(room, floor, modules.len(), &path) {
                faults.push(format!("{}:{line}: `{}` {why}", self.path.display(), path.names.join("::")));
            }
        }
        faults
    }
}

/// A path that begins at this crate, with the number of inline modules around it.
struct Import {
    names: Vec<String>,
    inline: usize,
}

fn fault(room: &str, floor: usize, depth: usize, import: &Import) -> Option<&'static str> {
    let ups = import.names.iter().take_while(|name| *name == "super" || *name == "self");
    let up = ups.clone().filter(|name| *name == "super").count();
    let target = if import.names[0] == "crate" {
        &import.names[1]
    } else if up >= depth + import.inline {
        import.names.get(ups.count()).map_or("*", String::as_str)
    } else {
        return None;
    };
    match floor_of(target) {
        _ if target == room => None,
        None => Some("goes through the door or to a room without a floor"),
        Some(other) if other > floor => Some("is upward"),
        Some(other) if other == floor => Some("is sideways"),
        Some(_) => None,
    }
}

/// Every path that begins with `crate`, `super` or `self`, in imports and in the code, groups taken apart.
fn paths(tokens: &[Token]) -> Vec<(Import, usize)> {
    let mut found = Vec::new();
    let mut inline = Vec::new();
    let mut braces = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => {
                braces += 1;
                if at >= 2 && tokens[at - 2].text == "mod" {
                    inline.push(braces);
                }
            }
            "}" => {
                if inline.last() == Some(&braces) {
                    inline.pop();
                }
                braces -= 1;
            }
            "crate" | "super" | "self" if is_path(&tokens[at + 1..]) => {
                let mut names = Vec::new();
                tree(&tokens[at..], &[], &mut names);
                let imports = names.into_iter().map(|names| Import { names, inline: inline.len() });
                found.extend(imports.map(|import| (import, token.line)));
            }
            _ => {}
        }
    }
    found
}

fn is_path(tokens: &[Token]) -> bool {
    tokens.len() > 2 && tokens[..2].iter().all(|token| token.text == ":")
}

/// Reads `a::b::{c as x, d::e}` at the start of the tokens into `found`; says how many tokens it took.
fn tree(tokens: &[Token], prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut names = prefix.to_vec();
    let mut at = 0;
    loop {
        if tokens[at].text == "{" {
            at += 1;
            while tokens[at].text != "}" {
                at += if tokens[at].text == "," { 1 } else { tree(&tokens[at..], &names, found) };
            }
            return at + 1;
        }
        names.push(tokens[at].text.clone());
        at += 1;
        if !is_path(&tokens[at..]) {
            break;
        }
        at += 2;
    }
    found.push(names);
    let renamed = tokens.get(at).is_some_and(|token| token.text == "as");
    if renamed { at + 2 } else { at }
}

fn house() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = source::files(&root);
    files
        .iter()
        .map(|path| File::new(path.strip_prefix(&root).expect("it lies there"), source::read(path)))
        .collect()
}

#[test]
fn rooms_know_only_the_floors_below() {
    let faults: Vec<_> = house().iter().flat_map(File::faults).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_room_of_the_table_stands() {
    let built: Vec<_> = house().iter().filter_map(|file| file.modules().into_iter().next()).collect();
    let missing: Vec<_> = FLOORS
        .iter()
        .flat_map(|(_, rooms)| *rooms)
        .filter(|room| !built.iter().any(|other| other == *room))
        .collect();
    assert!(missing.is_empty(), "the table names rooms that nobody built: {missing:?}");
}

#[test]
fn every_file_says_at_its_top_what_it_is() {
    let silent: Vec<_> = house().into_iter().filter(|file| !file.text.starts_with("//! ")).collect();
    let names: Vec<_> = silent.iter().map(|file| file.path.display().to_string()).collect();
    assert!(names.is_empty(), "begin with `//! `: {}", names.join(", "));
}

#[test]
fn what_is_upward_or_sideways_is_found_however_it_is_written() {
    for (path, text, found) in [
        ("list.rs", "use crate::event::Input;", "list.rs:1: `crate::event::Input` is upward"),
        ("list.rs", "\n\nuse crate::slab::Slab;", "list.rs:3: `crate::slab::Slab` is sideways"),
        (
            "list.rs",
            "use crate::{time::Instant, slab::{self as s, Slab}};",
            "list.rs:1: `crate::slab::self` is sideways",
        ),
        ("list.rs", "use crate::{id as i, heap as h};", "list.rs:1: `crate::heap` is sideways"),
        ("list.rs", "fn f() -> crate::config::Config {}", "list.rs:1: `crate::config::Config` is upward"),
        ("list.rs", "use super::heap::Heap;", "list.rs:1: `super::heap::Heap` is sideways"),
        ("list.rs", "use self::super::heap;", "list.rs:1: `self::super::heap` is sideways"),
        ("list.rs", "use super::*;", "list.rs:1: `super::*` goes through the door"),
        ("list.rs", "use crate::Config;", "list.rs:1: `crate::Config` goes through the door"),
        ("list.rs", "use crate::*;", "list.rs:1: `crate::*` goes through the door"),
        ("list.rs", "mod tests { use super::super::heap; }", "list.rs:1: `super::super::heap` is sideways"),
        (
            "list.rs",
            "macro_rules! m { () => { $crate::heap::new() } }",
            "list.rs:1: `crate::heap::new` is sideways",
        ),
        ("list.rs", "pub(in crate::scheduler) fn f() {}", "list.rs:1: `crate::scheduler` is upward"),
        ("quota/mod.rs", "use super::queue::Lane;", "quota/mod.rs:1: `super::queue::Lane` is sideways"),
        ("quota/node.rs", "use super::super::queue;", "quota/node.rs:1: `super::super::queue` is sideways"),
        ("config/text.rs", "use super::{super::event};", "config/text.rs:1: `super::super::event` is upward"),
        (
            "config/a/b.rs",
            "use super::super::super::event;",
            "config/a/b.rs:1: `super::super::super::event` is upward",
        ),
        ("utils.rs", "", "utils.rs: no floor has a room `utils`"),
        ("utils/mod.rs", "", "utils/mod.rs: no floor has a room `utils`"),
    ] {
        let faults = File::new(path, text).faults();
        assert!(faults.len() == 1 || path == "list.rs", "{text}: {faults:?}");
        assert!(faults.iter().any(|fault| fault.starts_with(found)), "{text}: {faults:?}");
    }
}

#[test]
fn what_is_below_or_within_the_room_is_let_be() {
    for (path, text) in [
        (
            "scheduler/mod.rs",
            "mod admit; use admit::f; use self::admit::g; use crate::{time::*, config::Config};",
        ),
        (
            "scheduler/admit.rs",
            "use super::reclaim; use crate::scheduler::timers; use super::super::time::Instant;",
        ),
        (
            "scheduler/admit.rs",
            "mod tests { use super::*; mod deep { use super::super::super::Scheduler; } }",
        ),
        ("list.rs", "mod tests { use super::*; } pub(super) fn f(&self) { self.x::<u8>() }"),
        (
            "list.rs",
            "/// [`X`](crate::event::X)\n//! crate::event\n/* use /* crate::event */ crate::heap; */",
        ),
        (
            "list.rs",
            "const S: &str = \"crate::event::X\"; const R: &str = r#\"crate::\"event\"\"#; const C: char = '{';",
        ),
        (
            "list.rs",
            "const Q: char = '\\''; fn f<'a>(x: &'a str) -> &'static str { x } const B: &[u8] = b\"\\\"crate::event\";",
        ),
        ("lib.rs", "pub use journal::Journal; pub use crate::config::Config;"),
    ] {
        assert_eq!(File::new(path, text).faults(), Vec::<String>::new(), "{text}");
    }
}
