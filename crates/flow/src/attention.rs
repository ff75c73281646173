//! Networks of labelled coordinates: one for every molecule.

mod kernel;
mod operation;
#[cfg(test)]
mod tests;

use burn::module::Module;
use burn::tensor::{Tensor, activation::softmax};
use serde::{Deserialize, Serialize};

use crate::activation::silu;
use crate::bijection::FlowError;
use crate::conditioner::{HARMONICS, LAST_GAIN, encode};
use crate::context::Context;
use crate::coupling::{others, some};
use crate::divergence::{indices, tensor};
use crate::flex::is_ours;
use crate::linear::{Initializer, Linear};
use crate::product::product;
use crate::space::Space;

/// What a coordinate is to the map: line, interval, circle.
const KINDS: usize = 3;
/// What a token is told of its coordinate's value: the number of a line or interval, waves of a circle, and whether all that is hidden.
const OF_VALUE: usize = 1 + 2 * HARMONICS + 1;
/// What is added to a mean square before numbers are divided by its root.
const LEAST_SQUARE: f64 = 1e-6;
/// Hidden units between two attentions, in widths.
const WIDENING: usize = 2;

/// The size of an [`Attention`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionSize {
    /// Numbers of a token, a multiple of the heads.
    pub width: usize,
    /// Heads of each layer.
    pub heads: usize,
    /// Layers, at least one.
    pub layers: usize,
}

/// What an [`Attention`] is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionConfig {
    /// Its size.
    pub size: AttentionSize,
    /// Numbers that label a coordinate, [`Context::nodes`].
    pub node_features: usize,
    /// Numbers that label an ordered pair of coordinates, [`Context::pairs`].
    pub pair_features: usize,
}

/// A transformer (Vaswani et al. 2017; layers normalised before, Xiong et al. 2020, by the root mean square, Zhang and Sennrich 2019) from some
/// coordinates, the passive ones, to `numbers` numbers for each of the others.
///
/// Each coordinate is a token: a linear map of its label and of its value, which is hidden where the coordinate is not passive. All tokens attend to
/// all, with logits `q · k / √d + b`, where `b` is a linear map of the pair's label. Labels and values are all that it sees, so its parameters do not
/// depend on how many coordinates there are, it commutes with relabelling, and coordinates alike in both get the same numbers.
#[derive(Module, Debug)]
pub struct Attention {
    label: Linear,
    value: Linear,
    whole: Option<Linear>,
    start: Linear,
    /// From the label of a pair to its bias in all heads of all layers.
    bias: Linear,
    layers: Vec<Block>,
    last: Linear,
    #[module(skip)]
    config: AttentionConfig,
    #[module(skip)]
    coordinates: Coordinates,
}

/// Which coordinates an [`Attention`] sees.
#[derive(Clone, Debug)]
struct Coordinates {
    /// The space of the passive ones.
    passive: Space,
    /// The passive ones, then the active ones.
    order: Vec<usize>,
    /// What each of these is, a one in [`KINDS`].
    kinds: Vec<f64>,
    /// How many are active.
    active: usize,
}

/// A layer: tokens take from all others, and are then mapped one by one.
#[derive(Module, Debug)]
struct Block {
    query: Linear,
    key_value: Linear,
    output: Linear,
    widen: Linear,
    narrow: Linear,
}

impl Attention {
    /// A network that sees all coordinates that are not active, and `globals` features of the whole, and gives `numbers` numbers for each active one.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] where the width is no multiple of the heads, or there are no layers.
    pub fn new(
        space: Space,
        active: &[usize],
        [globals, numbers]: [usize; 2],
        config: AttentionConfig,
        make: &mut Initializer,
    ) -> Result<Self, FlowError> {
        let AttentionSize {
            width,
            heads,
            layers,
        } = config.size;
        if layers == 0 || heads == 0 || width == 0 || !width.is_multiple_of(heads) {
            return Err(FlowError::Unsupported {
                what: format!(
                    "attention of {layers} layers and {heads} heads cannot be {width} wide; its width must be a multiple of its heads, of which, as of \
                     layers, there must be some"
                ),
            });
        }
        let block = |make: &mut Initializer| Block {
            query: Linear::without_bias(width, width, 1.0, make),
            key_value: Linear::without_bias(width, 2 * width, 1.0, make),
            output: Linear::new(width, width, 1.0, make),
            widen: Linear::new(width, WIDENING * width, 1.0, make),
            narrow: Linear::new(WIDENING * width, width, 1.0, make),
        };
        Ok(Self {
            label: Linear::new(KINDS + config.node_features, width, 1.0, make),
            value: Linear::without_bias(OF_VALUE, width, 1.0, make),
            whole: (globals > 0).then(|| Linear::without_bias(globals, width, 1.0, make)),
            start: Linear::new(width, width, 1.0, make),
            bias: Linear::without_bias(config.pair_features.max(1), layers * heads, 1.0, make),
            layers: (0..layers).map(|_| block(make)).collect(),
            last: Linear::new(width, numbers, LAST_GAIN, make),
            config,
            coordinates: Coordinates::new(space, active),
        })
    }

