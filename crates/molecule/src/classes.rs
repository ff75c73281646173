//! Constitutional classes of atoms: which atoms elements and bonds alone can tell apart.

use crate::Molecule;

/// The class of each atom: 0, 1, … in an order that depends on elements and bonds only, not on how the atoms are numbered.
///
/// Iterated refinement (Weisfeiler and Leman, 1968; Morgan, 1965): atoms start with their element and degree, and are told
/// apart by the multiset of their neighbours' classes until nothing changes. Bond orders and charges do not count, so that
/// resonance forms do not break symmetry. Atoms of one orbit always share a class; the reverse fails only for highly regular graphs.
pub fn classes(molecule: &Molecule) -> Vec<usize> {
    let neighbours = molecule.neighbours();
    refine(&neighbours, &elements_and_degrees(molecule, &neighbours))
}

/// What an atom starts with: `256 · element + degree` (capped), so that heavier elements have higher classes.
pub(crate) fn elements_and_degrees(molecule: &Molecule, neighbours: &[Vec<usize>]) -> Vec<usize> {
    molecule
        .elements()
        .zip(neighbours)
        .map(|(element, list)| 256 * usize::from(element.number()) + list.len().min(255))
        .collect()
}

/// Refines colours until every two atoms of one colour have equally coloured neighbours.
pub(crate) fn refine(neighbours: &[Vec<usize>], colours: &[usize]) -> Vec<usize> {
    let (mut colours, mut count) = ranks(colours);
    loop {
        let signatures = neighbours
            .iter()
            .zip(&colours)
            .map(|(list, &colour)| {
                let mut around = list.iter().map(|&atom| colours[atom]).collect::<Vec<_>>();
                around.sort_unstable();
                (colour, around)
            })
            .collect::<Vec<_>>();
        let (refined, refined_count) = ranks(&signatures);
        if refined_count == count {
            return colours;
        }
        (colours, count) = (refined, refined_count);
    }
}

/// The rank of each key among the different keys, and how many different ones there are.
fn ranks<K: Ord>(keys: &[K]) -> (Vec<usize>, usize) {
    let mut different = keys.iter().collect::<Vec<_>>();
    different.sort_unstable();
    different.dedup();
    let ranks = keys
        .iter()
        .map(|key| different.partition_point(|&other| other < key))
        .collect();
    (ranks, different.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_the_atoms_into_any_order() {
        let molecule = Molecule::from_smiles("CC(=O)N[C@@H](C)C(=O)NC").unwrap();
        let found = classes(&molecule);
        let order = (0..molecule.len())
            .map(|k| (7 * k + 3) % molecule.len())
            .collect::<Vec<_>>();
        let shuffled = classes(&molecule.reordered(&order));
        for (new, &old) in order.iter().enumerate() {
            assert_eq!(shuffled[new], found[old]);
        }
    }

    #[test]
    fn butane_has_four_kinds_of_atoms() {
        let mut found = classes(&Molecule::from_smiles("CCCC").unwrap());
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, [0, 1, 2, 3]);
        assert!(classes(&Molecule::default()).is_empty());
    }
}
