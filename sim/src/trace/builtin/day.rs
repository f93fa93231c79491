//! A day made of a trace that is shorter: the trace again and again, thinned to the rate of the hour.
//!
//! Decides which requests are kept. What comes together, and how long it is, stays the trace's; the swing of the day is the
//! [synthetic](super::synthetic) one's, for a trace of half an hour says nothing of it.

use super::synthetic::HOURS;
use crate::random::Random;
use crate::trace::{TraceRequest, Workload};

const NS_PER_MINUTE: u64 = 60_000_000_000;

/// The trace over and over for so many minutes, in which a day's swing is played. In the busiest hour all of its requests are
/// kept, in another as many as the hour's rate is of that, drawn by the seed. O(requests).
#[must_use]
pub fn day_of(trace: &Workload, minutes: u64, seed: u64) -> Workload {
    let mut random = Random::new(seed);
    let busiest = *HOURS.iter().max().expect("a day has hours");
    let end_ns = minutes * NS_PER_MINUTE;
    let long_ns = trace.requests.iter().map(|request| request.arrival_ns).max().unwrap_or(end_ns) + 1;
    let mut requests = Vec::new();
    for round in 0..end_ns.div_ceil(long_ns) {
        let again = trace.requests.iter().map(|request| {
            let arrival_ns = round * long_ns + request.arrival_ns;
            TraceRequest { arrival_ns, ..*request }
        });
        let within = again.filter(|request| request.arrival_ns < end_ns);
        requests.extend(within.filter(|request| {
            let hour = u128::from(request.arrival_ns) * HOURS.len() as u128 / u128::from(end_ns);
            random.below(busiest) < HOURS[hour as usize]
        }));
    }
    let made = format!("repeated for {minutes} min, thinned by a day's swing, seed {seed}");
    let sources = trace.sources.iter().cloned().chain([made]).collect();
    Workload { requests, tenants: trace.tenants.clone(), sources }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Work;

    #[test]
    fn a_day_has_the_trace_at_noon_and_a_fifth_of_it_at_night() {
        let request = |second: u64| TraceRequest {
            arrival_ns: second * 1_000_000_000,
            tier: 0,
            tenant: 0,
            work: Work::Tokens { prompt: 10 + second as u32, output: 5 },
        };
        let trace = Workload {
            requests: (0..600).map(request).collect(),
            tenants: vec!["one".into()],
            sources: vec!["a trace".into()],
        };
        let day = day_of(&trace, 24 * 60, 1);
        assert_eq!(day, day_of(&trace, 24 * 60, 1), "a seed gives the same day");
        let hour = |hour: u64| {
            let of = |request: &&TraceRequest| request.arrival_ns / (60 * NS_PER_MINUTE) == hour;
            day.requests.iter().filter(of).count()
        };
        // The trace is a second less than ten minutes long.
        assert!((3_600..3_620).contains(&hour(13)), "all of it at the busiest hour: {}", hour(13));
        let night = hour(3) as f64 / hour(13) as f64 / (350.0 / 1_700.0);
        assert!((night - 1.0).abs() < 0.1, "{night} of its share");
        assert!(day.requests.is_sorted_by_key(|request| request.arrival_ns));
    }
}
