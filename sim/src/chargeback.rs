//! Who used how much in which period, and what that costs: from a journal, done again.
//!
//! Decides what a row counts and how a price applies. Whole numbers everywhere, so that rows add up to the total to the last
//! unit, and periods to the whole run. Knows neither files nor formats of output.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidegate::{Entry, Instant, Journal, Scheduler, TenantId, TenantUsage, Tier};

/// A billionth of the currency: what costs are counted in.
pub const NANO: u64 = 1_000_000_000;

/// The most that a price may be, in billionths: a million, chosen arbitrarily.
const MAX_PRICE_NANO: i64 = 1_000_000_000_000_000;

/// What things cost in a tier, in billionths of the currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// A unit for a second within the tier's reserve, by the name of the resource.
    pub guaranteed_unit_second_nano: BTreeMap<String, i64>,
    /// The same beyond it.
    pub borrowed_unit_second_nano: BTreeMap<String, i64>,
    /// A token of a prompt that no cache had.
    pub prompt_token_nano: i64,
    /// One that a cache had.
    pub cached_token_nano: i64,
    /// A generated token.
    pub output_token_nano: i64,
    /// A stop for another request; below zero it is given back.
    pub preemption_nano: i64,
}

/// What things cost, by the name of the tier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriceTable {
    /// What it is in.
    pub currency: String,
    /// A tier that is not here costs nothing.
    pub tiers: BTreeMap<String, Prices>,
}

impl PriceTable {
    /// The first name that the scheduler does not have, or the first price out of bounds; none if it can be used.
    #[must_use]
    pub fn fault(&self, config: &tidegate::Config) -> Option<String> {
        for (tier, prices) in &self.tiers {
            if config.tier(tier).is_none() {
                return Some(format!("tiers.{tier}: the config has no such tier"));
            }
            let units = prices.guaranteed_unit_second_nano.iter().chain(&prices.borrowed_unit_second_nano);
            for (resource, &price) in units {
                if !config.dimensions().any(|dimension| dimension == resource) {
                    return Some(format!("tiers.{tier}.{resource}: the config has no such dimension"));
                }
                if price.abs() > MAX_PRICE_NANO {
                    return Some(format!("tiers.{tier}.{resource}: {price} is beyond {MAX_PRICE_NANO}"));
                }
            }
            let Prices { prompt_token_nano, cached_token_nano, output_token_nano, preemption_nano, .. } =
                *prices;
            let single = [prompt_token_nano, cached_token_nano, output_token_nano, preemption_nano];
            if let Some(price) = single.into_iter().find(|price| price.abs() > MAX_PRICE_NANO) {
                return Some(format!("tiers.{tier}: {price} is beyond {MAX_PRICE_NANO}"));
            }
        }
        None
    }
}

/// What is counted of a tenant in a tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// Requests that completed.
    pub completed: i128,
    /// Tokens of prompts, cached ones included.
    pub prompt_tokens: i128,
    /// Those that a cache had.
    pub cached_tokens: i128,
    /// Generated tokens.
    pub output_tokens: i128,
    /// Tokens to be computed again.
    pub lost_tokens: i128,
    /// Stops for other requests.
    pub preemptions: i128,
    /// Stops for memory.
    pub memory_preemptions: i128,
    /// Units times nanoseconds, by dimension: within the tier's reserve, and beyond.
    pub guaranteed_unit_ns: Vec<i128>,
    /// The same beyond it.
    pub borrowed_unit_ns: Vec<i128>,
    /// In billionths of the currency.
    pub cost_nano: i128,
}

