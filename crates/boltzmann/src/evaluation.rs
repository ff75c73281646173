//! A flow compared with samples of its target.

use std::fmt;

use boltzflow_energy::{blocks, energies};
use boltzflow_flow::Marginal;
use boltzflow_molecule::Conformers;
use serde::{Deserialize, Serialize};

use crate::agreement::Agreement;
use crate::bootstrap::{Bootstrap, Estimate};
use crate::free_energy::{efficiency, forward_efficiency};
use crate::pareto::Tail;
use crate::relabelling::{Labels, convention};
use crate::report::{write_tail, write_unreached, write_verdict};
use crate::system::{Ensemble, System, SystemError};
use crate::torsion::{Torsion, ramachandran};
use crate::unreached::Unreached;
use crate::wasserstein;
use crate::weights::{StatisticsError, Verdict, Weights, tail_limit};

/// Parts that samples are dealt into for the error of a distance.
const PARTS: usize = 10;

/// Configurations that were drawn from the target itself, in the order of their run.
pub struct TargetSamples {
    conformers: Conformers,
    /// `U/kT` of each.
    reduced: Vec<f64>,
    /// The relabellings that any flow of the target counts, where that is known.
    labels: Option<Labels>,
}

impl TargetSamples {
    /// Evaluates their energies.
    ///
    /// # Errors
    /// If one has no finite energy: then it is no sample of the target.
    pub fn new(system: &System, conformers: Conformers) -> Result<Self, SystemError> {
        let kt = system.kt();
        let reduced = energies(&*system.energy, &conformers)?
            .into_iter()
            .map(|energy| Ok(energy? / kt))
            .collect::<Result<_, SystemError>>()?;
        Ok(Self {
            conformers,
            reduced,
            labels: system.labels_of_any_flow(),
        })
    }

    /// As many of them as are asked for or as there are, evenly spread.
    pub fn spread(&self, count: usize) -> Self {
        let all = self.conformers.len();
        let indices = spread(all, count.min(all));
        Self {
            conformers: self.conformers.select(&indices),
            reduced: select(&self.reduced, &indices),
            labels: self.labels,
        }
    }

    /// The configurations.
    pub fn conformers(&self) -> &Conformers {
        &self.conformers
    }

