//! Temperature replica exchange.

mod saved;
mod swap;

use boltzflow_molecule::Conformers;
use rayon::prelude::*;

use super::group::{GROUP, Group, Phase, Replica, Shared};
use super::state::Walker;
use super::{
    DynamicsError, Masses, PairStatistics, ReplicaStatistics, Settings, Statistics, center,
};
use crate::minimise::{Minimisation, minimise};
use crate::random::Stream;
use crate::{Energy, EnergyError};

/// The exchanges of ladder `l` draw from stream `EXCHANGE + l`; replica `r` draws from stream `r`.
const EXCHANGE: u64 = 1 << 32;

/// Whether a configuration (`points · dims`) belongs to the ensemble, for instance has the right stereochemistry.
pub type Guard<'a> = &'a (dyn Fn(&[f64]) -> bool + Sync);

/// One replica at the end of a round.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Rounds done, burn-in included.
    pub round: u64,
    /// Which copy of the ladder.
    pub ladder: usize,
    /// Which temperature, from the lowest.
    pub temperature: usize,
    /// Potential energy.
    pub energy: f64,
    /// `points · dims`, centroid at the origin.
    pub positions: &'a [f64],
}

/// Replicas at several temperatures that exchange their configurations (Swendsen and Wang, 1986; Sugita and Okamoto, 1999).
///
/// After each round, in which every replica moves on its own, neighbours `i, i+1` (`i` even after even rounds, odd after odd ones)
/// exchange configurations with probability `min(1, exp[(β_i − β_{i+1})(U_i − U_{i+1})])`. Replicas run in parallel in groups of eight;
/// each draws from its own stream, so the result does not depend on the number of threads.
///
/// ```
/// use boltzflow_energy::{Masses, Propagator, ReplicaExchange, Settings, Target};
/// use boltzflow_molecule::Conformers;
///
/// let target: Target = "dw4".parse()?;
/// let settings = Settings {
///     temperatures: vec![1.0, 2.0],
///     ladders: 1,
///     propagator: Propagator::Hmc { time_step: 0.1, leapfrog: 8, trajectories: 2 },
///     burn_in: 50,
///     stride: 1,
///     seed: 1,
/// };
/// let start = Conformers::new(4, 2, target.start());
/// let mut simulation = ReplicaExchange::new(&target, Masses::unit(4, 2), settings, &start)?;
/// let mut samples = Conformers::empty(4, 2);
/// simulation.advance(150, |frame| {
///     if frame.temperature == 0 {
///         samples.push(frame.positions);
///     }
/// })?;
/// assert_eq!(samples.len(), 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ReplicaExchange<'a> {
    shared: Shared,
    settings: Settings,
    guard: Option<Guard<'a>>,
    round: u64,
    dims: usize,
    groups: Vec<Group<'a>>,
    ladders: Vec<Ladder>,
    statistics: Statistics,
}

/// The exchanges of one ladder.
struct Ladder {
    stream: Stream,
    /// Who is at each temperature.
    walkers: Vec<Walker>,
}

impl<'a> ReplicaExchange<'a> {
    /// Starts a simulation: replica `r` from configuration `r mod n` of the `n` in `start`, minimised first, with momenta drawn afresh.
    ///
    /// # Errors
    /// Settings out of range, masses or positions of another size, or an energy that fails at the start.
    pub fn new(
        energy: &'a dyn Energy,
        masses: Masses,
        settings: Settings,
        start: &Conformers,
    ) -> Result<Self, DynamicsError> {
        settings.validate()?;
        fits(energy, start)?;
        let used = start.len().min(settings.replicas());
        let minima = (0..used)
            .into_par_iter()
            .map(|index| {
                let mut x = start.get(index).to_vec();
                minimise(&mut *energy.evaluator()?, &mut x, &Minimisation::default())?;
                Ok(x)
            })
            .collect::<Result<Vec<_>, EnergyError>>()?;
        let minima = Conformers::new(start.points(), start.dims(), minima.concat());
        Self::starting_at(energy, masses, settings, &minima)
    }

    /// The same from the configurations as they are.
    ///
    /// # Errors
    /// As [`ReplicaExchange::new`].
    pub fn starting_at(
        energy: &'a dyn Energy,
        masses: Masses,
        settings: Settings,
        start: &Conformers,
    ) -> Result<Self, DynamicsError> {
        let mut simulation = Self::empty(energy, masses, settings)?;
        let (size, dims) = (simulation.shared.size, simulation.dims);
        fits(energy, start)?;
        let starts: Vec<Vec<f64>> = start
            .iter()
            .map(|x| {
                let mut x = x.to_vec();
                center(&mut x, dims);
                x
            })
            .collect();
        for index in 0..simulation.settings.replicas() {
            let (group, lane) = (&mut simulation.groups[index / GROUP], index % GROUP);
            let range = lane * size..(lane + 1) * size;
            group.x[range.clone()].copy_from_slice(&starts[index % starts.len()]);
            let replica = &mut group.replicas[lane];
            simulation.shared.masses.draw(
                replica.kt,
                &mut replica.stream,
                &mut group.momenta[range],
            );
        }
        for group in &mut simulation.groups {
            for (lane, energy) in group.evaluate(size)?.into_iter().enumerate() {
                group.energies[lane] = energy.ok_or(EnergyError::NotFinite {
                    value: f64::INFINITY,
                })?;
            }
        }
        Ok(simulation)
    }

