//! How auxiliary points are distributed, and what densities of clouds with them say of positions.

use burn::tensor::Tensor;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use super::Half;
use crate::bijection::FlowError;
use crate::context::Samples;
use crate::random::{Purpose, stream};
use crate::space::Space;
use crate::{PerSample, Points};

/// `π(a | x) = N(a; x, η² I)`: an auxiliary point for each atom, around it.
///
/// A density `q` of whole clouds `(x, a)` is one over the orthonormal coordinates of mean-free clouds of `2N` points. Told by the mean-free positions
/// and by `a` less the centroid of `x`, in whose coordinates `π` is a density, the same clouds have `2^(D/2)` times the volume, so
/// `log q(x, a) = log q(cloud) − (D/2) ln 2`. All that is needed of this is done here.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Auxiliary {
    points: usize,
    dims: usize,
    scale: f64,
}

/// As read from a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    points: usize,
    dims: usize,
    scale: f64,
}

impl TryFrom<Unchecked> for Auxiliary {
    type Error = FlowError;

    fn try_from(read: Unchecked) -> Result<Self, FlowError> {
        Self::new(read.points, read.dims, read.scale)
    }
}

/// An estimate of `log q(x)`, the auxiliary points averaged out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marginal {
    /// `log q(x)`, of which the expectation is below the truth.
    pub log_density: f64,
    /// Its standard error; infinite of one draw.
    pub standard_error: f64,
}

impl Auxiliary {
    /// Of so many atoms, with the standard deviation `η` in each direction.
    ///
    /// # Errors
    /// [`FlowError::Scale`] unless the standard deviation is positive and finite.
    pub fn new(points: usize, dims: usize, scale: f64) -> Result<Self, FlowError> {
        if scale.is_finite() && scale > 0.0 {
            Ok(Self {
                points,
                dims,
                scale,
            })
        } else {
            Err(FlowError::Scale { scale })
        }
    }

    /// Where whole clouds are.
    pub fn space(&self) -> Space {
        Space::MeanFree {
            points: 2 * self.points,
            dims: self.dims,
        }
    }

    /// Where their positions are, once the centroid of these is taken out.
    pub fn positions(&self) -> Space {
        Space::MeanFree {
            points: self.points,
            dims: self.dims,
        }
    }

    /// `η`.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The cloud of these positions and auxiliary points drawn for them.
    ///
    /// # Panics
    /// If there are not as many positions as atoms.
    pub fn join(&self, x: &[f64], random: &mut impl Rng) -> Vec<f64> {
        assert_eq!(x.len(), self.points * self.dims, "positions of all atoms");
        let drawn = x.iter().map(|x| {
            let normal: f64 = random.sample(StandardNormal);
            x + self.scale * normal
        });
        let mut cloud: Vec<f64> = x.iter().copied().chain(drawn).collect();
        center(&mut cloud, self.dims);
        cloud
    }

    /// The positions of a cloud, their centroid at the origin.
    ///
    /// # Panics
    /// If it is no cloud of two points for each atom.
    pub fn part(&self, cloud: &[f64]) -> Vec<f64> {
        let (x, _) = self.halves(cloud);
        let mut x = x.to_vec();
        center(&mut x, self.dims);
        x
    }

    /// `log π(a | x)` of a cloud.
    ///
    /// # Panics
    /// If it is no cloud of two points for each atom.
    pub fn log_density(&self, cloud: &[f64]) -> f64 {
        let (x, a) = self.halves(cloud);
        let squares: f64 = x.iter().zip(a).map(|(x, a)| (a - x).powi(2)).sum();
        -0.5 * squares / self.scale.powi(2) - self.log_normalizer()
    }

    /// The same of each cloud of a batch, as a tensor that passes its gradient back.
    pub fn log_density_tensor(&self, clouds: &Points) -> PerSample {
        let offset = Half::Auxiliaries.of(clouds) - Half::Positions.of(clouds);
        let [batch, points, dims] = offset.dims();
        let squares: Tensor<2> = offset.square().reshape([batch, points * dims]).sum_dim(1);
        squares.reshape([batch]) * (-0.5 / self.scale.powi(2)) - self.log_normalizer()
    }

    /// What the density of a cloud has more than that of its positions and auxiliary points, `(D/2) ln 2`.
    pub fn log_volume(&self) -> f64 {
        0.5 * self.dims as f64 * std::f64::consts::LN_2
    }

