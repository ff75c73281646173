mod families;
mod labelling;
mod reverse;
mod temperatures;
mod without_data;

use boltzflow_energy::Variant;
use boltzflow_flow::{AttentionSize, Size};
use boltzflow_molecule::{Molecule, ZMatrix, embed, geometry};

use super::*;
use crate::config::{
    Between, Config, Dependence, FitConfig, FittedConfig, ModelConfig, Objective, Rotors, Stiffness,
};
use crate::model::{Architecture, Mirror, Model, Terms};
use crate::testing::{energy_after, normal, training};

/// A molecule, and embedded conformers of it that vibrate a little; like a simulation they have the hydrogens of methyl groups in one order.
fn vibrating(smiles: &str, count: usize) -> (System, Conformers) {
    let molecule = Molecule::from_smiles(smiles).unwrap();
    let mut conformers = embed(&molecule, 1, count).unwrap();
    let start = conformers.select(&[0]);
    // What is on a line has none.
    let matrix = ZMatrix::new(&molecule, start.get(0)).ok();
    let groups = matrix.iter().flat_map(|matrix| {
        let groups = methyl_groups(&molecule, matrix, start.get(0));
        groups.into_iter().map(move |group| (matrix, group))
    });
    for (matrix, group) in groups {
        let &[center, second, _] = &matrix.places()[group[0].0].references[..] else {
            panic!("it turns")
        };
        let [first, second_hydrogen, third] = [0, 1, 2].map(|k: usize| group[k].1);
        let size = 3 * molecule.len();
        let around = [second_hydrogen, center, second, first];
        let order = geometry::dihedral(start.get(0), around) > 0.0;
        for x in conformers.positions_mut().chunks_mut(size) {
            if (geometry::dihedral(x, around) > 0.0) != order {
                (0..3).for_each(|k| x.swap(3 * second_hydrogen + k, 3 * third + k));
            }
        }
    }
    let noise = normal(conformers.positions().len(), 5);
    let positions = conformers.positions_mut().iter_mut();
    positions
        .zip(noise)
        .for_each(|(x, noise)| *x += 0.02 * noise);
    let system = System::mmff(molecule, start, Variant::Mmff94s, 300.0).unwrap();
    (system, conformers)
}

/// The same of one labelling: embedding gives the two hydrogens of a methylene group either label, and here they keep it.
fn vibrating_in_one_labelling(smiles: &str, count: usize) -> (System, Conformers) {
    let (system, data) = vibrating(smiles, 1);
    let mut data = data.select(&vec![0; count]);
    let noise = normal(data.positions().len(), 6);
    let moved = data.positions_mut().iter_mut().zip(noise);
    moved.for_each(|(x, noise)| *x += 0.02 * noise);
    (system, data)
}

/// A molecule at a conformer, without data.
fn alone(smiles: &str) -> (System, Conformers) {
    let molecule = Molecule::from_smiles(smiles).unwrap();
    let start = embed(&molecule, 1, 1).unwrap();
    let nothing = Conformers::empty(molecule.len(), 3);
    let system = System::mmff(molecule, start, Variant::Mmff94s, 300.0).unwrap();
    (system, nothing)
}

/// Places and atoms of rotors of three.
fn methyl_groups(
    molecule: &Molecule,
    matrix: &ZMatrix,
    positions: &[f64],
) -> Vec<[(usize, usize); 3]> {
    let with_atom = |place: usize| (place, matrix.places()[place].atom);
    let rotors = matrix.rotors(molecule, positions).unwrap();
    rotors
        .into_iter()
        .map(|rotor| rotor.map(with_atom))
        .collect()
}

fn experiment(map: Elementwise, scheme: Scheme, stiff: Stiffness) -> Config {
    Config {
        model: ModelConfig::Internal(InternalConfig {
            map,
            scheme,
            between: if map == Elementwise::Affine && scheme == Scheme::Coupling {
                Between::Linear
            } else {
                Between::Nothing
            },
            layers: 2,
            network: Network::Perceptron(Size {
                width: 8,
                layers: 1,
            }),
            stiff,
            rotors: Rotors::Folded,
            margin: 0.3,
            hottest: 1.0,
        }),
        training: training(Objective::Likelihood),
    }
}

/// A flow that is not the identity.
fn model(config: &Config, system: &System, data: &Conformers) -> Model {
    shaken(config, system, data, 0.03)
}

