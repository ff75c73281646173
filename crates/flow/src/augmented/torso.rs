//! The network that a coupling takes its numbers and vectors from: message passing over the half that is given.

use burn::module::Module;
use burn::tensor::{DType, Tensor};

use super::AugmentedConfig;
use crate::Points;
use crate::activation::silu;
use crate::bijection::FlowError;
use crate::conditioner::LAST_GAIN;
use crate::context::Context;
use crate::divergence::tensor;
use crate::linear::{Initializer, Linear};
use crate::product::product;

/// Lengths, in latent units, at which nearness is told: `1/(1 + d²/l²)`.
const LENGTHS: [f64; 6] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0];
/// Added to squared lengths under a root, so that gradients are finite where points coincide.
const SOFTENING: f64 = 1e-4;

/// Invariant numbers and equivariant vectors of every point `c_i`, from rounds of
///
/// `e_ij = φ(W_r h_i + W_s h_j + W_p p_ij + W_d n(d_ij))`, `v_i ← v_i + Σ_j (U e_ij) (c_i − c_j)/(d_ij + 1)`,
/// `h_i ← h_i + W φ(W_h h_i + W_m Σ_j e_ij/N + W_v v_i·v_i)` with `φ` = SiLU.
///
/// `n` is nearness at several lengths; `v_i` are several vectors, of which `h_i` sees all products `v_i^a·v_i^b/√(1 + |v_i|²)`, and so the angles
/// between neighbours. Layers after the sum over neighbours are outside of it (they are linear), so an edge costs one activation and two narrow
/// products, and pairs are never concatenated.
#[derive(Module, Debug)]
pub(super) struct Torso {
    nodes: Linear,
    global: Option<Linear>,
    rounds: Vec<Round>,
    hidden: Linear,
    numbers: Linear,
    /// How much of each `v_i` there is in the displacements.
    displacements: Linear,
    /// And in the vectors that make a basis.
    axes: Option<Linear>,
    #[module(skip)]
    channels: usize,
}

/// What a [`Torso`] is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outputs {
    /// Numbers of each point.
    pub numbers: usize,
    /// Vectors of each point that make a basis.
    pub axes: usize,
}

/// What a [`Torso`] says of every point.
#[derive(Debug)]
pub(super) struct Told {
    /// `[batch, points, numbers]`, in the float type of the points.
    pub numbers: Tensor<3>,
    /// Near zero before training.
    pub displacements: [Points; 2],
    /// Vectors that make a basis.
    pub axes: Vec<Points>,
}

impl Torso {
    pub fn new(config: &AugmentedConfig, outputs: Outputs, make: &mut Initializer) -> Self {
        let (width, channels) = (config.width, config.channels);
        Self {
            nodes: Linear::new(config.node_features, width, 1.0, make),
            global: (config.global_features > 0)
                .then(|| Linear::without_bias(config.global_features, width, 1.0, make)),
            rounds: (0..config.rounds)
                .map(|_| Round::new(config, make))
                .collect(),
            hidden: Linear::new(width, width, 1.0, make),
            numbers: Linear::new(width, outputs.numbers, LAST_GAIN, make),
            displacements: Linear::new(width, 2 * channels, LAST_GAIN, make),
            axes: (outputs.axes > 0)
                .then(|| Linear::new(width, outputs.axes * channels, 1.0, make)),
            channels,
        }
    }

    /// # Shapes
    /// `given` `[batch, N, dims]`, of no fewer digits than the network.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] of a context with other features than the network was made for.
    pub fn forward(&self, given: &Points, context: &Context) -> Result<Told, FlowError> {
        self.check(given, context)?;
        let digits = given.dtype();
        let points = given.clone().cast(self.digits());
        let points = points.clone() - points.mean_dim(1);
        let scene = Scene::new(points, context);
        let mut h = self.embed(&scene, context);
        let mut vectors = None;
        for round in &self.rounds {
            (h, vectors) = round.forward(h, vectors, &scene);
        }
        let vectors = vectors.expect("there is a round");
        let h = silu(self.hidden.forward(h));
        let of = |weights: &Linear| -> Vec<Points> {
            let mixed = mixed(weights.forward(h.clone()), vectors.clone());
            mixed
                .into_iter()
                .map(|vector| vector.cast(digits))
                .collect()
        };
        Ok(Told {
            numbers: self.numbers.forward(h.clone()).cast(digits),
            displacements: of(&self.displacements)
                .try_into()
                .expect("there are weights for two"),
            axes: self.axes.as_ref().map(of).unwrap_or_default(),
        })
    }

