//! The C ABI of tidegate: what `include/tidegate.h` declares, and nothing else.
//!
//! This crate decides nothing. It checks what a C caller hands in ([`memory`]), calls the one method of the
//! core that the function names, and turns the answer into a status ([`status`], [`fault`]); every body runs
//! inside one guard ([`guard`]) that lets no panic out. The doc comments of the exported items are the
//! header's text: they are written for the C reader. It is the only crate of the workspace with `unsafe`.
#![deny(unsafe_op_in_unsafe_fn)]
// What a caller must promise is said once, in the chapter "Pointers" at the top of the header.
#![allow(clippy::missing_safety_doc)]

mod fault;
mod guard;
mod handle;
mod memory;

pub mod batch;
pub mod builder;
pub mod config;
pub mod error;
pub mod fleet;
pub mod json;
pub mod metrics;
pub mod names;
pub mod observe;
pub mod outcome;
pub mod request;
pub mod scheduler;
pub mod shared;
pub mod snapshot;
pub mod status;
pub mod tenant;

pub mod types;
