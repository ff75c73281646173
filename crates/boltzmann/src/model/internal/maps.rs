//! The maps of a flow of internal coordinates, as its config says.

use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{
    Actnorm, Autoregressive, Coupling, Elementwise, FlowError, Given, Initializer, Layer,
    LowerUpper, NetworkConfig, Size, Space,
};
use rand::seq::SliceRandom;

use super::labelling;
use crate::config::{Between, InternalConfig, Scheme};

/// The seed of the fixed halves of couplings: which they are belongs to the flow, not to a training of it.
const HALVES: u64 = 0x6861_6c76_6573;

/// Features of the whole that networks see: that of the temperature, where there are several.
fn globals(model: &InternalConfig) -> usize {
    usize::from(model.hottest > 1.0)
}

/// The maps, the one nearest to the latents first.
pub(super) fn layers(
    model: &InternalConfig,
    space: Space,
    make: &mut Initializer,
) -> Result<Vec<Layer>, FlowError> {
    let all: Vec<usize> = (0..space.points()).collect();
    let (map, network) = (model.map, labelling::network(model));
    let given = match model.scheme {
        Scheme::Coupling => return couplings(model, space, make),
        Scheme::Maf => Given::Data,
        Scheme::Iaf => Given::Latent,
    };
    let layers = (0..model.layers).map(|layer| {
        // Torsions, which are last, come first where the map is nearest to the data, and every other order is reversed.
        let order = if (model.layers - layer) % 2 == 1 {
            all.iter().rev().copied().collect()
        } else {
            all.clone()
        };
        let map = Autoregressive::new(space, order, map, given, globals(model), network, make)?;
        Ok(Layer::Autoregressive(map))
    });
    layers.collect()
}

/// Couplings of a half and of the other half, then of others; and, where the map is of more than a shift and a scale, one nearest to the data
/// whose network sees no coordinate, which has their single distributions to learn.
fn couplings(
    model: &InternalConfig,
    space: Space,
    make: &mut Initializer,
) -> Result<Vec<Layer>, FlowError> {
    let all: Vec<usize> = (0..space.points()).collect();
    let mut layers = Vec::new();
    for layer in 0..model.layers {
        if model.between == Between::Linear && layer % 2 == 0 {
            // Data are standard already: actnorm starts as the identity, the linear map near it.
            let lines = match space {
                Space::Product { lines, .. } => lines,
                Space::MeanFree { .. } | Space::Free { .. } => 0,
            };
            let mixed = LowerUpper::new(space, (0..lines).collect(), make)?;
            layers.push(Layer::LowerUpper(mixed));
            layers.push(Layer::Actnorm(Actnorm::new(space, make)?));
        }
        let mut order = all.clone();
        order.shuffle(&mut stream(HALVES, Purpose::Parameters, layer as u64 / 2));
        let (left, right) = order.split_at(order.len().div_ceil(2));
        let active = if layer % 2 == 0 || right.is_empty() {
            left
        } else {
            right
        };
        layers.push(Layer::Coupling(Coupling::new(
            space,
            active.to_vec(),
            model.map,
            globals(model),
            labelling::network(model),
            make,
        )?));
    }
    if matches!(
        model.map,
        Elementwise::Spline { .. } | Elementwise::Bump { .. }
    ) {
        // Of a perceptron without inputs the biases are left; attention still sees labels.
        let network = match labelling::network(model) {
            NetworkConfig::Perceptron(_) => NetworkConfig::Perceptron(Size {
                width: 1,
                layers: 0,
            }),
            attention @ NetworkConfig::Attention(_) => attention,
        };
        let single = Coupling::new(space, all, model.map, globals(model), network, make)?;
        layers.push(Layer::Coupling(single));
    }
    Ok(layers)
}
