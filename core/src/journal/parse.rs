//! Reads a journal, line by line, and names the first that is not as the format says.

use alloc::string::String;

use thiserror::Error;

use super::Journal;
use super::line::{Words, clip, read_input};
use crate::config::Config;
use crate::fault::ConfigError;
use crate::time::Instant;

/// A text that is no journal.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {fault}")]
#[non_exhaustive]
pub struct JournalError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: JournalFault,
}

/// What is wrong with a line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages say it
pub enum JournalFault {
    #[error("{text:?} is not `{VERSION_LINE}`")]
    WrongVersion { text: String },
    #[error("a line with `{expected}` stands here, not {text:?}")]
    WrongLine { expected: &'static str, text: String },
    #[error("{field} is missing")]
    Missing { field: &'static str },
    #[error("{field}: {text:?} is not a whole number from {min} to {max}")]
    BadNumber { field: &'static str, text: String, min: u64, max: u64 },
    #[error("{field}: {text:?} has a control character or a backslash that does not stand as \\xHH")]
    BadName { field: &'static str, text: String },
    #[error("{text:?} stands after the last field")]
    Extra { text: String },
    #[error("{text:?} is not a verb")]
    UnknownVerb { text: String },
    #[error("the config that begins below: {0}")]
    Config(ConfigError),
    #[error("`end` counts {said} inputs, {found} stand above it")]
    WrongCount { said: u64, found: u64 },
    #[error("there is text after the line `end`")]
    AfterEnd,
    #[error("the file is torn: it ends before the line `end` does")]
    Torn,
}

/// The version that this reader and the recorder speak.
pub(super) const VERSION_LINE: &str = "tidegate-journal 1";

pub(super) fn journal(text: &str) -> Result<Journal, JournalError> {
    let mut lines = Lines { rest: text, line: 0 };
    read(&mut lines).map_err(|fault| JournalError { line: lines.line, fault })
}

fn read(lines: &mut Lines<'_>) -> Result<Journal, JournalFault> {
    let version = lines.next()?;
    if version != VERSION_LINE {
        return Err(JournalFault::WrongVersion { text: clip(version) });
    }
    let started_at = Instant::from_nanos(lines.keyword("start")?);
    let config = lines.config()?;
    let mut journal = Journal::new(config, started_at);
    let mut found = 0;
    loop {
        let line = lines.next()?;
        if line.starts_with("end") {
            return end(line, found, lines).map(|()| journal);
        }
        let mut words = Words::new(line, lines.rest);
        let now = Instant::from_nanos(words.number("now", 0..=u64::MAX)?);
        match words.word("verb")? {
            "poll" => {
                let calls = words.number("calls", 1..=u32::MAX.into())?;
                journal.polls(now, calls as u32);
            }
            verb => {
                journal.input(now, read_input(verb, &mut words)?);
                found += 1;
            }
        }
        for _ in 0..words.end()? {
            lines.next()?;
        }
    }
}

fn end(line: &str, found: u64, lines: &Lines<'_>) -> Result<(), JournalFault> {
    let said = keyword(line, "end")?;
    if said != found {
        return Err(JournalFault::WrongCount { said, found });
    }
    if lines.rest.is_empty() { Ok(()) } else { Err(JournalFault::AfterEnd) }
}

fn keyword(line: &str, keyword: &'static str) -> Result<u64, JournalFault> {
    let mut words = Words::new(line, "");
    if words.word(keyword)? != keyword {
        return Err(JournalFault::WrongLine { expected: keyword, text: clip(line) });
    }
    let number = words.number(keyword, 0..=u64::MAX)?;
    words.end()?;
    Ok(number)
}

/// What was not read yet. A line counts only with the line feed at its end: a torn one may still look whole.
struct Lines<'a> {
    rest: &'a str,
    /// The number of the line that was asked for last, counted from 1.
    line: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a str, JournalFault> {
        self.line += 1;
        let (line, rest) = self.rest.split_once('\n').ok_or(JournalFault::Torn)?;
        self.rest = rest;
        Ok(line)
    }

    fn keyword(&mut self, expected: &'static str) -> Result<u64, JournalFault> {
        keyword(self.next()?, expected)
    }

    fn config(&mut self) -> Result<Config, JournalFault> {
        let count = self.keyword("config")?;
        let (head, text) = (self.line, self.rest);
        for _ in 0..count {
            self.next()?;
        }
        let text = &text[..text.len() - self.rest.len()];
        Config::from_toml(text).map_err(|error| {
            self.line = head;
            JournalFault::Config(error)
        })
    }
}
