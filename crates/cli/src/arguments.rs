//! What the program is told.

use std::num::NonZeroU64;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::System;
use boltzflow_chemio::{ReadOptions, Record, read};
use boltzflow_energy::{Implicit, Prmtop, Target, Variant};
use boltzflow_molecule::{Molecule, assign_bonds};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Conformers with exact log-densities and Boltzmann weights, from equivariant normalizing flows.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110)]
pub struct Cli {
    /// Threads to use [default: SLURM_CPUS_PER_TASK, else OMP_NUM_THREADS, else all].
    #[arg(long, global = true)]
    pub threads: Option<usize>,
    /// Print results as one JSON object.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Says what a structure file, checkpoint or file of samples holds.
    #[command(after_help = "Example:\n  boltzflow info data/butane.xyz")]
    Info(Info),
    /// Prints energies and gradient norms of the structures of a file.
    #[command(after_help = "Example:\n  boltzflow energy data/butane.xyz --smiles CCCC")]
    Energy(Energy),
    /// Runs temperature replica exchange and writes the frames of the lowest temperature.
    #[command(
        after_help = "Example:\n  boltzflow simulate --target dw4 -n 2000 -o dw4.npz --seed 1"
    )]
    Simulate(Simulate),
    /// Trains a flow on configurations by flow matching; goes on where a checkpoint of the same run stands.
    #[command(
        after_help = "Example:\n  boltzflow train --target dw4 --data dw4.npz --config configs/dw4.toml -o dw4.safetensors"
    )]
    Train(Train),
    /// Draws samples with their exact log-densities.
    #[command(
        after_help = "Example:\n  boltzflow sample dw4.safetensors -n 1000 -o samples.npz --seed 1"
    )]
    Sample(Sample),
    /// Joins the shards of one run, checking that each sample is there once.
    #[command(after_help = "Example:\n  boltzflow merge shard-0.npz shard-1.npz -o samples.npz")]
    Merge(Merge),
    /// Evaluates the log-densities of given configurations.
    #[command(after_help = "Example:\n  boltzflow density dw4.safetensors dw4.npz -o density.npz")]
    Density(Density),
    /// Weights samples against energies: effective sample size, Pareto k̂, ln Z, populations.
    #[command(after_help = "Example:\n  boltzflow reweight samples.npz --target dw4")]
    Reweight(Reweight),
    /// Compares a flow with reference configurations: negative log-likelihood, energy distances, forward effective sample size.
    #[command(
        after_help = "Example:\n  boltzflow evaluate dw4.safetensors --target dw4 --reference dw4.npz --samples samples.npz"
    )]
    Evaluate(Evaluate),
    /// Does the whole job for one molecule: simulates, trains, samples, reweights, writes.
    #[command(
        after_help = "Example:\n  boltzflow generate data/butane.xyz --smiles CCCC -n 1000 -o butane.sdf --seed 1"
    )]
    Generate(Generate),
}

/// What an AMBER topology is immersed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Solvent {
    /// Nothing.
    Vacuum,
    /// Hawkins, Cramer and Truhlar (1996).
    Hct,
    /// Onufriev, Bashford and Case (2004), model I.
    Obc1,
    /// Onufriev, Bashford and Case (2004), model II.
    Obc2,
}

impl From<Solvent> for Implicit {
    fn from(solvent: Solvent) -> Self {
        match solvent {
            Solvent::Vacuum => Self::Vacuum,
            Solvent::Hct => Self::Hct,
            Solvent::Obc1 => Self::Obc1,
            Solvent::Obc2 => Self::Obc2,
        }
    }
}

/// A toy, or a molecule under a force field.
#[derive(Args, Debug)]
pub struct SystemArguments {
    /// A toy target in place of a molecule: `dw4`, or `lj:N,eps,k`.
    #[arg(long)]
    pub target: Option<Target>,
    /// The toy's kT.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub kt: f64,
    /// The molecule's structure file (PDB, XYZ, SDF).
    #[arg(long, value_name = "FILE")]
    pub molecule: Option<PathBuf>,
    /// What the molecule is, where its file has no bonds.
    #[arg(long, value_name = "TEXT")]
    pub smiles: Option<String>,
    /// An SDF file that says what the molecule is, where its file has no bonds.
    #[arg(long, value_name = "FILE", conflicts_with = "smiles")]
    pub template: Option<PathBuf>,
    /// `mmff94`, `mmff94s`, or an AMBER topology, FILE.prmtop.
    #[arg(long, default_value = "mmff94s", value_name = "NAME|FILE")]
    pub force_field: String,
    /// The implicit solvent of an AMBER topology.
    #[arg(long, value_enum, default_value_t = Solvent::Vacuum)]
    pub implicit: Solvent,
    /// The temperature in K.
    #[arg(long, default_value_t = 300.0, allow_negative_numbers = true)]
    pub temperature: f64,
}

