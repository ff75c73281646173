//! The dihedral angles that are reported: which they are, what they are called, and their wells.

use boltzflow_molecule::{
    Element, Molecule, geometry::dihedral, ring_substituents, rotatable_torsions,
};

/// A dihedral angle with a name and wells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torsion {
    /// `phi ALA 2`, or the names of its atoms.
    pub name: String,
    /// Its atoms, from 0.
    pub atoms: [usize; 4],
    /// What it is.
    pub kind: Kind,
}

/// What a torsion is, which decides its wells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// C(previous)–N–CA–C of a peptide.
    Phi {
        /// CA.
        alpha: usize,
    },
    /// N–CA–C–N(next) of a peptide.
    Psi {
        /// CA.
        alpha: usize,
    },
    /// CA–C–N(next)–CA(next) of a peptide; methyl groups of caps stand for CA.
    Omega,
    /// Between two tetrahedral atoms, which have four neighbours each, or two and lone pairs: as in alkanes, ethers and hydroxyls.
    Staggered,
    /// From a saturated six-membered ring to what it carries ([`ring_substituents`]).
    RingSubstituent,
    /// Anything else.
    Other,
}

/// A range of a dihedral angle, `from ≤ φ < to` in degrees, over the cut at ±180° where `to` is above 180.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Well {
    /// Its name.
    pub name: &'static str,
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
}

const fn well(name: &'static str, from: f64, to: f64) -> Well {
    Well { name, from, to }
}

const PHI: &[Well] = &[well("φ < 0", -180.0, 0.0), well("φ > 0", 0.0, 180.0)];
const PSI: &[Well] = &[
    well("extended (50…240°)", 50.0, 240.0),
    well("helical (−120…50°)", -120.0, 50.0),
];
const OMEGA: &[Well] = &[well("trans", 90.0, 270.0), well("cis", -90.0, 90.0)];
const STAGGERED: &[Well] = &[
    well("trans", 120.0, 240.0),
    well("gauche", -120.0, 120.0),
    well("gauche+", 0.0, 120.0),
    well("gauche−", -120.0, 0.0),
];
const RING_SUBSTITUENT: &[Well] = &[
    well("equatorial", 120.0, 240.0),
    well("axial", -120.0, 120.0),
];
const OTHER: &[Well] = &[
    well("|φ| > 120°", 120.0, 240.0),
    well("|φ| < 120°", -120.0, 120.0),
];

impl Well {
    /// Whether it holds an angle in radians, of any period.
    pub fn contains(&self, angle: f64) -> bool {
        (angle.to_degrees() - self.from).rem_euclid(360.0) < self.to - self.from
    }
}

impl Kind {
    /// The wells, first the one that free energies are told over. The borders of ψ are a convention of ours, at the two barriers of capped
    /// alanine.
    pub fn wells(self) -> &'static [Well] {
        match self {
            Self::Phi { .. } => PHI,
            Self::Psi { .. } => PSI,
            Self::Omega => OMEGA,
            Self::Staggered => STAGGERED,
            Self::RingSubstituent => RING_SUBSTITUENT,
            Self::Other => OTHER,
        }
    }

    /// The wells that share the circle, so that every angle is in one of them: the first, and the second, or its parts where it has any.
    pub fn rotamers(self) -> Vec<Well> {
        let wells = self.wells();
        let rest = if wells.len() > 2 { 2.. } else { 1.. };
        [&wells[..1], &wells[rest]].concat()
    }
}

impl Torsion {
    /// The angle in radians.
    pub fn angle(&self, positions: &[f64]) -> f64 {
        dihedral(positions, self.atoms)
    }
}

/// One torsion for each bond that turns ([`rotatable_torsions`]), then one for each substituent that tells the chairs of a ring apart
/// ([`ring_substituents`]). The backbone of peptides is found in the bond graph, bond orders aside, and has the atoms that φ, ψ and ω are defined by.
pub fn torsions(molecule: &Molecule) -> Vec<Torsion> {
    let graph = Graph {
        molecule,
        neighbours: molecule.neighbours(),
    };
    let turning = rotatable_torsions(molecule).into_iter().map(|atoms| {
        let [_, j, k, _] = atoms;
        graph
            .backbone(j, k)
            .or_else(|| graph.backbone(k, j))
            .unwrap_or_else(|| graph.plain(atoms, graph.kind(j, k)))
    });
    let chairs = ring_substituents(molecule).into_iter();
    let chairs = chairs.map(|atoms| graph.plain(atoms, Kind::RingSubstituent));
    turning.chain(chairs).collect()
}

