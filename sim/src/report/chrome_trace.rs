//! `replay --timeline`: Chrome's trace format, which ui.perfetto.dev and chrome://tracing open. A process for each
//! worker with a thread for each place on it, a slice for each attempt; a process with counters of what tiers hold.
//!
//! One set-up after the other would make one clock of two: of several, each has its own processes, told by name.

use std::fmt::{self, Write};

use serde_json::{Value, json};

use super::Results;
use crate::replay::{Outcome, Span, Timeline};
use crate::setup::SetupKind;

/// Processes of one set-up are numbered from a multiple of this.
const PROCESSES_OF_SETUP: u64 = 1_000_000;

/// Writes the file.
///
/// # Panics
/// If `out` fails, or the replay did not watch.
pub fn chrome_trace(results: &Results, out: &mut impl Write) {
    write(results, out).expect("the file keeps its errors");
}

fn write(results: &Results, out: &mut impl Write) -> fmt::Result {
    out.write_str("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")?;
    let mut events = Events { out, is_first: true };
    for (index, (kind, outcome)) in (0..).zip(&results.main.outcomes) {
        let timeline = outcome.timeline.as_ref().expect("who asks for a timeline has the replay watch");
        let base = PROCESSES_OF_SETUP * index;
        name_processes(&mut events, base, *kind, outcome, timeline)?;
        counters(&mut events, base, results, timeline)?;
        for span in &timeline.spans {
            events.put(&slice(base, results, span))?;
        }
    }
    out.write_str("\n]}\n")
}

/// A list of objects, one on each line.
struct Events<'a, W> {
    out: &'a mut W,
    is_first: bool,
}

impl<W: Write> Events<'_, W> {
    fn put(&mut self, event: &Value) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.out.write_str(",\n")?;
        }
        write!(self.out, "{event}")
    }
}

fn name_processes(
    events: &mut Events<'_, impl Write>,
    base: u64,
    kind: SetupKind,
    outcome: &Outcome,
    timeline: &Timeline,
) -> fmt::Result {
    let mut name = |pid: u64, name: String| {
        events.put(&json!({"ph": "M", "pid": pid, "name": "process_name", "args": {"name": name}}))?;
        events.put(&json!({"ph": "M", "pid": pid, "name": "process_sort_index", "args": {"sort_index": pid}}))
    };
    let partial = if outcome.is_partial { " (partial)" } else { "" };
    name(base, format!("{}{partial}: all workers", kind.name()))?;
    let workers = timeline.spans.iter().map(|span| span.worker + 1).max().unwrap_or(0);
    (0..workers).try_for_each(|worker| {
        name(base + 1 + u64::from(worker), format!("{}: worker {worker}", kind.name()))
    })
}

/// What tiers hold in per cent of all, who waits, who was stopped: at the start of each step.
fn counters(
    events: &mut Events<'_, impl Write>,
    base: u64,
    results: &Results,
    timeline: &Timeline,
) -> fmt::Result {
    let steps = timeline.tiers.first().map_or(0, |tier| tier.waiting.len());
    let name = |tier: usize| results.tier_names.get(tier).map_or("", String::as_str);
    for step in 0..steps {
        let ts = micros(step as u64 * timeline.step_ns);
        let counter = |what: &str, value: &dyn Fn(usize) -> f64| {
            let values = (0..timeline.tiers.len()).map(|tier| (name(tier).to_owned(), json!(value(tier))));
            json!({"ph": "C", "pid": base, "name": what, "ts": ts, "args": Value::Object(values.collect())})
        };
        let tiers = &timeline.tiers;
        events.put(&counter("guaranteed, % of all", &|tier| 100.0 * tiers[tier].guaranteed[step]))?;
        events.put(&counter("borrowed, % of all", &|tier| 100.0 * tiers[tier].borrowed[step]))?;
        events.put(&counter("waiting", &|tier| tiers[tier].waiting[step]))?;
        events.put(&counter("preemptions", &|tier| tiers[tier].preemptions[step] as f64))?;
    }
    Ok(())
}

fn slice(base: u64, results: &Results, span: &Span) -> Value {
    json!({
        "ph": "X",
        "pid": base + 1 + u64::from(span.worker),
        "tid": span.lane,
        "ts": micros(span.from_ns),
        "dur": micros(span.until_ns - span.from_ns),
        "name": results.tier_names.get(usize::from(span.tier)),
        "cat": span.end,
        "args": {
            "request": span.request,
            "tenant": results.tenants.get(span.tenant as usize),
            "end": span.end,
        },
    })
}

fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}
