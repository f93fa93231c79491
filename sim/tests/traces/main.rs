//! The trace readers and the generator, as a user of the library sees them.

mod faults;
mod formats;
mod generated;
mod merged;
mod published;
mod support;
