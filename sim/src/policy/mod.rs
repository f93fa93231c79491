//! Policies that tidegate is compared with: who of those that wait is next. Written from the papers, once for the published
//! tables ([`paper`](crate::paper)) and for `replay --setup`.
//!
//! A [`Policy`] is told of arrivals, starts and tokens, and names the next to start; it knows neither memory nor workers. Whoever
//! hosts it starts that one as soon as there is room, and nobody before it. [`Discipline`] lists them by name.

mod counters;
mod deficits;
mod first_come;
mod mclock;
pub mod order;

pub use counters::{Charge, Counters};
pub use deficits::{Deficits, OUTPUT_COST, QUANTUM};
pub use first_come::FirstCome;
pub use mclock::{MClock, Promise};
pub use order::{InOrder, Order};

/// A request as it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Whose it is, counted from 0.
    pub client: usize,
    /// How urgent it is: 0 is most.
    pub tier: u8,
    /// Nanoseconds from the start.
    pub arrival_ns: u64,
    /// Tokens, at least 1.
    pub prompt: u64,
    /// Tokens, at least 1. Policies that foresee nothing look at it when the request ends.
    pub output: u64,
}

/// A request in an engine.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    /// Its place among the jobs.
    pub index: usize,
    /// What it is.
    pub job: &'a Job,
    /// Tokens that it has generated: none as long as it is tried.
    pub generated: u64,
}

impl Running<'_> {
    /// Whether it has generated all.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.generated >= self.job.output
    }
}

/// In which order requests are tried.
pub trait Policy {
    /// A request arrives: whether it may wait.
    fn arrives(&mut self, now_ns: u64, index: usize, job: &Job) -> bool;

    /// The waiting request to try next. It stays the next until it is admitted or something else happens.
    fn next(&mut self, now_ns: u64) -> Option<usize>;

    /// The one that was next is in the engine.
    fn admitted(&mut self, now_ns: u64, index: usize, job: &Job);

    /// These are about to generate a token each.
    fn steps(&mut self, _running: &[Running<'_>]) {}

    /// These have generated one; those that are done leave.
    fn stepped(&mut self, _now_ns: u64, _running: &[Running<'_>]) {}

    /// The one that was next found no room, and gets the place of these: they leave the engine, keep what they generated, and are
    /// tried again, their tokens computed anew. `is_room` says whether there would be room without some. Nobody, unless a policy
    /// knows better.
    fn evicts(
        &mut self,
        _now_ns: u64,
        _next: usize,
        _running: &[Running<'_>],
        _is_room: &dyn Fn(&[usize]) -> bool,
    ) -> Vec<usize> {
        Vec::new()
    }

    /// Who gives way first when memory runs out, of equals the newest: the larger, the sooner.
    fn gives_way(&self, _job: &Job) -> u64 {
        0
    }
}

/// What a policy is told of the engines and the tiers that it serves.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// By tier: when a first token is due, in nanoseconds after the arrival. The last counts for tiers beyond.
    pub prompt_within_ns: Vec<u64>,
    /// By tier: the share of all service that it is promised.
    pub reserves: Vec<f64>,
    /// Tokens in and out that all workers serve in a second, about.
    pub tokens_per_s: f64,
    /// Prompt tokens that one worker computes in a second, alone.
    pub prompt_tokens_per_s: f64,
}

/// The policies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Discipline {
    /// By arrival.
    FirstCome,
    /// The same, and so many requests of a client in a minute, the rest refused (VTC's baseline).
    PerMinute(u8),
    /// The client that was served least (VTC without lifts).
    LeastCounterFirst,
    /// Virtual token counters (OSDI 2024).
    Vtc,
    /// The same, charged for what a client's outputs usually are.
    VtcPredict,
    /// The same, charged for outputs that somebody foresees.
    VtcOracle,
    /// By when the first token is due.
    EarliestDeadline,
    /// By the length of the prompt.
    ShortestFirst,
    /// Niyama (ASPLOS 2026): by deadline and prompt, those that cannot make it any more behind all others.
    Niyama,
    /// vLLM's priority policy: by tier, then arrival; who is least urgent gives way.
    VllmPriority,
    /// mClock (OSDI 2010) over tiers: what each is promised, and equal weights beyond.
    MClock,
    /// DLPM without its caches, which a replay has none of: deficits by client, in order of arrival.
    Dlpm,
}

impl Discipline {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::FirstCome,
        Self::PerMinute(5),
        Self::PerMinute(20),
        Self::PerMinute(30),
        Self::LeastCounterFirst,
        Self::Vtc,
        Self::VtcPredict,
        Self::VtcOracle,
        Self::EarliestDeadline,
        Self::ShortestFirst,
        Self::Niyama,
        Self::VllmPriority,
        Self::MClock,
        Self::Dlpm,
    ];

    /// As it is asked for and printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstCome => "fcfs",
            Self::PerMinute(5) => "rpm5",
            Self::PerMinute(20) => "rpm20",
            Self::PerMinute(30) => "rpm30",
            Self::PerMinute(_) => "rpm",
            Self::LeastCounterFirst => "lcf",
            Self::Vtc => "vtc",
            Self::VtcPredict => "vtc-predict",
            Self::VtcOracle => "vtc-oracle",
            Self::EarliestDeadline => "edf",
            Self::ShortestFirst => "srpf",
            Self::Niyama => "niyama",
            Self::VllmPriority => "vllm-priority",
            Self::MClock => "mclock",
            Self::Dlpm => "dlpm",
        }
    }

    /// The policy, to which nobody has come yet.
    #[must_use]
    pub fn policy(self, terms: &Terms) -> Box<dyn Policy> {
        let in_order = |order| -> Box<dyn Policy> {
            Box::new(InOrder::new(order, terms.prompt_within_ns.clone(), terms.prompt_tokens_per_s))
        };
        match self {
            Self::FirstCome => Box::new(FirstCome::default()),
            Self::PerMinute(requests) => Box::new(FirstCome::per_minute(requests.into())),
            Self::LeastCounterFirst => Box::new(Counters::least_first()),
            Self::Vtc => Box::new(Counters::virtual_tokens(Charge::AsTheyCome)),
            Self::VtcPredict => Box::new(Counters::virtual_tokens(Charge::Predicted)),
            Self::VtcOracle => Box::new(Counters::virtual_tokens(Charge::Known)),
            Self::EarliestDeadline => in_order(Order::Deadline),
            Self::ShortestFirst => in_order(Order::ShortestFirst),
            Self::Niyama => in_order(Order::Hybrid),
            Self::VllmPriority => in_order(Order::Priority),
            Self::MClock => {
                let promise = |&share: &f64| Promise {
                    reserve: share * terms.tokens_per_s,
                    weight: 1.0,
                    limit: f64::INFINITY,
                };
                Box::new(MClock::new(terms.reserves.iter().map(promise).collect()))
            }
            Self::Dlpm => Box::new(Deficits::default()),
        }
    }
}

/// What belongs to a client; clients are numbered as they come.
fn of_client<T: Default>(all: &mut Vec<T>, client: usize) -> &mut T {
    if all.len() <= client {
        all.resize_with(client + 1, T::default);
    }
    &mut all[client]
}
