//! Service-time models: how long one iteration of an engine takes, and how much KV memory a worker has.
//!
//! A model is a published fit, found by its id, or one of the user's own from a file. It decides the length of an iteration from what is in the
//! iteration ([`Load`]), how prompts and decodes share iterations ([`Batching`]) and the worker's default
//! size. It knows nothing of requests, queues or schedulers. Durations are integers: coefficients are whole
//! femtoseconds, so that every platform computes the same nanosecond.

mod catalog;
mod file;

use serde::{Deserialize, Serialize};

pub use catalog::{DEFAULT_MODEL, GPU_JOBS, MODELS};
pub use file::ModelFile;

/// Tokens in one KV block, as in vLLM.
pub const BLOCK_TOKENS: u32 = 16;

/// Bytes per second between GPU and host memory when a checkpoint is swapped out or in: 25 GB/s, the figure
/// that `papers.md` assumes (PCIe 4.0 x16 in practice).
const SWAP_BYTES_PER_SECOND: u128 = 25_000_000_000;

/// Femtoseconds in a nanosecond.
const FEMTOS_PER_NANO: u64 = 1_000_000;

/// What one iteration works on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Prompt tokens computed.
    pub prefill_tokens: u64,
    /// Tokens that those prompts had in the KV cache before.
    pub prefill_context: u64,
    /// The sum over prompts of the square of the tokens computed.
    pub prefill_squares: u64,
    /// Requests that decode one token each.
    pub decode_tokens: u64,
    /// Tokens that those requests had in the KV cache before.
    pub decode_context: u64,
}

/// How long one iteration after the other takes, as long as each has as many tokens of the same requests and only
/// their contexts grow. In femtoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// What does not change.
    fixed: i128,
    /// The linear fit of the rest, at least `least`.
    fit: i128,
    least: i128,
    /// What it grows by from one iteration to the next.
    growth: i128,
}

impl Pace {
    /// Femtoseconds of the iteration, less than none if the fit says so.
    pub(crate) fn femtos(&self) -> i128 {
        self.fixed + self.fit.max(self.least)
    }

    /// Nanoseconds of the iteration.
    #[must_use]
    #[inline]
    pub fn ns(&self) -> u64 {
        let femtos = self.femtos();
        match u64::try_from(femtos) {
            Ok(femtos) => femtos / FEMTOS_PER_NANO,
            // Beyond five hours the fit says nothing any more, but time goes on.
            Err(_) => u64::try_from(femtos / i128::from(FEMTOS_PER_NANO)).unwrap_or(0),
        }
    }

    /// Turns to the next iteration.
    #[inline]
    pub fn go_on(&mut self) {
        self.fit += self.growth;
    }
}

/// How prompts and decodes share iterations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Batching {
    /// Each iteration decodes every running request and fills up to this many tokens with parts of prompts
    /// (chunked prefill).
    Chunked {
        /// Tokens of one iteration, decodes included.
        tokens: u32,
        /// Prompts of one tier that share an iteration evenly, those admitted first; 1 computes one after the
        /// other. vLLM calls it `max_num_partial_prefills`.
        prompts: u32,
    },
    /// While prompts wait, an iteration computes whole prompts, up to this many tokens but at least one
    /// prompt, and nothing else; decodes go on afterwards.
    PrefillFirst {
        /// Prompt tokens of one iteration.
        tokens: u32,
    },
}

/// The published formula, with coefficients in femtoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Formula {
    /// One linear form up to `knee` tokens, another beyond.
    MixedByTokens {
        /// Tokens of an iteration up to which `below` holds.
        knee: u64,
        /// Up to the knee.
        below: MixedTerms,
        /// Beyond it.
        above: MixedTerms,
    },
    /// Prompts and decodes are timed apart; an iteration with both takes the sum.
    Apart {
        /// For the prompts.
        prefill: PrefillTerms,
        /// For fewer decodes than `knee`.
        decode_below: DecodeTerms,
        /// Decodes from which `decode_above` holds.
        knee: u64,
        /// For `knee` decodes and more.
        decode_above: DecodeTerms,
    },
    /// Measured iterations, with straight lines between and beyond them; contexts count for nothing.
    Measured {
        /// Prompt tokens of an iteration, ascending, and how long it takes.
        prefill: [Point; 5],
        /// Decodes of an iteration, likewise.
        decode: [Point; 4],
        /// An iteration with both takes so many hundredths of one whose tokens are all of prompts.
        mixed_percent: u32,
    },
}

/// An iteration that was measured: how many tokens it had, and its femtoseconds.
pub type Point = (u32, i64);

