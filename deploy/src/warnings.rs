//! What a file says that is allowed, and seldom meant.

use tidegate::{Sharing, WorkerKind};

use crate::deployment::Deployment;

impl Deployment {
    /// Devices that more engines share than is sensible: each has its own copy of the weights, and a small part of the time. A
    /// part of a device that is a device of its own (MIG) is not shared. O(workers).
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut engines = vec![0_u32; self.devices.len()];
        let shares = |kind: WorkerKind| matches!(kind, WorkerKind::TimeSlice | WorkerKind::Mps);
        for group in self.workers.iter().filter(|group| shares(group.kind)) {
            for &device in &group.devices {
                engines[device] = engines[device].saturating_add(group.count);
            }
        }
        let most = Sharing::MOST_SENSIBLE;
        let crowded = self.devices.iter().zip(engines).filter(|&(_, engines)| engines > most);
        crowded
            .map(|(device, engines)| {
                format!(
                    "{engines} engines share {:?}: with more than {most} each is small and slow",
                    device.name
                )
            })
            .collect()
    }
}
