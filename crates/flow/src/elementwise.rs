//! Maps of single coordinates by numbers that a network gives.

pub(crate) mod operation;
#[cfg(test)]
pub(crate) mod tests;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::bijection::FlowError;
use crate::bump::{self, Bumps};
use crate::space::Space;
use crate::spline::{self, Domain, Spline, Splines, wrapped};

/// The largest `|s|` of an affine map, so that one step of training cannot blow it up.
const LARGEST_LOG_SCALE: f64 = 3.0;

/// Which way a map is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// `y` of `x`.
    Forward,
    /// `x` of `y`.
    Inverse,
}

/// What is done to each coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Elementwise {
    /// `y = x + t`: NICE (Dinh et al. 2015). Turns circles; not for intervals.
    Additive,
    /// `y = x eˢ + t`: RealNVP (Dinh et al. 2017). For lines.
    Affine,
    /// See [`Spline`]. For intervals and circles.
    Spline {
        /// Bins of each.
        bins: usize,
    },
    /// Mixtures of smooth ramps (Köhler, Krämer, Noé 2021): infinitely differentiable, so that forces are smooth too; their inverse takes
    /// five to ten evaluations. For intervals and circles.
    Bump {
        /// Ramps of each.
        ramps: usize,
    },
}

impl Elementwise {
    /// Numbers for each coordinate; zeros make the identity.
    pub fn parameters(self) -> usize {
        match self {
            Self::Additive => 1,
            Self::Affine => 2,
            // As many for intervals as for circles.
            Self::Spline { bins } => Spline {
                bins,
                domain: Domain::Interval,
            }
            .parameters(),
            Self::Bump { ramps } => Bumps {
                ramps,
                intervals: 0,
            }
            .parameters(),
        }
    }

    /// Refuses coordinates that this is no map of.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`], saying which.
    pub fn check(self, space: Space) -> Result<(), FlowError> {
        let (name, is_fit) = match (self, space) {
            (Self::Additive, Space::Product { intervals, .. }) => ("an additive", intervals == 0),
            (
                Self::Affine,
                Space::Product {
                    intervals, circles, ..
                },
            ) => ("an affine", intervals + circles == 0),
            (Self::Spline { bins }, Space::Product { lines, .. }) => {
                ("a spline", lines == 0 && bins > 0)
            }
            (Self::Bump { ramps }, Space::Product { lines, .. }) => {
                ("a bump", lines == 0 && ramps > 0)
            }
            _ => ("an elementwise", false),
        };
        if is_fit {
            return Ok(());
        }
        Err(FlowError::Unsupported {
            what: format!("{name} map cannot act on the {space}"),
        })
    }

    /// `y` and `ln dy/dx` of `x`.
    ///
    /// # Shapes
    /// `x` and the results `[batch, coordinates]`, `numbers` `[batch, coordinates, parameters]`, of no more digits than `x`.
    pub fn forward(
        self,
        space: Space,
        x: Tensor<2>,
        numbers: &Tensor<3>,
    ) -> (Tensor<2>, Tensor<2>) {
        self.map(Way::Forward, space, x, numbers)
    }

    /// `x` and `ln dx/dy` of `y`; shapes as in [`Elementwise::forward`].
    pub fn inverse(
        self,
        space: Space,
        y: Tensor<2>,
        numbers: &Tensor<3>,
    ) -> (Tensor<2>, Tensor<2>) {
        self.map(Way::Inverse, space, y, numbers)
    }

    /// `y` and `ln dy/dx` of `x`, or the other way; shapes as in [`Elementwise::forward`].
    pub(crate) fn map(
        self,
        way: Way,
        space: Space,
        x: Tensor<2>,
        numbers: &Tensor<3>,
    ) -> (Tensor<2>, Tensor<2>) {
        let wide = || numbers.clone().cast(x.dtype());
        match self {
            Self::Additive => {
                let shift = part(&wide(), 0);
                let y = match way {
                    Way::Forward => x.clone() + shift,
                    Way::Inverse => x.clone() - shift,
                };
                (turned(space, y), x.zeros_like())
            }
            Self::Affine => {
                let numbers = wide();
                let (s, shift) = (log_scale(&numbers), part(&numbers, 1));
                match way {
                    Way::Forward => (x * s.clone().exp() + shift, s),
                    Way::Inverse => ((x - shift) * s.clone().neg().exp(), s.neg()),
                }
            }
            Self::Spline { bins } => {
                let intervals = intervals(space);
                spline::map(Splines { bins, intervals }, way, &x, numbers)
            }
            Self::Bump { ramps } => {
                let intervals = intervals(space);
                bump::map(Bumps { ramps, intervals }, way, x, numbers)
            }
        }
    }
}

/// One number of each coordinate.
fn part(numbers: &Tensor<3>, which: usize) -> Tensor<2> {
    let [batch, coordinates, _] = numbers.dims();
    let part = numbers.clone().narrow(2, which, 1);
    part.reshape([batch, coordinates])
}

/// `s` of an affine map.
pub(crate) fn log_scale(numbers: &Tensor<3>) -> Tensor<2> {
    (part(numbers, 0) / LARGEST_LOG_SCALE).tanh() * LARGEST_LOG_SCALE
}

/// Brings what left a circle back to it.
fn turned(space: Space, x: Tensor<2>) -> Tensor<2> {
    let Space::Product { lines, circles, .. } = space else {
        return x;
    };
    match (lines, circles) {
        (_, 0) => x,
        (0, _) => wrapped(x),
        _ => Tensor::cat(
            vec![
                x.clone().narrow(1, 0, lines),
                wrapped(x.narrow(1, lines, circles)),
            ],
            1,
        ),
    }
}

/// How many of the coordinates are intervals, in a space of these and circles.
fn intervals(space: Space) -> usize {
    let Space::Product { intervals, .. } = space else {
        panic!("maps of bounded coordinates were to be checked for the {space}");
    };
    intervals
}
