//! The samplers against distributions that are known exactly.

mod exchange;
mod molecular;

use boltzflow_molecule::Conformers;

use super::*;
use crate::blocks::mean_and_error;
use crate::{Energy, EnergyError, Evaluator, Mmff, Target, Units, Variant};

/// Two points on a line, `U(r)` and `U'(r)` of their distance.
#[derive(Clone, Copy)]
struct Line(fn(f64) -> (f64, f64));

const HARMONIC: Line = Line(|r| (2.0 * r * r, 4.0 * r));
/// Anharmonic, yet its curvature is bounded: no excursion is unstable.
const RIPPLED: Line = Line(|r| {
    (
        2.0 * r * r + (3.0 * r).cos(),
        4.0 * r - 3.0 * (3.0 * r).sin(),
    )
});
const DOUBLE_WELL: Line = Line(|r| (4.0 * (r * r - 1.0).powi(2), 16.0 * r * (r * r - 1.0)));

impl Energy for Line {
    fn points(&self) -> usize {
        2
    }
    fn dims(&self) -> usize {
        1
    }
    fn units(&self) -> Units {
        Units::Reduced
    }
    fn evaluator(&self) -> Result<Box<dyn Evaluator + '_>, EnergyError> {
        Ok(Box::new(*self))
    }
}

impl Evaluator for Line {
    fn evaluate(&mut self, x: &[f64], gradient: &mut [f64]) -> Result<f64, EnergyError> {
        let (value, slope) = self.0(x[1] - x[0]);
        if !value.is_finite() {
            return Err(EnergyError::NotFinite { value });
        }
        (gradient[0], gradient[1]) = (-slope, slope);
        Ok(value)
    }
}

impl Line {
    /// `⟨f(r)⟩` at temperature `kt`, by quadrature.
    fn average(self, kt: f64, f: fn(f64) -> f64) -> f64 {
        let points = (-60_000..=60_000).map(|k| f64::from(k) * 1e-4);
        let (above, below) = points.fold((0.0, 0.0), |(above, below), r| {
            let weight = (-self.0(r).0 / kt).exp();
            (above + weight * f(r), below + weight)
        });
        above / below
    }
}

fn settings(temperatures: &[f64], propagator: Propagator) -> Settings {
    Settings {
        temperatures: temperatures.to_vec(),
        ladders: 4,
        propagator,
        burn_in: 200,
        stride: 1,
        seed: 11,
    }
}

/// The series of `f` at each temperature, averaged over ladders.
fn observe<E: Energy>(
    energy: &E,
    settings: &Settings,
    rounds: u64,
    f: fn(&[f64]) -> f64,
) -> (Vec<Vec<f64>>, Statistics) {
    let (points, dims) = (energy.points(), energy.dims());
    let start = Conformers::new(
        points,
        dims,
        (0..points * dims).map(|k| 0.9 * k as f64).collect(),
    );
    let masses = Masses::new(&vec![2.0; points], dims);
    let mut simulation = ReplicaExchange::new(energy, masses, settings.clone(), &start).unwrap();
    let mut series = vec![vec![0.0; rounds as usize]; settings.temperatures.len()];
    simulation
        .advance(settings.burn_in + rounds, |frame| {
            let index = (frame.round - settings.burn_in - 1) as usize;
            series[frame.temperature][index] += f(frame.positions) / settings.ladders as f64;
        })
        .unwrap();
    (series, simulation.statistics())
}

fn squared_distance(x: &[f64]) -> f64 {
    (x[1] - x[0]).powi(2)
}

const HMC: Propagator = Propagator::Hmc {
    time_step: 0.2,
    leapfrog: 4,
    trajectories: 2,
};

#[test]
fn monte_carlo_gives_the_moments_of_a_harmonic_well() {
    let settings = settings(&[0.7], HMC);
    for (f, exact) in [
        (squared_distance as fn(&[f64]) -> f64, 0.7 / 4.0),
        (|x| (x[1] - x[0]).powi(4), 3.0 * 0.7 * 0.7 / 16.0),
    ] {
        let (series, statistics) = observe(&HARMONIC, &settings, 20_000, f);
        let (mean, error) = mean_and_error(&series[0]);
        assert!(
            (mean - exact).abs() < 4.0 * error,
            "{mean} ± {error} for {exact}"
        );
        assert!(error < 0.02 * exact);
        let acceptance = statistics.replicas[0].acceptance();
        assert!((0.6..0.99).contains(&acceptance), "{acceptance}");
    }
}

