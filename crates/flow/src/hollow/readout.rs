//! How points move, once each sees itself.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::activation::apply;
use crate::bijection::{PerSample, Points};
use crate::context::Context;
use crate::dual::Dual;
use crate::edge::Edge;
use crate::linear::{Initializer, Linear};
use crate::product::product;
use crate::separation::{inverse_length, others};
use crate::simd::Function;

/// `m_ij = φ(W₂ φ(W_r g_i + W_s h_{j∖i} + w z_ij + W_p p_ij))`, `s_i = Σ_{j≠i} m_ij/N`, `w_ij = c·φ(W_c m_ij + W_t s_i)`,
/// `v_i = Σ_j (x_i − x_j) w_ij/√(d²_ij + 1)`.
#[derive(Module, Debug)]
pub(super) struct Readout {
    /// The first layer.
    edge: Edge,
    /// `W₂`.
    message: Linear,
    /// `W_c`, with bias.
    coordinate: Linear,
    /// `W_t`.
    total: Linear,
    /// `c`.
    weight: Linear,
}

impl Readout {
    pub fn new(width: usize, pair_features: usize, make: &mut Initializer) -> Self {
        Self {
            edge: Edge::new(width, width, pair_features, make),
            message: Linear::new(width, width, 1.0, make),
            coordinate: Linear::new(width, width, 1.0, make),
            total: Linear::without_bias(width, width, 1.0, make),
            weight: Linear::without_bias(width, 1, 1e-2, make),
        }
    }

    pub fn width(&self) -> usize {
        self.weight.weight.dims()[0]
    }

    /// What the networks of pairs see, before the first activation.
    pub fn first(&self, g: Tensor<3>, senders: Dual<4>, z: Dual<4>, context: &Context) -> Dual<4> {
        self.edge.forward(g, senders, z, context)
    }

    /// `m`, `[batch, N, N, width]`, and `s`, `[batch, N, 1, width]`.
    fn messages(&self, first: Dual<4>) -> (Dual<4>, Dual<4>) {
        let message = first
            .map(Function::Silu)
            .through(&self.message)
            .map(Function::Silu);
        let points = message.value.dims()[1];
        let others = others(points, &message.value);
        let sums = message
            .clone()
            .linear(|m| (m * others.clone()).sum_dim(2) / points as f64);
        (message, sums)
    }

    /// `v`, its mean still in it.
    pub fn velocity(&self, difference: Dual<4>, square: Dual<4>, first: Dual<4>) -> Dual<3> {
        let (message, sums) = self.messages(first);
        let head = message
            .through(&self.coordinate)
            .plus(sums.through(&self.total))
            .map(Function::Silu);
        let weight = head
            .linear(|c| self.weight.matmul(c))
            .product(inverse_length(square));
        difference
            .product(weight)
            .linear(|u| u.sum_dim(2).squeeze_dim(2))
    }

    /// `v`, its mean still in it, and `Σ_i ∇_i·v_i` with all `h` fixed, of pairs whose one tangent is `∂/∂d²`.
    ///
    /// With `u_ij = x_i − x_j`, `f_ij = w_ij/√(d²_ij + 1)` and its slope `f'_ij` at fixed `s_i`, it is
    /// `Σ_{j≠i} (D f_ij + 2 d²_ij f'_ij) + Σ_a Σ_j u_ija ∂f_ij/∂s_i · ∂s_i/∂x_ia` with `∂s_i/∂x_ia = (2/N) Σ_j m'_ij u_ija`.
    pub fn divergence(
        &self,
        difference: Tensor<4>,
        square: Dual<4>,
        first: Dual<4>,
    ) -> (Points, PerSample) {
        let by_square = "the square's tangent reaches every result";
        let [batch, points, _, dims] = difference.dims();
        let rows = batch * points;
        let width = self.width();

        let (message, sums) = self.messages(first);
        let message_slope = message.tangents.clone().expect(by_square);
        let before = message
            .through(&self.coordinate)
            .plus(Dual::constant(sums.value).through(&self.total));
        let shortening = inverse_length(square.clone());
        let held = apply(Function::SiluSlope, before.value.clone())
            * self.weight.weight.val().reshape([1, 1, 1, width])
            * shortening.value.clone();
        let weight = before
            .map(Function::Silu)
            .linear(|c| self.weight.matmul(c))
            .product(shortening);
        let slope = weight.tangents.expect(by_square);

        let own = weight.value.clone() * dims as f64 + square.value * slope * 2.0;
        let own = (own * others(points, &difference)).reshape([batch, points * points]);
        // Sums over `j` for every point and axis.
        let along = difference.clone().reshape([rows, points, dims]);
        let along = along.swap_dims(1, 2);
        let pulls = product(along.clone(), held.reshape([rows, points, width]));
        let stretched = product(along, message_slope.reshape([rows, points, width]));
        let stretched = self.total.matmul(stretched * (2.0 / points as f64));
        let through = (pulls * stretched).reshape([batch, points * dims * width]);
        let divergence = own.sum_dim(1) + through.sum_dim(1);
        let velocity = (difference * weight.value).sum_dim(2).squeeze_dim(2);
        (velocity, divergence.reshape([batch]))
    }
}
