//! Streams of random numbers that are functions of a seed, a purpose and a sample's number.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream's numbers are for; streams of different purposes share nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A sample's latent point.
    Latents,
    /// A sample's directions in Hutchinson's estimate.
    Probes,
    /// A sample's auxiliary coordinates.
    Augmentation,
    /// Auxiliary coordinates that a sample's density is averaged over.
    Marginal,
    /// A module's initial parameters.
    Parameters,
    /// What a training step draws: its data, times and noise.
    Training,
    /// How samples are moved that a flow learns from.
    Moves,
    /// Which samples of its own a flow learns from.
    Own,
    /// What fills up the coordinates of a configuration that were rounded.
    Quantum,
    /// Which of points that are alike is which.
    Labels,
}

impl Purpose {
    /// Part of the key.
    fn domain(self) -> &'static [u8; 16] {
        match self {
            Self::Latents => b"flow/latents    ",
            Self::Probes => b"flow/probes     ",
            Self::Augmentation => b"flow/augment    ",
            Self::Marginal => b"flow/marginal   ",
            Self::Parameters => b"flow/parameters ",
            Self::Training => b"flow/training   ",
            Self::Moves => b"flow/moves      ",
            Self::Own => b"flow/own        ",
            Self::Quantum => b"flow/quantum    ",
            Self::Labels => b"flow/labels     ",
        }
    }
}

/// The stream of one sample (or training step, or module) from its beginning: ChaCha8 (Bernstein 2008) whose key is the seed and the
/// purpose, and whose nonce is the number, so that any of them can be drawn without the others, in any order, on any thread.
pub fn stream(seed: u64, purpose: Purpose, number: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..24].copy_from_slice(purpose.domain());
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(number);
    generator
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    fn first(seed: u64, purpose: Purpose, number: u64) -> u64 {
        stream(seed, purpose, number).random()
    }

    #[test]
    fn streams_differ_in_seed_purpose_and_number() {
        let all = [
            first(0, Purpose::Latents, 0),
            first(1, Purpose::Latents, 0),
            first(0, Purpose::Latents, 1),
            first(0, Purpose::Probes, 0),
            first(0, Purpose::Augmentation, 0),
            first(0, Purpose::Marginal, 0),
            first(0, Purpose::Parameters, 0),
            first(0, Purpose::Training, 0),
            first(0, Purpose::Moves, 0),
            first(0, Purpose::Own, 0),
            first(0, Purpose::Quantum, 0),
            first(0, Purpose::Labels, 0),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(
                !all[..place].contains(one),
                "stream {place} repeats another"
            );
        }
    }

    #[test]
    fn a_stream_is_a_function_of_its_arguments() {
        assert_eq!(first(5, Purpose::Latents, 9), first(5, Purpose::Latents, 9));
    }
}
