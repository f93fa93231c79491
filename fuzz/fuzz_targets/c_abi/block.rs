//! Memory of exactly as many bytes as the library may touch, so that the sanitizer sees one more.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

/// What outputs hold before a call.
const UNTOUCHED: u8 = 0xEE;

/// Some bytes, aligned for every struct of the header.
#[derive(Debug)]
pub(crate) struct Block {
    at: *mut u8,
    len: usize,
}

impl Block {
    /// Filled with what no call has written.
    pub(crate) fn untouched(len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: the layout has at least one byte.
        let at = unsafe { alloc(layout) };
        if at.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: just allocated.
        unsafe { at.write_bytes(UNTOUCHED, layout.size()) };
        Self { at, len }
    }

    /// A copy of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let block = Self::untouched(bytes.len());
        // SAFETY: it has as many bytes.
        unsafe { block.at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        block
    }

    /// Where it lies, as what it is taken for.
    pub(crate) fn at<T>(&self) -> *mut T {
        self.at.cast()
    }

    /// What lies there.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: it has as many bytes, and every call has returned.
        unsafe { std::slice::from_raw_parts(self.at, self.len) }
    }

    /// Whether no call has written to it.
    pub(crate) fn is_untouched(&self) -> bool {
        self.bytes().iter().all(|&byte| byte == UNTOUCHED)
    }

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len.max(1), 8).expect("blocks are small")
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.at, Self::layout(self.len)) };
    }
}
