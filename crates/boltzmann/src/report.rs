//! What a reweighting has to say for itself: for people, and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Bootstrap, Estimate};
use crate::free_energy::log_z;
use crate::pareto::Tail;
use crate::weights::{StatisticsError, Verdict, Weights, tail_limit};

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

/// How much probability a state has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Population {
    /// The state's name.
    pub name: String,
    /// Its probability.
    #[serde(flatten)]
    pub probability: Estimate,
}

/// What the work took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Evaluations of the energy, those of training data included.
    pub energy_calls: u64,
    /// Threads that worked.
    pub threads: usize,
    /// Seconds of wall-clock time by part, in order.
    pub seconds: Vec<(String, f64)>,
}

/// A reweighting's diagnostics. The verdict stands first, here, in JSON and in text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Whether the rest may be trusted.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// `n`, weights of zero included.
    pub samples: usize,
    /// The seeds that the samples were drawn with.
    pub seeds: Vec<u64>,
    /// Where the samples went.
    pub counts: Counts,
    /// Raw effective sample size (Kish) over `n`.
    pub efficiency: f64,
    /// Raw effective sample size (Kish).
    pub effective: f64,
    /// The share of the heaviest sample.
    pub largest_weight: f64,
    /// The weights' tail, with `k̂`.
    pub tail: Tail,
    /// The largest `k̂` that is trusted for this `n`.
    pub tail_limit: f64,
    /// `ln Z` of the target, on the mean-free subspace.
    pub log_z: Estimate,
    /// How the bootstrap errors were made.
    pub bootstrap: Bootstrap,
    /// `1/(E_p[w] E_p[1/w])`, where there is a reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_efficiency: Option<f64>,
    /// Populations of named states.
    pub populations: Vec<Population>,
    /// What it took.
    pub cost: Cost,
    /// Effective samples per second and thread, densities and energies included; absent without times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_per_core_second: Option<f64>,
}

impl Summary {
    /// The diagnostics of `weights`; populations and a forward efficiency are set afterwards by who has them.
    ///
    /// # Errors
    /// If `counts` do not add up, or disagree with the weights.
    pub fn new(
        weights: &Weights,
        seeds: Vec<u64>,
        counts: Counts,
        cost: Cost,
        bootstrap: Bootstrap,
    ) -> Result<Self, StatisticsError> {
        counts.check()?;
        weights.check_count("counted samples", counts.drawn)?;
        if counts.kept + weights.zeros() != counts.drawn {
            let (drawn, kept, rejected) = (counts.drawn, counts.kept, weights.zeros());
            return Err(StatisticsError::Unbalanced {
                drawn,
                kept,
                rejected,
            });
        }
        let effective = weights.effective();
        let core_seconds =
            cost.threads as f64 * cost.seconds.iter().map(|(_, seconds)| seconds).sum::<f64>();
        Ok(Self {
            verdict: weights.verdict(),
            samples: weights.len(),
            seeds,
            counts,
            efficiency: weights.efficiency(),
            effective,
            largest_weight: weights.largest(),
            tail: weights.tail(),
            tail_limit: tail_limit(weights.len()),
            log_z: log_z(weights, &bootstrap),
            bootstrap,
            forward_efficiency: None,
            populations: Vec::new(),
            effective_per_core_second: (core_seconds > 0.0).then(|| effective / core_seconds),
            cost,
        })
    }

