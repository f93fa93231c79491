//! The figures as they come in, and at what size they are taken.

use serde_json::{Map, Value};
use tidegate_benches::measure::Figure;

use crate::say;

/// Figures that are measured together.
pub(crate) struct Group {
    /// What it puts on the card.
    pub(crate) keys: &'static [&'static str],
    /// Measures them.
    pub(crate) measure: fn(&mut Card) -> Result<(), Failure>,
}

/// Why a group has no figures.
#[derive(Debug)]
pub(crate) enum Failure {
    /// This machine lacks what it takes.
    Missing(String),
    /// It should have worked.
    Failed(String),
}

/// How large and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// As the keys say.
    Full,
    /// Only to see that it works.
    Quick,
}

impl Scale {
    /// A number of requests, turns or tenants.
    pub(crate) const fn of(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => full.div_ceil(200),
        }
    }

    /// How often a measurement counts.
    pub(crate) const fn repeats(self) -> usize {
        match self {
            Self::Full => 7,
            Self::Quick => 1,
        }
    }
}

/// The figures so far.
#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) scale: Scale,
    figures: Map<String, Value>,
}

impl Card {
    pub(crate) fn new(scale: Scale) -> Self {
        Self { scale, figures: Map::new() }
    }

    /// Puts the median of several repeats down, and shows their range.
    pub(crate) fn put(&mut self, key: &str, figure: Figure) {
        say(&format!("{key} {:.2} ({:.2} to {:.2})", figure.median, figure.least, figure.most));
        self.figures.insert(key.to_owned(), rounded(figure.median));
    }

    /// Puts a figure down that has no range: a count, or a size.
    pub(crate) fn put_exact(&mut self, key: &str, figure: f64) {
        say(&format!("{key} {figure:.4}"));
        self.figures.insert(key.to_owned(), rounded(figure));
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(&self.figures).expect("a map of numbers")
    }
}

/// No figure is known to more than a hundredth, but for counts that should be nothing at all.
fn rounded(figure: f64) -> Value {
    assert!(figure.is_finite(), "a figure is a number");
    let parts = if figure.abs() < 1.0 { 10_000.0 } else { 100.0 };
    Value::from((figure * parts).round() / parts)
}
