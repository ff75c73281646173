//! The text of a file, checked before anybody parses it, and the numbers in it.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use boltzflow_molecule::Element;
use flate2::read::MultiGzDecoder;

use crate::{Error, Fault, Format, lines::Lines};

/// All text of a file, unpacked where it begins as gzip does (whatever its name).
pub(crate) fn load(path: &Path, format: Format) -> Result<String, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = load_bytes(path).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|error| Error::NotText {
        path: path.to_owned(),
        byte: error.utf8_error().valid_up_to(),
        format: format.name(),
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// All bytes of a file, unpacked.
fn load_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    BufReader::new(File::open(path)?).read_to_end(&mut bytes)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked)?;
        return Ok(unpacked);
    }
    Ok(bytes)
}

/// A fault and the line where it is, counted from 0.
pub(crate) type Located<T> = Result<T, (usize, Fault)>;

/// Reads a finite number.
pub(crate) fn real(what: &'static str, text: &str) -> Result<f64, Fault> {
    let text = text.trim();
    let number: f64 = text.parse().map_err(|_| Fault::Number {
        what,
        found: text.to_owned(),
    })?;
    if number.is_finite() {
        Ok(number)
    } else {
        Err(Fault::NotFinite {
            what: what.to_owned(),
            found: text.to_owned(),
        })
    }
}

/// Reads a whole number.
pub(crate) fn integer(what: &'static str, text: &str) -> Result<i64, Fault> {
    let text = text.trim();
    text.parse().map_err(|_| Fault::Integer {
        what,
        found: text.to_owned(),
    })
}

/// Reads a number of atoms, at least one.
pub(crate) fn count(text: &str) -> Result<usize, Fault> {
    match text.trim().parse() {
        Ok(0) => Err(Fault::NoAtoms),
        Ok(count) => Ok(count),
        Err(_) => Err(Fault::Count {
            found: text.trim().chars().take(40).collect(),
        }),
    }
}

/// Passes a title, and reads the number of atoms on the line after it, where more may stand; before it, that line's number.
pub(crate) fn titled_count(lines: &mut Lines<'_>) -> Located<(usize, usize)> {
    lines.next();
    let (at, line) = lines.next().ok_or((
        lines.number(),
        Fault::Missing {
            what: "header lines",
            announced: 2,
            found: 1,
        },
    ))?;
    let count = count(line.split_whitespace().next().unwrap_or(""));
    Ok((at, count.map_err(|fault| (at, fault))?))
}

/// The element of a symbol in any letter case.
pub(crate) fn element(symbol: &str) -> Option<Element> {
    let mut letters = symbol.trim().chars();
    let first = letters.next()?.to_ascii_uppercase();
    let symbol: String = std::iter::once(first)
        .chain(letters.map(|letter| letter.to_ascii_lowercase()))
        .collect();
    Element::from_symbol(&symbol)
}

/// Columns `from..to` of an ASCII line, counted from 0; fewer where the line ends.
pub(crate) fn columns(line: &str, from: usize, to: usize) -> &str {
    let to = to.min(line.len());
    line.get(from.min(to)..to).unwrap_or("")
}

/// Refuses a line whose columns are not bytes.
pub(crate) fn ascii(line: &str) -> Result<(), Fault> {
    match line.chars().find(|letter| !letter.is_ascii()) {
        Some(found) => Err(Fault::NotAscii { found }),
        None => Ok(()),
    }
}
