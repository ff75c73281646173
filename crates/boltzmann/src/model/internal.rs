//! Flows of internal coordinates.

mod fitted;
mod labelling;
mod learning;
#[cfg(test)]
mod tests;

use boltzflow_flow::parameters::unflatten;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{
    Actnorm, Attention, Autoregressive, Bijection, Chain, Chart, Context, Coupling, Direction,
    Elementwise, FlowError, Frame, Given, Initializer, Layer, LowerUpper, NetworkConfig, Placed,
    Points, Prior, ProductPrior, Rounds, Samples, Size, Space, host,
};
use boltzflow_molecule::{self as molecule, BondOrder, Conformers, Molecule, ZMatrix};
use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use fitted::Fitted;

use super::{ArchitectureError, Drawn, batch};
use crate::config::{Between, InternalConfig, Network, Scheme};
use crate::features::Features;
use crate::system::{Reference, System};
use crate::temperatures::Temperatures;

/// Configurations that are turned into internal coordinates at a time.
const CHUNK: usize = 256;
/// The seed of the fixed halves of couplings: which they are belongs to the flow, not to a training of it.
const HALVES: u64 = 0x6861_6c76_6573;
/// What a flow of internal coordinates is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Internal {
    /// Its maps.
    pub model: InternalConfig,
    /// Which distances, angles and dihedrals place each atom.
    pub frame: Frame,
    /// What these are like in the data.
    pub chart: Chart,
    /// The temperature of the system that it is for, in K; the coldest of a range.
    pub temperature: f64,
    /// The order of each bond, where its networks are told what coordinates are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<Vec<BondOrder>>,
}

impl Internal {
    pub(super) fn new(
        model: InternalConfig,
        system: &System,
        data: &Conformers,
    ) -> Result<Self, ArchitectureError> {
        let (molecule, turning, frame) = frame_of(system)?;
        let standard = learning::Standard {
            map: model.map,
            stiff: model.stiff,
            margin: model.margin,
            hottest: model.hottest,
        };
        let chart = if data.is_empty() {
            learning::of_minimum(standard, &frame, &turning, system)?
        } else {
            let (internal, _) = internal_coordinates(&frame, data)?;
            learning::of_data(standard, &frame, &internal)?
        };
        Ok(Self {
            orders: labelling::orders(&model, molecule),
            model,
            frame,
            chart,
            temperature: system.temperature,
        })
    }

    fn temperatures(&self) -> Temperatures {
        Temperatures::new(self.temperature, self.model.hottest)
    }

    pub(super) fn flaw(&self, features: &Features) -> Option<&'static str> {
        let is_labelled = matches!(self.model.network, Network::Attention(_));
        let orders = self.orders.as_ref().map(Vec::len);
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            Some("its temperature is not above 0 and finite")
        } else if orders != is_labelled.then_some(features.bonds.len()) {
            Some("its orders are not one for each bond, where its network sees them, and else none")
        } else if is_labelled && features.elements.len() != features.points {
            Some("its network is told of elements, which are not one for each atom")
        } else {
            flaw(
                &self.frame,
                &self.chart,
                self.model.map,
                [features.points, features.dims],
            )
        }
    }
}

/// The molecule, the places whose dihedrals go round, and which distances, angles and dihedrals place each atom.
fn frame_of(system: &System) -> Result<(&Molecule, Vec<usize>, Frame), ArchitectureError> {
    let Some(Reference { molecule, .. }) = &system.molecule else {
        return Err(ArchitectureError::Toy {
            name: system.name.clone(),
        });
    };
    let zmatrix = ZMatrix::new(molecule, system.start.get(0))?;
    let places = zmatrix.places().iter().map(placed).collect();
    Ok((molecule, zmatrix.turning(molecule), Frame::new(places)?))
}

/// What of frame, chart and maps does not fit together.
fn flaw(
    frame: &Frame,
    chart: &Chart,
    map: Elementwise,
    [points, dims]: [usize; 2],
) -> Option<&'static str> {
    let coordinates: usize = frame.counts().iter().sum();
    let (bounded, rounds) = shape(map);
    if frame.points() != points || dims != 3 {
        Some("its internal coordinates are not those of its atoms")
    } else if chart.rounds != rounds || chart.bounds.is_empty() == bounded {
        Some("its coordinates are not on what its maps act on")
    } else {
        chart.flaw(coordinates)
    }
}

