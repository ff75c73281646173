//! Radial basis functions of one variable.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::activation::apply;
use crate::divergence::tensor;
use crate::dual::{Dual, times};
use crate::linear::Initializer;
use crate::simd::Function;

/// How many times the distance of two centres functions are wide at the start: wide enough that their sum has no ripples.
const OVERLAP: f64 = 2.0;

/// `K_a(z) = k_a(z) / Σ_b k_b(z)` with `k_a(z) = e^{−((z − μ_a)/γ_a)²}`: bumps that add up to one everywhere, so that beyond the last
/// centre its function stays.
#[derive(Module, Debug)]
pub(super) struct Basis {
    /// `μ`, `[functions]`.
    centres: Param<Tensor<1>>,
    /// `ln γ`, `[functions]`.
    log_widths: Param<Tensor<1>>,
}

impl Basis {
    /// Functions at equal distances, the first and the last with their centres at these places.
    pub fn new(count: usize, [first, last]: [f64; 2], make: &Initializer) -> Self {
        let spacing = (last - first) / count.saturating_sub(1).max(1) as f64;
        let centres = (0..count).map(|a| first + a as f64 * spacing).collect();
        let log_widths = vec![(OVERLAP * spacing).ln(); count];
        let param = |values| Param::from_tensor(tensor(values, [count], make.device, make.dtype));
        Self {
            centres: param(centres),
            log_widths: param(log_widths),
        }
    }

    /// All functions of every number.
    ///
    /// # Shapes
    /// `z` `[…, 1]`, the answer `[…, functions]`.
    pub fn of<const D: usize>(&self, z: Dual<D>) -> Dual<D> {
        let rates = self.log_widths.val().neg().exp();
        let places = (self.centres.val() * rates.clone()).unsqueeze::<D>();
        let rates = rates.unsqueeze::<D>();
        let mut scaled = z.linear(|z| z * rates.clone());
        scaled.value = scaled.value - places;
        let offset = scaled.value.clone();
        softmax(scaled.chain(offset.clone().square().neg(), || offset * -2.0))
    }
}

/// `e^{y_a} / Σ_b e^{y_b}` on the last axis.
fn softmax<const D: usize>(y: Dual<D>) -> Dual<D> {
    let last = D - 1;
    // Far from all centres every power would be zero.
    let largest = y.value.clone().max_dim(last).detach();
    let powers = apply(Function::Exp, y.value - largest);
    let value = powers.clone() / powers.sum_dim(last);
    let tangents = y.tangents.map(|tangents| {
        let weighted = times(tangents, value.clone());
        let mean = weighted.clone().sum_dim(last);
        weighted - times(mean, value.clone())
    });
    Dual { value, tangents }
}
