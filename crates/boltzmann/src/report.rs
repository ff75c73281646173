//! What a reweighting has to say for itself: for people, and as JSON.

mod torsions;

use std::collections::BTreeMap;
use std::fmt;

use boltzflow_energy::Units;
use serde::{Deserialize, Serialize};

use crate::bootstrap::{Bootstrap, Estimate};
use crate::free_energy::{average, efficiency, log_z};
use crate::model::Density;
use crate::pareto::Tail;
use crate::relabelling::{Labels, convention};
use crate::system::{Ensemble, System};
use crate::unreached::Unreached;
use crate::weights::{StatisticsError, Verdict, Weights, tail_limit};

pub use torsions::{TorsionSummary, WellSummary, write_torsion};

/// Where samples went: nothing is dropped silently.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Samples drawn.
    pub drawn: usize,
    /// Samples with a weight above zero.
    pub kept: usize,
    /// Samples of weight zero, by reason.
    pub rejected: BTreeMap<String, usize>,
}

impl Counts {
    /// Checks that the samples drawn are those kept and those rejected.
    ///
    /// # Errors
    /// If they are not.
    pub fn check(&self) -> Result<(), StatisticsError> {
        let rejected = self.rejected.values().sum();
        if self.kept + rejected == self.drawn {
            return Ok(());
        }
        Err(StatisticsError::Unbalanced {
            drawn: self.drawn,
            kept: self.kept,
            rejected,
        })
    }
}

impl Counts {
    /// Where the samples of an ensemble went.
    ///
    /// # Errors
    /// If the reasons do not add up to the weights of zero.
    pub fn of(ensemble: &Ensemble) -> Result<Self, StatisticsError> {
        let drawn = ensemble.weights.len();
        let counts = Self {
            drawn,
            kept: drawn - ensemble.weights.zeros(),
            rejected: ensemble.zero.clone(),
        };
        counts.check().map(|()| counts)
    }
}

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Making the training data.
    Simulation,
    /// Training.
    Training,
    /// Finding log-densities of what was held out.
    Checking,
    /// Drawing samples with their log-densities.
    Sampling,
    /// Evaluating energies and weights of the samples.
    Weighting,
}

/// What a piece of work took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Which piece.
    pub part: Part,
    /// Evaluations of the energy.
    pub energy_calls: u64,
    /// Seconds of wall-clock time; none where it was not timed as a whole, as after a resumption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// What the work took, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Threads that worked.
    pub threads: usize,
    /// The pieces, in order.
    pub parts: Vec<Spent>,
}

impl Cost {
    /// All evaluations of the energy.
    pub fn energy_calls(&self) -> u64 {
        self.parts.iter().map(|spent| spent.energy_calls).sum()
    }

    /// Core-seconds of sampling and weighting, if both were timed.
    pub fn core_seconds_of_samples(&self) -> Option<f64> {
        let seconds = |part: Part| {
            let spent = self.parts.iter().find(|spent| spent.part == part)?;
            spent.seconds
        };
        Some(self.threads as f64 * (seconds(Part::Sampling)? + seconds(Part::Weighting)?))
    }
}

/// A reweighting's diagnostics, a function of the ensemble and the bootstrap's seed but for [`Summary::cost`] and the rate that follows from
/// it. The verdict stands first, here, in JSON and in text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Whether the rest may be trusted.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What the samples' log-densities are of.
    #[serde(default, skip_serializing_if = "Density::is_of_positions")]
    pub density: Density,
    /// `n`, weights of zero included.
    pub samples: usize,
    /// Where the samples went.
    pub counts: Counts,
    /// Samples that were reflected to the right mirror image.
    pub reflected: usize,
    /// Raw effective sample size (Kish).
    pub effective: f64,
    /// Raw effective sample size over `n`.
    pub efficiency: Estimate,
    /// The share of the heaviest sample.
    pub largest_weight: f64,
    /// The weights' tail, with `k̂`.
    pub tail: Tail,
    /// The largest `k̂` that is trusted for this `n`.
    pub tail_limit: f64,
    /// Where no sample has come; absent where no configurations of the target were there to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreached: Option<Unreached>,
    /// `ln Z` of the target on the part of the mean-free subspace that the flow covers: see [`Labels`].
    pub log_z: Estimate,
    /// How many relabellings of the atoms that is; absent where it is not known, as for samples without their flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// The mean potential energy.
    pub mean_energy: Estimate,
    /// Its unit.
    pub units: Units,
    /// Populations, free energies and histograms of torsions.
    pub torsions: Vec<TorsionSummary>,
    /// How the bootstrap errors were made.
    pub bootstrap: Bootstrap,
    /// What it took.
    pub cost: Cost,
    /// Effective samples per core-second, densities and energies included; absent without times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_per_core_second: Option<f64>,
}