/// Whether a map acts between bounds, and what torsions are to it.
fn shape(map: Elementwise) -> (bool, Rounds) {
    match map {
        Elementwise::Additive => (false, Rounds::Circles),
        Elementwise::Affine => (false, Rounds::Lines),
        Elementwise::Spline { .. } | Elementwise::Bump { .. } => (true, Rounds::Circles),
    }
}

fn placed(place: &molecule::Place) -> Placed {
    Placed {
        point: place.atom,
        references: place.references.clone(),
        direction: match place.direction {
            molecule::Direction::Polar => Direction::Polar,
            molecule::Direction::Straight => Direction::Straight,
        },
    }
}

/// Internal coordinates, configuration by configuration, and their `−log_det`.
fn internal_coordinates(
    frame: &Frame,
    data: &Conformers,
) -> Result<(Vec<f64>, Vec<f64>), FlowError> {
    let chunks = data.positions().par_chunks(CHUNK * data.size());
    let parts = chunks.map(|positions| {
        let x = double(positions, [data.points(), data.dims()]);
        let (internal, log_det) = frame.inverse(&x)?;
        Ok((host(internal), host(log_det)))
    });
    let parts = parts.collect::<Result<Vec<_>, FlowError>>()?;
    let (mut internal, mut log_det) = (Vec::new(), Vec::new());
    for (coordinates, change) in parts {
        internal.extend(coordinates);
        log_det.extend(change);
    }
    Ok((internal, log_det))
}

/// Host numbers in double precision, on the CPU: geometry is not left to single precision, nor to a GPU.
fn double(values: &[f64], [points, dims]: [usize; 2]) -> Points {
    let shape = [values.len() / (points * dims), points, dims];
    let data = TensorData::new(values.to_vec(), shape);
    Tensor::from_data(data, (&Device::flex(), DType::F64))
}

/// Normal numbers and even turns, carried through maps of single coordinates, spread as the data are, and put together to positions.
#[derive(Clone, Debug)]
pub struct InternalFlow {
    frame: Frame,
    chart: Chart,
    prior: ProductPrior,
    chain: Chain<Layer>,
    /// Of one temperature.
    context: Context,
    temperatures: Temperatures,
    /// The one that samples are drawn, and densities taken, at.
    temperature: f64,
    device: Device,
    /// Evaluations of the networks that a sample takes.
    passes: usize,
}

/// Configurations where the maps of a flow end, for training.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// Numbers of each.
    pub size: usize,
    /// The points, one after another.
    pub points: Vec<f64>,
    /// What is added to the log-density of a point to have that of its configuration; `−∞` where the flow makes no such configuration.
    pub log_det: Vec<f64>,
}

/// Reduced energies of some configurations, and what pushes their points.
#[derive(Clone, Debug, PartialEq)]
pub struct Potential {
    /// `u`, not a number for one that has none.
    pub energies: Vec<f64>,
    /// `−∂u/∂x`.
    pub forces: Vec<f64>,
}

/// What counts in [`InternalFlow::reverse`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// The longest slope of a sample.
    pub steepest: f64,
    /// What the likelihood of the weighted samples is multiplied with.
    pub own: f64,
}

/// Points under the target: where their atoms are, `−ln p`, and its slope.
struct Target {
    positions: Vec<f64>,
    minus_log_p: Vec<f64>,
    slope: Vec<f64>,
}

/// See [`InternalFlow::reverse`].
#[derive(Clone, Debug)]
pub struct Reverse {
    /// A number without meaning whose gradient is that of the divergence.
    pub surrogate: Tensor<1>,
    /// `Σ ln q − ln p`.
    pub value: f64,
    /// Samples whose slope was cut.
    pub cut: usize,
    /// Samples without a finite energy or density, which count neither here nor there.
    pub lost: usize,
    /// Positions of all, in Å.
    pub positions: Vec<f64>,
    /// `ln p − ln q` of each, `−∞` of those that are lost.
    pub log_weights: Vec<f64>,
}

