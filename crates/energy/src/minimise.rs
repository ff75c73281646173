//! Minimisation of an energy.

use std::collections::VecDeque;

use crate::{EnergyError, Evaluator};

/// How far a minimisation goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Minimisation {
    /// It has converged when the root mean square of the gradient's components is below this (kcal/mol/Å, or reduced).
    pub tolerance: f64,
    /// Most iterations (directions) it may take.
    pub iterations: usize,
    /// No coordinate moves further than this in one iteration (Å, or reduced).
    pub largest_step: f64,
}

impl Default for Minimisation {
    fn default() -> Self {
        Self {
            tolerance: 1e-2,
            iterations: 2000,
            largest_step: 0.3,
        }
    }
}

/// How a minimisation went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Minimum {
    /// The energy where it ended.
    pub energy: f64,
    /// Root mean square of the gradient's components there.
    pub gradient_rms: f64,
    /// Directions taken.
    pub iterations: usize,
    /// Energies and gradients evaluated.
    pub evaluations: usize,
    /// Whether the tolerance was reached; if not, the iterations ran out or rounding hides all further descent.
    pub converged: bool,
}

/// Pairs of steps and gradient changes that are remembered.
const MEMORY: usize = 10;
/// Armijo's constant: the least share of the promised descent.
const DESCENT: f64 = 1e-4;
/// Wolfe's constant: the largest share of the slope that may remain.
const CURVATURE: f64 = 0.9;
/// Relative rounding error of an energy.
const ROUNDING: f64 = 1e-13;
/// Evaluations along one direction.
const TRIALS: usize = 40;

/// A step, the gradient's change along it, and the reciprocal of their product.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    rho: f64,
}

/// Moves `x` to a nearby local minimum by L-BFGS (Liu and Nocedal, 1989), with the bisecting line search for the weak Wolfe conditions
/// of Lewis and Overton (2013).
///
/// # Errors
/// If the energy fails at the start, or for another reason than not being finite on the way.
pub fn minimise(
    evaluator: &mut (dyn Evaluator + '_),
    x: &mut [f64],
    settings: &Minimisation,
) -> Result<Minimum, EnergyError> {
    let mut gradient = vec![0.0; x.len()];
    let mut energy = evaluator.evaluate(x, &mut gradient)?;
    let mut pairs: VecDeque<Pair> = VecDeque::with_capacity(MEMORY);
    let (mut iterations, mut evaluations) = (0, 1);
    while rms(&gradient) > settings.tolerance && iterations < settings.iterations {
        iterations += 1;
        let mut direction = descent(&gradient, &pairs);
        if dot(&direction, &gradient) >= 0.0 {
            pairs.clear();
            direction = descent(&gradient, &pairs);
        }
        let longest = direction
            .iter()
            .fold(0.0_f64, |longest, d| longest.max(d.abs()));
        let first = if pairs.is_empty() {
            0.1_f64.min(settings.largest_step) / longest
        } else {
            1.0
        };
        let limit = settings.largest_step / longest;
        let mut line = Line {
            evaluator,
            origin: x,
            energy,
            gradient: &gradient,
            direction: &direction,
            evaluations: 0,
        };
        let found = line.search(first.min(limit), limit)?;
        evaluations += line.evaluations;
        let Some(point) = found else {
            if pairs.is_empty() {
                break;
            }
            pairs.clear();
            continue;
        };
        let step = difference(&point.x, x);
        let change = difference(&point.gradient, &gradient);
        let product = dot(&step, &change);
        if product > 1e-12 * dot(&change, &change).sqrt() * dot(&step, &step).sqrt() {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back(Pair {
                step,
                change,
                rho: 1.0 / product,
            });
        }
        x.copy_from_slice(&point.x);
        (energy, gradient) = (point.energy, point.gradient);
    }
    let gradient_rms = rms(&gradient);
    Ok(Minimum {
        energy,
        gradient_rms,
        iterations,
        evaluations,
        converged: gradient_rms <= settings.tolerance,
    })
}

/// `−H g` by the two-loop recursion.
fn descent(gradient: &[f64], pairs: &VecDeque<Pair>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let share = pair.rho * dot(&pair.step, &q);
        add(&mut q, -share, &pair.change);
        shares.push(share);
    }
    if let Some(last) = pairs.back() {
        let scale = 1.0 / (last.rho * dot(&last.change, &last.change));
        for q in &mut q {
            *q *= scale;
        }
    }
    for (pair, share) in pairs.iter().zip(shares.into_iter().rev()) {
        let correction = share - pair.rho * dot(&pair.change, &q);
        add(&mut q, correction, &pair.step);
    }
    q
}

