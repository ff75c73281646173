//! Flows of internal coordinates, from a file to weights.

use std::path::Path;

use boltzflow_chemio::{Array, Npz, ReadOptions};
use boltzflow_molecule::geometry::{dihedral, mirror};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::cli::{bytes, output, succeed};
use crate::support::{root, trial};

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a_flow_of_internal_coordinates_goes_from_a_file_to_weights",
            false,
            a_flow_of_internal_coordinates_goes_from_a_file_to_weights,
        ),
        trial(
            "every_family_is_trained_and_knows_the_density_of_its_samples",
            false,
            every_family_is_trained_and_knows_the_density_of_its_samples,
        ),
        trial(
            "a_flow_learns_from_the_energy_alone_and_goes_on_from_another",
            false,
            a_flow_learns_from_the_energy_alone_and_goes_on_from_another,
        ),
        trial(
            "generate_takes_the_family_that_is_asked_for",
            false,
            generate_takes_the_family_that_is_asked_for,
        ),
        trial(
            "attention_is_trained_sampled_and_knows_its_density_and_that_of_no_other_order",
            false,
            attention_is_trained_sampled_and_knows_its_density_and_that_of_no_other_order,
        ),
        trial(
            "clashes_and_mirror_images_are_unlike_every_sample",
            false,
            clashes_and_mirror_images_are_unlike_every_sample,
        ),
        trial(
            "what_internal_coordinates_cannot_do_is_refused",
            false,
            what_internal_coordinates_cannot_do_is_refused,
        ),
        trial(
            "a_copula_is_fitted_sampled_and_read_back_to_the_same_bits",
            false,
            a_copula_is_fitted_sampled_and_read_back_to_the_same_bits,
        ),
    ]
}

/// The molecule that most of them are of.
pub const MOLECULE: &str = "--molecule butane.xyz --smiles CCCC";
/// Coupled splines.
pub const SPLINE: &str = "map = { spline = { bins = 4 } }\nscheme = \"coupling\"";
const ENERGY: &str = "{ energy = { likelihood = 0.0, own = 0.5, pool = 0.5, threshold = 100.0, steepest = 50.0, hottest = 3.0, cooling = 10 } }";

/// In closed form.
pub const FITTED: &str = "[model.fitted]\ndependence = \"independent\"\nbins = 32\nrotors = \"folded\"\nmargin = 0.25\n\
     [fit]\npseudo_count = 1.0\nrarest = 0.02\nvalidation = 0.1\ndequantize = false\nseed = 1\n";

/// Along the energy and the data.
pub const BOTH: &str = "{ energy = { likelihood = 1.0, own = 0.0, pool = 0.0, threshold = 100.0, steepest = 50.0, hottest = 1.0, cooling = 0 } }";

/// A small experiment.
pub fn config(maps: &str, objective: &str, steps: usize) -> String {
    let between = if maps.contains("between") {
        ""
    } else {
        "between = \"nothing\"\n"
    };
    format!(
        "[model.internal]\n{maps}\n{between}layers = 4\nnetwork = {{ width = 24, layers = 1 }}\nstiff = \"whitened\"\nrotors = \"folded\"\nmargin = 0.5\nhottest = 1.0\n\
         [training]\nobjective = {objective}\nseed = 1\nsteps = {steps}\nbatch = 64\nlearning_rate = 3e-3\nwarm_up = 5\n\
         weight_decay = 1e-4\nclip = 50.0\naverage = 0.9\ndequantize = false\nrarest = 0.02\nvalidation = 0.1\nvalidate_every = 50\npatience = 0\ncheckpoint_every = 7\n"
    )
}

/// A folder with the molecule, configurations of it, and an experiment.
pub fn folder(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::copy(root().join("data/butane.xyz"), at.join("butane.xyz")).unwrap();
    std::fs::write(at.join("config.toml"), config).unwrap();
    let simulate = format!(
        "simulate {MOLECULE} -n 1200 --burn-in 100 --replicas 3 --ladders 2 --stride 2 --seed 3 -o data.npz"
    );
    succeed(at, &simulate);
    folder
}

fn train(at: &Path, more: &str) -> String {
    succeed(
        at,
        &format!("train {MOLECULE} --data data.npz --config config.toml {more}"),
    )
}

