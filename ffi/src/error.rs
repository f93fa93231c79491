//! Why the last verb failed: its numbers and its words.

use std::ffi::c_char;

use crate::fault::{Fault, no_error};
use crate::guard::{SchedulerHandle, look_back};
use crate::memory::{RecordOut, TextOut};
use crate::status::TidegateStatus as Status;
use crate::types::ErrorRecord;

/// The numbers of the last error: of the last call on this handle that took it as `tidegate_scheduler_t *`
/// and did not return TIDEGATE_STATUS_OK. Calls that succeed leave it, calls that take it as
/// `const tidegate_scheduler_t *` too. It answers on a poisoned handle as well.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_last_error(
    scheduler: *const SchedulerHandle,
    out_error: *mut ErrorRecord,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        look_back(scheduler, |last| {
            RecordOut::new(out_error, "out_error")?.set(&last.map_or_else(no_error, Fault::record));
            Ok(())
        })
    }
}

/// The last error in words: one line, empty if no call failed yet. It is cut to `capacity` bytes with a NUL
/// at its end; `out_len` gets its whole length. `buffer` may be NULL if `capacity` is 0, `out_len` may be
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_last_error_message(
    scheduler: *const SchedulerHandle,
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        look_back(scheduler, |last| {
            TextOut::new(buffer, capacity, out_len)?.set(&last.map(Fault::to_string).unwrap_or_default());
            Ok(())
        })
    }
}
