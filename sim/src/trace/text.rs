//! A trace file as text: opened, unpacked if it is gzip, checked to be UTF-8.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::TraceError;
use crate::text_file::{self, NotUtf8, reason};

/// The two bytes with which every gzip file begins.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Where a tar archive says that it is one.
const TAR_MAGIC: (usize, &[u8]) = (257, b"ustar");

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The contents of a file, with its name for messages and for the rules that read it.
pub(super) struct Text {
    file: String,
    name: String,
    content: String,
}

impl Text {
    /// Reads the whole file. Gzip is recognised by its first bytes, whatever the file is called.
    pub(super) fn read(path: &Path) -> Result<Self, TraceError> {
        let file = path.display().to_string();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let raw = fs::read(path)
            .map_err(|error| TraceError::in_file(&file, format!("cannot be read: {}", reason(&error))))?;
        let bytes = if raw.starts_with(&GZIP_MAGIC) { gunzip(&file, &raw)? } else { raw };
        if bytes.get(TAR_MAGIC.0..).is_some_and(|rest| rest.starts_with(TAR_MAGIC.1)) {
            return Err(TraceError::in_file(&file, "is a tar archive: expected one trace, plain or gzip"));
        }
        let content = decode(&file, bytes)?;
        if content.trim().is_empty() {
            return Err(TraceError::in_file(&file, "is empty"));
        }
        Ok(Self { file, name, content })
    }

    /// The file as it was named, for messages.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// The last part of the path; some label rules read it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The lines that are not blank, numbered from 1, without their ends (LF or CR LF).
    pub(super) fn lines(&self) -> impl Iterator<Item = (u64, &str)> {
        let content = self.content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.content);
        (1..).zip(content.lines()).filter(|(_, line)| !line.trim().is_empty())
    }
}

fn gunzip(file: &str, raw: &[u8]) -> Result<Vec<u8>, TraceError> {
    let mut bytes = Vec::new();
    match MultiGzDecoder::new(raw).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(TraceError::in_file(file, gzip_problem(&error, bytes.len()))),
    }
}

/// Why unpacking ended after so many bytes.
fn gzip_problem(error: &io::Error, unpacked: usize) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            format!("is incomplete: its gzip data ends early, after {unpacked} unpacked bytes")
        }
        ErrorKind::OutOfMemory => "does not fit into memory unpacked".to_owned(),
        _ => format!("is damaged gzip: {error}"),
    }
}

fn decode(file: &str, bytes: Vec<u8>) -> Result<String, TraceError> {
    text_file::decode(bytes).map_err(|NotUtf8 { line, byte }| {
        TraceError::in_line(file, line, format!("is not UTF-8 at byte {byte} of the line"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_not_called_damaged() {
        let problem = |kind: ErrorKind| gzip_problem(&kind.into(), 61);
        assert_eq!(problem(ErrorKind::OutOfMemory), "does not fit into memory unpacked");
        assert_eq!(
            problem(ErrorKind::UnexpectedEof),
            "is incomplete: its gzip data ends early, after 61 unpacked bytes"
        );
        assert!(problem(ErrorKind::InvalidData).starts_with("is damaged gzip: "));
    }
}
