//! Structures on their way into a file.

mod extxyz;
mod sdf;

use std::{io::Write, path::Path};

use boltzflow_molecule::Molecule;
use flate2::{Compression, write::GzEncoder};

pub use sdf::SdfVersion;

use crate::{AtomicFile, Error, Fault, Tags};

/// One structure to write.
#[derive(Clone, Copy, Debug)]
pub struct Structure<'a> {
    /// What it is.
    pub molecule: &'a Molecule,
    /// Where its atoms are, `3 · atoms` numbers in Å.
    pub positions: &'a [f64],
    /// What is to be said about it.
    pub tags: &'a Tags,
}

impl Structure<'_> {
    /// Refuses what no format can express.
    fn check(&self) -> Result<(), Fault> {
        let atoms = self.molecule.atoms.len();
        if atoms == 0 {
            return Err(Fault::NoAtoms);
        }
        if self.positions.len() != 3 * atoms {
            return Err(Fault::Coordinates {
                found: self.positions.len(),
                atoms,
            });
        }
        if let Some(at) = self
            .positions
            .iter()
            .position(|coordinate| !coordinate.is_finite())
        {
            let what = format!(
                "coordinate {} of atom {}",
                ["x", "y", "z"][at % 3],
                at / 3 + 1
            );
            return Err(Fault::NotFinite {
                what,
                found: self.positions[at].to_string(),
            });
        }
        for (name, value) in self.tags {
            if matches!(value, crate::Value::Real(number) if number.is_nan()) {
                return Err(Fault::NotFinite {
                    what: format!("the tag {name}"),
                    found: "nan".to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Writes an SDF file, a record for each structure; compressed if `path` ends in `.gz`.
///
/// [`SdfVersion::V3000`] keeps every bit of the coordinates, tags always keep theirs.
///
/// # Errors
/// If the file cannot be written, or a structure has no atoms, a coordinate that is not finite, or a tag that SDF cannot express.
/// Then there is no file, or the old one.
pub fn write_sdf<'a>(
    path: &Path,
    structures: impl IntoIterator<Item = Structure<'a>>,
    version: SdfVersion,
) -> Result<(), Error> {
    write(path, structures, |text, structure| {
        sdf::record(text, structure, version)
    })
}

/// Writes an extended XYZ file, a frame for each structure, in full precision; compressed if `path` ends in `.gz`.
///
/// Tags become keys in lower case. Bonds are not written: the format has none.
///
/// # Errors
/// As [`write_sdf`].
pub fn write_extxyz<'a>(
    path: &Path,
    structures: impl IntoIterator<Item = Structure<'a>>,
) -> Result<(), Error> {
    write(path, structures, extxyz::frame)
}

/// Writes all structures by `record`, through one atomic file.
fn write<'a>(
    path: &Path,
    structures: impl IntoIterator<Item = Structure<'a>>,
    record: impl Fn(&mut String, Structure<'a>) -> Result<(), Fault>,
) -> Result<(), Error> {
    let failed = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    let mut file = AtomicFile::create(path)?;
    let packed = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let mut encoder = packed.then(|| GzEncoder::new(Vec::new(), Compression::default()));
    let mut text = String::new();
    for (index, structure) in structures.into_iter().enumerate() {
        text.clear();
        let unwritable = |fault| Error::Unwritable {
            path: path.to_owned(),
            record: index + 1,
            fault,
        };
        structure.check().map_err(unwritable)?;
        record(&mut text, structure).map_err(unwritable)?;
        match &mut encoder {
            Some(encoder) => encoder.write_all(text.as_bytes()),
            None => file.write_all(text.as_bytes()),
        }
        .map_err(failed)?;
    }
    if let Some(encoder) = encoder {
        file.write_all(&encoder.finish().map_err(failed)?)
            .map_err(failed)?;
    }
    file.commit()
}
