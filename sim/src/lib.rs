//! skeleton

pub mod trace;
