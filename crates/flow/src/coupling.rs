//! Maps of some coordinates by numbers that a network makes of the others.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::attention::Attention;
use crate::bijection::{Bijection, FlowError};
use crate::context::Context;
use crate::divergence::indices;
use crate::elementwise::Elementwise;
use crate::linear::Initializer;
use crate::network::{Network, NetworkConfig};
use crate::space::Space;
use crate::{PerSample, Points};

/// `y_A = τ(x_A; θ(x_P))`, `y_P = x_P`: the active coordinates `A` are mapped one by one, with numbers that a network makes of the passive ones
/// `P`. Its Jacobian is triangular, so `log |det|` is the sum of the logarithms of the slopes.
#[derive(Module, Debug)]
pub struct Coupling {
    network: Network,
    #[module(skip)]
    map: Elementwise,
    #[module(skip)]
    space: Space,
    #[module(skip)]
    active: Vec<usize>,
    #[module(skip)]
    passive: Vec<usize>,
}

impl Coupling {
    /// A coupling of these active coordinates; `globals` features of the whole go to its network too.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] where the map cannot act on an active coordinate, none is active, or the network's size is none.
    pub fn new(
        space: Space,
        active: Vec<usize>,
        map: Elementwise,
        globals: usize,
        network: impl Into<NetworkConfig>,
        make: &mut Initializer,
    ) -> Result<Self, FlowError> {
        let mut active = active;
        active.sort_unstable();
        active.dedup();
        if active.is_empty() || active.last() >= Some(&space.points()) {
            return Err(FlowError::Unsupported {
                what: format!("{active:?} are no coordinates of the {space} to be mapped"),
            });
        }
        let passive = others(space, &active);
        map.check(some(space, &active))?;
        let counts = [globals, map.parameters()];
        Ok(Self {
            network: Network::new(space, &active, counts, network.into(), make)?,
            map,
            space,
            active,
            passive,
        })
    }

    /// Coordinates that it maps, ascending.
    pub fn active(&self) -> &[usize] {
        &self.active
    }

    /// Its network, if that is one of labelled coordinates.
    pub fn attention(&self) -> Option<&Attention> {
        match &self.network {
            Network::Perceptron(_) => None,
            Network::Attention(network) => Some(network),
        }
    }

    fn apply(
        &self,
        x: &Points,
        context: &Context,
        map: impl Fn(Space, Tensor<2>, &Tensor<3>) -> (Tensor<2>, Tensor<2>),
    ) -> Result<(Points, PerSample), FlowError> {
        self.space.check(x)?;
        let [batch, count, _] = x.dims();
        let x = x.clone().reshape([batch, count]);
        let part = |which: &[usize]| x.clone().select(1, indices(which, &x.device()));
        let (active, passive) = (part(&self.active), part(&self.passive));
        let numbers = self.network.forward(&passive, context)?;
        let (y, log_slope) = map(some(self.space, &self.active), active, &numbers);
        let log_det = log_slope.sum_dim(1).reshape([batch]);
        // Where each coordinate is among the passive and then the active ones.
        let mut place = vec![0; count];
        let order = self.passive.iter().chain(&self.active);
        order
            .enumerate()
            .for_each(|(k, &coordinate)| place[coordinate] = k);
        let all = Tensor::cat(vec![passive, y], 1);
        let all = all.clone().select(1, indices(&place, &all.device()));
        Ok((all.reshape([batch, count, 1]), log_det))
    }
}

impl Bijection for Coupling {
    fn input(&self) -> Space {
        self.space
    }

    fn output(&self) -> Space {
        self.space
    }

    fn forward(&self, x: Points, context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.apply(&x, context, |space, x, numbers| {
            self.map.forward(space, x, numbers)
        })
    }

    fn inverse(&self, y: Points, context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.apply(&y, context, |space, y, numbers| {
            self.map.inverse(space, y, numbers)
        })
    }
}

/// All coordinates but these, ascending.
pub(crate) fn others(space: Space, which: &[usize]) -> Vec<usize> {
    (0..space.points()).filter(|k| !which.contains(k)).collect()
}

/// The space of some coordinates of a product, ascending.
pub(crate) fn some(space: Space, which: &[usize]) -> Space {
    let Space::Product {
        lines, intervals, ..
    } = space
    else {
        return Space::Free {
            points: which.len(),
            dims: space.dims(),
        };
    };
    let count = |from: usize, to: usize| which.iter().filter(|k| (from..to).contains(*k)).count();
    Space::Product {
        lines: count(0, lines),
        intervals: count(lines, lines + intervals),
        circles: count(lines + intervals, usize::MAX),
    }
}
