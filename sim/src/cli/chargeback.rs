//! `tidegate chargeback`: who used how much in which period, and what it costs, as a table for other programs.

use std::fmt::Write;
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::{Map, Number, Value};
use tidegate::Journal;
use tidegate_sim::chargeback::{Chargeback, MAX_PERIODS, PriceTable, Row, charge, columns, periods};

use super::{Failure, print, read_text};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The journal
    file: PathBuf,
    /// The length of a period in seconds; without, the whole run is one
    #[arg(long, value_name = "SECONDS")]
    every: Option<u64>,
    /// What things cost, as JSON; without, nothing does
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Json,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let text = read_text(&args.file)?;
    let journal = Journal::parse(&text).map_err(|error| Failure::bad_file(&args.file, error))?;
    let prices = match &args.prices {
        Some(file) => {
            let table: PriceTable =
                serde_json::from_str(&read_text(file)?).map_err(|error| Failure::bad_file(file, error))?;
            table.fault(&journal.config).map_or(Ok(table), |fault| Err(Failure::bad_file(file, fault)))?
        }
        None => PriceTable::default(),
    };
    let every_ns = args.every.map(|seconds| seconds.saturating_mul(1_000_000_000));
    if args.every == Some(0) {
        return Err(Failure::bad_input("--every 0: expected a number of seconds above zero"));
    }
    if every_ns.is_some_and(|every_ns| periods(&journal, every_ns) > MAX_PERIODS) {
        return Err(Failure::bad_input(format_args!(
            "--every: the journal has more than {MAX_PERIODS} such periods"
        )));
    }
    let told = charge(&journal, &prices, every_ns);
    let dimensions: Vec<&str> = journal.config.dimensions().collect();
    print(&match args.format {
        Format::Csv => csv(&told, &dimensions),
        Format::Json => json(&told, &dimensions, &prices.currency),
    })
}

/// One line for each row, and the names of the columns above them. The total is what they add up to.
fn csv(told: &Chargeback, dimensions: &[&str]) -> String {
    let mut text = format!("from_ns,to_ns,tenant,tier,{}\n", columns(dimensions).join(","));
    for Row { from, to, tenant, tier, bill } in &told.rows {
        let (from, to) = (from.as_nanos(), to.as_nanos());
        write!(text, "{from},{to},{},{}", quoted(tenant), quoted(tier)).expect("a string takes everything");
        bill.numbers().for_each(|number| write!(text, ",{number}").expect("a string takes everything"));
        text.push('\n');
    }
    text
}

/// A field as RFC 4180 has it. One that a spreadsheet would take for a formula is kept from that by a quotation mark in front.
fn quoted(field: &str) -> String {
    let guard = if field.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    if guard.is_empty() && !field.contains([',', '"', '\r', '\n']) {
        return field.to_string();
    }
    format!("\"{guard}{}\"", field.replace('"', "\"\""))
}

fn json(told: &Chargeback, dimensions: &[&str], currency: &str) -> String {
    let columns = columns(dimensions);
    let numbers = |bill: &tidegate_sim::chargeback::Bill| -> Map<String, Value> {
        let named = columns.iter().cloned().zip(bill.numbers());
        named.map(|(name, number)| (name, whole(number))).collect()
    };
    let rows = told.rows.iter().map(|row| {
        let mut fields = Map::new();
        fields.insert("from_ns".into(), row.from.as_nanos().into());
        fields.insert("to_ns".into(), row.to.as_nanos().into());
        fields.insert("tenant".into(), row.tenant.clone().into());
        fields.insert("tier".into(), row.tier.clone().into());
        fields.append(&mut numbers(&row.bill));
        Value::Object(fields)
    });
    let mut page = Map::new();
    page.insert("tidegate".into(), env!("CARGO_PKG_VERSION").into());
    page.insert("currency".into(), currency.into());
    page.insert("rows".into(), rows.collect());
    page.insert("total".into(), Value::Object(numbers(&told.total)));
    Value::Object(page).to_string() + "\n"
}

/// A whole number as JSON; one of more than 64 bits as a string, since few readers would take it whole.
fn whole(number: i128) -> Value {
    Number::from_i128(number).map_or_else(|| number.to_string().into(), Value::Number)
}
