//! What follows the bonds of a V2000 table: lists, then properties up to `M  END`.
//!
//! Only charges are taken from there; but each line must be one that may stand there, lest a bond that the counts line forgot be lost.

use boltzflow_molecule::Molecule;

use crate::{
    Fault,
    text::{self, Located, columns},
};

/// The line that ends a table.
const END: &str = "M  END";

/// Lines that older programs put before the properties, as the counts line announces them.
pub(super) struct Lists {
    /// Lists of atoms that a query allows: a line each.
    atoms: usize,
    /// Texts of drawings: two lines each.
    texts: usize,
}

impl Lists {
    /// What a counts line `aaabbblllfffcccsss…` announces; what is no number there announces nothing.
    pub(super) fn announced(counts: &str) -> Self {
        let number = |from| columns(counts, from, from + 3).trim().parse().unwrap_or(0);
        Self {
            atoms: number(6),
            texts: number(15),
        }
    }

    /// How many lines these take. Many programs announce lists and write none, so that they end where a property begins.
    pub(super) fn skip(&self, lines: &[(usize, &str)]) -> usize {
        let most = self.atoms.saturating_add(self.texts.saturating_mul(2));
        let listed = lines.iter().take_while(|(_, line)| !is_property(line));
        listed.take(most).count()
    }
}

/// Whether a line begins a property.
fn is_property(line: &str) -> bool {
    ["M  ", "A  ", "V  ", "G  ", "S  "]
        .iter()
        .any(|start| line.starts_with(start))
}

/// How many lines after a property are its text: the alias of an atom, the abbreviation of a group, lines to be skipped.
fn texts(line: &str) -> Result<usize, Fault> {
    if line.starts_with("A  ") || line.starts_with("G  ") {
        return Ok(1);
    }
    match line.strip_prefix("S  SKP") {
        Some(count) => {
            let count = text::integer("the number of S  SKP", count)?;
            Ok(usize::try_from(count).unwrap_or(0))
        }
        None => Ok(0),
    }
}

/// Reads the properties after line `last` and its `bonds` up to `M  END`: charges; says how many lines they take.
///
/// A list of charges or radicals, where there is one, replaces what the atom lines say.
pub(super) fn read(
    lines: &[(usize, &str)],
    [last, bonds]: [usize; 2],
    molecule: &mut Molecule,
) -> Located<usize> {
    let mut listed = false;
    let mut rest = lines.iter().enumerate();
    while let Some((index, (at, line))) = rest.next() {
        if line.starts_with(END) {
            return Ok(index + 1);
        }
        if !is_property(line) && !line.trim().is_empty() {
            let found = line.trim_end().chars().take(80).collect();
            return Err((*at, Fault::UncountedLine { bonds, found }));
        }
        if line.starts_with("M  CHG") || line.starts_with("M  RAD") {
            if !listed {
                molecule
                    .atoms
                    .iter_mut()
                    .for_each(|atom| atom.formal_charge = 0);
                listed = true;
            }
            if line.starts_with("M  CHG") {
                charges(line, molecule).map_err(|fault| (*at, fault))?;
            }
        }
        let texts = texts(line).map_err(|fault| (*at, fault))?;
        if texts > 0 {
            rest.nth(texts - 1);
        }
    }
    let at = lines.last().map_or(last, |(at, _)| *at);
    Err((at, Fault::Unclosed { what: END }))
}

/// Reads `M  CHGnn8 aaa vvv …`.
fn charges(line: &str, molecule: &mut Molecule) -> Result<(), Fault> {
    let numbers = line[6..]
        .split_whitespace()
        .map(|field| text::integer("a number of M  CHG", field))
        .collect::<Result<Vec<i64>, Fault>>()?;
    let Some((&announced, pairs)) = numbers.split_first() else {
        return Err(Fault::Fields {
            what: "M  CHG",
            found: 0,
            expected: 3,
        });
    };
    if pairs.len() as i64 != announced.saturating_mul(2) {
        let expected = usize::try_from(announced).unwrap_or(0).saturating_mul(2);
        return Err(Fault::Fields {
            what: "M  CHG",
            found: pairs.len(),
            expected,
        });
    }
    let count = molecule.atoms.len();
    for pair in pairs.chunks_exact(2) {
        let index = usize::try_from(pair[0] - 1)
            .ok()
            .filter(|&index| index < count);
        let index = index.ok_or(Fault::ChargedAtom {
            atom: pair[0],
            count,
        })?;
        if pair[1].abs() > 15 {
            return Err(Fault::Charge {
                atom: index + 1,
                found: pair[1].to_string(),
            });
        }
        molecule.atoms[index].formal_charge = pair[1] as i32;
    }
    Ok(())
}
