//! Replayed requests per second: the built-in workload under tidegate, as `tidegate replay` reports it.

use std::process::Command;

use serde_json::Value;
use tidegate_benches::measure::Figure;

use crate::card::{Card, Failure};
use crate::programs::{built, run};

pub(crate) fn built_in_workload(card: &mut Card) -> Result<(), Failure> {
    let program = built("tidegate", "tidegate-sim")?;
    let repeats: Result<Vec<f64>, Failure> = (0..card.scale.repeats())
        .map(|_| {
            let output = run(Command::new(&program).args(["replay", "--json", "--setup", "tidegate"]), "")?;
            let report: Value = serde_json::from_slice(&output.stdout)
                .map_err(|error| Failure::Failed(format!("the report of tidegate replay: {error}")))?;
            report["setups"]["tidegate"]["requests_per_s"]
                .as_f64()
                .ok_or_else(|| Failure::Failed("tidegate replay reports no requests per second".to_owned()))
        })
        .collect();
    card.put("replay_requests_per_s", Figure::of(repeats?));
    Ok(())
}
