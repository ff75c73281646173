//! AMBER NetCDF: the variable `coordinates` of a file in NetCDF's classic format.
//!
//! The reader is our own because chemfiles 0.10 reads outside its memory when the header is damaged.
//! References: *NetCDF classic format specification*, Unidata; *AMBER NetCDF trajectory convention*, version 1.0.

use std::path::Path;

use boltzflow_molecule::Conformers;

use super::{
    bytes::{Bytes, Stop, check_atoms},
    check_finite,
};
use crate::{Error, Fault};

/// One variable.
struct Variable {
    name: String,
    /// Lengths of its dimensions; the first is the number of records where the variable grows.
    lengths: Vec<u64>,
    /// Whether it grows with the records.
    grows: bool,
    /// Whether its numbers are to be multiplied by something.
    scaled: bool,
    /// NetCDF's number of its type: 5 is `f32`, 6 is `f64`.
    kind: u64,
    /// Bytes of one record, or of all of it.
    size: u64,
    /// Where it begins.
    begin: u64,
}

/// Where the positions are.
struct Place {
    begin: u64,
    stride: u64,
    frames: u64,
    double: bool,
}

/// Reads an AMBER NetCDF trajectory.
pub(super) fn read(path: &Path, atoms: usize) -> Result<Conformers, Error> {
    let mut bytes = Bytes::open(path)?;
    let place = header(&mut bytes, atoms).map_err(|stop| bytes.error(0, stop))?;
    let mut conformers = Conformers::empty(atoms, 3);
    for frame in 0..place.frames {
        let positions = positions(&mut bytes, &place, frame, atoms)
            .map_err(|stop| bytes.error(conformers.len(), stop))?;
        conformers.push(&positions);
    }
    if conformers.is_empty() {
        Err(Error::Empty {
            path: path.to_owned(),
        })
    } else {
        Ok(conformers)
    }
}

/// Reads the positions of one frame.
fn positions(bytes: &mut Bytes, place: &Place, frame: u64, atoms: usize) -> Result<Vec<f64>, Stop> {
    let at = frame
        .checked_mul(place.stride)
        .and_then(|offset| offset.checked_add(place.begin))
        .ok_or(Stop::NoFrame)?;
    bytes.seek(at)?;
    let count = 3 * atoms as u64;
    let positions: Vec<f64> = if place.double {
        bytes
            .vec(8 * count)?
            .as_chunks::<8>()
            .0
            .iter()
            .map(|number| f64::from_be_bytes(*number))
            .collect()
    } else {
        bytes
            .vec(4 * count)?
            .as_chunks::<4>()
            .0
            .iter()
            .map(|number| f64::from(f32::from_be_bytes(*number)))
            .collect()
    };
    check_finite(&positions).map_err(Stop::Fault)?;
    Ok(positions)
}

/// Finds the positions, all of which must lie in the file.
fn header(bytes: &mut Bytes, atoms: usize) -> Result<Place, Stop> {
    let [b'C', b'D', b'F', version @ 1..=2] = bytes.array()? else {
        return Err(Stop::NoFrame);
    };
    let records = u64::from(u32::from_be_bytes(bytes.array()?));
    let lengths = dimensions(bytes)?;
    attributes(bytes)?;
    bytes.array::<4>()?;
    let count = bytes.size()?;
    let mut variables = Vec::new();
    for _ in 0..count {
        variables.push(variable(bytes, version, &lengths)?);
    }
    let stride = variables
        .iter()
        .filter(|variable| variable.grows)
        .try_fold(0_u64, |sum, variable| sum.checked_add(variable.size));
    let stride = stride.ok_or(Stop::NoFrame)?;
    let expected = |expected, found: String| Stop::Fault(Fault::Expected { expected, found });
    let coordinates = variables
        .iter()
        .find(|variable| variable.name == "coordinates");
    let coordinates =
        coordinates.ok_or_else(|| expected("a variable \"coordinates\"", "none".to_owned()))?;
    let [first, of_atoms, 3] = coordinates.lengths[..] else {
        return Err(expected(
            "coordinates by frame, atom and axis",
            format!("{:?}", coordinates.lengths),
        ));
    };
    check_atoms(of_atoms, atoms)?;
    if coordinates.scaled || ![5, 6].contains(&coordinates.kind) {
        return Err(expected(
            "coordinates as reals in ångström",
            "integers or a scale_factor".to_owned(),
        ));
    }
    let double = coordinates.kind == 6;
    let frame = 3 * of_atoms * if double { 8 } else { 4 };
    let place = if coordinates.grows {
        Place {
            begin: coordinates.begin,
            stride,
            frames: records,
            double,
        }
    } else {
        Place {
            begin: coordinates.begin,
            stride: frame,
            frames: first,
            double,
        }
    };
    // All variables must be there, not the positions alone; the last one's padding may be left out.
    let end = |variable: &Variable| {
        let earlier = if variable.grows {
            stride.checked_mul(records.saturating_sub(1))?
        } else {
            0
        };
        variable
            .begin
            .checked_add(earlier)?
            .checked_add(variable.size)
    };
    let whole =
        |variable: &Variable| end(variable).is_some_and(|end| end <= bytes.end().saturating_add(3));
    if place.stride < frame
        || !variables.iter().all(whole)
        || place
            .frames
            .checked_mul(frame)
            .is_none_or(|size| size > bytes.left())
    {
        return Err(Stop::Cut);
    }
    Ok(place)
}

/// The lengths of the dimensions; 0 is the one that grows.
fn dimensions(bytes: &mut Bytes) -> Result<Vec<u64>, Stop> {
    bytes.array::<4>()?;
    let count = bytes.size()?;
    let mut lengths = Vec::new();
    for _ in 0..count {
        name(bytes)?;
        lengths.push(bytes.size()?);
    }
    Ok(lengths)
}

/// Reads what the header says of one variable.
fn variable(bytes: &mut Bytes, version: u8, dimensions: &[u64]) -> Result<Variable, Stop> {
    let name = name(bytes)?;
    let rank = bytes.size()?;
    let mut lengths = Vec::new();
    for _ in 0..rank {
        let dimension = bytes.size()? as usize;
        lengths.push(*dimensions.get(dimension).ok_or(Stop::NoFrame)?);
    }
    let scaled = attributes(bytes)?;
    let kind = bytes.size()?;
    let size = u64::from(u32::from_be_bytes(bytes.array()?));
    let begin = if version == 1 {
        bytes.size()?
    } else {
        u64::from_be_bytes(bytes.array()?)
    };
    let grows = lengths.first() == Some(&0);
    Ok(Variable {
        name,
        lengths,
        grows,
        scaled,
        kind,
        size,
        begin,
    })
}

/// Passes attributes; says whether one of them is a scale.
fn attributes(bytes: &mut Bytes) -> Result<bool, Stop> {
    bytes.array::<4>()?;
    let mut scaled = false;
    for _ in 0..bytes.size()? {
        scaled |= name(bytes)? == "scale_factor";
        let size = match bytes.size()? {
            1 | 2 => 1,
            3 => 2,
            4 | 5 => 4,
            6 => 8,
            _ => return Err(Stop::NoFrame),
        };
        let count = bytes.size()?;
        bytes.skip((size * count).next_multiple_of(4))?;
    }
    Ok(scaled)
}

/// Reads a name with its padding.
fn name(bytes: &mut Bytes) -> Result<String, Stop> {
    let length = bytes.size()?;
    let name = bytes.vec(length)?;
    bytes.skip(length.next_multiple_of(4) - length)?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}
