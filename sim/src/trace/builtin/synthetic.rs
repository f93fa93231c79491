//! Traffic without end, generated as it is replayed: conversation (P0), code (P1) and batch (P2), with the swing of a
//! day, quieter weekends and bursts. Only one minute of it is in memory.
//!
//! Decides how many requests each minute has and draws each of them, independent of the others. The lengths are
//! those of [`published`](super::published); how the rate swings is our choice. Integers only: a seed gives the same
//! traffic on every platform.

use super::super::label::{PARTS_OF_TENANTS, tenant_at};
use super::published::{CODE, CONVERSATION, Published, SUMMARISATION};
use super::{WHOLE, tokens};
use crate::random::Random;
use crate::trace::{TraceRequest, Work, Workload};

/// Thousandths of the mean rate in each hour of a day; 24,000 in all. The swing of an office's day: 1.7 of the mean in
/// the early afternoon, 0.35 at night. Chosen by us.
pub(super) const HOURS: [u64; 24] = [
    450, 420, 380, 350, 350, 400, 550, 800, 1_150, 1_450, 1_600, 1_650, 1_600, 1_700, 1_700, 1_650, 1_550,
    1_350, 1_150, 950, 850, 750, 640, 560,
];

/// Thousandths of the mean rate on each day of a week, Monday first; 7,000 in all. Chosen by us.
const DAYS: [u64; 7] = [1_120, 1_120, 1_120, 1_120, 1_120, 700, 700];

/// Thousandths of its rate that a minute of code has, one drawn for each: their variation is 1.02, that of the counts
/// per minute in the published trace.
const CODE_MOODS: [u64; 7] = [100, 200, 400, 700, 1_000, 1_300, 3_300];

/// Thousandths of its rate that a minute of conversation has at least and at most: evenly drawn, a variation of 0.19, as
/// published.
const CONVERSATION_MOODS: [u64; 2] = [670, 1_330];

/// Batch comes as a job at the start of each quarter of an hour.
const JOB_EVERY_MINUTES: u64 = 15;

const NS_PER_MINUTE: u64 = 60_000_000_000;

/// Parts of the requests: conversation, code, batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix(pub [u32; 3]);

impl Default for Mix {
    /// 55 % conversation, 30 % code, 15 % batch. Chosen by us: about the tokens of the built-in workload.
    fn default() -> Self {
        Self([55, 30, 15])
    }
}

/// What is generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synthetic {
    /// Of all that is drawn.
    pub seed: u64,
    /// How many requests in all.
    pub requests: u64,
    /// How long it lasts.
    pub minutes: u64,
    /// In how many minutes a day's swing is played.
    pub minutes_of_day: u64,
    /// Whether days differ as those of a week do.
    pub has_weekends: bool,
    /// Parts of the requests.
    pub mix: Mix,
}

/// The parts in the order of their tiers.
const PARTS: [&Published; 3] = [&CONVERSATION, &CODE, &SUMMARISATION];

impl Synthetic {
    /// A week of so many requests.
    #[must_use]
    pub fn week(seed: u64, requests: u64) -> Self {
        let minutes_of_day = 24 * 60;
        let minutes = 7 * minutes_of_day;
        Self { seed, requests, minutes, minutes_of_day, has_weekends: true, mix: Mix::default() }
    }

    /// The tenants' names; a request's tenant is an index into them.
    #[must_use]
    pub fn tenants(&self) -> Vec<String> {
        (0..16).map(|tenant| format!("t{tenant:02}")).collect()
    }

    /// One line about each part, as a trace has.
    #[must_use]
    pub fn sources(&self) -> Vec<String> {
        let minutes = self.minutes;
        let line = |(tier, part): (usize, &&Published)| {
            let requests = self.of_part(tier);
            let name = part.name;
            format!("synthetic {name}: {requests} requests in {minutes} min, P{tier}, seed {}", self.seed)
        };
        PARTS.iter().enumerate().map(line).collect()
    }

