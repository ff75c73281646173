//! What is sampled: an energy at a temperature, and the molecule behind it.

use std::collections::BTreeMap;

use boltzflow_energy::{
    AmberEnergy, Energy, EnergyError, Implicit, Masses, Mmff, MmffError, Prmtop, PrmtopError,
    StructureError, Target, Units, Variant, energies,
};
use boltzflow_molecule::{
    Conformers, Molecule, MoleculeError, Reflections, Stereo, StereoMatch, compare, geometry,
    measure, stereo_of,
};

use crate::config::Alike;
use crate::features::Features;
use crate::model::{Drawn, Mirror};
use crate::pairing::Symmetry;
use crate::relabelling::{self, Labels, leaders};
use crate::torsion::{Torsion, torsions};
use crate::weights::{StatisticsError, Weights};

/// An energy at a temperature.
pub struct System {
    /// The energy.
    pub energy: Box<dyn Energy + Send + Sync>,
    /// In words, part of every fingerprint.
    pub name: String,
    /// K for molecules, `kT` for toys.
    pub temperature: f64,
    /// The molecule and its reference geometry; none for a toy.
    pub molecule: Option<Reference>,
    /// Where simulations start.
    pub start: Conformers,
}

/// A molecule and the stereochemistry that its samples must have.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The molecule.
    pub molecule: Molecule,
    /// As measured in the input's geometry.
    pub stereo: Stereo,
}

/// Why a system cannot be set up or weighted.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// The force field.
    #[error(transparent)]
    Mmff(#[from] MmffError),
    /// The topology file.
    #[error(transparent)]
    Prmtop(#[from] PrmtopError),
    /// The structure does not fit the topology.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// The molecule.
    #[error(transparent)]
    Molecule(#[from] MoleculeError),
    /// An energy.
    #[error(transparent)]
    Energy(#[from] EnergyError),
    /// The weights.
    #[error(transparent)]
    Weights(#[from] StatisticsError),
    /// A temperature out of range.
    #[error("the temperature is {found}, but must be above 0 and finite")]
    Temperature {
        /// What was given.
        found: f64,
    },
    /// No bonds to work with.
    #[error(
        "{name:?} has {atoms} atoms and no bonds; give --smiles TEXT or --template FILE.sdf, because bonds are not guessed from coordinates"
    )]
    NoBonds {
        /// Its name.
        name: String,
        /// Its atoms.
        atoms: usize,
    },
    /// More than one piece.
    #[error(
        "the bonds of {name:?} leave its {atoms} atoms in {parts} pieces; one connected molecule is needed"
    )]
    Disconnected {
        /// Its name.
        name: String,
        /// Its atoms.
        atoms: usize,
        /// Its pieces.
        parts: usize,
    },
}

/// Weighted configurations; every sample that came in is here, in order.
#[derive(Clone, Debug)]
pub struct Ensemble {
    /// Configurations; reflected where the mirror image is the right molecule.
    pub conformers: Conformers,
    /// `log q`, with `ln 2` added where reflections are folded.
    pub log_q: Vec<f64>,
    /// Potential energies; not a number where a configuration has none.
    pub energies: Vec<f64>,
    /// The weights.
    pub weights: Weights,
    /// How many samples have weight 0, by reason.
    pub zero: BTreeMap<String, usize>,
    /// How many were reflected.
    pub reflected: usize,
}

/// What is known of a sample before its energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// It is one of the molecule.
    Right,
    /// It is of another stereoisomer, and so is its mirror image.
    WrongStereo,
    /// The flow did not come to finite numbers.
    NotFinite,
}

impl System {
    /// A toy at `kT`.
    pub fn toy(target: Target, kt: f64) -> Result<Self, SystemError> {
        let start = Conformers::new(target.points(), target.dims(), target.start());
        let name = format!("{target} kt={kt:?}");
        Ok(Self {
            energy: Box::new(target),
            name,
            temperature: checked(kt)?,
            molecule: None,
            start,
        })
    }

    /// A molecule under MMFF94(s) at a temperature.
    pub fn mmff(
        molecule: Molecule,
        start: Conformers,
        variant: Variant,
        temperature: f64,
    ) -> Result<Self, SystemError> {
        check_bonds(&molecule)?;
        let energy = Mmff::new(&molecule, start.get(0), variant)?;
        let name = format!("{variant:?} {} T={temperature:?} K", molecule.formula());
        Self::molecular(Box::new(energy), name, molecule, start, temperature)
    }

