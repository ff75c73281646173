//! Negative log-likelihoods.

use boltzflow_energy::blocks;
use boltzflow_flow::Marginal;
use serde::{Deserialize, Serialize};

/// A negative log-likelihood in nats, normalised on the mean-free subspace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// `−⟨log q⟩`.
    pub value: f64,
    /// Its standard error, were the configurations independent.
    pub error: f64,
    /// Its standard error by blocking, which is right for correlated configurations in the order of their run.
    pub blocked: f64,
}

/// Auxiliary points that were averaged out of a negative log-likelihood, in nats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Averaged {
    /// Draws for each configuration, `K`.
    pub draws: usize,
    /// The standard error that these leave in the mean.
    pub error: f64,
    /// By about how much it is too high, because the logarithm of an average is biased low: half the mean squared error of one configuration.
    pub bias: f64,
}

impl Averaged {
    pub(super) fn of(marginals: &[Marginal], draws: usize) -> Self {
        let n = marginals.len() as f64;
        let squares = marginals.iter().map(|found| found.standard_error.powi(2));
        let squares: f64 = squares.sum();
        Self {
            draws,
            error: squares.sqrt() / n,
            bias: 0.5 * squares / n,
        }
    }
}

impl Likelihood {
    pub(super) fn of(log_q: &[f64]) -> Self {
        let (mean, blocked) = blocks::mean_and_error(log_q);
        let n = log_q.len() as f64;
        let squares: f64 = log_q.iter().map(|value| (value - mean).powi(2)).sum();
        let error = if log_q.len() > 1 {
            (squares / (n - 1.0) / n).sqrt()
        } else {
            f64::INFINITY
        };
        Self {
            value: -mean,
            error,
            blocked,
        }
    }
}
