//! Hollow message passing as a vector field, whose exact divergence is as cheap as its velocity (Gloy and Olsson 2025).

mod operations;
mod passing;
mod readout;
#[cfg(test)]
mod tests;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::bijection::{FlowError, PerSample, Points};
use crate::context::Context;
use crate::dual::Dual;
use crate::embedding::Embedding;
use crate::field::VectorField;
use crate::linear::Initializer;
use crate::schedule::Schedule;
use crate::separation::{differences, seen, squares, without_mean};
use passing::Passing;
use readout::Readout;

/// The size of a [`Hollow`], and of the features it is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HollowConfig {
    /// Width of every hidden layer.
    pub width: usize,
    /// Layers of message passing before points see themselves.
    pub layers: usize,
    /// Invariant features of each point.
    pub node_features: usize,
    /// Invariant features of each pair of points; 0 for none.
    pub pair_features: usize,
    /// Features of the whole (temperature, …).
    pub global_features: usize,
    /// How noise turns into data along the paths that it is trained on.
    pub schedule: Schedule,
}

/// The field `v_i(t, x) = α'(t) Σ_j (x_i − x_j) w(d²_ij, h_{j∖i}, s_i)/√(d²_ij + 1)` less its mean, `α` the [`Schedule`], where `h_{j∖i}` is what point
/// `j` knows of all points **but `i`**, after some layers of message passing, and `s_i` is the sum of what the pairs of `i` make of that.
///
/// **Divergence.** `h_{j∖i}` does not depend on `x_i`. So the Jacobian is the sum of a part whose diagonal blocks, of `dims` by `dims`, are
/// zero (through `h`), and of one that is zero outside them (through the differences and distances of `i`), and
/// `∇·v = Σ_i ∇_i·v_i` with `h` held fixed: one pass of the message passing, and of the read-out with `dims` tangents instead of `dims · N`.
/// Of these, pairs share the slope by `d²`, and only `s` has all.
/// Taking out the mean fills the blocks `∂v_i/∂x_j`, but leaves the trace as it is: with `P` the projection, `tr PJ = tr J − (1/N) Σ_ij tr ∂v_i/∂x_j`,
/// and the last sum vanishes because translations do not change the field.
///
/// **Message passing.** States stand on the line graph, whose nodes are ordered pairs `(j, i)`, here *`j` without `i`*, and whose messages go from `(k, i)` to
/// `(j, i)`: every point in turn is left out, and the others talk as if it was not there,
///
/// `h_{j∖i} ← h_{j∖i} + W φ(W_h h_{j∖i} + W_m Σ_{k≠i} q(z_jk) ⊙ V h_{k∖i}/N)`,
///
/// with `φ` = SiLU and filters `q` (Schütt et al. 2017) of distances, of what `j` and `k` are, and of time, which all left-out points share. The published walk, from
/// `(k, j)` to `(j, i)`, comes back to `i` after two steps on a complete graph; edges are then taken out of the line graph, of which few are left,
/// and graphs are cut to nearest neighbours. Here nothing comes back after any number of layers, and no neighbour is left out.
/// `z` is as in [`Egnn`](crate::Egnn), and `ln(1 + d²)` where the context has no [`Distances`](crate::Distances).
///
/// **What the line graph costs.** It has `N²` nodes and `N³` edges. Networks live on its nodes, `5 N² W²` multiply-adds a layer; what goes along its edges is a
/// product of matrices for each of `W` channels, `N³ W` multiply-adds that are never written down. So memory is that of `N² W` numbers a
/// sample, and the edges take less arithmetic than the nodes for fewer than `5 W` points. In the first layer, where `h_k` knows of no other point, they cost
/// nothing: sums without `i` are totals less what `i` has sent.
///
/// In return no displacement may depend on one that `i` has been given: points are moved once, and displacements are not spread.
#[derive(Module, Debug)]
pub struct Hollow {
    embedding: Embedding,
    layers: Vec<Passing>,
    readout: Readout,
    #[module(skip)]
    schedule: Schedule,
}

impl Hollow {
    /// A network that starts near the zero field.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] where the width is 0.
    pub fn new(config: &HollowConfig, make: &mut Initializer) -> Result<Self, FlowError> {
        let HollowConfig {
            width,
            layers,
            node_features,
            pair_features,
            global_features,
            schedule,
        } = *config;
        if width == 0 {
            return Err(FlowError::Unsupported {
                what: "a hollow field needs a width of at least 1".to_owned(),
            });
        }
        Ok(Self {
            embedding: Embedding::new(node_features, global_features, width, make),
            layers: (0..layers)
                .map(|_| Passing::new(width, pair_features, make))
                .collect(),
            readout: Readout::new(width, pair_features, make),
            schedule,
        })
    }

    /// What the read-out's networks of pairs see, before their first activation: messages are passed between points at the squared distances `passed`,
    /// and pairs are seen at `read`, the same with other tangents.
    fn first(
        &self,
        t: Tensor<1>,
        x: &Points,
        [passed, read]: [Dual<4>; 2],
        context: &Context,
    ) -> Dual<4> {
        let distances = context.distances.as_ref();
        let standard = distances.map(|distances| distances.at(&t, self.schedule, x));
        let g = self.embedding.forward(t, context);
        let z = seen(passed, standard.as_ref());
        let start = Dual::constant(g.clone().unsqueeze_dim(2));
        let states = self.layers.iter().fold(start, |states, layer| {
            layer.forward(states, &g, &z, context)
        });
        // Of `j` without `i`, to `i` as receiver and `j` as sender.
        let senders = states.linear(|h| h.swap_dims(1, 2));
        let z = seen(read, standard.as_ref());
        self.readout.first(g, senders, z, context)
    }
}

impl VectorField for Hollow {
    fn velocity(&self, t: Tensor<1>, x: Dual<3>, context: &Context) -> Dual<3> {
        let difference = differences(x.clone());
        let square = squares(&difference);
        let squares = [square.clone(), square.clone()];
        let first = self.first(t.clone(), &x.value, squares, context);
        let velocity = self.readout.velocity(difference, square, first);
        let speed = self.schedule.speeds(t).reshape([-1, 1, 1]);
        without_mean(velocity).product(Dual::constant(speed))
    }

    fn divergence_size(&self, points: usize, dims: usize) -> usize {
        let width = self.readout.width();
        points * points * width.max(dims)
    }

    fn divergence_operations(&self, points: usize, dims: usize) -> f64 {
        operations::of_divergence(self, points, dims)
    }

    fn structured_divergence(
        &self,
        t: Tensor<1>,
        x: Points,
        context: &Context,
    ) -> Option<(Points, PerSample)> {
        let difference = differences(Dual::constant(x.clone()));
        let square = squares(&difference);
        let slope = Dual::new(square.value.clone(), square.value.ones_like());
        let first = self.first(t.clone(), &x, [square, slope.clone()], context);
        let (velocity, divergence) = self.readout.divergence(difference.value, slope, first);
        let velocity = without_mean(Dual::constant(velocity)).value;
        let speed = self.schedule.speeds(t);
        Some((
            velocity * speed.clone().reshape([-1, 1, 1]),
            divergence * speed,
        ))
    }
}
