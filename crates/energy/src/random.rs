//! Streams of random numbers that are functions of a seed and a number.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

/// Keeps the streams of simulations apart from those that other parts of the program draw with the same seed.
const DOMAIN: &[u8; 8] = b"dynamics";

/// A counter-based stream (`ChaCha8`): its numbers depend on the seed, its number and its position, on nothing else.
#[derive(Clone, Debug)]
pub struct Stream {
    seed: u64,
    generator: ChaCha8Rng,
}

/// Where a [`Stream`] stands; continues it exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamState {
    seed: u64,
    number: u64,
    position: u64,
}

impl Stream {
    /// Stream `number` of `seed`, from its beginning.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(DOMAIN);
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(number);
        Self { seed, generator }
    }

    /// Continues where [`Stream::state`] was taken.
    pub fn resume(state: StreamState) -> Self {
        let mut stream = Self::new(state.seed, state.number);
        stream.generator.set_word_pos(u128::from(state.position));
        stream
    }

    /// Where it stands.
    pub fn state(&self) -> StreamState {
        StreamState {
            seed: self.seed,
            number: self.generator.get_stream(),
            position: u64::try_from(self.generator.get_word_pos())
                .expect("fewer than 2⁶⁴ words are drawn"),
        }
    }

    /// A number in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.generator.random()
    }

    /// A number from the standard normal distribution.
    pub fn normal(&mut self) -> f64 {
        self.generator.sample(StandardNormal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_stream_continues_with_the_same_numbers() {
        let mut stream = Stream::new(7, 3);
        for _ in 0..1001 {
            stream.normal();
            stream.uniform();
        }
        let mut resumed = Stream::resume(stream.state());
        for _ in 0..100 {
            assert_eq!(stream.normal().to_bits(), resumed.normal().to_bits());
            assert_eq!(stream.uniform().to_bits(), resumed.uniform().to_bits());
        }
    }

    #[test]
    fn streams_of_one_seed_differ() {
        assert_ne!(
            Stream::new(7, 3).uniform().to_bits(),
            Stream::new(7, 4).uniform().to_bits()
        );
        assert_ne!(
            Stream::new(7, 3).uniform().to_bits(),
            Stream::new(8, 3).uniform().to_bits()
        );
    }
}