    /// A molecule under an AMBER topology, which also gives its bonds, at a temperature.
    ///
    /// Bond orders, formal charges and stereo are those of `structure`, where it has any: a topology knows none of them.
    pub fn amber(
        prmtop: &Prmtop,
        implicit: Implicit,
        structure: &Molecule,
        start: Conformers,
        temperature: f64,
    ) -> Result<Self, SystemError> {
        let differences = prmtop.check_structure(structure)?;
        if let Some(first) = differences.first() {
            log::warn!(
                "{} atoms have other names in the structure than in the topology, so that only elements and bond lengths tell whether their order is the same: {first}",
                differences.len()
            );
        }
        let molecule = prmtop.molecule_like(structure)?;
        check_bonds(&molecule)?;
        prmtop.check_bond_lengths(start.get(0))?;
        let energy = AmberEnergy::new(prmtop, implicit)?;
        // Without formal charges: what a template says of them does not make another system.
        let formula = prmtop.molecule().formula();
        let name = format!("AMBER {implicit:?} {formula} T={temperature:?} K");
        Self::molecular(Box::new(energy), name, molecule, start, temperature)
    }

    fn molecular(
        energy: Box<dyn Energy + Send + Sync>,
        name: String,
        molecule: Molecule,
        start: Conformers,
        temperature: f64,
    ) -> Result<Self, SystemError> {
        let stereo = stereo_of(&molecule, start.get(0))?;
        let molecule = Some(Reference { molecule, stereo });
        Ok(Self {
            energy,
            name,
            temperature: checked(temperature)?,
            molecule,
            start,
        })
    }

    /// `kT` in the energy's unit.
    pub fn kt(&self) -> f64 {
        self.energy.units().kt(self.temperature)
    }

    /// Masses of the points: atomic for molecules, 1 for toys.
    pub fn masses(&self) -> Masses {
        match &self.molecule {
            Some(reference) => Masses::new(&reference.molecule.masses(), self.energy.dims()),
            None => Masses::unit(self.energy.points(), self.energy.dims()),
        }
    }

    /// What a network is told of it.
    pub fn features(&self, alike: Alike) -> Features {
        let Some(Reference { molecule, .. }) = &self.molecule else {
            return Features::cluster(self.energy.points(), self.energy.dims());
        };
        let leaders = leaders(molecule, alike);
        let mut first: Vec<usize> = leaders.clone();
        first.sort_unstable();
        first.dedup();
        let class = |leader: &usize| first.binary_search(leader).unwrap_or(0);
        Features {
            points: molecule.len(),
            dims: 3,
            elements: molecule
                .elements()
                .map(boltzflow_molecule::Element::number)
                .collect(),
            bonds: molecule.bonds.iter().map(|bond| bond.atoms).collect(),
            classes: leaders.iter().map(class).collect(),
        }
    }

    /// Which points it has: enough to tell whether a file holds configurations of it.
    pub fn points(&self) -> Features {
        self.features(Alike::None)
    }

    /// Which relabellings of atoms that are alike leave it unchanged.
    pub fn symmetry(&self, alike: Alike) -> Symmetry {
        match &self.molecule {
            None => Symmetry::Any,
            Some(reference) => relabelling::symmetry(reference, alike),
        }
    }

    /// How many relabellings the density of a flow counts to which these atoms are alike; `None` where there are too many of them.
    pub fn labels(&self, alike: Alike) -> Option<Labels> {
        match &self.molecule {
            None => Some(Labels::of_cluster(self.energy.points())),
            Some(reference) => Labels::of(reference, alike),
        }
    }

    /// The same where it holds for every flow: of a toy, and of a molecule that has one labelling.
    pub(crate) fn labels_of_any_flow(&self) -> Option<Labels> {
        self.labels(Alike::None).filter(Labels::are_all)
    }

    /// Whether samples of one mirror image only are wanted.
    pub fn is_chiral(&self) -> bool {
        self.molecule
            .as_ref()
            .is_some_and(|reference| !reference.stereo.centers.is_empty())
    }

    /// What folding mirror images adds to the flow's `log q` of a sample of the right stereochemistry: `ln 2` for a chiral molecule of which the
    /// flow makes both, else 0.
    pub fn log_fold(&self, mirror: Mirror) -> f64 {
        if self.is_chiral() && mirror == Mirror::Both {
            std::f64::consts::LN_2
        } else {
            0.0
        }
    }

    /// Whether data may be reflected when they are paired with the noise of a flow that makes these mirror images.
    pub fn reflections(&self, mirror: Mirror) -> Reflections {
        if self.is_chiral() || mirror == Mirror::One {
            Reflections::Excluded
        } else {
            Reflections::Allowed
        }
    }

    /// Whether a configuration has the right stereochemistry; always so for a toy.
    pub fn has_right_stereo(&self, positions: &[f64]) -> bool {
        self.stereo_match(positions) == StereoMatch::Same
    }

