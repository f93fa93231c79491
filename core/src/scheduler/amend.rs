//! What changes while running: `amend` of a request, `reconfigure` of everything but the names.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Scheduler;
use super::spec::ShortSpec;
use crate::config::Config;
use crate::error::{AmendError, ReportError};
use crate::event::Amendment;
use crate::fault::{ConfigError, ConfigFault};
use crate::id::{PoolId, RequestId};
use crate::queue::Lane;
use crate::request::{OtherPools, RequestSpec};
use crate::time::Instant;

impl Scheduler {
    /// Changes what a live request asks for, how urgent it is, or when its answer is wanted. One that waits takes its
    /// place anew, with its arrival, and gives up its claim if its tier or what it asks for is another; of one on a
    /// worker the use moves to the new tier, and demand and peak matter at its next start. O(log n) for n that wait,
    /// and O(workers of the pool) to see that it can fit; of one that waits and never ran also O(those of its tier
    /// that did not either), from the nearer end of their arrivals; of one that runs and changes its tier also O(those of
    /// that tier that have not run for `min_run`).
    ///
    /// # Errors
    /// [`AmendError`]: those of `submit` for what it would ask then, those of a report for the request itself;
    /// [`ReportError::WrongState`] if it is to stop.
    pub fn amend(
        &mut self,
        now: Instant,
        request: RequestId,
        amendment: Amendment,
    ) -> Result<(), AmendError> {
        self.advance(now);
        let slot = self.resolve(request)?;
        let record = &self.requests[slot];
        let state = record.state;
        if record.is_yielding() {
            return Err(ReportError::WrongState { request, state }.into());
        }
        let former = self.requests.spec(slot);
        let mut spec = former;
        spec.demand = amendment.demand.unwrap_or(spec.demand);
        spec.peak = amendment.peak.unwrap_or(spec.peak).max(spec.demand);
        spec.tier = amendment.tier.unwrap_or(spec.tier);
        spec.deadline = amendment.deadline.or(spec.deadline);
        self.check_names(&spec)?;
        self.check_numbers(&spec)?;
        let moves = spec.tier != former.tier;
        if moves || spec.demand != former.demand {
            let stays = record.is_waiting() && self.is_bound(slot);
            let other_pools = if stays { OtherPools::NONE } else { spec.other_pools };
            self.check_fits(&RequestSpec { other_pools, ..spec })?;
        }
        if moves {
            self.check_urgency(&spec)?;
        }
        if moves && record.is_waiting() && !record.has_run {
            self.check_tier_limits(&spec)?;
        }
        if let Some(lane) = self.requests[slot].lane {
            self.dequeue(slot);
            if moves || self.asks_with(slot, &spec) != self.requests[slot].asks {
                self.give_up_claim(slot);
            }
            self.undo_idle_hold(slot);
            self.meter_leaves_tier(slot, moves);
            self.change_line(slot, moves, |sched| sched.requests.set_spec(slot, &spec));
            self.meter_joins_tier(slot, moves);
            self.enqueue(slot, moves || lane != Lane::Fresh);
        } else {
            self.meter_leaves_tier(slot, moves);
            self.requests.set_rest(slot, &spec);
            let spec = ShortSpec::of(&spec);
            self.change_line(slot, moves, |sched| sched.rebook(slot, |record, _| record.spec = spec));
            self.meter_joins_tier(slot, moves);
            if moves && !self.knows_young(slot) {
                self.note_young(slot);
            }
            self.freed(self.requests.run(slot).worker);
        }
        Ok(())
    }

    /// Takes another config with the same dimensions, pools and tiers by number and name. Queues are ordered anew,
    /// shares and parking computed anew; what is known of caches is forgotten if
    /// anything about that is another; timeouts that run already stay. Another default policy holds for all tenants
    /// that nobody configured. O(n log n) for n live requests; O(tenants) for another default policy.
    ///
    /// # Errors
    /// [`ConfigError`] with a fault for each name that differs; nothing changed.
    pub fn reconfigure(&mut self, now: Instant, config: Config) -> Result<(), ConfigError> {
        self.advance(now);
        let faults = self.config.differing_names(&config);
        if !faults.is_empty() {
            return Err(ConfigError { faults });
        }
        self.offer_all_again();
        if config.leases != self.config.leases {
            self.quota.set_terms(self.now, config.leases);
        }
        let is_another_default = config.default_policy != self.config.default_policy;
        let running: Vec<u32> =
            self.workers.iter().flat_map(|worker| worker.running.iter().copied()).collect();
        running.iter().for_each(|&slot| self.unlist_yielder(slot));
        self.stoppable = config.stoppable_tiers();
        let knows_other_caches = config.affinity() != self.config.affinity();
        self.config = config;
        if knows_other_caches {
            self.forget_caches();
        }
        running.iter().for_each(|&slot| self.list_yielder(slot));
        if is_another_default {
            self.apply_default_policy();
        }
        for pool in 0..self.pools.len() {
            self.pools[pool].capacity.reconfigure(&self.config.tiers);
            let pool = PoolId::new(pool as u32);
            self.note_all_young(pool);
            self.refit(pool);
            // A window that begins anew has to know what is demanded now.
            self.changed_demands.extend(self.tiers().map(|tier| (pool, tier)));
        }
        Ok(())
    }
}

impl Config {
    /// What must be the same in a config that takes the place of this one, and is not.
    fn differing_names(&self, other: &Self) -> Vec<ConfigFault> {
        let tier_names = |config: &Self| config.tiers.iter().map(|tier| tier.name.clone()).collect();
        let lists = [
            ("dimensions", self.dimensions.clone(), other.dimensions.clone()),
            ("pools", self.pools.clone(), other.pools.clone()),
            ("tiers", tier_names(self), tier_names(other)),
        ];
        let mut faults = Vec::new();
        let mut fault = |path: String, message| faults.push(ConfigFault { path, line: None, message });
        for (path, ours, theirs) in lists {
            if ours.len() != theirs.len() {
                let message = format!("{} while running, not {}", ours.len(), theirs.len());
                fault(path.to_owned(), message);
            }
            for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                if ours != theirs {
                    fault(format!("{path}[{index}]"), format!("{ours:?} while running, not {theirs:?}"));
                }
            }
        }
        faults
    }
}
