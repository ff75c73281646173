//! Smooth maps of an interval or a circle onto itself.

mod kernel;
#[cfg(test)]
mod tests;

use burn::tensor::{Tensor, activation};

use crate::divergence::tensor;
use crate::elementwise::Way;
use crate::elementwise::operation::{self, Maps};

/// The least slope before everything is scaled to 0…1.
const LEAST: f64 = 1e-2;
/// Ramps have a height of up to `exp` of this, in parts of the least that they can have below zero.
const LARGEST_LOG_HEIGHT: f64 = 6.0;
/// Widths differ from the usual ones by a factor of up to `exp` of this, about.
const LARGEST_LOG_WIDTH: f64 = 3.0;
/// Below this and above one less it, the ramp and all its derivatives differ from those of 0 and 1 by less than `e⁻¹⁰⁰`.
const FLAT: f64 = 1.0 / 128.0;
/// Steps that would halve an interval to double precision twice over; five to ten are what is taken.
const STEPS: usize = 100;

/// The maps of all coordinates: first those of intervals, then those of circles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bumps {
    /// Ramps of each.
    pub(crate) ramps: usize,
    /// How many of the coordinates are intervals.
    pub(crate) intervals: usize,
}

/// Mixtures of smooth ramps (Köhler, Krämer, Noé 2021), one for each coordinate of each sample: infinitely differentiable, and on a circle
/// also across its cut.
///
/// `σ(u) = ρ(u)/(ρ(u) + ρ(1−u))` with `ρ(u) = e^{−1/u}` rises from 0 at `u ≤ 0` to 1 at `u ≥ 1`. With the ramps
/// `r_i(x) = σ((x − b_i)/w_i + ½)` of places `b_i` and widths `w_i` in 0…1, `y = (g(x) − g(0))/(g(1) − g(0))`, `g(x) = x + Σ m_i r_i(x)`.
/// On a circle `r_i` is continued by `r_i(x + 1) = r_i(x) + 1`, and the whole may be turned. As `σ′ ≤ 2`, heights
/// `m_i = (1−ε) w_i/(2K) (e^{h_i} − 1)` of `K` ramps leave slopes of `g` of `ε` at least; with `h_i = 0` the map is the identity.
#[derive(Clone, Debug)]
struct Ramps {
    /// `b`, `[batch, coordinates, ramps]`.
    place: Tensor<3>,
    /// `w`.
    width: Tensor<3>,
    /// `m`.
    height: Tensor<3>,
    /// One for circles and zero for intervals, `[1, coordinates, 1]`.
    is_circle: Tensor<3>,
    /// By how much circles are turned afterwards, zero for intervals, `[batch, coordinates]`.
    turn: Tensor<2>,
}

/// `g(0)` and `g(1) − g(0)`.
struct Ends {
    start: Tensor<2>,
    total: Tensor<2>,
}

/// What coordinates in 0…1 are mapped to, and the logarithm of the slope; zeros make the identity.
///
/// # Shapes
/// `x` and the results `[batch, coordinates]`, `numbers` `[batch, coordinates, parameters]`, of no more digits than `x`.
///
/// # Panics
/// If there are not [`Bumps::parameters`] numbers for each coordinate.
pub(crate) fn map(
    bumps: Bumps,
    way: Way,
    x: Tensor<2>,
    numbers: &Tensor<3>,
) -> (Tensor<2>, Tensor<2>) {
    assert_eq!(
        numbers.dims()[2],
        bumps.parameters(),
        "numbers of {} ramps",
        bumps.ramps
    );
    operation::map(Maps::Bumps(bumps), way, &x, numbers)
        .unwrap_or_else(|| composed(bumps, way, x, numbers))
}

/// [`map`] by operations that every device has.
fn composed(bumps: Bumps, way: Way, x: Tensor<2>, numbers: &Tensor<3>) -> (Tensor<2>, Tensor<2>) {
    let ramps = bumps.ramps(&numbers.clone().cast(x.dtype()));
    let ends = ramps.ends();
    match way {
        Way::Forward => {
            let (y, log_slope) = ramps.forward(&ends, x);
            (ramps.around(y + ramps.turn.clone()), log_slope)
        }
        Way::Inverse => {
            let x = ramps.inverse(&ends, ramps.around(x - ramps.turn.clone()));
            let (_, log_slope) = ramps.forward(&ends, x.clone());
            (x, log_slope.neg())
        }
    }
}

impl Bumps {
    /// Numbers of each coordinate: places, widths and heights; and the turn of a circle.
    pub(crate) fn parameters(self) -> usize {
        3 * self.ramps + 1
    }

    fn ramps(self, numbers: &Tensor<3>) -> Ramps {
        let (k, [batch, coordinates, _]) = (self.ramps, numbers.dims());
        let (device, dtype) = (numbers.device(), numbers.dtype());
        let part = |from: usize, count: usize| numbers.clone().narrow(2, from, count);
        let bounded = |x: Tensor<3>, bound: f64| (x / bound).tanh() * bound;
        let place = |i: usize| (i as f64 + 0.5) / k as f64;
        let usual = (0..k).map(|i| (place(i) / (1.0 - place(i))).ln());
        let usual: Tensor<3> = tensor(usual.collect(), [1, 1, k], &device, dtype);
        let inverse_width = bounded(part(k, k), LARGEST_LOG_WIDTH).exp() * (0.5 * k as f64) + 1.0;
        let width = inverse_width.recip();
        let rise = bounded(part(2 * k, k), LARGEST_LOG_HEIGHT).exp() - 1.0;
        let is_circle = (0..coordinates).map(|c| f64::from(u8::from(c >= self.intervals)));
        let is_circle: Tensor<3> = tensor(is_circle.collect(), [1, coordinates, 1], &device, dtype);
        Ramps {
            place: activation::sigmoid(part(0, k) + usual),
            height: width.clone() * rise * ((1.0 - LEAST) / (2.0 * k as f64)),
            width,
            turn: (part(3 * k, 1) * is_circle.clone()).reshape([batch, coordinates]),
            is_circle,
        }
    }
}

