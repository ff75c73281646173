//! What the program is told.

mod batch;
mod system;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use boltzflow_boltzmann::System;
use boltzflow_flow::simd::Level;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::device;
pub use batch::{Shard, TimeLimit, duration, threads_of_environment};
pub use system::SystemArguments;

/// Conformers with exact log-densities and Boltzmann weights, from equivariant normalizing flows.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110)]
pub struct Cli {
    /// Threads to use [default: SLURM_CPUS_PER_TASK, else OMP_NUM_THREADS, else all].
    #[arg(long, global = true, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub threads: Option<u64>,
    /// Where networks are evaluated; `wgpu` is in programs built with `make gpu`.
    #[arg(long, global = true, value_enum, default_value_t = device::Kind::Cpu)]
    pub device: device::Kind,
    /// Vector instructions to use, because results are the same bits within one level only [default: the best of this processor].
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    pub simd: Option<Simd>,
    /// Print results as one JSON object.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Simd {
    /// What every processor of this kind has.
    Baseline,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512.
    Avx512,
}

impl From<Simd> for Level {
    fn from(simd: Simd) -> Self {
        match simd {
            Simd::Baseline => Self::Baseline,
            Simd::Avx2 => Self::Avx2,
            Simd::Avx512 => Self::Avx512,
        }
    }
}

/// TOML, in which configs and plans are kept, knows no larger numbers.
const SEEDS: std::ops::RangeInclusive<u64> = 0..=i64::MAX as u64;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Says what a structure file, checkpoint or file of samples holds.
    #[command(after_help = "Example:\n  boltzflow info data/butane.xyz")]
    Info(Info),
    /// Prints energies and gradient norms of the structures of a file.
    #[command(after_help = "Example:\n  boltzflow energy data/butane.xyz --smiles CCCC")]
    Energy(Energy),
    /// Runs temperature replica exchange and writes the frames of the lowest temperature, or of all.
    #[command(
        after_help = "Example:\n  boltzflow simulate --target dw4 -n 2000 -o dw4.npz --seed 1"
    )]
    Simulate(Simulate),
    /// Trains a flow by flow matching or likelihood (of a continuous flow, through its solve; of one with auxiliary points, of both together), on configurations, or along the energy, or fits one in closed form; goes on where a checkpoint of the same run stands.
    #[command(
        after_help = "Example:\n  boltzflow train --target dw4 --data dw4.npz --config configs/dw4-hollow.toml -o dw4.safetensors"
    )]
    Train(Train),
    /// Draws samples with their exact log-densities.
    #[command(
        after_help = "Example:\n  boltzflow sample dw4.safetensors -n 1000 -o samples.npz --seed 1"
    )]
    Sample(Sample),
    /// Joins the shards of one run, checking that each sample is there once.
    #[command(
        after_help = "Example:\n  boltzflow sample dw4.safetensors -n 1000 --seed 1 --shard 0/2 -o shard-0.npz\n  boltzflow sample dw4.safetensors -n 1000 --seed 1 --shard 1/2 -o shard-1.npz\n  boltzflow merge shard-0.npz shard-1.npz -o merged.npz"
    )]
    Merge(Merge),
    /// Evaluates the log-densities of given configurations; of a flow with auxiliary points these are averaged out, which leaves an error. With the molecule named, mirror images are folded: the right one of a chiral
    /// molecule has twice the flow's density, another stereoisomer none. A flow of a range of temperatures has its densities at --temperature, or
    /// else at that of its system in training.
    #[command(after_help = "Example:\n  boltzflow density dw4.safetensors dw4.npz -o density.npz")]
    Density(Density),
    /// Weights samples against energies: effective sample size, Pareto k̂, ln Z, populations.
    #[command(after_help = "Example:\n  boltzflow reweight samples.npz --target dw4")]
    Reweight(Reweight),
    /// Compares a flow with reference configurations: negative log-likelihood, energy distances, forward effective sample size, free-energy
    /// profiles and populations of torsions.
    #[command(
        after_help = "Example:\n  boltzflow evaluate dw4.safetensors --target dw4 --reference dw4.npz --samples samples.npz"
    )]
    Evaluate(Evaluate),
    /// Trains the flows of a list, each on every target, and prints what they are worth beside each other; goes on where it stood, row by row.
    #[command(after_help = "Example:\n  boltzflow compare configs/families.toml -o data/families")]
    Compare(Compare),
    /// Does the whole job for one molecule: simulates, trains, samples, reweights, writes.
    #[command(
        after_help = "Example:\n  boltzflow generate data/butane.xyz --smiles CCCC -n 1000 -o butane.sdf --seed 1"
    )]
    Generate(Generate),
}

