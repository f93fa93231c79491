//! Options of numbers without the padding that makes them twice as large as what they hold: what every request has some of.
//!
//! Decides how they lie in memory, and nothing else; a snapshot has them as options.

use crate::id::WorkerId;
use crate::time::Instant;

macro_rules! maybe {
    ($(#[$doc:meta])* $name:ident, $of:ty, $bits:ty, $get:ident, $new:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name {
            is_some: bool,
            bytes: [u8; size_of::<$bits>()],
        }

        impl $name {
            pub(crate) const NONE: Self = Self { is_some: false, bytes: [0; size_of::<$bits>()] };

            #[inline]
            pub(crate) const fn get(self) -> Option<$of> {
                if self.is_some { Some(<$of>::$new(<$bits>::from_ne_bytes(self.bytes))) } else { None }
            }
        }

        impl From<Option<$of>> for $name {
            #[inline]
            fn from(value: Option<$of>) -> Self {
                value.map_or(Self::NONE, |value| Self { is_some: true, bytes: value.$get().to_ne_bytes() })
            }
        }

        #[cfg(feature = "snapshot")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                self.get().serialize(out)
            }
        }

        #[cfg(feature = "snapshot")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Option::deserialize(from).map(Self::from)
            }
        }
    };
}

maybe! {
    /// An instant, if there is one.
    MaybeInstant, Instant, u64, as_nanos, from_nanos
}
maybe! {
    /// A signed number, if there is one; its bytes lie as those of any other, from the uppermost on.
    MaybeNumber, i128, i128, to_be, from_be
}
maybe! {
    /// A worker, if there is one.
    MaybeWorker, WorkerId, u32, get, new
}
