//! Molecules from SMILES texts, and start geometries for them.

#[cfg(test)]
mod tests;

use cosmolkit::{AtomId, BondStereo, EmbedParams};

use crate::stereo::distinct;
use crate::toolkit::{self, to_cosmolkit};
use crate::{
    Arrangement, Atom, Bond, BondOrder, Conformers, Element, Molecule, MoleculeError, Stereo,
    StereoBond, StereoCenter, StereoMatch, compare, stereo_of,
};

impl Molecule {
    /// Reads a SMILES text: the heavy atoms in its order, then the hydrogens, all explicit; Kekulé bond orders; the stereo that it states.
    ///
    /// # Errors
    /// A text that is no SMILES, valences that cannot be, bonds and elements beyond what [`Molecule`] has.
    pub fn from_smiles(text: &str) -> Result<Self, MoleculeError> {
        let refuse = |error: &dyn std::fmt::Display| MoleculeError::Smiles {
            text: text.to_owned(),
            reason: error.to_string(),
        };
        let parsed = cosmolkit::Molecule::from_smiles(text).map_err(|error| refuse(&error))?;
        let parsed = parsed.with_hydrogens().map_err(|error| refuse(&error))?;
        let kekulized = parsed
            .with_kekulized_bonds()
            .map_err(|error| refuse(&error))?;

        let mut atoms = Vec::with_capacity(parsed.num_atoms());
        for (index, atom) in kekulized.topology().atoms.iter().enumerate() {
            let element = Element::from_number(atom.atomic_number())
                .ok_or_else(|| refuse(&format!("atom {} is of no element", index + 1)))?;
            atoms.push(Atom {
                formal_charge: atom.formal_charge().into(),
                ..Atom::new(element)
            });
        }
        let mut bonds = Vec::with_capacity(kekulized.num_bonds());
        for bond in kekulized.bonds() {
            let order = match bond.order() {
                cosmolkit::BondOrder::Single => BondOrder::Single,
                cosmolkit::BondOrder::Double => BondOrder::Double,
                cosmolkit::BondOrder::Triple => BondOrder::Triple,
                cosmolkit::BondOrder::Aromatic => BondOrder::Aromatic,
                other => {
                    return Err(refuse(&format!(
                        "bonds of the kind {other:?} are not supported"
                    )));
                }
            };
            bonds.push(Bond::new(bond.begin().index(), bond.end().index(), order));
        }
        let mut molecule = Self::new("", atoms, bonds, vec![])?;
        molecule.stereo = stated_stereo(&molecule, &parsed).map_err(|reason| refuse(&reason))?;
        Ok(molecule)
    }
}

/// The stereo that cosmolkit read, in our terms: neighbours and substituents chosen by class where classes differ.
fn stated_stereo(molecule: &Molecule, parsed: &cosmolkit::Molecule) -> Result<Stereo, String> {
    let possible = distinct(molecule);
    let mut stated = Stereo::default();
    for mut center in toolkit::tagged_centers(parsed) {
        let atom = center.atom;
        if !(3..=4).contains(&center.neighbours.len()) {
            return Err(format!(
                "atom {} with {} neighbours is no tetrahedral centre",
                atom + 1,
                center.neighbours.len()
            ));
        }
        if let Some(ours) = possible.centers.iter().find(|ours| ours.atom == atom)
            && let Some(chirality) = center.chirality_for(&ours.neighbours)
        {
            center = StereoCenter {
                chirality,
                ..ours.clone()
            };
        }
        stated.centers.push(center);
    }
    for bond in parsed.bonds() {
        let arrangement = match bond.stereo() {
            BondStereo::Cis | BondStereo::Z => Arrangement::Cis,
            BondStereo::Trans | BondStereo::E => Arrangement::Trans,
            _ => continue,
        };
        let Some(substituents) = bond.stereo_atoms() else {
            continue;
        };
        let mut found = StereoBond {
            atoms: [bond.begin().index(), bond.end().index()],
            substituents: substituents.map(AtomId::index),
            arrangement,
        };
        if found.atoms[0] > found.atoms[1] {
            found.atoms.reverse();
            found.substituents.reverse();
        }
        if let Some(ours) = possible
            .double_bonds
            .iter()
            .find(|ours| ours.atoms == found.atoms)
        {
            let exchanged = (0..2).filter(|&end| ours.substituents[end] != found.substituents[end]);
            if exchanged.count() == 1 {
                found.arrangement = found.arrangement.exchanged();
            }
            found.substituents = ours.substituents;
        }
        stated.double_bonds.push(found);
    }
    Ok(stated.relabelled(|atom| atom))
}

/// Start geometries by distance geometry with torsion preferences (ETKDGv3: Wang et al., 2020), in Å, centred.
///
/// They have the stereo that `molecule` states, and are a function of `molecule`, `seed` and `count`. They are no Boltzmann sample.
///
/// # Errors
/// Unknown bond orders, nonsensical chemistry, and fewer than `count` geometries found within cosmolkit's number of attempts.
pub fn embed(molecule: &Molecule, seed: u64, count: usize) -> Result<Conformers, MoleculeError> {
    let failed = |found: usize, reason: String| MoleculeError::Embedding {
        name: molecule.name.clone(),
        found,
        wanted: count,
        reason,
    };
    if molecule.is_empty() {
        return Err(failed(0, "there are no atoms".to_owned()));
    }
    let mut params = EmbedParams::etkdg_v3();
    params.random_seed = (seed % (1 << 30)) as i32;
    params.num_threads = 1;
    params.prune_rms_thresh = -1.0;
    params.clear_conformers = true;
    let wanted = u32::try_from(count).map_err(|_| failed(0, "too many are wanted".to_owned()))?;
    let mut conformers = Conformers::empty(molecule.len(), 3);
    if count == 0 {
        return Ok(conformers);
    }
    let embedded = to_cosmolkit(molecule, None)?
        .with_3d_conformers_with_params(wanted, &params)
        .map_err(|error| failed(0, error.to_string()))?;
    for conformer in embedded.conformers_3d() {
        let positions = conformer.coordinates().concat();
        let found = stereo_of(molecule, &positions)?;
        if compare(&molecule.stereo, &found) == StereoMatch::Same {
            conformers.push(&positions);
        }
    }
    if conformers.len() < count {
        return Err(failed(
            conformers.len(),
            "distance geometry gave up".to_owned(),
        ));
    }
    conformers.center();
    Ok(conformers)
}