impl Bill {
    /// All that was used so far, and what it costs, rounded down.
    fn of(used: &TenantUsage, dimensions: &[&str], prices: Option<&Prices>) -> Self {
        let wide = |number: u128| i128::try_from(number).unwrap_or(i128::MAX);
        let borrowed: Vec<i128> =
            used.borrowed_unit_ns[..dimensions.len()].iter().map(|&sum| wide(sum)).collect();
        let all = used.unit_ns.iter().map(|&sum| wide(sum));
        let guaranteed = all.zip(&borrowed).map(|(all, borrowed)| all - borrowed).collect();
        let mut bill = Self {
            completed: used.completed.into(),
            prompt_tokens: used.prompt_tokens.into(),
            cached_tokens: used.cached_tokens.into(),
            output_tokens: used.output_tokens.into(),
            lost_tokens: used.lost_tokens.into(),
            preemptions: used.preemptions.into(),
            memory_preemptions: used.memory_preemptions.into(),
            guaranteed_unit_ns: guaranteed,
            borrowed_unit_ns: borrowed,
            cost_nano: 0,
        };
        bill.cost_nano = prices.map_or(0, |prices| bill.cost(dimensions, prices));
        bill
    }

    fn cost(&self, dimensions: &[&str], prices: &Prices) -> i128 {
        let second = i128::from(NANO);
        let price = |of: &BTreeMap<String, i64>, name: &str| i128::from(of.get(name).copied().unwrap_or(0));
        let units = dimensions.iter().enumerate().map(|(d, name)| {
            let guaranteed = price(&prices.guaranteed_unit_second_nano, name);
            let guaranteed = guaranteed.saturating_mul(self.guaranteed_unit_ns[d]);
            let borrowed = price(&prices.borrowed_unit_second_nano, name);
            let borrowed = borrowed.saturating_mul(self.borrowed_unit_ns[d]);
            guaranteed.saturating_add(borrowed).div_euclid(second)
        });
        units.sum::<i128>()
            + i128::from(prices.prompt_token_nano) * (self.prompt_tokens - self.cached_tokens)
            + i128::from(prices.cached_token_nano) * self.cached_tokens
            + i128::from(prices.output_token_nano) * self.output_tokens
            + i128::from(prices.preemption_nano) * self.preemptions
    }

    /// All numbers in the order of the columns, units last but for the cost.
    pub fn numbers(&self) -> impl Iterator<Item = i128> {
        let counts = [
            self.completed,
            self.prompt_tokens,
            self.cached_tokens,
            self.output_tokens,
            self.lost_tokens,
            self.preemptions,
            self.memory_preemptions,
        ];
        let units = self.guaranteed_unit_ns.iter().chain(&self.borrowed_unit_ns).copied();
        counts.into_iter().chain(units).chain([self.cost_nano])
    }

    /// This and so many times another, number by number.
    fn and(mut self, other: &Self, times: i128) -> Self {
        let zeros = vec![0; other.guaranteed_unit_ns.len()];
        if self.guaranteed_unit_ns.is_empty() {
            (self.guaranteed_unit_ns, self.borrowed_unit_ns) = (zeros.clone(), zeros);
        }
        let own = [
            &mut self.completed,
            &mut self.prompt_tokens,
            &mut self.cached_tokens,
            &mut self.output_tokens,
            &mut self.lost_tokens,
            &mut self.preemptions,
            &mut self.memory_preemptions,
        ];
        let own = own.into_iter().chain(&mut self.guaranteed_unit_ns).chain(&mut self.borrowed_unit_ns);
        own.chain([&mut self.cost_nano]).zip(other.numbers()).for_each(|(own, other)| *own += times * other);
        self
    }

    fn is_nothing(&self) -> bool {
        self.numbers().all(|number| number == 0)
    }
}

/// The names of what [`Bill::numbers`] gives.
#[must_use]
pub fn columns(dimensions: &[&str]) -> Vec<String> {
    let counts = [
        "completed_requests",
        "prompt_tokens",
        "cached_tokens",
        "output_tokens",
        "lost_tokens",
        "preemptions",
        "memory_preemptions",
    ];
    let units = ["guaranteed", "borrowed"]
        .into_iter()
        .flat_map(|kind| dimensions.iter().map(move |name| format!("{name}_{kind}_unit_ns")));
    counts.into_iter().map(str::to_string).chain(units).chain(["cost_nano".to_string()]).collect()
}

/// What a tenant used in a tier in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The period.
    pub from: Instant,
    /// Its end.
    pub to: Instant,
    /// By name; empty for all that were forgotten in it.
    pub tenant: String,
    /// By name.
    pub tier: String,
    /// What it is billed for.
    pub bill: Bill,
}

