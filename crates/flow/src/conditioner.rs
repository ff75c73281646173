//! Networks that give the numbers of elementwise maps.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::activation::silu;
use crate::divergence::tensor;
use crate::linear::{Initializer, Linear};
use crate::product::product;
use crate::space::Space;

/// Waves `cos 2πhx` and `sin 2πhx` that a network sees of a circle, `h = 1…HARMONICS`.
pub(crate) const HARMONICS: usize = 3;
/// Gain of the last layer: flows start near the identity.
pub(crate) const LAST_GAIN: f64 = 0.01;

/// The size of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Units of each hidden layer.
    pub width: usize,
    /// Hidden layers.
    pub layers: usize,
}

/// A multilayer perceptron from coordinates, and features of the whole, to `numbers` numbers for each of some coordinates.
///
/// With degrees it is masked (MADE; Germain et al. 2015): the numbers of a coordinate depend on coordinates of lower degree alone.
#[derive(Module, Debug)]
pub struct Conditioner {
    layers: Vec<Linear>,
    /// One mask for each layer's weights, or none.
    masks: Vec<Tensor<2>>,
    #[module(skip)]
    inputs: Space,
    #[module(skip)]
    globals: usize,
    /// Coordinates that it gives numbers for, and how many for each.
    #[module(skip)]
    outputs: [usize; 2],
}

impl Conditioner {
    /// A network that sees all of some coordinates and `globals` features of the whole, and gives numbers for others.
    pub fn new(
        inputs: Space,
        globals: usize,
        outputs: [usize; 2],
        size: Size,
        make: &mut Initializer,
    ) -> Self {
        let mut widths = vec![encoded(inputs).len() + globals];
        widths.resize(1 + size.layers, size.width);
        widths.push(outputs[0] * outputs[1]);
        let last = widths.len() - 2;
        let layers = widths.windows(2).enumerate().map(|(k, pair)| {
            let gain = if k == last { LAST_GAIN } else { 1.0 };
            Linear::new(pair[0].max(1), pair[1], gain, make)
        });
        Self {
            layers: layers.collect(),
            masks: Vec::new(),
            inputs,
            globals,
            outputs,
        }
    }

    /// A network that gives `numbers` numbers for each coordinate, from those before it in this order.
    ///
    /// # Panics
    /// If the order is no permutation of the coordinates.
    pub fn masked(
        space: Space,
        globals: usize,
        numbers: usize,
        order: &[usize],
        size: Size,
        make: &mut Initializer,
    ) -> Self {
        let count = space.points();
        let mut degree = vec![0; count];
        for (k, &coordinate) in order.iter().enumerate() {
            degree[coordinate] = k + 1;
        }
        assert!(
            order.len() == count && !degree.contains(&0),
            "an order of {count} coordinates"
        );
        let seen = encoded(space)
            .into_iter()
            .map(|coordinate| degree[coordinate]);
        // Features of the whole may be seen by all.
        let mut from: Vec<usize> = seen.chain(std::iter::repeat_n(0, globals)).collect();
        let mut masks = Vec::new();
        let mut mask = |from: &[usize], to: &[usize]| {
            let open = |a: usize| to.iter().map(move |&b| f64::from(u8::from(a <= b)));
            let values = from.iter().copied().flat_map(open).collect();
            masks.push(tensor(
                values,
                [from.len(), to.len()],
                make.device,
                make.dtype,
            ));
        };
        for _ in 0..size.layers {
            let to: Vec<usize> = (0..size.width)
                .map(|unit| unit * count / size.width)
                .collect();
            mask(&from, &to);
            from = to;
        }
        let to: Vec<usize> = degree
            .iter()
            .flat_map(|degree| std::iter::repeat_n(degree - 1, numbers))
            .collect();
        mask(&from, &to);
        Self {
            masks,
            ..Self::new(space, globals, [count, numbers], size, make)
        }
    }

    /// The numbers.
    ///
    /// # Shapes
    /// `x` `[batch, inputs]`, `global` `[batch or 1, globals]`, the result `[batch, coordinates, numbers]`.
    ///
    /// # Panics
    /// If the features of the whole are not as many as the network was made for.
    pub fn forward(&self, x: &Tensor<2>, global: Option<&Tensor<2>>) -> Tensor<3> {
        self.masked_once().forward(x, global)
    }