    /// The numbers.
    ///
    /// # Shapes
    /// `x`, the passive coordinates, ascending, `[batch, passive]`; the result `[batch, active, numbers]`.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] where the context has not the labels, alike in every sample, and features of the whole that the network was made
    /// for.
    pub fn forward(&self, x: &Tensor<2>, context: &Context) -> Result<Tensor<3>, FlowError> {
        self.check(context)?;
        let x = &x.clone().cast(self.last.weight.val().dtype());
        let AttentionSize { heads, layers, .. } = self.config.size;
        let count = self.coordinates.order.len();
        let mut h = self.tokens(x, context);
        let bias = self.bias.forward(self.pairs(x, context));
        let bias = bias.reshape([count, count, heads * layers]);
        let bias = bias.permute([2, 0, 1]);
        for (k, block) in self.layers.iter().enumerate() {
            // What becomes of the passive ones after the last layer, nobody asks.
            let from = if k + 1 == layers {
                count - self.coordinates.active
            } else {
                0
            };
            let bias = bias.clone().narrow(0, k * heads, heads);
            h = block.forward(h, from, bias.narrow(1, from, count - from));
        }
        let [_, active, _] = h.dims();
        let found = self.last.forward(normed(h));
        let numbers = found.dims()[2];
        Ok(found.expand([x.dims()[0], active, numbers]))
    }

    /// Floating-point operations of the matrix products that one sample takes, two a multiply-add; of a sample's own alone, so none where all that the
    /// network sees is the same in every sample but for features of the whole.
    ///
    /// For `T` tokens, of which `A` are active, `W` wide, a layer of `Q` queries takes `2 W (2 T W + (2 + 2 · 2) Q W + 2 Q T)`; `Q` is `T`, in the
    /// last layer `A`. Values take `2 T W (8 + W)` before, numbers `2 A W` each after.
    pub fn operations(&self) -> f64 {
        let Coordinates { order, active, .. } = &self.coordinates;
        if order.len() == *active {
            return 0.0;
        }
        let [width, numbers] = self.last.weight.dims().map(|size| size as f64);
        let (tokens, active) = (order.len() as f64, *active as f64);
        let each = |queries: f64| {
            2.0 * width * (2.0 * tokens * width)
                + 2.0 * width * queries * ((2.0 + 2.0 * WIDENING as f64) * width + 2.0 * tokens)
        };
        let before = 2.0 * tokens * width * (OF_VALUE as f64 + width);
        let all = (self.layers.len() - 1) as f64 * each(tokens);
        before + all + each(active) + 2.0 * active * width * numbers
    }

    fn check(&self, context: &Context) -> Result<(), FlowError> {
        let count = self.coordinates.order.len();
        let AttentionConfig {
            node_features,
            pair_features,
            ..
        } = self.config;
        let globals = self.whole.as_ref().map_or(0, |map| map.weight.dims()[0]);
        let given = context.global.as_ref().map_or(0, |global| global.dims()[1]);
        let pairs = context
            .pairs
            .as_ref()
            .map_or([1, count, count, 0], Tensor::dims);
        let nodes = context.nodes.dims();
        let fits = nodes == [1, count, node_features] && pairs == [1, count, count, pair_features];
        if fits && given == globals {
            return Ok(());
        }
        Err(FlowError::Unsupported {
            what: format!(
                "attention was made for {count} coordinates with {node_features} features of each, {pair_features} of each pair and {globals} of the \
                 whole, alike in every sample, but the context has {nodes:?}, {pairs:?} and {given}"
            ),
        })
    }

    /// Of each ordered pair of tokens what labels it, `[tokens², features]`.
    fn pairs(&self, like: &Tensor<2>, context: &Context) -> Tensor<2> {
        let order = &self.coordinates.order;
        let count = order.len();
        let Some(pairs) = &context.pairs else {
            return Tensor::zeros([count * count, 1], (&like.device(), like.dtype()));
        };
        let places = order
            .iter()
            .flat_map(|a| order.iter().map(move |b| a * count + b));
        let places: Vec<usize> = places.collect();
        let rows = pairs.clone();
        let rows = rows.reshape([count * count, self.config.pair_features]);
        rows.select(0, indices(&places, &like.device()))
    }

    /// Labels and values, `[batch, tokens, width]`, or `[1, tokens, width]` where they are the same in every sample.
    fn tokens(&self, x: &Tensor<2>, context: &Context) -> Tensor<3> {
        let (device, dtype) = (x.device(), x.dtype());
        let Coordinates { order, kinds, .. } = &self.coordinates;
        let count = order.len();
        let labels = context.nodes.clone();
        let labels = labels.reshape([count, self.config.node_features]);
        let labels = labels.select(0, indices(order, &device));
        let kinds: Tensor<2> = tensor(kinds.clone(), [count, KINDS], &device, dtype);
        let labels = self.label.forward(Tensor::cat(vec![kinds, labels], 1));
        let values = self.value.forward(self.coordinates.values(x));
        let mut tokens = values + labels.unsqueeze::<3>();
        if let (Some(map), Some(global)) = (&self.whole, &context.global) {
            tokens = tokens + map.forward(global.clone()).unsqueeze_dim::<3>(1);
        }
        self.start.forward(silu(tokens))
    }
}