impl Summary {
    /// The diagnostics of an ensemble.
    ///
    /// # Errors
    /// If its counts do not add up, or a sample of some weight has no angle.
    pub fn new(
        system: &System,
        ensemble: &Ensemble,
        bootstrap: Bootstrap,
        cost: Cost,
    ) -> Result<Self, StatisticsError> {
        let weights: &Weights = &ensemble.weights;
        let effective = weights.effective();
        let torsions = system.torsions();
        let torsions = torsions
            .iter()
            .map(|torsion| TorsionSummary::new(torsion, ensemble, &bootstrap));
        Ok(Self {
            verdict: weights.verdict(),
            density: Density::Positions,
            samples: weights.len(),
            counts: Counts::of(ensemble)?,
            reflected: ensemble.reflected,
            effective,
            efficiency: efficiency(weights, &bootstrap),
            largest_weight: weights.largest(),
            tail: weights.tail(),
            tail_limit: tail_limit(weights.len()),
            unreached: None,
            log_z: log_z(weights, &bootstrap),
            labels: system.labels_of_any_flow(),
            mean_energy: average(weights, &ensemble.energies, &bootstrap)?,
            units: system.units(),
            torsions: torsions.collect::<Result<_, _>>()?,
            bootstrap,
            effective_per_core_second: cost
                .core_seconds_of_samples()
                .filter(|seconds| *seconds > 0.0)
                .map(|seconds| effective / seconds),
            cost,
        })
    }

    /// The same for samples of a flow whose density counts these relabellings.
    pub fn with_labels(self, labels: Option<Labels>) -> Self {
        Self { labels, ..self }
    }

    /// The same for samples whose log-densities are of this.
    pub fn with_density(self, density: Density) -> Self {
        Self { density, ..self }
    }

    /// The same where configurations of the target have told what the samples do not reach.
    pub fn with_unreached(self, unreached: Unreached) -> Self {
        Self {
            verdict: unreached.upon(self.verdict, self.effective),
            unreached: Some(unreached),
            ..self
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_verdict(f, &self.verdict)?;
        if !self.density.is_of_positions() {
            writeln!(
                f,
                "weights           of positions and auxiliary points together, e^(−U/kT) π(a|x)/q(x,a)"
            )?;
        }
        self.write_samples(f)?;
        let percent = 100.0 * self.efficiency.value;
        writeln!(
            f,
            "ESS (raw, Kish)   {percent:.2} ± {:.2} % = {:.1} of n = {}",
            100.0 * self.efficiency.error,
            self.effective,
            self.samples
        )?;
        write_tail(f, self.tail, self.tail_limit)?;
        writeln!(f, "largest weight    {:.2} %", 100.0 * self.largest_weight)?;
        match &self.unreached {
            Some(unreached) => write_unreached(f, unreached)?,
            None => writeln!(
                f,
                "unreached         not known: evaluate --samples tells, from configurations of the target"
            )?,
        }
        writeln!(
            f,
            "ln Z              {} (mean-free, {})",
            self.log_z,
            convention(self.labels)
        )?;
        if let Some(labels) = self.labels.filter(|labels| !labels.are_all()) {
            let missing = labels.log_missing();
            writeln!(
                f,
                "                  over all labels at most {missing:.2} more"
            )?;
        }
        write_mean_energy(f, &self.mean_energy, self.units)?;
        for torsion in &self.torsions {
            write!(f, "{torsion}")?;
        }
        self.write_cost(f)
    }
}

/// The verdict's line, for reading first.
pub(crate) fn write_verdict(f: &mut fmt::Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    match verdict {
        Verdict::Trusted => writeln!(f, "verdict           the weights pass all checks"),
        Verdict::NotToBeTrusted { reasons } => {
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            writeln!(f, "NOT TO BE TRUSTED: {}", reasons.join("; "))
        }
    }
}

/// The line of a mean energy, which is told with its error.
pub fn write_mean_energy(
    f: &mut fmt::Formatter<'_>,
    mean: &impl fmt::Display,
    units: Units,
) -> fmt::Result {
    let unit = match units {
        Units::Molecular => "kcal/mol",
        Units::Reduced => "reduced units",
    };
    writeln!(f, "mean energy       {mean} {unit}")
}

/// The tail's line.
pub(crate) fn write_tail(f: &mut fmt::Formatter<'_>, tail: Tail, limit: f64) -> fmt::Result {
    write!(f, "Pareto k̂          ")?;
    match tail {
        Tail::Fitted { shape, count } => {
            writeln!(f, "{shape:.2} of {count} in the tail (limit {limit:.2})")
        }
        Tail::Flat { count } => writeln!(f, "none: the {count} largest weights are equal"),
        Tail::TooFew { count } => writeln!(f, "unknown: only {count} weights in the tail"),
    }
}

/// The line of what no sample has reached.
pub(crate) fn write_unreached(f: &mut fmt::Formatter<'_>, found: &Unreached) -> fmt::Result {
    let [share, error] = [found.share, found.error].map(|part| 100.0 * part);
    writeln!(
        f,
        "unreached         {share:.2} ± {error:.2} % of {} configurations of the target weigh more than any sample",
        found.count
    )
}

impl Summary {
    fn write_samples(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        write!(
            f,
            "samples           n = {} = {} of non-zero weight",
            counts.drawn, counts.kept
        )?;
        for (reason, count) in &counts.rejected {
            write!(f, " + {count} of weight 0: {reason}")?;
        }
        writeln!(f)?;
        if self.reflected > 0 {
            let reflected = self.reflected;
            writeln!(f, "reflected         {reflected} to the right mirror image")?;
        }
        Ok(())
    }

