//! Questions whose answers are texts: JSON objects with the fields of the structs. For people, logs and metrics; a
//! program that decides by numbers asks for the structs.

use std::ffi::c_char;
use std::fmt::{Display, Write};

use tidegate_core::{Explanation, Instant, Reason, RequestId, Scheduler, Stats, TenantId, TenantUsage};

use crate::fault::Fault;
use crate::guard::observe;
use crate::memory::TextOut;
use crate::scheduler::SchedulerHandle;
use crate::status::TidegateStatus as Status;

/// As tidegate_scheduler_explain, as JSON: state and gate are words, and null stands where nothing holds the request
/// back, or no instant is known. Here and below the text is cut to `capacity` bytes with a NUL at its end; `out_len` gets
/// its whole length. `buffer` may be NULL if `capacity` is 0, `out_len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_explain_json(
    scheduler: *const SchedulerHandle,
    request: u64,
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> Status {
    let text = |scheduler: &Scheduler| Ok(explained(&scheduler.explain(RequestId::from_bits(request))?));
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { answer(scheduler, (buffer, capacity, out_len), text) }
}

/// As tidegate_scheduler_usage, as JSON: units are objects by the names of the dimensions, and unit_ns are whole numbers,
/// which may have more than 64 bits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_usage_json(
    scheduler: *const SchedulerHandle,
    tenant: u32,
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> Status {
    let text = |scheduler: &Scheduler| {
        let dimensions: Vec<_> = scheduler.config().dimensions().collect();
        Ok(used(&scheduler.usage(TenantId::new(tenant))?, &dimensions))
    };
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { answer(scheduler, (buffer, capacity, out_len), text) }
}

/// As tidegate_scheduler_stats, as JSON: by_reason is an object by the words of tidegate_reason_str.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_stats_json(
    scheduler: *const SchedulerHandle,
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { answer(scheduler, (buffer, capacity, out_len), |scheduler| Ok(counted(&scheduler.stats()))) }
}

/// # Safety
/// As for [`observe`] and [`TextOut::new`].
unsafe fn answer(
    scheduler: *const SchedulerHandle,
    (buffer, capacity, out_len): (*mut c_char, usize, *mut usize),
    text: impl FnOnce(&Scheduler) -> Result<String, Fault>,
) -> Status {
    // SAFETY: the caller's promise, here and in the body.
    unsafe {
        observe(scheduler, |scheduler| {
            let out = TextOut::new(buffer, capacity, out_len)?;
            out.set(&text(scheduler)?);
            Ok(())
        })
    }
}

