//! Bonds for a structure from a template: the two are matched as graphs.

mod contacts;
#[cfg(test)]
mod tests;

use self::contacts::{TOLERANCES, contacts, difference, within};
use crate::classes::{elements_and_degrees, refine};
use crate::search::{Graph, NOWHERE, Search};
use crate::stereo::measure;
use crate::{
    Arrangement, Bond, BondOrder, Chirality, Molecule, MoleculeError, Stereo, StereoBond,
    StereoCenter,
};

/// How many placements of atoms a matching may take.
const STEPS: usize = 2_000_000;

/// Gives `structure`, whose atoms lie at `positions` (Å, flat), the bonds, charges and stereo of `template`.
///
/// Which atoms of the structure are joined is read off their distances: less than the sum of covalent radii + 0.45 Å (where that does not
/// match, down to 0.15 Å), only pairs of elements that the template joins, no more neighbours than such an atom has there. Where no
/// tolerance gives the template's bonds, those that the structure came with are tried. Structure and template are then matched by
/// elements and bonds. Where the template states its stereo, a matching is chosen in which the coordinates show it. The atoms keep the
/// order, names and residues of the structure.
///
/// # Errors
/// Other atoms than the template's, other bonds, another stereoisomer (each says the difference), coordinates that do not place the atoms.
pub fn assign_bonds(
    structure: &Molecule,
    positions: &[f64],
    template: &Molecule,
) -> Result<Molecule, MoleculeError> {
    structure.check_positions(positions)?;
    let composition = |molecule: &Molecule| Molecule::from_elements(molecule.elements()).formula();
    if composition(structure) != composition(template) {
        return Err(MoleculeError::Formula {
            structure: composition(structure),
            template: composition(template),
        });
    }
    let touching = contacts(structure, positions, template);
    let listed = structure
        .bonds
        .iter()
        .map(|bond| bond.atoms)
        .collect::<Vec<_>>();
    let candidates = TOLERANCES
        .iter()
        .map(|&tolerance| within(tolerance, structure, template, &touching));
    let candidates = candidates.chain([listed].into_iter().filter(|listed| !listed.is_empty()));
    let found = candidates.map(|bonds| Matching::new(template, structure, positions, bonds));
    let matching = found
        .flatten()
        .next()
        .ok_or_else(|| MoleculeError::Connectivity {
            difference: difference(
                structure,
                &within(TOLERANCES[0], structure, template, &touching),
                template,
            ),
        })?;
    let order = matching.find()?;

    let mut result = structure.clone();
    if result.name.is_empty() {
        result.name.clone_from(&template.name);
    }
    for (atom, &image) in template.atoms.iter().zip(&order) {
        result.atoms[image].formal_charge = atom.formal_charge;
    }
    let bonds = template.bonds.iter();
    let bonds = bonds.map(|bond| Bond::new(order[bond.atoms[0]], order[bond.atoms[1]], bond.order));
    result.set_bonds(bonds.collect())?;
    result.stereo = template
        .stereo
        .clone()
        .decided()
        .relabelled(|atom| order[atom]);
    Ok(result)
}

/// A template and a structure whose graphs refinement cannot tell apart.
struct Matching<'a> {
    template: &'a Molecule,
    positions: &'a [f64],
    /// Of the template first, then of the structure, whose atoms are counted on.
    neighbours: [Vec<Vec<usize>>; 2],
    colours: [Vec<usize>; 2],
}

impl<'a> Matching<'a> {
    /// `None` if the graphs certainly differ.
    fn new(
        template: &'a Molecule,
        structure: &Molecule,
        positions: &'a [f64],
        touching: Vec<[usize; 2]>,
    ) -> Option<Self> {
        let mut bonded = Molecule::from_elements(structure.elements());
        let bonds = touching
            .into_iter()
            .map(|[a, b]| Bond::new(a, b, BondOrder::Unknown));
        bonded.set_bonds(bonds.collect()).ok()?;
        let neighbours = [template.neighbours(), bonded.neighbours()];
        let count = template.len();
        let shifted = neighbours[1]
            .iter()
            .map(|list| list.iter().map(|atom| atom + count).collect());
        let both = neighbours[0]
            .iter()
            .cloned()
            .chain(shifted)
            .collect::<Vec<_>>();
        let mut start = elements_and_degrees(template, &neighbours[0]);
        start.extend(elements_and_degrees(&bonded, &neighbours[1]));
        let mut first = refine(&both, &start);
        let second = first.split_off(count);
        let sorted = |colours: &[usize]| {
            let mut sorted = colours.to_vec();
            sorted.sort_unstable();
            sorted
        };
        (sorted(&first) == sorted(&second)).then_some(Self {
            template,
            positions,
            neighbours,
            colours: [first, second],
        })
    }

    /// For each atom of the template its atom in the structure.
    fn find(&self) -> Result<Vec<usize>, MoleculeError> {
        let stereo = &self.template.stereo.clone().decided();
        if let Some(order) = self.search(stereo)? {
            return Ok(order);
        }
        let connectivity = || MoleculeError::Connectivity {
            difference: "the same kinds of atoms are joined otherwise (rings of other sizes)"
                .to_owned(),
        };
        if stereo.is_empty() {
            return Err(connectivity());
        }
        let plain = self.search(&Stereo::default())?.ok_or_else(connectivity)?;
        if !stereo.centers.is_empty() && self.search(&stereo.clone().mirrored())?.is_some() {
            return Err(MoleculeError::Enantiomer {
                centers: stereo.centers.len(),
            });
        }
        Err(MoleculeError::Stereo {
            difference: self.wrong_stereo(&plain),
        })
    }

