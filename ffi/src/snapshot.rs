//! A scheduler written down as bytes, and one made of them.

use std::ffi::c_char;

use tidegate_core::Scheduler;

use crate::config::ConfigHandle;
use crate::fault::Fault;
use crate::guard::{Access, SchedulerHandle, free, guard, observe, status_of};
use crate::handle::{Handle, give, live};
use crate::memory::{Out, TextOut, list};
use crate::status::TidegateStatus as Status;

/// All that a scheduler knew, as bytes to be kept; it never changes. Made by tidegate_scheduler_snapshot, ended by
/// tidegate_snapshot_free.
pub struct SnapshotHandle(Vec<u8>);

impl Handle for SnapshotHandle {
    const MARK: u64 = 0x2E87_F5A4_1B0D_936C;
    const ARGUMENT: &'static str = "snapshot";
}

const _: () = {
    const fn shareable<T: Send + Sync>() {}
    shareable::<SnapshotHandle>();
};

/// Writes down all that a scheduler knows, its config too. Of a shared scheduler what lies in the intake is not in it, nor
/// what was not polled of what came of that: poll before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_snapshot(
    scheduler: *const SchedulerHandle,
    out_snapshot: *mut *mut SnapshotHandle,
) -> Status {
    let body = |scheduler: &Scheduler| {
        // SAFETY: the caller's promise (header, "Pointers").
        let out = unsafe { Out::new(out_snapshot, "out_snapshot") }?;
        out.set(give(SnapshotHandle(scheduler.snapshot())));
        Ok(())
    };
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { observe(scheduler, body) }
}

/// The bytes of a snapshot, to be kept where the host likes. They are the snapshot's own, and there until it is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_snapshot_bytes(
    snapshot: *const SnapshotHandle,
    out_bytes: *mut *const u8,
    out_len: *mut usize,
) -> Status {
    status_of(&guard(|| {
        // SAFETY: the caller's promise (header, "Pointers"), for all three.
        let (snapshot, out_bytes, out_len) =
            unsafe { (live(snapshot)?, Out::new(out_bytes, "out_bytes")?, Out::new(out_len, "out_len")?) };
        out_bytes.set(snapshot.0.as_ptr());
        out_len.set(snapshot.0.len());
        Ok(())
    }))
}

/// Frees a snapshot and its bytes. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_snapshot_free(snapshot: *mut SnapshotHandle) {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { free(snapshot) };
}

/// Makes the scheduler that a snapshot was taken of: told the same from there on, it wishes the same. Under a config that
/// differs from the one it had, it is reconfigured at its tidegate_scheduler_now, from which the host's clock must go on.
/// What it was told after the snapshot it does not know, and ids that it gave after that it gives again. It copies the
/// config, and keeps nothing of `bytes`. If no scheduler can be made, the status is one of
/// TIDEGATE_STATUS_SNAPSHOT_DAMAGED, _SNAPSHOT_FORMAT and _SNAPSHOT_SHAPE, and the message, which is written then and not
/// otherwise, says more; it is cut as that of tidegate_config_from_toml. The bytes are to be the host's own: what
/// somebody forged is not told from a snapshot, and may end in TIDEGATE_STATUS_PANIC, here or later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_restore(
    config: *const ConfigHandle,
    bytes: *const u8,
    len: usize,
    message: *mut c_char,
    message_capacity: usize,
    message_len: *mut usize,
    out_scheduler: *mut *mut SchedulerHandle,
) -> Status {
    status_of(&guard(|| {
        // SAFETY: the caller's promise (header, "Pointers"), for all four.
        let (config, bytes, message, out) = unsafe {
            (
                live(config)?,
                list(bytes, len, "bytes")?,
                TextOut::new(message, message_capacity, message_len)?,
                Out::new(out_scheduler, "out_scheduler")?,
            )
        };
        match Scheduler::restore(config.0.clone(), bytes) {
            Ok(scheduler) => out.set(give(SchedulerHandle::new(Access::Own(scheduler)))),
            Err(error) => {
                message.set(&error.to_string());
                return Err(Fault::Snapshot(error));
            }
        }
        Ok(())
    }))
}

/// The latest `now_ns` of any call: where the host's clock must go on after a restart.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_now(
    scheduler: *const SchedulerHandle,
    out_now_ns: *mut u64,
) -> Status {
    let body = |scheduler: &Scheduler| {
        // SAFETY: the caller's promise (header, "Pointers").
        let out = unsafe { Out::new(out_now_ns, "out_now_ns") }?;
        out.set(scheduler.now().as_nanos());
        Ok(())
    };
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { observe(scheduler, body) }
}
