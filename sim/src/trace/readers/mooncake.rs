//! Mooncake FAST'25 traces: milliseconds, lengths, and the prefix blocks that name a conversation.

use std::collections::BTreeMap;

use super::{Context, Trace};
use crate::trace::field::Field;
use crate::trace::{MAX_ARRIVAL_S, TraceError, TraceRequest, Work, json_lines, text::Text};

const KEYS: [&str; 4] = ["timestamp", "input_length", "output_length", "hash_ids"];

const NS_PER_MS: u64 = 1_000_000;

/// The stamps of the conversation trace are rounded to about this; requests are spread evenly inside it,
/// otherwise a whole bin arrives at once and queueing delays below it mean nothing.
const CONVERSATION_BIN_NS: u64 = 3_000 * NS_PER_MS;

/// Part of the file name by which the conversation trace is told from the synthetic one.
const CONVERSATION: &str = "conversation";

pub(super) fn read(text: &Text, context: &mut Context<'_>) -> Result<Trace, TraceError> {
    let conversation = text.name().contains(CONVERSATION);
    let tier = if conversation { 0 } else { 1 };
    let mut requests = Vec::new();
    for object in json_lines::objects(text, &KEYS) {
        let [stamp, prompt, output, hash_ids] = object?;
        let key = format!("mooncake/{}", tenant_block(&hash_ids, conversation)?);
        requests.push(TraceRequest {
            arrival_ns: stamp.whole(u64::from(MAX_ARRIVAL_S) * 1_000)? * NS_PER_MS,
            tier,
            tenant: context.tenant_by_hash(&key),
            work: Work::Tokens { prompt: prompt.tokens()?, output: output.tokens()? },
        });
    }
    let rules = if conversation {
        spread_inside_bins(&mut requests, |request| &mut request.arrival_ns);
        "spread evenly inside the 3 s to which its stamps are rounded, conversation: P0"
    } else {
        "not a conversation file by its name: P1"
    };
    Ok(Trace::from_own_zero(requests, &format!("{rules} and 16 tenants by our labels")))
}

/// The block that stays with a conversation: block 0 is shared by every request of the conversation trace.
fn tenant_block(hash_ids: &Field<'_>, conversation: bool) -> Result<u64, TraceError> {
    let blocks: Vec<u64> =
        serde_json::from_str(&hash_ids.text).map_err(|_| hash_ids.is_not("a list of block numbers"))?;
    let second = blocks.get(1).filter(|_| conversation);
    second.or(blocks.first()).copied().ok_or_else(|| hash_ids.is_not("a list of at least one block number"))
}

/// Moves item i of the k requests with one stamp to i/k of the bin.
pub(in crate::trace) fn spread_inside_bins<T>(requests: &mut [T], arrival_ns: impl Fn(&mut T) -> &mut u64) {
    let mut bins: BTreeMap<u64, (u64, u64)> = BTreeMap::new(); // stamp: (requests, of which already moved)
    for request in requests.iter_mut() {
        bins.entry(*arrival_ns(request)).or_default().0 += 1;
    }
    for request in requests {
        let arrival_ns = arrival_ns(request);
        let (size, moved) = bins.get_mut(arrival_ns).expect("every stamp was counted");
        *arrival_ns += *moved * CONVERSATION_BIN_NS / *size;
        *moved += 1;
    }
}