    /// One JSON object, indented.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and texts are valid JSON")
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Trusted => writeln!(f, "verdict           trusted")?,
            Verdict::NotToBeTrusted { reasons } => {
                writeln!(f, "NOT TO BE TRUSTED, because:")?;
                reasons
                    .iter()
                    .try_for_each(|reason| writeln!(f, "  - {reason}"))?;
            }
        }
        let seeds: Vec<String> = self.seeds.iter().map(ToString::to_string).collect();
        writeln!(
            f,
            "samples           n = {} (seed {})",
            self.samples,
            seeds.join(", ")
        )?;
        write!(
            f,
            "counts            {} drawn = {} kept",
            self.counts.drawn, self.counts.kept
        )?;
        self.counts
            .rejected
            .iter()
            .try_for_each(|(reason, count)| write!(f, " + {count} {reason}"))?;
        let (efficiency, effective) = (100.0 * self.efficiency, self.effective);
        writeln!(
            f,
            "\nESS (raw, Kish)   {efficiency:.2} % = {effective:.1} of n = {}",
            self.samples
        )?;
        if let Some(forward) = self.forward_efficiency {
            writeln!(f, "forward ESS       {:.2} %", 100.0 * forward)?;
        }
        match self.tail {
            Tail::Fitted { shape, count } => {
                writeln!(
                    f,
                    "Pareto k̂          {shape:.2} of {count} in the tail (limit {:.2})",
                    self.tail_limit
                )?;
            }
            Tail::Flat { count } => writeln!(
                f,
                "Pareto k̂          none: the {count} largest weights are equal"
            )?,
            Tail::TooFew { count } => writeln!(
                f,
                "Pareto k̂          unknown: only {count} weights in the tail"
            )?,
        }
        writeln!(f, "largest weight    {:.2} %", 100.0 * self.largest_weight)?;
        let z = &self.log_z;
        writeln!(
            f,
            "ln Z              {:.4} ± {:.4} (delta method {:.4})",
            z.value, z.error, z.delta
        )?;
        for Population {
            name,
            probability: p,
        } in &self.populations
        {
            writeln!(
                f,
                "population        {name}: {:.4} ± {:.4}",
                p.value, p.error
            )?;
        }
        writeln!(f, "energy calls      {}", self.cost.energy_calls)?;
        let parts: Vec<String> = self
            .cost
            .seconds
            .iter()
            .map(|(part, seconds)| format!("{part} {seconds:.1} s"))
            .collect();
        if !parts.is_empty() {
            writeln!(
                f,
                "time              {} on {} threads",
                parts.join(", "),
                self.cost.threads
            )?;
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

    fn summary(log_weights: Vec<f64>) -> Summary {
        let weights = Weights::from_log(log_weights).unwrap();
        let mut counts = Counts {
            drawn: weights.len(),
            kept: weights.len() - weights.zeros(),
            ..Counts::default()
        };
        if weights.zeros() > 0 {
            counts
                .rejected
                .insert("wrong chirality".to_owned(), weights.zeros());
        }
        let cost = Cost {
            energy_calls: 12,
            threads: 2,
            seconds: vec![("sample".to_owned(), 3.0)],
        };
        Summary::new(&weights, vec![1], counts, cost, Bootstrap::default()).unwrap()
    }

    #[test]
    fn distrust_is_said_first() {
        let found = summary(vec![0.0, f64::NEG_INFINITY, 3.0]);
        assert!(found.to_string().starts_with("NOT TO BE TRUSTED"));
        assert!(
            found
                .to_json()
                .trim_start_matches(['{', '\n', ' '])
                .starts_with("\"verdict\": \"not_to_be_trusted\"")
        );
        assert!(
            found
                .to_string()
                .contains("3 drawn = 2 kept + 1 wrong chirality")
        );
        let good = summary(vec![0.0; 300]);
        assert!(good.to_string().starts_with("verdict           trusted"));
        assert_eq!(good.effective_per_core_second.map(f64::round), Some(50.0));
    }

    #[test]
    fn a_summary_survives_json_even_where_numbers_are_infinite() {
        let found = summary((0..300).map(|i| f64::from(i).sin()).collect());
        let back: Summary = serde_json::from_str(&found.to_json()).unwrap();
        assert_eq!(
            (&back.verdict, &back.counts, back.samples),
            (&found.verdict, &found.counts, 300)
        );
        assert!((back.tail.shape().unwrap() - found.tail.shape().unwrap()).abs() < 1e-12);
        let single = summary(vec![0.0]);
        let back: Summary = serde_json::from_str(&single.to_json()).unwrap();
        assert!(back.log_z.delta.is_nan());
    }

    #[test]
    fn every_sample_is_counted_once() {
        let counts = Counts {
            drawn: 3,
            kept: 2,
            ..Counts::default()
        };
        assert_eq!(
            counts.check(),
            Err(StatisticsError::Unbalanced {
                drawn: 3,
                kept: 2,
                rejected: 0
            })
        );
    }

    #[test]
    fn counts_that_disagree_with_the_weights_are_refused() {
        let weights = Weights::equal(3).unwrap();
        let counts = Counts {
            drawn: 3,
            kept: 2,
            rejected: [("lost".to_owned(), 1)].into(),
        };
        assert!(
            Summary::new(
                &weights,
                vec![],
                counts,
                Cost::default(),
                Bootstrap::default()
            )
            .is_err()
        );
        let counts = Counts {
            drawn: 4,
            kept: 4,
            ..Counts::default()
        };
        assert!(
            Summary::new(
                &weights,
                vec![],
                counts,
                Cost::default(),
                Bootstrap::default()
            )
            .is_err()
        );
    }
}
