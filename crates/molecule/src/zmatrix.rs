//! Which bond length, angle and dihedral place each atom.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::iter::once;

use serde::{Deserialize, Serialize};

use crate::stereo::ring_size;
use crate::{Atom, Bond, BondOrder, Element, Molecule, MoleculeError, geometry};

/// The least sine of an angle that a dihedral is measured over, about 15° off the line: below, a vibration may take the dihedral anywhere.
pub const LEAST_SINE: f64 = 0.26;
/// How far, in radians, an atom of a rotor may be from where it would be if all were evenly spread.
const UNEVEN: f64 = 0.5;

/// How an atom is placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The atom.
    pub atom: usize,
    /// Atoms placed before it: none for the first atom, one for the second, two for the third, three for all others. It is bonded to the first
    /// of them.
    pub references: Vec<usize>,
    /// What its direction is told by.
    pub direction: Direction,
}

/// What tells where an atom is, besides its distance `r` from the first reference `i`; the others are `j` and `k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The angle `θ` to `j` at `i`, and the dihedral `φ` to `k` about the line from `i` to `j`.
    Polar,
    /// Two bends, `u = sin θ cos φ` and `v = sin θ sin φ`, where the atom goes on the line from `j` through `i`: there a vibration takes the dihedral
    /// anywhere, but nothing happens to these.
    Straight,
}

/// An order of the atoms in which each is placed by those before it: a tree of the bond graph, grown from its middle.
///
/// - The first atom beyond a bond has a dihedral over that bond, and all further ones a dihedral to the first (an improper one): a methyl group
///   turns by one number, and the handedness of a centre is the sign of another.
/// - An atom that closes a ring has its angle to the atom that it closes it with, so that the length of the closing bond depends on
///   one stiff angle and not on all torsions of the ring; and likewise its dihedral, if it closes two.
/// - No dihedral is measured over an angle that is straight: a linear group goes on by two bends, and beyond it the references are atoms at
///   its other end.
///
/// `N` atoms have `N − 1` distances, `N − 2` angles and `N − 3` dihedrals, some of the latter pairs bends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZMatrix {
    places: Vec<Place>,
}

impl ZMatrix {
    /// Chooses the references for a molecule; `positions` are some conformer, which tells what is linear.
    ///
    /// # Errors
    /// Positions of another molecule, a molecule in several pieces, or one whose atoms are all on a line, which has no dihedral and an angle
    /// fewer.
    pub fn new(molecule: &Molecule, positions: &[f64]) -> Result<Self, MoleculeError> {
        molecule.check_positions(positions)?;
        let parts = molecule.components().len();
        if parts > 1 {
            return Err(MoleculeError::Pieces { parts });
        }
        let mut growth = Growth::new(molecule, positions);
        if let Some(root) = growth.root()? {
            growth.grow(root)?;
        }
        Ok(Self {
            places: growth.places,
        })
    }

    /// The atoms in the order in which they are placed.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The places, by their number, whose dihedral goes round when a bond turns: that of the first atom beyond a bond which is single (or of
    /// unknown order) and in no ring. All other dihedrals are stiff in one conformer, though those of a ring may have several places.
    pub fn turning(&self, molecule: &Molecule) -> Vec<usize> {
        let neighbours = molecule.neighbours();
        let is_single = |bond: &Bond| matches!(bond.order, BondOrder::Single | BondOrder::Unknown);
        let turns = |[i, j]: [usize; 2]| {
            molecule.bond(i, j).is_some_and(is_single) && ring_size(&neighbours, [i, j]).is_none()
        };
        let goes_round = |place: &Place| match (place.references.as_slice(), place.direction) {
            (&[i, j, k], Direction::Polar) => turns([i, j]) && !neighbours[i].contains(&k),
            _ => false,
        };
        let places = self.places.iter().enumerate();
        places
            .filter_map(|(index, place)| goes_round(place).then_some(index))
            .collect()
    }

    /// The groups of three places whose atoms are alike and turn together about one bond, as the hydrogens of a methyl group do: first the place whose
    /// dihedral goes round, then those whose dihedrals are measured to its atom. They are all that is on the centre but what it turns against, evenly
    /// spread about the bond in `positions`; nothing hangs on them, and nothing else is measured to them. A group on the atom that all others are
    /// placed from is none: its first two atoms have no dihedral.
    ///
    /// # Errors
    /// Positions of another molecule.
    pub fn rotors(
        &self,
        molecule: &Molecule,
        positions: &[f64],
    ) -> Result<Vec<[usize; 3]>, MoleculeError> {
        molecule.check_positions(positions)?;
        let neighbours = molecule.neighbours();
        let turning = self.turning(molecule).into_iter();
        Ok(turning
            .filter_map(|first| self.rotor(molecule, &neighbours, first))
            .filter(|group| self.is_even(group, positions))
            .collect())
    }

