//! Which format a file has.

use std::path::Path;

use crate::Error;

/// Ångström in a nanometre, the unit of GROMACS' files.
pub(crate) const NANOMETRE: f64 = 10.0;

/// A format that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// XYZ and extended XYZ.
    Xyz,
    /// MDL molfiles and SDF, V2000 and V3000.
    Sdf,
    /// The Protein Data Bank's columns.
    Pdb,
    /// AMBER coordinates and restart files, ASCII.
    Inpcrd,
    /// GROMACS, fixed columns of text.
    Gro,
    /// GROMACS, compressed.
    Xtc,
    /// GROMACS, full precision.
    Trr,
    /// CHARMM, NAMD, OpenMM.
    Dcd,
    /// AMBER NetCDF.
    NetCdf,
}

impl Format {
    /// The format that the extension names, before a final `.gz`.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let unknown = || Error::UnknownFormat {
            path: path.to_owned(),
        };
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(unknown)?
            .to_ascii_lowercase();
        let (inner, compressed) = match name.strip_suffix(".gz") {
            Some(inner) => (inner, true),
            None => (name.as_str(), false),
        };
        let (_, extension) = inner.rsplit_once('.').ok_or_else(unknown)?;
        let format = match extension {
            "xyz" | "extxyz" => Self::Xyz,
            "sdf" | "sd" | "mol" | "mdl" => Self::Sdf,
            "pdb" | "ent" => Self::Pdb,
            "inpcrd" | "rst7" | "crd" | "restrt" | "rst" => Self::Inpcrd,
            "gro" => Self::Gro,
            "xtc" => Self::Xtc,
            "trr" => Self::Trr,
            "dcd" => Self::Dcd,
            "nc" => Self::NetCdf,
            _ => return Err(unknown()),
        };
        if compressed && format.is_binary() {
            Err(unknown())
        } else {
            Ok(format)
        }
    }

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xyz => "XYZ",
            Self::Sdf => "SDF",
            Self::Pdb => "PDB",
            Self::Inpcrd => "AMBER coordinate",
            Self::Gro => "GRO",
            Self::Xtc => "XTC",
            Self::Trr => "TRR",
            Self::Dcd => "DCD",
            Self::NetCdf => "NetCDF",
        }
    }

    /// Whether it is a binary trajectory, not text.
    pub(crate) fn is_binary(self) -> bool {
        matches!(self, Self::Xtc | Self::Trr | Self::Dcd | Self::NetCdf)
    }

    /// Whether it holds coordinates without elements.
    pub fn needs_molecule(self) -> bool {
        self.is_binary() || matches!(self, Self::Inpcrd | Self::Gro)
    }
}