impl SystemArguments {
    /// Sets up what these arguments name; `input` is the molecule's file where the verb takes it as its own argument.
    pub fn system(&self, input: Option<&PathBuf>) -> Result<System> {
        match (self.target, input.or(self.molecule.as_ref())) {
            (Some(target), None) => Ok(System::toy(target, self.kt)?),
            (None, Some(path)) => {
                let record = read(path, &ReadOptions::default())?;
                self.molecular(record)
                    .with_context(|| format!("cannot set up the molecule of {}", path.display()))
            }
            (Some(_), Some(path)) => bail!(
                "both --target and {} were given; choose one",
                path.display()
            ),
            (None, None) => {
                bail!("nothing to sample: give a structure file, or --target dw4 or lj:N,eps,k")
            }
        }
    }

    /// Sets up the molecule of a record.
    pub fn molecular(&self, record: Record) -> Result<System> {
        let variant = match self.force_field.as_str() {
            "mmff94" => Variant::Mmff94,
            "mmff94s" => Variant::Mmff94s,
            path if path.ends_with("top") || path.ends_with("parm7") => {
                let prmtop = Prmtop::open(path)?;
                let implicit = self.implicit.into();
                return Ok(System::amber(
                    &prmtop,
                    implicit,
                    &record.molecule,
                    record.conformers,
                    self.temperature,
                )?);
            }
            other => bail!(
                "{other:?} is no force field; there are mmff94, mmff94s and AMBER topologies (FILE.prmtop)"
            ),
        };
        if self.implicit != Solvent::Vacuum {
            bail!(
                "--implicit goes with an AMBER topology; {} knows no solvent",
                self.force_field
            );
        }
        let molecule = self.with_bonds(record.molecule, record.conformers.get(0))?;
        Ok(System::mmff(
            molecule,
            record.conformers,
            variant,
            self.temperature,
        )?)
    }

