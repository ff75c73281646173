//! DCD: Fortran records of single-precision coordinates, one for each axis.
//!
//! The reader is our own because chemfiles 0.10 reads outside its memory when the title record contradicts itself.
//! Reference: the CHARMM and X-PLOR dialects as documented for VMD's `dcdplugin`.

use std::path::Path;

use boltzflow_molecule::Conformers;

use super::{
    bytes::{Bytes, Stop, check_atoms},
    check_finite,
};
use crate::Error;

/// What the header says of the frames.
#[derive(Clone, Copy)]
struct Layout {
    /// Whether numbers are big-endian.
    swapped: bool,
    /// Whether a record with the cell precedes the positions.
    cell: bool,
    /// Whether a fourth axis follows them.
    fourth: bool,
    /// Frames that the header announces.
    announced: usize,
}

/// Reads a DCD file.
pub(super) fn read(path: &Path, atoms: usize) -> Result<Conformers, Error> {
    let mut bytes = Bytes::open(path)?;
    let layout = header(&mut bytes, atoms).map_err(|stop| bytes.error(0, stop))?;
    let mut conformers = Conformers::empty(atoms, 3);
    while bytes.begin() {
        let positions =
            frame(&mut bytes, layout, atoms).map_err(|stop| bytes.error(conformers.len(), stop))?;
        conformers.push(&positions);
    }
    // A file cut between two frames shows only here; some programs leave 0 or an early count.
    if layout.announced > conformers.len() {
        log::warn!(
            "{} announces {} frames, but {} are there; it may be truncated",
            path.display(),
            layout.announced,
            conformers.len()
        );
    }
    if conformers.is_empty() {
        Err(Error::Empty {
            path: path.to_owned(),
        })
    } else {
        Ok(conformers)
    }
}

impl Layout {
    fn number(self, bytes: [u8; 4]) -> u32 {
        if self.swapped {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }

    fn real(self, bytes: [u8; 4]) -> f32 {
        if self.swapped {
            f32::from_be_bytes(bytes)
        } else {
            f32::from_le_bytes(bytes)
        }
    }

    /// The contents of the next record, whose length stands before and after it.
    fn record(self, bytes: &mut Bytes) -> Result<Vec<u8>, Stop> {
        let length = self.number(bytes.array()?);
        let contents = bytes.vec(u64::from(length))?;
        if self.number(bytes.array()?) == length {
            Ok(contents)
        } else {
            Err(Stop::NoFrame)
        }
    }
}

/// Reads the settings, passes the titles and checks the number of atoms.
fn header(bytes: &mut Bytes, atoms: usize) -> Result<Layout, Stop> {
    let mark: [u8; 4] = bytes.array()?;
    let layout = match (u32::from_le_bytes(mark), u32::from_be_bytes(mark)) {
        (84, _) => Layout {
            swapped: false,
            cell: false,
            fourth: false,
            announced: 0,
        },
        (_, 84) => Layout {
            swapped: true,
            cell: false,
            fourth: false,
            announced: 0,
        },
        _ => return Err(Stop::NoFrame),
    };
    bytes.seek(0)?;
    let settings = layout.record(bytes)?;
    let (settings, _) = settings.as_chunks::<4>();
    if settings.first() != Some(b"CORD") {
        return Err(Stop::NoFrame);
    }
    let set = |index: usize| layout.number(settings[index + 1]) != 0;
    if set(8) {
        return Err(Stop::Fault(crate::Fault::Expected {
            expected: "a trajectory in which every atom is written in every frame",
            found: "fixed atoms".to_owned(),
        }));
    }
    // Only CHARMM's dialect, which states its version in setting 19, has a cell and a fourth axis.
    let layout = Layout {
        cell: set(19) && set(10),
        fourth: set(19) && set(11),
        announced: layout.number(settings[1]) as usize,
        ..layout
    };
    layout.record(bytes)?;
    let count = layout.record(bytes)?;
    let count: [u8; 4] = count.try_into().map_err(|_| Stop::NoFrame)?;
    check_atoms(u64::from(layout.number(count)), atoms)?;
    Ok(layout)
}

/// Reads one frame.
fn frame(bytes: &mut Bytes, layout: Layout, atoms: usize) -> Result<Vec<f64>, Stop> {
    if layout.cell {
        layout.record(bytes)?;
    }
    let mut positions = vec![0.0; 3 * atoms];
    for axis in 0..3 {
        let record = layout.record(bytes)?;
        let (coordinates, rest) = record.as_chunks::<4>();
        if coordinates.len() != atoms || !rest.is_empty() {
            return Err(Stop::NoFrame);
        }
        for (atom, coordinate) in coordinates.iter().enumerate() {
            positions[3 * atom + axis] = f64::from(layout.real(*coordinate));
        }
    }
    if layout.fourth {
        layout.record(bytes)?;
    }
    check_finite(&positions).map_err(Stop::Fault)?;
    Ok(positions)
}