/// What the program has printed with `--json`.
pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn a_flow_of_internal_coordinates_goes_from_a_file_to_weights() -> Result<(), Failed> {
    let folder = folder(&config(SPLINE, BOTH, 150));
    let at = folder.path();
    train(at, "-o flow.safetensors");
    succeed(at, "sample flow.safetensors -n 500 --seed 5 -o whole.npz");
    for index in 0..2 {
        succeed(
            at,
            &format!(
                "sample flow.safetensors -n 500 --seed 5 --shard {index}/2 --threads 1 -o part-{index}.npz"
            ),
        );
    }
    succeed(at, "merge part-0.npz part-1.npz -o merged.npz");
    assert_eq!(bytes(at, "merged.npz"), bytes(at, "whole.npz"));
    let found = json(&succeed(
        at,
        &format!("reweight whole.npz {MOLECULE} --json -o out.sdf"),
    ));
    // A flow of positions of this size needs a hundred times the training for as much.
    let efficiency = found["efficiency"]["value"].as_f64().unwrap();
    assert!(efficiency > 0.1, "{found}");
    assert_eq!(found["samples"], 500);
    // Its own samples are usual.
    let density = json(&succeed(
        at,
        "density flow.safetensors whole.npz --json -o density.npz",
    ));
    assert_eq!(
        (&density["outside"], &density["not_finite"]),
        (&0.into(), &0.into())
    );
    assert!(density["unusual"].as_u64().unwrap() < 20, "{density}");
    let samples = Npz::read(&at.join("whole.npz"))?;
    let numbers = |name: &str| samples.array(name).unwrap().as_f64().unwrap().to_vec();
    let found = Npz::read(&at.join("density.npz"))?;
    let again = found.array("log_q").unwrap().as_f64().unwrap();
    for (a, b) in numbers("log_q").iter().zip(again) {
        assert!((a - b).abs() < 1e-2, "{a} and {b}");
    }
    a_density_is_told_in_its_parts(at)?;
    let evaluated = json(&succeed(
        at,
        &format!(
            "evaluate flow.safetensors {MOLECULE} --reference data.npz --samples whole.npz --json"
        ),
    ));
    assert_eq!(
        (&evaluated["reference"], &evaluated["outside"]),
        (&1200.into(), &0.into())
    );
    profiles_and_populations_are_of_all_frames(at, &evaluated["agreement"])
}

/// Latents, log prior and log-determinant by themselves, and how usual it is, also of what the flow cannot make.
fn a_density_is_told_in_its_parts(at: &Path) -> Result<(), Failed> {
    let samples = Npz::read(&at.join("whole.npz"))?;
    let positions = samples.array("positions").unwrap();
    let mut stretched = positions.as_f64().unwrap()[..5 * 14 * 3].to_vec();
    let size = 14 * 3;
    stretched[2 * size..].iter_mut().for_each(|x| *x *= 1.5);
    let array = Array::new(&[5, 14, 3], stretched);
    Npz::write(&at.join("stretched.npz"), &[("positions", &array)])?;
    let words = "density flow.safetensors stretched.npz --own-samples 200 --json -o parts.npz";
    let density = json(&succeed(at, words));
    assert_eq!(density["outside"], 3, "{density}");
    let found = Npz::read(&at.join("parts.npz"))?;
    let numbers = |name: &str| found.array(name).unwrap().as_f64().unwrap();
    let (log_q, prior, det) = (numbers("log_q"), numbers("log_prior"), numbers("log_det"));
    for k in 0..2 {
        assert!((log_q[k] - (prior[k] - det[k])).abs() < 1e-12);
        assert!(prior[k].is_finite() && det[k] != 0.0);
    }
    assert_eq!(log_q[2..], [f64::NEG_INFINITY; 3]);
    let percentile = numbers("percentile");
    assert!(percentile[0] > 0.0 && percentile[1] > 0.0, "{percentile:?}");
    assert_eq!(percentile[2..], [0.0; 3]);
    // As many as there are internal coordinates.
    assert_eq!(found.array("latents").unwrap().shape, [5, size - 6, 1]);
    Ok(())
}

