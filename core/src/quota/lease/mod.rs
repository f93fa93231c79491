//! A limit whose budget many replicas share: what this replica was granted of it, and what it wants next.
//!
//! State: the tokens here, below zero a debt; the one wish that is not answered; what falls in while the store is
//! silent. Starts empty. Decides when to ask, for how much, and what goes back; knows neither the store nor how wishes
//! get there. Part of QUO-3: what is taken here is at most what was granted or lent, and what is charged beyond
//! it is a debt that the next wish carries. At most `burst / (2 * replicas)` is kept that nobody waits for. O(1).
//! The protocol is that of `docs/LEASES.md`.

mod idle;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod store;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

use core::cmp::min;

use self::idle::Idle;
use super::bucket::{Bucket, Cover};
use crate::config::{Fallback, LeaseTerms};
use crate::tenant::{MAX_BURST, MAX_LEASED_TOKENS, Rate};
use crate::time::Instant;

/// From one wish to the next at least: 100 a second of one limit, chosen arbitrarily.
const GAP_NS: u64 = 10_000_000;

/// Why something is wanted of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Why {
    /// Somebody waits for tokens.
    Needed,
    /// What is used in a while is half gone.
    Ahead,
    /// More was used than was granted.
    Debt,
    /// Tokens lie here that nobody uses.
    Idle,
}

/// What the store is asked. The same `seq` says the same, and is answered the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Want {
    /// Higher than that of any wish before.
    pub(crate) seq: u64,
    /// How many more are wanted; 0 if it only settles.
    pub(crate) tokens: u64,
    /// Unused tokens that go back; below zero, a debt.
    pub(crate) returned: i64,
    pub(crate) why: Why,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It was the one waited for.
    Taken,
    /// It was not: a duplicate, or too late. Nothing changed.
    Stale,
    /// It grants more than was wanted. Nothing changed.
    TooMuch { wanted: u64 },
}

/// A wish that is not answered.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
struct Asked {
    want: Want,
    first_at: Instant,
    last_at: Instant,
}

/// The part of a shared budget that is here.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Lease {
    rate: Rate,
    terms: LeaseTerms,
    level: i128,
    /// What those that wait for tokens need.
    needed: u64,
    idle: Idle,
    asked: Option<Asked>,
    /// When it last wished for something new.
    last_at: Option<Instant>,
    /// When the store last had less than was wanted, if it had.
    dry_at: Option<Instant>,
    /// What falls in while the store is silent: refilled from then on, and emptied into the level at once.
    share: Bucket,
    /// All that the fall-back ever put into the level without its having been granted.
    lent: u128,
}

impl Lease {
    /// With no tokens and no wish. The rate is within the limits of leased ones.
    pub(crate) fn new(now: Instant, rate: Rate, terms: LeaseTerms) -> Self {
        Self {
            rate,
            terms,
            level: 0,
            needed: 0,
            idle: Idle::new(now),
            asked: None,
            last_at: None,
            dry_at: None,
            share: Bucket::empty(share_of(rate, terms), now),
            lent: 0,
        }
    }

