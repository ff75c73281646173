//! The parameters of one molecule, laid out for evaluation.

use std::collections::{BTreeMap, HashMap};

use super::{Implicit, KILOCALORIE};
use crate::prmtop::Prmtop;

/// `k (r − r₀)²`.
pub(super) struct Bond {
    pub atoms: [usize; 2],
    pub stiffness: f64,
    pub length: f64,
}

/// `k (θ − θ₀)²`.
pub(super) struct Angle {
    pub atoms: [usize; 3],
    pub stiffness: f64,
    pub sine: f64,
    pub cosine: f64,
}

/// `c + Σ_n (a_n cos nφ + b_n sin nφ)`: all cosine terms of four atoms together.
pub(super) struct Torsion {
    pub atoms: [usize; 4],
    pub constant: f64,
    /// `[a_n, b_n]` for n = 1, 2, …
    pub harmonics: Vec<[f64; 2]>,
}

/// What one atom and an earlier one do to each other.
#[derive(Clone, Copy, Default)]
pub(super) struct Pair {
    /// The earlier atom.
    pub other: usize,
    /// Of `1/r¹²`.
    pub repulsion: f64,
    /// Of `−1/r⁶`.
    pub dispersion: f64,
    /// Of `1/r`.
    pub coulomb: f64,
    /// Of `1/f` in the generalised Born energy.
    pub born: f64,
}

/// One atom in the generalised Born model (Å).
pub(super) struct Sphere {
    /// `R`: the intrinsic radius.
    pub radius: f64,
    /// `ρ`: the radius less the offset.
    pub reduced: f64,
    /// `s`: the scaled radius with which it descreens others.
    pub scaled: f64,
    /// The self energy times the Born radius.
    pub own: f64,
    /// The surface energy times the sixth power of the Born radius.
    pub surface: f64,
}

/// How the Born radius follows from the descreening integral.
pub(super) enum Rescaling {
    /// `1/B = 1/ρ − I`.
    None,
    /// `1/B = 1/ρ − tanh(αψ − βψ² + γψ³)/R`, `ψ = ρ I`.
    Tanh { alpha: f64, beta: f64, gamma: f64 },
}

/// Everything the kernels need.
pub(super) struct Tables {
    pub atoms: usize,
    pub bonds: Vec<Bond>,
    pub angles: Vec<Angle>,
    pub torsions: Vec<Torsion>,
    /// Pairs of atom `i` with earlier ones: `pairs[rows[i]..rows[i + 1]]`.
    pub rows: Vec<usize>,
    pub pairs: Vec<Pair>,
    /// Empty in vacuum.
    pub spheres: Vec<Sphere>,
    pub rescaling: Rescaling,
}

/// Coulomb's constant in kJ·nm/mol/e² (CODATA, as OpenMM has it).
const COULOMB: f64 = 138.93545764438198;
/// The older value in the generalised Born energies of HCT and OBC1 of OpenMM's AMBER reader.
const COULOMB_CUSTOM: f64 = 138.935485;
/// Dielectric constant of water.
const WATER: f64 = 78.5;
/// What intrinsic radii are reduced by (Å).
const OFFSET: f64 = 0.09;
/// Surface energy in kJ/mol/nm²: 4π times 2.25936, after Schaefer, Bartels and Karplus (1998).
const SURFACE: f64 = 28.3919551;
/// Radius of a water molecule (Å).
const PROBE: f64 = 1.4;

impl Tables {
    pub fn new(prmtop: &Prmtop, spheres: &[[f64; 2]], implicit: Implicit) -> Self {
        let charges = prmtop.charges();
        let bonds = prmtop.bond_terms().iter();
        let angles = prmtop.angle_terms().iter();
        let mut tables = Self {
            atoms: charges.len(),
            bonds: bonds
                .map(|t| Bond {
                    atoms: t.atoms,
                    stiffness: t.stiffness,
                    length: t.equilibrium,
                })
                .collect(),
            angles: angles
                .map(|t| {
                    let (sine, cosine) = t.equilibrium.sin_cos();
                    Angle {
                        atoms: t.atoms,
                        stiffness: t.stiffness,
                        sine,
                        cosine,
                    }
                })
                .collect(),
            torsions: torsions(prmtop),
            rows: vec![0],
            pairs: Vec::new(),
            spheres: Vec::new(),
            rescaling: rescaling(implicit),
        };
        tables.fill_pairs(prmtop, implicit);
        if implicit != Implicit::Vacuum {
            let spheres = spheres.iter().zip(charges);
            tables.spheres = spheres
                .map(|(&[radius, screen], charge)| sphere(radius, screen, *charge, implicit))
                .collect();
        }
        tables
    }

