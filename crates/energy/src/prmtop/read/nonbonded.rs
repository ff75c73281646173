//! The pairs of a topology file: which are left out, and their Lennard-Jones parameters.

use std::collections::HashSet;

use super::super::PrmtopError;
use super::Reader;

impl Reader<'_> {
    /// Pairs whose full interaction is left out, the lower atom first.
    pub(super) fn exclusions(&self) -> Result<HashSet<[usize; 2]>, PrmtopError> {
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

    /// The type of each atom, and `[A, B]` of each pair of types.
    pub(super) fn lennard_jones(&self) -> Result<(Vec<usize>, Vec<[f64; 2]>), PrmtopError> {
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
}
