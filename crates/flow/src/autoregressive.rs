//! Maps of each coordinate by numbers that a network makes of those before it.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::bijection::{Bijection, FlowError};
use crate::conditioner::Conditioner;
use crate::context::Context;
use crate::coupling::some;
use crate::elementwise::Elementwise;
use crate::linear::Initializer;
use crate::network::NetworkConfig;
use crate::space::Space;
use crate::{PerSample, Points};

/// Which side of the map the network sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// `y_k = τ(x_k; θ(y_{<k}))`: MAF (Papamakarios et al. 2017). Densities take one pass of the network, samples one for each coordinate.
    Data,
    /// `y_k = τ(x_k; θ(x_{<k}))`: IAF (Kingma et al. 2016). Samples take one pass, densities of other data one for each coordinate.
    Latent,
}

/// Each coordinate is mapped with numbers that a masked network makes of the coordinates before it in some order. The Jacobian is triangular
/// in that order, so `log |det|` is the sum of the logarithms of the slopes.
#[derive(Module, Debug)]
pub struct Autoregressive {
    network: Conditioner,
    #[module(skip)]
    map: Elementwise,
    #[module(skip)]
    given: Given,
    #[module(skip)]
    space: Space,
    #[module(skip)]
    order: Vec<usize>,
}

/// A map and the direction it is used in.
type Map<'a> = &'a dyn Fn(Space, Tensor<2>, &Tensor<3>) -> (Tensor<2>, Tensor<2>);

impl Autoregressive {
    /// A map of all coordinates in this order; `globals` features of the whole go to its network too.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] where the map cannot act on a coordinate, the order is no permutation of them, or the network is no perceptron.
    pub fn new(
        space: Space,
        order: Vec<usize>,
        map: Elementwise,
        given: Given,
        globals: usize,
        network: impl Into<NetworkConfig>,
        make: &mut Initializer,
    ) -> Result<Self, FlowError> {
        map.check(space)?;
        let NetworkConfig::Perceptron(size) = network.into() else {
            return Err(FlowError::Unsupported {
                what: "attention sees coordinates in no order, as a coupling's network may, but an autoregressive map's may not".to_owned(),
            });
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..space.points()) {
            return Err(FlowError::Unsupported {
                what: format!("{order:?} is no order of the coordinates of the {space}"),
            });
        }
        let numbers = map.parameters();
        Ok(Self {
            network: Conditioner::masked(space, globals, numbers, &order, size, make),
            map,
            given,
            space,
            order,
        })
    }

    /// What the network sees is there.
    fn at_once(
        &self,
        seen: Points,
        context: &Context,
        map: Map,
    ) -> Result<(Points, PerSample), FlowError> {
        self.space.check(&seen)?;
        let [batch, count, _] = seen.dims();
        let seen = seen.reshape([batch, count]);
        let numbers = self.network.forward(&seen, context.global.as_ref());
        let (y, log_slope) = map(self.space, seen, &numbers);
        let log_det = log_slope.sum_dim(1).reshape([batch]);
        Ok((y.reshape([batch, count, 1]), log_det))
    }

    /// What the network sees comes out of the map, one coordinate after another.
    fn in_turn(
        &self,
        x: Points,
        context: &Context,
        map: Map,
    ) -> Result<(Points, PerSample), FlowError> {
        self.space.check(&x)?;
        let [batch, count, _] = x.dims();
        let x = x.reshape([batch, count]);
        let mut y = x.zeros_like();
        let mut log_det = y.clone().sum_dim(1);
        let network = self.network.masked_once();
        for &coordinate in &self.order {
            let numbers = network.one(coordinate, &y, context.global.as_ref());
            let space = some(self.space, &[coordinate]);
            let one = x.clone().narrow(1, coordinate, 1);
            let (one, log_slope) = map(space, one, &numbers);
            y = y.slice_assign([0..batch, coordinate..coordinate + 1], one);
            log_det = log_det + log_slope;
        }
        Ok((y.reshape([batch, count, 1]), log_det.reshape([batch])))
    }
}

impl Bijection for Autoregressive {
    fn input(&self) -> Space {
        self.space
    }

    fn output(&self) -> Space {
        self.space
    }

    fn forward(&self, x: Points, context: &Context) -> Result<(Points, PerSample), FlowError> {
        let map: Map = &|space, x, numbers| self.map.forward(space, x, numbers);
        match self.given {
            Given::Data => self.in_turn(x, context, map),
            Given::Latent => self.at_once(x, context, map),
        }
    }

    fn inverse(&self, y: Points, context: &Context) -> Result<(Points, PerSample), FlowError> {
        let map: Map = &|space, y, numbers| self.map.inverse(space, y, numbers);
        match self.given {
            Given::Data => self.at_once(y, context, map),
            Given::Latent => self.in_turn(y, context, map),
        }
    }
}
