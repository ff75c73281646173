//! The parameters of a layer as the host's numbers.

use burn::module::Param;
use burn::tensor::Tensor;

use super::Egnn;
use super::edge::{Weights, add};
use super::layer::{Layer, NodeUpdate, PairTerms};
use crate::Points;
use crate::context::Context;
use crate::dense::Dense;
use crate::flex::{Numbers, numbers};
use crate::linear::Linear;
use crate::matrix::{Matrix, Old, Target, multiply};
use crate::simd::Real;

/// Which ways maps are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ways {
    Forward,
    Both,
}

/// What a network is given, as the host's numbers.
pub(super) struct Given<T> {
    /// `[batch, N, dims]`.
    pub x: Vec<T>,
    /// `[batch, N, width]`.
    pub h: Vec<T>,
    pub width: usize,
    /// Shift and scale of each square, `[batch, N, N]`.
    pub standard: Option<[Vec<T>; 2]>,
}

impl<T: Real> Given<T> {
    pub fn of(field: &Egnn, t: Tensor<1>, x: Points, context: &Context) -> Self {
        let standard = field.standard(&t, &x, context);
        let h = field.embedding.forward(t, context);
        Self {
            width: h.dims()[2],
            x: numbers(x.into_data()),
            h: numbers(h.into_data()),
            standard: standard.map(|of| [of.shift, of.scale].map(|of| numbers(of.into_data()))),
        }
    }
}

/// Those of a tensor, or none.
fn numbers_of<T: Real, const D: usize>(tensor: Option<Tensor<D>>) -> Numbers<T> {
    tensor.map_or_else(|| Numbers::Own(Vec::new()), Numbers::of)
}

/// Those of an affine map, or of a linear one, whose bias is empty.
pub(super) struct Map<T> {
    /// `[width, width]`.
    pub weight: Numbers<T>,
    /// `Wᵀ`, where it is wanted.
    transposed: Vec<T>,
    pub bias: Numbers<T>,
}

impl<T: Real> Map<T> {
    fn of(linear: &Linear, ways: Ways) -> Self {
        let [inputs, outputs] = linear.weight.dims();
        let weight = Numbers::of(linear.weight.val());
        let column = |column: usize| (0..inputs).map(move |row| row * outputs + column);
        let turned = match ways {
            Ways::Forward => 0..0,
            Ways::Both => 0..outputs,
        };
        Self {
            transposed: turned.flat_map(column).map(|place| weight[place]).collect(),
            weight,
            bias: numbers_of(linear.bias.as_ref().map(Param::val)),
        }
    }

    /// `x W + b`.
    pub fn forward(&self, x: &[T], width: usize) -> Vec<T> {
        let mut y = vec![T::of(0.0); x.len()];
        let affine = Dense {
            bias: &self.bias,
            ..Dense::linear(&self.weight, width)
        };
        affine.through(x, &mut y);
        y
    }

    /// `x W`.
    pub fn linear(&self, x: &[T], y: &mut [T], width: usize) {
        Dense::linear(&self.weight, width).through(x, y);
    }

    /// Adds `factor · x W + b` to rows.
    pub fn add(&self, factor: T, x: &[T], y: &mut [T], width: usize) {
        if !self.bias.is_empty() {
            y.chunks_exact_mut(width)
                .for_each(|row| add(row, &self.bias));
        }
        multiply(
            Target::new(y, width),
            Old::Kept,
            factor,
            Matrix::new(x, [x.len() / width, width], width),
            Matrix::square(&self.weight, width),
        );
    }

    /// `y Wᵀ`, what cotangents of results make of those of arguments.
    pub fn back(&self, y: &[T], x: &mut [T], width: usize) {
        Dense::linear(&self.transposed, width).through(y, x);
    }
}

/// A node update's.
pub(super) struct UpdateMaps<T> {
    /// `W_h`, `W_m` and `W`.
    pub node: Map<T>,
    pub message: Map<T>,
    pub out: Map<T>,
}

/// A layer's.
pub(super) struct Maps<T> {
    pub receiver: Map<T>,
    pub sender: Map<T>,
    /// `P`, `[N, N, width]`, or nothing.
    pub pairs: Numbers<T>,
    /// `w`.
    pub distance: Numbers<T>,
    pub message: Map<T>,
    pub coordinate: Map<T>,
    /// `W_x`, `[width, channels]`.
    pub weight: Numbers<T>,
    pub channels: usize,
    /// `S`, `[N, N · channels]`, or nothing.
    pub spread: Numbers<T>,
    pub update: Option<UpdateMaps<T>>,
}

impl<T: Real> Maps<T> {
    pub fn of(layer: &Layer, context: &Context, ways: Ways) -> Self {
        let terms = PairTerms::of(layer, context);
        let update = |update: &NodeUpdate| UpdateMaps {
            node: Map::of(&update.node, ways),
            message: Map::of(&update.message, ways),
            out: Map::of(&update.out, ways),
        };
        Self {
            receiver: Map::of(&layer.receiver, ways),
            sender: Map::of(&layer.sender, ways),
            pairs: numbers_of(terms.first),
            distance: Numbers::of(layer.distance.val()),
            message: Map::of(&layer.message, ways),
            coordinate: Map::of(&layer.coordinate, ways),
            weight: Numbers::of(layer.weight.weight.val()),
            channels: layer.weight.weight.dims()[1],
            spread: numbers_of(terms.spread),
            update: layer.update.as_ref().map(update),
        }
    }

    /// Adds what points are pulled by, `[nodes, channels, columns]`, to one of a point's quantities, `[nodes, columns]`.
    pub fn spread(&self, points: usize, pulls: &[T], target: &mut [T], columns: usize) {
        if self.spread.is_empty() {
            add(target, pulls);
            return;
        }
        let inner = points * self.channels;
        let samples = target.chunks_exact_mut(points * columns);
        for (target, pulls) in samples.zip(pulls.chunks_exact(inner * columns)) {
            multiply(
                Target::new(target, columns),
                Old::Kept,
                T::of(1.0),
                Matrix::new(&self.spread, [points, inner], inner),
                Matrix::new(pulls, [inner, columns], columns),
            );
        }
    }

    /// Those of the edges.
    pub fn edges(&self) -> Weights<'_, T> {
        Weights {
            distance: &self.distance,
            message: &self.message.weight,
            message_bias: &self.message.bias,
            coordinate: &self.coordinate.weight,
            coordinate_bias: &self.coordinate.bias,
            weight: &self.weight,
        }
    }
}
