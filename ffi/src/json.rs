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
pub(crate) unsafe fn answer(
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
    let Explanation { state, gate, ahead, starts_at, pool, other_pools, .. } = explanation;
    let others: Vec<String> = other_pools.iter().map(|pool| pool.get().to_string()).collect();
    let gate = gate.map(|gate| gate.as_str());
    let starts_at = starts_at.map(Instant::as_nanos);
    Object::new()
        .word("state", Some(state))
        .word("gate", gate.as_ref().map(|gate| gate as &dyn Display))
        .field("ahead", ahead)
        .field("starts_at_ns", starts_at.map_or("null".to_string(), |at| at.to_string()))
        .field("pool", pool.get())
        .field("other_pools", format!("[{}]", others.join(",")))
        .end()
}

fn counted(stats: &Stats) -> String {
    let Stats {
        submitted,
        completed,
        failed,
        cancelled,
        dropped,
        live,
        clock_regressions,
        further_sets,
        takeovers,
        waived_finish_test,
        waived_min_run,
        waived_max_preemptions,
        straddles,
        by_reason,
        ..
    } = stats;
    let by_reason = Reason::ALL
        .iter()
        .fold(Object::new(), |object, &reason| object.field(reason.as_str(), by_reason[reason]));
    Object::new()
        .field("submitted", submitted)
        .field("completed", completed)
        .field("failed", failed)
        .field("cancelled", cancelled)
        .field("dropped", dropped)
        .field("live", live)
        .field("clock_regressions", clock_regressions)
        .field("further_sets", further_sets)
        .field("takeovers", takeovers)
        .field("waived_finish_test", waived_finish_test)
        .field("waived_min_run", waived_min_run)
        .field("waived_max_preemptions", waived_max_preemptions)
        .field("straddles", straddles)
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
    use std::fmt::Debug;

    use tidegate_core::{
        Config, Gate, OtherPools, PoolId, RequestSpec, RequestState, Resources, Tier, TierConfig,
    };

    use super::*;

    #[test]
    fn an_explanation_in_words() {
        let mut explanation = parked();
        (explanation.state, explanation.gate) = (RequestState::Queued, Some(Gate::Held));
        (explanation.ahead, explanation.starts_at) = (3, Some(Instant::from_nanos(9)));
        explanation.pool = PoolId::new(1);
        explanation.other_pools = OtherPools::new(&[PoolId::new(2), PoolId::new(0)]).expect("two of three");
        let text =
            r#"{"state":"queued","gate":"held","ahead":3,"starts_at_ns":9,"pool":1,"other_pools":[2,0]}"#;
        assert_eq!(explained(&explanation), text);
        (explanation.gate, explanation.starts_at) = (None, None);
        explanation.other_pools = OtherPools::NONE;
        let text =
            r#"{"state":"queued","gate":null,"ahead":3,"starts_at_ns":null,"pool":1,"other_pools":[]}"#;
        assert_eq!(explained(&explanation), text);
    }

    /// Each has a number of its own, so that none can stand in the place of another.
    #[test]
    fn counters_have_their_names() {
        let mut stats = Stats::default();
        stats.submitted = 1;
        stats.completed = 2;
        stats.failed = 3;
        stats.cancelled = 4;
        stats.dropped = 5;
        stats.live = 6;
        stats.clock_regressions = 7;
        stats.further_sets = 8;
        stats.takeovers = 9;
        stats.waived_finish_test = 10;
        stats.waived_min_run = 11;
        stats.waived_max_preemptions = 12;
        stats.straddles = 13;
        for (&reason, number) in Reason::ALL.iter().zip(101..) {
            stats.by_reason[reason] = number;
        }
        let by_reason: Vec<_> =
            Reason::ALL.iter().zip(101..).map(|(reason, number)| format!("\"{reason}\":{number}")).collect();
        let counters = [
            r#""submitted":1,"completed":2,"failed":3,"cancelled":4,"dropped":5,"live":6,"#,
            r#""clock_regressions":7,"further_sets":8,"takeovers":9,"waived_finish_test":10,"#,
            r#""waived_min_run":11,"waived_max_preemptions":12,"straddles":13"#,
        ];
        let text = format!("{{{},\"by_reason\":{{{}}}}}", counters.concat(), by_reason.join(","));
        assert_eq!(counted(&stats), text);
    }

    #[test]
    fn what_a_tenant_used_has_its_names() {
        let mut usage = TenantUsage::default();
        usage.submitted = 1;
        usage.started = 2;
        usage.completed = 3;
        usage.failed = 4;
        usage.cancelled = 5;
        usage.dropped = 6;
        usage.waiting = 7;
        usage.running = 8;
        usage.prompt_tokens = 9;
        usage.cached_tokens = 10;
        usage.output_tokens = 11;
        usage.held_tokens = 12;
        usage.refunded_tokens = 13;
        usage.debt_tokens = 14;
        usage.preemptions = 15;
        usage.memory_preemptions = 16;
        usage.lost_tokens = 17;
        usage.in_use = Resources::from([18, 19, 0, 0]);
        usage.unit_ns = [20, 21, 0, 0];
        usage.borrowed_unit_ns = [22, 23, 0, 0];
        usage.queue_delays = core::array::from_fn(|bucket| 24 + bucket as u64);
        let text = [
            r#"{"submitted":1,"started":2,"completed":3,"failed":4,"cancelled":5,"dropped":6,"#,
            r#""waiting":7,"running":8,"prompt_tokens":9,"cached_tokens":10,"output_tokens":11,"#,
            r#""held_tokens":12,"refunded_tokens":13,"debt_tokens":14,"preemptions":15,"#,
            r#""memory_preemptions":16,"lost_tokens":17,"#,
            r#""in_use":{"a":18,"b":19},"unit_ns":{"a":20,"b":21},"borrowed_unit_ns":{"a":22,"b":23},"#,
            r#""queue_delays":[24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47]}"#,
        ];
        assert_eq!(used(&usage, &["a", "b"]), text.concat());
    }

    /// An explanation, of a request that no worker serves.
    fn parked() -> Explanation {
        let config = Config::builder().dimensions(["slots"]).tier(TierConfig::new("only"));
        let mut sched = Scheduler::new(config.build().expect("a config"), Instant::ZERO);
        let tenant = sched.tenant_set(Instant::ZERO, "a").expect("the first");
        let spec = RequestSpec::new(tenant, Tier::P0).demand([1]);
        let request = sched.submit(Instant::ZERO, spec).expect("a pool without workers takes all");
        sched.explain(request).expect("it lives")
    }

    /// The core may add a field, which the compiler does not tell of.
    fn assert_no_field_is_missing(of: &dyn Debug, text: &str) {
        let fields = format!("{of:#?}");
        let fields = fields.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
        let fields: Vec<_> = fields.map(|(name, _)| name).filter(|name| !name.starts_with(' ')).collect();
        let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let keys = value.as_object().expect("an object").keys();
        // Instants have their unit at the end.
        let plain = |name: &str| name.trim_end_matches("_ns").to_owned();
        let (mut keys, mut fields): (Vec<_>, Vec<_>) =
            (keys.map(|key| plain(key)).collect(), fields.into_iter().map(plain).collect());
        keys.sort();
        fields.sort();
        assert_eq!(keys, fields);
    }

    #[test]
    fn no_field_is_missing() {
        let usage = TenantUsage::default();
        assert_no_field_is_missing(&usage, &used(&usage, &["a"]));
        let stats = Stats::default();
        assert_no_field_is_missing(&stats, &counted(&stats));
        let explanation = parked();
        assert_no_field_is_missing(&explanation, &explained(&explanation));
    }

    #[test]
    fn dimensions_have_the_names_of_the_host() {
        assert_eq!(by_dimension(&["a", "k\"v"], &[1, 2, 0, 0]), r#"{"a":1,"k\"v":2}"#);
        assert_eq!(by_dimension(&["a"], &[u128::MAX]), format!("{{\"a\":{}}}", u128::MAX));
    }
}
