use boltzflow_energy::Variant;
use boltzflow_flow::{Elementwise, Reference, Size};
use boltzflow_molecule::{Conformers, Molecule, embed};
use burn::tensor::Device;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::checkpoint::{Checkpoint, Description, FORMAT};
use crate::config::{
    Alike, AugmentedConfig, Between, Config, InternalConfig, ModelConfig, Network, Objective,
    Rotors, Scheme, Stiffness, TrainingConfig,
};
use crate::model::Architecture;
use crate::system::System;
use crate::temperatures::TrainingData;
use crate::testing::{assert_same_bits, training};
use crate::training::energy::{Cooling, Limits, Own};
use crate::training::{Training, energy_calls};

/// `q = N(m, e^{2r})`, and `p = exp(−½ (x − 1)²/s²)`.
struct Normal {
    mean: f64,
    log_width: f64,
}

const S: f64 = 0.8;

impl Normal {
    /// `ln ∫ p²/q`.
    fn divergence(&self) -> f64 {
        let step = 5e-4;
        let at = (0..40_000).map(|k| -9.0 + step * f64::from(k));
        let logs = at.map(|x| 2.0 * Self::log_p(x).0 - self.log_q(x).0);
        (step * logs.map(f64::exp).sum::<f64>()).ln()
    }

    fn log_q(&self, x: f64) -> (f64, f64) {
        let z = (x - self.mean) / self.log_width.exp();
        let log = -0.5 * z * z - self.log_width - 0.5 * std::f64::consts::TAU.ln();
        (log, -z / self.log_width.exp())
    }

    fn log_p(x: f64) -> (f64, f64) {
        let z = (x - 1.0) / S;
        (-0.5 * z * z, -z / S)
    }
}

fn densities(found: impl Iterator<Item = (f64, f64)>) -> Densities {
    let (logs, slopes) = found.unzip();
    Densities { logs, slopes }
}

impl Member for Normal {
    fn space(&self) -> Space {
        Space::Product {
            lines: 1,
            intervals: 0,
            circles: 0,
        }
    }

    fn widths(&self) -> Vec<f64> {
        vec![1.0]
    }

    fn draw(&self, samples: &Samples) -> Vec<f64> {
        let draw = |&number: &u64| {
            let mut random = stream(samples.seed, Purpose::Latents, number);
            let z: f64 = StandardNormal.sample(&mut random);
            self.mean + self.log_width.exp() * z
        };
        samples.numbers.iter().map(draw).collect()
    }

    fn flow(&self, points: &[f64]) -> Densities {
        densities(points.iter().map(|x| self.log_q(*x)))
    }

    fn target(&self, points: &[f64]) -> Densities {
        densities(points.iter().map(|x| Self::log_p(*x)))
    }
}

impl Student for Normal {
    fn likelihood(
        &self,
        points: &[f64],
        factors: impl FnOnce(&[f64]) -> Vec<f64>,
    ) -> (f64, Vec<f32>, Vec<f64>) {
        let log_q: Vec<f64> = points.iter().map(|x| self.log_q(*x).0).collect();
        let factors = factors(&log_q);
        let (mut loss, mut gradient) = (0.0, [0.0; 2]);
        for ((x, factor), log_q) in points.iter().zip(factors).zip(&log_q) {
            let z = (x - self.mean) / self.log_width.exp();
            loss -= factor * log_q;
            gradient[0] -= factor * z / self.log_width.exp();
            gradient[1] -= factor * (z * z - 1.0);
        }
        (loss, gradient.map(|g| g as f32).to_vec(), log_q)
    }
}

const TOLD: FabConfig = FabConfig {
    between: 3,
    leapfrog: 3,
    least: 16_384,
    most: 20_000,
    updates: 2,
    correction: 10.0,
    threshold: 100.0,
};

fn fab(told: FabConfig, system: &System) -> Fab<'_> {
    let own = Own {
        fresh: 0.0,
        pool: 0.0,
    };
    let limits = Limits {
        threshold: 100.0,
        steepest: f64::MAX,
    };
    let cooling = Cooling {
        hottest: 1.0,
        steps: 0,
    };
    Fab {
        told,
        boltzmann: Boltzmann::new(system, own, limits, cooling).unwrap(),
        seed: 4,
    }
}

fn dw4() -> System {
    System::toy("dw4".parse().unwrap(), 1.0).unwrap()
}

fn slope(losses: &Losses) -> [f64; 2] {
    let sum = |which: usize| {
        losses
            .pieces
            .iter()
            .map(|(_, g)| f64::from(g[which]))
            .sum::<f64>()
    };
    [sum(0), sum(1)].map(|sum| sum / losses.count)
}

