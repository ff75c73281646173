//! Energies with gradients, on one thread.

mod settings;

use std::path::{Path, PathBuf};

use boltzflow_energy::{AmberEnergy, Energy, Implicit, Mmff, Prmtop, Target, Variant};
use boltzflow_molecule::Molecule;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Conformers of a batch.
const BATCH: usize = 8;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../data")
        .join(name)
}

/// The coordinates of a PDB file's atoms, from their columns (Å).
fn pdb(path: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(path).expect("a file of data/");
    let atoms = text
        .lines()
        .filter(|line| line.starts_with("ATOM") || line.starts_with("HETATM"));
    let columns = atoms.flat_map(|line| [&line[30..38], &line[38..46], &line[46..54]]);
    columns
        .map(|column| column.trim().parse().expect("a coordinate"))
        .collect()
}

/// Times one conformer, and eight that differ.
fn bench_energy(criterion: &mut Criterion, name: &str, energy: &dyn Energy, start: &[f64]) {
    let size = start.len();
    let x: Vec<f64> = (0..BATCH * size)
        .map(|i| start[i % size] + 0.01 * (i as f64).sin())
        .collect();
    let mut gradients = vec![0.0; x.len()];
    let mut evaluator = energy.evaluator().expect("an energy that evaluates");
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    group.bench_function("one", |bench| {
        bench.iter(|| evaluator.evaluate(&x[..size], &mut gradients[..size]));
    });
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("batch of eight", |bench| {
        bench.iter(|| evaluator.evaluate_batch(&x, &mut gradients, size));
    });
    group.finish();
}

fn amber(criterion: &mut Criterion) {
    let prmtop = Prmtop::open(data("ala2-ff96-obc1.prmtop")).expect("a topology of data/");
    let start = pdb(&data("ala2.pdb"));
    for (name, implicit) in [
        ("capped alanine, vacuum", Implicit::Vacuum),
        ("capped alanine, OBC2", Implicit::Obc2),
    ] {
        let energy = AmberEnergy::new(&prmtop, implicit).expect("a topology with radii");
        bench_energy(criterion, name, &energy, &start);
    }
}

fn toy(criterion: &mut Criterion) {
    for name in ["dw4", "lj:13,2,1"] {
        let target: Target = name.parse().expect("a target");
        bench_energy(criterion, name, &target, &target.start());
    }
}

fn mmff(criterion: &mut Criterion) {
    let molecule = Molecule::from_smiles("CC(=O)N[C@@H](C)C(=O)NC").expect("a SMILES");
    // Any geometry costs the same: points on a helix, no two close to one another.
    let start: Vec<f64> = (0..molecule.atoms.len())
        .flat_map(|i| {
            let angle = i as f64;
            [2.0 * angle.cos(), 2.0 * angle.sin(), 0.7 * angle]
        })
        .collect();
    let energy = Mmff::new(&molecule, &start, Variant::Mmff94s).expect("MMFF's own elements");
    bench_energy(criterion, "capped alanine, MMFF94s", &energy, &start);
}

criterion_group! { name = benches; config = settings::short(); targets = amber, toy, mmff }
criterion_main!(benches);
