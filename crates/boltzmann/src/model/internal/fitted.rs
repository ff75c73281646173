//! Distributions of internal coordinates that are fitted in closed form.

#[cfg(test)]
mod tests;

use boltzflow_flow::normal::{cumulative, quantile};
use boltzflow_flow::parameters::flatten;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{
    Bijection, Chain, Chart, Domain, Elementwise, FlowError, Frame, Initializer, Layer, LowerUpper,
    Marginals, ProductPrior, Rotor, Scores, Spline, host,
};
use boltzflow_molecule::Conformers;
use burn::tensor::{DType, Device};
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use super::geometry::{CHUNK, Coordinates, Geometry, double};
use super::{InternalFlow, Located, context, flaw, learning};
use crate::config::{Dependence, FittedConfig, Stiffness};
use crate::features::Features;
use crate::model::ArchitectureError;
use crate::system::System;
use crate::temperatures::Temperatures;

/// What a fitted flow is made from. Stiff coordinates are scaled and not mixed, so that each is one of the molecule's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fitted {
    /// Its distributions.
    pub model: FittedConfig,
    /// Which distances, angles and dihedrals place each atom.
    pub frame: Frame,
    /// Those of them that are folded.
    pub rotors: Vec<Rotor>,
    /// Where the coordinates are in the data.
    pub chart: Chart,
    /// The temperature of the system that it is for, in K.
    pub temperature: f64,
}

impl Fitted {
    pub(in crate::model) fn new(
        model: FittedConfig,
        system: &System,
        data: &Conformers,
    ) -> Result<Self, ArchitectureError> {
        let coordinates = Coordinates::new(system, model.rotors)?;
        let standard = learning::Standard {
            map: map(&model),
            stiff: Stiffness::Scaled,
            margin: model.margin,
            hottest: 1.0,
        };
        let (geometry, chart) = learning::of_data(standard, &coordinates, data)?;
        Ok(Self {
            model,
            rotors: geometry.fold.rotors().to_vec(),
            frame: geometry.frame,
            chart,
            temperature: system.temperature,
        })
    }

    fn temperatures(&self) -> Temperatures {
        Temperatures::new(self.temperature, 1.0)
    }

    pub(in crate::model) fn flaw(&self, features: &Features) -> Option<&'static str> {
        let parts = (&self.frame, &self.rotors[..], &self.chart, self.temperature);
        flaw(parts, map(&self.model), features)
    }

    /// The flow before it is fitted: independent normal numbers and even turns.
    pub(in crate::model) fn flow(&self, device: &Device) -> Result<InternalFlow, FlowError> {
        let distribution = Distribution::new(&self.model, self.chart.prior());
        Ok(InternalFlow {
            geometry: Geometry::new(self.frame.clone(), self.rotors.clone())?,
            chart: self.chart.clone(),
            prior: distribution.start(),
            chain: distribution.chain((device, DType::F32))?,
            context: context(self.chart.len(), device, DType::F32),
            temperatures: self.temperatures(),
            temperature: self.temperature,
            device: device.clone(),
            passes: 1,
        })
    }

    /// The parameters of the flow that is fitted to configurations where its maps end, each counted so often; see
    /// [`crate::FitConfig::pseudo_count`].
    pub fn fit(
        &self,
        data: &Located,
        weights: &[f64],
        pseudo_count: f64,
    ) -> Result<Vec<f32>, FlowError> {
        let mut distribution = Distribution::new(&self.model, self.chart.prior());
        distribution.fit(data, weights, pseudo_count)?;
        let chain = distribution.chain((&Device::flex(), DType::F32))?;
        Ok(flatten(&chain))
    }
}

fn map(model: &FittedConfig) -> Elementwise {
    Elementwise::Spline { bins: model.bins }
}

/// Numbers in 0…1 with a spline each, from the prior or from correlated normal scores.
struct Distribution {
    model: FittedConfig,
    prior: ProductPrior,
    /// Of all splines.
    numbers: Vec<f64>,
    /// `U`, upper triangular with `R = U Uᵀ` the correlation of normal scores, row by row.
    factor: Vec<f64>,
}

impl Distribution {
    /// The prior itself.
    fn new(model: &FittedConfig, prior: ProductPrior) -> Self {
        let count = prior.space.points();
        Self {
            model: *model,
            numbers: vec![0.0; count * map(model).parameters()],
            factor: DMatrix::<f64>::identity(count, count).as_slice().to_vec(),
            prior,
        }
    }

    /// Where its maps start.
    fn start(&self) -> ProductPrior {
        match self.model.dependence {
            Dependence::Independent => self.prior.clone(),
            Dependence::Copula => ProductPrior::normal(self.prior.space.points()),
        }
    }

