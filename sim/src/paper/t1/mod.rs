//! Table T1: fairness among clients, against logs of a GPU (VTC, OSDI'24).
//!
//! Lower rooms first: [`engine`] (the artifact's loop on the model `a10g-llama7b`), [`hosted`] (tidegate), [`metric`] (how unfair a run was), [`table`] (published, reproduced, error, tidegate).
//! The model was fitted to the run `fcfs-overload` alone; all other runs check it.

pub mod engine;
pub mod hosted;
pub mod metric;
pub mod table;
