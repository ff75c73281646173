//! Which relabellings of a molecule's atoms are symmetries of a flow.

use boltzflow_molecule::{Element, Molecule, automorphisms, heavy_automorphisms, orbits};

use crate::config::Alike;
use crate::pairing::Symmetry;
use crate::system::Reference;

/// More relabellings than this are not listed.
const MOST_LISTED: usize = 1000;

/// The relabellings of atoms that are alike which leave a molecule unchanged.
///
/// Where they are too many to be listed, the list has those that were found and some that generate all that exchange hydrogens of one atom,
/// and all of the rest unless there are more than 1000 exchanges of heavy atoms alone.
pub(crate) fn symmetry(reference: &Reference, alike: Alike) -> Symmetry {
    let molecule = &reference.molecule;
    if alike == Alike::None {
        return Symmetry::List(vec![(0..molecule.len()).collect()]);
    }
    let group = Group::new(reference, alike);
    let listed = automorphisms(molecule, MOST_LISTED);
    let mut permutations = listed.permutations;
    permutations.retain(|permutation| group.contains(permutation));
    if listed.complete {
        return Symmetry::List(permutations);
    }
    let more = generators(molecule).into_iter();
    permutations.extend(more.filter(|permutation| group.contains(permutation)));
    log::warn!(
        "the molecule has more than {MOST_LISTED} relabellings: noise and data are paired by {} of them",
        permutations.len()
    );
    Symmetry::Generated(permutations)
}

/// Which permutations are symmetries.
struct Group<'a> {
    reference: &'a Reference,
    /// For each atom the first of those that are alike.
    leaders: Vec<usize>,
}

impl<'a> Group<'a> {
    fn new(reference: &'a Reference, alike: Alike) -> Self {
        Self {
            reference,
            leaders: leaders(&reference.molecule, alike),
        }
    }

    /// Whether an automorphism exchanges only atoms that are alike, and no R centre with an S centre.
    fn contains(&self, automorphism: &[usize]) -> bool {
        let mut kept = automorphism.iter().zip(&self.leaders);
        self.reference.stereo.is_kept_by(automorphism)
            && kept.all(|(&from, &leader)| self.leaders[from] == leader)
    }
}

/// For each atom the first of those that are alike.
pub(crate) fn leaders(molecule: &Molecule, alike: Alike) -> Vec<usize> {
    let all = 0..molecule.len();
    match alike {
        Alike::Symmetric => orbits(molecule),
        Alike::None => all.collect(),
        Alike::Attached => {
            let neighbours = molecule.neighbours();
            let attached = |atom: usize| match neighbours[atom][..] {
                [parent] if molecule.atoms[atom].element == Element::HYDROGEN => Some(parent),
                _ => None,
            };
            all.clone()
                .map(|atom| {
                    let parent = attached(atom);
                    let like = |other: &usize| parent.is_some() && attached(*other) == parent;
                    all.clone().find(like).unwrap_or(atom)
                })
                .collect()
        }
    }
}

/// Swaps of hydrogens on one atom, and exchanges of heavy atoms (at most [`MOST_LISTED`]) that take their hydrogens along in order.
fn generators(molecule: &Molecule) -> Vec<Vec<usize>> {
    let Some(carried) = carried(molecule) else {
        return Vec::new();
    };
    let heavy = heavy_automorphisms(molecule, MOST_LISTED).permutations;
    let lifted = heavy.iter();
    let lifted = lifted.map(|permutation| lifted_to_all(molecule, &carried, permutation));
    let swaps = carried.iter().flat_map(|list| list.windows(2)).map(|pair| {
        let mut swap: Vec<usize> = (0..molecule.len()).collect();
        swap.swap(pair[0], pair[1]);
        swap
    });
    lifted.chain(swaps).collect()
}

/// The hydrogens that each heavy atom carries; `None` where one is on another hydrogen or between two atoms.
fn carried(molecule: &Molecule) -> Option<Vec<Vec<usize>>> {
    let (neighbours, heavy) = (molecule.neighbours(), molecule.heavy_atoms());
    let mut carried = vec![Vec::new(); heavy.len()];
    for hydrogen in molecule.hydrogens() {
        let [parent] = neighbours[hydrogen][..] else {
            return None;
        };
        carried[heavy.binary_search(&parent).ok()?].push(hydrogen);
    }
    Some(carried)
}

/// The permutation of all atoms that exchanges heavy atoms as given, and takes their hydrogens along in order.
fn lifted_to_all(molecule: &Molecule, carried: &[Vec<usize>], heavy: &[usize]) -> Vec<usize> {
    let atoms = molecule.heavy_atoms();
    let mut permutation: Vec<usize> = (0..molecule.len()).collect();
    for (from, &to) in heavy.iter().enumerate() {
        permutation[atoms[from]] = atoms[to];
        for (&from, &to) in carried[from].iter().zip(&carried[to]) {
            permutation[from] = to;
        }
    }
    permutation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distances::PairStatistics;
    use boltzflow_molecule::embed;

    fn reference(smiles: &str) -> Reference {
        let molecule = Molecule::from_smiles(smiles).unwrap();
        let stereo = molecule.stereo.clone();
        Reference { molecule, stereo }
    }

    #[test]
    fn symmetries_too_many_to_list_are_pooled_over_all_the_same() {
        let neopentane = reference("CC(C)(C)C");
        let conformers = embed(&neopentane.molecule, 1, 3).unwrap();
        let different = |alike| {
            let symmetry = symmetry(&neopentane, alike);
            assert!(matches!(symmetry, Symmetry::Generated(_)));
            let mut found = PairStatistics::of(&conformers, 1.0, &symmetry).mean;
            found.sort_by(f64::total_cmp);
            found.dedup();
            found.len()
        };
        // The diagonal; C–C and C–H from the middle; C···C; C–H, H···C, H···H within a methyl group and between two.
        assert_eq!(different(Alike::Symmetric), 1 + 2 + 1 + 4);
        // The same of four groups that are told apart: C–C and C–H of each; six pairs of C; for each group its own C–H and H···H, for
        // each of twelve ordered pairs H···C, for each of six H···H.
        assert_eq!(different(Alike::Attached), 1 + 8 + 6 + 8 + 12 + 6);
    }

    #[test]
    fn every_generator_keeps_the_bonds() {
        for smiles in ["CC(C)(C)C", "CCCC", "CC(=O)N[C@@H](C)C(=O)NC"] {
            let molecule = Molecule::from_smiles(smiles).unwrap();
            for permutation in generators(&molecule) {
                for bond in &molecule.bonds {
                    let [a, b] = bond.atoms.map(|atom| permutation[atom]);
                    assert!(molecule.bond(a, b).is_some());
                }
            }
        }
    }
}