    fn with_bonds(&self, molecule: Molecule, positions: &[f64]) -> Result<Molecule> {
        let template = match (&self.smiles, &self.template) {
            (Some(text), _) => Molecule::from_smiles(text)?,
            (None, Some(path)) => read(path, &ReadOptions::default())?.molecule,
            (None, None) => return Ok(molecule),
        };
        Ok(assign_bonds(&molecule, positions, &template)?)
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
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Temperatures of the ladder, from the system's own up to --hottest times it.
    #[arg(long, default_value_t = 6)]
    pub replicas: usize,
    /// The hottest temperature, as a multiple of the lowest.
    #[arg(long, default_value_t = 3.0)]
    pub hottest: f64,
    /// Independent ladders, run side by side.
    #[arg(long, default_value_t = 2)]
    pub ladders: usize,
    /// Rounds between recorded frames.
    #[arg(long, default_value_t = 10)]
    pub stride: u64,
    /// Rounds before the first frame.
    #[arg(long, default_value_t = 1000)]
    pub burn_in: u64,
    /// Replace an existing output.
    #[arg(long)]
    pub overwrite: bool,
}

/// See [`Command::Train`].
#[derive(Args, Debug)]
pub struct Train {
    #[command(flatten)]
    pub system: SystemArguments,
    /// Configurations to learn from (NPZ, as `simulate` writes).
    #[arg(long)]
    pub data: PathBuf,
    /// The experiment (TOML).
    #[arg(long)]
    pub config: PathBuf,
    /// The checkpoint to write, and to go on from.
    #[arg(short, long)]
    pub output: PathBuf,
    /// Start afresh where a checkpoint of another run stands.
    #[arg(long)]
    pub overwrite: bool,
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
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Draw only the chunks ≡ i (mod n), `i/n`; `auto` takes them from Slurm's array variables.
    #[arg(long, value_name = "i/n")]
    pub shard: Option<String>,
    /// Fixed steps of the solver, in place of the checkpoint's.
    #[arg(long)]
    pub steps: Option<usize>,
    /// Replace an output of another run.
    #[arg(long)]
    pub overwrite: bool,
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
}

/// See [`Command::Density`].
#[derive(Args, Debug)]
pub struct Density {
    /// The trained flow.
    pub checkpoint: PathBuf,
    /// Configurations (NPZ).
    pub input: PathBuf,
    /// The molecule, if mirror images are to be folded: a chiral one has twice the flow's density, another stereoisomer none.
    #[command(flatten)]
    pub system: SystemArguments,
    /// The NPZ file to write.
    #[arg(short, long)]
    pub output: PathBuf,
    /// Seed of Hutchinson's probes, where the divergence is estimated.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
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
    #[arg(long, default_value_t = 0)]
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
    /// Take only this many of them, evenly spread.
    #[arg(long)]
    pub reference_count: Option<usize>,
    /// Samples of the flow, to compare energies and torsions, and to weight.
    #[arg(long)]
    pub samples: Option<PathBuf>,
    /// The most pairs of φ and ψ that T-W2 assigns on either side.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    pub torsion_pairs: usize,
    /// Energy calls that the whole reference took: prints its effective samples beside the flow's at equal cost.
    #[arg(long, requires = "samples", value_name = "COUNT")]
    pub reference_calls: Option<NonZeroU64>,
    /// Energy calls that the flow's training data took; those of its samples are added.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub training_calls: u64,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// See [`Command::Generate`].
#[derive(Args, Debug)]
pub struct Generate {
    /// The molecule's structure file (PDB, XYZ, SDF); none with --target.
    pub input: Option<PathBuf>,
    #[command(flatten)]
    pub system: SystemArguments,
    /// Samples to draw.
    #[arg(short = 'n', long)]
    pub count: u64,
    /// The file to write: weighted structures (SDF or extended XYZ by extension).
    #[arg(short, long)]
    pub output: PathBuf,
    /// Seed of everything.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// A trained flow of this molecule, in place of simulation and training.
    #[arg(long)]
    pub checkpoint: Option<PathBuf>,
    /// The experiment, in place of the built-in one.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Replace an existing output.
    #[arg(long)]
    pub overwrite: bool,
}

/// What a batch system grants: `SLURM_CPUS_PER_TASK`, else `OMP_NUM_THREADS`.
pub fn threads_of_environment() -> Option<usize> {
    ["SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS"]
        .iter()
        .find_map(|name| std::env::var(name).ok()?.trim().parse().ok())
        .filter(|threads| *threads > 0)
}

/// Which chunks a shard draws: `index` modulo `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: u64,
    /// How many there are.
    pub count: u64,
}

impl Shard {
    /// From `i/n`, or `auto`; the whole where nothing was given.
    pub fn parse(text: Option<&str>) -> Result<Self> {
        let shard = match text {
            None => Self { index: 0, count: 1 },
            Some("auto") => Self::of_slurm()?,
            Some(text) => {
                let numbers = text
                    .split_once('/')
                    .and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
                let Some((index, count)) = numbers else {
                    bail!("--shard {text:?} is not `i/n` such as 0/4, nor `auto`")
                };
                Self { index, count }
            }
        };
        if shard.index >= shard.count {
            bail!(
                "shard {}/{} does not exist: i goes from 0 to n − 1",
                shard.index,
                shard.count
            );
        }
        Ok(shard)
    }

    fn of_slurm() -> Result<Self> {
        let number = |name: &str| -> Result<u64> {
            let value = std::env::var(name).with_context(|| {
                format!("--shard auto needs {name}, which Slurm sets in job arrays")
            })?;
            value
                .parse()
                .with_context(|| format!("{name} is {value:?}, not a number"))
        };
        let [id, first, last, count] =
            ["ID", "MIN", "MAX", "COUNT"].map(|name| number(&format!("SLURM_ARRAY_TASK_{name}")));
        let (id, first, last, count) = (id?, first?, last?, count?);
        if last.checked_sub(first).map(|span| span + 1) != Some(count) || id < first {
            bail!(
                "the job array {first}-{last} has {count} tasks, so its step is not 1; give --shard i/n instead"
            );
        }
        Ok(Self {
            index: id - first,
            count,
        })
    }
}
