//! PDB: atoms in fixed columns, models, CONECT.
//!
//! Reference: *PDB File Format*, version 3.3, wwPDB, 2012.

mod alternates;
mod element;

use std::collections::{BTreeSet, HashMap};

use boltzflow_molecule::{Atom, Bond, BondOrder, Molecule, Residue};

use crate::{
    Fault, Frame, Tags,
    lines::Lines,
    text::{self, Located, columns},
};
use alternates::Site;
use element::LeftAligned;

/// The models of a file, one after another.
pub(crate) struct Models<'a> {
    lines: Lines<'a>,
    /// All CONECT lines: they stand after the models and hold for each.
    bonds: Vec<(usize, &'a str)>,
}

impl<'a> Models<'a> {
    /// The models of a whole text.
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            lines: Lines::new(text),
            bonds: Lines::new(text)
                .filter(|(_, line)| line.starts_with("CONECT"))
                .collect(),
        }
    }

    /// The lines of the next model that are atoms; `None` at the end.
    fn block(&mut self) -> Option<Located<Vec<(usize, &'a str)>>> {
        let mut atoms = Vec::new();
        let mut opened = None;
        for (at, line) in self.lines.by_ref() {
            match columns(line, 0, 6).trim_end() {
                "ATOM" | "HETATM" => atoms.push((at, line)),
                "MODEL" if atoms.is_empty() => opened = Some(at),
                "MODEL" => return Some(Err((at, Fault::Unclosed { what: "ENDMDL" }))),
                "ENDMDL" if atoms.is_empty() => return Some(Err((at, Fault::NoAtoms))),
                "ENDMDL" => return Some(Ok(atoms)),
                "END" if opened.is_none() && !atoms.is_empty() => return Some(Ok(atoms)),
                _ => {}
            }
        }
        match opened {
            Some(at) => Some(Err((at, Fault::Unclosed { what: "ENDMDL" }))),
            None if atoms.is_empty() => None,
            None => Some(Ok(atoms)),
        }
    }
}

impl Iterator for Models<'_> {
    type Item = Located<Frame>;
    fn next(&mut self) -> Option<Self::Item> {
        let block = self.block()?;
        Some(block.and_then(|lines| frame(&lines, &self.bonds)))
    }
}

/// Reads one model.
fn frame(lines: &[(usize, &str)], connections: &[(usize, &str)]) -> Located<Frame> {
    let aligned = LeftAligned::find(lines.iter().map(|(_, line)| element::label(line)));
    let sites = lines
        .iter()
        .enumerate()
        .map(|(index, (at, line))| site(index, line, &aligned).map_err(|fault| (*at, fault)))
        .collect::<Located<Vec<Site>>>()?;
    let kept = alternates::choose(&sites);
    if kept.len() < sites.len() {
        log::warn!(
            "{} of {} atoms are alternate locations and were left out; the location of highest occupancy was kept in each residue",
            sites.len() - kept.len(),
            sites.len()
        );
    }
    let mut molecule = Molecule::default();
    let mut positions = Vec::with_capacity(3 * kept.len());
    let mut residue = None;
    for &index in &kept {
        let site = &sites[index];
        if residue != Some(&site.residue) {
            residue = Some(&site.residue);
            let (name, number, chain) = (
                site.residue.name.to_owned(),
                site.residue.number,
                site.residue.chain.to_owned(),
            );
            molecule.residues.push(Residue {
                name,
                number,
                chain,
            });
        }
        molecule.atoms.push(Atom {
            element: site.element,
            formal_charge: site.charge,
            name: site.name.to_owned(),
            residue: Some(molecule.residues.len() - 1),
        });
        positions.extend_from_slice(&site.position);
    }
    molecule.bonds = bonds(&sites, &kept, connections)?;
    Ok(Frame {
        molecule,
        positions,
        tags: Tags::new(),
    })
}