impl Located {
    /// Some of them.
    pub fn select(&self, which: &[usize]) -> Self {
        let rows = which.iter();
        Self {
            size: self.size,
            points: rows
                .clone()
                .flat_map(|k| &self.points[k * self.size..(k + 1) * self.size])
                .copied()
                .collect(),
            log_det: rows.map(|&k| self.log_det[k]).collect(),
        }
    }
}

impl InternalFlow {
    pub(super) fn new(
        parts: &Internal,
        features: &Features,
        seed: u64,
        device: &Device,
    ) -> Result<Self, FlowError> {
        let space = parts.chart.space();
        let mut random = stream(seed, Purpose::Parameters, 0);
        let mut make = Initializer {
            random: &mut random,
            device,
            dtype: DType::F32,
        };
        let passes = match parts.model.scheme {
            Scheme::Coupling | Scheme::Iaf => 1,
            Scheme::Maf => space.points(),
        };
        Ok(Self {
            frame: parts.frame.clone(),
            chart: parts.chart.clone(),
            prior: parts.chart.prior(),
            chain: Chain::new(layers(&parts.model, space, &mut make)?)?,
            context: labelling::context(parts, features, device)?,
            temperatures: parts.temperatures(),
            temperature: parts.temperature,
            device: device.clone(),
            passes,
        }
        .at(parts.temperature))
    }

    /// The same flow at another of its temperatures, in K.
    pub fn at(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self.context = self.context_of(&[temperature]);
        self
    }

    /// The temperatures that it is for.
    pub fn temperatures(&self) -> Temperatures {
        self.temperatures
    }

    /// The one that it is at.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// What networks are told of rows at these temperatures, one for each or one for all: nothing where there is no other.
    fn context_of(&self, temperatures: &[f64]) -> Context {
        let features: Vec<f32> = temperatures
            .iter()
            .map(|&temperature| self.temperatures.feature(temperature) as f32)
            .collect();
        let global = self.temperatures.are_many().then(|| {
            let data = TensorData::new(features, [temperatures.len(), 1]);
            Tensor::from_data(data, (&self.device, DType::F32))
        });
        Context {
            global,
            ..self.context.clone()
        }
    }

    pub(super) fn with_parameters(mut self, parameters: &[f32]) -> Self {
        self.chain = unflatten(self.chain, parameters);
        self
    }

    /// How many atoms there are.
    pub fn points(&self) -> usize {
        self.frame.points()
    }

    /// How many internal coordinates there are.
    pub fn coordinates(&self) -> usize {
        self.chart.len()
    }

    /// Two for every weight, in each pass that the networks take; of attention, as it counts them.
    pub(super) fn operations_per_sample(&self) -> f64 {
        let attention = self.chain.layers().iter().filter_map(|layer| match layer {
            Layer::Coupling(coupling) => coupling.attention(),
            _ => None,
        });
        let counted: f64 = attention.map(Attention::operations).sum();
        if counted > 0.0 {
            return counted;
        }
        let parameters = boltzflow_flow::parameters::flatten(&self.chain).len();
        (2 * parameters * self.passes) as f64
    }

    /// A copy of the maps whose parameters carry gradients, with leaves of its own.
    pub fn trainable(&self) -> Chain<Layer> {
        self.chain.clone().train()
    }

    /// The maps.
    pub fn maps(&self) -> &Chain<Layer> {
        &self.chain
    }

    /// `Σ −log q` of points where the maps end, each at its own temperature (or all at one, if one is given), under maps that may be those of
    /// [`InternalFlow::trainable`].
    pub fn negative_log_likelihood(
        &self,
        maps: &Chain<Layer>,
        points: &[f64],
        temperatures: &[f64],
    ) -> Result<Tensor<1>, FlowError> {
        let context = self.context_of(temperatures);
        let log_q = self.log_likelihoods(maps, points, &context)?;
        Ok(log_q.sum().neg())
    }