impl Coordinates {
    fn new(space: Space, active: &[usize]) -> Self {
        let passive = others(space, active);
        let order: Vec<usize> = passive.iter().chain(active).copied().collect();
        let kind = |&k: &usize| match some(space, &[k]) {
            Space::Product { intervals: 1, .. } => [0.0, 1.0, 0.0],
            Space::Product { circles: 1, .. } => [0.0, 0.0, 1.0],
            _ => [1.0, 0.0, 0.0],
        };
        Self {
            passive: some(space, &passive),
            kinds: order.iter().flat_map(kind).collect(),
            order,
            active: active.len(),
        }
    }

    /// What tokens are told of their values, `[batch, tokens, OF_VALUE]`; of one sample where they are all hidden.
    fn values(&self, x: &Tensor<2>) -> Tensor<3> {
        let (device, dtype) = (x.device(), x.dtype());
        let mut features = encode(self.passive, x);
        let waves = match self.passive {
            Space::Product { circles, .. } if circles > 0 => 2 * HARMONICS,
            _ => 0,
        };
        let waves = features.split_off(features.len() - waves);
        let batch = if self.passive.points() > 0 {
            x.dims()[0]
        } else {
            1
        };
        let zeros = |tokens: usize, width: usize| {
            Tensor::<3>::zeros([batch, tokens, width], (&device, dtype))
        };
        let of_each = |feature: Tensor<2>| feature.unsqueeze_dim::<3>(2);
        let mut parts = Vec::new();
        for straight in features.into_iter().filter(|part| part.dims()[1] > 0) {
            let hidden = zeros(straight.dims()[1], OF_VALUE - 1);
            parts.push(Tensor::cat(vec![of_each(straight), hidden], 2));
        }
        if let Some(first) = waves.first() {
            let nothing = zeros(first.dims()[1], 1);
            let mut all = vec![nothing.clone()];
            all.extend(waves.into_iter().map(of_each));
            all.push(nothing);
            parts.push(Tensor::cat(all, 2));
        }
        let is_hidden = zeros(self.active, 1) + 1.0;
        let nothing = zeros(self.active, OF_VALUE - 1);
        parts.push(Tensor::cat(vec![nothing, is_hidden], 2));
        Tensor::cat(parts, 1)
    }
}

impl Block {
    /// Tokens from this one on.
    fn forward(&self, h: Tensor<3>, from: usize, bias: Tensor<3>) -> Tensor<3> {
        let count = h.dims()[1] - from;
        let seen = normed(h.clone());
        let keys_values = self.key_value.forward(seen.clone());
        let queries = self.query.forward(seen.narrow(1, from, count));
        let taken = self.output.forward(attend(queries, keys_values, bias));
        let h = h.narrow(1, from, count) + taken;
        let wide = silu(self.widen.forward(normed(h.clone())));
        h + self.narrow.forward(wide)
    }
}

/// Each token divided by its root mean square.
fn normed(h: Tensor<3>) -> Tensor<3> {
    let size = (h.clone().square().mean_dim(2) + LEAST_SQUARE).sqrt();
    h / size
}

/// `softmax(q kᵀ/√d + b) v` of every head, side by side.
///
/// # Shapes
/// `queries` and the result `[batch, tokens, width]`, `keys_values`, both one after another, `[batch, tokens, 2 width]`, `bias`
/// `[heads, tokens, tokens]`; of queries there may be fewer. Heads share the width evenly.
fn attend(queries: Tensor<3>, keys_values: Tensor<3>, bias: Tensor<3>) -> Tensor<3> {
    if is_ours(&queries) {
        operation::attend(queries, keys_values, bias)
    } else {
        composed(queries, keys_values, bias)
    }
}

/// [`attend`] by the back end's own operations.
fn composed(queries: Tensor<3>, keys_values: Tensor<3>, bias: Tensor<3>) -> Tensor<3> {
    let [batch, count, width] = queries.dims();
    let [heads, _, keys] = bias.dims();
    let depth = width / heads;
    let by_head = |x: Tensor<3>| {
        let tokens = x.dims()[1];
        let x = x.reshape([batch, tokens, heads, depth]).swap_dims(1, 2);
        x.reshape([batch * heads, tokens, depth])
    };
    let key = by_head(keys_values.clone().narrow(2, 0, width));
    let value = by_head(keys_values.narrow(2, width, width));
    let scores = product(by_head(queries), key.transpose()) * (depth as f64).sqrt().recip();
    let scores = scores.reshape([batch, heads, count, keys]) + bias.unsqueeze::<4>();
    let shares = softmax(scores, 3).reshape([batch * heads, count, keys]);
    let mixed = product(shares, value).reshape([batch, heads, count, depth]);
    mixed.swap_dims(1, 2).reshape([batch, count, width])
}
