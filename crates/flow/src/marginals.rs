//! Maps of single coordinates by numbers of their own.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::bijection::{Bijection, FlowError};
use crate::context::Context;
use crate::divergence::tensor;
use crate::elementwise::Elementwise;
use crate::linear::Initializer;
use crate::space::Space;
use crate::{PerSample, Points};

/// `y_i = τ(x_i; θ_i)` with numbers `θ_i` that are the same for all samples: what each coordinate is distributed as by itself.
#[derive(Module, Debug)]
pub struct Marginals {
    /// `θ`, `[1, coordinates, parameters]`.
    numbers: Param<Tensor<3>>,
    #[module(skip)]
    map: Elementwise,
    #[module(skip)]
    space: Space,
}

impl Marginals {
    /// The identity.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] where the map cannot act on a coordinate.
    pub fn new(space: Space, map: Elementwise, make: &Initializer) -> Result<Self, FlowError> {
        map.check(space)?;
        Ok(Self {
            numbers: make.zeros([1, space.points(), map.parameters()]),
            map,
            space,
        })
    }

    /// The maps with these numbers, coordinate by coordinate.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] where the map cannot act on a coordinate, or the numbers are not [`Elementwise::parameters`] for each.
    pub fn from_numbers(
        space: Space,
        map: Elementwise,
        numbers: Vec<f64>,
        make: &Initializer,
    ) -> Result<Self, FlowError> {
        map.check(space)?;
        let shape = [1, space.points(), map.parameters()];
        if numbers.len() != shape[1] * shape[2] {
            let (found, each) = (numbers.len(), shape[2]);
            return Err(FlowError::Unsupported {
                what: format!(
                    "{found} numbers were given for the {space}, each coordinate of which needs {each}"
                ),
            });
        }
        let numbers = tensor(numbers, shape, make.device, make.dtype);
        Ok(Self {
            numbers: Param::from_tensor(numbers),
            map,
            space,
        })
    }

    fn apply(
        &self,
        x: &Points,
        map: impl Fn(Tensor<2>, &Tensor<3>) -> (Tensor<2>, Tensor<2>),
    ) -> Result<(Points, PerSample), FlowError> {
        self.space.check(x)?;
        let [batch, count, _] = x.dims();
        let numbers = self.numbers.val();
        let numbers = numbers.expand([batch, count, self.map.parameters()]);
        let (y, log_slope) = map(x.clone().reshape([batch, count]), &numbers);
        let log_det = log_slope.sum_dim(1).reshape([batch]);
        Ok((y.reshape([batch, count, 1]), log_det))
    }
}

impl Bijection for Marginals {
    fn input(&self) -> Space {
        self.space
    }

    fn output(&self) -> Space {
        self.space
    }

    fn forward(&self, x: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.apply(&x, |x, numbers| self.map.forward(self.space, x, numbers))
    }

    fn inverse(&self, y: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.apply(&y, |y, numbers| self.map.inverse(self.space, y, numbers))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let space = Space::Product {
            lines: 0,
            intervals: 2,
            circles: 1,
        };
        let make = Initializer {
            random: &mut stream(1, Purpose::Parameters, 0),
            device: &Device::flex(),
            dtype: DType::F64,
        };
        let map = Elementwise::Spline { bins: 2 };
        let found = Marginals::from_numbers(space, map, vec![0.0; 20], &make).unwrap_err();
        let message = found.to_string();
        assert!(message.starts_with("20 numbers were given"), "{message}");
        assert!(message.ends_with("needs 7"), "{message}");
        let found = Marginals::new(space, Elementwise::Affine, &make).unwrap_err();
        assert!(found.to_string().contains("an affine map cannot act"));
    }
}