    fn fill_pairs(&mut self, prmtop: &Prmtop, implicit: Implicit) {
        let charges = prmtop.charges();
        let mut scaled: HashMap<[usize; 2], [f64; 3]> = HashMap::new();
        for term in prmtop.one_four_pairs() {
            let [i, j] = term.atoms;
            let [repulsion, dispersion] = prmtop.lennard_jones(i, j);
            let sum = scaled.entry([i.min(j), i.max(j)]).or_default();
            sum[0] += repulsion / term.lennard_jones_divisor;
            sum[1] += dispersion / term.lennard_jones_divisor;
            sum[2] += coulomb() * charges[i] * charges[j] / term.coulomb_divisor;
        }
        for i in 0..self.atoms {
            for j in 0..i {
                let mut pair = Pair {
                    other: j,
                    born: born_factor(implicit) * charges[i] * charges[j],
                    ..Pair::default()
                };
                if !prmtop.excluded(j, i) {
                    [pair.repulsion, pair.dispersion] = prmtop.lennard_jones(j, i);
                    pair.coulomb = coulomb() * charges[i] * charges[j];
                }
                if let Some([repulsion, dispersion, coulomb]) = scaled.get(&[j, i]) {
                    pair.repulsion += repulsion;
                    pair.dispersion += dispersion;
                    pair.coulomb += coulomb;
                }
                let acts = pair.repulsion != 0.0 || pair.dispersion != 0.0 || pair.coulomb != 0.0;
                if acts || implicit != Implicit::Vacuum {
                    self.pairs.push(pair);
                }
            }
            self.rows.push(self.pairs.len());
        }
    }
}

/// `K` in kcal·Å/mol/e².
fn coulomb() -> f64 {
    COULOMB * 10.0 / KILOCALORIE
}

/// `−K (1 − 1/ε)` in kcal·Å/mol/e².
fn born_factor(implicit: Implicit) -> f64 {
    let constant = match implicit {
        Implicit::Vacuum => return 0.0,
        Implicit::Hct | Implicit::Obc1 => COULOMB_CUSTOM,
        Implicit::Obc2 => COULOMB,
    };
    -constant * 10.0 / KILOCALORIE * (1.0 - 1.0 / WATER)
}

fn rescaling(implicit: Implicit) -> Rescaling {
    match implicit {
        Implicit::Vacuum | Implicit::Hct => Rescaling::None,
        Implicit::Obc1 => Rescaling::Tanh {
            alpha: 0.8,
            beta: 0.0,
            gamma: 2.909125,
        },
        Implicit::Obc2 => Rescaling::Tanh {
            alpha: 1.0,
            beta: 0.8,
            gamma: 4.85,
        },
    }
}

fn sphere(radius: f64, screen: f64, charge: f64, implicit: Implicit) -> Sphere {
    let reduced = radius - OFFSET;
    Sphere {
        radius,
        reduced,
        scaled: screen * reduced,
        own: 0.5 * born_factor(implicit) * charge * charge,
        surface: SURFACE * 0.01 / KILOCALORIE * (radius + PROBE).powi(2) * radius.powi(6),
    }
}

/// Gathers the cosines of each four atoms, in the order of the file.
fn torsions(prmtop: &Prmtop) -> Vec<Torsion> {
    let mut places: BTreeMap<[usize; 4], usize> = BTreeMap::new();
    let mut torsions: Vec<Torsion> = Vec::new();
    for term in prmtop.torsion_terms() {
        let place = *places.entry(term.atoms).or_insert_with(|| {
            torsions.push(Torsion {
                atoms: term.atoms,
                constant: 0.0,
                harmonics: Vec::new(),
            });
            torsions.len() - 1
        });
        let torsion = &mut torsions[place];
        let (sine, cosine) = term.phase.sin_cos();
        torsion.constant += term.barrier;
        if term.periodicity == 0 {
            torsion.constant += term.barrier * cosine;
            continue;
        }
        if torsion.harmonics.len() < term.periodicity {
            torsion.harmonics.resize(term.periodicity, [0.0; 2]);
        }
        let [a, b] = &mut torsion.harmonics[term.periodicity - 1];
        *a += term.barrier * cosine;
        *b += term.barrier * sine;
    }
    // Torsions without a barrier are common; they do nothing.
    torsions.retain(|torsion| {
        torsion.constant != 0.0 || torsion.harmonics.iter().flatten().any(|&c| c != 0.0)
    });
    torsions
}
