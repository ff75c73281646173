//! Langevin dynamics.

use super::DynamicsError;
use super::group::{Group, Phase, Shared};

impl Group<'_> {
    /// One step of `dx = p/m dt`, `dp = −∇U dt − γ p dt + √(2 γ m kT) dW`, split as B A O A B:
    /// half a kick, half a drift, the exact Ornstein-Uhlenbeck solution, half a drift, half a kick (Leimkuhler and Matthews, 2013).
    ///
    /// `damping` is `γ h`. For a harmonic well the configurations come out exact at every stable step size.
    pub(super) fn langevin_step(
        &mut self,
        shared: &Shared,
        damping: f64,
        phase: Phase,
    ) -> Result<(), DynamicsError> {
        let size = shared.size;
        let masses = shared.masses.by_coordinate();
        let (keep, renew) = ((-damping).exp(), (-(-2.0 * damping).exp_m1()).sqrt());
        let mut noise = vec![0.0; size];
        for (index, replica) in self.replicas.iter_mut().enumerate() {
            let range = index * size..(index + 1) * size;
            let half = 0.5 * replica.time_step;
            let (x, momenta) = (&mut self.x[range.clone()], &mut self.momenta[range.clone()]);
            let gradient = &self.gradient[range];
            shared
                .masses
                .draw(replica.kt, &mut replica.stream, &mut noise);
            for k in 0..size {
                let kicked = momenta[k] - half * gradient[k];
                let renewed = keep * kicked + renew * noise[k];
                x[k] += half * (kicked + renewed) / masses[k];
                momenta[k] = renewed;
            }
        }
        let energies = self.evaluate(size)?;
        for (index, (replica, energy)) in self.replicas.iter().zip(energies).enumerate() {
            let half = 0.5 * replica.time_step;
            let range = index * size..(index + 1) * size;
            for (momentum, gradient) in self.momenta[range.clone()]
                .iter_mut()
                .zip(&self.gradient[range])
            {
                *momentum -= half * gradient;
            }
            self.energies[index] = energy.ok_or_else(|| DynamicsError::Unstable {
                temperature: replica.temperature,
                round: phase.round,
                time_step: shared.propagator.time_step(),
            })?;
        }
        Ok(())
    }
}