#[test]
fn langevin_dynamics_are_exact_for_a_harmonic_well_at_any_stable_step() {
    // The distance oscillates with ω² = 4/m_reduced = 4; h = 0.8 is 80 % of the limit of stability.
    for time_step in [0.05, 0.8] {
        let propagator = Propagator::Langevin {
            time_step,
            friction: 1.0,
            steps: 10,
        };
        let (series, _) = observe(
            &HARMONIC,
            &settings(&[0.7], propagator),
            50_000,
            squared_distance,
        );
        let (mean, error) = mean_and_error(&series[0]);
        assert!(
            (mean - 0.7 / 4.0).abs() < 4.0 * error,
            "{mean} ± {error} at step {time_step}"
        );
        assert!(error < 0.02 * mean);
    }
}

#[test]
fn halving_the_step_of_langevin_dynamics_divides_their_error_by_four() {
    // At high friction the error of this splitting is of fourth order: the friction is low.
    let exact = RIPPLED.average(1.0, |r| (3.0 * r).cos());
    let off = |time_step: f64| {
        let steps = (2.0 / time_step) as usize;
        let propagator = Propagator::Langevin {
            time_step,
            friction: 1.0,
            steps,
        };
        let mut settings = settings(&[1.0], propagator);
        settings.ladders = 16;
        let (series, _) = observe(&RIPPLED, &settings, 100_000, |x| {
            (3.0 * (x[1] - x[0])).cos()
        });
        let (mean, error) = mean_and_error(&series[0]);
        (mean - exact, error)
    };
    let ((coarse, coarse_error), (fine, fine_error)) = (off(0.32), off(0.16));
    let ratio = coarse / fine;
    let error =
        ratio.abs() * ((coarse_error / coarse).powi(2) + (fine_error / fine).powi(2)).sqrt();
    assert!(error < 0.8, "{ratio} ± {error}");
    assert!(
        (ratio - 4.0).abs() < 0.8 + 3.0 * error,
        "{coarse} / {fine} = {ratio} ± {error}"
    );
}

#[test]
fn a_guarded_simulation_samples_the_accepted_set() {
    let settings = settings(&[1.0, 2.0], HMC);
    let start = Conformers::new(2, 1, vec![0.0, 1.0]);
    let guard = |x: &[f64]| x[1] - x[0] > 0.2;
    let simulation =
        ReplicaExchange::new(&DOUBLE_WELL, Masses::unit(2, 1), settings.clone(), &start).unwrap();
    let mut simulation = simulation.guarded(&guard).unwrap();
    let mut series = Vec::new();
    simulation
        .advance(20_200, |frame| {
            assert!(guard(frame.positions));
            if frame.temperature == 0 && frame.ladder == 0 {
                series.push(frame.positions[1] - frame.positions[0]);
            }
        })
        .unwrap();
    let weight = |r: f64| if r > 0.2 { r } else { 0.0 };
    let inside = |r: f64| f64::from(u8::from(r > 0.2));
    let exact = DOUBLE_WELL.average(1.0, weight) / DOUBLE_WELL.average(1.0, inside);
    let (mean, error) = mean_and_error(&series);
    assert!(
        (mean - exact).abs() < 4.0 * error,
        "{mean} ± {error} for {exact}"
    );
    assert!(
        simulation
            .statistics()
            .replicas
            .iter()
            .all(|replica| replica.refused > 0)
    );

    let start = Conformers::new(2, 1, vec![1.0, 0.0]);
    let simulation =
        ReplicaExchange::new(&DOUBLE_WELL, Masses::unit(2, 1), settings, &start).unwrap();
    assert!(matches!(
        simulation.guarded(&guard),
        Err(DynamicsError::RefusedStart { index: 0 })
    ));
}

