//! Logs of GPU runs: requests, and when each was answered. The same lines as the `vtc` traces, latencies read too.

use std::path::Path;

use super::field::Field;
use super::readers::Tenants;
use super::text::Text;
use super::{TraceError, json_lines};

/// Token counts stand last: what is wrong with a request as a whole is told at its output.
const KEYS: [&str; 6] =
    ["req_time", "adapter_dir", "first_token_latency", "request_latency", "prompt_len", "output_len"];

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuLog {
    /// The clients' names; [`LoggedRequest::client`] is an index into them.
    pub clients: Vec<String>,
    /// By arrival; those that arrive together in the order of the file.
    pub requests: Vec<LoggedRequest>,
}

/// A request, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoggedRequest {
    /// Index into [`GpuLog::clients`].
    pub client: usize,
    /// Seconds from the start of the run.
    pub arrival_s: f64,
    /// Tokens, at least 1.
    pub prompt: u32,
    /// Tokens, at least 1.
    pub output: u32,
    /// When the first and the last token came, in seconds from the start of the run; `None` if it was refused.
    pub answered_s: Option<(f64, f64)>,
}

impl GpuLog {
    /// Reads a log, plain or gzip, of requests that an engine can serve: `fits` says of prompt and output tokens
    /// whether it can. Time and memory are linear in the file.
    ///
    /// # Errors
    /// The first fault met: a file that cannot be read, a row that makes no sense, a request that does not fit.
    pub fn read(path: &Path, fits: impl Fn(u32, u32) -> bool) -> Result<Self, TraceError> {
        let text = Text::read(path)?;
        let mut clients = Tenants::default();
        let mut requests = Vec::new();
        for object in json_lines::objects(&text, &KEYS) {
            let [stamp, client, first, last, prompt, output] = object?;
            let arrival_s = stamp.seconds()?;
            let (prompt_tokens, output_tokens) = (prompt.tokens()?, output.tokens()?);
            if !fits(prompt_tokens, output_tokens) {
                return Err(output.is_not("one that fits the engine's memory with its prompt"));
            }
            requests.push(LoggedRequest {
                client: clients.number(client.tenant()?) as usize,
                arrival_s,
                prompt: prompt_tokens,
                output: output_tokens,
                answered_s: answered(arrival_s, &first, &last)?,
            });
        }
        requests.sort_by(|a: &LoggedRequest, b| a.arrival_s.total_cmp(&b.arrival_s));
        Ok(Self { clients: clients.into_names(), requests })
    }
}

/// -1 stands for a request that was refused.
fn answered(arrival_s: f64, first: &Field<'_>, last: &Field<'_>) -> Result<Option<(f64, f64)>, TraceError> {
    if first.text.parse() == Ok(-1.0) {
        return Ok(None);
    }
    let (first_s, last_s) = (first.seconds()?, last.seconds()?);
    if last_s < first_s {
        return Err(last.is_not("at or after the first token"));
    }
    Ok(Some((arrival_s + first_s, arrival_s + last_s)))
}
