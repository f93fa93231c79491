//! Files that a command writes beside what it prints: begun before the work, at their place when they are whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tidegate_sim::text_file::reason;
use tidegate_sim::whole_file::WholeFile;

use super::Failure;

/// A file on its way, and how the user named it.
pub(super) struct Output {
    named: PathBuf,
    file: WholeFile,
}

impl Output {
    /// Begins the file that `flag` names, unless it would take the place of one of `inputs`: flags with the files that
    /// they read.
    pub(super) fn begin(flag: &str, path: &Path, inputs: &[(&str, &Path)]) -> Result<Self, Failure> {
        // What does not exist cannot be replaced.
        if let Ok(place) = fs::canonicalize(path) {
            let is_there = |input: &Path| fs::canonicalize(input).is_ok_and(|input| input == place);
            if let Some((input_flag, _)) = inputs.iter().find(|(_, input)| is_there(input)) {
                let problem = format!("{flag} would replace the file that {input_flag} reads");
                return Err(Failure::bad_file(path, problem));
            }
        }
        let file = WholeFile::create(path).map_err(|error| unwritten(path, &error))?;
        Ok(Self { named: path.to_owned(), file })
    }

    /// The file, for who writes into it piece by piece. Give it back to [`commit`](Self::commit).
    pub(super) fn into_file(self) -> (PathBuf, WholeFile) {
        (self.named, self.file)
    }

    /// Puts the whole file at its place.
    pub(super) fn commit(named: &Path, file: WholeFile) -> Result<(), Failure> {
        file.commit().map_err(|error| unwritten(named, &error))
    }

    /// Lets `write` fill the file, and puts it at its place.
    pub(super) fn fill(mut self, write: impl FnOnce(&mut WholeFile)) -> Result<(), Failure> {
        write(&mut self.file);
        Self::commit(&self.named, self.file)
    }
}

/// Refuses flags that name one place: the file of one would take that of the other.
pub(super) fn refuse_one_place(outputs: &[(&str, &Path)]) -> Result<(), Failure> {
    for (index, &(flag, path)) in outputs.iter().enumerate() {
        let here = place(path);
        if let Some((other, _)) = outputs[..index].iter().find(|(_, other)| place(other) == here) {
            return Err(Failure::bad_file(
                path,
                format_args!("{flag} would replace the file that {other} writes"),
            ));
        }
    }
    Ok(())
}

/// One path for all ways to name a file, whether it is there or not.
fn place(path: &Path) -> PathBuf {
    let in_its_folder = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(fs::canonicalize(folder).ok()?.join(path.file_name()?))
    };
    fs::canonicalize(path).ok().or_else(in_its_folder).unwrap_or_else(|| path.to_owned())
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::bad_file(path, "cannot be written: there is no such folder"),
        // Our own words.
        io::ErrorKind::Other => Failure::bad_file(path, error),
        _ => Failure::bad_file(path, format_args!("cannot be written: {}", reason(error))),
    }
}