    /// Floating-point operations of the matrix products that a sample takes, two a multiply-add.
    pub fn operations(&self, points: usize, dims: usize) -> f64 {
        let weights = |linear: &Linear| {
            let [inputs, outputs] = linear.weight.dims();
            inputs * outputs
        };
        let ends = [
            &self.nodes,
            &self.hidden,
            &self.numbers,
            &self.displacements,
        ];
        let ends = ends.into_iter().chain(self.axes.as_ref()).map(weights);
        let channels = self.channels;
        let each = self.rounds.iter().map(|round| {
            let of_points = [&round.receiver, &round.sender, &round.node, &round.message];
            let of_points = of_points.into_iter().chain([&round.angles, &round.out]);
            let of_pairs = weights(&round.nearness) + weights(&round.pull) + channels * dims;
            let products = channels * channels * dims;
            of_points.map(weights).sum::<usize>() + products + points * of_pairs
        });
        (2 * points * (ends.sum::<usize>() + each.sum::<usize>())) as f64
    }

    fn digits(&self) -> DType {
        self.nodes.weight.val().dtype()
    }

    fn check(&self, given: &Points, context: &Context) -> Result<(), FlowError> {
        let [_, points, _] = given.dims();
        let pairs = self.rounds.first().and_then(|round| round.pairs.as_ref());
        let inputs = |linear: &Linear| linear.weight.dims()[0];
        let wanted = [
            points,
            inputs(&self.nodes),
            pairs.map_or(0, inputs),
            self.global.as_ref().map_or(0, inputs),
        ];
        let [_, nodes, features] = context.nodes.dims();
        // Pair features that the network was not made for are not looked at.
        let pairs = context.pairs.as_ref().filter(|_| wanted[2] > 0);
        let found = [
            nodes,
            features,
            pairs.map_or(0, |pairs| pairs.dims()[3]),
            context.global.as_ref().map_or(0, |global| global.dims()[1]),
        ];
        if found == wanted {
            return Ok(());
        }
        let text = |[points, nodes, pairs, global]: [usize; 4]| {
            format!(
                "{points} atoms with {nodes} features each, {pairs} of each pair and {global} of the whole"
            )
        };
        Err(FlowError::Unsupported {
            what: format!(
                "an augmented coupling of {} was given {}",
                text(wanted),
                text(found)
            ),
        })
    }

    /// Hidden features before the first message, `[batch, N, width]`.
    fn embed(&self, scene: &Scene, context: &Context) -> Tensor<3> {
        let [batch, points, _] = scene.points.dims();
        let h = self
            .nodes
            .forward(context.nodes.clone().cast(self.digits()));
        let h = match (&self.global, &context.global) {
            (Some(linear), Some(global)) => {
                let global = linear.forward(global.clone().cast(self.digits()));
                h + global.unsqueeze_dim::<3>(1)
            }
            _ => h,
        };
        let width = h.dims()[2];
        h.expand([batch, points, width])
    }
}

/// Some combinations of every point's vectors.
///
/// # Shapes
/// `weights` `[batch, N, combinations · channels]`, `vectors` `[batch · N, channels, dims]`, each result `[batch, N, dims]`.
fn mixed(weights: Tensor<3>, vectors: Tensor<3>) -> Vec<Points> {
    let [batch, points, many] = weights.dims();
    let [rows, channels, dims] = vectors.dims();
    let mixed = product(weights.reshape([rows, many / channels, channels]), vectors);
    let vector = |which| {
        let vector = mixed.clone().narrow(1, which, 1);
        vector.reshape([batch, points, dims])
    };
    (0..many / channels).map(vector).collect()
}

/// What all rounds see.
struct Scene {
    /// `[batch, N, dims]`.
    points: Points,
    /// `1/(1 + d²/l²)`, `[batch, N, N, lengths]`.
    nearness: Tensor<4>,
    /// `1/(d + 1)`, `[batch, N, N, 1]`.
    reach: Tensor<4>,
    /// Features of pairs, `[batch or 1, N, N, features]`.
    pairs: Option<Tensor<4>>,
}

impl Scene {
    fn new(points: Points, context: &Context) -> Self {
        let [batch, count, dims] = points.dims();
        let (device, dtype) = (points.device(), points.dtype());
        let mut square = Tensor::zeros([batch, count, count], (&device, dtype));
        for axis in 0..dims {
            let along = points.clone().narrow(2, axis, 1);
            let difference = along.clone() - along.swap_dims(1, 2);
            square = square + difference.square();
        }
        let square = square.unsqueeze_dim::<4>(3);
        let inverse = LENGTHS.map(|length| 1.0 / (length * length)).to_vec();
        let inverse = tensor(inverse, [1, 1, 1, LENGTHS.len()], &device, dtype);
        Self {
            nearness: (square.clone() * inverse + 1.0).recip(),
            reach: ((square + SOFTENING).sqrt() + 1.0).recip(),
            pairs: context
                .pairs
                .as_ref()
                .map(|pairs| pairs.clone().cast(dtype)),
            points,
        }
    }
}

