//! `tidegate scenarios`: what vLLM's scheduler and tidegate make of the same few situations.

use std::fmt::Write;

use serde::Serialize;
use tidegate_sim::lockstep::comparison::{Figure, PUBLISHED_SEEDS, figures};
use tidegate_sim::lockstep::stock::StockOrder;

use super::{Failure, print};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Draws of scenario C, seeds from 0; what is published is of 5
    #[arg(long, default_value_t = PUBLISHED_SEEDS, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    draws: u32,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let figures = figures(args.draws);
    print(&if args.json { json(args.draws, &figures) } else { table(args.draws, &figures) })
}

#[derive(Serialize)]
struct Document {
    tidegate: &'static str,
    draws: u32,
    figures: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    scenario: char,
    order: &'static str,
    figure: &'static str,
    published: Option<f64>,
    vllm: f64,
    tidegate: f64,
}

fn json(draws: u32, figures: &[Figure]) -> String {
    let row = |figure: &Figure| Row {
        scenario: figure.scenario,
        order: name(figure.order),
        figure: figure.name,
        published: figure.published,
        vllm: figure.vllm,
        tidegate: figure.tidegate,
    };
    let figures = figures.iter().map(row).collect();
    let document = Document { tidegate: env!("CARGO_PKG_VERSION"), draws, figures };
    let mut text = serde_json::to_string_pretty(&document).expect("numbers and names");
    text.push('\n');
    text
}

fn table(draws: u32, figures: &[Figure]) -> String {
    let mut text = format!(
        "tidegate {} scenarios, C over {draws} draws (docs/SIMULATOR.md says what they are)\n{:<4}{:<10}{:<24}{:>12}{:>12}{:>12}\n",
        env!("CARGO_PKG_VERSION"),
        "",
        "order",
        "figure",
        "published",
        "vllm model",
        "tidegate"
    );
    for figure in figures {
        let number = |value: f64| {
            if figure.name == "recomputed_share" {
                format!("{:.1} %", value * 100.0)
            } else if value.fract() == 0.0 {
                format!("{value}")
            } else {
                format!("{value:.1}")
            }
        };
        let published = figure.published.map_or("-".to_owned(), number);
        let (vllm, ours) = (number(figure.vllm), number(figure.tidegate));
        let (scenario, order, what) = (figure.scenario, name(figure.order), figure.name);
        writeln!(text, "{scenario:<4}{order:<10}{what:<24}{published:>12}{vllm:>12}{ours:>12}")
            .expect("a string takes all that is written to it");
    }
    text
}

fn name(order: StockOrder) -> &'static str {
    match order {
        StockOrder::Fcfs => "fcfs",
        StockOrder::Priority => "priority",
    }
}
