//! A flow compared with samples of its target.

mod display;
mod distance;
mod likelihood;
mod target;

use boltzflow_energy::blocks;
use boltzflow_flow::Marginal;
use serde::{Deserialize, Serialize};

pub use distance::{Distance, RamachandranDistance, spread};
pub use likelihood::{Averaged, Likelihood};
pub use target::TargetSamples;

use crate::agreement::Agreement;
use crate::bootstrap::{Bootstrap, Estimate};
use crate::free_energy::{efficiency, forward_efficiency};
use crate::pareto::Tail;
use crate::relabelling::Labels;
use crate::system::{Ensemble, System};
use crate::torsion::{Torsion, ramachandran};
use crate::unreached::Unreached;
use crate::wasserstein;
use crate::weights::{StatisticsError, Verdict, Weights};
use distance::{angles, distance, floor, select};

/// Samples of the flow beside samples of the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Whether the weights may be trusted.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Samples of the flow.
    pub samples: usize,
    /// Raw effective sample size over `n`.
    pub efficiency: Estimate,
    /// The weights' tail.
    pub tail: Tail,
    /// Where no sample has come.
    pub unreached: Unreached,
    /// E-W2 of the samples as drawn.
    pub energy_raw: Distance,
    /// E-W2 of the samples with their weights: resampled, without the noise of resampling.
    pub energy_resampled: Distance,
    /// E-W2 between the even and the odd configurations of the reference: what two samples of the target, half as large, differ by.
    pub energy_floor: f64,
    /// T-W2, for residues with φ and ψ.
    pub torsions: Vec<RamachandranDistance>,
}

/// Effective samples of the flow and of the run that made the reference, at the same number of energy calls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EqualCost {
    /// Energy calls of the flow: its training data and its samples.
    pub energy_calls: u64,
    /// Effective samples of the flow.
    pub flow: f64,
    /// Effective samples that the reference's method has after as many calls.
    pub reference: f64,
    /// Energy calls of the whole reference.
    pub reference_calls: u64,
    /// The longest autocorrelation time of the reference, of its energy and of its torsions' wells, in configurations; chains that were
    /// written in turn may be in it.
    pub autocorrelation_time: f64,
}

/// What `evaluate` finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Samples of the flow, where there are some.
    #[serde(flatten)]
    pub comparison: Option<Comparison>,
    /// Profiles and populations of torsions, where there are samples of the flow and torsions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
    /// Configurations of the reference whose densities were evaluated.
    pub reference: usize,
    /// How many of them the flow cannot make, because they are outside its bounds: their log-density is −∞.
    pub outside: usize,
    /// The negative log-likelihood of the others.
    pub nll: Likelihood,
    /// How auxiliary points were averaged out for it, of a flow that has them; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaged: Option<Averaged>,
    /// How many relabellings of the atoms the density counts; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// The effective sample size over `n` as the target sees it, of what is not outside.
    pub forward_efficiency: Estimate,
    /// The flow and the reference's method at equal cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equal_cost: Option<EqualCost>,
    /// How bootstrap errors were made.
    pub bootstrap: Bootstrap,
}

impl Evaluation {
    /// From the flow's (folded) log-densities of the target's samples; −∞ for those that it cannot make. Of a flow with auxiliary points they are those
    /// of both together, and so is the forward effective sample size; see [`Evaluation::with_marginals`] for the likelihood.
    ///
    /// # Errors
    /// If there is not one for each, one is no number, or all are −∞.
    pub fn new(
        target: &TargetSamples,
        log_q: &[f64],
        bootstrap: Bootstrap,
    ) -> Result<Self, StatisticsError> {
        Weights::equal(target.reduced.len())?.check_count("log-densities", log_q.len())?;
        let is_inside = |log_q: &f64| *log_q != f64::NEG_INFINITY;
        let log_weights = target.log_weights(log_q).into_iter().zip(log_q);
        let log_weights = log_weights.filter(|(_, log_q)| is_inside(log_q));
        let log_weights: Vec<f64> = log_weights.map(|(weight, _)| weight).collect();
        let reference = log_q.len();
        let log_q: Vec<f64> = log_q.iter().copied().filter(is_inside).collect();
        let log_q = log_q.as_slice();
        Weights::equal(log_q.len())?.check_values("log-densities", log_q)?;
        Ok(Self {
            comparison: None,
            agreement: None,
            reference,
            outside: reference - log_q.len(),
            nll: Likelihood::of(log_q),
            averaged: None,
            labels: target.labels,
            forward_efficiency: forward_efficiency(&log_weights, &bootstrap)?,
            equal_cost: None,
            bootstrap,
        })
    }

