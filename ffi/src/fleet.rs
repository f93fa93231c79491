//! Tenants and workers: who asks, and what can serve.

use std::ffi::c_char;

use tidegate_core::{Instant, PoolId, WorkerId, WorkerSpec};

use crate::guard::mutate;
use crate::memory::{self, Out};
use crate::scheduler::SchedulerHandle;
use crate::status::TidegateStatus as Status;
use crate::types::WorkerInput;

/// Makes a tenant known and gives its number; the same name gives the same number again. A name has 1 to 255
/// bytes and no control characters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_tenant_set(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    name: *const c_char,
    name_len: usize,
    out_tenant: *mut u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let name = memory::text(name, name_len, "name")?;
            let out = Out::new(out_tenant, "out_tenant")?;
            out.set(scheduler.tenant_set(Instant::from_nanos(now_ns), name)?.get());
            Ok(())
        })
    }
}

/// Adds a worker that is up, and gives its number; numbers are never used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_worker_add(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    spec: *const WorkerInput,
    out_worker: *mut u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let spec = memory::read(spec, "spec")?;
            let out = Out::new(out_worker, "out_worker")?;
            let spec = WorkerSpec::new(PoolId::new(spec.pool), spec.capacity);
            out.set(scheduler.worker_add(Instant::from_nanos(now_ns), spec)?.get());
            Ok(())
        })
    }
}

/// Lets a worker end what it runs and gives it nothing more. What runs there is no longer counted, and is
/// never a victim. Saying it twice is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_worker_drain(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    worker: u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        mutate(scheduler, |scheduler| {
            Ok(scheduler.worker_drain(Instant::from_nanos(now_ns), WorkerId::new(worker))?)
        })
    }
}

/// The worker is gone with all that ran there. Its requests wait again as ones that have run; those that
/// never yield cannot run twice and are dropped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_worker_lost(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    worker: u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        mutate(scheduler, |scheduler| {
            Ok(scheduler.worker_lost(Instant::from_nanos(now_ns), WorkerId::new(worker))?)
        })
    }
}
