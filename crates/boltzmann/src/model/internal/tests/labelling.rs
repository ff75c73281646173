//! Attention networks and what they are told of coordinates.

use super::*;

#[test]
fn attention_has_the_same_parameters_for_every_molecule() {
    let made = |smiles: &str, config: &Config| {
        let (system, data) = vibrating(smiles, 40);
        let architecture = Architecture::new(config, &system, &data).unwrap();
        Model::new(architecture, 1, &Device::flex()).unwrap()
    };
    let config = attentive(SPLINE);
    let [small, large] = ["CO", "C[C@H](O)c1ccncc1"].map(|smiles| made(smiles, &config));
    assert_eq!(small.parameters(), large.parameters());
    assert!(small.operations_per_sample() < large.operations_per_sample());
    // Those of one are a flow of the other.
    let moved: Vec<f32> = large.parameters().iter().map(|p| 1.1 * p).collect();
    let samples = Samples::consecutive(1, 0..4);
    let before = small.sample(&samples).unwrap().log_det;
    let after = small.with_parameters(&moved).sample(&samples).unwrap();
    assert!(after.log_det.iter().zip(before).all(|(a, b)| *a != b));
    let config = experiment(SPLINE, Scheme::Coupling, Stiffness::Scaled);
    let [small, large] = ["CO", "CCO"].map(|smiles| made(smiles, &config).parameters().len());
    assert!(small < large);
}

#[test]
fn labels_tell_the_two_hydrogens_of_a_methylene_group_apart_by_their_side() {
    let (system, data) = vibrating_in_one_labelling("CCO", 40);
    let model = model(&attentive(SPLINE), &system, &data);
    let flow = internal(&model);
    let [_, count, width] = flow.context.nodes.dims();
    assert_eq!(count, flow.coordinates());
    let nodes = host(flow.context.nodes.clone());
    let labels: Vec<&[f64]> = nodes.chunks(width).collect();
    // Alike in all else, but for the dihedral where their zero is. That of the methyl group is folded.
    let sine = width - 3;
    let mirrored = |a: &[f64], b: &[f64]| {
        let mut others = (0..width).filter(|&k| k != sine - 1 && k != sine);
        others.all(|k| a[k] == b[k]) && a[sine] * b[sine] < -0.25
    };
    let pairs = (0..count).flat_map(|i| (0..i).map(move |j| (i, j)));
    let found = pairs.filter(|&(i, j)| mirrored(labels[i], labels[j]));
    let zeros = labels.iter().map(|label| &label[sine - 1..]);
    assert_eq!(found.count(), 1, "{:?}", zeros.collect::<Vec<_>>());
    // All coordinates are told apart but the two bonds, and two angles, of the methylene group, which no label tells apart.
    let alike = (0..count).flat_map(|i| (0..i).map(move |j| (i, j)));
    let alike = alike.filter(|&(i, j)| labels[i] == labels[j]);
    assert_eq!(alike.count(), 2);
}

#[test]
fn a_damaged_account_of_bonds_is_found() {
    let (system, data) = vibrating("CCO", 40);
    let flaw = |config: &Config, orders: Option<Vec<BondOrder>>| {
        let mut architecture = Architecture::new(config, &system, &data).unwrap();
        assert_eq!(architecture.flaw(), None);
        let crate::model::FlowArchitecture::Internal(parts) = &mut architecture.flow else {
            panic!("an experiment of internal coordinates")
        };
        parts.orders = orders;
        architecture.flaw()
    };
    let config = attentive(SPLINE);
    for orders in [None, Some(vec![BondOrder::Single; 7])] {
        let found = flaw(&config, orders);
        assert!(found.unwrap().contains("one for each bond"));
    }
    let mut nameless = Architecture::new(&config, &system, &data).unwrap();
    nameless.features.elements.clear();
    nameless.features.classes.clear();
    assert!(nameless.flaw().unwrap().contains("one for each atom"));
    let config = experiment(SPLINE, Scheme::Coupling, Stiffness::Scaled);
    let found = flaw(&config, Some(vec![BondOrder::Single; 8]));
    assert!(found.unwrap().contains("one for each bond"));
}
