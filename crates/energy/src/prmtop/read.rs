//! From the sections of a topology file to its molecule and parameters.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use boltzflow_molecule::{Atom, Bond, BondOrder, Element, Molecule, Residue};

use super::sections::Sections;
use super::{Cosine, Harmonic, OneFour, Prmtop, PrmtopError};

/// A charge of one in the file's units, √(332.0522 kcal·Å/mol/e²) as AMBER has it.
const CHARGE: f64 = 18.2223;

/// The largest number of barriers of a full turn that a torsion may have.
const PERIODICITY: f64 = 12.0;

/// The counts at the head of a file.
struct Pointers {
    atoms: usize,
    types: usize,
    bonds: [usize; 2],
    angles: [usize; 2],
    torsions: [usize; 2],
    exclusions: usize,
    residues: usize,
    bond_types: usize,
    angle_types: usize,
    torsion_types: usize,
    hydrogen_bond_types: usize,
}

struct Reader<'a> {
    path: PathBuf,
    sections: Sections<'a>,
    pointers: Pointers,
}

pub(super) fn read(text: &str, path: &Path) -> Result<Prmtop, PrmtopError> {
    let sections = Sections::new(text, path)?;
    refuse_foreign_sections(&sections, path)?;
    let pointers = pointers(&sections, path)?;
    let reader = Reader {
        path: path.to_owned(),
        sections,
        pointers,
    };
    reader.refuse_other_terms()?;
    reader.prmtop()
}

fn unsupported(
    path: &Path,
    section: &str,
    feature: &'static str,
    found: String,
    way_out: &'static str,
) -> PrmtopError {
    PrmtopError::Unsupported {
        path: path.to_owned(),
        section: section.to_owned(),
        feature,
        found,
        way_out,
    }
}

const OTHER_FIELD: &str = "use a topology of an AMBER or GAFF force field without it";

fn refuse_foreign_sections(sections: &Sections, path: &Path) -> Result<(), PrmtopError> {
    for (prefix, feature) in [
        ("CTITLE", "terms of CHARMM"),
        ("CHARMM_", "terms of CHARMM"),
        ("CMAP_", "a CMAP correction"),
        ("AMOEBA_", "terms of AMOEBA"),
    ] {
        if let Some(section) = sections.starting_with(prefix) {
            return Err(unsupported(
                path,
                section,
                feature,
                "present".into(),
                OTHER_FIELD,
            ));
        }
    }
    Ok(())
}

fn pointers(sections: &Sections, path: &Path) -> Result<Pointers, PrmtopError> {
    const SECTION: &str = "POINTERS";
    let values = sections.all_integers(SECTION)?;
    if values.len() < 30 {
        return Err(PrmtopError::Count {
            path: path.to_owned(),
            section: SECTION,
            expected: 30,
            found: values.len(),
        });
    }
    let mut counts = Vec::with_capacity(values.len());
    for (index, &value) in values.iter().enumerate() {
        // A bound that no count of a real file reaches keeps sums and products of counts representable.
        let count = usize::try_from(value)
            .ok()
            .filter(|&count| count <= 100_000_000);
        counts.push(count.ok_or_else(|| PrmtopError::Range {
            path: path.to_owned(),
            section: SECTION,
            index,
            expected: "from 0 to 100000000".into(),
            found: value as f64,
        })?);
    }
    let vacuum =
        "strip the solvent and the box: only molecules in vacuum or implicit water are evaluated";
    for (index, name, allowed, feature, way_out) in [
        (9, "NPARM", 1, "locally enhanced sampling", OTHER_FIELD),
        (20, "IFPERT", 0, "perturbed atoms", OTHER_FIELD),
        (27, "IFBOX", 0, "a periodic box", vacuum),
        (29, "IFCAP", 0, "a solvent cap", vacuum),
        (30, "NUMEXTRA", 0, "extra points", OTHER_FIELD),
    ] {
        let found = counts.get(index).copied().unwrap_or(0);
        if found > allowed {
            return Err(unsupported(
                path,
                SECTION,
                feature,
                format!("{name} = {found}"),
                way_out,
            ));
        }
    }
    for (index, name) in [
        (0, "number of atoms"),
        (1, "number of Lennard-Jones types"),
        (11, "number of residues"),
    ] {
        if counts[index] == 0 {
            let expected = format!("at least 1, the {name}");
            return Err(PrmtopError::Range {
                path: path.to_owned(),
                section: SECTION,
                index,
                expected,
                found: 0.0,
            });
        }
    }
    Ok(Pointers {
        atoms: counts[0],
        types: counts[1],
        bonds: [counts[2], counts[12]],
        angles: [counts[4], counts[13]],
        torsions: [counts[6], counts[14]],
        exclusions: counts[10],
        residues: counts[11],
        bond_types: counts[15],
        angle_types: counts[16],
        torsion_types: counts[17],
        hydrogen_bond_types: counts[19],
    })
}