    /// The network with its masks applied, to be asked several times.
    pub(crate) fn masked_once(&self) -> Masked<'_> {
        let weights = self.layers.iter().map(|layer| layer.weight.val());
        let weights = weights.enumerate().map(|(k, weight)| {
            let mask = self.masks.get(k);
            mask.map_or(weight.clone(), |mask| weight * mask.clone())
        });
        Masked {
            network: self,
            weights: weights.collect(),
        }
    }

    /// What the first layer sees, in the digits of the network.
    fn features(&self, x: &Tensor<2>, global: Option<&Tensor<2>>) -> Tensor<2> {
        let batch = x.dims()[0];
        let dtype = self.layers[0].weight.val().dtype();
        let x = &x.clone().cast(dtype);
        let mut features = encode(self.inputs, x);
        let given = global.map_or(0, |global| global.dims()[1]);
        assert_eq!(given, self.globals, "features of the whole");
        if let Some(global) = global {
            features.push(global.clone().expand([batch, self.globals]));
        }
        if features.is_empty() {
            Tensor::zeros([batch, 1], (&x.device(), dtype))
        } else {
            Tensor::cat(features, 1)
        }
    }
}

/// A [`Conditioner`] with its masks applied.
#[derive(Debug)]
pub(crate) struct Masked<'a> {
    network: &'a Conditioner,
    /// Of each layer.
    weights: Vec<Tensor<2>>,
}

impl Masked<'_> {
    /// See [`Conditioner::forward`].
    pub(crate) fn forward(&self, x: &Tensor<2>, global: Option<&Tensor<2>>) -> Tensor<3> {
        let [count, numbers] = self.network.outputs;
        let (layer, weight) = self.last();
        let h = layer.shifted(product(self.hidden(x, global), weight.clone()));
        h.reshape([x.dims()[0], count, numbers])
    }

    /// The numbers of one coordinate alone, `[batch, 1, numbers]`.
    pub(crate) fn one(
        &self,
        coordinate: usize,
        x: &Tensor<2>,
        global: Option<&Tensor<2>>,
    ) -> Tensor<3> {
        let numbers = self.network.outputs[1];
        let (layer, weight) = self.last();
        let from = coordinate * numbers;
        let weight = weight.clone().narrow(1, from, numbers);
        let mut h = product(self.hidden(x, global), weight);
        if let Some(bias) = &layer.bias {
            h = h + bias.val().narrow(0, from, numbers).unsqueeze::<2>();
        }
        h.reshape([x.dims()[0], 1, numbers])
    }

    /// What the last layer sees.
    fn hidden(&self, x: &Tensor<2>, global: Option<&Tensor<2>>) -> Tensor<2> {
        let layers = self.network.layers.iter().zip(&self.weights);
        let hidden = layers.take(self.weights.len() - 1);
        hidden.fold(self.network.features(x, global), |h, (layer, weight)| {
            silu(layer.shifted(product(h, weight.clone())))
        })
    }

    fn last(&self) -> (&Linear, &Tensor<2>) {
        let mut layers = self.network.layers.iter().zip(&self.weights);
        layers.next_back().expect("a network has layers")
    }
}

/// The coordinate that each feature tells of.
fn encoded(space: Space) -> Vec<usize> {
    let Space::Product {
        lines,
        intervals,
        circles,
    } = space
    else {
        return (0..space.points()).collect();
    };
    let round = lines + intervals..lines + intervals + circles;
    let waves = (0..2 * HARMONICS).flat_map(|_| round.clone());
    (0..lines + intervals).chain(waves).collect()
}

/// Features of coordinates: lines as they are, intervals as −1…1, circles as waves.
pub(crate) fn encode(space: Space, x: &Tensor<2>) -> Vec<Tensor<2>> {
    let Space::Product {
        lines,
        intervals,
        circles,
    } = space
    else {
        return vec![x.clone()];
    };
    let part = |from: usize, count: usize| x.clone().narrow(1, from, count);
    let mut features = Vec::new();
    if lines > 0 {
        features.push(part(0, lines));
    }
    if intervals > 0 {
        features.push(part(lines, intervals) * 2.0 - 1.0);
    }
    if circles > 0 {
        let turn = part(lines + intervals, circles) * std::f64::consts::TAU;
        for harmonic in 1..=HARMONICS {
            let turn = turn.clone() * harmonic as f64;
            features.extend([turn.clone().cos(), turn.sin()]);
        }
    }
    features
}
