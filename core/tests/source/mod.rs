//! Rust source as the tests of the house see it: words and signs with their lines, comments and strings gone.

use std::fs;
use std::path::{Path, PathBuf};

/// A word or one sign of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// Every `.rs` file under `folder`, in a fixed order.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder that opened can be listed").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words and signs of `source`. Comments are left out, literals too; numbers count as words.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut scan = Scan { rest: source, line: 1, found: Vec::new() };
    while let Some(first) = scan.rest.chars().next() {
        scan.step(first);
    }
    scan.found
}

struct Scan<'a> {
    rest: &'a str,
    line: usize,
    found: Vec<Token>,
}

impl Scan<'_> {
    fn step(&mut self, first: char) {
        if self.rest.starts_with("//") {
            self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.skip(comment(self.rest));
        } else if let Some(length) = raw_string(self.rest) {
            self.skip(length);
        } else if first == '"' {
            self.skip(quoted(self.rest, '"'));
        } else if first == '\'' {
            self.skip(character_or_lifetime(self.rest));
        } else if is_word(first) {
            let length = self.rest.find(|letter| !is_word(letter)).unwrap_or(self.rest.len());
            self.take(length);
        } else if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else {
            self.take(first.len_utf8());
        }
    }

    fn skip(&mut self, length: usize) {
        let (skipped, rest) = self.rest.split_at(length);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }

    fn take(&mut self, length: usize) {
        self.found.push(Token { text: self.rest[..length].to_string(), line: self.line });
        self.skip(length);
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The length of a block comment; they nest.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of `r"..."`, `br#"..."#` and the like, if one begins here.
fn raw_string(text: &str) -> Option<usize> {
    let opening = ["r", "br", "cr"].iter().find_map(|prefix| {
        let rest = text.strip_prefix(prefix)?;
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        rest[hashes..].starts_with('"').then_some((prefix.len(), hashes))
    });
    let (prefix, hashes) = opening?;
    let body = prefix + hashes + 1;
    let closing = format!("\"{}", "#".repeat(hashes));
    Some(text[body..].find(&closing).map_or(text.len(), |end| body + end + closing.len()))
}

/// The length of a literal in quotes; a backslash takes the next letter with it.
fn quoted(text: &str, quote: char) -> usize {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' {
            letters.next();
        } else if letter == quote {
            return at + letter.len_utf8();
        }
    }
    text.len()
}

fn character_or_lifetime(text: &str) -> usize {
    let mut letters = text.chars().skip(1);
    let (first, second) = (letters.next(), letters.next());
    if first == Some('\\') || second == Some('\'') {
        return quoted(text, '\'');
    }
    1 + text[1..].find(|letter| !is_word(letter)).unwrap_or(text.len() - 1)
}
