//! What an attention network is told of the coordinates of a molecule.

use boltzflow_flow::{AttentionConfig, Context, Direction, FlowError, NetworkConfig};
use boltzflow_molecule::{
    self as molecule, Atom, Bond, BondOrder, Element, Labels, Molecule, Place, labels,
};
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::Internal;
use crate::config::{InternalConfig, Network};
use crate::features::Features;

/// Numbers that label a coordinate: those of [`Labels`], and the cosine and sine of the dihedral where its zero is, or zeros of another kind of
/// coordinate, which tell a hydrogen from its mirror image; and whether it is the amplitude of a cosine or of a sine of a folded rotor.
const OF_COORDINATE: usize = Labels::COORDINATE + 4;

/// The network of each map.
pub(super) fn network(model: &InternalConfig) -> NetworkConfig {
    match model.network {
        Network::Perceptron(size) => NetworkConfig::Perceptron(size),
        Network::Attention(size) => NetworkConfig::Attention(AttentionConfig {
            size,
            node_features: OF_COORDINATE,
            pair_features: Labels::PAIR,
        }),
    }
}

/// The orders of a molecule's bonds, where labels tell of them.
pub(super) fn orders(model: &InternalConfig, molecule: &Molecule) -> Option<Vec<BondOrder>> {
    let orders = molecule.bonds.iter().map(|bond| bond.order);
    match model.network {
        Network::Perceptron(_) => None,
        Network::Attention(_) => Some(orders.collect()),
    }
}

/// What the maps are conditioned on.
///
/// # Errors
/// [`FlowError::Unsupported`] of elements or bonds that are no molecule's, as in a file that is forged.
pub(super) fn context(
    parts: &Internal,
    features: &Features,
    device: &Device,
) -> Result<Context, FlowError> {
    let count = parts.chart.len();
    let alike = super::context(count, device, DType::F32);
    let Some(orders) = &parts.orders else {
        return Ok(alike);
    };
    let places: Vec<Place> = parts.frame.places().iter().map(place).collect();
    let labels = labels(&graph(features, orders)?, &places);
    let order = parts.chart.coordinates();
    let mut nodes = Vec::with_capacity(count * OF_COORDINATE);
    let mut pairs = Vec::with_capacity(count * count * Labels::PAIR);
    let geometry = parts.geometry()?;
    for (&row, zero) in order.iter().zip(geometry.zeros(&parts.chart)) {
        nodes.extend(&labels.coordinates[row * Labels::COORDINATE..][..Labels::COORDINATE]);
        nodes.extend(zero.map_or([0.0; 2], |zero| [zero.cos(), zero.sin()]));
        let amplitude = geometry.fold.amplitude(row);
        nodes.extend(amplitude.map(|is| f64::from(u8::from(is))));
        for column in &order {
            let pair = row * count + column;
            pairs.extend(&labels.pairs[pair * Labels::PAIR..][..Labels::PAIR]);
        }
    }
    let single = |values: &[f64]| values.iter().map(|x| *x as f32).collect::<Vec<f32>>();
    let nodes = TensorData::new(single(&nodes), [1, count, OF_COORDINATE]);
    let pairs = TensorData::new(single(&pairs), [1, count, count, Labels::PAIR]);
    Ok(Context {
        nodes: Tensor::from_data(nodes, (device, DType::F32)),
        pairs: Some(Tensor::from_data(pairs, (device, DType::F32))),
        ..alike
    })
}

/// The molecule's elements and bonds.
fn graph(features: &Features, orders: &[BondOrder]) -> Result<Molecule, FlowError> {
    let unsupported = |what: String| FlowError::Unsupported { what };
    let atom = |&number: &u8| {
        let element = Element::from_number(number);
        element
            .map(Atom::new)
            .ok_or_else(|| unsupported(format!("{number} is no atomic number")))
    };
    let atoms: Result<Vec<Atom>, FlowError> = features.elements.iter().map(atom).collect();
    let bonds = features.bonds.iter().zip(orders);
    let bonds = bonds.map(|(&[a, b], &order)| Bond::new(a, b, order));
    Molecule::new("", atoms?, bonds.collect(), Vec::new())
        .map_err(|error| unsupported(error.to_string()))
}

fn place(placed: &boltzflow_flow::Placed) -> Place {
    Place {
        atom: placed.point,
        references: placed.references.clone(),
        direction: match placed.direction {
            Direction::Polar => molecule::Direction::Polar,
            Direction::Straight => molecule::Direction::Straight,
        },
    }
}
