//! Molecular units: kcal/mol, Å, u, fs, 1/ps, K.

use approx::assert_relative_eq;

use super::*;

/// The unit of time that kcal/mol, Å and u make, in fs (CHARMM's documentation of its AKMA units has 4.888821e-14 s).
const AKMA: f64 = 48.88821;
/// Where kT is 1 kcal/mol, in K.
const HOT: f64 = 1.0 / 1.987204e-3;

/// A potential on a line in kcal/mol and Å.
#[derive(Clone, Copy)]
struct InKilocalories(Line);

impl Energy for InKilocalories {
    fn points(&self) -> usize {
        2
    }
    fn dims(&self) -> usize {
        1
    }
    fn units(&self) -> Units {
        Units::Molecular
    }
    fn evaluator(&self) -> Result<Box<dyn Evaluator + '_>, EnergyError> {
        self.0.evaluator()
    }
}

/// Time steps of AKMA's unit, friction of one over it.
fn langevin(time_step: f64, steps: usize, unit: f64) -> Propagator {
    Propagator::Langevin {
        time_step: time_step * unit,
        friction: 1.0 / unit,
        steps,
    }
}

#[test]
fn dynamics_in_molecular_units_are_those_in_reduced_units() {
    let reduced = settings(&[1.0], langevin(0.05, 3, 1.0));
    let mut molecular = settings(&[HOT], langevin(0.05, 3, AKMA));
    if let Propagator::Langevin { friction, .. } = &mut molecular.propagator {
        // 1/fs to 1/ps.
        *friction *= 1000.0;
    }
    let distance = |x: &[f64]| x[1] - x[0];
    let (expected, _) = observe(&RIPPLED, &reduced, 20, distance);
    let (found, _) = observe(&InKilocalories(RIPPLED), &molecular, 20, distance);
    for (found, expected) in found[0].iter().zip(&expected[0]) {
        assert_relative_eq!(*found, *expected, epsilon = 1e-3);
    }
}

#[test]
fn a_bond_in_molecular_units_has_its_energy_and_halving_the_step_quarters_what_its_kinetic_temperature_lacks()
 {
    // k = 4 kcal/mol/Å² and a reduced mass of 1 u: ω = 2 / 48.888 fs. Of this splitting (Leimkuhler and Matthews, 2013)
    // ⟨U⟩ = kT/2 exactly, and ⟨p²/2m⟩ = (1 − ω²h²/4) kT/2 after a step.
    let energy = InKilocalories(HARMONIC);
    let masses = Masses::new(&[2.0; 2], 1);
    let start = Conformers::new(2, 1, vec![0.0, 0.5]);
    let kt = Units::Molecular.kt(300.0);
    let mut lacks = Vec::new();
    for step in [30.0, 15.0] {
        let propagator = Propagator::Langevin {
            time_step: step,
            friction: 20.0,
            steps: (90.0 / step) as usize,
        };
        let settings = settings(&[300.0], propagator);
        let rounds = 30_000;
        let mut potential = vec![0.0; rounds];
        let mut kinetic = vec![0.0; rounds];
        let mut simulation =
            ReplicaExchange::new(&energy, masses.clone(), settings.clone(), &start).unwrap();
        simulation.advance(settings.burn_in, |_| ()).unwrap();
        for round in 0..rounds {
            simulation
                .advance(1, |frame| potential[round] += frame.energy / 4.0)
                .unwrap();
            let replicas = simulation.state().replicas;
            let energies = replicas
                .iter()
                .map(|replica| masses.kinetic(&replica.momenta));
            kinetic[round] = energies.sum::<f64>() / 4.0;
        }
        let (mean, error) = mean_and_error(&potential);
        assert!(
            (mean - 0.5 * kt).abs() < 4.0 * error && error < 0.01 * kt,
            "⟨U⟩ is {mean} ± {error} at {step} fs"
        );
        let (mean, error) = mean_and_error(&kinetic);
        let lack = (step / AKMA).powi(2);
        assert!(
            (mean - 0.5 * kt * (1.0 - lack)).abs() < 4.0 * error && error < 0.01 * kt,
            "⟨p²/2m⟩ is {mean} ± {error} at {step} fs"
        );
        lacks.push((1.0 - mean / (0.5 * kt), error / (0.5 * kt)));
    }
    let [(coarse, coarse_error), (fine, fine_error)] = lacks[..] else {
        unreachable!("two steps were taken");
    };
    let ratio = coarse / fine;
    let error = ratio * (coarse_error / coarse).hypot(fine_error / fine);
    assert!(
        (ratio - 4.0).abs() < 4.0 * error && error < 0.5,
        "{coarse} / {fine} = {ratio} ± {error}"
    );
}