/// Reads an ATOM or HETATM line.
fn site<'a>(index: usize, line: &'a str, aligned: &LeftAligned<'a>) -> Result<Site<'a>, Fault> {
    text::ascii(line)?;
    let line = line.trim_end();
    if line.len() < 54 {
        return Err(Fault::ShortLine {
            what: "the line of an atom",
            found: line.len(),
            expected: 54,
        });
    }
    let residue = alternates::Residue {
        name: element::residue(line),
        number: match columns(line, 22, 26).trim() {
            "" => 0,
            number => text::integer("the residue number", number)?,
        },
        insertion: columns(line, 26, 27).trim(),
        chain: columns(line, 21, 22).trim(),
    };
    let position = [
        text::real("x", columns(line, 30, 38))?,
        text::real("y", columns(line, 38, 46))?,
        text::real("z", columns(line, 46, 54))?,
    ];
    let occupancy = match columns(line, 54, 60).trim() {
        "" => 1.0,
        occupancy => text::real("the occupancy", occupancy)?,
    };
    let element = aligned
        .element(element::label(line))
        .map_err(|name| Fault::UnknownElement {
            atom: index + 1,
            name: name.to_owned(),
        })?;
    Ok(Site {
        serial: columns(line, 6, 11).trim(),
        name: columns(line, 12, 16).trim(),
        alternate: columns(line, 16, 17).trim(),
        residue,
        position,
        occupancy,
        element,
        charge: charge(index, columns(line, 76, 80))?,
    })
}

/// A charge as columns 79–80 have it, the last two of `tail`, which begins at column 77: `2+`, `1-`; also `+2`, and `+` alone.
///
/// Files before 1996 count their lines in columns 77–80, after an identifier (`1CRN  70`): digits alone there are no charge.
fn charge(index: usize, tail: &str) -> Result<i32, Fault> {
    let text = tail.get(2..).unwrap_or("").trim();
    let counted = tail.trim().chars().all(|letter| letter.is_ascii_digit());
    if text == "0" || counted {
        return Ok(0);
    }
    let sign = |letter: &u8| match letter {
        b'+' => Some(1),
        b'-' => Some(-1),
        _ => None,
    };
    let digit = |letter: &u8| letter.is_ascii_digit().then(|| i32::from(letter - b'0'));
    let found = match text.as_bytes() {
        [] => Some(0),
        [one] => sign(one),
        [first, second] => digit(first)
            .zip(sign(second))
            .or_else(|| digit(second).zip(sign(first)))
            .map(|(size, sign)| size * sign),
        _ => None,
    };
    found.ok_or_else(|| Fault::Charge {
        atom: index + 1,
        found: text.to_owned(),
    })
}

/// The bonds that CONECT lists; their order is not known. Those to atoms that are not in the file are passed over with a warning.
fn bonds(sites: &[Site<'_>], kept: &[usize], connections: &[(usize, &str)]) -> Located<Vec<Bond>> {
    if connections.is_empty() {
        return Ok(Vec::new());
    }
    // Serial number -> the atom's place among those kept; `None` for an alternate location that was left out.
    let mut places: HashMap<&str, Option<usize>> = HashMap::with_capacity(sites.len());
    let mut twice = BTreeSet::new();
    let mut order = vec![None; sites.len()];
    kept.iter()
        .enumerate()
        .for_each(|(place, &index)| order[index] = Some(place));
    for (site, place) in sites.iter().zip(order) {
        if places.insert(site.serial, place).is_some() {
            twice.insert(site.serial);
        }
    }
    let mut bonds = BTreeSet::new();
    let mut strangers = 0_usize;
    for (at, line) in connections {
        text::ascii(line).map_err(|fault| (*at, fault))?;
        let mut serials = (6..31)
            .step_by(5)
            .map(|from| columns(line, from, from + 5).trim())
            .filter(|serial| !serial.is_empty());
        let Some(first) = serials.next() else {
            continue;
        };
        for second in serials {
            for serial in [first, second] {
                if twice.contains(serial) {
                    return Err((
                        *at,
                        Fault::AmbiguousSerial {
                            serial: serial.to_owned(),
                        },
                    ));
                }
            }
            match (places.get(first), places.get(second)) {
                (Some(Some(a)), Some(Some(b))) if a != b => {
                    bonds.insert([*a.min(b), *a.max(b)]);
                }
                (Some(None), Some(_)) | (Some(_), Some(None)) => {}
                _ => strangers += 1,
            }
        }
    }
    if strangers > 0 {
        log::warn!(
            "{strangers} entries of CONECT name atoms that this model does not have; they were passed over"
        );
    }
    Ok(bonds
        .into_iter()
        .map(|atoms| Bond {
            atoms,
            order: BondOrder::Unknown,
        })
        .collect())
}