/// Capped alanine as it is; with φ and ψ where an oxygen and a hydrogen meet, all else as it was; with one atom on another; and as its mirror image.
fn clashes_and_mirror_images_are_unlike_every_sample() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    let read = boltzflow_chemio::read(&root().join("data/ala2.pdb"), &ReadOptions::default())?;
    let here = read.conformers.get(0).to_vec();
    let mut torsions = here.clone();
    for (atoms, moved) in [([4, 6, 8, 14], 9), ([6, 8, 14, 16], 15)] {
        let angle = -dihedral(&torsions, atoms);
        turn(&mut torsions, [atoms[1], atoms[2]], moved, angle);
        assert!(dihedral(&torsions, atoms).abs() < 1e-6);
    }
    let mut on_another = here.clone();
    (0..3).for_each(|k| on_another[3 * 13 + k] = here[3 * 5 + k] + 0.3);
    let mut mirrored = here.clone();
    mirror(&mut mirrored);
    let all = [here, torsions, on_another, mirrored].concat();
    let array = Array::new(&[4, 22, 3], all);
    Npz::write(&at.join("four.npz"), &[("positions", &array)])?;
    let data = root().join("data");
    let data = data.display();
    succeed(
        at,
        &format!(
            "density {data}/families/capped-alanine-ff96.spline.safetensors four.npz --molecule {data}/ala2.pdb \
             --force-field {data}/ala2-ff96-obc1.prmtop --implicit obc1 -o density.npz"
        ),
    );
    let found = Npz::read(&at.join("density.npz"))?;
    let percentile = found.array("percentile").unwrap().as_f64().unwrap();
    assert!(percentile[0] > 1.0, "{percentile:?}");
    assert!(percentile[1..].iter().all(|p| *p < 1.0), "{percentile:?}");
    Ok(())
}

/// Turns the atoms from `first` on about the axis from one atom to another, by this angle.
fn turn(x: &mut [f64], [from, to]: [usize; 2], first: usize, angle: f64) {
    let origin = [0, 1, 2].map(|k| x[3 * to + k]);
    let axis = [0, 1, 2].map(|k| origin[k] - x[3 * from + k]);
    let length = axis.iter().map(|a| a * a).sum::<f64>().sqrt();
    let [a, b, c] = axis.map(|a| a / length);
    let (sine, cosine) = angle.sin_cos();
    for atom in x[3 * first..].chunks_mut(3) {
        let v = [0, 1, 2].map(|k| atom[k] - origin[k]);
        let along = (a * v[0] + b * v[1] + c * v[2]) * (1.0 - cosine);
        let across = [
            b * v[2] - c * v[1],
            c * v[0] - a * v[2],
            a * v[1] - b * v[0],
        ];
        for k in 0..3 {
            atom[k] = origin[k] + v[k] * cosine + across[k] * sine + [a, b, c][k] * along;
        }
    }
}

/// Whatever part of the reference its densities are evaluated of.
fn profiles_and_populations_are_of_all_frames(at: &Path, agreement: &Value) -> Result<(), Failed> {
    let words = format!(
        "evaluate flow.safetensors {MOLECULE} --reference data.npz --reference-count 100 --samples whole.npz --profiles"
    );
    let fewer = json(&succeed(at, &format!("{words} profiles.json --json")));
    assert_eq!(fewer["reference"], 100);
    assert_eq!(&fewer["agreement"], agreement);
    let file: Value = serde_json::from_slice(&bytes(at, "profiles.json"))?;
    assert_eq!(file, agreement["profiles"]);
    // Butane's middle bond turns: three wells, in the flow as in the reference.
    let [alone, joint] = [&agreement["rotamers"][0], &agreement["joint"]];
    assert_eq!(alone, joint);
    assert_eq!((&joint["possible"], &joint["seen"]), (&3.into(), &3.into()));
    assert!(
        joint["chi_squared"]["p"].as_f64().unwrap() > 1e-4,
        "{joint}"
    );
    let states = joint["states"].as_array().unwrap();
    let number = |value: &Value| value["value"].as_f64().unwrap();
    for side in ["flow", "reference"] {
        let sum: f64 = states.iter().map(|state| number(&state[side])).sum();
        assert!((sum - 1.0).abs() < 1e-9);
    }
    let simulated = Npz::read(&at.join("data.npz"))?;
    let positions = simulated.array("positions").unwrap().as_f64().unwrap();
    let is_trans = |x: &&[f64]| dihedral(x, [0, 1, 2, 3]).to_degrees().abs() > 120.0;
    let trans = positions.chunks_exact(42).filter(is_trans).count() as f64 / 1200.0;
    assert!((number(&states[0]["reference"]) - trans).abs() < 1e-12);
    let text = succeed(at, &format!("{words} profiles.npz"));
    assert!(text.contains("F along C1-C2-C3-C4: ") && text.contains("χ² of C1-C2-C3-C4: "));
    let npz = Npz::read(&at.join("profiles.npz"))?;
    let numbers = |name: &str| npz.array(name).unwrap().as_f64().unwrap();
    assert_eq!(npz.array("profile").unwrap().shape, [1, 36]);
    let [p, f] = ["reference_probability", "reference_profile"].map(numbers);
    let most = p.iter().copied().fold(0.0, f64::max);
    for prefix in ["", "reference_"] {
        let [p, error, f, f_error] = ["probability", "error", "profile", "profile_error"]
            .map(|name| numbers(&format!("{prefix}{name}")));
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        for bin in (0..36).filter(|bin| p[*bin] > 0.0) {
            assert!((f[bin] - (most / p[bin]).ln()).abs() < 1e-9);
            assert!((f_error[bin] - error[bin] / p[bin]).abs() < 1e-9);
        }
    }
    assert!(f.iter().copied().fold(1.0, f64::min) == 0.0);
    let again = output(at, &format!("{words} profiles.npz"));
    assert!(String::from_utf8_lossy(&again.stderr).contains("give --overwrite"));
    succeed(at, &format!("{words} profiles.npz --overwrite"));
    Ok(())
}

