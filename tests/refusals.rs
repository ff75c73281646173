//! What the program refuses: with a message, an exit code, and nothing half-written.

use std::path::Path;

use boltzflow_boltzmann::{Drawn, SampleFile, System, identity};
use libtest_mimic::{Failed, Trial};
use tempfile::TempDir;

use crate::cli::{CONFIG, bytes, folder, output, succeed};
use crate::support::{names, root, trial};

type Test = fn() -> Result<(), Failed>;

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    let tests: [(&str, Test); 5] = [
        ("numbers_out_of_range_are_refused", numbers_out_of_range),
        (
            "damaged_and_foreign_files_are_refused",
            damaged_and_foreign_files,
        ),
        (
            "a_structure_that_does_not_fit_is_refused",
            structures_that_do_not_fit,
        ),
        (
            "a_job_larger_than_the_memory_is_refused",
            jobs_larger_than_the_memory,
        ),
        (
            "outputs_that_cannot_be_written_are_refused_before_work_starts",
            outputs_that_cannot_be_written,
        ),
    ];
    tests.map(|(name, test)| trial(name, false, test)).into()
}

/// Runs commands that must fail with a message, and leave no file that was not there before.
fn refused(at: &Path, cases: &[(&str, &str)]) {
    let before = names(at);
    for (words, expected) in cases {
        let output = output(at, words);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{words} succeeded");
        assert!(message.contains(expected), "{words}: {message}");
        assert!(!message.contains("panicked"), "{words}: {message}");
        assert_eq!(names(at), before, "{words} left something behind");
    }
}

