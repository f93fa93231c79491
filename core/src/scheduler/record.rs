//! What the scheduler keeps of a request, of a claim, and of those of a tier that wait.

use alloc::vec::Vec;

use super::quota::WaiterKey;
use super::requests::COMMON;
use super::spec::ShortSpec;
use crate::config::Preemption;
use crate::event::Reason;
use crate::id::{Attempt, PoolId, Tier, WorkerId};
use crate::list::Links;
use crate::packed::{MaybeInstant, MaybeWorker};
use crate::queue::{ArrivalList, Lane};
use crate::request::{RequestSpec, RequestState, Yielding};
use crate::resources::Resources;
use crate::time::Instant;

/// No place among those that may yield.
pub(super) const NOWHERE: u32 = u32::MAX;

/// A live request.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Record {
    // A snapshot has the whole spec, before the record: see `requests`.
    #[cfg_attr(feature = "snapshot", serde(skip, default = "ShortSpec::none"))]
    pub(super) spec: ShortSpec,
    /// Its place in the order of arrival, which it keeps for life.
    pub(super) sequence: u64,
    pub(super) state: RequestState,
    pub(super) attempt: u32,
    /// Which of the pools that it names it is in: `spec` has it and the first exchanged.
    pub(super) choice: u8,
    /// Whether an engine has reported that it ran.
    pub(super) has_run: bool,

    /// When it was submitted.
    pub(super) arrived_at: Instant,

    // While it waits.
    /// Which list it is in; none while it is in no queue.
    pub(super) lane: Option<Lane>,
    /// Its neighbours among the waiting requests of its tier that have never run.
    pub(super) links: Links,
    /// Whether its deadline is out of reach: behind those whose is not.
    pub(super) relegated: bool,
    /// Units of its next start.
    pub(super) asks: Resources,
    /// Whether `asks`, less what its claim has earmarked, is part of its tier's waiting demand.
    pub(super) counted: bool,
    /// When it is dropped, if it has not run by then.
    pub(super) expires_at: MaybeInstant,
    /// The round in which it stopped or was declined: it is not offered again in it.
    pub(super) sat_out_round: u64,
    /// The attempt for which victims were chosen already; 0 if it may choose.
    pub(super) victims_for: u32,
    pub(super) claim: Option<u32>,
    /// Since when it is its tier's head and does not fit.
    pub(super) blocked_since: MaybeInstant,
    /// Borrowed starts of its tier that passed it since then.
    pub(super) bypassed: u32,
    /// The worker that is drained for it.
    pub(super) drains: MaybeWorker,
    /// Declines in a row.
    pub(super) declines: u8,

    /// Its tenant's node in the tree of quota, and its line: who has been served how much.
    pub(super) leaf: u32,
    pub(super) line: u32,
    /// Actions that speak of it and were not returned yet.
    pub(super) unheard: i32,
    pub(super) preemptions: u32,
    /// The numbers of its [`Run`] and its [`Rare`], and of the rest of its spec.
    pub(super) run: u32,
    pub(super) rare: u32,
    #[cfg_attr(feature = "snapshot", serde(skip))]
    pub(super) rest: u32,
}

/// What a request has that was started, or for which victims were chosen: where it runs, what it uses, what it was
/// charged. Kept apart, so that many can wait.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Run {
    pub(super) worker: WorkerId,
    /// Where it stands in its worker's `running`.
    pub(super) place: u32,
    /// Where it stands among those of its worker and tier that may yield, if it may.
    pub(super) yield_place: u32,
    pub(super) in_use: Resources,
    pub(super) started_at: Instant,
    /// Whether the engine has reported of this attempt.
    pub(super) runs: bool,
    /// Tokens generated over its life, as of its last own report; steps add to it: see `step`.
    pub(super) output_tokens: u64,
    /// What the worker's steps had counted at that report.
    pub(super) step_mark: u64,
    /// When its first tokens were reported, and how many those were.
    pub(super) first_tokens: Option<(Instant, u64)>,
    pub(super) cached_tokens: u64,
    /// What its tenant's line was charged for it; `None` before its first start.
    pub(super) charge: Option<u64>,
    /// The tokens that it was charged for, beside its prompt's.
    pub(super) charged_cached: u64,
    pub(super) charged_output: u64,
    /// The tokens and units of its tenant's quota that it holds, if it does.
    pub(super) held: Option<u64>,
    pub(super) held_units: Resources,
    /// The tokens that are charged for good, since a hold of it lapsed; whether one did, and it has held nothing since; and
    /// when the one that it has will.
    pub(super) settled: u64,
    pub(super) lapsed: bool,
    pub(super) lapses_at: Option<Instant>,
    /// Why it has to stop.
    pub(super) yields_for: Reason,
    /// The claim that its units go to.
    pub(super) serves: Option<u32>,
}

