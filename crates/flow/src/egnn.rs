//! E(n)-equivariant graph network as a vector field (Satorras, Hoogeboom, Welling 2021; as a flow's field Satorras et al. 2021).

mod divergence;
mod edge;
mod layer;
mod maps;
mod operations;
mod trace;
mod values;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::bijection::{PerSample, Points};
use crate::context::Context;
use crate::distances::Standard;
use crate::dual::Dual;
use crate::embedding::Embedding;
use crate::field::VectorField;
use crate::linear::Initializer;
use crate::schedule::Schedule;
use crate::separation::without_mean;
use edge::Messages;
use layer::{Layer, PairTerms};

/// The size of an [`Egnn`], and of the features it is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgnnConfig {
    /// Width of every hidden layer.
    pub width: usize,
    /// Layers of message passing.
    pub layers: usize,
    /// Invariant features of each point.
    pub node_features: usize,
    /// Invariant features of each pair of points; 0 for none.
    pub pair_features: usize,
    /// Kinds of ordered pairs, over which displacements are spread.
    pub pair_kinds: usize,
    /// Features of the whole (temperature, …).
    pub global_features: usize,
    /// Displacements that every layer before the last makes, each spread in its own way; one alone is not spread.
    pub channels: usize,
    /// What its edges see of their ends.
    pub edges: Edges,
    /// How noise turns into data along the paths that it is trained on.
    pub schedule: Schedule,
}

/// Which node features the edges of the layers before the last see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edges {
    /// Those that the layer before has updated, as published. The exact divergence carries a tangent for every coordinate through every
    /// edge network between the first layer and the last.
    Updated,
    /// The initial ones, which do not depend on positions: an edge then knows time, its ends' kinds and their present distance, and one
    /// tangent `∂/∂d²` serves all directions in every layer but the last. Messages of all layers come together in one node update before
    /// the last. A deep network has its exact divergence for a few forward passes.
    Initial,
}

/// The field `v(t, x) = α'(t) (x⁽ᴸ⁾ − x⁽⁰⁾)` less its mean, `α` the [`Schedule`], from layers that move points along their differences:
///
/// `m_ij = φ(W₂ φ(W_r h_i + W_s h_j + W_p p_ij + w z_ij))`, `x_i ← x_i + Σ_j (x_i − x_j) c(m_ij)/(d_ij + 1)`,
/// `h_i ← h_i + W φ(W_h h_i + W_m Σ_j m_ij/N)` with `φ` = SiLU, every affine map with a bias where it needs one.
///
/// The first edge layer is split, so that pairs are never concatenated; the sum includes `j = i`, whose message depends on `h_i`
/// alone. The last layer has no node update; see [`Edges`] for where the others have theirs. `z_ij` is `d²_ij`, less its mean and over its standard deviation at that time where the
/// context has [`Distances`](crate::Distances): stiff bonds then show in full width how far they are from their length.
#[derive(Module, Debug)]
pub struct Egnn {
    /// What points are, and what time it is, to hidden features.
    embedding: Embedding,
    /// Message passing.
    layers: Vec<Layer>,
    /// What edges see.
    #[module(skip)]
    edges: Edges,
    /// `α`.
    #[module(skip)]
    schedule: Schedule,
}

impl Egnn {
    /// A network that starts near the zero field.
    pub fn new(config: &EgnnConfig, make: &mut Initializer) -> Self {
        let layers = (0..config.layers)
            .map(|index| {
                let updates = match config.edges {
                    Edges::Updated => index + 1 < config.layers,
                    Edges::Initial => index + 2 == config.layers,
                };
                let channels = if index + 1 < config.layers {
                    config.channels
                } else {
                    1
                };
                Layer::new(config, channels, updates, make)
            })
            .collect();
        let embedding = Embedding::new(
            config.node_features,
            config.global_features,
            config.width,
            make,
        );
        Self {
            embedding,
            layers,
            edges: config.edges,
            schedule: config.schedule,
        }
    }

    /// What distances are like at these times, where the context says.
    fn standard(&self, t: &Tensor<1>, x: &Points, context: &Context) -> Option<Standard> {
        let distances = context.distances.as_ref()?;
        Some(distances.at(t, self.schedule, x))
    }

    /// The field from how all layers together move points, and `α'(t)`.
    fn at_speed(&self, t: Tensor<1>, shift: Dual<3>) -> (Dual<3>, Tensor<1>) {
        let speed = self.schedule.speeds(t);
        let factor = Dual::constant(speed.clone().reshape([-1, 1, 1]));
        (without_mean(shift).product(factor), speed)
    }

    /// The velocity layer by layer, with what derivatives are asked for.
    fn composed(&self, t: Tensor<1>, x: Dual<3>, context: &Context) -> Dual<3> {
        let start = x.clone();
        let standard = self.standard(&t, &x.value, context);
        let h = Dual::constant(self.embedding.forward(t.clone(), context));
        let standard = standard.as_ref();
        let (last, before) = self.layers.split_last().expect("a network has layers");
        let (mut x, mut h, mut messages) = (x, h, None);
        for layer in before {
            let pairs = PairTerms::of(layer, context);
            let (moved, received) = layer.forward(x, h.clone(), standard, &pairs, Messages::Wanted);
            x = moved;
            let received = received.expect("they are wanted");
            let received = gathered(self.edges, messages, received);
            h = layer.updated(h, received.clone());
            messages = Some(received);
        }
        let pairs = PairTerms::of(last, context);
        let (end, _) = last.forward(x, h, standard, &pairs, Messages::Unwanted);
        self.at_speed(t, end.plus(start.linear(Tensor::neg))).0
    }
}

/// The messages that a node update is given after a layer: its own, with [`Edges::Initial`] those of the layers before as well.
fn gathered(edges: Edges, before: Option<Dual<3>>, received: Dual<3>) -> Dual<3> {
    match (edges, before) {
        (Edges::Initial, Some(before)) => before.plus(received),
        _ => received,
    }
}

impl VectorField for Egnn {
    fn velocity(&self, t: Tensor<1>, x: Dual<3>, context: &Context) -> Dual<3> {
        if x.tangents.is_none() && values::is_taken(self, &x.value) {
            let shift = values::shift(self, t.clone(), x.value, context);
            return self.at_speed(t, Dual::constant(shift)).0;
        }
        self.composed(t, x, context)
    }

    fn divergence_size(&self, points: usize, dims: usize) -> usize {
        let width = self.embedding.width();
        // Tangents of updated edges live on all of them, those of the last layer on one row of edges a direction.
        let edges = if self.layers.len() > 2 && self.edges == Edges::Updated {
            points * points
        } else {
            points
        };
        // Tangents of every displacement of a layer, for each of its points, before they are spread and summed.
        let spread = self
            .layers
            .iter()
            .map(|layer| layer.weight.weight.dims()[1]);
        let spread = spread.max().unwrap_or(0) * dims * points;
        dims * points * (edges * width).max(spread)
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
        let time = t.clone();
        let (shift, trace) = if trace::is_taken(self, &x) {
            trace::exact(self, t, x, context)
        } else {
            divergence::exact(self, t, x, context)
        };
        let (velocity, speed) = self.at_speed(time, Dual::constant(shift));
        Some((velocity.value, trace * speed))
    }
}
