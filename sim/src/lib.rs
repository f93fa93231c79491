//! The simulator of tidegate: workloads from traces, engines from published service-time models, and a
//! discrete-event replay that drives nothing but the public `Scheduler`.
//!
//! Rooms, lower ones first: [`model`] (how long an iteration takes), [`engine`] (what runs on a worker),
//! [`trace`] (which requests arrive), [`machine`] (what a worker is made of), [`policy`] (others' ways to choose
//! who is next), [`hardware`] (what the workers of a file stand on), [`setup`] (the configs that are compared), [`replay`] (the loop and what it measures), [`sizing`] (how many workers), [`neighbour`] (what
//! one tenant costs the others), [`cost`] (what traffic costs in money), [`chargeback`] (who used how much, and what it
//! costs), [`estimates`] (how good those of `explain` are), [`autoscale`] (what a fleet costs that follows what is wanted), [`report`] (how results are printed).
//! Beside them, on [`model`] and [`trace`]: [`fit`] (a model from measurements),
//! [`lockstep`] (one engine step by step, under vLLM's policy and under tidegate) and [`paper`] (published tables).

pub mod autoscale;
pub mod chargeback;
pub mod cost;
pub mod engine;
pub mod estimates;
pub mod fit;
pub mod hardware;
pub mod lockstep;
pub mod machine;
pub mod model;
pub mod neighbour;
pub mod paper;
pub mod percentile;
pub mod policy;
mod random;
pub mod replay;
pub mod report;
pub mod setup;
pub mod sizing;
pub mod text_file;
pub mod trace;
pub mod whole_file;
