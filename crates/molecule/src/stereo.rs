//! Stereochemistry: which centres and double bonds can differ, and how coordinates arrange them.

use serde::{Deserialize, Serialize};

use crate::geometry::{point, triple_product};
use crate::{BondOrder, Molecule, MoleculeError, classes};

/// The handedness of a centre, relative to its neighbours in the order of [`StereoCenter::neighbours`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chirality {
    /// Positive triple product.
    Positive,
    /// Negative triple product.
    Negative,
    /// Exactly planar, or not a number.
    Flat,
}

impl Chirality {
    /// The handedness that a triple product shows.
    pub fn of(volume: f64) -> Self {
        if volume > 0.0 {
            Self::Positive
        } else if volume < 0.0 {
            Self::Negative
        } else {
            Self::Flat
        }
    }

    /// What a mirror shows.
    pub fn mirrored(self) -> Self {
        match self {
            Self::Positive => Self::Negative,
            Self::Negative => Self::Positive,
            Self::Flat => Self::Flat,
        }
    }
}

/// A tetrahedral centre.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StereoCenter {
    /// The atom in the middle.
    pub atom: usize,
    /// Its neighbours, four, or three beside a lone pair; in ascending order of their [`classes`] where these differ.
    pub neighbours: Vec<usize>,
    /// The sign of `(a − d) · ((b − d) × (c − d))` for the neighbours a, b, c, d; with a lone pair, d is the centre.
    pub chirality: Chirality,
}

impl StereoCenter {
    /// The handedness for its neighbours in another order; `None` if these are not its neighbours.
    pub fn chirality_for(&self, neighbours: &[usize]) -> Option<Chirality> {
        if neighbours.len() != self.neighbours.len() {
            return None;
        }
        let place = |atom: &usize| self.neighbours.iter().position(|other| other == atom);
        let places = neighbours.iter().map(place).collect::<Option<Vec<_>>>()?;
        let mut odd = false;
        for (i, place) in places.iter().enumerate() {
            for later in &places[i + 1..] {
                if place == later {
                    return None;
                }
                odd ^= place > later;
            }
        }
        Some(if odd {
            self.chirality.mirrored()
        } else {
            self.chirality
        })
    }
}

/// How the reference substituents of a double bond lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrangement {
    /// On the same side.
    Cis,
    /// On opposite sides.
    Trans,
    /// Exactly perpendicular, or not a number.
    Undecided,
}

impl Arrangement {
    /// How they lie when the substituents of one end are exchanged.
    pub fn exchanged(self) -> Self {
        match self {
            Self::Cis => Self::Trans,
            Self::Trans => Self::Cis,
            Self::Undecided => Self::Undecided,
        }
    }
}

/// A double bond that does not turn, outside rings of fewer than eight atoms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StereoBond {
    /// The two ends, ascending.
    pub atoms: [usize; 2],
    /// One substituent on each end; the one of the highest class where classes differ.
    pub substituents: [usize; 2],
    /// How these two lie.
    pub arrangement: Arrangement,
}

/// The stereo centres and double bonds of a molecule, in order of their atoms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stereo {
    /// Tetrahedral centres.
    pub centers: Vec<StereoCenter>,
    /// Double bonds.
    pub double_bonds: Vec<StereoBond>,
}

/// What [`compare`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StereoMatch {
    /// The same stereoisomer.
    Same,
    /// Every tetrahedral centre is the other way round, and every double bond is the same: a reflection makes them equal.
    Mirror,
    /// Another stereoisomer, which no reflection makes right.
    Other,
}

impl Stereo {
    /// Whether there is nothing to tell apart.
    pub fn is_empty(&self) -> bool {
        self.centers.is_empty() && self.double_bonds.is_empty()
    }

    /// The stereochemistry of the mirror image: centres flip, double bonds stay.
    pub fn mirrored(mut self) -> Self {
        for center in &mut self.centers {
            center.chirality = center.chirality.mirrored();
        }
        self
    }