/// Coefficients of an iteration that mixes prompts and decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixedTerms {
    /// Every iteration.
    pub base: i64,
    /// Each token, prompt or decode.
    pub token: i64,
    /// Each prompt token, besides.
    pub prefill_token: i64,
    /// Each decode token, besides.
    pub decode_token: i64,
    /// Each token of context of a decode.
    pub decode_context: i64,
    /// Each token of context of a prompt.
    pub prefill_context: i64,
}

/// Coefficients of the prompts of an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefillTerms {
    /// Every iteration with a prompt.
    pub base: i64,
    /// Each prompt token.
    pub token: i64,
    /// Each unit of the sum of squares.
    pub square: i64,
}

/// Coefficients of the decodes of an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecodeTerms {
    /// Every iteration with a decode.
    pub base: i64,
    /// Each decode.
    pub token: i64,
    /// Each token of context.
    pub context: i64,
    /// An iteration with a decode takes at least this long.
    pub least: i64,
}

/// A service-time model with the worker it was measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceModel {
    /// The name by which it is chosen and printed.
    pub id: &'static str,
    /// Where the numbers come from.
    pub source: &'static str,
    /// The formula.
    pub formula: Formula,
    /// How its engine mixes prompts and decodes.
    pub batching: Batching,
    /// KV blocks of one worker, of [`BLOCK_TOKENS`] each.
    pub kv_blocks: u32,
    /// Requests that one worker runs at a time, unless told otherwise.
    pub slots: u32,
    /// Bytes of KV cache per token on one link to host memory.
    pub kv_bytes_per_token: u32,
}

impl Formula {
    /// As [`ServiceModel::pace`].
    #[must_use]
    pub fn pace(&self, load: &Load) -> Pace {
        match *self {
            Self::MixedByTokens { knee, ref below, ref above } => {
                match load.prefill_tokens + load.decode_tokens {
                    0 => Pace::default(),
                    tokens if tokens <= knee => below.pace(load),
                    _ => above.pace(load),
                }
            }
            Self::Apart { ref prefill, ref decode_below, knee, ref decode_above } => {
                let decode = if load.decode_tokens < knee { decode_below } else { decode_above };
                Pace { fixed: prefill.femtos(load), ..decode.pace(load) }
            }
            Self::Measured { ref prefill, ref decode, mixed_percent } => {
                let fixed = match (load.prefill_tokens, load.decode_tokens) {
                    (0, 0) => 0,
                    (0, decodes) => on_lines(decode, decodes),
                    (prompts, 0) => on_lines(prefill, prompts),
                    (prompts, decodes) => {
                        on_lines(prefill, prompts + decodes) * i128::from(mixed_percent) / 100
                    }
                };
                Pace { fixed, ..Pace::default() }
            }
        }
    }

    /// With all that it takes so many times as long.
    pub(crate) fn slower(&self, factor: f64) -> Self {
        let by = |fs: i64| (fs as f64 * factor).round() as i64;
        let mixed = |t: &MixedTerms| MixedTerms {
            base: by(t.base),
            token: by(t.token),
            prefill_token: by(t.prefill_token),
            decode_token: by(t.decode_token),
            decode_context: by(t.decode_context),
            prefill_context: by(t.prefill_context),
        };
        let decode = |t: &DecodeTerms| DecodeTerms {
            base: by(t.base),
            token: by(t.token),
            context: by(t.context),
            least: by(t.least),
        };
        match self {
            Self::MixedByTokens { knee, below, above } => {
                Self::MixedByTokens { knee: *knee, below: mixed(below), above: mixed(above) }
            }
            Self::Apart { prefill, decode_below, knee, decode_above } => Self::Apart {
                prefill: PrefillTerms {
                    base: by(prefill.base),
                    token: by(prefill.token),
                    square: by(prefill.square),
                },
                decode_below: decode(decode_below),
                knee: *knee,
                decode_above: decode(decode_above),
            },
            Self::Measured { prefill, decode, mixed_percent } => Self::Measured {
                prefill: prefill.map(|(tokens, fs)| (tokens, by(fs))),
                decode: decode.map(|(tokens, fs)| (tokens, by(fs))),
                mixed_percent: *mixed_percent,
            },
        }
    }

    /// Whether measured points ascend, as lines between them need.
    fn ascends(&self) -> bool {
        let ascends = |points: &[Point]| points.windows(2).all(|pair| pair[0].0 < pair[1].0);
        match self {
            Self::Measured { prefill, decode, .. } => ascends(prefill) && ascends(decode),
            Self::MixedByTokens { .. } | Self::Apart { .. } => true,
        }
    }