/// A model whose parameters are moved by noise of this width from where they start.
fn shaken(config: &Config, system: &System, data: &Conformers, width: f64) -> Model {
    let architecture = Architecture::new(config, system, data).unwrap();
    assert_eq!(architecture.flaw(), None);
    let model = Model::new(architecture, 1, &Device::flex()).unwrap();
    let parameters = model.parameters();
    let moved: Vec<f32> = parameters
        .iter()
        .zip(normal(parameters.len(), 3))
        .map(|(value, noise)| value + (width * noise) as f32)
        .collect();
    model.with_parameters(&moved)
}

fn internal(model: &Model) -> &InternalFlow {
    let crate::model::Flow::Internal(flow) = model.flow() else {
        panic!("a flow of internal coordinates was made")
    };
    flow
}

/// Nothing is cut, and nothing added.
const ALL: Terms = Terms {
    steepest: 1e9,
    own: 0.0,
};

const SPLINE: Elementwise = Elementwise::Spline { bins: 4 };

#[test]
fn a_methyl_group_a_third_of_a_turn_on_is_the_same_to_a_flow_that_folds_it() {
    let (system, data) = vibrating("CC(O)CC", 60);
    let mut config = experiment(SPLINE, Scheme::Coupling, Stiffness::Whitened);
    let molecule = &system.molecule.as_ref().unwrap().molecule;
    let matrix = ZMatrix::new(molecule, system.start.get(0)).unwrap();
    let groups = methyl_groups(molecule, &matrix, system.start.get(0));
    assert_eq!(groups.len(), 2);
    for (rotors, labellings, alike) in [(Rotors::Folded, 9.0, true), (Rotors::Labelled, 1.0, false)]
    {
        if let ModelConfig::Internal(model) = &mut config.model {
            model.rotors = rotors;
        }
        let model = model(&config, &system, &data);
        let labels = model.architecture().labels(&system).unwrap();
        assert_eq!(labels.counted, labellings);
        let samples = Samples::consecutive(7, 0..20);
        let drawn = model.sample(&samples).unwrap();
        let mut turned = drawn.positions.clone();
        for x in turned.chunks_mut(3 * model.points()) {
            let old = x.to_vec();
            for group in &groups {
                for (k, &(_, to)) in group.iter().enumerate() {
                    let (_, from) = group[(k + 1) % 3];
                    x[3 * to..3 * to + 3].copy_from_slice(&old[3 * from..3 * from + 3]);
                }
            }
        }
        let found = model.density(&turned, &samples).unwrap();
        // One of a flow that has learnt nothing may have no density.
        let has_density = drawn
            .log_q()
            .iter()
            .map(|log_q| log_q.is_finite())
            .collect::<Vec<_>>();
        assert!(has_density.iter().filter(|has| **has).count() > 15);
        let off = |a: &[f64], b: &[f64]| {
            let size = a.len() / has_density.len();
            let pairs = a.iter().zip(b).enumerate();
            pairs
                .filter(|(k, _)| has_density[k / size])
                .map(|(_, (a, b))| (a - b).abs())
                .fold(0.0, f64::max)
        };
        let off = off(&found.log_q(), &drawn.log_q()).max(off(&found.latents, &drawn.latents));
        assert_eq!(off < 1e-6, alike, "{rotors:?}: {off}");
    }
}

/// A flow that is fitted in closed form, and what training says of it.
fn fitted(
    dependence: Dependence,
    system: &System,
    data: &Conformers,
) -> (Model, crate::training::Step) {
    let config = Config {
        model: ModelConfig::Fitted(FittedConfig {
            dependence,
            bins: 32,
            rotors: Rotors::Folded,
            margin: 0.25,
        }),
        training: FitConfig {
            pseudo_count: 1.0,
            rarest: 0.0,
            validation: 0.1,
            dequantize: false,
            seed: 1,
        }
        .into(),
    };
    config.check().unwrap();
    let architecture = Architecture::new(&config, system, data).unwrap();
    assert_eq!(architecture.flaw(), None);
    let model = Model::new(architecture, 1, &Device::flex()).unwrap();
    let data = crate::TrainingData::at(data.clone(), 300.0);
    let mut training = crate::Training::new(model, &config.training, &data, system).unwrap();
    let step = training.advance();
    assert!(training.is_finished());
    (training.averaged(), step)
}

