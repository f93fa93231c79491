//! What no policy can undercut: the p99 to the first token below which so many workers could not do the work in time,
//! whatever the order.
//!
//! Each token has a price that no step of the engine undercuts, and each request holds blocks that no other has, for at least as
//! long as its own tokens take. Of the requests that arrive within a window all but one in a hundred have their first token by
//! the end of the window and the p99 more, and all but those that run then have their output; what that costs so many workers, in
//! time as in blocks held, they have to provide from the begin of the window on. What runs has its blocks at once, so that
//! memory bounds what may be left undone. And a prompt is computed on one worker.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::engine::{Job, MODEL, MOST_RUNNING, STEP_TOKENS};
use crate::model::{Formula, MixedTerms, ServiceModel};
use crate::percentile::Percentiles;

/// The least nanoseconds of a worker that tokens cost.
#[derive(Clone, Copy, Debug)]
struct Prices {
    prompt: f64,
    /// Of a prompt token, for each token before it, but for those of its own step.
    prompt_context: f64,
    /// Up to the knee and beyond it: of an output token, and for each token before it.
    output: [(f64, f64); 2],
    /// What a step takes that has an output token.
    step: f64,
}

const FEMTOS_PER_NANO: f64 = 1e6;

impl Prices {
    /// Of the engine's model. A step up to the knee has a larger base and dearer prompt tokens, and cheaper contexts.
    fn of_model() -> Self {
        let model = ServiceModel::by_id(MODEL).expect("it is one of them");
        let Formula::MixedByTokens { knee, below, above } = model.formula else {
            unreachable!("{MODEL} is a mixed one")
        };
        let of = |femtos: i64| femtos as f64 / FEMTOS_PER_NANO;
        let prompt = |terms: &MixedTerms, most: u64| {
            of(terms.base) / most as f64 + of(terms.token) + of(terms.prefill_token)
        };
        // A part of a prompt pays for what is before it once, whatever its size.
        let context = |terms: &MixedTerms, most: u64| of(terms.prefill_context) / most as f64;
        let output = |terms: &MixedTerms| (of(terms.token + terms.decode_token), of(terms.decode_context));
        // Beyond the knee: all that run at once, and prompts for the rest.
        let (running, rest) = (MOST_RUNNING as f64, (knee + 1 - MOST_RUNNING as u64) as f64);
        let large = of(above.base)
            + rest * of(above.token + above.prefill_token)
            + running * output(&above).0.min(0.0);
        Self {
            prompt: prompt(&above, STEP_TOKENS).min(prompt(&below, knee)),
            prompt_context: context(&above, STEP_TOKENS).min(context(&below, knee)),
            output: [output(&below), output(&above)],
            step: of(below.base).min(large),
        }
    }

    /// Of the last so many tokens of a prompt.
    fn of_prompt(&self, job: &Job, computed: u64) -> f64 {
        let before = |token: u64| token.saturating_sub(STEP_TOKENS) as f64;
        let prompt = u64::from(job.request.prompt);
        let contexts: f64 = (prompt - computed..prompt).map(before).sum();
        computed as f64 * self.prompt + contexts * self.prompt_context
    }

    /// The first token of an output comes with the end of the prompt.
    fn of_output(&self, job: &Job) -> f64 {
        let of_token = |context: u64| {
            let price = |(token, each): (f64, f64)| token + each * context as f64;
            price(self.output[0]).min(price(self.output[1]))
        };
        Self::contexts(job).map(of_token).sum::<f64>().max(0.0)
    }

    /// How long an output is generated.
    fn span_of_output(&self, job: &Job) -> f64 {
        let each = self.output[0].1.min(self.output[1].1);
        Self::contexts(job).map(|context| self.step + each * context as f64).sum()
    }

    /// What is before each token of an output that has a step of its own.
    fn contexts(job: &Job) -> impl Iterator<Item = u64> {
        let prompt = u64::from(job.request.prompt);
        (1..u64::from(job.request.output)).map(move |token| prompt + token)
    }
}

/// The largest few of some numbers, and their sum.
#[derive(Debug)]
struct Largest {
    most: usize,
    kept: BinaryHeap<Reverse<u64>>,
    sum: u64,
}

impl Largest {
    fn new(most: usize) -> Self {
        Self { most, kept: BinaryHeap::with_capacity(most + 1), sum: 0 }
    }

    fn add(&mut self, number: u64) {
        if self.kept.len() == self.most && self.kept.peek().is_none_or(|least| number <= least.0) {
            return;
        }
        self.kept.push(Reverse(number));
        self.sum += number;
        if self.kept.len() > self.most {
            self.sum -= self.kept.pop().expect("it has more than that").0;
        }
    }
}

