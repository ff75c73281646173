//! What a simulation is told.

use serde::{Deserialize, Serialize};

use super::DynamicsError;
use crate::Units;

/// How a replica moves between exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Propagator {
    /// Langevin dynamics, splitting BAOAB (Leimkuhler and Matthews, 2013). Its distribution is off by `O(time_step²)`.
    Langevin {
        /// fs for molecules, reduced time for toys.
        time_step: f64,
        /// 1/ps for molecules, 1/reduced time for toys.
        friction: f64,
        /// Steps in each round.
        steps: usize,
    },
    /// Hamiltonian Monte Carlo (Duane et al., 1987). Its distribution is exact.
    Hmc {
        /// fs for molecules, reduced time for toys. It is where adaptation starts: in the burn-in each replica approaches an acceptance
        /// of 0.75, afterwards its step is fixed.
        time_step: f64,
        /// Leapfrog steps in each trajectory; their length varies by ±20 % between trajectories.
        leapfrog: usize,
        /// Trajectories in each round.
        trajectories: usize,
    },
}

/// A replica-exchange simulation; with one temperature, a plain simulation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Increasing; K for molecules, kT for toys. Replicas hot enough to cross to another stereoisomer need a guard
    /// ([`super::ReplicaExchange::guarded`]); below about 600 K force fields keep tetrahedral centres, but double bonds may turn.
    pub temperatures: Vec<f64>,
    /// Independent copies of the whole ladder, run side by side.
    pub ladders: usize,
    /// How replicas move between exchanges.
    pub propagator: Propagator,
    /// Rounds before anything is recorded or counted.
    pub burn_in: u64,
    /// A frame of each replica is recorded after every `stride` rounds.
    pub stride: u64,
    /// Seed of all streams.
    pub seed: u64,
}

impl Settings {
    /// The most replicas that a simulation may have: temperatures times ladders.
    pub const MOST_REPLICAS: usize = 100_000;
    /// The most rounds of the burn-in.
    const LONGEST_BURN_IN: u64 = 1_000_000_000_000_000;
    /// The most rounds between frames, steps and trajectories in a round.
    const MOST: usize = 1_000_000_000;

    /// Checks every range.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<(), DynamicsError> {
        let positive = |name, found: f64| {
            let error = DynamicsError::Setting {
                name,
                range: "above 0 and finite",
                found,
            };
            if found > 0.0 && found.is_finite() {
                Ok(())
            } else {
                Err(error)
            }
        };
        let counted = |name, found: usize| {
            if (1..=Self::MOST).contains(&found) {
                Ok(())
            } else {
                Err(DynamicsError::Setting {
                    name,
                    range: "from 1 to 1e9",
                    found: found as f64,
                })
            }
        };
        counted("number of temperatures", self.temperatures.len())?;
        counted("number of ladders", self.ladders)?;
        let replicas = self.temperatures.len().saturating_mul(self.ladders);
        if replicas > Self::MOST_REPLICAS {
            return Err(DynamicsError::Setting {
                name: "number of replicas (temperatures times ladders)",
                range: "at most 100000",
                found: replicas as f64,
            });
        }
        counted(
            "recording stride",
            usize::try_from(self.stride).unwrap_or(usize::MAX),
        )?;
        if self.burn_in > Self::LONGEST_BURN_IN {
            return Err(DynamicsError::Setting {
                name: "number of rounds of the burn-in",
                range: "at most 1e15",
                found: self.burn_in as f64,
            });
        }
        for &temperature in &self.temperatures {
            positive("temperature", temperature)?;
        }
        if let Some(pair) = self.temperatures.windows(2).find(|pair| pair[0] >= pair[1]) {
            let range = "above the one before it";
            return Err(DynamicsError::Setting {
                name: "temperature",
                range,
                found: pair[1],
            });
        }
        match self.propagator {
            Propagator::Langevin {
                time_step,
                friction,
                steps,
            } => {
                positive("time step", time_step)?;
                positive("friction", friction)?;
                counted("number of steps in a round", steps)
            }
            Propagator::Hmc {
                time_step,
                leapfrog,
                trajectories,
            } => {
                positive("time step", time_step)?;
                counted("number of leapfrog steps", leapfrog)?;
                counted("number of trajectories in a round", trajectories)
            }
        }
    }

    /// Rounds until each temperature has given `frames` frames, burn-in included.
    ///
    /// # Errors
    /// More rounds than can be counted.
    pub fn rounds(&self, frames: u64) -> Result<u64, DynamicsError> {
        let recorded = frames.div_ceil((self.ladders as u64).max(1));
        let rounds = recorded
            .checked_mul(self.stride)
            .and_then(|rounds| rounds.checked_add(self.burn_in));
        rounds.ok_or(DynamicsError::Setting {
            name: "number of rounds (frames of a ladder times recording stride)",
            range: "below 1.8e19",
            found: recorded as f64 * self.stride as f64 + self.burn_in as f64,
        })
    }

    /// Energy and gradient evaluations of each replica in one round.
    pub fn evaluations_per_round(&self) -> usize {
        match self.propagator {
            Propagator::Langevin { steps, .. } => steps,
            Propagator::Hmc {
                leapfrog,
                trajectories,
                ..
            } => leapfrog * trajectories,
        }
    }

    /// All replicas: temperatures times ladders.
    pub fn replicas(&self) -> usize {
        self.temperatures.len() * self.ladders
    }
}

impl Propagator {
    /// The time step as it was set.
    pub(super) fn time_step(&self) -> f64 {
        match *self {
            Self::Langevin { time_step, .. } | Self::Hmc { time_step, .. } => time_step,
        }
    }
}

