//! AMBER coordinates and restarts in ASCII: a title, a count, coordinates in columns of twelve; velocities and a box may follow.
//!
//! Reference: *AMBER file formats*, inpcrd.

use boltzflow_molecule::Molecule;

use crate::{
    Fault, Frame, Tags,
    lines::Lines,
    text::{self, Located, columns},
};

/// Reads the one frame of a file, for this molecule.
pub(crate) fn read(lines: &mut Lines<'_>, molecule: &Molecule) -> Option<Located<Frame>> {
    lines.peek()?;
    let result = frame(lines, molecule);
    lines.finish();
    Some(result)
}

/// Reads the frame.
fn frame(lines: &mut Lines<'_>, molecule: &Molecule) -> Located<Frame> {
    // The time may stand after the count.
    let (at, count) = text::titled_count(lines)?;
    if count != molecule.atoms.len() {
        return Err((
            at,
            Fault::FrameAtoms {
                found: count,
                expected: molecule.atoms.len(),
            },
        ));
    }
    let rest: Vec<(usize, &str)> = lines
        .by_ref()
        .filter(|(_, line)| !line.trim().is_empty())
        .collect();
    let needed = count.div_ceil(2);
    if rest.len() < needed {
        return Err((
            at,
            Fault::Missing {
                what: "lines of coordinates",
                announced: needed,
                found: rest.len(),
            },
        ));
    }
    let mut positions = Vec::with_capacity(3 * count);
    for (index, (at, line)) in rest[..needed].iter().enumerate() {
        let expected = (3 * count - 6 * index).min(6);
        numbers(line, expected, &mut positions).map_err(|fault| (*at, fault))?;
    }
    // Nothing, a box, velocities, or velocities and a box.
    if ![0, 1, needed, needed + 1].contains(&(rest.len() - needed)) {
        let (at, line) = rest[needed];
        let found = line.chars().take(80).collect();
        return Err((
            at,
            Fault::Expected {
                expected: "velocities, a box or the end of the file after the coordinates",
                found,
            },
        ));
    }
    let mut unused = Vec::new();
    for (at, line) in &rest[needed..] {
        numbers(line, line.trim_end().len().div_ceil(12), &mut unused)
            .map_err(|fault| (*at, fault))?;
    }
    Ok(Frame {
        molecule: molecule.clone(),
        positions,
        tags: Tags::new(),
    })
}

/// Reads `expected` numbers, each twelve columns wide.
fn numbers(line: &str, expected: usize, into: &mut Vec<f64>) -> Result<(), Fault> {
    text::ascii(line)?;
    let found = line.trim_end().len().div_ceil(12);
    if found != expected {
        return Err(Fault::Fields {
            what: "a line of coordinates",
            found,
            expected,
        });
    }
    for field in 0..expected {
        into.push(text::real(
            "a coordinate",
            columns(line, 12 * field, 12 * (field + 1)),
        )?);
    }
    Ok(())
}