    /// The reverse divergence of samples with these latents, `Σ ln q − ln p`, at the flow's temperature, from
    /// `ln p = −u(x) + log |det ∂x/∂y|` with the reduced energies that `energies` answers; under maps as in
    /// [`InternalFlow::negative_log_likelihood`], whose gradient is that along the paths of the samples: `Σ ∂/∂y (ln q − ln p) · ∂y/∂θ`, with
    /// `ln q` as a function of the point alone. Its noise vanishes where `q` is `p`. The slope of a sample in its standard coordinates is cut to
    /// the length [`Terms::steepest`]; and the negative log-likelihood of the points as they are, weighted among themselves, is added with the
    /// factor [`Terms::own`].
    pub fn reverse(
        &self,
        maps: &Chain<Layer>,
        latents: &[f64],
        terms: Terms,
        energies: impl FnOnce(&[f64]) -> Potential,
    ) -> Result<Reverse, FlowError> {
        let size = self.coordinates();
        let z = self.batch(latents);
        let (y, _) = maps.forward(z, &self.context)?;
        let points = host(y.clone());
        let (log_q, slope_q) = self.log_density_and_slope(&points)?;
        let Target {
            positions,
            minus_log_p,
            slope: slope_p,
        } = self.target_and_slope(&points, energies)?;
        let mut slopes: Vec<f64> = slope_q.iter().zip(&slope_p).map(|(a, b)| a + b).collect();
        let (mut value, mut cut, mut lost) = (0.0, 0, 0);
        let mut log_weights = Vec::with_capacity(log_q.len());
        let widths = self.chart.widths();
        let divergences = log_q.iter().zip(minus_log_p).map(|(q, p)| q + p);
        for (slope, divergence) in slopes.chunks_mut(size).zip(divergences) {
            if !(divergence.is_finite() && slope.iter().all(|slope| slope.is_finite())) {
                lost += 1;
                log_weights.push(f64::NEG_INFINITY);
                slope.fill(0.0);
                continue;
            }
            value += divergence;
            log_weights.push(-divergence);
            let standard = slope
                .iter()
                .zip(&widths)
                .map(|(slope, width)| slope / width);
            let length = standard.map(|slope| slope * slope).sum::<f64>().sqrt();
            if length > terms.steepest {
                cut += 1;
                let part = terms.steepest / length;
                slope.iter_mut().for_each(|slope| *slope *= part);
            }
        }
        let slopes = self.batch(&slopes);
        let mut surrogate = (y * slopes).sum();
        if terms.own > 0.0 && lost < log_weights.len() {
            surrogate = surrogate + self.own(maps, &points, &log_weights)? * terms.own;
        }
        Ok(Reverse {
            surrogate,
            value,
            cut,
            lost,
            positions,
            log_weights,
        })
    }

    /// `ln q` of points where the maps end, and its slope.
    fn log_density_and_slope(&self, points: &[f64]) -> Result<(Vec<f64>, Vec<f64>), FlowError> {
        let leaf = self.batch(points);
        let leaf = leaf.autodiff().require_grad();
        let (z, log_det) = self.chain.inverse(leaf.clone(), &self.context)?;
        let log_q = self.prior.log_density_tensor(z) + log_det;
        let gradients = log_q.clone().sum().backward();
        let slope = leaf.grad(&gradients);
        let slope = slope.map_or_else(|| vec![0.0; points.len()], host);
        Ok((host(log_q), slope))
    }

    /// `−ln p = u(x) − log |det ∂x/∂y|` of points where the maps end, and its slope.
    fn target_and_slope(
        &self,
        points: &[f64],
        energies: impl FnOnce(&[f64]) -> Potential,
    ) -> Result<Target, FlowError> {
        let leaf = double(points, [self.coordinates(), 1]);
        let leaf = leaf.autodiff().require_grad();
        let (internal, chart) = self.chart.forward(&leaf)?;
        let (positions, frame) = self.frame.forward(&internal)?;
        let log_det = chart + frame;
        let log_dets = host(log_det.clone());
        let x = host(positions.clone());
        let Potential { energies, forces } = energies(&x);
        let forces = double(&forces, [self.frame.points(), 3]);
        let gradients = ((positions * forces).sum().neg() - log_det.sum()).backward();
        let slope = leaf.grad(&gradients);
        let slope = slope.map_or_else(|| vec![0.0; points.len()], host);
        let values = energies
            .into_iter()
            .zip(log_dets)
            .map(|(u, log_det)| u - log_det);
        Ok(Target {
            positions: x,
            minus_log_p: values.collect(),
            slope,
        })
    }

