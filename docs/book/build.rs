//! Makes chapters for rustdoc of the README and of all pages below `docs/`, which stay as they are for whoever reads them there.
//!
//! Decides where a page is among the chapters, and where its links lead from there. A link to what is no page becomes its path;
//! a picture goes into its chapter. Does not know what pages say.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Component, Path, PathBuf};
use std::{env, fs};

/// The pages, by their paths from the root of the checkout, with the modules that they become: none of the README.
type Pages = BTreeMap<PathBuf, Vec<String>>;

const TAKEN: &str = "a string takes all that is written to it";

/// Behind the README.
const API: &str = "\n## All of it\n\nThe API is that of [`tidegate`](../tidegate/index.html). The chapters begin with [guide].\n";

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo says where"));
    let mut pages = Pages::from([(PathBuf::from("README.md"), Vec::new())]);
    find(&root, Path::new("docs"), &mut pages);
    let mut book = Chapter::default();
    for (page, modules) in &pages {
        println!("cargo::rerun-if-changed={}", root.join(page).display());
        let mut text = chapter(&root, page, &pages);
        let name = match modules.as_slice() {
            [] => "readme".to_owned(),
            modules => modules.join("-"),
        };
        if modules.is_empty() {
            text += API;
        }
        let file = out.join(name + ".md");
        fs::write(&file, text).expect("cargo gave a folder to write to");
        let place =
            modules.iter().fold(&mut book, |place, name| place.parts.entry(name.clone()).or_default());
        place.page = Some(file);
    }
    println!("cargo::rerun-if-changed={}", root.join("docs").display());
    fs::write(out.join("chapters.rs"), book.modules()).expect("cargo gave a folder to write to");
}

/// A module: its page, if it has one of its own, and the modules in it.
#[derive(Default)]
struct Chapter {
    page: Option<PathBuf>,
    parts: BTreeMap<String, Chapter>,
}

impl Chapter {
    fn modules(&self) -> String {
        let mut source = String::new();
        for (name, part) in &self.parts {
            let doc = match &part.page {
                Some(page) => format!("include_str!({:?})", page.display().to_string()),
                None => "\"A page for each.\"".to_owned(),
            };
            writeln!(source, "#[doc = {doc}]\npub mod {name} {{\n{}}}", part.modules()).expect(TAKEN);
        }
        source
    }
}

/// All pages of a folder, and of those in it: `docs/guide/vllm.md` becomes `guide::vllm`, in `guide` of `docs/GUIDE.md`.
fn find(root: &Path, folder: &Path, pages: &mut Pages) {
    let entries = fs::read_dir(root.join(folder)).expect("the pages are there");
    for entry in entries.map(|entry| entry.expect("the folder can be read")) {
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            find(root, &path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let module =
                |part: Component<'_>| part.as_os_str().to_string_lossy().to_lowercase().replace('-', "_");
            let modules = path.with_extension("").components().skip(1).map(module).collect();
            pages.insert(path, modules);
        }
    }
}

/// The text of a page as a chapter.
fn chapter(root: &Path, page: &Path, pages: &Pages) -> String {
    let text = fs::read_to_string(root.join(page)).expect("pages are text");
    let (mut chapter, mut prose, mut in_code) = (String::new(), String::new(), false);
    for line in text.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
            chapter += &linked(root, page, pages, &std::mem::take(&mut prose));
            // A block without a language would be taken for Rust.
            chapter += if in_code && line == "```" { "```text" } else { line };
            chapter.push('\n');
        } else {
            let to = if in_code { &mut chapter } else { &mut prose };
            *to += line;
            to.push('\n');
        }
    }
    chapter + &linked(root, page, pages, &prose)
}

/// Prose whose links lead somewhere from its chapter.
fn linked(root: &Path, page: &Path, pages: &Pages, prose: &str) -> String {
    let mut done = String::new();
    let mut rest = prose;
    while let Some(at) = rest.find("](") {
        let end = at + rest[at..].find(')').expect("a link ends");
        let target = &rest[at + 2..end];
        let begin = rest[..at].rfind('[').expect("a link begins");
        let words = &rest[begin + 1..at];
        let (path, anchor) = target.split_once('#').map_or((target, ""), |(path, anchor)| (path, anchor));
        let there = normal(&page.parent().expect("a page is in a folder").join(path));
        if path.is_empty() || path.contains(':') {
            done += &rest[..=end];
        } else if let Some(modules) = pages.get(&there) {
            let up = "../".repeat(pages[page].len());
            let down: String = modules.iter().map(|module| format!("{module}/")).collect();
            let hash = if anchor.is_empty() { "" } else { "#" };
            write!(done, "{}[{words}]({up}{down}index.html{hash}{anchor})", &rest[..begin]).expect(TAKEN);
        } else if rest[..begin].ends_with('!') {
            let picture = fs::read(root.join(&there)).expect("the picture is there");
            let bytes: String = picture.iter().map(|byte| format!("%{byte:02x}")).collect();
            write!(done, "{}[{words}](data:image/svg+xml,{bytes})", &rest[..begin]).expect(TAKEN);
        } else {
            write!(done, "{}{words} (`{}`)", &rest[..begin], there.display()).expect(TAKEN);
        }
        rest = &rest[end + 1..];
    }
    done + rest
}

/// The path without `..` and `.`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = normal.pop(),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}