fn every_family_is_trained_and_knows_the_density_of_its_samples() -> Result<(), Failed> {
    let folder = folder("");
    let at = folder.path();
    for maps in [
        "map = \"additive\"\nscheme = \"coupling\"",
        "map = \"affine\"\nscheme = \"coupling\"",
        "map = \"affine\"\nscheme = \"coupling\"\nbetween = \"linear\"",
        "map = \"affine\"\nscheme = \"maf\"",
        "map = { spline = { bins = 4 } }\nscheme = \"maf\"",
        "map = { spline = { bins = 4 } }\nscheme = \"iaf\"",
        "map = { bump = { ramps = 3 } }\nscheme = \"coupling\"",
    ] {
        std::fs::write(at.join("config.toml"), config(maps, "\"likelihood\"", 12))?;
        train(at, "-o flow.safetensors --overwrite");
        succeed(
            at,
            "sample flow.safetensors -n 64 --seed 5 -o samples.npz --overwrite",
        );
        succeed(
            at,
            "density flow.safetensors samples.npz --own-samples 0 -o density.npz --overwrite",
        );
        let read = |name: &str| {
            let npz = Npz::read(&at.join(name)).unwrap();
            npz.array("log_q").unwrap().as_f64().unwrap().to_vec()
        };
        let (drawn, found) = (read("samples.npz"), read("density.npz"));
        let pairs = drawn.iter().zip(&found).filter(|(a, _)| a.is_finite());
        assert!(pairs.clone().count() > 55, "{maps}: {drawn:?}");
        for (a, b) in pairs {
            assert!((a - b).abs() < 0.05, "{maps}: {a} and {b}");
        }
    }
    Ok(())
}

fn a_flow_learns_from_the_energy_alone_and_goes_on_from_another() -> Result<(), Failed> {
    let folder = folder(&config(SPLINE, ENERGY, 120));
    let at = folder.path();
    let train = format!("train {MOLECULE} --config config.toml");
    succeed(at, &format!("{train} -o whole.safetensors"));
    // The loss falls far: torsions know nothing at the start.
    let log = std::fs::read_to_string(at.join("whole.log.jsonl"))?;
    let steps: Vec<Value> = log.lines().map(json).collect();
    let last = steps.last().unwrap();
    // Four of the samples are moved, in ten steps each.
    assert_eq!(last["energy_calls"], 64 + 4 * 11);
    let first = steps[0]["validation"].as_f64().unwrap();
    assert!(last["validation"].as_f64().unwrap() < first, "{log}");
    // In slices it is the same, to the byte.
    let mut slices = 0;
    loop {
        let words = format!("{train} -o sliced.safetensors --time-limit 0.8s");
        let done = output(at, &words);
        match done.status.code() {
            Some(0) => break,
            Some(75) => slices += 1,
            code => return Err(format!("exit code {code:?}").into()),
        }
        assert!(slices < 200, "no progress");
    }
    assert!(slices > 0);
    assert_eq!(
        bytes(at, "sliced.safetensors"),
        bytes(at, "whole.safetensors")
    );
    // From there with data.
    std::fs::write(at.join("both.toml"), config(SPLINE, BOTH, 5))?;
    let from = format!(
        "train {MOLECULE} --data data.npz --config both.toml --from whole.safetensors -o both.safetensors"
    );
    succeed(at, &from);
    let log = std::fs::read_to_string(at.join("both.log.jsonl"))?;
    assert!(json(log.lines().last().unwrap())["validation"].is_number());
    let again = output(at, &from.replace("--from whole.safetensors ", ""));
    let message = String::from_utf8_lossy(&again.stderr);
    assert!(message.contains("other flow to start from"), "{message}");
    Ok(())
}