    /// `Σ −log q` of points where the maps end, each weighted among them, so that all weights are as many as there are points.
    fn own(
        &self,
        maps: &Chain<Layer>,
        points: &[f64],
        log_weights: &[f64],
    ) -> Result<Tensor<1>, FlowError> {
        let highest = log_weights
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = log_weights
            .iter()
            .map(|log| (log - highest).exp())
            .collect();
        let scale = weights.len() as f64 / weights.iter().sum::<f64>();
        let scaled: Vec<f64> = weights.iter().map(|weight| scale * weight).collect();
        let log_q = self.log_likelihoods(maps, points, &self.context)?;
        let data = TensorData::new(scaled, [weights.len()]);
        let weights = Tensor::<1>::from_data(data, (&self.device, log_q.dtype()));
        Ok((log_q * weights).sum().neg())
    }

    /// Points of the maps' space: on the CPU in double precision, which their networks do not have, so that the two ways along a map agree however
    /// steep it is.
    fn batch(&self, values: &[f64]) -> Points {
        if self.device == Device::flex() {
            double(values, [self.coordinates(), 1])
        } else {
            batch(values, [self.coordinates(), 1], &self.device)
        }
    }

    /// `log q` of points where the maps end.
    fn log_likelihoods(
        &self,
        maps: &Chain<Layer>,
        points: &[f64],
        context: &Context,
    ) -> Result<Tensor<1>, FlowError> {
        let y = self.batch(points);
        let (z, log_det) = maps.inverse(y, context)?;
        Ok(self.prior.log_density_tensor(z) + log_det)
    }

    /// Latents of samples.
    pub fn latents(&self, samples: &Samples) -> Vec<f64> {
        self.prior.sample(samples)
    }

    /// Where the maps have to end for these configurations to come out.
    pub fn locate(&self, data: &Conformers) -> Result<Located, FlowError> {
        let size = self.coordinates();
        let (internal, frame_log_det) = internal_coordinates(&self.frame, data)?;
        let (y, log_det) = self.chart.inverse(&double(&internal, [size, 1]))?;
        let log_det = host(log_det).into_iter().zip(frame_log_det);
        Ok(Located {
            size,
            points: host(y),
            log_det: log_det.map(|(chart, frame)| chart + frame).collect(),
        })
    }

    pub(super) fn sample(&self, samples: &Samples) -> Result<Drawn, FlowError> {
        let size = self.coordinates();
        let latents = self.prior.sample(samples);
        let z = self.batch(&latents);
        let (y, maps) = self.chain.forward(z, &self.context)?;
        let (internal, chart) = self.chart.forward(&double(&host(y), [size, 1]))?;
        let (positions, frame) = self.frame.forward(&internal)?;
        let log_det = host(maps).into_iter().zip(host(chart + frame));
        Ok(Drawn {
            positions: host(positions),
            log_prior: self.prior.log_density(&latents),
            latents,
            log_det: log_det.map(|(maps, rest)| maps + rest).collect(),
        })
    }

    pub(super) fn density(&self, positions: &[f64]) -> Result<Drawn, FlowError> {
        let points = self.frame.points();
        let data = Conformers::new(points, 3, positions.to_vec());
        let located = self.locate(&data)?;
        let y = self.batch(&located.points);
        let (z, maps) = self.chain.inverse(y, &self.context)?;
        let latents = host(z);
        let log_det = host(maps).into_iter().zip(&located.log_det);
        Ok(Drawn {
            positions: positions.to_vec(),
            log_prior: self.prior.log_density(&latents),
            latents,
            log_det: log_det.map(|(maps, rest)| -(maps + rest)).collect(),
        })
    }
}

/// Features of the whole that networks see: that of the temperature, where there are several.
fn globals(model: &InternalConfig) -> usize {
    usize::from(model.hottest > 1.0)
}

/// What maps are told that draw nothing.
fn context(coordinates: usize, device: &Device, dtype: DType) -> Context {
    let samples = Samples {
        seed: 0,
        numbers: Vec::new(),
    };
    Context::alike(coordinates, samples, device, dtype)
}

/// The maps, the one nearest to the latents first.
fn layers(
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