impl Command {
    /// Whether it goes on where it stood: then a signal lets it save first. The others are done again, and a signal ends them at once.
    pub fn saves_its_work(&self) -> bool {
        matches!(
            self,
            Self::Simulate(_)
                | Self::Train(_)
                | Self::Sample(_)
                | Self::Compare(_)
                | Self::Generate(_)
        )
    }
}

/// See [`Command::Info`].
#[derive(Args, Debug)]
pub struct Info {
    /// The file.
    pub input: PathBuf,
}

/// See [`Command::Energy`].
#[derive(Args, Debug)]
pub struct Energy {
    /// Structures (PDB, XYZ, SDF; any number); or, of a toy or a --molecule, configurations (NPZ), or a trajectory.
    pub input: PathBuf,
    #[command(flatten)]
    pub system: SystemArguments,
}

/// See [`Command::Simulate`].
#[derive(Args, Debug)]
pub struct Simulate {
    #[command(flatten)]
    pub system: SystemArguments,
    /// Frames to record at the lowest temperature.
    #[arg(short = 'n', long, default_value_t = 10_000)]
    pub count: u64,
    /// The NPZ file to write.
    #[arg(short, long)]
    pub output: PathBuf,
    /// Seed of all random numbers.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(SEEDS))]
    pub seed: u64,
    /// Temperatures of the ladder, from the system's own up to --hottest times it.
    #[arg(long, default_value_t = 6)]
    pub replicas: u64,
    /// The hottest temperature, as a multiple of the lowest.
    #[arg(long, default_value_t = 3.0)]
    pub hottest: f64,
    /// Independent ladders, run side by side.
    #[arg(long, default_value_t = 2)]
    pub ladders: u64,
    /// Rounds between recorded frames.
    #[arg(long, default_value_t = 10)]
    pub stride: u64,
    /// Rounds before the first frame.
    #[arg(long, default_value_t = 1000)]
    pub burn_in: u64,
    /// Record the frames of every replica, each with its temperature, in place of those at the lowest alone: as many at each, for flows of a
    /// range of temperatures to learn from.
    #[arg(long)]
    pub all_temperatures: bool,
    /// Start all replicas but one from embedded conformers in place of the given structure, so that rings and torsions that hardly turn are seen in
    /// more than one state. (`generate` does so.) Populations of states that do not turn into one another are then those of the starts, whatever
    /// their errors say.
    #[arg(long)]
    pub embed: bool,
    /// Replace an existing output.
    #[arg(long)]
    pub overwrite: bool,
    #[command(flatten)]
    pub limit: TimeLimit,
}

/// See [`Command::Train`].
#[derive(Args, Debug)]
pub struct Train {
    #[command(flatten)]
    pub system: SystemArguments,
    /// Configurations to learn from (NPZ, as `simulate` writes; of a molecule also structures and trajectories), each as often as it weighs where the file says that (the tag POPULATION or WEIGHT, the array `weights`); none where the experiment learns from the energy alone.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// The experiment (TOML).
    #[arg(long)]
    pub config: PathBuf,
    /// The checkpoint to write, and to go on from.
    #[arg(short, long)]
    pub output: PathBuf,
    /// A trained flow of the same molecule and the same model to start from, in place of random parameters.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Start afresh where a checkpoint of another run stands.
    #[arg(long)]
    pub overwrite: bool,
    #[command(flatten)]
    pub limit: TimeLimit,
}

/// See [`Command::Sample`].
#[derive(Args, Debug)]
pub struct Sample {
    /// The trained flow.
    pub checkpoint: PathBuf,
    /// Samples of the whole run, all shards together.
    #[arg(short = 'n', long)]
    pub count: u64,
    /// The NPZ file to write.
    #[arg(short, long)]
    pub output: PathBuf,
    /// Seed: sample k is a function of it and of k.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(SEEDS))]
    pub seed: u64,
    /// Draw only the chunks ≡ i (mod n), `i/n`; `auto` takes them from Slurm's array variables.
    #[arg(long, value_name = "i/n")]
    pub shard: Option<String>,
    /// The temperature in K to draw for, one of those that the flow was trained for [default: that of its system].
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// Fixed steps of the solver, in place of the checkpoint's.
    #[arg(long)]
    pub steps: Option<usize>,
    /// Replace an output of another run.
    #[arg(long)]
    pub overwrite: bool,
    #[command(flatten)]
    pub limit: TimeLimit,
}

