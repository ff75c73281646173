//! Samples of a flow.

/// Samples with the parts of their log-densities; `log_q = log_prior − log_det`.
///
/// A sample for which the flow does not come to finite numbers keeps its place, with a `log_det`, and so a `log_q`, that is not a number; a
/// configuration that the flow cannot make has the `log_q` `−∞`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawn {
    /// Positions in the unit of the data, sample by sample.
    pub positions: Vec<f64>,
    /// Latents, sample by sample.
    pub latents: Vec<f64>,
    /// `log p` of the latents.
    pub log_prior: Vec<f64>,
    /// `log |det ∂x/∂z|`; of a flow with auxiliary points that of whole clouds, and `log π(a | x)` with it, so that `log_q` is that of
    /// [`Density::Joint`].
    pub log_det: Vec<f64>,
}

impl Drawn {
    /// `log q` of every sample.
    pub fn log_q(&self) -> Vec<f64> {
        self.log_prior
            .iter()
            .zip(&self.log_det)
            .map(|(prior, det)| prior - det)
            .collect()
    }

    /// Adds samples after these.
    pub fn append(&mut self, other: Self) {
        self.positions.extend(other.positions);
        self.latents.extend(other.latents);
        self.log_prior.extend(other.log_prior);
        self.log_det.extend(other.log_det);
    }

    /// Some of them.
    pub fn select(&self, which: &[usize]) -> Self {
        let count = self.log_prior.len().max(1);
        let rows = |values: &[f64]| {
            let size = values.len() / count;
            let row = |&k: &usize| values[k * size..(k + 1) * size].iter().copied();
            which.iter().flat_map(row).collect()
        };
        Self {
            positions: rows(&self.positions),
            latents: rows(&self.latents),
            log_prior: rows(&self.log_prior),
            log_det: rows(&self.log_det),
        }
    }

    /// Takes the density of samples of which any other number is not finite, so that nobody uses it.
    pub(super) fn without_lost(mut self, [size, latent]: [usize; 2]) -> Self {
        let clouds = self.positions.chunks(size).zip(self.latents.chunks(latent));
        let numbers = clouds.zip(&self.log_prior).zip(&mut self.log_det);
        for (((x, z), log_prior), log_det) in numbers {
            let mut others = x.iter().chain(z).chain([log_prior]);
            if !(log_det.is_finite() && others.all(|value| value.is_finite())) {
                *log_det = f64::NAN;
            }
        }
        self
    }
}
