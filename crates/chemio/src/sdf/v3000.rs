//! V3000: blocks of words, each line after `M  V30`, continued where it ends in `-`.

use std::{cmp::Ordering, collections::HashMap};

use boltzflow_molecule::Molecule;

use super::{Table, bonds, bonds::Bonds};
use crate::{
    Fault,
    text::{self, Located},
    xyz::anonymous,
};

/// What stands before every line.
const PREFIX: &str = "M  V30";

/// A line with its continuations, and where it begins.
type Statement = (usize, String);

/// Reads the table after a V3000 counts line; says how many lines belong to it.
pub(super) fn read(lines: &[(usize, &str)]) -> Located<(Table, usize)> {
    let (statements, used) = statements(lines)?;
    let end = statements
        .last()
        .map_or_else(|| lines.first().map_or(0, |(at, _)| *at), |(at, _)| *at);
    let (at, atom_count, bond_count) = counts(&statements, end)?;
    let atoms = block(&statements, "ATOM", end)?;
    check_count("atoms", atom_count, atoms.len()).map_err(|fault| (at, fault))?;
    let mut molecule = Molecule::default();
    let mut positions = Vec::with_capacity(3 * atom_count);
    let mut indices = HashMap::with_capacity(atom_count);
    for (index, (at, line)) in atoms.iter().enumerate() {
        let (number, position) = atom(index, line, &mut molecule).map_err(|fault| (*at, fault))?;
        positions.extend_from_slice(&position);
        if indices.insert(number, index).is_some() {
            return Err((
                *at,
                Fault::Expected {
                    expected: "a number for each atom",
                    found: format!("{number} again"),
                },
            ));
        }
    }
    // A table without bonds needs no block of them; one that is there must be empty.
    let listed = statements.iter().any(|(_, line)| is(line, "BEGIN", "BOND"));
    let lines = if bond_count == 0 && !listed {
        &[]
    } else {
        block(&statements, "BOND", end)?
    };
    check_count("bonds", bond_count, lines.len()).map_err(|fault| (at, fault))?;
    let mut bonds = Bonds::default();
    for (index, (at, line)) in lines.iter().enumerate() {
        bond(index + 1, line, &indices, &mut bonds).map_err(|fault| (*at, fault))?;
    }
    molecule.bonds = bonds.finish();
    Ok((
        Table {
            molecule,
            positions,
        },
        used,
    ))
}

/// Refuses a block of more or fewer lines than were announced.
fn check_count(what: &'static str, announced: usize, found: usize) -> Result<(), Fault> {
    match found.cmp(&announced) {
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(Fault::Missing {
            what,
            announced,
            found,
        }),
        Ordering::Greater => Err(Fault::Surplus {
            what,
            announced,
            found,
        }),
    }
}

/// Whether a statement is these two words.
fn is(statement: &str, word: &str, name: &str) -> bool {
    statement.split_whitespace().take(2).eq([word, name])
}

/// Joins continued lines, up to `M  END`; says how many lines these are.
fn statements(lines: &[(usize, &str)]) -> Located<(Vec<Statement>, usize)> {
    let mut statements: Vec<Statement> = Vec::new();
    let mut open = false;
    for (index, (at, line)) in lines.iter().enumerate() {
        if line.starts_with("M  END") {
            return Ok((statements, index + 1));
        }
        let Some(rest) = line.strip_prefix(PREFIX) else {
            continue;
        };
        let rest = if open {
            rest.strip_prefix(' ').unwrap_or(rest)
        } else {
            rest
        };
        let (rest, continued) = match rest.trim_end().strip_suffix('-') {
            Some(rest) => (rest, true),
            None => (rest.trim_end(), false),
        };
        match statements.last_mut() {
            Some((_, statement)) if open => statement.push_str(rest),
            _ => statements.push((*at, rest.to_owned())),
        }
        open = continued;
    }
    let at = lines.last().map_or(0, |(at, _)| *at);
    Err((at, Fault::Unclosed { what: "M  END" }))
}

