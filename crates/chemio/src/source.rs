//! A file that is being read.

use std::path::{Path, PathBuf};

use boltzflow_molecule::Molecule;

use crate::{
    Error, Fault, Format, Frame, Record,
    frame::{gather, gather_one},
    inpcrd,
    lines::Lines,
    pdb, sdf, text,
    text::Located,
    trajectory, xyz,
};

/// How a file is to be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions<'a> {
    /// The molecule, for formats that hold coordinates only (inpcrd, trajectories).
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
                _ => xyz::next(&mut lines),
            }
        };
        std::iter::from_fn(next).enumerate().map(|(index, frame)| {
            frame.map_err(|(line, fault)| Error::Text {
                path: self.path.clone(),
                line: line + 1,
                frame: index + 1,
                fault,
            })
        })
    }
}

/// The step, in Å, of the coordinates that a kind of file keeps by few decimals: PDB .001, GRO and XTC (as usually written) .01. None for others.
pub fn quantum(path: &Path) -> Option<f64> {
    let extension = path.extension()?.to_ascii_lowercase();
    match extension.to_str()? {
        "pdb" | "ent" => Some(1e-3),
        "gro" | "xtc" => Some(1e-2),
        _ => None,
    }
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
