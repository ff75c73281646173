//! What internal coordinates are of, as numbers that a network for any molecule can read.

#[cfg(test)]
mod tests;

use crate::stereo::ring_size;
use crate::zmatrix::bonds_from;
use crate::{BondOrder, Direction, Molecule, Place};

/// Elements that are told apart, by atomic number; all others are alike.
const ELEMENTS: [u8; 9] = [1, 6, 7, 8, 9, 15, 16, 17, 35];
/// Neighbours are told apart up to this many.
const NEIGHBOURS: usize = 4;
/// The smallest rings are told apart from 3 atoms up to this many.
const RING: usize = 7;
/// Bonds between coordinates are told apart up to this many.
const FARTHEST: usize = 7;
/// Atoms that define a coordinate.
const ATOMS: usize = 4;

/// Numbers that tell of an atom.
const OF_ATOM: usize = ELEMENTS.len() + 1 + NEIGHBOURS + 1 + 3 + (RING - 2);
/// Numbers that tell of a bond.
const OF_BOND: usize = 5 + 2;

/// What the internal coordinates of a molecule are of, each and in pairs: functions of elements, bonds and places alone, so that the same
/// surroundings have the same numbers in every molecule.
///
/// Coordinates are in the order of their kinds: the distances of all places but the first, the angles (or first bends) of all but two, the
/// dihedrals (or second bends) of all but three.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// Of each coordinate [`Labels::COORDINATE`] numbers, one after another:
    /// - its kind: distance, angle, torsion (over a bond), improper dihedral (between two bonds of one atom), first and second bend;
    /// - of the atom that is placed and its references, four in order, zeros where there are fewer: the element (H, C, N, O, F, P, S, Cl, Br, other),
    ///   1, 2, 3, 4 or more neighbours, hydrogens among them (a quarter each), whether it is sp, sp² or sp³ by its bond orders (none where they are
    ///   unknown), and its smallest ring of 3, 4, 5, 6, 7 or more atoms;
    /// - of the bond of each of these atoms after the first to the nearest before it that it is bonded to, zeros where there is none: single, double,
    ///   triple, aromatic or unknown, in a ring, turning;
    /// - whether its first atom is bonded to its second or third reference, with which it closes a ring.
    pub coordinates: Vec<f64>,
    /// Of each ordered pair of coordinates, row by row, [`Labels::PAIR`] numbers:
    /// - bonds between the atoms in their middles: 0 to 6, or more;
    /// - how many atoms they share: 0 to 4;
    /// - whether they have the same middle, place the same atom, and are the same;
    /// - whether the second places the first, second or third reference of the first.
    pub pairs: Vec<f64>,
}

impl Labels {
    /// Numbers for each coordinate.
    pub const COORDINATE: usize = KINDS + ATOMS * OF_ATOM + (ATOMS - 1) * OF_BOND + 1;
    /// Numbers for each pair.
    pub const PAIR: usize = FARTHEST + 1 + (ATOMS + 1) + 3 + (ATOMS - 1);
}

/// What a coordinate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Distance,
    Angle,
    Torsion,
    Improper,
    FirstBend,
    SecondBend,
}

const KINDS: usize = Kind::SecondBend as usize + 1;

/// A coordinate and the atoms that define it: the one that is placed, and its references.
#[derive(Clone, Debug)]
struct Coordinate {
    kind: Kind,
    atoms: Vec<usize>,
}

impl Coordinate {
    /// The atoms in its middle: the ends of a bond, the apex of an angle.
    fn middle(&self) -> &[usize] {
        match self.kind {
            Kind::Distance => &self.atoms,
            Kind::Torsion => &self.atoms[1..3],
            Kind::Angle | Kind::Improper | Kind::FirstBend | Kind::SecondBend => &self.atoms[1..2],
        }
    }
}

