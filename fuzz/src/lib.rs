//! What the fuzz targets share: a small world made of bytes, and a host that says whatever the bytes choose.

mod bytes;
mod host;
mod world;

pub use bytes::Bytes;
pub use host::Host;
pub use world::World;
