//! What a C caller hands in and gets back: pointers, texts, structs that begin with their size.
//!
//! Nothing here knows the scheduler. Each reader checks what can be checked (NULL, sizes, UTF-8) and names
//! the argument at fault; that a pointer which is not NULL is good is the caller's promise.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::slice;

use tidegate_core::Resources;

use crate::fault::Fault;
use crate::types::{
    AmendmentInput, DeviceInput, ErrorRecord, ExplanationRecord, RequestInput, StatsRecord,
    TIDEGATE_DIMENSIONS, TenantPolicyInput, TenantUsageRecord, UsageInput, WorkerInput,
};

/// The largest struct a caller may hand in: a page, as Linux allows for `sched_setattr`.
const MAX_STRUCT_BYTES: usize = 4096;

/// A struct whose first field is its size as the caller compiled it.
///
/// # Safety
/// `repr(C)`, a `u32` first, integers only (any bytes are a value), no implicit padding.
pub(crate) unsafe trait Versioned: Copy {
    /// The size of its first published version; it never changes.
    const V1: usize;
}

// SAFETY: six u32, two vectors of u64, six u64, four u32.
unsafe impl Versioned for RequestInput {
    const V1: usize = 136;
}
// SAFETY: six u32, two rates of three u64, a vector of u64, three u64.
unsafe impl Versioned for TenantPolicyInput {
    const V1: usize = 128;
}
// SAFETY: two u32, a vector of u64, a u64.
unsafe impl Versioned for DeviceInput {
    const V1: usize = 48;
}
// SAFETY: four u32, two vectors of u64, a u64.
unsafe impl Versioned for AmendmentInput {
    const V1: usize = 88;
}
// SAFETY: four u32, two u64, six u32.
unsafe impl Versioned for ExplanationRecord {
    const V1: usize = 32;
}
// SAFETY: two u32, a vector of u64, four u32.
unsafe impl Versioned for WorkerInput {
    const V1: usize = 40;
}
// SAFETY: two u32 and three u64.
unsafe impl Versioned for UsageInput {
    const V1: usize = 32;
}
// SAFETY: two u32, then u64.
unsafe impl Versioned for StatsRecord {
    const V1: usize = 624;
}
// SAFETY: two u32, then u64.
unsafe impl Versioned for TenantUsageRecord {
    const V1: usize = 496;
}
// SAFETY: two u32, a u64, eight u32, three u64.
unsafe impl Versioned for ErrorRecord {
    const V1: usize = 72;
}

/// A struct as this library knows it. In what `tests/first.rs` builds it has one field more, as every struct that begins
/// with its size may have in a later version.
#[derive(Clone, Copy)]
#[repr(C)]
struct Known<T> {
    first: T,
    #[cfg(tidegate_grown)]
    later: u64,
}

impl<T: Versioned> Known<T> {
    #[cfg(not(tidegate_grown))]
    fn obeyed(self, _: &'static str) -> Result<T, Fault> {
        Ok(self.first)
    }

    /// The later field is one that matters, so that it shows what was read into it.
    #[cfg(tidegate_grown)]
    fn obeyed(self, argument: &'static str) -> Result<T, Fault> {
        if self.later == 0 { Ok(self.first) } else { Err(Fault::OutOfRange { argument, got: self.later }) }
    }
}

/// The size that the caller wrote into the struct, if this library can serve it.
///
/// # Safety
/// `at` is NULL or points to a `T` of the size it states.
unsafe fn stated_size<T: Versioned>(at: *const T, argument: &'static str) -> Result<usize, Fault> {
    if at.is_null() {
        return Err(Fault::Null(argument));
    }
    // SAFETY: not NULL, and the first field of a `Versioned` is a u32.
    let got = unsafe { at.cast::<u32>().read() } as usize;
    if (T::V1..=MAX_STRUCT_BYTES).contains(&got) { Ok(got) } else { Err(wrong_size::<T>(argument, got)) }
}

fn wrong_size<T: Versioned>(argument: &'static str, got: usize) -> Fault {
    Fault::StructSize { argument, got, least: T::V1, known: size_of::<Known<T>>() }
}

/// Reads an input struct of an older, the same or a newer version: what an older caller does not know is 0;
/// what only a newer one knows must be 0.
///
/// # Safety
/// As for [`stated_size`].
pub(crate) unsafe fn read<T: Versioned>(at: *const T, argument: &'static str) -> Result<T, Fault> {
    // SAFETY: the caller's promise.
    let got = unsafe { stated_size(at, argument) }?;
    let known = size_of::<Known<T>>();
    if got > known {
        // SAFETY: the caller states that its struct goes on up to `got`.
        let beyond = unsafe { slice::from_raw_parts(at.cast::<u8>().add(known), got - known) };
        if beyond.iter().any(|&byte| byte != 0) {
            return Err(wrong_size::<T>(argument, got));
        }
    }
    let mut value = MaybeUninit::<Known<T>>::zeroed();
    // SAFETY: both sides have the smaller of the two sizes, and any bytes are a `T`.
    let value = unsafe {
        at.cast::<u8>().copy_to_nonoverlapping(value.as_mut_ptr().cast(), got.min(known));
        value.assume_init()
    };
    value.obeyed(argument)
}