/// All rows of a run, and what they add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chargeback {
    /// By period, tenant number and tier; those of nothing are left out.
    pub rows: Vec<Row>,
    /// The sum of the rows.
    pub total: Bill,
}

/// Whose bills are kept: a tenant's by its number, or of those that are forgotten.
type Whose = (Option<TenantId>, u8);

/// What was told at the end of the last period.
struct Books<'a> {
    prices: &'a PriceTable,
    from: Instant,
    bills: BTreeMap<Whose, Bill>,
    told: Chargeback,
}

/// The most periods of one run: what a length in the wrong unit makes of it is refused. Chosen arbitrarily.
pub const MAX_PERIODS: u64 = 100_000;

/// How many periods of a length a journal has.
#[must_use]
pub fn periods(journal: &Journal, every_ns: u64) -> u64 {
    let last = journal.entries.iter().map(|&(now, _)| now).max().unwrap_or(journal.started_at);
    last.nanos_since(journal.started_at) / every_ns.max(1) + 1
}

/// Does a journal again, and bills each period of it; without a length the whole run is one. The last ends with the run.
#[must_use]
pub fn charge(journal: &Journal, prices: &PriceTable, every_ns: Option<u64>) -> Chargeback {
    let mut scheduler = Scheduler::new(journal.config.clone(), journal.started_at);
    let (bills, told) = Default::default();
    let mut books = Books { prices, from: journal.started_at, bills, told };
    for (now, entry) in &journal.entries {
        while let Some(every_ns) = every_ns.filter(|_| *now > books.from)
            && now.nanos_since(books.from) >= every_ns
        {
            books.close(&scheduler, books.from.plus_nanos(every_ns));
        }
        match entry {
            // A refusal was one when the run was recorded.
            Entry::Input(input) => drop(scheduler.apply(*now, input)),
            Entry::Poll { calls } => {
                for _ in 0..*calls {
                    let _ = scheduler.poll(*now);
                }
            }
        }
    }
    books.close(&scheduler, scheduler.now());
    books.told
}

impl Books<'_> {
    /// Ends a period.
    fn close(&mut self, scheduler: &Scheduler, to: Instant) {
        let config = scheduler.config();
        let dimensions: Vec<&str> = config.dimensions().collect();
        let names: BTreeMap<TenantId, &str> = scheduler.tenants().collect();
        let mut bills = BTreeMap::new();
        for (tier, of) in (0..).zip(config.tiers()) {
            let prices = self.prices.tiers.get(of.name());
            let bill = |used: &TenantUsage| Bill::of(used, &dimensions, prices);
            for &tenant in names.keys() {
                let used = scheduler.usage_by_tier(tenant, Tier::new(tier), to).unwrap_or_default();
                bills.insert((Some(tenant), tier), bill(&used));
            }
            bills.insert((None, tier), bill(&scheduler.forgotten_usage(Tier::new(tier))));
        }
        let mut changes = bills.clone();
        for (&(tenant, tier), bill) in &self.bills {
            // What was billed of one that is forgotten now is among what was used by all that are.
            let whose = (tenant.filter(|tenant| names.contains_key(tenant)), tier);
            let change = changes.remove(&whose).unwrap_or_default();
            changes.insert(whose, change.and(bill, -1));
        }
        let mut rows: Vec<_> = changes.into_iter().filter(|(_, bill)| !bill.is_nothing()).collect();
        rows.sort_by_key(|&((tenant, tier), _)| (tenant.is_none(), tenant, tier));
        for ((tenant, tier), bill) in rows {
            self.told.total = core::mem::take(&mut self.told.total).and(&bill, 1);
            let tenant = tenant.map_or("", |tenant| names[&tenant]).to_string();
            let tier = config.tiers()[usize::from(tier)].name().to_string();
            self.told.rows.push(Row { from: self.from, to, tenant, tier, bill });
        }
        (self.bills, self.from) = (bills, to);
    }
}