/// The labels of the internal coordinates by which a molecule's atoms are placed so, see [`crate::ZMatrix::places`].
///
/// # Panics
/// If a place names an atom that the molecule has not, or one from the second, third or fourth on lacks its references.
pub fn labels(molecule: &Molecule, places: &[Place]) -> Labels {
    let surroundings = Surroundings::new(molecule);
    let coordinates = surroundings.coordinates(places);
    let mut labels = Labels {
        coordinates: Vec::with_capacity(coordinates.len() * Labels::COORDINATE),
        pairs: Vec::with_capacity(coordinates.len().pow(2) * Labels::PAIR),
    };
    for one in &coordinates {
        surroundings.describe(one, &mut labels.coordinates);
        for other in &coordinates {
            surroundings.relate(one, other, &mut labels.pairs);
        }
    }
    labels
}

/// The bond graph, with what is asked of it often.
struct Surroundings<'a> {
    molecule: &'a Molecule,
    neighbours: Vec<Vec<usize>>,
    /// Bonds between each two atoms.
    distances: Vec<Vec<usize>>,
    /// Atoms of the smallest ring of each, if it is in one.
    rings: Vec<Option<usize>>,
}

impl<'a> Surroundings<'a> {
    fn new(molecule: &'a Molecule) -> Self {
        let neighbours = molecule.neighbours();
        let ring = |atom: usize| {
            let around = neighbours[atom].iter();
            around
                .filter_map(|&other| ring_size(&neighbours, [atom, other]))
                .min()
        };
        let all = 0..molecule.len();
        Self {
            rings: all.clone().map(ring).collect(),
            distances: all.map(|atom| bonds_from(&neighbours, atom)).collect(),
            molecule,
            neighbours,
        }
    }

    fn are_bonded(&self, a: usize, b: usize) -> bool {
        self.neighbours[a].contains(&b)
    }

    fn coordinates(&self, places: &[Place]) -> Vec<Coordinate> {
        let of = |place: &Place, kind: Kind, references: usize| {
            let atoms = std::iter::once(place.atom).chain(place.references[..references].to_vec());
            Coordinate {
                kind,
                atoms: atoms.collect(),
            }
        };
        let first = |place: &Place| match place.direction {
            Direction::Polar => of(place, Kind::Angle, 2),
            Direction::Straight => of(place, Kind::FirstBend, 3),
        };
        let second = |place: &Place| match (place.direction, &place.references[..]) {
            (Direction::Straight, _) => of(place, Kind::SecondBend, 3),
            (Direction::Polar, &[i, _, k]) if self.are_bonded(i, k) => of(place, Kind::Improper, 3),
            (Direction::Polar, _) => of(place, Kind::Torsion, 3),
        };
        let distances = places.iter().skip(1);
        distances
            .map(|place| of(place, Kind::Distance, 1))
            .chain(places.iter().skip(2).map(first))
            .chain(places.iter().skip(3).map(second))
            .collect()
    }

    /// See [`Labels::coordinates`].
    fn describe(&self, coordinate: &Coordinate, label: &mut Vec<f64>) {
        let Coordinate { kind, atoms } = coordinate;
        one_hot(label, Some(*kind as usize), KINDS);
        for place in 0..ATOMS {
            match atoms.get(place) {
                Some(&atom) => self.describe_atom(atom, label),
                None => one_hot(label, None, OF_ATOM),
            }
        }
        for place in 1..ATOMS {
            let reached = atoms.get(place).and_then(|&to| {
                let mut before = atoms[..place].iter().rev().copied();
                let from = before.find(|&from| self.are_bonded(from, to));
                from.map(|from| [from, to])
            });
            match reached {
                Some(ends) => self.describe_bond(ends, label),
                None => one_hot(label, None, OF_BOND),
            }
        }
        let mut further = atoms.iter().skip(2);
        let closes = further.any(|&k| self.are_bonded(atoms[0], k));
        label.push(number(closes));
    }

