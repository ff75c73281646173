//! Which relabellings of a molecule's atoms are symmetries of a flow, and how many of all its density counts.

use std::fmt;

use boltzflow_flow::Rotor;
use boltzflow_molecule::{
    Automorphisms, Element, Molecule, automorphisms, heavy_automorphisms, orbits,
};
use serde::{Deserialize, Serialize};

use crate::config::Alike;
use crate::pairing::Symmetry;
use crate::system::Reference;

/// More relabellings than this are not listed.
const MOST_LISTED: usize = 1000;

/// How many relabellings of its points a flow's density counts.
///
/// Points are labelled, so a molecule is in as many places of configuration space as it has relabellings `g` that keep its bonds and its
/// stereochemistry: `M`. A flow is invariant under the `K` of them that exchange only points that are [`Alike`] to it, or that turn rotors that it
/// has folded. It covers the labellings that its training data visit and what the `K` make of them, and its samples' `ln Z` and log-densities are of
/// that region. Over all labellings `ln Z` is larger by at most `ln (M/K)`: by less, where some of the other relabellings only turn the molecule, as
/// the one that reverses a chain does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// `K`.
    pub counted: f64,
    /// `M`.
    pub all: f64,
}

impl Labels {
    /// Those of a toy, whose points are all alike: `N!`.
    pub(crate) fn of_cluster(points: usize) -> Self {
        let all = factorial(points);
        Self { counted: all, all }
    }

    /// Those of a flow of a molecule to which these atoms are alike; `None` where they are too many to be counted.
    pub(crate) fn of(reference: &Reference, alike: Alike) -> Option<Self> {
        let (molecule, stereo) = (&reference.molecule, &reference.stereo);
        let listed = automorphisms(molecule, MOST_LISTED);
        if listed.complete {
            let count = |alike| {
                let group = Group::new(reference, alike);
                let kept = listed.permutations.iter().filter(|p| group.contains(p));
                kept.count() as f64
            };
            return Some(Self {
                counted: count(alike),
                all: count(Alike::Symmetric),
            });
        }
        // Exchanges of heavy atoms, each with any order of the hydrogens that they carry.
        let carried = carried(molecule)?;
        let heavy = exchanges(molecule, &carried);
        if !heavy.complete {
            return None;
        }
        let hydrogens: f64 = carried.iter().map(|list| factorial(list.len())).product();
        let exchanges = heavy.permutations.iter();
        let kept = exchanges.filter(|permutation| stereo.is_kept_by(permutation));
        let all = hydrogens * kept.count() as f64;
        let counted = match alike {
            Alike::Symmetric => all,
            Alike::Attached => hydrogens,
            Alike::None => 1.0,
        };
        Some(Self { counted, all })
    }

    /// Those of a flow to which no atoms are alike but those of rotors that it has folded: three labellings of each.
    pub(crate) fn with_rotors(mut self, rotors: &[Rotor]) -> Self {
        self.counted *= Rotor::labellings(rotors);
        self
    }

    /// Whether the flow counts all of them.
    pub fn are_all(&self) -> bool {
        self.counted >= self.all
    }

    /// `ln (M/K)`: by how much `ln Z` over all labellings may be larger.
    pub fn log_missing(&self) -> f64 {
        (self.all / self.counted).ln()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.are_all() {
            return write!(f, "all labels");
        }
        write!(f, "{} of {} relabellings", self.counted, self.all)
    }
}

/// The convention of labels in words, for the line of a number that depends on it.
pub(crate) fn convention(labels: Option<Labels>) -> String {
    labels.map_or_else(
        || "labels that the flow covers".to_owned(),
        |labels| labels.to_string(),
    )
}

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

/// Swaps of hydrogens on one atom, and [`exchanges`].
fn generators(molecule: &Molecule) -> Vec<Vec<usize>> {
    let Some(carried) = carried(molecule) else {
        return Vec::new();
    };
    let exchanges = exchanges(molecule, &carried).permutations;
    let swaps = carried.iter().flat_map(|list| list.windows(2)).map(|pair| {
        let mut swap: Vec<usize> = (0..molecule.len()).collect();
        swap.swap(pair[0], pair[1]);
        swap
    });
    exchanges.into_iter().chain(swaps).collect()
}

/// The hydrogens that each heavy atom carries; `None` where one is on another hydrogen or between two atoms.
pub(crate) fn carried(molecule: &Molecule) -> Option<Vec<Vec<usize>>> {
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

/// Exchanges of heavy atoms, at most [`MOST_LISTED`], that take the hydrogens which they carry along in order; the identity is among them.
pub(crate) fn exchanges(molecule: &Molecule, carried: &[Vec<usize>]) -> Automorphisms {
    let mut found = heavy_automorphisms(molecule, MOST_LISTED);
    for permutation in &mut found.permutations {
        *permutation = lifted_to_all(molecule, carried, permutation);
    }
    found
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

fn factorial(n: usize) -> f64 {
    (1..=n).map(|k| k as f64).product()
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

    fn counts(smiles: &str) -> [(f64, f64); 3] {
        [Alike::Symmetric, Alike::Attached, Alike::None].map(|alike| {
            let labels = Labels::of(&reference(smiles), alike).unwrap();
            (labels.counted, labels.all)
        })
    }

    #[test]
    fn a_flow_counts_the_relabellings_of_what_is_alike_to_it() {
        // 2 · 3!² · 2!², all but the reversal of the chain.
        let butane = [(288.0, 288.0), (144.0, 288.0), (1.0, 288.0)];
        assert_eq!(counts("CCCC"), butane);
        // 3!³, and nothing else is exchanged.
        assert_eq!(
            counts("CC(=O)N[C@@H](C)C(=O)NC"),
            [(216.0, 216.0), (216.0, 216.0), (1.0, 216.0)]
        );
        // meso: exchanging the halves would mirror it.
        let meso = [(36.0, 36.0), (36.0, 36.0), (1.0, 36.0)];
        assert_eq!(counts("C[C@H](Cl)[C@H](Cl)C"), meso);
    }

    #[test]
    fn what_is_too_much_to_list_is_counted_all_the_same() {
        // 4! · 3!⁴ and 3!⁴.
        let neopentane = [(31_104.0, 31_104.0), (1296.0, 31_104.0), (1.0, 31_104.0)];
        assert_eq!(counts("CC(C)(C)C"), neopentane);
        // 2 · 3!² · 2!¹⁰.
        let dodecane = 2.0 * 36.0 * 1024.0;
        assert_eq!(
            counts("CCCCCCCCCCCC")[..2],
            [(dodecane, dodecane), (dodecane / 2.0, dodecane)]
        );
        // Listed, because no heavy atom carries these hydrogens.
        assert_eq!(counts("[H][H]")[0], (2.0, 2.0));
    }

    #[test]
    fn only_a_density_of_all_relabellings_is_said_to_be_one() {
        let of = |alike| Labels::of(&reference("CCCC"), alike).unwrap();
        assert_eq!(of(Alike::Symmetric).to_string(), "all labels");
        let attached = of(Alike::Attached);
        assert_eq!(attached.to_string(), "144 of 288 relabellings");
        assert!((attached.log_missing() - 2_f64.ln()).abs() < 1e-15);
        assert_eq!(Labels::of_cluster(4).counted, 24.0);
        assert!(Labels::of_cluster(13).are_all());
        assert_eq!(convention(None), "labels that the flow covers");
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