fn assert_slope(found: [f64; 2], at: &Normal, allowed: f64) {
    let h = 1e-4;
    let difference = |mean: f64, log_width: f64| {
        let [above, below] = [1.0, -1.0].map(|sign| {
            let moved = Normal {
                mean: at.mean + sign * mean,
                log_width: at.log_width + sign * log_width,
            };
            moved.divergence()
        });
        (above - below) / (2.0 * h)
    };
    let expected = [difference(h, 0.0), difference(0.0, h)];
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < allowed,
            "{found}, not {expected}"
        );
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_divergence() {
    let system = dw4();
    let fab = fab(TOLD, &system);
    let student = Normal {
        mean: 0.4,
        log_width: 0.1,
    };
    let mut pool = Pool::default();
    let found = fab.before(0, &student, 4096, &mut pool).unwrap();
    assert_eq!((found.samples, found.lost), (16_384, 0));
    assert_eq!(found.energy_calls, 16_384 * 10);
    assert!(
        (found.divergence - student.divergence()).abs() < 0.02,
        "{found:?}"
    );
    assert_eq!(fab.before(1, &student, 4096, &mut pool), None);
    let mut random = stream(1, Purpose::Training, 0);
    let losses = fab.losses(&student, 16_384, &mut random, &mut pool);
    assert_slope(slope(&losses), &student, 0.04);
}

#[test]
fn samples_that_were_weighed_for_another_flow_count_as_this_one_says() {
    let system = dw4();
    let fab = fab(TOLD, &system);
    let old = Normal {
        mean: 0.4,
        log_width: 0.1,
    };
    let new = Normal {
        mean: 0.7,
        log_width: 0.2,
    };
    let mut pool = Pool::default();
    fab.before(0, &old, 4096, &mut pool);
    let before = pool.clone();
    let mut random = stream(2, Purpose::Training, 0);
    let losses = fab.losses(&new, 16_384, &mut random, &mut pool);
    // Σ c f with E c = Z'/Z, the ratio of ∫ p²/q of both.
    let ratio = (new.divergence() - old.divergence()).exp();
    assert_slope(slope(&losses).map(|slope| slope / ratio), &new, 0.04);
    let rows = before.rows().chunks(3).zip(pool.rows().chunks(3));
    let mut changed = 0;
    for (was, is) in rows {
        assert_eq!(was[0], is[0]);
        // Weight times density is as it was.
        assert!(((was[1] + was[2]) - (is[1] + is[2])).abs() < 1e-4);
        if was[1..] != is[1..] {
            let expected = new.log_q(f64::from(is[0])).0;
            assert!((f64::from(is[2]) - expected).abs() < 1e-4);
            changed += 1;
        }
    }
    assert!(changed > 8000, "{changed}");
    // What is weighed now is drawn as it weighs now, and counts once.
    (0..40).for_each(|_| {
        fab.losses(&new, 16_384, &mut random, &mut pool);
    });
    let losses = fab.losses(&new, 16_384, &mut random, &mut pool);
    assert_slope(slope(&losses), &new, 0.05);
}

#[test]
fn no_correction_is_larger_than_it_is_told_and_what_cannot_be_made_counts_nothing() {
    assert_eq!(factor(1.0, f64::NEG_INFINITY), 0.0);
    assert_eq!(reweighted(-1.0, 2.0, f64::NEG_INFINITY), (-1.0, 2.0));
    let system = dw4();
    let narrow = FabConfig {
        correction: 1.0,
        ..TOLD
    };
    let fab = fab(narrow, &system);
    let near = Normal {
        mean: 0.4,
        log_width: 0.1,
    };
    // Far denser where the samples are not: each would count more.
    let far = Normal {
        mean: -3.0,
        log_width: 0.1,
    };
    let mut pool = Pool::default();
    fab.before(0, &near, 4096, &mut pool);
    let mut random = stream(2, Purpose::Training, 0);
    let losses = fab.losses(&far, 64, &mut random, &mut pool);
    // With the factor 1 the gradient in the mean is the mean of (x − m)/σ².
    let [of_mean, _] = slope(&losses);
    let drawn = -of_mean * (2.0 * far.log_width).exp() + far.mean;
    assert!((-0.5..2.5).contains(&drawn), "{drawn}");
}

#[test]
fn an_empty_buffer_teaches_nothing() {
    let system = dw4();
    let student = Normal {
        mean: 0.0,
        log_width: 0.0,
    };
    let mut random = stream(2, Purpose::Training, 0);
    let losses = fab(TOLD, &system).losses(&student, 64, &mut random, &mut Pool::default());
    assert!(losses.pieces[0].0.is_nan());
}

fn experiment() -> Config {
    let told = FabConfig {
        between: 2,
        leapfrog: 2,
        least: 128,
        most: 200,
        updates: 2,
        correction: 10.0,
        threshold: 100.0,
    };
    Config {
        model: ModelConfig::Internal(InternalConfig {
            map: Elementwise::Spline { bins: 4 },
            scheme: Scheme::Coupling,
            between: Between::Nothing,
            layers: 4,
            network: Network::Perceptron(Size {
                width: 16,
                layers: 1,
            }),
            stiff: Stiffness::Whitened,
            rotors: Rotors::Folded,
            margin: 0.3,
            hottest: 1.0,
        }),
        training: TrainingConfig {
            steps: 100,
            batch: 64,
            learning_rate: 5e-3,
            validate_every: 1000,
            ..training(Objective::Fab(told))
        },
    }
}

fn methanol() -> System {
    let molecule = Molecule::from_smiles("CO").unwrap();
    let start = embed(&molecule, 1, 1).unwrap();
    System::mmff(molecule, start, Variant::Mmff94s, 300.0).unwrap()
}

