//! Table T4: prompts routed to the caches that have them, and fairness among clients beside it (Preble's E2, DLPM and
//! D2LPM, Mooncake's conversations).
//!
//! Lower rooms first: [`cache`] (blocks of one worker), [`engine`] (workers that fill steps with parts of prompts),
//! [`policies`] (those of the papers), [`hosted`] (tidegate), [`metric`], [`bound`] (what none can undercut), [`table`].

pub mod bound;
pub mod cache;
pub mod engine;
pub mod hosted;
pub mod metric;
pub mod policies;
pub mod table;
