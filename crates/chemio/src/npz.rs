//! Named arrays, bit for bit: NPZ out and in, NPY in.

mod header;
#[cfg(test)]
mod tests;

use std::{
    io::{Cursor, Read},
    path::Path,
};

use npyz::{
    WriterBuilder,
    npz::{self, NpzArchive, NpzWriter},
    zip,
};

use crate::{AtomicFile, Error};
use header::Header;

/// The numbers of an array, in C order.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// `<f8`; `<f4` files arrive as this, too.
    F64(Vec<f64>),
    /// `<i8`; `<i4` files arrive as this, too.
    I64(Vec<i64>),
    /// `<u8`.
    U64(Vec<u64>),
    /// `|u1`, bytes.
    U8(Vec<u8>),
}

/// An array with its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its lengths; none for a single number.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub numbers: Numbers,
}

impl Array {
    /// Takes numbers with their shape.
    ///
    /// # Panics
    /// If the shape holds another number of numbers: that is a bug of the caller.
    pub fn new(shape: &[usize], numbers: impl Into<Numbers>) -> Self {
        let numbers = numbers.into();
        assert_eq!(
            shape.iter().product::<usize>(),
            numbers.len(),
            "the shape {shape:?} does not fit"
        );
        Self {
            shape: shape.to_vec(),
            numbers,
        }
    }

    /// A text, as the bytes of its UTF-8.
    pub fn text(text: &str) -> Self {
        Self {
            shape: vec![text.len()],
            numbers: Numbers::U8(text.as_bytes().to_vec()),
        }
    }

    /// The reals, if these are reals.
    pub fn as_f64(&self) -> Option<&[f64]> {
        if let Numbers::F64(numbers) = &self.numbers {
            Some(numbers)
        } else {
            None
        }
    }

    /// The integers, if these are signed integers.
    pub fn as_i64(&self) -> Option<&[i64]> {
        if let Numbers::I64(numbers) = &self.numbers {
            Some(numbers)
        } else {
            None
        }
    }

    /// The integers, if these are unsigned integers.
    pub fn as_u64(&self) -> Option<&[u64]> {
        if let Numbers::U64(numbers) = &self.numbers {
            Some(numbers)
        } else {
            None
        }
    }

    /// The bytes, if these are bytes.
    pub fn as_u8(&self) -> Option<&[u8]> {
        if let Numbers::U8(numbers) = &self.numbers {
            Some(numbers)
        } else {
            None
        }
    }