    /// The log-weight of each cloud of the target `exp(−u(x)) π(a | x)`, from `log q` of the cloud and the reduced energy `u = βU` of its positions:
    /// `log w = −u(x) + log π(a | x) − log q(x, a)`. Its mean over samples of `q` is the target's `∫ exp(−u) dx` over mean-free positions.
    ///
    /// # Panics
    /// If there are not as many of each.
    pub fn log_weights(&self, clouds: &[f64], log_q: &[f64], reduced_energies: &[f64]) -> Vec<f64> {
        let size = self.space().coordinates();
        assert_eq!(
            [log_q.len() * size, reduced_energies.len()],
            [clouds.len(), log_q.len()],
            "one density and energy for each cloud"
        );
        let numbers = log_q.iter().zip(reduced_energies);
        let clouds = clouds.chunks_exact(size);
        let weight = |(cloud, (log_q, energy)): (&[f64], (&f64, &f64))| {
            -energy + self.log_density(cloud) + self.log_volume() - log_q
        };
        clouds.zip(numbers).map(weight).collect()
    }

    /// `log q(x) ≈ log 1/K Σ_k q(x, a_k)/π(a_k | x)` over `count` draws `a_k` from `π(· | x)`: draw `k` for a sample is the same whatever `count` is
    /// and whichever samples are beside it. `log_q` gives the densities of clouds, one after another.
    ///
    /// The logarithm of an average is biased low, by about half the squared standard error, so this is for reports and never for weights:
    /// those are taken on whole clouds ([`Auxiliary::log_weights`]).
    ///
    /// # Errors
    /// Those of `log_q`.
    ///
    /// # Panics
    /// Without draws, if there are not as many positions as samples, or if `log_q` gives another number of densities than clouds.
    pub fn log_marginal<E>(
        &self,
        x: &[f64],
        samples: &Samples,
        count: usize,
        mut log_q: impl FnMut(&[f64]) -> Result<Vec<f64>, E>,
    ) -> Result<Vec<Marginal>, E> {
        let size = self.points * self.dims;
        assert!(count > 0, "an average needs draws");
        assert_eq!(x.len(), size * samples.numbers.len(), "one sample each");
        let marginal = |(x, &number): (&[f64], &u64)| {
            let mut random = stream(samples.seed, Purpose::Marginal, number);
            let clouds: Vec<Vec<f64>> = (0..count).map(|_| self.join(x, &mut random)).collect();
            let log_q = log_q(&clouds.concat())?;
            assert_eq!(log_q.len(), count, "a density for each cloud");
            let ratios = clouds
                .iter()
                .zip(log_q)
                .map(|(cloud, log_q)| log_q - self.log_volume() - self.log_density(cloud));
            Ok(Marginal::of(&ratios.collect::<Vec<f64>>()))
        };
        x.chunks_exact(size)
            .zip(&samples.numbers)
            .map(marginal)
            .collect()
    }

    fn halves<'a>(&self, cloud: &'a [f64]) -> (&'a [f64], &'a [f64]) {
        assert_eq!(
            cloud.len(),
            self.space().coordinates(),
            "a cloud of the {}",
            self.space()
        );
        cloud.split_at(self.points * self.dims)
    }

    /// `½ D N ln (2π η²)`.
    fn log_normalizer(&self) -> f64 {
        let freedom = (self.points * self.dims) as f64;
        0.5 * freedom * (std::f64::consts::TAU * self.scale.powi(2)).ln()
    }
}

impl Marginal {
    /// The logarithm of a mean from the logarithms of its terms.
    fn of(logarithms: &[f64]) -> Self {
        let largest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !largest.is_finite() {
            return Self {
                log_density: largest,
                standard_error: f64::INFINITY,
            };
        }
        let count = logarithms.len() as f64;
        let terms = logarithms.iter().map(|l| (l - largest).exp());
        let mean = terms.clone().sum::<f64>() / count;
        let squares: f64 = terms.map(|term| (term - mean).powi(2)).sum();
        let standard_error = if logarithms.len() > 1 {
            (squares / (count - 1.0) / count).sqrt() / mean
        } else {
            f64::INFINITY
        };
        Self {
            log_density: largest + mean.ln(),
            standard_error,
        }
    }
}

/// Takes the centroid out.
fn center(points: &mut [f64], dims: usize) {
    let count = (points.len() / dims.max(1)) as f64;
    for axis in 0..dims {
        let mean = points.iter().skip(axis).step_by(dims).sum::<f64>() / count;
        for x in points.iter_mut().skip(axis).step_by(dims) {
            *x -= mean;
        }
    }
}