    fn stereo_match(&self, positions: &[f64]) -> StereoMatch {
        let Some(Reference { stereo, .. }) = &self.molecule else {
            return StereoMatch::Same;
        };
        if stereo.is_empty() {
            return StereoMatch::Same;
        }
        // The reference knows what is stereogenic; finding that anew for each sample costs far more than measuring it.
        let mut found = stereo.clone();
        measure(&mut found, positions);
        compare(stereo, &found)
    }

    /// The torsions whose populations are reported; none for a toy.
    pub fn torsions(&self) -> Vec<Torsion> {
        self.molecule
            .as_ref()
            .map_or_else(Vec::new, |reference| torsions(&reference.molecule))
    }

    /// Gives every sample its weight `e^{−U/kT}/q`.
    ///
    /// A flow with reflection-invariant density proposes both mirror images of a chiral molecule. A sample whose mirror image is right is
    /// reflected, and every right sample has `log q + ln 2`: the density of the folded flow. One that makes one of them is left as it is. The rest
    /// keep their place with weight 0, and so do samples for which the flow did not come to finite numbers.
    pub fn reweight(&self, drawn: &Drawn, mirror: Mirror) -> Result<Ensemble, SystemError> {
        let (points, dims) = (self.energy.points(), self.energy.dims());
        let mut conformers = Conformers::new(points, dims, drawn.positions.clone());
        let mut log_q = drawn.log_q();
        let mut reflected = 0;
        let mut findings = Vec::with_capacity(conformers.len());
        for (index, log_q) in log_q.iter_mut().enumerate() {
            let x = conformers.get_mut(index);
            let is_finite = log_q.is_finite() && x.iter().all(|x| x.is_finite());
            let matched = is_finite.then(|| self.stereo_match(x));
            let folds = matched == Some(StereoMatch::Mirror) && mirror == Mirror::Both;
            if folds {
                geometry::mirror(x);
                reflected += 1;
            }
            findings.push(match matched {
                None => Finding::NotFinite,
                Some(StereoMatch::Same) => Finding::Right,
                Some(StereoMatch::Mirror) if folds => Finding::Right,
                Some(StereoMatch::Mirror | StereoMatch::Other) => Finding::WrongStereo,
            });
            if findings.last() == Some(&Finding::Right) {
                *log_q += self.log_fold(mirror);
            }
        }
        let energies = self.finite_energies(&conformers, &findings)?;
        let mut zero = BTreeMap::new();
        let kt = self.kt();
        let log_weights = findings.iter().zip(&energies).zip(&log_q);
        let log_weights = log_weights.map(|((finding, energy), log_q)| {
            let reason = match finding {
                Finding::Right if energy.is_finite() => return -energy / kt - log_q,
                Finding::Right => "energy not finite",
                Finding::WrongStereo => "wrong stereochemistry",
                Finding::NotFinite => "flow not finite",
            };
            *zero.entry(reason.to_owned()).or_insert(0) += 1;
            f64::NEG_INFINITY
        });
        let weights = Weights::from_log(log_weights.collect())?;
        Ok(Ensemble {
            conformers,
            log_q,
            energies,
            weights,
            zero,
            reflected,
        })
    }

