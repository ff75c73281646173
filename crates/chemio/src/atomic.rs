//! Files that are there whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

use crate::Error;

/// How every temporary name ends.
const SUFFIX: &str = ".part";

/// A file that appears under its name only by [`AtomicFile::commit`]; dropped before, it leaves nothing behind.
///
/// It is written under another name in the same directory, flushed to the disk and renamed, so that neither a crash nor a full
/// disk leaves half a file, nor harms one that was there before.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Opens a new file that will be called `path`; a link is followed, so that what it points to is replaced.
    ///
    /// # Errors
    /// If the directory is missing or cannot be written, or `path` is a directory or a device.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Write {
            path: path.to_owned(),
            source,
        };
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if target.file_name().is_none() {
            return Err(failed(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it has no file name",
            )));
        }
        if fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(failed(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not a regular file",
            )));
        }
        let mut builder = Builder::new();
        let prefix = prefix(&target);
        builder.prefix(&prefix).suffix(SUFFIX);
        #[cfg(unix)]
        {
            // As any new file: the process's mask takes away what is to be taken away.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder
            .tempfile_in(directory(&target))
            .map_err(|error| failed(io::Error::new(error.kind(), system(&error))))?;
        Ok(Self {
            path: target,
            file: BufWriter::new(file),
        })
    }

    /// Removes what a killed process has left of a file on its way to `path`. No other process may be writing it.
    ///
    /// # Errors
    /// If the directory cannot be read or a file not removed.
    pub fn sweep(path: &Path) -> Result<(), Error> {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let prefix = prefix(&target);
        let sweep = || -> io::Result<()> {
            for entry in fs::read_dir(directory(&target))? {
                let entry = entry?;
                let name = entry.file_name();
                if name
                    .as_encoded_bytes()
                    .starts_with(prefix.as_encoded_bytes())
                    && name.as_encoded_bytes().ends_with(SUFFIX.as_bytes())
                {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        };
        sweep().map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })
    }

    /// The name that the file will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name, once all of it is on the disk.
    ///
    /// # Errors
    /// If the disk is full or the name cannot be given; then nothing has changed.
    pub fn commit(self) -> Result<(), Error> {
        let Self { path, file } = self;
        let failed = |source| Error::Write {
            path: path.clone(),
            source,
        };
        let file = file
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        // The rename itself is on the disk once the directory is; not every file system can say so.
        if let Ok(directory) = File::open(directory(&path)) {
            drop(directory.sync_all());
        }
        Ok(())
    }

    /// Writes a whole file at once.
    ///
    /// # Errors
    /// As [`AtomicFile::create`] and [`AtomicFile::commit`].
    pub fn write_all_to(path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let mut file = Self::create(path)?;
        file.write_all(bytes).map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })?;
        file.commit()
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

/// How the temporary name of a file begins. The name itself is cut, because a directory allows no more than 255 bytes; a hash tells names
/// apart that begin alike.
fn prefix(target: &Path) -> OsString {
    let name = target.file_name().unwrap_or_default();
    let mut hash = DefaultHasher::new();
    name.hash(&mut hash);
    let begin: String = name.to_string_lossy().chars().take(50).collect();
    format!(".{begin}.boltzflow-{:016x}-", hash.finish()).into()
}

/// The directory of a file.
fn directory(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// What the system says, without the temporary name.
fn system(error: &io::Error) -> String {
    let text = error
        .get_ref()
        .and_then(std::error::Error::source)
        .map_or_else(|| error.to_string(), ToString::to_string);
    match text.split_once(" at path ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_committed_leaves_nothing_behind_and_the_old_one_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.txt");
        AtomicFile::write_all_to(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        file.flush().unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        AtomicFile::write_all_to(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn what_a_killed_process_leaves_of_one_file_is_swept_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let long = "a".repeat(60);
        let [one, two] = ["one", "two"].map(|end| format!("{long}-{end}.txt"));
        for name in ["out.txt", "other.txt", &one, &two] {
            AtomicFile::write_all_to(&path(name), b"whole").unwrap();
            // As after a kill, nothing removes the temporary file.
            std::mem::forget(AtomicFile::create(&path(name)).unwrap());
        }
        AtomicFile::sweep(&path("out.txt")).unwrap();
        AtomicFile::sweep(&path(&one)).unwrap();
        let mut left: Vec<String> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left.len(), 6, "{left:?}");
        // Names that begin alike are told apart.
        assert!(left[0].starts_with(&format!(".{}.boltzflow-", &long[..50])));
        assert!(left[1].starts_with(".other.txt.boltzflow-"), "{left:?}");
        assert_eq!(left[2..], [one, two, "other.txt".into(), "out.txt".into()]);
    }

    #[test]
    fn a_missing_directory_and_a_directory_in_place_of_the_file_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("nowhere/out.sdf");
        let message = AtomicFile::create(&missing).unwrap_err().to_string();
        assert!(
            message.contains("cannot write") && message.contains("nowhere/out.sdf"),
            "{message}"
        );
        assert!(
            message.contains("No such file or directory") && !message.contains(".part"),
            "{message}"
        );
        let message = AtomicFile::create(directory.path())
            .unwrap_err()
            .to_string();
        assert!(message.contains("not a regular file"), "{message}");
    }
}
