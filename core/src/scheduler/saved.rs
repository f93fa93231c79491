//! All that a scheduler knows, field by field, as a snapshot has it; what it can find again is left out.
//!
//! The list names every field, or it does not compile. Decides nothing, and knows neither the format of the bytes
//! nor their head: that is `snapshot`.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::claims::ClaimDigest;
use super::dispatch::Quiet;
use super::quota::QuotaQueue;
use super::reclaim::SearchMemory;
use super::record::{Claim, NeverRan, Waiting};
use super::requests::Requests;
use super::roamers::Homeless;
use super::tenants::Tenants;
use super::usage::Forgotten;
use super::warmth::Warmth;
use super::workers::{Changes, Device, Place, Worker};
use super::{Pool, Scheduler, Stats};
use crate::config::Config;
use crate::event::Action;
use crate::fairness::Fairness;
use crate::forecast::Forecast;
use crate::heap::{Agenda, Heap};
use crate::id::{PoolId, Tier, WorkerId};
use crate::meter::Loan;
use crate::metrics::QueueMetrics;
use crate::queue::QueueNodes;
use crate::quota::Ledger;
use crate::resources::Resources;
use crate::slab::Slab;
use crate::time::Instant;

macro_rules! saved {
    ($($field:ident: $type:ty,)+) => {
        /// What is written.
        #[derive(serde::Serialize)]
        pub(crate) struct Saved<'a> {
            $($field: &'a $type,)+
        }

        /// What was read.
        #[derive(serde::Deserialize)]
        pub(crate) struct Loaded {
            $($field: $type,)+
        }

        impl Scheduler {
            pub(crate) fn saved(&self) -> Saved<'_> {
                // The config goes as text of its own.
                let Self { config: _, search_memory: _, changes: _, said_next: _, $($field,)+ } = self;
                Saved { $($field,)+ }
            }

            pub(crate) fn of_loaded(config: Config, loaded: Loaded) -> Self {
                let Loaded { $($field,)+ } = loaded;
                let search_memory = SearchMemory::default();
                let changes = Changes::default();
                let mut scheduler = Self { config, search_memory, changes, said_next: None, $($field,)+ };
                scheduler.warmth.rebuild(&scheduler.config);
                let Self { pools, homeless, requests, workers, claims, .. } = &mut scheduler;
                homeless.rebuild(|slot| requests.contains(slot));
                for pool in pools {
                    pool.roamers.rebuild(|slot| requests.contains(slot));
                    pool.find_places(workers.len());
                    pool.rooms.rebuild();
                    pool.claim_digest = ClaimDigest::of(&pool.claims, claims);
                }
                scheduler
            }
        }
    };
}

// A new field, or another order, is another format: see `snapshot`.
saved! {
    now: Instant,
    requests: Requests,
    nodes: QueueNodes,
    tenants: Tenants,
    fairness: Fairness,
    loans: Vec<Loan>,
    metrics: Vec<QueueMetrics>,
    forecast: Forecast,
    forgotten: Forgotten,
    line_demands: Vec<Resources>,
    quota: Ledger,
    quota_queue: QuotaQueue,
    devices: Vec<Device>,
    workers: Vec<Worker>,
    pools: Vec<Pool>,
    claims: Slab<Claim>,
    timers: Agenda<(Instant, u64)>,
    turns: Heap<(Instant, u64)>,
    outbox: VecDeque<Action>,
    pressured: BTreeSet<Place>,
    tolerances: BTreeSet<(Instant, Place)>,
    joins: BTreeSet<(Instant, WorkerId)>,
    next_sequence: u64,
    waiting: Waiting,
    waiting_by_tier: Vec<Waiting>,
    never_yielding: u64,
    roamers: usize,
    homeless: Homeless,
    never_ran: Vec<NeverRan>,
    stoppable: Vec<bool>,
    budget_spent: Vec<Instant>,
    changed_demands: Vec<(PoolId, Tier)>,
    round: u64,
    in_round: bool,
    quiet: Quiet,
    stats: Stats,
    warmth: Warmth,
}
