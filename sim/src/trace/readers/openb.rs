//! The pod list of an Alibaba GPU cluster: jobs that ask for parts of GPUs, with a published QoS class.

use super::{Context, Trace};
use crate::trace::field::Field;
use crate::trace::{TraceError, TraceRequest, Work, table, text::Text};

const COLUMNS: [&str; 5] = ["num_gpu", "gpu_milli", "qos", "creation_time", "deletion_time"];

/// The most GPUs of one job: far above the 8 of the largest node, and the product still fits.
const MAX_GPUS: u64 = 1_024;

/// The list names no users.
const TENANT: &str = "openb";

pub(super) fn read(text: &Text, context: &mut Context<'_>) -> Result<Trace, TraceError> {
    let tenant = context.tenant(TENANT);
    let mut requests = Vec::new();
    let mut without_gpu = 0;
    let mut without_duration = 0;
    for row in table::rows(text, &COLUMNS)? {
        let [gpus, milli, qos, created, deleted] = row?;
        let gpu_milli = gpus.whole(MAX_GPUS)? * or_zero(&milli, |milli| milli.whole(1_000))?;
        let tier = tier_of(&qos)?;
        let arrival_ns = created.seconds_as_ns()?;
        let duration_ns = or_zero(&deleted, Field::seconds_as_ns)?.saturating_sub(arrival_ns);
        if gpu_milli == 0 {
            without_gpu += 1;
        } else if duration_ns == 0 {
            without_duration += 1;
        } else {
            requests.push(TraceRequest {
                arrival_ns,
                tier,
                tenant,
                work: Work::Job { gpu_milli, duration_ns },
            });
        }
    }
    let labels = format!(
        "skipped {without_gpu} without a GPU and {without_duration} without a duration, tiers from the QoS class, one tenant"
    );
    Ok(Trace::from_own_zero(requests, &labels))
}

/// A value that may be left out.
fn or_zero<'a>(
    field: &Field<'a>,
    read: impl Fn(&Field<'a>) -> Result<u64, TraceError>,
) -> Result<u64, TraceError> {
    if field.text.is_empty() { Ok(0) } else { read(field) }
}

fn tier_of(qos: &Field<'_>) -> Result<u8, TraceError> {
    match &*qos.text {
        "LS" | "Guaranteed" => Ok(0),
        "Burstable" => Ok(1),
        "BE" => Ok(2),
        _ => Err(qos.is_not("a QoS class: LS, Guaranteed, Burstable or BE")),
    }
}
