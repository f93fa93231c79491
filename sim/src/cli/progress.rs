//! The progress bar: on a terminal only.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error, or nothing where that is not a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar of so many steps.
    pub(super) fn new(steps: u64) -> Self {
        if !io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden() };
        }
        let style =
            ProgressStyle::with_template("{msg:<22} {wide_bar} {human_pos}/{human_len} requests {eta}")
                .expect("the template is a literal");
        Self { bar: ProgressBar::new(steps).with_style(style) }
    }

    /// A sign of life for work of which nobody knows how many steps it has.
    pub(super) fn of_trials() -> Self {
        if !io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden() };
        }
        let style = ProgressStyle::with_template("{elapsed} {msg}").expect("the template is a literal");
        Self { bar: ProgressBar::new_spinner().with_style(style) }
    }

    /// What is done now.
    pub(super) fn name(&self, what: String) {
        self.bar.set_message(what);
    }

    pub(super) fn advance(&self, more_steps: u64) {
        self.bar.inc(more_steps);
    }

    pub(super) fn set(&self, steps_done: u64) {
        self.bar.set_position(steps_done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
