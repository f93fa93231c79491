//! Names of things: small integers that the scheduler hands out and the host hands back.

use core::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name($inner);

        impl $name {
            /// The name with this number; it need not exist in any scheduler.
            #[must_use]
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

/// Names that count the places of a list.
macro_rules! index {
    ($($name:ident),+) => {
        $(impl $name {
            pub(crate) const fn index(self) -> usize {
                self.0 as usize
            }
        })+
    };
}

index!(TenantId, DeviceId, WorkerId, PoolId, Tier);

number! {
    /// A tenant, as returned by `tenant_set`. Numbered from 0 in the order of creation.
    TenantId, u32, "tenant "
}
number! {
    /// A device, as returned by `device_add`. Numbered from 0 in the order of creation, never reused.
    DeviceId, u32, "device "
}
number! {
    /// A worker, as returned by `worker_add`. Numbered from 0 in the order of creation, never reused.
    WorkerId, u32, "worker "
}
number! {
    /// A pool, numbered from 0 in the order of the config.
    PoolId, u32, "pool "
}
number! {
    /// One start of a request, counted from 1. A report that names an older attempt is refused.
    Attempt, u32, "attempt "
}
number! {
    /// A priority tier, numbered from 0, the most urgent, in the order of the config.
    Tier, u8, "P"
}

impl Tier {
    /// The most urgent tier.
    pub const P0: Self = Self(0);
    /// The second tier.
    pub const P1: Self = Self(1);
    /// The third tier.
    pub const P2: Self = Self(2);
}

/// A request, as returned by `submit`: a slot and the generation of its use, so that an old id is never
/// mistaken for a newer request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub struct RequestId {
    generation: u32,
    slot: u32,
}

impl RequestId {
    pub(crate) const fn new(slot: u32, generation: u32) -> Self {
        Self { generation, slot }
    }

    pub(crate) const fn slot(self) -> u32 {
        self.slot
    }

    pub(crate) const fn generation(self) -> u32 {
        self.generation
    }

    /// The id as one number, generation in the upper half: how it crosses the C ABI. Never 0.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// The id that `to_bits` gave. Any number is accepted; one that no request ever had is refused on use.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self { generation: (bits >> 32) as u32, slot: bits as u32 }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {}.{}", self.slot, self.generation)
    }
}