    /// The group of the place whose dihedral goes round, if it has one.
    fn rotor(
        &self,
        molecule: &Molecule,
        neighbours: &[Vec<usize>],
        first: usize,
    ) -> Option<[usize; 3]> {
        let Place {
            atom, references, ..
        } = &self.places[first];
        let &[center, second, _] = references.as_slice() else {
            return None;
        };
        let kind = |other: usize| {
            let Atom {
                element,
                formal_charge,
                ..
            } = molecule.atoms[other];
            let order = molecule.bond(center, other).map(|bond| bond.order);
            (element, formal_charge, order)
        };
        let mut others = neighbours[center].iter().filter(|&&k| k != second);
        let are_alike = others.all(|&k| neighbours[k].len() == 1 && kind(k) == kind(*atom));
        let measured = [center, second, *atom];
        let is_beside =
            |place: &Place| place.references == measured && place.direction == Direction::Polar;
        let places = self.places.iter().enumerate();
        let beside = places.filter(|(_, place)| is_beside(place));
        let group: Vec<usize> = once(first).chain(beside.map(|(index, _)| index)).collect();
        let group = <[usize; 3]>::try_from(group).ok()?;
        let is_whole = neighbours[center].len() == group.len() + 1;
        let atoms = group.map(|place| self.places[place].atom);
        let mut outside = (0..self.places.len()).filter(|place| !group.contains(place));
        let is_free = outside.all(|place| {
            let mut references = self.places[place].references.iter();
            !references.any(|atom| atoms.contains(atom))
        });
        (are_alike && is_whole && is_free).then_some(group)
    }

    /// Whether the atoms of a group are evenly spread about its bond.
    fn is_even(&self, group: &[usize; 3], positions: &[f64]) -> bool {
        let [first, beside @ ..] = group.map(|place| &self.places[place]);
        let mut angles = beside.map(|place| {
            let atoms = [
                place.atom,
                first.references[0],
                first.references[1],
                first.atom,
            ];
            geometry::dihedral(positions, atoms)
        });
        angles.sort_by(f64::total_cmp);
        let off = [angles[0] + TAU / 3.0, angles[1] - TAU / 3.0];
        off.iter().all(|off| off.abs() < UNEVEN)
    }
}

/// A Z-matrix that is being made.
struct Growth<'a> {
    positions: &'a [f64],
    /// Atoms bonded to each, those that lead on first.
    neighbours: Vec<Vec<usize>>,
    /// The atom that each was reached from.
    parents: Vec<Option<usize>>,
    is_placed: Vec<bool>,
    places: Vec<Place>,
}

impl<'a> Growth<'a> {
    fn new(molecule: &Molecule, positions: &'a [f64]) -> Self {
        let mut neighbours = molecule.neighbours();
        let degrees: Vec<usize> = neighbours.iter().map(Vec::len).collect();
        // Torsions are told by heavy atoms that lead on, where there are any.
        let is_hydrogen = |atom: usize| molecule.atoms[atom].element == Element::HYDROGEN;
        for around in &mut neighbours {
            around.sort_by_key(|&atom| (degrees[atom] == 1, is_hydrogen(atom), atom));
        }
        Self {
            positions,
            parents: vec![None; neighbours.len()],
            is_placed: vec![false; neighbours.len()],
            places: Vec::with_capacity(neighbours.len()),
            neighbours,
        }
    }

    /// The atom in the middle of the graph, with its first two neighbours not on a line with it; none for no atoms.
    fn root(&self) -> Result<Option<usize>, MoleculeError> {
        let all = 0..self.neighbours.len();
        if all.len() < 3 {
            return Ok(all.into_iter().next());
        }
        let bends = |&atom: &usize| {
            let around = &self.neighbours[atom];
            let mut others = around.iter().skip(1);
            others.any(|&k| self.is_in([around[0], atom, k], Direction::Polar))
        };
        let depth = |&atom: &usize| {
            let distances = self.distances(atom);
            let sum: usize = distances.iter().sum();
            (distances.into_iter().max(), sum, atom)
        };
        match all.filter(bends).min_by_key(depth) {
            Some(root) => Ok(Some(root)),
            None => Err(MoleculeError::Linear { atom: None }),
        }
    }

    /// Places all atoms, nearest first.
    fn grow(&mut self, root: usize) -> Result<(), MoleculeError> {
        self.bend(root);
        self.place(root, (Vec::new(), Direction::Polar));
        let mut queue = VecDeque::from([root]);
        while let Some(parent) = queue.pop_front() {
            for child in self.neighbours[parent].clone() {
                if !self.is_placed[child] {
                    self.parents[child] = Some(parent);
                    let references = self.references(child, parent)?;
                    self.place(child, references);
                    queue.push_back(child);
                }
            }
        }
        Ok(())
    }

