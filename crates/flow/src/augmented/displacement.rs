//! What couplings do to displacements from an origin.

use std::f64::consts::TAU;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::basis::Basis;
use super::stretch::Stretch;
use crate::bijection::{FlowError, PerSample, Points};
use crate::elementwise::{Elementwise, Way, log_scale};
use crate::space::Space;
use crate::spline::wrapped;
use crate::transformer::Symmetry;

/// Distance from a point, or from an axis, below which angles around it are turned less and less.
const NEAR: f64 = 0.1;
/// Distance below which a float can tell no angle.
const LEAST: f64 = 1e-6;

/// How a displacement is told, and so what may be done to it without knowing how the cloud is turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// By its length; its direction stays as it is. Needs no basis, so couplings commute with rotations and reflections. An affine map multiplies
    /// the length, a spline maps it.
    Vector,
    /// By its length, and its angles to a basis. For splines, in two and three dimensions; couplings commute with rotations alone.
    Spherical,
    /// By its components in a basis. For affine maps and splines, in up to three dimensions; couplings commute with rotations, on a line also with
    /// reflections.
    Projected,
}

impl Reference {
    /// What couplings in so many dimensions commute with.
    pub fn symmetry(self, dims: usize) -> Symmetry {
        match self {
            Self::Vector => Symmetry::Full,
            Self::Projected if dims == 1 => Symmetry::Full,
            Self::Spherical | Self::Projected => Symmetry::Rotations,
        }
    }
}

/// A map of displacements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Displacement {
    reference: Reference,
    map: Elementwise,
    dims: usize,
}

impl Displacement {
    /// # Errors
    /// [`FlowError::Unsupported`] where the map is none of what displacements are told by, or there are too many dimensions for that.
    pub fn new(reference: Reference, map: Elementwise, dims: usize) -> Result<Self, FlowError> {
        let unsupported = |what: String| Err(FlowError::Unsupported { what });
        let told = match reference {
            Reference::Vector if map == Elementwise::Additive => {
                return unsupported(
                    "a vector coupling shifts points without a map; give an affine map or a spline of their distances"
                        .to_owned(),
                );
            }
            Reference::Vector => [1, 0],
            Reference::Spherical if (2..=3).contains(&dims) => [dims - 1, 1],
            Reference::Projected if (1..=3).contains(&dims) => [dims, 0],
            Reference::Spherical | Reference::Projected => {
                return unsupported(format!(
                    "there are no {} couplings in {dims} dimensions; give the vector one",
                    if reference == Reference::Spherical {
                        "spherical"
                    } else {
                        "projected"
                    }
                ));
            }
        };
        let [count, circles] = told;
        let is_lines = acts_on_lines(map) && reference != Reference::Spherical;
        let [lines, intervals] = if is_lines { [count, 0] } else { [0, count] };
        map.check(Space::Product {
            lines,
            intervals,
            circles,
        })?;
        Ok(Self {
            reference,
            map,
            dims,
        })
    }

    /// Numbers that the map of one displacement takes; zeros make the identity.
    pub fn numbers(&self) -> usize {
        match (self.reference, self.map) {
            (Reference::Vector, Elementwise::Affine) => 1,
            (Reference::Vector, map) => map.parameters(),
            (Reference::Spherical | Reference::Projected, map) => self.dims * map.parameters(),
        }
    }

    /// Vectors that the map's basis is made of.
    pub fn axes(&self) -> usize {
        match self.reference {
            Reference::Vector => 0,
            Reference::Spherical | Reference::Projected => Basis::vectors(self.dims),
        }
    }

    /// What becomes of the displacements, and `log |det|` of each sample.
    ///
    /// # Shapes
    /// `v` and the axes `[batch, points, dims]`, `numbers` `[batch, points, numbers]`.
    pub fn apply(
        &self,
        way: Way,
        v: Points,
        numbers: &Tensor<3>,
        axes: &[Points],
    ) -> (Points, PerSample) {
        let (v, log_det) = match (self.reference, self.map) {
            (Reference::Vector, Elementwise::Affine) => self.scaled(way, v, numbers),
            (Reference::Vector, _) => {
                let square = v.clone().square().sum_dim(2).squeeze_dim(2);
                let radius = Radius::new(self.map, way, square, numbers);
                let ratio = radius.log_ratio().exp().unsqueeze_dim::<3>(2);
                (v * ratio, radius.log_det(self.dims))
            }
            (Reference::Spherical, _) => {
                in_basis(v, axes, |basis, p| self.turned(way, p, numbers, basis))
            }
            (Reference::Projected, _) => {
                in_basis(v, axes, |basis, p| self.along_axes(way, &p, numbers, basis))
            }
        };
        let [batch, _] = log_det.dims();
        (v, log_det.sum_dim(1).reshape([batch]))
    }

