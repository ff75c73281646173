//! Hidden features of points before any of them has seen another.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::context::Context;
use crate::linear::{Initializer, Linear};

/// Functions of time that networks see: `t` and two octaves of sine and cosine.
const TIME_FEATURES: usize = 5;

/// `g_i = W_n n_i + W_t τ(t) + b` from the features `n_i` of a point, and functions `τ` of time with the features of the whole.
#[derive(Module, Debug)]
pub(crate) struct Embedding {
    /// `W_n`, with the bias.
    nodes: Linear,
    /// `W_t`.
    global: Linear,
}

impl Embedding {
    pub fn new(
        node_features: usize,
        global_features: usize,
        width: usize,
        make: &mut Initializer,
    ) -> Self {
        Self {
            nodes: Linear::new(node_features, width, 1.0, make),
            global: Linear::without_bias(TIME_FEATURES + global_features, width, 1.0, make),
        }
    }

    /// `g`, `[batch, points, width]`.
    pub fn forward(&self, t: Tensor<1>, context: &Context) -> Tensor<3> {
        let global = self.global.forward(global_features(t, context));
        self.nodes.forward(context.nodes.clone()) + global.unsqueeze_dim(1)
    }

    /// Hidden features of a point.
    pub fn width(&self) -> usize {
        self.global.weight.dims()[1]
    }

    /// Features of time and of the whole.
    pub fn global_features(&self) -> usize {
        self.global.weight.dims()[0]
    }
}

/// `τ(t)` and the features of the whole, `[batch, features]`.
fn global_features(t: Tensor<1>, context: &Context) -> Tensor<2> {
    let batch = t.dims()[0];
    let mut features = vec![t.clone().reshape([batch, 1])];
    let t = t.reshape([batch, 1]) * std::f64::consts::PI;
    for octave in [1.0, 2.0] {
        features.push(t.clone().mul_scalar(octave).sin());
        features.push(t.clone().mul_scalar(octave).cos());
    }
    if let Some(global) = &context.global {
        let rows = global.dims()[0];
        features.push(if rows == batch {
            global.clone()
        } else {
            global.clone().repeat_dim(0, batch)
        });
    }
    Tensor::cat(features, 1)
}
