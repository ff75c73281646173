//! The border to cosmolkit: the only place where its types are made.

use cosmolkit::{AtomId, AtomSpec, BondSpec, BondStereo, ChiralTag, LigandRef, MoleculeBuilder};

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
    let plain = build(molecule, positions, |_| false)?;
    if molecule.stereo.centers.is_empty() {
        return Ok(plain);
    }
    // A tag's meaning depends on the order of bonds: those that come out the wrong way round are turned.
    let found = plain
        .tetrahedral_stereo(false)
        .map_err(|error| nonsense(&error))?;
    let wrong = |center: &StereoCenter| {
        let tagged = found
            .iter()
            .find(|stereo| stereo.center.index() == center.atom);
        let chirality = tagged
            .and_then(|stereo| stereo.ligands)
            .and_then(|ligands| chirality(ligands, &center.neighbours));
        chirality.is_some_and(|chirality| chirality != center.chirality)
    };
    build(molecule, positions, wrong)
}

fn build(
    molecule: &Molecule,
    positions: Option<&[f64]>,
    turned: impl Fn(&StereoCenter) -> bool,
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
        bond.atoms.iter().for_each(|&atom| aromatic[atom] = true);
    }
    let mut tags = vec![ChiralTag::Unspecified; molecule.len()];
    for center in &molecule.stereo.centers {
        tags[center.atom] = match (center.chirality, turned(center)) {
            (Chirality::Flat, _) => ChiralTag::Unspecified,
            (_, false) => ChiralTag::TetrahedralCcw,
            (_, true) => ChiralTag::TetrahedralCw,
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

/// The handedness of a centre whose ligands cosmolkit orders so that, seen from the first, the others turn counter-clockwise:
/// the sign for its neighbours in *our* order. `None` if these are other neighbours.
pub(crate) fn chirality(ligands: [LigandRef; 4], neighbours: &[usize]) -> Option<Chirality> {
    // A lone pair takes the place after the neighbours; the triple product then has the same sign as with d the centre.
    let place = |ligand: LigandRef| match ligand {
        LigandRef::Atom(atom) => neighbours
            .iter()
            .position(|&neighbour| neighbour == atom.index()),
        LigandRef::LonePair => Some(3),
        LigandRef::ImplicitHydrogen => None,
    };
    let mut places = [0; 4];
    for (slot, ligand) in places.iter_mut().zip(ligands) {
        *slot = place(ligand)?;
    }
    let mut odd = false;
    for i in 0..4 {
        for j in i + 1..4 {
            odd ^= places[i] > places[j];
        }
    }
    Some(if odd {
        Chirality::Negative
    } else {
        Chirality::Positive
    })
}