/// A list of structs that begin with their size: all have that of the first.
pub(crate) struct Structs<T> {
    at: *const T,
    count: usize,
    size: usize,
    argument: &'static str,
}

impl<T: Versioned> Structs<T> {
    /// # Safety
    /// Until the last is read `at` has `count` readable structs of the size that the first one states, which nobody
    /// changes.
    pub(crate) unsafe fn new(at: *const T, count: usize, argument: &'static str) -> Result<Self, Fault> {
        if count == 0 {
            return Ok(Self { at, count, size: 0, argument });
        }
        // SAFETY: the caller's promise.
        let size = unsafe { stated_size(at, argument) }?;
        if !size.is_multiple_of(align_of::<T>()) {
            return Err(wrong_size::<T>(argument, size));
        }
        match count.checked_mul(size).map(isize::try_from) {
            Some(Ok(_)) => Ok(Self { at, count, size, argument }),
            _ => Err(Fault::OutOfRange { argument, got: count as u64 }),
        }
    }

    /// Each of them, as [`read`] reads it.
    pub(crate) fn read_all(&self) -> impl Iterator<Item = Result<T, Fault>> + use<'_, T> {
        (0..self.count).map(|index| {
            // SAFETY: `new` was promised as many of that size, which keeps them aligned.
            let at = unsafe { self.at.byte_add(index * self.size) };
            // SAFETY: as above, and the first field of a `Versioned` is a u32.
            let got = unsafe { at.cast::<u32>().read() } as usize;
            if got != self.size {
                return Err(wrong_size::<T>(self.argument, got));
            }
            // SAFETY: it has the size that it states.
            unsafe { read(at, self.argument) }
        })
    }
}

/// Room for a record that begins with its size, checked before the call has any effect.
pub(crate) struct RecordOut<T> {
    at: NonNull<T>,
    size: usize,
}

impl<T: Versioned> RecordOut<T> {
    /// # Safety
    /// As for [`stated_size`], and writable until `set`.
    pub(crate) unsafe fn new(at: *mut T, argument: &'static str) -> Result<Self, Fault> {
        // SAFETY: the caller's promise.
        let size = unsafe { stated_size(at, argument) }?;
        Ok(Self { at: NonNull::new(at).ok_or(Fault::Null(argument))?, size })
    }

    /// Writes as much of `value` as the caller has room for, zero into what only the caller knows, and
    /// leaves the caller's `struct_size` as it is.
    pub(crate) fn set(self, value: &T) {
        let value = Known {
            first: *value,
            #[cfg(tidegate_grown)]
            later: u64::MAX,
        };
        let size_field = size_of::<u32>();
        let shared = self.size.min(size_of_val(&value));
        let to = self.at.as_ptr().cast::<u8>();
        let from = (&raw const value).cast::<u8>();
        // SAFETY: `new` was promised `size` writable bytes; `value` has `shared` of them.
        unsafe {
            from.add(size_field).copy_to_nonoverlapping(to.add(size_field), shared - size_field);
            to.add(shared).write_bytes(0, self.size - shared);
        }
    }
}

/// Room for one value, checked before the call has any effect.
pub(crate) struct Out<T>(NonNull<T>);

impl<T: Copy> Out<T> {
    /// # Safety
    /// `at` is NULL or writable until `set`.
    pub(crate) unsafe fn new(at: *mut T, argument: &'static str) -> Result<Self, Fault> {
        NonNull::new(at).map(Self).ok_or(Fault::Null(argument))
    }

    pub(crate) fn set(self, value: T) {
        // SAFETY: `new` was promised that it is writable.
        unsafe { self.0.write(value) };
    }
}

/// Room for a text. A NULL buffer of capacity 0 and a NULL length are fine: the caller does not care.
pub(crate) struct TextOut {
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
}

impl TextOut {
    /// # Safety
    /// `buffer` has `capacity` writable bytes until `set`; `out_len` is NULL or writable until then.
    pub(crate) unsafe fn new(
        buffer: *mut c_char,
        capacity: usize,
        out_len: *mut usize,
    ) -> Result<Self, Fault> {
        if buffer.is_null() && capacity > 0 {
            return Err(Fault::Null("the text buffer"));
        }
        Ok(Self { buffer, capacity, out_len })
    }

