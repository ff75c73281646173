//! Replica exchange taken apart into a [`State`] and put together again.

use super::super::group::GROUP;
use super::super::state::{LadderState, ReplicaState, State};
use super::super::{DynamicsError, Masses, Settings};
use super::{Ladder, ReplicaExchange};
use crate::Energy;
use crate::random::Stream;

impl<'a> ReplicaExchange<'a> {
    /// Goes on where [`Self::state`] was taken, bit for bit.
    ///
    /// # Errors
    /// A state of other settings or of another size.
    pub fn resume(
        energy: &'a dyn Energy,
        masses: Masses,
        settings: Settings,
        state: &State,
    ) -> Result<Self, DynamicsError> {
        let mut simulation = Self::empty(energy, masses, settings)?;
        let foreign = |what| Err(DynamicsError::ForeignState { what });
        if state.settings != simulation.settings {
            return foreign("settings");
        }
        let size = simulation.shared.size;
        let fits = |replica: &ReplicaState| {
            [&replica.x, &replica.momenta, &replica.gradient]
                .iter()
                .all(|values| values.len() == size)
                && replica.scalars.len() == 2
        };
        if !state.replicas.iter().all(fits) {
            return foreign("coordinates");
        }
        let (rungs, ladders) = (
            simulation.settings.temperatures.len(),
            simulation.settings.ladders,
        );
        if state.replicas.len() != rungs * ladders
            || state.ladders.len() != ladders
            || state
                .ladders
                .iter()
                .any(|ladder| ladder.walkers.len() != rungs)
            || state.statistics.pairs.len() + 1 != rungs
        {
            return foreign("replicas");
        }
        for (index, saved) in state.replicas.iter().enumerate() {
            let (group, lane) = (&mut simulation.groups[index / GROUP], index % GROUP);
            let range = lane * size..(lane + 1) * size;
            group.x[range.clone()].copy_from_slice(&saved.x);
            group.momenta[range.clone()].copy_from_slice(&saved.momenta);
            group.gradient[range].copy_from_slice(&saved.gradient);
            group.energies[lane] = saved.scalars[0];
            let replica = &mut group.replicas[lane];
            replica.time_step = saved.scalars[1];
            replica.stream = Stream::resume(saved.stream);
            replica.counts = saved.counts;
        }
        simulation.ladders = state
            .ladders
            .iter()
            .map(|ladder| Ladder {
                stream: Stream::resume(ladder.stream),
                walkers: ladder.walkers.clone(),
            })
            .collect();
        simulation.round = state.round;
        simulation.statistics = state.statistics.clone();
        Ok(simulation)
    }

    /// Everything an exact continuation needs.
    pub fn state(&self) -> State {
        let size = self.shared.size;
        let replicas = self.groups.iter().flat_map(|group| {
            group
                .replicas
                .iter()
                .enumerate()
                .map(move |(lane, replica)| {
                    let range = lane * size..(lane + 1) * size;
                    ReplicaState {
                        x: group.x[range.clone()].to_vec(),
                        momenta: group.momenta[range.clone()].to_vec(),
                        gradient: group.gradient[range].to_vec(),
                        scalars: vec![group.energies[lane], replica.time_step],
                        stream: replica.stream.state(),
                        counts: replica.counts,
                    }
                })
        });
        let ladders = self.ladders.iter().map(|ladder| LadderState {
            stream: ladder.stream.state(),
            walkers: ladder.walkers.clone(),
        });
        State {
            settings: self.settings.clone(),
            round: self.round,
            replicas: replicas.collect(),
            ladders: ladders.collect(),
            statistics: self.statistics.clone(),
        }
    }
}
