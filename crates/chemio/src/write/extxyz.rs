//! Extended XYZ with the fewest digits that read back to the same bits.

use std::fmt::Write;

use super::Structure;
use crate::{Fault, Value, tags::names};

/// Appends one frame.
pub(super) fn frame(out: &mut String, structure: Structure<'_>) -> Result<(), Fault> {
    let Structure {
        molecule,
        positions,
        tags,
    } = structure;
    let charged = molecule.atoms.iter().any(|atom| atom.formal_charge != 0);
    let charges = if charged { ":formal_charge:I:1" } else { "" };
    let _ = write!(
        out,
        "{}\nProperties=species:S:1:pos:R:3{charges}",
        molecule.atoms.len()
    );
    if !molecule.name.is_empty() {
        let _ = write!(out, " {}={}", crate::xyz::NAME, quoted(&molecule.name));
    }
    for (name, value) in tags {
        let key = name.to_ascii_lowercase();
        if key == crate::xyz::NAME || key == "properties" {
            return Err(Fault::Tag {
                name: name.clone(),
                problem: "a name that extended XYZ keeps for itself",
            });
        }
        if key.is_empty()
            || key.contains(|letter: char| letter.is_whitespace() || "=\"'{}[],\\".contains(letter))
        {
            return Err(Fault::Tag {
                name: name.clone(),
                problem: "a name with blanks, quotes, brackets or =",
            });
        }
        let _ = match value {
            Value::Text(text) if key != names::COMMENT || !text.is_empty() => {
                write!(out, " {key}={}", quoted(text))
            }
            Value::Text(_) => Ok(()),
            Value::Flag(true) => write!(out, " {key}=T"),
            Value::Flag(false) => write!(out, " {key}=F"),
            number => write!(out, " {key}={number}"),
        };
    }
    out.push('\n');
    for (atom, position) in molecule.atoms.iter().zip(positions.chunks_exact(3)) {
        let _ = write!(
            out,
            "{} {:?} {:?} {:?}",
            atom.element.symbol(),
            position[0],
            position[1],
            position[2]
        );
        if charged {
            let _ = write!(out, " {}", atom.formal_charge);
        }
        out.push('\n');
    }
    Ok(())
}

/// Text between quotation marks, on one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => {}
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
