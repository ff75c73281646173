//! Trajectories: XTC, DCD and AMBER NetCDF by readers of our own, because damaged files make chemfiles read outside its memory;
//! TRR through chemfiles, whose types and traps end there.

mod bytes;
mod dcd;
mod netcdf;
mod trr;
pub(crate) mod xtc;

use std::path::Path;

use boltzflow_molecule::{Conformers, Molecule};

use crate::{Error, Fault, Format, ReadOptions, Record, Tags};

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
    let atoms = molecule.atoms.len();
    if atoms == 0 {
        return Err(Error::NeedsMolecule {
            path: path.to_owned(),
        });
    }
    match format {
        Format::Xtc => xtc::read(path, atoms),
        Format::Trr => trr::read(path, atoms),
        Format::Dcd => dcd::read(path, atoms),
        Format::NetCdf => netcdf::read(path, atoms),
        Format::Xyz | Format::Sdf | Format::Pdb | Format::Inpcrd | Format::Gro => {
            Err(Error::UnknownFormat {
                path: path.to_owned(),
            })
        }
    }
}

/// Refuses positions that are not finite.
fn check_finite(positions: &[f64]) -> Result<(), Fault> {
    match positions
        .iter()
        .position(|coordinate| !coordinate.is_finite())
    {
        None => Ok(()),
        Some(at) => {
            let what = format!(
                "coordinate {} of atom {}",
                ["x", "y", "z"][at % 3],
                at / 3 + 1
            );
            Err(Fault::NotFinite {
                what,
                found: positions[at].to_string(),
            })
        }
    }
}