/// One round of messages.
#[derive(Module, Debug)]
struct Round {
    receiver: Linear,
    sender: Linear,
    pairs: Option<Linear>,
    nearness: Linear,
    /// How much each edge pulls, for each vector.
    pull: Linear,
    node: Linear,
    message: Linear,
    angles: Linear,
    out: Linear,
}

impl Round {
    fn new(config: &AugmentedConfig, make: &mut Initializer) -> Self {
        let (width, channels) = (config.width, config.channels);
        // Terms of a sum share its variance.
        let third = (1.0_f64 / 3.0).sqrt();
        Self {
            receiver: Linear::new(width, width, third, make),
            sender: Linear::without_bias(width, width, third, make),
            pairs: (config.pair_features > 0)
                .then(|| Linear::without_bias(config.pair_features, width, 1.0, make)),
            nearness: Linear::without_bias(LENGTHS.len(), width, 2.0, make),
            pull: Linear::without_bias(width, channels, 1.0, make),
            node: Linear::new(width, width, third, make),
            message: Linear::without_bias(width, width, third, make),
            angles: Linear::without_bias(channels * channels, width, third, make),
            out: Linear::new(width, width, 0.5, make),
        }
    }

    /// Node features and vectors after the round.
    ///
    /// # Shapes
    /// `h` `[batch, N, width]`, `vectors` `[batch · N, channels, dims]`.
    fn forward(
        &self,
        h: Tensor<3>,
        vectors: Option<Tensor<3>>,
        scene: &Scene,
    ) -> (Tensor<3>, Option<Tensor<3>>) {
        let edges = self.edges(&h, scene);
        let pulled = self.pulled(edges.clone(), scene);
        let vectors = match vectors {
            Some(vectors) => vectors + pulled,
            None => pulled,
        };
        let messages = edges.mean_dim(2).squeeze_dim::<3>(2);
        let angles = self.angles.matmul(products(vectors.clone()));
        let angles = angles.reshape(h.dims());
        let update = self.node.forward(h.clone()) + self.message.matmul(messages) + angles;
        (h + self.out.forward(silu(update)), Some(vectors))
    }

    /// `e_ij`, `[batch, N, N, width]`.
    fn edges(&self, h: &Tensor<3>, scene: &Scene) -> Tensor<4> {
        let mut first = self.nearness.matmul(scene.nearness.clone());
        if let (Some(linear), Some(pairs)) = (&self.pairs, &scene.pairs) {
            first = first + linear.matmul(pairs.clone());
        }
        let receiver = self.receiver.forward(h.clone());
        let sender = self.sender.matmul(h.clone());
        first = first + receiver.unsqueeze_dim::<4>(2) + sender.unsqueeze_dim::<4>(1);
        silu(first)
    }

    /// `Σ_j w_ij (c_i − c_j)`, `[batch · N, channels, dims]`, as one product of matrices for each sample.
    fn pulled(&self, edges: Tensor<4>, scene: &Scene) -> Tensor<3> {
        let [batch, points, _, _] = edges.dims();
        let dims = scene.points.dims()[2];
        let weights = self.pull.matmul(edges) * scene.reach.clone();
        let channels = weights.dims()[3];
        let rows = points * channels;
        let weights = weights.swap_dims(2, 3).reshape([batch, rows, points]);
        let total = weights.clone().sum_dim(2);
        let total = total.reshape([batch * points, channels, 1]);
        let own = scene.points.clone().reshape([batch * points, 1, dims]);
        let others = product(weights, scene.points.clone());
        total * own - others.reshape([batch * points, channels, dims])
    }
}

/// `v^a·v^b/√(1 + |v|²)` of every point, `[batch · N, channels²]`.
fn products(vectors: Tensor<3>) -> Tensor<2> {
    let [rows, channels, dims] = vectors.dims();
    let flat = vectors.clone().reshape([rows, channels * dims]);
    let size = (flat.square().sum_dim(1) + 1.0).sqrt();
    let products = product(vectors.clone(), vectors.swap_dims(1, 2));
    products.reshape([rows, channels * channels]) / size
}
