//! Every trap of reading and writing, each with a file written on the spot.

mod gro;
mod pdb;
mod properties;
mod quantum;
mod sdf;
mod traps;
mod xyz;

use std::{io::Write, path::PathBuf};

use boltzflow_molecule::Molecule;
use tempfile::TempDir;

use crate::{Error, Frame, ReadOptions, Record, Source, read, read_records};

/// A directory with one file in it.
pub(super) struct File {
    _directory: TempDir,
    pub(super) path: PathBuf,
}

/// Writes a file of this name.
pub(super) fn file(name: &str, contents: impl AsRef<[u8]>) -> File {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, contents).unwrap();
    File {
        _directory: directory,
        path,
    }
}

/// Compresses a text.
pub(super) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

impl File {
    /// Reads it as one molecule.
    pub(super) fn read(&self) -> Result<Record, Error> {
        read(&self.path, &ReadOptions::default())
    }

    /// Reads it as one molecule, which is this.
    pub(super) fn read_for(&self, molecule: &Molecule) -> Result<Record, Error> {
        let options = ReadOptions {
            molecule: Some(molecule),
            format: None,
        };
        read(&self.path, &options)
    }

    /// Reads it as several molecules.
    pub(super) fn records(&self) -> Result<Vec<Record>, Error> {
        read_records(&self.path, &ReadOptions::default())
    }

    /// Reads each frame by itself.
    pub(super) fn frames(&self) -> Vec<Result<Frame, Error>> {
        Source::open(&self.path, &ReadOptions::default())
            .unwrap()
            .frames()
            .collect()
    }

    /// What reading it complains of.
    pub(super) fn message(&self) -> String {
        self.read().unwrap_err().to_string()
    }
}

/// Symbols of all atoms.
pub(super) fn symbols(molecule: &Molecule) -> Vec<&'static str> {
    molecule
        .atoms
        .iter()
        .map(|atom| atom.element.symbol())
        .collect()
}

/// Formal charges of all atoms.
pub(super) fn charges(molecule: &Molecule) -> Vec<i32> {
    molecule
        .atoms
        .iter()
        .map(|atom| atom.formal_charge)
        .collect()
}
