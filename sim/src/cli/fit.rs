//! `tidegate fit`: from measured iterations to a model that `--model` takes.

use std::fmt::Write;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use tidegate_sim::fit::{Fit, FitError, Form, fit};
use tidegate_sim::model::{Batching, DEFAULT_MODEL, ModelFile, ServiceModel};
use tidegate_sim::trace::read_iterations;

use super::outputs::Output;
use super::{Failure, print};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Iterations of the engine, CSV: prefill_tokens, prefill_context, prefill_squares, decode_tokens,
    /// decode_context, duration_ms
    #[arg(value_name = "ROWS.csv")]
    rows: PathBuf,
    /// The form of the formula: what prompts and decodes share, or each with times of its own
    #[arg(long, value_enum, default_value_t = FormName::Mixed)]
    form: FormName,
    /// Beyond so many tokens of an iteration (mixed), or from so many decodes on (apart), coefficients of their own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    knee: Option<u64>,
    /// The name that results print
    #[arg(long, default_value = "fitted", value_name = "NAME")]
    id: String,
    /// Requests that a worker runs at a time
    #[arg(long, value_name = "N")]
    slots: Option<u32>,
    /// KV blocks of a worker, of 16 tokens
    #[arg(long, value_name = "N")]
    kv_blocks: Option<u32>,
    /// Bytes of KV cache per token
    #[arg(long, value_name = "N")]
    kv_bytes_per_token: Option<u32>,
    /// Tokens of an iteration
    #[arg(long, value_name = "TOKENS")]
    chunk: Option<u32>,
    /// Write the model here, for --model
    #[arg(long, value_name = "FILE.json")]
    output: Option<PathBuf>,
    /// Print one JSON object instead of the table: the model and the errors
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormName {
    Mixed,
    Apart,
}

#[derive(Serialize)]
struct Document<'a> {
    model: &'a ModelFile,
    rows: usize,
    error: Error,
    error_left_out: Option<Error>,
    undetermined: &'a [&'static str],
}

#[derive(Serialize)]
struct Error {
    rms_ms: f64,
    mean_relative: f64,
    p99_relative: f64,
    r_squared: f64,
}

impl From<FitError> for Error {
    fn from(error: FitError) -> Self {
        let FitError { rms_ms, mean_relative, p99_relative, r_squared } = error;
        Self { rms_ms, mean_relative, p99_relative, r_squared }
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let output = args
        .output
        .as_ref()
        .map(|path| Output::begin("--output", path, &[("the command", args.rows.as_path())]))
        .transpose()?;
    let rows = read_iterations(&args.rows).map_err(Failure::bad_input)?;
    let form = match args.form {
        FormName::Mixed => Form::Mixed,
        FormName::Apart => Form::Apart,
    };
    let fitted = fit(&rows, form, args.knee).map_err(|error| Failure::bad_file(&args.rows, error))?;
    let model = model(args, &fitted, rows.len());
    // What is written can be read: the same checks.
    let text = model.to_text();
    ModelFile::parse(&text).map_err(Failure::bad_input)?;
    if let Some(output) = output {
        output.fill(|file| file.write_str(&text).expect("the file keeps its errors"))?;
    }
    if !args.json {
        return print(&table(args, &model, &fitted, rows.len()));
    }
    let document = Document {
        model: &model,
        rows: rows.len(),
        error: fitted.error.into(),
        error_left_out: fitted.error_left_out.map(Error::from),
        undetermined: &fitted.undetermined,
    };
    print(&(serde_json::to_string_pretty(&document).expect("numbers and text") + "\n"))
}

fn model(args: &Args, fitted: &Fit, rows: usize) -> ModelFile {
    let like = ServiceModel::by_id(DEFAULT_MODEL).expect("the default is one of them");
    let batching = match (args.form, like.batching) {
        (FormName::Mixed, Batching::Chunked { tokens, prompts }) => {
            Batching::Chunked { tokens: args.chunk.unwrap_or(tokens), prompts }
        }
        _ => Batching::PrefillFirst { tokens: args.chunk.unwrap_or(2_048) },
    };
    let error = 100.0 * fitted.error.mean_relative;
    ModelFile {
        id: args.id.clone(),
        source: format!("tidegate fit of {rows} iterations, off by {error:.2} % on average"),
        formula: fitted.formula,
        batching,
        kv_blocks: args.kv_blocks.unwrap_or(like.kv_blocks),
        slots: args.slots.unwrap_or(like.slots),
        kv_bytes_per_token: args.kv_bytes_per_token.unwrap_or(like.kv_bytes_per_token),
    }
}

fn table(args: &Args, model: &ModelFile, fitted: &Fit, rows: usize) -> String {
    let mut text = format!("tidegate {} fit, {rows} iterations\n", env!("CARGO_PKG_VERSION"));
    let mut line = |line: std::fmt::Arguments<'_>| {
        writeln!(text, "{line}").expect("a string takes all that is written to it");
    };
    line(format_args!("{:<26}{:>12}{:>12}{:>12}{:>12}", "", "rms ms", "mean", "p99", "R squared"));
    let errors = [("all rows", Some(fitted.error)), ("rows left out of a fit", fitted.error_left_out)];
    for (name, error) in errors {
        if let Some(error) = error {
            line(format_args!(
                "{name:<26}{:>12.4}{:>10.2} %{:>10.2} %{:>12.6}",
                error.rms_ms,
                100.0 * error.mean_relative,
                100.0 * error.p99_relative,
                error.r_squared
            ));
        }
    }
    if !fitted.undetermined.is_empty() {
        let terms = fitted.undetermined.join(", ");
        line(format_args!("the rows do not tell, and the model has 0: {terms}"));
    }
    line(format_args!(
        "worker: {} slots, {} KV blocks, {} bytes of KV cache per token",
        model.slots, model.kv_blocks, model.kv_bytes_per_token
    ));
    match &args.output {
        Some(path) => line(format_args!("tidegate replay --model {}", path.display())),
        None => line(format_args!(
            "--output FILE.json writes the model; tidegate replay --model FILE.json uses it"
        )),
    }
    text
}
