//! Devices and workers: what can serve.

use tidegate_core::{
    Attempt, DeviceId, DeviceSpec, Instant, PoolId, Ppm, RequestId, Shrink, StepException, WorkerId,
    WorkerKind, WorkerSpec,
};

use crate::fault::Fault;
use crate::guard::mutate;
use crate::memory::{self, Out};
use crate::scheduler::SchedulerHandle;
use crate::status::TidegateStatus as Status;
use crate::types::{
    DeviceInput, DevicePartInput, StepExceptionInput, TIDEGATE_DEVICE_HAS_CHECKPOINT_MIB,
    TIDEGATE_WORKER_IS_SPARE, TIDEGATE_WORKER_REPLACES, WorkerInput,
};

/// Adds a device that workers can stand on, and gives its number; numbers are never used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_device_add(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    spec: *const DeviceInput,
    out_device: *mut u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let spec = device_spec(&memory::read(spec, "spec")?)?;
            let out = Out::new(out_device, "out_device")?;
            out.set(scheduler.device_add(Instant::from_nanos(now_ns), spec)?.get());
            Ok(())
        })
    }
}

/// Gives a device another limit. `shrink`, a tidegate_shrink_t, says what becomes of use beyond it: with
/// TIDEGATE_SHRINK_PREEMPT what is still too much after `after_ns` is stopped; `after_ns` is not read with
/// TIDEGATE_SHRINK_DRAIN.
#[unsafe(no_mangle)]
/// cbindgen:ptrs-as-arrays=[[limit;TIDEGATE_DIMENSIONS]]
pub unsafe extern "C" fn tidegate_scheduler_device_resize(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    device: u32,
    limit: *const u64,
    shrink: u32,
    after_ns: u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let (limit, shrink) = (memory::resources(limit, "limit")?, shrink_of(shrink, after_ns)?);
            Ok(scheduler.device_resize(Instant::from_nanos(now_ns), DeviceId::new(device), limit, shrink)?)
        })
    }
}

/// The device is gone, and all workers on it with it: as tidegate_scheduler_worker_lost for each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_device_lost(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    device: u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        mutate(scheduler, |scheduler| {
            Ok(scheduler.device_lost(Instant::from_nanos(now_ns), DeviceId::new(device))?)
        })
    }
}

/// Adds a worker and gives its number; numbers are never used again. It is up at once, but for a spare, and for one
/// that replaces a worker which was lost again and again. It stands on the `device_count` devices named; with 0, where
/// `devices` may be NULL, it is a device of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_worker_add(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    spec: *const WorkerInput,
    devices: *const DevicePartInput,
    device_count: usize,
    out_worker: *mut u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let spec = worker_spec(&memory::read(spec, "spec")?)?;
            let out = Out::new(out_worker, "out_worker")?;
            let devices = memory::list(devices, device_count, "devices")?;
            let spec = devices
                .iter()
                .fold(spec, |spec, part| spec.on_part(DeviceId::new(part.device), Ppm::new(part.part_ppm)));
            out.set(scheduler.worker_add(Instant::from_nanos(now_ns), spec)?.get());
            Ok(())
        })
    }
}

/// Gives a worker another capacity; `shrink` and `after_ns` are those of tidegate_scheduler_device_resize.
#[unsafe(no_mangle)]
/// cbindgen:ptrs-as-arrays=[[capacity;TIDEGATE_DIMENSIONS]]
pub unsafe extern "C" fn tidegate_scheduler_worker_resize(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    worker: u32,
    capacity: *const u64,
    shrink: u32,
    after_ns: u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let (capacity, shrink) = (memory::resources(capacity, "capacity")?, shrink_of(shrink, after_ns)?);
            Ok(scheduler.worker_resize(
                Instant::from_nanos(now_ns),
                WorkerId::new(worker),
                capacity,
                shrink,
            )?)
        })
    }
}

/// The engine uses `in_use` in all, whatever its requests add up to: blocks that several share count once. What
/// requests change from then on counts on top, until the next call, or until nothing runs on the worker.
#[unsafe(no_mangle)]
/// cbindgen:ptrs-as-arrays=[[in_use;TIDEGATE_DIMENSIONS]]
pub unsafe extern "C" fn tidegate_scheduler_worker_usage(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    worker: u32,
    in_use: *const u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let in_use = memory::resources(in_use, "in_use")?;
            Ok(scheduler.worker_usage(Instant::from_nanos(now_ns), WorkerId::new(worker), in_use)?)
        })
    }
}