/// Where the counts are, and the numbers of atoms and bonds.
fn counts(statements: &[Statement], end: usize) -> Located<(usize, usize, usize)> {
    let found = statements
        .iter()
        .find(|(_, line)| line.trim_start().starts_with("COUNTS"));
    let (at, line) = found.ok_or((
        end,
        Fault::Unclosed {
            what: "M  V30 COUNTS",
        },
    ))?;
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.len() < 3 {
        return Err((
            *at,
            Fault::Fields {
                what: "COUNTS",
                found: fields.len() - 1,
                expected: 5,
            },
        ));
    }
    let atoms = text::count(fields[1]).map_err(|fault| (*at, fault))?;
    let bonds = fields[2].parse().map_err(|_| {
        (
            *at,
            Fault::Integer {
                what: "the number of bonds",
                found: fields[2].to_owned(),
            },
        )
    })?;
    Ok((*at, atoms, bonds))
}

/// The lines between `BEGIN name` and `END name`.
fn block<'a>(
    statements: &'a [Statement],
    name: &'static str,
    end: usize,
) -> Located<&'a [Statement]> {
    let closing = if name == "ATOM" {
        "M  V30 END ATOM"
    } else {
        "M  V30 END BOND"
    };
    let start = statements
        .iter()
        .position(|(_, line)| is(line, "BEGIN", name));
    let start = start.ok_or((
        end,
        Fault::Unclosed {
            what: if name == "ATOM" {
                "M  V30 BEGIN ATOM"
            } else {
                "M  V30 BEGIN BOND"
            },
        },
    ))?;
    let length = statements[start..]
        .iter()
        .position(|(_, line)| is(line, "END", name));
    let length = length.ok_or((end, Fault::Unclosed { what: closing }))?;
    Ok(&statements[start + 1..start + length])
}

/// Reads `number symbol x y z map [CHG=charge] …`; returns the number and the position.
fn atom(index: usize, line: &str, molecule: &mut Molecule) -> Result<(i64, [f64; 3]), Fault> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.len() < 6 {
        return Err(Fault::Fields {
            what: "the line of an atom",
            found: fields.len(),
            expected: 6,
        });
    }
    let number = text::integer("the number of an atom", fields[0])?;
    let element = text::element(fields[1]).ok_or_else(|| Fault::UnknownElement {
        atom: index + 1,
        name: fields[1].to_owned(),
    })?;
    let position = [
        text::real("x", fields[2])?,
        text::real("y", fields[3])?,
        text::real("z", fields[4])?,
    ];
    let charge = match fields[6..]
        .iter()
        .find_map(|field| field.strip_prefix("CHG="))
    {
        None => 0,
        Some(found) => match found.parse::<i32>() {
            Ok(charge) if charge.abs() <= 15 => charge,
            _ => {
                return Err(Fault::Charge {
                    atom: index + 1,
                    found: found.to_owned(),
                });
            }
        },
    };
    molecule.atoms.push(anonymous(element, charge));
    Ok((number, position))
}

/// Reads `number type atom atom …`.
fn bond(
    index: usize,
    line: &str,
    indices: &HashMap<i64, usize>,
    bonds: &mut Bonds,
) -> Result<(), Fault> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.len() < 4 {
        return Err(Fault::Fields {
            what: "the line of a bond",
            found: fields.len(),
            expected: 4,
        });
    }
    let order = bonds::order(index, fields[1])?;
    let a = text::integer("the first atom of a bond", fields[2])?;
    let b = text::integer("the second atom of a bond", fields[3])?;
    match (indices.get(&a), indices.get(&b)) {
        (Some(&first), Some(&second)) => bonds.insert(index, [first, second], order),
        _ => Err(Fault::BondAtoms {
            bond: index,
            atoms: [a, b],
            count: indices.len(),
        }),
    }
}
