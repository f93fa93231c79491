//! What a host can ask that needs the rules: why a request waits, how shares came out.
//! Changes nothing.

use alloc::vec::Vec;
use core::fmt;

use super::Scheduler;
use super::warmth::Patience;
use crate::error::ReportError;
use crate::id::{PoolId, RequestId, Tier};
use crate::queue::Lane;
use crate::request::{OtherPools, RequestState};
use crate::time::Instant;

/// How far a reserve may be off without a warning.
const TEN_POINTS_PPM: u128 = 100_000;

/// The one thing that holds a waiting request back: the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Gate {
    /// It is parked: no worker that is up, or no share of what is up, can hold it.
    NoWorker = 1,
    /// Its claim waits for victims to give back their units.
    Claim = 2,
    /// It stopped or was declined in this round, and is offered again in the next.
    Round = 3,
    /// Its tier would be beyond its reserve and its borrow limit.
    BorrowLimit = 4,
    /// It never yields, and would put reserves out of reach.
    NeverYields = 5,
    /// What is free is held for other tiers, or is not there.
    Held = 6,
    /// No worker has room for it.
    Room = 7,
    /// The workers that have room are kept clear of it: declined by them, or drained for others.
    Excluded = 8,
    /// Its tenant, or one above, has no quota for it now, or others wait for it before.
    Quota = 9,
    /// It waits a while for a worker that has its prompt in the cache and no room now.
    Warmth = 10,
    /// It is parked, and the workers that could hold it are kept out for a while: they were lost again and again.
    KeptOut = 11,
}

impl Gate {
    /// All gates, in the order of their numbers.
    pub const ALL: &'static [Self] = &[
        Self::NoWorker,
        Self::Claim,
        Self::Round,
        Self::BorrowLimit,
        Self::NeverYields,
        Self::Held,
        Self::Room,
        Self::Excluded,
        Self::Quota,
        Self::Warmth,
        Self::KeptOut,
    ];

    /// The name that reports print.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoWorker => "no-worker",
            Self::Claim => "claim",
            Self::Round => "round",
            Self::BorrowLimit => "borrow-limit",
            Self::NeverYields => "never-yields",
            Self::Held => "held",
            Self::Room => "room",
            Self::Excluded => "excluded",
            Self::Quota => "quota",
            Self::Warmth => "warmth",
            Self::KeptOut => "kept-out",
        }
    }

    /// What it says, in words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NoWorker => "no worker that is up, or no share of what is up, can hold it",
            Self::Claim => "its claim waits for victims to give back their units",
            Self::Round => "it stopped or was declined in this round, and is offered again in the next",
            Self::BorrowLimit => "its tier would be beyond its reserve and its borrow limit",
            Self::NeverYields => "it never yields, and would put reserves out of reach",
            Self::Held => "what is free is held for other tiers, or is not there",
            Self::Room => "no worker has room for it",
            Self::Excluded => "the workers that have room are kept clear of it",
            Self::Quota => "its tenant, or one above, has no quota for it now, or others wait for it before",
            Self::Warmth => "it waits a while for a worker that has its prompt in the cache and no room now",
            Self::KeptOut => "the workers that could hold it are kept out for a while, lost again and again",
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a request is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// Where it stands.
    pub state: RequestState,
    /// What holds it back; `None` if it runs, or starts when polled.
    pub gate: Option<Gate>,
    /// Requests of its tier and pool that are offered a start before it.
    pub ahead: u64,
    /// When it may start, if tenants take turns and its tier gets on as it did in the last minute in which somebody waited;
    /// `None` if it runs, or that is not known.
    pub starts_at: Option<Instant>,
    /// The pool where it waits or runs.
    pub pool: PoolId,
    /// The other pools that may start it, in the order of its preference; none while it runs, or is bound to its own.
    pub other_pools: OtherPools,
}

/// In words, for people: what they say may change.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.state)?;
        if let Some(gate) = self.gate {
            write!(f, "; held back by {gate}: {}; {} ahead", gate.meaning(), self.ahead)?;
        }
        match (self.gate, self.starts_at) {
            (None, Some(_)) => f.write_str("; starts when polled"),
            (Some(_), Some(at)) => {
                write!(f, "; may start at {} ns, at the pace at which its tier got on lately", at.as_nanos())
            }
            (Some(_), None) => f.write_str("; when it starts is not known"),
            (None, None) => Ok(()),
        }?;
        self.other_pools.iter().try_for_each(|pool| write!(f, "; may go to {pool}"))
    }
}

/// A reserve that came out more than ten points off what was asked for: units are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareWarning {
    /// Where.
    pub pool: PoolId,
    /// Whose.
    pub tier: Tier,
    /// The dimension, in the order of the config.
    pub dimension: usize,
    /// What the config asks for, in parts per million of the present capacity.
    pub asked_ppm: u32,
    /// What the tier has.
    pub effective_ppm: u32,
}

