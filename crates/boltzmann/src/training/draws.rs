//! Draws in proportion to weights.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::temperatures::is_even;

/// What weights and those before them add up to.
pub struct Draws(Vec<f64>);

impl Draws {
    /// Of weights that are not negative.
    pub fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        let sums = weights.into_iter().scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self(sums.collect())
    }

    /// None where all weights are the same.
    pub fn unless_even(weights: &[f64]) -> Option<Self> {
        (!is_even(weights)).then(|| Self::new(weights.iter().copied()))
    }

    /// The place of one, as likely as it weighs.
    pub fn one(&self, random: &mut ChaCha8Rng) -> usize {
        let Self(sums) = self;
        let total = sums.last().copied().unwrap_or_default();
        let place = random.random::<f64>() * total;
        let found = sums.partition_point(|sum| *sum <= place);
        found.min(sums.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn each_is_drawn_as_often_as_it_weighs() {
        let draws = Draws::unless_even(&[0.0, 3.0, 1.0, 0.0]).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0; 4];
        (0..4000).for_each(|_| counts[draws.one(&mut random)] += 1);
        assert_eq!((counts[0], counts[3]), (0, 0));
        // Four standard errors.
        assert!((counts[1] - 3000_i32).abs() < 110, "{counts:?}");
        assert!(Draws::unless_even(&[2.0, 2.0]).is_none());
    }
}