    /// `v eˢ`.
    fn scaled(&self, way: Way, v: Points, numbers: &Tensor<3>) -> (Points, Tensor<2>) {
        let s = log_scale(numbers);
        let s = match way {
            Way::Forward => s,
            Way::Inverse => s.neg(),
        };
        let factor = s.clone().exp().unsqueeze_dim::<3>(2);
        (v * factor, s * self.dims as f64)
    }

    /// The numbers of one of the coordinates that a displacement is told by.
    fn part(&self, numbers: &Tensor<3>, which: usize) -> Tensor<3> {
        let each = self.map.parameters();
        numbers.clone().narrow(2, which * each, each)
    }

    /// Components in a basis, mapped one by one.
    fn along_axes(
        &self,
        way: Way,
        p: &[Tensor<2>],
        numbers: &Tensor<3>,
        basis: &Basis,
    ) -> (Vec<Tensor<2>>, Tensor<2>) {
        let [_, points] = p[0].dims();
        let numbers = (0..self.dims).map(|axis| basis.sound(axis, self.part(numbers, axis)));
        let numbers = Tensor::cat(numbers.collect(), 1);
        let p = Tensor::cat(p.to_vec(), 1);
        let (p, log_slope) = if acts_on_lines(self.map) {
            let lines = p.dims()[1];
            let space = Space::Product {
                lines,
                intervals: 0,
                circles: 0,
            };
            self.map.map(way, space, p, &numbers)
        } else {
            line(self.map, way, &p, &numbers)
        };
        let parts = |of: &Tensor<2>| -> Vec<Tensor<2>> {
            let part = |axis| of.clone().narrow(1, axis * points, points);
            (0..self.dims).map(part).collect()
        };
        let log_slope = parts(&log_slope).into_iter().reduce(|a, b| a + b);
        (parts(&p), log_slope.expect("there is an axis"))
    }

    /// Length and angles, mapped one after another: how far angles are turned depends on the length, and that around the first axis also on the
    /// distance from it, so that nothing jumps at the origin or across the axis. The Jacobian stays triangular.
    fn turned(
        &self,
        way: Way,
        p: Vec<Tensor<2>>,
        numbers: &Tensor<3>,
        basis: &Basis,
    ) -> (Vec<Tensor<2>>, Tensor<2>) {
        let square = sum_of_squares(&p);
        let radius = Radius::new(self.map, way, square.clone(), &self.part(numbers, 0));
        let mut log_det = radius.log_det(self.dims);
        let log_ratio = radius.log_ratio();
        // The gates are functions of what is on the latent side.
        let latent = |square: Tensor<2>, log_ratio: &Tensor<2>| match way {
            Way::Forward => square,
            Way::Inverse => square * (log_ratio.clone() * 2.0).exp(),
        };
        let (mut mapped, across, log_ratio) = if self.dims == 2 {
            (Vec::new(), p, log_ratio)
        } else {
            let gate = gate(latent(square, &log_ratio));
            let numbers = basis.sound(0, self.part(numbers, 1)) * gate;
            let polar = Polar::new(self.map, way, &p, &numbers);
            log_det = log_det + polar.stretch.log_slope.clone();
            let along = polar.along * log_ratio.clone().exp();
            let sine = (polar.stretch.low + polar.stretch.high) * 0.5;
            (vec![along], p[1..].to_vec(), log_ratio + sine)
        };
        let gate = gate(latent(sum_of_squares(&across), &log_ratio));
        let last = self.dims - 1;
        let numbers = basis.sound(last, self.part(numbers, last)) * gate;
        let (across, log_slope) = azimuth(self.map, way, &across, &numbers);
        let ratio = log_ratio.exp();
        mapped.extend(across.into_iter().map(|p| p * ratio.clone()));
        (mapped, log_det + log_slope)
    }
}

/// Whether a map is one of numbers without bounds.
fn acts_on_lines(map: Elementwise) -> bool {
    matches!(map, Elementwise::Additive | Elementwise::Affine)
}

