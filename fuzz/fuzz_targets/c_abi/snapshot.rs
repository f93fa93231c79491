//! A restart: a scheduler written down, and another made of the bytes, or of bytes that are not those.

use std::ptr::null;

use tidegate_c_abi::scheduler::tidegate_scheduler_free;
use tidegate_c_abi::snapshot::*;

use crate::block::Block;
use crate::caller::{Caller, to};

pub(crate) fn call(caller: &mut Caller<'_>) {
    let (scheduler, room) = (caller.scheduler(), caller.room(8));
    // SAFETY: room for a handle, or NULL.
    let status = unsafe { tidegate_scheduler_snapshot(scheduler, to(&room)) };
    if !caller.check(status, &[&room.0]) {
        return;
    }
    // SAFETY: it was written.
    let snapshot = unsafe { *room.0.at::<*mut SnapshotHandle>() };
    let (bytes, len) = (caller.room(8), caller.room(8));
    // SAFETY: a live handle, and room, or NULL.
    let status = unsafe { tidegate_snapshot_bytes(snapshot, to(&bytes), to(&len)) };
    if caller.check(status, &[&bytes.0, &len.0]) {
        // SAFETY: both were written, and the snapshot lives.
        let written = unsafe { std::slice::from_raw_parts(*bytes.0.at::<*const u8>(), *len.0.at()) };
        restore(caller, written);
    }
    // SAFETY: a live handle, which is not used again.
    unsafe { tidegate_snapshot_free(snapshot) };
}

/// Restores what was written, whole or not; the caller goes on with what comes of it, or not.
fn restore(caller: &mut Caller<'_>, written: &[u8]) {
    let mut given = written.to_vec();
    let is_whole = caller.bytes.below(2) > 0;
    if !is_whole {
        let place = (caller.bytes.below(256) << 8 | caller.bytes.below(256)) % given.len();
        given[place] ^= 1 << caller.bytes.below(8);
        given.truncate(given.len() - caller.bytes.below(2) * place);
    }
    let given = Block::of(&given);
    let (config, out) = (caller.config(), caller.room(8));
    let (message, len) = (Block::untouched(caller.bytes.below(64)), caller.room(8));
    let at = if caller.bytes.below(16) == 0 { null() } else { given.at::<u8>().cast_const() };
    // SAFETY: as many bytes, a buffer of that capacity, and room, or NULL.
    let status = unsafe {
        let (size, capacity) = (given.bytes().len(), message.bytes().len());
        tidegate_scheduler_restore(config, at, size, message.at(), capacity, to(&len), to(&out))
    };
    if !caller.check(status, &[&out.0]) {
        return;
    }
    assert!(is_whole && message.is_untouched(), "what is damaged is told");
    // SAFETY: it was written.
    let mut other = unsafe { *out.0.at() };
    if caller.bytes.below(2) > 0 {
        std::mem::swap(&mut caller.own, &mut other);
    }
    // SAFETY: a live handle, which is not used again.
    unsafe { tidegate_scheduler_free(other) };
}
