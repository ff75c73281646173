//! A learnt scale and shift of each coordinate.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::bijection::{Bijection, FlowError};
use crate::context::Context;
use crate::divergence::tensor;
use crate::elementwise::Way;
use crate::linear::Initializer;
use crate::space::Space;
use crate::spline::wrapped;
use crate::{PerSample, Points};

/// `y = x eˢ + b` on lines and `y = x + b` on circles, with `s` and `b` of each coordinate learnt; intervals stay as they are. Actnorm
/// (Kingma & Dhariwal 2018): `log |det| = Σ s`.
#[derive(Module, Debug)]
pub struct Actnorm {
    /// `s` and `b` of lines, `[2, lines]`, where there are any.
    lines: Option<Param<Tensor<2>>>,
    /// `b` of circles, `[1, circles]`, where there are any.
    turn: Option<Param<Tensor<2>>>,
    #[module(skip)]
    space: Space,
}

impl Actnorm {
    /// The identity.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] where there are neither lines nor circles.
    pub fn new(space: Space, make: &mut Initializer) -> Result<Self, FlowError> {
        let [lines, _, circles] = counts(space);
        if lines + circles == 0 {
            return Err(FlowError::Unsupported {
                what: format!("there is nothing to scale or to turn in the {space}"),
            });
        }
        Ok(Self {
            lines: (lines > 0).then(|| make.zeros([2, lines])),
            turn: (circles > 0).then(|| make.zeros([1, circles])),
            space,
        })
    }

    /// The map that gives standard coordinates this mean and standard deviation: its inverse makes data with these standard. One of each for
    /// every line; circles are not turned.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] where the numbers are not one for each line, [`FlowError::Scale`] where a deviation is not positive and
    /// finite.
    pub fn from_moments(
        space: Space,
        mean: &[f64],
        deviation: &[f64],
        make: &mut Initializer,
    ) -> Result<Self, FlowError> {
        let mut map = Self::new(space, make)?;
        let [lines, ..] = counts(space);
        if mean.len() != lines || deviation.len() != lines {
            let (means, deviations) = (mean.len(), deviation.len());
            return Err(FlowError::Unsupported {
                what: format!(
                    "{means} means and {deviations} deviations were given for the {lines} lines of the {space}"
                ),
            });
        }
        if let Some(&scale) = deviation.iter().find(|&&s| !(s.is_finite() && s > 0.0)) {
            return Err(FlowError::Scale { scale });
        }
        if let Some(param) = &mut map.lines {
            let values = deviation.iter().map(|s| s.ln()).chain(mean.iter().copied());
            let values = tensor(values.collect(), [2, lines], make.device, make.dtype);
            *param = Param::from_tensor(values);
        }
        Ok(map)
    }

    fn apply(&self, x: &Points, way: Way) -> Result<(Points, PerSample), FlowError> {
        self.space.check(x)?;
        let [batch, count, _] = x.dims();
        let [lines, intervals, circles] = counts(self.space);
        let x = x.clone().reshape([batch, count]);
        let part = |from: usize, count: usize| x.clone().narrow(1, from, count);
        let mut y = Vec::new();
        let mut log_det = Tensor::zeros([batch], (&x.device(), x.dtype()));
        if let Some(both) = &self.lines {
            let both = both.val().cast(x.dtype());
            let row = |which| both.clone().narrow(0, which, 1);
            let (x, s, shift) = (part(0, lines), row(0), row(1));
            let (there, s) = match way {
                Way::Forward => (x * s.clone().exp() + shift, s),
                Way::Inverse => ((x - shift) * s.clone().neg().exp(), s.neg()),
            };
            y.push(there);
            log_det = log_det + s.sum();
        }
        if intervals > 0 {
            y.push(part(lines, intervals));
        }
        if let Some(turn) = &self.turn {
            let turn = turn.val().cast(x.dtype());
            let x = part(lines + intervals, circles);
            y.push(wrapped(match way {
                Way::Forward => x + turn,
                Way::Inverse => x - turn,
            }));
        }
        Ok((Tensor::cat(y, 1).reshape([batch, count, 1]), log_det))
    }
}

/// Lines, intervals and circles.
fn counts(space: Space) -> [usize; 3] {
    match space {
        Space::Product {
            lines,
            intervals,
            circles,
        } => [lines, intervals, circles],
        Space::MeanFree { .. } | Space::Free { .. } => [0; 3],
    }
}

impl Bijection for Actnorm {
    fn input(&self) -> Space {
        self.space
    }

    fn output(&self) -> Space {
        self.space
    }

    fn forward(&self, x: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.apply(&x, Way::Forward)
    }

    fn inverse(&self, y: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.apply(&y, Way::Inverse)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;
    use crate::random::{Purpose, stream};
    use crate::testing::{alike, cloud, largest};

    const SPACE: Space = Space::Product {
        lines: 2,
        intervals: 1,
        circles: 1,
    };

    fn from_moments(space: Space, mean: &[f64], deviation: &[f64]) -> Result<Actnorm, FlowError> {
        let mut make = Initializer {
            random: &mut stream(1, Purpose::Parameters, 0),
            device: &Device::flex(),
            dtype: DType::F64,
        };
        Actnorm::from_moments(space, mean, deviation, &mut make)
    }

    #[test]
    fn data_of_the_given_moments_become_standard() {
        let map = from_moments(SPACE, &[1.0, -3.0], &[0.5, 4.0]).unwrap();
        let y = cloud(vec![1.5, 1.0, 0.3, 0.9, 0.5, -7.0, 0.1, 0.2], 4, 1);
        let (x, log_det) = map.inverse(y, &alike(SPACE, 2)).unwrap();
        let expected = cloud(vec![1.0, 1.0, 0.3, 0.9, -1.0, -1.0, 0.1, 0.2], 4, 1);
        assert!(largest(x - expected) < 1e-14);
        assert!(largest(log_det + 2.0_f64.ln()) < 1e-14);
    }

    #[test]
    fn moments_that_do_not_fit_are_refused() {
        let message = |space, mean: &[f64], deviation: &[f64]| {
            from_moments(space, mean, deviation)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message(SPACE, &[1.0], &[1.0, 2.0]),
            "1 means and 2 deviations were given for the 2 lines of the product of 2 lines, 1 intervals and 1 circles"
        );
        assert_eq!(
            message(SPACE, &[1.0, 1.0], &[1.0, 0.0]),
            "a scale must be positive and finite, but 0 was given"
        );
        let intervals = Space::Product {
            lines: 0,
            intervals: 3,
            circles: 0,
        };
        assert!(message(intervals, &[], &[]).contains("nothing to scale or to turn"));
    }
}