    /// `log w = −U/kT − log q` of each, from the flow's (folded) log-densities of them.
    pub fn log_weights(&self, log_q: &[f64]) -> Vec<f64> {
        let reduced = self.reduced.iter().zip(log_q);
        reduced.map(|(u, log_q)| -u - log_q).collect()
    }
}

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
    fn of(marginals: &[Marginal], draws: usize) -> Self {
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
    fn of(log_q: &[f64]) -> Self {
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

/// A distance between samples with its standard error: from ten disjoint tenths of both, whose spread is that of the whole times `√10`.
/// Infinite where a tenth has no weight, or for fewer than ten samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// The distance.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

/// T-W2 over φ and ψ of one residue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RamachandranDistance {
    /// Which residue.
    pub residue: String,
    /// Pairs of angles on each side.
    pub count: usize,
    /// Of the samples as drawn.
    pub raw: Distance,
    /// Of the samples resampled in proportion to their weights.
    pub resampled: Distance,
}

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

impl Distance {
    /// That of samples one of which has no energy, or no angles: it is infinitely far away.
    const INFINITE: Self = Self {
        value: f64::INFINITY,
        error: f64::INFINITY,
    };
}

impl RamachandranDistance {
    fn new(
        residue: &str,
        [ours, theirs]: [&[[f64; 2]]; 2],
        weights: &Weights,
        pairs: usize,
        seed: u64,
    ) -> Result<Self, StatisticsError> {
        let count = pairs.min(ours.len()).min(theirs.len());
        // Tenths of samples and of the reference must be equally large.
        let count = if count >= PARTS {
            count - count % PARTS
        } else {
            count
        };
        let near = select(theirs, &spread(theirs.len(), count));
        let raw = select(ours, &spread(ours.len(), count));
        let raw = if raw.iter().flatten().all(|angle| angle.is_finite()) {
            distance([count, count], |a, b| {
                wasserstein::torus(&select(&raw, a), &select(&near, b))
            })?
        } else {
            Distance::INFINITE
        };
        let resampled = distance([ours.len(), count], |a, b| {
            let part = Weights::from_log(select(weights.log_weights(), a))?;
            let drawn = part.resample(b.len(), seed);
            wasserstein::torus(&select(&select(ours, a), &drawn), &select(&near, b))
        })?;
        Ok(Self {
            residue: residue.to_owned(),
            count,
            raw,
            resampled,
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

/// A distance between all of `counts` samples, with its error from tenths.
fn distance(
    counts: [usize; 2],
    between: impl Fn(&[usize], &[usize]) -> Result<f64, StatisticsError>,
) -> Result<Distance, StatisticsError> {
    let all = counts.map(|count| (0..count).collect::<Vec<usize>>());
    let value = between(&all[0], &all[1])?;
    let mut error = f64::INFINITY;
    if counts.iter().all(|count| *count >= PARTS) {
        let part = |count: usize, part: usize| (part..count).step_by(PARTS).collect::<Vec<usize>>();
        let found: Result<Vec<f64>, _> = (0..PARTS)
            .map(|index| between(&part(counts[0], index), &part(counts[1], index)))
            .collect();
        match found {
            Ok(found) => {
                let mean = found.iter().sum::<f64>() / PARTS as f64;
                let squares: f64 = found.iter().map(|value| (value - mean).powi(2)).sum();
                error = (squares / (PARTS - 1) as f64 / PARTS as f64).sqrt();
            }
            Err(StatisticsError::AllZero { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(Distance { value, error })
}

fn floor(values: &[f64]) -> Result<f64, StatisticsError> {
    let half =
        |first: usize| -> Vec<f64> { values.iter().skip(first).step_by(2).copied().collect() };
    let (even, odd) = (half(0), half(1));
    let equal = [Weights::equal(even.len())?, Weights::equal(odd.len())?];
    wasserstein::line(&even, &equal[0], &odd, &equal[1])
}

fn select<T: Copy>(values: &[T], indices: &[usize]) -> Vec<T> {
    indices.iter().map(|&index| values[index]).collect()
}

/// `count` of `length` numbers, evenly spread.
pub fn spread(length: usize, count: usize) -> Vec<usize> {
    (0..count).map(|index| index * length / count).collect()
}

fn angles(torsions: &[Torsion; 2], conformers: &Conformers) -> Vec<[f64; 2]> {
    conformers
        .iter()
        .map(|x| torsions.each_ref().map(|torsion| torsion.angle(x)))
        .collect()
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ± {:.3}", self.value, self.error)
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(found) = &self.comparison {
            write_verdict(f, &found.verdict)?;
        }
        let Likelihood {
            value,
            error,
            blocked,
        } = self.nll;
        if self.outside > 0 {
            writeln!(
                f,
                "outside           {} of {} configurations of the reference are outside the flow's bounds, where its density is zero; what follows is of the others",
                self.outside, self.reference
            )?;
        }
        let n = self.reference - self.outside;
        writeln!(
            f,
            "NLL               {value:.4} ± {blocked:.4} by blocking (± {error:.4} if independent) over n = {n} of the reference (normalised, mean-free, {})",
            convention(self.labels)
        )?;
        if let Some(Averaged { draws, error, bias }) = self.averaged {
            write!(
                f,
                "                  with auxiliary points averaged out by K = {draws} draws each, "
            )?;
            if error.is_finite() {
                writeln!(
                    f,
                    "which leave ± {error:.4}, and the NLL about {bias:.4} too high"
                )?;
            } else {
                writeln!(f, "which do not tell their error")?;
            }
        }
        let [forward, error] =
            [self.forward_efficiency.value, self.forward_efficiency.error].map(|x| 100.0 * x);
        writeln!(
            f,
            "forward ESS       {forward:.2} ± {error:.2} % of n = {n}"
        )?;
        if let Some(found) = &self.comparison {
            let [percent, error] =
                [found.efficiency.value, found.efficiency.error].map(|x| 100.0 * x);
            let n = found.samples;
            writeln!(
                f,
                "ESS (raw, Kish)   {percent:.2} ± {error:.2} % of n = {n}"
            )?;
            write_tail(f, found.tail, tail_limit(n))?;
            write_unreached(f, &found.unreached)?;
            writeln!(f, "E-W2              {} raw, n = {n}", found.energy_raw)?;
            writeln!(
                f,
                "E-W2              {} resampled, n = {n}",
                found.energy_resampled
            )?;
            writeln!(
                f,
                "E-W2              {:.3} between the halves of the reference",
                found.energy_floor
            )?;
            for torsion in &found.torsions {
                let (residue, n) = (&torsion.residue, torsion.count);
                writeln!(f, "T-W2 of {residue:<9} {} raw, n = {n}", torsion.raw)?;
                writeln!(
                    f,
                    "T-W2 of {residue:<9} {} resampled, n = {n}",
                    torsion.resampled
                )?;
            }
        }
        if let Some(agreement) = &self.agreement {
            write!(f, "{agreement}")?;
        }
        if let Some(cost) = &self.equal_cost {
            writeln!(
                f,
                "at {} energy calls: {:.1} effective samples of the flow, {:.1} of the reference's method (τ = {:.1} configurations; {} calls in all)",
                cost.energy_calls,
                cost.flow,
                cost.reference,
                cost.autocorrelation_time,
                cost.reference_calls
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normal;

    fn line(a: &[f64], b: &[f64]) -> Distance {
        distance([a.len(), b.len()], |i, j| {
            let equal = [Weights::equal(i.len())?, Weights::equal(j.len())?];
            wasserstein::line(&select(a, i), &equal[0], &select(b, j), &equal[1])
        })
        .unwrap()
    }

    #[test]
    fn the_error_of_a_distance_is_its_spread_over_independent_samples() {
        let runs: Vec<Distance> = (0..60)
            .map(|seed| {
                let b: Vec<f64> = normal(1000, 1000 + seed).iter().map(|x| x + 1.0).collect();
                line(&normal(1000, seed), &b)
            })
            .collect();
        let mean = runs.iter().map(|run| run.value).sum::<f64>() / 60.0;
        let spread = runs
            .iter()
            .map(|run| (run.value - mean).powi(2))
            .sum::<f64>()
            / 59.0;
        let typical = runs.iter().map(|run| run.error.powi(2)).sum::<f64>() / 60.0;
        assert!((mean - 1.0).abs() < 0.03);
        // 60 runs know the ratio of variances to 20 %.
        assert!(
            (typical / spread - 1.0).abs() < 0.6,
            "{typical} for {spread}"
        );
    }

    #[test]
    fn few_samples_have_no_error_of_their_distance() {
        assert_eq!(line(&[0.0; 9], &[1.0; 20]).error, f64::INFINITY);
        let found = line(&[0.0; 10], &[1.0; 20]);
        assert!((found.value - 1.0).abs() < 1e-12 && found.error < 1e-12);
    }

    #[test]
    fn weights_bring_samples_to_the_target() {
        let target = normal(4000, 1);
        let x: Vec<f64> = normal(4000, 2).iter().map(|x| 1.5 * x).collect();
        let logs = x
            .iter()
            .map(|x| -0.5 * x * x * (1.0 - 1.0 / 2.25))
            .collect();
        let weights = Weights::from_log(logs).unwrap();
        let angles = |x: &[f64]| -> Vec<[f64; 2]> { x.iter().map(|x| [0.3 * x, 0.0]).collect() };
        let found =
            RamachandranDistance::new("ALA 2", [&angles(&x), &angles(&target)], &weights, 1000, 3)
                .unwrap();
        assert_eq!(found.count, 1000);
        // 0.3 · (1.5 − 1) apart as drawn.
        assert!((found.raw.value - 0.15).abs() < 0.03, "{found:?}");
        assert!(found.resampled.value < 0.05, "{found:?}");
        assert!(found.raw.error < 0.02 && found.resampled.error < 0.05);
    }

    #[test]
    fn a_sample_without_angles_is_infinitely_far_away_unless_it_has_no_weight() {
        let target: Vec<[f64; 2]> = normal(200, 1).iter().map(|x| [0.3 * x, 0.0]).collect();
        let mut ours = target.clone();
        ours[17][0] = f64::NAN;
        let mut logs = vec![0.0; 200];
        logs[17] = f64::NEG_INFINITY;
        let weights = Weights::from_log(logs).unwrap();
        let found = RamachandranDistance::new("ALA 2", [&ours, &target], &weights, 200, 3).unwrap();
        assert_eq!(found.raw, Distance::INFINITE);
        assert!(found.resampled.value < 0.1, "{found:?}");
    }
}