    /// Changes rate and terms; what is here stays, and what is too much of it goes back.
    pub(crate) fn set(&mut self, now: Instant, rate: Rate, terms: LeaseTerms) {
        self.advance(now);
        self.share.set_rate(now, share_of(rate, terms));
        self.rate = rate;
        self.terms = terms;
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// The tokens here at `now`; below zero, the debt that the next wish carries.
    pub(crate) fn level(&self, now: Instant) -> i128 {
        self.advanced(now).level
    }

    /// Since when the store owes an answer, if it does.
    pub(crate) fn asked_since(&self) -> Option<Instant> {
        self.asked.map(|asked| asked.first_at)
    }

    /// All that the fall-back ever lent.
    #[cfg(test)]
    pub(crate) fn lent(&self) -> u128 {
        self.lent
    }

    /// Whether it covers `need` at `now` beside `ahead`, as a bucket would: what is larger than the burst is covered by a
    /// whole burst that was granted, and that only if `when_full`. `Later` says when the fall-back alone would cover it,
    /// once the store was asked, if [`await_tokens`](Self::await_tokens) knows of the need then: whether it does now
    /// changes nothing, or who waits at two leases would go from one to the other for ever.
    pub(crate) fn cover(&self, now: Instant, need: u64, ahead: u64, when_full: bool) -> Cover {
        if need > self.rate.burst && !when_full {
            return Cover::Never;
        }
        let need = need.min(self.rate.burst);
        let least = i128::from(need) + i128::from(ahead);
        let lease = self.advanced(now);
        if lease.is_open(now) || lease.level >= least {
            Cover::Now
        } else {
            Cover::Later(lease.lends_at(now, least, self.most_idle().max(need)))
        }
    }

    /// When the fall-back has lent enough for this level, if no answer comes and so much is kept; it does not lend beyond.
    fn lends_at(&self, now: Instant, level: i128, kept: u64) -> Option<Instant> {
        let silent_at = self.silent_at()?;
        match self.terms.fallback {
            Fallback::Deny => None,
            Fallback::Open => Some(silent_at),
            Fallback::LocalShare if level > i128::from(kept) => None,
            Fallback::LocalShare => {
                let missing = u64::try_from(level - self.level).ok()?;
                match self.share.cover(now, missing, 0, false) {
                    Cover::Later(at) => at,
                    Cover::Now | Cover::Never => None,
                }
            }
        }
    }

    /// Says what those that wait for tokens of this limit need: the first of them, or more of them together; 0 when
    /// nobody waits. Whatever is here up to that counts as wanted, not as idle. At most a burst.
    pub(crate) fn await_tokens(&mut self, now: Instant, tokens: u64) {
        self.advance(now);
        self.needed = min(tokens, self.rate.burst);
    }

    /// Notes that tokens were refused to somebody who does not wait for them: until the end of the next window they count
    /// as waited for, so that whoever comes again finds them.
    pub(crate) fn miss(&mut self, now: Instant, tokens: u64) {
        self.advance(now);
        self.idle.miss(min(tokens, self.rate.burst));
    }

    /// Takes tokens that it [`cover`](Self::cover)s; more than there are leave a debt.
    pub(crate) fn take(&mut self, now: Instant, tokens: u64) {
        self.advance(now);
        if self.is_open(now) {
            let missing = i128::from(tokens) - self.level.max(0);
            self.lend(missing.max(0));
        }
        self.charge(now, tokens);
    }

    /// Takes what was used beyond what had been taken for it, at once, into debt if need be.
    pub(crate) fn charge(&mut self, now: Instant, tokens: u64) {
        self.advance(now);
        self.level -= i128::from(tokens);
        self.idle.take(tokens);
    }

    /// Puts back what was taken and not used.
    pub(crate) fn put(&mut self, now: Instant, tokens: u64) {
        self.advance(now);
        self.level += i128::from(tokens);
    }

    /// The next instant at which [`want`](Self::want) has something to say or to look at, if nothing else is said
    /// before; ask again after each call that changes the lease. Asking `want` earlier is harmless.
    pub(crate) fn wants_at(&self) -> Option<Instant> {
        if let Some(asked) = &self.asked {
            return Some(self.again_at(asked));
        }
        // The end of a window changes what is stale, and the target.
        let windows_matter = self.level > 0 || self.idle.use_of_a_window() > 0 || self.idle.missed() > 0;
        let looks = windows_matter.then(|| self.idle.ends_at());
        let says = self.due().map(|(at, _)| at);
        [looks, says].into_iter().flatten().min()
    }

    /// What to ask the store now, if anything: again what was not answered in time, or what is due, by the number `seq`.
    pub(crate) fn want(&mut self, now: Instant, seq: u64) -> Option<Want> {
        self.advance(now);
        if let Some(asked) = self.asked {
            // At the end of time that is no later than it was.
            let again = now >= self.again_at(&asked) && now > asked.last_at;
            self.asked = Some(Asked { last_at: if again { now } else { asked.last_at }, ..asked });
            return again.then_some(asked.want);
        }
        let (_, why) = self.due().filter(|&(at, _)| at <= now)?;
        let tokens = self.short().map_or(0, |(_, tokens)| tokens);
        let want = Want { seq, tokens, returned: self.surplus(), why };
        self.level -= i128::from(want.returned);
        self.idle.clear();
        self.last_at = Some(now);
        self.asked = Some(Asked { want, first_at: now, last_at: now });
        let silent_at = now.plus_nanos(self.terms.fallback_after_ns);
        self.share = Bucket::empty(share_of(self.rate, self.terms), silent_at);
        Some(want)
    }

    /// Takes the answer to the wish `seq`: tokens that are good for `valid_for_ns` from now, and then go back unless
    /// they are used. Any other answer than the one waited for changes nothing.
    pub(crate) fn granted(&mut self, now: Instant, seq: u64, tokens: u64, valid_for_ns: u64) -> Answer {
        let Some(want) = self.asked.map(|asked| asked.want).filter(|want| want.seq == seq) else {
            return Answer::Stale;
        };
        if tokens > want.tokens {
            return Answer::TooMuch { wanted: want.tokens };
        }
        self.advance(now);
        self.level += i128::from(tokens);
        self.idle.set_valid_for(valid_for_ns);
        self.dry_at = (tokens < want.tokens).then_some(now);
        self.asked = None;
        Answer::Taken
    }

    /// Whether nothing is here, owed or asked for: as a new one.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        self.asked.is_none() && self.level(now) == 0
    }

