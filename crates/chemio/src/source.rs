//! A file that is being read.

use std::path::{Path, PathBuf};

use boltzflow_molecule::Molecule;

use crate::{
    Error, Fault, Format, Frame, Record,
    frame::{gather, gather_one},
    gro, inpcrd,
    lines::Lines,
    pdb, sdf, text,
    text::Located,
    trajectory, xyz,
};

/// How a file is to be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions<'a> {
    /// The molecule, for formats that hold coordinates only (inpcrd, GRO, trajectories).
    pub molecule: Option<&'a Molecule>,
    /// The format, where the extension does not tell.
    pub format: Option<Format>,
}

/// A text file, loaded and checked to be text, whose frames can be read.
#[derive(Debug)]
pub struct Source<'a> {
    path: PathBuf,
    format: Format,
    text: String,
    molecule: Option<&'a Molecule>,
}

impl<'a> Source<'a> {
    /// Loads a file.
    ///
    /// # Errors
    /// If it cannot be read, is of no known format, holds coordinates only and no molecule is given, or is no text.
    /// Trajectories are not text: use [`read`] or [`read_trajectory`](crate::read_trajectory).
    pub fn open(path: &Path, options: &ReadOptions<'a>) -> Result<Self, Error> {
        let format = options.format.map_or_else(|| Format::of(path), Ok)?;
        if format.needs_molecule() && options.molecule.is_none() {
            return Err(Error::NeedsMolecule {
                path: path.to_owned(),
            });
        }
        let text = text::load(path, format)?;
        Ok(Self {
            path: path.to_owned(),
            format,
            text,
            molecule: options.molecule,
        })
    }

    /// The frames in order, each an own [`Frame`]. After a fault inside one frame the following ones can still be read,
    /// wherever the fault leaves it clear where they begin.
    pub fn frames(&self) -> impl Iterator<Item = Result<Frame, Error>> + '_ {
        let mut lines = Lines::new(&self.text);
        let mut models = pdb::Models::new(if self.format == Format::Pdb {
            &self.text
        } else {
            ""
        });
        let next = move || -> Option<Located<Frame>> {
            match (self.format, self.molecule) {
                (Format::Sdf, _) => sdf::next(&mut lines),
                (Format::Pdb, _) => models.next(),
                (Format::Inpcrd, Some(molecule)) => inpcrd::read(&mut lines, molecule),
                (Format::Gro, Some(molecule)) => gro::next(&mut lines, molecule),
                _ => xyz::next(&mut lines),
            }
        };
        placed(&self.path, std::iter::from_fn(next))
    }
}

/// Says of each frame's fault in which file it is.
fn placed<T>(
    path: &Path,
    frames: impl Iterator<Item = Located<T>>,
) -> impl Iterator<Item = Result<T, Error>> {
    frames.enumerate().map(|(index, frame)| {
        frame.map_err(|(line, fault)| Error::Text {
            path: path.to_owned(),
            line: line + 1,
            frame: index + 1,
            fault,
        })
    })
}

/// The step, in Å, of coordinates that a file keeps by few decimals: .001 in PDB, what the file itself says in GRO (mostly .01) and XTC, there
/// the coarsest of its frames. `None` for files of other formats, and for XTC of at most nine atoms, which are not packed.
///
/// # Errors
/// If the file has to be read, and cannot be or has a fault.
pub fn quantum(path: &Path) -> Result<Option<f64>, Error> {
    let quantum = match Format::of(path) {
        Ok(Format::Pdb) => 1e-3,
        Ok(Format::Gro) => gro_quantum(path)?,
        Ok(Format::Xtc) => trajectory::xtc::quantum(path)?,
        _ => 0.0,
    };
    Ok((quantum > 0.0).then_some(quantum))
}

/// The coarsest step of a GRO file's frames, Å.
fn gro_quantum(path: &Path) -> Result<f64, Error> {
    let text = text::load(path, Format::Gro)?;
    let mut lines = Lines::new(&text);
    let frames = std::iter::from_fn(|| gro::next_quantum(&mut lines));
    placed(path, frames).try_fold(0.0, |coarsest: f64, quantum| Ok(coarsest.max(quantum?)))
}

/// Reads a file of one molecule: its frames are its conformers.
///
/// # Errors
/// If a frame has a fault, or is of another molecule than the first, or there is none.
pub fn read(path: &Path, options: &ReadOptions<'_>) -> Result<Record, Error> {
    match trajectory_molecule(path, options)? {
        Some(molecule) => trajectory::read_record(path, options, molecule),
        None => gather_one(path, Source::open(path, options)?.frames()),
    }
}

/// Reads a file of any number of molecules: frames that follow each other and share their molecule are its conformers.
///
/// # Errors
/// If a frame has a fault, or there is none.
pub fn read_records(path: &Path, options: &ReadOptions<'_>) -> Result<Vec<Record>, Error> {
    if let Some(molecule) = trajectory_molecule(path, options)? {
        return Ok(vec![trajectory::read_record(path, options, molecule)?]);
    }
    let records = gather(Source::open(path, options)?.frames())?;
    if records.is_empty() {
        Err(Error::Empty {
            path: path.to_owned(),
        })
    } else {
        Ok(records)
    }
}

/// The molecule of a trajectory; `None` if the file is text.
fn trajectory_molecule<'a>(
    path: &Path,
    options: &ReadOptions<'a>,
) -> Result<Option<&'a Molecule>, Error> {
    let format = options.format.map_or_else(|| Format::of(path), Ok)?;
    if !format.is_binary() {
        return Ok(None);
    }
    options
        .molecule
        .map(Some)
        .ok_or_else(|| Error::NeedsMolecule {
            path: path.to_owned(),
        })
}

/// Places a fault of a binary frame, counted from 0.
pub(crate) fn binary(path: &Path, frame: usize, fault: Fault) -> Error {
    Error::Binary {
        path: path.to_owned(),
        frame: frame + 1,
        fault,
    }
}
