//! The header of an NPY array.
//!
//! Reference: *The NPY format*, numpy.lib.format, versions 1 to 3.

use super::Numbers;

/// What kind of number an array holds, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    F64,
    I32,
    I64,
    U64,
    U8,
}

impl Kind {
    /// Bytes of one number.
    pub(super) fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// Reads whole numbers from bytes.
    pub(super) fn numbers(self, bytes: &[u8]) -> Numbers {
        fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
            let (chunks, _) = bytes.as_chunks::<N>();
            chunks.iter().map(|chunk| read(*chunk)).collect()
        }
        match self {
            Self::F32 => Numbers::F64(each(bytes, |chunk| f64::from(f32::from_le_bytes(chunk)))),
            Self::F64 => Numbers::F64(each(bytes, f64::from_le_bytes)),
            Self::I32 => Numbers::I64(each(bytes, |chunk| i64::from(i32::from_le_bytes(chunk)))),
            Self::I64 => Numbers::I64(each(bytes, i64::from_le_bytes)),
            Self::U64 => Numbers::U64(each(bytes, u64::from_le_bytes)),
            Self::U8 => Numbers::U8(bytes.to_vec()),
        }
    }
}

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) shape: Vec<usize>,
    pub(super) fortran: bool,
}

impl Header {
    /// Reads the header; hands over the bytes after it.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), String> {
        let rest = bytes
            .strip_prefix(b"\x93NUMPY")
            .ok_or("does not begin as an NPY array does")?;
        let short = "ends within its header; is it truncated?";
        let (length, rest) = match rest {
            [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
            [2 | 3, _, a, b, c, d, rest @ ..] => {
                (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest)
            }
            _ => return Err(short.to_owned()),
        };
        if rest.len() < length {
            return Err(short.to_owned());
        }
        let (text, data) = rest.split_at(length);
        let text = std::str::from_utf8(text).map_err(|_| "has a header that is no text")?;
        let kind = match value(text, "descr")?.trim_matches(['\'', '"']) {
            "<f4" => Kind::F32,
            "<f8" => Kind::F64,
            "<i4" => Kind::I32,
            "<i8" => Kind::I64,
            "<u8" => Kind::U64,
            "|u1" | "<u1" => Kind::U8,
            other => {
                return Err(format!(
                    "holds numbers of kind {other:?}; read are <f4, <f8, <i4, <i8, <u8 and |u1"
                ));
            }
        };
        let fortran = match value(text, "fortran_order")? {
            "True" => true,
            "False" => false,
            other => return Err(format!("has fortran_order {other:?}")),
        };
        let shape = value(text, "shape")?;
        let lengths = shape
            .strip_prefix('(')
            .and_then(|shape| shape.strip_suffix(')'));
        let lengths = lengths.ok_or_else(|| format!("has the shape {shape:?}"))?;
        let shape = lengths
            .split(',')
            .map(str::trim)
            .filter(|length| !length.is_empty())
            .map(|length| {
                length
                    .parse()
                    .map_err(|_| format!("has the shape {shape:?}"))
            })
            .collect::<Result<_, _>>()?;
        Ok((
            Self {
                kind,
                shape,
                fortran,
            },
            data,
        ))
    }
}

/// The value of a key of the header's dictionary.
fn value<'a>(text: &'a str, key: &str) -> Result<&'a str, String> {
    let missing = || format!("has a header without {key:?}");
    let quoted = [format!("'{key}'"), format!("\"{key}\"")];
    let rest = quoted
        .iter()
        .find_map(|key| text.split_once(key.as_str()))
        .ok_or_else(missing)?
        .1;
    let rest = rest
        .trim_start()
        .strip_prefix(':')
        .ok_or_else(missing)?
        .trim_start();
    let end = if rest.starts_with('(') {
        rest.find(')').map(|end| end + 1)
    } else {
        rest.find([',', '}'])
    };
    Ok(rest[..end.ok_or_else(missing)?].trim())
}
