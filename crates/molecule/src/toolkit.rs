//! The border to cosmolkit: the only place where its types are made.

use cosmolkit::{AtomId, AtomSpec, BondSpec, BondStereo, ChiralTag, MoleculeBuilder};

use crate::{Arrangement, BondOrder, Chirality, Molecule, MoleculeError, StereoBond, StereoCenter};

/// The same molecule as cosmolkit has it, atoms in the same order: sanitised, aromaticity perceived, with the stereo that `molecule`
/// states and, where `positions` (Å, `3 · atoms`) are given, with one conformer.
///
/// All hydrogens must be there: none are added, and what is missing in an atom's valence counts as unpaired electrons.
///
/// # Errors
/// A bond of unknown order, a formal charge beyond ±127, positions of another number or not finite, and what makes no
/// chemical sense (five-bonded carbon, an aromatic ring without a Kekulé structure).
pub fn to_cosmolkit(
    molecule: &Molecule,
    positions: Option<&[f64]>,
) -> Result<cosmolkit::Molecule, MoleculeError> {
    let nonsense = |error: &dyn std::fmt::Display| MoleculeError::Chemistry {
        name: molecule.name.clone(),
        reason: error.to_string(),
    };
    let mut aromatic = vec![false; molecule.len()];
    for bond in molecule
        .bonds
        .iter()
        .filter(|bond| bond.order == BondOrder::Aromatic)
    {
        for &atom in &bond.atoms {
            aromatic[atom] = true;
        }
    }
    let mut tags = vec![ChiralTag::Unspecified; molecule.len()];
    let neighbours = molecule.neighbours();
    for center in &molecule.stereo.centers {
        // Bonds come in order of their atoms, so that an atom's neighbours ascend; a tag refers to this order.
        tags[center.atom] = match center.chirality_for(&neighbours[center.atom]) {
            Some(Chirality::Positive) => ChiralTag::TetrahedralCcw,
            Some(Chirality::Negative) => ChiralTag::TetrahedralCw,
            Some(Chirality::Flat) | None => ChiralTag::Unspecified,
        };
    }
    let mut builder = MoleculeBuilder::new().with_name(molecule.name.clone());
    for (index, atom) in molecule.atoms.iter().enumerate() {
        let element = cosmolkit::Element::from_atomic_number(atom.element.number())
            .ok_or_else(|| nonsense(&format!("cosmolkit does not know {}", atom.element)))?;
        let charge = i8::try_from(atom.formal_charge).map_err(|_| MoleculeError::Charge {
            atom: index,
            element: atom.element,
            charge: atom.formal_charge,
        })?;
        builder.add_atom(
            AtomSpec::new(element)
                .with_formal_charge(charge)
                .with_aromatic(aromatic[index])
                .with_chiral_tag(tags[index])
                .with_no_implicit(true),
        );
    }
    for bond in &molecule.bonds {
        let [a, b] = bond.atoms.map(AtomId::new);
        let order = match bond.order {
            BondOrder::Single => cosmolkit::BondOrder::Single,
            BondOrder::Double => cosmolkit::BondOrder::Double,
            BondOrder::Triple => cosmolkit::BondOrder::Triple,
            BondOrder::Aromatic => cosmolkit::BondOrder::Aromatic,
            BondOrder::Unknown => return Err(MoleculeError::UnknownOrder { atoms: bond.atoms }),
        };
        let spec = BondSpec::new(a, b, order).with_aromatic(bond.order == BondOrder::Aromatic);
        let stereo = molecule
            .stereo
            .double_bonds
            .iter()
            .find(|stereo| stereo.atoms == bond.atoms);
        let spec = match stereo {
            Some(stereo) => arranged(spec, stereo),
            None => spec,
        };
        builder.add_bond(spec).map_err(|error| nonsense(&error))?;
    }
    if let Some(positions) = positions {
        molecule.check_positions(positions)?;
        let rows = positions
            .chunks_exact(3)
            .map(|row| [row[0], row[1], row[2]])
            .collect();
        builder
            .add_3d_conformer(rows)
            .map_err(|error| nonsense(&error))?;
    }
    let built = builder.build().map_err(|error| nonsense(&error))?;
    built.sanitize().map_err(|error| nonsense(&error))
}

fn arranged(spec: BondSpec, stereo: &StereoBond) -> BondSpec {
    let arrangement = match stereo.arrangement {
        Arrangement::Cis => BondStereo::Cis,
        Arrangement::Trans => BondStereo::Trans,
        Arrangement::Undecided => return spec,
    };
    let [a, b] = stereo.substituents.map(AtomId::new);
    spec.with_stereo_atoms(a, b).with_stereo(arrangement)
}

/// The tetrahedral centres that are tagged, in terms of the neighbours of each in the order of its bonds.
///
/// Read off the tags themselves: seen from the first neighbour, the others turn counter-clockwise or clockwise. (The ligand orders of
/// `Molecule::tetrahedral_stereo` are of the wrong sign at some ring atoms once hydrogens have been added, in version 0.6.1.)
pub(crate) fn tagged_centers(molecule: &cosmolkit::Molecule) -> Vec<StereoCenter> {
    let atoms = molecule.topology().atoms.iter().enumerate();
    let center = |(atom, tagged): (usize, &cosmolkit::Atom)| {
        let chirality = match tagged.chiral_tag() {
            ChiralTag::TetrahedralCcw => Chirality::Positive,
            ChiralTag::TetrahedralCw => Chirality::Negative,
            _ => return None,
        };
        let bonds = molecule.bonds().iter();
        let ends = bonds.map(|bond| [bond.begin().index(), bond.end().index()]);
        let neighbours = ends.filter_map(|[a, b]| match atom {
            _ if atom == a => Some(b),
            _ if atom == b => Some(a),
            _ => None,
        });
        Some(StereoCenter {
            atom,
            neighbours: neighbours.collect(),
            chirality,
        })
    };
    atoms.filter_map(center).collect()
}