fn generate_takes_the_family_that_is_asked_for() -> Result<(), Failed> {
    let folder = folder("");
    let at = folder.path();
    let found = json(&succeed(
        at,
        "generate butane.xyz --smiles CCCC --flow realnvp --budget 30s -n 64 --seed 4 --json -o out.sdf",
    ));
    assert_eq!(found["samples"], 64);
    let plan = std::fs::read_to_string(at.join("out.plan.toml"))?;
    assert!(
        plan.contains("flow = \"realnvp\"") && plan.contains("map = \"affine\""),
        "{plan}"
    );
    Ok(())
}

fn attention_is_trained_sampled_and_knows_its_density_and_that_of_no_other_order()
-> Result<(), Failed> {
    let attentive = |steps: usize| {
        let perceptron = "network = { width = 24, layers = 1 }\nstiff = \"whitened\"";
        let attention =
            "network = { attention = { width = 16, heads = 2, layers = 2 } }\nstiff = \"scaled\"";
        let text = config(SPLINE, BOTH, steps);
        assert!(text.contains(perceptron));
        let text = text.replace(perceptron, attention);
        text.replace("validate_every = 50", "validate_every = 20")
    };
    let folder = folder(&attentive(60));
    let at = folder.path();
    train(at, "-o flow.safetensors");
    let log = std::fs::read_to_string(at.join("flow.log.jsonl"))?;
    let losses = log.lines().map(json);
    let losses: Vec<f64> = losses
        .filter_map(|line| line["validation"].as_f64())
        .collect();
    assert!(losses.len() > 2 && losses.last() < losses.first(), "{log}");
    succeed(at, "sample flow.safetensors -n 200 --seed 5 -o whole.npz");
    for index in 0..2 {
        let part = format!("--shard {index}/2 --threads 1 -o part-{index}.npz");
        succeed(
            at,
            &format!("sample flow.safetensors -n 200 --seed 5 {part}"),
        );
    }
    succeed(at, "merge part-0.npz part-1.npz -o merged.npz");
    assert_eq!(bytes(at, "merged.npz"), bytes(at, "whole.npz"));
    succeed(
        at,
        "density flow.safetensors whole.npz --own-samples 0 -o density.npz",
    );
    let read = |name: &str| {
        let npz = Npz::read(&at.join(name)).unwrap();
        npz.array("log_q").unwrap().as_f64().unwrap().to_vec()
    };
    let (drawn, found) = (read("whole.npz"), read("density.npz"));
    let pairs = drawn.iter().zip(&found).filter(|(a, _)| a.is_finite());
    assert!(pairs.clone().count() > 190, "{drawn:?}");
    for (a, b) in pairs {
        assert!((a - b).abs() < 0.05, "{a} and {b}");
    }
    std::fs::write(
        at.join("bad.toml"),
        attentive(5).replace("\"coupling\"", "\"maf\""),
    )?;
    let words = format!("train {MOLECULE} --data data.npz --config bad.toml -o x.safetensors");
    let refused = output(at, &words);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{message}");
    assert!(
        message.contains("model.internal.scheme = \"coupling\""),
        "{message}"
    );
    Ok(())
}

