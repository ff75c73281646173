//! Flows of internal coordinates.

mod fitted;
mod geometry;
mod labelling;
mod learning;
mod maps;
#[cfg(test)]
mod tests;

use boltzflow_flow::parameters::unflatten;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{
    Attention, Bijection, Chain, Chart, Context, Elementwise, FlowError, Fold, Frame, Initializer,
    Layer, Prior, ProductPrior, Rotor, Rounds, Samples, host,
};
use boltzflow_molecule::{BondOrder, Conformers};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use fitted::Fitted;
pub(super) use geometry::double;

use super::reverse::{Paths, Potential, Target};
use super::{ArchitectureError, Drawn};
use crate::config::{InternalConfig, Network, Scheme};
use crate::features::Features;
use crate::system::System;
use crate::temperatures::Temperatures;
use geometry::{Coordinates, Geometry};

/// What a flow of internal coordinates is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Internal {
    /// Its maps.
    pub model: InternalConfig,
    /// Which distances, angles and dihedrals place each atom.
    pub frame: Frame,
    /// Those of them that are folded.
    pub rotors: Vec<Rotor>,
    /// What the coordinates are like in the data.
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
        let coordinates = Coordinates::new(system, model.rotors)?;
        let standard = learning::Standard {
            map: model.map,
            stiff: model.stiff,
            margin: model.margin,
            hottest: model.hottest,
        };
        let (geometry, chart) = if data.is_empty() {
            learning::of_minimum(standard, &coordinates, system)?
        } else {
            learning::of_data(standard, &coordinates, data)?
        };
        Ok(Self {
            orders: labelling::orders(&model, coordinates.molecule),
            model,
            rotors: geometry.fold.rotors().to_vec(),
            frame: geometry.frame,
            chart,
            temperature: system.temperature,
        })
    }

    fn temperatures(&self) -> Temperatures {
        Temperatures::new(self.temperature, self.model.hottest)
    }

    fn geometry(&self) -> Result<Geometry, FlowError> {
        Geometry::new(self.frame.clone(), self.rotors.clone())
    }

    pub(super) fn flaw(&self, features: &Features) -> Option<&'static str> {
        let is_labelled = matches!(self.model.network, Network::Attention(_));
        let orders = self.orders.as_ref().map(Vec::len);
        if orders != is_labelled.then_some(features.bonds.len()) {
            Some("its orders are not one for each bond, where its network sees them, and else none")
        } else if is_labelled && features.elements.len() != features.points {
            Some("its network is told of elements, which are not one for each atom")
        } else {
            let parts = (&self.frame, &self.rotors[..], &self.chart, self.temperature);
            flaw(parts, self.model.map, features)
        }
    }
}

/// What of frame, chart, temperature and maps does not fit together.
fn flaw(
    (frame, rotors, chart, temperature): (&Frame, &[Rotor], &Chart, f64),
    map: Elementwise,
    features: &Features,
) -> Option<&'static str> {
    let coordinates: usize = frame.counts().iter().sum();
    let (bounded, rounds) = shape(map);
    if frame.points() != features.points || features.dims != 3 {
        Some("its internal coordinates are not those of its atoms")
    } else if !are_groups(frame, rotors, features) {
        Some("its rotors are not groups of its atoms that are alike and turn together")
    } else if chart.rounds != rounds || chart.bounds.is_empty() == bounded {
        Some("its coordinates are not on what its maps act on")
    } else if !(temperature > 0.0 && temperature.is_finite()) {
        Some("its temperature is not above 0 and finite")
    } else {
        chart.flaw(coordinates)
    }
}

/// Whether rotors are of a frame, and of atoms of one element each.
fn are_groups(frame: &Frame, rotors: &[Rotor], features: &Features) -> bool {
    let element = |&place: &usize| features.elements.get(frame.places()[place].point);
    Fold::new(frame, rotors.to_vec()).is_ok()
        && rotors.iter().all(|Rotor { places, .. }| {
            places
                .windows(2)
                .all(|pair| element(&pair[0]) == element(&pair[1]))
        })
}

/// Whether a map acts between bounds, and what torsions are to it.
fn shape(map: Elementwise) -> (bool, Rounds) {
    match map {
        Elementwise::Additive => (false, Rounds::Circles),
        Elementwise::Affine => (false, Rounds::Lines),
        Elementwise::Spline { .. } | Elementwise::Bump { .. } => (true, Rounds::Circles),
    }
}

