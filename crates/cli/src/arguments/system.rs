//! Which energy at which temperature.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::System;
use boltzflow_chemio::{ReadOptions, Record, read};
use boltzflow_energy::{Implicit, Prmtop, Target, Variant};
use boltzflow_molecule::{Molecule, assign_bonds};
use clap::{Args, ValueEnum};

/// The temperature of a molecule, in K, unless asked otherwise.
const TEMPERATURE: f64 = 300.0;

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
    /// The molecule's structure file (PDB, XYZ, SDF; with an AMBER topology also GRO, inpcrd, rst7 and trajectories).
    #[arg(long, value_name = "FILE")]
    pub molecule: Option<PathBuf>,
    /// What the molecule is, where its file has no bonds. With an AMBER topology it gives bond orders, charges and stereo.
    #[arg(long, value_name = "TEXT")]
    pub smiles: Option<String>,
    /// An SDF file that says what the molecule is, as --smiles does. Its coordinates state the stereo, unless they are flat (z = 0):
    /// wedges and parities are not read.
    #[arg(long, value_name = "FILE", conflicts_with = "smiles")]
    pub template: Option<PathBuf>,
    /// `mmff94`, `mmff94s`, or an AMBER topology, FILE.prmtop.
    #[arg(long, default_value = "mmff94s", value_name = "NAME|FILE")]
    pub force_field: String,
    /// The implicit solvent of an AMBER topology.
    #[arg(long, value_enum, default_value_t = Solvent::Vacuum)]
    pub implicit: Solvent,
    /// The temperature in K [default: 300].
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub temperature: Option<f64>,
}

/// What `--force-field` names.
enum ForceField {
    Mmff(Variant),
    Amber(Box<Prmtop>),
}

impl SystemArguments {
    /// Sets up what these arguments name; `input` is the molecule's file where the verb takes it as its own argument.
    pub fn system(&self, input: Option<&PathBuf>) -> Result<System> {
        match (self.target, input.or(self.molecule.as_ref())) {
            (Some(target), None) => Ok(System::toy(target, self.kt)?),
            (None, Some(path)) => {
                let topology = self.molecule_of_topology()?;
                let options = ReadOptions {
                    molecule: topology.as_ref(),
                    ..ReadOptions::default()
                };
                let record = read(path, &options)?;
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

    /// The molecule of the AMBER topology, if that is the force field: what a file of coordinates without elements holds.
    pub fn molecule_of_topology(&self) -> Result<Option<Molecule>> {
        Ok(match self.force_field()? {
            ForceField::Amber(prmtop) => Some(prmtop.molecule()),
            ForceField::Mmff(_) => None,
        })
    }

    /// Sets up the molecule of a record.
    pub fn molecular(&self, record: Record) -> Result<System> {
        let force_field = self.force_field()?;
        if self.implicit != Solvent::Vacuum && matches!(force_field, ForceField::Mmff(_)) {
            bail!(
                "--implicit goes with an AMBER topology; {} knows no solvent",
                self.force_field
            );
        }
        let molecule = self.with_bonds(record.molecule, record.conformers.get(0))?;
        let (start, temperature) = (record.conformers, self.temperature.unwrap_or(TEMPERATURE));
        Ok(match force_field {
            ForceField::Mmff(variant) => System::mmff(molecule, start, variant, temperature)?,
            ForceField::Amber(prmtop) => {
                let implicit = self.implicit.into();
                System::amber(&prmtop, implicit, &molecule, start, temperature)?
            }
        })
    }

    fn force_field(&self) -> Result<ForceField> {
        Ok(match self.force_field.as_str() {
            "mmff94" => ForceField::Mmff(Variant::Mmff94),
            "mmff94s" => ForceField::Mmff(Variant::Mmff94s),
            path if path.ends_with("top") || path.ends_with("parm7") => {
                ForceField::Amber(Box::new(Prmtop::open(path)?))
            }
            other => bail!(
                "{other:?} is no force field; there are mmff94, mmff94s and AMBER topologies (FILE.prmtop)"
            ),
        })
    }

    /// The molecule with the bonds, charges and stereo of its template, if there is one.
    fn with_bonds(&self, molecule: Molecule, positions: &[f64]) -> Result<Molecule> {
        let template = match (&self.smiles, &self.template) {
            (Some(text), _) => Molecule::from_smiles(text)?,
            (None, Some(path)) => {
                let record = read(path, &ReadOptions::default())?;
                let shown = record.conformers.get(0);
                record.molecule.stating_stereo_of(shown)?
            }
            (None, None) => return Ok(molecule),
        };
        Ok(assign_bonds(&molecule, positions, &template)?)
    }
}
