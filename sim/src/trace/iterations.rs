//! Measured iterations of an engine: what each worked on, and how long it took. What `tidegate fit` reads.

use std::path::Path;

use super::field::Field;
use super::{MAX_TRACE_TOKENS, TraceError, table, text::Text};
use crate::model::Load;

const COLUMNS: [&str; 6] = [
    "prefill_tokens",
    "prefill_context",
    "prefill_squares",
    "decode_tokens",
    "decode_context",
    "duration_ms",
];

/// The longest iteration that is believed, in milliseconds: an hour.
const MAX_DURATION_MS: f64 = 3_600_000.0;

/// One iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimedLoad {
    /// What it worked on.
    pub load: Load,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// Reads a CSV with the columns `prefill_tokens`, `prefill_context`, `prefill_squares`, `decode_tokens`,
/// `decode_context` and `duration_ms`: the fields of [`Load`], and a time.
///
/// # Errors
/// The first fault: a file that cannot be read, a row that makes no sense.
pub fn read_iterations(path: &Path) -> Result<Vec<TimedLoad>, TraceError> {
    let text = Text::read(path)?;
    let rows: Result<Vec<TimedLoad>, TraceError> =
        table::rows(&text, &COLUMNS)?.map(|row| timed_load(&row?)).collect();
    rows
}

fn timed_load(row: &[Field<'_>; 6]) -> Result<TimedLoad, TraceError> {
    let most = u64::from(MAX_TRACE_TOKENS);
    let [prefill, prefill_context, squares, decode, decode_context, duration] = row;
    let load = Load {
        prefill_tokens: prefill.whole(most)?,
        prefill_context: prefill_context.whole(most)?,
        prefill_squares: squares.whole(most * most)?,
        decode_tokens: decode.whole(most)?,
        decode_context: decode_context.whole(most * most)?,
    };
    let tokens = load.prefill_tokens;
    if load.prefill_squares < tokens || load.prefill_squares > tokens * tokens {
        return Err(squares.is_not(&format!("a sum of squares of parts of {tokens} tokens")));
    }
    for (field, context, tokens) in [
        (prefill_context, load.prefill_context, load.prefill_tokens),
        (decode_context, load.decode_context, load.decode_tokens),
    ] {
        if context > 0 && tokens == 0 {
            return Err(field.is_not("0, as it is where no such token is computed"));
        }
    }
    if load.prefill_tokens + load.decode_tokens == 0 {
        return Err(decode.is_not("a number of tokens, and there is no prompt either: an empty iteration"));
    }
    let usable = |ms: &f64| *ms > 0.0 && *ms <= MAX_DURATION_MS;
    let duration_ms = duration.text.parse().ok().filter(usable);
    let duration_ms =
        duration_ms.ok_or_else(|| duration.is_not("a time in milliseconds above 0, up to an hour"))?;
    Ok(TimedLoad { load, duration_ms })
}
