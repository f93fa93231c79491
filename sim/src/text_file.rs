//! What is wrong with a file that should be text, in the same words for every file that is read.

use std::io::{self, ErrorKind};

use thiserror::Error;

/// Where bytes stop being text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("line {line}: is not UTF-8 at byte {byte} of the line")]
pub struct NotUtf8 {
    /// The line, counted from 1.
    pub line: u64,
    /// The byte in that line, counted from 1.
    pub byte: usize,
}

/// The text that the bytes are.
///
/// # Errors
/// The first byte that is not UTF-8.
pub fn decode(bytes: Vec<u8>) -> Result<String, NotUtf8> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let byte = 1 + valid.iter().rev().take_while(|&&byte| byte != b'\n').count();
        NotUtf8 { line, byte }
    })
}

/// Why a file cannot be read; the frequent reasons in the same words on every system.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::OutOfMemory => "it does not fit into memory".to_owned(),
        _ => error.to_string(),
    }
}
