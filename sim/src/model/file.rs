//! Models of one's own: read from the JSON that `tidegate fit` writes. Coefficients are whole femtoseconds, as in the
//! catalogue, so that a model is the same after it was written and read.

use serde::{Deserialize, Serialize};

use super::{BLOCK_TOKENS, Batching, Formula, ServiceModel};

/// The most that a coefficient may be, in femtoseconds: an hour. Sums of products with token counts then fit.
const MAX_COEFFICIENT: i64 = 3_600_000_000_000_000_000;

/// The most KV blocks of a worker: what its counters hold in tokens.
const MAX_KV_BLOCKS: u32 = u32::MAX / BLOCK_TOKENS / 2;

/// A model as it stands in a file: the fields of [`ServiceModel`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// The name that results print.
    pub id: String,
    /// Where the numbers come from.
    pub source: String,
    /// The formula, in femtoseconds.
    pub formula: Formula,
    /// How prompts and decodes share iterations.
    pub batching: Batching,
    /// KV blocks of one worker.
    pub kv_blocks: u32,
    /// Requests that one worker runs at a time.
    pub slots: u32,
    /// Bytes of KV cache per token.
    pub kv_bytes_per_token: u32,
}

impl ModelFile {
    /// Reads a file's text.
    ///
    /// # Errors
    /// One line: where the text is no such JSON, or which number cannot be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), String> {
        let sizes = [("kv_blocks", self.kv_blocks, MAX_KV_BLOCKS), ("slots", self.slots, 1 << 16)];
        if let Some((name, value, most)) = sizes.iter().find(|(_, value, most)| !(1..=*most).contains(value))
        {
            return Err(format!("{name}: {value} is not a whole number from 1 to {most}"));
        }
        match self.batching {
            Batching::Chunked { tokens, .. } if tokens <= self.slots => {
                return Err(format!(
                    "batching: {} slots leave none of {tokens} tokens for prompts",
                    self.slots
                ));
            }
            Batching::Chunked { prompts: 0, .. } => return Err("batching: prompts: 0 at a time".to_owned()),
            Batching::Chunked { .. } | Batching::PrefillFirst { .. } => {}
        }
        if !self.formula.ascends() {
            return Err("formula: measured points do not ascend".to_owned());
        }
        let too_large = self
            .formula
            .coefficients()
            .into_iter()
            .find(|&c| !(-MAX_COEFFICIENT..=MAX_COEFFICIENT).contains(&c));
        too_large.map_or(Ok(()), |c| Err(format!("formula: {c} fs is more than an hour")))
    }

    /// As JSON, with a line end.
    ///
    /// # Panics
    /// Never: numbers and text have a form in JSON.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and text") + "\n"
    }

    /// The model, which lives as long as the process: models are few, and everything points to them.
    #[must_use]
    pub fn into_model(self) -> &'static ServiceModel {
        Box::leak(Box::new(ServiceModel {
            id: self.id.leak(),
            source: self.source.leak(),
            formula: self.formula,
            batching: self.batching,
            kv_blocks: self.kv_blocks,
            slots: self.slots,
            kv_bytes_per_token: self.kv_bytes_per_token,
        }))
    }
}

impl From<&ServiceModel> for ModelFile {
    fn from(model: &ServiceModel) -> Self {
        Self {
            id: model.id.to_owned(),
            source: model.source.to_owned(),
            formula: model.formula,
            batching: model.batching,
            kv_blocks: model.kv_blocks,
            slots: model.slots,
            kv_bytes_per_token: model.kv_bytes_per_token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MODELS;

    #[test]
    fn every_model_is_the_same_after_a_file() {
        for model in MODELS {
            let read = ModelFile::parse(&ModelFile::from(model).to_text()).expect("what we write we read");
            assert_eq!(read.into_model(), model);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let text = ModelFile::from(&MODELS[0]).to_text();
        for (from, to, problem) in [
            ("\"slots\": 64", "\"slots\": 0", "slots: 0 is not a whole number from 1 to 65536"),
            ("\"slots\": 64", "\"slots\": 512", "batching: 512 slots leave none of 512 tokens for prompts"),
            ("\"slots\"", "\"slot\"", "unknown field `slot`"),
            ("58824750000", "9000000000000000000", "formula: 9000000000000000000 fs is more than an hour"),
        ] {
            let error = ModelFile::parse(&text.replace(from, to)).expect_err("it cannot be");
            assert!(error.contains(problem), "{error}");
        }
    }
}