impl Run {
    pub(super) const NONE: Self = Self {
        worker: WorkerId::new(0),
        place: 0,
        yield_place: NOWHERE,
        in_use: Resources::ZERO,
        started_at: Instant::ZERO,
        runs: false,
        output_tokens: 0,
        step_mark: 0,
        first_tokens: None,
        cached_tokens: 0,
        charge: None,
        charged_cached: 0,
        charged_output: 0,
        held: None,
        held_units: Resources::ZERO,
        settled: 0,
        lapsed: false,
        lapses_at: None,
        yields_for: Reason::Reclaim,
        serves: None,
    };
}

/// What few requests have: that they stopped, were kept off a worker, or waited by themselves. Kept apart, so that the
/// others are small.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Rare {
    /// What it used when it last stopped, and whether that was for memory.
    pub(super) stopped_with: Option<Resources>,
    pub(super) stopped_for_memory: bool,
    /// What was short then and no request accounts for.
    pub(super) unaccounted: Resources,
    /// Tokens of context kept at its last stop.
    pub(super) tokens_kept: u64,
    /// Memory that its checkpoint takes, and the worker on whose devices.
    pub(super) checkpoint: Option<(WorkerId, u128)>,
    /// The last workers that declined it or did not stop its victims, and until when it is kept off them.
    pub(super) excluded: [Option<(WorkerId, Instant)>; 2],
    /// The node at which it waits for quota by itself, and where it stands there.
    pub(super) waits_at: Option<(u32, WaiterKey)>,
    /// The attempt for which victims were last chosen, whether it may choose again or not.
    pub(super) last_set_for: u32,
    /// Where it is to go on, if it was stopped for that.
    pub(super) moves_to: Option<WorkerId>,
}

impl Run {
    /// Reads ahead of all of it.
    #[inline(always)]
    pub(super) fn fetch(&self) -> u64 {
        self.in_use[0] ^ self.held_units[0] ^ self.charged_output ^ u64::from(self.place)
    }
}

impl Rare {
    pub(super) const NONE: Self = Self {
        stopped_with: None,
        stopped_for_memory: false,
        unaccounted: Resources::ZERO,
        tokens_kept: 0,
        checkpoint: None,
        excluded: [None; 2],
        waits_at: None,
        last_set_for: 0,
        moves_to: None,
    };

    /// Whether some worker is closed to it.
    pub(super) fn is_kept_off(&self, now: Instant) -> bool {
        self.excluded.iter().flatten().any(|&(_, until)| now < until)
    }

    pub(super) fn is_excluded_from(&self, worker: WorkerId, now: Instant) -> bool {
        self.excluded.iter().flatten().any(|&(other, until)| other == worker && now < until)
    }
}

impl Record {
    pub(super) fn new(
        spec: &RequestSpec,
        leaf: u32,
        sequence: u64,
        now: Instant,
        expires_at: Option<Instant>,
    ) -> Self {
        Self {
            spec: ShortSpec::of(spec),
            sequence,
            state: RequestState::Queued,
            attempt: 0,
            choice: 0,
            has_run: false,
            arrived_at: now,
            lane: None,
            links: Links::default(),
            relegated: false,
            asks: spec.demand,
            counted: false,
            expires_at: expires_at.into(),
            sat_out_round: 0,
            victims_for: 0,
            claim: None,
            blocked_since: MaybeInstant::NONE,
            bypassed: 0,
            drains: MaybeWorker::NONE,
            declines: 0,
            leaf,
            line: 0,
            unheard: 0,
            preemptions: 0,
            run: COMMON,
            rare: COMMON,
            rest: COMMON,
        }
    }

    pub(super) fn pool(&self) -> PoolId {
        self.spec.pool
    }

    pub(super) fn tier(&self) -> Tier {
        self.spec.tier
    }

    pub(super) fn attempt(&self) -> Attempt {
        Attempt::new(self.attempt)
    }

    /// Whether it is in a queue.
    pub(super) fn is_waiting(&self) -> bool {
        self.lane.is_some()
    }

    /// Whether its units will come free without being asked for again.
    pub(super) fn is_yielding(&self) -> bool {
        matches!(self.state, RequestState::Preempting | RequestState::Releasing | RequestState::Aborting)
    }

    /// Whether its units are in use on a worker, or come free there.
    pub(super) fn is_on_worker(&self) -> bool {
        !matches!(self.state, RequestState::Queued | RequestState::Parked)
    }

    pub(super) fn never_yields(&self) -> bool {
        self.spec.yielding == Yielding::Never
    }

    /// Whether an engine had it, or declined it: it stands before those that are new.
    pub(super) fn comes_back(&self) -> bool {
        self.has_run || self.declines > 0
    }

    /// Whether it may be asked to stop now.
    pub(super) fn may_yield(&self) -> bool {
        !self.never_yields() && matches!(self.state, RequestState::Starting | RequestState::Running)
    }
}