/// The tokens that each prompt costs if whatever was in an earlier one is in every cache for ever. Who is served in another
/// order only exchanges with another who pays for what they share.
#[must_use]
pub fn computed_at_least(jobs: &[Job]) -> Vec<u64> {
    let mut seen = HashSet::new();
    let computed = |job: &Job| {
        let known = job.request.blocks.iter().take_while(|block| seen.contains(*block)).count();
        seen.extend(job.request.blocks.iter().copied());
        u64::from(job.request.prompt) - job.spared(known)
    };
    jobs.iter().map(computed).collect()
}

/// By request, blocks of its prompt that others have too, and those that nobody else has, of its prompt and of its output.
fn shared_and_own(jobs: &[Job]) -> (Vec<usize>, Vec<u64>) {
    let mut holders: HashMap<u64, u32> = HashMap::new();
    for block in jobs.iter().flat_map(|job| &job.request.blocks) {
        *holders.entry(*block).or_default() += 1;
    }
    let shared = |job: &Job| job.request.blocks.iter().filter(|&block| holders[block] > 1).count();
    let both = |job: &Job| (shared(job), (job.request.blocks.len() - shared(job) + job.private()) as u64);
    jobs.iter().map(both).unzip()
}

/// What requests need of something of which the workers together provide so much in a nanosecond: up to their first tokens, and
/// for the rest of their outputs.
struct Need {
    provided: u64,
    prompts: Vec<u64>,
    outputs: Vec<u64>,
}

impl Need {
    /// The most of outputs that those that run at once can leave undone, told apart by request, and what is to be added to it: of
    /// what is worth more than a price by the block it holds, where `blocks` are there.
    fn undone(&self, own: &[u64], blocks: u64, most: usize) -> (Vec<u64>, u64) {
        let beyond = |price: u64| -> Vec<u64> {
            let dearer = |(&output, &own): (&u64, &u64)| output.saturating_sub(price.saturating_mul(own));
            self.outputs.iter().zip(own).map(dearer).collect()
        };
        let all = |price: u64| {
            let mut largest = Largest::new(most);
            beyond(price).into_iter().for_each(|output| largest.add(output));
            largest.sum.saturating_add(price.saturating_mul(blocks))
        };
        let mut each: Vec<u64> =
            self.outputs.iter().zip(own).map(|(output, own)| output / own.max(&1)).collect();
        each.sort_unstable();
        let some = each.chunks(each.len().div_ceil(64)).map(|prices| prices[0]);
        let price = some.chain([0]).min_by_key(|&price| all(price)).expect("there is 0");
        (beyond(price), price.saturating_mul(blocks))
    }

    /// How long the last of all but so many that arrive in a window waits for its first token, at least. O(jobs²).
    fn least_wait_ns(
        &self,
        jobs: &[Job],
        late: usize,
        (undone, besides): &(Vec<u64>, u64),
        most: usize,
    ) -> u64 {
        let mut least = 0;
        let arrival = |index: usize| jobs[index].request.arrival_ns;
        // Of those that arrive at once all are in.
        let begins = (0..jobs.len()).filter(|&begin| begin == 0 || arrival(begin) > arrival(begin - 1));
        for begin in begins {
            let (mut work, mut left_out) = (0, Largest::new(late));
            let mut still_running = Largest::new(most);
            for (end, &undone) in undone.iter().enumerate().skip(begin) {
                let own = self.prompts[end] + self.outputs[end];
                work += own;
                left_out.add(own);
                still_running.add(undone);
                let due = work.saturating_sub(left_out.sum + still_running.sum + besides) / self.provided;
                least = least.max(due.saturating_sub(arrival(end) - arrival(begin)));
            }
        }
        least
    }
}

