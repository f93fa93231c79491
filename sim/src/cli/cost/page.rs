//! What `tidegate cost` prints: every assumption, then the answer; as tables or as JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use tidegate_sim::cost::{Assumptions, Cost, SetupCost};
use tidegate_sim::report;
use tidegate_sim::setup::SetupKind;
use tidegate_sim::trace::Workload;

use super::Plan;

/// The names of the tiers: those of the config that the fleets run.
const TIERS: [&str; 8] =
    ["realtime", "near-realtime", "batch", "tier-3", "tier-4", "tier-5", "tier-6", "tier-7"];

pub(super) struct Page<'a> {
    pub(super) plan: &'a Plan,
    pub(super) workload: &'a Workload,
    pub(super) span_ns: u64,
    pub(super) answer: &'a Cost,
}

impl Page<'_> {
    fn assumptions(&self) -> &Assumptions {
        &self.plan.assumptions
    }

    pub(super) fn json(&self) -> String {
        let Cost { setups, sensitivity, .. } = self.answer;
        let of_setup =
            |(kind, setup): (&SetupKind, &SetupCost)| (kind.name().to_owned(), self.setup_json(setup));
        let money = |usd: &std::collections::BTreeMap<SetupKind, f64>| -> Map<String, Value> {
            usd.iter().map(|(kind, usd)| (kind.name().to_owned(), json!(usd))).collect()
        };
        let reserves = self.answer.reserves.iter().map(|tried| {
            json!({
                "reserve": f64::from(tried.reserve_ppm) / 1e6,
                "gpus": tried.workers.map(|workers| self.assumptions().gpu.gpus(workers)),
                "p0_ttft_ms_p99": tried.p0_ttft_ns_p99.map(ms),
            })
        });
        let rows = sensitivity.iter().map(|row| {
            let api = row.api_usd_per_month;
            json!({"changed": row.changed, "setups": money(&row.usd_per_month), "api": api})
        });
        let document = json!({
            "tidegate": env!("CARGO_PKG_VERSION"),
            "assumptions": self.assumptions_json(),
            "setups": setups.iter().map(of_setup).collect::<Map<_, _>>(),
            "api": {
                "usd_per_month": self.answer.api_usd_per_month,
                "usd_per_million_tokens": self.answer.api_usd_per_million_tokens,
            },
            "crossover_requests_per_month": self.answer.crossover_requests_per_month,
            "best_reserve": f64::from(self.answer.best_reserve_ppm) / 1e6,
            "reserves": reserves.collect::<Vec<_>>(),
            "sensitivity": rows.collect::<Vec<_>>(),
        });
        serde_json::to_string_pretty(&document).expect("numbers and text") + "\n"
    }

    fn assumptions_json(&self) -> Value {
        let a = self.assumptions();
        json!({
            "traces": self.workload.sources,
            "requests_per_month": a.requests_per_month,
            "simulated_s": self.span_ns as f64 / 1e9,
            "simulated_requests": self.workload.requests.len(),
            "prompt_tokens_per_month": self.answer.tokens_per_month[0],
            "output_tokens_per_month": self.answer.tokens_per_month[1],
            "model": self.plan.machine.id(),
            "worker": self.plan.worker,
            "gpus_per_worker": a.gpu.gpus_per_worker,
            "spare_workers": a.spare_workers,
            "usd_per_gpu_hour": a.gpu.usd_per_gpu_hour,
            "hours_per_month": a.gpu.hours_per_month,
            "api_usd_per_million_input": a.api.usd_per_million_input,
            "api_usd_per_million_output": a.api.usd_per_million_output,
            "objectives_ttft_s": a.objectives_ns.iter().map(|&ns| ns as f64 / 1e9).collect::<Vec<_>>(),
        })
    }

    fn setup_json(&self, setup: &SetupCost) -> Value {
        let by_tier = |values: &[Option<f64>]| -> Map<String, Value> {
            TIERS.iter().zip(values).map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
        };
        let tenants = self.workload.tenants.iter().zip(&setup.usd_per_million_tokens_of_tenant);
        let by_tenant: Map<String, Value> =
            tenants.map(|(name, value)| (name.clone(), json!(value))).collect();
        let ttft: Vec<Option<f64>> = setup.ttft_ns_p99.iter().map(|ns| ns.map(ms)).collect();
        json!({
            "gpus": setup.gpus,
            "workers": setup.workers,
            "usd_per_month": setup.usd_per_month,
            "usd_per_million_tokens": by_tier(&setup.usd_per_million_tokens),
            "usd_per_million_tokens_by_tenant": by_tenant,
            "utilisation": setup.utilisation,
            "ttft_ms_p99": by_tier(&ttft),
            "p0_queue_delay_ms_p99": setup.p0_queue_delay_ns_p99.map(ms),
        })
    }

    pub(super) fn table(&self) -> String {
        let mut text = format!(
            "tidegate {} cost\n\nassumed (each can be changed, see --help)\n",
            env!("CARGO_PKG_VERSION")
        );
        for (name, value) in self.assumed() {
            push(&mut text, format_args!("  {name:<34}{value}"));
        }
        self.answer_table(&mut text);
        self.tenants(&mut text);
        self.reserves(&mut text);
        self.sensitivity(&mut text);
        text
    }

    fn assumed(&self) -> Vec<(&'static str, String)> {
        let a = self.assumptions();
        let [input, output] = self.answer.tokens_per_month.map(|tokens| tokens / 1e6);
        let count = self.workload.requests.len();
        let objectives: Vec<String> =
            a.objectives_ns.iter().map(|&ns| format!("{} s", ns as f64 / 1e9)).collect();
        let mut rows: Vec<_> =
            self.workload.sources.iter().map(|source| ("traffic", source.clone())).collect();
        rows.extend([
            ("simulated", format!("{count} requests in {:.0} s", self.span_ns as f64 / 1e9)),
            ("requests a month", thousands(a.requests_per_month)),
            ("million tokens a month, in / out", format!("{} / {}", thousands(input), thousands(output))),
            (
                "worker",
                format!("{} GPU: {}, {}", a.gpu.gpus_per_worker, self.plan.machine.id(), self.plan.worker),
            ),
            ("spare workers of each fleet", a.spare_workers.to_string()),
            (
                "a GPU",
                format!("{} USD an hour, {} hours a month", a.gpu.usd_per_gpu_hour, a.gpu.hours_per_month),
            ),
            (
                "the API, per million tokens",
                format!("{} USD in, {} USD out", a.api.usd_per_million_input, a.api.usd_per_million_output),
            ),
            ("first token, p99, by tier", objectives.join(", ")),
        ]);
        rows
    }

    fn answer_table(&self, text: &mut String) {
        let Cost { setups, .. } = self.answer;
        let names = setups.keys().fold(String::new(), |line, kind| format!("{line}{:>14}", kind.name()));
        push(text, format_args!("\n  {:<34}{names}{:>14}", "", "API"));
        let mut row = |name: &str, cell: &dyn Fn(&SetupCost) -> String, api: &str| {
            let mut line = format!("  {name:<34}");
            for setup in setups.values() {
                let _ = write!(line, "{:>14}", cell(setup));
            }
            push(text, format_args!("{}", format!("{line}{api:>14}").trim_end()));
        };
        let api = self.answer.api_usd_per_month;
        row("GPUs", &|s| round(s.gpus), "");
        row("USD a month", &|s| thousands(s.usd_per_month), &thousands(api));
        let first = setups.values().next().map_or(0, |setup| setup.usd_per_million_tokens.len());
        for (tier, name) in TIERS.iter().enumerate().take(first) {
            row(&format!("USD per million tokens, {name}"), &|s| cents(s.usd_per_million_tokens[tier]), "");
        }
        let all: f64 = self.answer.tokens_per_month.iter().sum::<f64>() / 1e6;
        let api_price = cents(Some(self.answer.api_usd_per_million_tokens));
        row("USD per million tokens, all", &|s| cents(Some(s.usd_per_month / all)), &api_price);
        row("utilisation", &|s| format!("{:.1} %", 100.0 * s.utilisation), "");
        for (tier, name) in TIERS.iter().enumerate().take(first) {
            row(&format!("first token ms p99, {name}"), &|s| whole_ms(s.ttft_ns_p99[tier]), "");
        }
        row("queue delay ms p99, realtime", &|s| whole_ms(s.p0_queue_delay_ns_p99), "");
        push(
            text,
            format_args!(
                "\nthe API is cheaper than tidegate's fleet below {} requests a month, if the fleet stays as it is",
                thousands(self.answer.crossover_requests_per_month)
            ),
        );
    }

    fn tenants(&self, text: &mut String) {
        push(text, format_args!("\nUSD per million tokens by tenant"));
        let setups = self.answer.setups.values();
        let columns: Vec<_> = setups.map(|setup| &setup.usd_per_million_tokens_of_tenant).collect();
        for (tenant, name) in self.workload.tenants.iter().enumerate().take(MOST_TENANTS) {
            let cells = columns
                .iter()
                .fold(String::new(), |line, column| format!("{line}{:>14}", cents(column[tenant])));
            push(text, format_args!("  {name:<34}{cells}"));
        }
        if self.workload.tenants.len() > MOST_TENANTS {
            push(text, format_args!("  and {} more (--json)", self.workload.tenants.len() - MOST_TENANTS));
        }
    }

    fn reserves(&self, text: &mut String) {
        push(
            text,
            format_args!(
                "\n{:<36}{:>14}{:>30}",
                "realtime's reserve", "GPUs", "realtime's first token ms p99"
            ),
        );
        for tried in &self.answer.reserves {
            let best = if tried.reserve_ppm == self.answer.best_reserve_ppm { "  best" } else { "" };
            let share = format!("{} %", f64::from(tried.reserve_ppm) / 1e4);
            let gpus =
                tried.workers.map_or("-".to_owned(), |workers| round(self.assumptions().gpu.gpus(workers)));
            push(text, format_args!("  {share:<34}{gpus:>14}{:>30}{best}", whole_ms(tried.p0_ttft_ns_p99)));
        }
    }

    fn sensitivity(&self, text: &mut String) {
        if self.answer.sensitivity.is_empty() {
            return;
        }
        let names =
            self.answer.setups.keys().fold(String::new(), |line, kind| format!("{line}{:>14}", kind.name()));
        push(text, format_args!("\n{:<36}{names}{:>14}", "USD a month with", "API"));
        for row in &self.answer.sensitivity {
            let usd = row
                .usd_per_month
                .values()
                .fold(String::new(), |line, &usd| format!("{line}{:>14}", thousands(usd)));
            push(text, format_args!("  {:<34}{usd}{:>14}", row.changed, thousands(row.api_usd_per_month)));
        }
    }
}

/// Tenants in the table; all are in the JSON.
const MOST_TENANTS: usize = 16;

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes all that is written to it");
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn whole_ms(ns: Option<u64>) -> String {
    ns.map_or_else(|| "-".to_owned(), |ns| thousands(ns as f64 / 1e6))
}

fn cents(usd: Option<f64>) -> String {
    usd.map_or_else(|| "-".to_owned(), |usd| format!("{usd:.3}"))
}

/// At most two decimals.
fn round(number: f64) -> String {
    format!("{}", (number * 100.0).round() / 100.0)
}

/// A whole number that is not negative, as people read it.
fn thousands(number: f64) -> String {
    report::thousands(number.round() as u64)
}