#[test]
fn fitted_flows_know_the_densities_of_their_samples_and_a_copula_is_nearer_to_the_data() {
    // Noise of positions correlates the internal coordinates.
    let (system, data) = vibrating("CC(O)CC", 600);
    let losses = [Dependence::Independent, Dependence::Copula].map(|dependence| {
        let (model, step) = fitted(dependence, &system, &data);
        let samples = Samples::consecutive(7, 0..200);
        let drawn = model.sample(&samples).unwrap();
        let found = model.density(&drawn.positions, &samples).unwrap().log_q();
        for (a, b) in drawn.log_q().iter().zip(found) {
            assert!((a - b).abs() < 2e-2, "{dependence:?}: {a} and {b}");
        }
        // The parameters alone make it again.
        let again = Model::new(model.architecture().clone(), 5, &Device::flex()).unwrap();
        let again = again.with_parameters(&model.parameters());
        assert_eq!(again.sample(&samples).unwrap(), drawn);
        step.validation.unwrap()
    });
    assert!(losses[1] < losses[0] - 1.0, "{losses:?}");
}

#[test]
fn steep_maps_are_gone_back_through_exactly() {
    let (system, data) = vibrating("CC(O)CC", 60);
    let mut config = experiment(SPLINE, Scheme::Coupling, Stiffness::Whitened);
    if let ModelConfig::Internal(model) = &mut config.model {
        model.layers = 8;
    }
    let model = shaken(&config, &system, &data, 0.3);
    let flow = internal(&model);
    let latents = flow.latents(&Samples::consecutive(7, 0..50));
    let (y, log_det) = flow
        .chain
        .forward(flow.batch(&latents), &flow.context)
        .unwrap();
    let steepest = host(log_det.clone())
        .into_iter()
        .fold(0.0, |a: f64, b| a.max(b.abs()));
    assert!(steepest > 30.0, "the steepest is of {steepest}");
    let (back, inverse) = flow.chain.inverse(y, &flow.context).unwrap();
    for (off, turns) in host(back)
        .into_iter()
        .zip(&latents)
        .map(|(a, b)| (a - b, (a - b).round()))
    {
        assert!((off - turns).abs() < 1e-6, "{off}");
    }
    for off in host(log_det + inverse) {
        assert!(off.abs() < 1e-5, "{off}");
    }
}

#[test]
fn a_sample_does_not_depend_on_what_is_drawn_with_it() {
    let (system, data) = vibrating("CCO", 40);
    let config = experiment(SPLINE, Scheme::Coupling, Stiffness::Whitened);
    let model = model(&config, &system, &data);
    let all = model.sample(&Samples::consecutive(7, 0..20)).unwrap();
    let some = model.sample(&Samples::consecutive(7, 12..14)).unwrap();
    let size = model.points() * 3;
    let off = some
        .positions
        .iter()
        .zip(&all.positions[12 * size..])
        .map(|(a, b)| (a - b).abs());
    assert!(off.fold(0.0, f64::max) < 1e-5);
}

#[test]
fn what_the_data_have_not_got_has_no_density() {
    let (system, data) = vibrating("CCO", 40);
    let config = experiment(SPLINE, Scheme::Coupling, Stiffness::Scaled);
    let model = model(&config, &system, &data);
    let mut broken = data.select(&[0, 1, 2]);
    // A bond as long as the molecule.
    broken.get_mut(1)[0] += 5.0;
    broken.center();
    let samples = Samples::consecutive(1, 0..3);
    let log_q = model.density(broken.positions(), &samples).unwrap().log_q();
    assert!(log_q[0].is_finite() && log_q[2].is_finite());
    assert_eq!(log_q[1], f64::NEG_INFINITY);
}

#[test]
fn whitened_data_are_uncorrelated_and_of_unit_variance() {
    let (system, data) = vibrating("CCO", 400);
    let config = experiment(Elementwise::Affine, Scheme::Coupling, Stiffness::Whitened);
    let architecture = Architecture::new(&config, &system, &data).unwrap();
    let model = Model::new(architecture, 1, &Device::flex()).unwrap();
    let flow = internal(&model);
    let located = flow.locate(&data).unwrap();
    let (n, stiff) = (data.len() as f64, flow.chart.stiff.len());
    assert!(stiff > 10 && stiff < located.size);
    for i in 0..stiff {
        for j in 0..=i {
            let rows = located.points.chunks(located.size);
            let product: f64 = rows.map(|z| z[i] * z[j]).sum::<f64>() / n;
            let expected = f64::from(u8::from(i == j));
            assert!((product - expected).abs() < 1e-6, "{i} {j}: {product}");
        }
    }
}

