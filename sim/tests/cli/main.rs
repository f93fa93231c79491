//! The binary from outside: exit status, what stands on which stream, and what is left on disk.

mod autoscale;
mod commands;
mod config;
mod faults;
mod journal;
mod journal_tools;
mod layers;
mod money;
mod paper;
mod pools;
mod replicas;
mod reports;
mod streams;
mod support;
