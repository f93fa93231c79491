//! Entries, actions and the state as lines of text. The first word of a line about an entry is its number, from 1.

use std::fmt::Write;

use tidegate::{Action, Created, Entry, Instant, PoolId, RequestId, Resources, Scheduler, Tier};

use super::walk::Outcome;

/// An entry, on one line.
pub(super) fn entry_line(number: usize, now: Instant, entry: &Entry) -> String {
    let text = entry.to_string();
    let (line, below) = text.split_once('\n').map_or((&*text, ""), |(line, _)| (line, " ..."));
    let kind = if matches!(entry, Entry::Poll { .. }) { "" } else { "input " };
    format!("{number} {kind}{} {line}{below}", now.as_nanos())
}

/// What became of an entry; nothing where there is nothing to tell.
pub(super) fn outcome_line(number: usize, now: Instant, outcome: &Outcome) -> Option<String> {
    let text = match outcome {
        Outcome::Taken(Created::Nothing) => return None,
        Outcome::Taken(Created::Tenant(id)) => format!("made tenant={}", id.get()),
        Outcome::Taken(Created::Device(id)) => format!("made device={}", id.get()),
        Outcome::Taken(Created::Worker(id)) => format!("made worker={}", id.get()),
        Outcome::Taken(Created::Request(id)) => format!("made request={}", id.to_bits()),
        Outcome::Refused(why) => format!("refused: {why}"),
        Outcome::Action(count, action) => {
            return Some(format!("{number} action {count} {}", action_words(now, action)));
        }
    };
    Some(format!("{number} {text}"))
}

/// An action with all that it says.
pub(super) fn action_words(now: Instant, action: &Action) -> String {
    let at = now.as_nanos();
    let reason = action.reason().as_str();
    let of = |kind: &str, request: RequestId| format!("{at} {kind} request={}", request.to_bits());
    let (mut text, attempt) = match *action {
        Action::Start { request, attempt, worker, resume_tokens, .. } => {
            let (on, from) = (worker.get(), resume_tokens);
            (format!("{} worker={on} resume_tokens={from}", of("start", request)), Some(attempt))
        }
        Action::Preempt { victim, attempt, mode, beneficiary, confirm_by, .. } => {
            let whom = beneficiary.map_or_else(|| "-".to_string(), |request| request.to_bits().to_string());
            let (mode, by) = (format!("{mode:?}").to_lowercase(), confirm_by.as_nanos());
            (
                format!("{} mode={mode} beneficiary={whom} confirm_by={by}", of("preempt", victim)),
                Some(attempt),
            )
        }
        Action::Spare { victim, attempt, .. } => (of("spare", victim), Some(attempt)),
        Action::Abort { request, attempt, .. } => (of("abort", request), Some(attempt)),
        Action::Drop { request, .. } => (of("drop", request), None),
        Action::Stuck { victim, attempt, .. } => (of("stuck", victim), Some(attempt)),
        Action::LeaseWanted { tenant, limit, seq, tokens, returned, .. } => {
            let (tenant, limit) = (tenant.get(), format!("{limit:?}").to_lowercase());
            let text = format!(
                "{at} lease-wanted tenant={tenant} limit={limit} seq={seq} tokens={tokens} returned={returned}"
            );
            (text, None)
        }
        Action::AlsoLost { worker, by, .. } => {
            (format!("{at} also-lost worker={} by={}", worker.get(), by.get()), None)
        }
    };
    if let Some(attempt) = attempt {
        write!(text, " attempt={}", attempt.get()).expect("a string takes everything");
    }
    text + " reason=" + reason
}

/// The state as it is before something: what each tier has, and where these requests stand, of those that live.
pub(super) fn state_lines(scheduler: &Scheduler, requests: &[RequestId]) -> String {
    let mut text = format!("state at {} ns\n", scheduler.now().as_nanos());
    let mut line = |words: String| text.extend([words, "\n".to_string()]);
    for (pool, in_pool) in (0..).map(PoolId::new).zip(scheduler.config().pools()) {
        for (tier, of) in (0..).map(Tier::new).zip(scheduler.config().tiers()) {
            let units = |of: fn(&Scheduler, PoolId, Tier) -> Option<Resources>| {
                let units = of(scheduler, pool, tier).unwrap_or_default();
                let dimensions = scheduler.config().dimensions().enumerate();
                dimensions.map(|(d, name)| format!("{name}:{}", units[d])).collect::<Vec<_>>().join(",")
            };
            line(format!(
                "pool={in_pool} tier={} reserved={} in_use={} waiting={}",
                of.name(),
                units(Scheduler::effective_reserve),
                units(Scheduler::in_use),
                units(Scheduler::waiting_demand),
            ));
        }
    }
    for &request in requests {
        if let Ok(explanation) = scheduler.explain(request) {
            line(format!("request={} {explanation}", request.to_bits()));
        }
    }
    text
}