    fn write_cost(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for spent in &self.cost.parts {
            let part = match spent.part {
                Part::Simulation => "simulation",
                Part::Training => "training",
                Part::Checking => "checking",
                Part::Sampling => "sampling",
                Part::Weighting => "weighting",
            };
            write!(
                f,
                "cost              {part}: {} energy calls",
                spent.energy_calls
            )?;
            if let Some(seconds) = spent.seconds {
                write!(f, ", {seconds:.1} s on {} threads", self.cost.threads)?;
            }
            writeln!(f)?;
        }
        if let Some(rate) = self.effective_per_core_second {
            writeln!(f, "effective samples {rate:.3} per core-second")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Drawn;
    use boltzflow_energy::Target;
    use boltzflow_molecule::Conformers;

    /// An ensemble of points of the double well, with these log-weights.
    fn ensemble(log_weights: Vec<f64>) -> Ensemble {
        let weights = Weights::from_log(log_weights).unwrap();
        let n = weights.len();
        let mut zero = BTreeMap::new();
        if weights.zeros() > 0 {
            zero.insert("wrong stereochemistry".to_owned(), weights.zeros());
        }
        Ensemble {
            conformers: Conformers::new(4, 2, vec![0.0; 8 * n]),
            log_q: vec![0.0; n],
            energies: weights.log_weights().iter().map(|log| -log).collect(),
            weights,
            zero,
            reflected: 0,
        }
    }

    fn toy() -> System {
        System::toy("dw4".parse::<Target>().unwrap(), 1.0).unwrap()
    }

    fn timed() -> Cost {
        let spent = |part, seconds| Spent {
            part,
            energy_calls: 6,
            seconds,
        };
        Cost {
            threads: 2,
            parts: vec![
                spent(Part::Simulation, None),
                spent(Part::Sampling, Some(2.0)),
                spent(Part::Weighting, Some(1.0)),
            ],
        }
    }

    fn summary(log_weights: Vec<f64>) -> Summary {
        let ensemble = ensemble(log_weights);
        Summary::new(&toy(), &ensemble, Bootstrap::default(), timed()).unwrap()
    }

    #[test]
    fn distrust_is_said_first() {
        let found = summary(vec![0.0, f64::NEG_INFINITY, 3.0]);
        let text = found.to_string();
        assert!(text.starts_with("NOT TO BE TRUSTED: the weights' tail is unknown"));
        let json = serde_json::to_string(&found).unwrap();
        assert!(json.starts_with("{\"verdict\":\"not_to_be_trusted\",\"reasons\":[{"));
        assert!(text.contains("n = 3 = 2 of non-zero weight + 1 of weight 0: wrong stereo"));
        let good = summary(vec![0.0; 300]);
        assert!(
            good.to_string()
                .starts_with("verdict           the weights pass")
        );
        assert_eq!(good.effective_per_core_second.map(f64::round), Some(50.0));
        assert_eq!(good.cost.energy_calls(), 18);
    }

    #[test]
    fn a_rate_needs_the_time_of_the_densities() {
        let mut cost = timed();
        cost.parts.retain(|spent| spent.part != Part::Sampling);
        let found = Summary::new(
            &toy(),
            &ensemble(vec![0.0; 300]),
            Bootstrap::default(),
            cost,
        );
        assert_eq!(found.unwrap().effective_per_core_second, None);
    }

    #[test]
    fn a_summary_survives_json_even_where_numbers_are_infinite() {
        let found = summary((0..300).map(|i| f64::from(i).sin()).collect());
        let back: Summary = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
        assert_eq!(
            (&back.verdict, &back.counts, back.samples),
            (&found.verdict, &found.counts, 300)
        );
        assert!((back.tail.shape().unwrap() - found.tail.shape().unwrap()).abs() < 1e-12);
        let single = summary(vec![0.0]);
        let back: Summary = serde_json::from_str(&serde_json::to_string(&single).unwrap()).unwrap();
        assert!(back.log_z.delta.is_nan());
    }

    #[test]
    fn the_labels_of_a_normaliser_are_those_that_the_flow_counts() {
        let cluster = summary(vec![0.0; 300]);
        assert!(cluster.to_string().contains("(mean-free, all labels)"));
        let unknown = cluster.with_labels(None);
        let json = serde_json::to_string(&unknown).unwrap();
        assert!(!json.contains("labels"));
        assert!(
            unknown
                .to_string()
                .contains("(mean-free, labels that the flow covers)")
        );
        let some = unknown.with_labels(Some(Labels {
            counted: 144.0,
            all: 288.0,
        }));
        let text = some.to_string();
        assert!(
            text.contains("(mean-free, 144 of 288 relabellings)"),
            "{text}"
        );
        assert!(text.contains("over all labels at most 0.69 more"), "{text}");
    }

    #[test]
    fn equal_input_gives_equal_text() {
        let logs: Vec<f64> = (0..300).map(|i| f64::from(i).sin()).collect();
        let texts = [logs.clone(), logs].map(|logs| serde_json::to_string(&summary(logs)).unwrap());
        assert_eq!(texts[0], texts[1]);
    }

    #[test]
    fn every_sample_is_counted_once() {
        let mut lost = ensemble(vec![0.0, f64::NEG_INFINITY, 1.0]);
        lost.zero.clear();
        let found = Summary::new(&toy(), &lost, Bootstrap::default(), Cost::default());
        assert_eq!(
            found,
            Err(StatisticsError::Unbalanced {
                drawn: 3,
                kept: 2,
                rejected: 0
            })
        );
    }

    #[test]
    fn an_exact_flow_gives_equal_weights() {
        let system = toy();
        let mut positions = Vec::new();
        for index in 0..200 {
            positions.extend((0..8).map(|k| f64::from(k * k % 5) + f64::from(index * k).sin()));
        }
        let mut conformers = Conformers::new(4, 2, positions);
        conformers.center();
        let energies = boltzflow_energy::energies(&*system.energy, &conformers).unwrap();
        let log_z = 29.668;
        let drawn = Drawn {
            positions: conformers.into_positions(),
            latents: Vec::new(),
            log_prior: energies.into_iter().map(|u| -u.unwrap() - log_z).collect(),
            log_det: vec![0.0; 200],
        };
        let ensemble = system.reweight(&drawn, crate::Mirror::Both).unwrap();
        let found =
            Summary::new(&system, &ensemble, Bootstrap::default(), Cost::default()).unwrap();
        assert!(found.verdict.is_trusted());
        assert!((found.efficiency.value - 1.0).abs() < 1e-12);
        assert!((found.log_z.value - log_z).abs() < 1e-9 && found.log_z.error < 1e-9);
        assert!(matches!(found.tail, Tail::Flat { .. }));
    }
}
