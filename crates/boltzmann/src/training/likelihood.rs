//! Maximum likelihood: `min E −log q` over the data.

use boltzflow_flow::host;
use boltzflow_flow::parameters::gradients;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Losses, Split, chosen};
use crate::model::{InternalFlow, Located};

/// Configurations that one thread differentiates at a time.
const PIECE: usize = 64;

/// What is learnt from.
pub struct Likelihood {
    data: Split<Located>,
    /// Configurations that the flow cannot make, because they are outside its bounds.
    pub outside: usize,
}

impl Likelihood {
    /// `data` where the maps of the flow end; what is outside its bounds has no likelihood and is left out, counted.
    pub fn new(data: &Located, held_out: usize) -> Self {
        let is_inside = |row: &usize| data.log_det[*row].is_finite();
        let count = data.log_det.len();
        Self {
            data: Split::new(count, held_out, |rows| {
                let inside: Vec<usize> = rows.iter().copied().filter(is_inside).collect();
                data.select(&inside)
            }),
            outside: (0..count).filter(|row| !is_inside(row)).count(),
        }
    }

    /// Configurations for training and held out.
    pub fn counts(&self) -> [usize; 2] {
        [
            self.data.train.log_det.len(),
            self.data.held_out.log_det.len(),
        ]
    }

    /// The loss of new configurations, with its gradient.
    pub fn losses(&self, flow: &InternalFlow, count: usize, random: &mut ChaCha8Rng) -> Losses {
        let train = &self.data.train;
        let batch = train.select(&chosen(train.log_det.len(), count, random));
        let points = batch.points.par_chunks(PIECE * batch.size);
        let pieces = points.zip(batch.log_det.par_chunks(PIECE));
        let pieces = pieces.map(|(points, log_det)| {
            let maps = flow.trainable();
            let loss = flow
                .negative_log_likelihood(&maps, points)
                .expect("points are of the flow's space");
            let gradients = gradients(&maps, &loss.backward());
            (host(loss)[0] - log_det.iter().sum::<f64>(), gradients)
        });
        Losses {
            pieces: pieces.collect(),
            count: count as f64,
        }
    }

    /// The loss of all that is held out: the sum, and of how many configurations.
    pub fn held_out(&self, flow: &InternalFlow) -> (f64, f64) {
        let held_out = &self.data.held_out;
        let points = held_out.points.par_chunks(PIECE * held_out.size);
        let losses: Vec<f64> = points
            .map(|points| {
                let loss = flow.negative_log_likelihood(flow.maps(), points);
                host(loss.expect("points are of the flow's space"))[0]
            })
            .collect();
        let constant: f64 = held_out.log_det.iter().sum();
        let count = held_out.log_det.len() as f64;
        (losses.iter().sum::<f64>() - constant, count)
    }
}
