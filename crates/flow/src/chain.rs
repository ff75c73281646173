//! Maps one after another.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::bijection::{Bijection, FlowError};
use crate::context::Context;
use crate::space::Space;
use crate::{PerSample, Points};

/// `y = f_n ∘ … ∘ f_1 (x)`; log-determinants add up.
#[derive(Module, Debug)]
pub struct Chain<T: Module> {
    layers: Vec<T>,
}

impl<T: Module + Bijection> Chain<T> {
    /// The chain of these maps, the one nearest to the latents first.
    ///
    /// # Errors
    /// [`FlowError::Empty`] without layers; [`FlowError::SpaceMismatch`] where one ends elsewhere than the next starts.
    pub fn new(layers: Vec<T>) -> Result<Self, FlowError> {
        if layers.is_empty() {
            return Err(FlowError::Empty);
        }
        for (position, pair) in layers.windows(2).enumerate() {
            let (left, right) = (pair[0].output(), pair[1].input());
            if left != right {
                return Err(FlowError::SpaceMismatch {
                    position,
                    left,
                    right,
                });
            }
        }
        Ok(Self { layers })
    }

    /// Its maps, the one nearest to the latents first.
    pub fn layers(&self) -> &[T] {
        &self.layers
    }
}

/// No change yet.
fn start(x: Points) -> (Points, PerSample) {
    let log_det = Tensor::zeros([x.dims()[0]], (&x.device(), x.dtype()));
    (x, log_det)
}

impl<T: Module + Bijection> Bijection for Chain<T> {
    fn input(&self) -> Space {
        self.layers[0].input()
    }

    fn output(&self) -> Space {
        self.layers[self.layers.len() - 1].output()
    }

    fn forward(&self, x: Points, context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.layers.iter().try_fold(start(x), |(x, total), f| {
            let (y, log_det) = f.forward(x, context)?;
            Ok((y, total + log_det))
        })
    }

    fn inverse(&self, y: Points, context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.layers
            .iter()
            .rev()
            .try_fold(start(y), |(y, total), f| {
                let (x, log_det) = f.inverse(y, context)?;
                Ok((x, total + log_det))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::affine::Affine;
    use crate::testing::{alike, assert_equivariant, assert_lawful, points};

    const SPACE: Space = Space::MeanFree { points: 3, dims: 2 };

    fn scales(scales: &[f64]) -> Vec<Affine> {
        scales
            .iter()
            .map(|&scale| Affine::new(SPACE, scale).unwrap())
            .collect()
    }

    #[test]
    fn it_is_a_lawful_equivariant_map() {
        let chain = Chain::new(scales(&[2.0, 0.3, 1.7])).unwrap();
        let (x, context) = (points(SPACE, 2, 1), alike(SPACE, 2));
        assert_lawful(&chain, x.clone(), &context, 1e-9).unwrap();
        assert_equivariant(&chain, x, &context, 1e-12).unwrap();
    }

    #[test]
    fn spaces_that_do_not_fit_are_refused() {
        let other = Space::MeanFree { points: 4, dims: 2 };
        let layers = vec![
            Affine::new(SPACE, 1.0).unwrap(),
            Affine::new(other, 1.0).unwrap(),
        ];
        let found = Chain::new(layers).unwrap_err();
        assert_eq!(
            found,
            FlowError::SpaceMismatch {
                position: 0,
                left: SPACE,
                right: other
            }
        );
        assert_eq!(
            found.to_string(),
            "layer 0 ends in the mean-free space of 3 points in 2 dimensions, but layer 1 starts in the mean-free space of 4 \
             points in 2 dimensions"
        );
    }

    #[test]
    fn a_chain_of_nothing_is_refused() {
        assert_eq!(
            Chain::<Affine>::new(Vec::new()).unwrap_err(),
            FlowError::Empty
        );
    }
}