/// A worker has these blocks in its cache, those of a prompt from its beginning as hashes of which each covers those
/// before it, and used them just now. `blocks` may be NULL with a `block_count` of 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_cache_stored(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    worker: u32,
    blocks: *const u64,
    block_count: usize,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let blocks = memory::list(blocks, block_count, "blocks")?;
            Ok(scheduler.cache_stored(Instant::from_nanos(now_ns), WorkerId::new(worker), blocks)?)
        })
    }
}

/// A worker threw these blocks out of its cache, in any order. One that others there still follow goes when they do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_cache_evicted(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    worker: u32,
    blocks: *const u64,
    block_count: usize,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let blocks = memory::list(blocks, block_count, "blocks")?;
            Ok(scheduler.cache_evicted(Instant::from_nanos(now_ns), WorkerId::new(worker), blocks)?)
        })
    }
}

/// One call for a whole engine step: every request on the worker that has reported before generated
/// `tokens_each` tokens, but those in `exceptions`, which report as by tidegate_scheduler_progress. Refused
/// whole: NOT_HERE for a request on another worker, else as a report of it would be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_step(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    worker: u32,
    tokens_each: u64,
    exceptions: *const StepExceptionInput,
    exception_count: usize,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate(scheduler, |scheduler| {
            let exceptions = exceptions_of(exceptions, exception_count)?;
            let worker = WorkerId::new(worker);
            Ok(scheduler.step(Instant::from_nanos(now_ns), worker, tokens_each, &exceptions)?)
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
/// never yield cannot run twice and are dropped. Unless it was drained and ran nothing any more, that is a fault: an MPS
/// client takes the others on its devices along, each of which ALSO_LOST names, and a spare takes its place.
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

fn device_spec(input: &DeviceInput) -> Result<DeviceSpec, Fault> {
    memory::flags(input.flags, TIDEGATE_DEVICE_HAS_CHECKPOINT_MIB, "spec.flags")?;
    let checkpoints = input.flags & TIDEGATE_DEVICE_HAS_CHECKPOINT_MIB != 0;
    let checkpoint_mib = checkpoints.then_some(input.checkpoint_mib);
    Ok(DeviceSpec { limit: input.limit.into(), checkpoint_mib })
}

fn worker_spec(input: &WorkerInput) -> Result<WorkerSpec, Fault> {
    memory::flags(input.flags, TIDEGATE_WORKER_IS_SPARE | TIDEGATE_WORKER_REPLACES, "spec.flags")?;
    memory::zero(input.reserved, "spec.reserved")?;
    let kind = WorkerKind::ALL.get(input.kind as usize).copied();
    let kind = kind.ok_or(Fault::OutOfRange { argument: "spec.kind", got: input.kind.into() })?;
    let mut spec = WorkerSpec::new(input.capacity).pool(PoolId::new(input.pool)).kind(kind);
    spec.spare = input.flags & TIDEGATE_WORKER_IS_SPARE != 0;
    let replaces = input.flags & TIDEGATE_WORKER_REPLACES != 0;
    spec.replaces = replaces.then_some(WorkerId::new(input.replaces));
    Ok(spec)
}

fn shrink_of(number: u32, after_ns: u64) -> Result<Shrink, Fault> {
    match number {
        0 => Ok(Shrink::Drain),
        1 => Ok(Shrink::Preempt { after_ns }),
        _ => Err(Fault::OutOfRange { argument: "shrink", got: number.into() }),
    }
}

/// # Safety
/// As for [`memory::list`].
pub(crate) unsafe fn exceptions_of(
    at: *const StepExceptionInput,
    count: usize,
) -> Result<Vec<StepException>, Fault> {
    // SAFETY: the caller's promise.
    unsafe { memory::list(at, count, "exceptions") }?.iter().map(exception_of).collect()
}

fn exception_of(input: &StepExceptionInput) -> Result<StepException, Fault> {
    input.reserved.iter().try_for_each(|&reserved| memory::zero(reserved, "exceptions[].reserved"))?;
    Ok(StepException {
        request: RequestId::from_bits(input.request),
        attempt: Attempt::new(input.attempt),
        output_tokens: input.output_tokens,
        in_use: input.in_use.into(),
    })
}
