//! All that is counted and measured as a page of text, as Prometheus and others scrape it: `docs/METRICS.md` lists it.
//!
//! Decides which families there are, and who of the tenants is named; how a page is written is `page`'s. Reads the
//! scheduler, and changes nothing. O(pools · tiers · buckets + workers + running requests + tenants).

mod page;
mod tenants;

use core::fmt::{self, Write};

use crate::event::Reason;
use crate::id::{PoolId, Tier};
use crate::metrics::{Histogram, QueueMetrics};
use crate::resources::Resources;
use crate::scheduler::{Scheduler, TierUnits};
use page::{Decimal, Kind, Page};

/// In which text format metrics are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MetricsFormat {
    /// OpenMetrics 1.0: `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    #[default]
    OpenMetrics = 0,
    /// Prometheus' text format: `text/plain; version=0.0.4; charset=utf-8`.
    Prometheus = 1,
}

impl MetricsFormat {
    /// What to answer as the `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What is told of a queue, a tier or a pool; of a queue by a reason or without one.
type Count = fn(&QueueMetrics) -> u64;
type Duration = fn(&QueueMetrics) -> &Histogram;
type Units = fn(&TierUnits) -> Resources;
type PoolUnits = fn(&Scheduler, PoolId) -> Resources;
type Counts = fn(&QueueMetrics, &mut dyn FnMut(&str, u64) -> fmt::Result) -> fmt::Result;

/// Counters of queues.
const COUNTS: [(&str, &str, Count); 2] = [
    ("tidegate_submitted_requests", "Requests accepted.", |queue| queue.submitted),
    (
        "tidegate_lost_tokens",
        "Tokens of context to compute again because requests stopped, or their worker was lost.",
        |queue| queue.lost_tokens,
    ),
];

/// Counters of queues that have a label of their own.
const COUNTS_BY: [(&str, &str, &str, Counts); 5] = [
    ("tidegate_ended_requests", "end", "Requests that ended, by how.", |queue, tell| {
        let QueueMetrics { completed, failed, cancelled, dropped, .. } = queue;
        let ends =
            [("completed", completed), ("failed", failed), ("cancelled", cancelled), ("dropped", dropped)];
        ends.into_iter().try_for_each(|(end, &count)| tell(end, count))
    }),
    ("tidegate_refused_requests", "reason", "Requests that were not accepted, by why.", |queue, tell| {
        queue.refusals().try_for_each(|(reason, count)| tell(reason, count))
    }),
    ("tidegate_starts", "reason", "Starts, further ones of a request included.", |queue, tell| {
        queue.starts().try_for_each(|(reason, count)| tell(reason, count))
    }),
    ("tidegate_preemptions", "reason", "Requests that stopped because they were asked to.", |queue, tell| {
        queue.stops().try_for_each(|(reason, count)| tell(reason, count))
    }),
    (
        "tidegate_tokens",
        "kind",
        "Tokens of requests that ended; cached ones are prompt ones too.",
        |queue, tell| {
            let QueueMetrics { prompt_tokens, cached_tokens, output_tokens, .. } = queue;
            let kinds = [("prompt", prompt_tokens), ("cached", cached_tokens), ("output", output_tokens)];
            kinds.into_iter().try_for_each(|(kind, &count)| tell(kind, count))
        },
    ),
];

/// Durations of queues.
const DURATIONS: [(&str, &str, Duration); 3] = [
    ("tidegate_queue_delay_seconds", "From submission to the first start.", |queue| &queue.queue_delay),
    ("tidegate_time_to_first_token_seconds", "From submission to the first report of a token.", |queue| {
        &queue.first_token
    }),
    (
        "tidegate_time_per_output_token_seconds",
        "Per token after the first ones, of requests that completed; stops included.",
        |queue| &queue.further_token,
    ),
];

/// Units of tiers.
const UNITS: [(&str, &str, Units); 5] = [
    ("tidegate_reserved_units", "What is guaranteed of the present capacity.", |tier| tier.reserved),
    ("tidegate_held_units", "What of a reserve is not used and not lent either.", |tier| tier.held),
    ("tidegate_claimed_units", "What is gathered for waiting requests that victims make room for.", |tier| {
        tier.claimed
    }),
    ("tidegate_waiting_units", "What waiting requests that fit within the reserve ask for.", |tier| {
        tier.waiting
    }),
    ("tidegate_unmet_guarantee_units", "What waits and the unused reserve covers.", |tier| tier.unmet),
];

/// How far ahead it is told what tiers will want, in seconds: for fleets that grow at once, in a minute, in five and in ten.
const HORIZONS_S: [(&str, u64); 4] = [("0", 0), ("60", 60), ("300", 300), ("600", 600)];

impl Scheduler {
    /// Writes all metrics as a page to be scraped. Of the tenants that have a policy of their own the first `tenants` by
    /// number are named, and all others are one, `other`: so names stay, and counters do not go back when the use
    /// of tenants changes. O(pools · tiers + workers + running requests + tenants).
    ///
    /// ```
    /// # use tidegate::{Config, Instant, MetricsFormat, Scheduler, TierConfig};
    /// # let config = Config::builder().dimensions(["slots"]).tier(TierConfig::new("only")).build()?;
    /// let sched = Scheduler::new(config, Instant::ZERO);
    /// let mut page = String::new();
    /// sched.write_metrics(&mut page, MetricsFormat::OpenMetrics, 100)?;
    /// assert!(page.contains("tidegate_queue_depth{tier=\"only\"} 0\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_metrics(&self, out: &mut impl Write, format: MetricsFormat, tenants: usize) -> fmt::Result {
        let mut page = Page { out, format };
        let mut version = page.family(Kind::Gauge, "tidegate_build_info", "Always 1.")?;
        version.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1)?;
        self.write_tiers(&mut page)?;
        self.write_queues(&mut page)?;
        self.write_units(&mut page)?;
        self.write_wanted(&mut page)?;
        self.write_workers(&mut page)?;
        self.write_rest(&mut page)?;
        self.write_tenants(&mut page, tenants)?;
        page.end()
    }

    fn named_tiers(&self) -> impl Iterator<Item = (Tier, &str)> {
        (0..).map(Tier::new).zip(self.config().tiers().iter().map(crate::config::TierConfig::name))
    }

    fn named_pools(&self) -> impl Iterator<Item = (PoolId, &str)> {
        (0..).map(PoolId::new).zip(self.config().pools())
    }

    /// Calls for each tier of each pool.
    fn for_queues(&self, mut tell: impl FnMut((PoolId, &str), (Tier, &str)) -> fmt::Result) -> fmt::Result {
        self.named_pools().try_for_each(|pool| self.named_tiers().try_for_each(|tier| tell(pool, tier)))
    }

    fn write_tiers(&self, page: &mut Page<'_, impl Write>) -> fmt::Result {
        type Gauge = fn((u64, u64, u64)) -> Decimal;
        let gauges: [(_, _, Gauge); 3] = [
            ("tidegate_queue_depth", "Requests that wait, in all pools.", |(requests, ..)| {
                Decimal::whole(requests)
            }),
            ("tidegate_queue_tokens", "Their prompt and expected output tokens.", |(_, tokens, _)| {
                Decimal::whole(tokens)
            }),
            (
                "tidegate_queue_age_seconds",
                "For how long the oldest of them that never ran has waited, at the last call.",
                |(.., age_ns)| Decimal::seconds(age_ns.into()),
            ),
        ];
        for (name, help, of) in gauges {
            let mut family = page.family(Kind::Gauge, name, help)?;
            for (tier, label) in self.named_tiers() {
                family.sample(&[("tier", label)], of(self.queue_of_tier(tier)))?;
            }
        }
        Ok(())
    }

    fn write_queues(&self, page: &mut Page<'_, impl Write>) -> fmt::Result {
        for (name, help, of) in COUNTS {
            let mut family = page.family(Kind::Counter, name, help)?;
            self.for_queues(|(pool, in_pool), (tier, in_tier)| {
                let labels = [("pool", in_pool), ("tier", in_tier)];
                family.sample(&labels, of(self.queue_metrics(pool, tier)))
            })?;
        }
        for (name, by, help, of) in COUNTS_BY {
            let mut family = page.family(Kind::Counter, name, help)?;
            self.for_queues(|(pool, in_pool), (tier, in_tier)| {
                of(self.queue_metrics(pool, tier), &mut |word, count| {
                    family.sample(&[("pool", in_pool), ("tier", in_tier), (by, word)], count)
                })
            })?;
        }
        for (name, help, of) in DURATIONS {
            let mut family = page.family(Kind::Histogram, name, help)?;
            self.for_queues(|(pool, in_pool), (tier, in_tier)| {
                let histogram = of(self.queue_metrics(pool, tier));
                let labels = [("pool", in_pool), ("tier", in_tier)];
                family.histogram(&labels, histogram.cumulative(), histogram.sum_ns())
            })?;
        }
        Ok(())
    }

    fn write_units(&self, page: &mut Page<'_, impl Write>) -> fmt::Result {
        let pools: [(_, _, PoolUnits); 2] = [
            ("tidegate_capacity_units", "What the workers that are up have.", Self::capacity_of),
            ("tidegate_free_units", "What nobody uses and no claim has.", Self::free_units),
        ];
        for (name, help, of) in pools {
            let mut family = page.family(Kind::Gauge, name, help)?;
            for (pool, in_pool) in self.named_pools() {
                let units = of(self, pool);
                for (d, resource) in self.config().dimensions().enumerate() {
                    family.sample(&[("pool", in_pool), ("resource", resource)], units[d])?;
                }
            }
        }
        let help = "What is used on workers that are up, within the reserve and beyond.";
        let mut family = page.family(Kind::Gauge, "tidegate_used_units", help)?;
        self.for_queues(|(pool, in_pool), (tier, in_tier)| {
            let TierUnits { guaranteed, borrowed, .. } = self.tier_units(pool, tier);
            for (d, resource) in self.config().dimensions().enumerate() {
                for (kind, units) in [("guaranteed", guaranteed[d]), ("borrowed", borrowed[d])] {
                    let labels =
                        [("pool", in_pool), ("tier", in_tier), ("resource", resource), ("kind", kind)];
                    family.sample(&labels, units)?;
                }
            }
            Ok(())
        })?;
        for (name, help, of) in UNITS {
            let mut family = page.family(Kind::Gauge, name, help)?;
            self.for_queues(|(pool, in_pool), (tier, in_tier)| {
                let units = of(&self.tier_units(pool, tier));
                let mut dimensions = self.config().dimensions().enumerate();
                dimensions.try_for_each(|(d, resource)| {
                    family.sample(&[("pool", in_pool), ("tier", in_tier), ("resource", resource)], units[d])
                })
            })?;
        }
        Ok(())
    }

    /// Where it is not known yet there is no sample: an autoscaler that finds none leaves everything as it is.
    fn write_wanted(&self, page: &mut Page<'_, impl Write>) -> fmt::Result {
        let help =
            "What a tier wants now, or will so many seconds from now; none until it was watched for as long.";
        let mut family = page.family(Kind::Gauge, "tidegate_wanted_capacity_units", help)?;
        self.for_queues(|(pool, in_pool), (tier, in_tier)| {
            for (horizon, ahead) in HORIZONS_S {
                let wanted = self.wanted(pool, tier, core::time::Duration::from_secs(ahead));
                let Some(wanted) = wanted else { continue };
                for (d, resource) in self.config().dimensions().enumerate() {
                    let labels =
                        [("pool", in_pool), ("tier", in_tier), ("resource", resource), ("horizon", horizon)];
                    family.sample(&labels, wanted[d])?;
                }
            }
            Ok(())
        })
    }

    fn write_workers(&self, page: &mut Page<'_, impl Write>) -> fmt::Result {
        let mut family = page.family(Kind::Gauge, "tidegate_workers", "Workers ever added, by state.")?;
        for (pool, in_pool) in self.named_pools() {
            let states = ["up", "draining", "lost", "out"].into_iter().zip(self.pool_workers(pool).by_status);
            for (state, workers) in states {
                family.sample(&[("pool", in_pool), ("state", state)], workers)?;
            }
        }
        let help = "How much of the fullest worker that is up is in use.";
        let mut family = page.family(Kind::Gauge, "tidegate_fullest_worker_ratio", help)?;
        for (pool, in_pool) in self.named_pools() {
            let fullest_ppm = self.pool_workers(pool).fullest_ppm;
            for (resource, ppm) in self.config().dimensions().zip(fullest_ppm) {
                family.sample(&[("pool", in_pool), ("resource", resource)], Decimal::ratio(ppm))?;
            }
        }
        let help = "Requests on workers, those that are to stop included.";
        let mut family = page.family(Kind::Gauge, "tidegate_running_requests", help)?;
        for (pool, in_pool) in self.named_pools() {
            for ((_, in_tier), running) in self.named_tiers().zip(self.running_by_tier(pool)) {
                family.sample(&[("pool", in_pool), ("tier", in_tier)], running)?;
            }
        }
        Ok(())
    }

    /// What is of the scheduler as a whole.
    fn write_rest(&self, page: &mut Page<'_, impl Write>) -> fmt::Result {
        let stats = self.stats();
        let mut family = page.family(Kind::Counter, "tidegate_actions", "Actions that poll returned.")?;
        for &reason in Reason::ALL {
            family.sample(&[("reason", reason.as_str())], stats.by_reason[reason])?;
        }
        let mut family = page.family(
            Kind::Counter,
            "tidegate_waivers",
            "Sets of victims for which a rule was waived at last, and victims that took their tier below its reserve.",
        )?;
        for (rule, count) in [
            ("finish-test", stats.waived_finish_test),
            ("min-run", stats.waived_min_run),
            ("max-preemptions", stats.waived_max_preemptions),
            ("straddle", stats.straddles),
        ] {
            family.sample(&[("rule", rule)], count)?;
        }
        let help = "Calls whose time was earlier than that of one before.";
        page.family(Kind::Counter, "tidegate_clock_regressions", help)?
            .sample(&[], stats.clock_regressions)?;
        let leases = self.unanswered_leases();
        let gauges = [
            ("tidegate_leases", "Rates whose tokens a store grants.", Decimal::whole(leases.leases)),
            (
                "tidegate_unanswered_leases",
                "Those whose last wish the store has not answered.",
                Decimal::whole(leases.unanswered),
            ),
            (
                "tidegate_unanswered_lease_seconds",
                "For how long the store has not answered the oldest of these.",
                Decimal::seconds(leases.longest_ns.into()),
            ),
        ];
        gauges
            .into_iter()
            .try_for_each(|(name, help, value)| page.family(Kind::Gauge, name, help)?.sample(&[], value))
    }
}
