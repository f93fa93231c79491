//! The journal of a replay on disk: written beside its place and put there when it is whole.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Text on its way into a file. Dropped before [`commit`](Self::commit), it leaves nothing behind.
#[derive(Debug)]
pub struct JournalFile {
    path: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
    /// The first failure of a write; nothing is written after it.
    error: Option<io::Error>,
}

impl JournalFile {
    /// Begins a file that will be at `path`.
    ///
    /// # Errors
    /// Those of creating a file there.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let out = BufWriter::with_capacity(1 << 20, File::create(&partial)?);
        Ok(Self { path: path.to_owned(), partial, out, error: None })
    }

    /// Puts the whole file at its place.
    ///
    /// # Errors
    /// The first error of a write, or those of the rename; nothing is left behind then.
    pub fn commit(mut self) -> io::Result<()> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        self.out.flush()?;
        fs::rename(&self.partial, &self.path)
    }

    /// Where it will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Never fails: what goes wrong is told by [`JournalFile::commit`], which has the words for it.
impl fmt::Write for JournalFile {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.error.is_none() {
            self.error = self.out.write_all(text.as_bytes()).err();
        }
        Ok(())
    }
}

impl Drop for JournalFile {
    fn drop(&mut self) {
        // After a commit there is nothing to remove, and nobody to tell of a failure.
        let _ = fs::remove_file(&self.partial);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn a_file_is_there_only_when_it_is_whole() {
        let folder = std::env::temp_dir().join(format!("tidegate-journal-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for temporary files");
        let path = folder.join("run.journal");
        let mut torn = JournalFile::create(&path).expect("the folder is there");
        torn.write_str("half").expect("never fails");
        drop(torn);
        assert_eq!(fs::read_dir(&folder).expect("readable").count(), 0);
        let mut whole = JournalFile::create(&path).expect("the folder is there");
        whole.write_str("whole").expect("never fails");
        whole.commit().expect("the folder is there");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "whole");
        assert_eq!(fs::read_dir(&folder).expect("readable").count(), 1);
        fs::remove_dir_all(&folder).expect("ours");
    }
}