/// A half line from `origin` along `direction`.
struct Line<'a, 'e> {
    evaluator: &'a mut (dyn Evaluator + 'e),
    origin: &'a [f64],
    energy: f64,
    gradient: &'a [f64],
    direction: &'a [f64],
    evaluations: usize,
}

/// Where a line search ended.
struct Point {
    x: Vec<f64>,
    energy: f64,
    gradient: Vec<f64>,
}

impl Line<'_, '_> {
    /// A point up to `limit` with enough descent and, unless the limit is reached, little enough slope.
    fn search(&mut self, first: f64, limit: f64) -> Result<Option<Point>, EnergyError> {
        let slope = dot(self.direction, self.gradient);
        let (mut low, mut high, mut t) = (0.0, f64::INFINITY, first);
        for _ in 0..TRIALS {
            let point = self.at(t)?;
            let slope_there = dot(self.direction, &point.gradient);
            let descended = point.energy <= self.energy + DESCENT * t * slope;
            // Near the minimum rounding hides the descent; the slope still shows it (Hager and Zhang, 2005).
            let level = point.energy <= self.energy + ROUNDING * self.energy.abs();
            if !(descended || level && slope_there <= (2.0 * DESCENT - 1.0) * slope) {
                high = t;
            } else if t < limit && slope_there < CURVATURE * slope {
                low = t;
            } else {
                return Ok(Some(point));
            }
            t = if high.is_finite() {
                0.5 * (low + high)
            } else {
                (2.0 * low).min(limit)
            };
        }
        Ok(None)
    }

    /// Evaluates at distance `t`; an energy that is not finite counts as infinite.
    fn at(&mut self, t: f64) -> Result<Point, EnergyError> {
        let mut x = self.origin.to_vec();
        add(&mut x, t, self.direction);
        let mut gradient = vec![0.0; x.len()];
        self.evaluations += 1;
        let energy = match self.evaluator.evaluate(&x, &mut gradient) {
            Ok(energy) => energy,
            Err(EnergyError::NotFinite { .. }) => f64::INFINITY,
            Err(error) => return Err(error),
        };
        Ok(Point {
            x,
            energy,
            gradient,
        })
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(a: &mut [f64], scale: f64, b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += scale * b);
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn rms(a: &[f64]) -> f64 {
    (dot(a, a) / a.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;
    use crate::check::cloud;
    use crate::{Energy, LennardJones};

    #[test]
    fn thirteen_points_on_an_icosahedron_relax_to_the_known_minimum() {
        // Hoare and Pal (1971): −44.326801 pair depths.
        let golden = f64::midpoint(1.0, 5.0_f64.sqrt());
        let mut x = vec![0.0; 3];
        for (a, b) in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
            x.extend([0.0, a, b * golden]);
            x.extend([a, b * golden, 0.0]);
            x.extend([b * golden, 0.0, a]);
        }
        let disturbance = cloud(13, 3, 0.1, 5);
        x.iter_mut()
            .zip(disturbance)
            .for_each(|(x, d)| *x = 0.55 * *x + d);
        let cluster = LennardJones::new(13, 1.0, 0.0).unwrap();
        let settings = Minimisation {
            tolerance: 1e-8,
            ..Minimisation::default()
        };
        let found = minimise(&mut *cluster.evaluator().unwrap(), &mut x, &settings).unwrap();
        assert!(found.converged, "{found:?}");
        assert_relative_eq!(found.energy, -44.326801, epsilon = 1e-6);
    }

    #[test]
    fn the_minimum_of_a_poor_start_has_no_gradient_and_a_lower_energy() {
        let cluster = LennardJones::new(20, 1.0, 1.0).unwrap();
        for seed in 0..10 {
            let mut x = cloud(20, 3, 1.0, seed);
            let mut evaluator = cluster.evaluator().unwrap();
            let before = evaluator.evaluate(&x, &mut vec![0.0; 60]).unwrap();
            let settings = Minimisation {
                tolerance: 1e-7,
                ..Minimisation::default()
            };
            let found = minimise(&mut *evaluator, &mut x, &settings).unwrap();
            assert!(found.converged && found.energy < before, "{found:?}");
            let mut gradient = vec![0.0; 60];
            assert_relative_eq!(evaluator.evaluate(&x, &mut gradient).unwrap(), found.energy);
            assert!(rms(&gradient) < 1e-7);
        }
    }

    #[test]
    fn iterations_that_run_out_are_reported() {
        let cluster = LennardJones::new(20, 1.0, 1.0).unwrap();
        let settings = Minimisation {
            tolerance: 1e-10,
            iterations: 3,
            ..Minimisation::default()
        };
        let found = minimise(
            &mut *cluster.evaluator().unwrap(),
            &mut cloud(20, 3, 1.0, 1),
            &settings,
        )
        .unwrap();
        assert!(!found.converged);
        assert_eq!(found.iterations, 3);
    }
}
