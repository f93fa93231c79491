//! What the workers of a file stand on: how fast that lets each be, what all have together, and how many GPUs it is.
//!
//! Decides how workers divide the time of a device: evenly among those that compute; MIG cuts it for good. Does not
//! know: who is placed where, what an iteration takes.

use thiserror::Error;
use tidegate::{Resources, WorkerKind};
use tidegate_deploy::{Deployment, Workers};

use crate::engine::{Busy, Share};
use crate::model::ServiceModel;

/// How a GPU is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slicing {
    /// Parts of the chip: of seven compute slices whole ones only.
    Mig,
    /// Processes side by side; each has its share of the chip.
    Mps,
    /// Processes one after the other; each has its share of the time.
    Time,
}

/// Compute slices of a GPU under MIG.
const SLICES: u64 = 7;

/// Those of one of so many parts.
fn slices(parts: u32) -> u64 {
    SLICES / u64::from(parts).clamp(1, SLICES)
}

/// How many times as long an iteration takes on one of so many parts as on the whole GPU.
#[must_use]
pub fn slowdown(slicing: Slicing, parts: u32) -> f64 {
    match slicing {
        Slicing::Mig => SLICES as f64 / slices(parts) as f64,
        Slicing::Mps | Slicing::Time => f64::from(parts.max(1)),
    }
}

/// What a replay cannot have of a file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("workers[{group}].spare: a replay loses nobody")]
pub struct Spare {
    /// The place in the file of the first workers that stand by.
    pub group: usize,
}

/// Refuses workers that stand by: a set-up that knows no spares would let them serve, and cost.
///
/// # Errors
/// [`Spare`].
pub fn refuse_spares(file: &Deployment) -> Result<(), Spare> {
    match file.workers.iter().position(|group| group.spare) {
        Some(group) => Err(Spare { group }),
        None => Ok(()),
    }
}

/// How many times as long an iteration takes as on a device of its own while all workers compute, for each table of them: as many as share the device
/// of theirs that has most, and of a MIG device by whole slices. O(tables · devices of each).
#[must_use]
pub fn slowdowns(file: &Deployment) -> Vec<f64> {
    let clients = clients(file);
    let of = |group: &Workers| {
        let slicing = if group.kind == WorkerKind::Mig { Slicing::Mig } else { Slicing::Time };
        slowdown(slicing, most(group, &clients))
    };
    file.workers.iter().map(of).collect()
}

/// What the engines on the workers of a file have of their devices.
#[derive(Clone, Debug)]
pub struct Hardware {
    /// The model of a worker that has its devices for itself.
    pub model: &'static ServiceModel,
    devices: usize,
    seats: Vec<Seat>,
}

/// Where one worker stands.
#[derive(Clone, Debug)]
enum Seat {
    /// On these devices, with others.
    Shared(Vec<usize>),
    /// On one of so many slices of a device, or on none that others stand on.
    Slice(u32),
}

impl Hardware {
    /// That of a file, with this model. O(workers).
    #[must_use]
    pub fn of(file: &Deployment, model: &'static ServiceModel) -> Self {
        let clients = clients(file);
        let seats = file.workers.iter().flat_map(|group| {
            let shared: Vec<_> =
                group.devices.iter().copied().filter(|&device| clients[device] > 1).collect();
            let seat = match group.kind {
                _ if shared.is_empty() => Seat::Slice(1),
                WorkerKind::Mig => Seat::Slice(most(group, &clients)),
                _ => Seat::Shared(shared),
            };
            std::iter::repeat_n(seat, group.count as usize)
        });
        Self { model, devices: file.devices.len(), seats: seats.collect() }
    }

    /// The share of each worker, for engines that are all idle.
    #[must_use]
    pub fn shares(&self) -> Vec<Share> {
        let busy: Vec<Busy> = (0..self.devices).map(|_| Busy::default()).collect();
        let of = |seat: &Seat| match seat {
            Seat::Shared(devices) => {
                Share::beside(devices.iter().map(|&device| busy[device].clone()).collect())
            }
            Seat::Slice(parts) => Share::of_slice(SLICES, slices(*parts)),
        };
        self.seats.iter().map(of).collect()
    }
}

