//! A cluster's manifests and the file: [`import`] reads priority classes, quotas, the NVIDIA device plugin's sharing
//! config, nodes and workloads as tiers, tenants, devices and workers; [`export`] writes manifests that say what a file
//! says. A config map with the whole file (`tidegate.toml`) goes with them, and says what Kubernetes has no word for; where
//! both speak of one thing, the objects of the cluster are taken, and the difference is told.
//!
//! What has no counterpart is a note, never passed over in silence. `metadata`, `status`, descriptions and labels that
//! say nothing of GPUs are no settings. Texts are bounded: 16 MiB each, and what aliases repeat counts.

mod export;
mod fleet;
mod import;
mod ledger;
mod names;
mod nodes;
mod pods;
mod sharing;
mod tenants;
mod text;
mod tiers;
mod yaml;

pub use export::{Exported, export};
pub use import::{Imported, import};
pub use ledger::{ManifestError, Note};
pub use names::{MAX_PRIORITY, Names, Sharing, Strategy};

/// The most bytes of one file of manifests.
pub const MAX_MANIFEST_BYTES: usize = yaml::MAX_TEXT;

/// What the file is called within a config map.
const TIDEGATE_TOML: &str = "tidegate.toml";
