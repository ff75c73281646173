//! Trajectories through chemfiles, whose types and traps end here.

mod frames;

use std::{
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::Once,
};

use boltzflow_molecule::{Conformers, Molecule};

use crate::{Error, Fault, Format, ReadOptions, Record, Tags, source::binary};

/// Reads the frames of a trajectory (XTC, TRR, DCD, AMBER NetCDF) of this molecule, Å.
///
/// # Errors
/// If it cannot be read, is truncated or damaged, or a frame has another number of atoms or a coordinate that is not finite.
pub fn read_trajectory(path: &Path, molecule: &Molecule) -> Result<Conformers, Error> {
    read_as(path, Format::of(path)?, molecule)
}

/// Reads a trajectory as a record without titles and tags.
pub(crate) fn read_record(
    path: &Path,
    options: &ReadOptions<'_>,
    molecule: &Molecule,
) -> Result<Record, Error> {
    let format = options.format.map_or_else(|| Format::of(path), Ok)?;
    let conformers = read_as(path, format, molecule)?;
    let count = conformers.len();
    Ok(Record {
        molecule: molecule.clone(),
        conformers,
        titles: vec![String::new(); count],
        tags: vec![Tags::new(); count],
    })
}

/// Reads a trajectory of this format.
fn read_as(path: &Path, format: Format, molecule: &Molecule) -> Result<Conformers, Error> {
    let name = match format {
        Format::Xtc => "XTC",
        Format::Trr => "TRR",
        Format::Dcd => "DCD",
        Format::NetCdf => "Amber NetCDF",
        Format::Xyz | Format::Sdf | Format::Pdb | Format::Inpcrd => {
            return Err(Error::UnknownFormat {
                path: path.to_owned(),
            });
        }
    };
    if molecule.atoms.is_empty() {
        return Err(Error::NeedsMolecule {
            path: path.to_owned(),
        });
    }
    // Chemfiles passes over a frame that is cut without a word, so the frames are counted before it sees the file.
    let announced = frames::count(path, format)?;
    let decoded = panic::catch_unwind(AssertUnwindSafe(|| {
        decode(path, name, molecule.atoms.len())
    }));
    let message = || "it makes chemfiles fail; the file is damaged".to_owned();
    let conformers = decoded.map_err(|_| Error::Chemfiles {
        path: path.to_owned(),
        message: message(),
    })??;
    match announced {
        Some(announced) if announced != conformers.len() => {
            let found = conformers.len();
            Err(binary(
                path,
                found.min(announced),
                Fault::LostFrames { announced, found },
            ))
        }
        _ => Ok(conformers),
    }
}

/// Decodes all frames at once into our own numbers.
fn decode(path: &Path, format: &str, atoms: usize) -> Result<Conformers, Error> {
    route_warnings();
    let failed = |error: chemfiles::Error| Error::Chemfiles {
        path: path.to_owned(),
        message: error.to_string(),
    };
    let mut trajectory =
        chemfiles::Trajectory::open_with_format(path, 'r', format).map_err(failed)?;
    let steps = trajectory.nsteps();
    let mut conformers = Conformers::empty(atoms, 3);
    let mut frame = chemfiles::Frame::new();
    for step in 0..steps {
        trajectory.read(&mut frame).map_err(failed)?;
        // Asking an empty frame for its positions is undefined behaviour.
        if frame.size() != atoms {
            return Err(binary(
                path,
                step,
                Fault::FrameAtoms {
                    found: frame.size(),
                    expected: atoms,
                },
            ));
        }
        let positions = frame.positions().as_flattened();
        if let Some(at) = positions
            .iter()
            .position(|coordinate| !coordinate.is_finite())
        {
            let what = format!(
                "coordinate {} of atom {}",
                ["x", "y", "z"][at % 3],
                at / 3 + 1
            );
            return Err(binary(
                path,
                step,
                Fault::NotFinite {
                    what,
                    found: positions[at].to_string(),
                },
            ));
        }
        conformers.push(positions);
    }
    if conformers.is_empty() {
        Err(Error::Empty {
            path: path.to_owned(),
        })
    } else {
        Ok(conformers)
    }
}

/// Sends what chemfiles warns of to the log, once for the process.
///
/// The callback of the crate `chemfiles` aborts the process on a warning that is not UTF-8. Warnings quote text of the file,
/// so no text file is given to chemfiles, and of binary ones only those whose frames were found in order before.
fn route_warnings() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        chemfiles::set_warning_callback(|message| log::warn!("chemfiles: {message}"))
    });
}
