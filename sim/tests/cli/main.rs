//! The binary from outside: exit status, what stands on which stream, and what is left on disk.

mod commands;
mod faults;
mod journal;
mod journal_tools;
mod paper;
mod support;
