//! Exchanges of configurations between neighbouring temperatures.

use super::super::group::{GROUP, Group, Phase};
use super::super::state::Walker;
use super::{Ladder, ReplicaExchange};

impl ReplicaExchange<'_> {
    /// Attempts to exchange every other pair of neighbours of one ladder.
    pub(super) fn exchange(&mut self, ladder: usize, phase: Phase) {
        let rungs = self.settings.temperatures.len();
        let first = usize::from(!phase.round.is_multiple_of(2));
        for rung in (first..rungs.saturating_sub(1)).step_by(2) {
            let (cold, hot) = (ladder * rungs + rung, ladder * rungs + rung + 1);
            let beta = |index: usize| 1.0 / self.groups[index / GROUP].replicas[index % GROUP].kt;
            let energy = |index: usize| self.groups[index / GROUP].energies[index % GROUP];
            let log_ratio = (beta(cold) - beta(hot)) * (energy(cold) - energy(hot));
            let Ladder { stream, walkers } = &mut self.ladders[ladder];
            let accepted = stream.uniform() < log_ratio.exp();
            if !phase.burn_in {
                self.statistics.pairs[rung].attempts += 1;
                self.statistics.pairs[rung].accepted += u64::from(accepted);
            }
            if accepted {
                walkers.swap(rung, rung + 1);
                self.swap(cold, hot);
            }
        }
        if phase.burn_in || rungs < 2 {
            return;
        }
        let walkers = &mut self.ladders[ladder].walkers;
        if walkers[0] == Walker::Down {
            self.statistics.round_trips += 1;
        }
        walkers[0] = Walker::Up;
        if walkers[rungs - 1] == Walker::Up {
            walkers[rungs - 1] = Walker::Down;
        }
    }

    /// Exchanges two replicas' configurations; momenta are rescaled to the new temperatures.
    fn swap(&mut self, cold: usize, hot: usize) {
        let size = self.shared.size;
        let lane = |index: usize| index % GROUP * size..(index % GROUP + 1) * size;
        let kt = |index: usize| self.groups[index / GROUP].replicas[index % GROUP].kt;
        let scale = (kt(cold) / kt(hot)).sqrt();
        for index in 0..size {
            let (i, j) = (lane(cold).start + index, lane(hot).start + index);
            exchange_entries(
                &mut self.groups,
                |group| &mut group.x,
                (cold, i),
                (hot, j),
                1.0,
            );
            exchange_entries(
                &mut self.groups,
                |group| &mut group.gradient,
                (cold, i),
                (hot, j),
                1.0,
            );
            exchange_entries(
                &mut self.groups,
                |group| &mut group.momenta,
                (cold, i),
                (hot, j),
                scale,
            );
        }
        let (i, j) = (cold % GROUP, hot % GROUP);
        exchange_entries(
            &mut self.groups,
            |group| &mut group.energies,
            (cold, i),
            (hot, j),
            1.0,
        );
    }
}

/// Exchanges one number of two replicas; what goes to the first is multiplied by `scale`, what goes to the second divided.
fn exchange_entries(
    groups: &mut [Group<'_>],
    field: impl for<'g> Fn(&'g mut Group<'_>) -> &'g mut Vec<f64>,
    (first, i): (usize, usize),
    (second, j): (usize, usize),
    scale: f64,
) {
    let a = field(&mut groups[first / GROUP])[i];
    let b = std::mem::replace(&mut field(&mut groups[second / GROUP])[j], a / scale);
    field(&mut groups[first / GROUP])[i] = b * scale;
}
