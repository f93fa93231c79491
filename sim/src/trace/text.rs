//! A trace file as text: opened, unpacked if it is gzip, checked to be UTF-8.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::TraceError;
use crate::text_file::{self, NotUtf8, reason};

/// The two bytes with which every gzip file begins.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Where a tar archive says that it is one.
const TAR_MAGIC: (usize, &[u8]) = (257, b"ustar");

/// The longest line of a trace, in bytes, without its end: no format has rows nearly as long, and a file that is no trace may
/// have one line of any size.
pub(super) const MAX_LINE: usize = 1 << 20;

/// What is read of a file at a time.
const CHUNK: usize = 1 << 16;

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
        let unreadable =
            |error: io::Error| TraceError::in_file(&file, format!("cannot be read: {}", reason(&error)));
        let mut raw = BufReader::with_capacity(CHUNK, File::open(path).map_err(unreadable)?);
        let is_gzip = raw.fill_buf().map_err(unreadable)?.starts_with(&GZIP_MAGIC);
        let bytes = if is_gzip {
            let problem =
                |error: &io::Error, unpacked| TraceError::in_file(&file, gzip_problem(error, unpacked));
            read_lines(&file, MultiGzDecoder::new(raw), problem)?
        } else {
            read_lines(&file, raw, |error, _| {
                TraceError::in_file(&file, format!("cannot be read: {}", reason(error)))
            })?
        };
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

/// All bytes of a file whose lines are no longer than [`MAX_LINE`]; of one that is longer no more is read. `problem`
/// says what an error after so many bytes means.
fn read_lines(
    file: &str,
    mut source: impl Read,
    problem: impl Fn(&io::Error, usize) -> TraceError,
) -> Result<Vec<u8>, TraceError> {
    let mut bytes = Vec::new();
    let mut line_start = 0;
    loop {
        let before = bytes.len();
        let read = source.by_ref().take(CHUNK as u64).read_to_end(&mut bytes);
        let read = read.map_err(|error| problem(&error, bytes.len()))?;
        let ends = bytes[before..].iter().enumerate().filter(|&(_, &byte)| byte == b'\n');
        let ends: Vec<usize> = ends.map(|(place, _)| before + place).chain([bytes.len()]).collect();
        for end in ends {
            if end - line_start > MAX_LINE {
                let line = 1 + bytes[..line_start].iter().filter(|&&byte| byte == b'\n').count() as u64;
                return Err(TraceError::in_line(file, line, format!("is longer than {MAX_LINE} bytes")));
            }
            if end < bytes.len() {
                line_start = end + 1;
            }
        }
        if read == 0 {
            return Ok(bytes);
        }
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
