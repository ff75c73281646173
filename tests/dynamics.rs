//! The reference samplers against the published properties of the toy targets.

use boltzflow_energy::blocks::mean_and_error;
use boltzflow_energy::{
    Energy, Masses, Propagator, ReplicaExchange, Settings, Target, geometric_ladder,
};
use boltzflow_molecule::Conformers;
use libtest_mimic::{Failed, Trial};

use crate::reference::{DW4, LJ13, Moments};
use crate::support::trial;

/// Exact at any time step: the arbiter.
const HMC: Propagator = Propagator::Hmc {
    time_step: 0.15,
    leapfrog: 8,
    trajectories: 2,
};

/// Its error, of order `time_step²`, lies below what can be told here.
const LANGEVIN: Propagator = Propagator::Langevin {
    time_step: 0.02,
    friction: 1.0,
    steps: 16,
};

/// In a cluster the wells are narrower.
const HMC_OF_CLUSTER: Propagator = Propagator::Hmc {
    time_step: 0.03,
    leapfrog: 12,
    trajectories: 2,
};

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    let four = || geometric_ladder(1.0, 4.0, 4);
    let three = || geometric_ladder(1.0, 1.6, 3);
    vec![
        trial(
            "replica_exchange_gives_the_energy_spread_and_virial_of_dw4",
            false,
            move || check("dw4", settings(four(), HMC), 15_000, DW4),
        ),
        trial(
            "replica_exchange_of_langevin_dynamics_gives_the_same_as_monte_carlo",
            false,
            move || check("dw4", settings(four(), LANGEVIN), 30_000, DW4),
        ),
        trial(
            "replica_exchange_gives_the_energy_spread_and_virial_of_lj13",
            false,
            move || check("lj:13,2,1", settings(three(), HMC_OF_CLUSTER), 50_000, LJ13),
        ),
    ]
}

/// Eight ladders of these temperatures.
fn settings(temperatures: Vec<f64>, propagator: Propagator) -> Settings {
    Settings {
        temperatures,
        ladders: 8,
        propagator,
        burn_in: 500,
        stride: 1,
        seed: 2,
    }
}

fn check(name: &str, settings: Settings, rounds: u64, published: Moments) -> Result<(), Failed> {
    let target: Target = name.parse()?;
    let (points, dims) = (target.points(), target.dims());
    let ladders = settings.ladders as f64;
    let burn_in = settings.burn_in;
    let start = Conformers::new(points, dims, target.start());
    let mut simulation =
        ReplicaExchange::new(&target, Masses::unit(points, dims), settings, &start)?;
    let mut evaluator = target.evaluator()?;
    let mut gradient = vec![0.0; points * dims];
    // Averages over the ladders, round by round.
    let mut energies = vec![0.0; rounds as usize];
    let mut squares = energies.clone();
    let mut virials = energies.clone();
    simulation.advance(burn_in + rounds, |frame| {
        if frame.temperature == 0 && evaluator.evaluate(frame.positions, &mut gradient).is_ok() {
            let round = (frame.round - burn_in - 1) as usize;
            energies[round] += frame.energy / ladders;
            squares[round] += (frame.energy - published.energy.0).powi(2) / ladders;
            virials[round] += frame
                .positions
                .iter()
                .zip(&gradient)
                .map(|(x, g)| x * g)
                .sum::<f64>()
                / ladders;
        }
    })?;

    let (energy, energy_error) = mean_and_error(&energies);
    within("⟨U⟩", (energy, energy_error), published.energy)?;
    let (square, square_error) = mean_and_error(&squares);
    let spread = (square - (energy - published.energy.0).powi(2)).sqrt();
    // The published spread comes without an error; for a Gaussian it is that of the mean over √2.
    let published_spread = (published.spread, published.energy.1 / 2.0_f64.sqrt());
    within(
        "the standard deviation of U",
        (spread, 0.5 * square_error / spread),
        published_spread,
    )?;
    within("⟨x·∇U⟩", mean_and_error(&virials), (published.virial, 0.0))?;
    if energy_error > 1.5 * published.energy.1 {
        return Err(format!("⟨U⟩ has the error {energy_error}, too large to compare with").into());
    }
    Ok(())
}

/// Whether two values agree within three standard errors.
fn within(
    what: &str,
    (found, error): (f64, f64),
    (expected, its_error): (f64, f64),
) -> Result<(), Failed> {
    let off = (found - expected).abs() / error.hypot(its_error);
    if off <= 3.0 {
        return Ok(());
    }
    Err(format!("{what} is {found} ± {error} where {expected} ± {its_error} is known: {off:.1} standard errors off").into())
}
