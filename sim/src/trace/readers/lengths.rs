//! Traces of lengths without arrivals (arXiv summarisation, ShareGPT): a backlog, or batches.

use super::{Context, Trace};
use crate::trace::label::tier_in_thirds;
use crate::trace::{Batches, TraceError, TraceRequest, Work, table, text::Text};

const COLUMNS: [&str; 2] = ["num_prefill_tokens", "num_decode_tokens"];

/// Whose lengths they are; the rows do not say.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Arxiv,
    Sharegpt,
}

pub(super) fn read(text: &Text, source: Source, context: &mut Context<'_>) -> Result<Trace, TraceError> {
    let name = match source {
        Source::Arxiv => "arxiv",
        Source::Sharegpt => "sharegpt",
    };
    let batches = context.batches();
    let mut requests = Vec::new();
    for (number, row) in (0_u64..).zip(table::rows(text, &COLUMNS)?) {
        let [prompt, output] = row?;
        let key = format!("{name}/{number}");
        requests.push(TraceRequest {
            arrival_ns: arrival_ns(number, batches),
            tier: match source {
                Source::Arxiv => 2,
                Source::Sharegpt => tier_in_thirds(&key),
            },
            tenant: context.tenant_by_hash(&key),
            work: Work::Tokens { prompt: prompt.tokens()?, output: output.tokens()? },
        });
    }
    let tiers = match source {
        Source::Arxiv => "P2",
        Source::Sharegpt => "a third of each tier",
    };
    Ok(Trace::from_own_zero(
        requests,
        &format!("{}, {tiers} and 16 tenants by our labels", arrivals(batches)),
    ))
}

fn arrival_ns(row: u64, batches: Option<Batches>) -> u64 {
    batches.map_or(0, |batches| (row / u64::from(batches.rows.max(1))).saturating_mul(batches.every_ns))
}

fn arrivals(batches: Option<Batches>) -> String {
    match batches {
        None => "all at the start".to_owned(),
        Some(Batches { rows, every_ns }) => format!("{rows} every {} s", every_ns as f64 / 1e9),
    }
}
