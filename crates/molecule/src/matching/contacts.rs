//! Which atoms of a structure may be bonded, by their distances.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::geometry::distance;
use crate::{Element, Molecule};

/// How much longer than the sum of covalent radii a bond may be, in Å: the smaller ones where the larger find too many bonds, across a
/// four-membered ring, say.
pub(super) const TOLERANCES: [f64; 4] = [0.45, 0.35, 0.25, 0.15];

/// The pairs of atoms that may be bonded, each with what its distance exceeds the covalent radii by (Å), the smallest first; only pairs
/// of elements that the template joins.
pub(super) fn contacts(
    structure: &Molecule,
    positions: &[f64],
    template: &Molecule,
) -> Vec<(f64, [usize; 2])> {
    let joined = template.bonds.iter().map(|bond| pair(template, bond.atoms));
    let joined = joined.collect::<BTreeSet<_>>();
    let radii = structure
        .elements()
        .map(Element::covalent_radius)
        .collect::<Vec<_>>();
    let mut close = Vec::new();
    for i in 0..structure.len() {
        for j in i + 1..structure.len() {
            let gap = distance(positions, [i, j]) - radii[i] - radii[j];
            if gap < TOLERANCES[0] && joined.contains(&pair(structure, [i, j])) {
                close.push((gap, [i, j]));
            }
        }
    }
    close.sort_by(|a, b| a.0.total_cmp(&b.0));
    close
}

/// The contacts within a tolerance, each atom with no more than an atom of its element has in the template: the closest.
pub(super) fn within(
    tolerance: f64,
    structure: &Molecule,
    template: &Molecule,
    contacts: &[(f64, [usize; 2])],
) -> Vec<[usize; 2]> {
    let mut valence = BTreeMap::<Element, usize>::new();
    for (element, list) in template.elements().zip(template.neighbours()) {
        let most = valence.entry(element).or_default();
        *most = list.len().max(*most);
    }
    let room = structure
        .elements()
        .map(|element| valence.get(&element).copied());
    let mut room = room.map(Option::unwrap_or_default).collect::<Vec<_>>();
    let mut kept = Vec::new();
    for &(_, [i, j]) in contacts.iter().take_while(|(gap, _)| *gap < tolerance) {
        if room[i] > 0 && room[j] > 0 {
            room[i] -= 1;
            room[j] -= 1;
            kept.push([i, j]);
        }
    }
    kept
}

fn pair(molecule: &Molecule, atoms: [usize; 2]) -> [Element; 2] {
    let mut elements = atoms.map(|atom| molecule.atoms[atom].element);
    elements.sort_unstable();
    elements
}

/// What tells the bonds of structure and template apart, for a person.
pub(super) fn difference(
    structure: &Molecule,
    touching: &[[usize; 2]],
    template: &Molecule,
) -> String {
    let mut counts = BTreeMap::<[Element; 2], [usize; 2]>::new();
    for &atoms in touching {
        counts.entry(pair(structure, atoms)).or_default()[0] += 1;
    }
    for bond in &template.bonds {
        counts.entry(pair(template, bond.atoms)).or_default()[1] += 1;
    }
    let mut text = String::new();
    for ([a, b], [found, wanted]) in counts
        .into_iter()
        .filter(|(_, [found, wanted])| found != wanted)
    {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{found} {b}–{a} bonds instead of {wanted}");
    }
    if text.is_empty() {
        "they are as many of each kind, but join the atoms otherwise (another constitutional isomer)".clone_into(&mut text);
    }
    text
}
