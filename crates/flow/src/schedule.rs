//! How fast noise turns into data.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The part `α` of data in `x_t = (1 − α(t)) x₀ + α(t) x₁`, and with it what a step of the solver's time is worth:
/// `α(t) = (1 − e^{−rt})/(1 − e^{−r})`, linear for `r = 0`.
///
/// Bonds are stiff: their last hundredths of an ångström are settled while `1 − α` is as small. A positive rate slows down there, so that
/// equal steps resolve it and training sees as much of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schedule {
    /// `r`, at least 0: at the end noise fades `e^{−r}` times as fast as at the start.
    pub rate: f64,
}

impl Schedule {
    /// `1 − e^{−r}` over `r`, which is 1 for `r = 0`.
    fn mean_decay(self) -> f64 {
        if self.rate == 0.0 {
            1.0
        } else {
            -(-self.rate).exp_m1() / self.rate
        }
    }

    /// `α(t)`.
    pub fn fraction(self, t: f64) -> f64 {
        if self.rate == 0.0 {
            t
        } else {
            (-self.rate * t).exp_m1() / (-self.rate).exp_m1()
        }
    }

    /// `dα/dt`.
    pub fn speed(self, t: f64) -> f64 {
        (-self.rate * t).exp() / self.mean_decay()
    }

    /// [`Self::fraction`] of many times.
    pub fn fractions<const D: usize>(self, t: Tensor<D>) -> Tensor<D> {
        if self.rate == 0.0 {
            t
        } else {
            ((t * -self.rate).exp() - 1.0) / (-self.rate).exp_m1()
        }
    }

    /// [`Self::speed`] of many times.
    pub fn speeds<const D: usize>(self, t: Tensor<D>) -> Tensor<D> {
        (t * -self.rate).exp() / self.mean_decay()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bijection::host;
    use approx::assert_relative_eq;
    use burn::tensor::{DType, Device};

    #[test]
    fn all_of_the_data_has_come_in_at_the_end() {
        for rate in [0.0, 1e-3, 3.0] {
            let schedule = Schedule { rate };
            assert_eq!(schedule.fraction(0.0), 0.0);
            assert_relative_eq!(schedule.fraction(1.0), 1.0, epsilon = 1e-15);
        }
    }

    #[test]
    fn its_speed_is_the_slope_of_its_fraction() {
        for rate in [0.0, 0.5, 3.0] {
            let schedule = Schedule { rate };
            for t in [0.1, 0.5, 0.9] {
                let h = 1e-5;
                let slope = (schedule.fraction(t + h) - schedule.fraction(t - h)) / (2.0 * h);
                assert_relative_eq!(slope, schedule.speed(t), max_relative = 1e-9);
            }
        }
    }

    #[test]
    fn tensors_and_numbers_agree() {
        let times = [0.0, 0.3, 1.0];
        let t = Tensor::<1>::from_data(times, (&Device::flex(), DType::F64));
        for rate in [0.0, 2.0] {
            let schedule = Schedule { rate };
            let (fractions, speeds) = (
                host(schedule.fractions(t.clone())),
                host(schedule.speeds(t.clone())),
            );
            for ((t, fraction), speed) in times.into_iter().zip(fractions).zip(speeds) {
                assert_relative_eq!(fraction, schedule.fraction(t), epsilon = 1e-14);
                assert_relative_eq!(speed, schedule.speed(t), epsilon = 1e-14);
            }
        }
    }
}
