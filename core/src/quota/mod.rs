//! Quota: what each node of the tenant tree may start, and the books of what it has open.
//!
//! Knows nodes by slot number, units and tokens; nothing of requests, tiers or queues. The rules are
//! `docs/QUOTA.md`.

mod bucket;
mod ledger;
