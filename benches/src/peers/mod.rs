//! What anybody would take from a registry instead, doing what of ours it can. Each says what it leaves out.

mod heap_governor;
mod heap_mutex;
mod priority_queue;

use std::cmp::Reverse;

pub use heap_governor::HeapGovernor;
pub use heap_mutex::pass_through_mutex;
pub use priority_queue::CancelByKey;

/// Tier and arrival, the least first.
pub(crate) type Key = Reverse<(u64, u64)>;

/// The key of the request of this number.
pub(crate) const fn key(id: u64) -> Key {
    Reverse((id % 3, id))
}