    /// The same for a flow whose density counts these relabellings.
    pub fn with_labels(self, labels: Option<Labels>) -> Self {
        Self { labels, ..self }
    }

    /// The same for a flow with auxiliary points, whose log-densities so far are of both together ([`crate::Density::Joint`]): the likelihood is that
    /// of the positions alone, from (folded) averages over so many draws.
    ///
    /// # Errors
    /// If there is not one for each configuration, or one is no number.
    pub fn with_marginals(
        self,
        marginals: &[Marginal],
        draws: usize,
    ) -> Result<Self, StatisticsError> {
        let all = Weights::equal(self.reference)?;
        let log_q: Vec<f64> = marginals.iter().map(|found| found.log_density).collect();
        all.check_count("log-densities", log_q.len())?;
        all.check_values("log-densities", &log_q)?;
        Ok(Self {
            nll: Likelihood::of(&log_q),
            averaged: Some(Averaged::of(marginals, draws)),
            ..self
        })
    }
}

impl Comparison {
    /// Compares; `log_q` are the flow's (folded) log-densities of the target's samples, `pairs` is the most pairs of φ and ψ that are
    /// assigned, evenly spread over either side.
    ///
    /// # Errors
    /// If there are fewer than two samples of the target, or `pairs` is more than [`wasserstein::MOST_ON_TORUS`].
    pub fn new(
        system: &System,
        (target, log_q): (&TargetSamples, &[f64]),
        ensemble: &Ensemble,
        pairs: usize,
        bootstrap: &Bootstrap,
    ) -> Result<Self, StatisticsError> {
        let weights = &ensemble.weights;
        let unreached = Unreached::new(&target.log_weights(log_q), weights);
        let kt = system.kt();
        let reduced: Vec<f64> = ensemble.energies.iter().map(|energy| energy / kt).collect();
        let counts = [reduced.len(), target.reduced.len()];
        let energy = |weighted: &dyn Fn(&[usize]) -> Result<Weights, StatisticsError>| {
            distance(counts, |a, b| {
                let equal = Weights::equal(b.len())?;
                let (ours, theirs) = (select(&reduced, a), select(&target.reduced, b));
                wasserstein::line(&ours, &weighted(a)?, &theirs, &equal)
            })
        };
        let of_samples = |a: &[usize]| Weights::from_log(select(weights.log_weights(), a));
        let energy_raw = if reduced.iter().all(|energy| energy.is_finite()) {
            energy(&|a| Weights::equal(a.len()))?
        } else {
            Distance::INFINITE
        };
        let torsions = ramachandran(&system.torsions());
        let torsions = torsions.iter().map(|(residue, torsions)| {
            let ours = angles(torsions, &ensemble.conformers);
            let theirs = angles(torsions, &target.conformers);
            RamachandranDistance::new(residue, [&ours, &theirs], weights, pairs, bootstrap.seed)
        });
        Ok(Self {
            verdict: unreached.upon(weights.verdict(), weights.effective()),
            samples: weights.len(),
            efficiency: efficiency(weights, bootstrap),
            tail: weights.tail(),
            unreached,
            energy_raw,
            energy_resampled: energy(&of_samples)?,
            energy_floor: floor(&target.reduced)?,
            torsions: torsions.collect::<Result<_, _>>()?,
        })
    }
}

impl EqualCost {
    /// From the calls that the reference took, the calls of the flow (training data and samples), and the flow's weights.
    pub fn new(
        system: &System,
        target: &TargetSamples,
        weights: &Weights,
        reference_calls: u64,
        energy_calls: u64,
    ) -> Self {
        let time = autocorrelation_time(&system.torsions(), target);
        let all = target.reduced.len() as f64 / time;
        Self {
            energy_calls,
            flow: weights.effective(),
            reference: all * energy_calls as f64 / reference_calls as f64,
            reference_calls,
            autocorrelation_time: time,
        }
    }
}

/// The longest autocorrelation time of the energy and of the torsions' second wells, at least 1.
fn autocorrelation_time(torsions: &[Torsion], target: &TargetSamples) -> f64 {
    let inside = torsions.iter().map(|torsion| {
        let well = torsion.kind.wells()[1];
        let inside = |x| f64::from(u8::from(well.contains(torsion.angle(x))));
        target.conformers.iter().map(inside).collect::<Vec<_>>()
    });
    inside
        .map(|series| blocks::autocorrelation_time(&series))
        .fold(blocks::autocorrelation_time(&target.reduced), f64::max)
        .max(1.0)
}