    /// Writes what fits, whole characters and a NUL, and the length of the whole text.
    pub(crate) fn set(self, text: &str) {
        if self.capacity > 0 {
            let len = text.floor_char_boundary(self.capacity - 1);
            // SAFETY: `new` was promised `capacity` bytes, and `len` is below it.
            unsafe {
                text.as_ptr().cast::<c_char>().copy_to_nonoverlapping(self.buffer, len);
                self.buffer.add(len).write(0);
            }
        }
        if !self.out_len.is_null() {
            // SAFETY: `new` was promised that it is writable.
            unsafe { self.out_len.write(text.len()) };
        }
    }
}

/// Reads a text for the length of the call; NULL is an empty one.
///
/// # Safety
/// `at` has `len` readable bytes, which nobody changes while the result is used.
pub(crate) unsafe fn text<'a>(
    at: *const c_char,
    len: usize,
    argument: &'static str,
) -> Result<&'a str, Fault> {
    if len == 0 {
        return Ok("");
    }
    if at.is_null() {
        return Err(Fault::Null(argument));
    }
    if isize::try_from(len).is_err() {
        return Err(Fault::OutOfRange { argument, got: len as u64 });
    }
    // SAFETY: the caller's promise; no object is longer than isize::MAX.
    let bytes = unsafe { slice::from_raw_parts(at.cast::<u8>(), len) };
    std::str::from_utf8(bytes).map_err(|_| Fault::Utf8(argument))
}

/// Refuses flags that this library does not know.
pub(crate) fn flags(given: u32, known: u32, argument: &'static str) -> Result<(), Fault> {
    zero(given & !known, argument).map_err(|_| Fault::OutOfRange { argument, got: given.into() })
}

/// Refuses a reserved field that is not 0.
pub(crate) fn zero(reserved: u32, argument: &'static str) -> Result<(), Fault> {
    if reserved == 0 { Ok(()) } else { Err(Fault::OutOfRange { argument, got: reserved.into() }) }
}

/// Borrows a list for the length of the call; NULL is an empty one.
///
/// # Safety
/// `at` has `count` readable records, which nobody changes while the result is used.
pub(crate) unsafe fn list<'a, T: Copy>(
    at: *const T,
    count: usize,
    argument: &'static str,
) -> Result<&'a [T], Fault> {
    if count == 0 {
        return Ok(&[]);
    }
    check_list(at, count, argument)?;
    // SAFETY: the caller's promise; no object is longer than isize::MAX.
    Ok(unsafe { slice::from_raw_parts(at, count) })
}

fn check_list<T>(at: *const T, count: usize, argument: &'static str) -> Result<(), Fault> {
    if at.is_null() {
        return Err(Fault::Null(argument));
    }
    match count.checked_mul(size_of::<T>()).map(isize::try_from) {
        Some(Ok(_)) => Ok(()),
        _ => Err(Fault::OutOfRange { argument, got: count as u64 }),
    }
}

/// Room for a list, checked before the call has any effect. NULL with a capacity of 0 is fine.
pub(crate) struct ListOut<T> {
    at: *mut T,
    capacity: usize,
}

impl<T: Copy> ListOut<T> {
    /// # Safety
    /// `at` has room for `capacity` records until `set`.
    pub(crate) unsafe fn new(at: *mut T, capacity: usize, argument: &'static str) -> Result<Self, Fault> {
        if capacity > 0 {
            check_list(at, capacity, argument)?;
        }
        Ok(Self { at, capacity })
    }

    /// Room that the caller need not offer.
    ///
    /// # Safety
    /// As for [`new`](Self::new), unless `at` is NULL.
    pub(crate) unsafe fn optional(
        at: *mut T,
        capacity: usize,
        argument: &'static str,
    ) -> Result<Self, Fault> {
        // SAFETY: the caller's promise.
        unsafe { Self::new(at, if at.is_null() { 0 } else { capacity }, argument) }
    }

    /// Writes what fits.
    pub(crate) fn set(self, items: impl Iterator<Item = T>) {
        for (index, item) in items.take(self.capacity).enumerate() {
            // SAFETY: `new` was promised `capacity` records.
            unsafe { self.at.add(index).write(item) };
        }
    }
}

