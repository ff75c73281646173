//! Where no sample has come.

use boltzflow_energy::blocks;
use serde::{Deserialize, Serialize};

use crate::weights::{Reason, Verdict, Weights};

/// The part of the target that weighs more than any sample of the flow.
///
/// Weights alone cannot show what no sample has found: their tail looks light until one comes there. Configurations of the target can.
/// Where their density under the flow is so low that they weigh more than the heaviest of its samples, less than about one sample was to
/// be expected, so populations lack them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unreached {
    /// Its share of the target's configurations.
    pub share: f64,
    /// The standard error, by blocking.
    pub error: f64,
    /// How many configurations of the target were looked at.
    pub count: usize,
}

impl Unreached {
    /// From the log-weights of configurations of the target, in the order of their run. One that has none, because the flow carries it out
    /// of range, is not reached.
    pub fn new(target: &[f64], samples: &Weights) -> Self {
        let heaviest = samples.log_weights().iter().copied();
        let heaviest = heaviest.fold(f64::NEG_INFINITY, f64::max);
        let is_above = |weight: &f64| f64::from(u8::from(weight.is_nan() || *weight > heaviest));
        let above: Vec<f64> = target.iter().map(is_above).collect();
        let (share, error) = blocks::mean_and_error(&above);
        Self {
            share,
            error,
            count: target.len(),
        }
    }

    /// What weights of so many effective samples say for themselves, and what this says against them: that it exceeds, by twice its error, the
    /// standard error of a population of one half.
    pub fn upon(self, verdict: Verdict, effective: f64) -> Verdict {
        let Self { share, error, .. } = self;
        let limit = 0.5 / effective.sqrt();
        if share - 2.0 * error > limit {
            verdict.with(Reason::Unreached {
                share,
                error,
                limit,
            })
        } else {
            verdict
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normal;

    /// `log p/q` at `x` of a standard normal `p` and a normal `q` of this width.
    fn log_ratio(x: f64, width: f64) -> f64 {
        width.ln() - 0.5 * x * x + 0.5 * (x / width).powi(2)
    }

    /// Log-weights of the target's samples and of those of a flow that is broader and so reaches all of it.
    fn broad() -> (Vec<f64>, Weights) {
        let weigh = |x: &[f64]| -> Vec<f64> { x.iter().map(|x| log_ratio(*x, 1.3)).collect() };
        let drawn: Vec<f64> = normal(2000, 2).iter().map(|x| 1.3 * x).collect();
        let samples = Weights::from_log(weigh(&drawn)).unwrap();
        (weigh(&normal(2000, 1)), samples)
    }

    #[test]
    fn nothing_speaks_against_a_flow_that_reaches_all() {
        let (target, samples) = broad();
        let found = Unreached::new(&target, &samples);
        assert!(found.share < 0.01 && found.count == 2000, "{found:?}");
        assert_eq!(
            found.upon(samples.verdict(), samples.effective()),
            Verdict::Trusted
        );
    }

    #[test]
    fn what_no_sample_has_found_is_seen_from_the_target() {
        // A flow that gives a far well a thousandth of its due does not reach it, and its samples do not know: without the target's own all
        // checks pass. A fifth of the target is in that well, whose weights are a thousand times as large.
        let (mut target, samples) = broad();
        for log in target.iter_mut().step_by(5) {
            *log += 1000_f64.ln();
        }
        assert!(samples.verdict().is_trusted());
        let found = Unreached::new(&target, &samples);
        assert!((found.share - 0.2).abs() < 0.02, "{found:?}");
        let Verdict::NotToBeTrusted { reasons } =
            found.upon(samples.verdict(), samples.effective())
        else {
            panic!("{found:?}")
        };
        let [Reason::Unreached { limit, .. }] = reasons[..] else {
            panic!("{reasons:?}")
        };
        assert!((limit - 0.5 / samples.effective().sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_the_flow_carries_out_of_range_is_not_reached() {
        let (mut target, samples) = broad();
        for log in target.iter_mut().step_by(5) {
            *log = f64::NAN;
        }
        let found = Unreached::new(&target, &samples);
        assert!((found.share - 0.2).abs() < 0.02, "{found:?}");
        assert!(
            !found
                .upon(samples.verdict(), samples.effective())
                .is_trusted()
        );
    }
}