#[test]
fn a_toy_has_no_internal_coordinates() {
    let system = System::toy("dw4".parse().unwrap(), 1.0).unwrap();
    let config = experiment(SPLINE, Scheme::Coupling, Stiffness::Scaled);
    let found = Architecture::new(&config, &system, &system.start.clone()).unwrap_err();
    assert!(found.to_string().contains("use model.cartesian"), "{found}");
}

fn assert_likelihood_rises(mut config: Config) {
    let (system, data) = vibrating("CCO", 300);
    config.training.steps = 40;
    config.training.learning_rate = 5e-3;
    config.check().unwrap();
    let architecture = Architecture::new(&config, &system, &data).unwrap();
    let model = Model::new(architecture, 1, &Device::flex()).unwrap();
    let data = crate::TrainingData::at(data, 300.0);
    let mut training = crate::Training::new(model, &config.training, &data, &system).unwrap();
    let losses: Vec<f64> = (0..40).map(|_| training.advance().loss).collect();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(mean(&losses[30..]) < mean(&losses[..5]) - 0.5, "{losses:?}");
}

#[test]
fn likelihood_rises_in_training() {
    assert_likelihood_rises(experiment(SPLINE, Scheme::Coupling, Stiffness::Scaled));
    assert_likelihood_rises(attentive(SPLINE));
}

#[test]
fn before_the_energy_counts_a_training_is_that_of_the_likelihood() {
    let (system, data) = vibrating("CCO", 100);
    let config = experiment(SPLINE, Scheme::Coupling, Stiffness::Whitened);
    let mut with_energy = config.training.clone();
    with_energy.objective = energy_after(3);
    let model = model(&config, &system, &data);
    let data = crate::TrainingData::at(data, 300.0);
    let start = |config| crate::Training::new(model.clone(), config, &data, &system).unwrap();
    let (mut alone, mut both) = (start(&config.training), start(&with_energy));
    for step in 1..5 {
        let [likelihood, found] = [&mut alone, &mut both].map(crate::Training::advance);
        let are_same = alone.optimizer.parameters == both.optimizer.parameters;
        assert_eq!(are_same, step <= 3, "step {step}");
        assert_eq!(found.loss == likelihood.loss, step <= 3, "step {step}");
        let calls = found.effort.unwrap().energy_calls;
        assert_eq!(calls, if step <= 3 { 0 } else { 16 }, "step {step}");
    }
    // A minimisation, and without data another one and the differences of gradients.
    let prepared = both.progress.prepared;
    assert!(alone.progress.prepared == 0 && prepared > 5, "{prepared}");
    both.count_architecture();
    let differences = 2 * internal(&model).chart.stiff.len() as u64;
    assert_eq!(both.progress.prepared, 2 * prepared + differences);
    assert_eq!(crate::training::energy_calls(&with_energy, 3, 100), 0);
    assert_eq!(crate::training::energy_calls(&with_energy, 5, 100), 2 * 16);
}

#[test]
fn molecules_of_few_atoms_are_flows_too_and_linear_ones_are_refused() {
    for smiles in ["O", "N"] {
        let (system, data) = vibrating(smiles, 60);
        for map in [SPLINE, Elementwise::Affine, Elementwise::Additive] {
            let config = experiment(map, Scheme::Coupling, Stiffness::Whitened);
            let model = model(&config, &system, &data);
            let samples = Samples::consecutive(7, 0..20);
            let drawn = model.sample(&samples).unwrap();
            let found = model.density(&drawn.positions, &samples).unwrap();
            for (a, b) in drawn.log_q().iter().zip(found.log_q()) {
                assert!((a - b).abs() < 1e-6, "{smiles} {map:?}: {a} and {b}");
            }
        }
    }
    let (system, data) = vibrating("O=C=O", 20);
    let config = experiment(SPLINE, Scheme::Coupling, Stiffness::Whitened);
    let found = Architecture::new(&config, &system, &data).unwrap_err();
    assert!(found.to_string().contains("line"), "{found}");
}

/// An experiment whose networks are one for every molecule.
fn attentive(map: Elementwise) -> Config {
    let mut config = experiment(map, Scheme::Coupling, Stiffness::Scaled);
    let ModelConfig::Internal(internal) = &mut config.model else {
        panic!("an experiment of internal coordinates")
    };
    internal.between = Between::Nothing;
    internal.network = Network::Attention(AttentionSize {
        width: 16,
        heads: 2,
        layers: 2,
    });
    config.check().unwrap();
    config
}