    /// The requests in the order of their arrival; memory for those of a minute.
    #[must_use]
    pub fn arrivals(&self) -> SyntheticArrivals {
        SyntheticArrivals::new(self.clone())
    }

    /// The requests of the busiest so many minutes of a day, as a workload that starts then: what workers are sized
    /// by. The second day of a week, if there is one.
    #[must_use]
    pub fn busiest(&self, minutes: u64) -> Workload {
        let day = if self.minutes > 2 * self.minutes_of_day { self.minutes_of_day } else { 0 };
        // The peak lies between 13 and 15 o'clock.
        let middle = day + self.minutes_of_day * 14 / 24;
        let from = middle.saturating_sub(minutes / 2) / JOB_EVERY_MINUTES * JOB_EVERY_MINUTES;
        let zero = from * NS_PER_MINUTE;
        let end = zero + minutes * NS_PER_MINUTE;
        let within = self.arrivals().skip_to(from).take_while(|request| request.arrival_ns < end);
        let requests =
            within.map(|request| TraceRequest { arrival_ns: request.arrival_ns - zero, ..request });
        Workload { requests: requests.collect(), tenants: self.tenants(), sources: self.sources() }
    }

    /// All of it in memory.
    #[must_use]
    pub fn workload(&self) -> Workload {
        Workload { requests: self.arrivals().collect(), tenants: self.tenants(), sources: self.sources() }
    }

    /// Requests of one part.
    fn of_part(&self, tier: usize) -> u64 {
        let parts = |parts: &[u32]| -> u128 { parts.iter().map(|&part| u128::from(part)).sum() };
        let up_to =
            |end: usize| u128::from(self.requests) * parts(&self.mix.0[..end]) / parts(&self.mix.0).max(1);
        (up_to(tier + 1) - up_to(tier)) as u64
    }

    /// The weight of each minute for each part: a few hundred kilobytes for a week.
    fn weights(&self, random: &mut Random) -> Vec<[u64; 3]> {
        let minute = |minute: u64| {
            let hour = HOURS[(minute % self.minutes_of_day * 24 / self.minutes_of_day) as usize];
            let day = (minute / self.minutes_of_day % 7) as usize;
            let rate = hour * if self.has_weekends { DAYS[day] } else { 1_000 };
            let [least, most] = CONVERSATION_MOODS;
            let conversation = rate * (least + random.below(most - least + 1));
            let code = rate * CODE_MOODS[random.below(CODE_MOODS.len() as u64) as usize];
            [conversation, code, u64::from(minute.is_multiple_of(JOB_EVERY_MINUTES))]
        };
        (0..self.minutes).map(minute).collect()
    }
}

/// The arrivals of a [`Synthetic`].
#[derive(Clone, Debug)]
pub struct SyntheticArrivals {
    traffic: Synthetic,
    random: Random,
    weights: Vec<[u64; 3]>,
    /// Sums of the weights: of all minutes, and of those so far.
    all: [u128; 3],
    so_far: [u128; 3],
    minute: u64,
    /// Of the last minute that was drawn, the latest first.
    drawn: Vec<TraceRequest>,
}

impl SyntheticArrivals {
    fn new(traffic: Synthetic) -> Self {
        let mut random = Random::new(traffic.seed);
        let weights = traffic.weights(&mut random);
        let sum = |part: usize| weights.iter().map(|minute| u128::from(minute[part])).sum();
        let all = std::array::from_fn(sum);
        Self { traffic, random, weights, all, so_far: [0; 3], minute: 0, drawn: Vec::new() }
    }

    /// Leaves out what comes before a minute, without drawing it.
    fn skip_to(mut self, minute: u64) -> Self {
        while self.minute < minute.min(self.traffic.minutes) {
            self.counts();
        }
        self
    }