    fn describe_atom(&self, atom: usize, label: &mut Vec<f64>) {
        let element = |atom: usize| self.molecule.atoms[atom].element.number();
        let known = ELEMENTS.iter().position(|&known| known == element(atom));
        one_hot(
            label,
            Some(known.unwrap_or(ELEMENTS.len())),
            ELEMENTS.len() + 1,
        );
        let around = &self.neighbours[atom];
        let degree = around.len().min(NEIGHBOURS);
        one_hot(label, degree.checked_sub(1), NEIGHBOURS);
        let hydrogens = around.iter().filter(|&&k| element(k) == 1).count();
        label.push(hydrogens as f64 / NEIGHBOURS as f64);
        one_hot(label, self.hybridisation(atom), 3);
        let ring = self.rings[atom].map(|size| size.clamp(3, RING) - 3);
        one_hot(label, ring, RING - 2);
    }

    /// 0 of an atom that is sp by its bonds, 1 of sp², 2 of sp³; none where an order is unknown.
    fn hybridisation(&self, atom: usize) -> Option<usize> {
        let (mut electrons, mut is_aromatic) = (0, false);
        for &other in &self.neighbours[atom] {
            match self.molecule.bond(atom, other)?.order {
                BondOrder::Single => {}
                BondOrder::Double => electrons += 1,
                BondOrder::Triple => electrons += 2,
                BondOrder::Aromatic => is_aromatic = true,
                BondOrder::Unknown => return None,
            }
        }
        match electrons {
            0 if !is_aromatic => Some(2),
            0 | 1 => Some(1),
            _ => Some(0),
        }
    }

    fn describe_bond(&self, [a, b]: [usize; 2], label: &mut Vec<f64>) {
        let order = self
            .molecule
            .bond(a, b)
            .map_or(BondOrder::Unknown, |bond| bond.order);
        let place = match order {
            BondOrder::Single => 0,
            BondOrder::Double => 1,
            BondOrder::Triple => 2,
            BondOrder::Aromatic => 3,
            BondOrder::Unknown => 4,
        };
        one_hot(label, Some(place), OF_BOND - 2);
        let is_in_ring = ring_size(&self.neighbours, [a, b]).is_some();
        let is_single = matches!(order, BondOrder::Single | BondOrder::Unknown);
        let is_end = [a, b].iter().any(|&end| self.neighbours[end].len() < 2);
        label.push(number(is_in_ring));
        label.push(number(is_single && !is_in_ring && !is_end));
    }

    /// See [`Labels::pairs`].
    fn relate(&self, one: &Coordinate, other: &Coordinate, pair: &mut Vec<f64>) {
        let ways = one.middle().iter();
        let ways = ways.flat_map(|&a| other.middle().iter().map(move |&b| self.distances[a][b]));
        let apart = ways.min().unwrap_or(FARTHEST).min(FARTHEST);
        one_hot(pair, Some(apart), FARTHEST + 1);
        let shared = one.atoms.iter().filter(|atom| other.atoms.contains(atom));
        one_hot(pair, Some(shared.count()), ATOMS + 1);
        let sorted = |coordinate: &Coordinate| {
            let mut middle = coordinate.middle().to_vec();
            middle.sort_unstable();
            middle
        };
        let is_same = one.kind == other.kind && one.atoms == other.atoms;
        pair.push(number(sorted(one) == sorted(other)));
        pair.push(number(one.atoms[0] == other.atoms[0]));
        pair.push(number(is_same));
        for reference in 1..ATOMS {
            pair.push(number(one.atoms.get(reference) == Some(&other.atoms[0])));
        }
    }
}

/// Appends `count` numbers: 1 at this place, if there is one, and 0 elsewhere.
fn one_hot(numbers: &mut Vec<f64>, place: Option<usize>, count: usize) {
    numbers.extend((0..count).map(|k| number(Some(k) == place)));
}

fn number(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}
