//! Published tables: what comes out of the simulated engines, and how far it may be off.

mod t1;
mod t6;
