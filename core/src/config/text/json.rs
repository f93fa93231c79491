//! JSON: the same shape as TOML's. The reader knows the line of what is no JSON of this shape; other faults have
//! their paths.

use alloc::string::{String, ToString};
use alloc::vec;

use super::ConfigText;
use crate::config::Config;
use crate::fault::{ConfigError, ConfigFault};

impl Config {
    /// Reads a config from JSON: one object, with the fields of [the TOML form](Self::from_toml). A field that is
    /// `null` is at the builder's default, as if it were left out.
    ///
    /// ```
    /// let config = tidegate::Config::from_json(r#"{
    ///     "dimensions": ["slots", "kv_blocks"],
    ///     "min_run": "1500ms",
    ///     "tiers": [
    ///         {"name": "realtime", "reserve_ppm": 300000, "borrow_limit": {"slots": 4, "kv_blocks": 100}},
    ///         {"name": "batch"}
    ///     ]
    /// }"#)?;
    /// assert_eq!(config.tiers()[1].name(), "batch");
    /// # Ok::<(), tidegate::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`]: the first fault of text that is no JSON of this shape, else every fault found.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        serde_json::from_str::<ConfigText>(text).map_err(|error| no_such_shape(&error))?.config()
    }

    /// Writes the config as JSON that [`Self::from_json`] reads back as the same config. Every setting is written,
    /// defaults too; what has no limit is `null`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(&ConfigText::of(self))
            .expect("strings, numbers and tables by name are JSON");
        text.push('\n');
        text
    }
}

fn no_such_shape(error: &serde_json::Error) -> ConfigError {
    let told = error.to_string();
    // The line has a field of its own.
    let message = told.rsplit_once(" at line ").map_or(told.as_str(), |(message, _)| message).to_string();
    ConfigError { faults: vec![ConfigFault { path: String::new(), line: Some(error.line()), message }] }
}
