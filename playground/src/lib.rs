//! The scheduler in a browser: a small world of clients and engines around it, which a page without a server drives.
//!
//! [`World`] is the host: it knows what arrives, what an engine takes for it, and what time it is. `view` says what
//! there is to see as JSON, and `door` is what the page calls. The world has no clock, randomness or IO of its own, and counts
//! in whole numbers: the same seed and the same knobs give the same picture everywhere.

#![deny(unsafe_code)]

mod door;
mod view;
mod world;

pub use world::{SLOTS, TIERS, TierSetup, WORKERS, World};
