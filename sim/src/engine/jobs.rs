//! A node that runs GPU jobs of known duration: no iterations, no tokens, and nothing kept of a job that is
//! stopped.

use std::collections::BTreeSet;

use super::{Engine, NEVER, Phase, Report, Run, Stop};

/// One worker: a node of GPUs. A start or an end costs O(log running).
#[derive(Clone, Debug, Default)]
pub struct JobNode {
    /// When each job ends.
    ends: BTreeSet<(u64, u32)>,
}

impl Engine for JobNode {
    fn admit(&mut self, now: u64, runs: &mut [Run], request: u32, _tokens_kept: u32) -> u32 {
        let run = &mut runs[request as usize];
        run.phase = Phase::Working;
        if run.first_iteration_at == NEVER {
            run.first_iteration_at = now;
        }
        run.ends_at = now.saturating_add(run.duration_ns);
        self.ends.insert((run.ends_at, request));
        0
    }

    fn stop(&mut self, runs: &mut [Run], request: u32, stop: Stop) -> Option<Report> {
        let run = &mut runs[request as usize];
        run.phase = Phase::Away;
        self.ends.remove(&(run.ends_at, request));
        Some(Report::Stopped { request, stop, tokens_kept: 0 })
    }

    /// Nothing to do: a job stops as soon as it is asked to.
    fn spare(&mut self, _request: u32) {}

    fn advance(&mut self, now: u64, runs: &mut [Run], reports: &mut Vec<Report>) {
        while let Some(&(end, request)) = self.ends.first()
            && end <= now
        {
            self.ends.pop_first();
            runs[request as usize].phase = Phase::Away;
            reports.push(Report::Finished { request });
        }
    }

    fn resume(&mut self, _now: u64, _runs: &mut [Run]) -> u64 {
        self.ends.first().map_or(NEVER, |&(end, _)| end)
    }
}