impl Units {
    /// Gas constant in kcal/mol/K: 8.31446261815324 J/mol/K (exact since 2019) over 4184 J/kcal.
    pub const GAS_CONSTANT: f64 = 8.31446261815324 / 4184.0;

    /// `kT` at a temperature: kcal/mol from K for molecules; toys are given `kT` itself.
    pub fn kt(self, temperature: f64) -> f64 {
        match self {
            Self::Molecular => Self::GAS_CONSTANT * temperature,
            Self::Reduced => temperature,
        }
    }

    /// A time step in units of `√(mass · length² / energy)`; for molecules that is `Å √(u mol/kcal)`, 48.888 fs.
    pub(super) fn time(self, time_step: f64) -> f64 {
        match self {
            // 1 kcal/mol = 4.184e-4 u Å²/fs².
            Self::Molecular => time_step * 4.184e-4_f64.sqrt(),
            Self::Reduced => time_step,
        }
    }

    /// Friction times time step, a pure number.
    pub(super) fn damping(self, friction: f64, time_step: f64) -> f64 {
        match self {
            Self::Molecular => friction * time_step * 1e-3,
            Self::Reduced => friction * time_step,
        }
    }
}

/// `count` temperatures from `lowest` to `highest` in constant ratio, which exchanges evenly where the heat capacity is constant.
///
/// Of more than [`Settings::MOST_REPLICAS`] it gives so many and one, which [`Settings::validate`] refuses.
pub fn geometric_ladder(lowest: f64, highest: f64, count: usize) -> Vec<f64> {
    let count = count.min(Settings::MOST_REPLICAS + 1);
    let last = count.saturating_sub(1).max(1) as f64;
    (0..count)
        .map(|rung| lowest * (highest / lowest).powf(rung as f64 / last))
        .collect()
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn a_ladder_starts_and_ends_where_it_was_told() {
        let ladder = geometric_ladder(300.0, 600.0, 5);
        assert_relative_eq!(ladder[0], 300.0);
        assert_relative_eq!(ladder[4], 600.0, max_relative = 1e-14);
        assert_relative_eq!(
            ladder[2] / ladder[1],
            ladder[4] / ladder[3],
            max_relative = 1e-14
        );
        assert_eq!(geometric_ladder(300.0, 600.0, 1), [300.0]);
    }

    #[test]
    fn room_temperature_is_six_tenths_of_a_kilocalorie() {
        assert_relative_eq!(Units::Molecular.kt(300.0), 0.596161, epsilon = 1e-6);
    }

    #[test]
    fn a_femtosecond_gives_a_carbon_hydrogen_stretch_its_wavenumber() {
        // 5 mdyn/Å is 5 × 143.9325 kcal/mol/Å²; ν = 1302.79 √(k/μ) cm⁻¹ with k in mdyn/Å and μ in u (Wilson, Decius and Cross, 1955).
        let reduced_mass: f64 = 12.0 * 1.008 / 13.008;
        let period = std::f64::consts::TAU / (5.0 * 143.9325 / reduced_mass).sqrt();
        let femtoseconds = period / Units::Molecular.time(1.0);
        let wavenumber = 1.0 / (2.99792458e-5 * femtoseconds);
        assert_relative_eq!(
            wavenumber,
            1302.79 * (5.0 / reduced_mass).sqrt(),
            max_relative = 1e-4
        );
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let good = Settings {
            temperatures: vec![1.0, 2.0],
            ladders: 1,
            propagator: Propagator::Langevin {
                time_step: 0.01,
                friction: 1.0,
                steps: 10,
            },
            burn_in: 0,
            stride: 1,
            seed: 0,
        };
        good.validate().unwrap();
        let message = |change: fn(&mut Settings)| {
            let mut settings = good.clone();
            change(&mut settings);
            settings.validate().unwrap_err().to_string()
        };
        assert!(message(|s| s.temperatures.clear()).contains("number of temperatures"));
        assert!(message(|s| s.temperatures[0] = 0.0).contains("temperature"));
        assert!(message(|s| s.temperatures[1] = f64::NAN).contains("temperature"));
        assert!(message(|s| s.temperatures[1] = 1.0).contains("above the one before it"));
        assert!(message(|s| s.ladders = 0).contains("ladders"));
        assert!(message(|s| s.ladders = 1_000_000_000_000).contains("ladders"));
        assert!(message(|s| s.ladders = 50_001).contains("replicas"));
        assert!(
            message(|s| s.temperatures = geometric_ladder(1.0, 2.0, 1_000_000_000_000))
                .contains("replicas")
        );
        assert!(message(|s| s.stride = 0).contains("stride"));
        assert!(message(|s| s.stride = u64::MAX).contains("stride"));
        assert!(message(|s| s.burn_in = u64::MAX).contains("burn-in"));
        assert!(
            message(|s| s.propagator = Propagator::Hmc {
                time_step: 0.1,
                leapfrog: 0,
                trajectories: 1
            })
            .contains("leapfrog")
        );
    }

    #[test]
    fn rounds_are_counted_or_refused_but_never_wrap() {
        let settings = Settings {
            temperatures: vec![1.0],
            ladders: 3,
            propagator: Propagator::Langevin {
                time_step: 0.01,
                friction: 1.0,
                steps: 10,
            },
            burn_in: 7,
            stride: 1_000_000_000,
            seed: 0,
        };
        assert_eq!(settings.rounds(7), Ok(3_000_000_007));
        let message = settings.rounds(u64::MAX).unwrap_err().to_string();
        assert!(message.contains("number of rounds"), "{message}");
    }
}
