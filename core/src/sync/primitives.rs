//! What the intake is made of, and nothing else. A model checker's counterparts stand in its place in
//! `core/tests/sync_model.rs`.

pub(super) use parking_lot::{Condvar, Mutex};