/// Units of one worker that are being gathered for a waiting request.
#[derive(Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Claim {
    pub(super) owner: u32,
    pub(super) tier: Tier,
    pub(super) worker: WorkerId,
    /// Whether the owner was within its tier's reserve when it laid the claim.
    pub(super) within: bool,
    pub(super) size: Resources,
    /// What of `size` is gathered.
    pub(super) earmarked: Resources,
    /// Those whose units are still to come.
    pub(super) victims: Vec<u32>,
    /// Whom the owner may stop.
    pub(super) whom: Preemption,
}

impl Claim {
    pub(super) fn is_full(&self) -> bool {
        self.earmarked == self.size
    }
}

/// For how long starts tell a pace: a minute in which somebody waits, in so many steps.
const PACE_MARKS: usize = 13;
const PACE_STEP_NS: u64 = 5_000_000_000;

/// How fast a tier's requests start in a pool and stay: starts less those that came back, in the time in which some waited.
/// Time in which nobody does says nothing of how long one who does will.
#[derive(Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Pace {
    /// Requests on offer, and since when there are some.
    waiting: u64,
    since: Instant,
    /// For how long there were before.
    waited_ns: u64,
    /// Starts less returns.
    stayed: i64,
    /// What both were after some start of each of the last steps of that time, and of the one before; so many are known.
    marks: [(u64, i64); PACE_MARKS],
    known: u8,
}

impl Pace {
    /// A request is on offer from now on.
    pub(super) fn join(&mut self, now: Instant) {
        if self.waiting == 0 {
            self.since = now;
        }
        self.waiting += 1;
    }

    /// One is no more.
    pub(super) fn leave(&mut self, now: Instant) {
        self.waiting -= 1;
        if self.waiting == 0 {
            self.waited_ns += now.nanos_since(self.since);
        }
    }

    /// One starts.
    pub(super) fn start(&mut self, now: Instant) {
        self.stayed += 1;
        let clock = self.clock(now);
        let known = usize::from(self.known).min(PACE_MARKS);
        match self.marks[..known].last_mut() {
            // What starts at one instant is one step: none of it says how long the next takes.
            Some((at, stayed)) if *at == clock => *stayed = self.stayed,
            Some((at, _)) if clock - *at < PACE_STEP_NS => {}
            _ => {
                if known == PACE_MARKS {
                    self.marks.rotate_left(1);
                }
                self.marks[known.min(PACE_MARKS - 1)] = (clock, self.stayed);
                self.known = (known + 1).min(PACE_MARKS) as u8;
            }
        }
    }

    /// One that had started comes back, and will start again.
    pub(super) fn come_back(&mut self) {
        self.stayed -= 1;
    }

    /// How long so many starts take; `None` if too few were seen to tell.
    pub(super) fn takes_ns(&self, now: Instant, starts: u64) -> Option<u64> {
        let &(clock, stayed) = self.marks.first().filter(|_| self.known > 0)?;
        let (span, seen) = (self.clock(now) - clock, u64::try_from(self.stayed - stayed).ok()?);
        let takes = (u128::from(span) * u128::from(starts)).checked_div(seen.into()).filter(|_| span > 0)?;
        Some(u64::try_from(takes).unwrap_or(u64::MAX))
    }

    /// For how long somebody has waited.
    fn clock(&self, now: Instant) -> u64 {
        self.waited_ns + if self.waiting > 0 { now.nanos_since(self.since) } else { 0 }
    }
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Waiting {
    pub(super) requests: u64,
    /// Their prompt and expected output tokens.
    pub(super) tokens: u64,
}

impl Waiting {
    pub(super) fn add(&mut self, tokens: u64) {
        self.requests += 1;
        self.tokens += tokens;
    }

    pub(super) fn subtract(&mut self, tokens: u64) {
        self.requests -= 1;
        self.tokens -= tokens;
    }

    pub(super) fn add_all(&mut self, other: Self) {
        self.requests += other.requests;
        self.tokens += other.tokens;
    }

    pub(super) fn subtract_all(&mut self, other: Self) {
        self.requests -= other.requests;
        self.tokens -= other.tokens;
    }
}

/// The waiting requests of a tier, in all pools, that have never run.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct NeverRan {
    pub(super) arrivals: ArrivalList,
    pub(super) sum: Waiting,
}

#[cfg(test)]
mod tests {
    use super::super::spec::SpecRest;
    use super::*;

    /// Of what every request has, and of what only some have: a field that is added says so.
    #[test]
    fn a_request_takes_as_much_as_the_page_says() {
        let sizes = [size_of::<Record>(), size_of::<ShortSpec>(), size_of::<SpecRest>()];
        assert_eq!(sizes, [192, 48, 112]);
    }
}