/// Reads a resource vector.
///
/// # Safety
/// `at` is NULL or points to four numbers.
pub(crate) unsafe fn resources(at: *const u64, argument: &'static str) -> Result<Resources, Fault> {
    let at = at.cast::<[u64; TIDEGATE_DIMENSIONS]>();
    // SAFETY: the caller's promise.
    let units = unsafe { at.as_ref() }.ok_or(Fault::Null(argument))?;
    Ok((*units).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::OutcomeRecord;
    use crate::types;

    /// Each first version is still what the constant says; change the struct at its end only.
    #[test]
    fn no_struct_shrank() {
        assert_eq!(size_of::<RequestInput>(), RequestInput::V1 + 16, "other pools came later");
        assert_eq!(
            size_of::<WorkerInput>(),
            WorkerInput::V1 + 16,
            "kinds, spares and who is replaced came later"
        );
        assert_eq!(size_of::<UsageInput>(), UsageInput::V1);
        assert_eq!(size_of::<TenantPolicyInput>(), TenantPolicyInput::V1);
        assert_eq!(size_of::<DeviceInput>(), DeviceInput::V1);
        assert_eq!(size_of::<AmendmentInput>(), AmendmentInput::V1);
        assert_eq!(size_of::<ExplanationRecord>(), ExplanationRecord::V1 + 24, "pools came later");
        assert_eq!(size_of::<StatsRecord>(), StatsRecord::V1);
        assert_eq!(size_of::<TenantUsageRecord>(), TenantUsageRecord::V1);
        assert_eq!(size_of::<ErrorRecord>(), ErrorRecord::V1);
    }

    #[test]
    fn flat_records_never_grow() {
        assert_eq!(size_of::<OutcomeRecord>(), 192);
        assert_eq!(size_of::<types::ActionRecord>(), 64);
        assert_eq!(size_of::<types::StepExceptionInput>(), 64);
        assert_eq!(size_of::<types::CompletionInput>(), 64);
        assert_eq!(size_of::<types::ShareWarningRecord>(), 32);
        assert_eq!(size_of::<types::RateInput>(), 24);
        assert_eq!(size_of::<types::PromptRecord>(), 16);
        assert_eq!(size_of::<types::WideNumber>(), 16);
        assert_eq!(size_of::<types::DevicePartInput>(), 8);
    }

    /// `UsageInput` as a future version of the library might know it.
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Grown {
        first: UsageInput,
        more: u64,
    }

    // SAFETY: as `UsageInput`, and a u64.
    unsafe impl Versioned for Grown {
        const V1: usize = UsageInput::V1;
    }

    fn usage(struct_size: usize) -> UsageInput {
        let struct_size = u32::try_from(struct_size).expect("small");
        UsageInput { struct_size, reserved: 0, prompt_tokens: 7, cached_tokens: 8, output_tokens: 9 }
    }

    #[test]
    fn an_older_caller_leaves_new_fields_zero() {
        let old = usage(UsageInput::V1);
        // SAFETY: it states its own size, so that no more is read.
        let read =
            unsafe { read((&raw const old).cast::<Grown>(), "usage") }.expect("an older struct is read");
        assert_eq!((read.first.output_tokens, read.more), (9, 0));
    }

    #[test]
    fn a_newer_caller_may_not_use_what_is_unknown_here() {
        let mut new = Grown { first: usage(size_of::<Grown>()), more: 0 };
        let at = &raw const new;
        // SAFETY: it has the size it states.
        unsafe { read(at.cast::<UsageInput>(), "usage") }.expect("zero beyond what is known");
        new.more = 1;
        // SAFETY: it has the size it states.
        let fault = unsafe { read((&raw const new).cast::<UsageInput>(), "usage") }.expect_err("not zero");
        assert_eq!(fault.to_string(), "usage: struct_size is 40, this library knows 32 to 32");
    }

    #[test]
    fn a_record_fits_the_callers_version() {
        let mut old = [usage(UsageInput::V1), usage(0)];
        let grown = Grown { first: usage(1000), more: u64::MAX };
        // SAFETY: the first struct states its own size, so that no more is written.
        let out =
            unsafe { RecordOut::new(old.as_mut_ptr().cast::<Grown>(), "out") }.expect("an older struct");
        out.set(&grown);
        assert_eq!((old[0].struct_size, old[0].output_tokens, old[1].prompt_tokens), (32, 9, 7));

        let mut new = Grown { first: usage(size_of::<Grown>()), more: u64::MAX };
        // SAFETY: it has the size it states.
        let out =
            unsafe { RecordOut::new((&raw mut new).cast::<UsageInput>(), "out") }.expect("a newer struct");
        out.set(&usage(32));
        assert_eq!((new.first.struct_size, new.more), (40, 0));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let mut buffer = [1 as c_char; 4];
        let mut len = 0;
        // SAFETY: a local buffer.
        unsafe { TextOut::new(buffer.as_mut_ptr(), 4, &raw mut len) }.expect("a buffer").set("aéé");
        assert_eq!((buffer.map(|c| c as u8), len), ([b'a', 0xC3, 0xA9, 0], 5));
    }
}