fn model(config: &Config, system: &System) -> Model {
    let nothing = Conformers::empty(system.energy.points(), 3);
    let architecture = Architecture::new(config, system, &nothing).unwrap();
    Model::new(architecture, 1, &Device::flex()).unwrap()
}

fn nothing(system: &System) -> TrainingData {
    TrainingData::at(Conformers::empty(system.energy.points(), 3), 300.0)
}

#[test]
fn the_divergence_of_a_molecule_falls_and_every_energy_is_counted() {
    let (system, config) = (methanol(), experiment());
    let (model, nothing) = (model(&config, &system), nothing(&system));
    let mut training = Training::new(model, &config.training, &nothing, &system).unwrap();
    let steps: Vec<_> = (0..100).map(|_| training.advance()).collect();
    let found: Vec<AnnealedBatch> = steps.iter().filter_map(|step| step.annealed).collect();
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|found| found.lost == 0), "{found:?}");
    let mean = |found: &[AnnealedBatch]| {
        found.iter().map(|found| found.divergence).sum::<f64>() / found.len() as f64
    };
    let (first, last) = (mean(&found[..5]), mean(&found[45..]));
    assert!(last < first - 0.3, "{first} at first, {last} at last");
    let counted: usize = found.iter().map(|found| found.energy_calls).sum();
    // One validation, after the last step.
    let expected = counted as u64 + 1024;
    assert_eq!(energy_calls(&config.training, 100, 0), expected);
    assert!(steps[99].validation.is_some());
    assert_eq!(training.pool.rows().len(), 200 * (12 + BESIDE));
}

#[test]
fn the_same_bits_come_from_one_thread_and_two_and_from_a_checkpoint() {
    let (system, config) = (methanol(), experiment());
    let (model, nothing) = (model(&config, &system), nothing(&system));
    let start = || Training::new(model.clone(), &config.training, &nothing, &system).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let read = |training: Training| {
        let path = folder.path().join("training.safetensors");
        let checkpoint = Checkpoint {
            description: Description {
                format: FORMAT,
                version: String::new(),
                simd: boltzflow_flow::simd::Level::current(),
                processor: boltzflow_flow::simd::Level::detected(),
                device: String::new(),
                data: String::new(),
                from: None,
                target: String::new(),
                atoms: Vec::new(),
                config: config.clone(),
                architecture: model.architecture().clone(),
            },
            optimizer: training.optimizer,
            progress: training.progress,
            pool: training.pool,
        };
        checkpoint.write(&path).unwrap();
        let read = Checkpoint::read(&path).unwrap();
        assert!(read == checkpoint);
        (read.optimizer, read.pool)
    };
    assert_same_bits(start, 7, &[3, 4], read);
}

/// Of flows with auxiliary points.
fn augmented() -> Config {
    let told = FabConfig {
        between: 4,
        leapfrog: 2,
        least: 256,
        most: 512,
        updates: 2,
        correction: 10.0,
        threshold: 100.0,
    };
    Config {
        model: ModelConfig::Augmented(AugmentedConfig {
            coupling: Reference::Vector,
            map: Elementwise::Affine,
            layers: 4,
            width: 16,
            rounds: 2,
            channels: 4,
            spread: 0.5,
            alike: Alike::Symmetric,
        }),
        training: TrainingConfig {
            objective: Objective::Fab(told),
            ..experiment().training
        },
    }
}

#[test]
fn flows_with_auxiliary_points_are_annealed_too_and_their_clouds_stay_where_they_are() {
    // Four points that a spring holds at their centroid, but for a repulsion that is hardly there.
    let system = System::toy("lj:4,0.000001,1".parse().unwrap(), 1.0).unwrap();
    let config = augmented();
    config.check().unwrap();
    let nothing = TrainingData::at(Conformers::empty(4, 3), 1.0);
    let architecture = Architecture::new(&config, &system, &nothing.conformers).unwrap();
    let model = Model::new(architecture, 1, &Device::flex()).unwrap();
    let mut training = Training::new(model, &config.training, &nothing, &system).unwrap();
    let steps: Vec<_> = (0..100).map(|_| training.advance()).collect();
    let found: Vec<AnnealedBatch> = steps.iter().filter_map(|step| step.annealed).collect();
    let part = |found: &[AnnealedBatch]| {
        let parts = found.iter();
        let parts = parts.map(|found| found.effective / found.samples as f64);
        parts.sum::<f64>() / found.len() as f64
    };
    let (first, last) = (part(&found[..1]), part(&found[40..]));
    assert!(last > 4.0 * first, "{first} at first, {last} at last");
    assert!(found.iter().all(|found| found.lost == 0));
    let width = 24 + BESIDE;
    assert_eq!(training.pool.rows().len(), 512 * width);
    for cloud in training.pool.rows().chunks(width) {
        let sum = |axis: usize| cloud[..24].iter().skip(axis).step_by(3).sum::<f32>();
        assert!((0..3).all(|axis| sum(axis).abs() < 1e-4), "{cloud:?}");
    }
}
