//! What is wrong with an input, in one line.

use std::fmt;

/// A fault of a trace file or of a request to load one. Its text is one line: file, line, field, what is
/// wrong and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceError {
    file: Option<String>,
    line: Option<u64>,
    field: Option<String>,
    problem: String,
}

impl TraceError {
    /// A fault of the command rather than of a file.
    pub(super) fn in_request(problem: impl Into<String>) -> Self {
        Self { file: None, line: None, field: None, problem: problem.into() }
    }

    /// A fault of a whole file.
    pub(super) fn in_file(file: &str, problem: impl Into<String>) -> Self {
        Self { file: Some(file.to_owned()), ..Self::in_request(problem) }
    }

    /// A fault of one line.
    pub(super) fn in_line(file: &str, line: u64, problem: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::in_file(file, problem) }
    }

    /// A fault of one field.
    pub(super) fn in_field(file: &str, line: u64, field: &str, problem: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::in_line(file, line, problem) }
    }

    /// The file at fault, as it was named.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line at fault, counted from 1, after decompression.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        self.line
    }

    /// The column or key at fault.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", Printable(file))?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{}: ", Printable(field))?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for TraceError {}

/// Text from outside without the control characters that would break the line.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// The most characters of a wrong value that a message quotes: enough to find it, short enough for one line.
const QUOTED_CHARS: usize = 40;

/// A value from outside, in quotes, escaped and cut.
pub(super) fn quoted(value: &str) -> String {
    let mut shown: String = value.chars().take(QUOTED_CHARS).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    format!("\"{}\"", shown.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_appears_in_order() {
        let error = TraceError::in_field("a.csv", 3, "tier", "is wrong");
        assert_eq!(error.to_string(), "a.csv: line 3: tier: is wrong");
        assert_eq!((error.file(), error.line(), error.field()), (Some("a.csv"), Some(3), Some("tier")));
    }

    #[test]
    fn hostile_text_stays_on_one_line() {
        assert_eq!(TraceError::in_file("a\nb", "is wrong").to_string(), "a\\nb: is wrong");
        assert_eq!(quoted("x\r\ny\0"), "\"x\\r\\ny\\0\"");
        assert_eq!(quoted(&"z".repeat(50)), format!("\"{}…\"", "z".repeat(40)));
    }
}
