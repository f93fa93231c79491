//! T2, capacity under objectives by tier (Niyama, ASPLOS'26).

pub mod objective;
pub mod policies;
pub mod requests;

#[cfg(test)]
mod tests {
    use super::{objective::*, policies::{self, InOrder}, requests::*};
    use crate::paper::chunked::*;
    use crate::trace::*;
    #[test]
    fn probe() {
        let spec = "sharegpt:/work/shared/traces/sharegpt-8k/sharegpt_8k_lengths.part1.csv.gz".parse().unwrap();
        let l = lengths(&load(&[spec], &LoadOptions::default()).unwrap());
        let size = Size { model: crate::model::ServiceModel::by_id("llama3-8b").unwrap(), kv_tokens: None };
        use tidegate::*;
        use std::time::Duration;
        for o in [policies::Order::Hybrid, policies::Order::Priority] {
            for r in [2.3, 3.3] {
                let jobs = poisson(&l, 18000, r, 3, 1);
                let s = serve(&jobs, size, None, &mut InOrder::new(o));
                println!("tidegate {o:?} {r} {:?}", figures(&[s.clone()]));
            }
        }
        for (obj, slots, order) in [(55, 128u64, Order::Fifo), (55, 128u64, Order::HybridDeadline), (62, 128, Order::HybridDeadline), (70, 128, Order::HybridDeadline), (90, 128, Order::HybridDeadline)] {
            for r in [2.1, 2.3, 2.4, 3.3] {
                let jobs = poisson(&l, 18000, r, 3, 1);
                let tier = |n: &str, r| TierConfig::new(n).reserve_ppm(r).order(order).prefill_share_ppm(1_000_000);
                let config = Config::builder().dimensions(["slots"])
                  .tier(tier("realtime", 300_000).token_objective(Duration::from_millis(obj)))
                  .tier(tier("near", 0)).tier(tier("batch", 50_000))
                  .step_time(StepTime::new(Duration::from_millis(5), Duration::from_nanos(95_821), Duration::from_micros(0)).contexts(Duration::from_nanos(170_333),Duration::from_nanos(2_792_676)))
                  .build().unwrap();
                let host = crate::paper::hosted::Host { config, units: [slots].into(), counts_blocks: false, step_tokens: 8192, planned_from: None, yielding: Yielding::Restart, deadline_ns: |j| Some([6, 540, 1740][usize::from(j.tier)] * 1_000_000_000) };
                let t = std::time::Instant::now();
                let mut h = crate::paper::hosted::Hosted::new(host);
                let s = serve(&jobs, size, None, &mut h);
                println!("tidegate {obj} {slots} {order:?} {r} steps {} {:?} {:.2}s stops {:?}", s.steps, figures(&[s.clone()]), t.elapsed().as_secs_f64(), h.stopped_for.values().sum::<u64>());
            }
        }
    }
}
