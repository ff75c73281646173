//! XTC: coordinates as integers of a stated precision, packed into as few bits as they need.
//!
//! The reader is our own because chemfiles 0.10 passes over a frame that is cut without a word, and reads outside its memory when
//! packed bits are damaged. Reference: the format of GROMACS' *xdr3dfcoord* (van Hoesel and others, 1995).

use std::path::Path;

use boltzflow_molecule::Conformers;

use super::{
    bytes::{Bytes, Stop, check_atoms},
    check_finite,
};
use crate::{Error, Fault, format::NANOMETRE};

/// Sizes of the small cubes in which differences are packed: entry `i ≥ 9` is about `2^(i/3)`, so that a triple fits `i` bits.
const SIZES: [u32; 73] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 10, 12, 16, 20, 25, 32, 40, 50, 64, 80, 101, 128, 161, 203, 256,
    322, 406, 512, 645, 812, 1024, 1290, 1625, 2048, 2580, 3250, 4096, 5060, 6501, 8192, 10321,
    13003, 16384, 20642, 26007, 32768, 41285, 52015, 65536, 82570, 104031, 131072, 165140, 208063,
    262144, 330280, 416127, 524287, 660561, 832255, 1048576, 1321122, 1664510, 2097152, 2642245,
    3329021, 4194304, 5284491, 6658042, 8388607, 10568983, 13316085, 16777216,
];

/// Reads an XTC file.
pub(super) fn read(path: &Path, atoms: usize) -> Result<Conformers, Error> {
    let mut bytes = Bytes::open(path)?;
    let mut conformers = Conformers::empty(atoms, 3);
    while bytes.begin() {
        let positions =
            frame(&mut bytes, atoms).and_then(|positions| match check_finite(&positions) {
                Ok(()) => Ok(positions),
                Err(fault) => Err(Stop::Fault(fault)),
            });
        conformers.push(&positions.map_err(|stop| bytes.error(conformers.len(), stop))?);
    }
    Ok(conformers)
}

/// The coarsest step of the frames' coordinates, Å; 0 if none is packed.
pub(crate) fn quantum(path: &Path) -> Result<f64, Error> {
    let mut bytes = Bytes::open(path)?;
    let mut coarsest: f64 = 0.0;
    let mut frame = 0;
    while bytes.begin() {
        let quantum = pass(&mut bytes).map_err(|stop| bytes.error(frame, stop))?;
        coarsest = coarsest.max(quantum);
        frame += 1;
    }
    Ok(coarsest)
}

/// Passes one frame; the step of its coordinates, Å, 0 if they are not packed.
fn pass(bytes: &mut Bytes) -> Result<f64, Stop> {
    let header = Header::read(bytes, None)?;
    bytes.skip(header.length())?;
    Ok(header
        .packing
        .map_or(0.0, |packing| NANOMETRE / packing.precision))
}

/// Reads one frame.
fn frame(bytes: &mut Bytes, expected: usize) -> Result<Vec<f64>, Stop> {
    let header = Header::read(bytes, Some(expected))?;
    let coordinates = bytes.vec(header.length())?;
    let Some(packing) = header.packing else {
        let (numbers, _) = coordinates.as_chunks::<4>();
        return Ok(numbers
            .iter()
            .map(|number| f64::from(f32::from_be_bytes(*number)) * NANOMETRE)
            .collect());
    };
    let integers = unpack(&coordinates, expected, &packing).ok_or_else(damaged)?;
    Ok(integers
        .iter()
        .map(|&integer| integer as f64 / packing.precision * NANOMETRE)
        .collect())
}

/// What stands before the coordinates of a frame.
struct Header {
    atoms: u64,
    /// How they are packed; up to nine atoms are not.
    packing: Option<Packing>,
}

/// How coordinates are packed.
struct Packing {
    /// Steps in a nanometre.
    precision: f64,
    /// Corners of the box of all atoms, in steps.
    least: [i64; 3],
    most: [i64; 3],
    /// The first small cube, an index of [`SIZES`].
    small: usize,
    /// Bytes of the coordinates, with those that fill up the last four.
    length: u64,
}

impl Header {
    /// Reads the 56 bytes of every frame, and those about the packing; where it is known how many atoms there must be, no others.
    fn read(bytes: &mut Bytes, expected: Option<usize>) -> Result<Self, Stop> {
        let magic = bytes.size()?;
        if magic != 1995 && magic != 2023 {
            return Err(Stop::NoFrame);
        }
        let atoms = bytes.size()?;
        if let Some(expected) = expected {
            check_atoms(atoms, expected)?;
        }
        bytes.skip(4 + 4 + 36)?;
        if bytes.size()? != atoms {
            return Err(Stop::NoFrame);
        }
        let packing = if atoms <= 9 {
            None
        } else {
            Some(Packing::read(bytes, magic)?)
        };
        Ok(Self { atoms, packing })
    }

    /// Bytes of the coordinates.
    fn length(&self) -> u64 {
        match &self.packing {
            None => 12 * self.atoms,
            Some(packing) => packing.length,
        }
    }
}

