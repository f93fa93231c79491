//! What is asked of the places of a pool when somebody is about to search: of each that changed, or of its device alone.
//!
//! What a place has by itself changes seldom where several stand on one device, and to read it is what costs: it is kept
//! beside what is known of the place, and of the others on a device nothing is asked, where they are more than a few and on no other. Knows units and devices, not workers.

use super::Load;
use crate::event::DevicePart;
use crate::id::DeviceId;
use crate::resources::Resources;
use crate::share::Ppm;

/// Who keeps what places have.
pub(crate) trait Places {
    /// What a place has free.
    fn free(&self, place: usize) -> Resources;
    /// What is in use of it, where it is as full as before if that is as before.
    fn in_use(&self, place: usize) -> Option<Resources>;
    /// How full it is.
    fn load(&self, place: usize) -> Load;
    /// What is its own, where it stands on one device.
    fn own(&self, place: usize) -> Option<Own>;
    /// What is free of a device, and how full it is.
    fn device(&self, id: DeviceId) -> (Resources, u32);
}

/// What a place on one device has by itself: nothing else is asked of it while only that device changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub(crate) free: Resources,
    /// How full it is, in parts per million.
    pub(crate) ppm: u32,
    pub(crate) part: DevicePart,
}

impl Own {
    /// What it has free, and how full it is, where so much of the device is free, and that is so full.
    pub(super) fn with(&self, (left, ppm): (Resources, u32)) -> (Resources, Load) {
        // Asked for all on a device whenever one changed: nearly always each may take all of it.
        let free = if self.part.part == Ppm::ONE {
            self.free.min(left)
        } else {
            self.free.zip(left, |units, left| units.min(self.part.most_for(left)))
        };
        (free, Load::alone(self.ppm).sharing(ppm))
    }
}