    /// Each coordinate by itself, and then the correlation of the scores that the data have there.
    fn fit(&mut self, data: &Located, weights: &[f64], pseudo_count: f64) -> Result<(), FlowError> {
        let numbers = (0..data.size).flat_map(|coordinate| {
            let values = data.points.iter().skip(coordinate).step_by(data.size);
            let histogram = self.histogram(values.zip(weights));
            self.spline(coordinate, &histogram, pseudo_count)
        });
        self.numbers = numbers.collect();
        if self.model.dependence == Dependence::Copula {
            let chain = self.chain((&Device::flex(), DType::F64))?;
            let scores = scores(&chain, data)?;
            let correlation = correlation((&scores, data.size), weights, pseudo_count);
            self.factor = upper_factor(&correlation)?;
        }
        Ok(())
    }

    /// What the configurations in each bin count together.
    fn histogram<'a>(&self, values: impl Iterator<Item = (&'a f64, &'a f64)>) -> Vec<f64> {
        let bins = self.model.bins;
        let mut counts = vec![0.0; bins];
        for (value, weight) in values {
            counts[((value * bins as f64) as usize).min(bins - 1)] += weight;
        }
        counts
    }

    /// The spline that carries the prior of a coordinate to its histogram: at every end of a bin, as much of either lies below.
    fn spline(&self, coordinate: usize, histogram: &[f64], pseudo_count: f64) -> Vec<f64> {
        let (bins, prior) = (self.model.bins, &self.prior);
        let count: f64 = histogram.iter().sum();
        let total = count + pseudo_count;
        let mut ends = vec![0.0];
        for end in 1..bins {
            let score = prior.score(coordinate, end as f64 / bins as f64);
            let part = |counts: &[f64], score: f64| {
                (counts.iter().sum::<f64>() + pseudo_count * cumulative(score)) / total
            };
            let (below, above) = histogram.split_at(end);
            let score = quantile(part(below, score), part(above, -score));
            ends.push(prior.at_score(coordinate, score));
        }
        ends.push(1.0);
        let widths: Vec<f64> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let domain = if coordinate < prior.bounds.len() {
            Domain::Interval
        } else {
            Domain::Circle
        };
        Spline { bins, domain }.through(&widths, &vec![1.0 / bins as f64; bins])
    }

    /// The maps.
    fn chain(&self, (device, dtype): (&Device, DType)) -> Result<Chain<Layer>, FlowError> {
        let make = Initializer {
            random: &mut stream(0, Purpose::Parameters, 0),
            device,
            dtype,
        };
        let space = self.prior.space;
        let map = map(&self.model);
        let marginals = Marginals::from_numbers(space, map, self.numbers.clone(), &make)?;
        let marginals = Layer::Marginals(marginals);
        if self.model.dependence == Dependence::Independent {
            return Chain::new(vec![marginals]);
        }
        let mixed = LowerUpper::from_matrix(self.start().space, &self.factor, &make)?;
        let scores = Scores::new(self.prior.clone());
        Chain::new(vec![
            Layer::LowerUpper(mixed),
            Layer::Scores(scores),
            marginals,
        ])
    }
}

/// Where the maps start for these points, one after another.
fn scores(chain: &Chain<Layer>, data: &Located) -> Result<Vec<f64>, FlowError> {
    let context = context(data.size, &Device::flex(), DType::F64);
    let mut all = Vec::with_capacity(data.points.len());
    for points in data.points.chunks(CHUNK * data.size) {
        let (z, _) = chain.inverse(double(points, [data.size, 1]), &context)?;
        all.extend(host(z));
    }
    Ok(all)
}

/// The correlation of scores, `size` of each configuration, with `pseudo_count` independent ones added.
fn correlation(
    (scores, size): (&[f64], usize),
    weights: &[f64],
    pseudo_count: f64,
) -> DMatrix<f64> {
    let mut products = DMatrix::<f64>::zeros(size, size);
    for (z, weight) in scores.chunks(size).zip(weights) {
        for i in 0..size {
            for j in 0..=i {
                products[(i, j)] += weight * z[i] * z[j];
            }
        }
    }
    let count: f64 = weights.iter().sum();
    let part = count / (count + pseudo_count);
    DMatrix::from_fn(size, size, |i, j| {
        let (i, j) = (i.max(j), i.min(j));
        let scale = (products[(i, i)] * products[(j, j)]).sqrt();
        match products[(i, j)] / scale {
            _ if i == j => 1.0,
            // There are no data.
            found if found.is_nan() => 0.0,
            found => part * found,
        }
    })
}

/// `U` of `R = U Uᵀ`, row by row: Cholesky's factor from the last coordinate to the first. Elimination leaves an upper triangle as it is, so that
/// the parameters of [`LowerUpper`] alone make it.
fn upper_factor(correlation: &DMatrix<f64>) -> Result<Vec<f64>, FlowError> {
    let size = correlation.nrows();
    let last = size.saturating_sub(1);
    let reversed = DMatrix::from_fn(size, size, |i, j| correlation[(last - i, last - j)]);
    let lower = reversed.cholesky().ok_or_else(|| FlowError::Unsupported {
        what: "correlations of single coordinates are not those of a distribution; give a larger fit.pseudo_count"
            .to_owned(),
    })?;
    let lower = lower.l();
    let entries = (0..size * size).map(|k| lower[(last - k / size, last - k % size)]);
    Ok(entries.collect())
}
