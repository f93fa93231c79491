//! Random worlds, read from bytes: most show everything a little, some show much of what is rare.

use tidegate::{Order, Placement, Ppm, Preemption, Reserve, Resources, Rounding, TenantPolicy, Tier};

use super::Setup;
use super::policies::policy;
use super::setup::TierSetup;
use super::warmth::AffinitySetup;

/// Choices; when they run out every choice is the first one.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Bytes<'_> {
    pub(super) fn below(&mut self, n: usize) -> usize {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(first) % n
    }

    pub(super) fn number(&mut self, n: u64) -> u64 {
        self.below(n as usize) as u64
    }

    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Once in `n`.
    pub(super) fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    pub(super) fn maybe<T>(&mut self, n: usize, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.rarely(n) { Some(make(self)) } else { None }
    }

    pub(super) fn units(&mut self, dimensions: usize, most: u64) -> Resources {
        let mut units = Resources::ZERO;
        for d in 0..dimensions {
            units[d] = self.number(most + 1);
        }
        units
    }
}

fn tier_setup(bytes: &mut Bytes<'_>, tiers: usize, dimensions: usize, index: usize) -> TierSetup {
    let share = |bytes: &mut Bytes<'_>| bytes.one_of(&[0, 30, 5, 50, 10]) * 10_000 / tiers as u32;
    let mut reserve_in = [None; 4];
    for reserve in reserve_in.iter_mut().take(dimensions) {
        *reserve = bytes.maybe(5, |bytes| match bytes.below(2) {
            0 => Reserve::Units(bytes.number(5)),
            _ => Reserve::Share(Ppm::new(share(bytes))),
        });
    }
    let whom = [Preemption::LowerTier, Preemption::LowerTier, Preemption::Never, Preemption::AnyBorrower];
    TierSetup {
        reserve_ppm: if index == 0 { bytes.one_of(&[300_000, 500_000, 100_000]) } else { share(bytes) },
        reserve_in,
        reserve_in_pools: Vec::new(),
        lendable_ppm: bytes.one_of(&[1_000_000, 1_000_000, 500_000, 0]),
        borrow_limit: bytes.maybe(5, |bytes| bytes.units(dimensions, 9)),
        rounding: bytes.one_of(&[Rounding::Ceil, Rounding::Nearest, Rounding::Floor]),
        hold_window: bytes.one_of(&[0, 1, 7, 20, 61, 1000]),
        preemption: bytes.one_of(&whom),
        preempt_while_borrowing: bytes.one_of(&[None, Some(Preemption::LowerTier), Some(Preemption::Never)]),
        preemption_budget: bytes.maybe(8, |bytes| bytes.one_of(&[1, 3, 400_000_000])),
        order: bytes.one_of(&[
            Order::Fair,
            Order::Fair,
            Order::DeficitLongestPrefix,
            Order::Fifo,
            Order::Deadline,
            Order::ShortestFirst,
            Order::HybridDeadline,
        ]),
        deficit_quantum: bytes.one_of(&[8, 1, 30]),
        deadline_token_weight: bytes.number(4),
        age_after: bytes.maybe(3, |bytes| bytes.number(30)),
        queue_limit: bytes.maybe(9, |bytes| bytes.number(6)),
        queue_token_limit: bytes.maybe(9, |bytes| bytes.number(60)),
        queue_timeout: bytes.maybe(8, |bytes| bytes.number(90)),
    }
}

/// What a world and its host are made to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum World {
    /// Everything.
    Mixed,
    /// Small reserves that all are lent, and victims that take long to stop: takeovers and waived rules.
    Contended,
    /// More workers than are searched for victims.
    Wide,
}

impl World {
    pub(super) fn read(bytes: &mut Bytes<'_>) -> Self {
        match bytes.below(12) {
            0..=5 => Self::Mixed,
            6..=10 => Self::Contended,
            _ => Self::Wide,
        }
    }

    pub(super) fn setup(self, bytes: &mut Bytes<'_>) -> Setup {
        let mut setup = setup(bytes);
        match self {
            Self::Mixed => {}
            Self::Contended => setup.contend(bytes),
            Self::Wide => setup.unlimit(),
        }
        setup
    }
}

impl Setup {
    /// Nothing but room keeps anybody waiting.
    fn unlimit(&mut self) {
        self.queue_limit = None;
        self.queue_token_limit = None;
        self.tenant_queue_limit = None;
        self.tenant_queue_token_limit = None;
        for tier in &mut self.tiers {
            tier.queue_limit = None;
            tier.queue_token_limit = None;
            tier.queue_timeout = None;
            tier.borrow_limit = None;
            tier.hold_window = 0;
        }
    }

    /// There is hardly room for all tenants, something is said of those that nobody configured, and holds live shortly.
    pub(super) fn crowd(&mut self, bytes: &mut Bytes<'_>) {
        self.max_tenants = bytes.one_of(&[3, 4, 5]);
        self.hold_timeout = bytes.one_of(&[12, 2, 40]);
        if bytes.rarely(2) {
            let mut policy = policy(bytes, &[], self);
            policy.most_urgent = policy.most_urgent.min(Tier::new(self.tiers.len() as u8 - 1));
            self.default_policy = policy;
        }
    }

