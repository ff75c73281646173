//! The bytes of a binary file, never read beyond its end.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::{Error, Fault, source::binary};

/// Why reading stops before the file does.
#[derive(Debug)]
pub(super) enum Stop {
    /// The file is shorter than its frame.
    Cut,
    /// There is no frame here.
    NoFrame,
    /// The frame says something impossible.
    Fault(Fault),
    /// The system refuses.
    Io(std::io::Error),
}

/// A file that is read from front to back, frame by frame.
pub(super) struct Bytes {
    path: PathBuf,
    file: BufReader<File>,
    at: u64,
    size: u64,
    /// Where the frame begins that is being read.
    start: u64,
}

impl Bytes {
    /// Opens a regular file that is not empty.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(std::io::Error::new(
                ErrorKind::InvalidInput,
                "it is not a regular file",
            )));
        }
        if metadata.len() == 0 {
            return Err(Error::Empty {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            file: BufReader::new(file),
            at: 0,
            size: metadata.len(),
            start: 0,
        })
    }

    /// Whether anything is left; if so, a frame begins here.
    pub(super) fn begin(&mut self) -> bool {
        self.start = self.at;
        self.at < self.size
    }

    /// Says what stopped the reading of this frame, counted from 0.
    pub(super) fn error(&self, frame: usize, stop: Stop) -> Error {
        match stop {
            Stop::Cut => binary(&self.path, frame, Fault::CutFrame { bytes: self.size }),
            Stop::NoFrame => binary(&self.path, frame, Fault::NoFrame { byte: self.start }),
            Stop::Fault(fault) => binary(&self.path, frame, fault),
            Stop::Io(source) => Error::Read {
                path: self.path.clone(),
                source,
            },
        }
    }

    /// The next bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// So many bytes; the memory is asked for only once they are known to be there.
    pub(super) fn vec(&mut self, count: u64) -> Result<Vec<u8>, Stop> {
        if self.left() < count {
            return Err(Stop::Cut);
        }
        let mut bytes = vec![0; count as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Stop> {
        if self.left() < bytes.len() as u64 {
            return Err(Stop::Cut);
        }
        self.file.read_exact(bytes).map_err(Stop::Io)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Passes bytes that must be there.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), Stop> {
        if self.left() < count {
            return Err(Stop::Cut);
        }
        self.file.seek_relative(count as i64).map_err(Stop::Io)?;
        self.at += count;
        Ok(())
    }

    /// Goes to a place that must be in the file.
    pub(super) fn seek(&mut self, place: u64) -> Result<(), Stop> {
        if place > self.size {
            return Err(Stop::Cut);
        }
        self.file.seek(SeekFrom::Start(place)).map_err(Stop::Io)?;
        self.at = place;
        Ok(())
    }

    /// The size of the file.
    pub(super) fn end(&self) -> u64 {
        self.size
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> u64 {
        self.size - self.at
    }

    /// The next size, a big-endian `i32`; a negative one makes no frame.
    pub(super) fn size(&mut self) -> Result<u64, Stop> {
        u64::try_from(i32::from_be_bytes(self.array()?)).map_err(|_| Stop::NoFrame)
    }
}

/// Refuses a frame of another number of atoms.
pub(super) fn check_atoms(found: u64, expected: usize) -> Result<(), Stop> {
    if found == expected as u64 {
        Ok(())
    } else {
        Err(Stop::Fault(Fault::FrameAtoms {
            found: found as usize,
            expected,
        }))
    }
}
