//! The progress bar: on a terminal only, unless lines are asked for.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error, or nothing where that is not a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    lines: Option<Lines>,
}

/// Progress for programs: a line for each hundredth.
struct Lines {
    steps: u64,
    told: AtomicU64,
}

impl Lines {
    fn tell(&self, done: u64) {
        let part = |done: u64| u128::from(done) * 100 / u128::from(self.steps.max(1));
        if part(done) > part(self.told.load(Ordering::Relaxed)) {
            self.told.store(done, Ordering::Relaxed);
            // Who does not listen is not told.
            let _ = writeln!(io::stderr(), "progress {done} {}", self.steps);
        }
    }
}

impl Progress {
    /// A bar of so many steps.
    pub(super) fn new(steps: u64) -> Self {
        if !io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), lines: None };
        }
        let style =
            ProgressStyle::with_template("{msg:<22} {wide_bar} {human_pos}/{human_len} requests {eta}")
                .expect("the template is a literal");
        Self { bar: ProgressBar::new(steps).with_style(style), lines: None }
    }

    /// Lines on standard error instead, whatever that is.
    pub(super) fn as_lines(steps: u64) -> Self {
        Self { bar: ProgressBar::hidden(), lines: Some(Lines { steps, told: AtomicU64::new(0) }) }
    }

    /// A sign of life for work of which nobody knows how many steps it has.
    pub(super) fn of_trials() -> Self {
        if !io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), lines: None };
        }
        let style = ProgressStyle::with_template("{elapsed} {msg}").expect("the template is a literal");
        Self { bar: ProgressBar::new_spinner().with_style(style), lines: None }
    }

    /// What is done now.
    pub(super) fn name(&self, what: String) {
        self.bar.set_message(what);
    }

    pub(super) fn advance(&self, more_steps: u64) {
        self.bar.inc(more_steps);
    }

    pub(super) fn set(&self, steps_done: u64) {
        if let Some(lines) = &self.lines {
            lines.tell(steps_done);
        }
        self.bar.set_position(steps_done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
