//! Our own formats, CSV and JSON lines: everything is said, nothing is labelled.

use super::{Context, Trace};
use crate::trace::field::Field;
use crate::trace::{TraceError, TraceRequest, Work, json_lines, table, text::Text};

/// Columns of the CSV, keys of the JSON lines.
const FIELDS: [&str; 5] = ["arrival_s", "tier", "tenant", "prompt_tokens", "output_tokens"];

pub(super) fn read_csv(text: &Text, context: &mut Context<'_>) -> Result<Trace, TraceError> {
    read(table::rows(text, &FIELDS)?, context)
}

pub(super) fn read_jsonl(text: &Text, context: &mut Context<'_>) -> Result<Trace, TraceError> {
    read(json_lines::objects(text, &FIELDS), context)
}

fn read<'a>(
    rows: impl Iterator<Item = Result<[Field<'a>; 5], TraceError>>,
    context: &mut Context<'_>,
) -> Result<Trace, TraceError> {
    let mut requests = Vec::new();
    for row in rows {
        let [arrival, tier, tenant, prompt, output] = row?;
        requests.push(TraceRequest {
            arrival_ns: arrival.seconds_as_ns()?,
            tier: tier.tier()?,
            tenant: context.tenant(tenant.tenant()?),
            work: Work::Tokens { prompt: prompt.tokens()?, output: output.tokens()? },
        });
    }
    Ok(Trace::from_own_zero(requests, "tiers and tenants of its own"))
}