/// A displacement whose components in a basis are mapped: `v + Σ_k q_k (p'_k − p_k)`, which is exactly `v` where nothing is done.
fn in_basis(
    v: Points,
    axes: &[Points],
    map: impl Fn(&Basis, Vec<Tensor<2>>) -> (Vec<Tensor<2>>, Tensor<2>),
) -> (Points, Tensor<2>) {
    let basis = Basis::of(axes);
    let p = basis.components(&v);
    let (mapped, log_det) = map(&basis, p.clone());
    let change = mapped.into_iter().zip(p).map(|(to, from)| to - from);
    (v + basis.vector(change.collect()), log_det)
}

fn sum_of_squares(p: &[Tensor<2>]) -> Tensor<2> {
    let squares = p.iter().map(|p| p.clone().square());
    squares.reduce(|a, b| a + b).expect("there is a component")
}

/// `d²/(d² + ε²)`, `[batch, points, 1]`.
fn gate(square: Tensor<2>) -> Tensor<3> {
    (square.clone() / (square + NEAR * NEAR)).unsqueeze_dim(2)
}

/// The map of lengths `r` whose `r²/(1 + r²)` an elementwise map takes to another: smooth at 0, and linear at infinity.
struct Radius(Stretch);

impl Radius {
    fn new(map: Elementwise, way: Way, square: Tensor<2>, numbers: &Tensor<3>) -> Self {
        let s = square.clone() / (square + 1.0);
        Self(Stretch::new(map, way, &s, numbers))
    }

    /// `ln r'/r`.
    fn log_ratio(&self) -> Tensor<2> {
        self.0.log_odds() * 0.5
    }

    /// `ln dr'/dr + (D − 1) ln r'/r`.
    fn log_det(&self, dims: usize) -> Tensor<2> {
        let slope_of_square = self.0.log_slope.clone() - self.0.high.clone() * 2.0;
        slope_of_square + self.log_ratio() * (dims as f64 - 2.0)
    }
}

/// The map of lines whose `½ + ½ p/√(1 + p²)` an elementwise map takes to another, and the logarithm of its slope. With `δ` half the change of
/// the log-odds, `arsinh p' = arsinh p + δ`.
fn line(map: Elementwise, way: Way, p: &Tensor<2>, numbers: &Tensor<3>) -> (Tensor<2>, Tensor<2>) {
    let root = (p.clone().square() + 1.0).sqrt();
    let s = p.clone() / root.clone() * 0.5 + 0.5;
    let stretch = Stretch::new(map, way, &s, numbers);
    let grown = (stretch.log_odds() * 0.5).exp();
    let shrunk = grown.clone().recip();
    let sum = (grown.clone() + shrunk.clone()) * 0.5;
    let difference = (grown - shrunk) * 0.5;
    let log_slope = stretch.log_slope - (stretch.low + stretch.high) * 1.5;
    (p.clone() * sum + root * difference, log_slope)
}

/// What becomes of the angle `θ` to the first axis, as `½ + ½ cos θ`, which is even over the sphere.
struct Polar {
    stretch: Stretch,
    /// `r cos θ'`.
    along: Tensor<2>,
}

impl Polar {
    fn new(map: Elementwise, way: Way, p: &[Tensor<2>], numbers: &Tensor<3>) -> Self {
        let r = sum_of_squares(p).clamp_min(LEAST * LEAST).sqrt();
        let cosine = (p[0].clone() / r.clone()).clamp(-1.0, 1.0);
        let s = cosine * 0.5 + 0.5;
        let stretch = Stretch::new(map, way, &s, numbers);
        let change = (stretch.image.clone() - s) * 2.0;
        Self {
            along: p[0].clone() + r * change,
            stretch,
        }
    }
}

/// Two components, turned from their angle to that which it is mapped to, and the logarithm of its slope.
fn azimuth(
    map: Elementwise,
    way: Way,
    p: &[Tensor<2>],
    numbers: &Tensor<3>,
) -> (Vec<Tensor<2>>, Tensor<2>) {
    let [x, y] = [p[0].clone(), p[1].clone()];
    let is_none = sum_of_squares(p).lower_elem(LEAST * LEAST);
    let told = |p: &Tensor<2>, spare: f64| p.clone().mask_fill(is_none.clone(), spare);
    let angle = wrapped(told(&y, 0.0).atan2(told(&x, 1.0)) / TAU);
    let space = Space::Product {
        lines: 0,
        intervals: 0,
        circles: angle.dims()[1],
    };
    let (image, log_slope) = map.map(way, space, angle.clone(), numbers);
    let turn = (image - angle) * TAU;
    let (sine, cosine) = (turn.clone().sin(), turn.cos());
    let turned = vec![
        x.clone() * cosine.clone() - y.clone() * sine.clone(),
        x * sine + y * cosine,
    ];
    (turned, log_slope)
}
