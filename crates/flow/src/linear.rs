//! The affine map of features that networks are made of, and their activations.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::product::product;

/// Where and how parameters are made: their numbers are a function of the generator alone, on every device.
#[derive(Debug)]
pub struct Initializer<'a> {
    /// Source of the initial weights.
    pub random: &'a mut ChaCha8Rng,
    /// Where they live.
    pub device: &'a Device,
    /// `F32` for work, `F64` for laws.
    pub dtype: DType,
}

impl Initializer<'_> {
    /// Uniform numbers in `(−bound, bound)`.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Param<Tensor<D>> {
        let count = shape.iter().product();
        let values: Vec<f64> = (0..count)
            .map(|_| self.random.random_range(-1.0..1.0) * bound)
            .collect();
        Param::from_tensor(Tensor::from_data(
            TensorData::new(values, shape),
            (self.device, self.dtype),
        ))
    }

    /// Zeros.
    pub fn zeros<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::zeros(shape, (self.device, self.dtype)))
    }
}

/// `y = x W + b` on the last axis.
///
/// # Shapes
/// `weight` `[inputs, outputs]`, `bias` `[outputs]`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `W`.
    pub weight: Param<Tensor<2>>,
    /// `b`, where there is one.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// With bias; weights uniform in `±gain·√(3/inputs)`, so of variance `gain²/inputs`.
    pub fn new(inputs: usize, outputs: usize, gain: f64, make: &mut Initializer) -> Self {
        let bias = Some(make.zeros([outputs]));
        Self {
            bias,
            ..Self::without_bias(inputs, outputs, gain, make)
        }
    }

    /// `y = x W`.
    pub fn without_bias(inputs: usize, outputs: usize, gain: f64, make: &mut Initializer) -> Self {
        let bound = gain * (3.0 / inputs as f64).sqrt();
        Self {
            weight: make.uniform([inputs, outputs], bound),
            bias: None,
        }
    }

    /// `x W`, without the bias: also how tangents are mapped.
    pub fn matmul<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mut shape = x.dims();
        let [inputs, outputs] = self.weight.dims();
        let rows = shape.iter().product::<usize>() / inputs;
        shape[D - 1] = outputs;
        product(x.reshape([rows, inputs]), self.weight.val()).reshape(shape)
    }

    /// `x W + b`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.shifted(self.matmul(x))
    }

    /// `y + b`.
    pub(crate) fn shifted<const D: usize>(&self, y: Tensor<D>) -> Tensor<D> {
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze::<D>(),
            None => y,
        }
    }
}
