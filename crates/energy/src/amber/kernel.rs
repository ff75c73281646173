//! One evaluation of all terms, and the choice of the instruction set it runs on.

use super::point::Point;
use super::tables::Tables;
use super::vector::{Scalar, Two, Vector};
use super::{bonded, nonbonded};

/// How many terms are told apart.
pub(super) const TERMS: usize = 7;
pub(super) const BOND: usize = 0;
pub(super) const ANGLE: usize = 1;
pub(super) const TORSION: usize = 2;
pub(super) const LENNARD_JONES: usize = 3;
pub(super) const COULOMB: usize = 4;
pub(super) const BORN: usize = 5;
pub(super) const SURFACE: usize = 6;
/// Their names.
pub(super) const NAMES: [&str; TERMS] = [
    "bond",
    "angle",
    "torsion",
    "lennard_jones",
    "coulomb",
    "born",
    "surface",
];

/// What is kept of a pair between the passes.
#[derive(Clone, Copy)]
pub(super) struct PairWork<V> {
    /// `r²`.
    pub squared: V,
    /// `dE/dr / r` at fixed Born radii.
    pub slope: V,
    /// `dI/dr / r` of the later and of the earlier atom.
    pub integral_slopes: [V; 2],
}

/// Memory of an evaluation; everything is per atom but `pairs`.
pub(super) struct Scratch<V> {
    pub x: Vec<Point<V>>,
    pub gradient: Vec<Point<V>>,
    pub pairs: Vec<PairWork<V>>,
    /// The descreening integral, then `dB/dI`.
    pub integral: Vec<V>,
    pub born: Vec<V>,
    pub inverse_born: Vec<V>,
    /// `dE/dB`, then `dE/dI`.
    pub born_slope: Vec<V>,
}

impl<V: Vector> Scratch<V> {
    pub fn new(tables: &Tables) -> Self {
        let zero = V::splat(0.0);
        let spheres = tables.spheres.len();
        let pairs = if spheres > 0 { tables.pairs.len() } else { 0 };
        Self {
            x: vec![[zero; 3]; tables.atoms],
            gradient: vec![[zero; 3]; tables.atoms],
            pairs: vec![
                PairWork {
                    squared: zero,
                    slope: zero,
                    integral_slopes: [zero; 2]
                };
                pairs
            ],
            integral: vec![zero; spheres],
            born: vec![zero; spheres],
            inverse_born: vec![zero; spheres],
            born_slope: vec![zero; spheres],
        }
    }
}

/// Energies term by term at the configurations in `x`, one after another (at most as many as lanes; the last one fills the rest),
/// and their gradients.
#[inline(always)]
fn evaluate<V: Vector>(
    tables: &Tables,
    scratch: &mut Scratch<V>,
    x: &[f64],
    gradients: &mut [f64],
) -> [V; TERMS] {
    let size = 3 * tables.atoms;
    let last = x.len() / size - 1;
    for (atom, point) in scratch.x.iter_mut().enumerate() {
        for axis in 0..3 {
            point[axis] = V::from_lanes(0, |lane| x[lane.min(last) * size + 3 * atom + axis]);
        }
    }
    let zero = V::splat(0.0);
    scratch.gradient.fill([zero; 3]);
    let mut terms = [zero; TERMS];
    terms[BOND] = bonded::bonds(&tables.bonds, &scratch.x, &mut scratch.gradient);
    terms[ANGLE] = bonded::angles(&tables.angles, &scratch.x, &mut scratch.gradient);
    terms[TORSION] = bonded::torsions(&tables.torsions, &scratch.x, &mut scratch.gradient);
    if tables.spheres.is_empty() {
        nonbonded::vacuum(tables, scratch, &mut terms);
    } else {
        nonbonded::solvent(tables, scratch, &mut terms);
    }
    for (lane, gradient) in gradients.chunks_exact_mut(size).enumerate() {
        for (out, point) in gradient.chunks_exact_mut(3).zip(&scratch.gradient) {
            for axis in 0..3 {
                out[axis] = point[axis].lane(lane);
            }
        }
    }
    terms
}

/// A [`Vector`] that knows how to run the evaluation on its instruction set.
pub(super) trait Kernel: Vector {
    fn run(
        tables: &Tables,
        scratch: &mut Scratch<Self>,
        x: &[f64],
        gradients: &mut [f64],
    ) -> [Self; TERMS];
}

macro_rules! kernel {
    ($type:ty) => {
        impl Kernel for $type {
            fn run(
                tables: &Tables,
                scratch: &mut Scratch<Self>,
                x: &[f64],
                gradients: &mut [f64],
            ) -> [Self; TERMS] {
                evaluate(tables, scratch, x, gradients)
            }
        }
    };
    ($type:ty, $features:literal) => {
        impl Kernel for $type {
            fn run(
                tables: &Tables,
                scratch: &mut Scratch<Self>,
                x: &[f64],
                gradients: &mut [f64],
            ) -> [Self; TERMS] {
                #[target_feature(enable = $features)]
                fn run(
                    tables: &Tables,
                    scratch: &mut Scratch<$type>,
                    x: &[f64],
                    gradients: &mut [f64],
                ) -> [$type; TERMS] {
                    evaluate(tables, scratch, x, gradients)
                }
                // SAFETY: evaluators of this type are made only at the `Level` that `Level::detect` has found.
                unsafe { run(tables, scratch, x, gradients) }
            }
        }
    };
}

pub(super) type Portable = Two<Two<Two<Scalar<false>>>>;
kernel!(Portable);
kernel!(Scalar<false>);

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::super::vector::{Avx2, Avx512};
    use super::{Kernel, Scalar, Scratch, TERMS, Tables, Two, evaluate};

    pub(in super::super) type Wide = Two<Avx2>;
    kernel!(Wide, "avx2,fma");
    kernel!(Avx512, "avx512f,avx2,fma");
    kernel!(Scalar<true>, "avx2,fma");
}
#[cfg(target_arch = "aarch64")]
pub(super) type Fused = Two<Two<Two<Scalar<true>>>>;
#[cfg(target_arch = "aarch64")]
kernel!(Fused);
#[cfg(target_arch = "aarch64")]
kernel!(Scalar<true>);

/// Which instructions this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Eight numbers in a register.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Four numbers in a register.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What the compiler's target has, with fused multiply-adds.
    #[cfg(target_arch = "aarch64")]
    Fused,
    /// What the compiler's target has.
    #[cfg_attr(
        target_arch = "aarch64",
        expect(dead_code, reason = "every such machine has fused multiply-adds")
    )]
    Portable,
}

impl Level {
    /// Asks the machine, within what [`crate::simd::limit`] leaves.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use crate::simd::{Widest, allows};
            let fused = std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma");
            if fused && std::arch::is_x86_feature_detected!("avx512f") && allows(Widest::Avx512) {
                return Self::Avx512;
            }
            if fused && allows(Widest::Avx2) {
                return Self::Avx2;
            }
        }
        #[cfg(target_arch = "aarch64")]
        return Self::Fused;
        #[cfg(not(target_arch = "aarch64"))]
        Self::Portable
    }
}
