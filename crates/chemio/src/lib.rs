//! Molecules and conformers, read from and written to files.
//!
//! ```
//! use boltzflow_chemio::{ReadOptions, SdfVersion, Structure, read, write_sdf};
//!
//! let directory = tempfile::tempdir()?;
//! let (xyz, sdf) = (directory.path().join("water.xyz"), directory.path().join("water.sdf"));
//! std::fs::write(&xyz, "3\nenergy=-1.25\nO 0 0 0\nH 0.9572 0 0\nH -0.24 0.9266 0\n")?;
//!
//! let water = read(&xyz, &ReadOptions::default())?;
//! assert_eq!((water.molecule.atoms.len(), water.conformers.len()), (3, 1));
//! assert_eq!(water.tags[0].real("energy"), Some(-1.25));
//! let structure = Structure { molecule: &water.molecule, positions: water.conformers.get(0), tags: &water.tags[0] };
//! write_sdf(&sdf, [structure], SdfVersion::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Text formats (XYZ, SDF, PDB, inpcrd, GRO) and XTC, DCD and NetCDF have readers of our own; TRR goes through chemfiles.
//! Whatever a file contains, reading it ends in a value or an [`Error`]. Lengths are in ångström.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod atomic;
mod error;
mod extended;
mod format;
mod frame;
mod gro;
mod inpcrd;
mod lines;
mod npz;
mod pdb;
mod sdf;
mod source;
pub mod tags;
#[cfg(test)]
mod tests;
mod text;
mod trajectory;
mod write;
mod xyz;

pub use atomic::AtomicFile;
pub use error::{Error, Fault};
pub use format::Format;
pub use frame::{Frame, Record};
pub use npz::{Array, Npz, Numbers, read_npy};
pub use source::{ReadOptions, Source, quantum, read, read_records};
pub use tags::{Tags, Value};
pub use trajectory::read_trajectory;
pub use write::{SdfVersion, Structure, write_extxyz, write_sdf};
