//! What the benches and the scorecard measure, one file for each kind of work. Every function checks that the scheduler
//! did what it is timed for.

mod batches;
mod caches;
mod cancellations;
mod conditions;
mod growth;
mod idle;
pub mod measure;
mod one_batch;
pub mod peers;
mod placing;
mod preemption;
mod restart;
pub mod shared;
mod steady_state;

pub use batches::Batches;
pub use caches::Caches;
pub use cancellations::Cancellations;
pub use growth::{GrowingQueue, GrowingTenants};
pub use idle::Idle;
pub use one_batch::OneBatch;
pub use placing::Placing;
pub use preemption::Preemptions;
pub use restart::Restart;
pub use steady_state::SteadyState;
