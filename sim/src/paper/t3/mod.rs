//! T3, batch work beside online requests (HyGen, ConServe, Valve): how much of an engine's idle time can be filled, and what
//! do online requests pay for it?

pub mod policies;
pub mod table;
