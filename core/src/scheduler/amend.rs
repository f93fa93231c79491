//! What changes while running: `amend` of a request, `reconfigure` of everything but the names.

use super::Scheduler;
use crate::config::{Config, ConfigError};
use crate::error::AmendError;
use crate::event::Amendment;
use crate::id::RequestId;
use crate::time::Instant;

impl Scheduler {
    /// Changes what a live request asks for, how urgent it is, or when its answer is wanted. One that waits gives
    /// up its claim and takes its place anew, with its arrival; of one on a worker the use moves to the new tier,
    /// and demand and peak matter at its next start.
    ///
    /// # Errors
    /// [`AmendError`]: those of `submit` for what it would ask then, those of a report for the request itself;
    /// [`ReportError::WrongState`](crate::ReportError::WrongState) if it is to stop.
    pub fn amend(&mut self, now: Instant, request: RequestId, amendment: Amendment) -> Result<(), AmendError> {
        todo!("{now} {request} {amendment:?}")
    }

    /// Takes another config with the same dimensions, pools and tiers by number and name. Queues are ordered anew,
    /// shares and parking computed anew; timeouts that run already stay. O(n log n) for n waiting requests.
    ///
    /// # Errors
    /// [`ConfigError`] with a fault for each name that differs; nothing changed.
    pub fn reconfigure(&mut self, now: Instant, config: Config) -> Result<(), ConfigError> {
        todo!("{now} {config:?}")
    }
}