    /// How many requests of each part the next minute has. In all it is exactly what was asked for.
    fn counts(&mut self) -> [u64; 3] {
        let weights = self.weights[self.minute as usize];
        self.minute += 1;
        std::array::from_fn(|part| {
            let requests = u128::from(self.traffic.of_part(part));
            let (before, all) = (self.so_far[part], self.all[part].max(1));
            self.so_far[part] += u128::from(weights[part]);
            (requests * self.so_far[part] / all - requests * before / all) as u64
        })
    }

    fn draw_minute(&mut self) {
        let start = self.minute * NS_PER_MINUTE;
        for (tier, count) in (0..).zip(self.counts()) {
            for _ in 0..count {
                let is_batch = tier + 1 == PARTS.len();
                let after = if is_batch { 0 } else { self.random.below(NS_PER_MINUTE) };
                let work = draw(PARTS[tier], &mut self.random);
                let tenant = tenant_at(self.random.below(PARTS_OF_TENANTS)) as u32;
                self.drawn.push(TraceRequest { arrival_ns: start + after, tier: tier as u8, tenant, work });
            }
        }
        self.drawn.sort_by_key(|request| std::cmp::Reverse(request.arrival_ns));
    }
}

impl Iterator for SyntheticArrivals {
    type Item = TraceRequest;

    fn next(&mut self) -> Option<TraceRequest> {
        while self.drawn.is_empty() && self.minute < self.traffic.minutes {
            self.draw_minute();
        }
        self.drawn.pop()
    }
}

/// A request as long as those of the part, the output drawn from its prompt's class.
fn draw(part: &Published, random: &mut Random) -> Work {
    let classes = part.outputs.len() as u64;
    let class = random.below(classes);
    let prompt = tokens(&part.prompts, (class * WHOLE + random.below(WHOLE)) / classes);
    let output = tokens(&part.outputs[class as usize], random.below(WHOLE));
    Work::Tokens { prompt, output: output.min(part.longest.saturating_sub(prompt)).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_has_as_many_requests_as_asked_for_in_order() {
        assert_eq!(HOURS.iter().sum::<u64>(), 24_000);
        assert_eq!(DAYS.iter().sum::<u64>(), 7_000);
        assert_eq!(CODE_MOODS.iter().sum::<u64>(), 7_000);
        let week = Synthetic::week(1, 100_003);
        let requests: Vec<TraceRequest> = week.arrivals().collect();
        assert_eq!(requests.len(), 100_003);
        assert!(requests.is_sorted_by_key(|request| request.arrival_ns));
        let of = |tier| requests.iter().filter(|request| request.tier == tier).count();
        assert_eq!((of(0), of(1), of(2)), (55_001, 30_001, 15_001));
        assert!(requests.iter().all(|request| request.tenant < 16));
        assert_eq!(requests, Synthetic::week(1, 100_003).arrivals().collect::<Vec<_>>());
        assert_ne!(requests, Synthetic::week(2, 100_003).arrivals().collect::<Vec<_>>());
    }

    #[test]
    fn the_busiest_half_hour_is_busier_than_the_mean() {
        let week = Synthetic::week(1, 1_000_000);
        let busiest = week.busiest(30);
        let mean = 1_000_000 * 30 / week.minutes as usize;
        assert!(busiest.requests.len() > mean * 3 / 2, "{} of {mean}", busiest.requests.len());
        assert!(busiest.requests.iter().all(|request| request.arrival_ns < 30 * NS_PER_MINUTE));
        assert_eq!(busiest.requests[0].arrival_ns, 0, "a job of batch is in it");
    }

    #[test]
    fn lengths_are_those_of_the_published_traces() {
        let week = Synthetic::week(3, 60_000);
        let mut prompts: Vec<u32> = Vec::new();
        for request in week.arrivals().filter(|request| request.tier == 0) {
            let Work::Tokens { prompt, .. } = request.work else { unreachable!("no jobs") };
            prompts.push(prompt);
        }
        prompts.sort_unstable();
        let median = prompts[prompts.len() / 2];
        assert!((950..1_120).contains(&median), "1,035 is published: {median}");
    }
}
