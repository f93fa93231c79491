//! A row of a table: what is published, what the simulated engine makes of it, how far that is off, and tidegate.

use serde::Serialize;

use super::draws::{Figures, errors};

/// One policy in one run; where nothing is published of it, those figures are none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The policy.
    pub policy: &'static str,
    /// What it serves: whose requests, and how many of them, or the phase.
    pub run: String,
    /// By the paper, its artifact or a simulation of that, or by definition.
    pub published: Figures,
    /// From the simulated engine; in the mean, where several draws are made.
    pub reproduced: Figures,
    /// How far that is off, as a share of what is published.
    pub error: Figures,
    /// The same under tidegate.
    pub tidegate: Figures,
}

impl Row {
    /// With the errors that follow from what is published.
    pub(super) fn new(
        policy: &'static str,
        run: String,
        published: Figures,
        reproduced: Figures,
        tidegate: Figures,
    ) -> Self {
        let error = errors(&published, &reproduced);
        Self { policy, run, published, reproduced, error, tidegate }
    }
}
