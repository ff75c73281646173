//! MDL molfiles and SDF: V2000 in fixed columns, V3000 in words, data items after each record.
//!
//! Reference: *CTfile Formats*, BIOVIA, 2020.

mod bonds;
mod data;
mod properties;
mod v2000;
mod v3000;

use boltzflow_molecule::Molecule;

use crate::{
    Fault, Frame,
    lines::Lines,
    text::{Located, columns},
};

/// The line that ends a record.
const END_OF_RECORD: &str = "$$$$";

/// Atoms, bonds and positions of a connection table.
pub(super) struct Table {
    /// Without its name.
    molecule: Molecule,
    /// Å.
    positions: Vec<f64>,
}

/// Reads the next record; after a fault inside a record the following one can still be read.
pub(crate) fn next(lines: &mut Lines<'_>) -> Option<Located<Frame>> {
    let first = lines.number() == 0;
    let block: Vec<(usize, &str)> = {
        let mut block = Vec::new();
        let mut closed = false;
        for (at, line) in lines.by_ref() {
            if line.starts_with(END_OF_RECORD) {
                closed = true;
                break;
            }
            block.push((at, line));
        }
        if block.iter().all(|(_, line)| line.trim().is_empty()) && !(closed && first) {
            // Blank lines after the last record.
            return if closed { next(lines) } else { None };
        }
        if !closed && (!first || block.iter().any(|(_, line)| line.starts_with('>'))) {
            // A molfile needs no `$$$$`, but one with data items, or one of several records, was cut if it stops without.
            let at = block.last().map_or(0, |(at, _)| *at);
            return Some(Err((
                at,
                Fault::Unclosed {
                    what: END_OF_RECORD,
                },
            )));
        }
        block
    };
    Some(record(&block))
}

/// Reads one record from its lines.
fn record(block: &[(usize, &str)]) -> Located<Frame> {
    let start = block.first().map_or(0, |(at, _)| *at);
    let Some(&(at, counts)) = block.get(3) else {
        return Err((
            start,
            Fault::Missing {
                what: "header lines",
                announced: 4,
                found: block.len(),
            },
        ));
    };
    let version = columns(counts, 33, 39).trim();
    let rest = &block[4..];
    let (table, used) = match version {
        "V3000" => v3000::read(rest),
        "V2000" | "" => v2000::read(at, counts, rest),
        _ if counts.trim_end().ends_with("V2000") => Err((
            at,
            Fault::CountsColumns {
                found: counts.trim_end().to_owned(),
            },
        )),
        found => Err((
            at,
            Fault::Version {
                found: found.to_owned(),
            },
        )),
    }?;
    let tags = data::read(&rest[used..])?;
    let Table {
        mut molecule,
        positions,
    } = table;
    block[0].1.trim().clone_into(&mut molecule.name);
    Ok(Frame {
        molecule,
        positions,
        tags,
    })
}
