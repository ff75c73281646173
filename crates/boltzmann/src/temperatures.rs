//! The temperatures that a flow is for, and configurations that each have one.

use std::fmt;

use boltzflow_molecule::Conformers;

use crate::checkpoint::digest;

/// How far two temperatures may be apart, as a part of them, and be the same: those of ladders are computed.
const ROUNDING: f64 = 1e-6;

/// From the coldest to the hottest, in K; the same for a flow of one temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperatures {
    /// The lowest, at which the system is.
    pub coldest: f64,
    /// The highest.
    pub hottest: f64,
}

/// A temperature that a flow is not for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TemperatureError {
    /// Outside its range.
    #[error(
        "the flow is for {range}, but {found} K was asked for; choose a temperature of the flow, or train one with another model.internal.hottest"
    )]
    Outside {
        /// What was asked for, in K.
        found: f64,
        /// What there is.
        range: Temperatures,
    },
    /// The flow does not know its temperature.
    #[error(
        "the flow is for the one temperature of its data, so none can be asked for; flows of a range are those of model.internal with hottest above 1"
    )]
    Unknown,
}

impl Temperatures {
    /// Of a flow for a system's temperature and up to `factor` times that.
    pub fn new(coldest: f64, factor: f64) -> Self {
        Self {
            coldest,
            hottest: coldest * factor,
        }
    }

    /// Whether there is more than one.
    pub fn are_many(self) -> bool {
        self.hottest > self.coldest
    }

    /// Whether this is one of them, but for rounding.
    pub fn contain(self, temperature: f64) -> bool {
        temperature >= self.coldest * (1.0 - ROUNDING)
            && temperature <= self.hottest * (1.0 + ROUNDING)
    }

    /// The temperature that this part of the range of `ln T` is below: the coldest for 0, the hottest for 1.
    pub fn at(self, part: f64) -> f64 {
        self.coldest * (self.hottest / self.coldest).powf(part)
    }

    /// What networks see of a temperature: `2 ln (T/T₀) / ln (T₁/T₀) − 1`, from −1 at the coldest `T₀` to 1 at the hottest `T₁`.
    pub fn feature(self, temperature: f64) -> f64 {
        2.0 * (temperature / self.coldest).ln() / (self.hottest / self.coldest).ln() - 1.0
    }
}

impl fmt::Display for Temperatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.are_many() {
            write!(f, "{} to {} K", self.coldest, self.hottest)
        } else {
            write!(f, "{} K", self.coldest)
        }
    }
}

/// Whether two temperatures are the same, but for rounding.
pub fn is_same(a: f64, b: f64) -> bool {
    (a - b).abs() <= ROUNDING * a.abs().max(b.abs())
}

/// Whether all weights are the same.
pub fn is_even(weights: &[f64]) -> bool {
    weights.windows(2).all(|pair| pair[0] == pair[1])
}

/// Configurations to learn from, each with the temperature whose ensemble it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingData {
    /// In the model's data units, any centroid.
    pub conformers: Conformers,
    /// Of each, as the system's temperature is given: in K for molecules, `kT` for toys.
    pub temperatures: Vec<f64>,
    /// Of each, what it counts in the ensemble: not negative, 1 on average.
    pub weights: Vec<f64>,
}

