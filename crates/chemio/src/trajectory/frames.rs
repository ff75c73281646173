//! The frames of a binary trajectory, found by their headers and lengths alone.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::Path,
};

use crate::{Error, Fault, Format, source::binary};

/// Counts whole frames; `None` where the format is left to chemfiles.
///
/// # Errors
/// If the last frame is cut, or one does not begin where the one before it ends.
pub(super) fn count(path: &Path, format: Format) -> Result<Option<usize>, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(std::io::Error::new(
            ErrorKind::InvalidInput,
            "it is not a regular file",
        )));
    }
    let mut walk = Walk {
        file: BufReader::new(file),
        at: 0,
        size: metadata.len(),
        start: 0,
    };
    if walk.size == 0 {
        return Err(Error::Empty {
            path: path.to_owned(),
        });
    }
    if format == Format::Dcd
        && !walk
            .dcd_header()
            .map_err(|stop| walk.error(path, 0, stop))?
    {
        return Ok(None);
    }
    let mut frames = 0;
    let mut dcd = None;
    while walk.at < walk.size {
        walk.start = walk.at;
        match format {
            Format::Xtc => walk.xtc(),
            Format::Trr => walk.trr(),
            Format::Dcd => walk.dcd(&mut dcd),
            _ => {
                return walk
                    .net_cdf()
                    .map(Some)
                    .map_err(|stop| walk.error(path, 0, stop));
            }
        }
        .map_err(|stop| walk.error(path, frames, stop))?;
        frames += 1;
    }
    Ok(Some(frames))
}

/// Why a walk ends before the file does.
#[derive(Debug)]
enum Stop {
    /// The file is shorter than its frame.
    Cut,
    /// There is no frame here.
    NoFrame,
    /// The system refuses.
    Io(std::io::Error),
}

/// A walk over the frames of a file.
struct Walk {
    file: BufReader<File>,
    at: u64,
    size: u64,
    start: u64,
}

impl Walk {
    /// Says what stopped the walk.
    fn error(&self, path: &Path, frame: usize, stop: Stop) -> Error {
        match stop {
            Stop::Cut => binary(path, frame, Fault::CutFrame { bytes: self.size }),
            Stop::NoFrame => binary(path, frame, Fault::NoFrame { byte: self.start }),
            Stop::Io(source) => Error::Read {
                path: path.to_owned(),
                source,
            },
        }
    }

    /// The next bytes.
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        if self.size - self.at < N as u64 {
            return Err(Stop::Cut);
        }
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes).map_err(Stop::Io)?;
        self.at += N as u64;
        Ok(bytes)
    }

    /// The next number, big-endian as XDR writes it; a negative one makes no frame.
    fn size32(&mut self) -> Result<u64, Stop> {
        u64::try_from(i32::from_be_bytes(self.bytes()?)).map_err(|_| Stop::NoFrame)
    }

    /// Passes bytes that must be there.
    fn skip(&mut self, count: u64) -> Result<(), Stop> {
        if self.size - self.at < count {
            return Err(Stop::Cut);
        }
        self.file.seek_relative(count as i64).map_err(Stop::Io)?;
        self.at += count;
        Ok(())
    }

    /// One XTC frame: a header of 52 bytes, then up to nine atoms as they are, or more of them packed.
    fn xtc(&mut self) -> Result<(), Stop> {
        let magic = self.size32()?;
        if magic != 1995 && magic != 2023 {
            return Err(Stop::NoFrame);
        }
        let atoms = self.size32()?;
        self.skip(4 + 4 + 36)?;
        if self.size32()? != atoms {
            return Err(Stop::NoFrame);
        }
        if atoms <= 9 {
            return self.skip(12 * atoms);
        }
        self.skip(4 + 12 + 12 + 4)?;
        let packed = match magic {
            1995 => self.size32()?,
            _ => u64::from_be_bytes(self.bytes()?),
        };
        self.skip(packed.checked_next_multiple_of(4).ok_or(Stop::NoFrame)?)
    }

    /// One TRR frame: a header with the sizes of ten blocks, then the blocks.
    fn trr(&mut self) -> Result<(), Stop> {
        if self.size32()? != 1993 {
            return Err(Stop::NoFrame);
        }
        self.skip(4)?;
        let version = self.size32()?;
        self.skip(version.checked_next_multiple_of(4).ok_or(Stop::NoFrame)?)?;
        let mut blocks = [0; 10];
        for block in &mut blocks {
            *block = self.size32()?;
        }
        let atoms = self.size32()?;
        let [.., positions, velocities, forces] = blocks;
        let vectors = positions.max(velocities).max(forces);
        let real = match (blocks[2], atoms) {
            (36, _) => 4,
            (72, _) => 8,
            (_, 0) => return Err(Stop::NoFrame),
            _ => vectors / (3 * atoms),
        };
        if real != 4 && real != 8 {
            return Err(Stop::NoFrame);
        }
        self.skip(4 + 4 + 2 * real)?;
        self.skip(blocks.iter().sum())
    }

    /// The header of a DCD file; `false` if it has the 64-bit record marks that chemfiles reads itself.
    fn dcd_header(&mut self) -> Result<bool, Stop> {
        let mark = u32::from_le_bytes(self.bytes()?);
        let letters: [u8; 4] = self.bytes()?;
        if &letters != b"CORD" && (mark == 84 || mark.swap_bytes() == 84) && letters == [0; 4] {
            return Ok(false);
        }
        if &letters != b"CORD" || (mark != 84 && mark.swap_bytes() != 84) {
            return Err(Stop::NoFrame);
        }
        self.at = 0;
        self.file.seek(SeekFrom::Start(0)).map_err(Stop::Io)?;
        let swapped = mark != 84;
        let number = |bytes: [u8; 4]| {
            if swapped {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            }
        };
        self.skip(4 + 4)?;
        let mut settings = [0; 20];
        for setting in &mut settings {
            *setting = number(self.bytes()?);
        }
        self.skip(4)?;
        self.record(swapped)?;
        self.record(swapped)?;
        if settings[8] > 0 {
            self.record(swapped)?;
        }
        Ok(true)
    }

    /// Passes one Fortran record and returns its length.
    fn record(&mut self, swapped: bool) -> Result<u64, Stop> {
        let number = |bytes: [u8; 4]| {
            if swapped {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            }
        };
        let length = number(self.bytes()?);
        self.skip(u64::from(length))?;
        if number(self.bytes()?) == length {
            Ok(u64::from(length))
        } else {
            Err(Stop::NoFrame)
        }
    }

    /// One DCD frame: the cell where there is one, then a record for each axis. The shape is learnt from the file's header once.
    fn dcd(&mut self, shape: &mut Option<(bool, u32)>) -> Result<(), Stop> {
        let (swapped, records) = match *shape {
            Some(known) => known,
            None => *shape.insert(self.dcd_shape()?),
        };
        (0..records).try_for_each(|_| self.record(swapped).map(drop))
    }

    /// Whether the file's bytes are swapped, and how many records make a frame.
    fn dcd_shape(&mut self) -> Result<(bool, u32), Stop> {
        self.file.seek(SeekFrom::Start(0)).map_err(Stop::Io)?;
        let mut header = [0; 88];
        self.file.read_exact(&mut header).map_err(Stop::Io)?;
        self.file.seek(SeekFrom::Start(self.at)).map_err(Stop::Io)?;
        let swapped = header[0] != 84;
        // Settings 10 and 11 (a cell, a fourth axis) count only in CHARMM's dialect, which states its version in 19.
        let set = |index: usize| header[8 + 4 * index..12 + 4 * index] != [0; 4];
        let records = 3 + u32::from(set(19) && set(10)) + u32::from(set(19) && set(11));
        Ok((swapped, records))
    }
}