/// A folder with a trained flow of DW4, and files of `data/`.
fn with_data(names: &[&str]) -> TempDir {
    let folder = folder(true);
    for name in names {
        std::fs::copy(root().join("data").join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn numbers_out_of_range() -> Result<(), Failed> {
    let folder = with_data(&["butane.xyz"]);
    let at = folder.path();
    std::fs::write(
        at.join("nan.toml"),
        CONFIG.replace("clip = 1.0", "clip = nan"),
    )?;
    std::fs::write(
        at.join("unknown.toml"),
        CONFIG.replace("batch = 32", "batch = 32\nbach = 3"),
    )?;
    let butane = "generate butane.xyz --smiles CCCC -o x.sdf -n";
    let train = "train --target dw4 --data data.npz -o x.safetensors --config";
    let cases = [
        (format!("{butane} 0"), "-n 0 asks for no samples"),
        (format!("{butane} 1 --temperature -5"), "temperature is -5"),
        (format!("{butane} 1 --temperature 0"), "temperature is 0"),
        (
            format!("{butane} 1 --temperature nan"),
            "temperature is NaN",
        ),
        (format!("{butane} 1 --budget 0s"), "no time above zero"),
        (
            format!("{butane} 1 --time-limit soon"),
            "is no time such as",
        ),
        (format!("{butane} 1 --seed 9223372036854775808"), "--seed"),
        (format!("{butane} 1 --threads 0"), "--threads"),
        (format!("{butane} 1 --shard 0/2"), "--checkpoint"),
        (
            "generate butane.xyz --smiles CCCC -o x.sdf".into(),
            "--count",
        ),
        (
            "generate --target dw4 --kt 0 -n 1 -o x.npz".into(),
            "temperature is 0",
        ),
        (
            "generate --target dw4 -n 100000000 --budget 2s -o x.npz".into(),
            "too much of a budget of 2 s",
        ),
        (
            "generate --target lj:1,1,1 -n 1 -o x.npz".into(),
            "must be from 2",
        ),
        (
            "simulate --target dw4 -n 0 -o x.npz".into(),
            "-n 0 asks for no frames",
        ),
        (
            "simulate --target dw4 --stride 0 -o x.npz".into(),
            "recording stride",
        ),
        (
            "simulate --target dw4 --ladders 1000000000000 -n 1 -o x.npz".into(),
            "ladders",
        ),
        (
            "simulate --target dw4 --replicas 1000000000000 -n 1 -o x.npz".into(),
            "replicas",
        ),
        (
            "simulate --target dw4 --burn-in 18446744073709551615 -n 1 -o x.npz".into(),
            "burn-in",
        ),
        (
            "sample flow.safetensors -n 0 -o x.npz".into(),
            "-n 0 asks for no samples",
        ),
        (
            "sample flow.safetensors -n 10 --steps 0 -o x.npz".into(),
            "--steps 0",
        ),
        (
            "sample flow.safetensors -n 10 --shard 3/3 -o x.npz".into(),
            "shard 3/3 does not exist",
        ),
        (
            "sample flow.safetensors -n 10 --shard auto -o x.npz".into(),
            "SLURM_ARRAY_TASK_ID",
        ),
        (format!("{train} unknown.toml"), "bach"),
        (format!("{train} nan.toml"), "training.clip is NaN"),
        (
            "train --target dw5 --data data.npz --config config.toml -o x.safetensors".into(),
            "dw4",
        ),
    ];
    let cases: Vec<(&str, &str)> = cases
        .iter()
        .map(|(words, text)| (&words[..], *text))
        .collect();
    refused(at, &cases);
    #[cfg(not(feature = "wgpu"))]
    refused(
        at,
        &[(
            "sample flow.safetensors -n 10 --device wgpu -o x.npz",
            "make gpu",
        )],
    );
    Ok(())
}

fn damaged_and_foreign_files() -> Result<(), Failed> {
    let folder = with_data(&["butane.xyz"]);
    let at = folder.path();
    let flow = bytes(at, "flow.safetensors");
    std::fs::write(at.join("cut.safetensors"), &flow[..1000])?;
    std::fs::write(at.join("short.safetensors"), &flow[..flow.len() - 4])?;
    let mut nan = flow.clone();
    let last = nan.len() - 4;
    nan[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(at.join("nan.safetensors"), nan)?;
    // Text of the same length in the header: what does not fit together is found before anything is made of it.
    for (name, from, to) in [
        ("statistics", "variance = [0.0", "variance = [nan"),
        ("points", "points = 4", "points = 5"),
        ("layers", "layers = 2", "layers = 0"),
        ("format", "format = 5", "format = 4"),
    ] {
        let place = flow
            .windows(from.len())
            .rposition(|text| text == from.as_bytes())
            .unwrap();
        let mut forged = flow.clone();
        forged[place..place + to.len()].copy_from_slice(to.as_bytes());
        std::fs::write(at.join(format!("{name}.safetensors")), forged)?;
    }
    succeed(at, "sample flow.safetensors -n 64 -o samples.npz");
    // Thirteen points on one spot: no such configuration has a weight.
    let mut zero = SampleFile::read(&at.join("samples.npz")).unwrap();
    let size = 64 * 39;
    (zero.shape, zero.latent_shape) = ([13, 3], [13, 3]);
    let cluster = System::toy("lj:13,2,1".parse().unwrap(), 1.0).unwrap();
    zero.fingerprint.molecule = identity(&cluster.points());
    zero.drawn = Drawn {
        positions: vec![0.0; size],
        latents: vec![0.0; size],
        ..zero.drawn
    };
    zero.write(&at.join("zero.npz")).unwrap();
    // Half a run of another seed.
    std::fs::create_dir(at.join("half.chunks"))?;
    std::fs::copy(at.join("samples.npz"), at.join("half.chunks/chunk-0.npz"))?;
    std::fs::write(at.join("y.state.json"), "{")?;
    refused(
        at,
        &[
            ("sample cut.safetensors -n 10 -o x.npz", "is damaged"),
            ("sample short.safetensors -n 10 -o x.npz", "is damaged"),
            ("sample nan.safetensors -n 10 -o x.npz", "is NaN"),
            (
                "sample statistics.safetensors -n 10 -o x.npz",
                "one for each pair, finite",
            ),
            (
                "sample points.safetensors -n 10 -o x.npz",
                "one for each pair, finite",
            ),
            (
                "sample layers.safetensors -n 10 -o x.npz",
                "not that of its config",
            ),
            (
                "sample format.safetensors -n 10 -o x.npz",
                "it has format 4, this program reads 5",
            ),
            ("sample nothing.safetensors -n 10 -o x.npz", "cannot read"),
            (
                "generate --target dw4 --checkpoint nan.safetensors -n 10 -o x.npz",
                "is NaN",
            ),
            (
                "generate butane.xyz --smiles CCCC -n 1 --checkpoint flow.safetensors -o x.sdf",
                "another molecule",
            ),
            (
                "train --target lj:13,2,1 --data data.npz --config config.toml -o x.safetensors",
                "another molecule or toy",
            ),
            (
                "sample flow.safetensors -n 32 -o samples.npz",
                "give --overwrite",
            ),
            (
                "sample flow.safetensors -n 64 --seed 2 -o half.npz",
                "give --overwrite",
            ),
            (
                "simulate --target dw4 -n 10 -o y.npz",
                "give --overwrite to start afresh",
            ),
            (
                "simulate --target dw4 -n 10 --embed -o x.npz",
                "a toy target has no conformers",
            ),
            ("reweight samples.npz --target lj:13,2,1", "has 13 in 3"),
            ("reweight data.npz --target dw4", "no usable array"),
            (
                "reweight zero.npz --target lj:13,2,1",
                "all 64 weights are zero",
            ),
            ("energy butane.xyz --target dw4", "is no usable npz file"),
        ],
    );
    Ok(())
}

fn structures_that_do_not_fit() -> Result<(), Failed> {
    let folder = with_data(&["butane.xyz", "ala2.pdb", "ala2-ff96-obc1.prmtop"]);
    let at = folder.path();
    let pdb = std::fs::read_to_string(at.join("ala2.pdb"))?;
    let atoms: Vec<&str> = pdb
        .lines()
        .filter(|line| line.starts_with("ATOM"))
        .collect();
    let write = |name: &str, atoms: &[&str]| {
        std::fs::write(at.join(name), format!("{}\nEND\n", atoms.join("\n")))
    };
    write("fewer.pdb", &atoms[1..])?;
    let mut swapped = atoms.clone();
    swapped.swap(0, 1);
    write("swapped.pdb", &swapped)?;
    // A hydrogen that has become a fluorine.
    let fluorine = format!("{:<76} F", &atoms[0][..66]);
    let mut other = atoms.clone();
    other[0] = &fluorine;
    write("element.pdb", &other)?;
    // Like atoms in another order: with their names, and by their places alone.
    let mut exchanged = atoms.clone();
    exchanged.swap(9, 11);
    write("exchanged.pdb", &exchanged)?;
    let nameless: Vec<String> = exchanged
        .iter()
        .map(|line| format!("{} X  {}", &line[..12], &line[16..]))
        .collect();
    let nameless: Vec<&str> = nameless.iter().map(String::as_str).collect();
    write("nameless.pdb", &nameless)?;
    let fits = "energy ala2.pdb --force-field ala2-ff96-obc1.prmtop";
    succeed(at, fits);

    let xyz = std::fs::read_to_string(at.join("butane.xyz"))?;
    let mut lines: Vec<&str> = xyz.lines().collect();
    lines.swap(2, 8);
    std::fs::write(at.join("order.xyz"), lines.join("\n") + "\n")?;
    std::fs::write(
        at.join("methane-cut.xyz"),
        "3\n\nC 0 0 0\nH 0 0 1.1\nH 1 0 -.4\n",
    )?;
    let molecule = "--molecule butane.xyz --smiles CCCC";
    succeed(
        at,
        &format!(
            "simulate {molecule} --replicas 1 --ladders 1 --burn-in 0 --stride 1 -n 20 -o butane.npz"
        ),
    );
    succeed(
        at,
        &format!("train {molecule} --data butane.npz --config config.toml -o butane.safetensors"),
    );
    let prmtop = |name: &str| fits.replace("ala2.pdb", name);
    refused(
        at,
        &[
            (&prmtop("fewer.pdb"), "21"),
            (&prmtop("swapped.pdb"), "atom 1"),
            (&prmtop("element.pdb"), "atom 1"),
            (
                &prmtop("exchanged.pdb"),
                "atom 10 is named \"HB1\" in the structure, but \"HA\"",
            ),
            (&prmtop("nameless.pdb"), "Å apart in the structure"),
            (
                "generate order.xyz --smiles CCCC --checkpoint butane.safetensors -n 1 -o x.sdf",
                "another molecule or atom order",
            ),
            (
                "generate butane.xyz -n 10 -o x.sdf",
                "no bonds; give --smiles",
            ),
            ("generate butane.xyz --smiles CCC -n 10 -o x.sdf", "C4H10"),
            ("generate methane-cut.xyz --smiles C -n 10 -o x.sdf", "CH2"),
        ],
    );
    Ok(())
}

fn jobs_larger_than_the_memory() -> Result<(), Failed> {
    let folder = folder(true);
    let at = folder.path();
    let absurd = CONFIG
        .replace("width = 16", "width = 4096")
        .replace("layers = 2", "layers = 64")
        .replace("batch = 32", "batch = 65536");
    std::fs::write(at.join("absurd.toml"), absurd)?;
    refused(
        at,
        &[
            (
                "train --target dw4 --data data.npz --config absurd.toml -o x.safetensors",
                "use a smaller width",
            ),
            (
                "generate --target dw4 --config absurd.toml -n 64 -o x.npz",
                "use a smaller width",
            ),
            (
                "sample flow.safetensors -n 10000000000000 -o x.npz",
                "or draw the samples in several --shard i/n",
            ),
            (
                "simulate --target dw4 -n 10000000000000 -o x.npz",
                "GB are available; ask for fewer frames",
            ),
        ],
    );
    Ok(())
}

fn outputs_that_cannot_be_written() -> Result<(), Failed> {
    let folder = folder(true);
    let at = folder.path();
    std::fs::create_dir(at.join("taken.npz"))?;
    let outputs = ["missing/x.npz", "taken.npz"];
    for output in outputs {
        refused(
            at,
            &[
                (
                    &format!("simulate --target dw4 -n 1000000000 -o {output}"),
                    "cannot write",
                ),
                (
                    &format!("sample flow.safetensors -n 64 -o {output}"),
                    "cannot write",
                ),
                (
                    &format!("generate --target dw4 -n 64 -o {output}"),
                    "cannot write",
                ),
                (
                    &format!("train --target dw4 --data data.npz --config config.toml -o {output}"),
                    "cannot write",
                ),
            ],
        );
    }
    let evaluate =
        "evaluate flow.safetensors --target dw4 --reference data.npz --samples data.npz --profiles";
    refused(
        at,
        &[
            (&format!("{evaluate} x.npz"), "has no torsions"),
            (&format!("{evaluate} x.txt"), "neither .json nor .npz"),
            (
                &format!("{evaluate} data.npz"),
                "exists; give --overwrite to replace it",
            ),
        ],
    );
    Ok(())
}
