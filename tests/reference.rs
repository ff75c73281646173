//! Numbers of papers and of other programs, each with its source, and the tests that hold ours against them.

mod amber;
mod mmff;

use boltzflow_energy::Implicit;
use libtest_mimic::Trial;

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    let mut trials = amber::trials();
    trials.extend(mmff::trials());
    trials
}

/// kJ in a kcal.
const KILOCALORIE: f64 = 4.184;

/// Energies of alanine dipeptide (ff96) by OpenMM 8.6.1, Reference platform, with ε 78.5, the surface term of ACE, no salt and no cutoff,
/// kcal/mol: file of the reference data, model, energy.
const OPENMM: [(&str, Implicit, f64); 5] = [
    (IMPLICIT, Implicit::Vacuum, -21.045_026_63),
    (IMPLICIT, Implicit::Hct, -32.549_833_70),
    (IMPLICIT, Implicit::Obc1, -33.220_160_98),
    (IMPLICIT, Implicit::Obc2, -32.853_615_63),
    ("alanine-dipeptide.crd", Implicit::Obc1, -33.214_552_41),
];
const IMPLICIT: &str = "alanine-dipeptide-implicit.pdb";

/// Energies of `data/ala2-ff96-obc1.prmtop` at `data/ala2.pdb` in the same setting, as `scripts/make_ala2.py` prints them, kcal/mol.
pub const OPENMM_OURS: [(Implicit, f64); 4] = [
    (Implicit::Vacuum, -25.247_054_12),
    (Implicit::Hct, -40.324_471_61),
    (Implicit::Obc1, -41.072_742_44),
    (Implicit::Obc2, -40.749_731_17),
];

/// Of these energies, kcal/mol.
pub const OPENMM_TOLERANCE: f64 = 1e-6;

/// Of the forces in `reference/openmm-forces.toml`, which OpenMM 8.6.1 gave without a cutoff, kJ/mol/nm.
const FORCE_TOLERANCE: f64 = 1e-5;

/// Forces that OpenMM's own tests have from AMBER: file, model, tolerance in kJ/mol/nm.
///
/// The OBC ones were made with a cutoff, OBC2 also with salt; OpenMM 8.6.1 without either differs by
/// 0.0213, 0.0212 and 0.414, the same as we do; `openmm-forces.toml` is the sharp test.
const FORCES: [(&str, Implicit, f64); 3] = [
    ("HCT_NoCutoff.xml", Implicit::Hct, 0.022),
    ("OBC1_NonPeriodic.xml", Implicit::Obc1, 0.022),
    ("OBC2_NonPeriodic_Salt.xml", Implicit::Obc2, 0.42),
];

/// GAFF topologies of FreeSolv (Mobley and Guthrie, 2014) with the energies of GROMACS, term by term.
const TOPOLOGIES: usize = 60;

/// Of each of these terms, kJ/mol.
const TERM_TOLERANCE: f64 = 1e-3;

/// Molecules of the validation suite of MMFF94 (Halgren, 1996).
const MMFF_MOLECULES: usize = 761;

/// Of their energies, kcal/mol.
const MMFF_TOLERANCE: f64 = 0.01;

/// Molecules that deviate, and why.
const MMFF_EXCEPTIONS: [(&str, &str); 0] = [];

/// What is known of a toy target at kT = 1: mean and standard error of the energy, its standard deviation, and the virial `⟨x · ∇U⟩`, which
/// is `D (N − 1)` exactly.
pub struct Moments {
    pub energy: (f64, f64),
    pub spread: f64,
    pub virial: f64,
}

/// DW4 (Köhler, Klein and Noé, 2020), by parallel tempering with another program.
pub const DW4: Moments = Moments {
    energy: (-22.535, 0.007),
    spread: 1.908,
    virial: 6.0,
};

/// LJ13 with ε = 2 and a harmonic confinement of 1 (Klein, Krämer and Noé, 2023), by parallel tempering with another program.
pub const LJ13: Moments = Moments {
    energy: (-42.964, 0.022),
    spread: 6.905,
    virial: 36.0,
};