/// How many workers stand on each device.
fn clients(file: &Deployment) -> Vec<u32> {
    let mut clients = vec![0_u32; file.devices.len()];
    for group in &file.workers {
        for &device in &group.devices {
            clients[device] = clients[device].saturating_add(group.count);
        }
    }
    clients
}

/// How many share the device of these workers that has most.
fn most(group: &Workers, clients: &[u32]) -> u32 {
    group.devices.iter().map(|&device| clients[device]).max().unwrap_or(1)
}

/// The slowdown of as many workers that are all alike and compute as much together.
#[must_use]
pub fn mean_slowdown(file: &Deployment) -> f64 {
    let speed =
        file.workers.iter().zip(slowdowns(file)).map(|(group, factor)| f64::from(group.count) / factor);
    let speed: f64 = speed.sum();
    if speed > 0.0 { file.worker_count() as f64 / speed } else { 1.0 }
}

/// What all workers have together, no more on a device than its limit. O(workers' tables · devices of each).
#[must_use]
pub fn together(file: &Deployment) -> Resources {
    let mut all = [0_u64; tidegate::MAX_DIMENSIONS];
    let mut on = vec![all; file.devices.len()];
    let count = |group: &Workers| u64::from(group.count);
    for group in &file.workers {
        let parts = group.devices.len() as u64;
        for (place, &each) in group.capacity.as_array().iter().enumerate() {
            all[place] += each * count(group);
            for &device in &group.devices {
                on[device][place] += each / parts * count(group);
            }
        }
    }
    for (device, on) in file.devices.iter().zip(&on) {
        for (place, &limit) in device.spec.limit.as_array().iter().enumerate() {
            all[place] -= if limit > 0 { on[place].saturating_sub(limit) } else { 0 };
        }
    }
    Resources::from(all)
}

/// The GPUs of a file: its devices, each one, and the workers that are devices of their own, so many each. `of_device` says
/// otherwise of a device.
#[must_use]
pub fn gpus(file: &Deployment, of_device: f64, of_worker: f64) -> f64 {
    let own = file.workers.iter().filter(|group| group.devices.is_empty());
    let own: u32 = own.map(|group| group.count).sum();
    file.devices.len() as f64 * of_device + f64::from(own) * of_worker
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rest: &str) -> Deployment {
        let head = "dimensions = [\"slots\", \"kv_blocks\"]\ntiers = [{ name = \"all\" }]\n";
        Deployment::from_toml(&format!("{head}{rest}")).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn replicas_have_together_what_their_devices_have() {
        let shared =
            "shared = { kind = \"time-slice\", replicas = 4, units = { slots = 64, kv_blocks = 8192 } }";
        let two = file(&format!("devices = [{{ name = \"a\", {shared} }}, {{ name = \"b\", {shared} }}]"));
        assert_eq!((two.worker_count(), together(&two).as_array()[..2].to_vec()), (8, vec![128, 16_384]));
        assert_eq!((slowdowns(&two), mean_slowdown(&two), gpus(&two, 1.0, 4.0)), (vec![4.0, 4.0], 4.0, 2.0));
    }

    #[test]
    fn slices_groups_and_whole_devices_are_told_apart() {
        let mixed = file(
            r#"
            devices = [{ name = "a" }, { name = "b", limit = { kv_blocks = 900 } }, { name = "c" }]
            workers = [
                { count = 2, kind = "mig", capacity = { slots = 8, kv_blocks = 100 }, devices = ["a"] },
                { count = 1, capacity = { slots = 8, kv_blocks = 2000 }, devices = ["b", "c"] },
                { count = 3, capacity = { slots = 8, kv_blocks = 50 } },
            ]"#,
        );
        // Of the group 1,000 blocks stand on a device that lets it have 900.
        assert_eq!(together(&mixed).as_array()[..2], [6 * 8, 200 + 1_900 + 150]);
        // Three of seven slices each; the group and the whole devices are as fast as the model.
        assert_eq!(slowdowns(&mixed), [7.0 / 3.0, 1.0, 1.0]);
        assert!((mean_slowdown(&mixed) - 6.0 / (6.0 / 7.0 + 4.0)).abs() < 1e-12);
        assert_eq!(gpus(&mixed, 1.0, 4.0), 3.0 + 3.0 * 4.0);
    }
}
