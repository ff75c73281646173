//! The bonds, angles and torsions of a topology file.

use super::super::{Cosine, Harmonic, OneFour, PrmtopError};
use super::Reader;

/// The largest number of barriers of a full turn that a torsion may have.
const PERIODICITY: f64 = 12.0;

impl Reader<'_> {
    /// The bonds or angles of two lists, with and without hydrogen.
    pub(super) fn harmonics<const N: usize>(
        &self,
        lists: [&'static str; 2],
        counts: [usize; 2],
        [stiffness, equilibrium]: [&'static str; 2],
        types: usize,
    ) -> Result<Vec<Harmonic<N>>, PrmtopError> {
        let stiffness = self.sections.reals(stiffness, types)?;
        let equilibrium = self.sections.reals(equilibrium, types)?;
        let mut terms = Vec::new();
        for (list, count) in lists.into_iter().zip(counts) {
            let values = self.sections.integers(list, (N + 1) * count)?;
            for (entry, value) in values.chunks_exact(N + 1).enumerate() {
                let first = entry * (N + 1);
                let mut atoms = [0; N];
                for (place, atom) in atoms.iter_mut().enumerate() {
                    *atom = self.atom(list, first + place, value[place])?;
                }
                self.distinct(list, first, &atoms)?;
                let kind = self.index(list, first + N, value[N], types)?;
                terms.push(Harmonic {
                    atoms,
                    stiffness: stiffness[kind],
                    equilibrium: equilibrium[kind],
                });
            }
        }
        Ok(terms)
    }

    /// Refuses a term that names one atom twice.
    fn distinct(
        &self,
        section: &'static str,
        index: usize,
        atoms: &[usize],
    ) -> Result<(), PrmtopError> {
        for (place, atom) in atoms.iter().enumerate() {
            if atoms[..place].contains(atom) {
                let expected = "an atom that this term does not have already";
                return Err(self.range(section, index + place, expected, 3.0 * *atom as f64));
            }
        }
        Ok(())
    }

    /// Torsions, and the 1-4 pairs at their ends.
    pub(super) fn torsions(&self) -> Result<(Vec<Cosine>, Vec<OneFour>), PrmtopError> {
        let types = self.pointers.torsion_types;
        let barriers = self.sections.reals("DIHEDRAL_FORCE_CONSTANT", types)?;
        let phases = self.sections.reals("DIHEDRAL_PHASE", types)?;
        let periodicities = self.periodicities()?;
        let coulomb = self.divisors("SCEE_SCALE_FACTOR", 1.2)?;
        let lennard_jones = self.divisors("SCNB_SCALE_FACTOR", 2.0)?;
        let (mut terms, mut one_four) = (Vec::new(), Vec::new());
        let lists = ["DIHEDRALS_INC_HYDROGEN", "DIHEDRALS_WITHOUT_HYDROGEN"];
        for (list, count) in lists.into_iter().zip(self.pointers.torsions) {
            let values = self.sections.integers(list, 5 * count)?;
            for (entry, value) in values.chunks_exact(5).enumerate() {
                let first = 5 * entry;
                // A negative third index: the ends are counted elsewhere. A negative fourth: an improper torsion.
                let mut atoms = [0; 4];
                for (place, atom) in atoms.iter_mut().enumerate() {
                    let offset = if place < 2 {
                        value[place]
                    } else {
                        value[place].saturating_abs()
                    };
                    *atom = self.atom(list, first + place, offset)?;
                }
                self.distinct(list, first, &atoms)?;
                let kind = self.index(list, first + 4, value[4], types)?;
                let [barrier, phase] = [barriers[kind], phases[kind]];
                terms.push(Cosine {
                    atoms,
                    barrier,
                    periodicity: periodicities[kind],
                    phase,
                });
                if value[2] >= 0 && value[3] >= 0 {
                    one_four.push(OneFour {
                        atoms: [atoms[0], atoms[3]],
                        coulomb_divisor: self.divisor("SCEE_SCALE_FACTOR", &coulomb, kind)?,
                        lennard_jones_divisor: self.divisor(
                            "SCNB_SCALE_FACTOR",
                            &lennard_jones,
                            kind,
                        )?,
                    });
                }
            }
        }
        Ok((terms, one_four))
    }

    /// How many barriers a full turn of each type of torsion has.
    fn periodicities(&self) -> Result<Vec<usize>, PrmtopError> {
        const SECTION: &str = "DIHEDRAL_PERIODICITY";
        let found = self.sections.reals(SECTION, self.pointers.torsion_types)?;
        for (index, &found) in found.iter().enumerate() {
            if found.fract() != 0.0 || !(0.0..=PERIODICITY).contains(&found) {
                let expected = format!("a whole number from 0 to {PERIODICITY}");
                return Err(self.range(SECTION, index, expected, found));
            }
        }
        Ok(found.into_iter().map(|found| found as usize).collect())
    }

    /// Scale factors of each type of torsion; files before 2009 have none.
    fn divisors(&self, section: &'static str, default: f64) -> Result<Vec<f64>, PrmtopError> {
        let types = self.pointers.torsion_types;
        if self.sections.has(section) {
            self.sections.reals(section, types)
        } else {
            Ok(vec![default; types])
        }
    }

    /// The factor of a torsion that has a 1-4 pair.
    fn divisor(
        &self,
        section: &'static str,
        divisors: &[f64],
        kind: usize,
    ) -> Result<f64, PrmtopError> {
        let found = divisors[kind];
        if found > 0.0 {
            Ok(found)
        } else {
            Err(self.range(
                section,
                kind,
                "above 0 where a torsion has a 1-4 pair",
                found,
            ))
        }
    }
}