    /// The text, if these are the bytes of one.
    pub fn as_text(&self) -> Option<&str> {
        self.as_u8()
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}

impl Numbers {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F64(numbers) => numbers.len(),
            Self::I64(numbers) => numbers.len(),
            Self::U64(numbers) => numbers.len(),
            Self::U8(numbers) => numbers.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Vec<f64>> for Numbers {
    fn from(numbers: Vec<f64>) -> Self {
        Self::F64(numbers)
    }
}

impl From<Vec<i64>> for Numbers {
    fn from(numbers: Vec<i64>) -> Self {
        Self::I64(numbers)
    }
}

impl From<Vec<u64>> for Numbers {
    fn from(numbers: Vec<u64>) -> Self {
        Self::U64(numbers)
    }
}

impl From<Vec<u8>> for Numbers {
    fn from(numbers: Vec<u8>) -> Self {
        Self::U8(numbers)
    }
}

/// Named arrays in the order of their file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Npz {
    arrays: Vec<(String, Array)>,
}

impl Npz {
    /// Reads all arrays of a file.
    ///
    /// # Errors
    /// If it cannot be read, is no NPZ file, is truncated or damaged (each array has a check sum), or holds other kinds of numbers.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let fault = |problem: String| Error::Array {
            path: path.to_owned(),
            format: "npz",
            problem,
        };
        // The archive's index stands at its end, so a truncated file fails here.
        let mut archive = NpzArchive::new(Cursor::new(bytes))
            .map_err(|error| fault(format!("{error}; is it truncated?")))?;
        let names: Vec<String> = (0..archive.zip_archive().len())
            .map(|index| {
                archive
                    .zip_archive()
                    .by_index_raw(index)
                    .map(|file| file.name().to_owned())
            })
            .collect::<Result<_, _>>()
            .map_err(|error| fault(error.to_string()))?;
        let mut arrays = Vec::with_capacity(names.len());
        for file in names {
            let Some(name) = npz::array_name_from_file_name(&file).map(ToOwned::to_owned) else {
                continue;
            };
            let mut bytes = Vec::new();
            let mut entry = archive
                .zip_archive()
                .by_name(&file)
                .map_err(|error| fault(format!("{name:?}: {error}")))?;
            entry
                .read_to_end(&mut bytes)
                .map_err(|error| fault(format!("{name:?}: {error}")))?;
            let array = decode(&bytes).map_err(|problem| fault(format!("{name:?} {problem}")))?;
            arrays.push((name, array));
        }
        Ok(Self { arrays })
    }

    /// Writes arrays, uncompressed and without a date: equal arrays make equal files.
    ///
    /// # Errors
    /// If the file cannot be written; then there is none, or the old one.
    pub fn write(path: &Path, arrays: &[(&str, &Array)]) -> Result<(), Error> {
        let mut file = AtomicFile::create(path)?;
        encode(&mut file, arrays).map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })?;
        file.commit()
    }

    /// The array of this name.
    pub fn array(&self, name: &str) -> Option<&Array> {
        self.arrays
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, array)| array)
    }

    /// The arrays in order.
    pub fn arrays(&self) -> &[(String, Array)] {
        &self.arrays
    }
}

/// Reads one array from a `.npy` file.
///
/// # Errors
/// If it cannot be read, is no NPY file, is truncated, or holds other kinds of numbers.
pub fn read_npy(path: &Path) -> Result<Array, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    decode(&bytes).map_err(|problem| Error::Array {
        path: path.to_owned(),
        format: "npy",
        problem,
    })
}

/// Writes an archive.
fn encode(file: &mut AtomicFile, arrays: &[(&str, &Array)]) -> std::io::Result<()> {
    let mut writer = NpzWriter::new(file);
    for (name, array) in arrays {
        let options = zip::write::FileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(0o644)
            .large_file(array.numbers.len() >= (1 << 28));
        let shape: Vec<u64> = array.shape.iter().map(|&length| length as u64).collect();
        macro_rules! write {
            ($numbers:expr) => {{
                let mut array = writer
                    .array(name, options)?
                    .default_dtype()
                    .shape(&shape)
                    .begin_nd()?;
                array.extend($numbers.iter())?;
                array.finish()?;
            }};
        }
        match &array.numbers {
            Numbers::F64(numbers) => write!(numbers),
            Numbers::I64(numbers) => write!(numbers),
            Numbers::U64(numbers) => write!(numbers),
            Numbers::U8(numbers) => write!(numbers),
        }
    }
    writer.zip_writer().finish()?;
    Ok(())
}

/// Reads one array from its bytes.
fn decode(bytes: &[u8]) -> Result<Array, String> {
    let (
        Header {
            kind,
            shape,
            fortran,
        },
        data,
    ) = Header::parse(bytes)?;
    let wanted = shape
        .iter()
        .try_fold(kind.size(), |size, &length| size.checked_mul(length));
    let wanted = wanted.ok_or_else(|| format!("has the impossible shape {shape:?}"))?;
    if data.len() != wanted {
        return Err(format!(
            "announces {wanted} bytes of numbers, but {} follow; is it truncated?",
            data.len()
        ));
    }
    if fortran && shape.iter().filter(|&&length| length > 1).count() > 1 {
        return Err("is in Fortran order; save it in C order (numpy.ascontiguousarray)".to_owned());
    }
    Ok(Array {
        shape,
        numbers: kind.numbers(data),
    })
}