impl Ramps {
    /// Brings circles back to 0…1.
    fn around(&self, x: Tensor<2>) -> Tensor<2> {
        let is_circle = self.is_circle.clone().squeeze_dim::<2>(2);
        x.clone() - x.floor() * is_circle
    }

    /// `g` and `g′`.
    fn rise(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let [batch, coordinates] = x.dims();
        let from = x.clone().unsqueeze_dim::<3>(2) - self.place.clone();
        let rounds = (from.clone() + 0.5).floor() * self.is_circle.clone();
        let u = (from - rounds.clone()) / self.width.clone() + 0.5;
        let u = u.clamp(FLAT, 1.0 - FLAT);
        let rest = u.clone().neg() + 1.0;
        // σ(u) is the logistic function of 1/(1−u) − 1/u.
        let (near, far) = (u.recip(), rest.recip());
        let ramp = activation::sigmoid(far.clone() - near.clone());
        let slope = ramp.clone() * (ramp.clone().neg() + 1.0) * (near.square() + far.square());
        let sum = |values: Tensor<3>| values.sum_dim(2).reshape([batch, coordinates]);
        let g = x + sum((ramp + rounds) * self.height.clone());
        (
            g,
            sum(slope * self.height.clone() / self.width.clone()) + 1.0,
        )
    }

    fn ends(&self) -> Ends {
        let [batch, coordinates, _] = self.place.dims();
        let options = (&self.place.device(), self.place.dtype());
        let (start, _) = self.rise(Tensor::zeros([batch, coordinates], options));
        let (end, _) = self.rise(Tensor::ones([batch, coordinates], options));
        Ends {
            total: end - start.clone(),
            start,
        }
    }

    /// Not turned.
    fn forward(&self, ends: &Ends, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let (g, slope) = self.rise(x);
        let y = (g - ends.start.clone()) / ends.total.clone();
        (y, (slope / ends.total.clone()).log())
    }

    /// The solution `x₀` without gradient, then one step of Newton's with `F` and `y` that carry theirs, `x = x₀ − (F(x₀) − y)/F′(x₀)`:
    /// `dx = (dy − dF)/F′` is the derivative of the solution of `F(x) = y`.
    fn inverse(&self, ends: &Ends, y: Tensor<2>) -> Tensor<2> {
        let near = self
            .detached()
            .solved(&ends.detached(), &y.clone().detach());
        let (there, log_slope) = self.forward(ends, near.clone());
        let x = near - (there - y) / log_slope.detach().exp();
        // Rounding may leave 0…1; the gradient shall not see that it is taken back.
        let value = x.clone().detach();
        x - value.clone() + value.clamp(0.0, 1.0)
    }

    fn detached(&self) -> Self {
        Self {
            place: self.place.clone().detach(),
            width: self.width.clone().detach(),
            height: self.height.clone().detach(),
            is_circle: self.is_circle.clone(),
            turn: self.turn.clone().detach(),
        }
    }

    /// Newton's method between ends that close in on the solution, with a bisection where it would leave them or not at least halve its
    /// step (Press et al. 2007, §9.4).
    fn solved(&self, ends: &Ends, y: &Tensor<2>) -> Tensor<2> {
        let info = y.dtype().finfo().expect("a float type");
        let precision = 8.0 * info.epsilon;
        let (mut low, mut high) = (y.zeros_like(), y.ones_like());
        let (mut x, mut moved) = (y.clone(), y.ones_like());
        for _ in 0..STEPS {
            let (there, log_slope) = self.forward(ends, x.clone());
            let off = there - y.clone();
            let is_above = off.clone().greater_elem(0.0);
            high = high.mask_where(is_above.clone(), x.clone());
            low = x.clone().mask_where(is_above, low);
            let newton = x.clone() - off.clone() / log_slope.exp();
            let step = (newton.clone() - x.clone()).abs();
            let left = off.abs().min_pair(step.clone());
            let is_out = newton.clone().lower(low.clone());
            let is_out = is_out.bool_or(newton.clone().greater(high.clone()));
            let is_halved = is_out.bool_or(step.greater(moved * 0.5));
            let is_halved = is_halved.bool_and(left.clone().greater_elem(precision));
            let middle = (low.clone() + high.clone()) * 0.5;
            let next = newton.mask_where(is_halved, middle);
            moved = (next.clone() - x).abs();
            x = next;
            if left.max().into_scalar::<f64>() <= precision {
                break;
            }
        }
        x.clamp(0.0, 1.0)
    }
}

impl Ends {
    fn detached(&self) -> Self {
        Self {
            start: self.start.clone().detach(),
            total: self.total.clone().detach(),
        }
    }
}