    /// All of its coefficients.
    fn coefficients(&self) -> Vec<i64> {
        match self {
            Self::MixedByTokens { below, above, .. } => [below, above]
                .iter()
                .flat_map(|t| {
                    let contexts = [t.decode_context, t.prefill_context];
                    [t.base, t.token, t.prefill_token, t.decode_token].into_iter().chain(contexts)
                })
                .collect(),
            Self::Apart { prefill, decode_below, decode_above, .. } => {
                let decodes = [decode_below, decode_above];
                let decodes = decodes.iter().flat_map(|t| [t.base, t.token, t.context, t.least]);
                [prefill.base, prefill.token, prefill.square].into_iter().chain(decodes).collect()
            }
            Self::Measured { prefill, decode, .. } => {
                prefill.iter().chain(decode).map(|&(_, femtos)| femtos).collect()
            }
        }
    }
}

impl ServiceModel {
    /// The model of this id.
    #[must_use]
    pub fn by_id(id: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.id == id)
    }

    /// The same with iterations that take so many times as long. What differs lives as long as the process.
    #[must_use]
    pub fn slower(&'static self, factor: f64) -> &'static Self {
        if factor == 1.0 {
            return self;
        }
        Box::leak(Box::new(Self { formula: self.formula.slower(factor), ..*self }))
    }

    /// Nanoseconds that an iteration takes; 0 for an empty one. O(1).
    #[must_use]
    pub fn iteration_ns(&self, load: &Load) -> u64 {
        self.pace(load).ns()
    }

    /// How long an iteration with this load takes, and those after it that have as many tokens of the same
    /// requests. O(1).
    #[must_use]
    pub fn pace(&self, load: &Load) -> Pace {
        self.formula.pace(load)
    }

    /// Nanoseconds to copy the KV cache of this many tokens to host memory, or back.
    #[must_use]
    pub fn swap_ns(&self, tokens: u64) -> u64 {
        let bytes = u128::from(tokens) * u128::from(self.kv_bytes_per_token);
        u64::try_from(bytes * 1_000_000_000 / SWAP_BYTES_PER_SECOND).unwrap_or(u64::MAX)
    }
}

/// Femtoseconds at `tokens`, on the line through the two measured points around it, or through the two nearest.
fn on_lines(points: &[Point], tokens: u64) -> i128 {
    let beyond = points.partition_point(|&(at, _)| u64::from(at) < tokens);
    let last = points.len().saturating_sub(1);
    let right = beyond.clamp(1.min(last), last);
    let [(from, low), (to, high)] = [points[right.saturating_sub(1)], points[right]];
    let span = i128::from(to - from).max(1);
    i128::from(low) + i128::from(high - low) * (i128::from(tokens) - i128::from(from)) / span
}

/// `coefficient * count`, wide enough for any count.
fn times(coefficient: i64, count: u64) -> i128 {
    i128::from(coefficient) * i128::from(count)
}

impl MixedTerms {
    fn pace(&self, load: &Load) -> Pace {
        let fit = i128::from(self.base)
            + times(self.token, load.prefill_tokens + load.decode_tokens)
            + times(self.prefill_token, load.prefill_tokens)
            + times(self.decode_token, load.decode_tokens)
            + times(self.decode_context, load.decode_context)
            + times(self.prefill_context, load.prefill_context);
        let growth =
            times(self.decode_context, load.decode_tokens) + times(self.prefill_context, load.prefill_tokens);
        Pace { fixed: 0, fit, growth, least: 0 }
    }
}

impl PrefillTerms {
    fn femtos(&self, load: &Load) -> i128 {
        if load.prefill_tokens == 0 {
            return 0;
        }
        i128::from(self.base)
            + times(self.token, load.prefill_tokens)
            + times(self.square, load.prefill_squares)
    }
}

impl DecodeTerms {
    fn pace(&self, load: &Load) -> Pace {
        if load.decode_tokens == 0 {
            return Pace::default();
        }
        let fit = i128::from(self.base)
            + times(self.token, load.decode_tokens)
            + times(self.context, load.decode_context);
        let growth = times(self.context, load.decode_tokens);
        Pace { fixed: 0, fit, growth, least: self.least.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_goes_on_as_iterations_with_longer_contexts_do() {
        for model in MODELS {
            for (prefill_tokens, decode_tokens) in [(0, 3), (100, 0), (100, 60), (700, 200)] {
                let mut load =
                    Load { prefill_tokens, decode_tokens, decode_context: 9_000, ..Load::default() };
                let mut pace = model.pace(&load);
                for _ in 0..50 {
                    assert_eq!(pace.ns(), model.iteration_ns(&load), "{}: {load:?}", model.id);
                    load.prefill_context += prefill_tokens;
                    load.decode_context += decode_tokens;
                    pace.go_on();
                }
            }
        }
    }
}
