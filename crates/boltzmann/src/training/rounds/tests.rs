use boltzflow_flow::ode::Steps;
use boltzflow_flow::{Divergence, Edges, Method, Schedule, Solver};
use burn::tensor::Device;

use super::*;
use crate::config::{
    Alike, CartesianConfig, Config, Covariance, FieldConfig, ModelConfig, Objective, Pairing,
    TrainingConfig,
};
use crate::model::Architecture;
use crate::temperatures::TrainingData;
use crate::testing::{assert_same_bits, normal, state, training};
use crate::training::Training;

/// Four points that a spring holds at their centroid, `U = ½ Σ |x|²`, but for a repulsion that is hardly there.
fn springs() -> System {
    System::toy("lj:4,0.000001,1".parse().unwrap(), 1.0).unwrap()
}

/// Normal clouds, wider than the target's by a factor.
fn clouds(count: usize, width: f64) -> TrainingData {
    let positions = normal(12 * count, 5).into_iter().map(|x| width * x);
    let mut conformers = Conformers::new(4, 3, positions.collect());
    conformers.center();
    TrainingData::at(conformers, 1.0)
}

fn told(share: f64) -> Improvement {
    Improvement {
        start: 0,
        every: 50,
        samples: 1000,
        rounds: 2,
        share,
    }
}

fn experiment(improvement: Improvement) -> Config {
    let objective = Objective::FlowMatching {
        pairing: Pairing::Independent,
        improvement: Some(improvement),
    };
    Config {
        model: ModelConfig::Cartesian(CartesianConfig {
            field: FieldConfig::Egnn {
                width: 8,
                layers: 2,
                channels: 1,
                edges: Edges::Initial,
            },
            noise: Covariance::Data,
            schedule: Schedule { rate: 0.0 },
            alike: Alike::Symmetric,
            solver: Solver {
                method: Method::Midpoint,
                steps: Steps::Fixed { count: 3 },
                divergence: Divergence::Exact,
            },
        }),
        training: TrainingConfig {
            steps: 200,
            batch: 64,
            learning_rate: 1e-2,
            warm_up: 5,
            validate_every: 50,
            ..training(objective)
        },
    }
}

/// A flow of the width of these data, which are `width` times too wide.
fn model(config: &Config, system: &System, width: f64) -> Model {
    let data = clouds(400, width);
    let architecture = Architecture::new(config, system, &data.conformers).unwrap();
    Model::new(architecture, 1, &Device::flex()).unwrap()
}

fn mean_square(model: &Model) -> f64 {
    let drawn = model.sample(&Samples::consecutive(3, 0..2000)).unwrap();
    let squares: f64 = drawn.positions.iter().map(|x| x * x).sum();
    // Nine degrees of freedom each.
    squares / (9.0 * 2000.0)
}

fn rounds(system: &System, share: f64) -> Rounds<'_> {
    Rounds {
        system,
        told: told(share),
        seed: 1,
    }
}

#[test]
fn rounds_come_when_they_are_told_to_and_are_counted() {
    let improvement = Improvement {
        start: 10,
        every: 5,
        ..told(0.5)
    };
    let mut begun = 0;
    for step in 0..40 {
        assert_eq!(improvement.begun(step), begun, "{step}");
        begun += u64::from(improvement.is_due(step));
    }
    assert_eq!(begun, 6);
    let config = experiment(improvement).training;
    assert_eq!(crate::training::energy_calls(&config, 11, 0), 1000);
    assert_eq!(crate::training::energy_calls(&config, 40, 0), 6000);
}

#[test]
fn a_flow_that_is_too_wide_improves_by_its_own_samples_alone() {
    let (system, config) = (springs(), experiment(told(1.0)));
    let model = model(&config, &system, 1.25);
    let before = mean_square(&model);
    assert!((before - 1.5625).abs() < 0.15, "{before}");
    let nothing = TrainingData::at(Conformers::empty(4, 3), 1.0);
    let mut training = Training::new(model, &config.training, &nothing, &system).unwrap();
    let steps: Vec<_> = (0..200).map(|_| training.advance()).collect();
    let found: Vec<Round> = steps.iter().filter_map(|step| step.round).collect();
    assert_eq!(found.len(), 4);
    assert!(
        found
            .iter()
            .all(|round| round.trusted && round.learnt && round.cut == 0.0)
    );
    assert!(found.iter().all(|round| round.energies == 1000));
    assert!(found[3].effective > found[0].effective, "{found:?}");
    let after = mean_square(&training.averaged());
    assert!((after - 1.0).abs() < 0.15, "{after}");
    assert_eq!(training.pool.rows().len(), 2 * 1000 * 13);
    assert!(steps.iter().all(|step| step.loss.is_finite()));
}

