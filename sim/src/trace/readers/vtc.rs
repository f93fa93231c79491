//! Requests and GPU runs of the VTC artifact. Only what was asked for is read: the latencies in the file are
//! those of one scheduler on one GPU.

use super::{Context, Trace};
use crate::trace::label::tier_of_client;
use crate::trace::{TraceError, TraceRequest, Work, json_lines, text::Text};

const KEYS: [&str; 4] = ["req_time", "adapter_dir", "prompt_len", "output_len"];

pub(super) fn read(text: &Text, context: &mut Context<'_>) -> Result<Trace, TraceError> {
    let mut requests = Vec::new();
    for object in json_lines::objects(text, &KEYS) {
        let [stamp, client, prompt, output] = object?;
        let name = client.tenant()?;
        requests.push(TraceRequest {
            arrival_ns: stamp.seconds_as_ns()?,
            tier: tier_of_client(&format!("vtc/{name}")),
            tenant: context.tenant(name),
            work: Work::Tokens { prompt: prompt.tokens()?, output: output.tokens()? },
        });
    }
    Ok(Trace::from_own_zero(requests, "its clients as tenants, their tiers by our labels"))
}
