//! GRO, GROMACS' coordinates in fixed columns: any number of frames, each a title, a count, a line for each atom, and a box.
//!
//! Reference: *GROMACS reference manual*, file formats, gro.

use std::cmp::Ordering;

use boltzflow_molecule::Molecule;

use crate::{
    Fault, Frame, Tags,
    format::NANOMETRE,
    lines::Lines,
    text::{self, Located, columns},
};

/// Where the coordinates begin: before them stand a residue's number and name and an atom's name and number, in five columns each.
const START: usize = 20;

/// Reads the next frame, for this molecule; after a fault inside a frame the following one can still be read.
pub(crate) fn next(lines: &mut Lines<'_>, molecule: &Molecule) -> Option<Located<Frame>> {
    let block = Block::next(lines)?;
    Some(block.and_then(|block| frame(&block, molecule)))
}

/// The step of the next frame's coordinates, Å.
pub(crate) fn next_quantum(lines: &mut Lines<'_>) -> Option<Located<f64>> {
    let block = Block::next(lines)?;
    Some(block.and_then(|block| Ok(block.layout()?.quantum())))
}

/// Reads a frame from its lines.
fn frame(block: &Block<'_>, molecule: &Molecule) -> Located<Frame> {
    let (found, expected) = (block.atoms.len(), molecule.atoms.len());
    if found != expected {
        return Err((block.header, Fault::FrameAtoms { found, expected }));
    }
    let layout = block.layout()?;
    let mut positions = Vec::with_capacity(3 * expected);
    for (at, line) in &block.atoms {
        let position = layout.position(line).map_err(|fault| (*at, fault))?;
        positions.extend_from_slice(&position);
    }
    let (at, line) = block.cell;
    check_cell(line).map_err(|fault| (at, fault))?;
    Ok(Frame {
        molecule: molecule.clone(),
        positions,
        tags: Tags::new(),
    })
}

/// The lines of a frame.
struct Block<'a> {
    /// Number of the line with the count.
    header: usize,
    atoms: Vec<(usize, &'a str)>,
    /// The box.
    cell: (usize, &'a str),
}

impl<'a> Block<'a> {
    /// The next frame's; `None` where only blank lines are left. A title may be blank as well.
    fn next(lines: &mut Lines<'a>) -> Option<Located<Self>> {
        if lines.clone().all(|(_, line)| line.trim().is_empty()) {
            return None;
        }
        let header = text::titled_count(lines);
        if header.is_err() {
            lines.finish();
        }
        Some(header.and_then(|(at, count)| Self::after_header(lines, at, count)))
    }

    /// The lines that the count, which stands in line `header`, announces.
    fn after_header(lines: &mut Lines<'a>, header: usize, count: usize) -> Located<Self> {
        let announced = count.saturating_add(1);
        let mut atoms = lines.block(announced);
        let found = atoms.len();
        match atoms.pop() {
            Some(cell) if found == announced => Ok(Self {
                header,
                atoms,
                cell,
            }),
            _ => Err((
                header,
                Fault::Missing {
                    what: "lines of atoms and a box",
                    announced,
                    found,
                },
            )),
        }
    }

    /// How it writes its coordinates, which its first atom tells, as for GROMACS.
    fn layout(&self) -> Located<Layout> {
        let (at, line) = self.atoms[0];
        Layout::of(line).map_err(|fault| (at, fault))
    }
}

/// How a frame writes its coordinates. Files are free to have more or fewer than three decimals in columns of eight.
struct Layout {
    /// Columns of a coordinate, and of a velocity.
    width: usize,
    /// Decimals of a coordinate.
    decimals: usize,
}

impl Layout {
    /// That of an atom's line: columns are as wide as decimal points are far from each other.
    fn of(line: &str) -> Result<Self, Fault> {
        text::ascii(line)?;
        let points: Vec<usize> = columns(line, START, line.len())
            .match_indices('.')
            .map(|(point, _)| point)
            .take(3)
            .collect();
        match points[..] {
            [x, y, z] if y - x == z - y && x < y - x => Ok(Self {
                width: y - x,
                decimals: y - x - 1 - x,
            }),
            _ => Err(Fault::Expected {
                expected: "an atom with x, y and z from column 21 on, their decimal points equally far apart",
                found: line.chars().take(80).collect(),
            }),
        }
    }

    /// The step of the coordinates, Å.
    fn quantum(&self) -> f64 {
        10_f64.powi(1 - self.decimals as i32)
    }

    /// Reads an atom's line: its coordinates, Å. Velocities may follow, and nothing else.
    fn position(&self, line: &str) -> Result<[f64; 3], Fault> {
        text::ascii(line)?;
        let line = line.trim_end();
        let moving = self.is_moving(line)?;
        let column = |field: usize| {
            let from = START + field * self.width;
            columns(line, from, from + self.width)
        };
        if moving {
            for (axis, what) in ["vx", "vy", "vz"].into_iter().enumerate() {
                text::real(what, column(3 + axis))?;
            }
        }
        Ok([
            length("x", column(0))?,
            length("y", column(1))?,
            length("z", column(2))?,
        ])
    }

    /// Whether the line has velocities; a line that ends elsewhere than after coordinates or velocities is refused.
    fn is_moving(&self, line: &str) -> Result<bool, Fault> {
        let [positions, velocities] = [3, 6].map(|fields| START + fields * self.width);
        let moving = line.len() > positions;
        let expected = if moving { velocities } else { positions };
        match line.len().cmp(&expected) {
            Ordering::Equal => Ok(moving),
            Ordering::Less => Err(Fault::ShortLine {
                what: "the line of an atom",
                found: line.len(),
                expected,
            }),
            Ordering::Greater => Err(Fault::Expected {
                expected: "the end of the line after the velocities",
                found: line[expected..].chars().take(80).collect(),
            }),
        }
    }
}

/// Reads a coordinate, in nanometres, and gives it in Å.
fn length(what: &'static str, text: &str) -> Result<f64, Fault> {
    let length = text::real(what, text)? * NANOMETRE;
    if length.is_finite() {
        Ok(length)
    } else {
        Err(Fault::NotFinite {
            what: format!("{what} in Å"),
            found: length.to_string(),
        })
    }
}

/// Refuses a line that is no box: three lengths, or the nine components of its vectors.
fn check_cell(line: &str) -> Result<(), Fault> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.len() != 3 && fields.len() != 9 {
        return Err(Fault::Expected {
            expected: "a box of three or nine numbers after the atoms; is their number right?",
            found: line.chars().take(80).collect(),
        });
    }
    fields
        .into_iter()
        .try_for_each(|field| text::real("a number of the box", field).map(drop))
}