/// An object that is written field by field. Its names are our own, which need no escapes.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self(String::from("{"))
    }

    /// A field whose value is JSON as it stands.
    fn field(mut self, name: &str, value: impl Display) -> Self {
        let comma = if self.0.len() > 1 { "," } else { "" };
        write!(self.0, "{comma}\"{name}\":{value}").expect("a string takes everything");
        self
    }

    fn word(self, name: &str, word: Option<&dyn Display>) -> Self {
        match word {
            Some(word) => self.field(name, format_args!("\"{word}\"")),
            None => self.field(name, "null"),
        }
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn explained(explanation: &Explanation) -> String {
    let Explanation { state, gate, ahead, starts_at } = explanation;
    let gate = gate.map(|gate| gate.as_str());
    let starts_at = starts_at.map(Instant::as_nanos);
    Object::new()
        .word("state", Some(state))
        .word("gate", gate.as_ref().map(|gate| gate as &dyn Display))
        .field("ahead", ahead)
        .field("starts_at_ns", starts_at.map_or("null".to_string(), |at| at.to_string()))
        .end()
}

fn counted(stats: &Stats) -> String {
    let by_reason = Reason::ALL.into_iter().fold(Object::new(), |object, reason| {
        object.field(reason.as_str(), stats.by_reason[reason as usize])
    });
    Object::new()
        .field("submitted", stats.submitted)
        .field("completed", stats.completed)
        .field("failed", stats.failed)
        .field("cancelled", stats.cancelled)
        .field("dropped", stats.dropped)
        .field("live", stats.live)
        .field("clock_regressions", stats.clock_regressions)
        .field("further_sets", stats.further_sets)
        .field("takeovers", stats.takeovers)
        .field("waived_finish_test", stats.waived_finish_test)
        .field("waived_min_run", stats.waived_min_run)
        .field("waived_max_preemptions", stats.waived_max_preemptions)
        .field("straddles", stats.straddles)
        .field("by_reason", by_reason.end())
        .end()
}

fn used(usage: &TenantUsage, dimensions: &[&str]) -> String {
    Object::new()
        .field("submitted", usage.submitted)
        .field("started", usage.started)
        .field("completed", usage.completed)
        .field("failed", usage.failed)
        .field("cancelled", usage.cancelled)
        .field("dropped", usage.dropped)
        .field("waiting", usage.waiting)
        .field("running", usage.running)
        .field("prompt_tokens", usage.prompt_tokens)
        .field("cached_tokens", usage.cached_tokens)
        .field("output_tokens", usage.output_tokens)
        .field("held_tokens", usage.held_tokens)
        .field("refunded_tokens", usage.refunded_tokens)
        .field("debt_tokens", usage.debt_tokens)
        .field("preemptions", usage.preemptions)
        .field("memory_preemptions", usage.memory_preemptions)
        .field("lost_tokens", usage.lost_tokens)
        .field("in_use", by_dimension(dimensions, usage.in_use.as_array()))
        .field("unit_ns", by_dimension(dimensions, &usage.unit_ns))
        .field("borrowed_unit_ns", by_dimension(dimensions, &usage.borrowed_unit_ns))
        .field("queue_delays", listed(&usage.queue_delays))
        .end()
}

/// The host's names, which may need escapes.
fn by_dimension<T: Display>(dimensions: &[&str], numbers: &[T]) -> String {
    let fields = dimensions.iter().zip(numbers).map(|(name, number)| {
        let name = serde_json::to_string(name).expect("a text is JSON");
        format!("{name}:{number}")
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn listed(numbers: &[u64]) -> String {
    let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
    format!("[{}]", numbers.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tidegate_core::{Gate, RequestState};

    use super::*;

    #[test]
    fn an_explanation_in_words() {
        let mut explanation = Explanation {
            state: RequestState::Queued,
            gate: Some(Gate::Held),
            ahead: 3,
            starts_at: Some(Instant::from_nanos(9)),
        };
        let text = r#"{"state":"queued","gate":"held","ahead":3,"starts_at_ns":9}"#;
        assert_eq!(explained(&explanation), text);
        (explanation.gate, explanation.starts_at) = (None, None);
        let text = r#"{"state":"queued","gate":null,"ahead":3,"starts_at_ns":null}"#;
        assert_eq!(explained(&explanation), text);
    }

    /// Numbers of their own, so that none can stand in the place of another.
    #[test]
    fn counters_have_their_names() {
        let mut stats = Stats { submitted: 1, completed: 2, straddles: 13, ..Stats::default() };
        stats.by_reason[Reason::LeaseIdle as usize] = 99;
        let value: Value = serde_json::from_str(&counted(&stats)).expect("JSON");
        assert_eq!((&value["submitted"], &value["completed"]), (&1.into(), &2.into()));
        assert_eq!((&value["straddles"], &value["by_reason"]["lease-idle"]), (&13.into(), &99.into()));
        assert_eq!(value["by_reason"].as_object().map(serde_json::Map::len), Some(Reason::ALL.len()));
    }

    #[test]
    fn dimensions_have_the_names_of_the_host() {
        assert_eq!(by_dimension(&["a", "k\"v"], &[1, 2, 0, 0]), r#"{"a":1,"k\"v":2}"#);
        assert_eq!(by_dimension(&["a"], &[u128::MAX]), format!("{{\"a\":{}}}", u128::MAX));
    }
}
