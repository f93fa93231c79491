//! Requests with the blocks of their prompts: Mooncake's traces, whose block numbers say who has which prefix.

use std::path::Path;

use super::readers::mooncake::spread_inside_bins;
use super::text::Text;
use super::{MAX_ARRIVAL_S, TraceError, json_lines};

const KEYS: [&str; 4] = ["timestamp", "input_length", "output_length", "hash_ids"];

/// A request whose prompt is known block by block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedRequest {
    /// Nanoseconds from the start of the trace; spread evenly inside the 3 s to which stamps are rounded.
    pub arrival_ns: u64,
    /// Tokens of the prompt, at least 1.
    pub prompt: u32,
    /// Tokens generated, at least 1.
    pub output: u32,
    /// The blocks of the prompt, 512 tokens each, the last in part: equal numbers are equal prompts up to there.
    pub blocks: Vec<u64>,
}

/// Reads a Mooncake trace, plain or gzip. Time and memory are linear in the file.
///
/// # Errors
/// The first fault met: a file that cannot be read, or a row that makes no sense.
pub fn prompt_blocks(path: &Path) -> Result<Vec<BlockedRequest>, TraceError> {
    let text = Text::read(path)?;
    let mut requests = Vec::new();
    for object in json_lines::objects(&text, &KEYS) {
        let [stamp, prompt, output, hash_ids] = object?;
        let blocks: Result<Vec<u64>, _> = serde_json::from_str(&hash_ids.text);
        requests.push(BlockedRequest {
            arrival_ns: stamp.whole(u64::from(MAX_ARRIVAL_S) * 1_000)? * 1_000_000,
            prompt: prompt.tokens()?,
            output: output.tokens()?,
            blocks: blocks.map_err(|_| hash_ids.is_not("a list of block numbers"))?,
        });
    }
    spread_inside_bins(&mut requests, |request| &mut request.arrival_ns);
    requests.sort_by_key(|request| request.arrival_ns);
    Ok(requests)
}