    /// Whether the store was asked and has been silent for too long.
    fn is_silent(&self, now: Instant) -> bool {
        self.silent_at().is_some_and(|at| now >= at)
    }

    fn again_at(&self, asked: &Asked) -> Instant {
        asked.last_at.plus_nanos(self.terms.ask_again_after_ns.max(GAP_NS))
    }

    fn silent_at(&self) -> Option<Instant> {
        self.asked.map(|asked| asked.first_at.plus_nanos(self.terms.fallback_after_ns))
    }

    fn is_open(&self, now: Instant) -> bool {
        self.terms.fallback == Fallback::Open && self.is_silent(now)
    }

    fn advanced(&self, now: Instant) -> Self {
        let mut lease = self.clone();
        lease.advance(now);
        lease
    }

    /// Brings the state to `now`. Every change of the level does it first.
    fn advance(&mut self, now: Instant) {
        self.idle.roll(now, u64::try_from(self.level.max(0)).unwrap_or(u64::MAX));
        if self.asked.is_some() && self.terms.fallback == Fallback::LocalShare {
            self.share.refill(now);
            let came = u64::try_from(self.share.level()).unwrap_or(0);
            let taken = self.share.take(now, came);
            debug_assert!(taken.is_some(), "no more is taken than is there");
            self.lend((i128::from(self.keep()) - self.level).clamp(0, i128::from(came)));
        }
    }

    fn lend(&mut self, tokens: i128) {
        self.level += tokens;
        self.lent += tokens.unsigned_abs();
    }

    /// What may lie here while nobody waits: over all replicas half a burst.
    fn most_idle(&self) -> u64 {
        self.rate.burst / 2 / u64::from(self.terms.replicas)
    }

    /// What those need that wait, or were refused a while ago.
    fn needed(&self) -> u64 {
        self.needed.max(self.idle.missed()).min(self.rate.burst)
    }

    /// What may be here: what is needed counts as wanted.
    fn keep(&self) -> u64 {
        self.needed().max(self.most_idle())
    }

    /// What should be here: what is used in a while, as far as it may lie idle, and what is needed.
    fn target(&self) -> u64 {
        self.needed().max(min(self.most_idle(), self.idle.use_of_a_window()))
    }

    /// The instant and the reason of the next wish, as things are.
    fn due(&self) -> Option<(Instant, Why)> {
        let least = self.last_at.map_or(Instant::ZERO, |at| at.plus_nanos(GAP_NS));
        let settles = match self.surplus() {
            0 => None,
            returned => Some((least, if returned < 0 { Why::Debt } else { Why::Idle })),
        };
        let asks = self.short().map(|(why, _)| (least.max(self.refilled_at()), why));
        [asks, settles].into_iter().flatten().min_by_key(|&(at, _)| at)
    }

    /// What is missing, if it is worth a wish.
    fn short(&self) -> Option<(Why, u64)> {
        let (level, target) = (self.level.max(0), i128::from(self.target()));
        let why = if level < i128::from(self.needed()) {
            Why::Needed
        } else if level * 2 < target {
            Why::Ahead
        } else {
            return None;
        };
        let tokens = u64::try_from(target - level).unwrap_or(u64::MAX);
        Some((why, tokens.min(MAX_LEASED_TOKENS)))
    }

    /// When the store may have what is missing: because it came, or because others gave some back, which nobody tells.
    fn refilled_at(&self) -> Instant {
        let Some(dry_at) = self.dry_at else { return Instant::ZERO };
        let level = self.level.max(0);
        let needed = self.needed();
        let goal = if level < i128::from(needed) { needed } else { self.target() };
        let missing = (i128::from(goal) - level).max(0).unsigned_abs();
        let parts = missing.saturating_mul(u128::from(self.rate.period_ns));
        let came = (self.rate.amount > 0).then(|| parts.div_ceil(u128::from(self.rate.amount)));
        let came_ns = came.and_then(|ns| u64::try_from(ns).ok()).unwrap_or(u64::MAX);
        dry_at.plus_nanos(came_ns.min(self.terms.ask_again_after_ns))
    }

    /// What goes back with the next wish: the debt, or what lies here beyond what may, or was stale.
    fn surplus(&self) -> i64 {
        let beyond = self.level - i128::from(self.keep());
        let stale = i128::from(self.idle.stale()).min(self.level - i128::from(self.target()));
        let back = if self.level < 0 { self.level } else { beyond.max(stale).max(0) };
        let most = i128::from(MAX_LEASED_TOKENS);
        back.clamp(-most, most) as i64
    }
}

/// What a replica lends itself while the store is silent: its part of the rate, saved up nowhere but in the level.
fn share_of(rate: Rate, terms: LeaseTerms) -> Rate {
    let period_ns = rate.period_ns.saturating_mul(u64::from(terms.replicas));
    Rate { amount: rate.amount, period_ns, burst: MAX_BURST }
}
