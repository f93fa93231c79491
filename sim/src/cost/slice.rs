//! Parts of a GPU as workers: MIG, MPS and time-slicing.
//!
//! Decides how much slower a part is and what memory it has left for the KV cache. The sums are simple and said in the
//! docs; nothing here was measured on a GPU that is shared.

use std::fmt;
use std::str::FromStr;

use crate::hardware::{Slicing, slowdown};
use crate::model::{BLOCK_TOKENS, Batching, ServiceModel};

/// Bytes in the unit of [`Slice::vram_gib`].
const GIB: f64 = (1_u64 << 30) as f64;

/// A part of a GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slice {
    /// How.
    pub slicing: Slicing,
    /// Into how many parts.
    pub parts: u32,
    /// Memory of the whole GPU.
    pub vram_gib: f64,
    /// What the model's weights and the engine take of each part.
    pub weights_gib: f64,
}

impl Slice {
    /// The model on such a part, which lives as long as the process. Every iteration takes longer; slots and blocks
    /// are what fits.
    ///
    /// # Errors
    /// One line: what does not fit.
    pub fn of(&self, model: &ServiceModel) -> Result<&'static ServiceModel, String> {
        let most = if self.slicing == Slicing::Mig { 7 } else { 48 };
        if !(1..=most).contains(&self.parts) {
            return Err(format!("{} parts: a GPU has from 1 to {most}", self.parts));
        }
        let left = self.vram_gib / f64::from(self.parts) - self.weights_gib;
        let blocks = left * GIB / (f64::from(model.kv_bytes_per_token) * f64::from(BLOCK_TOKENS));
        if blocks < 1.0 {
            return Err(format!(
                "a part has {:.1} GiB, and the weights take {:.1}: nothing is left for the KV cache",
                self.vram_gib / f64::from(self.parts),
                self.weights_gib
            ));
        }
        let slots = (model.slots / self.parts).max(1);
        let id = format!("{}/{self}", model.id);
        Ok(Box::leak(Box::new(ServiceModel {
            id: id.leak(),
            formula: model.formula.slower(slowdown(self.slicing, self.parts)),
            kv_blocks: blocks as u32,
            slots,
            batching: match model.batching {
                Batching::Chunked { tokens, prompts } => {
                    Batching::Chunked { tokens: tokens.max(slots + 1), prompts }
                }
                whole @ Batching::PrefillFirst { .. } => whole,
            },
            ..*model
        })))
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.slicing {
            Slicing::Mig => "mig",
            Slicing::Mps => "mps",
            Slicing::Time => "time",
        };
        write!(f, "{name}:{}", self.parts)
    }
}

impl FromStr for Slicing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mig" => Ok(Self::Mig),
            "mps" => Ok(Self::Mps),
            "time" => Ok(Self::Time),
            _ => Err("expected mig, mps or time".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Load, MODELS};

    #[test]
    fn a_part_is_slower_and_smaller() {
        let slice = Slice { slicing: Slicing::Mig, parts: 2, vram_gib: 80.0, weights_gib: 16.0 };
        let whole = &MODELS[0];
        let part = slice.of(whole).expect("it fits");
        let load = Load { decode_tokens: 10, decode_context: 5_000, ..Load::default() };
        // Three of seven compute slices.
        let ratio = part.iteration_ns(&load) as f64 / whole.iteration_ns(&load) as f64;
        assert!((ratio - 7.0 / 3.0).abs() < 1e-6, "{ratio}");
        // 24 GiB at 128 KiB a token, 16 tokens a block.
        assert_eq!((part.kv_blocks, part.slots, part.id), (12_288, 32, "llama3-8b/mig:2"));
        let error = Slice { parts: 5, ..slice }.of(whole).expect_err("16 GiB each");
        assert_eq!(error, "a part has 16.0 GiB, and the weights take 16.0: nothing is left for the KV cache");
        assert!(Slice { parts: 8, ..slice }.of(whole).is_err(), "MIG has seven");
    }
}
