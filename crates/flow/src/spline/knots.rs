//! Splines of tensors, composed of the back end's operations.

use burn::tensor::{Int, Tensor, activation};

use super::{AT_ONE, Domain, LEAST, Spline, wrapped};

/// Monotone rational-quadratic splines (Durkan et al. 2019; on circles Rezende et al. 2020), one for each coordinate of each sample.
///
/// In the bin `x_k…x_{k+1}` of width `w` and height `h`, with `s = h/w`, the slopes `d_k` and `d_{k+1}` at its knots and `ξ = (x − x_k)/w`,
/// `y = y_k + h (s ξ² + d_k ξ(1−ξ)) / (s + (d_k + d_{k+1} − 2s) ξ(1−ξ))`.
///
/// Composed of operations that every device has; on the CPU, maps of a flow take a loop of their own that does the same in one pass.
#[derive(Clone, Debug)]
pub struct Knots {
    /// Left ends of the bins, `[batch, coordinates, bins]`.
    pub(super) left: Tensor<3>,
    /// Their widths.
    pub(super) width: Tensor<3>,
    /// What the left ends are mapped to.
    pub(super) bottom: Tensor<3>,
    /// The heights.
    pub(super) height: Tensor<3>,
    /// The slopes at the left ends.
    slope: Tensor<3>,
    /// And at the right ends.
    next_slope: Tensor<3>,
    /// By how much a circle is turned afterwards, `[batch, coordinates]`.
    pub(super) turn: Option<Tensor<2>>,
}

impl Spline {
    /// Splines from any numbers, `[batch, coordinates, parameters]`; zeros make the identity.
    ///
    /// # Panics
    /// If there are not [`Spline::parameters`] of them.
    pub fn knots(self, numbers: &Tensor<3>) -> Knots {
        let k = self.bins;
        assert_eq!(
            numbers.dims()[2],
            self.parameters(),
            "numbers of a spline of {k} bins"
        );
        let part = |from: usize, count: usize| numbers.clone().narrow(2, from, count);
        let (width, height) = (self.parts(part(0, k)), self.parts(part(k, k)));
        // 1 at 0.
        let slopes = |x: Tensor<3>| activation::softplus(x + AT_ONE, 1.0) + LEAST;
        let [batch, coordinates, _] = numbers.dims();
        let (slope, next_slope, turn) = match self.domain {
            Domain::Interval => {
                let all = slopes(part(2 * k, k + 1));
                (all.clone().narrow(2, 0, k), all.narrow(2, 1, k), None)
            }
            Domain::Circle => {
                let all = slopes(part(2 * k, k));
                // The slope after the last is the first.
                let twice = Tensor::cat(vec![all.clone(), all.clone()], 2);
                let next = twice.narrow(2, 1, k);
                let turn = part(3 * k, 1).reshape([batch, coordinates]);
                (all, next, Some(turn))
            }
        };
        let start = |x: &Tensor<3>| x.clone().cumsum(2) - x.clone();
        Knots {
            left: start(&width),
            bottom: start(&height),
            width,
            height,
            slope,
            next_slope,
            turn,
        }
    }

    /// The numbers of the spline through knots with these distances between them: as wide as `widths` and as high as `heights`, which are
    /// parts of one, with the geometric mean of the mean slopes of two bins where they meet. A bin that is narrower or lower than
    /// `2 LEAST` of an even one is as much. A circle is not turned.
    ///
    /// # Panics
    /// If there is not one width and one height for each bin.
    pub fn through(self, widths: &[f64], heights: &[f64]) -> Vec<f64> {
        let k = self.bins;
        assert_eq!([widths.len(), heights.len()], [k, k], "sizes of {k} bins");
        let even = 1.0 / k as f64;
        let [widths, heights] = [widths, heights].map(|sizes| {
            let sizes = sizes.iter().map(|size| size.max(2.0 * LEAST * even));
            let sizes: Vec<f64> = sizes.collect();
            let total: f64 = sizes.iter().sum();
            sizes
                .into_iter()
                .map(|size| size / total)
                .collect::<Vec<_>>()
        });
        let slope = |bin: usize| heights[bin] / widths[bin];
        let between = |left: usize, right: usize| (slope(left) * slope(right)).sqrt();
        let inner = (1..k).map(|bin| between(bin - 1, bin));
        let slopes: Vec<f64> = match self.domain {
            Domain::Interval => [slope(0)]
                .into_iter()
                .chain(inner)
                .chain([slope(k - 1)])
                .collect(),
            Domain::Circle => [between(k - 1, 0)].into_iter().chain(inner).collect(),
        };
        // The inverses of [`Spline::parts`] and of softplus.
        let sizes = widths.iter().chain(&heights);
        let sizes = sizes.map(|size| ((size - LEAST * even) / (1.0 - LEAST)).ln());
        let slopes = slopes.into_iter().map(|slope| {
            let above = (slope - LEAST).max(LEAST);
            above + (-(-above).exp_m1()).ln() - AT_ONE
        });
        let turn = matches!(self.domain, Domain::Circle).then_some(0.0);
        sizes.chain(slopes).chain(turn).collect()
    }

