//! How one step of an engine is split among the prompts that it could compute.
//!
//! Decides tokens per prompt by tier and share; knows neither requests nor workers. O(n log n) for n prompts.
//! Invariants: never more tokens than the step has, never more than a prompt has left, decodes first.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::config::{MAX_TIERS, StepTime};
use crate::id::Tier;
use crate::share::{Ppm, Rounding};
use crate::time::Instant;

/// A prompt that is not computed yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prompt {
    pub(crate) tier: Tier,
    pub(crate) started_at: Instant,
    pub(crate) sequence: u64,
    /// Tokens left of it. With one, it is like a request that generates.
    pub(crate) left: u64,
    /// Tokens of it, and of what it generated, in the KV cache.
    pub(crate) context: u64,
}

/// What one tier may have of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TierPart {
    /// Whether it has requests that wait for a start.
    pub(crate) waits: bool,
    /// The part of a step that its prompts get at most while a more urgent tier waits or has prompts.
    pub(crate) share: Ppm,
    /// Requests of it that generate a token in this step, and how long they should have to wait for it at most.
    pub(crate) decodes: u64,
    /// Tokens that those have in the KV cache.
    pub(crate) context: u64,
    pub(crate) objective_ns: Option<u64>,
}

/// Tokens of each prompt in a step of at most `tokens`, in the order of `prompts`.
pub(crate) fn split(
    tokens: u64,
    tiers: &[TierPart],
    model: Option<StepTime>,
    prompts: &[Prompt],
) -> Vec<u64> {
    let mut left = Budget::new(tokens, tiers, model);
    let step = tokens.min(left.tokens.saturating_add(decodes(tiers)));
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    order.sort_unstable_by(|&a, &b| compare(&prompts[a], &prompts[b]));
    let mut tier_left: [u64; MAX_TIERS] = [u64::MAX; MAX_TIERS];
    let mut someone_above = false;
    for (index, tier) in tiers.iter().enumerate() {
        if someone_above {
            tier_left[index] = tier.share.of(step, Rounding::Floor);
        }
        let has_prompts = prompts.iter().any(|prompt| prompt.tier.index() == index && prompt.left > 0);
        someone_above |= tier.waits || has_prompts;
    }
    let mut plan = alloc::vec![0; prompts.len()];
    for index in order {
        let prompt = &prompts[index];
        let of_tier = &mut tier_left[prompt.tier.index()];
        let given = left.give(prompt, *of_tier);
        plan[index] = given;
        *of_tier -= given;
    }
    plan
}

/// Tiers from the top, then those that started first, then arrived first.
fn compare(a: &Prompt, b: &Prompt) -> Ordering {
    let rank = |prompt: &Prompt| (prompt.tier, prompt.started_at, prompt.sequence);
    rank(a).cmp(&rank(b))
}

fn decodes(tiers: &[TierPart]) -> u64 {
    tiers.iter().map(|tier| tier.decodes).sum()
}

/// What is left for prompts when each decode has its token, and none has to wait longer than its tier wants.
struct Budget {
    tokens: u64,
    /// Nanoseconds, if they are bounded, and what they are spent by.
    time: Option<(u64, StepTime)>,
}

impl Budget {
    fn new(tokens: u64, tiers: &[TierPart], model: Option<StepTime>) -> Self {
        let left = tokens.saturating_sub(decodes(tiers));
        let objectives = tiers.iter().filter(|tier| tier.decodes > 0).filter_map(|tier| tier.objective_ns);
        let (Some(model), Some(objective)) = (model, objectives.min()) else {
            return Self { tokens: left, time: None };
        };
        let generate = decodes(tiers).saturating_mul(model.decode_ns);
        let context = tiers.iter().map(|tier| tier.context).fold(0, u64::saturating_add);
        let context = model.decode_takes(context) - model.decode_ns;
        let fixed = model.base_ns.saturating_add(generate).saturating_add(context);
        let Some(slack) = objective.checked_sub(fixed) else { return Self { tokens: 0, time: None } };
        let most = slack.checked_div(model.prompt_token_ns).unwrap_or(left);
        Self { tokens: left.min(most), time: Some((slack, model)) }
    }

