//! The search for a set on one worker, with some of the rules waived.

use alloc::vec::Vec;

use super::walk::Walk;
use super::{
    Bounds, Candidate, Dimensions, Harm, Need, Rules, Runners, Scratch, Shortage, Source, VictimSet, Waiver,
};
use crate::config::MAX_TIERS;
use crate::id::Tier;
use crate::resources::Balance;

/// The victim set for `need` among the requests of the sources, with these rules waived, if the procedure finds one.
/// `excess` is, by tier, what the tier uses beyond its reserve and has not been asked back yet.
pub(crate) fn choose(
    need: &Need,
    rules: Rules,
    waiver: Waiver,
    excess: &[Balance; MAX_TIERS],
    (sources, runners): (&[Source<'_>], &impl Runners),
    scratch: &mut Scratch,
) -> Option<VictimSet> {
    let short = Shortage::of(&need.short);
    let search = Search { need, short, rules, waiver, excess, sources, runners };
    let mut victims = core::mem::take(&mut scratch.victims);
    victims.clear();
    if !search.take_in_order(&mut victims, scratch) {
        victims.clear();
        victims.extend(search.one_that_suffices(scratch));
    }
    search.fill_back(&mut victims);
    let set = VictimSet {
        victims: victims.iter().map(|victim| victim.id.slot()).collect(),
        waiver,
        harm: Harm::of(&victims),
    };
    scratch.victims = victims;
    (!set.victims.is_empty()).then_some(set)
}

/// What a tier uses beyond its reserve, less the victims chosen so far.
struct Lender {
    excess: Balance,
    straddled: bool,
}

struct Search<'a, R> {
    need: &'a Need,
    short: Shortage,
    rules: Rules,
    waiver: Waiver,
    excess: &'a [Balance; MAX_TIERS],
    sources: &'a [Source<'a>],
    runners: &'a R,
}

impl<R: Runners> Search<'_, R> {
    fn tiers(&self) -> impl Iterator<Item = Tier> + use<R> {
        self.need.order.tiers(self.sources.first().map_or(0, |source| source.yielders.len()))
    }

    fn walk<'a>(&'a self, tier: Tier, scratch: &'a mut Scratch) -> Walk<'a, R> {
        let Self { need, runners, sources, rules: Rules { prices, .. }, .. } = *self;
        Walk { runners, sources, need, prices, tier, scratch }
    }

    fn lender(&self, tier: Tier) -> Lender {
        Lender { excess: self.excess[tier.index()], straddled: false }
    }

    /// Takes those that are legal, in order, until nothing is short. Whether it comes to that.
    fn take_in_order(&self, victims: &mut Vec<Candidate>, scratch: &mut Scratch) -> bool {
        let mut left = self.short.clone();
        for tier in self.tiers() {
            let mut lender = self.lender(tier);
            let mut walk = self.walk(tier, scratch);
            walk.begin(|bounds, source| self.may_take(bounds, source, &lender, &left));
            while let Some(candidate) =
                walk.next(|bounds, source| self.may_take(bounds, source, &lender, &left))
            {
                let source = self.source_of(&candidate);
                if source.helps(&left, &candidate.used) == Dimensions::NONE {
                    continue;
                }
                let Some(straddles) = self.is_legal(&candidate, &lender) else { continue };
                lender.straddled |= straddles;
                lender.excess = lender.excess.less(candidate.used);
                left.subtract(source, candidate.used);
                victims.push(Candidate { straddles, ..candidate });
                if left.units.is_zero() {
                    return true;
                }
            }
        }
        false
    }

    /// The first in order that alone frees all that is short.
    fn one_that_suffices(&self, scratch: &mut Scratch) -> Option<Candidate> {
        let short = &self.short;
        self.tiers().find_map(|tier| {
            let lender = self.lender(tier);
            let may_suffice = |bounds: &Bounds, source: &Source<'_>| {
                short.units.is_met_by(&source.frees(bounds.most_use))
                    && self.may_take(bounds, source, &lender, short)
            };
            let mut walk = self.walk(tier, scratch);
            walk.begin(may_suffice);
            core::iter::from_fn(|| walk.next(may_suffice)).find_map(|candidate| {
                let straddles = self.is_legal(&candidate, &lender)?;
                short
                    .units
                    .is_met_by(&self.source_of(&candidate).frees(candidate.used))
                    .then_some(Candidate { straddles, ..candidate })
            })
        })
    }

    /// Whether some of a group may be taken, and help with what is left: false only if none may.
    fn may_take(&self, bounds: &Bounds, source: &Source<'_>, lender: &Lender, left: &Shortage) -> bool {
        if source.helps(left, &bounds.most_use) == Dimensions::NONE
            || !self.rules.may_expose(bounds, self.waiver)
        {
            return false;
        }
        let excess = &lender.excess.0;
        let may_stay = |d: usize| excess[d] >= bounds.least_use[d] as i64;
        if !self.need.within {
            return Dimensions::of(&bounds.least_use).all(may_stay);
        }
        let helps = source.helps(&self.short, &bounds.most_use);
        helps.any(may_stay) || self.may_straddle(lender) && helps.any(|d| excess[d] > 0)
    }

    fn source_of(&self, candidate: &Candidate) -> &Source<'_> {
        &self.sources[candidate.source as usize]
    }

    fn may_straddle(&self, lender: &Lender) -> bool {
        self.waiver >= Waiver::Straddle && !lender.straddled
    }

    /// PRE-2 and PRE-4: whether it may be taken, and if so whether its tier straddles then.
    fn is_legal(&self, candidate: &Candidate, lender: &Lender) -> Option<bool> {
        if !self.rules.expose(candidate, self.waiver) {
            return None;
        }
        let excess = &lender.excess.0;
        let used = |d: usize| candidate.used[d] as i64;
        let stays = |d: usize| excess[d] >= used(d);
        if !self.need.within {
            return Dimensions::of(&candidate.used).all(stays).then_some(false);
        }
        let helps = self.source_of(candidate).helps(&self.short, &candidate.used);
        if helps.any(stays) {
            return Some(false);
        }
        (self.may_straddle(lender) && helps.any(|d| excess[d] > 0)).then_some(true)
    }

    /// PRE-3: takes back, last first, every victim without whom enough is freed.
    fn fill_back(&self, victims: &mut Vec<Candidate>) {
        if victims.len() < 2 {
            return;
        }
        let mut freed = self.source_of(&victims[0]).frees_nothing();
        victims.iter().for_each(|victim| freed.add(self.source_of(victim), victim.used));
        for index in (0..victims.len()).rev() {
            let (source, used) = (self.source_of(&victims[index]), victims[index].used);
            freed.subtract(source, used);
            if self.short.units.is_met_by(&freed) {
                victims.remove(index);
            } else {
                freed.add(source, used);
            }
        }
    }
}
