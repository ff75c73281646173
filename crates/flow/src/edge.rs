//! What a network of pairs of points sees first.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::context::Context;
use crate::dual::Dual;
use crate::linear::{Initializer, Linear};

/// `W_r a_i + W_s b_j + w z_ij + W_p p_ij + b`: features of both ends, what their distance makes, and features of the pair; split by where they
/// come from, so that pairs are never concatenated.
#[derive(Module, Debug)]
pub(crate) struct Edge {
    /// `W_r`, with the bias.
    receiver: Linear,
    /// `W_s`.
    sender: Linear,
    /// `w`, `[outputs]`.
    distance: Param<Tensor<1>>,
    /// `W_p`.
    pairs: Option<Linear>,
}

impl Edge {
    pub fn new(
        inputs: usize,
        outputs: usize,
        pair_features: usize,
        make: &mut Initializer,
    ) -> Self {
        // Three terms come together, so each gets a third of the variance.
        let gain = (1.0_f64 / 3.0).sqrt();
        Self {
            receiver: Linear::new(inputs, outputs, gain, make),
            sender: Linear::without_bias(inputs, outputs, gain, make),
            distance: make.uniform([outputs], gain),
            pairs: (pair_features > 0)
                .then(|| Linear::without_bias(pair_features, outputs, 1.0, make)),
        }
    }

    pub fn outputs(&self) -> usize {
        self.distance.dims()[0]
    }

    /// # Shapes
    /// `receiver` `[batch, N, inputs]`; `sender` `[batch, N or 1, N, inputs]`, senders last, where it has an axis of receivers; `z`
    /// `[batch, N, N, 1]`; the answer `[batch, N, N, outputs]`.
    pub fn forward(
        &self,
        receiver: Tensor<3>,
        sender: Dual<4>,
        z: Dual<4>,
        context: &Context,
    ) -> Dual<4> {
        let receiver = self.receiver.forward(receiver).unsqueeze_dim::<4>(2);
        let ends = Dual::constant(receiver).plus(sender.through(&self.sender));
        let mut first = ends.plus(z.linear(|z| z * self.distance.val().unsqueeze::<4>()));
        if let (Some(linear), Some(pairs)) = (&self.pairs, &context.pairs) {
            first.value = first.value + linear.matmul(pairs.clone());
        }
        first
    }

    /// The same for ends that have seen no other point, `g` `[batch, N, inputs]`.
    pub fn between(&self, g: &Tensor<3>, z: Dual<4>, context: &Context) -> Dual<4> {
        let sender = Dual::constant(g.clone().unsqueeze_dim(1));
        self.forward(g.clone(), sender, z, context)
    }
}
