//! SDF records, V2000 and V3000.

use std::fmt::Write;

use boltzflow_molecule::{BondOrder, Molecule};

use super::Structure;
use crate::{Fault, Tags, Value};

/// Which version of the connection table is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SdfVersion {
    /// Words: coordinates keep every bit, any number of atoms. RDKit and cosmolkit read the same bits back.
    #[default]
    V3000,
    /// Fixed columns for older programs: coordinates are rounded to 1e-4 Å, at most 999 atoms and bonds.
    V2000,
}

/// The second header line, which says that the coordinates are three-dimensional. It has no date, so that equal runs write equal files.
const PROGRAM: &str = "  boltzflo          3D";

/// Appends one record.
pub(super) fn record(
    out: &mut String,
    structure: Structure<'_>,
    version: SdfVersion,
) -> Result<(), Fault> {
    let Structure {
        molecule,
        positions,
        tags,
    } = structure;
    // A title is one line, and one that looks like the end of a record would be taken for it.
    let title = molecule.name.lines().next().unwrap_or("").trim();
    if title.starts_with("$$$$") {
        return Err(Fault::Tag {
            name: "title".to_owned(),
            problem: "$$$$",
        });
    }
    let _ = writeln!(out, "{title}\n{PROGRAM}\n");
    match version {
        SdfVersion::V3000 => v3000(out, molecule, positions),
        SdfVersion::V2000 => v2000(out, molecule, positions)?,
    }
    data(out, tags)?;
    out.push_str("$$$$\n");
    Ok(())
}

/// The number of a bond's type. An unknown order is written as 8, *any*, rather than as a guess.
fn code(order: BondOrder) -> u8 {
    match order {
        BondOrder::Single => 1,
        BondOrder::Double => 2,
        BondOrder::Triple => 3,
        BondOrder::Aromatic => 4,
        BondOrder::Unknown => 8,
    }
}

/// A table in words.
fn v3000(out: &mut String, molecule: &Molecule, positions: &[f64]) {
    out.push_str("  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\n");
    let _ = writeln!(
        out,
        "M  V30 COUNTS {} {} 0 0 0\nM  V30 BEGIN ATOM",
        molecule.atoms.len(),
        molecule.bonds.len()
    );
    for (index, (atom, position)) in molecule
        .atoms
        .iter()
        .zip(positions.chunks_exact(3))
        .enumerate()
    {
        let [x, y, z] = [position[0], position[1], position[2]];
        let mut line = format!(
            "{} {} {x:?} {y:?} {z:?} 0",
            index + 1,
            atom.element.symbol()
        );
        if atom.formal_charge != 0 {
            let _ = write!(line, " CHG={}", atom.formal_charge);
        }
        statement(out, &line);
    }
    out.push_str("M  V30 END ATOM\n");
    if !molecule.bonds.is_empty() {
        out.push_str("M  V30 BEGIN BOND\n");
        for (index, bond) in molecule.bonds.iter().enumerate() {
            let [a, b] = bond.atoms;
            statement(
                out,
                &format!("{} {} {} {}", index + 1, code(bond.order), a + 1, b + 1),
            );
        }
        out.push_str("M  V30 END BOND\n");
    }
    out.push_str("M  V30 END CTAB\nM  END\n");
}

/// Appends a line after its prefix, continued by `-` where it would exceed the format's 80 columns.
fn statement(out: &mut String, words: &str) {
    let mut width = 0;
    out.push_str("M  V30");
    for word in words.split(' ') {
        if width > 0 && width + word.len() > 70 {
            out.push_str(" -\nM  V30");
            width = 0;
        }
        out.push(' ');
        out.push_str(word);
        width += 1 + word.len();
    }
    out.push('\n');
}

/// A table in columns.
fn v2000(out: &mut String, molecule: &Molecule, positions: &[f64]) -> Result<(), Fault> {
    for (what, count) in [
        ("atoms", molecule.atoms.len()),
        ("bonds", molecule.bonds.len()),
    ] {
        if count > 999 {
            return Err(Fault::TooLarge { what, count });
        }
    }
    let _ = writeln!(
        out,
        "{:3}{:3}  0  0  0  0  0  0  0  0999 V2000",
        molecule.atoms.len(),
        molecule.bonds.len()
    );
    for (atom, position) in molecule.atoms.iter().zip(positions.chunks_exact(3)) {
        for coordinate in position {
            let start = out.len();
            let _ = write!(out, "{coordinate:10.4}");
            if out.len() - start > 10 {
                return Err(Fault::TooLarge {
                    what: "ångström from the origin",
                    count: coordinate.abs() as usize,
                });
            }
        }
        let _ = writeln!(
            out,
            " {:<3} 0  0  0  0  0  0  0  0  0  0  0  0",
            atom.element.symbol()
        );
    }
    for bond in &molecule.bonds {
        let [a, b] = bond.atoms;
        let _ = writeln!(out, "{:3}{:3}{:3}  0", a + 1, b + 1, code(bond.order));
    }
    let charged: Vec<(usize, i32)> = molecule
        .atoms
        .iter()
        .enumerate()
        .map(|(index, atom)| (index + 1, atom.formal_charge))
        .collect();
    let charged: Vec<_> = charged
        .into_iter()
        .filter(|(_, charge)| *charge != 0)
        .collect();
    for some in charged.chunks(8) {
        let _ = write!(out, "M  CHG{:3}", some.len());
        for (atom, charge) in some {
            let _ = write!(out, " {atom:3} {charge:3}");
        }
        out.push('\n');
    }
    out.push_str("M  END\n");
    Ok(())
}

/// The data items, in the order of the tags.
fn data(out: &mut String, tags: &Tags) -> Result<(), Fault> {
    for (name, value) in tags {
        let fault = |problem| Fault::Tag {
            name: name.clone(),
            problem,
        };
        if name.is_empty() || name.contains(['<', '>', '\n', '\r']) {
            return Err(fault("a name with <, > or a line break"));
        }
        if let Value::Text(text) = value {
            let breaks = |line: &str| {
                line.trim().is_empty() || line.starts_with("$$$$") || line.starts_with('>')
            };
            if !text.is_empty() && text.split('\n').any(breaks) {
                return Err(fault("a blank line, or a line that begins with > or $$$$"));
            }
        }
        let _ = writeln!(out, ">  <{name}>\n{value}\n");
    }
    Ok(())
}