#[test]
fn the_virial_of_a_molecule_is_kt_for_each_coordinate_but_translations() {
    let molecule = boltzflow_molecule::Molecule::from_smiles("CCO").unwrap();
    let start = boltzflow_molecule::embed(&molecule, 1, 1).unwrap();
    let energy = Mmff::new(&molecule, start.get(0), Variant::Mmff94s).unwrap();
    let propagator = Propagator::Hmc {
        time_step: 0.7,
        leapfrog: 15,
        trajectories: 1,
    };
    let settings = settings(&[300.0], propagator);
    let mut simulation =
        ReplicaExchange::new(&energy, Masses::of(&molecule), settings, &start).unwrap();
    let (mut evaluator, mut gradient) = (energy.evaluator().unwrap(), vec![0.0; 27]);
    let (burn_in, rounds) = (200, 4000);
    let mut series = vec![0.0; rounds];
    simulation
        .advance(burn_in + rounds as u64, |frame| {
            evaluator.evaluate(frame.positions, &mut gradient).unwrap();
            let virial: f64 = frame
                .positions
                .iter()
                .zip(&gradient)
                .map(|(x, g)| x * g)
                .sum();
            series[(frame.round - burn_in - 1) as usize] += virial / 4.0;
        })
        .unwrap();
    let exact = 24.0 * Units::Molecular.kt(300.0);
    let (mean, error) = mean_and_error(&series);
    assert!(
        (mean - exact).abs() < 4.0 * error,
        "{mean} ± {error} for {exact}"
    );
    assert!(error < 0.1 * exact, "{error} for {exact}");
}

/// All numbers of a run of LJ5 of `rounds`, saved and resumed after each of `stops`.
fn bits(propagator: Propagator, rounds: u64, stops: &[u64]) -> Vec<u64> {
    let target: Target = "lj:5,2,1".parse().unwrap();
    let settings = Settings {
        temperatures: geometric_ladder(1.0, 2.0, 5),
        ladders: 2,
        propagator,
        burn_in: 7,
        stride: 3,
        seed: 5,
    };
    let start = Conformers::new(5, 3, target.start());
    let mut bits = Vec::new();
    let mut simulation =
        ReplicaExchange::new(&target, Masses::unit(5, 3), settings.clone(), &start).unwrap();
    let mut record = |frame: Frame<'_>| {
        bits.extend(frame.positions.iter().map(|x| x.to_bits()));
        bits.push(frame.energy.to_bits());
    };
    for &stop in stops {
        simulation
            .advance(stop - simulation.round(), &mut record)
            .unwrap();
        let saved = serde_json::to_string(&simulation.state()).unwrap();
        let state: State = serde_json::from_str(&saved).unwrap();
        simulation =
            ReplicaExchange::resume(&target, Masses::unit(5, 3), settings.clone(), &state).unwrap();
    }
    simulation
        .advance(rounds - simulation.round(), &mut record)
        .unwrap();
    let state = simulation.state();
    bits.extend(
        state
            .replicas
            .iter()
            .flat_map(|replica| &replica.momenta)
            .map(|p| p.to_bits()),
    );
    bits.push(state.statistics.round_trips);
    bits
}

const LANGEVIN: Propagator = Propagator::Langevin {
    time_step: 0.01,
    friction: 1.0,
    steps: 5,
};

#[test]
fn a_resumed_simulation_continues_bit_for_bit() {
    for propagator in [HMC, LANGEVIN] {
        let whole = bits(propagator, 60, &[]);
        assert_eq!(whole, bits(propagator, 60, &[3, 4, 8, 31]));
        assert_eq!(whole.len(), 17 * 10 * 16 + 150 + 1);
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| bits(LANGEVIN, 40, &[]))
    };
    assert_eq!(on(1), on(2));
}

#[test]
fn a_state_of_other_settings_is_refused() {
    let settings = settings(&[1.0], HMC);
    let start = Conformers::new(2, 1, vec![0.0, 1.0]);
    let simulation =
        ReplicaExchange::new(&HARMONIC, Masses::unit(2, 1), settings.clone(), &start).unwrap();
    let state = simulation.state();
    let other = Settings {
        seed: 1,
        ..settings
    };
    let found = ReplicaExchange::resume(&HARMONIC, Masses::unit(2, 1), other, &state);
    assert!(matches!(
        found,
        Err(DynamicsError::ForeignState { what: "settings" })
    ));
}

#[test]
fn a_time_step_that_is_too_long_is_named() {
    let propagator = Propagator::Langevin {
        time_step: 5.0,
        friction: 1e-3,
        steps: 1000,
    };
    let start = Conformers::new(2, 1, vec![0.0, 1.0]);
    let settings = settings(&[1.0], propagator);
    let mut simulation =
        ReplicaExchange::new(&DOUBLE_WELL, Masses::unit(2, 1), settings, &start).unwrap();
    let error = simulation.advance(1, |_| ()).unwrap_err().to_string();
    assert!(error.contains("shorten the time step of 5"), "{error}");
}