/// Normal numbers and even turns, carried through maps of single coordinates, spread as the data are, and put together to positions.
#[derive(Clone, Debug)]
pub struct InternalFlow {
    geometry: Geometry,
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
            geometry: parts.geometry()?,
            chart: parts.chart.clone(),
            prior: parts.chart.prior(),
            chain: Chain::new(maps::layers(&parts.model, space, &mut make)?)?,
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
        let feature = |&temperature: &f64| self.temperatures.feature(temperature) as f32;
        let global = self.temperatures.are_many().then(|| {
            let features: Vec<f32> = temperatures.iter().map(feature).collect();
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
        self.geometry.frame.points()
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

    /// `Σ −log q` of points where the maps end, each at its own temperature (or all at one, if one is given), under maps that may be those of
    /// [`Paths::trainable`].
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

    /// `log q` of each of such points.
    pub fn log_likelihoods_at(
        &self,
        points: &[f64],
        temperatures: &[f64],
    ) -> Result<Vec<f64>, FlowError> {
        let context = self.context_of(temperatures);
        Ok(host(self.log_likelihoods(&self.chain, points, &context)?))
    }

    /// Where the maps have to end for these configurations to come out.
    pub fn locate(&self, data: &Conformers) -> Result<Located, FlowError> {
        let size = self.coordinates();
        let (internal, frame_log_det) = self.geometry.inverse(data)?;
        let (y, log_det) = self.chart.inverse(&double(&internal, [size, 1]))?;
        let log_det = host(log_det).into_iter().zip(frame_log_det);
        Ok(Located {
            size,
            points: host(y),
            log_det: log_det.map(|(chart, frame)| chart + frame).collect(),
        })
    }

    /// Which of these configurations are between its bounds.
    pub(super) fn reachable(&self, data: &Conformers) -> Result<Vec<usize>, FlowError> {
        /// Configurations that are located at once.
        const PIECE: usize = 1024;
        let starts: Vec<usize> = (0..data.len()).step_by(PIECE).collect();
        let pieces = starts.into_par_iter().map(|start| {
            let rows: Vec<usize> = (start..data.len().min(start + PIECE)).collect();
            let located = self.locate(&data.select(&rows))?;
            let rows = rows.into_iter().zip(located.log_det);
            let inside = rows.filter(|(_, log_det)| log_det.is_finite());
            Ok(inside.map(|(row, _)| row).collect())
        });
        let pieces: Vec<Vec<usize>> = pieces.collect::<Result<_, FlowError>>()?;
        Ok(pieces.concat())
    }

    pub(super) fn sample(&self, samples: &Samples) -> Result<Drawn, FlowError> {
        let size = self.coordinates();
        let latents = self.prior.sample(samples);
        let z = self.batch(&latents);
        let (y, maps) = self.chain.forward(z, &self.context)?;
        let (internal, chart) = self.chart.forward(&double(&host(y), [size, 1]))?;
        let (positions, frame) = self.geometry.draw(&internal, samples)?;
        let log_det = host(maps).into_iter().zip(host(chart + frame));
        Ok(Drawn {
            positions: host(positions),
            log_prior: self.prior.log_density(&latents),
            latents,
            log_det: log_det.map(|(maps, rest)| maps + rest).collect(),
        })
    }

    pub(super) fn density(&self, positions: &[f64]) -> Result<Drawn, FlowError> {
        let data = Conformers::new(self.points(), 3, positions.to_vec());
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

impl Paths for InternalFlow {
    fn maps(&self) -> &Chain<Layer> {
        &self.chain
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn prior(&self) -> &dyn Prior {
        &self.prior
    }

    fn shape(&self) -> [usize; 2] {
        [self.coordinates(), 1]
    }

    fn widths(&self) -> Vec<f64> {
        self.chart.widths()
    }

    fn device(&self) -> &Device {
        &self.device
    }

    /// With `−ln p = u(x) − log |det ∂x/∂y|`, at the flow's temperature.
    fn target_and_slope(
        &self,
        points: &[f64],
        energies: impl FnOnce(&[f64]) -> Potential,
    ) -> Result<Target, FlowError> {
        let leaf = double(points, [self.coordinates(), 1]);
        let leaf = leaf.autodiff().require_grad();
        let (internal, chart) = self.chart.forward(&leaf)?;
        let (positions, frame) = self.geometry.forward(&internal)?;
        let log_det = chart + frame;
        let log_dets = host(log_det.clone());
        let x = host(positions.clone());
        let Potential { energies, forces } = energies(&x);
        let forces = double(&forces, [self.points(), 3]);
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
}

/// What maps are told that draw nothing.
fn context(coordinates: usize, device: &Device, dtype: DType) -> Context {
    let samples = Samples {
        seed: 0,
        numbers: Vec::new(),
    };
    Context::alike(coordinates, samples, device, dtype)
}