    /// Spends tokens, and time, on a prompt: how many of `most` tokens.
    fn give(&mut self, prompt: &Prompt, most: u64) -> u64 {
        let wanted = prompt.left.min(self.tokens).min(most);
        let Some((slack, model)) = &mut self.time else {
            self.tokens -= wanted;
            return wanted;
        };
        let (fixed, each) = match prompt.left {
            1 => (model.decode_takes(prompt.context), 0),
            _ => (model.prompt_context_takes(prompt.context), model.prompt_token_ns),
        };
        let given = match slack.checked_sub(fixed) {
            None => 0,
            Some(rest) => rest.checked_div(each).map_or(wanted, |most| wanted.min(most)),
        };
        if given > 0 {
            *slack -= fixed + given * each;
            self.tokens -= given;
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use proptest::prelude::*;

    fn tier(waits: bool, decodes: u64) -> TierPart {
        TierPart { waits, share: Ppm::new(250_000), decodes, context: 0, objective_ns: None }
    }

    fn prompt(tier: u8, left: u64) -> Prompt {
        Prompt { tier: Tier::new(tier), started_at: Instant::ZERO, sequence: left, left, context: 0 }
    }

    #[test]
    fn a_long_batch_prompt_has_the_step_alone_until_someone_urgent_waits() {
        let batch = [prompt(2, 32_768)];
        let idle = [tier(false, 0), tier(false, 0), tier(false, 0)];
        assert_eq!(split(2_048, &idle, None, &batch), [2_048]);
        let urgent = [tier(true, 0), tier(false, 0), tier(false, 0)];
        assert_eq!(split(2_048, &urgent, None, &batch), [512]);
        assert_eq!(split(2_048, &idle, None, &[batch[0], prompt(0, 64)]), [512, 64]);
    }

    #[test]
    fn decodes_come_first() {
        let tiers = [tier(false, 30), tier(false, 0)];
        assert_eq!(split(40, &tiers, None, &[prompt(1, 100)]), [10]);
        assert_eq!(split(20, &tiers, None, &[prompt(1, 100)]), [0]);
    }

    #[test]
    fn a_step_is_cut_to_the_least_objective_of_who_decodes() {
        let model = StepTime::new(Duration::from_nanos(10), Duration::from_nanos(2), Duration::from_nanos(1));
        let with = |decodes, objective| TierPart { objective_ns: Some(objective), ..tier(false, decodes) };
        let prompts = [prompt(1, 1_000)];
        assert_eq!(split(500, &[with(5, 100), with(5, 50)], Some(model), &prompts), [(50 - 10 - 10) / 2]);
        assert_eq!(split(500, &[with(5, 100), with(0, 50)], Some(model), &prompts), [(100 - 15) / 2]);
        assert_eq!(split(500, &[with(5, 14), with(0, 50)], Some(model), &prompts), [0]);
        assert_eq!(split(500, &[with(0, 14), with(0, 50)], Some(model), &prompts), [500]);
        let urgent = TierPart { waits: true, ..with(5, 50) };
        assert_eq!(
            split(500, &[urgent, with(5, 100)], Some(model), &prompts),
            [(10 + 15) / 4],
            "a share of that"
        );
    }

    #[test]
    fn contexts_take_their_time() {
        let nanos = Duration::from_nanos;
        let model = StepTime::new(nanos(10), nanos(2), nanos(1)).contexts(nanos(1_024), nanos(2_048));
        let decodes = TierPart { context: 20, objective_ns: Some(100), ..tier(false, 5) };
        let with = |left, context| Prompt { context, ..prompt(0, left) };
        let plan = |prompts: &[Prompt]| split(500, &[decodes], Some(model), prompts);
        assert_eq!(plan(&[with(90, 0)]), [(100 - 10 - 5 - 20) / 2]);
        assert_eq!(plan(&[with(90, 10)]), [(65 - 20) / 2]);
        assert_eq!(plan(&[with(10, 10), with(90, 10)]), [10, (65 - 40 - 20) / 2], "each its own");
        assert_eq!(plan(&[with(90, 33), with(90, 0)]), [0, 32], "another may still fit");
        assert_eq!(plan(&[with(1, 10), with(90, 0)]), [1, (65 - 11) / 2], "one token is as if generated");
        assert_eq!(plan(&[with(1, 65), with(1, 64)]), [0, 1]);
    }

    proptest! {
        #[test]
        fn nothing_is_given_twice_and_nothing_wasted(
            tokens in 0_u64..3_000,
            tiers in prop::collection::vec((any::<bool>(), 0_u64..20, 0_u32..=1_000_000), 1..=8),
            prompts in prop::collection::vec((0_u8..8, 0_u64..2_000, 0_u64..4), 0..12),
        ) {
            let parts: Vec<TierPart> = tiers
                .iter()
                .map(|&(waits, decodes, ppm)| TierPart { share: Ppm::new(ppm), ..tier(waits, decodes) })
                .collect();
            let prompts: Vec<Prompt> = prompts
                .into_iter()
                .map(|(tier, left, at)| Prompt {
                    tier: Tier::new(tier % parts.len() as u8),
                    started_at: Instant::from_nanos(at),
                    sequence: 0,
                    left,
                    context: 0,
                })
                .collect();
            let plan = split(tokens, &parts, None, &prompts);
            let decodes: u64 = parts.iter().map(|part| part.decodes).sum();
            let given: u64 = plan.iter().sum();
            prop_assert!(given <= tokens.saturating_sub(decodes));
            prop_assert!(plan.iter().zip(&prompts).all(|(given, prompt)| *given <= prompt.left));
            let top = parts.iter().position(|part| part.waits)
                .into_iter()
                .chain(prompts.iter().filter(|prompt| prompt.left > 0).map(|prompt| prompt.tier.index()))
                .min();
            for (index, part) in parts.iter().enumerate() {
                let of_tier = || plan.iter().zip(&prompts).filter(|(_, prompt)| prompt.tier.index() == index);
                let (had, wanted): (u64, u64) =
                    of_tier().fold((0, 0), |(had, wanted), (given, prompt)| (had + given, wanted + prompt.left));
                if top < Some(index) {
                    prop_assert!(had <= part.share.of(tokens, Rounding::Floor));
                } else if had < wanted {
                    prop_assert_eq!(given, tokens.saturating_sub(decodes), "the most urgent get all they want");
                }
            }
        }
    }
}
