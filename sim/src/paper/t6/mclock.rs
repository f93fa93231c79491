//! [`MClock`] in the server.

use super::server::{Policy, WORKERS};
use crate::policy::MClock;

impl Policy for MClock {
    fn submit(&mut self, now_ns: u64, id: usize, client: usize, cost: u64) {
        self.wait(now_ns, id, client, cost);
    }

    fn withdraw(&mut self, _now_ns: u64, id: usize) {
        Self::withdraw(self, id);
    }

    fn next(&mut self, now_ns: u64, free: &[usize; WORKERS]) -> Option<(usize, usize)> {
        let worker = (0..WORKERS).max_by_key(|&worker| free[worker]).filter(|&worker| free[worker] > 0)?;
        Some((self.take(now_ns)?, worker))
    }

    fn ended(&mut self, _now_ns: u64, id: usize, _cost: u64) {
        self.forget(id);
    }

    fn lost(&mut self, _now_ns: u64, _worker: usize, ids: &[usize]) {
        ids.iter().rev().for_each(|&id| self.give_back(id));
    }

    fn regained(&mut self, _now_ns: u64, _worker: usize) {}

    fn wakes_at(&self) -> Option<u64> {
        Self::wakes_at(self)
    }
}
