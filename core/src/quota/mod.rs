//! Quota: what each node of the tree of tenants may start, and the books of what it has open.
//!
//! Knows nodes by slot number, units and tokens; nothing of requests, tiers or queues. The rules are
//! `docs/QUOTA.md` and `docs/LEASES.md`. Invariants: QUO-1, QUO-2 and QUO-4, each a property in `model`; QUO-3 in
//! `lease`.

mod allowance;
mod bucket;
mod lease;
mod ledger;
#[cfg(test)]
mod model;
mod node;
#[cfg(test)]
mod tests;

pub(crate) use lease::{Answer, Why};
pub(crate) use ledger::{Busy, Ledger, Misplaced, Never, NotNow, Refusal, Unanswered};
pub(crate) use node::{Ahead, Ask, Books};