    /// Pools have reserves of their own.
    pub(super) fn part(&mut self, bytes: &mut Bytes<'_>) {
        let most = 500_000 / self.tiers.len() as u32;
        for tier in &mut self.tiers {
            tier.reserve_in_pools = (0..self.pools)
                .map(|_| {
                    let mut own = [None; 4];
                    for reserve in own.iter_mut().take(self.dimensions) {
                        *reserve = bytes.maybe(4, |bytes| match bytes.below(2) {
                            0 => Reserve::Units(bytes.number(5)),
                            _ => Reserve::Share(Ppm::new(most)),
                        });
                    }
                    (bytes.maybe(2, |bytes| bytes.one_of(&[most, most / 2, 0])), own)
                })
                .collect();
        }
    }

    /// Workers that flap are kept out, and requests move.
    pub(super) fn shake(&mut self, bytes: &mut Bytes<'_>) {
        self.flaps = (bytes.one_of(&[40, 0, 12]), bytes.one_of(&[90, 9, 200]), bytes.one_of(&[200, 0, 9]));
        self.rebalance_every = bytes.one_of(&[3, 0, 1, 11]);
        self.min_run = bytes.one_of(&[0, 2]);
        if !bytes.rarely(3) {
            self.placement = Placement::Pack;
        }
    }

    /// Prompts begin alike, and go where they are cached.
    pub(super) fn warm(&mut self, bytes: &mut Bytes<'_>) {
        self.placement = Placement::PrefixAffinity;
        self.affinity = AffinitySetup {
            blocks: bytes.one_of(&[64, 12, 300]),
            block_tokens: bytes.one_of(&[3, 1, 8]),
            worker_blocks: bytes.maybe(3, |bytes| 1 + bytes.number(6) as u32),
            learns: !bytes.rarely(3),
            load_tokens: bytes.one_of(&[4, 0, 30]),
            imbalance: bytes.one_of(&[1_500_000, 0, 1_000_000]),
            wait: bytes.one_of(&[0, 60, 1_000]),
        };
        for tier in &mut self.tiers {
            if bytes.rarely(3) {
                (tier.order, tier.deficit_quantum) = (Order::DeficitLongestPrefix, bytes.one_of(&[30, 200]));
            }
        }
    }

    fn contend(&mut self, bytes: &mut Bytes<'_>) {
        self.unlimit();
        while self.tiers.len() < 3 {
            let another = self.tiers[0].clone();
            self.tiers.push(another);
        }
        let share = 1_000_000 / self.tiers.len() as u32;
        for tier in &mut self.tiers {
            tier.reserve_ppm = bytes.one_of(&[share, share / 2]);
            tier.reserve_in = [None; 4];
            tier.lendable_ppm = 1_000_000;
            tier.preemption = bytes.one_of(&[Preemption::LowerTier, Preemption::AnyBorrower]);
            tier.preemption_budget = None;
        }
        self.min_run = bytes.one_of(&[0, 40, 200]);
        self.confirm_after = 90;
        self.step_time = Some((bytes.number(3), 1, 1));
        self.stop_takes = bytes.one_of(&[0, 30, 90]);
    }
}

fn affinity() -> AffinitySetup {
    AffinitySetup {
        blocks: 64,
        block_tokens: 3,
        worker_blocks: None,
        learns: true,
        load_tokens: 4,
        imbalance: 1_500_000,
        wait: 0,
    }
}

fn setup(bytes: &mut Bytes<'_>) -> Setup {
    let (tiers, dimensions) =
        (1 + bytes.below(8).min(bytes.below(8)), 1 + bytes.below(4).min(bytes.below(4)));
    Setup {
        dimensions,
        pools: bytes.one_of(&[1, 1, 1, 2, 3]),
        tiers: (0..tiers).map(|index| tier_setup(bytes, tiers, dimensions, index)).collect(),
        placement: bytes.one_of(&[Placement::Pack, Placement::Spread]),
        affinity: affinity(),
        min_run: bytes.one_of(&[0, 3, 12]),
        max_preemptions: bytes.one_of(&[3, 0, 1]),
        confirm_after: 1 + bytes.one_of(&[20, 3, 90, 12]),
        max_bypass: bytes.one_of(&[16, 0, 1, 3]),
        drain_after: 1 + bytes.number(15),
        decline_backoff: bytes.number(12),
        flaps: (0, 0, 0),
        rebalance_every: 0,
        step_time: bytes.maybe(2, |bytes| (bytes.number(3), bytes.number(3), bytes.number(3))),
        stop_takes: bytes.one_of(&[0, 0, 5, 30]),
        swap_token: bytes.one_of(&[0, 0, 1, 2]),
        checkpoint_kib_per_token: bytes.one_of(&[0, 100]),
        max_step: bytes.one_of(&[60_000_000_000, 5, 1]),
        queue_limit: bytes.maybe(9, |bytes| bytes.number(9)),
        queue_token_limit: bytes.maybe(9, |bytes| bytes.number(100)),
        tenant_queue_limit: bytes.maybe(9, |bytes| bytes.number(6)),
        tenant_queue_token_limit: bytes.maybe(9, |bytes| bytes.number(60)),
        displace: bytes.rarely(2),
        token_costs: bytes.one_of(&[(1, 0, 2), (1, 1, 1), (3, 0, 1)]),
        predict_output: bytes.rarely(3),
        max_tenants: 1 << 20,
        default_policy: TenantPolicy::new(),
        hold_timeout: 600_000_000_000,
    }
}