    /// A simulation whose replicas are at the origin.
    fn empty(
        energy: &'a dyn Energy,
        masses: Masses,
        settings: Settings,
    ) -> Result<Self, DynamicsError> {
        settings.validate()?;
        let (points, dims, units) = (energy.points(), energy.dims(), energy.units());
        if masses.points() != points || masses.by_coordinate().len() != points * dims {
            return Err(DynamicsError::Masses {
                expected: points,
                found: masses.points(),
            });
        }
        let size = points * dims;
        let rungs = settings.temperatures.len();
        let propagator = settings.propagator;
        let replicas: Vec<Replica> = (0..settings.replicas())
            .map(|index| Replica {
                temperature: settings.temperatures[index % rungs],
                kt: units.kt(settings.temperatures[index % rungs]),
                time_step: units.time(propagator.time_step()),
                stream: Stream::new(settings.seed, index as u64),
                counts: ReplicaStatistics::default(),
            })
            .collect();
        let groups = replicas
            .chunks(GROUP)
            .map(|replicas| {
                let coordinates = replicas.len() * size;
                Ok(Group {
                    evaluator: energy.evaluator()?,
                    x: vec![0.0; coordinates],
                    momenta: vec![0.0; coordinates],
                    gradient: vec![0.0; coordinates],
                    energies: vec![0.0; replicas.len()],
                    replicas: replicas.to_vec(),
                })
            })
            .collect::<Result<_, EnergyError>>()?;
        let ladders = (0..settings.ladders as u64)
            .map(|ladder| Ladder {
                stream: Stream::new(settings.seed, EXCHANGE + ladder),
                walkers: vec![Walker::New; rungs],
            })
            .collect();
        let statistics = Statistics {
            pairs: vec![PairStatistics::default(); rungs - 1],
            replicas: Vec::new(),
            round_trips: 0,
        };
        let shared = Shared {
            masses,
            units,
            propagator,
            size,
        };
        Ok(Self {
            shared,
            settings,
            guard: None,
            round: 0,
            dims,
            groups,
            ladders,
            statistics,
        })
    }

    /// Confines the ensemble to the configurations that `guard` accepts: a round that ends outside is undone, counted in
    /// [`ReplicaStatistics::refused`], and the replica gets new momenta.
    ///
    /// With Monte Carlo this samples the Boltzmann distribution on the accepted set exactly. For molecules the guard keeps hot replicas
    /// from handing an inverted stereo centre down the ladder.
    ///
    /// # Errors
    /// If the configurations where the replicas are now are refused.
    pub fn guarded(mut self, guard: Guard<'a>) -> Result<Self, DynamicsError> {
        let size = self.shared.size;
        let refused = self
            .groups
            .iter()
            .flat_map(|group| group.x.chunks_exact(size))
            .position(|x| !guard(x));
        if let Some(index) = refused {
            return Err(DynamicsError::RefusedStart { index });
        }
        self.guard = Some(guard);
        Ok(self)
    }

    /// Rounds done, burn-in included.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Settings of the simulation.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What has been counted since the burn-in.
    pub fn statistics(&self) -> Statistics {
        let rungs = self.settings.temperatures.len();
        let mut replicas = vec![ReplicaStatistics::default(); rungs];
        for (index, replica) in self
            .groups
            .iter()
            .flat_map(|group| &group.replicas)
            .enumerate()
        {
            replicas[index % rungs].add(&replica.counts);
        }
        Statistics {
            replicas,
            ..self.statistics.clone()
        }
    }

    /// Does `rounds` rounds. `record` gets every replica after each `stride`-th round that follows the burn-in, ladder by ladder and from
    /// the lowest temperature.
    ///
    /// # Errors
    /// An energy that fails, or dynamics that become unstable.
    pub fn advance(
        &mut self,
        rounds: u64,
        mut record: impl FnMut(Frame<'_>),
    ) -> Result<(), DynamicsError> {
        for _ in 0..rounds {
            self.advance_one_round()?;
            let measured = self.round.saturating_sub(self.settings.burn_in);
            if measured > 0 && measured.is_multiple_of(self.settings.stride) {
                self.report(&mut record);
            }
        }
        Ok(())
    }

    fn advance_one_round(&mut self) -> Result<(), DynamicsError> {
        let phase = Phase {
            round: self.round,
            burn_in: self.round < self.settings.burn_in,
        };
        if self.round == self.settings.burn_in {
            let replicas = self.groups.iter_mut().flat_map(|group| &mut group.replicas);
            replicas.for_each(|replica| replica.counts = ReplicaStatistics::default());
        }
        let (shared, guard) = (&self.shared, self.guard);
        self.groups
            .par_iter_mut()
            .try_for_each(|group| match guard {
                Some(guard) => group.advance_guarded(shared, phase, guard),
                None => group.advance(shared, phase),
            })?;
        for ladder in 0..self.ladders.len() {
            self.exchange(ladder, phase);
        }
        self.round += 1;
        Ok(())
    }

    /// Shows every replica to `record`.
    fn report(&self, record: &mut impl FnMut(Frame<'_>)) {
        let (size, rungs) = (self.shared.size, self.settings.temperatures.len());
        let mut positions = vec![0.0; size];
        for index in 0..self.settings.replicas() {
            let (group, lane) = (&self.groups[index / GROUP], index % GROUP);
            positions.copy_from_slice(&group.x[lane * size..(lane + 1) * size]);
            center(&mut positions, self.dims);
            record(Frame {
                round: self.round,
                ladder: index / rungs,
                temperature: index % rungs,
                energy: group.energies[lane],
                positions: &positions,
            });
        }
    }
}

/// Refuses configurations that are none of this energy's.
fn fits(energy: &dyn Energy, start: &Conformers) -> Result<(), DynamicsError> {
    let expected = energy.points() * energy.dims();
    if start.is_empty() {
        return Err(DynamicsError::NoStart);
    }
    if start.size() != expected {
        let found = start.size();
        return Err(EnergyError::Size { expected, found }.into());
    }
    Ok(())
}
