//! Table T6: reservation, weight and limit of three clients, through a drop of capacity (mClock, OSDI'10).
//!
//! Lower rooms first: [`server`] (slots that serve tokens, and clients that always want more), `mclock` (that policy in
//! them), [`hosted`] (tidegate), [`table`] (the shares by definition, reproduced, tidegate). It needs no data.

pub mod hosted;
mod mclock;
pub mod server;
pub mod table;
