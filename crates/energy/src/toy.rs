//! Toy targets in reduced units: what they are called on the command line and in configs.

mod double_well;
mod lanes;
mod lennard_jones;

use std::fmt;
use std::str::FromStr;

pub use double_well::DoubleWell;
pub use lennard_jones::LennardJones;

use crate::{Energy, EnergyError, Evaluator, Units};

/// A toy target by name: `dw4`, or `lj:N,eps,k`.
///
/// ```
/// use boltzflow_energy::{Energy, Target};
///
/// let target: Target = "lj:13,2,1".parse()?;
/// assert_eq!((target.points(), target.dims()), (13, 3));
/// assert_eq!(target.to_string(), "lj:13,2,1");
/// # Ok::<(), boltzflow_energy::TargetError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// Four points in the plane, a double well for each pair.
    DoubleWell(DoubleWell),
    /// A confined Lennard-Jones cluster.
    LennardJones(LennardJones),
}

/// Why a target cannot be had from its name.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// No such target.
    #[error("{found:?} is no target; there are `dw4` and `lj:N,eps,k`, such as `lj:13,2,1`")]
    Unknown {
        /// What was asked for.
        found: String,
    },
    /// The text after `lj:` is not three numbers.
    #[error(
        "the target {found:?} needs three numbers after `lj:` (points, well depth, confinement), such as `lj:13,2,1`; {detail}"
    )]
    Numbers {
        /// What was asked for.
        found: String,
        /// What is wrong with it.
        detail: String,
    },
    /// One number is out of its range.
    #[error("the {quantity} of a Lennard-Jones target must be {range}, but {found} was given")]
    Range {
        /// Which number.
        quantity: &'static str,
        /// Where it may lie.
        range: &'static str,
        /// What was given.
        found: f64,
    },
}

impl Target {
    /// A configuration to start a simulation from: a slightly disturbed lattice about the origin.
    ///
    /// # Shapes
    /// `points · dims`.
    pub fn start(&self) -> Vec<f64> {
        match self {
            Self::DoubleWell(_) => lattice(self.points(), self.dims(), 3.0),
            Self::LennardJones(_) => lattice(self.points(), self.dims(), 1.1),
        }
    }

    fn energy(&self) -> &dyn Energy {
        match self {
            Self::DoubleWell(target) => target,
            Self::LennardJones(target) => target,
        }
    }
}

impl Energy for Target {
    fn points(&self) -> usize {
        self.energy().points()
    }

    fn dims(&self) -> usize {
        self.energy().dims()
    }

    fn units(&self) -> Units {
        Units::Reduced
    }

    fn evaluator(&self) -> Result<Box<dyn Evaluator + '_>, EnergyError> {
        self.energy().evaluator()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoubleWell(_) => f.write_str("dw4"),
            Self::LennardJones(target) => {
                write!(
                    f,
                    "lj:{},{},{}",
                    target.points(),
                    target.epsilon(),
                    target.confinement()
                )
            }
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text == "dw4" {
            return Ok(Self::DoubleWell(DoubleWell));
        }
        let Some(numbers) = text.strip_prefix("lj:") else {
            return Err(TargetError::Unknown {
                found: text.to_owned(),
            });
        };
        let numbers_error = |detail: String| TargetError::Numbers {
            found: text.to_owned(),
            detail,
        };
        let fields: Vec<_> = numbers.split(',').map(str::trim).collect();
        let [points, epsilon, confinement] = fields[..] else {
            return Err(numbers_error(format!("found {} of them", fields.len())));
        };
        let real = |field: &str| {
            field
                .parse::<f64>()
                .map_err(|_| numbers_error(format!("{field:?} is no number")))
        };
        let points = points
            .parse::<usize>()
            .map_err(|_| numbers_error(format!("{points:?} is no number of points")))?;
        let confinement = real(confinement)?;
        if confinement <= 0.0 {
            let range =
                "above 0, because the free cluster evaporates and has no Boltzmann distribution";
            return Err(TargetError::Range {
                quantity: "confinement",
                range,
                found: confinement,
            });
        }
        LennardJones::new(points, real(epsilon)?, confinement).map(Self::LennardJones)
    }
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Self, TargetError> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

