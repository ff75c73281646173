//! Exchanges between temperatures.

use super::*;
use crate::Stream;

#[test]
fn exchange_leaves_the_distribution_at_each_temperature_as_it_is() {
    let temperatures = geometric_ladder(0.5, 4.0, 4);
    let settings = settings(&temperatures, HMC);
    let (series, statistics) = observe(&DOUBLE_WELL, &settings, 40_000, squared_distance);
    for (temperature, series) in temperatures.iter().zip(&series) {
        let exact = DOUBLE_WELL.average(*temperature, |r| r * r);
        let (mean, error) = mean_and_error(series);
        assert!(
            (mean - exact).abs() < 4.0 * error,
            "{mean} ± {error} for {exact} at {temperature}"
        );
        assert!(error < 0.01 * exact);
    }
    assert!(
        statistics
            .pairs
            .iter()
            .all(|pair| pair.acceptance() > 0.3 && pair.attempts == 80_000)
    );
    assert!(statistics.round_trips > 1000);
}

#[test]
fn exchange_equilibrates_wells_that_a_cold_replica_does_not_leave() {
    let settings = settings(&geometric_ladder(0.25, 8.0, 6), HMC);
    let (series, _) = observe(&DOUBLE_WELL, &settings, 40_000, |x| {
        f64::from(u8::from(x[1] > x[0]))
    });
    let (mean, error) = mean_and_error(&series[0]);
    assert!(
        (mean - 0.5).abs() < 4.0 * error && error < 0.02,
        "{mean} ± {error}"
    );
}

/// `⟨min(1, exp[(β − β′)(U − U′)])⟩` over independent configurations at two temperatures, by quadrature.
fn expected_acceptance(line: Line, [cold, hot]: [f64; 2]) -> f64 {
    let energies: Vec<f64> = (-600..=600)
        .map(|k| line.0(f64::from(k) * 0.01).0)
        .collect();
    let (mut accepted, mut all) = (0.0, 0.0);
    for u in &energies {
        for v in &energies {
            let weight = (-u / cold - v / hot).exp();
            accepted += weight * ((1.0 / cold - 1.0 / hot) * (u - v)).exp().min(1.0);
            all += weight;
        }
    }
    accepted / all
}

/// Exchanges of a pair of replicas by the bins of their energies: from (cold, hot) to (hot, cold).
fn exchanges(
    line: Line,
    temperatures: [f64; 2],
    edges: &[f64],
    rounds: u64,
) -> (Vec<Vec<f64>>, f64) {
    let settings = Settings {
        ladders: 1,
        ..settings(&temperatures, HMC)
    };
    let start = Conformers::new(2, 1, vec![0.0, 0.5]);
    let burn_in = settings.burn_in;
    let mut simulation = ReplicaExchange::new(&line, Masses::unit(2, 1), settings, &start).unwrap();
    simulation.advance(burn_in, |_| ()).unwrap();
    let bins = edges.len() + 1;
    let mut counts = vec![vec![0.0; bins]; bins];
    let mut accepted = 0;
    for _ in 0..rounds {
        let mut after = [0; 2];
        simulation
            .advance(1, |frame| {
                after[frame.temperature] = edges.partition_point(|edge| *edge < frame.energy);
            })
            .unwrap();
        let now = simulation.statistics().pairs[0].accepted;
        if now > accepted {
            counts[after[1]][after[0]] += 1.0;
        }
        accepted = now;
    }
    (counts, simulation.statistics().pairs[0].acceptance())
}

#[test]
fn exchanges_there_and_back_are_equally_many_as_detailed_balance_wants() {
    let temperatures = [0.5, 2.0];
    let edges = [0.1, 0.3, 0.8];
    let (counts, acceptance) = exchanges(HARMONIC, temperatures, &edges, 200_000);
    for (i, row) in counts.iter().enumerate() {
        for (j, there) in row.iter().enumerate().skip(i + 1) {
            let back = counts[j][i];
            assert!(
                there + back > 1000.0,
                "{there} and {back} between {i} and {j}"
            );
            assert!(
                (there - back).abs() < 4.0 * (there + back).sqrt(),
                "{there} from {i} to {j}, {back} back"
            );
        }
    }
    let expected = expected_acceptance(HARMONIC, temperatures);
    // Half of 200 000 rounds try to exchange.
    let error = (expected * (1.0 - expected) / 100_000.0).sqrt();
    assert!(
        (acceptance - expected).abs() < 5.0 * error,
        "{acceptance} ± {error} accepted, {expected} expected"
    );
}

#[test]
fn a_round_from_exact_samples_leaves_them_exact() {
    // U = 2 r² at kT = 1: r has the variance ¼, and the fourth moment 3/16.
    let count = 4000;
    let mut stream = Stream::new(3, 1);
    let start: Vec<f64> = (0..count)
        .flat_map(|_| {
            let r = 0.5 * stream.normal();
            [-0.5 * r, 0.5 * r]
        })
        .collect();
    let start = Conformers::new(2, 1, start);
    let propagator = Propagator::Hmc {
        time_step: 0.3,
        leapfrog: 3,
        trajectories: 1,
    };
    let settings = Settings {
        ladders: count,
        burn_in: 0,
        ..settings(&[1.0], propagator)
    };
    let mut simulation =
        ReplicaExchange::starting_at(&HARMONIC, Masses::unit(2, 1), settings, &start).unwrap();
    let mut moved = Vec::new();
    let record = |frame: Frame<'_>| moved.push(frame.positions[1] - frame.positions[0]);
    simulation.advance(1, record).unwrap();
    let mean = |power: i32| moved.iter().map(|r| r.powi(power)).sum::<f64>() / count as f64;
    // Five standard errors of each.
    assert!((mean(2) - 0.25).abs() < 5.0 * 0.354 / (count as f64).sqrt());
    assert!((mean(4) - 0.1875).abs() < 5.0 * 0.613 / (count as f64).sqrt());
    let stayed = moved.iter().zip(start.iter());
    let stayed = stayed.filter(|(r, x)| (**r - (x[1] - x[0])).abs() < 1e-12);
    assert!(stayed.count() < count / 2, "most have moved");
}
