//! Writes a journal while it happens, one line after the other, and keeps none of it.

use core::fmt::{self, Write};

use super::line::write_input;
use super::parse::VERSION_LINE;
use crate::config::Config;
use crate::event::Input;
use crate::time::Instant;

/// Writes a journal to anything that takes text. Tell it every input and every poll in the order in which the
/// scheduler gets them, the refused inputs and the polls that return nothing included; end with
/// [`finish`](Self::finish).
///
/// Once a call failed, the text is torn: an input or a run of polls may be missing.
#[derive(Debug)]
#[must_use = "a journal that is not finished is torn"]
pub struct Recorder<W> {
    out: W,
    inputs: u64,
    /// The polls since the last input, not written yet.
    polls: Option<(Instant, u32)>,
}

impl<W: Write> Recorder<W> {
    /// Writes the head: a scheduler is created with this config, now.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W, config: &Config, now: Instant) -> Result<Self, fmt::Error> {
        let config = config.to_toml();
        let lines = config.matches('\n').count();
        write!(out, "{VERSION_LINE}\nstart {}\nconfig {lines}\n{config}", now.as_nanos())?;
        Ok(Self { out, inputs: 0, polls: None })
    }

    /// Writes an input, whether or not the scheduler takes it.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn input(&mut self, now: Instant, input: &Input) -> fmt::Result {
        self.write_polls()?;
        self.inputs += 1;
        write!(self.out, "{} ", now.as_nanos())?;
        write_input(&mut self.out, input)?;
        self.out.write_char('\n')
    }

    /// Counts one call of `poll`, whether or not it returned an action.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn poll(&mut self, now: Instant) -> fmt::Result {
        self.polls(now, 1)
    }

    pub(super) fn polls(&mut self, now: Instant, more: u32) -> fmt::Result {
        let pending = self.polls.filter(|(at, _)| *at == now).map_or(0, |(_, calls)| calls);
        if let Some(sum) = pending.checked_add(more).filter(|_| pending > 0) {
            self.polls = Some((now, sum));
            return Ok(());
        }
        self.write_polls()?;
        self.polls = (more > 0).then_some((now, more));
        Ok(())
    }

    fn write_polls(&mut self) -> fmt::Result {
        match self.polls.take() {
            Some((now, calls)) => writeln!(self.out, "{} poll {calls}", now.as_nanos()),
            None => Ok(()),
        }
    }

    /// Writes the last line, and gives back what was written to.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(mut self) -> Result<W, fmt::Error> {
        self.write_polls()?;
        writeln!(self.out, "end {}", self.inputs)?;
        Ok(self.out)
    }
}