/// NetCDF's classic format, as far as the place of its last record.
///
/// Reference: *NetCDF classic format specification*, Unidata.
impl Walk {
    /// The number of records that the header states, all of which must be there.
    fn net_cdf(&mut self) -> Result<usize, Stop> {
        let [b'C', b'D', b'F', version @ 1..=2] = self.bytes()? else {
            return Err(Stop::NoFrame);
        };
        let records = u64::from(u32::from_be_bytes(self.bytes()?));
        let dimensions = self.net_cdf_dimensions()?;
        self.net_cdf_attributes()?;
        self.bytes::<4>()?;
        let mut end = 0;
        let mut record = 0;
        let mut begin = u64::MAX;
        for _ in 0..self.size32()? {
            self.net_cdf_name()?;
            let mut recorded = false;
            for index in 0..self.size32()? {
                let dimension = self.size32()? as usize;
                recorded |= index == 0 && dimensions.get(dimension).ok_or(Stop::NoFrame)? == &0;
            }
            self.net_cdf_attributes()?;
            self.bytes::<4>()?;
            let size = self.size32()?;
            let offset = if version == 1 {
                self.size32()?
            } else {
                u64::from_be_bytes(self.bytes()?)
            };
            if recorded {
                record += size;
                begin = begin.min(offset);
            } else {
                end = end.max(offset.checked_add(size).ok_or(Stop::NoFrame)?);
            }
        }
        if record > 0 {
            let recorded = record
                .checked_mul(records)
                .and_then(|size| size.checked_add(begin))
                .ok_or(Stop::NoFrame)?;
            end = end.max(recorded);
        }
        // The last variable's padding may be left out.
        if end > self.size.saturating_add(3) {
            Err(Stop::Cut)
        } else {
            Ok(records as usize)
        }
    }

    /// The lengths of the dimensions; 0 is the one that grows.
    fn net_cdf_dimensions(&mut self) -> Result<Vec<u64>, Stop> {
        self.bytes::<4>()?;
        let count = self.size32()?;
        let mut lengths = Vec::new();
        for _ in 0..count {
            self.net_cdf_name()?;
            lengths.push(self.size32()?);
        }
        Ok(lengths)
    }

    /// Passes attributes, whose texts must be ASCII: chemfiles may quote them.
    fn net_cdf_attributes(&mut self) -> Result<(), Stop> {
        self.bytes::<4>()?;
        for _ in 0..self.size32()? {
            self.net_cdf_name()?;
            let kind = self.size32()?;
            let count = self.size32()?;
            match kind {
                2 => self.net_cdf_text(count)?,
                1 => self.skip(count.next_multiple_of(4))?,
                3 => self.skip((2 * count).next_multiple_of(4))?,
                4 | 5 => self.skip(4 * count)?,
                6 => self.skip(8 * count)?,
                _ => return Err(Stop::NoFrame),
            }
        }
        Ok(())
    }

    /// Passes a name.
    fn net_cdf_name(&mut self) -> Result<(), Stop> {
        let length = self.size32()?;
        self.net_cdf_text(length)
    }

    /// Passes a text with its padding.
    fn net_cdf_text(&mut self, length: u64) -> Result<(), Stop> {
        for _ in 0..length {
            if !self.bytes::<1>()?[0].is_ascii() {
                return Err(Stop::NoFrame);
            }
        }
        self.skip(length.next_multiple_of(4) - length)
    }
}
