//! Pair potentials evaluated for several configurations at a time, one in each lane.

use crate::{EnergyError, Evaluator};

/// Configurations evaluated together.
const LANES: usize = 8;

/// One number for each of `L` configurations.
type Lane<const L: usize> = [f64; L];

/// A sum over pairs of points, plus whatever acts on single points.
pub(super) trait Pairwise: Send + Sync {
    /// Points of a configuration.
    fn points(&self) -> usize;
    /// The pair potential `u(r)` and `u'(r) / r`, from `r²`.
    fn pair(&self, squared: f64) -> (f64, f64);
    /// Stiffness `k` of `½ k Σ |x_i − x̄|²`.
    fn confinement(&self) -> f64;
}

/// Evaluates a [`Pairwise`] potential in `D` dimensions.
///
/// The arithmetic of a configuration does not depend on its lane or on its neighbours, so a batch has the bits of single evaluations.
pub(super) struct Lanes<P, const D: usize> {
    potential: P,
    x: Vec<Lane<LANES>>,
    gradient: Vec<Lane<LANES>>,
    x_single: Vec<Lane<1>>,
    gradient_single: Vec<Lane<1>>,
}

impl<P: Pairwise, const D: usize> Lanes<P, D> {
    pub(super) fn new(potential: P) -> Self {
        let size = potential.points() * D;
        Self {
            potential,
            x: vec![[0.0; LANES]; size],
            gradient: vec![[0.0; LANES]; size],
            x_single: vec![[0.0]; size],
            gradient_single: vec![[0.0]; size],
        }
    }
}

impl<P: Pairwise, const D: usize> Evaluator for Lanes<P, D> {
    fn evaluate(&mut self, x: &[f64], gradient: &mut [f64]) -> Result<f64, EnergyError> {
        let size = self.x.len();
        if x.len() != size || gradient.len() != size {
            return Err(EnergyError::Size {
                expected: size,
                found: x.len(),
            });
        }
        gather(x, &mut self.x_single);
        let [value] =
            evaluate::<_, D, 1>(&self.potential, &self.x_single, &mut self.gradient_single);
        scatter(&self.gradient_single, gradient);
        finite(value)
    }

    fn evaluate_batch(
        &mut self,
        x: &[f64],
        gradients: &mut [f64],
        size: usize,
    ) -> Vec<Result<f64, EnergyError>> {
        let expected = self.x.len();
        if size != expected {
            return EnergyError::size_of_each(expected, size, x.len());
        }
        let mut outcomes = Vec::with_capacity(x.len() / size);
        let mut blocks = x.chunks_exact(size * LANES);
        let mut gradient_blocks = gradients.chunks_exact_mut(size * LANES);
        for (x, gradients) in blocks.by_ref().zip(gradient_blocks.by_ref()) {
            gather(x, &mut self.x);
            let values = evaluate::<_, D, LANES>(&self.potential, &self.x, &mut self.gradient);
            scatter(&self.gradient, gradients);
            outcomes.extend(values.map(finite));
        }
        let rest = blocks.remainder().chunks_exact(size);
        for (x, gradient) in rest.zip(gradient_blocks.into_remainder().chunks_exact_mut(size)) {
            outcomes.push(self.evaluate(x, gradient));
        }
        outcomes
    }
}

fn finite(value: f64) -> Result<f64, EnergyError> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(EnergyError::NotFinite { value })
    }
}

/// From configuration after configuration to coordinate after coordinate.
fn gather<const L: usize>(x: &[f64], lanes: &mut [Lane<L>]) {
    for (lane, configuration) in x.chunks_exact(lanes.len()).enumerate() {
        for (coordinates, value) in lanes.iter_mut().zip(configuration) {
            coordinates[lane] = *value;
        }
    }
}

/// The inverse of [`gather`].
fn scatter<const L: usize>(lanes: &[Lane<L>], x: &mut [f64]) {
    for (lane, configuration) in x.chunks_exact_mut(lanes.len()).enumerate() {
        for (coordinates, value) in lanes.iter().zip(configuration) {
            *value = coordinates[lane];
        }
    }
}

/// `Σ_{i<j} u(r_ij) + ½ k Σ_i |x_i − x̄|²` and its gradient, in each lane.
#[inline]
fn evaluate<P: Pairwise, const D: usize, const L: usize>(
    potential: &P,
    x: &[Lane<L>],
    gradient: &mut [Lane<L>],
) -> Lane<L> {
    let points = potential.points();
    let mut total = [0.0; L];
    confine::<D, L>(potential.confinement(), x, gradient, &mut total);
    for i in 1..points {
        let here: [Lane<L>; D] = std::array::from_fn(|axis| x[i * D + axis]);
        let mut pull = [[0.0; L]; D];
        for j in 0..i {
            let mut difference = [[0.0; L]; D];
            let mut squared = [0.0; L];
            for axis in 0..D {
                for lane in 0..L {
                    let d = here[axis][lane] - x[j * D + axis][lane];
                    difference[axis][lane] = d;
                    squared[lane] += d * d;
                }
            }
            let mut slope = [0.0; L];
            for lane in 0..L {
                let (value, over_r) = potential.pair(squared[lane]);
                total[lane] += value;
                slope[lane] = over_r;
            }
            for axis in 0..D {
                for lane in 0..L {
                    let g = slope[lane] * difference[axis][lane];
                    pull[axis][lane] += g;
                    gradient[j * D + axis][lane] -= g;
                }
            }
        }
        for axis in 0..D {
            for lane in 0..L {
                gradient[i * D + axis][lane] += pull[axis][lane];
            }
        }
    }
    total
}

/// Sets `gradient` to that of `½ k Σ_i |x_i − x̄|²` and adds the energy.
#[inline]
fn confine<const D: usize, const L: usize>(
    k: f64,
    x: &[Lane<L>],
    gradient: &mut [Lane<L>],
    total: &mut Lane<L>,
) {
    let points = (x.len() / D) as f64;
    for axis in 0..D {
        let mut mean = [0.0; L];
        for coordinate in x.iter().skip(axis).step_by(D) {
            for lane in 0..L {
                mean[lane] += coordinate[lane];
            }
        }
        for (coordinate, gradient) in x.iter().zip(gradient.iter_mut()).skip(axis).step_by(D) {
            for lane in 0..L {
                let off = coordinate[lane] - mean[lane] / points;
                gradient[lane] = k * off;
                total[lane] += 0.5 * k * off * off;
            }
        }
    }
}
