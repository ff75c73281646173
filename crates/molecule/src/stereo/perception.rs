//! Which centres and double bonds of a molecule can differ, and how coordinates arrange them.

use super::{Arrangement, Chirality, Stereo, StereoBond, StereoCenter};
use crate::geometry::{point, triple_product};
use crate::{BondOrder, Molecule, MoleculeError, classes};

/// The stereo centres and double bonds of `molecule`, as `positions` (Å, `3 · atoms`) arrange them.
///
/// A **centre** is an atom whose four neighbours are of four different constitutional [`classes`]; or sulfur, selenium, phosphorus
/// or arsenic with three neighbours of three classes. A **double bond** (C=C, C=N, N=N; not cumulated, in no ring of fewer than eight
/// atoms) counts when the substituents at each end are of different classes.
///
/// What [`Molecule::stereo`] states is measured besides, whatever its classes.
///
/// # Limits
/// Centres that differ only because other centres do are seen only where they are stated (by a SMILES text): *cis*/*trans* on a ring
/// with a plane through both atoms (1,4-dimethylcyclohexane), pseudo-asymmetric centres, cages. Axes (allenes, atropisomers) are not
/// seen. Nitrogen with a lone pair inverts and counts only where stated. Double bonds need bond orders; where these are unknown, only
/// centres are found.
///
/// # Errors
/// Another number of coordinates than `3 · atoms`. Coordinates that are not finite give [`Chirality::Flat`] and
/// [`Arrangement::Undecided`], which match nothing.
pub fn stereo_of(molecule: &Molecule, positions: &[f64]) -> Result<Stereo, MoleculeError> {
    if positions.len() != 3 * molecule.len() {
        return Err(MoleculeError::Coordinates {
            found: positions.len(),
            atoms: molecule.len(),
        });
    }
    let mut stereo = stereogenic(molecule);
    measure(&mut stereo, positions);
    Ok(stereo)
}

impl Molecule {
    /// The same molecule, stating the stereo that `positions` (Å, flat) show: what makes a template of a file with coordinates.
    ///
    /// A drawing in the plane (every z is 0) shows no handedness, and whether it means its double bonds is not known: it states
    /// nothing. Wedges and parities of drawings are not read.
    ///
    /// # Errors
    /// Another number of coordinates than `3 · atoms`.
    pub fn stating_stereo_of(mut self, positions: &[f64]) -> Result<Self, MoleculeError> {
        let shown = stereo_of(&self, positions)?;
        let is_drawing = positions.iter().skip(2).step_by(3).all(|&z| z == 0.0);
        self.stereo = if is_drawing {
            Stereo::default()
        } else {
            shown.decided()
        };
        Ok(self)
    }
}

/// What of `molecule` is stereogenic, not yet measured: every centre is flat, every double bond undecided.
///
/// Find it once and [`measure`] it in many conformers. See [`stereo_of`].
pub fn stereogenic(molecule: &Molecule) -> Stereo {
    let mut stereo = distinct(molecule);
    for center in &molecule.stereo.centers {
        if stereo.centers.iter().all(|other| other.atom != center.atom) {
            stereo.centers.push(center.clone());
        }
    }
    for bond in &molecule.stereo.double_bonds {
        if stereo
            .double_bonds
            .iter()
            .all(|other| other.atoms != bond.atoms)
        {
            stereo.double_bonds.push(bond.clone());
        }
    }
    for center in &mut stereo.centers {
        center.chirality = Chirality::Flat;
    }
    for bond in &mut stereo.double_bonds {
        bond.arrangement = Arrangement::Undecided;
    }
    stereo.relabelled(|atom| atom)
}

/// What classes alone make stereogenic, not measured.
pub(crate) fn distinct(molecule: &Molecule) -> Stereo {
    let neighbours = molecule.neighbours();
    let classes = classes(molecule);
    let centers = (0..molecule.len())
        .filter_map(|atom| center(molecule, &neighbours, &classes, atom))
        .collect();
    let double_bonds = molecule
        .bonds
        .iter()
        .filter(|bond| bond.order == BondOrder::Double)
        .filter_map(|bond| double_bond(molecule, &neighbours, &classes, bond.atoms))
        .collect();
    Stereo {
        centers,
        double_bonds,
    }
}