impl Packing {
    /// Reads it; the magic number says how the length is written.
    fn read(bytes: &mut Bytes, magic: u64) -> Result<Self, Stop> {
        let precision = f64::from(f32::from_be_bytes(bytes.array()?));
        if !precision.is_finite() || precision <= 0.0 {
            return Err(damaged());
        }
        let (least, most) = (corner(bytes)?, corner(bytes)?);
        let small = bytes.size()? as usize;
        let length = match magic {
            1995 => bytes.size()?,
            _ => u64::from_be_bytes(bytes.array()?),
        };
        Ok(Self {
            precision,
            least,
            most,
            small,
            length: length.checked_next_multiple_of(4).ok_or(Stop::NoFrame)?,
        })
    }
}

/// Reads a corner of the box of all atoms.
fn corner(bytes: &mut Bytes) -> Result<[i64; 3], Stop> {
    let mut corner = [0; 3];
    for coordinate in &mut corner {
        *coordinate = i64::from(i32::from_be_bytes(bytes.array()?));
    }
    Ok(corner)
}

/// The fault of a frame whose packing makes no sense.
fn damaged() -> Stop {
    Stop::Fault(Fault::Expected {
        expected: "packed coordinates",
        found: "damaged bits".to_owned(),
    })
}

/// Unpacks all coordinates; `None` if the bits make no sense.
///
/// Each atom is either given within the box from `least` to `most`, or by its difference from the one before, within a cube whose size
/// grows and shrinks on the way. A run of differences begins by exchanging its first two atoms.
fn unpack(packed: &[u8], atoms: usize, packing: &Packing) -> Option<Vec<i64>> {
    let Packing { least, most, .. } = packing;
    let mut small = packing.small;
    let mut bits = Bits {
        bytes: packed,
        at: 0,
    };
    let mut sizes = [0_u32; 3];
    for axis in 0..3 {
        sizes[axis] = u32::try_from(most[axis] - least[axis] + 1)
            .ok()
            .filter(|&size| size > 0)?;
    }
    let mut half = i64::from(*SIZES.get(small)? / 2);
    let mut run = 0;
    let mut positions = Vec::with_capacity(3 * atoms);
    while positions.len() < 3 * atoms {
        let place = bits.in_box(sizes)?;
        let mut before: [i64; 3] = std::array::from_fn(|axis| place[axis] + least[axis]);
        // A run keeps its length until another is stated. The code's remainder says: a smaller cube, the same, a larger one.
        let mut change = 0;
        if bits.take(1)? == 1 {
            let code = bits.take(5)? as usize;
            change = (code % 3) as isize - 1;
            run = code / 3;
        }
        if positions.len() + 3 * (run + 1) > 3 * atoms {
            return None;
        }
        if run == 0 {
            positions.extend_from_slice(&before);
        }
        for index in 0..run {
            let size = SIZES[small];
            let step = bits.triple(small as u32, [size; 3])?;
            let here: [i64; 3] = std::array::from_fn(|axis| before[axis] + step[axis] - half);
            positions.extend_from_slice(&here);
            if index == 0 {
                positions.extend_from_slice(&before);
            }
            before = here;
        }
        small = small.checked_add_signed(change)?;
        half = i64::from(*SIZES.get(small)? / 2);
    }
    Some(positions)
}

/// Bits, the most significant of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
}

impl Bits<'_> {
    /// The next `count` bits (at most 32) as a number.
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut number = 0_u64;
        for _ in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            number = number << 1 | u64::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        u32::try_from(number).ok()
    }

    /// A point of a box: packed together, or axis by axis if an edge exceeds 24 bits.
    fn in_box(&mut self, sizes: [u32; 3]) -> Option<[i64; 3]> {
        if sizes.iter().any(|&size| size > 0xff_ffff) {
            let mut point = [0; 3];
            for (coordinate, size) in point.iter_mut().zip(sizes) {
                *coordinate = i64::from(self.take(u32::BITS - size.leading_zeros())?);
            }
            return Some(point);
        }
        let volume: u128 = sizes.iter().map(|&size| u128::from(size)).product();
        self.triple(u128::BITS - volume.leading_zeros(), sizes)
    }

    /// Three numbers below `sizes`, packed as `(a · size₁ + b) · size₂ + c` in `count` bits, the least significant byte first.
    fn triple(&mut self, count: u32, sizes: [u32; 3]) -> Option<[i64; 3]> {
        if sizes.contains(&0) {
            return None;
        }
        let mut packed = 0_u128;
        let mut taken = 0;
        while taken < count {
            let some = (count - taken).min(8);
            packed |= u128::from(self.take(some)?) << taken;
            taken += some;
        }
        let [_, middle, last] = sizes.map(u128::from);
        let first = packed / last / middle;
        Some([
            i64::try_from(first).ok()?,
            (packed / last % middle) as i64,
            (packed % last) as i64,
        ])
    }
}