impl TrainingData {
    /// All at one temperature, each counting as much.
    pub fn at(conformers: Conformers, temperature: f64) -> Self {
        let count = conformers.len();
        Self {
            conformers,
            temperatures: vec![temperature; count],
            weights: vec![1.0; count],
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.conformers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.conformers.is_empty()
    }

    /// Those whose temperature is one of these.
    pub fn within(self, temperatures: Temperatures) -> Self {
        let chosen: Vec<usize> = (0..self.len())
            .filter(|&k| temperatures.contain(self.temperatures[k]))
            .collect();
        if chosen.len() == self.len() {
            return self;
        }
        self.select(&chosen)
    }

    /// All for a flow of one temperature, weighted so that hotter ones are this share of what is drawn; nothing where those or the others are missing.
    pub fn mixed(mut self, temperature: f64, share: f64) -> Option<Self> {
        let mut totals = [0.0; 2];
        let part = |t: f64| usize::from(t > temperature && !is_same(t, temperature));
        for (weight, &t) in self.weights.iter().zip(&self.temperatures) {
            totals[part(t)] += weight;
        }
        if totals.contains(&0.0) {
            return None;
        }
        let all = self.len() as f64;
        let factors = [(1.0 - share) * all / totals[0], share * all / totals[1]];
        for (weight, t) in self.weights.iter_mut().zip(&mut self.temperatures) {
            *weight *= factors[part(*t)];
            *t = temperature;
        }
        Some(self)
    }

    /// Some of them.
    pub fn select(&self, which: &[usize]) -> Self {
        let of = |values: &[f64]| which.iter().map(|&k| values[k]).collect();
        Self {
            conformers: self.conformers.select(which),
            temperatures: of(&self.temperatures),
            weights: of(&self.weights),
        }
    }

    /// SHA-256 of the numbers; temperatures count where they are not all this one, weights where they are not equal.
    pub fn digest(&self, temperature: f64) -> String {
        let mut numbers = vec![self.conformers.positions()];
        if !self.temperatures.iter().all(|&t| is_same(t, temperature)) {
            numbers.push(&self.temperatures);
        }
        if !is_even(&self.weights) {
            numbers.push(&self.weights);
        }
        digest(&numbers.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_t_is_seen_evenly_from_minus_one_to_one() {
        let range = Temperatures::new(300.0, 3.0);
        for part in [0.0, 0.25, 0.5, 1.0] {
            let feature = range.feature(range.at(part));
            assert!((feature - (2.0 * part - 1.0)).abs() < 1e-12, "{feature}");
        }
        assert!(range.contain(range.at(0.0)) && range.contain(range.at(1.0)));
        assert!(!range.contain(299.9) && !range.contain(900.1) && !range.contain(f64::NAN));
        assert_eq!(range.to_string(), "300 to 900 K");
        assert_eq!(Temperatures::new(300.0, 1.0).to_string(), "300 K");
    }

    #[test]
    fn hotter_data_are_drawn_as_often_as_their_share_says() {
        let data = TrainingData {
            conformers: Conformers::new(1, 1, vec![1.0, 2.0, 3.0, 4.0]),
            temperatures: vec![300.0, 450.0, 300.0 + 1e-7, 600.0],
            weights: vec![1.5, 0.5, 0.5, 1.5],
        };
        let found = data.clone().mixed(300.0, 0.1).unwrap();
        let expected = [2.7, 0.1, 0.9, 0.3];
        for (found, expected) in found.weights.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found}, {expected}");
        }
        assert_eq!(found.temperatures, [300.0; 4]);
        assert_eq!(found.conformers, data.conformers);
        // None is hotter than the hottest.
        assert!(data.clone().mixed(600.0, 0.1).is_none());
        assert!(data.mixed(200.0, 0.1).is_none());
    }

    #[test]
    fn data_of_another_temperature_are_left_out_or_are_other_data() {
        let conformers = Conformers::new(1, 1, vec![1.0, 2.0, 3.0]);
        let data = TrainingData {
            conformers: conformers.clone(),
            temperatures: vec![300.0, 900.0, 300.0 + 1e-7],
            weights: vec![1.0; 3],
        };
        let one = data.clone().within(Temperatures::new(300.0, 1.0));
        assert_eq!(one.conformers.positions(), [1.0, 3.0]);
        assert_eq!(one.digest(300.0), digest(&[1.0, 3.0]));
        assert_eq!(data.clone().within(Temperatures::new(300.0, 3.0)), data);
        let cold = TrainingData::at(conformers, 300.0);
        assert_ne!(data.digest(300.0), cold.digest(300.0));
        let weighted = |weights: [f64; 3]| TrainingData {
            weights: weights.to_vec(),
            ..cold.clone()
        };
        assert_eq!(weighted([2.0; 3]).digest(300.0), cold.digest(300.0));
        let uneven = weighted([1.0, 2.0, 3.0]);
        assert_ne!(uneven.digest(300.0), cold.digest(300.0));
        assert_eq!(uneven.select(&[2, 1]).weights, [3.0, 2.0]);
    }
}