/// See [`Command::Merge`].
#[derive(Args, Debug)]
pub struct Merge {
    /// The shards.
    #[arg(required = true)]
    pub inputs: Vec<PathBuf>,
    /// The NPZ file to write.
    #[arg(short, long)]
    pub output: PathBuf,
    /// Replace an existing output.
    #[arg(long)]
    pub overwrite: bool,
}

/// See [`Command::Density`].
#[derive(Args, Debug)]
pub struct Density {
    /// The trained flow.
    pub checkpoint: PathBuf,
    /// Configurations (NPZ; with the --molecule named, also structures and trajectories).
    pub input: PathBuf,
    #[command(flatten)]
    pub system: SystemArguments,
    /// The NPZ file to write.
    #[arg(short, long)]
    pub output: PathBuf,
    /// Seed of the flow's own samples, and of Hutchinson's probes where the divergence is estimated.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(SEEDS))]
    pub seed: u64,
    /// Samples of the flow itself that configurations are compared with: `percentile` is the part of these that is less usual, by its log-density
    /// or by its log-determinant, so that what is below 1 is unlike them [default: 2000; 0, for none, where a sample takes an ODE].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub own_samples: Option<u64>,
    /// Draws of auxiliary points that `log q` of positions is averaged over, of a flow that has such points [default: 20].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub draws: Option<u64>,
    /// Replace an existing output.
    #[arg(long)]
    pub overwrite: bool,
}

/// See [`Command::Reweight`].
#[derive(Args, Debug)]
pub struct Reweight {
    /// Samples (NPZ, as `sample` and `merge` write).
    pub samples: PathBuf,
    #[command(flatten)]
    pub system: SystemArguments,
    /// Weighted structures to write (SDF or extended XYZ by extension).
    #[arg(short, long)]
    pub output: Option<PathBuf>,
    /// Weighted dihedral histograms with errors to write (JSON or NPZ by extension).
    #[arg(long, value_name = "FILE")]
    pub histograms: Option<PathBuf>,
    /// Core-seconds that drawing the samples took, for the rate of effective samples.
    #[arg(long, value_name = "SECONDS")]
    pub sampling_core_seconds: Option<f64>,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(SEEDS))]
    pub seed: u64,
    /// Replace existing outputs.
    #[arg(long)]
    pub overwrite: bool,
}

/// See [`Command::Evaluate`].
#[derive(Args, Debug)]
pub struct Evaluate {
    /// The trained flow.
    pub checkpoint: PathBuf,
    #[command(flatten)]
    pub system: SystemArguments,
    /// Reference configurations that were not trained on (NPZ or NPY).
    #[arg(long)]
    pub reference: PathBuf,
    /// Take only this many of them, evenly spread, for densities and energies; profiles and populations of torsions are always those of all.
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..))]
    pub reference_count: Option<u64>,
    /// Samples of the flow, to compare energies and torsions, and to weight.
    #[arg(long)]
    pub samples: Option<PathBuf>,
    /// Free-energy profiles of torsions to write, by the samples' weights and in the reference, with errors (JSON or NPZ by extension).
    #[arg(long, requires = "samples", value_name = "FILE")]
    pub profiles: Option<PathBuf>,
    /// The most pairs of φ and ψ that T-W2 assigns on either side.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=20_000))]
    pub torsion_pairs: u64,
    /// Energy calls that the whole reference took: prints its effective samples beside the flow's at equal cost.
    #[arg(long, requires = "samples", value_name = "COUNT")]
    pub reference_calls: Option<NonZeroU64>,
    /// Energy calls that the flow's training data took; those of its samples are added.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub training_calls: u64,
    /// Draws of auxiliary points that the likelihood is averaged over, of a flow that has such points [default: 20].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub draws: Option<u64>,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Replace existing profiles.
    #[arg(long)]
    pub overwrite: bool,
}

