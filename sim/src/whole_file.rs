//! What a command writes to disk (a journal, a report): written beside its place and put there when it is whole. Replaces a regular
//! file of that name, through a link the file that it names; anything else (a device, a pipe, a folder) is refused.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Unfinished files of one name and process that are passed over: those of runs that were broken off.
const MOST_LEFTOVERS: u32 = 1_000;

/// Text on its way into a file. Dropped before [`commit`](Self::commit), it leaves nothing behind.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
    /// The first failure of a write; nothing is written after it.
    error: Option<io::Error>,
}

impl WholeFile {
    /// Begins a file that will be at `path`.
    ///
    /// # Errors
    /// There is something at `path` that is no regular file; or those of creating a file there.
    pub fn create(path: &Path) -> io::Result<Self> {
        let path = destination(path)?;
        let (partial, file) = create_beside(&path)?;
        let out = BufWriter::with_capacity(1 << 20, file);
        Ok(Self { path, partial, out, error: None })
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

/// The file that may be replaced or made for `path`.
fn destination(path: &Path) -> io::Result<PathBuf> {
    match fs::metadata(path) {
        Ok(there) if there.is_file() => fs::canonicalize(path),
        Ok(there) if there.is_dir() => Err(io::Error::other("is a folder")),
        Ok(_) => Err(io::Error::other("is no regular file, and is not replaced")),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Err(_) if path.is_symlink() => Err(io::Error::other("is a link to nothing")),
        Err(_) => Ok(folder(path).join(name(path)?)),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn name(path: &Path) -> io::Result<&OsStr> {
    path.file_name().ok_or_else(|| io::Error::other("names no file"))
}

/// A new file in the folder of `path`, under a name that nobody has: `.NAME.PID.partial`, or with a number
/// before its end.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = 0;
    loop {
        let mut partial = OsStr::new(".").to_owned();
        partial.push(name(path)?);
        partial.push(format!(".{}", std::process::id()));
        if number > 0 {
            partial.push(format!(".{number}"));
        }
        partial.push(".partial");
        let partial = folder(path).join(partial);
        match File::create_new(&partial) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < MOST_LEFTOVERS => number += 1,
            created => return created.map(|file| (partial, file)),
        }
    }
}

/// Never fails: what goes wrong is told by [`WholeFile::commit`], which has the words for it.
impl fmt::Write for WholeFile {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.error.is_none() {
            self.error = self.out.write_all(text.as_bytes()).err();
        }
        Ok(())
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        // After a commit there is nothing to remove, and nobody to tell of a failure.
        let _ = fs::remove_file(&self.partial);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// A folder of its own, gone at the end of the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let name = format!("tidegate-journal-{test}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).expect("a folder for temporary files");
            Self(path)
        }

        fn count(&self) -> usize {
            fs::read_dir(&self.0).expect("readable").count()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_is_there_only_when_it_is_whole() {
        let folder = Folder::new("whole");
        let path = folder.0.join("run.journal");
        let mut torn = WholeFile::create(&path).expect("the folder is there");
        torn.write_str("half").expect("never fails");
        drop(torn);
        assert_eq!(folder.count(), 0);
        let mut whole = WholeFile::create(&path).expect("the folder is there");
        whole.write_str("whole").expect("never fails");
        whole.commit().expect("the folder is there");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "whole");
        assert_eq!(folder.count(), 1);
    }

    #[test]
    fn two_unfinished_files_of_one_name_do_not_meet() {
        let folder = Folder::new("two");
        let path = folder.0.join("run.journal");
        let first = WholeFile::create(&path).expect("the folder is there");
        let second = WholeFile::create(&path).expect("the folder is there");
        assert_ne!(first.partial, second.partial);
        drop(first);
        assert!(second.partial.exists());
    }
}
