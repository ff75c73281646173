//! Bonds for a structure from a template: the two are matched as graphs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::classes::{elements_and_degrees, refine};
use crate::geometry::distance;
use crate::search::{Graph, NOWHERE, Search};
use crate::stereo::measure;
use crate::{
    Arrangement, Bond, BondOrder, Chirality, Element, Molecule, MoleculeError, Stereo, StereoBond,
    StereoCenter,
};

/// How much longer than the sum of covalent radii a bond may be, in Å: the smaller ones where the larger find too many bonds, across a
/// four-membered ring, say.
const TOLERANCES: [f64; 4] = [0.45, 0.35, 0.25, 0.15];
/// How many placements of atoms a matching may take.
const STEPS: usize = 2_000_000;

/// Gives `structure`, whose atoms lie at `positions` (Å, flat), the bonds, charges and stereo of `template`.
///
/// Which atoms of the structure are joined is read off their distances: less than the sum of covalent radii + 0.45 Å (where that does not
/// match, down to 0.15 Å), only pairs of elements that the template joins, no more neighbours than such an atom has there. Where no
/// tolerance gives the template's bonds, those that the structure came with are tried. Structure and template are then matched by elements and bonds. Where the
/// template states its stereo, a matching is chosen in which the coordinates show it. The atoms keep the order, names and residues of the structure.
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