/// See [`Command::Compare`].
#[derive(Args, Debug)]
pub struct Compare {
    /// The list (TOML): targets, flows and their experiments.
    pub list: PathBuf,
    /// The folder of results: checkpoints, logs, and what was found, a TOML file for each row.
    #[arg(short, long)]
    pub output: PathBuf,
    /// Make again what is of another comparison.
    #[arg(long)]
    pub overwrite: bool,
    #[command(flatten)]
    pub limit: TimeLimit,
}

/// See [`Command::Generate`].
#[derive(Args, Debug)]
pub struct Generate {
    /// The molecule's structure file (PDB, XYZ, SDF); none with --target.
    pub input: Option<PathBuf>,
    #[command(flatten)]
    pub system: SystemArguments,
    /// Samples to draw; with --budget as many as there is time for, if not given.
    #[arg(short = 'n', long, required_unless_present = "budget")]
    pub count: Option<u64>,
    /// The file to write: weighted structures (SDF or extended XYZ by extension); of a toy, which has none, only what stands beside it.
    #[arg(short, long)]
    pub output: PathBuf,
    /// Seed of everything; that of the training is the config's, where one is given.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(SEEDS))]
    pub seed: u64,
    /// A trained flow of this molecule, in place of simulation and training.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// The experiment (TOML), in place of the built-in one.
    #[arg(long, value_name = "FILE", conflicts_with = "checkpoint")]
    pub config: Option<PathBuf>,
    /// The family of flows to train [default: spline; egnn for a toy, which has no bonds].
    #[arg(long, value_enum, conflicts_with_all = ["checkpoint", "config"])]
    pub flow: Option<Family>,
    /// Frames to simulate and learn from [default: 16000].
    #[arg(long, conflicts_with_all = ["checkpoint", "budget"], value_parser = clap::value_parser!(u64).range(2..))]
    pub frames: Option<u64>,
    /// Choose frames and training steps so that the whole takes about this long here, such as 90s, 10m or 2h. The counts are kept in
    /// OUTPUT.plan.toml, and a resumed run uses them again.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub budget: Option<Duration>,
    /// Draw only the chunks ≡ i (mod n), `i/n`, of a run with --checkpoint, which its shards share; `auto` takes them from Slurm's
    /// array variables. Each shard has its own OUTPUT; `merge` joins their OUTPUT.samples.npz, and `reweight` weights the whole.
    #[arg(long, value_name = "i/n", requires = "checkpoint")]
    pub shard: Option<String>,
    /// Replace an existing output.
    #[arg(long)]
    pub overwrite: bool,
    #[command(flatten)]
    pub limit: TimeLimit,
}

/// A family of flows that is trained as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Coupled splines of internal coordinates.
    Spline,
    /// Coupled smooth bump maps of internal coordinates, slower than splines.
    Bump,
    /// Coupled affine maps of internal coordinates.
    Realnvp,
    /// The same with invertible linear maps between.
    Glow,
    /// Coupled shifts of internal coordinates.
    Nice,
    /// A masked autoregressive flow of splines: fast densities.
    Maf,
    /// An inverse autoregressive flow of splines: fast samples.
    Iaf,
    /// A continuous E(n)-equivariant flow of positions.
    Egnn,
    /// Equivariant couplings of positions and auxiliary points: positions without an ODE.
    Augmented,
    /// Internal coordinates that do not depend on one another, fitted in closed form: what the others have to beat.
    Independent,
    /// The same with the dependence of a normal distribution.
    Copula,
}

impl Generate {
    /// The family that was asked for, or the usual one.
    pub fn family(&self, system: &System) -> Family {
        let usual = if system.molecule.is_some() {
            Family::Spline
        } else {
            Family::Egnn
        };
        self.flow.unwrap_or(usual)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_example_of_every_verb_is_understood_and_its_files_are_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            let examples: Vec<&str> = help
                .lines()
                .map(str::trim)
                .filter(|line| line.starts_with("boltzflow "))
                .collect();
            assert!(!examples.is_empty(), "{} has no example", verb.get_name());
            for example in examples {
                let words = example.split_whitespace();
                assert!(
                    Cli::try_parse_from(words.clone()).is_ok(),
                    "{example} is refused"
                );
                for file in
                    words.filter(|word| word.starts_with("data/") || word.starts_with("configs/"))
                {
                    assert!(root.join(file).exists(), "{file} of {example} is missing");
                }
            }
        }
    }
}