/// Writes into `stereo` how `positions` (Å, flat) arrange its centres and double bonds.
///
/// # Panics
/// If there are fewer positions than atoms: that is a bug of the caller.
pub fn measure(stereo: &mut Stereo, positions: &[f64]) {
    for center in &mut stereo.centers {
        let &[a, b, c, ..] = center.neighbours.as_slice() else {
            center.chirality = Chirality::Flat;
            continue;
        };
        let d = center.neighbours.get(3).copied().unwrap_or(center.atom);
        center.chirality = Chirality::of(signed_chirality(positions, [a, b, c, d]));
    }
    for bond in &mut stereo.double_bonds {
        let ([i, j], [a, b]) = (bond.atoms, bond.substituents);
        let axis = point(positions, j) - point(positions, i);
        let first = axis.cross(&(point(positions, a) - point(positions, i)));
        let second = axis.cross(&(point(positions, b) - point(positions, j)));
        let same_side = first.dot(&second);
        bond.arrangement = if same_side > 0.0 {
            Arrangement::Cis
        } else if same_side < 0.0 {
            Arrangement::Trans
        } else {
            Arrangement::Undecided
        };
    }
}

/// `(a − d) · ((b − d) × (c − d))` in Å³ for four atoms a, b, c, d: its sign tells mirror images apart.
pub fn signed_chirality(positions: &[f64], [a, b, c, d]: [usize; 4]) -> f64 {
    let origin = point(positions, d);
    triple_product(
        point(positions, a) - origin,
        point(positions, b) - origin,
        point(positions, c) - origin,
    )
}

fn center(
    molecule: &Molecule,
    neighbours: &[Vec<usize>],
    classes: &[usize],
    atom: usize,
) -> Option<StereoCenter> {
    let pyramidal = molecule.atoms[atom].element.inverts_slowly();
    let degree = neighbours[atom].len();
    if degree != 4 && !(degree == 3 && pyramidal) {
        return None;
    }
    let mut sorted = neighbours[atom].clone();
    sorted.sort_unstable_by_key(|&neighbour| classes[neighbour]);
    let different = sorted
        .windows(2)
        .all(|pair| classes[pair[0]] != classes[pair[1]]);
    different.then_some(StereoCenter {
        atom,
        neighbours: sorted,
        chirality: Chirality::Flat,
    })
}

fn double_bond(
    molecule: &Molecule,
    neighbours: &[Vec<usize>],
    classes: &[usize],
    atoms: [usize; 2],
) -> Option<StereoBond> {
    let substituent = |end: usize, other: usize| {
        let nitrogen = molecule.atoms[end].element == crate::Element::NITROGEN;
        if !nitrogen && molecule.atoms[end].element != crate::Element::CARBON {
            return None;
        }
        let mut multiple = molecule.bonds.iter().filter(|bond| {
            bond.atoms.contains(&end) && matches!(bond.order, BondOrder::Double | BondOrder::Triple)
        });
        if multiple.nth(1).is_some() {
            return None; // cumulated, or hypervalent nitrogen
        }
        let around = neighbours[end]
            .iter()
            .copied()
            .filter(|&atom| atom != other);
        match around.collect::<Vec<_>>()[..] {
            [only] if nitrogen => Some(only),
            [a, b] if classes[a] != classes[b] => Some(if classes[a] > classes[b] { a } else { b }),
            _ => None,
        }
    };
    let substituents = [
        substituent(atoms[0], atoms[1])?,
        substituent(atoms[1], atoms[0])?,
    ];
    let turns = ring_size(neighbours, atoms).is_some_and(|size| size < 8);
    (!turns).then_some(StereoBond {
        atoms,
        substituents,
        arrangement: Arrangement::Undecided,
    })
}

/// Atoms of the smallest ring that a bond is part of, if it is part of one.
pub(crate) fn ring_size(neighbours: &[Vec<usize>], [from, to]: [usize; 2]) -> Option<usize> {
    let mut distance = vec![usize::MAX; neighbours.len()];
    let mut queue = std::collections::VecDeque::from([from]);
    distance[from] = 1;
    while let Some(atom) = queue.pop_front() {
        for &next in &neighbours[atom] {
            if distance[next] != usize::MAX || (atom == from && next == to) {
                continue;
            }
            distance[next] = distance[atom] + 1;
            if next == to {
                return Some(distance[next]);
            }
            queue.push_back(next);
        }
    }
    None
}