    /// The first isomorphism whose coordinates show `stereo`.
    fn search(&self, stereo: &Stereo) -> Result<Option<Vec<usize>>, MoleculeError> {
        let [template, structure] = [0, 1].map(|side| Graph {
            neighbours: &self.neighbours[side],
            colours: &self.colours[side],
        });
        // For each atom of the template the centres and double bonds that its place decides.
        let mut centers = vec![Vec::new(); self.template.len()];
        for center in &stereo.centers {
            for &atom in center.neighbours.iter().chain([&center.atom]) {
                centers[atom].push(center);
            }
        }
        let mut bonds = vec![Vec::new(); self.template.len()];
        for bond in &stereo.double_bonds {
            for &atom in bond.substituents.iter().chain(&bond.atoms) {
                bonds[atom].push(bond);
            }
        }
        let accept = |atom: usize, image: usize, images: &[usize]| {
            let placed = Placed {
                matching: self,
                images,
                atom,
                image,
            };
            let center = |&center: &&StereoCenter| {
                let found = placed.center(center);
                found.is_none_or(|found| found == center.chirality)
            };
            let bond = |&bond: &&StereoBond| {
                let found = placed.double_bond(bond);
                found.is_none_or(|found| found == bond.arrangement)
            };
            centers[atom].iter().all(center) && bonds[atom].iter().all(bond)
        };
        let mut search = Search::new(template, structure, None, STEPS).accepting(&accept);
        match search.next() {
            None if search.gave_up() => Err(MoleculeError::Unfinished { steps: STEPS }),
            found => Ok(found),
        }
    }

    /// The centres and double bonds that differ under one matching, for a person.
    fn wrong_stereo(&self, order: &[usize]) -> String {
        let wanted = self.template.stereo.clone().decided();
        let wanted = wanted.relabelled(|atom| order[atom]);
        let mut shown = wanted.clone();
        measure(&mut shown, self.positions);
        let centers = wanted.centers.iter().zip(&shown.centers);
        let centers = centers.filter(|(wanted, shown)| wanted != shown);
        let centers = centers.map(|(center, _)| format!("centre {}", center.atom + 1));
        let bonds = wanted.double_bonds.iter().zip(&shown.double_bonds);
        let bonds = bonds.filter(|(wanted, shown)| wanted != shown);
        let bonds = bonds
            .map(|(bond, _)| format!("double bond {}={}", bond.atoms[0] + 1, bond.atoms[1] + 1));
        let all = centers.chain(bonds).collect::<Vec<_>>();
        format!("{} of the structure differ", all.join(", "))
    }
}

/// Atoms of the template placed in the structure so far, and one more.
struct Placed<'a> {
    matching: &'a Matching<'a>,
    images: &'a [usize],
    atom: usize,
    image: usize,
}

impl Placed<'_> {
    fn image(&self, atom: usize) -> Option<usize> {
        if atom == self.atom {
            return Some(self.image);
        }
        Some(self.images[atom]).filter(|&image| image != NOWHERE)
    }

    /// Where a neighbour of `middle` is or, not yet placed, must go: there is but one atom of its colour left.
    fn neighbour(&self, middle: usize, atom: usize) -> Option<usize> {
        self.image(atom).or_else(|| {
            let [template, structure] = &self.matching.neighbours;
            let [colours, images] = &self.matching.colours;
            let taken = template[middle]
                .iter()
                .filter_map(|&other| self.image(other));
            let taken = taken.collect::<Vec<_>>();
            let around = structure[self.image(middle)?].iter().copied();
            let mut free =
                around.filter(|other| images[*other] == colours[atom] && !taken.contains(other));
            free.next().filter(|_| free.next().is_none())
        })
    }

    /// The handedness of a centre in the coordinates, once its neighbours' places are known.
    fn center(&self, center: &StereoCenter) -> Option<Chirality> {
        let neighbours = center.neighbours.iter();
        let neighbours = neighbours.map(|&atom| self.neighbour(center.atom, atom));
        let mut shown = Stereo {
            centers: vec![StereoCenter {
                atom: self.image(center.atom)?,
                neighbours: neighbours.collect::<Option<_>>()?,
                chirality: Chirality::Flat,
            }],
            ..Stereo::default()
        };
        measure(&mut shown, self.matching.positions);
        Some(shown.centers[0].chirality)
    }

    /// How a double bond lies in the coordinates, once its substituents' places are known.
    fn double_bond(&self, bond: &StereoBond) -> Option<Arrangement> {
        let substituent = |end: usize| self.neighbour(bond.atoms[end], bond.substituents[end]);
        let mut shown = Stereo {
            double_bonds: vec![StereoBond {
                atoms: [self.image(bond.atoms[0])?, self.image(bond.atoms[1])?],
                substituents: [substituent(0)?, substituent(1)?],
                arrangement: Arrangement::Undecided,
            }],
            ..Stereo::default()
        };
        measure(&mut shown, self.matching.positions);
        Some(shown.double_bonds[0].arrangement)
    }
}
