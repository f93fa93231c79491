//! One value of a row: its text, where it stands, and the readings that a trace asks of it.

use std::borrow::Cow;

use tidegate::MAX_NAME_BYTES;

use super::TraceError;
use super::error::quoted;
use super::kind::{expected_tier, parse_tier};

/// The most tokens in a prompt or an output: the longest context windows on offer are of this size, and a
/// larger count is a slip of the pen.
pub const MAX_TRACE_TOKENS: u32 = 10_000_000;

/// The latest arrival, in seconds: about 32 years, which leaves room to count in nanoseconds.
pub const MAX_ARRIVAL_S: u32 = 1_000_000_000;

const NS_PER_S: f64 = 1e9;

/// The value of one column or key in one line.
pub(super) struct Field<'a> {
    pub(super) file: &'a str,
    pub(super) line: u64,
    pub(super) name: &'a str,
    pub(super) text: Cow<'a, str>,
}

impl Field<'_> {
    /// A number of tokens; none is no request.
    pub(super) fn tokens(&self) -> Result<u32, TraceError> {
        let count = self.text.parse().ok().filter(|count| (1..=MAX_TRACE_TOKENS).contains(count));
        count.ok_or_else(|| self.is_not(&format!("a whole number from 1 to {MAX_TRACE_TOKENS}")))
    }

    /// A whole number up to `most`.
    pub(super) fn whole(&self, most: u64) -> Result<u64, TraceError> {
        let number = self.text.parse().ok().filter(|&number| number <= most);
        number.ok_or_else(|| self.is_not(&format!("a whole number from 0 to {most}")))
    }

    /// A time in seconds, with or without a fraction.
    pub(super) fn seconds(&self) -> Result<f64, TraceError> {
        let seconds = self.text.parse().ok().filter(|s| (0.0..=f64::from(MAX_ARRIVAL_S)).contains(s));
        seconds.ok_or_else(|| self.is_not(&format!("a time in seconds from 0 to {MAX_ARRIVAL_S}")))
    }

    /// The same as nanoseconds.
    pub(super) fn seconds_as_ns(&self) -> Result<u64, TraceError> {
        // The range excludes NaN and infinity and fits.
        self.seconds().map(|seconds| (seconds * NS_PER_S).round() as u64)
    }

    /// `P0` or `0`.
    pub(super) fn tier(&self) -> Result<u8, TraceError> {
        parse_tier(&self.text).ok_or_else(|| self.is_not(&expected_tier()))
    }

    /// A name that the scheduler takes for a tenant.
    pub(super) fn tenant(&self) -> Result<&str, TraceError> {
        let usable = !self.text.is_empty()
            && self.text.len() <= MAX_NAME_BYTES
            && !self.text.chars().any(char::is_control);
        if usable {
            Ok(&self.text)
        } else {
            Err(self.is_not(&format!("a name of 1 to {MAX_NAME_BYTES} bytes without control characters")))
        }
    }

    /// The fault "this is not what it should be".
    pub(super) fn is_not(&self, expected: &str) -> TraceError {
        let problem = format!("{} is not {expected}", quoted(&self.text));
        TraceError::in_field(self.file, self.line, self.name, problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> Field<'_> {
        Field { file: "f", line: 2, name: "x", text: text.into() }
    }

    #[test]
    fn token_counts_have_both_bounds() {
        assert_eq!(field("1").tokens(), Ok(1));
        assert_eq!(field("10000000").tokens(), Ok(MAX_TRACE_TOKENS));
        for wrong in ["0", "10000001", "-1", "1.5", "", "4294967297", "many"] {
            let message = field(wrong).tokens().expect_err(wrong).to_string();
            assert_eq!(
                message,
                format!("f: line 2: x: \"{wrong}\" is not a whole number from 1 to 10000000")
            );
        }
    }

    #[test]
    fn seconds_are_exact_to_the_nanosecond() {
        assert_eq!(field("0").seconds_as_ns(), Ok(0));
        assert_eq!(field("3599.123456789").seconds_as_ns(), Ok(3_599_123_456_789));
        assert_eq!(field("1e9").seconds_as_ns(), Ok(1_000_000_000_000_000_000));
        for wrong in ["-0.5", "NaN", "inf", "1000000001", "noon", ""] {
            assert!(field(wrong).seconds_as_ns().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tenant_has_a_name() {
        assert_eq!(field("acme").tenant(), Ok("acme"));
        assert!(field("").tenant().is_err());
        assert!(field("a\u{7}").tenant().is_err());
        assert!(field(&"n".repeat(MAX_NAME_BYTES + 1)).tenant().is_err());
    }
}