impl Scheduler {
    /// Why a request waits, how many are ahead of it, and when it may start. O(those that wait in its queue + workers of the
    /// pool).
    ///
    /// # Errors
    /// [`ReportError::AlreadyTerminal`] or [`ReportError::UnknownRequest`].
    pub fn explain(&self, request: RequestId) -> Result<Explanation, ReportError> {
        let slot = self.resolve(request)?;
        let record = &self.requests[slot];
        let Some(lane) = record.lane else {
            let (state, pool, other_pools) = (record.state, record.pool(), OtherPools::NONE);
            return Ok(Explanation { state, gate: None, ahead: 0, starts_at: None, pool, other_pools });
        };
        let pool = self.pool(record.pool());
        let (queue, pace) = (&pool.queues[record.tier().index()], &pool.pace[record.tier().index()]);
        let ahead = queue.ahead_of(&self.nodes, lane, slot) as u64;
        let gate = self.gate(slot, lane);
        let starts_at = match gate {
            None => Some(self.now),
            Some(Gate::KeptOut) => self.let_in_at(slot),
            Some(_) if lane == Lane::Parked => None,
            Some(_) => {
                let turns = queue.turns_before(&self.nodes, lane, slot) as u64 + 1;
                pace.takes_ns(self.now, turns).map(|nanos| self.now.plus_nanos(nanos))
            }
        };
        let (state, pool, other_pools) = (self.state_of(slot), record.pool(), self.may_go_to(slot));
        Ok(Explanation { state, gate, ahead, starts_at, pool, other_pools })
    }

    /// The first thing that holds a waiting request back.
    fn gate(&self, slot: u32, lane: Lane) -> Option<Gate> {
        let record = &self.requests[slot];
        if lane == Lane::Parked && !self.is_startable(slot) {
            let comes = self.let_in_at(slot).is_some();
            return Some(if comes { Gate::KeptOut } else { Gate::NoWorker });
        }
        if self.waits_at(slot).is_some() {
            return Some(Gate::Quota);
        }
        if self.in_round && self.sits_out(slot) {
            return Some(Gate::Round);
        }
        let whatever = Patience::none();
        if let Some(worker) = self.guaranteed_worker(slot, &whatever) {
            return self.rather_waits(slot, worker).then_some(Gate::Warmth);
        }
        let own = self.own_claim(slot);
        let capacity = &self.pool(record.pool()).capacity;
        let within = capacity.is_within(record.tier(), record.asks, own);
        let config = &self.config.tiers[record.tier().index()];
        let available = capacity.available(record.tier(), self.now);
        let missing = available.shortage(&record.asks);
        if !within && !capacity.may_borrow(record.tier(), record.asks, own, config) {
            return Some(Gate::BorrowLimit);
        }
        if !within && !self.passes_own_gates(slot) {
            return Some(Gate::NeverYields);
        }
        if let Some(worker) = self.borrowed_worker(slot, &available.positive(), &whatever) {
            let kept = self.patience_in(record.pool(), record.tier());
            let is_kept_off = || self.borrowed_worker(slot, &available.positive(), &kept).is_none();
            return (self.rather_waits(slot, worker) || is_kept_off()).then_some(Gate::Warmth);
        }
        if record.claim.is_some() {
            return Some(Gate::Claim);
        }
        if !within && !missing.is_zero() {
            return Some(Gate::Held);
        }
        let up = &self.pool(record.pool()).up;
        Some(if up.iter().any(|&id| self.fits(slot, id)) { Gate::Excluded } else { Gate::Room })
    }

    /// The reserves that came out more than ten points off, in pools that have workers. O(pools · tiers).
    #[must_use]
    pub fn share_warnings(&self) -> Vec<ShareWarning> {
        let mut warnings = Vec::new();
        for (pool, target) in (0..).map(PoolId::new).zip(&self.pools) {
            for (tier, config) in (0..).map(Tier::new).zip(&self.config.tiers) {
                for dimension in 0..self.config.dimensions.len() {
                    let total = target.capacity.total()[dimension];
                    let asked_ppm = config.asked_ppm(pool, dimension, total);
                    let reserve = target.capacity.account(tier).reserve[dimension];
                    // A pool has more units than a million times would fit 64 bits.
                    let millionths = u128::from(reserve) * 1_000_000;
                    let Some(effective_ppm) = millionths.checked_div(total.into()) else { continue };
                    if u128::from(asked_ppm).abs_diff(effective_ppm) > TEN_POINTS_PPM {
                        let (asked_ppm, effective_ppm) = (asked_ppm as u32, effective_ppm as u32);
                        warnings.push(ShareWarning { pool, tier, dimension, asked_ppm, effective_ppm });
                    }
                }
            }
        }
        warnings
    }
}