/// The p99 from arrival to first token in seconds that no order of these jobs undercuts on so many workers of so many blocks, if so
/// many tokens of each prompt are computed. O(jobs²).
///
/// # Panics
/// Without jobs.
#[must_use]
pub fn p99_at_least_s(jobs: &[Job], workers: usize, blocks: usize, computed: &[u64]) -> f64 {
    let prices = Prices::of_model();
    let of_prompt = |(job, &tokens): (&Job, &u64)| prices.of_prompt(job, tokens) as u64;
    let prompts: Vec<u64> = jobs.iter().zip(computed).map(of_prompt).collect();
    let (shared, own) = shared_and_own(jobs);
    let held = |(span, own): (f64, &u64)| span as u64 * own;
    // What others have too another may compute, who holds other blocks meanwhile.
    let of_own = |((job, &tokens), &shared): ((&Job, &u64), &usize)| {
        let others = job.spared(shared);
        prices.of_prompt(job, tokens.min(u64::from(job.request.prompt) - others))
    };
    let time = Need {
        provided: workers as u64,
        outputs: jobs.iter().map(|job| prices.of_output(job) as u64).collect(),
        prompts: prompts.clone(),
    };
    let memory = Need {
        provided: (workers * blocks) as u64,
        outputs: jobs.iter().map(|job| prices.span_of_output(job)).zip(&own).map(held).collect(),
        prompts: jobs.iter().zip(computed).zip(&shared).map(of_own).zip(&own).map(held).collect(),
    };
    let late = jobs.len() - (jobs.len() * 99).div_ceil(100);
    let most = workers * MOST_RUNNING;
    let of_need = |need: Need| {
        let undone = need.undone(&own, (workers * blocks) as u64, most);
        need.least_wait_ns(jobs, late, &undone, most)
    };
    let alone = Percentiles::of(prompts).p99.expect("there are jobs");
    [time, memory].into_iter().map(of_need).fold(alone, u64::max) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::super::engine::serve;
    use super::super::metric::metrics;
    use super::super::table::published;
    use super::*;
    use crate::random::Random;
    use crate::trace::BlockedRequest;

    fn job(arrival_s: u64, blocks: &[u64], output: u32) -> Job {
        let prompt = 512 * blocks.len() as u32;
        let blocks = blocks.to_vec();
        Job {
            client: 0,
            request: BlockedRequest { arrival_ns: arrival_s * 1_000_000_000, prompt, output, blocks },
        }
    }

    #[test]
    fn what_is_shared_is_paid_once() {
        let jobs = [job(0, &[1, 2], 1), job(1, &[1, 2, 3], 1), job(2, &[1, 2, 3], 1)];
        assert_eq!(computed_at_least(&jobs), [1_024, 512, 1], "the last token is always computed");
    }

    #[test]
    fn a_burst_takes_the_workers_as_long_as_its_work() {
        // 400 prompts of 2,048 tokens at once, of which 4 may be late: 201 ms each.
        let jobs: Vec<Job> = (0..400).map(|n| job(0, &[4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3], 1)).collect();
        let computed = computed_at_least(&jobs);
        let alone = |workers: usize| p99_at_least_s(&jobs, workers, 1 << 20, &computed);
        assert!((alone(1) - 396.0 * 0.2012).abs() < 1.0, "{}", alone(1));
        assert!((alone(4) - 99.0 * 0.2012).abs() < 0.5, "{}", alone(4));
        assert!((alone(1_000) - 0.2012).abs() < 0.01, "a prompt is on one worker: {}", alone(1_000));
    }

    #[test]
    fn who_has_to_wait_for_blocks_waits_for_steps() {
        // Each holds 4 blocks of 5 for at least 999 steps of 14.9 ms; one of 200 more may be late, and one still run.
        let jobs: Vec<Job> = (0..201).map(|n| job(0, &[2 * n, 2 * n + 1], 1_000)).collect();
        let computed = computed_at_least(&jobs);
        let least = p99_at_least_s(&jobs, 1, 5, &computed);
        assert!((least / (999.0 * 0.0151 * 197.0 * 4.0 / 5.0) - 1.0).abs() < 0.02, "{least}");
        let roomy = p99_at_least_s(&jobs, 1, 1 << 20, &computed);
        assert!(roomy < least / 10.0, "{roomy}, {least}");
    }

    #[test]
    fn no_run_undercuts_it() {
        let mut random = Random::new(11);
        let mut next = |below: u64| random.below(below);
        for (workers, blocks) in [(1, 90), (2, 200), (3, 4_000)] {
            let jobs: Vec<Job> = (0..300)
                .map(|n| {
                    let (shared, own, output) = (next(40), next(40) + 1, next(700) as u32 + 1);
                    let hashes = (0..shared).chain((0..own).map(|block| 1_000 * (n + 1) + block));
                    job(n / 4, &hashes.collect::<Vec<u64>>(), output)
                })
                .collect();
            for (name, mut policy) in published(workers).into_iter().take(2) {
                let answers = serve(&jobs, workers, blocks, &mut *policy);
                let computed: Vec<u64> = answers.iter().map(|answer| answer.computed).collect();
                let found = metrics(&jobs, &answers).ttft_p99_s;
                let of_order = p99_at_least_s(&jobs, workers, blocks, &computed);
                let least = p99_at_least_s(&jobs, workers, blocks, &computed_at_least(&jobs));
                assert!(least <= found && of_order <= found, "{name}: {least}, {of_order}, {found}");
                assert!(of_order > found / 4.0, "{name}: it says something: {of_order}, {found}");
            }
        }
    }
}