    /// Brings a neighbour of the root to the second place that is not on a line with the root and the first: the third atom of all has no other
    /// reference to choose.
    fn bend(&mut self, root: usize) {
        let around = &self.neighbours[root];
        let bent = |&k: &usize| k > 0 && self.is_in([around[0], root, around[k]], Direction::Polar);
        if let Some(k) = (0..around.len()).find(bent) {
            self.neighbours[root][1..=k].rotate_right(1);
        }
    }

    fn place(&mut self, atom: usize, (references, direction): (Vec<usize>, Direction)) {
        self.is_placed[atom] = true;
        self.places.push(Place {
            atom,
            references,
            direction,
        });
    }

    fn references(
        &self,
        atom: usize,
        parent: usize,
    ) -> Result<(Vec<usize>, Direction), MoleculeError> {
        if self.places.len() == 1 {
            return Ok((vec![parent], Direction::Polar));
        }
        let near = self.nearest(parent);
        let usual = self.second(atom, parent);
        // Bent to an atom close by, or else straight on or bent to one farther away.
        let bent = usual.iter().map(|&k| (k, Direction::Polar));
        let any = usual.iter().chain(&near);
        let any = any.flat_map(|&k| [(k, Direction::Straight), (k, Direction::Polar)]);
        bent.chain(any)
            .filter(|&(second, _)| second != parent && self.is_placed[second])
            .filter(|&(second, direction)| self.is_in([atom, parent, second], direction))
            .find_map(|(second, direction)| {
                if self.places.len() == 2 {
                    return Some((vec![parent, second], direction));
                }
                let third = self.third(atom, [parent, second], &near)?;
                Some((vec![parent, second, third], direction))
            })
            .ok_or(MoleculeError::Linear { atom: Some(atom) })
    }

    /// Whether an atom's direction, seen from the second of these, is told well in this way.
    fn is_in(&self, atoms: [usize; 3], direction: Direction) -> bool {
        let angle = geometry::angle(self.positions, atoms);
        match direction {
            Direction::Polar => angle.sin() >= LEAST_SINE,
            Direction::Straight => angle.sin() < LEAST_SINE && angle.cos() < 0.0,
        }
    }

    /// Atoms that an angle is best measured to: what a ring is closed with, then where the tree comes from, then what is beside.
    fn second(&self, atom: usize, parent: usize) -> Vec<usize> {
        let closing = self.neighbours[atom].iter().copied();
        let beside = self.neighbours[parent].iter().copied();
        closing.chain(self.parents[parent]).chain(beside).collect()
    }

    /// The atom that a dihedral about the line from `parent` to `second` is best measured to: what one more ring is closed with, then the first that
    /// was placed beyond `parent`, then one at the other end, where the tree comes from first, then the nearest.
    fn third(&self, atom: usize, [parent, second]: [usize; 2], near: &[usize]) -> Option<usize> {
        let closing = self.neighbours[atom].iter();
        let around = self.neighbours[parent].iter();
        let siblings = around.filter(|k| self.parents[**k] == Some(parent));
        let beyond = self.neighbours[second].iter();
        let all = closing
            .chain(siblings)
            .copied()
            .chain(self.parents[second])
            .chain(beyond.chain(near).copied());
        all.filter(|&k| k != parent && k != second && self.is_placed[k])
            .find(|&k| self.is_in([parent, second, k], Direction::Polar))
    }

    /// All atoms, in order of their bonds from this one.
    fn nearest(&self, atom: usize) -> Vec<usize> {
        let distances = self.distances(atom);
        let mut all: Vec<usize> = (0..distances.len()).collect();
        all.sort_by_key(|&k| (distances[k], Reverse(self.neighbours[k].len()), k));
        all
    }

    /// Bonds from an atom to each.
    fn distances(&self, atom: usize) -> Vec<usize> {
        bonds_from(&self.neighbours, atom)
    }
}

/// Bonds on the shortest way from an atom to each, [`usize::MAX`] to those of another piece.
pub(crate) fn bonds_from(neighbours: &[Vec<usize>], atom: usize) -> Vec<usize> {
    let mut distances = vec![usize::MAX; neighbours.len()];
    distances[atom] = 0;
    let mut queue = VecDeque::from([atom]);
    while let Some(next) = queue.pop_front() {
        for &neighbour in &neighbours[next] {
            if distances[neighbour] == usize::MAX {
                distances[neighbour] = distances[next] + 1;
                queue.push_back(neighbour);
            }
        }
    }
    distances
}