impl Reader<'_> {
    fn prmtop(&self) -> Result<Prmtop, PrmtopError> {
        let atoms = self.pointers.atoms;
        let charges = self
            .sections
            .reals("CHARGE", atoms)?
            .into_iter()
            .map(|charge| charge / CHARGE)
            .collect();
        let masses = self.masses()?;
        let bonds = self.harmonics(
            ["BONDS_INC_HYDROGEN", "BONDS_WITHOUT_HYDROGEN"],
            self.pointers.bonds,
            ["BOND_FORCE_CONSTANT", "BOND_EQUIL_VALUE"],
            self.pointers.bond_types,
        )?;
        let angles = self.harmonics(
            ["ANGLES_INC_HYDROGEN", "ANGLES_WITHOUT_HYDROGEN"],
            self.pointers.angles,
            ["ANGLE_FORCE_CONSTANT", "ANGLE_EQUIL_VALUE"],
            self.pointers.angle_types,
        )?;
        let (torsions, one_four) = self.torsions()?;
        let molecule = self.molecule(&masses, &bonds)?;
        let (types, lennard_jones) = self.lennard_jones()?;
        let optional = |section| {
            self.sections
                .has(section)
                .then(|| self.sections.reals(section, atoms))
                .transpose()
        };
        Ok(Prmtop {
            path: self.path.clone(),
            molecule,
            charges,
            masses,
            bonds,
            angles,
            torsions,
            one_four,
            excluded: self.exclusions()?,
            types,
            lennard_jones,
            type_count: self.pointers.types,
            radius_set: self.sections.line("RADIUS_SET").to_owned(),
            radii: optional("RADII")?,
            screens: optional("SCREEN")?,
        })
    }

    fn range(
        &self,
        section: &'static str,
        index: usize,
        expected: impl Into<String>,
        found: f64,
    ) -> PrmtopError {
        PrmtopError::Range {
            path: self.path.clone(),
            section,
            index,
            expected: expected.into(),
            found,
        }
    }

    fn masses(&self) -> Result<Vec<f64>, PrmtopError> {
        let masses = self.sections.reals("MASS", self.pointers.atoms)?;
        if let Some((index, &found)) = masses.iter().enumerate().find(|(_, mass)| **mass <= 0.0) {
            return Err(self.range("MASS", index, "above 0", found));
        }
        Ok(masses)
    }

    /// A number from 1 to `count`, as an index from 0.
    fn index(
        &self,
        section: &'static str,
        index: usize,
        value: i64,
        count: usize,
    ) -> Result<usize, PrmtopError> {
        let found = usize::try_from(value)
            .ok()
            .filter(|found| (1..=count).contains(found));
        found
            .map(|found| found - 1)
            .ok_or_else(|| self.range(section, index, format!("from 1 to {count}"), value as f64))
    }

    /// An offset into coordinates, three for each atom, as an atom.
    fn atom(&self, section: &'static str, index: usize, offset: i64) -> Result<usize, PrmtopError> {
        let largest = 3 * (self.pointers.atoms - 1);
        let found = usize::try_from(offset)
            .ok()
            .filter(|offset| offset % 3 == 0 && *offset <= largest);
        found.map(|offset| offset / 3).ok_or_else(|| {
            self.range(
                section,
                index,
                format!("a multiple of 3 from 0 to {largest}"),
                offset as f64,
            )
        })
    }

    fn harmonics<const N: usize>(
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

    fn torsions(&self) -> Result<(Vec<Cosine>, Vec<OneFour>), PrmtopError> {
        const PERIODICITIES: &str = "DIHEDRAL_PERIODICITY";
        let types = self.pointers.torsion_types;
        let barriers = self.sections.reals("DIHEDRAL_FORCE_CONSTANT", types)?;
        let phases = self.sections.reals("DIHEDRAL_PHASE", types)?;
        let periodicities = self.sections.reals(PERIODICITIES, types)?;
        for (index, &found) in periodicities.iter().enumerate() {
            if found.fract() != 0.0 || !(0.0..=PERIODICITY).contains(&found) {
                return Err(self.range(
                    PERIODICITIES,
                    index,
                    format!("a whole number from 0 to {PERIODICITY}"),
                    found,
                ));
            }
        }
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
                    periodicity: periodicities[kind] as usize,
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

    fn molecule(&self, masses: &[f64], bonds: &[Harmonic<2>]) -> Result<Molecule, PrmtopError> {
        let count = self.pointers.atoms;
        let names = self.sections.names("ATOM_NAME", count)?;
        let residues = self.residues()?;
        let elements = self.elements(&names, masses)?;
        let mut atoms = Vec::with_capacity(count);
        let mut residue = 0;
        for (index, (name, element)) in names.into_iter().zip(elements).enumerate() {
            while residue + 1 < residues.len() && residues[residue + 1].0 <= index {
                residue += 1;
            }
            atoms.push(Atom {
                name,
                residue: Some(residue),
                ..Atom::new(element)
            });
        }
        let residues = residues.into_iter().map(|(_, residue)| residue).collect();
        let bonds = bonds
            .iter()
            .map(|bond| Bond::new(bond.atoms[0], bond.atoms[1], BondOrder::Unknown))
            .collect();
        let title = self.sections.line("TITLE");
        Molecule::new(title, atoms, bonds, residues).map_err(|source| PrmtopError::Molecule {
            path: self.path.clone(),
            source,
        })
    }

    /// The residues and their first atoms.
    fn residues(&self) -> Result<Vec<(usize, Residue)>, PrmtopError> {
        const SECTION: &str = "RESIDUE_POINTER";
        let count = self.pointers.residues;
        let labels = self.sections.names("RESIDUE_LABEL", count)?;
        let starts = self.sections.integers(SECTION, count)?;
        let mut residues: Vec<(usize, Residue)> = Vec::with_capacity(count);
        for (index, (name, start)) in labels.into_iter().zip(starts).enumerate() {
            let first = self.index(SECTION, index, start, self.pointers.atoms)?;
            let after = residues.last().map_or(0, |(last, _)| last + 1);
            if (index == 0 && first != 0) || first < after {
                let expected = if index == 0 {
                    "1".to_owned()
                } else {
                    format!("at least {}", after + 1)
                };
                return Err(self.range(SECTION, index, expected, start as f64));
            }
            residues.push((
                first,
                Residue {
                    name,
                    number: index as i64 + 1,
                    chain: String::new(),
                },
            ));
        }
        Ok(residues)
    }

    fn elements(&self, names: &[String], masses: &[f64]) -> Result<Vec<Element>, PrmtopError> {
        const SECTION: &str = "ATOMIC_NUMBER";
        let numbers = self
            .sections
            .has(SECTION)
            .then(|| self.sections.integers(SECTION, self.pointers.atoms))
            .transpose()?;
        let element = |atom: usize| {
            let (element, what, way_out) = if let Some(numbers) = &numbers {
                let element = u8::try_from(numbers[atom])
                    .ok()
                    .and_then(Element::from_number);
                (
                    element,
                    format!("atomic number {}", numbers[atom]),
                    "remove extra points",
                )
            } else {
                let way_out = "add a section ATOMIC_NUMBER where masses were changed";
                (
                    Element::from_mass(masses[atom]),
                    format!("mass {}", masses[atom]),
                    way_out,
                )
            };
            let unknown = || PrmtopError::Element {
                path: self.path.clone(),
                atom,
                name: names[atom].clone(),
                what,
                way_out,
            };
            element.ok_or_else(unknown)
        };
        (0..self.pointers.atoms).map(element).collect()
    }

    fn exclusions(&self) -> Result<HashSet<[usize; 2]>, PrmtopError> {
        const COUNTS: &str = "NUMBER_EXCLUDED_ATOMS";
        const LIST: &str = "EXCLUDED_ATOMS_LIST";
        let counts = self.sections.integers(COUNTS, self.pointers.atoms)?;
        let list = self.sections.integers(LIST, self.pointers.exclusions)?;
        let mut excluded = HashSet::new();
        let mut next = 0;
        for (atom, &count) in counts.iter().enumerate() {
            let rest = list.len() - next;
            let Some(count) = usize::try_from(count).ok().filter(|&count| count <= rest) else {
                let expected = format!("from 0 to {rest}, what is left of {LIST}");
                return Err(self.range(COUNTS, atom, expected, count as f64));
            };
            for (index, &other) in list.iter().enumerate().skip(next).take(count) {
                // A zero stands for "none".
                if other != 0 {
                    let other = self.index(LIST, index, other, self.pointers.atoms)?;
                    excluded.insert([atom.min(other), atom.max(other)]);
                }
            }
            next += count;
        }
        if next != list.len() {
            let (expected, found) = (next, list.len());
            return Err(PrmtopError::Count {
                path: self.path.clone(),
                section: LIST,
                expected,
                found,
            });
        }
        Ok(excluded)
    }

    fn lennard_jones(&self) -> Result<(Vec<usize>, Vec<[f64; 2]>), PrmtopError> {
        const INDEX: &str = "NONBONDED_PARM_INDEX";
        let types = self.pointers.types;
        let of_atoms = self
            .sections
            .integers("ATOM_TYPE_INDEX", self.pointers.atoms)?;
        let of_atoms = of_atoms
            .into_iter()
            .enumerate()
            .map(|(atom, kind)| self.index("ATOM_TYPE_INDEX", atom, kind, types))
            .collect::<Result<_, _>>()?;
        let count = types * (types + 1) / 2;
        let repulsion = self.sections.reals("LENNARD_JONES_ACOEF", count)?;
        let dispersion = self.sections.reals("LENNARD_JONES_BCOEF", count)?;
        let indices = self.sections.integers(INDEX, types * types)?;
        let pair = |(index, value): (usize, i64)| {
            // Negative ones are 10-12 potentials, all of them zero here.
            if value < 0 {
                let known = value.unsigned_abs() as usize <= self.pointers.hydrogen_bond_types;
                let expected = format!(
                    "from 1 to {count}, or from -{} to -1",
                    self.pointers.hydrogen_bond_types
                );
                return if known {
                    Ok([0.0; 2])
                } else {
                    Err(self.range(INDEX, index, expected, value as f64))
                };
            }
            let place = self.index(INDEX, index, value, count)?;
            Ok([repulsion[place], dispersion[place]])
        };
        let pairs: Vec<[f64; 2]> = indices
            .iter()
            .copied()
            .enumerate()
            .map(pair)
            .collect::<Result<_, _>>()?;
        for (index, value) in pairs.iter().enumerate() {
            let mirrored = index % types * types + index / types;
            if value.map(f64::to_bits) != pairs[mirrored].map(f64::to_bits) {
                let expected = format!("that of value {}, for the same two types", mirrored + 1);
                return Err(self.range(INDEX, index, expected, indices[index] as f64));
            }
        }
        Ok((of_atoms, pairs))
    }

    /// Refuses potentials that are neither Lennard-Jones nor Coulomb, unless they are zero.
    fn refuse_other_terms(&self) -> Result<(), PrmtopError> {
        let hydrogen_bonds = self.pointers.hydrogen_bond_types;
        let types = self.pointers.types;
        for (section, count, feature) in [
            ("HBOND_ACOEF", hydrogen_bonds, "10-12 hydrogen bonds"),
            ("HBOND_BCOEF", hydrogen_bonds, "10-12 hydrogen bonds"),
            (
                "LENNARD_JONES_CCOEF",
                types * (types + 1) / 2,
                "12-6-4 potentials",
            ),
        ] {
            if !self.sections.has(section) {
                continue;
            }
            let values = self.sections.reals(section, count)?;
            if let Some(value) = values.iter().find(|value| **value != 0.0) {
                return Err(unsupported(
                    &self.path,
                    section,
                    feature,
                    format!("a value of {value}"),
                    OTHER_FIELD,
                ));
            }
        }
        if self.sections.has("IPOL")
            && let Some(&found) = self.sections.all_integers("IPOL")?.first()
            && found != 0
        {
            return Err(unsupported(
                &self.path,
                "IPOL",
                "polarisable atoms",
                format!("IPOL = {found}"),
                OTHER_FIELD,
            ));
        }
        Ok(())
    }
}
