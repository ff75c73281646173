//! Hamiltonian Monte Carlo.

use super::DynamicsError;
use super::group::{Group, Phase, Shared};

/// What step-size adaptation aims for: above the 0.651 that is best in high dimension (Beskos et al., 2013), where small systems do better.
const ACCEPTANCE: f64 = 0.75;

/// Step sizes vary by this much from one trajectory to the next, so that no mode of motion is met at its period.
const JITTER: f64 = 0.2;

impl Group<'_> {
    /// One trajectory of every replica: fresh momenta, `leapfrog` steps, and Metropolis' decision on the total energy.
    ///
    /// A trajectory that meets an infinite energy is rejected. In the burn-in the step size follows
    /// `log h ← log h + k^(−0.6) (a − 0.75)` for trajectory `k` with acceptance probability `a` (Robbins and Monro, 1951).
    pub(super) fn trajectory(
        &mut self,
        shared: &Shared,
        leapfrog: usize,
        phase: Phase,
    ) -> Result<(), DynamicsError> {
        let size = shared.size;
        let before = (self.x.clone(), self.gradient.clone(), self.energies.clone());
        let mut steps = Vec::with_capacity(self.replicas.len());
        let mut totals = Vec::with_capacity(self.replicas.len());
        for (index, replica) in self.replicas.iter_mut().enumerate() {
            let momenta = &mut self.momenta[index * size..(index + 1) * size];
            shared.masses.draw(replica.kt, &mut replica.stream, momenta);
            totals.push(self.energies[index] + shared.masses.kinetic(momenta));
            steps.push(replica.time_step * (1.0 + JITTER * (2.0 * replica.stream.uniform() - 1.0)));
        }
        let mut lost = vec![false; self.replicas.len()];
        for step in 0..leapfrog {
            if step == 0 {
                self.kick(size, &steps, 0.5);
            }
            self.drift(shared, &steps);
            for (index, energy) in self.evaluate(size)?.into_iter().enumerate() {
                if let Some(energy) = energy {
                    self.energies[index] = energy;
                } else {
                    // It will be rejected: park it where its energy is finite.
                    let range = index * size..(index + 1) * size;
                    lost[index] = true;
                    self.x[range.clone()].copy_from_slice(&before.0[range.clone()]);
                    self.gradient[range.clone()].fill(0.0);
                    self.momenta[range].fill(0.0);
                }
            }
            self.kick(size, &steps, if step + 1 == leapfrog { 0.5 } else { 1.0 });
        }
        for (index, replica) in self.replicas.iter_mut().enumerate() {
            let range = index * size..(index + 1) * size;
            let total = self.energies[index] + shared.masses.kinetic(&self.momenta[range.clone()]);
            let rise = (total - totals[index]) / replica.kt;
            let probability = if lost[index] || !rise.is_finite() {
                0.0
            } else {
                (-rise).exp().min(1.0)
            };
            let accepted = replica.stream.uniform() < probability;
            if !accepted {
                self.x[range.clone()].copy_from_slice(&before.0[range.clone()]);
                self.gradient[range.clone()].copy_from_slice(&before.1[range]);
                self.energies[index] = before.2[index];
            }
            replica.counts.trajectories += 1;
            replica.counts.accepted += u64::from(accepted);
            if phase.burn_in {
                let gain = (replica.counts.trajectories as f64).powf(-0.6);
                replica.time_step *= (gain * (probability - ACCEPTANCE)).exp();
            }
        }
        Ok(())
    }

    /// `p ← p − weight · h ∇U`.
    fn kick(&mut self, size: usize, steps: &[f64], weight: f64) {
        let replicas = self
            .momenta
            .chunks_exact_mut(size)
            .zip(self.gradient.chunks_exact(size));
        for ((momenta, gradient), step) in replicas.zip(steps) {
            for (momentum, gradient) in momenta.iter_mut().zip(gradient) {
                *momentum -= weight * step * gradient;
            }
        }
    }

    /// `x ← x + h p / m`.
    fn drift(&mut self, shared: &Shared, steps: &[f64]) {
        let replicas = self
            .x
            .chunks_exact_mut(shared.size)
            .zip(self.momenta.chunks_exact(shared.size));
        for ((x, momenta), step) in replicas.zip(steps) {
            for ((x, momentum), mass) in
                x.iter_mut().zip(momenta).zip(shared.masses.by_coordinate())
            {
                *x += step * momentum / mass;
            }
        }
    }
}
