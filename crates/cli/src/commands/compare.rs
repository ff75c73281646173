//! `compare`: trains the flows of a list and prints what each is worth.

mod list;
mod row;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{System, TargetSamples};
use boltzflow_chemio::AtomicFile;
use clap::Parser;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::simulation::{self, Simulated};
use super::{Existing, configurations, prepare};
use crate::arguments::{Compare, Simulate, SystemArguments};
use crate::{clock, interrupt, report};
use list::{List, Target};
use row::{Case, Exchange, Frames, Row};
use table::{Section, Table};

/// The folder of what is needed on the way, in that of the results; it may be removed afterwards.
const SCRATCH: &str = "scratch";

pub fn compare(arguments: &Compare, json: bool) -> Result<()> {
    interrupt::stop_within(arguments.limit.get());
    let list = List::read(&arguments.list)?;
    let folder = Folder::new(&arguments.output, Existing::from_flag(arguments.overwrite))?;
    // All that can be wrong with the list is found before hours are spent on its first rows.
    let systems: Vec<System> = list.targets.iter().map(system_of).collect::<Result<_>>()?;
    for entry in &list.flows {
        entry.experiments()?;
    }
    let mut table = Table::default();
    for (target, system) in list.targets.iter().zip(&systems) {
        let entries = list.flows.iter().filter(|flow| flow.is_of(target));
        let (mut frames, mut rows) = (None, Vec::new());
        for entry in entries {
            let case = Case {
                list: &list,
                target,
                entry,
                system,
            };
            let row = if let Some(row) = folder.known(&case)? {
                row
            } else {
                let frames = match &mut frames {
                    Some(frames) => frames,
                    none => none.insert(folder.frames(target, system)?),
                };
                folder.found(&case, frames)?
            };
            rows.push(row);
        }
        table.sections.push(Section {
            target: target.name.clone(),
            rows,
            published: target.published.clone(),
        });
    }
    report::print(&table, json)
}

/// The system of a target, whose other arguments are looked at too.
fn system_of(target: &Target) -> Result<System> {
    for words in [&target.frames, &target.reference] {
        simulation_of(target, words, Path::new("frames.npz"))?;
    }
    let arguments = arguments_of::<SystemOf>(&target.system, &target.name)?;
    arguments
        .system
        .system(None)
        .with_context(|| format!("the target {:?}", target.name))
}

/// The simulation of a target's frames.
fn simulation_of(target: &Target, words: &[String], output: &Path) -> Result<Simulate> {
    let mut all = target.system.clone();
    all.extend_from_slice(words);
    all.extend(["-o".to_owned(), output.display().to_string()]);
    Ok(arguments_of::<SimulationOf>(&all, &target.name)?.simulate)
}

/// Arguments that name a system.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct SystemOf {
    #[command(flatten)]
    system: SystemArguments,
}

/// Arguments of `simulate`.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct SimulationOf {
    #[command(flatten)]
    simulate: Simulate,
}

/// What the words of a list ask for.
fn arguments_of<A: Parser>(words: &[String], target: &str) -> Result<A> {
    A::try_parse_from(words).map_err(|error| {
        anyhow::anyhow!(
            "the arguments of the target {target:?}: {}",
            error.to_string().trim_end()
        )
    })
}

/// Where results are kept.
struct Folder {
    path: PathBuf,
    existing: Existing,
}

impl Folder {
    fn new(path: &Path, existing: Existing) -> Result<Self> {
        let scratch = path.join(SCRATCH);
        std::fs::create_dir_all(&scratch)
            .with_context(|| format!("cannot make the folder {}", scratch.display()))?;
        Ok(Self {
            path: path.to_owned(),
            existing,
        })
    }

    /// The frames to learn from and the reference of a target, simulated if they are not there.
    fn frames(&self, target: &Target, system: &System) -> Result<Frames> {
        let [learnt, reference] = [("frames", &target.frames), ("reference", &target.reference)]
            .map(|(part, words)| self.simulated(target, part, words));
        let (learnt, reference) = (learnt?, reference?);
        let path = self.frames_path(target, "reference");
        let frames = configurations(&path, system)?.at(Some(system.temperature))?;
        Ok(Frames {
            data: self.frames_path(target, "frames"),
            data_calls: learnt.energy_calls,
            exchange: Exchange {
                frames: frames.len(),
                energy_calls: reference.energy_calls,
                core_seconds: reference.core_seconds,
            },
            all: TargetSamples::new(system, frames)?,
        })
    }

    fn frames_path(&self, target: &Target, part: &str) -> PathBuf {
        let name = format!("{}.{part}.npz", target.name);
        self.path.join(SCRATCH).join(name)
    }

    fn simulated(&self, target: &Target, part: &str, words: &[String]) -> Result<Simulation> {
        let output = self.frames_path(target, part);
        let record = output.with_extension("toml");
        let mut arguments = simulation_of(target, words, &output)?;
        arguments.overwrite = self.existing == Existing::Replace;
        let is_new = !output.exists() && !output.with_extension("state.json").exists();
        let started = clock::core_seconds();
        let found: Simulated = simulation::simulated(&arguments)?;
        let energy_calls = found.energy_calls;
        if is_new {
            let core_seconds = Some(clock::core_seconds() - started);
            write(
                &record,
                &Simulation {
                    energy_calls,
                    core_seconds,
                },
            )?;
        }
        let known: Option<Simulation> = read(&record)?;
        Ok(known
            .filter(|known| known.energy_calls == energy_calls)
            .unwrap_or(Simulation {
                energy_calls,
                core_seconds: None,
            }))
    }

    /// What the names of a row's files start with.
    fn stem(&self, case: &Case) -> PathBuf {
        let Case { target, entry, .. } = case;
        let name = format!("{}.{}", target.name, entry.file_name());
        self.path.join(name)
    }

    fn row_path(&self, case: &Case) -> PathBuf {
        with_suffix(&self.stem(case), ".toml")
    }

    /// The result of a flow, if an earlier run has found it.
    fn known(&self, case: &Case) -> Result<Option<Row>> {
        let path = self.row_path(case);
        prepare(&path)?;
        match read::<Row>(&path)? {
            Some(row) if row.identity == case.identity()? => Ok(Some(row)),
            Some(_) if self.existing == Existing::Refuse => bail!(
                "{} is the result of another comparison: other configs, counts, or another target; give --overwrite to replace it",
                path.display()
            ),
            _ => Ok(None),
        }
    }

    /// The result of a flow, found now.
    fn found(&self, case: &Case, frames: &Frames) -> Result<Row> {
        eprintln!("{}, {}", case.target.name, case.entry.name);
        let row = row::Job {
            case,
            frames,
            stem: &self.stem(case),
            scratch: &self.path.join(SCRATCH),
            existing: self.existing,
        }
        .run()?;
        write(&self.row_path(case), &row)?;
        Ok(row)
    }
}

/// What a simulation took.
#[derive(Clone, Copy, Serialize, serde::Deserialize)]
struct Simulation {
    energy_calls: u64,
    /// None where an interrupted part is not known.
    core_seconds: Option<f64>,
}

/// A path with this after its name, which may have points in it.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    Ok(AtomicFile::write_all_to(
        path,
        toml::to_string_pretty(value)?.as_bytes(),
    )?)
}

/// A file of an earlier run, if it is there.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        outcome => outcome.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let value = toml::from_str(&text).with_context(|| {
        format!(
            "{} is no result of `compare`, or is damaged; remove it to have it made again",
            path.display()
        )
    })?;
    Ok(Some(value))
}