    /// The energy of each configuration, not a number where it has none; those that are not finite themselves are not looked at.
    fn finite_energies(
        &self,
        conformers: &Conformers,
        findings: &[Finding],
    ) -> Result<Vec<f64>, SystemError> {
        let is_finite = |index: &usize| findings[*index] != Finding::NotFinite;
        let finite: Vec<usize> = (0..conformers.len()).filter(is_finite).collect();
        let outcomes = if finite.len() == conformers.len() {
            energies(&*self.energy, conformers)?
        } else {
            energies(&*self.energy, &conformers.select(&finite))?
        };
        let mut found = vec![f64::NAN; conformers.len()];
        for (index, outcome) in finite.into_iter().zip(outcomes) {
            match outcome {
                Ok(energy) => found[index] = energy,
                Err(EnergyError::NotFinite { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// What its numbers are measured in.
    pub fn units(&self) -> Units {
        self.energy.units()
    }
}

/// Refuses what is not one bonded molecule.
fn check_bonds(molecule: &Molecule) -> Result<(), SystemError> {
    let (name, atoms) = (molecule.name.clone(), molecule.len());
    if molecule.bonds.is_empty() && atoms > 1 {
        return Err(SystemError::NoBonds { name, atoms });
    }
    if !molecule.is_connected() {
        return Err(SystemError::Disconnected {
            name,
            atoms,
            parts: molecule.components().len(),
        });
    }
    Ok(())
}

fn checked(temperature: f64) -> Result<f64, SystemError> {
    if temperature > 0.0 && temperature.is_finite() {
        Ok(temperature)
    } else {
        Err(SystemError::Temperature { found: temperature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boltzflow_molecule::embed;

    fn alanine() -> (System, Conformers) {
        let molecule = Molecule::from_smiles("CC(=O)N[C@@H](C)C(=O)NC").unwrap();
        let conformers = embed(&molecule, 1, 40).unwrap();
        let start = conformers.select(&[0]);
        let system = System::mmff(molecule, start, Variant::Mmff94s, 300.0).unwrap();
        (system, conformers)
    }

    /// `log q = −U/kT − ln Z − ln 2`: the target and its mirror image, half each.
    fn symmetric(system: &System, conformers: &Conformers, log_z: f64) -> Drawn {
        let kt = system.kt();
        let energies = energies(&*system.energy, conformers).unwrap();
        let log_q = |energy: Result<f64, EnergyError>| {
            -energy.unwrap() / kt - log_z - std::f64::consts::LN_2
        };
        Drawn {
            positions: conformers.positions().to_vec(),
            latents: Vec::new(),
            log_prior: energies.into_iter().map(log_q).collect(),
            log_det: vec![0.0; conformers.len()],
        }
    }

    #[test]
    fn a_density_of_both_mirror_images_gives_equal_weights() {
        let (system, mut conformers) = alanine();
        for index in (0..conformers.len()).step_by(3) {
            geometry::mirror(conformers.get_mut(index));
        }
        let found = system
            .reweight(&symmetric(&system, &conformers, 12.5), Mirror::Both)
            .unwrap();
        assert_eq!((found.reflected, found.zero.len()), (14, 0));
        for log_weight in found.weights.log_weights() {
            assert!((log_weight - 12.5).abs() < 1e-9, "{log_weight}");
        }
        assert!(found.conformers.iter().all(|x| system.has_right_stereo(x)));
    }

    #[test]
    fn a_molecule_without_stereo_elements_is_not_folded() {
        let molecule = Molecule::from_smiles("CCCC").unwrap();
        let conformers = embed(&molecule, 1, 10).unwrap();
        let start = conformers.select(&[0]);
        let system = System::mmff(molecule, start, Variant::Mmff94s, 300.0).unwrap();
        let drawn = symmetric(&system, &conformers, 3.0);
        let found = system.reweight(&drawn, Mirror::Both).unwrap();
        assert_eq!((found.reflected, &found.log_q), (0, &drawn.log_q()));
    }

    #[test]
    fn samples_that_no_reflection_makes_right_stay_with_weight_zero() {
        // One of two centres turned round: a diastereomer.
        let text = ["C[C@H](O)[C@@H](O)CC", "C[C@@H](O)[C@@H](O)CC"];
        let [molecule, other] = text.map(|text| Molecule::from_smiles(text).unwrap());
        let mut conformers = embed(&molecule, 1, 6).unwrap();
        for x in &embed(&other, 2, 4).unwrap() {
            conformers.push(x);
        }
        let start = conformers.select(&[0]);
        let system = System::mmff(molecule, start, Variant::Mmff94s, 300.0).unwrap();
        let found = system
            .reweight(&symmetric(&system, &conformers, 0.0), Mirror::Both)
            .unwrap();
        assert_eq!(found.weights.len(), conformers.len());
        assert_eq!(found.zero, [("wrong stereochemistry".to_owned(), 4)].into());
        assert_eq!(found.weights.zeros(), 4);
    }

    #[test]
    fn samples_that_ran_off_stay_with_weight_zero() {
        let (system, conformers) = alanine();
        let mut drawn = symmetric(&system, &conformers, 2.0);
        let size = conformers.size();
        drawn.positions[3 * size + 4] = f64::NAN;
        drawn.positions[7 * size] = f64::INFINITY;
        drawn.log_det[11] = f64::NAN;
        drawn.log_prior[12] = f64::NEG_INFINITY;
        let found = system.reweight(&drawn, Mirror::Both).unwrap();
        assert_eq!(found.zero, [("flow not finite".to_owned(), 4)].into());
        for (index, log_weight) in found.weights.log_weights().iter().enumerate() {
            if [3, 7, 11, 12].contains(&index) {
                assert_eq!(*log_weight, f64::NEG_INFINITY);
                assert!(found.energies[index].is_nan());
            } else {
                assert!((log_weight - 2.0).abs() < 1e-9, "{log_weight}");
            }
        }
    }

    #[test]
    fn measuring_what_the_reference_has_is_finding_it_anew() {
        let (system, mut conformers) = alanine();
        geometry::mirror(conformers.get_mut(5));
        let reference = system.molecule.as_ref().unwrap();
        for x in &conformers {
            let anew = stereo_of(&reference.molecule, x).unwrap();
            assert_eq!(system.stereo_match(x), compare(&reference.stereo, &anew));
        }
    }
}
