//! The pairs of a cloud's points, each once.

use burn::tensor::{Device, Int, Tensor};

use crate::distances::Standard;
use crate::divergence::indices;
use crate::dual::Dual;

/// Added to `d²` under the root, so that gradients stay finite where points coincide.
const SOFTENING: f64 = 1e-8;

/// The `P = N (N − 1)/2` pairs `i < j`, and after them the same pairs as `(j, i)`: what depends on a distance is computed once for both.
pub(super) struct Pairs {
    points: usize,
    /// `i` of every pair, `[P]`.
    first: Tensor<1, Int>,
    /// `j` of every pair, `[P]`.
    second: Tensor<1, Int>,
    /// Where a square matrix has the pair, row by row, `[P]`.
    upper: Tensor<1, Int>,
    /// Where it has the pair as `(j, i)`, `[P]`.
    lower: Tensor<1, Int>,
    /// Of each point the `N − 1` ordered pairs that begin with it, `[N (N − 1)]`.
    by_point: Tensor<1, Int>,
}

impl Pairs {
    pub fn of(points: usize, device: &Device) -> Self {
        let pairs: Vec<(usize, usize)> = (0..points)
            .flat_map(|i| (i + 1..points).map(move |j| (i, j)))
            .collect();
        let every = |place: &dyn Fn(usize, usize) -> usize| {
            let places: Vec<usize> = pairs.iter().map(|&(i, j)| place(i, j)).collect();
            indices(&places, device)
        };
        // How many pairs come before (i, j) with i < j.
        let number = |i: usize, j: usize| i * (2 * points - i - 1) / 2 + j - i - 1;
        let by_point: Vec<usize> = (0..points)
            .flat_map(|i| (0..points).filter(move |&j| j != i).map(move |j| (i, j)))
            .map(|(i, j)| {
                if i < j {
                    number(i, j)
                } else {
                    pairs.len() + number(j, i)
                }
            })
            .collect();
        Self {
            points,
            first: every(&|i, _| i),
            second: every(&|_, j| j),
            upper: every(&|i, j| i * points + j),
            lower: every(&|i, j| j * points + i),
            by_point: indices(&by_point, device),
        }
    }

    /// `x_i − x_j` of every pair.
    ///
    /// # Shapes
    /// `x` `[batch, N, dims]`, the answer `[batch, P, dims]`.
    pub fn differences(&self, x: Dual<3>) -> Dual<3> {
        x.linear(|x| x.clone().select(1, self.first.clone()) - x.select(1, self.second.clone()))
    }

    /// What distances are like, of every pair: `[batch or 1, P, 1, 1]`.
    pub fn standard(&self, standard: &Standard) -> Standard {
        standard.selected(&self.upper)
    }

    /// The kinds of all pairs, and of all as `(j, i)`, each `[P]`.
    pub fn kinds(&self, kinds: &Tensor<1, Int>) -> [Tensor<1, Int>; 2] {
        [&self.upper, &self.lower].map(|places| kinds.clone().select(0, places.clone()))
    }

    /// `Σ_j φ_ij (x_i − x_j)` for every point.
    ///
    /// # Shapes
    /// `magnitude` `[batch, 2 P, 1]`, `difference` `[batch, P, dims]`, the answer `[batch, N, dims]`.
    pub fn pulls(&self, magnitude: Dual<3>, difference: Dual<3>) -> Dual<3> {
        let both = difference.linear(|u| Tensor::cat(vec![u.clone(), u.neg()], 1));
        magnitude.product(both).linear(|pulls| {
            let [rows, _, dims] = pulls.dims();
            pulls
                .select(1, self.by_point.clone())
                .reshape([rows, self.points, self.points - 1, dims])
                .sum_dim(2)
                .squeeze_dim(2)
        })
    }
}

/// What the basis functions see of each `d²`: `z` where the context says what distances are like, else `√(d² + ε)`.
///
/// # Shapes
/// Both `[batch, P, 1]`, `standard` as [`Pairs::standard`] gives it.
pub(super) fn radius(square: Dual<3>, standard: Option<&Standard>) -> Dual<3> {
    if let Some(standard) = standard {
        let z = standard.of(square.linear(|s| s.unsqueeze_dim::<4>(3)));
        return z.linear(|z| z.squeeze_dim(3));
    }
    let root = (square.value.clone() + SOFTENING).sqrt();
    square.chain(root.clone(), || root.recip() * 0.5)
}