    /// Positive parts of one.
    fn parts(self, x: Tensor<3>) -> Tensor<3> {
        activation::softmax(x, 2) * (1.0 - LEAST) + LEAST / self.bins as f64
    }
}

/// One bin's numbers for each coordinate.
struct Bin {
    left: Tensor<2>,
    width: Tensor<2>,
    bottom: Tensor<2>,
    height: Tensor<2>,
    slope: Tensor<2>,
    next_slope: Tensor<2>,
}

impl Knots {
    /// `y` and `ln dy/dx` of `x` in 0…1, each `[batch, coordinates]`.
    pub fn forward(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let bin = self.bin(&x, &self.left);
        let xi = ((x - bin.left.clone()) / bin.width.clone()).clamp(0.0, 1.0);
        let (part, log_slope) = bin.rise(xi);
        let y = bin.bottom + bin.height * part;
        let y = match &self.turn {
            Some(turn) => wrapped(y + turn.clone()),
            None => y,
        };
        (y, log_slope)
    }

    /// `x` and `ln dx/dy` of `y` in 0…1, each `[batch, coordinates]`.
    pub fn inverse(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let y = match &self.turn {
            Some(turn) => wrapped(y - turn.clone()),
            None => y,
        };
        let bin = self.bin(&y, &self.bottom);
        // h (s ξ² + d ξ(1−ξ)) = η h (s + c ξ(1−ξ)) with η = (y − y_k)/h and c = d + d' − 2s, solved for the root in 0…1 in the form that
        // does not cancel.
        let eta = ((y - bin.bottom.clone()) / bin.height.clone()).clamp(0.0, 1.0);
        let s = bin.height.clone() / bin.width.clone();
        let curve = eta.clone() * (bin.slope.clone() + bin.next_slope.clone() - s.clone() * 2.0);
        let a = s.clone() - bin.slope.clone() + curve.clone();
        let b = bin.slope.clone() - curve;
        let c = eta * s;
        let root = (b.clone().square() + a * c.clone() * 4.0)
            .clamp_min(0.0)
            .sqrt();
        let xi = (c * 2.0 / (b + root)).clamp(0.0, 1.0);
        let (_, log_slope) = bin.rise(xi.clone());
        (bin.left + xi * bin.width, log_slope.neg())
    }

    /// The bins that coordinates are in, told by the lower ends of all bins.
    fn bin(&self, x: &Tensor<2>, ends: &Tensor<3>) -> Bin {
        let [batch, coordinates, bins] = ends.dims();
        let x = x.clone().reshape([batch, coordinates, 1]);
        // The first end is 0, which all are above; rounding may put one below.
        let above = x.greater_equal(ends.clone()).int().sum_dim(2);
        let index: Tensor<3, Int> = (above - 1).clamp(0, bins as i32 - 1);
        let of = |values: &Tensor<3>| {
            let chosen = values.clone().gather(2, index.clone());
            chosen.reshape([batch, coordinates])
        };
        Bin {
            left: of(&self.left),
            width: of(&self.width),
            bottom: of(&self.bottom),
            height: of(&self.height),
            slope: of(&self.slope),
            next_slope: of(&self.next_slope),
        }
    }
}

impl Bin {
    /// `(y − y_k)/h` and `ln dy/dx` at `ξ`.
    fn rise(&self, xi: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let s = self.height.clone() / self.width.clone();
        let (left, right) = (self.slope.clone(), self.next_slope.clone());
        let rest = xi.clone().neg() + 1.0;
        let both = xi.clone() * rest.clone();
        let below = s.clone() + (left.clone() + right.clone() - s.clone() * 2.0) * both.clone();
        let above = s.clone() * xi.clone().square() + left.clone() * both.clone();
        let slope = right * xi.square() + s.clone() * both * 2.0 + left * rest.square();
        let log_slope = s.log() * 2.0 + slope.log() - below.clone().log() * 2.0;
        (above / below, log_slope)
    }
}
