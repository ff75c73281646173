//! V2000: counts, atoms, bonds and properties in fixed columns.

use boltzflow_molecule::Molecule;

use super::{Table, bonds, bonds::Bonds, properties};
use crate::{
    Fault,
    text::{self, Located, columns},
    xyz::anonymous,
};

/// Reads the table whose counts line is given; says how many lines after it belong to it.
pub(super) fn read(at: usize, counts: &str, lines: &[(usize, &str)]) -> Located<(Table, usize)> {
    let (atom_count, bond_count) = self::counts(counts).map_err(|fault| (at, fault))?;
    let lists = properties::Lists::announced(counts);
    let missing = |what, announced, found| {
        Err((
            at,
            Fault::Missing {
                what,
                announced,
                found,
            },
        ))
    };
    if lines.len() < atom_count {
        return missing("atoms", atom_count, lines.len());
    }
    if lines.len() < atom_count + bond_count {
        return missing("bonds", bond_count, lines.len() - atom_count);
    }
    let mut molecule = Molecule::default();
    let mut positions = Vec::with_capacity(3 * atom_count);
    for (index, (at, line)) in lines[..atom_count].iter().enumerate() {
        let (symbol, position, charge) = atom(index, line).map_err(|fault| (*at, fault))?;
        let unknown = || {
            (
                *at,
                Fault::UnknownElement {
                    atom: index + 1,
                    name: symbol.to_owned(),
                },
            )
        };
        molecule.atoms.push(anonymous(
            text::element(symbol).ok_or_else(unknown)?,
            charge,
        ));
        positions.extend_from_slice(&position);
    }
    let mut bonds = Bonds::default();
    for (index, (at, line)) in lines[atom_count..atom_count + bond_count]
        .iter()
        .enumerate()
    {
        bond(index + 1, line, atom_count, &mut bonds).map_err(|fault| (*at, fault))?;
    }
    molecule.bonds = bonds.finish();
    let start = atom_count + bond_count;
    let last = lines[..start].last().map_or(at, |(at, _)| *at);
    let start = start + lists.skip(&lines[start..]);
    let used = properties::read(&lines[start..], [last, bond_count], &mut molecule)?;
    Ok((
        Table {
            molecule,
            positions,
        },
        start + used,
    ))
}

/// Numbers of atoms and bonds.
fn counts(line: &str) -> Result<(usize, usize), Fault> {
    text::ascii(line)?;
    let atoms = text::count(columns(line, 0, 3))?;
    let bonds = columns(line, 3, 6).trim();
    let bonds = bonds.parse().map_err(|_| Fault::CountsColumns {
        found: line.trim_end().to_owned(),
    })?;
    Ok((atoms, bonds))
}

/// Symbol, position and charge of an atom line, `xxxxx.xxxxyyyyy.yyyyzzzzz.zzzz aaaddcccssshhh…`.
fn atom(index: usize, line: &str) -> Result<(&str, [f64; 3], i32), Fault> {
    text::ascii(line)?;
    if line.trim_end().len() < 32 {
        return Err(Fault::ShortLine {
            what: "the line of an atom",
            found: line.trim_end().len(),
            expected: 32,
        });
    }
    let position = [
        text::real("x", columns(line, 0, 10))?,
        text::real("y", columns(line, 10, 20))?,
        text::real("z", columns(line, 20, 30))?,
    ];
    let charge = match columns(line, 36, 39).trim() {
        "" | "0" | "4" => 0,
        "1" => 3,
        "2" => 2,
        "3" => 1,
        "5" => -1,
        "6" => -2,
        "7" => -3,
        found => {
            return Err(Fault::Charge {
                atom: index + 1,
                found: found.to_owned(),
            });
        }
    };
    Ok((columns(line, 31, 34).trim(), position, charge))
}

/// Reads a bond line, `111222ttt…`.
fn bond(number: usize, line: &str, count: usize, bonds: &mut Bonds) -> Result<(), Fault> {
    text::ascii(line)?;
    if line.trim_end().len() < 9 {
        return Err(Fault::ShortLine {
            what: "the line of a bond",
            found: line.trim_end().len(),
            expected: 9,
        });
    }
    let a = text::integer("the first atom of a bond", columns(line, 0, 3))?;
    let b = text::integer("the second atom of a bond", columns(line, 3, 6))?;
    let known = 1..=count as i64;
    if !known.contains(&a) || !known.contains(&b) {
        return Err(Fault::BondAtoms {
            bond: number,
            atoms: [a, b],
            count,
        });
    }
    let order = bonds::order(number, columns(line, 6, 9))?;
    bonds.insert(number, [a as usize - 1, b as usize - 1], order)
}