fn what_internal_coordinates_cannot_do_is_refused() -> Result<(), Failed> {
    let folder = folder(&config(SPLINE, "\"likelihood\"", 5));
    let at = folder.path();
    train(at, "-o flow.safetensors");
    let refused = |words: &str, message: &str| {
        let output = output(at, words);
        let found = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words}: {found}");
        assert!(found.contains(message), "{words}: {found}");
    };
    refused(
        "sample flow.safetensors -n 64 --steps 8 -o x.npz",
        "--steps is for flows with an ODE",
    );
    let simulate = "simulate --target dw4 -n 100 --burn-in 10 --replicas 2 -o toy.npz";
    succeed(at, simulate);
    refused(
        "train --target dw4 --data toy.npz --config config.toml -o x.safetensors",
        "use model.cartesian",
    );
    refused(
        &format!("train {MOLECULE} --config config.toml -o x.safetensors"),
        "give --data",
    );
    let cases = [
        (config(SPLINE, ENERGY, 5), "leave it out"),
        (
            config(SPLINE, "\"likelihood\"", 5).replace("margin = 0.5", "margin = nan"),
            "model.internal.margin is NaN",
        ),
        (
            config(SPLINE, "{ flow_matching = { pairing = \"aligned\" } }", 5),
            "is trained by training.objective = \"likelihood\"",
        ),
        (
            config(
                &format!("{SPLINE}\nbetween = \"linear\""),
                "\"likelihood\"",
                5,
            ),
            "mixes lines between couplings",
        ),
        (
            config(&SPLINE.replace('4', "0"), "\"likelihood\"", 5),
            "model.internal.map.spline.bins is 0",
        ),
        (
            config(SPLINE, &ENERGY.replace("3.0", "0.5"), 5),
            "training.objective.energy.hottest is 0.5",
        ),
    ];
    for (text, message) in cases {
        std::fs::write(at.join("bad.toml"), text)?;
        refused(
            &format!("train {MOLECULE} --data data.npz --config bad.toml -o x.safetensors"),
            message,
        );
    }
    // A narrower network than that of the flow to start from.
    let other = config(SPLINE, "\"likelihood\"", 5).replace("width = 24", "width = 16");
    std::fs::write(at.join("bad.toml"), other)?;
    refused(
        &format!(
            "train {MOLECULE} --data data.npz --config bad.toml --from flow.safetensors -o x.safetensors"
        ),
        "is not that of the config",
    );
    assert!(!at.join("x.safetensors").exists());
    Ok(())
}

fn a_copula_is_fitted_sampled_and_read_back_to_the_same_bits() -> Result<(), Failed> {
    let folder = folder(FITTED);
    let at = folder.path();
    let generate = "generate butane.xyz --smiles CCCC --flow copula --frames 1500 -n 300 --seed 4 --json -o out.sdf";
    let found = json(&succeed(at, generate));
    assert_eq!(found["samples"], 300);
    assert!(
        found["efficiency"]["value"].as_f64().unwrap() > 0.02,
        "{found}"
    );
    let plan = std::fs::read_to_string(at.join("out.plan.toml"))?;
    for part in [
        "flow = \"copula\"",
        "dependence = \"copula\"",
        "pseudo_count",
    ] {
        assert!(plan.contains(part), "{plan}");
    }
    assert!(!plan.contains("learning_rate"), "{plan}");
    // From the file it is the same flow.
    succeed(at, "sample out.safetensors -n 300 --seed 4 -o again.npz");
    assert_eq!(bytes(at, "again.npz"), bytes(at, "out.samples.npz"));
    succeed(at, "density out.safetensors again.npz -o density.npz");
    let read = |name: &str| {
        let npz = Npz::read(&at.join(name)).unwrap();
        npz.array("log_q").unwrap().as_f64().unwrap().to_vec()
    };
    for (a, b) in read("again.npz").iter().zip(read("density.npz")) {
        assert!((a - b).abs() < 1e-2, "{a} and {b}");
    }
    // A fit is one step, which says what was held out, and the same whoever asks for it.
    let fit = format!("train {MOLECULE} --data data.npz --config config.toml");
    let fitted = json(&succeed(at, &format!("{fit} --json -o flow.safetensors")));
    assert!(fitted["steps"].is_null(), "{fitted}");
    let log = json(std::fs::read_to_string(at.join("flow.log.jsonl"))?.trim());
    assert_eq!(log["validation"], fitted["best_validation_loss"]);
    assert!(log["loss"].as_f64() < log["validation"].as_f64(), "{log}");
    succeed(at, &format!("{fit} --threads 1 -o one.safetensors"));
    assert_eq!(bytes(at, "one.safetensors"), bytes(at, "flow.safetensors"));
    for (words, message) in [
        (
            format!("{fit} --from flow.safetensors -o x.safetensors"),
            "starts from no other flow",
        ),
        (
            fit.replace("--data data.npz", "-o x.safetensors"),
            "give --data",
        ),
    ] {
        let refused = output(at, &words);
        let found = String::from_utf8_lossy(&refused.stderr);
        assert!(found.contains(message), "{words}: {found}");
    }
    Ok(())
}