    /// Whether exchanging atoms (`k` becomes `permutation[k]`) leaves every centre and double bond as it is.
    ///
    /// An automorphism of the bond graph need not: it may exchange the two halves of a *meso* compound.
    pub fn is_kept_by(&self, permutation: &[usize]) -> bool {
        let moved = self.relabelled(|atom| permutation[atom]);
        compare(self, &moved) == StereoMatch::Same
    }

    /// Without flat centres and undecided double bonds: what a drawing in the plane leaves open states nothing.
    pub fn decided(mut self) -> Self {
        self.centers
            .retain(|center| center.chirality != Chirality::Flat);
        self.double_bonds
            .retain(|bond| bond.arrangement != Arrangement::Undecided);
        self
    }

    /// The same stereochemistry with atom `k` called `place(k)`.
    pub(crate) fn relabelled(&self, place: impl Fn(usize) -> usize) -> Self {
        let mut stereo = self.clone();
        for center in &mut stereo.centers {
            center.atom = place(center.atom);
            for atom in &mut center.neighbours {
                *atom = place(*atom);
            }
        }
        for bond in &mut stereo.double_bonds {
            bond.atoms = bond.atoms.map(&place);
            bond.substituents = bond.substituents.map(&place);
            if bond.atoms[0] > bond.atoms[1] {
                bond.atoms.reverse();
                bond.substituents.reverse();
            }
        }
        stereo.centers.sort_unstable_by_key(|center| center.atom);
        stereo.double_bonds.sort_unstable_by_key(|bond| bond.atoms);
        stereo
    }
}

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

/// Compares every centre and double bond of `reference` with the same one of `sample`; what only `sample` has does not count.
///
/// Atoms are compared by number: a *meso* compound with its two halves exchanged is its [`StereoMatch::Mirror`] image.
pub fn compare(reference: &Stereo, sample: &Stereo) -> StereoMatch {
    let same_bonds = reference.double_bonds.iter().all(|bond| {
        let shown = sample
            .double_bonds
            .iter()
            .find(|other| other.atoms == bond.atoms);
        bond.arrangement != Arrangement::Undecided
            && shown.is_some_and(|shown| {
                let other = |end: usize| shown.substituents[end] != bond.substituents[end];
                let exchanged = other(0) != other(1);
                let arrangement = if exchanged {
                    shown.arrangement.exchanged()
                } else {
                    shown.arrangement
                };
                arrangement == bond.arrangement
            })
    });
    let found = reference.centers.iter().map(|center| {
        let shown = sample
            .centers
            .iter()
            .find(|other| other.atom == center.atom);
        let shown = shown.and_then(|shown| shown.chirality_for(&center.neighbours));
        (center.chirality, shown.unwrap_or(Chirality::Flat))
    });
    let found = found.collect::<Vec<_>>();
    let decided = found.iter().all(|(wanted, _)| *wanted != Chirality::Flat);
    let same = decided && found.iter().all(|(wanted, shown)| wanted == shown);
    let mirror = decided
        && found
            .iter()
            .all(|(wanted, shown)| wanted.mirrored() == *shown);
    if !same_bonds {
        StereoMatch::Other
    } else if same {
        StereoMatch::Same
    } else if mirror {
        StereoMatch::Mirror
    } else {
        StereoMatch::Other
    }
}

fn center(
    molecule: &Molecule,
    neighbours: &[Vec<usize>],
    classes: &[usize],
    atom: usize,
) -> Option<StereoCenter> {
    const PHOSPHORUS: u8 = 15;
    const SULFUR: u8 = 16;
    const ARSENIC: u8 = 33;
    const SELENIUM: u8 = 34;
    let element = molecule.atoms[atom].element.number();
    let pyramidal = matches!(element, PHOSPHORUS | SULFUR | ARSENIC | SELENIUM);
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
