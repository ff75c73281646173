//! The counts at the head of a topology file, and what they say is not computed here.

use std::path::Path;

use super::super::PrmtopError;
use super::super::sections::Sections;
use super::unsupported::{OTHER_FIELD, unsupported};

/// The counts at the head of a file.
pub(super) struct Pointers {
    pub atoms: usize,
    pub types: usize,
    pub bonds: [usize; 2],
    pub angles: [usize; 2],
    pub torsions: [usize; 2],
    pub exclusions: usize,
    pub residues: usize,
    pub bond_types: usize,
    pub angle_types: usize,
    pub torsion_types: usize,
    pub hydrogen_bond_types: usize,
}

pub(super) fn pointers(sections: &Sections, path: &Path) -> Result<Pointers, PrmtopError> {
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
