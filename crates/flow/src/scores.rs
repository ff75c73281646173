//! From standard normal numbers to a prior of bounded ones.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::bijection::{Bijection, FlowError, host};
use crate::context::Context;
use crate::divergence::tensor;
use crate::elementwise::Way;
use crate::prior::{Prior, ProductPrior};
use crate::space::Space;
use crate::{PerSample, Points};

/// `u = F⁻¹(Φ(z))` of each coordinate, with the distribution function `F` of a prior: standard normal numbers `z`, the *normal scores* of `u`,
/// become distributed as the prior is, and correlated ones have a Gaussian copula. `log |det| = log p(z) − log p(u)`. Circles are cut at 0.
///
/// Values are found in double precision on the host; a gradient passes by the slope `du/dz = p(z)/p(u)`.
#[derive(Module, Debug)]
pub struct Scores {
    #[module(skip)]
    prior: ProductPrior,
}

impl Scores {
    /// The map to this prior, from as many lines.
    pub fn new(prior: ProductPrior) -> Self {
        Self { prior }
    }

    /// What scores are distributed as.
    fn normal(&self) -> ProductPrior {
        ProductPrior::normal(self.prior.space.points())
    }

    /// `u` of scores, or scores of `u`, and `log |det ∂u/∂z|`.
    fn apply(&self, x: Points, way: Way) -> (Points, PerSample) {
        let (prior, normal) = (&self.prior, self.normal());
        let (shape, count) = (x.dims(), prior.space.points());
        let mut slopes = Vec::new();
        let values = host(x.clone()).into_iter().enumerate().map(|(place, x)| {
            let coordinate = place % count;
            let (y, log_slope) = match way {
                Way::Forward => {
                    let u = prior.at_score(coordinate, x);
                    let log_slope = normal.log_density_at(coordinate, x);
                    (u, log_slope - prior.log_density_at(coordinate, u))
                }
                Way::Inverse => {
                    let z = prior.score(coordinate, x);
                    let log_slope = prior.log_density_at(coordinate, x);
                    (z, log_slope - normal.log_density_at(coordinate, z))
                }
            };
            slopes.push(log_slope.exp());
            y
        });
        let values: Vec<f64> = values.collect();
        let [values, slopes]: [Tensor<3>; 2] =
            [values, slopes].map(|values| tensor(values, shape, &x.device(), x.dtype()));
        let y = values + (x.clone() - x.clone().detach()) * slopes;
        let (z, u) = match way {
            Way::Forward => (x, y.clone()),
            Way::Inverse => (y.clone(), x),
        };
        let log_det = normal.log_density_tensor(z) - prior.log_density_tensor(u);
        (y, log_det)
    }
}

impl Bijection for Scores {
    fn input(&self) -> Space {
        self.normal().space
    }

    fn output(&self) -> Space {
        self.prior.space
    }

    fn forward(&self, x: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.input().check(&x)?;
        Ok(self.apply(x, Way::Forward))
    }

    fn inverse(&self, y: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.output().check(&y)?;
        let (x, log_det) = self.apply(y, Way::Inverse);
        Ok((x, log_det.neg()))
    }
}
