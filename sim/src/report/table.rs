//! `replay` for people: one column per set-up, one line per number, the tiers one below the other.

use std::fmt::Write;

use super::{Comparison, Results, thousands};
use crate::machine::Machine;
use crate::model::{BLOCK_TOKENS, Batching};
use crate::percentile::Percentiles;
use crate::replay::{Outcome, TTFT_OBJECTIVES_NS, TierOutcome};

/// Characters of the column of names, and of each column of numbers.
const NAME_WIDTH: usize = 30;
const COLUMN_WIDTH: usize = 22;

/// What is printed where there is no number.
const NONE: &str = "-";

/// The whole report, ending in a line end.
#[must_use]
pub fn table(results: &Results) -> String {
    let mut page = Page::default();
    page.preamble(results);
    for comparison in std::iter::once(&results.main).chain(&results.curve) {
        if !results.curve.is_empty() {
            page.line(&format!("\narrival rate x {}", comparison.scale));
        }
        page.comparison(results, comparison);
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// What was replayed, on what.
    fn preamble(&mut self, results: &Results) {
        self.line(&format!("tidegate {} replay, seed {}", env!("CARGO_PKG_VERSION"), results.seed));
        if results.is_partial() {
            self.line("PARTIAL: stopped before its end; all figures are of the time until then");
        }
        for trace in &results.traces {
            self.line(&format!("  {trace}"));
        }
        match results.machine {
            Machine::Engine { model, batching, slots, kv_blocks } => {
                let budget = match batching {
                    Batching::Chunked { tokens, prompts } => {
                        format!("{tokens} tokens and {prompts} prompts of a tier per iteration")
                    }
                    Batching::PrefillFirst { tokens } => format!("prompts first, {tokens} tokens at a time"),
                };
                self.line(&format!("model {}: {}", model.id, model.source));
                self.line(&format!(
                    "{} workers, each {slots} slots, {kv_blocks} KV blocks of {BLOCK_TOKENS} tokens, {budget}",
                    results.workers
                ));
            }
            Machine::Node => {
                self.line(&format!("model {}: jobs with durations of their own", results.machine.id()));
                self.line(&format!("{} workers, each 8 GPUs", results.workers));
            }
        }
        if results.workers_differ {
            self.line("  on average: those of tidegate and naive are as its config has them, those of the others alike");
        }
        if results.slowdown != 1.0 {
            let factor = results.slowdown;
            self.line(&format!(
                "  devices are shared: while all compute, an iteration takes {factor:.2} times as long as the model says"
            ));
        }
        if results.workers_chosen {
            self.line(
                "  so many because P0's peak need is then nearest to its reserve (--workers to choose)",
            );
        }
    }

    fn comparison(&mut self, results: &Results, comparison: &Comparison) {
        // GPU jobs have none.
        let has_tokens = matches!(results.machine, Machine::Engine { .. });
        self.text.push('\n');
        let names = comparison.outcomes.iter().map(|(kind, _)| kind.name().to_owned());
        self.row("", names);
        for (index, name) in results.tier_names.iter().enumerate() {
            let tier = |outcome: &Outcome| outcome.tiers[index].clone();
            let tiers: Vec<TierOutcome> = comparison.outcomes.iter().map(|(_, o)| tier(o)).collect();
            if tiers.iter().any(|tier| tier.counts.submitted > 0) {
                self.line(&format!("P{index} {name}"));
                self.tier(&tiers, has_tokens);
            }
        }
        self.line("all tiers");
        self.overall(comparison, has_tokens);
    }

    fn tier(&mut self, tiers: &[TierOutcome], has_tokens: bool) {
        let mut row =
            |name: &str, cell: &dyn Fn(&TierOutcome) -> String| self.row(name, tiers.iter().map(cell));
        row("submitted", &|t| thousands(t.counts.submitted));
        row("completed", &|t| thousands(t.counts.completed));
        row("dropped", &dropped);
        if tiers.iter().any(|t| t.counts.failed > 0) {
            row("failed", &|t| thousands(t.counts.failed));
        }
        if tiers.iter().any(|t| t.counts.live > 0) {
            row("live", &|t| thousands(t.counts.live));
        }
        row("queue delay ms p50 / p99", &|t| pair(t.queue_delay));
        if has_tokens {
            row("first token ms p50 / p99", &|t| pair(t.ttft));
            row("per output token ms p50 / p99", &|t| pair(t.tpot));
            row("recomputed tokens", &|t| thousands(t.recomputed_tokens));
        }
        row("preemptions", &|t| thousands(t.preemptions));
    }

    fn overall(&mut self, comparison: &Comparison, has_tokens: bool) {
        let outcomes = || comparison.outcomes.iter().map(|(_, outcome)| outcome);
        let mut row = |name: &str, cell: &dyn Fn(&Outcome) -> String| self.row(name, outcomes().map(cell));
        row("utilisation", &|o| percent(Some(o.utilisation)));
        row("  while batch waits", &|o| percent(o.utilisation_while_backlogged));
        row("  batch waits for s", &|o| seconds(o.backlogged_ns));
        if has_tokens {
            row("output tokens per s", &|o| format!("{:.0}", o.output_tokens_per_s));
            row("  of the best set-up", &|o| percent(Some(comparison.throughput_of_best(o))));
            row("goodput tokens per s", &|o| format!("{:.0}", o.goodput_tokens_per_s));
        }
        row("P0 peak need of its reserve", &|o| percent(o.guarantee_pressure));
        row("simulated s", &|o| seconds(o.simulated_ns));
        row("wall s", &|o| format!("{:.3}", o.wall.as_secs_f64()));
        row("requests replayed per s", &|o| {
            let wall = o.wall.as_secs_f64().max(f64::MIN_POSITIVE);
            thousands((o.counts().submitted as f64 / wall) as u64)
        });
        row("  share in the scheduler", &|o| percent(Some(o.scheduler_share)));
        row("actions digest", &|o| o.actions_digest.to_string());
        if outcomes_are_binned(comparison) {
            self.line("percentiles: of bins, too large by less than 1 %");
        }
        if has_tokens {
            let [first, second] = TTFT_OBJECTIVES_NS.map(|ns| ns / 1_000_000_000);
            self.line(&format!(
                "goodput: first token within {first} s (P0), {second} s (P1), any time (others)"
            ));
        }
    }

    fn row(&mut self, name: &str, cells: impl Iterator<Item = String>) {
        let mut line = format!("  {name:<NAME_WIDTH$}");
        for cell in cells {
            let _ = write!(line, " {cell:>COLUMN_WIDTH$}");
        }
        self.line(line.trim_end());
    }
}

fn outcomes_are_binned(comparison: &Comparison) -> bool {
    comparison.outcomes.iter().any(|(_, outcome)| outcome.is_binned)
}

fn dropped(tier: &TierOutcome) -> String {
    let reasons: Vec<_> =
        tier.dropped.iter().map(|(reason, n)| format!("{} {reason}", thousands(*n))).collect();
    if reasons.is_empty() { "0".to_owned() } else { reasons.join(", ") }
}

/// Nanoseconds as milliseconds.
fn ms(nanoseconds: Option<u64>) -> String {
    nanoseconds.map_or_else(|| NONE.to_owned(), |ns| thousands((ns + 500_000) / 1_000_000))
}

fn pair(p: Percentiles) -> String {
    format!("{} / {}", ms(p.p50), ms(p.p99))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| NONE.to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn seconds(nanoseconds: u64) -> String {
    format!("{:.1}", nanoseconds as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!([0, 7, 999, 1_000, 1_234_567].map(thousands), ["0", "7", "999", "1,000", "1,234,567"]);
        assert_eq!(ms(Some(1_499_999)), "1");
        assert_eq!(ms(None), "-");
        assert_eq!(percent(Some(0.3004)), "30.0 %");
    }
}
