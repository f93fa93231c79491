//! A row of a table: what is published, what the simulated engine makes of it, how far that is off, and tidegate.

use serde::Serialize;

use super::draws::{Figures, errors};

/// One policy in one run; where nothing is published of it, those figures are none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The policy.
    pub policy: String,
    /// What it serves: whose requests, and how many of them, or the phase.
    pub run: String,
    /// By the paper, its artifact or a simulation of that, or by definition.
    pub published: Figures,
    /// From the simulated engine; in the mean, where several draws are made.
    pub reproduced: Figures,
    /// Its standard deviation from one draw to the next, where that is told.
    #[serde(skip_serializing_if = "Figures::is_empty")]
    pub reproduced_spread: Figures,
    /// How far that is off, as a share of what is published.
    pub error: Figures,
    /// The same under tidegate.
    pub tidegate: Figures,
    /// See `reproduced_spread`.
    #[serde(skip_serializing_if = "Figures::is_empty")]
    pub tidegate_spread: Figures,
}

impl Row {
    /// With the errors that follow from what is published.
    pub(super) fn new(
        policy: impl Into<String>,
        run: String,
        published: Figures,
        reproduced: Figures,
        tidegate: Figures,
    ) -> Self {
        let error = errors(&published, &reproduced);
        let (reproduced_spread, tidegate_spread) = (Figures::new(), Figures::new());
        let policy = policy.into();
        Self { policy, run, published, reproduced, reproduced_spread, error, tidegate, tidegate_spread }
    }
}