/// The atoms of `phi` and `psi` that share an alpha carbon, with the label of their residue.
pub fn ramachandran(torsions: &[Torsion]) -> Vec<(String, [Torsion; 2])> {
    let alpha_of_psi = |torsion: &&Torsion| match torsion.kind {
        Kind::Psi { alpha } => Some(alpha),
        _ => None,
    };
    torsions
        .iter()
        .filter_map(|phi| {
            let Kind::Phi { alpha } = phi.kind else {
                return None;
            };
            let psi = torsions
                .iter()
                .find(|psi| alpha_of_psi(psi) == Some(alpha))?;
            let label = phi.name.trim_start_matches("phi ").to_owned();
            Some((label, [phi.clone(), psi.clone()]))
        })
        .collect()
}

struct Graph<'a> {
    molecule: &'a Molecule,
    neighbours: Vec<Vec<usize>>,
}

impl Graph<'_> {
    fn is(&self, atom: usize, element: Element) -> bool {
        self.molecule.atoms[atom].element == element
    }

    fn neighbour(&self, atom: usize, but: usize, wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let mut around = self.neighbours[atom].iter().copied();
        around.find(|&other| other != but && wanted(other))
    }

    /// A carbon of three neighbours, one of them an oxygen with no other.
    fn is_carbonyl(&self, atom: usize) -> bool {
        let oxygen =
            |other: &usize| self.is(*other, Element::OXYGEN) && self.neighbours[*other].len() == 1;
        self.is(atom, Element::CARBON)
            && self.neighbours[atom].len() == 3
            && self.neighbours[atom].iter().any(oxygen)
    }

    fn is_nitrogen(&self, atom: usize) -> bool {
        self.is(atom, Element::NITROGEN)
    }

    /// A tetrahedral carbon between a nitrogen and a carbonyl carbon.
    fn is_alpha(&self, atom: usize) -> bool {
        let around = &self.neighbours[atom];
        self.is(atom, Element::CARBON)
            && around.len() == 4
            && around.iter().any(|&other| self.is_nitrogen(other))
            && around.iter().any(|&other| self.is_carbonyl(other))
    }

    /// φ, ψ or ω about the bond from `j` to `k`, in this direction.
    fn backbone(&self, j: usize, k: usize) -> Option<Torsion> {
        let nitrogen = |atom: usize| self.is_nitrogen(atom);
        let carbonyl = |atom: usize| self.is_carbonyl(atom);
        let torsion = |name: &str, owner: usize, atoms, kind| {
            let name = format!("{name} {}", self.label(owner));
            Some(Torsion { name, atoms, kind })
        };
        if nitrogen(j) && self.is_alpha(k) {
            let atoms = [
                self.neighbour(j, k, carbonyl)?,
                j,
                k,
                self.neighbour(k, j, carbonyl)?,
            ];
            return torsion("phi", k, atoms, Kind::Phi { alpha: k });
        }
        if self.is_alpha(j) && carbonyl(k) {
            let atoms = [
                self.neighbour(j, k, nitrogen)?,
                j,
                k,
                self.neighbour(k, j, nitrogen)?,
            ];
            return torsion("psi", j, atoms, Kind::Psi { alpha: j });
        }
        if carbonyl(j) && nitrogen(k) {
            let carbon = |atom: usize| self.is(atom, Element::CARBON);
            let alpha = |atom: usize| self.is_alpha(atom);
            // The alpha carbon, where a second substituent, as in proline, is beside it.
            let outer = |atom, but| {
                self.neighbour(atom, but, alpha)
                    .or_else(|| self.neighbour(atom, but, carbon))
            };
            let (first, last) = (outer(j, k)?, outer(k, j)?);
            if alpha(first) || alpha(last) {
                return torsion("omega", first, [first, j, k, last], Kind::Omega);
            }
        }
        None
    }

    /// What a torsion about a bond is that is none of the backbone.
    fn kind(&self, j: usize, k: usize) -> Kind {
        let is_tetrahedral = |atom: usize| match self.neighbours[atom].len() {
            4 => true,
            2 => self.molecule.atoms[atom].element.is_chalcogen(),
            _ => false,
        };
        if is_tetrahedral(j) && is_tetrahedral(k) {
            Kind::Staggered
        } else {
            Kind::Other
        }
    }

    fn plain(&self, atoms: [usize; 4], kind: Kind) -> Torsion {
        let names = atoms.map(|atom| self.atom_name(atom)).join("-");
        let [_, j, ..] = atoms;
        let residue = self.molecule.atoms[j].residue.is_some();
        let name = if residue {
            format!("{} {names}", self.label(j))
        } else {
            names
        };
        Torsion { name, atoms, kind }
    }

    /// The atom's name, or its element with its number, from 1, where it has none of its own.
    fn atom_name(&self, atom: usize) -> String {
        let found = &self.molecule.atoms[atom];
        if found.name == found.element.symbol() {
            format!("{}{}", found.name, atom + 1)
        } else {
            found.name.clone()
        }
    }

    /// The atom's residue, or the atom itself where there are none.
    fn label(&self, atom: usize) -> String {
        match self.molecule.atoms[atom].residue {
            Some(index) => {
                let residue = &self.molecule.residues[index];
                format!("{} {}", residue.name, residue.number)
            }
            None => self.atom_name(atom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(smiles: &str) -> Vec<Torsion> {
        torsions(&Molecule::from_smiles(smiles).unwrap())
    }

    #[test]
    fn psi_ends_at_the_next_nitrogen() {
        //            0 1  2 3 4    5 6  7 8 9
        let found = of("CC(=O)N[C@@H](C)C(=O)NC");
        let named: Vec<(&str, [usize; 4])> = found
            .iter()
            .map(|torsion| (torsion.name.as_str(), torsion.atoms))
            .collect();
        let expected = [
            ("omega C1", [0, 1, 3, 4]),
            ("phi C5", [1, 3, 4, 6]),
            ("psi C5", [3, 4, 6, 8]),
            ("omega C5", [4, 6, 8, 9]),
        ];
        assert_eq!(named, expected);
        let pairs = ramachandran(&found);
        assert_eq!(pairs.len(), 1);
        assert_eq!(
            pairs[0].1.each_ref().map(|torsion| torsion.atoms[1]),
            [3, 4]
        );
    }

    #[test]
    fn proline_has_an_omega_to_its_alpha_carbon_and_no_phi() {
        //               0 1  2 3 4 5 6 7    8 9  10
        let found = of("CC(=O)N1CCC[C@H]1C(=O)NC");
        let named: Vec<&str> = found.iter().map(|torsion| torsion.name.as_str()).collect();
        assert_eq!(named, ["omega C1", "psi C8", "omega C8"]);
        assert_eq!(found[0].atoms, [0, 1, 3, 7]);
    }

    #[test]
    fn only_bonds_between_tetrahedral_atoms_are_staggered() {
        assert_eq!(of("CCCC")[0].kind, Kind::Staggered);
        assert_eq!(of("CCCC")[0].name, "C1-C2-C3-C4");
        // Butanone, about the bond at the carbonyl.
        assert_eq!(of("CCC(=O)C")[0].kind, Kind::Other);
        // An amide that is part of no peptide.
        assert_eq!(of("CC(=O)NC")[0].kind, Kind::Other);
        assert_eq!(of("CCOC")[0].kind, Kind::Staggered);
        assert_eq!(of("Oc1ccccc1")[0].kind, Kind::Other);
    }

    #[test]
    fn hydroxyls_and_chairs_are_states() {
        let states = |smiles: &str| {
            let count = |torsion: &Torsion| torsion.kind.rotamers().len();
            of(smiles).iter().map(count).collect::<Vec<_>>()
        };
        assert_eq!(states("CCCCC"), [3, 3]);
        assert_eq!(states("OCCO"), [3, 3, 3]);
        let cyclohexanol = of("OC1CCCCC1");
        let kinds: Vec<Kind> = cyclohexanol.iter().map(|torsion| torsion.kind).collect();
        assert_eq!(kinds, [Kind::Staggered, Kind::RingSubstituent]);
        assert_eq!(cyclohexanol[1].name, "C4-C3-C2-O1");
    }

    #[test]
    fn the_first_two_wells_share_the_circle() {
        let alpha = 0;
        for kind in [
            Kind::Phi { alpha },
            Kind::Psi { alpha },
            Kind::Omega,
            Kind::Staggered,
            Kind::RingSubstituent,
            Kind::Other,
        ] {
            let wells = kind.wells();
            for degree in -540..540 {
                let angle = f64::from(degree) + 0.5;
                let inside = wells.iter().map(|well| well.contains(angle.to_radians()));
                let inside: Vec<bool> = inside.collect();
                assert!(inside[0] != inside[1], "{kind:?} at {angle}°");
                // What follows divides the second.
                let parts = inside[2..].iter().filter(|found| **found).count();
                assert!(wells.len() == 2 || parts == usize::from(inside[1]));
                let rotamers = kind.rotamers().into_iter();
                let holding = rotamers.filter(|well| well.contains(angle.to_radians()));
                assert_eq!(holding.count(), 1);
            }
        }
    }
}