#[test]
fn samples_are_drawn_as_often_as_they_weigh_and_a_round_counts_by_its_effective_samples() {
    let system = springs();
    let rounds = rounds(&system, 0.5);
    let mut pool = Pool::default();
    assert_eq!(rounds.count(64, false, &pool), 0);
    let one = Conformers::new(4, 3, [1.0, -1.0, 1.0, -1.0].repeat(6)[..24].to_vec());
    let even = Weights::from_log(vec![0.0, 0.0]).unwrap();
    rounds.keep(one.clone(), &even, &mut pool);
    let uneven = Weights::from_log(vec![0.0, f64::NEG_INFINITY]).unwrap();
    let mut lost = one;
    lost.get_mut(1).fill(f64::NAN);
    rounds.keep(lost, &uneven, &mut pool);
    let counts: Vec<f32> = pool.rows().chunks(13).map(|row| row[12]).collect();
    assert_eq!(counts, [1.0, 1.0, 1.0, 0.0]);
    let objective = experiment(told(0.5)).training.objective;
    let parts = [pool.rows().to_vec(), Vec::new()];
    assert_eq!(Pool::of_parts(parts, objective, 12), Some(pool.clone()));
    let mut random = stream(1, Purpose::Training, 0);
    let chosen = rounds.chosen(300, &pool, &mut random);
    assert_eq!(chosen.len(), 300 * 12);
    assert!(chosen.iter().all(|x| x.abs() == 1.0));
    assert_eq!(rounds.count(64, false, &pool), 32);
    assert_eq!(rounds.count(64, true, &pool), 64);
}

#[test]
fn what_is_not_to_be_trusted_is_learnt_from_only_where_there_is_nothing_else() {
    let (system, config) = (springs(), experiment(told(0.5)));
    // Far too narrow: few of its samples have nearly all weight.
    let narrow = model(&config, &system, 0.3);
    for (alone, full) in [(false, false), (true, false), (true, true)] {
        let mut pool = Pool::default();
        if full {
            pool.append(&[1.0; 13], 13, 10);
        }
        let before = pool.clone();
        let rounds = rounds(&system, 0.5);
        let round = rounds
            .before(50, || narrow.clone(), alone, &mut pool)
            .unwrap();
        let learns = alone && !full;
        assert!(!round.trusted, "{round:?}");
        assert_eq!(
            (round.learnt, round.cut > 0.0),
            (learns, learns),
            "{round:?}"
        );
        assert_eq!(pool != before, learns);
    }
    let other = rounds(&system, 0.5).before(51, || narrow.clone(), true, &mut Pool::default());
    assert_eq!(other, None);
}

#[test]
fn no_truncated_weight_is_above_the_root_of_their_number_times_their_mean() {
    let logs: Vec<f64> = normal(400, 2).iter().map(|x| 4.0 * x).collect();
    let weights = Weights::from_log(logs).unwrap();
    let (lowered, cut) = truncated(&weights);
    let mean = weights.log_mean().exp();
    let expected = weights.log_weights().iter();
    let expected: Vec<f64> = expected.map(|log| log.exp().min(20.0 * mean)).collect();
    let sum: f64 = expected.iter().sum();
    for (found, expected) in lowered.normalised().iter().zip(&expected) {
        assert!((found - expected / sum).abs() < 1e-12);
    }
    assert!((cut - (1.0 - sum / (400.0 * mean))).abs() < 1e-12 && cut > 0.0);
    let (same, none) = truncated(&Weights::equal(9).unwrap());
    assert!(none.abs() < 1e-12 && (same.effective() - 9.0).abs() < 1e-9);
}

#[test]
fn the_same_bits_come_from_one_thread_and_two_and_from_a_training_that_was_resumed() {
    let improvement = Improvement {
        every: 2,
        samples: 100,
        ..told(0.5)
    };
    let (system, config) = (springs(), experiment(improvement));
    let (data, model) = (clouds(60, 1.1), model(&config, &system, 1.1));
    let start = || Training::new(model.clone(), &config.training, &data, &system).unwrap();
    assert_same_bits(start, 7, &[3, 4], state);
}