/// The pairs of atoms that may be bonded, each with what its distance exceeds the covalent radii by (Å), the smallest first; only pairs
/// of elements that the template joins.
fn contacts(
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
fn within(
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
fn difference(structure: &Molecule, touching: &[[usize; 2]], template: &Molecule) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::mirror;
    use crate::{StereoMatch, compare, embed, stereo_of};

    /// A bondless structure in another order of atoms, with its positions, from a SMILES text; nothing else of the text is kept.
    fn structure(smiles: &str, stride: usize) -> (Molecule, Vec<f64>) {
        let molecule = Molecule::from_smiles(smiles).unwrap();
        let x = embed(&molecule, 5, 1).unwrap();
        let count = molecule.len();
        let stride = (stride..count)
            .find(|stride| {
                (2..=*stride).all(|k| !stride.is_multiple_of(k) || !count.is_multiple_of(k))
            })
            .unwrap();
        let order = (0..count)
            .map(|k| (stride * k + 1) % count)
            .collect::<Vec<_>>();
        let mut bare =
            Molecule::from_elements(order.iter().map(|&atom| molecule.atoms[atom].element));
        for (atom, number) in bare.atoms.iter_mut().zip(1..) {
            atom.name = format!("X{number}");
        }
        let x = order
            .iter()
            .flat_map(|&atom| x.positions()[3 * atom..3 * atom + 3].to_vec());
        (bare, x.collect())
    }

    #[test]
    fn a_template_in_another_order_gives_its_bonds_and_the_structure_keeps_its_names() {
        for text in [
            "CCCC",
            "CC(=O)N[C@@H](C)C(=O)NC",
            "c1ccc2c(c1)cc(C(F)(F)F)cn2",
            "[NH3+][C@@H](CO)C(=O)[O-]",
            "CC(C)(C)OC(=O)C(C)(C)C",
            "C12C3C4C1C5C2C3C45",
            "C[N+](=O)[O-]",
            "C/C=C\\C=C",
            "C/C=C/C=C\\C",
            "C[C@H]1CC[C@@H](C)CC1",
            "C[C@H](F)[C@@H](Cl)[C@H](F)C",
            "COC[C@@]12C[C@@H]3C[C@@H](C[C@@](Br)(C3)C1)C2",
        ] {
            let template = Molecule::from_smiles(text).unwrap();
            let (bare, x) = structure(text, 5);
            let found = assign_bonds(&bare, &x, &template).unwrap();
            assert_eq!(found.bonds.len(), template.bonds.len());
            assert_eq!(found.atoms[3].name, "X4");
            assert_eq!(found.formal_charge(), template.formal_charge());
            assert!(
                found
                    .bonds
                    .iter()
                    .all(|bond| distance(&x, bond.atoms) < 2.0)
            );
            let shown = stereo_of(&found, &x).unwrap();
            assert_eq!(found.stereo.centers.len(), template.stereo.centers.len());
            assert_eq!(compare(&found.stereo, &shown), StereoMatch::Same, "{text}");
            let mut sorted = [&found, &template].map(crate::classes);
            for classes in &mut sorted {
                classes.sort_unstable();
            }
            assert_eq!(sorted[0], sorted[1]);
        }
    }

    #[test]
    fn other_atoms_are_refused_with_both_formulae() {
        let (bare, x) = structure("CCCC", 3);
        let template = Molecule::from_smiles("CCC").unwrap();
        assert_eq!(
            assign_bonds(&bare, &x, &template).unwrap_err(),
            MoleculeError::Formula {
                structure: "C4H10".into(),
                template: "C3H8".into()
            }
        );
    }

    #[test]
    fn another_isomer_is_refused_with_the_difference() {
        let (bare, x) = structure("CCO", 2);
        let ether = Molecule::from_smiles("COC").unwrap();
        let message = assign_bonds(&bare, &x, &ether).unwrap_err().to_string();
        assert!(
            message.contains("C–H bonds instead of 6")
                || message.contains("O–C bonds instead of 2"),
            "{message}"
        );
        let (bare, x) = structure("CCCC", 3);
        let isobutane = Molecule::from_smiles("CC(C)C").unwrap();
        let message = assign_bonds(&bare, &x, &isobutane).unwrap_err().to_string();
        assert!(message.contains("constitutional isomer"), "{message}");
    }

    #[test]
    fn a_torn_bond_is_named() {
        let (bare, mut x) = structure("CCCC", 3);
        let hydrogen = bare.hydrogens()[0];
        x[3 * hydrogen] += 8.0;
        let template = Molecule::from_smiles("CCCC").unwrap();
        let message = assign_bonds(&bare, &x, &template).unwrap_err().to_string();
        assert!(message.contains("9 C–H bonds instead of 10"), "{message}");
    }

    #[test]
    fn the_other_enantiomer_is_refused_as_such_and_a_template_without_stereo_takes_both() {
        let text = "CC(=O)N[C@@H](C)C(=O)NC";
        let template = Molecule::from_smiles(text).unwrap();
        let (bare, mut x) = structure(text, 5);
        mirror(&mut x);
        assert_eq!(
            assign_bonds(&bare, &x, &template),
            Err(MoleculeError::Enantiomer { centers: 1 })
        );
        let plain = Molecule::from_smiles("CC(=O)NC(C)C(=O)NC").unwrap();
        assert!(assign_bonds(&bare, &x, &plain).unwrap().stereo.is_empty());
    }

    #[test]
    fn another_diastereomer_is_refused_with_its_centres() {
        let template = Molecule::from_smiles("C[C@H](F)[C@@H](Cl)Br").unwrap();
        let (bare, x) = structure("C[C@H](F)[C@H](Cl)Br", 3);
        let message = assign_bonds(&bare, &x, &template).unwrap_err().to_string();
        assert!(message.contains("centre"), "{message}");
        let template = Molecule::from_smiles("C[C@H]1CC[C@@H](C)CC1").unwrap();
        let (bare, x) = structure("C[C@H]1CC[C@H](C)CC1", 3);
        assert!(matches!(
            assign_bonds(&bare, &x, &template),
            Err(MoleculeError::Stereo { .. })
        ));
        let template = Molecule::from_smiles("C/C=C/C").unwrap();
        let (bare, x) = structure("C/C=C\\C", 5);
        let message = assign_bonds(&bare, &x, &template).unwrap_err().to_string();
        assert!(message.contains("double bond"), "{message}");
    }

    #[test]
    fn a_meso_compound_is_matched_so_that_each_centre_is_right() {
        let text = "C[C@H](Cl)[C@H](Cl)C";
        let template = Molecule::from_smiles(text).unwrap();
        let [a, b] = [0, 1].map(|k| template.stereo.centers[k].chirality);
        assert_ne!(a, b, "the text is a meso compound");
        for mirrored in [false, true] {
            let (bare, mut x) = structure(text, 3);
            if mirrored {
                mirror(&mut x);
            }
            let found = assign_bonds(&bare, &x, &template).unwrap();
            let shown = stereo_of(&found, &x).unwrap();
            assert_eq!(compare(&found.stereo, &shown), StereoMatch::Same);
        }
        let chiral = Molecule::from_smiles("C[C@H](Cl)[C@@H](Cl)C").unwrap();
        let (bare, x) = structure(text, 3);
        assert!(matches!(
            assign_bonds(&bare, &x, &chiral),
            Err(MoleculeError::Stereo { .. })
        ));
    }

    #[test]
    fn ions_and_solvent_need_no_bond_between_them() {
        let template = Molecule::from_smiles("[Na+].O.O").unwrap();
        let elements = ["O", "H", "H", "Na", "O", "H", "H"]
            .map(|symbol| Element::from_symbol(symbol).unwrap());
        let x = [
            [0.0, 0.0, 0.0],
            [0.6, 0.8, 0.0],
            [0.6, -0.8, 0.0],
            [-2.3, 0.0, 0.0],
            [-4.6, 0.0, 0.0],
            [-5.2, 0.0, 0.8],
            [-5.2, 0.0, -0.8],
        ];
        let found =
            assign_bonds(&Molecule::from_elements(elements), &x.concat(), &template).unwrap();
        assert_eq!(found.atoms[3].formal_charge, 1);
        assert_eq!(found.components().len(), 3);
    }

    #[test]
    fn symmetric_molecules_are_matched_without_trying_their_permutations() {
        // 4! · 3!⁴ · 3!¹² permutations of the first, 40! · (4! · 3!⁴)⁴⁰ of the second.
        let neopentane = "CC(C)(C)C";
        for text in [
            "CC(C)(C)C(C(C)(C)C)(C(C)(C)C)C(C)(C)C".to_owned(),
            [neopentane; 40].join("."),
        ] {
            let molecule = Molecule::from_smiles(&text).unwrap();
            let bonds = molecule.bonds.iter().map(|bond| bond.atoms).collect();
            let x = vec![0.0; 3 * molecule.len()];
            let matching = Matching::new(&molecule, &molecule, &x, bonds).unwrap();
            assert!(matching.find().is_ok());
        }
    }

    #[test]
    fn empty_structures_and_bad_coordinates_do_not_panic() {
        let none = Molecule::default();
        assert_eq!(assign_bonds(&none, &[], &none), Ok(none.clone()));
        let (bare, mut x) = structure("CCO", 2);
        let template = Molecule::from_smiles("CCO").unwrap();
        assert!(assign_bonds(&bare, &x[3..], &template).is_err());
        x[7] = f64::INFINITY;
        assert_eq!(
            assign_bonds(&bare, &x, &template),
            Err(MoleculeError::NotFinite { atom: 2 })
        );
        let zeros = vec![0.0; x.len()];
        assert!(assign_bonds(&bare, &zeros, &template).is_err());
    }

    #[test]
    fn bonds_of_the_file_help_where_distances_do_not() {
        let template = Molecule::from_smiles("CCO").unwrap();
        let stretched = embed(&template, 1, 1)
            .unwrap()
            .positions()
            .iter()
            .map(|x| 3.0 * x)
            .collect::<Vec<_>>();
        let mut structure = Molecule::from_elements(template.elements());
        assert!(assign_bonds(&structure, &stretched, &template).is_err());
        structure
            .set_bonds(
                template
                    .bonds
                    .iter()
                    .map(|bond| Bond {
                        order: BondOrder::Unknown,
                        ..*bond
                    })
                    .collect(),
            )
            .unwrap();
        assert_eq!(
            assign_bonds(&structure, &stretched, &template)
                .unwrap()
                .bonds,
            template.bonds
        );
    }
}
