//! Replicas that are stepped together, so that the energy can vectorise over them.

use super::{DynamicsError, Guard, Masses, Propagator, ReplicaStatistics};
use crate::random::Stream;
use crate::{EnergyError, Evaluator, Units};

/// Replicas in one group: the lanes of the force field.
pub(super) const GROUP: usize = 8;

/// What all replicas share.
pub(super) struct Shared {
    pub masses: Masses,
    pub units: Units,
    pub propagator: Propagator,
    /// Coordinates of one replica.
    pub size: usize,
}

/// One replica's scalars.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    /// K, or kT.
    pub temperature: f64,
    pub kt: f64,
    /// In units of [`Units::time`].
    pub time_step: f64,
    pub stream: Stream,
    pub counts: ReplicaStatistics,
}

/// Up to [`GROUP`] replicas on one thread.
///
/// # Shapes
/// `x`, `momenta`, `gradient`: replica after replica, `size` numbers each.
pub(super) struct Group<'a> {
    pub evaluator: Box<dyn Evaluator + 'a>,
    pub x: Vec<f64>,
    pub momenta: Vec<f64>,
    pub gradient: Vec<f64>,
    pub energies: Vec<f64>,
    pub replicas: Vec<Replica>,
}

impl Group<'_> {
    /// Evaluates all replicas where they are. A replica without a finite energy gets `None`.
    pub fn evaluate(&mut self, size: usize) -> Result<Vec<Option<f64>>, EnergyError> {
        self.evaluator
            .evaluate_batch(&self.x, &mut self.gradient, size)
            .into_iter()
            .map(|outcome| match outcome {
                Ok(energy) => Ok(Some(energy)),
                Err(EnergyError::NotFinite { .. }) => Ok(None),
                Err(error) => Err(error),
            })
            .collect()
    }

    /// One round, undone for the replicas that `guard` refuses at its end.
    pub fn advance_guarded(
        &mut self,
        shared: &Shared,
        phase: Phase,
        guard: Guard<'_>,
    ) -> Result<(), DynamicsError> {
        let before = (self.x.clone(), self.gradient.clone(), self.energies.clone());
        self.advance(shared, phase)?;
        for (lane, replica) in self.replicas.iter_mut().enumerate() {
            let range = lane * shared.size..(lane + 1) * shared.size;
            if guard(&self.x[range.clone()]) {
                continue;
            }
            replica.counts.refused += 1;
            self.x[range.clone()].copy_from_slice(&before.0[range.clone()]);
            self.gradient[range.clone()].copy_from_slice(&before.1[range.clone()]);
            self.energies[lane] = before.2[lane];
            shared
                .masses
                .draw(replica.kt, &mut replica.stream, &mut self.momenta[range]);
        }
        Ok(())
    }

    /// Carries all replicas through one round.
    pub fn advance(&mut self, shared: &Shared, phase: Phase) -> Result<(), DynamicsError> {
        match shared.propagator {
            Propagator::Langevin {
                friction,
                time_step,
                steps,
            } => {
                let damping = shared.units.damping(friction, time_step);
                (0..steps).try_for_each(|_| self.langevin_step(shared, damping, phase))
            }
            Propagator::Hmc {
                leapfrog,
                trajectories,
                ..
            } => (0..trajectories).try_for_each(|_| self.trajectory(shared, leapfrog, phase)),
        }
    }
}

/// Where in the simulation a step is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    pub round: u64,
    /// Step sizes adapt and nothing is counted.
    pub burn_in: bool,
}