/// The first `points` sites of a cubic lattice, moved off their symmetry by a few per cent of `spacing`, about the origin.
fn lattice(points: usize, dims: usize, spacing: f64) -> Vec<f64> {
    let side = (1..=points)
        .find(|side| side.pow(dims as u32) >= points)
        .unwrap_or(points);
    let mut x: Vec<f64> = (0..points)
        .flat_map(|point| {
            (0..dims).map(move |axis| {
                let site = (point / side.pow(axis as u32)) % side;
                let disturbance = 0.03 * ((point * dims + axis) as f64 * 2.4).sin();
                spacing * (site as f64 + disturbance)
            })
        })
        .collect();
    crate::dynamics::center(&mut x, dims);
    x
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;
    use crate::check::{assert_gradient_is_slope, cloud};

    fn targets() -> Vec<Target> {
        ["dw4", "lj:13,2,1", "lj:5,1,0.5"]
            .map(|name| name.parse().unwrap())
            .to_vec()
    }

    #[test]
    fn gradients_are_slopes() {
        for target in targets() {
            for seed in 0..5 {
                let mut x = target.start();
                let disturbance = cloud(target.points(), target.dims(), 0.1, seed);
                x.iter_mut().zip(disturbance).for_each(|(x, d)| *x += d);
                assert_gradient_is_slope(&target, &x, 1e-5);
            }
        }
    }

    #[test]
    fn a_batch_gives_the_bits_of_single_evaluations() {
        for target in targets() {
            let size = target.points() * target.dims();
            let x: Vec<f64> = (0..21)
                .flat_map(|seed| cloud(target.points(), target.dims(), 1.5, seed))
                .collect();
            let mut evaluator = target.evaluator().unwrap();
            let mut together = vec![0.0; x.len()];
            let energies = evaluator.evaluate_batch(&x, &mut together, size);
            for (index, (x, together)) in x
                .chunks_exact(size)
                .zip(together.chunks_exact(size))
                .enumerate()
            {
                let mut alone = vec![0.0; size];
                let energy = evaluator.evaluate(x, &mut alone).unwrap();
                assert_eq!(energy.to_bits(), energies[index].clone().unwrap().to_bits());
                assert_eq!(alone, together);
            }
        }
    }

    #[test]
    fn energies_do_not_change_under_rigid_motions_and_permutations() {
        for target in targets() {
            let mut evaluator = target.evaluator().unwrap();
            let mut gradient = vec![0.0; target.points() * target.dims()];
            let x = cloud(target.points(), target.dims(), 2.0, 3);
            let energy = evaluator.evaluate(&x, &mut gradient).unwrap();
            let (sin, cos) = 0.7_f64.sin_cos();
            let moved: Vec<f64> = x
                .chunks_exact(target.dims())
                .rev()
                .flat_map(|point| {
                    let mut moved = point.to_vec();
                    moved[0] = cos * point[0] - sin * point[1] + 0.3;
                    moved[1] = sin * point[0] + cos * point[1] - 5.0;
                    moved
                })
                .collect();
            assert_relative_eq!(
                evaluator.evaluate(&moved, &mut gradient).unwrap(),
                energy,
                max_relative = 1e-11
            );
        }
    }

    #[test]
    fn names_that_are_no_target_say_what_would_be_one() {
        for (name, message) in [
            ("lj13", "is no target"),
            ("lj:13,2", "found 2 of them"),
            ("lj:a,2,1", "\"a\" is no number of points"),
            ("lj:13,x,1", "\"x\" is no number"),
            ("lj:13,-2,1", "well depth"),
            ("lj:13,NaN,1", "well depth"),
            ("lj:1,2,1", "number of points"),
            ("lj:13,2,0", "evaporates"),
            ("lj:13,2,inf", "confinement"),
        ] {
            let error = name.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(message), "{name}: {error}");
        }
    }

    #[test]
    fn points_that_coincide_have_no_energy() {
        let target: Target = "lj:3,1,1".parse().unwrap();
        let found = target
            .evaluator()
            .unwrap()
            .evaluate(&[0.0; 9], &mut [0.0; 9]);
        assert!(matches!(found, Err(EnergyError::NotFinite { .. })));
    }

    #[test]
    fn positions_of_another_size_are_refused() {
        let target: Target = "dw4".parse().unwrap();
        let found = target
            .evaluator()
            .unwrap()
            .evaluate(&[0.0; 9], &mut [0.0; 9]);
        assert_eq!(
            found,
            Err(EnergyError::Size {
                expected: 8,
                found: 9
            })
        );
    }
}
